//! The sync as it runs: a store, an uploader and a portfolio service over real TLS.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod authority;
mod books;
mod branches;
mod crash_matrix;
mod doors;
mod dwellings;
mod enrol;
mod entry;
mod errands;
mod folding;
mod handover;
mod older;
mod people;
mod recall;
mod receivers;
mod storm;
mod support;
mod sync;
mod way;
