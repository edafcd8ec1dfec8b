//! The lists of Aidon, Kaifa and Kamstrup, as their makers lay them out.
//!
//! | | Aidon | Kaifa | Kamstrup |
//! |---|---|---|---|
//! | holds | array of structures with scales | structure, by place | structure: version, then code and value |
//! | A, V, Wh in steps of | 0.1, 0.1, 10 | 0.001, 0.1, 1 | 0.01, 1, 10 |
//!
//! Sources: Aidon RJ12 HAN interface v1.1A; the OBIS list of Kaifa's `KFM_001`; Kamstrup HAN-NVE
//! rev. 3.1.

use chrono::{Datelike as _, Timelike as _};

use super::{List, Shown, hdlc};

/// As Aidon's meters push it.
pub(super) fn aidon(shown: &Shown<'_>, list: List) -> Vec<u8> {
    let mut rows: Vec<Body> = Vec::new();
    let text = |b, c, d, e, text: &str| Body::structure(2).code(b, c, d, e).text(0x0A, text);
    if list > List::Short {
        rows.push(Body::structure(2).electricity(1, 0, 2, 129).text(0x0A, "AIDON_V0001"));
        rows.push(text(0, 96, 1, 0, &shown.number));
        rows.push(text(0, 96, 1, 7, "6525"));
    }
    let power = |index: usize, c, unit| {
        let body = Body::structure(3).electricity(0, c, 7, 0);
        body.long(at(&shown.powers, index)).scale(0, unit)
    };
    rows.push(power(0, 1, WATT));
    if list > List::Short {
        rows.extend([power(1, 2, WATT), power(2, 3, VAR), power(3, 4, VAR)]);
        for (c, milli) in [31, 51, 71].into_iter().zip(shown.currents) {
            let body = Body::structure(3).electricity(0, c, 7, 0);
            rows.push(body.short(0x10, milli / 100).scale(-1, AMPERE));
        }
        for (c, milli) in [32, 52, 72].into_iter().zip(shown.voltages) {
            let body = Body::structure(3).electricity(0, c, 7, 0);
            rows.push(body.short(0x12, milli / 100).scale(-1, VOLT));
        }
    }
    if list == List::Hour {
        let clock = Body::structure(2).code(0, 1, 0, 0).bytes(&[0x09, 0x0C]);
        rows.push(clock.bytes(&date_time(shown, 0)));
        for (index, unit) in [WATT_HOUR, WATT_HOUR, VAR_HOUR, VAR_HOUR].into_iter().enumerate() {
            let body = Body::structure(3).electricity(0, code(index), 8, 0);
            rows.push(body.long(at(&shown.energies, index) / 10).scale(1, unit));
        }
    }
    let count = u8::try_from(rows.len()).unwrap_or(u8::MAX);
    let rows = rows.into_iter().flat_map(|row| row.0);
    let body = Body(vec![0x00, 0x01, count].into_iter().chain(rows).collect());
    hdlc::frame(&[0x41, 0x08, 0x83], &notification(0x40, &body))
}

/// As Kaifa's meters push it.
pub(super) fn kaifa(shown: &Shown<'_>, list: List) -> Vec<u8> {
    let head = Body(vec![0x09, 0x0C]).bytes(&date_time(shown, UNKNOWN));
    let body = match list {
        List::Short => head.bytes(&[2, 1]).long(at(&shown.powers, 0)),
        List::Long => kaifa_long(shown, head.bytes(&[2, 13])),
        List::Hour => {
            let body = kaifa_long(shown, head.bytes(&[2, 18])).bytes(&[0x09, 0x0C]);
            let body = body.bytes(&date_time(shown, UNKNOWN));
            shown.energies.into_iter().fold(body, Body::long)
        }
    };
    hdlc::frame(&[0x01, 0x02, 0x01], &notification(0x40, &body))
}

fn kaifa_long(shown: &Shown<'_>, body: Body) -> Body {
    let body = body.text(0x09, "KFM_001").text(0x09, &shown.number).text(0x09, "MA304H4");
    let body = shown.powers.into_iter().chain(shown.currents).fold(body, Body::long);
    shown.voltages.into_iter().fold(body, |body, milli| body.long(milli / 100))
}

