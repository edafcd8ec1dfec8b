//! How long the answers of a bus take.

use std::collections::VecDeque;
use std::time::Duration;

/// The newest answers of a bus, and the count of all since it was started.
#[derive(Debug, Default)]
pub(super) struct Times {
    newest: VecDeque<Duration>,
    answered: u64,
    failed: u64,
}

impl Times {
    pub(super) fn answered(&mut self, took: Duration) {
        self.answered += 1;
        if self.newest.len() == KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(took);
    }

    pub(super) fn failed(&mut self) {
        self.failed += 1;
    }

    pub(super) fn show(&self, bus: &mut web_ui::BusStatus) {
        let mut sorted: Vec<Duration> = self.newest.iter().copied().collect();
        sorted.sort_unstable();
        let share = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        bus.median = share(50);
        bus.p95 = share(95);
        bus.answered = self.answered;
        bus.failed = self.failed;
    }
}

const KEPT: usize = 512;
