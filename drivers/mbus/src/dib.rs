//! The data information block: how the number that follows is coded, and which number it is.
//!
//! A block is one DIF and up to ten DIFEs. The top bit of each says whether another follows:
//!
//! ```text
//! bit    7     6        5 4        3 2 1 0
//! DIF    more  storage  function   encoding
//! DIFE   more  subunit  tariff     storage
//! ```
//!
//! Storage, tariff and subunit are spread over the bytes, least significant bits first.
//!
//! Source: EN 13757-3, "data information block".

use crate::{DecodeError, Flaw, Full, Part, Reader, Writer};

/// What a data record says about its number, before the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dib {
    /// How the number is coded.
    pub encoding: Encoding,
    /// Which moment of the period it stands for.
    pub function: Function,
    /// 0 is the current value, higher ones are history.
    pub storage: Bits<41>,
    /// 0 is the total over all tariffs.
    pub tariff: Bits<20>,
    /// Which meter, where one housing holds several.
    pub subunit: Bits<10>,
}

impl Dib {
    /// The current value, in `encoding`.
    pub const fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            function: Function::Instantaneous,
            storage: Bits::ZERO,
            tariff: Bits::ZERO,
            subunit: Bits::ZERO,
        }
    }

    /// Reads one block and leaves `r` on the first byte after it.
    ///
    /// # Errors
    ///
    /// [`Flaw::ReservedDif`] on the DIFs that are markers (filler, manufacturer data). They have
    /// no block, and [`Records`](crate::Records) takes them out before it calls this.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match Self::parse(r.rest()) {
            Some((len, dib)) => {
                r.skip(len);
                Ok(dib)
            }
            None => Err(Self::flaw(r)),
        }
    }

    /// The block with which `bytes` begin, and its length; `None` if there is something wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(usize, Self)> {
        let (&dif, rest) = bytes.split_first()?;
        let mut dib = Self::of(dif, 0)?;
        if dif & MORE == 0 {
            return Some((1, dib));
        }
        for (place, &dife) in rest.iter().take(MAX_DIFE).enumerate() {
            dib.storage.0 |= u64::from(dife & 0b1111) << (1 + 4 * place);
            dib.tariff.0 |= u64::from(dife >> 4 & 0b11) << (2 * place);
            dib.subunit.0 |= u64::from(dife >> 6 & 0b1) << place;
            if dife & MORE == 0 {
                return Some((2 + place, dib));
            }
        }
        None
    }

    /// The same, but `None` for more than one DIFE, too.
    #[inline]
    pub(crate) fn parse_short(bytes: &[u8]) -> Option<(usize, Self)> {
        match *bytes {
            [dif, ..] if dif & MORE == 0 => Some((1, Self::of(dif, 0)?)),
            [dif, dife, ..] if dife & MORE == 0 => Some((2, Self::of(dif, dife)?)),
            _ => None,
        }
    }

    /// What a DIF and its first DIFE say, which is 0 where there is none.
    #[inline]
    fn of(dif: u8, dife: u8) -> Option<Self> {
        Some(Self {
            encoding: Encoding::of(dif)?,
            function: Function::of(dif),
            storage: Bits(u64::from(dif >> 6 & 0b1 | (dife & 0b1111) << 1)),
            tariff: Bits(u64::from(dife >> 4 & 0b11)),
            subunit: Bits(u64::from(dife >> 6 & 0b1)),
        })
    }

    /// What is wrong with the block that begins before `r` and could not be parsed.
    #[cold]
    fn flaw(r: &mut Reader<'_>) -> DecodeError {
        let dif = match r.byte(Part::Dib) {
            Ok(dif) => dif,
            Err(error) => return error,
        };
        if Encoding::of(dif).is_none() {
            return r.reject(Flaw::ReservedDif(dif));
        }
        // All of its bytes announce a further one.
        match r.take(MAX_DIFE + 1, Part::Dib) {
            Ok(_) => r.reject(Flaw::TooManyDife),
            Err(error) => error,
        }
    }

    /// Writes the block, in as few bytes as can hold it.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has no room for it; [`Self::MAX_LEN`] bytes are always enough.
    pub fn write(self, w: &mut Writer<'_>) -> Result<(), Full> {
        let (storage, mut tariff, mut subunit) =
            (self.storage.get(), self.tariff.get(), self.subunit.get());
        let mut byte = self.encoding.bits() | self.function.bits() | low(1, storage) << 6;
        let mut storage = storage >> 1;
        while storage | tariff | subunit != 0 {
            w.byte(byte | MORE)?;
            byte = low(4, storage) | low(2, tariff) << 4 | low(1, subunit) << 6;
            storage >>= 4;
            tariff >>= 2;
            subunit >>= 1;
        }
        w.byte(byte)
    }

    /// One DIF and ten DIFEs.
    pub const MAX_LEN: usize = 11;
}

