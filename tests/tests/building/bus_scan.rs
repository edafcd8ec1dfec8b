//! A scan of a bus from the pages: it finds every meter of the building while the meters of the
//! configuration go on being read, and does what it is told.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::{Gateway, Home};

/// A wire of 9600 baud with five meters.
const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "riser"
kind = "mbus"
baud = 9600
poll_every_secs = 10

[[meter]]
name = "Heat"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
[[meter]]
name = "Cold"
bus = "riser"
address = 2
device = "cold-water"
place = "cold-flats"
[[meter]]
name = "Hot"
bus = "riser"
address = 17
device = "hot-water"
place = "hot-flats"
[[meter]]
name = "By its own address"
bus = "riser"
secondary = true
device = "cold-water"
place = "cold-3-west"
[[meter]]
name = "Not yet known"
bus = "riser"
address = 200
device = "heat"
place = "heat-offices"
"#;

/// Of the configuration; the last meter of the building is not.
const READ: [&str; 4] = ["Heat", "Cold", "Hot", "By its own address"];

/// The building and a gateway that knows all of its meters but the last.
async fn start() -> (Home, Building, Gateway) {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    let sections: Vec<&str> = site.split("[[meter]]").collect();
    let known = sections.iter().filter(|it| !it.contains("Not yet known")).copied();
    std::fs::write(home.site(), known.collect::<Vec<_>>().join("[[meter]]")).unwrap();
    let gateway = home.start().await.unwrap();
    let up = |bus: &Value| bus["bus"]["answered"].as_u64().unwrap() >= 4;
    gateway.until("all are read once", "buses/riser", up).await.unwrap();
    (home, building, gateway)
}

async fn order(gateway: &Gateway, order: &Value) -> (StatusCode, Value) {
    let request = gateway.request(Method::POST, "buses/riser/scan").json(order);
    gateway.answer(request).await.unwrap()
}

#[tokio::test]
async fn a_scan_finds_all_meters_while_the_readings_go_on() {
    let (_home, building, gateway) = start().await;
    let both = json!({"order": "start", "kind": "both"});
    let (status, scan) = order(&gateway, &both).await;
    assert_eq!((status, &scan["state"]), (StatusCode::OK, &json!("running")), "{scan}");
    let (status, refused) = order(&gateway, &both).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("scan_runs")));
    assert!(refused["detail"].as_str().unwrap().contains("cancel it first"), "{refused}");

    // It tells how far it is, and all of them are there in the end. A machine with much to do takes
    // several times the half minute of a free one.
    let ended = async {
        let mut shares = Vec::new();
        loop {
            let done = |bus: &Value| {
                shares.last() != Some(&bus["bus"]["scan"]["permille"])
                    || bus["bus"]["scan"]["state"] != "running"
            };
            let bus = gateway.until("it goes on", "buses/riser", done).await.unwrap();
            shares.push(bus["bus"]["scan"]["permille"].clone());
            if bus["bus"]["scan"]["state"] != "running" {
                return (bus, shares);
            }
        }
    };
    let (bus, shares) = ended.await;
    assert_eq!(bus["bus"]["scan"]["state"], "done", "{bus}");
    let shares: Vec<u64> = shares.iter().map(|it| it.as_u64().unwrap()).collect();
    assert!(shares.is_sorted() && shares.len() > 2 && shares.last() == Some(&1_000), "{shares:?}");

    let by_plate = |name: &str| building.plate(name).unwrap();
    let found: BTreeMap<&str, &Value> = bus["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["own"].as_str().unwrap(), it))
        .collect();
    assert_eq!(found.len(), 5, "each once: {bus}");
    for name in READ {
        let meter = found[&*by_plate(name)];
        assert_eq!(meter["meter"].as_str(), Some(&*building.meter(name).unwrap()), "{meter}");
        assert!(meter["nearly"].is_null() && meter["medium"].is_string(), "{meter}");
    }
    let stranger = found[&*by_plate("Not yet known")];
    assert_eq!((&stranger["meter"], &stranger["primary"]), (&Value::Null, &json!(200)));
    assert_eq!(bus["several"], json!([]));

    // And no slot was lost: from the first answer to the last, ten seconds lie between two.
    for name in READ {
        let meter = building.meter(name).unwrap();
        let register = if name == "Heat" { "energy" } else { "volume" };
        let readings = gateway.readings(&meter, register).await.unwrap();
        let absent: Vec<_> = readings.iter().filter(|it| it["value"].is_null()).collect();
        assert!(absent.is_empty(), "{name}: {absent:?}");
        assert!(readings.len() >= 2, "{name}: {readings:?}");
    }
}

