//! `fyrhus readings verify`: whether the readings of a month, and what the meters said, are those that this
//! gateway stored.
//!
//! Every hour the gateway hashes what was stored since the last time, over the hash before, and signs that
//! with its own key. Here the hashes are made again from the readings, and the signatures are asked.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate};
use data_encoding::HEXLOWER;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::Serialize;
use store::{Seal, Sealed};

use super::{Out, Where};
use crate::history::parsed_key;

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The month, such as 2026-11; without it all that are there, and the telegrams
    month: Option<String>,
    /// Whose signature is believed, as 64 hexadecimal digits; without it this gateway's own
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<VerifyingKey>,
    #[command(flatten)]
    files: Where,
}

/// The seals of one day.
#[derive(Debug, Serialize)]
struct Day {
    file: String,
    /// On which they were made.
    date: NaiveDate,
    seals: usize,
    readings: u64,
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Rest {
    file: String,
    unsealed: u64,
    recalled: u64,
    key: String,
}

impl Verify {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let no_store = || format!("no store in {} can be read", state.display());
        let mut files = store::raw_files(&state).with_context(no_store)?;
        if let Some(month) = &self.month {
            let name = PathBuf::from(format!("raw-{month}.db"));
            files.retain(|path| path.file_name() == Some(name.as_os_str()));
        }
        if files.is_empty() {
            bail!("there are no readings of {}", self.month.as_deref().unwrap_or("any month"));
        }
        let key = match self.key {
            Some(key) => key,
            None => own_key(&state.join("keys/device.key"))?,
        };
        let mut holds = true;
        for file in files {
            let sealed = store::seals(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            holds &= tell(&sealed, &key, "readings", out)?;
        }
        let telegrams =
            if self.month.is_none() { store::telegram_files(&state) } else { Ok(Vec::new()) };
        for file in telegrams.with_context(no_store)? {
            let sealed = store::telegram_seals(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            holds &= tell(&sealed, &key, "rounds of telegrams", out)?;
        }
        if !out.json && holds {
            out.line("Everything sealed is as it was stored.")?;
        }
        Ok(holds)
    }
}

pub(super) fn key(text: &str) -> Result<VerifyingKey, String> {
    parsed_key(text).ok_or_else(|| "it is not 64 hexadecimal digits of an Ed25519 key".to_owned())
}

pub(super) fn own_key(file: &std::path::Path) -> anyhow::Result<VerifyingKey> {
    let pem = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read; give --key", file.display()))?;
    let key = SigningKey::from_pkcs8_pem(&pem).ok();
    let key = key.with_context(|| format!("{} is not an Ed25519 key in PEM", file.display()))?;
    Ok(key.verifying_key())
}

/// Prints a day on a line; `false` if something does not hold.
fn tell(sealed: &Sealed, key: &VerifyingKey, what: &str, out: &mut Out) -> anyhow::Result<bool> {
    let Sealed { file, seals, unsealed, recalled } = sealed;
    let mut holds = true;
    let at = |seal: &Seal| DateTime::from_timestamp_millis(seal.at_ms).unwrap_or_default();
    for of_day in seals.chunk_by(|a, b| at(a).date_naive() == at(b).date_naive()) {
        let Some(first) = of_day.first() else { continue };
        let faults = of_day.iter().filter_map(|seal| {
            let why = fault(seal, key)?;
            let (number, time) = (seal.number, at(seal).format("%H:%M:%SZ"));
            Some(format!("seal {number} of {time}, up to {}: {why}", seal.last_seq))
        });
        let day = Day {
            file: file.clone(),
            date: at(first).date_naive(),
            seals: of_day.len(),
            readings: of_day.iter().map(|seal| seal.readings).sum(),
            faults: faults.collect(),
        };
        holds &= day.faults.is_empty();
        if out.json {
            out.object(&day)?;
            continue;
        }
        let word = if day.faults.is_empty() { "PASS" } else { "FAIL" };
        let (date, seals, readings) = (day.date, day.seals, day.readings);
        out.line(&format!("{word}  {file}  {date}  {readings:>9} {what} under {seals:>2} seals"))?;
        for fault in &day.faults {
            out.line(&format!("      {fault}"))?;
        }
    }
    let key = HEXLOWER.encode(key.as_bytes());
    if out.json {
        let (file, unsealed, recalled) = (file.clone(), *unsealed, *recalled);
        out.object(&Rest { file, unsealed, recalled, key })?;
    } else {
        out.line(&format!("      {file}: {unsealed} {what} are not sealed yet; key {key}"))?;
        if *recalled > 0 {
            out.line(&format!(
                "      {file}: {recalled} {what} were damaged and came back from the portfolio; no seal proves them"
            ))?;
        }
    }
    Ok(holds)
}

/// Why a seal does not hold.
fn fault(seal: &Seal, key: &VerifyingKey) -> Option<String> {
    let signed = Signature::from_slice(&seal.signature)
        .is_ok_and(|signature| key.verify_strict(&seal.hash, &signature).is_ok());
    match (&seal.fault, signed) {
        (Some(fault), _) => Some(fault.clone()),
        (None, false) => Some("another key than this one signed it, or nobody".to_owned()),
        (None, true) => None,
    }
}
