//! `fyrhus sla record`: what people write into the ledger, through the running gateway.
//!
//! Whoever may use the gateway's back door may write; the entry says who it was, in their words.
//! Nothing that was written is ever changed: `correction` writes that an entry is not in force.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, FixedOffset};
use clap::Subcommand;
use data_encoding::HEXLOWER;
use ledger::Interval;
use ledger::case::{Claim, Ground, Notice, Status};
use ledger::entry::{
    Answer, Battery, BatteryEvent, Claimed, Contract, Correction, Fact, Invoked, Progress, Proof,
    Step,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::MOST_PROOF;
use web_ui::Agreement;

use super::super::{Out, Where, block_on, read_config};
use crate::control::{self, Reply, Request};

/// What is written down.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Record {
    /// What was agreed, from a TOML file; holds from the month of its start on
    Contract {
        /// The file; the manual's page on uptime has one
        file: PathBuf,
        #[command(flatten)]
        files: Where,
    },
    /// The vendor invokes an exclusion; it acts when it is formally valid and accepted
    Exclusion(Exclusion),
    /// The other side answers to an exclusion
    Answer {
        /// The exclusion's name
        #[arg(long)]
        exclusion: String,
        /// accepted, disputed or rejected
        #[arg(long)]
        status: Status,
        #[command(flatten)]
        said: Said,
        #[command(flatten)]
        files: Where,
    },
    /// The customer gave notice of a breach
    Claim {
        /// The month, such as 2026-11
        #[arg(long)]
        month: String,
        /// When the vendor was notified, such as 2026-12-01T08:00:00+01:00
        #[arg(long)]
        at: DateTime<FixedOffset>,
        /// It was by word of mouth
        #[arg(long)]
        spoken: bool,
        /// What was sent as evidence
        #[arg(long, value_name = "FILE")]
        proof: Vec<PathBuf>,
        /// Who gave it
        #[arg(long)]
        who: String,
        #[command(flatten)]
        files: Where,
    },
    /// What became of a claim
    Progress {
        /// The month, such as 2026-11
        #[arg(long)]
        month: String,
        /// acknowledged, disputed or credited
        #[arg(long)]
        step: Step,
        /// What stands behind it
        #[arg(long, value_name = "FILE")]
        proof: Vec<PathBuf>,
        #[command(flatten)]
        said: Said,
        #[command(flatten)]
        files: Where,
    },
    /// A product's battery: the customer was told that it is low, or replaced it
    Battery {
        /// Which product
        #[arg(long)]
        product: String,
        /// told or replaced
        #[arg(long)]
        event: BatteryEvent,
        /// Who says so
        #[arg(long)]
        who: String,
        #[command(flatten)]
        files: Where,
    },
    /// An earlier entry is not in force
    Correction {
        /// The entry's number
        #[arg(long)]
        of: u64,
        #[command(flatten)]
        said: Said,
        #[command(flatten)]
        files: Where,
    },
}

/// Who writes, and why.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Said {
    /// Who says so
    #[arg(long)]
    who: String,
    /// Why; for a credit the number of the invoice
    #[arg(long)]
    why: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Exclusion {
    /// Its name, of which there is one
    #[arg(long)]
    id: String,
    /// What is invoked
    #[arg(long, value_parser = [
        "agreed_suspension", "planned_maintenance", "security_maintenance", "authority_order",
        "outside_control", "customer_caused", "product_connectivity", "battery",
    ])]
    kind: String,
    /// The window's beginning, such as 2026-11-26T02:00:00+01:00
    #[arg(long)]
    from: DateTime<FixedOffset>,
    /// The window's end
    #[arg(long)]
    until: DateTime<FixedOffset>,
    /// Of planned maintenance: when the written notice reached the customer
    #[arg(long)]
    notice_at: Option<DateTime<FixedOffset>>,
    /// Of an agreed suspension: when it was agreed
    #[arg(long)]
    agreed_at: Option<DateTime<FixedOffset>>,
    /// The notice, the order, the agreement; its SHA-256 goes into the ledger
    #[arg(long, value_name = "FILE")]
    proof: Vec<PathBuf>,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    files: Where,
}

impl Record {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let documents = self.documents()?;
        let (fact, files) = self.fact()?;
        let machine = files.machine()?;
        for bytes in documents {
            let request = Request::KeepProof { bytes: HEXLOWER.encode(&bytes) };
            match block_on(async { Ok(control::ask(&machine.state, &request).await) })?? {
                Some(Reply::Refused(because)) => bail!("{because}"),
                Some(_) => {}
                None => bail!("the gateway is not running; it alone writes into the ledger"),
            }
        }
        let request = Request::Record { fact: HEXLOWER.encode(&fact.to_bytes()) };
        recorded(&machine.state, &request, out)
    }

    /// What is attached, for the gateway to keep.
    fn documents(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let files = match self {
            Self::Exclusion(it) => &it.proof,
            Self::Claim { proof, .. } | Self::Progress { proof, .. } => proof,
            _ => return Ok(Vec::new()),
        };
        let read = |file: &PathBuf| {
            let bytes = read(file)?;
            if bytes.len() > MOST_PROOF {
                bail!("{}: {} bytes; at most {MOST_PROOF} are kept", file.display(), bytes.len());
            }
            Ok(bytes)
        };
        files.iter().map(read).collect()
    }

    fn fact(self) -> anyhow::Result<(Fact, Where)> {
        Ok(match self {
            Self::Contract { file, files } => {
                let contract = contract(&read_config(&file)?);
                (Fact::Contract(contract.with_context(|| file.display().to_string())?), files)
            }
            Self::Exclusion(it) => {
                let (fact, files) = it.fact()?;
                (Fact::Exclusion(fact), files)
            }
            Self::Answer { exclusion, status, said: Said { who, why }, files } => {
                (Fact::Answer(Answer { exclusion, status, who, why }), files)
            }
            Self::Claim { month, at, spoken, proof, who, files } => {
                let claim = Claim {
                    notified_at: at.timestamp(),
                    written: !spoken,
                    evidence: !proof.is_empty(),
                };
                (Fact::Claim(Claimed { month, claim, who, proofs: proofs(&proof)? }), files)
            }
            Self::Progress { month, step, proof, said: Said { who, why: note }, files } => {
                let proofs = proofs(&proof)?;
                (Fact::Progress(Progress { month, step, who, note, proofs }), files)
            }
            Self::Battery { product, event, who, files } => {
                (Fact::Battery(Battery { product, event, who }), files)
            }
            Self::Correction { of, said: Said { who, why }, files } => {
                (Fact::Correction(Correction { of, who, why, instead: None }), files)
            }
        })
    }
}

