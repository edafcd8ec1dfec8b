//! The other channel: whether the portfolio takes new readings, while its reports go on.
//!
//! ```text
//! messages   taken   refused   refused             refused   taken
//!                    ├───────────────────────────────────────┤ new data was refused
//! ```
//!
//! No question is asked for it: what is sent anyway is either taken or not. Only an answer of the
//! service itself that it cannot (HTTP 5xx) is a refusal; what is wrong on the way there the report probe
//! finds out. Whether refused data counts against the promise is for the contract to say
//! ([`IngestOutage`](crate::entry::IngestOutage)); it is on the statement either way.
//!
//! **Never true:** that time is called refused of which nobody knows: after a refusal that nothing
//! follows in time it is so for a minute only, and not beyond a clock that was set.

use std::ops::Range;

use crate::account::leaps;
use crate::interval::joined;
use crate::{Attempt, Failure, Interval, Outcome};

/// When new data was refused, within `time`. `attempts` are in order of their start.
pub(crate) fn refused(attempts: &[Attempt], time: &Range<i64>) -> Vec<Interval> {
    let spans =
        attempts.iter().enumerate().filter(|(_, it)| is_refusal(it)).filter_map(|(place, it)| {
            let alone = it.at.saturating_add(ALONE_S);
            let until = match attempts.get(place + 1) {
                Some(next) if leaps(it, next) => alone.min(next.at),
                Some(next) if next.at - it.at <= TOGETHER_S => next.at,
                _ => alone,
            };
            Interval::new(it.at.max(time.start), until.min(time.end))
        });
    joined(spans)
}

fn is_refusal(attempt: &Attempt) -> bool {
    attempt.clock_trusted
        && matches!(attempt.outcome, Outcome::Failed(Failure::Status(status)) if is_fault(status))
}

/// Whether a service that answers so says that the fault is its own.
pub const fn is_fault(status: u16) -> bool {
    500 <= status && status < 600
}

/// A refusal that nothing follows speaks for a minute, as an attempt of the probe on a wired line.
const ALONE_S: i64 = 60;

/// Whoever is refused tries again, at the latest after a quarter of an hour and what the answer takes.
const TOGETHER_S: i64 = 20 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::References;

    fn attempt(at: i64, status: u16) -> Attempt {
        let outcome = match status {
            200 => Outcome::Success,
            status => Outcome::Failed(Failure::Status(status)),
        };
        let references = References::default();
        Attempt { at, outcome, references, clock_trusted: true, age: u32::try_from(at).ok() }
    }

    #[track_caller]
    fn check(attempts: &[Attempt], expected: &[(i64, i64)]) {
        let found = refused(attempts, &(0..100_000));
        let found: Vec<_> = found.iter().map(|it| (it.from(), it.until())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn it_is_refused_from_the_first_refusal_until_something_is_taken() {
        let sent = [attempt(10, 200), attempt(70, 503), attempt(72, 500), attempt(900, 200)];
        check(&sent, &[(70, 900)]);
        check(&[attempt(70, 503), attempt(100, 429), attempt(160, 200)], &[(70, 100)]);
    }

    #[test]
    fn a_refusal_that_nothing_follows_speaks_for_a_minute() {
        check(&[attempt(70, 503)], &[(70, 130)]);
        check(&[attempt(70, 503), attempt(5_000, 503)], &[(70, 130), (5_000, 5_060)]);
        check(&[attempt(99_990, 503)], &[(99_990, 100_000)]);
    }

    #[test]
    fn a_clock_that_is_set_or_not_trusted_proves_nothing() {
        let set = Attempt { age: Some(80), ..attempt(700, 503) };
        check(&[attempt(70, 503), set], &[(70, 130), (700, 760)]);
        check(&[Attempt { clock_trusted: false, ..attempt(70, 503) }], &[]);
    }
}
