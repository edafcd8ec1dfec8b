//! Several receivers behind one address, on one PostgreSQL.

use std::fs;
use std::sync::Arc;

use metering::Clock;
use portfolio::{Service, StartError};
use reqwest::StatusCode;
use store::testing::known_day;
use sync_wire::{Ack, path};

use crate::support::{Cloud, Gateway, assert_same, everything, gateway_id};
use crate::sync::{batch, post, round};

/// Another receiver of this cloud, in a folder of its own.
async fn another(
    cloud: &Cloud,
    with_its_key: bool,
) -> (tempfile::TempDir, Result<Service, StartError>) {
    let dir = tempfile::tempdir().unwrap();
    if with_its_key {
        let key = "authority.pem";
        fs::copy(cloud.dir.path().join(key), dir.path().join(key)).unwrap();
    }
    let config = portfolio::Config { state: dir.path().to_owned(), ..cloud.config.clone() };
    let service = Service::start(&config, Arc::clone(&cloud.clock) as Arc<dyn Clock>).await;
    (dir, service)
}

fn port(service: &Service) -> u16 {
    service.gateways_url.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_gateway_may_meet_another_receiver_at_each_connection() {
    let (cloud, day) = (Cloud::on_postgres().await, known_day().await.unwrap());
    let (_first, first) = another(&cloud, true).await;
    let (_second, second) = another(&cloud, true).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    cloud.line.leads_to_any(&[port(&first), port(&second)]);

    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    for minute in 0..20 {
        cloud.line.hang_up();
        round(&day.store, minute).await;
        gateway.caught_up(&outbox).await;
    }
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    assert_eq!(cloud.alarms(), []);
    gateway.stop().await;
}

#[tokio::test]
async fn what_reaches_two_receivers_at_once_is_stored_once() {
    let (cloud, day) = (Cloud::on_postgres().await, known_day().await.unwrap());
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let (_folder, second) = another(&cloud, true).await;
    let second = second.unwrap();
    cloud.line.leads_to_any(&[cloud.port(), port(&second)]);

    let (epoch, acked) = (day.store.outbox().epoch(), day.store.outbox().state().acked);
    let rows = cloud.rows();
    for n in 0..20 {
        let after = acked + 6 * n;
        let short = batch(identity.gateway(), epoch, after, &[1, 2, 3]);
        let long = batch(identity.gateway(), epoch, after, &[1, 2, 3, 4, 5, 6]);
        let (short, long) =
            tokio::join!(post(&identity, path::BATCH, short), post(&identity, path::BATCH, long));
        assert_eq!((short.0, long.0), (StatusCode::OK, StatusCode::OK));
        // Whichever came first; what the database says in the end is what it has.
        let told = Ack::read(&short.1).unwrap().acked;
        assert!(told == after + 3 || told == after + 6, "{told}");
        assert_eq!(Ack::read(&long.1).unwrap().acked, after + 6);
        assert_eq!(cloud.acked(identity.gateway()), after + 6);
    }
    assert_eq!(cloud.rows(), rows + 120);
    assert_eq!(cloud.alarms(), []);
}

#[tokio::test]
async fn a_receiver_with_an_authority_of_its_own_does_not_start() {
    let cloud = Cloud::on_postgres().await;
    let (_folder, stranger) = another(&cloud, false).await;
    assert!(matches!(stranger, Err(StartError::OtherAuthority)));
    let (_folder, known) = another(&cloud, true).await;
    known.unwrap().stop().await;
}

#[tokio::test]
async fn the_code_of_any_receiver_makes_the_owner_and_is_spent_for_all() {
    let cloud = Cloud::on_postgres().await;
    let (_folder, second) = another(&cloud, true).await;
    let second = second.unwrap();
    let (first, later) = (cloud.claim_code().unwrap(), second.claim_code.clone().unwrap());
    assert_ne!(first, later);
    let _done_before = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let claim = async |base: &str, code: &str| {
        let body = format!(r#"{{"code":"{code}","name":"kari","password":"riktig hest batteri"}}"#);
        let request = client.post(format!("{base}/api/v1/claim"));
        let request = request.header("content-type", "application/json").body(body);
        request.send().await.unwrap().status().as_u16()
    };
    // Whichever receiver the page happens to come from.
    assert_eq!(claim(&second.people_url, "AAAA-AAAA-AAAA-AAAA").await, 403);
    assert_eq!(claim(&second.people_url, &first).await, 201);
    assert_eq!(claim(&cloud.people_url(), &later).await, 410);
}

#[tokio::test]
async fn every_key_of_what_gateways_sent_begins_with_the_gateway() {
    let cloud = Cloud::on_postgres().await;
    // The directory, of which there is one: whose gateway it is, and by which certificate.
    let others = cloud.ask(
        "SELECT indrelid::regclass, indexrelid::regclass
           FROM pg_index
           JOIN pg_attribute AS gateway ON gateway.attrelid = indrelid AND gateway.attname = 'gateway'
          WHERE indisunique AND indkey[0] <> gateway.attnum
            AND indrelid::regclass::text NOT IN ('gateway', 'certificate')",
    );
    assert_eq!(others, [[""; 0]; 0]);
    let keys = cloud.count(
        "SELECT count(*)
           FROM pg_index
           JOIN pg_attribute AS ts ON ts.attrelid = indrelid AND ts.attname = 'ts'
          WHERE indisunique AND indrelid = 'readings'::regclass AND ts.attnum = ANY (indkey)",
    );
    assert_eq!(keys, 1, "the readings are spread by time as well");
}
