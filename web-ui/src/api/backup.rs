//! `/api/v1/backup`: all that the gateway is, in one file that only a passphrase opens. For owners.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Web;
use crate::backups::{Backup, NotBackedUp, State as Stands};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};

/// Where the newest stands.
pub(crate) async fn backup(State(web): State<Arc<Web>>) -> Json<BackupBody> {
    Json(BackupBody::of(&web.backup()))
}

/// Begins to make one.
pub(crate) async fn make(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<NewBackup>,
) -> Result<Json<BackupBody>, Problem> {
    let letters = asked.passphrase.chars().count();
    if letters < SHORTEST {
        let detail = format!("A passphrase has at least {SHORTEST} characters.");
        return Err(Problem::new(Code::PasswordShort, detail).with("least", &SHORTEST));
    }
    if letters > LONGEST {
        let detail = format!("A passphrase has at most {LONGEST} characters.");
        return Err(Problem::new(Code::PasswordLong, detail).with("most", &LONGEST));
    }
    // On the command line it is the first line of a file.
    if asked.passphrase.chars().any(char::is_control) {
        return Err(Problem::malformed("a passphrase is one line, without control characters"));
    }
    drop(web.change_by(&visitor).await?);
    web.begin_backup(&visitor, asked.passphrase)?;
    Ok(Json(BackupBody::of(&web.backup())))
}

/// The file.
pub(crate) async fn file(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let backup = web.backup();
    let Stands::Ready(made) = backup.state else {
        return Err(Problem::new(Code::NoBackup, "No backup is there. Make one first."));
    };
    web.handles.core.audit(visitor.name(), "backup_taken".into(), String::new()).await?;
    let day = Time::of_ms(backup.at_ms).text().chars().take(10).collect::<String>();
    let name = HeaderValue::try_from(format!("attachment; filename=\"fyrhus-{day}.backup\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment"))),
        (header::CONTENT_LENGTH, HeaderValue::from(made.bytes)),
        // What is sealed cannot be compressed, and to try takes the processor.
        (header::CONTENT_ENCODING, HeaderValue::from_static("identity")),
    ];
    Ok((headers, made.body()).into_response())
}

/// Takes it away before its hour is over.
pub(crate) async fn remove(State(web): State<Arc<Web>>) -> StatusCode {
    web.drop_backup();
    StatusCode::NO_CONTENT
}

/// As on the command line.
const SHORTEST: usize = 12;
const LONGEST: usize = 1_000;

/// What a backup is to be opened with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBackup {
    /// One line of at least 12 characters. It is not kept.
    passphrase: String,
}

/// Where the newest backup stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
pub(crate) struct BackupBody {
    /// `none`, `making`, `ready`, `failed`.
    state: &'static str,
    /// Who asked for it; empty if nobody did.
    who: String,
    at: Option<Time>,
    /// Of one that is ready.
    bytes: Option<u64>,
    /// What is not in it, because it is a backup itself: names in the state directory.
    left_out: Vec<String>,
    /// Of one that failed for want of room: how many bytes are needed.
    needed: Option<u64>,
    /// How many are free then.
    free: Option<u64>,
    /// Why another failed, as one English sentence.
    why: Option<String>,
}

impl BackupBody {
    fn of(backup: &Backup) -> Self {
        let mut body = Self {
            state: "none",
            who: backup.who.clone(),
            at: (backup.at_ms > 0).then(|| Time::of_ms(backup.at_ms)),
            bytes: None,
            left_out: Vec::new(),
            needed: None,
            free: None,
            why: None,
        };
        match &backup.state {
            Stands::None => {}
            Stands::Making => body.state = "making",
            Stands::Ready(made) => {
                (body.state, body.bytes) = ("ready", Some(made.bytes));
                body.left_out.clone_from(&made.left_out);
            }
            Stands::Failed(why) => {
                body.state = "failed";
                match why {
                    NotBackedUp::Busy => body.why = Some("Another is being made.".to_owned()),
                    NotBackedUp::NoRoom { needed, free } => {
                        (body.needed, body.free) = (Some(*needed), Some(*free));
                    }
                    NotBackedUp::Failed(why) => body.why = Some(why.clone()),
                }
            }
        }
        body
    }
}
