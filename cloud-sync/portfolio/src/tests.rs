//! Who may what, on every route there is, on both databases.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::slice::from_ref;
use std::sync::Arc;

use access::{Act, Role, Scope, Session, Stamp, Ticket, User};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use ed25519_dalek::SigningKey;
use http_body_util::BodyExt;
use listener::Peer;
use metering::{Clock, GatewayId, SiteId, UserId};
use openapi::Need;
use own_postgres::OwnPostgres;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

use crate::authority::Authority;
use crate::config::{LimitsConfig, PostgresConfig};
use crate::ledgers::Ledgers;
use crate::people::{People, Settings};
use crate::quota::Quota;
use crate::repository::{Kept, Person, Repository, Token};
use crate::routes;
use crate::testing::{self, enrol};
use crate::{Postgres, Sqlite};

const SITE: &str = "Bakken";

/// A service with one building, and what it is asked.
struct Portfolio<R> {
    repository: R,
    router: Router,
    clock: Arc<dyn Clock>,
    site: SiteId,
    _state: TempDir,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// `403 not_allowed`, `200`.
    fn said(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        match body["code"].as_str() {
            Some(code) if !self.status.is_success() => format!("{} {code}", self.status.as_u16()),
            _ => self.status.as_u16().to_string(),
        }
    }
}

impl<R: Repository> Portfolio<R> {
    async fn new(repository: R, limits: LimitsConfig, quota: Quota) -> Self {
        let state = tempfile::tempdir().unwrap();
        let clock = testing::clock();
        enrol(&repository, GatewayId::from_uuid(Uuid::from_u128(0x0192_F0C1)), SITE).await;
        let site = repository.sites().await.unwrap()[0].id;
        let settings = Settings {
            authority: Arc::new(Authority::open(state.path(), clock.now().wall_ms()).unwrap()),
            gateways_url: "https://portfolio.example:9443".to_owned(),
            own_hosts: BTreeSet::new(),
            secure: false,
            fingerprint: String::new(),
            limits,
            quota,
        };
        let key = SigningKey::from_bytes(&[9; 32]);
        let ledgers = Ledgers::new(repository.clone(), Arc::clone(&clock), key);
        let people = People::new(repository.clone(), ledgers, Arc::clone(&clock), settings);
        Self { repository, router: people.router(), clock, site, _state: state }
    }

    async fn somebody(&self, role: Role) -> UserId {
        let id = UserId::from_uuid(Uuid::from_u128(rand::random()));
        let name = format!("{role} {}", id.to_string().split_at(8).0).parse().unwrap();
        let user = User { id, name, role, meters: Vec::new() };
        let person = Person::new(user, String::new(), self.clock.now().wall_ms());
        assert!(self.repository.add_person(person).await.unwrap());
        id
    }

    /// `Cookie` and its value, of a fresh login.
    async fn session(&self, who: UserId) -> (&'static str, String) {
        let (id, session) = Session::open(who, &self.clock.now());
        let kept = Kept { session, token: None };
        self.repository.keep_session(kept, self.clock.now().wall_ms()).await.unwrap();
        ("cookie", format!("fyrhus-portfolio={}", id.cookie()))
    }

    /// `Authorization` and its value.
    async fn token(
        &self,
        who: UserId,
        acts: &[Act],
        ends_ms: Option<i64>,
    ) -> (&'static str, String) {
        let (secret, now) = (Ticket::token(), self.clock.now());
        let stamp = Stamp::of(&now);
        let session = Session { hash: secret.hash(), user: who, login: Some(stamp), used: stamp };
        let (name, scope) = ("a program".to_owned(), Scope::of(acts));
        let token = Token { name, scope, made_ms: now.wall_ms(), ends_ms };
        self.repository.keep_session(Kept { session, token: Some(token) }, 0).await.unwrap();
        ("authorization", format!("Bearer {}", secret.text()))
    }

