//! Claiming the gateway, logging in and out, and what becomes of wrong tries.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use serde_json::json;

use super::*;

const PASSWORD: &str = "riktig hest batteri";

fn claim(code: &str) -> Value {
    json!({"code": code, "name": "kari", "password": PASSWORD})
}

fn login(password: &str) -> Value {
    json!({"name": "Kari", "password": password})
}

impl Gateway {
    async fn claimed() -> (Self, String) {
        let gateway = Self::new();
        let code = gateway.claim_code().await;
        let claimed = gateway.post("/claim", "", claim(&code)).await;
        assert_eq!(claimed.said(), "201");
        (gateway, claimed.cookie())
    }

    async fn post_from(&self, peer: &str, path: &str, body: &Value) -> Answer {
        let mut request = request(Method::POST, path, "", Body::from(body.to_string()));
        let peer = SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 50_000);
        request.extensions_mut().insert(ConnectInfo(peer));
        self.send(request).await
    }
}

#[tokio::test]
async fn the_code_makes_one_owner() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    let before = gateway.get("/session", "").await.json();
    assert_eq!((&before["claimed"], &before["user"]), (&json!(false), &Value::Null));
    assert_eq!(before["fingerprint"], "4F:1A", "to be compared with the label");

    let claimed = gateway.post("/claim", "", claim(&code.to_lowercase())).await;
    assert_eq!(claimed.said(), "201");
    assert_eq!(claimed.json()["user"]["role"], "owner");
    let session = gateway.get("/session", &claimed.cookie()).await.json();
    assert_eq!(session["can"], json!(["see", "inspect", "ask", "configure", "administer"]));
    assert_eq!(session["fresh"], json!(true));

    assert_eq!(gateway.post("/claim", "", claim(&code)).await.said(), "410 claim_spent");
    let core = gateway.store.core();
    assert_eq!(crate::open_claim(&core, &*gateway.clock).await.unwrap(), None);
}

#[tokio::test]
async fn two_claims_at_once_make_one_owner() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    let other = json!({"code": code, "name": "per", "password": PASSWORD});
    let (one, two) =
        tokio::join!(gateway.post("/claim", "", claim(&code)), gateway.post("/claim", "", other));
    let mut said = [one.said(), two.said()];
    said.sort();
    assert_eq!(said, ["201", "410 claim_spent"]);
}

#[tokio::test]
async fn the_code_is_good_for_an_hour_and_a_restart_makes_another() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    gateway.clock.pass(Duration::from_secs(3_601));
    assert_eq!(gateway.post("/claim", "", claim(&code)).await.said(), "410 claim_expired");
    let next = gateway.claim_code().await;
    assert_eq!(gateway.post("/claim", "", claim(&code)).await.said(), "403 claim_wrong");
    assert_eq!(gateway.post("/claim", "", claim(&next)).await.said(), "201");
}

#[tokio::test]
async fn wrong_codes_are_slowed_and_never_shut_out_for_good() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    for _ in 0..5 {
        let answer = gateway.post("/claim", "", claim("AAAA-AAAA-AAAA-AAAA")).await;
        assert_eq!(answer.said(), "403 claim_wrong");
    }
    let slowed = gateway.post("/claim", "", claim(&code)).await;
    assert_eq!(slowed.said(), "429 slowed");
    assert_eq!(slowed.headers["retry-after"], "1");
    gateway.clock.pass(Duration::from_secs(1));
    assert_eq!(gateway.post("/claim", "", claim(&code)).await.said(), "201");
}

#[tokio::test]
async fn a_password_that_is_too_weak_does_not_spend_the_code() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    for (password, said) in [
        ("kort", "422 password_short"),
        ("Kvernhusgata 4", "422 password_common"),
        (&*"x y".repeat(50), "422 password_long"),
    ] {
        let body = json!({"code": code, "name": "kari", "password": password});
        assert_eq!(gateway.post("/claim", "", body).await.said(), said);
    }
    let short = json!({"code": code, "name": "kari", "password": "kort"});
    assert_eq!(gateway.post("/claim", "", short).await.json()["params"]["least"], "12");
    assert_eq!(gateway.post("/claim", "", claim(&code)).await.said(), "201");
}

