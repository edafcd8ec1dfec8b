//! Who is on the bus: the search by secondary addresses, and the scan of the primary ones.
//!
//! A selection with wildcards is answered by every meter it means. Silence: there is none. One
//! acknowledge, and one whole telegram when it is asked for: there is one, and the telegram says
//! who. Anything else: there are several, and one more digit is told apart.
//!
//! ```text
//! FFFFFFFF    several
//! ├ 0FFFFFFF  silence
//! ├ 1FFFFFFF  one: 12345678
//! ├ …
//! └ 6FFFFFFF  several
//!   ├ 60FFFFFF …
//! ```
//!
//! Two acknowledges may overlap so well that they look like one; then the two telegrams collide.
//! Once in a while even their overlap has a right checksum. So a meter is believed only when it has
//! acknowledged the address that its telegram tells and nobody could hide behind it, until this bus
//! has shown that the acknowledges of several look like those of several.
//!
//! Where eight digits are equal, the fabrication number is varied, then medium, version and
//! manufacturer, byte by byte. Where something answers above and none of ten digits does below, the
//! meter has a digit from A to E there, or one that no selection finds, and these are tried too,
//! once a second look has shown that it was not noise.
//!
//! A device that acknowledges everything makes the search as long as there are addresses: whoever
//! polls it has to set it an end.
//!
//! Neither does I/O: both are polled like a [`Session`], which they use.
//!
//! Source: the M-Bus documentation 4.8, section 7.

mod doubt;
mod place;
#[cfg(test)]
mod tests;

use core::time::Duration;

use doubt::hidden_behind;
pub use place::Place;

use crate::{Action, Failure, Frame, Id, Primary, Reason, Secondary, Selection, Session, Task};

/// The search by secondary addresses.
///
/// It can be left at any time; [`Search::place`] is where to go on.
#[derive(Debug)]
pub struct Search<'k> {
    known: &'k [Id],
    sends: u8,
    place: Place,
    state: State,
    /// [`SearchAction::Pause`] has been told for the next selection.
    paused: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The next selection has not been said yet.
    Next,
    Probing,
    Identifying {
        found: Option<Found>,
    },
    Verifying {
        found: Found,
    },
    /// Looking for who may be hidden behind it.
    LookingBehind {
        found: Found,
        next: u8,
    },
    Ended,
}

/// What the owner of the port has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum SearchAction<'a> {
    /// Send this, then poll again.
    Send(&'a [u8]),
    /// Wait for bytes until then, then poll again.
    Wait(Duration),
    /// A meter; poll again.
    Found(Found),
    /// Meters that cannot be told apart, or that answer to this selection and to none within it;
    /// poll again.
    Unresolved(Selection),
    /// Nobody is in the middle of being found: the bus and the session may be used for something
    /// else, and the search be left and gone on with without a loss; poll again.
    Pause,
    /// The line cannot be used. The place is kept.
    Failed(Failure),
    /// The search has come to its end.
    Done,
}

/// A meter that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The selection to which it alone answers.
    pub selection: Selection,
    /// Its own address, as its telegram tells it; `None` if it acknowledges but sends none, or
    /// does not say who it is.
    pub meter: Option<Secondary>,
    /// Its address on the bus, as its telegram tells it; `None` if it answers with the one that it
    /// was asked by.
    pub primary: Option<Primary>,
}

impl<'k> Search<'k> {
    /// All meters but the `known` ones.
    ///
    /// No selection is said that a known meter would answer to, and so another meter with the same
    /// number as a known one is not found.
    pub const fn new(known: &'k [Id]) -> Self {
        Self::resume(Place::START, known)
    }

    /// Goes on where a former search was left.
    pub const fn resume(place: Place, known: &'k [Id]) -> Self {
        Self { known, sends: 1, place, state: State::Next, paused: false }
    }

    /// Says each selection twice into silence, tries digits from A to E everywhere and selects each
    /// meter that was found: for lines with noise and for meters that were not found. Takes about
    /// three times as long.
    #[must_use]
    pub const fn thoroughly(mut self) -> Self {
        self.sends = 2;
        self.place.be_thorough();
        self
    }

