//! A gateway goes to another owner: what opened a door before opens none now, and what was given along is there.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Europe::Oslo;
use cloud_sync::{BookKeeper, Errands, Identity, Shown, SyncError, Way, enrol};
use ledger::Month;
use metering::{Clock, GatewayId};
use portfolio::Quota;
use reqwest::{Client, Method};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use store::testing::{HEAT, KnownDay, MIDNIGHT_MS, known_day};
use sync_wire::{Books, Renew, path};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::books::{checkpoint, running};
use crate::people::Browser;
use crate::support::{Cloud, Gateway, gateway_id, on_both_databases};
use crate::sync::{batch, post, round};

on_both_databases! {
    nothing_that_opened_a_door_before_opens_one_after,
    a_body_that_was_held_back_comes_too_late,
    the_readings_stay_and_the_gateway_begins_with_its_new_owner,
    the_readings_go_along_and_the_evidence_stays,
    what_is_left_behind_counts_for_no_quota,
    all_gateways_of_the_building_go,
    the_operator_says_where_it_goes_and_nobody_gives_it_twice,
}

const PASSWORD: &str = "riktig ku batteri";

/// A building whose gateway has delivered, and who owns the portfolio.
struct Given {
    kari: Browser,
    site: String,
    identity: Identity,
    day: KnownDay,
}

impl Given {
    async fn in_(cloud: &Cloud) -> Self {
        let mut kari = Browser::owner(cloud).await;
        let identity = cloud.identity(gateway_id()).await;
        let day = known_day().await.unwrap();
        deliver(&identity, &day).await;
        let sites: Value = serde_json::from_str(&kari.get("/sites").await).unwrap();
        let site = sites[0]["id"].as_str().unwrap().to_owned();
        Self { kari, site, identity, day }
    }

    async fn site(&mut self, id: &str) -> Value {
        serde_json::from_str(&self.kari.get(&format!("/sites/{id}")).await).unwrap()
    }

    /// Gives the gateway away; where it is then.
    async fn hand_over(&mut self, readings: &str) -> String {
        let path = format!("/sites/{}/handover", self.site);
        let (status, made) =
            self.kari.send(Method::POST, &path, json!({"readings": readings})).await;
        assert_eq!(status, 201, "{made}");
        made["site"].as_str().unwrap().to_owned()
    }

    /// The gateway enrols with a code for this building.
    async fn enrolled(&mut self, cloud: &Cloud, site: &str) -> Identity {
        let path = format!("/sites/{site}/enrol-code");
        let (status, code) = self.kari.send(Method::POST, &path, json!({})).await;
        assert_eq!((status, code["site"].as_str()), (201, Some(site)), "{code}");
        let code = code["code"].as_str().unwrap();
        let gateway = self.identity.gateway();
        enrol(&cloud.url(), code, gateway, &*cloud.clock, &Way::default()).await.unwrap()
    }

    /// How many readings of the heat meter a building shows of the day that was delivered.
    async fn readings(&mut self, site: &str) -> usize {
        let span = "from=2020-01-01T00:00:00Z&until=2030-01-01T00:00:00Z";
        let path = format!("/sites/{site}/meters/{HEAT}/readings?register=energy&{span}");
        let (status, answer) = self.kari.ask(Method::GET, &path, "").await;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["readings"].as_array().unwrap().len()
    }
}

/// Everything that its store has goes up.
async fn deliver(identity: &Identity, day: &KnownDay) {
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
}

