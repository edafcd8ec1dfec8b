//! How many requests may come, and how whoever sends them is told before they are too many.
//!
//! ```text
//!  RateLimit-Policy: "requests";q=600;w=60, "address";q=3000;w=60
//!  RateLimit: "requests";r=598;t=42, "address";r=2710;t=7          598 are left, for 42 s
//! ```
//!
//! The fields are those of the IETF's draft "`RateLimit` header fields for HTTP"
//! (draft-ietf-httpapi-ratelimit-headers, since its eighth version). What is counted, each for itself: a person
//! with all their browsers, a token, and an address with all that come from it, logged in or not. Each
//! receiver counts for itself: behind a balancer there may be more, and never fewer.
//!
//! **Never true:** that whoever makes up addresses makes the service remember them all. When as many are counted
//! as may be, further ones are counted as one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::SecretHash;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::{Extension, Json};
use metering::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::branches::Reach;
use crate::config::LimitsConfig;
use crate::downloads;
use crate::histories;
use crate::history::Step;
use crate::people::People;
use crate::problem::Problem;
use crate::quota::QuotaBody;
use crate::repository::Repository;

const WINDOW: Duration = Duration::from_mins(1);

/// Those who are counted at once, of each kind: some 300 kB.
const MOST: usize = 4_096;

/// Whoever was found by what they came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// With all their browsers.
    Person(UserId),
    /// By its hash.
    Token([u8; 32]),
}

impl Caller {
    pub(crate) fn of(user: UserId, token: Option<SecretHash>) -> Self {
        token.map_or(Self::Person(user), |hash| Self::Token(*hash.bytes()))
    }
}

/// What everybody has asked in their present minute.
#[derive(Debug)]
pub(crate) struct Limits {
    callers: Windows<Caller>,
    addresses: Windows<IpAddr>,
}

impl Limits {
    /// So many of each.
    pub(crate) fn new(config: LimitsConfig) -> Self {
        let requests = Policy { name: "requests", most: config.requests };
        let address = Policy { name: "address", most: config.requests_of_address };
        Self { callers: Windows::new(requests), addresses: Windows::new(address) }
    }

    /// Counts a request of `caller` at `now`, the age of the boot.
    pub(crate) fn count(&self, caller: Caller, now: Duration) -> Counted {
        self.callers.count(caller, now)
    }

    /// Counts a request from `source`, whoever makes it.
    pub(crate) fn count_from(&self, source: IpAddr, now: Duration) -> Counted {
        self.addresses.count(source, now)
    }
}

/// What is allowed in a minute, and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    name: &'static str,
    most: u32,
}

/// What each of many has asked in their present minute.
#[derive(Debug)]
pub(crate) struct Windows<K> {
    policy: Policy,
    kept: Mutex<Kept<K>>,
}

#[derive(Debug)]
struct Kept<K> {
    windows: HashMap<K, Window>,
    /// Of all those for whom there was no room.
    others: Window,
    /// When those whose minute is over were last forgotten.
    swept: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: Duration,
    used: u32,
}

impl<K: Eq + Hash> Windows<K> {
    /// So many in a minute, by this name.
    pub(crate) fn of(name: &'static str, most: u32) -> Self {
        Self::new(Policy { name, most })
    }

    fn new(policy: Policy) -> Self {
        let kept =
            Kept { windows: HashMap::new(), others: Window::default(), swept: Duration::ZERO };
        Self { policy, kept: Mutex::new(kept) }
    }

