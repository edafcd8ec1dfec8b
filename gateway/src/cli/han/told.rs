//! What a message says: the object of `--json`, and lines for people.

use std::fmt::Write as _;

use drivers::han::{Flaw, MeterTime, Telegram};
use serde::Serialize;

/// A message as an object.
#[derive(Debug, Serialize)]
pub(super) struct Message<'t> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Wrong>,
    #[serde(flatten)]
    telegram: Option<Content<'t>>,
}

#[derive(Debug, Serialize)]
struct Wrong {
    byte: usize,
    message: String,
}

#[derive(Debug, Serialize)]
struct Content<'t> {
    maker: &'static str,
    list_version: Option<&'t str>,
    meter_id: Option<&'t str>,
    meter_type: Option<&'t str>,
    clock: Option<WireTime>,
    values: Vec<WireValue>,
    notes: Vec<WireNote<'t>>,
    /// Whether a checksum stood there, which was right.
    checksum: bool,
    /// `null` of what was not encrypted.
    encrypted: Option<Encrypted>,
}

/// By the meter's own clock.
#[derive(Debug, Serialize)]
struct WireTime {
    local: String,
    deviation_min: Option<i16>,
}

#[derive(Debug, Serialize)]
struct WireValue {
    obis: String,
    register: Option<String>,
    /// As on the meter, never by way of a float.
    value: String,
    unit: String,
    /// When the meter took it; `null` when it was sent.
    at: Option<WireTime>,
}

#[derive(Debug, Serialize)]
struct WireNote<'t> {
    byte: usize,
    code: &'t str,
    text: &'t str,
}

#[derive(Debug, Serialize)]
struct Encrypted {
    frame_counter: u32,
    verified: bool,
}

impl WireTime {
    fn of(time: MeterTime) -> Self {
        let local = time.local.format("%Y-%m-%dT%H:%M:%S").to_string();
        Self { local, deviation_min: time.deviation_min }
    }
}

/// What was read, or why it was not.
pub(super) fn message(read: &Result<Telegram, Flaw>) -> Message<'_> {
    let telegram = match read {
        Ok(telegram) => telegram,
        Err(flaw) => {
            let error = Wrong { byte: flaw.at, message: flaw.fault.to_string() };
            return Message { ok: false, error: Some(error), telegram: None };
        }
    };
    let value = |it: &drivers::han::Value| WireValue {
        obis: it.obis.to_string(),
        register: it.register().map(|it| it.to_string()),
        value: it.quantity.decimal(),
        unit: it.quantity.resolution().unit().code().to_owned(),
        at: it.at.map(WireTime::of),
    };
    let opened = telegram.opened;
    let content = Content {
        maker: telegram.maker.code(),
        list_version: telegram.list_version.as_deref(),
        meter_id: telegram.meter_id.as_deref(),
        meter_type: telegram.meter_type.as_deref(),
        clock: telegram.clock.map(WireTime::of),
        values: telegram.values.iter().map(value).collect(),
        notes: telegram
            .notes
            .iter()
            .map(|it| WireNote { byte: it.byte, code: &it.code, text: &it.text })
            .collect(),
        checksum: telegram.has_checksum,
        encrypted: opened
            .map(|it| Encrypted { frame_counter: it.frame_counter, verified: it.verified }),
    };
    Message { ok: true, error: None, telegram: Some(content) }
}

/// The same for people, each line ended.
pub(super) fn for_people(read: &Result<Telegram, Flaw>) -> String {
    let telegram = match read {
        Ok(telegram) => telegram,
        Err(flaw) => return format!("not read: {flaw}\n"),
    };
    let mut head = vec![telegram.maker.code().to_owned()];
    let named = |what: &str, name: &Option<String>| {
        name.as_ref().map(|name| format!("{what} {}", plain(name)))
    };
    head.extend(named("list", &telegram.list_version));
    head.extend(named("meter", &telegram.meter_id));
    head.extend(named("type", &telegram.meter_type));
    head.extend(telegram.clock.map(|it| format!("its clock {}", it.local)));
    head.extend(telegram.opened.map(|it| {
        let verified = if it.verified { "verified" } else { "NOT verified" };
        format!("encrypted, {verified}, number {}", it.frame_counter)
    }));
    head.extend((!telegram.has_checksum).then(|| "without a checksum".to_owned()));
    let mut lines = format!("{}\n", head.join(", "));
    for value in &telegram.values {
        let register = value.register().map(|it| it.to_string()).unwrap_or_default();
        let at = value.at.map(|it| format!("  of {}", it.local)).unwrap_or_default();
        let obis = value.obis.to_string();
        let quantity = value.quantity.to_string();
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "  {obis:<12} {register:<30} {quantity:>16}{at}");
    }
    for note in &telegram.notes {
        let (code, text) = (plain(&note.code), plain(&note.text));
        let _ = writeln!(lines, "  {code:<12} {text}");
    }
    lines
}

/// `text` without what would move somebody's cursor or colour his screen.
fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '·' } else { it }).collect()
}
