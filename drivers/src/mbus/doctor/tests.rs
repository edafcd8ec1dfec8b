use std::time::Duration;

use ::mbus::{Control, Header, Id, Manufacturer, Medium, Primary, Secondary, Status, write_frame};
use metering::{Identity, Origin};
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

fn id(number: u8) -> MeterId {
    MeterId::from_uuid(uuid::Uuid::from_u128(number.into()))
}

fn meter(number: u8) -> Meter {
    Meter {
        id: id(number),
        address: MeterAddress::Primary(number),
        profile: None,
        serial: None,
        origin: Origin::Live,
    }
}

fn device(number: u32) -> Secondary {
    Secondary {
        id: Id(number),
        manufacturer: Manufacturer::of("KAM").unwrap(),
        version: 8,
        medium: Medium::new(4),
    }
}

/// An answer of a device without a record in it.
fn readout(device: Secondary) -> Readout {
    let mut buffer = [0; 261];
    let write = |w: &mut ::mbus::Writer<'_>| Header::long(device, 1, Status::OK).write(w);
    let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(1), 0x72, write).unwrap();
    Readout {
        identity: Identity::default(),
        medium: None,
        readings: Vec::new(),
        remembered: Vec::new(),
        odd: Vec::new(),
        telegrams: vec![frame.to_vec()],
        took: Duration::ZERO,
        profile: None,
    }
}

const QUIET: Traffic = Traffic { sends: 1, answers: 1, ..Traffic::NONE };
const SILENT: Traffic = Traffic { sends: 3, repeats: 2, silences: 3, ..Traffic::NONE };
const BROKEN: Traffic = Traffic { sends: 3, repeats: 2, broken: 3, ..Traffic::NONE };
/// Two acknowledge as one, and their telegrams meet.
const CLASHED: Traffic = Traffic { sends: 4, repeats: 2, answers: 1, broken: 3, ..Traffic::NONE };
const COLLIDED: Traffic = Traffic { sends: 3, repeats: 2, collisions: 3, ..Traffic::NONE };

#[derive(Clone, Copy)]
enum Says {
    Good,
    Nothing,
    Noise,
    Port,
    Other,
    Nearly,
}

/// A wire of some meters, asked once a minute.
struct Wire {
    doctor: Doctor,
    meters: u8,
    minute: i64,
}

impl Wire {
    fn new(meters: u8) -> Self {
        Self { doctor: Doctor::default(), meters, minute: 0 }
    }

    fn ask(&mut self, number: u8, traffic: &Traffic, says: Says) {
        let address = MeterAddress::Primary(number);
        let ended = match says {
            Says::Good => Ok(readout(device(0x6700_0000 + (u32::from(number) << 16)))),
            Says::Nothing => Err(ReadError::Silent { address, waited: Duration::ZERO }),
            Says::Noise => {
                let cause = Garble::Noise("a byte".to_owned());
                Err(ReadError::Garbled { address, cause })
            }
            Says::Port => Err(ReadError::Port {
                port: "tcp://127.0.0.1:1".parse().unwrap(),
                cause: crate::PortFault::NotListening,
            }),
            Says::Other | Says::Nearly => {
                let found = if matches!(says, Says::Other) { "12345678" } else { "67001322" };
                let (expected, found) = ("67001122".to_owned(), found.to_owned());
                Err(ReadError::WrongMeter { address, expected, found })
            }
        };
        let heard = self.doctor.hear(&meter(number), self.minute * MINUTE, traffic, ended);
        assert_eq!(heard.is_ok(), matches!(says, Says::Good));
    }

    /// So many rounds in which `odd` says what it says, and the others are well.
    fn rounds(&mut self, count: i64, odd: &[u8], traffic: &Traffic, says: Says) {
        for _ in 0..count {
            self.minute += 1;
            for number in 1..=self.meters {
                if odd.contains(&number) {
                    self.ask(number, traffic, says);
                } else {
                    self.ask(number, &QUIET, Says::Good);
                }
            }
        }
    }

