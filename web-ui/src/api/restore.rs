//! `/api/v1/restore`: a backup comes back. It is taken piece by piece, looked into, and only then put in the
//! place of everything that is here. For owners.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::handles::Wish;
use crate::meter_keys::Secret;
use crate::problem::{Code, Problem};
use crate::restores::{Held, NotRestored, RestoreOrder, RestoreStands, Restoring};
use crate::session::Visitor;
use crate::wire::{Asked, Body};

/// How it stands.
pub(crate) async fn restore(State(web): State<Arc<Web>>) -> Result<Json<RestoreBody>, Problem> {
    obey(&web, RestoreOrder::Tell).await
}

/// Takes a piece of the file.
pub(crate) async fn take(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(asked): Asked<Piece>,
    piece: Result<Bytes, BytesRejection>,
) -> Result<Json<RestoreBody>, Problem> {
    let piece = piece?.to_vec();
    drop(web.change_by(&visitor).await?);
    obey(&web, RestoreOrder::Take { at: asked.at, piece }).await
}

/// Fetches it from a USB stick.
pub(crate) async fn fetch(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Fetched>,
) -> Result<Json<RestoreBody>, Problem> {
    drop(web.change_by(&visitor).await?);
    let Fetched { stick, file } = asked;
    web.handles.core.audit(visitor.name(), "restore_fetched".into(), file.clone()).await?;
    obey(&web, RestoreOrder::Fetch { stick, file }).await
}

/// Opens it and tells what is in it.
pub(crate) async fn look(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Opened>,
) -> Result<Json<RestoreBody>, Problem> {
    drop(web.change_by(&visitor).await?);
    web.handles.core.audit(visitor.name(), "restore_looked".into(), String::new()).await?;
    obey(&web, RestoreOrder::Look { passphrase: Secret(asked.passphrase) }).await
}

/// Puts it in the place of everything.
pub(crate) async fn go(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<RestoreBody>, Problem> {
    drop(web.change_by(&visitor).await?);
    web.handles.core.audit(visitor.name(), "restore_begun".into(), String::new()).await?;
    obey(&web, RestoreOrder::Go { who: visitor.name() }).await
}

/// Puts what was here before back.
pub(crate) async fn back(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<RestoreBody>, Problem> {
    drop(web.change_by(&visitor).await?);
    web.handles.core.audit(visitor.name(), "restore_undone".into(), String::new()).await?;
    obey(&web, RestoreOrder::Back { who: visitor.name() }).await
}

/// Forgets the file.
pub(crate) async fn remove(State(web): State<Arc<Web>>) -> Result<Json<RestoreBody>, Problem> {
    obey(&web, RestoreOrder::Drop).await
}

/// Removes what was here before.
pub(crate) async fn forget(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<RestoreBody>, Problem> {
    drop(web.change_by(&visitor).await?);
    web.handles.core.audit(visitor.name(), "restore_settled".into(), String::new()).await?;
    obey(&web, RestoreOrder::Forget).await
}

async fn obey(web: &Web, order: RestoreOrder) -> Result<Json<RestoreBody>, Problem> {
    match web.wish(|reply| Wish::Restore { order, reply }).await? {
        Ok(restoring) => Ok(Json(RestoreBody::of(restoring))),
        Err(why) => Err(refused(why)),
    }
}

fn refused(why: NotRestored) -> Problem {
    match why {
        NotRestored::Busy => Problem::new(Code::Busy, "A backup is being restored. Wait for it."),
        NotRestored::Nothing => Problem::new(
            Code::NoBackup,
            "No backup that could be restored is here. Send one first.",
        ),
        NotRestored::NoStick => super::backup::no_stick(),
        NotRestored::Elsewhere { at } => {
            let detail = format!("The next piece begins at {at}.");
            Problem::new(Code::PieceElsewhere, detail).with("at", &at)
        }
        NotRestored::NoRoom { needed, free } => {
            let detail = format!("The disk needs {needed} bytes for it, and {free} are free.");
            let megabytes = |bytes: u64| bytes / 1_000_000;
            Problem::new(Code::NoRoom, detail)
                .with("needed", &megabytes(needed))
                .with("free", &megabytes(free))
        }
        NotRestored::Failed(why) => Problem::new(Code::Store, why),
    }
}

/// Largest piece: it is in memory while it is written.
pub(crate) const MOST_PIECE: usize = 4 << 20;

/// Where a piece belongs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    /// In bytes from the beginning of the file; 0 begins anew.
    at: u64,
}

/// Which backup is fetched.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RestoreFromStick)]
pub(crate) struct Fetched {
    /// As the gateway tells of it.
    stick: String,
    /// A name among those on it.
    file: String,
}

/// What the backup is opened with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RestoreLook)]
pub(crate) struct Opened {
    /// With which it was made. It is not kept.
    passphrase: String,
}

/// Where a backup that comes back stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Restore)]
pub(crate) struct RestoreBody {
    /// `none`, `taking`, `fetching`, `looking`, `held`, `failed`, `going`.
    state: &'static str,
    /// Of one that is being taken or fetched: how much of it is here.
    bytes: Option<u64>,
    /// Of one that is being fetched from a stick: how much there will be.
    of: Option<u64>,
    /// What it holds, once it was looked into.
    held: Option<HeldBody>,
    /// Why it cannot be restored, as one English sentence.
    why: Option<String>,
    /// What was here before the last restore is still there and can come back.
    before: bool,
}

/// What a backup holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldBackup)]
pub(crate) struct HeldBody {
    gateway: String,
    /// It is of this gateway.
    same: bool,
    /// What its building is called.
    name: Option<String>,
    meters: usize,
    bytes: u64,
    readings: u64,
    /// `2025-11`
    first_month: Option<String>,
    last_month: Option<String>,
    /// What is damaged in it, an English sentence each.
    damages: Vec<String>,
}

impl RestoreBody {
    fn of(restoring: Restoring) -> Self {
        let mut body = Self {
            state: "none",
            bytes: None,
            of: None,
            held: None,
            why: None,
            before: restoring.before,
        };
        match restoring.stands {
            RestoreStands::None => {}
            RestoreStands::Taking { bytes } => (body.state, body.bytes) = ("taking", Some(bytes)),
            RestoreStands::Fetching { bytes, of } => {
                (body.state, body.bytes, body.of) = ("fetching", Some(bytes), Some(of));
            }
            RestoreStands::Looking => body.state = "looking",
            RestoreStands::Held(held) => {
                (body.state, body.held) = ("held", Some(HeldBody::of(*held)));
            }
            RestoreStands::Failed(why) => (body.state, body.why) = ("failed", Some(why)),
            RestoreStands::Going => body.state = "going",
        }
        body
    }
}

impl HeldBody {
    fn of(held: Held) -> Self {
        Self {
            gateway: held.gateway,
            same: held.same,
            name: held.name,
            meters: held.meters,
            bytes: held.bytes,
            readings: held.readings,
            first_month: held.first_month,
            last_month: held.last_month,
            damages: held.damages,
        }
    }
}
