//! `/api/v1/meters/list`: the meters as a table, out and in.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use documents::{Cell, Table};
use serde::{Deserialize, Serialize};
use toml_edit::value;
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::sla::file;
use crate::commission::edit;
use crate::meter_list::{COLUMNS, Line, NoList, Outcome, compared, told};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Asked;

/// The meters as a text file.
pub(crate) async fn csv(State(web): State<Arc<Web>>) -> Response {
    // With its mark, by which Excel knows that the letters are UTF-8.
    let text = format!("\u{feff}{}", documents::csv(&table(&web)));
    file("text/csv; charset=utf-8", "meters.csv", text.into_bytes())
}

/// The meters as a workbook.
pub(crate) async fn xlsx(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let book = documents::xlsx(&table(&web)).map_err(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the meters do not fit into a workbook");
        Problem::new(Code::Store, "The log of the gateway says more.")
    })?;
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    Ok(file(kind, "meters.xlsx", book))
}

fn table(web: &Web) -> Table {
    let site = web.site();
    let row = |meter| {
        COLUMNS
            .iter()
            .map(|key| match told(meter, key) {
                text if text.is_empty() => Cell::Empty,
                // A number that is a name is text, or a spreadsheet would take its zeros.
                text => Cell::Text(text),
            })
            .collect()
    };
    Table {
        head: COLUMNS.iter().map(|it| (*it).to_owned()).collect(),
        rows: site.meters.iter().map(row).collect(),
    }
}

/// What a list would change, line by line; or has it come true.
pub(crate) async fn import(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(asked): Asked<Import>,
    list: Result<Bytes, BytesRejection>,
) -> Result<Json<ListBody>, Problem> {
    let list = list?;
    let site = web.site();
    let lines = compared(&list, &site)
        .map_err(|NoList(why)| Problem::new(Code::ListWrong, why.clone()).with("why", &why))?;
    let wrong = lines.iter().any(|it| matches!(it.outcome, Outcome::Wrong(_)));
    if !asked.apply {
        return Ok(Json(ListBody::of(&lines, site.version)));
    }
    if wrong {
        let why = "Some lines are wrong. Mend them first; nothing was changed.";
        return Err(Problem::new(Code::ListWrong, why).with("why", &why));
    }
    if asked.version != Some(site.version) {
        let why = "The configuration has changed since the list was looked at. Look at it again.";
        return Err(Problem::new(Code::ListWrong, why).with("why", &why));
    }
    let now = web.now();
    let version = edit::change(&web, &visitor, "a list of meters", |document| {
        for line in &lines {
            match &line.outcome {
                Outcome::New(keys) => {
                    let mut meter = toml_edit::Table::new();
                    edit::set(&mut meter, "id", &edit::new_id(&now));
                    for (key, text) in keys {
                        put(&mut meter, key, text);
                    }
                    edit::sections(document, "meter")?.push(meter);
                }
                Outcome::Changed(id, keys) => {
                    let meter = edit::meter(document, id)?;
                    for (key, _, text) in keys {
                        put(meter, key, text);
                    }
                }
                Outcome::Same | Outcome::Wrong(_) => {}
            }
        }
        Ok(())
    })
    .await?;
    Ok(Json(ListBody::of(&lines, version)))
}

fn put(meter: &mut toml_edit::Table, key: &str, text: &str) {
    match (key, text.parse::<u8>()) {
        ("address", Ok(primary)) => {
            meter.remove("secondary");
            meter.insert("address", value(i64::from(primary)));
        }
        // Eight digits and more are a meter's own; a sensor's name has others.
        ("address", Err(_))
            if text.len() >= 8
                && text.bytes().take(8).all(|it| matches!(it, b'0'..=b'9' | b'F')) =>
        {
            meter.remove("address");
            edit::set(meter, "secondary", text);
        }
        ("tags", _) => {
            let tags: Vec<String> = text.split(',').map(|it| it.trim().to_owned()).collect();
            edit::set_list(meter, "tags", &tags);
        }
        _ => edit::set(meter, key, text),
    }
}

/// `?apply=true&version=7`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Import {
    /// `true` has the list come true; otherwise it is only looked at.
    #[serde(default)]
    apply: bool,
    /// With `apply`: the version of the configuration that the list was compared with.
    version: Option<u64>,
}

/// What a list comes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterList)]
pub(crate) struct ListBody {
    /// The version of the configuration that it was compared with, or that it made.
    version: u64,
    lines: Vec<LineBody>,
}

/// What a line comes to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterListLine)]
pub(crate) struct LineBody {
    /// Counted from 1.
    line: usize,
    name: String,
    /// `new`, `changed`, `same`, `wrong`.
    outcome: &'static str,
    /// Which keys would be others.
    changes: Vec<ChangeBody>,
    /// What is wrong with it, in English.
    wrong: Option<String>,
    /// What was read in another way than it stands there, in English.
    notes: Vec<String>,
}

/// A key that would be another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterListChange)]
pub(crate) struct ChangeBody {
    key: &'static str,
    before: String,
    after: String,
}

impl ListBody {
    fn of(lines: &[Line], version: u64) -> Self {
        let lines = lines.iter().map(|line| {
            let (outcome, changes, wrong) =
                match &line.outcome {
                    Outcome::New(keys) => {
                        let told = |(key, after): &(&'static str, String)| ChangeBody {
                            key,
                            before: String::new(),
                            after: after.clone(),
                        };
                        ("new", keys.iter().map(told).collect(), None)
                    }
                    Outcome::Changed(_, keys) => {
                        let told = |(key, before, after): &(&'static str, String, String)| {
                            ChangeBody { key, before: before.clone(), after: after.clone() }
                        };
                        ("changed", keys.iter().map(told).collect(), None)
                    }
                    Outcome::Same => ("same", Vec::new(), None),
                    Outcome::Wrong(why) => ("wrong", Vec::new(), Some(why.clone())),
                };
            let (name, notes) = (line.name.clone(), line.notes.clone());
            LineBody { line: line.number, name, outcome, changes, wrong, notes }
        });
        Self { version, lines: lines.collect() }
    }
}
