//! What is asked of gateways, and the bundles that came of it.

use metering::GatewayId;
use sync_wire::{ErrandKind, ErrandState};
use uuid::Uuid;

use super::RepositoryError;

/// Something that is asked of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Its name for ever.
    pub id: Uuid,
    /// What is asked.
    pub kind: ErrandKind,
    /// When it was, in milliseconds since 1970.
    pub asked_ms: i64,
    /// Who asks, by name.
    pub who: String,
    /// Until when it holds.
    pub until_ms: i64,
    /// What goes with it.
    pub body: Vec<u8>,
    /// How it stands.
    pub state: ErrandState,
    /// Since when.
    pub state_ms: i64,
    /// The version of the gateway's configuration that it is about, or 0.
    pub number: u64,
    /// What the gateway said of it.
    pub said: String,
}

/// A step of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandNote {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who, by name; `gateway` for what was done there.
    pub who: String,
    /// What, as a word.
    pub what: String,
    /// What else there is to say.
    pub detail: String,
}

/// How an errand stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrandMove {
    /// How it stood; if it does not any more, nothing is done.
    pub from: ErrandState,
    /// How it stands.
    pub to: ErrandState,
    /// The version of the gateway's configuration that it is about, or 0.
    pub number: u64,
    /// What the gateway said of it.
    pub said: String,
}

/// A diagnosis bundle, as far as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Of all of it.
    pub sha256: [u8; 32],
    /// How long all of it is.
    pub whole: u64,
    /// What of it is here, from its beginning.
    pub bytes: Vec<u8>,
}

/// Keeps them.
pub trait Errands {
    /// Asks; `false`, and nothing done, while one of the same kind is open.
    fn add_errand(
        &self,
        gateway: GatewayId,
        errand: Errand,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// The newest fifty, newest first.
    fn errands(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<Vec<Errand>, RepositoryError>> + Send;

    /// Has one stand in another way, with the step that did it; whether it stood as was thought.
    fn move_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        moved: ErrandMove,
        note: ErrandNote,
    ) -> impl Future<Output = Result<bool, RepositoryError>> + Send;

    /// The gateway has said that these are open to its knowledge, and no others.
    fn hear_errands(
        &self,
        gateway: GatewayId,
        open: Vec<Uuid>,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Adds a step that changes nothing.
    fn note_errand(
        &self,
        gateway: GatewayId,
        id: Uuid,
        note: ErrandNote,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// The steps of the newest errands, two hundred of them, the newest first.
    fn errand_notes(
        &self,
        gateway: GatewayId,
    ) -> impl Future<Output = Result<Vec<(Uuid, ErrandNote)>, RepositoryError>> + Send;

    /// What is here of a bundle.
    fn bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<Bundle>, RepositoryError>> + Send;

    /// Keeps the part of a bundle that begins at `from`; at 0 nothing stays of another.
    fn put_bundle(
        &self,
        gateway: GatewayId,
        id: Uuid,
        from: u64,
        part: Bundle,
    ) -> impl Future<Output = Result<(), RepositoryError>> + Send;

    /// Throws away bundles of errands that have stood as they do since before `bundles_ms`, and errands
    /// from before `all_ms` with their steps; how many bundles those were.
    fn tidy_errands(
        &self,
        bundles_ms: i64,
        all_ms: i64,
    ) -> impl Future<Output = Result<u64, RepositoryError>> + Send;
}

impl Errand {
    /// What is done where `who` gives its gateway away.
    pub(crate) fn withdrawn(&self, who: &str, at_ms: i64) -> (ErrandMove, ErrandNote) {
        let (from, to) = (self.state, ErrandState::Withdrawn);
        let (what, detail) = (to.as_str().to_owned(), String::new());
        let moved = ErrandMove { from, to, number: self.number, said: self.said.clone() };
        (moved, ErrandNote { at_ms, who: who.to_owned(), what, detail })
    }
}

impl ErrandNote {
    /// That it was asked.
    pub(crate) fn asked(errand: &Errand) -> Self {
        let Errand { asked_ms, who, .. } = errand;
        let what = "asked".to_owned();
        Self { at_ms: *asked_ms, who: who.clone(), what, detail: String::new() }
    }
}

impl ErrandMove {
    /// Whether the gateway does not know of it, because it was done here.
    pub(crate) const fn is_news_there(&self) -> bool {
        matches!(self.to, ErrandState::Withdrawn)
    }
}
