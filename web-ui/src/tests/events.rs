//! What happened to a meter's numbers, and how a person corrects one, through the router.

use serde_json::json;
use store::testing::{answer, moment, reading};

use super::data::MIDNIGHT_MS;
use super::*;

/// The water meter runs over at one o'clock, and is exchanged at two.
async fn with_two_devices() -> Gateway {
    let gateway = Gateway::new();
    let figures = [("1", 99_990), ("1", 99_998), ("1", 5), ("2", 700), ("2", 701)];
    for (n, (serial, figure)) in (0..).zip(figures) {
        let at = moment(MIDNIGHT_MS + n * 1_800_000);
        let volume = (reading("volume", figure, 0, Unit::Litre, at), Kind::Counter);
        let round = vec![answer(id(WATER), serial, at, vec![volume])];
        gateway.store.writer().commit(round).await.unwrap();
    }
    gateway
}

#[tokio::test]
async fn a_rollover_and_a_swap_are_told_with_both_figures() {
    let gateway = with_two_devices().await;
    let cookie = gateway.visitor(Role::Tenant).await;
    let events = gateway.get(&format!("/meters/{WATER}/events"), &cookie).await.json();
    let of = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let amount = |name: &str| event[name]["value"].as_str().unwrap_or_default().to_owned();
        [text("at"), text("kind"), amount("old"), amount("new"), text("new_serial")].join(" ")
    };
    let told: Vec<String> = events["events"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(
        told,
        ["2026-11-21T00:30:00Z swap 5 700 2", "2026-11-21T00:00:00Z rollover 99998 5 1"]
    );
    let hidden = gateway.get(&format!("/meters/{HEAT}/events"), &cookie).await;
    assert_eq!(hidden.said(), "403 not_allowed", "a tenant sees their own");
}

#[tokio::test]
async fn who_may_configure_corrects_a_reading_and_says_why() {
    let gateway = with_two_devices().await;
    let installer = gateway.visitor(Role::Installer).await;
    let path = format!("/meters/{WATER}/corrections");
    let wanted = json!({
        "register": "volume",
        "at": "2026-11-21T01:00:00Z",
        "value": "702",
        "why": "read from the display",
    });
    let made = gateway.post(&path, &installer, wanted.clone()).await;
    assert_eq!(made.said(), "201", "{}", made.body);
    let told = made.json();
    assert_eq!((&told["old"]["value"], &told["new"]["value"]), (&json!("701"), &json!("702")));
    assert_eq!((&told["who"], &told["why"]), (&json!("a installer"), &wanted["why"]));

    let readings = format!(
        "/meters/{WATER}/readings?register=volume&from=2026-11-21T00:00:00Z&until=2026-11-21T02:00:00Z"
    );
    let readings = gateway.get(&readings, &installer).await.json();
    let newest = &readings["readings"][0];
    assert_eq!((&newest["value"], &newest["origin"]), (&json!("702"), &json!("correction")));
    let events = gateway.get(&format!("/meters/{WATER}/events"), &installer).await.json();
    assert_eq!(events["events"][0], told);

    let with = |name: &str, value: Value| {
        let mut body = wanted.clone();
        body[name] = value;
        body
    };
    for (body, said) in [
        (with("value", json!("many")), "422 correction_refused"),
        (with("why", json!("")), "422 correction_refused"),
        (with("register", json!("power")), "422 correction_refused"),
        (with("at", json!("2027-01-01T00:00:00Z")), "422 correction_refused"),
        (with("at", json!("noon")), "400 malformed"),
        (with("who", json!("somebody else")), "400 malformed"),
    ] {
        assert_eq!(gateway.post(&path, &installer, body).await.said(), said);
    }
    let ahead = with("at", json!("2027-01-01T00:00:00Z"));
    let told = gateway.post(&path, &installer, ahead).await.json();
    assert_eq!(told["params"]["because"], "future", "{told}");
    for role in [Role::Operator, Role::Tenant, Role::Wall] {
        let visitor = gateway.visitor(role).await;
        let refused = gateway.post(&path, &visitor, wanted.clone()).await;
        assert_eq!(refused.said(), "403 not_allowed", "{role:?}");
    }
}

/// As the daemon does.
pub(super) async fn corrected(
    writer: &store::Writer,
    figure: NewFigure,
) -> Result<store::Correction, NotTaken> {
    let NewFigure { meter, register, at_ms, display, who, why } = figure;
    let quantity = Quantity::from_decimal(&display, Unit::Litre);
    let quantity =
        quantity.map_err(|error| NotTaken { code: Some("no_figure"), why: error.to_string() })?;
    let wanted = store::NewCorrection { meter, register, at_ms, quantity, who, why };
    let made = writer.correct(wanted).await;
    made.map_err(|error| NotTaken { code: error.code(), why: error.to_string() })
}
