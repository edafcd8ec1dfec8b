//! What was expected of the meters, and what came.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use metering::{MeterId, SiteId};
use sync_wire::{AccountDay, Accounts};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Trouble, Work, rows};
use crate::columns;
use crate::repository::Completeness;

/// Instead of what was said before, unless that was said later. Days that began before `from_ms` are not kept.
pub(super) async fn keep(
    db: &mut Work<'_>,
    gateway: i32,
    epoch_no: i32,
    accounts: &Accounts,
    from_ms: i64,
) -> Result<(), Trouble> {
    // A row is changed once in a statement: of two that say something of one day the last counts.
    let days = accounts.days.iter().filter(|day| day.start_ms >= from_ms);
    let days: BTreeMap<(Uuid, i64), &AccountDay> =
        days.map(|day| ((day.meter.uuid(), day.start_ms), day)).collect();
    let each = |of: fn(&AccountDay) -> i64| days.values().map(|day| of(day)).collect::<Vec<_>>();
    let meters: Vec<Uuid> = days.keys().map(|(meter, _)| *meter).collect();
    let missing: Vec<String> =
        days.values().map(|day| columns::counts_text(&day.missing)).collect();
    db.change(
        "INSERT INTO account (gateway, epoch_no, head, meter, starts_ms, ends_ms, expected,
                              received, late, from_memory, corrected, unplanned, missing)
         SELECT $1, $2, $3, *
           FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                       $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[])
             ON CONFLICT (gateway, meter, starts_ms)
             DO UPDATE SET ends_ms = excluded.ends_ms, epoch_no = excluded.epoch_no,
                           head = excluded.head, expected = excluded.expected,
                           received = excluded.received, late = excluded.late,
                           from_memory = excluded.from_memory, corrected = excluded.corrected,
                           unplanned = excluded.unplanned, missing = excluded.missing
          WHERE (excluded.epoch_no, excluded.head) >= (account.epoch_no, account.head)",
        &[
            &gateway,
            &epoch_no,
            &accounts.head.min(i64::MAX.cast_unsigned()).cast_signed(),
            &meters,
            &each(|day| day.start_ms),
            &each(|day| day.end_ms),
            &each(|day| day.expected.into()),
            &each(|day| day.received.into()),
            &each(|day| day.late.into()),
            &each(|day| day.from_memory.into()),
            &each(|day| day.corrected.into()),
            &each(|day| day.unplanned.into()),
            &missing,
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn of_site(
    db: &mut Work<'_>,
    site: SiteId,
    span: &Range<i64>,
) -> Result<Vec<AccountDay>, Trouble> {
    let found = db
        .rows(
            "SELECT account.*
           FROM account
           JOIN gateway USING (gateway)
          WHERE site = $1 AND starts_ms >= $2 AND starts_ms < $3
          ORDER BY meter, starts_ms, gateway",
            &[&site.uuid(), &span.start, &span.end],
        )
        .await?;
    found.iter().map(day).collect()
}

fn day(row: &Row) -> Result<AccountDay, Trouble> {
    let count = |column: &str| -> Result<u32, Trouble> {
        let found: i64 = row.try_get(column)?;
        u32::try_from(found).map_err(|_| Trouble::foreign("a count", found))
    };
    Ok(AccountDay {
        meter: MeterId::from_uuid(row.try_get("meter")?),
        start_ms: row.try_get("starts_ms")?,
        end_ms: row.try_get("ends_ms")?,
        expected: count("expected")?,
        received: count("received")?,
        late: count("late")?,
        from_memory: count("from_memory")?,
        corrected: count("corrected")?,
        unplanned: count("unplanned")?,
        missing: columns::counts(row.try_get("missing")?)?,
    })
}

pub(super) async fn completeness(
    db: &mut Work<'_>,
    site: Option<SiteId>,
    span: &Range<i64>,
) -> Result<HashMap<SiteId, Completeness>, Trouble> {
    let found = db
        .rows(
            "SELECT site, sum(expected)::bigint AS expected,
                sum(received + late + from_memory + corrected)::bigint AS got
           FROM account
           JOIN gateway USING (gateway)
          WHERE starts_ms >= $1 AND starts_ms < $2 AND ($3::uuid IS NULL OR site = $3)
          GROUP BY site
         HAVING sum(expected) > 0",
            &[&span.start, &span.end, &site.map(SiteId::uuid)],
        )
        .await?;
    let mut all = HashMap::new();
    for row in found {
        let (expected, got) = (rows::number(&row, "expected")?, rows::number(&row, "got")?);
        let site = SiteId::from_uuid(row.try_get("site")?);
        all.insert(site, Completeness { expected, got });
    }
    Ok(all)
}
