//! A gateway's store, a portfolio service and the line between them, all real: SQLite, sockets, TLS.
//!
//! ```text
//!  Store ─▶ Uploader ──TLS──▶ Line ──TLS──▶ Service ─▶ SQLite, or PostgreSQL
//!                              │ forwards bytes, until it is told not to
//! ```
//!
//! What the database holds is asked beside the service, in SQL that both understand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cloud_sync::{
    Budget, Building, BuildingMeter, Identity, Pace, Sent, SyncStatus, Uploader, Way, enrol,
};
use metering::{Clock, GatewayId, Medium, Moment, SeriesId, SiteId};
use own_postgres::OwnPostgres;
use portfolio::config::{Config, GatewaysListener, LimitsConfig, PeopleListener, PostgresConfig};
use portfolio::{Quota, Service, SystemClock, enrol_code};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use store::testing::{COLD, FixedClock, HEAT};
use store::{Outbox, OutboxReading, Store};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod line;
mod receiver;

pub(crate) use line::{Cut, Line};
pub(crate) use receiver::Receiver;

/// For how long anything in a test may take: only a broken one waits so long.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A clock that shows now, and can be wound on. TLS asks the system, so it may not start elsewhere.
pub(crate) fn clock() -> Arc<FixedClock> {
    FixedClock::at(SystemClock::new().now().wall_ms())
}

/// Makes of each test two: on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::support::Cloud::start().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::support::Cloud::on_postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

/// Where the service keeps its data.
#[derive(Clone)]
enum Data {
    Sqlite,
    Postgres { server: Arc<OwnPostgres>, name: String, url: String },
}

