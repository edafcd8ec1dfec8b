//! The roll-up file: how tallies get into it and out of it, with the SQL.

use std::ops::Range;

use metering::{MeterId, NoReading, Origin, Quality, SeriesId};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::civil::Civil;
use crate::error::{Doing, StoreError};
use crate::hot::Hot;
use crate::registry::{Registry, uuid};
use crate::rollup::{Answers, Failing, Newest, Progress, Tally};
use crate::tallied::{self, ByMeter, Kept};
use crate::tally_block::TallyBlock;

const WRITING: &str = "write roll-ups";
const READING: &str = "read roll-ups";

/// Writes all that is hot, in one transaction.
pub(crate) fn write(
    db: &mut Connection,
    hot: &Hot,
    registry: &Registry,
    civil: Civil,
) -> Result<(), StoreError> {
    let transaction = db.transaction().doing(WRITING)?;
    let mut quarters = ByMeter::new();
    for (key, tally) in &hot.tallies {
        // None is hot that the registry does not know.
        let Some(info) = registry.get(key.series) else { continue };
        let block = quarters.entry(info.meter).or_default();
        block.tallies.insert((key.series, key.era, key.starts_at), *tally);
    }
    for ((meter, starts_at), answers) in &hot.answers {
        quarters.entry(*meter).or_default().answers.insert(*starts_at, *answers);
    }
    let days = quarters.iter().map(|(meter, block)| (*meter, tallied::days_of(block, civil)));
    tallied::write(&transaction, Kept::Days, days.collect())?;
    tallied::write(&transaction, Kept::Quarters, quarters)?;
    write_progress(&transaction, hot)?;
    let failures = hot.ended.iter().chain(hot.failing.values());
    for failing in failures {
        write_failing(
            &transaction,
            failing,
            "ON CONFLICT (meter, from_ms, first_seq)
             DO UPDATE SET until_ms = excluded.until_ms, tries = excluded.tries",
        )?;
    }
    set_meta(&transaction, "applied_seq", &hot.applied_seq.to_string())?;
    transaction.commit().doing(WRITING)
}

pub(crate) fn write_failing(
    db: &Connection,
    failing: &Failing,
    if_there: &str,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO gap (meter, from_ms, first_seq, until_ms, reason, tries)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    db.prepare_cached(&format!("{insert} {if_there}"))
        .and_then(|mut statement| {
            statement.execute(params![
                failing.meter.uuid().as_bytes(),
                failing.from_ms,
                failing.first_seq,
                failing.until_ms,
                failing.reason.code(),
                failing.tries,
            ])
        })
        .map(drop)
        .doing(WRITING)
}

/// Writes the newest of each series; the caller has the transaction.
pub(crate) fn write_progress(db: &Connection, hot: &Hot) -> Result<(), StoreError> {
    let mut statement = db
        .prepare_cached(
            "INSERT OR REPLACE INTO progress
                 (series, era, era_began_ms, live_at, seq, at_ms, mantissa, reason, quality, origin,
                  value_seq, value_at, value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .doing(WRITING)?;
    for (series, progress) in &hot.progress {
        let newest = &progress.newest;
        let (value_seq, value_at, value) = progress.value.unwrap_or_default();
        statement
            .execute(params![
                series.get(),
                progress.era,
                progress.era_began_ms,
                progress.live_at,
                newest.seq,
                newest.at_ms,
                newest.value.ok(),
                newest.value.err().map_or(0, NoReading::code),
                newest.quality.code(),
                newest.origin.code(),
                value_seq,
                value_at,
                value,
            ])
            .doing(WRITING)?;
    }
    Ok(())
}

/// What the file says of the newest of everything, and of failures that are not over.
pub(crate) fn read_hot(db: &Connection) -> Result<Hot, StoreError> {
    let mut hot = Hot::default();
    let mut statement = db.prepare("SELECT * FROM progress").doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        let (series, progress) = read_progress(row)?;
        hot.progress.insert(series, progress);
    }
    let mut statement = db.prepare("SELECT * FROM gap WHERE until_ms IS NULL").doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        let failing = read_failing(row)?;
        hot.failing.insert(failing.meter, failing);
    }
    hot.applied_seq = counted(db)?;
    hot.written_seq = hot.applied_seq;
    Ok(hot)
}

