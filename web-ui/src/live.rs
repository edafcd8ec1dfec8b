//! `GET /api/v1/live`: what changed, as server-sent events.
//!
//! ```text
//! event: live      {"revision":12,"at":"…","meters":{"019a…":{"state":"ok", …}}}
//! event: status    as GET /api/v1/status, for those who may inspect
//! event: beat      {}: nothing changed, and the line is there
//! ```
//!
//! The first event has every meter, the later ones those that changed. The stream looks at a
//! `watch` when the network takes another event, so a slow page gets the newest state and nothing
//! is ever queued for it. The beat is an event and no comment, because a page cannot hear comments:
//! by its absence it knows that a cable was pulled, which ends no connection.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use access::Act;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use metering::{MeterId, NoReading};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::ToSchema;

use crate::api::buses::StatusBody;
use crate::api::meters::RegisterBody;
use crate::handles::{Live, LiveMeter, Site, Status};
use crate::places::Place;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Time;
use crate::{Web, people};

/// The stream. It ends with the session, and after five minutes; then the page connects again by
/// itself.
pub(crate) async fn live(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<impl IntoResponse, Problem> {
    let place = web.doors.streams.take(visitor.user.id).ok_or_else(|| {
        let detail = "Too many pages listen to live values. Close some of them.";
        Problem::new(Code::Busy, detail).retry_after(Duration::from_secs(30))
    })?;
    let mut feed = Feed {
        live: web.handles.live.clone(),
        site: web.handles.site.clone(),
        status: web.handles.status.clone(),
        ended: web.doors.ended.subscribe(),
        web,
        visitor,
        sent: HashMap::new(),
        begun: false,
        status_due: Instant::now(),
        ends: Instant::now() + LONGEST,
        _place: place,
    };
    feed.live.mark_changed();
    feed.status.mark_changed();
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let beat = Event::default().event("beat").data("{}");
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT).event(beat)))
}

/// The longest silence of a stream; a page that hears nothing for longer takes the line for dead.
const BEAT: Duration = Duration::from_secs(15);

const LONGEST: Duration = Duration::from_mins(5);

/// Meters of one round answer close to each other; they are told together.
const TOGETHER: Duration = Duration::from_millis(200);

/// The status counts every answer; nobody needs to see it count.
const STATUS_EVERY: Duration = Duration::from_secs(2);

struct Feed {
    live: watch::Receiver<Arc<Live>>,
    site: watch::Receiver<Arc<Site>>,
    status: watch::Receiver<Arc<Status>>,
    ended: watch::Receiver<()>,
    web: Arc<Web>,
    visitor: Visitor,
    /// What the page knows.
    sent: HashMap<MeterId, Arc<LiveMeter>>,
    begun: bool,
    status_due: Instant,
    ends: Instant,
    _place: Place,
}

enum Change {
    Live,
    Status,
    Sessions,
}

impl Feed {
    /// The next event; `None` when the stream has lasted long enough, its session has ended or the
    /// daemon stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let status = async {
                sleep_until(self.status_due).await;
                self.status.changed().await
            };
            let change = tokio::select! {
                biased;
                () = sleep_until(self.ends) => return None,
                changed = self.ended.changed() => changed.ok().map(|()| Change::Sessions)?,
                changed = self.live.changed() => changed.ok().map(|()| Change::Live)?,
                changed = status => changed.ok().map(|()| Change::Status)?,
                changed = self.site.changed() => changed.ok().map(|()| Change::Live)?,
            };
            if self.begun && !matches!(change, Change::Sessions) {
                sleep(TOGETHER).await;
            }
            let event = match change {
                Change::Live => self.live_event(),
                Change::Status if self.visitor.may(Act::Inspect) => self.status_event(),
                Change::Status => {
                    self.status_due = self.ends;
                    None
                }
                Change::Sessions => {
                    let session = self.visitor.session.hash;
                    people::session(&self.web.handles.core, session).await.ok()??;
                    None
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// What the page does not know yet; `None` if that is nothing.
    fn live_event(&mut self) -> Option<Event> {
        let live = Arc::clone(&self.live.borrow_and_update());
        let site = Arc::clone(&self.site.borrow_and_update());
        let mut meters = BTreeMap::new();
        for meter in site.meters.iter().filter(|meter| self.visitor.user.sees(meter.id)) {
            let Some(newest) = live.meters.get(&meter.id) else {
                continue;
            };
            let known = self.sent.get(&meter.id).is_some_and(|sent| Arc::ptr_eq(sent, newest));
            if !known {
                meters.insert(meter.id.to_string(), LiveBody::of(newest));
                self.sent.insert(meter.id, Arc::clone(newest));
            }
        }
        if self.begun && meters.is_empty() {
            return None;
        }
        self.begun = true;
        let at = Time(self.web.now().wall);
        event("live", &LiveEvent { revision: live.revision, at, meters })
    }

    fn status_event(&mut self) -> Option<Event> {
        self.status.mark_unchanged();
        self.status_due = Instant::now() + STATUS_EVERY;
        event("status", &StatusBody::of(&self.web))
    }
}

fn event(name: &str, body: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(body).ok()
}

/// Meters whose newest values a page does not know yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveEvent {
    revision: u64,
    at: Time,
    /// By id.
    meters: BTreeMap<String, LiveBody>,
}

/// How a meter is doing, and what its last answer held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveMeter)]
pub(crate) struct LiveBody {
    /// `ok`, `late`, `silent`, `new`.
    state: &'static str,
    /// When it was asked last.
    at: Time,
    /// When it answered last.
    last_answer: Option<Time>,
    /// Why the newest question has no answer.
    reason: Option<&'static str>,
    /// How long the last answer took.
    took_ms: Option<u64>,
    values: Vec<RegisterBody>,
}

impl LiveBody {
    fn of(meter: &LiveMeter) -> Self {
        Self {
            state: meter.state.as_str(),
            at: Time(meter.at),
            last_answer: meter.last_answer.map(Time),
            reason: meter.absent.map(NoReading::as_str),
            took_ms: meter.took_ms(),
            values: meter.values.iter().map(RegisterBody::of_live).collect(),
        }
    }
}
