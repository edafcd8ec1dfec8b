//! `fyrhus pulse`: counters of pulses are set to what their meters show.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{Out, Where, block_on};
use crate::control::{self, Reply, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Pulse {
    /// Set a meter's counter to what its display shows; the gateway must be running
    Set(Set),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fyrhus pulse set \"Ladestolper\" 48213.6
  fyrhus pulse set 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77 \"873.2 m3\"

Pulses that come while the gateway has no power are not counted. Set the
counter when the meter is installed, after a power failure, and when the meter
was exchanged. What was counted before stays as it was stored.")]
pub(super) struct Set {
    /// The meter's name or id, as in site.toml
    meter: String,
    /// What its display shows, in the unit of its counter or with its own
    display: String,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Done<'a> {
    meter: &'a str,
    counter: &'a str,
}

impl Pulse {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self::Set(set) = self;
        let state = set.files.machine()?.state;
        let request =
            Request::SetCounter { meter: set.meter.clone(), display: set.display.clone() };
        let asked = block_on(async { Ok(control::ask(&state, &request).await?) });
        match asked.context("the running gateway does not answer")? {
            Some(Reply::Counter(counter)) if out.json => {
                out.object(&Done { meter: &set.meter, counter: &counter })?;
                Ok(true)
            }
            Some(Reply::Counter(counter)) => {
                out.line(&format!("{}: the counter shows {counter}", set.meter))?;
                Ok(true)
            }
            Some(Reply::Refused(because)) => bail!("{because}"),
            Some(_) => bail!("the running gateway is of another version"),
            None => bail!(
                "the gateway is not running: start it first (systemctl start fyrhus), and it \
                 counts on from what is set"
            ),
        }
    }
}
