//! What a person put in the place of a reading, or where there was none: an entry that says who, when, why,
//! what was there and what holds now.
//!
//! ```text
//! readings    ·  ·  ×  ·  ·      × stays in its file, under its seal
//!                   │            the entry, in core.db
//!                   ▼
//!                   ·            a reading of the same instant with a later number: it holds, here and
//!                                in the portfolio
//! ```
//!
//! Of one instant of a series the reading with the latest number holds. Questions see that one alone, and
//! the quarter hour and the day that it lies in are counted again. If the power goes in between, that is done
//! at the next start.
//!
//! **Never true:** a stored reading is changed or deleted by this; the roll-ups show a mixture of both for
//! longer than the writer thread takes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use metering::{MeterId, NoReading, Origin, Quality, Quantity, Register, Resolution, SeriesId};
use rusqlite::{self as sqlite, Connection, params};

use crate::civil::Step;
use crate::codec::Entry;
use crate::engine::Engine;
use crate::error::{Doing, StoreError};
use crate::files::Month;
use crate::hot::add_up;
use crate::query::Snapshot;
use crate::readers::Desk;
use crate::registry::SeriesInfo;
use crate::rollup::{Row, Tally};
use crate::tallied::{self, Kept};
use crate::tally_block::TallyBlock;
use crate::tally_file::Source;

/// What somebody wants to have corrected.
#[derive(Clone, Debug)]
pub struct NewCorrection {
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// When the reading was, or should have been, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it should have shown.
    pub quantity: Quantity,
    /// Who says so.
    pub who: String,
    /// Why.
    pub why: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The number of the reading that has the new figure.
    pub seq: u64,
    /// When it was made.
    pub made_ms: i64,
    /// By whom.
    pub who: String,
    /// Why.
    pub why: String,
    /// Of which register.
    pub register: Register,
    /// When the reading was.
    pub at_ms: i64,
    /// What was there: a figure, or why there was none; `None` if nothing was read at that instant.
    pub old: Option<Result<Quantity, NoReading>>,
    /// What holds now.
    pub new: Quantity,
}

/// Why nothing was corrected.
#[derive(Debug, thiserror::Error)]
pub enum NotCorrected {
    /// Its roll-ups could not be told apart afterwards.
    #[error("the clock was set back in that quarter hour, so it cannot be counted again")]
    ClockSetBack,
    /// It lies ahead.
    #[error("that instant is not over yet")]
    Future,
    /// Only sums are left of that time.
    #[error(
        "the readings of that day are no longer kept one by one, so it cannot be counted again"
    )]
    NotKept,
    /// The meter has never told it.
    #[error("the meter has never told this register")]
    NoRegister,
    /// It counts in other steps.
    #[error("the register counted in steps of {0} then: give the figure in these")]
    Steps(Resolution),
    /// The writer thread would do nothing else for too long.
    #[error(
        "{found} readings would be corrected, and at most {} are in one go: take a shorter span",
        crate::correction_span::MOST_IN_A_SPAN
    )]
    TooMany {
        /// How many lie in it.
        found: usize,
    },
    /// Somebody has to say who and why.
    #[error("a correction says who makes it and why, in at most {MOST_TEXT} bytes")]
    Unsaid,
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotCorrected {
    /// For whoever tells it in words of their own; `None` of what the disk did.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::ClockSetBack => Some("clock_set_back"),
            Self::Future => Some("future"),
            Self::NotKept => Some("not_kept"),
            Self::NoRegister => Some("no_register"),
            Self::Steps(_) => Some("steps"),
            Self::TooMany { .. } => Some("too_many"),
            Self::Unsaid => Some("unsaid"),
            Self::Store(_) => None,
        }
    }
}

/// Bytes of `who` and of `why`.
pub(crate) const MOST_TEXT: usize = 500;

/// The latest number that was given to a correction of each instant that has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corrected(HashMap<(u32, i64), u64>);

impl Corrected {
    /// Those of core.db.
    pub(crate) fn read(core: &Connection) -> Result<Self, StoreError> {
        const DOING: &str = "read the corrections";
        let mut statement =
            core.prepare("SELECT series, at_ms, seq FROM correction ORDER BY seq").doing(DOING)?;
        let mut rows = statement.query([]).doing(DOING)?;
        let mut all = HashMap::new();
        while let Some(row) = rows.next().doing(DOING)? {
            let (series, at_ms) = (row.get(0).doing(DOING)?, row.get(1).doing(DOING)?);
            let seq: i64 = row.get(2).doing(DOING)?;
            all.insert((series, at_ms), seq.cast_unsigned());
        }
        Ok(Self(all))
    }

