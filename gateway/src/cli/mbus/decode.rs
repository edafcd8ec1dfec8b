//! `fyrhus mbus decode`: telegrams, taken apart, for people and for programs.
//!
//! The lines of one run belong together: a full frame teaches the format of the compact ones of
//! its meter that come behind it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, stdin};
use std::path::Path;

use anyhow::Context as _;
use mbus::crypto::Key;
use mbus::radio::{Format, Listener, Scratch};

use super::super::Out;
use super::decoded::Decoded;
use super::explained::WirePiece;
use super::hex::Written;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Hex digits may stand in any case, with blanks, 0x, commas, colons, | or _
between them; lines of rtl_wmbus and of a CUL stick are read, too. Keys of one
telegram may follow it on its line: key= and 32 hex digits, which unlike --key
nobody sees in the list of processes.

With --json each telegram is one object on a line, `mbus-decode/1`.

Examples:
  fyrhus mbus decode 68 13 13 68 08 05 73 78 56 34 12 0A 00 E9 7E 01 00 00 00 \\
      35 01 00 00 3C 16
  fyrhus mbus decode --explain E5
  fyrhus mbus decode telegrams.txt
  rtl_wmbus < samples | fyrhus mbus decode --key 0102…0F10 -

Exit status: 0 every telegram was read; 1 at least one was not, and says why; 2
wrong usage.")]
pub(in crate::cli) struct Decode {
    /// The telegram in hex digits, in one word or several; or a file with one telegram a line; or
    /// - for the same from standard input
    #[arg(required = true, value_name = "HEX|FILE|-")]
    telegram: Vec<String>,
    /// A key that may open encrypted telegrams, 32 hex digits; may be given several times
    #[arg(long = "key", value_name = "HEX")]
    keys: Vec<Key>,
    /// Tell what every single byte means
    #[arg(long)]
    explain: bool,
}

impl Decode {
    /// Whether every telegram was read.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { telegram, keys, explain } = self;
        let mut table = vec![Format::EMPTY; FORMATS];
        let listener = Listener::new(&mut table);
        let mut run = Run { listener, keys, explain, out, before: false };
        match telegram.as_slice() {
            [only] if only == "-" => run.lines(stdin().lock()),
            [only] if Path::new(only).is_file() => {
                let file = File::open(only).with_context(|| format!("{only} cannot be read"))?;
                run.lines(BufReader::new(file))
            }
            [only] if only.contains('/') => anyhow::bail!("there is no file {only}"),
            words => run.line(&words.join(" ")),
        }
    }
}

/// One run of the command.
struct Run<'o, 't> {
    listener: Listener<'t>,
    keys: Vec<Key>,
    explain: bool,
    out: &'o mut Out,
    /// Something has been printed.
    before: bool,
}

impl Run<'_, '_> {
    /// One telegram a line; blank lines are skipped.
    fn lines(&mut self, mut source: impl BufRead) -> anyhow::Result<bool> {
        let mut all = true;
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = source.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if count.context("the telegrams cannot be read")? == 0 {
                return Ok(all);
            }
            // What is cut off is read as further lines, and is no telegram either.
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                all &= self.line(text.trim_end())?;
            }
        }
    }

    /// Whether the telegram of the line was read.
    fn line(&mut self, line: &str) -> anyhow::Result<bool> {
        let Written { bytes, keys } = Written::read(line);
        let decoded = match bytes {
            Ok(bytes) => self.telegram(&bytes, &keys),
            Err(error) => Decoded::refused(error.code(), error.byte(), error.to_string()),
        };
        if self.out.json {
            self.out.object(&decoded)?;
        } else {
            let gap = if self.before { "\n" } else { "" };
            self.out.text(&format!("{gap}{}", decoded.for_people()))?;
            self.before = true;
        }
        Ok(decoded.ok)
    }

    fn telegram(&mut self, bytes: &[u8], keys: &[Key]) -> Decoded {
        let keys = [self.keys.as_slice(), keys].concat();
        let mut scratch = Scratch::new();
        let heard = self.listener.hear(bytes, keys.as_slice(), &mut scratch);
        let mut decoded = Decoded::of(&heard);
        if self.explain {
            let mut pieces = Vec::new();
            mbus::explain::of_heard(bytes, &heard, &mut |it| pieces.push(WirePiece::of(&it)));
            decoded.explain = Some(pieces);
        }
        decoded
    }
}

/// Every byte of telegrams of one meter with its meaning.
pub(in crate::cli) fn explained(telegrams: &[Vec<u8>], keys: &[Key]) -> Vec<Vec<WirePiece>> {
    let mut table = vec![Format::EMPTY; FORMATS];
    let mut listener = Listener::new(&mut table);
    let mut told = Vec::with_capacity(telegrams.len());
    for telegram in telegrams {
        let mut scratch = Scratch::new();
        let heard = listener.hear(telegram, keys, &mut scratch);
        let mut pieces = Vec::new();
        mbus::explain::of_heard(telegram, &heard, &mut |it| pieces.push(WirePiece::of(&it)));
        told.push(pieces);
    }
    told
}

/// A line with spaces between the digits, keys and a receiver's words has a thousand or two.
const LONGEST: u64 = 64 * 1024;

/// Meters of a kind have the same formats: there are no more kinds on one radio.
const FORMATS: usize = 256;
