//! The two books of each promise of uptime.

use metering::{GatewayId, SeriesId};

use super::{Trouble, Work};
use crate::repository::{Sample, Side};

pub(super) async fn len(db: &mut Work<'_>, gateway: GatewayId, side: Side) -> Result<u64, Trouble> {
    let row = db
        .row(
            "SELECT coalesce(max(place) + 1, 0) AS len
               FROM book JOIN gateway USING (gateway)
              WHERE gateway.id = $1 AND side = $2",
            &[&gateway.uuid(), &side.code()],
        )
        .await?;
    let len: i64 = row.map_or(Ok(0), |row| row.try_get("len"))?;
    Ok(len.cast_unsigned())
}

pub(super) async fn entries(
    db: &mut Work<'_>,
    gateway: GatewayId,
    side: Side,
    from: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, Trouble> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let found = db
        .rows(
            "SELECT entry
               FROM book JOIN gateway USING (gateway)
              WHERE gateway.id = $1 AND side = $2 AND place >= $3
              ORDER BY place LIMIT $4",
            &[&gateway.uuid(), &side.code(), &from, &i64::from(limit)],
        )
        .await?;
    Ok(found.iter().map(|row| row.try_get("entry")).collect::<Result<_, _>>()?)
}

pub(super) async fn append(
    db: &mut Work<'_>,
    gateway: GatewayId,
    side: Side,
    from: u64,
    entries: &[Vec<u8>],
) -> Result<u64, Trouble> {
    // Two receivers take turns with one gateway's books.
    db.row("SELECT gateway FROM gateway WHERE id = $1 FOR UPDATE", &[&gateway.uuid()]).await?;
    let current = len(db, gateway, side).await?;
    if current != from {
        return Ok(current);
    }
    for (place, entry) in (from..).zip(entries) {
        db.change(
            "INSERT INTO book (gateway, side, place, entry)
             SELECT gateway, $2, $3, $4 FROM gateway WHERE id = $1",
            &[&gateway.uuid(), &side.code(), &place.cast_signed(), entry],
        )
        .await?;
    }
    len(db, gateway, side).await
}

pub(super) async fn note(db: &mut Work<'_>, gateway: GatewayId) -> Result<Option<String>, Trouble> {
    let found = db
        .row(
            "SELECT note FROM book_note JOIN gateway USING (gateway) WHERE gateway.id = $1",
            &[&gateway.uuid()],
        )
        .await?;
    Ok(found.map(|row| row.try_get("note")).transpose()?)
}

pub(super) async fn put_note(
    db: &mut Work<'_>,
    gateway: GatewayId,
    note: &str,
) -> Result<(), Trouble> {
    db.change(
        "INSERT INTO book_note (gateway, note) SELECT gateway, $2 FROM gateway WHERE id = $1
             ON CONFLICT (gateway) DO UPDATE SET note = excluded.note",
        &[&gateway.uuid(), &note],
    )
    .await?;
    Ok(())
}

pub(super) async fn sample(
    db: &mut Work<'_>,
    gateway: GatewayId,
) -> Result<Option<Sample>, Trouble> {
    let named = db
        .rows(
            "SELECT name,
                    (SELECT max(ts) FROM readings
                      WHERE readings.gateway = series_name.gateway
                        AND readings.series = series_name.series) AS ts
               FROM gateway
               JOIN gateway_state USING (gateway)
               JOIN series_name USING (gateway, epoch_no)
              WHERE gateway.id = $1
              ORDER BY name LIMIT 8",
            &[&gateway.uuid()],
        )
        .await?;
    for row in named {
        let (name, at_ms): (i64, Option<i64>) = (row.try_get("name")?, row.try_get("ts")?);
        let series = u32::try_from(name).ok().and_then(SeriesId::new);
        let (Some(series), Some(at_ms)) = (series, at_ms) else { continue };
        let reported = super::gateways::report(db, gateway, series, Some(at_ms)).await?;
        if let Some(Ok(mantissa)) = reported.map(|it| it.reading.value) {
            return Ok(Some(Sample { series, at_ms, mantissa }));
        }
    }
    Ok(None)
}
