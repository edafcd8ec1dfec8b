//! What people ask about their buildings.

use std::collections::BTreeMap;
use std::ops::Range;

use metering::{GatewayId, MeterId, Quantity, Register, SiteId};
use rusqlite::{Connection, Row, named_params};
use sync_wire::Kind;

use super::rows::{self, Trouble};
use crate::repository::{
    Alarm, AlarmCode, Gateway, GatewayState, MeterState, NewestReading, Series, SeriesHistory,
    Site, StoredReading,
};

pub(super) fn sites(db: &Connection) -> Result<Vec<Site>, Trouble> {
    let mut statement = db.prepare_cached("SELECT id FROM site ORDER BY name, id")?;
    let mut ids = statement.query([])?;
    let mut sites = Vec::new();
    while let Some(row) = ids.next()? {
        sites.extend(site(db, SiteId::from_uuid(rows::uuid(row, "id")?))?);
    }
    Ok(sites)
}

pub(super) fn site(db: &Connection, id: SiteId) -> Result<Option<Site>, Trouble> {
    let mut statement =
        db.prepare_cached("SELECT name, place, time_zone FROM site WHERE id = ?1")?;
    let mut found = statement.query([id.uuid().as_bytes()])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    Ok(Some(Site {
        id,
        name: row.get("name")?,
        place: row.get("place")?,
        time_zone: row.get("time_zone")?,
        gateway: gateway(db, id)?,
        alarms: alarms(db, id)?,
    }))
}

fn gateway(db: &Connection, site: SiteId) -> Result<Option<Gateway>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway.id, enrolled_ms, acked, head, last_contact_ms,
                (SELECT max(ends_ms)
                   FROM certificate
                  WHERE certificate.gateway = gateway.gateway AND revoked_ms IS NULL) AS until_ms
           FROM gateway
           LEFT JOIN gateway_state USING (gateway)
          WHERE site = ?1
          ORDER BY enrolled_ms DESC, gateway DESC
          LIMIT 1",
    )?;
    let mut found = statement.query([site.uuid().as_bytes()])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let last_contact_ms: Option<i64> = row.get("last_contact_ms")?;
    let state = match last_contact_ms {
        Some(last_contact_ms) => Some(GatewayState {
            acked: rows::number(row, "acked")?,
            head: rows::number(row, "head")?,
            last_contact_ms,
        }),
        None => None,
    };
    Ok(Some(Gateway {
        id: GatewayId::from_uuid(rows::uuid(row, "id")?),
        enrolled_ms: row.get("enrolled_ms")?,
        certificate_until_ms: row.get("until_ms")?,
        state,
    }))
}

fn alarms(db: &Connection, site: SiteId) -> Result<Vec<Alarm>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT alarm, code, from_seq, to_seq, since_ms
           FROM alarm
           JOIN gateway USING (gateway)
          WHERE site = ?1 AND cleared_ms IS NULL
          ORDER BY alarm
          LIMIT 100",
    )?;
    let mut found = statement.query([site.uuid().as_bytes()])?;
    let mut alarms = Vec::new();
    while let Some(row) = found.next()? {
        let code: String = row.get("code")?;
        alarms.push(Alarm {
            alarm: row.get("alarm")?,
            code: AlarmCode::from_name(&code).ok_or_else(|| Trouble::foreign("an alarm", &code))?,
            from: rows::number(row, "from_seq")?,
            to: rows::number(row, "to_seq")?,
            since_ms: row.get("since_ms")?,
        });
    }
    Ok(alarms)
}

pub(super) fn clear_alarm(
    db: &Connection,
    site: SiteId,
    alarm: i64,
    now_ms: i64,
) -> Result<bool, Trouble> {
    let cleared = db.execute(
        "UPDATE alarm
            SET cleared_ms = ?3
          WHERE alarm = ?2 AND cleared_ms IS NULL
            AND gateway IN (SELECT gateway FROM gateway WHERE site = ?1)",
        (site.uuid().as_bytes(), alarm, now_ms),
    )?;
    Ok(cleared > 0)
}

/// The newest reading of a series is that of the batches, or, while the gateway catches up, the one
/// that was sent ahead of them.
const NEWEST: &str = "
    SELECT ts, value_mantissa, flags
      FROM (SELECT * FROM (SELECT ts, value_mantissa, flags
                             FROM readings
                            WHERE gateway = :gateway AND series = :series
                            ORDER BY ts DESC
                            LIMIT 1)
            UNION ALL
            SELECT ts, value_mantissa, flags
              FROM latest
             WHERE gateway = :gateway AND series = :series)
     ORDER BY ts DESC
     LIMIT 1";

const LAST_VALUE: &str = "
    SELECT ts, value_mantissa
      FROM readings
     WHERE gateway = :gateway AND series = :series AND value_mantissa IS NOT NULL AND ts < :before
     ORDER BY ts DESC
     LIMIT 1";