    fn findings(&self, load: Load) -> Vec<Finding> {
        let meters: Vec<_> =
            (1..=self.meters).map(|it| (id(it), MeterAddress::Primary(it))).collect();
        self.doctor.findings(&meters, load)
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let found: Vec<_> =
            self.findings(Load::default()).iter().map(|it| it.sentence("")).collect();
        assert_eq!(found, expected);
    }
}

/// A wire of ten meters, some of them odd for ten rounds after five good ones.
#[track_caller]
fn check(odd: &[u8], traffic: &Traffic, says: Says, expected: &[&str]) {
    let mut wire = Wire::new(10);
    wire.rounds(5, &[], &QUIET, Says::Good);
    wire.check(&[]);
    wire.rounds(10, odd, traffic, says);
    wire.check(expected);
    wire.rounds(400, &[], &QUIET, Says::Good);
    wire.check(&[]);
}

const ALL: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

#[test]
fn each_fault_has_its_cause_and_goes_with_it() {
    check(&[7], &SILENT, Says::Nothing, &["the meter at 7 does not answer"]);
    check(&[7, 8, 9], &SILENT, Says::Nothing, &["3 of 10 meters fell silent together"]);
    check(&ALL, &SILENT, Says::Nothing, &["none of the 10 meters says a byte"]);
    check(&[7], &COLLIDED, Says::Noise, &["two meters answer at address 7"]);
    check(&[7], &CLASHED, Says::Noise, &["two meters answer at address 7"]);
    check(&ALL, &QUIET, Says::Port, &["the port of the bus cannot be used"]);
    check(
        &ALL,
        &BROKEN,
        Says::Noise,
        &[
            "broken bytes come where answers are due, at 10 of 10 meters: the wire most likely runs \
           at another speed or parity",
        ],
    );
    check(
        &[3],
        &QUIET,
        Says::Other,
        &["another device answers for the meter at 3 than is configured"],
    );
    check(
        &[3],
        &QUIET,
        Says::Nearly,
        &["another device answers for the meter at 3 than is configured"],
    );
    let one_bad = Traffic { sends: 2, repeats: 1, checksum_errors: 1, answers: 1, ..Traffic::NONE };
    check(&[3], &one_bad, Says::Good, &["10 of 25 answers of the meter at 3 came damaged"]);
    check(
        &ALL,
        &one_bad,
        Says::Good,
        &["100 of 250 answers came damaged, from many meters: the wire is noisy"],
    );
    let late = Traffic { sends: 2, repeats: 1, silences: 1, answers: 1, ..Traffic::NONE };
    check(
        &[3],
        &late,
        Says::Good,
        &["the meter at 3 had to be asked again 10 times in 15 questions"],
    );
    let twice = Traffic { foreign: 1, ..QUIET };
    check(
        &ALL,
        &twice,
        Says::Good,
        &["100 frames came that nobody asked for: a second master is on the wire"],
    );
    let echoed = Traffic { echoes: 1, ..QUIET };
    check(&ALL, &echoed, Says::Good, &["the converter sends back what is sent to it"]);
    let humming = Traffic { stray_bytes: 9, ..QUIET };
    check(&ALL, &humming, Says::Good, &["900 bytes came while nothing was asked"]);
}

#[test]
fn a_meter_that_never_answered_but_in_broken_bytes_has_another_speed() {
    let mut wire = Wire::new(4);
    wire.rounds(5, &[2], &BROKEN, Says::Noise);
    wire.check(&[
        "the meter at 2 answers in broken bytes while others are well: it most likely has another \
         speed",
    ]);
}

#[test]
fn a_single_meter_at_another_speed_is_known_by_its_broken_bytes() {
    let mut wire = Wire::new(1);
    wire.rounds(4, &[1], &BROKEN, Says::Noise);
    wire.check(&[
        "broken bytes come where answers are due, at 1 of 1 meters: the wire most likely runs at \
         another speed or parity",
    ]);
    let mut wire = Wire::new(1);
    wire.rounds(4, &[1], &CLASHED, Says::Noise);
    wire.check(&["two meters answer at address 1"]);
}

