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
//! | [`Recent`]       | which messages have been heard before, by this receiver or a repeater    |
//! | [`Transmission`] | the other direction: what a meter sends                                  |
//!
//! **Invariant:** nothing is decoded that was not opened with the right key. Right is a key whose
//! plain text begins `2F 2F`, or agrees with the checksum of the link layer, and whose message
//! authentication code, where there is one, agrees first. The one exception is a telegram that is
//! plain although its header calls it encrypted, and only where no key is known
//! ([`State::PlainMarked`]).
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
pub use recent::Recent;
pub use transmission::{Security, Transmission};
