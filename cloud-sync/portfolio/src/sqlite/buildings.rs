//! What people ask about their buildings.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use metering::{GatewayId, MeterId, Quantity, Register, SiteId};
use rusqlite::{Connection, Row};
use sync_wire::Kind;

use super::folding;
use super::rows::{self, Trouble};
use crate::columns;
use crate::folded::{self, DAY_MS};
use crate::repository::{
    Alarm, AlarmCode, Gateway, GatewayState, LastTold, MeterState, NewestReading, Series,
    SeriesHistory, SeriesUse, Site, StoredReading, by_site,
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
    let mut statement = db.prepare_cached(
        "SELECT name, place, time_zone, area_m2, counted, tags, latitude_udeg, longitude_udeg,
                released_ms, released_by, released_all, taken_ms, taken_all
           FROM site WHERE id = ?1",
    )?;
    let mut found = statement.query([id.uuid().as_bytes()])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    Ok(Some(Site {
        id,
        name: row.get("name")?,
        place: row.get("place")?,
        time_zone: row.get("time_zone")?,
        area_m2: row.get("area_m2")?,
        counted: row.get::<_, Option<String>>("counted")?.as_deref().map(columns::words),
        tags: columns::words(&row.get::<_, String>("tags")?),
        position: columns::position(row.get("latitude_udeg")?, row.get("longitude_udeg")?),
        released: columns::released(
            row.get("released_ms")?,
            row.get("released_by")?,
            row.get("released_all")?,
        ),
        taken_over: columns::taken_over(row.get("taken_ms")?, row.get("taken_all")?),
        gateway: gateway(db, id)?,
        alarms: alarms(db, id)?,
    }))
}

fn gateway(db: &Connection, site: SiteId) -> Result<Option<Gateway>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway.id, enrolled_ms, version, acked, head, last_contact_ms,
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
        version: row.get("version")?,
        certificate_until_ms: row.get("until_ms")?,
        state,
    }))
}

fn alarms(db: &Connection, site: SiteId) -> Result<Vec<Alarm>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT alarm, code, from_seq, to_seq, concerned, since_ms
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
            count: rows::number(row, "concerned")?,
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

pub(super) fn newest(
    db: &Connection,
    site: Option<SiteId>,
) -> Result<BTreeMap<SiteId, Vec<MeterState>>, Trouble> {
    let site = site.map(|site| site.uuid().into_bytes());
    let mut meters: BTreeMap<(SiteId, MeterId), MeterState> = BTreeMap::new();
    let mut statement = db.prepare_cached(
        "SELECT site, meter, name, medium
           FROM meter
           JOIN gateway USING (gateway)
          WHERE ?1 IS NULL OR site = ?1
          ORDER BY gateway",
    )?;
    let mut found = statement.query([site])?;
    while let Some(row) = found.next()? {
        let site = SiteId::from_uuid(rows::uuid(row, "site")?);
        let id = MeterId::from_uuid(rows::uuid(row, "meter")?);
        let medium: String = row.get("medium")?;
        let medium = medium.parse().map_err(|_| Trouble::foreign("a medium", &medium))?;
        let name = row.get("name")?;
        meters.insert((site, id), MeterState { id, name, medium, registers: Vec::new() });
    }

    // By register, the newest device last.
    let mut statement = db.prepare_cached(
        "SELECT site, gateway, series, meter, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE ?1 IS NULL OR site = ?1
          ORDER BY site, meter, register, gateway, begins_ms, series",
    )?;
    let mut found = statement.query([site])?;
    while let Some(row) = found.next()? {
        let site = SiteId::from_uuid(rows::uuid(row, "site")?);
        let meter = MeterId::from_uuid(rows::uuid(row, "meter")?);
        let Some(meter) = meters.get_mut(&(site, meter)) else { continue };
        let series = series(row)?;
        let newest = newest_of(db, row.get("gateway")?, series.number)?;
        meter.learn(series, newest);
    }
    Ok(by_site(meters))
}

