//! How long to wait before the next try.
//!
//! Twice as long after each failure, from a second to a quarter of an hour, and by chance anything
//! between nothing and that (full jitter): gateways that lost the portfolio at the same moment do
//! not come back at the same moment.

use std::time::Duration;

/// Counts failures, and tells how long to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After the first failure, at most.
    pub const FIRST: Duration = Duration::from_secs(1);

    /// After any number of failures, at most.
    pub const MOST: Duration = Duration::from_mins(15);

    /// One more failure: how long to wait, where `random` lies between 0 and 1, both included.
    ///
    /// `at_least` is what the portfolio asked for; more than an hour of it is not believed.
    pub fn failed(&mut self, random: f64, at_least: Option<Duration>) -> Duration {
        let ceiling =
            Self::FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(20);
        let asked = at_least.unwrap_or_default().min(Duration::from_hours(1));
        asked + ceiling.min(Self::MOST).mul_f64(random.clamp(0.0, 1.0))
    }

    /// It worked: the next failure is the first again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_a_quarter_of_an_hour() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..13).map(|_| backoff.failed(1.0, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        backoff.worked();
        assert_eq!(backoff.failed(1.0, None), Duration::from_secs(1));
    }

    #[test]
    fn chance_takes_anything_below_it() {
        let mut backoff = Backoff { failures: 4 };
        assert_eq!(backoff.failed(0.0, None), Duration::ZERO);
        assert_eq!(backoff.failed(0.5, None), Duration::from_secs(16));
    }

    #[test]
    fn what_the_portfolio_asks_for_is_waited_and_then_chance() {
        let mut backoff = Backoff::default();
        let asked = Some(Duration::from_secs(10));
        assert_eq!(backoff.failed(0.0, asked), Duration::from_secs(10));
        assert_eq!(backoff.failed(1.0, asked), Duration::from_secs(12));
        let absurd = Some(Duration::from_hours(10_000));
        assert_eq!(backoff.failed(0.0, absurd), Duration::from_hours(1));
    }

    #[test]
    fn any_number_of_failures_has_a_wait() {
        let mut backoff = Backoff::default();
        for _ in 0..1_000 {
            assert!(backoff.failed(1.0, None) <= Backoff::MOST);
        }
    }
}
