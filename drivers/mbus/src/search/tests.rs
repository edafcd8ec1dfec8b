//! Searches on a line full of simulated meters, on a clock that only these tests turn.

use super::*;
use crate::{Control, Header, Manufacturer, Medium, Request, Settings, Status, ci, write_frame};

/// A meter that does what the standard says.
#[derive(Clone)]
struct Meter {
    address: Secondary,
    primary: u8,
    fabrication: Option<u32>,
    selected: bool,
    /// How many bit times after a request it begins to answer.
    reaction: u32,
    /// It acknowledges, but never sends a telegram.
    mute: bool,
}

impl Meter {
    fn new(id: u32) -> Self {
        let address = Secondary {
            id: Id(id),
            manufacturer: Manufacturer(0x2C2D),
            version: 0x35,
            medium: Medium::new(4),
        };
        Self { address, primary: 0, fabrication: None, selected: false, reaction: 50, mute: false }
    }

    fn hears(&mut self, request: &Request<'_>) -> Option<Vec<u8>> {
        let ack = Some(vec![0xE5]);
        match *request {
            Request::Select(selection) => {
                self.selected = selection.matches(&self.address, self.fabrication);
                self.selected.then_some(ack).flatten()
            }
            Request::Reset(to) if to == Primary(self.primary) => ack,
            Request::Data { to: Primary::SELECTED, .. } if self.selected && !self.mute => {
                let mut buffer = [0; 64];
                let (control, primary) = (Control::RSP_UD, Primary(self.primary));
                let frame = write_frame(&mut buffer, control, primary, ci::RECORDS, |w| {
                    Header::long(self.address, 1, Status::OK).write(w)?;
                    // Something that only this meter says, so that two telegrams never overlap well.
                    w.bytes(&[0x04, 0x78])?;
                    w.bytes(&self.fabrication.unwrap_or(self.address.id.0).to_le_bytes())
                });
                Some(frame.unwrap().to_vec())
            }
            _ => None,
        }
    }
}

struct Bus {
    meters: Vec<Meter>,
    session: Session,
    now: Duration,
    coming: Vec<(Duration, u8)>,
    /// What was selected, in order.
    selections: Vec<Selection>,
    /// How many of the selections were acknowledged.
    acknowledged: usize,
    reads: usize,
    /// After this many selections comes noise instead of silence.
    noise_at: Option<usize>,
}

const BAUD: u32 = 2400;

impl Bus {
    fn new(meters: Vec<Meter>) -> Self {
        let settings = Settings { slack: Duration::ZERO, ..Settings::new(BAUD) };
        Self {
            meters,
            session: Session::new(settings),
            now: Duration::from_secs(5),
            coming: Vec::new(),
            selections: Vec::new(),
            acknowledged: 0,
            reads: 0,
            noise_at: None,
        }
    }

    fn of(ids: &[u32]) -> Self {
        Self::new(ids.iter().map(|id| Meter::new(*id)).collect())
    }

    /// The meters that hear `frame` answer at once; where two speak, a 0 wins each bit.
    fn send(&mut self, frame: &[u8]) {
        let request = Request::read(&Frame::read(frame).unwrap()).unwrap();
        match request {
            Request::Select(selection) => self.selections.push(selection),
            _ => self.reads += 1,
        }
        let bit = Duration::from_secs(1) / BAUD;
        let end = self.now + bit * 11 * u32::try_from(frame.len()).unwrap();
        let mut line: Vec<(Duration, u8)> = Vec::new();
        for meter in &mut self.meters {
            let Some(answer) = meter.hears(&request) else { continue };
            for (byte, count) in answer.iter().zip(1..) {
                let at = end + bit * (meter.reaction + 11 * count);
                match line.iter_mut().find(|(busy, _)| *busy == at) {
                    Some((_, other)) => *other &= byte,
                    None => line.push((at, *byte)),
                }
            }
        }
        self.acknowledged += usize::from(matches!(request, Request::Select(_)) && !line.is_empty());
        if self.noise_at == Some(self.selections.len()) && line.is_empty() {
            line.push((end + bit * 100, 0x80));
        }
        self.coming.extend(line);
        self.coming.sort_by_key(|(at, _)| *at);
    }

    fn wait(&mut self, until: Duration) {
        match self.coming.first().copied() {
            Some((at, byte)) if at <= until => {
                self.coming.remove(0);
                self.now = self.now.max(at);
                self.session.received(&[byte], self.now);
            }
            _ => self.now = until,
        }
    }

    /// Runs the search to its end, or until it has found `enough`.
    fn search(&mut self, search: &mut Search<'_>, enough: usize) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..200_000 {
            match search.poll(&mut self.session, self.now) {
                SearchAction::Send(frame) => {
                    let frame = frame.to_vec();
                    self.send(&frame);
                }
                SearchAction::Wait(until) => self.wait(until),
                SearchAction::Pause => {}
                SearchAction::Found(Found { meter, selection, .. }) => {
                    found.push(meter.map_or(format!("? {selection}"), |meter| meter.to_string()));
                    if found.len() == enough {
                        return found;
                    }
                }
                SearchAction::Unresolved(selection) => found.push(format!("several {selection}")),
                SearchAction::Failed(failure) => panic!("{failure}"),
                SearchAction::Done => return found,
            }
        }
        panic!("the search runs in a circle");
    }

    fn search_all(&mut self) -> Vec<String> {
        self.search(&mut Search::new(&[]), usize::MAX)
    }
}

