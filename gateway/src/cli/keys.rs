//! `fyrhus keys`: the keys of meters that encrypt. They go in, and never come out again.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use drivers::han::Key;
use drivers::{KeyName, MeterKeys};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde::Serialize;

use super::{Out, Where};
use crate::meter_keys::{load, read_file, save};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
A key is kept under the number that stands on the meter: 67001122, or 67001122KAM where another
maker's meter has the same number. An electricity meter's is its meter number, which its section
in site.toml has as `serial`.

The running gateway uses a key within seconds. No command and no page shows it again.

Examples:
  sudo fyrhus keys add 67001122
  sudo fyrhus keys import 20260131_DownloadMeters.zip.kem
  sudo fyrhus keys list")]
pub(super) enum Keys {
    /// Enter the key of one meter; it is asked for, so that no shell keeps it
    Add(Add),
    /// Take keys out of a file of the supplier: a table (CSV) or a KEM file of Kamstrup's
    Import(ImportKeys),
    /// Show whose keys are known, and never the keys
    List(List),
    /// Forget the key of a meter
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The meter's number
    meter: KeyName,
    /// Ask for the authentication key of an electricity meter, too
    #[arg(long)]
    auth: bool,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportKeys {
    /// The file as it came
    file: PathBuf,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The meter's number
    meter: KeyName,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Known<'a> {
    meter: &'a str,
    authentication: bool,
}

#[derive(Debug, Serialize)]
struct Imported {
    new: usize,
    replaced: usize,
}

impl Keys {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Add(command) => command.run(out),
            Self::Import(command) => command.run(out),
            Self::List(command) => command.run(out),
            Self::Remove(command) => command.run(out),
        }
    }
}

impl Add {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let mut ring = load(&state)?;
        let encryption = asked_key("key, 32 hex digits: ")?;
        let authentication =
            if self.auth { Some(asked_key("authentication key: ")?) } else { None };
        let known = ring.put(self.meter.clone(), MeterKeys { encryption, authentication });
        save(&state, &ring)?;
        let what = if known { "replaced" } else { "kept" };
        out.trouble(&format!("the key of {} is {what}", self.meter));
        Ok(true)
    }
}

impl ImportKeys {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let mut ring = load(&state)?;
        let name = self.file.display();
        let mut bytes = Vec::new();
        let opened = File::open(&self.file).with_context(|| format!("{name} cannot be opened"))?;
        opened.take(MOST_BYTES).read_to_end(&mut bytes).with_context(|| format!("{name}"))?;
        let keys = read_file(&bytes, || secret("password of the KEM file: "))
            .with_context(|| format!("{name} is not taken"))?;
        let mut replaced = 0;
        let all = keys.len();
        for (meter, keys) in keys {
            replaced += usize::from(ring.put(meter, keys));
        }
        save(&state, &ring)?;
        let new = all - replaced;
        if out.json {
            out.object(&Imported { new, replaced })?;
        } else {
            out.line(&format!("{new} keys are new, {replaced} are replaced"))?;
            out.trouble(&format!("{name} still has the keys in it: put it away safely"));
        }
        Ok(true)
    }
}

impl List {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let ring = load(&self.files.machine()?.state)?;
        for (meter, keys) in ring.iter() {
            let authentication = keys.authentication.is_some();
            if out.json {
                out.object(&Known { meter: meter.as_str(), authentication })?;
            } else {
                let more = if authentication { "  with authentication key" } else { "" };
                out.line(&format!("{meter}{more}"))?;
            }
        }
        if ring.is_empty() && !out.json {
            out.trouble("no keys are kept; `fyrhus keys add METER` enters one");
        }
        Ok(true)
    }
}

impl Remove {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let mut ring = load(&state)?;
        if !ring.remove(&self.meter) {
            bail!("no key of {} is kept; `fyrhus keys list` shows whose are", self.meter);
        }
        save(&state, &ring)?;
        out.trouble(&format!("the key of {} is forgotten", self.meter));
        Ok(true)
    }
}

fn asked_key(prompt: &str) -> anyhow::Result<Key> {
    let text = secret(prompt)?;
    let digits: String = text.chars().filter(|it| !it.is_whitespace()).collect();
    Ok(digits.parse()?)
}

/// A line of standard input. A terminal does not show it.
fn secret(prompt: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    let mut line = String::new();
    if !stdin.is_terminal() {
        read_line(&mut line)?;
        return Ok(line);
    }
    eprint_prompt(prompt);
    let shown = tcgetattr(&stdin).context("the terminal cannot be asked")?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden).context("the terminal cannot hide the key")?;
    let read = read_line(&mut line);
    tcsetattr(&stdin, SetArg::TCSANOW, &shown).context("the terminal cannot be set back")?;
    eprint_prompt("\n");
    read?;
    Ok(line)
}

fn read_line(line: &mut String) -> anyhow::Result<()> {
    let read = io::stdin().read_line(line).context("standard input cannot be read")?;
    if read == 0 {
        bail!("standard input ended before the key came");
    }
    Ok(())
}

/// On stderr, so that the output can go elsewhere. If nobody sees it, nobody types.
fn eprint_prompt(prompt: &str) {
    let mut stderr = io::stderr().lock();
    drop(io::Write::write_all(&mut stderr, prompt.as_bytes()));
    drop(io::Write::flush(&mut stderr));
}

/// A KEM file of ten thousand meters has some megabytes.
const MOST_BYTES: u64 = 64 << 20;
