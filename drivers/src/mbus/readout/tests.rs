//! Telegrams written down as the hex of their records, and the readings that they become.

use std::sync::Arc;

use ::mbus::{Control, Frame, Id, Manufacturer, Primary, Status, ci, write_frame};
use metering::{Trust, Unit};

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|it| u8::from_str_radix(it, 16).unwrap()).collect()
}

/// A telegram of an electricity meter by Eastron.
fn telegram(records: &str) -> Came {
    let address = Secondary {
        id: Id(0x1234_5678),
        manufacturer: Manufacturer::of("EMI").unwrap(),
        version: 1,
        medium: ::mbus::Medium::new(2),
    };
    let mut buffer = [0; Frame::MAX_LEN];
    let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::RECORDS, |w| {
        Header::long(address, 1, Status::OK).write(w)?;
        w.bytes(&bytes(records))
    });
    came(frame.unwrap())
}

fn came(bytes: &[u8]) -> Came {
    let at = Moment {
        wall: chrono::DateTime::UNIX_EPOCH,
        boottime: Duration::ZERO,
        boot_id: 0,
        trust: Trust::Untrusted,
    };
    Came { bytes: bytes.to_vec(), at }
}

fn read(telegrams: &[&str], profile: Option<Profile>) -> Readout {
    let came = telegrams.iter().map(|records| telegram(records)).collect();
    let stranger = Meter::stranger(MeterAddress::Primary(5));
    let meter = Meter { profile: profile.map(Arc::new), ..stranger };
    readout(came, &meter, &Profiles::default(), &mut Opening::default(), Duration::ZERO).unwrap()
}

