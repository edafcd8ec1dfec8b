//! The gateway's side of the portfolio service: who we are to it, what it is told of the building,
//! and how far the sync is.
//!
//! ```text
//! enrol (page, command) ──▶ identity ──▶ keys/cloud-identity (0600)
//!                              ├───────▶ uploader ──▶ portfolio
//!                              └───────▶ canary, probe
//! site ──▶ building ──▶ uploader        status ──▶ board
//! ```
//!
//! **Never true:** that reading meters waits for any of this.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use cloud_sync::{Budget, Building, BuildingMeter, Identity, Pace, Traffic, Uploader, Way};
use metering::{Clock, GatewayId, Medium, SiteId};
use store::{Core, Outbox, Readers};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time;
use tokio_util::sync::CancellationToken;
use web_ui::{MonthTraffic, NotEnrolled, Site};

use crate::board::Board;
use crate::config::{Cloud, LineProfile};
use crate::keys;
use crate::restart::Task;
use crate::spending::Counters;

/// Whom the portfolio knows us as; `None` before the enrolment.
pub(crate) type KnownAs = Option<Arc<Identity>>;

/// Everything about the cloud that others hold an end of.
#[derive(Clone, Debug)]
pub(crate) struct CloudParts {
    pub(crate) state: PathBuf,
    pub(crate) gateway: GatewayId,
    pub(crate) core: Core,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: watch::Sender<KnownAs>,
    /// What `site.toml` says of it.
    pub(crate) wanted: watch::Sender<Option<Cloud>>,
    /// What has gone over the line.
    pub(crate) counters: Counters,
    /// A word here when an alarm begins: the portfolio hears of it at once.
    pub(crate) alarm: Arc<Notify>,
    /// A word here when the portfolio asks something that is not known here.
    pub(crate) errands: Arc<Notify>,
}

/// By which way the portfolio is reached, counted in `traffic`.
pub(crate) fn way(cloud: Option<&Cloud>, traffic: &Arc<Traffic>) -> Way {
    Way::new(cloud.and_then(|cloud| cloud.proxy.clone()), Arc::clone(traffic))
}

impl CloudParts {
    /// Joins the portfolio at `url` with a one-time code. What was known before is replaced only
    /// when that has worked.
    ///
    /// # Errors
    ///
    /// Why it has not.
    pub(crate) async fn enrol(&self, url: &str, code: &str) -> Result<(), NotEnrolled> {
        let way = way(self.wanted.borrow().as_ref(), &self.counters.sync);
        let identity = enrol(url, code, self.gateway, &*self.clock, &way).await?;
        keep(&self.state, &identity).map_err(|error| NotEnrolled::Failed(crate::chain(&error)))?;
        let detail = identity.url().to_string();
        if let Err(error) = self.core.audit("gateway".into(), "enrolled".into(), detail).await {
            tracing::error!(error = crate::chain(&error), "the enrolment is not in the audit log");
        }
        tracing::info!(url = %identity.url(), "enrolled");
        self.identity.send_replace(Some(Arc::new(identity)));
        Ok(())
    }
}

/// Makes an identity of a one-time code.
///
/// # Errors
///
/// Why there is none.
pub(crate) async fn enrol(
    url: &str,
    code: &str,
    gateway: GatewayId,
    clock: &dyn Clock,
    way: &Way,
) -> Result<Identity, NotEnrolled> {
    cloud_sync::enrol(url, code, gateway, clock, way).await.map_err(|error| match error {
        cloud_sync::EnrolError::Clock => NotEnrolled::Clock,
        error if error.is_code() => NotEnrolled::Code,
        error if error.is_unreachable() => NotEnrolled::Unreachable(crate::chain(&error)),
        error => NotEnrolled::Failed(crate::chain(&error)),
    })
}

/// As one sentence.
pub(crate) fn sentence(because: &NotEnrolled) -> &str {
    match because {
        NotEnrolled::Code => "the code is wrong, spent or too old: ask for a new one",
        NotEnrolled::Clock => {
            "the clock of this machine is not trusted yet, so no certificate can be checked; see \
             [clock] in fyrhus.toml"
        }
        NotEnrolled::Unreachable(why) | NotEnrolled::Failed(why) => why,
    }
}

