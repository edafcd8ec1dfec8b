//! The end of `make bench`: what the whole gateway costs, measured on the running programs.
//!
//! Every figure stands beside its limit or beside what it is compared with in the same run. Times
//! are of this machine; ratios travel.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, of three digits")]

mod browser;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::TimeDelta;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use site_tests::neighbours::KVERNHUSGATA;
use site_tests::paths;
use site_tests::process::Program;
use site_tests::site::{Plan, http, wait_for};
use store::testing::building::meter;
use store::testing::years::{END_MS, Years};
use tempfile::TempDir;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("The measurement cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("pages") => return browser::figures().await,
        Some(other) => bail!("`{other}`: there is `pages`, or nothing for all of it"),
    }
    println!("\nThe whole gateway\n");
    sizes()?;
    let demo = ["run", "--demo", "--seed", "7"];
    let quiet = building("demo", &demo, 40_100, Duration::from_secs(45), None).await?;
    let load = ["load", "--mbus", "250", "--modbus", "50"];
    let loaded = building("300 meters", &load, 40_300, Duration::from_secs(150), None).await?;
    row("memory with 300 meters, against the demo's", ratio(loaded, quiet), "");

    let ten_years = made(Years::TEN).await?;
    let load = ["load", "--mbus", "500", "--modbus", "200"];
    let name = "700 meters, ten years";
    // Until all of it has been packed at least once.
    let settle = Duration::from_secs(330);
    let old = building(name, &load, 40_500, settle, Some(&ten_years)).await?;
    row("memory with ten years, against the demo's", ratio(old, quiet), "");
    ensure!(1_024 * old <= 64_000_000, "a building of ten years takes too much memory");
    browser::figures().await
}

/// The store of a building of some years, which is made once and kept.
async fn made(years: Years) -> anyhow::Result<PathBuf> {
    let under = paths::root().join("target/tmp");
    std::fs::create_dir_all(&under)?;
    let said = |day: u32| {
        if day.is_multiple_of(365) {
            println!("  year {} of {} is made", day / 365, years.days / 365);
        }
    };
    Ok(years.ready(&under, said).await?)
}

/// Has the gateway of `plan` be the one that has read its first meters for `years`, which are in `store`.
fn age(plan: &Plan, site: &Path, years: Years, store: &Path) -> anyhow::Result<()> {
    for file in std::fs::read_dir(store)? {
        let file = file?;
        std::fs::copy(file.path(), plan.state("gateway").join(file.file_name()))?;
    }
    let mut text = std::fs::read_to_string(site)?;
    let file: toml::Table = text.parse()?;
    let meters = file.get("meter").and_then(toml::Value::as_array);
    let mut meters: Vec<_> = meters.context("the building has meters")?.iter().collect();
    // What is brought is of heat meters; the one that was read every minute is the main.
    meters.sort_by_key(|it| it.get("medium").and_then(toml::Value::as_str) != Some("heat"));
    for (installed, number) in meters.into_iter().zip((0..=years.meters).rev()) {
        let id = installed.get("id").and_then(toml::Value::as_str).context("a meter has an id")?;
        // Others may be a part of it.
        text = text.replace(id, &meter(number).to_string());
    }
    Ok(std::fs::write(site, text)?)
}

/// Sizes of what is shipped.
fn sizes() -> anyhow::Result<()> {
    let mut probe = 0;
    for (name, label) in
        [("fyrhus", "binary fyrhus"), ("fyrhus-portfolio", "binary fyrhus-portfolio")]
    {
        let bytes = std::fs::metadata(paths::binary(name).map_err(anyhow::Error::msg)?)?.len();
        row(label, megabytes(bytes), "");
        probe += bytes;
    }
    ensure!(probe > 0, "the binaries are not empty");
    let dist = paths::root().join("web-ui/dist/gateway");
    let bytes = first_page(&dist)?;
    row("first page, gzipped", format!("{:.1} kB", bytes as f64 / 1_000.0), "at most 75 kB");
    ensure!(bytes <= 75_000, "the first page is too large");
    Ok(())
}

/// Bytes of `index.html` and of every script and style that it asks for at once, each gzipped.
fn first_page(dist: &Path) -> anyhow::Result<u64> {
    let index = std::fs::read_to_string(dist.join("index.html"))
        .context("the front end is not built: make web")?;
    let mut bytes = gzipped(index.as_bytes())?;
    for asset in
        index.split('"').filter(|part| matches!(part.rsplit_once('.'), Some((_, "js" | "css"))))
    {
        bytes += gzipped(&std::fs::read(dist.join(asset.trim_start_matches('/')))?)?;
    }
    Ok(bytes)
}

fn gzipped(bytes: &[u8]) -> anyhow::Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}

