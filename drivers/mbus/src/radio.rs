//! Telegrams by radio, and encrypted ones from anywhere.
//!
//! ```text
//! L C M M A A A A A A   8C..8F …  90 …   72|7A|78 …   2F 2F DIB VIB data …   checksums
//! └───── RadioLink ──┘  └─ Ell ─┘└ Afl ┘ └─ header ─┘ └─── may be sealed ─┘  every block of A,
//!                                                                            126 bytes of B, or none
//! ```
//!
//! | Word             | Is                                                                       |
//! |------------------|--------------------------------------------------------------------------|
//! | [`Listener`]     | takes frames as they come, whatever their kind, and remembers formats    |
//! | [`Heard`]        | what a frame says: its [`Envelope`], and what is in it or why not        |
//! | [`Framing`]      | where checksums stand between the bytes; seen, never told                |
//! | [`Ell`], [`Afl`] | the layers between link and header                                       |
//! | [`Format`]       | the DIBs and VIBs that a compact frame leaves out                        |
//! | [`Pieces`]       | puts messages together that come in several frames                       |
//! | [`Recent`]       | which messages have been heard before, by this receiver or a repeater    |
//! | [`Transmission`] | the other direction: what a meter sends                                  |
//!
//! ```
//! use mbus::Content;
//! use mbus::crypto::Key;
//! use mbus::radio::{Format, Listener, Scratch};
//!
//! let mut formats = [Format::EMPTY; 16];
//! let mut listener = Listener::new(&mut formats);
//! let mut scratch = Scratch::new();
//!
//! // A water meter that sends 12.345 m3 in plain text; whoever has its keys gives them here.
//! let frame = [
//!     0x14, 0x44, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x07, // the link
//!     0x7A, 0x2A, 0x00, 0x00, 0x00, // a short header
//!     0x04, 0x13, 0x39, 0x30, 0x00, 0x00,
//! ];
//! let keys: &[Key] = &[];
//! let heard = listener.hear(&frame, keys, &mut scratch);
//! assert_eq!(heard.envelope.meter.unwrap().to_string(), "12345678KAM1B07");
//! let Ok(Content::Records(mut records)) = heard.content else { panic!() };
//! let volume = records.next().unwrap()?;
//! assert_eq!(volume.to_string(), "volume: integer 12.345 m3");
//! # Ok::<(), mbus::DecodeError>(())
//! ```
//!
//! **Invariant:** nothing is decoded that was not opened with the right key. Right is a key whose
//! plain text begins `2F 2F`, or agrees with the checksum of the link layer, and whose message
//! authentication code, where there is one, agrees first. The one exception is a telegram that is
//! plain although its header calls it encrypted, whole to its last record, and only where no key is
//! known ([`State::PlainMarked`]). Sixteen bits agree by chance once in 65 536 telegrams: only an
//! authentication code is proof.
//!
//! **Invariant:** an offset counts from the first byte of the frame after its checksums were taken
//! out, also in what has been decrypted.
//!
//! Source: EN 13757-4, "wireless link"; EN 13757-7, "authentication and fragmentation layer",
//! "security modes"; EN 13757-3, "compact frames"; Open Metering System, volume 2.

mod afl;
mod compact;
mod ell;
mod envelope;
mod flaw;
mod link;
mod listener;
mod opener;
mod pieces;
mod recent;
#[cfg(test)]
mod tests;
mod transmission;

pub use afl::{Afl, Mac};
pub use compact::{Format, write_compact};
pub use ell::{Ell, Session};
pub use envelope::{Encryption, Envelope, Layer, Link, State};
pub use flaw::{RadioFlaw, SealFlaw};
pub use link::{Framing, RadioLink};
pub use listener::{Heard, Listener, Scratch};
pub use pieces::{LONGEST_GAP, Piece, Pieces};
pub use recent::Recent;
pub use transmission::{Security, Transmission};
