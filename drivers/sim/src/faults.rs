//! What can be wrong with a meter, switched on and off by a handle.
//!
//! A fault spoils an answer on its way out; the meter behind it counts on. Each question and each
//! answer is counted in a `watch`, so that a test waits for what happened and never for a time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::dice::Dice;

/// What is wrong with a meter at the moment. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches, each of which may be on with any other"
)]
pub struct Faults {
    /// It hears, and does not answer.
    pub silence: bool,
    /// Its answers are distorted: some bytes too many, some wrong.
    pub noise: bool,
    /// Its answers break off in the middle.
    pub half: bool,
    /// It thinks this long before it answers, and still answers in time if this is short.
    pub slow: Option<Duration>,
    /// It answers this late, when its master has given up: set it longer than the time-out.
    pub late: Option<Duration>,
    /// It says everything twice.
    pub duplicate: bool,
    /// It answers in the name of another address.
    pub foreign: bool,
    /// It holds an M-Bus down: whoever is asked, nothing comes but a zero.
    pub short: bool,
    /// It understands and refuses: an exception on Modbus, an application error on M-Bus.
    pub refusal: bool,
    /// It is set up anew: its energy is told in megajoules.
    pub joules: bool,
    /// It is built in the wrong way. Its answers are in order, and what they say is not true.
    pub flaw: Option<Flaw>,
}

/// What an installer can do wrong so that a meter answers all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// The sensors of supply and return are exchanged: no heat is counted.
    SwappedSensors,
    /// The return sensor hangs beside the pipe: the difference is not that of the temperatures.
    LooseSensor,
    /// It sits the wrong way round: its volume runs backwards.
    Backwards,
    /// Its volume, and the flow, are a tenth of what runs: the weight of a pulse is set wrong.
    VolumeTenth,
    /// Its energy, and the power, are ten times what there is: the ratio of its transformers is
    /// set wrong.
    EnergyTenfold,
    /// Its current transformers are turned: it tells what is used as delivered.
    Turned,
}

impl Flaw {
    /// As written in a plan and in a command.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SwappedSensors => "swapped-sensors",
            Self::LooseSensor => "loose-sensor",
            Self::Backwards => "backwards",
            Self::VolumeTenth => "volume-tenth",
            Self::EnergyTenfold => "energy-tenfold",
            Self::Turned => "turned",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SwappedSensors,
        Self::LooseSensor,
        Self::Backwards,
        Self::VolumeTenth,
        Self::EnergyTenfold,
        Self::Turned,
    ];
}

/// How often a meter was asked and has answered since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Questions that were its own and that it understood, the unanswered ones too.
    pub questions: u64,
    /// Answers whose last byte has left.
    pub answers: u64,
}

/// The control of one meter; its clones control the same meter.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Switches>);

#[derive(Debug)]
struct Switches {
    faults: watch::Sender<Faults>,
    counts: watch::Sender<Counts>,
    installed: watch::Sender<Installed>,
    /// Its list of the hour is wanted at once.
    hour: Notify,
}

/// Which device is in the meter's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installed {
    /// How often it was exchanged.
    pub(crate) exchanges: u32,
    /// Since when its counters count, if they have begun anew.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Its counters show nothing but nines, and stand still.
    pub(crate) full: bool,
}

