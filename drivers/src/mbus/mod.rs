//! M-Bus: the master's session over a port, and what its telegrams mean.
//!
//! | Module    | Is                                                        |
//! |-----------|-----------------------------------------------------------|
//! | `record`  | which register a record is, and its number                 |
//! | `readout` | the telegrams of an answer, joined; profile and identity   |
//! | `bus`     | the session of `mbus-rs`, over a port                      |
//!
//! **Never true:** what another meter or another master said becomes a value of this one.

pub(crate) mod bus;
#[cfg(test)]
mod corpus;
pub(crate) mod readout;
mod record;

pub use bus::MbusBus;
