//! What an owner says of buildings beside their gateways: tags, position; and who comes by a link.

use access::{Link, SecretHash};
use metering::{GatewayId, SiteId, UserId};

use super::{Person, RepositoryError};
use crate::branches::{Tag, TagChange, TagId, WrongTag};

/// Where a building is, on WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// In millionths of a degree north of the equator, -90,000,000 to 90,000,000: 11 cm a step.
    pub latitude_udeg: i32,
    /// The same east of Greenwich, -180,000,000 to 180,000,000.
    pub longitude_udeg: i32,
}

/// One use of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkUse {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// From which address.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

/// Uses of one link that are kept; of more the oldest are forgotten.
pub(crate) const USES: i64 = 100;

/// Keeps the tree of tags, and what buildings have of it.
pub trait Branches {
    /// All tags.
    fn tags(&self) -> impl Future<Output = Result<Vec<Tag>, RepositoryError>> + Send;

    /// Changes the tree, unless what it would be is wrong: one change after the other, whichever
    /// receiver is told.
    fn change_tags(
        &self,
        change: TagChange,
    ) -> impl Future<Output = Result<Result<(), WrongTag>, RepositoryError>> + Send;

    /// The buildings that have tags, with these. Some may be gone.
    fn tagged(
        &self,
    ) -> impl Future<Output = Result<Vec<(SiteId, Vec<TagId>)>, RepositoryError>> + Send;

    /// Gives a building these tags instead of those that it had. Whether there is such a site.
    fn tag_site(
        &self,
        site: SiteId,
        tags: Vec<TagId>,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Says where a building is. Whether there is such a site.
    fn place_site(
        &self,
        site: SiteId,
        position: Option<Position>,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Keeps which version a gateway says that it is.
    fn note_version(
        &self,
        gateway: GatewayId,
        version: String,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;
}

/// Keeps links beside people. A link is a person without a name to log in as.
pub trait Links {
    /// Opens the link whose secret has this hash, and notes its use; `None` if there is none, or if it
    /// has ended.
    fn open_link(
        &self,
        hash: SecretHash,
        used: LinkUse,
    ) -> impl Future<Output = Result<Option<Person>, RepositoryError>> + Send;

    /// Another secret for a link; whoever came by the one before is out. Whether there is such a link.
    fn renew_link(
        &self,
        id: UserId,
        link: Link,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// Who came by a link, the latest first.
    fn link_uses(
        &self,
        id: UserId,
    ) -> impl Future<Output = Result<Vec<LinkUse>, RepositoryError>> + Send;
}
