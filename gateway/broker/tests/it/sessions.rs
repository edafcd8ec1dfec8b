//! What a client may rely on: MQTT 3.1.1 as far as a sensor or a home automation uses it.

use crate::support::{Client, Running};
use broker::{Broker, Limits, NewUser, Users};
use bytes::Bytes;
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Packet, PubRel, Publish, QoS, Subscribe, SubscribeFilter,
    SubscribeReasonCode,
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

async fn subscribed(running: &Running, id: &str, filter: &str) -> Client {
    let mut client = running.client(id).await;
    client.subscribe(filter, QoS::AtLeastOnce).await;
    client.settle().await;
    client
}

#[tokio::test]
async fn a_will_is_told_when_its_client_is_lost_and_not_when_it_says_goodbye() {
    let running = Running::start(Limits::default(), None, None).await;
    let mut reader = subscribed(&running, "reader", "s/#").await;
    for goodbye in [true, false] {
        let mut client = Client::over(TcpStream::connect(running.address).await.unwrap());
        let mut connect = Connect::new("sensor");
        connect.set_login("sensor", running.token.as_str());
        connect.last_will = Some(LastWill::new("s/status", "offline", QoS::AtLeastOnce, true));
        client.send(Packet::Connect(connect)).await;
        client.settle().await;
        if goodbye {
            client.send(Packet::Disconnect).await;
            assert!(client.rest().await.is_empty());
        }
    }
    let mut other = running.client("other").await;
    let will = reader.message().await;
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("s/status", &b"offline"[..]));
    other.publish("s/end", "1", false).await;
    assert_eq!(reader.message().await.topic, "s/end", "there was one will, not two");
    running.stop().await;
}

