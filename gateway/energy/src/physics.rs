//! Whether what a meter shows can be true: what an installer would find with a thermometer, a bucket
//! and an hour's time, found from the meter's own numbers.
//!
//! ```text
//!   supply ──▶ ─┐        power  = flow   × (supply − return) × 1.163 Wh/(l·K)
//!              heat      energy = volume × (supply − return) × 1.163
//!   return ◀── ─┘        and none of them runs backwards
//! ```
//!
//! The factor is that of water at 20 °C (DIN 1304: ρ · c ÷ 3600); at 90 °C it is 4 % less, and a meter
//! tells its numbers a few seconds apart. So a check has a wide band: it finds what is built wrong, and
//! never judges the class of a meter.
//!
//! **Never true:** what cannot be told is called right. Without flow nothing is known of a sensor, and
//! [`Verdict::Open`] says so.

mod amounts;
#[cfg(test)]
mod tests;

use metering::{Quantity, Register, Unit};

use amounts::{MOST, apart, scaled, step};

/// What a meter showed at one instant, as far as it shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What it has counted.
    pub energy: Option<Quantity>,
    /// What has run through it.
    pub volume: Option<Quantity>,
    /// What runs through it.
    pub flow: Option<Quantity>,
    /// What it transfers.
    pub power: Option<Quantity>,
    /// The temperature of the water that comes.
    pub supply: Option<Quantity>,
    /// The temperature of the water that goes.
    pub back: Option<Quantity>,
    /// The difference that the meter itself tells.
    pub drop: Option<Quantity>,
}

impl Shown {
    /// Out of all that an answer held: its totals of now, not those of tariffs, months or maxima.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a Register, Quantity)>) -> Self {
        let mut shown = Self::default();
        for (register, value) in values {
            let place = match register.to_string().as_str() {
                "energy" | "energy_import" | "energy_import_total" => &mut shown.energy,
                "volume" => &mut shown.volume,
                "volume_flow" => &mut shown.flow,
                "power" | "power_total" => &mut shown.power,
                "flow_temperature" => &mut shown.supply,
                "return_temperature" => &mut shown.back,
                "temperature_difference" => &mut shown.drop,
                _ => continue,
            };
            // Of two the first: a meter tells what it is known by before what it also knows.
            place.get_or_insert(value);
        }
        shown
    }
}

/// What kind of meter is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Warm water comes, colder goes.
    Heat,
    /// Cold water comes, warmer goes.
    Cooling,
    /// Something is counted, and no more is known of it.
    Counter,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// That the supply is warmer than the return, or of cooling colder.
    Sensors,
    /// That the difference told is that between the two temperatures told.
    Difference,
    /// The power against flow and difference.
    Power,
    /// What was counted in all against the volume in all.
    Lifetime,
    /// What was counted between two readings against the volume between them.
    Energy,
    /// That nothing runs backwards.
    Direction,
    /// The weight of a pulse against an amount that somebody drew.
    Pulses,
    /// The sum of the sub-meters against their main meter.
    Parts,
}

impl What {
    /// As in the API; the language files have a word for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sensors => "sensors",
            Self::Difference => "difference",
            Self::Power => "power",
            Self::Lifetime => "lifetime",
            Self::Energy => "energy",
            Self::Direction => "direction",
            Self::Pulses => "pulses",
            Self::Parts => "parts",
        }
    }
}

/// A check and how it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: What,
    /// How it came out.
    pub verdict: Verdict,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It agrees.
    Good,
    /// It cannot be told yet.
    Open(Open),
    /// This is wrong.
    Wrong(Wrong),
}

/// Why a check cannot be told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Nothing, or too little, runs through the meter.
    NothingFlows,
    /// Too little was counted since the first reading.
    TooLittleYet,
    /// One of the meters has not answered.
    NotRead,
}

impl Open {
    /// As in the API; the language files have a sentence for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingFlows => "nothing_flows",
            Self::TooLittleYet => "too_little_yet",
            Self::NotRead => "not_read",
        }
    }
}

