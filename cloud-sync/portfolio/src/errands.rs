//! What owners ask of a gateway, and what becomes of it.
//!
//! ```text
//!  owner ──▶ asked ──fetched──▶ waiting ──allowed on site──▶ going ──▶ done
//!               └─────────────────┴── refused on site, failed, withdrawn, expired
//! ```
//!
//! Nothing goes out from here: a gateway that comes anyway is told that something is asked, and fetches it
//! over its own connection. What it decides, and what the people there do, it says; each step is kept. What
//! a change of its configuration says is signed, so that the gateway need not believe the connection alone.
//!
//! **Never true:** that a gateway moves an errand which is over, or fills a bundle that nobody asked for.

use std::time::Duration;

use metering::GatewayId;
use sha2::{Digest as _, Sha256};
use sync_wire::{
    Document, ErrandAsked, ErrandKind, ErrandStand, ErrandState, ErrandsAsked, ErrandsTold,
    Refusal, limits,
};
use uuid::Uuid;

use crate::authority::ms;
use crate::repository::{Bundle, Errand, ErrandMove, ErrandNote, Errands, RepositoryError};

pub(crate) mod api;
mod change;

/// For how long somebody at the gateway may think about it.
pub(crate) const WAITS: Duration = Duration::from_hours(7 * 24);

/// For how long it may then take until it is done: a gateway may be without a line for days.
const GOES: Duration = Duration::from_hours(7 * 24);

/// For how long a bundle stays here.
pub(crate) const BUNDLE_LASTS: Duration = Duration::from_hours(14 * 24);

/// For how long it stays on record what was asked.
const RECORD_LASTS: Duration = Duration::from_hours(2 * 366 * 24);

/// What a gateway says of its errands is kept; the answer is what is asked of it.
pub(crate) async fn exchange<R: Errands>(
    repository: &R,
    told: ErrandsTold,
    now_ms: i64,
) -> Result<ErrandsAsked, RepositoryError> {
    let ErrandsTold { gateway, stands } = told;
    let known = current(repository, gateway, now_ms).await?;
    for stand in &stands {
        let Some(errand) = known.iter().find(|it| it.id == stand.id) else { continue };
        // Done is a bundle when it is here, and not when somebody says so.
        let by_itself = errand.kind == ErrandKind::Diagnosis && stand.state == ErrandState::Done;
        if by_itself || !stand.state.follows(errand.state) {
            continue;
        }
        // What it said before holds on where it says nothing new.
        let said = if stand.text.is_empty() { &errand.said } else { &stand.text };
        let to = ErrandMove {
            from: errand.state,
            to: stand.state,
            number: stand.number,
            said: said.clone(),
        };
        let step = ErrandNote { detail: detail(stand), ..step(now_ms, GATEWAY, stand.state) };
        repository.move_errand(gateway, stand.id, to, step).await?;
    }
    let open = stands.iter().filter(|it| it.state.is_open()).map(|it| it.id).collect();
    repository.hear_errands(gateway, open).await?;
    let known = current(repository, gateway, now_ms).await?;
    let open = known.into_iter().filter(|it| it.state.is_open()).take(limits::ERRANDS);
    let asked = open.map(|Errand { id, kind, until_ms, who, body, .. }| ErrandAsked {
        id,
        kind: Some(kind),
        until_ms,
        who,
        body,
    });
    let mut errands: Vec<ErrandAsked> = asked.collect();
    // As they were asked.
    errands.reverse();
    Ok(ErrandsAsked { errands })
}

/// All errands of a gateway as they stand now, newest first.
async fn current<R: Errands>(
    repository: &R,
    gateway: GatewayId,
    now_ms: i64,
) -> Result<Vec<Errand>, RepositoryError> {
    let mut known = repository.errands(gateway).await?;
    for errand in &mut known {
        // What is being done has some time more.
        let until_ms = match errand.state {
            ErrandState::Going => errand.until_ms.saturating_add(ms(GOES)),
            _ => errand.until_ms,
        };
        if errand.state.is_open() && until_ms <= now_ms {
            let (from, to) = (errand.state, ErrandState::Expired);
            let moved = ErrandMove { from, to, number: errand.number, said: String::new() };
            repository.move_errand(gateway, errand.id, moved, step(now_ms, CLOCK, to)).await?;
            (errand.state, errand.state_ms) = (to, now_ms);
        }
    }
    Ok(known)
}

