//! The service for owners of many buildings: takes what gateways send, and shows it to people.
//!
//! ```text
//!  gateways ──HTTPS, mutual TLS──▶ gateways.rs ──▶ Repository ◀── people.rs ◀──HTTPS── browsers
//!                                   receive.rs     sqlite.rs or     sites.rs
//!                                                 postgres.rs
//! ```
//!
//! The two listeners share the database and nothing else: a gateway has a certificate and no
//! password, a person a password and no certificate.
//!
//! **Invariant:** a batch is acknowledged after the commit that stored it, never before.
//!
//! **Invariant:** the service never calls a gateway; it answers.

mod assets;
mod authority;
mod clock;
mod columns;
pub mod config;
mod database;
mod downloads;
mod gateways;
mod histories;
mod history;
mod limits;
mod people;
mod postgres;
mod problem;
mod receive;
pub mod repository;
mod service;
mod session;
mod sites;
mod sqlite;
mod tls;

pub use authority::AuthorityError;
pub use clock::SystemClock;
pub use config::Config;
pub use postgres::Postgres;
pub use service::{EnrolCodeMade, Service, StartError, enrol_code};
pub use sqlite::Sqlite;
pub use tls::TlsError;
