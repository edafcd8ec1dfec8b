//! What an owner wants changed at a gateway, as a document for it.
//!
//! **Never true:** that this service knows what may be changed: the gateway says so when it is tried out.

use metering::GatewayId;
use serde::{Deserialize, Serialize};
use sync_wire::{ChangeDocument, ErrandKind, KeyChange, KeyValue, SignedChange, limits};
use utoipa::ToSchema;
use uuid::Uuid;

use super::api::Wanted;
use crate::problem::Problem;

/// One key of a gateway's configuration that gets another value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConfigurationChange)]
pub(crate) struct ChangeBody {
    /// `site`, `bus`, `meter` or `cloud`
    section: String,
    /// Of a `bus` or a `meter`: which; otherwise empty.
    #[serde(default)]
    id: String,
    /// As in the gateway's configuration, such as `poll_every_secs`.
    key: String,
    /// What it is from then on, as a text; without `text` and `number` the key goes away.
    #[serde(default)]
    text: Option<String>,
    /// What it is from then on, as a number.
    #[serde(default)]
    number: Option<u64>,
}

/// The document that goes with an errand; `None` if none does.
///
/// # Errors
///
/// In a sentence what is wrong with what is wanted.
pub(super) fn document(
    kind: ErrandKind,
    wanted: Wanted,
    gateway: GatewayId,
    errand: Uuid,
    who: &str,
    made_ms: i64,
) -> Result<Option<ChangeDocument>, Problem> {
    let Wanted { changes, base, within_s, .. } = wanted;
    if kind == ErrandKind::Diagnosis {
        return match (changes.is_empty(), base, within_s) {
            (true, None, None) => Ok(None),
            _ => Err(Problem::malformed("a diagnosis has no changes, base or within_s")),
        };
    }
    match (kind, base) {
        (ErrandKind::Change, None | Some(0)) => {
            let why = "a change says the version of the configuration that it is of, as `base`";
            return Err(Problem::malformed(why));
        }
        (ErrandKind::DryRun, Some(_)) => {
            let why = "a dry_run is of the newest version and has no `base`";
            return Err(Problem::malformed(why));
        }
        _ => {}
    }
    if changes.is_empty() || changes.len() > limits::CHANGES {
        let why = format!("`changes` are from 1 to {} keys", limits::CHANGES);
        return Err(Problem::malformed(why));
    }
    let within_s = within_s.unwrap_or(WITHIN_S);
    if !(LEAST_WITHIN_S..=MOST_WITHIN_S).contains(&within_s) {
        let why = format!("`within_s` is from {LEAST_WITHIN_S} to {MOST_WITHIN_S}");
        return Err(Problem::malformed(why));
    }
    let changes: Result<Vec<_>, Problem> = changes.into_iter().map(ChangeBody::checked).collect();
    let (changes, who) = (changes?, who.to_owned());
    Ok(Some(ChangeDocument { gateway, errand, made_ms, base, who, within_s, changes }))
}

/// What stands in the document of an errand.
pub(super) fn listed(body: &[u8]) -> Vec<ChangeBody> {
    let signed = SignedChange::read(body);
    let document = signed.and_then(|signed| ChangeDocument::read(&signed.document));
    document.map_or_else(|_| Vec::new(), |it| it.changes.into_iter().map(ChangeBody::of).collect())
}

impl ChangeBody {
    fn checked(self) -> Result<KeyChange, Problem> {
        let Self { section, id, key, text, number } = self;
        let is_word = |it: &str| !it.is_empty() && it.len() <= limits::KEY_BYTES;
        if !is_word(&section) || !is_word(&key) || id.len() > limits::KEY_BYTES {
            let most = limits::KEY_BYTES;
            let why =
                format!("`section` and `key` have from 1 to {most} bytes, `id` at most so many");
            return Err(Problem::malformed(why));
        }
        let value = match (text, number) {
            (Some(_), Some(_)) => {
                return Err(Problem::malformed("a key is a `text` or a `number`, not both"));
            }
            (Some(text), None) if text.len() > limits::NAME_BYTES => {
                let why = format!("`text` has at most {} bytes", limits::NAME_BYTES);
                return Err(Problem::malformed(why));
            }
            (Some(text), None) => Some(KeyValue::Text(text)),
            (None, number) => number.map(KeyValue::Number),
        };
        Ok(KeyChange { section, id, key, value })
    }

    fn of(change: KeyChange) -> Self {
        let KeyChange { section, id, key, value } = change;
        let (text, number) = match value {
            Some(KeyValue::Text(text)) => (Some(text), None),
            Some(KeyValue::Number(number)) => (None, Some(number)),
            None => (None, None),
        };
        Self { section, id, key, text, number }
    }
}

/// Ten minutes: a modem that starts anew has four of them, a router two.
const WITHIN_S: u32 = 600;
const LEAST_WITHIN_S: u32 = 10;
const MOST_WITHIN_S: u32 = 3_600;
