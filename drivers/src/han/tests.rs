//! The public frames, frames made here, and anything else.

use std::path::PathBuf;
use std::time::Duration;

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes128;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _};
use metering::{Moment, Origin, Quality, Trust};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

#[test]
fn every_public_frame_says_what_it_is_known_to_say() {
    let Some(frames) = corpus() else { return };
    for frame in &frames {
        let name = frame["name"].as_str().unwrap();
        let telegram = decode(&unhex(frame["hex"].as_str().unwrap()), &rules(&frame["key"]));
        let telegram = telegram.unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
        let expected = &frame["expected"];

        let text = |key: &str| expected[key].as_str();
        assert_eq!(telegram.list_version.as_deref(), text("list_version"), "{name}");
        assert_eq!(telegram.meter_id.as_deref(), text("meter_id"), "{name}");
        assert_eq!(telegram.meter_type.as_deref(), text("meter_type"), "{name}");
        assert_eq!(telegram.notes, [], "{name}");

        let clock = telegram.clock.map(|it| it.local.format("%Y-%m-%dT%H:%M:%S").to_string());
        assert_eq!(clock.as_deref(), expected["clock"]["local"].as_str(), "{name}");
        let deviation = telegram.clock.and_then(|it| it.deviation_min).map(i64::from);
        assert_eq!(deviation, expected["clock"]["deviation_min"].as_i64(), "{name}");
        if let Some(utc) = expected["clock"]["utc"].as_str() {
            let utc = utc.parse().unwrap();
            assert_eq!(telegram.clock.unwrap().utc_near(utc), Some(utc), "{name}");
        }

        let expected = expected["values"].as_object().unwrap();
        assert_eq!(telegram.values.len(), expected.len(), "{name}: what is not there is absent");
        for value in &telegram.values {
            let (c, d, e) = value.obis.cde();
            let known = &expected[&format!("{c}.{d}.{e}")];
            let resolution = value.quantity.resolution();
            assert_eq!(Some(value.quantity.mantissa()), known["mantissa"].as_i64(), "{name}");
            assert_eq!(
                Some(-i64::from(resolution.decimals())),
                known["exponent"].as_i64(),
                "{name}"
            );
            assert_eq!(Some(resolution.unit().code()), known["unit"].as_str(), "{name}");
            assert!(value.register().is_some(), "{name}: {}", value.obis);

            let of_the_hour = d == 8 && name != "kaifa_se";
            assert_eq!(value.at.is_some(), of_the_hour, "{name}");
            if let Some(at) = value.at {
                let hour = telegram.clock.unwrap().local.format("%FT%H:00:00").to_string();
                assert_eq!(at.local.format("%FT%T").to_string(), hour, "{name}");
            }
        }
        assert_eq!(telegram.opened.map(|it| it.verified), frame["key"].as_object().map(|_| true));
    }
    println!("{} public frames say what they are known to say", frames.len());
    assert!(frames.len() >= 12);
}

#[test]
fn no_octet_of_a_public_frame_can_be_another() {
    let Some(frames) = corpus() else { return };
    for frame in &frames {
        let rules = rules(&frame["key"]);
        let good = unhex(frame["hex"].as_str().unwrap());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let flaw = decode(&bad, &rules).expect_err("an octet was changed");
            assert!(flaw.at <= bad.len(), "{flaw}");
        }
        for length in 0..good.len() - 1 {
            decode(&good[..length], &rules).expect_err("octets are missing");
        }
    }
}

fn corpus() -> Option<Vec<Json>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = std::env::var_os("FYRHUS_CORPUS")
        .map_or_else(|| root.join("../shared/corpus"), PathBuf::from)
        .join("han/han.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: there are no public HAN frames at {}", file.display());
        return None;
    };
    let json: Json = serde_json::from_str(&text).unwrap();
    Some(json["frames"].as_array().unwrap().clone())
}

