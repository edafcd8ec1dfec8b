//! Which item of a list is which.
//!
//! | | Aidon | Kaifa, Norway | Kaifa, Sweden | Kamstrup |
//! |---|---|---|---|---|
//! | holds | array of structures | structure, by place | structure: code, value, … | structure: version, then code, value, … |
//! | scale | beside each number | [`kaifa`] | [`kaifa`] | [`kamstrup`] |
//! | energies | of the hour's end (scaler 1) | of the hour's end | of now | of the hour's end (Norway) |
//!
//! Sources: Aidon RJ12 HAN interface v1.1A; the OBIS list of Kaifa's `KFM_001`; Kamstrup HAN-NVE
//! rev. 3.1.
//!
//! **Never true:** a scale is guessed. Of a meter whose scale nobody tells the number is a note.

use metering::{Quantity, Resolution, Unit};

use super::Rules;
use super::data::{Data, Item};
use super::flaw::{Fault, Flaw};
use super::obis::{Kind, Obis};
use super::telegram::{Maker, Note, Telegram, Value};
use super::time::MeterTime;

/// Reads the body of a notification.
pub(super) fn read(
    body: &Item<'_>,
    clock: Option<MeterTime>,
    addresses: &[u8],
    rules: &Rules,
) -> Result<Telegram, Flaw> {
    match &body.data {
        Data::Array(structures) => {
            let rows = structures.iter().map(Row::of_aidon).collect::<Result<_, _>>()?;
            Ok(List { maker: Maker::Aidon, rows, energies: Energies::ByScaler }.read(clock, rules))
        }
        Data::Structure(items) => Ok(flat(body.at, items, addresses)?.read(clock, rules)),
        _ => Err(Flaw::new(body.at, Fault::Expected("a list of values, 01 or 02"))),
    }
}

fn flat<'i>(at: usize, items: &'i [Item<'_>], addresses: &[u8]) -> Result<List<'i>, Flaw> {
    let text = |item: &Item<'_>| matches!(&item.data, Data::Octets(text) if !text.is_empty());
    match items {
        [first, ..] if first.obis().is_some() => {
            let rows = pairs(items)?;
            let maker = match rows.iter().find(|row| row.obis.cde() == VERSION).map(Row::text) {
                Some(version) if version.starts_with("KFM") => Maker::Kaifa,
                Some(version) if version.starts_with("Kamstrup") => Maker::Kamstrup,
                _ => Maker::Other,
            };
            Ok(List { maker, rows, energies: Energies::Now })
        }
        // By code behind the version, which has none.
        [version, second, ..] if text(version) && second.obis().is_some() => {
            let mut rows =
                vec![Row { obis: Obis::electricity(0, 2, 129), value: version, scale: None }];
            rows.extend(pairs(items.get(1..).unwrap_or_default())?);
            let hourly = addresses == NORWEGIAN_MODULE && rows.iter().any(Row::is_clock);
            let energies = match (addresses == NORWEGIAN_MODULE, hourly) {
                (true, true) => Energies::OfTheHour,
                (true, false) => Energies::Now,
                (false, _) => Energies::Unscaled,
            };
            Ok(List { maker: Maker::Kamstrup, rows, energies })
        }
        _ => {
            let codes = by_place(items.len()).ok_or(Flaw::new(at, Fault::Count(items.len())))?;
            let rows = codes.into_iter().zip(items);
            let rows = rows.map(|(obis, value)| Row { obis, value, scale: None }).collect();
            Ok(List { maker: Maker::Kaifa, rows, energies: Energies::OfTheHour })
        }
    }
}

/// The addresses of Kamstrup's module for Norway (HAN-NVE).
const NORWEGIAN_MODULE: [u8; 2] = [0x2B, 0x21];
const VERSION: (u8, u8, u8) = (0, 2, 129);

/// What Kaifa's Norwegian lists hold, by how many items there are.
fn by_place(count: usize) -> Option<Vec<Obis>> {
    let head = [(0, 2, 129), (96, 1, 0), (96, 1, 7)];
    let powers = [(1, 7, 0), (2, 7, 0), (3, 7, 0), (4, 7, 0)];
    let one_phase = [(31, 7, 0), (32, 7, 0)];
    let three_phases = [(31, 7, 0), (51, 7, 0), (71, 7, 0), (32, 7, 0), (52, 7, 0), (72, 7, 0)];
    let hour = [(1, 0, 0), (1, 8, 0), (2, 8, 0), (3, 8, 0), (4, 8, 0)];
    let phases: &[_] = if matches!(count, 9 | 14) { &one_phase } else { &three_phases };
    let codes = match count {
        1 => vec![(1, 7, 0)],
        9 | 13 => [&head[..], &powers, phases].concat(),
        14 | 18 => [&head[..], &powers, phases, &hour].concat(),
        _ => return None,
    };
    let obis = |(c, d, e)| match c {
        1 if d == 0 => Obis { a: 0, b: 0, c, d, e },
        96 => Obis { a: 0, b: 0, c, d, e },
        _ => Obis::electricity(c, d, e),
    };
    Some(codes.into_iter().map(obis).collect())
}

/// A code and what it has.
#[derive(Debug)]
struct Row<'i> {
    obis: Obis,
    value: &'i Item<'i>,
    /// Scaler and unit, where they stand beside it.
    scale: Option<(i8, u8)>,
}

