//! Who gets in at the portfolio, as what, and with what.

use std::time::Duration;

use access::Totp;
use metering::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::people::Browser;
use crate::support::{Cloud, on_both_databases};

on_both_databases! {
    an_owner_lets_others_in_and_the_last_owner_stays,
    ones_own_password_needs_the_one_before_and_ends_other_sessions,
    the_code_of_an_app_is_asked_for_and_taken_once,
    of_two_who_come_with_one_code_one_is_let_in,
    a_token_may_what_its_scope_says_of_what_its_owner_may,
    a_proxys_password_turns_no_cookie_off,
}

const GOOD: &str = "riktig hest batteri";

impl Browser {
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.ask(method, path, &body.to_string()).await;
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// The status, and what is wrong.
    pub(crate) async fn log_in(
        &mut self,
        name: &str,
        password: &str,
        code: Option<&str>,
    ) -> (u16, String) {
        let mut login = json!({"name": name, "password": password});
        if let Some(code) = code {
            login["code"] = code.into();
        }
        let (status, answer) = self.send(Method::POST, "/session", login).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn status(&mut self, method: Method, path: &str) -> u16 {
        self.ask(method, path, "").await.0
    }
}

async fn an_owner_lets_others_in_and_the_last_owner_stays(cloud: Cloud) {
    let (mut kari, mut per) = (Browser::owner(&cloud).await, Browser::at(&cloud));
    let per_is = |name: &str, role: &str, password: &str| json!({"name": name, "role": role, "password": password});
    let add = per_is("per", "operator", "riktig ku batteri");
    let (status, added) = kari.send(Method::POST, "/users", add).await;
    assert_eq!((status, &added["role"], &added["sessions"]), (201, &json!("operator"), &json!(0)));
    for (asked, status, code) in [
        (per_is(" PER", "operator", "riktig ku batteri"), 409, "name_taken"),
        (per_is("ola", "tenant", "riktig ku batteri"), 400, "malformed"),
        (per_is("ola", "king", "riktig ku batteri"), 400, "malformed"),
        (per_is("", "operator", "riktig ku batteri"), 422, "name_wrong"),
        (per_is("ola", "operator", "password1234"), 422, "password_common"),
    ] {
        let (found, answer) = kari.send(Method::POST, "/users", asked).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }

    // What they may do follows from what they are now, and a change ends where they were.
    assert_eq!(per.log_in("per", "riktig ku batteri", None).await.0, 200);
    assert_eq!(per.status(Method::GET, "/sites").await, 200);
    assert_eq!(per.status(Method::GET, "/users").await, 403);
    let code = json!({"site_name": "Bakken"});
    assert_eq!(per.send(Method::POST, "/enrol-codes", code.clone()).await.0, 403);
    let his = format!("/users/{}", added["id"].as_str().unwrap());
    let (status, _) = kari.send(Method::PUT, &his, json!({"role": "installer"})).await;
    assert_eq!((status, per.status(Method::GET, "/sites").await), (200, 401));
    assert_eq!(per.log_in("per", "riktig ku batteri", None).await.0, 200);
    assert_eq!(per.send(Method::POST, "/enrol-codes", code).await.0, 201);

    let all: Value = serde_json::from_str(&kari.get("/users").await).unwrap();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, [&json!("kari"), &json!("per")]);
    assert_eq!((&all[1]["sessions"], &all[1]["app"]), (&json!(1), &json!(false)));
    assert!(all[1]["used"].is_string());
    let hers = format!("/users/{}", all[0]["id"].as_str().unwrap());
    let (status, answer) = kari.send(Method::PUT, &hers, json!({"role": "operator"})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("last_owner")));
    assert_eq!(kari.status(Method::DELETE, &hers).await, 409);

    assert_eq!(kari.status(Method::DELETE, &format!("{his}/sessions")).await, 204);
    assert_eq!(per.status(Method::GET, "/sites").await, 401);
    let owner = json!({"role": "owner", "password": "riktig sau batteri"});
    assert_eq!(kari.send(Method::PUT, &his, owner).await.0, 200);
    assert_eq!(per.log_in("per", "riktig ku batteri", None).await.0, 401);
    assert_eq!(per.log_in("per", "riktig sau batteri", None).await.0, 200);
    // Her own session is spared, and shows at once what she is.
    assert_eq!(kari.send(Method::PUT, &hers, json!({"role": "operator"})).await.0, 200);
    assert_eq!(kari.status(Method::GET, "/sites").await, 200);
    assert_eq!(kari.status(Method::GET, "/users").await, 403);
    assert_eq!(per.status(Method::DELETE, &hers).await, 204);
    assert_eq!(kari.status(Method::GET, "/sites").await, 401);
    assert_eq!(per.status(Method::DELETE, &hers).await, 404);
    assert_eq!(per.status(Method::DELETE, "/users/nobody").await, 400);
}

