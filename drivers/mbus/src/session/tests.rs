//! One test for each rule, on a clock that only these tests turn.

mod line;

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

#[test]
fn a_meter_that_is_silent_to_the_reset_is_silent() {
    let mut line = Line::new();
    let failure = line.read(5).unwrap_err();
    assert_eq!((failure.step, failure.reason, failure.sends), (Step::Reset, Reason::Silent, 3));
}

#[test]
fn a_wrong_checksum_is_asked_again_after_33_bit_times_of_rest() {
    let mut line = Line::new();
    let telegram = answer(5, HEAT, 1, false);
    let mut wrong = telegram.clone();
    wrong[10] ^= 1;
    line.answers(ACK).answers(&wrong).answers(&telegram);
    assert_eq!(line.read(5).map(|summary| summary.sends), Ok(3));
    line.has_sent(&[NKE_5, FCB_1, FCB_1]);
    assert_eq!(line.pauses()[1], 50 + 11 * telegram.len() as u128 + 33);
    assert_eq!(line.telegrams, [telegram]);
}

#[test]
fn after_an_error_the_line_is_drained_until_it_is_silent() {
    let mut line = Line::new();
    let telegram = answer(5, HEAT, 1, false);
    let noise = [0x00; 40];
    line.answers(ACK).answers(&noise).answers(&telegram);
    line.read(5).unwrap();
    assert_eq!(line.pauses()[1], 50 + 11 * 40 + 33);
    assert_eq!(line.telegrams, [telegram]);
}

#[test]
fn a_line_that_never_falls_silent_is_given_up() {
    let mut line = Line::new();
    let noise = [0x00; 2000];
    line.then(&[(50, &noise)]);
    let failure = line.read(5).unwrap_err();
    assert_eq!(failure.reason, Reason::NeverSilent);
    assert_eq!(failure.sends, 1);
}

#[test]
fn a_frame_may_pause_but_not_for_long() {
    let telegram = answer(5, HEAT, 1, false);
    let (head, tail) = telegram.split_at(9);
    let behind_head = 50 + 11 * 9;
    let mut line = Line::new();
    line.answers(ACK).then(&[(50, head), (behind_head + 21, tail)]);
    assert_eq!(line.read(5).map(|summary| summary.sends), Ok(2));

    let mut line = Line::new();
    line.answers(ACK).then(&[(50, head)]).then(&[(50, head)]).then(&[(50, head)]);
    let failure = line.read(5).unwrap_err();
    let broken_off = DecodeError { at: 9, flaw: Flaw::Truncated(Part::Frame) };
    assert_eq!(failure.reason, Reason::Garbled(broken_off));
}

/// The rest of a frame after a pause that was too long is let by before the meter is asked again.
#[test]
fn the_rest_of_a_broken_frame_does_not_meet_the_next_request() {
    let telegram = answer(5, HEAT, 1, false);
    let (head, tail) = telegram.split_at(9);
    let pause = 50 + 11 * 9 + 200;
    let mut line = Line::new();
    line.answers(ACK).then(&[(50, head), (pause, tail)]).answers(&telegram);
    assert_eq!(line.read(5).map(|summary| summary.sends), Ok(3));
    assert_eq!(line.pauses()[1], u128::from(pause) + 11 * tail.len() as u128 + 33);
    assert_eq!(line.telegrams, [telegram]);
}

/// A byte in every 30 bit times, for ever: no pause is too long, and yet there is no end.
#[test]
fn a_meter_that_drips_its_bytes_holds_the_line_no_longer_than_two_frames() {
    let drip: Vec<(u32, &[u8])> = [0x68, 0xFF, 0xFF, 0x68, 0x08]
        .iter()
        .chain([&0; 2000])
        .zip(0..)
        .map(|(byte, count)| (50 + 30 * count, std::slice::from_ref(byte)))
        .collect();
    let mut line = Line::new();
    line.answers(ACK).then(&drip);
    let begin = in_bits(line.now);
    let failure = line.read(5).unwrap_err();
    assert_eq!((failure.reason, failure.sends), (Reason::NeverSilent, 2));
    let (two_frames, noise) = (2 * 261 * 11, SILENCE + 261 * 11);
    let took = in_bits(line.now) - begin;
    assert!(took < 3 * SILENCE + two_frames + noise, "{took} bit times");
}

