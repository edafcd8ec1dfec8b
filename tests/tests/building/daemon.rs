//! The real `fyrhus` against a simulated building: readings arrive, and stay, whatever happens.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use site_tests::paths;
use site_tests::process::Program;
use site_tests::site::{http, wait_for};
use tempfile::TempDir;

/// A building and the files of a gateway for it.
struct Bench {
    folder: TempDir,
    building: Program,
}

/// The meters that the tests look at, one on each kind of wire.
const METERS: [(&str, &str); 3] = [
    ("Vann, inntak", "volume"),
    ("Strøm, inntak", "energy_import_total"),
    ("Møterom 2", "temperature_room"),
];

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let site = state.join("site.toml").display().to_string();
        let arguments = ["run", "--demo", "--seed", "7", "--base-port", "0", "--write-site", &site];
        let log = folder.path().join("building.log");
        let mut building = Program::start("meter-sim", arguments, &log).unwrap();
        building.json_line(WITHIN).unwrap();
        let bench = Self { folder, building };
        bench.configure("127.0.0.1:0");
        bench
    }

    fn configure(&self, listen: &str) {
        let state = self.folder.path().join("state").display().to_string();
        let machine = format!(
            "[paths]\nstate = \"{state}\"\n[web]\nlisten = \"{listen}\"\nhttp = \"127.0.0.1:0\"\n\
             [clock]\nsource = \"host\"\n"
        );
        fs::write(self.config(), machine).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("fyrhus.toml")
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("state/site.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("gateway.log")).unwrap_or_default()
    }

    fn start(&self) -> Program {
        let config = self.config().display().to_string();
        let arguments = ["run", "--ready-json", "--config", &config];
        Program::start("fyrhus", arguments, &self.folder.path().join("gateway.log")).unwrap()
    }

    /// A portfolio service, what it said of itself, and its configuration.
    fn start_portfolio(&self) -> (Program, Value, String) {
        let state = self.folder.path().join("portfolio").display().to_string();
        fs::create_dir(&state).unwrap();
        let config = self.folder.path().join("portfolio.toml");
        let settings = format!(
            "[paths]\nstate = \"{state}\"\n[people]\nlisten = \"127.0.0.1:0\"\nplain_http = true\n\
             [gateways]\nlisten = \"127.0.0.1:0\"\nnames = [\"127.0.0.1\", \"localhost\"]\n\
             [limits]\nrequests = 100000\nrequests_of_address = 100000\n"
        );
        fs::write(&config, settings).unwrap();
        let config = config.display().to_string();
        let log = self.folder.path().join("portfolio.log");
        let arguments = ["run", "--json", "--config", &config];
        let mut portfolio = Program::start("fyrhus-portfolio", arguments, &log).unwrap();
        let ready = portfolio.json_line(WITHIN).unwrap();
        (portfolio, ready, config)
    }

    /// The stored readings of a register as `fyrhus readings` prints them, newest first.
    fn readings(&self, (meter, register): (&str, &str)) -> Vec<Value> {
        let printed = Command::new(paths::binary("fyrhus").unwrap())
            .args(["readings", meter, "--register", register, "--limit", "1000", "--json"])
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        let lines = String::from_utf8(printed.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The stored readings with numbers up to `last`, as `fyrhus store export` prints them: of one instant of a
    /// register that with the latest number, which is what holds in a portfolio.
    fn exported(&self, last: u64) -> BTreeMap<[String; 3], Value> {
        let printed = Command::new(paths::binary("fyrhus").unwrap())
            .args(["store", "export", "--json"])
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        let lines = String::from_utf8(printed.stdout).unwrap();
        let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let number = |reading: &Value| reading["seq"].as_u64().unwrap();
        let mut all: Vec<Value> = all.collect();
        all.sort_by_key(number);
        let instant = |reading: &Value| {
            ["meter", "register", "time"].map(|name| reading[name].as_str().unwrap().to_owned())
        };
        // Of two of one instant the portfolio keeps the later, and so it is the one that counts.
        let newest: BTreeMap<_, _> = all.into_iter().map(|it| (instant(&it), it)).collect();
        newest.into_iter().filter(|(_, it)| number(it) <= last).collect()
    }

    /// Waits until every meter has `count` readings with a value.
    async fn wait_for_readings(&self, count: usize) {
        for meter in METERS {
            let there = async || {
                let readings = self.readings(meter);
                Ok(readings.iter().filter(|it| it["value"].is_string()).count() >= count)
            };
            wait_for(&format!("{count} readings of {}", meter.0), WITHIN, there)
                .await
                .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        }
    }

    async fn wait_for_log(&self, words: &str) {
        wait_for(words, WITHIN, async || Ok(self.log().contains(words)))
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _already_gone = self.building.stop(STOP);
    }
}

#[tokio::test]
async fn what_is_stored_survives_kill_9_and_a_stop_takes_less_than_five_seconds() {
    let bench = Bench::new();
    let mut gateway = bench.start();
    bench.wait_for_readings(1).await;
    let before: Vec<_> = METERS.iter().map(|meter| bench.readings(*meter)).collect();
    gateway.kill().unwrap();

    for (meter, before) in METERS.into_iter().zip(before) {
        let after = bench.readings(meter);
        assert!(after.ends_with(&before), "{meter:?}: {before:?} was stored, found {after:?}");
        assert!(before.iter().all(|reading| reading["origin"] == "simulated"));
    }

    let mut gateway = bench.start();
    gateway.json_line(WITHIN).unwrap();
    bench.wait_for_readings(2).await;
    gateway.stop(STOP).unwrap_or_else(|error| panic!("{error}\n{}", bench.log()));
    assert!(bench.log().contains("everything is stored"), "{}", bench.log());
    assert!(!bench.log().contains("ERROR"), "{}", bench.log());
}

#[tokio::test]
async fn a_taken_port_keeps_nothing_but_the_page_from_running() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    bench.configure(&taken.local_addr().unwrap().to_string());
    let mut gateway = bench.start();
    bench.wait_for_readings(1).await;
    assert!(bench.log().contains("is another program on this port?"), "{}", bench.log());
    drop(taken);
    let ready = gateway.json_line(WITHIN).unwrap();
    let http_page = ready["http"].as_str().unwrap();
    let health = http().unwrap().get(format!("{http_page}/api/v1/health")).send().await.unwrap();
    assert!(health.status().is_success());
    gateway.stop(STOP).unwrap();
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_a_mended_one_is_taken_over_at_once() {
    let bench = Bench::new();
    let good = fs::read_to_string(bench.site()).unwrap();
    let mut gateway = bench.start();
    gateway.json_line(WITHIN).unwrap();
    bench.wait_for_readings(1).await;

    fs::write(bench.site(), good.replacen("poll_every_secs = 10", "poll_every_secs = 1", 1))
        .unwrap();
    bench.wait_for_log("poll_every_secs = 1 is not a number from 10 to 86400").await;
    bench.wait_for_readings(2).await;

    // The gateway starts with the broken file too, on the last good copy.
    gateway.stop(STOP).unwrap();
    let mut gateway = bench.start();
    gateway.json_line(WITHIN).unwrap();
    bench.wait_for_log("poll_every_secs = 1 is not a number from 10 to 86400").await;
    bench.wait_for_readings(3).await;

    // One bus changes: it alone is started anew.
    let mended = good.replacen("poll_every_secs = 10", "poll_every_secs = 20", 1);
    fs::write(bench.site(), mended).unwrap();
    bench.wait_for_log("version=2").await;
    bench.wait_for_readings(4).await;
    let starts = bench.log().matches("bus started").count();
    let buses = good.matches("[[bus]]").count();
    assert_eq!(starts, buses + 1, "{}", bench.log());
    for meter in METERS {
        let missing = bench.readings(meter).iter().filter(|it| !it["reason"].is_null()).count();
        assert_eq!(missing, 0, "{meter:?} lost a reading: {:?}", bench.readings(meter));
    }
    gateway.stop(STOP).unwrap();
}

#[tokio::test]
async fn without_any_good_file_the_pages_are_served() {
    let bench = Bench::new();
    fs::write(bench.site(), "[site]\nname = 3\n").unwrap();
    fs::write(bench.config(), "[web]\nlisten = 8443\n").unwrap();
    let check = Command::new(paths::binary("fyrhus").unwrap())
        .arg("check-config")
        .arg(bench.config())
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains(":2: listen = 8443 is not an address and port"), "{said}");

    bench.configure("127.0.0.1:0");
    let mut gateway = bench.start();
    let ready = gateway.json_line(WITHIN).unwrap();
    assert!(ready["claim_code"].is_string());
    let page = format!("{}/api/v1/session", ready["http"].as_str().unwrap());
    let session: Value = http().unwrap().get(page).send().await.unwrap().json().await.unwrap();
    assert_eq!(session["claimed"], false);
    assert!(bench.log().contains("only the pages are served"), "{}", bench.log());
    gateway.stop(STOP).unwrap();
}

#[tokio::test]
async fn a_fresh_one_time_code_is_had_from_the_running_gateway_and_from_a_stopped_one() {
    let bench = Bench::new();
    let mut gateway = bench.start();
    let first = gateway.json_line(WITHIN).unwrap()["claim_code"].clone();
    let code = || {
        let printed = Command::new(paths::binary("fyrhus").unwrap())
            .args(["claim-code", "--json", "--config"])
            .arg(bench.config())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&printed.stderr).into_owned();
        serde_json::from_slice::<Value>(&printed.stdout).expect(&said)["claim_code"].clone()
    };
    let second = code();
    assert!(second.is_string() && second != first);
    gateway.stop(STOP).unwrap();
    assert!(code().is_string());
}