#[test]
fn a_number_that_is_nearly_the_configured_one_is_another_meter_only_if_it_stays() {
    let mut wire = Wire::new(2);
    wire.rounds(1, &[2], &QUIET, Says::Nearly);
    wire.check(&[]);
    wire.rounds(2, &[2], &QUIET, Says::Nearly);
    wire.check(&["another device answers for the meter at 2 than is configured"]);
}

#[test]
fn one_gust_of_noise_is_no_finding() {
    let mut wire = Wire::new(10);
    wire.rounds(20, &[], &QUIET, Says::Good);
    wire.rounds(1, &ALL, &BROKEN, Says::Noise);
    wire.rounds(1, &[], &QUIET, Says::Good);
    let found = wire.findings(Load::default());
    assert!(found.iter().all(|it| it.trouble == Trouble::NoisyWire), "{found:?}");
    wire.rounds(200, &[], &QUIET, Says::Good);
    wire.check(&[]);
}

#[test]
fn a_wire_that_carries_too_much_says_so() {
    let wire = Wire::new(3);
    let load = |sum, most| Load { sum, most };
    assert_eq!(wire.findings(load(60, Some(60))), []);
    assert_eq!(wire.findings(load(1_000, None)), []);
    let [only] = wire.findings(load(61, Some(60))).try_into().unwrap();
    assert_eq!(
        only.sentence(""),
        "the wire has 61 unit loads, and its level converter is built for 60"
    );
}

#[test]
fn silences_are_counted_with_their_length() {
    let mut wire = Wire::new(1);
    wire.rounds(3, &[], &QUIET, Says::Good);
    wire.rounds(1, &[1], &SILENT, Says::Nothing);
    wire.rounds(1, &[], &QUIET, Says::Good);
    let once = wire.doctor.record(id(1)).unwrap();
    assert_eq!((once.silent_times, once.silent_since_ms), (0, None), "one question is no silence");
    wire.rounds(5, &[1], &SILENT, Says::Nothing);
    let still = wire.doctor.record(id(1)).unwrap();
    assert_eq!((still.silent_times, still.silent_since_ms), (1, Some(6 * MINUTE)));
    wire.rounds(1, &[], &QUIET, Says::Good);
    let over = wire.doctor.record(id(1)).unwrap();
    assert_eq!((over.silent_longest_s, over.silent_since_ms), (300, None));
    assert_eq!((over.all.polls, over.all.answered), (11, 5));
}

#[test]
fn response_times_are_counted_in_bins() {
    let mut doctor = Doctor::default();
    for ms in [10, 10, 10, 900] {
        let mut traffic = QUIET;
        traffic.responses.answered(Duration::from_millis(ms));
        doctor.hear(&meter(1), 0, &traffic, Ok(readout(device(0x6700_1122)))).unwrap();
    }
    let record = doctor.record(id(1)).unwrap();
    assert_eq!(record.times.iter().sum::<u32>(), 4);
    assert_eq!((record.within_ms(50), record.within_ms(100)), (Some(11), Some(1_024)));
    assert_eq!(Record::default().within_ms(50), None);
}

#[test]
fn what_is_known_survives_a_restart_and_a_version_with_more_counts() {
    let mut wire = Wire::new(3);
    wire.rounds(30, &[2], &COLLIDED, Says::Noise);
    let kept = serde_json::to_string(&wire.doctor).unwrap();
    assert!(kept.len() < 3 * 1_200, "{} bytes", kept.len());
    assert_eq!(serde_json::from_str::<Doctor>(&kept).unwrap(), wire.doctor);
    let older = kept.replace("\"echoes\":0,", "").replace("\"port_failures\":0", "\"new\":[1]");
    assert_eq!(serde_json::from_str::<Doctor>(&older).unwrap(), wire.doctor);
}

/// A wire where meter 1 is known as 67001122; whether its answers as each of `numbers` are taken.
#[track_caller]
fn check_held(numbers: &[(u32, &Traffic)], lives_at_2: bool, taken: &[bool]) {
    let mut doctor = Doctor::default();
    let known = device(0x6700_1122);
    doctor.hear(&meter(1), 0, &QUIET, Ok(readout(known))).unwrap();
    if lives_at_2 {
        doctor.hear(&meter(2), 0, &QUIET, Ok(readout(known))).unwrap();
    }
    let heard: Vec<bool> = numbers
        .iter()
        .map(|(number, traffic)| {
            doctor.hear(&meter(1), 0, traffic, Ok(readout(device(*number)))).is_ok()
        })
        .collect();
    assert_eq!(heard, taken);
}

