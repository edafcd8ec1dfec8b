//! `/api/v1/login`: how the visitor gets in beside the password: an app's codes, recovery codes,
//! passkeys.

use std::sync::{Arc, PoisonError};

use access::{App, Ceremony, KnownPasskey, PublicKey, Totp};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::tokens::{enough, label};
use crate::passkeys::{Address, ClientJson, NoPasskeys, bytes};
use crate::people::Person;
use crate::problem::{Code, Problem};
use crate::session::{Visitor, not_logged_in};
use crate::wire::{Body, Time};
use crate::{Web, people};

/// What the visitor has set up, and what works at this address.
pub(crate) async fn ways(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<WaysBody>, Problem> {
    let person = oneself(&web, &visitor).await?;
    let address = Address::of(&web, &headers, &uri)?;
    Ok(Json(WaysBody {
        app: person.ways.app.is_some(),
        recovery: person.ways.recovery.len(),
        passkeys: person.ways.passkeys.iter().map(PasskeyBody::of).collect(),
        host: address.host.clone(),
        no_passkeys: address.party().err().map(NoPasskeys::as_str),
    }))
}

/// Begins to set up an app: a fresh secret, which counts once the app has shown a code of it.
pub(crate) async fn begin_app(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<AppSecret>, Problem> {
    let totp = Totp::new();
    let site = web.site().name.clone();
    let issuer = if site.is_empty() { "Fyrhus".to_owned() } else { format!("Fyrhus {site}") };
    let uri = totp.uri(&issuer, &visitor.name());
    let secret = totp.text();
    let mut apps = web.doors.apps.lock().unwrap_or_else(PoisonError::into_inner);
    apps.insert(visitor.user.id, totp);
    Ok(Json(AppSecret { secret, uri }))
}

/// The app shows the right code: from now on it is asked for. Answers the recovery codes.
pub(crate) async fn finish_app(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<AppCode>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let now = web.now();
    let totp = {
        let apps = web.doors.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(&visitor.user.id).cloned()
    };
    let totp = totp.ok_or_else(|| no_app("Begin to set up an app first."))?;
    web.doors.count_code(visitor.user.id, &now)?;
    let taken = totp.check(&asked.code, &now, 0).ok_or_else(code_wrong)?;
    web.doors.forgive_code(visitor.user.id);

    let _changing = web.change_by(&visitor).await?;
    let mut person = oneself(&web, &visitor).await?;
    person.ways.app = Some(App { totp, taken });
    let codes = person.ways.new_recovery();
    web.handles.core.put_user(person.row()).await?;
    web.doors.apps.lock().unwrap_or_else(PoisonError::into_inner).remove(&visitor.user.id);
    web.handles.core.audit(visitor.name(), "app_added".into(), String::new()).await?;
    Ok(Json(RecoveryCodes { codes }))
}

/// No code is asked for any more.
pub(crate) async fn remove_app(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<StatusCode, Problem> {
    let _changing = web.change_by(&visitor).await?;
    let mut person = oneself(&web, &visitor).await?;
    person.ways.app = None;
    person.ways.recovery.clear();
    web.handles.core.put_user(person.row()).await?;
    web.handles.core.audit(visitor.name(), "app_removed".into(), String::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fresh recovery codes; those before are void.
pub(crate) async fn new_recovery(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<Json<RecoveryCodes>, Problem> {
    let _changing = web.change_by(&visitor).await?;
    let mut person = oneself(&web, &visitor).await?;
    if person.ways.app.is_none() {
        return Err(no_app("Recovery codes stand in for an app, and none is set up."));
    }
    let codes = person.ways.new_recovery();
    web.handles.core.put_user(person.row()).await?;
    web.handles.core.audit(visitor.name(), "recovery_made".into(), String::new()).await?;
    Ok(Json(RecoveryCodes { codes }))
}

/// What a device has to sign to become a passkey of the visitor.
pub(crate) async fn begin_passkey(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<NewPasskeyChallenge>, Problem> {
    let address = Address::of(&web, &headers, &uri)?;
    let host = address.party()?.id.to_owned();
    let person = oneself(&web, &visitor).await?;
    let challenge = {
        let challenges = web.doors.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.issue(Ceremony::Add(visitor.user.id), web.now().boottime)
    };
    Ok(Json(NewPasskeyChallenge {
        challenge,
        host,
        user: BASE64URL_NOPAD.encode(visitor.user.id.uuid().as_bytes()),
        name: visitor.name(),
        algorithms: PublicKey::ALGORITHMS.to_vec(),
        known: person.ways.passkeys.iter().map(KnownPasskey::id).collect(),
    }))
}

/// Keeps a passkey that was made.
pub(crate) async fn add_passkey(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
    Body(asked): Body<NewPasskey>,
) -> Result<(StatusCode, Json<PasskeyBody>), Problem> {
    let core = &web.handles.core;
    let now = web.now();
    let name = label(&asked.name)?;
    let address = Address::of(&web, &headers, &uri)?;
    let party = address.party()?;
    let client = ClientJson::read(&asked.client)?;
    let proven = access::register(party, &client.data(), &bytes(&asked.attestation)?)?;
    let passkey = {
        let mut challenges = web.doors.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        proven.redeem(&mut challenges, Ceremony::Add(visitor.user.id), now.boottime)?
    };

    let _changing = web.change_by(&visitor).await?;
    let mut person = oneself(&web, &visitor).await?;
    if person.ways.passkeys.len() >= MOST {
        return Err(enough(MOST));
    }
    if person.ways.passkeys.iter().any(|known| known.passkey.id == passkey.id) {
        let detail = "This passkey is known already.";
        return Err(Problem::new(Code::PasskeyWrong, detail).with("why", &"known"));
    }
    let host = party.id.to_owned();
    let known =
        KnownPasskey { passkey, name: name.clone(), host, made_ms: now.wall_ms(), used_ms: None };
    let body = PasskeyBody::of(&known);
    person.ways.passkeys.push(known);
    core.put_user(person.row()).await?;
    core.audit(visitor.name(), "passkey_added".into(), name).await?;
    Ok((StatusCode::CREATED, Json(body)))
}

/// Forgets one.
pub(crate) async fn remove_passkey(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let core = &web.handles.core;
    let _changing = web.change_by(&visitor).await?;
    let mut person = oneself(&web, &visitor).await?;
    let known = &mut person.ways.passkeys;
    let found = known.iter().position(|it| it.id() == id);
    let found = found
        .ok_or_else(|| Problem::new(Code::NoSuchPasskey, "No passkey of yours has this id."))?;
    let removed = known.remove(found);
    core.put_user(person.row()).await?;
    core.audit(visitor.name(), "passkey_removed".into(), removed.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Of one person.
const MOST: usize = 20;

async fn oneself(web: &Web, visitor: &Visitor) -> Result<Person, Problem> {
    let person = people::with_id(&web.handles.core, visitor.user.id).await?;
    person.ok_or_else(not_logged_in)
}

fn no_app(detail: &str) -> Problem {
    Problem::new(Code::NoApp, detail)
}

pub(crate) fn code_wrong() -> Problem {
    Problem::new(Code::SecondWrong, "This is not the code that the app shows now.")
}

/// How somebody gets in beside the password.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ways)]
pub(crate) struct WaysBody {
    /// Whether an app's code is asked for.
    app: bool,
    /// How many recovery codes are left.
    recovery: usize,
    passkeys: Vec<PasskeyBody>,
    /// The name under which the gateway was asked.
    host: String,
    /// Why no passkey works under it: `address` for an IP address, `plain` without TLS; `null` if
    /// one does.
    no_passkeys: Option<&'static str>,
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Passkey)]
pub(crate) struct PasskeyBody {
    id: String,
    name: String,
    /// The name of the gateway under which it works.
    host: String,
    made: Time,
    used: Option<Time>,
}

impl PasskeyBody {
    fn of(known: &KnownPasskey) -> Self {
        Self {
            id: known.id(),
            name: known.name.clone(),
            host: known.host.clone(),
            made: Time::of_ms(known.made_ms),
            used: known.used_ms.map(Time::of_ms),
        }
    }
}

/// What an app needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppSecret {
    /// To be typed, in base32.
    secret: String,
    /// The same for a camera: `otpauth://totp/…`.
    uri: String,
}

/// What an app shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppCode {
    /// Six digits.
    code: String,
}

/// Codes that stand in for the app, once each. They are shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    codes: Vec<String>,
}

/// What `navigator.credentials.create` needs. Bytes are base64url.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewPasskeyChallenge {
    challenge: String,
    host: String,
    /// The id of the user.
    user: String,
    name: String,
    /// As COSE numbers them, the one that is liked most first.
    algorithms: Vec<i64>,
    /// Those that are known: a device does not make a second one.
    known: Vec<String>,
}

/// What `navigator.credentials.create` gave. Bytes are base64url.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPasskey {
    /// What its owner calls it.
    name: String,
    /// `clientDataJSON`.
    client: String,
    /// `attestationObject`.
    attestation: String,
}