#[tokio::test]
async fn a_scan_is_paused_gone_on_with_and_cancelled() {
    let (home, _building, gateway) = start().await;
    let (status, refused) = order(&gateway, &json!({"order": "pause"})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("no_scan")));
    order(&gateway, &json!({"order": "start", "kind": "primary"})).await;
    let begun = |bus: &Value| bus["bus"]["scan"]["asked"].as_u64().unwrap() > 5;
    gateway.until("it has begun", "buses/riser", begun).await.unwrap();
    let (_, paused) = order(&gateway, &json!({"order": "pause"})).await;
    assert_eq!(paused["state"], "paused");

    // The readings go on, the scan does not; and a change of the configuration does not end it.
    let answered = gateway.get("buses/riser").await.unwrap()["bus"]["answered"].as_u64().unwrap();
    let more = |bus: &Value| bus["bus"]["answered"].as_u64().unwrap() > answered;
    let bus = gateway.until("readings go on", "buses/riser", more).await.unwrap();
    assert_eq!(bus["bus"]["scan"]["asked"], paused["asked"]);
    let site = std::fs::read_to_string(home.site()).unwrap();
    let changed = site.replacen("poll_every_secs = 10", "poll_every_secs = 20", 1);
    std::fs::write(home.site(), changed).unwrap();
    let taken_over = |site: &Value| site["version"].as_u64().unwrap() > 1;
    gateway.until("it is in force", "site", taken_over).await.unwrap();
    let (status, resumed) = order(&gateway, &json!({"order": "resume"})).await;
    assert_eq!((status, &resumed["state"]), (StatusCode::OK, &json!("running")), "{resumed}");
    let before = paused["asked"].as_u64().unwrap();
    let further = |bus: &Value| bus["bus"]["scan"]["asked"].as_u64().unwrap() > before;
    gateway.until("it goes on where it was", "buses/riser", further).await.unwrap();

    let (_, cancelled) = order(&gateway, &json!({"order": "cancel"})).await;
    assert_eq!((&cancelled["state"], &cancelled["place"]), (&json!("cancelled"), &Value::Null));
    let bus = gateway.get("buses/riser").await.unwrap();
    assert!(bus["found"].as_array().unwrap().len() >= 2, "what it has found stays: {bus}");
    let (status, again) = order(&gateway, &json!({"order": "start", "kind": "secondary"})).await;
    assert_eq!((status, &again["found"]), (StatusCode::OK, &json!(0)), "{again}");
}

/// Three meters on a Modbus, of which the configuration has one.
const BOARD: &str = r#"
name = "Gård"
[[bus]]
id = "board"
kind = "modbus-tcp"
poll_every_secs = 10

[[meter]]
name = "Known"
bus = "board"
address = 1
device = "b23"
place = "electricity-main"
[[meter]]
name = "Not yet known"
bus = "board"
address = 2
device = "iem3155"
place = "electricity-offices"
[[meter]]
name = "Without a fingerprint"
bus = "board"
address = 3
device = "sdm630"
place = "electricity-restaurant"
"#;

#[tokio::test]
async fn a_scan_of_a_modbus_names_the_types_by_their_fingerprints() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BOARD).unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    let sections: Vec<&str> = site.split("[[meter]]").collect();
    std::fs::write(home.site(), sections[..2].join("[[meter]]")).unwrap();
    let gateway = home.start().await.unwrap();
    let up = |bus: &Value| bus["bus"]["answered"].as_u64().unwrap() >= 1;
    gateway.until("it is read", "buses/board", up).await.unwrap();

    let order = async |order: &Value| {
        let request = gateway.request(Method::POST, "buses/board/scan").json(order);
        gateway.answer(request).await.unwrap()
    };
    let (status, refused) = order(&json!({"order": "start", "kind": "primary"})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("no_scan_here")));
    let (status, scan) = order(&json!({"order": "start", "kind": "units"})).await;
    assert_eq!((status, &scan["state"]), (StatusCode::OK, &json!("running")), "{scan}");

    let three = |bus: &Value| bus["found"].as_array().is_some_and(|it| it.len() >= 3);
    let bus = gateway.until("all three are found", "buses/board", three).await.unwrap();
    let found = bus["found"].as_array().unwrap();
    let told: Vec<_> = found.iter().map(|it| (&it["primary"], &it["profile"])).collect();
    let (b23, iem3155) = (json!("abb.b23"), json!("schneider.iem3155"));
    let expected = [(&json!(1), &b23), (&json!(2), &iem3155), (&json!(3), &Value::Null)];
    assert_eq!(told, expected, "{bus}");
    assert_eq!(found[0]["meter"].as_str(), Some(&*building.meter("Known").unwrap()));
    assert!(found[1]["meter"].is_null() && !found[1]["serial"].as_str().unwrap().is_empty());

    // Unless it has come to its end meanwhile.
    let (status, told) = order(&json!({"order": "cancel"})).await;
    let cancelled = status == StatusCode::OK && told["state"] == "cancelled";
    assert!(cancelled || (status == StatusCode::CONFLICT && told["code"] == "no_scan"), "{told}");
    let answered = bus["bus"]["answered"].as_u64().unwrap();
    let more = |bus: &Value| bus["bus"]["answered"].as_u64().unwrap() > answered;
    gateway.until("the readings go on", "buses/board", more).await.unwrap();
}
