//! M-Bus slaves: what they do with the frames of a master.
//!
//! | Question | Answer |
//! |---|---|
//! | `SND_NKE` to its address | E5; it forgets what it was asked last |
//! | `SND_NKE` to 253 | E5 of the selected one, which is so no longer |
//! | select (CI 52h or 56h to 253) | E5 if the address fits, wildcards and all; who does not fit is deselected |
//! | `REQ_UD2` | its data; with the same FCB as before, what it said before |
//! | `REQ_UD1` | E5: no alarm |
//! | `SND_UD`, CI 50h (application reset) | E5; it begins at its first telegram again |
//! | `SND_UD`, CI 51h with `01 7A aa` | E5; aa is its primary address from then on |
//!
//! 254 is for every slave and all of them answer; 255 is for every slave and none does. The
//! primary address and the selection have each their own memory of the FCB. Change of speed
//! (CI 0xB8 to 0xBF) is not understood: the slaves know one speed and stay silent.
//!
//! Slaves that answer at once collide: a bit that any of them holds at 0 is 0, because a slave
//! says 0 by drawing current. Two E5 that begin together are one clean E5. One that draws too much, by a
//! fault, is heard as a zero, and nobody else is.
//!
//! Source: EN 13757-2 and EN 13757-3, and the M-Bus user group's documentation.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mbus::{Control, Frame, Id, Long, Manufacturer, Medium, Primary, Secondary, Selection};
use mbus::{Writer, write_frame};

use crate::faults::{Handle, Utterance, spoiled};
use crate::line::wire_time;
use crate::meter::Meter;
use crate::replay::Captured;
use crate::telegrams;

/// The slaves of one line.
#[derive(Debug)]
pub(crate) struct Slaves {
    slaves: Vec<Slave>,
    baud: Option<u32>,
}

impl Slaves {
    pub(crate) const fn new(slaves: Vec<Slave>, baud: Option<u32>) -> Self {
        Self { slaves, baud }
    }

    /// Takes whole frames off the front of `heard`, and says what is answered to them.
    pub(crate) fn hear(&mut self, heard: &mut Vec<u8>, at: DateTime<Utc>) -> Vec<Utterance> {
        let mut said = Vec::new();
        while !heard.is_empty() {
            let whole = match Frame::expected_len(heard) {
                Ok(Some(length)) if length <= heard.len() => length,
                Ok(_) => break,
                Err(_) => {
                    heard.remove(0);
                    continue;
                }
            };
            let bytes: Vec<u8> = heard.drain(..whole).collect();
            // A slave does not answer to a frame that is not right, nor to an acknowledgement.
            if let Ok(frame) = Frame::read(&bytes) {
                let spent = self.baud.map_or(Duration::ZERO, |baud| wire_time(whole, baud));
                said.extend(self.answer(&frame, at, spent));
            }
        }
        said
    }

    fn answer(&mut self, frame: &Frame<'_>, at: DateTime<Utc>, spent: Duration) -> Vec<Utterance> {
        // The converter takes the current for a bit that somebody says.
        if let Some(held) = self.slaves.iter().find(|slave| slave.handle().faults().short) {
            let speaker = held.handle().clone();
            return vec![Utterance { wait: spent, bytes: vec![0], speaker }];
        }
        let mut voices = Vec::new();
        for slave in &mut self.slaves {
            let Some(answer) = slave.answer(frame, at) else { continue };
            let number = slave.handle().asked();
            let reaction = spent + slave.reaction(self.baud);
            voices.extend(spoiled(slave.handle(), answer, reaction, number));
        }
        match self.baud {
            _ if voices.len() < 2 => voices,
            baud => collided(voices, baud),
        }
    }
}

