//! An MQTT 3.1.1 client over TCP, TLS or a socket of this machine.
//!
//! ```text
//!  Options ──▶ Client::connect ──▶ Client ──subscribe, publish──▶ broker
//!                   │                 └──────next◀── messages, acknowledgements
//!                   └▶ NotConnected: what an installer can do about it
//! ```
//!
//! One connection: whoever uses it connects again when it is [`Lost`], and says anew what it
//! wants, because it connects with a clean session. The packets are read and written by the codec
//! of `rumqttc`; the connection is ours, because the client there brings a second TLS.
//!
//! **Never true:** a password goes into a log or an error, or a message is taken from a broker
//! whose certificate is not trusted.

mod client;
mod stream;

pub use client::{Client, Event, Lost, NotConnected, Options, Will};
pub use stream::{Address, Trust};
pub use tokio_rustls::rustls::pki_types::CertificateDer;
