//! The real [`Clock`]: the one place of the daemon that asks the system what time it is.
//!
//! ```text
//! CLOCK_REALTIME ─▶ wall         may be set, in either direction, at any time
//! CLOCK_BOOTTIME ─▶ boottime     never set, counts on through suspend
//! boot_id        ─▶ boot_id      which boot that is
//! chrony, timesyncd, floor ─▶ trust
//! ```
//!
//! A look never blocks: [`TrustWatch`] asks whoever keeps the clock, every half minute, and
//! leaves the answer where [`now`](Clock::now) finds it.
//!
//! **Never true:** that a clock is trusted because it looks plausible. Where nobody can be asked
//! it is not, unless the configuration says that the host of the machine answers for it.

mod chrony;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{Clock, Moment, Trust};
use nix::time::{ClockId, clock_gettime};
use tokio::time;

use crate::config::machine::ClockSource;
use crate::restart::Task;

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: u128,
    trust: AtomicU8,
    /// No later than now, in milliseconds since 1970: the newest time that was ever saved.
    floor_ms: AtomicI64,
}

impl SystemClock {
    /// A clock that is not trusted yet.
    pub fn new() -> Self {
        Self {
            boot_id: boot_id(),
            trust: AtomicU8::new(Trust::Untrusted.code()),
            floor_ms: AtomicI64::new(i64::MAX),
        }
    }

    /// What is known of the time without any clock: it is later than `floor_ms`, the newest time
    /// that was saved.
    ///
    /// And later than this program is old. A wall clock at the floor or past it is worth more than one that
    /// stands before it, if something of the machine went on counting while it was off. Where nothing did,
    /// the clock stands at the floor because somebody has put it there.
    pub fn set_floor(&self, floor_ms: i64) {
        let floor_ms = floor_ms.max(WRITTEN_MS);
        self.floor_ms.store(floor_ms, Ordering::Relaxed);
        if self.trust() == Trust::Untrusted
            && counts_while_off()
            && self.now().wall_ms() >= floor_ms
        {
            self.set_trust(Trust::Floor);
        }
    }

    /// Asks once whoever keeps the clock.
    pub(crate) async fn ask(&self, source: ClockSource) {
        let told = match source {
            ClockSource::Host => Some(true),
            ClockSource::Ask => synchronised().await,
        };
        let before = self.trust();
        let after = next_trust(before, told);
        if after != before {
            tracing::info!(?before, ?after, "trust in the clock changed");
            self.set_trust(after);
        }
    }

    fn trust(&self) -> Trust {
        Trust::from_code(self.trust.load(Ordering::Relaxed)).unwrap_or(Trust::Untrusted)
    }

    fn set_trust(&self, trust: Trust) {
        self.trust.store(trust.code(), Ordering::Relaxed);
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let boottime = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Into::into);
        #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
        let wall: DateTime<Utc> = Utc::now();
        Moment { wall, boottime, boot_id: self.boot_id, trust: self.trust() }
    }
}

/// Which boot this is, as the kernel numbers them.
///
/// A kernel that does not tell, which no Linux of the last twenty years is, makes every boot the
/// same one.
fn boot_id() -> u128 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    uuid::Uuid::try_parse(text.trim()).map_or(0, |id| id.as_u128())
}

/// When this program was written: 2026-11-01. No gateway has run it before.
pub(crate) const WRITTEN_MS: i64 = 1_793_491_200_000;

/// Whether the machine has a clock with a battery. A PC does, and so does what imitates one.
fn counts_while_off() -> bool {
    cfg!(target_arch = "x86_64")
        || fs::read_dir("/sys/class/rtc").is_ok_and(|mut clocks| clocks.next().is_some())
}

/// Keeps the trust in the clock up to date.
#[derive(Debug)]
pub(crate) struct TrustWatch {
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) source: ClockSource,
}

impl Task for TrustWatch {
    fn name(&self) -> String {
        "clock".to_owned()
    }

    async fn live(&mut self) {
        let mut every = time::interval(ASK_EVERY);
        loop {
            every.tick().await;
            self.clock.ask(self.source).await;
        }
    }
}

/// Longer than chrony needs to notice that its servers are gone, and short enough that a first
/// synchronisation is seen while the installer is still there.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// What to think of the clock, after what was thought `before` and what its keeper `told`:
/// `None` if there is no keeper.
const fn next_trust(before: Trust, told: Option<bool>) -> Trust {
    match (before, told) {
        (_, Some(true)) => Trust::Synced,
        // It was right, and now drifts: 50 ppm are 4 s a day.
        (Trust::Synced | Trust::Holdover, _) => Trust::Holdover,
        (before, _) => before,
    }
}

/// Whether the machine's clock follows a server; `None` if nobody can be asked.
async fn synchronised() -> Option<bool> {
    if let Some(told) = chrony::synchronised().await {
        return Some(told);
    }
    // systemd-timesyncd touches this file when it has set the clock from a server.
    let timesyncd = Path::new("/run/systemd/timesync");
    timesyncd.is_dir().then(|| timesyncd.join("synchronized").exists())
}

#[cfg(test)]
pub(crate) mod testing {
    //! A clock for tests: it follows the runtime's, so a test that pauses the one pauses the
    //! other.

    use chrono::{DateTime, TimeDelta, Utc};
    use metering::{Clock, Moment, Trust};
    use tokio::time::Instant;

    /// Shows `epoch` when it is made, and from then on what the runtime's clock adds to it.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct TestClock {
        epoch: DateTime<Utc>,
        epoch_instant: Instant,
    }

    impl TestClock {
        /// A clock that shows `epoch` now.
        pub(crate) fn started_at(epoch: &str) -> Self {
            Self { epoch: epoch.parse().unwrap(), epoch_instant: Instant::now() }
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Moment {
            let boottime = self.epoch_instant.elapsed();
            let wall = self.epoch + TimeDelta::from_std(boottime).unwrap_or(TimeDelta::MAX);
            Moment { wall, boottime, boot_id: 1, trust: Trust::Synced }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_shows_both_clocks_and_the_boot() {
        let clock = SystemClock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.boottime > Duration::ZERO && first.boottime <= second.boottime);
        assert!(first.boot_id != 0 && first.boot_id == second.boot_id);
        assert_eq!(first.trust, Trust::Untrusted);
    }

    #[test]
    fn a_clock_before_the_floor_is_not_trusted() {
        let clock = SystemClock::new();
        clock.set_floor(clock.now().wall_ms() + 3_600_000);
        assert_eq!(clock.now().trust, Trust::Untrusted);
        clock.set_floor(clock.now().wall_ms() - 1);
        assert_eq!(clock.now().trust, Trust::Floor);
    }

    #[test]
    fn a_clock_that_lost_its_server_is_held_over() {
        assert_eq!(next_trust(Trust::Floor, Some(true)), Trust::Synced);
        assert_eq!(next_trust(Trust::Synced, Some(false)), Trust::Holdover);
        assert_eq!(next_trust(Trust::Holdover, None), Trust::Holdover);
        assert_eq!(next_trust(Trust::Untrusted, Some(false)), Trust::Untrusted);
        assert_eq!(next_trust(Trust::Floor, None), Trust::Floor);
    }
}
