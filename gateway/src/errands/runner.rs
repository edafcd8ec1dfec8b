//! Fetches what is asked, and does what is allowed.

use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{
    Backoff, ChangeDocument, ErrandAsked, ErrandKind, ErrandState, Errands as Line, Identity,
    SignedChange, SyncError, Traffic,
};
use store::StoreError;
use tokio::sync::{Notify, watch};
use tokio::time;
use uuid::Uuid;
use web_ui::{Handles, Leave, NotSaved};

use super::change::{self, Changed};
use super::trial::{self, Found, NotBack, Trial};
use super::{ErrandBoard, Known, Step, word};
use crate::cloud::{self, KnownAs};
use crate::config::{Cloud, Machine};
use crate::diagnosis;
use crate::restart::Task;

/// Fetches what is asked, and does what is allowed.
#[derive(Debug)]
pub(crate) struct ErrandRunner {
    board: ErrandBoard,
    machine: Machine,
    handles: Handles,
    identity: watch::Receiver<KnownAs>,
    wanted: watch::Receiver<Option<Cloud>>,
    traffic: Arc<Traffic>,
    /// A word from the sync: something is asked.
    asked: Arc<Notify>,
    /// What is being sent: a second try sends the same.
    bundle: Option<(Uuid, Vec<u8>)>,
    /// A change that is in force and not confirmed.
    pub(super) trial: Option<Trial>,
    /// One that is confirmed, and that the portfolio still asks for.
    confirmed: Option<Uuid>,
    /// Whether one was looked for that the gateway was stopped over.
    looked: bool,
}

/// Why not everything that is asked is known here, and everything that is known told.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSettled {
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("the audit log cannot be written, and nothing is done of which it does not tell")]
    Audit,
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Back(#[from] NotBack),
    #[error("the portfolio was not reached in the time that a change has")]
    Late,
}

/// A change that could be made now.
struct Judged {
    document: ChangeDocument,
    /// The version that it would change.
    version: u64,
    changed: Changed,
}

impl Task for ErrandRunner {
    fn name(&self) -> String {
        "errands".to_owned()
    }

