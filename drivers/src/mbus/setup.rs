//! What is set in a meter once: its address on the bus, its speed, its clock.
//!
//! Each change asks who the meter is before, and is read back after it: a meter acknowledges what
//! it has received, and not that it has done it.
//!
//! ```text
//! address   who is it? ─▶ is the new one free? ─▶ 01 7A nn ─▶ who answers at the new one?
//! speed     who is it? ─▶ CI B8–BF, E5 at the old speed ─▶ who answers at the new one?
//!                         └ no E5: at the old one?         └ nobody: back to the old one
//! clock     04 6D … ─▶ what does it say now?
//! ```
//!
//! **Never true:** an address is sent to a selection with wildcards, or to whoever is there: another
//! meter that did not answer, but listens, would take it too.
//!
//! Source: EN 13757-3, "setting of parameters"; the M-Bus documentation 4.8, sections 5.3 and 6.4.

use std::time::Duration;

use ::mbus::{
    Baud, Content, Date, Failure, Frame, Patience, Primary, Quantity, Reason, Request, Reset,
    Secondary, Selection, Summary, Target, Task, Time, Value, ci,
};
use chrono::NaiveDate;
use metering::{Clock, Identity};
use tokio::time::Instant;

use super::MbusBus;
use super::bus::Ended;
use super::opening::{Opening, asked_at};
use crate::error::ReadError;
use crate::{Meter, MeterAddress, PortSettings, Readout};

/// A change that was not made, or of which nobody knows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SetError {
    /// Nothing was changed: the meter cannot be read even before.
    #[error("nothing was changed, because the meter could not be read first")]
    Before(#[source] ReadError),
    /// Nothing was changed: no meter can have this address.
    #[error("{0} is no address for a meter: choose one from 1 to 250, 0 is for new meters")]
    NoAddress(u8),
    /// Nothing was changed: another meter would then answer together with this one.
    #[error(
        "nothing was changed, because address {address} is taken{}; two meters with one address \
         disturb each other",
        by(identity.as_ref())
    )]
    Taken {
        /// The address.
        address: u8,
        /// Who has it, as far as it says.
        identity: Option<Identity>,
    },
    /// Nothing was changed: this meter has the address already.
    #[error("the meter has address {0} already")]
    Already(u8),
    /// The meter did not acknowledge, and is as it was.
    #[error(
        "the meter did not take it and is as it was: some meters are locked, and are set at their \
         buttons or with their maker's program"
    )]
    NotTaken,
    /// The meter acknowledged, and is not as it was told to be.
    #[error("the meter acknowledged, but reads back as {0}")]
    Otherwise(String),
    /// The meter answers neither as before nor as it was told to.
    #[error("{0}")]
    Lost(String),
    /// The bus itself is out of reach.
    #[error("the bus went away in the middle of it; read the meter to see how it is")]
    During(#[source] ReadError),
}

fn by(identity: Option<&Identity>) -> String {
    match identity {
        Some(Identity { serial, manufacturer, .. }) if !serial.is_empty() => {
            format!(" by meter {serial} {manufacturer}").trim_end().to_owned()
        }
        _ => String::new(),
    }
}

/// A speed that was set.
#[derive(Clone, Debug)]
pub enum SpeedSet {
    /// The meter has answered at the new speed.
    ReadBack(Box<Readout>),
    /// The meter has acknowledged; the speed behind a converter is set at the converter, so
    /// nobody can tell yet.
    Acknowledged,
}

impl MbusBus {
    /// Gives `meter` the primary address `new`, and reads it back there.
    ///
    /// # Errors
    ///
    /// [`SetError`], which says whether anything was changed.
    pub async fn set_address(
        &mut self,
        meter: MeterAddress,
        new: u8,
        clock: &dyn Clock,
    ) -> Result<Readout, SetError> {
        let data = match Request::set_address(Primary(new)) {
            Some(data) if new != Primary::UNCONFIGURED.0 => data,
            _ => return Err(SetError::NoAddress(new)),
        };
        let before = self.who(meter, clock).await.map_err(SetError::Before)?;
        if meter == MeterAddress::Primary(new) || primary_of(&before) == Some(new) {
            return Err(SetError::Already(new));
        }
        self.expect_free(new, clock).await?;

        let sent = self.send(itself(meter, &before), &data, clock).await?;
        let address = MeterAddress::Primary(new);
        match self.who(address, clock).await {
            Ok(after) if after.identity == before.identity => Ok(after),
            Ok(after) => Err(SetError::Otherwise(format!(
                "meter {} at address {new}",
                after.identity.serial
            ))),
            Err(error @ ReadError::Port { .. }) => Err(SetError::During(error)),
            Err(_) if self.who(meter, clock).await.is_ok() => match sent {
                Ok(_) => Err(SetError::Otherwise("before: the address is the old one".to_owned())),
                Err(_) => Err(SetError::NotTaken),
            },
            Err(_) => Err(SetError::Lost(format!(
                "the meter answers neither at {new} nor as before; search for it with a scan"
            ))),
        }
    }

