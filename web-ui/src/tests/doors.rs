//! What is refused before any handler sees it, and what every answer carries.

use super::*;

/// What a GET of the session is answered when it is sent to `host`.
async fn sent_to(gateway: &Gateway, host: Option<&str>) -> String {
    let mut request = Request::get("/api/v1/session");
    if let Some(host) = host {
        request = request.header(header::HOST, host);
    }
    gateway.send(request.body(Body::empty()).unwrap()).await.said()
}

#[tokio::test]
async fn only_addresses_and_our_own_names_are_served() {
    let gateway = Gateway::new();
    for host in [
        "10.0.4.2",
        "10.0.4.2:8443",
        "[fd00::1]:8443",
        "localhost:8080",
        "fyrhus-7k2m.local",
        "FYRHUS-7K2M.local:8443",
    ] {
        assert_eq!(sent_to(&gateway, Some(host)).await, "200", "{host}");
    }
    for host in ["evil.example", "10.0.4.2.evil.example", "localhost.evil.example:8443"] {
        assert_eq!(sent_to(&gateway, Some(host)).await, "421 host", "{host}");
    }
    for host in [None, Some("a b"), Some("")] {
        assert_eq!(sent_to(&gateway, host).await, "400 malformed", "{host:?}");
    }
}

#[tokio::test]
async fn a_rebound_name_gets_no_page_either() {
    let gateway = Gateway::new();
    let request = Request::get("/").header(header::HOST, "evil.example");
    let answer = gateway.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.said(), "421 host");
    assert_eq!(answer.json()["params"]["host"], "evil.example");
}

#[tokio::test]
async fn another_page_changes_nothing() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let log_out = async |headers: &[(&str, &str)]| {
        let mut request = Request::delete("/api/v1/session")
            .header(header::HOST, "10.0.4.2:8443")
            .header(header::COOKIE, &owner);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        gateway.send(request.body(Body::empty()).unwrap()).await.said()
    };
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "https://10.0.4.2")],
        &[("origin", "http://10.0.4.2:8443")],
        &[("origin", "https://10.0.4.3:8443")],
        &[("origin", "null")],
        &[("origin", "")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(log_out(headers).await, "403 origin", "{headers:?}");
    }
    let ours = [("origin", "https://10.0.4.2:8443"), ("sec-fetch-site", "same-origin")];
    assert_eq!(log_out(&ours).await, "204");
    assert_eq!(log_out(&[]).await, "401 not_logged_in", "a program that is no browser");
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may() {
    let gateway = Gateway::new();
    for path in ["/", "/meters/1", "/assets/none.js", "/api/v1/session", "/api/v1/site", "/api/v2"]
    {
        let request = Request::get(path).header(header::HOST, "localhost");
        let answer = gateway.send(request.body(Body::empty()).unwrap()).await;
        let csp = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(csp.starts_with("default-src 'self';"), "{path}: {csp}");
        assert!(csp.contains("frame-ancestors 'none'") && !csp.contains("unsafe"), "{path}: {csp}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_is_the_front_end_or_says_how_to_build_it() {
    let gateway = Gateway::new();
    let get = async |path: &str| {
        let request = Request::get(path).header(header::HOST, "localhost");
        gateway.send(request.body(Body::empty()).unwrap()).await
    };
    let root = get("/").await;
    let deep = get(&format!("/meters/{WATER}?period=day")).await;
    assert_eq!(root.body, deep.body, "the page finds its own way from the address");
    if root.status == StatusCode::OK {
        assert_eq!(root.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(root.headers["cache-control"], "no-cache");
        let etag = root.headers["etag"].to_str().unwrap();
        let again = Request::get("/").header(header::HOST, "localhost");
        let again = again.header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap();
        assert_eq!(gateway.send(again).await.status, StatusCode::NOT_MODIFIED);
    } else {
        assert!(root.body.starts_with("front end not built: make web"), "{}", root.body);
    }
    assert_eq!(get("/assets/none-12345678.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/robots.txt").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/../Cargo.toml").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/api/v2/session").await.said(), "404 no_such_route");
    assert_eq!(get("/api/v1/nothing").await.said(), "404 no_such_route");
}