async fn ones_own_password_needs_the_one_before_and_ends_other_sessions(cloud: Cloud) {
    let (mut here, mut there) = (Browser::owner(&cloud).await, Browser::at(&cloud));
    assert_eq!(there.log_in("kari", GOOD, None).await.0, 200);
    let change = |before: &str, after: &str| json!({"password": before, "new_password": after});
    let put = |it| (Method::PUT, "/password", it);
    let (method, path, wrong) = put(change("feil hest batteri", "riktig ku batteri"));
    assert_eq!(here.send(method, path, wrong).await.1["code"], json!("login_wrong"));
    let (method, path, weak) = put(change(GOOD, "password1234"));
    assert_eq!(here.send(method, path, weak).await.1["code"], json!("password_common"));
    let (method, path, right) = put(change(GOOD, "riktig ku batteri"));
    assert_eq!(here.send(method, path, right).await.0, 204);
    assert_eq!(here.status(Method::GET, "/sites").await, 200);
    assert_eq!(there.status(Method::GET, "/sites").await, 401);
    assert_eq!(there.log_in("kari", GOOD, None).await.1, "login_wrong");
    assert_eq!(there.log_in("kari", "riktig ku batteri", None).await.0, 200);

    // Half a day after a login one may look, and has to show who one is before a change.
    cloud.clock.pass(Duration::from_hours(13));
    assert_eq!(here.status(Method::GET, "/login").await, 200);
    let (status, stale) = here.send(Method::POST, "/login/app", json!({})).await;
    assert_eq!((status, &stale["code"]), (403, &json!("login_again")));
}

/// What the app shows now.
fn shown(cloud: &Cloud, secret: &Value) -> String {
    let totp: Totp = secret["secret"].as_str().unwrap().parse().unwrap();
    totp.code(u64::try_from(cloud.clock.now().wall_ms()).unwrap() / 30_000)
}

/// Sets an app up: its secret, and the codes that stand in for it.
async fn with_app(cloud: &Cloud, browser: &mut Browser) -> (Value, Vec<String>) {
    let (status, secret) = browser.send(Method::POST, "/login/app", json!({})).await;
    assert_eq!(status, 200);
    assert!(secret["uri"].as_str().unwrap().starts_with("otpauth://totp/Fyrhus%20portfolio:kari?"));
    let (status, drawn) = browser.send(Method::POST, "/qr", json!({"text": secret["uri"]})).await;
    let rows = drawn["rows"].as_array().unwrap();
    let square = rows.iter().all(|row| row.as_str().unwrap().len() == rows.len());
    assert!(status == 200 && rows.len() > 20 && square, "{drawn}");
    let code = json!({"code": shown(cloud, &secret)});
    let (status, codes) = browser.send(Method::PUT, "/login/app", code).await;
    assert_eq!(status, 200, "{codes}");
    let codes = codes["codes"].as_array().unwrap().iter();
    (secret, codes.map(|it| it.as_str().unwrap().to_owned()).collect())
}

