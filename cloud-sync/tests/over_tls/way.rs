//! The way to the portfolio: through a proxy, past somebody who is busy, within a month's bytes.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cloud_sync::{Budget, Identity, Proxy, Traffic, Way, enrol};
use metering::Clock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use store::testing::{self, known_day};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::{Cloud, Gateway, SOON, assert_same, everything, gateway_id};
use crate::sync::round;

/// Tinyproxy on a port of loopback, for as long as it is held.
struct Tinyproxy {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Tinyproxy {
    async fn start(settings: &str) -> Self {
        let port = own_postgres::spare_port().unwrap();
        Self::start_at((Ipv4Addr::LOCALHOST, port).into(), settings).await
    }

    async fn start_at(address: SocketAddr, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tinyproxy.conf");
        let port = address.port();
        let mut conf = std::fs::File::create(&file).unwrap();
        writeln!(conf, "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\n{settings}")
            .unwrap();
        let process = Command::new("tinyproxy")
            .args(["-d", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|none| panic!("image/prepare.sh installs tinyproxy: {none}"));
        let there = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, there).await.unwrap();
        Self { process, address, _folder: folder }
    }

    fn named(&self) -> Proxy {
        format!("http://{}", self.address).parse().unwrap()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn through(proxy: Proxy) -> Way {
    Way::new(Some(proxy), Arc::default())
}

#[tokio::test]
async fn everything_goes_through_a_proxy_that_makes_tunnels() {
    let (cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let proxy = Tinyproxy::start("BasicAuth kari hemmelig").await;
    let code = cloud.code("Kvernhusgata 4").await;

    // Who does not say who they are is told what is missing.
    let stranger = through(proxy.named());
    let refused = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &stranger).await;
    let refused = refused.unwrap_err();
    assert!(refused.is_unreachable());
    assert_eq!(
        refused.to_string(),
        format!(
            "the proxy {} makes no tunnel (HTTP status 407): it wants a name and a password, in \
             the file that proxy_login_file names",
            proxy.address
        )
    );

    let login = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(login.path(), "kari:hemmelig\n").unwrap();
    let way = through(Proxy { login_file: Some(login.path().to_owned()), ..proxy.named() });
    let identity = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &way).await.unwrap();
    let mut gateway = Gateway::new(Some(identity));
    gateway.way = way;
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    assert_same(&everything(&outbox).await, &cloud, gateway.id);

    // The proxy goes away and comes back, as proxies do.
    let address = proxy.address;
    drop(proxy);
    cloud.line.hang_up();
    round(&day.store, 0).await;
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("cannot be reached"), "{sentence}");
    let _again = Tinyproxy::start_at(address, "BasicAuth kari hemmelig").await;
    gateway.caught_up(&outbox).await;
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_proxy_is_told() {
    let cloud = Cloud::start().await;
    let code = cloud.code("Kvernhusgata 4").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy: Proxy = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1_024];
            let _asked = stream.read(&mut asked).await;
            let _said = stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await;
        }
    });
    let told = proxy.to_string();
    let refused = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &through(proxy)).await;
    let expected = format!("the proxy {told} makes no tunnel (it does not speak HTTP)");
    assert_eq!(refused.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_taken_up_for_half_the_bytes() {
    let (cloud, day) = (Cloud::start().await, known_day().await.unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    let traffic = Arc::clone(gateway.way.traffic());
    assert_eq!(traffic.handshakes(), (1, 0));
    let before = traffic.bytes();
    cloud.line.hang_up();
    round(&day.store, 0).await;
    gateway.caught_up(&outbox).await;
    assert_eq!(traffic.handshakes(), (2, 1));
    let again = traffic.bytes() - before;
    println!("a connection taken up again, with a batch of five readings: {again} bytes");
    assert!(again < 2_900, "{again} bytes; a handshake from the beginning has 4,000");
    gateway.stop().await;
}

/// Somebody with a certificate of the portfolio's own authority who is not the portfolio: what a
/// load balancer is. It gives `answer` to everybody.
async fn in_front(answer: &'static str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::from_ca_cert_der(authority.der(), key).unwrap();
    let server_key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = params.signed_by(&server_key, &issuer).unwrap();
    let gateway_key = KeyPair::generate().unwrap();
    let gateway = CertificateParams::default().signed_by(&gateway_key, &issuer).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut asked = vec![0; 4_096];
                let _asked = stream.read(&mut asked).await;
                let _said = stream.write_all(answer.as_bytes()).await;
                let _end = stream.shutdown().await;
            });
        }
    });
    let text = format!(
        "fyrhus-identity 1\ngateway {}\nurl https://localhost:{port}\n{}{}{}",
        gateway_id(),
        gateway_key.serialize_pem(),
        gateway.pem(),
        authority.pem()
    );
    Identity::from_text(&text.replace("\r\n", "\n")).unwrap()
}

