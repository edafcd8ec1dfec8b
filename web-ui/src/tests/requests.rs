//! Requests that make no sense get one clear sentence.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_why() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    for (body, said, detail) in [
        ("", "400 malformed", "EOF while parsing"),
        ("{", "400 malformed", "EOF while parsing"),
        ("[]", "400 malformed", ""),
        (r#"{"name":"a"}"#, "400 malformed", "missing field `password`"),
        (r#"{"name":"a","password":"b","nmae":"c"}"#, "400 malformed", "unknown field `nmae`"),
        (r#"{"name":1,"password":"b"}"#, "400 malformed", "invalid type: integer `1`"),
        ("\u{0}", "400 malformed", "expected value"),
    ] {
        let request = request(Method::POST, "/session", &owner, Body::from(body));
        let answer = gateway.send(request).await;
        assert_eq!(answer.said(), said, "{body}");
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains(detail), "{body}: {told}");
    }
}

#[tokio::test]
async fn a_body_of_another_format_or_size_is_refused() {
    let gateway = Gateway::new();
    let mut form = request(Method::POST, "/session", "", Body::from("name=a&password=b"));
    form.headers_mut()
        .insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(gateway.send(form).await.said(), "415 media_type");

    let endless = json!({"name": "a", "password": "x".repeat(65 << 10)});
    assert_eq!(gateway.post("/session", "", endless).await.said(), "413 too_large");
}

#[tokio::test]
async fn a_method_or_a_route_that_is_not_there_is_said_so() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    assert_eq!(gateway.delete("/meters", &owner).await.said(), "405 method");
    assert_eq!(gateway.put("/nothing", &owner, json!({})).await.said(), "404 no_such_route");
}

#[tokio::test]
async fn a_question_that_makes_no_sense_names_what_is_wrong() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Wall).await;
    let day = "from=2026-11-20T00:00:00Z&until=2026-11-21T00:00:00Z";
    let swapped = "from=2026-11-21T00:00:00Z&until=2026-11-20T00:00:00Z";
    let year = "from=2025-11-20T00:00:00Z&until=2026-11-20T00:00:00Z";
    let vast = "from=-262143-01-01T00:00:00Z&until=%2B262142-12-31T00:00:00Z";
    for (path, said, detail) in [
        (
            format!("history?regster=energy&{day}&step=hour"),
            "400 malformed",
            "unknown field `regster`",
        ),
        (
            format!("history?register=Energy!&{day}&step=hour"),
            "400 malformed",
            "`Energy!` is not a register",
        ),
        (
            format!("history?register=energy&{day}&step=week"),
            "400 malformed",
            "unknown variant `week`",
        ),
        ("history?register=energy&from=today&until=x&step=hour".into(), "400 malformed", ""),
        (
            format!("history?register=energy&{swapped}&step=hour"),
            "400 span",
            "`until` comes after `from`",
        ),
        (format!("history?register=energy&{year}&step=quarter"), "400 span", "by 32 days at most"),
        (format!("history?register=energy&{vast}&step=month"), "400 span", "by 3661 days at most"),
        (format!("history?register=energy&{vast}&rows=9"), "400 span", "by 3661 days at most"),
        (format!("history?register=energy&{day}"), "400 malformed", "either `step` or `rows`"),
        (
            format!("history?register=energy&{day}&step=day&rows=9"),
            "400 malformed",
            "either `step` or `rows`",
        ),
        (format!("history?register=energy&{day}&rows=0"), "400 malformed", "rows = 0 is not from"),
        (format!("history?register=energy&{day}&rows=5000"), "400 malformed", "rows = 5000 is not"),
        (format!("history?register=energy&{day}&step=hour"), "404 no_such_register", "never told"),
        (format!("history.csv?register=energy&{day}&step=hour"), "404 no_such_register", ""),
        (
            format!("readings?register=energy&{day}&limit=0"),
            "400 malformed",
            "limit = 0 is not from 1 to 1000",
        ),
        (format!("readings?register=energy&{day}&limit=1001"), "400 malformed", "limit = 1001"),
        (
            format!("readings?register=energy&{day}&cursor=abc"),
            "400 malformed",
            "the cursor is not one",
        ),
        (
            format!("readings?register=energy&{day}&cursor=5.1"),
            "400 malformed",
            "the cursor is of another span",
        ),
        (format!("readings?register=energy&{day}"), "404 no_such_register", ""),
    ] {
        let answer = gateway.get(&format!("/meters/{HEAT}/{path}"), &cookie).await;
        assert_eq!(answer.said(), said, "{path}");
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains(detail), "{path}: {told}");
    }
    for id in ["heat-1", "019a8f3e-7c52-7b3e-9d41-00000000ffff", "%00", "%F0%9F%94%A5"] {
        let said = gateway.get(&format!("/meters/{id}"), &cookie).await.said();
        assert_eq!(said, "404 no_such_meter", "{id}");
    }
    let owner = gateway.visitor(Role::Owner).await;
    for month in ["2026-13", "november", "2026-1", "99999-01", "+026-01", "1969-12"] {
        let said = gateway.get(&format!("/cloud?month={month}"), &owner).await.said();
        assert_eq!(said, "400 malformed", "{month}");
    }
}
