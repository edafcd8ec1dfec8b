//! What the way between the program and the wire adds to the wire's own times, as far as answers
//! have shown it.
//!
//! A meter says its bytes at the speed of the line. Counted back to when its frame began, each byte
//! tells the same moment, later by what it was held back:
//!
//! ```text
//! on the wire   ├─┼─┼─┼─┼─┼─┼─┼─┤              a byte every 11 bit times
//! seen          ········├─┼─┼─┼─┼─┼─┼─┼─┤      a USB adapter gives them in chunks
//!               └ hold ─┘                      proved by the bytes that came faster than they can
//! ```
//!
//! Pauses that a meter makes within a frame move what follows to later moments, and prove nothing;
//! a byte that points to an earlier moment than one before it proves that the one before was held.
//!
//! Two bounds follow, whatever the meters are: a byte was held back for at least as long as that,
//! and no frame was later than its answer after the time that no meter is quicker than. Between
//! these stands [`Settings::slack`], the guess to begin with.
//!
//! Both are forgotten after a while, because a way may change: a network that takes another route
//! would otherwise be waited for by the quickest answer that there ever was.

use core::time::Duration;

use super::Settings;

/// What the way to the wire has shown of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    /// Long answers that were seen.
    frames: u8,
    /// An answer that came soonest, less the time that every meter takes: of those since the last
    /// [`WINDOW`] were full, and of that window.
    at_most: Duration,
    at_most_before: Duration,
    /// How many of them there have been in this window.
    in_window: u8,
    /// The longest that a byte was held back, forgotten slowly.
    held: Duration,
    /// Of the answer that is coming in.
    answer: Option<Answer>,
    /// How many answers have begun, and the longest time that one took.
    begun: u8,
    slowest: Duration,
}

/// Moments are counted back to the beginning of the frame, from when the request had been sent.
#[derive(Clone, Copy, Debug)]
struct Answer {
    bytes: usize,
    first: Duration,
    latest: Duration,
    held: Duration,
}

impl Lag {
    pub(super) const NONE: Self = Self {
        frames: 0,
        at_most: Duration::MAX,
        at_most_before: Duration::MAX,
        in_window: 0,
        held: Duration::ZERO,
        answer: None,
        begun: 0,
        slowest: Duration::ZERO,
    };

    /// A request has been sent.
    pub(super) const fn sent(&mut self) {
        self.answer = None;
    }

    /// The byte that makes an answer `bytes` long was seen, `after` the request had been sent.
    pub(super) fn seen(&mut self, after: Duration, bytes: usize, settings: &Settings) {
        let begun = after.saturating_sub(settings.characters(bytes));
        let answer = self.answer.get_or_insert(Answer {
            bytes,
            first: begun,
            latest: begun,
            held: Duration::ZERO,
        });
        answer.bytes = bytes;
        answer.latest = answer.latest.max(begun);
        answer.held = answer.held.max(answer.latest.saturating_sub(begun));
    }

    /// A meter began to answer, alone or with others, `after` the request had been sent.
    pub(super) fn begun(&mut self, after: Duration) {
        self.begun = self.begun.saturating_add(1);
        self.slowest = after.max(self.slowest);
    }

    /// The time in which all meters that mean to answer have begun to, as far as they have shown;
    /// `None` while too few have.
    pub(super) fn slowest(&self) -> Option<Duration> {
        (self.begun >= MANY).then_some(self.slowest)
    }

    /// The answer was whole and right.
    pub(super) fn understood(&mut self, settings: &Settings) {
        let Some(Answer { bytes, first, held, .. }) = self.answer.take() else { return };
        let at_most = first.saturating_sub(settings.quickest_answer());
        if self.in_window >= WINDOW {
            (self.at_most_before, self.at_most) = (self.at_most, Duration::MAX);
            self.in_window = 0;
        }
        self.in_window += 1;
        self.at_most = self.at_most.min(at_most);
        self.held = held.max(self.held.saturating_sub(self.held / 64));
        if bytes >= LONG {
            self.frames = self.frames.saturating_add(1);
        }
    }

    /// How much later than on the wire the first byte of an answer may be seen.
    pub(super) fn slack(&self, settings: &Settings) -> Duration {
        if self.frames < ENOUGH {
            return settings.slack.max(2 * self.held);
        }
        settings.slack.min(self.at_most).min(self.at_most_before) + 2 * self.held
    }
}

/// An acknowledge alone does not show whether bytes are held back.
const LONG: usize = 16;
const ENOUGH: u8 = 4;
/// A quarter of an hour's answers of a bus that is not small.
const WINDOW: u8 = 64;
const MANY: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings::new(2400);

    /// The bytes of a frame, each seen so many bit times after the request; what follows from four
    /// such answers, in bit times.
    #[track_caller]
    fn check(seen: &(impl Iterator<Item = u32> + Clone), expected: u32) {
        let mut lag = Lag::NONE;
        for _ in 0..4 {
            assert_eq!(lag.slack(&SETTINGS), SETTINGS.slack.max(2 * lag.held));
            lag.sent();
            for (at, bytes) in seen.clone().zip(1..) {
                lag.seen(Duration::from_secs(1) * at / 2400, bytes, &SETTINGS);
            }
            lag.understood(&SETTINGS);
        }
        let bits = (lag.slack(&SETTINGS) * 2400).as_millis().div_ceil(1000);
        assert_eq!(bits, u128::from(expected));
    }

    #[test]
    fn a_line_without_a_converter_adds_nothing() {
        check(&(0..40).map(|byte| 11 + 11 * (byte + 1)), 0);
    }

    #[test]
    fn a_slow_meter_is_no_slow_converter() {
        // The guess: 20 ms.
        check(&(0..40).map(|byte| 300 + 11 * (byte + 1)), 48);
        // The answer was sooner than the guess.
        check(&(0..40).map(|byte| 11 + 30 + 11 * (byte + 1)), 30);
    }

    #[test]
    fn a_way_that_became_longer_is_learned_anew() {
        let mut lag = Lag::NONE;
        let mut answers = |count, first| {
            for _ in 0..count {
                lag.sent();
                for byte in 1..40_u32 {
                    let at = Duration::from_secs(1) * (first + 11 * byte) / 2400;
                    lag.seen(at, byte as usize, &SETTINGS);
                }
                lag.understood(&SETTINGS);
            }
            lag.slack(&SETTINGS)
        };
        let next_to_nothing = Duration::from_micros(1);
        assert!(answers(40, 11) < next_to_nothing);
        assert!(answers(40, 300) < next_to_nothing, "some slow meters are no other way");
        assert!(answers(2 * u32::from(WINDOW), 300) >= SETTINGS.slack);
    }

    #[test]
    fn chunks_of_an_adapter_are_seen() {
        // Every four bytes together: the first of them waited for three characters.
        check(&(0_u32..40).map(|byte| 11 + 11 * (byte / 4 * 4 + 4)), 33 + 2 * 33);
    }

    #[test]
    fn a_converter_that_waits_for_the_whole_frame_is_seen() {
        let whole = 11 + 11 * 40;
        check(&(0..40).map(|_| whole), 48 + 2 * 39 * 11);
    }

    #[test]
    fn pauses_of_a_meter_are_no_lag() {
        check(&(0..40).map(|byte| 11 + 30 * (byte + 1)), 19);
    }
}