fn read_progress(row: &Row<'_>) -> Result<(SeriesId, Progress), StoreError> {
    let foreign = |column, found: u32| StoreError::Foreign { column, found: found.to_string() };
    let code = |column| row.get::<_, u8>(column).doing(READING);
    let number: u32 = row.get("series").doing(READING)?;
    let mantissa: Option<i64> = row.get("mantissa").doing(READING)?;
    let (reason, quality, origin) = (code("reason")?, code("quality")?, code("origin")?);
    let value_seq: u64 = row.get("value_seq").doing(READING)?;
    let value = (value_seq, row.get("value_at").doing(READING)?, row.get("value").doing(READING)?);
    let newest = Newest {
        seq: row.get("seq").doing(READING)?,
        at_ms: row.get("at_ms").doing(READING)?,
        value: match (mantissa, NoReading::from_code(reason)) {
            (Some(mantissa), _) => Ok(mantissa),
            (None, Some(reason)) => Err(reason),
            (None, None) => return Err(foreign("reason", reason.into())),
        },
        quality: Quality::from_code(quality).ok_or_else(|| foreign("quality", quality.into()))?,
        origin: Origin::from_code(origin).ok_or_else(|| foreign("origin", origin.into()))?,
    };
    let progress = Progress {
        era: row.get("era").doing(READING)?,
        era_began_ms: row.get("era_began_ms").doing(READING)?,
        live_at: row.get("live_at").doing(READING)?,
        newest,
        value: (value_seq > 0).then_some(value),
    };
    Ok((SeriesId::new(number).ok_or_else(|| foreign("series", number))?, progress))
}

fn read_failing(row: &Row<'_>) -> Result<Failing, StoreError> {
    let reason: u8 = row.get("reason").doing(READING)?;
    Ok(Failing {
        meter: MeterId::from_uuid(uuid(row, "meter")?),
        from_ms: row.get("from_ms").doing(READING)?,
        first_seq: row.get("first_seq").doing(READING)?,
        until_ms: row.get("until_ms").doing(READING)?,
        reason: NoReading::from_code(reason)
            .ok_or_else(|| StoreError::Foreign { column: "reason", found: reason.to_string() })?,
        tries: row.get("tries").doing(READING)?,
    })
}

/// The stored failures of a meter that reach into `span`.
pub(crate) fn failures(
    db: &Connection,
    meter: MeterId,
    span: &Range<i64>,
) -> Result<Vec<Failing>, StoreError> {
    let mut statement = db.prepare_cached(FAILURES).doing(READING)?;
    let mut rows = statement
        .query(named_params! {
            ":meter": meter.uuid().as_bytes(), ":from": span.start, ":until": span.end,
        })
        .doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        found.push(read_failing(row)?);
    }
    Ok(found)
}

pub(crate) const FAILURES: &str = "
    SELECT *
      FROM gap
     WHERE meter = :meter
       AND from_ms < :until
       AND (until_ms IS NULL OR until_ms > :from)
     ORDER BY from_ms, first_seq";

/// Brings over what can be read of the damaged file `old` and the raw files, from which `fresh` was made,
/// do not tell: tallies, failures that are over, and where series stood that have no reading any more.
/// Says how many blocks of tallies.
pub(crate) fn salvage(
    old: &Connection,
    fresh: &mut Connection,
    hot: &mut Hot,
    civil: Civil,
) -> Result<usize, StoreError> {
    let transaction = fresh.transaction().doing(WRITING)?;
    let saved = tallied::salvage(old, &transaction, hot, civil)?;
    for failing in ended_failures(old).unwrap_or_default() {
        write_failing(&transaction, &failing, "ON CONFLICT DO NOTHING")?;
    }
    for (series, progress) in read_hot(old).map(|old| old.progress).unwrap_or_default() {
        hot.progress.entry(series).or_insert(Progress { era: tallied::ERA_OF_SAVED, ..progress });
    }
    write_progress(&transaction, hot)?;
    transaction.commit().doing(WRITING)?;
    Ok(saved)
}

fn ended_failures(db: &Connection) -> Result<Vec<Failing>, StoreError> {
    let mut statement =
        db.prepare("SELECT * FROM gap WHERE until_ms IS NOT NULL").doing(READING)?;
    let mut rows = statement.query([]).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        found.push(read_failing(row)?);
    }
    Ok(found)
}

/// Up to which number the file has counted.
pub(crate) fn counted(db: &Connection) -> Result<u64, StoreError> {
    Ok(meta(db, "applied_seq")?.and_then(|seq| seq.parse().ok()).unwrap_or(0))
}

