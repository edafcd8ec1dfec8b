//! The line on a terminal that tells how far a command is.

use std::io::{IsTerminal as _, Write as _, stderr};

/// Shown on stderr, and only where somebody watches it. What is printed takes its place.
#[derive(Debug)]
pub(super) struct Status {
    shows: bool,
}

impl Status {
    pub(super) fn new() -> Self {
        Self { shows: stderr().is_terminal() }
    }

    pub(super) fn show(&self, text: &str) {
        if self.shows {
            // If nobody looks at the terminal any more, nothing is lost.
            drop(write!(stderr().lock(), "\r{text:<WIDTH$}"));
        }
    }

    pub(super) fn clear(&self) {
        if self.shows {
            drop(write!(stderr().lock(), "\r{:<WIDTH$}\r", ""));
        }
    }
}

/// Longer than any of them.
const WIDTH: usize = 60;
