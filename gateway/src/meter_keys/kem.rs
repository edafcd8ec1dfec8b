//! KEM files: what Kamstrup sends with an order of meters that encrypt.
//!
//! ```text
//! order.zip.kem ─ zip ─▶ NAME.kem ─ XML ─▶ CipherValue ─ AES-128-CBC ─▶ XML: a Meter or Device each
//!                                           base64        the password, filled up with zeros
//! ```
//!
//! The zip around it may be missing. A KEM2 file is signed on top, which is not verified: its password
//! is what it is believed by, as that of a KEM file.
//!
//! Source: Kamstrup, "How to decrypt a KEM or KEM2 file" (5512-3205), and W3C XML Encryption for the
//! envelope. No document says which names all of Kamstrup's programs give to the keys: those that are
//! known are read, and a file with none of them is refused.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drivers::han::Key;
use drivers::{KeyName, MeterKeys};
use flate2::read::DeflateDecoder;

/// Whether it looks like one.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || text_of(bytes).is_some_and(|text| text.contains("CipherValue"))
}

pub(super) fn read(bytes: &[u8], password: &str) -> anyhow::Result<Vec<(KeyName, MeterKeys)>> {
    let inner = if bytes.starts_with(ZIP) { unzipped(bytes)? } else { bytes.to_vec() };
    let envelope = text_of(&inner).context("the KEM file has no XML in it")?;
    let value = element(&envelope, "CipherValue")
        .context("the KEM file has no CipherValue: it is not of the kind that a password opens")?;
    let packed: String = value.chars().filter(|it| !it.is_whitespace()).collect();
    let sealed = STANDARD.decode(packed).context("the KEM file's CipherValue is no base64")?;
    let plain = opened(&sealed, password)
        .context("the password does not open the KEM file; it is mostly the customer number")?;
    meters(&plain)
}

/// The XML that was sealed; `None` if the password is not that one.
///
/// XML Encryption puts the initialisation vector before the text; Kamstrup's programs take the key
/// for it.
fn opened(sealed: &[u8], password: &str) -> Option<String> {
    let mut key = [0; 16];
    let password = password.trim().as_bytes();
    key.get_mut(..password.len())?.copy_from_slice(password);
    let open = |iv: [u8; 16], sealed: &[u8]| {
        let mut plain = sealed.to_vec();
        Key::new(key).open_chained(iv, &mut plain);
        let text = text_of(&plain)?;
        let text = text.trim_start_matches(|it: char| it == '\u{FEFF}' || it.is_whitespace());
        let is_xml = text.starts_with('<') && (text.contains("</") || text.contains("/>"));
        is_xml.then(|| text.to_owned())
    };
    let (first, rest) = sealed.split_first_chunk()?;
    open(key, sealed).or_else(|| open(*first, rest))
}

/// The keys of the plain XML.
fn meters(xml: &str) -> anyhow::Result<Vec<(KeyName, MeterKeys)>> {
    let mut keys = Vec::new();
    let blocks = [elements(xml, "Meter"), elements(xml, "Device")].concat();
    let most = blocks.len();
    for block in blocks {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| element(block, name).filter(|it| !it.trim().is_empty()))
        };
        let number = first(&["SerialNo", "SerialNumber", "MeterNo", "CustomerDeviceNumber"]);
        let Some(number) = number.and_then(|it| it.trim().parse::<KeyName>().ok()) else {
            continue;
        };
        let key = |names: &[&str]| first(names).and_then(|it| it.trim().parse::<Key>().ok());
        let Some(encryption) = key(&["DEK", "GPK60", "EncryptionKey", "Value"]) else { continue };
        let authentication = key(&["GPK61", "AuthenticationKey"]);
        keys.push((number, MeterKeys { encryption, authentication }));
    }
    if keys.is_empty() {
        bail!("the KEM file was opened, and none of its {most} meters has a key of a known name");
    }
    Ok(keys)
}

/// What stands in the first element `name`, whatever its prefix and attributes.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    elements(xml, name).first().copied()
}

/// What stands in each element `name` that is in no other of that name.
fn elements<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, tag)) = rest.split_once('<') {
        rest = tag;
        let head_ends = |letter: char| letter == '>' || letter == '/' || letter.is_whitespace();
        let Some((head, _)) = tag.split_once(head_ends) else { break };
        if head.rsplit(':').next() != Some(name) {
            continue;
        }
        let Some((attributes, body)) = tag.split_once('>') else { break };
        if attributes.ends_with('/') {
            continue;
        }
        let Some((inner, after)) = body.split_once(&format!("</{head}>")) else { break };
        found.push(inner);
        rest = after;
    }
    found
}

/// The first file of the archive whose name ends as a KEM file's does.
///
/// Its directory is at the end, and tells where each file begins and how long it is.
fn unzipped(zip: &[u8]) -> anyhow::Result<Vec<u8>> {
    let broken = "the KEM file's zip archive is broken";
    let end = zip.windows(4).rposition(|it| it == DIRECTORY_ENDS).context(broken)?;
    let mut at = number(zip, end + 16, 4).context(broken)?;
    while zip.get(at..at + 4) == Some(DIRECTORY_ENTRY) {
        let field = |from: usize, len: usize| number(zip, at + from, len).context(broken);
        let (method, packed, begins) = (field(10, 2)?, field(20, 4)?, field(42, 4)?);
        let (name, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
        let named = zip.get(at + 46..at + 46 + name).context(broken)?;
        at += 46 + name + extra + comment;
        if !named.to_ascii_lowercase().ends_with(b".kem")
            && !named.to_ascii_lowercase().ends_with(b".kem2")
        {
            continue;
        }
        let inside = |from: usize| number(zip, begins + from, 2).context(broken);
        let data = begins + 30 + inside(26)? + inside(28)?;
        let data = zip.get(data..data + packed).context(broken)?;
        let mut plain = Vec::new();
        match method {
            0 => data.take(MOST).read_to_end(&mut plain),
            8 => DeflateDecoder::new(data).take(MOST).read_to_end(&mut plain),
            _ => bail!("the KEM file's zip archive is packed in a way that is not read: unpack it"),
        }
        .context(broken)?;
        return Ok(plain);
    }
    bail!("the archive has no file that ends in .kem")
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let digits = bytes.get(at..at.checked_add(len)?)?;
    Some(digits.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// Text of UTF-8 or, with its mark, UTF-16; what fills it up to a block is left out.
fn text_of(bytes: &[u8]) -> Option<String> {
    if let Some(wide) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        let (pairs, _) = wide.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        return Some(String::from_utf16_lossy(&units));
    }
    // The last block is filled up with bytes that may be anything.
    let whole = bytes.iter().rposition(|byte| *byte == b'>').map(|at| at + 1)?;
    std::str::from_utf8(bytes.get(..whole)?).ok().map(str::to_owned)
}

const ZIP: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const DIRECTORY_ENDS: &[u8] = b"PK\x05\x06";
/// Of a file of keys, unpacked: a hundred thousand meters.
const MOST: u64 = 64 << 20;
