//! `/api/v1/sites/{site}/dwellings`, `…/purpose` and `…/looks`: meters whose readings tell how somebody lives.
//!
//! ```text
//!  meter ─ is it a dwelling's? ── no ──▶ as every other
//!             └─ was a purpose said within the hour? ── no ──▶ refused
//!                   └─ may this role see what it showed within a day?
//!                        ├── yes ──▶ as every other
//!                        └── no ───▶ whole days that are over, and months
//! ```
//!
//! What is asked for is decided here, in one place, by [`see`]; handlers show what it lets them. In lists a
//! dwelling's newest values are not shown to anybody.
//!
//! **Never true:** that a reading of a dwelling is shown without a row that says to whom, when and what for; or
//! that who sees days alone learns of a part of a day, by asking for one or by asking twice.

use std::ops::Range;
use std::time::Duration;

use access::{Role, User};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::{DateTime, Days, NaiveTime, TimeZone};
use chrono_tz::Tz;
use metering::{MeterId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::authority::ms;
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Dwelling, Dwellings, Look, Repository, RepositoryError, Site};
use crate::session::uuid_v7;
use crate::sites::{found, meters_of, no_such_meter, time};
use crate::tokens::label;

/// For how long what somebody said is what they look for.
const PURPOSE_LASTS: Duration = Duration::from_hours(1);

/// For how long it stays on record who looked.
const RECORD_LASTS: Duration = Duration::from_hours(2 * 366 * 24);

/// Rows of the record in one answer.
const LOOKS: u32 = 500;

/// What a dwelling may be looked at for.
const PURPOSES: [&str; 5] = ["billing", "operation", "advice", "resident", "law"];

/// How a meter's readings may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All of them.
    Whole,
    /// Whole days that are over.
    Days,
}

/// What is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// Shown.
    Look,
    /// Taken as a file.
    Download,
}

/// How `user` may see a meter; it is counted.
///
/// # Errors
///
/// [`Code::PurposeMissing`] of a dwelling for which they have not said what for.
pub(crate) async fn see<R: Repository>(
    people: &People<R>,
    user: &User,
    site: SiteId,
    meter: MeterId,
    how: As,
) -> Result<Sight, Problem> {
    let dwellings = people.repository.dwellings(site).await?;
    match dwellings.iter().find(|it| it.meter == meter) {
        None => Ok(Sight::Whole),
        Some(dwelling) => see_dwelling(people, user, site, dwelling, how).await,
    }
}

/// [`see`] of a meter that is known to be a dwelling's.
pub(crate) async fn see_dwelling<R: Repository>(
    people: &People<R>,
    user: &User,
    site: SiteId,
    dwelling: &Dwelling,
    how: As,
) -> Result<Sight, Problem> {
    if !count(people, user, site, dwelling, how).await? {
        let detail =
            "A dwelling's readings are shown to who says what for, within the hour before.";
        return Err(Problem::new(Code::PurposeMissing, detail));
    }
    Ok(if dwelling.fine.contains(&user.role) { Sight::Whole } else { Sight::Days })
}

/// How the page of a dwelling's meter is shown to `user`; it is counted, if they have said what for.
pub(crate) async fn seen<R: Repository>(
    people: &People<R>,
    user: &User,
    site: SiteId,
    dwelling: &Dwelling,
) -> Result<SeenBody, Problem> {
    let stated = count(people, user, site, dwelling, As::Look).await?;
    Ok(SeenBody { stated, fine: dwelling.fine.contains(&user.role) })
}

/// Counts a look for what was said within the hour; whether there is such.
async fn count<R: Repository>(
    people: &People<R>,
    user: &User,
    site: SiteId,
    dwelling: &Dwelling,
    how: As,
) -> Result<bool, Problem> {
    let now_ms = people.clock.now().wall_ms();
    let (since_ms, is_download) = (now_ms.saturating_sub(ms(PURPOSE_LASTS)), how == As::Download);
    let counted =
        people.repository.count_look(site, dwelling.meter, user.id, since_ms, now_ms, is_download);
    Ok(counted.await?)
}

/// Of `span` the whole days of the building that are over at `now_ms`: its ends go back to midnight.
pub(crate) fn whole_days(span: &Range<i64>, zone: Tz, now_ms: i64) -> Range<i64> {
    let start = midnight(span.start, zone);
    start..midnight(span.end.min(now_ms), zone).max(start)
}

