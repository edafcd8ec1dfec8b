//! The frame count bits: what each address was asked with last.

use crate::Primary;

/// One bit for each address, and whether it is known.
///
/// After a reset the first request has FCB 1; each answer toggles it; a repetition does not. The
/// selected address (253) has a memory of its own.
#[derive(Debug)]
pub(super) struct FcbMemory {
    known: [u8; 32],
    next: [u8; 32],
}

impl FcbMemory {
    pub(super) const fn new() -> Self {
        Self { known: [0; 32], next: [0; 32] }
    }

    /// The bit for the next request to `address`; 1 where nothing is known.
    pub(super) fn next(&self, address: Primary) -> bool {
        !self.is_known(address) || bit(&self.next, address)
    }

    pub(super) fn is_known(&self, address: Primary) -> bool {
        bit(&self.known, address)
    }

    /// The meter has acknowledged a reset.
    pub(super) fn reset(&mut self, address: Primary) {
        set(&mut self.known, address, true);
        set(&mut self.next, address, true);
    }

    /// The meter has answered a request with [`Self::next`].
    pub(super) fn answered(&mut self, address: Primary) {
        let fcb = self.next(address);
        set(&mut self.known, address, true);
        set(&mut self.next, address, !fcb);
    }

    pub(super) fn forget(&mut self, address: Primary) {
        set(&mut self.known, address, false);
    }
}

fn bit(bits: &[u8; 32], Primary(address): Primary) -> bool {
    bits.get(usize::from(address / 8)).is_some_and(|byte| byte >> (address % 8) & 1 != 0)
}

fn set(bits: &mut [u8; 32], Primary(address): Primary, value: bool) {
    if let Some(byte) = bits.get_mut(usize::from(address / 8)) {
        let mask = 1 << (address % 8);
        *byte = if value { *byte | mask } else { *byte & !mask };
    }
}
