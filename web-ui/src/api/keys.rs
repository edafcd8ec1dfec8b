//! `/api/v1/keys`: the keys of meters that encrypt. They go in, and never come out again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Web;
use crate::handles::Wish;
use crate::meter_keys::{KeptKey, KeyOrder, KeysKept, KeysRefused, Secret};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Body;

/// Whose keys are kept.
pub(crate) async fn keys(State(web): State<Arc<Web>>) -> Result<Json<Vec<KeyBody>>, Problem> {
    let kept = ordered(&web, KeyOrder::Tell).await?;
    Ok(Json(kept.meters.iter().map(KeyBody::of).collect()))
}

/// Keeps the keys of one meter; those that it had are forgotten.
pub(crate) async fn enter(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Body(entered): Body<KeyEntry>,
) -> Result<StatusCode, Problem> {
    let number = meter.clone();
    let KeyEntry { encryption, authentication } = entered;
    let (encryption, authentication) = (Secret(encryption), authentication.map(Secret));
    ordered(&web, KeyOrder::Enter { meter, encryption, authentication }).await?;
    audit(&web, &visitor, "key_entered", number).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes keys out of a supplier's file.
pub(crate) async fn import(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(file): Body<KeyFile>,
) -> Result<Json<ImportedKeys>, Problem> {
    let bytes = BASE64.decode(file.file.as_bytes());
    // What stands there is not repeated: it may be a key.
    let bytes = bytes.map_err(|_| Problem::malformed("`file` is not base64"))?;
    let order = KeyOrder::Import { file: Secret(bytes), password: file.password.map(Secret) };
    let kept = ordered(&web, order).await?;
    let (new, replaced) = (kept.new, kept.replaced);
    audit(&web, &visitor, "keys_imported", format!("{new} new, {replaced} replaced")).await?;
    Ok(Json(ImportedKeys { new, replaced }))
}

/// Forgets the keys of one meter.
pub(crate) async fn forget(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
) -> Result<StatusCode, Problem> {
    ordered(&web, KeyOrder::Forget { meter: meter.clone() }).await?;
    audit(&web, &visitor, "key_forgotten", meter).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ordered(web: &Web, order: KeyOrder) -> Result<KeysKept, Problem> {
    web.wish(|reply| Wish::Keys { order, reply }).await?.map_err(problem)
}

async fn audit(web: &Web, visitor: &Visitor, what: &str, detail: String) -> Result<(), Problem> {
    let who = visitor.user.name.to_string();
    Ok(web.handles.core.audit(who, what.to_owned(), detail).await?)
}

fn problem(refused: KeysRefused) -> Problem {
    let (code, detail) = match refused {
        KeysRefused::Number => {
            let detail = "That is no meter's number: it has 4 to 24 letters and digits.";
            (Code::KeyNumber, detail.to_owned())
        }
        KeysRefused::Key => (Code::KeyWrong, "That is no key: one has 32 hex digits.".to_owned()),
        KeysRefused::File(why) => {
            return Problem::new(Code::KeyFile, why.clone()).with("why", &why);
        }
        KeysRefused::Password => {
            (Code::KeyPassword, "That is a KEM file: it takes its password.".to_owned())
        }
        KeysRefused::Unknown => (Code::NoSuchKey, "No key is kept under this number.".to_owned()),
        KeysRefused::Failed(why) => (Code::KeysFailed, why),
    };
    Problem::new(code, detail)
}

/// The keys of a meter, as its supplier gives them out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// 32 hex digits.
    encryption: String,
    /// The same; of an electricity meter alone.
    #[serde(default)]
    authentication: Option<String>,
}

/// A supplier's file of keys: a table (CSV), or a KEM file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    /// As it came, in base64.
    file: String,
    /// Of a KEM file.
    #[serde(default)]
    password: Option<String>,
}

/// That a meter's keys are kept. No answer has a key in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyBody {
    /// Its number, as it was entered: `67001122KAM`.
    meter: String,
    /// Whether the authentication key is kept, too.
    authentication: bool,
}

impl KeyBody {
    fn of(kept: &KeptKey) -> Self {
        Self { meter: kept.meter.clone(), authentication: kept.authentication }
    }
}

/// What a file of keys brought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedKeys {
    /// Meters that had none.
    new: usize,
    /// Meters whose keys were others before, or the same.
    replaced: usize,
}