/// As Kamstrup's meters push it: of Norway, or sealed under `counter`, of Denmark.
pub(super) fn kamstrup(shown: &Shown<'_>, list: List, counter: Option<u32>) -> Vec<u8> {
    let mut rows = vec![
        Body::none().electricity(1, 0, 0, 5).text(0x0A, &shown.number),
        Body::none().electricity(1, 96, 1, 1).text(0x0A, "6841138BN245101090"),
    ];
    for (index, watts) in shown.powers.into_iter().enumerate() {
        rows.push(Body::none().electricity(1, code(index), 7, 0).long(watts));
    }
    for (c, milli) in [31, 51, 71].into_iter().zip(shown.currents) {
        rows.push(Body::none().electricity(1, c, 7, 0).long(milli / 10));
    }
    for (c, milli) in [32, 52, 72].into_iter().zip(shown.voltages) {
        rows.push(Body::none().electricity(1, c, 7, 0).short(0x12, milli / 1_000));
    }
    if list == List::Hour {
        let clock = Body::none().code(1, 1, 0, 0).bytes(&[0x09, 0x0C]);
        rows.push(clock.bytes(&date_time(shown, UNKNOWN)));
        for (index, energy) in shown.energies.into_iter().enumerate() {
            rows.push(Body::none().electricity(1, code(index), 8, 0).long(energy / 10));
        }
    }
    let count = u8::try_from(1 + 2 * rows.len()).unwrap_or(u8::MAX);
    let head = Body(vec![0x0C]).bytes(&date_time(shown, UNKNOWN)).bytes(&[2, count]);
    let body = head.text(0x0A, "Kamstrup_V0001");
    let body = rows.into_iter().fold(body, |body, row| body.bytes(&row.0));
    let plain = notification(0, &body);
    match counter {
        None => hdlc::frame(&[0x2B, 0x21], &plain),
        Some(counter) => hdlc::frame(&[0x41, 0x03], &hdlc::sealed(shown.meter, &plain, counter)),
    }
}

fn notification(invoke: u8, body: &Body) -> Vec<u8> {
    [&[0x0F, invoke, 0, 0, 0], body.0.as_slice()].concat()
}

/// The code of what comes in, goes out, and of both as reactive power.
fn code(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

fn at(numbers: &[i64; 4], index: usize) -> i64 {
    numbers.get(index).copied().unwrap_or_default()
}

/// Twelve octets of IEC 62056-6-2, by the clock on the wall.
fn date_time(shown: &Shown<'_>, deviation: u16) -> [u8; 12] {
    let clock = shown.clock;
    let byte = |number: u32| u8::try_from(number).unwrap_or(0xFF);
    let [y1, y0] = u16::try_from(clock.year()).unwrap_or_default().to_be_bytes();
    let [d1, d0] = deviation.to_be_bytes();
    [
        y1,
        y0,
        byte(clock.month()),
        byte(clock.day()),
        byte(clock.weekday().number_from_monday()),
        byte(clock.hour()),
        byte(clock.minute()),
        byte(clock.second()),
        0xFF,
        d1,
        d0,
        0x00,
    ]
}

/// COSEM data, item by item.
#[derive(Debug)]
struct Body(Vec<u8>);

impl Body {
    const fn none() -> Self {
        Self(Vec::new())
    }

    fn structure(items: u8) -> Self {
        Self(vec![2, items])
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A code of no particular medium.
    fn code(self, b: u8, c: u8, d: u8, e: u8) -> Self {
        self.bytes(&[0x09, 6, 0, b, c, d, e, 255])
    }

    fn electricity(self, b: u8, c: u8, d: u8, e: u8) -> Self {
        self.bytes(&[0x09, 6, 1, b, c, d, e, 255])
    }

    fn text(self, tag: u8, text: &str) -> Self {
        self.bytes(&[tag, u8::try_from(text.len()).unwrap_or(0)]).bytes(text.as_bytes())
    }

    /// double-long-unsigned.
    fn long(self, number: i64) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.bytes(&[0x06]).bytes(&number.to_be_bytes())
    }

    /// long, 10, or long-unsigned, 12: neither is negative here.
    fn short(self, tag: u8, number: i64) -> Self {
        let number = u16::try_from(number).unwrap_or(0x7FFF).min(0x7FFF);
        self.bytes(&[tag]).bytes(&number.to_be_bytes())
    }

    fn scale(self, scaler: i8, unit: u8) -> Self {
        self.bytes(&[2, 2, 0x0F, scaler.cast_unsigned(), 0x16, unit])
    }
}

const WATT: u8 = 27;
const VAR: u8 = 29;
const WATT_HOUR: u8 = 30;
const VAR_HOUR: u8 = 32;
const AMPERE: u8 = 33;
const VOLT: u8 = 35;

/// A deviation from UTC that is not told.
const UNKNOWN: u16 = 0x8000;
