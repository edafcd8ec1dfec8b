//! `fyrhus han decode`: messages that were written down.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context as _, bail};
use drivers::han::{Framer, Heard, Rules, decode};

use super::super::Out;
use super::Told;
use super::told::{for_people, message};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Hex digits may stand in any case, with blanks between them; a line may hold
several messages, a file several lines. A file that begins with / is taken for
P1 text as it is.

A code that is not shown was not in the message: it is absent, not zero.

Examples:
  fyrhus han decode 7ea027010201105a87e6e7000f40000000090c07e3020401173416ff80\\
0000020106000016dc5a5a7e
  fyrhus han decode captured.txt
  fyrhus han decode --key 0001…0E0F --auth-key D0D1…DEDF --json -

Exit status: 0 every message was read; 1 at least one was not, and says why; 2
wrong usage.")]
pub(in crate::cli) struct Decode {
    /// The message in hex digits, in one word or several; or a file with such lines or P1 text;
    /// or - for the same from standard input
    #[arg(required = true, value_name = "HEX|FILE|-")]
    message: Vec<String>,
    #[command(flatten)]
    told: Told,
}

impl Decode {
    /// Whether every message was read.
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let Self { message, told } = self;
        let rules = told.rules();
        let text = match message.as_slice() {
            [only] if only == "-" => read(stdin().lock())?,
            [only] if Path::new(only).is_file() => {
                read(File::open(only).with_context(|| format!("{only} cannot be read"))?)?
            }
            [only] if only.contains(['/', '.']) => bail!("there is no file {only}"),
            words => words.join(" ").into_bytes(),
        };
        if text.trim_ascii_start().starts_with(b"/") {
            return show(text.trim_ascii_start(), &rules, out);
        }
        let mut all = true;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            bail!("there is nothing to decode");
        }
        for line in lines {
            all &= show(&bytes_of(line)?, &rules, out)?;
        }
        Ok(all)
    }
}

/// Hours of a port's messages in hex have less.
const LONGEST: u64 = 16 * 1024 * 1024;

fn read(source: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut bytes).context("the messages cannot be read")?;
    if bytes.len() as u64 > LONGEST {
        bail!("that is more than 16 MiB; decode it in parts");
    }
    Ok(bytes)
}

fn bytes_of(line: &str) -> anyhow::Result<Vec<u8>> {
    let mut digits = Vec::new();
    for (place, found) in line.chars().enumerate().filter(|(_, it)| !it.is_whitespace()) {
        match found.to_digit(16).map(u8::try_from) {
            Some(Ok(digit)) => digits.push(digit),
            _ => bail!("column {}: `{}` is no hex digit", place + 1, found.escape_default()),
        }
    }
    let (pairs, rest) = digits.as_chunks();
    if !rest.is_empty() {
        bail!("the number of hex digits is odd: one is missing, or one too many");
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Shows every message among `bytes`; whether there is one and all could be read.
fn show(bytes: &[u8], rules: &Rules, out: &mut Out) -> anyhow::Result<bool> {
    let mut heard = Vec::new();
    let mut framer = Framer::new();
    let mut each = |it: Heard<'_>| {
        heard.push(match it {
            Heard::Message(message) => decode(message, rules),
            Heard::Noise { why, .. } => Err(why),
        });
    };
    framer.push(bytes, &mut each);
    framer.silence(&mut each);
    if heard.iter().all(Result::is_err) {
        // One message that is not whole: told from its own beginning.
        heard = vec![decode(bytes, rules)];
    }
    let all = heard.iter().all(Result::is_ok);
    for it in &heard {
        if out.json {
            out.object(&message(it))?;
        } else {
            out.text(&for_people(it))?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_in_any_dress_and_others_are_told() {
        assert_eq!(bytes_of(" 7E a0\t2a").unwrap(), [0x7E, 0xA0, 0x2A]);
        assert_eq!(bytes_of("7E x0").unwrap_err().to_string(), "column 4: `x` is no hex digit");
        assert!(bytes_of("7E A").unwrap_err().to_string().contains("odd"));
    }
}
