//! `/api/v1/promises` and `/api/v1/sites/{site}/promise`: what was promised to every building, what the
//! two books say of it, and what the vendor says to that.
//!
//! Figures follow from the gateway's ledger, as the gateway's own page has them; the vendor's book
//! stands beside it, difference by difference. What people write here goes into the vendor's book, and
//! with it to the gateway.

pub(crate) mod said;
mod together;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use chrono::{DateTime, SecondsFormat, Utc};
use ledger::book::{Book, Refused, Stage, Statement};
use ledger::chain::Broken;
use ledger::entry::{Fact, Step};
use ledger::note::Note;
use ledger::reconcile::reconcile;
use ledger::settlement::ClaimState;
use ledger::{Interval, Month};
use metering::{GatewayId, SiteId};
use said::{ProofBody, SaidBody, said};
use serde::{Deserialize, Serialize};
use statement::{Language, Place};
use tokio::task;
use utoipa::{IntoParams, ToSchema};

use crate::branches::{Reach, TagId};
use crate::ledgers::{Both, NotSaid, Shown};
use crate::people::People;
use crate::problem::{Code, Problem};
use crate::repository::{Repository, Side, Site};
use crate::tags::Asked;

/// `GET /promises`: each site that has a contract, with its running month and its open claims.
pub(crate) async fn list<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
    question: Result<Query<OfTag>, QueryRejection>,
) -> Result<Json<Vec<PromiseBody>>, Problem> {
    let asked = Asked::new(&people, reach, question?.0.tag).await?;
    let now = people.clock.now().wall;
    let mut promises = Vec::new();
    for site in people.repository.sites().await?.into_iter().filter(|site| asked.has(site)) {
        let promise = running(&people, &site, now).await?;
        let Site { id, name, .. } = site;
        promises.extend(promise.map(|promise| PromiseBody { site: id, name, promise }));
    }
    Ok(Json(promises))
}

/// `?tag=…`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfTag {
    #[param(value_type = Option<String>)]
    tag: Option<TagId>,
}

/// The promise to a site as it was looked at last; `None` if it has none.
async fn running<R: Repository>(
    people: &People<R>,
    site: &Site,
    now: DateTime<Utc>,
) -> Result<Option<Promise>, Problem> {
    let Some(gateway) = site.gateway.as_ref().map(|gateway| gateway.id) else { return Ok(None) };
    let hour = now.timestamp().div_euclid(3_600);
    let entries = people.repository.book_len(gateway, Side::Customer).await?;
    // A gateway that went to another building has the same book there, and shows less of it.
    let of = (site.id, gateway);
    if let Some(known) = people.promises.get(of, entries, hour) {
        return Ok(known);
    }
    let chain = match people.ledgers.customer(gateway).await {
        Ok(chain) => chain,
        // The others are not to blame; the site's own page says what is wrong with it.
        Err(NotSaid::Broken(Broken { seq, why })) => {
            tracing::error!(%gateway, seq, why, "a book of uptime cannot be read");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let promise = beside(move || Promise::of(chain.as_ref()?, now)).await?;
    people.promises.keep(of, entries, hour, promise.clone());
    Ok(promise)
}

/// What promises came to when they were looked at last: a book that has no more entries is not read
/// again before the hour is over, with which a month may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<HashMap<(SiteId, GatewayId), Looked>>>);

/// With how many entries, and in which hour since 1970.
type Looked = (u64, i64, Option<Promise>);

impl Known {
    #[expect(
        clippy::option_option,
        reason = "not looked at, and without a promise, are two things"
    )]
    fn get(&self, of: (SiteId, GatewayId), entries: u64, hour: i64) -> Option<Option<Promise>> {
        let known = self.lock();
        let (count, at, promise) = known.get(&of)?;
        (*count == entries && *at == hour).then(|| promise.clone())
    }

    fn keep(&self, of: (SiteId, GatewayId), entries: u64, hour: i64, promise: Option<Promise>) {
        let mut known = self.lock();
        // Of gateways that are not asked for any more nothing stays longer than an hour.
        known.retain(|_, (_, at, _)| *at == hour);
        known.insert(of, (entries, hour, promise));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(SiteId, GatewayId), Looked>> {
        // A thread that panicked left whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /sites/{site}/promise?month=2026-11`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    Extension(reach): Extension<Arc<Reach>>,
    site: Result<Path<SiteId>, PathRejection>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<WholeBody>, Problem> {
    let (site, gateway) = found(&people, site?.0).await?;
    let Query(Question { month }) = question?;
    let now = people.clock.now().wall;
    let both = people.ledgers.both(gateway).await?;
    let note = people.repository.book_note(gateway).await?;
    let id = site.id;
    let body = beside(move || WholeBody::of(&site, &both, note.as_deref(), month, now)).await?;
    let mut body = body.map_err(|refused| none(&refused))?;
    body.together =
        together::of(&people, &reach, id, &body.line, &body.customer, &body.month.month).await?;
    Ok(Json(body))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// The running one if it is left out.
    month: Option<String>,
}

/// `GET /sites/{site}/promise/{month}/statement.pdf`: the sheet as the gateway makes it.
pub(crate) async fn sheet<R: Repository>(
    State(people): State<People<R>>,
    path: Result<Path<(SiteId, String)>, PathRejection>,
    question: Result<Query<Sheet>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path((site, month)) = path?;
    let language = question?.0.language.unwrap_or_else(|| "nb".to_owned());
    let language: Language = language
        .parse()
        .map_err(|error: statement::NoLanguage| Problem::malformed(error.to_string()))?;
    let (_, gateway) = found(&people, site).await?;
    let both = people.ledgers.both(gateway).await?;
    let named = month.clone();
    let made = beside(move || {
        let chain = both.customer.ok_or(Refused::NoContract)?;
        let statement = Book::new(chain.entries()).statement(&named)?;
        let whole = chain.chain();
        let head = whole.head_at(statement.through).unwrap_or_else(|| whole.head());
        let place = Place { ledger: whole.ledger(), head };
        Ok(documents::pdf(&statement::sheet(&statement, place, language)))
    });
    let made = made.await?.map_err(|refused: Refused| none(&refused))?.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a sheet is not written");
        Problem::new(Code::Store, "The log of the service says more.")
    })?;
    // What is no month has no statement, so the name is one.
    let name = HeaderValue::try_from(format!("attachment; filename=\"statement-{month}.pdf\""));
    let name = name.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("application/pdf");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], made).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sheet {
    language: Option<String>,
}

