//! `fyrhus mbus listen`: the wire as it happens, without a byte sent.

use std::pin::pin;

use chrono::{DateTime, Local};
use drivers::BusKind;
use drivers::mbus::Tap;
use mbus::explain::Meaning;
use mbus::{Content, Frame, Header, Long, Overheard, Request};
use metering::Clock as _;
use serde::Serialize;

use super::super::read::Wire;
use super::super::{Out, block_on, end_of_listening};
use super::hex::to_hex;
use super::wrap::wrapped;
use crate::clock::SystemClock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is sent. It takes a way to the wire that only listens: a second level
converter on the bus, or a TCP converter that gives what it hears to several
connections.

Each line is one frame: when it was heard, > to a meter or < from one (told by
the frame itself), and what it says. Lines with ? are no frames: noise, two
meters at once, or another speed.

Examples:
  fyrhus mbus listen --port serial:///dev/ttyUSB1
  fyrhus mbus listen --port tcp://10.0.4.2:10001 --raw --seconds 60")]
pub(in crate::cli) struct Listen {
    #[command(flatten)]
    wire: Wire,
    /// Show the bytes of each frame, too
    #[arg(long)]
    raw: bool,
    /// End after so many seconds instead of at Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
}

impl Listen {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { wire, raw, seconds } = self;
        let settings = wire.settings(BusKind::Mbus);
        let mut tap = Tap::new(&settings);
        let mut page = Page { out, raw, frames: 0, noise: 0, broken: None };
        let clock = SystemClock::new();
        let lost = block_on(async {
            if let Err(error) = tap.open().await {
                return Ok(Some(error));
            }
            page.out.trouble(&format!("listening on {}; Ctrl-C ends it", settings.port));
            let mut over = pin!(end_of_listening(seconds));
            while page.broken.is_none() {
                let mut show = |heard: Overheard<'_>| {
                    page.show(heard, clock.now().wall.with_timezone(&Local));
                };
                tokio::select! {
                    heard = tap.listen(&mut show) => if let Err(error) = heard {
                        return Ok(Some(error));
                    },
                    () = &mut over => break,
                }
            }
            Ok(None)
        })?;
        if let Some(broken) = page.broken {
            return Err(broken);
        }
        let Page { frames, noise, .. } = page;
        if let Some(error) = lost {
            out.trouble(&format!("fyrhus: {}", crate::chain(&error)));
            return Ok(false);
        }
        out.trouble(&format!("{frames} frames heard, {noise} times something that is none"));
        Ok(true)
    }
}

/// What has been shown.
struct Page<'o> {
    out: &'o mut Out,
    raw: bool,
    frames: u64,
    noise: u64,
    /// Whoever read the output has gone away.
    broken: Option<anyhow::Error>,
}

#[derive(Debug, Serialize)]
struct Line {
    /// RFC 3339, when the end of it was heard.
    time: String,
    /// `to_meter`, `from_meter` or `unknown`.
    direction: &'static str,
    frame: bool,
    hex: String,
    text: String,
}

impl Page<'_> {
    fn show(&mut self, heard: Overheard<'_>, at: DateTime<Local>) {
        let (sign, direction, bytes, text) = match heard {
            Overheard::Frame(frame, bytes) => {
                self.frames += 1;
                if is_from_meter(&frame) {
                    ('<', "from_meter", bytes, from_meter(&frame))
                } else {
                    ('>', "to_meter", bytes, to_meter(&frame))
                }
            }
            Overheard::Noise(bytes) => {
                self.noise += 1;
                let s = if bytes.len() == 1 { "" } else { "s" };
                ('?', "unknown", bytes, format!("{} byte{s} that are no frame", bytes.len()))
            }
        };
        let frame = sign != '?';
        let printed = if self.out.json {
            let time = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, false);
            self.out.object(&Line { time, direction, frame, hex: to_hex(bytes), text })
        } else {
            let head = format!("{}  {sign} ", at.format("%H:%M:%S%.3f"));
            let mut lines = wrapped(&head, &text);
            if self.raw || !frame {
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                lines.push_str(&wrapped(&" ".repeat(head.len()), &hex.join(" ")));
            }
            self.out.text(&lines)
        };
        self.broken = self.broken.take().or(printed.err());
    }
}

/// A frame says itself which way it goes; the single acknowledge is a meter's.
fn is_from_meter(frame: &Frame<'_>) -> bool {
    match frame {
        Frame::Ack => true,
        Frame::Short { control, .. } | Frame::Long(Long { control, .. }) => !control.to_meter(),
    }
}

fn to_meter(frame: &Frame<'_>) -> String {
    match Request::read(frame) {
        Some(Request::Reset(to)) => format!("{to}: start over"),
        Some(Request::Data { to, fcb }) => {
            format!("{to}: your data, please (count bit {})", u8::from(fcb))
        }
        Some(Request::Alarm { to, .. }) => format!("{to}: your alarm, please"),
        Some(Request::Select(selection)) => format!("selected be {selection}"),
        Some(Request::SetBaud { to, baud }) => {
            format!("{to}: talk at {} baud", baud.bits_per_second())
        }
        Some(Request::Send { to, ci, data, .. }) => {
            format!("{to}: {}, {} bytes", Meaning::Ci(ci), data.len())
        }
        None => "a request that no meter knows".to_owned(),
    }
}

fn from_meter(frame: &Frame<'_>) -> String {
    let long = match frame {
        Frame::Ack => return "understood".to_owned(),
        Frame::Short { control, address } => {
            return format!("{address}: {}", Meaning::Control(*control));
        }
        Frame::Long(long) => long,
    };
    let address = long.address;
    let telegram = match long.telegram() {
        Ok(telegram) => telegram,
        Err(error) => return format!("{address}: {}, not read: {error}", Meaning::Ci(long.ci)),
    };
    let who = telegram.header.as_ref().map(who).unwrap_or_default();
    let what = match telegram.content {
        Content::Error(error) => format!("refuses: {}", error.name().replace('_', " ")),
        Content::Alarm(bits) => format!("alarm, bits {:08b}", bits.unwrap_or_default()),
        Content::Sealed(sealed) if sealed.plain().is_none() => {
            format!("records encrypted in mode {}", sealed.mode)
        }
        _ => match telegram.records() {
            Ok(mut records) => {
                let count = records.by_ref().flatten().count();
                let more = records.trailer().is_some_and(|it| it.more_follow);
                format!("{count} records{}", if more { ", more follow" } else { "" })
            }
            Err(error) => format!("not read: {error}"),
        },
    };
    format!("{address}: {who}{what}")
}

fn who(header: &Header) -> String {
    let id = header.id.map(|it| format!("meter {it} ")).unwrap_or_default();
    let maker = header.manufacturer.map(|it| format!("{it} ")).unwrap_or_default();
    let medium = header.medium.map(|it| it.name().replace('_', " ")).unwrap_or_default();
    match id.as_str() {
        "" => String::new(),
        id => format!("{id}{maker}{medium}, "),
    }
}
