//! The two books of each promise of uptime.

use metering::{GatewayId, SeriesId};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::Trouble;
use crate::repository::{Sample, Side};

pub(super) fn len(db: &Connection, gateway: GatewayId, side: Side) -> Result<u64, Trouble> {
    let len: i64 = db
        .prepare_cached(
            "SELECT coalesce(max(place) + 1, 0)
               FROM book JOIN gateway USING (gateway)
              WHERE gateway.id = ?1 AND side = ?2",
        )?
        .query_row(params![gateway.uuid().as_bytes(), side.code()], |row| row.get(0))?;
    Ok(len.cast_unsigned())
}

pub(super) fn entries(
    db: &Connection,
    gateway: GatewayId,
    side: Side,
    from: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, Trouble> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "SELECT entry
           FROM book JOIN gateway USING (gateway)
          WHERE gateway.id = ?1 AND side = ?2 AND place >= ?3
          ORDER BY place LIMIT ?4",
    )?;
    let found = statement
        .query_map(params![gateway.uuid().as_bytes(), side.code(), from, limit], |row| {
            row.get(0)
        })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn append(
    db: &Connection,
    gateway: GatewayId,
    side: Side,
    from: u64,
    entries: &[Vec<u8>],
) -> Result<u64, Trouble> {
    let current = len(db, gateway, side)?;
    if current != from {
        return Ok(current);
    }
    let mut statement = db.prepare_cached(
        "INSERT INTO book (gateway, side, place, entry)
         SELECT gateway, ?2, ?3, ?4 FROM gateway WHERE id = ?1",
    )?;
    for (place, entry) in (from..).zip(entries) {
        let at = place.cast_signed();
        statement.execute(params![gateway.uuid().as_bytes(), side.code(), at, entry])?;
    }
    len(db, gateway, side)
}

pub(super) fn note(db: &Connection, gateway: GatewayId) -> Result<Option<String>, Trouble> {
    let found = db
        .prepare_cached(
            "SELECT note FROM book_note JOIN gateway USING (gateway) WHERE gateway.id = ?1",
        )?
        .query_row([gateway.uuid().as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found)
}

pub(super) fn put_note(db: &Connection, gateway: GatewayId, note: &str) -> Result<(), Trouble> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO book_note (gateway, note)
         SELECT gateway, ?2 FROM gateway WHERE id = ?1",
    )?
    .execute(params![gateway.uuid().as_bytes(), note])?;
    Ok(())
}

pub(super) fn sample(db: &Connection, gateway: GatewayId) -> Result<Option<Sample>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT name,
                (SELECT max(ts) FROM readings
                  WHERE readings.gateway = series_name.gateway
                    AND readings.series = series_name.series) AS ts
           FROM gateway
           JOIN gateway_state USING (gateway)
           JOIN series_name USING (gateway, epoch_no)
          WHERE gateway.id = ?1
          ORDER BY name LIMIT 8",
    )?;
    let mut named = statement.query([gateway.uuid().as_bytes()])?;
    while let Some(row) = named.next()? {
        let (name, at_ms): (u32, Option<i64>) = (row.get("name")?, row.get("ts")?);
        let (Some(series), Some(at_ms)) = (SeriesId::new(name), at_ms) else { continue };
        let reported = super::gateways::report(db, gateway, series, Some(at_ms))?;
        if let Some(Ok(mantissa)) = reported.map(|it| it.reading.value) {
            return Ok(Some(Sample { series, at_ms, mantissa }));
        }
    }
    Ok(None)
}
