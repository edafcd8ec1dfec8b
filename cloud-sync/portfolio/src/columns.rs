//! Words of ours out of columns, of whichever database, and what can go wrong with that.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use access::{Link, SecretHash, Session, Stamp};
use metering::{NoReading, Origin, Quality, Resolution, Unit, UserId};
use uuid::{NoContext, Timestamp, Uuid};

use crate::repository::{
    Kept, Person, Position, Released, RepositoryError, Seen, StoredReading, TakenOver, Token,
};

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

/// `released_ms`, `released_by` and `released_all`.
pub(crate) fn released(
    at_ms: Option<i64>,
    who: Option<String>,
    all: Option<i16>,
) -> Option<Released> {
    let (who, with_readings) = (who.unwrap_or_default(), all.is_some_and(|all| all != 0));
    Some(Released { at_ms: at_ms?, who, with_readings })
}

/// `taken_ms` and `taken_all`.
pub(crate) fn taken_over(at_ms: Option<i64>, all: Option<i16>) -> Option<TakenOver> {
    Some(TakenOver { at_ms: at_ms?, with_readings: all.is_some_and(|all| all != 0) })
}

/// What [`reading`] reads from `flags`.
pub(crate) fn flags(value: Result<i64, NoReading>, quality: Quality, origin: Origin) -> u32 {
    let reason = value.err().map_or(0, NoReading::code);
    u32::from_le_bytes([reason, quality.code(), origin.code(), 0])
}

/// `missing` of an account: `silent 4 power_off 2`.
pub(crate) fn counts_text(counts: &[(String, u32)]) -> String {
    let words: Vec<String> = counts.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
    words.join(" ")
}

/// What [`counts_text`] wrote.
pub(crate) fn counts<E>(text: &str) -> Result<Vec<(String, u32)>, Trouble<E>> {
    let mut words = text.split_ascii_whitespace();
    let mut counts = Vec::new();
    while let Some(cause) = words.next() {
        let count = words.next().and_then(|word| word.parse().ok());
        let count = count.ok_or_else(|| Trouble::foreign("causes", text))?;
        counts.push((cause.to_owned(), count));
    }
    Ok(counts)
}

/// Ids in one column: `counted` and `tags` of a site.
pub(crate) fn words_text<T: Display>(ids: &[T]) -> String {
    let words: Vec<String> = ids.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// What [`words_text`] wrote. What is no id is no meter, and no tag.
pub(crate) fn words<T: FromStr>(text: &str) -> Vec<T> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// `latitude_udeg` and `longitude_udeg` of a site.
pub(crate) fn position(latitude: Option<i32>, longitude: Option<i32>) -> Option<Position> {
    Some(Position { latitude_udeg: latitude?, longitude_udeg: longitude? })
}

/// `link` of a person, whose row has this name.
pub(crate) fn link<E>(text: &str, row_name: &str) -> Result<Link, Trouble<E>> {
    let data = serde_json::from_str(text).map_err(|_| Trouble::foreign("a link", "?"))?;
    Ok(Link::of_data(data, row_name))
}

/// Whose row it is, of `person`.
pub(crate) fn user<E>(id: Uuid, name: &str, role: &str) -> Result<access::User, Trouble<E>> {
    Ok(access::User {
        id: UserId::from_uuid(id),
        name: name.parse().map_err(|_| Trouble::foreign("a person's name", name))?,
        role: role.parse().map_err(|_| Trouble::foreign("a role", role))?,
        meters: Vec::new(),
    })
}

/// Everybody of `people`, with those of the sessions that are theirs: whose they are, `used`, and whether it
/// is a token.
pub(crate) fn seen<E>(
    people: Vec<Person>,
    sessions: &[(Uuid, String, bool)],
) -> Result<Vec<Seen>, Trouble<E>> {
    let mut all = Vec::new();
    for person in people {
        let mut seen = Seen { person, sessions: 0, tokens: 0, used_ms: None };
        let id = seen.person.user.id.uuid();
        for (_, used, is_token) in sessions.iter().filter(|(of, ..)| *of == id) {
            let (_, used) = stamps(None, used)?;
            seen.sessions += u32::from(!is_token);
            seen.tokens += u32::from(*is_token);
            seen.used_ms = seen.used_ms.max(Some(used.wall_ms));
        }
        all.push(seen);
    }
    Ok(all)
}

/// The stamps of a session, `login` and `used`.
pub(crate) fn stamps<E>(
    login: Option<&str>,
    used: &str,
) -> Result<(Option<Stamp>, Stamp), Trouble<E>> {
    let last = used.parse().map_err(|_| Trouble::foreign("a time", used))?;
    Ok((login.and_then(|login| login.parse().ok()), last))
}

/// A session by its columns.
pub(crate) fn kept<E>(
    hash: SecretHash,
    user: Uuid,
    (login, used): (Option<&str>, &str),
    token: Option<&str>,
) -> Result<Kept, Trouble<E>> {
    let token = match token {
        // One that cannot be read is no browser's, and lets nobody in.
        Some(text) => Some(Token::read(text).ok_or_else(|| Trouble::foreign("a token", "?"))?),
        None => None,
    };
    let (login, used) = stamps(login, used)?;
    Ok(Kept { session: Session { hash, user: UserId::from_uuid(user), login, used }, token })
}

/// Version 7, so that sites sort by age.
pub(crate) fn uuid_v7(now_ms: i64) -> Uuid {
    let ms = u64::try_from(now_ms).unwrap_or_default();
    let nanos = u32::try_from(ms % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}

/// For how long a code that is over is remembered: until then a spent one is told from a wrong one.
pub(crate) const CODE_REMEMBERED_MS: i64 = 30 * 24 * 3_600_000;
