//! Which of a meter's numbers a page leads with, and what a medium's meters come to.
//!
//! ```text
//! medium        counts           flows                summed in
//! heat, ...     energy           power                kWh, kW
//! water, gas    volume           volume_flow          m3, m3/h
//! ```
//!
//! Meters of one medium may count in `GJ`, `MWh` and `kWh`. Each one's steps are summed first, and the
//! sum is converted once. The total has the fewest decimals of its parts: more would be invented.

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{Direction, Function, Medium, MeterId, Phase, Quantity, Register, Resolution, Unit};
use store::{Coverage, Kind, Snapshot, Step, StoreError, Used};

use crate::handles::{LiveMeter, LiveValue};

/// What a medium is counted in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    counts: &'static [&'static str],
    flows: &'static [&'static str],
    /// Of totals.
    pub(crate) total: Unit,
    /// Of what flows now.
    pub(crate) flow: Unit,
}

impl Measure {
    /// `None` for a medium that is not consumed.
    pub(crate) const fn of(medium: Medium) -> Option<Self> {
        match medium {
            Medium::Heat | Medium::Electricity | Medium::Cooling | Medium::Solar => Some(Self {
                counts: &["energy"],
                flows: &["power"],
                total: Unit::KilowattHour,
                flow: Unit::Kilowatt,
            }),
            Medium::Water | Medium::HotWater | Medium::Gas => Some(Self {
                counts: &["volume"],
                flows: &["volume_flow"],
                total: Unit::CubicMetre,
                flow: Unit::CubicMetrePerHour,
            }),
            Medium::Climate | Medium::Other => None,
        }
    }
}

/// The counter of what `medium` uses, among `registers`.
pub(crate) fn counter<'r>(
    medium: Option<Medium>,
    registers: impl Iterator<Item = &'r Register>,
) -> Option<&'r Register> {
    let medium = medium?;
    leading(medium, Measure::of(medium)?.counts, registers)
}

/// The value that a list of meters shows: what flows now, or of a room how warm it is, or else the
/// first thing that is measured, or else what the meter counts.
pub(crate) fn main_value(medium: Option<Medium>, meter: &LiveMeter) -> Option<&LiveValue> {
    let registers = || meter.values.iter().map(|value| &value.register);
    let measure = medium.and_then(Measure::of);
    let flow = medium.zip(measure).and_then(|(medium, it)| leading(medium, it.flows, registers()));
    let of = |register: &Register| meter.values.iter().find(|value| value.register == *register);
    let plain = |value: &&LiveValue| value.register.storage == 0;
    let mut gauges = meter.values.iter().filter(plain).filter(|it| it.kind == Kind::Gauge);
    let is_warmth = |value: &&LiveValue| value.register.quantity.as_str() == "temperature";
    let warmth =
        (medium == Some(Medium::Climate)).then(|| gauges.clone().find(is_warmth)).flatten();
    flow.and_then(of)
        .or(warmth)
        .or_else(|| gauges.next())
        .or_else(|| counter(medium, registers()).and_then(of))
        .or_else(|| meter.values.first())
}

/// What stands on a meter's display, and a bill begins with: what it counts, or else what it measures.
pub(crate) fn display(medium: Option<Medium>, meter: &LiveMeter) -> Option<&LiveValue> {
    let registers = meter.values.iter().map(|value| &value.register);
    let of = |register: &Register| meter.values.iter().find(|value| value.register == *register);
    let counted = counter(medium, registers).and_then(of);
    counted.or_else(|| main_value(medium, meter))
}

/// What flows through `meter` now.
pub(crate) fn flow(medium: Medium, meter: &LiveMeter) -> Option<Quantity> {
    let registers = meter.values.iter().map(|value| &value.register);
    let register = leading(medium, Measure::of(medium)?.flows, registers)?;
    let value = meter.values.iter().find(|value| value.register == *register)?;
    value.value.ok()
}

