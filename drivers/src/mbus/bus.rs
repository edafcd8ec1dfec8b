//! An M-Bus and the meters on it: the session of `mbus-rs`, over a port.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::mbus::{
    Action, Failure, Frame, Patience, Primary, Reason, Responses, Secondary, Selection, Session,
    Settings, Summary, Target, Task, Traffic,
};
use metering::{Clock, Moment};
use tokio::time::{self, Instant};

use super::opening::{Opening, announces_more};
use super::readout::{Came, readout};
use crate::error::{Garble, ReadError};
use crate::keyring::Keyring;
use crate::port::{Port, PortFault};
use crate::profile::{Profile, Profiles};
use crate::{BusSettings, Meter, MeterAddress, OddKind, OddRecord, PortSettings, Readout};

/// An M-Bus: one wire, one master, one question at a time.
#[derive(Debug)]
pub struct MbusBus {
    port: Port,
    session: Session,
    settings: Settings,
    profiles: Arc<Profiles>,
    pub(super) opening: Opening,
    /// From when the session's time is counted.
    epoch: Instant,
    /// Something was asked and not a byte was heard since, also if the future was dropped.
    unheard: bool,
    /// How many zeros came since the question; `None` once anything else did.
    zeros: Option<usize>,
    /// How long each meter took to answer, lately.
    responses: HashMap<MeterAddress, Responses>,
    /// What answered last at each address, if there is a profile of it: how it wants to be asked.
    types: HashMap<MeterAddress, Arc<Profile>>,
}

/// How a task ended, and the telegrams that it brought.
pub(super) struct Ended {
    pub(super) result: Result<Summary, Failure>,
    came: Vec<Came>,
    took: Duration,
}

impl MbusBus {
    /// A bus that is opened when it is first needed. A meter without a profile is read with the
    /// one of `profiles` that fits what it says of itself, if there is one.
    pub fn open(settings: &BusSettings, profiles: Arc<Profiles>) -> Self {
        let port = Port::new(settings.port.clone(), settings.baud, settings.parity);
        let wire = if settings.port.is_network() {
            Settings::over_network(settings.baud)
        } else {
            Settings::new(settings.baud)
        };
        let settings = Settings { answer_within: settings.answer_within, ..wire };
        let session = Session::new(settings);
        Self {
            port,
            session,
            settings,
            profiles,
            opening: Opening::default(),
            epoch: Instant::now(),
            unheard: false,
            zeros: Some(0),
            responses: HashMap::new(),
            types: HashMap::new(),
        }
    }

