//! A backup that an owner takes home from the pages makes the gateway again, on another machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use site_tests::building::Building;
use site_tests::gateway::Home;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "riser"
kind = "mbus"
poll_every_secs = 10

[[meter]]
name = "Heat"
bus = "riser"
address = 1
device = "heat"
place = "heat-flats"
"#;

const PASSPHRASE: &str = "riktig hest batteri";

#[tokio::test]
async fn a_backup_of_the_pages_makes_the_gateway_again() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let gateway = home.start().await.unwrap();
    let id = building.meter("Heat").unwrap();
    let stored = |readings: &[serde_json::Value]| !readings.is_empty();
    let before = gateway.until_readings("one is stored", &id, "energy", stored).await.unwrap();

    let asked = json!({ "passphrase": PASSPHRASE });
    gateway.done(gateway.request(Method::POST, "backup").json(&asked)).await.unwrap();
    let ready = gateway.until("it is there", "backup", |it| it["state"] != "making").await.unwrap();
    assert_eq!(ready["state"], "ready", "{ready}");
    let file = gateway.request(Method::GET, "backup/file").send().await.unwrap();
    let file = file.bytes().await.unwrap();
    assert_eq!(json!(file.len()), ready["bytes"]);
    assert!(file.starts_with(b"fyrhus-sealed-1\n"));
    assert!(!home.state().join("backup").exists(), "nothing is left on the disk");
    drop(gateway);

    let other = Home::new().unwrap();
    let [copy, passphrase] = ["copy", "passphrase"].map(|name| other.folder().join(name));
    fs::write(&copy, &file).unwrap();
    let restore = |line: &str| {
        fs::write(&passphrase, line).unwrap();
        let arguments = [
            Path::new("store"),
            "restore".as_ref(),
            &copy,
            "--passphrase-file".as_ref(),
            &passphrase,
        ];
        other.fyrhus(arguments).unwrap()
    };
    assert!(!restore("another passphrase").status.success());
    let restored = restore(PASSPHRASE);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    // With the owner's password of before: it is claimed already.
    let again = other.start().await.unwrap();
    assert_eq!(again.ready["claim_code"], json!(null));
    let oldest = before.last().unwrap();
    let there = |readings: &[serde_json::Value]| readings.contains(oldest);
    again.until_readings("those of before are there", &id, "energy", there).await.unwrap();
    drop(again);

    // And by the pages of a third one, which somebody has claimed already: it becomes that gateway.
    let third = Home::new().unwrap();
    let gateway = third.start().await.unwrap();
    let mut at = 0;
    for piece in file.chunks(1 << 20) {
        let path = format!("restore/file?at={at}");
        let put = gateway.request(Method::PUT, &path).body(piece.to_vec());
        gateway.done(put).await.unwrap();
        at += piece.len();
    }
    let look = async |passphrase: &str| {
        let asked = json!({ "passphrase": passphrase });
        let asked = gateway.request(Method::POST, "restore/look").json(&asked);
        gateway.done(asked).await.unwrap();
        gateway.until("it is opened", "restore", |it| it["state"] != "looking").await.unwrap()
    };
    assert_eq!(look("another passphrase").await["state"], "failed");
    let held = look(PASSPHRASE).await["held"].clone();
    assert_eq!(
        (&held["name"], &held["same"], &held["meters"], &held["damages"]),
        (&json!("Gård"), &json!(false), &json!(1), &json!([])),
        "{held}"
    );
    assert!(held["readings"].as_u64().unwrap() >= before.len() as u64, "{held}");
    gateway.done(gateway.request(Method::POST, "restore").json(&json!({}))).await.unwrap();
    let login = json!({ "name": "eier", "password": "en lang nok setning" });
    let begun = Instant::now();
    // The session of before is none of the gateway that comes back.
    while gateway.get("site").await.is_ok_and(|site| site["gateway"] != held["gateway"])
        || gateway.done(gateway.request(Method::POST, "session").json(&login)).await.is_err()
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not come back: {}", third.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(gateway.get("site").await.unwrap()["gateway"], held["gateway"]);
    gateway.until_readings("those of before are there", &id, "energy", there).await.unwrap();
    let log = gateway.get("audit").await.unwrap().to_string();
    assert!(log.contains("\"restored\""), "{log}");
    assert_eq!(gateway.get("restore").await.unwrap()["before"], true, "and can be taken back");
}

/// The power went after a restore had moved everything and before it had started; what came turns out to be of
/// a later version.
#[tokio::test]
async fn what_was_restored_and_does_not_start_is_taken_back() {
    let home = Home::new().unwrap();
    let mut gateway = home.start().await.unwrap();
    gateway.program.stop(Duration::from_mins(1)).unwrap();
    let (state, aside) = (home.state(), home.folder().join("aside"));
    let id = fs::read(state.join("keys/gateway-id")).unwrap();
    fs::rename(&state, &aside).unwrap();
    for folder in [state.clone(), state.join("keys")] {
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::metadata(aside.join("keys")).unwrap().permissions())
            .unwrap();
    }
    for folder in ["", "keys"] {
        for file in fs::read_dir(aside.join(folder)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), state.join(folder).join(file.file_name())).unwrap();
            }
        }
    }
    let core = fs::OpenOptions::new().write(true).open(state.join("core.db")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&core, &99_u32.to_be_bytes(), 60).unwrap();
    fs::rename(&aside, state.join("before-restore")).unwrap();
    fs::write(state.join("before-restore/untried"), "").unwrap();

    let gateway = home.start().await.unwrap();
    let told = gateway.get("restore").await.unwrap();
    assert_eq!(told["state"], "failed", "{told}");
    let why = told["why"].as_str().unwrap();
    assert!(
        why.starts_with("what was restored does not start, and what was here before is back"),
        "{why}"
    );
    assert!(why.ends_with("was written by a newer version of fyrhus"), "{why}");
    assert_eq!(fs::read(home.state().join("keys/gateway-id")).unwrap(), id);
}
