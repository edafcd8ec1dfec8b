//! What an owner asks of a gateway: fetched, answered and recorded, over TLS.

use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{ErrandKind, ErrandStand, ErrandState, Errands, Identity, SyncError, Way};
use reqwest::Method;
use serde_json::Value;
use store::testing::known_day;
use tokio::time::timeout;
use uuid::Uuid;

use crate::people::Browser;
use crate::support::{Cloud, Gateway, SOON, gateway_id, on_both_databases};

on_both_databases! {
    a_diagnosis_is_asked_for_sent_and_fetched,
    who_takes_an_errand_back_or_waits_too_long_gets_nothing,
    what_nobody_asked_for_is_not_taken,
}

/// Larger than three parts.
static BUNDLE: &[u8] = &[b' '; 150_000];

async fn errands(cloud: &Cloud) -> (Arc<Identity>, Errands, String, Browser) {
    let identity = Arc::new(cloud.identity(gateway_id()).await);
    let mut owner = Browser::owner(cloud).await;
    let sites: Value = serde_json::from_str(&owner.get("/sites").await).unwrap();
    let path = format!("/sites/{}/errands", sites[0]["id"].as_str().unwrap());
    let errands = Errands::new(Arc::clone(&identity), Way::default()).unwrap();
    (identity, errands, path, owner)
}

/// Days go by, and whoever was logged in is so again.
async fn after(cloud: &Cloud, days: u64, owner: &mut Browser) {
    cloud.clock.pass(Duration::from_hours(24 * days));
    let login = r#"{"name":"kari","password":"riktig hest batteri"}"#;
    assert_eq!(owner.ask(Method::POST, "/session", login).await.0, 200);
}

fn stand(id: Uuid, state: ErrandState) -> ErrandStand {
    ErrandStand { id, state, number: 0, text: String::new() }
}

