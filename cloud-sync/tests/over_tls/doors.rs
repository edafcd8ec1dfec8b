//! Who is let in at the gateways' port, and in which language.

use std::process::{Command, Stdio};

use cloud_sync::Identity;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, StatusCode};
use sync_wire::{Refusal, Renew, path};

use crate::support::{Cloud, gateway_id, on_both_databases};
use crate::sync::batch;

on_both_databases! {
    whoever_shows_no_certificate_or_a_foreign_one_gets_nothing,
    a_certificate_off_the_list_opens_no_door,
    an_expired_certificate_opens_the_door_to_its_renewal_alone,
}

/// Everything that a gateway may ask for with a certificate.
const DOORS: [&str; 7] = [
    path::BATCH,
    path::SERIES,
    path::LATEST,
    path::ERRANDS,
    path::BUNDLE,
    path::RENEW,
    "/v1/report/1",
];

/// What a door says: its status, and the refusal if it is one of ours.
async fn knock(client: &Client, identity: &Identity, door: &str) -> (u16, Option<Refusal>) {
    let url = identity.url().join(door).unwrap();
    let request = match door {
        "/v1/report/1" => client.get(url),
        path::RENEW => client.post(url).body(renewal()),
        _ => client.post(url).body(batch(identity.gateway(), 1, 0, &[1])),
    };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, Refusal::read(&response.bytes().await.unwrap()).ok())
}

fn renewal() -> Vec<u8> {
    let request = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap());
    Renew { request: request.unwrap().der().to_vec() }.write()
}

fn client(config: rustls::ClientConfig) -> Client {
    Client::builder().tls_backend_preconfigured(config).build().unwrap()
}

async fn whoever_shows_no_certificate_or_a_foreign_one_gets_nothing(cloud: Cloud) {
    let (identity, other) = (cloud.identity(gateway_id()).await, Cloud::start().await);
    // The identity's text holds its key, its certificate and, last, whom it believes.
    let text = identity.to_text();
    let authority = text.split_inclusive("-----END CERTIFICATE-----\n").nth(1).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let pem =
        <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
            authority.as_bytes(),
        );
    roots.add(pem.unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let nobody = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for door in DOORS {
        let (status, refusal) = knock(&client(nobody.clone()), &identity, door).await;
        assert_eq!(status, 403, "{door}");
        assert!(refusal.unwrap().to_string().contains("it shows no certificate"), "{door}");
    }

    // The certificate of another portfolio, before the right one: not even a handshake.
    let theirs = other.identity(gateway_id()).await.to_text();
    let (theirs, _) = theirs.split_once("-----END CERTIFICATE-----\n").unwrap();
    let theirs = format!("{theirs}-----END CERTIFICATE-----\n{authority}");
    let port = |text: &str, cloud: &Cloud, other: &Cloud| {
        text.replace(&other.line.port().to_string(), &cloud.line.port().to_string())
    };
    let foreign = port(&theirs, &cloud, &other);
    let foreign = Identity::from_text(&foreign).unwrap();
    let foreign_client = client(foreign.client_config().unwrap());
    for door in DOORS {
        let url = foreign.url().join(door).unwrap();
        assert!(foreign_client.post(url).send().await.is_err(), "{door}");
    }
    assert_eq!(cloud.count("SELECT count(*) FROM gateway_state"), 0);
}

async fn a_certificate_off_the_list_opens_no_door(cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let ours = client(identity.client_config().unwrap());
    cloud.ask("UPDATE certificate SET revoked_ms = 1");
    for door in DOORS {
        let (status, refusal) = knock(&ours, &identity, door).await;
        assert_eq!(status, 403, "{door}");
        assert!(refusal.unwrap().to_string().contains("taken off the list"), "{door}");
    }
}

async fn an_expired_certificate_opens_the_door_to_its_renewal_alone(cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let ours = client(identity.client_config().unwrap());
    let now_ms = metering::Clock::now(&*cloud.clock).wall_ms();
    let ended = |days: i64| {
        let ends_ms = now_ms - 24 * 3_600_000 * days;
        cloud.ask(&format!("UPDATE certificate SET ends_ms = {ends_ms}"));
    };
    ended(1);
    for door in DOORS.into_iter().filter(|door| *door != path::RENEW) {
        let (status, refusal) = knock(&ours, &identity, door).await;
        assert_eq!(status, 403, "{door}");
        assert!(refusal.unwrap().to_string().contains("do nothing else"), "{door}");
    }
    ended(181);
    assert_eq!(knock(&ours, &identity, path::RENEW).await.0, 403);
    ended(179);
    assert_eq!(knock(&ours, &identity, path::RENEW).await.0, StatusCode::OK.as_u16());
}

/// Whether openssl gets a handshake in this version of TLS.
fn speaks(port: u16, version: &str) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), version]);
    // An old version is asked for in earnest, and not refused by openssl itself.
    openssl.args(["-cipher", "ALL:@SECLEVEL=0"]).stdin(Stdio::null());
    let said = openssl.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    said.contains("Cipher is TLS_") || said.contains("Cipher is ECDHE")
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_are_spoken_with_in_tls_1_3_and_people_in_1_2_at_least() {
    let mut cloud = Cloud::start().await;
    cloud.down().await;
    cloud.config.people.plain_http = false;
    cloud.up().await;
    let people: u16 = cloud.people_url().rsplit_once(':').unwrap().1.parse().unwrap();
    for (version, to_gateways, to_people) in [
        ("-tls1_3", true, true),
        ("-tls1_2", false, true),
        ("-tls1_1", false, false),
        ("-tls1", false, false),
    ] {
        assert_eq!(speaks(cloud.port(), version), to_gateways, "gateways, {version}");
        assert_eq!(speaks(people, version), to_people, "people, {version}");
    }
}
