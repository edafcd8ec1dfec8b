//! `meter-sim`: a simulated building on real wires.

mod clock;

use std::io::{BufRead, BufWriter, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Parser, Subcommand};
use meter_sim::{Captured, Options, Plan, Port, Replay, Simulator};
use meter_sim::{HELP, broker_users, command, meter_keys, site_toml, write_history};
use metering::Clock;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::{FastClock, SystemClock};

/// A simulated building whose meters speak M-Bus, Modbus and more.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a building until Ctrl-C; commands such as `silence METER on` are read from standard input.
    Run {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        serve: Serve,
        /// How many times faster than life time passes in the building.
        #[arg(long, default_value_t = 1)]
        speed: u32,
    },
    /// Serve very many small meters as fast as they can answer, for measurements.
    Load {
        /// How many M-Bus meters.
        #[arg(long, default_value_t = 250)]
        mbus: u16,
        /// How many Modbus meters.
        #[arg(long, default_value_t = 50)]
        modbus: u16,
        #[command(flatten)]
        serve: Serve,
    },
    /// Write what the demo's meters showed in the past, as CSV: time,meter,register,value,unit.
    History {
        /// The building's file, if it is not the demo's.
        building: Option<PathBuf>,
        /// What decides all chance in the building.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The first moment, such as 2025-11-21T00:00:00Z.
        #[arg(long)]
        from: DateTime<Utc>,
        /// The moment before which it ends.
        #[arg(long)]
        until: DateTime<Utc>,
        /// From moment to moment: a number and s, m, h or d.
        #[arg(long, default_value = "1h", value_parser = step)]
        step: TimeDelta,
    },
    /// Serve captured M-Bus frames as they are, each file on a TCP port of its own.
    Replay {
        /// Files of hex; several frames in one file are telegrams of one meter.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The first port; the next ones follow. Without it, any free ports.
        #[arg(long)]
        base_port: Option<u16>,
        /// Bits a second of the wire; without it as fast as possible.
        #[arg(long)]
        baud: Option<u32>,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The building's file.
    building: Option<PathBuf>,
    /// The building of the demo instead of a file.
    #[arg(long)]
    demo: bool,
}

#[derive(Args)]
struct Serve {
    /// What decides all chance in the building.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first bus's TCP port, the next ones follow; 0 takes any free ports.
    #[arg(long, default_value_t = 10_001)]
    base_port: u16,
    /// Make this bus a pty instead of a TCP port; may be given several times.
    #[arg(long = "pty", value_name = "BUS")]
    ptys: Vec<String>,
    /// Where folders of 1-Wire sensors and sockets of pulses are made [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Write the configuration by which a gateway reads the building to this file.
    #[arg(long, value_name = "FILE")]
    write_site: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(stderr).init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence, also where RUST_BACKTRACE is set. If nobody listens, nobody is told.
            drop(writeln!(stderr(), "meter-sim: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { which: Which { building, .. }, serve, speed } => {
            serve_until_stopped(plan(building.as_deref(), serve.seed)?, &serve, speed).await
        }
        Command::Load { mbus, modbus, serve } => {
            serve_until_stopped(Plan::load(mbus, modbus, serve.seed), &serve, 1).await
        }
        Command::History { building, seed, from, until, step } => {
            let plan = plan(building.as_deref(), seed)?;
            let out = BufWriter::new(stdout().lock());
            write_history(&plan, from, until, step, out).context("the history cannot be written")
        }
        Command::Replay { files, base_port, baud } => replay(&files, base_port, baud).await,
    }
}

