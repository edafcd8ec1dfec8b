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
use crate::handles::{NewFigure, NotTaken, Wish};
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
    let made = made.map_err(|NotTaken { code, why }| {
        let problem = Problem::new(Code::CorrectionRefused, why.clone()).with("why", &why);
        match code {
            Some(code) => problem.with("because", &code),
            None => problem,
        }
    })?;
    Ok((StatusCode::CREATED, Json(Event::of_correction(made))))
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
    /// When the new figure was read; of a correction, when the reading was.
    at: Time,
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
        let corrections = store.corrections(meter, &ALWAYS)?;
        events.extend(corrections.into_iter().map(Event::of_correction));
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
