//! Words of ours out of columns, of whichever database, and what can go wrong with that.

use std::error::Error;
use std::fmt::Display;

use access::{Session, Stamp};
use metering::{NoReading, Origin, Quality, Resolution, Unit, UserId};
use uuid::{NoContext, Timestamp, Uuid};

use crate::repository::{Person, RepositoryError, StoredReading};

/// What went wrong inside a transaction, which is rolled back then. `E` is the database's own word.
#[derive(Debug)]
pub(crate) enum Trouble<E> {
    Database(E),
    Foreign { what: &'static str, found: String },
}

impl<E> Trouble<E> {
    pub(crate) fn foreign(what: &'static str, found: impl Display) -> Self {
        Self::Foreign { what, found: found.to_string() }
    }
}

impl<E: Error + Send + Sync + 'static> Trouble<E> {
    /// The same, with what was to be done.
    pub(crate) fn when(self, doing: &'static str) -> RepositoryError {
        match self {
            Self::Database(cause) => RepositoryError::Failed { doing, cause: cause.into() },
            Self::Foreign { what, found } => RepositoryError::Foreign { what, found },
        }
    }
}

impl<E> From<E> for Trouble<E> {
    fn from(cause: E) -> Self {
        Self::Database(cause)
    }
}

/// `unit` and `decimals`.
pub(crate) fn resolution<E>(unit: &str, decimals: i8) -> Result<Resolution, Trouble<E>> {
    let known = Unit::from_code(unit).ok_or_else(|| Trouble::foreign("a unit", unit))?;
    Resolution::new(decimals, known).ok_or_else(|| Trouble::foreign("decimals", decimals))
}

/// `ts`, `value_mantissa` and `flags`.
pub(crate) fn reading<E>(
    at_ms: i64,
    mantissa: Option<i64>,
    flags: u32,
) -> Result<StoredReading, Trouble<E>> {
    let foreign = || Trouble::foreign("flags", flags);
    let [reason, quality, origin, _] = flags.to_le_bytes();
    let value = match mantissa {
        Some(mantissa) => Ok(mantissa),
        None => Err(NoReading::from_code(reason).ok_or_else(foreign)?),
    };
    Ok(StoredReading {
        at_ms,
        value,
        quality: Quality::from_code(quality).ok_or_else(foreign)?,
        origin: Origin::from_code(origin).ok_or_else(foreign)?,
    })
}

/// What [`reading`] reads from `flags`.
pub(crate) fn flags(value: Result<i64, NoReading>, quality: Quality, origin: Origin) -> u32 {
    let reason = value.err().map_or(0, NoReading::code);
    u32::from_le_bytes([reason, quality.code(), origin.code(), 0])
}

/// Somebody, by the columns of `person`.
pub(crate) fn person<E>(
    id: Uuid,
    name: &str,
    role: &str,
    password: String,
    made_ms: i64,
) -> Result<Person, Trouble<E>> {
    let user = access::User {
        id: UserId::from_uuid(id),
        name: name.parse().map_err(|_| Trouble::foreign("a person's name", name))?,
        role: role.parse().map_err(|_| Trouble::foreign("a role", role))?,
        meters: Vec::new(),
    };
    Ok(Person { user, password, made_ms })
}

/// The stamps of a session, `login` and `used`.
pub(crate) fn stamps<E>(
    login: Option<&str>,
    used: &str,
) -> Result<(Option<Stamp>, Stamp), Trouble<E>> {
    let last = used.parse().map_err(|_| Trouble::foreign("a time", used))?;
    Ok((login.and_then(|login| login.parse().ok()), last))
}

/// When a session that nobody uses has ended.
pub(crate) fn ends_ms(session: &Session) -> i64 {
    let lasts_ms = i64::try_from(Session::ENDS_AFTER.as_millis()).unwrap_or(i64::MAX);
    session.used.wall_ms.saturating_add(lasts_ms)
}

/// Version 7, so that sites sort by age.
pub(crate) fn uuid_v7(now_ms: i64) -> Uuid {
    let ms = u64::try_from(now_ms).unwrap_or_default();
    let nanos = u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}

/// For how long a code that is over is remembered: until then a spent one is told from a wrong one.
pub(crate) const CODE_REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;