    /// Where the search is: what has been found before it is not found again.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// What is to be done at `now`; bytes that come go to [`Session::received`].
    pub fn poll<'s>(&mut self, session: &'s mut Session, now: Duration) -> SearchAction<'s> {
        loop {
            match self.state {
                State::Ended => return SearchAction::Done,
                State::Next if !self.paused && !self.place.has_ended() => {
                    self.paused = true;
                    return SearchAction::Pause;
                }
                State::Next => {
                    if let Some(unresolved) = self.begin(session, now) {
                        return SearchAction::Unresolved(unresolved);
                    }
                }
                State::Probing
                | State::Identifying { .. }
                | State::Verifying { .. }
                | State::LookingBehind { .. } => match Doing::of(&session.poll(now)) {
                    Doing::Send => return SearchAction::Send(session.last_sent()),
                    Doing::Wait(until) => return SearchAction::Wait(until),
                    Doing::GoOn => self.read_identity(session.last_telegram()),
                    Doing::Idle => self.state = State::Next,
                    Doing::Done(result) => match self.done(result, session, now) {
                        Some(Outcome::Found(found)) => return SearchAction::Found(found),
                        Some(Outcome::Failed(failure)) => return SearchAction::Failed(failure),
                        None => {}
                    },
                },
            }
        }
    }

    /// Says the next selection, or goes past it without a word.
    fn begin(&mut self, session: &mut Session, now: Duration) -> Option<Selection> {
        if self.place.has_ended() {
            self.state = State::Ended;
            return None;
        }
        if let Some(unresolved) = self.place.take_unresolved() {
            return Some(unresolved);
        }
        let selection = self.place.selection();
        if self.known.iter().any(|id| selection.matches_id(*id)) {
            // A known meter would answer, and one more could not be told from it.
            if self.place.is_whole_id() {
                self.place.advance(true);
            } else {
                self.place.descend(false);
            }
            return None;
        }
        // A probe holds no data that could be too long.
        let _ = session.start(&Task::Probe { selection, sends: self.sends }, None, now);
        self.state = State::Probing;
        self.paused = false;
        None
    }

    fn done(
        &mut self,
        result: Result<crate::Summary, Failure>,
        session: &mut Session,
        now: Duration,
    ) -> Option<Outcome> {
        let state = core::mem::replace(&mut self.state, State::Next);
        match (state, result) {
            (_, Err(failure)) if failure.reason == Reason::NeverSilent => {
                return Some(Outcome::Failed(failure));
            }
            (State::Probing, Ok(_)) => {
                let _ = session.start(&Task::Identify, None, now);
                self.state = State::Identifying { found: None };
            }
            (State::Probing, Err(failure)) if failure.reason == Reason::Silent => {
                self.place.silent();
            }
            (State::Probing, Err(_)) => {
                self.place.doubt.told_apart();
                self.place.descend(true);
            }
            (State::Identifying { found: Some(found) }, Ok(summary)) if summary.foreign == 0 => {
                match found.address() {
                    Some(selection) if self.place.doubt.concerns(&selection, &found.selection) => {
                        let probe = Task::Probe { selection, sends: VERIFYING_SENDS };
                        let _ = session.start(&probe, None, now);
                        self.state = State::Verifying { found };
                    }
                    _ => return Some(self.found(found)),
                }
            }
            (State::Verifying { found }, Ok(_)) => {
                return self.look_behind(found, 0, session, now);
            }
            (State::LookingBehind { found, next }, Err(failure))
                if failure.reason == Reason::Silent =>
            {
                return self.look_behind(found, next, session, now);
            }
            (State::Identifying { .. }, Err(failure))
                if failure.reason == Reason::Silent && self.place.is_whole_id() =>
            {
                let selection = self.place.selection();
                return Some(self.found(Found { selection, meter: None, primary: None }));
            }
            (State::Identifying { .. }, Err(Failure { reason: Reason::Silent, .. })) => {
                // One that only acknowledges: its digits will tell who it is.
                self.place.descend(true);
            }
            (State::Identifying { .. }, result) => {
                let asked = result.err().is_none_or(|failure| failure.sends > 0);
                if asked && session.traffic().foreign == 0 {
                    self.place.doubt.taken_for_one();
                } else {
                    // The second acknowledge was heard for itself.
                    self.place.doubt.told_apart();
                }
                self.place.descend(true);
            }
            _ => {
                self.place.doubt.taken_for_one();
                self.place.descend(true);
            }
        }
        None
    }

    /// Selects the next one who may be hidden behind `found`; there is none any more: it is one.
    fn look_behind(
        &mut self,
        found: Found,
        next: u8,
        session: &mut Session,
        now: Duration,
    ) -> Option<Outcome> {
        let hidden =
            found.address().and_then(|address| hidden_behind(&address, &found.selection, next));
        let Some((selection, next)) = hidden else { return Some(self.found(found)) };
        let _ = session.start(&Task::Probe { selection, sends: 1 }, None, now);
        self.state = State::LookingBehind { found, next };
        None
    }

    fn found(&mut self, found: Found) -> Outcome {
        self.place.advance(true);
        Outcome::Found(found)
    }

    fn read_identity(&mut self, frame: &[u8]) {
        let selection = self.place.selection();
        let Ok(Frame::Long(long)) = Frame::read(frame) else { return };
        let meter = long.header().and_then(|header| header.address());
        // Another meter than the one that was selected: two acknowledges must have overlapped.
        if meter.is_none_or(|meter| selection.matches_address(&meter)) {
            let primary = Some(long.address).filter(|address| address.is_of_a_meter());
            self.state = State::Identifying { found: Some(Found { selection, meter, primary }) };
        }
    }
}

