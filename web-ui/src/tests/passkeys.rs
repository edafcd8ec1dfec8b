//! Passkeys over the whole router: where they work, and that a changed byte opens nothing. What is
//! checked of each byte is tested in `access`; a real browser's are in the journeys.

use serde_json::json;

use super::*;

/// A request for `host`, as a page of it makes it.
fn at(host: &str, path: &str, cookie: &str, body: &Value) -> Request<Body> {
    let mut request = request(Method::POST, path, cookie, Body::from(body.to_string()));
    let headers = request.headers_mut();
    headers.insert(header::HOST, host.parse().unwrap());
    headers.insert(header::ORIGIN, format!("https://{host}").parse().unwrap());
    request
}

#[tokio::test]
async fn no_passkey_works_at_an_ip_address_and_it_is_said_why() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    for (host, said) in [
        ("10.0.4.2:8443", "409 passkey_host"),
        ("[2001:db8::2]:8443", "409 passkey_host"),
        ("fyrhus-7k2m.local:8443", "200"),
        ("localhost:8443", "200"),
    ] {
        for path in ["/login/passkeys/challenge", "/session/passkey/challenge"] {
            let answer = gateway.send(at(host, path, &owner, &json!({}))).await;
            assert_eq!(answer.said(), said, "{host} {path}");
            if said == "200" {
                assert_eq!(answer.json()["host"], host.trim_end_matches(":8443"));
            } else {
                assert_eq!(answer.json()["params"]["why"], "address");
            }
        }
    }
    let ways = gateway.get("/login", &owner).await.json();
    assert_eq!((&ways["host"], &ways["no_passkeys"]), (&json!("10.0.4.2"), &json!("address")));
}

#[tokio::test]
async fn what_is_no_passkey_is_refused_and_slowed() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let host = "fyrhus-7k2m.local:8443";
    let client = data_encoding::BASE64URL_NOPAD.encode(
        br#"{"type":"webauthn.create","challenge":"AAAA","origin":"https://fyrhus-7k2m.local:8443"}"#,
    );
    for (client, attestation, said) in [
        ("!", "AAAA", "400 malformed"),
        ("AAAA", "AAAA", "401 passkey_wrong"),
        (client.as_str(), "AAAA", "401 passkey_wrong"),
    ] {
        let new = json!({"name": "phone", "client": client, "attestation": attestation});
        let answer = gateway.send(at(host, "/login/passkeys", &owner, &new)).await;
        assert_eq!(answer.said(), said, "{client}");
    }
    let login = json!({
        "id": "AAAA", "client": client, "authenticator": "AAAA", "signature": "AAAA",
        "user": "AAAAAAAAAAAAAAAAAAAAAA",
    });
    for tries in 0..6 {
        let mut request = at(host, "/session/passkey", "", &login);
        let from: std::net::SocketAddr = "10.0.4.77:5000".parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(from));
        let expected = if tries < 5 { "401 passkey_wrong" } else { "429 slowed" };
        assert_eq!(gateway.send(request).await.said(), expected);
    }
}
