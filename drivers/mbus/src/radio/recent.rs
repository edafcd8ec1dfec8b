//! Which messages have been heard before: a second receiver, or a repeater, brings them twice.

use super::Envelope;
use crate::Secondary;

/// The last message of each of `N` meters.
///
/// Only the last, because access numbers begin anew after 256 messages. When more than `N` meters
/// are heard, the one that was new first makes room, and its next message counts as new.
#[derive(Clone, Debug)]
pub struct Recent<const N: usize> {
    last: [Option<(Secondary, Count)>; N],
    next: usize,
}

/// What meters count their messages by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    message: Option<u32>,
    telegram: Option<u8>,
    link: Option<u8>,
}

impl<const N: usize> Recent<N> {
    /// Has heard nothing yet.
    pub const fn new() -> Self {
        Self { last: [None; N], next: 0 }
    }

    /// Whether the meter's last message was the same, by its counter and access numbers.
    ///
    /// A message that counts nothing is never a repetition. A meter that counts but never gets
    /// further cannot be told from one that is repeated: ask only about messages that came within
    /// seconds of each other.
    pub fn is_repeated(&mut self, envelope: &Envelope) -> bool {
        let count = Count {
            message: envelope.afl.and_then(|afl| afl.counter),
            telegram: envelope.header.map(|header| header.access_number),
            link: envelope.ell.map(|ell| ell.access_number),
        };
        let Some(meter) = envelope.meter else { return false };
        if count == (Count { message: None, telegram: None, link: None }) {
            return false;
        }
        if let Some((_, last)) = self.last.iter_mut().flatten().find(|(known, _)| *known == meter) {
            return core::mem::replace(last, count) == count;
        }
        if let Some(place) = self.last.get_mut(self.next) {
            *place = Some((meter, count));
            self.next = (self.next + 1) % N;
        }
        false
    }
}

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radio::link::sent_first;
    use crate::{Header, Status};

    fn message(meter: u8, access_number: u8) -> Envelope {
        let meter = sent_first([0x2D, 0x2C, meter, 0, 0, 0, 1, 7]);
        let header = Some(Header::long(meter, access_number, Status::OK));
        Envelope { meter: Some(meter), header, ..Envelope::default() }
    }

    #[test]
    fn a_repetition_is_the_same_message_once_more() {
        let mut recent = Recent::<2>::new();
        let heard =
            [(1, 7), (2, 7), (1, 7), (2, 7), (1, 8), (1, 7), (2, 7), (3, 0), (1, 7), (1, 7)];
        let repeated = [false, false, true, true, false, false, true, false, false, true];
        for ((meter, access_number), repeated) in heard.into_iter().zip(repeated) {
            assert_eq!(recent.is_repeated(&message(meter, access_number)), repeated);
        }
        assert!(!recent.is_repeated(&Envelope::default()));
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_room() {
        let mut recent = Recent::<0>::new();
        assert!(!recent.is_repeated(&message(1, 1)));
        assert!(!recent.is_repeated(&message(1, 1)));
    }
}
