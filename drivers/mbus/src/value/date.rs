//! Dates and times of the meter's own clock.
//!
//! ```text
//! byte  0               1                 2                 3                  4            5
//! G     YYY DDDDD       YYYY MMMM
//! F     IV . mmmmmm     SU hh HHHHH       YYY DDDDD         YYYY MMMM
//! I     . SU ssssss     IV . mmmmmm       www HHHHH         YYY DDDDD          YYYY MMMM    week
//! J     . . ssssss      . . mmmmmm        . . . HHHHH
//! ```
//!
//! The year's low three bits stand above the day, its high four above the month. `hh` is the
//! hundred of the year, `IV` says that the clock is wrong, `SU` that it shows summer time. Local
//! time, without a zone; weekday and week are not read. A field with all its bits set (day: none)
//! means "every".
//!
//! Type K, the rule by which a meter's summer time begins and ends, is announced by no VIF: four
//! bytes behind a VIF of dates are type F, always.
//!
//! Source: EN 13757-3, annex A, types F, G, I and J.

use core::fmt;

use super::Invalid;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day that every type can tell: of the years 1981 to 2080.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = Self { year, month, day };
        let exists = month >= 1 && month <= 12 && day >= 1 && day <= date.days();
        if exists && date.fits_two_digits() { Some(date) } else { None }
    }

    /// With the century.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Whether the year is told by its last two digits.
    pub(crate) const fn fits_two_digits(self) -> bool {
        self.year >= 1981 && self.year <= 2080
    }

    /// Type G.
    pub(crate) fn read_g(bits: u16) -> Result<Self, Invalid> {
        let date = Self::of(bits, Century::Split);
        if bits == u16::MAX || date.is_none() {
            return Err(Invalid::DateNone);
        }
        if date.is_rule()? { Err(Invalid::DatePartial) } else { Ok(date) }
    }

    /// Without the century.
    pub(crate) fn write_g(self) -> u16 {
        let year = self.year % 100;
        u16::from(self.day) | (year & 0b111) << 5 | u16::from(self.month) << 8 | (year >> 3) << 12
    }

    /// What the fields say, whether there is such a day or not.
    fn of(bits: u16, century: Century) -> Self {
        let [low, high] = bits.to_le_bytes();
        let short_year = u16::from(high >> 4) << 3 | u16::from(low >> 5);
        let year = match (century, short_year) {
            (_, 127) => EVERY_YEAR,
            (_, 100..) => NO_YEAR,
            (Century::Split, 81..) => 1900 + short_year,
            (Century::Split, _) => 2000 + short_year,
            (Century::Starting(hundred), _) => hundred + short_year,
        };
        Self { year, month: high & 0b1111, day: low & 0b1_1111 }
    }

    const fn is_none(self) -> bool {
        self.day == 0 && self.month == 0
    }

    /// Whether a field says "every"; an error if one says what there is not.
    const fn is_rule(self) -> Result<bool, Invalid> {
        if self.year == NO_YEAR
            || !matches!(self.month, 1..=12 | EVERY_MONTH)
            || (self.day > 28 && self.day > self.days())
        {
            return Err(Invalid::DateRange);
        }
        Ok(self.year == EVERY_YEAR || self.month == EVERY_MONTH || self.day == 0)
    }

    /// How many days this month has; of an "every" month or year, the most it can have.
    const fn days(self) -> u8 {
        let every_year = self.year == EVERY_YEAR;
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if leap || every_year => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A time of day, with seconds where the type has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    hour: u8,
    minute: u8,
    second: Option<u8>,
    summer: bool,
}

impl Time {
    /// A time from 00:00 to 23:59:59, not of summer.
    pub const fn new(hour: u8, minute: u8, second: Option<u8>) -> Option<Self> {
        let second_exists = match second {
            Some(second) => second < 60,
            None => true,
        };
        if hour < 24 && minute < 60 && second_exists {
            Some(Self { hour, minute, second, summer: false })
        } else {
            None
        }
    }

    /// The same by a clock that has been put forward for the summer.
    #[must_use]
    pub const fn in_summer(self) -> Self {
        Self { summer: true, ..self }
    }

    /// 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }

    /// 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }

    /// 0 to 59; `None` where the meter tells none.
    pub const fn second(self) -> Option<u8> {
        self.second
    }

    /// Whether the meter says that its clock has been put forward for the summer, beside a date.
    /// Many a meter never says it.
    pub const fn is_summer(self) -> bool {
        self.summer
    }

    /// Type J.
    pub(crate) fn read_j(bits: u32) -> Result<Self, Invalid> {
        if bits == 0x00FF_FFFF {
            return Err(Invalid::DateNone);
        }
        let [second, minute, hour, _] = bits.to_le_bytes();
        let time = Self::of(hour, minute, Some(second), false);
        if time.is_rule()? { Err(Invalid::DatePartial) } else { Ok(time) }
    }