/// A number of at most `COUNT` bits: what fits into a block is what this can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits<const COUNT: u32>(u64);

impl<const COUNT: u32> Bits<COUNT> {
    /// `number`, if it has no more than `COUNT` bits.
    pub const fn new(number: u64) -> Option<Self> {
        if number >> COUNT == 0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number every field starts from.
    pub const ZERO: Self = Self(0);

    /// The first of the history.
    pub const ONE: Self = Self(1);
}

/// How a number is coded: the low four bits of the DIF, in the order of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "`Int` is two's complement, `Bcd` packed decimal digits")]
pub enum Encoding {
    /// There is no number.
    Nothing,
    Int8,
    Int16,
    Int24,
    Int32,
    /// IEEE 754, least significant byte first.
    Real32,
    Int48,
    Int64,
    /// Not data: the master asks for this record in the next readout.
    Selection,
    Bcd2,
    Bcd4,
    Bcd6,
    Bcd8,
    /// A length byte (LVAR) says how the data after it is coded.
    Variable,
    Bcd12,
}

impl Encoding {
    /// How many bytes the number has; `None` where a length byte says so.
    #[inline]
    pub const fn data_len(self) -> Option<usize> {
        match self {
            Self::Variable => None,
            _ => Some((FIXED_LENS >> (4 * self as u64) & 0xF) as usize),
        }
    }

    #[inline]
    fn of(dif: u8) -> Option<Self> {
        Self::ALL.get(usize::from(dif & 0x0F)).copied()
    }

    fn bits(self) -> u8 {
        self as u8
    }

    #[rustfmt::skip]
    pub(crate) const ALL: [Self; 15] = [
        Self::Nothing, Self::Int8, Self::Int16, Self::Int24, Self::Int32, Self::Real32,
        Self::Int48, Self::Int64, Self::Selection, Self::Bcd2, Self::Bcd4, Self::Bcd6,
        Self::Bcd8, Self::Variable, Self::Bcd12,
    ];
}

/// Which moment of its period a number stands for: bits 4 and 5 of the DIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The value at the end of the period, or now.
    Instantaneous,
    /// The highest value of the period.
    Maximum,
    /// The lowest value of the period.
    Minimum,
    /// The value while the meter reported an error.
    DuringError,
}

impl Function {
    /// As in decoded telegrams.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::DuringError => "error",
        }
    }

    #[inline]
    pub(crate) fn of(dif: u8) -> Self {
        match dif >> 4 & 0b11 {
            0b00 => Self::Instantaneous,
            0b01 => Self::Maximum,
            0b10 => Self::Minimum,
            _ => Self::DuringError,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Instantaneous => 0b00_0000,
            Self::Maximum => 0b01_0000,
            Self::Minimum => 0b10_0000,
            Self::DuringError => 0b11_0000,
        }
    }
}

fn low(count: u32, number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & ((1 << count) - 1)
}