/// A portfolio service in a folder of its own, reached over a [`Line`].
pub(crate) struct Cloud {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) line: Line,
    pub(crate) config: Config,
    data: Data,
    service: Option<Service>,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::with(Data::Sqlite, None).await
    }

    /// In a database of its own on a server that all tests share.
    pub(crate) async fn on_postgres() -> Self {
        static SERVER: OnceLock<Arc<OwnPostgres>> = OnceLock::new();
        let server = SERVER.get_or_init(|| Arc::new(OwnPostgres::start("").unwrap()));
        Self::on(Arc::clone(server)).await
    }

    /// In a database of its own on this server.
    pub(crate) async fn on(server: Arc<OwnPostgres>) -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("portfolio_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = server.database(&name).unwrap();
        let database =
            PostgresConfig { server: url.parse().unwrap(), password_file: None, authority: None };
        Self::with(Data::Postgres { server, name, url }, Some(database)).await
    }

    async fn with(data: Data, database: Option<PostgresConfig>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            state: dir.path().to_owned(),
            gateways: GatewaysListener { listen: any, names: vec!["localhost".to_owned()] },
            people: PeopleListener { listen: any, names: Vec::new(), plain_http: true },
            database,
            limits: LimitsConfig::default(),
            quota: Quota::default(),
            probe: false,
            log_filter: String::new(),
        };
        let mut cloud =
            Self { dir, clock: clock(), line: Line::start().await, data, config, service: None };
        cloud.up().await;
        cloud
    }

    /// Starts the service again, on another port; the line follows.
    pub(crate) async fn up(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let service = Service::start(&self.config, clock).await.unwrap();
        self.service = Some(service);
        self.line.leads_to(self.port());
    }

    /// Stops it as SIGTERM does.
    pub(crate) async fn down(&mut self) {
        self.line.leads_to(1);
        self.line.hang_up();
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// What gateways call it: the line's near end.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.line.port())
    }

    /// Its port behind the line.
    pub(crate) fn port(&self) -> u16 {
        let url = &self.service.as_ref().unwrap().gateways_url;
        url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub(crate) fn people_url(&self) -> String {
        self.service.as_ref().unwrap().people_url.clone()
    }

    pub(crate) fn claim_code(&self) -> Option<String> {
        self.service.as_ref().unwrap().claim_code.clone()
    }

    pub(crate) async fn code(&self, site: &str) -> String {
        enrol_code(&self.config, &*self.clock, site.to_owned(), None).await.unwrap().code
    }

    pub(crate) async fn identity(&self, gateway: GatewayId) -> Identity {
        let code = self.code("Kvernhusgata 4").await;
        enrol(&self.url(), &code, gateway, &*self.clock, &Way::default()).await.unwrap()
    }

    /// Where its PostgreSQL is, if it has one.
    pub(crate) fn database_url(&self) -> Option<String> {
        match &self.data {
            Data::Sqlite => None,
            Data::Postgres { url, .. } => Some(url.clone()),
        }
    }

    /// Copies the database, as a backup does.
    pub(crate) fn backup(&self) -> Vec<u8> {
        match &self.data {
            Data::Sqlite => {
                let copy = self.dir.path().join("backup.db");
                self.ask(&format!("VACUUM INTO '{}'", copy.display()));
                let bytes = std::fs::read(&copy).unwrap();
                std::fs::remove_file(copy).unwrap();
                bytes
            }
            Data::Postgres { server, name, .. } => server.dump(name).unwrap().into_bytes(),
        }
    }

    /// Puts a backup in the place of the database; the service must be down.
    pub(crate) fn restore(&self, backup: &[u8]) {
        assert!(self.service.is_none());
        match &self.data {
            Data::Sqlite => {
                for name in ["portfolio.db", "portfolio.db-wal", "portfolio.db-shm"] {
                    let _absent = std::fs::remove_file(self.dir.path().join(name));
                }
                std::fs::write(self.dir.path().join("portfolio.db"), backup).unwrap();
            }
            Data::Postgres { server, name, .. } => {
                server.restore(name, std::str::from_utf8(backup).unwrap()).unwrap();
            }
        }
    }

    /// Asks the database beside the service, and returns its rows as text.
    pub(crate) fn ask(&self, question: &str) -> Vec<Vec<String>> {
        match &self.data {
            Data::Sqlite => self.ask_sqlite(question).unwrap(),
            Data::Postgres { server, name, .. } => {
                let answer = server.ask(name, question).unwrap();
                let row = |line: &str| line.split('|').map(ToOwned::to_owned).collect();
                answer.lines().map(row).collect()
            }
        }
    }

    fn ask_sqlite(&self, question: &str) -> rusqlite::Result<Vec<Vec<String>>> {
        let db = self.sqlite();
        let mut statement = db.prepare(question)?;
        let columns = statement.column_count();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let mut texts = Vec::new();
            for column in 0..columns {
                texts.push(match row.get_ref(column)? {
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Null => String::new(),
                    other => panic!("{other:?} is not asked for"),
                });
            }
            rows.push(texts);
        }
        Ok(rows)
    }

    /// The file itself, for what only SQLite has.
    pub(crate) fn sqlite(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(self.dir.path().join("portfolio.db"), flags).unwrap();
        db.busy_timeout(SOON).unwrap();
        db
    }

    /// The one number that the question is answered with.
    pub(crate) fn count(&self, question: &str) -> usize {
        self.ask(question)[0][0].parse().unwrap()
    }

    /// An id as the database writes it.
    fn id(&self, gateway: GatewayId) -> String {
        match self.data {
            Data::Sqlite => format!("x'{}'", gateway.uuid().simple()),
            Data::Postgres { .. } => format!("'{}'", gateway.uuid()),
        }
    }

    pub(crate) fn acked(&self, gateway: GatewayId) -> u64 {
        let id = self.id(gateway);
        self.count(&format!(
            "SELECT coalesce(max(acked), 0)
               FROM gateway_state JOIN gateway USING (gateway) WHERE id = {id}"
        )) as u64
    }

    pub(crate) fn alarms(&self) -> Vec<(String, u64, u64)> {
        let rows = self.ask("SELECT code, from_seq, to_seq FROM alarm ORDER BY alarm");
        let alarm =
            |row: Vec<String>| (row[0].clone(), row[1].parse().unwrap(), row[2].parse().unwrap());
        rows.into_iter().map(alarm).collect()
    }

    /// Everything that is stored of a gateway, by the names that its present epoch gives the series.
    pub(crate) fn readings(
        &self,
        gateway: GatewayId,
    ) -> BTreeMap<(u32, i64), (Option<i64>, u32, u64)> {
        let id = self.id(gateway);
        let rows = self.ask(&format!(
            "SELECT series_name.name, ts, value_mantissa, flags, seq
               FROM gateway
               JOIN gateway_state USING (gateway)
               JOIN series_name USING (gateway, epoch_no)
               JOIN readings USING (gateway, series)
              WHERE id = {id}"
        ));
        let number = |text: &String| text.parse::<i64>().unwrap();
        let reading = |row: Vec<String>| {
            let value = (!row[2].is_empty()).then(|| number(&row[2]));
            let key = (row[0].parse().unwrap(), number(&row[1]));
            (key, (value, row[3].parse().unwrap(), row[4].parse().unwrap()))
        };
        rows.into_iter().map(reading).collect()
    }

    /// How many rows there are, whatever they belong to.
    pub(crate) fn rows(&self) -> usize {
        self.count("SELECT count(*) FROM readings")
    }
}

/// A gateway: its store and, while it runs, its uploader.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) identity: watch::Sender<Option<Arc<Identity>>>,
    pub(crate) building: watch::Sender<Arc<Building>>,
    pub(crate) status: watch::Receiver<SyncStatus>,
    pub(crate) hurry: Arc<Notify>,
    /// What it said of whether readings are taken.
    pub(crate) answers: mpsc::Receiver<Sent>,
    sent: mpsc::Sender<Sent>,
    /// A word from here when the portfolio asks something.
    pub(crate) errands: Arc<Notify>,
    pub(crate) way: Way,
    pub(crate) pace: Pace,
    pub(crate) budget: watch::Sender<Option<Budget>>,
    told: watch::Sender<SyncStatus>,
    running: Option<(JoinHandle<()>, CancellationToken)>,
}

