//! What follows from a ledger: the case of a month, its statement, and how far its claim is.
//!
//! ```text
//! attempts ──account──▶ spans ─┐
//! exclusions and answers ──────┼──▶ case ──settle──▶ statement
//! contract, claim ─────────────┘
//! ```
//!
//! **Invariant:** nothing but the entries goes in. Who has the ledger has the statement, to the øre.

mod refused;

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{Datelike as _, NaiveDate};
use sha2::{Digest as _, Sha256};

use crate::canon::Pen;
use crate::case::{Cap, Case, Down, Exclusion, Ground, NoticeRule, Ore, Status};
use crate::entry::{
    Answer, Attempts, BeforeCase, Claimed, Contract, Correction, Entry, Fact, Figures,
    IngestOutage, Invoked, LateNotice, Link, PartialMonth, Progress, Proof, RecoverySuccesses,
    SingleVantage, Stated, Step,
};
use crate::ingest;
use crate::interval::{cut, joined};
use crate::month::{local_day, midnight};
use crate::settlement::{Settlement, settle};
use crate::{
    Attempt, Code, Failure, Interval, Month, Outcome, Period, Settings, Span, Terms, Tried,
    Unknown, account,
};

pub use refused::Refused;

/// The entries of a ledger with what corrects them.
#[derive(Clone, Debug)]
pub struct Book<'e> {
    entries: &'e [Entry],
    /// By the number of what is corrected: the number of the last correction, and that.
    corrected: BTreeMap<u64, (u64, &'e Correction)>,
}

/// A month as it is told to the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What was agreed.
    pub contract: Contract,
    /// What the credit follows from.
    pub case: Case,
    /// What it comes to.
    pub settled: Settlement,
    /// Of each of its outages, in their order, how the attempts failed and how often each way, the
    /// most frequent first.
    pub causes: Vec<Vec<(Failure, u32)>>,
    /// Whatever was not up in the period, in order of time.
    pub spans: Vec<Span>,
    /// Unknown time of the period by its reason, the longest first.
    pub unknown: Vec<Unknown>,
    /// When new data was refused in the period, in order of time; among the outages only if the contract
    /// counts it.
    pub refused: Vec<Interval>,
    /// Up to when there are entries, in seconds UTC: before the period's end it is provisional.
    pub until: i64,
    /// The number of the last entry that it follows from.
    pub through: u64,
    /// What was corrected, by the number of the correction.
    pub corrections: Vec<(u64, Correction)>,
    /// How far the claim is; `None` if nobody gave notice.
    pub stage: Option<Stage>,
}

/// How far a claim is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Notice was given.
    Claimed,
    /// The vendor says this of it, with these words.
    Answered(Step, String),
}

impl Statement {
    /// Its figures, as the ledger keeps them.
    pub fn figures(&self) -> Figures {
        let settled = &self.settled;
        Figures {
            counted: settled.totals.counted,
            unknown: settled.totals.unknown,
            up: settled.up(),
            denominator: settled.denominator,
            tier: settled.tier.percent(),
            claimable: settled.claimable,
            due: settled.due,
        }
    }

    /// What the ledger keeps of it.
    pub fn stated(&self) -> Stated {
        let month = self.case.period.month().to_string();
        Stated { month, case: digest(&self.case), figures: self.figures() }
    }

    /// The last day on which notice can be given; `None` if there is no breach.
    pub fn deadline(&self) -> Option<NaiveDate> {
        Some(self.settled.deadlines?.by(self.case.policy.breach_moment))
    }

    /// The month has not ended, or not all of it is in the ledger.
    pub fn is_provisional(&self) -> bool {
        self.until < self.case.period.time().until()
    }

    /// For how many seconds new data was refused in the period.
    pub fn refused_s(&self) -> i64 {
        self.refused.iter().map(|it| it.seconds()).sum()
    }

    /// Whether new data that is refused is down by the contract.
    pub fn counts_refused(&self) -> bool {
        self.contract.before.ingest_outage == IngestOutage::Counted
    }

    /// More than 5 % of the month is unknown.
    pub const fn is_incomplete(&self) -> bool {
        20 * self.settled.totals.unknown > self.settled.denominator
    }
}

impl<'e> Book<'e> {
    /// What these entries, the first ones of a ledger, say.
    pub fn new(entries: &'e [Entry]) -> Self {
        let corrected = entries.iter().filter_map(|entry| match &entry.fact {
            Fact::Correction(correction) => Some((correction.of, (entry.seq, correction))),
            _ => None,
        });
        Self { entries, corrected: corrected.collect() }
    }

