//! `make proof`: the tests whose worth is in their count, run with large counts, and what came out
//! of them written to `tests/proof.md`.
//!
//! Nothing is tried here that `make test` does not try too: the same tests take their number of
//! cases from the environment, and the fuzzer starts from the cases that `make test` replays.
//!
//! A row is written as soon as it is done. What was cut short is gone on with by `--go-on`, and a
//! single row is done again by `--only`.

#![expect(clippy::print_stdout, reason = "it takes hours, and says where it is")]

mod fuzz;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use site_tests::paths::root;

/// The big counts, into tests/proof.md.
#[derive(Parser)]
struct Arguments {
    /// So many percent of the counts of a release
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    percent: u64,
    /// What decides all chance in the tests
    #[arg(long, default_value_t = 20_261_121)]
    seed: u32,
    /// This row alone, keeping the others of the table; may be given several times
    #[arg(long, value_name = "ROW", value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// Leave out what stands in the table already
    #[arg(long, conflicts_with = "only")]
    go_on: bool,
    /// Keep what the fuzzer finds new ways with, as few cases as can be, in tests/fuzz/corpus
    #[arg(long)]
    keep: bool,
}

/// A promise, and what tries to break it.
struct Proof {
    /// What the row is called.
    name: &'static str,
    promise: &'static str,
    by: By,
    /// The count of a release.
    count: u64,
}

/// What tries to break a promise.
enum By {
    /// Tests, as `cargo test` takes them, and the variable that takes their count.
    Tests(&'static [&'static str], &'static str),
    /// A target of `tests/fuzz`, by its name.
    Fuzzing(&'static str),
}
use By::{Fuzzing, Tests};

/// What came of a try.
struct Outcome {
    holds: bool,
    /// As in the table.
    found: String,
    /// As somebody would type it to see the same.
    command: String,
}

const PROOFS: &[Proof] = &[
    Proof {
        name: "mbus",
        promise: "What is written on an M-Bus is read back; no bytes hold the master up",
        by: Tests(&["-p", "mbus-rs"], "PROPTEST_CASES"),
        count: 1_000_000,
    },
    Proof {
        name: "mbus-differential",
        promise: "Another M-Bus decoder says the same but for the differences that are listed",
        by: Tests(&["-p", "site-tests", "--test", "mbus_differential"], "PROPTEST_CASES"),
        count: 1_000_000,
    },
    Proof {
        name: "fuzz-frame",
        promise: "Whatever bytes a wire brings are cut, read, explained and written back",
        by: Fuzzing("frame"),
        count: 20_000_000,
    },
    Proof {
        name: "fuzz-records",
        promise: "Whatever a meter says ends, is covered without a gap, and is read back",
        by: Fuzzing("records"),
        count: 20_000_000,
    },
    Proof {
        name: "fuzz-wireless",
        promise: "Whatever a receiver hears is opened with the right key or not told",
        by: Fuzzing("wireless"),
        count: 20_000_000,
    },
    Proof {
        name: "fuzz-han",
        promise: "Whatever bytes come at a customer port are cut the same in any pieces, and read or \
                  refused",
        by: Fuzzing("han"),
        count: 20_000_000,
    },
    Proof {
        name: "fuzz-blocks",
        promise: "Whatever bytes a block is taken from are readings, and the same again, or refused",
        by: Fuzzing("blocks"),
        count: 20_000_000,
    },
    Proof {
        name: "drivers",
        promise: "No order of late, short and foreign answers makes a wrong value",
        by: Tests(&["-p", "drivers"], "PROPTEST_CASES"),
        count: 20_000,
    },
    Proof {
        name: "modbus-faults",
        promise: "No storm of late, lost, doubled, swapped, cut and spoiled answers on TCP, RTU or \
                  RTU over TCP makes a wrong value, and a response time-out later all is read again",
        by: Tests(&["-p", "drivers", "--lib", "--", "modbus::faults"], "FYRHUS_MODBUS_READS"),
        count: 100_000,
    },
    Proof {
        name: "metering",
        promise: "Quantities and registers are exact and read back",
        by: Tests(&["-p", "metering", "-p", "ledger"], "PROPTEST_CASES"),
        count: 1_000_000,
    },
    Proof {
        name: "sync-wire",
        promise: "No bytes make the portfolio's decoder panic; a batch is read back",
        by: Tests(&["-p", "sync-wire"], "PROPTEST_CASES"),
        count: 100_000,
    },
    Proof {
        name: "store",
        promise: "Readings and tallies unpack as they were packed, whatever they are; a byte that \
                  changed is seen; roll-ups add up to the difference of the stands",
        by: Tests(&["-p", "store", "--lib"], "PROPTEST_CASES"),
        count: 10_000,
    },
    Proof {
        name: "store-recount",
        promise: "Roll-ups are what a recount finds, over nights that change the clocks, leap days and \
                  ends of years; nothing tells a store that packs from one that does not",
        by: Tests(
            &["-p", "store", "--test", "it", "--", "roll_ups_are", "nothing_tells"],
            "PROPTEST_CASES",
        ),
        count: 2_000,
    },
    Proof {
        name: "torn-writes",
        promise: "A power cut between any two writes, torn and out of order, takes nothing stored",
        by: Tests(&["-p", "store", "--test", "power_cut"], "FYRHUS_CUTS"),
        count: 100_000,
    },
    Proof {
        name: "packing-kill",
        promise: "kill -9 while readings are packed loses and doubles none of them",
        by: Tests(
            &["-p", "store", "--test", "it", "--", "kill_9_while_it_is_packed"],
            "FYRHUS_KILLS",
        ),
        count: 1_000,
    },
    Proof {
        name: "sync-crash",
        promise: "Whatever dies or breaks between gateway, receiver and SQLite, each reading is \
                  there once",
        by: Tests(
            &["-p", "cloud-sync", "--test", "over_tls", "--", "on_sqlite_nothing"],
            "FYRHUS_SCHEDULES",
        ),
        count: 20_000,
    },
    Proof {
        name: "sync-crash-postgres",
        promise: "The same with PostgreSQL, which is stopped at once and restored as well",
        by: Tests(
            &["-p", "cloud-sync", "--test", "over_tls", "--", "on_postgres_nothing"],
            "FYRHUS_SCHEDULES_POSTGRES",
        ),
        count: 500,
    },
    Proof {
        name: "sync-backlog",
        promise: "What 250 meters told in 30 days offline (2,880 rounds) drains in 10 min, and what \
                  they show stays under 5 s old meanwhile",
        by: Tests(
            &["-p", "cloud-sync", "--test", "over_tls", "--", "a_backlog_drains"],
            "FYRHUS_OFFLINE_ROUNDS",
        ),
        count: 2_880,
    },
    Proof {
        name: "sync-fleet",
        promise: "Gateways that all come back at once lose nothing, and none of them is left \
                  without an answer",
        by: Tests(
            &["-p", "cloud-sync", "--test", "over_tls", "--", "a_fleet_that_comes_back"],
            "FYRHUS_GATEWAYS",
        ),
        count: 1_000,
    },
    Proof {
        name: "power-cut",
        promise: "kill -9 of the daemon loses nothing that was called stored",
        by: Tests(
            &["-p", "site-tests", "--test", "building", "--", "stored_survives::"],
            "FYRHUS_KILLS",
        ),
        count: 1_000,
    },
];

fn names() -> Vec<&'static str> {
    PROOFS.iter().map(|proof| proof.name).collect()
}

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
    let kept = || rows_of(&std::fs::read_to_string(table()).unwrap_or_default());
    let is_part = arguments.go_on || !arguments.only.is_empty();
    let mut rows = if is_part { kept() } else { vec![None; PROOFS.len()] };
    let mut holds = true;
    for (proof, row) in PROOFS.iter().zip(0..) {
        let is_chosen =
            arguments.only.is_empty() || arguments.only.iter().any(|name| name == proof.name);
        let is_there = rows.get(row).is_some_and(Option::is_some);
        if !is_chosen || (arguments.go_on && is_there) {
            continue;
        }
        let count = (proof.count * arguments.percent / 100).max(1);
        println!("{}: {}: {count}", proof.name, proof.promise);
        let begun = Instant::now();
        let outcome = match proof.by {
            Tests(tests, variable) => run_tests(tests, variable, count, arguments.seed)?,
            Fuzzing(target) => fuzz::run(target, count, arguments.seed, arguments.keep)?,
        };
        let took = begun.elapsed().as_secs();
        println!("  {}, {took} s", outcome.found);
        holds &= outcome.holds;
        let cells = [
            proof.name,
            proof.promise,
            &format!("`{}`", outcome.command),
            &arguments.seed.to_string(),
            &count.to_string(),
            &outcome.found,
            &format!("{took} s"),
            &today().to_string(),
        ];
        if is_part {
            // Somebody may have proven another row meanwhile.
            rows = kept();
        }
        if let Some(place) = rows.get_mut(row) {
            *place = Some(format!("| {} |", cells.join(" | ")));
        }
        write_table(&rows)?;
    }
    Ok(holds)
}

