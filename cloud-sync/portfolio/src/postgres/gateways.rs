//! What gateways send. Each function runs in one transaction, which holds the row of its gateway.

use std::collections::{BTreeMap, HashMap};

use metering::{GatewayId, SeriesId};
use sync_wire::{
    Accounts, Ack, Batch, GapReason, Header, Latest, Refusal, SeriesTable, SyncReading,
};
use uuid::Uuid;

use super::accounts;
use super::series::{learn_series, names};
use super::{Trouble, Work, enrolment, folding, rows};
use crate::columns;
use crate::folded::day_of;
use crate::receive::{Concerned, Known, Verdict, judge, off_the_list};
use crate::repository::{AlarmCode, Reported};

pub(super) async fn store_batch(
    db: &mut Work<'_>,
    shown: &[u8; 32],
    header: &Header,
    batch: &Batch,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    if header.to.max(header.head) > i64::MAX.cast_unsigned() {
        let sentence = "no gateway has stored that many readings".to_owned();
        return Ok(Err(Refusal::Malformed { sentence }));
    }
    let Some((gateway, from_ms)) = number(db, header.gateway).await? else {
        return Ok(Err(unknown_gateway()));
    };
    let State { epoch_no, known } = match state(db, gateway).await? {
        Some(state) => state,
        None => begin(db, gateway, header.epoch, now_ms).await?,
    };
    // Whoever hands the gateway over has done so, or waits for its state.
    if !enrolment::is_good(db, shown, gateway).await? {
        return Ok(Err(off_the_list()));
    }
    let left = header.epoch != known.epoch && has_epoch(db, gateway, header.epoch).await?;

    let compare = match judge(known, header, left) {
        Verdict::Refuse(refusal) => return refuse(db, gateway, refusal, now_ms).await,
        Verdict::NewEpoch => {
            turn_to(db, gateway, header.epoch, now_ms).await?;
            return Ok(Err(Refusal::OtherEpoch { epoch: header.epoch, acked: 0 }));
        }
        Verdict::Repeated { compare } | Verdict::Store { compare } => compare,
    };
    let names = match names(db, gateway, epoch_no, batch.readings()).await? {
        Ok(names) => names,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let at = Place { gateway, epoch_no, names: &names };
    // What is from before its time here is acknowledged, and not kept.
    let all = batch.readings().iter().filter(|reading| reading.at_ms >= from_ms);
    let (before, fresh) = all.partition(|reading: &&SyncReading| reading.seq <= known.acked);
    if compare && !same_as_stored(db, at, before).await? {
        return refuse(db, gateway, Refusal::Clone, now_ms).await;
    }

    let acked = known.acked.max(header.to);
    if acked > known.acked {
        store_readings(db, at, fresh).await?;
        for gap in batch.gaps().iter().filter(|gap| gap.to > known.acked) {
            let code = match gap.reason {
                GapReason::Damaged | GapReason::NotKept => AlarmCode::Lost,
                GapReason::Parked => AlarmCode::Parked,
            };
            raise(db, gateway, code, Concerned::of(gap), now_ms).await?;
        }
        db.change(
            "UPDATE gateway_state
                SET acked = $2, last_from = $3, last_to = $4, last_sha256 = $5
              WHERE gateway = $1",
            &[
                &gateway,
                &acked.cast_signed(),
                &header.from.cast_signed(),
                &header.to.cast_signed(),
                &header.sha256.as_slice(),
            ],
        )
        .await?;
    }
    heard(db, gateway, header.head.max(acked), now_ms).await?;
    Ok(Ok(Ack { acked }))
}

pub(super) async fn store_table(
    db: &mut Work<'_>,
    table: &SeriesTable,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, state: State { epoch_no, known }, .. } =
        match enter(db, table.gateway, table.epoch, now_ms).await? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };

    let time_zone = table.site.time_zone.parse::<chrono_tz::Tz>().ok();
    db.change(
        "UPDATE site
            SET name = $2, place = $3, time_zone = coalesce($4, time_zone)
          WHERE id = (SELECT site FROM gateway WHERE gateway = $1)",
        &[&gateway, &table.site.name, &table.site.place, &time_zone.map(chrono_tz::Tz::name)],
    )
    .await?;
    for meter in &table.meters {
        db.change(
            "INSERT INTO meter (gateway, meter, name, medium) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (gateway, meter)
                 DO UPDATE SET name = excluded.name, medium = excluded.medium",
            &[&gateway, &meter.id.uuid(), &meter.name, &meter.medium.code()],
        )
        .await?;
    }
    for row in &table.series {
        if !learn_series(db, gateway, epoch_no, row).await? {
            return refuse(db, gateway, Refusal::Clone, now_ms).await;
        }
    }
    heard(db, gateway, known.acked, now_ms).await?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) async fn store_latest(
    db: &mut Work<'_>,
    latest: &Latest,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, from_ms, state: State { epoch_no, known } } =
        match enter(db, latest.gateway, latest.epoch, now_ms).await? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };
    // A series that no table has named comes with its table, and then in a batch. Of two values of
    // one series the newer counts.
    let mut newest: BTreeMap<i64, (i64, Option<i64>, i32)> = BTreeMap::new();
    for shown in latest.newest.iter().filter(|it| it.at_ms >= from_ms) {
        let flags = columns::flags(shown.value, shown.quality, shown.origin).cast_signed();
        let row = (shown.at_ms, shown.value.ok(), flags);
        let kept = newest.entry(rows::name(shown.series)).or_insert(row);
        if row.0 > kept.0 {
            *kept = row;
        }
    }
    let names: Vec<i64> = newest.keys().copied().collect();
    let times: Vec<i64> = newest.values().map(|row| row.0).collect();
    let values: Vec<Option<i64>> = newest.values().map(|row| row.1).collect();
    let flags: Vec<i32> = newest.values().map(|row| row.2).collect();
    db.change(
        "INSERT INTO latest (gateway, series, ts, value_mantissa, flags)
         SELECT $1, series, ts, value, flags
           FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::integer[])
                AS sent (name, ts, value, flags)
           JOIN series_name ON (series_name.gateway, epoch_no) = ($1, $2)
                           AND series_name.name = sent.name
             ON CONFLICT (gateway, series)
             DO UPDATE SET ts = excluded.ts, value_mantissa = excluded.value_mantissa,
                           flags = excluded.flags
          WHERE excluded.ts > latest.ts",
        &[&gateway, &epoch_no, &names, &times, &values, &flags],
    )
    .await?;
    heard(db, gateway, latest.head.min(i64::MAX.cast_unsigned()), now_ms).await?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) async fn store_accounts(
    db: &mut Work<'_>,
    sent: &Accounts,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, from_ms, state: State { epoch_no, known } } =
        match enter(db, sent.gateway, sent.epoch, now_ms).await? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };
    accounts::keep(db, gateway, epoch_no, sent, from_ms).await?;
    heard(db, gateway, sent.head.min(i64::MAX.cast_unsigned()), now_ms).await?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) async fn report(
    db: &mut Work<'_>,
    gateway: GatewayId,
    series: SeriesId,
    at_ms: Option<i64>,
) -> Result<Option<Reported>, Trouble> {
    let (id, name) = (gateway.uuid(), rows::name(series));
    let found = match at_ms {
        Some(at_ms) => return report_at(db, id, name, at_ms).await,
        None => {
            db.row(
                "SELECT ts, value_mantissa, flags, seq, unit, decimals
                   FROM gateway
                   JOIN gateway_state USING (gateway)
                   JOIN series_name USING (gateway, epoch_no)
                   JOIN series USING (gateway, series)
                   JOIN newest USING (gateway, series)
                  WHERE gateway.id = $1 AND series_name.name = $2",
                &[&id, &name],
            )
            .await?
        }
    };
    let Some(row) = found else {
        return Ok(None);
    };
    Ok(Some(Reported {
        reading: rows::reading(&row)?,
        seq: rows::number(&row, "seq")?,
        resolution: rows::resolution(&row)?,
    }))
}

