//! `fyrhus run`: the daemon.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Out, block_on, log};
use crate::config::{Machine, Mistake, kept};
use crate::supervise::{self, Ready};

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The machine's configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/fyrhus/fyrhus.toml")]
    config: PathBuf,
    /// Print one line of JSON once the pages are there: where, the certificate's fingerprint, and
    /// the one-time code of a gateway that nobody has claimed
    #[arg(long)]
    ready_json: bool,
}

#[derive(Debug, Serialize)]
struct ReadyLine {
    ready: bool,
    https: String,
    http: Option<String>,
    fingerprint: String,
    claim_code: Option<String>,
}

impl Run {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let (mut machine, mistakes) = machine(&self.config);
        machine.cache = std::env::var_os("CACHE_DIRECTORY").map(PathBuf::from);
        log(&machine.log_filter);
        for mistake in mistakes {
            let file = self.config.display();
            tracing::error!(%file, line = mistake.line, "not in force: {}", mistake.advice);
        }
        let ready_json = self.ready_json || out.json;
        block_on(async {
            let shutdown = CancellationToken::new();
            stop_on_signals(&shutdown)?;
            let ready = |ready: Ready| {
                if ready_json {
                    let line = ReadyLine {
                        ready: true,
                        https: format!("https://{}", ready.https),
                        http: ready.http.map(|address| format!("http://{address}")),
                        fingerprint: ready.fingerprint,
                        claim_code: ready.claim_code,
                    };
                    // Whoever started us may not read on; the gateway runs all the same.
                    drop(out.object(&line));
                }
            };
            supervise::run(machine, shutdown, ready).await
        })?;
        Ok(true)
    }
}

/// What `file` says, or else its last good copy, or else the defaults; and what is wrong with it.
///
/// A file that does not load never keeps the daemon from starting.
fn machine(file: &Path) -> (Machine, Vec<Mistake>) {
    let loaded = |text: &str| Machine::load(text);
    let mistakes = match kept::read(file) {
        Ok(text) => match loaded(&text) {
            Ok(machine) => {
                // The copy is in the state directory: /etc may be read-only.
                let copy = machine.state.join(MACHINE_COPY);
                if kept::read(&copy).ok().as_ref() != Some(&text) {
                    drop(kept::replace(&copy, &text));
                }
                return (machine, Vec::new());
            }
            Err(mistakes) => mistakes,
        },
        Err(mistakes) if mistakes.is_empty() => {
            vec![Mistake { line: 1, advice: "there is no such file".to_owned() }]
        }
        Err(mistakes) => mistakes,
    };
    // systemd tells where the state is, whatever the file says.
    let state = std::env::var_os("STATE_DIRECTORY").map_or("/var/lib/fyrhus".into(), PathBuf::from);
    let copy = kept::read(&state.join(MACHINE_COPY)).ok();
    let machine = copy.and_then(|text| loaded(&text).ok());
    (machine.unwrap_or_else(|| Machine::fallback(&state)), mistakes)
}

const MACHINE_COPY: &str = "fyrhus.last-good.toml";

/// SIGTERM and Ctrl-C stop the daemon in order.
fn stop_on_signals(shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
    });
    Ok(())
}
