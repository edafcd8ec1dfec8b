//! Receivers elsewhere in the building, which say what they hear on topics of an MQTT broker.
//!
//! ```text
//! receiver ──▶ topic: lines of text, or JSON ──▶ broker ──▶ Event::Frame
//! ```
//!
//! Several receivers may say under one filter: a meter that two of them hear is heard twice.
//!
//! **Never true:** what the broker had kept becomes a reading. Nobody knows when it was heard.

use std::collections::VecDeque;
use std::fmt;

use mqtt_client::Event as Said;

use super::receiver::Event;
use super::{Frame, frame_of_line};
use crate::error::ReadError;
use crate::mqtt::{BrokerLink, Linked, MqttSettings};
use crate::port::PortFault;

/// What comes on the topics of one broker. It keeps the events of one message, which are at most
/// [`MOST_LINES`], and no more.
pub(super) struct Topics {
    link: BrokerLink,
    filter: String,
    events: VecDeque<Event>,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Topics {
    pub(super) fn new(broker: MqttSettings, filter: String) -> Self {
        Self { link: BrokerLink::new(broker), filter, events: VecDeque::new() }
    }

    /// As [`Receiver::next`](super::Receiver::next).
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match self.link.next().await {
                Linked::Up => {
                    if let Some(client) = self.link.client() {
                        client.subscribe([self.filter.clone()]);
                    }
                }
                Linked::Down(cause) => return self.down(cause),
                Linked::Event(Said::Subscribed(_)) => return Event::Up,
                Linked::Event(Said::NotAllowed(_)) => return self.down(PortFault::NotAllowed),
                Linked::Event(Said::Message { payload, retained: false, .. }) => {
                    self.events.extend(frames_of(&payload).map_or_else(
                        || vec![Event::Noise],
                        |frames| frames.into_iter().map(Event::Frame).collect(),
                    ));
                }
                Linked::Event(Said::Message { .. } | Said::AllTaken) => {}
            }
        }
    }

    fn down(&self, cause: PortFault) -> Event {
        let port = self.link.settings().port.clone();
        Event::Down(ReadError::Port { port, cause })
    }
}

/// The frames in a message; `None` if there are none.
pub(super) fn frames_of(payload: &[u8]) -> Option<Vec<Frame>> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    let frames: Vec<Frame> = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(said)) => frame_of_object(&said).into_iter().collect(),
        _ => text.lines().take(MOST_LINES).filter_map(|it| frame_of_line(it.trim())).collect(),
    };
    (!frames.is_empty()).then_some(frames)
}

/// `{"mode": "T", "rssi": -73, "frame": "2E44…"}`: one of the texts is a frame.
fn frame_of_object(said: &serde_json::Map<String, serde_json::Value>) -> Option<Frame> {
    let texts = said.values().filter_map(serde_json::Value::as_str);
    let mut frame = texts.filter_map(frame_of_line).max_by_key(|it| it.bytes.len())?;
    let rssi = ["rssi", "rssi_dbm"].iter().find_map(|key| said.get(*key)?.as_i64());
    frame.rssi_dbm =
        rssi.and_then(|it| i16::try_from(it).ok()).filter(|dbm| (-150..0).contains(dbm));
    Some(frame)
}

/// A receiver says one frame in a message; some gather a few.
const MOST_LINES: usize = 64;