async fn report_at(
    db: &mut Work<'_>,
    id: Uuid,
    name: i64,
    at_ms: i64,
) -> Result<Option<Reported>, Trouble> {
    let found = db
        .row(
            "SELECT gateway, series, unit, decimals
           FROM gateway
           JOIN gateway_state USING (gateway)
           JOIN series_name USING (gateway, epoch_no)
           JOIN series USING (gateway, series)
          WHERE gateway.id = $1 AND series_name.name = $2",
            &[&id, &name],
        )
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let at = at_ms..at_ms.saturating_add(1);
    let stored = folding::stored(db, row.try_get("gateway")?, row.try_get("series")?, &at).await?;
    let resolution = rows::resolution(&row)?;
    let found = stored.into_iter().find(|kept| kept.reading.at_ms == at_ms);
    Ok(found.map(|kept| Reported { reading: kept.reading, seq: kept.number.1, resolution }))
}

/// How far a gateway is, and in which epoch.
struct State {
    epoch_no: i32,
    known: Known,
}

/// A gateway that speaks to us.
struct Entered {
    gateway: i32,
    /// What is from before is not kept.
    from_ms: i64,
    state: State,
}

/// Where the readings of a batch go.
#[derive(Clone, Copy)]
struct Place<'a> {
    gateway: i32,
    epoch_no: i32,
    names: &'a HashMap<SeriesId, i32>,
}

