//! `readings.csv` and `readings.json` of a building, a meter or one of its registers: every reading of a span, for
//! other programs.
//!
//! ```text
//!  register ─▶ 31 days ─▶ rows ─▶ chunk ─▶ 31 days ─▶ rows ─▶ chunk ─▶ … ─▶ the next register ─▶ … ─▶ end
//! ```
//!
//! Whatever the span, no more than 31 days of one register are in memory; the next are read when the
//! client has taken the ones before. A reading that did not come has a row with its reason and no value.
//!
//! **Never true:** that a download which broke off looks whole. A body that the database could not
//! finish ends without its last chunk, which every HTTP client tells.

use std::ops::Range;
use std::sync::Arc;
use std::vec;

use access::User;
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use documents::{Cell, csv_row};
use futures_util::stream;
use metering::{MeterId, Register, SiteId};
use serde::{Deserialize, Serialize};
use sync_wire::Kind;
use utoipa::{IntoParams, ToSchema};

use crate::dwellings::{self, As, Sight, midnight, see_dwelling, whole_days};
use crate::histories::{ReadingBody, no_such_register, span};
use crate::people::People;
use crate::problem::Problem;
use crate::repository::{MeterState, Repository, RepositoryError, Series, Site, StoredReading};
use crate::sites::{found, meters_of, no_such_meter};

/// `?register=energy&from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// All of the meter's if it is left out; then the span has 366 days at most.
    #[param(value_type = Option<String>)]
    register: Option<Register>,
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
}

/// `?from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SiteQuestion {
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    /// 366 days later at most.
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
}

type PathOf = Result<Path<(SiteId, MeterId)>, PathRejection>;
type QuestionOf = Result<Query<Question>, QueryRejection>;
type SitePath = Result<Path<SiteId>, PathRejection>;
type SiteQuestionOf = Result<Query<SiteQuestion>, QueryRejection>;

/// `GET /sites/{site}/meters/{meter}/readings.csv`
pub(crate) async fn csv<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: PathOf,
    question: QuestionOf,
) -> Result<Response, Problem> {
    of_meter(people, &user, path, question, Form::Csv).await
}

/// `GET /sites/{site}/meters/{meter}/readings.json`
pub(crate) async fn json<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: PathOf,
    question: QuestionOf,
) -> Result<Response, Problem> {
    of_meter(people, &user, path, question, Form::Json).await
}

/// `GET /sites/{site}/readings.csv`
pub(crate) async fn site_csv<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: SitePath,
    question: SiteQuestionOf,
) -> Result<Response, Problem> {
    of_site(people, &user, path, question, Form::Csv).await
}

/// `GET /sites/{site}/readings.json`
pub(crate) async fn site_json<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    path: SitePath,
    question: SiteQuestionOf,
) -> Result<Response, Problem> {
    of_site(people, &user, path, question, Form::Json).await
}

async fn of_meter<R: Repository>(
    people: People<R>,
    user: &User,
    path: PathOf,
    question: QuestionOf,
    form: Form,
) -> Result<Response, Problem> {
    let Path((site, meter)) = path?;
    let Query(Question { register, from, until }) = question?;
    let site = found(&people, site).await?;
    let longest = if register.is_some() { LONGEST } else { LONGEST_OF_ALL };
    let span = span(from, until, longest)?;
    let meters = meters_of(&people, site.id).await?;
    let meter = meters.into_iter().find(|it| it.id == meter).ok_or_else(no_such_meter)?;
    let sight = dwellings::see(&people, user, site.id, meter.id, As::Download).await?;
    let mut sources = Source::all(&meter, sight);
    if let Some(register) = &register {
        sources.retain(|source| source.register == *register);
        if sources.is_empty() {
            return Err(no_such_register(register));
        }
    }
    let name = register.map_or(meter.name, |register| register.to_string());
    Ok(download(people, &site, sources, &name, span, form))
}

