//! What every receiver is asked and says.

use super::{Frame, RadioMode, ReceiverKind, amb8465, cul, im871a, lines};

/// Takes what a receiver says apart.
#[derive(Debug)]
pub(super) struct Codec {
    kind: ReceiverKind,
    /// What has come and is not yet whole: of no more than [`MOST`] bytes.
    waiting: Vec<u8>,
}

/// Something that a receiver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A frame of a meter.
    Frame(Frame),
    /// An answer to a step.
    Reply(Reply),
    /// Bytes that are neither.
    Noise,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// What it answers, in the receiver's own numbers.
    pub(super) kind: u16,
    /// What it says.
    pub(super) data: Vec<u8>,
}

/// Something that a receiver is told, and which answer it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) send: Vec<u8>,
    /// `None` for what is not answered.
    pub(super) reply: Option<u16>,
}

/// What stands at the beginning of the bytes that wait.
pub(super) enum Front {
    /// So many bytes are this.
    Said(usize, Said),
    /// It may still become something.
    Part,
}

impl Codec {
    pub(super) const fn new(kind: ReceiverKind) -> Self {
        Self { kind, waiting: Vec::new() }
    }

    /// What makes the receiver hear meters in `mode`.
    pub(super) fn setup(&self, mode: RadioMode) -> Vec<Step> {
        match self.kind {
            ReceiverKind::Im871a => im871a::setup(mode),
            ReceiverKind::Amb8465 => amb8465::setup(mode),
            ReceiverKind::Cul => cul::setup(mode),
            ReceiverKind::Lines => Vec::new(),
        }
    }

    /// What has to be told before the next step, after `reply`.
    pub(super) fn further(&self, reply: &Reply) -> Vec<Step> {
        match self.kind {
            ReceiverKind::Amb8465 => amb8465::further(reply),
            ReceiverKind::Im871a | ReceiverKind::Cul | ReceiverKind::Lines => Vec::new(),
        }
    }

    /// What shows that the receiver is there; `None` for one that cannot be asked.
    pub(super) fn probe(&self) -> Option<Step> {
        match self.kind {
            ReceiverKind::Im871a => Some(im871a::ping()),
            ReceiverKind::Amb8465 => Some(amb8465::ping()),
            ReceiverKind::Cul => Some(cul::ping()),
            ReceiverKind::Lines => None,
        }
    }

    /// What makes one that does not answer begin anew, if it hears that at all; it is not waited
    /// for an answer.
    pub(super) fn reset(&self) -> Option<Step> {
        let step = match self.kind {
            ReceiverKind::Im871a => im871a::reset(),
            ReceiverKind::Amb8465 => amb8465::reset(),
            ReceiverKind::Cul => cul::reset(),
            ReceiverKind::Lines => return None,
        };
        Some(Step { reply: None, ..step })
    }

    /// Takes `bytes` in and tells of everything that is now whole.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Said)) {
        self.waiting.extend_from_slice(bytes);
        self.tell(each);
        if self.waiting.len() > MOST {
            self.waiting.clear();
            each(Said::Noise);
        }
    }

    /// Nothing more comes for now: what began and did not end, does not.
    pub(super) fn silence(&mut self, each: &mut dyn FnMut(Said)) {
        while !self.waiting.is_empty() {
            self.waiting.remove(0);
            each(Said::Noise);
            self.tell(each);
        }
    }

    /// Whether something has begun that is not yet whole.
    pub(super) const fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Forgets what has begun.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn tell(&mut self, each: &mut dyn FnMut(Said)) {
        loop {
            if matches!(self.kind, ReceiverKind::Cul | ReceiverKind::Lines) {
                let between = |byte: &&u8| matches!(byte, b'\n' | b'\r');
                let between = self.waiting.iter().take_while(between).count();
                self.waiting.drain(..between);
            }
            if self.waiting.is_empty() {
                return;
            }
            let front = match self.kind {
                ReceiverKind::Im871a => im871a::front(&self.waiting),
                ReceiverKind::Amb8465 => amb8465::front(&self.waiting),
                ReceiverKind::Cul => line(&self.waiting, cul::said),
                ReceiverKind::Lines => line(&self.waiting, lines::said),
            };
            let Front::Said(count, said) = front else { return };
            self.waiting.drain(..count.clamp(1, self.waiting.len()));
            each(said);
        }
    }
}

/// A line of text.
fn line(waiting: &[u8], read: fn(&str) -> Said) -> Front {
    let Some(end) = waiting.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
        return Front::Part;
    };
    let line = waiting.get(..end).unwrap_or_default();
    let said = match std::str::from_utf8(line) {
        Ok(text) => read(text.trim()),
        Err(_) => Said::Noise,
    };
    Front::Said(end + 1, said)
}

/// Longer than any frame, in hex and with all that stands beside it.
const MOST: usize = 2_048;
