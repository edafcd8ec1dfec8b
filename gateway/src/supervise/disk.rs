//! A start on a disk that takes nothing: it is waited for.
//!
//! Whoever ends is started again a few times and then left alone, and a disk with room again an hour later, or
//! a file system that somebody mounts anew, would find no gateway that notices. Of one that is not mounted
//! nothing can be seen here; see `mount.rs`.
//!
//! **Never true:** what is wrong with a file, and not with the disk, is waited for.

use std::error::Error;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use sd_notify::NotifyState;
use store::StoreError;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::notify;

/// What `open` opens, as soon as the disk lets it; `None` at the end of the daemon.
///
/// # Errors
///
/// Those of `open` that are not the disk's.
pub(super) async fn with_a_disk<T>(
    shutdown: &CancellationToken,
    mut open: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let (mut pause, mut told) = (FIRST_PAUSE, String::new());
    loop {
        let error = match open().await {
            Err(error) if error.chain().any(is_of_the_disk) => error,
            other => return other.map(Some),
        };
        let sentence = format!("the gateway starts when its disk works: {error:#}");
        if sentence != told {
            tracing::error!("{sentence}");
        }
        let patience = u32::try_from((2 * LAST_PAUSE).as_micros()).unwrap_or(u32::MAX);
        notify(&[NotifyState::ExtendTimeoutUsec(patience), NotifyState::Status(&sentence)]);
        told = sentence;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn is_of_the_disk(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return error.is_full() || error.is_away();
    }
    let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    code.is_some_and(|code| OF_DISKS.contains(&Errno::from_raw(code)))
}

const OF_DISKS: [Errno; 6] =
    [Errno::EROFS, Errno::EIO, Errno::ENOSPC, Errno::EDQUOT, Errno::ENODEV, Errno::ENXIO];

/// It is tried again after so long, and then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_is_waited_for_and_nothing_else() {
        let (shutdown, mut tries) = (CancellationToken::new(), 0);
        let opened = with_a_disk(&shutdown, async || {
            tries += 1;
            let errno = if tries % 2 == 1 { Errno::EROFS } else { Errno::EIO };
            if tries < 100 { Err(io::Error::from(errno)).context("the lock") } else { Ok(tries) }
        });
        assert_eq!(opened.await.unwrap(), Some(100));
        let refused = async || Err::<(), _>(io::Error::from(Errno::EACCES)).context("the keys");
        let refused = with_a_disk(&shutdown, refused);
        assert!(refused.await.is_err(), "its owner is wrong, and no disk");
        shutdown.cancel();
        let never =
            with_a_disk(&shutdown, async || Err::<(), _>(io::Error::from(Errno::EROFS).into()));
        assert_eq!(never.await.unwrap(), None);
    }
}
