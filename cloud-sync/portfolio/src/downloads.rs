//! `/api/v1/sites/{site}/meters/{meter}/readings.csv` and `.json`: every reading of a register, for
//! other programs.
//!
//! ```text
//!  31 days ─▶ rows ─▶ chunk ─▶ 31 days ─▶ rows ─▶ chunk ─▶ … ─▶ end
//! ```
//!
//! Whatever the span, no more than 31 days of one register are in memory; the next are read when the
//! client has taken the ones before.
//!
//! **Never true:** that a download which broke off looks whole. A body that the database could not
//! finish ends without its last chunk, which every HTTP client tells.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream;
use metering::{MeterId, Register, SiteId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::histories::{ReadingBody, no_such_register, span};
use crate::people::People;
use crate::problem::Problem;
use crate::repository::{Repository, RepositoryError, Series, StoredReading};
use crate::sites::found;

/// `?register=energy&from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    #[param(value_type = String)]
    register: Register,
    #[param(value_type = String, format = DateTime)]
    from: DateTime<Utc>,
    #[param(value_type = String, format = DateTime)]
    until: DateTime<Utc>,
}

type PathOf = Result<Path<(SiteId, MeterId)>, PathRejection>;
type QuestionOf = Result<Query<Question>, QueryRejection>;

/// `GET …/readings.csv`
pub(crate) async fn csv<R: Repository>(
    State(people): State<People<R>>,
    path: PathOf,
    question: QuestionOf,
) -> Result<Response, Problem> {
    download(people, path, question, Form::Csv).await
}

/// `GET …/readings.json`
pub(crate) async fn json<R: Repository>(
    State(people): State<People<R>>,
    path: PathOf,
    question: QuestionOf,
) -> Result<Response, Problem> {
    download(people, path, question, Form::Json).await
}

async fn download<R: Repository>(
    people: People<R>,
    path: PathOf,
    question: QuestionOf,
    form: Form,
) -> Result<Response, Problem> {
    let Path((site, meter)) = path?;
    let Query(Question { register, from, until }) = question?;
    let site = found(&people, site).await?.id;
    let span = span(from, until, LONGEST)?;
    let nothing = span.start..span.start;
    let asked = people.repository.history(site, meter, register.clone(), nothing).await?;
    if asked.is_empty() {
        return Err(no_such_register(&register));
    }

    let name = file_name(&register, from, until, form);
    let begun = Under { people, site, meter, register, left: span, form, told: Told::Nothing };
    let headers = [
        (header::CONTENT_TYPE, form.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(stream::try_unfold(begun, Under::next))).into_response())
}

/// As for single readings.
pub(crate) const LONGEST: TimeDelta = TimeDelta::days(50 * 366);

/// Of a register that is read each minute some 45,000 rows.
const SLICE_MS: i64 = 31 * 24 * 3_600_000;

/// How readings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// RFC 4180, UTF-8. No field needs quotes: all of them are words, numbers and times of ours.
    Csv,
    /// `{"register": …, "readings": […]}`, each as in the API's answers.
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
fn file_name(register: &Register, from: DateTime<Utc>, until: DateTime<Utc>, form: Form) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let register: String = register.to_string().chars().map(plain).collect();
    let (from, until) = (from.format("%Y%m%dT%H%MZ"), until.format("%Y%m%dT%H%MZ"));
    format!("{register}-{from}-{until}.{}", form.ending())
}

/// A download that is under way.
struct Under<R> {
    people: People<R>,
    site: SiteId,
    meter: MeterId,
    register: Register,
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
        while chunk.is_empty() && !self.left.is_empty() {
            for (series, reading) in &self.slice().await? {
                let first = self.told == Told::Head;
                self.told = Told::Readings;
                self.row(&mut chunk, first, &ReadingBody::new(series, reading));
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
    async fn slice(&mut self) -> Result<Vec<(Series, StoredReading)>, RepositoryError> {
        let until = self.left.end.min(self.left.start.saturating_add(SLICE_MS));
        let span = self.left.start..until;
        self.left.start = until;
        // Whoever downloads takes turns with whoever looks at charts.
        let turn = Arc::clone(&self.people.histories).acquire_owned().await;
        let _turn = turn.map_err(|_| RepositoryError::Busy)?;
        let (repository, register) = (&self.people.repository, self.register.clone());
        let histories = repository.history(self.site, self.meter, register, span).await?;
        let mut readings: Vec<_> = histories
            .into_iter()
            .flat_map(|one| {
                let series = one.series;
                one.readings.into_iter().map(move |reading| (series.clone(), reading))
            })
            .collect();
        readings.sort_by_key(|(_, reading)| reading.at_ms);
        Ok(readings)
    }

    fn head(&self) -> String {
        match self.form {
            Form::Csv => "time,value,unit,reason,quality,origin,series\r\n".to_owned(),
            Form::Json => format!("{{\"register\":\"{}\",\"readings\":[", self.register),
        }
    }

    fn row(&self, chunk: &mut String, first: bool, reading: &ReadingBody) {
        match self.form {
            Form::Csv => chunk.push_str(&reading.csv()),
            Form::Json => {
                chunk.push_str(if first { "\n" } else { ",\n" });
                chunk.push_str(&serde_json::to_string(reading).unwrap_or_default());
            }
        }
    }
}
