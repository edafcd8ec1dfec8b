//! What was damaged and set aside, and may be had again.
//!
//! ```text
//! a block, or a month's file, is set aside ──▶ wanted: its meter and its time, in core.db
//!                                                │
//! a meter's next answer tells what it remembers ─┼─▶ stored, if no reading is there any more
//! the portfolio answers what it has (recalled.rs) ┘   and under its own number
//! ```
//!
//! The sums of a damaged time are in another file and stay as they were counted. So a reading that comes again
//! is stored and told to the cloud, and not counted a second time; if the sums are made anew from the files of
//! the readings, it is counted like any other.
//!
//! **Never true:** a sum grows because a reading came again, or a reading that is there is stored twice.

use std::ops::Range;

use metering::MeterId;
use rusqlite::{Connection, params};

use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::Month;
use crate::registry::{SeriesInfo, uuid};
use crate::repair::instant;

/// Times of which anybody still asks; the oldest are given up.
const MOST: usize = 256;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) number: i64,
    /// `None`: every meter.
    pub(crate) meter: Option<MeterId>,
    pub(crate) span: Range<i64>,
    /// About which meter the portfolio was asked last, and up to which time of it.
    pub(crate) asked: Option<(MeterId, i64)>,
    /// The portfolio was asked about all of it.
    pub(crate) over: bool,
    /// How many readings it had.
    pub(crate) recalled: u64,
    /// The roll-ups have counted the lost readings up to this number.
    pub(crate) counted: u64,
    /// The numbers that no file has, once somebody has looked.
    pub(crate) lost: Option<Vec<(u64, u64)>>,
}

impl Wanted {
    /// Those of core.db, the oldest first.
    pub(crate) fn read(core: &Connection) -> Result<Vec<Self>, StoreError> {
        const DOING: &str = "read what is wanted again";
        let mut statement = core.prepare("SELECT * FROM wanted ORDER BY number").doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().doing(DOING)? {
            let meter_of = |column| -> Result<Option<MeterId>, StoreError> {
                let any = row.get::<_, Option<Vec<u8>>>(column).doing(DOING)?.is_none();
                Ok(if any { None } else { Some(MeterId::from_uuid(uuid(row, column)?)) })
            };
            let until: Option<i64> = row.get("asked_until_ms").doing(DOING)?;
            let span = row.get("from_ms").doing(DOING)?..row.get("until_ms").doing(DOING)?;
            all.push(Self {
                number: row.get("number").doing(DOING)?,
                meter: meter_of("meter")?,
                span,
                asked: meter_of("asked_meter")?.zip(until),
                over: row.get("over").doing(DOING)?,
                recalled: row.get("recalled").doing(DOING)?,
                counted: row.get("counted").doing(DOING)?,
                lost: None,
            });
        }
        Ok(all)
    }

    /// Whether all of it lies before `at_ms`.
    pub(crate) const fn ends_by(&self, at_ms: i64) -> bool {
        self.span.end <= at_ms
    }

    fn is_of(&self, meter: MeterId, at_ms: i64) -> bool {
        self.meter.is_none_or(|it| it == meter) && self.span.contains(&at_ms)
    }
}

impl Engine {
    /// Wants the readings of `span` again, of one meter or of all. A failure is logged: the damage is told.
    pub(crate) fn want(&mut self, meter: Option<MeterId>, span: Range<i64>) {
        // What is counted in memory alone could not be counted again after a power cut.
        let written = self.write_tallies();
        let counted = self.state().hot.applied_seq;
        self.want_counted(written, meter, span, counted);
    }

    /// As [`want`](Self::want), of a store that is being opened: the roll-ups have those up to `counted`.
    pub(crate) fn want_since(&mut self, span: Range<i64>, counted: u64) {
        let written = self.write_tallies();
        self.want_counted(written, None, span, counted);
    }

    fn want_counted(
        &mut self,
        written: Result<(), StoreError>,
        meter: Option<MeterId>,
        span: Range<i64>,
        counted: u64,
    ) {
        let wanted = written.and_then(|()| self.want_again(meter, span, counted));
        if let Err(error) = wanted {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was damaged is not asked for again");
        }
    }

