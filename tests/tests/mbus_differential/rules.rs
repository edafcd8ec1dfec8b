//! Where `m-bus-parser` is known to say something else than we do, and why we are right.
//!
//! A rule says of which records it holds, in what they may then differ, and in nothing else. Its
//! sample is a record that has to differ: a rule that has become empty is one to be taken out.

use mbus::{DataType, Encoding, Invalid, Record, Sort, ci};

/// In what the two may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum In {
    /// The value, and with it the power of ten.
    Value,
    /// The unit, and with it the power of ten and so the value.
    Unit,
    /// Everything: it has an error instead of the record, or takes it for another.
    Record,
    /// Everything, and of the frame also everything behind the record: it has lost its place.
    RestOfFrame,
}

/// One known difference.
pub(crate) struct Rule {
    /// What is at stake.
    pub(crate) name: &'static str,
    /// What it does, why that is wrong, and where the rule stands.
    #[expect(dead_code, reason = "for people")]
    pub(crate) why: &'static str,
    /// A record that differs because of it.
    pub(crate) sample: &'static str,
    pub(crate) applies: fn(&Seen<'_>) -> bool,
    pub(crate) differ: In,
}

/// A record as our decoder sees it.
pub(crate) struct Seen<'a> {
    pub(crate) ci: u8,
    pub(crate) record: Record<'a>,
}

impl Seen<'_> {
    /// The table and the code in it: `(0xFD, 0x17)`, `(0, 0x6D)`.
    fn code(&self) -> (u8, u8) {
        match *self.record.vib.bytes() {
            [table @ (0xFB | 0xFD), code, ..] => (table, code & 0x7F),
            [vif, ..] => (0, vif & 0x7F),
            [] => (0, 0xFF),
        }
    }

    /// Whether one of its VIFEs has a name like this.
    fn has_vife(&self, like: fn(&str) -> bool) -> bool {
        self.record.vib.modifiers().any(|modifier| like(&modifier.to_string()))
    }

    fn is_coded_as_bcd(&self) -> bool {
        use Encoding::{Bcd2, Bcd4, Bcd6, Bcd8, Bcd12};
        match self.coding() {
            Bcd2 | Bcd4 | Bcd6 | Bcd8 | Bcd12 => true,
            Encoding::Variable => {
                matches!(self.record.data().first(), Some(0xC0..=0xC9 | 0xD0..=0xD9))
            }
            _ => false,
        }
    }

    fn has_no_value_because(&self, reasons: &[Invalid]) -> bool {
        self.record.value().is_err_and(|invalid| reasons.contains(&invalid))
    }

    fn coding(&self) -> Encoding {
        self.record.dib.encoding
    }

    /// The byte with the sign: of a number that is sent as mode 1 does, the last.
    fn sign_is_set(&self) -> bool {
        self.record.data().last().is_some_and(|byte| byte & 0x80 != 0)
    }

    /// The byte of a date of type G, F or I in which the day stands.
    fn day(&self) -> Option<u8> {
        let place = match self.record.data().len() {
            4 => 2,
            6 => 3,
            _ => return None,
        };
        Some(self.record.data().get(place)? & 0x1F)
    }

    fn is_date_by_vif(&self) -> bool {
        matches!(self.code(), (0, 0x6C | 0x6D))
    }
}

pub(crate) static RULES: &[&Rule] = &[
    &TEXT_BEFORE_VIFES,
    &LONG_OR_LATIN_1_UNIT,
    &BCD_DIGITS,
    &LONG_BCD,
    &BYTE_ORDER,
    &NO_INTEGER,
    &NO_SIGN,
    &NO_REAL,
    &BINARY,
    &DAY_31,
    &CENTURY,
    &NO_DATE,
    &DATE_LENGTH,
    &DATE_CODING,
    &OTHER_DATES,
    &DATE_BY_VIFE,
    &DURATION,
    &EXCEED_COUNT,
    &RECORD_ERROR,
    &PER_LITRE,
    &UNITS_OF_FD,
    &UNITS_OF_FB,
    &RESERVED_VIF,
    &NEWER_CODES,
    &NON_METRIC,
    &FIXED,
    &GLOBAL_READOUT,
];

