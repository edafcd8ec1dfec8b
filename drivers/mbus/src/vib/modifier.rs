//! The VIFEs behind a VIF: what they say, and what they do to the number.
//!
//! ```text
//! VIF  VIFE  VIFE  …         FC xx: one modifier in two bytes
//!                            FF: what follows is the manufacturer's
//! ```
//!
//! They take effect in their order, each on the result of those before it.
//!
//! Source: EN 13757-3, "combinable (orthogonal) VIFE".

use core::fmt;

use super::Sort;
use super::codes::{Symbol, table, time};

/// What one VIFE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modifier {
    chain: Chain,
    /// Seven bits; behind `FC` the second byte, with 7C above it.
    code: u16,
}

/// In whose words a VIFE speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Chain {
    /// The standard's.
    Standard,
    /// The manufacturer's: behind VIF 7F or VIFE 7F.
    Manufacturer,
    /// Nobody's: behind a VIF that is reserved.
    Unknown,
}

impl Modifier {
    /// Only what flowed in the positive direction counts: what a building imports.
    pub const POSITIVE_ONLY: Self = Self::standard(0x3B);
    /// Only what flowed in the negative direction counts: what a building exports.
    pub const NEGATIVE_ONLY: Self = Self::standard(0x3C);
    /// The unit is one of another table than the metric one.
    pub const NON_METRIC: Self = Self::standard(0x3D);
    /// Conductor L1.
    pub const PHASE_L1: Self = Self::standard(SECOND | 0x01);
    /// Conductor L2.
    pub const PHASE_L2: Self = Self::standard(SECOND | 0x02);
    /// Conductor L3.
    pub const PHASE_L3: Self = Self::standard(SECOND | 0x03);
    /// The neutral conductor.
    pub const NEUTRAL: Self = Self::standard(SECOND | 0x04);
    /// The manufacturer's own words follow.
    pub const MANUFACTURER: Self = Self::standard(0x7F);
    /// The mean over a time.
    pub const AVERAGE: Self = Self::standard(0x12);
    /// For the future.
    pub const FUTURE: Self = Self::standard(0x7E);

    const fn standard(code: u16) -> Self {
        Self { chain: Chain::Standard, code }
    }

    /// The VIFE of the standard with these seven bits.
    pub const fn of(vife: u8) -> Self {
        let code = u16::from_le_bytes([vife & 0x7F, 0]);
        Self::standard(code)
    }

    /// Whether it says that there is no valid value.
    pub fn is_record_error(self) -> bool {
        matches!(self.effect(), Effect::RecordError)
    }

    /// Its bytes without the bits that announce a further one.
    pub(super) const fn bytes(self) -> (u8, Option<u8>) {
        let [low, high] = self.code.to_le_bytes();
        if high == 0 { (low, None) } else { (high, Some(low)) }
    }

    pub(super) fn effect(self) -> Effect {
        match (self.chain, self.bytes()) {
            (Chain::Standard, (code, None)) => {
                EFFECTS.get(usize::from(code)).copied().unwrap_or(Effect::None)
            }
            (Chain::Standard, (_, Some(second))) => effect_of_second(second),
            _ => Effect::None,
        }
    }

    /// What it appends to the unit: `/h`, `.s`.
    pub(super) fn unit_suffix(self) -> Option<&'static str> {
        match self.effect() {
            Effect::Unit => self.name().and_then(|name| name.strip_prefix("unit:")),
            _ => None,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self.bytes() {
            (code, None) => name(code),
            (_, Some(second)) => name_of_second(second),
        }
    }
}

impl fmt::Display for Modifier {
    /// As in decoded telegrams: `unit:/h`, `factor:-3`, `unknown:7C20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.chain, self.name()) {
            (Chain::Standard, Some(name)) => f.write_str(name),
            (Chain::Manufacturer, _) => write!(f, "manufacturer:{:02X}", self.code),
            (Chain::Standard | Chain::Unknown, _) => write!(f, "unknown:{:02X}", self.code),
        }
    }
}

/// What a VIFE does to the number in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// There is no valid value.
    RecordError,
    /// The unit grows by what stands behind `unit:` in the name.
    Unit,
    /// The number is of another sort; a date and a count have neither unit nor power of ten.
    Sort(Sort),
    /// As `Sort`, for the bare reinterpretations (type C, type D), which keep the unit.
    Reinterpret(Sort),
    /// The number is a duration in this unit.
    Duration(Symbol),
    /// Added to the power of ten.
    Factor(i8),
}

