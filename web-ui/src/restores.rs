//! A backup that comes back, as the pages bring it and the daemon tells of it.

use crate::meter_keys::Secret;

/// What a person wants of the restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreOrder {
    /// To know how it stands.
    Tell,
    /// That a piece of the file is kept. One at 0 begins anew.
    Take {
        /// Where in the file it belongs.
        at: u64,
        /// Its bytes.
        piece: Vec<u8>,
    },
    /// That a backup on a USB stick is fetched, as if its pieces had been sent.
    Fetch {
        /// From which stick.
        stick: String,
        /// Under which name.
        file: String,
    },
    /// That the file is opened and looked into; nothing else is changed.
    Look {
        /// With which it was sealed.
        passphrase: Secret<String>,
    },
    /// That the file is forgotten.
    Drop,
    /// That what was looked into takes the place of everything that is here.
    Go {
        /// Who says so, by name.
        who: String,
    },
    /// That what was here before the last restore comes back.
    Back {
        /// Who says so, by name.
        who: String,
    },
    /// That what was here before is removed.
    Forget,
}

/// How it stands after an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoring {
    /// The file, and what was done with it.
    pub stands: RestoreStands,
    /// What was here before the last restore is still there.
    pub before: bool,
}

/// Where a backup that comes back stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RestoreStands {
    /// None is here.
    #[default]
    None,
    /// So much of it is here.
    Taking {
        /// From its beginning.
        bytes: u64,
    },
    /// It comes from a USB stick.
    Fetching {
        /// So much of it is here.
        bytes: u64,
        /// And so much there will be.
        of: u64,
    },
    /// It is being opened and verified.
    Looking,
    /// What it holds.
    Held(Box<Held>),
    /// Why it cannot be restored, as one English sentence.
    Failed(String),
    /// The gateway starts anew with it.
    Going,
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Of which gateway it is.
    pub gateway: String,
    /// It is of this one.
    pub same: bool,
    /// What its building is called; `None` if it has no configuration that loads.
    pub name: Option<String>,
    /// How many meters that configuration has.
    pub meters: usize,
    /// How many files it has.
    pub files: usize,
    /// And how many bytes.
    pub bytes: u64,
    /// Readings and absences.
    pub readings: u64,
    /// The first month of readings: `2025-11`.
    pub first_month: Option<String>,
    /// And the last.
    pub last_month: Option<String>,
    /// What in it is damaged, an English sentence each.
    pub damages: Vec<String>,
}

/// Why an order was not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// It is being fetched or looked into, or the gateway is about to start with it.
    Busy,
    /// The USB stick is not there, or not any more, or has no such file.
    NoStick,
    /// No backup is here, or none that was looked into.
    Nothing,
    /// The piece does not follow what is here.
    Elsewhere {
        /// Where the next piece begins.
        at: u64,
    },
    /// The disk has no room, in bytes.
    NoRoom {
        /// That is needed.
        needed: u64,
        /// That is there.
        free: u64,
    },
    /// As one English sentence.
    Failed(String),
}