#[tokio::test]
async fn every_quality_is_taken_once() {
    let running = Running::start(Limits::default(), None, None).await;
    let mut reader = subscribed(&running, "reader", "s/#").await;
    let mut sensor = running.client("sensor").await;
    let message = |qos, pkid| {
        let mut publish = Publish::new("s/a", qos, format!("{pkid}"));
        publish.pkid = pkid;
        Packet::Publish(publish)
    };
    sensor.send(message(QoS::AtLeastOnce, 7)).await;
    let Some(Packet::PubAck(ack)) = sensor.next().await else { panic!("acknowledged") };
    assert_eq!(ack.pkid, 7);
    for _ in 0..2 {
        sensor.send(message(QoS::ExactlyOnce, 8)).await;
        let Some(Packet::PubRec(received)) = sensor.next().await else { panic!("received") };
        assert_eq!(received.pkid, 8);
    }
    sensor.send(Packet::PubRel(PubRel::new(8))).await;
    let Some(Packet::PubComp(complete)) = sensor.next().await else { panic!("complete") };
    assert_eq!(complete.pkid, 8);
    sensor.publish("s/a", "end", false).await;
    for expected in ["7", "8", "end"] {
        assert_eq!(reader.message().await.payload, expected);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_user_sees_and_changes_what_its_rules_say() {
    let running = Running::start(Limits::default(), None, None).await;
    let mut sensor = running.client("sensor").await;
    let filter = |path: &str| SubscribeFilter { path: path.to_owned(), qos: QoS::ExactlyOnce };
    let wanted = ["#", "s/#", "other/a", "s/+/x", "bad#", "$SYS/#"].map(filter);
    let mut subscribe = Subscribe::new_many(wanted);
    subscribe.pkid = 9;
    sensor.send(Packet::Subscribe(subscribe)).await;
    let Some(Packet::SubAck(ack)) = sensor.next().await else { panic!("answered") };
    let (no, yes) = (SubscribeReasonCode::Failure, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    assert_eq!(ack.return_codes, [no, yes, no, yes, no, no]);
    sensor.publish("other/a", "1", true).await;
    sensor.settle().await;
    let counts = running.broker.counts();
    assert_eq!((counts.retained, counts.not_allowed), (0, 5));

    let mut client = Client::over(TcpStream::connect(running.address).await.unwrap());
    let mut connect = Connect::new("sensor2");
    connect.set_login("sensor", running.token.as_str());
    connect.last_will = Some(LastWill::new("other/status", "x", QoS::AtMostOnce, false));
    client.send(Packet::Connect(connect)).await;
    let Some(Packet::ConnAck(ack)) = client.next().await else { panic!("answered") };
    assert_eq!(ack.code, ConnectReturnCode::NotAuthorized, "a will needs a rule, too");

    running.broker.set_users(Users::default());
    assert!(sensor.rest().await.is_empty(), "a user that is gone is hung up on");
    running.stop().await;
}

#[tokio::test]
async fn what_is_retained_outlives_a_restart_and_what_the_gateway_says_itself_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("retained");
    let running = Running::start(Limits::default(), Some(file.clone()), None).await;
    let socket = folder.path().join("own");
    let own = tokio::spawn({
        let (broker, listener) = (running.broker.clone(), UnixListener::bind(&socket).unwrap());
        async move { broker.listen_own(listener).await }
    });
    let mut gateway = Client::over(UnixStream::connect(&socket).await.unwrap());
    assert_eq!(gateway.log_in("fyrhus", None).await.code, ConnectReturnCode::Success);
    gateway.publish("s/own", "1", true).await;
    gateway.settle().await;
    let mut sensor = running.client("sensor").await;
    for (topic, payload) in [("s/a", "1"), ("s/b", "21,5 °C"), ("s/c", "1"), ("s/c", "")] {
        sensor.publish(topic, payload, true).await;
    }
    sensor.settle().await;
    assert_eq!(running.broker.counts().retained, 3);
    running.stop().await;
    own.await.unwrap();

    let running = Running::start(Limits::default(), Some(file.clone()), None).await;
    let mut reader = running.client("reader").await;
    reader.subscribe("s/#", QoS::AtMostOnce).await;
    assert_eq!(reader.message().await.topic, "s/a");
    assert_eq!(reader.message().await.payload, "21,5 °C");
    assert_eq!(running.broker.counts().retained, 2);
    running.stop().await;

    std::fs::write(&file, "nonsense").unwrap();
    let shutdown = CancellationToken::new();
    let (broker, trouble) = Broker::open(Some(file), Users::default(), Limits::default(), shutdown);
    assert!(trouble.unwrap().to_string().contains("is damaged"));
    assert_eq!(broker.counts().retained, 0);
}

#[tokio::test]
async fn a_password_that_a_person_chose_is_verified_once_and_never_twice_the_wrong_way() {
    let mut users = Users::default();
    let password = access::Password::new("riktig hest batteri", &[]).unwrap();
    let kari = NewUser { name: "kari".into(), publish: vec![], subscribe: vec![] };
    users.set(kari, Some(&password)).unwrap();
    let shutdown = CancellationToken::new();
    let (broker, _) = Broker::open(None, users, Limits::default(), shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = tokio::spawn(async move { broker.listen(listener, None).await });
    let (right, wrong) = (ConnectReturnCode::Success, ConnectReturnCode::BadUserNamePassword);
    for (text, code) in [
        ("riktig hest batteri", right),
        ("riktig hest batter", wrong),
        ("riktig hest batteri", right),
        ("", wrong),
    ] {
        let mut client = Client::over(TcpStream::connect(address).await.unwrap());
        let mut connect = Connect::new("home");
        connect.set_login("kari", text);
        client.send(Packet::Connect(connect)).await;
        let Some(Packet::ConnAck(ack)) = client.next().await else { panic!("answered") };
        assert_eq!(ack.code, code, "{text}");
    }
    shutdown.cancel();
    listening.await.unwrap();
}

#[tokio::test]
async fn what_no_client_may_send_ends_its_connection_alone() {
    let running = Running::start(Limits::default(), None, None).await;
    let mut good = running.client("good").await;
    let publish = |topic: &str| {
        Packet::Publish(Publish::from_bytes(topic, QoS::AtMostOnce, Bytes::from_static(b"1")))
    };
    let wrong = [
        publish("s/+"),
        publish("$SYS/a"),
        publish(""),
        Packet::Connect(Connect::new("again")),
        Packet::PingResp,
        Packet::PubRec(rumqttc::PubRec::new(1)),
    ];
    for packet in wrong {
        let mut client = running.client("bad").await;
        client.send(packet.clone()).await;
        assert!(client.rest().await.is_empty(), "{packet:?}");
    }
    good.settle().await;
    running.stop().await;
}
