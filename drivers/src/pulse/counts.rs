//! What has been counted, by meter, in memory and on the disk.
//!
//! ```text
//! edge ──▶ count in memory ──at most every 10 s, and before a reading──▶ pulses.counts ──▶ reading
//! ```
//!
//! A counter belongs to its meter and not to the line: the meter may be moved to another line and
//! goes on. The pulses are kept as they were counted; what the meter's display showed, and at which
//! pulse, is kept beside them, so that setting a counter takes nothing away.
//!
//! **Never true:** a counter that began again, because what was kept of it is gone or cannot be
//! read, passes for one that has counted since its meter was installed. It is in doubt until it is
//! set to its meter's display.

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
    /// Lines of the file that are of a later program, as they stood there. What was counted of
    /// their meters is not written over them.
    unread: Vec<String>,
    /// What was kept before is gone: a counter that begins now is in doubt.
    anew: bool,
    /// Goes up with every change.
    changes: u64,
}

#[derive(Debug, Default)]
struct Disk {
    /// `None` where nothing is kept.
    slots: Option<Slots>,
    /// Why nothing is kept that should be.
    unkept: Option<io::ErrorKind>,
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
    /// What was counted before is lost, and it was not set since.
    pub doubted: bool,
}

impl Counter {
    /// What the register `spec` of its meter shows.
    ///
    /// # Errors
    ///
    /// [`NoReading::TooLarge`] if 64 bits cannot hold its digits, and [`NoReading::Invalid`] while
    /// it is in doubt.
    pub fn shows(&self, spec: &RegisterSpec, weight: PulseWeight) -> Result<Quantity, NoReading> {
        if self.doubted {
            return Err(NoReading::Invalid);
        }
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
    /// What is wrong with the file is told beside them. Then they are in doubt, and if there is no
    /// file they cannot be set either.
    pub fn open(path: &Path) -> (Self, Option<io::Error>) {
        match Slots::open(path) {
            Ok((slots, content, damaged)) => {
                let (counters, unread) = read(&content.unwrap_or_default());
                let trouble = if damaged {
                    Some("it is damaged: set all counters to their meters' displays".to_owned())
                } else if unread.is_empty() {
                    None
                } else {
                    let lines = unread.len();
                    Some(format!(
                        "{lines} of its lines are of a later version of this program: they are \
                         kept as they are, and their counters are not told until they are set"
                    ))
                };
                let trouble = trouble.map(|it| io::Error::new(io::ErrorKind::InvalidData, it));
                let now = Table { counters, unread, anew: damaged, changes: 0 };
                (Self::with(now, Some(slots), None), trouble)
            }
            Err(error) => (Self::unkept(error.kind()), Some(error)),
        }
    }

    /// Counters that are not kept, for whoever only looks on.
    pub fn in_memory() -> Self {
        Self::with(Table::default(), None, None)
    }

    /// Counters that should be kept, and for `reason` are not: they are in doubt.
    pub fn unkept(reason: io::ErrorKind) -> Self {
        Self::with(Table { anew: true, ..Table::default() }, None, Some(reason))
    }

    fn with(now: Table, slots: Option<Slots>, unkept: Option<io::ErrorKind>) -> Self {
        let disk = Disk { slots, unkept, kept: now.counters.clone(), changes: 0, at: None };
        Self(Arc::new(Shared { now: Mutex::new(now), disk: Mutex::new(disk) }))
    }

    /// Whether there is room for a counter of `meter`, or it has one.
    pub(super) fn has_room(&self, meter: MeterId) -> bool {
        let now = self.now();
        now.counters.len() < MOST_COUNTERS || now.counters.contains_key(&meter)
    }

    /// What was counted of a meter.
    pub fn get(&self, meter: MeterId) -> Counter {
        self.now().get(meter)
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
            doubted: false,
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
            None => (disk.kept.get(&meter).copied().unwrap_or_else(|| self.get(meter)), None),
            Some(error) => (self.get(meter), Some(error)),
        }
    }

