//! The format `mbus-decode/1`, key by key: what every object has to be, whatever the telegram.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is wrong with `decoded`, which was made of `bytes` bytes; nothing if it keeps the format.
pub(super) fn faults(decoded: &Value, bytes: usize) -> Vec<String> {
    let mut faults = Faults::default();
    faults.object("", decoded, FRAME);
    let Value::Object(keys) = decoded else { return faults.0 };
    for key in keys.keys().filter(|key| !FRAME.iter().any(|(known, _)| known == key)) {
        faults.demand(key == "explain", || format!("{key} is unknown"));
    }
    let error = &decoded["error"];
    faults.demand(decoded["ok"] == error.is_null(), || "ok and error contradict".to_owned());
    let code = error["code"].as_str().unwrap_or_default();
    let offset = error["offset"].as_u64().unwrap_or_default();
    faults.demand(offset <= bytes as u64, || format!("{code} at {offset} of {bytes} bytes"));
    if LINK_FAILURES.contains(&code) && decoded["link"].is_null() {
        faults.demand(decoded["ci"].is_null() && decoded["header"].is_null(), || {
            "behind a broken link something is told".to_owned()
        });
    }
    let records = decoded["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let may_have_records = error.is_null() || RECORD_FAILURES.contains(&code);
    faults.demand(records.is_empty() || may_have_records, || format!("records behind {code}"));
    let state = decoded["encryption"]["state"].as_str();
    let opened = matches!(state, None | Some("decrypted" | "plain_marked"));
    faults.demand(records.is_empty() || opened, || "records of what was not opened".to_owned());
    for (number, record) in records.iter().enumerate() {
        faults.object(&format!("record {number} "), record, RECORD);
        faults.record(number, record);
    }
    faults.0
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn demand(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    /// All keys are there, and each holds what it may.
    fn object(&mut self, of: &str, object: &Value, keys: &[(&str, Check)]) {
        for (key, check) in keys {
            match object.get(key) {
                Some(value) => self.demand(check(value), || format!("{of}{key} is {value}")),
                None => self.0.push(format!("{of}{key} is absent")),
            }
        }
    }

    fn record(&mut self, number: usize, record: &Value) {
        let kind = record["type"].as_str().unwrap_or_default();
        let value = &record["value"];
        let mut demand =
            |holds, what: &str| self.demand(holds, || format!("record {number}: {what}: {record}"));
        demand(record["valid"] == record["error"].is_null(), "valid and error contradict");
        let has_exponent = ["integer", "unsigned", "bits", "bcd", "real32"].contains(&kind);
        demand(record["exponent"].is_i64() == has_exponent, "an exponent where there is none");
        let absent = record["error"].is_string() || kind == "none";
        demand(value.is_null() == absent, "a value beside an error, or neither");
        let Some(text) = value.as_str() else { return };
        let shape = match kind {
            "integer" | "bcd" | "real32" => is_number(text),
            "unsigned" | "bits" => is_number(text) && !text.starts_with('-'),
            "bytes" => is_hex(text),
            "date" => fits(text, "dddd-dd-dd"),
            "datetime" => fits(text, "dddd-dd-ddTdd:dd") || fits(text, "dddd-dd-ddTdd:dd:dd"),
            "time" => fits(text, "dd:dd:dd"),
            _ => kind == "text",
        };
        demand(shape, "a value of another type");
    }
}

type Check = fn(&Value) -> bool;

const FRAME: &[(&str, Check)] = &[
    ("schema", |it| it == "mbus-decode/1"),
    ("ok", Value::is_boolean),
    ("error", |it| is(it, &[("code", is_error), ("offset", Value::is_u64), ("message", is_said)])),
    ("link", is_link),
    ("ci", is_byte),
    ("header", |it| is(it, HEADER)),
    ("ell", |it| is(it, ELL)),
    ("afl", |it| is(it, AFL)),
    ("encryption", |it| is(it, ENCRYPTION)),
    ("records", Value::is_array),
    ("more_records_follow", Value::is_boolean),
    ("manufacturer_data", |it| it.is_null() || is_hex_text(it)),
    ("application_error", |it| is(it, &[("code", is_byte), ("name", is_said)])),
    ("alarm", |it| is(it, &[("status", is_byte)])),
];

const IDENTITY: &[(&str, Check)] = &[
    ("id", |it| it.is_null() || it.as_str().is_some_and(|it| it.len() == 8 && is_hex(it))),
    ("manufacturer", |it| it.is_null() || it.as_str().is_some_and(|it| fits(it, "AAA"))),
    ("manufacturer_code", |it| it.is_null() || it.as_u64().is_some_and(|it| it <= 0xFFFF)),
    ("version", is_byte),
    ("medium", is_byte),
    ("medium_name", |it| it.is_null() || is_name(it)),
];

const HEADER: &[(&str, Check)] = &[
    ("access_number", is_byte),
    ("status", is_byte),
    ("signature", |it| it.is_null() || it.as_str().is_some_and(|it| it.len() == 4 && is_hex(it))),
    IDENTITY[0],
    IDENTITY[1],
    IDENTITY[2],
    IDENTITY[3],
    IDENTITY[4],
    IDENTITY[5],
];

const ELL: &[(&str, Check)] = &[
    ("ci", |it| it.as_u64().is_some_and(|it| (0x8C..=0x8F).contains(&it))),
    ("control", Value::is_u64),
    ("access_number", Value::is_u64),
    ("session_number", |it| it.is_null() || it.as_u64().is_some_and(|it| it <= 0xFFFF_FFFF)),
    ("encryption", |it| it.is_string()),
];

const AFL: &[(&str, Check)] = &[
    ("fragment", Value::is_u64),
    ("counter", |it| it.is_null() || it.is_u64()),
    ("mac", |it| it.is_null() || is_hex_text(it)),
    ("mac_ok", |it| it.is_null() || it.is_boolean()),
];

const ENCRYPTION: &[(&str, Check)] = &[
    ("layer", |it| one_of(it, &["tpl", "ell"])),
    ("mode", |it| it.as_u64().is_some_and(|it| it < 32)),
    ("state", |it| {
        one_of(it, &["decrypted", "key_missing", "key_wrong", "unsupported", "plain_marked"])
    }),
];

const RECORD: &[(&str, Check)] = &[
    ("dib", is_hex_text),
    ("vib", is_hex_text),
    ("data", is_hex_text),
    ("function", |it| one_of(it, &["instantaneous", "maximum", "minimum", "error"])),
    ("storage", |it| it.as_u64().is_some_and(|it| it < 1 << 41)),
    ("tariff", |it| it.as_u64().is_some_and(|it| it < 1 << 20)),
    ("subunit", |it| it.as_u64().is_some_and(|it| it < 1 << 10)),
    ("quantity", is_name),
    ("unit", |it| it.is_null() || it.is_string()),
    ("modifiers", |it| it.as_array().is_some_and(|it| it.iter().all(is_modifier))),
    ("type", |it| {
        one_of(
            it,
            &[
                "integer", "unsigned", "bits", "bcd", "real32", "text", "bytes", "date",
                "datetime", "time", "none",
            ],
        )
    }),
    ("value", |it| it.is_null() || it.is_string()),
    ("exponent", |it| it.is_null() || it.is_i64()),
    ("valid", Value::is_boolean),
    ("error", |it| it.is_null() || one_of(it, RECORD_ERRORS)),
];

const RECORD_ERRORS: &[&str] = &[
    "integer_invalid",
    "date_coding",
    "real_nan",
    "real_infinite",
    "bcd_digit",
    "date_invalid",
    "date_none",
    "date_range",
    "date_partial",
    "record_error",
];

/// Of the link: of such a frame nothing else is told.
const LINK_FAILURES: &[&str] =
    &["empty", "hex", "start", "length", "truncated", "trailing", "checksum", "stop", "too_short"];

/// Behind these the complete records stay.
const RECORD_FAILURES: &[&str] = &[
    "dif_truncated",
    "vif_truncated",
    "text_truncated",
    "data_truncated",
    "dife_count",
    "vife_count",
    "dif_reserved",
    "lvar_reserved",
];

const OTHER_FAILURES: &[&str] = &[
    "wireless_crc",
    "ci_unsupported",
    "header_short",
    "fixed_length",
    "key",
    "key_missing",
    "key_wrong",
    "mac_wrong",
    "mode_unsupported",
    "ell_crc",
    "encrypted_length",
    "afl_fragment",
    "format_unknown",
    "compact_crc",
    "compact_length",
];

fn is_error(value: &Value) -> bool {
    [LINK_FAILURES, RECORD_FAILURES, OTHER_FAILURES].iter().any(|codes| one_of(value, codes))
}

/// Null, or an object that has these keys.
fn is(value: &Value, keys: &[(&str, Check)]) -> bool {
    value.is_null() || keys.iter().all(|(key, check)| value.get(key).is_some_and(check))
}

fn is_link(link: &Value) -> bool {
    let numbers =
        |keys: &[&str]| keys.iter().all(|key| link[*key].as_u64().is_some_and(|it| it < 256));
    match link["type"].as_str() {
        None => link.is_null(),
        Some("ack") => true,
        Some("long" | "control" | "short") => numbers(&["control", "address"]),
        Some("wireless") => {
            numbers(&["control", "version", "medium"])
                && one_of(&link["format"], &["A", "B", "none"])
                && is(link, IDENTITY)
                && link["id"].is_string()
        }
        Some(_) => false,
    }
}

fn is_modifier(modifier: &Value) -> bool {
    let Some(text) = modifier.as_str() else { return false };
    let (head, tail) = text.split_once(':').unwrap_or((text, ""));
    match head {
        "unit" => tail.starts_with(['/', '.']),
        "factor" | "offset" => tail.parse::<i8>().is_ok(),
        "unknown" | "manufacturer" => tail.is_empty() && head == "manufacturer" || is_hex(tail),
        "record_error" => is_name(&Value::from(tail)),
        _ => tail.is_empty() && is_name(modifier),
    }
}

fn one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|it| words.contains(&it))
}