#[tokio::test]
async fn a_running_gateway_joins_a_portfolio_that_then_has_its_readings_and_reports_them() {
    let bench = Bench::new();
    let (mut portfolio, said, portfolio_config) = bench.start_portfolio();
    let gateways = gateways_url(&said);
    let site = fs::read_to_string(bench.site()).unwrap();
    let cloud = format!("{site}\n[cloud]\nurl = \"{gateways}\"\nreferences = [\"127.0.0.1:9\"]\n");
    fs::write(bench.site(), cloud).unwrap();
    let mut gateway = bench.start();
    let ready = gateway.json_line(WITHIN).unwrap();
    let page = ready["http"].as_str().unwrap().to_owned();

    let code = json(&run(
        "fyrhus-portfolio",
        &["enrol-code", "--json", "--site-name", "Test", "--config", &portfolio_config],
    ));
    let config = bench.config().display().to_string();
    let enrol = |code: &str| {
        run("fyrhus", &["enrol", "--url", &gateways, "--code", code, "--config", &config])
    };
    let refused = enrol("AAAAA-AAAAA");
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("the code is wrong, spent or too old"), "{why}");
    let enrolled = enrol(code["code"].as_str().unwrap());
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));

    let http = http().unwrap();
    claim(&http, &page, &ready).await;
    let people = said["people_url"].as_str().unwrap();
    claim(&http, people, &said).await;
    let cloud = async || -> anyhow::Result<Value> {
        Ok(http.get(format!("{page}/api/v1/cloud")).send().await?.json().await?)
    };
    // The sync's own pace is a minute; then the probe has something to ask for.
    let probed = async || {
        let told = cloud().await?;
        let synced = told["sync"]["acked"].as_u64().is_some_and(|acked| acked > 0);
        Ok(synced && told["uptime"]["percent"] == "100.0000")
    };
    wait_for("a probe that succeeded", Duration::from_mins(4), probed)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", bench.log()));

    a_diagnosis_goes_up_when_somebody_here_allows_it(&http, &page, people).await;

    portfolio.stop(STOP).unwrap();
    bench.wait_for_log("the portfolio's reports cannot be had failure=Tcp").await;
    bench.wait_for_readings(2).await;
    gateway.stop(STOP).unwrap();
}

