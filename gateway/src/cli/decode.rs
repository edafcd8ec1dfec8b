//! `fyrhus mbus decode`: what a telegram says, frame by frame, for people and for programs.
//!
//! For programs it is one JSON object for each frame (`mbus-decode/1`), all keys always there.
//! The wire structs of that format are here and nowhere else.
//!
//! Radio frames are told apart from wired ones and refused as `unsupported`.

use std::fmt::Write as _;
use std::io::BufRead as _;

use anyhow::Context as _;
use mbus::{Content, DecodeError, Frame, Header, Long, Record, Records, Telegram};
use serde::Serialize;

use super::Out;

#[derive(Debug, clap::Args)]
pub(super) struct Decode {
    /// The telegram in hex digits, in one word or several; - reads one telegram a line
    #[arg(required = true, value_name = "HEX|-")]
    hex: Vec<String>,
}

impl Decode {
    /// Whether every frame was decoded.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let print = |out: &mut Out, line: &str| {
            let decoded = Decoded::of_line(line);
            if out.json {
                out.object(&decoded)?;
            } else {
                out.text(&decoded.for_people())?;
            }
            anyhow::Ok(decoded.ok)
        };
        if self.hex != ["-"] {
            return print(out, &self.hex.join(" "));
        }
        let mut all = true;
        for line in std::io::stdin().lock().lines() {
            let line = line.context("standard input cannot be read")?;
            if !line.trim().is_empty() {
                all &= print(out, &line)?;
            }
        }
        Ok(all)
    }
}

/// A frame taken apart, for programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Decoded {
    schema: &'static str,
    pub(crate) ok: bool,
    error: Option<WireError>,
    link: Option<Link>,
    ci: Option<u8>,
    header: Option<WireHeader>,
    ell: Option<()>,
    afl: Option<()>,
    encryption: Option<Encryption>,
    records: Vec<WireRecord>,
    more_records_follow: bool,
    manufacturer_data: Option<String>,
    application_error: Option<ApplicationError>,
    alarm: Option<Alarm>,
}

#[derive(Clone, Debug, Serialize)]
struct WireError {
    code: &'static str,
    offset: usize,
    message: String,
}

#[derive(Clone, Debug, Serialize)]
struct Link {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u8>,
}