/// Our number of a gateway, and from when on its readings are kept.
async fn number(db: &mut Work<'_>, id: GatewayId) -> Result<Option<(i32, i64)>, Trouble> {
    let found = db.row("SELECT gateway, from_ms FROM gateway WHERE id = $1", &[&id.uuid()]).await?;
    let Some(row) = found else { return Ok(None) };
    let from_ms: Option<i64> = row.try_get("from_ms")?;
    Ok(Some((row.try_get("gateway")?, from_ms.unwrap_or(i64::MIN))))
}

fn unknown_gateway() -> Refusal {
    Refusal::NotAllowed { sentence: "it was never enrolled here; enrol it".to_owned() }
}

/// From here to the end of the transaction nobody else stores anything of this gateway.
async fn state(db: &mut Work<'_>, gateway: i32) -> Result<Option<State>, Trouble> {
    let found = db
        .row(
            "SELECT epoch_no, epoch, acked, last_from, last_to, last_sha256
           FROM gateway_state
           JOIN epoch USING (gateway, epoch_no)
          WHERE gateway = $1
            FOR UPDATE OF gateway_state",
            &[&gateway],
        )
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let sha256: &[u8] = row.try_get("last_sha256")?;
    let sha256 = sha256.try_into().map_err(|_| Trouble::foreign("a hash", sha256.len()))?;
    let last = (rows::number(&row, "last_from")?, rows::number(&row, "last_to")?, sha256);
    let known =
        Known { epoch: rows::number(&row, "epoch")?, acked: rows::number(&row, "acked")?, last };
    Ok(Some(State { epoch_no: row.try_get("epoch_no")?, known }))
}

/// The first message of a gateway: its epoch is the first. Of two first messages on two receivers
/// one waits here, and then finds what the other has made.
async fn begin(db: &mut Work<'_>, gateway: i32, epoch: u64, now_ms: i64) -> Result<State, Trouble> {
    db.change("SELECT 1 FROM gateway WHERE gateway = $1 FOR NO KEY UPDATE", &[&gateway]).await?;
    if let Some(state) = state(db, gateway).await? {
        return Ok(state);
    }
    turn_to(db, gateway, epoch, now_ms).await?;
    Ok(State { epoch_no: 1, known: Known { epoch, acked: 0, last: (0, 0, [0; 32]) } })
}

/// Takes note of an epoch that was never seen, and counts in it from now on.
async fn turn_to(db: &mut Work<'_>, gateway: i32, epoch: u64, now_ms: i64) -> Result<i32, Trouble> {
    let made = db
        .row(
            "INSERT INTO epoch (gateway, epoch_no, epoch, since_ms)
         SELECT $1, coalesce(max(epoch_no), 0) + 1, $2, $3 FROM epoch WHERE gateway = $1
         RETURNING epoch_no",
            &[&gateway, &epoch.cast_signed(), &now_ms],
        )
        .await?;
    let epoch_no: i32 = match made {
        Some(row) => row.try_get("epoch_no")?,
        None => return Err(Trouble::foreign("an epoch", "nothing")),
    };
    db.change(
        "INSERT INTO gateway_state
                (gateway, epoch_no, acked, head, last_from, last_to, last_sha256, last_contact_ms)
         VALUES ($1, $2, 0, 0, 0, 0, $3, $4)
             ON CONFLICT (gateway)
             DO UPDATE SET epoch_no = excluded.epoch_no, acked = 0, head = 0, last_from = 0,
                           last_to = 0, last_sha256 = excluded.last_sha256,
                           last_contact_ms = excluded.last_contact_ms",
        &[&gateway, &epoch_no, &[0_u8; 32].as_slice(), &now_ms],
    )
    .await?;
    Ok(epoch_no)
}

async fn has_epoch(db: &mut Work<'_>, gateway: i32, epoch: u64) -> Result<bool, Trouble> {
    let found = db
        .row(
            "SELECT 1 FROM epoch WHERE gateway = $1 AND epoch = $2",
            &[&gateway, &epoch.cast_signed()],
        )
        .await?;
    Ok(found.is_some())
}