/// The promise to one site, in a row of a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromiseRow)]
pub(crate) struct PromiseBody {
    #[schema(value_type = String)]
    site: SiteId,
    name: String,
    #[serde(flatten)]
    promise: Promise,
}

/// What the ledger of one gateway says of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PromiseInBrief)]
struct Promise {
    line: String,
    customer: String,
    month: MonthBody,
    /// Months of which a notice was given and that are not credited yet, the latest first.
    open: Vec<OpenBody>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OpenClaim)]
struct OpenBody {
    month: String,
    stage: &'static str,
    claimable: String,
    currency: String,
    /// Since when, if the notice was in time and in form.
    notified_at: String,
    /// `ok`, or why nothing is due: `late`, `no_evidence`, …
    claim: &'static str,
}

impl Promise {
    /// The running month, or the last one that a contract covered; `None` if there is neither.
    fn of(chain: &Shown, now: DateTime<Utc>) -> Option<Self> {
        let book = Book::new(chain.entries());
        let running = Month::of(now.timestamp(), book.zone()?).ok()?;
        let before = |month: &Month| Month::of(month.span().start - 1, month.zone()).ok();
        let statement = std::iter::successors(Some(running), before)
            .take_while(|month| month.span().end > book.opened())
            .take(MOST_MONTHS)
            .find_map(|month| book.statement(&month.to_string()).ok())?;
        let claims = chain.entries().iter().filter_map(|entry| match &entry.fact {
            Fact::Claim(claimed) => Some(claimed.month.clone()),
            _ => None,
        });
        let months: std::collections::BTreeSet<String> = claims.collect();
        let open = months.iter().rev().filter_map(|month| {
            let (claimed, _) = book.claimed(month)?;
            let stage = book.stage(month).filter(|stage| !is_over(stage))?;
            let statement = book.statement(month).ok()?;
            Some(OpenBody {
                month: month.clone(),
                stage: word(&stage),
                claimable: sum(statement.settled.claimable),
                currency: statement.contract.currency.clone(),
                notified_at: time(claimed.claim.notified_at),
                claim: statement.settled.claim.as_str(),
            })
        });
        Some(Self {
            line: statement.contract.line.clone(),
            customer: statement.contract.customer.clone(),
            month: MonthBody::of(&statement),
            open: open.collect(),
        })
    }
}

fn is_over(stage: &Stage) -> bool {
    matches!(stage, Stage::Answered(Step::Credited, _))
}

fn word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Claimed => "claimed",
        Stage::Answered(step, _) => step.as_str(),
    }
}

/// A month in figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PromiseMonth)]
struct MonthBody {
    month: String,
    provisional: bool,
    incomplete: bool,
    percent: String,
    denominator_s: i64,
    counted_s: i64,
    /// So much may count without a credit.
    allowed_s: i64,
    unknown_s: i64,
    tier: u8,
    tier_if_unknown_down: u8,
    claimable: String,
    currency: String,
    claim: &'static str,
    stage: Option<&'static str>,
    deadline: Option<String>,
    through: u64,
}

