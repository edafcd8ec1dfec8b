//! M-Bus telegrams, wired and by radio, and the master's session, without I/O.
//!
//! The crate does not allocate, opens no port and knows no clock: it borrows the bytes it reads,
//! writes into a buffer that the caller lends, and is told what time it is. A telegram, from the
//! outside in:
//!
//! ```text
//! 68 L L 68   C  A   CI   header   DIB VIB data   DIB VIB data  …   CS 16
//! └────────── Frame ──────────────────────────────────────────────────────┘
//!                    └── Telegram ──────────────────────────────┘
//!                         Header   └─ Record ─┘   └─ Record ─┘
//! ```
//!
//! | Word                        | Is                                                            |
//! |-----------------------------|---------------------------------------------------------------|
//! | [`Frame`]                   | what stands on the wire: start, length, checksum, stop        |
//! | [`Primary`], [`Secondary`], [`Selection`] | whom it is for, or who says it                  |
//! | [`Telegram`], [`Header`]    | what the meter says, and the fixed part of it                 |
//! | [`Record`], [`Records`]     | its numbers, one by one                                       |
//! | [`Answer`]                  | those of several telegrams, numbered through                  |
//! | [`Dib`], [`Vib`]            | which number it is, and of what                               |
//! | [`Value`], [`Number`]       | the number, exactly                                           |
//! | [`Entry`], [`VibBuf`], [`Data`] | a record to be written, by a meter or a simulated one     |
//! | [`mod@explain`]             | each byte with its meaning, for people                        |
//! | [`radio`], [`crypto`]       | radio frames, encrypted telegrams, compact frames             |
//! | [`Request`]                 | what a master sends                                           |
//! | [`Session`], [`Task`], [`Action`] | the master's side of one bus                            |
//! | [`Search`], [`PrimaryScan`] | who is on it                                                  |
//! | [`Overhear`]                | what others say on it                                         |
//!
//! **Invariant:** no bytes make a reader panic, loop or read on behind their end. What can be
//! constructed can be written.
//!
//! **Invariant:** a value is never a float and never rounded: [`Number`] is a mantissa and a power
//! of ten, or the bits of the float that the meter sent. A value that the meter marks as invalid
//! is an error with its reason ([`Invalid`]), never a number.
//!
//! Source: EN 13757-2 (frames), EN 13757-3 (telegrams), EN 13757-4 and -7 (radio, encryption),
//! and the M-Bus user group's documentation.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod address;
mod answer;
pub mod crypto;
mod dib;
mod entry;
pub mod explain;
mod fixed;
mod frame;
mod header;
mod overhear;
pub mod radio;
mod reader;
mod record;
mod request;
mod search;
mod session;
mod telegram;
mod value;
mod vib;
mod writer;

pub use address::{Id, InvalidAddress, Manufacturer, Primary, Secondary, Selection};
pub use answer::{Answer, Joint};
pub use dib::{Bits, Dib, Encoding, Function};
pub use entry::{Data, Entry};
pub use fixed::Fixed;
pub use frame::{Control, Frame, Long, write_frame};
pub use header::{Application, Configuration, Header, Medium, Status};
pub use overhear::{Overhear, Overheard};
pub use reader::{ByteOrder, DecodeError, Flaw, Part, Reader};
pub use record::{DataType, Record, Records, Trailer};
pub use request::{Baud, Request};
pub use search::{Found, Place, PrimaryScan, ScanAction, Search, SearchAction};
pub use session::{
    Action, Failure, Patience, Prelude, Reason, Reset, Responses, Session, Settings, Step, Summary,
    Target, Task, Traffic,
};
pub use telegram::{ApplicationError, Content, Sealed, Telegram, ci};
pub use value::{Date, Invalid, Latin1, Number, Real32, Time, Value};
pub use vib::{Modifier, Modifiers, Quantity, Sort, Unit, Vib, VibBuf};
pub use writer::{Full, Writer};

/// The examples of `README.md` are tried, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
