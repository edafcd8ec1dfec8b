//! What the wire doctor has seen, through the router.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_bus_tells_what_is_wrong_with_its_wire_and_what_each_meter_has_shown() {
    let gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let detail = gateway.get("/buses/riser-a", &operator).await.json();
    assert_eq!((&detail["bus"]["id"], &detail["bus"]["meters"]), (&json!("riser-a"), &json!(3)));
    let health = &detail["health"];
    assert_eq!(
        health["findings"],
        json!([{
            "code": "same_address", "meter": WATER, "address": "19", "count": 9, "of": 30,
            "since": "2026-11-21T12:00:00Z", "known": null, "held": null,
        }])
    );
    assert_eq!((&health["unit_loads"], &health["max_unit_loads"]), (&json!(61), &json!(60)));
    let meter = &health["meters"][0];
    assert_eq!(meter["counts"], json!({"polls": 900, "answered": 880, "collisions": 60}));
    assert_eq!(
        meter["times"],
        json!([{"up_to_us": 45_254, "count": 700}, {"up_to_us": 64_000, "count": 180}])
    );
    assert_eq!(
        (&meter["device"], &meter["silent_longest_s"]),
        (&json!("67001122KAM0807"), &json!(7_200))
    );

    let missing = gateway.get("/buses/riser-b", &operator).await;
    assert_eq!(missing.json()["code"], "no_such_bus");
}

#[tokio::test]
async fn a_wire_of_which_nobody_can_tell_has_no_health() {
    let gateway = Gateway::new();
    gateway.status.send_modify(|status| {
        for bus in &mut Arc::make_mut(status).buses {
            bus.health = None;
        }
    });
    let operator = gateway.visitor(Role::Operator).await;
    assert_eq!(gateway.get("/buses/riser-a", &operator).await.json()["health"], json!(null));
}