/// What is wrong, and by which figures it is known. Temperatures are in thousandths of a kelvin, power
/// in mW, flow in ml/h, volume in ml, energy in mWh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each figure is named by the sentence above it")]
pub enum Wrong {
    /// Water gets warmer in a heat meter, or colder in one of cooling: the sensors are exchanged.
    Swapped { supply: i64, back: i64 },
    /// The meter's own difference is another one: a sensor sits elsewhere or is not of this pair.
    Difference { told: i64, between: i64 },
    /// The power is not that of the flow and the difference.
    Power { told: i64, by_flow: i64 },
    /// The water would have cooled by this much, on average over the meter's life: energy or volume
    /// is read at the wrong magnitude. `tens` is the power of ten that would put it right, if one
    /// does: of the volume if positive, of the energy if negative.
    Lifetime { kelvin: i64, tens: i8 },
    /// What was counted is not what the volume brought.
    Energy { told: i64, by_volume: i64 },
    /// Water runs through it the wrong way.
    Backwards { flow: i64 },
    /// A counter shows less than before.
    Fell,
    /// An electricity meter of what is used delivers: its current transformers are turned.
    Turned { power: i64 },
    /// It counted this much of what was drawn, in thousandths.
    Pulses { permille: i64 },
    /// The sub-meters together count this much of the main meter, in thousandths.
    Parts { permille: i64 },
}

/// A figure of a sentence: its name, how many of its smallest steps, and how many decimals they have.
pub type Param = (&'static str, i64, u8);

impl Wrong {
    /// As in the API; the language files have a sentence for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swapped { .. } => "swapped",
            Self::Difference { .. } => "difference",
            Self::Power { .. } => "power",
            Self::Lifetime { tens: 0, .. } => "lifetime",
            Self::Lifetime { tens: 1.., .. } => "lifetime_volume",
            Self::Lifetime { .. } => "lifetime_energy",
            Self::Energy { .. } => "energy",
            Self::Backwards { .. } => "backwards",
            Self::Fell => "fell",
            Self::Turned { .. } => "turned",
            Self::Pulses { .. } => "pulses",
            Self::Parts { .. } => "parts",
        }
    }

    /// The figures of its sentence: °C and K with one decimal, kW and m³/h with three, factors as
    /// whole numbers, shares in percent with one decimal.
    pub fn params(self) -> Vec<Param> {
        let tenths = |milli: i64| milli / 100;
        // mW to W and ml/h to l/h: thousandths of kW and m³/h.
        let kilo = |milli: i64| milli / 1_000;
        match self {
            Self::Swapped { supply, back } => {
                vec![("supply", tenths(supply), 1), ("back", tenths(back), 1)]
            }
            Self::Difference { told, between } => {
                vec![("told", tenths(told), 1), ("between", tenths(between), 1)]
            }
            Self::Power { told, by_flow } => {
                vec![("told", kilo(told), 3), ("computed", kilo(by_flow), 3)]
            }
            Self::Lifetime { kelvin, tens } => {
                let factor = 10_i64.pow(u32::from(tens.unsigned_abs()));
                vec![("kelvin", tenths(kelvin), 1), ("factor", factor, 0)]
            }
            Self::Energy { told, by_volume } => {
                vec![("told", kilo(told), 3), ("computed", kilo(by_volume), 3)]
            }
            Self::Backwards { flow } => vec![("flow", kilo(flow), 3)],
            Self::Turned { power } => vec![("power", kilo(power), 3)],
            Self::Pulses { permille } | Self::Parts { permille } => vec![("percent", permille, 1)],
            Self::Fell => Vec::new(),
        }
    }
}

/// All that can be checked of one meter, from what it shows `now` and what it showed `before`.
///
/// What the meter does not tell is not checked and not in the list.
pub fn judged(kind: Kind, before: Option<&Shown>, now: &Shown) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |what, verdict: Option<Verdict>| {
        checks.extend(verdict.map(|verdict| Check { what, verdict }));
    };
    if kind != Kind::Counter {
        let sensors = sensors(kind, now);
        add(What::Sensors, sensors);
        add(What::Difference, difference(now));
        // With exchanged sensors a meter counts no heat, which is nothing wrong of its own.
        if !matches!(sensors, Some(Verdict::Wrong(_))) {
            add(What::Power, power(now));
            add(What::Lifetime, lifetime(now));
            add(What::Energy, before.and_then(|before| energy(before, now)));
        }
    }
    add(What::Direction, direction(before, now));
    checks
}

fn sensors(kind: Kind, now: &Shown) -> Option<Verdict> {
    let (supply, back) = (kelvins(now.supply)?, kelvins(now.back)?);
    let cooled = if kind == Kind::Cooling { back - supply } else { supply - back };
    Some(if cooled < -LEAST_DROP {
        Verdict::Wrong(Wrong::Swapped { supply, back })
    } else if cooled < LEAST_DROP {
        Verdict::Open(Open::NothingFlows)
    } else {
        Verdict::Good
    })
}

