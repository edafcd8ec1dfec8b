//! From the edges of one line to its pulses.
//!
//! ```text
//!  idle ──────┐             ┌──┐ ┌────────────┐      ┌────
//!             │             │  │ │            │      │
//!  active     └─────────────┘  └─┘            └──┘───┘
//!             └── one pulse ───┘ bounce       too short
//! ```
//!
//! A pulse is counted at its end, once it has lasted as long as the shortest pulse that the meter
//! makes. What follows within the debounce time of a pulse belongs to it. No I/O, no clock: each
//! edge brings its time.

use std::time::Duration;

use super::event::LineEvent;
use crate::profile::Edge;

/// What tells a pulse from a bounce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Which edge begins it.
    pub(super) edge: Edge,
    /// How long a contact may bounce.
    pub(super) debounce: Duration,
    /// The shortest pulse.
    pub(super) least: Duration,
}

/// What an edge made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// One if a pulse has ended.
    pub(super) pulses: u64,
    /// Edges before this one that the kernel could not hand over.
    pub(super) lost: u64,
}

/// One line.
#[derive(Debug)]
pub(super) struct Input {
    shape: Shape,
    state: State,
    /// The number that the next event has to have; `None` if any may come.
    next: Option<u32>,
    /// When the last pulse that counted began.
    last: Option<u64>,
    /// The time between the last two that counted.
    distance: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The contact is open. What was before it, if a bounce may still come.
    Idle(Option<(Pulse, u64)>),
    /// The contact is closed.
    Active(Pulse),
}

#[derive(Clone, Copy, Debug)]
struct Pulse {
    began: u64,
    counted: bool,
}

impl Input {
    pub(super) const fn new(shape: Shape) -> Self {
        Self { shape, state: State::Idle(None), next: None, last: None, distance: None }
    }

    /// What tells its pulses from bounces.
    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    /// The line was opened anew: what came before is not gone on with. `first` is the number of
    /// its first event, where that is known; else what is missing since the last one is lost.
    pub(super) fn reopened(&mut self, first: Option<u32>) {
        self.state = State::Idle(None);
        self.distance = None;
        self.last = None;
        self.next = first.or(self.next);
    }

    /// Takes in an edge.
    pub(super) fn edge(&mut self, event: &LineEvent) -> Heard {
        // A smaller number is that of a source that began anew.
        let lost = self.next.map_or(0, |next| event.number.saturating_sub(next));
        self.next = event.number.checked_add(1);
        if lost > 0 {
            // What the line did meanwhile is not known, so neither is how far apart pulses are.
            self.state = State::Idle(None);
            (self.last, self.distance) = (None, None);
        }
        let begins = event.high == (self.shape.edge == Edge::Rising);
        let pulses = if begins { self.begin(event.at_ns) } else { self.end(event.at_ns) };
        Heard { pulses, lost: lost.into() }
    }

    /// The time between the last two pulses.
    pub(super) const fn distance(&self) -> Option<Duration> {
        self.distance
    }

    fn begin(&mut self, at: u64) -> u64 {
        let pulse = match self.state {
            // Two beginnings without an end between them: the first one holds.
            State::Active(pulse) => pulse,
            State::Idle(Some((before, ended))) if since(ended, at) < self.shape.debounce => before,
            State::Idle(_) => Pulse { began: at, counted: false },
        };
        self.state = State::Active(pulse);
        0
    }

    fn end(&mut self, at: u64) -> u64 {
        let State::Active(mut pulse) = self.state else { return 0 };
        let counts = !pulse.counted && since(pulse.began, at) >= self.shape.least;
        if counts {
            pulse.counted = true;
            self.distance = self.last.map(|last| since(last, pulse.began));
            self.last = Some(pulse.began);
        }
        self.state = State::Idle(Some((pulse, at)));
        u64::from(counts)
    }
}

