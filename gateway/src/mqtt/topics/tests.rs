//! Golden: whoever reads these topics relies on every letter.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{TimeZone as _, Utc};
use metering::{Identity, MeterId, NoReading, Origin, Quality, Quantity};
use uuid::Uuid;

use super::testing::site;
use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mqtt/topics/golden.txt");

fn value(register: &str, value: Result<(&str, &str), NoReading>, kind: Kind) -> LiveValue {
    LiveValue {
        register: register.parse().unwrap(),
        value: value.map(|(text, unit)| {
            Quantity::from_decimal(text, Unit::from_code(unit).unwrap()).unwrap()
        }),
        kind,
        quality: Quality::Good,
        origin: Origin::Live,
        at: Utc.with_ymd_and_hms(2026, 11, 22, 11, 0, 0).unwrap(),
    }
}

/// `UPDATE=1 cargo test -p gateway topics` writes what it has to be.
#[test]
fn topics_and_payloads_are_those_of_the_manual() {
    let ids = [1, 2].map(|it| MeterId::from_uuid(Uuid::from_u128(it)));
    let site = site(&ids, &["Heat, main meter", "Room 1"]);
    let at = Utc.with_ymd_and_hms(2026, 11, 22, 11, 0, 0).unwrap();
    let identity = |serial: &str, maker: &str| Identity {
        serial: serial.into(),
        manufacturer: maker.into(),
        version: String::new(),
    };
    let meter = |state, values, identity| {
        Arc::new(LiveMeter {
            at,
            state,
            absent: None,
            error: None,
            values,
            said: Vec::new(),
            last_answer: Some(at),
            took: None,
            identity: Some(identity),
            telegrams: Vec::new(),
        })
    };
    let heat = vec![
        value("energy", Ok(("12345.6", "kWh")), Kind::Counter),
        value("flow_temperature", Ok(("71.25", "C")), Kind::Gauge),
        value("power", Err(NoReading::Invalid), Kind::Gauge),
    ];
    let room = vec![value("window", Ok(("1", "1")), Kind::Flag)];
    let meters: HashMap<MeterId, Arc<LiveMeter>> = HashMap::from([
        (ids[0], meter(MeterState::Ok, heat, identity("67001122", "KAM"))),
        (ids[1], meter(MeterState::Silent, room, identity("", ""))),
    ]);
    let live = Live { revision: 1, meters };
    let lines = all(&site, &live, "fyrhus", true).into_iter();
    let said: Vec<_> = lines.map(|(topic, payload)| format!("{topic} {payload}\n")).collect();
    let said = said.concat();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(GOLDEN, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(GOLDEN).unwrap());
    let unannounced = all(&site, &live, "house/4", false);
    assert!(unannounced.keys().all(|topic| topic.starts_with("house/4/")));
    assert_eq!(unannounced.len(), 1 + 2 * 3 + 4);
}
