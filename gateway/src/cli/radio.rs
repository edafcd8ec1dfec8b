//! `fyrhus radio listen`: which meters a receiver hears, how strong, and what they say.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use anyhow::bail;
use broker::Filter;
use chrono::{Local, SecondsFormat};
use clap::Subcommand;
use drivers::mqtt::MqttSettings;
use drivers::radio::{RadioEar, RadioMode, RadioSettings, ReceiverKind};
use drivers::{BrokerAt, Heard, Keyring, PortSettings, Profiles, Stranger};
use metering::Clock as _;
use serde::Serialize;

use super::{Out, Where, block_on, end_of_listening};
use crate::clock::SystemClock;
use crate::config::BrokerLogin;

/// What is done with a receiver of wireless M-Bus.
#[derive(Debug, Subcommand)]
pub(super) enum Radio {
    /// Show which meters a receiver hears, with their numbers and how strong they come in
    Listen(Listen),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is sent by radio. The gateway must not have the receiver open: one program alone can.
A meter speaks every few seconds or minutes, some every few hours.

Examples:
  fyrhus radio listen --port serial:///dev/ttyUSB0 --receiver im871a --mode c
  fyrhus radio listen --port tcp://10.0.4.9:1234 --receiver lines --seconds 300
  fyrhus radio listen --port mqtt://10.0.4.9:1883 --topic 'wmbus/#' --user fyrhus \\
       --password-file house-broker.password
  sudo fyrhus radio listen --port mqtt://own --topic 'wmbus/#'")]
pub(super) struct Listen {
    /// Where the receiver is: `serial:///dev/NAME`, `tcp://HOST:PORT`, or an MQTT broker
    #[arg(long)]
    port: PortSettings,
    /// Which it is: im871a, amb8465, cul or lines
    #[arg(long, value_parser = receiver)]
    receiver: Option<ReceiverKind>,
    /// What it listens for: c+t, c, t or s
    #[arg(long, default_value = "c+t", value_parser = mode)]
    mode: RadioMode,
    /// The speed of its serial line, if it was changed
    #[arg(long)]
    baud: Option<u32>,
    /// On a broker, under which topics receivers say what they hear
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["receiver", "baud"])]
    topic: Option<Filter>,
    /// The name to log in with to a broker
    #[arg(long, requires = "topic")]
    user: Option<String>,
    /// The file with the password of that name
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Who made the broker's certificate, as PEM [default: whom the system trusts]
    #[arg(long, value_name = "FILE", requires = "topic")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    files: Where,
    /// End after so many seconds instead of at Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
}

fn receiver(text: &str) -> Result<ReceiverKind, String> {
    let found = ReceiverKind::ALL.into_iter().find(|it| it.code() == text);
    found.ok_or_else(|| "it is one of im871a, amb8465, cul, lines".to_owned())
}

fn mode(text: &str) -> Result<RadioMode, String> {
    let found = RadioMode::ALL.into_iter().find(|it| it.code() == text);
    found.ok_or_else(|| "it is one of c+t, c, t, s".to_owned())
}

#[derive(Debug, Serialize)]
struct OfMeter<'a> {
    /// RFC 3339.
    time: String,
    /// As `secondary` in site.toml.
    meter: &'a str,
    medium: Option<&'static str>,
    rssi_dbm: Option<i16>,
    /// It takes a key to read it.
    encrypted: bool,
}

impl Radio {
    /// Does it; whether a meter was heard.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self::Listen(command) = self;
        command.run(out)
    }
}

impl Listen {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let (name, seconds) = (self.port.to_string(), self.seconds);
        let settings = self.settings()?;
        let (profiles, keys) = (Arc::new(Profiles::default()), Arc::new(Keyring::new()));
        // Nobody is chosen: everybody is a stranger, with a number and a strength.
        let mut ear = RadioEar::open(settings, Vec::new(), profiles, keys);
        let clock = SystemClock::new();
        let mut heard = 0_u64;
        block_on(async {
            out.trouble(&format!("listening with {name}; Ctrl-C ends it"));
            let mut over = pin!(end_of_listening(seconds));
            loop {
                tokio::select! {
                    said = ear.hear(&clock) => match said {
                        Heard::Stranger(stranger) => {
                            heard += 1;
                            show(&stranger, &clock, out)?;
                        }
                        Heard::Trouble(plaint) => {
                            let error = crate::chain(&plaint.error);
                            out.trouble(&format!("fyrhus: {error}; it is tried again"));
                        }
                        Heard::Well => out.trouble("the receiver can be used again"),
                        Heard::Meter { .. } | Heard::Noise => {}
                    },
                    () = &mut over => return Ok(()),
                }
            }
        })?;
        let s = if heard == 1 { "" } else { "s" };
        out.trouble(&format!("{heard} message{s} heard"));
        Ok(heard > 0)
    }
}

impl Listen {
    /// How it is listened to.
    fn settings(self) -> anyhow::Result<RadioSettings> {
        let Self { port, mode, baud, user, password_file, ca_file, files, .. } = self;
        let (at, topic) = match (&port, self.receiver, self.topic) {
            (PortSettings::Broker(at), _, Some(topic)) => (at.clone(), topic),
            (PortSettings::Broker(_), _, None) => {
                bail!("--topic is missing: on a broker, such as 'wmbus/#'")
            }
            (_, Some(kind), None) => {
                return Ok(RadioSettings::Receiver { port, kind, mode, baud });
            }
            (_, None, None) => bail!("--receiver is missing: im871a, amb8465, cul or lines"),
            (_, _, Some(_)) => {
                bail!("--topic belongs to a broker, such as --port mqtt://10.0.4.9:1883")
            }
        };
        // Nobody but the gateway's own broker is in its state directory.
        let state = if at == BrokerAt::Own { files.machine()?.state } else { PathBuf::new() };
        let login = BrokerLogin { user, password_file, ca_file };
        let broker = MqttSettings {
            address: crate::mqtt::address(&login, &at, &state),
            port,
            client_id: format!("fyrhus-listen-{:08x}", rand::random::<u32>()),
            user: login.user,
            password_file: login.password_file,
        };
        Ok(RadioSettings::Broker { broker, topic: topic.as_str().to_owned() })
    }
}

fn show(stranger: &Stranger, clock: &SystemClock, out: &mut Out) -> anyhow::Result<()> {
    let now = clock.now().wall.with_timezone(&Local);
    let medium = stranger.medium.map(metering::Medium::code);
    if out.json {
        return out.object(&OfMeter {
            time: now.to_rfc3339_opts(SecondsFormat::Millis, false),
            meter: &stranger.name,
            medium,
            rssi_dbm: stranger.rssi_dbm,
            encrypted: stranger.sealed,
        });
    }
    let strength = stranger.rssi_dbm.map_or_else(String::new, |dbm| format!("{dbm} dBm"));
    let sealed = if stranger.sealed { "  needs a key" } else { "" };
    out.line(&format!(
        "{} {:<16} {:<11} {strength:>8}{sealed}",
        now.format("%H:%M:%S"),
        stranger.name,
        medium.unwrap_or_default(),
    ))
}
