//! What a machine does to the gateway: its files are in use, damaged, or have no room left. Each is
//! said in a sentence, the gateway goes on, and what was stored is kept.
//!
//! A small disk, or one that is read-only, is mounted in a namespace of its own, which needs root; where that is not allowed the
//! test says so and is skipped.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]
#![expect(clippy::print_stdout, reason = "what was skipped is for the reader")]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use site_tests::building::{Building, WELL};
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;
use site_tests::process::Program;

#[tokio::test]
async fn a_second_gateway_on_the_same_files_is_refused() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, WELL).unwrap();
    let gateway = home.start().await.unwrap();

    let config = home.config();
    let second = Command::new(paths::binary("fyrhus").unwrap())
        .args(["run".as_ref(), "--config".as_ref(), &*config])
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let in_use = format!("{} is in use by another fyrhus process", home.state().display());
    assert!(said.lines().last().unwrap().ends_with(&in_use), "{said}");

    let import = home.fyrhus(["import", "-"]).unwrap();
    let said = String::from_utf8(import.stderr).unwrap();
    assert!(said.trim().ends_with(&in_use), "{said}");
    stored(&gateway, &building.meter("Well").unwrap(), 1).await;
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_the_gateway_goes_on() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, WELL).unwrap();
    let meter = building.meter("Well").unwrap();
    let mut gateway = home.start().await.unwrap();
    let mut known = stored(&gateway, &meter, 1).await;
    gateway.program.stop(STOP).unwrap();

    // Of the roll-ups nothing is lost: they are made again.
    damage(&file(&home, "rollup"));
    let mut gateway = home.start().await.unwrap();
    let told = home.log().matches("rollup.db was damaged (").count();
    assert_eq!(told, 1, "once is enough: {}", home.log());
    assert!(home.log().contains("it is kept as rollup.db.damaged-1"), "{}", home.log());
    let found = stored(&gateway, &meter, known.len() + 1).await;
    assert!(found.ends_with(&known), "{found:#?}\ndo not end with\n{known:#?}");
    known = found;
    gateway.program.stop(STOP).unwrap();

    // Without its accounts it is claimed anew; the readings are in other files.
    damage(&file(&home, "core"));
    let mut gateway = home.start().await.unwrap();
    assert!(home.log().contains("core.db was damaged ("), "{}", home.log());
    let lost = "the configuration's history, users and settings are only in the old one";
    assert!(home.log().contains(lost), "{}", home.log());
    assert!(gateway.ready["claim_code"].is_string());
    let found = stored(&gateway, &meter, known.len() + 1).await;
    assert!(found.ends_with(&known), "{found:#?}\ndo not end with\n{known:#?}");
    gateway.program.stop(STOP).unwrap();

    // What cannot be read of a month is gone, is said to be, and is still there to be looked at.
    let month = file(&home, "raw-");
    damage(&month);
    let gateway = home.start().await.unwrap();
    let name = month.file_name().unwrap().to_str().unwrap();
    assert!(home.log().contains(&format!("{name} was damaged (")), "{}", home.log());
    assert!(home.log().contains("readings were saved from it into a fresh file"), "{}", home.log());
    assert!(month.with_file_name(format!("{name}.damaged-1")).exists());
    let named = |overview: &Value| {
        let all = overview["look_at"].as_array().unwrap();
        all.iter().any(|it| {
            let said = it["params"]["damage"].as_str().unwrap_or_default();
            it["code"] == "damaged" && said.contains(&format!("{name} was damaged"))
        })
    };
    gateway.until("the pages name it", "overview", named).await.unwrap();
    stored(&gateway, &meter, 1).await;
}