    /// Opens what is encrypted with `keys`, from the next answer on.
    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.opening.set_keys(keys);
    }

    /// Asks `meter` for all its telegrams.
    ///
    /// # Errors
    ///
    /// Why there is no telegram of it.
    ///
    /// # Cancellation
    ///
    /// When the future is dropped, what the meter still says is thrown away by the next question.
    pub async fn read(&mut self, meter: &Meter, clock: &dyn Clock) -> Result<Readout, ReadError> {
        let address = meter.address;
        let target = match address {
            MeterAddress::Primary(number) => Target::Primary(Primary(number)),
            MeterAddress::Secondary(selection) => Target::Secondary(selection),
            _ => {
                let because =
                    "a meter on an M-Bus has an address from 0 to 250, or a secondary one";
                return Err(ReadError::Misfit { address, because });
            }
        };
        let profile = meter.profile.as_ref().or_else(|| self.types.get(&address));
        let quirks = profile.map(|profile| profile.quirks());
        let reset = quirks.map_or_else(Default::default, |quirks| quirks.reset);
        let most = quirks.and_then(|quirks| quirks.max_telegrams);
        self.session.set_max_telegrams(most.unwrap_or(self.settings.max_telegrams));
        let task = Task::Read { meter: target, reset, prelude: None };
        let patience = self.patience(address);
        let ended = self.run_for(&task, Some(patience), clock).await;
        let ended = ended.map_err(|cause| self.out_of_reach(cause))?;
        self.learn(address, &ended.result);
        let Ended { result, came, took } = ended;
        let unfinished = match result {
            Ok(Summary { more_follow: true, .. }) => {
                let note = "the meter has more telegrams than it is asked for".to_owned();
                Some((OddKind::MoreFollow, note))
            }
            Ok(_) => None,
            // What came before is right, and stays.
            Err(failure) if !came.is_empty() => {
                let note = format!("the telegram after this one did not come: {failure}");
                Some((OddKind::CutShort, note))
            }
            // A meter begins with another byte, whatever it says.
            Err(failure)
                if self.zeros.is_some_and(|zeros| zeros > 0 && zeros >= failure.sends.into()) =>
            {
                return Err(ReadError::Garbled { address, cause: Garble::HeldDown });
            }
            Err(failure) => return Err(read_error(failure, address, took)),
        };
        let last = came.len().saturating_sub(1);
        let mut readout = readout(came, meter, &self.profiles, &mut self.opening, took)?;
        self.learn_type(address, readout.profile.as_deref());
        readout.odd.extend(unfinished.map(|(kind, note)| OddRecord {
            telegram: last,
            at: 0,
            kind,
            what: "more_records_follow".to_owned(),
            note,
        }));
        Ok(readout)
    }

    /// What the last readout saw of the wire: of a failed one too, and of one that was dropped as
    /// far as it came. [`Traffic::NONE`] before the first.
    pub const fn traffic(&self) -> &Traffic {
        self.session.traffic()
    }

    /// How long the meter at `address` took to answer, lately; `None` if it was not asked since
    /// this bus was opened.
    pub fn responses(&self, address: MeterAddress) -> Option<&Responses> {
        self.responses.get(&address)
    }

    fn patience(&self, address: MeterAddress) -> Patience {
        let known = self.responses.get(&address).unwrap_or(&Responses::NONE);
        self.session.patience(known)
    }

    /// Beyond [`MOST_KNOWN`] meters nothing is learned of further ones: they are waited for as the
    /// standard says.
    fn learn(&mut self, address: MeterAddress, result: &Result<Summary, Failure>) {
        if self.responses.len() >= MOST_KNOWN && !self.responses.contains_key(&address) {
            return;
        }
        let known = self.responses.entry(address).or_insert(Responses::NONE);
        known.add(&self.session.traffic().responses);
        if matches!(result, Err(Failure { reason: Reason::Silent, .. })) {
            known.was_silent();
        }
    }

    /// From its next question on, a meter is asked as its profile says, also if only its answer
    /// told which that is.
    fn learn_type(&mut self, address: MeterAddress, profile: Option<&str>) {
        match profile.and_then(|id| self.profiles.get(id)) {
            Some(_) if self.types.len() >= MOST_KNOWN && !self.types.contains_key(&address) => {}
            Some(profile) => drop(self.types.insert(address, profile)),
            None => drop(self.types.remove(&address)),
        }
    }

    pub(crate) fn out_of_reach(&self, cause: PortFault) -> ReadError {
        ReadError::Port { port: self.port.settings().clone(), cause }
    }

    /// Where the bus is reached.
    pub(super) const fn port_settings(&self) -> &PortSettings {
        self.port.settings()
    }

    /// The speed of the wire.
    pub(super) const fn baud(&self) -> u32 {
        self.settings.baud
    }

    /// How long a meter may take, if the configuration tells.
    pub(super) const fn answer_within(&self) -> Option<Duration> {
        self.settings.answer_within
    }

    /// Talks at `baud` from now on.
    pub(super) fn set_speed(&mut self, baud: u32) -> Result<(), ReadError> {
        self.settings.baud = baud;
        self.session = Session::new(self.settings);
        match self.port.set_baud(baud) {
            Ok(()) => Ok(()),
            Err(cause) => Err(self.out_of_reach(cause)),
        }
    }

    /// Makes sure that the port is open.
    pub(crate) async fn ready(&mut self) -> Result<(), ReadError> {
        self.open_port().await.map_err(|cause| self.out_of_reach(cause))
    }

    /// Whether there is somebody whose own address is `selection`. One noise does not hide them.
    pub(crate) async fn acknowledges(
        &mut self,
        selection: Selection,
        clock: &dyn Clock,
    ) -> Result<bool, ReadError> {
        let address = MeterAddress::Secondary(selection);
        let mut noise = 0;
        loop {
            let probe = Task::Probe { selection, sends: 2 };
            let ended = self.run_for(&probe, None, clock).await;
            match ended.map_err(|cause| self.out_of_reach(cause))?.result {
                Ok(_) => return Ok(true),
                Err(Failure { reason: Reason::Silent, .. }) => return Ok(false),
                Err(failure @ Failure { reason: Reason::NeverSilent, .. }) => {
                    return Err(read_error(failure, address, Duration::ZERO));
                }
                Err(_) if noise > 0 => return Ok(false),
                Err(_) => noise += 1,
            }
        }
    }

    /// What a scan drives by itself: it gets a fresh look at the time with each step.
    pub(crate) fn line(&mut self) -> Line<'_> {
        let Self { port, session, profiles, epoch, .. } = self;
        Line { port, session, profiles, now: epoch.elapsed() }
    }

    /// How often the port was lost while it was in use.
    pub(crate) const fn losses(&self) -> u32 {
        self.port.losses()
    }

    /// Who said the telegram that came last, as far as it tells.
    pub(crate) fn last_speaker(&self) -> Option<Secondary> {
        match Frame::read(self.session.last_telegram()) {
            Ok(Frame::Long(long)) => long.header()?.address(),
            _ => None,
        }
    }

    /// Waits for bytes until `until` and hands them to the session.
    pub(crate) async fn listen(&mut self, until: Duration) -> Result<(), ReadError> {
        match self.hear(until).await {
            Ok(_) => Ok(()),
            Err(cause) => Err(self.out_of_reach(cause)),
        }
    }

    async fn open_port(&mut self) -> Result<(), PortFault> {
        self.leave_if_gone();
        if self.port.is_open() {
            // A connection that has ended meanwhile is made again.
            let _ended = self.hear_what_came().await;
        }
        if self.port.open().await? {
            // Nobody knows what a meter heard over the connection before.
            self.session.reconnected(self.epoch.elapsed());
            self.port.drain(QUIET, DRAIN_AT_MOST).await?;
        }
        Ok(())
    }

    /// A converter that is gone without a word is as silent as a meter: the next question is asked
    /// over a new connection.
    fn leave_if_gone(&mut self) {
        if std::mem::take(&mut self.unheard) && self.port.may_be_half_open() {
            self.port.close();
        }
    }

    /// Takes what came while nobody listened, such as the second answer of a meter that was asked
    /// twice: to the session it is nobody's answer. Otherwise it would stay in the system's buffer
    /// and be taken for the answer to the next question, and so on for ever.
    async fn hear_what_came(&mut self) -> Result<(), PortFault> {
        self.session.give_up(self.epoch.elapsed());
        for _ in 0..MOST_WAITING {
            if !self.hear(self.epoch.elapsed()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether anything came before `until`.
    async fn hear(&mut self, until: Duration) -> Result<bool, PortFault> {
        let mut buffer = [0; 512];
        let deadline = self.epoch + until;
        let read = self.port.read(&mut buffer);
        let Ok(count) = punctually(deadline, read).await else { return Ok(false) };
        let heard = buffer.get(..count?).unwrap_or_default();
        self.unheard = false;
        let all_zeros = heard.iter().all(|byte| *byte == 0);
        self.zeros = self.zeros.filter(|_| all_zeros).map(|zeros| zeros + heard.len());
        self.session.received(heard, self.epoch.elapsed());
        Ok(true)
    }

    /// Does one task of the session.
    pub(super) async fn run(
        &mut self,
        task: &Task<'_>,
        clock: &dyn Clock,
    ) -> Result<Ended, PortFault> {
        self.run_for(task, None, clock).await
    }

    /// Does one task of the session, with as much patience as the meter needs.
    pub(super) async fn run_for(
        &mut self,
        task: &Task<'_>,
        patience: Option<Patience>,
        clock: &dyn Clock,
    ) -> Result<Ended, PortFault> {
        self.open_port().await?;
        let begun = Instant::now();
        if self.session.start(task, patience, self.epoch.elapsed()).is_err() {
            debug_assert!(false, "data of more than a frame is never sent");
        }
        let mut came = Vec::new();
        let mut speaker = match *task {
            Task::Read { meter: Target::Secondary(selection), .. } => selection.address(),
            _ => None,
        };
        // When the answer to the last frame that was sent began.
        let mut began: Option<Moment> = None;
        self.unheard = true;
        self.zeros = Some(0);
        let result = loop {
            match self.session.poll(self.epoch.elapsed()) {
                Action::Send(bytes) => {
                    began = None;
                    self.port.write(bytes).await?;
                }
                Action::Wait(until) => {
                    if self.hear(until).await? {
                        began.get_or_insert_with(|| clock.now());
                    }
                }
                Action::Telegram(bytes) => {
                    let at = *began.get_or_insert_with(|| clock.now());
                    let heard = self.opening.hear(bytes, speaker);
                    speaker = heard.envelope.meter.or(speaker);
                    let more = announces_more(&heard);
                    came.push(Came { bytes: bytes.to_vec(), at });
                    if more {
                        self.session.announce_more();
                    }
                }
                Action::SetBaud(baud) => {
                    self.settings.baud = baud.bits_per_second();
                    self.port.set_baud(self.settings.baud)?;
                }
                Action::Done(result) => break result,
                Action::Idle => break Err(ABANDONED),
            }
        };
        self.leave_if_gone();
        if matches!(result, Err(Failure { reason: Reason::NeverSilent, .. }))
            && self.port.may_be_half_open()
        {
            // What a converter says without end may end with the connection.
            self.port.close();
        }
        Ok(Ended { result, came, took: begun.elapsed() })
    }
}

/// As [`time::timeout_at`], which is a millisecond or two late: at 9600 baud that is more than the
/// line has to rest after an answer, and would cost a fiftieth of each readout. So the last bit of
/// a wait is spent asking again and again, with everybody else let before.
///
/// That is no more than [`LATE`] by the machine's own clock, whatever the runtime's clock does: one
/// that is stopped goes on only when nobody has anything to do.
async fn punctually<T>(deadline: Instant, what: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut what = pin!(what);
    if let Some(early) = deadline.checked_sub(LATE)
        && Instant::now() < early
        && let Ok(done) = time::timeout_at(early, &mut what).await
    {
        return Ok(done);
    }
    let awake = std::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            done = &mut what => return Ok(done),
            () = tokio::task::yield_now() => {}
        }
        if Instant::now() >= deadline {
            return Err(Elapsed);
        }
        if awake.elapsed() > LATE {
            return time::timeout_at(deadline, what).await.map_err(|_elapsed| Elapsed);
        }
    }
}

