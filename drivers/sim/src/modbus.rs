//! Modbus slaves: TCP, RTU on a serial line, and RTU behind a converter; several units on a line.
//!
//! ```text
//! TCP   transaction u16 | 0 u16 | length u16 | unit u8 | function u8 | data
//! RTU                                          unit u8 | function u8 | data | CRC16 (low first)
//! ```
//!
//! The frames are those of the Modbus application protocol and its guide for serial lines. A
//! device of [`registers`](crate::registers) is read by functions 3 and 4; everything else is
//! refused with exception 1.
//!
//! A master that asks for a unit that is not there hears nothing on a serial line, and exception
//! 11 on TCP, as a gateway says it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::faults::{Utterance, spoiled};
use crate::meter::Meter;
use crate::registers;

/// The units of one line.
#[derive(Debug)]
pub(crate) struct Units {
    pub(crate) framing: Framing,
    pub(crate) meters: Vec<Arc<Meter>>,
    /// For what has no meter to speak for it: a gateway's own exceptions.
    pub(crate) gateway: crate::faults::Handle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Tcp,
    Rtu,
}

impl Units {
    /// Takes whole questions off the front of `heard`, and says what is answered to them.
    pub(crate) fn hear(&self, heard: &mut Vec<u8>, at: DateTime<Utc>) -> Vec<Utterance> {
        let mut answers = Vec::new();
        while let Some(question) = Question::take(self.framing, heard) {
            answers.extend(self.answer(&question, at));
        }
        answers
    }

    fn answer(&self, question: &Question, at: DateTime<Utc>) -> Vec<Utterance> {
        let unit = question.unit;
        let Some(meter) = self.meters.iter().find(|meter| meter.plan.address == unit) else {
            if self.framing == Framing::Rtu {
                return Vec::new();
            }
            let refusal = question.framed(unit, &refusal(question.function, Exception::NoTarget));
            return spoiled(&self.gateway, refusal, REACTION, 0);
        };

        let number = meter.handle.asked();
        let faults = meter.faults();
        let reply = if faults.refusal { Err(Exception::Device) } else { question.read(meter, at) };
        let reply = match reply {
            Ok(words) => {
                let bytes = words.iter().flat_map(|word| word.to_be_bytes());
                let length = u8::try_from(words.len() * 2).unwrap_or(u8::MAX);
                [question.function, length].into_iter().chain(bytes).collect()
            }
            Err(exception) => refusal(question.function, exception),
        };
        let speaks_as = if faults.foreign { unit ^ 1 } else { unit };
        let mut frame = question.framed(speaks_as, &reply);
        if faults.noise && self.framing == Framing::Tcp {
            // TCP carries no wrong bytes, so what is garbage here must be told from a frame:
            // by a protocol that is not 0.
            if let Some(byte) = frame.get_mut(2) {
                *byte = 0x4D;
            }
        }
        spoiled(&meter.handle, frame, REACTION, number)
    }
}

/// What a meter's processor takes.
const REACTION: Duration = Duration::from_millis(2);

#[derive(Debug)]
struct Question {
    /// `None` on a serial line.
    transaction: Option<[u8; 2]>,
    unit: u8,
    function: u8,
    data: Vec<u8>,
}

impl Question {
    /// The first whole question in `heard`; what cannot be the beginning of one is thrown away.
    fn take(framing: Framing, heard: &mut Vec<u8>) -> Option<Self> {
        match framing {
            Framing::Tcp => Self::take_tcp(heard),
            Framing::Rtu => Self::take_rtu(heard),
        }
    }

    fn take_tcp(heard: &mut Vec<u8>) -> Option<Self> {
        loop {
            let (&header, rest) = heard.split_first_chunk::<7>()?;
            let [t0, t1, p0, p1, l0, l1, unit] = header;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            if (p0, p1) != (0, 0) || !(2..=254).contains(&length) {
                heard.remove(0);
                continue;
            }
            let pdu = rest.get(..length - 1)?;
            let (&function, data) = pdu.split_first()?;
            let question =
                Self { transaction: Some([t0, t1]), unit, function, data: data.to_vec() };
            heard.drain(..6 + length);
            return Some(question);
        }
    }

