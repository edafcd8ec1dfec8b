//! The keys of meters that encrypt, as the pages hand them to the daemon: in, and never out.

use std::fmt;

/// Something that is not to be seen in any log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What a person wants of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// To know whose are kept.
    Tell,
    /// That those of one meter are kept.
    Enter {
        /// Its number: `67001122`, `67001122KAM`.
        meter: String,
        /// 32 hex digits.
        encryption: Secret<String>,
        /// Of an electricity meter, too.
        authentication: Option<Secret<String>>,
    },
    /// That those in a supplier's file are kept.
    Import {
        /// As it came.
        file: Secret<Vec<u8>>,
        /// Of a KEM file.
        password: Option<Secret<String>>,
    },
    /// That those of one meter are forgotten.
    Forget {
        /// Its number.
        meter: String,
    },
}

/// The keys after an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysKept {
    /// Whose are kept, in the order of their numbers.
    pub meters: Vec<KeptKey>,
    /// Of how many meters the order brought keys that had none.
    pub new: usize,
    /// Of how many it replaced them.
    pub replaced: usize,
}

/// That a meter's keys are kept; never the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// The meter's number.
    pub meter: String,
    /// Whether the authentication key is kept, too.
    pub authentication: bool,
}

/// Why an order was not followed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysRefused {
    /// That is no meter's number.
    Number,
    /// That is no key of 32 hex digits.
    Key,
    /// Nothing can be taken out of that file; an English sentence, which has no key in it.
    File(String),
    /// The file is a KEM file, and no password came with it.
    Password,
    /// No key is kept under that number.
    Unknown,
    /// They cannot be read or written; an English sentence.
    Failed(String),
}
