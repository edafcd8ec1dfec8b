//! The client's side of one connection, without I/O: frames out, bytes in, an answer or none.
//!
//! ```text
//! ask ──▶ hear, hear, … ──▶ settle     the answer was taken
//!              │
//!              └─ time is up ─▶ abandon    its answer may still come: it is *overdue*
//! ```
//!
//! **Never true:** a value comes from an answer to another question than the one asked. TCP has a
//! transaction number for that. A serial line has none: all that tells two answers of one unit
//! apart is the function and the length. So this client remembers what is overdue, and does not
//! ask a question whose answer would look like an overdue one. A device may also repeat itself, so
//! an answer that was heard, in time or late, counts as overdue for a moment longer.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Garble;
use crate::modbus::frame::{Answer, Mismatch, Request, answer, crc};

/// How frames are told apart on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By length and checksum: a serial line, also behind a transparent converter.
    Rtu,
    /// By a header with a transaction number.
    Tcp,
}

/// What the bytes heard so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Not enough yet.
    More,
    /// The answer to what was asked, and nothing after it so far.
    Answer(Answer),
    /// Something else. The question has to be abandoned.
    Wrong(Garble),
}

#[derive(Debug)]
pub(crate) struct Client {
    framing: Framing,
    /// How long after its question an answer may still come.
    patience: Duration,
    transaction: u16,
    asked: Option<Asked>,
    buffer: Vec<u8>,
    /// The last answer as it came.
    answer: Vec<u8>,
    overdue: Vec<Overdue>,
}

#[derive(Debug)]
struct Asked {
    unit: u8,
    request: Request,
    transaction: u16,
    /// As it may come back as its own echo, which TCP does not have.
    frame: Vec<u8>,
    echo_gone: bool,
    /// Its answer has been heard, even if something behind it keeps it from being taken.
    answered: bool,
    /// Characters before the answer that a late driver made of the idle line.
    glitches: u8,
}

/// An answer that may still come.
#[derive(Clone, Copy, Debug)]
struct Overdue {
    unit: u8,
    function: u8,
    bytes: u8,
    until: Instant,
    heard: AsYet,
}

/// What has been heard of an answer that may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AsYet {
    Nothing,
    /// It came, and may be repeated.
    Words,
    /// The question was refused, and the refusal may be repeated.
    Exception,
}

impl Client {
    pub(crate) const fn new(framing: Framing, patience: Duration) -> Self {
        Self {
            framing,
            patience,
            transaction: FIRST_TRANSACTION - 1,
            asked: None,
            buffer: Vec::new(),
            answer: Vec::new(),
            overdue: Vec::new(),
        }
    }

