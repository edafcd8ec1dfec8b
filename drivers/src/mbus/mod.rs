//! M-Bus: the master's session over a port, and what its telegrams mean.
//!
//! | Module    | Is                                                        |
//! |-----------|-----------------------------------------------------------|
//! | `record`  | which register a record is, and its number                 |
//! | `readout` | the telegrams of an answer, joined; profile and identity   |
//! | `memory`  | what of them is of an earlier time                         |
//! | `opening` | the keys and formats that open them                        |
//! | `bus`     | the session of `mbus-rs`, over a port                      |
//! | `setup`   | what is set in a meter once, and read back                 |
//! | `tap`     | listening to a wire without a byte sent                    |
//!
//! **Never true:** what another meter or another master said becomes a value of this one.

pub(crate) mod bus;
#[cfg(test)]
mod corpus;
pub(crate) mod doctor;
mod memory;
pub(crate) mod opening;
pub(crate) mod readout;
mod record;
mod setup;
mod tap;

pub use bus::MbusBus;
pub use setup::{SetError, SpeedSet};
pub use tap::Tap;
