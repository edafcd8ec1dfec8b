//! What gateways send. Each function runs in one transaction.

use std::collections::{BTreeSet, HashMap};

use metering::{GatewayId, SeriesId};
use rusqlite::{Connection, OptionalExtension, named_params};
use sync_wire::{
    Accounts, Ack, Batch, GapReason, Header, Latest, Refusal, SeriesRow, SeriesTable, SyncReading,
};

use super::folding::{self, Unfolded};
use super::rows::{self, Trouble};
use super::{accounts, enrolment};
use crate::receive::{Concerned, Known, Verdict, judge, off_the_list};
use crate::repository::{AlarmCode, Reported};

pub(super) fn store_batch(
    db: &Connection,
    shown: &[u8; 32],
    header: &Header,
    batch: &Batch,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    if header.to.max(header.head) > i64::MAX.cast_unsigned() {
        let sentence = "no gateway has stored that many readings".to_owned();
        return Ok(Err(Refusal::Malformed { sentence }));
    }
    let Some((gateway, from_ms)) = number(db, header.gateway)? else {
        return Ok(Err(unknown_gateway()));
    };
    let State { epoch_no, known } = match state(db, gateway)? {
        Some(state) => state,
        None => begin(db, gateway, header.epoch, now_ms)?,
    };
    if !enrolment::is_good(db, shown, gateway)? {
        return Ok(Err(off_the_list()));
    }
    let left = header.epoch != known.epoch && has_epoch(db, gateway, header.epoch)?;

    let compare = match judge(known, header, left) {
        Verdict::Refuse(refusal) => return refuse(db, gateway, refusal, now_ms),
        Verdict::NewEpoch => {
            turn_to(db, gateway, header.epoch, now_ms)?;
            return Ok(Err(Refusal::OtherEpoch { epoch: header.epoch, acked: 0 }));
        }
        Verdict::Repeated { compare } | Verdict::Store { compare } => compare,
    };
    let names = match names(db, gateway, epoch_no, batch.readings())? {
        Ok(names) => names,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let at = Place { gateway, epoch_no, names: &names };
    // What is from before its time here is acknowledged, and not kept.
    let all = batch.readings().iter().filter(|reading| reading.at_ms >= from_ms);
    let (before, fresh): (Vec<&SyncReading>, Vec<_>) =
        all.partition(|reading| reading.seq <= known.acked);
    if compare {
        let mut unfolded = Unfolded::default();
        for reading in before {
            if !same_as_stored(db, at, reading, &mut unfolded)? {
                return refuse(db, gateway, Refusal::Clone, now_ms);
            }
        }
    }

    let acked = known.acked.max(header.to);
    if acked > known.acked {
        store_readings(db, at, fresh)?;
        for gap in batch.gaps().iter().filter(|gap| gap.to > known.acked) {
            let code = match gap.reason {
                GapReason::Damaged | GapReason::NotKept => AlarmCode::Lost,
                GapReason::Parked => AlarmCode::Parked,
            };
            raise(db, gateway, code, Concerned::of(gap), now_ms)?;
        }
        db.prepare_cached(
            "UPDATE gateway_state
                SET acked = :acked, last_from = :from, last_to = :to, last_sha256 = :sha256
              WHERE gateway = :gateway",
        )?
        .execute(named_params! {
            ":gateway": gateway,
            ":acked": acked.cast_signed(),
            ":from": header.from.cast_signed(),
            ":to": header.to.cast_signed(),
            ":sha256": header.sha256,
        })?;
    }
    heard(db, gateway, header.head.max(acked), now_ms)?;
    Ok(Ok(Ack { acked }))
}

pub(super) fn store_table(
    db: &Connection,
    table: &SeriesTable,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, state: State { epoch_no, known }, .. } =
        match enter(db, table.gateway, table.epoch, now_ms)? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };

    let time_zone = table.site.time_zone.parse::<chrono_tz::Tz>().ok();
    db.prepare_cached(
        "UPDATE site
            SET name = :name, place = :place, time_zone = coalesce(:time_zone, time_zone)
          WHERE id = (SELECT site FROM gateway WHERE gateway = :gateway)",
    )?
    .execute(named_params! {
        ":gateway": gateway,
        ":name": table.site.name,
        ":place": table.site.place,
        ":time_zone": time_zone.map(chrono_tz::Tz::name),
    })?;
    for meter in &table.meters {
        db.prepare_cached(
            "INSERT INTO meter (gateway, meter, name, medium)
             VALUES (:gateway, :meter, :name, :medium)
                 ON CONFLICT (gateway, meter)
                 DO UPDATE SET name = excluded.name, medium = excluded.medium",
        )?
        .execute(named_params! {
            ":gateway": gateway,
            ":meter": meter.id.uuid().as_bytes(),
            ":name": meter.name,
            ":medium": meter.medium.code(),
        })?;
    }
    for row in &table.series {
        if !learn_series(db, gateway, epoch_no, row)? {
            return refuse(db, gateway, Refusal::Clone, now_ms);
        }
    }
    heard(db, gateway, known.acked, now_ms)?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) fn store_latest(
    db: &Connection,
    latest: &Latest,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, from_ms, state: State { epoch_no, known } } =
        match enter(db, latest.gateway, latest.epoch, now_ms)? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };
    for newest in latest.newest.iter().filter(|it| it.at_ms >= from_ms) {
        // A series that no table has named comes with its table, and then in a batch.
        db.prepare_cached(
            "INSERT INTO latest (gateway, series, ts, value_mantissa, flags)
             SELECT :gateway, series, :ts, :value, :flags
               FROM series_name
              WHERE gateway = :gateway AND epoch_no = :epoch_no AND name = :name
                 ON CONFLICT (gateway, series)
                 DO UPDATE SET ts = excluded.ts, value_mantissa = excluded.value_mantissa,
                               flags = excluded.flags
              WHERE excluded.ts > latest.ts",
        )?
        .execute(named_params! {
            ":gateway": gateway,
            ":epoch_no": epoch_no,
            ":name": newest.series.get(),
            ":ts": newest.at_ms,
            ":value": newest.value.ok(),
            ":flags": rows::flags(newest.value, newest.quality, newest.origin),
        })?;
    }
    heard(db, gateway, latest.head.min(i64::MAX.cast_unsigned()), now_ms)?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) fn store_accounts(
    db: &Connection,
    sent: &Accounts,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    let Entered { gateway, from_ms, state: State { epoch_no, known } } =
        match enter(db, sent.gateway, sent.epoch, now_ms)? {
            Ok(entered) => entered,
            Err(refusal) => return Ok(Err(refusal)),
        };
    accounts::keep(db, gateway, epoch_no, sent, from_ms)?;
    heard(db, gateway, sent.head.min(i64::MAX.cast_unsigned()), now_ms)?;
    Ok(Ok(Ack { acked: known.acked }))
}

