//! How many things there may be: gateways, meters and sensors, by what was agreed with whoever runs the service.
//!
//! ```text
//!  gateways   a code for one more is refused, with a sentence that says why
//!  meters     ┐ what is beyond is taken like all others, and marked
//!  sensors    ┘
//! ```
//!
//! A sensor is what counts nothing: a thermometer, a valve's position. Those that were set up last are beyond.
//!
//! **Never true:** that a reading is refused because of a quota.

use std::collections::{BTreeMap, BTreeSet};

use metering::{MeterId, SiteId};
use serde::Serialize;
use sync_wire::Kind;
use utoipa::ToSchema;

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{MeterState, Repository, RepositoryError, Site};

/// How many there may be of each; `None`: as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Of buildings with a gateway, or a code for one.
    pub gateways: Option<u32>,
    /// Of what counts something.
    pub meters: Option<u32>,
    /// Of what counts nothing.
    pub sensors: Option<u32>,
}

impl Quota {
    /// Whether a gateway of one more building may come.
    ///
    /// # Errors
    ///
    /// [`Code::Quota`] if there are as many as there may be.
    pub(crate) fn one_more(self, sites: &[Site], name: &str) -> Result<(), Problem> {
        // Who has given a gateway away has room for another.
        let sites: Vec<&Site> = sites.iter().filter(|site| site.released.is_none()).collect();
        let known = sites.iter().any(|site| site.name == name);
        match self.gateways.map(|most| most as usize) {
            Some(most) if !known && sites.len() >= most => {
                let detail = format!(
                    "Agreed are buildings: {most}; there are: {}. Have the quota raised first.",
                    sites.len()
                );
                Err(Problem::new(Code::Quota, detail).with("most", &most))
            }
            _ => Ok(()),
        }
    }

    /// Which meters and sensors are beyond it.
    pub(crate) fn beyond(
        self,
        sites: &[Site],
        all: &BTreeMap<SiteId, Vec<MeterState>>,
    ) -> BTreeSet<MeterId> {
        let mut beyond = BTreeSet::new();
        for (most, sensors) in [(self.meters, false), (self.sensors, true)] {
            let Some(most) = most else { continue };
            // An id begins with the time at which it was made.
            let of_kind = counting(sites, all).filter(|it| is_sensor(it) == sensors);
            let ids: BTreeSet<MeterId> = of_kind.map(|it| it.id).collect();
            beyond.extend(ids.into_iter().skip(most as usize));
        }
        beyond
    }
}

/// Which of all meters and sensors are beyond the quota. Where none is agreed nothing is asked.
pub(crate) async fn beyond<R: Repository>(
    people: &People<R>,
) -> Result<BTreeSet<MeterId>, RepositoryError> {
    let quota = people.settings.quota;
    if quota.meters.is_none() && quota.sensors.is_none() {
        return Ok(BTreeSet::new());
    }
    let sites = people.repository.sites().await?;
    Ok(quota.beyond(&sites, &people.repository.newest(None).await?))
}

/// The meters that count for a quota: what stays in a building whose gateway was given away does not.
fn counting<'a>(
    sites: &'a [Site],
    all: &'a BTreeMap<SiteId, Vec<MeterState>>,
) -> impl Iterator<Item = &'a MeterState> {
    let living = sites.iter().filter(|site| site.released.is_none());
    living.filter_map(|site| all.get(&site.id)).flatten()
}

fn is_sensor(meter: &MeterState) -> bool {
    let mut registers = meter.registers.iter();
    !meter.registers.is_empty() && registers.all(|(series, _)| series.kind != Kind::Counter)
}

/// What there is, and what there may be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaBody {
    /// Buildings with a gateway, or with a code for one.
    gateways: ThingsBody,
    /// What counts something.
    meters: ThingsBody,
    /// What counts nothing: a thermometer.
    sensors: ThingsBody,
}

/// Things of a kind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Things)]
struct ThingsBody {
    used: usize,
    /// `null`: as many as there are.
    limit: Option<u32>,
}

impl QuotaBody {
    pub(crate) async fn of<R: Repository>(people: &People<R>) -> Result<Self, RepositoryError> {
        let quota = people.settings.quota;
        let sites = people.repository.sites().await?;
        let gateways = sites.iter().filter(|site| site.released.is_none()).count();
        let all = people.repository.newest(None).await?;
        let sensors = counting(&sites, &all).filter(|it| is_sensor(it)).count();
        let meters = counting(&sites, &all).count() - sensors;
        let of = |used, limit| ThingsBody { used, limit };
        Ok(Self {
            gateways: of(gateways, quota.gateways),
            meters: of(meters, quota.meters),
            sensors: of(sensors, quota.sensors),
        })
    }
}
