//! Records and their values, as bytes beside what they say.

use proptest::prelude::*;

use super::*;

/// All records of `bytes` as their texts, then the error or what is behind them.
#[track_caller]
fn check(bytes: &[u8], expected: &[&str]) {
    check_in(ByteOrder::LsbFirst, bytes, expected);
}

#[track_caller]
fn check_in(order: ByteOrder, bytes: &[u8], expected: &[&str]) {
    let mut records = Records::new(Reader::new(bytes), order);
    let mut texts: Vec<String> = records
        .by_ref()
        .map(|record| record.map_or_else(|error| error.to_string(), |r| r.to_string()))
        .collect();
    if let Some(trailer) = records.trailer() {
        texts.push(format!("{} {:?}", trailer.more_follow, trailer.manufacturer_data));
    }
    assert_eq!(texts, expected);
}

#[test]
fn integers() {
    check(
        &[0x01, 0x13, 0xFF, 0x06, 0x13, 0, 0, 0, 0, 0, 0x80, 0x03, 0x13, 0xFE, 0xFF, 0xFF],
        &[
            "volume: integer -0.001 m3",
            "volume: integer invalid, integer_invalid m3",
            "volume: integer -0.002 m3",
        ],
    );
    check(&[0x01, 0x7A, 0x80], &["bus_address: unsigned 128"]);
    check(&[0x02, 0xFD, 0x17, 0x01, 0x80], &["error_flags: bits 32769"]);
}

#[test]
fn digits_that_are_none() {
    check(&[0x0C, 0x2B, 0x78, 0x56, 0x34, 0x12], &["power: bcd 12345678 W"]);
    check(&[0x0C, 0x2B, 0x78, 0x56, 0x34, 0xF2], &["power: bcd -2345678 W"]);
    check(&[0x3C, 0x2B, 0xBD, 0xEB, 0xDD, 0xDD], &["power error: bcd invalid, bcd_digit W"]);
    check(&[0x0A, 0x2B, 0xF0, 0x12], &["power: bcd invalid, bcd_digit W"]);
}

#[test]
fn reals() {
    check(
        &[0x05, 0x3E, 0x4A, 0x55, 0x39, 0x3A],
        &["volume_flow: real32 0.000706989900209009647369384765625 m3/h"],
    );
    check(&[0x05, 0x2B, 0, 0, 0x80, 0x7F], &["power: real32 invalid, real_infinite W"]);
    check(&[0x05, 0x2B, 1, 0, 0x80, 0xFF], &["power: real32 invalid, real_nan W"]);
}

#[test]
fn variable_length() {
    check(&[0x0D, 0xFD, 0x11, 3, b'c', b'b', b'a'], &["customer: text \"abc\""]);
    check(&[0x0D, 0x13, 0xC2, 0x34, 0x12], &["volume: bcd 1.234 m3"]);
    check(&[0x0D, 0x13, 0xD2, 0x34, 0x12], &["volume: bcd -1.234 m3"]);
    check(&[0x0D, 0x13, 0xC0], &["volume: bcd 0 m3"]);
    check(&[0x0D, 0x13, 0xC1, 0xF1], &["volume: bcd invalid, bcd_digit m3"]);
    check(&[0x0D, 0x13, 0xE2, 0x34, 0x12], &["volume: bytes 3412 m3"]);
    check(&[0x0D, 0x13, 0xCA], &["byte 2: the length byte 0xca is reserved"]);
    check(&[0x0D, 0x13, 0xE2, 0], &["byte 4: the telegram ends inside the data"]);
}

#[test]
fn dates() {
    check(&[0x04, 0x6D, 0x1A, 0x0E, 0xCD, 0x13], &["date_time: datetime 2014-03-13T14:26"]);
    check(&[0x02, 0x6C, 0xFF, 0xFF], &["date: date invalid, date_none"]);
    check(&[0x01, 0x6C, 0x01], &["date: integer invalid, date_coding"]);
    check(&[0x0A, 0x6C, 0x01, 0x01], &["date: bcd invalid, date_coding"]);
    check(&[0x0D, 0x6C, 1, b'x'], &["date: text \"x\""]);
}

