//! The real clock: the one place that asks what time it is.

use std::fs;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use metering::{Clock, Moment, Trust};
use nix::time::{ClockId, clock_gettime};

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    boot_id: u128,
}

impl SystemClock {
    /// A look at which boot this is.
    pub fn new() -> Self {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        // Where there is no such file every start counts as a boot of its own.
        let boot_id = u128::from_str_radix(&digits, 16).unwrap_or_else(|_| rand::random());
        Self { boot_id }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// A server's clock is kept by its operating system, so it is taken for right.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
    fn now(&self) -> Moment {
        let wall = DateTime::<Utc>::from(SystemTime::now());
        let boottime =
            clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Moment { wall, boottime, boot_id: self.boot_id, trust: Trust::Synced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_and_the_boot_stays() {
        let clock = SystemClock::new();
        let (earlier, later) = (clock.now(), clock.now());
        assert!(later.boottime >= earlier.boottime);
        assert!(later.boottime > Duration::ZERO);
        assert_eq!(later.boot_id, SystemClock::new().now().boot_id);
    }
}
