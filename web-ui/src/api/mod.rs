//! `/api/v1`, one file for each resource: its handlers, its wire structs, and how these are made.

pub(crate) mod account;
pub(crate) mod analysis;
pub(crate) mod bms;
pub(crate) mod buses;
pub(crate) mod cloud;
pub(crate) mod counter;
pub(crate) mod doctor;
pub(crate) mod flow;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod meters;
pub(crate) mod overview;
pub(crate) mod readings;
pub(crate) mod said;
pub(crate) mod scan;
pub(crate) mod session;
pub(crate) mod site;
pub(crate) mod sla;
pub(crate) mod strangers;
pub(crate) mod told;
pub(crate) mod users;
