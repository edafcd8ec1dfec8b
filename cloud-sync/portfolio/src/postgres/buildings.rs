//! What people ask about their buildings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use metering::{GatewayId, MeterId, Quantity, Register, SiteId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Trouble, Work, folding, rows};
use crate::columns;
use crate::folded::{self, DAY_MS};
use crate::repository::{
    Alarm, AlarmCode, Gateway, GatewayState, LastTold, MeterState, NewestReading, Series,
    SeriesHistory, SeriesUse, Site, StoredReading, by_site,
};

/// A register of a meter of a site, as questions name it.
pub(super) struct RegisterOf {
    site: Uuid,
    meter: Uuid,
    register: String,
}

impl RegisterOf {
    pub(super) fn new(site: SiteId, meter: MeterId, register: &Register) -> Self {
        Self { site: site.uuid(), meter: meter.uuid(), register: register.to_string() }
    }
}

pub(super) async fn sites(db: &mut Work<'_>) -> Result<Vec<Site>, Trouble> {
    find(db, None).await
}

pub(super) async fn site(db: &mut Work<'_>, id: SiteId) -> Result<Option<Site>, Trouble> {
    Ok(find(db, Some(id.uuid())).await?.pop())
}

/// All sites, or the one: three questions, however many there are.
async fn find(db: &mut Work<'_>, site: Option<Uuid>) -> Result<Vec<Site>, Trouble> {
    let found = db
        .rows(
            "SELECT DISTINCT ON (site)
                site, gateway.id, enrolled_ms, version, acked, head, last_contact_ms,
                (SELECT max(ends_ms)
                   FROM certificate
                  WHERE certificate.gateway = gateway.gateway AND revoked_ms IS NULL) AS until_ms
           FROM gateway
           LEFT JOIN gateway_state USING (gateway)
          WHERE $1::uuid IS NULL OR site = $1
          ORDER BY site, enrolled_ms DESC, gateway DESC",
            &[&site],
        )
        .await?;
    let mut gateways = HashMap::new();
    for row in found {
        gateways.insert(row.try_get::<_, Uuid>("site")?, gateway(&row)?);
    }
    // The oldest hundred of each site: who has more has to begin with those.
    let found = db
        .rows(
            "SELECT site, alarm, code, from_seq, to_seq, concerned, since_ms
           FROM (SELECT site, alarm.*, row_number() OVER (PARTITION BY site ORDER BY alarm) AS nth
                   FROM alarm
                   JOIN gateway USING (gateway)
                  WHERE ($1::uuid IS NULL OR site = $1) AND cleared_ms IS NULL) AS alarms
          WHERE nth <= 100
          ORDER BY alarm",
            &[&site],
        )
        .await?;
    let mut alarms: HashMap<Uuid, Vec<Alarm>> = HashMap::new();
    for row in found {
        alarms.entry(row.try_get("site")?).or_default().push(alarm(&row)?);
    }
    let found = db
        .rows(
            "SELECT id, name, place, time_zone, area_m2, counted, tags, latitude_udeg,
                longitude_udeg, released_ms, released_by, released_all, taken_ms, taken_all
           FROM site
          WHERE $1::uuid IS NULL OR id = $1
          ORDER BY name COLLATE \"C\", id",
            &[&site],
        )
        .await?;
    let mut sites = Vec::new();
    for row in found {
        let id: Uuid = row.try_get("id")?;
        sites.push(Site {
            id: SiteId::from_uuid(id),
            name: row.try_get("name")?,
            place: row.try_get("place")?,
            time_zone: row.try_get("time_zone")?,
            area_m2: row.try_get::<_, Option<i32>>("area_m2")?.map(i32::unsigned_abs),
            counted: row.try_get::<_, Option<&str>>("counted")?.map(columns::words),
            tags: columns::words(row.try_get("tags")?),
            position: columns::position(
                row.try_get("latitude_udeg")?,
                row.try_get("longitude_udeg")?,
            ),
            released: columns::released(
                row.try_get("released_ms")?,
                row.try_get("released_by")?,
                row.try_get("released_all")?,
            ),
            taken_over: columns::taken_over(row.try_get("taken_ms")?, row.try_get("taken_all")?),
            gateway: gateways.remove(&id),
            alarms: alarms.remove(&id).unwrap_or_default(),
        });
    }
    Ok(sites)
}

fn gateway(row: &Row) -> Result<Gateway, Trouble> {
    let last_contact_ms: Option<i64> = row.try_get("last_contact_ms")?;
    let state = match last_contact_ms {
        Some(last_contact_ms) => Some(GatewayState {
            acked: rows::number(row, "acked")?,
            head: rows::number(row, "head")?,
            last_contact_ms,
        }),
        None => None,
    };
    Ok(Gateway {
        id: GatewayId::from_uuid(row.try_get("id")?),
        enrolled_ms: row.try_get("enrolled_ms")?,
        version: row.try_get("version")?,
        certificate_until_ms: row.try_get("until_ms")?,
        state,
    })
}

