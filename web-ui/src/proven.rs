//! What the daemon says of the history: which versions of the configuration and which entries of the audit
//! log are what was written.

use chrono::{DateTime, Utc};

/// The newest of everything stands first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryProof {
    /// The gateway's public key, as 64 hexadecimal digits.
    pub key: String,
    /// Each version with how it stands, the newest first.
    pub versions: Vec<(u64, VersionStands)>,
    /// The log.
    pub audit: AuditStands,
}

/// Whether a version is what was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionStands {
    /// It is, and the gateway has signed it.
    Signed,
    /// It is older than signatures, and what was there when they began.
    Earlier,
    /// It is not, or another key than the gateway's signed it.
    Broken,
}

impl VersionStands {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Earlier => "earlier",
            Self::Broken => "broken",
        }
    }
}

/// How far the log is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStands {
    /// The number of the oldest entry; 0 if there is none.
    pub first: u64,
    /// The number of the newest entry; 0 if there is none.
    pub newest: u64,
    /// The hash of the newest entry, as 64 hexadecimal digits.
    pub hash: String,
    /// The first entry that is not what was written.
    pub broken: Option<BrokenEntry>,
    /// The newest entry under the gateway's signature; `None` as long as there is none that holds.
    pub signed: Option<u64>,
    /// What was signed last is not there any more, or another key signed it.
    pub forged: bool,
}

/// An entry that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenEntry {
    /// Its number.
    pub number: u64,
    /// When it was written, as it says.
    pub at: DateTime<Utc>,
}
