//! What a month of the promise of uptime came to, as files: for programs, for accountants, for the
//! other side.
//!
//! ```text
//! ledger ──Book──▶ Statement ─┬─▶ case, result, statement as JSON; outages as a table
//!                             ├─▶ the statement's sheet, in bokmål or English
//!                             └─▶ the letter of claim, with its enclosures
//! ```
//!
//! **Never true:** that one of them says what does not follow from the ledger: who checks makes them
//! again and compares every byte.

mod letter;
mod result;
mod sheet;
mod told;
mod words;

use chrono::DateTime;

pub use letter::{Enclosure, letter};
pub use result::told as result_of;
pub use sheet::{Place, sheet};
pub use told::{case, minutes, result, statement, table, text};
pub use words::{Language, NoLanguage};

/// An instant as cases, results and statements have it: `2026-11-30T22:59:59Z`.
pub fn written(second: i64) -> String {
    let at = DateTime::from_timestamp(second, 0).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
