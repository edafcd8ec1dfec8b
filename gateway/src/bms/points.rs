//! Which value has which registers: given once, and kept for ever.
//!
//! ```text
//! fyrhus-bms-points 1
//! 019a8f3e-7c52-7b3e-9d41-000000000001 energy_import_total kWh 2
//! 019a8f3e-7c52-7b3e-9d41-000000000001 power_total W 1
//! ```
//!
//! A line is a place: the first has block 1 of the first unit, and so on. A value gets its place
//! when it is first known, with the unit and the decimals that it then has, and nothing takes it
//! away: the place of a meter that is gone stays empty.
//!
//! **Never true:** a line is changed, moved or removed. What cannot be read is not begun anew.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use metering::{MeterId, Register, Resolution, Unit};
use web_ui::{BmsPoint, Live, Site};

use crate::config::kept;

/// Registers that each value has, and the gateway itself at the beginning of each unit.
pub(crate) const BLOCK: u16 = 16;

/// Values of one unit: the rest of 65 536 registers. The next ones are on the next unit.
const ON_A_PAGE: usize = 4_095;

/// Units that there can be: 247 is the last, and the first may be it.
const MOST_PAGES: usize = 4;

/// All places of all units take a fourth of it, or so.
const MOST_BYTES: u64 = 4 << 20;

/// A value with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) meter: MeterId,
    pub(crate) register: Register,
    pub(crate) resolution: Resolution,
}

/// All of them, each at its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Points(Vec<Point>);

impl Points {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The values of a unit; `None` if there is no such unit. The first is always there.
    pub(super) fn on_page(&self, page: usize) -> Option<&[Point]> {
        let begin = page.checked_mul(ON_A_PAGE)?;
        let end = (begin + ON_A_PAGE).min(self.0.len());
        if page == 0 || begin < self.0.len() { self.0.get(begin..end) } else { None }
    }

    /// Values that are known and have no place yet, in the order of the configuration.
    pub(super) fn missing(&self, site: &Site, live: &Live) -> Vec<Point> {
        let placed: HashSet<(MeterId, &Register)> =
            self.0.iter().map(|point| (point.meter, &point.register)).collect();
        let mut missing = Vec::new();
        for info in &site.meters {
            let Some(meter) = live.meters.get(&info.id) else { continue };
            for value in &meter.values {
                let Ok(quantity) = value.value else { continue };
                let is_twice = missing
                    .iter()
                    .any(|it: &Point| it.meter == info.id && it.register == value.register);
                if !placed.contains(&(info.id, &value.register)) && !is_twice {
                    let resolution = quantity.resolution();
                    let register = value.register.clone();
                    missing.push(Point { meter: info.id, register, resolution });
                }
            }
        }
        missing
    }

    /// Gives each of `new` a place; tells how many found none.
    pub(super) fn add(&mut self, new: Vec<Point>) -> usize {
        let room = (ON_A_PAGE * MOST_PAGES).saturating_sub(self.0.len());
        let beyond = new.len().saturating_sub(room);
        self.0.extend(new.into_iter().take(room));
        beyond
    }

    /// For the list: each with its unit and the address of its first register.
    pub(crate) fn shown(&self, base: u8) -> Vec<BmsPoint> {
        let shown = |(index, point): (usize, &Point)| {
            let page = u8::try_from(index / ON_A_PAGE).ok()?;
            let block = u16::try_from(index % ON_A_PAGE + 1).ok()?;
            Some(BmsPoint {
                unit: base.checked_add(page)?,
                address: block.checked_mul(BLOCK)?,
                ..BmsPoint::from(point)
            })
        };
        self.0.iter().enumerate().filter_map(shown).collect()
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        for Point { meter, register, resolution } in &self.0 {
            let (unit, decimals) = (resolution.unit(), resolution.decimals());
            writeln!(f, "{meter} {register} {} {decimals}", unit.code())?;
        }
        Ok(())
    }
}

