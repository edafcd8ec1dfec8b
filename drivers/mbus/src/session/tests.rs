//! One test for each rule, on a clock that only these tests turn.

mod addressing;
mod commands;
mod damage;
mod line;
mod others;
mod telegrams;

use proptest::prelude::*;

use self::line::{Line, bit_times, in_bits, in_bits_at};
use super::*;
use crate::{
    ByteOrder, Control, Data, Encoding, Entry, Flaw, Frame, Full, Header, Part, Quantity, Request,
    Status, VibBuf, ci, write_frame,
};

fn meter(id: &str) -> crate::Secondary {
    let selection: Selection = id.parse().unwrap();
    crate::Secondary {
        id: crate::Id(selection.id),
        manufacturer: crate::Manufacturer(selection.manufacturer),
        version: selection.version,
        medium: crate::Medium::new(selection.medium),
    }
}

/// An answer of the meter `id` at `address`, with one value.
fn answer(address: u8, id: &str, value: i64, more: bool) -> Vec<u8> {
    let mut buffer = [0; Frame::MAX_LEN];
    let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(address), ci::RECORDS, |w| {
        Header::long(meter(id), 7, Status::OK).write(w)?;
        let vib = VibBuf::of(Quantity::Energy, "Wh", 3).unwrap();
        Entry::new(vib, Data::int(Encoding::Int32, value).unwrap())
            .write(w, ByteOrder::LsbFirst)?;
        if more { w.byte(0x1F) } else { Ok(()) }
    });
    frame.unwrap().to_vec()
}

const HEAT: &str = "67001122KAM3504";
const WATER: &str = "12345678ELS0107";
const ACK: &[u8] = &[0xE5];
const NKE_5: &str = "1040054516";
const FCB_1: &str = "107B058016";
const FCB_0: &str = "105B056016";

/// 330 bit times and 50 ms, and the first character of an answer that begins then.
const SILENCE: u128 = 330 + 120 + 11;

#[test]
fn the_first_request_after_a_reset_has_fcb_1_and_each_answer_toggles_it() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(5, HEAT, 1, false));
    line.answers(&answer(5, HEAT, 2, false)).answers(&answer(5, HEAT, 3, false));
    for _ in 0..3 {
        assert_eq!(line.read(5).map(|summary| summary.telegrams), Ok(1));
    }
    line.has_sent(&[NKE_5, FCB_1, FCB_0, FCB_1]);
    assert_eq!(line.telegrams.len(), 3);
}

#[test]
fn a_reset_comes_each_time_or_never_where_that_is_asked_for() {
    let mut line = Line::new();
    let meter = Target::Primary(Primary(5));
    line.answers(&answer(5, HEAT, 1, false));
    line.run(&Task::Read { meter, reset: Reset::Never, prelude: None }).unwrap();
    line.answers(ACK).answers(&answer(5, HEAT, 2, false));
    line.run(&Task::Read { meter, reset: Reset::Always, prelude: None }).unwrap();
    line.has_sent(&[FCB_1, NKE_5, FCB_1]);
}

#[test]
fn a_frame_ends_by_its_length_and_the_line_rests_11_bit_times() {
    let mut line = Line::new();
    let telegram = answer(5, HEAT, 1, false);
    line.answers(ACK).answers(&telegram).answers(&answer(5, HEAT, 2, false));
    line.read(5).unwrap();
    line.read(5).unwrap();
    let chars = |count: usize| 11 * count as u128;
    assert_eq!(line.pauses(), [50 + chars(1) + 11, 50 + chars(telegram.len()) + 11]);
}

/// The limit: request, reaction of the meter, answer, and nothing else.
#[test]
fn at_least_97_percent_of_the_wire_are_used() {
    for (baud, reaction) in [(300, 50), (2400, 50), (9600, 50), (2400, 11), (9600, 330)] {
        let mut line = Line::with(Settings { slack: Duration::ZERO, ..Settings::new(baud) });
        let mut telegram = answer(5, HEAT, 1, false);
        telegram.truncate(telegram.len() - 2);
        telegram.extend([0x2F; 120 - 27]);
        let len = u8::try_from(telegram.len() - 4).unwrap();
        telegram[1..3].copy_from_slice(&[len, len]);
        let sum = telegram[4..].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        telegram.extend([sum, 0x16]);
        line.answers(ACK).then(&[(reaction, &telegram)]);
        line.read(5).unwrap();
        let begin = in_bits_at(baud, line.now);
        for _ in 0..100 {
            line.then(&[(reaction, &telegram)]);
            line.read(5).unwrap();
        }
        let limit = 100 * (u128::from(reaction) + 11 * (5 + telegram.len() as u128));
        let used = in_bits_at(baud, line.now) - begin;
        assert!(100 * limit >= 97 * used, "{limit} of {used} bit times at {baud} baud");
    }
}

#[test]
fn silence_is_asked_three_times_with_the_same_fcb() {
    let mut line = Line::new();
    line.answers(ACK);
    let failure = line.read(5).unwrap_err();
    assert_eq!(
        failure,
        Failure { step: Step::Command, reason: Reason::Silent, sends: 4, telegrams: 0 }
    );
    assert_eq!(failure.to_string(), "asking, 4 frames sent in all: no answer");
    line.has_sent(&[NKE_5, FCB_1, FCB_1, FCB_1]);
}

#[test]
fn an_answer_may_take_330_bit_times_and_50_milliseconds() {
    let mut line = Line::new();
    line.silence().silence().answers(ACK).answers(&answer(5, HEAT, 1, false));
    line.read(5).unwrap();
    assert_eq!(line.pauses()[..2], [SILENCE, SILENCE]);

    let mut line = Line::new();
    line.then(&[(330 + 120, ACK)]).then(&[(330 + 120, &answer(5, HEAT, 1, false))]);
    assert_eq!(line.read(5).map(|summary| summary.sends), Ok(2));
}

#[test]
fn the_transports_share_and_a_meters_own_time_are_added_to_that() {
    let slow = Settings { slack: Duration::from_millis(100), ..Settings::new(2400) };
    let mut line = Line::with(slow);
    line.read(5).unwrap_err();
    assert_eq!(line.pauses(), [SILENCE + 240; 2]);

    let own = Settings { answer_within: Some(Duration::from_secs(3)), ..slow };
    let mut line = Line::with(own);
    line.read(5).unwrap_err();
    assert_eq!(line.pauses(), [7200 + 11; 2]);

    let mut line = Line::new();
    let task = Task::Ping { to: Primary(5), sends: 2 };
    let characters = |count| Settings::new(2400).characters(count);
    let patience = Patience { usual: Duration::from_secs(1), at_last: Duration::from_secs(2) };
    line.session.start(&task, Some(patience), line.now).unwrap();
    assert!(matches!(line.session.poll(line.now), Action::Send(_)));
    let until = line.now + characters(5) + Duration::from_secs(1) + characters(1);
    assert_eq!(line.session.poll(line.now), Action::Wait(until));
    line.now = until;
    assert!(matches!(line.session.poll(line.now), Action::Send(_)));
    let until = line.now + characters(5) + Duration::from_secs(2) + characters(1);
    assert_eq!(line.session.poll(line.now), Action::Wait(until));
}