pub(super) fn report(
    db: &Connection,
    gateway: GatewayId,
    series: SeriesId,
    at_ms: Option<i64>,
) -> Result<Option<Reported>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, series, unit, decimals
           FROM gateway
           JOIN gateway_state USING (gateway)
           JOIN series_name USING (gateway, epoch_no)
           JOIN series USING (gateway, series)
          WHERE gateway.id = :id AND name = :name",
    )?;
    let mut found = statement.query(named_params! {
        ":id": gateway.uuid().as_bytes(),
        ":name": series.get(),
    })?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let (gateway, series) = (row.get("gateway")?, row.get("series")?);
    let found = match at_ms {
        Some(at_ms) => {
            let at = at_ms..at_ms.saturating_add(1);
            folding::stored(db, gateway, series, &at)?
                .into_iter()
                .find(|it| it.reading.at_ms == at_ms)
        }
        None => folding::last_before(db, gateway, series, i64::MAX, false)?,
    };
    let resolution = rows::resolution(row)?;
    Ok(found.map(|kept| Reported { reading: kept.reading, seq: kept.number.1, resolution }))
}

/// How far a gateway is, and in which epoch.
struct State {
    epoch_no: i64,
    known: Known,
}

/// A gateway that speaks to us.
struct Entered {
    gateway: i64,
    /// What is from before is not kept.
    from_ms: i64,
    state: State,
}

/// Where the readings of a batch go.
#[derive(Clone, Copy)]
struct Place<'a> {
    gateway: i64,
    epoch_no: i64,
    names: &'a HashMap<SeriesId, u32>,
}