/// Nothing came in time.
struct Elapsed;

/// How late a timer of the runtime may be.
const LATE: Duration = Duration::from_millis(2);

/// The parts of a bus that a scan needs.
pub(crate) struct Line<'b> {
    pub(crate) port: &'b mut Port,
    pub(crate) session: &'b mut Session,
    pub(crate) profiles: &'b Arc<Profiles>,
    pub(crate) now: Duration,
}

/// What a failed session says about the meter.
pub(crate) fn read_error(failure: Failure, address: MeterAddress, waited: Duration) -> ReadError {
    let cause = match failure.reason {
        Reason::Silent => return ReadError::Silent { address, waited },
        Reason::Garbled(error) => Garble::Noise(error.to_string()),
        Reason::LineError => Garble::Noise(failure.reason.to_string()),
        Reason::Foreign => Garble::Foreign(failure.to_string()),
        Reason::NeverSilent => Garble::Foreign("the line never falls silent".to_owned()),
    };
    ReadError::Garbled { address, cause }
}

/// A session that has no task although one was started: never, but it would be a silence.
const ABANDONED: Failure =
    Failure { step: ::mbus::Step::Command, reason: Reason::Silent, sends: 0, telegrams: 0 };

/// Four times as many as one wire carries.
const MOST_KNOWN: usize = 1_000;

/// How many pieces of up to 512 bytes are thrown away before a question: whoever says more than
/// that at once is heard as noise while it is asked.
const MOST_WAITING: usize = 64;

/// After a connection is made: what a converter kept for whoever comes next.
const QUIET: Duration = Duration::from_millis(50);
const DRAIN_AT_MOST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is stopped goes on when nobody has anything to do: a wait that asks again and
    /// again would never end.
    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_under_a_clock_that_is_stopped() {
        for wait in [0, 1, 2, 3, 50] {
            let begun = Instant::now();
            let deadline = begun + Duration::from_millis(wait);
            assert!(punctually(deadline, std::future::pending::<()>()).await.is_err());
            assert_eq!(begun.elapsed(), Duration::from_millis(wait));
        }
    }

    #[tokio::test]
    async fn what_is_there_is_taken_also_when_there_is_no_time() {
        let past = Instant::now();
        assert!(punctually(past, async { 7 }).await.is_ok_and(|it| it == 7));
    }
}
