//! The client against the broker beside it; other brokers are asked in the tests of the whole.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Limits, NewUser, Users};
use mqtt_client::{Address, Client, Event, NotConnected, Options, Trust, Will};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_mins(1);

struct Running {
    options: Options,
    shutdown: CancellationToken,
}

/// A broker with the user `fyrhus`, who may do everything below `s/`.
async fn start(tls: Option<(TlsAcceptor, Trust)>) -> Running {
    let mut users = Users::default();
    let below = || vec!["s/#".parse().unwrap()];
    let new = NewUser { name: "fyrhus".into(), publish: below(), subscribe: below() };
    let token = users.set(new, None).unwrap().unwrap();
    let shutdown = CancellationToken::new();
    let (broker, _) = Broker::open(None, users, Limits::default(), shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, address) = match tls {
        Some((acceptor, trust)) => {
            (Some(acceptor), Address::Tls(format!("localhost:{port}"), trust))
        }
        None => (None, Address::Tcp(format!("localhost:{port}"))),
    };
    tokio::spawn(async move { broker.listen(listener, acceptor).await });
    let options = Options {
        address,
        client_id: "test".into(),
        login: Some(("fyrhus".into(), token)),
        will: None,
    };
    Running { options, shutdown }
}

async fn event(client: &mut Client) -> Event {
    time::timeout(SOON, client.next()).await.expect("something happens").unwrap()
}

async fn talk(options: &Options) {
    let mut client = Client::connect(options).await.unwrap();
    client.subscribe(["s/#".to_owned(), "other/#".to_owned()]);
    assert_eq!(event(&mut client).await, Event::Subscribed("s/#".into()));
    assert_eq!(event(&mut client).await, Event::NotAllowed("other/#".into()));
    client.publish("s/øst", "21.5", true);
    let message =
        |retained| Event::Message { topic: "s/øst".into(), payload: "21.5".into(), retained };
    let mut both = vec![event(&mut client).await, event(&mut client).await];
    both.sort_by_key(|it| *it == Event::AllTaken);
    assert_eq!(both, [message(false), Event::AllTaken]);
    let mut later =
        Client::connect(&Options { client_id: "2".into(), ..options.clone() }).await.unwrap();
    later.subscribe(["s/+".to_owned()]);
    let mut both = vec![event(&mut later).await, event(&mut later).await];
    both.sort_by_key(|it| !matches!(it, Event::Subscribed(_)));
    assert_eq!(both, [Event::Subscribed("s/+".into()), message(true)]);
    client.goodbye().await;
}

fn certificate() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

#[tokio::test]
async fn it_talks_over_tcp_and_over_tls() {
    let running = start(None).await;
    talk(&running.options).await;
    running.shutdown.cancel();
    let (acceptor, pem) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let running = start(Some((acceptor, Trust::File(file)))).await;
    talk(&running.options).await;
    running.shutdown.cancel();
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let (acceptor, _) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let (other, empty) = (folder.path().join("other.pem"), folder.path().join("empty.pem"));
    std::fs::write(&other, certificate().1).unwrap();
    std::fs::write(&empty, "").unwrap();
    let running = start(Some((acceptor, Trust::File(other)))).await;
    let error = Client::connect(&running.options).await.unwrap_err();
    assert!(matches!(error, NotConnected::Certificate), "{error:?}");
    let Address::Tls(host, _) = running.options.address.clone() else { unreachable!("it is TLS") };
    let options = Options { address: Address::Tls(host, Trust::File(empty)), ..running.options };
    let error = Client::connect(&options).await.unwrap_err();
    assert!(matches!(error, NotConnected::Trust(_)), "{error:?}");

    let running = start(None).await;
    let wrong =
        Options { login: Some(("fyrhus".into(), "wrong".into())), ..running.options.clone() };
    let error = Client::connect(&wrong).await.unwrap_err();
    assert!(matches!(error, NotConnected::Login), "{error:?}");
    assert!(!format!("{wrong:?}").contains("wrong"), "a password is not shown");

    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = Address::Tcp(web.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        }
    });
    let error = Client::connect(&Options { address: at, ..wrong.clone() }).await.unwrap_err();
    assert!(matches!(error, NotConnected::NoMqtt), "{error:?}");
    for (address, listens) in [
        (Address::Tcp("127.0.0.1:1".into()), true),
        (Address::Tcp("no.invalid:1883".into()), false),
    ] {
        let error = Client::connect(&Options { address, ..wrong.clone() }).await.unwrap_err();
        assert_eq!(matches!(error, NotConnected::NotListening), listens, "{error:?}");
        assert_eq!(matches!(error, NotConnected::Host), !listens, "{error:?}");
    }
}

#[tokio::test]
async fn a_lost_client_has_its_will_told_and_notices_that_the_broker_is_gone() {
    let running = start(None).await;
    let mut watcher = Client::connect(&running.options).await.unwrap();
    watcher.subscribe(["s/#".to_owned()]);
    assert_eq!(event(&mut watcher).await, Event::Subscribed("s/#".into()));
    let will = Will { topic: "s/status".into(), payload: "offline".into() };
    let options = Options { client_id: "2".into(), will: Some(will), ..running.options.clone() };
    drop(Client::connect(&options).await.unwrap());
    let told =
        Event::Message { topic: "s/status".into(), payload: "offline".into(), retained: false };
    assert_eq!(event(&mut watcher).await, told);
    running.shutdown.cancel();
    assert!(time::timeout(SOON, watcher.next()).await.unwrap().is_err());
}
