//! From the probe's sockets to an evidence file that holds on its own, by a clock that the test
//! winds on: the portfolio is stopped for three minutes, and then the gateway's link for ten.
//!
//! ```text
//! canary ─▶ store ─▶ uploader ──TLS──▶ portfolio     all real, on loopback
//!                     probe ────TLS──▶ report
//!                       └─▶ attempts ─▶ ledger ─▶ statement, evidence
//! ```

use std::path::Path;

use cloud_sync::{Building, Pace, SyncStatus, Uploader, Way};
use ed25519_dalek::SigningKey;
use ledger::Code;
use ledger::book::{Book, Statement};
use ledger::case::Ore;
use ledger::chain::Chain;
use ledger::entry::{Contract, Fact};
use ledger::note::{Note, Verifier};
use metering::SiteId;
use portfolio::config::{Config, GatewaysListener, LimitsConfig, PeopleListener};
use portfolio::{Quota, Service, enrol_code};
use store::testing::{self, FixedClock};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::books::{BookExchange, Handed};
use crate::clock::SystemClock;
use crate::evidence;
use crate::ledger_keys::LedgerKeys;
use crate::scribe::{self, Scribe};

/// For how long anything may take: only a broken part takes so long.
const SOON: Duration = Duration::from_mins(1);

/// A clock that shows about now, so that certificates are good, and no month that ends meanwhile.
pub(crate) fn clock() -> Arc<FixedClock> {
    let now = SystemClock::new().now().wall_ms();
    let month = |ms: i64| ledger::Month::of(ms / 1_000, chrono_tz::Europe::Oslo).unwrap();
    let ends = month(now) != month(now + 3_600_000);
    FixedClock::at(if ends { now - 7_200_000 } else { now })
}

struct Bench {
    _folder: tempfile::TempDir,
    store: store::Store,
    identity: watch::Sender<KnownAs>,
    clock: Arc<FixedClock>,
    config: Config,
    service: Option<Service>,
    probe: Probe,
    going: Going,
    references: watch::Sender<Option<Cloud>>,
}

