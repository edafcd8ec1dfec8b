//! The twenty worked examples of the promise, each under its number.
//!
//! The fee is 12,000.00 NOK a year, 1,000.00 a month, unless an example says otherwise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chrono::{DateTime, FixedOffset, NaiveDate};
use chrono_tz::Europe::Oslo;
use ledger::case::{
    Cap, Case, Claim, Denominator, Down, Exclusion, Ground, Notice, Ore, ShortRule, Status,
    Straddle,
};
use ledger::settlement::{ClaimState, Counted, Fraction, Settlement};
use ledger::{
    Attempt, Failure, Interval, Month, Outcome, Period, References, Settings, Tier, account, settle,
};

const ANNUAL: i64 = 1_200_000;

fn month(text: &str) -> Month {
    Month::parse(text, Oslo).unwrap()
}

fn case(text: &str) -> Case {
    Case::new(Period::whole(month(text)), Ore::new(ANNUAL).unwrap())
}

/// `2026-03-12 02:00:00 +01:00`
fn at(local: &str) -> i64 {
    DateTime::<FixedOffset>::parse_from_str(local, "%Y-%m-%d %H:%M:%S %:z").unwrap().timestamp()
}

fn interval(from: i64, seconds: i64) -> Interval {
    Interval::new(from, from + seconds).unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Adds outages, each as its start in seconds after the period's and its length.
fn down(mut case: Case, outages: &[(i64, i64)]) -> Case {
    let start = case.period.time().from();
    case.outages.extend(outages.iter().enumerate().map(|(place, (after, seconds))| Down {
        id: format!("o{place}"),
        time: interval(start + after, *seconds),
    }));
    case
}

/// Adds a window that the other side accepts.
fn excluded(mut case: Case, id: &str, ground: Ground, from: i64, seconds: i64) -> Case {
    let (id, time, status) = (id.to_owned(), interval(from, seconds), Status::Accepted);
    case.exclusions.push(Exclusion { id, ground, time, status });
    case
}

fn announced(given_at: i64) -> Ground {
    Ground::PlannedMaintenance(Some(Notice { given_at, written: true }))
}

/// One outage of `seconds` an hour into the month, and what it comes to.
#[track_caller]
fn check(text: &str, seconds: i64, expected: &str) -> Settlement {
    let settled = settle(&down(case(text), &[(3_600, seconds)]));
    assert_eq!(told(&settled), expected);
    settled
}

fn told(settled: &Settlement) -> String {
    format!("{} % -> {} % = {}", settled.percent(), settled.tier.percent(), settled.claimable)
}

/// Counted, short and excluded seconds.
fn seconds(settled: &Settlement) -> (i64, i64, i64) {
    (settled.totals.counted, settled.totals.short, settled.totals.excluded)
}

#[test]
fn example_1_exactly_the_promise() {
    check("2026-01", 13_392, "99.5000 % -> 0 % = 0");
}

#[test]
fn example_2_one_second_longer() {
    let settled = check("2026-01", 13_393, "99.4999 % -> 10 % = 10000");
    assert_eq!(settled.deadlines.unwrap().month_end, day("2026-03-02"));
    assert_eq!(settled.crossed_at, Some(month("2026-01").span().start + 3_600 + 13_393));
}

#[test]
fn example_3_one_percent() {
    check("2026-02", 24_192, "99.0000 % -> 10 % = 10000");
    check("2026-02", 24_193, "98.9999 % -> 25 % = 25000");
}

#[test]
fn example_4_five_percent() {
    check("2026-04", 129_600, "95.0000 % -> 25 % = 25000");
    check("2026-04", 129_601, "94.9999 % -> 50 % = 50000");
}

#[test]
fn example_5_two_minutes() {
    let settled =
        settle(&down(case("2026-01"), &[(0, 120), (1_000, 121), (2_000, 120), (2_120, 60)]));
    assert_eq!(seconds(&settled), (301, 120, 0));
    assert_eq!(settled.outages.len(), 3);
    assert_eq!(settled.outages[2].ids, ["o2", "o3"]);
}

#[test]
fn example_6_over_the_end_of_a_month() {
    let straddling = |text, straddle| {
        let mut case = case(text);
        let time = interval(at("2026-01-31 23:59:00 +01:00"), 121);
        case.outages.push(Down { id: "o".into(), time });
        case.policy.straddle = straddle;
        settle(&case).totals.counted
    };
    let counted = |straddle| (straddling("2026-01", straddle), straddling("2026-02", straddle));
    assert_eq!(counted(Straddle::Whole), (60, 61));
    assert_eq!(counted(Straddle::PerMonth), (0, 0));
}

#[test]
fn example_7_what_a_window_leaves() {
    let start = month("2026-01").span().start;
    let announced = announced(start - 10 * 86_400);
    let case = down(case("2026-01"), &[(5_400, 5_490)]);
    let mut case = excluded(case, "w", announced, start + 3_600, 7_200);
    assert_eq!(seconds(&settle(&case)), (90, 0, 5_400));
    case.policy.short_rule = ShortRule::Net;
    assert_eq!(seconds(&settle(&case)), (0, 90, 5_400));
}

#[test]
fn example_8_three_calendar_days() {
    let counted = |window: &str, given_at: &str| {
        let from = at(window);
        let mut case = case("2026-03");
        case.outages.push(Down { id: "o".into(), time: interval(from, 3_600) });
        settle(&excluded(case, "w", announced(at(given_at)), from, 3_600)).totals.counted
    };
    let thursday = "2026-03-12 02:00:00 +01:00";
    assert_eq!(counted(thursday, "2026-03-09 23:59:59 +01:00"), 0);
    assert_eq!(counted(thursday, "2026-03-10 00:00:00 +01:00"), 3_600);
    // The clocks change in between: 48.5 hours are three dates.
    assert_eq!(counted("2026-03-31 01:00:00 +02:00", "2026-03-28 23:30:00 +01:00"), 0);
}

#[test]
fn example_9_too_late_and_for_security() {
    let start = month("2026-01").span().start;
    let case = down(case("2026-01"), &[(1_800, 10_800)]);
    let case = excluded(case, "late", announced(start - 86_400), start, 4 * 3_600);
    let case = excluded(case, "s", Ground::SecurityMaintenance, start + 3_600, 3_600);
    let settled = settle(&case);
    assert_eq!(seconds(&settled), (7_200, 0, 3_600));
    let reasons: Vec<_> = settled.exclusions.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["late_notice", "ok"]);
}

