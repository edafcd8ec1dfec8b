//! The month by its spans: how much of the promise has been kept so far.
//!
//! What the contract says of seconds is in [`settlement`](crate::settlement). Here it is asked of
//! what was measured, without the other side's exclusions and without a claim: for a month that is
//! still running.

use crate::case::{Case, Down, Ore};
use crate::interval::joined;
use crate::settlement::percent;
use crate::{Code, Interval, Month, Period, Span, Terms, Tier, settle};

/// One time during which the reports could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Seconds UTC since 1970; may lie before the month.
    pub from: i64,
    /// Seconds UTC since 1970; may lie after the month.
    pub until: i64,
    /// How many of its seconds count in this month; 0 if it is short.
    pub counted: i64,
}

/// Unknown time of the month, by its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Why nobody knows.
    pub code: Code,
    /// For how many seconds of the month.
    pub seconds: i64,
}

/// What a month came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Seconds of the month by the contract.
    pub denominator: i64,
    /// Counted downtime, in seconds; at most the denominator.
    pub down: i64,
    /// Downtime in outages of 120 s or less, which does not count.
    pub short: i64,
    /// Unknown time that has passed, by reason, the longest first.
    pub unknown: Vec<Unknown>,
    /// Every outage that touches the month, in order.
    pub outages: Vec<Outage>,
    /// The credit.
    pub tier: Tier,
    /// The credit if all unknown time had been down.
    pub tier_if_unknown_down: Tier,
}

impl Verdict {
    /// Seconds of uptime: the numerator of the promise.
    pub const fn up(&self) -> i64 {
        self.denominator - self.down
    }

    /// All unknown seconds.
    pub fn unknown_seconds(&self) -> i64 {
        self.unknown.iter().map(|unknown| unknown.seconds).sum()
    }

    /// More than 5 % of the month is unknown, and the statement has to say so.
    pub fn is_incomplete(&self) -> bool {
        20 * self.unknown_seconds() > self.denominator
    }

    /// Uptime in percent with four decimals, cut and not rounded: `99.4999`.
    pub fn percent(&self) -> String {
        percent(self.up(), self.denominator)
    }
}

