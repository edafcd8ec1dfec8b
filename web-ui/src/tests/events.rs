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

/// As the daemon does.
pub(super) async fn span_corrected(
    writer: &store::Writer,
    span: NewSpan,
) -> Result<store::SpanCorrected, NotTaken> {
    let NewSpan { meter, register, span, change, preview, who, why } = span;
    let litres = |text: String| Quantity::from_decimal(&text, Unit::Litre).unwrap();
    let change = match change {
        SpanChange::To(figure) => store::Change::To(litres(figure)),
        SpanChange::By(figure) => store::Change::By(litres(figure)),
        SpanChange::AsRead => store::Change::AsRead,
    };
    let wanted = store::SpanCorrection { meter, register, span, change, who, why };
    let made = writer.correct_span(wanted, preview).await;
    made.map_err(|error| NotTaken { code: error.code(), why: error.to_string() })
}

#[tokio::test]
async fn a_span_is_looked_at_corrected_and_put_back() {
    let gateway = with_two_devices().await;
    let installer = gateway.visitor(Role::Installer).await;
    let path = format!("/meters/{WATER}/corrections/span");
    let asked = |more: Value| {
        let mut body = json!({
            "register": "volume",
            "from": "2026-11-20T23:00:00Z",
            "until": "2026-11-21T00:00:00Z",
            "why": "the wrong meter was read",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let values = async || -> Vec<String> {
        let readings = format!(
            "/meters/{WATER}/readings?register=volume&from=2026-11-20T23:00:00Z&until=2026-11-21T00:00:00Z"
        );
        let readings = gateway.get(&readings, &installer).await.json();
        let all = readings["readings"].as_array().unwrap().iter();
        all.map(|it| it["value"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let look = gateway.post(&path, &installer, asked(json!({"by": "-90", "preview": true}))).await;
    let told = look.json();
    assert_eq!((&told["made"], &told["readings"]), (&json!(false), &json!(2)), "{told}");
    assert_eq!(values().await, ["99998", "99990"]);
    let made = gateway.post(&path, &installer, asked(json!({"by": "-90"}))).await.json();
    assert_eq!((&made["made"], &made["readings"]), (&json!(true), &json!(2)), "{made}");
    assert_eq!(values().await, ["99908", "99900"]);
    let events = gateway.get(&format!("/meters/{WATER}/events"), &installer).await.json();
    let of_it: Vec<&Value> = events["events"].as_array().unwrap().iter().collect();
    let of_it: Vec<_> = of_it.into_iter().filter(|it| it["kind"] == "correction").collect();
    assert_eq!(of_it.len(), 1, "one thing: {events}");
    assert_eq!((&of_it[0]["readings"], &of_it[0]["until"]), (&json!(2), &made["last"]));
    let back = gateway.post(&path, &installer, asked(json!({}))).await.json();
    assert_eq!(back["readings"], 2, "{back}");
    assert_eq!(values().await, ["99998", "99990"]);

    let both = gateway.post(&path, &installer, asked(json!({"by": "1", "to": "1"}))).await;
    assert_eq!(both.said(), "400 malformed");
    let unsaid = gateway.post(&path, &installer, asked(json!({"by": "1", "why": ""}))).await;
    assert_eq!(unsaid.said(), "422 correction_refused");
}

#[tokio::test]
async fn what_was_damaged_is_named_to_whoever_may_inspect() {
    let gateway = Gateway::new();
    let sentence = "raw-2026-11.db was damaged (a page is gone); 7 readings were saved";
    gateway.status.send_modify(|status| {
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        Arc::make_mut(status).store.damaged = vec![(at, sentence.to_owned()); 2];
    });
    for (role, named) in [(Role::Installer, true), (Role::Wall, false)] {
        let visitor = gateway.visitor(role).await;
        let overview = gateway.get("/overview", &visitor).await.json();
        let told =
            overview["look_at"].as_array().unwrap().iter().find(|it| it["code"] == "damaged");
        assert_eq!(told.is_some(), named, "{role:?}: {overview}");
        if let Some(told) = told {
            assert_eq!(told["params"], json!({"damage": sentence, "more": "1"}));
            assert_eq!(told["since"], "2026-11-20T12:00:00Z");
        }
    }
}
