//! What was seen of the wire during a task: for whoever wants to know how well it is.

use core::time::Duration;

use super::Responses;

/// What a task saw of the wire. It costs no more than the adding up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that were sent.
    pub sends: u16,
    /// Those of them that said the same as the one before.
    pub repeats: u16,
    /// Frames that came and were what was asked for, acknowledges included.
    pub answers: u16,
    /// Requests to which nothing came.
    pub silences: u16,
    /// Answers with a wrong checksum.
    pub checksum_errors: u16,
    /// Bytes that came with a wrong parity or stop bit, as far as the port tells
    /// ([`Session::line_error`](super::Session::line_error)).
    pub line_errors: u16,
    /// Answers that broke off, or were no frame.
    pub broken: u16,
    /// Answers that were most likely those of two meters at once.
    pub collisions: u16,
    /// Whole frames that nobody had asked for.
    pub foreign: u16,
    /// Bytes that came while nothing was asked.
    pub stray_bytes: u16,
    /// Requests that came back before the answer.
    pub echoes: u16,
    /// The shortest time from the end of a request to the beginning of its answer, if there was
    /// one.
    pub fastest: Option<Duration>,
    /// The longest one.
    pub slowest: Option<Duration>,
    /// All of them.
    pub responses: Responses,
}

impl Traffic {
    /// Nothing yet.
    pub const NONE: Self = Self {
        sends: 0,
        repeats: 0,
        answers: 0,
        silences: 0,
        checksum_errors: 0,
        line_errors: 0,
        broken: 0,
        collisions: 0,
        foreign: 0,
        stray_bytes: 0,
        echoes: 0,
        fastest: None,
        slowest: None,
        responses: Responses::NONE,
    };

    pub(super) fn answered(&mut self, time: Duration) {
        count(&mut self.answers);
        self.fastest = Some(self.fastest.map_or(time, |fastest| fastest.min(time)));
        self.slowest = Some(self.slowest.map_or(time, |slowest| slowest.max(time)));
        self.responses.answered(time);
    }
}

pub(super) const fn count(counter: &mut u16) {
    *counter = counter.saturating_add(1);
}
