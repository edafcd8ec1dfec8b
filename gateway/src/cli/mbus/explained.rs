//! Every byte of a telegram with its meaning: the array `explain` of `--json`, and aligned columns
//! for people.

use mbus::explain::Piece;
use serde::Serialize;

use super::hex::to_hex;
use super::wrap::wrapped;

/// Some bytes that mean one thing.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct WirePiece {
    /// Counted from the first byte of the telegram as it was given.
    offset: usize,
    length: usize,
    /// Decrypted, where a key was right.
    hex: String,
    layer: &'static str,
    /// Which record, counted from 0.
    record: Option<u16>,
    what: &'static str,
    meaning: String,
    /// The bytes are wrong.
    fault: bool,
    /// The same field as the last one of another meaning: a checksum stands in its middle.
    continued: bool,
}

impl WirePiece {
    pub(super) fn of(piece: &Piece<'_>) -> Self {
        Self {
            offset: piece.at,
            length: piece.bytes.len(),
            hex: to_hex(piece.bytes),
            layer: piece.layer.code(),
            record: piece.layer.record(),
            what: piece.meaning.code(),
            meaning: piece.meaning.to_string(),
            fault: piece.meaning.is_fault(),
            continued: piece.continued,
        }
    }

    /// A title for what its bytes are a part of.
    fn title(&self) -> String {
        match (self.layer, self.record) {
            (_, Some(record)) => format!("record {}", u32::from(record) + 1),
            ("link", _) => "frame".to_owned(),
            ("ell", _) => "extended link layer".to_owned(),
            ("afl", _) => "authentication layer".to_owned(),
            ("application", _) => "other data".to_owned(),
            ("unread", _) => "not read".to_owned(),
            (layer, _) => layer.to_owned(),
        }
    }
}

/// Three columns: where, the bytes, what they mean.
pub(in crate::cli) fn for_people(pieces: &[WirePiece]) -> String {
    let mut text = String::from("byte  hex                      meaning\n");
    let mut title = String::new();
    for piece in pieces {
        // A checksum between two halves of a field is no frame of its own.
        if piece.what != "block_checksum" && piece.title() != title {
            title = piece.title();
            text.extend(["      -- ", &title, "\n"]);
        }
        let meaning = if piece.continued { "(goes on)" } else { &piece.meaning };
        for (row, hex) in rows(&piece.hex).into_iter().enumerate() {
            let offset = piece.offset + row * BYTES_IN_ROW;
            let head = format!("{offset:>4}  {hex:<width$}  ", width = 3 * BYTES_IN_ROW - 1);
            text.push_str(&wrapped(&head, if row == 0 { meaning } else { "" }));
        }
    }
    text
}

/// Bytes apart, a few on each row.
fn rows(hex: &str) -> Vec<String> {
    let digits: Vec<char> = hex.chars().collect();
    let bytes: Vec<String> = digits.chunks(2).map(String::from_iter).collect();
    bytes.chunks(BYTES_IN_ROW).map(|row| row.join(" ")).collect()
}

const BYTES_IN_ROW: usize = 8;
