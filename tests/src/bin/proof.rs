//! `make proof`: the tests whose worth is in their count, run with large counts, and what came out
//! of them written to `tests/proof.md`.
//!
//! Nothing is tried here that `make test` does not try too: the same tests take their number of
//! cases from the environment.

#![expect(clippy::print_stdout, reason = "it takes hours, and says where it is")]

use std::fmt::Write;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use site_tests::paths::root;

/// The big counts, into tests/proof.md.
#[derive(Parser)]
struct Arguments {
    /// So many percent of the counts of a release
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    percent: u64,
    /// What decides all chance in the tests
    #[arg(long, default_value_t = 20_261_121)]
    seed: u64,
}

/// A promise, and the tests that try to break it.
struct Proof {
    promise: &'static str,
    /// Which tests, as `cargo test` takes them.
    tests: &'static [&'static str],
    /// The variable that takes the count, and the count of a release.
    count: (&'static str, u64),
}

const PROOFS: &[Proof] = &[
    Proof {
        promise: "No bytes make the M-Bus decoder panic; what is written is read back",
        tests: &["-p", "mbus-rs"],
        count: ("PROPTEST_CASES", 1_000_000),
    },
    Proof {
        promise: "No order of late, short and foreign answers makes a wrong value",
        tests: &["-p", "drivers"],
        count: ("PROPTEST_CASES", 20_000),
    },
    Proof {
        promise: "Quantities and registers are exact and read back",
        tests: &["-p", "metering", "-p", "ledger"],
        count: ("PROPTEST_CASES", 1_000_000),
    },
    Proof {
        promise: "No bytes make the portfolio's decoder panic; a batch is read back",
        tests: &["-p", "sync-wire"],
        count: ("PROPTEST_CASES", 100_000),
    },
    Proof {
        promise: "Roll-ups add up to the difference of the stands",
        tests: &["-p", "store", "--lib"],
        count: ("PROPTEST_CASES", 10_000),
    },
    Proof {
        promise: "kill -9 of the daemon loses nothing that was called stored",
        tests: &["-p", "site-tests", "--test", "stored_survives"],
        count: ("FYRHUS_KILLS", 1_000),
    },
];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("The proof cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut table = String::from(
        "# Proof\n\nWhat `make proof` found: the tests of `make test` with large counts.\n\n\
         | Promise | Command | Seed | Count | Found | Took | Date |\n|---|---|---|---|---|---|---|\n",
    );
    let mut kept = true;
    for Proof { promise, tests, count: (variable, release) } in PROOFS {
        let count = (release * arguments.percent / 100).max(1);
        println!("{promise}: {count}");
        let begun = Instant::now();
        let output = Command::new("cargo")
            .args(["test", "--release"])
            .args(*tests)
            .env(variable, count.to_string())
            .env("PROPTEST_RNG_SEED", arguments.seed.to_string())
            .current_dir(root())
            .output()
            .context("cargo runs")?;
        let told = String::from_utf8_lossy(&output.stdout);
        let passed: u64 = told.lines().filter_map(passed).sum();
        kept &= output.status.success() && passed > 0;
        let found = if output.status.success() {
            format!("{passed} tests hold")
        } else {
            "**broken**".to_owned()
        };
        println!("  {found}, {} s", begun.elapsed().as_secs());
        if !output.status.success() {
            println!("{told}");
        }
        writeln!(
            table,
            "| {promise} | `{variable}={count} cargo test --release {}` | {} | {count} | {found} | {} s | {} |",
            tests.join(" "),
            arguments.seed,
            begun.elapsed().as_secs(),
            today(),
        )?;
        std::fs::write(root().join("tests/proof.md"), &table)?;
    }
    Ok(kept)
}

/// How many tests a closing line of cargo says have passed.
fn passed(line: &str) -> Option<u64> {
    line.strip_prefix("test result: ok. ")?.split_once(' ')?.0.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "this binary's one look at the clock")]
fn today() -> chrono::NaiveDate {
    chrono::Utc::now().date_naive()
}