#[tokio::test]
async fn a_login_makes_a_new_session_and_a_logout_ends_it() {
    let (gateway, first) = Gateway::claimed().await;
    let again = gateway.post("/session", &first, login(PASSWORD)).await;
    assert_eq!(again.said(), "200");
    assert_ne!(again.cookie(), first);
    assert_eq!(
        gateway.get("/site", &first).await.said(),
        "401 not_logged_in",
        "the old id is void"
    );

    let other = gateway.post("/session", "", login(PASSWORD)).await.cookie();
    let left = gateway.delete("/session", &again.cookie()).await;
    assert_eq!(left.said(), "204");
    let cookie = left.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-fyrhus=;") && cookie.contains("Max-Age=0"), "{cookie}");
    assert_eq!(gateway.get("/site", &again.cookie()).await.said(), "401 not_logged_in");
    assert_eq!(gateway.get("/site", &other).await.said(), "200", "another browser stays");

    assert_eq!(gateway.delete("/sessions", &other).await.said(), "204");
    assert_eq!(gateway.get("/site", &other).await.said(), "401 not_logged_in");
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_the_same_to_a_stranger() {
    let (gateway, _) = Gateway::claimed().await;
    let wrong = gateway.post("/session", "", login("riktig hest batteru")).await;
    let unknown = json!({"name": "ola", "password": PASSWORD});
    let unknown = gateway.post("/session", "", unknown).await;
    assert_eq!(wrong.said(), "401 login_wrong");
    assert_eq!(wrong.body, unknown.body);
}

#[tokio::test]
async fn nobody_can_log_in_before_the_gateway_is_claimed() {
    let gateway = Gateway::new();
    assert_eq!(gateway.post("/session", "", login(PASSWORD)).await.said(), "409 not_claimed");
}

#[tokio::test]
async fn wrong_passwords_slow_the_account_and_the_source() {
    let (gateway, _) = Gateway::claimed().await;
    let (here, elsewhere) = ("10.0.4.77", "10.0.4.78");
    for _ in 0..5 {
        let answer = gateway.post_from(here, "/session", &login("feil feil feil")).await;
        assert_eq!(answer.said(), "401 login_wrong");
    }
    let right = login(PASSWORD);
    assert_eq!(gateway.post_from(here, "/session", &right).await.said(), "429 slowed");
    assert_eq!(gateway.post_from(elsewhere, "/session", &right).await.said(), "429 slowed");
    let other = json!({"name": "ola", "password": PASSWORD});
    assert_eq!(gateway.post_from(here, "/session", &other).await.said(), "429 slowed");
    assert_eq!(gateway.post_from(elsewhere, "/session", &other).await.said(), "401 login_wrong");

    gateway.clock.pass(Duration::from_secs(1));
    assert_eq!(gateway.post_from(here, "/session", &right).await.said(), "200");
    assert_eq!(gateway.post_from(here, "/session", &right).await.said(), "200", "forgiven");
}

#[tokio::test]
async fn a_stranger_keeps_nobody_out_who_still_has_a_session() {
    let (gateway, cookie) = Gateway::claimed().await;
    for _ in 0..5 {
        gateway.post_from("10.0.4.77", "/session", &login("feil feil feil")).await;
    }
    assert_eq!(gateway.post("/session", "", login(PASSWORD)).await.said(), "429 slowed");
    let change = json!({"password": PASSWORD, "new_password": "noe helt nytt"});
    assert_eq!(gateway.put("/password", &cookie, change).await.said(), "204");
    let again = gateway.post("/session", &cookie, login("noe helt nytt")).await;
    assert_eq!(again.said(), "200");
    let cookie = again.cookie();
    for _ in 0..5 {
        let said = gateway.post("/session", &cookie, login("feil feil feil")).await.said();
        assert_eq!(said, "401 login_wrong");
    }
    let said = gateway.post("/session", &cookie, login("noe helt nytt")).await.said();
    assert_eq!(said, "429 slowed", "nor is a stolen session a way to guess");
}

#[tokio::test]
async fn a_neighbour_cannot_use_up_the_hour_of_the_code() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    for _ in 0..5 {
        gateway.post_from("10.0.4.77", "/claim", &claim("AAAA-AAAA-AAAA-AAAA")).await;
    }
    let said = gateway.post_from("10.0.4.77", "/claim", &claim(&code)).await.said();
    assert_eq!(said, "429 slowed");
    assert_eq!(gateway.post_from("10.0.4.78", "/claim", &claim(&code)).await.said(), "201");
}

#[tokio::test]
async fn a_program_that_logs_in_without_end_is_slowed() {
    let gateway = Gateway::new();
    gateway.visitor(Role::Tenant).await;
    let core = gateway.store.core();
    let tenant = people::named(&core, &"a tenant".parse().unwrap()).await.unwrap().unwrap();
    let doors = &gateway.pages.doors;
    let now = gateway.clock.now();
    let user = tenant.user.id;
    let done = (0..200).take_while(|_| doors.count_login(user, &now).is_ok()).count();
    assert_eq!(done, 100);
    gateway.clock.pass(Duration::from_secs(1));
    assert!(doors.count_login(user, &gateway.clock.now()).is_ok(), "never for good");
}