/// Our number of a gateway, and from when on its readings are kept.
fn number(db: &Connection, id: GatewayId) -> Result<Option<(i64, i64)>, Trouble> {
    let found = db
        .prepare_cached("SELECT gateway, from_ms FROM gateway WHERE id = ?1")?
        .query_row([id.uuid().as_bytes()], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or(i64::MIN)))
        })
        .optional()?;
    Ok(found)
}

fn unknown_gateway() -> Refusal {
    Refusal::NotAllowed { sentence: "it was never enrolled here; enrol it".to_owned() }
}

fn state(db: &Connection, gateway: i64) -> Result<Option<State>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT epoch_no, epoch, acked, last_from, last_to, last_sha256
           FROM gateway_state
           JOIN epoch USING (gateway, epoch_no)
          WHERE gateway = ?1",
    )?;
    let mut found = statement.query([gateway])?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let last =
        (rows::number(row, "last_from")?, rows::number(row, "last_to")?, row.get("last_sha256")?);
    let known =
        Known { epoch: rows::number(row, "epoch")?, acked: rows::number(row, "acked")?, last };
    Ok(Some(State { epoch_no: row.get("epoch_no")?, known }))
}

/// The first message of a gateway: its epoch is the first.
fn begin(db: &Connection, gateway: i64, epoch: u64, now_ms: i64) -> Result<State, Trouble> {
    turn_to(db, gateway, epoch, now_ms)?;
    Ok(State { epoch_no: 1, known: Known { epoch, acked: 0, last: (0, 0, [0; 32]) } })
}

/// Takes note of an epoch that was never seen, and counts in it from now on.
fn turn_to(db: &Connection, gateway: i64, epoch: u64, now_ms: i64) -> Result<i64, Trouble> {
    let epoch_no = db.query_row(
        "INSERT INTO epoch (gateway, epoch_no, epoch, since_ms)
         SELECT ?1, coalesce(max(epoch_no), 0) + 1, ?2, ?3 FROM epoch WHERE gateway = ?1
         RETURNING epoch_no",
        (gateway, epoch.cast_signed(), now_ms),
        |row| row.get(0),
    )?;
    db.execute(
        "INSERT OR REPLACE INTO gateway_state
                (gateway, epoch_no, acked, head, last_from, last_to, last_sha256, last_contact_ms)
         VALUES (?1, ?2, 0, 0, 0, 0, zeroblob(32), ?3)",
        (gateway, epoch_no, now_ms),
    )?;
    Ok(epoch_no)
}

fn has_epoch(db: &Connection, gateway: i64, epoch: u64) -> Result<bool, Trouble> {
    let known = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM epoch WHERE gateway = ?1 AND epoch = ?2)")?
        .query_row((gateway, epoch.cast_signed()), |row| row.get(0))?;
    Ok(known)
}

/// For messages that carry no numbers: a new epoch is noted, one that was left is a clone.
fn enter(
    db: &Connection,
    id: GatewayId,
    epoch: u64,
    now_ms: i64,
) -> Result<Result<Entered, Refusal>, Trouble> {
    let Some((gateway, from_ms)) = number(db, id)? else {
        return Ok(Err(unknown_gateway()));
    };
    let state = match state(db, gateway)? {
        Some(state) if state.known.epoch == epoch => state,
        None => begin(db, gateway, epoch, now_ms)?,
        Some(_) if has_epoch(db, gateway, epoch)? => {
            raise(db, gateway, AlarmCode::Clone, Concerned::default(), now_ms)?;
            return Ok(Err(Refusal::Clone));
        }
        Some(_) => {
            let epoch_no = turn_to(db, gateway, epoch, now_ms)?;
            State { epoch_no, known: Known { epoch, acked: 0, last: (0, 0, [0; 32]) } }
        }
    };
    Ok(Ok(Entered { gateway, from_ms, state }))
}

/// A refusal is contact too, and a clone is an alarm.
fn refuse(
    db: &Connection,
    gateway: i64,
    refusal: Refusal,
    now_ms: i64,
) -> Result<Result<Ack, Refusal>, Trouble> {
    if refusal == Refusal::Clone {
        raise(db, gateway, AlarmCode::Clone, Concerned::default(), now_ms)?;
    } else {
        heard(db, gateway, 0, now_ms)?;
    }
    Ok(Err(refusal))
}

