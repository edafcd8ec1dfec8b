use bytes::Bytes;

use super::*;
use crate::users::{NewUser, Users};

const MOST: Most = Most { topics: 100_000, bytes: 48 << 20 };

fn message(topic: &str, payload: &str) -> Message {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    Message { topic: topic.into(), payload, qos: QoS::AtLeastOnce }
}

fn attached() -> Attached {
    Attached::new(&CancellationToken::new())
}

fn connected(hub: &mut Hub, client: &str, clean: bool) -> (SessionId, Attached) {
    let attached = attached();
    let (id, _) = hub.connect(&Arc::new(User::gateway()), client, clean, attached.clone());
    (id, attached)
}

fn subscribed(hub: &mut Hub, id: SessionId, filter: &str, qos: QoS) {
    let wanted = SubscribeFilter { path: filter.to_owned(), qos };
    let granted = lower(qos, QoS::AtLeastOnce);
    assert_eq!(hub.subscribe(id, &[wanted]), [SubscribeReasonCode::Success(granted)]);
}

/// What there is for a subscriber, as `topic=payload`, with `!` if retained and `*` if again.
fn pulled(hub: &mut Hub, id: SessionId) -> Vec<String> {
    let mut packets = Vec::new();
    while hub.pull(id, 10, &mut packets) {}
    let said = |packet| match packet {
        Packet::Publish(it) => {
            let payload = String::from_utf8(it.payload.into()).unwrap();
            let marks = [(it.retain, "!"), (it.dup, "*")];
            let marks: String = marks.iter().filter(|it| it.0).map(|it| it.1).collect();
            format!("{}={payload}{marks}", it.topic)
        }
        other => panic!("{other:?}"),
    };
    packets.into_iter().map(said).collect()
}

#[test]
fn a_message_goes_to_whom_it_is_for_and_is_retained_if_it_is_to_be() {
    let mut hub = Hub::new(MOST);
    let (one, _one) = connected(&mut hub, "one", true);
    subscribed(&mut hub, one, "a/#", QoS::AtMostOnce);
    hub.publish(message("a/b", "1"), true, false);
    hub.publish(message("c", "1"), false, false);
    hub.publish(message("a/c", "2"), false, false);
    assert_eq!(pulled(&mut hub, one), ["a/b=1", "a/c=2", "a/b=1!"]);
    let (two, _two) = connected(&mut hub, "two", true);
    subscribed(&mut hub, two, "#", QoS::ExactlyOnce);
    assert_eq!(pulled(&mut hub, two), ["a/b=1!"]);
    hub.unsubscribe(two, &["#".to_owned()]);
    hub.publish(message("a/b", ""), true, false);
    assert!(pulled(&mut hub, two).is_empty());
    assert_eq!(hub.retained.topics(), 0, "an empty message clears it");
}

#[test]
fn a_retained_value_is_never_older_than_what_went_before() {
    let mut hub = Hub::new(MOST);
    let (id, _it) = connected(&mut hub, "one", true);
    hub.publish(message("a", "1"), true, false);
    subscribed(&mut hub, id, "a", QoS::AtMostOnce);
    hub.publish(message("a", "2"), true, false);
    assert_eq!(pulled(&mut hub, id), ["a=2", "a=2!"]);
}

#[test]
fn a_slow_subscriber_gets_the_newest_and_what_it_missed_is_counted() {
    let mut hub = Hub::new(MOST);
    let (id, connection) = connected(&mut hub, "slow", true);
    subscribed(&mut hub, id, "#", QoS::AtMostOnce);
    for number in 0..5_000 {
        hub.publish(message("a", &number.to_string()), false, false);
    }
    assert_eq!(hub.counts.dropped, 3_000);
    let got = pulled(&mut hub, id);
    assert_eq!((got.len(), got[0].as_str(), got[1_999].as_str()), (2_000, "a=3000", "a=4999"));
    assert_eq!(hub.disconnect(id, &connection), 3_000);
    assert!(hub.sessions.is_empty());
}

