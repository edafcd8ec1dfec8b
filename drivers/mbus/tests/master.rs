//! What goes wrong on a bus, in virtual time: each fault once, with meters that have it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic, in its helpers too"
)]

mod virtual_bus;

use std::time::Duration;

use mbus::{
    Baud, Prelude, Primary, PrimaryScan, Reason, Request, Reset, Responses, Search, Selection,
    Settings, Step, Target, Task, ci,
};
use virtual_bus::{Bus, HungUp, Quirk, Slave, Way, bits};

const FIVE: Target = Target::Primary(Primary(5));

fn bus(slaves: Vec<Slave>) -> Bus {
    Bus::new(Settings { slack: Duration::ZERO, ..Settings::new(2400) }, slaves)
}

fn five(quirk: Quirk, telegrams: usize) -> Slave {
    let mut slave = Slave::new(0x1234_5678, 5);
    (slave.quirk, slave.telegrams) = (quirk, telegrams);
    slave
}

fn read(bus: &mut Bus) -> Result<mbus::Summary, mbus::Failure> {
    bus.read(FIVE, Reset::WhenNeeded)
}

/// Which telegrams came: the last of its numbers says which it is.
fn telegrams(bus: &Bus) -> Vec<u8> {
    bus.telegrams.iter().map(|frame| frame[27]).collect()
}

#[test]
fn a_meter_that_ignores_the_fcb_is_read_to_its_end() {
    let mut bus = bus(vec![five(Quirk::IgnoresFcb, 3)]);
    assert_eq!(read(&mut bus).map(|summary| summary.telegrams), Ok(3));
    assert_eq!(telegrams(&bus), [0, 1, 2]);
}

/// It takes a repetition for a request of the next one: what was lost is missing, and what came is
/// right.
#[test]
fn what_such_a_meter_says_after_an_error_is_no_repetition_and_no_harm() {
    let mut bus = bus(vec![five(Quirk::IgnoresFcb, 3)]);
    bus.noise_every = Some(40);
    let summary = read(&mut bus);
    assert!(summary.is_err() || bus.telegrams.len() <= 3, "{summary:?}");
    let mut seen = telegrams(&bus);
    seen.dedup();
    assert_eq!(seen.len(), bus.telegrams.len(), "none came twice");
}

#[test]
fn a_meter_that_says_its_first_telegram_for_ever_is_left_after_the_second() {
    let mut bus = bus(vec![five(Quirk::RepeatsForEver, 1)]);
    let summary = read(&mut bus).unwrap();
    assert_eq!((summary.telegrams, summary.repeated, summary.more_follow), (1, true, false));
    assert_eq!(bus.telegrams.len(), 1);
}

#[test]
fn a_meter_that_announces_more_for_ever_is_left_after_as_many_as_set() {
    let mut bus = bus(vec![five(Quirk::Endless, 99)]);
    let summary = read(&mut bus).unwrap();
    assert_eq!((summary.telegrams, summary.more_follow), (8, true));
}

#[test]
fn an_application_reset_comes_before_the_readout_of_a_meter_that_wants_it() {
    let mut bus = bus(vec![five(Quirk::WantsApplicationReset, 2)]);
    read(&mut bus).unwrap();
    assert_eq!(telegrams(&bus), [1], "it says the second one alone");
    bus.telegrams.clear();
    for prelude in [Prelude::ApplicationReset(None), Prelude::ApplicationReset(Some(0x10))] {
        bus.read_after(FIVE, prelude).unwrap();
    }
    assert_eq!(telegrams(&bus), [0, 1, 0, 1]);
    assert_eq!(
        bus.slaves[0].told,
        [vec![ci::APPLICATION_RESET], vec![ci::APPLICATION_RESET, 0x10]]
    );
}

