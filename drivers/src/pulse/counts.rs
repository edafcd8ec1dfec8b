//! What has been counted, by meter, in memory and on the disk.
//!
//! ```text
//! edge ──▶ count in memory ──at most every 10 s, and before a reading──▶ pulses.counts ──▶ reading
//! ```
//!
//! A counter belongs to its meter and not to the line: the meter may be moved to another line and
//! goes on. The pulses are kept as they were counted; what the meter's display showed, and at which
//! pulse, is kept beside them, so that setting a counter takes nothing away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metering::{MeterId, NoReading, Quantity, Unit};

use super::input::Heard;
use super::slots::Slots;
use crate::profile::{PulseWeight, RegisterSpec};

/// How often what was counted is put on the disk, if anything was: so much does a power cut take.
///
/// Each time is one writing of some kilobytes, so at most 40 MB a day, of which a flash memory of
/// 8 GB bears more than a hundred years.
pub const KEEP_EVERY: Duration = Duration::from_secs(10);

/// A reading is told of what was kept so short a time ago, so that many meters that are asked at
/// once are one writing.
const FRESH: Duration = Duration::from_secs(1);

/// More inputs than any machine has, and as many as the file holds.
const MOST_COUNTERS: usize = 400;

/// The counters of all meters; its clones are the same ones.
#[derive(Clone, Debug)]
pub struct Counts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    now: Mutex<Table>,
    /// Held while the disk is written to. Taken before `now`, never after it.
    disk: Mutex<Disk>,
}

#[derive(Debug, Default)]
struct Table {
    counters: BTreeMap<MeterId, Counter>,
    /// Goes up with every change.
    changes: u64,
}

#[derive(Debug, Default)]
struct Disk {
    /// `None` where nothing is kept.
    slots: Option<Slots>,
    /// What is on it.
    kept: BTreeMap<MeterId, Counter>,
    changes: u64,
    at: Option<Instant>,
}

/// One meter's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Pulses since it was first counted; never set.
    pub pulses: u64,
    /// Edges that the kernel could not hand over, since the counter was set.
    pub lost: u64,
    /// What the meter's display showed, and after how many pulses that was.
    pub set: Option<(Quantity, u64)>,
    /// What a pulse was worth when it was last counted.
    pub weight: Option<PulseWeight>,
}

impl Counter {
    /// What the register `spec` of its meter shows.
    ///
    /// # Errors
    ///
    /// [`NoReading::TooLarge`] if 64 bits cannot hold its digits.
    pub fn shows(&self, spec: &RegisterSpec, weight: PulseWeight) -> Result<Quantity, NoReading> {
        let (display, then) = match self.set {
            // It was set in the unit of another profile: that is another counter.
            Some((display, _)) if display.resolution().unit() != spec.unit => (None, 0),
            Some((display, then)) => (Some(display), then),
            None => (None, 0),
        };
        let counted = spec.of_pulses(self.pulses.saturating_sub(then), weight)?;
        let Some(display) = display else { return Ok(counted) };
        let display = display.converted(counted.resolution()).map_err(|_| NoReading::TooLarge)?;
        display.plus(counted).map_err(|_| NoReading::TooLarge)
    }
}

/// Why a counter is not set.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// It is of another unit than the meter's.
    #[error("the counter is in {wanted}, and not in {found}")]
    Unit {
        /// Of the profile.
        wanted: Unit,
        /// As given.
        found: Unit,
    },
    /// A counter that shows less than nothing.
    #[error("a counter is never below zero")]
    Negative,
    /// It has more digits behind the point than the counter.
    #[error("the counter has {0} digits behind the point")]
    TooFine(i8),
    /// It cannot be kept, and a power cut would take it.
    #[error("it cannot be kept on the disk")]
    Disk(#[source] io::Error),
    /// 64 bits do not hold its digits.
    #[error("it has more digits than can be counted")]
    TooLarge,
}