/// Takes a part of a diagnosis bundle that was asked for, or tells how much of it is here.
pub(crate) async fn hand_over<R: Errands>(
    repository: &R,
    part: Document,
    now_ms: i64,
) -> Result<Result<Document, Refusal>, RepositoryError> {
    let Document { gateway, sha256, whole, from, bytes } = part;
    let refused = |sentence: &str| {
        tracing::warn!(%gateway, sentence, "a bundle is not taken");
        Ok(Err(Refusal::Malformed { sentence: sentence.to_owned() }))
    };
    let known = current(repository, gateway, now_ms).await?;
    let is_it = |it: &&Errand| it.kind == ErrandKind::Diagnosis && it.state == ErrandState::Going;
    let Some(errand) = known.iter().find(is_it) else {
        return refused("nobody asks for a diagnosis of this gateway");
    };
    let here = repository.bundle(gateway, errand.id).await?;
    // One that was made anew since is another.
    let here = here.filter(|it| it.sha256 == sha256);
    let have = here.as_ref().map_or(0, |it| it.bytes.len() as u64);
    let answer = |from| Ok(Ok(Document { gateway, sha256, whole: 0, from, bytes: Vec::new() }));
    // Its last part was kept, and what was to be said of it was cut off.
    if have > 0 && here.as_ref().is_some_and(|it| it.whole == have) {
        arrive(repository, gateway, errand.id, have, now_ms).await?;
        return answer(have);
    }
    if bytes.is_empty() {
        return answer(have);
    }
    if here.as_ref().is_some_and(|it| it.whole != whole) {
        return refused("the bundle had another length before");
    }
    if from != have {
        return answer(have);
    }
    let have = have + bytes.len() as u64;
    if have == whole {
        let before = here.map(|it| it.bytes).unwrap_or_default();
        let all = Sha256::new().chain_update(before).chain_update(&bytes).finalize();
        if <[u8; 32]>::from(all) != sha256 {
            let none = Bundle { sha256, whole, bytes: Vec::new() };
            repository.put_bundle(gateway, errand.id, 0, none).await?;
            return refused("the bundle has another hash than it was announced with");
        }
    }
    repository.put_bundle(gateway, errand.id, from, Bundle { sha256, whole, bytes }).await?;
    if have == whole {
        arrive(repository, gateway, errand.id, whole, now_ms).await?;
    }
    answer(have)
}

/// A bundle of `whole` bytes is here, and its hash is the one it was announced with.
async fn arrive<R: Errands>(
    repository: &R,
    gateway: GatewayId,
    errand: Uuid,
    whole: u64,
    now_ms: i64,
) -> Result<(), RepositoryError> {
    let (from, to) = (ErrandState::Going, ErrandState::Done);
    let moved = ErrandMove { from, to, number: 0, said: String::new() };
    let arrived = ErrandNote { detail: format!("{whole} B"), ..step(now_ms, GATEWAY, to) };
    repository.move_errand(gateway, errand, moved, arrived).await?;
    tracing::info!(%gateway, bytes = whole, "a diagnosis bundle has come");
    Ok(())
}

/// What the record tells beside the state: why not, or of which version of the configuration it is.
fn detail(stand: &ErrandStand) -> String {
    match stand.state {
        ErrandState::Refused | ErrandState::Failed => {
            stand.text.lines().next().unwrap_or_default().to_owned()
        }
        _ if stand.number > 0 => format!("v{}", stand.number),
        _ => String::new(),
    }
}

/// A step, with the word of the state that it leads to.
fn step(at_ms: i64, who: &str, to: ErrandState) -> ErrandNote {
    let what = to.as_str().to_owned();
    ErrandNote { at_ms, who: who.to_owned(), what, detail: String::new() }
}

/// Who does what nobody did here.
const GATEWAY: &str = "gateway";
const CLOCK: &str = "clock";

/// Throws away what has been here for long enough.
pub(crate) async fn tidy<R: Errands>(repository: &R, now_ms: i64) -> Result<(), RepositoryError> {
    let before = |lasts: Duration| now_ms.saturating_sub(ms(lasts));
    let bundles = repository.tidy_errands(before(BUNDLE_LASTS), before(RECORD_LASTS)).await?;
    if bundles > 0 {
        tracing::info!(bundles, "diagnosis bundles are thrown away: their time is over");
    }
    Ok(())
}

/// Something that `who` asks, with what goes with it.
pub(crate) fn asked(id: Uuid, kind: ErrandKind, body: Vec<u8>, who: String, now_ms: i64) -> Errand {
    Errand {
        id,
        kind,
        asked_ms: now_ms,
        who,
        until_ms: now_ms.saturating_add(ms(WAITS)),
        body,
        state: ErrandState::Asked,
        state_ms: now_ms,
        number: 0,
        said: String::new(),
    }
}
