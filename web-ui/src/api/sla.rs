//! `/api/v1/sla`: what the ledger says of the promise of uptime, as figures and as files.
//!
//! Everything here follows from the ledger's entries and from nothing else. Who writes them is in
//! [`said`](super::said).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{Datelike as _, NaiveDate};
use data_encoding::HEXLOWER;
use documents::Paper;
use ledger::book::{Book, Refused, Stage, Statement};
use ledger::chain::Chain;
use ledger::entry::{Contract, Proof};
use ledger::{Failure, Month, TlsFailure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use statement::{Enclosure, Language, Place};
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::agreement::Agreement;
use crate::api::cloud::code_word;
use crate::handles::Wish;
use crate::problem::{Code, Problem};
use crate::wire::{Asked, Time};

/// The contract, the statements of a year, and every exclusion.
pub(crate) async fn year(
    State(web): State<Arc<Web>>,
    Asked(question): Asked<Year>,
) -> Result<Json<SlaBody>, Problem> {
    let now = web.now().wall;
    let year = question.year.unwrap_or_else(|| now.with_timezone(&web.site().time_zone).year());
    if !(1970..3000).contains(&year) {
        return Err(Problem::malformed("`year` is written like 2026"));
    }
    let Some(chain) = chain(&web).await? else {
        let (months, exclusions) = (Vec::new(), Vec::new());
        return Ok(Json(SlaBody { year, contract: None, agreed: None, months, exclusions }));
    };
    let body = beside(move || SlaBody::of(&chain, year, now.timestamp())).await?;
    Ok(Json(body))
}

/// `?year=2026`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Year {
    /// The running one if it is left out.
    year: Option<i32>,
}

/// A month, as it follows from the ledger now.
pub(crate) async fn statement(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Json<SlaStatement>, Problem> {
    let chain = must(chain(&web).await?)?;
    let body = beside(move || SlaStatement::of(&chain, &month)).await?;
    Ok(Json(body.map_err(|refused| none(&refused))?))
}

/// The statement's sheet.
pub(crate) async fn sheet(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
    Asked(question): Asked<Sheet>,
) -> Result<Response, Problem> {
    let language = question.language()?;
    let (chain, statement) = stated(&web, &month, question.entry).await?;
    let paper = sheet_of(&chain, &statement, language);
    Ok(file("application/pdf", &format!("statement-{month}.pdf"), pdf(&paper)?))
}

/// `?language=nb&entry=731`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sheet {
    /// `nb` or `en`; `nb` if it is left out.
    language: Option<String>,
    /// The entry of the ledger that told the statement; as it is now if it is left out.
    entry: Option<u64>,
}

impl Sheet {
    fn language(&self) -> Result<Language, Problem> {
        let text = self.language.as_deref().unwrap_or("nb");
        text.parse().map_err(|error: statement::NoLanguage| Problem::malformed(error.to_string()))
    }
}