fn difference(now: &Shown) -> Option<Verdict> {
    let (supply, back, told) = (kelvins(now.supply)?, kelvins(now.back)?, kelvins(now.drop)?);
    let between = supply - back;
    // Of cooling some meters tell it with a minus and some without.
    let off = (told.abs() - between.abs()).abs();
    let slack = LEAST_DROP + between.abs() / 20;
    Some(if off > slack {
        Verdict::Wrong(Wrong::Difference { told, between })
    } else {
        Verdict::Good
    })
}

fn power(now: &Shown) -> Option<Verdict> {
    let told = scaled(now.power?, Unit::Watt)?;
    let flow = scaled(now.flow?, Unit::LitrePerHour)?;
    let drop = cooled(now)?;
    let by_flow = heat(flow, drop)?;
    let steps = [
        step(now.power?, Unit::Watt)?,
        heat(step(now.flow?, Unit::LitrePerHour)?, drop)?,
        heat(flow.abs(), 2 * STEP_OF_SENSORS)?,
    ];
    let slack = steps.iter().try_fold(0_i64, |sum, it| sum.checked_add(*it))?;
    Some(if flow.abs() < LEAST_FLOW || drop < LEAST_DROP || slack > by_flow.abs() / 2 {
        Verdict::Open(Open::NothingFlows)
    } else if apart(told.abs(), by_flow.abs(), slack) {
        Verdict::Wrong(Wrong::Power { told, by_flow })
    } else {
        Verdict::Good
    })
}

/// Over its whole life a meter cools water by something between a floor heating and an old
/// district heating.
fn lifetime(now: &Shown) -> Option<Verdict> {
    let energy = i128::from(scaled(now.energy?, Unit::WattHour)?);
    let volume = i128::from(scaled(now.volume?, Unit::Litre)?);
    if volume < i128::from(LEAST_LIFETIME) {
        return Some(Verdict::Open(Open::TooLittleYet));
    }
    // mWh / ml = Wh / l, and that by 1.163 Wh/(l·K): thousandths of a kelvin.
    let kelvin = i64::try_from(energy * 1_000_000 / volume / HEAT_OF_WATER).ok()?;
    // What it cools now tells the magnitude, where it does cool.
    let usual = cooled(now).filter(|drop| *drop >= 3 * LEAST_DROP).unwrap_or(USUAL_DROP);
    let wrong = !POSSIBLE.contains(&kelvin) || kelvin > 6 * usual || 6 * kelvin < usual;
    if !wrong {
        return Some(Verdict::Good);
    }
    let near = |tens: i8| {
        let power = 10_i64.pow(u32::from(tens.unsigned_abs()));
        let right = if tens > 0 { kelvin / power } else { kelvin.saturating_mul(power) };
        right > usual * 2 / 5 && right < usual * 5 / 2
    };
    let tens = [1, 2, 3, -1, -2, -3].into_iter().find(|tens| near(*tens)).unwrap_or(0);
    Some(Verdict::Wrong(Wrong::Lifetime { kelvin, tens }))
}

fn energy(before: &Shown, now: &Shown) -> Option<Verdict> {
    let told = grown(before.energy, now.energy, Unit::WattHour)?;
    let volume = grown(before.volume, now.volume, Unit::Litre)?;
    let (then, drop) = (cooled(before)?, cooled(now)?);
    let by_volume = heat(volume, i64::midpoint(then, drop))?;
    let steps = [
        2 * step(now.energy?, Unit::WattHour)?,
        heat(2 * step(now.volume?, Unit::Litre)?, then.max(drop))?,
        // What the temperatures did in between is not known.
        heat(volume.abs(), (then - drop).abs())?,
    ];
    let slack = steps.iter().try_fold(0_i64, |sum, it| sum.checked_add(*it))?;
    Some(if told < 0 || volume < 0 || slack > by_volume.abs() / 4 {
        Verdict::Open(Open::TooLittleYet)
    } else if apart(told, by_volume, slack) {
        Verdict::Wrong(Wrong::Energy { told, by_volume })
    } else {
        Verdict::Good
    })
}

fn direction(before: Option<&Shown>, now: &Shown) -> Option<Verdict> {
    let flow = now.flow.and_then(|flow| scaled(flow, Unit::LitrePerHour));
    if let Some(flow) = flow.filter(|flow| *flow <= -LEAST_FLOW) {
        return Some(Verdict::Wrong(Wrong::Backwards { flow }));
    }
    let counters = |shown: &Shown| [(shown.energy, Unit::WattHour), (shown.volume, Unit::Litre)];
    if counters(now).iter().all(|(counter, _)| counter.is_none()) {
        return None;
    }
    let Some(before) = before else { return Some(Verdict::Open(Open::TooLittleYet)) };
    let pairs = counters(before).into_iter().zip(counters(now));
    let grown: Vec<i64> =
        pairs.filter_map(|((then, unit), (now, _))| grown(then, now, unit)).collect();
    Some(if grown.iter().any(|grown| *grown < 0) {
        Verdict::Wrong(Wrong::Fell)
    } else if grown.iter().any(|grown| *grown > 0) {
        Verdict::Good
    } else {
        Verdict::Open(Open::TooLittleYet)
    })
}

