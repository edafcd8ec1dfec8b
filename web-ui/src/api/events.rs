//! `GET /api/v1/meters/{meter}/events`: what happened to a meter's numbers: a counter ran over or was set
//! back, the device or the unit changed, a person corrected a reading. And `POST …/corrections`: one is
//! corrected.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use metering::{MeterId, NoReading, Register};
use serde::{Deserialize, Serialize};
use store::{Correction, CounterBreak, Snapshot, StoreError};
use utoipa::ToSchema;

use crate::Web;
use crate::api::meters::seen;
use crate::handles::{NewFigure, NewSpan, NotTaken, SpanChange, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Amount, Body, Time};

/// All that is known, the newest first.
pub(crate) async fn events(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
) -> Result<Json<Events>, Problem> {
    let meter = seen(&web.site(), &visitor, &meter)?.id;
    let found = web.ask(&visitor, move |store| Events::of(store, meter));
    Ok(Json(found.await?))
}

/// Puts a figure in the place of a reading, in the name of who is logged in.
pub(crate) async fn correct(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<CorrectionRequest>,
) -> Result<(StatusCode, Json<Event>), Problem> {
    let meter = seen(&web.site(), &visitor, &id)?.id;
    let figure = Box::new(NewFigure {
        meter,
        register: asked.register,
        at_ms: asked.at.timestamp_millis(),
        display: asked.value,
        who: visitor.user.name.to_string(),
        why: asked.why,
    });
    let made = web.wish(|reply| Wish::Correct { figure, reply }).await?;
    Ok((StatusCode::CREATED, Json(Event::of_correction(made.map_err(refused)?))))
}

/// Corrects all readings of a span, in the name of who is logged in, or says how many those are.
pub(crate) async fn correct_span(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<SpanCorrectionRequest>,
) -> Result<Json<SpanCorrectionBody>, Problem> {
    let meter = seen(&web.site(), &visitor, &id)?.id;
    let SpanCorrectionRequest { register, from, until, to, by, preview, why } = asked;
    let change = match (to, by) {
        (Some(to), None) => SpanChange::To(to),
        (None, Some(by)) => SpanChange::By(by),
        (None, None) => SpanChange::AsRead,
        (Some(_), Some(_)) => {
            return Err(Problem::malformed(
                "a span is corrected `to` a figure or `by` one, not both",
            ));
        }
    };
    let span = from.timestamp_millis()..until.timestamp_millis();
    let who = visitor.user.name.to_string();
    let span = Box::new(NewSpan { meter, register, span, change, preview, who, why });
    let made = web.wish(|reply| Wish::CorrectSpan { span, reply }).await?.map_err(refused)?;
    Ok(Json(SpanCorrectionBody {
        made: !preview,
        readings: made.readings,
        first: made.first_ms.map(Time::of_ms),
        last: made.last_ms.map(Time::of_ms),
    }))
}

fn refused(NotTaken { code, why }: NotTaken) -> Problem {
    let problem = Problem::new(Code::CorrectionRefused, why.clone()).with("why", &why);
    match code {
        Some(code) => problem.with("because", &code),
        None => problem,
    }
}

/// What holds instead of the readings of a span. Without `to` and `by` it is what was read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanCorrectionRequest {
    /// `energy`, `flow_temperature`.
    #[schema(value_type = String)]
    register: Register,
    #[schema(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    /// The instant that is not in it any more.
    #[schema(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
    /// Each reading shows this: `21.5`, or with its unit.
    #[serde(default)]
    to: Option<String>,
    /// Each reading is more by this; less with a minus.
    #[serde(default)]
    by: Option<String>,
    /// Nothing is done: it is said which readings it would be.
    #[serde(default)]
    preview: bool,
    /// For whoever asks later; 500 bytes at most.
    #[serde(default)]
    why: String,
}

/// Which readings have another figure by it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SpanCorrection)]
pub(crate) struct SpanCorrectionBody {
    /// Whether it is done, or was a preview.
    made: bool,
    /// How many.
    readings: usize,
    first: Option<Time>,
    last: Option<Time>,
}

