//! What people ask about their buildings.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use metering::{GatewayId, MeterId, Quantity, Register, SiteId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Trouble, Work, rows};
use crate::repository::{
    Alarm, AlarmCode, Gateway, GatewayState, MeterState, NewestReading, Series, SeriesHistory,
    Site, StoredReading,
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
                site, gateway.id, enrolled_ms, acked, head, last_contact_ms,
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
            "SELECT site, alarm, code, from_seq, to_seq, since_ms
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
            "SELECT id, name, place, time_zone
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

pub(super) async fn newest(db: &mut Work<'_>, site: SiteId) -> Result<Vec<MeterState>, Trouble> {
    let mut meters: BTreeMap<MeterId, MeterState> = BTreeMap::new();
    let found = db
        .rows(
            "SELECT meter, name, medium
           FROM meter
           JOIN gateway USING (gateway)
          WHERE site = $1
          ORDER BY gateway",
            &[&site.uuid()],
        )
        .await?;
    for row in found {
        let id = MeterId::from_uuid(row.try_get("meter")?);
        let medium: &str = row.try_get("medium")?;
        let medium = medium.parse().map_err(|_| Trouble::foreign("a medium", medium))?;
        let name = row.try_get("name")?;
        meters.insert(id, MeterState { id, name, medium, registers: Vec::new() });
    }

    // By register, the newest device last. The newest reading of a series is that of the batches,
    // or, while the gateway catches up, the one that was sent ahead of them.
    let found = db
        .rows(
            "SELECT gateway, series, meter, register, kind, unit, decimals, begins_ms,
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
          WHERE site = $1
          ORDER BY meter, register COLLATE \"C\", gateway, begins_ms, series",
            &[&site.uuid()],
        )
        .await?;
    for row in found {
        let Some(meter) = meters.get_mut(&MeterId::from_uuid(row.try_get("meter")?)) else {
            continue;
        };
        let series = rows::series(&row)?;
        let newest = newest_of(db, &row).await?;
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
    let found = db
        .row(
            "SELECT ts, value_mantissa
           FROM readings
          WHERE gateway = $1 AND series = $2 AND value_mantissa IS NOT NULL AND ts < $3
          ORDER BY ts DESC
          LIMIT 1",
            &[&gateway, &series, &before_ms],
        )
        .await?;
    match found {
        Some(row) => Ok(Some((row.try_get("ts")?, row.try_get("value_mantissa")?))),
        None => Ok(None),
    }
}

pub(super) async fn history(
    db: &mut Work<'_>,
    of: &RegisterOf,
    span: &Range<i64>,
) -> Result<Vec<SeriesHistory>, Trouble> {
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
    let mut histories = Vec::new();
    for row in found {
        let series = rows::series(&row)?;
        let (gateway, number): (i32, i32) = (row.try_get("gateway")?, row.try_get("series")?);
        let before = match last_value(db, gateway, number, span.start).await? {
            None => stand_of_coarser(db, gateway, number, &series).await?,
            before => before,
        };
        let found = db
            .rows(
                "SELECT ts, value_mantissa, flags
               FROM readings
              WHERE gateway = $1 AND series = $2 AND ts >= $3 AND ts < $4
              ORDER BY ts",
                &[&gateway, &number, &span.start, &span.end],
            )
            .await?;
        let readings: Result<Vec<_>, Trouble> = found.iter().map(rows::reading).collect();
        histories.push(SeriesHistory { series, before, readings: readings? });
    }
    Ok(histories)
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
    limit: usize,
) -> Result<Vec<(Series, StoredReading)>, Trouble> {
    let found = db
        .rows(
            "SELECT series, register, kind, unit, decimals, begins_ms, ts, value_mantissa, flags
           FROM series
           JOIN gateway USING (gateway)
           JOIN readings USING (gateway, series)
          WHERE site = $1 AND meter = $2 AND register = $3 AND ts >= $4 AND ts < $5
          ORDER BY ts DESC, begins_ms DESC
          LIMIT $6",
            &[
                &of.site,
                &of.meter,
                &of.register,
                &span.start,
                &span.end,
                &i64::try_from(limit).unwrap_or(i64::MAX),
            ],
        )
        .await?;
    let found = found;
    found.iter().map(|row| Ok((rows::series(row)?, rows::reading(row)?))).collect()
}
