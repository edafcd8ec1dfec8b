//! Who is on a Modbus: what an installer wants to know before anything is configured.
//!
//! ```text
//! unit 1, 2, 3 … ──▶ one register ──▶ an answer or a refusal: somebody is there
//!                                          └─▶ the registers by which profiles tell their type
//! ```
//!
//! It gives way: a step is one question, and between two of them the bus is free.
//!
//! Whoever is there says so by any answer: a device that does not know the function or the
//! register has to refuse it (Modbus application protocol, section 7). A silent unit costs one
//! response time-out, so a sweep of a serial line takes minutes: it tells how far it is, and can be
//! dropped at any time.
//!
//! **Never true:** a sweep writes anything to a device, or asks one for more than it is read for.

use std::ops::RangeInclusive;
use std::sync::Arc;

use metering::Clock;

use super::bus::ModbusBus;
use super::frame::{Function, Request};
use crate::error::ReadError;
use crate::profile::{Modbus, Profile, Profiles, Words};

/// A unit that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUnit {
    /// Where it answers: 1 to 247, or 255 for the device itself on Modbus TCP.
    pub unit: u8,
    /// The profiles whose fingerprint it has; mostly one, and none of a type that has no
    /// fingerprint.
    pub profiles: Vec<String>,
    /// The serial number, where one of them knows the register of it.
    pub serial: Option<String>,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepProgress<'a> {
    /// This unit is being asked.
    Asking(u8),
    /// It is there.
    Found(&'a FoundUnit),
    /// Something answers for this unit that is no answer of one unit: two devices with one
    /// address, mostly, or a line that is set wrong.
    Garbled(u8),
}

/// A sweep under way.
#[derive(Clone, Debug)]
pub struct Sweep {
    profiles: Arc<Profiles>,
    /// By which profiles tell their types, each register once.
    questions: Vec<Request>,
    /// What is asked next; beyond `last` at the end.
    next: u16,
    first: u16,
    last: u16,
    /// Who has given a sign of life, and is asked what it is.
    alive: Option<Alive>,
}

#[derive(Clone, Debug)]
struct Alive {
    unit: u8,
    /// What it said to each question so far; `None` where it refused or did not answer.
    answers: Vec<Option<Vec<u16>>>,
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Nobody, or somebody who is not told from others yet.
    Nothing,
    /// A device.
    Found(FoundUnit),
    /// As [`SweepProgress::Garbled`].
    Garbled(u8),
    /// The sweep has come to its end: all further steps are this.
    Done,
}

impl Sweep {
    /// Of the units in `units`, by the fingerprints of `profiles`.
    pub fn new(units: RangeInclusive<u8>, profiles: Arc<Profiles>) -> Self {
        let mut questions: Vec<Request> = Vec::new();
        for identify in
            profiles.iter().filter_map(|it| it.modbus.as_ref()).flat_map(|it| &it.identify)
        {
            if !questions.contains(&identify.at()) {
                questions.push(identify.at());
            }
        }
        // Nobody has the number 0: it is for all at once.
        let (first, last) = (u16::from(*units.start()).max(1), u16::from(*units.end()));
        Self { profiles, questions, next: first, first, last, alive: None }
    }

    /// Which unit is asked next; `None` at the end.
    pub fn place(&self) -> Option<u8> {
        let next = (self.next <= self.last).then_some(self.next);
        let alive = self.alive.as_ref().map(|it| it.unit);
        alive.or_else(|| u8::try_from(next?).ok())
    }

    /// How many units have been asked, and of how many.
    pub fn progress(&self) -> (u32, u32) {
        let asked = self.next.saturating_sub(self.first) - u16::from(self.alive.is_some());
        (asked.into(), (u32::from(self.last) + 1).saturating_sub(self.first.into()))
    }