const HEAD: &str = "fyrhus-bms-points 1";

impl Points {
    fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(Unreadable(1));
        }
        let mut points = Vec::new();
        for (line, number) in lines.zip(2..) {
            points.push(point(line).ok_or(Unreadable(number))?);
        }
        Ok(Self(points))
    }
}

fn point(line: &str) -> Option<Point> {
    let mut words = line.split(' ');
    let (meter, register) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (unit, decimals) = (Unit::from_code(words.next()?)?, words.next()?.parse().ok()?);
    let resolution = Resolution::new(decimals, unit)?;
    words.next().is_none().then_some(Point { meter, register, resolution })
}

/// A line that this program has not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0} of bms.points is not as it was written; put the file of a backup in its place, or \
     delete it: then all values get new registers"
)]
struct Unreadable(usize);

/// The places that were given; none before the first.
pub(crate) fn read(state: &Path) -> anyhow::Result<Points> {
    let file = file(state);
    let opened = match File::open(&file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Points::default()),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", file.display()));
        }
    };
    let mut text = String::new();
    opened
        .take(MOST_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Points::parse(&text)?)
}

/// Keeps them over a power cut.
pub(super) fn keep(state: &Path, text: &str) -> io::Result<()> {
    kept::replace(&file(state), text)
}

fn file(state: &Path) -> PathBuf {
    state.join("bms.points")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(meter: u128, register: &str, decimals: i8) -> Point {
        Point {
            meter: MeterId::from_uuid(uuid::Uuid::from_u128(meter)),
            register: register.parse().unwrap(),
            resolution: Resolution::new(decimals, Unit::WattHour).unwrap(),
        }
    }

    #[test]
    fn the_list_is_read_as_it_is_written() {
        let points = Points(vec![point(1, "energy_import_total", 2), point(2, "power_l1", -1)]);
        let text = points.to_string();
        assert_eq!(
            text,
            "fyrhus-bms-points 1\n\
             00000000-0000-0000-0000-000000000001 energy_import_total Wh 2\n\
             00000000-0000-0000-0000-000000000002 power_l1 Wh -1\n"
        );
        assert_eq!(Points::parse(&text), Ok(points));
        for (wrong, line) in [
            ("", 1),
            ("fyrhus-bms-points 2\n", 1),
            ("fyrhus-bms-points 1\nx\n", 2),
            ("fyrhus-bms-points 1\n00000000-0000-0000-0000-000000000001 power W 1 x\n", 2),
        ] {
            assert_eq!(Points::parse(wrong), Err(Unreadable(line)), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_a_unit_and_an_address() {
        let mut points = Points::default();
        let many = |count: u128| (0..count).map(|it| point(it, "power", 0)).collect();
        assert_eq!(points.add(many(4_096)), 0);
        let shown = points.shown(3);
        assert_eq!((shown[0].unit, shown[0].address), (3, 16));
        assert_eq!((shown[4_094].unit, shown[4_094].address), (3, 65_520));
        assert_eq!((shown[4_095].unit, shown[4_095].address), (4, 16));
        assert_eq!(points.on_page(0).map(<[_]>::len), Some(4_095));
        assert_eq!(points.on_page(1).map(<[_]>::len), Some(1));
        assert_eq!(points.on_page(2), None);
        assert_eq!(points.add(many(20_000)), 20_000 + 4_096 - 4 * 4_095);
        assert_eq!(Points::default().on_page(0), Some([].as_slice()));
    }

    proptest! {
        #[test]
        fn whatever_is_added_later_moves_nothing(first in 0_usize..50, more in 0_usize..50) {
            let mut points = Points::default();
            points.add((0..first).map(|it| point(it as u128, "power", 0)).collect());
            let before = points.shown(1);
            points.add((0..more).map(|it| point(1_000 + it as u128, "power", 0)).collect());
            let after = points.shown(1);
            prop_assert_eq!(after.get(..first), Some(before.as_slice()));
        }
    }
}
