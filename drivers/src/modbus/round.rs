//! One readout of one unit: what was asked, what came, and what that teaches.

use std::sync::Arc;
use std::time::Duration;

use metering::{Identity, Moment, NoReading, Quality, Reading};

use super::frame::Request;
use super::plan::{Learned, Planned};
use crate::error::ReadError;
use crate::profile::{Modbus, Profile, Words};
use crate::{Meter, MeterAddress, Readout};

/// One readout of one unit, as far as it has come.
pub(super) struct Round<'p> {
    pub(super) unit: u8,
    profile: &'p Profile,
    pub(super) modbus: &'p Modbus,
    /// When the meter was asked, for what is absent.
    asked: Moment,
    /// One for each register of the profile that has one, and the serial number behind them.
    pub(super) points: Arc<[Request]>,
    words: Words,
    /// When the answer to each point began, or why there is none.
    came: Vec<Option<Result<Moment, NoReading>>>,
    /// Parts of refused requests of which one has succeeded.
    half_cut: Vec<(Request, Request)>,
    seams: Vec<Request>,
    lone: Vec<Request>,
    /// Points that were answered: whoever refused one of them before does so no longer.
    answered: Vec<Request>,
    telegrams: Vec<Vec<u8>>,
    refused: Option<ReadError>,
    remembered: Option<ReadError>,
    failed: Option<ReadError>,
}

impl<'p> Round<'p> {
    pub(super) fn new(
        unit: u8,
        profile: &'p Profile,
        modbus: &'p Modbus,
        asked: Moment,
        points: Arc<[Request]>,
    ) -> Self {
        Self {
            unit,
            profile,
            modbus,
            asked,
            came: vec![None; points.len()],
            points,
            words: Words::default(),
            half_cut: Vec::new(),
            seams: Vec::new(),
            lone: Vec::new(),
            answered: Vec::new(),
            telegrams: Vec::new(),
            refused: None,
            remembered: None,
            failed: None,
        }
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(super) fn take(&mut self, part: &Planned, answer: Heardout) {
        self.words.put(part.request.function, part.request.address, answer.words);
        self.came_to(part, Ok(answer.at));
        self.answered.extend(part.points.iter().filter_map(|point| self.points.get(*point)));
        self.telegrams.push(answer.raw);
    }

    pub(super) fn refuse(&mut self, part: &Planned, exception: u8) {
        let address = MeterAddress::Unit(self.unit);
        let register = part.request.address;
        self.refused.get_or_insert(ReadError::Refused { address, register, exception });
        self.came_to(part, Err(NoReading::Refused));
        if let (true, [point, ..]) = (cuts(exception), part.points.as_slice()) {
            self.lone.extend(self.points.get(*point));
        }
    }

    /// The unit or the port does not answer any more: the rest is not asked for.
    pub(super) fn fail(&mut self, part: &Planned, error: ReadError) {
        // A question that could not be repeated failed for the reason it had the first time.
        let error = match (error, self.remembered.take()) {
            (ReadError::Unsettled { .. }, Some(first)) => first,
            (error, _) => error,
        };
        self.failed = Some(error);
        self.leave(part);
    }

    pub(super) fn leave(&mut self, part: &Planned) {
        let reason = self.failed.as_ref().map_or(NoReading::NotAsked, ReadError::no_reading);
        self.came_to(part, Err(reason));
    }

    fn came_to(&mut self, part: &Planned, came: Result<Moment, NoReading>) {
        for point in &part.points {
            if let Some(of) = self.came.get_mut(*point) {
                *of = Some(came);
            }
        }
    }

    pub(super) fn remember(&mut self, error: ReadError) {
        self.remembered = Some(error);
    }

    /// Of a cut request one part has succeeded; with the second one its seam is known.
    pub(super) fn cut_succeeded(&mut self, left: Request, right: Request) {
        match self.half_cut.iter().position(|cut| *cut == (left, right)) {
            Some(at) => {
                self.half_cut.remove(at);
                self.seams.push(right);
            }
            None => self.half_cut.push((left, right)),
        }
    }

    pub(super) fn teach(&mut self, learned: &mut Learned) {
        learned.seams.extend(self.seams.drain(..).map(|it| (it.function, it.address)));
        learned.lone.extend(self.lone.drain(..).map(|it| (it.function, it.address)));
        for it in self.answered.drain(..) {
            learned.lone.remove(&(it.function, it.address));
        }
    }

    pub(super) fn readout(self, meter: &Meter, took: Duration) -> Result<Readout, ReadError> {
        let answered = self.came.iter().flatten().any(Result::is_ok);
        if !answered && let Some(error) = self.failed.or(self.refused) {
            return Err(error);
        }
        let serial = self.modbus.serial.as_ref().and_then(|point| point.serial(&self.words));
        let identity = Identity {
            serial: serial.unwrap_or_default(),
            manufacturer: self.profile.vendor.clone(),
            version: String::new(),
        };
        meter.expect_serial(&identity)?;

        let specs = self.profile.registers().filter_map(|spec| Some((spec, spec.point.as_ref()?)));
        let readings = specs.enumerate().map(|(index, (spec, point))| {
            let came = self.came.get(index).copied().flatten();
            let came = came.unwrap_or(Err(NoReading::NotAsked));
            let number = point.number(&self.words, spec.decimals, spec.unit);
            let value = came.and_then(|_| number.unwrap_or(Err(NoReading::LeftOut)));
            Reading {
                register: spec.register.clone(),
                at: came.unwrap_or(self.asked),
                quality: value.map_or(Quality::Good, |it| spec.plausible.judge(it)),
                value,
                origin: meter.origin,
            }
        });
        Ok(Readout {
            identity,
            medium: Some(self.profile.medium),
            readings: readings.collect(),
            remembered: Vec::new(),
            odd: Vec::new(),
            telegrams: self.telegrams,
            took,
            profile: Some(self.profile.id.clone()),
        })
    }
}

/// An answer with the moment at which it began.
pub(super) struct Heardout {
    pub(super) words: Vec<u16>,
    pub(super) at: Moment,
    pub(super) raw: Vec<u8>,
}

/// Exceptions that a smaller request may not have: address, length, failure.
pub(super) const fn cuts(exception: u8) -> bool {
    matches!(exception, 2..=4)
}
