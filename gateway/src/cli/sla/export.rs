//! `fyrhus sla export`, `statement`, `letter` and `key`: what the ledger of this gateway says.

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
use sha2::{Digest as _, Sha256};
use statement::{Enclosure, Language, Place};
use store::Readers;

use super::super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::evidence::{self, Proofs};
use crate::keys::Keys;
use crate::ledger_keys::LedgerKeys;
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
    /// Every minute of the month as CSV: down, unknown and excluded seconds
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    minutes: bool,
    /// As a sheet of A4, into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv", "minutes"])]
    pdf: Option<PathBuf>,
    /// As it was told in this entry of the ledger; without it, as it is now
    #[arg(long, value_name = "NUMBER")]
    entry: Option<u64>,
    /// In which language the sheet is: nb or en
    #[arg(long, default_value = "nb")]
    language: Language,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Letter {
    /// The month, such as 2026-11
    #[arg(long)]
    month: String,
    /// In which language it is: nb or en
    #[arg(long, default_value = "nb")]
    language: Language,
    /// The folder that the letter and its enclosures go into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
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
    proofs: Proofs,
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
        let proofs = block_on(async {
            let mut proofs = Proofs::new();
            for sha256 in evidence::named(&chain) {
                proofs.extend(readers.proof(sha256).await?.map(|bytes| (sha256, bytes)));
            }
            Ok(proofs)
        })?;
        let countersigned = countersigned.and_then(|note| note.parse().ok());
        let key = LedgerKeys::open(state, &device(state)?).of(&chain);
        let key = key.context("the key that signs the ledger is not in `keys/`")?;
        let note = scribe::checkpoint(&chain, SystemClock::new().now().wall_ms(), &key);
        let notes = countersigned.into_iter().chain([note]).collect();
        Ok(Self { chain, notes, proofs })
    }

    fn statement(&self, month: &str) -> anyhow::Result<Statement> {
        Ok(Book::new(self.chain.entries()).statement(month)?)
    }

    fn sheet(&self, statement: &Statement, language: Language) -> anyhow::Result<Vec<u8>> {
        let head = self.chain.head_at(statement.through).unwrap_or_else(|| self.chain.head());
        let place = Place { ledger: self.chain.ledger(), head };
        Ok(documents::pdf(&statement::sheet(statement, place, language))?)
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
        let file = evidence::file(&kept.chain, &kept.notes, &kept.proofs, &self.month)?;
        let name = self.out.unwrap_or_else(|| format!("fyrhus-evidence-{}.tar", self.month).into());
        save(&name, &file)?;
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
        let kept = Kept::read(&machine.state)?;
        let statement = match self.entry {
            Some(seq) => Book::new(kept.chain.entries()).as_told(seq)?,
            None => kept.statement(&self.month)?,
        };
        if statement.case.period.month().to_string() != self.month {
            bail!("that entry tells of {}, not of {}", statement.case.period.month(), self.month);
        }
        if let Some(name) = self.pdf {
            save(&name, &kept.sheet(&statement, self.language)?)?;
        } else if out.json {
            out.object(&statement::statement(&statement))?;
        } else if self.csv {
            out.text(&documents::csv(&statement::table(&statement)))?;
        } else if self.minutes {
            out.text(&documents::csv(&statement::minutes(&statement)))?;
        } else {
            out.text(&statement::text(&statement))?;
        }
        Ok(true)
    }
}

impl Letter {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let kept = Kept::read(&machine.state)?;
        let statement = kept.statement(&self.month)?;
        let evidence = evidence::file(&kept.chain, &kept.notes, &kept.proofs, &self.month)?;
        let files = [
            (format!("fyrhus-evidence-{}.tar", self.month), evidence),
            (format!("statement-{}.pdf", self.month), kept.sheet(&statement, self.language)?),
        ];
        let enclosures = files.iter().map(|(name, bytes)| Enclosure {
            name: name.clone(),
            sha256: Sha256::digest(bytes).into(),
        });
        let today = SystemClock::new().now().wall.with_timezone(&statement.contract.zone);
        let enclosures: Vec<Enclosure> = enclosures.collect();
        let letter = statement::letter(&statement, today.date_naive(), &enclosures, self.language);
        let letter = letter
            .with_context(|| format!("the promise was kept in {}: nothing to claim", self.month))?;
        let letter = (format!("claim-{}.pdf", self.month), documents::pdf(&letter)?);
        for (name, bytes) in [letter].iter().chain(&files) {
            let name = self.out.join(name);
            save(&name, bytes)?;
            if !out.json {
                out.line(&format!("{}, {} bytes", name.display(), bytes.len()))?;
            }
        }
        if out.json {
            let folder = &self.out;
            out.object(&json!({"folder": folder, "month": self.month}))?;
        }
        Ok(true)
    }
}

/// Writes a file, and has it on the disk.
fn save(name: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut to = File::create(name)?;
        to.write_all(bytes)?;
        to.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", name.display()))
}

impl ShowKey {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let keys = Keys::open(&machine.state, &SystemClock::new())
            .context("the gateway's keys cannot be used")?;
        let name = evidence::name(keys.gateway.uuid().into_bytes());
        // Before there is a ledger it is the one that it will begin with.
        let now = Kept::read(&machine.state).ok();
        let now = now.and_then(|kept| kept.chain.key_at(kept.chain.head().seq));
        let key = now.unwrap_or_else(|| keys.device.verifying_key().to_bytes());
        let key = Verifier::new(&name, key);
        let key = key.context("the gateway has no name")?.to_string();
        if out.json {
            out.object(&json!({"key": key}))?;
        } else {
            out.line(&key)?;
        }
        Ok(true)
    }
}