    /// Counts a request of `who` at `now`, the age of the boot.
    pub(crate) fn count(&self, who: K, now: Duration) -> Counted {
        let mut kept = self.lock();
        let Kept { windows, others, swept } = &mut *kept;
        // Not for each request of a flood.
        if windows.len() >= MOST && now.saturating_sub(*swept) >= Duration::from_secs(1) {
            windows.retain(|_, window| now.saturating_sub(window.begun) < WINDOW);
            *swept = now;
        }
        let window = if windows.len() < MOST || windows.contains_key(&who) {
            windows.entry(who).or_insert(Window { begun: now, used: 0 })
        } else {
            others
        };
        if now.saturating_sub(window.begun) >= WINDOW {
            *window = Window { begun: now, used: 0 };
        }
        let Policy { most, .. } = self.policy;
        let allowed = window.used < most;
        window.used += u32::from(allowed);
        Counted {
            policy: self.policy,
            allowed,
            remaining: most - window.used,
            reset: WINDOW.saturating_sub(now.saturating_sub(window.begun)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K>> {
        // A thread that panicked left whole windows behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    policy: Policy,
    /// Whether it is one of those that are allowed.
    pub(crate) allowed: bool,
    /// How many more there are in this window.
    remaining: u32,
    /// When the next one begins.
    pub(crate) reset: Duration,
}

impl Counted {
    /// Says it in the head of an answer, behind what another count has said there.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let Policy { name, most } = self.policy;
        let policy = format!("\"{name}\";q={most};w={}", WINDOW.as_secs());
        let left = format!("\"{name}\";r={};t={}", self.remaining, self.reset_secs());
        for (field, item) in [(POLICY, policy), (LEFT, left)] {
            let said = headers.get(&field).and_then(|said| said.to_str().ok());
            let list = said.map_or_else(|| item.clone(), |said| format!("{said}, {item}"));
            if let Ok(list) = HeaderValue::try_from(list) {
                headers.insert(field, list);
            }
        }
    }

    /// Whole seconds, rounded up: who comes then is let in.
    pub(crate) fn reset_secs(self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What the address of a request has left, where addresses are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromAddress(pub(crate) Option<Counted>);

/// `GET /limits`
pub(crate) async fn show<R: Repository>(
    State(people): State<People<R>>,
    Extension(counted): Extension<Counted>,
    Extension(FromAddress(address)): Extension<FromAddress>,
    Extension(reach): Extension<Arc<Reach>>,
) -> Result<Json<LimitsBody>, Problem> {
    let quota = match reach.everywhere() {
        Some(_) => Some(QuotaBody::of(&people).await?),
        None => None,
    };
    Ok(Json(LimitsBody {
        requests: RequestsBody::of(counted),
        address: address.map(RequestsBody::of),
        history_days: HistoryDays {
            quarter: Step::Quarter.longest().num_days(),
            hour: Step::Hour.longest().num_days(),
            day: Step::Day.longest().num_days(),
            month: Step::Month.longest().num_days(),
        },
        readings_per_page: histories::PAGE,
        download_days: downloads::LONGEST.num_days(),
        download_days_of_all: downloads::LONGEST_OF_ALL.num_days(),
        quota,
    }))
}

/// How much may be asked, and how much of it is left.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsBody {
    /// Of this person or token.
    requests: RequestsBody,
    /// Of all who come from the same address; absent where they come by a proxy of this machine.
    address: Option<RequestsBody>,
    history_days: HistoryDays,
    readings_per_page: usize,
    /// Of one register.
    download_days: i64,
    /// Of all of a meter or a building.
    download_days_of_all: i64,
    /// Of all buildings; `null` for who has some of them.
    quota: Option<QuotaBody>,
}

/// Requests in a window of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requests)]
struct RequestsBody {
    limit: u32,
    window_seconds: u64,
    remaining: u32,
    reset_seconds: u64,
}

impl RequestsBody {
    fn of(counted: Counted) -> Self {
        Self {
            limit: counted.policy.most,
            window_seconds: WINDOW.as_secs(),
            remaining: counted.remaining,
            reset_seconds: counted.reset_secs(),
        }
    }
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

    fn who(number: u128) -> Caller {
        Caller::Person(UserId::from_uuid(Uuid::from_u128(number)))
    }

    fn limits() -> Limits {
        Limits::new(LimitsConfig::default())
    }

    #[test]
    fn a_minute_has_so_many_requests_and_the_next_as_many_again() {
        let (limits, at) = (limits(), Duration::from_secs);
        let most = LimitsConfig::default().requests;
        for left in (0..most).rev() {
            let counted = limits.count(who(1), at(100));
            assert_eq!((counted.allowed, counted.remaining, counted.reset), (true, left, at(60)));
        }
        let refused = limits.count(who(1), at(159));
        assert_eq!((refused.allowed, refused.remaining, refused.reset), (false, 0, at(1)));
        assert!(limits.count(who(2), at(159)).allowed, "somebody else");
        let token = SecretHash::of_bytes([1; 32]);
        let token = Caller::of(UserId::from_uuid(Uuid::from_u128(1)), Some(token));
        assert!(limits.count(token, at(159)).allowed, "a token counts for itself");
        assert!(limits.count(who(1), at(160)).allowed, "a minute later");
    }

    #[test]
    fn those_whose_minute_is_over_are_forgotten_and_a_flood_is_one() {
        let config = LimitsConfig { requests_of_address: 2, ..LimitsConfig::default() };
        let limits = Limits::new(config);
        let from = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        let second = Duration::from_secs(1);
        let known = from(7);
        for number in 0..3 * MOST {
            limits.count_from(from(number), second);
        }
        assert_eq!(limits.addresses.lock().windows.len(), MOST, "no more are remembered");
        assert!(
            limits.count_from(known, second).allowed,
            "who was there has a window of their own"
        );
        assert!(!limits.count_from(from(4 * MOST), second).allowed, "who was not shares one");
        let later = second + WINDOW;
        assert!(limits.count_from(from(4 * MOST), later).allowed);
        assert_eq!(limits.addresses.lock().windows.len(), 1);
    }

    #[test]
    fn two_counts_are_said_in_one_field() {
        let (limits, mut headers) = (limits(), HeaderMap::new());
        limits.count(who(1), Duration::ZERO).tell(&mut headers);
        limits.count_from(IpAddr::from([10, 0, 0, 7]), Duration::ZERO).tell(&mut headers);
        let policy = r#""requests";q=600;w=60, "address";q=3000;w=60"#;
        assert_eq!(headers["ratelimit-policy"], policy);
        assert_eq!(headers["ratelimit"], r#""requests";r=599;t=60, "address";r=2999;t=60"#);
    }
}