impl Found {
    /// Its own address as a selection, with the fabrication number where that was needed.
    fn address(&self) -> Option<Selection> {
        let Selection { fabrication, .. } = self.selection;
        Some(Selection { fabrication, ..Selection::of(self.meter?) })
    }
}

/// A lost acknowledge must not send the search down the whole number of a meter.
const VERIFYING_SENDS: u8 = 2;

enum Outcome {
    Found(Found),
    Failed(Failure),
}

/// An [`Action`] without the bytes, which the session still has.
enum Doing {
    Send,
    Wait(Duration),
    GoOn,
    Done(Result<crate::Summary, Failure>),
    Idle,
}

impl Doing {
    const fn of(action: &Action<'_>) -> Self {
        match *action {
            Action::Send(_) => Self::Send,
            Action::Wait(until) => Self::Wait(until),
            Action::Telegram(_) | Action::SetBaud(_) => Self::GoOn,
            Action::Done(result) => Self::Done(result),
            Action::Idle => Self::Idle,
        }
    }
}

/// The scan of all addresses that a meter can have on the bus.
#[derive(Debug)]
pub struct PrimaryScan {
    next: u8,
    last: u8,
    asking: bool,
}

/// What the owner of the port has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ScanAction<'a> {
    /// Send this, then poll again.
    Send(&'a [u8]),
    /// Wait for bytes until then, then poll again.
    Wait(Duration),
    /// A meter acknowledges at this address; poll again.
    Found(Primary),
    /// Something else than one acknowledge came: most likely several meters have this address;
    /// poll again.
    Several(Primary),
    /// The line cannot be used.
    Failed(Failure),
    /// The scan has come to its end.
    Done,
}

impl PrimaryScan {
    /// The addresses from `first` to `last`, as far as a meter can have them.
    pub fn new(first: Primary, last: Primary) -> Self {
        Self { next: first.0, last: last.0.min(Primary::MAX.0), asking: false }
    }

    /// The address that is asked next.
    pub const fn place(&self) -> Primary {
        Primary(self.next)
    }

    /// What is to be done at `now`; bytes that come go to [`Session::received`].
    pub fn poll<'s>(&mut self, session: &'s mut Session, now: Duration) -> ScanAction<'s> {
        loop {
            if !self.asking {
                if self.next > self.last {
                    return ScanAction::Done;
                }
                let _ = session.start(&Task::Ping { to: Primary(self.next), sends: 1 }, None, now);
                self.asking = true;
            }
            match Doing::of(&session.poll(now)) {
                Doing::Send => return ScanAction::Send(session.last_sent()),
                Doing::Wait(until) => return ScanAction::Wait(until),
                Doing::GoOn => {}
                Doing::Idle => self.asking = false,
                Doing::Done(result) => {
                    let address = Primary(self.next);
                    self.asking = false;
                    // 250 is the last, so this never overflows.
                    self.next = self.next.saturating_add(1);
                    match result {
                        Ok(_) => return ScanAction::Found(address),
                        Err(failure) => match failure.reason {
                            Reason::Silent => {}
                            Reason::Garbled(_) | Reason::LineError | Reason::Foreign => {
                                return ScanAction::Several(address);
                            }
                            Reason::NeverSilent => return ScanAction::Failed(failure),
                        },
                    }
                }
            }
        }
    }
}