    /// What is in force, with the number and the time of each entry.
    fn facts(&self) -> impl Iterator<Item = (&'e Entry, &'e Fact)> {
        self.entries.iter().filter_map(|entry| match self.corrected.get(&entry.seq) {
            Some((_, correction)) => Some((entry, correction.instead.as_deref()?)),
            None => Some((entry, &entry.fact)),
        })
    }

    /// The number of the entry that put in force what stands in the place of `entry`.
    fn since(&self, entry: &Entry) -> u64 {
        self.corrected.get(&entry.seq).map_or(entry.seq, |(correction, _)| *correction)
    }

    /// The contract whose terms hold in `month`: the last one that began before its end.
    fn contract(&self, month: &str) -> Result<(&'e Contract, Month), Refused> {
        let mut contracts = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Contract(contract) => Some(contract),
            _ => None,
        });
        let first = contracts.next().ok_or(Refused::NoContract)?;
        let no_month = || Refused::NoMonth(month.to_owned());
        let of = |contract: &Contract| Month::parse(month, contract.zone).ok_or_else(no_month);
        let mut in_force = (first, of(first)?);
        for contract in contracts {
            let of = of(contract)?;
            if contract.start.is_none_or(|start| start < of.end_day()) {
                in_force = (contract, of);
            }
        }
        Ok(in_force)
    }

    /// What the contract of `month` sets; `None` if there is none.
    pub fn terms(&self, month: &str) -> Option<&'e Terms> {
        self.contract(month).ok().map(|(contract, _)| &contract.terms)
    }

    /// The statement of `month`, written `2026-11`.
    ///
    /// # Errors
    ///
    /// [`Refused`] without a contract that covers a day of it.
    pub fn statement(&self, month: &str) -> Result<Statement, Refused> {
        let (contract, of) = self.contract(month)?;
        self.capped(month, self.cap(of, contract))
    }

    /// The limit of all liability that is agreed, and what of it is due of the eleven months before.
    fn cap(&self, of: Month, contract: &Contract) -> Option<Cap> {
        let paid = contract.terms.cap?;
        let before = std::iter::successors(Some(of), |month| {
            Month::of(month.span().start - 1, contract.zone).ok()
        });
        let claimed = before.skip(1).take(11).map(|month| month.to_string());
        let due = claimed
            .filter(|month| self.claim(month).is_some())
            .filter_map(|month| Some(self.capped(&month, None).ok()?.settled.due));
        let incurred = Ore::new(due.sum::<i64>().min(Ore::MAX))?;
        Some(Cap { paid, incurred })
    }

    /// The statement of `month` with this limit.
    fn capped(&self, month: &str, cap: Option<Cap>) -> Result<Statement, Refused> {
        let (contract, of) = self.contract(month)?;
        let covered = Period::new(of, contract.start, contract.end)
            .ok_or_else(|| Refused::NotCovered(month.to_owned()))?;
        let period = match contract.before.partial_month {
            PartialMonth::ByDays => covered,
            PartialMonth::FullMonth => Period::whole(of),
        };

        let until = self.until();
        let settings = match contract.before.line {
            Link::Wired => Settings::WIRED,
            Link::Metered => Settings::METERED,
        };
        let (mut tried, spans) = self.spans(covered.time(), until, contract.before, settings);
        let is_down = |span: &&Span| span.code.is_down() && !excused(span.code, contract.before);
        let time = |span: &Span| Interval::new(span.from, span.until);
        let (sent, refused) = self.refused(covered.time(), until);
        let counts = contract.before.ingest_outage == IngestOutage::Counted;
        let refused_and_down = refused.iter().filter(|_| counts).copied();
        let down = spans.iter().filter(is_down).filter_map(time);
        let outages = joined(down.chain(refused_and_down));
        if counts {
            tried.extend(sent);
            tried.sort_by_key(|attempt| attempt.at);
        }
        let unknown: Vec<&Span> = spans
            .iter()
            .filter(|span| span.code.is_unknown() || excused(span.code, contract.before))
            .collect();
        let case = Case {
            outages: outages
                .into_iter()
                .filter_map(|outage| {
                    let id = name(outage.from());
                    let time = outage.and(covered.time())?;
                    // The period cuts it, and the whole of it is asked whether it is short. A month
                    // of which not all is covered does not cut it where it has to.
                    let is_cut = covered == period;
                    Some(Down { id, time: if is_cut { outage } else { time } })
                })
                .collect(),
            unknown: unknown.iter().filter_map(|span| time(span)?.and(covered.time())).collect(),
            exclusions: self.exclusions(covered.time(), contract),
            claim: self.claim(month).map(|claimed| claimed.claim),
            cap,
            policy: contract.policy,
            terms: contract.terms.clone(),
            ..Case::new(period, contract.annual)
        };
        let whole = covered.time();
        let settled = settle(&case);
        Ok(Statement {
            causes: settled.outages.iter().map(|outage| causes(&tried, outage.time)).collect(),
            settled,
            case,
            unknown: by_reason(&unknown, whole),
            refused: cut(&refused, whole),
            spans: spans
                .iter()
                .filter(|span| span.code != Code::Up)
                .filter_map(|span| {
                    let part = time(span)?.and(whole)?;
                    Some(Span { from: part.from(), until: part.until(), code: span.code })
                })
                .collect(),
            until,
            through: self.entries.last().map_or(0, |entry| entry.seq),
            corrections: self.corrections(),
            stage: self.stage(month),
            contract: contract.clone(),
        })
    }

    /// The same month as `statement` has it, with what this book, the vendor's, saw of it: outages and
    /// unknown time. Time that is not in it yet is unknown.
    pub fn beside(&self, statement: &Statement) -> Case {
        let (case, read) = (&statement.case, statement.contract.before);
        let period = case.period.time();
        let until = self.until().min(statement.until);
        let (_, spans) = self.spans(period, until, read, Settings::VENDOR);
        let time = |span: &Span| Interval::new(span.from, span.until);
        let is_down = |span: &&Span| span.code.is_down();
        let outages = joined(spans.iter().filter(is_down).filter_map(time));
        let unknown = spans.iter().filter(|span| span.code.is_unknown()).filter_map(time);
        let missing = Interval::new(until.max(period.from()), statement.until.min(period.until()));
        Case {
            outages: outages
                .into_iter()
                .filter(|outage| outage.and(period).is_some())
                .map(|time| Down { id: name(time.from()), time })
                .collect(),
            unknown: unknown.chain(missing).filter_map(|it| it.and(period)).collect(),
            ..case.clone()
        }
    }

    /// Up to when attempts are in the ledger.
    fn until(&self) -> i64 {
        let attempts = self.entries.iter().rev().find(|it| matches!(it.fact, Fact::Attempts(_)));
        let last = attempts.or(self.entries.last());
        last.map_or(0, |entry| entry.at_ms.div_euclid(1_000))
    }

    /// What was tried in `time` and a day on either side of it, in order of time, and the spans of
    /// that, as far as there are entries.
    fn spans(
        &self,
        time: Interval,
        until: i64,
        read: BeforeCase,
        settings: Settings,
    ) -> (Vec<Attempt>, Vec<Span>) {
        let around = around(time, until);
        if around.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut attempts = self.attempts(around.start - DAY_S..around.end);
        // Two of one second stay in the order in which they were kept.
        attempts.sort_by_key(|attempt| attempt.at);
        let one_success_ends = read.recovery_successes == RecoverySuccesses::One;
        let spans = account(&attempts, around, Settings { one_success_ends, ..settings });
        (attempts, spans)
    }

    /// What was sent in `time` and a day on either side of it, in order of time, and when it was
    /// refused, as far as there are entries.
    fn refused(&self, time: Interval, until: i64) -> (Vec<Attempt>, Vec<Interval>) {
        let around = around(time, until);
        if around.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut sent = self.tried(around.clone(), |attempts| &attempts.ingest);
        sent.sort_by_key(|attempt| attempt.at);
        let refused = ingest::refused(&sent, &around);
        (sent, refused)
    }

    /// The attempts of a time to get a report, in the order in which they were kept.
    pub fn attempts(&self, time: Range<i64>) -> Vec<Attempt> {
        self.tried(time, |attempts| &attempts.tried)
    }

    /// The attempts of a time, in the order in which they were kept.
    fn tried(&self, time: Range<i64>, of: fn(&Attempts) -> &Tried) -> Vec<Attempt> {
        let tried = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Attempts(attempts) => Some(of(attempts)),
            _ => None,
        });
        tried
            .filter(|tried| tried.touches(&time))
            .flat_map(Tried::attempts)
            .filter(|attempt| time.contains(&attempt.at))
            // Nobody asks more than once a second; who says so does not fill the memory.
            .take(usize::try_from(time.end.saturating_sub(time.start)).unwrap_or(0))
            .collect()
    }

    fn invoked(&self) -> impl Iterator<Item = (&'e Entry, &'e Invoked)> {
        self.facts().filter_map(|(entry, fact)| match fact {
            Fact::Exclusion(invoked) => Some((entry, invoked)),
            _ => None,
        })
    }

    /// The last answer to each exclusion, by its name, and since which entry it is in force.
    fn answers(&self) -> BTreeMap<&'e str, (u64, &'e Answer)> {
        let answers = self.facts().filter_map(|(entry, fact)| match fact {
            Fact::Answer(answer) => Some((answer.exclusion.as_str(), (self.since(entry), answer))),
            _ => None,
        });
        answers.collect()
    }

    /// What was invoked and is in force, with its entry and what was answered to it.
    ///
    /// An answer is to what was there to be answered: of an exclusion that took the place of another
    /// after it, or that has the name of one that was taken back, it says nothing.
    fn answered(&self) -> impl Iterator<Item = (&'e Entry, &'e Invoked, Option<&'e Answer>)> {
        let answers = self.answers();
        self.invoked().map(move |(entry, invoked)| {
            let answer = answers.get(invoked.id.as_str());
            let answer = answer.filter(|(since, _)| *since > self.since(entry));
            (entry, invoked, answer.map(|(_, answer)| *answer))
        })
    }

    /// What was invoked for `time`. Nobody who has not answered has agreed.
    fn exclusions(&self, time: Interval, contract: &Contract) -> Vec<Exclusion> {
        self.answered()
            .filter(|(_, invoked, _)| invoked.time.and(time).is_some())
            .map(|(_, invoked, answer)| {
                invoked.as_exclusion(answer.map_or(Status::Disputed, |answer| answer.status))
            })
            .map(|exclusion| match contract.before.late_notice {
                LateNotice::WholeWindow => exclusion,
                LateNotice::RemainderValid => remainder(exclusion, contract),
            })
            .collect()
    }

    fn claim(&self, month: &str) -> Option<&'e Claimed> {
        let claims = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Claim(claimed) if claimed.month == month => Some(claimed),
            _ => None,
        });
        claims.last()
    }

    /// How far the claim for `month` is.
    pub fn stage(&self, month: &str) -> Option<Stage> {
        self.claim(month)?;
        let answers = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Progress(progress) if progress.month == month => {
                Some(Stage::Answered(progress.step, progress.note.clone()))
            }
            _ => None,
        });
        Some(answers.last().unwrap_or(Stage::Claimed))
    }

    fn corrections(&self) -> Vec<(u64, Correction)> {
        let all = self.entries.iter().filter_map(|entry| match &entry.fact {
            Fact::Correction(correction) => Some((entry.seq, correction.clone())),
            _ => None,
        });
        all.collect()
    }

    /// Whether `fact` makes sense after what was written before.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it does not.
    pub fn takes(&self, fact: &Fact) -> Result<(), Refused> {
        let is_invoked = |id: &str| self.invoked().any(|(_, it)| it.id == id);
        match fact {
            Fact::Contract(it) => self.takes_contract(it),
            Fact::Correction(it) => self.takes_correction(it),
            Fact::Exclusion(it) if is_invoked(&it.id) => Err(Refused::Twice(it.id.clone())),
            Fact::Answer(it) if !is_invoked(&it.exclusion) => {
                Err(Refused::NoExclusion(it.exclusion.clone()))
            }
            Fact::Claim(Claimed { month, .. }) | Fact::Progress(Progress { month, .. }) => {
                self.contract(month)?;
                match (self.stage(month), fact) {
                    (Some(Stage::Answered(Step::Credited, _)), _) => {
                        Err(Refused::Credited(month.clone()))
                    }
                    (None, Fact::Progress(_)) => Err(Refused::NoClaim(month.clone())),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// A month has one contract: where another is in force a new one begins with a month.
    fn takes_contract(&self, new: &Contract) -> Result<(), Refused> {
        let Some(agreed) = self.agreed() else { return Ok(()) };
        let start = new.start.ok_or(Refused::NoStart)?;
        let first = start.with_day(1).unwrap_or(start);
        let goes_on = agreed.end.is_none_or(|end| end > first);
        let later = agreed.start.is_none_or(|agreed| agreed < start);
        if later && (start == first || !goes_on) {
            Ok(())
        } else {
            Err(Refused::WithinMonth(start))
        }
    }

    fn takes_correction(&self, correction: &Correction) -> Result<(), Refused> {
        let of = self.entries.iter().find(|entry| entry.seq == correction.of);
        match of.map(|entry| &entry.fact) {
            None => Err(Refused::NoEntry(correction.of)),
            Some(Fact::Open(_) | Fact::Key(_) | Fact::Correction(_)) => {
                Err(Refused::NotCorrected(correction.of))
            }
            Some(_) => Ok(()),
        }
    }

    /// The number, in the writer's own store, up to which attempts are in the ledger.
    pub fn kept_through(&self) -> u64 {
        let kept = self.entries.iter().rev().find_map(|entry| match &entry.fact {
            Fact::Attempts(attempts) => Some(attempts.through),
            _ => None,
        });
        kept.unwrap_or(0)
    }

    /// The zone of the contract that is agreed now; `None` before there is one.
    pub fn zone(&self) -> Option<chrono_tz::Tz> {
        self.agreed().map(|contract| contract.zone)
    }

    /// What was told of `month`, with the number and the time of each entry.
    pub fn told(&self, month: &str) -> impl Iterator<Item = (&'e Entry, &'e Stated)> {
        self.entries.iter().filter_map(move |entry| match &entry.fact {
            Fact::Statement(stated) if stated.month == month => Some((entry, stated)),
            _ => None,
        })
    }

    /// The statement that was told in the entry `seq`, made again from the entries before it.
    ///
    /// # Errors
    ///
    /// [`Refused::NotTold`] if that entry tells none.
    pub fn as_told(&self, seq: u64) -> Result<Statement, Refused> {
        let place = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        let told = place.and_then(|place| {
            let Fact::Statement(stated) = &self.entries.get(place)?.fact else { return None };
            Some((self.entries.get(..place)?, &stated.month))
        });
        let (before, month) = told.ok_or(Refused::NotTold(seq))?;
        Self::new(before).statement(month)
    }

    /// The contract that is agreed now; `None` before there is one.
    pub fn agreed(&self) -> Option<&'e Contract> {
        let contracts = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Contract(contract) => Some(contract),
            _ => None,
        });
        contracts.last()
    }

    /// What was invoked and is in force, each with the number of its entry and the last answer.
    pub fn all_invoked(&self) -> Vec<(u64, &'e Invoked, Option<&'e Answer>)> {
        let all = self.answered();
        all.map(|(entry, invoked, answer)| (entry.seq, invoked, answer)).collect()
    }

    /// The notice that was given for `month` and what was said to it, in order.
    pub fn claimed(&self, month: &str) -> Option<(&'e Claimed, Vec<(&'e Entry, &'e Progress)>)> {
        let progress = self.facts().filter_map(|(entry, fact)| match fact {
            Fact::Progress(progress) if progress.month == month => Some((entry, progress)),
            _ => None,
        });
        Some((self.claim(month)?, progress.collect()))
    }

    /// Every document that an entry in force names.
    pub fn proofs(&self) -> impl Iterator<Item = &'e Proof> {
        self.facts().flat_map(|(_, fact)| match fact {
            Fact::Exclusion(invoked) => invoked.proofs.as_slice(),
            Fact::Claim(claimed) => claimed.proofs.as_slice(),
            Fact::Progress(progress) => progress.proofs.as_slice(),
            _ => &[],
        })
    }

    /// When the ledger was opened, in seconds UTC since 1970.
    pub fn opened(&self) -> i64 {
        self.entries.first().map_or(0, |entry| entry.at_ms.div_euclid(1_000))
    }

    /// Whether something was told of `month`.
    pub fn is_stated(&self, month: &str) -> bool {
        self.stated(month).next().is_some()
    }

    /// Whether something was told of `month` when it was over and all of it in the ledger.
    pub fn is_final(&self, month: &str) -> bool {
        self.stated(month).any(|place| {
            let before = Self::new(self.entries.get(..place).unwrap_or_default());
            before.statement(month).is_ok_and(|statement| !statement.is_provisional())
        })
    }

    /// The places of what was told of `month`.
    fn stated(&self, month: &str) -> impl Iterator<Item = usize> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(move |(place, entry)| match &entry.fact {
            Fact::Statement(stated) if stated.month == month => Some(place),
            _ => None,
        })
    }

    /// The first statement in the ledger that does not follow from the entries before it.
    pub fn first_wrong_statement(&self) -> Option<u64> {
        self.entries.iter().enumerate().find_map(|(place, entry)| {
            let Fact::Statement(stated) = &entry.fact else { return None };
            let before = Self::new(self.entries.get(..place)?);
            let follows = before.statement(&stated.month).map(|statement| statement.stated());
            (follows.as_ref() != Ok(stated)).then_some(entry.seq)
        })
    }
}