#[tokio::test]
async fn a_gateway_without_a_building_joins_a_portfolio_and_says_so() {
    let bench = Bench::new();
    fs::remove_file(bench.site()).unwrap();
    let (mut portfolio, said, portfolio_config) = bench.start_portfolio();
    let gateways = gateways_url(&said);
    let code = json(&run(
        "fyrhus-portfolio",
        &["enrol-code", "--json", "--site-name", "Test", "--config", &portfolio_config],
    ));
    let (code, config) = (code["code"].as_str().unwrap(), bench.config().display().to_string());
    let mut gateway = bench.start();
    let ready = gateway.json_line(WITHIN).unwrap();

    let (http, page) = (http().unwrap(), ready["http"].as_str().unwrap());
    claim(&http, page, &ready).await;
    let sync = async || -> anyhow::Result<Value> {
        let cloud = http.get(format!("{page}/api/v1/cloud")).send().await?;
        Ok(cloud.json::<Value>().await?["sync"].take())
    };
    assert_eq!(sync().await.unwrap(), Value::Null);
    let enrolled =
        run("fyrhus", &["enrol", "--url", &gateways, "--code", code, "--config", &config]);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    wait_for("the page to say so", WITHIN, async || Ok(sync().await?["enrolled"] == true))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", bench.log()));
    assert_eq!(sync().await.unwrap()["url"], format!("{gateways}/"));
    gateway.stop(STOP).unwrap();
    portfolio.stop(STOP).unwrap();
}

