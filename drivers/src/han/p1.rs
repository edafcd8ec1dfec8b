//! P1: text telegrams of DSMR 2 to 5, ESMR 5 and the Swedish P1.
//!
//! ```text
//! /ELL5\253833635_A            maker, speed, name
//!
//! 0-0:1.0.0(210217184019W)     when: S summer time, W winter time
//! 1-0:1.8.0(00001605.055*kWh)
//! 0-1:24.2.1(101209112500W)(12785.123*m3)    another meter's, of its own time
//! !80FF                        CRC-16 over `/` to `!`; none before DSMR 4
//! ```
//!
//! **Never true:** a line that cannot be read spoils another: it is a note.

use chrono::{NaiveDate, NaiveDateTime};
use metering::{Quantity, Unit};

use super::crc;
use super::flaw::{Fault, Flaw};
use super::hdlc::Measure;
use super::obis::Obis;
use super::telegram::{Maker, Note, Telegram, Value};
use super::time::MeterTime;

/// Four times what the longest telegrams have.
pub(super) const LONGEST: usize = 8_192;

/// Whether a telegram begins with the `/` at the beginning of `bytes`, and how long it is.
pub(super) fn measure(bytes: &[u8]) -> Measure {
    let strange = bytes.iter().position(|byte| !is_text(*byte));
    let text = bytes.get(..strange.unwrap_or(bytes.len())).unwrap_or_default();
    let named = text.iter().skip(1).take(3).all(u8::is_ascii_alphanumeric);
    if !named {
        return Measure::No(Flaw::new(0, Fault::NoStart));
    }
    let mark = text.windows(2).position(|it| it == b"\n!").map(|at| at + 1);
    let end = mark.and_then(|mark| {
        let behind = text.get(mark..)?;
        behind.iter().position(|byte| *byte == b'\n').map(|length| mark + length + 1)
    });
    match (end, strange) {
        (Some(end), _) => match parts(text.get(..end).unwrap_or_default()) {
            Ok(_) => Measure::Frame(end),
            Err(flaw) => Measure::No(flaw),
        },
        (None, Some(at)) => Measure::No(Flaw::new(at, Fault::Expected("text"))),
        (None, None) if text.len() >= LONGEST => Measure::No(Flaw::new(LONGEST, Fault::TooLong)),
        (None, None) => Measure::More,
    }
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\t' | b' '..=b'~')
}

/// Reads a telegram.
pub(super) fn read(message: &[u8]) -> Result<Telegram, Flaw> {
    if let Some(at) = message.iter().position(|byte| !is_text(*byte)) {
        return Err(Flaw::new(at, Fault::Expected("text")));
    }
    let before = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let moved = |flaw: Flaw| Flaw { at: flaw.at + before, ..flaw };
    let (lines, has_checksum) = parts(message.get(before..).unwrap_or_default()).map_err(moved)?;

    let mut telegram = Telegram::new(Maker::P1);
    telegram.has_checksum = has_checksum;
    let mut at = before;
    for (number, raw) in lines.split_inclusive('\n').enumerate() {
        let line = raw.trim();
        match Line::read(line) {
            _ if line.is_empty() => {}
            _ if number == 0 => telegram.meter_type = Some(line.trim_start_matches('/').to_owned()),
            Some(line) => line.tell(at, &mut telegram),
            None => telegram.notes.push(Note {
                byte: at,
                code: String::new(),
                text: format!("`{line}` is no line such as 1-0:1.8.0(00001.234*kWh)"),
            }),
        }
        at += raw.len();
    }
    Ok(telegram)
}

/// The lines before `!`, and whether a checksum stands behind it, which is right.
fn parts(telegram: &[u8]) -> Result<(&str, bool), Flaw> {
    let text = str::from_utf8(telegram)
        .map_err(|it| Flaw::new(it.valid_up_to(), Fault::Expected("text")))?;
    if !text.starts_with('/') {
        return Err(Flaw::new(0, Fault::NoStart));
    }
    let end =
        text.find("\n!").ok_or(Flaw::new(text.len(), Fault::Ends("a telegram, before `!`")))?;
    let (lines, tail) = text.split_at_checked(end + 1).unwrap_or((text, ""));
    let digits = tail.trim_start_matches('!').trim();
    if digits.is_empty() {
        return Ok((lines, false));
    }
    let at = end + 2;
    let found = (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok()).flatten();
    let found = found.ok_or(Flaw::new(at, Fault::Expected("a checksum of four hex digits")))?;
    let expected = crc::arc(telegram.get(..at).unwrap_or_default());
    if found != expected {
        return Err(Flaw::new(at, Fault::Checksum { part: "telegram's end", found, expected }));
    }
    Ok((lines, true))
}

/// A code and what stands in brackets behind it.
#[derive(Debug)]
struct Line<'t> {
    obis: Obis,
    groups: Vec<&'t str>,
}