/// A time and a day on either side of it, as far as there are entries.
fn around(time: Interval, until: i64) -> Range<i64> {
    time.from() - DAY_S..(time.until() + DAY_S).min(until)
}

/// Down as one place saw it, where that is not believed.
fn excused(code: Code, read: BeforeCase) -> bool {
    code == Code::DownSingle && read.single_vantage == SingleVantage::Unknown
}

/// How attempts failed in `time`, which are in order of time.
fn causes(tried: &[Attempt], time: Interval) -> Vec<(Failure, u32)> {
    let first = tried.partition_point(|attempt| attempt.at < time.from());
    let within = tried.iter().skip(first).take_while(|attempt| attempt.at < time.until());
    let mut causes: Vec<(Failure, u32)> = Vec::new();
    for attempt in within {
        let Outcome::Failed(failure) = attempt.outcome else { continue };
        match causes.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, times)) => *times += 1,
            None => causes.push((failure, 1)),
        }
    }
    causes.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    causes
}

fn by_reason(unknown: &[&Span], within: Interval) -> Vec<Unknown> {
    let mut by_reason: Vec<Unknown> = Vec::new();
    for span in unknown {
        let part = Interval::new(span.from, span.until).and_then(|it| it.and(within));
        let Some(part) = part else { continue };
        match by_reason.iter_mut().find(|it| it.code == span.code) {
            Some(it) => it.seconds += part.seconds(),
            None => by_reason.push(Unknown { code: span.code, seconds: part.seconds() }),
        }
    }
    by_reason.sort_by_key(|it| std::cmp::Reverse(it.seconds));
    by_reason
}

