//! How long a route or a version of an API may be relied on, and how it is told.
//!
//! ```text
//!  v2.beta ──▶ v2 ──▶ v2, which ages ──▶ gone
//!  tried      relied on      │
//!                            └ Deprecation: @1798761600                     RFC 9745
//!                              Sunset: Fri, 01 Jan 2027 00:00:00 GMT        RFC 8594
//!                              Link: </api/v3>; rel="successor-version"     RFC 5829
//! ```
//!
//! **Never true:** that something ages before what takes its place may be relied on; that its end comes before
//! it is said. A table that says so does not compile.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// Something else has taken its place, and it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ageing {
    since_s: i64,
    sunset_s: i64,
    instead: &'static str,
}

impl Ageing {
    /// It is not to be used any more from `since_s` on, and is gone from `sunset_s` on, seconds since 1970;
    /// `instead` is the path of what takes its place.
    ///
    /// # Panics
    ///
    /// In a constant, so that it does not compile: if it would be gone within half a year.
    pub const fn new(since_s: i64, sunset_s: i64, instead: &'static str) -> Self {
        assert!(
            sunset_s - since_s >= NOTICE_S,
            "whoever uses it has half a year at least to use the other"
        );
        Self { since_s, sunset_s, instead }
    }

    /// Says it in the head of an answer.
    pub fn tell(self) -> impl Fn(Response) -> std::future::Ready<Response> + Clone + Send + Sync {
        move |mut response| {
            self.head(response.headers_mut());
            std::future::ready(response)
        }
    }

    fn head(self, headers: &mut HeaderMap) {
        let sunset = time(self.sunset_s).format("%a, %d %b %Y %H:%M:%S GMT");
        for (name, value) in [
            (DEPRECATION, format!("@{}", self.since_s)),
            (SUNSET, sunset.to_string()),
            (header::LINK, format!("<{}>; rel=\"successor-version\"", self.instead)),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
    }
}

/// Half a year, with a day to spare.
const NOTICE_S: i64 = 183 * 86_400;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// How far a version of an API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To be tried: it may change any day. Its name ends in `.beta`.
    Beta,
    /// To be relied on: things are added, and nothing is taken away.
    Final,
    /// Not to be used any more.
    Ages(Ageing),
}

/// One version of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// It grows when something that was there changes or goes.
    pub major: u8,
    /// How far it is.
    pub stage: Stage,
}

impl Version {
    /// `1`, `2.beta`
    pub fn number(self) -> String {
        match self.stage {
            Stage::Beta => format!("{}.beta", self.major),
            Stage::Final | Stage::Ages(_) => self.major.to_string(),
        }
    }

    /// `/api/v1`, `/api/v2.beta`
    pub fn root(self) -> String {
        format!("/api/v{}", self.number())
    }

    /// Serves `api` at the root of this version, beside what `router` serves.
    pub fn nest<S: Clone + Send + Sync + 'static>(
        self,
        router: Router<S>,
        api: Router<S>,
    ) -> Router<S> {
        let api = match self.stage {
            Stage::Ages(ageing) => api.layer(map_response(ageing.tell())),
            Stage::Beta | Stage::Final => api,
        };
        router.nest(&self.root(), api)
    }

    /// `versions`, if they make sense together.
    ///
    /// # Panics
    ///
    /// In a constant, so that it does not compile: if there are two of a number, if one ages and no later one
    /// may be relied on, or if none may.
    #[expect(clippy::indexing_slicing, reason = "below N, and there is no other way in a constant")]
    pub const fn checked<const N: usize>(versions: [Self; N]) -> [Self; N] {
        let mut one = 0;
        let mut relied_on = false;
        while one < N {
            let mut other = 0;
            let mut followed = false;
            while other < N {
                let later = versions[other].major > versions[one].major;
                followed |= later && matches!(versions[other].stage, Stage::Final);
                let same = versions[other].major == versions[one].major;
                assert!(!same || one == other, "two versions have one number");
                other += 1;
            }
            let ages = matches!(versions[one].stage, Stage::Ages(_));
            assert!(!ages || followed, "a version ages, and nothing final takes its place");
            relied_on |= matches!(versions[one].stage, Stage::Final);
            one += 1;
        }
        assert!(relied_on, "no version may be relied on");
        versions
    }

    /// As the API tells it.
    pub fn body(self) -> VersionBody {
        let (deprecated, sunset) = match self.stage {
            Stage::Ages(ageing) => (Some(time(ageing.since_s)), Some(time(ageing.sunset_s))),
            Stage::Beta | Stage::Final => (None, None),
        };
        let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        VersionBody {
            version: format!("v{}", self.number()),
            stage: match self.stage {
                Stage::Beta => "beta",
                Stage::Final => "final",
                Stage::Ages(_) => "deprecated",
            },
            deprecated: deprecated.map(text),
            sunset: sunset.map(text),
        }
    }
}

