//! The binary `fyrhus`.

use std::process::ExitCode;

use clap::Parser as _;
use gateway::cli::Cli;

fn main() -> ExitCode {
    // One provider for every connection, before the first is made.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        unreachable!("nobody has installed one before main");
    }
    Cli::parse().run()
}
