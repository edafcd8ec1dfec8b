//! `fyrhus diagnose`: what somebody who helps from afar has to know, without names, secrets and readings.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use metering::Clock as _;

use super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::control::{self, Reply, Request};
use crate::diagnosis;

#[derive(Debug, clap::Args)]
pub(super) struct Diagnose {
    /// Write it into this file, which must not be there
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    files: Where,
}

impl Diagnose {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let told = block_on(async {
            match control::ask(&machine.state, &Request::Diagnose).await {
                Ok(Some(Reply::Diagnosis(told))) => Ok(told),
                Ok(Some(Reply::Refused(because))) => bail!("{because}"),
                Ok(Some(_)) => bail!("the running gateway is of another version"),
                // Of one that does not run, or is not in order, what its files tell.
                Ok(None) | Err(_) => {
                    Ok(diagnosis::made(&machine, None, SystemClock::new().now().wall).await)
                }
            }
        })?;
        let Some(to) = self.to else {
            out.text(&told)?;
            return Ok(true);
        };
        let file = File::options().write(true).create_new(true).mode(0o600).open(&to);
        let mut file = file.with_context(|| format!("{} cannot be made", to.display()))?;
        file.write_all(told.as_bytes())?;
        out.line(&format!("{} is written. Look through it before you send it.", to.display()))?;
        Ok(true)
    }
}
