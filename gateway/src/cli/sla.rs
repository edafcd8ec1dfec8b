//! `fyrhus sla`: what the promise of uptime comes to.
//!
//! | Module     | Is                                                       |
//! |------------|----------------------------------------------------------|
//! | `case`     | a case file, read                                         |
//! | `evaluate` | cases in, results out                                     |
//! | `export`   | what this gateway's ledger says: statement, evidence, key |
//! | `reconcile`| the books of both sides, difference by difference         |
//! | `record`   | what people write into it                                 |
//! | `verify`   | whether an evidence file holds                            |

pub(crate) mod case;
mod evaluate;
mod export;
mod reconcile;
mod record;
mod together;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::Out;

/// What is done with the uptime account.
#[derive(Debug, Subcommand)]
pub(super) enum Sla {
    /// Compute uptime, tier, deadline and credit of cases, each one service line in one month
    Evaluate(evaluate::Evaluate),
    /// Show the statement of a month, from the ledger alone
    Statement(export::ShowStatement),
    /// Write the claim for a month as a letter, and what goes with it
    Letter(export::Letter),
    /// Write one file that proves the statement of a month to whoever has the public keys
    Export(export::Export),
    /// Check an evidence file, on any machine, without a network
    Verify(verify::Verify),
    /// Lay the customer's book of a month and the vendor's beside each other
    Reconcile(reconcile::Reconcile),
    /// Take the months of several sites on one fee together
    Together(together::ShowTogether),
    /// Print the public key that this gateway signs its ledger with
    Key(export::ShowKey),
    /// Have another key sign the ledger from here on; the one before signs that it may
    ChangeKey(record::ChangeKey),
    /// Write into the ledger what was agreed, invoked, answered, claimed or credited
    #[command(subcommand)]
    Record(record::Record),
}

impl Sla {
    /// Does it.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let good = match self {
            Self::Evaluate(command) => return command.run(out),
            Self::Statement(command) => command.run(out)?,
            Self::Export(command) => command.run(out)?,
            Self::Letter(command) => command.run(out)?,
            Self::Verify(command) => command.run(out)?,
            Self::Key(command) => command.run(out)?,
            Self::Reconcile(command) => command.run(out)?,
            Self::Together(command) => command.run(out)?,
            Self::ChangeKey(command) => command.run(out)?,
            Self::Record(command) => command.run(out)?,
        };
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
