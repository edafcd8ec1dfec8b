//! What a month comes to: counted downtime, tier, deadline and credit.
//!
//! ```text
//! outages ──joined──▶ the two-minute test ──minus exclusions──▶ counted seconds ──▶ tier ──▶ øre
//! ```
//!
//! | Uptime of the month    | Credit on the month's fee |
//! |------------------------|---------------------------|
//! | at least 99.5 %        | none                      |
//! | 99.0 % to under 99.5 % | 10 %                      |
//! | 95.0 % to under 99.0 % | 25 %                      |
//! | under 95.0 %           | 50 %                      |
//!
//! These are the usual tiers; a contract may have its own ([`Tiers`](crate::Tiers)).
//!
//! **Never true:** that a share is rounded before it is compared, or that a sum is rounded twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{Days, NaiveDate};

use crate::case::{BreachMoment, Case, Denominator, Reason, ShortRule, Straddle, UnknownIs};
use crate::interval::{cut, joined, minus, seconds};
use crate::month::{local_day, midnight};
use crate::{Interval, Tier};

/// What a month came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Those that touch the period, in order of time.
    pub outages: Vec<Outage>,
    /// All that were invoked, by their ids.
    pub exclusions: Vec<Excluded>,
    /// Sums over the period.
    pub totals: Totals,
    /// What uptime is a share of, in seconds.
    pub denominator: i64,
    /// The credit in percent of the fee.
    pub tier: Tier,
    /// The month's fee in øre, as a reduced fraction.
    pub fee: Fraction,
    /// When counted downtime reached what loses the month, in seconds UTC; `None` if it did not.
    pub crossed_at: Option<i64>,
    /// Until when notice can be given; `None` if there is no breach.
    pub deadlines: Option<Deadlines>,
    /// How far a claim has come.
    pub claim: ClaimState,
    /// The credit in øre if it is claimed in time and with evidence.
    pub claimable: i64,
    /// The credit in øre that is due.
    pub due: i64,
    /// The cap made it less.
    pub capped: bool,
    /// If all unknown time had been down.
    pub unknown_as_down: Counted,
    /// If every disputed exclusion that is formally valid were accepted.
    pub disputed_accepted: Counted,
}

impl Settlement {
    /// Seconds of uptime; not below 0.
    pub const fn up(&self) -> i64 {
        up(self.totals.counted, self.denominator)
    }

    /// Uptime in percent with four decimals, cut and not rounded: `99.4999`.
    pub fn percent(&self) -> String {
        percent(self.up(), self.denominator)
    }
}

/// Outages that overlap or touch, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Its parts, in order of start, end and id.
    pub ids: Vec<String>,
    /// The whole of it, also what lies outside the period.
    pub time: Interval,
    /// Its seconds in the period: short, excluded and counted together.
    pub in_period: i64,
    /// Forgiven, because two minutes or less.
    pub short: i64,
    /// Taken out by exclusions.
    pub excluded: i64,
    /// The rest.
    pub counted: i64,
}

/// What an exclusion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Which.
    pub id: String,
    /// The word of its ground.
    pub kind: &'static str,
    /// Why it does not act, or that it does.
    pub reason: Reason,
    /// The excluded seconds that are credited to it and to no other.
    pub effective: i64,
}

/// Sums over the period, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Proven downtime.
    pub down: i64,
    /// Of it in outages that are forgiven.
    pub short: i64,
    /// Of it taken out by exclusions.
    pub excluded: i64,
    /// Of it the rest.
    pub counted: i64,
    /// Without proof either way, and not down.
    pub unknown: i64,
}

/// A sum that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub numerator: i64,
    /// Below it; at least 1.
    pub denominator: i64,
}

/// The last local day on which notice can be given, by what the thirty days run from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the last covered day.
    pub month_end: NaiveDate,
    /// From the day on which the month was lost.
    pub crossing: NaiveDate,
    /// From the day of the first counted second.
    pub first_outage: NaiveDate,
}

impl Deadlines {
    /// The one that holds, as the contract is read.
    pub const fn by(&self, moment: BreachMoment) -> NaiveDate {
        match moment {
            BreachMoment::MonthEnd => self.month_end,
            BreachMoment::Crossing => self.crossing,
            BreachMoment::FirstOutage => self.first_outage,
        }
    }

