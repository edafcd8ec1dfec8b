//! Hand-made telegrams and what they say, side by side in `tests/golden`: `NAME.hex` and `NAME.txt`.
//!
//! `UPDATE=1 cargo test -p mbus-rs --test golden` rewrites the texts; what changes in them is to be
//! read before it is committed. The first line of each `.hex` says where it came from.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Error, Write};
use std::fs;
use std::path::Path;

use mbus::{Content, DecodeError, Frame, Long, Telegram};

#[test]
fn every_telegram_says_what_its_text_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        count += 1;
        let text = explained(&bytes(&fs::read_to_string(&path).unwrap()));
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 takes these over:\n{}", wrong.join("\n"));
    assert!(count >= 18, "only {count} telegrams in {}", folder.display());
}

fn bytes(text: &str) -> Vec<u8> {
    let (origin, hex) = text.split_once('\n').unwrap();
    assert!(origin.starts_with("# "), "the first line says where it came from");
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn explained(bytes: &[u8]) -> String {
    let mut text = String::new();
    match Frame::read(bytes) {
        Ok(frame) => explain(&frame, &mut text).unwrap(),
        Err(error) => writeln!(text, "{error}").unwrap(),
    }
    text
}

fn explain(frame: &Frame<'_>, text: &mut String) -> Result<(), Error> {
    match frame {
        Frame::Ack => writeln!(text, "acknowledge"),
        Frame::Short { control, address } => {
            writeln!(text, "short, control {:02X}, address {address}", control.0)
        }
        Frame::Long(long @ Long { control, address, ci, .. }) => {
            writeln!(text, "long, control {:02X}, address {address}, CI {ci:02X}", control.0)?;
            match long.telegram() {
                Ok(telegram) => explain_telegram(telegram, text),
                Err(error) => writeln!(text, "{error}"),
            }
        }
    }
}

fn explain_telegram(telegram: Telegram<'_>, text: &mut String) -> Result<(), Error> {
    if let Some(header) = &telegram.header {
        match (header.address(), header.id) {
            (Some(address), _) => write!(text, "{address}, ")?,
            (None, Some(id)) => write!(text, "{id}, ")?,
            (None, None) => {}
        }
        if let Some(medium) = header.medium {
            write!(text, "{}, ", medium.name())?;
        }
        writeln!(text, "access {}, status {:02X}", header.access_number, header.status.0)?;
    }
    match &telegram.content {
        Content::Error(error) => writeln!(text, "application error {}", error.name())?,
        Content::Alarm(status) => writeln!(text, "alarm {status:02X?}")?,
        Content::Records(_) | Content::Sealed(_) => {}
    }
    match explain_records(telegram, text)? {
        Ok(()) => Ok(()),
        Err(error) => writeln!(text, "{error}"),
    }
}

fn explain_records(
    telegram: Telegram<'_>,
    text: &mut String,
) -> Result<Result<(), DecodeError>, Error> {
    let mut records = match telegram.records() {
        Ok(records) => records,
        Err(error) => return Ok(Err(error)),
    };
    for record in records.by_ref() {
        match record {
            Ok(record) => writeln!(text, "{record}")?,
            Err(error) => return Ok(Err(error)),
        }
    }
    if let Some(trailer) = records.trailer() {
        writeln!(text, "manufacturer data {:02X?}", trailer.manufacturer_data)?;
        if trailer.more_follow {
            writeln!(text, "more telegrams follow")?;
        }
    }
    Ok(Ok(()))
}
