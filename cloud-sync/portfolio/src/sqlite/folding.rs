//! Days that are over, packed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::rows::{self, Trouble};
use crate::folded::{self, AT_ONCE, DAY_MS, Kept, Place, day_of};
use crate::repository::StoredReading;
use crate::tally::{self, DayTally};

/// Folds the next days, series by series.
pub(super) fn fold(db: &Connection, before_ms: i64, from: Place) -> Result<Option<Place>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, oldest
           FROM (SELECT gateway, series,
                        (SELECT min(ts)
                           FROM readings
                          WHERE readings.gateway = series.gateway
                            AND readings.series = series.series
                            AND (ts >= :from OR (series.gateway, series.series)
                                                <> (:gateway, :series))) AS oldest
                   FROM series
                  WHERE (gateway, series) >= (:gateway, :series))
          WHERE oldest < :before
          ORDER BY gateway, series
          LIMIT :limit",
    )?;
    let Place { gateway, series, from_ms } = from;
    let found = statement
        .query_map(
            named_params! {
                ":gateway": gateway, ":series": series, ":from": from_ms, ":before": before_ms,
                ":limit": i64::try_from(AT_ONCE).unwrap_or(i64::MAX),
            },
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?
        .collect::<Result<Vec<(i64, u32, i64)>, _>>()?;
    let (mut left, mut last) = (AT_ONCE, None);
    let is_page = found.len() == AT_ONCE;
    for (gateway, series, oldest_ms) in found {
        last = Some(Place::after(gateway, series.into()));
        let mut next_ms = Some(oldest_ms);
        while let Some(at_ms) = next_ms {
            if left == 0 {
                return Ok(Some(Place { gateway, series: series.into(), from_ms: at_ms }));
            }
            left -= 1;
            let day = day_of(at_ms);
            match fold_day(db, gateway, series, day) {
                Ok(()) => {}
                // It stays in rows. Nothing else waits for it.
                Err(Trouble::Foreign { what, found }) => {
                    folded::stays(gateway, series, day, what, &found);
                }
                Err(trouble) => return Err(trouble),
            }
            let after = (day + 1) * DAY_MS..before_ms;
            next_ms = db
                .prepare_cached(
                    "SELECT min(ts)
                       FROM readings
                      WHERE gateway = ?1 AND series = ?2 AND ts >= ?3 AND ts < ?4",
                )?
                .query_row((gateway, series, after.start, after.end), |row| row.get(0))?;
        }
    }
    Ok(last.filter(|_| is_page))
}

fn fold_day(db: &Connection, gateway: i64, series: u32, day: i64) -> Result<(), Trouble> {
    let span = day * DAY_MS..(day + 1) * DAY_MS;
    let all = folded::merge(
        of_days(db, gateway, series, day..day + 1)?,
        in_rows(db, gateway, series, &span)?,
    );
    let content = folded::write::<rusqlite::Error>(&all)?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO folded (gateway, series, day, content, hours)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((gateway, series, day, content, DayTally::write(DayTally::of(&all).as_ref())))?;
    db.prepare_cached(
        "DELETE FROM readings WHERE gateway = ?1 AND series = ?2 AND ts >= ?3 AND ts < ?4",
    )?
    .execute((gateway, series, span.start, span.end))?;
    Ok(())
}

/// What is folded of a series, by time.
pub(super) fn of_days(
    db: &Connection,
    gateway: i64,
    series: u32,
    days: Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT content
           FROM folded
          WHERE gateway = ?1 AND series = ?2 AND day >= ?3 AND day < ?4
          ORDER BY day",
    )?;
    let mut found = statement.query((gateway, series, days.start, days.end))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.extend(folded::read(&row.get::<_, Vec<u8>>("content")?)?);
    }
    Ok(all)
}

/// What a counter rose on the days that `span` touches, by day. A day that has something in rows is
/// added up from all of its readings.
pub(super) fn tallies(
    db: &Connection,
    gateway: i64,
    series: u32,
    span: &Range<i64>,
) -> Result<Vec<DayTally>, Trouble> {
    let days = folded::days(span);
    let rows = in_rows(db, gateway, series, &(days.start * DAY_MS..days.end * DAY_MS))?;
    let mut fresh: BTreeMap<i64, &[Kept]> = tally::by_day(&rows).collect();
    let mut statement = db.prepare_cached(
        "SELECT day, hours
           FROM folded
          WHERE gateway = ?1 AND series = ?2 AND day >= ?3 AND day < ?4
          ORDER BY day",
    )?;
    let mut found = statement.query((gateway, series, days.start, days.end))?;
    let mut all: BTreeMap<i64, DayTally> = BTreeMap::new();
    while let Some(row) = found.next()? {
        let day = row.get("day")?;
        let hours: Option<Vec<u8>> = row.get("hours")?;
        let rows = fresh.remove(&day);
        let told = hours.filter(|_| rows.is_none()).and_then(|it| DayTally::read(&it));
        let tally = if let Some(tally) = told {
            tally
        } else {
            let folded = of_days(db, gateway, series, day..day + 1)?;
            DayTally::of(&folded::merge(folded, rows.unwrap_or_default().to_vec()))
        };
        all.extend(tally.map(|tally| (day, tally)));
    }
    all.extend(fresh.into_iter().filter_map(|(day, rows)| Some((day, DayTally::of(rows)?))));
    Ok(all.into_values().collect())
}

