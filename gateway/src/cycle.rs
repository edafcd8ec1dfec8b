//! Numbers that say which of two questions was the later one, whatever the wall clock did.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counter of a gateway's questions. It never goes back, not even over a restart.
#[derive(Debug)]
pub(crate) struct Cycles(AtomicU64);

impl Cycles {
    /// The counter of the daemon's start number `start`, which the store counts: two thousand
    /// million starts with four thousand million questions each.
    pub(crate) const fn of_start(start: u32) -> Self {
        Self(AtomicU64::new((start as u64) << 32))
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_has_higher_numbers() {
        let (first, second) = (Cycles::of_start(1), Cycles::of_start(2));
        assert!(first.next() < first.next());
        assert!(first.next() < second.next());
        assert!(i64::try_from(Cycles::of_start(u32::MAX / 2).next()).is_ok());
    }
}
