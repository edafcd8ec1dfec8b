//! `fyrhus han`: what an electricity meter pushes at its customer port (HAN, P1).
//!
//! | Module   | Is                                                        |
//! |----------|-----------------------------------------------------------|
//! | `decode` | messages that were written down, taken apart               |
//! | `listen` | the port as it happens                                     |
//! | `told`   | what a message says: the object of `--json`, lines for people |

mod decode;
mod listen;
mod told;

use clap::Subcommand;
use drivers::han::{Key, Keys, Rules};

use super::Out;

/// What is done with a customer port.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
The port is closed when a meter is new: its owner asks the network operator to
open it, which costs nothing. Nothing is ever sent to the meter.")]
pub(super) enum Han {
    /// Take messages apart that were written down, in hex or as P1 text
    Decode(decode::Decode),
    /// Show what a meter pushes; finds speed and parity by itself
    Listen(listen::Listen),
}

impl Han {
    /// Does it; whether all of it went well.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Decode(command) => command.run(out),
            Self::Listen(command) => command.run(out),
        }
    }
}

/// What a message does not say by itself.
#[derive(Debug, clap::Args)]
struct Told {
    /// The meter's encryption key (EK, GUEK), 32 hex digits, from the network operator
    #[arg(long, value_name = "HEX")]
    key: Option<Key>,
    /// Its authentication key (AK, GAK), 32 hex digits: shows that nobody altered a message
    #[arg(long, value_name = "HEX", requires = "key")]
    auth_key: Option<Key>,
    /// What the energy registers of a Kamstrup meter count: 10 Wh in Norway, 1 Wh in Sweden
    /// [default: 10 if the meter has the Norwegian module, else they are not read]
    #[arg(long, value_name = "WH", value_parser = ["1", "10"])]
    kamstrup_energy: Option<String>,
}

impl Told {
    fn rules(&self) -> Rules {
        let authentication = self.auth_key;
        Rules {
            keys: self.key.map(|encryption| Keys { encryption, authentication }),
            kamstrup_energy: self.kamstrup_energy.as_deref().map(|it| i8::from(it == "10")),
        }
    }
}
