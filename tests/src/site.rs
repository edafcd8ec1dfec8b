//! A whole site on this machine: a simulated building, a gateway and a portfolio service.
//!
//! ```text
//! meter-sim ──M-Bus, Modbus──▶ fyrhus ──HTTPS, mutual TLS──▶ fyrhus-portfolio
//!                                └──HTTP on loopback──▶ whoever looks  ▲
//!      the same for each neighbour, a smaller building ────────────────┘
//! ```

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::building::KEYS;
use crate::neighbours::{NEIGHBOURS, Subject};
use crate::owner;
use crate::paths;
use crate::process::Program;

/// Where a site keeps its files and on which ports it is served.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder of all state; made if it is not there.
    pub data: PathBuf,
    /// What the gateway measures.
    pub building: &'static Subject,
    /// Which building, of all that the simulator can make.
    pub seed: u64,
    /// The gateway's page, plain HTTP on loopback.
    pub port: u16,
    /// The portfolio's page, plain HTTP on loopback.
    pub portfolio_port: u16,
    /// The first of the ports on which the simulated buses and the TLS listeners stand.
    pub base_port: u16,
    /// How much history the building brings with it.
    pub history: TimeDelta,
    /// The year's end: now, in a demo.
    pub now: DateTime<Utc>,
    /// Whether what was agreed on uptime stands in the ledger from the start.
    pub contract: bool,
}

/// A site that runs.
#[derive(Debug)]
pub struct Site {
    /// Where it is.
    pub plan: Plan,
    /// Who may log in, and where.
    pub access: Access,
    /// The building.
    pub building: Program,
    /// The gateway.
    pub gateway: Program,
    /// The portfolio service.
    pub portfolio: Program,
    /// The other buildings of the portfolio, each with its gateway.
    pub neighbours: Vec<(Program, Program)>,
}

/// Addresses and credentials, made freshly with the data folder and kept in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The gateway's page.
    pub gateway_url: String,
    /// Its owner.
    pub gateway_user: String,
    /// The owner's password.
    pub gateway_password: String,
    /// The portfolio's page.
    pub portfolio_url: String,
    /// Its owner.
    pub portfolio_user: String,
    /// The owner's password.
    pub portfolio_password: String,
}

impl Site {
    /// Makes what is missing of the site and of so many neighbours, and starts it; `tell` hears what
    /// is being done.
    pub async fn start(
        plan: Plan,
        neighbours: usize,
        mut tell: impl FnMut(&str),
    ) -> anyhow::Result<Self> {
        plan.write_files()?;
        plan.write_portfolio()?;

        tell(
            "The building: meters and sensors on M-Bus, Modbus, HAN, radio, 1-Wire, MQTT and pulse inputs",
        );
        let (building, fresh) = plan.start_with_past(&plan, &mut tell)?;
        tell("The portfolio service");
        let (portfolio, portfolio_ready) = plan.start_portfolio()?;
        tell("The gateway");
        if fresh {
            plan.enrol(&plan)?;
        }
        let (gateway, gateway_ready) = plan.start_gateway()?;
        if fresh {
            plan.agree()?;
        }
        let access = plan.claim(&gateway_ready, &portfolio_ready).await?;

        let (mut others, mut buildings) = (Vec::new(), vec![plan.building]);
        for neighbour in plan.neighbours().take(neighbours) {
            tell(&format!("{}, with a gateway of its own", neighbour.building.name));
            neighbour.write_files()?;
            let (building, fresh) = neighbour.start_with_past(&plan, &mut tell)?;
            if fresh {
                neighbour.enrol(&plan)?;
            }
            let (gateway, ready) = neighbour.start_gateway()?;
            if fresh {
                let url = format!("http://127.0.0.1:{}", neighbour.port);
                claim(&url, &ready, &access.gateway_user, &access.gateway_password)
                    .await
                    .with_context(|| format!("claim {}", neighbour.building.name))?;
                neighbour.agree()?;
            }
            others.push((building, gateway));
            buildings.push(neighbour.building);
        }
        if fresh {
            tell(
                "Area, meters that count, place and tags of each, as their owner tells the portfolio",
            );
            owner::fill_in(&access, &buildings).await?;
        }
        Ok(Self { plan, access, building, gateway, portfolio, neighbours: others })
    }

