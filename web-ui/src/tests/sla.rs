//! The promise of uptime through the router: figures, files, and what people write into the ledger.

use ledger::case::Ore;
use ledger::entry::{Attempts, Contract, Open};
use ledger::{Attempt, Failure, Month, Outcome, References, Tried};
use serde_json::json;

use super::*;

/// Seven hours of November, of which four were down.
async fn written() -> Gateway {
    let gateway = Gateway::new();
    let start = Month::parse("2026-11", chrono_tz::Europe::Oslo).unwrap().span().start;
    let hour = |hour: i64| {
        let attempt = |at: i64| Attempt {
            at,
            outcome: match hour {
                2..6 => Outcome::Failed(Failure::Status(503)),
                _ => Outcome::Success,
            },
            references: References { asked: 3, answered: 3, link_down: false },
            clock_trusted: true,
            age: u32::try_from(at - start).ok(),
        };
        let from = start + 3_600 * hour;
        let tried = Tried::new((from..from + 3_600).step_by(20).map(attempt));
        Fact::Attempts(Attempts::new(180, tried))
    };
    let annual = Ore::new(1_200_000).unwrap();
    let contract = Contract::new("4711", "Bakken borettslag", "Fjord AS", annual);
    let opening = [Fact::Open(Open { ledger: [7; 16], key: KEY }), Fact::Contract(contract)];
    let core = gateway.store.core();
    for (place, fact) in (0..).zip(opening.into_iter().chain((0..7).map(hour))) {
        let at_ms = 1_000 * (start + 3_600 * (i64::try_from(place).unwrap() - 1));
        let entry = Entry { seq: place + 1, at_ms, fact };
        core.append_chain(place, entry.to_bytes()).await.unwrap();
    }
    gateway
}

/// Nothing is signed here.
const KEY: [u8; 32] = [1; 32];

async fn post(gateway: &Gateway, cookie: &str, path: &str, body: Value) -> Answer {
    let body = Body::from(body.to_string());
    gateway.send(request(Method::POST, path, cookie, body)).await
}

#[tokio::test]
async fn a_year_and_a_month_are_told_in_figures() {
    let gateway = written().await;
    let operator = gateway.visitor(Role::Operator).await;
    let year = gateway.get("/sla?year=2026", &operator).await.json();
    assert_eq!(year["contract"]["annual"], "12000.00");
    assert_eq!(year["contract"]["tiers"][0], json!({"below": "99.50", "credit": 10}));
    let months = year["months"].as_array().unwrap();
    let of = |key: &str| months.iter().map(|month| month[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("month"), ["2026-10", "2026-11"], "the ledger was opened on its last evening");
    assert_eq!((&of("tier")[1], &of("claimable")[1]), (&json!(10), &json!("100.00")));
    assert_eq!(
        (&of("claim")[1], &of("deadline")[1]),
        (&json!("not_notified"), &json!("2026-12-30"))
    );

    let month = gateway.get("/sla/2026-11", &operator).await.json();
    assert_eq!(month["figures"]["counted_s"], 14_400);
    assert_eq!(
        month["outages"][0]["causes"],
        json!([{"failure": "status", "status": 503, "attempts": 720}])
    );
    assert_eq!((&month["fee"], &month["through"]), (&json!("1000.00"), &json!(9)));
    assert_eq!(gateway.get("/sla/2026-13", &operator).await.said(), "404 no_statement");
    assert_eq!(gateway.get("/sla?year=1", &operator).await.said(), "400 malformed");
}

#[tokio::test]
async fn a_month_is_told_in_files() {
    let gateway = written().await;
    let operator = gateway.visitor(Role::Operator).await;
    for (path, kind) in [
        ("/sla/2026-11/statement.pdf", "application/pdf"),
        ("/sla/2026-11/statement.pdf?language=en", "application/pdf"),
        ("/sla/2026-11/statement.csv", "text/csv; charset=utf-8"),
        ("/sla/2026-11/statement.json", "application/json"),
    ] {
        let answer = gateway.head_of(request(Method::GET, path, &operator, Body::empty())).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (StatusCode::OK, &kind.parse().unwrap())
        );
    }
    let said = |answer: Answer| answer.said();
    let pdf = "/sla/2026-11/statement.pdf";
    assert_eq!(said(gateway.get(&format!("{pdf}?language=sv"), &operator).await), "400 malformed");
    assert_eq!(said(gateway.get(&format!("{pdf}?entry=3"), &operator).await), "404 no_statement");
}

