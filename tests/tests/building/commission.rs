//! The checks of commissioning on a simulated building: every meter that is built in wrongly is named
//! for what is wrong with it, over the wire and through the pages, and the healthy ones are left alone.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};

/// Name, device, place, the meter that it is part of, what is wrong with it, and what has to be said.
/// One that is said to be right has every check good or open.
const METERS: [(&str, &str, &str, &str, &str, &str); 10] = [
    ("Heat", "heat-main", "heat-main", "", "", "parts parts"),
    ("Well", "heat", "heat-flats", "", "", ""),
    ("Swapped", "heat", "heat-flats", "", "swapped-sensors", "sensors swapped"),
    ("Loose", "heat", "heat-flats", "", "loose-sensor", "difference difference"),
    ("Backwards", "heat", "heat-flats", "", "backwards", "direction backwards"),
    ("Tenth", "heat", "heat-flats", "", "volume-tenth", "lifetime lifetime_volume"),
    ("Tenfold", "heat", "heat-offices", "Heat", "energy-tenfold", "power power"),
    ("Water", "cold-water", "water-main", "", "", ""),
    ("Cold", "cold-water", "cold-flats", "Water", "", ""),
    ("Cold tenth", "cold-water", "cold-flats", "", "volume-tenth", "pulses pulses"),
];

fn plan() -> String {
    let mut plan =
        "name = \"Gård\"\n[[bus]]\nid = \"riser\"\nkind = \"mbus\"\npoll_every_secs = 10\n"
            .to_owned();
    for (number, (name, device, place, part_of, flaw, _)) in METERS.iter().enumerate() {
        let address = number + 1;
        write!(
            plan,
            "[[meter]]\nname = \"{name}\"\nbus = \"riser\"\naddress = {address}\ndevice = \"{device}\"\nplace = \"{place}\"\n"
        )
        .unwrap();
        for (key, text) in [("part_of", part_of), ("flaw", flaw)] {
            if !text.is_empty() {
                writeln!(plan, "{key} = \"{text}\"").unwrap();
            }
        }
    }
    plan
}

fn meter<'c>(commission: &'c Value, name: &str) -> &'c Value {
    let meters = commission["meters"].as_array().unwrap();
    meters.iter().find(|it| it["name"] == name).unwrap()
}

