//! Questions and answers of a Modbus TCP server that can be read and nothing else.
//!
//! ```text
//! transaction u16 │ 0 u16 │ length u16 │ unit u8 │ function u8 │ data
//! ```
//!
//! Holding and input registers (functions 3 and 4) hold the same. The device tells its maker, its
//! name and its version (function 43/14). Everything else is refused, writing above all.

/// One question, cut out of what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    transaction: [u8; 2],
    unit: u8,
    function: u8,
    data: Vec<u8>,
}

/// What was heard is no Modbus: where the next frame would begin, nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoModbus;

/// Why a question has no answer: the codes of the application protocol, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    NoSuchFunction = 1,
    NoSuchRegister = 2,
    WrongCount = 3,
    NoSuchUnit = 11,
}

impl Question {
    /// Takes the first question off the front of `heard`; `None` while it is not whole.
    pub(super) fn take(heard: &mut Vec<u8>) -> Result<Option<Self>, NoModbus> {
        let Some((&[t1, t2, p1, p2, l1, l2, unit], rest)) = heard.split_first_chunk::<7>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        if (p1, p2) != (0, 0) || !(2..=254).contains(&length) {
            return Err(NoModbus);
        }
        let Some((&function, data)) = rest.get(..length - 1).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let question = Self { transaction: [t1, t2], unit, function, data: data.to_vec() };
        heard.drain(..length + 6);
        Ok(Some(question))
    }

    /// The answer as it goes out; `words` tells what so many registers from an address on hold.
    pub(super) fn answer(
        &self,
        words: impl FnOnce(u8, u16, u16) -> Result<Vec<u16>, Exception>,
    ) -> Vec<u8> {
        let pdu = match (self.function, self.data.as_slice()) {
            (3 | 4, &[a1, a2, n1, n2]) => {
                let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([n1, n2]));
                self.registers(address, count, words)
            }
            (3 | 4, _) => Err(Exception::WrongCount),
            (43, &[14, code @ 1..=4, first]) => identification(code, first),
            _ => Err(Exception::NoSuchFunction),
        };
        let pdu = pdu.unwrap_or_else(|exception| vec![self.function | 0x80, exception as u8]);
        let length = u16::try_from(pdu.len() + 1).unwrap_or_default().to_be_bytes();
        [&self.transaction, [0, 0].as_slice(), &length, &[self.unit], &pdu].concat()
    }

    fn registers(
        &self,
        address: u16,
        count: u16,
        words: impl FnOnce(u8, u16, u16) -> Result<Vec<u16>, Exception>,
    ) -> Result<Vec<u8>, Exception> {
        if !(1..=125).contains(&count) {
            return Err(Exception::WrongCount);
        }
        if u32::from(address) + u32::from(count) > 0x1_0000 {
            return Err(Exception::NoSuchRegister);
        }
        let words = words(self.unit, address, count)?;
        let bytes = u8::try_from(words.len() * 2).map_err(|_| Exception::WrongCount)?;
        let mut pdu = vec![self.function, bytes];
        pdu.extend(words.into_iter().flat_map(u16::to_be_bytes));
        Ok(pdu)
    }
}

/// Who we are (application protocol, section 6.21): all objects, or the one that is asked for.
fn identification(code: u8, first: u8) -> Result<Vec<u8>, Exception> {
    let objects = [(0, "Fyrhus"), (1, "Fyrhus gateway"), (2, env!("CARGO_PKG_VERSION"))];
    let wanted = |id: u8| if code == 4 { id == first } else { id >= first };
    let told: Vec<_> = objects.into_iter().filter(|(id, _)| wanted(*id)).collect();
    if told.is_empty() && code == 4 {
        return Err(Exception::NoSuchRegister);
    }
    // Where what is asked for is not there, all is told from the beginning.
    let told = if told.is_empty() { objects.to_vec() } else { told };
    let count = u8::try_from(told.len()).unwrap_or_default();
    let mut pdu = vec![43, 14, code, 0x81, 0, 0, count];
    for (id, text) in told {
        pdu.extend([id, u8::try_from(text.len()).unwrap_or_default()]);
        pdu.extend(text.bytes());
    }
    Ok(pdu)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Registers that hold their own address, as far as 999.
    fn words(unit: u8, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        match unit {
            1 if address + count <= 1_000 => Ok((address..address + count).collect()),
            1 => Err(Exception::NoSuchRegister),
            _ => Err(Exception::NoSuchUnit),
        }
    }

    #[track_caller]
    fn check(question: &[u8], expected: &[u8]) {
        let head = [0x12, 0x34, 0, 0, 0, u8::try_from(question.len()).unwrap()];
        let mut heard = [&head, question].concat();
        let asked = Question::take(&mut heard).unwrap().unwrap();
        assert!(heard.is_empty());
        let answer = asked.answer(words);
        let head = [0x12, 0x34, 0, 0, 0, u8::try_from(expected.len()).unwrap()];
        assert_eq!(answer, [&head, expected].concat());
    }

    #[test]
    fn a_question_has_one_answer_or_one_refusal() {
        check(&[1, 3, 0, 5, 0, 2], &[1, 3, 4, 0, 5, 0, 6]);
        check(&[1, 4, 0, 5, 0, 1], &[1, 4, 2, 0, 5]);
        check(&[1, 3, 3, 0xE7, 0, 2], &[1, 0x83, 2]);
        check(&[1, 3, 0xFF, 0xFF, 0, 2], &[1, 0x83, 2]);
        check(&[1, 3, 0, 0, 0, 0], &[1, 0x83, 3]);
        check(&[1, 3, 0, 0, 0, 126], &[1, 0x83, 3]);
        check(&[1, 3, 0, 0, 0], &[1, 0x83, 3]);
        check(&[2, 3, 0, 0, 0, 1], &[2, 0x83, 11]);
        for writing in [5, 6, 15, 16, 22, 23] {
            check(&[1, writing, 0, 0, 0, 1], &[1, writing | 0x80, 1]);
        }
        for bits in [1, 2] {
            check(&[1, bits, 0, 0, 0, 1], &[1, bits | 0x80, 1]);
        }
        let mut maker = vec![1, 43, 14, 4, 0x81, 0, 0, 1, 0, 6];
        maker.extend(b"Fyrhus");
        check(&[1, 43, 14, 4, 0], &maker);
        check(&[1, 43, 14, 4, 9], &[1, 0xAB, 2]);
    }

    #[test]
    fn what_is_no_modbus_is_told_at_once() {
        let mut heard = b"GET / HTTP/1.1\r\n".to_vec();
        assert_eq!(Question::take(&mut heard), Err(NoModbus));
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard_without_harm(chunks: Vec<Vec<u8>>) {
            let mut heard = Vec::new();
            'hearing: for chunk in chunks {
                heard.extend(chunk);
                loop {
                    match Question::take(&mut heard) {
                        Ok(Some(question)) => prop_assert!(question.answer(words).len() >= 9),
                        Ok(None) => break,
                        Err(NoModbus) => break 'hearing,
                    }
                }
                prop_assert!(heard.len() < 260, "a frame that is whole is taken");
            }
        }
    }
}
