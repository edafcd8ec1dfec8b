//! A simulated building whose meters speak the real wire protocols.
//!
//! For the demo, for training, for measurements, and for every test that needs meters: real
//! sockets and ptys, real frames, and faults on demand.
//!
//! ```text
//!  Plan ──────────────┐   building.toml: which meters on which buses
//!  Building ──────────┤   weather, people, and what flows, from a seed
//!                     ▼
//!  Place, Device ─▶ meter ─▶ M-Bus telegrams ──┬▶ line ─▶ TCP port or pty
//!                     │      Modbus registers ─┘    ▲
//!                     ├────▶ HAN lists, radio frames ──▶ outlet ──▶ TCP port or pty
//!                     ├────▶ 1-Wire folder, pulses, weather service
//!                     ▼                             │
//!                  history (CSV)                 Handle: faults, counts
//! ```
//!
//! | Word | Is |
//! |---|---|
//! | [`Building`] | a building's years: every counter at every instant, from a seed |
//! | [`Plan`] | its meters and buses |
//! | [`Simulator`] | a plan on real ports and ptys |
//! | [`Handle`], [`Faults`], [`Counts`] | what is wrong with a meter, and how often it was asked |
//! | [`Captured`], [`Replay`] | a slave that repeats what a real meter once said |
//! | [`write_history`], [`site_toml`] | what a gateway is given of the past, and its configuration |
//!
//! **Invariant:** it never uses the reader that it tests. Telegrams are written with `mbus-rs`'
//! encoder and Modbus frames here; nothing is decoded but what a master asks.
//!
//! **Invariant:** what a meter shows is a function of seed, time and exchanges. A fault spoils
//! what is said, never what is counted.
//!
//! **Invariant:** it listens on loopback alone.

mod building;
mod control;
mod device;
mod dice;
mod faults;
mod flows;
mod forecast;
mod han;
mod history;
mod line;
mod mbus;
mod meter;
mod modbus;
mod mqtt;
mod onewire;
mod outlet;
mod people;
mod place;
mod plan;
mod pulses;
mod radio;
mod receiver;
mod registers;
mod replay;
mod simulator;
mod site;
mod telegrams;
mod weather;

pub use building::{Building, EPOCH};
pub use control::{CommandError, Done, HELP, command};
pub use device::{Device, Figure};
pub use faults::{Counts, Faults, Flaw, Handle};
pub use history::write_history;
pub use place::{Measure, Place};
pub use plan::{BusKind, BusPlan, MeterPlan, Plan, PlanError, ReceiverKind};
pub use replay::{CaptureError, Captured, Replay};
pub use simulator::{Options, Port, Simulator, SimulatorError};
pub use site::{broker_users, meter_keys, site_toml};
