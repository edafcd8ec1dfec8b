//! Which documents the portfolio was asked about, so that it is not asked again with every hour of the
//! ledger.

use std::collections::BTreeMap;
use std::time::Duration;

/// The documents that the portfolio has, or does not take, by the SHA-256 of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// With so many entries all the documents that they name were looked at.
    entries: u64,
    /// When it may be asked again, by the age of the boot; `None`: it has the document.
    again: BTreeMap<[u8; 32], Option<Duration>>,
}

impl Handed {
    /// Whether there may be a document that it was not asked about, in a ledger of so many entries.
    pub(crate) fn is_due(&self, entries: u64, now: Duration) -> bool {
        let later = |again: &Option<Duration>| again.is_some_and(|again| again <= now);
        self.entries != entries || self.again.values().any(later)
    }

    /// Whether it has to be asked about this one.
    pub(crate) fn lacks(&self, sha256: &[u8; 32], now: Duration) -> bool {
        self.again.get(sha256).is_none_or(|again| again.is_some_and(|again| again <= now))
    }

    /// It has the document.
    pub(crate) fn has(&mut self, sha256: [u8; 32]) {
        self.note(sha256, None);
    }

    /// It does not take the document. There may be room for it tomorrow.
    pub(crate) fn refused(&mut self, sha256: [u8; 32], now: Duration) {
        self.note(sha256, Some(now + REFUSED_FOR));
    }

    /// Every document that so many entries name was looked at.
    pub(crate) fn looked_at(&mut self, entries: u64) {
        self.entries = entries;
    }

    fn note(&mut self, sha256: [u8; 32], again: Option<Duration>) {
        // Whoever names so many has each of them asked about anew, which costs a question each.
        if self.again.len() >= MOST && !self.again.contains_key(&sha256) {
            self.again.clear();
        }
        self.again.insert(sha256, again);
    }
}

const REFUSED_FOR: Duration = Duration::from_hours(24);

/// 40 bytes each.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn nobody_is_asked_again_because_an_hour_was_written() {
        let mut handed = Handed::default();
        assert!(handed.is_due(0, HOUR) || handed.is_due(7, HOUR));
        assert!(handed.lacks(&[1; 32], HOUR) && handed.lacks(&[2; 32], HOUR));
        handed.has([1; 32]);
        handed.refused([2; 32], HOUR);
        handed.looked_at(7);
        assert!(!handed.is_due(7, HOUR));
        // An hour later the ledger has an entry more.
        assert!(handed.is_due(8, 2 * HOUR));
        assert!(!handed.lacks(&[1; 32], 2 * HOUR) && !handed.lacks(&[2; 32], 2 * HOUR));
        assert!(handed.lacks(&[3; 32], 2 * HOUR), "a new one");
    }

    #[test]
    fn one_that_is_not_taken_is_offered_again_the_next_day() {
        let mut handed = Handed::default();
        handed.refused([2; 32], HOUR);
        handed.looked_at(7);
        assert!(!handed.is_due(7, 24 * HOUR));
        assert!(handed.is_due(7, 25 * HOUR) && handed.lacks(&[2; 32], 25 * HOUR));
        handed.has([2; 32]);
        assert!(!handed.is_due(7, 25 * HOUR) && !handed.lacks(&[2; 32], 100 * HOUR));
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let mut handed = Handed::default();
        for number in 0..3 * MOST {
            let mut sha256 = [0; 32];
            sha256[..8].copy_from_slice(&number.to_be_bytes());
            handed.has(sha256);
            assert!(handed.again.len() <= MOST && !handed.lacks(&sha256, HOUR));
        }
    }
}
