//! One connection, from its CONNECT to its end: MQTT 3.1.1, sections 3 and 4.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, Publish, QoS,
    SubAck, UnsubAck,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::{task, time};

use crate::broker::{Shared, lock};
use crate::hub::{Attached, SessionId};
use crate::retained::Message;
use crate::topic::valid_topic;
use crate::users::User;
use crate::wire::{self, Broken, Reader, Stream};

/// From where a connection comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The gateway's own socket, which nobody else can open.
    Gateway,
    /// The network, or this machine if there is no source.
    Source(Option<IpAddr>),
}

/// Why a connection that had logged in ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it said goodbye")]
    Goodbye,
    #[error("another connection took its place, its user is gone, or the broker stops")]
    Left,
    #[error("it was silent for {0:?}, longer than it had promised")]
    Silent(Duration),
    #[error("it read nothing for {0:?}")]
    Stuck(Duration),
    #[error("it sent what it must not: {0}")]
    Wrong(&'static str),
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Serves what comes over `stream`; `logged_in` gives back what is held until then.
pub(crate) async fn serve(
    stream: impl Stream,
    from: From,
    shared: &Shared,
    logged_in: impl FnOnce() + Send,
) {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reader = Reader::new(reading, LONGEST_CONNECT);
    let connect = match reader.connect().await {
        Ok(Packet::Connect(connect)) => connect,
        Ok(_) => return,
        Err(broken) => return refuse(&mut writing, &broken).await,
    };
    let user = match admit(&connect, from, shared).await {
        Ok(user) => user,
        Err(code) => {
            tracing::debug!(?from, client = connect.client_id, ?code, "refused");
            let refusal = [Packet::ConnAck(ConnAck::new(code, false))];
            drop(wire::send(&mut writing, &refusal).await);
            drop(writing.shutdown().await);
            return;
        }
    };
    logged_in();
    reader.grow(shared.limits.packet);
    let attached = Attached::new(&shared.shutdown);
    let client = match &*connect.client_id {
        "" => format!("?{:032x}", rand::random::<u128>()),
        id => id.to_owned(),
    };
    let (id, present) = {
        let mut hub = lock(&shared.hub);
        hub.counts.logins += 1;
        hub.connect(&user, &client, connect.clean_session, attached.clone())
    };
    if !shared.knows(&user) {
        // The users were changed while it logged in, and it was not there to be hung up on.
        attached.leave.cancel();
    }
    let quiet = match connect.keep_alive {
        0 => None,
        secs => Some(Duration::from_secs(secs.into()) * 3 / 2),
    };
    let (answer, answers) = mpsc::channel(MOST_ANSWERS);
    let reading = Reading { id, user: &user, shared, attached: &attached, answer, told: false };
    let end = tokio::select! {
        end = reading.go_on(&mut reader, quiet) => end,
        end = write(&mut writing, id, &attached, answers, present, shared) => end,
        () = attached.leave.cancelled() => End::Left,
    };
    let dropped = lock(&shared.hub).disconnect(id, &attached);
    tracing::debug!(client, user = user.name(), "connection ended: {end}");
    if dropped > 0 {
        tracing::warn!(client, dropped, "messages were dropped: it reads too slowly");
    }
    if let Some(will) = connect.last_will
        && !matches!(end, End::Goodbye)
        && !shared.shutdown.is_cancelled()
    {
        publish_will(will, &user, shared);
    }
}

/// Says in the words of the other end's version that it is not spoken here.
async fn refuse(writing: &mut (impl AsyncWrite + Unpin), broken: &Broken) {
    tracing::debug!("not a connection: {broken}");
    let refusal: &[u8] = match broken {
        Broken::Version(3) => &[0x20, 2, 0, 1],
        // CONNACK of MQTT 5: reason 0x84, unsupported protocol version, and no properties.
        Broken::Version(_) => &[0x20, 3, 0, 0x84, 0],
        _ => return,
    };
    drop(writing.write_all(refusal).await);
    drop(writing.shutdown().await);
}

/// Who connects, or the code of the refusal.
async fn admit(
    connect: &Connect,
    from: From,
    shared: &Shared,
) -> Result<Arc<User>, ConnectReturnCode> {
    let id = &connect.client_id;
    let nameless = id.is_empty() && !connect.clean_session;
    if nameless || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return Err(ConnectReturnCode::BadClientId);
    }
    let user = match from {
        From::Gateway => Arc::clone(&shared.gateway),
        From::Source(source) => shared.log_in(connect.login.as_ref(), source).await?,
    };
    if let Some(will) = &connect.last_will
        && (valid_topic(&will.topic).is_err() || !user.may_publish(&will.topic))
    {
        return Err(ConnectReturnCode::NotAuthorized);
    }
    if lock(&shared.hub).connections() >= shared.limits.connections {
        tracing::warn!(client = id, "refused: there are too many connections");
        return Err(ConnectReturnCode::ServiceUnavailable);
    }
    Ok(user)
}

fn publish_will(will: LastWill, user: &User, shared: &Shared) {
    let LastWill { topic, message, qos, retain } = will;
    let message = Message { topic: topic.into(), payload: message, qos };
    lock(&shared.hub).publish(message, retain, user.is_gateway());
}

