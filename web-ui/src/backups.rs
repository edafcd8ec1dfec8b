//! The backup that an owner asks for: how far it is, and the file once it is there.
//!
//! ```text
//! none ──▶ making ──▶ ready ──▶ none      when it is taken away, or after an hour
//!               └───▶ failed
//! ```
//!
//! **Never true:** the file has a name on the disk. Whoever holds it open has it, and when nobody does, its
//! room is free.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;

use crate::Web;
use crate::handles::Wish;
use crate::meter_keys::Secret;
use crate::problem::{Code, Problem};
use crate::session::Visitor;

/// A backup that is whole.
#[derive(Debug)]
pub struct BackupMade {
    /// Open to read, and without a name.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// What is not in it, because it is a backup itself: names in the state directory.
    pub left_out: Vec<String>,
}

/// Why there is no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotBackedUp {
    /// Another one is being made.
    Busy,
    /// The disk has no room for a copy and the file, in bytes.
    NoRoom {
        /// That is needed.
        needed: u64,
        /// That is there.
        free: u64,
    },
    /// As one English sentence.
    Failed(String),
}

/// Where the newest stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backup {
    /// Counted, so that nobody takes away another's.
    number: u64,
    pub(crate) who: String,
    pub(crate) at_ms: i64,
    pub(crate) state: State,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum State {
    #[default]
    None,
    Making,
    Ready(Arc<BackupMade>),
    Failed(NotBackedUp),
}

impl Web {
    /// Where the newest backup stands.
    pub(crate) fn backup(&self) -> Backup {
        self.doors.backup.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to make one in `visitor`'s name. One that was there before goes.
    pub(crate) fn begin_backup(
        self: &Arc<Self>,
        visitor: &Visitor,
        passphrase: String,
    ) -> Result<(), Problem> {
        let (who, at_ms) = (visitor.name(), self.now().wall_ms());
        let number = {
            let mut backup = self.doors.backup.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(backup.state, State::Making) {
                let detail = "A backup is being made. Wait for it.";
                return Err(Problem::new(Code::Busy, detail));
            }
            let number = backup.number.saturating_add(1);
            *backup = Backup { number, who: who.clone(), at_ms, state: State::Making };
            number
        };
        let web = Arc::clone(self);
        // Its owner is the gateway, which answers every wish; its end is an hour after that.
        tokio::spawn(async move {
            let passphrase = Secret(passphrase);
            let made = web.wish(|reply| Wish::Backup { passphrase, reply }).await;
            let state = match made {
                Ok(Ok(made)) => State::Ready(Arc::new(made)),
                Ok(Err(why)) => State::Failed(why),
                Err(_) => {
                    let why = "The gateway has too much to do, or stops. Try again.".to_owned();
                    State::Failed(NotBackedUp::Failed(why))
                }
            };
            if let State::Ready(made) = &state {
                let detail = format!("{} bytes", made.bytes);
                if let Err(error) = web.handles.core.audit(who, "backup_made".into(), detail).await
                {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "a backup is not in the audit log");
                }
            }
            web.change_backup(number, state);
            tokio::time::sleep(KEPT).await;
            web.change_backup(number, State::None);
        });
        Ok(())
    }

    /// Takes the newest away, if one is there.
    pub(crate) fn drop_backup(&self) {
        let mut backup = self.doors.backup.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(backup.state, State::Making) {
            backup.state = State::None;
        }
    }

    fn change_backup(&self, number: u64, state: State) {
        let mut backup = self.doors.backup.lock().unwrap_or_else(PoisonError::into_inner);
        if backup.number == number {
            backup.state = state;
        }
    }
}

/// To find a USB stick.
const KEPT: Duration = Duration::from_hours(1);

impl BackupMade {
    /// All of it, piece by piece as the network takes it.
    pub(crate) fn body(self: Arc<Self>) -> Body {
        Body::from_stream(stream::try_unfold(0, move |at| {
            let made = Arc::clone(&self);
            async move {
                let piece = tokio::task::spawn_blocking(move || made.piece(at)).await;
                let piece = piece.map_err(io::Error::other)??;
                let next = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                Ok::<_, io::Error>((!piece.is_empty()).then_some((piece, next)))
            }
        }))
    }

    fn piece(&self, at: u64) -> io::Result<Bytes> {
        let rest = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(PIECE);
        let mut piece = vec![0; rest.min(PIECE)];
        self.file.read_exact_at(&mut piece, at)?;
        Ok(piece.into())
    }
}

const PIECE: usize = 256 << 10;
