//! The broker over real sockets: what a client may rely on, and what no client can do to it.
//!
//! `cargo test -p broker --test it -- --nocapture --test-threads=1` prints the figures.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

mod sessions;
mod storms;
mod support;