/// Whether a meter of what is used delivers instead. `None` if it does not tell its power.
pub fn turned(now: &Shown) -> Option<Check> {
    let power = scaled(now.power?, Unit::Watt)?;
    let verdict = match power {
        ..0 => Verdict::Wrong(Wrong::Turned { power }),
        0 => Verdict::Open(Open::NothingFlows),
        _ => Verdict::Good,
    };
    Some(Check { what: What::Direction, verdict })
}

/// What a meter `counted` while somebody drew an amount that they measured: a bucket of water, an hour
/// of a heater. `None` if the two are no amounts of one thing.
pub fn pulses_of(counted: Quantity, drawn: Quantity) -> Option<Check> {
    let unit = drawn.resolution().unit();
    let (told, real) = (scaled(counted, unit)?, scaled(drawn, unit)?);
    let slack = 2 * step(counted, unit)?;
    let verdict = if real <= 0 || slack > real / 5 {
        Verdict::Open(Open::TooLittleYet)
    } else if apart(told, real, slack) {
        Verdict::Wrong(Wrong::Pulses { permille: permille(told, real)? })
    } else {
        Verdict::Good
    };
    Some(Check { what: What::Pulses, verdict })
}

/// What sub-meters show together, against their main meter: amounts of one span, or flows of one
/// moment. Less than the main is no fault, as not everything has a meter. `None` if they are no
/// amounts of one thing.
pub fn parts_of(main: Quantity, parts: &[Quantity]) -> Option<Check> {
    let unit = main.resolution().unit();
    let whole = scaled(main, unit)?;
    let mut sum = 0_i64;
    let mut slack = step(main, unit)?;
    for part in parts {
        sum = sum.checked_add(scaled(*part, unit)?)?;
        slack = slack.checked_add(step(*part, unit)?)?;
    }
    let verdict = if whole <= 0 || slack > whole / 4 {
        Verdict::Open(Open::NothingFlows)
    } else if sum > whole && apart(sum, whole, slack) {
        Verdict::Wrong(Wrong::Parts { permille: permille(sum, whole)? })
    } else {
        Verdict::Good
    };
    Some(Check { what: What::Parts, verdict })
}

fn permille(part: i64, whole: i64) -> Option<i64> {
    i64::try_from(i128::from(part) * 1_000 / i128::from(whole)).ok()
}

/// How much warmer the warmer side is, in thousandths of a kelvin: by the two temperatures, which
/// every meter tells the same way round, else by the meter's own difference.
fn cooled(shown: &Shown) -> Option<i64> {
    let between = kelvins(shown.supply).zip(kelvins(shown.back));
    let between = between.map(|(supply, back)| supply - back).or_else(|| kelvins(shown.drop));
    between.map(i64::abs)
}

fn kelvins(value: Option<Quantity>) -> Option<i64> {
    let value = value?;
    [Unit::Celsius, Unit::Kelvin].into_iter().find_map(|unit| scaled(value, unit))
}

fn grown(before: Option<Quantity>, now: Option<Quantity>, unit: Unit) -> Option<i64> {
    scaled(now?, unit)?.checked_sub(scaled(before?, unit)?)
}

/// What water brings that cools by `drop`: mW of ml/h, mWh of ml.
fn heat(water: i64, drop: i64) -> Option<i64> {
    let heat = i128::from(water) * i128::from(drop) * HEAT_OF_WATER / 1_000_000;
    i64::try_from(heat).ok().filter(|heat| heat.unsigned_abs() < MOST)
}

/// mWh of a litre and a kelvin.
const HEAT_OF_WATER: i128 = 1_163;

/// Below one kelvin a pair of sensors tells nothing.
const LEAST_DROP: i64 = 1_000;

/// Sensors tell their temperatures some seconds apart.
const STEP_OF_SENSORS: i64 = 100;

/// 5 l/h: below it most meters tell no flow that means anything.
const LEAST_FLOW: i64 = 5_000;

/// 2 m³: what ran through in the factory's test is none of its life.
const LEAST_LIFETIME: i64 = 2_000_000;

/// What water is cooled by, on average over years.
const POSSIBLE: std::ops::RangeInclusive<i64> = 1_000..=110_000;

/// Of a building of which nothing else is known.
const USUAL_DROP: i64 = 30_000;
