//! What holds of every case.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chrono::Datelike as _;
use chrono_tz::Europe::Oslo;
use ledger::case::{
    BreachMoment, Case, Claim, Denominator, Down, Exclusion, Ground, Notice, NoticeRule, Ore,
    Policy, ShortRule, Status, Straddle, UnknownIs,
};
use ledger::minutes::{Minute, minutes};
use ledger::{Interval, Limit, Month, Period, Terms, Tiers, settle};
use proptest::prelude::*;

/// Seconds around the month: three weeks before it to three after.
fn interval() -> impl Strategy<Value = Interval> {
    let length = prop_oneof![1_i64..300, 1_i64..20_000, 1_i64..2_000_000];
    let start = Month::new(2026, 3, Oslo).unwrap().span().start;
    (-1_800_000_i64..4_500_000, length)
        .prop_map(move |(from, length)| Interval::new(start + from, start + from + length).unwrap())
}

fn outages() -> impl Strategy<Value = Vec<Down>> {
    prop::collection::vec(interval(), 0..8).prop_map(|times| {
        let named = times.into_iter().enumerate();
        named.map(|(place, time)| Down { id: format!("o{place}"), time }).collect()
    })
}

fn exclusions() -> impl Strategy<Value = Vec<Exclusion>> {
    let ground = (0_u8..8, prop::bool::ANY, 0_i64..600_000);
    let status = prop::sample::select(&[Status::Accepted, Status::Disputed, Status::Rejected][..]);
    prop::collection::vec((interval(), ground, status), 0..6).prop_map(|windows| {
        let named = windows.into_iter().enumerate();
        named
            .map(|(place, (time, (kind, written, before), status))| {
                let given_at = time.from() - before;
                let ground = match kind {
                    0 => Ground::AgreedSuspension { agreed_at: written.then_some(given_at) },
                    1 => Ground::PlannedMaintenance(Some(Notice { given_at, written })),
                    2 => Ground::SecurityMaintenance,
                    3 => Ground::AuthorityOrder,
                    4 => Ground::OutsideControl,
                    5 => Ground::CustomerCaused,
                    6 => Ground::ProductConnectivity,
                    _ => Ground::Battery,
                };
                Exclusion { id: format!("x{place}"), ground, time, status }
            })
            .collect()
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    (0_u8..2, 0_u8..2, 0_u8..2, 0_u8..2, 0_u8..3, 0_u8..3).prop_map(
        |(short, straddle, unknown, denominator, notice, breach)| Policy {
            short_rule: if short == 0 { ShortRule::Gross } else { ShortRule::Net },
            straddle: if straddle == 0 { Straddle::Whole } else { Straddle::PerMonth },
            unknown: if unknown == 0 { UnknownIs::Up } else { UnknownIs::Down },
            denominator: if denominator == 0 { Denominator::Contract } else { Denominator::Real },
            notice_rule: match notice {
                0 => NoticeRule::DateDiff,
                1 => NoticeRule::ClearDays,
                _ => NoticeRule::Hours72,
            },
            breach_moment: match breach {
                0 => BreachMoment::MonthEnd,
                1 => BreachMoment::Crossing,
                _ => BreachMoment::FirstOutage,
            },
        },
    )
}

/// The usual ones, or some of their own.
fn terms() -> impl Strategy<Value = Terms> {
    let own = (1_u16..5_000, 1_u16..5_000, 1_u8..50, 1_u8..50, 0_u16..90, 0_u8..10);
    prop::option::of(own).prop_map(|own| {
        let Some((low, more, small, rest, claim_days, notice_days)) = own else {
            return Terms::default();
        };
        let limits = [(low + more, small), (low, small + rest)];
        let limits = limits.map(|(below, credit)| Limit { below, credit });
        let tiers = Tiers::new(limits.to_vec()).unwrap();
        Terms { tiers, claim_days, notice_days, ..Terms::default() }
    })
}

prop_compose! {
    fn case()(
        outages in outages(),
        unknown in prop::collection::vec(interval(), 0..5),
        exclusions in exclusions(),
        policy in policy(),
        first in 1_u32..31,
        annual in 0_i64..=Ore::MAX,
        claimed in prop::option::of((0_i64..8_000_000, prop::bool::ANY, prop::bool::ANY)),
        terms in terms(),
    ) -> Case {
        let month = Month::new(2026, 3, Oslo).unwrap();
        let start = month.first_day().with_day0(first - 1);
        let period = Period::new(month, start, None).unwrap();
        let claim = claimed.map(|(after, written, evidence)| Claim {
            notified_at: period.time().from() + after,
            written,
            evidence,
        });
        let annual = Ore::new(annual).unwrap();
        Case { outages, unknown, exclusions, policy, claim, terms, ..Case::new(period, annual) }
    }
}

/// Enough to meet each pair of tiers in one case.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(1_000), ..usual }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn more_downtime_never_gives_a_smaller_credit(case in case(), more in interval()) {
        let before = settle(&case);
        let mut worse = case;
        worse.outages.push(Down { id: "more".into(), time: more });
        let after = settle(&worse);
        prop_assert!(after.totals.counted >= before.totals.counted);
        prop_assert!(after.tier >= before.tier);
        prop_assert!(after.claimable >= before.claimable);
    }

    #[test]
    fn exclusions_never_raise_downtime(case in case(), at in any::<prop::sample::Index>()) {
        let with = settle(&case);
        let mut without = case;
        if !without.exclusions.is_empty() {
            let at = at.index(without.exclusions.len());
            without.exclusions.remove(at);
        }
        let without = settle(&without);
        prop_assert!(with.totals.counted <= without.totals.counted);
        prop_assert!(with.disputed_accepted.seconds <= with.totals.counted);
        prop_assert_eq!(with.totals.down, without.totals.down);
    }

    #[test]
    fn an_outage_over_the_end_of_a_month_keeps_its_seconds(
        from in -500_i64..500,
        length in 1_i64..1_000,
    ) {
        let of = |month| Month::new(2026, month, Oslo).unwrap();
        let start = of(4).span().start + from;
        let time = Interval::new(start, start + length).unwrap();
        let counted = |month| {
            let mut case = Case::new(Period::whole(of(month)), Ore::default());
            case.outages.push(Down { id: "o".into(), time });
            settle(&case).totals.counted
        };
        let whole = if length > 120 { length } else { 0 };
        prop_assert_eq!(counted(3) + counted(4), whole);
    }

    #[test]
    fn the_order_of_the_input_changes_nothing(
        case in case(),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut other = case.clone();
        other.outages.reverse();
        other.exclusions.reverse();
        if !other.outages.is_empty() {
            let by = turn.index(other.outages.len());
            other.outages.rotate_left(by);
        }
        // What unknown time is called when it counts as down follows from its place.
        if case.policy.unknown == UnknownIs::Up {
            other.unknown.reverse();
        }
        prop_assert_eq!(settle(&case), settle(&other));
    }

    #[test]
    fn the_minutes_come_to_the_month(case in case()) {
        let settled = settle(&case);
        let minutes = minutes(&case, &settled);
        let sum = |of: fn(&Minute) -> i64| minutes.iter().map(of).sum::<i64>();
        prop_assert_eq!(sum(|it| it.down), settled.totals.down);
        prop_assert_eq!(sum(|it| it.unknown), settled.totals.unknown);
        prop_assert_eq!(sum(|it| it.excluded), settled.totals.excluded);
        for minute in &minutes {
            prop_assert_eq!(minute.at.rem_euclid(60), 0);
            prop_assert!(minute.down + minute.unknown <= 60);
            prop_assert!(minute.excluded <= minute.down);
        }
    }

    #[test]
    fn the_seconds_add_up(case in case()) {
        let settled = settle(&case);
        let totals = settled.totals;
        for outage in &settled.outages {
            let parts = outage.short + outage.excluded + outage.counted;
            prop_assert_eq!(outage.in_period, parts);
        }
        prop_assert_eq!(totals.down, totals.short + totals.excluded + totals.counted);
        let effective: i64 = settled.exclusions.iter().map(|it| it.effective).sum();
        prop_assert_eq!(effective, totals.excluded);
        prop_assert!(totals.down + totals.unknown <= case.period.time().seconds());
        prop_assert!(settled.due <= settled.claimable);
        prop_assert!(settled.unknown_as_down.seconds >= totals.counted);
        prop_assert_eq!(settled.crossed_at.is_some(), settled.tier.percent() > 0);
    }
}
