//! A simulated building beside a gateway: the real `meter-sim`, on free ports.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::gateway::Home;
use crate::process::Program;

/// A building that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Building {
    program: Program,
    buses: Value,
}

impl Building {
    /// Starts the building that `plan` describes (`building.toml`) and writes the `site.toml` by
    /// which the gateway of `home` reads it.
    pub fn start(home: &Home, plan: &str) -> anyhow::Result<Self> {
        Self::with_ptys(home, plan, &[])
    }

    /// The same, with the buses `ptys` on serial lines and not on TCP ports.
    pub fn with_ptys(home: &Home, plan: &str, ptys: &[&str]) -> anyhow::Result<Self> {
        let ptys: Vec<&str> = ptys.iter().flat_map(|bus| ["--pty", bus]).collect();
        Self::with(home, plan, &ptys)
    }

    /// The same, in which time passes `speed` times as fast as in life.
    pub fn at_speed(home: &Home, plan: &str, speed: &str) -> anyhow::Result<Self> {
        Self::with(home, plan, &["--speed", speed])
    }

    fn with(home: &Home, plan: &str, more: &[&str]) -> anyhow::Result<Self> {
        let file = home.folder().join("building.toml");
        std::fs::write(&file, plan)?;
        let [file, site, folder] =
            [file, home.site(), home.folder().join("wires")].map(|path| path.display().to_string());
        let places = ["--write-site", &site, "--folder", &folder];
        let arguments = ["run", &file, "--base-port", "0"].into_iter().chain(places);
        let arguments = arguments.chain(more.iter().copied());
        let log = home.folder().join("building.log");
        let mut program = Program::start("meter-sim", arguments, &log)?;
        let mut ready = program.json_line(READY)?;
        let buses = ready.get_mut("buses").context("it tells its buses")?.take();
        Ok(Self { program, buses })
    }

    /// The id of the meter `name`, as in `site.toml`.
    pub fn meter(&self, name: &str) -> anyhow::Result<String> {
        self.told(name, "id")
    }

    /// What is on the plate of the meter `name`: on an M-Bus its whole secondary address, which
    /// begins with the serial number.
    pub fn plate(&self, name: &str) -> anyhow::Result<String> {
        self.told(name, "plate")
    }

    fn told(&self, name: &str, key: &str) -> anyhow::Result<String> {
        let found = self.meters().find(|meter| meter.get("name").is_some_and(|it| it == name));
        let told = found.and_then(|meter| meter.get(key)?.as_str());
        Ok(told.with_context(|| format!("no meter {name} in {}", self.buses))?.to_owned())
    }

    /// The ids of all meters.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.meters().filter_map(|meter| meter.get("id")?.as_str())
    }

    fn meters(&self) -> impl Iterator<Item = &Value> {
        let buses = self.buses.as_array().into_iter().flatten();
        buses.filter_map(|bus| bus.get("meters")?.as_array()).flatten()
    }

    /// Has something go wrong in it, or right again: `silence METER on`, `heal METER`, …
    pub fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        self.told_after(command).map(drop)
    }

    /// Has a fault come at the meters `names`, or go (`heal`), and waits until each has said
    /// something since.
    pub async fn tell_and_hear(&mut self, fault: &str, names: &[&str]) -> anyhow::Result<()> {
        let answers = |told: &Value| told.get("answers").and_then(Value::as_u64);
        let on = if fault == "heal" { "" } else { " on" };
        let mut before = Vec::new();
        for name in names {
            before.push((name, answers(&self.told_after(&format!("{fault} {name}{on}"))?)));
        }
        let begun = Instant::now();
        for (name, before) in before {
            while answers(&self.told_after(&format!("count {name}"))?) <= before {
                ensure!(begun.elapsed() < READY, "{name} says nothing after {fault}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    fn told_after(&mut self, command: &str) -> anyhow::Result<Value> {
        self.program.say(command)?;
        let answer = self.program.json_line(READY)?;
        ensure!(answer.get("done").is_some(), "{command}: {answer}");
        Ok(answer)
    }
}

/// A table of the keys of its meters that encrypt is beside `site.toml`, as a supplier sends it.
pub const KEYS: &str = "meter-keys.csv";

/// A building with one meter, which is well.
pub const WELL: &str = r#"
name = "Bod"
[[bus]]
id = "well"
kind = "mbus"
poll_every_secs = 10
[[meter]]
name = "Well"
bus = "well"
address = 5
device = "cold-water"
place = "cold-2"
"#;

/// For a busy machine.
const READY: Duration = Duration::from_mins(5);
