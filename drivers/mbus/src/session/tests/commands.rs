//! What is said to a meter beside the request for its data, and what holds whatever it answers.

use super::*;

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