#[tokio::test]
async fn a_change_from_afar_is_made_and_one_that_cuts_the_portfolio_off_is_taken_back() {
    let bench = Bench::new();
    let (mut portfolio, said, portfolio_config) = bench.start_portfolio();
    let gateways = gateways_url(&said);
    let site = fs::read_to_string(bench.site()).unwrap();
    fs::write(bench.site(), format!("{site}\n[cloud]\nurl = \"{gateways}\"\n")).unwrap();
    let mut gateway = bench.start();
    let ready = gateway.json_line(WITHIN).unwrap();
    let code = json(&run(
        "fyrhus-portfolio",
        &["enrol-code", "--json", "--site-name", "Test", "--config", &portfolio_config],
    ));
    let (code, config) = (code["code"].as_str().unwrap(), bench.config().display().to_string());
    let enrolled =
        run("fyrhus", &["enrol", "--url", &gateways, "--code", code, "--config", &config]);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let (http, page) = (http().unwrap(), ready["http"].as_str().unwrap());
    let people = said["people_url"].as_str().unwrap();
    claim(&http, page, &ready).await;
    claim(&http, people, &said).await;

    let ask = async |url: &str| -> anyhow::Result<Value> {
        Ok(http.get(url).send().await?.error_for_status()?.json().await?)
    };
    let post = async |at: &str, url: &str, body: Value| -> anyhow::Result<Value> {
        let sent = http.post(url).header("Origin", at).json(&body).send().await?;
        Ok(sent.error_for_status()?.json().await?)
    };
    let sites = ask(&format!("{people}/api/v1/sites")).await.unwrap();
    let errands = format!("{people}/api/v1/sites/{}/errands", sites[0]["id"].as_str().unwrap());
    let here = format!("{page}/api/v1/errands");
    let wanted = async |kind: &str, changes: &Value, within_s: u64| {
        let mut body = serde_json::json!({"kind": kind, "changes": changes});
        if kind == "change" {
            let site = ask(&format!("{page}/api/v1/site")).await.unwrap();
            body["base"] = site["version"].clone();
            body["within_s"] = within_s.into();
        }
        let asked = post(people, &errands, body).await.unwrap();
        asked["id"].as_str().unwrap().to_owned()
    };
    // It comes with the next delivery, which is a minute away at most.
    let becomes = async |id: &str, state: &str| {
        let there = async || {
            let all = ask(&errands).await?;
            let all = all["errands"].as_array().cloned().unwrap_or_default();
            Ok(all.into_iter().any(|it| it["id"] == id && it["state"] == state))
        };
        let waited = wait_for(&format!("an errand that is {state}"), WITHIN, there).await;
        waited.unwrap_or_else(|error| panic!("{error}\n{}", bench.log()));
        let all = ask(&errands).await.unwrap();
        all["errands"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone()
    };
    let allowed = async |id: &str| {
        let waits = becomes(id, "waiting").await;
        let nothing = Value::Object(serde_json::Map::new());
        post(page, &format!("{here}/{id}/allow"), nothing).await.unwrap();
        waits["said"].as_str().unwrap().to_owned()
    };

    let name = serde_json::json!([{"section": "site", "key": "name", "text": "Fra langt borte"}]);
    let tried = wanted("dry_run", &name, 0).await;
    let change = wanted("change", &name, 600).await;
    let lines = allowed(&change).await;
    assert!(lines.contains("+ name = \"Fra langt borte\""), "{lines}");
    assert_eq!(becomes(&tried, "done").await["said"], lines.as_str());
    let done = becomes(&change, "done").await;
    let site = ask(&format!("{page}/api/v1/site")).await.unwrap();
    assert_eq!((&site["name"], &site["version"]), (&"Fra langt borte".into(), &done["version"]));
    assert!(fs::read_to_string(bench.site()).unwrap().contains("name = \"Fra langt borte\""));

    // It takes every connection and says nothing, for as long as it is there.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let cuts_off = serde_json::json!([{"section": "cloud", "key": "proxy", "text": address}]);
    let before = fs::read_to_string(bench.site()).unwrap();
    let change = wanted("change", &cuts_off, 10).await;
    allowed(&change).await;
    let failed = becomes(&change, "failed").await;
    let said = failed["said"].as_str().unwrap();
    assert!(said.starts_with("the portfolio was not reached after the change"), "{failed}");
    assert_eq!(fs::read_to_string(bench.site()).unwrap(), before);
    let log = ask(&format!("{page}/api/v1/audit?limit=20")).await.unwrap();
    let log: Vec<&str> =
        log.as_array().unwrap().iter().rev().filter_map(|it| it["what"].as_str()).collect();
    let log: Vec<&str> = log.into_iter().filter(|it| it.starts_with("change_")).collect();
    let made = ["change_asked", "change_allowed", "change_made"];
    let expected: [&[&str]; 5] =
        [&["change_tried"], &made, &["change_confirmed"], &made, &["change_undone"]];
    assert_eq!(log, expected.concat(), "{}", bench.log());
    gateway.stop(STOP).unwrap();
    portfolio.stop(STOP).unwrap();
}

/// A file of the readings is ruined while the gateway is off: what the portfolio has of them comes back
/// under the same numbers, digit for digit.
#[tokio::test]
async fn what_was_damaged_is_had_again_from_the_portfolio() {
    let bench = Bench::new();
    let (mut portfolio, said, portfolio_config) = bench.start_portfolio();
    let gateways = gateways_url(&said);
    let mut gateway = bench.start();
    let ready = gateway.json_line(WITHIN).unwrap();
    let page = ready["http"].as_str().unwrap().to_owned();
    let http = http().unwrap();
    claim(&http, &page, &ready).await;
    bench.wait_for_readings(1).await;
    let code = json(&run(
        "fyrhus-portfolio",
        &["enrol-code", "--json", "--site-name", "Test", "--config", &portfolio_config],
    ));
    let config = bench.config().display().to_string();
    let code = code["code"].as_str().unwrap();
    let enrolled =
        run("fyrhus", &["enrol", "--url", &gateways, "--code", code, "--config", &config]);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let acked = async || -> anyhow::Result<u64> {
        let cloud = http.get(format!("{page}/api/v1/cloud")).send().await?.json::<Value>().await?;
        Ok(cloud["sync"]["acked"].as_u64().unwrap_or(0))
    };
    wait_for("a confirmation", WITHIN, async || Ok(acked().await? > 0))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", bench.log()));
    let confirmed = acked().await.unwrap();
    gateway.stop(STOP).unwrap();
    let before = bench.exported(confirmed);
    assert!(!before.is_empty(), "{confirmed}: {}", bench.log());

    let mut ruined = 0;
    for file in fs::read_dir(bench.folder.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("raw-") && path.extension().is_some_and(|it| it == "db") {
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            fs::write(&path, vec![0xA5; length]).unwrap();
            ruined += 1;
        }
    }
    assert!(ruined > 0);
    let mut gateway = bench.start();
    gateway.json_line(WITHIN).unwrap();
    bench.wait_for_log("came back from the portfolio; it has no more of them").await;
    // That none is left out, however many there are, is held by the tests of the sync.
    let now = bench.exported(confirmed);
    let back =
        before.iter().filter(|(instant, reading)| now.get(*instant) == Some(reading)).count();
    println!("{back} of {} readings are back, digit for digit", before.len());
    assert!(back > 0, "{}", bench.log());
    // It goes on as before.
    bench.wait_for_readings(2).await;
    gateway.stop(STOP).unwrap();
    portfolio.stop(STOP).unwrap();
}

/// Where gateways reach the portfolio that said this.
fn gateways_url(said: &Value) -> String {
    said["gateways_url"].as_str().unwrap().replace("localhost", "127.0.0.1")
}

/// An owner of the portfolio asks, the owner of the gateway says yes, and each finds it in their log.
async fn a_diagnosis_goes_up_when_somebody_here_allows_it(
    http: &reqwest::Client,
    page: &str,
    people: &str,
) {
    let ask = async |url: String| -> anyhow::Result<Value> {
        Ok(http.get(url).send().await?.error_for_status()?.json().await?)
    };
    let post = async |at: &str, url: String, body: Value| -> anyhow::Result<Value> {
        let sent = http.post(url).header("Origin", at).json(&body).send().await?;
        Ok(sent.error_for_status()?.json().await?)
    };
    let sites = ask(format!("{people}/api/v1/sites")).await.unwrap();
    let errands = format!("{people}/api/v1/sites/{}/errands", sites[0]["id"].as_str().unwrap());
    let diagnosis = serde_json::json!({"kind": "diagnosis"});
    let asked = post(people, errands.clone(), diagnosis).await.unwrap();
    let id = asked["id"].as_str().unwrap();

    let here = format!("{page}/api/v1/errands");
    let waits = async || {
        let all = ask(here.clone()).await?;
        let asked = &all["asked"][0];
        Ok(asked["id"] == id && asked["state"] == "waiting" && asked["who"] == "eier")
    };
    wait_for("the question at the gateway", WITHIN, waits).await.unwrap();
    let look_at = ask(format!("{page}/api/v1/overview")).await.unwrap()["look_at"].take();
    let told = look_at.as_array().unwrap().iter().any(|it| it["code"] == "errand");
    assert!(told, "whoever looks at the first page is told: {look_at}");
    let nothing = Value::Object(serde_json::Map::new());
    post(page, format!("{here}/{id}/allow"), nothing).await.unwrap();
    let stands =
        async |state: &str| Ok(ask(errands.clone()).await?["errands"][0]["state"] == state);
    wait_for("the diagnosis at the portfolio", WITHIN, async || stands("done").await)
        .await
        .unwrap();
    let bundle = ask(format!("{errands}/{id}/diagnosis.json")).await.unwrap();
    assert!(bundle["running"]["buses"].is_array(), "{bundle}");
    assert!(!bundle.to_string().contains("Møterom"), "names stay here");

    let log = ask(format!("{page}/api/v1/audit?limit=20")).await.unwrap();
    for what in ["diagnosis_asked", "diagnosis_allowed", "diagnosis_sent"] {
        let told = log.as_array().unwrap().iter().any(|it| it["what"] == what);
        assert!(told, "{what}: {log}");
    }
    let steps = ask(errands.clone()).await.unwrap()["steps"].take();
    let words = steps.as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap());
    assert_eq!(words.rev().collect::<Vec<_>>(), ["asked", "waiting", "going", "done", "taken"]);
}

/// Makes the first user of what has its pages at `page` and said `ready`, and logs in.
async fn claim(http: &reqwest::Client, page: &str, ready: &Value) {
    let owner = serde_json::json!({
        "code": ready["claim_code"], "name": "eier", "password": "a long enough sentence 7",
    });
    let claimed = http.post(format!("{page}/api/v1/claim")).header("Origin", page).json(&owner);
    assert!(claimed.send().await.unwrap().status().is_success());
}

fn run(program: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(paths::binary(program).unwrap()).args(arguments).output().unwrap()
}

fn json(output: &std::process::Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).expect(&said)
}

/// For a debug build on a busy machine; a reading comes every ten seconds.
const WITHIN: Duration = Duration::from_mins(5);
/// Against hanging; the 5 s that are promised are measured.
const STOP: Duration = Duration::from_mins(1);
