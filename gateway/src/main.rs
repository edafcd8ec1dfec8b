//! The binary `fyrhus`.

use std::process::ExitCode;

use clap::Parser as _;
use gateway::cli::Cli;
use nix::sys::stat::{Mode, umask};

fn main() -> ExitCode {
    // Whatever is written, a database or a key, is its owner's alone.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    // One provider for every connection, before the first is made.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        unreachable!("nobody has installed one before main");
    }
    Cli::parse().run()
}