impl<'i> Row<'i> {
    fn of_aidon(row: &'i Item<'_>) -> Result<Self, Flaw> {
        let Data::Structure(parts) = &row.data else {
            return Err(Flaw::new(row.at, Fault::Expected("02, a code with its value")));
        };
        let (code, value, scale) = match parts.as_slice() {
            [code, value] => (code, value, None),
            [code, value, scale] => (code, value, Some(scale.scale()?)),
            _ => return Err(Flaw::new(row.at, Fault::Expected("a code, a value, a scale"))),
        };
        let obis = code.obis().ok_or(Flaw::new(code.at, NO_CODE))?;
        Ok(Self { obis, value, scale })
    }

    fn text(&self) -> String {
        match &self.value.data {
            Data::Octets(octets) => String::from_utf8_lossy(octets).trim().to_owned(),
            _ => String::new(),
        }
    }

    fn is_clock(&self) -> bool {
        matches!(self.obis, Obis { a: 0, c: 1, d: 0, e: 0, .. })
    }
}

const NO_CODE: Fault = Fault::Expected("09 06 and a code of six octets");

impl Item<'_> {
    fn obis(&self) -> Option<Obis> {
        match &self.data {
            Data::Octets(octets) => Obis::of_octets(octets),
            _ => None,
        }
    }

    fn scale(&self) -> Result<(i8, u8), Flaw> {
        if let Data::Structure(parts) = &self.data
            && let [Item { data: Data::Integer(scaler), .. }, Item { data: Data::Choice(unit), .. }] =
                parts.as_slice()
            && let Ok(scaler) = i8::try_from(*scaler)
        {
            return Ok((scaler, *unit));
        }
        Err(Flaw::new(self.at, Fault::Expected("02 02 0F and 16, scaler and unit")))
    }
}

/// Codes and values in turn. Nothing may stand for a value, or for both.
fn pairs<'i>(items: &'i [Item<'_>]) -> Result<Vec<Row<'i>>, Flaw> {
    let mut rows = Vec::new();
    let mut items = items.iter();
    while let Some(code) = items.next() {
        if code.data == Data::Null {
            continue;
        }
        let obis = code.obis().ok_or(Flaw::new(code.at, NO_CODE))?;
        let value =
            items.next().ok_or(Flaw::new(code.at, Fault::Ends("a pair of code and value")))?;
        rows.push(Row { obis, value, scale: None });
    }
    Ok(rows)
}

/// Since when the energy registers stand as they do, and what their steps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Energies {
    /// Frozen at the full hour.
    OfTheHour,
    /// Of when it was sent.
    Now,
    /// Frozen at the full hour where they count tens (Norway), else of now (Sweden).
    ByScaler,
    /// Of now, in steps that depend on how the meter was set up.
    Unscaled,
}

#[derive(Debug)]
struct List<'i> {
    maker: Maker,
    rows: Vec<Row<'i>>,
    energies: Energies,
}