    fn take_rtu(heard: &mut Vec<u8>) -> Option<Self> {
        loop {
            let &[unit, function, ..] = heard.as_slice() else { return None };
            // A write of several carries its own length; all other requests of public functions
            // that a meter could know have two words.
            let length = match function {
                15 | 16 => 9 + usize::from(*heard.get(6)?),
                _ => 8,
            };
            let frame = heard.get(..length)?;
            let (body, crc) = frame.split_last_chunk::<2>()?;
            if crc16(body).to_le_bytes() != *crc {
                heard.remove(0);
                continue;
            }
            let data = body.get(2..)?.to_vec();
            heard.drain(..length);
            return Some(Self { transaction: None, unit, function, data });
        }
    }

    /// The words asked for.
    fn read(&self, meter: &Meter, at: DateTime<Utc>) -> Result<Vec<u16>, Exception> {
        let map = registers::map(meter, at);
        if !map.functions.contains(&self.function) {
            return Err(Exception::Function);
        }
        let &[a0, a1, n0, n1] = self.data.as_slice() else { return Err(Exception::Value) };
        let (address, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([n0, n1]));
        if count == 0 || count > map.most {
            return Err(Exception::Value);
        }
        if map.pairs && (address % 2 == 1 || count % 2 == 1) {
            return Err(Exception::Address);
        }
        map.words(address, count).ok_or(Exception::Address)
    }

    fn framed(&self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(pdu.len() + 7);
        if let Some(transaction) = self.transaction {
            let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
            frame.extend(transaction);
            frame.extend([0, 0]);
            frame.extend(length.to_be_bytes());
        }
        frame.push(unit);
        frame.extend(pdu);
        if self.transaction.is_none() {
            frame.extend(crc16(&frame).to_le_bytes());
        }
        frame
    }
}

#[derive(Clone, Copy, Debug)]
enum Exception {
    Function = 1,
    Address = 2,
    Value = 3,
    Device = 4,
    NoTarget = 11,
}

fn refusal(function: u8, exception: Exception) -> Vec<u8> {
    vec![function | 0x80, exception as u8]
}

/// CRC-16 with the polynomial 0x8005, reflected, from 0xFFFF.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_guide() {
        // Read holding register 0 of unit 1: the frame that every converter's manual shows.
        assert_eq!(crc16(&[1, 3, 0, 0, 0, 1]).to_le_bytes(), [0x84, 0x0A]);
    }

    #[test]
    fn garbage_before_a_question_is_thrown_away() {
        let mut heard = vec![0x55, 0xFF, 1, 3, 0, 0, 0, 1, 0x84, 0x0A, 1];
        let question = Question::take(Framing::Rtu, &mut heard).unwrap();
        assert_eq!((question.unit, question.function), (1, 3));
        assert_eq!(heard, [1]);

        let mut heard = vec![9, 9, 0, 5, 0, 0, 0, 6, 1, 4, 0, 0, 0, 2];
        let question = Question::take(Framing::Tcp, &mut heard).unwrap();
        assert_eq!((question.transaction, question.data.len()), (Some([0, 5]), 4));
        assert!(heard.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard_without_harm(chunks: Vec<Vec<u8>>) {
            for framing in [Framing::Tcp, Framing::Rtu] {
                let mut heard = Vec::new();
                for chunk in &chunks {
                    heard.extend(chunk);
                    while Question::take(framing, &mut heard).is_some() {}
                    prop_assert!(heard.len() < 270, "a frame that is whole is taken");
                }
            }
        }

        #[test]
        fn a_question_is_taken_whole_whatever_stands_before_it(noise in vec(1_u8.., 0..6), unit: u8) {
            let body = [unit, 4, 0, 7, 0, 2];
            let mut heard = [&noise[..], &body, &crc16(&body).to_le_bytes()].concat();
            // Noise may look like the beginning of a longer question, which is then awaited; more
            // noise ends it.
            heard.extend([0; 300]);
            let mut found = false;
            while let Some(question) = Question::take(Framing::Rtu, &mut heard) {
                found |= question.unit == unit && question.data == [0, 7, 0, 2];
            }
            prop_assert!(found);
        }
    }
}
