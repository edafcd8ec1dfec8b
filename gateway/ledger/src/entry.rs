//! The entries of a ledger: what happened and what was said, each once and for ever.
//!
//! ```text
//! entry = [version, seq, at (UTC ms), kind, fact]
//! ```
//!
//! An entry is never edited. A [`Fact::Correction`] names the one that it replaces, and who and why;
//! the statement follows from what is in force then, and lists what was corrected.
//!
//! **Never true:** that a figure is believed because it stands in an entry. A [`Fact::Statement`] is
//! what was told to the other side at that moment; what it has to be follows from the entries
//! before it.

mod before;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::canon::{Canon, Pen, Reader, record, words};
use crate::case::{
    BreachMoment, Claim, Denominator, Exclusion, Ground, Notice, NoticeRule, Ore, Policy,
    ShortRule, Status, Straddle, UnknownIs,
};
use crate::tried::Tried;
use crate::{Interval, Terms};

pub use before::{
    BeforeCase, CreditWithoutNextBill, IngestOutage, LateNotice, Link, ManySites, PartialMonth,
    RecoverySuccesses, SingleVantage,
};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1 and without a hole.
    pub seq: u64,
    /// When it was written, in milliseconds UTC since 1970.
    pub at_ms: i64,
    /// What it says.
    pub fact: Fact,
}

impl Entry {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::canon::to_bytes(self)
    }

    /// The entry with these bytes; `None` unless they are its canonical ones.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        crate::canon::from_bytes(bytes)
    }
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The first entry, and no other: whose ledger this is.
    Open(Open),
    /// What was agreed, from here on.
    Contract(Contract),
    /// What the probe tried since the entry of this kind before.
    Attempts(Attempts),
    /// The vendor invokes an exclusion.
    Exclusion(Invoked),
    /// The other side answers to it.
    Answer(Answer),
    /// The customer gave notice of a breach.
    Claim(Claimed),
    /// What became of a claim.
    Progress(Progress),
    /// What was told of a month.
    Statement(Stated),
    /// A product's battery: its low level was told, or it was replaced.
    Battery(Battery),
    /// Another key signs from here on.
    Key(NewKey),
    /// An earlier entry is not in force.
    Correction(Correction),
}

/// Whose ledger this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The id of the gateway, or of the portfolio, that writes it.
    pub ledger: [u8; 16],
    /// The Ed25519 key that signs its checkpoints.
    pub key: [u8; 32],
}
record!(Open { ledger, key });

/// What was agreed of one service line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The number of the contract, or the line's name in it.
    pub line: String,
    /// Who pays.
    pub customer: String,
    /// Who promises.
    pub vendor: String,
    /// Whose days and months they are.
    pub zone: Tz,
    /// The first covered day; `None` for ever before.
    pub start: Option<NaiveDate>,
    /// The first day that is not covered any more; `None` if no end is agreed.
    pub end: Option<NaiveDate>,
    /// The fee of a year, net of VAT.
    pub annual: Ore,
    /// `NOK`
    pub currency: String,
    /// VAT in tenths of a percent: 250 for 25 %.
    pub vat_permille: u16,
    /// How it is read where it is silent, inside a case.
    pub policy: Policy,
    /// The same for how a case comes about.
    pub before: BeforeCase,
    /// What it sets otherwise than is usual.
    pub terms: Terms,
}

impl Contract {
    /// With all that is usual: months of Oslo, kroner, Norwegian VAT, ever since and for ever.
    pub fn new(
        line: impl Into<String>,
        customer: impl Into<String>,
        vendor: impl Into<String>,
        annual: Ore,
    ) -> Self {
        Self {
            line: line.into(),
            customer: customer.into(),
            vendor: vendor.into(),
            zone: Tz::Europe__Oslo,
            start: None,
            end: None,
            annual,
            currency: "NOK".to_owned(),
            vat_permille: 250,
            policy: Policy::default(),
            before: BeforeCase::default(),
            terms: Terms::default(),
        }
    }
}