    /// Stops everything in order, and returns how long the gateway took.
    pub fn stop(&mut self) -> anyhow::Result<Duration> {
        let gateway = self.gateway.stop(STOP);
        for (_, gateway) in &mut self.neighbours {
            gateway.stop(STOP)?;
        }
        let portfolio = self.portfolio.stop(STOP);
        for (building, _) in &mut self.neighbours {
            building.stop(STOP)?;
        }
        let building = self.building.stop(STOP);
        portfolio?;
        building?;
        gateway
    }
}

impl Plan {
    /// The folder of what `program` keeps.
    pub fn state(&self, program: &str) -> PathBuf {
        self.data.join(program)
    }

    /// The file that configures `program`.
    pub fn config(&self, program: &str) -> PathBuf {
        self.data.join(format!("{program}.toml"))
    }

    /// The log of `program`.
    pub fn log(&self, program: &str) -> PathBuf {
        self.data.join(format!("{program}.log"))
    }

    /// The other buildings of the same owner, on the ports behind this one's.
    fn neighbours(&self) -> impl Iterator<Item = Self> {
        (1..).zip(NEIGHBOURS).map(|(number, building)| Self {
            data: self.data.join(building.folder),
            building,
            seed: self.seed + u64::from(number),
            contract: true,
            port: self.port + number,
            base_port: self.base_port + 40 * number,
            ..self.clone()
        })
    }

    /// Writes the configuration of the gateway, and the file of its building.
    pub fn write_files(&self) -> anyhow::Result<()> {
        let state = self.state("gateway");
        fs::create_dir_all(&state).with_context(|| format!("make {}", state.display()))?;
        if let Some(text) = self.building.file {
            fs::write(self.config("building"), text)?;
        }
        fs::write(
            self.config("gateway"),
            format!(
                "[paths]\nstate = \"{state}\"\n\n[web]\nlisten = \"127.0.0.1:{tls}\"\n\
                 http = \"127.0.0.1:{port}\"\n\n[clock]\nsource = \"host\"\n",
                state = state.display(),
                tls = self.base_port,
                port = self.port,
            ),
        )?;
        Ok(())
    }

    /// Writes the configuration of the portfolio.
    fn write_portfolio(&self) -> anyhow::Result<()> {
        let state = self.state("portfolio");
        fs::create_dir_all(&state).with_context(|| format!("make {}", state.display()))?;
        fs::write(
            self.config("portfolio"),
            format!(
                "[paths]\nstate = \"{state}\"\n\n[people]\nlisten = \"127.0.0.1:{port}\"\n\
                 plain_http = true\n\n[gateways]\nlisten = \"127.0.0.1:{gateways}\"\n\
                 names = [\"localhost\", \"127.0.0.1\"]\n",
                state = state.display(),
                port = self.portfolio_port,
                gateways = self.gateways_port(),
            ),
        )?;
        Ok(())
    }

    /// Where the portfolio listens to gateways.
    const fn gateways_port(&self) -> u16 {
        self.base_port + 1
    }

    /// Starts the building, and gives its gateway what it was before today, if there is none yet: its
    /// configuration, its keys and its history. Returns whether it was given.
    fn start_with_past(
        &self,
        portfolio: &Self,
        tell: &mut impl FnMut(&str),
    ) -> anyhow::Result<(Program, bool)> {
        let fresh = !self.state("gateway").join("site.toml").exists();
        let building = self.start_building()?;
        if fresh {
            self.point_at_cloud(portfolio)?;
            self.import_keys()?;
            tell(&format!(
                "{} days of history, through the store's import",
                self.history.num_days()
            ));
            let readings = self.import_history()?;
            tell(&format!("  {readings} readings"));
        }
        Ok((building, fresh))
    }

    /// Which building, as the simulator is told.
    fn subject(&self) -> Option<String> {
        self.building.file.map(|_| self.config("building").display().to_string())
    }

    fn start_building(&self) -> anyhow::Result<Program> {
        let buses = (self.base_port + 2).to_string();
        let site = self.state("gateway").join("site.toml");
        let seed = self.seed.to_string();
        let folder = self.state("building").display().to_string();
        let subject = self.subject().unwrap_or_else(|| "--demo".into());
        let mut arguments = vec!["run", &subject, "--seed", &seed, "--base-port", &buses];
        arguments.extend(["--folder", &folder]);
        let site = site.display().to_string();
        if !Path::new(&site).exists() {
            arguments.extend(["--write-site", &site]);
        }
        let mut building = Program::start("meter-sim", arguments, &self.log("building"))?;
        building.json_line(READY)?;
        Ok(building)
    }