    /// Whether a reading holds: none of the same instant was put in its place.
    pub(crate) fn holds(&self, series: u32, at_ms: i64, seq: u64) -> bool {
        self.0.is_empty() || self.0.get(&(series, at_ms)).is_none_or(|latest| seq >= *latest)
    }

    pub(crate) fn insert(&mut self, series: u32, at_ms: i64, seq: u64) {
        self.0.insert((series, at_ms), seq);
    }
}

/// What there is at an instant, and where a correction of it goes.
struct Found {
    info: SeriesInfo,
    mantissa: i64,
    old: Option<Result<i64, NoReading>>,
}

impl Engine {
    /// Stores a correction; returns when it survives a power cut and is counted.
    pub(crate) fn correct(
        &mut self,
        wanted: &NewCorrection,
    ) -> Result<Result<Correction, NotCorrected>, StoreError> {
        let made_ms = self.clock.now().wall_ms();
        let NewCorrection { who, why, at_ms, .. } = wanted;
        if [who, why].into_iter().any(|it| it.trim().is_empty() || it.len() > MOST_TEXT) {
            return Ok(Err(NotCorrected::Unsaid));
        }
        if *at_ms >= made_ms {
            return Ok(Err(NotCorrected::Future));
        }
        self.ballast.restore()?;
        let Found { info, mantissa, old } = match self.look(|store| find(store, wanted))? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let entry = Entry {
            series: info.series.get(),
            at_ms: *at_ms,
            boottime_ms: 0,
            cycle: 0,
            trust: None,
            quality: Quality::Good,
            origin: Origin::Correction,
            value: Ok(mantissa),
        };
        // The entry leads: of a number that no reading got nothing is corrected.
        let seq = self.state().head + 1;
        self.core
            .execute(
                "INSERT OR REPLACE INTO correction
                     (seq, made_ms, who, why, series, at_ms, old, old_reason, new, counted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
                params![
                    seq.cast_signed(),
                    made_ms,
                    who,
                    why,
                    info.series.get(),
                    at_ms,
                    old.and_then(Result::ok),
                    old.and_then(Result::err).map(NoReading::code),
                    mantissa,
                ],
            )
            .doing("write a correction")?;
        let rows = match self.store(Month::of(*at_ms), 0, true, &[entry]) {
            Ok(rows) => rows,
            Err(error) => {
                forget_beyond(&self.core, self.state().head)?;
                return Err(error);
            }
        };
        let seq = self.stored_as(seq, rows.first().map_or(seq, |row| row.first_seq))?;
        self.shared.change(|state| {
            std::sync::Arc::make_mut(&mut state.corrected).insert(info.series.get(), *at_ms, seq);
        });
        self.count(&rows, &[entry]);
        self.count_corrections();
        let quantity = |mantissa| Quantity::new(mantissa, info.resolution);
        Ok(Ok(Correction {
            seq,
            made_ms,
            who: who.clone(),
            why: why.clone(),
            register: info.register.clone(),
            at_ms: *at_ms,
            old: old.map(|it| it.map(quantity)),
            new: quantity(mantissa),
        }))
    }

    /// A file that was damaged may have cost the number that was meant.
    fn stored_as(&self, meant: u64, found: u64) -> Result<u64, StoreError> {
        if found != meant {
            let numbers = [meant.cast_signed(), found.cast_signed()];
            self.core
                .execute("UPDATE correction SET seq = ?2 WHERE seq = ?1", numbers)
                .doing("write a correction")?;
        }
        Ok(found)
    }

    /// Counts again what corrections have changed. A failure is logged: it is done at the next start.
    pub(crate) fn count_corrections(&mut self) {
        if let Err(error) = self.count_those_due() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the roll-ups do not have a correction yet");
        }
    }

