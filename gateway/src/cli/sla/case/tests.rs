//! Case files that are refused, each with the sentence that a person reads.

use serde_json::{Value, json};

use super::{Named, of, read};
use statement::result_of as told;

/// A January with an outage of one second too many.
fn lost() -> Value {
    json!({
        "schema": "sla-case/1", "id": "lost", "month": "2026-01",
        "outages": [{"id": "o0", "start": "2026-01-10T08:00:00Z", "end": "2026-01-10T11:43:13Z"}],
        "unknown": [],
        "exclusions": [{
            "id": "x0", "kind": "planned_maintenance",
            "start": "2026-01-20T01:00:00Z", "end": "2026-01-20T02:00:00Z",
            "notice": {"given_at": "2026-01-10T08:00:00Z", "written": true},
        }],
        "subscription": {"start_date": null},
        "fee": {"annual_ore": 1_200_000, "currency": "NOK"},
        "claim": null, "cap": null, "policy": {},
    })
}

/// The case above with `value` at `pointer` in place of what is there.
#[track_caller]
fn check(pointer: &str, value: Value, code: &str, sentence: &str) {
    let mut case = lost();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match case.pointer_mut(parent).unwrap() {
        Value::Object(object) => drop(object.insert(key.to_owned(), value)),
        list => list[key.parse::<usize>().unwrap()] = value,
    }
    let refusal = of(&case).unwrap_err();
    assert_eq!((refusal.code, refusal.to_string().as_str()), (code, sentence));
}

