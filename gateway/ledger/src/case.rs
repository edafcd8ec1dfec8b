//! Everything that the credit of one service line in one calendar month follows from.
//!
//! The contract is silent in places, and every reading of it is somebody's money: each such place
//! is a field of [`Policy`], the default first.

use chrono_tz::Tz;

use crate::month::local_day;
use crate::{Interval, Period, Terms};

/// One service line in one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is billed of the month.
    pub period: Period,
    /// Proven downtime, in any order; may overlap, touch and reach outside the period.
    pub outages: Vec<Down>,
    /// Time without proof either way; where it meets an outage, the outage wins.
    pub unknown: Vec<Interval>,
    /// What the vendor invokes.
    pub exclusions: Vec<Exclusion>,
    /// The fee of a whole year, net of VAT.
    pub annual: Ore,
    /// What the customer wrote, if anything.
    pub claim: Option<Claim>,
    /// The limit of all liability, if one is given.
    pub cap: Option<Cap>,
    /// How the contract is read.
    pub policy: Policy,
    /// What it sets otherwise than is usual.
    pub terms: Terms,
}

impl Case {
    /// A month in which nothing happened.
    pub fn new(period: Period, annual: Ore) -> Self {
        Self {
            period,
            outages: Vec::new(),
            unknown: Vec::new(),
            exclusions: Vec::new(),
            annual,
            claim: None,
            cap: None,
            policy: Policy::default(),
            terms: Terms::default(),
        }
    }

    pub(crate) fn zone(&self) -> Tz {
        self.period.month().zone()
    }
}

/// Hundredths of a krone: 0 to 10 thousand million kroner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ore(i64);

impl Ore {
    /// The most that a sum can be, so that no product of it overflows.
    pub const MAX: i64 = 1_000_000_000_000;

    /// `None` below 0 and above [`Self::MAX`].
    pub const fn new(ore: i64) -> Option<Self> {
        if 0 <= ore && ore <= Self::MAX { Some(Self(ore)) } else { None }
    }

    /// The number of øre.
    pub const fn ore(self) -> i64 {
        self.0
    }
}

/// Proven downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Its name on the statement.
    pub id: String,
    /// When.
    pub time: Interval,
}

/// A window in which downtime does not count, if it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Its name on the statement.
    pub id: String,
    /// What is invoked, with what makes it valid.
    pub ground: Ground,
    /// The window.
    pub time: Interval,
    /// What the other side says.
    pub status: Status,
}

impl Exclusion {
    /// Why it does not act, or that it does, where planned maintenance is announced `days` before.
    pub fn reason(&self, rule: NoticeRule, days: u8, zone: Tz) -> Reason {
        let formal = match &self.ground {
            _ if self.status == Status::Rejected => return Reason::Rejected,
            Ground::PlannedMaintenance(None) => Some(Reason::NoNotice),
            Ground::PlannedMaintenance(Some(notice)) if !notice.written => Some(Reason::NotWritten),
            Ground::PlannedMaintenance(Some(notice)) => {
                let in_time = rule.in_time(notice.given_at, self.time.from(), days, zone);
                (!in_time).then_some(Reason::LateNotice)
            }
            Ground::AgreedSuspension { agreed_at } => {
                let before = agreed_at.is_some_and(|agreed| agreed < self.time.from());
                (!before).then_some(Reason::NotAgreed)
            }
            Ground::SecurityMaintenance
            | Ground::AuthorityOrder
            | Ground::OutsideControl
            | Ground::CustomerCaused
            | Ground::ProductConnectivity
            | Ground::Battery => None,
        };
        formal.unwrap_or(match self.status {
            Status::Disputed => Reason::Disputed,
            Status::Accepted | Status::Rejected => Reason::Ok,
        })
    }
}

/// What is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Agreed in writing before its start.
    AgreedSuspension {
        /// When; `None` if there is no such agreement. Seconds UTC since 1970.
        agreed_at: Option<i64>,
    },
    /// Announced in writing and in time.
    PlannedMaintenance(Option<Notice>),
    /// For a security reason that is on file; needs no notice.
    SecurityMaintenance,
    /// By an order that is on file; needs no notice.
    AuthorityOrder,
    /// A cause outside the control of the vendor and of its subcontractors.
    OutsideControl,
    /// By the customer, its users or third parties that it answers for.
    CustomerCaused,
    /// Products and the building's network, which no uptime is promised for.
    ProductConnectivity,
    /// Batteries of products.
    Battery,
}

impl Ground {
    /// The ground of this word, with what makes it valid; `None` if there is none.
    pub fn of(word: &str, notice: Option<Notice>, agreed_at: Option<i64>) -> Option<Self> {
        Some(match word {
            "agreed_suspension" => Self::AgreedSuspension { agreed_at },
            "planned_maintenance" => Self::PlannedMaintenance(notice),
            "security_maintenance" => Self::SecurityMaintenance,
            "authority_order" => Self::AuthorityOrder,
            "outside_control" => Self::OutsideControl,
            "customer_caused" => Self::CustomerCaused,
            "product_connectivity" => Self::ProductConnectivity,
            "battery" => Self::Battery,
            _ => return None,
        })
    }