/// The outages and exclusions of a month as a file.
pub(crate) async fn csv(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Response, Problem> {
    let (_, statement) = stated(&web, &month, None).await?;
    let table = documents::csv(&statement::table(&statement)).into_bytes();
    Ok(file("text/csv; charset=utf-8", &format!("statement-{month}.csv"), table))
}

/// The month minute by minute as a file.
pub(crate) async fn minutes(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Response, Problem> {
    let (_, statement) = stated(&web, &month, None).await?;
    let table = beside(move || documents::csv(&statement::minutes(&statement))).await?;
    let name = format!("statement-{month}-minutes.csv");
    Ok(file("text/csv; charset=utf-8", &name, table.into_bytes()))
}

/// The statement for programs.
pub(crate) async fn json(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Response, Problem> {
    let (_, statement) = stated(&web, &month, None).await?;
    let body = format!("{:#}\n", statement::statement(&statement)).into_bytes();
    Ok(file("application/json", &format!("statement-{month}.json"), body))
}

/// The evidence file, signed now.
pub(crate) async fn evidence(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Response, Problem> {
    let made = evidence_of(&web, &month).await?;
    Ok(file("application/x-tar", &format!("fyrhus-evidence-{month}.tar"), made))
}

/// The claim as a letter of today.
pub(crate) async fn letter(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
    Asked(question): Asked<Sheet>,
) -> Result<Response, Problem> {
    let language = question.language()?;
    let (chain, statement) = stated(&web, &month, None).await?;
    let sheet = pdf(&sheet_of(&chain, &statement, language))?;
    let files = [
        (format!("fyrhus-evidence-{month}.tar"), evidence_of(&web, &month).await?),
        (format!("statement-{month}.pdf"), sheet),
    ];
    let enclosures =
        files.map(|(name, bytes)| Enclosure { name, sha256: Sha256::digest(&bytes).into() });
    let today = web.now().wall.with_timezone(&statement.contract.zone).date_naive();
    let letter = statement::letter(&statement, today, &enclosures, language).ok_or_else(|| {
        let detail = "The promise was kept in that month: there is nothing to claim.";
        Problem::new(Code::NoStatement, detail)
    })?;
    Ok(file("application/pdf", &format!("claim-{month}.pdf"), pdf(&letter)?))
}

async fn evidence_of(web: &Web, month: &str) -> Result<Vec<u8>, Problem> {
    let month = month.to_owned();
    let made = web.wish(|reply| Wish::Evidence { month, reply }).await?;
    made.map_err(|why| Problem::new(Code::NoStatement, why))
}

fn sheet_of(chain: &Chain, statement: &Statement, language: Language) -> Paper {
    let head = chain.head_at(statement.through).unwrap_or_else(|| chain.head());
    statement::sheet(statement, Place { ledger: chain.ledger(), head }, language)
}

fn pdf(paper: &Paper) -> Result<Vec<u8>, Problem> {
    documents::pdf(paper).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a sheet is not written");
        Problem::new(Code::Store, "The log of the gateway says more.")
    })
}

pub(crate) fn file(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let name = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let name = name.unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, bytes).into_response()
}

/// The ledger, and the statement of `month`: as it is, or as the entry with the number `told` told it.
async fn stated(web: &Web, month: &str, told: Option<u64>) -> Result<(Chain, Statement), Problem> {
    let chain = must(chain(web).await?)?;
    let month = month.to_owned();
    let found = beside(move || {
        let book = Book::new(chain.entries());
        let statement = match told {
            Some(seq) => book.as_told(seq),
            None => book.statement(&month),
        };
        let statement = statement.and_then(|it| {
            (it.case.period.month().to_string() == month)
                .then_some(it)
                .ok_or(Refused::NoMonth(month))
        });
        statement.map(|statement| (chain, statement))
    });
    found.await?.map_err(|refused| none(&refused))
}

/// The ledger; `None` if it was never opened.
pub(crate) async fn chain(web: &Web) -> Result<Option<Chain>, Problem> {
    let entries = web.handles.readers.ledger(0).await?;
    if entries.is_empty() {
        return Ok(None);
    }
    let read = beside(move || Chain::read(entries.iter().map(Vec::as_slice))).await?;
    read.map(Some).map_err(|broken| {
        let detail = format!("Entry {} of the ledger: {}.", broken.seq, broken.why);
        Problem::new(Code::LedgerBroken, detail).with("entry", &broken.seq)
    })
}

pub(crate) fn must(chain: Option<Chain>) -> Result<Chain, Problem> {
    chain.ok_or_else(|| none(&Refused::NoContract))
}

pub(crate) fn none(refused: &Refused) -> Problem {
    Problem::new(Code::NoStatement, refused.to_string())
}

/// What takes milliseconds, or on a small machine more: beside those who wait for an answer.
pub(crate) async fn beside<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(compute).await.map_err(|_| Problem::stopping())
}

/// A sum in hundredths, as decimal text.
pub(crate) fn sum(ore: i64) -> String {
    format!("{}.{:02}", ore / 100, ore % 100)
}

/// The promise of uptime.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sla)]
pub(crate) struct SlaBody {
    year: i32,
    /// What is agreed now; `null` before there is a contract.
    contract: Option<SlaContract>,
    /// The same as it is written, to begin a later one from; `null` before there is one.
    agreed: Option<Agreement>,
    /// Those that have begun and of which the ledger says something, in order.
    months: Vec<SlaMonth>,
    /// All that are in force, the latest first.
    exclusions: Vec<SlaExclusion>,
}