#[tokio::test]
async fn a_full_disk_makes_readings_late_and_loses_none() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, WELL).unwrap();
    let meter = building.meter("Well").unwrap();
    let Some(gateway) = start_on_a_small_disk(&home).await else { return };
    let before = stored(&gateway, &meter, 1).await;

    // Through the process one gets at the disk that only it sees.
    let disk = format!("/proc/{}/root{}", gateway.program.id(), home.state().display());
    let filler = Path::new(&disk).join("film.mkv");
    let mut film = File::create(&filler).unwrap();
    let full = std::iter::repeat_with(|| film.write_all(&[1; 4_096])).find_map(Result::err);
    assert_eq!(full.unwrap().kind(), io::ErrorKind::StorageFull);

    let read = gateway.request(Method::POST, &format!("meters/{meter}/read"));
    gateway.done(read.json(&json!({}))).await.unwrap();
    let trouble = |status: &Value| !status["store"]["trouble"].is_null();
    let status = gateway.until("the disk is full", "status", trouble).await.unwrap();
    let said = status["store"]["trouble"].as_str().unwrap();
    assert!(said.contains("is full: nothing stored earlier is lost"), "{said}");
    // The pages say as well how much waits.
    let (why, waits) = said.split_once("; ").unwrap();
    assert!(home.log().contains(why) && waits.contains("in memory"), "{said}\n{}", home.log());
    let overview = gateway.get("overview").await.unwrap();
    let codes: Vec<_> =
        overview["look_at"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(codes.iter().any(|code| *code == "store"), "{overview:#}");

    // The meter is asked all the same, and what it says is stored when there is room again.
    let shown = gateway.get("meters").await.unwrap()[0]["at"].clone();
    let later = |meters: &Value| meters[0]["at"].as_str() > shown.as_str();
    gateway.until("the meter is asked", "meters", later).await.unwrap();
    drop(film);
    std::fs::remove_file(&filler).unwrap();
    let well = |status: &Value| status["store"]["trouble"].is_null();
    gateway.until("the disk has room", "status", well).await.unwrap();
    let found = stored(&gateway, &meter, before.len() + 2).await;
    assert!(found.ends_with(&before), "{found:#?}\ndo not end with\n{before:#?}");
    let at = |reading: &Value| reading["at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    for (newer, older) in found.iter().zip(found.iter().skip(1)) {
        // A reading may be late in its slot of ten seconds, and the next one early.
        assert!((at(newer) - at(older)).num_seconds() < 20, "{older}\nand then\n{newer}");
    }
}

#[tokio::test]
async fn a_start_on_a_disk_that_is_read_only_reads_meters_and_stores_it_later() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, WELL).unwrap();
    let meter = building.meter("Well").unwrap();
    let mut gateway = home.start().await.unwrap();
    let mut before = stored(&gateway, &meter, 1).await;
    // After a stop there is no log beside the databases, after a power cut there is.
    for was_stopped in [true, false] {
        if was_stopped {
            gateway.program.stop(STOP).unwrap();
        } else {
            gateway.program.kill().unwrap();
        }
        let Some(on_it) = start_on_a_read_only_disk(&home).await else { return };
        gateway = on_it;
        let told = "has become read-only: nothing is stored until it works again";
        assert!(home.log().contains(told), "{}", home.log());

        let waits = |status: &Value| {
            let trouble = status["store"]["trouble"].as_str().unwrap_or_default();
            trouble.contains(told) && trouble.contains("in memory")
        };
        gateway.until("it is said", "status", waits).await.unwrap();
        let shown = gateway.get("meters").await.unwrap()[0]["at"].clone();
        let later = |meters: &Value| meters[0]["at"].as_str() > shown.as_str();
        let read = gateway.until("the meter is asked", "meters", later).await.unwrap();
        let read = read[0]["at"].as_str().unwrap().to_owned();
        let found = gateway.readings(&meter, "volume").await.unwrap();
        assert!(found.ends_with(&before), "{found:#?}\ndo not end with\n{before:#?}");
        // Whoever was not logged in is let in, too.
        let login = json!({ "name": "eier", "password": "en lang nok setning" });
        let login = gateway.request(Method::POST, "session").json(&login);
        gateway.done(login).await.unwrap();
        assert!(gateway.get("session").await.unwrap()["user"]["id"].is_string());

        remount(&gateway, &home, "rw");
        let well = |status: &Value| status["store"]["trouble"].is_null();
        gateway.until("the disk takes something", "status", well).await.unwrap();
        let found = stored(&gateway, &meter, before.len() + 2).await;
        assert!(found.ends_with(&before), "{found:#?}\ndo not end with\n{before:#?}");
        let kept = found.iter().any(|it| it["at"].as_str() <= Some(&*read) && !before.contains(it));
        assert!(kept, "what was read before {read} is not stored: {found:#?}");
        before = found;
    }
}

