//! Words of ours out of columns of SQLite, and what can go wrong with that.

use std::fmt::Display;

use metering::{NoReading, Origin, Quality, Resolution, Unit};
use rusqlite::Row;
use uuid::Uuid;

use crate::repository::{RepositoryError, StoredReading};

/// What went wrong inside a transaction, which is rolled back then.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    Foreign { what: &'static str, found: String },
}

impl Trouble {
    pub(super) fn foreign(what: &'static str, found: impl Display) -> Self {
        Self::Foreign { what, found: found.to_string() }
    }

    /// The same, with what was to be done.
    pub(super) fn when(self, doing: &'static str) -> RepositoryError {
        match self {
            Self::Sqlite(cause) => RepositoryError::Failed { doing, cause: cause.into() },
            Self::Foreign { what, found } => RepositoryError::Foreign { what, found },
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

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
    let (unit, decimals): (String, i8) = (row.get("unit")?, row.get("decimals")?);
    let known = Unit::from_code(&unit).ok_or_else(|| Trouble::foreign("a unit", &unit))?;
    Resolution::new(decimals, known).ok_or_else(|| Trouble::foreign("decimals", decimals))
}

/// `ts`, `value_mantissa` and `flags`.
pub(super) fn reading(row: &Row<'_>) -> Result<StoredReading, Trouble> {
    let flags: u32 = row.get("flags")?;
    let foreign = || Trouble::foreign("flags", flags);
    let [reason, quality, origin, _] = flags.to_le_bytes();
    let value = match row.get("value_mantissa")? {
        Some(mantissa) => Ok(mantissa),
        None => Err(NoReading::from_code(reason).ok_or_else(foreign)?),
    };
    Ok(StoredReading {
        at_ms: row.get("ts")?,
        value,
        quality: Quality::from_code(quality).ok_or_else(foreign)?,
        origin: Origin::from_code(origin).ok_or_else(foreign)?,
    })
}

/// What [`reading`] reads from `flags`.
pub(super) fn flags(value: Result<i64, NoReading>, quality: Quality, origin: Origin) -> u32 {
    let reason = value.err().map_or(0, NoReading::code);
    u32::from_le_bytes([reason, quality.code(), origin.code(), 0])
}