impl List<'_> {
    fn read(&self, sent: Option<MeterTime>, rules: &Rules) -> Telegram {
        let mut telegram = Telegram::new(self.maker);
        let clock = self.rows.iter().find(|row| row.is_clock()).and_then(|row| {
            let Data::Octets(octets) = &row.value.data else { return None };
            MeterTime::of_cosem((*octets).try_into().ok()?)
        });
        telegram.clock = sent.or(clock);
        for row in &self.rows {
            let text = match row.obis.cde() {
                VERSION => &mut telegram.list_version,
                (96, 1, 0) | (0, 0, 1 | 5) => &mut telegram.meter_id,
                (96, 1, 1 | 7) => &mut telegram.meter_type,
                _ => continue,
            };
            *text = Some(row.text()).filter(|it| !it.is_empty());
        }

        let is_ct = telegram.meter_type.as_ref().is_some_and(|it| it.starts_with("685"));
        for row in &self.rows {
            let number = match &row.value.data {
                Data::Integer(number) => *number,
                Data::Choice(number) => (*number).into(),
                // Absent, and not zero.
                Data::Null => continue,
                Data::Octets(_) if row.is_clock() && clock.is_some() => continue,
                Data::Octets(_) if is_name(row.obis) => continue,
                _ => {
                    telegram.notes.push(row.note(row.text()));
                    continue;
                }
            };
            match self.resolution(row, is_ct, rules) {
                Ok(resolution) => telegram.values.push(Value {
                    obis: row.obis,
                    quantity: Quantity::new(number, resolution),
                    at: telegram.clock.filter(|_| self.is_of_the_hour(row)).map(MeterTime::hour),
                    byte: row.value.at,
                }),
                Err(why) => telegram.notes.push(row.note(format!("{number}: {why}"))),
            }
        }
        telegram
    }

    fn is_of_the_hour(&self, row: &Row<'_>) -> bool {
        let of_the_hour = match self.energies {
            Energies::OfTheHour => true,
            Energies::Now | Energies::Unscaled => false,
            Energies::ByScaler => row.scale.is_some_and(|(scaler, _)| scaler == 1),
        };
        let kind = row.obis.measured().map(|it| it.kind);
        of_the_hour && matches!(kind, Some(Kind::Energy | Kind::ReactiveEnergy))
    }

    fn resolution(
        &self,
        row: &Row<'_>,
        is_ct: bool,
        rules: &Rules,
    ) -> Result<Resolution, &'static str> {
        let (power_of_ten, unit) = match (row.scale, row.obis.measured()) {
            (Some((scaler, unit)), _) => (scaler, cosem_unit(unit).ok_or(NO_UNIT)?),
            (None, None) => return Err("no list tells what it is"),
            (None, Some(measured)) => match self.maker {
                Maker::Kaifa => kaifa(measured.kind),
                Maker::Kamstrup => {
                    let known = match self.energies {
                        Energies::Unscaled | Energies::ByScaler => None,
                        Energies::Now | Energies::OfTheHour => Some(1),
                    };
                    kamstrup(measured.kind, is_ct, rules.kamstrup_energy.or(known))
                }
                Maker::Aidon | Maker::Other | Maker::P1 => None,
            }
            .ok_or("neither the frame nor the maker's list tells its power of ten")?,
        };
        let decimals = power_of_ten.checked_neg().and_then(|it| Resolution::new(it, unit));
        decimals.ok_or("its power of ten is none of a meter")
    }
}

const NO_UNIT: &str = "its unit is none of electricity";

fn is_name(obis: Obis) -> bool {
    matches!(obis.cde(), VERSION | (96, 1, 0 | 1 | 7) | (0, 0, 1 | 5))
}

impl Row<'_> {
    fn note(&self, text: String) -> Note {
        Note { byte: self.value.at, code: self.obis.to_string(), text }
    }
}

/// `KFM_001`: currents in mA, voltages in tenths.
const fn kaifa(kind: Kind) -> Option<(i8, Unit)> {
    match kind {
        Kind::Current => Some((-3, Unit::Ampere)),
        Kind::Energy => Some((0, Unit::WattHour)),
        Kind::Power => Some((0, Unit::Watt)),
        Kind::ReactiveEnergy => Some((0, Unit::VarHour)),
        Kind::ReactivePower => Some((0, Unit::Var)),
        Kind::Voltage => Some((-1, Unit::Volt)),
        Kind::Frequency | Kind::PowerFactor => None,
    }
}

/// HAN-NVE rev. 3.1: currents in hundredths, behind transformers in thousandths.
const fn kamstrup(kind: Kind, is_ct: bool, energy: Option<i8>) -> Option<(i8, Unit)> {
    let (power_of_ten, unit) = match kind {
        Kind::Current => (Some(if is_ct { -3 } else { -2 }), Unit::Ampere),
        Kind::Energy => (energy, Unit::WattHour),
        Kind::Power => (Some(0), Unit::Watt),
        Kind::ReactiveEnergy => (energy, Unit::VarHour),
        Kind::ReactivePower => (Some(0), Unit::Var),
        Kind::Voltage => (Some(0), Unit::Volt),
        Kind::Frequency | Kind::PowerFactor => return None,
    };
    match power_of_ten {
        Some(power_of_ten) => Some((power_of_ten, unit)),
        None => None,
    }
}

/// IEC 62056-6-2, table of units.
const fn cosem_unit(code: u8) -> Option<Unit> {
    Some(match code {
        27 => Unit::Watt,
        28 => Unit::VoltAmpere,
        29 => Unit::Var,
        30 => Unit::WattHour,
        31 => Unit::VoltAmpereHour,
        32 => Unit::VarHour,
        33 => Unit::Ampere,
        35 => Unit::Volt,
        44 => Unit::Hertz,
        255 => Unit::One,
        _ => return None,
    })
}
