//! The command line: what an installer types in a basement.
//!
//! Every command prints text for people, or JSON with `--json`; what went wrong is one sentence on
//! stderr. A reader of the output that goes away (`| head`) ends the command quietly.

mod account;
mod audit;
mod backup;
mod bms;
mod check;
mod claim;
mod correct;
mod diagnose;
mod enrol;
mod han;
mod import;
mod keys;
mod mbus;
mod modbus;
mod mqtt;
mod onewire;
mod out;
mod profile;
mod proof;
mod pulse;
mod radio;
mod read;
mod readings;
mod run;
pub(crate) mod sla;
mod status;
mod store;
mod telegram;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

use crate::config::{Machine, kept};
use out::{Broken, Out};

/// Reads a building's meters, keeps their values, shows them on the building's network and sends
/// them on.
#[derive(Debug, Parser)]
#[command(
    name = "fyrhus",
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 done; 1 not done, or something was found wrong: the reason is on \
                  stderr; 2 wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until it is told to stop (SIGTERM, Ctrl-C); SIGHUP reads site.toml anew
    Run(run::Run),
    /// Check fyrhus.toml or site.toml: every mistake with its line and what to write instead
    CheckConfig(check::CheckConfig),
    /// Print what every key of fyrhus.toml and site.toml is for
    ConfigKeys,
    /// Ask meters on an M-Bus, find them, set them up, or take a telegram apart
    #[command(subcommand)]
    Mbus(mbus::Mbus),
    /// Ask meters on a Modbus, or find them
    #[command(subcommand)]
    Modbus(modbus::Modbus),
    /// Listen to an electricity meter's customer port (HAN, P1), or take a message of it apart
    #[command(subcommand)]
    Han(han::Han),
    /// Who may connect to the gateway's own MQTT broker
    #[command(subcommand)]
    Mqtt(mqtt::Mqtt),
    /// Enter, import, list and remove the keys of meters that encrypt
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Find thermometers on a 1-Wire, and ask them
    #[command(subcommand)]
    Onewire(onewire::OneWire),
    /// Set the counters of pulse inputs
    #[command(subcommand)]
    Pulse(pulse::Pulse),
    /// The registers under which a building's management system reads the gateway's values
    #[command(subcommand)]
    Bms(bms::Bms),
    /// List the types of meters that are known, and check files that make others known
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Listen to the wireless M-Bus meters around a receiver
    #[command(subcommand)]
    Radio(radio::Radio),
    /// Show the last readings that are stored of a meter; the gateway may be running
    Readings(readings::ShowReadings),
    /// Look at the files of the readings: what they hold, whether they are whole; copy or repair them
    #[command(subcommand)]
    Store(store::Files),
    /// Take readings from a CSV file into the store; the gateway must not be running
    Import(import::Import),
    /// Prove the audit log and the versions of the configuration; take one as a signed file
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The uptime that was promised, and the credit where it was not kept
    #[command(subcommand)]
    Sla(sla::Sla),
    /// Tell what somebody who helps from afar has to know: no names, no secrets, no readings
    Diagnose(diagnose::Diagnose),
    /// Join a portfolio service with the one-time code that it gave out
    Enrol(enrol::Enrol),
    /// Make a new one-time code for the first user, while there is none
    ClaimCode(claim::ClaimCode),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> ExitCode {
        let mut out = Out::new(self.json);
        let done = match self.command {
            Command::Run(command) => command.run(&mut out),
            Command::CheckConfig(command) => command.run(&mut out),
            Command::ConfigKeys => out.text(&crate::config::manual::page()).map(|()| true),
            Command::Mbus(command) => command.run(&mut out),
            Command::Modbus(command) => command.run(&mut out),
            Command::Bms(command) => command.run(&mut out),
            Command::Han(command) => command.run(&mut out),
            Command::Onewire(command) => command.run(&mut out),
            Command::Pulse(command) => command.run(&mut out),
            Command::Keys(command) => command.run(&mut out),
            Command::Radio(command) => command.run(&mut out),
            Command::Mqtt(command) => command.run(&mut out),
            Command::Profile(command) => command.run(&mut out),
            Command::Readings(command) => command.run(&mut out),
            Command::Store(command) => command.run(&mut out),
            Command::Import(command) => command.run(&mut out),
            Command::Audit(command) => command.run(&mut out),
            Command::Sla(command) => match command.run(&mut out) {
                Ok(code) => return code,
                Err(error) => Err(error),
            },
            Command::Diagnose(command) => command.run(&mut out),
            Command::Enrol(command) => command.run(&mut out),
            Command::ClaimCode(command) => command.run(&mut out),
        };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) if error.is::<Broken>() => ExitCode::SUCCESS,
            Err(error) => {
                out.trouble(&format!("fyrhus: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

/// Where the gateway's files are, for a command that looks into them.
#[derive(Debug, clap::Args)]
struct Where {
    /// The machine's configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/fyrhus/fyrhus.toml")]
    config: PathBuf,
}

impl Where {
    /// What the file says. Unlike the daemon, a command does not go on without.
    fn machine(&self) -> anyhow::Result<Machine> {
        let text = read_config(&self.config)?;
        Machine::load(&text).map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(|it| format!("\n  {it}")).collect();
            anyhow::anyhow!("{} has mistakes:{}", self.config.display(), lines.concat())
        })
    }
}

/// The text of a configuration file.
fn read_config(file: &Path) -> anyhow::Result<String> {
    match kept::read(file) {
        Ok(text) => Ok(text),
        Err(mistakes) if mistakes.is_empty() => bail!("there is no file {}", file.display()),
        Err(mistakes) => {
            let advice: Vec<&str> = mistakes.iter().map(|it| it.advice.as_str()).collect();
            bail!("{}: {}", file.display(), advice.join("; "))
        }
    }
}

/// The building of the state directory, if its file loads.
fn site(machine: &Machine, profiles: &drivers::Profiles) -> Option<crate::config::Site> {
    match crate::takeover::find(&machine.state, profiles) {
        kept::Found::Good { site, .. } | kept::Found::LastGood { site, .. } => Some(*site),
        kept::Found::Commissioning { .. } => None,
    }
}

/// Runs `task` to its end, on a runtime of its own.
fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().worker_threads(2).build().context("no runtime")?;
    let done = runtime.block_on(task);
    // A name that is still being looked up keeps nobody waiting: what had to end was awaited.
    runtime.shutdown_background();
    done
}

/// Waits for the end of a command that listens: after so many seconds, and by Ctrl-C.
async fn end_of_listening(seconds: Option<u32>) {
    let over = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Logs to stderr what `filter` lets through.
fn log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let to_stderr = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // The journal has the time of every line already.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        to_stderr.without_time().with_ansi(false).init();
    } else {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        to_stderr.with_ansi(colours).init();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_command() {
        let help = Cli::command().render_long_help().to_string();
        for name in [
            "run",
            "check-config",
            "mbus",
            "modbus",
            "bms",
            "han",
            "profile",
            "keys",
            "radio",
            "readings",
            "store",
            "import",
            "audit",
            "diagnose",
            "sla",
            "enrol",
            "claim-code",
        ] {
            assert!(help.contains(&format!("\n  {name}")), "{name}:\n{help}");
        }
    }
}
