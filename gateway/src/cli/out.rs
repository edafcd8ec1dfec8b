//! Standard output and standard error of a command.

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
        self.line(&serde_json::to_string(object)?)
    }

    /// Says on stderr what went wrong. If nobody listens there, nobody can be told.
    pub(crate) fn trouble(&self, text: &str) {
        drop(writeln!(self.stderr.lock(), "{text}"));
    }
}
