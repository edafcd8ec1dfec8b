//! What comes after a request, byte by byte: first perhaps its echo, then a frame.

use crate::{DecodeError, Frame};

/// The bytes of one answer.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: [u8; Frame::MAX_LEN],
    len: usize,
    /// What has come is, so far, what was sent.
    maybe_echo: bool,
    echoes: bool,
}

/// What a byte makes of the bytes before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Nothing that can be told yet.
    Nothing,
    /// The request came back; the answer may follow.
    Echo,
    /// A whole frame, whose checksum has not been looked at.
    Frame,
    /// Something that is not going to be a frame.
    Garbage(DecodeError),
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; Frame::MAX_LEN], len: 0, maybe_echo: false, echoes: false }
    }

    /// A frame has been sent: its echo may come.
    pub(super) const fn clear(&mut self) {
        self.len = 0;
        self.maybe_echo = true;
    }

    /// A frame has been thrown away: another may come.
    pub(super) const fn clear_frame(&mut self) {
        self.len = 0;
    }

    pub(super) fn push(&mut self, byte: u8, sent: &[u8]) -> Received {
        // No frame is longer than the place for it, so this never fails before a frame is whole.
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
        if self.maybe_echo {
            if self.frame() == sent {
                self.echoes = true;
                self.maybe_echo = false;
                self.len = 0;
                return Received::Echo;
            }
            if sent.starts_with(self.frame()) {
                return Received::Nothing;
            }
            // A request's control byte is no meter's, so an answer departs from it there at last.
            self.maybe_echo = false;
        }
        match Frame::expected_len(self.frame()) {
            Ok(Some(len)) if len == self.len => Received::Frame,
            Ok(_) => Received::Nothing,
            Err(error) => Received::Garbage(error),
        }
    }

    pub(super) fn frame(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes the frame that has begun still lacks, as far as it has told.
    pub(super) fn missing(&self) -> usize {
        let whole = Frame::expected_len(self.frame()).ok().flatten();
        whole.map_or(0, |whole| whole.saturating_sub(self.len))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether what has come is more than a part of an echo.
    pub(super) const fn answer_has_begun(&self) -> bool {
        self.len != 0 && !self.maybe_echo
    }

    pub(super) const fn echoes(&self) -> bool {
        self.echoes
    }
}
