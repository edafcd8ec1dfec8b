//! From counts to causes.
//!
//! The order of [`Trouble`] is that of how much a cause explains: a port that is gone explains
//! every silence, a wrong speed every broken answer. Thresholds are shares of what was asked
//! lately, with a least number, so that one gust of noise is no finding.

use std::cmp::Reverse;

use metering::MeterId;

use super::record::{Last, Record};
use super::{Doctor, Load};
use crate::MeterAddress;

/// What is most likely wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    /// The port cannot be used.
    PortDown,
    /// The wire is held down: nobody on it can say anything.
    BusShort,
    /// Broken bytes come wherever an answer is due: the wire runs at another speed or parity.
    WrongSpeed,
    /// No meter says a byte.
    NobodyAnswers,
    /// The wire has more unit loads than its level converter is built for.
    TooManyLoads,
    /// Several meters fell silent together.
    CutOff,
    /// Two meters answer at one address.
    SameAddress,
    /// Frames come that nobody asked for.
    SecondMaster,
    /// Answers of many meters come damaged.
    NoisyWire,
    /// One meter answers in broken bytes while others are well.
    MeterAtOtherSpeed,
    /// Another device answers than is configured.
    WrongMeter,
    /// A device that is nearly the known one is held back.
    HeldBack,
    /// A meter is silent.
    Silent,
    /// Answers of one meter come damaged.
    NoisyMeter,
    /// A meter answers only when it is asked again.
    Unsteady,
    /// Bytes come while nothing is asked.
    StrayBytes,
    /// What is sent comes back: no fault, but it costs time.
    Echo,
}

impl Trouble {
    /// All of them, the one that explains most first.
    pub const ALL: [Self; 17] = [
        Self::PortDown,
        Self::BusShort,
        Self::WrongSpeed,
        Self::NobodyAnswers,
        Self::TooManyLoads,
        Self::CutOff,
        Self::SameAddress,
        Self::SecondMaster,
        Self::NoisyWire,
        Self::MeterAtOtherSpeed,
        Self::WrongMeter,
        Self::HeldBack,
        Self::Silent,
        Self::NoisyMeter,
        Self::Unsteady,
        Self::StrayBytes,
        Self::Echo,
    ];

    /// As in the API; the language files have a sentence and an advice for each.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PortDown => "port_down",
            Self::BusShort => "bus_short",
            Self::WrongSpeed => "wrong_speed",
            Self::NobodyAnswers => "nobody_answers",
            Self::TooManyLoads => "too_many_loads",
            Self::CutOff => "cut_off",
            Self::SameAddress => "same_address",
            Self::SecondMaster => "second_master",
            Self::NoisyWire => "noisy_wire",
            Self::MeterAtOtherSpeed => "meter_at_other_speed",
            Self::WrongMeter => "wrong_meter",
            Self::HeldBack => "held_back",
            Self::Silent => "silent",
            Self::NoisyMeter => "noisy_meter",
            Self::Unsteady => "unsteady",
            Self::StrayBytes => "stray_bytes",
            Self::Echo => "echo",
        }
    }

    /// What to do, in English.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::PortDown => {
                "Check the converter's power, its network cable or USB plug, and the port in \
                 site.toml."
            }
            Self::BusShort => {
                "Look at the level converter: its light for a short circuit or too much current is on. \
                 Take the wire off it and measure between the two wires; then connect branch by \
                 branch: the one that brings the fault back has it, a pinched cable or a meter that is \
                 broken."
            }
            Self::WrongSpeed => {
                "Try the other speeds (most meters talk at 2400, old ones at 300), set `baud` of \
                 the bus to the one that answers, and check that converter and bus have even \
                 parity."
            }
            Self::NobodyAnswers => {
                "Measure at the level converter: about 36 V between the two wires at rest. None: \
                 its power or a short circuit. With voltage: the wires behind it, its cable to \
                 this gateway, or the speed; most meters talk at 2400 baud, old ones at 300, and \
                 one that is asked at another says nothing."
            }
            Self::TooManyLoads => {
                "Move meters to a second level converter, or use a larger one; correct \
                 `max_unit_loads` if it is."
            }
            Self::CutOff => {
                "Look for what these meters have in common: a junction box, a riser, a repeater. \
                 Measure there for 36 V."
            }
            Self::SameAddress => {
                "Take one of the meters at this address off the wire and give the other a new one \
                 (`fyrhus mbus set-address`), or ask both by their secondary addresses."
            }
            Self::SecondMaster => {
                "A wire has one master: look for another gateway, a building controller or a \
                 second program at the same converter, and unplug it."
            }
            Self::NoisyWire => {
                "Lay the wire away from power cables, check its screen and length, and try a \
                 slower speed."
            }
            Self::MeterAtOtherSpeed => {
                "Set this meter to the speed of the bus (`fyrhus mbus set-baud`), with only it \
                 connected."
            }
            Self::WrongMeter => {
                "If the meter was exchanged, put its new number into site.toml; if not, two meters \
                 have changed places."
            }
            Self::HeldBack => {
                "Nothing to do if the meter was exchanged: the new one is taken after a few \
                 answers. If not, look for a bad contact at this meter."
            }
            Self::Silent => {
                "Check the meter's terminals, measure for 36 V there, and see whether its battery \
                 is flat, or its address or speed was changed."
            }
            Self::NoisyMeter => "Tighten the terminals at this meter and in the box before it.",
            Self::Unsteady => {
                "A battery meter may limit how often it answers: ask it less often. Otherwise \
                 check its terminals."
            }
            Self::StrayBytes => "Look for a power cable beside the wire, or a second master on it.",
            Self::Echo => {
                "Nothing to do. If the converter has a switch for the echo, turn it off: each \
                 question is then a little quicker."
            }
        }
    }
}