async fn ask(cloud: &Cloud, owner: &mut Browser, path: &str) -> Uuid {
    cloud.clock.pass(Duration::from_millis(1));
    let (status, body) = owner.ask(Method::POST, path, r#"{"kind":"diagnosis"}"#).await;
    assert_eq!(status, 201, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["id"].as_str().unwrap().parse().unwrap()
}

/// The newest errand, and the words of all steps, the first first.
async fn look(owner: &mut Browser, path: &str) -> (Value, Vec<String>) {
    let body: Value = serde_json::from_str(&owner.get(path).await).unwrap();
    let word = |step: &Value| {
        format!("{} {}", step["who"].as_str().unwrap(), step["what"].as_str().unwrap())
    };
    let mut steps: Vec<String> = body["steps"].as_array().unwrap().iter().map(word).collect();
    steps.reverse();
    (body["errands"][0].clone(), steps)
}

async fn a_diagnosis_is_asked_for_sent_and_fetched(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let (identity, mut errands, path, mut owner) = errands(&cloud).await;
    assert_eq!(errands.exchange(Vec::new()).await.unwrap(), []);
    let id = ask(&cloud, &mut owner, &path).await;
    let twice = owner.ask(Method::POST, &path, r#"{"kind":"diagnosis"}"#).await;
    assert!(twice.0 == 409 && twice.1.contains("asked_already"), "{twice:?}");
    assert_eq!(owner.ask(Method::POST, &path, r#"{"kind":"shell"}"#).await.0, 400);

    // With its next readings the gateway hears that there is something to fetch.
    let mut gateway = Gateway::new(Some((*identity).clone()));
    gateway.run(&day.store);
    timeout(SOON, gateway.errands.notified()).await.unwrap();
    gateway.stop().await;

    let asked = errands.exchange(Vec::new()).await.unwrap();
    assert_eq!(asked.len(), 1);
    let (kind, who) = (asked[0].kind, asked[0].who.as_str());
    assert_eq!((asked[0].id, kind, who), (id, Some(ErrandKind::Diagnosis), "kari"));
    let bundle = format!("{path}/{id}/diagnosis.json");
    assert_eq!(owner.ask(Method::GET, &bundle, "").await.0, 404);

    // Nobody has allowed it yet: what comes now is not taken, and that it is done is not believed.
    errands.exchange(vec![stand(id, ErrandState::Waiting)]).await.unwrap();
    let refused = errands.send_bundle(BUNDLE).await;
    assert!(matches!(refused, Err(SyncError::Refused(_))), "{refused:?}");
    errands.exchange(vec![stand(id, ErrandState::Done)]).await.unwrap();
    assert_eq!(look(&mut owner, &path).await.0["state"], "waiting");

    let still = errands.exchange(vec![stand(id, ErrandState::Going)]).await.unwrap();
    assert_eq!(still.len(), 1);
    errands.send_bundle(&BUNDLE[1..]).await.unwrap();
    let (errand, steps) = look(&mut owner, &path).await;
    assert_eq!(errand["state"], "done");
    assert_eq!(steps, ["kari asked", "gateway waiting", "gateway going", "gateway done"]);
    assert_eq!(errands.exchange(vec![stand(id, ErrandState::Done)]).await.unwrap(), []);

    assert_eq!(owner.get(&bundle).await.as_bytes(), &BUNDLE[1..]);
    assert_eq!(look(&mut owner, &path).await.1.last().unwrap(), "kari taken");
    let stranger = Browser::at(&cloud).ask(Method::GET, &bundle, "").await;
    assert_eq!(stranger.0, 401);

    // It is kept for two weeks, and no longer.
    after(&cloud, 14, &mut owner).await;
    assert_eq!(owner.ask(Method::GET, &bundle, "").await.0, 404);
    assert_eq!(look(&mut owner, &path).await.0["kept_until"], Value::Null);
}

async fn who_takes_an_errand_back_or_waits_too_long_gets_nothing(cloud: Cloud) {
    let (_, mut errands, path, mut owner) = errands(&cloud).await;
    let id = ask(&cloud, &mut owner, &path).await;
    errands.exchange(vec![stand(id, ErrandState::Waiting)]).await.unwrap();
    let one = format!("{path}/{id}");
    assert_eq!(owner.ask(Method::DELETE, &one, "").await.0, 204);
    assert_eq!(owner.ask(Method::DELETE, &one, "").await.0, 409);
    let open = errands.exchange(vec![stand(id, ErrandState::Going)]).await.unwrap();
    assert_eq!(open, []);
    let refused = errands.send_bundle(BUNDLE).await;
    assert!(matches!(refused, Err(SyncError::Refused(_))), "{refused:?}");
    assert_eq!(look(&mut owner, &path).await.0["state"], "withdrawn");

    // What is said on site is said here, word for word.
    let id = ask(&cloud, &mut owner, &path).await;
    let said = ErrandStand { text: "not now".to_owned(), ..stand(id, ErrandState::Refused) };
    assert_eq!(errands.exchange(vec![said]).await.unwrap(), []);
    let (errand, _) = look(&mut owner, &path).await;
    assert_eq!((&errand["state"], &errand["said"]), (&"refused".into(), &"not now".into()));

    let id = ask(&cloud, &mut owner, &path).await;
    after(&cloud, 7, &mut owner).await;
    assert_eq!(errands.exchange(vec![stand(id, ErrandState::Going)]).await.unwrap(), []);
    assert_eq!(look(&mut owner, &path).await.0["state"], "expired");
    ask(&cloud, &mut owner, &path).await;
}

async fn what_nobody_asked_for_is_not_taken(cloud: Cloud) {
    let (_, mut errands, path, mut owner) = errands(&cloud).await;
    let refused = errands.send_bundle(BUNDLE).await;
    assert!(matches!(refused, Err(SyncError::Refused(_))), "{refused:?}");
    let id = ask(&cloud, &mut owner, &path).await;

    cloud.clock.pass(Duration::from_secs(1));
    // Another gateway knows the errand's id and has no part in it.
    let other = Arc::new(cloud.identity(gateway_id()).await);
    let mut other = Errands::new(other, Way::default()).unwrap();
    assert_eq!(other.exchange(vec![stand(id, ErrandState::Going)]).await.unwrap(), []);
    assert!(matches!(other.send_bundle(BUNDLE).await, Err(SyncError::Refused(_))));

    // The site has the other gateway now, and what was asked of the first stays with it.
    assert_eq!(owner.ask(Method::DELETE, &format!("{path}/{id}"), "").await.0, 404);
    assert_eq!(errands.exchange(Vec::new()).await.unwrap().len(), 1);
}
