//! The last value of every topic that somebody wanted kept.
//!
//! A subscriber gets what there is one by one, as fast as it reads: nothing is copied for it, so
//! ten subscribers to 60,000 topics cost ten places in an ordered map. What it gets is the value of
//! that moment, which is never older than anything it got before.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use rumqttc::QoS;

use crate::topic::{Filter, matches};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
}

impl Message {
    /// What it takes of a bound.
    pub(crate) fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + OVERHEAD
    }
}

/// Of a message: its parts, its place in a map or queue.
const OVERHEAD: usize = 128;

/// How much is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) topics: usize,
    pub(crate) bytes: usize,
}

/// The last values, by topic.
#[derive(Debug)]
pub(crate) struct Retained {
    values: BTreeMap<Box<str>, Value>,
    bytes: usize,
    most: Most,
    /// Whether there is something that the file does not have.
    unsaved: bool,
}

#[derive(Clone, Debug)]
struct Value {
    message: Arc<Message>,
    /// Whether it is the gateway's own, which it says again after a start.
    own: bool,
}

/// A topic that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Retained {
    /// Nothing yet.
    pub(crate) const fn new(most: Most) -> Self {
        Self { values: BTreeMap::new(), bytes: 0, most, unsaved: false }
    }

    /// Keeps `message`; one without a payload clears its topic.
    pub(crate) fn set(&mut self, message: Arc<Message>, own: bool) -> Result<(), Full> {
        let before = self.values.get(&message.topic).map(|value| value.message.size());
        let others = self.bytes - before.unwrap_or(0);
        if message.payload.is_empty() {
            if let Some(value) = self.values.remove(&message.topic) {
                self.bytes = others;
                self.unsaved |= !value.own;
            }
            return Ok(());
        }
        let bytes = others + message.size();
        if bytes > self.most.bytes || (before.is_none() && self.values.len() >= self.most.topics) {
            return Err(Full);
        }
        self.bytes = bytes;
        self.unsaved |= !own;
        self.values.insert(message.topic.clone(), Value { message, own });
        Ok(())
    }

    /// How many topics.
    pub(crate) fn topics(&self) -> usize {
        self.values.len()
    }

    /// What the file has to hold, if it does not yet.
    pub(crate) fn take_unsaved(&mut self) -> Option<Vec<Arc<Message>>> {
        let all = || self.values.values().filter(|value| !value.own);
        let changed = self.unsaved.then(|| all().map(|it| Arc::clone(&it.message)).collect());
        self.unsaved = false;
        changed
    }

    /// The file could not be written: it is to be tried again.
    pub(crate) const fn not_saved(&mut self) {
        self.unsaved = true;
    }

    /// The next value that `walk` has not seen.
    pub(crate) fn next(&self, walk: &mut Walk) -> Next {
        let begin = match &walk.after {
            Some(after) => Bound::Excluded(&**after),
            None => Bound::Included(walk.filter.beginning()),
        };
        let mut looked = 0;
        for (topic, value) in self.values.range::<str, _>((begin, Bound::Unbounded)) {
            if !topic.starts_with(walk.filter.beginning()) {
                return Next::End;
            }
            looked += 1;
            if matches(walk.filter.as_str(), topic) {
                walk.after = Some(topic.clone());
                return Next::Value(Arc::clone(&value.message));
            }
            if looked == LOOKS {
                walk.after = Some(topic.clone());
                return Next::NotYet;
            }
        }
        Next::End
    }
}

/// How many topics that a filter does not name are passed over at once: nobody else is served
/// meanwhile.
const LOOKS: usize = 1_000;

/// How far a subscriber has got with what is retained under one of its filters.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    filter: Filter,
    qos: QoS,
    after: Option<Box<str>>,
}

impl Walk {
    /// From the beginning.
    pub(crate) const fn new(filter: Filter, qos: QoS) -> Self {
        Self { filter, qos, after: None }
    }

    /// The highest quality that was asked for.
    pub(crate) const fn qos(&self) -> QoS {
        self.qos
    }

    /// The filter.
    pub(crate) const fn filter(&self) -> &Filter {
        &self.filter
    }
}

/// What a step of a [`Walk`] finds.
#[derive(Debug)]
pub(crate) enum Next {
    /// A value.
    Value(Arc<Message>),
    /// None so far: look again.
    NotYet,
    /// None any more.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { topics: 3, bytes: 1_000 };

    fn message(topic: &str, payload: &str) -> Arc<Message> {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        Arc::new(Message { topic: topic.into(), payload, qos: QoS::AtMostOnce })
    }

    fn all(retained: &Retained, filter: &str) -> Vec<String> {
        let mut walk = Walk::new(filter.parse().unwrap(), QoS::AtMostOnce);
        let mut found = Vec::new();
        loop {
            match retained.next(&mut walk) {
                Next::Value(message) => found.push(message.topic.to_string()),
                Next::NotYet => {}
                Next::End => return found,
            }
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_so_much() {
        let mut retained = Retained::new(MOST);
        for topic in ["a", "b", "c"] {
            assert_eq!(retained.set(message(topic, "1"), false), Ok(()));
        }
        assert_eq!(retained.set(message("d", "1"), false), Err(Full));
        assert_eq!(retained.set(message("a", "2"), false), Ok(()), "it is there already");
        assert_eq!(retained.set(message("a", &"2".repeat(900)), false), Err(Full));
        assert_eq!(retained.set(message("a", ""), false), Ok(()));
        assert_eq!(retained.set(message("d", "1"), false), Ok(()), "room was made");
        assert_eq!(retained.bytes, 3 * (1 + 1 + OVERHEAD));
    }

    #[test]
    fn a_walk_finds_what_its_filter_names_however_much_lies_between() {
        let mut retained = Retained::new(Most { topics: 10_000, bytes: 10_000_000 });
        for number in 0..5_000 {
            retained.set(message(&format!("a/{number}/x"), "1"), false).unwrap();
        }
        retained.set(message("a/4444/y", "1"), false).unwrap();
        retained.set(message("a", "1"), false).unwrap();
        retained.set(message("b", "1"), false).unwrap();
        assert_eq!(all(&retained, "a/+/y"), ["a/4444/y"]);
        assert_eq!(all(&retained, "a/#").len(), 5_002);
        assert_eq!(all(&retained, "#").len(), 5_003);
        assert_eq!(all(&retained, "+"), ["a", "b"]);
        assert!(all(&retained, "c").is_empty());
    }

    #[test]
    fn what_the_gateway_says_itself_is_not_for_the_file() {
        let mut retained = Retained::new(MOST);
        retained.set(message("own", "1"), true).unwrap();
        assert_eq!(retained.take_unsaved(), None);
        retained.set(message("a", "1"), false).unwrap();
        assert_eq!(retained.take_unsaved().unwrap(), [message("a", "1")]);
        assert_eq!(retained.take_unsaved(), None, "it has it now");
        retained.set(message("a", ""), false).unwrap();
        assert_eq!(retained.take_unsaved(), Some(vec![]));
    }
}
