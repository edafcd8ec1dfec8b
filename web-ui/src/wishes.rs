//! What people ask of the daemon, and waiting for its answer.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use metering::{MeterId, Register};
use store::StoreError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::Web;
use crate::backups::{BackupMade, NotBackedUp};
use crate::certificate::{CertificateFlaw, CertificateOrder};
use crate::errands::{ErrandOrder, Errands, NotObeyed};
use crate::handles::{LiveMeter, Mistake};
use crate::meter_keys::{KeyOrder, KeysKept, KeysRefused, Secret};
use crate::ports::{NotTried, PortFound, PortTried};
use crate::problem::{Code, Problem};
use crate::proven::HistoryProof;
use crate::restores::{NotRestored, RestoreOrder, Restoring};
use crate::scan::{NotScanned, ScanOrder, ScanStatus};
use crate::sticks::{StickOrder, StickReply};

/// A figure that somebody puts in the place of a reading.
#[derive(Clone, Debug)]
pub struct NewFigure {
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// When the reading was, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it should have shown, with its unit or without.
    pub display: String,
    /// Who says so, by name.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What holds instead of all readings of a register in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSpan {
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// From the first instant on to the one that is not in it any more, in milliseconds since 1970.
    pub span: std::ops::Range<i64>,
    /// What becomes of each.
    pub change: SpanChange,
    /// Whether it is only asked which readings those are.
    pub preview: bool,
    /// Who says so, by name.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What becomes of each reading of a span; figures with their unit or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanChange {
    /// This figure holds.
    To(String),
    /// It is more by so much, or less.
    By(String),
    /// What was read holds again.
    AsRead,
}

/// Why a figure was not put in the place of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// For the pages' own words, as `future`; `None` if they have none.
    pub code: Option<&'static str>,
    /// As one sentence.
    pub why: String,
}