#[tokio::test]
async fn an_exclusion_with_its_proof_acts_once_it_is_accepted() {
    let gateway = written().await;
    let owner = gateway.visitor(Role::Owner).await;
    let kept = request(Method::POST, "/sla/proofs", &owner, Body::from("a letter"));
    let sha256 = gateway.send(kept).await.json()["sha256"].clone();
    let exclusion = json!({
        "id": "M-7", "kind": "planned_maintenance", "why": "new disks",
        "from": "2026-11-01T01:00:00Z", "until": "2026-11-01T04:00:00Z",
        "notice_at": "2026-10-20T08:00:00Z", "agreed_at": null,
        "proofs": [{"name": "notice.eml", "sha256": sha256}],
    });
    let invoked = post(&gateway, &owner, "/sla/exclusions", exclusion.clone()).await;
    assert_eq!((invoked.status, invoked.json()), (StatusCode::CREATED, json!({"entry": 10})));
    let again = post(&gateway, &owner, "/sla/exclusions", exclusion).await;
    assert_eq!(again.said(), "409 ledger_refused");

    let figures = async || gateway.get("/sla/2026-11", &owner).await.json()["figures"].clone();
    let before = figures().await;
    assert_eq!((&before["tier"], &before["tier_if_accepted"]), (&json!(10), &json!(0)));
    let answer = json!({"status": "accepted", "why": "announced in time"});
    let answered = post(&gateway, &owner, "/sla/exclusions/M-7/answer", answer).await;
    assert_eq!(answered.status, StatusCode::CREATED);
    assert_eq!(figures().await["counted_s"], 3_600);

    let year = gateway.get("/sla?year=2026", &owner).await.json();
    assert_eq!(year["exclusions"][0]["status"], "accepted");
    assert_eq!(year["exclusions"][0]["proofs"][0]["name"], "notice.eml");
    let path = format!("/sla/proofs/{}", sha256.as_str().unwrap());
    assert_eq!(gateway.get(&path, &owner).await.body, "a letter");
}

#[tokio::test]
async fn a_claim_goes_from_notice_to_invoice() {
    let gateway = written().await;
    let owner = gateway.visitor(Role::Owner).await;
    let progress = json!({"step": "credited", "note": "20114"});
    let path = "/sla/2026-11/progress";
    let too_soon = post(&gateway, &owner, path, progress.clone()).await;
    assert_eq!(too_soon.said(), "409 ledger_refused");

    let kept = request(Method::POST, "/sla/proofs", &owner, Body::from("evidence"));
    let sha256 = gateway.send(kept).await.json()["sha256"].clone();
    let proofs = json!([{"name": "fyrhus-evidence-2026-11.tar", "sha256": sha256}]);
    let claim = json!({"at": "2026-11-20T10:00:00Z", "written": true, "proofs": proofs});
    assert_eq!(
        post(&gateway, &owner, "/sla/2026-11/claim", claim).await.status,
        StatusCode::CREATED
    );
    let month = gateway.get("/sla/2026-11", &owner).await.json();
    assert_eq!(
        (&month["figures"]["claim"], &month["figures"]["due"]),
        (&json!("ok"), &json!("100.00"))
    );
    assert_eq!(post(&gateway, &owner, path, progress.clone()).await.status, StatusCode::CREATED);
    let month = gateway.get("/sla/2026-11", &owner).await.json();
    assert_eq!(month["figures"]["stage"], "credited");
    assert_eq!(month["said"][1]["note"], "20114");
    assert_eq!(post(&gateway, &owner, path, progress).await.said(), "409 ledger_refused");
}

#[tokio::test]
async fn whoever_inspects_is_reminded_of_a_credit_that_nobody_claimed() {
    let gateway = Gateway::new();
    gateway.owed.send_replace(Arc::new(vec![Owed {
        month: "2026-10".into(),
        tier: 10,
        ore: 10_000,
        currency: "NOK".into(),
        deadline: "2026-11-30".parse().unwrap(),
        days_left: 9,
    }]));
    let codes = async |role| {
        let cookie = gateway.visitor(role).await;
        let overview = gateway.get("/overview", &cookie).await.json();
        let notices = overview["look_at"].as_array().unwrap().clone();
        notices.iter().filter(|it| it["code"] == "claim_open").cloned().collect::<Vec<_>>()
    };
    let told = codes(Role::Operator).await;
    assert_eq!(
        told[0]["params"],
        json!({"month": "2026-10", "tier": "10", "sum": "100.00", "currency": "NOK", "days": "9"})
    );
    assert!(codes(Role::Tenant).await.is_empty());
}
