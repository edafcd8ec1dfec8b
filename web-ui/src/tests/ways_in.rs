//! Sessions, links, tokens and second factors: who gets in with what, and out again.

use access::Totp;
use serde_json::json;

use super::*;

const PASSWORD: &str = "riktig hest batteri";

/// A gateway with its owner Kari, logged in.
async fn claimed() -> (Gateway, String) {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    let claim = json!({"code": code, "name": "Kari", "password": PASSWORD});
    let cookie = gateway.post("/claim", "", claim).await.cookie();
    (gateway, cookie)
}

fn login(code: Option<&str>) -> Value {
    match code {
        Some(code) => json!({"name": "kari", "password": PASSWORD, "code": code}),
        None => json!({"name": "kari", "password": PASSWORD}),
    }
}

fn with_token(method: Method, path: &str, token: &str) -> Request<Body> {
    let mut request = request(method, path, "", Body::empty());
    request.headers_mut().remove(header::ORIGIN);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    request
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_proxys_password_turns_no_cookie_off() {
    let (gateway, kari) = claimed().await;
    let mut proxied = request(Method::GET, "/site", &kari, Body::empty());
    let basic = "Basic a2FyaTpoZXN0".parse().unwrap();
    proxied.headers_mut().insert(header::AUTHORIZATION, basic);
    assert_eq!(gateway.send(proxied).await.said(), "200");
}

#[tokio::test]
async fn a_session_is_listed_and_ended_from_another_browser() {
    let (gateway, kari) = claimed().await;
    let mut phone = request(Method::POST, "/session", "", Body::from(login(None).to_string()));
    phone.headers_mut().insert(header::USER_AGENT, "Firefox on a phone".parse().unwrap());
    let phone = gateway.send(phone).await.cookie();
    let sessions = gateway.get("/sessions", &kari).await.json();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|it| it["here"] == false).unwrap();
    assert_eq!(other["agent"], "Firefox on a phone");
    let id = text(&other["id"]);
    assert_eq!(gateway.delete(&format!("/sessions/{id}"), &kari).await.said(), "204");
    assert_eq!(gateway.get("/site", &phone).await.said(), "401 not_logged_in");
    assert_eq!(gateway.get("/site", &kari).await.said(), "200");
    let again = gateway.delete(&format!("/sessions/{id}"), &kari).await.said();
    assert_eq!(again, "404 no_such_session");

    let stranger = gateway.visitor(Role::Owner).await;
    let kari_id = text(&gateway.get("/sessions", &kari).await.json()[0]["id"]);
    let said = gateway.delete(&format!("/sessions/{kari_id}"), &stranger).await.said();
    assert_eq!(said, "404 no_such_session", "another's, whatever the role");
}

#[tokio::test]
async fn a_link_lets_in_to_look_until_it_is_taken_away() {
    let (gateway, kari) = claimed().await;
    let made = gateway.post("/links", &kari, json!({"name": "Styret", "kind": "view"})).await;
    assert_eq!(made.said(), "201");
    let (id, secret) = (text(&made.json()["link"]["id"]), text(&made.json()["secret"]));
    let open = json!({"link": secret});
    let guest = gateway.post("/session/link", "", open.clone()).await;
    assert_eq!(guest.said(), "200");
    assert_eq!(guest.json()["can"], json!(["see"]));
    assert_eq!(guest.json()["via"], "view");
    let guest = guest.cookie();
    assert_eq!(gateway.get("/overview", &guest).await.said(), "200");
    assert_eq!(gateway.get("/buses", &guest).await.said(), "403 not_allowed");
    for (method, path) in [(Method::GET, "/login"), (Method::GET, "/sessions")] {
        let request = request(method, path, &guest, Body::empty());
        assert_eq!(gateway.send(request).await.said(), "403 not_allowed", "{path}: not a person");
    }

    let links = gateway.get("/links", &kari).await;
    assert_eq!(links.json()[0]["uses"], 1);
    assert!(!links.body.contains(&secret) && !links.body.contains("hash"), "{}", links.body);
    let users = gateway.get("/users", &kari).await;
    assert_eq!(users.json().as_array().unwrap().len(), 1, "a link is no user");
    let log = gateway.get("/audit", &kari).await.json();
    assert_eq!((&log[0]["who"], &log[0]["what"]), (&json!("Styret"), &json!("link_used")));

    let renewed = gateway.post(&format!("/links/{id}/renew"), &kari, json!({})).await;
    assert_eq!(gateway.get("/overview", &guest).await.said(), "401 not_logged_in");
    assert_eq!(gateway.post("/session/link", "", open).await.said(), "401 link_wrong");
    let open = json!({"link": renewed.json()["secret"]});
    let guest = gateway.post("/session/link", "", open.clone()).await.cookie();
    assert_eq!(gateway.get("/overview", &guest).await.said(), "200");

    assert_eq!(gateway.delete(&format!("/links/{id}"), &kari).await.said(), "204");
    assert_eq!(gateway.get("/overview", &guest).await.said(), "401 not_logged_in");
    assert_eq!(gateway.post("/session/link", "", open).await.said(), "401 link_wrong");
}