    fn want_again(
        &mut self,
        meter: Option<MeterId>,
        span: Range<i64>,
        counted: u64,
    ) -> Result<(), StoreError> {
        const DOING: &str = "want readings again";
        // More is lost now than was known.
        self.wanted.iter_mut().for_each(|it| it.lost = None);
        let same = |it: &Wanted| it.meter == meter && it.span == span;
        if let Some(known) = self.wanted.iter_mut().find(|it| same(it)) {
            known.counted = known.counted.min(counted);
            (known.asked, known.over) = (None, false);
            return write_asked(&self.core, known);
        }
        let bytes = meter.map(|meter| meter.uuid().into_bytes());
        self.core
            .execute(
                "INSERT INTO wanted (at_ms, meter, from_ms, until_ms, counted)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    self.clock.now().wall_ms(),
                    bytes,
                    span.start,
                    span.end,
                    counted.cast_signed()
                ],
            )
            .doing(DOING)?;
        let number = self.core.last_insert_rowid();
        let (asked, over, recalled, lost) = (None, false, 0, None);
        let wanted = Wanted { number, meter, span, asked, over, recalled, counted, lost };
        self.wanted.push(wanted);
        if self.wanted.len() > MOST {
            let oldest = self.wanted.remove(0);
            self.core
                .execute("DELETE FROM wanted WHERE number = ?1", [oldest.number])
                .doing(DOING)?;
        }
        // What a meter has told already it may be asked for now.
        match meter {
            Some(meter) => drop(self.remembered.remove(&meter)),
            None => self.remembered.clear(),
        }
        Ok(())
    }

    /// Whether a reading of a damaged time is not there any more: none with a value lies in `near`.
    pub(crate) fn is_wanted(
        &self,
        info: &SeriesInfo,
        at_ms: i64,
        near: &Range<i64>,
    ) -> Result<bool, StoreError> {
        if !self.wanted.iter().any(|it| it.is_of(info.meter, at_ms)) {
            return Ok(false);
        }
        let mut there = false;
        self.look(|store| {
            let of_series = |series| series == info.series.get();
            store.samples(info.meter, of_series, near, |it| there |= it.value.is_ok())
        })?;
        Ok(!there)
    }

    /// Stores readings of `meter` that are had again; they are of one month. The sums have them already.
    pub(crate) fn store_again(
        &mut self,
        meter: MeterId,
        boot_id: u128,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let Some(head) = entries.first() else { return Ok(()) };
        self.write_tallies()?;
        let rows = self.store(Month::of(head.at_ms), boot_id, false, entries)?;
        self.count(&rows, entries);
        // That is all that was counted since the sums were written.
        self.shared.change(|state| {
            let hot = std::sync::Arc::make_mut(&mut state.hot);
            hot.tallies.clear();
            hot.answers.clear();
        });
        self.write_tallies()?;
        self.tell_fetched(meter, entries)
    }

    /// The roll-ups were made again from the files, which do not have what is lost.
    pub(crate) fn wanted_uncounted(&mut self) {
        self.wanted.iter_mut().for_each(|it| it.counted = 0);
        if let Err(error) = self.core.execute("UPDATE wanted SET counted = 0", []) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was damaged may be missing from the roll-ups");
        }
    }

    fn tell_fetched(&self, meter: MeterId, entries: &[Entry]) -> Result<(), StoreError> {
        const DOING: &str = "write down what is there again";
        for wanted in &self.wanted {
            let fetched = entries.iter().filter(|it| wanted.is_of(meter, it.at_ms)).count();
            if fetched == 0 {
                continue;
            }
            let sentence = format!(
                "{fetched} of the damaged readings of meter {meter} from {} to {} came back out of the meter's \
                 memory",
                instant(wanted.span.start),
                instant(wanted.span.end)
            );
            tracing::info!("{sentence}");
            self.core
                .execute(
                    "UPDATE wanted SET fetched = fetched + ?2 WHERE number = ?1",
                    params![wanted.number, fetched],
                )
                .and_then(|_| {
                    let now = self.clock.now().wall_ms();
                    let sql = "INSERT INTO damage (at_ms, sentence) VALUES (?1, ?2)";
                    self.core.execute(sql, params![now, sentence])
                })
                .doing(DOING)?;
        }
        Ok(())
    }
}

/// Writes how far the portfolio was asked.
pub(crate) fn write_asked(core: &Connection, wanted: &Wanted) -> Result<(), StoreError> {
    let (meter, until) = wanted.asked.unzip();
    core.execute(
        "UPDATE wanted
            SET asked_meter = ?2, asked_until_ms = ?3, over = ?4, recalled = ?5, counted = ?6
          WHERE number = ?1",
        params![
            wanted.number,
            meter.map(|meter| meter.uuid().into_bytes()),
            until,
            wanted.over,
            wanted.recalled.cast_signed(),
            wanted.counted.cast_signed()
        ],
    )
    .map(drop)
    .doing("write down how far was asked for readings")
}
