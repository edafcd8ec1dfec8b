//! The scan of a bus, through the router.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_scan_tells_how_far_it_is_and_what_it_has_found() {
    let gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let detail = gateway.get("/buses/riser-a", &operator).await.json();
    assert_eq!(
        detail["bus"]["scan"],
        json!({
            "kind": "primary", "state": "running", "looking": "primary", "place": "17",
            "asked": 17, "permille": 67, "rest_s": 52, "began": "2026-11-21T12:30:00Z",
            "ended": null, "found": 3, "several": 1, "trouble": null,
        })
    );
    let found = detail["found"].as_array().unwrap();
    assert_eq!(
        found[0],
        json!({
            "address": "1", "primary": 1, "own": "67001122KAM0807", "serial": "67001122",
            "manufacturer": "KAM", "version": "8", "medium": "water", "profile": null,
            "model": null, "meter": WATER, "nearly": null,
        })
    );
    assert_eq!((&found[1]["meter"], &found[1]["nearly"]), (&json!(null), &json!(null)));
    assert_eq!(found[2]["nearly"], "67001130KAM0807");
    assert_eq!(detail["several"], json!(["9"]));
}

#[tokio::test]
async fn an_installer_orders_scans_and_is_told_what_cannot_be_done() {
    let gateway = Gateway::new();
    let installer = gateway.visitor(Role::Installer).await;
    let order = async |bus: &str, body: Value| {
        gateway.post(&format!("/buses/{bus}/scan"), &installer, body).await
    };
    let paused = order("riser-a", json!({"order": "pause"})).await;
    assert_eq!((paused.said(), &paused.json()["state"]), ("200".to_owned(), &json!("paused")));
    let cancelled = order("riser-a", json!({"order": "cancel"})).await;
    assert_eq!(cancelled.json()["state"], "cancelled");

    let start = json!({"order": "start", "kind": "both"});
    for (bus, body, said) in [
        ("riser-a", start.clone(), "409 scan_runs"),
        ("modbus", start.clone(), "409 no_scan_here"),
        ("riser-b", start, "404 no_such_bus"),
        ("riser-a", json!({"order": "start"}), "400 malformed"),
        ("riser-a", json!({"order": "start", "kind": "all"}), "400 malformed"),
        ("riser-a", json!({"order": "stop"}), "400 malformed"),
        ("riser-a", json!({"order": "pause", "kind": "both"}), "400 malformed"),
        ("riser-a", json!({"order": "pause", "bus": "b"}), "400 malformed"),
    ] {
        let answer = order(bus, body.clone()).await;
        assert_eq!(answer.said(), said, "{body}");
    }
    let operator = gateway.visitor(Role::Operator).await;
    let asked = json!({"order": "pause"});
    let refused = gateway.post("/buses/riser-a/scan", &operator, asked).await;
    assert_eq!(refused.said(), "403 not_allowed");
}