fn alarm(row: &Row) -> Result<Alarm, Trouble> {
    let code: &str = row.try_get("code")?;
    Ok(Alarm {
        alarm: row.try_get("alarm")?,
        code: AlarmCode::from_name(code).ok_or_else(|| Trouble::foreign("an alarm", code))?,
        from: rows::number(row, "from_seq")?,
        to: rows::number(row, "to_seq")?,
        count: rows::number(row, "concerned")?,
        since_ms: row.try_get("since_ms")?,
    })
}

pub(super) async fn clear_alarm(
    db: &mut Work<'_>,
    site: SiteId,
    alarm: i64,
    now_ms: i64,
) -> Result<bool, Trouble> {
    let cleared = db
        .change(
            "UPDATE alarm
            SET cleared_ms = $3
          WHERE gateway IN (SELECT gateway FROM gateway WHERE site = $1)
            AND alarm = $2 AND cleared_ms IS NULL",
            &[&site.uuid(), &alarm, &now_ms],
        )
        .await?;
    Ok(cleared > 0)
}

pub(super) async fn newest(
    db: &mut Work<'_>,
    site: Option<SiteId>,
) -> Result<BTreeMap<SiteId, Vec<MeterState>>, Trouble> {
    let site = site.map(SiteId::uuid);
    let mut meters: BTreeMap<(SiteId, MeterId), MeterState> = BTreeMap::new();
    let found = db
        .rows(
            "SELECT site, meter, name, medium
           FROM meter
           JOIN gateway USING (gateway)
          WHERE $1::uuid IS NULL OR site = $1
          ORDER BY gateway",
            &[&site],
        )
        .await?;
    for row in found {
        let site = SiteId::from_uuid(row.try_get("site")?);
        let id = MeterId::from_uuid(row.try_get("meter")?);
        let medium: &str = row.try_get("medium")?;
        let medium = medium.parse().map_err(|_| Trouble::foreign("a medium", medium))?;
        let name = row.try_get("name")?;
        meters.insert((site, id), MeterState { id, name, medium, registers: Vec::new() });
    }

    // By register, the newest device last. The newest reading of a series is that of the batches,
    // or, while the gateway catches up, the one that was sent ahead of them.
    let found = db
        .rows(
            "SELECT site, gateway, series, meter, register, kind, unit, decimals, begins_ms,
                shown.ts, shown.value_mantissa, shown.flags
           FROM series
           JOIN gateway USING (gateway)
           LEFT JOIN newest USING (gateway, series)
           LEFT JOIN latest USING (gateway, series)
           LEFT JOIN LATERAL (
                SELECT * FROM (VALUES (newest.ts, newest.value_mantissa, newest.flags),
                                      (latest.ts, latest.value_mantissa, latest.flags))
                           AS either (ts, value_mantissa, flags)
                 WHERE ts IS NOT NULL
                 ORDER BY ts DESC
                 LIMIT 1) AS shown ON true
          WHERE $1::uuid IS NULL OR site = $1
          ORDER BY site, meter, register COLLATE \"C\", gateway, begins_ms, series",
            &[&site],
        )
        .await?;
    for row in found {
        let site = SiteId::from_uuid(row.try_get("site")?);
        let meter = MeterId::from_uuid(row.try_get("meter")?);
        let Some(meter) = meters.get_mut(&(site, meter)) else { continue };
        let series = rows::series(&row)?;
        let newest = newest_of(db, &row).await?;
        meter.learn(series, newest);
    }
    Ok(by_site(meters))
}

async fn newest_of(db: &mut Work<'_>, row: &Row) -> Result<Option<NewestReading>, Trouble> {
    if row.try_get::<_, Option<i64>>("ts")?.is_none() {
        return Ok(None);
    }
    let reading = rows::reading(row)?;
    let last_value = match reading.value {
        Ok(mantissa) => Some((reading.at_ms, mantissa)),
        Err(_) => last_value(db, row.try_get("gateway")?, row.try_get("series")?, i64::MAX).await?,
    };
    Ok(Some(NewestReading { reading, last_value }))
}

async fn last_value(
    db: &mut Work<'_>,
    gateway: i32,
    series: i32,
    before_ms: i64,
) -> Result<Option<(i64, i64)>, Trouble> {
    let found = folding::last_before(db, gateway, series, before_ms, true).await?;
    Ok(found.and_then(|kept| Some((kept.reading.at_ms, kept.reading.value.ok()?))))
}