/// So fast that a test does not wait for the next round.
///
/// Nothing but readings is on the line, so that a test knows what it cuts.
pub(crate) const FAST: Pace = Pace {
    every: Duration::from_millis(5),
    spread: Duration::ZERO,
    latest: Duration::from_secs(1),
    accounts: None,
};

impl Gateway {
    pub(crate) fn new(identity: Option<Identity>) -> Self {
        let id = identity.as_ref().map_or_else(gateway_id, Identity::gateway);
        let (told, status) = watch::channel(SyncStatus::default());
        let (sent, answers) = mpsc::channel(64);
        Self {
            answers,
            sent,
            id,
            clock: clock(),
            identity: watch::Sender::new(identity.map(Arc::new)),
            building: watch::Sender::new(Arc::new(building())),
            status,
            hurry: Arc::new(Notify::new()),
            errands: Arc::default(),
            way: Way::default(),
            pace: FAST,
            budget: watch::Sender::new(None),
            told,
            running: None,
        }
    }

    pub(crate) fn run(&mut self, store: &Store) {
        let uploader = Uploader {
            outbox: store.outbox(),
            readers: store.readers(),
            building: self.building.subscribe(),
            identity: self.identity.clone(),
            status: self.told.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            pace: self.pace,
            way: self.way.clone(),
            budget: self.budget.subscribe(),
            hurry: Arc::clone(&self.hurry),
            sent: self.sent.clone(),
            errands: Arc::clone(&self.errands),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(uploader.run(shutdown.clone()));
        self.running = Some((task, shutdown));
    }

    /// Stops it wherever it is, as a crash does: what was not heard is not known.
    pub(crate) async fn crash(&mut self) {
        if let Some((task, _)) = self.running.take() {
            task.abort();
            let _aborted = task.await;
        }
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((task, shutdown)) = self.running.take() {
            shutdown.cancel();
            timeout(SOON, task).await.unwrap().unwrap();
        }
    }

    /// Waits until everything that the store has is confirmed, without patience for back-off.
    pub(crate) async fn caught_up(&mut self, outbox: &Outbox) {
        let head = outbox.state().head;
        self.until(|status| status.acked >= head && status.last_error.is_none()).await;
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&SyncStatus) -> bool) -> SyncStatus {
        let hurry = Arc::clone(&self.hurry);
        let mut status = self.status.clone();
        let waiting = async {
            loop {
                if wanted(&status.borrow_and_update()) {
                    return status.borrow().clone();
                }
                // The same trouble twice is no news, so it is asked again without one.
                hurry.notify_one();
                if let Ok(told) = timeout(Duration::from_millis(50), status.changed()).await {
                    told.unwrap();
                }
            }
        };
        let found = timeout(SOON, waiting).await;
        found.unwrap_or_else(|_| panic!("still {:?}", *self.status.borrow()))
    }
}

pub(crate) fn gateway_id() -> GatewayId {
    GatewayId::from_uuid(Uuid::now_v7())
}

pub(crate) fn building() -> Building {
    let meter = |id, name: &str, medium| BuildingMeter { id, name: name.to_owned(), medium };
    Building {
        site: SiteId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0000_0000_0009)),
        name: "Kvernhusgata 4".to_owned(),
        place: Some("Trondheim".to_owned()),
        time_zone: "Europe/Oslo".to_owned(),
        meters: vec![
            meter(HEAT, "Fjernvarme, hovedmåler", Medium::Heat),
            meter(COLD, "Kaldtvann", Medium::Water),
        ],
    }
}

/// Everything that the store has numbered.
pub(crate) async fn everything(outbox: &Outbox) -> Vec<OutboxReading> {
    let mut readings = Vec::new();
    loop {
        let batch = outbox.batch(readings.len() as u64, 10_000).await.unwrap();
        if batch.readings.is_empty() {
            assert_eq!(batch.lost, None);
            return readings;
        }
        readings.extend(batch.readings);
    }
}

/// Nothing lost and nothing doubled: the cloud has what the store has, reading for reading.
#[track_caller]
pub(crate) fn assert_same(stored: &[OutboxReading], cloud: &Cloud, gateway: GatewayId) {
    let mut expected = BTreeMap::new();
    for reading in stored {
        let OutboxReading { seq, series, at_ms, value, quality, origin } = *reading;
        let reason = value.err().map_or(0, metering::NoReading::code);
        let flags = u32::from_le_bytes([reason, quality.code(), origin.code(), 0]);
        // Of two readings of one instant the later number counts.
        expected.insert((series.get(), at_ms), (value.ok(), flags, seq));
    }
    let found = cloud.readings(gateway);
    assert_eq!(found.len(), expected.len(), "rows of the gateway");
    assert_eq!(found, expected);
}

pub(crate) fn series(number: u32) -> SeriesId {
    SeriesId::new(number).unwrap()
}

pub(crate) fn moment(ms: i64) -> Moment {
    store::testing::moment(ms)
}

/// Copies the files of a store, as a copied disk has them.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
