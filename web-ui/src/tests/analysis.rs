//! Where a day's energy went, and what a season looks like.

use serde_json::json;

use super::data::{HOUR_MS, MIDNIGHT_MS};
use super::*;

#[tokio::test]
async fn a_sub_meter_is_told_with_the_main_that_counts_it_too() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Wall).await;
    let flow = gateway.get("/flow", &cookie).await.json();
    assert_eq!((&flow["start"], &flow["until"]), (&json!("2026-11-20T23:00:00Z"), &json!(NOW)));
    assert_eq!(flow["balances"].as_array().unwrap().len(), 1, "one water meter is no balance");
    let energy = &flow["balances"][0];
    assert_eq!((&energy["kind"], &energy["unit"]), (&json!("energy"), &json!("kWh")));
    let meters: Vec<_> = energy["meters"].as_array().unwrap().iter().collect();
    let told: Vec<_> =
        meters.iter().map(|it| json!([it["meter"], it["part_of"], it["mantissa"]])).collect();
    assert_eq!(told, [json!([HEAT, null, 58]), json!([HEAT_FLAT, HEAT, 58])]);

    let yesterday = gateway.get("/flow?day=2026-11-20", &cookie).await.json();
    assert_eq!(yesterday["until"], yesterday["end"]);
    assert_eq!(yesterday["balances"][0]["meters"][0]["mantissa"], 96);
    let said = gateway.get("/flow?day=tomorrow", &cookie).await.said();
    assert_eq!(said, "400 malformed");
    let tenant = gateway.visitor(Role::Tenant).await;
    assert_eq!(gateway.get("/flow", &tenant).await.json()["balances"], json!([]));
}

/// Twenty days until the midnight before now.
const TWENTY: &str = "/analysis?medium=heat&from=2026-10-31T23:00:00Z&until=2026-11-20T23:00:00Z";

#[tokio::test]
async fn a_season_is_its_hours_its_days_and_the_line_that_they_follow() {
    let gateway = Gateway::new();
    let mwh = Resolution::new(3, Unit::MegawattHour).unwrap();
    let warm = Resolution::new(2, Unit::Celsius).unwrap();
    let first = MIDNIGHT_MS - 20 * 24 * HOUR_MS;
    gateway.import(HEAT, "energy", first, mwh).await;
    gateway.import(HEAT_FLAT, "energy", first, mwh).await;
    gateway.import(WATER, "temperature_outdoor", first, warm).await;
    let cookie = gateway.visitor(Role::Owner).await;
    let season = gateway.get(TWENTY, &cookie).await.json();

    assert_eq!((&season["meters"], &season["unit"]), (&json!(1), &json!("kWh")), "the main alone");
    assert_eq!(season["hours"], json!(vec![4; 20 * 24]));
    let days = season["days"].as_array().unwrap();
    assert_eq!(days.len(), 20);
    // From 10.00 °C on it is 0.01 °C warmer every quarter hour.
    assert_eq!(
        days[1],
        json!({
            "start": "2026-11-01T23:00:00Z", "end": "2026-11-02T23:00:00Z",
            "used": 96, "outdoor": 1_144,
        })
    );
    assert_eq!(season["outdoor"]["source"], "sensor");
    assert_eq!(season["outdoor"]["hours"][1], 1_006);
    assert_eq!(
        season["signature"],
        json!({
            "grows_with": "cold", "days": 20, "base": 96_000, "slope": 0, "knee": null,
            "deviation": 0, "explained": 0, "scatter": 0,
        })
    );
    assert_eq!(season["cooled"], Value::Null);

    let electricity = TWENTY.replace("heat", "electricity");
    let none = gateway.get(&electricity, &cookie).await.json();
    assert_eq!((&none["unit"], &none["hours"]), (&Value::Null, &json!([])));
    let long = TWENTY.replace("2026-10-31", "2025-10-01");
    assert_eq!(gateway.get(&long, &cookie).await.said(), "400 span");
}

#[tokio::test]
async fn a_day_with_a_hole_is_no_point_of_the_line() {
    let gateway = Gateway::over(testing::known_day().await.unwrap());
    let cookie = gateway.visitor(Role::Owner).await;
    let now = gateway.clock.now().wall;
    let (from, until) = (now - chrono::TimeDelta::days(3), now);
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let path = format!("/analysis?medium=heat&from={}&until={}", text(from), text(until));
    let season = gateway.get(&path, &cookie).await;
    assert_eq!(season.said(), "200", "{season:?}");
}

#[tokio::test]
async fn temperatures_are_weighted_by_the_volume_that_came_at_them() {
    let gateway = Gateway::new();
    let mwh = Resolution::new(3, Unit::MegawattHour).unwrap();
    let m3 = Resolution::new(2, Unit::CubicMetre).unwrap();
    let warm = Resolution::new(1, Unit::Celsius).unwrap();
    let first = MIDNIGHT_MS - 24 * HOUR_MS;
    gateway.import(HEAT, "energy", first, mwh).await;
    gateway.import(HEAT, "volume", first, m3).await;
    gateway.import(HEAT, "flow_temperature", first, warm).await;
    gateway.import(HEAT, "return_temperature", first, warm).await;
    let cookie = gateway.visitor(Role::Owner).await;
    let path = TWENTY.replace("2026-10-31", "2026-11-19");
    let cooled = gateway.get(&path, &cookie).await.json()["cooled"].clone();
    assert_eq!((&cooled["meter"], &cooled["name"]), (&json!(HEAT), &json!("Fjernvarme")));
    // 100.0 °C at first, 0.1 °C more each quarter hour, and the same volume in each.
    assert_eq!((&cooled["flow"], &cooled["back"]), (&json!([1_048]), &json!([1_048])));
    assert_eq!((&cooled["volume"], &cooled["volume_decimals"]), (&json!([96]), &json!(2)));
}
