//! The roll-up file: how tallies get into it and out of it, with the SQL.

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{MeterId, NoReading, Origin, Quality, SeriesId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, named_params, params};

use crate::civil::{Civil, Step};
use crate::error::{Doing, StoreError};
use crate::hot::{Hot, add_up};
use crate::registry::uuid;
use crate::rollup::{Answers, Failing, Key, Newest, Progress, Tally};

const WRITING: &str = "write roll-ups";
const READING: &str = "read roll-ups";

/// The statements of one table.
pub(crate) struct Table {
    insert: &'static str,
    replace: &'static str,
    one: &'static str,
    /// Of a series, by time.
    pub(crate) span: &'static str,
    /// The newest before an instant, in one era.
    pub(crate) before: &'static str,
    /// The first from an instant on, in one era.
    pub(crate) after: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (series, starts_at, era, first_at, first, last_at, last, low, high, sum, n,
                   remembered, up, down, seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                 ON CONFLICT DO NOTHING"
            ),
            replace: concat!(
                "UPDATE ",
                $name,
                " SET first_at = ?4, first = ?5, last_at = ?6, last = ?7, low = ?8, high = ?9,
                      sum = ?10, n = ?11, remembered = ?12, up = ?13, down = ?14, seq = ?15
                 WHERE series = ?1 AND starts_at = ?2 AND era = ?3"
            ),
            one: concat!(
                "SELECT * FROM ",
                $name,
                " WHERE series = ?1 AND starts_at = ?2 AND era = ?3"
            ),
            span: concat!(
                "SELECT * FROM ",
                $name,
                " WHERE series = :series AND starts_at >= :from AND starts_at < :until
                  ORDER BY starts_at, era"
            ),
            before: concat!(
                "SELECT * FROM ",
                $name,
                " WHERE series = :series AND starts_at < :at AND era = :era
                  ORDER BY starts_at DESC LIMIT 1"
            ),
            after: concat!(
                "SELECT * FROM ",
                $name,
                " WHERE series = :series AND starts_at >= :at AND era = :era
                  ORDER BY starts_at LIMIT 1"
            ),
        }
    };
}

static TABLES: [Table; 4] =
    [table!("quarter_hour"), table!("hour"), table!("day"), table!("month")];

impl Table {
    /// The table of a step.
    pub(crate) const fn of(step: Step) -> &'static Self {
        let [quarter_hour, hour, day, month] = &TABLES;
        match step {
            Step::Quarter => quarter_hour,
            Step::Hour => hour,
            Step::Day => day,
            Step::Month => month,
        }
    }
}

/// Writes all that is hot, in one transaction. What is in the file already is not added again.
pub(crate) fn write(db: &mut Connection, hot: &Hot, civil: Civil) -> Result<(), StoreError> {
    let transaction = db.transaction().doing(WRITING)?;
    for step in Step::ALL {
        write_tallies(&transaction, step, &add_up(hot.tallies.iter(), civil, step))?;
    }
    write_progress(&transaction, hot)?;
    write_answers(&transaction, hot)?;
    let failures = hot.ended.iter().chain(hot.failing.values());
    for failing in failures {
        transaction
            .prepare_cached(
                "INSERT INTO gap (meter, from_ms, first_seq, until_ms, reason, tries)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (meter, from_ms, first_seq)
                 DO UPDATE SET until_ms = excluded.until_ms, tries = excluded.tries",
            )
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
            .doing(WRITING)?;
    }
    set_meta(&transaction, "applied_seq", &hot.applied_seq.to_string())?;
    transaction.commit().doing(WRITING)
}

fn write_tallies(
    db: &Connection,
    step: Step,
    tallies: &BTreeMap<Key, Tally>,
) -> Result<(), StoreError> {
    let table = Table::of(step);
    let mut insert = db.prepare_cached(table.insert).doing(WRITING)?;
    for (key, tally) in tallies {
        if put(&mut insert, key, tally)? == 0 {
            let stored = db
                .prepare_cached(table.one)
                .doing(WRITING)?
                .query_row(params![key.series.get(), key.starts_at, key.era], read_tally)
                .doing(WRITING)?;
            let mut replace = db.prepare_cached(table.replace).doing(WRITING)?;
            put(&mut replace, key, &tally.onto(Some(stored)))?;
        }
    }
    Ok(())
}

fn put(statement: &mut CachedStatement<'_>, key: &Key, tally: &Tally) -> Result<usize, StoreError> {
    statement
        .execute(params![
            key.series.get(),
            key.starts_at,
            key.era,
            tally.first_at,
            tally.first,
            tally.last_at,
            tally.last,
            tally.low,
            tally.high,
            tally.sum,
            tally.n,
            tally.remembered,
            tally.up,
            tally.down,
            tally.seq,
        ])
        .doing(WRITING)
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
        seq: row.get("seq")?,
    })
}

