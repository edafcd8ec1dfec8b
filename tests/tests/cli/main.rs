//! The command line as an installer over SSH types it: what is printed, and with which status it ends.

mod audit;
mod bad_input;
mod han;
mod mbus;
mod mbus_installer;
mod profile;
mod sla;