    /// Tells the meter at `address` to talk at `baud`, follows it there, and reads it back. If
    /// it does not answer there the bus is back at the old speed when this returns.
    ///
    /// # Errors
    ///
    /// [`SetError`], which says whether anything was changed.
    pub async fn set_baud(
        &mut self,
        address: u8,
        baud: Baud,
        clock: &dyn Clock,
    ) -> Result<SpeedSet, SetError> {
        let meter = MeterAddress::Primary(address);
        let before = self.who(meter, clock).await.map_err(SetError::Before)?;
        let (old, new) = (self.baud(), baud.bits_per_second());
        let task = Task::SetBaud { meter: Primary(address), baud };
        let acknowledged = self.task(&task, clock).await?.is_ok();
        if !acknowledged && self.who(meter, clock).await.is_ok() {
            return Err(SetError::NotTaken);
        }
        let lost = format!(
            "the meter answers neither at {new} nor at {old} baud; most go back to their old speed \
             by themselves after some minutes without a question"
        );
        if !matches!(self.port_settings(), PortSettings::Serial(_)) {
            // The wire still has the converter's speed, and so has the session.
            self.set_speed(old).map_err(SetError::During)?;
            return if acknowledged {
                Ok(SpeedSet::Acknowledged)
            } else {
                Err(SetError::Lost(lost))
            };
        }
        if !acknowledged {
            // Its acknowledge was lost, or it was the first to go over.
            self.set_speed(new).map_err(SetError::During)?;
        }
        let otherwise = match self.who(meter, clock).await {
            Ok(after) if after.identity == before.identity => {
                return Ok(SpeedSet::ReadBack(Box::new(after)));
            }
            Ok(after) => Some(SetError::Otherwise(format!("meter {}", after.identity.serial))),
            Err(error @ ReadError::Port { .. }) => Some(SetError::During(error)),
            Err(_) => None,
        };
        self.set_speed(old).map_err(SetError::During)?;
        if let Some(error) = otherwise {
            return Err(error);
        }
        match self.who(meter, clock).await {
            Ok(_) if acknowledged => {
                Err(SetError::Otherwise(format!("before: it talks at {old} baud")))
            }
            Ok(_) => Err(SetError::NotTaken),
            Err(_) => Err(SetError::Lost(lost)),
        }
    }

    /// Sets the clock of `meter` to a time of its own zone, and tells what it says then.
    ///
    /// # Errors
    ///
    /// [`SetError`]; [`SetError::Otherwise`] if its clock differs by more than two minutes
    /// afterwards, or if it tells no time to compare with.
    pub async fn set_clock(
        &mut self,
        meter: MeterAddress,
        date: Date,
        time: Time,
        clock: &dyn Clock,
    ) -> Result<(Date, Time), SetError> {
        self.who(meter, clock).await.map_err(SetError::Before)?;
        let begun = Instant::now();
        let acknowledged = self.send(meter, &Request::set_clock(date, time), clock).await?.is_ok();
        let after = match self.who(meter, clock).await {
            Ok(after) => after,
            Err(error) => return Err(SetError::During(error)),
        };
        let told = clock_of(&after.telegrams, &mut self.opening, asked_at(meter));
        let passed = begun.elapsed();
        match told {
            Some(told) if near((date, time), told, passed) => Ok(told),
            Some((date, time)) if acknowledged => {
                Err(SetError::Otherwise(format!("{date} {time}")))
            }
            None if acknowledged => {
                Err(SetError::Otherwise("before: it tells no time to compare with".to_owned()))
            }
            _ => Err(SetError::NotTaken),
        }
    }

    async fn who(
        &mut self,
        address: MeterAddress,
        clock: &dyn Clock,
    ) -> Result<Readout, ReadError> {
        self.read(&Meter::stranger(address), clock).await
    }

