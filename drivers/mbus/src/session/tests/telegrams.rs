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
