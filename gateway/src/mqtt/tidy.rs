//! Clears what a broker still retains of meters that are no longer in the configuration.
//!
//! ```text
//! PREFIX/+/#  homeassistant/sensor/+/+/config ──retained──▶ of a meter that is gone? ──▶ empty
//! ```
//!
//! What goes while the gateway is connected is cleared at once. This is for what went while it was
//! not: a broker of others would show it for ever. It has a connection of its own, which ends when
//! the broker has told everything, so that the gateway does not hear its own values all day.
//!
//! **Never true:** what another gateway says is cleared. A prefix belongs to one gateway, and an
//! announcement is of that gateway to whose prefix it points.

use std::time::Duration;

use metering::MeterId;
use mqtt_client::{Client, Event, Lost, Options};
use serde_json::Value;
use tokio::time::{self, Instant};
use uuid::Uuid;
use web_ui::Site;

/// Clears what the broker of `options` retains under `prefix` of meters that `site` does not have.
/// Tells how many topics that were.
///
/// # Errors
///
/// If the connection was lost before it was done.
pub(super) async fn tidy(mut client: Client, site: &Site, prefix: &str) -> Result<usize, Lost> {
    client.subscribe([format!("{prefix}/+/#"), "homeassistant/sensor/+/+/config".to_owned()]);
    let (mut gone, mut answers) = (Vec::new(), 0);
    let (mut quiet_by, end) = (Instant::now() + AT_MOST, Instant::now() + AT_MOST);
    while let Ok(event) = time::timeout_at(quiet_by.min(end), client.next()).await {
        match event? {
            Event::Message { topic, payload, retained: true } => {
                if is_gone(&topic, &payload, site, prefix) && gone.len() < MOST {
                    gone.push(topic);
                }
            }
            Event::Subscribed(_) | Event::NotAllowed(_) => answers += 1,
            Event::Message { .. } | Event::AllTaken => continue,
        }
        if answers >= 2 {
            quiet_by = Instant::now() + QUIET;
        }
    }
    for some in gone.chunks(AT_ONCE) {
        for topic in some {
            client.publish(topic, "", true);
        }
        let taken = async {
            while client.next().await? != Event::AllTaken {}
            Ok(())
        };
        time::timeout(AT_MOST, taken).await.unwrap_or(Err(Lost::Silent))?;
    }
    client.goodbye().await;
    Ok(gone.len())
}

/// As whom the gateway connects for that, besides its other connections.
pub(super) fn options(publishing: Options) -> Options {
    Options { client_id: format!("{}-tidy", publishing.client_id), will: None, ..publishing }
}

/// Whether a retained message is of this gateway, and of a meter that it no longer has.
fn is_gone(topic: &str, payload: &[u8], site: &Site, prefix: &str) -> bool {
    let is_of_none = |meter: Uuid| site.meter(MeterId::from_uuid(meter)).is_none();
    let own = topic.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    if let Some((meter, _)) = own.and_then(|rest| rest.split_once('/')) {
        return meter.len() == 36 && Uuid::try_parse(meter).is_ok_and(is_of_none);
    }
    let node = topic.strip_prefix("homeassistant/sensor/fyrhus_");
    let Some((node, _)) = node.and_then(|rest| rest.split_once('/')) else { return false };
    let config: Option<Value> = serde_json::from_slice(payload).ok();
    let points_here = config
        .as_ref()
        .and_then(|it| it["state_topic"].as_str())
        .is_some_and(|it| it.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')));
    points_here && node.len() == 32 && Uuid::try_parse(node).is_ok_and(is_of_none)
}

/// A broker tells what it retains at once after it has agreed; it has done so when it is silent for
/// so long.
const QUIET: Duration = Duration::from_secs(2);
/// And no longer than this: others may publish there all the time.
const AT_MOST: Duration = Duration::from_secs(30);
/// Of hundreds of meters with tens of registers each; the rest goes the next time.
const MOST: usize = 50_000;
const AT_ONCE: usize = 200;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use broker::{Broker, Limits, NewUser, Users};
    use mqtt_client::Address;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::super::topics::testing;
    use super::*;

    /// Long enough for a machine with much to do.
    const SOON: Duration = Duration::from_mins(1);

    /// A broker of others, and as whom the gateway is known there.
    async fn elsewhere(stop: &CancellationToken) -> Options {
        let mut users = Users::default();
        let all = || vec!["#".parse().unwrap()];
        let new = NewUser { name: "all".into(), publish: all(), subscribe: all() };
        let token = users.set(new, None).unwrap().unwrap();
        let (broker, _) = Broker::open(None, users, Limits::default(), stop.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { broker.listen(listener, None).await });
        Options {
            address: Address::Tcp(address),
            client_id: "fyrhus-test".into(),
            login: Some(("all".into(), token)),
            will: None,
        }
    }

    #[tokio::test]
    async fn what_a_broker_retains_of_a_meter_that_is_gone_is_cleared_and_nothing_else() {
        let stop = CancellationToken::new();
        let gateway = elsewhere(&stop).await;
        let (here, gone) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let site = testing::site(&[MeterId::from_uuid(here)], &["Heat"]);
        let announced = |of: &str| format!("{{\"state_topic\":\"{of}/x/value/energy\"}}");
        let node =
            |meter: Uuid| format!("homeassistant/sensor/fyrhus_{}/energy/config", meter.simple());
        let other = Uuid::from_u128(3);
        let kept = [
            (format!("fyrhus/{here}/value/energy"), "1".to_owned()),
            ("fyrhus/status".to_owned(), "online".to_owned()),
            ("fyrhus/notes/on/something".to_owned(), "1".to_owned()),
            (format!("house-b/{gone}/value/energy"), "1".to_owned()),
            (format!("fyrhus-b/{gone}/value/energy"), "1".to_owned()),
            (node(here), announced("fyrhus")),
            (node(other), announced("house-b")),
        ];
        let stale = [
            (format!("fyrhus/{gone}/value/energy"), "1".to_owned()),
            (format!("fyrhus/{gone}/available"), "online".to_owned()),
            (node(gone), announced("fyrhus")),
        ];
        let before = Options { client_id: "before".into(), ..gateway.clone() };
        let mut client = Client::connect(&before).await.unwrap();
        for (topic, payload) in kept.iter().chain(&stale) {
            client.publish(topic, payload.as_str(), true);
        }
        let taken = async { while client.next().await.unwrap() != Event::AllTaken {} };
        time::timeout(SOON, taken).await.unwrap();
        client.goodbye().await;

        let client = Client::connect(&options(gateway.clone())).await.unwrap();
        assert_eq!(tidy(client, &site, "fyrhus").await.unwrap(), stale.len());

        let after = Options { client_id: "after".into(), ..gateway };
        let mut client = Client::connect(&after).await.unwrap();
        client.subscribe(["#".to_owned()]);
        let mut left = BTreeSet::new();
        let heard = async {
            while left.len() < kept.len() {
                if let Event::Message { topic, retained, .. } = client.next().await.unwrap() {
                    assert!(retained);
                    left.insert(topic);
                }
            }
        };
        time::timeout(SOON, heard).await.unwrap();
        assert_eq!(left, kept.into_iter().map(|(topic, _)| topic).collect());
        stop.cancel();
    }
}
