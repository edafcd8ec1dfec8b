//! A partition for each day of readings, made when its first reading comes.
//!
//! It is made beside `readings` and attached to it, which stops nobody who writes. What may be there
//! is bounded: a partition of its own has each day from 2025 to 2099; everything else, which is old
//! history or the word of a wrong clock, is in the two that are there from the start.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, NaiveDate};
use sync_wire::Batch;
use tokio_postgres::error::SqlState;

use super::{TABLES, Trouble, Work};

/// 2025-01-01 to 2100-01-01, as in the first migration.
const DAYS: Range<i64> = 20_089..47_482;

const DAY_MS: i64 = 24 * 3_600_000;

/// The days since 1970 that need a partition.
pub(super) fn of(batch: &Batch) -> BTreeSet<i64> {
    let days = batch.readings().iter().map(|reading| reading.at_ms.div_euclid(DAY_MS));
    days.filter(|day| DAYS.contains(day)).collect()
}

/// Makes a day's partition, if nobody has yet.
pub(super) async fn make(db: &mut Work<'_>, day: i64) -> Result<(), Trouble> {
    let (from, until) = (day * DAY_MS, (day + 1) * DAY_MS);
    let date = DateTime::from_timestamp_millis(from).unwrap_or_default();
    let name = format!("readings_{}", date.format("%Y_%m_%d"));
    db.change("SELECT pg_advisory_xact_lock($1)", &[&TABLES]).await?;
    let found = db.row("SELECT 1 WHERE to_regclass($1) IS NOT NULL", &[&name]).await?;
    if found.is_none() {
        // The name and the limits are ours, and are digits.
        let made = format!(
            "CREATE TABLE {name} (LIKE readings INCLUDING ALL);
             ALTER TABLE readings ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({until})"
        );
        db.transaction.batch_execute(&made).await?;
    }
    Ok(())
}

/// Takes partitions away that are all before `before_ms` and empty, because their readings are
/// folded. Who comes with a reading of that day makes the partition again.
pub(super) async fn drop_empty(db: &mut Work<'_>, before_ms: i64) -> Result<(), Trouble> {
    let found = db
        .rows(
            "SELECT relname::text AS name
           FROM pg_inherits
           JOIN pg_class ON pg_class.oid = inhrelid
          WHERE inhparent = 'readings'::regclass AND relname LIKE 'readings\\_20%'
          ORDER BY relname",
            &[],
        )
        .await?;
    for row in found {
        let name: String = row.try_get("name")?;
        if day_named(&name).is_none_or(|day| (day + 1) * DAY_MS > before_ms) {
            continue;
        }
        // The name is ours: letters, digits and strokes. Whoever writes waits for this moment.
        let empty = format!("SELECT 1 AS one FROM {name} LIMIT 1");
        if db.transaction.query_opt(&empty, &[]).await?.is_some() {
            continue;
        }
        db.transaction
            .batch_execute(&format!("LOCK TABLE readings, {name} IN ACCESS EXCLUSIVE MODE"))
            .await?;
        if db.transaction.query_opt(&empty, &[]).await?.is_none() {
            db.transaction.batch_execute(&format!("DROP TABLE {name}")).await?;
        }
    }
    Ok(())
}

/// The day of `readings_2026_11_22`.
fn day_named(name: &str) -> Option<i64> {
    let date = name.strip_prefix("readings_")?.replace('_', "-");
    let date: NaiveDate = date.parse().ok()?;
    Some(date.signed_duration_since(NaiveDate::default()).num_days())
}

/// Whether a reading found no partition, though there was one: somebody took it away meanwhile, or
/// put an older backup in the place of the database.
pub(super) fn is_missing(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Database(error) if error.code() == Some(&SqlState::CHECK_VIOLATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_tells_its_day() {
        assert_eq!(day_named("readings_2025_01_01"), Some(DAYS.start));
        assert_eq!(day_named("readings_before_2025"), None);
        assert_eq!(day_named("readings_2025_13_01"), None);
    }

    #[test]
    fn the_limits_are_those_of_the_first_migration() {
        let migration = super::super::MIGRATIONS[0];
        assert!(migration.contains(&format!("TO ({})", DAYS.start * DAY_MS)));
        assert!(migration.contains(&format!("FROM ({})", DAYS.end * DAY_MS)));
    }
}