/// Under which series, of which gateways, a register of a meter was sent, by when they began.
async fn series_of(db: &mut Work<'_>, of: &RegisterOf) -> Result<Vec<(i32, i32, Series)>, Trouble> {
    let found = db
        .rows(
            "SELECT gateway, series, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = $1 AND meter = $2 AND register = $3
          ORDER BY begins_ms, gateway, series",
            &[&of.site, &of.meter, &of.register],
        )
        .await?;
    let mut all = Vec::new();
    for row in found {
        all.push((row.try_get("gateway")?, row.try_get("series")?, rows::series(&row)?));
    }
    Ok(all)
}

pub(super) async fn history(
    db: &mut Work<'_>,
    of: &RegisterOf,
    span: &Range<i64>,
) -> Result<Vec<SeriesHistory>, Trouble> {
    let mut histories = Vec::new();
    for (gateway, number, series) in series_of(db, of).await? {
        let before = match last_value(db, gateway, number, span.start).await? {
            None => stand_of_coarser(db, gateway, number, &series).await?,
            before => before,
        };
        let stored = folding::stored(db, gateway, number, span).await?;
        let readings = folded::readings(stored, span);
        histories.push(SeriesHistory { series, before, readings });
    }
    Ok(histories)
}

/// As [`history`], by the tallies of whole days.
pub(super) async fn used(
    db: &mut Work<'_>,
    of: &RegisterOf,
    span: &Range<i64>,
) -> Result<Vec<SeriesUse>, Trouble> {
    let mut uses = Vec::new();
    for (gateway, number, series) in series_of(db, of).await? {
        let begins_ms = folded::days(span).start * DAY_MS;
        let before = match last_value(db, gateway, number, begins_ms).await? {
            None => stand_of_coarser(db, gateway, number, &series).await?,
            before => before,
        };
        let days = folding::tallies(db, gateway, number, span).await?;
        uses.push(SeriesUse { resolution: series.resolution, before, days });
    }
    Ok(uses)
}

/// What a building is compared by; whether there is such a site.
pub(super) async fn change_facts(
    db: &mut Work<'_>,
    site: SiteId,
    area_m2: Option<u32>,
    counted: Option<&[MeterId]>,
) -> Result<bool, Trouble> {
    let area_m2 = area_m2.map(|area| i32::try_from(area).unwrap_or(i32::MAX));
    let changed = db
        .change(
            "UPDATE site SET area_m2 = $2, counted = $3 WHERE id = $1",
            &[&site.uuid(), &area_m2, &counted.map(columns::words_text)],
        )
        .await?;
    Ok(changed > 0)
}

/// Where the coarser series of the same device stood when this one began, in the steps of this one:
/// what was used between the two is not lost.
async fn stand_of_coarser(
    db: &mut Work<'_>,
    gateway: i32,
    number: i32,
    finer: &Series,
) -> Result<Option<(i64, i64)>, Trouble> {
    let found = db
        .rows(
            "SELECT coarser.series, coarser.unit, coarser.decimals
           FROM series AS finer
           JOIN series AS coarser USING (gateway, meter, register, unit, serial)
          WHERE gateway = $1 AND finer.series = $2 AND coarser.decimals < finer.decimals
          ORDER BY coarser.decimals DESC",
            &[&gateway, &number],
        )
        .await?;
    for row in found {
        let last = last_value(db, gateway, row.try_get("series")?, finer.begins_ms).await?;
        let Some((at_ms, mantissa)) = last else { continue };
        let stand = Quantity::new(mantissa, rows::resolution(&row)?).scaled_to(finer.resolution);
        return Ok(stand.map(|stand| (at_ms, stand.mantissa())));
    }
    Ok(None)
}

pub(super) async fn readings(
    db: &mut Work<'_>,
    of: &RegisterOf,
    span: &Range<i64>,
    told: Option<LastTold>,
    limit: usize,
) -> Result<Vec<(Series, StoredReading)>, Trouble> {
    let found = db
        .rows(
            "SELECT gateway, series, register, kind, unit, decimals, begins_ms
           FROM series
           JOIN gateway USING (gateway)
          WHERE site = $1 AND meter = $2 AND register = $3",
            &[&of.site, &of.meter, &of.register],
        )
        .await?;
    let mut readings = Vec::new();
    for row in found {
        let series = rows::series(&row)?;
        let (gateway, number) = (row.try_get("gateway")?, row.try_get("series")?);
        let until = told.map_or(i64::MAX, |told| told.until(series.gateway, series.number));
        let span = span.start..span.end.min(until);
        let newest = folding::newest_in(db, gateway, number, &span, limit).await?;
        readings.extend(newest.into_iter().map(|reading| (series.clone(), reading)));
    }
    readings.sort_by_key(|(series, reading): &(Series, StoredReading)| {
        Reverse((reading.at_ms, series.gateway, series.number))
    });
    readings.truncate(limit);
    Ok(readings)
}
