//! A building's years from a seed: what flows through it at any instant, and what was counted.
//!
//! ```text
//!  seed ─▶ weather ─┐
//!  time ─▶ people  ─┴▶ rates at an instant ─▶ a sum for each quarter hour ─▶ a sum for each day
//! ```
//!
//! An office and residential house of about 4 000 m² in Trondheim, with district heating and
//! cooling, flats, a restaurant that cooks with gas, solar cells on the roof and cars in the
//! cellar. How much of what is in `flows`.
//!
//! Everything is a function of seed and time. A counter is the sum of its quarter hours since
//! [`EPOCH`], in whole thousandths of a watt hour or a litre, so that a year of history and what
//! a meter shows now are parts of one line. The days' sums are kept: the first look far from the
//! epoch adds them up, every later one costs a few additions.
//!
//! The physics counts in floats; what a meter shows never does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::dice::Dice;
use crate::flows::{Noise, Rates, STREAMS, Stream};
use crate::people::Life;
use crate::weather::Weather;

/// When all counters of the building began. Before it they stand still.
pub const EPOCH: DateTime<Utc> = match DateTime::from_timestamp(1_704_067_200, 0) {
    Some(epoch) => epoch,
    None => DateTime::<Utc>::UNIX_EPOCH,
};

/// A building of one seed.
#[derive(Debug)]
pub struct Building {
    weather: Weather,
    noise: Noise,
    sums: Mutex<Sums>,
}

impl Building {
    /// The building that grows from `seed`.
    pub fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        Self {
            weather: Weather::new(dice.of("weather")),
            noise: Noise::new(dice.of("noise")),
            sums: Mutex::new(Sums { days: vec![[0; STREAMS]], tables: VecDeque::new() }),
        }
    }

    /// Adds up all days until `at`, which takes a moment: afterwards a question about a time
    /// near it is answered at once.
    pub(crate) fn reach(&self, at: DateTime<Utc>) {
        self.counted(Stream::Import, at);
    }

    /// What flows at `at`.
    pub(crate) fn rates(&self, at: DateTime<Utc>) -> Rates {
        Rates::at(&self.weather, &self.noise, hours(at), Life::at(at))
    }

    /// What all of `stream` was from [`EPOCH`] to `at`: mWh or ml. Never falls.
    pub(crate) fn counted(&self, stream: Stream, at: DateTime<Utc>) -> i64 {
        let since = (at - EPOCH).num_milliseconds().max(0);
        let (day, within) = (since / DAY_MS, since % DAY_MS);
        let (Ok(day), Ok(quarter)) = (usize::try_from(day), usize::try_from(within / QUARTER_MS))
        else {
            return 0;
        };
        if within == 0 {
            return stream.of(&self.days_before(day));
        }
        let (before, table) = self.day(day);
        let of = |quarter: usize| table.get(quarter).map_or(0, |row| stream.of(row));
        let (from, to) = (of(quarter), of(quarter + 1));
        stream.of(&before) + from + (to - from) * (within % QUARTER_MS) / QUARTER_MS
    }

    /// The sums up to the beginning of `day`.
    fn days_before(&self, day: usize) -> Row {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        while sums.days.len() <= day {
            let last = sums.days.len() - 1;
            let table = self.table(last);
            let mut row = sums.days.last().copied().unwrap_or([0; STREAMS]);
            add(&mut row, table.last().unwrap_or(&[0; STREAMS]));
            sums.days.push(row);
            sums.keep(last, table);
        }
        sums.days.get(day).copied().unwrap_or([0; STREAMS])
    }

    /// The same, and those within the day at each quarter hour.
    fn day(&self, day: usize) -> (Row, Arc<Table>) {
        let before = self.days_before(day);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, table)) = sums.tables.iter().find(|(kept, _)| *kept == day) {
            return (before, Arc::clone(table));
        }
        let table = sums.keep(day, self.table(day));
        (before, table)
    }

    fn table(&self, day: usize) -> Table {
        let midnight = EPOCH + TimeDelta::days(i64::try_from(day).unwrap_or(0));
        let mut table = Vec::with_capacity(QUARTERS + 1);
        let mut row = [0; STREAMS];
        table.push(row);
        for quarter in 0..96 {
            let middle = midnight + TimeDelta::seconds(quarter * 900 + 450);
            let rates = self.rates(middle);
            add(&mut row, &rates.flow.map(|an_hour| thousandths(an_hour / 4.0).max(0)));
            table.push(row);
        }
        table
    }
}