/// The last midnight at or before an instant.
pub(crate) fn midnight(at_ms: i64, zone: Tz) -> i64 {
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default().with_timezone(&zone);
    let of = |day: chrono::NaiveDate| {
        // Where the clocks are put on at midnight the day begins an hour later.
        let start = day.and_time(NaiveTime::MIN);
        zone.from_local_datetime(&start)
            .earliest()
            .or_else(|| zone.from_local_datetime(&(start + chrono::TimeDelta::hours(1))).earliest())
    };
    let day = at.date_naive();
    let begins = of(day).filter(|begins| *begins <= at);
    let begins = begins.or_else(|| of(day.checked_sub_days(Days::new(1))?));
    begins.map_or(at_ms, |begins| begins.timestamp_millis())
}

/// Who sees days alone asked for a part of one.
pub(crate) fn days_alone() -> Problem {
    Problem::new(Code::DaysAlone, "Of this dwelling whole days and months are shown.")
}

/// `GET /sites/{site}/dwellings`
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
) -> Result<Json<Vec<DwellingBody>>, Problem> {
    let site = found(&people, site?.0).await?;
    let dwellings = people.repository.dwellings(site.id).await?;
    Ok(Json(dwellings.into_iter().map(DwellingBody::of).collect()))
}

/// `PUT /sites/{site}/dwellings/{meter}`
pub(crate) async fn put<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
    asked: Result<Json<NewDwelling>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Path((site, meter)) = path?;
    let Json(NewDwelling { household, fine }) = asked?;
    known(&people, site, meter).await?;
    let role = |role: &String| match role.parse() {
        Ok(role @ (Role::Owner | Role::Operator | Role::Installer | Role::Viewer)) => Ok(role),
        _ => Err(Problem::malformed("`fine` has owner, operator, installer, viewer")),
    };
    let fine = fine.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    let now_ms = people.clock.now().wall_ms();
    let (household, marked_by) = (label(&household)?, user.name.to_string());
    let dwelling = Dwelling { meter, household, fine, marked_ms: now_ms, marked_by };
    if !people.repository.put_dwelling(site, dwelling).await? {
        return Err(no_such_meter());
    }
    tracing::info!(by = %user.name, %site, %meter, "a meter is a dwelling's");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /sites/{site}/dwellings/{meter}`
pub(crate) async fn remove<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: Result<Path<(SiteId, MeterId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((site, meter)) = path?;
    if !people.repository.remove_dwelling(site, meter).await? {
        return Err(no_such_meter());
    }
    tracing::warn!(by = %user.name, %site, %meter, "a meter is no dwelling's any more");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /sites/{site}/purpose`
pub(crate) async fn state<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    site: Result<Path<SiteId>, PathRejection>,
    asked: Result<Json<Purpose>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let site = found(&people, site?.0).await?;
    let Json(Purpose { purpose, meter }) = asked?;
    if !PURPOSES.contains(&purpose.as_str()) {
        let words = PURPOSES.join(", ");
        return Err(Problem::malformed(format!("`purpose` is one of {words}")));
    }
    let now = people.clock.now();
    let mut dwellings = people.repository.dwellings(site.id).await?;
    dwellings.retain(|it| meter.is_none_or(|meter| it.meter == meter));
    if meter.is_some() && dwellings.is_empty() {
        return Err(no_such_meter());
    }
    let since_ms = now.wall_ms().saturating_sub(ms(PURPOSE_LASTS));
    for dwelling in dwellings {
        let look = Look {
            id: uuid_v7(&now),
            meter: dwelling.meter,
            user: user.id,
            who: user.name.to_string(),
            purpose: purpose.clone(),
            at_ms: now.wall_ms(),
            last_ms: None,
            looks: 0,
            downloads: 0,
        };
        people.repository.state_purpose(site.id, look, since_ms).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /sites/{site}/looks`
pub(crate) async fn looks<R: Repository>(
    State(people): State<People<R>>,
    site: Result<Path<SiteId>, PathRejection>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Vec<LookBody>>, Problem> {
    let site = found(&people, site?.0).await?;
    let Query(Question { before, limit }) = question?;
    let limit = limit.unwrap_or(LOOKS);
    if !(1..=LOOKS).contains(&limit) {
        return Err(Problem::malformed(format!("`limit` is a number from 1 to {LOOKS}")));
    }
    let looks = people.repository.looks(site.id, before, limit).await?;
    Ok(Json(looks.into_iter().map(LookBody::of).collect()))
}

async fn known<R: Repository>(
    people: &People<R>,
    site: SiteId,
    meter: MeterId,
) -> Result<(), Problem> {
    let Site { id, .. } = found(people, site).await?;
    let meters = meters_of(people, id).await?;
    meters.iter().any(|it| it.id == meter).then_some(()).ok_or_else(no_such_meter)
}

/// Forgets who looked long ago.
pub(crate) async fn tidy<R: Dwellings>(repository: &R, now_ms: i64) -> Result<(), RepositoryError> {
    repository.tidy_looks(now_ms.saturating_sub(ms(RECORD_LASTS))).await
}

/// `{"household":"H0203","fine":["operator"]}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDwelling {
    /// Whose it is: a number of the flat, or another pseudonym; or a name.
    household: String,
    /// Roles that see what it showed within a day; the others see days and months.
    #[serde(default)]
    fine: Vec<String>,
}

/// `{"purpose":"billing","meter":"…"}`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purpose {
    /// `billing`, `operation`, `advice`, `resident` or `law`.
    purpose: String,
    /// Of all dwellings of the building if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    meter: Option<MeterId>,
}