    /// The roll-ups had counted up to `seq`, and what came after it once more: what was corrected then is
    /// counted again.
    pub(crate) fn count_corrections_after(&mut self, seq: u64) {
        let sql = "UPDATE correction SET counted = 0 WHERE seq > ?1";
        if let Err(error) = self.core.execute(sql, [seq.cast_signed()]) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "corrections are not counted anew");
        }
        self.count_corrections();
    }

    fn count_those_due(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "count corrections";
        let due = {
            let mut statement = self
                .core
                .prepare_cached("SELECT seq, series, at_ms FROM correction WHERE counted = 0")
                .doing(DOING)?;
            let read = |row: &sqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let rows = statement.query_map([], read).doing(DOING)?;
            rows.collect::<Result<Vec<(i64, u32, i64)>, _>>().doing(DOING)?
        };
        // Of one day at a time, in one transaction.
        let civil = self.shared.civil;
        let mut days: BTreeMap<(u32, i64), Vec<(i64, i64)>> = BTreeMap::new();
        for (seq, series, at_ms) in due {
            let day = civil.period(Step::Day, at_ms).start;
            days.entry((series, day)).or_default().push((seq, at_ms));
        }
        for ((series, _), of_day) in days {
            self.recount(series, &of_day.iter().map(|(_, at_ms)| *at_ms).collect::<Vec<_>>())?;
            let transaction = self.core.transaction().doing(DOING)?;
            for (seq, _) in of_day {
                transaction
                    .execute("UPDATE correction SET counted = 1 WHERE seq = ?1", [seq])
                    .doing(DOING)?;
            }
            transaction.commit().doing(DOING)?;
        }
        Ok(())
    }

    /// Makes the quarter hours of a series in which these instants of one day lie anew of the readings that
    /// hold in them, and the day of its quarter hours.
    pub(crate) fn recount(&mut self, series: u32, ats: &[i64]) -> Result<(), StoreError> {
        self.write_tallies()?;
        let state = self.state();
        let (Some(info), Some(one)) = (state.registry.numbered(series), ats.first()) else {
            return Ok(());
        };
        let civil = self.shared.civil;
        let day = civil.period(Step::Day, *one);
        let of_quarters: BTreeMap<i64, Range<i64>> = ats
            .iter()
            .map(|at_ms| civil.period(Step::Quarter, *at_ms))
            .map(|quarter| (quarter.start, quarter))
            .collect();
        let mut counted: BTreeMap<i64, (Option<u32>, Option<Tally>)> = BTreeMap::new();
        self.look(|store| {
            let eras = store.tallies(info.series, Step::Quarter, &day)?;
            let mut values: BTreeMap<i64, Tally> = BTreeMap::new();
            let ends = of_quarters.first_key_value().zip(of_quarters.last_key_value());
            let span = ends.map_or(0..0, |((first, _), (_, last))| *first..last.end);
            for value in values_in(store, info, &span)? {
                let quarter = civil.period(Step::Quarter, value.first_at).start;
                let sum = values.get(&quarter).map_or(value, |sum| sum.plus(value));
                values.insert(quarter, sum);
            }
            for start in of_quarters.keys() {
                let era = eras.iter().rfind(|row| row.starts_at == *start).map(|row| row.era);
                counted.insert(*start, (era, values.remove(start)));
            }
            Ok(())
        })?;
        let progress = state.hot.progress.get(&info.series);

        let transaction = self.rollup.transaction().doing("write roll-ups")?;
        tallied::remove(&transaction, Kept::Days, info.meter, info.series, &day)?;
        for (start, (era, tally)) in counted {
            let Some(quarter) = of_quarters.get(&start) else { continue };
            tallied::remove(&transaction, Kept::Quarters, info.meter, info.series, quarter)?;
            let era = era.or_else(|| progress.map(|it| it.era_of(start))).unwrap_or_default();
            if let Some(tally) = tally {
                let tallies = [((info.series, era, start), tally)].into();
                put(&transaction, Kept::Quarters, info.meter, tallies)?;
            }
        }
        let file = Source::of(&transaction);
        let quarters = file.tallies(Kept::Quarters, info.meter, info.series, &day)?;
        let days = add_up(quarters, civil, Step::Day).into_iter();
        let days = days.map(|row| ((info.series, row.era, row.starts_at), row.tally));
        put(&transaction, Kept::Days, info.meter, days.collect())?;
        transaction.commit().doing("write roll-ups")
    }

    pub(crate) fn look<T>(
        &self,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let state = self.state();
        let desk = Desk::new(&self.dir, state.generation);
        question(&Snapshot { desk: &desk, civil: self.shared.civil, state })
    }
}

fn put(
    db: &Connection,
    kept: Kept,
    meter: MeterId,
    tallies: BTreeMap<(SeriesId, u32, i64), Tally>,
) -> Result<(), StoreError> {
    if tallies.is_empty() {
        return Ok(());
    }
    let block = TallyBlock { tallies, answers: BTreeMap::new() };
    tallied::write(db, kept, [(meter, block)].into())
}

/// Deletes the entries whose readings were never stored.
pub(crate) fn forget_beyond(core: &Connection, head: u64) -> Result<(), StoreError> {
    core.execute("DELETE FROM correction WHERE seq > ?1", [head.cast_signed()])
        .map(drop)
        .doing("forget what was not corrected")
}

/// The values of a series that hold in a quarter hour, in the order of time.
pub(crate) fn values_in(
    store: &Snapshot<'_>,
    info: &SeriesInfo,
    quarter: &Range<i64>,
) -> Result<Vec<Tally>, StoreError> {
    let mut values = Vec::new();
    store.samples(
        info.meter,
        |series| series == info.series.get(),
        quarter,
        |it| {
            if let Ok(mantissa) = it.value {
                let remembered = it.origin == Origin::MeterMemory;
                values.push(Tally::of(it.at_ms, mantissa, remembered, it.seq));
            }
        },
    )?;
    values.sort_by_key(|it| (it.first_at, it.seq));
    Ok(values)
}

