//! How much of the wire a master uses, in virtual time: the same on every machine.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the table is what this bench is for"
)]

#[path = "../tests/virtual_bus/limit.rs"]
mod limit;
#[expect(dead_code, reason = "the faults are for tests")]
#[path = "../tests/virtual_bus/mod.rs"]
mod virtual_bus;

use limit::{
    Manner, Measured, batched_ids, primary_scan, random_ids, reading, secondary_search,
    sequential_ids,
};

fn main() {
    println!("M-Bus, in virtual time: seconds taken, seconds that the wire takes, and the ratio");
    println!("{:44} {:>6} {:>10} {:>10} {:>7}", "", "baud", "measured", "limit", "ratio");
    for baud in [300, 2400, 9600] {
        for count in [20, 250] {
            for manner in Manner::ALL {
                for len in [60, 120, 200] {
                    let what = format!("read {count} meters, {len} bytes, {}", manner.name());
                    line(&what, baud, reading(baud, count, len, manner));
                }
            }
        }
        for count in [0, 20, 60, 250] {
            line(&format!("primary scan, {count} meters"), baud, primary_scan(baud, count));
        }
        for count in [1, 20, 60, 250] {
            for (name, ids) in [
                ("random", random_ids(count)),
                ("sequential", sequential_ids(count)),
                ("batches of 20", batched_ids(count)),
            ] {
                let what = format!("secondary search, {count} meters, {name}");
                line(&what, baud, secondary_search(baud, 100, &ids));
            }
        }
    }
}

fn line(what: &str, baud: u32, measured: Measured) {
    let seconds = |time: std::time::Duration| format!("{:.2}", time.as_secs_f64());
    let permille = measured.permille();
    println!(
        "{what:44} {baud:>6} {:>10} {:>10} {:>5}.{} %",
        seconds(measured.took),
        seconds(measured.limit),
        permille / 10,
        permille % 10
    );
}
