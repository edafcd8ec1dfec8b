//! `fyrhus han listen`: the port as it happens.

use std::pin::pin;

use chrono::{Local, SecondsFormat};
use drivers::PortSettings;
use drivers::han::{Event, Line, Listener, Patience};
use metering::Clock as _;
use serde::Serialize;

use super::super::mbus::to_hex;
use super::super::{Out, block_on, end_of_listening};
use super::Told;
use super::told::{Message, for_people, message};
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Speed and parity are found: 2400 baud with even parity (Kaifa, Aidon), 2400
without (Kamstrup) and 115200 without (P1) are tried in turn, 22 seconds each.
Behind a TCP converter they are set at the converter.

A HAN port of a Norwegian meter needs a receiver (\"M-Bus slave to USB\"), not
the converter of a bus with heat meters. A P1 port needs a cable that inverts
its signal.

Examples:
  fyrhus han listen --port serial:///dev/serial/by-id/usb-FTDI_FT232R-if00-port0
  fyrhus han listen --port tcp://10.0.4.2:10001 --raw --seconds 60")]
pub(in crate::cli) struct Listen {
    /// Where the port is: `serial:///dev/NAME`, or `tcp://HOST:PORT` of a converter
    #[arg(long)]
    port: PortSettings,
    /// The line's speed, if it is known and is not to be found
    #[arg(long, requires = "parity")]
    baud: Option<u32>,
    /// Its parity: even, none or odd
    #[arg(long, requires = "baud")]
    parity: Option<drivers::Parity>,
    /// Show the bytes of each message, too
    #[arg(long)]
    raw: bool,
    /// End after so many seconds instead of at Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
    #[command(flatten)]
    told: Told,
}

#[derive(Debug, Serialize)]
struct Heard<'m> {
    /// RFC 3339, when the end of it was heard.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(flatten)]
    message: Message<'m>,
}

impl Listen {
    /// Whether a message was heard and read.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { port, baud, parity, raw, seconds, told } = self;
        let line = baud.zip(parity).map(|(baud, parity)| Line { baud, parity });
        let name = port.to_string();
        let mut listener = Listener::new(port, line, told.rules(), Patience::default());
        let mut read = 0_u64;
        block_on(async {
            out.trouble(&format!("listening on {name}; Ctrl-C ends it"));
            let mut over = pin!(end_of_listening(seconds));
            loop {
                tokio::select! {
                    event = listener.next() => read += u64::from(show(&event, raw, out)?),
                    () = &mut over => return Ok(()),
                }
            }
        })?;
        let s = if read == 1 { "" } else { "s" };
        out.trouble(&format!("{read} message{s} read"));
        Ok(read > 0)
    }
}

/// Whether it is a message that was read.
fn show(event: &Event, raw: bool, out: &mut Out) -> anyhow::Result<bool> {
    let now = SystemClock::new().now().wall.with_timezone(&Local);
    let (said, bytes) = match event {
        Event::Telegram { telegram, message } => (Ok((**telegram).clone()), message),
        Event::Unread { flaw, message } => (Err(flaw.clone()), message),
        Event::Noise { bytes, why } => (Err(why.clone()), bytes),
        Event::Silent(_) | Event::Trying(_) | Event::Down(_) | Event::Up => {
            out.trouble(&of_the_port(event));
            return Ok(false);
        }
    };
    if out.json {
        let time = now.to_rfc3339_opts(SecondsFormat::Millis, false);
        let hex = raw.then(|| to_hex(bytes));
        out.object(&Heard { time, hex, message: message(&said) })?;
    } else {
        let hex = if raw { format!("  {}\n", to_hex(bytes)) } else { String::new() };
        out.text(&format!("{} {}{hex}", now.format("%H:%M:%S"), for_people(&said)))?;
    }
    Ok(said.is_ok())
}

/// What is said beside the messages.
fn of_the_port(event: &Event) -> String {
    match event {
        Event::Silent(since) => format!(
            "nothing has come for {} s. Has the network operator opened the port? Is it plugged \
             in, and is it a receiver (slave) and no master? A P1 port wants its data request pin \
             powered",
            since.as_secs()
        ),
        Event::Trying(line) => {
            let parity = match line.parity {
                drivers::Parity::Even => "even parity",
                drivers::Parity::None => "no parity",
                drivers::Parity::Odd => "odd parity",
            };
            format!("no message yet: trying {} baud, {parity}", line.baud)
        }
        Event::Down(error) => format!("fyrhus: {}; it is tried again", crate::chain(error)),
        Event::Up => "the port can be used again".to_owned(),
        Event::Telegram { .. } | Event::Unread { .. } | Event::Noise { .. } => String::new(),
    }
}
