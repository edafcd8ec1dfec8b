//! A month minute by minute, to be shown and compared: never to be counted.
//!
//! ```text
//! minute (UTC)      down_s   unknown_s   excluded_s
//! 10:00                 30           0            0      of an outage 10:00:30 to 10:03:30
//! 10:01                 60           0            0
//! ```
//!
//! **Never true:** that a figure of money is taken from here. What counts is in seconds, and whether
//! an outage was short is a question to the whole of it.

use crate::Interval;
use crate::case::Case;
use crate::interval::{cut, first_ending_after, joined, minus};
use crate::settlement::{Settlement, excluding};

/// A minute of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it begins, in seconds UTC since 1970: the clock's minute.
    pub at: i64,
    /// Seconds of proven downtime, whatever counts of it.
    pub down: i64,
    /// Seconds without proof either way.
    pub unknown: i64,
    /// Of the downtime the seconds that exclusions take out.
    pub excluded: i64,
}

/// Every minute of the case's period, in order.
pub fn minutes(case: &Case, settled: &Settlement) -> Vec<Minute> {
    let period = case.period.time();
    let part = |time: Interval| time.and(period);
    let down: Vec<Interval> =
        settled.outages.iter().filter_map(|outage| part(outage.time)).collect();
    let down = joined(down);
    let unknown = minus(&cut(&joined(case.unknown.iter().copied()), period), &down);
    let acting = excluding(case);
    let taken = settled.outages.iter().filter(|outage| outage.excluded > 0);
    let taken = taken.filter_map(|outage| part(outage.time));
    let excluded = joined(taken.flat_map(|outage| cut(&acting, outage)));

    let first = period.from().div_euclid(MINUTE_S) * MINUTE_S;
    let starts = std::iter::successors(Some(first), |at| Some(at + MINUTE_S));
    starts
        .take_while(|at| *at < period.until())
        .map(|at| Minute {
            at,
            down: within(&down, at),
            unknown: within(&unknown, at),
            excluded: within(&excluded, at),
        })
        .collect()
}

/// The seconds that `all`, which is joined, has of the minute at `at`.
fn within(all: &[Interval], at: i64) -> i64 {
    let Some(minute) = Interval::new(at, at + MINUTE_S) else { return 0 };
    let coming = all.iter().skip(first_ending_after(all, at));
    coming.map_while(|it| it.and(minute)).map(Interval::seconds).sum()
}

const MINUTE_S: i64 = 60;
