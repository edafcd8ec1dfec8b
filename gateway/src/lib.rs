//! The daemon and command line `fyrhus`.
//!
//! ```text
//!  bus A ─ poll ┐                     ┌▶ store (writer thread) ─▶ Readers ─▶ web-ui
//!  bus B ─ poll ┼─ mpsc(256) ─ ingest ┤        ▲                ─▶ Outbox  ─▶ cloud-sync
//!  bus C ─ poll ┘   waits when full   │        └─ attempts ◀─ probe (cloud, references)
//!                                     └▶ live (watch, last value wins) ─▶ web-ui
//!
//!  site.toml, SIGHUP, wishes of the pages ─▶ supervise ─▶ takeover ─▶ buses
//! ```
//!
//! One task owns each bus, the writer and the uploader; [`supervise`] starts them in order, starts
//! again what ends unasked, and stops them in reverse within five seconds, with everything that
//! was read stored.
//!
//! **Invariant:** nothing that a licence, a cloud, a broken meter, a full disk or a bad
//! configuration can do keeps the daemon from reading the rest.
//!
//! **Invariant:** no SQL and no telegram is known here: `store` and `drivers` have them.

mod authority;
mod back_door;
mod backup;
mod batteries;
mod bms;
mod board;
mod books;
mod buses;
mod canary;
mod certificate;
pub mod cli;
pub mod clock;
mod cloud;
pub mod config;
mod control;
mod corrections;
mod counters;
mod cycle;
mod diagnosis;
mod errands;
mod evidence;
mod history;
mod housekeeping;
mod housing;
mod ingest;
mod ingest_watch;
pub mod keys;
mod ledger_keys;
mod listen;
mod live;
mod meter_keys;
mod mqtt;
mod poll;
mod ports;
mod probe;
mod restart;
mod restore;
mod scribe;
mod sealed;
mod shelf;
mod shown;
mod spending;
mod sticks;
pub mod supervise;
mod takeover;
mod told;
mod web;
mod wire;

use std::error::Error;

/// `error` and what caused it, in one line: `bus port … cannot be used: the host refused …`.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
