//! How many requests a person may make, and how they are told before they are too many.
//!
//! ```text
//!  RateLimit-Policy: "requests";q=600;w=60       six hundred in a minute
//!  RateLimit: "requests";r=598;t=42              598 are left, for 42 s
//! ```
//!
//! The fields are those of the IETF's draft "`RateLimit` header fields for HTTP". Each receiver counts
//! for itself: behind a balancer there may be more, and never fewer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::{Extension, Json};
use metering::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::downloads;
use crate::histories;
use crate::history::Step;

/// Requests in a window. A page that is looked at asks a few in half a minute; a program that reads
/// a thousand meters one by one is done in two.
const REQUESTS: u32 = 600;

const WINDOW: Duration = Duration::from_mins(1);

/// People who are counted at once. Beyond that those are forgotten whose window is over, of whom
/// there are some: nobody makes people by the thousand in a minute.
const PEOPLE: usize = 1_024;

/// What everybody has asked in their present minute.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<HashMap<UserId, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Duration,
    used: u32,
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Whether it is one of those that are allowed.
    pub(crate) allowed: bool,
    /// How many more there are in this window.
    remaining: u32,
    /// When the next one begins.
    pub(crate) reset: Duration,
}

impl Limits {
    /// Counts a request at `now`, the age of the boot.
    pub(crate) fn count(&self, who: UserId, now: Duration) -> Counted {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= PEOPLE {
            windows.retain(|_, window| now.saturating_sub(window.begun) < WINDOW);
        }
        let window = windows.entry(who).or_insert(Window { begun: now, used: 0 });
        if now.saturating_sub(window.begun) >= WINDOW {
            *window = Window { begun: now, used: 0 };
        }
        let allowed = window.used < REQUESTS;
        window.used += u32::from(allowed);
        Counted {
            allowed,
            remaining: REQUESTS - window.used,
            reset: WINDOW.saturating_sub(now.saturating_sub(window.begun)),
        }
    }
}

impl Counted {
    /// Says it in the head of an answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let policy = format!("\"requests\";q={REQUESTS};w={}", WINDOW.as_secs());
        let left = format!("\"requests\";r={};t={}", self.remaining, self.reset_secs());
        for (name, value) in [(POLICY, policy), (LEFT, left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Whole seconds, rounded up: who comes then is let in.
    fn reset_secs(self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// `GET /limits`
pub(crate) async fn show(Extension(counted): Extension<Counted>) -> Json<LimitsBody> {
    Json(LimitsBody {
        requests: RequestsBody {
            limit: REQUESTS,
            window_seconds: WINDOW.as_secs(),
            remaining: counted.remaining,
            reset_seconds: counted.reset_secs(),
        },
        history_days: HistoryDays {
            quarter: Step::Quarter.longest().num_days(),
            hour: Step::Hour.longest().num_days(),
            day: Step::Day.longest().num_days(),
            month: Step::Month.longest().num_days(),
        },
        readings_per_page: histories::PAGE,
        download_days: downloads::LONGEST.num_days(),
    })
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsBody {
    requests: RequestsBody,
    history_days: HistoryDays,
    readings_per_page: usize,
    download_days: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requests)]
struct RequestsBody {
    limit: u32,
    window_seconds: u64,
    remaining: u32,
    reset_seconds: u64,
}

/// How long a span may be, by step.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryDays {
    quarter: i64,
    hour: i64,
    day: i64,
    month: i64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn who(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_minute_has_so_many_requests_and_the_next_as_many_again() {
        let (limits, at) = (Limits::default(), Duration::from_secs);
        for left in (0..REQUESTS).rev() {
            let expected = Counted { allowed: true, remaining: left, reset: at(60) };
            assert_eq!(limits.count(who(1), at(100)), expected);
        }
        let refused = Counted { allowed: false, remaining: 0, reset: at(1) };
        assert_eq!(limits.count(who(1), at(159)), refused);
        assert!(limits.count(who(2), at(159)).allowed, "somebody else");
        assert!(limits.count(who(1), at(160)).allowed, "a minute later");
    }

    #[test]
    fn those_whose_minute_is_over_are_forgotten() {
        let limits = Limits::default();
        for number in 0..PEOPLE {
            limits.count(who(number as u128), Duration::ZERO);
        }
        limits.count(who(u128::MAX), WINDOW);
        assert_eq!(limits.0.lock().unwrap().len(), 1);
    }
}
