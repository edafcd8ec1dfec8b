//! A meter at work, silent, gone and exchanged, in registers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metering::{GatewayId, MeterId, Quality, Resolution, Trust, Unit};
use uuid::Uuid;
use web_ui::{LiveMeter, MeterInfo};

use super::*;

const METER: MeterId = MeterId::from_uuid(Uuid::from_u128(7));

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap()
}

fn site() -> Site {
    Site {
        id: None,
        gateway: GatewayId::from_uuid(Uuid::from_u128(1)),
        name: String::new(),
        place: None,
        time_zone: chrono_tz::Europe::Oslo,
        buses: Vec::new(),
        meters: vec![MeterInfo {
            id: METER,
            name: "Hovedtavle".to_owned(),
            bus: "tavle".to_owned(),
            address: "1".to_owned(),
            medium: None,
            profile: None,
            place: None,
            tags: Vec::new(),
            serial: None,
            part_of: None,
            poll_every: Duration::from_mins(1),
            simulated: false,
            outdoor: false,
        }],
        probes: ledger::Settings::WIRED,
        version: 1,
        config_problem: None,
        wrong_profiles: Vec::new(),
        commissioning: false,
    }
}

fn shows(value: Result<&str, NoReading>, unit: Unit) -> LiveValue {
    LiveValue {
        register: "energy".parse().unwrap(),
        value: value.map(|text| Quantity::from_decimal(text, unit).unwrap()),
        kind: store::Kind::Counter,
        quality: Quality::Good,
        origin: Origin::Live,
        at: at(0),
    }
}

fn live(value: LiveValue, absent: Option<NoReading>) -> Live {
    let meter = LiveMeter {
        at: at(0),
        state: if absent.is_some() { MeterState::Silent } else { MeterState::Ok },
        absent,
        error: None,
        values: vec![value],
        said: Vec::new(),
        last_answer: Some(at(0)),
        took: None,
        identity: None,
        telegrams: Vec::new(),
    };
    Live { revision: 1, meters: HashMap::from([(METER, Arc::new(meter))]) }
}

fn point() -> Point {
    Point {
        meter: METER,
        register: "energy".parse().unwrap(),
        resolution: Resolution::new(2, Unit::KilowattHour).unwrap(),
    }
}

/// The registers as somebody reads them: integer, decimals, quality, float, small integer, age.
fn read(block: [u16; WORDS]) -> (i64, i16, u16, f32, i32, u32) {
    let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_be_bytes()).collect();
    (
        i64::from_be_bytes(bytes[..8].try_into().unwrap()),
        i16::from_be_bytes(bytes[8..10].try_into().unwrap()),
        block[5],
        f32::from_be_bytes(bytes[12..16].try_into().unwrap()),
        i32::from_be_bytes(bytes[16..20].try_into().unwrap()),
        u32::from_be_bytes(bytes[20..24].try_into().unwrap()),
    )
}

#[track_caller]
fn check(live: &Live, now: i64, expected: (i64, i16, u16, f32, i32, u32)) {
    assert_eq!(read(of(&point(), &site(), live, at(now))), expected);
}

/// No value has no number anywhere, and its quality says why.
#[track_caller]
fn check_none(live: &Live, now: i64, quality: u16) {
    let (wide, decimals, found, float, small, age) = read(of(&point(), &site(), live, at(now)));
    assert_eq!((wide, decimals, found), (i64::MIN, 2, quality));
    assert!(float.is_nan());
    assert_eq!((small, age), (i32::MIN, u32::MAX));
}

#[test]
fn a_value_is_the_same_in_all_forms() {
    let kwh = Unit::KilowattHour;
    check(&live(shows(Ok("1234.56"), kwh), None), 5, (123_456, 2, 0, 1234.56, 123_456, 5));
    check(&live(shows(Ok("-0.01"), kwh), None), 0, (-1, 2, 0, -0.01, -1, 0));
    check(&live(shows(Ok("0.00"), kwh), None), 0, (0, 2, 0, 0.0, 0, 0));
    // A coarser one is as exact as it was.
    check(&live(shows(Ok("12"), kwh), None), 0, (1_200, 2, 0, 12.0, 1_200, 0));
    // Beyond 32 bits there is the wide one.
    let large = live(shows(Ok("90071992547409.93"), kwh), None);
    check(&large, 0, (9_007_199_254_740_993, 2, 0, 90_071_992_547_409.93, i32::MIN, 0));
}

#[test]
fn what_is_not_quite_good_says_so() {
    let kwh = Unit::KilowattHour;
    let doubtful = LiveValue { quality: Quality::Implausible, ..shows(Ok("1.00"), kwh) };
    check(&live(doubtful, None), 0, (100, 2, 1, 1.0, 100, 0));
    let played = LiveValue { origin: Origin::Simulated, ..shows(Ok("1.00"), kwh) };
    check(&live(played, None), 0, (100, 2, 0x8000, 1.0, 100, 0));
    let silent = live(shows(Ok("1.00"), kwh), Some(NoReading::Silent));
    check(&silent, 119, (100, 2, 16, 1.0, 100, 119));
    // Finer than its registers are for ever: the float is right, and there is no other figure.
    check(&live(shows(Ok("1.125"), kwh), None), 0, (i64::MIN, 2, 17, 1.125, i32::MIN, 0));
}

#[test]
fn what_nobody_knows_is_no_zero() {
    let kwh = Unit::KilowattHour;
    check_none(&Live::default(), 0, 256);
    check_none(&live(shows(Err(NoReading::Invalid), kwh), None), 0, 256 + 6);
    check_none(&live(shows(Ok("1.00"), kwh), Some(NoReading::Silent)), 121, 256 + 1);
    check_none(&live(shows(Ok("1.00"), kwh), None), 121, 256 + 9);
    // Another unit cannot be read at these registers.
    check_none(&live(shows(Ok("1.00"), Unit::WattHour), None), 0, 256 + 7);
    let other = LiveValue { register: "power".parse().unwrap(), ..shows(Ok("1"), Unit::Watt) };
    check_none(&live(other, None), 0, 256 + 5);
    // A meter that is no longer configured.
    let gone = Site { meters: Vec::new(), ..site() };
    let block = of(&point(), &gone, &live(shows(Ok("1.00"), kwh), None), at(0));
    assert_eq!(read(block).2, 256);
}

#[test]
fn the_gateway_tells_that_it_lives() {
    let moment = |secs| Moment {
        wall: at(secs),
        boottime: Duration::from_secs(u64::try_from(secs).unwrap()),
        boot_id: 1,
        trust: Trust::Synced,
    };
    let block = head(3, &moment(10), &moment(75));
    assert_eq!(block[..2], [1, 3]);
    assert_eq!(halves(1_800_000_075), [block[2], block[3]]);
    assert_eq!([block[4], block[5]], [0, 65]);
    assert!(block[6..].iter().all(|word| *word == 0));
}

#[test]
fn the_manual_names_every_quality() {
    let manual = include_str!("../../../docs/operator/bms.md");
    let qualities = Quality::ALL.iter().map(|it| u16::from(it.code()));
    let reasons = NoReading::ALL.iter().map(|it| ABSENT + u16::from(it.code()));
    for quality in qualities.chain([HELD, FINER, ABSENT]).chain(reasons) {
        assert!(manual.contains(&format!("\n| {quality} | ")), "{quality}");
    }
}