    /// Whether a question is open: the future that asked it was dropped.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// For how long an answer of `unit` to `request` could still be mistaken for an overdue one.
    pub(crate) fn ambiguous(&self, unit: u8, request: Request, now: Instant) -> Option<Duration> {
        let looks_alike = |overdue: &&Overdue| {
            // A refusal has no length: its repetition would refuse any question.
            let alike =
                overdue.heard == AsYet::Exception || overdue.bytes == request.answer_bytes();
            (overdue.unit, overdue.function) == (unit, request.function.code()) && alike
        };
        let until = self.overdue.iter().filter(looks_alike).map(|overdue| overdue.until).max()?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// The frame that asks `unit` for `request`.
    ///
    /// # Errors
    ///
    /// How long the question has to wait, because its answer could be mistaken for an overdue one.
    pub(crate) fn ask(
        &mut self,
        unit: u8,
        request: Request,
        now: Instant,
    ) -> Result<Vec<u8>, Duration> {
        self.overdue.retain(|overdue| overdue.until > now);
        if let Some(left) = self.ambiguous(unit, request, now) {
            return Err(left);
        }
        self.transaction = self.transaction.checked_add(1).unwrap_or(FIRST_TRANSACTION);
        let (frame, echo) = match self.framing {
            Framing::Rtu => {
                self.buffer.clear();
                let frame = request.rtu(unit);
                (frame.clone(), frame)
            }
            Framing::Tcp => (request.tcp(unit, self.transaction), Vec::new()),
        };
        self.asked = Some(Asked {
            unit,
            request,
            transaction: self.transaction,
            frame: echo,
            echo_gone: false,
            answered: false,
            glitches: 0,
        });
        Ok(frame)
    }

    /// Takes what came in.
    pub(crate) fn hear(&mut self, bytes: &[u8], now: Instant) -> Heard {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > MAX_BUFFER {
            self.buffer.clear();
            return Heard::Wrong(Garble::Noise(format!("more than {MAX_BUFFER} bytes")));
        }
        match self.framing {
            Framing::Rtu => self.hear_rtu(now),
            Framing::Tcp => self.hear_tcp(),
        }
    }

    /// The answer was taken.
    pub(crate) fn settle(&mut self, now: Instant) {
        if let Some(asked) = self.asked.take()
            && self.framing == Framing::Rtu
        {
            let refused = self.answer.get(1).is_some_and(|code| code & 0x80 != 0);
            let heard = if refused { AsYet::Exception } else { AsYet::Words };
            self.await_longer(asked.overdue(now + REPEATED_WITHIN, heard));
        }
    }

    /// Takes what came while nothing was asked: whatever of it was overdue has come.
    pub(crate) fn overhear(&mut self, bytes: &[u8], now: Instant) {
        let mut rest = bytes;
        while let Some((_, behind)) = rest.split_first() {
            let frame = match rtu_len(rest) {
                Some(Ok(len)) => rest.get(..len).filter(|frame| crc(frame) == 0),
                _ => None,
            };
            rest = match frame {
                Some([unit, pdu @ .., _, _]) if has_come(&mut self.overdue, *unit, pdu, now) => {
                    rest.get(pdu.len() + 3..).unwrap_or_default()
                }
                _ => behind,
            };
        }
    }

    /// Nobody waits any longer; what comes for this question from now on is late.
    ///
    /// Tells how many bytes of something had come.
    pub(crate) fn abandon(&mut self, now: Instant) -> usize {
        if let Some(asked) = self.asked.take()
            && self.framing == Framing::Rtu
        {
            let overdue = if asked.answered {
                asked.overdue(now + REPEATED_WITHIN, AsYet::Words)
            } else {
                asked.overdue(now + self.patience, AsYet::Nothing)
            };
            self.await_longer(overdue);
        }
        let heard = self.buffer.len();
        self.buffer.clear();
        heard
    }

    fn await_longer(&mut self, overdue: Overdue) {
        self.overdue.push(overdue);
        if self.overdue.len() > MAX_OVERDUE {
            self.overdue.remove(0);
        }
    }

    /// The last answer as it came, for whoever wants to see it.
    pub(crate) fn answer(&self) -> &[u8] {
        &self.answer
    }

    fn hear_rtu(&mut self, now: Instant) -> Heard {
        loop {
            let Some(asked) = &mut self.asked else {
                return Heard::Wrong(Garble::Foreign("nothing was asked".to_owned()));
            };
            if !asked.echo_gone {
                match echo(&self.buffer, asked) {
                    Echo::Perhaps => return Heard::More,
                    Echo::Yes => drop(self.buffer.drain(..asked.frame.len())),
                    Echo::No => {}
                }
                asked.echo_gone = true;
            }
            while let Some(byte @ (0x00 | 0xFF)) = self.buffer.first().copied()
                && byte != asked.unit
                && asked.glitches < MAX_GLITCHES
            {
                self.buffer.remove(0);
                asked.glitches += 1;
            }
            let (unit, request) = (asked.unit, asked.request);

            let Some(len) = rtu_len(&self.buffer) else { return Heard::More };
            let len = match len {
                Ok(len) => len,
                Err(garble) => return Heard::Wrong(garble),
            };
            let Some((frame, rest)) = self.buffer.split_at_checked(len) else {
                return Heard::More;
            };
            let (found_unit, pdu) = match frame {
                [unit, pdu @ .., _, _] if crc(frame) == 0 => (*unit, pdu),
                _ => return Heard::Wrong(Garble::Noise("its checksum is wrong".to_owned())),
            };
            let fits = if found_unit == unit {
                answer(pdu, request)
            } else {
                Err(Mismatch::Unit { wanted: unit, found: found_unit })
            };
            match fits {
                Ok(Answer::Exception(_)) if may_be_refused_late(&self.overdue, unit, request) => {
                    let what = "an exception that may belong to an earlier question";
                    return Heard::Wrong(Garble::Foreign(what.to_owned()));
                }
                Ok(_) if !rest.is_empty() => {
                    asked.answered = true;
                    let what = format!("{} bytes behind the answer", rest.len());
                    return Heard::Wrong(Garble::Foreign(what));
                }
                Ok(answer) => {
                    asked.answered = true;
                    self.answer = frame.to_vec();
                    return Heard::Answer(answer);
                }
                // A late answer is no surprise, and the right one may stand behind it.
                Err(_) if has_come(&mut self.overdue, found_unit, pdu, now) => {
                    self.buffer.drain(..len);
                }
                Err(mismatch) => return Heard::Wrong(Garble::Foreign(mismatch.to_string())),
            }
        }
    }

    fn hear_tcp(&mut self) -> Heard {
        loop {
            let Some(asked) = &self.asked else {
                return Heard::Wrong(Garble::Foreign("nothing was asked".to_owned()));
            };
            let [t1, t2, p1, p2, l1, l2, unit, ..] = *self.buffer.as_slice() else {
                return Heard::More;
            };
            let len = usize::from(u16::from_be_bytes([l1, l2]));
            if (p1, p2) != (0, 0) || !(3..=254).contains(&len) {
                return Heard::Wrong(Garble::Noise("it has no Modbus TCP header".to_owned()));
            }
            if self.buffer.len() < 6 + len {
                return Heard::More;
            }
            self.answer.clear();
            self.answer.extend(self.buffer.drain(..6 + len));
            let transaction = u16::from_be_bytes([t1, t2]);
            let age = age(transaction, asked.transaction);
            if age != Some(0) {
                if age.is_some_and(|age| age <= MAX_AGE) {
                    continue; // The answer to an earlier question.
                }
                let what = format!("transaction {transaction} where {} was", asked.transaction);
                return Heard::Wrong(Garble::Foreign(what));
            }
            if unit != asked.unit {
                let mismatch = Mismatch::Unit { wanted: asked.unit, found: unit };
                return Heard::Wrong(Garble::Foreign(mismatch.to_string()));
            }
            let pdu = self.answer.get(7..).unwrap_or_default();
            return match answer(pdu, asked.request) {
                // TCP has no checksum. An answer that broke off and was filled up by the next one
                // has the head of that one in it, or the rest of that one behind it.
                Ok(_) if !self.buffer.is_empty() || has_head(pdu, asked.transaction) => {
                    let what = "another answer in the place of its end";
                    Heard::Wrong(Garble::Foreign(what.to_owned()))
                }
                Ok(answer) => Heard::Answer(answer),
                Err(mismatch) => Heard::Wrong(Garble::Foreign(mismatch.to_string())),
            };
        }
    }
}

impl Asked {
    fn overdue(&self, until: Instant, heard: AsYet) -> Overdue {
        let function = self.request.function.code();
        Overdue { unit: self.unit, function, bytes: self.request.answer_bytes(), until, heard }
    }
}

enum Echo {
    Yes,
    No,
    Perhaps,
}

/// Whether `buffer` begins with what was sent: some RS-485 adapters hear themselves.
///
/// An answer could begin with the very bytes of its question, if the question's address has the
/// answer's length in its high byte. Then the checksum decides.
fn echo(buffer: &[u8], asked: &Asked) -> Echo {
    if buffer.len() < asked.frame.len() {
        return if asked.frame.starts_with(buffer) { Echo::Perhaps } else { Echo::No };
    }
    if !buffer.starts_with(&asked.frame) {
        return Echo::No;
    }
    let Some(Ok(len)) = rtu_len(buffer) else { return Echo::Yes };
    match buffer.get(..len) {
        Some(frame) if crc(frame) == 0 => Echo::No,
        None if buffer.get(2) == Some(&asked.request.answer_bytes()) => Echo::Perhaps,
        Some(_) | None => Echo::Yes,
    }
}

/// How long the frame is that `buffer` begins with; `None` while that cannot be told.
fn rtu_len(buffer: &[u8]) -> Option<Result<usize, Garble>> {
    let is_request = |frame: &[u8]| matches!(frame, [_, 1..=6, ..]) && crc(frame) == 0;
    if buffer.get(..8).is_some_and(is_request) && buffer.len() == 8 {
        let unit = buffer.first().copied().unwrap_or_default();
        let what = format!("a request to unit {unit}");
        return Some(Err(Garble::Foreign(what)));
    }
    match *buffer {
        [_, 3 | 4, count, ..] => Some(Ok(5 + usize::from(count))),
        [_, 3 | 4] | [_] | [] => None,
        [_, 0x80..=0xFF, ..] => Some(Ok(5)),
        [_, code, ..] => {
            Some(Err(Garble::Noise(format!("it has the function {code} that was not asked"))))
        }
    }
}

/// How many questions before `transaction` the one with the number `earlier` was; `None` if none
/// has that number.
fn age(earlier: u16, transaction: u16) -> Option<u16> {
    let behind = |at: u16| at.checked_sub(FIRST_TRANSACTION);
    let (earlier, transaction) = (behind(earlier)?, behind(transaction)?);
    // Behind the highest number comes the first again.
    let round = u16::MAX - FIRST_TRANSACTION + 1;
    Some(match transaction.checked_sub(earlier) {
        Some(age) => age,
        None => round - (earlier - transaction),
    })
}

/// Whether the head of another answer, to one of the last questions before `transaction` or to that
/// one, stands in `pdu`.
fn has_head(pdu: &[u8], transaction: u16) -> bool {
    let is_head = |bytes: &[u8]| match *bytes {
        [t1, t2, 0, 0, 0, len @ 3..=254, _, ref behind @ ..] => {
            age(u16::from_be_bytes([t1, t2]), transaction).is_some_and(|age| age <= MAX_HEAD_AGE)
                && match *behind {
                    [3 | 4, count, ..] => len == count.saturating_add(3),
                    [3 | 4] | [] => true,
                    [0x83 | 0x84, ..] => len == 3,
                    [_, ..] => false,
                }
        }
        _ => false,
    };
    (0..pdu.len()).any(|at| pdu.get(at..).is_some_and(is_head))
}

/// Whether an exception could belong to an overdue question: it has no length to tell it by.
fn may_be_refused_late(overdue: &[Overdue], unit: u8, request: Request) -> bool {
    let alike = (unit, request.function.code());
    overdue.iter().any(|it| (it.unit, it.function) == alike && it.heard != AsYet::Words)
}

/// Whether this answer was overdue; from now on it can only be repeated.
fn has_come(overdue: &mut [Overdue], unit: u8, pdu: &[u8], now: Instant) -> bool {
    let Some((&[function, bytes], _)) = pdu.split_first_chunk::<2>() else { return false };
    let fits = |it: &&mut Overdue| (it.unit, it.function, it.bytes) == (unit, function, bytes);
    // Of several the one that has been waited for longest.
    let Some(found) = overdue.iter_mut().filter(fits).min_by_key(|it| it.heard != AsYet::Nothing)
    else {
        return false;
    };
    found.heard = AsYet::Words;
    found.until = now + REPEATED_WITHIN;
    true
}

/// A device or a converter that says an answer twice does so at once.
pub(crate) const REPEATED_WITHIN: Duration = Duration::from_millis(100);
/// The longest frames are 256 and 260 bytes; a queue of late ones may stand before ours.
const MAX_BUFFER: usize = 4_096;
/// What is overdue for longer than this many questions is given up.
const MAX_OVERDUE: usize = 256;
/// How many transactions back an answer is late rather than foreign.
const MAX_AGE: u16 = 256;
/// How many transactions back the head of an answer is looked for in another: registers may look
/// like one, and the fewer of them do, the better.
const MAX_HEAD_AGE: u16 = 16;
/// Where the numbers of transactions begin, also after the highest: small ones look like registers
/// that hold little.
const FIRST_TRANSACTION: u16 = 0x0100;
/// A driver that is enabled late adds a character or two.
const MAX_GLITCHES: u8 = 3;

#[cfg(test)]
mod tests;