/// What is on the wire when several speak at once: bit by bit the AND of all who speak.
///
/// Answers that are late or said twice take no part, as they fall into another moment.
fn collided(mut voices: Vec<Utterance>, baud: Option<u32>) -> Vec<Utterance> {
    voices.sort_by_key(|voice| voice.wait);
    let Some(first) = voices.first().map(|voice| voice.wait) else { return voices };
    let character = baud.map_or(Duration::from_millis(1), |baud| wire_time(1, baud));
    let (together, later): (Vec<_>, Vec<_>) =
        voices.into_iter().partition(|voice| voice.wait < first + APART);

    let mut wire: Vec<u8> = Vec::new();
    for voice in &together {
        let after = voice.wait.saturating_sub(first).as_nanos() / character.as_nanos().max(1);
        let after = usize::try_from(after).unwrap_or(0);
        if wire.len() < after + voice.bytes.len() {
            wire.resize(after + voice.bytes.len(), 0xFF);
        }
        for (on_wire, byte) in wire.iter_mut().skip(after).zip(&voice.bytes) {
            *on_wire &= byte;
        }
    }
    let merged = together.into_iter().next().map(|voice| Utterance { bytes: wire, ..voice });
    merged.into_iter().chain(later).collect()
}

/// More than the slowest reaction allowed at 300 baud.
const APART: Duration = Duration::from_millis(1_200);

/// One device on the line.
#[derive(Debug)]
pub(crate) struct Slave {
    source: Source,
    /// Set by the master, over what the plan says.
    set_address: Option<u8>,
    selected: bool,
    by_address: Dialogue,
    by_selection: Dialogue,
    /// Counts its answers, as the header of each tells.
    access_number: u8,
}

#[derive(Debug)]
enum Source {
    Meter(Arc<Meter>),
    Captured(Captured, Handle),
}

/// What a slave remembers of what it was asked at one address.
#[derive(Debug, Default)]
struct Dialogue {
    /// Of the last request.
    fcb: Option<bool>,
    /// Which telegram is next.
    next: usize,
    last: Vec<u8>,
}

impl Slave {
    pub(crate) fn of_meter(meter: Arc<Meter>) -> Self {
        Self::new(Source::Meter(meter))
    }

    pub(crate) fn of_captured(captured: Captured, handle: Handle) -> Self {
        Self::new(Source::Captured(captured, handle))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            set_address: None,
            selected: false,
            by_address: Dialogue::default(),
            by_selection: Dialogue::default(),
            access_number: 0,
        }
    }

    fn handle(&self) -> &Handle {
        match &self.source {
            Source::Meter(meter) => &meter.handle,
            Source::Captured(_, handle) => handle,
        }
    }

    fn address(&self) -> u8 {
        self.set_address.unwrap_or(match &self.source {
            Source::Meter(meter) => meter.plan.address,
            Source::Captured(captured, _) => captured.address(),
        })
    }

    fn reaction(&self, baud: Option<u32>) -> Duration {
        let Some(baud) = baud else { return Duration::from_millis(1) };
        match &self.source {
            Source::Meter(meter) => reaction(meter, baud),
            Source::Captured(..) => bit_times(40, baud),
        }
    }

    /// What the slave answers to `frame`, before anything is wrong with it.
    fn answer(&mut self, frame: &Frame<'_>, at: DateTime<Utc>) -> Option<Vec<u8>> {
        let (control, address, data) = match *frame {
            Frame::Ack => return None,
            Frame::Short { control, address } => (control, address, None),
            Frame::Long(Long { control, address, ci, data }) => {
                (control, address, Some((ci, data)))
            }
        };
        if !control.to_meter() {
            return None;
        }
        let by_selection = address == SELECTED;
        if let (true, Some((0x52 | 0x56, wanted))) = (by_selection, data) {
            return self.select(data.is_some_and(|(ci, _)| ci == 0x56), wanted);
        }
        let mine = match address {
            SELECTED => self.selected,
            EVERYONE_ANSWERS | EVERYONE_LISTENS => true,
            Primary(address) => address == self.address(),
        };
        if !mine {
            return None;
        }

        let said = match data {
            None if control.is(Control::SND_NKE) => {
                if by_selection {
                    self.selected = false;
                    self.by_selection = Dialogue::default();
                } else {
                    self.by_address = Dialogue::default();
                    // Said to everyone, it also ends a selection.
                    if address == EVERYONE_LISTENS {
                        self.selected = false;
                    }
                }
                Some(ACK.to_vec())
            }
            None if control.is(Control::REQ_UD2) => self.tell(control, by_selection, at),
            None if control.is(Control::REQ_UD1) => Some(ACK.to_vec()),
            Some((0x50, _)) if control.is(Control::SND_UD) => {
                self.by_address.next = 0;
                self.by_selection.next = 0;
                Some(ACK.to_vec())
            }
            Some((0x51, &[0x01, 0x7A, new @ 0..=250])) if control.is(Control::SND_UD) => {
                self.set_address = Some(new);
                Some(ACK.to_vec())
            }
            _ => None,
        };
        said.filter(|_| address != EVERYONE_LISTENS)
    }

    fn select(&mut self, high_byte_first: bool, wanted: &[u8]) -> Option<Vec<u8>> {
        let selection = selection(high_byte_first, wanted)?;
        let fits = match &self.source {
            Source::Meter(meter) => {
                selection.matches(&secondary(meter), Some(telegrams::bcd(meter.serial())))
            }
            Source::Captured(captured, _) => {
                captured.secondary().is_some_and(|address| selection.matches(&address, None))
            }
        };
        self.by_selection = Dialogue::default();
        self.selected = fits;
        fits.then(|| ACK.to_vec())
    }

    fn tell(&mut self, control: Control, by_selection: bool, at: DateTime<Utc>) -> Option<Vec<u8>> {
        let address = self.address();
        let dialogue = if by_selection { &mut self.by_selection } else { &mut self.by_address };
        if dialogue.fcb == Some(control.fcb()) && !dialogue.last.is_empty() {
            return Some(dialogue.last.clone());
        }
        let said = match &self.source {
            Source::Meter(meter) => {
                self.access_number = self.access_number.wrapping_add(1);
                let faults = meter.faults();
                let speaks_as = Primary(if faults.foreign { address ^ 1 } else { address });
                if faults.refusal {
                    busy(speaks_as)?
                } else {
                    let count = telegrams::count(meter);
                    let telegram = dialogue.next % count;
                    dialogue.next = (telegram + 1) % count;
                    telegrams::write(meter, telegram, speaks_as, self.access_number, at)?
                }
            }
            Source::Captured(captured, _) => {
                let telegrams = captured.telegrams();
                let telegram = dialogue.next % telegrams.len().max(1);
                dialogue.next = telegram + 1;
                telegrams.get(telegram)?.clone()
            }
        };
        dialogue.fcb = Some(control.fcb());
        dialogue.last.clone_from(&said);
        Some(said)
    }
}

