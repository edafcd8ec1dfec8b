//! Writes down what happens: each alarm from its beginning to its end, outages of the cloud and what
//! was said of them as the ledger has it, changes of the configuration.
//!
//! ```text
//! site, live, status ──▶ what deserves a look ── not known yet? ──▶ event begins
//!                                             └─ not there any more ──▶ event ends
//! ledger, versions ──▶ outages, notices, changes, each with its time ──▶ events
//! ```
//!
//! **Never true:** that an alarm is told twice because the gateway was started anew. What goes on is
//! read from the store first, and goes on.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use ledger::Month;
use ledger::book::Book;
use ledger::chain::Chain;
use ledger::entry::{self, Fact};
use metering::Trust;
use store::{Event, StoreError};
use tokio::sync::Notify;
use tokio::time::{self, MissedTickBehavior};

use crate::handles::MeterInfo;
use crate::{Handles, watchful};

/// What is known: how far versions and ledger were looked through, and which alarms go on.
#[derive(Debug)]
pub struct Chronicle {
    handles: Handles,
    going_on: Option<BTreeMap<(String, String), Event>>,
    version: u64,
    entries: u64,
    /// What was called to mind in this life.
    reminded: BTreeSet<(String, u64)>,
    /// Is told when an alarm begins.
    begun: Arc<Notify>,
}

impl Chronicle {
    /// The one of the gateway with these handles.
    pub fn new(handles: Handles) -> Self {
        Self {
            handles,
            going_on: None,
            version: 0,
            entries: 0,
            reminded: BTreeSet::new(),
            begun: Arc::default(),
        }
    }

    /// The same, which tells `begun` when an alarm begins.
    #[must_use]
    pub fn telling(self, begun: Arc<Notify>) -> Self {
        Self { begun, ..self }
    }

    /// Looks every few seconds, for ever.
    pub async fn keep(&mut self) {
        let mut every = time::interval(LOOK);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "events are not kept");
            }
        }
    }

    /// One look. While nobody knows what time it is nothing is written down.
    pub(crate) async fn look(&mut self) -> Result<(), StoreError> {
        let now = self.handles.clock.now();
        if now.trust == Trust::Untrusted {
            return Ok(());
        }
        self.alarms(now.wall).await?;
        self.reminders(now.wall_ms()).await?;
        self.changes().await?;
        self.outages(now.wall.timestamp()).await
    }

    async fn alarms(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now_ms = now.timestamp_millis();
        let core = &self.handles.core;
        if self.going_on.is_none() {
            let open = core.open_events().await?;
            let keyed = open.into_iter().map(|it| ((it.code.clone(), it.subject.clone()), it));
            self.going_on = Some(keyed.collect());
        }
        let going_on = self.going_on.get_or_insert_default();
        let seen = {
            let site = self.handles.site.borrow();
            let (live, status) = (self.handles.live.borrow(), self.handles.status.borrow());
            let owed = self.handles.owed.borrow();
            let certificate = self.handles.certificate.borrow();
            let meters: Vec<&MeterInfo> = site.meters.iter().collect();
            let certificate = (&**certificate, now);
            watchful::notices(&site, &live, &status, &owed, certificate, &meters, true)
        };
        let seen: BTreeMap<(String, String), String> = seen
            .into_iter()
            // A meter that is late is not silent yet, and mostly answers the next time.
            .filter(|notice| notice.code != "late")
            .map(|notice| {
                let month = notice.params.get("month").cloned();
                let subject = notice.meter.or(notice.bus).or(month).unwrap_or_default();
                let params = serde_json::to_string(&notice.params).unwrap_or_default();
                ((notice.code.to_owned(), subject), params)
            })
            .collect();
        let over: Vec<_> =
            going_on.keys().filter(|key| !seen.contains_key(*key)).cloned().collect();
        for key in over {
            let Some(event) = going_on.get(&key).cloned() else { continue };
            let until_ms = Some(now_ms.max(event.from_ms));
            core.put_event(Event { until_ms, ..event }).await?;
            going_on.remove(&key);
        }
        for ((code, subject), params) in seen {
            let key = (code.clone(), subject.clone());
            if let Entry::Vacant(place) = going_on.entry(key) {
                let event = Event { from_ms: now_ms, until_ms: None, code, subject, params };
                core.put_event(event.clone()).await?;
                place.insert(event);
                self.begun.notify_one();
            }
        }
        Ok(())
    }

    /// That a notice of breach has to be given soon, once at each of the days before the last one.
    async fn reminders(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let owed = self.handles.owed.borrow().clone();
        for owed in owed.iter() {
            for left in REMIND_DAYS {
                let day = owed.deadline.checked_sub_days(Days::new(left));
                let Some(day) = day else { continue };
                let from_ms = day.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
                let key = (owed.month.clone(), left);
                if from_ms > now_ms || self.reminded.contains(&key) {
                    continue;
                }
                let params = [
                    ("month", owed.month.clone()),
                    ("deadline", owed.deadline.to_string()),
                    ("days", left.to_string()),
                ];
                let event = instant("reminder", from_ms, format!("{}/{left}", owed.month), params);
                self.handles.core.put_event(event).await?;
                self.reminded.insert(key);
            }
        }
        Ok(())
    }

    /// Versions of the configuration that are newer than the last one known.
    async fn changes(&mut self) -> Result<(), StoreError> {
        let version = self.handles.site.borrow().version;
        if version == self.version {
            return Ok(());
        }
        let core = &self.handles.core;
        let mut versions = core.versions(MOST_VERSIONS).await?;
        versions.retain(|it| it.number > self.version);
        for head in versions.into_iter().rev() {
            let params = [("who", head.who), ("why", head.why)];
            let subject = head.number.to_string();
            core.put_event(instant("configuration", head.at_ms, subject, params)).await?;
        }
        self.version = version;
        Ok(())
    }

    /// What was said since the last look, and the outages of the running month and of the one before,
    /// whenever the ledger has grown.
    async fn outages(&mut self, now: i64) -> Result<(), StoreError> {
        let core = &self.handles.core;
        let entries = core.chain_len().await?;
        if entries == self.entries {
            return Ok(());
        }
        let ledger = core.ledger(0).await?;
        let known = self.entries;
        let read = move || {
            let mut found = outages(&ledger, now);
            found.extend(said(&ledger, known));
            found
        };
        let found = tokio::task::spawn_blocking(read).await;
        for event in found.unwrap_or_default() {
            core.put_event(event).await?;
        }
        self.entries = entries;
        Ok(())
    }
}