/// Whole thousandths of `amount`, to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates")]
pub(crate) fn thousandths(amount: f64) -> i64 {
    (amount * 1_000.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 2024 stay far below 2⁵³")]
fn hours(at: DateTime<Utc>) -> f64 {
    (at - EPOCH).num_milliseconds() as f64 / 3_600_000.0
}

fn add(row: &mut Row, more: &Row) {
    for (sum, amount) in row.iter_mut().zip(more) {
        *sum += amount;
    }
}

const QUARTERS: usize = 96;
const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

type Row = [i64; STREAMS];
type Table = Vec<Row>;

#[derive(Debug)]
struct Sums {
    /// Up to the beginning of each day since the epoch.
    days: Vec<Row>,
    /// The days asked for last; the oldest is forgotten, as it can be added up again.
    tables: VecDeque<(usize, Arc<Table>)>,
}

impl Sums {
    fn keep(&mut self, day: usize, table: Table) -> Arc<Table> {
        let table = Arc::new(table);
        self.tables.truncate(3);
        self.tables.push_front((day, Arc::clone(&table)));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: &str) -> DateTime<Utc> {
        wall.parse().unwrap()
    }

    fn year(building: &Building, stream: Stream) -> i64 {
        let of = |wall| building.counted(stream, at(wall));
        (of("2026-01-01T00:00:00Z") - of("2025-01-01T00:00:00Z")) / 1_000_000
    }

    /// What came in 2025: kWh or m³.
    #[track_caller]
    fn check(building: &Building, stream: Stream, plausible: std::ops::Range<i64>) {
        let year = year(building, stream);
        assert!(plausible.contains(&year), "{stream:?}: {year} kWh or m³");
    }

    #[test]
    fn a_year_is_plausible() {
        for seed in [1, 2] {
            let building = Building::new(seed);
            check(&building, Stream::HeatMain, 380_000..700_000);
            check(&building, Stream::HeatTapWater, 90_000..200_000);
            check(&building, Stream::Cooling, 45_000..130_000);
            check(&building, Stream::Import, 330_000..600_000);
            check(&building, Stream::Export, 300..20_000);
            check(&building, Stream::Solar, 60_000..130_000);
            check(&building, Stream::WaterMain, 3_000..7_000);
            check(&building, Stream::Gas, 4_000..11_000);
        }
    }

    #[test]
    fn sub_meters_add_up_to_a_little_less_than_the_main_meter() {
        let building = Building::new(4);
        let heat = [Stream::HeatOffices, Stream::HeatFlats, Stream::HeatAir, Stream::HeatTapWater];
        let sum: i64 = heat.iter().map(|stream| year(&building, *stream)).sum();
        let main = year(&building, Stream::HeatMain);
        assert!(sum < main && main - sum < main / 10, "{sum} of {main} kWh");

        let now = at("2025-11-22T13:30:00Z");
        let later = now + TimeDelta::minutes(7);
        let water = [
            Stream::ColdRestaurant,
            Stream::ColdSecond,
            Stream::ColdThirdWest,
            Stream::ColdThirdEast,
            Stream::ColdFlats,
            Stream::HotRestaurant,
            Stream::HotOffices,
            Stream::HotFlats,
        ];
        let used = |stream: Stream| building.counted(stream, later) - building.counted(stream, now);
        let sum: i64 = water.iter().map(|stream| used(*stream)).sum();
        let main = used(Stream::WaterMain);
        assert!(sum < main && main - sum < main / 10, "{sum} of {main} ml");
    }

    #[test]
    fn counters_never_fall_and_a_change_of_the_clocks_is_nothing_to_them() {
        let building = Building::new(5);
        for start in ["2025-03-29T22:00:00Z", "2025-10-25T22:00:00Z", "2025-12-31T22:30:00Z"] {
            for stream in [Stream::Import, Stream::HeatMain, Stream::ColdFlats, Stream::Export] {
                let mut last = 0;
                for minute in 0..420 {
                    let now = building.counted(stream, at(start) + TimeDelta::minutes(minute));
                    assert!(now >= last, "{stream:?} at {start} and {minute} minutes");
                    if last > 0 {
                        assert!(now - last < 5_000_000, "{stream:?} leaps by {}", now - last);
                    }
                    last = now;
                }
            }
        }
    }

    #[test]
    fn the_order_of_questions_is_nothing_to_the_answers() {
        let instants =
            ["2026-02-03T11:07:21Z", "2024-06-01T00:00:00Z", "2025-08-09T23:59:59.999Z"].map(at);
        let (one, other) = (Building::new(11), Building::new(11));
        let forward = instants.map(|instant| one.counted(Stream::Import, instant));
        let mut backward =
            [2, 1, 0].map(|index: usize| other.counted(Stream::Import, instants[index]));
        backward.reverse();
        assert_eq!(forward, backward);
        assert_ne!(forward[0], Building::new(12).counted(Stream::Import, instants[0]));
        assert_eq!(one.counted(Stream::Import, at("2020-01-01T00:00:00Z")), 0, "not built yet");
    }

    #[test]
    fn power_is_how_fast_the_counter_turns() {
        let building = Building::new(6);
        let from = at("2025-11-20T10:00:00Z");
        let an_hour = building.counted(Stream::HeatMain, from + TimeDelta::hours(1))
            - building.counted(Stream::HeatMain, from);
        let rates: f64 = (0..60)
            .map(|minute| building.rates(from + TimeDelta::minutes(minute)).flows.heat.main.power)
            .sum::<f64>()
            / 60.0;
        let an_hour = an_hour / 1_000;
        let expected = thousandths(rates) / 1_000;
        assert!((an_hour - expected).abs() < expected / 30, "{an_hour} Wh, {rates} W in the mean");
    }

    #[test]
    fn a_cold_saturday_in_november_is_like_the_drawing() {
        // Sought: early afternoons near -2.6 °C.
        let building = Building::new(1);
        let mut seen = 0;
        for week in 0..130 {
            let rates = building.rates(at("2024-01-06T13:30:00Z") + TimeDelta::weeks(week));
            if (rates.air.felt + 2.6).abs() < 0.8 {
                seen += 1;
                let heat = rates.flows.heat.main.power / 1_000.0;
                let of = |stream: Stream| stream.of(&rates.flow);
                let grid = of(Stream::Import) - of(Stream::Export);
                let used = (grid + of(Stream::Solar)) / 1_000.0;
                assert!((80.0..150.0).contains(&heat), "{heat} kW of heat");
                assert!((45.0..100.0).contains(&used), "{used} kW of electricity");
            }
        }
        assert!(seen > 0);
    }
}