impl SlaBody {
    fn of(chain: &Chain, year: i32, now: i64) -> Self {
        let book = Book::new(chain.entries());
        let zone = book.zone();
        let months = (1..=12).filter_map(|month| Month::new(year, month, zone?).ok());
        let begun = months.filter(|month| {
            let span = month.span();
            span.start <= now && span.end > book.opened()
        });
        let months = begun.filter_map(|month| {
            let statement = book.statement(&month.to_string()).ok()?;
            Some(SlaMonth::of(&book, &statement))
        });
        let exclusions =
            book.all_invoked().into_iter().rev().map(|(entry, invoked, answer)| SlaExclusion {
                entry,
                id: invoked.id.clone(),
                kind: invoked.ground.as_str(),
                from: Time::of_s(invoked.time.from()),
                until: Time::of_s(invoked.time.until()),
                who: invoked.who.clone(),
                why: invoked.why.clone(),
                proofs: proofs(&invoked.proofs),
                status: answer.map(|answer| answer.status.as_str()),
                answered_by: answer.map(|answer| answer.who.clone()),
                answer: answer.map(|answer| answer.why.clone()),
            });
        Self {
            year,
            contract: book.agreed().map(SlaContract::of),
            agreed: book.agreed().map(Agreement::of),
            months: months.collect(),
            exclusions: exclusions.collect(),
        }
    }
}

fn proofs(proofs: &[Proof]) -> Vec<SlaProof> {
    let proof = |proof: &Proof| SlaProof {
        name: proof.name.clone(),
        sha256: HEXLOWER.encode(&proof.sha256),
    };
    proofs.iter().map(proof).collect()
}

/// What is agreed of a service line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaContract {
    line: String,
    customer: String,
    vendor: String,
    time_zone: &'static str,
    /// The first covered day; `null` for ever before.
    start: Option<String>,
    /// The first day that is not covered any more; `null` if no end is agreed.
    end: Option<String>,
    /// The fee of a year, net of VAT: `12000.00`
    annual: String,
    /// `NOK`
    currency: String,
    /// `25.0`, in percent.
    vat: String,
    tiers: Vec<SlaTier>,
    /// The limit of all liability in twelve months; `null` if none is agreed as a sum.
    cap: Option<String>,
    claim_days: u16,
    notice_days: u8,
    /// The sites that have this one fee; empty for this one alone.
    sites: Vec<String>,
}

/// What is credited below an uptime.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaTier {
    /// `99.50`, in percent.
    below: String,
    /// In percent of the month's fee.
    credit: u8,
}

impl SlaContract {
    fn of(contract: &Contract) -> Self {
        let date = |date: Option<NaiveDate>| date.map(|date| date.to_string());
        let tiers = contract.terms.tiers.limits().iter().map(|limit| SlaTier {
            below: format!("{}.{:02}", limit.below / 100, limit.below % 100),
            credit: limit.credit,
        });
        Self {
            line: contract.line.clone(),
            customer: contract.customer.clone(),
            vendor: contract.vendor.clone(),
            time_zone: contract.zone.name(),
            start: date(contract.start),
            end: date(contract.end),
            annual: sum(contract.annual.ore()),
            currency: contract.currency.clone(),
            vat: format!("{}.{}", contract.vat_permille / 10, contract.vat_permille % 10),
            tiers: tiers.collect(),
            cap: contract.terms.cap.map(|cap| sum(cap.ore())),
            claim_days: contract.terms.claim_days,
            notice_days: contract.terms.notice_days,
            sites: contract.terms.sites.clone(),
        }
    }
}

/// A month in figures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaMonth {
    /// `2026-11`
    month: String,
    /// It is not over, or not all of it is in the ledger.
    provisional: bool,
    /// More than 5 % of it is unknown.
    incomplete: bool,
    /// `99.9712`: four decimals, cut, not rounded.
    percent: String,
    /// What the percentage is of, in seconds.
    denominator_s: i64,
    /// Counted downtime.
    counted_s: i64,
    unknown_s: i64,
    /// The credit in percent of the month's fee.
    tier: u8,
    /// If all unknown time had been down.
    tier_if_unknown_down: u8,
    /// If every exclusion that is valid in form were accepted.
    tier_if_accepted: u8,
    /// The credit if it is claimed in time and with evidence: `100.00`
    claimable: String,
    /// What is due of it.
    due: String,
    /// `NOK`
    currency: String,
    /// `no_breach`, `not_notified`, `not_written`, `premature`, `late`, `no_evidence`, `ok`.
    claim: &'static str,
    /// `claimed`, `acknowledged`, `disputed`, `credited`; `null` if nobody gave notice.
    stage: Option<&'static str>,
    /// The last day on which notice can be given; `null` if there is no breach.
    deadline: Option<String>,
    /// The last day under every reading of the contract.
    safe_deadline: Option<String>,
    /// What was told of it, each time, the latest last.
    told: Vec<SlaTold>,
}