async fn of_site<R: Repository>(
    people: People<R>,
    user: &User,
    path: SitePath,
    question: SiteQuestionOf,
    form: Form,
) -> Result<Response, Problem> {
    let Path(site) = path?;
    let Query(SiteQuestion { from, until }) = question?;
    let site = found(&people, site).await?;
    let span = span(from, until, LONGEST_OF_ALL)?;
    let meters = meters_of(&people, site.id).await?;
    let dwellings = people.repository.dwellings(site.id).await?;
    let mut sources = Vec::new();
    for meter in &meters {
        let sight = match dwellings.iter().find(|it| it.meter == meter.id) {
            None => Sight::Whole,
            Some(it) => see_dwelling(&people, user, site.id, it, As::Download).await?,
        };
        sources.extend(Source::all(meter, sight));
    }
    let name = site.name.clone();
    Ok(download(people, &site, sources, &name, span, form))
}

fn download<R: Repository>(
    people: People<R>,
    site: &Site,
    sources: Vec<Source>,
    name: &str,
    span: Range<i64>,
    form: Form,
) -> Response {
    let name = file_name(name, &span, form);
    let zone = site.time_zone.parse().unwrap_or(chrono_tz::Europe::Oslo);
    let left = span.end..span.end;
    let (sources, site) = (sources.into_iter(), site.id);
    let days = whole_days(&span, zone, people.clock.now().wall_ms());
    let (now, told) = (None, Told::Nothing);
    let begun = Under { people, site, zone, span, days, sources, now, left, form, told };
    let headers = [
        (header::CONTENT_TYPE, form.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(stream::try_unfold(begun, Under::next))).into_response()
}

/// Of one register, as for single readings.
pub(crate) const LONGEST: TimeDelta = TimeDelta::days(50 * 366);

/// Of several: a leap year, in which the clocks are put back.
pub(crate) const LONGEST_OF_ALL: TimeDelta = TimeDelta::hours(366 * 24 + 1);

/// Of a register that is read each minute some 45,000 rows.
const SLICE_MS: i64 = 31 * 24 * 3_600_000;

/// One register of a meter.
#[derive(Clone, Debug)]
struct Source {
    meter: MeterId,
    name: Arc<str>,
    register: Register,
    sight: Sight,
}

impl Source {
    /// All of a meter's; of one that is seen by days its counters alone.
    fn all(meter: &MeterState, sight: Sight) -> Vec<Self> {
        let name: Arc<str> = meter.name.as_str().into();
        let of = |register: &Register| Self {
            meter: meter.id,
            name: Arc::clone(&name),
            register: register.clone(),
            sight,
        };
        let shown = |series: &Series| sight == Sight::Whole || series.kind == Kind::Counter;
        let registers = meter.registers.iter().map(|(series, _)| series);
        registers.filter(|series| shown(series)).map(|series| of(&series.register)).collect()
    }
}

/// How readings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// RFC 4180, UTF-8.
    Csv,
    /// `{"time_zone": …, "readings": […]}`, each as in the API's answers, and whose it is.
    Json,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// A name that every file system takes.
fn file_name(name: &str, span: &Range<i64>, form: Form) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let name: String = name.chars().take(60).map(plain).collect();
    let at = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
    let (from, until) = (at(span.start).format(COMPACT), at(span.end).format(COMPACT));
    format!("{name}-{from}-{until}.{}", form.ending())
}

const COMPACT: &str = "%Y%m%dT%H%MZ";

/// A reading in a file: whose it is, and when it was by the clock on the building's wall.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileReading)]
pub(crate) struct RowBody<'r> {
    #[schema(value_type = String)]
    meter: MeterId,
    name: &'r str,
    #[schema(value_type = String)]
    register: &'r Register,
    /// RFC 3339, with the offset of the building's time zone.
    local: String,
    #[serde(flatten)]
    reading: ReadingBody,
}

/// What the JSON is; it is written piece by piece.
#[derive(Debug, ToSchema)]
#[schema(as = ReadingsFile)]
#[expect(dead_code, reason = "it is written by hand, and described by this")]
pub(crate) struct FileBody<'r> {
    /// `Europe/Oslo`.
    time_zone: &'static str,
    readings: Vec<RowBody<'r>>,
}

/// A download that is under way.
struct Under<R> {
    people: People<R>,
    site: SiteId,
    zone: Tz,
    span: Range<i64>,
    /// What of it is seen of a meter of which days alone are.
    days: Range<i64>,
    /// Those that have not begun.
    sources: vec::IntoIter<Source>,
    now: Option<Source>,
    /// Of the present one.
    left: Range<i64>,
    form: Form,
    told: Told,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Head,
    /// At least one reading.
    Readings,
    All,
}

