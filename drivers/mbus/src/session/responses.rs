//! How long a meter takes before it answers, and how long it is waited for because of that.
//!
//! ```text
//! bucket    0      1        2      3        4      …    31
//! up to     1 ms   1.41 ms  2 ms   2.83 ms  4 ms        46 s
//! ```
//!
//! The standard's time is what any meter may take, and too short for some that are sold all the
//! same. So each meter is waited for as long as it has shown to need. **Never true:** one is waited
//! for less than the standard allows it, however quick it has been: a request that is said again
//! too soon meets the answer to the first, and spoils it. That a meter is gone costs more time so,
//! and less than an answer that is lost.

use core::time::Duration;

/// How long one meter took before it answered, lately.
///
/// It remembers between 120 and 240 answers, half of them being forgotten whenever there are 240.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responses {
    counts: [u8; Self::BUCKETS],
    /// Readouts in vain, one after the other.
    silent: u8,
}

/// How long one meter is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After each saying but the last.
    pub usual: Duration,
    /// After the last one.
    pub at_last: Duration,
}

impl Patience {
    /// The same after each saying.
    pub const fn fixed(answer_within: Duration) -> Self {
        Self { usual: answer_within, at_last: answer_within }
    }
}

impl Responses {
    /// Of a meter that was never asked.
    pub const NONE: Self = Self { counts: [0; Self::BUCKETS], silent: 0 };

    /// How many steps are told apart.
    pub const BUCKETS: usize = 32;

    /// The longest time that is counted in bucket `index`: two buckets double it.
    pub const fn bound(index: usize) -> Duration {
        let micros = if index.is_multiple_of(2) { 1_000 } else { 1_414 };
        let doubled = if index / 2 < 20 { index / 2 } else { 20 };
        Duration::from_micros(micros << doubled)
    }

    /// How many answers fell into each bucket.
    pub const fn counts(&self) -> &[u8; Self::BUCKETS] {
        &self.counts
    }

    /// How many answers it remembers.
    pub fn answers(&self) -> u16 {
        self.counts.iter().map(|count| u16::from(*count)).sum()
    }

    /// How many readouts in a row were in vain; from 256 on it counts from 128 again.
    pub const fn silent_in_a_row(&self) -> u8 {
        self.silent
    }

    /// It took `time` to answer.
    pub fn answered(&mut self, time: Duration) {
        let index = (0..Self::BUCKETS - 1).find(|index| time <= Self::bound(*index));
        if let Some(count) = self.counts.get_mut(index.unwrap_or(Self::BUCKETS - 1)) {
            *count = count.saturating_add(1);
        }
        if self.answers() >= MOST_REMEMBERED {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
        self.silent = 0;
    }

    /// A whole readout was in vain.
    pub const fn was_silent(&mut self) {
        self.silent = match self.silent {
            // So that even a meter that was gone for long is now and then waited for patiently.
            u8::MAX => 1 << 7,
            silent => silent + 1,
        };
    }

    /// Takes over what `other` has seen.
    pub fn add(&mut self, other: &Self) {
        for (index, count) in other.counts.iter().enumerate() {
            for _ in 0..*count {
                self.answered(Self::bound(index));
            }
        }
    }

    /// The time within which 99 of 100 answers came, rounded up to the bucket; of fewer than a
    /// hundred answers all of them. `None` before the first.
    pub fn p99(&self) -> Option<Duration> {
        let beyond = self.answers() / 100;
        let mut seen = 0;
        let slowest = self.counts.iter().enumerate().rev().find(|(_, count)| {
            seen += u16::from(**count);
            seen > beyond
        });
        slowest.map(|(index, _)| Self::bound(index))
    }

    /// How long the meter is waited for, where any meter is waited for `standard`.
    ///
    /// Twice the time within which 99 of 100 answers came, if that is longer. A meter that was
    /// silent for one, two, four … 128 readouts, and then for every 128, is once waited for
    /// `PATIENCE` at the last saying: so one that is slower than the standard allows is found, and
    /// one that is gone costs little. None is waited for longer than twice that unless `standard`
    /// is longer: what took longer was this machine, which stood still, or the network.
    pub(super) fn patience(&self, standard: Duration) -> Patience {
        let shown = self.p99().map_or(Duration::ZERO, |p99| 2 * p99);
        let usual = shown.min(2 * PATIENCE).max(standard);
        let tried = self.silent.is_power_of_two();
        Patience { usual, at_last: if tried { usual.max(PATIENCE) } else { usual } }
    }
}

/// A bucket that holds them all is a byte.
const MOST_REMEMBERED: u16 = 240;

/// Meters have been seen that took 1.1 s at 2400 baud.
const PATIENCE: Duration = Duration::from_millis(2_500);

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Duration = Duration::from_micros(187_500);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn buckets_grow_by_the_root_of_two() {
        let bounds = [0, 1, 2, 3, 31].map(|index| Responses::bound(index).as_micros());
        assert_eq!(bounds, [1_000, 1_414, 2_000, 2_828, 46_333_952]);
    }

    #[test]
    fn one_answer_of_a_hundred_does_not_count() {
        let mut responses = Responses::NONE;
        assert_eq!(responses.p99(), None);
        for _ in 0..98 {
            responses.answered(ms(4));
        }
        responses.answered(ms(900));
        assert_eq!(responses.p99(), Some(ms(1_024)));
        responses.answered(ms(4));
        assert_eq!(responses.p99(), Some(ms(4)));
    }

    #[test]
    fn it_forgets_half_now_and_then() {
        let mut responses = Responses::NONE;
        for _ in 0..300 {
            responses.answered(ms(100));
        }
        assert_eq!(responses.answers(), 120 + 300 - 240);
        for _ in 0..5 * 240 {
            responses.answered(ms(10));
        }
        assert!(responses.p99().unwrap() < ms(12), "a meter that became quick");
    }

    #[test]
    fn no_meter_is_so_quick_that_it_is_waited_for_less_than_the_standard_says() {
        let mut responses = Responses::NONE;
        for _ in 0..1_000 {
            assert_eq!(responses.patience(STANDARD), Patience::fixed(STANDARD));
            responses.answered(ms(5));
        }
    }

    #[test]
    fn a_slow_meter_is_waited_for_at_once() {
        let mut responses = Responses::NONE;
        responses.answered(ms(1_100));
        let within = responses.patience(STANDARD);
        assert_eq!(within, Patience::fixed(2 * Responses::bound(21)));
        assert!(within.usual >= ms(2_200));
    }

    #[test]
    fn a_silent_meter_is_waited_for_patiently_now_and_then() {
        let mut responses = Responses::NONE;
        let mut patient = Vec::new();
        for readout in 0..600 {
            if responses.patience(STANDARD).at_last > STANDARD {
                patient.push(readout);
            }
            responses.was_silent();
        }
        assert_eq!(patient, [1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512]);
    }

    #[test]
    fn a_machine_that_stood_still_makes_no_meter_slow() {
        let mut responses = Responses::NONE;
        responses.answered(Duration::from_secs(40));
        assert_eq!(responses.patience(STANDARD), Patience::fixed(2 * PATIENCE));
        let configured = Duration::from_secs(9);
        assert_eq!(responses.patience(configured), Patience::fixed(configured));
    }
}