    /// Adds the portfolio to the building's configuration. What tells an outage of it from one of
    /// the link are the simulated buses, so that nothing leaves this machine.
    fn point_at_cloud(&self, portfolio: &Self) -> anyhow::Result<()> {
        let [first, second, third] = [2, 3, 4].map(|offset| portfolio.base_port + offset);
        let cloud = format!(
            "\n[cloud]\nurl = \"https://127.0.0.1:{url}\"\nreferences = [\"127.0.0.1:{first}\", \
             \"127.0.0.1:{second}\", \"127.0.0.1:{third}\"]\n",
            url = portfolio.gateways_port(),
        );
        let site = self.state("gateway").join("site.toml");
        fs::OpenOptions::new().append(true).open(site)?.write_all(cloud.as_bytes())?;
        Ok(())
    }

    /// The keys of the meters that encrypt, as their supplier has sent them; what he sent is gone
    /// then.
    fn import_keys(&self) -> anyhow::Result<()> {
        let keys = self.state("gateway").join(KEYS);
        if !keys.exists() {
            return Ok(());
        }
        let import = Command::new(paths::binary("fyrhus").map_err(anyhow::Error::msg)?)
            .args(["keys", "import", "--config"])
            .arg(self.config("gateway"))
            .arg(&keys)
            .output()?;
        if !import.status.success() {
            bail!("no keys: {}", String::from_utf8_lossy(&import.stderr));
        }
        Ok(fs::remove_file(keys)?)
    }

    /// Hourly readings up to the last full hour, then one a minute, so that what was used since
    /// then is not all counted in the minute in which the gateway starts. Returns how many.
    fn import_history(&self) -> anyhow::Result<u64> {
        let hour = self.now.timestamp() / 3_600 * 3_600;
        // From the first of a month: half a month beside a whole one misleads.
        let first = (self.now - self.history).date_naive().with_day(1).context("has a first")?;
        let from = first.and_time(NaiveTime::MIN).and_utc().timestamp();
        let hourly = self.import(from, hour, "1h")?;
        Ok(hourly + self.import(hour, self.now.timestamp(), "1m")?)
    }

