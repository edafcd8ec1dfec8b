//! What was expected of the meters, and what came.

use std::collections::HashMap;
use std::ops::Range;

use metering::{MeterId, SiteId};
use rusqlite::{Connection, named_params};
use sync_wire::{AccountDay, Accounts};

use super::rows::{self, Trouble};
use crate::columns;
use crate::repository::Completeness;

/// Instead of what was said before, unless that was said later. Days that began before `from_ms` are not kept.
pub(super) fn keep(
    db: &Connection,
    gateway: i64,
    epoch_no: i64,
    accounts: &Accounts,
    from_ms: i64,
) -> Result<(), Trouble> {
    let mut statement = db.prepare_cached(
        "INSERT INTO account (gateway, meter, starts_ms, ends_ms, epoch_no, head, expected,
                              received, late, from_memory, corrected, unplanned, missing)
         VALUES (:gateway, :meter, :starts_ms, :ends_ms, :epoch_no, :head, :expected,
                 :received, :late, :from_memory, :corrected, :unplanned, :missing)
             ON CONFLICT (gateway, meter, starts_ms)
             DO UPDATE SET ends_ms = excluded.ends_ms, epoch_no = excluded.epoch_no,
                           head = excluded.head, expected = excluded.expected,
                           received = excluded.received, late = excluded.late,
                           from_memory = excluded.from_memory, corrected = excluded.corrected,
                           unplanned = excluded.unplanned, missing = excluded.missing
          WHERE (excluded.epoch_no, excluded.head) >= (account.epoch_no, account.head)",
    )?;
    for day in accounts.days.iter().filter(|day| day.start_ms >= from_ms) {
        statement.execute(named_params! {
            ":gateway": gateway,
            ":meter": day.meter.uuid().as_bytes(),
            ":starts_ms": day.start_ms,
            ":ends_ms": day.end_ms,
            ":epoch_no": epoch_no,
            ":head": accounts.head.min(i64::MAX.cast_unsigned()).cast_signed(),
            ":expected": day.expected,
            ":received": day.received,
            ":late": day.late,
            ":from_memory": day.from_memory,
            ":corrected": day.corrected,
            ":unplanned": day.unplanned,
            ":missing": columns::counts_text(&day.missing),
        })?;
    }
    Ok(())
}

pub(super) fn of_site(
    db: &Connection,
    site: SiteId,
    span: &Range<i64>,
) -> Result<Vec<AccountDay>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT account.*
           FROM account
           JOIN gateway USING (gateway)
          WHERE site = :site AND starts_ms >= :from AND starts_ms < :until
          ORDER BY meter, starts_ms, gateway",
    )?;
    let mut found = statement.query(named_params! {
        ":site": site.uuid().as_bytes(),
        ":from": span.start,
        ":until": span.end,
    })?;
    let mut days = Vec::new();
    while let Some(row) = found.next()? {
        let missing: String = row.get("missing")?;
        days.push(AccountDay {
            meter: MeterId::from_uuid(rows::uuid(row, "meter")?),
            start_ms: row.get("starts_ms")?,
            end_ms: row.get("ends_ms")?,
            expected: row.get("expected")?,
            received: row.get("received")?,
            late: row.get("late")?,
            from_memory: row.get("from_memory")?,
            corrected: row.get("corrected")?,
            unplanned: row.get("unplanned")?,
            missing: columns::counts(&missing)?,
        });
    }
    Ok(days)
}

pub(super) fn completeness(
    db: &Connection,
    site: Option<SiteId>,
    span: &Range<i64>,
) -> Result<HashMap<SiteId, Completeness>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT site, sum(expected) AS expected,
                sum(received + late + from_memory + corrected) AS got
           FROM account
           JOIN gateway USING (gateway)
          WHERE starts_ms >= ?1 AND starts_ms < ?2 AND (?3 IS NULL OR site = ?3)
          GROUP BY site
         HAVING sum(expected) > 0",
    )?;
    let site = site.map(|site| site.uuid().into_bytes());
    let mut found = statement.query((span.start, span.end, site))?;
    let mut all = HashMap::new();
    while let Some(row) = found.next()? {
        let (expected, got) = (rows::number(row, "expected")?, rows::number(row, "got")?);
        let site = SiteId::from_uuid(rows::uuid(row, "site")?);
        all.insert(site, Completeness { expected, got });
    }
    Ok(all)
}
