//! Errands between a runner and a real portfolio: what people here decide, and what becomes of a change.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloud_sync::{ErrandAsked, Identity, Way};
use metering::{Clock as _, GatewayId};
use portfolio::{Service, enrol_code};
use reqwest::header;
use serde_json::{Value, json};
use store::testing::{self, FixedClock};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use web_ui::{Handles, Wish};

use super::*;
use crate::cloud::CloudParts;
use crate::config::Machine;
use crate::config::kept::{self, Found};
use crate::housekeeping::Signer;
use crate::probe::end_to_end::{clock, portfolio_in};
use crate::spending::Counters;
use crate::takeover::{InForce, Parts};

const SITE: &str =
    "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"Old\" # as on the door\n";

/// A gateway that a portfolio knows, with a configuration that is taken over as in the daemon.
struct Bench {
    folder: tempfile::TempDir,
    store: store::Store,
    clock: Arc<FixedClock>,
    identity: Arc<Identity>,
    service: Service,
    cookie: String,
    board: ErrandBoard,
    shown: Board,
    handles: Handles,
    parts: CloudParts,
    runner: ErrandRunner,
    /// Whether the daemon ends after its next save, before it has answered.
    ends: Arc<AtomicBool>,
}

impl Bench {
    async fn start() -> Self {
        let clock = clock();
        let folder = tempfile::tempdir().unwrap();
        let config = portfolio_in(folder.path());
        let service = Service::start(&config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let code = enrol_code(&config, &*clock, "Bakken".to_owned(), None).await.unwrap().code;
        let gateway = GatewayId::from_uuid(Uuid::from_u128(0x0192_F0C1));
        let url = &service.gateways_url;
        let joined = cloud_sync::enrol(url, &code, gateway, &*clock, &Way::default()).await;
        let identity = Arc::new(joined.unwrap());

        let state = folder.path().join("gateway");
        std::fs::create_dir(&state).unwrap();
        let (store, _) = testing::open(&state, &clock).unwrap();
        let text = format!("{SITE}\n[cloud]\nurl = \"{url}\"\n");
        kept::save(&state, &text).unwrap();
        let in_force = Parts {
            state: state.clone(),
            profiles: Arc::default(),
            gateway,
            core: store.core(),
            writer: store.writer(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            sign: Signer::of(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        };
        let found = kept::find(&state, &[]);
        assert!(matches!(found, Found::Good { .. }), "{found:?}");
        let in_force = InForce::start(in_force, found).await;
        let parts = CloudParts {
            state,
            gateway,
            core: store.core(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            identity: watch::Sender::new(Some(Arc::clone(&identity))),
            wanted: watch::Sender::new(in_force.site().and_then(|it| it.cloud.clone())),
            counters: Counters::default(),
            alarm: Arc::default(),
            errands: Arc::default(),
        };
        let shown = Board::new(clock.now().wall);
        let (wishes, asked) = mpsc::channel(4);
        let handles = Handles {
            readers: store.readers(),
            core: store.core(),
            site: in_force.shown().subscribe(),
            live: watch::Sender::default().subscribe(),
            status: shown.watch(),
            bms: watch::Sender::default().subscribe(),
            devices: watch::Sender::default().subscribe(),
            owed: watch::Sender::default().subscribe(),
            wishes,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            certificate: watch::Sender::default().subscribe(),
            version: "0.1.0",
        };
        let ends: Arc<AtomicBool> = Arc::default();
        tokio::spawn(take_over(asked, in_force, parts.wanted.clone(), Arc::clone(&ends)));
        let claim = json!({
            "code": service.claim_code, "name": "kari", "password": "riktig hest batteri",
        });
        let claim = http().post(format!("{}/api/v1/claim", service.people_url)).json(&claim);
        let claimed = claim.send().await.unwrap();
        let cookie = claimed.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let clock_too = Arc::clone(&clock) as Arc<dyn Clock>;
        let board = ErrandBoard::new(store.core(), clock_too, shown.clone());
        let machine = Machine::fallback(&parts.state);
        let runner = ErrandRunner::new(board.clone(), machine, handles.clone(), &parts);
        Self {
            folder,
            store,
            clock,
            identity,
            service,
            cookie,
            board,
            shown,
            handles,
            parts,
            runner,
            ends,
        }
    }

    /// As after a restart of the gateway: what is not on its disk is gone.
    fn restart(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.board = ErrandBoard::new(self.store.core(), clock, self.shown.clone());
        let machine = Machine::fallback(&self.parts.state);
        let (board, handles) = (self.board.clone(), self.handles.clone());
        self.runner = ErrandRunner::new(board, machine, handles, &self.parts);
    }

    /// Everything that can be settled now is.
    async fn settle(&mut self) {
        let identity = Arc::clone(&self.identity);
        self.runner.step(Some(&identity)).await.unwrap();
    }

    async fn hear(&self, asked: Vec<ErrandAsked>) -> bool {
        self.runner.hear(&self.identity, asked).await.unwrap()
    }

    /// What the portfolio answers its owner.
    async fn portfolio(&self, body: Option<Value>) -> Value {
        let site = Box::pin(self.get("/sites")).await[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/sites/{site}/errands");
        let Some(body) = body else { return self.get(&path).await };
        self.clock.pass(Duration::from_millis(1));
        let url = format!("{}/api/v1{path}", self.service.people_url);
        let asked = http().post(url).header(header::COOKIE, &self.cookie).json(&body);
        asked.send().await.unwrap().json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/v1{path}", self.service.people_url);
        let got = http().get(url).header(header::COOKIE, &self.cookie).send().await.unwrap();
        got.json().await.unwrap()
    }

    /// Has the portfolio ask for a change of `changes`, of the newest version.
    async fn change(&self, changes: Value) -> Uuid {
        let base = self.version().await.0;
        let body = json!({"kind": "change", "changes": changes, "base": base});
        let asked = self.portfolio(Some(body)).await;
        asked["id"].as_str().unwrap_or_else(|| panic!("{asked}")).parse().unwrap()
    }

    /// The newest errand at the portfolio.
    async fn newest(&self) -> Value {
        self.portfolio(None).await["errands"][0].take()
    }

    async fn version(&self) -> (u64, String) {
        let version = self.store.core().current_version().await.unwrap().unwrap();
        (version.number, version.text)
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.site()).unwrap()
    }

    fn site(&self) -> PathBuf {
        kept::site_file(&self.folder.path().join("gateway"))
    }

    async fn log(&self) -> Vec<String> {
        let log = self.store.core().audit_log(None, 20).await.unwrap();
        let told = log.iter().rev().map(|it| format!("{} {}", it.who, it.what));
        told.filter(|it| !it.ends_with("enrolled")).collect()
    }
}

/// The daemon, as far as a change needs it.
async fn take_over(
    mut asked: mpsc::Receiver<Wish>,
    mut in_force: InForce,
    wanted: watch::Sender<Option<crate::config::Cloud>>,
    ends: Arc<AtomicBool>,
) {
    while let Some(wish) = asked.recv().await {
        let Wish::SaveSite { text, expected, who, why, reply } = wish else { continue };
        let saved = in_force.save(text, expected, who, why).await;
        wanted.send_replace(in_force.site().and_then(|it| it.cloud.clone()));
        if ends.load(Ordering::Relaxed) {
            return;
        }
        drop(reply.send(saved));
    }
}

fn http() -> reqwest::Client {
    let _done_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn asked(id: u128, clock: &FixedClock) -> ErrandAsked {
    ErrandAsked {
        id: Uuid::from_u128(id),
        kind: Some(ErrandKind::Diagnosis),
        until_ms: clock.now().wall_ms() + 60_000,
        who: "kari".to_owned(),
        body: Vec::new(),
    }
}

async fn obey(board: &ErrandBoard, order: ErrandOrder) -> Result<Errands, NotObeyed> {
    let (reply, answer) = oneshot::channel();
    board.obey(order, reply);
    answer.await.unwrap()
}

fn states(board: &ErrandBoard) -> Vec<ErrandState> {
    board.stands().iter().map(|it| it.state).collect()
}

fn asked_by(shown: &Board) -> Option<String> {
    shown.watch().borrow().asked_by.clone()
}

fn allow(id: Uuid) -> ErrandOrder {
    ErrandOrder::Allow { id, who: "Ola".to_owned() }
}

async fn leave(board: &ErrandBoard, configuration: Leave) {
    let configuration = Some(configuration);
    let order = ErrandOrder::Leave { diagnosis: None, configuration, who: "Ola".to_owned() };
    assert_eq!(Some(obey(board, order).await.unwrap().configuration), configuration);
}

#[tokio::test]
async fn what_is_asked_waits_for_somebody_here_and_is_in_the_log() {
    let bench = Bench::start().await;
    let (board, shown) = (&bench.board, &bench.shown);
    assert!(bench.hear(vec![asked(1, &bench.clock)]).await);
    assert!(!bench.hear(vec![asked(1, &bench.clock)]).await, "it is known");
    assert_eq!((states(board), asked_by(shown)), (vec![ErrandState::Waiting], Some("kari".into())));
    let before = board.stands();
    assert_eq!(board.allowed(&before), None);

    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert_eq!(obey(board, allow(two)).await, Err(NotObeyed::Over));
    let errands = obey(board, allow(one)).await.unwrap();
    assert_eq!((errands.asked[0].state, asked_by(shown)), ("going", None));
    assert_eq!(board.allowed(&board.stands()).map(|it| it.id), Some(one));
    assert_eq!(board.allowed(&before), None, "the portfolio does not know yet, and takes nothing");
    assert_eq!(obey(board, allow(one)).await, Err(NotObeyed::Over), "once is enough");
    assert_eq!(bench.log().await, ["portfolio diagnosis_asked", "Ola diagnosis_allowed"]);
}

#[tokio::test]
async fn what_is_refused_taken_back_or_too_late_is_never_done() {
    let bench = Bench::start().await;
    let (board, clock) = (&bench.board, &bench.clock);
    bench.hear(vec![asked(1, clock), asked(2, clock)]).await;
    let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
    let refuse = ErrandOrder::Refuse { id: one, who: "Ola".to_owned() };
    obey(board, refuse).await.unwrap();
    assert_eq!(obey(board, allow(one)).await, Err(NotObeyed::Over));

    // The portfolio does not ask for the second one any more.
    bench.hear(vec![asked(1, clock)]).await;
    assert_eq!(obey(board, allow(two)).await, Err(NotObeyed::Over));
    assert_eq!((states(board), asked_by(&bench.shown)), (vec![ErrandState::Refused], None));

    bench.hear(vec![asked(3, clock)]).await;
    clock.pass(Duration::from_mins(1));
    assert_eq!(obey(board, allow(three)).await, Err(NotObeyed::Over));
    assert_eq!(states(board), [ErrandState::Expired, ErrandState::Refused]);
    assert_eq!(board.allowed(&board.stands()), None);
}

#[tokio::test]
async fn people_here_decide_once_for_all() {
    let bench = Bench::start().await;
    let board = &bench.board;
    for (id, diagnosis, expected) in [
        (1, Leave::Never, ErrandState::Refused),
        (2, Leave::Always, ErrandState::Going),
        (3, Leave::Ask, ErrandState::Waiting),
    ] {
        let (diagnosis, who) = (Some(diagnosis), "Ola".to_owned());
        let order = ErrandOrder::Leave { diagnosis, configuration: None, who };
        let left = obey(board, order).await.unwrap();
        assert_eq!((Some(left.diagnosis), left.configuration), (diagnosis, Leave::Ask));
        bench.hear(vec![asked(id, &bench.clock)]).await;
        assert_eq!(states(board)[0], expected);
    }
    let of_later = ErrandAsked { kind: None, ..asked(4, &bench.clock) };
    bench.hear(vec![of_later]).await;
    // What can still come of something is told first.
    let expected = [ErrandState::Failed, ErrandState::Refused];
    assert_eq!(states(board), expected);
}

#[tokio::test]
async fn a_change_is_tried_out_allowed_made_and_confirmed() {
    let mut bench = Bench::start().await;
    let before = bench.file();
    let changes = json!([{"section": "site", "key": "name", "text": "New"}]);
    bench.portfolio(Some(json!({"kind": "dry_run", "changes": changes}))).await;
    bench.settle().await;
    let tried = bench.newest().await;
    assert_eq!((&tried["state"], &tried["version"]), (&json!("done"), &json!(1)), "{tried}");
    let lines = "[site]\n- name = \"Old\"\n+ name = \"New\"";
    assert_eq!((&tried["said"], &tried["changes"][0]["text"]), (&json!(lines), &json!("New")));
    assert_eq!((bench.file(), bench.version().await.0), (before.clone(), 1), "it changes nothing");

    let id = bench.change(changes.clone()).await;
    bench.settle().await;
    let waits = bench.newest().await;
    assert_eq!((&waits["state"], &waits["said"]), (&json!("waiting"), &json!(lines)));
    let here = obey(&bench.board, allow(id)).await.unwrap();
    assert_eq!((here.asked[0].kind, here.asked[0].lines.as_str()), ("change", lines));
    bench.settle().await;
    let done = bench.newest().await;
    assert_eq!((&done["state"], &done["version"]), (&json!("done"), &json!(2)), "{done}");
    assert_eq!(bench.file(), before.replace("Old", "New"), "the remark stays");
    let who = bench.store.core().current_version().await.unwrap().unwrap().who;
    assert_eq!(who, "kari (portfolio)");
    let expected = [
        "portfolio change_tried",
        "portfolio change_asked",
        "Ola change_allowed",
        "kari (portfolio) change_made",
        "gateway change_confirmed",
    ];
    assert_eq!(bench.log().await, expected);

    // One that was made of an older version changes nothing.
    leave(&bench.board, Leave::Always).await;
    let body = json!({"kind": "change", "changes": changes, "base": 1});
    bench.portfolio(Some(body)).await;
    bench.settle().await;
    let old = bench.newest().await;
    let said = old["said"].as_str().unwrap();
    assert!(said.contains("is of version 1") && said.contains("version 2 was saved"), "{old}");
    assert!(!said.contains("kari"), "who that was is told at the gateway alone: {old}");
    assert_eq!((&old["state"], bench.version().await.0), (&json!("failed"), 2));

    leave(&bench.board, Leave::Never).await;
    let id = bench.change(json!([{"section": "site", "key": "name"}])).await;
    bench.settle().await;
    let refused = bench.newest().await;
    assert_eq!((&refused["id"], &refused["state"]), (&json!(id.to_string()), &json!("refused")));
}

#[tokio::test]
async fn a_change_that_the_portfolio_has_not_signed_for_this_gateway_is_not_made() {
    let mut bench = Bench::start().await;
    leave(&bench.board, Leave::Always).await;
    let before = bench.file();
    let id = bench.change(json!([{"section": "site", "key": "name", "text": "New"}])).await;
    let mut line = cloud_sync::Errands::new(Arc::clone(&bench.identity), Way::default()).unwrap();
    let asked = line.exchange(Vec::new()).await.unwrap().remove(0);
    assert_eq!(asked.id, id);
    let mut body = asked.body.clone();
    // A letter of what was signed: `New` is `Now`.
    let at = body.windows(3).position(|it| it == b"New").unwrap();
    body[at + 1] = b'o';
    let of_another = Uuid::from_u128(5);
    let changed = ErrandAsked { body, ..asked.clone() };
    let elsewhere = ErrandAsked { id: of_another, ..asked.clone() };
    let nothing = ErrandAsked { id: Uuid::from_u128(6), body: Vec::new(), ..asked.clone() };
    for wrong in [changed, elsewhere, nothing] {
        bench.restart();
        assert!(bench.hear(vec![wrong]).await);
        let stands = bench.board.stands().remove(0);
        assert_eq!(stands.state, ErrandState::Failed, "{stands:?}");
        assert!(stands.text.contains("not signed by the portfolio"), "{stands:?}");
    }
    // A dry run, which names no version, is no change.
    let trial = json!([{"section": "site", "key": "name", "text": "New"}]);
    bench.portfolio(Some(json!({"kind": "dry_run", "changes": trial}))).await;
    let all = line.exchange(Vec::new()).await.unwrap();
    let dry = all.into_iter().find(|it| it.kind == Some(ErrandKind::DryRun)).unwrap();
    bench.restart();
    bench.hear(vec![ErrandAsked { kind: Some(ErrandKind::Change), ..dry }]).await;
    let stands = bench.board.stands().remove(0);
    assert!(stands.text.contains("does not say which version"), "{stands:?}");
    assert_eq!(bench.file(), before);

    bench.restart();
    bench.settle().await;
    assert_eq!(bench.newest().await["state"], "done", "as it was signed it is made");
    assert_eq!(bench.file(), before.replace("Old", "New"));
}

/// A proxy through which nothing goes.
async fn broken_proxy() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hangs_up = async move { while listener.accept().await.is_ok() {} };
    (url, tokio::spawn(hangs_up))
}

#[tokio::test]
async fn a_change_that_cuts_the_portfolio_off_is_taken_back_after_a_power_cut_too() {
    let mut bench = Bench::start().await;
    let before = bench.file();
    let (proxy, _listens) = broken_proxy().await;
    // Where the gateway turns to is asked here each time.
    leave(&bench.board, Leave::Always).await;
    let changes = json!([{"section": "cloud", "key": "proxy", "text": proxy}]);
    let id = bench.change(changes).await;
    bench.settle().await;
    let waits = bench.newest().await;
    assert_eq!(waits["state"], "waiting");
    assert!(!waits["said"].as_str().unwrap().contains("http"), "it is told here alone: {waits}");
    let here = obey(&bench.board, allow(id)).await.unwrap();
    assert!(here.asked[0].lines.contains(&proxy), "{here:?}");
    let identity = Arc::clone(&bench.identity);
    assert!(bench.runner.step(Some(&identity)).await.is_err(), "the portfolio is cut off");
    assert!(bench.file().contains(&proxy), "{}", bench.file());

    // The power fails now; the gateway comes back with the change, and with a time for it.
    bench.restart();
    assert!(bench.runner.step(Some(&identity)).await.is_err());
    assert!(bench.file().contains(&proxy));
    assert_eq!(states(&bench.board), [ErrandState::Going]);
    bench.runner.trial.as_mut().unwrap().until = Instant::now();
    bench.settle().await;
    assert_eq!(bench.file(), before);
    let (number, text) = bench.version().await;
    assert_eq!((number, text), (3, before));
    let failed = bench.newest().await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let said = "the portfolio was not reached after the change: version 3 is as version 1 was";
    assert_eq!(failed["said"], said);
    let steps = bench.portfolio(None).await["steps"].take();
    assert_eq!((&steps[0]["what"], &steps[0]["detail"]), (&json!("failed"), &json!(said)));
    assert_eq!(bench.log().await.last().unwrap(), "gateway change_undone");

    bench.restart();
    bench.settle().await;
    assert_eq!(states(&bench.board), [], "nothing is left of it");
}

#[tokio::test]
async fn whoever_takes_a_change_back_before_it_is_confirmed_has_it_undone() {
    let mut bench = Bench::start().await;
    let before = bench.file();
    leave(&bench.board, Leave::Always).await;
    let id = bench.change(json!([{"section": "site", "key": "name", "text": "New"}])).await;
    let identity = Arc::clone(&bench.identity);
    bench.runner.settle(&identity).await.unwrap();
    assert_eq!(bench.file(), before.replace("Old", "New"), "made, and not confirmed");
    let site = bench.get("/sites").await[0]["id"].as_str().unwrap().to_owned();
    let url = format!("{}/api/v1/sites/{site}/errands/{id}", bench.service.people_url);
    let taken_back = http().delete(url).header(header::COOKIE, &bench.cookie).send().await;
    assert_eq!(taken_back.unwrap().status(), 204);
    bench.settle().await;
    assert_eq!(bench.file(), before);
    assert_eq!(bench.newest().await["state"], "withdrawn");
    assert_eq!(bench.log().await.last().unwrap(), "gateway change_undone");
}

/// The daemon is stopped between saving a change and saying so: nobody was told that it failed, and it is
/// confirmed at the next start.
#[tokio::test]
async fn a_change_whose_answer_is_lost_is_not_forgotten() {
    let mut bench = Bench::start().await;
    let before = bench.file();
    leave(&bench.board, Leave::Always).await;
    bench.change(json!([{"section": "site", "key": "name", "text": "New"}])).await;
    bench.ends.store(true, Ordering::Relaxed);
    let identity = Arc::clone(&bench.identity);
    let stopping = bench.runner.step(Some(&identity)).await.unwrap_err();
    assert!(stopping.to_string().contains("the gateway is stopping"), "{stopping}");
    assert_eq!(bench.file(), before.replace("Old", "New"), "it is in force from the next start on");
    assert_eq!(states(&bench.board), [ErrandState::Going]);

    bench.restart();
    bench.settle().await;
    assert_eq!(bench.newest().await["state"], "done");
    assert_eq!(bench.log().await.last().unwrap(), "gateway change_confirmed");
}

/// The version is stored, and the file cannot be written; nor can it be when the change goes back.
#[tokio::test]
async fn a_change_that_is_saved_half_way_goes_back() {
    let mut bench = Bench::start().await;
    let before = bench.file();
    leave(&bench.board, Leave::Always).await;
    bench.change(json!([{"section": "site", "key": "name", "text": "New"}])).await;
    let (site, aside) = (bench.site(), bench.folder.path().join("aside"));
    std::fs::rename(&site, &aside).unwrap();
    std::fs::create_dir_all(site.join("in the way")).unwrap();
    let identity = Arc::clone(&bench.identity);
    for _ in 0..3 {
        assert!(bench.runner.step(Some(&identity)).await.is_err());
        assert_eq!(states(&bench.board), [ErrandState::Going]);
        let (number, text) = bench.version().await;
        assert_eq!((number, text), (3, before.clone()), "however often it is tried");
    }
    std::fs::remove_dir_all(&site).unwrap();
    bench.settle().await;
    assert_eq!((bench.file(), bench.version().await.0), (before, 3));
    let failed = bench.newest().await;
    assert!(
        failed["said"].as_str().unwrap().ends_with("version 3 is as version 1 was"),
        "{failed}"
    );
    assert_eq!((&failed["state"], &failed["version"]), (&json!("failed"), &json!(3)));
    bench.restart();
    bench.settle().await;
    assert_eq!(states(&bench.board), [], "nothing is left of it");
}

/// The power fails between confirming a change and telling the portfolio so.
#[tokio::test]
async fn a_confirmed_change_is_done_after_a_power_cut_too() {
    let mut bench = Bench::start().await;
    leave(&bench.board, Leave::Always).await;
    bench.change(json!([{"section": "site", "key": "name", "text": "New"}])).await;
    let identity = Arc::clone(&bench.identity);
    for _ in ["made", "confirmed"] {
        bench.runner.settle(&identity).await.unwrap();
    }
    assert_eq!(bench.log().await.last().unwrap(), "gateway change_confirmed");
    assert_eq!(bench.newest().await["state"], "going", "the portfolio has not heard");
    bench.restart();
    bench.settle().await;
    let done = bench.newest().await;
    assert_eq!((&done["state"], &done["version"]), (&json!("done"), &json!(2)), "{done}");
    assert!(bench.file().contains("New"));
    bench.restart();
    bench.settle().await;
    assert_eq!(states(&bench.board), [], "nothing is left of it");
}
