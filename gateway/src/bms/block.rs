//! The sixteen registers of one value.
//!
//! ```text
//!  +0  i64   the figure without its point, exactly     none: 8000 0000 0000 0000
//!  +4  i16   decimals of the figure, for ever the same
//!  +5  u16   quality: below 256 there is a value
//!  +6  f32   the value, rounded to a float             none: 7FC0 0000, which is no number
//!  +8  i32   the figure, where it fits                 none: 8000 0000
//! +10  u32   seconds since it was read                 none: FFFF FFFF
//! +12  …     kept free: 0
//! ```
//!
//! All high word first. Registers 0 to 15 of a unit are the gateway's own: see [`head`].
//!
//! **Never true:** a float is on the way to the integers; an old value is shown as a new one: its
//! quality says that the last question had no answer, its age grows, and after two intervals of
//! its meter it is none any more.

use chrono::{DateTime, TimeDelta, Utc};
use metering::{Moment, NoReading, Origin, Quantity};
use web_ui::{Live, LiveValue, MeterState, Site};

use super::points::{BLOCK, Point};

const WORDS: usize = BLOCK as usize;

/// Quality: the value is of an answer before the last question, which had none.
const HELD: u16 = 16;
/// Quality: the meter is more exact now than its registers can be; the float alone is right.
const FINER: u16 = 17;
/// Quality: there is no value, and this plus the code of the reason says why.
const ABSENT: u16 = 256;
/// Quality: the value is of a simulated meter.
const SIMULATED: u16 = 0x8000;
/// Quality: nobody measured the value, it was forecast.
const FORECAST: u16 = 0x4000;

/// The layout of this file. Another one would have another number.
const LAYOUT: u16 = 1;

/// Registers 0 to 15 of a unit: the layout, the number of values, the gateway's clock as seconds
/// since 1970 (u32), and the seconds since the server began (u32), by which a management system
/// sees that the gateway lives.
pub(super) fn head(points: usize, begun: &Moment, now: &Moment) -> [u16; WORDS] {
    let clock = u32::try_from(now.wall.timestamp()).unwrap_or(u32::MAX);
    let lives = now.boottime.saturating_sub(begun.boottime).as_secs();
    let mut block = [0; WORDS];
    let words = [LAYOUT, u16::try_from(points).unwrap_or(u16::MAX)];
    let words = words.into_iter().chain(halves(clock)).chain(halves(capped(lives)));
    fill(&mut block, words);
    block
}

/// The registers of `point`, as things are `now`.
pub(super) fn of(point: &Point, site: &Site, live: &Live, now: DateTime<Utc>) -> [u16; WORDS] {
    let known = known(point, site, live, now);
    let mut block = [0; WORDS];
    let decimals = u16::from_be_bytes(i16::from(point.resolution.decimals()).to_be_bytes());
    match known {
        Ok((value, quantity, is_held)) => {
            let exact = quantity.scaled_to(point.resolution).map(Quantity::mantissa);
            let same_unit = quantity.resolution().unit() == point.resolution.unit();
            let quality = match exact {
                None if !same_unit => return none(decimals, ABSENT + TOO_LARGE),
                None => FINER,
                Some(_) if is_held => HELD,
                Some(_) => value.quality.code().into(),
            };
            let marks = match value.origin {
                Origin::Simulated => SIMULATED,
                Origin::Forecast => FORECAST,
                _ => 0,
            };
            let age = (now - value.at).num_seconds();
            let words = quarters(exact.unwrap_or(i64::MIN))
                .into_iter()
                .chain([decimals, quality | marks])
                .chain(halves(float(quantity)))
                .chain(halves(small(exact)))
                .chain(halves(capped(u64::try_from(age).unwrap_or_default())));
            fill(&mut block, words);
            block
        }
        Err(reason) => none(decimals, ABSENT + u16::from(reason.map_or(0, NoReading::code))),
    }
}

const TOO_LARGE: u16 = NoReading::TooLarge.code() as u16;

/// What is known of `point`, and whether the last question had no answer; or why nothing is.
/// `Err(None)` if nothing has been read yet, or its meter is gone.
fn known<'l>(
    point: &Point,
    site: &Site,
    live: &'l Live,
    now: DateTime<Utc>,
) -> Result<(&'l LiveValue, Quantity, bool), Option<NoReading>> {
    let info = site.meter(point.meter).ok_or(None)?;
    let meter = live.meters.get(&point.meter).ok_or(None)?;
    let value = meter.values.iter().find(|it| it.register == point.register);
    // A meter that answers without this number has left it out.
    let value = value.ok_or((meter.state == MeterState::Ok).then_some(NoReading::LeftOut))?;
    let quantity = value.value.map_err(Some)?;
    let is_held = meter.absent.is_some();
    let interval = TimeDelta::from_std(info.poll_every).unwrap_or_default();
    // A value has the meter's own time, which is the hour's end where it is said once an hour: what
    // counts is when the meter was heard.
    if now - meter.last_answer.unwrap_or(value.at) > interval * 2 {
        return Err(Some(meter.absent.unwrap_or(NoReading::NotAsked)));
    }
    Ok((value, quantity, is_held))
}

/// No value, and why.
fn none(decimals: u16, quality: u16) -> [u16; WORDS] {
    let mut block = [0; WORDS];
    let words = quarters(i64::MIN)
        .into_iter()
        .chain([decimals, quality])
        .chain(halves(NO_FLOAT))
        .chain(halves(NO_SMALL))
        .chain(halves(u32::MAX));
    fill(&mut block, words);
    block
}

const NO_FLOAT: u32 = 0x7FC0_0000;
const NO_SMALL: u32 = 0x8000_0000;

/// The nearest float: digits are read, nothing is divided.
fn float(quantity: Quantity) -> u32 {
    quantity.decimal().parse::<f32>().map_or(NO_FLOAT, f32::to_bits)
}

fn small(mantissa: Option<i64>) -> u32 {
    let small = mantissa.and_then(|it| i32::try_from(it).ok());
    small.map_or(NO_SMALL, i32::cast_unsigned)
}

fn capped(seconds: u64) -> u32 {
    // The highest says that there is none.
    u32::try_from(seconds).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

fn halves(number: u32) -> [u16; 2] {
    let [a, b, c, d] = number.to_be_bytes();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

fn quarters(number: i64) -> [u16; 4] {
    let bytes = number.to_be_bytes();
    let (words, _) = bytes.as_chunks();
    std::array::from_fn(|at| words.get(at).copied().map_or(0, u16::from_be_bytes))
}

fn fill(block: &mut [u16; WORDS], words: impl Iterator<Item = u16>) {
    for (place, word) in block.iter_mut().zip(words) {
        *place = word;
    }
}

#[cfg(test)]
mod tests;