    pub(crate) fn write_j(self) -> u32 {
        u32::from_le_bytes([self.second.unwrap_or(0), self.minute, self.hour, 0])
    }

    /// What the fields say, whether there is such a time or not.
    fn of(hour: u8, minute: u8, second: Option<u8>, summer: bool) -> Self {
        let second = second.map(|second| second & 0b11_1111);
        Self { hour: hour & 0b1_1111, minute: minute & 0b11_1111, second, summer }
    }

    /// Whether a field says "every"; an error if one says what there is not.
    fn is_rule(self) -> Result<bool, Invalid> {
        let Self { hour, minute, second, .. } = self;
        let second = second.unwrap_or(0);
        let exists = |field, end, every| field < end || field == every;
        if !exists(hour, 24, EVERY_HOUR)
            || !exists(minute, 60, EVERY_MINUTE)
            || !exists(second, 60, EVERY_MINUTE)
        {
            return Err(Invalid::DateRange);
        }
        Ok(hour == EVERY_HOUR || minute == EVERY_MINUTE || second == EVERY_MINUTE)
    }
}

impl fmt::Display for Time {
    /// `14:26` or `14:26:45`; summer time is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)?;
        match self.second {
            Some(second) => write!(f, ":{second:02}"),
            None => Ok(()),
        }
    }
}

/// Type F.
pub(crate) fn read_f(bits: u32) -> Result<(Date, Time), Invalid> {
    let [minute, hour, day, month] = bits.to_le_bytes();
    let century = match hour >> 5 & 0b11 {
        0 => Century::Split,
        hundreds => Century::Starting(1900 + 100 * u16::from(hundreds)),
    };
    let date = Date::of(u16::from_le_bytes([day, month]), century);
    both(date, Time::of(hour, minute, None, hour & SUMMER_OF_F != 0), minute)
}

pub(crate) fn write_f(date: Date, time: Time) -> u32 {
    let [day, month] = date.write_g().to_le_bytes();
    let hundreds = match date.year {
        year if date.fits_two_digits() || year < 1900 => 0,
        year => (year - 1900) / 100,
    };
    let [hundreds, _] = (hundreds << 5).to_le_bytes();
    let summer = if time.summer { SUMMER_OF_F } else { 0 };
    u32::from_le_bytes([time.minute, time.hour | hundreds & 0b0110_0000 | summer, day, month])
}

/// Type I.
pub(crate) fn read_i(bits: u64) -> Result<(Date, Time), Invalid> {
    let [second, minute, hour, day, month, ..] = bits.to_le_bytes();
    let date = Date::of(u16::from_le_bytes([day, month]), Century::Starting(2000));
    both(date, Time::of(hour, minute, Some(second), second & SUMMER_OF_I != 0), minute)
}

/// Weekday and week are left out ("not told"). The year is one from 2000 to 2099.
pub(crate) fn write_i(date: Date, time: Time) -> u64 {
    let [day, month] = date.write_g().to_le_bytes();
    let summer = if time.summer { SUMMER_OF_I } else { 0 };
    let second = time.second.unwrap_or(0) | summer;
    u64::from_le_bytes([second, time.minute, time.hour, day, month, 0, 0, 0])
}

/// The first reason that holds is the one that is told.
fn both(date: Date, time: Time, iv_byte: u8) -> Result<(Date, Time), Invalid> {
    if iv_byte & 0b1000_0000 != 0 {
        return Err(Invalid::DateInvalid);
    }
    if date.is_none() {
        return Err(Invalid::DateNone);
    }
    let (date_is_rule, time_is_rule) = (date.is_rule()?, time.is_rule()?);
    if date_is_rule || time_is_rule { Err(Invalid::DatePartial) } else { Ok((date, time)) }
}

/// What is to be added to the year of a century.
#[derive(Clone, Copy)]
enum Century {
    /// 81 to 99 are of the last one.
    Split,
    Starting(u16),
}