impl<'t> Line<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let (code, groups) = line.strip_suffix(')')?.split_once('(')?;
        Some(Self { obis: obis(code)?, groups: groups.split(")(").collect() })
    }

    fn tell(&self, byte: usize, telegram: &mut Telegram) {
        let code = self.obis;
        let note = |text: String| Note { byte, code: code.to_string(), text };
        match (code, self.groups.as_slice()) {
            (Obis { a: 0, b: 0, c: 1, d: 0, e: 0 }, [time]) if timestamp(time).is_some() => {
                telegram.clock = timestamp(time);
            }
            (Obis { a: 0, b: 0, c: 96, d: 1, e: 0 | 1 }, [id]) if !id.is_empty() => {
                telegram.meter_id = Some(name(id));
            }
            (Obis { a: 1, b: 3, c: 0, d: 2, e: 8 }, [version]) if !version.is_empty() => {
                telegram.list_version = Some((*version).to_owned());
            }
            (_, [amount]) if quantity(amount).is_some() => {
                let at = None;
                let value = |quantity| Value { obis: code, quantity, at, byte };
                telegram.values.extend(quantity(amount).map(value));
            }
            (_, [time, amount]) if timestamp(time).is_some() && quantity(amount).is_some() => {
                let at = timestamp(time);
                let value = |quantity| Value { obis: code, quantity, at, byte };
                telegram.values.extend(quantity(amount).map(value));
            }
            (_, groups) => {
                let text = groups.join(", ");
                if !text.is_empty() {
                    telegram.notes.push(note(text));
                }
            }
        }
    }
}

/// `A-B:C.D.E`, or `C.D.E` of electricity.
fn obis(code: &str) -> Option<Obis> {
    let (medium, rest) = code.split_once(':').unwrap_or(("1-0", code));
    let (a, b) = medium.split_once('-')?;
    let rest = rest.split_once('*').map_or(rest, |(rest, _)| rest);
    let mut parts = rest.split('.').map(|part| part.parse().ok());
    let obis = Obis {
        a: a.parse().ok()?,
        b: b.parse().ok()?,
        c: parts.next()??,
        d: parts.next()??,
        e: parts.next()??,
    };
    parts.next().is_none().then_some(obis)
}

/// `00001605.055*kWh`: with the decimals that stand there, never by way of a float.
fn quantity(text: &str) -> Option<Quantity> {
    let (number, unit) = text.split_once('*')?;
    Quantity::from_decimal(number.trim(), unit_of(unit.trim())?).ok()
}

/// `kvarh` and `kVArh` both occur.
fn unit_of(text: &str) -> Option<Unit> {
    Some(match text.to_ascii_lowercase().as_str() {
        "wh" => Unit::WattHour,
        "kwh" => Unit::KilowattHour,
        "w" => Unit::Watt,
        "kw" => Unit::Kilowatt,
        "varh" => Unit::VarHour,
        "kvarh" => Unit::KilovarHour,
        "var" => Unit::Var,
        "kvar" => Unit::Kilovar,
        "va" => Unit::VoltAmpere,
        "kva" => Unit::KilovoltAmpere,
        "v" => Unit::Volt,
        "a" => Unit::Ampere,
        "hz" => Unit::Hertz,
        "m3" => Unit::CubicMetre,
        "gj" => Unit::Gigajoule,
        _ => return None,
    })
}

/// `YYMMDDhhmmssX`.
fn timestamp(text: &str) -> Option<MeterTime> {
    let (digits, season) = text.split_at_checked(12)?;
    let deviation_min = match season {
        "S" => Some(-120),
        "W" => Some(-60),
        "" => None,
        _ => return None,
    };
    let mut numbers = [0_u32; 6];
    for (number, digits) in numbers.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits).ok()?;
        let plain = digits.bytes().all(|it| it.is_ascii_digit());
        *number = digits.parse().ok().filter(|_| plain)?;
    }
    let [year, month, day, hour, minute, second] = numbers;
    let date = NaiveDate::from_ymd_opt(i32::try_from(2_000 + year).ok()?, month, day)?;
    let local: NaiveDateTime = date.and_hms_opt(hour, minute, second)?;
    Some(MeterTime { local, deviation_min })
}

/// Numbers of meters are written in the hex of their letters in the Netherlands.
fn name(text: &str) -> String {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let letter = |pair: &[u8; 2]| {
        let code = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        code.is_ascii_alphanumeric().then_some(char::from(code))
    };
    let letters: Option<String> = pairs.iter().map(letter).collect();
    match letters {
        Some(letters) if rest.is_empty() && text.len() >= MIN_HEX => letters,
        _ => text.to_owned(),
    }
}

/// A number of ten digits could be the hex of five others; of sixteen and more none is that short.
const MIN_HEX: usize = 20;