/// The half of a connection that takes what its client sends.
struct Reading<'c> {
    id: SessionId,
    user: &'c User,
    shared: &'c Shared,
    attached: &'c Attached,
    /// Who sends more questions than it takes answers waits here.
    answer: mpsc::Sender<Packet>,
    /// Whether it was said that it may not publish somewhere: once is enough.
    told: bool,
}

impl Reading<'_> {
    async fn go_on<R>(mut self, reader: &mut Reader<R>, quiet: Option<Duration>) -> End
    where
        R: AsyncRead + Unpin,
    {
        loop {
            let packet = match quiet {
                None => reader.packet().await,
                Some(quiet) => match time::timeout(quiet, reader.packet()).await {
                    Ok(packet) => packet,
                    Err(_) => return End::Silent(quiet),
                },
            };
            let answer = match packet.map_err(End::from).and_then(|packet| self.take(packet)) {
                Ok(answer) => answer,
                Err(end) => return end,
            };
            if let Some(answer) = answer
                && self.answer.send(answer).await.is_err()
            {
                return End::Left;
            }
        }
    }

    fn take(&mut self, packet: Packet) -> Result<Option<Packet>, End> {
        let hub = &self.shared.hub;
        Ok(match packet {
            Packet::Publish(publish) => self.publish(publish)?,
            Packet::PubAck(ack) => {
                if lock(hub).acknowledged(self.id, ack.pkid) {
                    self.attached.wake.notify_one();
                }
                None
            }
            Packet::PubRel(release) => {
                lock(hub).released(self.id, release.pkid);
                Some(Packet::PubComp(PubComp::new(release.pkid)))
            }
            Packet::Subscribe(wanted) => {
                let codes = lock(hub).subscribe(self.id, &wanted.filters);
                self.attached.wake.notify_one();
                Some(Packet::SubAck(SubAck::new(wanted.pkid, codes)))
            }
            Packet::Unsubscribe(wanted) if wanted.topics.is_empty() => {
                return Err(End::Wrong("an UNSUBSCRIBE of nothing"));
            }
            Packet::Unsubscribe(wanted) => {
                lock(hub).unsubscribe(self.id, &wanted.topics);
                Some(Packet::UnsubAck(UnsubAck::new(wanted.pkid)))
            }
            Packet::PingReq => Some(Packet::PingResp),
            Packet::Disconnect => return Err(End::Goodbye),
            Packet::Connect(_) => return Err(End::Wrong("a second CONNECT")),
            _ => return Err(End::Wrong("a packet that only a broker sends")),
        })
    }

    /// What may not be published is acknowledged all the same: version 3.1.1 knows no other answer
    /// but hanging up, and a sensor with one wrong topic would lose the others.
    fn publish(&mut self, publish: Publish) -> Result<Option<Packet>, End> {
        let Publish { qos, retain, topic, pkid, payload, .. } = publish;
        if valid_topic(&topic).is_err() {
            return Err(End::Wrong("a message to what is not a topic"));
        }
        let mut hub = lock(&self.shared.hub);
        let first = match qos {
            QoS::ExactlyOnce => {
                let too_many = End::Wrong("too many messages of QoS 2 that it does not end");
                hub.received(self.id, pkid).ok_or(too_many)?
            }
            _ => true,
        };
        if self.user.may_publish(&topic) {
            if first {
                let message = Message { topic: topic.into(), payload, qos };
                hub.publish(message, retain, self.user.is_gateway());
            }
        } else {
            hub.counts.not_allowed += 1;
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(user = self.user.name(), topic, "may not be published by this user");
            }
        }
        Ok(match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Packet::PubAck(PubAck::new(pkid))),
            QoS::ExactlyOnce => Some(Packet::PubRec(PubRec::new(pkid))),
        })
    }
}

/// The half of a connection that sends: answers first, then what its client subscribed to.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    id: SessionId,
    attached: &Attached,
    mut answers: mpsc::Receiver<Packet>,
    present: bool,
    shared: &Shared,
) -> End {
    let hello = ConnAck::new(ConnectReturnCode::Success, present);
    let mut packets = vec![Packet::ConnAck(hello)];
    loop {
        while packets.len() < AT_ONCE
            && let Ok(answer) = answers.try_recv()
        {
            packets.push(answer);
        }
        let more = lock(&shared.hub).pull(id, AT_ONCE, &mut packets);
        if !packets.is_empty() {
            match time::timeout(shared.limits.stuck, wire::send(stream, &packets)).await {
                Ok(Ok(())) => packets.clear(),
                Ok(Err(broken)) => return broken.into(),
                Err(_) => return End::Stuck(shared.limits.stuck),
            }
        }
        if more {
            task::yield_now().await;
            continue;
        }
        tokio::select! {
            answer = answers.recv() => match answer {
                Some(answer) => packets.push(answer),
                None => return End::Left,
            },
            () = attached.wake.notified() => {}
        }
    }
}

/// Of a stranger: name, password and last will.
const LONGEST_CONNECT: usize = 16 << 10;

/// More than any device calls itself.
const LONGEST_ID: usize = 256;

/// Answers that a client has asked for and not taken.
const MOST_ANSWERS: usize = 64;

/// Packets in one write.
const AT_ONCE: usize = 64;
