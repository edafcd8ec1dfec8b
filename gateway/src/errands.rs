//! What the portfolio asks of this gateway: fetched, shown to the people here, and done if they allow it.
//!
//! ```text
//!  portfolio ◀── told ── errands ──▶ pages: allow, refuse, what is left to the portfolio
//!      └──── asked ────▶    │
//!                           └─ allowed ──▶ diagnosis ──▶ portfolio
//!                                    └───▶ site.toml ──▶ portfolio reached again? or back
//! ```
//!
//! What is open is kept by the portfolio and by nobody else: after a restart it is fetched again, and whoever
//! had allowed it is asked again. Only a change that is in force and not confirmed yet is kept here.
//!
//! **Never true:** that the portfolio learns the name of somebody here, or an address in the building's
//! network; that anything is sent or changed which nobody here has allowed, each time or once for all;
//! or that something is done of which the audit log does not tell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use cloud_sync::{ErrandKind, ErrandStand, ErrandState};
use metering::Clock;
use store::Core;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;
use web_ui::{Errand, ErrandOrder, Errands, Leave, NotObeyed};

use crate::board::Board;

mod change;
mod runner;
mod trial;

pub(crate) use runner::ErrandRunner;

/// Where the answer to an order goes.
type Reply = oneshot::Sender<Result<Errands, NotObeyed>>;

/// What is asked, and what people say to it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ErrandBoard {
    core: Core,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<VecDeque<Known>>>,
    /// A word here when somebody has decided.
    decided: Arc<Notify>,
    board: Board,
}

/// One of them, as it stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    id: Uuid,
    kind: Option<ErrandKind>,
    who: String,
    until_ms: i64,
    state: ErrandState,
    said: String,
    /// What goes with it.
    body: Vec<u8>,
    /// Of a change, the lines of the configuration that are other.
    lines: String,
    /// Those as the portfolio is told them.
    told: String,
    /// Of a change, the version of the configuration that it is of, or that came of it; 0 of everything else.
    number: u64,
}

/// What is left to the portfolio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    diagnosis: Leave,
    configuration: Leave,
}

impl Left {
    /// Of errands of a kind; what is not known is never done.
    const fn of(self, kind: Option<ErrandKind>) -> Leave {
        match kind {
            Some(ErrandKind::Diagnosis) => self.diagnosis,
            Some(ErrandKind::DryRun | ErrandKind::Change) => self.configuration,
            None => Leave::Never,
        }
    }
}

/// What people can see of the way of an errand in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Asked,
    Allowed,
    Refused,
}

/// What the audit log calls a step of an errand of a kind.
const fn word(kind: Option<ErrandKind>, step: Step) -> &'static str {
    match (kind, step) {
        (Some(ErrandKind::DryRun), _) => "change_tried",
        (Some(ErrandKind::Change), Step::Asked) => "change_asked",
        (Some(ErrandKind::Change), Step::Allowed) => "change_allowed",
        (Some(ErrandKind::Change), Step::Refused) => "change_refused",
        (Some(ErrandKind::Diagnosis) | None, Step::Asked) => "diagnosis_asked",
        (Some(ErrandKind::Diagnosis) | None, Step::Allowed) => "diagnosis_allowed",
        (Some(ErrandKind::Diagnosis) | None, Step::Refused) => "diagnosis_refused",
    }
}

impl ErrandBoard {
    pub(crate) fn new(core: Core, clock: Arc<dyn Clock>, board: Board) -> Self {
        Self { core, clock, known: Arc::default(), decided: Arc::default(), board }
    }

    /// Does what somebody here wants, beside everything else.
    pub(crate) fn obey(&self, order: ErrandOrder, reply: Reply) {
        let this = self.clone();
        tokio::spawn(async move {
            let done = this.done(order).await;
            let answer = match done {
                Ok(()) => Ok(this.shown().await),
                Err(why) => Err(why),
            };
            // Whoever asked may have gone away.
            drop(reply.send(answer));
        });
    }