impl MonthBody {
    fn of(statement: &Statement) -> Self {
        let settled = &statement.settled;
        Self {
            month: statement.case.period.month().to_string(),
            provisional: statement.is_provisional(),
            incomplete: statement.is_incomplete(),
            percent: settled.percent(),
            denominator_s: settled.denominator,
            counted_s: settled.totals.counted,
            allowed_s: statement.case.terms.tiers.allows(settled.denominator),
            unknown_s: settled.totals.unknown,
            tier: settled.tier.percent(),
            tier_if_unknown_down: settled.unknown_as_down.tier.percent(),
            claimable: sum(settled.claimable),
            currency: statement.contract.currency.clone(),
            claim: settled.claim.as_str(),
            stage: statement.stage.as_ref().map(word),
            deadline: statement.deadline().map(|day| day.to_string()),
            through: statement.through,
        }
    }
}

/// The promise to one site, with the two books beside each other.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SitePromise)]
pub(crate) struct WholeBody {
    site: InSite,
    line: String,
    customer: String,
    vendor: String,
    /// All months of which the ledger says something, the latest first.
    months: Vec<String>,
    month: MonthBody,
    /// Whether a notice was given that waits for an answer.
    waits: bool,
    exclusions: Vec<ExclusionBody>,
    /// The notice, and what was said to it, in order.
    said: Vec<SaidBody>,
    /// What all sites come to that are on the same fee; `null` if it is this one alone.
    together: Option<together::TogetherBody>,
    /// `null` while the vendor's book is empty.
    books: Option<BooksBody>,
    /// How many entries of the gateway's ledger both have signed.
    countersigned: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InSite)]
struct InSite {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    time_zone: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Exclusion)]
struct ExclusionBody {
    entry: u64,
    id: String,
    kind: &'static str,
    from: String,
    until: String,
    who: String,
    why: String,
    proofs: Vec<ProofBody>,
    status: Option<&'static str>,
    answer: Option<String>,
}

/// What the two books differ in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SlaDifference)]
struct BooksBody {
    both_s: i64,
    only_customer_s: i64,
    only_vendor_s: i64,
    unknown_s: i64,
    /// The credit by the customer's book, by the vendor's, and by what both saw.
    customer: ViewBody,
    vendor: ViewBody,
    agreed: ViewBody,
    incidents: Vec<IncidentBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SlaView)]
struct ViewBody {
    counted_s: i64,
    percent: String,
    tier: u8,
    claimable: String,
}

