//! What a meter sends of an earlier time, out of its own memory.
//!
//! ```text
//! 42 6C  1F 3C     storage 1, date              2025-12-31  ┐
//! 44 06  18 2E …   storage 1, energy            11800 kWh   ┘  energy was 11800 kWh then
//! ```
//!
//! Which storage numbers are values of an earlier time, and not, say, of another tariff, only the
//! profile knows. **Never true:** a value without the meter's own date comes out of it.

use ::mbus::{Date, Record, Value};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use metering::{Quality, Register};

use super::readout::NumberSaid;
use crate::Remembered;
use crate::profile::{Memory, Profile, Taken};

/// A date that a telegram tells, and of which storage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dated {
    storage: u64,
    day: NaiveDate,
    /// `None` for a day alone.
    time: Option<NaiveTime>,
}

impl Dated {
    /// The date in `record`, whose register is `register`: a plain one, of when the values of its
    /// storage were taken.
    pub(super) fn of(record: &Record<'_>, register: &Register) -> Option<Self> {
        let plain =
            Register { storage: register.storage, ..Register::new(register.quantity.clone()) };
        let is_date = matches!(register.quantity.as_str(), "date" | "date_time");
        if !is_date || *register != plain {
            return None;
        }
        let (day, time) = match record.value() {
            Ok(Value::Date(date)) => (date, None),
            Ok(Value::DateTime(date, time)) => {
                let (hour, minute) = (time.hour().into(), time.minute().into());
                (date, Some(NaiveTime::from_hms_opt(hour, minute, 0)?))
            }
            _ => return None,
        };
        Some(Self { storage: register.storage, day: naive(day)?, time })
    }
}

fn naive(date: Date) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(date.year().into(), date.month().into(), date.day().into())
}

/// What `numbers` hold of an earlier time, by what `profile` knows of the meter's memory.
pub(super) fn remembered(
    profile: &Profile,
    numbers: &[NumberSaid],
    dates: &[Dated],
) -> Vec<Remembered> {
    let mut remembered = Vec::new();
    for memory in profile.memory() {
        let kept = |spec: &&crate::RegisterSpec| memory.registers.contains(&spec.register);
        for (spec, now) in profile
            .registers()
            .filter(kept)
            .filter_map(|spec| Some((spec, &spec.mbus.as_ref()?.register)))
        {
            for storage in memory.storages.clone() {
                let then = Register { storage, ..now.clone() };
                let said = numbers.iter().find(|it| it.register == then);
                let value = said.and_then(|it| it.number.ok());
                let value = value.and_then(|it| it.quantity_in(spec.unit, spec.decimals).ok());
                let (Some((at, quality)), Some(value)) = (when(memory, storage, dates), value)
                else {
                    continue;
                };
                let quality = match spec.plausible.judge(value) {
                    Quality::Good => quality,
                    other => other,
                };
                remembered.push(Remembered { register: spec.register.clone(), at, value, quality });
            }
        }
    }
    remembered
}

/// When the values of `storage` were taken. The first date counts: some meters send another of the
/// same storage, which is of something else.
fn when(memory: &Memory, storage: u64, dates: &[Dated]) -> Option<(NaiveDateTime, Quality)> {
    let of_storage = |it: &&Dated| it.storage == storage;
    let Dated { day, time, .. } = dates
        .iter()
        .filter(of_storage)
        .find(|it| it.time.is_some() == memory.dated_to_the_minute)?;
    let start = |day: NaiveDate| day.and_time(NaiveTime::MIN);
    Some(match (time, memory.taken) {
        (Some(time), _) => (day.and_time(*time), Quality::Good),
        (None, Taken::StartOfDay) => (start(*day), Quality::Good),
        (None, Taken::EndOfDay) => (start(day.succ_opt()?), Quality::Good),
        (None, Taken::Unknown) => (start(day.succ_opt()?), Quality::TimeEstimated),
    })
}