const fn effect(code: u8) -> Effect {
    match code {
        0x01..=0x07 | 0x0B..=0x0F | 0x15..=0x18 | 0x1C => Effect::RecordError,
        0x20..=0x38 => Effect::Unit,
        0x39 | 0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E
        | 0x6F => Effect::Sort(Sort::Date),
        0x41 | 0x49 => Effect::Sort(Sort::Unsigned),
        0x50..=0x67 => Effect::Duration(time((code & 0b11).cast_signed())),
        0x70..=0x77 => Effect::Factor((code & 0b111).cast_signed() - 6),
        0x7D => Effect::Factor(3),
        _ => Effect::None,
    }
}

static EFFECTS: [Effect; 128] = table!(effect);

const fn effect_of_second(code: u8) -> Effect {
    match code {
        0x11 => Effect::Reinterpret(Sort::Unsigned),
        0x12 => Effect::Reinterpret(Sort::Bits),
        0x13 => Effect::Sort(Sort::Date),
        _ => Effect::None,
    }
}

const fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => "record_error:none",
        0x01 => "record_error:too_many_difes",
        0x02 => "record_error:storage_not_implemented",
        0x03 => "record_error:subunit_not_implemented",
        0x04 => "record_error:tariff_not_implemented",
        0x05 => "record_error:function_not_implemented",
        0x06 => "record_error:data_class_not_implemented",
        0x07 => "record_error:data_size_not_implemented",
        0x0B => "record_error:too_many_vifes",
        0x0C => "record_error:illegal_vif_group",
        0x0D => "record_error:illegal_vif_exponent",
        0x0E => "record_error:vif_dif_mismatch",
        0x0F => "record_error:unimplemented_action",
        0x12 => "average",
        0x13 => "inverse_compact_profile",
        0x14 => "relative_deviation",
        0x15 => "record_error:no_data",
        0x16 => "record_error:overflow",
        0x17 => "record_error:underflow",
        0x18 => "record_error:data_error",
        0x1C => "record_error:premature_end",
        0x1D => "standard_conform_data",
        0x1E => "compact_profile_registers",
        0x1F => "compact_profile",
        0x20 => "unit:/s",
        0x21 => "unit:/min",
        0x22 => "unit:/h",
        0x23 => "unit:/d",
        0x24 => "unit:/week",
        0x25 => "unit:/month",
        0x26 => "unit:/a",
        0x27 => "unit:/rev",
        0x28 => "unit:/pulse_in0",
        0x29 => "unit:/pulse_in1",
        0x2A => "unit:/pulse_out0",
        0x2B => "unit:/pulse_out1",
        0x2C => "unit:/l",
        0x2D => "unit:/m3",
        0x2E => "unit:/kg",
        0x2F => "unit:/K",
        0x30 => "unit:/kWh",
        0x31 => "unit:/GJ",
        0x32 => "unit:/kW",
        0x33 => "unit:/(K.l)",
        0x34 => "unit:/V",
        0x35 => "unit:/A",
        0x36 => "unit:.s",
        0x37 => "unit:.s/V",
        0x38 => "unit:.s/A",
        0x39 => "start_of",
        0x3A => "uncorrected",
        0x3B => "positive_only",
        0x3C => "negative_only",
        0x3D => "non_metric",
        0x3E => "base_conditions",
        0x3F => "obis",
        0x40 => "lower_limit",
        0x41 => "lower_limit_exceed_count",
        0x42 => "lower_limit_first_exceed_begin",
        0x43 => "lower_limit_first_exceed_end",
        0x46 => "lower_limit_last_exceed_begin",
        0x47 => "lower_limit_last_exceed_end",
        0x48 => "upper_limit",
        0x49 => "upper_limit_exceed_count",
        0x4A => "upper_limit_first_exceed_begin",
        0x4B => "upper_limit_first_exceed_end",
        0x4E => "upper_limit_last_exceed_begin",
        0x4F => "upper_limit_last_exceed_end",
        0x50..=0x53 => "lower_limit_first_exceed_duration",
        0x54..=0x57 => "lower_limit_last_exceed_duration",
        0x58..=0x5B => "upper_limit_first_exceed_duration",
        0x5C..=0x5F => "upper_limit_last_exceed_duration",
        0x60..=0x63 => "first_duration",
        0x64..=0x67 => "last_duration",
        0x68 => "during_lower_limit_exceed",
        0x69 => "leakage",
        0x6A => "first_begin",
        0x6B => "first_end",
        0x6C => "during_upper_limit_exceed",
        0x6D => "overflow_value",
        0x6E => "last_begin",
        0x6F => "last_end",
        0x70 => "factor:-6",
        0x71 => "factor:-5",
        0x72 => "factor:-4",
        0x73 => "factor:-3",
        0x74 => "factor:-2",
        0x75 => "factor:-1",
        0x76 => "factor:0",
        0x77 => "factor:1",
        0x78 => "offset:-3",
        0x79 => "offset:-2",
        0x7A => "offset:-1",
        0x7B => "offset:0",
        0x7D => "factor:3",
        0x7E => "future",
        0x7F => "manufacturer",
        _ => return None,
    })
}

