//! Wrong tries make the next one wait.
//!
//! Twice as long each time, per account and per source, and never for good: a building whose owner
//! is locked out by a neighbour's guesses is worse off than one whose neighbour guesses slowly.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How fast tries may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Wrong tries that cost nothing: people mistype.
    pub free: u32,
    /// The wait after the next one. It doubles with each more.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Pace {
    /// For an account. Its longest wait is short, because anybody can cause it.
    pub const ACCOUNT: Self =
        Self { free: 5, first: Duration::from_secs(1), most: Duration::from_mins(1) };
    /// For a source, such as an address of the network.
    pub const SOURCE: Self =
        Self { free: 5, first: Duration::from_secs(1), most: Duration::from_mins(15) };

    fn wait(&self, wrong: u32) -> Duration {
        let Some(doublings) = wrong.checked_sub(self.free) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// The wrong tries of each account, or of each source.
///
/// Kept in memory: a restart forgets them, and whoever can restart the gateway has no need to
/// guess. Times are the age of the boot ([`boottime`](metering::Moment::boottime)), which nobody
/// can set.
///
/// It holds at most [`Self::MOST`] keys. When it is full the key that has been quiet for the
/// longest is forgotten.
#[derive(Debug)]
pub struct Slowing<K> {
    pace: Pace,
    tries: HashMap<K, Tries>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    last: Duration,
}

impl<K: Clone + Eq + Hash> Slowing<K> {
    /// Nobody has tried yet.
    pub fn new(pace: Pace) -> Self {
        Self { pace, tries: HashMap::new() }
    }

    /// How long `key` has to wait before its next try; `None` if it need not.
    pub fn wait<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Duration) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        let Tries { wrong, last } = *self.tries.get(key)?;
        let left = (last + self.pace.wait(wrong)).checked_sub(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Counts a try as wrong. Do so before it is judged, or a hundred at once are all free;
    /// [`forgive`](Self::forgive) it when it was right.
    pub fn count(&mut self, key: K, now: Duration) {
        if self.tries.len() >= Self::MOST && !self.tries.contains_key(&key) {
            let quietest = self.tries.iter().min_by_key(|(_, tries)| tries.last);
            if let Some(quietest) = quietest.map(|(key, _)| key.clone()) {
                self.tries.remove(&quietest);
            }
        }
        let tries = self.tries.entry(key).or_insert(Tries { wrong: 0, last: now });
        if now.saturating_sub(tries.last) > Self::FORGOTTEN_AFTER {
            tries.wrong = 0;
        }
        *tries = Tries { wrong: tries.wrong.saturating_add(1), last: now };
    }

    /// Forgets the wrong tries of `key`, who got it right.
    pub fn forgive<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.tries.remove(key);
    }

    /// The most keys that it holds: some hundred kilobytes.
    pub const MOST: usize = 4_096;
    /// A day without a wrong try begins anew.
    pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn waits_double_and_end() {
        let mut slowing = Slowing::new(Pace::ACCOUNT);
        let mut now = secs(0);
        let mut waits = Vec::new();
        for _ in 0..14 {
            slowing.count("kari", now);
            let wait = slowing.wait("kari", now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(slowing.wait("kari", now), None, "never for good");
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn one_who_waits_costs_nobody_else() {
        let mut slowing = Slowing::new(Pace::SOURCE);
        for _ in 0..9 {
            slowing.count("10.0.0.7", secs(0));
        }
        assert_eq!(slowing.wait("10.0.0.7", secs(0)), Some(secs(16)));
        assert_eq!(slowing.wait("10.0.0.7", secs(6)), Some(secs(10)));
        assert_eq!(slowing.wait("10.0.0.8", secs(0)), None);
    }

    #[test]
    fn who_gets_it_right_or_rests_for_a_day_begins_anew() {
        let mut slowing = Slowing::new(Pace::ACCOUNT);
        for _ in 0..9 {
            slowing.count("kari", secs(0));
            slowing.count("per", secs(0));
        }
        slowing.forgive("kari");
        assert_eq!(slowing.wait("kari", secs(0)), None);
        slowing.count("per", secs(86_402));
        assert_eq!(slowing.wait("per", secs(86_402)), None);
    }

    #[test]
    fn the_quietest_is_forgotten_when_it_is_full() {
        let mut slowing = Slowing::new(Pace::ACCOUNT);
        for key in 0..=Slowing::<usize>::MOST {
            for _ in 0..8 {
                slowing.count(key, secs(10 * u64::try_from(key).unwrap()));
            }
        }
        let now = secs(10 * u64::try_from(Slowing::<usize>::MOST).unwrap());
        assert_eq!(slowing.tries.len(), Slowing::<usize>::MOST);
        assert!(!slowing.tries.contains_key(&0));
        assert!(slowing.wait(&Slowing::<usize>::MOST, now).is_some());
    }
}