#[track_caller]
fn check(telegrams: &[&str], profile: Option<Profile>, expected: &[&str]) {
    let shown = |reading: &Reading| match reading.value {
        Ok(value) => format!("{} = {value}", reading.register),
        Err(reason) => format!("{} = {}", reading.register, reason.as_str()),
    };
    let readout = read(telegrams, profile);
    assert_eq!(readout.readings.iter().map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn numbers_that_only_their_place_tells_apart_keep_their_names_when_they_are_equal() {
    check(
        &["02 2B 05 00  02 2B 06 00  02 2B 07 00"],
        None,
        &["power = 0.005 kW", "power_n2 = 0.006 kW", "power_n3 = 0.007 kW"],
    );
    check(
        &["02 2B 05 00  02 2B 05 00  02 2B 07 00"],
        None,
        &["power = 0.005 kW", "power_n2 = 0.005 kW", "power_n3 = 0.007 kW"],
    );
    check(&["02 2B 00 80  02 2B 05 00"], None, &["power = invalid", "power_n2 = 0.005 kW"]);
}

#[test]
fn what_a_later_telegram_repeats_is_left_out_and_takes_nobodys_name() {
    let first = "02 2B 05 00  02 2B 06 00  1F";
    let of_first = ["power = 0.005 kW", "power_n2 = 0.006 kW"];
    check(&[first, "02 2B 05 00  02 2B 06 00"], None, &of_first);
    let changed = [&of_first[..], &["power_n4 = 0.007 kW"]].concat();
    check(&[first, "02 2B 05 00  02 2B 07 00"], None, &changed);
    let both = [&of_first[..], &["power_n3 = 0.006 kW", "power_n4 = 0.005 kW"]].concat();
    check(&[first, "02 2B 06 00  02 2B 05 00"], None, &both);
}

/// A profile of three registers, of which the first has the name of another record, and the third
/// is not sent by every meter.
fn profile() -> Profile {
    let text = r#"
        schema = 1
        id = "example.meter"
        vendor = "Example"
        models = ["M1"]
        medium = "electricity"
        status = "document"
        source = "its manual"

        [[mbus.memory]]
        storages = [1, 2]
        interval = "year"
        registers = ["energy"]
        date = "date"

        [[register]]
        key = "energy"
        quantity = "energy"
        unit = "kWh"
        kind = "counter"
        [register.mbus]
        vif = "energy"
        tariff = 1

        [[register]]
        key = "power"
        quantity = "power"
        unit = "W"
        kind = "gauge"
        [register.mbus]
        vif = "power"

        [[register]]
        key = "error_flags"
        quantity = "error_flags"
        kind = "flag"
        optional = true
        bits = [{ bit = 1, nb = "Luft", en = "air", da = "Luft" }]
        mbus = { vif = "error_flags" }

        [[vector]]
        frame = "none.hex"
        expect = { power = "5" }
    "#;
    Profile::parse(text).unwrap()
}

#[test]
fn no_name_is_given_twice_where_a_profile_gives_names_too() {
    check(
        &["84 10 06 01 00 00 00  02 2B 05 00  02 2B 06 00  04 06 09 00 00 00"],
        Some(profile()),
        &["energy = 1 kWh", "power = 5 W", "power_n2 = 0.006 kW", "energy_n2 = 9 kWh"],
    );
    check(&["02 2B 05 00"], Some(profile()), &["energy = left_out", "power = 5 W"]);
}

#[test]
fn a_value_of_an_earlier_time_needs_the_date_of_its_storage() {
    #[track_caller]
    fn check(records: &str, expected: &[&str]) {
        let readout = read(&[records], Some(profile()));
        let shown = readout.remembered.iter().map(|it| {
            let quality = it.quality.as_str();
            format!("{} {} = {}, {quality}", it.register, it.at, it.value)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{records}");
    }
    // 1 kWh in storage 1, and the last day of 2025, of which nobody says when it was read.
    let (value, date) = ("C4 10 06 01 00 00 00", "42 6C 3F 3C");
    let known = ["energy 2026-01-01 00:00:00 = 1 kWh, time_estimated"];
    check(&format!("{value} {date}"), &known);
    check(&format!("{date} {value}"), &known);
    check(&format!("{date} 42 6C 01 01 {value}"), &known);
    check(&format!("42 EC 7E 1F 4C {date} {value}"), &known);
    check(value, &[]);
    check(&format!("{value} 82 01 6C 3F 3C"), &[]);
    check(&format!("{value} 42 EC 7E 3F 3C"), &[]);
    check(&format!("{value} 52 6C 3F 3C"), &[]);
    check(&format!("{value} 44 6D 3B 17 3F 3C"), &[]);
    check(&format!("{value} 42 6C FF FF"), &[]);
    check(&format!("44 06 01 00 00 00 {date}"), &[]);
    check(&format!("C4 10 06 00 00 00 80 {date}"), &[]);
}

#[test]
fn flags_are_told_in_words_at_the_place_of_their_record() {
    let readout = read(&["02 2B 05 00  01 FD 17 22"], Some(profile()));
    let said = |place, note: &str| OddRecord {
        telegram: 0,
        at: place,
        kind: OddKind::SetBit,
        what: "error_flags".to_owned(),
        note: note.to_owned(),
    };
    assert_eq!(readout.odd, [said(1, "air"), said(1, "bit 5 is set")]);
    assert_eq!(read(&["01 FD 17 00"], Some(profile())).odd, []);
    assert_eq!(read(&["01 FD 17 22"], None).odd, [], "nobody knows what they mean");
}

#[test]
fn what_is_no_number_says_what_it_is() {
    // A date, a firmware version as text, a password, bytes of the maker's own, a record that breaks off.
    let said = "02 6C 8E 39  0D FD 0E 03 31 2E 32  04 FD 16 01 02 03 04  04 13";
    let odd = read(&[said], None).odd;
    let told: Vec<_> =
        odd.iter().map(|it| (it.at, it.kind, it.what.as_str(), it.note.as_str())).collect();
    assert_eq!(
        told[..3],
        [
            (0, OddKind::Value, "date", "2028-09-14"),
            (1, OddKind::Value, "firmware_version", "2.1"),
            (2, OddKind::Secret, "password", "not shown"),
        ]
    );
    assert_eq!((told[3].0, told[3].1, told.len()), (3, OddKind::Unread, 4));
}

#[test]
fn the_fixed_structure_has_media_of_its_own() {
    let medium_of = |units: &str| {
        let data = bytes(&format!("78 56 34 12 0A 00 {units} 01 00 00 00 35 01 00 00"));
        let mut buffer = [0; Frame::MAX_LEN];
        let frame =
            write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::FIXED, |w| w.bytes(&data));
        let meter = Meter::stranger(MeterAddress::Primary(5));
        let came = vec![came(frame.unwrap())];
        readout(came, &meter, &Profiles::default(), &mut Opening::default(), Duration::ZERO)
            .unwrap()
            .medium
    };
    // The low two bits of the medium stand in the first byte, the high two in the second.
    assert_eq!(medium_of("E9 7E"), Some(Medium::Water), "7");
    assert_eq!(medium_of("A9 BE"), Some(Medium::Gas), "10: not a cooling meter");
    assert_eq!(medium_of("C5 BE"), Some(Medium::Heat), "11: not a cooling meter");
    assert_eq!(medium_of("29 FE"), Some(Medium::HotWater), "12: not a heat meter");
    assert_eq!(medium_of("69 FE"), Some(Medium::Water), "13: not a heat meter");
}

#[test]
fn heat_and_cooling_are_told_apart() {
    for (code, expected) in [
        (0x04, Medium::Heat),
        (0x0C, Medium::Heat),
        (0x0D, Medium::Heat),
        (0x0A, Medium::Cooling),
        (0x0B, Medium::Cooling),
        (0x06, Medium::HotWater),
        (0x15, Medium::HotWater),
        (0x07, Medium::Water),
        (0x16, Medium::Water),
        (0x02, Medium::Electricity),
        (0x03, Medium::Gas),
        (0x1B, Medium::Climate),
        (0x05, Medium::Other),
    ] {
        assert_eq!(medium(::mbus::Medium::new(code)), expected, "{code:02X}");
    }
}

#[test]
fn a_meters_negative_numbers_stay_negative() {
    check(&["02 2B FE FF  0C 06 23 01 00 F0"], None, &["power = -0.002 kW", "energy = -123 kWh"]);
    let readout = read(&["02 2B FE FF"], None);
    let value = readout.readings[0].value.unwrap();
    assert_eq!((value.mantissa(), value.resolution().unit()), (-2, Unit::Kilowatt));
}