/// `?limit=50&before=…`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// What comes behind the row of this id; from the latest on if it is left out.
    #[param(value_type = Option<String>)]
    before: Option<Uuid>,
    /// From 1 to 500 rows; 500 if it is left out.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Dwelling)]
pub(crate) struct DwellingBody {
    #[schema(value_type = String)]
    meter: MeterId,
    household: String,
    fine: Vec<&'static str>,
    marked_at: String,
    marked_by: String,
}

impl DwellingBody {
    fn of(dwelling: Dwelling) -> Self {
        let Dwelling { meter, household, fine, marked_ms, marked_by } = dwelling;
        let fine = fine.into_iter().map(Role::as_str).collect();
        Self { meter, household, fine, marked_at: time(marked_ms), marked_by }
    }
}

/// Who said what they look for, and how often they looked since.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Look)]
pub(crate) struct LookBody {
    #[schema(value_type = String)]
    id: Uuid,
    #[schema(value_type = String)]
    meter: MeterId,
    who: String,
    purpose: String,
    at: String,
    last: Option<String>,
    looks: u32,
    downloads: u32,
}

impl LookBody {
    fn of(look: Look) -> Self {
        let Look { id, meter, who, purpose, at_ms, last_ms, looks, downloads, .. } = look;
        let (at, last) = (time(at_ms), last_ms.map(time));
        Self { id, meter, who, purpose, at, last, looks, downloads }
    }
}

/// How the page of a dwelling's meter is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DwellingSeen)]
pub(crate) struct SeenBody {
    /// Whether whoever asks has said what for.
    pub(crate) stated: bool,
    /// Whether they see what it showed within a day.
    pub(crate) fine: bool,
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Oslo;

    use super::*;

    #[track_caller]
    fn check(from: &str, until: &str, now: &str, expected: &str) {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        let found = whole_days(&(at(from)..at(until)), Oslo, at(now));
        let told =
            |ms| DateTime::from_timestamp_millis(ms).unwrap().format("%m-%dT%H:%M").to_string();
        assert_eq!(format!("{} {}", told(found.start), told(found.end)), expected);
    }

    #[test]
    fn a_part_of_a_day_is_no_day_whichever_it_is() {
        let now = "2026-11-22T11:00:00Z";
        check("2026-11-01T23:00:00Z", "2026-11-03T23:00:00Z", now, "11-01T23:00 11-03T23:00");
        check("2026-11-02T08:00:00Z", "2026-11-02T09:00:00Z", now, "11-01T23:00 11-01T23:00");
        check("2026-11-02T08:00:00Z", "2026-11-04T09:00:00Z", now, "11-01T23:00 11-03T23:00");
        // Today is not over, and tomorrow is not either.
        check("2026-11-21T23:00:00Z", "2026-11-25T23:00:00Z", now, "11-21T23:00 11-21T23:00");
        // The clocks are put on and back.
        check("2026-03-29T10:00:00Z", "2026-03-30T10:00:00Z", now, "03-28T23:00 03-29T22:00");
        check("2026-10-25T10:00:00Z", "2026-10-26T10:00:00Z", now, "10-24T22:00 10-25T23:00");
    }
}