#[test]
fn example_10_no_second_is_excluded_twice() {
    let start = month("2026-01").span().start;
    let case = down(case("2026-01"), &[(0, 10_800)]);
    let case = excluded(case, "f", Ground::OutsideControl, start + 3_600, 7_200);
    let case = excluded(case, "p", announced(start - 10 * 86_400), start, 7_200);
    let settled = settle(&case);
    assert_eq!(seconds(&settled), (0, 0, 10_800));
    let effective: Vec<_> = settled.exclusions.iter().map(|it| (&*it.id, it.effective)).collect();
    assert_eq!(effective, [("f", 3_600), ("p", 7_200)]);
}

#[test]
fn example_11_the_month_that_lacks_an_hour() {
    let whole = settle(&down(case("2026-03"), &[(0, 2_674_800)]));
    assert_eq!(told(&whole), "0.1344 % -> 50 % = 50000");
    check("2026-03", 13_380, "99.5004 % -> 0 % = 0");
    let mut real = down(case("2026-03"), &[(0, 13_380)]);
    real.policy.denominator = Denominator::Real;
    assert_eq!(settle(&real).tier, Tier::new(10).unwrap());
}

#[test]
fn example_12_the_month_with_an_hour_more() {
    check("2026-10", 13_400, "99.4997 % -> 10 % = 10000");
    let real = |seconds| {
        let mut real = down(case("2026-10"), &[(0, seconds)]);
        real.policy.denominator = Denominator::Real;
        settle(&real).tier
    };
    assert_eq!(
        (real(13_400), real(13_410), real(13_411)),
        (Tier::NONE, Tier::NONE, Tier::new(10).unwrap())
    );
}

#[test]
fn example_13_unknown_time() {
    let mut case = down(case("2026-01"), &[(0, 13_000)]);
    case.unknown.push(interval(case.period.time().from() + 13_000, 600));
    let settled = settle(&case);
    assert_eq!((settled.tier, settled.totals.unknown), (Tier::NONE, 600));
    assert_eq!(settled.unknown_as_down, Counted { seconds: 13_600, tier: Tier::new(10).unwrap() });
}

