//! What all connections share: sessions, subscriptions, retained values. No I/O, no clock.
//!
//! It stands behind one lock, which is held for a message or two and never across a wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rumqttc::{Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::broker::Counts;
use crate::retained::{Full, Message, Most, Next, Retained, Walk};
use crate::topic::Filter;
use crate::tree::Tree;
use crate::users::User;

/// Which session, for as long as the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// Sessions, subscriptions, retained values.
#[derive(Debug)]
pub(crate) struct Hub {
    sessions: HashMap<SessionId, Session>,
    /// By user and client id: nobody takes over a session of another user.
    known: HashMap<(Box<str>, Box<str>), SessionId>,
    last: u64,
    tree: Tree,
    pub(crate) retained: Retained,
    pub(crate) counts: Counts,
}

#[derive(Debug)]
struct Session {
    user: Arc<User>,
    client: Box<str>,
    /// What its connection is woken with; `None` while it has none.
    connection: Option<Attached>,
    /// Forgotten when the connection ends.
    clean: bool,
    filters: BTreeMap<Filter, QoS>,
    queue: VecDeque<(Arc<Message>, QoS)>,
    queued_bytes: usize,
    walks: VecDeque<Walk>,
    /// Sent, and not acknowledged yet.
    sent: BTreeMap<u16, Arc<Message>>,
    /// Of those, the ones to send again on a new connection.
    again: VecDeque<u16>,
    /// Messages of `QoS` 2 that have come and that the client has not let go of.
    received: BTreeSet<u16>,
    last_packet: u16,
    dropped: u64,
}

/// A connection, as its session knows it.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    /// There is something to send.
    pub(crate) wake: Arc<Notify>,
    /// Another connection took its place, or its user is gone.
    pub(crate) leave: CancellationToken,
}

impl Attached {
    pub(crate) fn new(broker: &CancellationToken) -> Self {
        Self { wake: Arc::new(Notify::new()), leave: broker.child_token() }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wake, &other.wake)
    }
}

/// Messages that wait for one subscriber: some minutes of a building with 500 sensors.
const MOST_QUEUED: usize = 2_000;
/// The same in bytes.
const MOST_QUEUED_BYTES: usize = 4 << 20;
/// Messages that one subscriber has got and not acknowledged.
const MOST_SENT: usize = 64;
/// Messages of `QoS` 2 that one client has begun and not ended.
const MOST_RECEIVED: usize = 1_000;
/// What is taken out of a queue at once.
const MOST_AT_ONCE: usize = 64 << 10;
/// Filters of one session: Home Assistant has one for each of its entities.
const MOST_FILTERS: usize = 4_000;
/// Sessions without a connection.
const MOST_AWAY: usize = 500;

impl Hub {
    /// Nobody yet.
    pub(crate) fn new(most: Most) -> Self {
        Self {
            sessions: HashMap::new(),
            known: HashMap::new(),
            last: 0,
            tree: Tree::default(),
            retained: Retained::new(most),
            counts: Counts::default(),
        }
    }

    /// How many sessions have a connection.
    pub(crate) fn connections(&self) -> usize {
        self.sessions.values().filter(|session| session.connection.is_some()).count()
    }

    /// The session of `client`, taken over from its last connection if it still has one, and
    /// whether something of it was kept.
    pub(crate) fn connect(
        &mut self,
        user: &Arc<User>,
        client: &str,
        clean: bool,
        connection: Attached,
    ) -> (SessionId, bool) {
        let key = (user.name().into(), client.into());
        if let Some(id) = self.known.get(&key).copied() {
            if let Some(before) =
                self.sessions.get_mut(&id).and_then(|session| session.connection.take())
            {
                before.leave.cancel();
            }
            if let Some(session) = self.sessions.get_mut(&id).filter(|it| !clean && !it.clean) {
                session.user = Arc::clone(user);
                session.connection = Some(connection);
                session.again = session.sent.keys().copied().collect();
                return (id, true);
            }
            self.forget(id);
        }
        self.last += 1;
        let id = SessionId(self.last);
        self.known.insert(key, id);
        let session = Session {
            user: Arc::clone(user),
            client: client.into(),
            connection: Some(connection),
            clean,
            filters: BTreeMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            walks: VecDeque::new(),
            sent: BTreeMap::new(),
            again: VecDeque::new(),
            received: BTreeSet::new(),
            last_packet: 0,
            dropped: 0,
        };
        self.sessions.insert(id, session);
        (id, false)
    }

