//! The sync as it runs: a store, an uploader and a portfolio service over real TLS.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod crash_matrix;
mod enrol;
mod people;
mod receivers;
mod support;
mod sync;
