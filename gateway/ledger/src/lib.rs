//! What uptime the cloud promised, and what it kept.
//!
//! ```text
//! attempts of the report probe ──account──▶ coded spans ──evaluate──▶ the running month's verdict
//!                                                │
//!                exclusions, claim, contract ────┴──▶ case ──settle──▶ tier, credit, deadline
//! ```
//!
//! The promise is an average over a calendar month of the contract's zone: the reports of a
//! building can be had 99.5 % of the time. What is measured is a report query that reads back
//! a value the cloud acknowledged earlier; meter readings play no part.
//!
//! **Invariant:** durations are whole seconds and shares are fractions of integers. Nothing is
//! rounded before it is compared, and a printed percentage is cut, so 99.49999 never reads 99.5.
//!
//! **Invariant:** the crate does no I/O and never asks what time it is.
//!
//! **Invariant:** time that nobody measured is *unknown*, a third state beside up and down. It
//! counts as up for the credit, because the customer has to prove the breach, and it is never
//! hidden: the verdict says what the tier would be if all of it had been down.

mod account;
pub mod book;
mod bytes;
mod canon;
pub mod case;
pub mod chain;
pub mod entry;
pub mod ingest;
mod interval;
pub mod minutes;
mod month;
pub mod note;
pub mod reconcile;
pub mod settlement;
mod sla;
mod terms;
pub mod together;
mod tried;

pub use account::{
    Attempt, Code, Failure, Outcome, References, Settings, Span, TlsFailure, account,
};
pub use bytes::Channel;
pub use canon::NoWord;
pub use interval::Interval;
pub use month::{InvalidMonth, Month, Period};
pub use settlement::settle;
pub use sla::{Outage, Unknown, Verdict, evaluate};
pub use terms::{Limit, NoTiers, Terms, Tier, Tiers};
pub use tried::Tried;