fn texts(ids: &[u32]) -> Vec<String> {
    let mut texts: Vec<String> = ids.iter().map(|id| Meter::new(*id).address.to_string()).collect();
    texts.sort();
    texts
}

/// Eight digits each, the same in each run.
fn random_ids(count: usize) -> Vec<u32> {
    let mut state = 20_261_121_u64;
    let mut ids = Vec::new();
    while ids.len() < count {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let decimal = (state >> 33) % 100_000_000;
        let id = u32::from_str_radix(&format!("{decimal:08}"), 16).unwrap();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[test]
fn an_empty_bus_takes_one_selection() {
    let mut bus = Bus::of(&[]);
    assert!(bus.search_all().is_empty());
    assert_eq!(bus.selections, [Selection::ALL]);
}

#[test]
fn one_meter_takes_one_selection_one_request_and_a_second_look() {
    let mut bus = Bus::of(&[0x1234_5679]);
    assert_eq!(bus.search_all(), texts(&[0x1234_5679]));
    assert_eq!((bus.selections.len(), bus.reads), (2, 1));
}

/// Two meters of one delivery that answer to the same bit: 8 and 9 together look like 8.
#[test]
fn nobody_hides_behind_a_meter_that_says_nearly_the_same() {
    for delivery in 0..100 {
        let first = u32::from_str_radix(&format!("4319{delivery:02}78"), 16).unwrap();
        let ids = [first, first + 1];
        let mut found = Bus::of(&ids).search_all();
        found.sort();
        assert_eq!(found, texts(&ids));
    }
}

#[test]
fn sixty_meters_are_found_each_once() {
    let ids = random_ids(60);
    for spread in [0, 1, 7, 40] {
        let mut bus = Bus::of(&ids);
        for (index, meter) in (0..).zip(&mut bus.meters) {
            meter.reaction = 30 + index * spread % 290;
        }
        let mut found = bus.search_all();
        found.sort();
        assert_eq!(found, texts(&ids), "reaction times {spread} bit times apart");
        // A simulation of such buses took 250 in the mean. There is a second look at each meter
        // where all are quick to the same bit, and one or two at whoever may hide behind it.
        let more = if spread == 0 { 3 * 60 } else { 40 };
        assert!(bus.selections.len() < 250 + more, "{} selections", bus.selections.len());
    }
}

/// The second acknowledge comes when the first meter is already asked, and the second telegram when
/// the first has been understood.
#[test]
fn a_slow_meter_is_not_hidden_by_a_quick_one() {
    let mut bus = Bus::of(&[0x1234_5678, 0x2345_6789]);
    bus.meters[0].reaction = 11;
    bus.meters[1].reaction = 330;
    let mut found = bus.search_all();
    found.sort();
    assert_eq!(found, texts(&[0x1234_5678, 0x2345_6789]));
}

/// Its acknowledge comes while the other meter is already asked for its telegram.
#[test]
fn a_slow_meter_that_only_acknowledges_is_not_hidden_either() {
    let mut bus = Bus::of(&[0x1234_5678, 0x2345_6789]);
    bus.meters[0].reaction = 11;
    bus.meters[1].reaction = 60;
    bus.meters[1].mute = true;
    let mut found = bus.search_all();
    found.sort();
    assert_eq!(found, ["12345678KAM3504", "? 23456789"]);
}

/// The ideal: each selection and the time in which a meter may answer it, or its answer.
#[test]
fn nine_tenths_of_the_time_are_the_wires() {
    let ids = random_ids(60);
    let mut bus = Bus::of(&ids);
    let begin = bus.now;
    bus.search_all();
    let bits = |count: usize| Duration::from_secs(1) * u32::try_from(count).unwrap() / BAUD;
    let silent = bus.selections.len() - bus.acknowledged;
    let select = bits(17 * 11);
    let silence = select + bits(330) + Duration::from_millis(50);
    let ack = select + bits(50 + 11);
    let telegram = bits(5 * 11 + 50 + 11 * 27);
    let ideal = silence * u32::try_from(silent).unwrap()
        + ack * u32::try_from(bus.acknowledged).unwrap()
        + telegram * u32::try_from(bus.reads).unwrap();
    let taken = bus.now.saturating_sub(begin);
    assert!(ideal * 10 >= taken * 9, "{ideal:?} of {taken:?}");
}

#[test]
fn equal_numbers_are_told_apart_by_the_fabrication_number() {
    let mut bus = Bus::of(&[0x1234_5678; 3]);
    for (number, meter) in (0..).zip(&mut bus.meters) {
        meter.fabrication = Some(0x0000_4711 + number);
        meter.reaction += 3 * number;
    }
    let found = bus.search_all();
    assert_eq!(found, vec![bus.meters[0].address.to_string(); 3]);
}

#[test]
fn equal_numbers_without_that_are_told_apart_by_medium_version_and_manufacturer() {
    let mut bus = Bus::of(&[0x1234_5678; 4]);
    bus.meters[1].address.medium = Medium::new(0x0D);
    bus.meters[2].address.version = 0xA7;
    bus.meters[3].address.manufacturer = Manufacturer::of("ELS").unwrap();
    let mut expected: Vec<_> = bus.meters.iter().map(|meter| meter.address.to_string()).collect();
    let mut found = bus.search_all();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn digits_from_a_to_e_are_tried_where_no_other_is_answered() {
    let ids = [0x1234_5678, 0xC1A0_0007, 0xC1B0_0007];
    let mut bus = Bus::of(&ids);
    bus.meters[2].reaction += 3;
    let mut found = bus.search(&mut Search::new(&[]).thoroughly(), usize::MAX);
    found.sort();
    assert_eq!(found, texts(&ids));

    // Here all at the root have such a digit.
    let mut bus = Bus::of(&[0xC1A0_0007, 0xC1B0_0007]);
    bus.meters[1].reaction += 3;
    let mut found = bus.search_all();
    found.sort();
    assert_eq!(found, texts(&ids[1..]));
}

#[test]
fn a_number_that_no_selection_finds_is_found_by_its_medium() {
    // A digit F stands for any, so that F1 and F2 answer to F and to nothing else in that place.
    let mut bus = Bus::of(&[0xFFFF_FFF1, 0xFFFF_FFF2]);
    bus.meters[1].address.medium = Medium::new(7);
    assert_eq!(bus.search_all().len(), 2);
}

#[test]
fn known_meters_are_left_out() {
    let ids = random_ids(60);
    let (known, new) = ids.split_at(57);
    let known: Vec<Id> = known.iter().map(|id| Id(*id)).collect();
    let mut bus = Bus::of(&ids);
    let mut found = bus.search(&mut Search::new(&known), usize::MAX);
    found.sort();
    assert_eq!(found, texts(new));
    assert_eq!(bus.reads, 3);
    let asked_known = |selection: &Selection| known.iter().any(|id| selection.matches_id(*id));
    assert!(!bus.selections.iter().any(asked_known));
}

#[test]
fn a_search_can_be_left_and_gone_on_with() {
    let ids = random_ids(60);
    let mut bus = Bus::of(&ids);
    let mut found = Vec::new();
    let mut place = Place::START;
    while !place.has_ended() {
        let mut search = Search::resume(place, &[]);
        found.extend(bus.search(&mut search, 7));
        place = search.place();
    }
    found.sort();
    assert_eq!(found, texts(&ids));
}

#[test]
fn noise_does_not_lead_far() {
    let mut bus = Bus::of(&[0x1234_5678, 0x2345_6789]);
    bus.meters[1].reaction += 3;
    // The root and 0…; then 1… and 2… with a second look each, and one at who may hide behind the
    // first; then 3…, where there is none.
    bus.noise_at = Some(8);
    let mut found = bus.search_all();
    found.sort();
    assert_eq!(found, texts(&[0x1234_5678, 0x2345_6789]));
    // The root and ten digits, the looks at two meters, ten below the noise, and a look at it.
    assert_eq!(bus.selections.len(), 1 + 10 + 3 + 10 + 1);
}

#[test]
fn twins_are_told_as_what_they_are() {
    let mut bus = Bus::of(&[0x1234_5678; 2]);
    // They differ only in when they answer.
    bus.meters[1].reaction = 53;
    let found = bus.search_all();
    assert_eq!(found, ["several 12345678KAM3504"]);
}

#[test]
fn a_meter_that_only_acknowledges_is_found_by_its_digits() {
    let mut bus = Bus::of(&[0x1234_5678]);
    bus.meters[0].mute = true;
    assert_eq!(bus.search_all(), ["? 12345678"]);
}

#[test]
fn a_scan_tells_which_addresses_are_taken_and_which_twice() {
    let mut bus = Bus::of(&[1, 2, 3, 4]);
    for (meter, primary) in bus.meters.iter_mut().zip([0, 5, 5, 250]) {
        meter.primary = primary;
    }
    bus.meters[2].reaction = 53;
    let mut scan = PrimaryScan::new(Primary(0), Primary(255));
    let mut found = Vec::new();
    loop {
        match scan.poll(&mut bus.session, bus.now) {
            ScanAction::Send(frame) => {
                let frame = frame.to_vec();
                bus.send(&frame);
            }
            ScanAction::Wait(until) => bus.wait(until),
            ScanAction::Found(Primary(address)) => found.push(format!("{address}")),
            ScanAction::Several(Primary(address)) => found.push(format!("{address} twice")),
            ScanAction::Failed(failure) => panic!("{failure}"),
            ScanAction::Done => break,
        }
    }
    assert_eq!(found, ["0", "5 twice", "250"]);
    assert_eq!(bus.reads, 251);
    // A simulation gave 54 s for an empty bus at this speed.
    assert!(bus.now < Duration::from_secs(5 + 56), "{:?}", bus.now);
}
