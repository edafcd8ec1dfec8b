//! A gateway goes from one owner to another.

use metering::{GatewayId, SiteId};

use super::RepositoryError;
use crate::branches::TagId;

/// A building whose gateway went to another owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who gave it away, by name.
    pub who: String,
    /// Whether the readings went along.
    pub with_readings: bool,
}

/// A building whose gateway came from another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether the readings came along.
    pub with_readings: bool,
}

/// What of the books of a gateway is its owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// So many entries of the gateway's book are from before.
    pub customer_from: u64,
    /// And so many of the vendor's.
    pub vendor_from: u64,
}

/// What is given away, and how.
#[derive(Clone, Debug)]
pub struct Handover {
    /// The building whose gateway goes.
    pub site: SiteId,
    /// Who gives it, by name.
    pub who: String,
    /// Whether all readings go along, and are not here any more.
    pub with_readings: bool,
    /// The tags of the building to which it comes.
    pub tags: Vec<TagId>,
}

/// Why nothing was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGiven {
    /// There is no such building.
    NoSite,
    /// It has no gateway.
    NoGateway,
    /// It was given already.
    Released,
}

/// Gives gateways away.
pub trait Handovers {
    /// Takes all gateways from a building and puts them into one that is made for them, all at once: certificates
    /// and one-time codes of before are void, open errands are withdrawn, links to that building alone are
    /// gone, and whoever was let in to it by name is logged out. The answer is the building that was made.
    fn hand_over(
        &self,
        given: Handover,
        now_ms: i64,
    ) -> impl Future<Output = Result<Result<SiteId, NotGiven>, RepositoryError>> + Send;

    /// Keeps a one-time code for this building; `false` if there is none, or its gateway was given away.
    fn add_code_for(
        &self,
        site: SiteId,
        sha256: [u8; 32],
        expires_ms: i64,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// What of a gateway's books is its present owner's, if it had another before.
    fn owned(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<Option<Owned>, RepositoryError>> + Send;
}
