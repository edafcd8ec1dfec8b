//! The extended link layer: an access number for telegrams without a header, and encryption of
//! all that follows.
//!
//! ```text
//! 8C   control access
//! 8D   control access              session 4  CRC 2  …
//! 8E   control access  M 2  A 6
//! 8F   control access  M 2  A 6    session 4  CRC 2  …
//!                                             └─ encrypted, if session bits 29 to 31 = 1
//! ```
//!
//! The checksum, low byte first, is of everything behind it; it also tells whether a key was right.
//!
//! Source: EN 13757-4, "extended link layer".

use super::link::{Checksum, as_sent_first, sent_first};
use super::{RadioFlaw, SealFlaw};
use crate::crypto::{BLOCK, Key};
use crate::{DecodeError, Flaw, Full, Part, Reader, Secondary, Writer};

/// An extended link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ell {
    /// Which way, how soon, whether a repeater passed it on.
    pub control: u8,
    /// Counts the messages.
    pub access_number: u8,
    /// The meter, where the link is that of a radio in front of it.
    pub meter: Option<Secondary>,
    /// How the rest is encrypted; with it comes a checksum.
    pub session: Option<Session>,
}

/// The session number: time, session and mode in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session(pub u32);

impl Session {
    /// The upper three bits: 0 plain, 1 AES-128 in counter mode, others reserved.
    pub const fn mode(self) -> u8 {
        let [.., high] = self.0.to_le_bytes();
        high >> 5
    }
}

impl Ell {
    /// Reads the layer if there is one, and leaves `r` on its checksum or behind it.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let (has_meter, has_session) = match r.rest().first() {
            Some(0x8C) => (false, false),
            Some(0x8D) => (false, true),
            Some(0x8E) => (true, false),
            Some(0x8F) => (true, true),
            _ => return Ok(None),
        };
        let [_, control, access_number] = r.array(Part::Header)?;
        let meter = if has_meter { Some(sent_first(r.array(Part::Header)?)) } else { None };
        let session = if has_session {
            Some(Session(u32::from_le_bytes(r.array(Part::Header)?)))
        } else {
            None
        };
        Ok(Some(Self { control, access_number, meter, session }))
    }

    /// Writes the layer up to its checksum.
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        w.bytes(&[self.ci(), self.control, self.access_number])?;
        if let Some(meter) = self.meter {
            w.bytes(&as_sent_first(&meter))?;
        }
        self.session.map_or(Ok(()), |session| w.bytes(&session.0.to_le_bytes()))
    }

    /// Which of the four kinds it is.
    pub const fn ci(&self) -> u8 {
        match (self.meter.is_some(), self.session.is_some()) {
            (false, false) => 0x8C,
            (false, true) => 0x8D,
            (true, false) => 0x8E,
            (true, true) => 0x8F,
        }
    }

    /// How the rest is encrypted, as in decoded telegrams.
    pub const fn encryption(&self) -> &'static str {
        match self.session {
            None => "none",
            Some(session) => match session.mode() {
                0 => "none",
                1 => "aes_ctr",
                _ => "reserved",
            },
        }
    }

    /// The first counter block, for a message of `sender`. A repeater may change two bits of the
    /// control byte, which are left out.
    pub(super) fn counter_block(&self, sender: &Secondary) -> [u8; BLOCK] {
        let [m0, m1, a0, a1, a2, a3, a4, a5] = as_sent_first(sender);
        let [s0, s1, s2, s3] = self.session.map_or(0, |session| session.0).to_le_bytes();
        let control = self.control & !0b0001_0010;
        [m0, m1, a0, a1, a2, a3, a4, a5, control, s0, s1, s2, s3, 0, 0, 0]
    }

    /// Decrypts `payload`, which begins with its checksum, with the first of `keys` that is right.
    ///
    /// One wrong key in 65 536 agrees with the checksum, too, so that one under which there is
    /// something to be read goes before.
    ///
    /// # Errors
    ///
    /// [`SealFlaw::KeyWrong`] if none is; `payload` is as it was.
    pub(super) fn open(
        &self,
        link: &Secondary,
        keys: &[Key],
        payload: &mut [u8],
    ) -> Result<(), SealFlaw> {
        // The standard means the link's address; some radios use that of the meter behind them.
        let senders = [Some(*link), self.meter.filter(|meter| meter != link)];
        let mut doubtful = None;
        for key in keys {
            for sender in senders.iter().flatten() {
                let first = self.counter_block(sender);
                key.overlay(first, payload);
                if payload_flaw(payload).is_none() {
                    if matches!(payload.get(2), Some(0x69..=0x7F | 0x90 | 0xA0..=0xB7)) {
                        return Ok(());
                    }
                    doubtful = doubtful.or(Some((key, first)));
                }
                key.overlay(first, payload);
            }
        }
        let (key, first) = doubtful.ok_or(SealFlaw::KeyWrong)?;
        key.overlay(first, payload);
        Ok(())
    }
}

/// What is wrong with the checksum at the beginning of `payload`.
pub(super) fn payload_flaw(payload: &[u8]) -> Option<Flaw> {
    let Some((found, rest)) = payload.split_first_chunk() else {
        return Some(Flaw::Truncated(Part::Header));
    };
    let (found, right) = (u16::from_le_bytes(*found), Checksum::of(rest));
    (found != right).then_some(Flaw::Radio(RadioFlaw::PayloadChecksum { found, right }))
}
