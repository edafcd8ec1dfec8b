//! What the commands of `fyrhus` may ask of the running daemon: whoever may read its keys, and
//! nobody over the network.

use std::sync::Arc;

use drivers::pulse::Counts;
use tokio::sync::{oneshot, watch};
use web_ui::{Handles, NewFigure, NewSpan, SpanChange, Wish};

use crate::config::Machine;
use crate::control::{self, Reply, Request};
use crate::restart::Task;
use crate::scribe::Scribe;
use crate::{cloud, counters, diagnosis};

/// What the commands need of the daemon.
#[derive(Debug)]
pub(crate) struct BackDoor {
    pub(crate) scribe: Scribe,
    pub(crate) machine: Machine,
    pub(crate) handles: Handles,
    pub(crate) counts: Counts,
    pub(crate) profiles: watch::Receiver<Arc<drivers::Profiles>>,
}

impl Task for BackDoor {
    fn name(&self) -> String {
        "control".to_owned()
    }

    async fn live(&mut self) {
        let state = self.machine.state.clone();
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
            Request::Diagnose => {
                let now = self.handles.clock.now().wall;
                Reply::Diagnosis(diagnosis::made(&self.machine, Some(&self.handles), now).await)
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
            Request::ChangeKey => match self.scribe.change_key().await {
                Ok(seq) => Reply::Recorded(seq),
                Err(error) => Reply::Refused(crate::chain(&error)),
            },
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
            Request::Correct { meter, register, at_ms, display, why } => {
                let (reply, answer) = oneshot::channel();
                let who = "console".to_owned();
                let figure = NewFigure { meter, register, at_ms, display, who, why };
                let wish = Wish::Correct { figure: Box::new(figure), reply };
                if self.handles.wishes.send(wish).await.is_err() {
                    return Reply::Refused("the gateway is stopping".to_owned());
                }
                match answer.await {
                    Ok(Ok(made)) => Reply::Corrected {
                        old: match made.old {
                            Some(Ok(old)) => old.to_string(),
                            Some(Err(reason)) => format!("nothing ({})", reason.as_str()),
                            None => "nothing".to_owned(),
                        },
                        new: made.new.to_string(),
                    },
                    Ok(Err(error)) => Reply::Refused(error.why),
                    Err(_) => Reply::Refused("the gateway is stopping".to_owned()),
                }
            }
            Request::CorrectSpan { meter, register, from_ms, until_ms, to, by, preview, why } => {
                let change = match (to, by) {
                    (Some(to), _) => SpanChange::To(to),
                    (None, Some(by)) => SpanChange::By(by),
                    (None, None) => SpanChange::AsRead,
                };
                let (reply, answer) = oneshot::channel();
                let (span, who) = (from_ms..until_ms, "console".to_owned());
                let span = NewSpan { meter, register, span, change, preview, who, why };
                let wish = Wish::CorrectSpan { span: Box::new(span), reply };
                if self.handles.wishes.send(wish).await.is_err() {
                    return Reply::Refused("the gateway is stopping".to_owned());
                }
                match answer.await {
                    Ok(Ok(made)) => Reply::SpanCorrected(made.readings),
                    Ok(Err(error)) => Reply::Refused(error.why),
                    Err(_) => Reply::Refused("the gateway is stopping".to_owned()),
                }
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
