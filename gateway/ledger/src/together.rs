//! Several sites on one fee: what their ledgers come to together.
//!
//! ```text
//! Storgata 1   ──███──────────██──
//! Storgata 3   ────███────────────
//! the line     ──█████────────██──    any_site: down while a report of any of them cannot be had
//! ```
//!
//! Each site has its own ledger and its own exclusions, and an exclusion excuses the site in whose ledger
//! it stands, and no other. Weighted, each site is judged by itself and the mean of them is what counts.
//!
//! **Never true:** that time which a site does not know makes another site's downtime unknown.

use std::fmt;

use crate::Interval;
use crate::case::{Case, Down, Exclusion, Reason, UnknownIs};
use crate::entry::ManySites;
use crate::interval::{cut, joined, minus};
use crate::settlement::{Settlement, credit, percent, settle};
use crate::terms::Tier;

/// One month of a line with several sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// The month as one case: the sites' downtime united, each part with its site's name before its own.
    pub case: Case,
    /// What that comes to.
    pub united: Settlement,
    /// Each site by itself, in the order in which they were given.
    pub sites: Vec<(String, Settlement)>,
    /// How the contract is read.
    pub rule: ManySites,
}

/// Why several cases are not one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTogether {
    /// There is none.
    None,
    /// The site's case is of other days, or of another contract, than the first one's.
    Other(String),
}

impl fmt::Display for NotTogether {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is no site"),
            Self::Other(site) => write!(
                f,
                "{site} has another month, fee or reading of the contract than the first site: they are \
                 not one line"
            ),
        }
    }
}

impl std::error::Error for NotTogether {}

impl Together {
    /// The sites with these names and cases.
    ///
    /// # Errors
    ///
    /// [`NotTogether`] unless they are of the same days and the same contract.
    pub fn of(cases: &[(String, Case)], rule: ManySites) -> Result<Self, NotTogether> {
        let (_, first) = cases.first().ok_or(NotTogether::None)?;
        let same = |case: &Case| {
            (case.period, case.annual, case.policy) == (first.period, first.annual, first.policy)
                && case.terms == first.terms
        };
        if let Some((site, _)) = cases.iter().find(|(_, case)| !same(case)) {
            return Err(NotTogether::Other(site.clone()));
        }
        let outages = cases.iter().flat_map(|(site, case)| {
            let named =
                move |down: &Down| Down { id: format!("{site}: {}", down.id), time: down.time };
            case.outages.iter().map(named)
        });
        let down = joined(cases.iter().flat_map(|(_, case)| all_down(case)));
        // What is still down at some site after its own exclusions is down; the rest is taken out.
        let taken = |acts: fn(Reason) -> bool| {
            let left = cases.iter().flat_map(|(_, case)| {
                let windows = judged(case).filter(|(_, reason)| acts(*reason));
                minus(&all_down(case), &joined(windows.map(|(it, _)| it.time)))
            });
            minus(&down, &joined(left))
        };
        let (now, if_accepted) =
            (taken(|it| it == Reason::Ok), taken(|it| matches!(it, Reason::Ok | Reason::Disputed)));
        let exclusions = cases.iter().flat_map(|(site, case)| {
            let (now, if_accepted) = (&now, &if_accepted);
            judged(case).flat_map(move |(exclusion, reason)| {
                let pieces = match reason {
                    Reason::Ok => cut(now, exclusion.time),
                    Reason::Disputed => cut(if_accepted, exclusion.time),
                    // What never acts is told as it was invoked.
                    _ => vec![exclusion.time],
                };
                pieces.into_iter().zip(1..).map(move |(time, place)| {
                    let piece = if place == 1 { String::new() } else { format!(" ({place})") };
                    let id = format!("{site}: {}{piece}", exclusion.id);
                    Exclusion { id, time, ground: exclusion.ground, status: exclusion.status }
                })
            })
        });
        let unknown = joined(cases.iter().flat_map(|(_, case)| case.unknown.iter().copied()));
        let claims = cases.iter().filter_map(|(_, case)| case.claim);
        let case = Case {
            outages: outages.collect(),
            exclusions: exclusions.collect(),
            unknown,
            claim: claims.min_by_key(|claim| claim.notified_at),
            ..first.clone()
        };
        let sites = cases.iter().map(|(site, case)| (site.clone(), settle(case))).collect();
        Ok(Self { united: settle(&case), case, sites, rule })
    }