#[tokio::test]
async fn capitals_make_no_other_user_whatever_the_letter() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    let body = json!({"code": code, "name": "Åse Ødegård", "password": PASSWORD});
    let owner = gateway.post("/claim", "", body).await.cookie();
    let login = json!({"name": "åse ødegård", "password": PASSWORD});
    let entered = gateway.post("/session", "", login).await;
    assert_eq!(entered.said(), "200");
    assert_eq!(entered.json()["user"]["name"], "Åse Ødegård", "as she writes it");
    let other = json!({"name": "ÅSE ØDEGÅRD", "role": "wall", "password": "en lang nok setning"});
    assert_eq!(gateway.post("/users", &owner, other).await.said(), "409 name_taken");
}

#[tokio::test]
async fn one_machine_with_many_ipv6_addresses_is_one_source() {
    let (gateway, _) = Gateway::claimed().await;
    for tail in 1..=5 {
        let body = json!({"name": format!("name {tail}"), "password": PASSWORD});
        gateway.post_from(&format!("2001:db8:1:2::{tail}"), "/session", &body).await;
    }
    let right = login(PASSWORD);
    let said = gateway.post_from("2001:db8:1:2::99", "/session", &right).await.said();
    assert_eq!(said, "429 slowed");
    let said = gateway.post_from("2001:db8:1:3::99", "/session", &right).await.said();
    assert_eq!(said, "200");
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let (gateway, cookie) = Gateway::claimed().await;
    let other = gateway.post("/session", "", login(PASSWORD)).await.cookie();
    let change = |old: &str, new: &str| json!({"password": old, "new_password": new});
    let wrong = gateway.put("/password", &cookie, change("feil feil feil", "noe helt nytt")).await;
    assert_eq!(wrong.said(), "401 login_wrong");
    let weak = gateway.put("/password", &cookie, change(PASSWORD, "kort")).await;
    assert_eq!(weak.said(), "422 password_short");
    let done = gateway.put("/password", &cookie, change(PASSWORD, "noe helt nytt")).await;
    assert_eq!(done.said(), "204");

    assert_eq!(gateway.get("/site", &cookie).await.said(), "200");
    assert_eq!(gateway.get("/site", &other).await.said(), "401 not_logged_in");
    assert_eq!(gateway.post("/session", "", login(PASSWORD)).await.said(), "401 login_wrong");
    assert_eq!(gateway.post("/session", "", login("noe helt nytt")).await.said(), "200");
}

#[tokio::test]
async fn a_session_that_idles_still_looks_but_changes_nothing() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Owner).await;
    let user = json!({"name": "per", "role": "wall", "password": "en lang nok setning"});
    gateway.clock.pass(Duration::from_mins(31));
    assert_eq!(gateway.get("/session", &cookie).await.json()["fresh"], json!(false));
    assert_eq!(gateway.get("/users", &cookie).await.said(), "200");
    assert_eq!(gateway.post("/users", &cookie, user.clone()).await.said(), "403 login_again");
    let said = gateway.post(&format!("/meters/{WATER}/read"), &cookie, json!({})).await.said();
    assert_eq!(said, "404 no_such_meter", "having a meter read changes nothing");

    gateway.clock.pass(Duration::from_hours(100 * 24));
    assert_eq!(gateway.get("/users", &cookie).await.said(), "200");
    gateway.clock.pass(Duration::from_hours(100 * 24 + 1));
    assert_eq!(gateway.get("/users", &cookie).await.said(), "401 not_logged_in");
}

#[tokio::test]
async fn the_cookie_is_bound_to_the_host_and_to_tls() {
    let gateway = Gateway::new();
    let code = gateway.claim_code().await;
    let claimed = gateway.post("/claim", "", claim(&code)).await;
    let cookie = claimed.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-fyrhus="), "{cookie}");
    for attribute in ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=8640000", "Secure"] {
        assert!(cookie.split("; ").any(|it| it == attribute), "{cookie} lacks {attribute}");
    }

    let plain = gateway.pages.router(Listener::PlainLoopback);
    let body = Body::from(login(PASSWORD).to_string());
    let entered = plain.oneshot(request(Method::POST, "/session", "", body)).await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("fyrhus=") && !cookie.contains("Secure"), "{cookie}");
    let smuggled = format!("__Host-{}", cookie.split(';').next().unwrap());
    let plain = gateway.pages.router(Listener::PlainLoopback);
    let refused = plain.oneshot(request(Method::GET, "/site", &smuggled, Body::empty())).await;
    assert_eq!(refused.unwrap().status(), StatusCode::UNAUTHORIZED);
}