impl Bench {
    /// A gateway that the portfolio knows, and one canary that it has.
    async fn start() -> Self {
        let clock = clock();
        let folder = tempfile::tempdir().unwrap();
        let mut config = portfolio_in(folder.path());
        let service = Service::start(&config, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let port: u16 = service.gateways_url.rsplit_once(':').unwrap().1.parse().unwrap();
        config.gateways.listen = (std::net::Ipv4Addr::LOCALHOST, port).into();
        let url = service.gateways_url.clone();

        let state = folder.path().join("gateway");
        std::fs::create_dir(&state).unwrap();
        let (store, _) = testing::open(&state, &clock).unwrap();
        let gateway = GatewayId::from_uuid(Uuid::from_u128(0x0192_F0C1));
        let code = enrol_code(&config, &*clock, "Bakken".to_owned(), None).await.unwrap().code;
        let identity =
            cloud_sync::enrol(&url, &code, gateway, &*clock, &Way::default()).await.unwrap();
        let identity = watch::Sender::new(Some(Arc::new(identity)));
        let sung = canary::round(gateway, clock.now(), 1).unwrap();
        store.writer().commit(vec![sung]).await.unwrap();
        upload(&store, &identity, &clock).await;

        let references = watch::Sender::new(None);
        let probe = Probe {
            gateway,
            core: store.core(),
            outbox: store.outbox(),
            readers: store.readers(),
            identity: identity.subscribe(),
            wanted: references.subscribe(),
            traffic: Arc::default(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            acked: VecDeque::new(),
        };
        Self {
            clock,
            config,
            service: Some(service),
            probe,
            going: Going::default(),
            references,
            store,
            identity,
            _folder: folder,
        }
    }

    /// The portfolio on the port that it had.
    async fn up(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.service = Some(Service::start(&self.config, clock).await.unwrap());
    }

    async fn down(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// Asks every `step` seconds until `seconds` have passed.
    async fn pass(&mut self, seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.clock.pass(Duration::from_secs(step));
            self.probe.ask_once(&mut self.going).await;
        }
    }

    fn refer_to(&self, places: &[String]) {
        self.references.send_replace(Some(Cloud {
            url: String::new(),
            profile: LineProfile::Wired,
            references: places.to_vec(),
            data_mb_a_month: None,
            proxy: None,
            report_timeout: TIME_OUT,
            probe_every: None,
        }));
    }
}

/// Has everything that the store holds confirmed by the portfolio.
async fn upload(store: &store::Store, identity: &watch::Sender<KnownAs>, clock: &Arc<FixedClock>) {
    let building = Building {
        site: SiteId::from_uuid(Uuid::from_u128(1)),
        name: "Bakken".to_owned(),
        place: None,
        time_zone: "Europe/Oslo".to_owned(),
        meters: Vec::new(),
    };
    let (told, mut status) = watch::channel(SyncStatus::default());
    let hurry = Arc::new(Notify::new());
    let uploader = Uploader {
        outbox: store.outbox(),
        readers: store.readers(),
        building: watch::Sender::new(Arc::new(building)).subscribe(),
        identity: identity.clone(),
        status: told,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        pace: Pace { every: Duration::from_millis(5), spread: Duration::ZERO, ..Pace::WIRED },
        way: Way::default(),
        budget: watch::Sender::new(None).subscribe(),
        hurry: Arc::clone(&hurry),
        sent: tokio::sync::mpsc::channel(1).0,
        errands: Arc::default(),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(uploader.run(shutdown.clone()));
    let head = store.outbox().state().head;
    let confirmed = async {
        hurry.notify_one();
        status.wait_for(|status| status.acked >= head && head > 0).await.unwrap();
    };
    time::timeout(SOON, confirmed).await.unwrap();
    shutdown.cancel();
    time::timeout(SOON, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_counts_the_own_link_does_not_and_the_evidence_holds_on_its_own() {
    let mut bench = Bench::start().await;
    let (clock, core) = (Arc::clone(&bench.clock), bench.store.core());
    let gateway = bench.probe.gateway;
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = near.local_addr().unwrap().to_string();
    bench.refer_to(&[place.clone(), place.clone()]);

    // What is acknowledged is readable after five minutes at the latest.
    let key = SigningKey::from_bytes(&[3; 32]);
    let scribe = Scribe {
        core: core.clone(),
        gateway,
        keys: LedgerKeys::open(Path::new("/nowhere"), &key),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        owed: watch::Sender::default(),
        hour: None,
        turn: Arc::default(),
    };
    scribe.write(Fact::Contract(contract())).await.unwrap();
    bench.probe.note_acked();
    clock.pass(VISIBLE_WITHIN);
    bench.pass(100, 20).await;
    bench.down().await;
    let stopped = clock.now().wall.timestamp();
    bench.pass(180, 10).await;
    bench.up().await;
    bench.pass(120, 20).await;
    // The link: nothing can be reached. Such an address leads nowhere without a packet being sent.
    bench.refer_to(&["[fe80::1]:9".to_owned(), "[fe80::2]:9".to_owned()]);
    bench.down().await;
    bench.pass(600, 10).await;
    bench.refer_to(&[place.clone(), place]);
    bench.up().await;
    bench.pass(120, 20).await;
    bench.down().await;
    scribe.write_hour().await.unwrap();

    // Both books change hands: what the gateway has signed the portfolio has seen.
    bench.up().await;
    let mut exchange = BookExchange {
        core: core.clone(),
        scribe: scribe.clone(),
        identity: bench.identity.subscribe(),
        wanted: bench.references.subscribe(),
        traffic: Arc::default(),
        keeper: None,
        said: None,
        handed: Handed::default(),
    };
    exchange.exchange().await.unwrap();
    check_fetched_back(&exchange).await;
    bench.down().await;
    let countersigned = core.setting(scribe::COUNTERSIGNED_SETTING).await.unwrap();
    let countersigned: Note = countersigned.unwrap().parse().unwrap();
    let vendor = opened_by(&core.vendors_book(0).await.unwrap().remove(0));

    let entries = core.ledger(0).await.unwrap();
    let chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
    let month = ledger::Month::of(stopped, chrono_tz::Europe::Oslo).unwrap().to_string();
    check_statement(&Book::new(chain.entries()).statement(&month).unwrap());

    let note = scribe::checkpoint(&chain, clock.now().wall_ms(), &key);
    assert_eq!(countersigned.checkpoint.head, chain.head());
    let notes = [countersigned, note];
    let file = evidence::file(&chain, &notes, &evidence::Proofs::new(), &month).unwrap();
    let name = evidence::name(chain.ledger());
    let trust = [Verifier::new(&name, key.verifying_key().to_bytes()).unwrap(), vendor];
    let failed: Vec<String> = evidence::checks(&file, &trust)
        .iter()
        .filter(|check| !check.holds)
        .map(evidence::Check::to_string)
        .collect();
    assert_eq!(failed, [""; 0]);
}

/// What it costs is half of it: on a SIM card the probe is the larger part of a month.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_go_on_where_the_one_before_ended() {
    let mut bench = Bench::start().await;
    bench.probe.note_acked();
    bench.clock.pass(VISIBLE_WITHIN);
    let traffic = Arc::clone(&bench.probe.traffic);
    let handshakes = || traffic.handshakes();
    bench.pass(1_200, 10).await;
    assert_eq!(handshakes(), (12, 11), "every tenth question");
    let month = traffic.bytes() * 12 * 30;
    println!("{month} bytes a month, at one question a minute");
    assert!(month < 30_000_000, "{month} bytes a month");
    bench.pass(10, 10).await;
    assert_eq!(handshakes(), (13, 11), "both certificates, now and then");

    // After a failure too: the certificates may be what is wrong.
    bench.down().await;
    bench.pass(10, 10).await;
    bench.up().await;
    bench.pass(10, 10).await;
    assert_eq!(handshakes(), (14, 11));
    let attempts = bench.store.core().attempts(0..i64::MAX, 1_000).await.unwrap().len();
    assert_eq!(attempts, 123, "and each is an attempt");
}

/// A disk that is put back to when the ledger had two entries gets the others from the portfolio, and
/// goes on from there.
async fn check_fetched_back(gone: &BookExchange) {
    let older = testing::empty().unwrap();
    let core = older.store.core();
    let all = gone.core.ledger(0).await.unwrap();
    for (place, entry) in (0..).zip(all.iter().take(2)) {
        core.append_chain(place, entry.clone()).await.unwrap();
    }
    core.put_setting(store::LEDGER_BEHIND, "put back".to_owned()).await.unwrap();
    let scribe = Scribe { core: core.clone(), turn: Arc::default(), ..gone.scribe.clone() };
    let told = || {
        Fact::Battery(ledger::entry::Battery {
            product: "sensor".to_owned(),
            event: ledger::entry::BatteryEvent::Told,
            who: "gateway".to_owned(),
        })
    };
    let refused = scribe.write(told()).await.unwrap_err();
    assert!(matches!(refused, scribe::NotWritten::Behind), "{refused}");
    let mut exchange = BookExchange {
        core: core.clone(),
        scribe: scribe.clone(),
        identity: gone.identity.clone(),
        wanted: gone.wanted.clone(),
        traffic: Arc::default(),
        keeper: None,
        said: None,
        handed: Handed::default(),
    };
    exchange.exchange().await.unwrap();
    assert_eq!(core.ledger(0).await.unwrap(), all);
    assert_eq!(scribe.write(told()).await.unwrap(), all.len() as u64 + 1);
    exchange.exchange().await.unwrap();
    let note = core.setting(scribe::COUNTERSIGNED_SETTING).await.unwrap().unwrap();
    let note: Note = note.parse().unwrap();
    assert_eq!(note.checkpoint.head.seq, all.len() as u64 + 1);
}

/// The own link was down for 600 s and is named, the portfolio for 180 and is counted.
#[track_caller]
fn check_statement(statement: &Statement) {
    let told = statement::text(statement);
    // Both begin one step late and end one late: a step of 20 s while all is well.
    assert_eq!(statement.settled.totals.counted, 190, "{told}");
    assert_eq!((statement.settled.totals.short, statement.settled.outages.len()), (0, 1), "{told}");
    let link = statement.unknown.iter().find(|it| it.code == Code::Link).map(|it| it.seconds);
    assert_eq!(link, Some(610), "{told}");
    assert!(told.contains("610 s, the building's own link was down"), "{told}");
    assert!(told.contains("190 s counted"), "{told}");
}

/// Who signs the book that begins with this entry.
#[track_caller]
fn opened_by(first: &[u8]) -> Verifier {
    let Fact::Open(vendor) = ledger::entry::Entry::from_bytes(first).unwrap().fact else {
        panic!("the vendor's book is not opened")
    };
    Verifier::new("portfolio", vendor.key).unwrap()
}

pub(crate) fn portfolio_in(folder: &Path) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    let state = folder.join("portfolio");
    std::fs::create_dir(&state).unwrap();
    Config {
        state,
        gateways: GatewaysListener { listen: any, names: vec!["localhost".to_owned()] },
        people: PeopleListener { listen: any, names: Vec::new(), plain_http: true },
        database: None,
        limits: LimitsConfig::default(),
        quota: Quota::default(),
        probe: true,
        log_filter: String::new(),
    }
}

fn contract() -> Contract {
    Contract::new("4711", "Bakken borettslag", "Fjord AS", Ore::new(1_200_000).unwrap())
}
