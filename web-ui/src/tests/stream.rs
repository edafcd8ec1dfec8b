//! Server-sent events.

use axum::body::BodyDataStream;
use futures_util::StreamExt;

use super::*;

/// Reads the events of a stream, each with a short real time-out.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Gateway {
    async fn listen(&self, cookie: &str) -> Events {
        let response = self.ask(request(Method::GET, "/live", cookie, Body::empty())).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body().into_data_stream(), text: String::new() }
    }
}

impl Events {
    /// The next event's name and data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
                };
                let data = serde_json::from_str(field("data: ")).unwrap();
                return (field("event: ").to_owned(), data);
            }
            let chunk = tokio::time::timeout(Duration::from_mins(1), self.body.next());
            let chunk = chunk.await.expect("an event in time").expect("another event").unwrap();
            self.text.push_str(str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn the_first_event_has_every_meter_and_the_next_what_changed() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let mut events = gateway.listen(&gateway.visitor(Role::Operator).await).await;
    let (name, first) = events.next().await;
    assert_eq!((name.as_str(), first["meters"].as_object().unwrap().len()), ("live", 3));
    assert_eq!(first["meters"][HEAT]["values"][1]["value"], "113.5");
    let (name, status) = events.next().await;
    assert_eq!((name.as_str(), &status["clock"]), ("status", &"synced".into()));

    let mut next = all_well();
    next.meters = gateway.live.borrow().meters.clone();
    next.revision = 2;
    let silent = gone_silent(&next.meters[&id(WATER)]);
    next.meters.insert(id(WATER), silent);
    gateway.live.send_replace(Arc::new(next));
    let (_, second) = events.next().await;
    assert_eq!(second["revision"], 2);
    assert_eq!(second["meters"].as_object().unwrap().keys().collect::<Vec<_>>(), [WATER]);
    assert_eq!(second["meters"][WATER]["state"], "silent");
    assert_eq!(second["meters"][WATER]["reason"], "silent");
    assert_eq!(second["meters"][WATER]["values"][0]["value"], "34718.400", "the last ones stay");
}

#[tokio::test]
async fn a_slow_page_gets_the_newest_and_no_backlog() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let mut events = gateway.listen(&gateway.visitor(Role::Wall).await).await;
    events.next().await;
    for revision in 2..=100 {
        gateway.live.send_replace(Arc::new(Live { revision, ..all_well() }));
    }
    assert_eq!(events.next().await.1["revision"], 100);
}

#[tokio::test]
async fn a_status_that_counts_every_answer_is_told_now_and_then() {
    let gateway = Gateway::new();
    let mut events = gateway.listen(&gateway.visitor(Role::Owner).await).await;
    let names = [events.next().await.0, events.next().await.0];
    assert_eq!(names, ["live", "status"]);
    gateway.status.send_replace(Arc::new(status_of_a_good_day()));
    gateway.live.send_replace(Arc::new(all_well()));
    let names = [events.next().await.0, events.next().await.0];
    assert_eq!(names, ["live", "status"], "the status waits its turn");
}

#[tokio::test]
async fn a_page_hears_that_the_line_is_there_when_nothing_changes() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let mut events = gateway.listen(&gateway.visitor(Role::Wall).await).await;
    events.next().await;
    // Only now: the store has answered, and nothing but the stream's own clock is waited for.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    let (name, data) = events.next().await;
    assert_eq!((name.as_str(), data), ("beat", serde_json::json!({})));
}

#[tokio::test]
async fn a_tenant_hears_their_own_meters_and_nothing_of_the_gateway() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let mut events = gateway.listen(&gateway.visitor(Role::Tenant).await).await;
    let (_, first) = events.next().await;
    assert_eq!(first["meters"].as_object().unwrap().keys().collect::<Vec<_>>(), [WATER]);
    gateway.status.send_replace(Arc::new(status_of_a_good_day()));
    gateway.live.send_replace(Arc::new(Live { revision: 2, ..all_well() }));
    let (name, second) = events.next().await;
    assert_eq!((name.as_str(), &second["revision"]), ("live", &2.into()));
}

#[tokio::test]
async fn the_stream_ends_with_the_daemon() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Wall).await;
    let mut events = gateway.listen(&cookie).await;
    events.next().await;
    let Gateway { live, store: _store, _dir: _kept, .. } = gateway;
    drop(live);
    let ended = tokio::time::timeout(Duration::from_mins(1), events.body.next()).await;
    assert!(ended.expect("an end in time").is_none());
}

#[tokio::test]
async fn the_stream_ends_with_the_session_and_no_other_does() {
    let gateway = Gateway::new();
    let (gone, stays) =
        (gateway.visitor(Role::Tenant).await, gateway.visitor(Role::Operator).await);
    let (mut ends, mut goes_on) = (gateway.listen(&gone).await, gateway.listen(&stays).await);
    ends.next().await;
    goes_on.next().await;
    assert_eq!(gateway.delete("/session", &gone).await.said(), "204");
    let ended = tokio::time::timeout(Duration::from_mins(1), ends.body.next()).await;
    assert!(ended.expect("an end in time").is_none());
    gateway.live.send_replace(Arc::new(Live { revision: 2, ..all_well() }));
    let names = [goes_on.next().await.0, goes_on.next().await.0];
    assert!(names.contains(&"live".to_owned()), "{names:?}");
}

#[tokio::test]
async fn there_is_an_end_to_listeners() {
    let gateway = Gateway::new();
    let mut listening = Vec::new();
    for number in 0..8 {
        let cookie = gateway.visitor_called(&format!("operator {number}"), Role::Operator).await;
        for _ in 0..16 {
            listening.push(gateway.listen(&cookie).await);
        }
        assert_eq!(gateway.get("/live", &cookie).await.said(), "503 busy", "one takes no more");
    }
    let cookie = gateway.visitor(Role::Installer).await;
    assert_eq!(gateway.get("/live", &cookie).await.said(), "503 busy");
    listening.pop();
    listening.push(gateway.listen(&cookie).await);
}
