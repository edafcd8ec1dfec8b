//! A connection to a broker, and what goes over it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::Error as Malformed;
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, Publish, QoS, Subscribe,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{self, Instant};

use crate::stream::{self, Address, Stream};

/// What a client says of itself when it connects.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the broker is.
    pub address: Address,
    /// What it calls itself: another connection with the same name ends this one.
    pub client_id: String,
    /// Its name and password, if it has them.
    pub login: Option<(String, String)>,
    /// What the broker says for it when it is lost.
    pub will: Option<Will>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("client_id", &self.client_id)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

/// A message that the broker retains when a client is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
}

/// A connection to a broker.
pub struct Client {
    reading: ReadHalf<Box<dyn Stream>>,
    writing: WriteHalf<Box<dyn Stream>>,
    read: BytesMut,
    /// What is to be sent; what was sent in part is sent on.
    unsent: BytesMut,
    /// Whether what was sent may still wait in the stream.
    unflushed: bool,
    last_packet: u16,
    subscribing: BTreeMap<u16, Vec<String>>,
    /// What became of the filters of one answer, one by one.
    told: VecDeque<Event>,
    unacknowledged: BTreeSet<u16>,
    received: BTreeSet<u16>,
    ping_at: Instant,
    /// When the answer to the ping that is under way is late.
    answer_by: Option<Instant>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("unsent", &self.unsent.len()).finish_non_exhaustive()
    }
}

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message {
        /// Where it was published.
        topic: String,
        /// What it says.
        payload: Bytes,
        /// It was said before this client asked, and nobody knows when.
        retained: bool,
    },
    /// The broker has everything that was published.
    AllTaken,
    /// The broker gives what this filter names.
    Subscribed(String),
    /// The broker does not.
    NotAllowed(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NotConnected {
    /// The broker's certificate is not vouched for.
    #[error("the broker's certificate is of nobody whom we trust, or of another name")]
    Certificate,
    /// The name has no address.
    #[error("the host name is not known")]
    Host,
    /// Something else went wrong with the connection.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The name and password are wrong, or none were given.
    #[error("the broker does not know this user and password")]
    Login,
    /// Nobody listens there.
    #[error("nobody listens there")]
    NotListening,
    /// Something listens that does not speak MQTT 3.1.1.
    #[error("what answers does not speak MQTT 3.1.1")]
    NoMqtt,
    /// The broker has no room, or is not ready.
    #[error("the broker takes nobody just now")]
    NotNow,
    /// Nothing answered in time.
    #[error("nothing answered within {0:?}")]
    Silent(Duration),
    /// It is not known whom to trust.
    #[error("nobody can be trusted: {0}")]
    Trust(&'static str),
}

/// A connection that is no more.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The other end hung up.
    #[error("the broker hung up")]
    Ended,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// It sent something that is no MQTT.
    #[error("what came is not MQTT 3.1.1")]
    Malformed,
    /// It does not answer.
    #[error("the broker does not answer")]
    Silent,
}

impl Client {
    /// Connects within ten seconds.
    ///
    /// # Errors
    ///
    /// What an installer has to look at.
    pub async fn connect(options: &Options) -> Result<Self, NotConnected> {
        let connecting = Self::connect_at_leisure(options);
        time::timeout(WITHIN, connecting).await.unwrap_or(Err(NotConnected::Silent(WITHIN)))
    }

    async fn connect_at_leisure(options: &Options) -> Result<Self, NotConnected> {
        let stream = stream::open(&options.address).await?;
        let (reading, writing) = tokio::io::split(stream);
        let mut client = Self {
            reading,
            writing,
            read: BytesMut::new(),
            unsent: BytesMut::new(),
            unflushed: false,
            last_packet: 0,
            subscribing: BTreeMap::new(),
            told: VecDeque::new(),
            unacknowledged: BTreeSet::new(),
            received: BTreeSet::new(),
            ping_at: Instant::now() + PING_AFTER,
            answer_by: None,
        };
        let mut connect = Connect::new(options.client_id.as_str());
        connect.keep_alive = KEEP_ALIVE;
        if let Some((user, password)) = &options.login {
            connect.set_login(user.as_str(), password.as_str());
        }
        connect.last_will = options.will.as_ref().map(|will| {
            LastWill::new(will.topic.as_str(), will.payload.as_str(), QoS::AtLeastOnce, true)
        });
        client.send(&Packet::Connect(connect));
        let answer = loop {
            match client.packet() {
                Ok(Some(packet)) => break packet,
                Ok(None) => client.exchange().await.map_err(|_| NotConnected::NoMqtt)?,
                Err(_) => return Err(NotConnected::NoMqtt),
            }
        };
        match answer {
            Packet::ConnAck(ack) => match ack.code {
                ConnectReturnCode::Success => Ok(client),
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                    Err(NotConnected::Login)
                }
                ConnectReturnCode::ServiceUnavailable => Err(NotConnected::NotNow),
                ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::BadClientId => {
                    Err(NotConnected::NoMqtt)
                }
            },
            _ => Err(NotConnected::NoMqtt),
        }
    }

    /// Asks for what `filters` name, with [`Event::Subscribed`] or [`Event::NotAllowed`] for each.
    pub fn subscribe(&mut self, filters: impl IntoIterator<Item = String>) {
        let filters: Vec<String> = filters.into_iter().collect();
        // Brokers bound a packet, and some the filters in it.
        for some in filters.chunks(50) {
            let wanted =
                some.iter().map(|path| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce));
            let mut subscribe = Subscribe::new_many(wanted);
            subscribe.pkid = self.next_packet();
            self.subscribing.insert(subscribe.pkid, some.to_vec());
            self.send(&Packet::Subscribe(subscribe));
        }
    }

    /// Publishes, at least once; retained, so that whoever subscribes later gets it, too.
    ///
    /// It goes out while [`Self::next`] is waited for. Whoever publishes faster than the broker
    /// takes it looks at [`Self::untaken`] first.
    pub fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.retain = retain;
        publish.pkid = self.next_packet();
        self.unacknowledged.insert(publish.pkid);
        self.send(&Packet::Publish(publish));
    }

    /// How many messages the broker has not acknowledged yet.
    pub fn untaken(&self) -> usize {
        self.unacknowledged.len()
    }

    /// What happens next. Pings the broker meanwhile.
    ///
    /// # Errors
    ///
    /// If the connection is no more.
    ///
    /// # Cancellation
    ///
    /// Safe: what was read or sent in part is read or sent on.
    pub async fn next(&mut self) -> Result<Event, Lost> {
        if let Some(event) = self.told.pop_front() {
            return Ok(event);
        }
        loop {
            while let Some(packet) = self.packet()? {
                if let Some(event) = self.take(packet)? {
                    return Ok(event);
                }
            }
            self.exchange().await?;
        }
    }

    /// Says goodbye, so that the broker does not tell the will.
    pub async fn goodbye(mut self) {
        self.send(&Packet::Disconnect);
        let sending = async {
            self.writing.write_all_buf(&mut self.unsent).await?;
            self.writing.shutdown().await
        };
        // Whether it arrives is the broker's loss.
        drop(time::timeout(GOODBYE_WITHIN, sending).await);
    }

    fn next_packet(&mut self) -> u16 {
        loop {
            self.last_packet = self.last_packet.checked_add(1).unwrap_or(1);
            let free = !self.unacknowledged.contains(&self.last_packet)
                && !self.subscribing.contains_key(&self.last_packet);
            if free || self.unacknowledged.len() >= usize::from(u16::MAX) - 1 {
                return self.last_packet;
            }
        }
    }

    fn send(&mut self, packet: &Packet) {
        // Into memory: it fails only for what is longer than any packet of ours.
        drop(packet.write(&mut self.unsent, LONGEST));
    }

    fn packet(&mut self) -> Result<Option<Packet>, Lost> {
        match Packet::read(&mut self.read, LONGEST) {
            Ok(packet) => Ok(Some(packet)),
            Err(Malformed::InsufficientBytes(_)) => Ok(None),
            Err(_) => Err(Lost::Malformed),
        }
    }

    /// Reads some, sends some, or pings.
    async fn exchange(&mut self) -> Result<(), Lost> {
        self.read.reserve(4_096);
        let unsent = !self.unsent.is_empty();
        let deadline = self.answer_by.unwrap_or(self.ping_at);
        tokio::select! {
            read = self.reading.read_buf(&mut self.read) => match read? {
                0 => return Err(Lost::Ended),
                _ => self.answer_by = None,
            },
            sent = write_on(&mut self.writing, &mut self.unsent), if unsent || self.unflushed => {
                sent?;
                self.unflushed = unsent;
                if unsent {
                    self.ping_at = Instant::now() + PING_AFTER;
                }
            }
            () = time::sleep_until(deadline) => {
                if self.answer_by.is_some() {
                    return Err(Lost::Silent);
                }
                self.send(&Packet::PingReq);
                self.answer_by = Some(Instant::now() + ANSWER_WITHIN);
                self.ping_at = Instant::now() + PING_AFTER;
            }
        }
        Ok(())
    }

    fn take(&mut self, packet: Packet) -> Result<Option<Event>, Lost> {
        Ok(match packet {
            Packet::Publish(publish) => self.message(publish),
            Packet::PubAck(ack) => {
                let was = self.unacknowledged.remove(&ack.pkid);
                (was && self.unacknowledged.is_empty()).then_some(Event::AllTaken)
            }
            Packet::PubRel(release) => {
                self.received.remove(&release.pkid);
                self.send(&Packet::PubComp(PubComp::new(release.pkid)));
                None
            }
            Packet::SubAck(ack) => {
                let filters = self.subscribing.remove(&ack.pkid).unwrap_or_default();
                let told =
                    filters.into_iter().zip(ack.return_codes).map(|(filter, code)| match code {
                        SubscribeReasonCode::Success(_) => Event::Subscribed(filter),
                        SubscribeReasonCode::Failure => Event::NotAllowed(filter),
                    });
                self.told.extend(told);
                self.told.pop_front()
            }
            Packet::PingResp => None,
            _ => return Err(Lost::Malformed),
        })
    }

    fn message(&mut self, publish: Publish) -> Option<Event> {
        let Publish { qos, retain, topic, pkid, payload, .. } = publish;
        let first = match qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce => {
                self.send(&Packet::PubAck(PubAck::new(pkid)));
                true
            }
            QoS::ExactlyOnce => {
                self.send(&Packet::PubRec(PubRec::new(pkid)));
                self.received.insert(pkid)
            }
        };
        first.then_some(Event::Message { topic, payload, retained: retain })
    }
}

/// Sends some of `unsent`; if there is none, what waits in the stream.
///
/// # Cancellation
///
/// Safe: what was sent is no longer in `unsent`.
async fn write_on(
    stream: &mut WriteHalf<Box<dyn Stream>>,
    unsent: &mut BytesMut,
) -> io::Result<()> {
    if unsent.is_empty() {
        return stream.flush().await;
    }
    match stream.write_buf(unsent).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

/// A broker in the same building answers in milliseconds, one far away within a second.
const WITHIN: Duration = Duration::from_secs(10);

/// Seconds after which the broker takes us for lost, half as many again at most.
const KEEP_ALIVE: u16 = 60;

/// Sooner than that, with time for a ping to be late.
const PING_AFTER: Duration = Duration::from_secs(40);

const ANSWER_WITHIN: Duration = Duration::from_secs(15);

const GOODBYE_WITHIN: Duration = Duration::from_millis(300);

/// The longest packet that is read: what zigbee2mqtt says of a few hundred devices.
const LONGEST: usize = 4 << 20;