/// For messages that carry no numbers: a new epoch is noted, one that was left is a clone.
async fn enter(
    db: &mut Work<'_>,
    id: GatewayId,
    epoch: u64,
    now_ms: i64,
) -> Result<Result<Entered, Refusal>, Trouble> {
    let Some((gateway, from_ms)) = number(db, id).await? else {
        return Ok(Err(unknown_gateway()));
    };
    let state = match state(db, gateway).await? {
        Some(state) => state,
        None => begin(db, gateway, epoch, now_ms).await?,
    };
    if state.known.epoch == epoch {
        return Ok(Ok(Entered { gateway, from_ms, state }));
    }
    if has_epoch(db, gateway, epoch).await? {
        raise(db, gateway, AlarmCode::Clone, Concerned::default(), now_ms).await?;
        return Ok(Err(Refusal::Clone));
    }
    let epoch_no = turn_to(db, gateway, epoch, now_ms).await?;
    let known = Known { epoch, acked: 0, last: (0, 0, [0; 32]) };
    Ok(Ok(Entered { gateway, from_ms, state: State { epoch_no, known } }))
}

/// A refusal is contact too, and a clone is an alarm.
async fn refuse(
    db: &mut Work<'_>,
    gateway: i32,
    refusal: Refusal,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    if refusal == Refusal::Clone {
        raise(db, gateway, AlarmCode::Clone, Concerned::default(), now_ms).await?;
    } else {
        heard(db, gateway, 0, now_ms).await?;
    }
    Ok(Err(refusal))
}

async fn heard(db: &mut Work<'_>, gateway: i32, head: u64, now_ms: i64) -> Result<(), Trouble> {
    db.change(
        "UPDATE gateway_state
            SET head = greatest(head, $2), last_contact_ms = $3
          WHERE gateway = $1",
        &[&gateway, &head.cast_signed(), &now_ms],
    )
    .await?;
    Ok(())
}

/// Readings as the columns of one statement.
#[derive(Default)]
struct Columns {
    series: Vec<i32>,
    times: Vec<i64>,
    values: Vec<Option<i64>>,
    seqs: Vec<i64>,
    flags: Vec<i32>,
}

impl Columns {
    /// In the order of the key, so that each writes next to the one before. Of two readings of one
    /// instant the later number counts, and the other is left out: a statement that met one row
    /// twice would be refused.
    fn of(at: Place<'_>, mut readings: Vec<&SyncReading>) -> Self {
        readings.sort_by_key(|reading| (reading.series, reading.at_ms, reading.seq));
        let mut columns = Self::default();
        let mut next = readings.iter().skip(1);
        for reading in &readings {
            let later = next.next();
            if later.is_some_and(|it| (it.series, it.at_ms) == (reading.series, reading.at_ms)) {
                continue;
            }
            let flags = columns::flags(reading.value, reading.quality, reading.origin);
            columns.series.push(at.names.get(&reading.series).copied().unwrap_or_default());
            columns.times.push(reading.at_ms);
            columns.values.push(reading.value.ok());
            columns.seqs.push(reading.seq.cast_signed());
            columns.flags.push(flags.cast_signed());
        }
        columns
    }

    /// Of each series the last, which is its newest.
    fn newest(&self) -> Self {
        let mut newest = Self::default();
        let rows = self.series.iter().zip(&self.times).zip(&self.values);
        let rows = rows.zip(self.seqs.iter().zip(&self.flags));
        for (((series, time), value), (seq, flags)) in rows {
            if newest.series.last() == Some(series) {
                newest.series.pop();
                newest.times.pop();
                newest.values.pop();
                newest.seqs.pop();
                newest.flags.pop();
            }
            newest.series.push(*series);
            newest.times.push(*time);
            newest.values.push(*value);
            newest.seqs.push(*seq);
            newest.flags.push(*flags);
        }
        newest
    }
}