/// Has the running gateway write an entry.
fn recorded(state: &Path, request: &Request, out: &mut Out) -> anyhow::Result<bool> {
    let reply = block_on(async { Ok(control::ask(state, request).await) })?;
    match reply.context("the running gateway does not answer")? {
        Some(Reply::Recorded(seq)) if out.json => out.object(&json!({"entry": seq}))?,
        Some(Reply::Recorded(seq)) => out.line(&format!("entry {seq} of the ledger"))?,
        Some(Reply::Refused(because)) => bail!("{because}"),
        Some(_) => bail!("the running gateway is of another version"),
        None => bail!("the gateway is not running; it alone writes into the ledger"),
    }
    Ok(true)
}

/// The running gateway makes the key and writes the entry.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ChangeKey {
    #[command(flatten)]
    files: Where,
}

impl ChangeKey {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        recorded(&self.files.machine()?.state, &Request::ChangeKey, out)
    }
}

impl Exclusion {
    fn fact(self) -> anyhow::Result<(Invoked, Where)> {
        let second = |at: DateTime<FixedOffset>| at.timestamp();
        let notice = self.notice_at.map(|at| Notice { given_at: second(at), written: true });
        let ground = Ground::of(&self.kind, notice, self.agreed_at.map(second));
        let time = Interval::new(second(self.from), second(self.until));
        let invoked = Invoked {
            id: self.id,
            ground: ground.context("there is no such ground")?,
            time: time.context("--from has to be before --until")?,
            who: self.said.who,
            why: self.said.why,
            proofs: proofs(&self.proof)?,
        };
        Ok((invoked, self.files))
    }
}

fn proofs(files: &[PathBuf]) -> anyhow::Result<Vec<Proof>> {
    let proof = |file: &PathBuf| {
        let bytes = read(file)?;
        let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Proof { name, sha256: Sha256::digest(&bytes).into() })
    };
    files.iter().map(proof).collect()
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn contract(text: &str) -> anyhow::Result<Contract> {
    toml::from_str::<Agreement>(text)?.contract().map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use ledger::case::{Policy, ShortRule};
    use ledger::{Limit, Terms};

    use super::*;

    #[test]
    fn a_contract_has_its_defaults_and_no_other_keys() {
        let least = "line = \"4711\"\ncustomer = \"A\"\nvendor = \"B\"\nannual_fee = \"3588.00\"\n";
        let read = contract(least).unwrap();
        assert_eq!((read.annual.ore(), read.zone), (358_800, Tz::Europe__Oslo));
        assert_eq!(read.policy, Policy::default());
        let net = format!("{least}[policy]\nshort_rule = \"net\"\n");
        assert_eq!(contract(&net).unwrap().policy.short_rule, ShortRule::Net);
        let wrong = format!("{least}[policy]\nshort_rule = \"half\"\n");
        let said = format!("{:#}", contract(&wrong).unwrap_err());
        assert_eq!(said, "policy.short_rule: `half` is not one of gross, net");
        assert!(contract(&format!("{least}fee = 1\n")).is_err());
    }

    #[test]
    fn a_contract_may_have_tiers_of_its_own() {
        let least = "line = \"4711\"\ncustomer = \"A\"\nvendor = \"B\"\nannual_fee = \"1\"\n";
        let of = |more: &str| contract(&format!("{least}{more}")).map(|it| it.terms);
        assert_eq!(of("").unwrap(), Terms::default());
        let tier = |below, credit| format!("[[tier]]\nbelow = \"{below}\"\ncredit = {credit}\n");
        let own = of(&format!("{}{}", tier("99.9", 5), tier("99", 20))).unwrap().tiers;
        assert_eq!(
            own.limits(),
            [(9_990, 5), (9_900, 20)].map(|(below, credit)| Limit { below, credit })
        );
        let said = |more: &str| format!("{:#}", of(more).unwrap_err());
        assert_eq!(said(&tier("ninety", 5)), "tier: `ninety` is not a percentage such as 99.5");
        assert!(said(&format!("{}{}", tier("99", 5), tier("99.9", 9))).contains("99.90 %"));
        assert!(said("liability_cap = \"much\"\n").starts_with("liability_cap: `much`"));
    }
}