#[test]
fn long_messages_for_a_slow_subscriber_are_bounded_by_their_bytes() {
    let mut hub = Hub::new(MOST);
    let (id, _it) = connected(&mut hub, "slow", true);
    subscribed(&mut hub, id, "#", QoS::AtMostOnce);
    let long = "x".repeat(1 << 20);
    for _ in 0..10 {
        hub.publish(message("a", &long), false, false);
    }
    let session = &hub.sessions[&id];
    assert!(session.queued_bytes <= MOST_QUEUED_BYTES && session.queue.len() == 3);
}

#[test]
fn who_acknowledges_nothing_gets_so_many_and_the_next_after_an_acknowledgement() {
    let mut hub = Hub::new(MOST);
    let (id, _it) = connected(&mut hub, "one", true);
    subscribed(&mut hub, id, "#", QoS::AtLeastOnce);
    for number in 0..100 {
        hub.publish(message("a", &number.to_string()), false, false);
    }
    assert_eq!(pulled(&mut hub, id).len(), MOST_SENT);
    assert!(hub.acknowledged(id, 1) && !hub.acknowledged(id, 1));
    assert_eq!(pulled(&mut hub, id), ["a=64"]);
}

#[test]
fn a_session_that_is_to_be_kept_goes_on_where_it_was() {
    let mut hub = Hub::new(MOST);
    let (id, connection) = connected(&mut hub, "away", false);
    subscribed(&mut hub, id, "a", QoS::AtLeastOnce);
    hub.publish(message("a", "1"), false, false);
    assert_eq!(pulled(&mut hub, id), ["a=1"]);
    hub.disconnect(id, &connection);
    hub.publish(message("a", "2"), false, false);
    let user = Arc::new(User::gateway());
    assert_eq!(hub.connect(&user, "away", false, attached()), (id, true));
    assert_eq!(pulled(&mut hub, id), ["a=1*", "a=2"]);
    let (new, present) = hub.connect(&user, "away", true, attached());
    assert!(new != id && !present);
    assert!(pulled(&mut hub, new).is_empty());
}

#[test]
fn a_second_connection_of_a_client_ends_the_first_and_one_of_another_user_does_not() {
    let mut hub = Hub::new(MOST);
    let mut users = Users::default();
    let new = NewUser { name: "kari".into(), publish: vec![], subscribe: vec![] };
    users.set(new, None).unwrap();
    let (first, connection) = connected(&mut hub, "sensor", true);
    hub.connect(users.get("kari").unwrap(), "sensor", true, attached());
    assert!(!connection.leave.is_cancelled());
    let (second, _it) = connected(&mut hub, "sensor", true);
    assert!(connection.leave.is_cancelled() && first != second);
    hub.disconnect(first, &connection);
    assert_eq!(hub.connections(), 2, "the end of the first does not end the second");
    hub.keep_users(User::is_gateway);
    assert_eq!(hub.connections(), 1);
}

#[test]
fn a_client_that_changes_its_id_each_time_leaves_so_many_sessions_behind() {
    let mut hub = Hub::new(MOST);
    for number in 0..2_000 {
        let (id, connection) = connected(&mut hub, &number.to_string(), false);
        subscribed(&mut hub, id, "a/+", QoS::AtLeastOnce);
        hub.disconnect(id, &connection);
    }
    assert_eq!(hub.sessions.len(), MOST_AWAY);
    assert_eq!(hub.known.len(), MOST_AWAY);
}

#[test]
fn messages_of_qos_2_are_taken_once_and_there_are_so_many() {
    let mut hub = Hub::new(MOST);
    let (id, _it) = connected(&mut hub, "one", true);
    assert_eq!(hub.received(id, 1), Some(true));
    assert_eq!(hub.received(id, 1), Some(false));
    hub.released(id, 1);
    assert_eq!(hub.received(id, 1), Some(true));
    for packet in 2..=1_000 {
        assert_eq!(hub.received(id, packet), Some(true));
    }
    assert_eq!(hub.received(id, 1_001), None);
}
