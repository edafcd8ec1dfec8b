//! Echoes, other meters, and answers to what was asked before.

use super::*;

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
