//! `make demo`: a simulated building, a gateway and a portfolio service on this machine.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the one who started it"
)]

use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::TimeDelta;
use clap::Parser;
use serde_json::Value;
use site_tests::neighbours::{KVERNHUSGATA, NEIGHBOURS};
use site_tests::site::{Plan, Site};
use tokio::sync::mpsc;

/// A simulated building, a gateway and a portfolio service: the real programs, on this machine.
///
/// Everything they keep lies in one folder. Press Ctrl-C to stop; started again, the site goes on
/// where it was.
#[derive(Parser)]
#[command(name = "make demo ARGS=\"…\"")]
struct Arguments {
    /// The folder of the site's data
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    data: PathBuf,
    /// Begin anew: remove what an earlier demo left in the folder
    #[arg(long)]
    fresh: bool,
    /// Port of the gateway's page
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the portfolio's page
    #[arg(long, default_value_t = 8090)]
    portfolio_port: u16,
    /// First of the ports for the simulated buses and the TLS listeners
    #[arg(long, default_value_t = 18_100)]
    base_port: u16,
    /// Which building: any number
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Days of history that the building brings with it
    #[arg(long, default_value_t = 366)]
    history_days: u16,
    /// How many smaller buildings the portfolio has beside it, each with a gateway of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    neighbours: u8,
    /// Leave the contract of the gateway's uptime to be entered on its page
    #[arg(long)]
    contract_later: bool,
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    exit_after: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The demo cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mark = arguments.data.join("fyrhus-demo");
    if arguments.fresh && mark.exists() {
        std::fs::remove_dir_all(&arguments.data).context("remove the earlier demo")?;
    }
    std::fs::create_dir_all(&arguments.data).context("make the data folder")?;
    // Only a folder that a demo made is ever removed.
    std::fs::write(mark, "This folder belongs to `make demo`.\n")?;

    let begun = Instant::now();
    let plan = Plan {
        data: arguments.data.canonicalize()?,
        building: &KVERNHUSGATA,
        seed: arguments.seed,
        port: arguments.port,
        portfolio_port: arguments.portfolio_port,
        base_port: arguments.base_port,
        history: TimeDelta::days(arguments.history_days.into()),
        now: now(),
        contract: !arguments.contract_later,
    };
    let mut site =
        Site::start(plan, arguments.neighbours.into(), |progress| println!("{progress}")).await?;
    println!("Ready after {:.1} s.\n", begun.elapsed().as_secs_f32());
    tell(&site);

    let mut lines = typed_lines();
    let exit =
        tokio::time::sleep(Duration::from_secs(arguments.exit_after.unwrap_or(u64::MAX / 4)));
    tokio::pin!(exit);
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = &mut exit => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            Some(line) = lines.recv() => {
                site.building.say(&line)?;
                println!("{}", in_words(&site.building.json_line(ANSWER)?));
            }
        }
    }
    println!("\nStopping.");
    let took = site.stop()?;
    println!("Everything is stored; the gateway took {} ms to stop.", took.as_millis());
    Ok(())
}

fn tell(site: &Site) {
    let access = &site.access;
    println!("  Gateway    {}", access.gateway_url);
    println!("             user {}   password {}", access.gateway_user, access.gateway_password);
    println!("  Portfolio  {}", access.portfolio_url);
    println!(
        "             user {}   password {}\n",
        access.portfolio_user, access.portfolio_password
    );
    for (number, neighbour) in (1..).zip(NEIGHBOURS).take(site.neighbours.len()) {
        let port = site.plan.port + number;
        println!(
            "  {:<16} http://127.0.0.1:{port}   user and password as the gateway's",
            neighbour.name
        );
    }
    println!("  Data and logs are in {}", site.plan.data.display());
    println!("  Type `help` to hear how meters can be made to fail, Ctrl-C to stop.");
    let _closed = stdout().flush();
}

/// What the building answers to a line.
fn in_words(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let meters = answer.get("meters").and_then(Value::as_array).into_iter().flatten();
    let meters: Vec<_> = meters.filter_map(Value::as_str).collect();
    match (text("help"), text("error")) {
        (Some(help), _) => format!("{help}\nMETER is one of: {}", meters.join(", ")),
        (_, Some(error)) => error.to_owned(),
        _ => "Done.".to_owned(),
    }
}

/// How long a busy machine may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What is typed, line by line; ends with the standard input.
fn typed_lines() -> mpsc::Receiver<String> {
    // A person types slower than this fills; when it is full the terminal waits.
    let (typed, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            // To an empty line nobody answers.
            if !line.trim().is_empty() && typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[expect(clippy::disallowed_methods, reason = "the demo is a binary: this is its one look")]
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}
