//! A store with one known day, for tests: of this crate and of those that ask it.
//!
//! The day is Sunday, 2026-03-29 in Trondheim, which has 23 hours. Two meters are read every quarter
//! hour:
//!
//! | Meter    | Register           | Is                                                          |
//! |----------|--------------------|-------------------------------------------------------------|
//! | [`HEAT`] | `energy`           | 12.345 GJ at midnight, 0.002 GJ more in each quarter hour    |
//! | [`HEAT`] | `flow_temperature` | 70.0 °C, a tenth more in each quarter hour                   |
//! | [`COLD`] | `volume`           | 100 l at midnight, 1 l more in each quarter hour             |
//!
//! [`HEAT`] is silent from 10:00 to 11:00, four times. Both are read once more at the midnight that
//! ends the day.

pub mod building;
pub mod years;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metering::{
    Clock, Identity, MeterId, Moment, NoReading, Origin, Quality, Quantity, Reading, Register,
    Resolution, Trust, Unit,
};
use uuid::Uuid;

use crate::{Kind, MeterRound, OpenReport, Options, Sign, Store, StoreError};

/// The heat meter of the known day, with serial number 67001122.
pub const HEAT: MeterId =
    MeterId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0000_0000_0001));

/// Its cold water meter, with serial number 20110815.
pub const COLD: MeterId =
    MeterId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0000_0000_0002));

/// The first millisecond of the known day.
pub const MIDNIGHT_MS: i64 = 1_774_738_800_000;

/// The first one after it: 23 hours later.
pub const NEXT_MIDNIGHT_MS: i64 = MIDNIGHT_MS + 23 * 3_600_000;

/// A clock that shows what it was told.
#[derive(Debug)]
pub struct FixedClock(Mutex<Moment>);

impl FixedClock {
    /// A clock at that wall time, synced.
    pub fn at(wall_ms: i64) -> Arc<Self> {
        Self::of(moment(wall_ms))
    }

    /// A clock that shows just that.
    pub fn of(now: Moment) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    /// Lets time pass on both clocks.
    pub fn pass(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.wall += duration;
        now.boottime += duration;
    }

    /// Sets the wall clock alone.
    pub fn set(&self, wall_ms: i64) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.wall = DateTime::from_timestamp_millis(wall_ms).unwrap_or(DateTime::<Utc>::MIN_UTC);
    }

    /// From now on it can be trusted so far.
    pub fn trust(&self, trust: Trust) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trust = trust;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at a synced clock at that wall time, of a machine that was started in 1970.
pub fn moment(wall_ms: i64) -> Moment {
    Moment {
        wall: DateTime::from_timestamp_millis(wall_ms).unwrap_or(DateTime::<Utc>::MIN_UTC),
        boottime: Duration::from_millis(wall_ms.max(0).unsigned_abs()),
        boot_id: 0x5EED,
        trust: Trust::Synced,
    }
}

/// Not a signature, but as long as one, and of that hash.
pub fn sign() -> Arc<Sign> {
    Arc::new(|hash| [hash[0]; 64])
}

/// A reading of a meter that was asked at that time.
///
/// # Panics
///
/// If `register` is none, or `decimals` are more than a resolution has.
pub fn reading(register: &str, mantissa: i64, decimals: i8, unit: Unit, at: Moment) -> Reading {
    Reading {
        register: self::register(register),
        at,
        value: Ok(Quantity::new(mantissa, resolution(decimals, unit))),
        quality: Quality::Good,
        origin: Origin::Live,
    }
}

/// The register with that text.
///
/// # Panics
///
/// If it is none.
#[expect(clippy::expect_used, reason = "for tests, with names that stand in them")]
pub fn register(text: &str) -> Register {
    text.parse().expect("a register's canonical text")
}

/// Steps of that size.
///
/// # Panics
///
/// If there are none.
#[expect(clippy::expect_used, reason = "for tests, with numbers that stand in them")]
pub fn resolution(decimals: i8, unit: Unit) -> Resolution {
    Resolution::new(decimals, unit).expect("at most twelve decimals")
}