impl Handle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Switches {
            faults: watch::Sender::default(),
            counts: watch::Sender::default(),
            installed: watch::Sender::default(),
            hour: Notify::new(),
        }))
    }

    /// Changes what is wrong, from the next answer on.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.0.faults.send_modify(change);
    }

    /// What is wrong now.
    pub fn faults(&self) -> Faults {
        *self.0.faults.borrow()
    }

    /// A way to wait until something else is wrong.
    pub(crate) fn changes(&self) -> watch::Receiver<Faults> {
        self.0.faults.subscribe()
    }

    /// Another device of the same kind takes the meter's place at `at`: it has another serial
    /// number, and its counters begin at zero.
    pub fn swap(&self, at: DateTime<Utc>) {
        self.0.installed.send_modify(|installed| {
            let exchanges = installed.exchanges.saturating_add(1);
            *installed = Installed { exchanges, since: Some(at), full: false };
        });
    }

    /// Its counters stand at the last figure of their eight digits, until they are reset: then they have
    /// run over.
    pub fn fill(&self) {
        self.0.installed.send_modify(|installed| installed.full = true);
    }

    /// Its counters begin at zero at `at`, in the same device.
    pub fn reset(&self, at: DateTime<Utc>) {
        self.0.installed.send_modify(|installed| {
            installed.since = Some(at);
            installed.full = false;
        });
    }

    /// Questions and answers so far, and a way to wait for more of them.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.0.counts.subscribe()
    }

    /// Has a meter at a customer port push now what it otherwise pushes once an hour.
    pub fn hour(&self) {
        self.0.hour.notify_one();
    }

    pub(crate) async fn hour_wanted(&self) {
        self.0.hour.notified().await;
    }

    pub(crate) fn installed(&self) -> Installed {
        *self.0.installed.borrow()
    }

    /// Counts a question, and tells how many there were before it.
    pub(crate) fn asked(&self) -> u64 {
        let mut before = 0;
        self.0.counts.send_modify(|counts| {
            before = counts.questions;
            counts.questions += 1;
        });
        before
    }

    pub(crate) fn answered(&self) {
        self.0.counts.send_modify(|counts| counts.answers += 1);
    }

    /// The same of an answer that was made with `faults`, if these are still the ones: whoever has
    /// changed them can wait for an answer with the new ones.
    pub(crate) fn answered_with(&self, faults: Faults) {
        self.0.counts.send_modify(|counts| {
            counts.answers += u64::from(faults == self.faults());
        });
    }
}

/// Bytes that leave the line some time after the question.
#[derive(Clone, Debug)]
pub(crate) struct Utterance {
    pub(crate) wait: Duration,
    pub(crate) bytes: Vec<u8>,
    /// Whose answer it is; of a collision the first one's.
    pub(crate) speaker: Handle,
}

/// What becomes of `answer` under the meter's faults. `question` is its number, from which noise
/// takes its chance.
///
/// Silence wins over everything; [`Faults::foreign`] and [`Faults::refusal`] are the protocol's
/// to do, before.
pub(crate) fn spoiled(
    speaker: &Handle,
    answer: Vec<u8>,
    reaction: Duration,
    question: u64,
) -> Vec<Utterance> {
    let faults = speaker.faults();
    if faults.silence {
        return Vec::new();
    }
    let mut bytes = answer;
    if faults.noise {
        bytes = distorted(bytes, question);
    }
    if faults.half {
        bytes.truncate(bytes.len() / 2);
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    let wait = reaction + faults.slow.unwrap_or_default() + faults.late.unwrap_or_default();
    let once = Utterance { wait, bytes, speaker: speaker.clone() };
    if faults.duplicate { vec![once.clone(), once] } else { vec![once] }
}

/// One wrong byte, which every checksum notices, and up to three bytes before the answer.
fn distorted(mut bytes: Vec<u8>, question: u64) -> Vec<u8> {
    let dice = Dice::new(question).of("distortion");
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).max(1);
    let hit = usize::try_from(dice.below(0, length)).unwrap_or(0);
    if let Some(byte) = bytes.get_mut(hit) {
        *byte ^= 0x41;
    }
    let mut noise: Vec<u8> = (0..dice.below(1, 4))
        .map(|index| dice.below(2 + i64::from(index), 256).to_le_bytes()[0])
        .collect();
    noise.append(&mut bytes);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut Faults)) -> Vec<(u64, String)> {
        let handle = Handle::new();
        handle.set(change);
        spoiled(&handle, b"0123456789".to_vec(), Duration::from_millis(5), 3)
            .into_iter()
            .map(|it| {
                (
                    u64::try_from(it.wait.as_millis()).unwrap(),
                    String::from_utf8_lossy(&it.bytes).into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn each_fault_spoils_an_answer_in_its_way() {
        let whole = || "0123456789".to_owned();
        assert_eq!(said(|_| ()), [(5, whole())]);
        assert_eq!(said(|it| it.silence = true), []);
        assert_eq!(said(|it| it.half = true), [(5, "01234".to_owned())]);
        assert_eq!(said(|it| it.slow = Some(Duration::from_millis(70))), [(75, whole())]);
        assert_eq!(said(|it| it.late = Some(Duration::from_secs(4))), [(4_005, whole())]);
        assert_eq!(said(|it| it.duplicate = true), [(5, whole()), (5, whole())]);
        assert!(said(|it| it.noise = true).iter().all(|(_, text)| !text.contains(&whole())));
    }

    #[test]
    fn noise_always_changes_a_byte_of_the_answer() {
        for question in 0..1_000 {
            let spoiled = distorted(vec![0xE5], question);
            assert!(spoiled.ends_with(&[0xA4]), "{question}");
        }
    }
}