    async fn done(&self, order: ErrandOrder) -> Result<(), NotObeyed> {
        match order {
            ErrandOrder::Tell => Ok(()),
            ErrandOrder::Allow { id, who } => self.decide(id, ErrandState::Going, who).await,
            ErrandOrder::Refuse { id, who } => self.decide(id, ErrandState::Refused, who).await,
            ErrandOrder::Leave { diagnosis, configuration, who } => {
                let of = [
                    (DIAGNOSIS, "diagnosis_left", diagnosis),
                    (CONFIGURATION, "change_left", configuration),
                ];
                for (setting, what, leave) in of {
                    if let Some(leave) = leave {
                        self.leave(setting, what, leave, who.clone()).await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Keeps what is left to the portfolio from now on.
    async fn leave(
        &self,
        setting: &'static str,
        what: &str,
        leave: Leave,
        who: String,
    ) -> Result<(), NotObeyed> {
        let word = leave.as_str().to_owned();
        let kept = self.core.put_setting(setting, word.clone()).await;
        kept.map_err(|error| {
            tracing::error!(error = crate::chain(&error), "the setting is not kept");
            NotObeyed::Store
        })?;
        self.audit(who, what.into(), word).await.map_err(|()| NotObeyed::Store)
    }

    /// Somebody here says yes or no to one that waits. The log first: what it does not tell is not done.
    async fn decide(&self, id: Uuid, to: ErrandState, who: String) -> Result<(), NotObeyed> {
        let waits = |it: &Known| it.id == id && it.state == ErrandState::Waiting;
        let now_ms = self.clock.now().wall_ms();
        let asks = self.known().iter().find(|it| waits(it) && now_ms < it.until_ms).cloned();
        let asks = asks.ok_or(NotObeyed::Over)?;
        let step = if to == ErrandState::Going { Step::Allowed } else { Step::Refused };
        let what = word(asks.kind, step);
        self.audit(who, what.into(), asks.who).await.map_err(|()| NotObeyed::Store)?;
        match self.known().iter_mut().find(|it| waits(it)) {
            Some(known) => known.state = to,
            None => return Err(NotObeyed::Over),
        }
        self.show();
        self.decided.notify_one();
        Ok(())
    }

    /// Says on the pages whether somebody has to answer.
    fn show(&self) {
        let waits = |it: &&Known| it.state == ErrandState::Waiting;
        let asked_by = self.known().iter().find(waits).map(|it| it.who.clone());
        self.board.change(|status| status.asked_by = asked_by);
    }

    /// Whether somebody has to answer.
    fn waits(&self) -> bool {
        self.known().iter().any(|it| it.state == ErrandState::Waiting)
    }

    async fn shown(&self) -> Errands {
        let Left { diagnosis, configuration } = self.left().await;
        let known = self.known();
        let asked = known.iter().rev().map(|it| Errand {
            id: it.id,
            kind: it.kind.map_or("unknown", ErrandKind::as_str),
            who: it.who.clone(),
            until: DateTime::from_timestamp_millis(it.until_ms).unwrap_or_default(),
            state: it.state.as_str(),
            said: it.said.clone(),
            lines: it.lines.clone(),
        });
        Errands { diagnosis, configuration, asked: asked.collect() }
    }

    /// What is left to the portfolio. A store that does not answer leaves nothing to it.
    async fn left(&self) -> Left {
        let of = async |setting: &'static str| {
            let kept = self.core.setting(setting).await.ok().flatten();
            kept.as_deref().and_then(Leave::from_word).unwrap_or_default()
        };
        Left { diagnosis: of(DIAGNOSIS).await, configuration: of(CONFIGURATION).await }
    }

    async fn audit(&self, who: String, what: String, detail: String) -> Result<(), ()> {
        let written = self.core.audit(who, what.clone(), detail).await;
        written.map_err(|error| {
            tracing::error!(error = crate::chain(&error), what, "it is not in the audit log");
        })
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the portfolio is told.
    fn stands(&self) -> Vec<ErrandStand> {
        let now_ms = self.clock.now().wall_ms();
        for one in self.known().iter_mut() {
            if one.state == ErrandState::Waiting && one.until_ms <= now_ms {
                one.state = ErrandState::Expired;
            }
        }
        self.show();
        let known = self.known();
        let told = known.iter().rev().filter(|it| it.state != ErrandState::Withdrawn);
        let mut told: Vec<&Known> = told.collect();
        // Then the newest: what is over was told before.
        told.sort_by_key(|it| !it.state.is_open());
        let newest = told.into_iter().take(MOST_TOLD).map(|it| ErrandStand {
            id: it.id,
            state: it.state,
            number: it.number,
            text: if it.said.is_empty() { it.told.clone() } else { it.said.clone() },
        });
        newest.collect()
    }

    /// What is open here and is not asked any more was taken back, or is over.
    fn withdraw_all_but(&self, asked: &[Uuid]) {
        for one in self.known().iter_mut().filter(|it| it.state.is_open()) {
            if !asked.contains(&one.id) {
                one.state = ErrandState::Withdrawn;
            }
        }
    }

    fn knows(&self, id: Uuid) -> bool {
        self.known().iter().any(|it| it.id == id)
    }

    fn add(&self, one: Known) {
        let mut known = self.known();
        known.push_back(one);
        if known.len() > MOST_KNOWN {
            known.pop_front();
        }
    }

    /// One that somebody has allowed, and the portfolio was told so: what is allowed while it is told
    /// something else waits for the next message, because it takes nothing of which it does not know.
    fn allowed(&self, told: &[ErrandStand]) -> Option<Known> {
        let is_told = |id| told.iter().any(|it| it.id == id && it.state == ErrandState::Going);
        let known = self.known();
        known.iter().find(|it| it.state == ErrandState::Going && is_told(it.id)).cloned()
    }

    fn over(&self, id: Uuid, state: ErrandState, said: String) {
        if let Some(one) = self.known().iter_mut().find(|it| it.id == id) {
            (one.state, one.said) = (state, said);
        }
    }

    /// Which version came of a change.
    fn became(&self, id: Uuid, number: u64) {
        if let Some(one) = self.known().iter_mut().find(|it| it.id == id) {
            one.number = number;
        }
    }
}

/// What is left to the portfolio of diagnoses, and of the configuration.
const DIAGNOSIS: &str = "errand_diagnosis";
const CONFIGURATION: &str = "errand_configuration";

/// What is shown of what was asked since the start.
const MOST_KNOWN: usize = 20;

/// As many as the portfolio asks at once.
const MOST_TOLD: usize = 4;

#[cfg(test)]
mod tests;
