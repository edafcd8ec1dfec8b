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
//! the answer that was taken last counts as overdue for a moment too.

use std::time::{Duration, Instant};

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
    frame: Vec<u8>,
    echo_gone: bool,
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
    /// It was answered once, and may be answered again.
    answered: bool,
}

impl Client {
    pub(crate) const fn new(framing: Framing, patience: Duration) -> Self {
        Self {
            framing,
            patience,
            transaction: 0,
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
            (overdue.unit, overdue.function, overdue.bytes)
                == (unit, request.function.code(), request.answer_bytes())
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
        self.transaction = self.transaction.wrapping_add(1);
        let frame = match self.framing {
            Framing::Rtu => {
                self.buffer.clear();
                request.rtu(unit)
            }
            Framing::Tcp => request.tcp(unit, self.transaction),
        };
        self.asked = Some(Asked {
            unit,
            request,
            transaction: self.transaction,
            frame: frame.clone(),
            echo_gone: false,
            glitches: 0,
        });
        Ok(frame)
    }

    /// Takes what came in.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > MAX_BUFFER {
            self.buffer.clear();
            return Heard::Wrong(Garble::Noise(format!("more than {MAX_BUFFER} bytes")));
        }
        match self.framing {
            Framing::Rtu => self.hear_rtu(),
            Framing::Tcp => self.hear_tcp(),
        }
    }

    /// The answer was taken.
    pub(crate) fn settle(&mut self, now: Instant) {
        if let Some(asked) = self.asked.take()
            && self.framing == Framing::Rtu
        {
            // One is enough: what was asked before it is separated from the next by a whole answer.
            self.overdue.retain(|it| !(it.answered && it.unit == asked.unit));
            self.overdue.push(asked.overdue(now + REPEATED_WITHIN, true));
        }
    }

    /// Nobody waits any longer; what comes for this question from now on is late.
    ///
    /// Tells how many bytes of something had come.
    pub(crate) fn abandon(&mut self, now: Instant) -> usize {
        if let Some(asked) = self.asked.take()
            && self.framing == Framing::Rtu
        {
            self.overdue.push(asked.overdue(now + self.patience, false));
            if self.overdue.len() > MAX_OVERDUE {
                self.overdue.remove(0);
            }
        }
        let heard = self.buffer.len();
        self.buffer.clear();
        heard
    }

    /// The last answer as it came, for whoever wants to see it.
    pub(crate) fn answer(&self) -> &[u8] {
        &self.answer
    }

    fn hear_rtu(&mut self) -> Heard {
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
                Ok(Answer::Exception(_)) if self.is_exception_ambiguous() => {
                    let what = "an exception that may belong to an earlier question";
                    return Heard::Wrong(Garble::Foreign(what.to_owned()));
                }
                Ok(_) if !rest.is_empty() => {
                    let what = format!("{} bytes behind the answer", rest.len());
                    return Heard::Wrong(Garble::Foreign(what));
                }
                Ok(answer) => {
                    self.answer = frame.to_vec();
                    return Heard::Answer(answer);
                }
                // A late answer is no surprise: it is taken off the list, and the right one may
                // stand behind it.
                Err(_) if take_overdue(&mut self.overdue, found_unit, pdu) => {
                    self.buffer.drain(..len);
                }
                Err(mismatch) => return Heard::Wrong(Garble::Foreign(mismatch.to_string())),
            }
        }
    }

    /// An exception has no length that could tell it from one to an overdue question.
    fn is_exception_ambiguous(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| {
            let alike = (asked.unit, asked.request.function.code());
            self.overdue
                .iter()
                .any(|overdue| (overdue.unit, overdue.function) == alike && !overdue.answered)
        })
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
            let frame: Vec<u8> = self.buffer.drain(..6 + len).collect();
            let transaction = u16::from_be_bytes([t1, t2]);
            let age = asked.transaction.wrapping_sub(transaction);
            if age != 0 {
                if age <= MAX_AGE {
                    continue; // The answer to an earlier question.
                }
                let what = format!("transaction {transaction} where {} was", asked.transaction);
                return Heard::Wrong(Garble::Foreign(what));
            }
            if unit != asked.unit {
                let mismatch = Mismatch::Unit { wanted: asked.unit, found: unit };
                return Heard::Wrong(Garble::Foreign(mismatch.to_string()));
            }
            let pdu = frame.get(7..).unwrap_or_default();
            return match answer(pdu, asked.request) {
                Ok(answer) => {
                    self.answer = frame;
                    Heard::Answer(answer)
                }
                Err(mismatch) => Heard::Wrong(Garble::Foreign(mismatch.to_string())),
            };
        }
    }
}