pub(crate) static TEXT_BEFORE_VIFES: Rule = Rule {
    name: "unit as text in front of the VIFEs",
    why: "VIF FC is followed by VIFEs, then by the text, in the standard, and the other way round \
          in meters of Elvaco, Itron and others. It knows one order, chosen when it is compiled, \
          and gives up the frame in which it meets the other; we decide by what can be read as \
          text. EN 13757-3, \"plain text VIF\".",
    sample: "02 FC 03 48 52 25 74 22 15",
    applies: |seen| {
        let bytes = seen.record.vib.bytes();
        // As the standard orders it, the text is the last.
        bytes.first() == Some(&0xFC) && bytes.last().is_some_and(|last| *last & 0x80 == 0) && {
            let len = bytes.get(1).copied().unwrap_or(0);
            (1..=32).contains(&len) && bytes.len() > 2 + usize::from(len)
        }
    },
    differ: In::RestOfFrame,
};

pub(crate) static LONG_OR_LATIN_1_UNIT: Rule = Rule {
    name: "unit as text of more than nine characters, or not ASCII",
    why: "The text has a length byte and no limit but the frame, and is of ISO 8859-1: `°` and \
          `³` are in it. It gives up the frame. EN 13757-3, \"plain text VIF\".",
    sample: "01 7C 02 43 B0 15",
    applies: |seen| {
        let bytes = seen.record.vib.bytes();
        bytes.first().is_some_and(|vif| vif & 0x7F == 0x7C)
            && (seen.record.vib.unit.to_string().chars().count() > 9
                || bytes.iter().skip(1).any(|byte| *byte >= 0x80))
    },
    differ: In::RestOfFrame,
};

pub(crate) static BCD_DIGITS: Rule = Rule {
    name: "BCD with digits from A to F",
    why: "They are a meter's codes for \"no value\". It has an error in place of the record, so \
          that nobody knows which one has no value; we tell the record, and that it has none. \
          EN 13757-3, annex A, type A.",
    sample: "0C 2B BD EB DD DD",
    applies: |seen| {
        let digits = &seen.record.data()[usize::from(seen.coding() == Encoding::Variable)..];
        let is_bcd = seen.has_no_value_because(&[Invalid::BcdDigit])
            // Of several reasons one is told.
            || seen.record.value().is_err() && seen.is_coded_as_bcd();
        is_bcd && digits.iter().any(|two| two >> 4 > 9 || two & 0xF > 9)
    },
    differ: In::Record,
};

pub(crate) static LONG_BCD: Rule = Rule {
    name: "variable BCD of 16 and 18 digits",
    why: "It adds the digits up as floats, one by one, and so rounds more than once; our mantissa \
          is exact. EN 13757-3, LVAR C0 to C9 and D0 to D9.",
    sample: "0D 06 C9 41 66 01 33 30 79 58 70 71",
    applies: |seen| {
        seen.record.data_type() == DataType::Bcd
            && seen.coding() == Encoding::Variable
            && seen.record.data().len() > 8
    },
    differ: In::Value,
};

pub(crate) static BYTE_ORDER: Rule = Rule {
    name: "most significant byte first",
    why: "In mode 2 every number stands with its most significant byte first. It turns BCD round \
          and leaves integers, reals, dates and texts. EN 13757-3, \"CI field\", mode bit.",
    sample: "02 5A 00 01",
    applies: |seen| matches!(seen.ci, ci::RECORDS_MSB_FIRST | ci::FIXED_MSB_FIRST),
    differ: In::Value,
};

pub(crate) static NO_INTEGER: Rule = Rule {
    name: "the integer that means \"no value\"",
    why: "80, 8000, 80000000 and so on are no number but the absence of one. It tells the number. \
          EN 13757-3, annex A, type B; OMS specification, volume 2.",
    sample: "02 5A 00 80",
    applies: |seen| seen.has_no_value_because(&[Invalid::Integer]),
    differ: In::Value,
};

pub(crate) static NO_SIGN: Rule = Rule {
    name: "integers without sign",
    why: "Identifications, versions, counts and flags have no sign, and VIFEs can say so of other \
          numbers. It makes negative ones of them. EN 13757-3, annex A, types C and D.",
    sample: "01 FD 17 80",
    applies: |seen| {
        matches!(seen.record.data_type(), DataType::Unsigned | DataType::Bits) && seen.sign_is_set()
    },
    differ: In::Value,
};

pub(crate) static NO_REAL: Rule = Rule {
    name: "reals that are no numbers",
    why: "It tells NaN and infinity as values. EN 13757-3, annex A, type H.",
    sample: "05 2B 00 00 C0 7F",
    applies: |seen| seen.has_no_value_because(&[Invalid::RealNan, Invalid::RealInfinite]),
    differ: In::Value,
};

pub(crate) static BINARY: Rule = Rule {
    name: "variable binary data",
    why: "What the bytes behind an LVAR from E0 mean is not known, and 16 of them are no number. \
          It tells their first eight as one, and overflows if there are none. EN 13757-3, LVAR E0 to F6.",
    sample: "0D FD 11 E2 01 02",
    applies: |seen| {
        seen.coding() == Encoding::Variable && seen.record.data().first() >= Some(&0xE0)
    },
    differ: In::Value,
};

