//! Customer ports of electricity meters, from the wire to the pages' API: every maker's lists on
//! real frames and lines of the real speed, and with everything that goes wrong at such a port.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use site_tests::building::{Building, KEYS};
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;

/// One port and its meter.
fn port(bus: &str, device: &str, more: &str) -> String {
    format!(
        "[[bus]]\nid = \"{bus}\"\nkind = \"han\"\npoll_every_secs = 10\n\n[[meter]]\n\
         name = \"{device}\"\nbus = \"{bus}\"\ndevice = \"{device}\"\n\
         place = \"electricity-main\"\n{more}\n"
    )
}

fn register<'v>(meter: &'v Value, register: &str) -> Option<&'v Value> {
    let registers = meter["registers"].as_array()?;
    registers.iter().find(|it| it["register"] == register)
}

/// What comes in now, in W.
fn watts(meter: &Value) -> Option<f64> {
    let power = register(meter, "power_import_total")?;
    let value: f64 = power["value"].as_str()?.parse().ok()?;
    Some(if power["unit"] == "kW" { value * 1_000.0 } else { value })
}

/// It is heard, and what it says is what a building takes.
fn is_heard(meter: &Value) -> bool {
    meter["reason"].is_null() && watts(meter).is_some_and(|it| (0.0..300_000.0).contains(&it))
}

/// As [`Gateway::until`], for what takes more than a minute by its nature.
async fn until_late(gateway: &Gateway, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..3 {
        if let Ok(answer) = gateway.until("in three minutes", path, &holds).await {
            return answer;
        }
    }
    gateway.until("in four minutes", path, holds).await.unwrap()
}

#[tokio::test]
async fn every_makers_port_is_found_on_a_serial_line_and_read() {
    let home = Home::new().unwrap();
    let ports = ["aidon", "kaifa", "kamstrup", "p1"];
    let plan: String = ports.iter().map(|device| port(device, device, "")).collect();
    let plan = format!("name = \"Kjeller\"\n{plan}");
    let mut building = Building::with_ptys(&home, &plan, &ports).unwrap();
    let gateway = home.start().await.unwrap();
    for device in ports {
        let id = building.meter(device).unwrap();
        let path = format!("meters/{id}");
        // One at 115200 baud is heard once both of 2400 were tried, 22 seconds each.
        let meter = until_late(&gateway, &path, is_heard).await;
        assert_eq!(meter["identity"]["serial"], building.plate(device).unwrap(), "{meter}");
        let has_volts = |meter: &Value| register(meter, "voltage_l1").is_some();
        until_late(&gateway, &path, has_volts).await;

        // What it pushes once an hour has the hour's end as its time.
        building.tell(&format!("hour {device}")).unwrap();
        let has_energy = |meter: &Value| {
            register(meter, "energy_import_total").is_some_and(|it| it["value"].is_string())
        };
        until_late(&gateway, &path, has_energy).await;
        let stored = gateway
            .until_readings("its energy is stored", &id, "energy_import_total", |it| {
                it.iter().any(|it| it["value"].is_string())
            })
            .await
            .unwrap();
        let at = stored.iter().find(|it| it["value"].is_string()).unwrap()["at"].as_str().unwrap();
        assert_eq!(at.ends_with(":00:00Z"), device != "p1", "{device}: {at}");
    }
}

#[tokio::test]
async fn a_silent_port_is_told_and_no_value() {
    let home = Home::new().unwrap();
    let (mut building, gateway, id) = kaifa(&home).await;
    let path = format!("meters/{id}");

    building.tell("silence kaifa on").unwrap();
    let quiet = |meter: &Value| meter["error"]["code"] == "quiet";
    let meter = until_late(&gateway, &path, quiet).await;
    assert!(meter["error"]["params"]["secs"].is_string(), "{meter}");
    let absent = |readings: &[Value]| readings.iter().any(|it| it["reason"] == "silent");
    gateway.until_readings("it is absent", &id, "power_import_total", absent).await.unwrap();
    building.tell("heal kaifa").unwrap();
    gateway.until("it is heard again", &path, is_heard).await.unwrap();
}