#[test]
fn example_14_rounded_once_half_up() {
    let credit = |annual, seconds| {
        let mut case = down(case("2026-01"), &[(0, seconds)]);
        case.annual = Ore::new(annual).unwrap();
        settle(&case).claimable
    };
    let (tenth, quarter) = (13_393, 26_785);
    assert_eq!(credit(358_800, tenth), 2_990);
    assert_eq!(credit(100_000, quarter), 2_083);
    assert_eq!(credit(499_980, tenth), 4_167);
    assert_eq!(credit(60, tenth), 1);
}

#[test]
fn example_15_a_first_month() {
    let period = Period::new(month("2026-03"), Some(day("2026-03-17")), None).unwrap();
    let case = down(Case::new(period, Ore::new(ANNUAL).unwrap()), &[(0, 12_000)]);
    let settled = settle(&case);
    assert_eq!((settled.up(), settled.denominator), (1_284_000, 1_296_000));
    assert_eq!(told(&settled), "99.0740 % -> 10 % = 4839");
    assert_eq!(settled.fee, Fraction { numerator: 1_500_000, denominator: 31 });
}

#[test]
fn example_16_the_last_second_of_the_deadline() {
    let state = |notified_at: &str| {
        let mut case = down(case("2026-01"), &[(0, 13_393)]);
        let notified_at = at(notified_at);
        case.claim = Some(Claim { notified_at, written: true, evidence: true });
        settle(&case).claim
    };
    assert_eq!(state("2026-03-02 23:59:59 +01:00"), ClaimState::Ok);
    assert_eq!(state("2026-03-03 00:00:00 +01:00"), ClaimState::Late);
}

#[test]
fn example_17_the_cap() {
    let mut case = down(case("2026-01"), &[(0, 13_393)]);
    let notified_at = at("2026-02-01 08:00:00 +01:00");
    case.claim = Some(Claim { notified_at, written: true, evidence: true });
    let ore = |ore| Ore::new(ore).unwrap();
    case.cap = Some(Cap { paid: ore(1_200_000), incurred: ore(1_198_000) });
    let settled = settle(&case);
    assert_eq!((settled.claimable, settled.due, settled.capped), (10_000, 2_000, true));
}

#[test]
fn example_18_a_leap_year() {
    check("2028-02", 12_528, "99.5000 % -> 0 % = 0");
    check("2028-02", 12_529, "99.4999 % -> 10 % = 10000");
}

#[test]
fn example_19_in_and_out_of_the_two_minutes() {
    let flapping: Vec<_> = (0..10).map(|time| (120 * time, 119)).collect();
    assert_eq!(seconds(&settle(&down(case("2026-01"), &flapping))), (0, 1_190, 0));

    // What the probe sees of it: single successes, none of which another confirms.
    let reached = References { asked: 3, answered: 3, link_down: false };
    let attempts: Vec<Attempt> = (0_i64..10)
        .flat_map(|time| {
            let at = move |second| Attempt {
                at: 120 * time + second,
                outcome: Outcome::Failed(Failure::Status(503)),
                references: reached,
                clock_trusted: true,
                age: None,
            };
            let failed = (0..119).step_by(10).map(at);
            failed.chain([Attempt { outcome: Outcome::Success, ..at(119) }])
        })
        .chain([1_209, 1_229].map(|at| Attempt {
            at,
            outcome: Outcome::Success,
            references: References::default(),
            clock_trusted: true,
            age: None,
        }))
        .collect();
    let spans = account(&attempts, 0..1_229, Settings::WIRED);
    assert_eq!(spans.first().map(|span| (span.from, span.until)), Some((0, 1_199)));
}

#[test]
fn example_20_a_dispute() {
    let case = down(case("2026-06"), &[(0, 20_000)]);
    let start = case.period.time().from();
    let mut case = excluded(case, "x", Ground::OutsideControl, start + 1_000, 9_000);
    for exclusion in &mut case.exclusions {
        exclusion.status = Status::Disputed;
    }
    let settled = settle(&case);
    assert_eq!((settled.totals.counted, settled.tier), (20_000, Tier::new(10).unwrap()));
    assert_eq!(settled.disputed_accepted, Counted { seconds: 11_000, tier: Tier::NONE });
}
