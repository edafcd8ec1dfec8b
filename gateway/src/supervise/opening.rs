//! What a start opens of the state directory, before anything runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use drivers::pulse::Counts;
use metering::Clock as _;
use store::{Core, Options, Store, StoreError, Writer};
use web_ui::PagesCertificate;

use crate::clock::SystemClock;
use crate::config::Machine;
use crate::housing;
use crate::keys::Keys;
use crate::restart::Task;
use crate::restore::{self, Settled};
use crate::shown::Shown;

/// Who has restored it, in the log of what was restored.
pub(super) async fn note(core: &Core, Settled { who, back }: Settled) {
    let did = if back { "restore_taken_back" } else { "restored" };
    if let Err(error) = core.audit(who, did.to_owned(), String::new()).await {
        tracing::error!(error = crate::chain(&error), "the restore is not in the audit log");
    }
}

/// The identity of this gateway.
pub(super) fn open_keys(
    machine: &Machine,
    clock: &SystemClock,
) -> anyhow::Result<(Arc<Keys>, Shown)> {
    let state = &machine.state;
    std::fs::create_dir_all(state)
        .with_context(|| format!("the state directory {} cannot be made", state.display()))?;
    let keys = Keys::open(state, clock).context("the gateway's keys cannot be used")?;
    let keys = Arc::new(keys);
    let (brought, now) = (machine.certificate.as_ref(), clock.now().wall);
    let shown = Shown::new(Arc::clone(&keys), state, brought, now);
    Ok((keys, shown.context("the pages' certificate cannot be made")?))
}

/// What was restored and does not start ends this life, and the next has what was there before it.
pub(super) fn back<T>(
    machine: &Machine,
) -> impl FnOnce(anyhow::Error) -> anyhow::Result<Option<T>> {
    |error| {
        let is_elsewhere = matches!(error.downcast_ref(), Some(StoreError::InUse { .. }));
        if !is_elsewhere && restore::fall_back(&machine.state, &error)? {
            Ok(None)
        } else {
            Err(error)
        }
    }
}

/// The store, and whether its disk takes nothing yet.
///
/// On one that can be read the gateway reads its meters all the same: they are shown, and what they say waits
/// in memory.
pub(super) async fn open_store(
    state: &Path,
    zone: chrono_tz::Tz,
    clock: Arc<SystemClock>,
) -> anyhow::Result<(Store, bool)> {
    let options = Options::new(state.to_owned(), zone);
    let open = tokio::task::spawn_blocking(move || {
        let refused = match Store::open(options.clone(), Arc::clone(&clock) as _) {
            Err(error) if error.is_away() || error.is_full() => error,
            other => return other.map(|(store, report)| (store, Some(report))),
        };
        match Store::open_away(options, clock) {
            Ok(store) => {
                let error = crate::chain(&refused);
                tracing::error!(
                    error,
                    "meters are read and shown, and what they say waits in memory"
                );
                Ok((store, None))
            }
            Err(error) => {
                tracing::debug!(error = crate::chain(&error), "the disk cannot be read either");
                Err(refused)
            }
        }
    });
    let (store, report) = open
        .await?
        .with_context(|| format!("the store in {} cannot be opened", state.display()))?;
    let away = report.is_none();
    if let Some(report) = report {
        tracing::info!(head = report.head, recovered = report.recovered, "store opened");
    }
    Ok((store, away))
}

/// What a start writes down and could not, because the disk took nothing then.
pub(super) struct Late {
    core: Core,
    writer: Writer,
    state: PathBuf,
}

impl Late {
    /// Of a `store` in the folder `state`.
    pub(super) fn of(store: &Store, state: &Path) -> Self {
        Self { core: store.core(), writer: store.writer(), state: state.to_owned() }
    }
}

impl Task for Late {
    fn name(&self) -> String {
        "what the start could not write down".to_owned()
    }

    async fn live(&mut self) {
        while self.writer.stamp().await.is_err() {
            tokio::time::sleep(LATE_EVERY).await;
        }
        // Only now is what was restored known to open.
        restore::started(&self.state);
        housing::settle(&self.core).await;
        if let Err(error) = count_start(&self.core).await {
            tracing::error!(error = crate::chain(&error), "this start is not counted");
        }
        std::future::pending::<()>().await;
    }
}

/// As long as readings wait at most before they are tried again.
const LATE_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// The counters of pulses, as the last stop or power cut left them.
pub(super) async fn counts(state: &Path) -> Counts {
    let file = state.join("pulses.counts");
    let opened = tokio::task::spawn_blocking(move || Counts::open(&file)).await;
    let (counts, trouble) = opened.unwrap_or_else(|panicked| {
        (Counts::unkept(std::io::ErrorKind::Other), Some(std::io::Error::other(panicked)))
    });
    if let Some(error) = trouble {
        tracing::error!(error = crate::chain(&error), "the counters of pulses");
    }
    counts
}

/// How often this daemon has been started, this time included.
pub(super) async fn count_start(core: &Core) -> Result<u32, StoreError> {
    let starts = core.setting(STARTS_SETTING).await?;
    let starts = starts.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).saturating_add(1);
    if let Err(error) = core.put_setting(STARTS_SETTING, starts.to_string()).await {
        // A full disk keeps no meter from being read. The next start may have the same number:
        // then of two readings of one time the one that is stored later holds.
        tracing::error!(error = crate::chain(&error), "this start is not counted");
    }
    Ok(starts)
}

/// The names under which people reach this machine without an address.
pub(super) fn own_hosts(certificate: &PagesCertificate) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let mut names = certificate.names.clone();
    if !host.is_empty() {
        names.extend([host.to_owned(), format!("{host}.local")]);
    }
    names
}

/// How often the daemon was started.
const STARTS_SETTING: &str = "starts";