async fn nothing_that_opened_a_door_before_opens_one_after(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let (old, site) = (given.identity.clone(), given.site.clone());
    // Somebody owns this building alone, with a program of theirs; somebody has a link to it.
    let grants = json!([{"role": "owner", "site": site}]);
    let per = json!({"name": "per", "grants": grants, "password": PASSWORD});
    assert_eq!(given.kari.send(Method::POST, "/users", per).await.0, 201);
    let mut per = Browser::at(&cloud);
    assert_eq!(per.log_in("per", PASSWORD, None).await.0, 200);
    let token = json!({"name": "report", "scope": []});
    let (_, token) = per.send(Method::POST, "/tokens", token).await;
    let token = token["secret"].as_str().unwrap().to_owned();
    let link = json!({"name": "Revisor", "kind": "view", "site": site});
    let (_, link) = given.kari.send(Method::POST, "/links", link).await;
    let open = json!({"link": link["secret"]});
    let mut guest = Browser::at(&cloud);
    assert_eq!(guest.send(Method::POST, "/session/link", open.clone()).await.0, 200);
    // A code that nobody has used yet, and something that is asked of the gateway.
    let path = format!("/sites/{site}/enrol-code");
    let (_, unused) = given.kari.send(Method::POST, &path, json!({})).await;
    let errands = format!("/sites/{site}/errands");
    let ask = json!({"kind": "diagnosis"});
    assert_eq!(given.kari.send(Method::POST, &errands, ask.clone()).await.0, 201);
    let mut asked = Errands::new(Arc::new(old.clone()), Way::default()).unwrap();
    assert_eq!(asked.exchange(Vec::new()).await.unwrap().len(), 1);

    cloud.clock.pass(Duration::from_secs(1));
    let new = given.hand_over("stay").await;

    // The key: at every door.
    let client =
        Client::builder().tls_backend_preconfigured(old.client_config().unwrap()).build().unwrap();
    for door in [
        path::BATCH,
        path::SERIES,
        path::LATEST,
        path::BOOKS,
        path::ERRANDS,
        path::BUNDLE,
        path::RENEW,
    ] {
        let url = old.url().join(door).unwrap();
        let sent = client.post(url).body(batch(old.gateway(), 1, 0, &[1])).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), 403, "{door}");
    }
    // The session, the token and the link.
    assert_eq!(per.status(Method::GET, "/sites").await, 401);
    let by_token = |path: String| {
        Client::new().get(format!("{}/api/v1{path}", cloud.people_url())).bearer_auth(&token).send()
    };
    assert_eq!(by_token("/sites".to_owned()).await.unwrap().status().as_u16(), 401);
    assert_eq!(guest.status(Method::GET, "/sites").await, 401);
    assert_eq!(guest.send(Method::POST, "/session/link", open).await.0, 403);
    // The code.
    let unused = unused["code"].as_str().unwrap();
    let spent = enrol(&cloud.url(), unused, old.gateway(), &*cloud.clock, &Way::default()).await;
    assert!(spent.unwrap_err().is_code());
    // The errand, also for the gateway at its new owner.
    let fresh = given.enrolled(&cloud, &new).await;
    let mut asked = Errands::new(Arc::new(fresh), Way::default()).unwrap();
    assert_eq!(asked.exchange(Vec::new()).await.unwrap(), []);
    let refused = asked.send_bundle(b"{}").await;
    assert!(matches!(refused, Err(SyncError::Refused(_))), "{refused:?}");
    let (_, stands) = given.kari.send(Method::GET, &errands, json!({})).await;
    assert_eq!(stands["errands"][0]["state"], "withdrawn", "{stands}");
    let (status, answer) = given.kari.send(Method::POST, &errands, ask).await;
    assert_eq!((status, &answer["code"]), (409, &json!("released")));
    // Nor a code for the building that was left.
    let (status, answer) = given.kari.send(Method::POST, &path, json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("released")));

    // Whoever owned it logs in and finds what is theirs, and nothing of the new owner's.
    assert_eq!(per.log_in("per", PASSWORD, None).await.0, 200);
    let theirs = per.get("/sites").await;
    assert!(theirs.contains(&site) && !theirs.contains(&new), "{theirs}");
    assert_eq!(per.status(Method::GET, &format!("/sites/{new}")).await, 404);
}

