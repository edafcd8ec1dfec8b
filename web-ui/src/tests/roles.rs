//! Who may what, on every route there is.

use axum::body::Body;
use axum::http::Method;
use openapi::Need;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::routes;

#[tokio::test]
async fn every_route_admits_whom_its_table_says_and_nobody_else() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    // A second owner, or the first could not be removed.
    gateway.visitor(Role::Owner).await;
    for (method, path, need) in routes::listed() {
        let method: Method = method.parse().unwrap();
        let path = path
            .replace("{meter}", WATER)
            .replace("{bus}", "riser-a")
            .replace("{month}", "2026-11")
            .replace("{exclusion}", "M-7")
            .replace("{version}", "1")
            .replace("{sha256}", &"0".repeat(64))
            .replace("{session}", "no-such-session")
            .replace("{errand}", "no-such-errand")
            .replace("{token}", "no-such-token")
            .replace("{passkey}", "no-such-passkey")
            .replace("{link}", "no-such-link")
            .replace("{user}", "no-such-user");
        let asked = async |cookie: &str| {
            let request = request(method.clone(), &path, cookie, Body::empty());
            // Events have no end, and their head says enough.
            match path.as_str() {
                "/live" => gateway.head_of(request).await,
                _ => gateway.send(request).await,
            }
        };

        let said = asked("").await.said();
        assert_eq!(
            said == "401 not_logged_in",
            need != Need::Nobody,
            "nobody {method} {path}: {said}"
        );
        for role in Role::ALL {
            let said = asked(&gateway.visitor(role).await).await.said();
            let may = need.admits(role);
            assert_eq!(said != "403 not_allowed", may, "{role} {method} {path}: {said}");
            assert!(!said.starts_with("401") && !said.starts_with('5'), "{method} {path}: {said}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_as_whom_one_is_logged_in() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Operator).await;
    let answer = gateway.get("/users", &cookie).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        answer.json(),
        json!({
            "status": 403, "code": "not_allowed", "params": {"role": "operator"},
            "title": "Not allowed", "detail": "The role operator may not do this. Ask an owner.",
            "mistakes": [],
        })
    );
}

#[tokio::test]
async fn a_tenant_sees_their_own_meters_alone() {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let cookie = gateway.visitor(Role::Tenant).await;
    let ids = |answer: &Answer, list: &str| {
        let body = answer.json();
        let meters = if list.is_empty() { &body } else { &body[list] };
        let meters = meters.as_array().unwrap().iter();
        meters.map(|meter| meter["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    assert_eq!(ids(&gateway.get("/meters", &cookie).await, ""), [WATER]);
    let site = gateway.get("/site", &cookie).await;
    assert_eq!(ids(&site, "meters"), [WATER]);
    assert_eq!(site.json()["buses"], json!([]), "ports are nobody's business");
    let overview = gateway.get("/overview", &cookie).await.json();
    assert_eq!(overview["sentence"]["params"]["meters"], "1");
    assert_eq!(overview["media"].as_array().unwrap().len(), 1);

    let own = gateway.get(&format!("/meters/{WATER}"), &cookie).await;
    assert_eq!(own.said(), "200");
    assert_eq!(own.json()["telegrams"], Value::Null, "bytes are for those who may inspect");
    for of_heat in ["", "/history?register=energy", "/readings?register=energy"] {
        let path = format!("/meters/{HEAT}{of_heat}");
        let said = gateway.get(&path, &cookie).await.said();
        assert!(["403 not_allowed", "400 malformed"].contains(&said.as_str()), "{path}: {said}");
    }
}

#[tokio::test]
async fn owners_let_people_in_and_out() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let tenant = json!({
        "name": " Per ", "role": "tenant", "password": "en lang nok setning", "meters": [WATER],
    });
    let made = gateway.post("/users", &owner, tenant.clone()).await;
    assert_eq!(made.said(), "201");
    assert_eq!(made.json()["name"], "Per");
    assert_eq!(made.json()["meters"], json!([WATER]));
    assert_eq!(gateway.post("/users", &owner, tenant).await.said(), "409 name_taken");

    let login = json!({"name": "per", "password": "en lang nok setning"});
    let per = gateway.post("/session", "", login).await;
    assert_eq!(per.json()["can"], json!(["see"]));
    let cookie = per.cookie();
    assert_eq!(gateway.get("/site", &cookie).await.said(), "200");

    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.delete(&format!("/users/{id}"), &owner).await.said(), "204");
    assert_eq!(gateway.get("/site", &cookie).await.said(), "401 not_logged_in");
    assert_eq!(gateway.delete(&format!("/users/{id}"), &owner).await.said(), "404 no_such_user");

    let users = gateway.get("/users", &owner).await.json();
    let id = users[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.delete(&format!("/users/{id}"), &owner).await.said(), "409 last_owner");
}

#[tokio::test]
async fn two_owners_who_remove_each_other_leave_one() {
    for _ in 0..10 {
        let gateway = Gateway::new();
        let kari = gateway.visitor(Role::Owner).await;
        let per = json!({"name": "per", "role": "owner", "password": "en lang nok setning"});
        let per_id = gateway.post("/users", &kari, per).await.json()["id"].clone();
        let per_id = format!("/users/{}", per_id.as_str().unwrap());
        let login = json!({"name": "per", "password": "en lang nok setning"});
        let per = gateway.post("/session", "", login).await.cookie();
        let users = gateway.get("/users", &per).await.json();
        let kari_id = users.as_array().unwrap().iter().find(|user| user["name"] != "per").unwrap();
        let kari_id = format!("/users/{}", kari_id["id"].as_str().unwrap());
        let (one, two) =
            tokio::join!(gateway.delete(&per_id, &kari), gateway.delete(&kari_id, &per));
        let mut said = [one.said(), two.said()];
        said.sort();
        assert_eq!(said, ["204", "401 not_logged_in"]);
    }
}

#[tokio::test]
async fn who_is_removed_while_their_request_is_read_changes_nothing() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let change = json!({"password": "en lang nok setning", "new_password": "noe helt nytt"});
    let friend = json!({"name": "ola", "role": "owner", "password": "en lang nok setning"});
    for (method, path, body) in [
        (Method::POST, "/users", friend.to_string()),
        (Method::PUT, "/password", change.to_string()),
        (Method::PUT, "/site/config", "[site]".into()),
        (Method::POST, "/cloud/enrol", r#"{"url":"https://a.example","code":"GOOD"}"#.into()),
    ] {
        let per = json!({"name": "per", "role": "owner", "password": "en lang nok setning"});
        let id = gateway.post("/users", &owner, per).await.json()["id"].clone();
        let id = format!("/users/{}", id.as_str().unwrap());
        let login = json!({"name": "per", "password": "en lang nok setning"});
        let per = gateway.post("/session", "", login).await.cookie();

        // The head of the request is judged before the removal, its body comes after it.
        let (judged, is_judged) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel::<()>();
        let body = Body::from_stream(futures_util::stream::once(async move {
            judged.send(()).unwrap();
            goes_on.await.map(|()| body)
        }));
        let mut request = request(method, path, &per, body);
        request.headers_mut().insert(header::IF_MATCH, "\"0\"".parse().unwrap());
        let removal = async {
            is_judged.await.unwrap();
            let removed = gateway.delete(&id, &owner).await.said();
            go_on.send(()).unwrap();
            removed
        };
        let (answer, removed) = tokio::join!(gateway.send(request), removal);
        assert_eq!(
            (answer.said().as_str(), removed.as_str()),
            ("401 not_logged_in", "204"),
            "{path}"
        );
    }
    assert_eq!(gateway.get("/users", &owner).await.json().as_array().unwrap().len(), 1);
    assert_eq!(gateway.get("/site/config", &owner).await.said(), "404 no_config");
}

#[tokio::test]
async fn a_user_that_cannot_be_is_refused() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    for (name, role, password, meters, said) in [
        ("per", "admin", "en lang nok setning", json!([]), "400 malformed"),
        ("", "wall", "en lang nok setning", json!([]), "422 name_wrong"),
        ("per", "wall", "elleve tegn", json!([]), "422 password_short"),
        ("per", "wall", "kvernhusgata42", json!([]), "422 password_common"),
        ("per", "wall", "en lang nok setning", json!([WATER]), "400 malformed"),
        ("per", "tenant", "en lang nok setning", json!(["no-meter"]), "404 no_such_meter"),
    ] {
        let body = json!({"name": name, "role": role, "password": password, "meters": meters});
        assert_eq!(gateway.post("/users", &owner, body.clone()).await.said(), said, "{body}");
    }
}