/// One thing that is most likely wrong, with what it is told from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub trouble: Trouble,
    /// At which meter; `None` for the wire as a whole.
    pub meter: Option<MeterId>,
    /// That meter's address.
    pub address: Option<String>,
    /// How many: meters, damaged answers, frames, unit loads.
    pub count: u32,
    /// Of how many; 0 where that means nothing.
    pub of: u32,
    /// Since when, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// The device that is known, and the one that is held back.
    pub devices: Option<(String, String)>,
}

impl Finding {
    const fn of_wire(trouble: Trouble, count: u32, of: u32) -> Self {
        Self { trouble, meter: None, address: None, count, of, since_ms: None, devices: None }
    }

    /// What is wrong, as one English sentence; `name` is what people call the meter.
    pub fn sentence(&self, name: &str) -> String {
        let Self { count, of, .. } = self;
        let address = self.address.as_deref().unwrap_or_default();
        let at = if name.is_empty() { format!("the meter at {address}") } else { name.to_owned() };
        match self.trouble {
            Trouble::PortDown => "the port of the bus cannot be used".to_owned(),
            Trouble::BusShort => {
                "the wire is held down, most likely by a short circuit: none of its meters can answer"
                    .to_owned()
            }
            Trouble::WrongSpeed => format!(
                "broken bytes come where answers are due, at {count} of {of} meters: the wire most \
                 likely runs at another speed or parity"
            ),
            Trouble::NobodyAnswers => format!("none of the {of} meters says a byte"),
            Trouble::TooManyLoads => format!(
                "the wire has {count} unit loads, and its level converter is built for {of}"
            ),
            Trouble::CutOff => format!("{count} of {of} meters fell silent together"),
            Trouble::SameAddress => format!("two meters answer at address {address}"),
            Trouble::SecondMaster => {
                format!("{count} frames came that nobody asked for: a second master is on the wire")
            }
            Trouble::NoisyWire => {
                format!("{count} of {of} answers came damaged, from many meters: the wire is noisy")
            }
            Trouble::MeterAtOtherSpeed => format!(
                "{at} answers in broken bytes while others are well: it most likely has another \
                 speed"
            ),
            Trouble::WrongMeter => format!("another device answers for {at} than is configured"),
            Trouble::HeldBack => {
                let (known, found) = self.devices.clone().unwrap_or_default();
                format!(
                    "{at} was {known} and calls itself {found}: that is nearly the same, so its \
                     values are held back"
                )
            }
            Trouble::Silent => format!("{at} does not answer"),
            Trouble::NoisyMeter => format!("{count} of {of} answers of {at} came damaged"),
            Trouble::Unsteady => {
                format!("{at} had to be asked again {count} times in {of} questions")
            }
            Trouble::StrayBytes => format!("{count} bytes came while nothing was asked"),
            Trouble::Echo => "the converter sends back what is sent to it".to_owned(),
        }
    }
}

/// A meter that has been asked.
struct Patient<'d> {
    id: MeterId,
    address: MeterAddress,
    record: &'d Record,
}

