//! What one meter has shown.

use ::mbus::{Responses, Traffic};
use serde::{Deserialize, Serialize};

use super::quarantine::{Quarantine, Whole, are_near};
use crate::Readout;
use crate::error::ReadError;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often something was seen. No count goes beyond its end.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Counts {
            fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }

            fn halve(&mut self) {
                $(self.$name /= 2;)*
            }
        }
    };
}

counts! {
    /// Questions: each is said up to three times.
    polls,
    /// Questions that were answered.
    answered,
    /// Frames that were sent.
    sends,
    /// Those of them that said the same as the one before.
    retries,
    /// Frames to which nothing came.
    silences,
    /// Answers with a wrong checksum.
    checksum_errors,
    /// Bytes with a wrong parity or stop bit, as far as the port tells.
    line_errors,
    /// Answers that broke off, or were no frame.
    broken,
    /// Answers that were most likely those of two meters at once.
    collisions,
    /// Questions before which the meter acknowledged a reset as it should, and to which it answered
    /// in bytes that are no telegram: two that acknowledge at once look like one, two telegrams at
    /// once like none.
    clashes,
    /// Whole frames that nobody had asked for.
    foreign,
    /// Bytes that came while nothing was asked.
    stray_bytes,
    /// Requests that came back before the answer.
    echoes,
    /// Answers that were held back, because their device is nearly another.
    held,
    /// Answers of a device that is not the one before, or not the one that is configured.
    others,
}

impl Counts {
    fn of(traffic: &Traffic) -> Self {
        Self {
            polls: 1,
            sends: traffic.sends.into(),
            retries: traffic.repeats.into(),
            silences: traffic.silences.into(),
            checksum_errors: traffic.checksum_errors.into(),
            line_errors: traffic.line_errors.into(),
            broken: traffic.broken.into(),
            collisions: traffic.collisions.into(),
            foreign: traffic.foreign.into(),
            stray_bytes: traffic.stray_bytes.into(),
            echoes: traffic.echoes.into(),
            ..Self::default()
        }
    }

    /// Answers that were damaged on their way.
    pub const fn damaged(&self) -> u32 {
        self.checksum_errors.saturating_add(self.line_errors).saturating_add(self.broken)
    }
}

/// How the last question ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    /// There was none.
    #[default]
    None,
    /// With an answer.
    Answered,
    /// Not a byte came.
    Silent,
    /// Something came that is no answer.
    Garbled,
    /// Nothing came but that the wire is held down.
    HeldDown,
    /// An answer came that is held back.
    Held,
    /// Another device answered than is configured.
    Other,
    /// The meter could not or would not.
    Refused,
}

/// What one meter has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Since it was asked first.
    pub all: Counts,
    /// Over the last 32 to 64 questions.
    pub lately: Counts,
    /// How many answers began within the time of each bin, and not within that of the one before:
    /// see [`Responses::bound`].
    pub times: [u32; Responses::BUCKETS],
    /// When it was asked first, in milliseconds since 1970, as all times here.
    pub first_ms: i64,
    /// When it answered last.
    pub answered_ms: Option<i64>,
    /// When it was asked in vain for the first time since.
    pub silent_since_ms: Option<i64>,
    /// How many questions in a row were in vain.
    pub in_vain: u32,
    /// How often it fell silent, for two questions or more.
    pub silent_times: u32,
    /// The longest time that it was silent, in seconds; of those that are over.
    pub silent_longest_s: u32,
    /// How the last question ended.
    pub last: Last,
    pub(super) quarantine: Quarantine,
}

/// `lately` forgets half of what it has when it has so many questions.
const MANY: u32 = 64;

impl Record {
    /// Takes note of how a question ended.
    pub(super) fn note(
        &mut self,
        at_ms: i64,
        traffic: &Traffic,
        ended: &Result<Readout, ReadError>,
    ) {
        if self.all.polls == 0 {
            self.first_ms = at_ms;
        }
        let mut counts = Counts::of(traffic);
        self.last = last_of(ended);
        match self.last {
            Last::Answered => counts.answered = 1,
            Last::Held => counts.held = 1,
            Last::Other => counts.others = 1,
            Last::Garbled if traffic.answers > 0 => counts.clashes = 1,
            Last::None | Last::Silent | Last::Garbled | Last::HeldDown | Last::Refused => {}
        }
        self.all.add(&counts);
        self.lately.add(&counts);
        if self.lately.polls >= MANY {
            self.lately.halve();
        }
        for (bin, count) in self.times.iter_mut().zip(traffic.responses.counts()) {
            *bin = bin.saturating_add((*count).into());
        }
        if matches!(self.last, Last::Answered | Last::Refused) {
            self.heard(at_ms);
        } else {
            self.silent_since_ms.get_or_insert(at_ms);
            self.in_vain = self.in_vain.saturating_add(1);
            if self.in_vain == 2 {
                self.silent_times = self.silent_times.saturating_add(1);
            }
        }
    }

    fn heard(&mut self, at_ms: i64) {
        if let Some(since) = self.silent_since_ms.take()
            && self.in_vain > 1
        {
            let secs = at_ms.saturating_sub(since).max(0) / 1000;
            let secs = u32::try_from(secs).unwrap_or(u32::MAX);
            self.silent_longest_s = self.silent_longest_s.max(secs);
        }
        self.in_vain = 0;
        self.answered_ms = Some(at_ms);
    }

    /// Which device answers here.
    pub const fn known(&self) -> Option<Whole> {
        self.quarantine.known
    }

    /// Which device is held back, if there is one.
    pub fn suspect(&self) -> Option<Whole> {
        self.quarantine.suspect.map(|(suspect, _)| suspect)
    }

    /// The time in milliseconds within which the given share of the answers began, in hundredths,
    /// rounded up to the bin; `None` before the first answer.
    pub fn within_ms(&self, percent: u32) -> Option<u64> {
        let all: u64 = self.times.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let bin = self.times.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        bin.filter(|_| all > 0)
            .map(|bin| u64::try_from(Responses::bound(bin).as_millis()).unwrap_or(u64::MAX))
    }
}

fn last_of(ended: &Result<Readout, ReadError>) -> Last {
    use crate::error::Garble;
    match ended {
        Ok(_) => Last::Answered,
        Err(ReadError::Silent { .. } | ReadError::SilentBehindGateway { .. }) => Last::Silent,
        Err(ReadError::Garbled { cause: Garble::Alike { .. }, .. }) => Last::Held,
        Err(ReadError::Garbled { cause: Garble::HeldDown, .. }) => Last::HeldDown,
        Err(ReadError::Garbled { .. }) => Last::Garbled,
        Err(ReadError::WrongMeter { expected, found, .. }) => {
            let near = expected.parse().ok().zip(found.parse().ok());
            let near = near.is_some_and(|(a, b)| are_near(Whole::of(a), Whole::of(b)));
            if near { Last::Held } else { Last::Other }
        }
        Err(
            ReadError::Refused { .. }
            | ReadError::RefusedAnswer { .. }
            | ReadError::Misfit { .. }
            | ReadError::Locked { .. }
            | ReadError::Quiet { .. }
            | ReadError::Gone { .. }
            | ReadError::Unsettled { .. }
            | ReadError::Port { .. },
        ) => Last::Refused,
    }
}
