//! What the numbers on a page or a report mean.
//!
//! The gateway and the portfolio compute the same figures from the same readings with this
//! crate, so they cannot disagree about one.
//!
//! **Invariant:** the crate does no I/O, has no clock and knows no store: readings go in, figures
//! come out, in integers.

mod physics;
mod signature;
mod usual;

pub use physics::{
    Check, Kind, Open, Param, Shown, Verdict, What, Wrong, judged, parts_of, pulses_of, turned,
};
pub use signature::{FEWEST, Grows, Signature, Warmth, signature};
pub use usual::{Comparison, Day, HOURS, usual};