const fn name_of_second(code: u8) -> Option<&'static str> {
    Some(match code {
        0x01 => "phase_l1",
        0x02 => "phase_l2",
        0x03 => "phase_l3",
        0x04 => "neutral",
        0x05 => "phase_l1_l2",
        0x06 => "phase_l2_l3",
        0x07 => "phase_l3_l1",
        0x08 => "quadrant_1",
        0x09 => "quadrant_2",
        0x0A => "quadrant_3",
        0x0B => "quadrant_4",
        0x0C => "delta_import_export",
        0x10 => "absolute",
        0x11 => "type_c",
        0x12 => "type_d",
        0x13 => "end_of",
        _ => return None,
    })
}

/// The modifiers of a VIB, in their order.
#[derive(Clone, Debug)]
pub struct Modifiers<'a> {
    /// What is still to come.
    vifes: &'a [u8],
    chain: Chain,
    /// How many bytes have come.
    past: u8,
}

/// Where VIFEs stand in their block, and in whose words the first of them speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vifes {
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) chain: Chain,
}

impl Vifes {
    pub(super) const NONE: Self = Self { from: 0, to: 0, chain: Chain::Standard };

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.from >= self.to
    }

    pub(super) fn of(self, block: &[u8]) -> Modifiers<'_> {
        let vifes = block.get(usize::from(self.from)..usize::from(self.to)).unwrap_or_default();
        Modifiers { vifes, chain: self.chain, past: 0 }
    }

    /// Those that `read`, which began with these, has not come to.
    pub(super) const fn behind(self, read: &Modifiers<'_>) -> Self {
        Self { from: self.from + read.past, to: self.to, chain: read.chain }
    }
}

impl<'a> Modifiers<'a> {
    /// The bytes of those that are still to come.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.vifes
    }
}

impl Iterator for Modifiers<'_> {
    type Item = Modifier;

    fn next(&mut self) -> Option<Modifier> {
        let (&vife, mut rest) = self.vifes.split_first()?;
        let mut modifier = Modifier { chain: self.chain, ..Modifier::of(vife) };
        if self.chain == Chain::Standard {
            if vife == 0xFC
                && let Some((&second, behind)) = rest.split_first()
            {
                modifier.code = SECOND | Modifier::of(second).code;
                self.past += 1;
                rest = behind;
            } else if modifier == Modifier::MANUFACTURER {
                self.chain = Chain::Manufacturer;
            }
        }
        self.past += 1;
        self.vifes = rest;
        Some(modifier)
    }
}

/// Where the code of the byte in front of the second one stands.
const SECOND: u16 = 0x7C00;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vifes: &[u8], chain: Chain, expected: &str) {
        let texts: Vec<String> =
            Modifiers { vifes, chain, past: 0 }.map(|modifier| modifier.to_string()).collect();
        assert_eq!(texts.join(" "), expected);
    }

    #[test]
    fn names_and_what_has_none() {
        check(&[0xBB, 0xA2, 0x7D], Chain::Standard, "positive_only unit:/h factor:3");
        check(&[0x88, 0x10], Chain::Standard, "unknown:08 unknown:10");
    }

    #[test]
    fn two_bytes_are_one_modifier() {
        check(&[0xFC, 0x81, 0x3B], Chain::Standard, "phase_l1 positive_only");
        check(&[0xFC, 0xA0, 0x7C], Chain::Standard, "unknown:7C20 unknown:7C");
        check(&[0xFC, 0x01], Chain::Unknown, "unknown:7C unknown:01");
    }

    #[test]
    fn behind_the_manufacturers_vife_all_is_his() {
        check(&[0xFF, 0xFC, 0x01], Chain::Standard, "manufacturer manufacturer:7C manufacturer:01");
        check(&[0xBB, 0x7F], Chain::Manufacturer, "manufacturer:3B manufacturer:7F");
    }
}
