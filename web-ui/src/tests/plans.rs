//! Plans of the building, through the routes: who makes them, and who sees what of them.

use serde_json::json;

use super::*;

fn photo(width: u16) -> Vec<u8> {
    let [w1, w0] = width.to_be_bytes();
    [&[0xFF, 0xD8, 0xFF, 0xC0, 0, 8, 8, 1, 4, w1, w0, 3][..], &[0xFF, 0xD9]].concat()
}

/// A plan of this name, and its id.
async fn added(gateway: &Gateway, cookie: &str, name: &str, width: u16) -> String {
    let path = format!("/plans?name={name}");
    let body = Body::from(photo(width));
    let answer = gateway.send(request(Method::POST, &path, cookie, body)).await;
    assert_eq!(answer.said(), "201", "{}", answer.body);
    let plan = answer.json();
    assert_eq!((&plan["width"], &plan["height"]), (&json!(width), &json!(260)));
    plan["id"].as_str().unwrap().to_owned()
}

fn pins(pins: &[(&str, u16, u16)]) -> Value {
    let pins = pins.iter().map(|(meter, x, y)| json!({"meter": meter, "x": x, "y": y}));
    json!({"name": "Kjeller", "pins": pins.collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_plan_is_made_and_meters_are_put_on_it() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Installer).await;
    assert_eq!(gateway.get("/plans", &cookie).await.json(), json!([]));
    let cellar = added(&gateway, &cookie, "Kjeller", 640).await;
    let roof = added(&gateway, &cookie, "Tak", 320).await;
    let picture = gateway.get(&format!("/plans/{cellar}/picture"), &cookie).await;
    assert_eq!(picture.headers["content-type"], "image/jpeg");

    let path = format!("/plans/{cellar}");
    let placed = pins(&[(HEAT, 500, 0), (WATER, 0, 1_000)]);
    assert_eq!(gateway.put(&path, &cookie, placed).await.said(), "200");
    // It was carried up to the roof.
    let moved = gateway.put(&format!("/plans/{roof}"), &cookie, pins(&[(HEAT, 1, 2)])).await;
    assert_eq!(moved.said(), "200");
    let plans = gateway.get("/plans", &cookie).await.json();
    assert_eq!(plans[0]["pins"], json!([{"meter": WATER, "x": 0, "y": 1_000}]));
    assert_eq!(plans[1]["pins"], json!([{"meter": HEAT, "x": 1, "y": 2}]));

    for (wrong, said) in [
        (pins(&[(HEAT, 1_001, 0)]), "400 malformed"),
        (pins(&[("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e00", 0, 0)]), "404 no_such_meter"),
        (json!({"name": " ", "pins": []}), "422 label_wrong"),
    ] {
        assert_eq!(gateway.put(&path, &cookie, wrong).await.said(), said);
    }
    let none = request(Method::POST, "/plans?name=A", &cookie, Body::from("<svg/>"));
    assert_eq!(gateway.send(none).await.said(), "422 photo_wrong");
    assert_eq!(gateway.delete(&path, &cookie).await.said(), "204");
    assert_eq!(gateway.delete(&path, &cookie).await.said(), "404 no_such_plan");
    assert_eq!(gateway.get(&format!("{path}/picture"), &cookie).await.said(), "404 no_such_plan");
}

#[tokio::test]
async fn a_tenant_sees_the_plan_of_the_own_meters_and_no_other() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Owner).await;
    let cellar = added(&gateway, &cookie, "Kjeller", 640).await;
    let flat = added(&gateway, &cookie, "Leilighet", 320).await;
    gateway.put(&format!("/plans/{cellar}"), &cookie, pins(&[(HEAT, 1, 1)])).await;
    let both = pins(&[(WATER, 2, 2)]);
    gateway.put(&format!("/plans/{flat}"), &cookie, both).await;

    let tenant = gateway.visitor(Role::Tenant).await;
    let seen = gateway.get("/plans", &tenant).await;
    assert_eq!(seen.json()[0]["pins"], json!([{"meter": WATER, "x": 2, "y": 2}]));
    assert!(!seen.body.contains(HEAT) && !seen.body.contains(&cellar), "{}", seen.body);
    let get = async |plan: &str| gateway.get(&format!("/plans/{plan}/picture"), &tenant).await;
    assert_eq!(get(&flat).await.said(), "200");
    assert_eq!(get(&cellar).await.said(), "404 no_such_plan");

    let wall = gateway.visitor(Role::Wall).await;
    assert_eq!(gateway.get("/plans", &wall).await.json().as_array().unwrap().len(), 2);
    let path = format!("/plans/{flat}");
    assert_eq!(gateway.put(&path, &wall, pins(&[])).await.said(), "403 not_allowed");
}
