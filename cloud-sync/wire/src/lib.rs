//! The protocol between gateway and portfolio: what is posted, and what is answered.
//!
//! ```text
//!  gateway                                   portfolio
//!     │  POST /v1/enrol     Enrol ───────────▶  │   with a one-time code, once
//!     │  ◀─────────── Certificate │ Refusal     │
//!     │  POST /v1/series    SeriesTable ─────▶  │   what the numbers of a batch mean
//!     │  POST /v1/batch     Batch ───────────▶  │   readings from..=to, without a hole
//!     │  ◀──────────── Ack{acked} │ Refusal     │   after the commit, never before
//!     │  POST /v1/latest    Latest ──────────▶  │   while behind: what the meters show now
//!     │  POST /v1/accounts  Accounts ────────▶  │   what was expected, what came, why not the rest
//!     │  POST /v1/books     Books ───────────▶  │   the ledger of the promise of uptime
//!     │  ◀───────────── Books │ Refusal         │   the vendor's, and a countersignature
//!     │  POST /v1/document  Document ────────▶  │   what stands behind entries of both
//!     │  ◀────────── Document │ Refusal         │   (`sha256` in an entry is its name)
//!     │  POST /v1/ledger    Books ───────────▶  │   a gateway that lost its disk
//!     │  ◀───────────── Books │ Refusal         │   its own ledger, as it was shown
//!     │  POST /v1/errands   ErrandsTold ─────▶  │   how what was asked of the gateway stands
//!     │  ◀─────── ErrandsAsked │ Refusal        │   what is asked now
//!     │  POST /v1/bundle    Document ────────▶  │   a diagnosis bundle that was asked for
//!     │  POST /v1/recall    RecallAsked ─────▶  │   what a gateway lost of its readings
//!     │  ◀─────────── Recalled │ Refusal        │   what is here of it, in pages
//!     │  POST /v1/renew     Renew ───────────▶  │   before, or after, the certificate ends
//! ```
//!
//! Messages are CBOR (RFC 8949) of fixed shape; what is large is packed with raw deflate (RFC 1951)
//! behind a header that can be judged before anything is unpacked. Every message may be sent twice,
//! and may arrive after the one that was sent later: a [`Batch`] says which numbers it holds, and
//! all the others replace what was said before.
//!
//! This crate does no I/O and knows neither HTTP nor a database.
//!
//! **Invariant:** no bytes make a reader here panic, or allocate more than [`limits`] allow.
//!
//! **Invariant:** a value is an integer in the steps of its series. Unit and decimals stand in the
//! [`SeriesTable`], once, and nowhere else.

mod accounts;
mod answer;
mod batch;
mod books;
mod cbor;
mod change;
mod columns;
mod document;
mod enrol;
mod errand;
mod folded;
mod latest;
pub mod limits;
mod pack;
mod recall;
mod series;
mod stamp;

pub use accounts::{AccountDay, Accounts};
pub use answer::{Ack, Refusal, Wishes};
pub use batch::{Batch, Envelope, Gap, GapReason, Header, Incomplete, SyncReading};
pub use books::Books;
pub use cbor::{Flaw, Malformed};
pub use change::{ChangeDocument, KeyChange, KeyValue, SignedChange};
pub use document::Document;
pub use enrol::{Certificate, Enrol, EnrolCode, InvalidEnrolCode, Renew};
pub use errand::{ErrandAsked, ErrandKind, ErrandStand, ErrandState, ErrandsAsked, ErrandsTold};
pub use folded::{Stretch, fold, unfold};
pub use latest::{Latest, Newest};
pub use pack::TooLarge;
pub use recall::{RecallAsked, Recalled};
pub use series::{Kind, MeterRow, SeriesRow, SeriesTable, SiteRow};

/// The version of the protocol that this crate writes and reads: the first number of each message.
pub const VERSION: u32 = 1;

/// The media type of every message.
pub const MEDIA_TYPE: &str = "application/vnd.fyrhus.sync+cbor";

/// Where each message is posted.
pub mod path {
    /// [`Accounts`](crate::Accounts).
    pub const ACCOUNTS: &str = "/v1/accounts";
    /// [`Batch`](crate::Batch).
    pub const BATCH: &str = "/v1/batch";
    /// [`Books`](crate::Books).
    pub const BOOKS: &str = "/v1/books";
    /// [`Document`](crate::Document): a diagnosis bundle.
    pub const BUNDLE: &str = "/v1/bundle";
    /// [`Document`](crate::Document).
    pub const DOCUMENT: &str = "/v1/document";
    /// [`Books`](crate::Books): what the portfolio has of the gateway's own ledger.
    pub const LEDGER: &str = "/v1/ledger";
    /// [`Enrol`](crate::Enrol), the only one that needs no certificate.
    pub const ENROL: &str = "/v1/enrol";
    /// [`ErrandsTold`](crate::ErrandsTold).
    pub const ERRANDS: &str = "/v1/errands";
    /// [`Latest`](crate::Latest).
    pub const LATEST: &str = "/v1/latest";
    /// [`RecallAsked`](crate::RecallAsked).
    pub const RECALL: &str = "/v1/recall";
    /// [`Renew`](crate::Renew), the only one that takes an expired certificate.
    pub const RENEW: &str = "/v1/renew";
    /// The newest stored reading of a series, as JSON: the series' number follows.
    pub const REPORT: &str = "/v1/report/";
    /// [`SeriesTable`](crate::SeriesTable).
    pub const SERIES: &str = "/v1/series";
}
