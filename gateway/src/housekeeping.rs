//! What has to be done now and then: the time is saved, readings are packed, old ones go, files are
//! checked, the disk is looked at, leaps of the clock are written down.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use ed25519_dalek::{Signer as _, SigningKey};
use metering::{Clock, Moment, Trust};
use store::{Core, Retention, Sign, Writer};
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};
use web_ui::Chronicle;

use crate::board::Board;
use crate::cloud::KnownAs;
use crate::config::Keep;
use crate::restart::Task;

/// What it looks after.
#[derive(Clone, Debug)]
pub(crate) struct Housekeeping {
    pub(crate) state: PathBuf,
    pub(crate) core: Core,
    pub(crate) writer: Writer,
    pub(crate) board: Board,
    pub(crate) clock: Arc<dyn Clock>,
    /// While the gateway is enrolled, readings are kept until the cloud has them.
    pub(crate) cloud: watch::Receiver<KnownAs>,
    /// How long what was read is kept.
    pub(crate) keep: Keep,
    /// Signs the hashes of readings, and of the history.
    pub(crate) sign: Signer,
}

/// The device's key, which is never shown.
#[derive(Clone)]
pub(crate) struct Signer(Arc<Sign>);

impl Signer {
    pub(crate) fn of(key: SigningKey) -> Self {
        Self(Arc::new(move |hash| key.sign(hash).to_bytes()))
    }

    pub(crate) fn get(&self) -> Arc<Sign> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Task for Housekeeping {
    fn name(&self) -> String {
        "housekeeping".to_owned()
    }

    async fn live(&mut self) {
        self.run().await;
    }
}

impl Housekeeping {
    async fn run(&self) {
        let mut every = time::interval(Duration::from_secs(10));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.clock.now();
        for tick in 0_u64.. {
            every.tick().await;
            let now = self.clock.now();
            self.leap(before, now).await;
            before = now;
            self.board.change(|status| status.trust = now.trust);
            self.disk().await;
            self.stamp().await;
            self.tell_damage(now).await;
            if tick % HISTORY == 0 {
                self.sign_history().await;
            }
            // Not at the first tick: a start has better things to do.
            if tick % FLOOR == 1 {
                self.save_floor(now).await;
            }
            if tick % SCRUB == SCRUB - 1 {
                self.scrub().await;
            }
            // Before they are packed: those of the spool are read in one go.
            if tick % SEAL == SEAL - 1 {
                self.seal().await;
            }
            if tick % PACK == PACK - 1 {
                self.pack().await;
            }
            if tick % PRUNE == PRUNE - 1 {
                self.prune().await;
            }
        }
    }

    /// Writes down when the wall clock went another way than time did.
    async fn leap(&self, before: Moment, now: Moment) {
        let wall = now.wall_ms() - before.wall_ms();
        let real = now.boottime.saturating_sub(before.boottime).as_millis();
        let leap = i64::try_from(real).map_or(0, |real| wall - real);
        if leap.abs() <= LEAP_MS {
            return;
        }
        tracing::warn!(leap_ms = leap, "the clock was set");
        let detail = format!("{leap} ms, from {} on", before.wall);
        if let Err(error) = self.core.audit("clock".into(), "set".into(), detail).await {
            failed("the leap of the clock is not written down", &error);
        }
    }

    async fn disk(&self) {
        let state = self.state.clone();
        let space = tokio::task::spawn_blocking(move || nix::sys::statvfs::statvfs(&state)).await;
        let Ok(Ok(space)) = space else { return };
        let bytes = |blocks: u64| blocks.saturating_mul(space.fragment_size());
        self.board.change(|status| {
            status.store.disk_free = bytes(space.blocks_available());
            status.store.disk_size = bytes(space.blocks());
        });
    }

    /// What came while nobody knew what time it was is stored once that is known.
    async fn stamp(&self) {
        match self.writer.stamp().await {
            Ok(waiting) => self.board.change(|status| status.store.waiting = waiting),
            Err(error) => failed("what waits for the time is not stored", &error),
        }
    }

    async fn save_floor(&self, now: Moment) {
        if now.trust == Trust::Untrusted {
            return;
        }
        let saved = self.core.put_setting(FLOOR_SETTING, now.wall_ms().to_string()).await;
        if let Err(error) = saved {
            failed("the time is not saved", &error);
        }
    }

    async fn scrub(&self) {
        // What is found damaged the store itself says, where it is found.
        if let Err(error) = self.writer.scrub().await {
            failed("the files of the store are not checked", &error);
        }
    }

    /// What was damaged of late is on the pages.
    async fn tell_damage(&self, now: Moment) {
        match self.core.damages_since(now.wall_ms().saturating_sub(TOLD_MS)).await {
            Ok(damaged) => {
                let dated =
                    |(at_ms, sentence)| Some((DateTime::from_timestamp_millis(at_ms)?, sentence));
                let damaged: Vec<_> = damaged.into_iter().filter_map(dated).collect();
                self.board.change(|status| status.store.damaged = damaged);
            }
            Err(error) => failed("what is damaged is not known", &error),
        }
    }

    async fn pack(&self) {
        if let Err(error) = self.writer.pack().await {
            failed("readings are not packed", &error);
        }
    }

    async fn sign_history(&self) {
        if let Err(error) = self.writer.sign_history(self.sign.get()).await {
            failed("the newest entries of the audit log are not signed", &error);
        }
    }

    async fn seal(&self) {
        if let Err(error) = self.writer.seal(self.sign.get()).await {
            failed("readings are not sealed", &error);
        }
    }

    async fn prune(&self) {
        let cloud = self.cloud.borrow().is_some();
        let keep = self.keep;
        let retention = Retention {
            keep_days: keep.readings_days,
            cloud,
            quarter_hours_days: keep.quarter_hours_days,
            hours_days: keep.hours_days,
            days_days: keep.days_days,
            months_days: keep.months_days,
        };
        if let Err(error) = self.writer.prune(retention).await {
            failed("old readings are not thrown away", &error);
        }
    }
}

/// Has what happens written down.
pub(crate) struct Events(pub(crate) Chronicle);

impl Task for Events {
    fn name(&self) -> String {
        "events".to_owned()
    }

    async fn live(&mut self) {
        self.0.keep().await;
    }
}

/// Damage is told for thirty days: somebody may come once a month.
const TOLD_MS: i64 = 30 * 86_400_000;

fn failed(what: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "{what}");
}

/// The newest time that was saved: at the next start the clock is no earlier.
pub(crate) const FLOOR_SETTING: &str = "clock_floor_ms";

/// In ticks of 10 s: twice ten minutes, five minutes, and three times an hour.
const FLOOR: u64 = 60;
const HISTORY: u64 = 60;
const PACK: u64 = 30;
const SCRUB: u64 = 360;
const SEAL: u64 = 360;
const PRUNE: u64 = 360;

/// A step of the clock that is no correction of a good one any more.
const LEAP_MS: i64 = 2_000;
