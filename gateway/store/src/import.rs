//! Readings from elsewhere: years of them, in any order, perhaps for the second time.

use std::collections::{HashMap, HashSet};

use metering::{
    Direction, Function, MeterId, Name, Origin, Phase, Quality, Register, Resolution, SeriesId,
};

use crate::chunk;
use crate::codec::Entry;
use crate::engine::{Engine, MOST_AT_ONCE};
use crate::error::StoreError;
use crate::files::Month;
use crate::registry::{Kind, Placing, Wanted};
use crate::round::{Imported, Stored};
use crate::spool;

/// By what two imported readings are the same one.
type Sameness = (u32, i64, Origin);

fn sameness(entry: &Entry) -> Sameness {
    (entry.series, entry.at_ms, entry.origin)
}

/// By what two readings are of one point: the parts of the register, since its text would have to be
/// written anew for each of them.
type Parts<'a> =
    (MeterId, (&'a Name, Option<Direction>, Option<Phase>), (u32, u64, Function, Option<&'a Name>));

const fn parts(reading: &Imported) -> Parts<'_> {
    let Register { quantity, direction, phase, tariff, storage, function, role } =
        &reading.register;
    (reading.meter, (quantity, *direction, *phase), (*tariff, *storage, *function, role.as_ref()))
}

impl Engine {
    /// Stores one chunk of an import; each month's part in a transaction of its own.
    pub(crate) fn import(&mut self, readings: &[Imported]) -> Result<Stored, StoreError> {
        self.ballast.restore()?;
        if readings.len() > MOST_AT_ONCE {
            let (found, most) = (readings.len(), MOST_AT_ONCE);
            return Err(StoreError::TooLarge { what: "a piece of an import", found, most });
        }
        let mut stored =
            Stored { first_seq: self.state().head + 1, count: 0, left_out: Vec::new() };
        let entries = self.place(readings)?;
        for month in entries.chunk_by(|a, b| Month::of(a.at_ms) == Month::of(b.at_ms)) {
            let Some(head) = month.first() else { continue };
            let fresh = self.without_known(Month::of(head.at_ms), month)?;
            if fresh.is_empty() {
                continue;
            }
            let rows = self.store(Month::of(head.at_ms), 0, true, &fresh)?;
            let part = self.count(&rows, &fresh);
            if stored.count == 0 {
                stored.first_seq = part.first_seq;
            }
            stored.count += part.count;
        }
        Ok(stored)
    }

    /// Finds the series of each reading; the result is in the order of time.
    fn place(&mut self, readings: &[Imported]) -> Result<Vec<Entry>, StoreError> {
        let mut placing = Placing::new(self.state().registry);
        let mut entries = Vec::with_capacity(readings.len());
        // A year of readings has a few dozen points: each is looked for once.
        let mut found: HashMap<_, (SeriesId, Resolution, Kind)> = HashMap::new();
        for reading in readings {
            let resolution = reading.quantity.resolution();
            let known = found.get(&parts(reading)).copied();
            let (series, mantissa) = match known {
                Some((series, of_series, kind))
                    if (of_series, kind) == (resolution, reading.kind) =>
                {
                    (series, reading.quantity.mantissa())
                }
                _ => {
                    let wanted = Wanted {
                        meter: reading.meter,
                        register: &reading.register,
                        kind: reading.kind,
                        serial: None,
                        at_ms: reading.at_ms,
                    };
                    let placed = placing.value(&wanted, reading.quantity)?;
                    let (series, mantissa) =
                        placed.ok_or(StoreError::TooManySeries { meter: reading.meter })?;
                    if let Some(info) = placing.registry.get(series) {
                        found.insert(parts(reading), (series, info.resolution, info.kind));
                    }
                    (series, mantissa)
                }
            };
            entries.push(Entry {
                series: series.get(),
                at_ms: reading.at_ms,
                boottime_ms: 0,
                cycle: 0,
                trust: None,
                quality: Quality::Good,
                origin: reading.origin,
                value: Ok(mantissa),
            });
        }
        self.register(placing)?;
        // Stable: of two that are the same the later one in the list wins below.
        entries.sort_by_key(|entry| (entry.at_ms, entry.series));
        Ok(entries)
    }

    /// Those of `entries` that an earlier import has not brought. They are of one month, by time.
    fn without_known(&mut self, month: Month, entries: &[Entry]) -> Result<Vec<Entry>, StoreError> {
        let mut known: HashSet<Sameness> = HashSet::new();
        if let Some((first, last)) = entries.first().zip(entries.last()) {
            let path = month.path(&self.dir);
            let span = first.at_ms..last.at_ms.saturating_add(1);
            let registry = self.state().registry;
            let meters: HashSet<MeterId> = entries
                .iter()
                .filter_map(|entry| Some(registry.numbered(entry.series)?.meter))
                .collect();
            let db = &self.raw(month)?.db;
            for meter in meters {
                chunk::values(
                    db,
                    &path,
                    meter,
                    |_| true,
                    &span,
                    |it| {
                        if it.imported {
                            known.insert((it.series, it.at_ms, it.origin));
                        }
                    },
                )?;
            }
            spool::rows_in(db, &span, |row| {
                if row.imported {
                    known.extend(row.unpack(&path)?.iter().map(sameness));
                }
                Ok(())
            })?;
        }
        let mut fresh: Vec<Entry> = Vec::with_capacity(entries.len());
        for entry in entries.iter().rev() {
            if known.insert(sameness(entry)) {
                fresh.push(*entry);
            }
        }
        fresh.reverse();
        Ok(fresh)
    }
}