const MORE: u8 = 0b1000_0000;
/// How many bytes each encoding has, one hex digit for each, that of [`Encoding::Nothing`] last.
const FIXED_LENS: u64 = 0x0604_3210_8644_3210;
const MAX_DIFE: usize = 10;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `telegram`; what could be read is written back as the same bytes.
    #[track_caller]
    fn check(telegram: &[u8], expected: Result<Dib, &str>) {
        let read = Dib::read(&mut Reader::new(telegram)).map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned));
        if let Ok(dib) = read {
            let mut buffer = [0; Dib::MAX_LEN];
            let mut w = Writer::new(&mut buffer);
            assert_eq!(dib.write(&mut w), Ok(()));
            assert_eq!(w.written(), telegram);
        }
    }

    const NOW: Dib = Dib::new(Encoding::Int32);

    #[test]
    fn one_byte() {
        check(&[0x04], Ok(NOW));
    }

    #[test]
    fn storage_takes_its_lowest_bit_from_the_dif() {
        check(&[0xC4, 0x05], Ok(Dib { storage: Bits(0b1011), ..NOW }));
    }

    #[test]
    fn second_tariff_of_the_other_meter_in_the_housing() {
        check(&[0x84, 0x60], Ok(Dib { tariff: Bits(2), subunit: Bits(1), ..NOW }));
    }

    #[test]
    fn twelve_digits() {
        check(&[0x1E], Ok(Dib { encoding: Encoding::Bcd12, function: Function::Maximum, ..NOW }));
    }

    #[test]
    fn filler_is_not_a_record() {
        check(&[0x2F], Err("byte 0: DIF 0x2f is reserved"));
    }

    #[test]
    fn telegram_ends_inside_the_block() {
        check(&[0x84, 0x80], Err("byte 2: the telegram ends inside the DIB"));
    }

    #[test]
    fn eleven_dife() {
        check(&[0x80; 12], Err("byte 11: is an eleventh DIFE"));
    }

    /// All that the quick way knows, the other way says too.
    #[test]
    fn both_ways_to_a_short_block_lead_to_the_same() {
        let mut count = 0;
        for dif in 0..=255 {
            for dife in 0..=255 {
                if let Some(short) = Dib::parse_short(&[dif, dife]) {
                    assert_eq!(Dib::parse(&[dif, dife]), Some(short), "{dif:02X} {dife:02X}");
                    count += 1;
                }
            }
        }
        // 15 codings and 8 other combinations: without a DIFE, and with any that is the last.
        assert_eq!(count, 15 * 8 * 256 + 15 * 8 * 128);
    }

    #[test]
    fn a_buffer_that_is_too_short_is_full() {
        let dib = Dib { subunit: Bits(1), ..NOW };
        assert_eq!(dib.write(&mut Writer::new(&mut [0; 1])), Err(Full));
    }

    fn bits<const COUNT: u32>() -> impl Strategy<Value = Bits<COUNT>> {
        (0_u64..1 << COUNT).prop_map(Bits)
    }

    prop_compose! {
        pub(crate) fn any_dib()(
            encoding in prop::sample::select(&Encoding::ALL[..]),
            function in (0_u8..4).prop_map(|bits| Function::of(bits << 4)),
            (storage, tariff, subunit) in (bits(), bits(), bits()),
        ) -> Dib {
            Dib { encoding, function, storage, tariff, subunit }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(dib in any_dib()) {
            let mut buffer = [0; Dib::MAX_LEN];
            let mut w = Writer::new(&mut buffer);
            prop_assert_eq!(dib.write(&mut w), Ok(()));
            prop_assert_eq!(Dib::read(&mut Reader::new(w.written())), Ok(dib));
        }

        #[test]
        fn no_bytes_make_it_panic(telegram in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Err(error) = Dib::read(&mut Reader::new(&telegram)) {
                prop_assert!(error.at <= telegram.len());
            }
        }
    }
}