    async fn ask(&self, method: &str, path: &str, comes: &[(&str, String)], from: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "localhost")
            .extension(Peer { address: from.parse::<SocketAddr>().unwrap(), certificate: None });
        for (name, value) in comes {
            request = request.header(*name, value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        let response = response.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

const HERE: &str = "127.0.0.1:50000";

/// A path of the table, of things that are there where that changes who may.
fn filled<R>(portfolio: &Portfolio<R>, path: &str) -> String {
    let id = Uuid::from_u128(1).to_string();
    path.replace("{site}", &portfolio.site.to_string())
        .replace("{meter}", &id)
        .replace("{user}", &id)
        .replace("{tag}", &id)
        .replace("{link}", &id)
        .replace("{errand}", &id)
        .replace("{alarm}", "1")
        .replace("{month}", "2026-11")
        .replace("{sha256}", &"0".repeat(64))
        .replace("{token}", "no-such-token")
}

/// All that a token may be given beside looking.
fn scopes() -> impl Iterator<Item = Vec<Act>> {
    let acts = [Act::Inspect, Act::Ask, Act::Configure];
    (0..8_usize).map(move |chosen| {
        let given = acts.into_iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1);
        given.map(|(_, act)| act).collect()
    })
}

async fn every_route_admits_whom_its_table_says<R: Repository>(repository: R) {
    // All of a role are one address and many callers.
    let limits = LimitsConfig { requests: 100_000, requests_of_address: 100_000 };
    let portfolio = Portfolio::new(repository, limits, Quota::default()).await;
    let ended = portfolio.somebody(Role::Owner).await;
    let ended = portfolio.token(ended, &Act::ALL, Some(1)).await;
    let forged = ("authorization", format!("Bearer {}", Ticket::token().text()));
    let mut people = Vec::new();
    for role in Role::ALL {
        let who = portfolio.somebody(role).await;
        let mut tokens = Vec::new();
        for scope in scopes() {
            // What a role that has become smaller once gave counts no more.
            tokens.push((portfolio.token(who, &scope, None).await, scope));
        }
        people.push((role, who, tokens));
    }
    let table = routes::table::<R>();
    assert!(table.len() > 40, "the test walks the real table");
    for route in table {
        let (method, path) = (route.verb.as_str(), filled(&portfolio, route.path));
        let what = format!("{method} {}", route.path);
        for nobody in [None, Some(&ended), Some(&forged)] {
            let comes: Vec<_> = nobody.into_iter().cloned().collect();
            let answer = portfolio.ask(method, &path, &comes, HERE).await;
            let refused = answer.said() == "401 not_logged_in";
            assert_eq!(refused, route.need != Need::Nobody, "nobody {what}: {}", answer.body);
            assert!(!answer.body.contains(SITE), "nobody {what}: {}", answer.body);
        }
        for (role, who, tokens) in &people {
            let judge = |answer: &Answer, may: bool, how: &str| {
                let said = answer.said();
                assert_eq!(said != "403 not_allowed", may, "{role} {how} {what}: {said}");
                let fell = said.starts_with('5') || said == "401 not_logged_in";
                assert!(!fell, "{role} {how} {what}: {}", answer.body);
                assert!(may || !answer.body.contains(SITE), "{role} {how} {what}: {}", answer.body);
            };
            let session = portfolio.session(*who).await;
            let answer = portfolio.ask(method, &path, &[session], HERE).await;
            judge(&answer, route.need.admits(*role), "logged in");
            for (token, scope) in tokens {
                let answer = portfolio.ask(method, &path, from_ref(token), HERE).await;
                let may = match route.need {
                    Need::Nobody | Need::Login => true,
                    Need::Person => false,
                    Need::May(act) => role.may(act) && (act == Act::See || scope.contains(&act)),
                };
                judge(&answer, may, &format!("with a token for {scope:?}"));
            }
        }
    }
}

#[tokio::test]
async fn every_route_admits_whom_its_table_says_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Sqlite::open(&dir.path().join("portfolio.db")).unwrap();
    every_route_admits_whom_its_table_says(repository).await;
}

#[tokio::test]
async fn every_route_admits_whom_its_table_says_on_postgresql() {
    let server = OwnPostgres::start("").unwrap();
    let server_url = server.database("portfolio").unwrap().parse().unwrap();
    let config = PostgresConfig { server: server_url, password_file: None, authority: None };
    every_route_admits_whom_its_table_says(Postgres::open(&config).await.unwrap()).await;
}

#[tokio::test]
async fn an_address_is_counted_whoever_comes_from_it_and_so_is_each_token() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Sqlite::open(&dir.path().join("portfolio.db")).unwrap();
    let limits = LimitsConfig { requests: 3, requests_of_address: 5 };
    let portfolio = Portfolio::new(repository, limits, Quota::default()).await;
    let owner = portfolio.somebody(Role::Owner).await;
    let [one, other] =
        [portfolio.token(owner, &[], None).await, portfolio.token(owner, &[], None).await];
    let from = async |comes: &(&'static str, String), address: &str| {
        portfolio.ask("GET", "/limits", from_ref(comes), address).await
    };
    let first = from(&one, "10.0.0.7:1000").await;
    let policy = r#""requests";q=3;w=60, "address";q=5;w=60"#;
    assert_eq!(first.headers["ratelimit-policy"], policy);
    let left = first.headers["ratelimit"].to_str().unwrap();
    assert!(left.starts_with(r#""requests";r=2;t="#) && left.contains(r#", "address";r=4;t="#));
    let told: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!((&told["requests"]["remaining"], &told["address"]["limit"]), (&2.into(), &5.into()));
    for expected in ["200", "200", "429 too_many"] {
        assert_eq!(from(&one, "10.0.0.7:1001").await.said(), expected);
    }
    // Another token has its own, and the address is the same; the refused one counted as well.
    assert_eq!(from(&other, "10.0.0.7:1002").await.said(), "200");
    let refused = from(&other, "10.0.0.7:1003").await;
    assert_eq!(refused.said(), "429 too_many");
    let wait: u64 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(refused.headers["ratelimit"].to_str().unwrap().starts_with(r#""address";r=0;t="#));
    let nobody = portfolio.ask("GET", "/health", &[], "10.0.0.7:1004").await;
    assert_eq!(nobody.said(), "429 too_many", "who is not logged in counts too");
    // Another address, and this machine, behind whose proxy everybody may be.
    assert_eq!(from(&other, "10.0.0.8:1000").await.said(), "200");
    let here = from(&other, HERE).await;
    assert_eq!(here.headers["ratelimit-policy"], r#""requests";q=3;w=60"#);
}
