//! Octets in order, and where one is among them.

use super::flaw::{Fault, Flaw};

/// A place in a message, and where what is read ends.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'b> {
    rest: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    /// `part`, whose first octet is the one at `at` of the message.
    pub(super) const fn new(part: &'b [u8], at: usize) -> Self {
        Self { rest: part, at }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn rest(&self) -> &'b [u8] {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'b [u8], Flaw> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Flaw::new(self.at + self.rest.len(), Fault::Ends(what)))?;
        self.rest = rest;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Flaw> {
        let at = self.at;
        self.take(N, what)?.try_into().map_err(|_| Flaw::new(at, Fault::Ends(what)))
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Flaw> {
        self.array(what).map(|[byte]| byte)
    }

    /// Exactly these octets.
    pub(super) fn expect(&mut self, octets: &[u8], what: &'static str) -> Result<(), Flaw> {
        let at = self.at;
        if self.take(octets.len(), what)? == octets {
            Ok(())
        } else {
            Err(Flaw::new(at, Fault::Expected(what)))
        }
    }

    /// A length or a count, as in X.690: up to 127 in one octet, else behind their number.
    pub(super) fn length(&mut self) -> Result<usize, Flaw> {
        let at = self.at;
        match self.byte("a length")? {
            short @ 0..=0x7F => Ok(short.into()),
            0x81 => Ok(self.byte("a length")?.into()),
            0x82 => Ok(u16::from_be_bytes(self.array("a length")?).into()),
            _ => Err(Flaw::new(at, Fault::Expected("a length of at most two octets"))),
        }
    }

    pub(super) fn end(&self) -> Result<(), Flaw> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(Flaw::new(self.at, Fault::Trailing(more))),
        }
    }
}
