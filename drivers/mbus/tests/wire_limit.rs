//! The wire is the limit: what a master takes, against what the wire allows, in virtual time.

#![expect(clippy::expect_used, reason = "a test fails by a panic, in its helpers too")]

#[path = "virtual_bus/limit.rs"]
mod limit;
#[expect(dead_code, reason = "the faults are for other tests")]
mod virtual_bus;

use limit::{
    Manner, Measured, batched_ids, primary_scan, random_ids, reading, secondary_search,
    sequential_ids,
};

const SPEEDS: [u32; 3] = [300, 2400, 9600];

#[track_caller]
fn check(measured: Measured, at_least_permille: u128, what: &str) {
    let used = measured.permille();
    assert!(
        used >= at_least_permille,
        "{what}: {used} ‰ of the wire ({:?} of {:?})",
        measured.limit,
        measured.took
    );
}

#[test]
fn reading_uses_97_percent_of_the_wire() {
    for baud in SPEEDS {
        for count in [20, 250] {
            for len in [60, 120, 200] {
                for manner in Manner::ALL {
                    let what =
                        format!("{count} meters, {len} bytes, {baud} baud, {}", manner.name());
                    check(reading(baud, count, len, manner), 970, &what);
                }
            }
        }
    }
}

#[test]
fn a_scan_of_the_primary_addresses_uses_90_percent() {
    for baud in SPEEDS {
        for count in [0, 20, 60, 250] {
            check(primary_scan(baud, count), 900, &format!("{count} meters, {baud} baud"));
        }
    }
}

#[test]
fn a_search_by_secondary_addresses_uses_90_percent() {
    for baud in SPEEDS {
        for count in [1, 20, 60, 250] {
            for (name, ids) in [
                ("random", random_ids(count)),
                ("sequential", sequential_ids(count)),
                ("batches", batched_ids(count)),
            ] {
                let what = format!("{count} meters, {name}, {baud} baud");
                check(secondary_search(baud, 100, &ids), 900, &what);
            }
        }
    }
}