#[test]
fn frame_after_frame_of_another_meter_holds_the_line_no_longer_than_two_of_the_longest() {
    let babble = answer(6, WATER, 9, false).repeat(200);
    let mut line = Line::new();
    line.answers(ACK).answers(&babble);
    let begin = in_bits(line.now);
    let failure = line.read(5).unwrap_err();
    assert_eq!((failure.reason, failure.sends), (Reason::NeverSilent, 2));
    let took = in_bits(line.now) - begin;
    assert!(took < 3 * SILENCE + 3 * 261 * 11, "{took} bit times");
    assert!(line.telegrams.is_empty());
}

#[test]
fn several_telegrams_are_asked_for_until_there_are_no_more() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(5, HEAT, 1, true)).answers(&answer(5, HEAT, 2, true));
    line.answers(&answer(5, HEAT, 3, false));
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow, summary.repeated), (3, false, false));
    line.has_sent(&[NKE_5, FCB_1, FCB_0, FCB_1]);

    // Such a meter is told to begin anew each time.
    line.sent.clear();
    line.answers(ACK).answers(&answer(5, HEAT, 1, false));
    line.read(5).unwrap();
    line.has_sent(&[NKE_5, FCB_1]);
}

#[test]
fn a_meter_that_repeats_itself_for_ever_is_stopped() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(5, HEAT, 1, true)).answers(&answer(5, HEAT, 2, true));
    line.answers(&answer(5, HEAT, 1, true));
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.repeated), (2, true));
    assert_eq!(line.telegrams.len(), 2);
}

#[test]
fn no_meter_is_asked_for_more_telegrams_than_set() {
    let mut line = Line::with(Settings { max_telegrams: 3, ..Settings::new(2400) });
    line.answers(ACK);
    for value in 0..10 {
        line.answers(&answer(5, HEAT, value, true));
    }
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow), (3, true));
    assert_eq!(line.sent.len(), 4);
}

#[test]
fn what_came_before_a_failure_has_been_given_away() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(5, HEAT, 1, true));
    let failure = line.read(5).unwrap_err();
    assert_eq!((failure.telegrams, failure.reason), (1, Reason::Silent));
    assert_eq!(line.telegrams.len(), 1);
}

#[test]
fn echoes_are_taken_away() {
    let mut line = Line::new();
    let telegram = answer(5, HEAT, 1, false);
    let echo = |frame: &str| -> Vec<u8> {
        (0..frame.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(frame.get(at..at + 2).unwrap(), 16).unwrap())
            .collect()
    };
    // The echo is there when the frame has been sent.
    let mut line_with_echo = |answer: &[u8], sent: &str| {
        line.then(&[(0, &echo(sent)), (11 * 5 + 50, answer)]);
    };
    line_with_echo(ACK, NKE_5);
    line_with_echo(&telegram, FCB_1);
    let summary = line.read(5).unwrap();
    assert_eq!((summary.sends, summary.foreign), (2, 0));
    assert!(line.session.echoes());
    assert_eq!(line.telegrams, [telegram]);
}

#[test]
fn an_echo_alone_is_silence() {
    let mut line = Line::new();
    line.then(&[(0, &[0x10, 0x40, 0x05, 0x45, 0x16])]);
    let failure = line.run(&Task::Ping { to: Primary(5), sends: 1 }).unwrap_err();
    assert_eq!(failure.reason, Reason::Silent);
}

#[test]
fn another_meters_answer_is_thrown_away_and_the_wait_goes_on() {
    let mut line = Line::new();
    let (foreign, right) = (answer(6, WATER, 9, false), answer(5, HEAT, 1, false));
    line.answers(ACK).then(&[(30, &foreign), (30 + 11 * 30, &right)]);
    let summary = line.read(5).unwrap();
    assert_eq!((summary.sends, summary.foreign), (2, 1));
    assert_eq!(line.telegrams, [right]);
}

#[test]
fn another_meters_answer_alone_is_no_answer() {
    let mut line = Line::new();
    let foreign = answer(6, WATER, 9, false);
    line.answers(ACK).answers(&foreign).answers(&foreign).answers(&foreign);
    assert_eq!(line.read(5).unwrap_err().reason, Reason::Foreign);
    assert!(line.telegrams.is_empty());
}

#[test]
fn a_masters_frame_and_an_acknowledge_are_no_telegrams() {
    let mut line = Line::new();
    let mut of_master = answer(5, HEAT, 1, false);
    of_master[4] = 0x53;
    let checksum_at = of_master.len() - 2;
    of_master[checksum_at] = of_master[checksum_at].wrapping_add(0x53 - 0x08);
    line.answers(ACK).answers(&of_master).answers(ACK).silence();
    assert_eq!(line.read(5).unwrap_err().reason, Reason::Silent);
    assert!(line.telegrams.is_empty());
}