/// The list of its fields. Usual terms are left out, so that each contract has one encoding.
impl Canon for Contract {
    fn write(&self, pen: &mut Pen) {
        let own = (self.terms != Terms::default()).then_some(&self.terms);
        pen.list(11 + usize::from(own.is_some()));
        pen.put(&self.line).put(&self.customer).put(&self.vendor).put(&self.zone);
        pen.put(&self.start).put(&self.end).put(&self.annual).put(&self.currency);
        pen.put(&self.vat_permille).put(&self.policy).put(&self.before);
        if let Some(terms) = own {
            pen.put(terms);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let fields = reader.list()?;
        let contract = Self {
            line: reader.get()?,
            customer: reader.get()?,
            vendor: reader.get()?,
            zone: reader.get()?,
            start: reader.get()?,
            end: reader.get()?,
            annual: reader.get()?,
            currency: reader.get()?,
            vat_permille: reader.get()?,
            policy: reader.get()?,
            before: reader.get()?,
            terms: Terms::default(),
        };
        match fields {
            11 => Some(contract),
            12 => Some(Self { terms: reader.get()?, ..contract }),
            _ => None,
        }
    }
}

/// What the probe tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// The number, in the writer's own store, up to which they are in the ledger.
    pub through: u64,
    /// Each of them.
    pub tried: Tried,
    /// How what was sent in that time was answered: each refusal, and the first that was taken after it.
    pub ingest: Tried,
}

impl Attempts {
    /// What the probe tried, and nothing of what was sent.
    pub fn new(through: u64, tried: Tried) -> Self {
        Self { through, tried, ingest: Tried::default() }
    }
}

/// The list of its fields. Where nothing was refused the last one is left out, so that each has one
/// encoding.
impl Canon for Attempts {
    fn write(&self, pen: &mut Pen) {
        pen.list(2 + usize::from(!self.ingest.is_empty())).put(&self.through).put(&self.tried);
        if !self.ingest.is_empty() {
            pen.put(&self.ingest);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let fields = reader.list()?;
        let attempts = Self::new(reader.get()?, reader.get()?);
        match fields {
            2 => Some(attempts),
            3 => Some(Self { ingest: reader.get()?, ..attempts }),
            _ => None,
        }
    }
}

/// An exclusion, as the vendor invokes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// Its name, of which there is one.
    pub id: String,
    /// What is invoked, with what makes it valid.
    pub ground: Ground,
    /// The window.
    pub time: Interval,
    /// Who invokes it.
    pub who: String,
    /// Why, in their words.
    pub why: String,
    /// What is attached.
    pub proofs: Vec<Proof>,
}
record!(Invoked { id, ground, time, who, why, proofs });

impl Invoked {
    /// As a case has it.
    pub(crate) fn as_exclusion(&self, status: Status) -> Exclusion {
        Exclusion { id: self.id.clone(), ground: self.ground, time: self.time, status }
    }
}

/// A document that stands behind an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What it is called.
    pub name: String,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
}
record!(Proof { name, sha256 });

/// What the other side says to an exclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To which.
    pub exclusion: String,
    /// What.
    pub status: Status,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}
record!(Answer { exclusion, status, who, why });

/// The customer's notice of breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Of which month: `2026-11`.
    pub month: String,
    /// When and how.
    pub claim: Claim,
    /// Who wrote.
    pub who: String,
    /// What was sent.
    pub proofs: Vec<Proof>,
}
record!(Claimed { month, claim, who, proofs });

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Of which month: `2026-11`.
    pub month: String,
    /// What.
    pub step: Step,
    /// Who says so.
    pub who: String,
    /// The invoice's number, or the reason.
    pub note: String,
    /// What is attached.
    pub proofs: Vec<Proof>,
}

