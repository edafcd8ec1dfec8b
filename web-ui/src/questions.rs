//! Asking the store for what the pages show.

use std::sync::Arc;
use std::time::Duration;

use store::{Snapshot, StoreError};

use crate::Web;
use crate::problem::{Code, Problem};
use crate::session::Visitor;

impl Web {
    /// What the store answers to `question`.
    ///
    /// Two are answered at once, which leaves half of the store's readers to those who log in and
    /// to the daemon; the others wait. Of one visitor so many may wait, and of all together.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] if too many are waiting, or it would take too long.
    ///
    /// # Cancellation
    ///
    /// A question that has begun is answered to nobody, and keeps its turn until then.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        visitor: &Visitor,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || {
            let detail = "The history is asked too much at once. Try again in a moment.";
            Problem::new(Code::Busy, detail).retry_after(Duration::from_secs(5))
        };
        let place = self.doors.questions.take(visitor.user.id).ok_or_else(busy)?;
        let turn = Arc::clone(&self.doors.answering).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(LONGEST_WAIT, turn).await else {
            return Err(busy());
        };
        let answer = self.handles.readers.ask(move |store| {
            let _held = (place, turn);
            question(store)
        });
        Ok(answer.await?)
    }
}

const LONGEST_WAIT: Duration = Duration::from_secs(10);