/// What lies in rows of a series in `span`, by time.
fn in_rows(
    db: &Connection,
    gateway: i64,
    series: u32,
    span: &Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT ts, value_mantissa, flags, epoch_no, seq
           FROM readings
          WHERE gateway = ?1 AND series = ?2 AND ts >= ?3 AND ts < ?4
          ORDER BY ts",
    )?;
    let mut found = statement.query((gateway, series, span.start, span.end))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(kept(row)?);
    }
    Ok(all)
}

fn kept(row: &Row<'_>) -> Result<Kept, Trouble> {
    Ok(Kept {
        number: (row.get("epoch_no")?, rows::number(row, "seq")?),
        reading: rows::reading(row)?,
    })
}

/// What is stored of a series in `span`, by time.
pub(super) fn stored(
    db: &Connection,
    gateway: i64,
    series: u32,
    span: &Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let days = folded::days(span);
    Ok(folded::merge(of_days(db, gateway, series, days)?, in_rows(db, gateway, series, span)?))
}

/// The last reading of a series before `before_ms`, or the last that has a value.
pub(super) fn last_before(
    db: &Connection,
    gateway: i64,
    series: u32,
    before_ms: i64,
    with_value: bool,
) -> Result<Option<Kept>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT ts, value_mantissa, flags, epoch_no, seq
           FROM readings
          WHERE gateway = :gateway AND series = :series AND ts < :before
            AND (value_mantissa IS NOT NULL OR NOT :with_value)
          ORDER BY ts DESC
          LIMIT 1",
    )?;
    let mut found = statement.query(named_params! {
        ":gateway": gateway, ":series": series, ":before": before_ms, ":with_value": with_value,
    })?;
    let row = found.next()?.map(kept).transpose()?;
    // A folded day before the row's holds nothing newer.
    let row_day = row.map(|row| day_of(row.reading.at_ms));
    let mut until = day_of(before_ms);
    loop {
        let newest: Option<i64> = db
            .prepare_cached(
                "SELECT max(day) FROM folded WHERE gateway = ?1 AND series = ?2 AND day <= ?3",
            )?
            .query_row((gateway, series, until), |row| row.get(0))
            .optional()?
            .flatten();
        let Some(day) = newest.filter(|day| row_day.is_none_or(|row| row <= *day)) else {
            return Ok(row);
        };
        let folded = of_days(db, gateway, series, day..day + 1)?;
        let folded = folded::last_before(&folded, before_ms, with_value);
        match (folded, row) {
            (None, _) => until = day - 1,
            (Some(folded), Some(row)) if row.is_later_than(&folded) => return Ok(Some(row)),
            (folded, _) => return Ok(folded),
        }
    }
}

/// At most `limit` readings of a series in `span`, newest first.
pub(super) fn newest_in(
    db: &Connection,
    gateway: i64,
    series: u32,
    span: &Range<i64>,
    limit: usize,
) -> Result<Vec<StoredReading>, Trouble> {
    let mut readings = Vec::new();
    let mut until = span.end;
    while readings.len() < limit {
        // Day by day, beginning with the newest that has any.
        let Some(newest) = last_before(db, gateway, series, until, false)? else { break };
        let day_ms = day_of(newest.reading.at_ms) * DAY_MS;
        let part = day_ms.max(span.start)..until;
        if part.is_empty() {
            break;
        }
        let stored = stored(db, gateway, series, &part)?;
        readings.extend(folded::readings(stored, &part).into_iter().rev());
        until = part.start;
    }
    readings.truncate(limit);
    Ok(readings)
}

/// Folded days, each unfolded once however often it is asked for.
#[derive(Default)]
pub(super) struct Unfolded(HashMap<(u32, i64), Vec<Kept>>);

impl Unfolded {
    /// What is folded of a series at an instant.
    pub(super) fn at(
        &mut self,
        db: &Connection,
        gateway: i64,
        series: u32,
        at_ms: i64,
    ) -> Result<Option<Kept>, Trouble> {
        let day = day_of(at_ms);
        let unfolded = match self.0.entry((series, day)) {
            Entry::Occupied(unfolded) => unfolded.into_mut(),
            Entry::Vacant(place) => place.insert(of_days(db, gateway, series, day..day + 1)?),
        };
        let found = unfolded.binary_search_by_key(&at_ms, |kept| kept.reading.at_ms);
        Ok(found.ok().and_then(|index| unfolded.get(index)).copied())
    }
}