#[tokio::test]
async fn a_link_may_what_its_kind_says() {
    let (gateway, kari) = claimed().await;
    for (new, can) in [
        (json!({"name": "a", "kind": "edit"}), json!(["see", "inspect", "ask", "configure"])),
        (json!({"name": "b", "kind": "screen"}), json!(["see"])),
        (json!({"name": "c", "kind": "view", "meters": [WATER]}), json!(["see"])),
    ] {
        let made = gateway.post("/links", &kari, new.clone()).await;
        let open = json!({"link": made.json()["secret"]});
        let guest = gateway.post("/session/link", "", open.clone()).await;
        assert_eq!(guest.json()["can"], can, "{new}");
        let seen = gateway.get("/meters", &guest.cookie()).await.json().as_array().unwrap().len();
        assert_eq!(seen, if new["name"] == "c" { 1 } else { 3 });
        let second = gateway.post("/session/link", "", open).await.said();
        let expected = if new["kind"] == "screen" { "401 link_wrong" } else { "200" };
        assert_eq!(second, expected, "a screen's link is spent");
        assert_eq!(gateway.get("/overview", &guest.cookie()).await.said(), "200");
    }
    for (wrong, said) in [
        (json!({"name": "x", "kind": "owner"}), "400 malformed"),
        (json!({"name": "", "kind": "view"}), "422 name_wrong"),
        (json!({"name": "x", "kind": "edit", "meters": [WATER]}), "400 malformed"),
        (json!({"name": "x", "kind": "view", "meters": ["heat"]}), "404 no_such_meter"),
        (json!({"name": "x", "kind": "view", "days": 0}), "400 malformed"),
    ] {
        assert_eq!(gateway.post("/links", &kari, wrong.clone()).await.said(), said, "{wrong}");
    }
    let made = gateway.post("/links", &kari, json!({"name": "d", "kind": "view", "days": 1})).await;
    let open = json!({"link": made.json()["secret"]});
    let guest = gateway.post("/session/link", "", open.clone()).await.cookie();
    gateway.clock.pass(Duration::from_hours(25));
    assert_eq!(gateway.get("/overview", &guest).await.said(), "401 not_logged_in", "it has ended");
    assert_eq!(gateway.post("/session/link", "", open).await.said(), "401 link_wrong");
}

#[tokio::test]
async fn a_token_may_what_its_scope_says_and_goes_with_its_owner() {
    let (gateway, kari) = claimed().await;
    let asked = async |method, path, token: &str| {
        gateway.send(with_token(method, path, token)).await.said()
    };
    let made =
        gateway.post("/tokens", &kari, json!({"name": "report", "scope": ["inspect"]})).await;
    assert_eq!(made.said(), "201");
    let (id, secret) = (text(&made.json()["token"]["id"]), text(&made.json()["secret"]));
    assert_eq!(asked(Method::GET, "/buses", &secret).await, "200");
    assert_eq!(asked(Method::GET, "/users", &secret).await, "403 not_allowed");
    assert_eq!(asked(Method::GET, "/tokens", &secret).await, "403 not_allowed", "no person");
    assert_eq!(asked(Method::DELETE, "/session", &secret).await, "403 not_allowed");
    let read = format!("/meters/{WATER}/read");
    assert_eq!(asked(Method::POST, &read, &secret).await, "403 not_allowed", "not in its scope");
    assert_eq!(asked(Method::GET, "/buses", "fyt_guess").await, "401 not_logged_in");
    let as_cookie = format!("__Host-fyrhus={secret}");
    assert_eq!(gateway.get("/buses", &as_cookie).await.said(), "401 not_logged_in");
    let session = kari.split_once('=').unwrap().1;
    assert_eq!(asked(Method::GET, "/buses", session).await, "401 not_logged_in", "no token");
    let list = gateway.get("/tokens", &kari).await;
    assert!(!list.body.contains(&secret), "{}", list.body);

    gateway.clock.pass(Duration::from_hours(200 * 24));
    assert_eq!(asked(Method::GET, "/buses", &secret).await, "200", "no session that idles");
    let kari = gateway.post("/session", "", login(None)).await.cookie();
    gateway.delete("/sessions", &kari).await;
    assert_eq!(asked(Method::GET, "/buses", &secret).await, "200", "no browser has it");
    let kari = gateway.post("/session", "", login(None)).await.cookie();
    assert_eq!(gateway.delete(&format!("/tokens/{id}"), &kari).await.said(), "204");
    assert_eq!(asked(Method::GET, "/buses", &secret).await, "401 not_logged_in");

    let short = json!({"name": "short", "scope": [], "days": 1});
    let short = text(&gateway.post("/tokens", &kari, short).await.json()["secret"]);
    assert_eq!(asked(Method::GET, "/meters", &short).await, "200");
    gateway.clock.pass(Duration::from_hours(25));
    assert_eq!(asked(Method::GET, "/meters", &short).await, "401 not_logged_in");

    let operator = gateway.visitor(Role::Operator).await;
    for scope in [json!(["configure"]), json!(["administer"]), json!(["everything"])] {
        let new = json!({"name": "x", "scope": scope});
        assert_eq!(gateway.post("/tokens", &operator, new).await.said(), "400 malformed");
    }
    let theirs = json!({"name": "x", "scope": ["ask"]});
    let theirs = text(&gateway.post("/tokens", &operator, theirs).await.json()["secret"]);
    assert_eq!(asked(Method::GET, "/meters", &theirs).await, "200");
    let kari = gateway.post("/session", "", login(None)).await.cookie();
    let users = gateway.get("/users", &kari).await.json();
    let of = users.as_array().unwrap().iter().find(|user| user["role"] == "operator").unwrap();
    assert_eq!(of["tokens"], 1);
    let id = text(&of["id"]);
    gateway.delete(&format!("/users/{id}"), &kari).await;
    assert_eq!(asked(Method::GET, "/meters", &theirs).await, "401 not_logged_in");
}

