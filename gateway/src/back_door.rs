//! What the commands of `fyrhus` may ask of the running daemon: whoever may read its keys, and
//! nobody over the network.

use std::path::PathBuf;
use std::sync::Arc;

use drivers::pulse::Counts;
use tokio::sync::{oneshot, watch};
use web_ui::{Handles, Wish};

use crate::control::{self, Reply, Request};
use crate::restart::Task;
use crate::scribe::Scribe;
use crate::{cloud, counters};

/// What the commands need of the daemon.
#[derive(Debug)]
pub(crate) struct BackDoor {
    pub(crate) scribe: Scribe,
    pub(crate) state: PathBuf,
    pub(crate) handles: Handles,
    pub(crate) counts: Counts,
    pub(crate) profiles: watch::Receiver<Arc<drivers::Profiles>>,
}

impl Task for BackDoor {
    fn name(&self) -> String {
        "control".to_owned()
    }

    async fn live(&mut self) {
        let state = self.state.clone();
        if let Err(error) = control::serve(&state, self).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "commands cannot reach the gateway");
        }
    }
}

impl control::Answer for BackDoor {
    async fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::ClaimCode => {
                match web_ui::open_claim(&self.handles.core, &*self.handles.clock).await {
                    Ok(code) => Reply::ClaimCode(code),
                    Err(error) => Reply::Refused(crate::chain(&error)),
                }
            }
            Request::Record { fact } => {
                let fact = data_encoding::HEXLOWER.decode(fact.as_bytes()).ok();
                let Some(fact) = fact.and_then(|fact| ledger::entry::Fact::from_bytes(&fact))
                else {
                    return Reply::Refused("this is nothing that a ledger has".to_owned());
                };
                match self.scribe.write(fact).await {
                    Ok(seq) => Reply::Recorded(seq),
                    Err(error) => Reply::Refused(crate::chain(&error)),
                }
            }
            Request::KeepProof { bytes } => {
                let Ok(bytes) = data_encoding::HEXLOWER.decode(bytes.as_bytes()) else {
                    return Reply::Refused("a document is sent in hex".to_owned());
                };
                match self.scribe.keep(bytes).await {
                    Ok(_) => Reply::Done,
                    Err(error) => Reply::Refused(crate::chain(&error)),
                }
            }
            Request::SetCounter { meter, display } => {
                let site = self.handles.site.borrow().clone();
                let profiles = &Arc::clone(&self.profiles.borrow());
                let (counts, core) = (&self.counts, &self.handles.core);
                let set = counters::set(counts, profiles, &site, core, "console", &meter, &display);
                set.await.map_or_else(Reply::Refused, Reply::Counter)
            }
            Request::Enrol { url, code } => {
                let (reply, answer) = oneshot::channel();
                let wish = Wish::Enrol { url, code, reply };
                if self.handles.wishes.send(wish).await.is_err() {
                    return Reply::Refused("the gateway is stopping".to_owned());
                }
                match answer.await {
                    Ok(Ok(())) => Reply::Done,
                    Ok(Err(refused)) => Reply::Refused(cloud::sentence(&refused).to_owned()),
                    Err(_) => Reply::Refused("the gateway is stopping".to_owned()),
                }
            }
        }
    }
}
