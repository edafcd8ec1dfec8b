//! What ends other brokers does not end this one: each case is a measured fault of one of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Client, Running, SOON};
use broker::Limits;
use bytes::BytesMut;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rumqttc::{Connect, ConnectReturnCode, Packet, QoS};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Two ends of a thousand connections, and room for the rest.
fn enough_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8_192), hard).unwrap();
}

/// What of the process is in memory, in kB: of all tests that run now, so it is printed and not judged.
/// The bounds are those of the queues, each with a test beside it.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A server's and a client's end of TLS with a certificate that was made for this.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// It still lets in, takes and gives.
async fn serves(running: &Running) {
    let mut good = running.client("good").await;
    good.subscribe("s/good", QoS::AtMostOnce).await;
    good.publish("s/good", "1", false).await;
    assert_eq!(good.message().await.payload, "1");
}

/// A connection that says CONNECT and is reset at once, as by a sensor at the edge of its Wi-Fi.
async fn connect_and_reset(running: &Running, token: Option<&str>) {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    let mut connect = Connect::new("flaky");
    if let Some(token) = token {
        connect.set_login("sensor", token);
    }
    let mut bytes = BytesMut::new();
    connect.write(&mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_connections_that_are_reset_at_once_end_nothing() {
    let running = Running::start(Limits::default(), None, None).await;
    let start = Instant::now();
    for number in 0..10_000 {
        let token = (number % 2 == 0).then_some(&*running.token);
        connect_and_reset(&running, token).await;
    }
    let took = start.elapsed();
    serves(&running).await;
    let gone = async {
        while running.broker.counts().connections + running.broker.counts().strangers > 1 {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(SOON, gone).await.expect("nothing stays of them");
    println!("10,000 × connect and reset in {took:?}; {:?}", running.broker.counts());
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_idle_sockets_keep_nobody_out() {
    enough_descriptors();
    let (acceptor, connector) = tls();
    for tls in [None, Some(acceptor)] {
        let over = if tls.is_some() { "TLS" } else { "TCP" };
        let running = Running::start(Limits::default(), None, tls.clone()).await;
        let mut idle = Vec::new();
        for _ in 0..1_000 {
            idle.push(TcpStream::connect(running.address).await.unwrap());
        }
        let start = Instant::now();
        let stream = TcpStream::connect(running.address).await.unwrap();
        let mut good = if tls.is_some() {
            let name = ServerName::try_from("localhost").unwrap();
            Client::over(connector.connect(name, stream).await.unwrap())
        } else {
            Client::over(stream)
        };
        let answer = good.log_in("good", Some(&running.token)).await;
        assert_eq!(answer.code, ConnectReturnCode::Success);
        good.settle().await;
        let took = start.elapsed();
        let counts = running.broker.counts();
        assert!(counts.strangers <= Limits::default().strangers, "{counts:?}");
        println!("1,000 idle sockets on {over}: the next client is in after {took:?}");
        drop(idle);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_another_version_and_nonsense_are_answered_as_they_ought_to_be() {
    let running = Running::start(Limits::default(), None, None).await;
    let connect = async || Client::over(TcpStream::connect(running.address).await.unwrap());
    let answer = connect().await.log_in("one", Some("wrong")).await;
    assert_eq!(answer.code, ConnectReturnCode::BadUserNamePassword);
    let answer = connect().await.log_in("one", None).await;
    assert_eq!(answer.code, ConnectReturnCode::NotAuthorized);
    for (sent, answer) in [
        (&b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0"[..], &b"\x20\x03\0\x84\0"[..]),
        (b"\x10\x0e\0\x06MQIsdp\x03\x02\0\x3c\0\0", b"\x20\x02\0\x01"),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03aaaaaaaaa", b""),
        (b"\x10\xff\xff\xff\x7f\0\x04MQTT\x04\x02\0\x3c", b""),
    ] {
        let mut client = connect().await;
        client.send_raw(sent).await;
        assert_eq!(client.rest().await, answer, "{sent:x?}");
    }
    assert_eq!(running.broker.counts().refused, 2);
    serves(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn who_says_nothing_after_connecting_is_hung_up_on() {
    let limits = Limits { login: Duration::from_millis(200), ..Limits::default() };
    let running = Running::start(limits, None, None).await;
    let mut idle = Client::over(TcpStream::connect(running.address).await.unwrap());
    assert!(idle.rest().await.is_empty());
    // Whoever is in stays in, however long it is quiet within what it promised.
    let mut good = running.client("good").await;
    time::sleep(limits.login * 2).await;
    good.settle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_subscriber_gets_all_five_hundred_retained_messages_at_either_quality() {
    let running = Running::start(Limits::default(), None, None).await;
    let mut sensor = running.client("sensor").await;
    for number in 0..500 {
        sensor.publish(&format!("s/{number}/state"), &number.to_string(), true).await;
    }
    sensor.settle().await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut reader = running.client("reader").await;
        reader.subscribe("s/+/state", qos).await;
        let mut got = std::collections::BTreeSet::new();
        while got.len() < 500 {
            let message = reader.message().await;
            assert!(message.retain);
            got.insert(message.topic);
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn sixty_thousand_topics_are_kept_and_told() {
    let running = Running::start(Limits::default(), None, None).await;
    let before = resident();
    let (mut sensor, mut reader) = (running.client("sensor").await, running.client("reader").await);
    let start = Instant::now();
    for number in 0..60_000 {
        sensor.publish(&format!("s/{number}"), "12345678", true).await;
    }
    sensor.settle().await;
    let published = start.elapsed();
    let memory = resident() - before;
    let start = Instant::now();
    reader.subscribe("s/#", QoS::AtLeastOnce).await;
    let mut got = vec![false; 60_000];
    for _ in 0..60_000 {
        let message = reader.message().await;
        let number: usize = message.topic.strip_prefix("s/").unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut got[number], true));
    }
    println!(
        "60,000 retained topics: taken in {published:?} with {memory} kB, given to one subscriber \
         at QoS 1 in {:?}",
        start.elapsed()
    );
    assert_eq!(running.broker.counts().retained, 60_000);
    running.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_costs_its_queue_and_nobody_else_anything() {
    let limits = Limits { stuck: Duration::from_secs(2), ..Limits::default() };
    let running = Running::start(limits, None, None).await;
    let (mut sensor, mut good) = (running.client("sensor").await, running.client("good").await);
    let mut slow = running.client("slow").await;
    slow.subscribe("s/#", QoS::AtMostOnce).await;
    slow.settle().await;
    good.subscribe("s/#", QoS::AtMostOnce).await;
    good.settle().await;
    let before = resident();
    let payload = "x".repeat(10_000);
    for number in 0..5_000 {
        sensor.publish(&format!("s/{number}"), &payload, false).await;
        assert_eq!(good.message().await.topic, format!("s/{number}"));
    }
    let memory = resident() - before;
    println!(
        "50 MB past a subscriber that reads nothing: {memory} kB, {:?}",
        running.broker.counts()
    );
    assert!(running.broker.counts().dropped > 1_000);
    let gone = async {
        while running.broker.counts().connections > 2 {
            sensor.settle().await;
        }
    };
    time::timeout(SOON, gone).await.expect("it is hung up on");
    running.stop().await;
}

#[tokio::test]
async fn there_is_room_for_so_many_clients_and_the_next_is_told() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let running = Running::start(limits, None, None).await;
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(running.client(&number.to_string()).await);
    }
    let mut late = Client::over(TcpStream::connect(running.address).await.unwrap());
    let answer = late.log_in("late", Some(&running.token)).await;
    assert_eq!(answer.code, ConnectReturnCode::ServiceUnavailable);
    clients.pop().unwrap().send(Packet::Disconnect).await;
    let in_again = async {
        loop {
            let mut next = Client::over(TcpStream::connect(running.address).await.unwrap());
            if next.log_in("next", Some(&running.token)).await.code == ConnectReturnCode::Success {
                break;
            }
        }
    };
    time::timeout(SOON, in_again).await.unwrap();
    running.stop().await;
}