impl Asked {
    fn overdue(&self, until: Instant, answered: bool) -> Overdue {
        let function = self.request.function.code();
        Overdue { unit: self.unit, function, bytes: self.request.answer_bytes(), until, answered }
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

/// Takes the overdue question off the list that this answer fits, if there is one.
fn take_overdue(overdue: &mut Vec<Overdue>, unit: u8, pdu: &[u8]) -> bool {
    let Some((&[function, bytes], _)) = pdu.split_first_chunk::<2>() else { return false };
    let fits = |it: &Overdue| (it.unit, it.function, it.bytes) == (unit, function, bytes);
    match overdue.iter().position(fits) {
        Some(at) => {
            overdue.remove(at);
            true
        }
        None => false,
    }
}

/// A device that says its answer twice does so at once.
pub(crate) const REPEATED_WITHIN: Duration = Duration::from_millis(100);
/// The longest frames are 256 and 260 bytes; a queue of late ones may stand before ours.
const MAX_BUFFER: usize = 4_096;
/// What is overdue for longer than this many questions is given up.
const MAX_OVERDUE: usize = 256;
/// How many transactions back an answer is late rather than foreign.
const MAX_AGE: u16 = 256;
/// A driver that is enabled late adds a character or two.
const MAX_GLITCHES: u8 = 3;

#[cfg(test)]
mod tests {
    use tokio_modbus::ExceptionCode;

    use super::*;
    use crate::modbus::frame::Function;

    fn read(address: u16, count: u16) -> Request {
        Request { function: Function::Input, address, count }
    }

    /// What a device says that holds the number of each register in it.
    fn reply(unit: u8, request: Request) -> Vec<u8> {
        let mut frame = vec![unit, request.function.code(), request.answer_bytes()];
        for register in request.address..request.address + request.count {
            frame.extend(register.to_be_bytes());
        }
        sealed(frame)
    }

    fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
        frame.extend(crc(&frame).to_le_bytes());
        frame
    }

    fn words(request: Request) -> Heard {
        Heard::Answer(Answer::Words((request.address..request.address + request.count).collect()))
    }

    fn rtu() -> (Client, Instant) {
        (Client::new(Framing::Rtu, Duration::from_secs(2)), Instant::now())
    }

    /// Asks unit 1 for `request`, lets it hear `bytes` all at once and one by one, and expects
    /// the same of both.
    #[track_caller]
    fn check(request: Request, bytes: &[u8], expected: &str) {
        for chunk_len in [bytes.len().max(1), 1] {
            let (mut client, now) = rtu();
            client.ask(1, request, now).unwrap();
            let mut heard = Heard::More;
            for chunk in bytes.chunks(chunk_len) {
                heard = client.hear(chunk);
                if matches!(heard, Heard::Wrong(_)) {
                    break;
                }
            }
            let shown = match heard {
                Heard::More => "more".to_owned(),
                Heard::Answer(Answer::Words(words)) => format!("{words:?}"),
                Heard::Answer(Answer::Exception(code)) => format!("exception {}", u8::from(code)),
                Heard::Wrong(Garble::Noise(_)) => "noise".to_owned(),
                Heard::Wrong(Garble::Foreign(_)) => "foreign".to_owned(),
                Heard::Wrong(garble) => format!("{garble:?}"),
            };
            assert_eq!(shown, expected, "in chunks of {chunk_len}");
        }
    }

    #[test]
    fn an_answer_has_the_unit_the_function_the_length_and_the_checksum() {
        let request = read(10, 2);
        let right = reply(1, request);
        check(request, &right, "[10, 11]");
        check(request, &right[..right.len() - 1], "more");
        check(request, &reply(2, request), "foreign");
        check(request, &reply(1, read(10, 1)), "foreign");
        check(request, &reply(1, read(10, 3)), "foreign");
        let other_table = Request { function: Function::Holding, ..request };
        check(request, &reply(1, other_table), "foreign");
        let mut damaged = right.clone();
        damaged[4] ^= 0x10;
        check(request, &damaged, "noise");
        check(request, &[right.as_slice(), &[0x55]].concat(), "foreign");
        check(request, &[&[0x12, 0x34], right.as_slice()].concat(), "noise");
        check(request, &sealed(vec![1, 0x84, 2]), "exception 2");
        check(request, &sealed(vec![1, 0x83, 2]), "foreign");
    }

    #[test]
    fn an_echo_and_a_glitch_are_stripped() {
        let request = read(10, 2);
        let heard = [request.rtu(1), reply(1, request)].concat();
        check(request, &heard, "[10, 11]");
        check(request, &[&[0xFF, 0x00], reply(1, request).as_slice()].concat(), "[10, 11]");
        // The address 0x0400 has the answer's length, 4, in its high byte.
        let alike = read(0x0400, 2);
        check(alike, &[alike.rtu(1), reply(1, alike)].concat(), "[1024, 1025]");
        check(alike, &reply(1, alike), "[1024, 1025]");
        check(request, &request.rtu(1), "more");
    }

    #[test]
    fn a_late_answer_of_another_length_is_passed_over() {
        let (mut client, now) = rtu();
        client.ask(1, read(10, 3), now).unwrap();
        client.abandon(now);
        client.ask(1, read(50, 2), now).unwrap();
        assert_eq!(client.hear(&reply(1, read(10, 3))), Heard::More);
        assert_eq!(client.hear(&reply(1, read(50, 2))), words(read(50, 2)));
    }

    #[test]
    fn a_question_that_a_late_answer_would_fit_is_not_asked() {
        let (mut client, now) = rtu();
        client.ask(1, read(10, 2), now).unwrap();
        client.abandon(now);
        assert_eq!(client.ask(1, read(50, 2), now), Err(Duration::from_secs(2)));
        assert!(client.ask(2, read(50, 2), now).is_ok(), "another unit answers as itself");
        client.settle(now);
        assert!(client.ask(1, read(50, 2), now + Duration::from_secs(2)).is_ok());
    }

    #[test]
    fn an_answer_that_is_said_twice_is_taken_once() {
        let (mut client, now) = rtu();
        client.ask(1, read(10, 2), now).unwrap();
        assert_eq!(client.hear(&reply(1, read(10, 2))), words(read(10, 2)));
        client.settle(now);
        assert!(client.ask(1, read(50, 2), now).is_err());
        client.ask(1, read(50, 3), now).unwrap();
        assert_eq!(client.hear(&reply(1, read(10, 2))), Heard::More);
        assert_eq!(client.hear(&reply(1, read(50, 3))), words(read(50, 3)));
    }

    #[test]
    fn an_exception_after_a_time_out_belongs_to_nobody() {
        let (mut client, now) = rtu();
        client.ask(1, read(10, 2), now).unwrap();
        client.abandon(now);
        client.ask(1, read(50, 3), now).unwrap();
        let heard = client.hear(&sealed(vec![1, 0x84, 2]));
        assert!(matches!(heard, Heard::Wrong(Garble::Foreign(_))), "{heard:?}");
    }

    #[test]
    fn a_second_master_is_named() {
        let (mut client, now) = rtu();
        client.ask(1, read(10, 2), now).unwrap();
        assert_eq!(
            client.hear(&read(0, 9).rtu(5)),
            Heard::Wrong(Garble::Foreign("a request to unit 5".to_owned()))
        );
    }

    fn tcp_reply(unit: u8, transaction: u16, request: Request) -> Vec<u8> {
        let rtu = reply(unit, request);
        let pdu = &rtu[1..rtu.len() - 2];
        let len = u16::try_from(pdu.len() + 1).unwrap();
        let mut frame = transaction.to_be_bytes().to_vec();
        frame.extend([0, 0]);
        frame.extend(len.to_be_bytes());
        frame.push(unit);
        frame.extend(pdu);
        frame
    }

    #[test]
    fn on_tcp_the_transaction_decides() {
        let mut client = Client::new(Framing::Tcp, Duration::from_secs(2));
        let now = Instant::now();
        client.ask(1, read(10, 2), now).unwrap();
        client.abandon(now);
        client.ask(1, read(50, 2), now).unwrap();
        let late = tcp_reply(1, 1, read(10, 2));
        let right = tcp_reply(1, 2, read(50, 2));
        assert_eq!(client.hear(&late[..5]), Heard::More);
        assert_eq!(client.hear(&[&late[5..], &right[..3]].concat()), Heard::More);
        assert_eq!(client.hear(&right[3..]), words(read(50, 2)));
        client.settle(now);
        for (unit, transaction, request) in
            [(1, 9, read(60, 2)), (2, 3, read(60, 2)), (1, 3, read(60, 1)), (1, 3, read(60, 3))]
        {
            let mut client = Client { transaction: 2, ..Client::new(Framing::Tcp, Duration::ZERO) };
            client.ask(1, read(60, 2), now).unwrap();
            let heard = client.hear(&tcp_reply(unit, transaction, request));
            assert!(matches!(heard, Heard::Wrong(Garble::Foreign(_))), "{heard:?}");
        }
    }

    #[test]
    fn a_gateway_says_that_its_meter_is_silent() {
        let mut client = Client::new(Framing::Tcp, Duration::from_secs(2));
        client.ask(1, read(10, 2), Instant::now()).unwrap();
        assert_eq!(
            client.hear(&[0, 1, 0, 0, 0, 3, 1, 0x84, 11]),
            Heard::Answer(Answer::Exception(ExceptionCode::GatewayTargetDevice))
        );
    }
}
