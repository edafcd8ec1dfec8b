//! How people and receivers write telegrams down: hex digits in many dresses.
//!
//! ```text
//! 68 13 13 68 …            681313 68, either case, with or without blanks
//! 0x68, 0x13  68:13:13     as in source code and in captures
//! 6813_13|68 telegram=|…|  as in collections of telegrams
//! T1;1;1;…;0x6E44…         rtl_wmbus
//! b6E44…, bY6E44…          CUL, with two bytes of the receiver behind the frame
//! … key=00112233…          keys of the line's own
//! ```

use std::fmt::Write as _;

use mbus::crypto::Key;

/// A telegram as it was written down.
#[derive(Debug)]
pub(super) struct Written {
    /// Its bytes, or the first thing that is no hex.
    pub(super) bytes: Result<Vec<u8>, BadHex>,
    /// The keys that stand beside it.
    pub(super) keys: Vec<Key>,
}

/// Why digits are no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHex {
    /// There are none.
    #[error("there is no hex digit")]
    Empty,
    /// Something else stands among them.
    #[error("column {column}: `{found}` is no hex digit")]
    NoDigit {
        /// Which byte would begin or end with it, from 0.
        byte: usize,
        /// Which character of the line, from 1.
        column: usize,
        /// What.
        found: char,
    },
    /// The last one is alone.
    #[error("the number of hex digits is odd: one is missing, or one too many")]
    Odd {
        /// Which byte it would begin, from 0.
        byte: usize,
    },
    /// What stands behind `key=`.
    #[error("a key is written key= and 32 hex digits")]
    Key,
}

impl BadHex {
    /// A code for programs.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoDigit { .. } | Self::Odd { .. } => "hex",
            Self::Key => "key",
        }
    }

    /// The byte at fault.
    pub(super) const fn byte(&self) -> usize {
        match *self {
            Self::NoDigit { byte, .. } | Self::Odd { byte } => byte,
            Self::Empty | Self::Key => 0,
        }
    }
}

impl Written {
    /// Reads a line.
    pub(super) fn read(line: &str) -> Self {
        let mut keys = Vec::new();
        let mut bad_key = false;
        let mut digits = Vec::new();
        let mut fault = None;
        let Telegram { text, before, from_cul } = Telegram::of(line);
        let mut column = before;
        for word in text.split(char::is_whitespace) {
            let begin = column;
            column += word.chars().count() + 1;
            if let Some(key) = word.strip_prefix("key=") {
                match key.parse() {
                    Ok(key) => keys.push(key),
                    Err(mbus::crypto::InvalidKey) => bad_key = true,
                }
                continue;
            }
            // How many digits have come since the last blank or separator.
            let mut together = 0;
            for (place, found) in word.chars().enumerate() {
                match found.to_digit(16).map(u8::try_from) {
                    Some(Ok(digit)) => {
                        digits.push(digit);
                        together += 1;
                    }
                    _ if "|_:,".contains(found) => together = 0,
                    _ if "xX".contains(found) && together == 1 && digits.last() == Some(&0) => {
                        digits.pop();
                        together = 0;
                    }
                    _ => {
                        let (byte, column) = (digits.len() / 2, begin + place + 1);
                        fault.get_or_insert(BadHex::NoDigit { byte, column, found });
                    }
                }
            }
        }
        let bytes = match fault {
            Some(fault) => Err(fault),
            None => bytes_of(&digits),
        };
        let bytes = if bad_key { bytes.and(Err(BadHex::Key)) } else { bytes };
        let bytes = if from_cul { bytes.map(without_reception) } else { bytes };
        Self { bytes, keys }
    }
}

/// What of a line is the telegram.
struct Telegram<'l> {
    text: &'l str,
    /// How many characters stand in front of it.
    before: usize,
    from_cul: bool,
}