/// A version of the API, and whether to use it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersion)]
pub struct VersionBody {
    /// `v1`, `v2.beta`.
    version: String,
    /// `beta`: to be tried, it may change any day. `final`: to be relied on. `deprecated`: not to be used any
    /// more.
    stage: &'static str,
    /// Since when it is deprecated.
    deprecated: Option<String>,
    /// When it will be gone.
    sunset: Option<String>,
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::{About, Need, Route, describe};

    /// From the first of January 2026 on; gone a year later.
    const AGES: Ageing = Ageing::new(1_767_225_600, 1_798_761_600, "/api/v2/new");
    const V1: Version = Version { major: 1, stage: Stage::Ages(AGES) };
    const V2: Version = Version { major: 2, stage: Stage::Final };
    const V3: Version = Version { major: 3, stage: Stage::Beta };

    async fn head(router: Router, path: &str) -> HeaderMap {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.headers().clone()
    }

    fn check(headers: &HeaderMap) {
        assert_eq!(headers["deprecation"], "@1767225600");
        assert_eq!(headers["sunset"], "Fri, 01 Jan 2027 00:00:00 GMT");
        assert_eq!(headers["link"], "</api/v2/new>; rel=\"successor-version\"");
    }

    #[tokio::test]
    async fn a_version_that_ages_says_so_in_every_answer_and_others_do_not() {
        let mut router = Router::new();
        for version in Version::checked([V1, V2, V3]) {
            router = version.nest(router, Router::new().route("/x", get(async || "x")));
        }
        check(&head(router.clone(), "/api/v1/x").await);
        for path in ["/api/v2/x", "/api/v3.beta/x"] {
            let headers = head(router.clone(), path).await;
            assert!(!headers.contains_key("deprecation") && !headers.contains_key("sunset"));
        }
    }

    #[tokio::test]
    async fn a_route_that_ages_says_so_and_so_does_its_description() {
        let table = || {
            let aged = Route::<()>::get("/old", Need::Nobody, "Old", async || "").ages(AGES);
            vec![aged, Route::get("/new", Need::Nobody, "New", async || "")]
        };
        let mut router = Router::new();
        for route in table() {
            router = router.route(route.path, route.serve);
        }
        check(&head(router.clone(), "/old").await);
        assert!(!head(router, "/new").await.contains_key("deprecation"));
        let about = About { title: "x", text: "x", cookie: "x", version: V2 };
        let described = serde_json::to_value(describe::<(), VersionBody>(&about, table())).unwrap();
        assert_eq!(described["paths"]["/old"]["get"]["deprecated"], true);
        assert_eq!(described["paths"]["/new"]["get"].get("deprecated"), None);
        assert_eq!(described["servers"][0]["url"], "/api/v2");
    }

    #[test]
    fn a_version_is_told_with_its_end() {
        let told = serde_json::to_string(&[V1.body(), V3.body()]).unwrap();
        let v1 = r#"{"version":"v1","stage":"deprecated","deprecated":"2026-01-01T00:00:00Z","sunset":"2027-01-01T00:00:00Z"}"#;
        let v3 = r#"{"version":"v3.beta","stage":"beta","deprecated":null,"sunset":null}"#;
        assert_eq!(told, format!("[{v1},{v3}]"));
    }

    #[test]
    #[should_panic(expected = "nothing final takes its place")]
    fn nothing_ages_before_what_takes_its_place_is_final() {
        Version::checked([V1, V3]);
    }

    #[test]
    #[should_panic(expected = "no version may be relied on")]
    fn something_may_be_relied_on() {
        Version::checked([V3]);
    }

    #[test]
    #[should_panic(expected = "half a year")]
    fn nothing_goes_without_notice() {
        Ageing::new(1_767_225_600, 1_767_225_600 + 180 * 86_400, "/api/v2");
    }
}
