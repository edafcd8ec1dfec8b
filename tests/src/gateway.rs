//! One gateway with files of its own, and the owner who looks at its pages.
//!
//! ```text
//! Home      the folder: fyrhus.toml, site.toml, the store, the log. Outlives every start.
//!   └─ Gateway    the daemon that runs there now, and a logged-in owner
//! ```

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::paths;
use crate::process::Program;
use crate::site::http;

/// The folder of a gateway. It is removed when this is dropped.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    client: reqwest::Client,
}

/// A gateway that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    /// The daemon.
    pub program: Program,
    /// What it said when it was ready.
    pub ready: Value,
    url: String,
    client: reqwest::Client,
    log: PathBuf,
}

impl Home {
    /// A folder with a `fyrhus.toml` that serves the pages on free ports of loopback.
    pub fn new() -> anyhow::Result<Self> {
        let home = Self { folder: tempfile::tempdir()?, client: http()? };
        fs::create_dir(home.state())?;
        home.write_machine("127.0.0.1:0")?;
        Ok(home)
    }

    /// A folder with this `site.toml` too.
    pub fn with_site(site: &str) -> anyhow::Result<Self> {
        let home = Self::new()?;
        fs::write(home.site(), site)?;
        Ok(home)
    }

    /// Writes `fyrhus.toml` with this address for HTTPS.
    pub fn write_machine(&self, listen: &str) -> anyhow::Result<()> {
        let text = format!(
            "[paths]\nstate = \"{}\"\n\n[web]\nlisten = \"{listen}\"\nhttp = \"127.0.0.1:0\"\n\n\
             [clock]\nsource = \"host\"\n",
            self.state().display()
        );
        fs::write(self.config(), text).context("write fyrhus.toml")
    }

    /// The folder that holds all of it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// `site.toml`, whether it is there or not.
    pub fn site(&self) -> PathBuf {
        self.state().join("site.toml")
    }

    /// `fyrhus.toml`.
    pub fn config(&self) -> PathBuf {
        self.folder().join("fyrhus.toml")
    }

    /// What the daemon that was started last has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where it is.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("gateway.log")
    }

    /// Starts the daemon, and does not wait for it.
    pub fn launch(&self) -> anyhow::Result<Program> {
        let config = self.config();
        let arguments = ["run".as_ref(), "--ready-json".as_ref(), "--config".as_ref(), &*config];
        Program::start("fyrhus", arguments, &self.log_file())
    }

    /// Starts the daemon and waits until its pages are there. At the first start it is claimed;
    /// later the owner is still logged in, or logs in again.
    pub async fn start(&self) -> anyhow::Result<Gateway> {
        let mut program = self.launch()?;
        let ready = program.json_line(READY).with_context(|| self.log())?;
        self.enter(program, ready).await
    }

    /// The gateway that runs as `program` and said `ready`; its owner is logged in.
    pub async fn enter(&self, program: Program, ready: Value) -> anyhow::Result<Gateway> {
        let url = ready.get("http").and_then(Value::as_str);
        let url = url.context("plain HTTP is configured")?.to_owned();
        let (client, log) = (self.client.clone(), self.log_file());
        let gateway = Gateway { program, ready, url, client, log };
        gateway.enter().await?;
        Ok(gateway)
    }

    /// Runs the command `fyrhus ARGUMENTS… --config FILE` to its end.
    pub fn fyrhus<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<Output> {
        let program = paths::binary("fyrhus").map_err(anyhow::Error::msg)?;
        let mut command = Command::new(program);
        command.args(arguments).arg("--config").arg(self.config());
        command.output().context("fyrhus does not start")
    }
}

impl Gateway {
    async fn enter(&self) -> anyhow::Result<()> {
        let (name, password) = ("eier", "en lang nok setning");
        if let Some(code) = self.ready.get("claim_code").and_then(Value::as_str) {
            let claim = json!({ "code": code, "name": name, "password": password });
            self.done(self.request(Method::POST, "claim").json(&claim)).await?;
        } else if self.get("session").await?.pointer("/user/id").is_none() {
            let login = json!({ "name": name, "password": password });
            self.done(self.request(Method::POST, "session").json(&login)).await?;
        }
        Ok(())
    }

    /// What `GET /api/v1/{path}` answers.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.done(self.request(Method::GET, path)).await
    }

    /// The stored readings of a register, the newest first, absences among them; none while the
    /// store does not know the register yet.
    pub async fn readings(&self, meter: &str, register: &str) -> anyhow::Result<Vec<Value>> {
        let status = self.get("status").await?;
        let started = status.get("started_at").and_then(Value::as_str).context("it has started")?;
        let started: DateTime<Utc> = started.parse()?;
        let [from, until] = [started - TimeDelta::days(30), started + TimeDelta::days(30)]
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let path = format!(
            "meters/{meter}/readings?register={register}&from={from}&until={until}&limit=1000"
        );
        let (status, answer) = self.answer(self.request(Method::GET, &path)).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer.get("readings").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// A request that a page of this gateway makes.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}/api/v1/{path}", self.url));
        request.header("Origin", &self.url)
    }

    /// Sends `request`, which has to succeed; what it answers, `null` if that is nothing.
    pub async fn done(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let (status, answer) = self.answer(request).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer)
    }

    /// Sends `request`: how it ended, and what it answers.
    pub async fn answer(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Asks for `path` until `holds` is true of the answer, which is returned.
    ///
    /// # Errors
    ///
    /// If it does not come true within a minute: with the last answer and the log.
    pub async fn until(
        &self,
        what: &str,
        path: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        self.awaited(what, async || self.get(path).await, holds).await
    }

    /// Asks for the readings of a register, the newest first, until `holds` is true of them.
    ///
    /// # Errors
    ///
    /// If it does not come true within a minute: with the last readings and the log.
    pub async fn until_readings(
        &self,
        what: &str,
        meter: &str,
        register: &str,
        holds: impl Fn(&[Value]) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        let ask = async || self.readings(meter, register).await;
        self.awaited(what, ask, |readings| holds(readings)).await
    }

    async fn awaited<T: Debug>(
        &self,
        what: &str,
        ask: impl AsyncFn() -> anyhow::Result<T>,
        holds: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let answer = ask().await?;
            if holds(&answer) {
                return Ok(answer);
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "not within {} s: {what}\n{answer:#?}\n{}",
                PATIENCE.as_secs(),
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How long the daemon may take to listen: a debug build on a busy machine.
const READY: Duration = Duration::from_mins(5);
/// How long a test waits for what has to come true.
const PATIENCE: Duration = Duration::from_mins(5);
/// The pages have an event for most of it; a question each time is simpler to read in a test.
const LOOK_EVERY: Duration = Duration::from_millis(50);