    /// Asks one question.
    ///
    /// # Errors
    ///
    /// [`ReadError::Port`]: the wire itself is out of reach. The same step can be tried again.
    ///
    /// # Cancellation
    ///
    /// When the future is dropped, the same question is asked again by the next step.
    pub async fn step(
        &mut self,
        bus: &mut ModbusBus,
        clock: &dyn Clock,
    ) -> Result<SweepStep, ReadError> {
        let Some(alive) = &mut self.alive else {
            return match self.place() {
                Some(unit) => self.called(unit, bus, clock).await,
                None => Ok(SweepStep::Done),
            };
        };
        if let Some(question) = self.questions.get(alive.answers.len()) {
            let answer = register(bus, alive.unit, *question, clock).await?;
            alive.answers.push(answer);
            return Ok(SweepStep::Nothing);
        }
        let unit = alive.unit;
        let types = types(&self.profiles, &self.questions, &alive.answers);
        let mut serial = None;
        for point in types.iter().filter_map(|it| it.modbus.as_ref()?.serial.as_ref()) {
            if let Some(found) = register(bus, unit, point.at, clock).await? {
                let mut words = Words::default();
                words.put(point.at.function, point.at.address, found);
                serial = point.serial(&words);
                break;
            }
        }
        let profiles = types.iter().map(|it| it.id.clone()).collect();
        self.alive = None;
        Ok(SweepStep::Found(FoundUnit { unit, profiles, serial }))
    }

    /// Asks `unit` for a sign of life.
    async fn called(
        &mut self,
        unit: u8,
        bus: &mut ModbusBus,
        clock: &dyn Clock,
    ) -> Result<SweepStep, ReadError> {
        let sign = bus.ask(unit, SIGN_OF_LIFE, &Modbus::default(), clock).await;
        let step = match sign {
            Ok(_) | Err(ReadError::Refused { .. }) => {
                self.alive = Some(Alive { unit, answers: Vec::new() });
                SweepStep::Nothing
            }
            Err(error @ ReadError::Port { .. }) => return Err(error),
            Err(ReadError::Garbled { .. }) => SweepStep::Garbled(unit),
            Err(_) => SweepStep::Nothing,
        };
        self.next = u16::from(unit) + 1;
        Ok(step)
    }
}

/// Any register will do.
const SIGN_OF_LIFE: Request = Request { function: Function::Holding, address: 0, count: 1 };

/// The profiles whose fingerprint a device has that said `answers` to `questions`.
fn types<'p>(
    profiles: &'p Profiles,
    questions: &[Request],
    answers: &[Option<Vec<u16>>],
) -> Vec<&'p Profile> {
    let said = |at: Request| {
        let mut both = questions.iter().zip(answers);
        both.find_map(|(question, answer)| answer.as_ref().filter(|_| *question == at))
    };
    let is_of = |profile: &&Profile| {
        let mut prints = profile.modbus.iter().flat_map(|it| &it.identify);
        prints.any(|print| said(print.at()).is_some_and(|found| print.is_it(found)))
    };
    profiles.iter().map(|it| &**it).filter(is_of).collect()
}

/// A register of a device that is there; `None` where it refuses it or does not answer.
async fn register(
    bus: &mut ModbusBus,
    unit: u8,
    at: Request,
    clock: &dyn Clock,
) -> Result<Option<Vec<u16>>, ReadError> {
    match bus.ask(unit, at, &Modbus::default(), clock).await {
        Ok(heard) => Ok(Some(heard.words)),
        Err(error @ ReadError::Port { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Asks every unit of `units` for a sign of life, and those that give one what they are.
///
/// # Errors
///
/// As [`Sweep::step`].
///
/// # Cancellation
///
/// As with [`ModbusBus::read`]: the bus is then fit for the next question.
pub async fn sweep(
    bus: &mut ModbusBus,
    units: RangeInclusive<u8>,
    profiles: &Arc<Profiles>,
    clock: &dyn Clock,
    mut progress: impl FnMut(SweepProgress<'_>),
) -> Result<Vec<FoundUnit>, ReadError> {
    let mut sweep = Sweep::new(units, Arc::clone(profiles));
    let mut found = Vec::new();
    let mut asked = None;
    loop {
        if let Some(unit) = sweep.place()
            && asked.replace(unit) != Some(unit)
        {
            progress(SweepProgress::Asking(unit));
        }
        match sweep.step(bus, clock).await? {
            SweepStep::Nothing => {}
            SweepStep::Found(it) => {
                progress(SweepProgress::Found(&it));
                found.push(it);
            }
            SweepStep::Garbled(unit) => progress(SweepProgress::Garbled(unit)),
            SweepStep::Done => return Ok(found),
        }
    }
}