/// Keeps `identity`, with its key, where nobody else can read it.
///
/// # Errors
///
/// If the state directory cannot be written; the old one is then still there.
pub(crate) fn keep(state: &Path, identity: &Identity) -> std::io::Result<()> {
    keys::put(&file(state), &identity.to_text())
}

/// What an earlier enrolment left. A damaged one is said, and the gateway works on without.
pub(crate) fn kept(state: &Path, gateway: GatewayId) -> KnownAs {
    let text = match std::fs::read_to_string(file(state)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the kept identity cannot be read");
            return None;
        }
    };
    match Identity::from_text(&text) {
        Ok(identity) if identity.gateway() == gateway => Some(Arc::new(identity)),
        Ok(identity) => {
            let other = identity.gateway();
            tracing::error!(%other, "the kept identity is another gateway's: enrol this one");
            None
        }
        Err(error) => {
            tracing::error!(error = crate::chain(&error), "the kept identity cannot be used");
            None
        }
    }
}

fn file(state: &Path) -> PathBuf {
    state.join("keys").join("cloud-identity")
}

/// Sends what the outbox has, for as long as there is a building.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) parts: CloudParts,
    pub(crate) outbox: Outbox,
    pub(crate) readers: Readers,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) status: watch::Sender<cloud_sync::SyncStatus>,
    pub(crate) budget: watch::Receiver<Option<Budget>>,
    /// Whether the portfolio takes readings.
    pub(crate) sent: mpsc::Sender<cloud_sync::Sent>,
    pub(crate) shutdown: CancellationToken,
}

impl Task for Upload {
    fn name(&self) -> String {
        "sync".to_owned()
    }

