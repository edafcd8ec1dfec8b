//! Chance that can be asked again: a number for each seed, subject and index.
//!
//! Not a generator with a state, which would have to be run from the beginning to know what it
//! said two years ago, but a hash (the finaliser of `SplitMix64`) of what is asked.

/// One stream of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mixed(seed))
    }

    /// Another stream, for one subject: FNV-1a of its name, mixed with this one.
    pub(crate) fn of(self, subject: &str) -> Self {
        let name = subject.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(mixed(self.0 ^ name))
    }

    /// Any of 2⁶⁴ numbers.
    pub(crate) const fn number(self, index: i64) -> u64 {
        mixed(self.0 ^ index.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// One of the numbers below `bound`, which is small enough for its remainder to be fair.
    pub(crate) const fn below(self, index: i64, bound: u32) -> u32 {
        (self.number(index) >> 32) as u32 % bound
    }

    /// From 0 up to 1.
    pub(crate) fn share(self, index: i64) -> f64 {
        f64::from((self.number(index) >> 32) as u32) / 4_294_967_296.0
    }

    /// A smooth line between -1 and 1 that goes through a number of its own at each whole `at`.
    pub(crate) fn wave(self, at: f64) -> f64 {
        let before = at.floor();
        let way = at - before;
        #[expect(clippy::cast_possible_truncation, reason = "knots since the epoch: far below 2⁵³")]
        let index = before as i64;
        let eased = way * way * (3.0 - 2.0 * way);
        let (from, to) = (self.share(index), self.share(index + 1));
        2.0 * (from + (to - from) * eased) - 1.0
    }
}

const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_the_same_when_it_is_asked_again_and_other_things_to_others() {
        let dice = Dice::new(7).of("clouds");
        assert_eq!(dice.number(-3), Dice::new(7).of("clouds").number(-3));
        assert_ne!(dice.number(0), dice.number(1));
        assert_ne!(dice.number(0), Dice::new(8).of("clouds").number(0));
        assert_ne!(dice.number(0), Dice::new(7).of("fronts").number(0));
    }

    #[test]
    fn a_wave_is_smooth_and_fills_its_range() {
        let dice = Dice::new(1).of("wave");
        let line: Vec<f64> = (0..20_000).map(|step| dice.wave(f64::from(step) / 100.0)).collect();
        assert!(line.iter().all(|it| (-1.0..=1.0).contains(it)));
        assert!(line.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.04));
        assert!(line.iter().any(|it| *it > 0.8) && line.iter().any(|it| *it < -0.8));
    }
}
