//! `fyrhus sla export`, `statement` and `key`: what the ledger of this gateway says.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono_tz::Tz;
use ed25519_dalek::SigningKey;
use ledger::book::{Book, Statement};
use ledger::chain::Chain;
use ledger::note::{Note, Verifier};
use metering::Clock as _;
use serde_json::json;
use store::Readers;

use super::super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::evidence::{self, told};
use crate::keys::Keys;
use crate::scribe::{self, COUNTERSIGNED_SETTING};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Export {
    /// The month, such as 2026-11
    #[arg(long)]
    month: String,
    /// Where the file goes [default: fyrhus-evidence-MONTH.tar]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowStatement {
    /// The month, such as 2026-11
    #[arg(long)]
    month: String,
    /// Outages and exclusions as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowKey {
    #[command(flatten)]
    files: Where,
}

/// What the ledger is, and who has signed it.
struct Kept {
    chain: Chain,
    notes: Vec<Note>,
}

impl Kept {
    /// Reads it, also beside the daemon, and signs how far it is.
    fn read(state: &Path) -> anyhow::Result<Self> {
        let readers = Readers::beside(state, Tz::Europe__Oslo)
            .with_context(|| format!("no store in {} can be read", state.display()))?;
        let (entries, countersigned) = block_on(async {
            let entries = readers.ledger(0).await.context("the ledger cannot be read")?;
            Ok((entries, readers.setting(COUNTERSIGNED_SETTING).await?))
        })?;
        if entries.is_empty() {
            bail!("the ledger is empty: the gateway writes it within a minute after its start");
        }
        let chain = Chain::read(entries.iter().map(Vec::as_slice)).map_err(|broken| {
            anyhow::anyhow!("entry {} of the ledger: {}", broken.seq, broken.why)
        })?;
        let countersigned = countersigned.and_then(|note| note.parse().ok());
        let note = scribe::checkpoint(&chain, SystemClock::new().now().wall_ms(), &device(state)?);
        Ok(Self { chain, notes: countersigned.into_iter().chain([note]).collect() })
    }

    fn statement(&self, month: &str) -> anyhow::Result<Statement> {
        Ok(Book::new(self.chain.entries()).statement(month)?)
    }
}

fn device(state: &Path) -> anyhow::Result<SigningKey> {
    let keys = Keys::open(state, &SystemClock::new());
    Ok(keys.context("the gateway's keys cannot be used")?.device)
}

impl Export {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let kept = Kept::read(&machine.state)?;
        let file = evidence::file(&kept.chain, &kept.notes, &self.month)?;
        let name = self.out.unwrap_or_else(|| format!("fyrhus-evidence-{}.tar", self.month).into());
        let write = || {
            let mut to = File::create(&name)?;
            to.write_all(&file)?;
            to.sync_all()
        };
        write().with_context(|| format!("{} cannot be written", name.display()))?;
        let entries = kept.chain.head().seq;
        if out.json {
            out.object(&json!({"file": name, "entries": entries, "bytes": file.len()}))?;
        } else {
            out.line(&format!("{}: {entries} entries, {} bytes", name.display(), file.len()))?;
        }
        Ok(true)
    }
}

impl ShowStatement {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let statement = Kept::read(&machine.state)?.statement(&self.month)?;
        if out.json {
            out.object(&told::statement(&statement))?;
        } else if self.csv {
            out.text(&documents::csv(&told::table(&statement)))?;
        } else {
            out.text(&told::text(&statement))?;
        }
        Ok(true)
    }
}

impl ShowKey {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let keys = Keys::open(&machine.state, &SystemClock::new())
            .context("the gateway's keys cannot be used")?;
        let name = evidence::name(keys.gateway.uuid().into_bytes());
        let key = Verifier::new(&name, keys.device.verifying_key().to_bytes());
        let key = key.context("the gateway has no name")?.to_string();
        if out.json {
            out.object(&json!({"key": key}))?;
        } else {
            out.line(&key)?;
        }
        Ok(true)
    }
}