/// The plainest register of one of `quantities`: now, in all tariffs, over all conductors, into
/// the building.
fn leading<'r>(
    medium: Medium,
    quantities: &[&str],
    registers: impl Iterator<Item = &'r Register>,
) -> Option<&'r Register> {
    let rank = |register: &Register| {
        let quantity = quantities.iter().position(|it| *it == register.quantity.as_str())?;
        let now = register.storage == 0 && register.function == Function::Instantaneous;
        if !now || register.tariff != 0 || register.role.is_some() {
            return None;
        }
        // Where a meter tells directions, its register without one is the sum of both. A solar
        // meter may be wired either way round.
        let direction = match register.direction {
            Some(Direction::Import) => 0,
            None => 1,
            Some(Direction::Export) if medium == Medium::Solar => 2,
            Some(Direction::Export) => return None,
        };
        let phase = match register.phase {
            None => 0,
            Some(Phase::Total) => 1,
            Some(Phase::L1 | Phase::L2 | Phase::L3) => return None,
        };
        Some((quantity, direction, phase))
    };
    let ranked = registers.filter_map(|register| Some((rank(register)?, register)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, register)| register)
}

/// The most decimals of `unit` whose steps are no finer than those of `resolution`: 0.001 `MWh`
/// is told in whole `kWh`, and so is 0.001 `GJ`.
///
/// `None` if the one is not of the other's dimension.
pub(crate) fn decimals_in(unit: Unit, resolution: Resolution) -> Option<i8> {
    (-6..=6).rev().find(|decimals| {
        let step = Resolution::new(*decimals, unit).map(|steps| Quantity::new(1, steps));
        let told = step.and_then(|step| step.converted(resolution).ok());
        told.is_some_and(|told| told.mantissa() >= 1)
    })
}

/// `amounts`, each converted to steps of `wanted`; `None` if there are none or one cannot be.
pub(crate) fn sum(amounts: &[Quantity], wanted: Resolution) -> Option<Quantity> {
    let converted = amounts.iter().map(|amount| amount.converted(wanted).ok());
    converted.reduce(|sum, amount| sum?.plus(amount?).ok()).flatten()
}

/// What flows through several meters now, with the fewest decimals of any of them.
pub(crate) fn flows(medium: Medium, meters: &[&LiveMeter]) -> Option<Quantity> {
    let unit = Measure::of(medium)?.flow;
    let flows: Vec<Quantity> = meters.iter().filter_map(|meter| flow(medium, meter)).collect();
    let decimals = flows.iter().map(|flow| decimals_in(unit, flow.resolution()));
    let wanted = Resolution::new(decimals.min()??, unit)?;
    sum(&flows, wanted)
}

/// What one meter used in each period of a span.
#[derive(Debug, Default)]
pub(crate) struct UsedBy {
    /// By its start.
    periods: BTreeMap<i64, Period>,
}

#[derive(Debug)]
struct Period {
    /// One, or of each device if the meter was exchanged in it.
    amounts: Vec<Quantity>,
    coverage: Coverage,
    /// Some of it is a share of what was used in a gap.
    in_gap: bool,
}

impl Period {
    const NONE: Self = Self { amounts: Vec::new(), coverage: Coverage::NONE, in_gap: false };

    fn add(&mut self, row: &Used) {
        self.amounts.push(row.amount);
        self.coverage.got = self.coverage.got.saturating_add(row.coverage.got);
        self.coverage.from_memory =
            self.coverage.from_memory.saturating_add(row.coverage.from_memory);
        // What is expected is expected of the meter, whichever device it is.
        self.coverage.expected = self.coverage.expected.max(row.coverage.expected);
        self.in_gap |= row.in_gap;
    }

    /// Whether the amount is that of this period, and of all of it.
    ///
    /// A meter that is read less often than once in a period has an even share of its use in each, and
    /// nothing is missing. Where a reading that was planned is, a share is not what was used just then,
    /// though a reading out of turn may have made up the number.
    const fn is_whole(&self) -> bool {
        let Coverage { got, expected, .. } = self.coverage;
        got >= expected && !self.in_gap
    }
}

impl UsedBy {
    pub(crate) fn ask(
        store: &Snapshot<'_>,
        meter: MeterId,
        register: &Register,
        span: Range<i64>,
        step: Step,
    ) -> Result<Self, StoreError> {
        let mut used = Self::default();
        for run in store.used(meter, register, span, step)? {
            for row in &run.rows {
                used.periods.entry(row.start_ms).or_insert(Period::NONE).add(row);
            }
        }
        Ok(used)
    }

