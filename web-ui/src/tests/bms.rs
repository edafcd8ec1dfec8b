//! The registers for the building's management system, through the router.

use serde_json::json;

use super::*;

/// A server with the energy of the building's heat meter, and one of a meter that is gone.
pub(super) fn bms() -> BmsStatus {
    let point = |address, meter: &str, decimals| BmsPoint {
        unit: 1,
        address,
        meter: meter.parse().unwrap(),
        register: "energy".parse().unwrap(),
        resolution: Resolution::new(decimals, Unit::KilowattHour).unwrap(),
    };
    BmsStatus {
        listening: Some("10.0.4.2:502".to_owned()),
        unit: Some(1),
        trouble: None,
        points: vec![point(16, HEAT, 2), point(32, "019a8f3e-7c52-7b3e-9d41-00000000ffff", 0)],
    }
}

#[tokio::test]
async fn every_value_tells_its_registers() {
    let gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let body = gateway.get("/bms", &operator).await.json();
    assert_eq!((&body["listening"], &body["unit"]), (&json!("10.0.4.2:502"), &json!(1)));
    let name = gateway.site.borrow().meter(HEAT.parse().unwrap()).unwrap().name.clone();
    assert_eq!(
        body["registers"][0],
        json!({
            "unit": 1, "address": 16, "meter": HEAT, "meter_name": name,
            "register": "energy", "measured_in": "kWh", "decimals": 2,
        })
    );
    assert_eq!(body["registers"][1]["meter_name"], json!(null));
}

#[tokio::test]
async fn the_list_is_a_text_file_and_a_workbook() {
    let gateway = Gateway::new();
    let operator = gateway.visitor(Role::Operator).await;
    let file = gateway.get("/bms/registers.csv", &operator).await;
    assert_eq!(file.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("unit,address,meter,register,measured in,int64 at,"), "{lines:?}");
    assert!(lines[1].contains(",energy,kWh,16,2,20,21,22,24,26,"), "{lines:?}");

    let book = gateway.get("/bms/registers.xlsx", &operator).await;
    assert_eq!(book.status, StatusCode::OK);
    assert!(book.body.starts_with("PK"));
    let name = book.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(name, "attachment; filename=\"fyrhus-registers.xlsx\"");
}
