//! The gateway's side of the sync: from the outbox to an acknowledgement.
//!
//! ```text
//!            ┌──────────────── one task ────────────────┐
//!  Outbox ──▶│ batch ──▶ POST ──▶ 200 ──▶ acknowledge   │──HTTPS, mutual TLS──▶ portfolio
//!    ▲       │   ▲                 409 ──▶ rewind       │
//!    └───────│   └──────────────── 424 ──▶ series table │
//!            └──────────────────────────────────────────┘
//! ```
//!
//! The outbox is the queue: it is on disk, and what bounds it is its retention. One batch is in
//! flight; what was not acknowledged is sent again, as often as it takes, and the portfolio tells by
//! its numbers what it has.
//!
//! [`enrol`] makes an [`Identity`] of a one-time code; [`Uploader`] sends with it, and renews it.
//! Both go by a [`Way`], which counts their bytes; a [`Budget`] makes a month's bytes last.
//! [`BookKeeper`] has the two books of the promise of uptime change hands, [`Errands`] fetches what
//! the portfolio asks.
//!
//! **Invariant:** a reading is acknowledged in the store after the portfolio's 200, which follows
//! its commit. Nothing here deletes a reading.
//!
//! **Invariant:** an answer that is not in the portfolio's own words changes nothing: a proxy or a
//! login page between the two can delay the sync, and do no more.

mod accounts;
mod backoff;
mod books;
mod budget;
mod building;
mod enrol;
mod errands;
mod identity;
mod post;
mod upload;
mod way;

pub use backoff::Backoff;
pub use books::{BookKeeper, Seen, Shown};
pub use budget::Budget;
pub use building::{Building, BuildingMeter};
pub use enrol::{EnrolError, enrol};
pub use errands::Errands;
pub use identity::{Identity, IdentityError};
pub use post::SyncError;
pub use sync_wire::{
    ChangeDocument, ErrandAsked, ErrandKind, ErrandStand, ErrandState, KeyChange, KeyValue,
    SignedChange,
};
pub use upload::{Pace, Sent, SyncStatus, Uploader};
pub use way::{Counted, InvalidProxy, NoWay, Proxy, Traffic, Way};