    /// The one that holds however it is read.
    pub fn safe(&self) -> NaiveDate {
        self.month_end.min(self.crossing).min(self.first_outage)
    }
}

/// How far a claim has come; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// The promise was kept.
    NoBreach,
    /// Nobody wrote.
    NotNotified,
    /// Somebody called.
    NotWritten,
    /// Before the first counted second.
    Premature,
    /// After the deadline.
    Late,
    /// Without evidence.
    NoEvidence,
    /// The credit is due.
    Ok,
}

impl ClaimState {
    /// The word of results and statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoBreach => "no_breach",
            Self::NotNotified => "not_notified",
            Self::NotWritten => "not_written",
            Self::Premature => "premature",
            Self::Late => "late",
            Self::NoEvidence => "no_evidence",
            Self::Ok => "ok",
        }
    }
}

/// The two figures that move when something is read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Counted seconds.
    pub seconds: i64,
    /// The credit they make.
    pub tier: Tier,
}

/// What `case` comes to.
pub fn settle(case: &Case) -> Settlement {
    let period = case.period;
    let denominator = match case.policy.denominator {
        Denominator::Contract => 86_400 * period.days(),
        Denominator::Real => period.time().seconds(),
    };
    let tier_of = |counted: i64| case.terms.tiers.of(up(counted, denominator), denominator);
    let as_read = |unknown, disputes_accepted| {
        let seconds = Reading::of(case, unknown, disputes_accepted).totals.counted;
        Counted { seconds, tier: tier_of(seconds) }
    };

    let reading = Reading::of(case, case.policy.unknown, false);
    let tier = tier_of(reading.totals.counted);
    let lost_by = case.terms.tiers.lost_by(denominator);
    let crossed_at = (tier != Tier::NONE).then(|| nth_second(&reading.counted, lost_by)).flatten();
    let first = reading.counted.first().map(|first| first.from);
    let deadlines = crossed_at.zip(first).and_then(|(crossed_at, first)| {
        let after = |day| after_days(day, case.terms.claim_days);
        let local = |second| after(local_day(case.zone(), second)?);
        Some(Deadlines {
            month_end: after(period.last_day())?,
            crossing: local(crossed_at - 1)?,
            first_outage: local(first)?,
        })
    });
    let claim = claim_state(case, first, deadlines);

    let (annual, months) = fee(case);
    let claimable = credit(case, tier);
    let accrued = if claim == ClaimState::Ok { claimable } else { 0 };
    let room = case.cap.map(|cap| (cap.paid.ore() - cap.incurred.ore()).max(0));
    let due = room.map_or(accrued, |room| accrued.min(room));

    Settlement {
        exclusions: reading.exclusions,
        totals: reading.totals,
        outages: reading.outages,
        denominator,
        tier,
        fee: reduced(annual, months),
        crossed_at,
        deadlines,
        claim,
        claimable,
        due,
        capped: due < accrued,
        unknown_as_down: as_read(UnknownIs::Down, false),
        disputed_accepted: as_read(case.policy.unknown, true),
    }
}

/// The period's share of the fee, as a fraction in øre.
fn fee(case: &Case) -> (i64, i64) {
    let period = case.period;
    (case.annual.ore() * period.days(), 12 * period.month().days())
}

/// The credit in øre that a tier makes of the period's fee.
pub(crate) fn credit(case: &Case, tier: Tier) -> i64 {
    let (annual, months) = fee(case);
    rounded_half_up(annual * i64::from(tier.percent()), months * 100)
}

/// The time of all exclusions that act, joined.
pub(crate) fn excluding(case: &Case) -> Vec<Interval> {
    Exclusions::of(case, false).all
}

/// A case with its open questions answered in one way.
struct Reading {
    outages: Vec<Outage>,
    exclusions: Vec<Excluded>,
    totals: Totals,
    /// The counted seconds, in order.
    counted: Vec<Interval>,
}