impl Patient<'_> {
    fn finding(&self, trouble: Trouble, count: u32, of: u32) -> Finding {
        Finding {
            meter: Some(self.id),
            address: Some(self.address.to_string()),
            since_ms: self.record.silent_since_ms,
            ..Finding::of_wire(trouble, count, of)
        }
    }

    /// Its acknowledges are understood and its telegrams are not.
    const fn clashes(&self) -> bool {
        let Record { last, in_vain, lately, .. } = self.record;
        matches!(last, Last::Garbled) && *in_vain >= FEW && lately.clashes >= FEW
    }

    const fn is_silent(&self) -> bool {
        matches!(self.record.last, Last::Silent) && self.record.in_vain >= 2
    }
}

/// So many of anything are no accident.
const FEW: u32 = 3;

/// Meters that fell silent within so long of each other, which is longer than most rounds, fell
/// silent together.
const TOGETHER_MS: i64 = 20 * 60_000;

/// More stray bytes than a converter lets out when it is switched on.
const STRAY: u32 = 64;

/// See [`Doctor::findings`].
pub(super) fn findings(
    doctor: &Doctor,
    meters: &[(MeterId, MeterAddress)],
    load: Load,
) -> Vec<Finding> {
    let asked = |(id, address): &(MeterId, MeterAddress)| {
        let record = doctor.record(*id).filter(|record| record.all.polls > 0)?;
        Some(Patient { id: *id, address: *address, record })
    };
    let patients: Vec<Patient<'_>> = meters.iter().filter_map(asked).collect();
    let mut found = Vec::new();
    if let Some(since) = doctor.port_down_since_ms() {
        let since_ms = Some(since);
        found.push(Finding { since_ms, ..Finding::of_wire(Trouble::PortDown, 0, 0) });
    } else if !everywhere(&patients, &mut found) {
        of_each(&patients, &mut found);
        together(&patients, &mut found);
        noise(&patients, &mut found);
    }
    of_the_wire(&patients, load, &mut found);
    found.sort_by_key(|finding| (finding.trouble, Reverse(finding.count)));
    found
}

/// What explains that nobody answers; whether there was such.
fn everywhere(patients: &[Patient<'_>], found: &mut Vec<Finding>) -> bool {
    let all = size(patients.len());
    // One that holds the wire down is heard by whoever is asked.
    let is_held = |it: &Patient<'_>| it.record.last == Last::HeldDown && it.record.in_vain >= 2;
    if !patients.is_empty() && patients.iter().all(is_held) {
        let since_ms = patients.iter().filter_map(|it| it.record.silent_since_ms).min();
        found.push(Finding { since_ms, ..Finding::of_wire(Trouble::BusShort, all, all) });
        return true;
    }
    let nobody = patients
        .iter()
        .all(|it| it.record.in_vain >= 2 && matches!(it.record.last, Last::Silent | Last::Garbled));
    // Of one meter alone it is known when it says something, and that for long enough.
    let one_says_noise = |it: &Patient<'_>| {
        it.record.last == Last::Garbled
            && it.record.in_vain >= FEW
            && it.record.lately.answered == 0
    };
    let enough = all >= 2 || patients.iter().any(one_says_noise);
    if !nobody || !enough || patients.iter().all(Patient::clashes) {
        return false;
    }
    // Who is understood in part has the right speed.
    let is_broken = |it: &&Patient<'_>| it.record.last == Last::Garbled && !it.clashes();
    let garbled = size(patients.iter().filter(is_broken).count());
    let finding = if garbled * 2 >= all {
        Finding::of_wire(Trouble::WrongSpeed, garbled, all)
    } else {
        Finding::of_wire(Trouble::NobodyAnswers, all, all)
    };
    let since_ms = patients.iter().filter_map(|it| it.record.silent_since_ms).max();
    found.push(Finding { since_ms, ..finding });
    true
}

