//! The telegrams of the simulated M-Bus meters.
//!
//! | Device | Plate | Records |
//! |---|---|---|
//! | heat, main | KAM 08, heat | current values; then, behind DIF 1Fh, a second telegram with the values of the last due date |
//! | heat, cooling | KAM 08, heat or cooling | both in one telegram |
//! | cold and hot water | KAW 17, water or warm water | fabrication number, volume (BCD, litres), flow, volume at the due date |
//! | gas | ELS 50, gas | fabrication number, volume (BCD, 10 litres), volume at the due date |
//! | heat and water by radio | KAM 35, KAM 1B | the same as on the wire, in one telegram |
//!
//! They are like those of a Kamstrup MULTICAL 601 and of common water and gas modules, and written
//! with the encoder of `mbus-rs`. The due date is the first of the month, by civil time.
//!
//! Source: EN 13757-3.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Europe::Oslo;
use mbus::{ByteOrder, Control, Data, Date, Encoding, Entry, Frame, Full, Header, Primary};
use mbus::{Quantity, Status, Time, VibBuf, Writer, write_frame};
use metering::Unit;

use crate::building::EPOCH;
use crate::device::{Device, Figure};
use crate::mbus::secondary;
use crate::meter::Meter;
use crate::place::{Measure, Sight};

/// Manufacturer, version and medium of a device's secondary address.
pub(crate) const fn plate(device: Device) -> (&'static str, u8, u8) {
    match device {
        Device::HeatMain | Device::Heat => ("KAM", 0x08, 0x04),
        Device::Cooling => ("KAM", 0x08, 0x0A),
        Device::HotWater => ("KAW", 0x17, 0x06),
        Device::Gas => ("ELS", 0x50, 0x03),
        Device::RadioHeat => ("KAM", 0x35, 0x04),
        Device::RadioHotWater => ("KAM", 0x1B, 0x06),
        Device::RadioWater => ("KAM", 0x1B, 0x16),
        _ => ("KAW", 0x17, 0x07),
    }
}

/// A number of at most eight digits as its BCD digits: 67001122 is 0x67001122.
pub(crate) fn bcd(number: u32) -> u32 {
    (0..8).fold(0, |digits, place| digits | (number / 10_u32.pow(place) % 10) << (4 * place))
}

/// How many telegrams it takes to say everything.
pub(crate) const fn count(meter: &Meter) -> usize {
    if matches!(meter.plan.device, Device::HeatMain) { 2 } else { 1 }
}

/// The frame of its telegram number `telegram`, from 0; `None` only if it does not fit a frame,
/// which no device's records do.
pub(crate) fn write(
    meter: &Meter,
    telegram: usize,
    address: Primary,
    access_number: u8,
    at: DateTime<Utc>,
) -> Option<Vec<u8>> {
    let header = Header::long(secondary(meter), access_number, Status::OK);
    let mut buffer = [0; Frame::MAX_LEN];
    let frame = write_frame(&mut buffer, Control::RSP_UD, address, VARIABLE, |w| {
        header.write(w)?;
        let mut body = Body { meter, w };
        match (meter.plan.device, telegram) {
            (Device::HeatMain, 0) => {
                body.current(at)?;
                body.w.byte(MORE_FOLLOWS)
            }
            (Device::HeatMain, _) => body.due(at),
            _ => {
                body.current(at)?;
                body.due(at)
            }
        }
    });
    frame.ok().map(<[u8]>::to_vec)
}

/// Everything that a meter says, as records alone.
pub(crate) fn write_records(
    meter: &Meter,
    w: &mut Writer<'_>,
    at: DateTime<Utc>,
) -> Result<(), Full> {
    let mut body = Body { meter, w };
    body.current(at)?;
    body.due(at)
}

struct Body<'a, 'b, 'c> {
    meter: &'a Meter,
    w: &'b mut Writer<'c>,
}