pub(super) fn newest(db: &Connection, site: SiteId) -> Result<Vec<MeterState>, Trouble> {
    let mut meters: BTreeMap<MeterId, MeterState> = BTreeMap::new();
    let mut statement = db.prepare_cached(
        "SELECT meter, name, medium
           FROM meter
           JOIN gateway USING (gateway)
          WHERE site = ?1
          ORDER BY gateway",
    )?;
    let mut found = statement.query([site.uuid().as_bytes()])?;
    while let Some(row) = found.next()? {
        let id = MeterId::from_uuid(rows::uuid(row, "meter")?);
        let medium: String = row.get("medium")?;
        let medium = medium.parse().map_err(|_| Trouble::foreign("a medium", &medium))?;
        let name = row.get("name")?;
        meters.insert(id, MeterState { id, name, medium, registers: Vec::new() });
    }

    // By register, the newest device last.
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, meter, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = ?1
          ORDER BY meter, register, gateway, begins_ms, series",
    )?;
    let mut found = statement.query([site.uuid().as_bytes()])?;
    while let Some(row) = found.next()? {
        let Some(meter) = meters.get_mut(&MeterId::from_uuid(rows::uuid(row, "meter")?)) else {
            continue;
        };
        let series = series(row)?;
        let newest = newest_of(db, row.get("gateway")?, series.number)?;
        match meter.registers.last_mut() {
            // A device that has not said anything yet does not hide the one before it.
            Some(last) if last.0.register == series.register => {
                if newest.is_some() || last.1.is_none() {
                    *last = (series, newest);
                }
            }
            _ => meter.registers.push((series, newest)),
        }
    }
    Ok(meters.into_values().collect())
}

fn newest_of(db: &Connection, gateway: i64, series: u32) -> Result<Option<NewestReading>, Trouble> {
    let mut statement = db.prepare_cached(NEWEST)?;
    let mut found = statement.query(named_params! { ":gateway": gateway, ":series": series })?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let reading = rows::reading(row)?;
    let last_value = match reading.value {
        Ok(mantissa) => Some((reading.at_ms, mantissa)),
        Err(_) => last_value(db, gateway, series, i64::MAX)?,
    };
    Ok(Some(NewestReading { reading, last_value }))
}

fn last_value(
    db: &Connection,
    gateway: i64,
    series: u32,
    before_ms: i64,
) -> Result<Option<(i64, i64)>, Trouble> {
    let mut statement = db.prepare_cached(LAST_VALUE)?;
    let mut found = statement
        .query(named_params! { ":gateway": gateway, ":series": series, ":before": before_ms })?;
    match found.next()? {
        Some(row) => Ok(Some((row.get("ts")?, row.get("value_mantissa")?))),
        None => Ok(None),
    }
}

pub(super) fn history(
    db: &Connection,
    site: SiteId,
    meter: MeterId,
    register: &Register,
    span: &Range<i64>,
) -> Result<Vec<SeriesHistory>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = ?1 AND meter = ?2 AND register = ?3
          ORDER BY begins_ms, gateway, series",
    )?;
    let mut found =
        statement.query((site.uuid().as_bytes(), meter.uuid().as_bytes(), register.to_string()))?;
    let mut histories = Vec::new();
    while let Some(row) = found.next()? {
        let series = series(row)?;
        let gateway = row.get("gateway")?;
        let before = match last_value(db, gateway, series.number, span.start)? {
            None => stand_of_coarser(db, gateway, &series)?,
            before => before,
        };
        let mut statement = db.prepare_cached(
            "SELECT ts, value_mantissa, flags
               FROM readings
              WHERE gateway = ?1 AND series = ?2 AND ts >= ?3 AND ts < ?4
              ORDER BY ts",
        )?;
        let mut found = statement.query((gateway, series.number, span.start, span.end))?;
        let mut readings = Vec::new();
        while let Some(row) = found.next()? {
            readings.push(rows::reading(row)?);
        }
        histories.push(SeriesHistory { series, before, readings });
    }
    Ok(histories)
}

/// Where the coarser series of the same device stood when this one began, in the steps of this one:
/// what was used between the two is not lost.
fn stand_of_coarser(
    db: &Connection,
    gateway: i64,
    finer: &Series,
) -> Result<Option<(i64, i64)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT coarser.series, coarser.unit, coarser.decimals
           FROM series AS finer
           JOIN series AS coarser USING (gateway, meter, register, unit, serial)
          WHERE gateway = ?1 AND finer.series = ?2 AND coarser.decimals < finer.decimals
          ORDER BY coarser.decimals DESC",
    )?;
    let mut found = statement.query((gateway, finer.number))?;
    while let Some(row) = found.next()? {
        let last = last_value(db, gateway, row.get("series")?, finer.begins_ms)?;
        let Some((at_ms, mantissa)) = last else { continue };
        let stand = Quantity::new(mantissa, rows::resolution(row)?).scaled_to(finer.resolution);
        return Ok(stand.map(|stand| (at_ms, stand.mantissa())));
    }
    Ok(None)
}

pub(super) fn readings(
    db: &Connection,
    site: SiteId,
    meter: MeterId,
    register: &Register,
    span: &Range<i64>,
    limit: usize,
) -> Result<Vec<(Series, StoredReading)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT series, register, kind, unit, decimals, begins_ms, ts, value_mantissa, flags
           FROM series
           JOIN gateway USING (gateway)
           JOIN readings USING (gateway, series)
          WHERE site = :site AND meter = :meter AND register = :register
            AND ts >= :from AND ts < :until
          ORDER BY ts DESC, begins_ms DESC
          LIMIT :limit",
    )?;
    let mut found = statement.query(named_params! {
        ":site": site.uuid().as_bytes(),
        ":meter": meter.uuid().as_bytes(),
        ":register": register.to_string(),
        ":from": span.start,
        ":until": span.end,
        ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
    })?;
    let mut readings = Vec::new();
    while let Some(row) = found.next()? {
        readings.push((series(row)?, rows::reading(row)?));
    }
    Ok(readings)
}

fn series(row: &Row<'_>) -> Result<Series, Trouble> {
    let register: String = row.get("register")?;
    let kind: u8 = row.get("kind")?;
    Ok(Series {
        number: row.get("series")?,
        register: register.parse().map_err(|_| Trouble::foreign("a register", &register))?,
        kind: Kind::from_code(kind).ok_or_else(|| Trouble::foreign("a kind", kind))?,
        resolution: rows::resolution(row)?,
        begins_ms: row.get("begins_ms")?,
    })
}