impl Reading {
    fn of(case: &Case, unknown: UnknownIs, disputes_accepted: bool) -> Self {
        let period = case.period.time();
        let mut exclusions = Exclusions::of(case, disputes_accepted);
        let down = down(case, unknown);
        let mut totals = Totals::default();
        let mut counted = Vec::new();
        let mut outages = Vec::new();
        for (time, ids) in &down {
            let Some(part) = time.and(period) else { continue };
            let left = minus(&[part], &exclusions.all);
            let tested = match (case.policy.short_rule, case.policy.straddle) {
                (ShortRule::Gross, Straddle::Whole) => time.seconds(),
                (ShortRule::Gross, Straddle::PerMonth) => part.seconds(),
                (ShortRule::Net, Straddle::Whole) => seconds(&minus(&[*time], &exclusions.all)),
                (ShortRule::Net, Straddle::PerMonth) => seconds(&left),
            };
            let forgiven = tested <= FORGIVEN_S;
            let is_gross = case.policy.short_rule == ShortRule::Gross;
            let left_s = seconds(&left);
            let (short, excluded, counts) = match forgiven {
                true if is_gross => (part.seconds(), 0, 0),
                true => (left_s, part.seconds() - left_s, 0),
                false => (0, part.seconds() - left_s, left_s),
            };
            if !forgiven {
                counted.extend(left);
            }
            if excluded > 0 {
                exclusions.credit(part);
            }
            totals.down += part.seconds();
            totals.short += short;
            totals.excluded += excluded;
            totals.counted += counts;
            let (ids, time, in_period) = (ids.clone(), *time, part.seconds());
            outages.push(Outage { ids, time, in_period, short, excluded, counted: counts });
        }
        let down: Vec<Interval> = down.into_iter().map(|(time, _)| time).collect();
        let unknown = minus(&cut(&joined(case.unknown.iter().copied()), period), &down);
        totals.unknown = seconds(&unknown);
        Self { outages, exclusions: exclusions.told(case), totals, counted }
    }
}

/// All downtime, what overlaps or touches as one, with the ids of its parts.
fn down(case: &Case, unknown: UnknownIs) -> Vec<(Interval, Vec<String>)> {
    let mut parts: Vec<(Interval, String)> =
        case.outages.iter().map(|outage| (outage.time, outage.id.clone())).collect();
    if unknown == UnknownIs::Down {
        let unknown = case.unknown.iter().enumerate();
        parts.extend(unknown.map(|(place, time)| (*time, format!("unknown:{place}"))));
    }
    parts.sort();
    let mut down: Vec<(Interval, Vec<String>)> = Vec::new();
    for (time, id) in parts {
        match down.last_mut() {
            Some((last, ids)) if time.from <= last.until => {
                last.until = last.until.max(time.until);
                ids.push(id);
            }
            _ => down.push((time, vec![id])),
        }
    }
    down
}

/// The exclusions that act.
struct Exclusions {
    /// Their windows together.
    all: Vec<Interval>,
    /// The same time, each piece with the place of the one that it is credited to; in order.
    owned: Vec<(Interval, usize)>,
    /// For each exclusion of the case why it does not act, and what is credited to it.
    told: Vec<(Reason, i64)>,
}

impl Exclusions {
    fn of(case: &Case, disputes_accepted: bool) -> Self {
        let reasons = case.exclusions.iter().map(|exclusion| {
            match exclusion.reason(case.policy.notice_rule, case.terms.notice_days, case.zone()) {
                Reason::Disputed if disputes_accepted => Reason::Ok,
                reason => reason,
            }
        });
        let told: Vec<(Reason, i64)> = reasons.map(|reason| (reason, 0)).collect();
        let mut acting: Vec<_> = case
            .exclusions
            .iter()
            .zip(&told)
            .enumerate()
            .filter(|(_, (_, (reason, _)))| *reason == Reason::Ok)
            .map(|(place, (it, _))| ((it.ground.rank(), it.time, it.id.as_str()), place))
            .collect();
        acting.sort_unstable();
        let acting: Vec<(Interval, usize)> =
            acting.into_iter().map(|((_, time, _), place)| (time, place)).collect();
        let all = joined(acting.iter().map(|(time, _)| *time));
        Self { all, owned: owned(&acting), told }
    }