    /// `connection` of a session has ended. Nothing happens if another has taken its place.
    ///
    /// Tells how many messages were dropped because it was slow.
    pub(crate) fn disconnect(&mut self, id: SessionId, connection: &Attached) -> u64 {
        let Some(session) = self.sessions.get_mut(&id) else { return 0 };
        if !session.connection.as_ref().is_some_and(|it| it.is(connection)) {
            return 0;
        }
        session.connection = None;
        let dropped = std::mem::take(&mut session.dropped);
        if session.clean {
            self.forget(id);
        } else if self.sessions.len() - self.connections() > MOST_AWAY {
            // The ids count up: the first has been there for longest.
            let away = self.sessions.iter().filter(|(_, it)| it.connection.is_none());
            if let Some(oldest) = away.map(|(id, _)| *id).min() {
                self.forget(oldest);
            }
        }
        dropped
    }

    fn forget(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        for filter in session.filters.keys() {
            self.tree.remove(filter, id);
        }
        self.known.remove(&(session.user.name().into(), session.client));
    }

    /// Hangs up on users that are not as they were, and forgets their sessions.
    pub(crate) fn keep_users(&mut self, unchanged: impl Fn(&User) -> bool) {
        let gone: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| !unchanged(&session.user))
            .map(|(id, session)| (*id, session.connection.clone()))
            .collect();
        for (id, connection) in gone {
            if let Some(connection) = connection {
                connection.leave.cancel();
            }
            self.forget(id);
        }
    }

    /// Gives `message` to everyone who wants it, and keeps it if it is to be retained.
    pub(crate) fn publish(&mut self, message: Message, retain: bool, own: bool) {
        let message = Arc::new(message);
        self.counts.messages += 1;
        if retain && let Err(Full) = self.retained.set(Arc::clone(&message), own) {
            self.counts.not_retained += 1;
        }
        for (id, qos) in self.tree.wanting(&message.topic) {
            if let Some(session) = self.sessions.get_mut(&id) {
                self.counts.dropped += session.push(Arc::clone(&message), lower(qos, message.qos));
            }
        }
    }

    /// Answers a SUBSCRIBE. What is retained follows by [`Self::pull`].
    pub(crate) fn subscribe(
        &mut self,
        id: SessionId,
        wanted: &[SubscribeFilter],
    ) -> Vec<SubscribeReasonCode> {
        let mut codes = Vec::new();
        for SubscribeFilter { path, qos } in wanted {
            let allowed = path.parse().ok().filter(|filter| {
                self.sessions.get(&id).is_some_and(|it| it.user.may_see(filter) && it.has_room())
            });
            let (Some(filter), Some(session)) = (allowed, self.sessions.get_mut(&id)) else {
                self.counts.not_allowed += 1;
                codes.push(SubscribeReasonCode::Failure);
                continue;
            };
            let qos = lower(*qos, QoS::AtLeastOnce);
            self.tree.insert(&filter, id, qos);
            session.walks.retain(|walk| *walk.filter() != filter);
            session.walks.push_back(Walk::new(filter.clone(), qos));
            session.filters.insert(filter, qos);
            codes.push(SubscribeReasonCode::Success(qos));
        }
        codes
    }

    /// Answers an UNSUBSCRIBE.
    pub(crate) fn unsubscribe(&mut self, id: SessionId, filters: &[String]) {
        for filter in filters.iter().filter_map(|it| it.parse::<Filter>().ok()) {
            self.tree.remove(&filter, id);
            if let Some(session) = self.sessions.get_mut(&id) {
                session.filters.remove(&filter);
                session.walks.retain(|walk| *walk.filter() != filter);
            }
        }
    }

    /// A message that was sent has arrived. True if the next may be sent for that.
    pub(crate) fn acknowledged(&mut self, id: SessionId, packet: u16) -> bool {
        let session = self.sessions.get_mut(&id);
        session.is_some_and(|session| session.sent.remove(&packet).is_some())
    }

    /// A message of `QoS` 2 has come: whether for the first time. `None` if its client has begun too
    /// many.
    pub(crate) fn received(&mut self, id: SessionId, packet: u16) -> Option<bool> {
        let received = &mut self.sessions.get_mut(&id)?.received;
        let room = received.len() < MOST_RECEIVED || received.contains(&packet);
        room.then(|| received.insert(packet))
    }

    /// The client lets go of a message of `QoS` 2: its number may stand for another one now.
    pub(crate) fn released(&mut self, id: SessionId, packet: u16) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.received.remove(&packet);
        }
    }

    /// At most `most` packets for the subscriber `id`; true if there may be more.
    ///
    /// What is live goes before what is retained: a retained value is looked up only now, and so
    /// is at least as new as anything that went before.
    pub(crate) fn pull(&mut self, id: SessionId, most: usize, packets: &mut Vec<Packet>) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let mut bytes = 0;
        for _ in 0..most {
            if bytes > MOST_AT_ONCE {
                return true;
            }
            if let Some(packet) = session.again.pop_front() {
                if let Some(message) = session.sent.get(&packet) {
                    packets.push(outgoing(message, QoS::AtLeastOnce, packet, true, false));
                }
                continue;
            }
            if session.sent.len() >= MOST_SENT {
                return false;
            }
            if let Some((message, qos)) = session.queue.pop_front() {
                session.queued_bytes -= message.size();
                bytes += message.size();
                packets.push(session.send(message, qos, false));
                continue;
            }
            let Some(walk) = session.walks.front_mut() else { return false };
            match self.retained.next(walk) {
                Next::Value(message) => {
                    let qos = lower(walk.qos(), message.qos);
                    bytes += message.size();
                    packets.push(session.send(message, qos, true));
                }
                Next::NotYet => return true,
                Next::End => drop(session.walks.pop_front()),
            }
        }
        true
    }
}