/// The list of its fields. No documents are left out, so that each has one encoding.
impl Canon for Progress {
    fn write(&self, pen: &mut Pen) {
        pen.list(4 + usize::from(!self.proofs.is_empty()));
        pen.put(&self.month).put(&self.step).put(&self.who).put(&self.note);
        if !self.proofs.is_empty() {
            pen.put(&self.proofs);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let fields = reader.list()?;
        let (month, step, who, note) = (reader.get()?, reader.get()?, reader.get()?, reader.get()?);
        let proofs: Vec<Proof> = match fields {
            4 => Vec::new(),
            5 => reader.get()?,
            _ => return None,
        };
        Some(Self { month, step, who, note, proofs })
    }
}

/// How far a claim is after it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The vendor has it.
    Acknowledged,
    /// The vendor says no.
    Disputed,
    /// It is on an invoice.
    Credited,
}

impl Step {
    /// The word of statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Disputed => "disputed",
            Self::Credited => "credited",
        }
    }
}

words!(Step { Acknowledged = "acknowledged", Disputed = "disputed", Credited = "credited" });

/// What was told of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Which: `2026-11`.
    pub month: String,
    /// The SHA-256 of the case in its canonical bytes.
    pub case: [u8; 32],
    /// Its figures.
    pub figures: Figures,
}
record!(Stated { month, case, figures });

/// What a statement says, in seconds, percent and øre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Counted downtime.
    pub counted: i64,
    /// Time without proof either way.
    pub unknown: i64,
    /// Uptime.
    pub up: i64,
    /// What it is a share of.
    pub denominator: i64,
    /// The credit in percent of the fee.
    pub tier: u8,
    /// The credit in øre if it is claimed.
    pub claimable: i64,
    /// The credit in øre that is due.
    pub due: i64,
}
record!(Figures { counted, unknown, up, denominator, tier, claimable, due });

/// A product's battery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Battery {
    /// Which product.
    pub product: String,
    /// What happened.
    pub event: BatteryEvent,
    /// Who says so.
    pub who: String,
}
record!(Battery { product, event, who });

/// What happened to a battery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatteryEvent {
    /// The customer was told that it is low, and has to replace it.
    Told,
    /// The customer replaced it.
    Replaced,
}
words!(BatteryEvent { Told = "told", Replaced = "replaced" });

/// Another key signs from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The new Ed25519 key.
    pub key: [u8; 32],
    /// The key before it signed `sla-ledger/1 key\n` and the new one.
    pub signature: [u8; 64],
}
record!(NewKey { key, signature });

/// An earlier entry is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The number of the entry.
    pub of: u64,
    /// Who corrects it.
    pub who: String,
    /// Why.
    pub why: String,
    /// What is in force instead; `None` if nothing is.
    pub instead: Option<Box<Fact>>,
}

impl Canon for Correction {
    fn write(&self, pen: &mut Pen) {
        pen.list(4).put(&self.of).put(&self.who).put(&self.why);
        match &self.instead {
            Some(fact) => fact.write(pen),
            None => None::<bool>.write(pen),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(4)?;
        let (of, who, why) = (reader.get()?, reader.get()?, reader.get()?);
        let instead = reader.get::<Option<Plain>>()?.map(|Plain(fact)| Box::new(fact));
        Some(Self { of, who, why, instead })
    }
}

/// A fact that can stand in for another: no ledger is opened twice, and a correction is corrected
/// by a later one of the same entry, not by one within it.
struct Plain(Fact);

impl Canon for Plain {
    fn write(&self, pen: &mut Pen) {
        self.0.write(pen);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(2)?;
        match reader.text()? {
            "open" | "key" | "statement" | "correction" => None,
            kind => Fact::of_kind(kind, reader).map(Self),
        }
    }
}

impl Fact {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::canon::to_bytes(self)
    }