    /// Credits the excluded seconds in `part` of an outage.
    fn credit(&mut self, part: Interval) {
        let first = self.owned.partition_point(|(piece, _)| piece.until <= part.from);
        for (piece, place) in self.owned.iter().skip(first) {
            let Some(shared) = piece.and(part) else { break };
            if let Some((_, effective)) = self.told.get_mut(*place) {
                *effective += shared.seconds();
            }
        }
    }

    fn told(self, case: &Case) -> Vec<Excluded> {
        let mut told: Vec<Excluded> = case
            .exclusions
            .iter()
            .zip(self.told)
            .map(|(exclusion, (reason, effective))| Excluded {
                id: exclusion.id.clone(),
                kind: exclusion.ground.as_str(),
                reason,
                effective,
            })
            .collect();
        told.sort_by(|one, other| one.id.cmp(&other.id));
        told
    }
}

/// The time of all windows, each piece with the place of the first, in their order, that has it.
fn owned(ranked: &[(Interval, usize)]) -> Vec<(Interval, usize)> {
    let mut by_start: Vec<usize> = (0..ranked.len()).collect();
    by_start.sort_by_key(|rank| ranked.get(*rank).map(|(time, _)| time.from));
    let mut coming = by_start.into_iter().peekable();
    let mut edges: Vec<i64> = ranked.iter().flat_map(|(time, _)| [time.from, time.until]).collect();
    edges.sort_unstable();
    edges.dedup();

    let mut owned = Vec::new();
    let mut open: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    for edge in edges.windows(2) {
        let [from, until] = *edge else { continue };
        let begun = |rank: &usize| ranked.get(*rank).is_some_and(|(time, _)| time.from <= from);
        while let Some(rank) = coming.next_if(begun) {
            open.push(Reverse(rank));
        }
        // The first that has not ended; those before it that have are done with.
        while let Some((time, place)) = open.peek().and_then(|Reverse(rank)| ranked.get(*rank)) {
            if time.until > from {
                owned.extend(Interval::new(from, until).map(|piece| (piece, *place)));
                break;
            }
            open.pop();
        }
    }
    owned
}

fn claim_state(case: &Case, first: Option<i64>, deadlines: Option<Deadlines>) -> ClaimState {
    let Some((first, deadlines)) = first.zip(deadlines) else { return ClaimState::NoBreach };
    let Some(claim) = case.claim else { return ClaimState::NotNotified };
    let last_day = deadlines.by(case.policy.breach_moment);
    let over = last_day.succ_opt().map(|next| midnight(case.zone(), next));
    if !claim.written {
        ClaimState::NotWritten
    } else if claim.notified_at < first {
        ClaimState::Premature
    } else if over.is_some_and(|over| claim.notified_at >= over) {
        ClaimState::Late
    } else if !claim.evidence {
        ClaimState::NoEvidence
    } else {
        ClaimState::Ok
    }
}

/// The end of the `wanted`th second of `counted`.
fn nth_second(counted: &[Interval], mut wanted: i64) -> Option<i64> {
    for interval in counted {
        if wanted <= interval.seconds() {
            return Some(interval.from + wanted);
        }
        wanted -= interval.seconds();
    }
    None
}

fn after_days(day: NaiveDate, days: u16) -> Option<NaiveDate> {
    day.checked_add_days(Days::new(days.into()))
}

const fn up(counted: i64, denominator: i64) -> i64 {
    if counted < denominator { denominator - counted } else { 0 }
}

/// With four decimals, cut: `99.4999`.
pub(crate) fn percent(up: i64, denominator: i64) -> String {
    let ten_thousandths = 1_000_000 * up / denominator.max(1);
    format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)
}

/// `numerator / denominator` to the nearest, a half up; both are not negative.
const fn rounded_half_up(numerator: i64, denominator: i64) -> i64 {
    (2 * numerator + denominator) / (2 * denominator)
}

fn reduced(numerator: i64, denominator: i64) -> Fraction {
    let (mut divisor, mut rest) = (numerator, denominator);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let divisor = divisor.max(1);
    Fraction { numerator: numerator / divisor, denominator: denominator / divisor }
}

/// An outage of two minutes or less does not count, in seconds.
pub(crate) const FORGIVEN_S: i64 = 120;