fn plan(building: Option<&Path>, seed: u64) -> anyhow::Result<Plan> {
    let Some(path) = building else { return Ok(Plan::demo(seed)?) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Plan::parse(&text, seed).with_context(|| path.display().to_string())
}

async fn serve_until_stopped(plan: Plan, serve: &Serve, speed: u32) -> anyhow::Result<()> {
    let real = SystemClock::new();
    let clock: Arc<dyn Clock> = match speed {
        0 => bail!("a speed of 0 would stop time: it is 1 or more"),
        1 => Arc::new(real),
        _ => Arc::new(FastClock { began: real.now(), real, speed }),
    };
    let options = Options {
        base_port: (serve.base_port != 0).then_some(serve.base_port),
        ptys: serve.ptys.clone(),
        folder: serve.folder.clone(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let simulator = Simulator::start(plan, &options, clock).await?;
    if let Some(path) = &serve.write_site {
        let text = site_toml(&simulator)?;
        std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        if let Some(users) = broker_users(&simulator) {
            let path = path.with_file_name("mqtt-users.toml");
            std::fs::write(&path, users)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if let Some(keys) = meter_keys(&simulator) {
            let path = path.with_file_name("meter-keys.csv");
            std::fs::write(&path, keys)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    say(&announcement(&simulator))?;

    let mut lines = lines_of_stdin();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
            // Whoever closes standard input has no more commands; the building stays.
            Some(line) = lines.recv() => say(&match command(&simulator, &line) {
                _ if line.trim() == "help" => help(&simulator),
                Ok(done) => json!({
                    "done": done.command,
                    "meter": done.meter,
                    "answers": done.counts.map(|it| it.answers),
                }),
                Err(error) => json!({ "error": error.to_string() }),
            })?,
        }
    }
    simulator.stop().await;
    Ok(())
}

/// What may be said, and of whom.
fn help(simulator: &Simulator) -> serde_json::Value {
    let names = simulator.plan().meters.iter().map(|meter| meter.name.as_str());
    json!({ "help": HELP, "meters": names.collect::<Vec<_>>() })
}

/// The lines of standard input that are not empty.
///
/// A thread of its own reads them, which ends with the process: the runtime would wait at its
/// end for a line that nobody writes. While 16 lines wait to be done, no more are read.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// One line that says where everything is.
fn announcement(simulator: &Simulator) -> serde_json::Value {
    let meters_of = |bus: &str| -> Vec<serde_json::Value> {
        let meters = simulator.plan().meters.iter().filter(|meter| meter.bus == bus);
        meters
            .map(|meter| {
                json!({
                    "id": meter.id,
                    "name": meter.name,
                    "address": meter.address,
                    "plate": simulator.plate(meter.id),
                    "device": meter.device,
                })
            })
            .collect()
    };
    let buses: Vec<serde_json::Value> = simulator
        .buses()
        .map(|(bus, port)| {
            let port = match port {
                Port::Tcp(port) | Port::Broker(port) => json!(port),
                Port::Pty(path) | Port::Folder(path) | Port::Socket(path) => json!(path),
            };
            json!({
                "id": bus.id,
                "kind": bus.kind,
                "port": port,
                "meters": meters_of(&bus.id),
            })
        })
        .collect();
    json!({ "ready": true, "buses": buses })
}

async fn replay(
    files: &[PathBuf],
    base_port: Option<u16>,
    baud: Option<u32>,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut running = Vec::new();
    let mut served = Vec::new();
    for (file, number) in files.iter().zip(0_u16..) {
        let shown = file.display();
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
        let captured = Captured::parse(&text).with_context(|| shown.to_string())?;
        let port = match base_port {
            None => 0,
            Some(base) => base.checked_add(number).context("the ports end at 65535")?,
        };
        let address = captured.address();
        let secondary = captured.secondary().map(|it| it.to_string());
        let replay = Replay::start(captured, port, baud, Arc::clone(&clock)).await;
        let replay = replay.with_context(|| format!("no port for {shown}"))?;
        served.push(json!({
            "file": file,
            "port": replay.address().port(),
            "address": address,
            "secondary": secondary,
        }));
        running.push(replay);
    }
    say(&json!({ "ready": true, "replays": served }))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    drop(running);
    Ok(())
}

/// A line for the program that started this one, at once.
fn say(line: &serde_json::Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn step(text: &str) -> Result<TimeDelta, String> {
    let wrong = || format!("`{text}` is not a step: write a number and s, m, h or d, such as 1h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(TimeDelta::seconds(i64::from(number) * seconds))
}
