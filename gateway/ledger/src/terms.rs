//! What a contract may set otherwise than is usual: tiers, cap, times of notice, sites.

use std::fmt;

use crate::canon::{Canon, Pen, Reader, record};
use crate::case::Ore;

/// What is credited: the share of the month's fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tier(u8);

impl Tier {
    /// The promise was kept.
    pub const NONE: Self = Self(0);

    /// `None` above 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// In percent of the fee.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

/// From which uptime on how much is credited.
///
/// **Invariant:** there is at least one; limits fall and credits grow from one to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers(Vec<Limit>);

/// Below an uptime, this is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Uptime in hundredths of a percent: 9,950 for 99.5 %.
    pub below: u16,
    /// What is credited of the month's fee, in percent.
    pub credit: u8,
}
record!(Limit { below, credit });

impl Limit {
    /// How many seconds of `denominator` may be down without coming below it.
    pub fn allows(self, denominator: i64) -> i64 {
        (10_000 - i64::from(self.below)) * denominator / 10_000
    }
}

impl Default for Tiers {
    fn default() -> Self {
        let limit = |(below, credit)| Limit { below, credit };
        Self([(9_950, 10), (9_900, 25), (9_500, 50)].map(limit).to_vec())
    }
}

impl Tiers {
    /// The tiers with these limits.
    ///
    /// # Errors
    ///
    /// [`NoTiers`] unless limits fall from at most 100 % and credits grow to at most 100 %.
    pub fn new(limits: Vec<Limit>) -> Result<Self, NoTiers> {
        if limits.is_empty() || limits.len() > MOST_TIERS {
            return Err(NoTiers::Count(limits.len()));
        }
        let mut before = Limit { below: 10_001, credit: 0 };
        for limit in &limits {
            if limit.below == 0 || limit.below >= before.below {
                return Err(NoTiers::Limit(limit.below));
            }
            if limit.credit <= before.credit || limit.credit > 100 {
                return Err(NoTiers::Credit(limit.credit));
            }
            before = *limit;
        }
        Ok(Self(limits))
    }

    /// How many seconds of `denominator` may be down without any credit.
    pub fn allows(&self, denominator: i64) -> i64 {
        self.0.first().map_or(denominator, |limit| limit.allows(denominator))
    }

    /// From the highest uptime to the lowest.
    pub fn limits(&self) -> &[Limit] {
        &self.0
    }

    /// What is credited for `up` of `denominator` seconds, compared in integers.
    pub(crate) fn of(&self, up: i64, denominator: i64) -> Tier {
        let below = |limit: &&Limit| 10_000 * up < i64::from(limit.below) * denominator;
        self.0.iter().rev().find(below).map_or(Tier::NONE, |limit| Tier(limit.credit))
    }

    /// The counted seconds of `denominator` by which a month is lost.
    pub(crate) fn lost_by(&self, denominator: i64) -> i64 {
        self.allows(denominator) + 1
    }
}

impl Canon for Tiers {
    fn write(&self, pen: &mut Pen) {
        pen.put(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Self::new(reader.get()?).ok()
    }
}

/// Why limits make no tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTiers {
    /// So many.
    Count(usize),
    /// A limit that is not below the one before it.
    Limit(u16),
    /// A credit that is not above the one before it.
    Credit(u8),
}

impl fmt::Display for NoTiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count} tiers; there may be 1 to {MOST_TIERS}"),
            Self::Limit(below) => write!(
                f,
                "a limit of {}.{:02} % uptime; each has to be above 0 and below the one before it, \
                 the first at most 100",
                below / 100,
                below % 100
            ),
            Self::Credit(credit) => write!(
                f,
                "a credit of {credit} %; each has to be above the one before it, and at most 100"
            ),
        }
    }
}

impl std::error::Error for NoTiers {}

/// What a contract may set otherwise than is usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From which uptime on how much is credited.
    pub tiers: Tiers,
    /// To what all liability of twelve months is limited, if that is a sum that is agreed.
    pub cap: Option<Ore>,
    /// How many days there are for the notice of a breach.
    pub claim_days: u16,
    /// How many calendar days before planned maintenance it has to be announced.
    pub notice_days: u8,
    /// The sites that have this one fee; empty for the gateway's own alone.
    pub sites: Vec<String>,
}
record!(Terms { tiers, cap, claim_days, notice_days, sites });

impl Default for Terms {
    fn default() -> Self {
        let (claim_days, notice_days) = (30, 3);
        Self { tiers: Tiers::default(), cap: None, claim_days, notice_days, sites: Vec::new() }
    }
}

/// More than a contract can have.
const MOST_TIERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(limits: &[(u16, u8)]) -> Result<Tiers, NoTiers> {
        Tiers::new(
            limits.iter().map(|(below, credit)| Limit { below: *below, credit: *credit }).collect(),
        )
    }

    #[test]
    fn limits_fall_and_credits_grow() {
        assert_eq!(tiers(&[(9_950, 10), (9_900, 25), (9_500, 50)]), Ok(Tiers::default()));
        for (wrong, expected) in [
            (&[][..], NoTiers::Count(0)),
            (&[(10_001, 5)], NoTiers::Limit(10_001)),
            (&[(9_950, 10), (9_950, 20)], NoTiers::Limit(9_950)),
            (&[(9_950, 0)], NoTiers::Credit(0)),
            (&[(9_950, 10), (9_900, 10)], NoTiers::Credit(10)),
            (&[(9_950, 101)], NoTiers::Credit(101)),
        ] {
            assert_eq!(tiers(wrong), Err(expected));
        }
    }

    #[test]
    fn a_month_of_own_tiers_is_lost_where_they_say() {
        let own = tiers(&[(9_990, 5), (9_000, 100)]).unwrap();
        let of = |counted: i64| own.of(100_000 - counted, 100_000).percent();
        assert_eq!((of(100), of(101), of(10_000), of(10_001)), (0, 5, 5, 100));
        assert_eq!(own.lost_by(100_000), 101);
        assert_eq!(tiers(&[(10_000, 1)]).unwrap().lost_by(100), 1);
    }
}