impl<R: Repository> Under<R> {
    /// The next chunk, of a time in which there is something.
    async fn next(mut self) -> Result<Option<(String, Self)>, RepositoryError> {
        let mut chunk = String::new();
        if self.told == Told::Nothing {
            chunk = self.head();
            self.told = Told::Head;
        }
        while chunk.is_empty() {
            if self.left.is_empty() {
                self.now = self.sources.next();
                let by_days = self.now.as_ref().is_some_and(|it| it.sight == Sight::Days);
                self.left = if by_days { self.days.clone() } else { self.span.clone() };
            }
            let Some(source) = self.now.clone() else { break };
            if self.left.is_empty() {
                continue;
            }
            for (series, reading) in &self.slice(&source).await? {
                let first = self.told == Told::Head;
                self.told = Told::Readings;
                self.row(&mut chunk, first, &source, series, reading);
            }
        }
        if chunk.is_empty() {
            if self.told == Told::All || self.form == Form::Csv {
                return Ok(None);
            }
            self.told = Told::All;
            chunk.push_str("]}\n");
        }
        Ok(Some((chunk, self)))
    }

    /// Readings of the next 31 days, oldest first; of two devices at one instant the older first.
    async fn slice(
        &mut self,
        source: &Source,
    ) -> Result<Vec<(Series, StoredReading)>, RepositoryError> {
        let mut until = self.left.end.min(self.left.start.saturating_add(SLICE_MS));
        if source.sight == Sight::Days {
            // Days are not cut, so that each has one last reading.
            until = midnight(until, self.zone);
        }
        let span = self.left.start..until;
        self.left.start = until;
        // Whoever downloads takes turns with whoever looks at charts.
        let turn = Arc::clone(&self.people.histories).acquire_owned().await;
        let _turn = turn.map_err(|_| RepositoryError::Busy)?;
        let (repository, register) = (&self.people.repository, source.register.clone());
        let histories = repository.history(self.site, source.meter, register, span).await?;
        let mut readings: Vec<_> = histories
            .into_iter()
            .flat_map(|one| {
                let series = one.series;
                one.readings.into_iter().map(move |reading| (series.clone(), reading))
            })
            .collect();
        readings.sort_by_key(|(_, reading)| reading.at_ms);
        if source.sight == Sight::Days {
            readings.retain(|(_, reading)| reading.value.is_ok());
            let day = |at: usize| readings.get(at).map(|it| midnight(it.1.at_ms, self.zone));
            let last: Vec<bool> = (0..readings.len()).map(|at| day(at) != day(at + 1)).collect();
            let mut last = last.into_iter();
            readings.retain(|_| last.next() == Some(true));
        }
        Ok(readings)
    }

    fn head(&self) -> String {
        match self.form {
            Form::Csv => format!("{}\r\n", COLUMNS.join(",")),
            Form::Json => format!("{{\"time_zone\":\"{}\",\"readings\":[", self.zone.name()),
        }
    }

    fn row(
        &self,
        chunk: &mut String,
        first: bool,
        source: &Source,
        series: &Series,
        reading: &StoredReading,
    ) {
        let at = DateTime::from_timestamp_millis(reading.at_ms).unwrap_or_default();
        let local = at.with_timezone(&self.zone).to_rfc3339_opts(SecondsFormat::AutoSi, false);
        let reading = ReadingBody::new(series, reading);
        let Source { meter, name, register, .. } = source;
        match self.form {
            Form::Csv => {
                let [at, value, unit, reason, quality, origin, number] = reading.cells();
                let [meter, register] = [meter.to_string(), register.to_string()].map(Cell::Figure);
                let (local, name) = (Cell::Figure(local), Cell::Text(name.to_string()));
                let row = [
                    at, local, name, register, value, unit, reason, quality, origin, number, meter,
                ];
                csv_row(chunk, &row);
            }
            Form::Json => {
                chunk.push_str(if first { "\n" } else { ",\n" });
                let row = RowBody { meter: *meter, name, register, local, reading };
                chunk.push_str(&serde_json::to_string(&row).unwrap_or_default());
            }
        }
    }
}

const COLUMNS: [&str; 11] = [
    "time",
    "local_time",
    "name",
    "register",
    "value",
    "unit",
    "reason",
    "quality",
    "origin",
    "series",
    "meter",
];