impl<'l> Telegram<'l> {
    fn of(line: &'l str) -> Self {
        let before = |rest: &str| line.chars().count().saturating_sub(rest.chars().count());
        if let Some(rest) = line.trim_start().strip_prefix("telegram=") {
            // Collections write behind it after how many seconds it came.
            let text = rest.split_once("|+").map_or(rest, |(text, _)| text);
            return Self { text, before: before(rest), from_cul: false };
        }
        if let Some((fields, rest)) = line.rsplit_once(";0x")
            && fields.split(';').count() >= 5
        {
            let text = rest.split_once(';').map_or(rest, |(text, _)| text);
            return Self { text, before: before(rest), from_cul: false };
        }
        let cul = line.trim_end().strip_prefix('b');
        match cul.map(|rest| rest.strip_prefix('Y').unwrap_or(rest)) {
            // A `b` is a digit as well: only behind it the number of digits is even.
            Some(text) if is_radio_hex(text) => Self { text, before: 1, from_cul: true },
            _ => Self { text: line, before: 0, from_cul: false },
        }
    }
}

/// Whether `text` is nothing but bytes, the second of which is a control byte of radio.
fn is_radio_hex(text: &str) -> bool {
    let control = text.get(2..4);
    text.len().is_multiple_of(2)
        && text.bytes().all(|it| it.is_ascii_hexdigit())
        && control.is_some_and(|it| ["44", "46", "08"].contains(&it))
}

/// A CUL tells how well it has received in two bytes behind the frame.
fn without_reception(mut bytes: Vec<u8>) -> Vec<u8> {
    let counted = 1 + bytes.first().copied().map_or(0, usize::from);
    let with_checksums = counted + 2 * (1 + counted.saturating_sub(10).div_ceil(16));
    if [counted + 2, with_checksums + 2].contains(&bytes.len()) {
        bytes.truncate(bytes.len() - 2);
    }
    bytes
}

fn bytes_of(digits: &[u8]) -> Result<Vec<u8>, BadHex> {
    if digits.is_empty() {
        return Err(BadHex::Empty);
    }
    let (pairs, rest) = digits.as_chunks();
    if !rest.is_empty() {
        return Err(BadHex::Odd { byte: pairs.len() });
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a String never fails.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<&str, &str>) {
        let read = Written::read(line).bytes;
        let read = read.map(|it| to_hex(&it)).map_err(|it| format!("{} {it}", it.byte()));
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{line}");
    }

    #[test]
    fn digits_in_many_dresses() {
        for line in [
            "105B0560 16",
            "10 5b 05 60 16",
            "\t0x10, 0x5B,0x05, 0x60, 0X16  ",
            "10:5B:05:60:16",
            "telegram=|10_5B0560|16|+12",
            "0x105B056016",
            "T1;1;1;2026-11-22 12:00:00.000;97;148;12345678;0x105B056016",
        ] {
            check(line, Ok("105B056016"));
        }
        // Ten bytes, and two in which the receiver says how it heard them.
        check("b0844112233445566771234", Ok("084411223344556677"));
        check("bY0844112233445566771234", Ok("084411223344556677"));
        check("b0", Ok("B0"));
    }

    #[test]
    fn what_is_no_hex_is_told_by_its_place() {
        check("", Err("0 there is no hex digit"));
        check("||", Err("0 there is no hex digit"));
        check("68 1", Err("1 the number of hex digits is odd: one is missing, or one too many"));
        check("68 1G", Err("1 column 5: `G` is no hex digit"));
        check("  hello", Err("0 column 3: `h` is no hex digit"));
        check("68 æ", Err("1 column 4: `æ` is no hex digit"));
        check("00x12", Err("1 column 3: `x` is no hex digit"));
        check("10 key=12", Err("0 a key is written key= and 32 hex digits"));
    }

    #[test]
    fn keys_stand_beside_the_digits() {
        let line = "key=000102030405060708090a0b0c0d0e0f E5 key=0F0E0D0C0B0A09080706050403020100";
        let written = Written::read(line);
        assert_eq!(written.keys.len(), 2);
        assert_eq!(written.bytes, Ok(vec![0xE5]));
    }
}
