//! A backup that an owner takes home from the pages makes the gateway again, on another machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use site_tests::building::Building;
use site_tests::gateway::Home;
use site_tests::paths;

use crate::bad_machine::start_in_a_namespace;

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

/// Two sticks are put in: one that takes something, and one that cannot be written.
#[tokio::test]
async fn a_backup_goes_to_a_stick_and_comes_back_from_it() {
    let home = Home::new().unwrap();
    let sticks = home.folder().join("sticks");
    for stick in ["sda1", "sdb1", "left-over"] {
        fs::create_dir_all(sticks.join(stick)).unwrap();
    }
    let config = fs::read_to_string(home.config()).unwrap();
    let section = format!("[paths]\nsticks = \"{}\"\n", sticks.display());
    fs::write(home.config(), config.replacen("[paths]\n", &section, 1)).unwrap();
    let script = r#"
        mount -t tmpfs -o size=64m tmpfs "$1/sda1" || exit 77
        mount -t tmpfs tmpfs "$1/sdb1" && mount -o remount,ro "$1/sdb1" || exit 77
        echo other > "$1/sda1/notes.txt"
        # Of a copy that was cut off, and somebody else's.
        touch "$1/sda1/.fyrhus-20261101-0400.backup.part" "$1/sda1/.other.part"
        exec "$2" run --ready-json --config "$3"
    "#;
    let fyrhus = paths::binary("fyrhus").unwrap();
    let started = start_in_a_namespace(&home, script, [sticks.clone(), fyrhus, home.config()]);
    let Some(gateway) = started.await else { return };
    let post = async |path: &str, asked: serde_json::Value| {
        let answer = gateway.request(Method::POST, path).json(&asked).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.unwrap()["code"].clone())
    };
    let copy = async |stick: &str| post("backup/sticks", json!({ "stick": stick })).await;
    assert_eq!(copy("sda1").await, (404, json!("no_backup")));
    assert_eq!(post("backup", json!({ "passphrase": PASSPHRASE })).await.0, 200);
    let ready = gateway.until("it is there", "backup", |it| it["state"] != "making").await.unwrap();
    assert_eq!(ready["state"], "ready", "{ready}");

    let told = gateway.get("backup/sticks").await.unwrap();
    let names: Vec<_> = told["sticks"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["sda1", "sdb1"], "and no folder of the gateway's own disk");
    assert_eq!(
        (&told["sticks"][0]["backups"], &told["sticks"][1]["free"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(copy("left-over").await, (404, json!("no_stick")));
    assert_eq!(copy("sdb1").await, (507, json!("no_room")));
    assert_eq!(copy("sda1").await.0, 200);
    let over = |it: &serde_json::Value| it["state"] != "copying";
    let copied = gateway.until("it is on the stick", "backup/sticks", over).await.unwrap();
    assert_eq!((&copied["state"], &copied["stick"]), (&json!("copied"), &json!("sda1")));
    let on_it = &copied["sticks"][0]["backups"];
    assert_eq!(
        (on_it.as_array().unwrap().len(), &on_it[0]["bytes"], &on_it[0]["file"]),
        (1, &ready["bytes"], &copied["file"])
    );

    let mut list = Command::new("nsenter");
    list.args(["--mount", "--target", &gateway.program.id().to_string(), "ls", "-A"]);
    let files = list.arg(sticks.join("sda1")).env("LC_ALL", "C").output().unwrap();
    let files = String::from_utf8(files.stdout).unwrap();
    let files: Vec<_> = files.lines().collect();
    let copy = copied["file"].as_str().unwrap();
    assert_eq!(files, [".other.part", copy, "notes.txt"], "what was cut off is gone");

    let fetch = async |file: &serde_json::Value| {
        post("restore/stick", json!({ "stick": "sda1", "file": file })).await
    };
    for file in ["notes.txt", "../sda1/notes.txt", "gone.backup"] {
        assert_eq!(fetch(&json!(file)).await, (404, json!("no_stick")), "{file}");
    }
    assert_eq!(fetch(&copied["file"]).await.0, 200);
    let here = |it: &serde_json::Value| it["state"] != "fetching";
    let taken = gateway.until("it is fetched", "restore", here).await.unwrap();
    assert_eq!((&taken["state"], &taken["bytes"]), (&json!("taking"), &ready["bytes"]));
    assert_eq!(post("restore/look", json!({ "passphrase": PASSPHRASE })).await.0, 200);
    let opened = |it: &serde_json::Value| it["state"] != "looking";
    let held = gateway.until("it is opened", "restore", opened).await.unwrap()["held"].clone();
    assert_eq!((&held["same"], &held["damages"]), (&json!(true), &json!([])), "{held}");
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