    fn import(&self, from: i64, until: i64, step: &str) -> anyhow::Result<u64> {
        let time = |second| {
            DateTime::from_timestamp(second, 0).map(|at| at.to_rfc3339()).unwrap_or_default()
        };
        let program = |name| paths::binary(name).map_err(anyhow::Error::msg);
        let mut history = Command::new(program("meter-sim")?)
            .arg("history")
            .args(self.subject())
            .args(["--seed", &self.seed.to_string(), "--step", step])
            .args(["--from", &time(from), "--until", &time(until)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let csv = history.stdout.take().context("its standard output is piped")?;
        let import = Command::new(program("fyrhus")?)
            .args(["import", "--json", "--origin", "simulated", "--config"])
            .arg(self.config("gateway"))
            .arg("-")
            .stdin(csv)
            .stderr(fs::File::create(self.log("import"))?)
            .output()?;
        history.wait()?;
        if !import.status.success() {
            bail!("the history cannot be imported: see {}", self.log("import").display());
        }
        let told: Value = serde_json::from_slice(&import.stdout)?;
        let imported = told.get("imported").and_then(Value::as_u64);
        imported.context("the import tells how many readings it took")
    }

    fn start_portfolio(&self) -> anyhow::Result<(Program, Value)> {
        let config = self.config("portfolio").display().to_string();
        let arguments = ["run", "--json", "--config", &config];
        let mut portfolio = Program::start("fyrhus-portfolio", arguments, &self.log("portfolio"))?;
        let ready = portfolio.json_line(READY)?;
        Ok((portfolio, ready))
    }

    /// From a one-time code to the gateway's certificate, as an installer does it.
    fn enrol(&self, portfolio: &Self) -> anyhow::Result<()> {
        let code = Command::new(paths::binary("fyrhus-portfolio").map_err(anyhow::Error::msg)?)
            .args(["enrol-code", "--json", "--site-name", self.building.name, "--config"])
            .arg(portfolio.config("portfolio"))
            .output()?;
        let code: Value = serde_json::from_slice(&code.stdout).with_context(|| {
            format!("no enrolment code: {}", String::from_utf8_lossy(&code.stderr))
        })?;
        let code =
            code.get("code").and_then(Value::as_str).context("the enrolment code is a text")?;
        let enrolled = Command::new(paths::binary("fyrhus").map_err(anyhow::Error::msg)?)
            .args(["enrol", "--url", &format!("https://127.0.0.1:{}", portfolio.gateways_port())])
            .args(["--code", code, "--config"])
            .arg(self.config("gateway"))
            .output()?;
        if !enrolled.status.success() {
            bail!("not enrolled: {}", String::from_utf8_lossy(&enrolled.stderr));
        }
        Ok(())
    }

    /// What the cloud promises, from today on, as an owner has it written down. The
    /// gateway that runs takes it.
    fn agree(&self) -> anyhow::Result<()> {
        if !self.contract {
            return Ok(());
        }
        let start = self.now.date_naive();
        let file = self.config("contract");
        fs::write(
            &file,
            format!(
                "line = \"{line}\"\ncustomer = \"Bakken eiendom AS\"\nvendor = \"Fjord Energidata AS\"\n\
                 annual_fee = \"{fee}.00\"\nstart = \"{start}\"\n",
                line = self.building.line,
                fee = self.building.annual_fee,
            ),
        )?;
        let recorded = Command::new(paths::binary("fyrhus").map_err(anyhow::Error::msg)?)
            .args(["sla", "record", "contract", "--config"])
            .arg(self.config("gateway"))
            .arg(&file)
            .output()?;
        if !recorded.status.success() {
            bail!("no contract: {}", String::from_utf8_lossy(&recorded.stderr));
        }
        Ok(())
    }

    /// Starts the gateway, and returns what it said when it was ready.
    pub fn start_gateway(&self) -> anyhow::Result<(Program, Value)> {
        let config = self.config("gateway").display().to_string();
        let arguments = ["run", "--ready-json", "--config", &config];
        let mut gateway = Program::start("fyrhus", arguments, &self.log("gateway"))?;
        let ready = gateway.json_line(READY)?;
        Ok((gateway, ready))
    }

    /// The first user of both, or those of an earlier start of the same folder.
    async fn claim(&self, gateway: &Value, portfolio: &Value) -> anyhow::Result<Access> {
        let kept = self.data.join("access.json");
        if let Ok(text) = fs::read_to_string(&kept) {
            return Ok(serde_json::from_str(&text)?);
        }
        let access = Access {
            gateway_url: format!("http://127.0.0.1:{}", self.port),
            gateway_user: "eier".into(),
            gateway_password: password(),
            portfolio_url: format!("http://127.0.0.1:{}", self.portfolio_port),
            portfolio_user: "eier".into(),
            portfolio_password: password(),
        };
        claim(&access.gateway_url, gateway, &access.gateway_user, &access.gateway_password)
            .await
            .context("claim the gateway")?;
        claim(&access.portfolio_url, portfolio, &access.portfolio_user, &access.portfolio_password)
            .await
            .context("claim the portfolio")?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(kept)?
            .write_all(serde_json::to_string_pretty(&access)?.as_bytes())?;
        Ok(access)
    }
}

async fn claim(url: &str, ready: &Value, name: &str, password: &str) -> anyhow::Result<()> {
    let code = ready
        .get("claim_code")
        .and_then(Value::as_str)
        .context("the claim code is told when it is ready")?;
    let response = http()?
        .post(format!("{url}/api/v1/claim"))
        .header("Origin", url)
        .json(&json!({ "code": code, "name": name, "password": password }))
        .send()
        .await?;
    let status = response.status();
    if !status.is_success() {
        bail!("{status}: {}", response.text().await?);
    }
    Ok(())
}

/// A client for pages on loopback.
pub fn http() -> anyhow::Result<reqwest::Client> {
    // Installed once for the process; a second time changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().timeout(Duration::from_secs(30)).cookie_store(true).build()?)
}

/// Some 79 random bits in 16 letters, in groups that can be read aloud.
fn password() -> String {
    const LETTERS: [char; 31] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u',
        'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
    ];
    let group = |_| (0..4).filter_map(|_| LETTERS.choose(&mut rand::rng())).collect::<String>();
    (0..4).map(group).collect::<Vec<_>>().join("-")
}

/// Waits until `done` says so, asking every 50 ms: for what has no event to wait for.
pub async fn wait_for<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    within: Duration,
    mut done: impl FnMut() -> F,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while !done().await? {
        if begun.elapsed() > within {
            bail!("{what}: not within {} s", within.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(begun.elapsed())
}

/// How long a program may take to listen: a slow machine, not a slow program.
const READY: Duration = Duration::from_mins(5);
/// Against hanging. The 5 s that the programs promise are measured, not tested.
const STOP: Duration = Duration::from_mins(1);