#[test]
fn a_reported_error_is_no_value() {
    check(
        &[0x01, 0x93, 0x15, 0],
        &["volume record_error:no_data: integer invalid, record_error m3"],
    );
    check(&[0x00, 0x93, 0x15], &["volume record_error:no_data: none  m3"]);
}

#[test]
fn markers() {
    check(
        &[0x2F, 0x7F, 0x01, 0x13, 1, 0x2F, 0x1F, 7, 8],
        &["global_readout: none ", "volume: integer 0.001 m3", "true [7, 8]"],
    );
    check(&[0x0F], &["false []"]);
    check(&[0x3F], &["byte 0: DIF 0x3f is reserved"]);
}

#[test]
fn nothing_comes_behind_an_error() {
    check(
        &[0x01, 0x13, 1, 0x04, 0x13, 1],
        &["volume: integer 0.001 m3", "byte 6: the telegram ends inside the data"],
    );
}

#[test]
fn most_significant_byte_first() {
    let order = ByteOrder::MsbFirst;
    check_in(order, &[0x02, 0x13, 0x01, 0x00], &["volume: integer 0.256 m3"]);
    check_in(order, &[0x0C, 0x13, 0x12, 0x34, 0x56, 0x78], &["volume: bcd 12345.678 m3"]);
    check_in(order, &[0x02, 0x6C, 0x23, 0xC2], &["date: date 2022-03-02"]);
    check_in(order, &[0x0D, 0xFD, 0x11, 2, b'a', b'b'], &["customer: text \"ab\""]);
    check_in(order, &[0x0D, 0x13, 0xC2, 0x12, 0x34], &["volume: bcd 1.234 m3"]);
}

/// As bytes of a cipher are, by a linear congruence.
#[test]
fn of_what_begins_as_plain_by_chance_little_is_told() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    };
    let mut told = 0;
    for _ in 0..10_000 {
        let mut sealed = [0x2F; 48];
        sealed[2..].fill_with(&mut random);
        let records = Records::new(Reader::new(&sealed), ByteOrder::LsbFirst);
        told += usize::from(records.are_plain_all_the_same());
    }
    assert!((800..1_200).contains(&told), "{told} of 10 000");
}

proptest! {
    /// All that the quick way knows, the other way says too.
    #[test]
    fn both_ways_to_a_record_lead_to_the_same(
        dib in (0_u8..16, 0_u8..16, prop::option::of(0_u8..128)),
        vib in prop_oneof![
            (0_u8..128).prop_map(|vif| vec![vif]),
            (prop::sample::select(vec![0xFB, 0xFD]), 0_u8..128).prop_map(|(a, b)| vec![a, b]),
            prop::collection::vec(any::<u8>(), 1..4),
        ],
        data in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let (coding, rest_of_dif, dife) = dib;
        let more = if dife.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![coding | rest_of_dif << 4 & 0x70 | more];
        bytes.extend(dife);
        bytes.extend(vib);
        bytes.extend(data);
        for order in [ByteOrder::LsbFirst, ByteOrder::MsbFirst] {
            let whole = Record::parse(&bytes, order);
            if let Some(short) = Record::parse_short(&bytes, order) {
                prop_assert_eq!(Some(short), whole);
            }
            let mut r = Reader::new(&bytes);
            let read = Record::read(&mut r, order);
            prop_assert_eq!(read.ok(), whole);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for order in [ByteOrder::LsbFirst, ByteOrder::MsbFirst] {
            for record in Records::new(Reader::new(&bytes), order) {
                match record {
                    Ok(record) => {
                        let _ = record.to_string();
                        let _ = record.number().map(|number| number.rounded(3));
                    }
                    Err(error) => prop_assert!(error.at <= bytes.len()),
                }
            }
        }
    }
}
