//! Years of readings, made once and kept: what a building's gateway has on its disk after ten years.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use metering::{MeterId, SeriesId};

use crate::bulk::{BusDay, MeterDay};
use crate::{Store, StoreError};

use super::building::{AFTER_MS, Building, REGISTERS, meter};
use super::{FixedClock, MIDNIGHT_MS, open};

const MINUTE_MS: i64 = 60_000;
const QUARTER_MS: i64 = 15 * MINUTE_MS;
const DAY_MS: i64 = 1440 * MINUTE_MS;

/// A change of what is made here, or of the store's files, makes another one.
const VERSION: u32 = 2;

/// The midnight of UTC at which the years end: 2026-03-29.
pub const END_MS: i64 = MIDNIGHT_MS + 60 * MINUTE_MS;

/// So many meters that were read every quarter hour of so many days, and one that was read every minute
/// of the last year; each with six registers.
#[derive(Clone, Copy, Debug)]
pub struct Years {
    /// Those of a quarter hour: the numbers from 0 on. The one of a minute has the next number.
    pub meters: u32,
    /// Days of UTC.
    pub days: u32,
}

impl Years {
    /// Ten years of 500 meters: a billion readings.
    pub const TEN: Self = Self { meters: 500, days: 3_652 };

    /// The meter that is read every minute.
    pub const fn of_minutes(self) -> MeterId {
        meter(self.meters)
    }

    /// From the first reading on to the end.
    pub const fn span(self) -> Range<i64> {
        END_MS - self.days as i64 * DAY_MS..END_MS
    }

    /// The days of which there are minutes.
    const fn days_of_minutes(self) -> u32 {
        if self.days < 365 { self.days } else { 365 }
    }

    /// How many readings that are.
    pub const fn readings(self) -> u64 {
        let quarters = self.meters as u64 * self.days as u64 * 96;
        let minutes = self.days_of_minutes() as u64 * 1440;
        (quarters + minutes) * 6
    }

    /// The directory of the store that has them, in `under`; made if it is not there yet, `tell` hearing
    /// the days that are done. That blocks for as long as a processor needs to pack so much.
    ///
    /// # Errors
    ///
    /// Whatever keeps a store from being written, or its directory from being made.
    pub async fn ready(
        self,
        under: &Path,
        mut tell: impl FnMut(u32),
    ) -> Result<PathBuf, StoreError> {
        let Self { meters, days } = self;
        let dir = under.join(format!("years-{VERSION}-{meters}-{days}"));
        if dir.exists() {
            return Ok(dir);
        }
        let half = dir.with_extension("half");
        let refused =
            |cause| StoreError::Io { doing: "make ten years in", path: half.clone(), cause };
        if half.exists() {
            fs::remove_dir_all(&half).map_err(refused)?;
        }
        let (store, _) = open(&half, &FixedClock::at(END_MS))?;
        self.write(&store, &mut tell).await?;
        store.writer().pack().await?;
        store.close()?;
        fs::rename(&half, &dir).map_err(refused)?;
        Ok(dir)
    }

    /// Brings them into a store that has none of them.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being written.
    pub async fn write(self, store: &Store, mut tell: impl FnMut(u32)) -> Result<(), StoreError> {
        let span = self.span();
        let year = END_MS - i64::from(self.days_of_minutes()) * DAY_MS;
        let every = |number: u32| if number == self.meters { 60 } else { 900 };
        let schedule = (0..=self.meters).map(|number| (meter(number), every(number))).collect();
        store.writer().schedule(span.start, schedule).await?;
        let mut quarters = Bus::begin(store, 0, self.meters, QUARTER_MS, span.start).await?;
        let mut minutes = Bus::begin(store, self.meters, 1, MINUTE_MS, year).await?;
        for day in 0..self.days {
            let from = span.start + i64::from(day) * DAY_MS;
            let mut buses = vec![quarters.day(from)];
            if from >= year {
                buses.push(minutes.day(from));
            }
            store.writer().queue.ask(move |engine| engine.bring(&buses)).await?;
            // As often as it is worth it, or what was merged at the end would leave its room empty.
            if day % 8 == 7 {
                store.writer().pack().await?;
            }
            tell(day + 1);
        }
        Ok(())
    }
}

/// Meters whose numbers follow each other, from `first` on.
struct Bus {
    first: u32,
    every_ms: i64,
    building: Building,
    series: Vec<Vec<SeriesId>>,
}

impl Bus {
    /// The store learns what the meters are from a first round, right before `from`.
    async fn begin(
        store: &Store,
        first: u32,
        meters: u32,
        every_ms: i64,
        from: i64,
    ) -> Result<Self, StoreError> {
        let mut building = Building::new(first, meters, every_ms);
        store.writer().commit(building.round(from - every_ms)).await?;
        let numbers = first..first + meters;
        let readers = store.readers();
        let series = readers.ask(move |it| {
            let of_meter = |number| {
                let points = it.points(meter(number));
                let series_of = |name: &str| {
                    let point = points.iter().find(|it| it.register.to_string() == name)?;
                    point.series.first().map(|it| it.series)
                };
                REGISTERS.iter().filter_map(|(name, _, _)| series_of(name)).collect()
            };
            Ok(numbers.map(of_meter).collect())
        });
        Ok(Self { first, every_ms, building, series: series.await? })
    }

    fn day(&mut self, from: i64) -> BusDay {
        let rounds: Vec<i64> =
            (0..DAY_MS / self.every_ms).map(|round| from + round * self.every_ms).collect();
        let mut meters: Vec<MeterDay> = (self.first..)
            .zip(&self.series)
            .map(|(number, series)| MeterDay {
                meter: meter(number),
                after_ms: i64::from(number) * AFTER_MS,
                columns: series.iter().map(|it| (*it, Vec::with_capacity(rounds.len()))).collect(),
            })
            .collect();
        for _ in &rounds {
            for (meter, stands) in meters.iter_mut().zip(self.building.pass()) {
                for ((_, column), stand) in meter.columns.iter_mut().zip(stands) {
                    column.push(*stand);
                }
            }
        }
        BusDay { rounds, meters }
    }
}
