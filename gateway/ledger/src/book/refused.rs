//! Why a ledger has no statement, or takes no entry, each as a sentence for whoever asked.

use std::fmt;

use chrono::NaiveDate;

/// Why there is no statement, or why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No contract is in the ledger.
    NoContract,
    /// Not a month.
    NoMonth(String),
    /// No day of the month is covered.
    NotCovered(String),
    /// An exclusion of this name was invoked before.
    Twice(String),
    /// No exclusion of this name was invoked.
    NoExclusion(String),
    /// No notice was given for this month.
    NoClaim(String),
    /// It is on an invoice, and that is the end.
    Credited(String),
    /// No statement was told in this entry.
    NotTold(u64),
    /// A contract after another does not say when it begins.
    NoStart,
    /// A contract would begin on this day, within a month that another covers, or before it.
    WithinMonth(NaiveDate),
    /// There is no such entry.
    NoEntry(u64),
    /// This entry is of a kind that nothing can stand in for.
    NotCorrected(u64),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContract => f.write_str("the ledger has no contract yet"),
            Self::NoMonth(text) => write!(f, "`{text}` is not a month such as 2026-11"),
            Self::NotCovered(month) => write!(f, "the contract covers no day of {month}"),
            Self::Twice(id) => write!(f, "there is an exclusion `{id}` already; give another name"),
            Self::NoExclusion(id) => write!(f, "there is no exclusion `{id}`"),
            Self::NoClaim(month) => write!(f, "no notice was given for {month}"),
            Self::Credited(month) => write!(f, "the credit of {month} is on an invoice already"),
            Self::NotTold(seq) => write!(f, "entry {seq} of the ledger tells no statement"),
            Self::NoStart => f.write_str(
                "a contract is in force already; the new one needs `start`, the first of a month, \
                 or the one in force is corrected first",
            ),
            Self::WithinMonth(start) => write!(
                f,
                "a contract cannot begin on {start} while another is in force: let it begin on the \
                 first of a later month, or correct the one in force first"
            ),
            Self::NoEntry(seq) => write!(f, "the ledger has no entry {seq}"),
            Self::NotCorrected(seq) => write!(
                f,
                "entry {seq} opens the ledger, names a key or is a correction; correct the entry \
                 that it is about"
            ),
        }
    }
}

impl std::error::Error for Refused {}
