//! The vocabulary of metering: what was measured, by which meter, and when.
//!
//! Every other crate of the workspace speaks in these words, so this one depends on none of
//! them, does no I/O, and never asks what time it is. The words, in the order in which a value
//! meets them on its way from the wire to the bill:
//!
//! | Word                      | Answers                                           |
//! |---------------------------|---------------------------------------------------|
//! | [`MeterId`]               | which meter said it                               |
//! | [`Medium`]                | what that meter counts                            |
//! | [`Register`]              | which of its numbers this is                      |
//! | [`Quantity`]              | how many steps its display shows                  |
//! | [`Resolution`]            | how large a step is, of which [`Unit`]            |
//! | [`Reading`]               | a quantity of a register, or its absence, at one instant |
//! | [`NoReading`]             | why there is no quantity at that instant          |
//! | [`Quality`], [`Origin`]   | how far it can be believed, and how it came       |
//! | [`SeriesId`], [`PointId`] | where it is kept                                  |
//! | [`TimeBucket`]            | the quarter hour a reading is counted in          |
//! | [`Clock`], [`Moment`]     | what time it is, for those who must know          |
//!
//! **Invariant:** a number never travels without its unit, and is never a float. The only way
//! out of a [`Quantity`] to a bare integer is [`Quantity::mantissa`], and its callers are the
//! store and the wire formats, which write the [`Resolution`] down once for each series.
//!
//! **Invariant:** an absent reading is a value of its own ([`NoReading`]), not a zero, a NaN or
//! a missing row.

mod bucket;
mod clock;
mod ids;
mod meter;
mod quantity;
mod reading;
mod register;

pub use bucket::TimeBucket;
pub use clock::{Clock, Moment, Trust};
pub use ids::{GatewayId, InvalidId, MeterId, PointId, SeriesId, SiteId, UserId};
pub use meter::{Identity, Medium, UnknownMedium};
pub use quantity::{Dimension, InvalidDecimal, Quantity, QuantityError, Resolution, Unit};
pub use reading::{NoReading, Origin, Quality, Reading};
pub use register::{Direction, Function, InvalidRegister, Name, Phase, Register};
