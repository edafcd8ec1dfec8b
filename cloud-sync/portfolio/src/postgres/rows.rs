//! Words of ours out of rows of PostgreSQL.

use metering::{Resolution, SeriesId};
use sync_wire::Kind;
use tokio_postgres::Row;

use super::Trouble;
use crate::columns;
use crate::repository::{Series, StoredReading};

/// A number of readings. PostgreSQL counts to 2⁶³, no gateway gets there.
pub(super) fn number(row: &Row, column: &str) -> Result<u64, Trouble> {
    let number: i64 = row.try_get(column)?;
    Ok(number.cast_unsigned())
}

/// `unit` and `decimals`.
pub(super) fn resolution(row: &Row) -> Result<Resolution, Trouble> {
    let decimals: i16 = row.try_get("decimals")?;
    let narrow = i8::try_from(decimals).map_err(|_| Trouble::foreign("decimals", decimals))?;
    columns::resolution(row.try_get("unit")?, narrow)
}

/// `ts`, `value_mantissa` and `flags`.
pub(super) fn reading(row: &Row) -> Result<StoredReading, Trouble> {
    let flags: i32 = row.try_get("flags")?;
    columns::reading(row.try_get("ts")?, row.try_get("value_mantissa")?, flags.cast_unsigned())
}

/// `gateway`, `series`, `register`, `kind`, `unit`, `decimals` and `begins_ms`.
pub(super) fn series(row: &Row) -> Result<Series, Trouble> {
    let (number, kind): (i32, i16) = (row.try_get("series")?, row.try_get("kind")?);
    let register: &str = row.try_get("register")?;
    let known = u8::try_from(kind).ok().and_then(Kind::from_code);
    Ok(Series {
        gateway: row.try_get::<_, i32>("gateway")?.into(),
        number: number.cast_unsigned(),
        register: register.parse().map_err(|_| Trouble::foreign("a register", register))?,
        kind: known.ok_or_else(|| Trouble::foreign("a kind", kind))?,
        resolution: resolution(row)?,
        begins_ms: row.try_get("begins_ms")?,
    })
}

/// As in `series_name`.
pub(super) fn name(series: SeriesId) -> i64 {
    i64::from(series.get())
}