/// The stored rows of a series that begin in `span`, by era and time.
pub(crate) fn tallies(
    db: &Connection,
    step: Step,
    series: SeriesId,
    span: &Range<i64>,
) -> Result<BTreeMap<(u32, i64), Tally>, StoreError> {
    let mut statement = db.prepare_cached(Table::of(step).span).doing(READING)?;
    let parameters =
        named_params! { ":series": series.get(), ":from": span.start, ":until": span.end };
    let mut rows = statement.query(parameters).doing(READING)?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next().doing(READING)? {
        let key = (row.get("era").doing(READING)?, row.get("starts_at").doing(READING)?);
        found.insert(key, read_tally(row).doing(READING)?);
    }
    Ok(found)
}

/// The stored row of a series next to an instant in one era; `which` is [`Table::before`] or
/// [`Table::after`].
pub(crate) fn beside(
    db: &Connection,
    which: &'static str,
    series: SeriesId,
    era: u32,
    at: i64,
) -> Result<Option<Tally>, StoreError> {
    let parameters = named_params! { ":series": series.get(), ":at": at, ":era": era };
    db.prepare_cached(which)
        .and_then(|mut statement| statement.query_row(parameters, read_tally).optional())
        .doing(READING)
}

fn write_progress(db: &Connection, hot: &Hot) -> Result<(), StoreError> {
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
    hot.applied_seq = meta(db, "applied_seq")?.and_then(|seq| seq.parse().ok()).unwrap_or(0);
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

fn write_answers(db: &Connection, hot: &Hot) -> Result<(), StoreError> {
    for ((meter, starts_at), answers) in &hot.answers {
        let stored = db
            .prepare_cached("SELECT * FROM answers WHERE meter = ?1 AND starts_at = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![meter.uuid().as_bytes(), starts_at], read_answers)
                    .optional()
            })
            .doing(WRITING)?;
        let sum = answers.onto(stored);
        db.prepare_cached(
            "INSERT OR REPLACE INTO answers
                 (meter, starts_at, answered, failed, remembered, seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                meter.uuid().as_bytes(),
                starts_at,
                sum.answered,
                sum.failed,
                sum.remembered,
                sum.seq,
            ])
        })
        .doing(WRITING)?;
    }
    Ok(())
}

fn read_answers(row: &Row<'_>) -> rusqlite::Result<Answers> {
    Ok(Answers {
        answered: row.get("answered")?,
        failed: row.get("failed")?,
        remembered: row.get("remembered")?,
        seq: row.get("seq")?,
    })
}

/// The stored answers of a meter in the quarter hours that begin in `span`.
pub(crate) fn answers(
    db: &Connection,
    meter: MeterId,
    span: &Range<i64>,
) -> Result<BTreeMap<i64, Answers>, StoreError> {
    let mut statement = db.prepare_cached(ANSWERS).doing(READING)?;
    let mut rows = statement
        .query(named_params! {
            ":meter": meter.uuid().as_bytes(), ":from": span.start, ":until": span.end,
        })
        .doing(READING)?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next().doing(READING)? {
        let starts_at = row.get("starts_at").doing(READING)?;
        found.insert(starts_at, read_answers(row).doing(READING)?);
    }
    Ok(found)
}

pub(crate) const ANSWERS: &str = "
    SELECT *
      FROM answers
     WHERE meter = :meter
       AND starts_at >= :from
       AND starts_at < :until";

pub(crate) fn meta(db: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .doing(READING)
}

fn set_meta(db: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
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
        transaction.execute_batch("DELETE FROM day; DELETE FROM month;").doing(WRITING)?;
        let all: Vec<u32> = {
            let mut statement =
                transaction.prepare("SELECT series FROM progress").doing(READING)?;
            let numbers = statement.query_map([], |row| row.get(0)).doing(READING)?;
            numbers.collect::<rusqlite::Result<_>>().doing(READING)?
        };
        for series in all.into_iter().filter_map(SeriesId::new) {
            let quarters: BTreeMap<Key, Tally> =
                tallies(&transaction, Step::Quarter, series, &(i64::MIN..i64::MAX))?
                    .into_iter()
                    .map(|((era, starts_at), tally)| (Key { series, era, starts_at }, tally))
                    .collect();
            for step in [Step::Day, Step::Month] {
                write_tallies(&transaction, step, &add_up(quarters.iter(), civil, step))?;
            }
        }
    }
    set_meta(&transaction, "time_zone", zone)?;
    transaction.commit().doing(WRITING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

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
        for step in Step::ALL {
            let table = Table::of(step);
            assert!(
                plan(table.span)
                    .ends_with("PRIMARY KEY (series=? AND starts_at>? AND starts_at<?)")
            );
            assert!(plan(table.before).ends_with("PRIMARY KEY (series=? AND starts_at<?)"));
            assert!(plan(table.after).ends_with("PRIMARY KEY (series=? AND starts_at>?)"));
            assert!(plan(table.one).ends_with("PRIMARY KEY (series=? AND starts_at=? AND era=?)"));
        }
        assert_eq!(
            plan(ANSWERS),
            "SEARCH answers USING PRIMARY KEY (meter=? AND starts_at>? AND starts_at<?)"
        );
        assert_eq!(plan(FAILURES), "SEARCH gap USING PRIMARY KEY (meter=? AND from_ms<?)");
    }
}