const EVERY_YEAR: u16 = u16::MAX;
/// 100 to 126.
const NO_YEAR: u16 = 0;
const EVERY_MONTH: u8 = 15;
const EVERY_HOUR: u8 = 31;
/// Of seconds, too.
const EVERY_MINUTE: u8 = 63;
/// Beside the hour.
const SUMMER_OF_F: u8 = 0b1000_0000;
/// Beside the second.
const SUMMER_OF_I: u8 = 0b0100_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_g(bits: u16, expected: Result<&str, Invalid>) {
        let read = Date::read_g(bits).map(|date| date.to_string());
        assert_eq!(read, expected.map(str::to_owned));
    }

    #[test]
    fn type_g() {
        check_g(0x86BB, Ok("2069-06-27"));
        check_g(0x23C2, Ok("2022-03-02"));
        check_g(0xC121, Ok("1997-01-01"));
        check_g(0xFFFF, Err(Invalid::DateNone));
        check_g(0xF0E0, Err(Invalid::DateNone));
        check_g(0xF2F0, Err(Invalid::DatePartial));
        check_g(0xF2FE, Err(Invalid::DateRange));
        check_g(0x0D01, Err(Invalid::DateRange));
        check_g(0x0300, Err(Invalid::DatePartial));
        check_g(0x0003, Err(Invalid::DateRange));
        check_g(0xC281, Err(Invalid::DateRange));
    }

    #[track_caller]
    fn check_f(bits: u32, expected: Result<&str, Invalid>) {
        let read = read_f(bits).map(|(date, time)| format!("{date}T{time}"));
        assert_eq!(read, expected.map(str::to_owned));
    }

    #[test]
    fn type_f() {
        check_f(0x13CD_0E1A, Ok("2014-03-13T14:26"));
        check_f(0x13CD_2E1A, Ok("2014-03-13T14:26"));
        check_f(0x13CD_0E9A, Err(Invalid::DateInvalid));
        check_f(0xFFFF_FFFF, Err(Invalid::DateInvalid));
        check_f(0x0000_0000, Err(Invalid::DateNone));
        check_f(0x13CD_0E3C, Err(Invalid::DateRange));
        check_f(0x13CD_1F1A, Err(Invalid::DatePartial));
        check_f(0x13CD_181A, Err(Invalid::DateRange));
    }

    #[test]
    fn a_century_can_be_told() {
        // 1996 with hundred 0 is split; with hundred 1 the same year is 2096.
        check_f(0xC101_0000, Ok("1996-01-01T00:00"));
        check_f(0xC101_2000, Ok("2096-01-01T00:00"));
    }

    #[test]
    fn types_i_and_j() {
        let read = |bits| read_i(bits).map(|(date, time)| format!("{date}T{time}"));
        assert_eq!(read(0x0013_CD0E_1A2D), Ok("2014-03-13T14:26:45".to_owned()));
        assert_eq!(read(0xFFFF_FFFF_FFFF), Err(Invalid::DateInvalid));
        assert_eq!(Time::read_j(0x09_2D1E).map(|time| time.to_string()), Ok("09:45:30".to_owned()));
        assert_eq!(Time::read_j(0x11_2D3C), Err(Invalid::DateRange));
        assert_eq!(Time::read_j(0xFF_FFFF), Err(Invalid::DateNone));
        assert_eq!(Time::read_j(0x1F_0000), Err(Invalid::DatePartial));
    }

    #[test]
    fn a_century_that_was_told_is_told_again() {
        for bits in [0xC101_0000, 0xC101_2000, 0x13CD_4E1A, 0x13CD_6E1A] {
            let (date, time) = read_f(bits).unwrap();
            assert_eq!(read_f(write_f(date, time)), Ok((date, time)));
        }
    }

    #[test]
    fn summer_time() {
        let summer = |read: Result<(Date, Time), Invalid>| read.map(|(_, time)| time.is_summer());
        assert_eq!(summer(read_f(0x13CD_0E1A)), Ok(false));
        assert_eq!(summer(read_f(0x13CD_8E1A)), Ok(true));
        assert_eq!(summer(read_i(0x0013_CD0E_1A2D)), Ok(false));
        assert_eq!(summer(read_i(0x0013_CD0E_1A6D)), Ok(true));
        assert_eq!(read_f(0x13CD_8E1A).unwrap().1.to_string(), "14:26");
    }

    #[test]
    fn every_day_there_and_back() {
        for year in 1981..=2080 {
            for (month, day) in [(1, 1), (2, 28), (2, 29), (4, 30), (12, 31)] {
                let Some(date) = Date::new(year, month, day) else {
                    assert_eq!((month, day), (2, 29));
                    continue;
                };
                assert_eq!(Date::read_g(date.write_g()), Ok(date));
                let time = Time::new(23, 59, None).unwrap();
                for time in [time, time.in_summer()] {
                    assert_eq!(read_f(write_f(date, time)), Ok((date, time)));
                }
            }
        }
        let (date, time) = (Date::new(2026, 3, 1), Time::new(7, 8, Some(9)).unwrap());
        for time in [time, time.in_summer()] {
            assert_eq!(read_i(write_i(date.unwrap(), time)), Ok((date.unwrap(), time)));
        }
        assert_eq!(Time::read_j(time.write_j()), Ok(time));
    }
}
