//! Pulses of meters (S0, EN 62053-31, and reed contacts), counted at the GPIO lines of this machine.
//!
//! ```text
//!  meter ──▶ GPIO line ──▶ kernel: debounce, time, number ──▶ Input: edges to pulses
//!                                                                │
//!  Bus::read ◀── counter, power ◀── Counts: kept on the disk ◀───┘
//! ```
//!
//! | Module     | Is                                                          |
//! |------------|-------------------------------------------------------------|
//! | `event`    | an edge, as the kernel writes it                             |
//! | `input`    | from edges to pulses: which count, and how many were lost    |
//! | `source`   | where edges come from: a GPIO chip, or a simulator's socket  |
//! | [`Counts`] | what has been counted, and keeps it over a power cut         |
//! | [`PulseBus`] | the lines of one chip, asked like any other bus            |
//!
//! What is counted between two keepings, at most 10 s apart, a power cut takes away, and what comes
//! while the machine has no power is not seen: the counter is set to the meter's display again by
//! `fyrhus pulse set`. A reading is told only of what has been kept, so a counter never goes back.
//! Source: the kernel's GPIO character device, version 2 of its interface.
//!
//! **Never true:** edges that the kernel lost are passed over in silence, or a bounce is a pulse.

mod bus;
mod counts;
mod event;
mod input;
mod slots;
mod source;

pub use bus::PulseBus;
pub use counts::{Counter, Counts, KEEP_EVERY, NotSet};
