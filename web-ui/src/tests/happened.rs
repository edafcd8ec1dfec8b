//! What happened, through the router.

use futures_util::FutureExt as _;
use serde_json::json;
use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn an_alarm_is_told_once_and_has_an_end() {
    let mut gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let open = |trouble: Option<&str>| StoreStatus {
        trouble: trouble.map(str::to_owned),
        ..status_of_a_good_day().store
    };
    let set = |gateway: &Gateway, trouble| {
        gateway.status.send_modify(|status| Arc::make_mut(status).store = open(trouble));
    };
    set(&gateway, Some("the disk is slow"));
    gateway.chronicle.look().await.unwrap();
    gateway.chronicle.look().await.unwrap();
    let told = async |gateway: &Gateway| gateway.get("/events", &operator).await.json();
    let events = told(&gateway).await;
    assert_eq!((events["events"].as_array().unwrap().len(), &events["more"]), (1, &json!(false)));
    let event = &events["events"][0];
    assert_eq!(
        (&event["code"], &event["from"], &event["until"]),
        (&json!("store"), &json!(NOW), &json!(null))
    );

    // Another life of the daemon knows what goes on.
    let begun = Arc::new(Notify::new());
    let handles = gateway.pages.handles.clone();
    gateway.chronicle = crate::Chronicle::new(handles).telling(Arc::clone(&begun));
    gateway.chronicle.look().await.unwrap();
    assert_eq!(told(&gateway).await["events"].as_array().unwrap().len(), 1);
    assert!(begun.notified().now_or_never().is_none(), "it has begun long ago");

    set(&gateway, None);
    gateway.chronicle.look().await.unwrap();
    let events = told(&gateway).await;
    assert_eq!(events["events"][0]["until"], json!(NOW));
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    assert!(begun.notified().now_or_never().is_none(), "an end is no alarm");
    set(&gateway, Some("the disk is full"));
    gateway.chronicle.look().await.unwrap();
    assert!(begun.notified().now_or_never().is_some(), "whoever waits is told of a new one");
}

#[tokio::test]
async fn changes_of_the_configuration_are_events() {
    let mut gateway = Gateway::new();
    let core = gateway.store.core();
    core.save_version("x".into(), "kari".into(), "new meter".into(), None, sign()).await.unwrap();
    gateway.chronicle.look().await.unwrap();
    let owner = gateway.visitor(Role::Owner).await;
    let events = gateway.get("/events", &owner).await.json();
    assert_eq!(
        (&events["events"][0]["code"], &events["events"][0]["params"]["who"]),
        (&json!("configuration"), &json!("kari"))
    );
    assert_eq!(gateway.get("/events?before=1", &owner).await.json()["events"], json!([]));
}
