//! Metering points of dwellings, and who looked at them.

use access::Role;
use metering::{MeterId, SiteId, UserId};
use uuid::Uuid;

use super::RepositoryError;

/// A metering point whose readings tell how somebody lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dwelling {
    /// The meter.
    pub meter: MeterId,
    /// Whose it is: a pseudonym or a name, as the owner of the building wrote it.
    pub household: String,
    /// The roles that see what it showed within a day.
    pub fine: Vec<Role>,
    /// When somebody said so last, in milliseconds since 1970.
    pub marked_ms: i64,
    /// Who, by name.
    pub marked_by: String,
}

impl Dwelling {
    /// [`fine`](Self::fine) as it is kept.
    pub(crate) fn fine_text(&self) -> String {
        let roles: Vec<&str> = self.fine.iter().map(|role| role.as_str()).collect();
        roles.join(" ")
    }

    /// What [`fine_text`](Self::fine_text) wrote. What cannot be read sees nothing.
    pub(crate) fn fine_of(text: &str) -> Vec<Role> {
        text.split_whitespace().filter_map(|role| role.parse().ok()).collect()
    }
}

/// What somebody said that they look at a dwelling's readings for, and how often they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its name.
    pub id: Uuid,
    /// The meter.
    pub meter: MeterId,
    /// Who it is.
    pub user: UserId,
    /// Their name then.
    pub who: String,
    /// What for, as a word.
    pub purpose: String,
    /// When they said so, in milliseconds since 1970.
    pub at_ms: i64,
    /// When they looked last; `None` if they never did.
    pub last_ms: Option<i64>,
    /// How often they were shown something.
    pub looks: u32,
    /// How many files they took.
    pub downloads: u32,
}

/// Keeps them.
pub trait Dwellings {
    /// The dwellings of a site.
    fn dwellings(
        &self,
        site: SiteId,
    ) -> impl Future<Output = Result<Vec<Dwelling>, RepositoryError>> + Send;

    /// Says that a meter is a dwelling's, or something else of it; `false` if there is no such site.
    fn put_dwelling(
        &self,
        site: SiteId,
        dwelling: Dwelling,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Says that it is none; whether it was. Who looked stays.
    fn remove_dwelling(
        &self,
        site: SiteId,
        meter: MeterId,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Keeps what somebody says that they look for. Who said the same since `since_ms` is on record already: that
    /// row holds from now on.
    fn state_purpose(
        &self,
        site: SiteId,
        look: Look,
        since_ms: i64,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Somebody looks at `now_ms`, or takes a file, for what they said last, since `since_ms`; `false`, and
    /// nothing is to be shown, if they said nothing since then.
    fn count_look(
        &self,
        site: SiteId,
        meter: MeterId,
        user: UserId,
        since_ms: i64,
        now_ms: i64,
        is_download: bool,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Who looked in a site, the latest first: at most `limit` rows, those that come behind `before`.
    fn looks(
        &self,
        site: SiteId,
        before: Option<Uuid>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Look>, RepositoryError>> + Send;

    /// Forgets who looked before `before_ms`.
    fn tidy_looks(
        &self,
        before_ms: i64,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;
}
