//! `fyrhus mbus`: what an installer does with an M-Bus before a gateway is configured for it, and
//! whenever something on it is odd.
//!
//! | Module      | Is                                                             |
//! |-------------|----------------------------------------------------------------|
//! | `decode`    | telegrams, taken apart                                         |
//! | `decoded`   | what they say: the object of `--json`, and lines for people     |
//! | `doctor`    | what is wrong with a wire that the gateway polls               |
//! | `explained` | every byte of them with its meaning                            |
//! | `hex`       | how people and receivers write telegrams down                  |
//! | `listen`    | the wire as it happens                                         |
//! | `scan`      | who is on it                                                   |
//! | `settings`  | address, speed and clock of a meter                            |
//! | `wrap`      | lines that fit a terminal, of text that a meter may have sent  |

mod decode;
mod decoded;
mod doctor;
mod explained;
mod hex;
mod listen;
mod scan;
mod settings;
mod wrap;

use clap::Subcommand;

pub(super) use self::decode::explained;
pub(super) use self::explained::{WirePiece, for_people as explained_for_people};
pub(super) use self::hex::to_hex;
use super::Out;
use super::read::ReadMbus;

/// What is done with an M-Bus.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A wire has one master. While the gateway polls a bus, only `decode`, `listen`
and `doctor` do not disturb it: stop the gateway first (systemctl stop fyrhus), or
ask the meter on its page.")]
pub(super) enum Mbus {
    /// Ask one meter for everything it has to say
    Read(ReadMbus),
    /// Find out who is on the wire; takes minutes
    Scan(scan::ScanMbus),
    /// Take telegrams apart, wired or radio, encrypted or not
    Decode(decode::Decode),
    /// Show what is said on a wire, without sending anything
    Listen(listen::Listen),
    /// Give a meter another primary address, and read it back
    SetAddress(settings::SetAddress),
    /// Make a meter talk at another speed, and follow it there
    SetBaud(settings::SetBaud),
    /// Set a meter's clock, and read it back
    SetClock(settings::SetClock),
    /// Tell what is wrong with a wire, from what the running gateway has seen of it
    Doctor(doctor::AskDoctor),
}

impl Mbus {
    /// Does it; whether all of it went well.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Read(command) => command.run(out),
            Self::Scan(command) => command.run(out),
            Self::Decode(command) => command.run(out),
            Self::Listen(command) => command.run(out),
            Self::SetAddress(command) => command.run(out),
            Self::SetBaud(command) => command.run(out),
            Self::SetClock(command) => command.run(out),
            Self::Doctor(command) => command.run(out),
        }
    }
}