fn rules(key: &Json) -> Rules {
    let keys = key.is_object().then(|| Keys {
        encryption: key["encryption"].as_str().unwrap().parse().unwrap(),
        authentication: Some(key["authentication"].as_str().unwrap().parse().unwrap()),
    });
    Rules { keys, ..Rules::default() }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|it| !it.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A frame around `information`, both flags with it.
fn frame(addresses: &[u8], information: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len() + information.len() + 7).unwrap();
    let mut between = (0xA000 | length).to_be_bytes().to_vec();
    between.extend(addresses);
    between.push(0x13);
    between.extend(crc::x25(&between).to_le_bytes());
    between.extend(information);
    between.extend(crc::x25(&between).to_le_bytes());
    [&[0x7E], between.as_slice(), &[0x7E]].concat()
}

const AIDON: &[u8] = &[0x41, 0x08, 0x83];
const NORWEGIAN: &[u8] = &[0x2B, 0x21];
const DANISH: &[u8] = &[0x41, 0x03];
const PLAIN: &[u8] = &[0xE6, 0xE7, 0x00, 0x0F, 0x40, 0, 0, 0];

/// An Aidon list of energies and powers in.
fn aidon(values: &[(u8, u32, i8, u8)], clock: &str) -> Vec<u8> {
    let mut body = PLAIN.to_vec();
    body.extend([0x00, 0x01, u8::try_from(values.len() + 1).unwrap()]);
    body.extend(unhex("02020906 0000010000ff 090c"));
    body.extend(unhex(clock));
    for (d, number, scaler, unit) in values {
        body.extend([2, 3, 9, 6, 1, 0, 1, *d, 0, 255, 6]);
        body.extend(number.to_be_bytes());
        body.extend([2, 2, 0x0F, scaler.to_be_bytes()[0], 0x16, *unit]);
    }
    frame(AIDON, &body)
}

const TEN_PAST_FOUR: &str = "07e4 01 15 02 10 00 0a ff 0000 00";

fn heard(wall: &str) -> Moment {
    let boottime = Duration::from_secs(1_000);
    Moment { wall: wall.parse().unwrap(), boottime, boot_id: 1, trust: Trust::Synced }
}

#[test]
fn an_hourly_register_has_the_hours_end_as_its_time() {
    let telegram = aidon(&[(7, 280, 0, 27), (8, 2_272_138, 1, 30)], TEN_PAST_FOUR);
    let telegram = decode(&telegram, &Rules::default()).unwrap();
    // Ten seconds past four on a meter in Norway, in winter, whose deviation of 0 means nothing.
    let now = heard("2020-01-21T15:00:12Z");
    let [power, energy] = telegram.readings(now, Origin::Live).try_into().unwrap();
    assert_eq!((power.at, power.quality), (now, Quality::Good));
    assert_eq!(power.register.to_string(), "power_import_total");
    // The gateway's clock is two seconds ahead of the meter's, which says when its hour ended.
    assert_eq!(
        energy.at,
        Moment { boottime: Duration::from_secs(988), ..heard("2020-01-21T15:00:00Z") }
    );
    assert_eq!(energy.value.unwrap().to_string(), "22721380 Wh");

    let [_, energy] =
        telegram.readings(heard("2020-01-22T09:00:00Z"), Origin::Live).try_into().unwrap();
    assert_eq!(energy.quality, Quality::TimeEstimated, "one of the two clocks is wrong");
    assert_eq!(energy.at, heard("2020-01-22T09:00:00Z"));
}

#[test]
fn a_register_in_single_watt_hours_is_of_now() {
    let telegram = aidon(&[(8, 10_049_926, 0, 30)], TEN_PAST_FOUR);
    assert_eq!(decode(&telegram, &Rules::default()).unwrap().values[0].at, None);
}

