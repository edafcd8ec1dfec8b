//! How a contract is read where it is silent, before there is a case: what spans come to, and what a case is
//! made of. How a case itself is read is in [`Policy`](crate::case::Policy).

use crate::canon::{Canon, Pen, Reader, words};

/// How a contract is read where it is silent, before there is a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeforeCase {
    /// Downtime that a single place saw, with its references well.
    pub single_vantage: SingleVantage,
    /// What a first or last month is a share of.
    pub partial_month: PartialMonth,
    /// Notice that was too late for the first days of a window.
    pub late_notice: LateNotice,
    /// How many successes end an outage.
    pub recovery_successes: RecoverySuccesses,
    /// A credit when no bill comes after it.
    pub credit_without_next_bill: CreditWithoutNextBill,
    /// How long an attempt speaks for, and so how often there has to be one.
    pub line: Link,
    /// One fee for several sites.
    pub many_sites_one_fee: ManySites,
    /// New data that is refused while reports go on.
    pub ingest_outage: IngestOutage,
}

/// The list of its fields. What is usual at its end is left out, so that each has one encoding.
impl Canon for BeforeCase {
    fn write(&self, pen: &mut Pen) {
        let own_ingest = self.ingest_outage != IngestOutage::default();
        let own_sites = own_ingest || self.many_sites_one_fee != ManySites::default();
        pen.list(6 + usize::from(own_sites) + usize::from(own_ingest));
        pen.put(&self.single_vantage).put(&self.partial_month).put(&self.late_notice);
        pen.put(&self.recovery_successes).put(&self.credit_without_next_bill).put(&self.line);
        if own_sites {
            pen.put(&self.many_sites_one_fee);
        }
        if own_ingest {
            pen.put(&self.ingest_outage);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let fields = reader.list()?;
        let before = Self {
            single_vantage: reader.get()?,
            partial_month: reader.get()?,
            late_notice: reader.get()?,
            recovery_successes: reader.get()?,
            credit_without_next_bill: reader.get()?,
            line: reader.get()?,
            many_sites_one_fee: ManySites::default(),
            ingest_outage: IngestOutage::default(),
        };
        match fields {
            6 => Some(before),
            7 => Some(Self { many_sites_one_fee: reader.get()?, ..before }),
            8 => {
                let (many_sites_one_fee, ingest_outage) = (reader.get()?, reader.get()?);
                Some(Self { many_sites_one_fee, ingest_outage, ..before })
            }
            _ => None,
        }
    }
}

/// New data that is refused while reports go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IngestOutage {
    /// Is told and does not count: the data that is there can be had.
    #[default]
    NotCounted,
    /// Is down: the service does not deliver data.
    Counted,
}
words!(IngestOutage { NotCounted = "not_counted", Counted = "counted" });

/// One fee for several sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManySites {
    /// The line is down while a report of any of them cannot be had.
    #[default]
    AnySite,
    /// The mean of the sites is what counts.
    Weighted,
}
words!(ManySites { AnySite = "any_site", Weighted = "weighted" });

/// Downtime that a single place saw, with its references well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SingleVantage {
    /// Is down.
    #[default]
    Down,
    /// Is unknown.
    Unknown,
}
words!(SingleVantage { Down = "down", Unknown = "unknown" });

/// What a first or last month is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartialMonth {
    /// Its covered days, for that share of the fee.
    #[default]
    ByDays,
    /// The whole month; what is not covered of it counts as up.
    FullMonth,
}
words!(PartialMonth { ByDays = "by_days", FullMonth = "full_month" });

/// Notice that was too late for the first days of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LateNotice {
    /// Makes the whole window invalid.
    #[default]
    WholeWindow,
    /// Makes it begin on the first day that it was early enough for.
    RemainderValid,
}
words!(LateNotice { WholeWindow = "whole_window", RemainderValid = "remainder_valid" });

/// How many successes end an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoverySuccesses {
    /// Two, at least 10 s apart.
    #[default]
    Two,
    /// One.
    One,
}
words!(RecoverySuccesses { Two = "2", One = "1" });

/// A credit when no bill comes after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreditWithoutNextBill {
    /// People settle it.
    #[default]
    Manual,
    /// Is paid out.
    Refund,
}
words!(CreditWithoutNextBill { Manual = "manual", Refund = "refund" });

/// What the gateway is connected by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// A line that costs nothing by the byte.
    #[default]
    Wired,
    /// A SIM card.
    Metered,
}
words!(Link { Wired = "wired", Metered = "metered" });