#[tokio::test]
async fn what_changes_ones_own_ways_in_asks_for_a_fresh_login() {
    let (gateway, kari) = claimed().await;
    gateway.clock.pass(Duration::from_hours(13));
    assert_eq!(gateway.get("/tokens", &kari).await.said(), "200");
    let new = json!({"name": "x", "scope": []});
    assert_eq!(gateway.post("/tokens", &kari, new).await.said(), "403 login_again");
    assert_eq!(gateway.post("/login/app", &kari, json!({})).await.said(), "403 login_again");
    let link = json!({"name": "x", "kind": "view"});
    assert_eq!(gateway.post("/links", &kari, link).await.said(), "403 login_again");
}

/// Sets up an app for Kari; its secret and her recovery codes.
async fn app(gateway: &Gateway, kari: &str) -> (Totp, Vec<String>) {
    let begun = gateway.post("/login/app", kari, json!({})).await.json();
    assert!(text(&begun["uri"]).starts_with("otpauth://totp/Fyrhus%20Kvernhusgata%204:Kari?"));
    let totp: Totp = text(&begun["secret"]).parse().unwrap();
    let wrong = gateway.put("/login/app", kari, json!({"code": "000 000"})).await.said();
    assert!(["401 code_wrong", "200"].contains(&wrong.as_str()), "{wrong}");
    let code = shown(gateway, &totp);
    let done = gateway.put("/login/app", kari, json!({"code": code})).await;
    assert_eq!(done.said(), "200");
    let codes = done.json()["codes"].as_array().unwrap().iter().map(text).collect();
    (totp, codes)
}

/// What the app shows now.
fn shown(gateway: &Gateway, totp: &Totp) -> String {
    let step = gateway.clock.now().wall_ms() / 30_000;
    totp.code(step.try_into().unwrap())
}

#[tokio::test]
async fn an_app_asks_for_its_code_once_each_and_recovery_codes_stand_in() {
    let (gateway, kari) = claimed().await;
    assert_eq!(gateway.post("/login/recovery", &kari, json!({})).await.said(), "409 no_app");
    let early = gateway.put("/login/app", &kari, json!({"code": "123456"})).await;
    assert_eq!(early.said(), "409 no_app");
    let (totp, recovery) = app(&gateway, &kari).await;
    assert_eq!(recovery.len(), 8);
    assert_eq!(gateway.post("/session", "", login(None)).await.said(), "401 code_needed");
    let code = shown(&gateway, &totp);
    let said = gateway.post("/session", "", login(Some(&code))).await.said();
    assert_eq!(said, "401 code_wrong", "the one that it was set up with");
    gateway.clock.pass(Duration::from_mins(1));
    let code = shown(&gateway, &totp);
    assert_eq!(gateway.post("/session", "", login(Some(&code))).await.said(), "200");
    assert_eq!(gateway.post("/session", "", login(Some(&code))).await.said(), "401 code_wrong");
    let wrong = json!({"name": "kari", "password": "feil feil feil", "code": code});
    assert_eq!(gateway.post("/session", "", wrong).await.said(), "401 login_wrong");

    let stand_in = recovery[3].to_lowercase().replace('-', " ");
    let kari = gateway.post("/session", "", login(Some(&stand_in))).await;
    assert_eq!(kari.said(), "200");
    assert_eq!(gateway.post("/session", "", login(Some(&stand_in))).await.said(), "401 code_wrong");
    let ways = gateway.get("/login", &kari.cookie()).await;
    assert_eq!((&ways.json()["app"], &ways.json()["recovery"]), (&json!(true), &json!(7)));
    assert!(!ways.body.contains(&totp.text()), "never again");
    let fresh = gateway.post("/login/recovery", &kari.cookie(), json!({})).await;
    assert_eq!(fresh.json()["codes"].as_array().unwrap().len(), 8);
    let old = gateway.post("/session", "", login(Some(&recovery[0]))).await.said();
    assert_eq!(old, "401 code_wrong", "void");
    assert_eq!(gateway.delete("/login/app", &kari.cookie()).await.said(), "204");
    assert_eq!(gateway.post("/session", "", login(None)).await.said(), "200");
}