    /// The sum over all periods of each resolution, so that it is converted once.
    pub(crate) fn totals(&self) -> Vec<Quantity> {
        let mut totals: Vec<Quantity> = Vec::new();
        for amount in self.periods.values().flat_map(|period| &period.amounts) {
            let same = totals.iter_mut().find(|it| it.resolution() == amount.resolution());
            match same {
                Some(total) => *total = total.plus(*amount).unwrap_or(*total),
                None => totals.push(*amount),
            }
        }
        totals
    }

    /// Of the readings that were expected, how many came. What came besides, because somebody had
    /// the meter read, makes up for no other hour's absence.
    pub(crate) fn coverage(&self) -> Coverage {
        let coverages = self.periods.values().map(|period| period.coverage);
        coverages.fold(Coverage::NONE, |all, it| {
            let got = it.got.min(it.expected);
            Coverage {
                got: all.got + got,
                from_memory: all.from_memory + it.from_memory.min(got),
                expected: all.expected + it.expected,
            }
        })
    }

    /// When the periods start of which something is known.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        self.periods.keys().copied()
    }

    /// The amount of the period that starts at `start_ms`, if at least 95 % of its readings came and
    /// none of it is a share of a gap.
    pub(crate) fn nearly_whole(&self, start_ms: i64, wanted: Resolution) -> Option<i64> {
        let period = self.periods.get(&start_ms)?;
        let Coverage { got, expected, .. } = period.coverage;
        let enough = u64::from(got) * 100 >= u64::from(expected) * 95;
        let amount = sum(&period.amounts, wanted).filter(|_| enough && !period.in_gap);
        amount.map(Quantity::mantissa)
    }

    /// The period that starts at `start_ms`: its amount in steps of `wanted`, and whether
    /// readings are missing in it.
    pub(crate) fn at(&self, start_ms: i64, wanted: Resolution) -> (Option<i64>, bool) {
        let Some(period) = self.periods.get(&start_ms) else {
            return (None, true);
        };
        (sum(&period.amounts, wanted).map(Quantity::mantissa), !period.is_whole())
    }
}