impl SlaMonth {
    fn of(book: &Book<'_>, statement: &Statement) -> Self {
        let settled = &statement.settled;
        let month = statement.case.period.month().to_string();
        let told = book.told(&month).map(|(entry, stated)| SlaTold {
            entry: entry.seq,
            at: Time::of_ms(entry.at_ms),
            counted_s: stated.figures.counted,
            tier: stated.figures.tier,
            claimable: sum(stated.figures.claimable),
        });
        let safe = settled.deadlines.map(|deadlines| deadlines.safe());
        Self {
            told: told.collect(),
            month,
            provisional: statement.is_provisional(),
            incomplete: statement.is_incomplete(),
            percent: settled.percent(),
            denominator_s: settled.denominator,
            counted_s: settled.totals.counted,
            unknown_s: settled.totals.unknown,
            tier: settled.tier.percent(),
            tier_if_unknown_down: settled.unknown_as_down.tier.percent(),
            tier_if_accepted: settled.disputed_accepted.tier.percent(),
            claimable: sum(settled.claimable),
            due: sum(settled.due),
            currency: statement.contract.currency.clone(),
            claim: settled.claim.as_str(),
            stage: statement.stage.as_ref().map(|stage| match stage {
                Stage::Claimed => "claimed",
                Stage::Answered(step, _) => step.as_str(),
            }),
            deadline: statement.deadline().map(|day| day.to_string()),
            safe_deadline: safe.map(|day| day.to_string()),
        }
    }
}

/// What was told of a month at some time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaTold {
    /// The number of the entry.
    entry: u64,
    at: Time,
    counted_s: i64,
    tier: u8,
    claimable: String,
}

/// An exclusion, as it was invoked and answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaExclusion {
    /// The number of the entry.
    entry: u64,
    id: String,
    /// `planned_maintenance`, `security_maintenance`, `authority_order`, `agreed_suspension`,
    /// `outside_control`, `customer_caused`, `product_connectivity`, `battery`.
    kind: &'static str,
    from: Time,
    until: Time,
    who: String,
    why: String,
    proofs: Vec<SlaProof>,
    /// `accepted`, `disputed`, `rejected`; `null` if nobody has answered.
    status: Option<&'static str>,
    answered_by: Option<String>,
    answer: Option<String>,
}

/// A document that stands behind an entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaProof {
    name: String,
    /// In hex.
    sha256: String,
}

/// The statement of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaStatement {
    /// Its figures.
    figures: SlaMonth,
    /// The fee of the period, to the nearest hundredth: `1000.00`
    fee: String,
    /// When the month was lost; `null` if it is not.
    lost_at: Option<Time>,
    outages: Vec<SlaOutage>,
    /// What was invoked for it and what came of that, by name.
    exclusions: Vec<SlaExcluded>,
    /// Unknown time by its reason, the longest first.
    unknown: Vec<SlaUnknown>,
    /// For how many seconds new data was refused.
    refused_s: i64,
    /// Whether that is down by the contract.
    refused_counts: bool,
    /// What was said of the claim, in order; empty if nobody gave notice.
    said: Vec<SlaSaid>,
    /// The last entry of the ledger that it follows from.
    through: u64,
    /// The hash of everything up to that entry, in hex.
    hash: String,
}

/// An outage, and what of it counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaOutage {
    from: Time,
    until: Time,
    short_s: i64,
    excluded_s: i64,
    counted_s: i64,
    /// How the attempts failed, the most frequent first.
    causes: Vec<SlaCause>,
}