    async fn live(&mut self) {
        // In commissioning there is nothing to tell.
        let Some(building) = self.first_building().await else { return };
        let (tell, building) = watch::channel(Arc::new(building));
        let mut wanted = self.parts.wanted.subscribe();
        let hurry = Arc::new(Notify::new());
        loop {
            let cloud = wanted.borrow_and_update().clone();
            let line = line(cloud.as_ref());
            let uploader = Uploader {
                outbox: self.outbox.clone(),
                readers: self.readers.clone(),
                building: building.clone(),
                identity: self.parts.identity.clone(),
                status: self.status.clone(),
                clock: Arc::clone(&self.parts.clock),
                pace: match line {
                    LineProfile::Wired => Pace::WIRED,
                    LineProfile::Metered => Pace::METERED,
                },
                way: way(cloud.as_ref(), &self.parts.counters.sync),
                budget: self.budget.clone(),
                hurry: Arc::clone(&hurry),
                sent: self.sent.clone(),
                errands: Arc::clone(&self.parts.errands),
            };
            let proxy = |cloud: &Option<Cloud>| cloud.as_ref().and_then(|it| it.proxy.clone());
            let same_line = |now: &Option<Cloud>| {
                self::line(now.as_ref()) == line && proxy(now) == proxy(&cloud)
            };
            tokio::select! {
                () = uploader.run(self.shutdown.clone()) => return,
                () = names(&mut self.site, &tell) => return,
                () = hasten(&self.parts.alarm, &hurry) => return,
                changed = wanted.wait_for(|now| !same_line(now)) => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Upload {
    async fn first_building(&mut self) -> Option<Building> {
        let site = self.site.wait_for(|site| site.id.is_some()).await.ok()?;
        building(&site)
    }
}

/// Has the next round begin at once when an alarm begins, for ever; an alarm that comes and goes once a
/// minute at most, for each round costs bytes.
async fn hasten(alarm: &Notify, hurry: &Notify) {
    loop {
        alarm.notified().await;
        hurry.notify_one();
        time::sleep(BETWEEN_ALARMS).await;
    }
}

const BETWEEN_ALARMS: Duration = Duration::from_mins(1);

/// Hands each change of the site on, for ever.
async fn names(site: &mut watch::Receiver<Arc<Site>>, tell: &watch::Sender<Arc<Building>>) {
    while site.changed().await.is_ok() {
        if let Some(building) = building(&site.borrow_and_update()) {
            tell.send_if_modified(|told| {
                let changed = **told != building;
                if changed {
                    *told = Arc::new(building);
                }
                changed
            });
        }
    }
}

fn building(site: &Site) -> Option<Building> {
    let id: SiteId = site.id?;
    let meters = site.meters.iter().map(|meter| BuildingMeter {
        id: meter.id,
        name: meter.name.clone(),
        medium: meter.medium.unwrap_or(Medium::Other),
    });
    Some(Building {
        site: id,
        name: site.name.clone(),
        place: site.place.clone(),
        time_zone: site.time_zone.name().to_owned(),
        meters: meters.collect(),
    })
}

pub(crate) fn line(cloud: Option<&Cloud>) -> LineProfile {
    cloud.map_or(LineProfile::Wired, |cloud| cloud.profile)
}

/// Keeps a renewed identity, and writes on the board how far the sync is.
#[derive(Debug)]
pub(crate) struct Bookkeeping {
    pub(crate) parts: CloudParts,
    pub(crate) status: watch::Receiver<cloud_sync::SyncStatus>,
    pub(crate) month: watch::Receiver<Option<MonthTraffic>>,
    pub(crate) board: Board,
}

impl Task for Bookkeeping {
    fn name(&self) -> String {
        "bookkeeping of the sync".to_owned()
    }

    async fn live(&mut self) {
        let mut identity = self.parts.identity.subscribe();
        let mut wanted = self.parts.wanted.subscribe();
        let mut kept = identity.borrow_and_update().clone();
        self.show(&wanted);
        loop {
            let changed = tokio::select! {
                changed = identity.changed() => changed,
                changed = self.status.changed() => changed,
                changed = wanted.changed() => changed,
                changed = self.month.changed() => changed,
            };
            if changed.is_err() {
                return; // Everybody else has stopped.
            }
            wanted.mark_unchanged();
            let now = identity.borrow_and_update().clone();
            if let Some(now) = now.filter(|now| kept.as_ref() != Some(now)) {
                match keep(&self.parts.state, &now) {
                    Ok(()) => kept = Some(now),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(error, "the renewed identity cannot be kept");
                    }
                }
            }
            self.show(&wanted);
        }
    }
}

impl Bookkeeping {
    fn show(&mut self, wanted: &watch::Receiver<Option<Cloud>>) {
        let told = self.status.borrow_and_update().clone();
        let known_as = self.parts.identity.borrow().clone();
        let month = *self.month.borrow_and_update();
        // The identity first: before there is a building the sync does not run, and tells nothing.
        let url = match &known_as {
            Some(identity) => Some(identity.url().to_string()),
            None => wanted.borrow().as_ref().map(|cloud| cloud.url.clone()),
        };
        let sync = url.map(|url| web_ui::SyncStatus {
            url,
            enrolled: known_as.is_some(),
            acked: told.acked,
            head: told.head,
            last_contact: told.last_contact_ms.and_then(DateTime::from_timestamp_millis),
            last_error: told.last_error,
            parked: told.parked,
            month,
            saves_until: told.saves_until_ms.and_then(DateTime::from_timestamp_millis),
        });
        self.board.change(|status| status.sync = sync);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_is_sent_at_once_and_one_that_comes_and_goes_once_a_minute() {
        let (alarm, hurry) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = tokio::spawn({
            let (alarm, hurry) = (Arc::clone(&alarm), Arc::clone(&hurry));
            async move { hasten(&alarm, &hurry).await }
        });
        let begun = time::Instant::now();
        let mut sent = Vec::new();
        while sent.len() < 3 {
            alarm.notify_one();
            if time::timeout(Duration::from_secs(7), hurry.notified()).await.is_ok() {
                sent.push(begun.elapsed().as_secs());
            }
        }
        assert_eq!(sent, [0, 60, 120]);
        task.abort();
    }
}
