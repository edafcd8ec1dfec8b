//! The forecast as the service writes it, and which of its hours is now.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use metering::{Quantity, Unit};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::number::{Decimal, Scale};

/// The air temperature of every instant that the forecast tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forecast {
    celsius: BTreeMap<DateTime<Utc>, Quantity>,
}

impl Forecast {
    /// Reads the document; `None` if it is another one, or in other units.
    ///
    /// An instant without a temperature is passed over.
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        let properties = document.properties;
        if properties.meta.units.air_temperature != "celsius" {
            return None;
        }
        let celsius = properties.timeseries.iter().filter_map(|entry| {
            let figure = Decimal::parse(entry.data.instant.details.air_temperature?.get())?;
            let celsius = figure.quantity(Scale::ONE, 1, DECIMALS, Unit::Celsius).ok()?;
            Some((entry.time, celsius))
        });
        let celsius: BTreeMap<_, _> = celsius.take(MOST_INSTANTS).collect();
        (!celsius.is_empty()).then_some(Self { celsius })
    }

    /// What it says of `now`: of the instant that is nearest, at most half an hour away. Later
    /// days have one for six hours, which says nothing of the hours between.
    pub(super) fn at(&self, now: DateTime<Utc>) -> Option<Quantity> {
        let near = TimeDelta::minutes(30);
        let around = self.celsius.range(now - near..=now + near);
        around.min_by_key(|(instant, _)| (**instant - now).abs()).map(|(_, celsius)| *celsius)
    }
}

/// The service tells tenths.
const DECIMALS: i8 = 1;
/// The service tells some ninety.
const MOST_INSTANTS: usize = 1_000;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow)]
    meta: Meta<'a>,
    #[serde(borrow)]
    timeseries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    units: Units<'a>,
}

#[derive(Deserialize)]
struct Units<'a> {
    air_temperature: &'a str,
}

#[derive(Deserialize)]
struct Entry<'a> {
    time: DateTime<Utc>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    instant: Instant<'a>,
}

#[derive(Deserialize)]
struct Instant<'a> {
    #[serde(borrow)]
    details: Details<'a>,
}

#[derive(Deserialize)]
struct Details<'a> {
    /// In the digits of the document.
    #[serde(borrow)]
    air_temperature: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(entries: &str) -> String {
        format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[10,60.1,267]}},
            "properties":{{"meta":{{"updated_at":"2026-01-10T13:04:26Z","units":{{
            "air_temperature":"celsius","relative_humidity":"%"}}}},"timeseries":[{entries}]}}}}"#
        )
    }

    fn entry(time: &str, celsius: &str) -> String {
        format!(
            r#"{{"time":"{time}","data":{{"instant":{{"details":{{"air_temperature":{celsius},
            "relative_humidity":48.6}}}},"next_1_hours":{{"summary":{{"symbol_code":"fog"}}}}}}}}"#
        )
    }

    #[test]
    fn the_hour_that_is_nearest_is_now() {
        let hours = [
            entry("2026-01-10T13:00:00Z", "-4.3"),
            entry("2026-01-10T14:00:00Z", "-5"),
            entry("2026-01-10T15:00:00Z", "null"),
            entry("2026-01-10T18:00:00Z", "-0.04"),
        ];
        let forecast = Forecast::parse(document(&hours.join(",")).as_bytes()).unwrap();
        let at = |time: &str| forecast.at(time.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(at("2026-01-10T13:29:59Z").as_deref(), Some("-4.3 °C"));
        assert_eq!(at("2026-01-10T13:31:00Z").as_deref(), Some("-5.0 °C"));
        assert_eq!(at("2026-01-10T15:00:00Z"), None, "the service has no value");
        assert_eq!(at("2026-01-10T16:10:00Z"), None, "and none between");
        assert_eq!(at("2026-01-10T18:10:00Z").as_deref(), Some("0.0 °C"));
        assert_eq!(at("2026-01-10T12:00:00Z"), None);
    }

    #[test]
    fn what_is_no_forecast_has_no_temperature() {
        let good = document(&entry("2026-01-10T13:00:00Z", "1.0"));
        assert!(Forecast::parse(good.as_bytes()).is_some());
        for wrong in [
            String::new(),
            "<html>Log in to the guest network</html>".to_owned(),
            "{}".to_owned(),
            document(""),
            good.replace("celsius", "fahrenheit"),
            good.replace("2026-01-10T13:00:00Z", "yesterday"),
            document(&entry("2026-01-10T13:00:00Z", "\"1.0\"")),
        ] {
            assert_eq!(Forecast::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
