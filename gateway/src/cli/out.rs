//! Standard output and standard error of a command.

use std::borrow::Cow;
use std::io::{self, Write as _};

use serde::Serialize;

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Out {
    /// For programs instead of for people.
    pub(crate) json: bool,
    stdout: io::Stdout,
    stderr: io::Stderr,
}

/// Whoever read the output has gone away: nothing is wrong, and nothing is left to do.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone away")]
pub(crate) struct Broken;

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, stdout: io::stdout(), stderr: io::stderr() }
    }

    /// Prints `text` as it is.
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        let mut stdout = self.stdout.lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Broken.into()),
            written => Ok(written?),
        }
    }

    /// Prints `text` and a line feed.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.text(&format!("{text}\n"))
    }

    /// Prints one JSON object on a line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> anyhow::Result<()> {
        self.line(&without_controls(&serde_json::to_string(object)?))
    }

    /// Says on stderr what went wrong. If nobody listens there, nobody can be told.
    pub(crate) fn trouble(&self, text: &str) {
        drop(writeln!(self.stderr.lock(), "{text}"));
    }
}

/// `json` with the control characters escaped that its standard lets stand, and by which some
/// readers end a line and some terminals take orders: they can only be in a string.
fn without_controls(json: &str) -> Cow<'_, str> {
    let steers = |it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}');
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    json.chars()
        .map(|it| if steers(it) { format!("\\u{:04x}", u32::from(it)) } else { it.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_meter_sends_ends_no_line() {
        let json = serde_json::to_string("a\u{85}b\u{9b}2J\u{2028}\u{7f}\n\u{e6}").unwrap();
        let escaped = without_controls(&json);
        assert_eq!(escaped, "\"a\\u0085b\\u009b2J\\u2028\\u007f\\n\u{e6}\"");
        assert_eq!(
            serde_json::from_str::<String>(&escaped).unwrap(),
            "a\u{85}b\u{9b}2J\u{2028}\u{7f}\n\u{e6}"
        );
    }
}