pub(crate) fn meta(db: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    db.prepare_cached("SELECT value FROM meta WHERE name = ?1")
        .and_then(|mut it| it.query_row([name], |row| row.get(0)).optional())
        .doing(READING)
}

pub(crate) fn set_meta(db: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value])
        .map(drop)
        .doing(WRITING)
}

/// Makes the days and months again from the quarter hours if the site has moved to another zone
/// since they were made.
pub(crate) fn follow_zone(db: &mut Connection, civil: Civil) -> Result<(), StoreError> {
    let zone = civil.zone().name();
    let made_for = meta(db, "time_zone")?;
    if made_for.as_deref() == Some(zone) {
        return Ok(());
    }
    let transaction = db.transaction().doing(WRITING)?;
    if made_for.is_some() {
        tallied::remake_days(&transaction, civil)?;
    }
    set_meta(&transaction, "time_zone", zone)?;
    transaction.commit().doing(WRITING)
}

/// Brings the rows of the version before, one for each tally, over into blocks.
pub(crate) fn bring_over(
    db: &mut Connection,
    registry: &Registry,
    civil: Civil,
) -> Result<(), StoreError> {
    let there: u32 = db
        .query_row("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'quarter_hour'", [], |row| {
            row.get(0)
        })
        .doing(READING)?;
    if there == 0 {
        return Ok(());
    }
    let transaction = db.transaction().doing(WRITING)?;
    // A meter at a time: so many years of one fit into memory.
    for meter in registry.meters() {
        let mut block = TallyBlock::default();
        for info in registry.of_meter(meter) {
            let mut statement = transaction
                .prepare_cached("SELECT * FROM quarter_hour WHERE series = ?1")
                .doing(READING)?;
            let mut rows = statement.query([info.series.get()]).doing(READING)?;
            while let Some(row) = rows.next().doing(READING)? {
                let era = row.get("era").doing(READING)?;
                let starts_at = row.get("starts_at").doing(READING)?;
                let tally = read_tally(row).doing(READING)?;
                block.tallies.insert((info.series, era, starts_at), tally);
            }
        }
        let mut statement =
            transaction.prepare_cached("SELECT * FROM answers WHERE meter = ?1").doing(READING)?;
        let mut rows = statement.query([meter.uuid().as_bytes()]).doing(READING)?;
        while let Some(row) = rows.next().doing(READING)? {
            let answers = Answers {
                answered: row.get("answered").doing(READING)?,
                failed: row.get("failed").doing(READING)?,
                remembered: row.get("remembered").doing(READING)?,
            };
            block.answers.insert(row.get("starts_at").doing(READING)?, answers);
        }
        let days = tallied::days_of(&block, civil);
        tallied::write(&transaction, Kept::Days, [(meter, days)].into())?;
        tallied::write(&transaction, Kept::Quarters, [(meter, block)].into())?;
    }
    transaction
        .execute_batch(
            "DROP TABLE quarter_hour; DROP TABLE hour; DROP TABLE day; DROP TABLE month;
             DROP TABLE answers;",
        )
        .doing(WRITING)?;
    transaction.commit().doing(WRITING)
}

fn read_tally(row: &Row<'_>) -> rusqlite::Result<Tally> {
    Ok(Tally {
        first_at: row.get("first_at")?,
        first: row.get("first")?,
        last_at: row.get("last_at")?,
        last: row.get("last")?,
        low: row.get("low")?,
        high: row.get("high")?,
        sum: row.get("sum")?,
        n: row.get("n")?,
        remembered: row.get("remembered")?,
        up: row.get("up")?,
        down: row.get("down")?,
        seq: 0,
    })
}

#[cfg(test)]
mod tests {
    use metering::{PointId, Resolution, Unit};

    use super::*;
    use crate::civil::Step;
    use crate::files;
    use crate::query::{Side, Tallied};
    use crate::registry::{Kind, SeriesInfo};
    use crate::state::State;

    /// Whoever swaps the columns of a key hears of it here.
    #[test]
    fn no_row_is_read_in_vain() {
        let dir = tempfile::tempdir().unwrap();
        let db = files::open(&files::rollup_path(dir.path()), &files::ROLLUP).unwrap();
        let plan = |sql: &str| -> String {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let details = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
            details.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
        };
        assert_eq!(plan(FAILURES), "SEARCH gap USING PRIMARY KEY (meter=? AND from_ms<?)");
    }

