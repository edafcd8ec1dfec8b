//! What the writer thread shows to everybody else.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::accounts::Fleeting;
use crate::civil::Civil;
use crate::completeness::Schedules;
use crate::correction::Corrected;
use crate::hot::Hot;
use crate::registry::Registry;
use crate::spool::Held;

/// One view of the store's memory. Cloning it is cheap, and it does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) registry: Arc<Registry>,
    pub(crate) hot: Arc<Hot>,
    pub(crate) schedules: Arc<Schedules>,
    /// Which readings hold no longer.
    pub(crate) corrected: Arc<Corrected>,
    /// The raw files, by month.
    pub(crate) files: Arc<Vec<Held>>,
    /// Changes when a file was put aside or deleted, so that nobody reads on in the old one.
    pub(crate) generation: u64,
    /// The newest number that was given.
    pub(crate) head: u64,
    pub(crate) acked: u64,
    pub(crate) epoch: u64,
}

/// The state, and what never changes.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) civil: Civil,
    state: RwLock<State>,
    head: watch::Sender<u64>,
    /// The store was begun on a disk that is read-only. Who holds a file open there keeps its log read-only for
    /// the whole process, also when the disk takes something again: so nobody holds one beyond a question.
    pub(crate) unopened: AtomicBool,
    /// Who logged in while the disk took nothing.
    pub(crate) fleeting: Fleeting,
}

impl Shared {
    pub(crate) fn new(dir: PathBuf, civil: Civil, state: State) -> Self {
        let (head, _) = watch::channel(state.head);
        Self {
            dir,
            civil,
            state: RwLock::new(state),
            head,
            unopened: AtomicBool::new(false),
            fleeting: Fleeting::default(),
        }
    }

    /// The state as it is now.
    pub(crate) fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the state. Only the writer thread does, so nothing is lost between two calls.
    ///
    /// What is behind an `Arc` is copied only if somebody is reading it at the moment.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = state.head;
        let result = change(&mut state);
        let head = state.head;
        drop(state);
        if head != before {
            self.head.send_replace(head);
        }
        result
    }

    /// The newest number, as it grows.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}
