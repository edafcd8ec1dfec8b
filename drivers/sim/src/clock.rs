//! The real clock of this binary, and one that runs faster.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use metering::{Clock, Moment, Trust};
use nix::time::{ClockId, clock_gettime};

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    boot_id: u128,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0);
        Self { boot_id }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let read = |id| clock_gettime(id).map(Duration::from).unwrap_or_default();
        let wall = read(ClockId::CLOCK_REALTIME);
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::from_std(wall).unwrap_or_default(),
            boottime: read(ClockId::CLOCK_BOOTTIME),
            boot_id: self.boot_id,
            // A simulation believes its machine.
            trust: Trust::Synced,
        }
    }
}

/// A wall clock that leaves the present at `speed` times the speed of life.
#[derive(Debug)]
pub(crate) struct FastClock {
    pub(crate) real: SystemClock,
    pub(crate) began: Moment,
    pub(crate) speed: u32,
}

impl Clock for FastClock {
    fn now(&self) -> Moment {
        let now = self.real.now();
        let passed = now.boottime.saturating_sub(self.began.boottime).saturating_mul(self.speed);
        let wall = TimeDelta::from_std(passed)
            .ok()
            .and_then(|passed| self.began.wall.checked_add_signed(passed));
        Moment { wall: wall.unwrap_or(now.wall), ..now }
    }
}
