//! The command line: what can be asked of the program, and in what words it answers.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat};
use clap::{Parser, Subcommand};
use portfolio::{
    Config, Service, SystemClock, enrol_code, prepare_authority, turn_authority, unprepared_sites,
};
use sd_notify::NotifyState;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The Fyrhus portfolio: takes the readings of many buildings' gateways, and shows them.
#[derive(Debug, Parser)]
#[command(name = "fyrhus-portfolio", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service until it is told to stop (Ctrl-C, SIGTERM)
    Run(Where),
    /// Make a one-time code with which one gateway joins; good for an hour
    EnrolCode {
        #[command(flatten)]
        place: Where,
        /// The building's name; a building that is new is made
        #[arg(long, value_name = "NAME")]
        site_name: String,
        /// Town or address, of a new building
        #[arg(long, value_name = "PLACE")]
        place_name: Option<String>,
    },
    /// Look for mistakes in the configuration, all at once
    CheckConfig(Where),
    /// Have another authority sign certificates, without touching a gateway
    #[command(subcommand)]
    Authority(AuthorityCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Make the authority that will follow; gateways learn it from the next start on
    Prepare(Where),
    /// Tell which sites have a gateway that does not know it yet
    Show(Where),
    /// Have it sign from the next start on; the key of the present one is gone then
    Turn {
        #[command(flatten)]
        place: Where,
        /// Even if some gateways do not know it yet and have to be enrolled again
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/fyrhus-portfolio/portfolio.toml")]
    config: PathBuf,
    /// Answer in JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Does what was asked, and tells it on the standard output.
pub(crate) async fn answer(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(place) => run(&place).await,
        Command::EnrolCode { place, site_name, place_name } => {
            let config = load(&place)?;
            let made = enrol_code(&config, &SystemClock::new(), site_name, place_name).await?;
            let until = DateTime::from_timestamp_millis(made.expires_ms).unwrap_or_default();
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            if place.json {
                let (code, url, site) = (made.code, made.url, made.site);
                return say(&json!({
                    "code": code, "url": url, "expires_at": until, "site": site,
                })
                .to_string());
            }
            say(&format!(
                "{}\n\nOn the gateway's page \"Cloud\", or with `fyrhus enrol`, give it \
                          this code and the address {}.\nIt is good once, until {until}.",
                made.code, made.url
            ))
        }
        Command::Authority(command) => authority(command).await,
        Command::CheckConfig(place) => {
            load(&place)?;
            say(&format!("{} has no mistakes", place.config.display()))
        }
    }
}

async fn authority(command: AuthorityCommand) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    match command {
        AuthorityCommand::Prepare(place) => {
            prepare_authority(&load(&place)?, &clock).await?;
            let done = "Another authority is prepared. Copy authority-next.pem to the state folder \
                        of every other receiver and start them all again; then each gateway \
                        learns it at its next contact. `authority show` tells who has not.";
            if place.json { say(&json!({ "prepared": true }).to_string()) } else { say(done) }
        }
        AuthorityCommand::Show(place) => {
            let unprepared = unprepared_sites(&load(&place)?, &clock).await?;
            if place.json {
                let prepared = unprepared.is_some();
                let sites = unprepared.unwrap_or_default();
                return say(&json!({ "prepared": prepared, "unprepared_sites": sites }).to_string());
            }
            match unprepared {
                None => say("No other authority is prepared."),
                Some(sites) if sites.is_empty() => {
                    say("All gateways know the authority that is prepared.")
                }
                Some(sites) => say(&format!("These do not know it yet:\n{}", sites.join("\n"))),
            }
        }
        AuthorityCommand::Turn { place, force } => {
            let config = load(&place)?;
            let unprepared = unprepared_sites(&config, &clock).await?.unwrap_or_default();
            if !force && !unprepared.is_empty() {
                bail!(
                    "these have a gateway that does not know the prepared authority yet, and would \
                     have to be enrolled again (--force does it all the same):\n{}",
                    unprepared.join("\n")
                );
            }
            turn_authority(&config, &clock).await?;
            let done = "The prepared authority signs from the next start on. Copy authority.pem \
                        and authority-before.pem to every other receiver, remove \
                        authority-next.pem there, and start them all again.";
            if place.json { say(&json!({ "turned": true }).to_string()) } else { say(done) }
        }
    }
}

async fn run(place: &Where) -> anyhow::Result<()> {
    let config = load(place)?;
    let filter = EnvFilter::try_new(&config.log_filter)
        .with_context(|| format!("filter = {:?} of [log] is not understood", config.log_filter))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let (mut asked, mut ended) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);

    let service = Service::start(&config, Arc::new(SystemClock::new())).await?;
    say(&ready(&service, place.json))?;
    tell_systemd(NotifyState::Ready);
    tokio::select! {
        _ = asked.recv() => {}
        _ = ended.recv() => {}
        () = watchdog(&service) => {}
    }
    tell_systemd(NotifyState::Stopping);
    service.stop().await;
    Ok(())
}

/// Tells systemd, three times in its period, that the service does what it is for. Never returns.
async fn watchdog(service: &Service) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    loop {
        if service.answers().await {
            tell_systemd(NotifyState::Watchdog);
        }
        tokio::time::sleep(period / 3).await;
    }
}

fn ready(service: &Service, in_json: bool) -> String {
    let Service { people_url, gateways_url, claim_code, fingerprint, .. } = service;
    if in_json {
        return json!({
            "ready": true,
            "people_url": people_url,
            "gateways_url": gateways_url,
            "claim_code": claim_code,
        })
        .to_string();
    }
    let mut lines = vec![format!("Pages:    {people_url}"), format!("Gateways: {gateways_url}")];
    if !fingerprint.is_empty() {
        lines.push(format!("The pages' certificate (SHA-256): {fingerprint}"));
    }
    if let Some(code) = claim_code {
        lines.push(format!(
            "\nNobody owns this service yet. Open the pages and type in {code}\n\
             within an hour to become its owner."
        ));
    }
    lines.join("\n")
}

fn load(place: &Where) -> anyhow::Result<Config> {
    let path = &place.config;
    let file = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    match Config::load(&file) {
        Ok(config) => Ok(config),
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            bail!("{} has mistakes:\n{}", path.display(), lines.join("\n"))
        }
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Where no systemd listens this does nothing.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(error = &error as &dyn Error, "systemd was not told");
    }
}