#[test]
fn a_telegram_is_no_acknowledge() {
    let mut line = Line::new();
    let telegram = answer(5, HEAT, 1, false);
    line.answers(&telegram).answers(ACK).answers(&telegram);
    line.read(5).unwrap();
    line.has_sent(&[NKE_5, NKE_5, FCB_1]);
    assert_eq!(line.telegrams, [telegram]);
}

/// The answer to the first saying comes after the second one: it is the meter's answer to this
/// request, but another one is still to come, and must not be taken for the next telegram.
#[test]
fn after_a_repetition_the_second_answer_is_waited_for() {
    let mut line = Line::new();
    let (first, second) = (answer(5, HEAT, 1, true), answer(5, HEAT, 2, false));
    let late = u32::try_from(SILENCE).unwrap() + 100;
    line.answers(ACK).then(&[(late, &first)]).then(&[(400, &first)]).answers(&second);
    assert_eq!(line.read(5).map(|summary| summary.repeated), Ok(false));
    line.has_sent(&[NKE_5, FCB_1, FCB_1, FCB_0]);
    assert_eq!(line.pauses()[2], 400 + 11 * first.len() as u128 + 33);
    assert_eq!(line.telegrams, [first, second]);
}

/// The answer to a request that was given up comes when the meter is asked again.
#[test]
fn an_answer_to_an_earlier_readout_is_never_taken() {
    let mut line = Line::new();
    let (old, new) = (answer(5, HEAT, 1, false), answer(5, HEAT, 2, false));
    let late = u32::try_from(SILENCE).unwrap() + 90;
    line.answers(ACK).silence().silence().then(&[(late, &old)]);
    assert_eq!(line.read(5).unwrap_err().reason, Reason::Silent);
    // The reset's acknowledge comes behind it, so what comes behind that is new.
    line.then(&[(400, ACK)]).answers(&new);
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.foreign), (1, 1));
    assert_eq!(line.telegrams, [new]);
}

#[test]
fn without_a_reset_a_late_answer_is_waited_out() {
    let mut line = Line::new();
    let meter = Target::Primary(Primary(5));
    let task = Task::Read { meter, reset: Reset::Never, prelude: None };
    let (old, new) = (answer(5, HEAT, 1, false), answer(5, HEAT, 2, false));
    let late = u32::try_from(SILENCE).unwrap() + 90;
    line.silence().silence().then(&[(late, &old)]).answers(&new);
    assert_eq!(line.run(&task).unwrap_err().reason, Reason::Silent);
    assert_eq!(line.run(&task).map(|summary| summary.foreign), Ok(0));
    assert_eq!(line.telegrams, [new]);
}

#[test]
fn a_task_that_is_given_up_leaves_no_answer_behind() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(5, HEAT, 1, false));
    line.read(5).unwrap();
    line.telegrams.clear();
    // Its request has just been sent; its answer will come.
    let meter = Target::Primary(Primary(5));
    let task = Task::Read { meter, reset: Reset::Never, prelude: None };
    line.session.start(&task, None, line.now).unwrap();
    while !matches!(line.session.poll(line.now), Action::Send(_)) {
        line.now += bit_times(1);
    }
    let old = answer(5, HEAT, 2, false);
    let begin = line.now + bit_times(55 + 300);
    line.coming =
        old.iter().zip(0..).map(|(byte, at)| (begin + bit_times(11 * at), *byte)).collect();
    let new = answer(5, HEAT, 3, false);
    line.answers(&new);
    line.run(&task).unwrap();
    assert_eq!(line.telegrams, [new]);
}

/// It was given up while it was waited for no longer than this meter usually takes.
#[test]
fn an_answer_that_is_later_than_usual_is_not_that_to_the_next_task() {
    let mut line = Line::new();
    let meter = Target::Primary(Primary(5));
    let task = Task::Read { meter, reset: Reset::Never, prelude: None };
    let patience = Patience { usual: bit_times(60), at_last: bit_times(900) };
    line.session.start(&task, Some(patience), line.now).unwrap();
    while !matches!(line.session.poll(line.now), Action::Send(_)) {
        line.now += bit_times(1);
    }
    let (old, new) = (answer(5, HEAT, 2, false), answer(5, HEAT, 3, false));
    let begin = line.now + bit_times(55 + 400);
    line.coming =
        old.iter().zip(0..).map(|(byte, at)| (begin + bit_times(11 * at), *byte)).collect();
    line.now += bit_times(55 + 50);
    line.answers(&new);
    line.run(&task).unwrap();
    assert_eq!(line.telegrams, [new]);
}

