//! `GET /api/v1/account`: what was expected, what came, and why the rest did not; of meters, buses, the site
//! or one register.
//!
//! The account closes: `expected` is the sum of `received`, `late`, `from_memory`, `corrected` and what is
//! `missing`. A quarter hour that has not ended is not in it, so nothing is expected of the future.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use metering::{MeterId, Register};
use serde::{Deserialize, Serialize};
use store::{Account, Snapshot, Step, StoreError};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::history::{no_such_register, span, step, step_code};
use crate::api::meters::seen;
use crate::handles::MeterInfo;
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::{Asked, Time};

/// The account of a span, period by period.
pub(crate) async fn account(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(question): Asked<Question>,
) -> Result<Json<AccountBody>, Problem> {
    let most = match (question.step, &question.meter) {
        (Step::Quarter | Step::Hour, _) => 32,
        (_, Some(_)) => 400,
        (_, None) => 93,
    };
    let asked = span(question.from, question.until, most)?;
    let site = web.site();
    let only = question.meter.as_deref().map(|meter| seen(&site, &visitor, meter)).transpose()?;
    let only = only.map(|meter| meter.id);
    if question.register.is_some() && only.is_none() {
        return Err(no_such_register());
    }
    let now_ms = web.now().wall_ms();
    let who = visitor.clone();
    let answer = web.ask(&who, move |store| {
        // A clock that is far off hides nothing.
        let ended = store.civil().period(Step::Quarter, now_ms).start;
        let until = if asked.contains(&ended) { ended } else { asked.end };
        let past = asked.start..until;
        let Question { register, by, step, .. } = question;
        let found = match (only, register) {
            (Some(meter), Some(register)) => {
                store.register_accounts(meter, &register, past, step)?
            }
            (only, _) => accounts(store, past, step, |it| {
                only.is_none_or(|only| only == it)
                    && site.meters.iter().any(|meter| meter.id == it && visitor.user.sees(it))
            })?,
        };
        let name_of = |meter: MeterId| match by {
            By::Meter => meter.to_string(),
            By::Bus => bus_of(&site.meters, meter),
            By::Site => String::new(),
        };
        let grouped = Account::grouped(&found, name_of);
        let accounts = grouped.into_iter().map(|(of, account)| Period::of(of, &account)).collect();
        Ok(AccountBody { step: step_code(step), accounts })
    });
    Ok(Json(answer.await?))
}

/// The accounts of the meters that are `wanted`.
pub(crate) fn accounts(
    store: &Snapshot<'_>,
    span: Range<i64>,
    step: Step,
    wanted: impl Fn(MeterId) -> bool,
) -> Result<Vec<Account>, StoreError> {
    let mut found = store.accounts(span, step)?;
    found.retain(|account| wanted(account.meter));
    Ok(found)
}

fn bus_of(meters: &[MeterInfo], meter: MeterId) -> String {
    meters.iter().find(|it| it.id == meter).map_or_else(String::new, |it| it.bus.clone())
}

/// `?from=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&step=month&by=bus`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// RFC 3339.
    #[param(value_type = String)]
    from: DateTime<Utc>,
    /// RFC 3339; the instant itself is not in the span. At most 32 days for `quarter` and `hour`, 93 for
    /// `day` and `month`, and 400 for those of one meter.
    #[param(value_type = String)]
    until: DateTime<Utc>,
    /// `quarter`, `hour`, `day`, `month`; the last two are civil ones of the site's zone.
    #[param(value_type = String)]
    #[serde(deserialize_with = "needed")]
    step: Step,
    /// What is added up: `meter` (each for itself), `bus` or `site`.
    #[serde(default)]
    #[param(value_type = String)]
    by: By,
    /// Of one meter alone.
    meter: Option<String>,
    /// Of one register of it alone: its values instead of the meter's answers.
    #[param(value_type = Option<String>)]
    register: Option<Register>,
}

fn needed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
    step(deserializer)?.ok_or_else(|| serde::de::Error::missing_field("step"))
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    #[default]
    Meter,
    Bus,
    Site,
}

/// What was expected and what came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountBody {
    /// `quarter`, `hour`, `day`, `month`.
    step: &'static str,
    /// By what was asked for, and by time. A period without anything expected is not there.
    accounts: Vec<Period>,
}

/// The account of one period.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountPeriod)]
pub(crate) struct Period {
    /// The meter's id or the bus's; empty for the site.
    of: String,
    start: Time,
    end: Time,
    /// What the schedule of that time planned: the sum of those below but `unplanned`.
    expected: u32,
    /// What came when it was asked for.
    received: u32,
    /// What came after its quarter hour, before the next was planned.
    late: u32,
    /// What the meter remembered and told later.
    from_memory: u32,
    /// What a person put in.
    corrected: u32,
    /// The rest, by cause.
    missing: Vec<Cause>,
    /// What came beyond it.
    unplanned: u32,
}

/// Why something is missing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cause {
    /// `silent`, `bus_down`, ..., `gateway_off`, `power_off`, `clock_wrong`, `disk`,
    /// `configuration_changed`, `never_asked`.
    cause: &'static str,
    count: u32,
}

impl Period {
    fn of(of: String, account: &Account) -> Self {
        Self {
            of,
            start: Time::of_ms(account.start_ms),
            end: Time::of_ms(account.end_ms),
            expected: account.expected,
            received: account.received,
            late: account.late,
            from_memory: account.from_memory,
            corrected: account.corrected,
            missing: causes(account),
            unplanned: account.unplanned,
        }
    }
}

/// The most first.
pub(crate) fn causes(account: &Account) -> Vec<Cause> {
    let mut causes: Vec<Cause> = account
        .missing
        .iter()
        .map(|(cause, count)| Cause { cause: cause.as_str(), count: *count })
        .collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}
