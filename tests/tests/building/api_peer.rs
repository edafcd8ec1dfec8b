//! schemathesis, which is of another make, reads the descriptions of the two APIs and asks what they say may be
//! asked, and what they do not: nothing of it makes the gateway or the portfolio fail.
//!
//! `image/prepare.sh` installs it into `target/peers`.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic, in its helpers too")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use site_tests::building::Building;
use site_tests::gateway::Home;
use site_tests::paths;
use site_tests::process::Program;
use site_tests::site::{http, wait_for};
use tempfile::TempDir;

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

/// What has no end, what ends the sessions of whoever asks (it takes the ids that it finds in answers), what takes
/// the gateway away whose readings are asked for, and what tells of another server by a 502.
const GATEWAY_WITHOUT: &str =
    r"^/(live|sessions?|sessions/\{session\}|users/\{user\}.*|password|cloud/enrol)$";
const PORTFOLIO_WITHOUT: &str = r"^/(session|users/\{user\}.*|password|sites/\{site\}/gateway)$";

/// The same questions each time.
const SEED: &str = "20261121";
/// Of each route, beside the limits and the shapes of each of its parameters.
const EXAMPLES: &str = "4";

#[tokio::test]
async fn nothing_that_the_apis_are_asked_makes_them_fail() {
    let program = paths::root().join("target/peers/bin/schemathesis");
    if !program.exists() {
        println!("SKIPPED: no schemathesis in target/peers; image/prepare.sh installs it");
        assert!(std::env::var_os("CI").is_none(), "CI has schemathesis");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_portfolio, ready) = start_portfolio(&folder);
    let at = |key: &str| ready[key].as_str().unwrap().to_owned();
    let (portfolio, gateways) = (at("people_url"), at("gateways_url"));
    let client = http().unwrap();
    let claim = json!({ "code": at("claim_code"), "name": "eier", "password": PASSWORD });
    let owner = cookie(&client, &format!("{portfolio}/api/v1/claim"), &claim).await;
    let code = client
        .post(format!("{portfolio}/api/v1/enrol-codes"))
        .json(&json!({ "site_name": "Gård" }))
        .send()
        .await
        .unwrap();
    let code: Value = code.json().await.unwrap();

    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let meter = building.meter("Heat").unwrap();
    let site = fs::read_to_string(home.site()).unwrap();
    let cloud = format!("{site}\n[cloud]\nurl = \"{gateways}\"\nreferences = [\"127.0.0.1:9\"]\n");
    fs::write(home.site(), cloud).unwrap();
    let gateway = home.start().await.unwrap();
    let enrolment = json!({ "url": gateways, "code": code["code"] });
    let enrolled = gateway.request(Method::POST, "cloud/enrol").json(&enrolment);
    gateway.done(enrolled).await.unwrap();
    let arrived = async || {
        let sites = client.get(format!("{portfolio}/api/v1/sites")).send().await?;
        let sites: Value = sites.json().await?;
        Ok(sites[0]["newest_reading"].is_string())
    };
    wait_for("readings in the portfolio", Duration::from_mins(5), arrived).await.unwrap();

    let page = gateway.ready["http"].as_str().unwrap().to_owned();
    let login = json!({ "name": "eier", "password": PASSWORD });
    let resident = cookie(&http().unwrap(), &format!("{page}/api/v1/session"), &login).await;
    let known = |name: &str| match name {
        "site" => Some(code["site"].clone()),
        "meter" => Some(json!(meter)),
        "bus" => Some(json!("riser")),
        "register" => Some(json!("energy")),
        "month" => Some(json!("2026-11")),
        _ => None,
    };
    let mut runs = Vec::new();
    for (base, cookie, without) in
        [(page, resident, GATEWAY_WITHOUT), (portfolio, owner, PORTFOLIO_WITHOUT)]
    {
        let document = client.get(format!("{base}/api/v1/openapi.json")).send().await.unwrap();
        let mut document: Value = document.json().await.unwrap();
        tell_known(&mut document, &known);
        let own = folder.path().join(format!("schemathesis-{}", runs.len()));
        fs::create_dir(&own).unwrap();
        fs::write(own.join("openapi.json"), document.to_string()).unwrap();
        let run = Command::new(&program)
            .args(["run", "openapi.json", "--url", &format!("{base}/api/v1")])
            .args(["--header", &format!("Cookie: {cookie}"), "--exclude-path-regex", without])
            .args(["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"])
            .args(["--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"])
            .args(["--suppress-health-check", "all", "--continue-on-failure"])
            .args(["--request-timeout", "60", "--warnings", "off"])
            .current_dir(&own)
            .stdout(fs::File::create(own.join("said")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        runs.push((run, own, format!("{base}/api/v1/users"), cookie));
    }
    for (mut run, own, users, cookie) in runs {
        let ended = tokio::task::spawn_blocking(move || run.wait().unwrap()).await.unwrap();
        let said = fs::read_to_string(own.join("said")).unwrap();
        assert!(ended.success(), "{ended}\n{said}\n{}", home.log());
        let tried = said.lines().rev().take(12).collect::<Vec<_>>();
        println!("{}", tried.into_iter().rev().collect::<Vec<_>>().join("\n"));
        // It was an owner to the end, who is let in everywhere.
        let asked = http().unwrap().get(users).header(header::COOKIE, cookie);
        assert_eq!(asked.send().await.unwrap().status(), StatusCode::OK);
    }
}

const PASSWORD: &str = "en lang nok setning";

/// The portfolio, whose limits let so many questions through.
fn start_portfolio(folder: &TempDir) -> (Program, Value) {
    let (state, config) = (folder.path().join("portfolio"), folder.path().join("portfolio.toml"));
    let text = format!(
        "[paths]\nstate = \"{}\"\n[people]\nlisten = \"127.0.0.1:0\"\nplain_http = true\n\
         [gateways]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\", \"127.0.0.1\"]\n\
         [limits]\nrequests = 1000000\n",
        state.display()
    );
    fs::write(&config, text).unwrap();
    let arguments = ["run".as_ref(), "--json".as_ref(), "--config".as_ref(), config.as_os_str()];
    let log = folder.path().join("portfolio.log");
    let mut portfolio = Program::start("fyrhus-portfolio", arguments, &log).unwrap();
    let ready = portfolio.json_line(Duration::from_mins(5)).unwrap();
    (portfolio, ready)
}

/// Of a fresh session.
async fn cookie(client: &Client, url: &str, body: &Value) -> String {
    let response = client.post(url).json(body).send().await.unwrap();
    assert!(response.status().is_success(), "{url}: {}", response.status());
    let set = response.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Puts things that are there among what is tried for the parameters that name them, beside what is not.
fn tell_known(document: &mut Value, known: &impl Fn(&str) -> Option<Value>) {
    for path in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in path.as_object_mut().unwrap().values_mut() {
            let body = operation.pointer_mut("/requestBody/content");
            if let Some(body) = body.and_then(Value::as_object_mut)
                && let Some(toml) = body.remove("application/toml")
            {
                // Which it does not know how to write; what is sent is text all the same.
                body.insert("text/plain".to_owned(), toml);
            }
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap().to_owned();
                if let Some(there) = known(&name) {
                    let none = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77";
                    let schema = json!({ "type": "string", "enum": [there, none, "\u{e5} b"] });
                    parameter["schema"] = schema;
                    parameter["example"] = there;
                }
            }
        }
    }
}