/// Starts a building and a gateway beside it, measures the start, and the memory after `settle`.
/// Returns the resident memory in kB.
async fn building(
    name: &str,
    arguments: &[&str],
    base_port: u16,
    settle: Duration,
    ten_years: Option<&Path>,
) -> anyhow::Result<u64> {
    let years = ten_years.map(|store| (Years::TEN, store));
    let mut running = Running::start(name, arguments, base_port, years).await?;
    let Running { gateway, client, url, begun, .. } = &running;
    let status = || async {
        let status = client.get(format!("{url}/api/v1/status")).send().await?;
        anyhow::Ok(status.json::<Value>().await?)
    };
    let stored =
        |status: &Value| status.pointer("/store/stored").and_then(Value::as_u64).unwrap_or(0);
    wait_for("the first stored reading", Duration::from_mins(1), || async {
        Ok(stored(&status().await?) > 0)
    })
    .await?;
    row(&format!("{name}: start to first stored reading"), milliseconds(begun.elapsed()), "15 s");

    let before = stored(&status().await?);
    tokio::time::sleep(settle).await;
    if ten_years.is_some() {
        look_around(client, &format!("{url}/api/v1")).await?;
    }
    let after = status().await?;
    ensure!(stored(&after) > before, "it stores nothing");
    let answered: u64 = sum(&after, "answered");
    let failed: u64 = sum(&after, "failed");
    row(
        &format!("{name}: readings stored in {} s", settle.as_secs()),
        format!("{}", stored(&after) - before),
        &format!("{answered} answers, {failed} without"),
    );
    let resident = gateway.resident_kb()?;
    let limit = if ten_years.is_some() { "at most 64 MB" } else { "at most 256 MB" };
    row(&format!("{name}: resident memory"), megabytes(1_024 * resident), limit);
    row(&format!("{name}: and at its highest"), megabytes(1_024 * gateway.highest_kb()?), "");
    let stopped = running.gateway.stop(Duration::from_mins(1))?;
    row(&format!("{name}: stop, with everything stored"), milliseconds(stopped), "at most 5 s");
    Ok(resident)
}

/// A building with the gateway that reads it, and its owner.
struct Running {
    client: reqwest::Client,
    url: String,
    begun: Instant,
    // In this order they are stopped, and what they kept goes.
    gateway: Program,
    _meters: Program,
    _folder: TempDir,
}

impl Running {
    /// Starts them on ports from `base_port` on, and makes the owner.
    async fn start(
        name: &str,
        arguments: &[&str],
        base_port: u16,
        years: Option<(Years, &Path)>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let plan = Plan {
            data: folder.path().to_owned(),
            building: &KVERNHUSGATA,
            seed: 7,
            port: base_port + 1,
            portfolio_port: 0,
            base_port: base_port + 2,
            history: TimeDelta::zero(),
            now: chrono::DateTime::UNIX_EPOCH,
            contract: false,
        };
        plan.write_files()?;
        let buses = (base_port + 10).to_string();
        let file = folder.path().join("gateway/site.toml");
        let site = file.display().to_string();
        let more = ["--base-port", buses.as_str(), "--write-site", site.as_str()];
        let mut meters =
            Program::start("meter-sim", arguments.iter().chain(&more), &plan.log("building"))?;
        meters.json_line(Duration::from_mins(1))?;
        if let Some((years, store)) = years {
            age(&plan, &file, years, store)?;
        }

        let begun = Instant::now();
        let (gateway, ready) = plan.start_gateway()?;
        let url = format!("http://127.0.0.1:{}", plan.port);
        let client = http()?;
        wait_for("the first page", Duration::from_secs(15), || async {
            Ok(client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()))
        })
        .await?;
        row(&format!("{name}: start to first page"), milliseconds(begun.elapsed()), "");

        let [owner, password] = OWNER;
        let claim = json!({ "code": ready.get("claim_code"), "name": owner, "password": password });
        let claimed = client
            .post(format!("{url}/api/v1/claim"))
            .header("Origin", &url)
            .json(&claim)
            .send()
            .await?;
        ensure!(claimed.status().is_success(), "claim: {}", claimed.text().await?);
        Ok(Self { client, url, begun, gateway, _meters: meters, _folder: folder })
    }
}

/// Who logs in to what is measured.
const OWNER: [&str; 2] = ["eier", "tolv tegn minst"];

/// Asks what the pages ask, so that what is kept for questions is in memory as well.
async fn look_around(client: &reqwest::Client, api: &str) -> anyhow::Result<()> {
    let get = async |path: &str| {
        let answer = client.get(format!("{api}/{path}")).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.text().await?);
        anyhow::Ok(())
    };
    get("overview").await?;
    get("meters").await?;
    let until = END_MS - 86_400_000;
    let time = |ms: i64| {
        let time = chrono::DateTime::from_timestamp_millis(ms).context("a time")?;
        anyhow::Ok(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    let (from, until) = (time(until - 365 * 86_400_000)?, time(until)?);
    for id in (0..20).map(meter) {
        for step in ["hour", "month"] {
            let span = format!("step={step}&from={from}&until={until}");
            get(&format!("meters/{id}/history?register=energy&{span}")).await?;
        }
    }
    Ok(())
}

fn sum(status: &Value, key: &str) -> u64 {
    let buses =
        status.get("buses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    buses.iter().filter_map(|bus| bus.get(key)?.as_u64()).sum()
}

fn row(what: &str, figure: impl std::fmt::Display, beside: &str) {
    println!("  {what:<52} {figure:>12}   {beside}");
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn ratio(a: u64, b: u64) -> String {
    format!("{:.2}", a as f64 / b as f64)
}