/// What a person asks of the daemon.
///
/// The daemon answers every wish. If it drops the reply instead, because it stops, the person is
/// told that the gateway did not answer.
#[derive(Debug)]
pub enum Wish {
    /// Ask a meter now, between the polls.
    ReadNow {
        /// Which one.
        meter: MeterId,
        /// What it said: the new entry of [`Live`]. A meter that stays silent is an answer too
        /// ([`LiveMeter::absent`]).
        reply: oneshot::Sender<Result<Arc<LiveMeter>, NotRead>>,
    },
    /// Take notice of a battery that is running low: nobody else need look at it.
    SeeBattery {
        /// Whose.
        meter: MeterId,
        /// Who, by name.
        who: String,
        /// Whether there is such a battery.
        reply: oneshot::Sender<bool>,
    },
    /// Say whether the versions of the configuration and the audit log are what was written.
    ProveHistory {
        /// All of them, the newest first.
        reply: oneshot::Sender<Result<HistoryProof, StoreError>>,
    },
    /// Give out a version of the configuration as a file that proves itself elsewhere.
    SignedVersion {
        /// Which one.
        number: u64,
        /// `None` if there is no version of that number, or it is older than signatures.
        reply: oneshot::Sender<Result<Option<String>, StoreError>>,
    },
    /// Put a figure in the place of a reading, or where there was none.
    Correct {
        /// Which, and by whom.
        figure: Box<NewFigure>,
        /// What was there and what holds now, or why it is as it was.
        reply: oneshot::Sender<Result<store::Correction, NotTaken>>,
    },
    /// Put figures in the place of all readings of a span, or say how many those are.
    CorrectSpan {
        /// Which, and by whom.
        span: Box<NewSpan>,
        /// What has come of it, or would; or why all is as it was.
        reply: oneshot::Sender<Result<store::SpanCorrected, NotTaken>>,
    },
    /// Set a counter of pulses to what its meter's display shows.
    SetCounter {
        /// Whose.
        meter: MeterId,
        /// With its unit or without.
        display: String,
        /// Who, by name: kept in the audit log.
        who: String,
        /// What it shows from now on, or in a sentence why it is as it was.
        reply: oneshot::Sender<Result<String, String>>,
    },
    /// Look for meters on a bus, between the polls, or change how that goes.
    Scan {
        /// The [`BusInfo::id`].
        bus: String,
        /// What is wanted.
        order: ScanOrder,
        /// How the scan is then.
        reply: oneshot::Sender<Result<Arc<ScanStatus>, NotScanned>>,
    },
    /// Make a backup of all that the gateway is.
    Backup {
        /// Without it nobody opens the file.
        passphrase: Secret<String>,
        /// The file, or why there is none.
        reply: oneshot::Sender<Result<BackupMade, NotBackedUp>>,
    },
    /// Tell what somebody who helps from afar has to know.
    Diagnose {
        /// As JSON, without names, secrets and readings.
        reply: oneshot::Sender<String>,
    },
    /// Answer what the portfolio asks of this gateway.
    Errand {
        /// What is wanted.
        order: ErrandOrder,
        /// How things stand then.
        reply: oneshot::Sender<Result<Errands, NotObeyed>>,
    },
    /// Tell which USB sticks are there, or copy a backup to one.
    Stick {
        /// What is wanted.
        order: StickOrder,
        /// How it stands then.
        reply: StickReply,
    },
    /// Bring a backup back, step by step.
    Restore {
        /// What is wanted.
        order: RestoreOrder,
        /// How it stands then. After [`RestoreOrder::Go`] the daemon starts anew.
        reply: oneshot::Sender<Result<Restoring, NotRestored>>,
    },
    /// Keep or forget keys of meters that encrypt, or tell whose are kept.
    Keys {
        /// What is wanted.
        order: KeyOrder,
        /// Whose keys are kept then.
        reply: oneshot::Sender<Result<KeysKept, KeysRefused>>,
    },
    /// Have the pages come with another certificate.
    Certificate {
        /// What is wanted.
        order: CertificateOrder,
        /// Whether it is so, for whoever connects then.
        reply: oneshot::Sender<Result<(), CertificateFlaw>>,
    },
    /// Check a new text of `site.toml`, keep it as a version and take it over.
    SaveSite {
        /// The whole file.
        text: String,
        /// The version that it was made from.
        expected: u64,
        /// Who wants it, by name: kept with the version.
        who: String,
        /// What for, in a few English words: kept with the version.
        why: String,
        /// The new version's number.
        reply: oneshot::Sender<Result<u64, NotSaved>>,
    },
    /// Tell which ports of this machine a bus could be plugged into.
    Ports {
        /// Those that are there, taken ones too.
        reply: oneshot::Sender<Vec<PortFound>>,
    },
    /// Try a port: whether an M-Bus is behind it, and at which speed it is answered.
    TryPort {
        /// As it would stand in the configuration.
        port: String,
        /// What was found.
        reply: oneshot::Sender<Result<PortTried, NotTried>>,
    },
    /// Write into the ledger of the promise of uptime.
    Record {
        /// What.
        fact: Box<ledger::entry::Fact>,
        /// The number of the entry.
        reply: oneshot::Sender<Result<u64, NotRecorded>>,
    },
    /// Make the evidence file of a month, signed now.
    Evidence {
        /// `2026-11`
        month: String,
        /// The file, or why there is none, as one English sentence.
        reply: oneshot::Sender<Result<Vec<u8>, String>>,
    },
    /// Enrol with a cloud.
    Enrol {
        /// `https://portfolio.example:9443`
        url: String,
        /// The one-time code.
        code: String,
        /// Whether it worked.
        reply: oneshot::Sender<Result<(), NotEnrolled>>,
    },
}

/// Why nothing was written into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRecorded {
    /// It makes no sense after what was written before, as one English sentence.
    Refused(String),
    /// It could not be written, as one English sentence.
    Failed(String),
}

/// Why a meter could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// No such meter is in force.
    Unknown,
    /// Its bus has too many wishes waiting; it can be tried again in a moment.
    Busy,
}

/// Why a configuration was not saved. The one before it stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSaved {
    /// It is wrong; all mistakes.
    Mistakes(Vec<Mistake>),
    /// Somebody saved another one first.
    Changed {
        /// The version in force now.
        version: u64,
        /// Who saved it.
        who: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// It could not be kept, as one English sentence.
    Failed(String),
}

/// Why the gateway was not enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotEnrolled {
    /// The code is wrong, spent or too old.
    Code,
    /// The wall clock cannot be believed yet, so no certificate could be checked.
    Clock,
    /// The cloud could not be reached, as one English sentence.
    Unreachable(String),
    /// Something else, as one English sentence.
    Failed(String),
}

impl Web {
    /// What the daemon answers to the wish that `make` makes.
    ///
    /// # Errors
    ///
    /// [`Code::Busy`] if too many wishes are waiting, [`Code::Stopping`] if nobody answers any
    /// more.
    ///
    /// # Cancellation
    ///
    /// A wish that was sent is fulfilled, whether or not somebody waits for the answer.
    pub(crate) async fn wish<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Wish,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.handles.wishes.try_send(make(reply)).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = "The gateway has too much to do. Try again in a moment.";
                Problem::new(Code::Busy, detail)
            }
            TrySendError::Closed(_) => Problem::stopping(),
        })?;
        answer.await.map_err(|_| Problem::stopping())
    }
}