/// A Kamstrup list of one energy and one current.
fn kamstrup(addresses: &[u8], kind: &str) -> Vec<u8> {
    let mut body = PLAIN.to_vec();
    body.extend(unhex("0c 07e6011801123a32ff800000 02 09 0a 0e 4b616d73747275705f5630303031"));
    body.extend(unhex("0906 0101600101ff 0a04"));
    body.extend(kind.as_bytes());
    body.extend(unhex("0906 0101010800ff 06 00000064 0906 01011f0700ff 06 000000ed 00 00"));
    frame(addresses, &body)
}

#[track_caller]
fn check(message: &[u8], rules: &Rules, expected: &[&str], notes: usize) {
    let telegram = decode(message, rules).unwrap();
    let shown = |it: &Value| format!("{} {}", it.obis, it.quantity);
    assert_eq!(telegram.values.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(telegram.notes.len(), notes, "{:?}", telegram.notes);
}

#[test]
fn a_scale_that_nobody_tells_is_not_guessed() {
    let plain = Rules::default();
    let sweden = Rules { kamstrup_energy: Some(0), ..plain };
    check(&kamstrup(NORWEGIAN, "6841"), &plain, &["1-1:1.8.0 1000 Wh", "1-1:31.7.0 2.37 A"], 0);
    check(&kamstrup(NORWEGIAN, "6841"), &sweden, &["1-1:1.8.0 100 Wh", "1-1:31.7.0 2.37 A"], 0);
    check(&kamstrup(NORWEGIAN, "6851"), &plain, &["1-1:1.8.0 1000 Wh", "1-1:31.7.0 0.237 A"], 0);
    check(&kamstrup(DANISH, "6841"), &plain, &["1-1:31.7.0 2.37 A"], 1);
    check(&kamstrup(DANISH, "6841"), &sweden, &["1-1:1.8.0 100 Wh", "1-1:31.7.0 2.37 A"], 0);
}

#[track_caller]
fn check_flaw(message: &[u8], rules: &Rules, at: usize, fault: Fault) {
    assert_eq!(decode(message, rules).unwrap_err(), Flaw { at, fault });
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let plain = Rules::default();
    check_flaw(&[], &plain, 0, Fault::NoStart);
    check_flaw(&[0x7E], &plain, 1, Fault::Ends("the frame's length"));
    let mut segment = frame(AIDON, PLAIN);
    segment[1] |= 0x08;
    let header = crc::x25(&segment[1..7]).to_le_bytes();
    segment[7..9].copy_from_slice(&header);
    let end = segment.len() - 3;
    let whole = crc::x25(&segment[1..end]).to_le_bytes();
    segment[end..end + 2].copy_from_slice(&whole);
    check_flaw(&segment, &plain, 1, Fault::Segment);
    check_flaw(&frame(AIDON, &unhex("e6e700 e0")), &plain, 12, Fault::Blocks);
    check_flaw(&frame(AIDON, &[PLAIN, &[0, 1, 1, 7]].concat()), &plain, 20, Fault::Tag(7));
    check_flaw(&frame(AIDON, &[PLAIN, &[0, 2, 2, 0, 0]].concat()), &plain, 18, Fault::Count(2));
    check_flaw(
        &frame(AIDON, &[PLAIN, &[0, 2, 1, 6, 0, 0, 0, 1, 9]].concat()),
        &plain,
        25,
        Fault::Trailing(1),
    );
    let deep = [PLAIN, &[0], &[1; 24]].concat();
    check_flaw(&frame(AIDON, &deep), &plain, 27, Fault::Depth);
}

/// The information of a Kamstrup list, sealed.
fn sealed(control: u8, authentication: Option<&Key>) -> Vec<u8> {
    let whole = kamstrup(DANISH, "6841");
    let mut octets = whole[11..whole.len() - 3].to_vec();
    let nonce = unhex("4b414d4501020304 00012345");
    let gcm = AesGcm::<Aes128, U12, U12>::new(&Array([7; 16]));
    let mut associated = vec![control];
    associated.extend(authentication.map(Key::as_bytes).into_iter().flatten());
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let buffer = InOutBuf::from(octets.as_mut_slice());
    let tag = gcm.encrypt_inout_detached(&Array(nonce), &associated, buffer).unwrap();
    if control == 0x30 {
        octets.extend(tag);
    }
    let mut information = unhex("e6e700 db 08 4b414d4501020304");
    information.extend([0x81, u8::try_from(octets.len() + 5).unwrap(), control, 0, 1, 0x23, 0x45]);
    information.extend(octets);
    frame(DANISH, &information)
}

#[test]
fn what_is_sealed_is_opened_with_the_right_keys_alone() {
    let (encryption, authentication) = (Key::new([7; 16]), Key::new([9; 16]));
    let rules = |encryption, authentication| Rules {
        keys: Some(Keys { encryption, authentication }),
        ..Rules::default()
    };
    let both = rules(encryption, Some(authentication));
    let one = rules(encryption, None);
    let opened = |message: &[u8], rules: &Rules| decode(message, rules).unwrap().opened.unwrap();
    let authentic = sealed(0x30, Some(&authentication));
    assert_eq!(opened(&authentic, &both), Opened { frame_counter: 0x12345, verified: true });
    assert_eq!(opened(&authentic, &one), Opened { frame_counter: 0x12345, verified: false });
    let unauthenticated = sealed(0x20, None);
    assert!(!opened(&unauthenticated, &both).verified);
    check(&unauthenticated, &both, &["1-1:31.7.0 2.37 A"], 1);

    check_flaw(&authentic, &Rules::default(), 23, Fault::KeyNeeded);
    let wrong = Key::new([8; 16]);
    check_flaw(&authentic, &rules(wrong, Some(authentication)), 28, Fault::Authentication);
    check_flaw(&authentic, &rules(encryption, Some(wrong)), 28, Fault::Authentication);
    check_flaw(&unauthenticated, &rules(wrong, None), 28, Fault::Key);
    check_flaw(&sealed(0x10, None), &both, 23, Fault::Ciphering(0x10));
}

const P1: &str = "/ELL5\\253833635_A\r\n\r\n0-0:1.0.0(210217184019W)\r\n\
    1-0:1.8.0(00001605.055*kWh)\r\n1-0:2.7.0(0001.011*kW)\r\n1-0:3.8.0(00000000.021*kVArh)\r\n\
    1-0:32.7.0(234.4*V)\r\n1-0:4:24.7.0(1)\r\n0-0:96.1.1(4530303434303037)\r\n\
    0-1:24.2.1(210217180000W)(04890.857*m3)\r\n";

fn with_checksum(telegram: &str) -> String {
    let telegram = format!("{telegram}!");
    format!("{telegram}{:04X}\r\n", crc::arc(telegram.as_bytes()))
}

#[test]
fn a_text_telegram_is_read_to_the_last_decimal() {
    let plain = Rules::default();
    let expected = [
        "1-0:1.8.0 1605.055 kWh",
        "1-0:2.7.0 1.011 kW",
        "1-0:3.8.0 0.021 kvarh",
        "1-0:32.7.0 234.4 V",
        "0-1:24.2.1 4890.857 m³",
    ];
    check(with_checksum(P1).as_bytes(), &plain, &expected, 1);
    check(format!("{P1}!\r\n").as_bytes(), &plain, &expected, 1);
    check(format!("\r\n{}", with_checksum(P1)).as_bytes(), &plain, &expected, 1);
    let telegram = decode(with_checksum(P1).as_bytes(), &plain).unwrap();
    assert!(telegram.has_checksum);
    assert_eq!(telegram.meter_type.as_deref(), Some("ELL5\\253833635_A"));
    let now = heard("2021-02-17T17:40:21Z");
    assert_eq!(
        telegram.clock.unwrap().utc_near(now.wall),
        Some("2021-02-17T17:40:19Z".parse().unwrap())
    );
    let gas = telegram.readings(now, Origin::Live).pop().unwrap();
    assert_eq!(
        (gas.at.wall, gas.register.to_string().as_str()),
        (heard("2021-02-17T17:00:00Z").wall, "volume_channel_1")
    );
    let wrong = with_checksum(P1).replace("1605.055", "1605.056");
    assert!(matches!(decode(wrong.as_bytes(), &plain).unwrap_err().fault, Fault::Checksum { .. }));
}

/// What comes of `stream` in pieces of `size`: messages, and how many octets of noise.
fn cut(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut messages, mut noise) = (Vec::new(), 0);
    let mut each = |heard: Heard<'_>| match heard {
        Heard::Message(message) => messages.push(message.to_vec()),
        Heard::Noise { bytes, .. } => noise += bytes.len(),
    };
    let mut framer = Framer::new();
    for piece in stream.chunks(size) {
        framer.push(piece, &mut each);
    }
    framer.silence(&mut each);
    assert!(!framer.is_waiting());
    (messages, noise)
}

