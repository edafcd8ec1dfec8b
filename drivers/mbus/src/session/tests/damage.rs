//! Silence, noise and frames that break off.

use super::*;

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
