//! The attempts of an hour in few bytes, and each of them again.
//!
//! A gateway asks every 20 s, and almost always all is well: then an hour is one run of a hundred
//! and eighty attempts that differ in nothing but their time. A run says how far apart they are.
//!
//! ```text
//! run = [how many, seconds since the one before, shift, outcome, status, asked, answered, flags]
//! ```
//!
//! `shift` is by how much the boot seems to have begun later than it did at the attempt before, so
//! 0 while the wall clock is steady; `null` if the attempt has no age. Before the first attempt
//! stand second 0 and a boot that began then.

use crate::canon::{Canon, Pen, Reader, record};
use crate::{Attempt, Outcome, References};

/// Attempts in the order in which they were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    runs: Vec<Run>,
}

/// Attempts that differ in nothing but their time, which is equally far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    count: u32,
    step: i64,
    shift: Option<i64>,
    outcome: u8,
    status: u16,
    asked: u8,
    answered: u8,
    flags: u8,
}

record!(Run { count, step, shift, outcome, status, asked, answered, flags });

impl Tried {
    /// Those of `attempts`, in their order.
    pub fn new(attempts: impl IntoIterator<Item = Attempt>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let (mut last, mut boot) = (0, 0);
        for attempt in attempts {
            let (outcome, status) = attempt.outcome.code();
            let began = attempt.age.map(|age| attempt.at.saturating_sub(age.into()));
            let next = Run {
                count: 1,
                step: attempt.at.saturating_sub(last),
                shift: began.map(|began| began.saturating_sub(boot)),
                outcome,
                status,
                asked: attempt.references.asked,
                answered: attempt.references.answered,
                flags: attempt.flags(),
            };
            (last, boot) = (attempt.at, began.unwrap_or(boot));
            match runs.last_mut() {
                Some(run) if Run { count: 1, ..*run } == next && run.count < u32::MAX => {
                    run.count += 1;
                }
                _ => runs.push(next),
            }
        }
        Self { runs }
    }

    /// Each of them.
    pub fn attempts(&self) -> impl Iterator<Item = Attempt> {
        let each = self.runs.iter().flat_map(|run| (0..run.count).map(move |_| run));
        each.scan((0_i64, 0_i64), |(last, boot), run| {
            *last = last.saturating_add(run.step);
            *boot = boot.saturating_add(run.shift.unwrap_or(0));
            let age = run.shift.and_then(|_| u32::try_from(last.saturating_sub(*boot)).ok());
            // What was read has an outcome.
            let outcome = Outcome::from_code(run.outcome, run.status)?;
            let flags = run.flags;
            Some(Attempt {
                at: *last,
                outcome,
                references: References {
                    asked: run.asked,
                    answered: run.answered,
                    link_down: flags & crate::bytes::LINK_DOWN != 0,
                },
                clock_trusted: flags & crate::bytes::CLOCK_TRUSTED != 0,
                age,
            })
        })
    }

    /// Whether there may be one in `time`.
    pub(crate) fn touches(&self, time: &std::ops::Range<i64>) -> bool {
        let mut last = 0_i64;
        self.runs.iter().any(|run| {
            let first = last.saturating_add(run.step);
            let more = run.step.saturating_mul(i64::from(run.count) - 1);
            last = first.saturating_add(more);
            first.min(last) < time.end && first.max(last) >= time.start
        })
    }

    /// How many they are.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.count)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Canon for Tried {
    fn write(&self, pen: &mut Pen) {
        self.runs.write(pen);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let tried = Self { runs: reader.get()? };
        // A run says in a few bytes what takes many; more than this no hour has.
        let bounded = tried.len() <= MOST_ATTEMPTS;
        (bounded && Self::new(tried.attempts()) == tried).then_some(tried)
    }
}

/// As many seconds as a day has.
const MOST_ATTEMPTS: u64 = 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canon::{from_bytes, to_bytes};
    use crate::{Failure, TlsFailure};

    fn attempt() -> impl Strategy<Value = Attempt> {
        let outcome = prop_oneof![
            4 => Just(Outcome::Success),
            1 => Just(Outcome::Failed(Failure::Tcp)),
            1 => Just(Outcome::Failed(Failure::Tls(TlsFailure::OwnFault))),
            1 => (100_u16..600).prop_map(|status| Outcome::Failed(Failure::Status(status))),
        ];
        let age = prop::option::weighted(0.9, 0_u32..5_000);
        let at = prop_oneof![4 => 0_i64..50, 1 => 0_i64..2_000_000_000];
        (at, outcome, 0_u8..4, any::<bool>(), age).prop_map(|(at, outcome, asked, flag, age)| {
            let references = References { asked, answered: asked / 2, link_down: flag };
            Attempt { at, outcome, references, clock_trusted: !flag, age }
        })
    }

    #[test]
    fn an_hour_that_is_well_takes_a_handful_of_bytes() {
        let well = |place: u32| Attempt {
            at: 1_795_269_600 + 20 * i64::from(place),
            outcome: Outcome::Success,
            references: References::default(),
            clock_trusted: true,
            age: Some(86_400 + 20 * place),
        };
        let hour = Tried::new((0..180).map(well));
        assert_eq!((hour.runs.len(), hour.len()), (2, 180));
        assert!(to_bytes(&hour).len() < 40, "{}", to_bytes(&hour).len());
    }

    proptest! {
        #[test]
        fn each_attempt_comes_back(attempts in prop::collection::vec(attempt(), 0..60)) {
            let tried = Tried::new(attempts.clone());
            prop_assert_eq!(tried.attempts().collect::<Vec<_>>(), attempts);
            prop_assert_eq!(from_bytes::<Tried>(&to_bytes(&tried)), Some(tried));
        }
    }
}