/// Between 11 bit times and 330 bit times and 50 ms; each device has its own.
pub(crate) fn reaction(meter: &Meter, baud: u32) -> Duration {
    bit_times(20 + meter.dice().of("reaction").below(0, 70), baud)
}

fn bit_times(count: u32, baud: u32) -> Duration {
    Duration::from_micros(u64::from(count) * 1_000_000 / u64::from(baud.max(1)))
}

/// The secondary address on the plate of the device in `meter`'s place.
pub(crate) fn secondary(meter: &Meter) -> Secondary {
    let (letters, version, medium) = telegrams::plate(meter.plan.device);
    Secondary {
        id: Id(telegrams::bcd(meter.serial())),
        manufacturer: Manufacturer::of(letters).unwrap_or(Manufacturer(0)),
        version,
        medium: Medium::new(medium),
    }
}

/// Eight bytes of address, and the fabrication number behind `0C 78` if there is one.
fn selection(high_byte_first: bool, wanted: &[u8]) -> Option<Selection> {
    let (&[i0, i1, i2, i3, m0, m1, version, medium], rest) = wanted.split_first_chunk::<8>()?;
    let fabrication = match rest {
        [] => None,
        &[0x0C, 0x78, f0, f1, f2, f3] => Some(u32::from_le_bytes([f0, f1, f2, f3])),
        _ => return None,
    };
    let (id, manufacturer) = if high_byte_first {
        (u32::from_be_bytes([i0, i1, i2, i3]), u16::from_be_bytes([m0, m1]))
    } else {
        (u32::from_le_bytes([i0, i1, i2, i3]), u16::from_le_bytes([m0, m1]))
    };
    Some(Selection { id, manufacturer, version, medium, fabrication })
}

/// An application error: "busy".
fn busy(address: Primary) -> Option<Vec<u8>> {
    let mut buffer = [0; Frame::MAX_LEN];
    let body = |w: &mut Writer<'_>| w.byte(8);
    write_frame(&mut buffer, Control::RSP_UD, address, 0x70, body).ok().map(<[u8]>::to_vec)
}

