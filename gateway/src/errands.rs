//! What the portfolio asks of this gateway: fetched, shown to the people here, and done if they allow it.
//!
//! ```text
//!  portfolio ◀── told ── errands ──▶ pages: allow, refuse, what is left to the portfolio
//!      └──── asked ────▶    │
//!                           └─ allowed ──▶ diagnosis ──▶ portfolio
//! ```
//!
//! What is open is kept by the portfolio and by nobody else: after a restart it is fetched again, and whoever
//! had allowed it is asked again.
//!
//! **Never true:** that anything is sent which nobody here has allowed, each time or once for all; or that
//! something is done of which the audit log does not tell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use cloud_sync::{
    Backoff, ErrandAsked, ErrandKind, ErrandStand, ErrandState, Errands as Line, Identity,
    SyncError, Traffic,
};
use metering::Clock;
use store::Core;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time;
use uuid::Uuid;
use web_ui::{Errand, ErrandOrder, Errands, Handles, Leave, NotObeyed};

use crate::board::Board;
use crate::cloud::{self, KnownAs};
use crate::config::{Cloud, Machine};
use crate::diagnosis;
use crate::restart::Task;

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
            ErrandOrder::Leave { diagnosis, who } => {
                let word = diagnosis.as_str().to_owned();
                let kept = self.core.put_setting(SETTING, word.clone()).await;
                kept.map_err(|error| {
                    tracing::error!(error = crate::chain(&error), "the setting is not kept");
                    NotObeyed::Store
                })?;
                self.audit(who, "diagnosis_left".into(), word).await.map_err(|()| NotObeyed::Store)
            }
        }
    }

    /// Somebody here says yes or no to one that waits. The log first: what it does not tell is not done.
    async fn decide(&self, id: Uuid, to: ErrandState, who: String) -> Result<(), NotObeyed> {
        let waits = |it: &Known| it.id == id && it.state == ErrandState::Waiting;
        let now_ms = self.clock.now().wall_ms();
        let asks = self.known().iter().find(|it| waits(it) && now_ms < it.until_ms).cloned();
        let asks = asks.ok_or(NotObeyed::Over)?;
        let what = match to {
            ErrandState::Going => "diagnosis_allowed",
            _ => "diagnosis_refused",
        };
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
        let diagnosis = self.left().await;
        let known = self.known();
        let asked = known.iter().rev().map(|it| Errand {
            id: it.id,
            kind: it.kind.map_or("unknown", ErrandKind::as_str),
            who: it.who.clone(),
            until: DateTime::from_timestamp_millis(it.until_ms).unwrap_or_default(),
            state: it.state.as_str(),
            said: it.said.clone(),
        });
        Errands { diagnosis, asked: asked.collect() }
    }

    /// What is left to the portfolio. A store that does not answer leaves nothing to it.
    async fn left(&self) -> Leave {
        let kept = self.core.setting(SETTING).await.ok().flatten();
        kept.as_deref().and_then(Leave::from_word).unwrap_or_default()
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
        let told = known.iter().filter(|it| it.state != ErrandState::Withdrawn);
        // The newest: what is over was told before.
        let newest = told.rev().take(MOST_TOLD).map(|it| ErrandStand {
            id: it.id,
            state: it.state,
            number: 0,
            text: it.said.clone(),
        });
        newest.collect()
    }

    /// Takes note of what is asked now; whether something is new here.
    async fn hear(&self, asked: Vec<ErrandAsked>) -> Result<bool, ()> {
        let left = self.left().await;
        let mut news = false;
        for one in self.known().iter_mut().filter(|it| it.state.is_open()) {
            if !asked.iter().any(|it| it.id == one.id) {
                one.state = ErrandState::Withdrawn;
            }
        }
        for ErrandAsked { id, kind, until_ms, who, .. } in asked {
            if self.known().iter().any(|it| it.id == id) {
                continue;
            }
            let (state, said) = match (kind, left) {
                (None, _) => {
                    let said = "this version of the gateway does not know what is asked";
                    (ErrandState::Failed, said)
                }
                (Some(_), Leave::Ask) => (ErrandState::Waiting, ""),
                (Some(_), Leave::Always) => (ErrandState::Going, ""),
                (Some(_), Leave::Never) => {
                    (ErrandState::Refused, "the people at the gateway never send a diagnosis")
                }
            };
            tracing::info!(%id, who, state = state.as_str(), "the portfolio asks for something");
            let detail = format!("{who}: {}", state.as_str());
            self.audit("portfolio".to_owned(), "diagnosis_asked".into(), detail).await?;
            let mut known = self.known();
            known.push_back(Known { id, kind, who, until_ms, state, said: said.to_owned() });
            if known.len() > MOST_KNOWN {
                known.pop_front();
            }
            news = true;
        }
        self.show();
        Ok(news)
    }

    /// One that somebody has allowed.
    fn allowed(&self) -> Option<(Uuid, String)> {
        let known = self.known();
        let going = known.iter().find(|it| it.state == ErrandState::Going);
        going.map(|it| (it.id, it.who.clone()))
    }

    fn over(&self, id: Uuid, state: ErrandState, said: String) {
        if let Some(one) = self.known().iter_mut().find(|it| it.id == id) {
            (one.state, one.said) = (state, said);
        }
    }
}