    /// A file of the version that kept a row for each tally.
    #[test]
    fn rows_of_the_version_before_are_brought_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = files::rollup_path(dir.path());
        let (series, meter) = (SeriesId::new(1).unwrap(), MeterId::from_uuid(uuid::Uuid::max()));
        let mut state = State::default();
        std::sync::Arc::make_mut(&mut state.registry).insert(SeriesInfo {
            series,
            point: PointId::from_uuid(uuid::Uuid::nil()),
            meter,
            register: "energy".parse().unwrap(),
            kind: Kind::Counter,
            resolution: Resolution::new(0, Unit::KilowattHour).unwrap(),
            begins_ms: 0,
            serial: String::new(),
            continues: None,
        });
        let old = Connection::open(&path).unwrap();
        old.execute_batch(include_str!("../migrations/rollup/0001_rollups.sql")).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        // Four hundred days from 2025 on, a reading a quarter hour, a step of the counter each.
        let start = 1_735_689_600_000_i64;
        old.execute_batch("BEGIN").unwrap();
        for quarter in 0..400 * 96_i64 {
            let at = start + quarter * 900_000;
            old.prepare_cached(
                "INSERT INTO quarter_hour VALUES
                     (1, ?1, 0, ?2, ?3, ?2, ?3, ?3, ?3, ?3, 1, 0, 0, 0, ?4)",
            )
            .and_then(|mut it| it.execute(params![at, at + 3_000, quarter, quarter + 1]))
            .unwrap();
        }
        old.execute(
            "INSERT INTO answers VALUES (?1, ?2, 3, 2, 1, 9)",
            params![meter.uuid().as_bytes(), start],
        )
        .unwrap();
        old.execute("INSERT INTO meta VALUES ('applied_seq', '38400')", []).unwrap();
        old.execute_batch("COMMIT").unwrap();
        drop(old);

        let mut db = files::open(&path, &files::ROLLUP).unwrap();
        let civil = Civil::of(chrono_tz::Europe::Oslo);
        bring_over(&mut db, &state.registry, civil).unwrap();
        bring_over(&mut db, &state.registry, civil).unwrap();
        follow_zone(&mut db, civil).unwrap();
        state.hot = std::sync::Arc::new(read_hot(&db).unwrap());
        let tallied = Tallied::of(&db, &state, civil).unwrap();
        let all = i64::MIN..i64::MAX;
        let rows = |step| tallied.tallies(series, step, &all).unwrap();
        for (step, count) in
            [(Step::Quarter, 38_400), (Step::Hour, 9_600), (Step::Day, 401), (Step::Month, 14)]
        {
            let rows = rows(step);
            assert_eq!(rows.len(), count, "{step:?}");
            assert_eq!(rows.iter().map(|it| it.tally.n).sum::<u32>(), 38_400, "{step:?}");
        }
        let answers = Answers { answered: 3, failed: 2, remembered: 1 };
        assert_eq!(tallied.answers(meter, &all).unwrap(), [(start, answers)].into());
        // Near and far, and nothing where there is nothing.
        let day = 86_400_000;
        for (at, side, stand) in [
            (start + 900_000, Side::Before, Some(0)),
            (start, Side::Before, None),
            (start + 500 * day, Side::Before, Some(38_399)),
            (start - 500 * day, Side::After, Some(0)),
            (start + 10 * day, Side::After, Some(960)),
            (start + 400 * day, Side::After, None),
        ] {
            let found = tallied.beside(series, 0, at, side).unwrap();
            let stand_of = |it: Tally| if side == Side::Before { it.last } else { it.first };
            assert_eq!(found.map(stand_of), stand, "{at}");
            assert_eq!(tallied.beside(series, 1, at, side).unwrap(), None, "of another era");
        }
        drop(tallied);

        // The site moves, and its days with it.
        follow_zone(&mut db, Civil::of(chrono_tz::Asia::Kathmandu)).unwrap();
        let civil = Civil::of(chrono_tz::Asia::Kathmandu);
        let tallied = Tallied::of(&db, &state, civil).unwrap();
        let days = tallied.tallies(series, Step::Day, &all).unwrap();
        assert!(days.iter().all(|it| civil.period(Step::Day, it.starts_at).start == it.starts_at));
        assert_eq!(days.iter().map(|it| it.tally.n).sum::<u32>(), 38_400);
    }
}