/// The newest reading of a series is that of the batches, or, while the gateway catches up, the one
/// that was sent ahead of them.
fn newest_of(db: &Connection, gateway: i64, series: u32) -> Result<Option<NewestReading>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT ts, value_mantissa, flags FROM latest WHERE gateway = ?1 AND series = ?2",
    )?;
    let mut found = statement.query((gateway, series))?;
    let ahead = found.next()?.map(rows::reading).transpose()?;
    let stored = folding::last_before(db, gateway, series, i64::MAX, false)?;
    let stored = stored.map(|kept| kept.reading);
    let Some(reading) = ahead.into_iter().chain(stored).max_by_key(|reading| reading.at_ms) else {
        return Ok(None);
    };
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
    let found = folding::last_before(db, gateway, series, before_ms, true)?;
    Ok(found.and_then(|kept| Some((kept.reading.at_ms, kept.reading.value.ok()?))))
}

/// Under which series, of which gateways, a register of a meter was sent, by when they began.
fn series_of(
    db: &Connection,
    site: SiteId,
    meter: MeterId,
    register: &Register,
) -> Result<Vec<(i64, Series)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = ?1 AND meter = ?2 AND register = ?3
          ORDER BY begins_ms, gateway, series",
    )?;
    let mut found =
        statement.query((site.uuid().as_bytes(), meter.uuid().as_bytes(), register.to_string()))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push((row.get("gateway")?, series(row)?));
    }
    Ok(all)
}

pub(super) fn history(
    db: &Connection,
    site: SiteId,
    meter: MeterId,
    register: &Register,
    span: &Range<i64>,
) -> Result<Vec<SeriesHistory>, Trouble> {
    let mut histories = Vec::new();
    for (gateway, series) in series_of(db, site, meter, register)? {
        let before = match last_value(db, gateway, series.number, span.start)? {
            None => stand_of_coarser(db, gateway, &series)?,
            before => before,
        };
        let stored = folding::stored(db, gateway, series.number, span)?;
        let readings = folded::readings(stored, span);
        histories.push(SeriesHistory { series, before, readings });
    }
    Ok(histories)
}

/// As [`history`], by the tallies of whole days.
pub(super) fn used(
    db: &Connection,
    site: SiteId,
    meter: MeterId,
    register: &Register,
    span: &Range<i64>,
) -> Result<Vec<SeriesUse>, Trouble> {
    let mut uses = Vec::new();
    for (gateway, series) in series_of(db, site, meter, register)? {
        let begins_ms = folded::days(span).start * DAY_MS;
        let before = match last_value(db, gateway, series.number, begins_ms)? {
            None => stand_of_coarser(db, gateway, &series)?,
            before => before,
        };
        let days = folding::tallies(db, gateway, series.number, span)?;
        uses.push(SeriesUse { resolution: series.resolution, before, days });
    }
    Ok(uses)
}

/// What a building is compared by; whether there is such a site.
pub(super) fn change_facts(
    db: &Connection,
    site: SiteId,
    area_m2: Option<u32>,
    counted: Option<&[MeterId]>,
) -> Result<bool, Trouble> {
    let changed = db.execute(
        "UPDATE site SET area_m2 = ?2, counted = ?3 WHERE id = ?1",
        (site.uuid().as_bytes(), area_m2, counted.map(columns::words_text)),
    )?;
    Ok(changed > 0)
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
    told: Option<LastTold>,
    limit: usize,
) -> Result<Vec<(Series, StoredReading)>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = ?1 AND meter = ?2 AND register = ?3",
    )?;
    let mut found =
        statement.query((site.uuid().as_bytes(), meter.uuid().as_bytes(), register.to_string()))?;
    let mut readings = Vec::new();
    while let Some(row) = found.next()? {
        let series = series(row)?;
        let until = told.map_or(i64::MAX, |told| told.until(series.gateway, series.number));
        let span = span.start..span.end.min(until);
        let newest = folding::newest_in(db, series.gateway, series.number, &span, limit)?;
        readings.extend(newest.into_iter().map(|reading| (series.clone(), reading)));
    }
    readings.sort_by_key(|(series, reading): &(Series, StoredReading)| {
        Reverse((reading.at_ms, series.gateway, series.number))
    });
    readings.truncate(limit);
    Ok(readings)
}

fn series(row: &Row<'_>) -> Result<Series, Trouble> {
    let register: String = row.get("register")?;
    let kind: u8 = row.get("kind")?;
    Ok(Series {
        gateway: row.get("gateway")?,
        number: row.get("series")?,
        register: register.parse().map_err(|_| Trouble::foreign("a register", &register))?,
        kind: Kind::from_code(kind).ok_or_else(|| Trouble::foreign("a kind", kind))?,
        resolution: rows::resolution(row)?,
        begins_ms: row.get("begins_ms")?,
    })
}