#[test]
fn data_are_chosen_before_the_readout_of_a_meter_that_is_selected_too() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    let meter = Target::Secondary("12345678KAM3504".parse().unwrap());
    bus.read_after(meter, Prelude::Everything).unwrap();
    bus.read_after(meter, Prelude::Only(&[0x08, 0x13])).unwrap();
    assert_eq!(bus.slaves[0].told, [vec![ci::DATA, 0x7F], vec![ci::DATA, 0x08, 0x13]]);
    assert_eq!(bus.telegrams.len(), 2);
    // Select, prelude, request; the second time it is deselected first.
    let kinds: Vec<u8> = bus.sent.iter().map(|frame| frame[0]).collect();
    assert_eq!(kinds, [0x68, 0x68, 0x10, 0x10, 0x68, 0x68, 0x10]);
}

#[test]
fn a_prelude_that_no_frame_can_hold_is_refused() {
    let mut bus = bus(vec![]);
    let prelude = Some(Prelude::Only(&[0; 253]));
    let task = Task::Read { meter: FIVE, reset: Reset::WhenNeeded, prelude };
    assert!(bus.session.start(&task, None, bus.now).is_err());
}

#[test]
fn a_prelude_that_is_not_acknowledged_is_told_as_that() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    read(&mut bus).unwrap();
    bus.slaves.clear();
    let failure = bus.read_after(FIVE, Prelude::Everything).unwrap_err();
    assert_eq!((failure.step, failure.reason), (Step::Prepare, Reason::Silent));
}

#[test]
fn two_meters_at_one_address_are_garbled_and_never_a_value() {
    let mut other = Slave::new(0x8765_4321, 5);
    other.reaction = bits(2400, 53);
    let mut bus = bus(vec![five(Quirk::None, 1), other]);
    let failure = read(&mut bus).unwrap_err();
    assert!(matches!(failure.reason, Reason::Garbled(_)), "{failure}");
    assert!(bus.telegrams.is_empty());
    let (found, several) = bus.scan(&mut PrimaryScan::new(Primary(4), Primary(6)));
    assert_eq!((found, several), (vec![], vec![5]));
    assert_eq!(bus.session.traffic().collisions, 0, "of the last address");
}

#[test]
fn two_meters_with_one_secondary_address_are_told_as_that() {
    let mut twin = Slave::new(0x1234_5678, 6);
    twin.reaction = bits(2400, 53);
    let mut bus = bus(vec![five(Quirk::None, 1), twin]);
    let (found, unresolved) = bus.search(&mut Search::new(&[]));
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(unresolved, ["12345678KAM3504".parse::<Selection>().unwrap()]);
}

#[test]
fn the_same_with_fabrication_numbers_are_two_meters_and_can_be_read() {
    let mut twin = Slave::new(0x1234_5678, 6);
    twin.reaction = bits(2400, 53);
    let mut slaves = vec![five(Quirk::None, 1), twin];
    (slaves[0].fabrication, slaves[1].fabrication) = (Some(0x0047_1100), Some(0x0047_1199));
    let mut bus = bus(slaves);
    let (found, _) = bus.search(&mut Search::new(&[]));
    assert_eq!(found.len(), 2);
    for meter in found {
        bus.read(Target::Secondary(meter.selection), Reset::WhenNeeded).unwrap();
    }
    assert_eq!(bus.telegrams.len(), 2);
}

#[test]
fn noise_costs_repetitions_and_no_value() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    bus.noise_every = Some(211);
    let mut right = 0;
    let (mut repeats, mut checksums, mut broken) = (0, 0, 0);
    for _ in 0..50 {
        right += u32::from(read(&mut bus).is_ok());
        let traffic = bus.session.traffic();
        repeats += traffic.repeats;
        checksums += traffic.checksum_errors;
        broken += traffic.broken;
    }
    assert_eq!(right, 50);
    assert_eq!(bus.telegrams.len(), 50);
    assert!(repeats >= 15 && checksums + broken == repeats, "{repeats} {checksums} {broken}");
}

