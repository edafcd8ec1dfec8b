//! `fyrhus sla evaluate`: cases in, results out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::Out;
use super::case;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A case that is refused gives {\"schema\":\"sla-result/1\",\"error\":CODE} in place of its result, a
sentence on stderr that says what is wrong where, and exit status 2.")]
pub(in crate::cli) struct Evaluate {
    /// One case as a JSON file, or - for cases on standard input, one on each line
    #[arg(value_name = "CASE.json")]
    case: PathBuf,
}

impl Evaluate {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let good = if self.case.as_os_str() == "-" {
            lines(out)?
        } else {
            let name = self.case.display();
            let file = File::open(&self.case).with_context(|| format!("{name} cannot be read"))?;
            let mut text = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut text).with_context(|| name.to_string())?;
            let (answer, wrong) = evaluated(&text);
            if let Some(wrong) = &wrong {
                out.trouble(&format!("fyrhus: {name}: {wrong}"));
            }
            if out.json {
                out.object(&answer)?;
            } else {
                out.line(&format!("{answer:#}"))?;
            }
            wrong.is_none()
        };
        Ok(if good { ExitCode::SUCCESS } else { REFUSED.into() })
    }
}

/// One case a line, one answer a line; whether none was refused.
fn lines(out: &mut Out) -> anyhow::Result<bool> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut good = true;
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = input.by_ref().take(MOST_BYTES).read_until(b'\n', &mut text);
        if read.context("standard input cannot be read")? == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let (answer, wrong) = evaluated(&text);
        if let Some(wrong) = wrong {
            out.trouble(&format!("fyrhus: line {number}: {wrong}"));
            good = false;
        }
        out.object(&answer)?;
    }
    Ok(good)
}

/// The answer to a case, and what is wrong with it if it is refused.
fn evaluated(text: &[u8]) -> (Value, Option<case::Refusal>) {
    match case::read(text) {
        Ok(case::Named { id, case }) => {
            (statement::result_of(&id, &case, &ledger::settle(&case)), None)
        }
        Err(refusal) => (json!({"schema": "sla-result/1", "error": refusal.code}), Some(refusal)),
    }
}

/// Of the schema: some case was refused.
const REFUSED: u8 = 2;

/// A month of outages a minute each has 6 MB; what is longer is cut, and then is no JSON.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