#[tokio::test]
async fn wrong_codes_are_slowed_for_the_person_alone() {
    let (gateway, kari) = claimed().await;
    let (totp, _) = app(&gateway, &kari).await;
    gateway.clock.pass(Duration::from_mins(1));
    for _ in 0..5 {
        let said = gateway.post("/session", "", login(Some("no code"))).await.said();
        assert_eq!(said, "401 code_wrong");
    }
    let code = shown(&gateway, &totp);
    assert_eq!(gateway.post("/session", "", login(Some(&code))).await.said(), "429 slowed");
    assert_eq!(gateway.get("/site", &kari).await.said(), "200");
    gateway.clock.pass(Duration::from_mins(1));
    let code = shown(&gateway, &totp);
    assert_eq!(gateway.post("/session", "", login(Some(&code))).await.said(), "200");
}

#[tokio::test]
async fn an_owner_helps_somebody_in_again_and_changes_what_they_are() {
    let (gateway, kari) = claimed().await;
    let per = json!({"name": "per", "role": "operator", "password": "en lang nok setning"});
    let id = text(&gateway.post("/users", &kari, per).await.json()["id"]);
    let login = json!({"name": "per", "password": "en lang nok setning"});
    let per = gateway.post("/session", "", login.clone()).await.cookie();
    let path = format!("/users/{id}");
    let tenant = json!({"role": "tenant", "meters": [WATER]});
    let changed = gateway.put(&path, &kari, tenant).await;
    assert_eq!(changed.json()["meters"], json!([WATER]));
    assert_eq!(gateway.get("/site", &per).await.said(), "401 not_logged_in");
    let weak = json!({"role": "operator", "password": "kort"});
    assert_eq!(gateway.put(&path, &kari, weak).await.said(), "422 password_short");
    let helped = json!({"role": "operator", "password": "noe helt nytt", "without_app": true});
    assert_eq!(gateway.put(&path, &kari, helped).await.said(), "200");
    assert_eq!(gateway.post("/session", "", login).await.said(), "401 login_wrong");

    let users = gateway.get("/users", &kari).await.json();
    let own = users.as_array().unwrap().iter().find(|user| user["role"] == "owner").unwrap();
    let own = format!("/users/{}", text(&own["id"]));
    let said = gateway.put(&own, &kari, json!({"role": "operator"})).await.said();
    assert_eq!(said, "409 last_owner");
}

#[tokio::test]
async fn a_tenant_sees_hours_and_nothing_finer() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let tenant = gateway.visitor(Role::Tenant).await;
    let owner = gateway.visitor(Role::Owner).await;
    let day = "from=2026-11-20T00:00:00Z&until=2026-11-21T00:00:00Z";
    for (path, said) in [
        (format!("history?register=volume&{day}&step=quarter"), "403 too_fine"),
        (format!("history.csv?register=volume&{day}&step=quarter"), "403 too_fine"),
        (format!("readings?register=volume&{day}"), "403 too_fine"),
        (format!("history?register=volume&{day}&step=hour"), "404 no_such_register"),
        (format!("history?register=volume&{day}&rows=400"), "404 no_such_register"),
    ] {
        let path = format!("/meters/{WATER}/{path}");
        assert_eq!(gateway.get(&path, &tenant).await.said(), said, "{path}");
        assert_eq!(gateway.get(&path, &owner).await.said(), "404 no_such_register", "{path}");
    }
}

#[tokio::test]
async fn a_text_is_drawn_as_a_code() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Wall).await;
    let code = gateway.post("/qr", &cookie, json!({"text": "https://10.0.4.2/#fyl_x"})).await;
    let rows = code.json()["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 25, "version 2");
    assert!(text(&rows[0]).starts_with("11111110"), "its corner");
    for wrong in ["", "x".repeat(501).as_str()] {
        let said = gateway.post("/qr", &cookie, json!({"text": wrong})).await.said();
        assert_eq!(said, "400 malformed");
    }
}
