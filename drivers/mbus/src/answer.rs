//! The telegrams of one answer, read as one: what does not fit into a frame continues in the next.
//!
//! ```text
//! telegram 0   record 0  1  2  1F       more follow
//! telegram 1   record 3  4  1F          more follow
//! telegram 2   record 5  6              that was all
//! ```
//!
//! The records are numbered through, so that the fifth is the fifth in each answer of a meter,
//! however it cuts its telegrams. A telegram that came twice counts once: some meters repeat one
//! although the request says "the next".
//!
//! **Invariant:** what is wrong with one telegram costs the others nothing.

use crate::{DecodeError, Frame, Record, Records, Telegram};

/// The records of an answer, in the order of the wire.
///
/// `frames` gives its frames, each from start to stop byte.
///
/// ```
/// use mbus::Answer;
///
/// let first = [0x68, 7, 7, 0x68, 8, 5, 0x78, 0x01, 0x13, 7, 0x1F, 0xBF, 0x16];
/// let second = [0x68, 6, 6, 0x68, 8, 5, 0x78, 0x01, 0x3B, 9, 0xCA, 0x16];
/// let mut answer = Answer::new([&first[..], &second[..]]);
/// let texts: Vec<String> = answer
///     .by_ref()
///     .filter_map(|joint| joint.record.ok().map(|record| format!("{}: {record}", joint.index)))
///     .collect();
/// assert_eq!(texts, ["0: volume: integer 0.007 m3", "1: volume_flow: integer 0.009 m3/h"]);
/// assert!(answer.is_complete());
/// ```
#[derive(Clone, Debug)]
pub struct Answer<'a, I> {
    frames: I,
    /// Those of the telegram that is being read.
    records: Option<Records<'a>>,
    last_frame: &'a [u8],
    telegrams: usize,
    next_index: usize,
    complete: bool,
}

/// One record of an answer, or what could not be read of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joint<'a> {
    /// In which of the frames that were given it stands; the first is 0.
    pub telegram: usize,
    /// Which record of the whole answer it is; the first is 0. What cannot be read has the number
    /// that it would have.
    pub index: usize,
    /// The record. An error ends its telegram, not the answer.
    pub record: Result<Record<'a>, DecodeError>,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Answer<'a, I> {
    /// The answer that came in `frames`.
    pub fn new(frames: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            frames: frames.into_iter(),
            records: None,
            last_frame: &[],
            telegrams: 0,
            next_index: 0,
            complete: false,
        }
    }

    /// Whether the last telegram that was read to its end announced no further one.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    fn joint(&mut self, record: Result<Record<'a>, DecodeError>) -> Joint<'a> {
        let index = self.next_index;
        self.next_index += usize::from(record.is_ok());
        Joint { telegram: self.telegrams.saturating_sub(1), index, record }
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for Answer<'a, I> {
    type Item = Joint<'a>;

    fn next(&mut self) -> Option<Joint<'a>> {
        loop {
            if let Some(records) = &mut self.records {
                if let Some(record) = records.next() {
                    return Some(self.joint(record));
                }
                let failed = !records.unread().is_empty();
                let more_follow = records.trailer().is_some_and(|trailer| trailer.more_follow);
                self.complete = !failed && !more_follow;
                self.records = None;
            }
            let frame = self.frames.next()?;
            self.telegrams += 1;
            if frame == self.last_frame {
                continue;
            }
            self.last_frame = frame;
            self.complete = false;
            match records_of(frame) {
                Ok(records) => self.records = Some(records),
                Err(error) => return Some(self.joint(Err(error))),
            }
        }
    }
}

/// Frames that are no telegrams have no records.
fn records_of(frame: &[u8]) -> Result<Records<'_>, DecodeError> {
    match Frame::read(frame)? {
        Frame::Long(long) => long.telegram().and_then(Telegram::records),
        Frame::Ack | Frame::Short { .. } => Ok(Records::none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Control, Primary, ci, write_frame};

    fn frame(records: &[u8]) -> Vec<u8> {
        let mut buffer = [0; Frame::MAX_LEN];
        let (control, ci) = (Control::RSP_UD, ci::RECORDS_WITHOUT_HEADER);
        write_frame(&mut buffer, control, Primary(5), ci, |w| w.bytes(records)).unwrap().to_vec()
    }

    /// `telegram.index record` for each, and at the end whether that was all.
    #[track_caller]
    fn check(frames: &[Vec<u8>], expected: &[&str], complete: bool) {
        let mut answer = Answer::new(frames.iter().map(Vec::as_slice));
        let texts: Vec<String> = answer
            .by_ref()
            .map(|Joint { telegram, index, record }| match record {
                Ok(record) => format!("{telegram}.{index} {record}"),
                Err(error) => format!("{telegram}.{index} {error}"),
            })
            .collect();
        assert_eq!(texts, expected);
        assert_eq!(answer.is_complete(), complete);
    }

    #[test]
    fn records_are_numbered_through() {
        check(
            &[frame(&[0x01, 0x13, 1, 0x01, 0x13, 2, 0x1F, 9]), frame(&[0x01, 0x13, 3])],
            &[
                "0.0 volume: integer 0.001 m3",
                "0.1 volume: integer 0.002 m3",
                "1.2 volume: integer 0.003 m3",
            ],
            true,
        );
    }

    #[test]
    fn an_answer_that_stops_halfway_is_not_complete() {
        check(&[frame(&[0x01, 0x13, 1, 0x1F])], &["0.0 volume: integer 0.001 m3"], false);
        check(&[], &[], false);
    }

    #[test]
    fn a_telegram_that_came_twice_counts_once() {
        let first = frame(&[0x01, 0x13, 1, 0x1F]);
        check(
            &[first.clone(), first, frame(&[0x01, 0x13, 3])],
            &["0.0 volume: integer 0.001 m3", "2.1 volume: integer 0.003 m3"],
            true,
        );
    }

    #[test]
    fn what_is_wrong_with_one_telegram_costs_the_others_nothing() {
        let mut noisy = frame(&[0x01, 0x13, 9]);
        noisy[9] ^= 1;
        check(
            &[frame(&[0x01, 0x13, 1, 0x04, 0x13, 1]), noisy, frame(&[0x01, 0x13, 3])],
            &[
                "0.0 volume: integer 0.001 m3",
                "0.1 byte 13: the telegram ends inside the data",
                "1.1 byte 10: the checksum is 0xa2 and should be 0xa1",
                "2.1 volume: integer 0.003 m3",
            ],
            true,
        );
    }

    #[test]
    fn an_acknowledge_has_no_records() {
        check(&[vec![0xE5]], &[], true);
    }
}
