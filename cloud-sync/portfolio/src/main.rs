//! The binary `fyrhus-portfolio`.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, answer};

#[tokio::main]
async fn main() -> ExitCode {
    match answer(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "fyrhus-portfolio: {error:#}");
            ExitCode::FAILURE
        }
    }
}
