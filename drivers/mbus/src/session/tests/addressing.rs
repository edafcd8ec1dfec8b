//! Meters that are addressed by their own address, and who feels addressed.

use super::*;

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