    /// Seconds of uptime, and what they are of: of all sites together where the mean is what counts.
    pub fn uptime(&self) -> (i64, i64) {
        match self.rule {
            ManySites::AnySite => (self.united.up(), self.united.denominator),
            ManySites::Weighted => {
                let sites = || self.sites.iter().map(|(_, settled)| settled);
                (sites().map(Settlement::up).sum(), sites().map(|it| it.denominator).sum())
            }
        }
    }

    /// The names of the sites that were down at any time in `time`.
    pub fn down_in(&self, time: Interval) -> impl Iterator<Item = &str> {
        let down = move |settled: &Settlement| {
            settled.outages.iter().any(|it| it.time.and(time).is_some())
        };
        self.sites.iter().filter(move |(_, it)| down(it)).map(|(name, _)| name.as_str())
    }

    /// In percent with four decimals, cut and not rounded.
    pub fn percent(&self) -> String {
        let (up, of) = self.uptime();
        percent(up, of)
    }

    /// The credit in percent of the fee.
    pub fn tier(&self) -> Tier {
        let (up, of) = self.uptime();
        self.case.terms.tiers.of(up, of)
    }

    /// The credit in øre if it is claimed in time and with evidence.
    pub fn claimable(&self) -> i64 {
        credit(&self.case, self.tier())
    }
}

/// What a site was down, joined: with what it does not know, where the contract takes that for down.
fn all_down(case: &Case) -> Vec<Interval> {
    let unknown = if case.policy.unknown == UnknownIs::Down { &case.unknown[..] } else { &[] };
    joined(case.outages.iter().map(|it| it.time).chain(unknown.iter().copied()))
}

