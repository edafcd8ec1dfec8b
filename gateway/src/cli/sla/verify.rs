//! `fyrhus sla verify`: whether an evidence file holds, on any machine, without a network.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ledger::note::Verifier;
use serde_json::json;

use super::super::{Out, read_config};
use crate::evidence;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
KEYS has a public key on each line, as `fyrhus sla key` prints it: that of the gateway, and those of
whoever countersigns. Lines that begin with # are comments. Exit status 1 says that the file does
not hold; the first entry that does not is named.")]
pub(in crate::cli) struct Verify {
    /// The evidence file
    file: PathBuf,
    /// A file with the public keys that are believed
    #[arg(long, value_name = "KEYS")]
    trust: PathBuf,
}

impl Verify {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let trust = trusted(&self.trust)?;
        let name = self.file.display();
        let mut bytes = Vec::new();
        let file = File::open(&self.file).with_context(|| format!("{name} cannot be read"))?;
        file.take(MOST_BYTES).read_to_end(&mut bytes).with_context(|| name.to_string())?;
        let checks = evidence::checks(&bytes, &trust);
        let holds = checks.iter().all(|check| check.holds);
        let summary = holds.then(|| evidence::summary(&bytes)).flatten();
        if out.json {
            let checks: Vec<_> = checks
                .iter()
                .map(|check| json!({"holds": check.holds, "found": check.found}))
                .collect();
            out.object(&json!({"holds": holds, "checks": checks, "summary": summary}))?;
        } else {
            for check in &checks {
                out.line(&check.to_string())?;
            }
            if let Some(summary) = summary {
                out.line(&summary)?;
            }
        }
        Ok(holds)
    }
}

fn trusted(file: &Path) -> anyhow::Result<Vec<Verifier>> {
    let text = read_config(file)?;
    let lines = text.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<Verifier> = keys
        .map(|(number, line)| {
            line.parse().with_context(|| format!("{}, line {number}", file.display()))
        })
        .collect::<anyhow::Result<_>>()?;
    if keys.is_empty() {
        bail!("{} has no key; `fyrhus sla key` on the gateway prints one", file.display());
    }
    Ok(keys)
}

/// Ten years of entries, several times over.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