#[tokio::test]
async fn whoever_is_busy_before_the_portfolio_is_believed_that_and_nothing_else() {
    let day = known_day().await.unwrap();
    for (answer, expected) in [
        (
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow",
            "is busy (HTTP status 429)",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy",
            "is busy (HTTP status 503)",
        ),
        // A 409, a 424 and a 422 that are not in the portfolio's words mean nothing.
        ("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}", "is not a portfolio"),
        ("HTTP/1.1 424 Failed Dependency\r\ncontent-length: 2\r\n\r\n{}", "is not a portfolio"),
        ("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}", "is not a portfolio"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n<html>Sign i", "is not a portfolio"),
    ] {
        let mut gateway = Gateway::new(Some(in_front(answer).await));
        gateway.run(&day.store);
        let status = gateway.until(|status| status.last_error.is_some()).await;
        let sentence = status.last_error.unwrap();
        assert!(sentence.contains(expected), "{sentence}");
        assert_eq!((status.acked, status.parked), (0, 0));
        // That it cannot take readings is the service's own word, and the only one of these.
        let refused = gateway.answers.try_recv().ok().and_then(|it| it.refused);
        assert_eq!(refused, expected.ends_with("503)").then_some(503));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_month_s_bytes_are_kept_and_what_waits_goes_when_there_are_more() {
    let (cloud, day) = (Cloud::start().await, testing::empty().unwrap());
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let now_ms = gateway.clock.now().wall_ms();
    let days_ms = |days: i64| 24 * 3_600_000 * days;
    let budget = |bytes: u64| Budget {
        from_ms: now_ms - days_ms(15),
        until_ms: now_ms + days_ms(15),
        bytes,
        set_aside: 0,
        spent: 0,
        counted_from: 0,
    };
    gateway.budget.send_replace(Some(budget(100_000)));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    // What has been measured costs more than half of the month allows.
    let mut minute = 0;
    let saving = loop {
        round(&day.store, minute).await;
        minute += 1;
        let head = outbox.state().head;
        let settled = |status: &cloud_sync::SyncStatus| {
            status.saves_until_ms.is_some() || status.acked >= head
        };
        let status = gateway.until(settled).await;
        if status.saves_until_ms.is_some() {
            break status;
        }
    };
    let traffic: Arc<Traffic> = Arc::clone(gateway.way.traffic());
    let spent = traffic.bytes();
    // A day in advance, and the batch that reached it.
    assert!((53_000..57_000).contains(&spent), "{spent} bytes by the middle of the month");
    assert!(saving.saves_until_ms.unwrap() > now_ms && saving.last_error.is_none());

    // However much somebody hurries: not a byte.
    round(&day.store, minute).await;
    let head = outbox.state().head;
    gateway.hurry.notify_one();
    gateway.until(|status| status.backlog > 0 && status.saves_until_ms.is_some()).await;
    assert_eq!(traffic.bytes(), spent);
    assert!(cloud.acked(gateway.id) < head);

    gateway.budget.send_replace(Some(budget(1_000_000)));
    gateway.caught_up(&outbox).await;
    assert_same(&everything(&outbox).await, &cloud, gateway.id);
    gateway.stop().await;
}
