//! `fyrhus audit`: whether the audit log and the versions of the configuration are what was written; a version
//! as a signed file, and the proof of such a file on any machine.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, SecondsFormat};
use clap::Subcommand;
use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use store::History;

use super::proof::{key, own_key};
use super::{Out, Where};
use crate::config::kept;
use crate::history::{self, Checked, Standing};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Prove the audit log and every version of the configuration; the gateway may be running
    Verify(Verify),
    /// Write a version of the configuration as a signed file; the gateway may be running
    Export(Export),
    /// Prove such a file, on any machine
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Whose signature is believed, as 64 hexadecimal digits; without it this gateway's own
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<VerifyingKey>,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The number of the version, as the page of the configuration shows it
    version: u64,
    /// Where it is written; without it to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A file that `export` or the page of the configuration gave out
    file: PathBuf,
    /// Whose signature it must have, as 64 hexadecimal digits; without it the key is only told
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<VerifyingKey>,
}

/// What came of the versions, or of the log.
#[derive(Debug, Serialize)]
struct Proven {
    what: &'static str,
    holds: bool,
    rows: u64,
    first: i64,
    newest: i64,
    /// The first that does not hold.
    broken: Option<Broken>,
    /// Why nothing is signed as it is now.
    head: Option<String>,
    key: String,
}

#[derive(Debug, Serialize)]
struct Broken {
    number: i64,
    at: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Document {
    holds: bool,
    version: u64,
    at: String,
    who: String,
    why: String,
    key: String,
    fault: Option<String>,
}

impl Audit {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Verify(command) => command.run(out),
            Self::Export(command) => command.run(out),
            Self::Check(command) => command.run(out),
        }
    }
}

impl Verify {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let history = store::history(&state).with_context(|| super::store::no_store(&state))?;
        let Some(history) = history else {
            bail!("an older version of fyrhus wrote it, which chained nothing: start the gateway");
        };
        let key = match self.key {
            Some(key) => key,
            None => own_key(&state.join("keys/device.key"))?,
        };
        let mut holds = true;
        for proven in [versions(&history, &key), log(&history, &key)] {
            holds &= proven.holds;
            tell(&proven, out)?;
        }
        if !out.json {
            let earlier = history.versions.iter().filter(|it| it.signature.is_none()).count();
            if earlier > 0 {
                out.line(&format!(
                    "      {earlier} versions are older than signatures: they are what was there when \
                     these began"
                ))?;
            }
            out.line(&format!("      key {}", HEXLOWER.encode(key.as_bytes())))?;
            if holds {
                out.line(
                    "The audit log and the configuration's versions are as they were written.",
                )?;
            }
        }
        Ok(holds)
    }
}

fn versions(history: &History, key: &VerifyingKey) -> Proven {
    let broken = history::standings(history, key).find_map(|(version, standing)| match standing {
        Standing::Broken(why) => {
            Some(Broken { number: version.number, at: at(version.at_ms), why })
        }
        Standing::Signed | Standing::Earlier => None,
    });
    let numbers = || history.versions.iter().map(|it| it.number);
    Proven {
        what: "version",
        holds: broken.is_none(),
        rows: u64::try_from(history.versions.len()).unwrap_or(u64::MAX),
        first: numbers().next().unwrap_or(0),
        newest: numbers().next_back().unwrap_or(0),
        broken,
        head: None,
        key: HEXLOWER.encode(key.as_bytes()),
    }
}

/// With what is signed of both.
fn log(history: &History, key: &VerifyingKey) -> Proven {
    let audit = &history.audit;
    let broken = audit.fault.as_ref().map(|fault| Broken {
        number: fault.number,
        at: at(fault.at_ms),
        why: fault.why.clone(),
    });
    let head = history::wrong_head(history, key);
    Proven {
        what: "entry",
        holds: broken.is_none() && head.is_none(),
        rows: audit.entries,
        first: audit.first,
        newest: audit.newest,
        broken,
        head,
        key: HEXLOWER.encode(key.as_bytes()),
    }
}

fn tell(proven: &Proven, out: &mut Out) -> anyhow::Result<()> {
    if out.json {
        return out.object(proven);
    }
    let Proven { what, holds, rows, first, newest, broken, head, .. } = proven;
    let word = if *holds { "PASS" } else { "FAIL" };
    let name = if *what == "entry" { "audit log    " } else { "configuration" };
    let plural = if *what == "entry" { "entries" } else { "versions" };
    out.line(&format!("{word}  {name}  {rows:>6} {plural}, {first} to {newest}"))?;
    if let Some(Broken { number, at, why }) = broken {
        out.line(&format!("      {what} {number} of {at}: {why}"))?;
    }
    if let Some(why) = head {
        out.line(&format!("      the signature of both: {why}"))?;
    }
    Ok(())
}

fn at(at_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Export {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let version = store::saved_version(&state, self.version);
        let version = version.with_context(|| super::store::no_store(&state))?;
        let number = self.version;
        let Some(version) = version else { bail!("the configuration has no version {number}") };
        let key = own_key(&state.join("keys/device.key"))?;
        let Some(document) = history::document(&version, &key) else {
            bail!("version {number} is older than signatures: save it anew, and export that one");
        };
        match self.to {
            None => out.text(&document)?,
            Some(file) => kept::replace(&file, &document)
                .with_context(|| format!("{} cannot be written", file.display()))?,
        }
        Ok(true)
    }
}

impl Check {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let shown = self.file.display();
        let text = read(&self.file).with_context(|| format!("{shown} cannot be read"))?;
        let Checked { version, key, fault } =
            history::check(&text).with_context(|| format!("{shown} cannot be proven"))?;
        let other = self.key.is_some_and(|wanted| wanted != key);
        let fault = fault.or_else(|| {
            other.then(|| "another key than the one that was asked for signed it".to_owned())
        });
        let document = Document {
            holds: fault.is_none(),
            version: version.number,
            at: at(version.at_ms),
            who: version.who,
            why: version.why,
            key: HEXLOWER.encode(key.as_bytes()),
            fault,
        };
        if out.json {
            out.object(&document)?;
            return Ok(document.holds);
        }
        let Document { version, at, who, key, .. } = &document;
        match (&document.fault, self.key) {
            (Some(fault), _) => out.line(&format!("FAIL  {shown}: {fault}"))?,
            (None, Some(_)) => {
                out.line(&format!("PASS  {shown}: version {version}, saved by {who:?} at {at}"))?;
            }
            (None, None) => out.line(&format!(
                "PASS  {shown}: version {version}, saved by {who:?} at {at}, if the gateway's key is {key}: \
                 compare it with the one that its page shows, or give --key"
            ))?,
        }
        Ok(document.holds)
    }
}

/// No version is larger, with its head.
const MOST: u64 = 8 << 20;

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}