#[test]
fn a_converter_that_hangs_up_in_a_telegram_leaves_nothing_behind() {
    let mut bus = bus(vec![five(Quirk::None, 3)]);
    read(&mut bus).unwrap();
    bus.telegrams.clear();
    // In the second telegram of the next readout.
    bus.hangs_up_after = Some(1 + 100 + 30);
    let task = Task::Read { meter: FIVE, reset: Reset::WhenNeeded, prelude: None };
    assert_eq!(bus.try_run(&task, None), Err(HungUp));
    bus.session.reconnected(bus.now);
    let learned = bus.session.answer_within();
    assert_eq!(read(&mut bus).map(|summary| summary.telegrams), Ok(3));
    assert_eq!(telegrams(&bus), [0, 0, 1, 2], "it was told to begin anew");
    assert_eq!(bus.session.answer_within(), learned);
}

#[test]
fn an_echo_is_counted_and_costs_nothing() {
    let mut bus = bus(vec![five(Quirk::None, 2)]);
    bus.echo = true;
    let before = bus.now;
    assert_eq!(read(&mut bus).map(|summary| summary.sends), Ok(3));
    assert_eq!(bus.session.traffic().echoes, 3);
    let with_echo = bus.since(before);
    bus.echo = false;
    bus.session.reconnected(bus.now);
    bus.now += Duration::from_secs(1);
    let before = bus.now;
    read(&mut bus).unwrap();
    assert_eq!(bus.since(before), with_echo);
}

#[test]
fn a_damaged_byte_that_the_port_tells_of_is_asked_again() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    read(&mut bus).unwrap();
    let task = Task::Read { meter: FIVE, reset: Reset::WhenNeeded, prelude: None };
    bus.session.start(&task, None, bus.now).unwrap();
    while !matches!(bus.session.poll(bus.now), mbus::Action::Send(_)) {
        bus.now += bits(2400, 1);
    }
    bus.now += bits(2400, 55 + 60);
    bus.session.line_error(bus.now);
    assert!(matches!(bus.session.poll(bus.now), mbus::Action::Wait(_)));
    bus.now += bits(2400, 40);
    assert!(matches!(bus.session.poll(bus.now), mbus::Action::Send(_)));
    let traffic = bus.session.traffic();
    assert_eq!((traffic.line_errors, traffic.repeats, traffic.broken), (1, 1, 0));
}

#[test]
fn response_times_are_told() {
    let mut bus = bus(vec![five(Quirk::None, 3)]);
    bus.slaves[0].reaction = Duration::from_millis(30);
    read(&mut bus).unwrap();
    let traffic = bus.session.traffic();
    assert_eq!((traffic.answers, traffic.responses.answers()), (4, 4));
    let (fastest, slowest) = (traffic.fastest.unwrap(), traffic.slowest.unwrap());
    let near = |time: Duration| time.abs_diff(Duration::from_millis(30)) < Duration::from_micros(1);
    assert!(near(fastest) && near(slowest), "{fastest:?} {slowest:?}");
}

/// A meter that takes six times as long as the standard allows is found at the second readout, and
/// is waited for from then on.
#[test]
fn a_meter_that_is_slower_than_the_standard_allows_is_learned() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    bus.slaves[0].reaction = Duration::from_millis(1_100);
    let mut known = Responses::NONE;
    let task = Task::Read { meter: FIVE, reset: Reset::WhenNeeded, prelude: None };
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let patience = bus.session.patience(&known);
        let result = bus.try_run(&task, Some(patience)).unwrap();
        known.add(&bus.session.traffic().responses);
        if result.is_err() {
            known.was_silent();
        }
        outcomes.push(result.map(|summary| summary.sends).map_err(|failure| failure.reason));
    }
    assert_eq!(outcomes[0], Err(Reason::Silent));
    assert!(outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!(outcomes[2..], [Ok(1), Ok(1)], "one request, without a repetition");
}

