//! What an owner asks of a gateway: fetched, answered and recorded, over TLS.

use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{
    ErrandKind, ErrandStand, ErrandState, Errands, Identity, KeyValue, SignedChange, SyncError, Way,
};
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
    a_change_is_signed_for_one_gateway_and_its_record_tells_the_versions,
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

async fn a_change_is_signed_for_one_gateway_and_its_record_tells_the_versions(cloud: Cloud) {
    let (identity, mut errands, path, mut owner) = errands(&cloud).await;
    let name = r#"{"section":"site","key":"name","text":"New"}"#;
    for wrong in [
        r#"{"kind":"change"}"#.to_owned(),
        r#"{"kind":"dry_run","changes":[]}"#.to_owned(),
        format!(r#"{{"kind":"change","changes":[{name}]}}"#),
        format!(r#"{{"kind":"change","changes":[{name}],"base":0}}"#),
        format!(r#"{{"kind":"change","changes":[{name}],"base":1,"within_s":9}}"#),
        format!(r#"{{"kind":"dry_run","changes":[{name}],"base":1}}"#),
        format!(r#"{{"kind":"diagnosis","changes":[{name}]}}"#),
        format!(r#"{{"kind":"dry_run","changes":[{}]}}"#, [name; 25].join(",")),
        format!(r#"{{"kind":"dry_run","changes":[{}]}}"#, name.replace("site", &"x".repeat(65))),
        r#"{"kind":"dry_run","changes":[{"section":"","key":"name"}]}"#.to_owned(),
        r#"{"kind":"dry_run","changes":[{"section":"a","key":"b","text":"c","number":1}]}"#.into(),
    ] {
        let refused = owner.ask(Method::POST, &path, &wrong).await;
        assert!(refused.0 == 400 && refused.1.contains("malformed"), "{wrong}: {refused:?}");
    }
    let number = r#"{"section":"meter","id":"m1","key":"poll_every_secs","number":900}"#;
    let change = format!(r#"{{"kind":"change","changes":[{name},{number}],"base":7}}"#);
    let asked = owner.ask(Method::POST, &path, &change).await;
    assert_eq!(asked.0, 201, "{asked:?}");
    cloud.clock.pass(Duration::from_millis(1));
    let dry_run = r#"{"kind":"dry_run","changes":[{"section":"site","key":"place"}]}"#;
    assert_eq!(owner.ask(Method::POST, &path, dry_run).await.0, 201);

    let asked = errands.exchange(Vec::new()).await.unwrap();
    let kinds: Vec<_> = asked.iter().filter_map(|it| it.kind).collect();
    assert_eq!(kinds, [ErrandKind::Change, ErrandKind::DryRun], "as they were asked");
    let signed = SignedChange::read(&asked[0].body).unwrap();
    let document = identity.signed_change(&signed).unwrap();
    assert_eq!((document.errand, document.base, document.within_s), (asked[0].id, Some(7), 600));
    assert_eq!(document.changes[1].value, Some(KeyValue::Number(900)));
    for at in [40, signed.document.len() - 1] {
        let mut forged = signed.clone();
        forged.document[at] ^= 1;
        assert_eq!(identity.signed_change(&forged), None, "byte {at}");
    }

    let lines = "[site]\n+ name = \"New\"";
    let of = |state, number, text: &str| ErrandStand {
        number,
        text: text.to_owned(),
        ..stand(asked[0].id, state)
    };
    let of_both =
        vec![of(ErrandState::Waiting, 7, lines), stand(asked[1].id, ErrandState::Refused)];
    errands.exchange(of_both).await.unwrap();
    errands.exchange(vec![of(ErrandState::Going, 7, lines)]).await.unwrap();
    // What it says nothing new of stays.
    errands.exchange(vec![of(ErrandState::Done, 8, "")]).await.unwrap();
    let body: Value = serde_json::from_str(&owner.get(&path).await).unwrap();
    let done = &body["errands"][1];
    assert_eq!((&done["state"], &done["said"]), (&"done".into(), &lines.into()), "{body}");
    assert_eq!((&done["version"], &done["changes"][1]["number"]), (&8.into(), &900.into()));
    let mut details: Vec<_> = body["steps"].as_array().unwrap().iter().collect();
    details.retain(|it| it["errand"] == done["id"]);
    let details: Vec<_> = details.iter().rev().map(|it| it["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["", "v7", "v7", "v8"]);

    let other = cloud.identity(gateway_id()).await;
    assert_eq!(other.signed_change(&signed), None, "it is for another gateway");
}
