//! `fyrhus claim-code`: a new one-time code, when the first one was lost or is too old.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono_tz::Tz;
use serde::Serialize;
use store::{Options, Store};

use super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::control::{self, Reply, Request};

#[derive(Debug, clap::Args)]
pub(super) struct ClaimCode {
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Code {
    claim_code: Option<String>,
}

impl ClaimCode {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let asked = block_on(async { Ok(control::ask(&state, &Request::ClaimCode).await?) });
        let code = match asked.context("the running gateway does not answer")? {
            Some(Reply::ClaimCode(code)) => code,
            Some(Reply::Refused(because)) => bail!("{because}"),
            Some(_) => bail!("the running gateway is of another version"),
            None => {
                let clock = Arc::new(SystemClock::new());
                let options = Options::new(state.clone(), Tz::Europe__Oslo);
                let (store, _) =
                    Store::open(options, Arc::clone(&clock) as _).with_context(|| {
                        format!("the store in {} cannot be opened", state.display())
                    })?;
                let core = store.core();
                let code = block_on(async { Ok(web_ui::open_claim(&core, &*clock).await?) });
                drop(core);
                store.close().context("the store was not closed in order")?;
                code?
            }
        };
        let claimed = code.is_none();
        if out.json {
            out.object(&Code { claim_code: code })?;
        } else if let Some(code) = code {
            out.line(&format!("{code}\nGood once, for an hour, on the gateway's first page."))?;
        } else {
            out.trouble("fyrhus: this gateway has been claimed: its owner can add users");
        }
        Ok(!claimed)
    }
}