/// The resolution in which `meters` are added up: `unit`, with the fewest decimals of any.
pub(crate) fn resolution<'u>(
    meters: impl IntoIterator<Item = &'u UsedBy>,
    unit: Unit,
) -> Option<Resolution> {
    let amounts = meters.into_iter().flat_map(UsedBy::totals);
    let decimals = amounts.map(|amount| decimals_in(unit, amount.resolution())).min()??;
    Resolution::new(decimals, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(medium: Medium, registers: &[&str], expected: Option<&str>) {
        let registers: Vec<Register> = registers.iter().map(|it| it.parse().unwrap()).collect();
        let found = counter(Some(medium), registers.iter()).map(Register::to_string);
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn the_plain_total_leads() {
        check(
            Medium::Heat,
            &["energy_s1", "energy_t1", "volume", "energy", "power"],
            Some("energy"),
        );
        check(
            Medium::Electricity,
            &["energy_export_total", "energy_import_l1", "energy_import_total"],
            Some("energy_import_total"),
        );
        check(
            Medium::Electricity,
            &["energy_total", "energy_import_total"],
            Some("energy_import_total"),
        );
        check(Medium::Solar, &["energy_export_total"], Some("energy_export_total"));
        check(
            Medium::Solar,
            &["energy_export_total", "energy_import_total"],
            Some("energy_import_total"),
        );
        check(Medium::Electricity, &["energy_export_total"], None);
        check(Medium::Water, &["volume_s1_max", "energy"], None);
        check(Medium::Climate, &["temperature_room"], None);
    }

    #[test]
    fn a_list_leads_with_what_flows_or_how_warm_a_room_is() {
        let check = |medium, registers: &[(&str, Unit)], expected: &str| {
            let values = registers.iter().map(|(register, unit)| LiveValue {
                register: register.parse().unwrap(),
                value: Ok(amount(7, 0, *unit)),
                kind: if *register == "energy" { Kind::Counter } else { Kind::Gauge },
                quality: metering::Quality::Good,
                origin: metering::Origin::Live,
                at: chrono::DateTime::UNIX_EPOCH,
            });
            let meter = LiveMeter {
                at: chrono::DateTime::UNIX_EPOCH,
                state: crate::handles::MeterState::Ok,
                absent: None,
                error: None,
                values: values.collect(),
                said: Vec::new(),
                last_answer: None,
                took: None,
                identity: None,
                telegrams: Vec::new(),
            };
            let found = main_value(Some(medium), &meter).map(|it| it.register.to_string());
            assert_eq!(found.as_deref(), Some(expected));
        };
        let (warm, co2) = (("temperature_room", Unit::Celsius), ("co2_room", Unit::PartPerMillion));
        check(Medium::Climate, &[co2, ("humidity_room", Unit::Percent), warm], "temperature_room");
        check(Medium::Climate, &[co2], "co2_room");
        let flow = ("flow_temperature", Unit::Celsius);
        let power = ("power", Unit::Kilowatt);
        check(Medium::Heat, &[("energy", Unit::KilowattHour), flow, power], "power");
        check(Medium::Heat, &[("energy", Unit::KilowattHour), flow], "flow_temperature");
    }

    fn amount(mantissa: i64, decimals: i8, unit: Unit) -> Quantity {
        Quantity::new(mantissa, Resolution::new(decimals, unit).unwrap())
    }

    #[test]
    fn a_total_has_the_decimals_that_its_parts_support() {
        let decimals = |decimals, unit| {
            decimals_in(Unit::KilowattHour, Resolution::new(decimals, unit).unwrap())
        };
        assert_eq!(decimals(3, Unit::MegawattHour), Some(0));
        assert_eq!(decimals(3, Unit::Gigajoule), Some(0));
        assert_eq!(decimals(1, Unit::KilowattHour), Some(1));
        assert_eq!(decimals(-1, Unit::WattHour), Some(2));
        assert_eq!(decimals(1, Unit::MegawattHour), Some(-2));
        assert_eq!(decimals(3, Unit::CubicMetre), None);
    }

    /// A row of a litre.
    fn row(start_ms: i64, got: u32, expected: u32, in_gap: bool) -> Used {
        let (amount, coverage) =
            (amount(1, 0, Unit::Litre), Coverage { got, expected, ..Coverage::NONE });
        let end_ms = start_ms + 3_600_000;
        let spread_unknown = true;
        Used {
            start_ms,
            end_ms,
            opening: 0,
            closing: 1,
            amount,
            fell: 0,
            coverage,
            spread_unknown,
            in_gap,
        }
    }

    fn used(rows: &[Used]) -> UsedBy {
        let mut used = UsedBy::default();
        for row in rows {
            used.periods.entry(row.start_ms).or_insert(Period::NONE).add(row);
        }
        used
    }

    #[test]
    fn a_reading_too_many_makes_up_for_no_other() {
        let used = used(&[row(0, 6, 4, false), row(3_600_000, 2, 4, false)]);
        assert_eq!(used.coverage(), Coverage { got: 6, expected: 8, ..Coverage::NONE });
    }

    #[test]
    fn two_devices_share_the_hour_of_their_exchange() {
        let litres = Resolution::new(0, Unit::Litre).unwrap();
        let used = used(&[row(0, 3, 4, false), row(0, 1, 4, false)]);
        assert_eq!(used.coverage(), Coverage { got: 4, expected: 4, ..Coverage::NONE });
        assert_eq!(used.at(0, litres), (Some(2), false));
    }

    #[test]
    fn what_came_out_of_a_gap_is_not_that_of_the_hour() {
        let litres = Resolution::new(0, Unit::Litre).unwrap();
        let missing = |row| used(&[row]).at(0, litres).1;
        assert!(missing(row(0, 4, 4, true)), "a reading out of turn made up the number");
        assert!(!missing(row(0, 0, 0, false)), "it is read every six hours");
        assert!(!missing(row(0, 1, 1, false)), "and this is one of them");
    }

    #[test]
    fn meters_of_different_units_are_added_up() {
        let kwh = Resolution::new(0, Unit::KilowattHour).unwrap();
        let parts = [amount(1_200, 3, Unit::MegawattHour), amount(36, 1, Unit::Gigajoule)];
        assert_eq!(sum(&parts, kwh).unwrap().to_string(), "2200 kWh");
        assert_eq!(sum(&[], kwh), None, "nothing is not zero");
        assert_eq!(sum(&[amount(1, 0, Unit::Litre)], kwh), None);
    }
}
