//! The ports of this machine, as the daemon tells them and as it has tried them.

/// A port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFound {
    /// As it would stand in the configuration: `serial:///dev/serial/by-id/usb-FTDI…`.
    pub port: String,
    /// What the device calls itself; empty if it does not.
    pub name: String,
    /// The bus that has it.
    pub bus: Option<String>,
}

/// What was found at a port, speed by speed in the order of trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTried {
    /// The speed, and what was heard.
    pub tries: Vec<(u32, Heard)>,
}

/// What was heard at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// Something that is no answer at this speed, or several answers at once.
    Noise,
    /// A meter.
    Meter,
}

impl Heard {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Noise => "noise",
            Self::Meter => "meter",
        }
    }
}

/// Why a port was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// It is no port of an M-Bus.
    NoPort,
    /// This bus has it.
    Taken(String),
    /// It cannot be opened, as one English sentence.
    Closed(String),
    /// Another one is being tried.
    Busy,
}
