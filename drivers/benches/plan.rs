//! How many requests a readout costs with our plan, against one for each value and against
//! neighbours alone; and how fast the plan is made.
//!
//! The counts and the bus time at 9600 baud (30 ms latency) are printed first: they are the same
//! on every machine. The planning is timed after them.

#![expect(clippy::expect_used, reason = "a bench of a profile that is not there fails")]

use std::time::Duration;

use drivers::modbus::Request;
use drivers::modbus::plan::{Cost, Learned, Limits, plan};
use drivers::{Profile, Profiles};

fn main() {
    counts();
    divan::main();
}

#[expect(clippy::print_stdout, reason = "the counts are what this bench is for")]
fn counts() {
    let serial = at_9600();
    println!("requests for a readout, and seconds on the bus at 9600 baud");
    println!(
        "{:24} {:>7}  {:>14}  {:>14}  {:>14}",
        "", "values", "one each", "neighbours", "planned"
    );
    for profile in Profiles::embedded().iter() {
        let Some((mut points, limits)) = profile.modbus_points() else { continue };
        points.sort_unstable_by_key(|point| (point.function, point.address));
        points.dedup();
        let one_each = cost_of(&points, serial);
        let adjacent = Limits { max_gap: 0, ..limits.clone() };
        let neighbours = cost_of(&requests(&points, &adjacent, serial), serial);
        let planned = cost_of(&requests(&points, limits, serial), serial);
        let shown =
            |(count, time): (usize, Duration)| format!("{count} in {:.2} s", time.as_secs_f32());
        println!(
            "{:24} {:>7}  {:>14}  {:>14}  {:>14}",
            profile.id,
            points.len(),
            shown(one_each),
            shown(neighbours),
            shown(planned)
        );
        assert!(planned.1 <= neighbours.1 && planned.1 <= one_each.1);
    }
}

fn requests(points: &[Request], limits: &Limits, cost: Cost) -> Vec<Request> {
    let plan = plan(points, limits, &Learned::default(), cost);
    plan.into_iter().map(|planned| planned.request).collect()
}

fn cost_of(requests: &[Request], cost: Cost) -> (usize, Duration) {
    let time = |it: &Request| cost.per_request + cost.per_register * it.count.into();
    (requests.len(), requests.iter().map(time).sum())
}

fn at_9600() -> Cost {
    Cost::serial(9_600, Duration::from_millis(30))
}

#[divan::bench]
fn plan_of_an_sdm630(bencher: divan::Bencher<'_, '_>) {
    let profile = Profiles::embedded().get("eastron.sdm630").expect("it is embedded");
    let (points, limits) = Profile::modbus_points(&profile).expect("it is a Modbus meter");
    let learned = Learned::default();
    bencher.bench_local(|| plan(&points, limits, &learned, at_9600()));
}

/// More points than any device has.
#[divan::bench]
fn plan_of_200_points(bencher: divan::Bencher<'_, '_>) {
    let point = |index: u16| Request {
        function: drivers::modbus::Function::Input,
        address: index * 7,
        count: 2,
    };
    let points: Vec<Request> = (0..200).map(point).collect();
    let limits = Limits { max_gap: 125, ..Limits::default() };
    bencher.bench_local(|| plan(&points, &limits, &Learned::default(), at_9600()));
}
