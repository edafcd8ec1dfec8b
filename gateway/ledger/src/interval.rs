//! Time as half-open intervals of whole seconds, and what is left of them.
//!
//! ```text
//! all      ██████████    ████████     joined: sorted, neither overlapping nor touching
//! minus       ███            █████████
//! leaves   ███   ████    ████
//! ```

/// From a second, which is in it, to a later one, which is not. Seconds UTC since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Interval {
    /// `None` unless `from` is before `until`.
    pub const fn new(from: i64, until: i64) -> Option<Self> {
        if from < until { Some(Self { from, until }) } else { None }
    }

    /// Its first second.
    pub const fn from(self) -> i64 {
        self.from
    }

    /// The first second after it.
    pub const fn until(self) -> i64 {
        self.until
    }

    /// How long it is; at least 1.
    pub const fn seconds(self) -> i64 {
        self.until - self.from
    }

    /// What both have of time.
    pub fn and(self, other: Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.until.min(other.until))
    }
}

/// All of them, sorted; what overlaps or touches is one.
pub(crate) fn joined(intervals: impl IntoIterator<Item = Interval>) -> Vec<Interval> {
    let mut all: Vec<Interval> = intervals.into_iter().collect();
    all.sort_unstable();
    let mut joined: Vec<Interval> = Vec::with_capacity(all.len());
    for next in all {
        match joined.last_mut() {
            Some(last) if next.from <= last.until => last.until = last.until.max(next.until),
            _ => joined.push(next),
        }
    }
    joined
}

/// What is left of `all` without `taken`; both joined, and so is the answer.
pub(crate) fn minus(all: &[Interval], taken: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    for &whole in all {
        let mut from = whole.from;
        for hole in taken.iter().skip(first_ending_after(taken, whole.from)) {
            if hole.from >= whole.until {
                break;
            }
            left.extend(Interval::new(from, hole.from));
            from = from.max(hole.until);
        }
        left.extend(Interval::new(from, whole.until));
    }
    left
}

/// What of `all`, which is joined, lies in `within`.
pub(crate) fn cut(all: &[Interval], within: Interval) -> Vec<Interval> {
    all.iter().filter_map(|it| it.and(within)).collect()
}

/// How long they are together.
pub(crate) fn seconds(intervals: &[Interval]) -> i64 {
    intervals.iter().map(|it| it.seconds()).sum()
}

/// The place in `joined` of the first that ends after `second`.
pub(crate) fn first_ending_after(joined: &[Interval], second: i64) -> usize {
    joined.partition_point(|it| it.until <= second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(most: usize) -> impl Strategy<Value = Vec<Interval>> {
        let one =
            (0_i64..60, 1_i64..20).prop_map(|(from, len)| Interval { from, until: from + len });
        prop::collection::vec(one, 0..most)
    }

    fn has(all: &[Interval], second: i64) -> bool {
        all.iter().any(|it| (it.from..it.until).contains(&second))
    }

    proptest! {
        #[test]
        fn second_by_second_they_are_sets(a in some(8), b in some(8)) {
            let (all, taken) = (joined(a.clone()), joined(b.clone()));
            prop_assert!(all.windows(2).all(|two| two[0].until < two[1].from));
            let left = minus(&all, &taken);
            for second in -1..81 {
                prop_assert_eq!(has(&all, second), has(&a, second));
                prop_assert_eq!(has(&left, second), has(&a, second) && !has(&b, second));
            }
        }
    }
}
