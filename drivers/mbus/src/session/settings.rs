//! The times of a bus, all of them out of its speed.

use core::time::Duration;

use crate::Frame;

/// How a bus is to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits in a second, on the wire: behind a converter too.
    pub baud: u32,
    /// How much later than on the wire bytes may be seen: the converter's and the network's share,
    /// as it is guessed before answers have shown it. A USB adapter holds bytes back for 16 ms.
    pub slack: Duration,
    /// How long an answer may take to begin, instead of what the standard says and what the
    /// transport and the meters have shown.
    pub answer_within: Option<Duration>,
    /// How often a frame is said before the meter counts as silent. The standard says three times.
    pub sends: u8,
    /// How many telegrams a meter is asked for in one readout, up to [`Self::MOST_TELEGRAMS`].
    pub max_telegrams: u8,
}

impl Settings {
    /// A serial line, or a converter in the next room.
    pub const fn new(baud: u32) -> Self {
        Self {
            baud,
            slack: Duration::from_millis(20),
            answer_within: None,
            sends: 3,
            max_telegrams: 8,
        }
    }

    /// A converter behind a network that may hold a packet back for a moment.
    pub const fn over_network(baud: u32) -> Self {
        Self { slack: Duration::from_millis(300), ..Self::new(baud) }
    }

    /// How long an answer may take to begin on the wire: 330 bit times and 50 ms.
    pub fn slowest_answer(&self) -> Duration {
        self.bits(330) + Duration::from_millis(50)
    }

    /// How soon an answer may begin: no meter is quicker than 11 bit times.
    pub fn quickest_answer(&self) -> Duration {
        self.bits(11)
    }

    /// How long an answer may take to begin, before anything is known of the transport.
    pub fn answer_within(&self) -> Duration {
        self.answer_within.unwrap_or(self.slowest_answer() + self.slack)
    }

    /// How long `count` characters take on the wire: start bit, eight data bits, parity, stop.
    pub fn characters(&self, count: usize) -> Duration {
        self.bits(u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(11))
    }

    /// How long the line is left alone after an answer.
    pub(super) fn idle_after_answer(&self) -> Duration {
        self.bits(11)
    }

    /// How long after the beginning of a first acknowledge a second one is waited for before the
    /// first is taken for the only one, where the meter is to be asked who it is. Two meters that
    /// are asked at once cost the time of a whole telegram, and most of them do not begin to
    /// acknowledge further apart than this.
    pub(super) fn second_acknowledge(&self) -> Duration {
        self.characters(9)
    }

    /// How long the line must have been silent after an error.
    pub(super) fn idle_after_error(&self) -> Duration {
        self.bits(33) + self.slack
    }

    /// How long a meter may pause inside a frame. Only an answer that breaks off costs this, and a
    /// machine with much to do may hold a byte back for long.
    pub(super) fn longest_gap(&self) -> Duration {
        self.bits(33) + Duration::from_millis(50) + self.slack
    }

    /// How long an answer may take from the time by which it has to begin: that of two of the
    /// longest frames. So another meter's late one may stand before it, or pauses as long as
    /// itself in it, but nobody can hold the line by going on and on.
    pub(super) fn longest_answer(&self) -> Duration {
        self.characters(2 * Frame::MAX_LEN) + self.slack
    }

    /// How long noise is listened to: the longest answer there is.
    pub(super) fn longest_noise(&self) -> Duration {
        self.answer_within() + self.characters(Frame::MAX_LEN)
    }

    fn bits(&self, count: u32) -> Duration {
        Duration::from_secs(1) * count / self.baud.max(1)
    }

    /// Enough for any meter, and the end of those that never end.
    pub const MOST_TELEGRAMS: u8 = 32;
}
