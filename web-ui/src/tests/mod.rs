//! Tests through the whole router, on a real store in a folder of its own.

mod analysis;
mod backup;
mod battery;
mod bms;
mod certificate;
mod commission;
mod config;
mod counter;
mod data;
mod doctor;
mod doors;
mod errands;
mod events;
mod happened;
mod keys;
mod login;
mod papers;
mod passkeys;
mod plans;
mod requests;
mod restore;
mod roles;
mod scan;
mod sla;
mod stream;
mod ways_in;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use access::Role;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use ledger::book::Book;
use ledger::chain::Chain;
use ledger::entry::{Entry, Fact};
use metering::{
    Clock, Identity, Medium, MeterId, Origin, Quality, Quantity, Resolution, Trust, Unit,
};
use serde_json::Value;
use store::testing::{self, FixedClock, KnownDay, ScratchDir, sign};
use store::{Kind, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::handles::*;
use crate::meter_keys::*;
use crate::people::{self, Person};
use crate::told::*;
use crate::{Handles, Listener, WebUi};

const HEAT: &str = "019a8f3e-7c52-7b3e-9d41-000000000001";
const HEAT_FLAT: &str = "019a8f3e-7c52-7b3e-9d41-000000000002";
const WATER: &str = "019a8f3e-7c52-7b3e-9d41-000000000003";

/// 14:32:05 in Trondheim.
const NOW: &str = "2026-11-21T13:32:05Z";

/// A gateway that was claimed by nobody, with three meters and one bus.
struct Gateway {
    pages: WebUi,
    /// Made once: with the description of the whole API in it, it costs more than most answers.
    router: axum::Router,
    store: Store,
    clock: Arc<FixedClock>,
    site: watch::Sender<Arc<Site>>,
    live: watch::Sender<Arc<Live>>,
    status: watch::Sender<Arc<Status>>,
    owed: watch::Sender<Arc<Vec<Owed>>>,
    certificate: watch::Sender<Arc<crate::PagesCertificate>>,
    chronicle: crate::Chronicle,
    _dir: ScratchDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// `403 not_allowed`, or the status alone.
    fn said(&self) -> String {
        match self.json()["code"].as_str() {
            Some(code) if !self.status.is_success() => format!("{} {code}", self.status.as_u16()),
            _ => self.status.as_u16().to_string(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn cookie(&self) -> String {
        let cookie = self.headers[header::SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

impl Gateway {
    fn new() -> Self {
        let empty = testing::empty().unwrap();
        let now: DateTime<Utc> = NOW.parse().unwrap();
        empty.clock.set(now.timestamp_millis());
        Self::over(empty)
    }

    fn over(KnownDay { store, clock, dir }: KnownDay) -> Self {
        let (site, site_seen) = watch::channel(Arc::new(site()));
        let (live, live_seen) = watch::channel(Arc::new(Live::default()));
        let (status, status_seen) = watch::channel(Arc::new(status_of_a_good_day()));
        let (owed, owed_seen) = watch::channel(Arc::default());
        let (certificate, certificate_seen) = watch::channel(Arc::new(certificate::certificate()));
        let (wishes, asked) = mpsc::channel(4);
        let handles = Handles {
            readers: store.readers(),
            core: store.core(),
            site: site_seen,
            live: live_seen.clone(),
            status: status_seen,
            bms: watch::Sender::new(Arc::new(bms::bms())).subscribe(),
            devices: watch::Sender::new(Arc::new(devices())).subscribe(),
            owed: owed_seen,
            wishes,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            certificate: certificate_seen,
            version: "0.1.0",
        };
        tokio::spawn(daemon(asked, store.writer(), store.core(), live_seen));
        let chronicle = crate::Chronicle::new(handles.clone());
        let pages = WebUi::new(handles, vec!["fyrhus-7k2m.local".into()]);
        let router = pages.router(Listener::Https);
        Self {
            pages,
            router,
            store,
            clock,
            site,
            live,
            status,
            owed,
            certificate,
            chronicle,
            _dir: dir,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The answer to `request`, without its body if that is a stream of events.
    async fn head_of(&self, request: Request<Body>) -> Answer {
        let response = self.ask(request).await;
        if !response.status().is_success() {
            return Answer::of(response).await;
        }
        let (parts, _) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: String::new() }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.ask(request).await).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(request(Method::GET, path, cookie, Body::empty())).await
    }

    async fn post(&self, path: &str, cookie: &str, body: Value) -> Answer {
        self.send(request(Method::POST, path, cookie, Body::from(body.to_string()))).await
    }

    async fn put(&self, path: &str, cookie: &str, body: Value) -> Answer {
        self.send(request(Method::PUT, path, cookie, Body::from(body.to_string()))).await
    }

    async fn delete(&self, path: &str, cookie: &str) -> Answer {
        self.send(request(Method::DELETE, path, cookie, Body::empty())).await
    }

    /// The cookie of a new session of a user with `role`, who sees [`WATER`] if a tenant.
    async fn visitor(&self, role: Role) -> String {
        self.visitor_called(&format!("a {role}"), role).await
    }

    /// The same of a user with this name.
    async fn visitor_called(&self, name: &str, role: Role) -> String {
        let core = self.store.core();
        let now = self.clock.now();
        let name = name.parse().unwrap();
        let person = if let Some(person) = people::named(&core, &name).await.unwrap() {
            person
        } else {
            let meters = vec![WATER.parse().unwrap()];
            let person = Person::new(name, role, meters, String::new(), &now);
            core.put_user(person.row()).await.unwrap();
            person
        };
        let (id, kept) = people::opened(person.user.id, &now, people::Opened::default());
        people::keep_session(&core, &kept).await.unwrap();
        format!("__Host-fyrhus={}", id.cookie())
    }

    async fn claim_code(&self) -> String {
        crate::open_claim(&self.store.core(), &*self.clock).await.unwrap().unwrap()
    }
}

/// With the headers that a page of our own sends.
fn request(method: Method, path: &str, cookie: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header(header::HOST, "10.0.4.2:8443")
        .header(header::ORIGIN, "https://10.0.4.2:8443")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::COOKIE, cookie)
        .body(body)
        .unwrap()
}

/// Answers wishes as the daemon does, as far as a page can tell.
async fn daemon(
    mut wishes: mpsc::Receiver<Wish>,
    writer: store::Writer,
    core: store::Core,
    live: watch::Receiver<Arc<Live>>,
) {
    while let Some(wish) = wishes.recv().await {
        match wish {
            Wish::ReadNow { meter, reply } => {
                let read = live.borrow().meters.get(&meter).cloned().ok_or(NotRead::Unknown);
                let _ = reply.send(read);
            }
            Wish::Scan { bus, order, reply } => {
                let _ = reply.send(scanned(&bus, order));
            }
            Wish::SaveSite { text, expected, who, reply, .. } => {
                let _ = reply.send(saved(&core, text, expected, who).await);
            }
            Wish::Record { fact, reply } => {
                let _ = reply.send(recorded(&core, *fact).await);
            }
            Wish::Evidence { month, reply } => {
                let _ = reply.send(Err(format!("no evidence of {month} is made here")));
            }
            Wish::SetCounter { display, who, reply, .. } => {
                let set = display.parse::<u32>().map(|it| format!("{it}.0 kWh, {who}"));
                let _ = reply.send(set.map_err(|_| "that is not a display".to_owned()));
            }
            Wish::Correct { figure, reply } => {
                let _ = reply.send(events::corrected(&writer, *figure).await);
            }
            Wish::CorrectSpan { span, reply } => {
                let _ = reply.send(events::span_corrected(&writer, *span).await);
            }
            Wish::Keys { order, reply } => {
                let _ = reply.send(keys_kept(&order));
            }
            Wish::Backup { passphrase, reply } => {
                let _ = reply.send(backup::made(&passphrase.0));
            }
            Wish::Certificate { order, reply } => {
                let _ = reply.send(certificate::obeyed(&order));
            }
            Wish::ProveHistory { reply } => {
                let _ = reply.send(core.history().await.map(|it| config::proven(&it)));
            }
            Wish::SignedVersion { number, reply } => {
                let version = core.version(number).await;
                let _ = reply.send(version.map(|it| it.map(|it| format!("# signed\n{}", it.text))));
            }
            Wish::Diagnose { reply } => {
                let _ = reply.send("{}".to_owned());
            }
            Wish::Errand { order, reply } => {
                let _ = reply.send(errands::obeyed(&order));
            }
            Wish::Stick { order, reply } => {
                let _ = reply.send(backup::on_stick(order));
            }
            Wish::Restore { order, reply } => {
                let _ = reply.send(restore::restored(order));
            }
            Wish::Ports { reply } => {
                let port = "serial:///dev/ttyUSB0".to_owned();
                let _ = reply.send(vec![PortFound { port, name: "FTDI".to_owned(), bus: None }]);
            }
            Wish::TryPort { port, reply } => {
                let heard = vec![(2_400, Heard::Noise), (9_600, Heard::Meter)];
                let tried = port.starts_with("serial:").then_some(PortTried { tries: heard });
                let _ = reply.send(tried.ok_or(NotTried::NoPort));
            }
            Wish::SeeBattery { reply, .. } => {
                let _ = reply.send(true);
            }
            Wish::Enrol { code, reply, .. } => {
                let _ = reply.send(if code == "GOOD" { Ok(()) } else { Err(NotEnrolled::Code) });
            }
        }
    }
}

/// Writes into the ledger as the daemon does.
async fn recorded(core: &store::Core, fact: Fact) -> Result<u64, NotRecorded> {
    let entries = core.ledger(0).await.unwrap();
    let mut chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
    let taken = Book::new(chain.entries()).takes(&fact);
    taken.map_err(|refused| NotRecorded::Refused(refused.to_string()))?;
    let seq = chain.head().seq + 1;
    let at_ms = NOW.parse::<DateTime<Utc>>().unwrap().timestamp_millis();
    let bytes = Entry { seq, at_ms, fact }.to_bytes();
    chain.push(&bytes).unwrap();
    core.append_chain(seq - 1, bytes).await.unwrap();
    Ok(seq)
}

/// Of one meter the keys are kept; a file has one more.
fn keys_kept(order: &KeyOrder) -> Result<KeysKept, KeysRefused> {
    let meters = vec![KeptKey { meter: "67001122KAM".to_owned(), authentication: false }];
    let kept = |new, replaced| Ok(KeysKept { meters, new, replaced });
    match order {
        KeyOrder::Enter { meter, .. } if meter.len() < 4 => Err(KeysRefused::Number),
        KeyOrder::Enter { encryption, .. } if encryption.0.len() != 32 => Err(KeysRefused::Key),
        KeyOrder::Import { file, password: None } if file.0.starts_with(b"PK") => {
            Err(KeysRefused::Password)
        }
        KeyOrder::Import { file, .. } if file.0.is_empty() => {
            Err(KeysRefused::File("the file has no key".to_owned()))
        }
        KeyOrder::Forget { meter } if meter != "67001122KAM" => Err(KeysRefused::Unknown),
        KeyOrder::Tell | KeyOrder::Forget { .. } => kept(0, 0),
        KeyOrder::Enter { .. } => kept(0, 1),
        KeyOrder::Import { .. } => kept(1, 0),
    }
}

/// On `riser-a` a scan is under way, and on no other bus.
fn scanned(bus: &str, order: ScanOrder) -> Result<Arc<ScanStatus>, NotScanned> {
    let (state, place) = match (bus, order) {
        ("riser-a", ScanOrder::Start(_)) => return Err(NotScanned::Runs),
        ("riser-a", ScanOrder::Pause) => (ScanState::Paused, Some("17".to_owned())),
        ("riser-a", ScanOrder::Resume) => (ScanState::Running, Some("17".to_owned())),
        ("riser-a", ScanOrder::Cancel) => (ScanState::Cancelled, None),
        ("modbus", _) => return Err(NotScanned::Kind),
        _ => return Err(NotScanned::NoSuchBus),
    };
    Ok(Arc::new(ScanStatus { state, place, ..scan() }))
}

/// One that has found the water meter of the configuration, one that nobody knows, and what is
/// most likely a fault of the wire.
fn scan() -> ScanStatus {
    let found =
        |address: &str, serial: &str, meter: Option<&str>, nearly: Option<&str>| FoundMeter {
            address: address.to_owned(),
            primary: address.parse().ok(),
            own: Some(format!("{serial}KAM0807")),
            serial: serial.to_owned(),
            manufacturer: "KAM".to_owned(),
            version: "8".to_owned(),
            medium: Some(Medium::Water),
            profile: None,
            meter: meter.map(|meter| meter.parse().unwrap()),
            nearly: nearly.map(str::to_owned),
        };
    ScanStatus {
        kind: ScanKind::Primary,
        state: ScanState::Running,
        looking: ScanKind::Primary,
        place: Some("17".to_owned()),
        asked: 17,
        permille: 67,
        rest: Some(Duration::from_millis(52_400)),
        began: "2026-11-21T12:30:00Z".parse().unwrap(),
        ended: None,
        found: vec![
            found("1", "67001122", Some(WATER), None),
            found("2", "67001130", None, None),
            found("3", "67001132", None, Some("67001130KAM0807")),
        ],
        several: vec!["9".to_owned()],
        trouble: None,
    }
}

async fn saved(
    core: &store::Core,
    text: String,
    expected: u64,
    who: String,
) -> Result<u64, NotSaved> {
    if !text.contains("[site]") {
        let advice = "a site needs a `[site]` section".into();
        return Err(NotSaved::Mistakes(vec![Mistake { line: 1, advice }]));
    }
    match core.save_version(text, who, "edited".into(), Some(expected), sign()).await {
        Ok(version) => Ok(version),
        Err(StoreError::Outdated { current }) => {
            let newest = core.current_version().await.unwrap().unwrap();
            let at = DateTime::from_timestamp_millis(newest.at_ms).unwrap();
            Err(NotSaved::Changed { version: current, who: newest.who, at })
        }
        Err(error) => Err(NotSaved::Failed(error.to_string())),
    }
}

/// The type of the meter [`WATER`].
fn devices() -> Devices {
    let words = |text: &str| Words { nb: text.into(), en: text.into(), da: text.into() };
    let device = Device {
        vendor: "Kamstrup".into(),
        models: vec!["MULTICAL 21".into()],
        registers: vec![RegisterWords {
            register: "error_flags".parse().unwrap(),
            name: Some(words("Info")),
            bits: vec![(0, words("dry"))],
        }],
    };
    HashMap::from([("kamstrup.multical-21".to_owned(), Arc::new(device))])
}

pub(crate) fn site() -> Site {
    let meter = |id: &str, name: &str, medium, address: &str, part_of: Option<&str>| MeterInfo {
        id: id.parse().unwrap(),
        name: name.into(),
        bus: "riser-a".into(),
        address: address.into(),
        medium: Some(medium),
        profile: None,
        place: None,
        tags: Vec::new(),
        serial: None,
        part_of: part_of.map(|id| id.parse().unwrap()),
        poll_every: Duration::from_mins(15),
        simulated: false,
        outdoor: false,
    };
    Site {
        id: Some("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap()),
        gateway: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e78".parse().unwrap(),
        name: "Kvernhusgata 4".into(),
        place: Some("Trondheim".into()),
        time_zone: chrono_tz::Europe::Oslo,
        buses: vec![BusInfo {
            id: "riser-a".into(),
            name: "Stigeledning A".into(),
            kind: "mbus",
            port: "tcp://10.0.4.9:10001".into(),
        }],
        meters: vec![
            meter(HEAT, "Fjernvarme", Medium::Heat, "17", None),
            meter(HEAT_FLAT, "Varme 3. etg.", Medium::Heat, "18", Some(HEAT)),
            meter(WATER, "Kaldtvann 3. etg. vest", Medium::Water, "19", None),
        ],
        version: 7,
        probes: ledger::Settings::WIRED,
        config_problem: None,
        wrong_profiles: Vec::new(),
        commissioning: false,
    }
}

/// A neighbour's meter.
fn stranger() -> HeardStranger {
    HeardStranger {
        name: "67001199KAM1B16".to_owned(),
        identity: Identity {
            serial: "67001199".to_owned(),
            manufacturer: "KAM".to_owned(),
            version: "27".to_owned(),
        },
        medium: Some(Medium::Water),
        rssi_dbm: Some(-71),
        sealed: true,
        at: "2026-11-21T12:59:40Z".parse().unwrap(),
        count: 12,
    }
}

/// A wire on which two meters have one address.
fn health() -> BusHealth {
    let count = |name, count| (name, count);
    BusHealth {
        findings: vec![BusFinding {
            code: "same_address",
            meter: Some(WATER.parse().unwrap()),
            address: Some("19".to_owned()),
            count: 9,
            of: 30,
            since: Some("2026-11-21T12:00:00Z".parse().unwrap()),
            devices: None,
        }],
        meters: vec![MeterHealth {
            meter: WATER.parse().unwrap(),
            since: "2026-11-01T12:00:00Z".parse().unwrap(),
            counts: vec![count("polls", 900), count("answered", 880), count("collisions", 60)],
            times: vec![(Duration::from_micros(45_254), 700), (Duration::from_millis(64), 180)],
            median: Some(Duration::from_millis(45)),
            p95: Some(Duration::from_millis(64)),
            answered: Some("2026-11-21T11:45:00Z".parse().unwrap()),
            silent_since: None,
            silent_times: 1,
            silent_longest: Duration::from_hours(2),
            device: Some("67001122KAM0807".to_owned()),
            held: None,
        }],
        unit_loads: 61,
        max_unit_loads: Some(60),
        port_failures: 2,
    }
}

fn status_of_a_good_day() -> Status {
    Status {
        started_at: "2026-11-21T03:32:05Z".parse().unwrap(),
        trust: Trust::Synced,
        buses: vec![BusStatus {
            id: "riser-a".into(),
            state: BusState::Up,
            last_error: None,
            answered: 1_200,
            failed: 3,
            median: Some(Duration::from_millis(64)),
            p95: Some(Duration::from_millis(270)),
            round: Some(Duration::from_millis(4_100)),
            health: Some(Arc::new(health())),
            strangers: Some(Arc::new(Strangers { heard: vec![stranger()], forgotten: 0 })),
            scan: Some(Arc::new(scan())),
        }],
        store: StoreStatus {
            stored: 12_345,
            waiting: 0,
            disk_free: 20 << 30,
            disk_size: 32 << 30,
            trouble: None,
            damaged: Vec::new(),
        },
        sync: None,
        batteries: BTreeMap::new(),
        asked_by: None,
    }
}

/// What a meter that answers at `at` says.
fn answer(at: DateTime<Utc>, values: &[(&str, Kind, i64, i8, Unit)]) -> Arc<LiveMeter> {
    let values = values.iter().map(|(register, kind, mantissa, decimals, unit)| LiveValue {
        register: register.parse().unwrap(),
        value: Ok(Quantity::new(*mantissa, Resolution::new(*decimals, *unit).unwrap())),
        kind: *kind,
        quality: Quality::Good,
        origin: Origin::Live,
        at,
    });
    Arc::new(LiveMeter {
        at,
        state: MeterState::Ok,
        absent: None,
        error: None,
        values: values.collect(),
        said: Vec::new(),
        last_answer: Some(at),
        took: Some(Duration::from_millis(64)),
        identity: None,
        telegrams: vec![vec![0x68, 0x35, 0x35, 0x68]],
    })
}

/// All meters of [`site`] have answered.
fn all_well() -> Live {
    let at = "2026-11-21T13:30:01Z".parse().unwrap();
    let heat = |power| {
        answer(
            at,
            &[
                ("energy", Kind::Counter, 1_396_317, 3, Unit::MegawattHour),
                ("power", Kind::Gauge, power, 1, Unit::Kilowatt),
            ],
        )
    };
    let water = answer(
        at,
        &[
            ("volume", Kind::Counter, 34_718_400, 3, Unit::CubicMetre),
            ("volume_flow", Kind::Gauge, 700, 0, Unit::LitrePerHour),
        ],
    );
    let meters =
        HashMap::from([(id(HEAT), heat(1_135)), (id(HEAT_FLAT), heat(200)), (id(WATER), water)]);
    Live { revision: 1, meters }
}

/// A meter that used to answer and does not any more.
fn gone_silent(before: &LiveMeter) -> Arc<LiveMeter> {
    let error = Some(Trouble {
        code: TroubleCode::Silent,
        params: [("address", "19".to_owned()), ("ms", "330".to_owned())].into(),
        text: "meter 19 did not answer within 330 ms".into(),
    });
    let absent = Some(metering::NoReading::Silent);
    Arc::new(LiveMeter { state: MeterState::Silent, absent, error, ..before.clone() })
}

fn id(text: &str) -> MeterId {
    text.parse().unwrap()
}
