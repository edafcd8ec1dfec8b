//! `GET /api/v1/sla/{month}/books`: the customer's book and the vendor's beside each other, and how far
//! the vendor has countersigned the ledger.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use ledger::Interval;
use ledger::book::Book;
use ledger::chain::Chain;
use ledger::entry::{Entry, Fact};
use ledger::note::{Note, Verifier};
use ledger::reconcile::reconcile;
use ledger::settlement::Settlement;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Web;
use crate::api::sla::{beside, chain, must, none, sum};
use crate::problem::{Code, Problem};
use crate::wire::Time;

/// What the two books of a month differ in.
pub(crate) async fn books(
    State(web): State<Arc<Web>>,
    Path(month): Path<String>,
) -> Result<Json<SlaBooks>, Problem> {
    let chain = must(chain(&web).await?)?;
    let theirs = web.handles.readers.vendors_book(0).await?;
    let note = web.handles.core.setting(COUNTERSIGNED).await?;
    let wrong = web.handles.core.setting(UNSIGNED_BECAUSE).await?.filter(|it| !it.is_empty());
    let body = beside(move || {
        let statement = Book::new(chain.entries()).statement(&month).map_err(|it| none(&it))?;
        let signed = note.and_then(|note| note.parse::<Note>().ok()).map(|note| SlaSigned {
            entry: note.checkpoint.head.seq,
            of: chain.head().seq,
            at: Time::of_ms(note.checkpoint.at_ms),
        });
        let key = theirs.first().and_then(|first| match Entry::from_bytes(first)?.fact {
            Fact::Open(open) => Verifier::new("portfolio", open.key),
            _ => None,
        });
        let found = if theirs.is_empty() {
            None
        } else {
            let vendor = Chain::read(theirs.iter().map(Vec::as_slice)).map_err(|broken| {
                let (seq, why) = (broken.seq, broken.why);
                let detail = format!("Entry {seq} of the vendor's book: {why}.");
                Problem::new(Code::LedgerBroken, detail).with("entry", &seq)
            })?;
            let case = Book::new(vendor.entries()).beside(&statement);
            Some(SlaDifference::of(&reconcile(&statement.case, &case)))
        };
        Ok(SlaBooks { signed, wrong, key: key.map(|key| key.to_string()), found })
    });
    body.await?.map(Json)
}

/// Where the daemon keeps the newest checkpoint that both have signed.
pub const COUNTERSIGNED: &str = "ledger_countersigned";

/// Where the daemon says why the portfolio does not countersign; empty if it does.
pub const UNSIGNED_BECAUSE: &str = "ledger_unsigned_because";

/// The two books of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaBooks {
    /// How far the vendor has countersigned the ledger; `null` if never.
    signed: Option<SlaSigned>,
    /// Why it does not countersign any more, in English; `null` if it does.
    wrong: Option<String>,
    /// The vendor's public key, for `fyrhus sla verify --trust`; `null` while its book is empty.
    key: Option<String>,
    /// `null` while the vendor's book is empty.
    found: Option<SlaDifference>,
}

/// How far the vendor has countersigned the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaSigned {
    /// The last entry that both have signed.
    entry: u64,
    /// The last entry that there is.
    of: u64,
    at: Time,
}

/// What two books of one month differ in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaDifference {
    /// Seconds that both saw down.
    both_s: i64,
    only_customer_s: i64,
    only_vendor_s: i64,
    /// Seconds that nobody saw down and one of them does not know.
    unknown_s: i64,
    customer: SlaView,
    vendor: SlaView,
    /// What comes of the seconds that both saw down.
    agreed: SlaView,
    /// In order of time; what is within half a minute of each other is one.
    incidents: Vec<SlaIncident>,
}

/// What one view of a month comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaView {
    counted_s: i64,
    percent: String,
    tier: u8,
    claimable: String,
}

/// What was down in one book, or in both.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaIncident {
    customer: Option<SlaSpan>,
    vendor: Option<SlaSpan>,
}

/// From a second, which is in it, to one that is not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlaSpan {
    from: Time,
    until: Time,
}

impl SlaDifference {
    fn of(found: &ledger::reconcile::Reconciliation) -> Self {
        let span =
            |it: Interval| SlaSpan { from: Time::of_s(it.from()), until: Time::of_s(it.until()) };
        let incidents = found
            .incidents
            .iter()
            .map(|it| SlaIncident { customer: it.customer.map(span), vendor: it.vendor.map(span) });
        Self {
            both_s: found.both,
            only_customer_s: found.only_customer,
            only_vendor_s: found.only_vendor,
            unknown_s: found.unknown,
            customer: SlaView::of(&found.customer),
            vendor: SlaView::of(&found.vendor),
            agreed: SlaView::of(&found.agreed),
            incidents: incidents.collect(),
        }
    }
}

impl SlaView {
    fn of(settled: &Settlement) -> Self {
        Self {
            counted_s: settled.totals.counted,
            percent: settled.percent(),
            tier: settled.tier.percent(),
            claimable: sum(settled.claimable),
        }
    }
}
