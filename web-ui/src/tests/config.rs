//! Two people editing one file, and what else can go wrong with it.

use serde_json::json;

use store::History;

use super::*;
use crate::{AuditStands, BrokenEntry, HistoryProof, VersionStands};

/// What the daemon makes of it, without its key.
pub(super) fn proven(history: &History) -> HistoryProof {
    let versions = history.versions.iter().rev().map(|version| {
        let stands = match (&version.fault, &version.signature) {
            (Some(_), _) => VersionStands::Broken,
            (None, None) => VersionStands::Earlier,
            (None, Some(_)) => VersionStands::Signed,
        };
        (version.number.unsigned_abs(), stands)
    });
    let audit = &history.audit;
    HistoryProof {
        key: "5e".repeat(32),
        versions: versions.collect(),
        audit: AuditStands {
            first: audit.first.unsigned_abs(),
            newest: audit.newest.unsigned_abs(),
            hash: data_encoding::HEXLOWER.encode(&audit.hash),
            broken: audit.fault.as_ref().map(|fault| BrokenEntry {
                number: fault.number.unsigned_abs(),
                at: DateTime::from_timestamp_millis(fault.at_ms).unwrap(),
            }),
            signed: history.head.as_ref().map(|head| head.audit.unsigned_abs()),
            forged: history.head.as_ref().is_some_and(|head| head.fault.is_some()),
        },
    }
}

impl Gateway {
    async fn save(&self, cookie: &str, if_match: Option<&str>, text: &str) -> Answer {
        let mut request = request(Method::PUT, "/site/config", cookie, Body::from(text.to_owned()));
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, "application/toml".parse().unwrap());
        if let Some(version) = if_match {
            headers.insert(header::IF_MATCH, version.parse().unwrap());
        }
        self.send(request).await
    }
}

#[tokio::test]
async fn the_second_of_two_editors_hears_who_was_first() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let installer = gateway.visitor(Role::Installer).await;
    assert_eq!(gateway.get("/site/config", &owner).await.said(), "404 no_config");
    let first = gateway.save(&owner, Some("\"0\""), "[site]\nname = \"a\"\n").await;
    assert_eq!((first.said(), first.json()), ("200".into(), json!({"version": 1})));
    assert_eq!(first.headers["etag"], "\"1\"");

    let read = gateway.get("/site/config", &installer).await;
    assert_eq!(read.headers["etag"], "\"1\"");
    assert_eq!(read.body, "[site]\nname = \"a\"\n");
    gateway.clock.pass(Duration::from_mins(1));
    let second = gateway.save(&installer, Some("\"1\""), "[site]\nname = \"b\"\n").await;
    assert_eq!(second.json(), json!({"version": 2}));

    let late = gateway.save(&owner, Some("\"1\""), "[site]\nname = \"c\"\n").await;
    assert_eq!(late.said(), "412 config_changed");
    assert_eq!(
        late.json()["params"],
        json!({"who": "a installer", "at": "2026-11-21T13:33:05Z", "version": "2"})
    );
    assert_eq!(gateway.get("/site/config", &owner).await.body, "[site]\nname = \"b\"\n");
}

