//! The radio link: who speaks, and checksums between the bytes.
//!
//! ```text
//!           L C M M A A A A A A   CI …
//! A         └── 10 bytes ──────┘ CRC  16 bytes CRC  16 bytes CRC  …    L counts no checksum
//! B         └── up to 126 bytes in all ─────────┘ CRC  the rest CRC    L counts them
//! bare      receivers that check and take out the checksums themselves
//! ```
//!
//! A = identification 4, version, medium. The checksum has the polynomial 3D65, begins with 0, is
//! complemented and has its high byte first.
//!
//! **Invariant:** which of the three a frame is follows from its bytes. A frame is taken for B only
//! if its checksums agree, so that a bare one whose length byte says the same stays what it is.
//!
//! Source: EN 13757-4, "frame format A", "frame format B"; checksum from EN 13757-1.

use super::RadioFlaw;
use crate::{Control, DecodeError, Flaw, Full, Id, Manufacturer, Medium, Secondary, Writer};

/// The link of a radio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioLink {
    /// Where its checksums were.
    pub framing: Framing,
    /// What is said: `44` from a meter unasked, `46` while it is being installed, `08` when asked.
    pub control: Control,
    /// Who says it: the meter, or the radio in front of it.
    pub address: Secondary,
}

/// Where checksums stand in a radio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Behind the first 10 bytes and every 16 that follow.
    A,
    /// Behind the first 126 bytes and the rest.
    B,
    /// Nowhere: the receiver has taken them out.
    Bare,
}

impl Framing {
    /// As in decoded telegrams.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::Bare => "none",
        }
    }

    /// The framing of `frame`.
    fn of(frame: &[u8]) -> Result<Self, DecodeError> {
        let found = frame.len();
        let said = frame.first().copied().unwrap_or_default();
        let counted = usize::from(said) + 1;
        let framing = if found == counted {
            // Shorter ones have nothing in them. With 129 or 130 bytes there is a second block
            // without data.
            let can_be_b = found >= 15 && !(129..=130).contains(&found);
            if can_be_b && Self::B.blocks(frame).all(|block| block.flaw().is_none()) {
                Self::B
            } else {
                Self::Bare
            }
        } else if found == counted + 2 * Self::blocks_of_a(counted) {
            Self::A
        } else {
            let flaw = Flaw::Radio(RadioFlaw::Length { said, found });
            return Err(DecodeError { at: 0, flaw });
        };
        if found < MIN_LEN {
            return Err(DecodeError { at: found, flaw: Flaw::Radio(RadioFlaw::TooShort(found)) });
        }
        Ok(framing)
    }

    const fn blocks_of_a(len: usize) -> usize {
        1 + len.saturating_sub(LINK_LEN).div_ceil(16)
    }

    fn blocks(self, frame: &[u8]) -> Blocks<'_> {
        let first = match self {
            Self::A => LINK_LEN,
            Self::B => 126,
            Self::Bare => usize::MAX,
        };
        Blocks { framing: self, next: first, rest: frame }
    }

    /// How many bytes a block behind the first may have.
    const fn block_len(self) -> usize {
        match self {
            Self::A => 16,
            Self::B | Self::Bare => usize::MAX,
        }
    }
}

/// The blocks of a frame.
#[derive(Clone, Debug)]
struct Blocks<'a> {
    framing: Framing,
    next: usize,
    rest: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    data: &'a [u8],
    checksum: Option<u16>,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        if self.framing == Framing::Bare {
            let data = core::mem::take(&mut self.rest);
            return (!data.is_empty()).then_some(Block { data, checksum: None });
        }
        let room = self.rest.len().checked_sub(2)?;
        let (data, behind) = self.rest.split_at_checked(self.next.min(room))?;
        let (checksum, rest) = behind.split_first_chunk()?;
        self.rest = rest;
        self.next = self.framing.block_len();
        Some(Block { data, checksum: Some(u16::from_be_bytes(*checksum)) })
    }
}