impl Counts {
    /// Those that are kept in the file at `path`.
    ///
    /// What is wrong with the file is told beside them: then they begin at zero, or are counted
    /// and not kept.
    pub fn open(path: &Path) -> (Self, Option<io::Error>) {
        match Slots::open(path) {
            Ok((slots, content, damaged)) => {
                let counters = read(&content.unwrap_or_default());
                let trouble = damaged.then(|| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it is damaged: all counters begin at zero; set them to their meters' \
                         displays",
                    )
                });
                (Self::with(counters, Some(slots)), trouble)
            }
            Err(error) => (Self::with(BTreeMap::new(), None), Some(error)),
        }
    }

    /// Counters that are not kept, for whoever only looks on.
    pub fn in_memory() -> Self {
        Self::with(BTreeMap::new(), None)
    }

    fn with(counters: BTreeMap<MeterId, Counter>, slots: Option<Slots>) -> Self {
        let disk = Disk { slots, kept: counters.clone(), changes: 0, at: None };
        let now = Table { counters, changes: 0 };
        Self(Arc::new(Shared { now: Mutex::new(now), disk: Mutex::new(disk) }))
    }

    /// What was counted of a meter.
    pub fn get(&self, meter: MeterId) -> Counter {
        self.now().counters.get(&meter).copied().unwrap_or_default()
    }

    /// Puts on the disk what has changed since the last time; blocks until it is there. Tells
    /// whether anything had.
    ///
    /// # Errors
    ///
    /// If the disk refuses. It is tried again the next time.
    pub fn keep(&self) -> io::Result<bool> {
        let mut disk = self.disk();
        self.keep_on(&mut disk)
    }

    /// Sets a meter's counter to what its display shows, and keeps it; blocks until it is kept.
    ///
    /// # Errors
    ///
    /// Why it is as it was.
    pub fn set(
        &self,
        meter: MeterId,
        display: Quantity,
        spec: &RegisterSpec,
        weight: PulseWeight,
    ) -> Result<Quantity, NotSet> {
        let (unit, found) = (spec.unit, display.resolution().unit());
        if found != unit {
            return Err(NotSet::Unit { wanted: unit, found });
        }
        if display.mantissa() < 0 {
            return Err(NotSet::Negative);
        }
        let zero = spec.of_pulses(0, weight).map_err(|_| NotSet::TooLarge)?;
        let resolution = zero.resolution();
        if display.resolution().decimals() > resolution.decimals() {
            return Err(NotSet::TooFine(resolution.decimals()));
        }
        let display = display.converted(resolution).map_err(|_| NotSet::TooLarge)?;

        let mut disk = self.disk();
        let before = self.get(meter);
        let set = Counter {
            set: Some((display, before.pulses)),
            lost: 0,
            weight: Some(weight),
            ..before
        };
        self.change(meter, |counter| {
            // Pulses may have come since.
            *counter = Counter { pulses: counter.pulses, ..set };
        });
        if let Err(error) = self.keep_on(&mut disk) {
            self.change(meter, |counter| {
                *counter =
                    Counter { pulses: counter.pulses, lost: counter.lost + before.lost, ..before };
            });
            return Err(NotSet::Disk(error));
        }
        drop(disk);
        self.get(meter).shows(spec, weight).map_err(|_| NotSet::TooLarge)
    }

    /// Counts what was heard.
    pub(super) fn add(&self, meter: MeterId, heard: Heard) {
        if heard == Heard::default() {
            return;
        }
        self.change(meter, |counter| {
            counter.pulses = counter.pulses.saturating_add(heard.pulses);
            counter.lost = counter.lost.saturating_add(heard.lost);
        });
    }

    /// From now on a pulse of `meter` is worth `weight`: what was counted with another one stays
    /// as it was shown.
    pub(super) fn weigh(&self, meter: MeterId, spec: &RegisterSpec, weight: PulseWeight) {
        let before = self.get(meter);
        if before.weight == Some(weight) {
            return;
        }
        let shown = before.weight.and_then(|old| before.shows(spec, old).ok());
        self.change(meter, |counter| {
            counter.set = shown.map(|shown| (shown, before.pulses)).or(counter.set);
            counter.weight = Some(weight);
        });
    }

    /// What is kept of a meter's counter, at most a second old; blocks while it is kept. If the
    /// disk refuses, what was counted, and why it is not kept.
    pub(super) fn told(&self, meter: MeterId) -> (Counter, Option<io::Error>) {
        let mut disk = self.disk();
        let fresh = disk.at.is_some_and(|at| at.elapsed() < FRESH);
        let known = disk.kept.get(&meter).is_some_and(|kept| kept.weight == self.get(meter).weight);
        let trouble = if fresh && known { None } else { self.keep_on(&mut disk).err() };
        match trouble {
            None => (disk.kept.get(&meter).copied().unwrap_or_default(), None),
            Some(error) => (self.get(meter), Some(error)),
        }
    }

    fn keep_on(&self, disk: &mut Disk) -> io::Result<bool> {
        let (counters, changes) = {
            let now = self.now();
            (now.counters.clone(), now.changes)
        };
        let changed = changes != disk.changes;
        if changed && let Some(slots) = &mut disk.slots {
            slots.write(written(&counters).as_bytes())?;
        }
        (disk.kept, disk.changes, disk.at) = (counters, changes, Some(Instant::now()));
        Ok(changed)
    }

    fn change(&self, meter: MeterId, change: impl FnOnce(&mut Counter)) {
        let mut now = self.now();
        if now.counters.len() >= MOST_COUNTERS && !now.counters.contains_key(&meter) {
            return;
        }
        change(now.counters.entry(meter).or_default());
        now.changes += 1;
    }

    // A thread that panicked left whole counters behind.
    fn now(&self) -> MutexGuard<'_, Table> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line for each: `METER pulses lost weight|- [display unit pulses]`.