fn of_each(patients: &[Patient<'_>], found: &mut Vec<Finding>) {
    let others_answer = patients.iter().any(|it| it.record.last == Last::Answered);
    // Where many come damaged, it is the wire that spoils the long and lets the short pass.
    let damaged = patients.iter().filter(|it| it.record.lately.damaged() >= FEW).count();
    let wire_is_noisy = size(damaged) >= FEW && damaged * 2 >= patients.len();
    for patient in patients {
        let Record { lately, last, in_vain, .. } = patient.record;
        let collides = lately.collisions >= FEW && lately.collisions * 10 >= lately.polls;
        if collides || (patient.clashes() && !wire_is_noisy) {
            let count = lately.collisions.max(lately.clashes);
            found.push(patient.finding(Trouble::SameAddress, count, lately.polls));
        } else if *last == Last::Garbled && *in_vain >= FEW && lately.answered == 0 && others_answer
        {
            found.push(patient.finding(Trouble::MeterAtOtherSpeed, *in_vain, lately.polls));
        }
        // A number that is nearly the configured one is a fault of the wire unless it stays.
        let stays_near =
            *last == Last::Held && patient.record.suspect().is_none() && *in_vain >= FEW;
        if *last == Last::Other || stays_near {
            let count = lately.others.max(lately.held);
            found.push(patient.finding(Trouble::WrongMeter, count, lately.polls));
        }
        if let Some((known, suspect)) = patient.record.known().zip(patient.record.suspect()) {
            let finding = patient.finding(Trouble::HeldBack, lately.held, lately.polls);
            let devices = Some((known.to_string(), suspect.to_string()));
            found.push(Finding { devices, ..finding });
        }
        let asked_again = *last == Last::Answered
            && lately.silences >= FEW
            && lately.silences * 20 >= lately.sends;
        if asked_again {
            found.push(patient.finding(Trouble::Unsteady, lately.silences, lately.polls));
        }
    }
}

/// Meters that are silent: those that fell silent together are one finding.
fn together(patients: &[Patient<'_>], found: &mut Vec<Finding>) {
    let mut silent: Vec<&Patient<'_>> = patients.iter().filter(|it| it.is_silent()).collect();
    silent.sort_by_key(|it| it.record.silent_since_ms);
    let since = |it: &Patient<'_>| it.record.silent_since_ms.unwrap_or_default();
    let all = size(patients.len());
    for group in silent.chunk_by(|a, b| since(b).saturating_sub(since(a)) < TOGETHER_MS) {
        match group {
            [one] => found.push(one.finding(Trouble::Silent, one.record.in_vain, 0)),
            [first, ..] => {
                let since_ms = first.record.silent_since_ms;
                let finding = Finding::of_wire(Trouble::CutOff, size(group.len()), all);
                found.push(Finding { since_ms, ..finding });
            }
            [] => {}
        }
    }
}

/// Answers that came damaged: a fault of the wire if it is so at most meters, else of a meter.
fn noise(patients: &[Patient<'_>], found: &mut Vec<Finding>) {
    let is_noisy = |it: &&Patient<'_>| {
        let lately = &it.record.lately;
        let blamed = found.iter().any(|finding| {
            finding.meter == Some(it.id)
                && matches!(finding.trouble, Trouble::SameAddress | Trouble::MeterAtOtherSpeed)
        });
        !blamed && lately.damaged() >= FEW && lately.damaged() * 50 >= lately.sends
    };
    let noisy: Vec<&Patient<'_>> = patients.iter().filter(is_noisy).collect();
    if size(noisy.len()) >= FEW && noisy.len() * 2 >= patients.len() {
        let sum = |count: fn(&Record) -> u32| {
            noisy.iter().map(|it| count(it.record)).fold(0, u32::saturating_add)
        };
        let (damaged, sends) = (sum(|it| it.lately.damaged()), sum(|it| it.lately.sends));
        found.push(Finding::of_wire(Trouble::NoisyWire, damaged, sends));
    } else {
        found.extend(noisy.iter().map(|it| {
            let lately = &it.record.lately;
            it.finding(Trouble::NoisyMeter, lately.damaged(), lately.sends)
        }));
    }
}

fn of_the_wire(patients: &[Patient<'_>], load: Load, found: &mut Vec<Finding>) {
    if let Some(most) = load.most.filter(|most| load.sum > *most) {
        found.push(Finding::of_wire(Trouble::TooManyLoads, load.sum, most));
    }
    let sum = |count: fn(&Record) -> u32| {
        patients.iter().map(|it| count(it.record)).fold(0, u32::saturating_add)
    };
    let sends = sum(|it| it.lately.sends);
    let foreign = sum(|it| it.lately.foreign);
    if foreign >= FEW && foreign.saturating_mul(50) >= sends {
        found.push(Finding::of_wire(Trouble::SecondMaster, foreign, sends));
    }
    let stray = sum(|it| it.lately.stray_bytes);
    if stray >= STRAY && stray >= sends {
        found.push(Finding::of_wire(Trouble::StrayBytes, stray, 0));
    }
    let echoes = sum(|it| it.lately.echoes);
    if echoes >= FEW && echoes.saturating_mul(2) >= sends {
        found.push(Finding::of_wire(Trouble::Echo, echoes, sends));
    }
}

fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
