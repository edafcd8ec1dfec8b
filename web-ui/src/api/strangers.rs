//! Who is heard on a wire and is not one of its meters, as told with the bus.

use metering::Medium;
use serde::Serialize;
use utoipa::ToSchema;

use crate::handles::HeardStranger;
use crate::wire::Time;

/// A meter that is heard and not in the configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stranger)]
pub(crate) struct StrangerBody {
    /// By which it would be configured: `67001122KAM1B16`, a topic.
    name: String,
    /// Its maker's three letters; empty if it tells none.
    manufacturer: String,
    medium: Option<&'static str>,
    /// How strong it came in last, if the receiver tells.
    rssi_dbm: Option<i16>,
    /// Whether it takes a key that is not here to read it.
    sealed: bool,
    /// When it was heard last.
    at: Time,
    /// How often it was heard since the daemon started.
    count: u64,
}

impl StrangerBody {
    pub(crate) fn of(stranger: &HeardStranger) -> Self {
        Self {
            name: stranger.name.clone(),
            manufacturer: stranger.identity.manufacturer.clone(),
            medium: stranger.medium.map(Medium::code),
            rssi_dbm: stranger.rssi_dbm,
            sealed: stranger.sealed,
            at: Time(stranger.at),
            count: stranger.count,
        }
    }
}