#[test]
fn a_meter_is_selected_by_its_own_address_and_asked_as_253() {
    let mut line = Line::new();
    let telegram = answer(0, HEAT, 1, false);
    line.answers(ACK).answers(&telegram);
    let meter = Target::Secondary(HEAT.parse().unwrap());
    line.run(&Task::Read { meter, reset: Reset::WhenNeeded, prelude: None }).unwrap();
    line.has_sent(&["680B0B6853FD52221100672D2C3504CE16", "107BFD7816"]);
    assert_eq!(line.telegrams, [telegram]);
}

#[test]
fn an_enhanced_selection_names_the_fabrication_number() {
    let mut line = Line::new();
    line.answers(ACK).answers(&answer(0, HEAT, 1, false));
    let meter = Target::Secondary("67001122KAM3504/00000012".parse().unwrap());
    line.run(&Task::Read { meter, reset: Reset::WhenNeeded, prelude: None }).unwrap();
    assert_eq!(
        line.sent[0].1,
        "68111168 53FD52 22110067 2D2C3504 0C7812000000 6416".replace(' ', "")
    );
}

#[test]
fn a_selected_meter_must_be_the_one_that_was_meant() {
    let mut line = Line::new();
    let other = answer(0, WATER, 9, false);
    line.answers(ACK).answers(&other).answers(&other).answers(&other);
    let meter = Target::Secondary("67001122".parse().unwrap());
    let failure =
        line.run(&Task::Read { meter, reset: Reset::WhenNeeded, prelude: None }).unwrap_err();
    assert_eq!((failure.step, failure.reason), (Step::Command, Reason::Foreign));
    assert!(line.telegrams.is_empty());
}

/// Otherwise it would take the next request, with FCB 1 again, for a repetition.
#[test]
fn a_meter_that_is_still_selected_is_deselected_before_it_is_selected_again() {
    let mut line = Line::new();
    let [heat, water] = [HEAT, WATER].map(|id| Task::Read {
        meter: Target::Secondary(id.parse().unwrap()),
        reset: Reset::WhenNeeded,
        prelude: None,
    });
    line.answers(ACK).answers(&answer(0, HEAT, 1, false));
    line.run(&heat).unwrap();
    line.answers(ACK).answers(ACK).answers(&answer(0, HEAT, 2, false));
    line.run(&heat).unwrap();
    line.answers(ACK).answers(&answer(0, WATER, 3, false));
    line.run(&water).unwrap();
    let frames: Vec<&str> = line.sent.iter().map(|(_, frame)| frame.get(..4).unwrap()).collect();
    assert_eq!(frames, ["680B", "107B", "1040", "680B", "107B", "680B", "107B"]);
    // One that does not answer to that any more has lost its supply, and is selected all the same.
    line.silence().answers(ACK).answers(&answer(0, WATER, 4, false));
    line.run(&water).unwrap();
    assert_eq!(line.telegrams.len(), 4);
}

#[test]
fn a_probe_tells_silence_one_meter_and_several() {
    let probe = |sends| Task::Probe { selection: Selection::ALL, sends };
    let mut line = Line::new();
    assert_eq!(line.run(&probe(2)).unwrap_err().reason, Reason::Silent);
    assert_eq!(line.sent.len(), 2);

    let mut line = Line::new();
    line.silence().answers(ACK);
    assert_eq!(line.run(&probe(2)).map(|summary| summary.sends), Ok(2));

    let several: [&[u8]; 4] = [&[0xE5, 0xE5], &[0xA5], &[0xE5, 0x00], &[0x68, 0xE5]];
    for garbled in several {
        let mut line = Line::new();
        line.answers(garbled);
        let failure = line.run(&probe(3)).unwrap_err();
        assert!(matches!(failure.reason, Reason::Garbled(_)), "{garbled:02X?}");
        assert_eq!(line.sent.len(), 1);
    }
}

#[test]
fn data_is_sent_after_a_reset_with_fcb_1() {
    let mut line = Line::new();
    line.answers(ACK).answers(ACK).answers(ACK);
    let data = Request::set_address(Primary(7)).unwrap();
    let meter = Target::Primary(Primary(5));
    let task = Task::Send { meter, ci: ci::DATA, data: &data };
    line.run(&task).unwrap();
    line.run(&task).unwrap();
    line.has_sent(
        &[NKE_5, "680606687305 51017A07 4B16", "680606685305 51017A07 2B16"]
            .map(|frame| &*frame.replace(' ', "").leak()),
    );
}

