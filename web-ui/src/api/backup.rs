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
use crate::handles::Wish;
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::sticks::{Copying, NotOnStick, OnStick, Stick, StickOrder, Sticks};
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
    let Stands::Ready(made) = backup.state else { return Err(none()) };
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

/// The USB sticks that are put in, and what is being copied.
pub(crate) async fn sticks(State(web): State<Arc<Web>>) -> Result<Json<SticksBody>, Problem> {
    on_sticks(&web, StickOrder::Tell).await
}

/// Copies it to one of them.
pub(crate) async fn copy(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<ToStick>,
) -> Result<Json<SticksBody>, Problem> {
    let backup = web.backup();
    let Stands::Ready(made) = backup.state else { return Err(none()) };
    let ToStick { stick } = asked;
    web.handles.core.audit(visitor.name(), "backup_copied".into(), stick.clone()).await?;
    // In letters that every file system of a stick takes; the newest is the last in any list.
    let moment: String = Time::of_ms(backup.at_ms).text().chars().take(16).collect();
    let moment = moment.replace(['-', ':'], "").replace('T', "-");
    let file = format!("fyrhus-{moment}.backup");
    on_sticks(&web, StickOrder::Copy { made, stick, file }).await
}

async fn on_sticks(web: &Web, order: StickOrder) -> Result<Json<SticksBody>, Problem> {
    let sticks = web.wish(|reply| Wish::Stick { order, reply }).await?;
    sticks.map(|sticks| Json(SticksBody::of(sticks))).map_err(|why| match why {
        NotOnStick::Busy => Problem::new(Code::Busy, "A backup is being copied. Wait for it."),
        NotOnStick::Gone => no_stick(),
        NotOnStick::NoRoom { needed, free } => {
            let detail = format!("The stick needs room for {needed} bytes, and has {free}.");
            let megabytes = |bytes: u64| bytes / 1_000_000;
            Problem::new(Code::NoRoom, detail)
                .with("needed", &megabytes(needed))
                .with("free", &megabytes(free))
        }
        NotOnStick::Differs => Problem::new(Code::Store, "What was read back is different."),
        NotOnStick::Failed(why) => Problem::new(Code::Store, why),
    })
}

pub(super) fn no_stick() -> Problem {
    let detail = "The stick is not there, or this file is not on it. Put it in, and wait a moment.";
    Problem::new(Code::NoStick, detail)
}

fn none() -> Problem {
    Problem::new(Code::NoBackup, "No backup is there. Make one first.")
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

/// Where the backup is copied to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BackupToStick)]
pub(crate) struct ToStick {
    /// As the gateway tells of it.
    stick: String,
}

/// The USB sticks at the gateway.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sticks)]
pub(crate) struct SticksBody {
    /// Those that are put in.
    sticks: Vec<StickBody>,
    /// `none`, `copying`, `copied`: it can be pulled out; `gone`, `room`, `differs`, `failed`.
    state: &'static str,
    /// Of a copy: to which stick.
    stick: Option<String>,
    /// Of one that is made: under which name.
    file: Option<String>,
    /// Of one that is being made: how many bytes have been written and read back.
    bytes: Option<u64>,
    /// Of how many.
    of: Option<u64>,
    /// Why it failed otherwise, as one English sentence.
    why: Option<String>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stick)]
pub(crate) struct StickBody {
    /// As the machine has named it.
    name: String,
    /// In bytes; 0 if nothing can be written.
    free: u64,
    /// What is on it, the newest first.
    backups: Vec<OnStickBody>,
}

/// A backup on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackupOnStick)]
pub(crate) struct OnStickBody {
    file: String,
    bytes: u64,
    /// When it was written, by the clock of whoever did.
    at: Time,
}

impl SticksBody {
    fn of(told: Sticks) -> Self {
        let stick = |stick: Stick| StickBody {
            name: stick.name,
            free: stick.free,
            backups: stick.backups.into_iter().map(OnStickBody::of).collect(),
        };
        let mut body = Self {
            sticks: told.sticks.into_iter().map(stick).collect(),
            state: "none",
            stick: None,
            file: None,
            bytes: None,
            of: None,
            why: None,
        };
        match told.copying {
            Copying::None => {}
            Copying::Now { stick, bytes, of } => {
                (body.state, body.stick) = ("copying", Some(stick));
                (body.bytes, body.of) = (Some(bytes), Some(of));
            }
            Copying::Done { stick, file } => {
                (body.state, body.stick, body.file) = ("copied", Some(stick), Some(file));
            }
            Copying::Failed(why) => match why {
                NotOnStick::Gone => body.state = "gone",
                NotOnStick::NoRoom { .. } => body.state = "room",
                NotOnStick::Differs => body.state = "differs",
                NotOnStick::Busy => body.state = "failed",
                NotOnStick::Failed(why) => (body.state, body.why) = ("failed", Some(why)),
            },
        }
        body
    }
}

impl OnStickBody {
    fn of(backup: OnStick) -> Self {
        Self { file: backup.file, bytes: backup.bytes, at: Time::of_ms(backup.at_ms) }
    }
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