#[tokio::test]
async fn each_version_says_whether_it_is_what_was_saved_and_goes_back_as_a_new_one() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    for (number, name) in [("\"0\"", "a"), ("\"1\"", "b")] {
        let text = format!("[site]\nname = \"{name}\"\n");
        assert_eq!(gateway.save(&owner, Some(number), &text).await.said(), "200");
    }
    gateway.store.writer().sign_history(sign()).await.unwrap();
    let told = gateway.get("/site/history", &owner).await.json();
    assert_eq!(
        told["versions"],
        json!([{"number": 2, "stands": "signed"}, {"number": 1, "stands": "signed"}])
    );
    let audit = &told["audit"];
    assert_eq!(
        (&told["broken"], &audit["forged"], &audit["broken"]),
        (&json!(0), &json!(false), &Value::Null)
    );
    assert_eq!(audit["signed"], audit["newest"]);

    let signed = gateway.get("/site/versions/1/signed", &owner).await;
    assert_eq!(signed.body, "# signed\n[site]\nname = \"a\"\n");
    let name = signed.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(name.contains("site-1.signed.toml"), "{name}");
    for none in ["3", "0", "x", "18446744073709551615"] {
        let path = format!("/site/versions/{none}/signed");
        assert_eq!(gateway.get(&path, &owner).await.said(), "404 no_version", "{none}");
    }

    let back = gateway.post("/site/versions/1/restore", &owner, json!({})).await;
    assert_eq!(back.json(), json!({"version": 3}));
    assert_eq!(gateway.get("/site/config", &owner).await.body, "[site]\nname = \"a\"\n");
    // What changes the configuration asks again.
    gateway.clock.pass(Duration::from_hours(13));
    let late = gateway.post("/site/versions/2/restore", &owner, json!({})).await;
    assert_eq!(late.said(), "403 login_again");
}

#[tokio::test]
async fn a_wrong_file_is_told_all_its_mistakes_and_changes_nothing() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let wrong = gateway.save(&owner, Some("\"0\""), "name = 1").await;
    assert_eq!(wrong.said(), "422 config_wrong");
    assert_eq!(
        wrong.json()["mistakes"],
        json!([{"line": 1, "advice": "a site needs a `[site]` section"}])
    );
    assert_eq!(gateway.get("/site/config", &owner).await.said(), "404 no_config");
}

#[tokio::test]
async fn a_save_says_what_it_changes() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let text = "[site]\n";
    assert_eq!(gateway.save(&owner, None, text).await.said(), "428 if_match_missing");
    for wrong in ["7", "*", "W/\"7\"", "\"x\"", "\"-1\""] {
        assert_eq!(
            gateway.save(&owner, Some(wrong), text).await.said(),
            "400 malformed",
            "{wrong}"
        );
    }
    let large = format!("[site]\n#{}", "x".repeat(900 << 10));
    assert_eq!(gateway.save(&owner, Some("\"0\""), &large).await.said(), "200");
    let larger = format!("[site]\n#{}", "x".repeat(1 << 20));
    assert_eq!(gateway.save(&owner, Some("\"1\""), &larger).await.said(), "413 too_large");
}

#[tokio::test]
async fn a_file_that_is_not_in_force_is_said_so_to_those_who_can_mend_it() {
    let gateway = Gateway::new();
    let since = NOW.parse().unwrap();
    let advice = "baud = 2040 is not one of 300, 600, 1200, 2400".to_owned();
    let mistakes = vec![Mistake { line: 12, advice: advice.clone() }];
    let config_problem = Some(ConfigProblem { mistakes, since });
    gateway.site.send_replace(Arc::new(Site { config_problem, ..site() }));

    let installer = gateway.visitor(Role::Installer).await;
    let body = gateway.get("/site", &installer).await.json();
    assert_eq!(
        body["config_problem"],
        json!({"since": NOW, "mistakes": [{"line": 12, "advice": advice}]})
    );
    let overview = gateway.get("/overview", &installer).await.json();
    assert_eq!(overview["look_at"][0]["code"], "config_problem");
    let wall = gateway.visitor(Role::Wall).await;
    assert_eq!(gateway.get("/site", &wall).await.json()["config_problem"], Value::Null);
}

#[tokio::test]
async fn an_enrolment_that_fails_says_why() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let enrol = |code: &str| json!({"url": "https://portfolio.example:9443", "code": code});
    assert_eq!(gateway.post("/cloud/enrol", &owner, enrol("BAD")).await.said(), "422 enrol_code");
    assert_eq!(gateway.post("/cloud/enrol", &owner, enrol("GOOD")).await.said(), "204");
}