#[test]
fn what_stands_twice_is_refused_with_its_place() {
    let good = lost().to_string();
    assert!(read(good.as_bytes()).is_ok());
    for (once, twice, path) in [
        (r#""annual_ore":"#, r#""annual_ore":1,"annual_ore":"#, "$.fee.annual_ore"),
        (r#""month":"#, r#""month":"2026-02","month":"#, "$.month"),
        (r#""end":"2026-01-10"#, r#""end":null,"end":"2026-01-10"#, "$.outages[0].end"),
    ] {
        let case = good.replacen(once, twice, 1);
        assert_ne!(case, good);
        let refusal = read(case.as_bytes()).unwrap_err();
        let expected = format!("{path}: stands here a second time; leave one of the two out");
        assert_eq!((refusal.code, refusal.to_string()), ("bad_json", expected));
    }
    // Half a line, more than one value, and what is too deep are no JSON.
    for text in ["", "{\"a\"", "{} {}", "NaN", &"[".repeat(1_000_000)] {
        assert!(
            read(text.as_bytes()).unwrap_err().to_string().starts_with("$: this is not JSON: ")
        );
    }
}

#[test]
fn the_result_has_every_key_of_the_schema() {
    let Named { id, case } = of(&lost()).unwrap();
    let expected = json!({
        "schema": "sla-result/1", "id": "lost", "month": "2026-01",
        "period": {
            "start": "2025-12-31T23:00:00Z", "end": "2026-01-31T23:00:00Z", "days": 31,
            "active_days": 31, "contract_minutes": 44_640, "real_s": 2_678_400,
        },
        "outages": [{
            "ids": ["o0"], "start": "2026-01-10T08:00:00Z", "end": "2026-01-10T11:43:13Z",
            "gross_s": 13_393, "in_period_s": 13_393, "short_s": 0, "excluded_s": 0,
            "counted_s": 13_393,
        }],
        "exclusions": [
            {"id": "x0", "kind": "planned_maintenance", "reason": "ok", "effective_s": 0},
        ],
        "totals": {
            "down_s": 13_393, "short_s": 0, "excluded_s": 0, "counted_s": 13_393, "unknown_s": 0,
        },
        "uptime": {"num_s": 2_665_007, "den_s": 2_678_400, "percent": "99.4999"},
        "tier": 10,
        "fee": {"month_num_ore": 100_000, "month_den": 1},
        "claim": {
            "state": "not_notified", "crossed_at": "2026-01-10T11:43:13Z",
            "deadlines": {
                "month_end": "2026-03-02", "crossing": "2026-02-09",
                "first_outage": "2026-02-09",
            },
        },
        "credit": {"claimable_ore": 10_000, "due_ore": 0, "capped": false},
        "sensitivity": {
            "unknown_as_down": {"counted_s": 13_393, "tier": 10},
            "disputed_accepted": {"counted_s": 13_393, "tier": 10},
        },
    });
    assert_eq!(told(&id, &case, &ledger::settle(&case)), expected);
}

#[test]
fn what_is_no_case_says_so() {
    let refusal = read(b"{\"schema\": ").unwrap_err();
    assert_eq!(refusal.code, "bad_json");
    assert!(refusal.to_string().starts_with("$: this is not JSON: EOF"), "{refusal}");
    assert_eq!(read(b"[]").unwrap_err().to_string(), "$: [] is here; must be an object");
    let must = "must be \"sla-case/1\"";
    check(
        "/schema",
        json!("sla-case/2"),
        "bad_schema",
        &format!("$.schema: \"sla-case/2\" is here; {must}"),
    );
    check("/outages", json!({}), "bad_schema", "$.outages: {} is here; must be a list");
}

#[test]
fn each_mistake_has_its_code_its_place_and_what_may_stand_there() {
    let month = "must be a month from 1970-01 to 2999-12, such as \"2026-11\"";
    check(
        "/month",
        json!("2026-13"),
        "bad_month",
        &format!("$.month: \"2026-13\" is here; {month}"),
    );
    check("/month", json!(202_601), "bad_month", &format!("$.month: 202601 is here; {month}"));
    let zone = "must be the IANA name of a time zone, such as \"Europe/Oslo\"";
    check(
        "/time_zone",
        json!("Oslo"),
        "bad_zone",
        &format!("$.time_zone: \"Oslo\" is here; {zone}"),
    );
    check(
        "/outages/0/id",
        json!("x0"),
        "bad_id",
        "$.exclusions[0].id: \"x0\" is here; is used twice; every outage and exclusion has its own",
    );
    check("/outages/0/id", json!(7), "bad_id", "$.outages[0].id: 7 is here; must be a text");
    let time = "must be an instant in whole seconds of UTC, such as \"2026-11-30T22:59:59Z\"";
    for wrong in [
        "2026-01-10T08:00:00.0Z",
        "2026-01-10T08:00:00+00:00",
        "2026-01-10T08:00:60Z",
        "2026-01-10 08:00:00Z",
        "2026-02-30T08:00:00Z",
        "2026-01-10T24:00:00Z",
        "2026-1-10T08:00:00Z",
        "\u{0662}026-01-10T08:00:00Z",
    ] {
        let sentence = format!("$.outages[0].start: \"{wrong}\" is here; {time}");
        check("/outages/0/start", json!(wrong), "bad_time", &sentence);
    }
    check(
        "/outages/0/start",
        json!("2026-01-10T11:43:13Z"),
        "bad_interval",
        "$.outages[0].start: \"2026-01-10T11:43:13Z\" is here; must be before its end",
    );
    check(
        "/exclusions/0/kind",
        json!("lunch"),
        "bad_kind",
        "$.exclusions[0].kind: \"lunch\" is here; must be one of \"agreed_suspension\", \
         \"planned_maintenance\", \"security_maintenance\", \"authority_order\", \
         \"outside_control\", \"customer_caused\", \"product_connectivity\", \"battery\"",
    );
    check(
        "/exclusions/0/status",
        json!("perhaps"),
        "bad_status",
        "$.exclusions[0].status: \"perhaps\" is here; must be one of \"accepted\", \"disputed\", \
         \"rejected\"",
    );
    check(
        "/subscription/start_date",
        json!("2026-2-1"),
        "bad_date",
        "$.subscription.start_date: \"2026-2-1\" is here; must be a date, such as \"2026-11-30\", \
         or null",
    );
    check(
        "/subscription/start_date",
        json!("2026-02-01"),
        "no_active_days",
        "$.subscription: {\"start_date\":\"2026-02-01\"} is here; covers no day of the month",
    );
    let ore = "must be a whole number of øre from 0 to 1000000000000";
    for (wrong, shown) in [
        (json!(1.0), "1.0"),
        (json!(-1), "-1"),
        (json!(1_000_000_000_001_u64), "1000000000001"),
        (json!(true), "true"),
    ] {
        let sentence = format!("$.fee.annual_ore: {shown} is here; {ore}");
        check("/fee/annual_ore", wrong, "bad_fee", &sentence);
    }
    check(
        "/cap",
        json!({"already_incurred_ore": 0}),
        "bad_cap",
        &format!("$.cap.paid_last_12_months_ore: nothing is here; {ore}"),
    );
    check(
        "/policy/rounding",
        json!("up"),
        "bad_policy",
        "$.policy.rounding: \"up\" is here; there is no such setting; known are short_rule, \
         straddle, unknown, denominator, notice_rule, breach_moment",
    );
    check(
        "/policy/unknown",
        json!("sideways"),
        "bad_policy",
        "$.policy.unknown: \"sideways\" is here; must be one of \"up\", \"down\"",
    );
}

#[test]
fn what_is_not_looked_at_is_not_refused() {
    let mut case = lost();
    case["exclusions"][0]["kind"] = json!("battery");
    case["exclusions"][0]["notice"] = json!("by phone");
    case["exclusions"][0]["agreed_at"] = json!(1);
    case["note"] = json!({"anything": 1.5});
    assert!(of(&case).is_ok());
}
