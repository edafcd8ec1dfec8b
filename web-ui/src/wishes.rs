//! Asking the daemon, and waiting for its answer.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::Web;
use crate::handles::Wish;
use crate::problem::{Code, Problem};

impl Web {
    /// What the daemon answers to the wish that `make` makes.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] if too many wishes are waiting, [`Code::Stopping`] if nobody answers any
    /// more.
    ///
    /// # Cancellation
    ///
    /// A wish that was sent is fulfilled, whether or not somebody waits for the answer.
    pub(crate) async fn wish<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Wish,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.handles.wishes.try_send(make(reply)).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = "The gateway has too much to do. Try again in a moment.";
                Problem::new(Code::Busy, detail)
            }
            TrySendError::Closed(_) => Problem::stopping(),
        })?;
        answer.await.map_err(|_| Problem::stopping())
    }
}