impl Body<'_, '_, '_> {
    fn current(&mut self, at: DateTime<Utc>) -> Result<(), Full> {
        let sight = self.meter.sight(at);
        let fabrication = Data::bcd(Encoding::Bcd8, self.meter.serial().into());
        self.entry(VibBuf::of(Quantity::FabricationNumber, "", 0), fabrication, 0)?;
        for figure in self.meter.plan.device.figures() {
            self.figure(&sight, figure, 0)?;
        }
        if self.is_thermal() {
            let running = at - self.meter.handle.installed().since.unwrap_or(EPOCH);
            let hours = Data::int(Encoding::Int32, running.num_hours().max(0));
            self.entry(VibBuf::of(Quantity::OnTime, "h", 0), hours, 0)?;
            let civil = at.with_timezone(&Oslo).naive_local();
            let time = clock_time(civil.time());
            let now = calendar_day(civil.date()).zip(time);
            let now = now.and_then(|(date, time)| Data::date_time(date, time));
            self.entry(VibBuf::of(Quantity::DateTime, "", 0), now, 0)?;
            let no_error = Data::unsigned(Encoding::Int16, 0);
            self.entry(VibBuf::of(Quantity::ErrorFlags, "", 0), no_error, 0)?;
        }
        Ok(())
    }

    /// The counters as they stood on the first of the month.
    fn due(&mut self, at: DateTime<Utc>) -> Result<(), Full> {
        let Some((day, began)) = due_date(at) else { return Ok(()) };
        let sight = self.meter.sight(began);
        for figure in self.meter.plan.device.figures() {
            if matches!(figure.measure, Measure::Energy | Measure::Volume) {
                self.figure(&sight, figure, 1)?;
            }
        }
        self.entry(VibBuf::of(Quantity::Date, "", 0), calendar_day(day).and_then(Data::date), 1)
    }

    fn figure(&mut self, sight: &Sight<'_>, figure: &Figure, storage: u64) -> Result<(), Full> {
        let Some(shown) = self.meter.shows(sight, figure.measure) else { return Ok(()) };
        if figure.measure == Measure::Energy && self.meter.faults().joules {
            let joules = Data::int(Encoding::Int32, shown.mantissa() * 36 / 10);
            let mega = VibBuf::of(Quantity::Energy, "J", 6 - figure.decimals);
            return self.entry(mega, joules, storage);
        }
        let data = if self.is_thermal() {
            Data::int(Encoding::Int32, shown.mantissa())
        } else {
            let digits =
                if figure.measure == Measure::Flow { Encoding::Bcd6 } else { Encoding::Bcd8 };
            // A counter of eight wheels begins again behind the last number that they can show.
            Data::bcd(digits, shown.mantissa().rem_euclid(100_000_000))
        };
        self.entry(vib(figure), data, storage)
    }

    fn entry(
        &mut self,
        vib: Option<VibBuf>,
        data: Option<Data<'_>>,
        storage: u64,
    ) -> Result<(), Full> {
        let entry = vib.zip(data).and_then(|(vib, data)| Entry::new(vib, data).stored(storage));
        entry.ok_or(Full)?.write(self.w, ByteOrder::LsbFirst)
    }

    const fn is_thermal(&self) -> bool {
        let device = self.meter.plan.device;
        matches!(device, Device::HeatMain | Device::Heat | Device::Cooling | Device::RadioHeat)
    }
}

/// What the wire calls a figure: its quantity, and the power of ten of its steps.
fn vib(figure: &Figure) -> Option<VibBuf> {
    let (quantity, unit) = match figure.measure {
        Measure::Energy => (Quantity::Energy, "Wh"),
        Measure::Volume => (Quantity::Volume, "m3"),
        Measure::Power => (Quantity::Power, "W"),
        Measure::Flow => (Quantity::VolumeFlow, "m3/h"),
        Measure::FlowTemperature => (Quantity::FlowTemperature, "C"),
        Measure::ReturnTemperature => (Quantity::ReturnTemperature, "C"),
        Measure::TemperatureDifference => (Quantity::TemperatureDifference, "K"),
        _ => return None,
    };
    let kilo = match figure.unit {
        Unit::KilowattHour | Unit::Kilowatt => 3,
        _ => 0,
    };
    VibBuf::of(quantity, unit, kilo - figure.decimals)
}

/// The first of the month by civil time, and when it began.
fn due_date(at: DateTime<Utc>) -> Option<(NaiveDate, DateTime<Utc>)> {
    let day = at.with_timezone(&Oslo).date_naive().with_day(1)?;
    let began = Oslo.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest()?;
    Some((day, began.with_timezone(&Utc)))
}

fn calendar_day(day: NaiveDate) -> Option<Date> {
    let year = u16::try_from(day.year()).ok()?;
    Date::new(year, u8::try_from(day.month()).ok()?, u8::try_from(day.day()).ok()?)
}