pub(crate) static DAY_31: Rule = Rule {
    name: "the 31st",
    why: "A day of all ones is the 31st: \"every\" is day 0. It knows that in type G and takes the \
          31st for \"every\" in types F and I. EN 13757-3, annex A, types F and I.",
    sample: "04 6D 00 0C 1F 31",
    applies: |seen| seen.record.vib.sort == Sort::Date && seen.day() == Some(31),
    differ: In::Value,
};

pub(crate) static CENTURY: Rule = Rule {
    name: "the century",
    why: "Two bits of type F are the hundred of the year, and without them 81 to 99 are of the \
          last century. It counts every year from 2000. EN 13757-3, annex A, types F and G.",
    sample: "02 6C 21 C1",
    applies: |seen| {
        let date = seen.record.value().map(|value| value.to_string()).unwrap_or_default();
        let year: Option<u16> = date.get(..4).and_then(|year| year.parse().ok());
        seen.record.vib.sort == Sort::Date
            && matches!(seen.record.data().len(), 2 | 4)
            && year.is_some_and(|year| !(2000..2081).contains(&year))
    },
    differ: In::Value,
};

pub(crate) static NO_DATE: Rule = Rule {
    name: "dates that are none",
    why: "A date whose IV bit is set is not valid, the 31st of June and 13:61 are not on any \
          clock, and a day 0 is a rule for many days. It tells them as dates. EN 13757-3, annex \
          A, types F, G, I and J.",
    sample: "04 6D A1 15 E9 17",
    applies: |seen| {
        use Invalid::{DateInvalid, DateNone, DatePartial, DateRange};
        seen.has_no_value_because(&[DateInvalid, DateNone, DatePartial, DateRange])
    },
    differ: In::Value,
};

pub(crate) static DATE_LENGTH: Rule = Rule {
    name: "length of a date",
    why: "Whether VIF 6C and 6D are of type G, J, F or I is told by the length that the DIF gives, \
          and the record is as long as that. It reads two bytes for the one and four or six for \
          the other, whatever the DIF, and goes on in the middle of a record. EN 13757-3, VIF \
          table, 6C and 6D.",
    sample: "03 6D 01 02 07",
    applies: |seen| {
        let len = (seen.coding() != Encoding::Variable).then_some(seen.record.data().len());
        match seen.code() {
            (0, 0x6C) => len != Some(2),
            (0, 0x6D) => !matches!(len, Some(4 | 6)) || seen.coding() == Encoding::Bcd12,
            _ => false,
        }
    },
    differ: In::RestOfFrame,
};

pub(crate) static DATE_CODING: Rule = Rule {
    name: "dates in BCD and reals",
    why: "A date is coded as an integer. It reads the bits of any coding as one. EN 13757-3, annex \
          A, types F, G, I and J.",
    sample: "0A 6C 21 11",
    applies: |seen| seen.has_no_value_because(&[Invalid::DateCoding]),
    differ: In::Value,
};

pub(crate) static OTHER_DATES: Rule = Rule {
    name: "dates of the FD table",
    why: "The start of a tariff (FD30) and the change of the battery (FD70) are dates as VIF 6C \
          and 6D are. It has a number, of seconds for the second. EN 13757-3, table of FD.",
    sample: "04 FD 70 00 0C 01 31",
    applies: |seen| matches!(seen.code(), (0xFD, 0x30 | 0x70)),
    differ: In::Unit,
};

pub(crate) static DATE_BY_VIFE: Rule = Rule {
    name: "VIFEs that make a date",
    why: "\"Start of\", \"begin of\", \"end of\" say that the number is the date on which something \
          happened to what the VIF is of. It tells the date's bits as a number of the VIF's unit. \
          EN 13757-3, table of combinable VIFEs, 39, 42 to 4F and 6A to 6F.",
    sample: "04 94 6F 32 14 7A 18",
    applies: |seen| {
        let makes_date =
            |name: &str| name == "start_of" || name.ends_with("_begin") || name.ends_with("_end");
        seen.record.vib.sort == Sort::Date && (!seen.is_date_by_vif() || seen.has_vife(makes_date))
    },
    differ: In::Unit,
};

pub(crate) static DURATION: Rule = Rule {
    name: "VIFEs that make a duration",
    why: "The number is how long a limit was exceeded, in the unit of the VIFE alone. It keeps the \
          VIF's power of ten and puts the units side by side: seconds of m3/h. EN 13757-3, table \
          of combinable VIFEs, 50 to 67.",
    sample: "02 BE 50 3C 00",
    applies: |seen| seen.has_vife(|name| name.ends_with("_duration")),
    differ: In::Unit,
};

