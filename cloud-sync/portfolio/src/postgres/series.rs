//! Which series is which: a gateway's number of it in each of its epochs, and ours.

use std::collections::HashMap;

use metering::SeriesId;
use sync_wire::{Refusal, SeriesRow, SyncReading};

use super::{Trouble, Work, rows};

/// Our numbers of the batch's series, or which of them no table has named.
pub(super) async fn names(
    db: &mut Work<'_>,
    gateway: i32,
    epoch_no: i32,
    readings: &[SyncReading],
) -> Result<Result<HashMap<SeriesId, i32>, Refusal>, Trouble> {
    let mut series: Vec<SeriesId> = readings.iter().map(|reading| reading.series).collect();
    series.sort_unstable();
    series.dedup();
    let wanted: Vec<i64> = series.iter().copied().map(rows::name).collect();
    let found = db
        .rows(
            "SELECT name, series
           FROM series_name
          WHERE gateway = $1 AND epoch_no = $2 AND name = ANY ($3)",
            &[&gateway, &epoch_no, &wanted],
        )
        .await?;
    let mut numbers: HashMap<i64, i32> = HashMap::new();
    for row in found {
        numbers.insert(row.try_get("name")?, row.try_get("series")?);
    }
    let (mut names, mut unknown) = (HashMap::new(), Vec::new());
    for series in series {
        match numbers.get(&rows::name(series)) {
            Some(number) => {
                names.insert(series, *number);
            }
            None => unknown.push(series),
        }
    }
    if unknown.is_empty() {
        return Ok(Ok(names));
    }
    Ok(Err(Refusal::UnknownSeries { series: unknown }))
}

/// Gives a series its number here. `false` if this epoch has another series of that name: numbers
/// are never used again, so there are two databases. How it is to be read may change: a profile was
/// corrected.
///
/// A gateway whose database was made anew numbers its series anew. A series that is the same in all
/// but its number goes on as the one that it was.
pub(super) async fn learn_series(
    db: &mut Work<'_>,
    gateway: i32,
    epoch_no: i32,
    row: &SeriesRow,
) -> Result<bool, Trouble> {
    let (meter, register) = (row.meter.uuid(), row.register.to_string());
    let (unit, decimals) = (row.resolution.unit(), i16::from(row.resolution.decimals()));
    let unit = unit.code();
    let kind = i16::from(row.kind.code());

    let named = db
        .row(
            "SELECT series,
                (meter, register, unit, decimals) = ($4, $5, $6, $7) AS same
           FROM series_name
           JOIN series USING (gateway, series)
          WHERE gateway = $1 AND epoch_no = $2 AND name = $3",
            &[&gateway, &epoch_no, &rows::name(row.series), &meter, &register, &unit, &decimals],
        )
        .await?;
    let number: i32 = match named {
        Some(found) if !found.try_get::<_, bool>("same")? => return Ok(false),
        Some(found) => found.try_get("series")?,
        None => {
            let number = match series_before(db, gateway, epoch_no, row).await? {
                Some(number) => number,
                None => new_series(db, gateway, row).await?,
            };
            db.change(
                "INSERT INTO series_name (gateway, epoch_no, name, series)
                 VALUES ($1, $2, $3, $4)",
                &[&gateway, &epoch_no, &rows::name(row.series), &number],
            )
            .await?;
            number
        }
    };
    db.change(
        "UPDATE series
            SET point = $3, begins_ms = $4, serial = $5, kind = $6
          WHERE gateway = $1 AND series = $2",
        &[&gateway, &number, &row.point.uuid(), &row.begins_ms, &row.serial, &kind],
    )
    .await?;
    Ok(true)
}

async fn new_series(db: &mut Work<'_>, gateway: i32, row: &SeriesRow) -> Result<i32, Trouble> {
    let made = db
        .row(
            "INSERT INTO series (gateway, series, point, meter, register, kind, unit, decimals,
                             begins_ms, serial)
         SELECT $1, coalesce(max(series), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9
           FROM series
          WHERE gateway = $1
         RETURNING series",
            &[
                &gateway,
                &row.point.uuid(),
                &row.meter.uuid(),
                &row.register.to_string(),
                &i16::from(row.kind.code()),
                &row.resolution.unit().code(),
                &i16::from(row.resolution.decimals()),
                &row.begins_ms,
                &row.serial,
            ],
        )
        .await?;
    match made {
        Some(made) => Ok(made.try_get("series")?),
        None => Err(Trouble::foreign("a series", "nothing")),
    }
}

/// The series that this one was in an epoch before: the same register of the same device in the
/// same steps, and none that this epoch has named already.
async fn series_before(
    db: &mut Work<'_>,
    gateway: i32,
    epoch_no: i32,
    row: &SeriesRow,
) -> Result<Option<i32>, Trouble> {
    let found = db
        .row(
            "SELECT series
           FROM series
          WHERE (gateway, meter, register, kind) = ($1, $3, $4, $5)
            AND (unit, decimals, serial) = ($6, $7, $8)
            AND NOT EXISTS (SELECT 1
                              FROM series_name AS named
                             WHERE (named.gateway, named.epoch_no) = ($1, $2)
                               AND named.series = series.series)
          ORDER BY begins_ms = $9 DESC, series
          LIMIT 1",
            &[
                &gateway,
                &epoch_no,
                &row.meter.uuid(),
                &row.register.to_string(),
                &i16::from(row.kind.code()),
                &row.resolution.unit().code(),
                &i16::from(row.resolution.decimals()),
                &row.serial,
                &row.begins_ms,
            ],
        )
        .await?;
    Ok(found.map(|row| row.try_get("series")).transpose()?)
}