/// A message whose head is there and whose body is not: the portfolio asks for it.
struct Held {
    line: TlsStream<TcpStream>,
    body: Vec<u8>,
}

impl Held {
    async fn back(identity: &Identity, door: &str, body: Vec<u8>) -> Self {
        let url = identity.url();
        let host = url.host_str().unwrap().to_owned();
        let line = TcpStream::connect((&*host, url.port().unwrap())).await.unwrap();
        let config = Arc::new(identity.client_config().unwrap());
        let name = ServerName::try_from(host.clone()).unwrap();
        let mut line = TlsConnector::from(config).connect(name, line).await.unwrap();
        let length = body.len();
        let head = format!(
            "POST {door} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        line.write_all(head.as_bytes()).await.unwrap();
        let (mut told, go_on) = (Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n");
        while told.len() < go_on.len() {
            told.push(line.read_u8().await.unwrap());
        }
        assert_eq!(told, go_on, "{}", String::from_utf8_lossy(&told));
        Self { line, body }
    }

    /// What is answered to the body.
    async fn sent(mut self) -> String {
        self.line.write_all(&self.body).await.unwrap();
        let mut answer = Vec::new();
        self.line.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

async fn a_body_that_was_held_back_comes_too_late(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let old = given.identity.clone();
    let (epoch, acked) = (given.day.store.outbox().epoch(), cloud.acked(old.gateway()));
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let renew = || Renew { request: request.der().to_vec() }.write();
    let next = || batch(old.gateway(), epoch, acked, &[1, 2]);
    let asked = || {
        Books { gateway: old.gateway(), have: 0, from: 0, entries: Vec::new(), checkpoint: None }
            .write()
    };
    let certificates = || cloud.count("SELECT count(*) FROM certificate");

    // While it is good they are taken, however late.
    let [in_time, early, late, later, latest] = [
        Held::back(&old, path::RENEW, renew()).await,
        Held::back(&old, path::RENEW, renew()).await,
        Held::back(&old, path::RENEW, renew()).await,
        Held::back(&old, path::BATCH, next()).await,
        Held::back(&old, path::LEDGER, asked()).await,
    ];
    for held in [in_time, early] {
        let answer = held.sent().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(certificates(), 3);

    let new = given.hand_over("stay").await;
    for held in [late, later, latest] {
        let answer = held.sent().await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains("its certificate was taken off the list"), "{answer}");
    }
    assert_eq!(certificates(), 3, "no key of before has a certificate");
    assert_eq!(cloud.acked(old.gateway()), acked);
    let good = "SELECT count(*) FROM certificate WHERE revoked_ms IS NULL";
    assert_eq!(cloud.count(good), 0);
    given.enrolled(&cloud, &new).await;
    assert_eq!(cloud.count(good), 1);
}

async fn the_readings_stay_and_the_gateway_begins_with_its_new_owner(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let site = given.site.clone();
    let whole = given.readings(&site).await;
    assert!(whole > 10);
    let acked = cloud.acked(given.identity.gateway());
    let new = given.hand_over("stay").await;
    assert_eq!(given.site(&new).await["state"], "waiting");
    let fresh = given.enrolled(&cloud, &new).await;

    // What was read before is acknowledged and not kept, also where the gateway begins once more.
    round(&given.day.store, 5).await;
    deliver(&fresh, &given.day).await;
    assert_eq!(cloud.readings(fresh.gateway()).len(), 0, "all of it was read before the handover");
    let later = (cloud.clock.now().wall_ms() - MIDNIGHT_MS) / 60_000 - 26 * 60 + 1;
    round(&given.day.store, later).await;
    deliver(&fresh, &given.day).await;
    assert_eq!(given.readings(&site).await, whole, "the readings of the one before are theirs");
    let gateway = fresh.gateway();
    assert!(cloud.acked(gateway) > acked);
    assert_eq!(cloud.readings(gateway).len(), 3, "what is read from then on is the new owner's");
    // An answer that was lost is given again, though nothing is there to compare with.
    let (epoch, acked) = (given.day.store.outbox().epoch(), cloud.acked(gateway));
    for values in [&[1, 2][..], &[1, 2], &[1, 2, 3]] {
        let sent = batch(gateway, epoch, acked, values);
        assert_eq!(post(&fresh, path::BATCH, sent).await.0, 200, "{values:?}");
    }
    assert_eq!(cloud.acked(gateway), acked + 3);
    let alarms: Vec<_> = cloud.alarms().into_iter().map(|alarm| alarm.0).collect();
    assert_eq!(alarms, Vec::<String>::new(), "nobody is taken for a copy");

    let (left, came) = (given.site(&site).await, given.site(&new).await);
    assert_eq!((&left["state"], &left["released"]["who"]), (&json!("released"), &json!("kari")));
    assert_eq!(
        (&left["released"]["readings"], &came["taken_over"]["readings"]),
        (&json!("stay"), &json!("stay"))
    );
    assert_eq!((&came["name"], &came["released"]), (&json!("Kvernhusgata 4"), &Value::Null));
}

async fn the_readings_go_along_and_the_evidence_stays(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let (site, gateway) = (given.site.clone(), given.identity.gateway());
    let now = cloud.clock.now().wall.timestamp();
    let (month, entries) = running(gateway, now, "4711", &[(600, 1_000)]);
    let mut keeper = BookKeeper::new(Arc::new(given.identity.clone()), Way::default()).unwrap();
    let note = checkpoint(gateway, &entries);
    let shown = Shown { from: 0, entries: entries.clone(), checkpoint: Some(note), have: 0 };
    assert_eq!(keeper.exchange(shown).await.unwrap().have, 3);
    let promise = |site: &str| format!("/sites/{site}/promise?month={month}");
    // It is remembered until the hour is over.
    assert!(given.kari.get("/promises").await.contains("4711"));
    let (whole, acked) = (given.readings(&site).await, cloud.acked(gateway));
    let new = given.hand_over("go").await;

    assert_eq!(given.readings(&new).await, whole);
    let gone = given.kari.get(&format!("/sites/{site}")).await;
    assert!(gone.contains(r#""meters_list":[]"#), "{gone}");
    // The contract of before, what came of it and who may be asked about it, stay with who had it.
    let kept: Value = serde_json::from_str(&given.kari.get(&promise(&site)).await).unwrap();
    assert_eq!((&kept["line"], &kept["month"]["counted_s"]), (&json!("4711"), &json!(400)));
    assert_eq!(given.kari.status(Method::GET, &promise(&new)).await, 404);
    // It is evidence, and nobody writes on in it.
    let exclusion = json!({"id": "u1", "kind": "maintenance", "from": "2026-01-01T00:00:00Z",
        "until": "2026-01-01T01:00:00Z", "why": "Bytte av strømforsyning"});
    let said = json!({"step": "acknowledged", "note": "Sett"});
    let says = [
        ("exclusions".to_owned(), exclusion),
        (format!("{month}/progress"), said),
        ("proofs".to_owned(), json!({})),
    ];
    for (what, says) in says {
        let path = format!("/sites/{site}/promise/{what}");
        let (status, answer) = given.kari.send(Method::POST, &path, says).await;
        assert_eq!((status, &answer["code"]), (409, &json!("released")), "{what}");
    }
    let promises: Value = serde_json::from_str(&given.kari.get("/promises").await).unwrap();
    let of: Vec<_> = promises.as_array().unwrap().iter().map(|it| &it["site"]).collect();
    assert_eq!(of, [&json!(site)]);

    // The gateway goes on where it was: with its readings, and with both books.
    let fresh = given.enrolled(&cloud, &new).await;
    round(&given.day.store, 5).await;
    deliver(&fresh, &given.day).await;
    assert!(cloud.acked(gateway) > acked);
    assert!(given.readings(&new).await > whole);
    let mut keeper = BookKeeper::new(Arc::new(fresh), Way::default()).unwrap();
    let shown = Shown { from: 3, entries: Vec::new(), checkpoint: None, have: 1 };
    assert_eq!(keeper.exchange(shown).await.unwrap().have, 3);
    assert_eq!(keeper.own(0).await.unwrap().entries, entries);
    assert_eq!(given.kari.status(Method::GET, &promise(&new)).await, 404);
    assert_eq!(Month::of(now, Oslo).unwrap().to_string(), month);
}

async fn all_gateways_of_the_building_go(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let (site, mut replaced) = (given.site.clone(), given.identity.clone());
    let whole = given.readings(&site).await;
    cloud.clock.pass(Duration::from_secs(1));
    let another = GatewayId::from_uuid(uuid::Uuid::from_u128(8));
    let mut newest = cloud.identity(another).await;
    let shown = |site: &Value| site["gateway"]["id"].as_str().unwrap().to_owned();
    assert_eq!(shown(&given.site(&site).await), another.to_string());
    let good = |of: &Identity| {
        let of = of.clone();
        async move { post(&of, path::RENEW, Vec::new()).await.0.as_u16() != 403 }
    };

    // With the readings, and from there once more, without.
    let mut left = site;
    for (readings, [here, gone]) in [("go", [0, whole]), ("stay", [whole, 0])] {
        assert!(good(&replaced).await && good(&newest).await, "{readings}");
        given.site = left.clone();
        let new = given.hand_over(readings).await;
        assert!(!good(&replaced).await && !good(&newest).await, "{readings}");
        if gone > 0 {
            let left = given.kari.get(&format!("/sites/{left}")).await;
            assert!(left.contains(r#""meters_list":[]"#), "{left}");
            assert_eq!(given.readings(&new).await, gone, "the readings of all go along");
        } else {
            assert_eq!(given.readings(&left).await, here, "the readings of all stay");
            let new = given.kari.get(&format!("/sites/{new}")).await;
            assert!(new.contains(r#""meters_list":[]"#), "{new}");
        }
        assert_eq!(shown(&given.site(&new).await), another.to_string());
        cloud.clock.pass(Duration::from_secs(1));
        given.identity = replaced.clone();
        replaced = given.enrolled(&cloud, &new).await;
        given.identity = newest.clone();
        cloud.clock.pass(Duration::from_secs(1));
        newest = given.enrolled(&cloud, &new).await;
        left = new;
    }
}

async fn what_is_left_behind_counts_for_no_quota(mut cloud: Cloud) {
    cloud.down().await;
    cloud.config.quota = Quota { gateways: Some(2), meters: Some(1), sensors: None };
    cloud.up().await;
    let mut given = Given::in_(&cloud).await;
    let site = given.site.clone();
    let used = async |given: &mut Given| {
        let limits: Value = serde_json::from_str(&given.kari.get("/limits").await).unwrap();
        ["gateways", "meters"].map(|of| limits["quota"][of]["used"].as_u64())
    };
    assert_eq!(used(&mut given).await, [Some(1), Some(2)]);
    assert_eq!(given.site(&site).await["beyond_quota"], 1);

    let new = given.hand_over("stay").await;
    assert_eq!(used(&mut given).await, [Some(1), Some(0)]);
    assert_eq!(given.site(&site).await["beyond_quota"], 0);
    let list: Value = serde_json::from_str(&given.kari.get("/sites").await).unwrap();
    let beyond = list.as_array().unwrap().iter().map(|it| &it["beyond_quota"]);
    assert_eq!(beyond.collect::<Vec<_>>(), [0, 0]);

    let fresh = given.enrolled(&cloud, &new).await;
    let later = (cloud.clock.now().wall_ms() - MIDNIGHT_MS) / 60_000 - 26 * 60 + 1;
    round(&given.day.store, later).await;
    deliver(&fresh, &given.day).await;
    assert_eq!(used(&mut given).await, [Some(1), Some(2)]);
    assert_eq!(given.site(&new).await["beyond_quota"], 1);
}

async fn the_operator_says_where_it_goes_and_nobody_gives_it_twice(cloud: Cloud) {
    let mut given = Given::in_(&cloud).await;
    let site = given.site.clone();
    let mut tag = async |name: &str| {
        let (_, made) = given.kari.send(Method::POST, "/tags", json!({"name": name})).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let [ours, theirs] = [tag("Nordbo").await, tag("Sørbo").await];
    let tags = json!({"tags": [ours]});
    given.kari.send(Method::PUT, &format!("/sites/{site}/tags"), tags).await;
    for (name, role, tag) in
        [("per", "owner", &ours), ("ola", "owner", &theirs), ("eli", "installer", &ours)]
    {
        let user =
            json!({"name": name, "grants": [{"role": role, "tag": tag}], "password": PASSWORD});
        assert_eq!(given.kari.send(Method::POST, "/users", user).await.0, 201);
    }
    let path = format!("/sites/{site}/handover");
    let log_in = async |name: &str| {
        let mut browser = Browser::at(&cloud);
        assert_eq!(browser.log_in(name, PASSWORD, None).await.0, 200);
        browser
    };
    let (mut per, mut ola, mut eli) =
        (log_in("per").await, log_in("ola").await, log_in("eli").await);
    for (wrong, status) in [
        (json!({"readings": "some"}), 400),
        (json!({}), 400),
        (json!({"readings": "stay", "tags": [uuid::Uuid::from_u128(7)]}), 404),
    ] {
        assert_eq!(given.kari.send(Method::POST, &path, wrong.clone()).await.0, status, "{wrong}");
    }
    let (status, answer) =
        per.send(Method::POST, &path, json!({"readings": "stay", "tags": [theirs]})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("not_everywhere")));
    assert_eq!(eli.send(Method::POST, &path, json!({"readings": "stay"})).await.0, 403);
    assert_eq!(ola.send(Method::POST, &path, json!({"readings": "stay"})).await.0, 404);
    let empty = format!("/sites/{}/handover", uuid::Uuid::from_u128(7));
    assert_eq!(given.kari.send(Method::POST, &empty, json!({"readings": "stay"})).await.0, 404);

    let to = json!({"readings": "go", "tags": [theirs]});
    let (status, made) = given.kari.send(Method::POST, &path, to.clone()).await;
    let new = made["site"].as_str().unwrap().to_owned();
    assert_eq!(status, 201);
    assert!(ola.get("/sites").await.contains(&new) && !per.get("/sites").await.contains(&new));
    assert_eq!(per.status(Method::GET, &format!("/sites/{site}")).await, 200);
    let (status, answer) = given.kari.send(Method::POST, &path, to).await;
    assert_eq!((status, &answer["code"]), (409, &json!("released")));

    // The new owner makes the code; a code for the name leads to the new building, too.
    let code = format!("/sites/{new}/enrol-code");
    assert_eq!(ola.send(Method::POST, &code, json!({})).await.0, 201);
    let by_name = json!({"site_name": "Kvernhusgata 4"});
    let (_, by_name) = given.kari.send(Method::POST, "/enrol-codes", by_name).await;
    assert_eq!(by_name["site"], json!(new));
    // And gives it on, to nowhere in particular: that is for who has all of them.
    let on = format!("/sites/{new}/handover");
    let (status, made) = ola.send(Method::POST, &on, json!({"readings": "stay"})).await;
    assert_eq!((status, &made["site"]), (201, &Value::Null));
    let sites: Value = serde_json::from_str(&given.kari.get("/sites").await).unwrap();
    let released = |site: &&Value| site["state"] == "released";
    let sites = sites.as_array().unwrap();
    assert_eq!((sites.len(), sites.iter().filter(released).count()), (3, 2));
}