/// Each exclusion of a case, and whether it acts.
fn judged(case: &Case) -> impl Iterator<Item = (&Exclusion, Reason)> {
    let (rule, days) = (case.policy.notice_rule, case.terms.notice_days);
    case.exclusions.iter().map(move |it| (it, it.reason(rule, days, case.zone())))
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;
    use proptest::prelude::*;

    use super::*;
    use crate::case::{Ground, Ore, Status};
    use crate::{Month, Period};

    const NAMES: [&str; 3] = ["Storgata 1", "Storgata 3", "Storgata 5"];

    fn case(outages: &[(i64, i64)], excluded: &[(i64, i64, Status)]) -> Case {
        let period = Period::whole(Month::parse("2026-01", Oslo).unwrap());
        let start = period.time().from();
        let time = |from: i64, until: i64| Interval::new(start + from, start + until).unwrap();
        let down = |(place, (from, until)): (usize, &(i64, i64))| Down {
            id: format!("o{place}"),
            time: time(*from, *until),
        };
        let invoked = |(place, (from, until, status)): (usize, &(i64, i64, Status))| Exclusion {
            id: format!("x{place}"),
            ground: Ground::CustomerCaused,
            time: time(*from, *until),
            status: *status,
        };
        Case {
            outages: outages.iter().enumerate().map(down).collect(),
            exclusions: excluded.iter().enumerate().map(invoked).collect(),
            ..Case::new(period, Ore::new(1_200_000).unwrap())
        }
    }

    fn together(cases: &[Case], rule: ManySites) -> Together {
        let named = NAMES.iter().zip(cases).map(|(name, case)| ((*name).to_owned(), case.clone()));
        Together::of(&named.collect::<Vec<_>>(), rule).unwrap()
    }

    #[test]
    fn the_line_is_down_while_any_site_is() {
        // 8,000 s each, of which they share 1,000: 15,000 s are more than 0.5 % of January, 8,000 are not.
        let cases = [case(&[(0, 8_000)], &[]), case(&[(7_000, 15_000)], &[])];
        let any = together(&cases, ManySites::AnySite);
        assert_eq!(any.united.totals.counted, 15_000);
        assert_eq!((any.tier().percent(), any.claimable()), (10, 10_000));
        assert_eq!(any.united.outages[0].ids, ["Storgata 1: o0", "Storgata 3: o0"]);
        let mean = together(&cases, ManySites::Weighted);
        assert_eq!(mean.uptime(), (2 * 2_678_400 - 16_000, 2 * 2_678_400));
        assert_eq!((mean.tier().percent(), mean.percent().as_str()), (0, "99.7013"));
    }

    #[test]
    fn a_site_is_named_where_it_was_down_whatever_it_is_called() {
        let line = [
            ("Tunet".to_owned(), case(&[], &[])),
            ("Tunet: nord".to_owned(), case(&[(0, 500)], &[])),
            ("Tunet: nord (2)".to_owned(), case(&[(500, 900), (5_000, 6_000)], &[])),
        ];
        let found = Together::of(&line, ManySites::AnySite).unwrap();
        let named: Vec<Vec<&str>> =
            found.united.outages.iter().map(|it| found.down_in(it.time).collect()).collect();
        assert_eq!(named, [vec!["Tunet: nord", "Tunet: nord (2)"], vec!["Tunet: nord (2)"]]);
    }

    #[test]
    fn two_short_outages_that_touch_are_one() {
        let cases = [case(&[(0, 100)], &[]), case(&[(100, 200)], &[])];
        assert_eq!(together(&cases, ManySites::AnySite).united.totals.counted, 200);
    }

    #[test]
    fn an_exclusion_excuses_its_own_site_alone() {
        let excused = [(0, 10_000, Status::Accepted)];
        let cases = [case(&[(0, 8_000)], &excused), case(&[(4_000, 9_000)], &[])];
        let found = together(&cases, ManySites::AnySite).united;
        assert_eq!((found.totals.counted, found.totals.excluded), (5_000, 4_000));
        let told: Vec<_> =
            found.exclusions.iter().map(|it| (it.id.as_str(), it.effective)).collect();
        assert_eq!(told, [("Storgata 1: x0", 4_000)]);

        let disputed = [(0, 10_000, Status::Disputed)];
        let cases = [case(&[(0, 8_000)], &disputed), case(&[(4_000, 9_000)], &[])];
        let found = together(&cases, ManySites::AnySite).united;
        assert_eq!((found.totals.counted, found.disputed_accepted.seconds), (9_000, 5_000));
    }

    #[test]
    fn what_is_not_one_line_is_not_taken_together() {
        let other = Case { annual: Ore::new(1).unwrap(), ..case(&[], &[]) };
        let cases = [("A".to_owned(), case(&[], &[])), ("B".to_owned(), other)];
        let refused = Together::of(&cases, ManySites::AnySite).unwrap_err();
        assert_eq!(refused, NotTogether::Other("B".to_owned()));
        assert_eq!(Together::of(&[], ManySites::AnySite), Err(NotTogether::None));
    }

    /// Of one reading of the contract: what is not known is up or down.
    fn some(unknown_is: UnknownIs) -> impl Strategy<Value = Case> {
        let spans = || prop::collection::vec((0_i64..60_000, 1_i64..9_000), 0..4);
        (spans(), spans(), spans()).prop_map(move |(outages, excluded, unknown)| {
            let outages: Vec<_> = outages.iter().map(|(from, len)| (*from, from + len)).collect();
            let accepted = |(from, len): &(i64, i64)| (*from, from + len, Status::Accepted);
            let mut case = case(&outages, &excluded.iter().map(accepted).collect::<Vec<_>>());
            let start = case.period.time().from();
            let time = |(from, len): &(i64, i64)| Interval::new(start + from, start + from + len);
            let down = joined(case.outages.iter().map(|it| it.time));
            case.unknown = minus(&joined(unknown.iter().filter_map(time)), &down);
            case.policy.unknown = unknown_is;
            case
        })
    }

    fn either() -> impl Strategy<Value = UnknownIs> {
        prop_oneof![Just(UnknownIs::Up), Just(UnknownIs::Down)]
    }

    proptest! {
        #[test]
        fn one_site_is_a_line_by_itself(case in either().prop_flat_map(some)) {
            let (any, mean) = (
                together(std::slice::from_ref(&case), ManySites::AnySite),
                together(std::slice::from_ref(&case), ManySites::Weighted),
            );
            let alone = settle(&case);
            prop_assert_eq!(any.united.totals, alone.totals);
            prop_assert_eq!((any.uptime(), any.claimable()), (mean.uptime(), alone.claimable));
        }

        #[test]
        fn a_line_is_never_better_than_its_worst_site_nor_than_the_mean(
            cases in either().prop_flat_map(|it| prop::collection::vec(some(it), 1..4)),
        ) {
            let any = together(&cases, ManySites::AnySite);
            for (_, site) in &any.sites {
                prop_assert!(any.united.totals.counted >= site.totals.counted);
            }
            prop_assert!(any.claimable() >= together(&cases, ManySites::Weighted).claimable());
        }
    }
}
