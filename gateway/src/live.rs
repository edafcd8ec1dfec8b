//! The newest values of every meter, for the pages.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use drivers::Readout;
use metering::MeterId;
use store::{Latest, Snapshot};
use tokio::sync::watch;
use web_ui::{Live, LiveMeter, LiveValue, MeterState, Site};

use crate::poll::{Asked, Outcome};
use crate::told;

/// Keeps the values and shows them. Only the newest state is ever shown, and nobody waits.
#[derive(Debug)]
pub(crate) struct Newest {
    live: watch::Sender<Arc<Live>>,
    site: watch::Receiver<Arc<Site>>,
}

impl Newest {
    /// What the store still knows of the meters of `site`, so that a page after a restart shows
    /// old values with their age rather than none.
    pub(crate) fn new(
        site: watch::Receiver<Arc<Site>>,
        known: Vec<LiveSeed>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut meters = HashMap::new();
        for seed in known {
            meters.insert(seed.meter, Arc::new(seed.live));
        }
        let live = watch::Sender::new(Arc::new(Live { revision: 0, meters }));
        let mut newest = Self { live, site };
        newest.age(now);
        newest
    }

    /// For whoever looks at it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// The last values of `meter`.
    pub(crate) fn of(&self, meter: MeterId) -> Option<Arc<LiveMeter>> {
        self.live.borrow().meters.get(&meter).cloned()
    }

    /// Takes over what came of a question. A slot without one changes nothing: what is known of
    /// the meter is still the newest.
    pub(crate) fn asked(&mut self, asked: &Asked, values: Vec<LiveValue>) -> Arc<LiveMeter> {
        let before = self.live.borrow().meters.get(&asked.meter).cloned();
        let before = before.unwrap_or_else(|| Arc::new(never_asked(asked.at.wall)));
        let after = match &asked.outcome {
            Outcome::NotAsked => return before,
            Outcome::Answered(readout) => {
                let at = values.iter().map(|value| value.at).min().unwrap_or(asked.at.wall);
                answered(at, readout, values)
            }
            Outcome::Told(readout) => {
                let values = overlaid(&before.values, values);
                LiveMeter { took: None, ..answered(asked.at.wall, readout, values) }
            }
            Outcome::Failed(error) => LiveMeter {
                at: asked.at.wall,
                state: MeterState::Silent,
                absent: Some(error.no_reading()),
                error: Some(told::trouble(error)),
                ..(*before).clone()
            },
        };
        let after = Arc::new(after);
        self.live.send_modify(|live| {
            let live = Arc::make_mut(live);
            live.revision += 1;
            live.meters.insert(asked.meter, Arc::clone(&after));
        });
        after
    }

    /// Says which answers have grown old by `now`, and forgets meters that are no longer there.
    pub(crate) fn age(&mut self, now: DateTime<Utc>) {
        let site = Arc::clone(&self.site.borrow());
        self.live.send_if_modified(|live| {
            let aged: Vec<_> = site
                .meters
                .iter()
                .filter_map(|info| {
                    let meter = live.meters.get(&info.id)?;
                    let old = TimeDelta::from_std(info.poll_every).unwrap_or_default() * 2;
                    let late = meter.last_answer.is_none_or(|at| now - at > old);
                    (meter.state == MeterState::Ok && late).then_some(info.id)
                })
                .collect();
            let gone: Vec<_> =
                live.meters.keys().filter(|id| site.meter(**id).is_none()).copied().collect();
            if aged.is_empty() && gone.is_empty() {
                return false;
            }
            let live = Arc::make_mut(live);
            live.revision += 1;
            for id in aged {
                if let Some(meter) = live.meters.get_mut(&id) {
                    Arc::make_mut(meter).state = MeterState::Late;
                }
            }
            live.meters.retain(|id, _| !gone.contains(id));
            true
        });
    }
}

fn answered(at: DateTime<Utc>, readout: &Readout, values: Vec<LiveValue>) -> LiveMeter {
    LiveMeter {
        at,
        state: MeterState::Ok,
        absent: None,
        error: None,
        values,
        said: told::said(&readout.odd),
        last_answer: Some(at),
        took: Some(readout.took),
        identity: Some(readout.identity.clone()),
        telegrams: readout.telegrams.clone(),
    }
}

/// What still holds of `before`, with `newer` in its place: in the order in which a register was
/// first heard, so that a page stands still. Beyond [`MOST_VALUES`] the oldest is forgotten.
fn overlaid(before: &[LiveValue], newer: Vec<LiveValue>) -> Vec<LiveValue> {
    let mut values = before.to_vec();
    for value in newer {
        match values.iter_mut().find(|old| old.register == value.register) {
            Some(old) => *old = value,
            None => values.push(value),
        }
    }
    while values.len() > MOST_VALUES {
        let oldest = values.iter().enumerate().min_by_key(|(_, value)| value.at);
        let Some((at, _)) = oldest else { break };
        values.remove(at);
    }
    values
}

/// More registers than any meter has that says a part of them at a time.
const MOST_VALUES: usize = 512;

/// What the store knows of a meter.
#[derive(Debug)]
pub(crate) struct LiveSeed {
    pub(crate) meter: MeterId,
    pub(crate) live: LiveMeter,
}

/// What the store knows of `meters`.
pub(crate) fn known(store: &Snapshot<'_>, meters: &[MeterId]) -> Vec<LiveSeed> {
    let mut latest: HashMap<MeterId, Vec<Latest>> = HashMap::new();
    for point in store.latest_all() {
        latest.entry(point.series.meter).or_default().push(point);
    }
    let mut seeds = Vec::new();
    for meter in meters {
        let Some(points) = latest.remove(meter) else { continue };
        let Some(at) = points.iter().map(|point| point.at_ms).max().and_then(time) else {
            continue;
        };
        let absent = points.iter().find_map(|point| match point.value {
            Err(reason) if Some(at) == time(point.at_ms) => Some(reason),
            _ => None,
        });
        // One register that the meter leaves out does not make it silent.
        let absent = absent.filter(|_| points.iter().all(|point| point.value.is_err()));
        let live = LiveMeter {
            at,
            state: if absent.is_some() { MeterState::Silent } else { MeterState::Ok },
            absent,
            error: None,
            values: points.iter().filter_map(value).collect(),
            said: Vec::new(),
            last_answer: store.last_answer(*meter).and_then(time),
            took: None,
            identity: store.identity(*meter),
            telegrams: store.telegrams(*meter),
        };
        seeds.push(LiveSeed { meter: *meter, live });
    }
    seeds
}

/// The newest value of a point, however old.
fn value(point: &Latest) -> Option<LiveValue> {
    let (at_ms, value) = match (point.value, point.last_value) {
        (Err(_), Some((at_ms, quantity))) => (at_ms, Ok(quantity)),
        (value, _) => (point.at_ms, value),
    };
    Some(LiveValue {
        register: point.series.register.clone(),
        value,
        kind: point.series.kind,
        quality: point.quality,
        origin: point.origin,
        at: time(at_ms)?,
    })
}

fn time(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

fn never_asked(at: DateTime<Utc>) -> LiveMeter {
    LiveMeter {
        at,
        state: MeterState::New,
        absent: None,
        error: None,
        values: Vec::new(),
        said: Vec::new(),
        last_answer: None,
        took: None,
        identity: None,
        telegrams: Vec::new(),
    }
}
