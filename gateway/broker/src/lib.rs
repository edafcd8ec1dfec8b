//! An MQTT broker for the sensors of one building.
//!
//! ```text
//!  TCP  ─┐                                             ┌─ tree: who wants which topics
//!  TLS  ─┼▶ door: a place? ▶ CONNECT ▶ user ▶ session ─┼─ a bounded queue for each subscriber
//!  unix ─┘      within seconds      rules of topics    └─ retained: last values ─▶ file
//! ```
//!
//! MQTT 3.1.1 (OASIS standard of 29 October 2014), `QoS` 0, 1 and 2 in and 0 and 1 out. The packets
//! are read and written by the codec of `rumqttc`; the sessions, users and rules are ours. Whoever
//! speaks MQTT 5 is told that it is not spoken here.
//!
//! | When there is too much of it          | Then                                               |
//! |---------------------------------------|----------------------------------------------------|
//! | connections that have not logged in   | the one that has waited for longest is hung up on  |
//! | connections that have                 | the next is refused, with the code for it          |
//! | messages for a slow subscriber        | its oldest are dropped and counted                 |
//! | retained topics                       | a further one is delivered, not retained, counted  |
//! | wrong passwords of one source         | the next one has to wait                           |
//!
//! **Never true:** that one client keeps another from connecting, that a subscriber that does not
//! read costs more memory than its queue, or that somebody without a rule for a topic sees or
//! changes it. A message that a client was told to have arrived may still be lost with the power:
//! the broker is part of no path whose acknowledgement deletes anything.

mod broker;
mod door;
mod hub;
mod kept;
mod retained;
mod session;
mod topic;
mod tree;
mod users;
mod wire;

pub use broker::{Broker, Counts, Limits};
pub use topic::{Filter, InvalidFilter, InvalidTopic, matches, valid_topic};
pub use users::{InvalidUsers, NewUser, Secret, User, Users};
