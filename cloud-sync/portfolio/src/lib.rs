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
//! **Invariant:** the service never calls a gateway; it answers. What it calls is itself, as its own
//! [probe](crate::probe).

mod accounts;
mod assets;
mod authority;
pub mod branches;
mod clock;
mod columns;
mod comparison;
pub mod config;
mod database;
mod downloads;
mod dwellings;
mod errands;
mod folded;
mod gateways;
mod handover;
mod histories;
mod history;
mod ledgers;
mod limits;
mod links;
mod people;
mod position;
mod postgres;
mod probe;
mod problem;
mod promises;
mod qr;
mod quota;
mod recall;
mod receive;
pub mod repository;
mod routes;
mod service;
mod session;
mod sites;
mod sqlite;
mod tags;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod used;
mod users;
mod ways;

pub use authority::AuthorityError;
pub use clock::SystemClock;
pub use config::Config;
pub use postgres::Postgres;
pub use quota::Quota;
pub use service::{
    EnrolCodeMade, Service, StartError, enrol_code, prepare_authority, turn_authority,
    unprepared_sites,
};
pub use sqlite::Sqlite;
pub use tls::TlsError;
