//! Listening to a wire on which others talk: bytes as they come, cut into frames and noise.
//!
//! A session knows what it waits for; here anything may come at any time, in pieces of any size. A
//! frame is believed when its length, checksum and stop byte are right. Whatever is in front of it
//! is noise, and so is what has begun like a frame and does not go on.
//!
//! ```text
//! 3F 68 10 7B 05 80 16 E5 …
//! └noise┘ └── frame ─┘ └ frame
//! ```
//!
//! **Invariant:** each byte that was heard is given away once and in its order, no later than at
//! the next silence.

use crate::Frame;

/// Cuts what is heard.
#[derive(Debug)]
pub struct Overhear {
    bytes: [u8; Self::ROOM],
    len: usize,
    /// How many of the first bytes are known to be noise.
    noise: usize,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overheard<'a> {
    /// A frame, and as it was sent.
    Frame(Frame<'a>, &'a [u8]),
    /// Bytes that are no frame.
    Noise(&'a [u8]),
}

impl Overhear {
    /// Nothing has been heard yet.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0, noise: 0 }
    }

    /// Takes `bytes`, which have come since the last call, and gives away what is whole by now.
    pub fn heard(&mut self, bytes: &[u8], each: &mut dyn FnMut(Overheard<'_>)) {
        for byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
            self.give_away(each);
        }
    }

    /// The line has been silent for longer than a meter may pause within a frame: what has begun
    /// does not go on.
    pub fn silence(&mut self, each: &mut dyn FnMut(Overheard<'_>)) {
        while self.noise < self.len {
            self.noise += 1;
            self.give_away(each);
        }
        self.give_noise_away(each);
    }

    /// Whether bytes are waiting for others.
    pub const fn is_waiting(&self) -> bool {
        self.len > 0
    }

    fn give_away(&mut self, each: &mut dyn FnMut(Overheard<'_>)) {
        loop {
            let candidate = self.bytes.get(self.noise..self.len).unwrap_or_default();
            if candidate.is_empty() {
                break;
            }
            let whole = match Frame::expected_len(candidate) {
                Ok(Some(len)) => candidate.get(..len),
                Ok(None) => None,
                Err(_) => {
                    self.noise += 1;
                    continue;
                }
            };
            let Some(bytes) = whole else { break };
            // An acknowledge has nothing to be known by; within noise it is noise.
            let frame = Frame::read(bytes).ok().filter(|it| self.noise == 0 || *it != Frame::Ack);
            let Some(frame) = frame else {
                self.noise += 1;
                continue;
            };
            let end = self.noise + bytes.len();
            if let Some(noise) = self.bytes.get(..self.noise).filter(|noise| !noise.is_empty()) {
                each(Overheard::Noise(noise));
            }
            each(Overheard::Frame(frame, bytes));
            self.noise = 0;
            self.forget(end);
        }
        if self.noise >= Self::MOST_NOISE {
            self.give_noise_away(each);
        }
    }

    fn give_noise_away(&mut self, each: &mut dyn FnMut(Overheard<'_>)) {
        let count = core::mem::take(&mut self.noise);
        if let Some(noise) = self.bytes.get(..count).filter(|noise| !noise.is_empty()) {
            each(Overheard::Noise(noise));
        }
        self.forget(count);
    }

    fn forget(&mut self, count: usize) {
        self.bytes.copy_within(count..self.len, 0);
        self.len = self.len.saturating_sub(count);
    }

    /// So much noise is given away before it ends.
    const MOST_NOISE: usize = 32;
    const ROOM: usize = Self::MOST_NOISE + Frame::MAX_LEN;
}

impl Default for Overhear {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is heard in `bytes`, which come `chunk` at a time, until the silence behind them.
    fn overheard(bytes: &[u8], chunk: usize) -> Vec<(bool, Vec<u8>)> {
        let mut found = Vec::new();
        let mut ear = Overhear::new();
        let mut each = |heard: Overheard<'_>| match heard {
            Overheard::Frame(_, bytes) => found.push((true, bytes.to_vec())),
            Overheard::Noise(bytes) => found.push((false, bytes.to_vec())),
        };
        for chunk in bytes.chunks(chunk) {
            ear.heard(chunk, &mut each);
        }
        ear.silence(&mut each);
        assert!(!ear.is_waiting());
        found
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[(bool, &[u8])]) {
        let expected: Vec<_> =
            expected.iter().map(|(frame, bytes)| (*frame, bytes.to_vec())).collect();
        assert_eq!(overheard(bytes, 1), expected);
        assert_eq!(overheard(bytes, 512), expected);
    }

    const REQUEST: [u8; 5] = [0x10, 0x7B, 0x05, 0x80, 0x16];
    const ANSWER: [u8; 10] = [0x68, 0x04, 0x04, 0x68, 0x08, 0x01, 0x70, 0x04, 0x7D, 0x16];

    #[test]
    fn a_question_and_its_answer() {
        let wire = [&REQUEST[..], &ANSWER, &[0xE5]].concat();
        check(&wire, &[(true, &REQUEST), (true, &ANSWER), (true, &[0xE5])]);
    }

    #[test]
    fn a_frame_behind_what_only_looks_like_one() {
        let wire = [&[0x3F, 0x68, 0x10][..], &REQUEST].concat();
        check(&wire, &[(false, &[0x3F, 0x68, 0x10]), (true, &REQUEST)]);
        let broken_off = [&ANSWER[..6], &REQUEST].concat();
        check(&broken_off, &[(false, &ANSWER[..6]), (true, &REQUEST)]);
    }

    #[test]
    fn an_acknowledge_within_noise_is_noise() {
        check(&[0x3F, 0xE5, 0x07], &[(false, &[0x3F, 0xE5, 0x07])]);
    }

    #[test]
    fn a_frame_that_does_not_end_is_noise_at_the_next_silence() {
        check(&ANSWER[..9], &[(false, &ANSWER[..9])]);
        let mut wrong = REQUEST;
        wrong[3] ^= 1;
        check(&wrong, &[(false, &wrong)]);
    }

    proptest! {
        #[test]
        fn each_byte_is_given_away_once(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(&[0x68, 0x10, 0x16, 0x05][..])],
                0..700,
            ),
            chunk in 1_usize..300,
        ) {
            let found: Vec<u8> =
                overheard(&bytes, chunk).into_iter().flat_map(|(_, bytes)| bytes).collect();
            prop_assert_eq!(found, bytes);
        }
    }
}