impl Block<'_> {
    fn flaw(&self) -> Option<RadioFlaw> {
        let found = self.checksum?;
        let right = Checksum::of(self.data);
        (found != right).then_some(RadioFlaw::Checksum { found, right })
    }
}

impl RadioLink {
    /// Reads the link of `frame` and copies the frame without its checksums into `bare`, of which
    /// it tells the length.
    pub(super) fn read(frame: &[u8], bare: &mut [u8]) -> Result<(Self, usize), DecodeError> {
        let framing = Framing::of(frame)?;
        let mut w = Writer::new(bare);
        for block in framing.blocks(frame) {
            let too_long = RadioFlaw::TooShort(frame.len());
            w.bytes(block.data).map_err(|_| DecodeError { at: 0, flaw: Flaw::Radio(too_long) })?;
            if let Some(flaw) = block.flaw() {
                return Err(DecodeError { at: w.len(), flaw: Flaw::Radio(flaw) });
            }
        }
        let written = w.written();
        let Some(&[_, control, ref address @ ..]) = written.first_chunk::<LINK_LEN>() else {
            let flaw = Flaw::Radio(RadioFlaw::TooShort(written.len()));
            return Err(DecodeError { at: written.len(), flaw });
        };
        let link = Self { framing, control: Control(control), address: sent_first(*address) };
        Ok((link, written.len()))
    }

    /// Writes the link, `payload` from its first CI on, and checksums as the framing has them.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has too little room, or the frame more bytes than a length byte can say.
    pub fn write(&self, payload: &[u8], w: &mut Writer<'_>) -> Result<(), Full> {
        let mut bare = [0; MAX_LEN];
        let mut inner = Writer::new(&mut bare);
        let len = LINK_LEN + payload.len();
        let said = match self.framing {
            Framing::A | Framing::Bare => len - 1,
            Framing::B if len <= 126 => len + 1,
            Framing::B => len + 3,
        };
        inner.bytes(&[u8::try_from(said).map_err(|_| Full)?, self.control.0])?;
        inner.bytes(&as_sent_first(&self.address))?;
        inner.bytes(payload)?;
        let mut rest = inner.written();
        let mut next = if self.framing == Framing::A { LINK_LEN } else { 126 };
        if self.framing == Framing::Bare {
            return w.bytes(rest);
        }
        while !rest.is_empty() {
            let (block, behind) = rest.split_at(next.min(rest.len()));
            w.bytes(block)?;
            w.bytes(&Checksum::of(block).to_be_bytes())?;
            rest = behind;
            next = self.framing.block_len();
        }
        Ok(())
    }
}

/// An address as radio sends it, and as it goes into what is encrypted: the manufacturer first.
pub(super) fn as_sent_first(address: &Secondary) -> [u8; 8] {
    let [m0, m1] = address.manufacturer.0.to_le_bytes();
    let [i0, i1, i2, i3] = address.id.0.to_le_bytes();
    [m0, m1, i0, i1, i2, i3, address.version, address.medium.code()]
}

pub(super) const fn sent_first([m0, m1, i0, i1, i2, i3, version, medium]: [u8; 8]) -> Secondary {
    Secondary {
        id: Id(u32::from_le_bytes([i0, i1, i2, i3])),
        manufacturer: Manufacturer(u16::from_le_bytes([m0, m1])),
        version,
        medium: Medium::new(medium),
    }
}

/// The checksum of radio frames, and of what compact frames stand for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checksum(u16);

impl Checksum {
    pub(super) fn of(bytes: &[u8]) -> u16 {
        let mut checksum = Self::default();
        checksum.add(bytes);
        checksum.value()
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [high, low] = self.0.to_be_bytes();
            let step = STEPS.get(usize::from(high ^ byte)).copied().unwrap_or_default();
            self.0 = u16::from_be_bytes([low, 0]) ^ step;
        }
    }

    pub(super) const fn value(self) -> u16 {
        !self.0
    }
}