    async fn live(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            if self.looked && self.trial.is_none() {
                // Without a portfolio there is nothing to settle.
                if self.identity.wait_for(Option::is_some).await.is_err() {
                    return;
                }
            }
            let identity = self.identity.borrow_and_update().clone();
            let settled = self.step(identity.as_ref()).await;
            let mut wait = match settled {
                Ok(()) => {
                    backoff.worked();
                    self.board.waits().then_some(WHILE_IT_WAITS)
                }
                Err(error) => {
                    tracing::info!(error = crate::chain(&error), "errands are not settled");
                    Some(match error {
                        // One of an older version: it asks nothing, and every question costs bytes.
                        NotSettled::Sync(SyncError::NotPortfolio { .. }) => UNTIL_IT_IS_NEWER,
                        NotSettled::Late => SHORTEST_WAIT,
                        _ => backoff.failed(rand::random(), None).max(SHORTEST_WAIT),
                    })
                }
            };
            if let Some(trial) = &self.trial {
                // One whose time is over could not be taken back just now.
                let left = Some(trial.left()).filter(|it| !it.is_zero()).unwrap_or(IN_TRIAL);
                wait = Some(wait.unwrap_or(IN_TRIAL).min(IN_TRIAL).min(left));
            }
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
    pub(crate) fn new(
        board: ErrandBoard,
        machine: Machine,
        handles: Handles,
        cloud: &cloud::CloudParts,
    ) -> Self {
        Self {
            board,
            machine,
            handles,
            identity: cloud.identity.subscribe(),
            wanted: cloud.wanted.subscribe(),
            traffic: Arc::clone(&cloud.counters.sync),
            asked: Arc::clone(&cloud.errands),
            bundle: None,
            trial: None,
            confirmed: None,
            looked: false,
        }
    }

    /// One round: a change whose time is over goes first, and while one waits to be confirmed no message
    /// takes longer than it has.
    pub(super) async fn step(
        &mut self,
        identity: Option<&Arc<Identity>>,
    ) -> Result<(), NotSettled> {
        if !self.looked {
            self.look().await?;
        }
        loop {
            if let Some(because) = self.trial.as_ref().and_then(Trial::is_over) {
                self.roll_back(&because).await?;
            }
            let Some(identity) = identity else { return Ok(()) };
            if let Some(left) = self.trial.as_ref().map(Trial::left) {
                // What becomes of it is told in the next round.
                let settled = time::timeout(left, self.settle(identity)).await;
                settled.map_err(|_elapsed| NotSettled::Late)??;
            } else {
                self.settle(identity).await?;
                if self.trial.is_none() {
                    return Ok(());
                }
            }
        }
    }

    fn line(&self, identity: &Arc<Identity>) -> Result<Line, SyncError> {
        let way = cloud::way(self.wanted.borrow().as_ref(), &self.traffic);
        Line::new(Arc::clone(identity), way)
    }

    /// Until nothing is new on either side, and nothing that is allowed is left; or until a change was made
    /// or confirmed.
    pub(super) async fn settle(&mut self, identity: &Arc<Identity>) -> Result<(), NotSettled> {
        // A connection of its own: what an older one still bears says nothing of how things are now.
        let mut line = self.line(identity)?;
        for _ in 0..MOST_MESSAGES {
            let told = self.board.stands();
            let asked = line.exchange(told.clone()).await?;
            if self.trial.is_some() {
                return self.confirm(&asked).await;
            }
            if self.confirmed.is_some_and(|id| !asked.iter().any(|it| it.id == id)) {
                Trial::forget(&self.board.core).await?;
                self.confirmed = None;
            }
            if self.hear(identity, asked).await? {
                // What it leads to is told before it is done.
                continue;
            }
            let Some(known) = self.board.allowed(&told) else {
                // Whoever decides while this goes on has left a word, and it is settled again.
                self.bundle = None;
                return Ok(());
            };
            match known.kind {
                Some(ErrandKind::Change) => {
                    self.change(identity, &known).await?;
                    if self.trial.is_some() {
                        return Ok(());
                    }
                }
                _ => self.send(&mut line, known.id, known.who).await?,
            }
        }
        Ok(())
    }

    /// Takes note of what is asked now; whether something is new here.
    pub(super) async fn hear(
        &self,
        identity: &Identity,
        asked: Vec<ErrandAsked>,
    ) -> Result<bool, NotSettled> {
        let left = self.board.left().await;
        let open: Vec<Uuid> = asked.iter().map(|it| it.id).collect();
        self.board.withdraw_all_but(&open);
        let mut news = false;
        for asked in asked {
            if self.board.knows(asked.id) {
                continue;
            }
            let one = self.judged_anew(identity, asked, left).await?;
            let (id, state) = (one.id, one.state.as_str());
            tracing::info!(%id, who = one.who, state, "the portfolio asks for something");
            let why = one.said.lines().next().unwrap_or_default();
            let detail = format!("{}: {state} {why}", one.who);
            let what = word(one.kind, Step::Asked);
            self.audit("portfolio".to_owned(), what, detail.trim_end().to_owned()).await?;
            self.board.add(one);
            news = true;
        }
        self.board.show();
        Ok(news)
    }

    /// How something stands that was just heard of.
    async fn judged_anew(
        &self,
        identity: &Identity,
        asked: ErrandAsked,
        left: super::Left,
    ) -> Result<Known, NotSettled> {
        let ErrandAsked { id, kind, until_ms, who, body } = asked;
        let (state, said) = match (kind, left.of(kind)) {
            (None, _) => {
                (ErrandState::Failed, "this version of the gateway does not know what is asked")
            }
            (Some(_), Leave::Ask) => (ErrandState::Waiting, ""),
            (Some(_), Leave::Always) => (ErrandState::Going, ""),
            (Some(ErrandKind::Diagnosis), Leave::Never) => {
                (ErrandState::Refused, "the people at the gateway never send a diagnosis")
            }
            (Some(_), Leave::Never) => {
                (ErrandState::Refused, "the people at the gateway allow no change from afar")
            }
        };
        let (said, lines, told) = (said.to_owned(), String::new(), String::new());
        let mut one = Known { id, kind, who, until_ms, state, said, body, lines, told, number: 0 };
        let is_change = matches!(kind, Some(ErrandKind::DryRun | ErrandKind::Change));
        if is_change && state.is_open() {
            match self.judged(identity, &one).await? {
                Ok(judged) => {
                    one.number = judged.version;
                    (one.lines, one.told) = (judged.changed.lines, judged.changed.told);
                    if kind == Some(ErrandKind::DryRun) {
                        one.state = ErrandState::Done;
                    } else if change::is_for_people(&judged.document.changes) {
                        one.state = ErrandState::Waiting;
                    }
                }
                Err(why) => (one.state, one.said) = (ErrandState::Failed, why),
            }
        }
        Ok(one)
    }

    async fn audit(&self, who: String, what: &str, detail: String) -> Result<(), NotSettled> {
        self.board.audit(who, what.into(), detail).await.map_err(|()| NotSettled::Audit)
    }

    /// What a change would do now, or in lines why it is not made.
    async fn judged(
        &self,
        identity: &Identity,
        known: &Known,
    ) -> Result<Result<Judged, String>, NotSettled> {
        let signed = SignedChange::read(&known.body).ok();
        let document = signed.and_then(|signed| identity.signed_change(&signed));
        let Some(document) = document.filter(|it| it.errand == known.id) else {
            let why = "this is not signed by the portfolio that the gateway has joined, or not for \
                       this gateway";
            return Ok(Err(why.to_owned()));
        };
        let Some(current) = self.board.core.current_version().await? else {
            return Ok(Err("the gateway has no configuration yet".to_owned()));
        };
        let version = current.number;
        match document.base {
            None if known.kind == Some(ErrandKind::Change) => {
                return Ok(Err("the change does not say which version it is of".to_owned()));
            }
            Some(base) if base != version => {
                return Ok(Err(format!(
                    "the change is of version {base} of the configuration, and version {version} was \
                     saved since: try it out again"
                )));
            }
            _ => {}
        }
        let devices = self.handles.devices.borrow().clone();
        let profiles: Vec<&str> = devices.keys().map(String::as_str).collect();
        let changed = match change::made(&current.text, &document.changes, &profiles) {
            Ok(changed) => changed,
            Err(why) => return Ok(Err(why)),
        };
        Ok(Ok(Judged { document, version, changed }))
    }

    /// Puts a change in force that somebody here has allowed.
    async fn change(&mut self, identity: &Identity, known: &Known) -> Result<(), NotSettled> {
        let id = known.id;
        let Judged { document, version: base, changed } = match self.judged(identity, known).await?
        {
            Ok(judged) => judged,
            Err(why) => {
                self.board.over(id, ErrandState::Failed, why);
                return Ok(());
            }
        };
        let who = document.who;
        let within = Duration::from_secs(document.within_s.into());
        let within = within.clamp(LEAST_WITHIN, MOST_WITHIN);
        let mut trial = Trial::new(id, base, &changed.text, who.clone(), within);
        let core = &self.board.core;
        let author = format!("{who} (portfolio)");
        let said = changed.lines.replace('\n', "; ");
        trial.keep(core).await?;
        self.audit(author.clone(), "change_made", said).await?;
        let why = "asked for by the portfolio".to_owned();
        match trial::save(&self.handles, changed.text, base, author, why).await {
            Ok(version) => {
                tracing::warn!(%id, version, who, "a change of the portfolio is in force");
                self.board.became(id, version);
                trial.kept.version = version;
                self.trial = Some(trial);
            }
            // It may be kept and in force all the same, now or from the next start on: what is there
            // tells, and goes back.
            Err(NotSaved::Failed(why)) => {
                tracing::error!(%id, why, "whether a change of the portfolio is in force is not known");
                self.trial = Some(trial.failed(why));
            }
            Err(why) => {
                let why = trial::sentence(why);
                Trial::forget(core).await?;
                self.audit("gateway".to_owned(), "change_undone", why.clone()).await?;
                self.board.over(id, ErrandState::Failed, why);
            }
        }
        Ok(())
    }

    /// The portfolio was reached after the change, and asks this now.
    async fn confirm(&mut self, asked: &[ErrandAsked]) -> Result<(), NotSettled> {
        let Some(trial) = &self.trial else { return Ok(()) };
        let (id, who) = (trial.kept.errand, trial.kept.who.clone());
        if !asked.iter().any(|it| it.id == id) {
            return self.roll_back("whoever asked for the change has taken it back").await;
        }
        self.audit("gateway".to_owned(), "change_confirmed", who).await?;
        trial.confirm(&self.board.core).await?;
        tracing::info!(%id, "the change of the portfolio is confirmed");
        self.board.over(id, ErrandState::Done, String::new());
        (self.trial, self.confirmed) = (None, Some(id));
        Ok(())
    }

    /// What was before is in force again, unless somebody has saved another configuration since. What cannot
    /// be saved now is tried again.
    async fn roll_back(&mut self, because: &str) -> Result<(), NotSettled> {
        let Some(trial) = &self.trial else { return Ok(()) };
        let (id, base) = (trial.kept.errand, trial.kept.base);
        let said = match trial.roll_back(&self.board.core, &self.handles).await {
            Ok(version) if version == base => because.to_owned(),
            Ok(version) => {
                self.board.became(id, version);
                format!("{because}: version {version} is as version {base} was")
            }
            Err(NotBack::NotNow(why)) => return Err(NotBack::NotNow(why).into()),
            Err(why) => format!("{because}; {why}"),
        };
        tracing::error!(%id, said, "the change of the portfolio is taken back");
        let detail = format!("{}: {said}", trial.kept.who);
        // It is done already; a log that cannot be written does not put it in force again.
        let _logged = self.board.audit("gateway".to_owned(), "change_undone".into(), detail).await;
        Trial::forget(&self.board.core).await?;
        self.board.over(id, ErrandState::Failed, said);
        self.trial = None;
        Ok(())
    }

    /// A change that the gateway was stopped over, or of which the portfolio has not heard the end.
    async fn look(&mut self) -> Result<(), NotSettled> {
        let found = Trial::find(&self.board.core).await?;
        let (kept, state, said) = match &found {
            Found::Nothing => {
                self.looked = true;
                return Ok(());
            }
            Found::InForce(trial) => (&trial.kept, ErrandState::Going, String::new()),
            Found::Confirmed(kept) => (kept, ErrandState::Done, String::new()),
            Found::Gone(kept) => {
                let said = "the gateway was stopped before the change was in force, or somebody has \
                            saved another configuration since";
                (kept, ErrandState::Failed, said.to_owned())
            }
        };
        if let Found::Gone(_) = &found {
            let detail = format!("{}: {said}", kept.who);
            self.audit("gateway".to_owned(), "change_undone", detail).await?;
            Trial::forget(&self.board.core).await?;
        }
        self.board.add(Known {
            id: kept.errand,
            kind: Some(ErrandKind::Change),
            who: kept.who.clone(),
            until_ms: i64::MAX,
            state,
            said,
            body: Vec::new(),
            lines: String::new(),
            told: String::new(),
            number: if kept.version == 0 { kept.base } else { kept.version },
        });
        match found {
            Found::InForce(trial) => self.trial = Some(trial),
            Found::Confirmed(kept) => self.confirmed = Some(kept.errand),
            Found::Gone(_) | Found::Nothing => {}
        }
        self.looked = true;
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

/// How long a gateway may be without the portfolio after a change, whatever the document says.
const LEAST_WITHIN: Duration = Duration::from_secs(10);
const MOST_WITHIN: Duration = Duration::from_hours(1);

/// Between two tries to reach the portfolio after a change: it has minutes.
const IN_TRIAL: Duration = Duration::from_secs(30);

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
