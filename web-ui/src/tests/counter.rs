//! A counter of pulses is set, through the router.

use serde_json::json;

use super::*;

#[tokio::test]
async fn who_may_configure_sets_a_counter_to_the_display() {
    let gateway = Gateway::new();
    let installer = gateway.visitor(Role::Installer).await;
    let path = format!("/meters/{WATER}/counter");
    let set = gateway.post(&path, &installer, json!({"display": "48213"})).await;
    let counter = set.json()["counter"].as_str().unwrap_or_default().to_owned();
    assert_eq!(set.said(), "200");
    assert!(counter.starts_with("48213.0 kWh, "), "{counter}");

    let wrong = gateway.post(&path, &installer, json!({"display": "many"})).await;
    assert_eq!(wrong.said(), "422 counter_wrong");
    assert_eq!(wrong.json()["detail"], "that is not a display");
    let missing = gateway.post(&path, &installer, json!({})).await;
    assert_eq!(missing.said(), "400 malformed");
    let nobody = gateway.post("/meters/x/counter", &installer, json!({"display": "1"})).await;
    assert_eq!(nobody.said(), "404 no_such_meter");
    for role in [Role::Operator, Role::Tenant, Role::Wall] {
        let visitor = gateway.visitor(role).await;
        let refused = gateway.post(&path, &visitor, json!({"display": "1"})).await;
        assert_eq!(refused.said(), "403 not_allowed", "{role:?}");
    }
}