/// How attempts failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaCause {
    /// `dns`, `tcp`, `tls_foreign`, `tls_own`, `tls`, `no_answer`, `status`, `wrong_data`.
    failure: &'static str,
    /// The HTTP status, where there was one.
    status: Option<u16>,
    attempts: u32,
}

/// What came of an exclusion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaExcluded {
    id: String,
    kind: &'static str,
    /// `ok`, or why it does not act: `rejected`, `no_notice`, `not_written`, `late_notice`,
    /// `not_agreed`, `disputed`.
    reason: &'static str,
    effective_s: i64,
}

/// Unknown time of one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaUnknown {
    /// `gap`, `clock`, `link`, `ambiguous`, `rate_limited`, `refused`, `down_single`.
    code: &'static str,
    seconds: i64,
}

/// What was said of a claim.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaSaid {
    /// The number of the entry; `null` of the notice itself.
    entry: Option<u64>,
    at: Time,
    /// `claimed`, `acknowledged`, `disputed`, `credited`.
    step: &'static str,
    who: String,
    /// The invoice, or why.
    note: String,
    proofs: Vec<SlaProof>,
}

impl SlaStatement {
    fn of(chain: &Chain, month: &str) -> Result<Self, Refused> {
        let book = Book::new(chain.entries());
        let statement = book.statement(month)?;
        let settled = &statement.settled;
        let outages =
            settled.outages.iter().zip(&statement.causes).map(|(outage, causes)| SlaOutage {
                from: Time::of_s(outage.time.from()),
                until: Time::of_s(outage.time.until()),
                short_s: outage.short,
                excluded_s: outage.excluded,
                counted_s: outage.counted,
                causes: causes.iter().map(|cause| SlaCause::of(*cause)).collect(),
            });
        let exclusions = settled.exclusions.iter().map(|excluded| SlaExcluded {
            id: excluded.id.clone(),
            kind: excluded.kind,
            reason: excluded.reason.as_str(),
            effective_s: excluded.effective,
        });
        let unknown = statement
            .unknown
            .iter()
            .map(|unknown| SlaUnknown { code: code_word(unknown.code), seconds: unknown.seconds });
        let fee = settled.fee;
        let fee = (2 * fee.numerator + fee.denominator) / (2 * fee.denominator).max(1);
        let head = chain.head_at(statement.through).unwrap_or_else(|| chain.head());
        Ok(Self {
            figures: SlaMonth::of(&book, &statement),
            fee: sum(fee),
            lost_at: settled.crossed_at.map(Time::of_s),
            outages: outages.collect(),
            exclusions: exclusions.collect(),
            unknown: unknown.collect(),
            refused_s: statement.refused_s(),
            refused_counts: statement.counts_refused(),
            said: said(&book, month),
            through: statement.through,
            hash: HEXLOWER.encode(&head.hash),
        })
    }
}

/// The notice, and what was said to it.
fn said(book: &Book<'_>, month: &str) -> Vec<SlaSaid> {
    let Some((claimed, progress)) = book.claimed(month) else { return Vec::new() };
    let notice = SlaSaid {
        entry: None,
        at: Time::of_s(claimed.claim.notified_at),
        step: "claimed",
        who: claimed.who.clone(),
        note: String::new(),
        proofs: proofs(&claimed.proofs),
    };
    let answers = progress.into_iter().map(|(entry, progress)| SlaSaid {
        entry: Some(entry.seq),
        at: Time::of_ms(entry.at_ms),
        step: progress.step.as_str(),
        who: progress.who.clone(),
        note: progress.note.clone(),
        proofs: proofs(&progress.proofs),
    });
    std::iter::once(notice).chain(answers).collect()
}

impl SlaCause {
    const fn of((failure, attempts): (Failure, u32)) -> Self {
        let (failure, status) = match failure {
            Failure::Dns => ("dns", None),
            Failure::Tcp => ("tcp", None),
            Failure::Tls(TlsFailure::ForeignCa) => ("tls_foreign", None),
            Failure::Tls(TlsFailure::OwnFault) => ("tls_own", None),
            Failure::Tls(TlsFailure::Handshake) => ("tls", None),
            Failure::NoAnswer => ("no_answer", None),
            Failure::Status(status) => ("status", Some(status)),
            Failure::WrongData => ("wrong_data", None),
        };
        Self { failure, status, attempts }
    }
}
