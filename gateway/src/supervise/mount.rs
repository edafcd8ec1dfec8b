//! A start without the disk that the state is on.
//!
//! ```text
//! /var/cache/fyrhus   on the disk of the system   remembers that the state is on another one
//! /var/lib/fyrhus     on a disk of its own        at the next start an empty folder of the system's disk
//! ```
//!
//! Whoever began in that folder would be another gateway: with another identity, without a user, and with
//! readings that nobody looks for there. What can be known is on which disk a folder is; so the gateway writes
//! down, on the other one, that its state has a disk of its own.
//!
//! **Never true:** a gateway that has a new disk, or none of its own, waits for the old one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use sd_notify::NotifyState;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::notify;
use crate::keys;

/// Where the state is, and what is known of its disk.
#[derive(Debug)]
pub(super) struct Mount {
    state: PathBuf,
    /// The folder on the disk of the system.
    cache: PathBuf,
}

impl Mount {
    pub(super) fn of(state: &Path, cache: &Path) -> Self {
        Self { state: state.to_owned(), cache: cache.to_owned() }
    }

    /// Until the disk is there, or nobody says that there is one; `false` at the end of the daemon.
    ///
    /// # Errors
    ///
    /// After five minutes: what is mounted meanwhile may be out of sight of a process that systemd has
    /// shut in, and the next one sees it.
    pub(super) async fn is_waited_for(&self, shutdown: &CancellationToken) -> anyhow::Result<bool> {
        let until = Instant::now() + PATIENCE;
        let mut told = false;
        while self.is_missing() {
            let sentence = format!(
                "{} is empty, and the gateway was on a disk of its own there, which is not mounted: it \
                 starts when the disk is back (to begin anew as another gateway, delete {})",
                self.state.display(),
                self.note().display()
            );
            if Instant::now() >= until {
                bail!(sentence);
            }
            if !told {
                tracing::error!("{sentence}");
            }
            told = true;
            let patience = u32::try_from((4 * PAUSE).as_micros()).unwrap_or(u32::MAX);
            notify(&[NotifyState::ExtendTimeoutUsec(patience), NotifyState::Status(&sentence)]);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                () = time::sleep(PAUSE) => {}
            }
        }
        Ok(true)
    }

    /// Writes down whether the state is on a disk of its own. A failure costs the knowledge alone.
    pub(super) fn remember(&self) {
        let note = self.note();
        let own = disk_of(&self.state).ok() != disk_of(&self.cache).ok();
        let before = fs::read_to_string(&note).ok();
        let is_noted = before.as_deref().map(|it| Path::new(it.trim_end())) == Some(&self.state);
        let noted = match (own, before) {
            (true, _) if !is_noted => keys::put(&note, &format!("{}\n", self.state.display())),
            (false, Some(_)) => fs::remove_file(&note),
            _ => Ok(()),
        };
        if let Err(error) = noted {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "it is not written down which disk the state is on");
        }
    }

    /// Whether there was a disk, and where it was there is neither a gateway nor another disk.
    fn is_missing(&self) -> bool {
        let of_this_state = || {
            let noted = fs::read_to_string(self.note()).ok()?;
            Some(Path::new(noted.trim_end()) == self.state)
        };
        of_this_state() == Some(true)
            && !self.state.join("keys").exists()
            && disk_of(&self.state).ok() == disk_of(&self.cache).ok()
    }

    fn note(&self) -> PathBuf {
        self.cache.join("state-has-its-own-disk")
    }
}

/// The disk of a folder, or of where it would be made.
fn disk_of(folder: &Path) -> io::Result<u64> {
    let mut missing = io::ErrorKind::NotFound.into();
    for place in folder.ancestors() {
        match fs::metadata(place) {
            Ok(found) => return Ok(found.dev()),
            Err(error) => missing = error,
        }
        if missing.kind() != io::ErrorKind::NotFound {
            break;
        }
    }
    Err(missing)
}

/// Systemd lets whoever ends so seldom be started again for ever.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_not_mounted_is_waited_for_and_no_new_gateway_begun() {
        let cache = tempfile::tempdir().unwrap();
        let Ok(disk) = tempfile::tempdir_in("/dev/shm") else {
            println!("SKIPPED: there is no second disk here");
            return;
        };
        if disk_of(disk.path()).unwrap() == disk_of(cache.path()).unwrap() {
            println!("SKIPPED: there is no second disk here");
            return;
        }
        // The place at which a disk is mounted is a link here, which is followed to it as a path is.
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let (mount, shutdown) = (Mount::of(&state, cache.path()), CancellationToken::new());
        let on_a_disk = || std::os::unix::fs::symlink(disk.path(), &state).unwrap();
        assert!(mount.is_waited_for(&shutdown).await.unwrap(), "nobody knows of a disk");
        on_a_disk();
        mount.remember();

        fs::remove_file(&state).unwrap();
        let error = mount.is_waited_for(&shutdown).await.unwrap_err().to_string();
        assert!(error.contains("is not mounted: it starts when"), "{error}");
        fs::create_dir(&state).unwrap();
        assert!(mount.is_missing(), "an empty folder is in its place");
        fs::remove_dir(&state).unwrap();
        on_a_disk();
        assert!(mount.is_waited_for(&shutdown).await.unwrap(), "another disk may be empty");
        fs::remove_file(&state).unwrap();

        // Somebody brought the state over to the disk of the system.
        fs::create_dir_all(state.join("keys")).unwrap();
        assert!(mount.is_waited_for(&shutdown).await.unwrap());
        mount.remember();
        fs::remove_dir_all(&state).unwrap();
        assert!(
            mount.is_waited_for(&shutdown).await.unwrap(),
            "it has no disk of its own any more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_heard_meanwhile() {
        let (cache, shutdown) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let state = cache.path().join("state");
        let mount = Mount::of(&state, cache.path());
        fs::write(mount.note(), format!("{}\n", state.display())).unwrap();
        shutdown.cancel();
        assert!(!mount.is_waited_for(&shutdown).await.unwrap());
    }
}