    /// The word of cases, results and statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgreedSuspension { .. } => "agreed_suspension",
            Self::PlannedMaintenance(_) => "planned_maintenance",
            Self::SecurityMaintenance => "security_maintenance",
            Self::AuthorityOrder => "authority_order",
            Self::OutsideControl => "outside_control",
            Self::CustomerCaused => "customer_caused",
            Self::ProductConnectivity => "product_connectivity",
            Self::Battery => "battery",
        }
    }

    /// The place in the order by which a second that two exclude is credited to one.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::AgreedSuspension { .. } => 0,
            Self::PlannedMaintenance(_) => 1,
            Self::SecurityMaintenance => 2,
            Self::AuthorityOrder => 3,
            Self::OutsideControl => 4,
            Self::CustomerCaused => 5,
            Self::ProductConnectivity => 6,
            Self::Battery => 7,
        }
    }
}

/// What the vendor told the customer of planned maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it reached the customer, in seconds UTC since 1970.
    pub given_at: i64,
    /// Whether it was in writing.
    pub written: bool,
}

/// What the other side says of an exclusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    #[default]
    Accepted,
    /// Not settled.
    Disputed,
    /// No.
    Rejected,
}

impl Status {
    /// The word of cases and statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Disputed => "disputed",
            Self::Rejected => "rejected",
        }
    }
}

/// Why an exclusion does not act; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The other side's no was accepted.
    Rejected,
    /// Planned maintenance that nobody announced.
    NoNotice,
    /// Planned maintenance announced by word of mouth.
    NotWritten,
    /// Planned maintenance announced too late: the whole window counts.
    LateNotice,
    /// A suspension that was not agreed before it began.
    NotAgreed,
    /// Formally valid, and not settled.
    Disputed,
    /// It acts.
    Ok,
}

impl Reason {
    /// The word of results and statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::NoNotice => "no_notice",
            Self::NotWritten => "not_written",
            Self::LateNotice => "late_notice",
            Self::NotAgreed => "not_agreed",
            Self::Disputed => "disputed",
            Self::Ok => "ok",
        }
    }
}

/// The customer's notice of breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// When the vendor was notified, in seconds UTC since 1970.
    pub notified_at: i64,
    /// Whether in writing.
    pub written: bool,
    /// Whether evidence came with it.
    pub evidence: bool,
}

/// The limit of all of the vendor's liability together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// What was paid in the last twelve months.
    pub paid: Ore,
    /// What of the limit is used up.
    pub incurred: Ore,
}

/// How the contract is read where it is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Two minutes or less of what are forgiven.
    pub short_rule: ShortRule,
    /// An outage over the end of a month.
    pub straddle: Straddle,
    /// Time without proof either way.
    pub unknown: UnknownIs,
    /// How long a month is.
    pub denominator: Denominator,
    /// What the calendar days of notice are.
    pub notice_rule: NoticeRule,
    /// What the thirty days of a claim run from.
    pub breach_moment: BreachMoment,
}

/// What has to be longer than two minutes to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortRule {
    /// The outage as it was.
    #[default]
    Gross,
    /// What exclusions leave of it.
    Net,
}

/// Which outage the two minutes are asked of when it lies in two months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Straddle {
    /// The whole one.
    #[default]
    Whole,
    /// The part that lies in this period.
    PerMonth,
}

/// What time without proof either way counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownIs {
    /// Up: the customer has to prove the breach.
    #[default]
    Up,
    /// Down.
    Down,
}

/// What uptime is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denominator {
    /// 1,440 minutes a day.
    #[default]
    Contract,
    /// The seconds that passed, which differ when the clocks change.
    Real,
}

/// What so many calendar days of notice are, of which there are three unless agreed otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoticeRule {
    /// The dates are at least as many apart.
    #[default]
    DateDiff,
    /// As many whole days lie between: the dates are one more apart.
    ClearDays,
    /// 24 hours for each.
    Hours72,
}

impl NoticeRule {
    fn in_time(self, given_at: i64, start: i64, wanted: u8, zone: Tz) -> bool {
        let days = || Some((local_day(zone, start)? - local_day(zone, given_at)?).num_days());
        let wanted = i64::from(wanted);
        match self {
            Self::DateDiff => days().is_some_and(|days| days >= wanted),
            Self::ClearDays => days().is_some_and(|days| days > wanted),
            Self::Hours72 => start.saturating_sub(given_at) >= 86_400 * wanted,
        }
    }
}

/// What the thirty days of a claim run from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreachMoment {
    /// The last covered day: only then is the average what it is.
    #[default]
    MonthEnd,
    /// The day on which the month could no longer be saved.
    Crossing,
    /// The day of the first counted second.
    FirstOutage,
}