/// What is there, or why it cannot be corrected.
fn find(
    store: &Snapshot<'_>,
    wanted: &NewCorrection,
) -> Result<Result<Found, NotCorrected>, StoreError> {
    let NewCorrection { meter, register, at_ms, quantity, .. } = wanted;
    let point: Vec<_> = store.state.registry.of_point(*meter, register).collect();
    let instant = *at_ms..at_ms.saturating_add(1);
    let mut there: Option<(u64, u32, Result<i64, NoReading>)> = None;
    store.samples(
        *meter,
        |series| point.iter().any(|info| info.series.get() == series),
        &instant,
        |it| {
            if there.is_none_or(|(seq, ..)| it.seq > seq) {
                there = Some((it.seq, it.series, it.value));
            }
        },
    )?;
    let begun = |info: &&&std::sync::Arc<SeriesInfo>| info.begins_ms <= *at_ms;
    let info = match there {
        Some((_, series, _)) => point.iter().find(|info| info.series.get() == series),
        None => point.iter().filter(begun).max_by_key(|info| info.begins_ms),
    };
    let Some(info) = info else { return Ok(Err(NotCorrected::NoRegister)) };
    let Some(figure) = quantity.scaled_to(info.resolution) else {
        return Ok(Err(NotCorrected::Steps(info.resolution)));
    };

    let (quarter, day) =
        (store.civil.period(Step::Quarter, *at_ms), store.civil.period(Step::Day, *at_ms));
    let count = |rows: &[Row]| -> u64 { rows.iter().map(|it| u64::from(it.tally.n)).sum() };
    let quarters = store.tallies(info.series, Step::Quarter, &day)?;
    let in_quarter = quarters.iter().filter(|row| row.starts_at == quarter.start);
    let in_quarter: Vec<Row> = in_quarter.copied().collect();
    if in_quarter.len() > 1 {
        return Ok(Err(NotCorrected::ClockSetBack));
    }
    let there_are = values_in(store, info, &quarter)?.len() as u64;
    let of_day = store.tallies(info.series, Step::Day, &day)?;
    if there_are != count(&in_quarter) || count(&of_day) != count(&quarters) {
        return Ok(Err(NotCorrected::NotKept));
    }
    let old = there.map(|(_, _, value)| value);
    Ok(Ok(Found { info: SeriesInfo::clone(info), mantissa: figure.mantissa(), old }))
}

impl Snapshot<'_> {
    /// The corrections of a meter's readings in `span`, by the time of the reading and then of the
    /// correction.
    pub fn corrections(
        &self,
        meter: MeterId,
        span: &Range<i64>,
    ) -> Result<Vec<Correction>, StoreError> {
        const DOING: &str = "read the corrections";
        let core = self.desk.core()?;
        let sql = "SELECT * FROM correction
                    WHERE series = ?1 AND at_ms >= ?2 AND at_ms < ?3 AND seq <= ?4";
        let mut statement = core.prepare_cached(sql).doing(DOING)?;
        let mut found = Vec::new();
        for info in self.state.registry.of_meter(meter) {
            let head = self.state.head.cast_signed();
            let asked = params![info.series.get(), span.start, span.end, head];
            let mut rows = statement.query(asked).doing(DOING)?;
            while let Some(row) = rows.next().doing(DOING)? {
                found.push(read(row, info)?);
            }
        }
        found.sort_by_key(|it| (it.at_ms, it.seq));
        Ok(found)
    }
}

fn read(row: &sqlite::Row<'_>, info: &SeriesInfo) -> Result<Correction, StoreError> {
    const DOING: &str = "read a correction";
    let seq: i64 = row.get("seq").doing(DOING)?;
    let old: Option<i64> = row.get("old").doing(DOING)?;
    let reason: Option<u8> = row.get("old_reason").doing(DOING)?;
    let reason = reason.map(|code| {
        let foreign = || StoreError::Foreign { column: "old_reason", found: code.to_string() };
        NoReading::from_code(code).ok_or_else(foreign)
    });
    let old = match (old, reason) {
        (Some(mantissa), _) => Some(Ok(Quantity::new(mantissa, info.resolution))),
        (None, Some(reason)) => Some(Err(reason?)),
        (None, None) => None,
    };
    Ok(Correction {
        seq: seq.cast_unsigned(),
        made_ms: row.get("made_ms").doing(DOING)?,
        who: row.get("who").doing(DOING)?,
        why: row.get("why").doing(DOING)?,
        register: info.register.clone(),
        at_ms: row.get("at_ms").doing(DOING)?,
        old,
        new: Quantity::new(row.get("new").doing(DOING)?, info.resolution),
    })
}