#[test]
fn a_device_that_is_nearly_the_known_one_is_held_until_it_has_shown_itself() {
    let near = (0x6700_1322, &QUIET);
    let odd = Traffic { checksum_errors: 1, ..QUIET };
    // A fault of the wire comes alone.
    check_held(&[near, (0x6700_1122, &QUIET), near], false, &[false, true, false]);
    check_held(&[near, (0x6700_1120, &QUIET), near], false, &[false, false, false]);
    // An exchanged meter of the same delivery.
    check_held(&[near; 5], false, &[false, false, false, true, true]);
    // The known one has got another address.
    check_held(&[near; 3], true, &[false, true, true]);
    // Nothing is shown on a wire that is not well.
    check_held(&[(0x6700_1322, &odd); 5], false, &[false; 5]);
    check_held(&[near, (0x6700_1322, &odd), near, near], true, &[false, false, false, true]);
    // Quite another meter was exchanged for it.
    check_held(&[(0x1234_5678, &QUIET)], false, &[true]);
}

#[test]
fn what_is_held_is_told_and_counted() {
    let mut doctor = Doctor::default();
    doctor.hear(&meter(7), 0, &QUIET, Ok(readout(device(0x6700_1122)))).unwrap();
    let error = doctor.hear(&meter(7), 0, &QUIET, Ok(readout(device(0x6700_1322)))).unwrap_err();
    assert_eq!(error.no_reading(), metering::NoReading::Garbled);
    assert_eq!(doctor.record(id(7)).unwrap().all.held, 1);
    let [finding] =
        doctor.findings(&[(id(7), MeterAddress::Primary(7))], Load::default()).try_into().unwrap();
    assert_eq!(
        finding.sentence("Heat"),
        "Heat was 67001122KAM0804 and calls itself 67001322KAM0804: that is nearly the same, so \
         its values are held back"
    );
    // So it is after a restart.
    let kept = serde_json::to_string(&doctor).unwrap();
    let mut doctor: Doctor = serde_json::from_str(&kept).unwrap();
    assert!(doctor.hear(&meter(7), 0, &QUIET, Ok(readout(device(0x6700_1322)))).is_err());
}

proptest! {
    /// Bits of an address that are flipped so that the checksum is right by chance: the same bit of
    /// two bytes, one up and one down. What comes of it is never taken for another meter.
    #[test]
    fn flips_that_the_checksum_does_not_see_make_no_new_meter(
        number: u32,
        (a, b) in (0..8_usize, 0..8_usize),
        bit in 0..8_u8,
    ) {
        let known = readout(device(number));
        let mut bytes = known.telegrams[0].clone();
        let flips = (bytes[7 + a] ^ bytes[7 + b]) & 1 << bit != 0;
        if flips {
            bytes[7 + a] ^= 1 << bit;
            bytes[7 + b] ^= 1 << bit;
        }
        prop_assert!(::mbus::Frame::read(&bytes).is_ok(), "the checksum does not see it");
        let mut doctor = Doctor::default();
        doctor.hear(&meter(1), 0, &QUIET, Ok(known)).unwrap();
        let flipped = Readout { telegrams: vec![bytes], ..readout(device(0)) };
        prop_assert_eq!(doctor.hear(&meter(1), 0, &QUIET, Ok(flipped)).is_ok(), !flips);
    }
}

#[test]
fn every_trouble_has_a_code_a_sentence_and_an_advice() {
    for (at, trouble) in Trouble::ALL.into_iter().enumerate() {
        assert!(
            Trouble::ALL
                .iter()
                .skip(at + 1)
                .all(|other| { trouble < *other && trouble.as_str() != other.as_str() })
        );
        assert!(trouble.advice().ends_with('.'));
    }
}
