//! Wireless M-Bus: the receivers that hear the meters of a building, and what they heard.
//!
//! ```text
//! bytes ──▶ Codec ──▶ a frame, how strong ──▶ opened with the meter's key ──▶ readings
//!             └─────▶ a reply ──▶ the next step of setting the receiver up
//! ```
//!
//! | Module     | Is                                                                    |
//! |------------|-----------------------------------------------------------------------|
//! | `ear`      | the receiver as a wire of the gateway                                 |
//! | `receiver` | a port with a receiver at it: set up, probed, set up anew             |
//! | `codec`    | what every receiver is asked and says                                 |
//! | `im871a`   | IMST iM871A: frames between A5 and a checksum                         |
//! | `amb8465`  | Amber, now Würth, AMB8465 and the Metis that came after it            |
//! | `cul`      | CUL and its kind (culfw): a line of text for each frame               |
//! | `lines`    | lines of text with a frame in hex, of whatever makes them             |
//! | `topics`   | the same on topics of an MQTT broker                                  |
//!
//! Sources: IMST, "Wireless M-Bus Host Controller Interface", 1.6; Amber Wireless, "AMB8426-M and
//! AMB8626-M manual", 2.4, and Würth Elektronik's Metis reference manuals; the command reference of
//! culfw; the readme of `rtl_wmbus`; Elvaco, "`CMeX50` user's manual"; the readme of the `wmbus`
//! component for `ESPHome` (messages over MQTT).
//!
//! **Never true:** anything is sent by radio. A frame whose checksums or key do not fit, or that is
//! of another meter than the configured one, becomes a value.

mod amb8465;
mod codec;
mod cul;
mod ear;
mod im871a;
mod lines;
mod receiver;
#[cfg(test)]
mod tests;
mod topics;

pub use ear::{RadioEar, RadioSettings};
pub use lines::frame_of_line;
pub use receiver::{Event, Frame, Receiver};

/// Which receiver it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiverKind {
    /// IMST iM871A-USB, and the iM170A.
    Im871a,
    /// Amber or Würth AMB8465, Metis.
    Amb8465,
    /// CUL, nanoCUL and others with culfw.
    Cul,
    /// Whatever says lines with a frame in hex: `rtl_wmbus`, a gateway of another maker.
    Lines,
}

impl ReceiverKind {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 4] = [Self::Im871a, Self::Amb8465, Self::Cul, Self::Lines];

    /// As in the configuration.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Im871a => "im871a",
            Self::Amb8465 => "amb8465",
            Self::Cul => "cul",
            Self::Lines => "lines",
        }
    }

    /// The speed of its serial line when it is new.
    pub const fn baud(self) -> u32 {
        match self {
            Self::Im871a => 57_600,
            Self::Amb8465 => 9_600,
            Self::Cul => 38_400,
            Self::Lines => 115_200,
        }
    }
}

/// What meters send in that are to be heard. One receiver hears one at a time; an AMB8465 hears C
/// and T together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RadioMode {
    /// Most meters of the north: Kamstrup, and newer ones of others.
    C,
    /// Frequent transmission.
    T,
    /// C and T, on a receiver that can; T on one that cannot.
    #[default]
    CAndT,
    /// Stationary.
    S,
}

impl RadioMode {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 4] = [Self::CAndT, Self::C, Self::T, Self::S];

    /// As in the configuration.
    pub const fn code(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::T => "t",
            Self::CAndT => "c+t",
            Self::S => "s",
        }
    }
}