fn clock_time(time: NaiveTime) -> Option<Time> {
    Time::new(u8::try_from(time.hour()).ok()?, u8::try_from(time.minute()).ok()?, None)
}

/// CI of a variable structure with a long header.
const VARIABLE: u8 = 0x72;
/// DIF that ends a telegram which is not the last one.
const MORE_FOLLOWS: u8 = 0x1F;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mbus::Number;

    use super::*;
    use crate::building::Building;
    use crate::plan::Plan;

    /// The telegram of the demo's meter `name`: its records in order, as `mbus-rs` reads them.
    /// Each current figure must be what the meter shows.
    #[track_caller]
    fn check(name: &str, telegram: usize, expected: &[&str], more_follow: bool) {
        let plan = Plan::demo(1).unwrap();
        let building = Arc::new(Building::new(1));
        let meter = plan.meters.iter().find(|meter| meter.name == name).unwrap();
        let meter = Meter::new(&plan, meter, &building);
        let at = "2024-03-20T09:07:00Z".parse().unwrap();
        let bytes = write(&meter, telegram, Primary(9), 3, at).unwrap();
        let Ok(Frame::Long(long)) = Frame::read(&bytes) else { panic!("{bytes:02x?}") };
        let told = long.telegram().unwrap();
        let header = told.header.unwrap();
        assert_eq!(header.address(), Some(secondary(&meter)));
        assert_eq!((long.address, header.access_number), (Primary(9), 3));

        let sight = meter.sight(at);
        let records = told.records().unwrap();
        assert_eq!(records.clone().more_follow(), more_follow);
        let mut found = Vec::new();
        for record in records {
            let record = record.unwrap();
            let (quantity, storage) = (record.vib.quantity.as_str(), record.dib.storage.get());
            found.push(format!("{quantity} {storage}"));
            let figures = meter.plan.device.figures().iter();
            let figure = figures.clone().find(|it| it.register == quantity && storage == 0);
            if let Some(figure) = figure {
                let shown = meter.shows(&sight, figure.measure).unwrap();
                let Some(Number::Integer { mantissa, .. }) = record.number() else {
                    panic!("{record}")
                };
                assert_eq!(mantissa, i128::from(shown.mantissa()), "{quantity}");
            }
        }
        assert_eq!(found, expected);
    }

    const THERMAL: [&str; 11] = [
        "fabrication_number 0",
        "energy 0",
        "volume 0",
        "power 0",
        "volume_flow 0",
        "flow_temperature 0",
        "return_temperature 0",
        "temperature_difference 0",
        "on_time 0",
        "date_time 0",
        "error_flags 0",
    ];
    const DUE: [&str; 3] = ["energy 1", "volume 1", "date 1"];

    #[test]
    fn the_main_heat_meter_says_it_in_two() {
        check("Fjernvarme, hovedmåler", 0, &THERMAL, true);
        check("Fjernvarme, hovedmåler", 1, &DUE, false);
    }

    #[test]
    fn the_others_say_it_in_one() {
        check("Radiatorer kontorer", 0, &[&THERMAL[..], &DUE].concat(), false);
        check("Fjernkjøling", 0, &[&THERMAL[..], &DUE].concat(), false);
        let water = ["fabrication_number 0", "volume 0", "volume_flow 0", "volume 1", "date 1"];
        check("Vann, inntak", 0, &water, false);
        check(
            "Gass, restaurant",
            0,
            &["fabrication_number 0", "volume 0", "volume 1", "date 1"],
            false,
        );
    }

    #[test]
    fn a_serial_number_is_its_digits() {
        assert_eq!(bcd(67_001_122), 0x6700_1122);
        assert_eq!(bcd(99_999_999), 0x9999_9999);
    }

    #[test]
    fn the_due_date_is_the_first_by_civil_time() {
        let due = |wall: &str| {
            let (day, began) = due_date(wall.parse().unwrap()).unwrap();
            format!("{day} {}", began.to_rfc3339())
        };
        assert_eq!(due("2026-06-30T22:30:00Z"), "2026-07-01 2026-06-30T22:00:00+00:00");
        assert_eq!(due("2026-11-21T12:00:00Z"), "2026-11-01 2026-10-31T23:00:00+00:00");
    }
}