fn written(counters: &BTreeMap<MeterId, Counter>) -> String {
    let mut text = String::new();
    for (meter, counter) in counters {
        let weight = counter.weight.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let Counter { pulses, lost, set, .. } = counter;
        // A string takes everything.
        let _infallible = write!(text, "{meter} {pulses} {lost} {weight}");
        if let Some((display, then)) = set {
            let unit = display.resolution().unit();
            let _infallible = write!(text, " {} {} {then}", display.decimal(), unit.code());
        }
        text.push('\n');
    }
    text
}

/// The counters in what was written. A line of another form is one of a later program, and is
/// passed over.
fn read(content: &[u8]) -> BTreeMap<MeterId, Counter> {
    let text = String::from_utf8_lossy(content);
    text.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<(MeterId, Counter)> {
    let mut words = line.split(' ');
    let meter = words.next()?.parse().ok()?;
    let (pulses, lost) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let weight = match words.next()? {
        "-" => None,
        weight => Some(weight.parse().ok()?),
    };
    let set = match words.next() {
        None => None,
        Some(display) => {
            let unit = Unit::from_code(words.next()?)?;
            Some((Quantity::from_decimal(display, unit).ok()?, words.next()?.parse().ok()?))
        }
    };
    Some((meter, Counter { pulses, lost, set, weight }))
}

#[cfg(test)]
mod tests {
    use crate::Profile;

    use super::*;

    fn water() -> Profile {
        Profile::parse(
            "schema = 1\nid = \"example.water\"\nvendor = \"Example\"\nmodels = [\"W\"]\n\
             medium = \"water\"\nstatus = \"document\"\nsource = \"its plate\"\n\
             [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\n\
             kind = \"counter\"\npulse = { per_unit = \"100\" }\n\
             [[vector]]\npulses = 1234\nexpect = { volume = \"12.34\" }\n",
        )
        .unwrap()
    }

    fn meter(number: u8) -> MeterId {
        format!("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e{number:02}").parse().unwrap()
    }

    fn pulses(pulses: u64) -> Heard {
        Heard { pulses, lost: 0 }
    }

    #[track_caller]
    fn shows(counts: &Counts, number: u8, weight: &str, expected: &str) {
        let profile = water();
        let spec = profile.registers().next().unwrap();
        let shown = counts.get(meter(number)).shows(spec, weight.parse().unwrap());
        assert_eq!(shown.unwrap().to_string(), expected);
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pulses.counts");
        let profile = water();
        let spec = profile.registers().next().unwrap();
        let per_unit: PulseWeight = "100".parse().unwrap();
        let (counts, trouble) = Counts::open(&path);
        assert!(trouble.is_none());
        counts.weigh(meter(1), spec, per_unit);
        counts.add(meter(1), pulses(150));
        counts.add(meter(2), Heard { pulses: 3, lost: 7 });
        assert!(counts.keep().unwrap());
        assert!(!counts.keep().unwrap(), "nothing has changed: nothing is written");
        counts.add(meter(1), pulses(5));
        drop(counts);

        let (counts, _) = Counts::open(&path);
        shows(&counts, 1, "100", "1.50 m³");
        assert_eq!(counts.get(meter(2)), Counter { pulses: 3, lost: 7, ..Counter::default() });
        let display = Quantity::from_decimal("873.2", Unit::CubicMetre).unwrap();
        let set = counts.set(meter(1), display, spec, per_unit).unwrap();
        assert_eq!(set.to_string(), "873.20 m³");
        drop(counts);

        let (counts, _) = Counts::open(&path);
        counts.add(meter(1), pulses(7));
        shows(&counts, 1, "100", "873.27 m³");
        assert_eq!(counts.get(meter(1)).pulses, 157, "and what was counted is not forgotten");
    }

    #[test]
    fn a_reading_is_told_of_what_is_kept_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pulses.counts");
        let (counts, _) = Counts::open(&path);
        for number in 1..=50 {
            counts.add(meter(1), pulses(1));
            let (told, trouble) = counts.told(meter(1));
            assert!(trouble.is_none());
            // A power cut now: what another program finds is what was told, or more.
            let (found, _) = Counts::open(&path);
            assert!(found.get(meter(1)).pulses >= told.pulses, "{number}");
        }
    }

    #[test]
    fn a_counter_is_set_to_what_its_display_can_show() {
        let counts = Counts::in_memory();
        let profile = water();
        let spec = profile.registers().next().unwrap();
        let set = |text: &str, unit| {
            let display = Quantity::from_decimal(text, unit).unwrap();
            let set = counts.set(meter(1), display, spec, "100".parse().unwrap());
            set.map_or_else(|error| error.to_string(), |it| it.to_string())
        };
        assert_eq!(set("12", Unit::CubicMetre), "12.00 m³");
        assert_eq!(set("12.345", Unit::CubicMetre), "the counter has 2 digits behind the point");
        assert_eq!(set("-1", Unit::CubicMetre), "a counter is never below zero");
        assert_eq!(set("1", Unit::KilowattHour), "the counter is in m³, and not in kWh");
        shows(&counts, 1, "100", "12.00 m³");
    }

    #[test]
    fn another_weight_holds_from_then_on() {
        let counts = Counts::in_memory();
        let profile = water();
        let spec = profile.registers().next().unwrap();
        counts.weigh(meter(1), spec, "100".parse().unwrap());
        counts.add(meter(1), pulses(250));
        counts.weigh(meter(1), spec, "10".parse().unwrap());
        counts.add(meter(1), pulses(10));
        // 2.50 by the old one and 1.0 by the new one, in the steps of the new one.
        shows(&counts, 1, "10", "3.5 m³");
    }

    #[test]
    fn a_file_that_cannot_be_used_stops_nothing() {
        let (counts, trouble) = Counts::open(Path::new("/nonexistent/pulses.counts"));
        assert!(trouble.is_some());
        counts.add(meter(1), pulses(4));
        assert_eq!(counts.told(meter(1)).0.pulses, 4);
    }
}