fn is_byte(value: &Value) -> bool {
    value.is_null() || value.as_u64().is_some_and(|it| it < 256)
}

fn is_said(value: &Value) -> bool {
    value.as_str().is_some_and(|it| !it.is_empty())
}

/// A word of the tables: small letters, digits and `_`.
fn is_name(value: &Value) -> bool {
    let word = |it: &str| {
        it.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
    };
    value.as_str().is_some_and(|it| !it.is_empty() && word(it))
}

fn is_hex_text(value: &Value) -> bool {
    value.as_str().is_some_and(is_hex)
}

/// Upper case, whole bytes, no spaces; none is right too.
fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2)
        && text.bytes().all(|it| it.is_ascii_digit() || (b'A'..=b'F').contains(&it))
}

/// `d` is a digit, `A` a capital letter, everything else itself.
fn fits(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(it, shape)| match shape {
            b'd' => it.is_ascii_digit(),
            b'A' => it.is_ascii_uppercase(),
            other => it == other,
        })
}

/// `(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])`
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "1"));
    let all_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let is_whole = all_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    is_whole && all_digits(rest) && !rest.ends_with('0') && text != "-0"
}

/// All codes of records and frames that `decoded` has.
pub(super) fn codes(decoded: &[Value]) -> BTreeSet<String> {
    let of_records = decoded.iter().flat_map(|it| it["records"].as_array().into_iter().flatten());
    let errors = decoded.iter().map(|it| &it["error"]["code"]);
    let errors = errors.chain(of_records.map(|it| &it["error"]));
    errors.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

#[test]
fn numbers_are_written_in_one_way() {
    for right in ["0", "7", "-7", "10", "0.1", "-0.001", "100.05"] {
        assert!(is_number(right), "{right}");
    }
    for wrong in ["", "-", "-0", "00", "07", "1.", ".5", "1.0", "1.10", "+1", "1e3", "0x1", "1,5"] {
        assert!(!is_number(wrong), "{wrong}");
    }
}
