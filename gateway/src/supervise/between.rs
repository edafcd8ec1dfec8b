//! Between one life of the daemon and the next, where nothing of it runs: systemd hears that it lives, and the
//! store is closed before anybody moves its files.
//!
//! **Never true:** files of a store are moved while it may still write to them.

use std::pin::pin;
use std::time::Duration;

use anyhow::bail;
use sd_notify::NotifyState;
use store::Store;
use tokio::time::{self, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::notify;

/// How often systemd wants to hear that the daemon lives; the first time is now.
pub(super) fn beats() -> Interval {
    let watchdog = sd_notify::watchdog_enabled().map(|within| within / 2);
    let mut beats = time::interval(watchdog.unwrap_or(Duration::from_hours(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

/// Does `work`, and tells systemd meanwhile that the daemon lives.
pub(super) async fn beating<T>(work: impl Future<Output = T>) -> T {
    let (mut work, mut beats) = (pin!(work), beats());
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beats.tick() => notify(&[NotifyState::Watchdog]),
        }
    }
}

/// Closes the store: at `end` as long as a stop may take, and otherwise until it is done, since its files are
/// moved then.
///
/// # Errors
///
/// If it does not close, and it is not the end: the files are moved by the next process.
pub(super) async fn close(store: Store, end: &CancellationToken) -> anyhow::Result<()> {
    let close = tokio::task::spawn_blocking(move || store.close());
    let given_up = async {
        let patience = time::timeout(PATIENCE, end.cancelled()).await;
        if patience.is_ok() {
            time::sleep(CLOSE_WITHIN).await;
        }
    };
    let closed = async {
        tokio::select! {
            biased;
            closed = close => Some(closed),
            () = given_up => None,
        }
    };
    match beating(closed).await {
        Some(Ok(Ok(()))) => tracing::info!("stopped; everything is stored"),
        Some(Ok(Err(error))) => tracing::error!(error = crate::chain(&error), "the store"),
        Some(Err(_)) | None if end.is_cancelled() => {
            tracing::error!("the store did not close in time");
        }
        Some(Err(_)) | None => bail!("the store does not close: another process has to go on"),
    }
    Ok(())
}

/// Of the five seconds of a stop.
const CLOSE_WITHIN: Duration = Duration::from_millis(1_500);

/// Where nobody waits for the end.
const PATIENCE: Duration = Duration::from_mins(5);
