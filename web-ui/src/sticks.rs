//! The USB sticks at the gateway, as the daemon tells of them: where a backup goes, and where one
//! comes from.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::backups::BackupMade;

/// A stick that is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stick {
    /// As the machine has named it.
    pub name: String,
    /// What it takes, in bytes; 0 if nothing can be written.
    pub free: u64,
    /// What is on it, the newest first.
    pub backups: Vec<OnStick>,
}

/// A backup on a stick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnStick {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// When it was written, by the clock of whoever did; UTC, in milliseconds.
    pub at_ms: i64,
}

/// Where the copying of a backup to a stick stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Copying {
    /// None was asked for.
    #[default]
    None,
    /// It is being written or compared.
    Now {
        /// To which stick.
        stick: String,
        /// How many bytes of all have been written, and then read back.
        bytes: u64,
        /// Twice the length of the backup.
        of: u64,
    },
    /// It is on the stick, which can be pulled out.
    Done {
        /// On which stick.
        stick: String,
        /// Under which name.
        file: String,
    },
    /// It is not.
    Failed(NotOnStick),
}

/// Why a backup is not on a stick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOnStick {
    /// Another is being copied.
    Busy,
    /// The stick is not there, or not any more.
    Gone,
    /// It has no room, in bytes; one that cannot be written has none.
    NoRoom {
        /// That is needed.
        needed: u64,
        /// That is there.
        free: u64,
    },
    /// What was read back is not what was written.
    Differs,
    /// As one English sentence.
    Failed(String),
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sticks {
    /// Those that are put in.
    pub sticks: Vec<Stick>,
    /// What is being done.
    pub copying: Copying,
}

/// What a person wants of the sticks.
#[derive(Debug)]
pub enum StickOrder {
    /// To know which there are.
    Tell,
    /// That a backup is copied to one, and compared.
    Copy {
        /// What.
        made: Arc<BackupMade>,
        /// To which.
        stick: String,
        /// Under which name.
        file: String,
    },
}

/// Where the answer to an order goes.
pub type StickReply = oneshot::Sender<Result<Sticks, NotOnStick>>;
