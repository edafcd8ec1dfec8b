//! `fyrhus readings correct` and `correct-span`: a figure is put in the place of a reading, or of all readings of
//! a span, with who, when and why.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use drivers::Profiles;
use metering::Register;
use serde::Serialize;

use super::readings::meter;
use super::{Out, Where, block_on};
use crate::control::{self, Reply, Request};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  fyrhus readings correct \"Heat, main\" energy 2026-11-22T10:15:01Z 12.345 \\
      --why \"read from the display by the janitor\"

The time is that of the reading, to the millisecond, as `fyrhus readings` and
the export show it. What was stored stays in its file; the new figure holds
from now on, here and in the portfolio, and the entry says what was there.")]
pub(super) struct Correct {
    /// The meter's name as in site.toml, or the beginning of it, or its id
    meter: String,
    /// Which of its numbers, such as energy
    register: Register,
    /// When the reading was, such as 2026-11-22T10:15:01Z
    at: DateTime<Utc>,
    /// What it should have shown, in the unit of the register or with its own
    figure: String,
    /// Why
    #[arg(long)]
    why: String,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Done<'a> {
    register: &'a str,
    old: &'a str,
    new: &'a str,
}

impl Correct {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let register = self.register.to_string();
        let request = Request::Correct {
            meter: meter(&self.meter, site.as_ref())?,
            register: self.register,
            at_ms: self.at.timestamp_millis(),
            display: self.figure,
            why: self.why,
        };
        let asked = block_on(async { Ok(control::ask(&machine.state, &request).await?) });
        match asked.context("the running gateway does not answer")? {
            Some(Reply::Corrected { old, new }) if out.json => {
                out.object(&Done { register: &register, old: &old, new: &new })?;
                Ok(true)
            }
            Some(Reply::Corrected { old, new }) => {
                out.line(&format!("{register}: {new}; it was {old}"))?;
                Ok(true)
            }
            Some(Reply::Refused(because)) => bail!("{because}"),
            Some(_) => bail!("the running gateway is of another version"),
            None => bail!("the gateway is not running: start it first (systemctl start fyrhus)"),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  fyrhus readings correct-span \"Heat, main\" energy 2026-11-22T10:00:00Z \\
      2026-11-23T00:00:00Z --by -120 --preview

Readings with a figure are corrected, each by itself, at most 3,000 at once.
`--preview` says how many, and does nothing. What was read stays in its file:
`--as-read` has it hold again.")]
pub(super) struct CorrectSpan {
    /// The meter's name as in site.toml, or the beginning of it, or its id
    meter: String,
    /// Which of its numbers, such as energy
    register: Register,
    /// From this time on, such as 2026-11-22T10:00:00Z
    from: DateTime<Utc>,
    /// Up to this time, which is not in it any more
    until: DateTime<Utc>,
    #[command(flatten)]
    change: Change,
    /// Only say how many readings would have another figure
    #[arg(long)]
    preview: bool,
    /// Why
    #[arg(long, required_unless_present = "preview", default_value = "")]
    why: String,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Change {
    /// Each reading shows this, in the unit of the register or with its own
    #[arg(long, value_name = "FIGURE", allow_hyphen_values = true)]
    to: Option<String>,
    /// Each reading is more by this; less with a minus
    #[arg(long, value_name = "FIGURE", allow_hyphen_values = true)]
    by: Option<String>,
    /// What was read holds again
    #[arg(long)]
    as_read: bool,
}

#[derive(Debug, Serialize)]
struct SpanDone<'a> {
    register: &'a str,
    readings: usize,
    made: bool,
}

impl CorrectSpan {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let register = self.register.to_string();
        let made = !self.preview;
        let request = Request::CorrectSpan {
            meter: meter(&self.meter, site.as_ref())?,
            register: self.register,
            from_ms: self.from.timestamp_millis(),
            until_ms: self.until.timestamp_millis(),
            to: self.change.to,
            by: self.change.by,
            preview: self.preview,
            why: self.why,
        };
        let asked = block_on(async { Ok(control::ask(&machine.state, &request).await?) });
        match asked.context("the running gateway does not answer")? {
            Some(Reply::SpanCorrected(readings)) if out.json => {
                out.object(&SpanDone { register: &register, readings, made })?;
                Ok(true)
            }
            Some(Reply::SpanCorrected(readings)) => {
                let (word, does) = match (readings, made) {
                    (1, true) => ("reading", "has another figure now"),
                    (_, true) => ("readings", "have another figure now"),
                    (1, false) => ("reading", "would have another figure; nothing is done"),
                    (_, false) => ("readings", "would have another figure; nothing is done"),
                };
                out.line(&format!("{register}: {readings} {word} {does}"))?;
                Ok(true)
            }
            Some(Reply::Refused(because)) => bail!("{because}"),
            Some(_) => bail!("the running gateway is of another version"),
            None => bail!("the gateway is not running: start it first (systemctl start fyrhus)"),
        }
    }
}
