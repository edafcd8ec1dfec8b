//! `/api/v1/tokens`: what programs come with, in the name of whoever made it.
//!
//! A token may what its scope says of what its owner may, and never who else may what. It is shown
//! once.

use std::sync::Arc;

use access::{Act, Scope, Ticket};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::{Kept, Token};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::{Body, Time};
use crate::{Web, people};

/// The visitor's own, the oldest first.
pub(crate) async fn tokens(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<Vec<TokenBody>>, Problem> {
    let kept = people::sessions_of(&web.handles.core, visitor.user.id).await?;
    Ok(Json(kept.iter().filter_map(TokenBody::of).collect()))
}

/// Makes one.
pub(crate) async fn make(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let name = label(&asked.name)?;
    let acts: Vec<Act> = asked.scope.iter().map(|act| act_of(act)).collect::<Result<_, _>>()?;
    let scope = Scope::new(&acts, visitor.user.role)
        .map_err(|wrong| Problem::malformed(wrong.to_string()))?;
    let ends_ms = ends(asked.days, now.wall_ms())?;

    let _changing = web.change_by(&visitor).await?;
    let kept = people::sessions_of(core, visitor.user.id).await?;
    if kept.iter().filter(|it| it.token.is_some()).count() >= MOST {
        return Err(enough(MOST));
    }
    let secret = Ticket::token();
    let token = Token { name, scope, ends_ms };
    let detail = format!("{}: {}", token.name, words(&token.scope).join(" "));
    let kept = people::token(secret.hash(), visitor.user.id, token, &now);
    people::keep_session(core, &kept).await?;
    core.audit(visitor.name(), "token_made".into(), detail).await?;
    let token = TokenBody::of(&kept).ok_or_else(Problem::stopping)?;
    Ok((StatusCode::CREATED, Json(MadeToken { token, secret: secret.text().to_owned() })))
}

/// Takes one away.
pub(crate) async fn remove(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let kept = people::sessions_of(core, visitor.user.id).await?;
    let found = kept.iter().find(|it| it.token.is_some() && it.id() == id);
    let found =
        found.ok_or_else(|| Problem::new(Code::NoSuchToken, "No token of yours has this id."))?;
    core.delete_session(found.session.hash.bytes().to_vec()).await?;
    web.doors.ended.send_replace(());
    let name = found.token.as_ref().map(|token| token.name.clone());
    core.audit(visitor.name(), "token_removed".into(), name.unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Of one person.
const MOST: usize = 50;

/// What a link, a token or a passkey is called.
pub(crate) fn label(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        return Ok(text.to_owned());
    }
    let detail = "A name has 1 to 64 characters, none of them a control character.";
    Err(Problem::new(Code::LabelWrong, detail))
}

/// When something ends that lasts for `days`.
pub(crate) fn ends(days: Option<u32>, now_ms: i64) -> Result<Option<i64>, Problem> {
    match days {
        None => Ok(None),
        Some(days @ 1..=LONGEST_DAYS) => Ok(Some(now_ms + i64::from(days) * 86_400_000)),
        Some(days) => {
            Err(Problem::malformed(format!("days = {days} is not from 1 to {LONGEST_DAYS}")))
        }
    }
}

/// Ten years.
const LONGEST_DAYS: u32 = 3_660;

pub(crate) fn enough(most: usize) -> Problem {
    let detail = format!("There may be {most}. Remove one first.");
    Problem::new(Code::Enough, detail).with("most", &most)
}

fn act_of(text: &str) -> Result<Act, Problem> {
    let found = Act::ALL.into_iter().find(|act| act.as_str() == text);
    found.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        Problem::malformed(format!("`{text}` is not one of see, inspect, ask, configure"))
    })
}

fn words(scope: &Scope) -> Vec<&'static str> {
    scope.acts().iter().map(|act| act.as_str()).collect()
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is called: which program comes with it.
    name: String,
    /// `see`, `inspect`, `ask`, `configure`: no more than you may yourself.
    scope: Vec<String>,
    /// How long it is good; for ever if it is left out.
    #[serde(default)]
    days: Option<u32>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    token: TokenBody,
    /// What the program sends as `Authorization: Bearer …`. It is shown this once.
    secret: String,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenBody {
    id: String,
    name: String,
    scope: Vec<&'static str>,
    made: Time,
    /// When it was used last, give or take five minutes; at first when it was made.
    used: Time,
    /// When it ends, if it does.
    ends: Option<Time>,
}

impl TokenBody {
    fn of(kept: &Kept) -> Option<Self> {
        let token = kept.token.as_ref()?;
        Some(Self {
            id: kept.id(),
            name: token.name.clone(),
            scope: words(&token.scope),
            made: Time::of_ms(kept.created_ms),
            used: Time::of_ms(kept.session.used.wall_ms),
            ends: token.ends_ms.map(Time::of_ms),
        })
    }
}