/// A window that was announced too late for its first days, from the first day on that it was early
/// enough for; as it is if there is no such day, or if it was early enough for all.
fn remainder(exclusion: Exclusion, contract: &Contract) -> Exclusion {
    let Ground::PlannedMaintenance(Some(notice)) = exclusion.ground else { return exclusion };
    let notice_days = u64::from(contract.terms.notice_days);
    let first = match contract.policy.notice_rule {
        NoticeRule::Hours72 => {
            Some(notice.given_at.saturating_add(DAY_S * i64::from(contract.terms.notice_days)))
        }
        rule => {
            let days = notice_days + u64::from(rule == NoticeRule::ClearDays);
            local_day(contract.zone, notice.given_at)
                .and_then(|day| day.checked_add_days(chrono::Days::new(days)))
                .map(|day| midnight(contract.zone, day))
        }
    };
    let left = first
        .and_then(|first| Interval::new(exclusion.time.from().max(first), exclusion.time.until()));
    Exclusion { time: left.unwrap_or(exclusion.time), ..exclusion }
}

/// What an outage is called that began at `second`.
fn name(second: i64) -> String {
    let at = chrono::DateTime::from_timestamp(second, 0).unwrap_or_default();
    format!("outage-{}", at.format("%Y%m%dT%H%M%SZ"))
}

/// The SHA-256 of a case: of all that a result follows from, in one order.
fn digest(case: &Case) -> [u8; 32] {
    let mut pen = Pen::default();
    pen.text("sla-case/1").text(&case.period.month().to_string()).put(&case.period.month().zone());
    pen.put(&case.period.time()).put(&case.period.days());
    pen.list(case.outages.len());
    for Down { id, time } in &case.outages {
        pen.put(id).put(time);
    }
    pen.put(&case.unknown).list(case.exclusions.len());
    for Exclusion { id, ground, time, status } in &case.exclusions {
        pen.put(id).put(ground).put(time).put(status);
    }
    pen.put(&case.annual).put(&case.claim);
    pen.put(&case.cap.map(|cap| cap.paid)).put(&case.cap.map(|cap| cap.incurred));
    pen.put(&case.policy);
    if case.terms != Terms::default() {
        pen.put(&case.terms);
    }
    Sha256::digest(pen.into_bytes()).into()
}

const DAY_S: i64 = 86_400;
