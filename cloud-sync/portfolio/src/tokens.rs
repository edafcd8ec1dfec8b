//! `/api/v1/tokens`: what programs come with, in the name of whoever made it.
//!
//! A token may what its scope says of what its owner may, and never who else may what. It is shown once. The
//! shapes are those of the gateway's API.

use access::{Act, Scope, SecretHash, Session, Stamp, Ticket, User};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Kept, Repository, Token};
use crate::sites::time;

/// `GET /tokens`: one's own, the oldest first.
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
) -> Result<Json<Vec<TokenBody>>, Problem> {
    let kept = people.repository.sessions_of(user.id).await?;
    let mut tokens: Vec<&Kept> = kept.iter().filter(|it| it.token.is_some()).collect();
    tokens.sort_by_key(|it| it.token.as_ref().map(|token| token.made_ms));
    Ok(Json(tokens.into_iter().filter_map(TokenBody::of).collect()))
}

/// `POST /tokens`
pub(crate) async fn make<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    asked: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let Json(NewToken { name, scope, days }) = asked?;
    let now = people.clock.now();
    let name = label(&name)?;
    let acts = scope.iter().map(|act| act_of(act)).collect::<Result<Vec<Act>, _>>()?;
    let scope = Scope::new(&acts, user.role);
    let scope = scope.map_err(|wrong| Problem::malformed(wrong.to_string()))?;
    let ends_ms = ends(days, now.wall_ms())?;
    let kept = people.repository.sessions_of(user.id).await?;
    if kept.iter().filter(|it| it.token.is_some()).count() >= MOST {
        let detail = format!("There may be {MOST}. Remove one first.");
        return Err(Problem::new(Code::Enough, detail).with("most", &MOST));
    }
    let secret = Ticket::token();
    let made = Stamp::of(&now);
    let session = Session { hash: secret.hash(), user: user.id, login: Some(made), used: made };
    let token = Token { name, scope, made_ms: now.wall_ms(), ends_ms };
    let kept = Kept { session, token: Some(token) };
    people.repository.keep_session(kept.clone(), now.wall_ms()).await?;
    let token = TokenBody::of(&kept).ok_or_else(no_such_token)?;
    tracing::info!(by = %user.name, token = token.name, scope = ?token.scope, "token made");
    Ok((StatusCode::CREATED, Json(MadeToken { token, secret: secret.text().to_owned() })))
}

/// `DELETE /tokens/{token}`
pub(crate) async fn remove<R: Repository>(
    State(people): State<People<R>>,
    Extension(user): Extension<User>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let kept = people.repository.sessions_of(user.id).await?;
    let found = kept.iter().find(|it| it.token.is_some() && id_of(&it.session.hash) == id);
    let hash = found.ok_or_else(no_such_token)?.session.hash;
    people.repository.end_session(hash).await?;
    tracing::info!(by = %user.name, id, "token removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Of one person.
const MOST: usize = 50;

/// Ten years.
const LONGEST_DAYS: u32 = 3_660;

pub(crate) fn label(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if (1..=64).contains(&text.chars().count()) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let detail = "A name has 1 to 64 characters, none of them a control character.";
    Err(Problem::new(Code::LabelWrong, detail))
}

pub(crate) fn ends(days: Option<u32>, now_ms: i64) -> Result<Option<i64>, Problem> {
    match days {
        None => Ok(None),
        Some(days @ 1..=LONGEST_DAYS) => Ok(Some(now_ms + i64::from(days) * 86_400_000)),
        Some(_) => Err(Problem::malformed(format!("`days` is a number from 1 to {LONGEST_DAYS}"))),
    }
}

fn act_of(text: &str) -> Result<Act, Problem> {
    let found = Act::ALL.into_iter().find(|act| act.as_str() == text);
    found.ok_or_else(|| Problem::malformed("`scope` has see, inspect, ask, configure"))
}

/// Enough of the hash to tell one person's from each other, and not enough to look for the secret.
fn id_of(hash: &SecretHash) -> String {
    hash.to_string().chars().take(16).collect()
}

fn no_such_token() -> Problem {
    Problem::new(Code::NoSuchToken, "No token of yours has this id.")
}

/// `{"name":"energy report","scope":["see"],"days":365}`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    name: String,
    scope: Vec<String>,
    /// How long it is good; for ever if it is left out.
    #[serde(default)]
    days: Option<u32>,
}

/// What the program sends as `Authorization: Bearer …`. It is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    token: TokenBody,
    secret: String,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenBody {
    id: String,
    name: String,
    scope: Vec<&'static str>,
    made: String,
    /// Give or take five minutes; at first when it was made.
    used: String,
    ends: Option<String>,
}

impl TokenBody {
    fn of(kept: &Kept) -> Option<Self> {
        let Kept { session, token: Some(token) } = kept else { return None };
        Some(Self {
            id: id_of(&session.hash),
            name: token.name.clone(),
            scope: token.scope.acts().iter().map(|act| act.as_str()).collect(),
            made: time(token.made_ms),
            used: time(session.used.wall_ms),
            ends: token.ends_ms.map(time),
        })
    }
}
