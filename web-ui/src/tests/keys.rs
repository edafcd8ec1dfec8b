//! The keys of meters, and who is heard, through the router.

use axum::body::Body;
use axum::http::Method;
use data_encoding::BASE64;
use serde_json::json;

use super::*;

const KEY: &str = "00112233445566778899AABBCCDDEEFF";

#[tokio::test]
async fn a_key_goes_in_and_never_comes_out() {
    let gateway = Gateway::new();
    let installer = gateway.visitor(Role::Installer).await;
    let put = async |meter: &str, key: &str| {
        let body = Body::from(json!({"encryption": key}).to_string());
        let path = format!("/keys/{meter}");
        gateway.send(request(Method::PUT, &path, &installer, body)).await
    };
    assert_eq!(put("67001122KAM", KEY).await.said(), "204");
    let wrong = put("67001122KAM", "0011").await;
    assert_eq!(wrong.said(), "422 key_wrong");
    assert!(!wrong.json().to_string().contains("0011"), "{}", wrong.json());
    assert_eq!(put("67", KEY).await.said(), "422 key_number");

    let kept = gateway.get("/keys", &installer).await;
    assert_eq!(kept.json(), json!([{"meter": "67001122KAM", "authentication": false}]));

    let forget = async |meter: &str| {
        let path = format!("/keys/{meter}");
        gateway.send(request(Method::DELETE, &path, &installer, Body::empty())).await.said()
    };
    assert_eq!(forget("67001122KAM").await, "204");
    assert_eq!(forget("1234").await, "404 no_such_key");

    let import = async |bytes: &[u8]| {
        let body = json!({"file": BASE64.encode(bytes)});
        gateway.post("/keys/import", &installer, body).await
    };
    let imported = import(format!("67001123;{KEY}").as_bytes()).await;
    assert_eq!(imported.json(), json!({"new": 1, "replaced": 0}));
    assert_eq!(import(b"PK").await.said(), "422 key_password");
    assert_eq!(import(b"").await.json()["params"]["why"], "the file has no key");
    let large = import(&vec![b'x'; 100_000]).await;
    assert_eq!(large.said(), "200", "a file may be larger than other bodies");

    let log = gateway.store.core().audit_log(None, 100).await.unwrap();
    let done: Vec<_> = log.iter().map(|it| format!("{} {}", it.what, it.detail)).collect();
    for expected in
        ["key_entered 67001122KAM", "key_forgotten 67001122KAM", "keys_imported 1 new, 0 replaced"]
    {
        assert!(done.iter().any(|it| it == expected), "{expected}: {done:?}");
    }
    assert!(!format!("{log:?}").contains(KEY));
}

#[tokio::test]
async fn who_is_heard_and_not_chosen_is_told_with_the_bus() {
    let gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let detail = gateway.get("/buses/riser-a", &operator).await.json();
    assert_eq!(detail["bus"]["strangers"], 1);
    assert_eq!(
        detail["strangers"],
        json!([{
            "name": "67001199KAM1B16", "manufacturer": "KAM", "medium": "water", "rssi_dbm": -71,
            "sealed": true, "at": "2026-11-21T12:59:40Z", "count": 12,
        }])
    );
}
