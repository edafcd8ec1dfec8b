//! What is around the records of a frame, wired or by radio.

use super::{Afl, Ell, RadioLink};
use crate::{Control, Header, Primary, Secondary};

/// What a frame says before its records, as far as it could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Envelope {
    /// How it came; `None` if it is no frame.
    pub link: Option<Link>,
    /// The extended link layer.
    pub ell: Option<Ell>,
    /// The authentication and fragmentation layer.
    pub afl: Option<Afl>,
    /// Whether the authentication code of `afl` is right; `None` if there is none, or no key was
    /// tried.
    pub mac_ok: Option<bool>,
    /// How the telegram is to be read: the CI behind the layers above.
    pub ci: Option<u8>,
    /// The telegram's header. A short one by radio is completed by the address of the link, or of
    /// the meter that the extended link layer names.
    pub header: Option<Header>,
    /// Who speaks: by its header, else by its link; on a wire, else who was asked.
    pub meter: Option<Secondary>,
    /// What was encrypted, and what became of it. Where two layers were, the inner one.
    pub encryption: Option<Encryption>,
}

/// How a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Wired: "I have understood."
    Ack,
    /// Wired, without data.
    Short {
        /// What is asked.
        control: Control,
        /// Of whom.
        address: Primary,
    },
    /// Wired, with a CI and nothing behind it.
    Control {
        /// What is asked or answered.
        control: Control,
        /// Of whom, or by whom.
        address: Primary,
    },
    /// Wired, with data.
    Long {
        /// What is asked or answered.
        control: Control,
        /// Of whom, or by whom.
        address: Primary,
    },
    /// By radio.
    Radio(RadioLink),
}

/// What became of something encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Where.
    pub layer: Layer,
    /// How: the number of the layer's standard.
    pub mode: u8,
    /// What came of it.
    pub state: State,
}

/// Which layer is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The records behind the header, "transport layer".
    Tpl,
    /// Everything behind the extended link layer.
    Ell,
}

impl Layer {
    /// As in decoded telegrams.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tpl => "tpl",
            Self::Ell => "ell",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A key has opened it.
    Decrypted,
    /// No key is known.
    KeyMissing,
    /// None of the keys opens it.
    KeyWrong,
    /// It is plain, whatever its header says, and no key is known that it should have been opened
    /// with: a log of decrypted telegrams.
    PlainMarked,
    /// In a way that is not read here, or that the frame contradicts.
    Unsupported,
}

impl State {
    /// As in decoded telegrams.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decrypted => "decrypted",
            Self::KeyMissing => "key_missing",
            Self::KeyWrong => "key_wrong",
            Self::PlainMarked => "plain_marked",
            Self::Unsupported => "unsupported",
        }
    }
}
