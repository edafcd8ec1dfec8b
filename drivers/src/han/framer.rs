//! Where messages begin and end in what comes.
//!
//! What begins like a message and turns out to be none costs its first octet alone: the next one
//! may begin within it.

use super::flaw::{Fault, Flaw};
use super::hdlc::{self, Measure};
use super::p1;

/// Cuts what comes into messages.
///
/// It holds at most one message that is not whole yet, and so never more than
/// [`p1::LONGEST`] octets and those of the last [`push`](Self::push).
#[derive(Debug, Default)]
pub struct Framer {
    waiting: Vec<u8>,
}

/// Something that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<'b> {
    /// A frame without its closing flag, or a P1 telegram; its checksums are right.
    Message(&'b [u8]),
    /// Octets that are no message.
    Noise {
        /// As they came.
        bytes: &'b [u8],
        /// Why the first of them begins no message.
        why: Flaw,
    },
}

impl Framer {
    /// One to which nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether something came that may be the beginning of a message.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes what came, and gives away what is whole.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Heard<'_>)) {
        self.waiting.extend_from_slice(bytes);
        self.cut(false, each);
    }

    /// Nothing has come for longer than a meter pauses within a message: what is not whole will
    /// never be.
    pub fn silence(&mut self, each: &mut dyn FnMut(Heard<'_>)) {
        self.cut(true, each);
    }

    fn cut(&mut self, over: bool, each: &mut dyn FnMut(Heard<'_>)) {
        let all = std::mem::take(&mut self.waiting);
        let mut at = 0;
        // Where the noise before `at` begins, and why it is some.
        let mut noise: Option<(usize, Flaw)> = None;
        loop {
            let rest = all.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let step = match look(rest) {
                Measure::More if over => Measure::No(Flaw::new(rest.len(), BROKE_OFF)),
                step => step,
            };
            match step {
                Measure::More => break,
                Measure::Frame(length) => {
                    tell_noise(&all, noise.take(), at, each);
                    each(Heard::Message(rest.get(..length).unwrap_or_default()));
                    at += length;
                }
                // A closing flag, or the first of two.
                Measure::No(_) if is_idle(rest, over) => {
                    tell_noise(&all, noise.take(), at, each);
                    at += 1;
                }
                Measure::No(why) => {
                    noise.get_or_insert((at, why));
                    at += 1;
                }
            }
        }
        tell_noise(&all, noise, at, each);
        self.waiting = all.get(at..).unwrap_or_default().to_vec();
    }
}

const BROKE_OFF: Fault = Fault::Ends("a message");

fn tell_noise(
    all: &[u8],
    noise: Option<(usize, Flaw)>,
    until: usize,
    each: &mut dyn FnMut(Heard<'_>),
) {
    if let Some((from, why)) = noise {
        each(Heard::Noise { bytes: all.get(from..until).unwrap_or_default(), why });
    }
}

/// Whether the octet is between messages by right: a flag behind which another stands or nothing,
/// and the line's end before or behind a P1 telegram.
fn is_idle(rest: &[u8], over: bool) -> bool {
    match rest {
        [hdlc::FLAG, hdlc::FLAG, ..] | [b'\r' | b'\n', ..] => true,
        [hdlc::FLAG] => over,
        // The closing flag before a P1 telegram: never in practice, and no noise.
        _ => false,
    }
}

fn look(rest: &[u8]) -> Measure {
    match rest {
        [hdlc::FLAG, hdlc::FLAG, ..] => Measure::No(Flaw::new(0, Fault::NoStart)),
        [hdlc::FLAG, ..] => hdlc::measure(rest),
        [b'/', ..] => p1::measure(rest),
        _ => Measure::No(Flaw::new(0, Fault::NoStart)),
    }
}
