//! Sensors that say what they measure to an MQTT broker.
//!
//! ```text
//!  sensor ──▶ broker ──▶ MqttEar ──▶ Heard
//!                          │  profile: which value of which message is which register
//!                          └─ announcement (Home Assistant): the same, said by the sensor itself
//! ```
//!
//! | What comes                                  | Is                                            |
//! |---------------------------------------------|-----------------------------------------------|
//! | a message                                   | a value of the moment at which it came        |
//! | one with a time in it                       | a value of that time                          |
//! | one that the broker had kept, with a time   | a value of that time, unless it has expired   |
//! | one that the broker had kept, without       | nothing: nobody knows how old it is           |
//! | `offline`, or nothing for too long          | silence of the sensor                         |
//!
//! **Never true:** an old value is taken for one of now, or a value passes through a float.

mod announcement;
mod device;
mod ear;
mod link;

pub use device::{DeviceName, InvalidDevice};
pub use ear::MqttEar;
pub use link::MqttSettings;
pub(crate) use link::{BrokerLink, Linked};