/// The verdict on `month` by `spans`, where the tiers of `terms` are agreed.
///
/// Give the spans of at least a day on either side of the month too: an outage that straddles its
/// border is tested whole. Time that no span covers, such as the rest of a month that is still
/// running, is neither down nor unknown.
pub fn evaluate(month: Month, spans: &[Span], terms: &Terms) -> Verdict {
    let whole = month.span();
    let time = |span: &Span| Interval::new(span.from, span.until);
    let down = spans.iter().filter(|span| span.code.is_down()).filter_map(time);
    let unknown: Vec<&Span> = spans.iter().filter(|span| span.code.is_unknown()).collect();

    let mut by_reason: Vec<Unknown> = Vec::new();
    for Span { from, until, code } in unknown.iter().copied().copied() {
        let seconds = (until.min(whole.end) - from.max(whole.start)).max(0);
        match by_reason.iter_mut().find(|it| it.code == code) {
            Some(it) => it.seconds += seconds,
            None => by_reason.push(Unknown { code, seconds }),
        }
    }
    by_reason.retain(|it| it.seconds > 0);
    by_reason.sort_by_key(|it| std::cmp::Reverse(it.seconds));

    let settled = settle(&Case {
        outages: joined(down).into_iter().map(|time| Down { id: String::new(), time }).collect(),
        unknown: unknown.into_iter().filter_map(time).collect(),
        terms: terms.clone(),
        ..Case::new(Period::whole(month), Ore::default())
    });
    Verdict {
        denominator: settled.denominator,
        down: settled.totals.counted.min(settled.denominator),
        short: settled.totals.short,
        unknown: by_reason,
        outages: settled
            .outages
            .iter()
            .map(|outage| Outage {
                from: outage.time.from(),
                until: outage.time.until(),
                counted: outage.counted,
            })
            .collect(),
        tier: settled.tier,
        tier_if_unknown_down: settled.unknown_as_down.tier,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use chrono_tz::Europe::Oslo;

    use super::*;
    use crate::{Limit, Tiers};

    fn evaluate(month: Month, spans: &[Span]) -> Verdict {
        super::evaluate(month, spans, &Terms::default())
    }

    #[test]
    fn a_contract_may_have_tiers_of_its_own() {
        let limits = vec![Limit { below: 9_990, credit: 5 }, Limit { below: 9_950, credit: 20 }];
        let terms = Terms { tiers: Tiers::new(limits).unwrap(), ..Terms::default() };
        let month = Month::new(2026, 1, Oslo).unwrap();
        let tier = |counted| {
            let spans = [down(month.span().start, counted)];
            super::evaluate(month, &spans, &terms).tier.percent()
        };
        let allowed = terms.tiers.limits().iter().map(|it| it.allows(month.denominator()));
        assert_eq!(allowed.collect::<Vec<_>>(), [2_678, 13_392]);
        assert_eq!((tier(2_678), tier(2_679), tier(13_392), tier(13_393)), (0, 5, 5, 20));
    }

    fn second(local: &str) -> i64 {
        local.parse::<DateTime<chrono::FixedOffset>>().unwrap().timestamp()
    }

    fn down(from: i64, length: i64) -> Span {
        Span { from, until: from + length, code: Code::DownProven }
    }

    /// One outage of `length` seconds in the middle of the month.
    #[track_caller]
    fn check(year: i32, month: u32, length: i64, expected: &str) {
        let month = Month::new(year, month, Oslo).unwrap();
        let verdict = evaluate(month, &[down(month.span().start + 3_600, length)]);
        assert_eq!(format!("{} % -> {} %", verdict.percent(), verdict.tier.percent()), expected);
    }

    #[test]
    fn a_second_decides_at_every_border() {
        check(2026, 1, 13_392, "99.5000 % -> 0 %");
        check(2026, 1, 13_393, "99.4999 % -> 10 %");
        check(2026, 2, 24_192, "99.0000 % -> 10 %");
        check(2026, 2, 24_193, "98.9999 % -> 25 %");
        check(2026, 4, 129_600, "95.0000 % -> 25 %");
        check(2026, 4, 129_601, "94.9999 % -> 50 %");
        check(2028, 2, 12_528, "99.5000 % -> 0 %");
        check(2028, 2, 12_529, "99.4999 % -> 10 %");
    }

    #[test]
    fn whole_minutes_of_counted_downtime() {
        for (year, month, kept, broken) in
            [(2026, 6, 216, 217), (2026, 7, 223, 224), (2026, 2, 201, 202), (2028, 2, 208, 209)]
        {
            let tier = |minutes: i64| {
                let month = Month::new(year, month, Oslo).unwrap();
                evaluate(month, &[down(month.span().start, 60 * minutes)]).tier
            };
            assert_eq!(
                (tier(kept), tier(broken)),
                (Tier::NONE, Tier::new(10).unwrap()),
                "{year}-{month}"
            );
        }
    }

    #[test]
    fn the_contracts_month_is_not_the_clocks() {
        let march = Month::new(2026, 3, Oslo).unwrap();
        assert_eq!(march.span().end - march.span().start, 60 * 44_580, "an hour is missing");
        assert_eq!(march.denominator(), 60 * 44_640);
        check(2026, 3, 13_380, "99.5004 % -> 0 %");
        check(2026, 10, 13_400, "99.4997 % -> 10 %");

        let all_of_march = evaluate(march, &[down(march.span().start, 60 * 44_580)]);
        assert_eq!(all_of_march.percent(), "0.1344");
    }

    #[test]
    fn two_minutes_are_forgiven_and_a_second_more_is_not() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let spans = [
            down(start, 120),
            down(start + 1_000, 121),
            // These two touch, and are one outage of 180 s.
            down(start + 2_000, 120),
            Span { code: Code::DownSingle, ..down(start + 2_120, 60) },
        ];
        let verdict = evaluate(month, &spans);
        assert_eq!((verdict.down, verdict.short), (301, 120));
        assert_eq!(verdict.outages.len(), 3);
    }

    #[test]
    fn an_outage_over_two_months_is_tested_whole() {
        let spans = [down(second("2026-01-31T23:59:00+01:00"), 121)];
        let counted = |month| evaluate(Month::new(2026, month, Oslo).unwrap(), &spans).down;
        assert_eq!((counted(1), counted(2), counted(3)), (60, 61, 0));
    }

    #[test]
    fn unknown_time_counts_as_up_and_is_not_hidden() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let unknown = Span { from: start + 13_000, until: start + 13_600, code: Code::Gap };
        let verdict = evaluate(month, &[down(start, 13_000), unknown]);
        assert_eq!(verdict.tier, Tier::NONE);
        assert_eq!(verdict.tier_if_unknown_down, Tier::new(10).unwrap());
        assert_eq!(verdict.unknown, [Unknown { code: Code::Gap, seconds: 600 }]);
        assert!(!verdict.is_incomplete());
    }

    #[test]
    fn a_month_with_too_much_unknown_says_so() {
        let month = Month::new(2026, 1, Oslo).unwrap();
        let start = month.span().start;
        let gap = |seconds| Span { from: start, until: start + seconds, code: Code::Link };
        assert!(!evaluate(month, &[gap(133_920)]).is_incomplete());
        assert!(evaluate(month, &[gap(133_921)]).is_incomplete());
    }
}