fn heard(db: &Connection, gateway: i64, head: u64, now_ms: i64) -> Result<(), Trouble> {
    db.prepare_cached(
        "UPDATE gateway_state
            SET head = max(head, ?2), last_contact_ms = ?3
          WHERE gateway = ?1",
    )?
    .execute((gateway, head.cast_signed(), now_ms))?;
    Ok(())
}

/// Our numbers of the batch's series, or which of them no table has named.
fn names(
    db: &Connection,
    gateway: i64,
    epoch_no: i64,
    readings: &[SyncReading],
) -> Result<Result<HashMap<SeriesId, u32>, Refusal>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT series FROM series_name WHERE gateway = ?1 AND epoch_no = ?2 AND name = ?3",
    )?;
    let (mut names, mut unknown) = (HashMap::new(), Vec::new());
    let series: BTreeSet<SeriesId> = readings.iter().map(|reading| reading.series).collect();
    for series in series {
        let number =
            statement.query_row((gateway, epoch_no, series.get()), |row| row.get(0)).optional()?;
        match number {
            Some(number) => {
                names.insert(series, number);
            }
            None => unknown.push(series),
        }
    }
    if unknown.is_empty() {
        return Ok(Ok(names));
    }
    Ok(Err(Refusal::UnknownSeries { series: unknown }))
}

/// Whether `reading`, which should have been stored before, was; or was corrected since.
fn same_as_stored(
    db: &Connection,
    at: Place<'_>,
    reading: &SyncReading,
    unfolded: &mut Unfolded,
) -> Result<bool, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT epoch_no, seq, value_mantissa, flags
           FROM readings
          WHERE gateway = ?1 AND series = ?2 AND ts = ?3",
    )?;
    let series = at.names.get(&reading.series).copied().unwrap_or_default();
    let mut found = statement.query((at.gateway, series, reading.at_ms))?;
    let Some(row) = found.next()? else {
        let folded = unfolded.at(db, at.gateway, series, reading.at_ms)?;
        return Ok(folded.is_some_and(|folded| folded.holds(at.epoch_no, reading)));
    };
    let stored: (i64, i64) = (row.get(0)?, row.get(1)?);
    let ours = (at.epoch_no, reading.seq.cast_signed());
    let value: Option<i64> = row.get(2)?;
    let flags: u32 = row.get(3)?;
    let same = value == reading.value.ok()
        && flags == rows::flags(reading.value, reading.quality, reading.origin);
    Ok(stored > ours || (stored == ours && same))
}

/// Stores these, series by series, so that each writes into neighbouring pages.
fn store_readings(
    db: &Connection,
    at: Place<'_>,
    mut fresh: Vec<&SyncReading>,
) -> Result<(), Trouble> {
    fresh.sort_by_key(|reading| (reading.series, reading.at_ms, reading.seq));
    let mut statement = db.prepare_cached(
        "INSERT INTO readings (gateway, series, ts, value_mantissa, epoch_no, seq, flags)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (gateway, series, ts)
             DO UPDATE SET value_mantissa = excluded.value_mantissa,
                           epoch_no = excluded.epoch_no,
                           seq = excluded.seq,
                           flags = excluded.flags
          WHERE (excluded.epoch_no, excluded.seq) > (readings.epoch_no, readings.seq)",
    )?;
    for reading in fresh {
        statement.execute((
            at.gateway,
            at.names.get(&reading.series),
            reading.at_ms,
            reading.value.ok(),
            at.epoch_no,
            reading.seq.cast_signed(),
            rows::flags(reading.value, reading.quality, reading.origin),
        ))?;
    }
    Ok(())
}