    /// The fact with these bytes; `None` unless they are its canonical ones.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        crate::canon::from_bytes(bytes)
    }

    /// The word of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Contract(_) => "contract",
            Self::Attempts(_) => "attempts",
            Self::Exclusion(_) => "exclusion",
            Self::Answer(_) => "answer",
            Self::Claim(_) => "claim",
            Self::Progress(_) => "progress",
            Self::Statement(_) => "statement",
            Self::Battery(_) => "battery",
            Self::Key(_) => "key",
            Self::Correction(_) => "correction",
        }
    }

    fn of_kind(kind: &str, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match kind {
            "open" => Self::Open(reader.get()?),
            "contract" => Self::Contract(reader.get()?),
            "attempts" => Self::Attempts(reader.get()?),
            "exclusion" => Self::Exclusion(reader.get()?),
            "answer" => Self::Answer(reader.get()?),
            "claim" => Self::Claim(reader.get()?),
            "progress" => Self::Progress(reader.get()?),
            "statement" => Self::Statement(reader.get()?),
            "battery" => Self::Battery(reader.get()?),
            "key" => Self::Key(reader.get()?),
            "correction" => Self::Correction(reader.get()?),
            _ => return None,
        })
    }
}

impl Canon for Fact {
    fn write(&self, pen: &mut Pen) {
        pen.list(2).text(self.kind());
        match self {
            Self::Open(it) => pen.put(it),
            Self::Contract(it) => pen.put(it),
            Self::Attempts(it) => pen.put(it),
            Self::Exclusion(it) => pen.put(it),
            Self::Answer(it) => pen.put(it),
            Self::Claim(it) => pen.put(it),
            Self::Progress(it) => pen.put(it),
            Self::Statement(it) => pen.put(it),
            Self::Battery(it) => pen.put(it),
            Self::Key(it) => pen.put(it),
            Self::Correction(it) => pen.put(it),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(2)?;
        let kind = reader.text()?;
        Self::of_kind(kind, reader)
    }
}

const VERSION: u8 = 1;

impl Canon for Entry {
    fn write(&self, pen: &mut Pen) {
        pen.list(4).put(&VERSION).put(&self.seq).put(&self.at_ms).put(&self.fact);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(4)?;
        (reader.get::<u8>()? == VERSION).then_some(())?;
        Some(Self { seq: reader.get()?, at_ms: reader.get()?, fact: reader.get()? })
    }
}

record!(Policy { short_rule, straddle, unknown, denominator, notice_rule, breach_moment });
record!(Claim { notified_at, written, evidence });
record!(Notice { given_at, written });
words!(ShortRule { Gross = "gross", Net = "net" });
words!(Straddle { Whole = "whole", PerMonth = "per_month" });
words!(UnknownIs { Up = "up", Down = "down" });
words!(Denominator { Contract = "contract", Real = "real" });
words!(NoticeRule { DateDiff = "date_diff", ClearDays = "clear_days", Hours72 = "hours72" });
words!(BreachMoment { MonthEnd = "month_end", Crossing = "crossing", FirstOutage = "first_outage" });
words!(Status { Accepted = "accepted", Disputed = "disputed", Rejected = "rejected" });

impl Canon for Ground {
    fn write(&self, pen: &mut Pen) {
        pen.list(2).text(self.as_str());
        match self {
            Self::AgreedSuspension { agreed_at } => pen.put(agreed_at),
            Self::PlannedMaintenance(notice) => pen.put(notice),
            _ => pen.put(&None::<bool>),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.list_of(2)?;
        let ground = match reader.text()? {
            "agreed_suspension" => {
                return Some(Self::AgreedSuspension { agreed_at: reader.get()? });
            }
            "planned_maintenance" => return reader.get().map(Self::PlannedMaintenance),
            "security_maintenance" => Self::SecurityMaintenance,
            "authority_order" => Self::AuthorityOrder,
            "outside_control" => Self::OutsideControl,
            "customer_caused" => Self::CustomerCaused,
            "product_connectivity" => Self::ProductConnectivity,
            "battery" => Self::Battery,
            _ => return None,
        };
        reader.get::<Option<bool>>()?.is_none().then_some(ground)
    }
}