/// Fetches what is asked, and does what is allowed.
#[derive(Debug)]
pub(crate) struct ErrandRunner {
    pub(crate) board: ErrandBoard,
    pub(crate) machine: Machine,
    pub(crate) handles: Handles,
    pub(crate) identity: watch::Receiver<KnownAs>,
    pub(crate) wanted: watch::Receiver<Option<Cloud>>,
    pub(crate) traffic: Arc<Traffic>,
    /// A word from the sync: something is asked.
    pub(crate) asked: Arc<Notify>,
    /// What is being sent: a second try sends the same.
    pub(crate) bundle: Option<(Uuid, Vec<u8>)>,
}

/// Why not everything that is asked is known here, and everything that is known told.
#[derive(Debug, thiserror::Error)]
enum NotSettled {
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("the audit log cannot be written, and nothing is done of which it does not tell")]
    Audit,
}

impl Task for ErrandRunner {
    fn name(&self) -> String {
        "errands".to_owned()
    }

    async fn live(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            if self.identity.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let Some(identity) = self.identity.borrow_and_update().clone() else { continue };
            let wait = match self.settle(&identity).await {
                Ok(()) => {
                    backoff.worked();
                    self.board.waits().then_some(WHILE_IT_WAITS)
                }
                Err(error) => {
                    tracing::info!(error = crate::chain(&error), "errands are not settled");
                    Some(match error {
                        // One of an older version: it asks nothing, and every question costs bytes.
                        NotSettled::Sync(SyncError::NotPortfolio { .. }) => UNTIL_IT_IS_NEWER,
                        _ => backoff.failed(rand::random(), None).max(SHORTEST_WAIT),
                    })
                }
            };
            let again = async {
                match wait {
                    Some(wait) => time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = again => {}
                () = self.asked.notified() => {}
                () = self.board.decided.notified() => {}
                changed = self.identity.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl ErrandRunner {
    /// Until nothing is new on either side, and nothing that is allowed is left.
    async fn settle(&mut self, identity: &Arc<Identity>) -> Result<(), NotSettled> {
        let way = cloud::way(self.wanted.borrow().as_ref(), &self.traffic);
        let mut line = Line::new(Arc::clone(identity), way)?;
        for _ in 0..MOST_MESSAGES {
            let told = self.board.stands();
            let asked = line.exchange(told).await?;
            let news = self.board.hear(asked).await.map_err(|()| NotSettled::Audit)?;
            if news {
                // What it leads to is told before it is done.
                continue;
            }
            let Some((id, who)) = self.board.allowed() else {
                self.bundle = None;
                return Ok(());
            };
            self.send(&mut line, id, who).await?;
        }
        Ok(())
    }

    /// Makes the diagnosis, and sends it.
    async fn send(&mut self, line: &mut Line, id: Uuid, who: String) -> Result<(), NotSettled> {
        let bundle = match self.bundle.take() {
            Some((of, bundle)) if of == id => bundle,
            _ => {
                let now = self.handles.clock.now().wall;
                let made = diagnosis::made(&self.machine, Some(&self.handles), now).await;
                made.into_bytes()
            }
        };
        let bytes = bundle.len();
        if bytes > MOST_BYTES {
            let said = format!("the diagnosis has {bytes} bytes, more than {MOST_BYTES}");
            self.board.over(id, ErrandState::Failed, said);
            return Ok(());
        }
        let sent = line.send_bundle(&bundle).await;
        self.bundle = Some((id, bundle));
        match sent {
            Ok(()) => {
                let detail = format!("{who}: {bytes} B");
                let told = self.board.audit("gateway".to_owned(), "diagnosis_sent".into(), detail);
                // It is gone already; that it was allowed stands in the log.
                let _logged = told.await;
                tracing::info!(%id, who, bytes, "the diagnosis that was asked for is sent");
                self.board.over(id, ErrandState::Done, String::new());
                Ok(())
            }
            // Taken back, or not taken: what the portfolio asks next tells which.
            Err(SyncError::Refused(refusal)) if refusal.retry_after_secs().is_none() => {
                self.board.over(id, ErrandState::Failed, refusal.to_string());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is left to the portfolio of diagnoses.
const SETTING: &str = "errand_diagnosis";

/// What is shown of what was asked since the start.
const MOST_KNOWN: usize = 20;

/// As many as the portfolio asks at once.
const MOST_TOLD: usize = 4;

/// Of a diagnosis: no building's has a tenth of it.
const MOST_BYTES: usize = 1024 * 1024;

/// Told, heard, told again, and sent; a portfolio that always asks something new does not hold us.
const MOST_MESSAGES: usize = 12;

/// What waits for an answer may have run out, or been taken back while the sync was out of reach.
const WHILE_IT_WAITS: Duration = Duration::from_hours(1);

/// A portfolio that does not know errands may be updated.
const UNTIL_IT_IS_NEWER: Duration = Duration::from_hours(6);

/// Between two tries, whatever chance says.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
