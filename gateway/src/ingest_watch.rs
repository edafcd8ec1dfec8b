//! Whether the portfolio takes new readings: how what was sent to it was answered is kept beside the
//! probe's attempts, and goes into the ledger with them.
//!
//! ```text
//! uploader ──▶ refused, taken again ──▶ attempts ──▶ ledger
//! ```
//!
//! **Never true:** that a message is sent for this, or that sending one waits for it.

use cloud_sync::Sent;
use ledger::{Attempt, Channel, Failure, Outcome, References};
use metering::Trust;
use store::{AttemptRow, Core};
use tokio::sync::mpsc;

use crate::restart::Task;

/// Keeps them.
#[derive(Debug)]
pub(crate) struct IngestWatch {
    pub(crate) core: Core,
    pub(crate) answers: mpsc::Receiver<Sent>,
}

impl Task for IngestWatch {
    fn name(&self) -> String {
        "ingest watch".to_owned()
    }

    async fn live(&mut self) {
        while let Some(sent) = self.answers.recv().await {
            if let Some(status) = sent.refused {
                tracing::warn!(status, "the portfolio does not take new readings");
            }
            if let Err(error) = self.core.append_attempts(vec![row(sent)]).await {
                tracing::error!(error = crate::chain(&error), "an answer to the sync is not kept");
            }
        }
        // The sync is over: nothing more comes.
        std::future::pending::<()>().await;
    }
}

fn row(sent: Sent) -> AttemptRow {
    let Sent { at, refused } = sent;
    let failed = |status| Outcome::Failed(Failure::Status(status));
    let attempt = Attempt {
        at: at.wall.timestamp(),
        outcome: refused.map_or(Outcome::Success, failed),
        references: References::default(),
        clock_trusted: at.trust >= Trust::Holdover,
        age: u32::try_from(at.boottime.as_secs()).ok(),
    };
    AttemptRow { at_ms: at.wall_ms(), body: attempt.to_bytes_of(Channel::Ingest) }
}

/// More than are sent while a slow disk keeps one.
pub(crate) const MOST_SENT: usize = 64;