#[test]
fn data_finds_a_meter_by_its_own_address_too() {
    let mut line = Line::new();
    line.answers(ACK).answers(ACK);
    let meter = Target::Secondary(HEAT.parse().unwrap());
    line.run(&Task::Send { meter, ci: ci::DATA, data: &[0x01, 0x7A, 0x07] }).unwrap();
    line.has_sent(&["680B0B6853FD52221100672D2C3504CE16", "6806066873FD51017A074316"]);
}

#[test]
fn data_that_no_frame_can_hold_is_refused() {
    let mut line = Line::new();
    let meter = Target::Primary(Primary(5));
    let task = Task::Send { meter, ci: ci::DATA, data: &[0; 253] };
    assert_eq!(line.session.start(&task, None, line.now), Err(Full));
    assert_eq!(line.session.poll(line.now), Action::Idle);
}

#[test]
fn a_new_speed_begins_after_the_acknowledge() {
    let mut line = Line::new();
    line.answers(ACK);
    line.run(&Task::SetBaud { meter: Primary(5), baud: Baud::B9600 }).unwrap();
    line.has_sent(&["680303685305BD1516"]);
    assert_eq!(line.bauds, [Baud::B9600]);
    assert_eq!(line.session.settings().baud, 9600);
}

#[test]
fn an_alarm_is_a_telegram_or_nothing() {
    let mut line = Line::new();
    line.answers(ACK).answers(ACK);
    assert_eq!(line.run(&Task::Alarm(Primary(5))).map(|summary| summary.telegrams), Ok(0));
    let mut buffer = [0; 16];
    let alarm = write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::ALARM, |w| w.byte(4));
    line.answers(alarm.unwrap());
    assert_eq!(line.run(&Task::Alarm(Primary(5))).map(|summary| summary.telegrams), Ok(1));
    line.has_sent(&[NKE_5, "107A057F16", "105A055F16"]);
}

#[test]
fn nobody_answers_to_255() {
    let mut line = Line::new();
    line.run(&Task::Ping { to: Primary::ALL_SILENT, sends: 3 }).unwrap();
    line.has_sent(&["1040FF3F16"]);
}

#[test]
fn the_slowest_answer_is_told() {
    let mut line = Line::new();
    line.then(&[(20, ACK)]).then(&[(60, &answer(5, HEAT, 1, false))]);
    let slowest = line.read(5).unwrap().slowest_answer;
    // To the end of its first character.
    assert_eq!(in_bits(slowest), 60 + 11);
}

proptest! {
    /// Whatever comes and whenever it comes: the task ends, and what is given away is a whole
    /// frame of the meter that was asked.
    #[test]
    fn nothing_that_comes_makes_it_panic_or_hang(
        kind in 0_usize..7,
        script in prop::collection::vec(
            prop::collection::vec((0_u32..600, any_answer()), 0..3), 0..8),
    ) {
        let meter = Target::Primary(Primary(5));
        let selection: Selection = HEAT.parse().unwrap();
        let tasks = [
            Task::Read { meter, reset: Reset::WhenNeeded, prelude: None },
            Task::Read { meter: Target::Secondary(selection), reset: Reset::WhenNeeded, prelude: None },
            Task::Ping { to: Primary(5), sends: 3 },
            Task::Probe { selection, sends: 2 },
            Task::Alarm(Primary(5)),
            Task::Send { meter, ci: ci::DATA, data: &[1, 2, 3] },
            Task::SetBaud { meter: Primary(5), baud: Baud::B2400 },
        ];
        let mut line = Line::new();
        line.script = script.into();
        let _ = line.run(&tasks[kind]);
        let _ = line.read(5);
        for telegram in &line.telegrams {
            let Ok(Frame::Long(long)) = Frame::read(telegram) else { panic!("no long frame") };
            prop_assert!(long.control.is(Control::RSP_UD));
        }
    }
}

/// Right answers, wrong ones and noise.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(ACK.to_vec()),
        (0_u8..8, 0_i64..4, any::<bool>())
            .prop_map(|(address, value, more)| answer(address, HEAT, value, more)),
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0_usize..27).prop_map(|(byte, at)| {
            let mut telegram = answer(5, HEAT, 1, false);
            telegram[at] = byte;
            telegram
        }),
    ]
}
