//! Modbus, over a serial line or a network: registers in, values out.
//!
//! | Module   | Is                                                                |
//! |----------|-------------------------------------------------------------------|
//! | `frame`  | requests and answers as bytes                                      |
//! | `client` | which answer belongs to which question, without I/O                |
//! | `plan`   | which registers are asked for together                             |
//! | `round`  | one readout of one unit, as it comes together                      |
//! | `bus`    | all of it put together over a port                                 |
//! | `sweep`  | who is there                                                       |
//!
//! **Never true:** a late, short, long or foreign answer becomes a value. Nothing is ever written
//! to a device: so nothing is said to unit 0 either, to which all listen and nobody answers.

mod bus;
mod client;
#[cfg(test)]
mod faults;
mod frame;
pub mod plan;
mod round;
mod sweep;

pub use bus::ModbusBus;
pub(crate) use frame::{Answer, answer};
pub use frame::{Function, Request};
pub use sweep::{FoundUnit, Sweep, SweepProgress, SweepStep, sweep};