#[derive(Clone, Debug, Serialize)]
struct WireHeader {
    id: Option<String>,
    manufacturer: Option<String>,
    manufacturer_code: Option<u16>,
    version: Option<u8>,
    medium: Option<u8>,
    medium_name: Option<&'static str>,
    access_number: u8,
    status: u8,
    signature: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Encryption {
    layer: &'static str,
    mode: u8,
    state: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct ApplicationError {
    code: Option<u8>,
    name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Alarm {
    status: Option<u8>,
}

#[derive(Clone, Debug, Serialize)]
struct WireRecord {
    dib: String,
    vib: String,
    data: String,
    function: &'static str,
    storage: u64,
    tariff: u64,
    subunit: u64,
    quantity: &'static str,
    unit: Option<String>,
    modifiers: Vec<String>,
    #[serde(rename = "type")]
    data_type: &'static str,
    value: Option<String>,
    exponent: Option<i8>,
    valid: bool,
    error: Option<&'static str>,
}

impl Decoded {
    /// Takes apart the frame that `line` writes in hex digits, white space between them or not.
    /// Behind the digits `key=` with a key may stand.
    pub(crate) fn of_line(line: &str) -> Self {
        let (keys, words): (Vec<_>, Vec<_>) =
            line.split_whitespace().partition(|word| word.starts_with("key="));
        match hex(&words.concat()) {
            Err(error) => Self { error: Some(error), ..Self::nothing() },
            Ok(bytes) => Self::of(&bytes, !keys.is_empty()),
        }
    }

    /// Takes `frame` apart. Nothing is decrypted: `with_key` only keeps plain text that calls
    /// itself encrypted from being believed.
    pub(crate) fn of(frame: &[u8], with_key: bool) -> Self {
        if !is_wired(frame) {
            let message = "this looks like a radio frame: only wired ones are read here";
            return Self { error: Some(unsupported(message)), ..Self::nothing() };
        }
        let mut decoded = Self::nothing();
        match Frame::read(frame) {
            Err(error) => decoded.fail(error),
            Ok(Frame::Ack) => decoded.link = Some(Link::of("ack", None, None)),
            Ok(Frame::Short { control, address }) => {
                decoded.link = Some(Link::of("short", Some(control.0), Some(address.0)));
            }
            Ok(Frame::Long(long)) => decoded.long(&long, with_key),
        }
        decoded.ok = decoded.error.is_none();
        decoded
    }

    const fn nothing() -> Self {
        Self {
            schema: "mbus-decode/1",
            ok: false,
            error: None,
            link: None,
            ci: None,
            header: None,
            ell: None,
            afl: None,
            encryption: None,
            records: Vec::new(),
            more_records_follow: false,
            manufacturer_data: None,
            application_error: None,
            alarm: None,
        }
    }

    fn long(&mut self, long: &Long<'_>, with_key: bool) {
        let kind = if long.data.is_empty() { "control" } else { "long" };
        self.link = Some(Link::of(kind, Some(long.control.0), Some(long.address.0)));
        self.ci = Some(long.ci);
        let Telegram { header, content, .. } = match long.telegram() {
            Ok(telegram) => telegram,
            Err(error) => return self.fail(error),
        };
        self.header = header.as_ref().map(WireHeader::of);
        match content {
            Content::Records(records) => self.records(records),
            Content::Error(error) => {
                self.application_error =
                    Some(ApplicationError { code: error.0, name: error.name() });
            }
            Content::Alarm(status) => self.alarm = Some(Alarm { status }),
            Content::Sealed(sealed) => {
                let plain = sealed.plain().filter(|_| !with_key);
                let state = match (&plain, sealed.mode) {
                    (Some(_), _) => "plain_marked",
                    (None, 5 | 7) if !with_key => "key_missing",
                    (None, _) => "unsupported",
                };
                self.encryption = Some(Encryption { layer: "tpl", mode: sealed.mode, state });
                match plain {
                    Some(records) => self.records(records),
                    None if with_key => {
                        self.error = Some(unsupported("telegrams are not decrypted here"));
                    }
                    None => self.fail(sealed.error()),
                }
            }
        }
    }

    fn records(&mut self, mut records: Records<'_>) {
        for record in records.by_ref() {
            match record {
                Ok(record) => self.records.push(WireRecord::of(&record)),
                Err(error) => self.fail(error),
            }
        }
        if let Some(trailer) = records.trailer() {
            self.manufacturer_data = Some(to_hex(trailer.manufacturer_data));
            self.more_records_follow = trailer.more_follow;
        }
    }

    fn fail(&mut self, error: DecodeError) {
        let message = error.flaw.to_string();
        self.error = Some(WireError { code: error.flaw.code(), offset: error.at, message });
    }

    /// For people: a line on the meter, a line for each record, and what is wrong.
    pub(crate) fn for_people(&self) -> String {
        let mut lines = Vec::new();
        if let Some(header) = &self.header {
            let unknown = || "?".to_owned();
            let id = header.id.clone().unwrap_or_else(unknown);
            let maker = header.manufacturer.clone().unwrap_or_else(unknown);
            let medium = header.medium_name.unwrap_or("?");
            let version = header.version.map_or_else(unknown, |it| it.to_string());
            lines.push(format!(
                "meter {id}  maker {maker}  version {version}  medium {medium}  status {:#04x}",
                header.status
            ));
        } else if let Some(link) = &self.link {
            lines.push(format!("{} frame", link.kind));
        }
        for record in &self.records {
            lines.push(format!("  {record}"));
        }
        if let Some(error) = &self.application_error {
            lines.push(format!("the meter refuses: {}", error.name));
        }
        if let Some(alarm) = &self.alarm {
            let status = alarm.status.map_or("none".to_owned(), |it| format!("{it:#04x}"));
            lines.push(format!("the meter's alarm byte: {status}"));
        }
        if self.more_records_follow {
            lines.push("more telegrams follow".to_owned());
        }
        if let Some(error) = &self.error {
            lines.push(format!("not decoded: byte {}: {}", error.offset, error.message));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

impl Link {
    const fn of(kind: &'static str, control: Option<u8>, address: Option<u8>) -> Self {
        Self { kind, control, address }
    }
}

impl WireHeader {
    fn of(header: &Header) -> Self {
        Self {
            id: header.id.map(|id| id.to_string()),
            manufacturer: header
                .manufacturer
                .and_then(mbus::Manufacturer::letters)
                .map(String::from_iter),
            manufacturer_code: header.manufacturer.map(|it| it.0),
            version: header.version,
            medium: header.medium.map(mbus::Medium::code),
            medium_name: header.medium.map(mbus::Medium::name),
            access_number: header.access_number,
            status: header.status.0,
            signature: header.configuration.map(|it| format!("{:04X}", it.0)),
        }
    }
}

impl WireRecord {
    fn of(record: &Record<'_>) -> Self {
        let value = record.value();
        let data_type = record.data_type();
        let shown = match &value {
            Ok(mbus::Value::None) | Err(_) => None,
            Ok(value) => Some(value.to_string()),
        };
        Self {
            dib: to_hex(record.dib_bytes()),
            vib: to_hex(record.vib.bytes()),
            data: to_hex(record.data()),
            function: record.dib.function.as_str(),
            storage: record.dib.storage.get(),
            tariff: record.dib.tariff.get(),
            subunit: record.dib.subunit.get(),
            quantity: record.vib.quantity.as_str(),
            unit: (!record.vib.unit.is_none()).then(|| record.vib.unit.to_string()),
            modifiers: record.vib.modifiers().map(|it| it.to_string()).collect(),
            data_type: data_type.as_str(),
            value: shown,
            exponent: data_type.is_number().then_some(record.vib.exponent),
            valid: value.is_ok(),
            error: value.err().map(mbus::Invalid::code),
        }
    }
}

impl std::fmt::Display for WireRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = match (&self.value, self.error) {
            (Some(value), _) => value.as_str(),
            (None, Some(error)) => error,
            (None, None) => "-",
        };
        let unit = self.unit.as_deref().unwrap_or_default();
        write!(f, "{:<28} {value} {unit}", self.quantity)?;
        if self.function != "instantaneous" {
            write!(f, "  {}", self.function)?;
        }
        for (name, number) in
            [("storage", self.storage), ("tariff", self.tariff), ("subunit", self.subunit)]
        {
            if number != 0 {
                write!(f, "  {name} {number}")?;
            }
        }
        self.modifiers.iter().try_for_each(|modifier| write!(f, "  {modifier}"))
    }
}

/// Whether a frame is one of a wire; everything else is radio.
fn is_wired(frame: &[u8]) -> bool {
    match *frame {
        [0xE5] | [0x10, _, _, _, 0x16] => true,
        [0x68, l, again, start, ..] => start == 0x68 || l == again,
        _ => false,
    }
}

fn unsupported(message: &str) -> WireError {
    WireError { code: "unsupported", offset: 0, message: message.to_owned() }
}

/// The bytes that `digits` write down.
fn hex(digits: &str) -> Result<Vec<u8>, WireError> {
    let error =
        |code, offset, message: &str| WireError { code, offset, message: message.to_owned() };
    if digits.is_empty() {
        return Err(error("empty", 0, "there is no hex digit"));
    }
    let digits: Vec<char> = digits.chars().collect();
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for (at, pair) in digits.chunks(2).enumerate() {
        let value = |digit: &char| digit.to_digit(16).and_then(|it| u8::try_from(it).ok());
        match pair {
            [high, low] => match (value(high), value(low)) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => return Err(error("hex", at, "a character is no hex digit")),
            },
            _ => return Err(error("hex", at, "the number of hex digits is odd")),
        }
    }
    Ok(bytes)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a String never fails.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::{env, fs};

    use serde_json::{Value, json};

    use super::*;

    const VOLUMES: &str =
        "68 13 13 68 08 05 73 78 56 34 12 0A 00 E9 7E 01 00 00 00 35 01 00 00 3C 16";

    fn decode(line: &str) -> Value {
        serde_json::to_value(Decoded::of_line(line)).unwrap()
    }

    #[test]
    fn a_fixed_telegram_tells_two_volumes() {
        let decoded = decode(VOLUMES);
        assert_eq!(decoded["ok"], json!(true));
        assert_eq!(decoded["header"]["id"], json!("12345678"));
        assert_eq!(decoded["header"]["medium"], json!(7));
        let records = decoded["records"].as_array().unwrap();
        let told: Vec<_> =
            records.iter().map(|it| (&it["quantity"], &it["value"], &it["storage"])).collect();
        assert_eq!(
            told,
            [
                (&json!("volume"), &json!("0.001"), &json!(0)),
                (&json!("volume"), &json!("0.135"), &json!(1)),
            ]
        );
    }

    #[test]
    fn people_read_a_line_for_each_record() {
        assert_eq!(
            Decoded::of_line(VOLUMES).for_people(),
            "meter 12345678  maker ?  version ?  medium water  status 0x00\n  \
             volume                       0.001 m3\n  \
             volume                       0.135 m3  storage 1\n"
        );
        assert_eq!(
            Decoded::of_line("68 13 13 68 08").for_people(),
            "not decoded: byte 5: the telegram ends inside the frame\n"
        );
    }

    #[track_caller]
    fn check(line: &str, code: &str, offset: usize) {
        let decoded = decode(line);
        assert_eq!(decoded["ok"], json!(false));
        assert_eq!(
            (&decoded["error"]["code"], &decoded["error"]["offset"]),
            (&json!(code), &json!(offset))
        );
        assert_eq!(decoded.as_object().unwrap().len(), 14, "all keys are always there");
    }

    #[test]
    fn what_is_no_frame_is_told_why() {
        check("", "empty", 0);
        check("68 1G", "hex", 1);
        check("68 1", "hex", 1);
        check("68 03 04 68 08 05 73", "length", 2);
        check("2C4493157856341233037A2A0020255923", "unsupported", 0);
    }

    #[test]
    fn acknowledge_and_short_frames_are_frames() {
        assert_eq!(decode("e5")["link"], json!({"type": "ack"}));
        assert_eq!(
            decode("105B056016")["link"],
            json!({"type": "short", "control": 91, "address": 5})
        );
    }

    /// Compares every key of `expected` that says something of a wired frame.
    #[track_caller]
    fn compare(name: &str, decoded: &Value, expected: &Value) {
        for (key, expected) in expected.as_object().unwrap() {
            if key == "adjudicated" {
                continue;
            }
            let mut found = decoded[key].clone();
            if let Some(error) = found.as_object_mut().filter(|_| key == "error") {
                error.remove("message");
                if expected.get("offset").is_some_and(Value::is_null) {
                    error.insert("offset".to_owned(), Value::Null);
                }
            }
            let mut expected = expected.clone();
            if let Some(error) = expected.as_object_mut().filter(|_| key == "error") {
                error.remove("message");
            }
            assert_eq!(found, expected, "{name}: {key}");
        }
    }

    #[test]
    fn the_public_wired_frames_say_what_is_known_of_them() {
        let corpus = env::var_os("FYRHUS_CORPUS").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus")),
            PathBuf::from,
        );
        let corpus = corpus.join("mbus");
        let Ok(truth) = fs::read_to_string(corpus.join("truth.json")) else {
            println!("skipped: no public frames at {} (FYRHUS_CORPUS)", corpus.display());
            return;
        };
        let truth: Value = serde_json::from_str(&truth).unwrap();
        let mut compared = 0;
        for (group, folder) in
            [("good", "frames"), ("errors", "frames/errors"), ("unsupported", "frames/unsupported")]
        {
            for (name, expected) in truth[group].as_object().unwrap() {
                let frame = corpus.join(folder).join(format!("{name}.hex"));
                compare(name, &decode(&fs::read_to_string(frame).unwrap()), expected);
                compared += 1;
            }
        }
        assert_eq!(compared, 70);

        for line in fs::read_to_string(corpus.join("examples.jsonl")).unwrap().lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let line = case["line"].as_str().unwrap();
            let decoded = decode(line);
            let radio = decoded["error"]["code"] == json!("unsupported");
            if !radio {
                compare(&case["class"].to_string(), &decoded, &case["expect"]);
            }
        }
    }
}
