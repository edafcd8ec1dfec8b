//! A broker on loopback, and a client that says what its test wants said.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use broker::{Broker, Limits, NewUser, Users};
use bytes::BytesMut;
use rumqttc::mqttbytes::Error as Malformed;
use rumqttc::{ConnAck, Connect, ConnectReturnCode, Packet, Publish, QoS, Subscribe};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Long enough for a machine with much to do; nothing waits for so long if all is well.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Anything that carries bytes both ways.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Bytes for S {}

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) broker: Broker,
    pub(crate) address: SocketAddr,
    /// Of the user `sensor`, who may do everything below `s/`.
    pub(crate) token: String,
    shutdown: CancellationToken,
    listening: JoinHandle<()>,
}

impl Running {
    /// One that keeps what is retained in `file`, if there is one.
    pub(crate) async fn start(
        limits: Limits,
        file: Option<PathBuf>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let mut users = Users::default();
        let below = |filter: &str| vec![filter.parse().unwrap()];
        let sensor =
            NewUser { name: "sensor".into(), publish: below("s/#"), subscribe: below("s/#") };
        let token = users.set(sensor, None).unwrap().unwrap();
        let shutdown = CancellationToken::new();
        let (broker, trouble) = Broker::open(file, users, limits, shutdown.clone());
        assert!(trouble.is_none(), "{trouble:?}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listening = {
            let broker = broker.clone();
            tokio::spawn(async move { broker.listen(listener, tls).await })
        };
        Self { broker, address, token, shutdown, listening }
    }

    /// A client that has logged in.
    pub(crate) async fn client(&self, id: &str) -> Client {
        let mut client = Client::over(TcpStream::connect(self.address).await.unwrap());
        assert_eq!(client.log_in(id, Some(&self.token)).await.code, ConnectReturnCode::Success);
        client
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.broker.save().await.unwrap();
        self.shutdown.cancel();
        time::timeout(SOON, self.listening).await.unwrap().unwrap();
    }
}

/// A client.
pub(crate) struct Client {
    stream: Pin<Box<dyn Bytes>>,
    bytes: BytesMut,
}

impl Client {
    pub(crate) fn over(stream: impl Bytes + 'static) -> Self {
        Self { stream: Box::pin(stream), bytes: BytesMut::new() }
    }

    /// Says who it is, with `token` as the password of `sensor`.
    pub(crate) async fn log_in(&mut self, id: &str, token: Option<&str>) -> ConnAck {
        let mut connect = Connect::new(id);
        connect.keep_alive = 600;
        if let Some(token) = token {
            connect.set_login("sensor", token);
        }
        self.send(Packet::Connect(connect)).await;
        match self.next().await {
            Some(Packet::ConnAck(ack)) => ack,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        time::timeout(SOON, self.stream.write_all(&bytes)).await.unwrap().unwrap();
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let mut publish = Publish::new(topic, QoS::AtMostOnce, payload);
        publish.retain = retain;
        self.send(Packet::Publish(publish)).await;
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let mut subscribe = Subscribe::new(filter, qos);
        subscribe.pkid = 1;
        self.send(Packet::Subscribe(subscribe)).await;
    }

    /// The next packet; `None` if the broker hung up.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.bytes, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(Malformed::InsufficientBytes(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
            self.bytes.reserve(4_096);
            let read = time::timeout(SOON, self.stream.read_buf(&mut self.bytes)).await;
            match read.expect("the broker answers") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message, acknowledged if it is to be.
    pub(crate) async fn message(&mut self) -> Publish {
        loop {
            match self.next().await.expect("the broker has not hung up") {
                Packet::Publish(publish) => {
                    if publish.qos == QoS::AtLeastOnce {
                        let ack = rumqttc::PubAck::new(publish.pkid);
                        self.send(Packet::PubAck(ack)).await;
                    }
                    return publish;
                }
                Packet::SubAck(_) | Packet::PubAck(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until the broker has taken everything that was sent.
    pub(crate) async fn settle(&mut self) {
        self.send(Packet::PingReq).await;
        while self.next().await != Some(Packet::PingResp) {}
    }

    /// What comes until the broker hangs up.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = self.bytes.split().to_vec();
        drop(time::timeout(SOON, self.stream.read_to_end(&mut bytes)).await.expect("it hangs up"));
        bytes
    }
}
