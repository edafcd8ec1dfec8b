//! Two books of one month beside each other: what both saw, and what only one did.
//!
//! ```text
//! customer   ───██████──────██──
//! vendor     ────██████─────────
//!               │└both┘│    └ only the customer
//! ```
//!
//! Each difference is for people to settle, second by second. The vendor's book may add downtime;
//! it takes none away by itself.

use crate::Interval;
use crate::case::{Case, Down};
use crate::interval::{cut, joined, minus, seconds};
use crate::settlement::{Settlement, settle};

/// Two books of one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// Seconds that both saw down.
    pub both: i64,
    /// Seconds that only the customer saw down.
    pub only_customer: i64,
    /// Seconds that only the vendor saw down.
    pub only_vendor: i64,
    /// Seconds that nobody saw down and one of them does not know.
    pub unknown: i64,
    /// Incidents, in order of time.
    pub incidents: Vec<Incident>,
    /// What the customer's book comes to.
    pub customer: Settlement,
    /// What the vendor's book comes to.
    pub vendor: Settlement,
    /// What comes of the seconds that both saw down, by the customer's contract.
    pub agreed: Settlement,
}

impl Reconciliation {
    /// The least and the most that the credit can be, in øre, whoever is right.
    pub fn credit(&self) -> (i64, i64) {
        let views = [&self.customer, &self.vendor, &self.agreed].map(|view| view.claimable);
        (views.into_iter().min().unwrap_or(0), views.into_iter().max().unwrap_or(0))
    }
}

/// What was down in one book, or in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// As the customer saw it.
    pub customer: Option<Interval>,
    /// As the vendor saw it; of several that match, the one that shares most of its time.
    pub vendor: Option<Interval>,
}

/// Lays the customer's book and the vendor's beside each other.
///
/// Both are of one period. Terms, exclusions and claim are the customer's.
pub fn reconcile(customer: &Case, vendor: &Case) -> Reconciliation {
    let period = customer.period.time();
    let down = |case: &Case| cut(&joined(case.outages.iter().map(|it| it.time)), period);
    let (ours, theirs) = (down(customer), down(vendor));
    let only_customer = minus(&ours, &theirs);
    let only_vendor = minus(&theirs, &ours);
    let both = minus(&ours, &only_customer);
    let either = joined(ours.iter().chain(&theirs).copied());
    let unknown = joined(customer.unknown.iter().chain(&vendor.unknown).copied());

    let named = both.iter().enumerate();
    let agreed = Case {
        outages: named.map(|(place, time)| Down { id: format!("{place}"), time: *time }).collect(),
        ..customer.clone()
    };
    Reconciliation {
        both: seconds(&both),
        only_customer: seconds(&only_customer),
        only_vendor: seconds(&only_vendor),
        unknown: seconds(&minus(&cut(&unknown, period), &either)),
        incidents: incidents(&ours, &theirs),
        customer: settle(customer),
        vendor: settle(&Case {
            outages: vendor.outages.clone(),
            unknown: vendor.unknown.clone(),
            ..customer.clone()
        }),
        agreed: settle(&agreed),
    }
}

/// Those of both books, where they come within half a minute of each other as one.
fn incidents(ours: &[Interval], theirs: &[Interval]) -> Vec<Incident> {
    let near = |one: Interval, other: Interval| {
        one.from() - NEAR_S < other.until() && other.from() - NEAR_S < one.until()
    };
    let seen = ours.iter().map(|one| {
        let shared = |other: &Interval| one.and(*other).map_or(0, Interval::seconds);
        let matching = theirs.iter().copied().filter(|other| near(*one, *other));
        Incident { customer: Some(*one), vendor: matching.max_by_key(shared) }
    });
    let unseen = theirs.iter().filter(|other| !ours.iter().any(|one| near(*one, **other)));
    let unseen = unseen.map(|other| Incident { customer: None, vendor: Some(*other) });
    let mut incidents: Vec<Incident> = seen.chain(unseen).collect();
    incidents.sort_by_key(|it| it.customer.or(it.vendor));
    incidents
}

/// Two probes do not look at the same second.
const NEAR_S: i64 = 30;

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;
    use proptest::prelude::*;

    use super::*;
    use crate::case::Ore;
    use crate::{Month, Period};

    fn case(outages: &[(i64, i64)]) -> Case {
        let period = Period::whole(Month::parse("2026-01", Oslo).unwrap());
        let start = period.time().from();
        let down = |(place, (from, until)): (usize, &(i64, i64))| Down {
            id: format!("o{place}"),
            time: Interval::new(start + from, start + until).unwrap(),
        };
        let outages = outages.iter().enumerate().map(down).collect();
        Case { outages, ..Case::new(period, Ore::new(1_200_000).unwrap()) }
    }

    #[test]
    fn each_second_is_in_one_place() {
        let customer = case(&[(1_000, 15_000), (50_000, 50_200)]);
        let vendor = case(&[(1_010, 14_000), (70_000, 70_300), (50_220, 50_230)]);
        let found = reconcile(&customer, &vendor);
        let seconds = (found.both, found.only_customer, found.only_vendor);
        assert_eq!(seconds, (12_990, 1_010 + 200, 310));
        assert_eq!(found.incidents.len(), 3, "what is 20 s apart is one incident");
        let alone: Vec<_> = found.incidents.iter().filter(|it| it.customer.is_none()).collect();
        assert_eq!(alone.len(), 1);
        let tiers = [&found.customer, &found.vendor, &found.agreed].map(|it| it.tier.percent());
        assert_eq!((tiers, found.credit()), ([10, 0, 0], (0, 10_000)));
    }

    proptest! {
        #[test]
        fn two_books_that_say_the_same_have_no_difference(
            outages in prop::collection::vec((0_i64..100_000, 1_i64..5_000), 0..10),
        ) {
            let outages: Vec<_> = outages.iter().map(|(from, len)| (*from, from + len)).collect();
            let case = case(&outages);
            let found = reconcile(&case, &case);
            prop_assert_eq!((found.only_customer, found.only_vendor), (0, 0));
            prop_assert_eq!(found.both, found.customer.totals.down);
            prop_assert_eq!(&found.agreed.totals.counted, &found.customer.totals.counted);
            prop_assert!(found.incidents.iter().all(|it| it.customer == it.vendor));
        }
    }
}
