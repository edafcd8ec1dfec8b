//! `fyrhus enrol`: join a portfolio service, whether the gateway runs or not.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use drivers::Profiles;
use serde::Serialize;

use super::{Out, Where, block_on};
use crate::clock::SystemClock;
use crate::cloud;
use crate::control::{self, Reply, Request};
use crate::keys::Keys;

#[derive(Debug, clap::Args)]
pub(super) struct Enrol {
    /// The portfolio's address for gateways, such as `https://portfolio.example:9443`
    #[arg(long)]
    url: String,
    /// The one-time code that the portfolio gave out
    #[arg(long)]
    code: String,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Enrolled {
    enrolled: bool,
    url: String,
}

impl Enrol {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (url, code) = (self.url.clone(), self.code.clone());
        let asked = block_on(async {
            let request = Request::Enrol { url: url.clone(), code: code.clone() };
            let asked = control::ask(&machine.state, &request).await;
            match asked.context("the running gateway does not answer")? {
                Some(Reply::Done) => Ok(()),
                Some(Reply::Refused(because)) => bail!("{because}"),
                Some(_) => bail!("the running gateway is of another version"),
                None => {
                    let clock = SystemClock::new();
                    clock.ask(machine.clock).await;
                    let keys = Keys::open(&machine.state, &clock)
                        .context("the gateway's keys cannot be used")?;
                    // As the gateway itself will go, once it runs.
                    let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
                    let cloud = super::site(&machine, &profiles).and_then(|site| site.cloud);
                    let way = cloud::way(cloud.as_ref(), &Arc::default());
                    let identity = cloud::enrol(&url, &code, keys.gateway, &clock, &way).await;
                    let identity = identity
                        .map_err(|because| anyhow::anyhow!("{}", cloud::sentence(&because)))?;
                    cloud::keep(&machine.state, &identity).context("the identity cannot be kept")
                }
            }
        });
        asked?;
        if out.json {
            out.object(&Enrolled { enrolled: true, url: self.url })?;
        } else {
            out.line(&format!("enrolled with {}", self.url))?;
        }
        Ok(true)
    }
}
