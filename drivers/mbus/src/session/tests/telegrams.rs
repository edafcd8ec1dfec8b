//! Meters with several telegrams.

use super::*;

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

/// What is encrypted, and what is in it only its owner knows.
#[test]
fn a_telegram_that_announces_another_to_who_can_open_it_is_followed_by_it() {
    let sealed = |number: u8| {
        let mut buffer = [0; Frame::MAX_LEN];
        let ci = ci::RECORDS_SHORT_HEADER;
        let body = [number, 0, 0x10, 0x05, number, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        let frame =
            write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci, |w| w.bytes(&body)).unwrap();
        frame.to_vec()
    };
    let mut line = Line::new();
    line.answers(ACK).answers(&sealed(1)).answers(&sealed(2)).answers(&sealed(3));
    line.opened = [true, true, false].into();
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow, summary.repeated), (3, false, false));
    line.has_sent(&[NKE_5, FCB_1, FCB_0, FCB_1]);

    // One that says so for ever, and one that says it again.
    let mut line = Line::with(Settings { max_telegrams: 2, ..Settings::new(2400) });
    line.opened = [true; 9].into();
    line.answers(ACK).answers(&sealed(1)).answers(&sealed(2)).answers(&sealed(3));
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow), (2, true));
    line.answers(ACK).answers(&sealed(1)).answers(&sealed(1)).answers(&sealed(3));
    let summary = line.read(5).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow, summary.repeated), (1, false, true));
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
