//! Everything that can break on the way of a reading, in seeded schedules, with exact counts.
//!
//! ```text
//!  store ─▶ uploader ══▶ line ══▶ receiver ─▶ SQLite or PostgreSQL
//!             │            │         │            │
//!             aborted      cut       kill -9      immediate stop, older backup,
//!             anywhere     anywhere  anywhere     full disk; a copy of the gateway's disk
//! ```
//!
//! A schedule is: some readings are stored, the line is cut after so many bytes or not, somebody
//! dies with it or not, and everything heals. After each of them the portfolio has as many readings
//! as the gateway's store has numbered, and from time to time they are compared one by one.
//!
//! What the gateway itself promises about `kill -9` is that its store survives; that is shown where
//! the daemon is tested. Here its uploader dies, which is all that it does not keep on disk.

use std::io::Write;
use std::sync::Arc;

use metering::Unit;
use own_postgres::OwnPostgres;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::Kind;
use store::testing::{self, COLD, HEAT, KnownDay, MIDNIGHT_MS, known_day, reading};
use tokio::time::timeout;

use crate::support::{
    Cloud, Cut, Gateway, Receiver, SOON, assert_same, copy_dir, everything, gateway_id, moment,
};

/// What `make test` runs; more by `FYRHUS_SCHEDULES` and `FYRHUS_SCHEDULES_POSTGRES`.
const ON_SQLITE: usize = 2_000;
const ON_POSTGRES: usize = 40;

#[tokio::test]
async fn on_sqlite_nothing_is_lost_and_nothing_doubled() {
    let mut world = World::new(Cloud::start().await, None).await;
    world.run(from_environment("FYRHUS_SCHEDULES", ON_SQLITE)).await;
}

#[tokio::test]
async fn on_postgres_nothing_is_lost_and_nothing_doubled() {
    let server = Arc::new(OwnPostgres::start("").unwrap());
    let mut world = World::new(Cloud::on(Arc::clone(&server)).await, Some(server)).await;
    world.run(from_environment("FYRHUS_SCHEDULES_POSTGRES", ON_POSTGRES)).await;
}

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |count| count.parse().unwrap())
}

/// Who dies while a batch is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    Nobody,
    Gateway,
    Receiver,
    Both,
    /// The server of the database, by an immediate stop.
    Server,
}

/// What was done, for the one who reads the test's output.
#[derive(Debug, Default)]
struct Told {
    cuts: u64,
    gateway_died: u32,
    receiver_killed: u32,
    server_stopped: u32,
    restored: u32,
    full: u32,
    copied: u32,
}

struct World {
    cloud: Cloud,
    server: Option<Arc<OwnPostgres>>,
    receiver: Option<Receiver>,
    gateway: Gateway,
    day: KnownDay,
    backup: Option<Vec<u8>>,
    random: StdRng,
    minute: i64,
    told: Told,
}

impl World {
    async fn new(mut cloud: Cloud, server: Option<Arc<OwnPostgres>>) -> Self {
        cloud.down().await;
        let day = known_day().await.unwrap();
        let seed = std::env::var("PROPTEST_RNG_SEED").map_or(20_261_121, |it| it.parse().unwrap());
        let mut world = Self {
            cloud,
            server,
            receiver: None,
            gateway: Gateway::new(None),
            day,
            backup: None,
            random: StdRng::seed_from_u64(seed),
            minute: 0,
            told: Told::default(),
        };
        world.receiver_up();
        world.gateway = Gateway::new(Some(world.cloud.identity(gateway_id()).await));
        world.gateway.run(&world.day.store);
        world.caught_up().await;
        world
    }

    async fn run(&mut self, schedules: usize) {
        for schedule in 1..=schedules {
            match self.random.random_range(0..100) {
                0..2 => self.an_older_backup().await,
                2..5 if self.server.is_none() => self.a_full_disk().await,
                _ => self.a_broken_line().await,
            }
            if schedule % 23 == 11 {
                self.backup = Some(self.cloud.backup());
            }
            if schedule % 500 == 0 || schedule == schedules {
                self.a_copied_gateway().await;
                let stored = everything(&self.day.store.outbox()).await;
                assert_same(&stored, &self.cloud, self.gateway.id);
            }
            let head = self.day.store.outbox().state().head;
            let id = self.gateway.id;
            assert_eq!(self.cloud.acked(id), head, "schedule {schedule}, {:?}", self.told);
            let rows = self.cloud.rows();
            assert_eq!(rows as u64, head, "schedule {schedule}, {:?}", self.told);
        }
        self.told.cuts = *self.cloud.line.cuts().borrow();
        let (head, told) = (self.day.store.outbox().state().head, &self.told);
        let said = format!("{schedules} schedules: {head} readings, each there once; {told:?}\n");
        std::io::stdout().write_all(said.as_bytes()).unwrap();
        self.gateway.stop().await;
    }

