//! A task that ends unasked is a bug: it is said, and the task is started again, later each time.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

/// A task that runs as long as the daemon does, in several lives if need be.
pub(crate) trait Task: Send {
    /// For the log.
    fn name(&self) -> String;

    /// One life. What `self` holds goes over into the next, so a queue outlives a panic.
    fn live(&mut self) -> impl Future<Output = ()> + Send;
}

/// Runs `task` until `stop`; each time that it ends or panics before, it is started again.
///
/// A task that does not look at `stop` itself is dropped by the caller, at any `.await`.
pub(crate) async fn restarted(mut task: impl Task, stop: CancellationToken) {
    let name = task.name();
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let ended = AssertUnwindSafe(task.live()).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        if begun.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        match ended {
            Ok(()) => tracing::error!(task = name, again_in = ?pause, "a task ended unasked"),
            Err(panic) => {
                let said = said(&*panic);
                tracing::error!(task = name, again_in = ?pause, said, "a task panicked");
            }
        }
        if stop.run_until_cancelled(time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("nothing")
}

/// A task that ended is started again after so long, and then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// One that ran for so long was in order before it ended.
const LAST_PAUSE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends, panics, ends, and then asks to be stopped.
    struct Failing {
        begun: Instant,
        stop: CancellationToken,
        starts: std::sync::mpsc::Sender<u64>,
        lives: u32,
    }

    impl Task for Failing {
        fn name(&self) -> String {
            "failing".to_owned()
        }

        async fn live(&mut self) {
            self.starts.send(self.begun.elapsed().as_secs()).unwrap();
            self.lives += 1;
            match self.lives {
                1 | 3 => {}
                2 => panic!("on purpose"),
                _ => self.stop.cancel(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_or_panics_is_started_again_later_and_later() {
        let stop = CancellationToken::new();
        let (starts, started) = std::sync::mpsc::channel();
        let task = Failing { begun: Instant::now(), stop: stop.clone(), starts, lives: 0 };
        restarted(task, stop).await;
        assert_eq!(started.iter().collect::<Vec<_>>(), [0, 1, 3, 7]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pause() {
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let (starts, started) = std::sync::mpsc::channel();
        let failing = Failing { begun, stop: CancellationToken::new(), starts, lives: 0 };
        let task = tokio::spawn(restarted(failing, stop.clone()));
        tokio::task::yield_now().await;
        assert_eq!(started.recv(), Ok(0));
        stop.cancel();
        task.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
