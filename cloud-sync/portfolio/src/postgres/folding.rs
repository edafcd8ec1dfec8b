//! Days that are over, packed.

use std::collections::BTreeMap;
use std::ops::Range;

use tokio_postgres::Row;

use super::{Trouble, Work, rows};
use crate::folded::{self, AT_ONCE, DAY_MS, Kept, Place, day_of};
use crate::repository::StoredReading;
use crate::tally::{self, DayTally};

/// Folds the next days, series by series. Of two receivers that do so at once one waits, and finds
/// less to do.
pub(super) async fn fold(
    db: &mut Work<'_>,
    before_ms: i64,
    from: Place,
) -> Result<Option<Place>, Trouble> {
    let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
    let found = db
        .rows(
            "SELECT gateway, series, oldest.ts
           FROM series
          CROSS JOIN LATERAL (SELECT ts
                                FROM readings
                               WHERE readings.gateway = series.gateway
                                 AND readings.series = series.series
                                 AND ts < $1
                                 AND (ts >= $4 OR (series.gateway, series.series) <> ($2::bigint, $3::bigint))
                               ORDER BY ts
                               LIMIT 1) AS oldest
          WHERE (gateway, series) >= ($2::bigint, $3::bigint)
          ORDER BY gateway, series
          LIMIT $5",
            &[&before_ms, &from.gateway, &from.series, &from.from_ms, &limit],
        )
        .await?;
    let (mut locked, mut left, mut last) = (None, AT_ONCE, None);
    let is_page = found.len() == AT_ONCE;
    for row in found {
        let (gateway, series): (i32, i32) = (row.try_get("gateway")?, row.try_get("series")?);
        last = Some(Place::after(gateway.into(), series.into()));
        if locked != Some(gateway) {
            // Nobody stores anything of this gateway meanwhile.
            db.change("SELECT 1 FROM gateway_state WHERE gateway = $1 FOR UPDATE", &[&gateway])
                .await?;
            locked = Some(gateway);
        }
        let mut next_ms: Option<i64> = Some(row.try_get("ts")?);
        while let Some(at_ms) = next_ms {
            if left == 0 {
                let (gateway, series) = (gateway.into(), series.into());
                return Ok(Some(Place { gateway, series, from_ms: at_ms }));
            }
            left -= 1;
            let day = day_of(at_ms);
            match fold_day(db, gateway, series, day).await {
                Ok(()) => {}
                // It stays in rows. Nothing else waits for it.
                Err(Trouble::Foreign { what, found }) => {
                    folded::stays(gateway.into(), series.cast_unsigned(), day, what, &found);
                }
                Err(trouble) => return Err(trouble),
            }
            let next = db
                .row(
                    "SELECT ts
                   FROM readings
                  WHERE gateway = $1 AND series = $2 AND ts >= $3 AND ts < $4
                  ORDER BY ts
                  LIMIT 1",
                    &[&gateway, &series, &((day + 1) * DAY_MS), &before_ms],
                )
                .await?;
            next_ms = next.map(|row| row.try_get("ts")).transpose()?;
        }
    }
    Ok(last.filter(|_| is_page))
}

async fn fold_day(db: &mut Work<'_>, gateway: i32, series: i32, day: i64) -> Result<(), Trouble> {
    let span = day * DAY_MS..(day + 1) * DAY_MS;
    let in_rows = in_rows(db, gateway, series, &span).await?;
    if in_rows.is_empty() {
        return Ok(()); // Another receiver was quicker.
    }
    let all = folded::merge(of_days(db, gateway, series, day..day + 1).await?, in_rows);
    let content = folded::write::<tokio_postgres::Error>(&all)?;
    let hours = DayTally::write(DayTally::of(&all).as_ref());
    db.change(
        "INSERT INTO folded (gateway, series, day, content, hours) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (gateway, series, day)
             DO UPDATE SET content = excluded.content, hours = excluded.hours",
        &[&gateway, &series, &number_of(day), &content, &hours],
    )
    .await?;
    db.change(
        "DELETE FROM readings WHERE gateway = $1 AND series = $2 AND ts >= $3 AND ts < $4",
        &[&gateway, &series, &span.start, &span.end],
    )
    .await?;
    Ok(())
}