const STEPS: [u16; 256] = {
    let mut steps = [0; 256];
    let mut byte = 0_u16;
    while byte < 256 {
        let mut step = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            step = if step & 0x8000 == 0 { step << 1 } else { step << 1 ^ 0x3D65 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "the compiler runs it, and would tell")]
        {
            steps[byte as usize] = step;
        }
        byte += 1;
    }
    steps
};

/// L, C, M and A.
pub(super) const LINK_LEN: usize = 10;
/// Of a frame without checksums, or before they are taken out of one in format B.
pub(super) const MAX_LEN: usize = 256;
const MIN_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn address() -> Secondary {
        sent_first([0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x16])
    }

    fn frame(framing: Framing, payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        let link = RadioLink { framing, control: Control(0x44), address: address() };
        link.write(payload, &mut w).unwrap();
        w.written().to_vec()
    }

    #[track_caller]
    fn check(frame: &[u8], expected: Result<(Framing, usize), &str>) {
        let read = RadioLink::read(frame, &mut [0; MAX_LEN])
            .map(|(link, len)| (link.framing, len))
            .map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned));
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The usual check: the digits from 1 to 9.
        assert_eq!(Checksum::of(b"123456789"), 0xC2B7);
        assert_eq!(Checksum::of(&[]), 0xFFFF);
    }

    #[test]
    fn lengths_tell_the_framing_and_checksums_decide() {
        for len in [2, 16, 17, 100, 116, 117, 118, 119, 200] {
            let payload = vec![0x2F; len];
            check(&frame(Framing::Bare, &payload), Ok((Framing::Bare, 10 + len)));
            check(&frame(Framing::A, &payload), Ok((Framing::A, 10 + len)));
            let b = frame(Framing::B, &payload);
            if b.len() >= 15 {
                check(&b, Ok((Framing::B, 10 + len)));
            }
            let mut wrong = b.clone();
            *wrong.last_mut().unwrap() ^= 1;
            check(&wrong, Ok((Framing::Bare, b.len())));
        }
    }

    #[test]
    fn a_second_block_has_data() {
        let mut b = frame(Framing::Bare, &[0x2F; 116]);
        b[0] = 129;
        b.extend(Checksum::of(&b).to_be_bytes());
        b.extend(Checksum::of(&[]).to_be_bytes());
        check(&b, Ok((Framing::Bare, 130)));
    }

    #[test]
    fn each_flaw_is_told_where_it_is() {
        let mut a = frame(Framing::A, &[0x2F; 20]);
        a[29] ^= 1;
        check(&a, Err("byte 26: the checksum of the block before is 0x63d6 and should be 0x63d7"));
        check(
            &[0x30, 0x44, 0x2D, 0x2C],
            Err("byte 0: the length byte 0x30 is not that of a radio frame of 4 bytes"),
        );
        check(&[2, 0x44, 0x2D], Err("byte 3: a radio frame has at least 12 bytes and this one 3"));
        check(&[], Err("byte 0: the length byte 0x00 is not that of a radio frame of 0 bytes"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            payload in prop::collection::vec(any::<u8>(), 3..240), control: u8, address: [u8; 8],
        ) {
            for framing in [Framing::A, Framing::B, Framing::Bare] {
                let link =
                    RadioLink { framing, control: Control(control), address: sent_first(address) };
                let mut buffer = [0; 300];
                let mut w = Writer::new(&mut buffer);
                prop_assert_eq!(link.write(&payload, &mut w), Ok(()));
                let mut bare = [0; MAX_LEN];
                let (read, len) = RadioLink::read(w.written(), &mut bare).unwrap();
                // The last two bytes of one bare frame in 65 536 are its checksum.
                prop_assume!(framing != Framing::Bare || read.framing == framing);
                prop_assert_eq!(&bare[LINK_LEN..len], payload.as_slice());
                prop_assert_eq!(read, link);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Err(error) = RadioLink::read(&bytes, &mut [0; MAX_LEN]) {
                prop_assert!(error.at <= bytes.len());
            }
        }
    }
}