    /// The line breaks while somebody dies, or not.
    async fn a_broken_line(&mut self) {
        let afresh = self.random.random_range(0..4) == 0;
        // With its handshake, or on a connection that is open.
        let (up, down) = if afresh { (2_600, 2_000) } else { (900, 300) };
        let cut = match self.random.random_range(0..8) {
            0 => Cut::default(),
            1..4 => Cut { up: Some(self.random.random_range(1..up)), down: None },
            // The very first byte of an answer: it was committed, and nothing of that is heard.
            4 => Cut { up: None, down: Some(1) },
            _ => Cut { up: None, down: Some(self.random.random_range(1..down)) },
        };
        let dies = match self.random.random_range(0..100) {
            0..16 if self.server.is_some() => Dies::Server,
            0..76 => Dies::Nobody,
            76..86 => Dies::Gateway,
            86..95 => Dies::Receiver,
            _ => Dies::Both,
        };
        // With the line, or somewhere on the way.
        let at_once = dies != Dies::Nobody && self.random.random_range(0..3) == 0;

        if afresh {
            self.cloud.line.hang_up();
        }
        let mut cuts = self.cloud.line.cuts();
        self.cloud.line.cut(cut);
        self.measure().await;
        if !at_once {
            self.broken_or_done(&mut cuts).await;
        }
        if matches!(dies, Dies::Gateway | Dies::Both) {
            self.gateway.crash().await;
            self.told.gateway_died += 1;
        }
        match (dies, &self.server) {
            (Dies::Server, Some(server)) => {
                server.crash().unwrap();
                server.start_again().unwrap();
                self.told.server_stopped += 1;
            }
            (Dies::Receiver | Dies::Both, _) => {
                self.kill_receiver();
                self.receiver_up();
            }
            (Dies::Nobody | Dies::Gateway | Dies::Server, _) => {}
        }
        self.cloud.line.cut(Cut::default());
        if matches!(dies, Dies::Gateway | Dies::Both) {
            self.gateway.run(&self.day.store);
        }
        self.caught_up().await;
    }

    /// The portfolio forgets what it had acknowledged, and is given it again.
    async fn an_older_backup(&mut self) {
        if let Some(backup) = self.backup.take() {
            self.kill_receiver();
            self.cloud.restore(&backup);
            self.backup = Some(backup);
            self.receiver_up();
            self.told.restored += 1;
        }
        self.measure().await;
        self.caught_up().await;
    }

    /// The receiver's disk has room for a few kilobytes more, and then for none.
    async fn a_full_disk(&mut self) {
        let log = self.cloud.dir.path().join("portfolio.db-wal");
        let length = std::fs::metadata(log).map_or(0, |file| file.len());
        let receiver = self.receiver.as_ref().unwrap();
        receiver.may_write(Some(length + self.random.random_range(0..9_000)));
        self.measure().await;
        let head = self.day.store.outbox().state().head;
        self.gateway.until(|told| told.acked >= head || told.last_error.is_some()).await;
        self.receiver.as_ref().unwrap().may_write(None);
        self.told.full += 1;
        self.caught_up().await;
    }

    /// Somebody copies the gateway's disk and runs both: the second is refused, and changes nothing.
    async fn a_copied_gateway(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(self.day.dir.path(), copy.path());
        let (twin, _) = testing::open(copy.path(), &self.day.clock).unwrap();
        self.measure().await;
        self.caught_up().await;
        round(&twin, self.minute + 1_000_000).await;
        let mut second = Gateway::new(self.gateway.identity.borrow().as_deref().cloned());
        second.run(&twin);
        let refused = |said: &str| said.contains("one may be a copy of the other's disk");
        second.until(|told| told.last_error.as_deref().is_some_and(refused)).await;
        second.stop().await;
        assert!(self.cloud.alarms().iter().any(|(code, ..)| code == "clone"));
        self.told.copied += 1;
    }

    /// New readings, which the gateway is in a hurry to send.
    async fn measure(&mut self) {
        for _ in 0..self.random.random_range(1..4) {
            round(&self.day.store, self.minute).await;
            self.minute += 1;
        }
        self.gateway.hurry.notify_one();
    }

    /// Either it breaks, or so much fits through that the round is done.
    async fn broken_or_done(&mut self, cuts: &mut tokio::sync::watch::Receiver<u64>) {
        let head = self.day.store.outbox().state().head;
        let done = self.gateway.until(|told| told.acked >= head && told.last_error.is_none());
        let either = async {
            tokio::select! {
                _ = cuts.changed() => {}
                _ = done => {}
            }
        };
        timeout(SOON, either).await.unwrap();
    }

    async fn caught_up(&mut self) {
        self.gateway.caught_up(&self.day.store.outbox()).await;
    }

    fn kill_receiver(&mut self) {
        self.cloud.line.leads_to(1);
        self.cloud.line.hang_up();
        self.receiver.take().unwrap().kill();
        self.told.receiver_killed += 1;
    }

    fn receiver_up(&mut self) {
        let receiver = Receiver::start(self.cloud.dir.path(), self.cloud.database_url().as_deref());
        self.cloud.line.leads_to(receiver.port);
        self.receiver = Some(receiver);
    }
}

/// A meter's answer with two readings, and another's with one.
async fn round(store: &store::Store, minute: i64) {
    let at = moment(MIDNIGHT_MS + 26 * 3_600_000 + 60_000 * minute);
    let heat = vec![
        (reading("energy", 20_000 + minute, 3, Unit::Gigajoule, at), Kind::Counter),
        (reading("flow_temperature", 700, 1, Unit::Celsius, at), Kind::Gauge),
    ];
    let cold = vec![(reading("volume", 900 + minute, 0, Unit::Litre, at), Kind::Counter)];
    let answers = vec![
        testing::answer(HEAT, "67001122", at, heat),
        testing::answer(COLD, "20110815", at, cold),
    ];
    store.writer().commit(answers).await.unwrap();
}
