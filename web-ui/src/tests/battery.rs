//! A battery that is running low, through the router: told until somebody takes notice.

use serde_json::json;

use super::*;
use crate::{BatterySign, LowBattery};

#[tokio::test]
async fn a_battery_is_told_to_whoever_sees_its_meter_until_somebody_takes_notice() {
    let gateway = Gateway::new();
    let tenant = gateway.visitor(Role::Tenant).await;
    let low = |seen: Option<&str>| LowBattery {
        sign: BatterySign::Lifetime,
        level: Some(Quantity::new(61, Resolution::new(0, Unit::Day).unwrap())),
        since: NOW.parse().unwrap(),
        seen: seen.map(|who| (who.to_owned(), NOW.parse().unwrap())),
    };
    let set = |meter: &str, seen: Option<&str>| {
        let entry = (meter.parse().unwrap(), low(seen));
        gateway.status.send_modify(|status| {
            Arc::make_mut(status).batteries = BTreeMap::from([entry]);
        });
    };
    let told = async |cookie: &str| {
        let overview = gateway.get("/overview", cookie).await.json();
        let notices = overview["look_at"].as_array().unwrap().clone();
        notices.iter().any(|it| it["code"] == "battery_low" && it["meter"] == WATER)
    };

    set(WATER, None);
    assert!(told(&tenant).await);
    let meter = gateway.get(&format!("/meters/{WATER}"), &tenant).await.json();
    let battery = &meter["battery"];
    assert_eq!(battery["level"], json!({"value": "61", "unit": "d"}));
    assert_eq!((&battery["sign"], &battery["seen_by"]), (&json!("lifetime"), &json!(null)));

    let path = format!("/meters/{WATER}/battery/seen");
    let operator = gateway.visitor(Role::Operator).await;
    assert_eq!(gateway.post(&path, &operator, json!({})).await.said(), "200");
    assert_eq!(gateway.post(&path, &tenant, json!({})).await.said(), "403 not_allowed");

    set(WATER, Some("Ola"));
    assert!(!told(&tenant).await, "nobody else need look at it");
    let meter = gateway.get(&format!("/meters/{WATER}"), &tenant).await.json();
    assert_eq!(meter["battery"]["seen_by"], "Ola");

    // Of another's meter a tenant hears nothing.
    set(HEAT, None);
    assert!(!told(&tenant).await);
    let overview = gateway.get("/overview", &tenant).await.json();
    assert!(!overview["look_at"].to_string().contains("battery_low"), "{overview}");
}