fn run_tests(tests: &[&str], variable: &str, count: u64, seed: u32) -> anyhow::Result<Outcome> {
    let output = Command::new("cargo")
        .args(["test", "--release"])
        .args(tests)
        .env(variable, count.to_string())
        .env("PROPTEST_RNG_SEED", seed.to_string())
        .current_dir(root())
        .output()
        .context("cargo runs")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let passed: u64 = told.lines().filter_map(passed).sum();
    let holds = output.status.success() && passed > 0;
    if !holds {
        println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Outcome {
        holds,
        found: if holds { hold(passed, &told) } else { BROKEN.to_owned() },
        command: format!("{variable}={count} cargo test --release {}", tests.join(" ")),
    })
}

/// As in the table: how many tests hold, and what they measured.
fn hold(passed: u64, told: &str) -> String {
    let figures = told.lines().filter_map(|line| line.strip_prefix("figure: "));
    let found = [format!("{passed} tests hold")].into_iter().chain(figures.map(str::to_owned));
    found.collect::<Vec<_>>().join("; ")
}

/// How many tests a closing line of cargo says have passed.
fn passed(line: &str) -> Option<u64> {
    line.strip_prefix("test result: ok. ")?.split_once(' ')?.0.parse().ok()
}

const BROKEN: &str = "**broken**";

fn table() -> PathBuf {
    root().join("tests/proof.md")
}

/// The rows of a table that was written before, each at its place.
fn rows_of(table: &str) -> Vec<Option<String>> {
    let of = |proof: &Proof| {
        let begin = format!("| {} |", proof.name);
        table.lines().find(|line| line.starts_with(&begin)).map(str::to_owned)
    };
    PROOFS.iter().map(of).collect()
}

fn write_table(rows: &[Option<String>]) -> anyhow::Result<()> {
    let mut text = String::from(
        "# Proof\n\nWhat `make proof` found: the tests of `make test` with large counts, and the \
         fuzzer.\n\n\
         | Row | Promise | Command | Seed | Count | Found | Took | Date |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().flatten() {
        writeln!(text, "{row}")?;
    }
    std::fs::write(table(), text).context("tests/proof.md")
}

#[expect(clippy::disallowed_methods, reason = "this binary's one look at the clock")]
fn today() -> chrono::NaiveDate {
    chrono::Utc::now().date_naive()
}
