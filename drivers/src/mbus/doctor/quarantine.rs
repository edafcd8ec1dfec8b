//! A device that is nearly the one before is a line fault until it has shown that it is not.
//!
//! The checksum of M-Bus is a sum of bytes. It sees every single flipped bit, but not two that are
//! the same bit of two bytes, one up and one down, and the parity of a byte sees neither where the
//! port does not tell or the converter drops it. So now and then an answer whose address is wrong
//! passes for right: 67001122 becomes 67001322, and a meter is there that nobody has bought, with a
//! history of its own.
//!
//! Addresses that differ in at most [`MOST_BITS`] of their 64 bits are *near*. Two flips that the
//! sum does not see are two bits; that parity does not see either, four. Numbers of one delivery are
//! near as well: 67001129 and 67001130 differ in three bits. So a near one is only held back until
//! it has shown that it is a device:
//!
//! * by answering twice in a row, in the same words, with nothing odd on the wire, while the known
//!   one is heard elsewhere: both exist;
//! * or, where the known one is not heard any more, [`HELD_WHILE_ALONE`] times in a row: a meter was
//!   exchanged for its neighbour of the same delivery. A fault of the wire does not say the same
//!   four times without the true address in between.
//!
//! Whatever breaks the row begins it anew.

use std::fmt;

use ::mbus::{Frame, Selection};
use serde::{Deserialize, Serialize};

/// A secondary address, all 64 bits as they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Whole(u64);

/// So few bits may be a fault of the wire.
pub const MOST_BITS: u32 = 4;

/// So often a near one has to answer in a row where the known one is gone.
pub const HELD_WHILE_ALONE: u8 = 4;

/// And so often where both are heard.
const HELD_BESIDE: u8 = 2;

/// Whether `b` may be what a fault of the wire makes of `a`: different, but in few bits.
pub const fn are_near(a: Whole, b: Whole) -> bool {
    let bits = (a.0 ^ b.0).count_ones();
    bits > 0 && bits <= MOST_BITS
}

impl Whole {
    /// Of a selection without wildcards.
    pub const fn of(selection: Selection) -> Self {
        let Selection { id, manufacturer, version, medium, .. } = selection;
        let tail = (manufacturer as u64) << 16 | (version as u64) << 8 | medium as u64;
        Self((id as u64) << 32 | tail)
    }

    /// The selection to which it alone feels addressed.
    pub const fn selection(self) -> Selection {
        let [i3, i2, i1, i0, m1, m0, version, medium] = self.0.to_be_bytes();
        let id = u32::from_be_bytes([i3, i2, i1, i0]);
        let manufacturer = u16::from_be_bytes([m1, m0]);
        Selection { id, manufacturer, version, medium, fabrication: None }
    }

    /// Of a frame whose telegram has the long header; the others tell no whole address.
    pub(crate) fn of_telegram(bytes: &[u8]) -> Option<Self> {
        let Ok(Frame::Long(long)) = Frame::read(bytes) else { return None };
        Some(Self::of(Selection::of(long.header()?.address()?)))
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.selection().fmt(f)
    }
}

/// Which device is known to answer, and which is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Quarantine {
    pub(super) known: Option<Whole>,
    /// And how often in a row it answered.
    pub(super) suspect: Option<(Whole, u8)>,
}

impl Quarantine {
    /// Whether an answer of `found` is believed; it came with nothing odd on the wire if it is
    /// `clean`, and `known_lives` where the known one is heard elsewhere.
    ///
    /// # Errors
    ///
    /// The known one, from which it differs too little.
    pub(super) fn admit(
        &mut self,
        found: Whole,
        clean: bool,
        known_lives: bool,
    ) -> Result<(), Whole> {
        let Some(known) = self.known.filter(|known| are_near(*known, found)) else {
            // The known one itself, the first one ever, or quite another: an exchanged meter.
            *self = Self { known: Some(found), suspect: None };
            return Ok(());
        };
        let before = self.suspect.filter(|(suspect, _)| *suspect == found).map_or(0, |it| it.1);
        let times = if clean { before.saturating_add(1) } else { 0 };
        let enough = if known_lives { HELD_BESIDE } else { HELD_WHILE_ALONE };
        if times >= enough {
            *self = Self { known: Some(found), suspect: None };
            return Ok(());
        }
        self.suspect = Some((found, times));
        Err(known)
    }
}