/// What a meter that was asked at that time answered.
pub fn answer(
    meter: MeterId,
    serial: &str,
    at: Moment,
    readings: Vec<(Reading, Kind)>,
) -> MeterRound {
    MeterRound {
        meter,
        cycle: at.wall_ms().div_euclid(1000).unsigned_abs(),
        asked: at,
        identity: Some(Identity { serial: serial.to_owned(), ..Identity::default() }),
        outcome: Ok(readings),
        origin: Origin::Live,
        remembered: Vec::new(),
        telegrams: vec![vec![0x68, 0x03, 0x03, 0x68, 0x08, 0x01, 0x72, 0x7B, 0x16]],
    }
}

/// A meter that was asked at that time and did not answer.
pub fn silence(meter: MeterId, at: Moment) -> MeterRound {
    MeterRound {
        meter,
        cycle: at.wall_ms().div_euclid(1000).unsigned_abs(),
        asked: at,
        identity: None,
        outcome: Err(NoReading::Silent),
        origin: Origin::Live,
        remembered: Vec::new(),
        telegrams: Vec::new(),
    }
}

/// A directory that is deleted with this.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    fn new() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("fyrhus-store-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What is left behind lies where temporary files lie.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store in a directory that goes with it.
#[derive(Debug)]
pub struct KnownDay {
    /// The store.
    pub store: Store,
    /// Its clock: at noon, two days later.
    pub clock: Arc<FixedClock>,
    /// Its directory.
    pub dir: ScratchDir,
}

/// An empty store in a new directory, in Oslo's time, without ballast.
///
/// # Errors
///
/// Whatever keeps a store from being opened.
///
/// # Panics
///
/// If there is no directory for temporary files.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn empty() -> Result<KnownDay, StoreError> {
    let dir = ScratchDir::new().expect("a directory for temporary files");
    let clock = FixedClock::at(NEXT_MIDNIGHT_MS + 36 * 3_600_000);
    let (store, _) = open(dir.path(), &clock)?;
    Ok(KnownDay { store, clock, dir })
}

/// The store in that directory, in Oslo's time, without ballast, on a disk that is nearly empty.
///
/// # Errors
///
/// Whatever keeps it from being opened.
pub fn open(dir: &Path, clock: &Arc<FixedClock>) -> Result<(Store, OpenReport), StoreError> {
    let options =
        Options { dir: dir.to_owned(), time_zone: chrono_tz::Europe::Oslo, ballast_bytes: 0 };
    let (store, report) = Store::open(options, Arc::clone(clock) as Arc<dyn Clock>)?;
    disk_is(&store, 10);
    Ok((store, report))
}

/// From now on the disk of `store` is so full, whatever else is on it.
pub fn disk_is(store: &Store, percent: u64) {
    store.queue.tell(move |engine| engine.pretended_full = Some(percent));
}

/// A store that holds the known day.
///
/// # Errors
///
/// Whatever keeps it from being written.
pub async fn known_day() -> Result<KnownDay, StoreError> {
    let day = empty()?;
    let writer = day.store.writer();
    writer.schedule(MIDNIGHT_MS, vec![(HEAT, 900), (COLD, 900)]).await?;
    for quarter in 0..=92 {
        writer.commit(round(quarter)).await?;
    }
    Ok(day)
}

/// What the bus brought in one quarter hour of the known day.
pub fn round(quarter: i64) -> Vec<MeterRound> {
    let at = |seconds: i64| moment(MIDNIGHT_MS + quarter * 900_000 + seconds * 1000);
    // Two o'clock does not exist on this day, so 10:00 is nine hours after midnight.
    let heat = if (36..40).contains(&quarter) {
        silence(HEAT, at(1))
    } else {
        let readings = vec![
            (reading("energy", 12_345 + 2 * quarter, 3, Unit::Gigajoule, at(1)), Kind::Counter),
            (reading("flow_temperature", 700 + quarter, 1, Unit::Celsius, at(1)), Kind::Gauge),
        ];
        answer(HEAT, "67001122", at(1), readings)
    };
    let volume = reading("volume", 100 + quarter, 0, Unit::Litre, at(2));
    vec![heat, answer(COLD, "20110815", at(2), vec![(volume, Kind::Counter)])]
}