async fn the_code_of_an_app_is_asked_for_and_taken_once(cloud: Cloud) {
    let mut kari = Browser::owner(&cloud).await;
    assert_eq!(kari.get("/login").await, r#"{"app":false,"recovery":0}"#);
    for (method, path) in [(Method::PUT, "/login/app"), (Method::POST, "/login/recovery")] {
        let (status, answer) = kari.send(method, path, json!({"code": "123456"})).await;
        assert_eq!((status, &answer["code"]), (409, &json!("no_app")), "{path}");
    }
    let (_, begun) = kari.send(Method::POST, "/login/app", json!({})).await;
    let wrong = format!("{:06}", (shown(&cloud, &begun).parse::<u32>().unwrap() + 1) % 1_000_000);
    let (status, answer) = kari.send(Method::PUT, "/login/app", json!({"code": wrong})).await;
    assert_eq!((status, &answer["code"]), (401, &json!("code_wrong")));
    let mut elsewhere = Browser::at(&cloud);
    assert_eq!(elsewhere.log_in("kari", GOOD, None).await.0, 200, "it does not count yet");

    let (secret, codes) = with_app(&cloud, &mut kari).await;
    assert_eq!(codes.len(), 8);
    assert_eq!(kari.get("/login").await, r#"{"app":true,"recovery":8}"#);
    let mut asks = async |password: &str, code: Option<&str>| {
        let (status, code) = elsewhere.log_in("kari", password, code).await;
        format!("{status} {code}")
    };
    assert_eq!(asks(GOOD, None).await, "401 code_needed");
    assert_eq!(asks("feil hest batteri", None).await, "401 login_wrong");
    assert_eq!(asks(GOOD, Some(&shown(&cloud, &secret))).await, "401 code_wrong", "taken before");
    cloud.clock.pass(Duration::from_secs(30));
    let next = shown(&cloud, &secret);
    assert_eq!(asks("feil hest batteri", Some(&next)).await, "401 login_wrong");
    assert_eq!(asks(GOOD, Some(&next)).await, "200 ");
    assert_eq!(asks(GOOD, Some(&next)).await, "401 code_wrong");
    assert_eq!(asks(GOOD, Some(&codes[3])).await, "200 ");
    assert_eq!(asks(GOOD, Some(&codes[3])).await, "401 code_wrong");
    assert_eq!(kari.get("/login").await, r#"{"app":true,"recovery":7}"#);
    let (_, fresh) = kari.send(Method::POST, "/login/recovery", json!({})).await;
    assert_eq!(asks(GOOD, Some(&codes[4])).await, "401 code_wrong", "void");
    assert_eq!(asks(GOOD, fresh["codes"][0].as_str()).await, "200 ");

    // The phone is lost: an owner, here the same, has it asked for no more.
    let all: Value = serde_json::from_str(&kari.get("/users").await).unwrap();
    assert_eq!(all[0]["app"], json!(true));
    let hers = format!("/users/{}", all[0]["id"].as_str().unwrap());
    let lost = json!({"role": "owner", "without_app": true});
    assert_eq!(kari.send(Method::PUT, &hers, lost).await.0, 200);
    assert_eq!(asks(GOOD, None).await, "200 ");
    with_app(&cloud, &mut kari).await;
    assert_eq!(asks(GOOD, None).await, "401 code_needed");
    assert_eq!(kari.status(Method::DELETE, "/login/app").await, 204);
    assert_eq!(asks(GOOD, None).await, "200 ");

    // No secret of anybody stands in an answer that is asked for again.
    let told = [kari.get("/login").await, kari.get("/users").await, kari.get("/session").await];
    assert!(told.iter().all(|it| !it.contains("secret") && !it.contains("argon2")), "{told:?}");
}

async fn of_two_who_come_with_one_code_one_is_let_in(cloud: Cloud) {
    let mut kari = Browser::owner(&cloud).await;
    let (secret, _) = with_app(&cloud, &mut kari).await;
    for _ in 0..3 {
        cloud.clock.pass(Duration::from_mins(1));
        let code = shown(&cloud, &secret);
        let (mut one, mut other) = (Browser::at(&cloud), Browser::at(&cloud));
        let both = tokio::join!(
            one.log_in("kari", GOOD, Some(&code)),
            other.log_in("kari", GOOD, Some(&code))
        );
        let mut statuses = [both.0.0, both.1.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{both:?}");
    }
}

/// What the routes say to a program.
async fn ask_as(cloud: &Cloud, secret: &str, method: Method, path: &str, body: Value) -> u16 {
    let url = format!("{}/api/v1{path}", cloud.people_url());
    let request = reqwest::Client::new().request(method, url).bearer_auth(secret).json(&body);
    request.send().await.unwrap().status().as_u16()
}

/// What `GET /session` says to a program, or to a browser that a proxy asked for a password.
async fn session_as(cloud: &Cloud, header: (&str, &str), cookie: &str) -> Value {
    let url = format!("{}/api/v1/session", cloud.people_url());
    let request =
        reqwest::Client::new().get(url).header("cookie", cookie).header(header.0, header.1);
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

async fn a_proxys_password_turns_no_cookie_off(cloud: Cloud) {
    let kari = Browser::owner(&cloud).await;
    let basic = ("authorization", "Basic a2FyaTpoZXN0");
    let seen = session_as(&cloud, basic, kari.cookie()).await;
    assert_eq!(seen["user"]["name"], json!("kari"), "{seen}");
    let bearer = ("authorization", "Bearer fyt_nothing");
    assert_eq!(session_as(&cloud, bearer, kari.cookie()).await["user"], Value::Null);
}

async fn a_token_may_what_its_scope_says_of_what_its_owner_may(cloud: Cloud) {
    let (mut kari, mut per) = (Browser::owner(&cloud).await, Browser::at(&cloud));
    let per_is = json!({"name": "per", "role": "installer", "password": "riktig ku batteri"});
    let (_, added) = kari.send(Method::POST, "/users", per_is).await;
    assert_eq!(per.log_in("per", "riktig ku batteri", None).await.0, 200);
    for (wrong, code) in [
        (json!({"name": "", "scope": []}), "label_wrong"),
        (json!({"name": "x", "scope": ["administer"]}), "malformed"),
        (json!({"name": "x", "scope": ["rule"]}), "malformed"),
        (json!({"name": "x", "scope": [], "days": 0}), "malformed"),
    ] {
        let (status, answer) = per.send(Method::POST, "/tokens", wrong).await;
        assert_eq!(answer["code"].as_str(), Some(code), "{status} {answer}");
    }
    let make = async |per: &mut Browser, scope: &[&str], days: Option<u32>| {
        cloud.clock.pass(Duration::from_secs(1));
        let asked = json!({"name": "report", "scope": scope, "days": days});
        let (status, made) = per.send(Method::POST, "/tokens", asked).await;
        assert_eq!(status, 201, "{made}");
        made["secret"].as_str().unwrap().to_owned()
    };
    let sees = make(&mut per, &[], Some(30)).await;
    let configures = make(&mut per, &["configure"], None).await;
    let code = json!({"site_name": "Bakken"});
    let asks = async |secret: &str| {
        let look = ask_as(&cloud, secret, Method::GET, "/sites", json!({})).await;
        let change = ask_as(&cloud, secret, Method::POST, "/enrol-codes", code.clone()).await;
        (look, change)
    };
    assert_eq!(asks(&sees).await, (200, 403));
    for (secret, can) in [(&sees, json!(["see"])), (&configures, json!(["see", "configure"]))] {
        let bearer = format!("Bearer {secret}");
        let seen = session_as(&cloud, ("authorization", &bearer), "").await;
        assert_eq!((&seen["can"], &seen["user"]["role"]), (&can, &json!("installer")));
    }
    assert_eq!(asks(&configures).await, (200, 201));
    assert_eq!(asks("fyt_nobody").await, (401, 401));
    // Never who else may what, and nothing about their owner.
    for (method, path) in [
        (Method::GET, "/users"),
        (Method::GET, "/tokens"),
        (Method::POST, "/tokens"),
        (Method::GET, "/login"),
        (Method::DELETE, "/login/app"),
        (Method::PUT, "/password"),
    ] {
        let status = ask_as(&cloud, &configures, method, path, json!({})).await;
        assert_eq!(status, 403, "{path}");
    }
    // A token is no cookie.
    let client = reqwest::Client::new();
    let cookie = format!("fyrhus-portfolio={sees}");
    let request = client.get(format!("{}/api/v1/sites", cloud.people_url()));
    assert_eq!(request.header("cookie", cookie).send().await.unwrap().status().as_u16(), 401);

    let all: Value = serde_json::from_str(&per.get("/tokens").await).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[1]["scope"], json!(["see", "configure"]));
    assert!(!all.to_string().contains("fyt_") && all[0]["ends"].is_string(), "{all}");
    let users: Value = serde_json::from_str(&kari.get("/users").await).unwrap();
    let counts = |it: &Value| (it["sessions"].clone(), it["tokens"].clone());
    assert_eq!(counts(&users[1]), (json!(1), json!(2)));

    // What its owner is no more it is not either; it ends when it says, and with its owner.
    let his = format!("/users/{}", added["id"].as_str().unwrap());
    assert_eq!(kari.send(Method::PUT, &his, json!({"role": "operator"})).await.0, 200);
    assert_eq!(asks(&configures).await, (200, 403), "a change of role takes no token away");
    cloud.clock.pass(Duration::from_hours(30 * 24) - Duration::from_secs(1));
    assert_eq!(asks(&sees).await, (200, 403));
    cloud.clock.pass(Duration::from_secs(1));
    assert_eq!(asks(&sees).await, (401, 401));
    assert_eq!(per.log_in("per", "riktig ku batteri", None).await.0, 200);
    let third = make(&mut per, &["ask"], None).await;
    let all: Value = serde_json::from_str(&per.get("/tokens").await).unwrap();
    let newest = all.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(asks(&third).await.0, 200);
    assert_eq!(per.status(Method::DELETE, &format!("/tokens/{newest}")).await, 204);
    assert_eq!(per.status(Method::DELETE, &format!("/tokens/{newest}")).await, 404);
    assert_eq!(asks(&third).await.0, 401);
    assert_eq!(kari.log_in("kari", GOOD, None).await.0, 200);
    assert_eq!(kari.status(Method::DELETE, &his).await, 204);
    assert_eq!(asks(&configures).await, (401, 401));
}
