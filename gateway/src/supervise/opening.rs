//! What a start opens of the state directory, before anything runs.

use std::sync::Arc;

use anyhow::Context as _;
use drivers::pulse::Counts;
use metering::Clock as _;
use store::{Core, Options, Store, StoreError};
use web_ui::PagesCertificate;

use crate::clock::SystemClock;
use crate::config::Machine;
use crate::keys::Keys;
use crate::restore::Settled;
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

pub(super) async fn open_store(
    state: &std::path::Path,
    zone: chrono_tz::Tz,
    clock: Arc<SystemClock>,
) -> anyhow::Result<Store> {
    let options = Options::new(state.to_owned(), zone);
    let open = tokio::task::spawn_blocking(move || Store::open(options, clock));
    let (store, report) = open
        .await?
        .with_context(|| format!("the store in {} cannot be opened", state.display()))?;
    tracing::info!(head = report.head, recovered = report.recovered, "store opened");
    Ok(store)
}

/// The counters of pulses, as the last stop or power cut left them.
pub(super) async fn counts(state: &std::path::Path) -> Counts {
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