fn outages(ledger: &[Vec<u8>], now: i64) -> Vec<Event> {
    // One that does not hold is said on its own page, and in the log.
    let Ok(chain) = Chain::read(ledger.iter().map(Vec::as_slice)) else { return Vec::new() };
    let book = Book::new(chain.entries());
    let running = book.zone().and_then(|zone| Month::of(now, zone).ok());
    let before = running.and_then(|it| Month::of(it.span().start - 1, it.zone()).ok());
    let months = before.into_iter().chain(running);
    let statements = months.filter_map(|month| book.statement(&month.to_string()).ok());
    let outages = statements.flat_map(|statement| statement.settled.outages);
    let event = |outage: ledger::settlement::Outage| Event {
        from_ms: 1_000 * outage.time.from(),
        until_ms: Some(1_000 * outage.time.until()),
        code: "outage".into(),
        subject: String::new(),
        params: "{}".into(),
    };
    outages.map(event).collect()
}

/// What was said in the entries after the first `known` ones.
fn said(ledger: &[Vec<u8>], known: u64) -> Vec<Event> {
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    let entries = ledger.iter().skip(known).filter_map(|bytes| entry::Entry::from_bytes(bytes));
    entries.filter_map(|entry| told(&entry)).collect()
}

/// The event that an entry is; `None` of what is shown otherwise, or not at all.
fn told(entry: &entry::Entry) -> Option<Event> {
    let (code, params) = match &entry.fact {
        Fact::Contract(it) => ("contract", vec![("line", it.line.clone())]),
        Fact::Exclusion(it) => ("exclusion", vec![("id", it.id.clone()), ("who", it.who.clone())]),
        Fact::Answer(it) => (
            "answer",
            vec![
                ("id", it.exclusion.clone()),
                ("status", it.status.as_str().to_owned()),
                ("who", it.who.clone()),
            ],
        ),
        Fact::Claim(it) => ("claim", vec![("month", it.month.clone()), ("who", it.who.clone())]),
        Fact::Progress(it) => (
            "progress",
            vec![
                ("month", it.month.clone()),
                ("step", it.step.as_str().to_owned()),
                ("who", it.who.clone()),
            ],
        ),
        Fact::Statement(it) => {
            ("statement", vec![("month", it.month.clone()), ("tier", it.figures.tier.to_string())])
        }
        Fact::Open(_)
        | Fact::Attempts(_)
        | Fact::Battery(_)
        | Fact::Key(_)
        | Fact::Correction(_) => return None,
    };
    Some(instant(code, entry.at_ms, entry.seq.to_string(), params))
}

/// An event without a duration.
fn instant(
    code: &str,
    at_ms: i64,
    subject: String,
    params: impl IntoIterator<Item = (&'static str, String)>,
) -> Event {
    let params: BTreeMap<&str, String> = params.into_iter().collect();
    Event {
        from_ms: at_ms,
        until_ms: Some(at_ms),
        code: code.to_owned(),
        subject,
        params: serde_json::to_string(&params).unwrap_or_default(),
    }
}

/// So many days before the last day of a claim it is called to mind once more.
const REMIND_DAYS: [u64; 2] = [10, 3];

/// An alarm is told within this.
const LOOK: Duration = Duration::from_secs(5);

/// More were hardly saved since the last look.
const MOST_VERSIONS: u32 = 50;
