//! Thermometers on a 1-Wire: from the kernel's files to the pages' API, with everything that goes
//! wrong on such a wire.

use serde_json::Value;
use site_tests::building::Building;
use site_tests::gateway::Home;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "temperatures"
kind = "onewire"
poll_every_secs = 10

[[meter]]
name = "North wall"
bus = "temperatures"
device = "ds18b20"
place = "outdoors"
[[meter]]
name = "Hall"
bus = "temperatures"
device = "ds18b20"
place = "reception"
"#;

/// What the register of a meter shows, if it shows anything.
fn shown<'v>(meter: &'v Value, register: &str) -> Option<&'v Value> {
    let registers = meter["registers"].as_array()?;
    registers.iter().find(|it| it["register"] == register)
}

#[tokio::test]
async fn a_thermometer_is_read_and_its_faults_are_no_temperatures() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    let hall = building.meter("Hall").unwrap();
    let plate = building.plate("Hall").unwrap();
    let gateway = home.start().await.unwrap();
    let path = format!("meters/{hall}");

    let warm = |meter: &Value| {
        let shown = shown(meter, "temperature").and_then(|it| it["value"].as_str()?.parse().ok());
        // Values stay shown while it is silent.
        meter["reason"].is_null() && shown.is_some_and(|it: f64| (15.0..30.0).contains(&it))
    };
    let meter = gateway.until("it is warm indoors", &path, warm).await.unwrap();
    assert_eq!(shown(&meter, "temperature").unwrap()["unit"], "C", "{meter}");
    assert_eq!(meter["address"], plate.as_str());

    // 85 °C after its power has failed: asked again, refused, and said.
    building.tell("refuse Hall on").unwrap();
    let refused =
        |meter: &Value| shown(meter, "temperature").is_some_and(|it| it["reason"] == "invalid");
    let meter = gateway.until("its power failed", &path, refused).await.unwrap();
    assert!(meter["said"].to_string().contains("85"), "{meter}");

    // A checksum that is wrong is counted, and said with the next temperature.
    building.tell("heal Hall").unwrap();
    building.tell("noise Hall on").unwrap();
    let wrong = |meter: &Value| meter["error"]["code"] == "checksum";
    gateway.until("its checksum is wrong", &path, wrong).await.unwrap();
    building.tell("heal Hall").unwrap();
    let counted = |meter: &Value| warm(meter) && meter["said"].to_string().contains("checksum");
    gateway.until("it is well again, and that is said", &path, counted).await.unwrap();

    for (fault, code) in [("foreign", "undecodable"), ("half", "silent"), ("silence", "gone")] {
        building.tell(&format!("{fault} Hall on")).unwrap();
        let said = |meter: &Value| meter["error"]["code"] == code;
        gateway.until(fault, &path, said).await.unwrap();
        building.tell("heal Hall").unwrap();
        gateway.until("it is well again", &path, warm).await.unwrap();
    }

    // Nothing of it was ever stored as a temperature.
    let stored = gateway.readings(&hall, "temperature").await.unwrap();
    let celsius: Vec<f64> =
        stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
    assert!(
        !celsius.is_empty() && celsius.iter().all(|it| (15.0..30.0).contains(it)),
        "{stored:?}"
    );
    assert!(stored.iter().any(|it| it["reason"] == "garbled"), "{stored:?}");

    // The command line looks at the same wire.
    let root = home.folder().join("wires").join("temperatures");
    let root = root.to_str().unwrap();
    let fyrhus = |arguments: &[&str]| {
        let program = site_tests::paths::binary("fyrhus").unwrap();
        std::process::Command::new(program).args(arguments).output().unwrap()
    };
    let scan = fyrhus(&["onewire", "scan", "--root", root]);
    let scanned = String::from_utf8(scan.stdout).unwrap();
    assert!(scanned.contains(&format!("{plate}  DS18B20\n")), "{scanned}");
    let read = fyrhus(&["onewire", "read", "--root", root, "--json", &plate]);
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(read["readings"][0]["unit"], "C", "{read}");
    let none = fyrhus(&["onewire", "scan", "--root", "/nonexistent"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("w1-therm"), "{none:?}");
}
