//! Whether the portfolio takes new readings, for the promise of uptime.
//!
//! Of what is sent anyway each refusal is told, and what is taken for the first time after it.
//!
//! **Never true:** that a refusal is told which is not the service's own word that it cannot: what goes
//! wrong on the way there says nothing of it, and no more does an answer that the data is wrong.

use std::sync::Arc;

use metering::{Clock, Moment};
use sync_wire::{Ack, Wishes, path};
use tokio::sync::mpsc;

use super::Link;
use crate::post::SyncError;

/// How a message of readings was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent.
    pub at: Moment,
    /// The HTTP status, 500 to 599, by which it was refused; `None` if it was taken.
    pub refused: Option<u16>,
}

/// Tells.
#[derive(Debug)]
pub(super) struct Teller {
    clock: Arc<dyn Clock>,
    told: mpsc::Sender<Sent>,
    /// That it takes readings was told, and nothing else since.
    takes: bool,
}

impl Teller {
    pub(super) fn new(clock: Arc<dyn Clock>, told: mpsc::Sender<Sent>) -> Self {
        Self { clock, told, takes: false }
    }

    fn note(&mut self, at: Moment, path: &str, failed: Option<&SyncError>) {
        let refused = failed.and_then(SyncError::fault);
        let has_readings = matches!(path, path::BATCH | path::LATEST);
        let takes = failed.is_none() && has_readings;
        let is_news = match refused {
            // Nothing can be sent that the portfolio has no names for.
            Some(_) => has_readings || path == path::SERIES,
            None => takes && !self.takes,
        };
        // Where nobody reads it in time it is lost, and nothing is said of that time.
        if is_news && self.told.try_send(Sent { at, refused }).is_ok() {
            self.takes = takes;
        }
    }
}

impl Link {
    /// Posts what is answered with how far we are.
    pub(super) async fn acknowledged(
        &mut self,
        path: &str,
        message: Vec<u8>,
    ) -> Result<Ack, SyncError> {
        let at = self.teller.clock.now();
        let answer = self.post.post(path, message, Ack::read_with).await;
        self.teller.note(at, path, answer.as_ref().err());
        let (ack, wishes) = answer?;
        self.wishes = wishes;
        if wishes.has(Wishes::ERRANDS) {
            self.errands.notify_one();
        }
        Ok(ack)
    }
}