/// What is wrong with a meter: `sensors swapped`.
fn wrong(meter: &Value) -> Vec<String> {
    let checks = meter["checks"].as_array().unwrap().iter();
    let wrong = checks.filter(|it| it["verdict"] == "wrong");
    wrong
        .map(|it| format!("{} {}", it["what"].as_str().unwrap(), it["code"].as_str().unwrap()))
        .collect()
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Value {
    gateway.done(gateway.request(Method::POST, path).json(body)).await.unwrap()
}

/// What `meter` counts while the building draws: at least a hundred of its litres.
async fn drawn(gateway: &Gateway, id: &str, of: &str) -> Value {
    let path = format!("commission/meters/{id}/draw");
    post(gateway, &path, &json!({"register": "volume", "drawn": of, "unit": "m3"})).await
}

#[tokio::test]
async fn what_is_built_in_wrongly_is_named_and_the_rest_is_left_alone() {
    let home = Home::new().unwrap();
    let building = Building::at_speed(&home, &plan(), "60").unwrap();
    let gateway = home.start().await.unwrap();
    let ids: Vec<String> = METERS.iter().map(|(name, ..)| building.meter(name).unwrap()).collect();

    // Each is read, and its first reading is kept.
    for id in &ids {
        let body = post(&gateway, &format!("commission/meters/{id}/test"), &json!({})).await;
        let tested = body["meters"].as_array().unwrap().iter().find(|it| it["id"] == **id).unwrap();
        assert_eq!(tested["test"]["answered"], true, "{tested}");
    }

    // A draw is measured with the healthy meter at the same place, and is over when that has counted
    // enough for one of tenths.
    let [cold, tenth] = ["Cold", "Cold tenth"].map(|name| building.meter(name).unwrap());
    for id in [&cold, &tenth] {
        let path = format!("commission/meters/{id}/draw");
        post(&gateway, &path, &json!({"register": "volume"})).await;
    }
    let volume = async || {
        let path = format!("meters/{cold}/read");
        let read = gateway.done(gateway.request(Method::POST, &path)).await.unwrap();
        let registers = read["registers"].as_array().unwrap().clone();
        let volume = registers.iter().find(|it| it["register"] == "volume").unwrap();
        volume["value"].as_str().unwrap().parse::<f64>().unwrap()
    };
    let from = volume().await;
    let counted = loop {
        let counted = volume().await - from;
        if counted > 0.2 {
            break format!("{counted:.3}");
        }
    };
    let body = drawn(&gateway, &cold, &counted).await;
    assert_eq!(wrong(meter(&body, "Cold")), [""; 0], "{}", meter(&body, "Cold"));
    drawn(&gateway, &tenth, &counted).await;

    // The bus goes on being read meanwhile: what is wrong is told by every answer.
    let all_named = |commission: &Value| {
        METERS.iter().all(|(name, .., expected)| {
            expected.is_empty() || wrong(meter(commission, name)).contains(&(*expected).to_owned())
        })
    };
    let commission = gateway.until("all are named", "commission", all_named).await.unwrap();
    for (name, .., expected) in METERS {
        let found = wrong(meter(&commission, name));
        assert_eq!(found.is_empty(), expected.is_empty(), "{name}: {found:?}");
    }
    let swapped = meter(&commission, "Swapped");
    assert_eq!(wrong(swapped), ["sensors swapped"], "and nothing else: {swapped}");

    // And what was wrong is right when it has been mended.
    let mut building = building;
    building.tell("heal Swapped").unwrap();
    let id = building.meter("Swapped").unwrap();
    post(&gateway, &format!("commission/meters/{id}/test"), &json!({})).await;
    let mended = |commission: &Value| {
        let meter = meter(commission, "Swapped");
        wrong(meter).is_empty() && meter["checks"][0]["verdict"] == "good"
    };
    gateway.until("it is mended", "commission", mended).await.unwrap();
}

#[tokio::test]
async fn a_building_is_made_step_by_step_and_copied() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, &plan()).unwrap();
    let written = std::fs::read_to_string(home.site()).unwrap();
    let port = written.split("port = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    std::fs::remove_file(home.site()).unwrap();
    let gateway = home.start().await.unwrap();

    let tried = post(&gateway, "commission/try", &json!({"port": port})).await;
    assert_eq!(
        (&tried["baud"], &tried["tries"][0]["heard"]),
        (&json!(2_400), &json!("noise")),
        "{tried}"
    );
    let put = async |path: &str, body: Value| {
        gateway.done(gateway.request(Method::PUT, path).json(&body)).await.unwrap()
    };
    let made = put(
        "commission/site",
        json!({"name": "Gård", "place": "Trondheim", "time_zone": "Europe/Oslo"}),
    )
    .await;
    assert_eq!(made["has_site"], true, "{made}");
    put("commission/bus", json!({"id": "riser", "name": "Stigeledning", "kind": "mbus", "port": port, "baud": 38_400})).await;
    let (_, refused) = gateway
        .answer(gateway.request(Method::POST, "commission/try").json(&json!({"port": port})))
        .await
        .unwrap();
    assert_eq!(refused["code"], "port_taken");

    let up = |bus: &Value| bus["bus"]["id"] == "riser";
    gateway.until("the bus runs", "buses/riser", up).await.unwrap();
    post(&gateway, "buses/riser/scan", &json!({"order": "start", "kind": "primary"})).await;
    let all =
        |bus: &Value| bus["found"].as_array().is_some_and(|found| found.len() == METERS.len());
    let bus = gateway.until("all are found", "buses/riser", all).await.unwrap();
    post(&gateway, "buses/riser/scan", &json!({"order": "cancel"})).await;
    let found = bus["found"].as_array().unwrap().iter();
    let taken: Vec<Value> = found.map(|it| json!({"address": it["address"], "name": format!("M {}", it["serial"].as_str().unwrap())})).collect();
    let body = post(&gateway, "commission/meters", &json!({"bus": "riser", "meters": taken})).await;
    assert_eq!(body["meters"].as_array().unwrap().len(), METERS.len(), "{body}");
    let plate = building.plate("Well").unwrap();
    let well = meter(&body, &format!("M {}", plate.get(..8).unwrap())).clone();
    let path = format!("commission/meters/{}/test", well["id"].as_str().unwrap());
    let tested = post(&gateway, &path, &json!({})).await;
    let tested = meter(&tested, well["name"].as_str().unwrap());
    assert_eq!(
        (&tested["test"]["answered"], &tested["serial"]),
        (&json!(true), &json!(plate.get(..8)))
    );

    // Who did it stands in the history; and the next building is another one.
    let versions = gateway.get("site/versions").await.unwrap();
    let whys: Vec<&str> =
        versions.as_array().unwrap().iter().map(|it| it["why"].as_str().unwrap()).collect();
    assert_eq!(whys, ["10 meters found on riser", "bus riser", "the building"]);
    let next = gateway.get("site/clone").await.unwrap();
    assert!(
        next.as_str().unwrap().contains("id = \"riser\"")
            && !next.as_str().unwrap().contains(plate.get(..8).unwrap())
    );
}