const fn since(earlier_ns: u64, later_ns: u64) -> Duration {
    Duration::from_nanos(later_ns.saturating_sub(earlier_ns))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape {
        edge: Edge::Falling,
        debounce: Duration::from_millis(20),
        least: Duration::from_millis(30),
    };

    fn event(number: u32, at_ms: u64, high: bool) -> LineEvent {
        LineEvent { at_ns: at_ms * 1_000_000, high, line: 3, number }
    }

    /// What comes of levels that are taken at these milliseconds, low first.
    #[track_caller]
    fn check(edges_ms: &[u64], pulses: u64) {
        let mut input = Input::new(SHAPE);
        let mut counted = 0;
        for (number, at) in (1_u32..).zip(edges_ms) {
            let heard = input.edge(&event(number, *at, number % 2 == 0));
            assert_eq!(heard.lost, 0);
            counted += heard.pulses;
        }
        assert_eq!(counted, pulses, "{edges_ms:?}");
    }

    #[test]
    fn a_pulse_is_as_long_as_the_meter_makes_it_and_a_bounce_is_none() {
        check(&[], 0);
        check(&[0], 0);
        check(&[0, 30], 1);
        check(&[0, 29], 0);
        check(&[0, 40, 100, 140, 200, 240], 3);
        // Bounces at the beginning, in the middle and at the end.
        check(&[0, 1, 2, 3, 4, 45], 1);
        check(&[0, 31, 32, 65], 1);
        check(&[0, 40, 42, 44, 50, 52], 1);
        // Noise on a line that is open.
        check(&[0, 1, 100, 101, 200, 229], 0);
        // After the debounce time it is another one.
        check(&[0, 40, 60, 100], 2);
        check(&[0, 40, 59, 100], 1);
    }

    #[test]
    fn what_the_kernel_lost_is_counted_and_no_pulse_is_made_of_it() {
        let mut input = Input::new(SHAPE);
        assert_eq!(input.edge(&event(1, 0, false)), Heard { pulses: 0, lost: 0 });
        // 2 to 6 were lost: this end is that of another pulse.
        assert_eq!(input.edge(&event(7, 900, true)), Heard { pulses: 0, lost: 5 });
        assert_eq!(input.edge(&event(8, 1_000, false)), Heard::default());
        assert_eq!(input.edge(&event(9, 1_050, true)), Heard { pulses: 1, lost: 0 });
        assert_eq!(input.distance(), None, "the pulse before may have been a lost one");
    }

    #[test]
    fn a_source_that_begins_anew_has_lost_nothing_that_can_be_told() {
        let mut input = Input::new(SHAPE);
        input.edge(&event(900, 0, false));
        assert_eq!(input.edge(&event(1, 50, true)).lost, 0);
        input.reopened(Some(1));
        assert_eq!(input.edge(&event(1, 60, true)), Heard::default(), "an end without a beginning");
        input.reopened(None);
        assert_eq!(input.edge(&event(4, 90, false)).lost, 2, "numbers go on");
    }

    #[test]
    fn the_distance_of_two_pulses_is_that_of_their_beginnings() {
        let mut input = Input::new(SHAPE);
        for (number, at) in (1_u32..).zip([0, 40, 1_440, 1_475]) {
            input.edge(&event(number, at, number % 2 == 0));
        }
        assert_eq!(input.distance(), Some(Duration::from_millis(1_440)));
    }

    proptest! {
        // Whatever comes: no more pulses than beginnings, no more than fit into the time.
        #[test]
        fn there_are_never_more_pulses_than_there_can_be(
            edges in prop::collection::vec((0_u64..80, any::<bool>()), 0..200),
        ) {
            let mut input = Input::new(SHAPE);
            let (mut at, mut counted, mut beginnings) = (0, 0, 0);
            for (number, (wait, high)) in (1..).zip(edges) {
                at += wait;
                beginnings += u64::from(!high);
                counted += input.edge(&event(number, at, high)).pulses;
            }
            prop_assert!(counted <= beginnings);
            prop_assert!(counted * 30 <= at);
        }
    }
}
