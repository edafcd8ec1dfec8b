//! `fyrhus modbus`: what an installer does with a Modbus before a gateway is configured for it.
//!
//! | Module | Is                                   |
//! |--------|--------------------------------------|
//! | `scan` | who is on it                         |

mod scan;

use clap::Subcommand;

use super::Out;
use super::read::ReadModbus;

/// What is done with a Modbus. Nothing is ever written to a device.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A serial line has one master, and many gateways serve one or two connections.
While the gateway polls a bus, stop it first (systemctl stop fyrhus), or ask the
meter on its page.")]
pub(super) enum Modbus {
    /// Ask one device for the registers of its profile
    Read(ReadModbus),
    /// Find out who is on the wire, and of which type
    Scan(scan::ScanModbus),
}

impl Modbus {
    /// Does it; whether all of it went well.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Read(command) => command.run(out),
            Self::Scan(command) => command.run(out),
        }
    }
}