/// Gives a series its number here. `false` if this epoch has another series of that name: numbers
/// are never used again, so there are two databases. How it is to be read may change: a profile was
/// corrected.
///
/// A gateway whose database was made anew numbers its series anew. A series that is the same in all
/// but its number goes on as the one that it was.
fn learn_series(
    db: &Connection,
    gateway: i64,
    epoch_no: i64,
    row: &SeriesRow,
) -> Result<bool, Trouble> {
    let (meter, register) = (row.meter.uuid(), row.register.to_string());
    let (unit, decimals) = (row.resolution.unit(), row.resolution.decimals());
    let (unit, kind) = (unit.code(), row.kind.code());

    let named: Option<(i64, bool)> = db
        .prepare_cached(
            "SELECT series,
                    (meter, register, unit, decimals) = (?4, ?5, ?6, ?7)
               FROM series_name
               JOIN series USING (gateway, series)
              WHERE gateway = ?1 AND epoch_no = ?2 AND name = ?3",
        )?
        .query_row(
            (gateway, epoch_no, row.series.get(), meter.as_bytes(), &register, unit, decimals),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let number = match named {
        Some((_, false)) => return Ok(false),
        Some((number, true)) => number,
        None => {
            let number = match series_before(db, gateway, epoch_no, row)? {
                Some(number) => number,
                None => db
                    .prepare_cached(
                        "INSERT INTO series (gateway, series, point, meter, register, kind, unit,
                                             decimals, begins_ms, serial)
                         SELECT ?1, coalesce(max(series), 0) + 1, zeroblob(16), ?2, ?3, ?4, ?5,
                                ?6, 0, ''
                           FROM series
                          WHERE gateway = ?1
                         RETURNING series",
                    )?
                    .query_row(
                        (gateway, meter.as_bytes(), &register, kind, unit, decimals),
                        |row| row.get(0),
                    )?,
            };
            db.prepare_cached(
                "INSERT INTO series_name (gateway, epoch_no, name, series)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((gateway, epoch_no, row.series.get(), number))?;
            number
        }
    };
    db.prepare_cached(
        "UPDATE series
            SET point = ?3, begins_ms = ?4, serial = ?5, kind = ?6
          WHERE gateway = ?1 AND series = ?2",
    )?
    .execute((
        gateway,
        number,
        row.point.uuid().as_bytes(),
        row.begins_ms,
        &row.serial,
        kind,
    ))?;
    Ok(true)
}

/// The series that this one was in an epoch before: the same register of the same device in the
/// same steps, and none that this epoch has named already.
fn series_before(
    db: &Connection,
    gateway: i64,
    epoch_no: i64,
    row: &SeriesRow,
) -> Result<Option<i64>, Trouble> {
    let found = db
        .prepare_cached(
            "SELECT series
               FROM series
              WHERE (gateway, meter, register, kind) = (:gateway, :meter, :register, :kind)
                AND (unit, decimals, serial) = (:unit, :decimals, :serial)
                AND NOT EXISTS (SELECT 1
                                  FROM series_name AS named
                                 WHERE (named.gateway, named.epoch_no) = (:gateway, :epoch_no)
                                   AND named.series = series.series)
              ORDER BY begins_ms = :begins_ms DESC, series
              LIMIT 1",
        )?
        .query_row(
            named_params! {
                ":gateway": gateway,
                ":epoch_no": epoch_no,
                ":meter": row.meter.uuid().as_bytes(),
                ":register": row.register.to_string(),
                ":kind": row.kind.code(),
                ":unit": row.resolution.unit().code(),
                ":decimals": row.resolution.decimals(),
                ":serial": row.serial,
                ":begins_ms": row.begins_ms,
            },
            |row| row.get(0),
        )
        .optional()?;
    Ok(found)
}

/// One alarm of a kind for as long as nobody has looked, however often there is reason for it.
fn raise(
    db: &Connection,
    gateway: i64,
    code: AlarmCode,
    concerned: Concerned,
    now_ms: i64,
) -> Result<(), Trouble> {
    let Concerned { from, to, count } = concerned;
    let more = db
        .prepare_cached(
            "UPDATE alarm
                SET from_seq = min(from_seq, :from), to_seq = max(to_seq, :to),
                    concerned = concerned + :count
              WHERE alarm = (SELECT max(alarm)
                               FROM alarm
                              WHERE gateway = :gateway AND code = :code AND cleared_ms IS NULL)",
        )?
        .execute(named_params! {
            ":gateway": gateway, ":code": code.as_str(), ":from": from, ":to": to, ":count": count,
        })?;
    if more == 0 {
        db.prepare_cached(
            "INSERT INTO alarm (gateway, code, from_seq, to_seq, concerned, since_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((gateway, code.as_str(), from, to, count, now_ms))?;
    }
    Ok(())
}