/// What holds instead of a reading.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectionRequest {
    /// `energy`, `flow_temperature`.
    #[schema(value_type = String)]
    register: Register,
    /// When the reading was, to the millisecond; or when there should have been one.
    #[schema(value_type = String, format = DateTime)]
    at: DateTime<Utc>,
    /// `48213.6`, or with its unit: `48213.6 kWh`.
    value: String,
    /// For whoever asks later; 500 bytes at most.
    why: String,
}

/// What happened to a meter's numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Events {
    /// The newest first, at most 200.
    events: Vec<Event>,
}

/// One thing that happened to one register.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterEvent)]
pub(crate) struct Event {
    /// When the new figure was read; of a correction, when the reading was, or the first of them.
    at: Time,
    /// Of a correction of several readings: when the last of them was.
    until: Option<Time>,
    /// How many readings were corrected at once.
    readings: u32,
    /// `rollover`, `reset`, `swap`, `unit`, `correction`.
    kind: &'static str,
    #[schema(value_type = String)]
    register: String,
    /// What was there before; `null` of a correction where there was none.
    old: Option<Amount>,
    /// Why there was no figure; of a correction of something that was to be read.
    old_reason: Option<&'static str>,
    new: Amount,
    /// Of the device that showed the old figure; empty if it does not tell.
    old_serial: String,
    new_serial: String,
    /// Of a correction: who made it, when and why.
    who: Option<String>,
    made: Option<Time>,
    why: Option<String>,
}

const MOST: usize = 200;

impl Events {
    fn of(store: &Snapshot<'_>, meter: MeterId) -> Result<Self, StoreError> {
        const ALWAYS: Range<i64> = i64::MIN..i64::MAX;
        let mut events = Vec::new();
        for point in store.points(meter) {
            let register = point.register.to_string();
            let breaks = store.counter_breaks(meter, &point.register, &ALWAYS)?;
            events.extend(breaks.into_iter().map(|it| Event::of_break(register.clone(), it)));
        }
        let mut corrections = store.corrections(meter, &ALWAYS)?;
        // What was corrected at once is told as one thing, with the figures of its first reading.
        corrections.sort_by(|a, b| (a.made_ms, &a.who, &a.why).cmp(&(b.made_ms, &b.who, &b.why)));
        let at_once = corrections.chunk_by(|a, b| {
            (a.made_ms, &a.who, &a.why, &a.register) == (b.made_ms, &b.who, &b.why, &b.register)
        });
        events.extend(at_once.filter_map(|all| {
            let first = all.iter().min_by_key(|it| it.at_ms)?;
            let last = all.iter().map(|it| it.at_ms).max().filter(|last| *last > first.at_ms);
            Some(Event {
                until: last.map(Time::of_ms),
                readings: u32::try_from(all.len()).unwrap_or(u32::MAX),
                ..Event::of_correction(first.clone())
            })
        }));
        // Of one instant the one that was made last comes first.
        events.sort_by_key(|it| std::cmp::Reverse((it.at, it.made)));
        events.truncate(MOST);
        Ok(Self { events })
    }
}

impl Event {
    fn of_break(register: String, it: CounterBreak) -> Self {
        Self {
            at: Time::of_ms(it.at_ms),
            until: None,
            readings: 0,
            kind: it.kind.as_str(),
            register,
            old: Some(Amount::of(it.old)),
            old_reason: None,
            new: Amount::of(it.new),
            old_serial: it.old_serial,
            new_serial: it.new_serial,
            who: None,
            made: None,
            why: None,
        }
    }

    fn of_correction(it: Correction) -> Self {
        Self {
            at: Time::of_ms(it.at_ms),
            until: None,
            readings: 1,
            kind: "correction",
            register: it.register.to_string(),
            old: it.old.and_then(Result::ok).map(Amount::of),
            old_reason: it.old.and_then(Result::err).map(NoReading::as_str),
            new: Amount::of(it.new),
            old_serial: String::new(),
            new_serial: String::new(),
            who: Some(it.who),
            made: Some(Time::of_ms(it.made_ms)),
            why: Some(it.why),
        }
    }
}