#[tokio::test]
async fn a_garbled_port_is_told_and_no_value() {
    let home = Home::new().unwrap();
    let (mut building, gateway, id) = kaifa(&home).await;
    let path = format!("meters/{id}");

    for fault in ["noise", "half"] {
        building.tell(&format!("{fault} kaifa on")).unwrap();
        let told = |meter: &Value| !meter["error"].is_null() && !meter["reason"].is_null();
        until_late(&gateway, &path, told).await;
        building.tell("heal kaifa").unwrap();
        gateway.until("it is well again", &path, is_heard).await.unwrap();
    }

    let stored = are_possible(&gateway, &id).await;
    assert!(stored.iter().any(|it| it["reason"] == "garbled"), "{stored:?}");
}

#[tokio::test]
async fn another_meters_lists_are_nobodys_and_the_command_line_hears_the_same_port() {
    let home = Home::new().unwrap();
    let (mut building, gateway, id) = kaifa(&home).await;
    let path = format!("meters/{id}");

    // Once it has said whose they are.
    building.tell("foreign kaifa on").unwrap();
    let wrong = |meter: &Value| meter["error"]["code"] == "wrong_meter";
    until_late(&gateway, &path, wrong).await;
    building.tell("heal kaifa").unwrap();
    gateway.until("it is itself again", &path, is_heard).await.unwrap();
    are_possible(&gateway, &id).await;

    let site = std::fs::read_to_string(home.site()).unwrap();
    let address = site.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
    let listen = Command::new(paths::binary("fyrhus").unwrap())
        .args(["--json", "han", "listen", "--seconds", "25", "--port", address.trim_matches('"')])
        .output()
        .unwrap();
    let heard = String::from_utf8(listen.stdout).unwrap();
    let heard: Vec<Value> = heard.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(heard.iter().any(|it| it["ok"] == true && it["maker"] == "kaifa"), "{heard:?}");
}

/// A port that is heard, and the meter's id.
async fn kaifa(home: &Home) -> (Building, Gateway, String) {
    let plan = format!("name = \"Kjeller\"\n{}", port("main", "kaifa", ""));
    let building = Building::start(home, &plan).unwrap();
    let id = building.meter("kaifa").unwrap();
    let gateway = home.start().await.unwrap();
    gateway.until("it is heard", &format!("meters/{id}"), is_heard).await.unwrap();
    (building, gateway, id)
}

/// The stored readings of what a house draws: none is what noise would make of it.
async fn are_possible(gateway: &Gateway, id: &str) -> Vec<Value> {
    let stored = gateway.readings(id, "power_import_total").await.unwrap();
    let watts: Vec<f64> =
        stored.iter().filter_map(|it| it["value"].as_str()?.parse().ok()).collect();
    assert!(
        !watts.is_empty() && watts.iter().all(|it| (0.0..300_000.0).contains(it)),
        "{stored:?}"
    );
    stored
}

#[tokio::test]
async fn an_encrypted_port_takes_its_key_and_a_wrong_one_is_no_value() {
    let home = Home::new().unwrap();
    let plan = port("main", "kamstrup", "sealed = true\n");
    let building = Building::start(&home, &format!("name = \"Kælder\"\n{plan}")).unwrap();
    let (id, number) = (building.meter("kamstrup").unwrap(), building.plate("kamstrup").unwrap());
    let gateway = home.start().await.unwrap();
    let path = format!("meters/{id}");

    let missing = |meter: &Value| meter["error"]["code"] == "key_missing";
    let meter = gateway.until("its key is missing", &path, missing).await.unwrap();
    assert_eq!(meter["error"]["params"]["number"], number, "{meter}");

    let keys = json!({"encryption": "00".repeat(16), "authentication": "11".repeat(16)});
    let put = gateway.request(Method::PUT, &format!("keys/{number}")).json(&keys);
    gateway.done(put).await.unwrap();
    let wrong = |meter: &Value| meter["error"]["code"] == "key_wrong";
    gateway.until("its key is wrong", &path, wrong).await.unwrap();
    let stored = gateway.readings(&id, "power_import_total").await.unwrap();
    assert!(stored.iter().all(|it| it["value"].is_null()), "{stored:?}");

    let file = home.site().with_file_name(KEYS);
    let import = home.fyrhus(["keys".as_ref(), "import".as_ref(), file.as_os_str()]).unwrap();
    assert!(import.status.success(), "{import:?}");
    let meter = gateway.until("it is read", &path, is_heard).await.unwrap();
    // In which steps a Danish one counts, its frames do not tell: the configuration does.
    let energy = register(&meter, "energy_import_total").unwrap();
    assert!(energy["value"].is_string() && energy["unit"] == "Wh", "{meter}");
}