/// Starts the gateway with its state on a file system that is read-only. `None`, with a word, where that
/// cannot be.
async fn start_on_a_read_only_disk(home: &Home) -> Option<Gateway> {
    let script = r#"
        mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77
        exec "$2" run --ready-json --config "$3"
    "#;
    start_in_a_namespace(
        home,
        script,
        [home.state(), paths::binary("fyrhus").unwrap(), home.config()],
    )
    .await
}

/// Mounts the state directory anew, as only the gateway sees it.
fn remount(gateway: &Gateway, home: &Home, how: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &gateway.program.id().to_string()]);
    command.args(["mount", "-o", &format!("remount,bind,{how}")]).arg(home.state());
    assert!(command.status().unwrap().success());
}

/// Starts the gateway with its state on a disk of 80 MB. `None`, with a word, where that cannot be.
async fn start_on_a_small_disk(home: &Home) -> Option<Gateway> {
    let script = r#"
        mount -t tmpfs -o size=80m tmpfs "$1" && cp "$2" "$1/site.toml" || exit 77
        exec "$3" run --ready-json --config "$4"
    "#;
    // What is mounted over is out of sight.
    let site = home.folder().join("site.toml");
    std::fs::copy(home.site(), &site).unwrap();
    let fyrhus = paths::binary("fyrhus").unwrap();
    start_in_a_namespace(home, script, [home.state(), site, fyrhus, home.config()]).await
}

/// Runs `script`, which becomes the gateway, where it may mount what it likes.
pub(crate) async fn start_in_a_namespace<const N: usize>(
    home: &Home,
    script: &str,
    arguments: [PathBuf; N],
) -> Option<Gateway> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).args(arguments);
    let mut program = Program::spawn("fyrhus", command, &home.log_file()).ok()?;
    match program.json_line(Duration::from_mins(1)) {
        Ok(ready) => Some(home.enter(program, ready).await.unwrap()),
        Err(error) => {
            let ended = program.ended().unwrap();
            let not_allowed = ended.is_some_and(|status| matches!(status.code(), Some(1 | 77)));
            assert!(not_allowed, "{error:#}\n{}", home.log());
            println!("SKIPPED: a disk cannot be mounted here: {}", home.log().trim());
            None
        }
    }
}

/// The stored readings of the meter, the newest first, once the newest of at least `count` has a
/// value.
async fn stored(gateway: &Gateway, meter: &str, count: usize) -> Vec<Value> {
    let enough = |readings: &[Value]| readings.len() >= count && readings[0]["value"].is_string();
    let what = format!("{count} readings are stored");
    gateway.until_readings(&what, meter, "volume", enough).await.unwrap()
}

/// The database in the state directory whose name begins so.
fn file(home: &Home, name: &str) -> PathBuf {
    let mut files = std::fs::read_dir(home.state()).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| {
        let found = path.file_name().unwrap().to_string_lossy();
        found.starts_with(name) && found.ends_with(".db")
    };
    files.find(is).unwrap_or_else(|| panic!("no {name}"))
}

/// Leaves the first page as it is, and of the others nothing.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    for (byte, noise) in bytes.iter_mut().skip(4_096).zip((0..=250).cycle()) {
        *byte = noise;
    }
    std::fs::write(file, bytes).unwrap();
}

/// The programs promise five seconds, on a disk that is not torn away under them.
const STOP: Duration = Duration::from_mins(1);
