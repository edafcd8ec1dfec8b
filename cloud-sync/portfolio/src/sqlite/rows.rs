//! Words of ours out of rows of SQLite.

use metering::Resolution;
use rusqlite::Row;
use uuid::Uuid;

use crate::columns;
pub(super) use crate::columns::flags;
use crate::repository::StoredReading;

/// What went wrong inside a transaction, which is rolled back then.
pub(super) type Trouble = columns::Trouble<rusqlite::Error>;

/// An id of 16 bytes.
pub(super) fn uuid(row: &Row<'_>, column: &str) -> Result<Uuid, Trouble> {
    Ok(Uuid::from_bytes(row.get(column)?))
}

/// A number of readings. SQLite counts to 2⁶³, no gateway gets there.
pub(super) fn number(row: &Row<'_>, column: &str) -> Result<u64, Trouble> {
    let number: i64 = row.get(column)?;
    Ok(number.cast_unsigned())
}

/// `unit` and `decimals`.
pub(super) fn resolution(row: &Row<'_>) -> Result<Resolution, Trouble> {
    let unit: String = row.get("unit")?;
    columns::resolution(&unit, row.get("decimals")?)
}

/// `ts`, `value_mantissa` and `flags`.
pub(super) fn reading(row: &Row<'_>) -> Result<StoredReading, Trouble> {
    columns::reading(row.get("ts")?, row.get("value_mantissa")?, row.get("flags")?)
}