#[test]
fn one_flag_may_close_and_open() {
    let one = aidon(&[(7, 0x7E7D_7E7E, 0, 27)], TEN_PAST_FOUR);
    let shared = [&one[..one.len() - 1], &one].concat();
    let (messages, noise) = cut(&shared, 7);
    assert_eq!((messages.len(), noise), (2, 0));
    assert_eq!(messages[0], one[..one.len() - 1]);
}

proptest! {
    #[test]
    fn what_was_sent_is_read(numbers in prop::collection::vec(any::<(u32, i8)>(), 1..8)) {
        let values: Vec<_> = numbers
            .iter()
            .map(|(number, scaler)| (7, *number, scaler % 13, 27))
            .collect();
        let telegram = decode(&aidon(&values, TEN_PAST_FOUR), &Rules::default()).unwrap();
        let read: Vec<_> = telegram.values.iter().map(|it| it.quantity.mantissa()).collect();
        let sent: Vec<_> = values.iter().map(|it| i64::from(it.1)).collect();
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn messages_are_found_among_noise_in_pieces_of_any_size(
        numbers in prop::collection::vec(any::<u32>(), 1..6),
        noise in prop::collection::vec(0x80_u8..=0xFF, 0..40),
        size in 1_usize..300,
    ) {
        let mut stream = noise.clone();
        for number in &numbers {
            stream.extend(aidon(&[(7, *number, 0, 27)], TEN_PAST_FOUR));
            stream.extend(&noise);
            stream.extend(with_checksum(P1).as_bytes());
        }
        let (messages, _) = cut(&stream, size);
        prop_assert_eq!(messages.len(), numbers.len() * 2);
        prop_assert!(messages.iter().all(|it| decode(it, &Rules::default()).is_ok()));
    }

    #[test]
    fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let keys = Keys { encryption: Key::new([7; 16]), authentication: None };
        let rules = Rules { keys: Some(keys), ..Rules::default() };
        let told = |message: &[u8]| match decode(message, &rules) {
            Ok(telegram) => telegram.readings(heard("2026-01-01T00:00:00Z"), Origin::Live).len(),
            Err(flaw) => flaw.to_string().len(),
        };
        told(&bytes);
        told(&[b"/ABC5\r\n", bytes.as_slice()].concat());
        told(&frame(AIDON, &bytes));
        told(&frame(AIDON, &[PLAIN, &bytes].concat()));
        told(&frame(AIDON, &[PLAIN, &[0, 2], &bytes].concat()));
        let (messages, noise) = cut(&bytes, 17);
        let idle = bytes.len() - noise - messages.iter().map(Vec::len).sum::<usize>();
        prop_assert!(idle <= bytes.iter().filter(|it| b"\r\n~".contains(it)).count());
    }

    #[test]
    fn any_text_is_read_or_refused(lines in "(([0-9]-[0-9]:)?[0-9.*]{0,9}[(][0-9.WSkWhAV*)(]{0,30}\r\n){0,9}") {
        let telegram = decode(with_checksum(&format!("/ABC5\r\n\r\n{lines}")).as_bytes(), &Rules::default());
        prop_assert!(telegram.is_ok());
    }
}