impl ViewBody {
    fn of(settled: &ledger::settlement::Settlement) -> Self {
        Self {
            counted_s: settled.totals.counted,
            percent: settled.percent(),
            tier: settled.tier.percent(),
            claimable: sum(settled.claimable),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
struct IncidentBody {
    customer: Option<SpanBody>,
    vendor: Option<SpanBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Span)]
struct SpanBody {
    from: String,
    until: String,
}

impl WholeBody {
    fn of(
        site: &Site,
        both: &Both,
        note: Option<&str>,
        month: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Self, Refused> {
        let chain = both.customer.as_ref().ok_or(Refused::NoContract)?;
        let book = Book::new(chain.entries());
        let zone = book.zone().ok_or(Refused::NoContract)?;
        let running = Month::of(now.timestamp(), zone);
        let running = running.map_err(|_| Refused::NoContract)?;
        let statement = book.statement(&month.unwrap_or_else(|| running.to_string()))?;
        let before = |month: &Month| Month::of(month.span().start - 1, zone).ok();
        let months = std::iter::successors(Some(running), before)
            .take_while(|month| month.span().end > book.opened())
            .take(MOST_MONTHS);
        let books = both.vendor.as_ref().map(|vendor| {
            let beside = Book::new(vendor.entries()).beside(&statement);
            let found = reconcile(&statement.case, &beside);
            let ends = |it: Interval| SpanBody { from: time(it.from()), until: time(it.until()) };
            let incidents = found.incidents.iter().map(|it| IncidentBody {
                customer: it.customer.map(ends),
                vendor: it.vendor.map(ends),
            });
            BooksBody {
                both_s: found.both,
                only_customer_s: found.only_customer,
                only_vendor_s: found.only_vendor,
                unknown_s: found.unknown,
                customer: ViewBody::of(&found.customer),
                vendor: ViewBody::of(&found.vendor),
                agreed: ViewBody::of(&found.agreed),
                incidents: incidents.collect(),
            }
        });
        let exclusions = book.all_invoked().into_iter().rev();
        let exclusions = exclusions.map(|(entry, invoked, answer)| ExclusionBody {
            entry,
            id: invoked.id.clone(),
            kind: invoked.ground.as_str(),
            from: time(invoked.time.from()),
            until: time(invoked.time.until()),
            who: invoked.who.clone(),
            why: invoked.why.clone(),
            proofs: ProofBody::all(&invoked.proofs),
            status: answer.map(|answer| answer.status.as_str()),
            answer: answer.map(|answer| answer.why.clone()),
        });
        let waits = statement.stage.as_ref().is_some_and(|stage| !is_over(stage))
            && statement.settled.claim != ClaimState::NoBreach;
        let countersigned = note.and_then(|note| note.parse::<Note>().ok());
        Ok(Self {
            site: InSite {
                id: site.id,
                name: site.name.clone(),
                time_zone: site.time_zone.clone(),
            },
            line: statement.contract.line.clone(),
            customer: statement.contract.customer.clone(),
            vendor: statement.contract.vendor.clone(),
            months: months.map(|month| month.to_string()).collect(),
            month: MonthBody::of(&statement),
            waits,
            said: said(&book, &statement.case.period.month().to_string()),
            exclusions: exclusions.collect(),
            together: None,
            books,
            countersigned: countersigned.map(|note| note.checkpoint.head.seq),
        })
    }
}

async fn found<R: Repository>(
    people: &People<R>,
    site: SiteId,
) -> Result<(Site, GatewayId), Problem> {
    let none = || Problem::new(Code::NoSuchSite, "There is no such site, or it has no gateway.");
    let site = people.repository.site(site).await?.ok_or_else(none)?;
    let gateway = site.gateway.as_ref().map(|gateway| gateway.id).ok_or_else(none)?;
    Ok((site, gateway))
}

fn none(refused: &Refused) -> Problem {
    Problem::new(Code::NoSuchPromise, format!("{refused}.")).with("why", refused)
}

impl From<NotSaid> for Problem {
    fn from(error: NotSaid) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a book of uptime");
        Self::new(Code::Store, "The log of the service says more.")
    }
}

/// What takes milliseconds: beside those who wait for an answer.
async fn beside<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let computed = task::spawn_blocking(compute).await;
    computed.map_err(|_| Problem::new(Code::Store, "The log of the service says more."))
}

/// A sum in hundredths, as decimal text.
fn sum(ore: i64) -> String {
    format!("{}.{:02}", ore / 100, ore % 100)
}

fn time(second: i64) -> String {
    let at = DateTime::from_timestamp(second, 0).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Five years: for so long statements are kept.
const MOST_MONTHS: usize = 60;

#[cfg(test)]
mod tests {
    use ledger::Tried;
    use ledger::case::{Claim, Ore};
    use ledger::chain::Chain;
    use ledger::entry::{Attempts, Claimed, Contract, Entry, Open};
    use uuid::Uuid;

    use super::*;

    /// November of 2026 in Oslo.
    const NOVEMBER: i64 = 1_793_487_600;

    #[test]
    fn a_claim_stays_open_after_the_contract_has_ended() {
        let end = Some("2026-12-01".parse().unwrap());
        let contract =
            Contract { end, ..Contract::new("4711", "A", "B", Ore::new(1_200_000).unwrap()) };
        let claim = Claim { notified_at: NOVEMBER + 86_400, written: true, evidence: true };
        let (month, who) = ("2026-11".to_owned(), "Kari".to_owned());
        let facts = [
            Fact::Open(Open { ledger: [7; 16], key: [3; 32] }),
            Fact::Contract(contract),
            Fact::Claim(Claimed { month, claim, who, proofs: Vec::new() }),
            Fact::Attempts(Attempts::new(1, Tried::default())),
        ];
        let entries: Vec<Vec<u8>> = (1..)
            .zip(facts)
            .map(|(seq, fact)| Entry { seq, at_ms: 1_000 * NOVEMBER, fact }.to_bytes())
            .collect();
        let chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
        let in_february = DateTime::from_timestamp(NOVEMBER + 100 * 86_400, 0).unwrap();
        let chain = Shown::new(chain, 0, i64::MIN);
        let promise = Promise::of(&chain, in_february).unwrap();
        assert_eq!((promise.month.month.as_str(), promise.open.len()), ("2026-11", 1));
    }

    #[test]
    fn a_book_is_read_again_when_it_has_grown_or_an_hour_is_over() {
        let known = Known::default();
        let id = Uuid::from_u128;
        let [one, other] =
            [1, 2].map(|at| (SiteId::from_uuid(id(7)), GatewayId::from_uuid(id(at))));
        known.keep(one, 5, 100, None);
        assert!(known.get(one, 5, 100).is_some_and(|promise| promise.is_none()));
        assert!(known.get(other, 5, 100).is_none());
        assert!(known.get(one, 6, 100).is_none() && known.get(one, 5, 101).is_none());
        known.keep(other, 1, 101, None);
        assert_eq!(known.lock().len(), 1, "what is of the hour before is not kept");
    }
}