    /// Nobody may answer at `address`, not even two at once, nor one that is slower than it may be
    /// or that does not acknowledge a reset.
    async fn expect_free(&mut self, address: u8, clock: &dyn Clock) -> Result<(), SetError> {
        let task = Task::Ping { to: Primary(address), sends: 2 };
        let patience = self.answer_within().unwrap_or(SLOW_METER);
        let ping = self.run_for(&task, Some(Patience::fixed(patience)), clock).await;
        let ping = ping.map_err(|cause| SetError::During(self.out_of_reach(cause)))?.result;
        let meter = Target::Primary(Primary(address));
        let read = Task::Read { meter, reset: Reset::Never, prelude: None };
        match ping {
            Err(Failure { reason: Reason::Silent, .. }) => match self.task(&read, clock).await? {
                Err(Failure { reason: Reason::Silent, .. }) => Ok(()),
                _ => Err(SetError::Taken { address, identity: None }),
            },
            Err(_) => Err(SetError::Taken { address, identity: None }),
            Ok(_) => {
                let who = self.who(MeterAddress::Primary(address), clock).await.ok();
                Err(SetError::Taken { address, identity: who.map(|it| it.identity) })
            }
        }
    }

    /// Records for `meter`. The inner result is whether it acknowledged.
    async fn send(
        &mut self,
        meter: MeterAddress,
        data: &[u8],
        clock: &dyn Clock,
    ) -> Result<Result<Summary, Failure>, SetError> {
        let meter = match meter {
            MeterAddress::Secondary(selection) => Target::Secondary(selection),
            MeterAddress::Primary(number) => Target::Primary(Primary(number)),
            // It could not even be read.
            _ => return Err(SetError::NotTaken),
        };
        self.task(&Task::Send { meter, ci: ci::DATA, data }, clock).await
    }

    async fn task(
        &mut self,
        task: &Task<'_>,
        clock: &dyn Clock,
    ) -> Result<Result<Summary, Failure>, SetError> {
        match self.run(task, clock).await {
            Ok(Ended { result, .. }) => Ok(result),
            Err(cause) => Err(SetError::During(self.out_of_reach(cause))),
        }
    }
}

/// Meters have been seen that took 1.1 s at 2400 baud.
const SLOW_METER: Duration = Duration::from_millis(2_500);

/// The meter that was read at `asked`, and none that only might have answered there.
fn itself(asked: MeterAddress, readout: &Readout) -> MeterAddress {
    let first = readout.telegrams.first().map(|telegram| Frame::read(telegram));
    let Some(Ok(Frame::Long(long))) = first else { return asked };
    match asked {
        MeterAddress::Secondary(Selection { fabrication, .. }) => {
            match long.header().and_then(|header| header.address()) {
                Some(address) => {
                    MeterAddress::Secondary(Selection { fabrication, ..Selection::of(address) })
                }
                None => asked,
            }
        }
        MeterAddress::Primary(number) if number > Primary::MAX.0 => match primary_of(readout) {
            Some(number) => MeterAddress::Primary(number),
            None => asked,
        },
        _ => asked,
    }
}

/// The address byte of the first answer.
fn primary_of(readout: &Readout) -> Option<u8> {
    match Frame::read(readout.telegrams.first()?) {
        Ok(Frame::Long(long)) if long.address.is_of_a_meter() => Some(long.address.0),
        _ => None,
    }
}

/// What a meter's own clock says in its answers.
fn clock_of(
    telegrams: &[Vec<u8>],
    opening: &mut Opening,
    asked: Option<Secondary>,
) -> Option<(Date, Time)> {
    telegrams.iter().find_map(|telegram| {
        let Ok(Content::Records(records)) = opening.hear(telegram, asked).content else {
            return None;
        };
        records.filter_map(Result::ok).find_map(|record| {
            let now = record.vib.quantity == Quantity::DateTime
                && record.dib.storage.get() == 0
                && record.vib.modifiers().next().is_none();
            match record.value() {
                Ok(Value::DateTime(date, time)) if now => Some((date, time)),
                _ => None,
            }
        })
    })
}

/// Whether a clock that was set to `set` may say `told` after `passed`: to the minute, and a
/// little off.
fn near(set: (Date, Time), told: (Date, Time), passed: Duration) -> bool {
    let moment = |(date, time): (Date, Time)| {
        let day =
            NaiveDate::from_ymd_opt(date.year().into(), date.month().into(), date.day().into());
        day?.and_hms_opt(time.hour().into(), time.minute().into(), 0)
    };
    let (Some(set), Some(told)) = (moment(set), moment(told)) else { return false };
    let passed = i64::try_from(passed.as_secs() / 60).unwrap_or(i64::MAX);
    (-1..=passed.saturating_add(2)).contains(&told.signed_duration_since(set).num_minutes())
}