const ACK: [u8; 1] = [0xE5];
const SELECTED: Primary = Primary(253);
const EVERYONE_ANSWERS: Primary = Primary(254);
const EVERYONE_LISTENS: Primary = Primary(255);

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::building::Building;
    use crate::plan::Plan;

    fn at() -> DateTime<Utc> {
        "2024-03-20T09:00:00Z".parse().unwrap()
    }

    /// The demo's meters of `names` on one line, unpaced.
    fn line(names: &[&str]) -> (Slaves, Vec<Arc<Meter>>) {
        // One for all tests: its days are added up once.
        static BUILDING: LazyLock<Arc<Building>> = LazyLock::new(|| Arc::new(Building::new(1)));
        let plan = Plan::demo(1).unwrap();
        let meters: Vec<Arc<Meter>> = names
            .iter()
            .map(|name| {
                let meter = plan.meters.iter().find(|meter| meter.name == *name).unwrap();
                Arc::new(Meter::new(&plan, meter, &BUILDING))
            })
            .collect();
        let slaves = meters.iter().map(|meter| Slave::of_meter(Arc::clone(meter))).collect();
        (Slaves::new(slaves, None), meters)
    }

    fn short(control: u8, address: u8) -> Vec<u8> {
        vec![0x10, control, address, control.wrapping_add(address), 0x16]
    }

    fn select(id: u32, rest: &[u8]) -> Vec<u8> {
        let mut data = vec![0x53, 0xFD, 0x52];
        data.extend(id.to_le_bytes());
        data.extend(rest);
        let length = u8::try_from(data.len()).unwrap();
        let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        [&[0x68, length, length, 0x68], &data[..], &[sum, 0x16]].concat()
    }

    const ANY: [u8; 4] = [0xFF; 4];

    /// What is heard in answer to `question`, at once.
    fn ask(slaves: &mut Slaves, question: &[u8]) -> Vec<u8> {
        let mut heard = question.to_vec();
        let said = slaves.hear(&mut heard, at());
        assert!(heard.is_empty());
        said.into_iter().flat_map(|utterance| utterance.bytes).collect()
    }

    #[test]
    fn the_same_fcb_repeats_and_the_other_goes_on() {
        let (mut slaves, _) = line(&["Fjernvarme, hovedmåler"]);
        assert_eq!(ask(&mut slaves, &short(0x40, 1)), [0xE5]);
        let first = ask(&mut slaves, &short(0x7B, 1));
        assert_eq!(ask(&mut slaves, &short(0x7B, 1)), first, "a repetition is the same bytes");
        let second = ask(&mut slaves, &short(0x5B, 1));
        assert_ne!(second, first);
        assert_eq!(ask(&mut slaves, &short(0x5B, 1)), second);
        let again = ask(&mut slaves, &short(0x7B, 1));
        assert_eq!(again.len(), first.len(), "behind the last telegram is the first");
        assert_ne!(again, first, "its access number went on");
        assert_eq!(ask(&mut slaves, &short(0x40, 1)), [0xE5]);
        assert_eq!(ask(&mut slaves, &short(0x7B, 1)).len(), first.len(), "SND_NKE begins anew");
    }

    #[test]
    fn only_the_one_that_is_meant_answers() {
        let (mut slaves, _) = line(&["Vann, inntak", "Gass, restaurant"]);
        assert!(ask(&mut slaves, &short(0x7B, 3)).is_empty());
        assert_eq!(ask(&mut slaves, &short(0x7B, 10))[5], 10);
        assert!(ask(&mut slaves, &short(0x40, 255)).is_empty(), "everyone listens, no one speaks");
        assert_eq!(ask(&mut slaves, &short(0x40, 254)), [0xE5], "two clean E5 look like one");
    }

    #[test]
    fn selection_goes_by_digits_and_ends_with_another_one() {
        let (mut slaves, meters) = line(&["Radiatorer kontorer", "Ventilasjonsvarme"]);
        let [one, other] = [&meters[0], &meters[1]].map(|meter| telegrams::bcd(meter.serial()));
        assert!(ask(&mut slaves, &short(0x7B, 253)).is_empty(), "nobody is selected yet");
        assert_eq!(ask(&mut slaves, &select(one, &ANY)), [0xE5]);
        let told = ask(&mut slaves, &short(0x7B, 253));
        assert_eq!(told[7..11], one.to_le_bytes());
        assert_eq!(told[5], 0, "the frame tells the primary address");
        assert_eq!(ask(&mut slaves, &select(other, &ANY)), [0xE5]);
        assert_eq!(ask(&mut slaves, &short(0x7B, 253))[7..11], other.to_le_bytes());
        assert_eq!(ask(&mut slaves, &short(0x40, 253)), [0xE5]);
        assert!(ask(&mut slaves, &short(0x7B, 253)).is_empty(), "deselected");

        let wrong_maker = [0x01, 0x00, 0xFF, 0xFF];
        assert!(ask(&mut slaves, &select(one, &wrong_maker)).is_empty());
        let fabrication = [&ANY[..], &[0x0C, 0x78], &one.to_le_bytes()].concat();
        assert_eq!(ask(&mut slaves, &select(0xFFFF_FFFF, &fabrication)), [0xE5]);
        assert_eq!(ask(&mut slaves, &short(0x7B, 253))[7..11], one.to_le_bytes());
    }

    #[test]
    fn two_that_speak_at_once_are_not_understood() {
        let (mut slaves, _) = line(&["Radiatorer kontorer", "Ventilasjonsvarme"]);
        assert_eq!(ask(&mut slaves, &select(0xFFFF_FFFF, &ANY)), [0xE5]);
        let both = ask(&mut slaves, &short(0x7B, 253));
        assert!(both.len() > 50);
        assert!(Frame::read(&both).is_err(), "{both:02x?}");
    }

    #[test]
    fn the_master_may_give_it_another_address() {
        let (mut slaves, _) = line(&["Gass, restaurant"]);
        let set = [0x68, 6, 6, 0x68, 0x53, 10, 0x51, 0x01, 0x7A, 77, 0x76, 0x16];
        assert_eq!(ask(&mut slaves, &set), [0xE5]);
        assert!(ask(&mut slaves, &short(0x7B, 10)).is_empty());
        assert_eq!(ask(&mut slaves, &short(0x7B, 77))[5], 77);
    }

    #[test]
    fn a_frame_behind_noise_is_understood_and_a_wrong_one_is_not_answered() {
        let (mut slaves, _) = line(&["Gass, restaurant"]);
        let noisy = [&[0x00, 0x55][..], &short(0x40, 10)].concat();
        assert_eq!(ask(&mut slaves, &noisy), [0xE5]);
        assert!(ask(&mut slaves, &[0x10, 0x40, 10, 0x4B, 0x16]).is_empty());
    }

    #[test]
    fn refusal_and_a_foreign_voice() {
        let (mut slaves, meters) = line(&["Gass, restaurant"]);
        meters[0].handle.set(|faults| faults.refusal = true);
        assert_eq!(ask(&mut slaves, &short(0x7B, 10))[6..8], [0x70, 8]);
        meters[0].handle.set(|faults| {
            faults.refusal = false;
            faults.foreign = true;
        });
        let told = ask(&mut slaves, &short(0x5B, 10));
        assert_eq!(told[5], 11);
        assert!(Frame::read(&told).is_ok(), "it is well-formed all the same");
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard_without_harm(chunks: Vec<Vec<u8>>) {
            let (mut slaves, _) = line(&["Gass, restaurant"]);
            let mut heard = Vec::new();
            for chunk in chunks {
                heard.extend(chunk);
                slaves.hear(&mut heard, at());
                prop_assert!(heard.len() < Frame::MAX_LEN, "a frame that is whole is taken");
            }
        }

        #[test]
        fn any_long_frame_is_answered_or_not(address: u8, control: u8, ci: u8, data in vec(any::<u8>(), 0..30)) {
            let (mut slaves, _) = line(&["Gass, restaurant"]);
            let mut buffer = [0; Frame::MAX_LEN];
            let body = |w: &mut Writer<'_>| w.bytes(&data);
            let frame = write_frame(&mut buffer, Control(control), Primary(address), ci, body).unwrap();
            prop_assert!(ask(&mut slaves, frame).len() <= Frame::MAX_LEN);
        }
    }
}
