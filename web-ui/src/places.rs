//! So many at once in all, and so many of one person.
//!
//! Both bounds matter: the one keeps the gateway from doing too much at a time, the other keeps one
//! person, or whoever has their cookie, from taking the places of all others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metering::UserId;

/// Places that people take and give back. Nobody waits for one: whoever finds none is told so.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl Places {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, taken: Arc::default() }
    }

    /// A place for `user`, until it is dropped; `None` if there is none left, in all or for them.
    pub(crate) fn take(&self, user: UserId) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.most {
            return None;
        }
        let own = taken.entry(user).or_default();
        if *own >= self.most_of_one {
            return None;
        }
        *own += 1;
        Some(Place { user, taken: Arc::clone(&self.taken) })
    }
}

/// One of the [`Places`].
pub(crate) struct Place {
    user: UserId,
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_never_takes_all_places() {
        let places = Places::new(3, 2);
        let [kari, per] = [1, 2].map(|it| UserId::from_uuid(uuid::Uuid::from_u128(it)));
        let first = places.take(kari);
        let second = places.take(kari);
        assert!(first.is_some() && second.is_some() && places.take(kari).is_none());
        let third = places.take(per);
        assert!(third.is_some() && places.take(per).is_none(), "all are taken");
        drop(first);
        assert!(places.take(per).is_some());
        drop((second, third));
        assert!(places.taken.lock().unwrap().is_empty(), "who left is forgotten");
    }
}