/// A meter that was always quick may still take as long as the standard allows, and is not asked
/// again before: the answer would meet the question.
#[test]
fn a_quick_meter_that_once_takes_its_time_is_not_asked_again() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    let mut known = Responses::NONE;
    for _ in 0..200 {
        read(&mut bus).unwrap();
        known.add(&bus.session.traffic().responses);
    }
    let settings = *bus.session.settings();
    bus.slaves[0].reaction = settings.slowest_answer();
    let patience = bus.session.patience(&known);
    assert!(patience.usual >= settings.slowest_answer() + settings.slack, "{patience:?}");
    let task = Task::Read { meter: FIVE, reset: Reset::WhenNeeded, prelude: None };
    let summary = bus.try_run(&task, Some(patience)).unwrap().unwrap();
    assert_eq!((summary.telegrams, bus.session.traffic().repeats), (1, 0));
}

/// What the converter adds is learned from its answers, so that silence costs no more than it must.
#[test]
fn the_converters_own_time_is_learned() {
    let learned = |way| {
        let mut slave = five(Quirk::None, 1);
        slave.reaction = bits(2400, 12);
        let mut bus = Bus::new(Settings::over_network(2400), vec![slave]);
        bus.way = way;
        let guessed = bus.session.answer_within();
        for _ in 0..12 {
            read(&mut bus).unwrap();
        }
        (guessed, bus.session.answer_within())
    };
    let standard = Settings::new(2400).slowest_answer();
    let (guessed, direct) = learned(Way::Direct);
    assert_eq!(guessed, standard + Duration::from_millis(300));
    assert!(direct < standard + Duration::from_millis(2), "{direct:?}");

    let chunk = Duration::from_millis(16);
    let (_, chunks) = learned(Way::Chunks(chunk));
    assert!(chunks >= standard + chunk && chunks <= standard + 4 * chunk, "{chunks:?}");

    // The first byte comes with the last one: a frame later than it was said.
    let (_, packets) = learned(Way::Packets(Duration::from_millis(40)));
    let frame = bits(2400, 100 * 11);
    assert!(packets >= standard + frame + Duration::from_millis(40), "{packets:?}");
}

#[test]
fn bytes_in_chunks_and_packets_are_read_all_the_same() {
    for way in [
        Way::Chunks(Duration::from_millis(16)),
        Way::Packets(Duration::from_millis(5)),
        Way::Packets(Duration::from_millis(250)),
    ] {
        let mut slave = five(Quirk::None, 3);
        slave.len = 255;
        // A converter that waits for the end of a frame needs that time on top.
        let slack = Duration::from_millis(1_700);
        let mut bus = Bus::new(Settings { slack, ..Settings::new(2400) }, vec![slave]);
        bus.way = way;
        for _ in 0..5 {
            assert_eq!(read(&mut bus).map(|summary| summary.sends), Ok(4), "{way:?}");
        }
    }
}

#[test]
fn a_new_speed_is_followed_and_an_old_one_gone_back_to() {
    let mut bus = bus(vec![five(Quirk::None, 1)]);
    let task = Task::SetBaud { meter: Primary(5), baud: Baud::B9600 };
    bus.run(&task).unwrap();
    assert_eq!((bus.baud, bus.session.settings().baud), (9600, 9600));
    read(&mut bus).unwrap();

    bus.slaves[0].quirk = Quirk::KeepsItsSpeed;
    bus.run(&Task::SetBaud { meter: Primary(5), baud: Baud::B2400 }).unwrap();
    assert_eq!(read(&mut bus).unwrap_err().reason, Reason::Silent);
    bus.baud = 9600;
    bus.session.set_baud(Baud::B9600);
    read(&mut bus).unwrap();
}

#[test]
fn a_new_address_is_answered_at() {
    for (quirk, moved) in [(Quirk::None, true), (Quirk::KeepsItsAddress, false)] {
        let mut bus = bus(vec![five(quirk, 1)]);
        let data = Request::set_address(Primary(77)).unwrap();
        bus.run(&Task::Send { meter: FIVE, ci: ci::DATA, data: &data }).unwrap();
        let new = Target::Primary(Primary(77));
        assert_eq!(bus.read(new, Reset::WhenNeeded).is_ok(), moved);
    }
}