/// Whoever asks for all of time asks for days that nobody can count.
fn number_of(day: i64) -> i32 {
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// What is folded of a series, by time.
pub(super) async fn of_days(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    days: Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let found = db
        .rows(
            "SELECT content
           FROM folded
          WHERE gateway = $1 AND series = $2 AND day >= $3 AND day < $4
          ORDER BY day",
            &[&gateway, &series, &number_of(days.start), &number_of(days.end)],
        )
        .await?;
    let mut all = Vec::new();
    for row in found {
        all.extend(folded::read(row.try_get("content")?)?);
    }
    Ok(all)
}

/// What a counter rose on the days that `span` touches, by day. A day that has something in rows is
/// added up from all of its readings.
pub(super) async fn tallies(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    span: &Range<i64>,
) -> Result<Vec<DayTally>, Trouble> {
    let days = folded::days(span);
    let rows = in_rows(db, gateway, series, &(days.start * DAY_MS..days.end * DAY_MS)).await?;
    let mut fresh: BTreeMap<i64, &[Kept]> = tally::by_day(&rows).collect();
    let found = db
        .rows(
            "SELECT day, hours
           FROM folded
          WHERE gateway = $1 AND series = $2 AND day >= $3 AND day < $4
          ORDER BY day",
            &[&gateway, &series, &number_of(days.start), &number_of(days.end)],
        )
        .await?;
    let mut all: BTreeMap<i64, DayTally> = BTreeMap::new();
    for row in found {
        let day: i64 = row.try_get::<_, i32>("day")?.into();
        let hours: Option<&[u8]> = row.try_get("hours")?;
        let rows = fresh.remove(&day);
        let told = hours.filter(|_| rows.is_none()).and_then(DayTally::read);
        let tally = if let Some(tally) = told {
            tally
        } else {
            let folded = of_days(db, gateway, series, day..day + 1).await?;
            DayTally::of(&folded::merge(folded, rows.unwrap_or_default().to_vec()))
        };
        all.extend(tally.map(|tally| (day, tally)));
    }
    all.extend(fresh.into_iter().filter_map(|(day, rows)| Some((day, DayTally::of(rows)?))));
    Ok(all.into_values().collect())
}

/// What lies in rows of a series in `span`, by time.
async fn in_rows(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    span: &Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let found = db
        .rows(
            "SELECT ts, value_mantissa, flags, epoch_no, seq
           FROM readings
          WHERE gateway = $1 AND series = $2 AND ts >= $3 AND ts < $4
          ORDER BY ts",
            &[&gateway, &series, &span.start, &span.end],
        )
        .await?;
    found.iter().map(kept).collect()
}

fn kept(row: &Row) -> Result<Kept, Trouble> {
    let epoch_no: i32 = row.try_get("epoch_no")?;
    let number = (epoch_no.into(), rows::number(row, "seq")?);
    Ok(Kept { number, reading: rows::reading(row)? })
}

/// What is stored of a series in `span`, by time.
pub(super) async fn stored(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    span: &Range<i64>,
) -> Result<Vec<Kept>, Trouble> {
    let folded = of_days(db, gateway, series, folded::days(span)).await?;
    Ok(folded::merge(folded, in_rows(db, gateway, series, span).await?))
}

/// The last reading of a series before `before_ms`, or the last that has a value.
pub(super) async fn last_before(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    before_ms: i64,
    with_value: bool,
) -> Result<Option<Kept>, Trouble> {
    let found = db
        .row(
            "SELECT ts, value_mantissa, flags, epoch_no, seq
           FROM readings
          WHERE gateway = $1 AND series = $2 AND ts < $3
            AND (value_mantissa IS NOT NULL OR NOT $4)
          ORDER BY ts DESC
          LIMIT 1",
            &[&gateway, &series, &before_ms, &with_value],
        )
        .await?;
    let row = found.as_ref().map(kept).transpose()?;
    // A folded day before the row's holds nothing newer.
    let row_day = row.map(|row| day_of(row.reading.at_ms));
    let mut until = day_of(before_ms);
    loop {
        let newest = db
            .row(
                "SELECT max(day) AS day
               FROM folded
              WHERE gateway = $1 AND series = $2 AND day <= $3",
                &[&gateway, &series, &number_of(until)],
            )
            .await?;
        let newest: Option<i32> = newest.map(|row| row.try_get("day")).transpose()?.flatten();
        let day = newest.map(i64::from).filter(|day| row_day.is_none_or(|row| row <= *day));
        let Some(day) = day else {
            return Ok(row);
        };
        let folded = of_days(db, gateway, series, day..day + 1).await?;
        let folded = folded::last_before(&folded, before_ms, with_value);
        match (folded, row) {
            (None, _) => until = day - 1,
            (Some(folded), Some(row)) if row.is_later_than(&folded) => return Ok(Some(row)),
            (folded, _) => return Ok(folded),
        }
    }
}

/// At most `limit` readings of a series in `span`, newest first.
pub(super) async fn newest_in(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    span: &Range<i64>,
    limit: usize,
) -> Result<Vec<StoredReading>, Trouble> {
    let mut readings = Vec::new();
    let mut until = span.end;
    while readings.len() < limit {
        // Day by day, beginning with the newest that has any.
        let newest = last_before(db, gateway, series, until, false).await?;
        let Some(newest) = newest else { break };
        let day_ms = day_of(newest.reading.at_ms) * DAY_MS;
        let part = day_ms.max(span.start)..until;
        if part.is_empty() {
            break;
        }
        let stored = stored(db, gateway, series, &part).await?;
        readings.extend(folded::readings(stored, &part).into_iter().rev());
        until = part.start;
    }
    readings.truncate(limit);
    Ok(readings)
}
