//! The fuzzer, run over a target of `tests/fuzz` for a number of cases.
//!
//! It starts from the kept corpus and adds to a copy of it under `target/`. The programs are built
//! by cargo-fuzz, without a sanitizer: those look for what unsafe code does, there is none in what
//! is tried, and so any stable compiler will do. Overflows are checked.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use site_tests::paths::root;

use crate::{BROKEN, Outcome};

/// Runs `target` for `count` cases; `keep` puts what was found into the kept corpus.
pub(crate) fn run(target: &str, count: u64, seed: u32, keep: bool) -> anyhow::Result<Outcome> {
    let corpus = root().join("target/fuzz/corpus").join(target);
    let _ = fs::remove_dir_all(&corpus);
    unpack(&kept_by(target), &corpus)?;
    let arguments = [format!("-runs={count}"), format!("-seed={seed}"), MAX_LEN.to_owned()];
    let output = fuzzer(target, &[&corpus])
        .args(&arguments)
        .stdout(Stdio::null())
        .output()
        .context("cargo fuzz runs; image/prepare.sh proof installs it")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let done = told.lines().find(|line| line.starts_with(&format!("Done {count} runs")));
    let holds = output.status.success() && done.is_some();
    if !holds {
        // A crash comes last, with the case that made it.
        let last: Vec<_> = told.lines().rev().take(60).collect();
        last.iter().rev().for_each(|line| println!("{line}"));
    } else if keep {
        keep_new(target, &corpus)?;
    }
    // `#20000000\tDONE   cov: 993 ft: 4603 corp: 1492/77Kb …`: branches, and ways through them.
    let figure = |name: &str| {
        let line = told.lines().rev().find(|line| line.contains("\tDONE"))?;
        line.split_once(name)?.1.split_whitespace().next()
    };
    let found = match (figure("cov: "), figure("ft: ")) {
        (Some(branches), Some(ways)) => format!("holds; {branches} branches, {ways} ways"),
        _ => "holds".to_owned(),
    };
    Ok(Outcome {
        holds,
        found: if holds { found } else { BROKEN.to_owned() },
        command: format!("cargo fuzz run {} {target} -- {}", BUILD.join(" "), arguments.join(" ")),
    })
}

/// What cargo-fuzz is told before the target. Looking at every comparison takes more time than what is
/// tried, and finds no more ways here: the numbers that mean something are in the kept corpus.
const BUILD: [&str; 8] = [
    "--fuzz-dir",
    "tests/fuzz",
    "--target-dir",
    "target/fuzz",
    "--sanitizer",
    "none",
    "--debug-assertions",
    "--no-trace-compares",
];
/// A wired frame has at most 261 bytes, a radio frame with its checksums 290.
const MAX_LEN: &str = "-max_len=300";
/// Longer cases are not kept: what they show, shorter ones show as well.
const KEPT_LEN: &str = "-max_len=128";

fn fuzzer(target: &str, folders: &[&Path]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["fuzz", "run"]).args(BUILD).arg(target).args(folders).arg("--");
    command.current_dir(root());
    command
}

/// Writes each line of the kept corpus as a file, which is what the fuzzer reads.
fn unpack(kept: &Path, corpus: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(corpus)?;
    let text = fs::read_to_string(kept).with_context(|| kept.display().to_string())?;
    for (number, line) in text.lines().enumerate() {
        let byte = |at| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..line.len()).step_by(2).map(byte).collect();
        let bytes = bytes.with_context(|| format!("line {} is not hex", number + 1))?;
        fs::write(corpus.join(format!("kept-{number}")), bytes)?;
    }
    Ok(())
}

/// Adds to the kept corpus as few of the cases in `corpus` as go all ways that they go together.
fn keep_new(target: &str, corpus: &Path) -> anyhow::Result<()> {
    let few = corpus.with_extension("few");
    let _ = fs::remove_dir_all(&few);
    unpack(&kept_by(target), &few)?;
    let status = fuzzer(target, &[&few, corpus])
        .args(["-merge=1", "-set_cover_merge=1", KEPT_LEN])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "the cases could not be merged");
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir(&few)? {
        let mut line = String::new();
        for byte in fs::read(entry?.path())? {
            write!(line, "{byte:02x}")?;
        }
        lines.insert(line);
    }
    println!("  {} cases are kept", lines.len());
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    fs::write(kept_by(target), text)?;
    Ok(())
}

fn kept_by(target: &str) -> PathBuf {
    root().join(format!("tests/fuzz/corpus/{target}.hex"))
}
