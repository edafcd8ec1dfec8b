//! What can be wrong with a radio frame, and with a key.

/// What is wrong with a radio frame, or with what only radio frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RadioFlaw {
    /// The length byte fits the frame neither with nor without checksums.
    #[error("the length byte {said:#04x} is not that of a radio frame of {found} bytes")]
    Length {
        /// As sent.
        said: u8,
        /// How many bytes there are.
        found: usize,
    },
    /// There is no room for a link, a CI and anything behind it.
    #[error("a radio frame has at least 12 bytes and this one {0}")]
    TooShort(usize),
    /// Of the block that ends here.
    #[error("the checksum of the block before is {found:#06x} and should be {right:#06x}")]
    Checksum {
        /// As sent.
        found: u16,
        /// As computed.
        right: u16,
    },
    /// Of the payload of an extended link layer.
    #[error("the checksum of the payload is {found:#06x} and should be {right:#06x}")]
    PayloadChecksum {
        /// As sent.
        found: u16,
        /// As computed.
        right: u16,
    },
    /// One piece of a message that was sent in several.
    #[error("is fragment {0} of a message, and the others are not here")]
    Fragment(u8),
    /// A compact frame whose full frame has not been heard.
    #[error("the compact frame has format {0:#06x}, which no full frame of this meter has shown")]
    FormatUnknown(u16),
    /// The records do not add up to those of the full frame.
    #[error("the checksum of the full frame is {found:#06x} and should be {right:#06x}")]
    CompactChecksum {
        /// As sent.
        found: u16,
        /// As computed.
        right: u16,
    },
    /// More data than the format has records for.
    #[error("{0} bytes follow the last record of the format")]
    CompactLength(usize),
    /// Formats, and no values.
    #[error("the application layer {0:#04x} announces a format and has no values")]
    FormatFrame(u8),
    /// A payload that only its manufacturer describes.
    #[error(
        "the application layer {0:#04x} is the manufacturer's own, which takes a profile of the meter"
    )]
    Vendor(u8),
}

impl RadioFlaw {
    /// A code for programs, which stays as it is when the sentence changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Length { .. } => "length",
            Self::TooShort(_) => "too_short",
            Self::Checksum { .. } => "wireless_crc",
            Self::PayloadChecksum { .. } => "ell_crc",
            Self::Fragment(_) => "afl_fragment",
            Self::FormatUnknown(_) => "format_unknown",
            Self::CompactChecksum { .. } => "compact_crc",
            Self::CompactLength(_) => "compact_length",
            Self::FormatFrame(_) | Self::Vendor(_) => "ci_unsupported",
        }
    }
}

/// Why something encrypted stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFlaw {
    /// The payload of an extended link layer is encrypted.
    #[error("the payload of the link layer is encrypted and there is no key")]
    LinkKeyMissing,
    /// The link layer is encrypted in a way that no standard has.
    #[error("the payload of the link layer is encrypted in mode {0}, which is reserved")]
    LinkMode(u8),
    /// None of the keys opens it.
    #[error("no key that is known for this meter opens it")]
    KeyWrong,
    /// The message is not what the holder of any of the keys has sent.
    #[error("no key that is known for this meter agrees with the message authentication code")]
    MacWrong,
    /// The header announces more encrypted bytes than there are.
    #[error("{announced} bytes are said to be encrypted and {found} are there")]
    Length {
        /// Sixteen for each block.
        announced: usize,
        /// How many follow the header.
        found: usize,
    },
    /// Who sent the message is proved in a way that is not read here.
    #[error("the message has an authentication code of a kind that is not supported")]
    MacKind,
    /// In mode 5 the key works on the meter's identity, which is not told.
    #[error(
        "the records are encrypted with the meter's identity, which a short header on a wire does not tell"
    )]
    Anonymous,
    /// In mode 7 the key is made in a way that is not read here.
    #[error("the records are encrypted in mode 7 with key derivation {0}, which is not supported")]
    KeyDerivation(u8),
    /// In mode 7 the key is made from a counter that is not there.
    #[error("the records are encrypted in mode 7 and the message has no counter")]
    CounterMissing,
}

impl SealFlaw {
    /// A code for programs, which stays as it is when the sentence changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::LinkKeyMissing => "key_missing",
            Self::KeyWrong => "key_wrong",
            Self::MacWrong => "mac_wrong",
            Self::Length { .. } => "encrypted_length",
            Self::LinkMode(_)
            | Self::MacKind
            | Self::Anonymous
            | Self::KeyDerivation(_)
            | Self::CounterMissing => "mode_unsupported",
        }
    }
}