    fn keep_on(&self, disk: &mut Disk) -> io::Result<bool> {
        if let Some(reason) = disk.unkept {
            return Err(reason.into());
        }
        let (counters, text, changes) = {
            let now = self.now();
            (now.counters.clone(), written(&now), now.changes)
        };
        let changed = changes != disk.changes;
        if changed && let Some(slots) = &mut disk.slots {
            slots.write(text.as_bytes())?;
        }
        (disk.kept, disk.changes, disk.at) = (counters, changes, Some(Instant::now()));
        Ok(changed)
    }

    fn change(&self, meter: MeterId, change: impl FnOnce(&mut Counter)) {
        let mut now = self.now();
        if now.counters.len() >= MOST_COUNTERS && !now.counters.contains_key(&meter) {
            return;
        }
        let begun = now.get(meter);
        change(now.counters.entry(meter).or_insert(begun));
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

impl Table {
    fn get(&self, meter: MeterId) -> Counter {
        let doubted = self.anew || self.unread.iter().any(|line| meter_of(line) == Some(meter));
        let begun = Counter { doubted, ..Counter::default() };
        self.counters.get(&meter).copied().unwrap_or(begun)
    }
}

/// One line for each: `METER pulses lost weight|- [display unit pulses | ?]`, with a question mark
/// if it is in doubt. A line of a later program stands until its counter is set.
fn written(table: &Table) -> String {
    let mut text = String::new();
    let is_doubted = |meter| table.counters.get(&meter).is_none_or(|counter| counter.doubted);
    let stands = |line: &&String| meter_of(line).is_none_or(is_doubted);
    let unread: Vec<&String> = table.unread.iter().filter(stands).collect();
    for line in &unread {
        text.push_str(line);
        text.push('\n');
    }
    for (meter, counter) in &table.counters {
        if unread.iter().any(|line| meter_of(line) == Some(*meter)) {
            continue;
        }
        let weight = counter.weight.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let Counter { pulses, lost, set, .. } = counter;
        // A string takes everything.
        let _infallible = write!(text, "{meter} {pulses} {lost} {weight}");
        if let Some((display, then)) = set {
            let unit = display.resolution().unit();
            let _infallible = write!(text, " {} {} {then}", display.decimal(), unit.code());
        } else if counter.doubted {
            text.push_str(" ?");
        }
        text.push('\n');
    }
    text
}

/// The counters in what was written, and the lines of another form, which are of a later program.
fn read(content: &[u8]) -> (BTreeMap<MeterId, Counter>, Vec<String>) {
    let (mut counters, mut unread) = (BTreeMap::new(), Vec::new());
    for line in String::from_utf8_lossy(content).lines() {
        match read_line(line) {
            Some((meter, counter)) => drop(counters.insert(meter, counter)),
            None => unread.push(line.to_owned()),
        }
    }
    (counters, unread)
}

/// The meter of a line of any form.
fn meter_of(line: &str) -> Option<MeterId> {
    line.split(' ').next()?.parse().ok()
}

fn read_line(line: &str) -> Option<(MeterId, Counter)> {
    let meter = meter_of(line)?;
    let mut words = line.split(' ').skip(1);
    let (pulses, lost) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let weight = match words.next()? {
        "-" => None,
        weight => Some(weight.parse().ok()?),
    };
    let mut doubted = false;
    let set = match words.next() {
        None => None,
        Some("?") => {
            doubted = true;
            None
        }
        Some(display) => {
            let unit = Unit::from_code(words.next()?)?;
            Some((Quantity::from_decimal(display, unit).ok()?, words.next()?.parse().ok()?))
        }
    };
    // More words are of a later program.
    words.next().is_none().then_some((meter, Counter { pulses, lost, set, weight, doubted }))
}

#[cfg(test)]
mod tests;
