//! What can be wrong with a message, and where.

/// The first octet at fault, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {fault}")]
pub struct Flaw {
    /// Counted from 0, the opening flag or the `/`.
    pub at: usize,
    /// What.
    pub fault: Fault,
}

impl Flaw {
    pub(super) const fn new(at: usize, fault: Fault) -> Self {
        Self { at, fault }
    }
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each sentence says what its name means")]
pub enum Fault {
    #[error(
        "the message is authenticated, and the key, the authentication key or an octet is wrong"
    )]
    Authentication,
    #[error("the message comes in blocks (general block transfer), which are not put together")]
    Blocks,
    #[error("the checksum in the {part} is {found:04X}, and what came adds up to {expected:04X}")]
    Checksum { part: &'static str, found: u16, expected: u16 },
    #[error("security control {0:02X} is not known; 20 and 30 are, with keys of suite 0")]
    Ciphering(u8),
    #[error("a list of {0} items is none of this maker's")]
    Count(usize),
    #[error("COSEM data is nested deeper than any meter's list")]
    Depth,
    #[error("it ends within {0}")]
    Ends(&'static str),
    #[error("{0} was expected")]
    Expected(&'static str),
    #[error("the key does not fit: what it opens is no list of a meter")]
    Key,
    #[error("the meter encrypts what it sends: the key of its network operator is needed")]
    KeyNeeded,
    #[error("no message begins here: 7E A0 to 7E A7 would begin one, or `/`")]
    NoStart,
    #[error("the frame is one segment of several, which are not put together")]
    Segment,
    #[error("COSEM data of type {0:02X} is not read")]
    Tag(u8),
    #[error("the number has more digits than can be kept")]
    TooLarge,
    #[error("the telegram is longer than any meter's")]
    TooLong,
    #[error("{0} bytes follow behind the end")]
    Trailing(usize),
}
