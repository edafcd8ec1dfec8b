//! However many look at the pages, or hold connections open and say nothing: the meters are read as
//! planned.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "riser"
kind = "mbus"
poll_every_secs = 10

[[meter]]
name = "Heat"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
[[meter]]
name = "Water"
bus = "riser"
address = 2
device = "cold-water"
place = "cold-flats"
"#;

const EVERY: i64 = 10;
const SLOW: usize = 1_000;
const DASHBOARDS: usize = 100;
/// One visitor has so many places.
const OF_ONE: usize = 10;
/// How often each meter has to be read while the crowd is there.
const ROUNDS: usize = 4;

#[tokio::test]
async fn a_crowd_costs_the_pollers_nothing() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let home = Home::new().unwrap();
    let _building = Building::start(&home, BUILDING).unwrap();
    let gateway = home.start().await.unwrap();
    let meters = gateway
        .until("all answer", "meters", |meters| {
            meters.as_array().is_some_and(|all| all.iter().all(|meter| meter["state"] == "ok"))
        })
        .await
        .unwrap();

    let mut dashboards = Vec::new();
    for _ in 0..DASHBOARDS / OF_ONE {
        let link = json!({"name": "a guest", "kind": "view"});
        let made = gateway.done(gateway.request(Method::POST, "links").json(&link)).await.unwrap();
        for _ in 0..OF_ONE {
            dashboards.push(dashboard(&gateway, &made["secret"]).await);
        }
    }
    let slow = slow(&gateway).await;
    let began = now(&gateway).await;

    // The first dashboard tells when each meter was read often enough; the others are read as well,
    // as browsers do.
    let mut looking = dashboards.split_off(1);
    let others = tokio::spawn(async move {
        loop {
            for other in &mut looking {
                if other.chunk().await.unwrap().is_none() {
                    return;
                }
            }
        }
    });
    let mut seen: BTreeMap<String, Vec<DateTime<Utc>>> = BTreeMap::new();
    let mut text = String::new();
    while seen.len() < 2 || seen.values().any(|at| at.len() < ROUNDS) {
        let chunk = dashboards[0].chunk().await.unwrap().expect("the stream goes on");
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((event, rest)) = text.split_once("\n\n") {
            note(event, began, &mut seen);
            text = rest.to_owned();
        }
    }
    let ended = now(&gateway).await;
    others.abort();
    drop((slow, dashboards));

    for meter in meters.as_array().unwrap() {
        let [id, register] =
            [&meter["id"], &meter["main"]["register"]].map(|it| it.as_str().unwrap());
        let readings = gateway
            .until_readings("those of the crowd are stored", id, register, |readings| {
                readings
                    .first()
                    .is_some_and(|newest| at(newest) >= ended - TimeDelta::seconds(EVERY))
            })
            .await
            .unwrap();
        let mut times: Vec<_> =
            readings.iter().map(at).filter(|it| (began..=ended).contains(it)).collect();
        times.sort();
        assert!(times.len() >= ROUNDS, "{}: {times:?}", meter["name"]);
        assert!(
            readings.iter().all(|it| !it["value"].is_null()),
            "{}: {readings:#?}",
            meter["name"]
        );
        for pair in times.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart < TimeDelta::seconds(2 * EVERY), "one was left out: {pair:?}");
        }
    }
}

/// The live values of a browser that came by the link.
async fn dashboard(gateway: &Gateway, secret: &Value) -> Response {
    let url = gateway.ready["http"].as_str().unwrap();
    let browser = Client::builder().cookie_store(true).build();
    let browser = browser.unwrap();
    let link = json!({ "link": secret });
    let open = browser.post(format!("{url}/api/v1/session/link")).json(&link).header("Origin", url);
    let entered = open.send().await.unwrap();
    assert!(entered.status().is_success(), "{}", entered.text().await.unwrap());
    let live = browser.get(format!("{url}/api/v1/live")).send().await.unwrap();
    assert!(live.status().is_success(), "{}", live.text().await.unwrap());
    live
}

/// Connections that have begun a request and never go on.
async fn slow(gateway: &Gateway) -> Vec<TcpStream> {
    let address = gateway.ready["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
        slow.push(stream);
    }
    slow
}

/// Notes when each meter of a `live` event was asked, if it was after `began`.
fn note(event: &str, began: DateTime<Utc>, seen: &mut BTreeMap<String, Vec<DateTime<Utc>>>) {
    let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { return };
    let Ok(data) = serde_json::from_str::<Value>(data) else { return };
    for (id, meter) in data["meters"].as_object().into_iter().flatten() {
        let at = at(meter);
        let all = seen.entry(id.clone()).or_default();
        if at > began && all.last() != Some(&at) {
            all.push(at);
        }
    }
}

/// By the gateway's clock.
async fn now(gateway: &Gateway) -> DateTime<Utc> {
    let commission = gateway.get("commission").await.unwrap();
    commission["now"].as_str().unwrap().parse().unwrap()
}

fn at(value: &Value) -> DateTime<Utc> {
    value["at"].as_str().unwrap().parse().unwrap()
}