pub(crate) static EXCEED_COUNT: Rule = Rule {
    name: "VIFEs that make a count",
    why: "The number is how often a limit was exceeded. It tells a count of watts. EN 13757-3, \
          table of combinable VIFEs, 41 and 49.",
    sample: "01 AB 49 07",
    applies: |seen| seen.has_vife(|name| name.ends_with("_exceed_count")),
    differ: In::Unit,
};

pub(crate) static RECORD_ERROR: Rule = Rule {
    name: "VIFEs that say that there is no value",
    why: "\"Data overflow\", \"no data\" and the other errors mean that the number is none. It \
          tells the number. EN 13757-3, table of record errors.",
    sample: "02 DA 16 FF 7F",
    applies: |seen| seen.has_no_value_because(&[Invalid::RecordError]),
    differ: In::Value,
};

pub(crate) static PER_LITRE: Rule = Rule {
    name: "per litre",
    why: "VIFE 2C divides by litres. It multiplies. EN 13757-3, table of combinable VIFEs, 2C.",
    sample: "01 AB 2C 07",
    applies: |seen| seen.has_vife(|name| name == "unit:/l"),
    differ: In::Unit,
};

pub(crate) static UNITS_OF_FD: Rule = Rule {
    name: "units of the FD table",
    why: "It has no units for the time since the last readout (2C to 2F), the duration and period \
          of a tariff (31 to 39; metres for one of them) and the battery's days (74), and hours \
          for its years (6F). EN 13757-3, table of FD.",
    sample: "01 FD 6F 05",
    applies: |seen| matches!(seen.code(), (0xFD, 0x2C..=0x2F | 0x31..=0x39 | 0x6F | 0x74)),
    differ: In::Unit,
};

pub(crate) static UNITS_OF_FB: Rule = Rule {
    name: "gallons of the FB table",
    why: "It has nothing for the gallons of older meters, and an angle for one of them (22 to 26). \
          EN 13757-3:2004, table of FB.",
    sample: "01 FB 25 05",
    applies: |seen| matches!(seen.code(), (0xFB, 0x22..=0x26)),
    differ: In::Unit,
};

pub(crate) static RESERVED_VIF: Rule = Rule {
    name: "the reserved VIF",
    why: "6F means nothing yet; how long its record is says the DIF. It gives up the frame. \
          EN 13757-3, VIF table.",
    sample: "01 6F 05 01 13 05",
    applies: |seen| seen.code() == (0, 0x6F),
    differ: In::RestOfFrame,
};

pub(crate) static NEWER_CODES: Rule = Rule {
    name: "codes of the edition of 2018",
    why: "It knows the coefficient of performance (FB06) and the rating factors of heat cost \
          allocators (FB68 to FB6E), and is right. We say that the quantity is unknown, and give \
          the number without a unit and as it was sent, which is less and not wrong. \
          EN 13757-3:2018, table of FB.",
    sample: "01 FB 68 05",
    applies: |seen| matches!(seen.code(), (0xFB, 0x06 | 0x68..=0x6E)),
    differ: In::Unit,
};

pub(crate) static NON_METRIC: Rule = Rule {
    name: "other than metric units",
    why: "VIFE 3D says that the number is in gallons, BTU or degrees Fahrenheit. It tells that \
          unit; we tell the VIF's own with the modifier `non_metric`, and leave it to whoever \
          knows the meter. EN 13757-3, annex C.",
    sample: "01 E3 3D 05",
    applies: |seen| seen.has_vife(|name| name == "non_metric"),
    differ: In::Unit,
};

pub(crate) static FIXED: Rule = Rule {
    name: "units of the fixed structure",
    why: "Two bytes in front of the counters say what they count, in what, and whether the second \
          is of a due date. It tells the digits alone. EN 13757-3, \"fixed data structure\".",
    sample: "12 34 56 78 01 00 E9 7E 01 00 00 00 35 01 00 00",
    applies: |seen| matches!(seen.ci, ci::FIXED | ci::FIXED_MSB_FIRST),
    differ: In::Record,
};

pub(crate) static GLOBAL_READOUT: Rule = Rule {
    name: "the question for everything",
    why: "7F is no record's DIF but stands for all records. It has storage 1 and the value of an \
          error for it. EN 13757-3, \"special functions\".",
    sample: "7F",
    applies: |seen| seen.record.vib.bytes().is_empty(),
    differ: In::Record,
};