/// Whether `readings`, which should have been stored before, were; or were corrected since.
async fn same_as_stored(
    db: &mut Work<'_>,
    at: Place<'_>,
    readings: Vec<&SyncReading>,
) -> Result<bool, Trouble> {
    let sent = Columns::of(at, readings.clone());
    let first = sent.times.iter().min().copied().unwrap_or_default();
    let last = sent.times.iter().max().copied().unwrap_or_default();
    let differ = db
        .rows(
            "SELECT sent.series, sent.seq, stored.seq IS NULL AS is_no_row
           FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[])
                AS sent (series, ts, value, seq, flags)
           LEFT JOIN readings AS stored
                  ON stored.gateway = $1 AND stored.series = sent.series AND stored.ts = sent.ts
                 AND stored.ts BETWEEN $8 AND $9
          WHERE stored.seq IS NULL
             OR (stored.epoch_no, stored.seq) < ($2, sent.seq)
             OR ((stored.epoch_no, stored.seq) = ($2, sent.seq)
                 AND (stored.value_mantissa IS DISTINCT FROM sent.value
                      OR stored.flags <> sent.flags))
          ORDER BY is_no_row, sent.series, sent.ts",
            &[
                &at.gateway,
                &at.epoch_no,
                &sent.series,
                &sent.times,
                &sent.values,
                &sent.seqs,
                &sent.flags,
                &first,
                &last,
            ],
        )
        .await?;
    let by_number: HashMap<u64, &SyncReading> =
        readings.into_iter().map(|reading| (reading.seq, reading)).collect();
    let mut unfolded = (None, Vec::new());
    for row in differ {
        let sent = by_number.get(&rows::number(&row, "seq")?);
        let (Some(sent), true) = (sent, row.try_get("is_no_row")?) else {
            return Ok(false);
        };
        // It is no row any more: then it is folded.
        let (series, day): (i32, i64) = (row.try_get("series")?, day_of(sent.at_ms));
        if unfolded.0 != Some((series, day)) {
            let days = folding::of_days(db, at.gateway, series, day..day + 1).await?;
            unfolded = (Some((series, day)), days);
        }
        let there = unfolded.1.iter().find(|kept| kept.reading.at_ms == sent.at_ms);
        if !there.is_some_and(|kept| kept.holds(at.epoch_no.into(), sent)) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn store_readings(
    db: &mut Work<'_>,
    at: Place<'_>,
    readings: Vec<&SyncReading>,
) -> Result<(), Trouble> {
    let fresh = Columns::of(at, readings);
    db.change(
        "INSERT INTO readings (gateway, series, ts, value_mantissa, epoch_no, seq, flags)
         SELECT $1, series, ts, value, $2, seq, flags
           FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[])
                AS sent (series, ts, value, seq, flags)
             ON CONFLICT (gateway, series, ts)
             DO UPDATE SET value_mantissa = excluded.value_mantissa,
                           epoch_no = excluded.epoch_no,
                           seq = excluded.seq,
                           flags = excluded.flags
          WHERE (excluded.epoch_no, excluded.seq) > (readings.epoch_no, readings.seq)",
        &[
            &at.gateway,
            &at.epoch_no,
            &fresh.series,
            &fresh.times,
            &fresh.values,
            &fresh.seqs,
            &fresh.flags,
        ],
    )
    .await?;
    let newest = fresh.newest();
    db.change(
        "INSERT INTO newest (gateway, series, ts, value_mantissa, epoch_no, seq, flags)
         SELECT $1, series, ts, value, $2, seq, flags
           FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[])
                AS sent (series, ts, value, seq, flags)
             ON CONFLICT (gateway, series)
             DO UPDATE SET ts = excluded.ts,
                           value_mantissa = excluded.value_mantissa,
                           epoch_no = excluded.epoch_no,
                           seq = excluded.seq,
                           flags = excluded.flags
          WHERE (excluded.ts, excluded.epoch_no, excluded.seq)
              > (newest.ts, newest.epoch_no, newest.seq)",
        &[
            &at.gateway,
            &at.epoch_no,
            &newest.series,
            &newest.times,
            &newest.values,
            &newest.seqs,
            &newest.flags,
        ],
    )
    .await?;
    Ok(())
}

/// One alarm of a kind for as long as nobody has looked, however often there is reason for it.
async fn raise(
    db: &mut Work<'_>,
    gateway: i32,
    code: AlarmCode,
    concerned: Concerned,
    now_ms: i64,
) -> Result<(), Trouble> {
    let Concerned { from, to, count } = concerned;
    let more = db
        .change(
            "UPDATE alarm
                SET from_seq = least(from_seq, $3), to_seq = greatest(to_seq, $4),
                    concerned = concerned + $5
              WHERE gateway = $1
                AND alarm = (SELECT max(alarm)
                               FROM alarm
                              WHERE gateway = $1 AND code = $2 AND cleared_ms IS NULL)",
            &[&gateway, &code.as_str(), &from, &to, &count],
        )
        .await?;
    if more == 0 {
        db.change(
            "INSERT INTO alarm (gateway, code, from_seq, to_seq, concerned, since_ms)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[&gateway, &code.as_str(), &from, &to, &count, &now_ms],
        )
        .await?;
    }
    Ok(())
}