impl Session {
    fn has_room(&self) -> bool {
        self.filters.len() < MOST_FILTERS
    }

    /// Puts a message into the queue; how many older ones had to give way.
    fn push(&mut self, message: Arc<Message>, qos: QoS) -> u64 {
        if self.connection.is_none() && qos == QoS::AtMostOnce {
            return 0; // Of these nothing is kept for somebody who is away.
        }
        self.queued_bytes += message.size();
        self.queue.push_back((message, qos));
        let mut dropped = 0;
        while self.queue.len() > MOST_QUEUED || self.queued_bytes > MOST_QUEUED_BYTES {
            let Some((oldest, _)) = self.queue.pop_front() else { break };
            self.queued_bytes -= oldest.size();
            dropped += 1;
        }
        self.dropped += dropped;
        if let Some(connection) = &self.connection {
            connection.wake.notify_one();
        }
        dropped
    }

    fn send(&mut self, message: Arc<Message>, qos: QoS, retained: bool) -> Packet {
        if qos == QoS::AtMostOnce {
            return outgoing(&message, qos, 0, false, retained);
        }
        loop {
            self.last_packet = self.last_packet.checked_add(1).unwrap_or(1);
            if !self.sent.contains_key(&self.last_packet) {
                break;
            }
        }
        let packet = outgoing(&message, qos, self.last_packet, false, retained);
        self.sent.insert(self.last_packet, message);
        packet
    }
}

fn outgoing(message: &Message, qos: QoS, pkid: u16, dup: bool, retain: bool) -> Packet {
    let topic = message.topic.to_string();
    let payload = message.payload.clone();
    Packet::Publish(Publish { dup, qos, retain, topic, pkid, payload })
}

fn lower(one: QoS, other: QoS) -> QoS {
    if (one as u8) < (other as u8) { one } else { other }
}

#[cfg(test)]
mod tests;
