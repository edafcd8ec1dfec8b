//! A scan that gives way: one address at a time, and between two of them the bus is free.
//!
//! ```text
//! owner of the bus   poll due? ── yes ─▶ Bus::read
//!        ▲                 └───── no ──▶ Bus::scan_step ─▶ nothing, a meter, several, the end
//!        └─────────────────────────────────┘
//! ```
//!
//! Whoever owns the bus asks for a step when nothing else is due. So a poll waits for a scan no
//! longer than one step takes. Mostly that is a question of 17 characters and the time in which a
//! meter may answer it. Where one does it is more: its first telegram, and at times up to
//! eleven more selections, to be sure that nobody hides behind it, 20 s at 300 baud. The whole readout of a meter that was found by its primary
//! address is a step of its own. To pause a scan is to ask for no step, to end it is
//! to drop it, and [`Scan::place`] is where to go on after a restart.
//!
//! A meter whose address is a few bits from a known one may be a fault of the wire (see
//! [`are_near`]), so it is put to the proof: one that was found by its own address is selected with
//! all of it, which nobody acknowledges whom a fault has made up; one that was found by its primary
//! address has to tell the same twice in a row, or what is known. Who fails is told as
//! [`Discovered::nearly`] the known one.
//!
//! A port that was lost may not have carried what was said last: the scan goes back to where it was
//! sure of it. Only of datagrams does nobody tell that they were lost.
//!
//! **Never true:** a scan that is interrupted by readouts, or by the loss of a serial line or a
//! connection, leaves a meter out because of that.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ::mbus::{Id, Place, Primary, PrimaryScan, ScanAction, Search, SearchAction, Selection};
use metering::{Clock, Identity};
use tokio::time::Instant;

use crate::discover::{Discovered, MOST_FOUND, MOST_UNRESOLVED, known, nameless};
use crate::error::{Garble, ReadError};
use crate::mbus::MbusBus;
use crate::mbus::bus::{Line, read_error};
use crate::modbus::{FoundUnit, ModbusBus, Sweep, SweepStep};
use crate::port::UNACKNOWLEDGED;
use crate::{Meter, MeterAddress, Readout, Whole, are_near};

/// Those that a device on a Modbus can be.
const UNITS: RangeInclusive<u8> = 1..=247;

/// A scan under way.
#[derive(Clone, Debug)]
pub struct Scan {
    way: Way,
    probed: u32,
    found: u32,
    unresolved: u32,
    /// Addresses that nobody doubts: those that were known before, and those that were found.
    sure: Vec<Whole>,
    doubted: Option<Doubted>,
    thorough: bool,
    /// A place that was reached a while ago, and a later one.
    marks: Option<[Mark; 2]>,
    /// Of the port, when it was last looked at.
    losses: Option<u32>,
}

/// Where the scan was at a time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    place: MarkedPlace,
}

#[derive(Clone, Copy, Debug)]
enum MarkedPlace {
    Primary(u8),
    Secondary(Place),
}

/// A meter that is nearly a known one, until it has been put to the proof.
#[derive(Clone, Debug)]
struct Doubted {
    meter: Discovered,
    own: Whole,
    nearly: Whole,
    /// Where it was found: a scan that begins there finds it again.
    at: MeterAddress,
    /// How often it has told another address than the time before.
    unlike: u8,
}

#[derive(Clone, Debug)]
enum Way {
    Primary {
        /// What is asked next; beyond `last` at the end.
        next: u8,
        first: u8,
        last: u8,
        /// It has given a sign of life, and is asked who it is.
        alive: Option<u8>,
    },
    Secondary {
        place: Box<Place>,
        known: Vec<Id>,
    },
    /// On a Modbus; `None` before the first step, which knows the profiles.
    Units(Option<Box<Sweep>>),
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// Nobody, or somebody who is not told from others yet.
    Nothing,
    /// A meter.
    Found(Discovered),
    /// Several meters answer here and cannot be told apart.
    Several(MeterAddress),
    /// The scan has come to its end: all further steps are this.
    Done,
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanProgress {
    /// How many addresses or selections have been asked.
    pub probed: u32,
    /// Of how many; `None` where only the search can tell, at its end.
    pub of: Option<u32>,
    /// How much has been gone through, in thousandths.
    pub permille: u16,
    /// How many meters have been found.
    pub found: u32,
    /// What is asked next; `None` at the end.
    pub place: Option<MeterAddress>,
}

impl Scan {
    /// Of the primary addresses in `range`, as far as a meter can have them.
    pub fn primary(range: RangeInclusive<u8>) -> Self {
        let (first, last) = (*range.start(), (*range.end()).min(Primary::MAX.0));
        Self::new(Way::Primary { next: first, first, last, alive: None })
    }

    /// Of all meters by their own addresses, from a place on, but for the `known` ones: no
    /// selection is said to which one of these would answer.
    pub fn secondary(from: Place, known: Vec<Id>) -> Self {
        Self::new(Way::Secondary { place: Box::new(from), known })
    }

    /// Of all units of a Modbus.
    pub fn units() -> Self {
        Self::new(Way::Units(None))
    }

    fn new(way: Way) -> Self {
        let (sure, doubted) = (Vec::new(), None);
        let (marks, losses) = (None, None);
        Self {
            way,
            probed: 0,
            found: 0,
            unresolved: 0,
            sure,
            doubted,
            thorough: false,
            marks,
            losses,
        }
    }

    /// Asks twice where nobody answers, and by own addresses as [`Search::thoroughly`]: for lines
    /// with noise, and for meters that were not found. It takes two to three times as long.
    #[must_use]
    pub const fn thoroughly(mut self) -> Self {
        self.thorough = true;
        self
    }

    /// With meters whose own addresses are known, wherever they are: what is nearly one of these is
    /// doubted.
    #[must_use]
    pub fn beside(mut self, known: impl IntoIterator<Item = Whole>) -> Self {
        self.sure.extend(known);
        self
    }

    /// How far it is.
    pub fn progress(&self) -> ScanProgress {
        let (of, permille) = match &self.way {
            Way::Primary { next, first, last, alive } => {
                let of = (u32::from(*last) + 1).saturating_sub((*first).into());
                let waiting = u32::from(alive.is_some());
                let gone = u32::from(*next).saturating_sub((*first).into()) - waiting.min(1);
                let permille = u16::try_from(1000 * gone / of.max(1)).unwrap_or(1000);
                (Some(of), if of == 0 { 1000 } else { permille })
            }
            Way::Secondary { place, .. } => (None, place.permille()),
            Way::Units(sweep) => {
                let (asked, of) = sweep.as_ref().map_or((0, 1), |it| it.progress());
                (Some(of), u16::try_from(1000 * asked / of.max(1)).unwrap_or(1000))
            }
        };
        let Self { probed, found, .. } = *self;
        ScanProgress { probed, of, permille, found, place: self.place() }
    }

    /// What is asked next, from which a new scan goes on with this one ([`Place::at`]); `None` at
    /// the end.
    pub fn place(&self) -> Option<MeterAddress> {
        if let Some(doubted) = &self.doubted {
            return Some(doubted.at);
        }
        match &self.way {
            Way::Primary { alive: Some(number), .. } => Some(MeterAddress::Primary(*number)),
            Way::Primary { next, last, .. } => {
                (next <= last).then_some(MeterAddress::Primary(*next))
            }
            Way::Secondary { place, .. } => {
                (!place.has_ended()).then(|| MeterAddress::Secondary(place.selection()))
            }
            Way::Units(sweep) => match sweep {
                Some(sweep) => sweep.place().map(MeterAddress::Unit),
                None => Some(MeterAddress::Unit(*UNITS.start())),
            },
        }
    }

    /// Asks the next unit of a Modbus, or one that is there what it is.
    ///
    /// # Errors
    ///
    /// As [`Sweep::step`], and [`ReadError::Misfit`] of a scan that is one of an M-Bus.
    ///
    /// # Cancellation
    ///
    /// As [`Self::step`].
    pub async fn unit_step(
        &mut self,
        bus: &mut ModbusBus,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        let Way::Units(sweep) = &mut self.way else {
            let because = "a Modbus is searched by units";
            return Err(ReadError::Misfit { address: MeterAddress::Unit(0), because });
        };
        let sweep =
            sweep.get_or_insert_with(|| Box::new(Sweep::new(UNITS, Arc::clone(bus.profiles()))));
        let step = sweep.step(bus, clock).await?;
        self.probed = sweep.progress().0;
        Ok(match step {
            SweepStep::Nothing => ScanStep::Nothing,
            SweepStep::Garbled(unit) => ScanStep::Several(MeterAddress::Unit(unit)),
            SweepStep::Done => ScanStep::Done,
            SweepStep::Found(FoundUnit { unit, profiles, serial }) => {
                self.found += 1;
                // Of two types that look alike a person has to choose.
                let mut types = profiles.into_iter();
                let profile = types.next().filter(|_| types.next().is_none());
                let serial = serial.unwrap_or_default();
                ScanStep::Found(Discovered {
                    address: MeterAddress::Unit(unit),
                    own: None,
                    identity: Identity { serial, ..Identity::default() },
                    medium: None,
                    primary: None,
                    profile,
                    nearly: None,
                })
            }
        })
    }

    /// Asks at the next address.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`] of a scan of units, [`ReadError::Port`], and [`ReadError::Garbled`] if the line never falls silent: the same
    /// step can be tried again. [`ReadError::Garbled`] also if nearly every selection is answered
    /// by something that is no meter.
    ///
    /// # Cancellation
    ///
    /// When the future is dropped, the same address is asked again by the next step.
    pub async fn step(
        &mut self,
        bus: &mut MbusBus,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        self.go_back_if_lost(bus);
        let step = self.asked(bus, clock).await;
        self.go_back_if_lost(bus);
        if let Ok(step) = &step {
            let was_heard = matches!(step, ScanStep::Found(_) | ScanStep::Several(_));
            self.mark(was_heard);
        }
        step
    }

    /// Notes where it is, and forgets what is older than the port needs to tell of its loss. Whoever
    /// was heard has shown that the port was there until now.
    fn mark(&mut self, was_heard: bool) {
        let place = match &self.way {
            Way::Primary { next, alive, .. } => MarkedPlace::Primary(alive.unwrap_or(*next)),
            Way::Secondary { place, .. } => MarkedPlace::Secondary(**place),
            // Of a step that failed a sweep asks the same again by itself.
            Way::Units(_) => return,
        };
        let now = Mark { at: Instant::now(), place };
        self.marks = match self.marks {
            Some([older, newer]) if !was_heard => {
                let is_old = now.at.duration_since(newer.at) > UNACKNOWLEDGED;
                Some(if is_old { [newer, now] } else { [older, newer] })
            }
            _ => Some([now; 2]),
        };
    }

    fn go_back_if_lost(&mut self, bus: &MbusBus) {
        if self.marks.is_none() {
            self.mark(true);
        }
        let losses = bus.losses();
        if self.losses.replace(losses).is_none_or(|before| before == losses) {
            return;
        }
        if let Some([older, _]) = self.marks {
            match (&mut self.way, older.place) {
                (Way::Primary { next, alive, .. }, MarkedPlace::Primary(number)) => {
                    (*next, *alive) = (number, None);
                }
                (Way::Secondary { place, .. }, MarkedPlace::Secondary(before)) => **place = before,
                _ => {}
            }
            self.mark(true);
        }
    }

    /// Asks at the next address, over a port that is there.
    async fn asked(&mut self, bus: &mut MbusBus, clock: &dyn Clock) -> Result<ScanStep, ReadError> {
        if let Some(doubted) = &self.doubted {
            let doubted = doubted.clone();
            return self.proven(doubted, bus, clock).await;
        }
        let at = self.place();
        let step = match &self.way {
            Way::Primary { alive: Some(number), .. } => {
                let number = *number;
                self.identified(bus, number, clock).await
            }
            Way::Primary { next, last, .. } if next <= last => {
                let number = *next;
                self.pinged(bus, number).await
            }
            Way::Primary { .. } => Ok(ScanStep::Done),
            Way::Secondary { .. } => self.selected(bus).await,
            Way::Units(_) => {
                let because = "an M-Bus is searched by addresses";
                Err(ReadError::Misfit { address: MeterAddress::Primary(0), because })
            }
        };
        match (step?, at) {
            (ScanStep::Found(meter), Some(at)) => Ok(self.doubted(meter, at)),
            (step, _) => Ok(step),
        }
    }

    /// Tells `meter`, unless it has to be put to the proof first.
    fn doubted(&mut self, meter: Discovered, at: MeterAddress) -> ScanStep {
        let Some(own) = meter.own else { return ScanStep::Found(meter) };
        match self.sure.iter().find(|sure| are_near(**sure, own)) {
            Some(nearly) if !self.sure.contains(&own) => {
                let nearly = *nearly;
                self.doubted = Some(Doubted { meter, own, nearly, at, unlike: 0 });
                ScanStep::Nothing
            }
            _ => {
                self.sure.push(own);
                ScanStep::Found(meter)
            }
        }
    }

    /// Whether a meter that is nearly a known one is there by itself. Its number is not counted
    /// again as found.
    async fn proven(
        &mut self,
        doubted: Doubted,
        bus: &mut MbusBus,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        let Doubted { meter, own, nearly, unlike, .. } = &doubted;
        let (meter, is_there) = match meter.address {
            MeterAddress::Secondary(selection) => {
                (meter.clone(), bus.acknowledges(selection, clock).await?)
            }
            address => match bus.read(&Meter::stranger(address), clock).await {
                Ok(readout) => {
                    let again = of_readout(address, meter.primary, Some(readout));
                    match again.own {
                        Some(told) if self.sure.contains(&told) => (again, true),
                        Some(told) if told != *own && *unlike < MOST_UNLIKE => {
                            let unlike = unlike + 1;
                            self.doubted =
                                Some(Doubted { meter: again, own: told, unlike, ..doubted });
                            return Ok(ScanStep::Nothing);
                        }
                        told => (again, told == Some(*own)),
                    }
                }
                Err(error @ ReadError::Port { .. }) => return Err(error),
                Err(_) => (meter.clone(), false),
            },
        };
        let told = if is_there {
            self.sure.extend(meter.own);
            meter
        } else {
            Discovered { nearly: Some(*nearly), ..meter }
        };
        self.doubted = None;
        Ok(ScanStep::Found(told))
    }

    async fn pinged(&mut self, bus: &mut MbusBus, number: u8) -> Result<ScanStep, ReadError> {
        let mut sign = sign_of_life(bus, number).await?;
        if self.thorough && sign == Sign::None {
            sign = sign_of_life(bus, number).await?;
        }
        if let Way::Primary { next, alive, .. } = &mut self.way {
            *alive = (sign == Sign::One).then_some(number);
            // 250 is the last, so this never overflows.
            *next = number.saturating_add(1);
        }
        self.probed += 1;
        Ok(match sign {
            Sign::Several => ScanStep::Several(MeterAddress::Primary(number)),
            Sign::One | Sign::None => ScanStep::Nothing,
        })
    }

    /// Asks who is alive at `number`. Two meters at the address before may have acknowledged so
    /// far apart that the second one was taken for one at this: who does not answer is asked for a
    /// sign of life once more.
    async fn identified(
        &mut self,
        bus: &mut MbusBus,
        number: u8,
        clock: &dyn Clock,
    ) -> Result<ScanStep, ReadError> {
        let address = MeterAddress::Primary(number);
        let found =
            |readout: Option<Readout>| ScanStep::Found(of_readout(address, Some(number), readout));
        let step = match bus.read(&Meter::stranger(address), clock).await {
            Ok(readout) => found(Some(readout)),
            Err(error @ ReadError::Port { .. }) => return Err(error),
            Err(ReadError::Silent { .. }) if sign_of_life(bus, number).await? == Sign::None => {
                ScanStep::Nothing
            }
            // Acknowledges that overlap look like one; telegrams that do look like noise.
            Err(ReadError::Garbled { cause: Garble::Noise(_), .. }) => ScanStep::Several(address),
            // A telegram that cannot be opened or read still says who sent it.
            Err(
                ReadError::Locked { .. } | ReadError::Garbled { cause: Garble::Undecodable(_), .. },
            ) => match bus.last_speaker() {
                Some(own) => {
                    let Line { profiles, .. } = bus.line();
                    ScanStep::Found(known(own, address, Some(number), profiles))
                }
                None => found(None),
            },
            Err(_) => found(None),
        };
        if let Way::Primary { alive, .. } = &mut self.way {
            *alive = None;
        }
        self.found += u32::from(matches!(step, ScanStep::Found(_)));
        Ok(step)
    }

    /// One selection of the search by secondary addresses, to its end.
    async fn selected(&mut self, bus: &mut MbusBus) -> Result<ScanStep, ReadError> {
        let Way::Secondary { place, known: known_ids } = &mut self.way else {
            return Ok(ScanStep::Done);
        };
        if usize::try_from(self.found).is_ok_and(|found| found >= MOST_FOUND) {
            return Ok(ScanStep::Done);
        }
        bus.ready().await?;
        let mut search = Search::resume(**place, known_ids);
        if self.thorough {
            search = search.thoroughly();
        }
        let mut said = false;
        let step = loop {
            let Line { port, session, now, profiles } = bus.line();
            match search.poll(session, now) {
                SearchAction::Send(bytes) => {
                    said = true;
                    port.write(bytes).await.map_err(|cause| bus.out_of_reach(cause))?;
                }
                SearchAction::Wait(until) => bus.listen(until).await?,
                SearchAction::Pause if said => break ScanStep::Nothing,
                SearchAction::Pause => {}
                SearchAction::Found(meter) => {
                    let primary = meter.primary.map(|Primary(number)| number);
                    self.found += 1;
                    break ScanStep::Found(match meter.meter {
                        Some(own) => {
                            // Where only that tells it from its twin it is part of the address.
                            let Selection { fabrication, .. } = meter.selection;
                            let own_selection = Selection { fabrication, ..Selection::of(own) };
                            known(own, MeterAddress::Secondary(own_selection), primary, profiles)
                        }
                        None => nameless(meter.selection, primary),
                    });
                }
                SearchAction::Unresolved(selection) => {
                    let address = MeterAddress::Secondary(selection);
                    self.unresolved += 1;
                    if self.unresolved >= MOST_UNRESOLVED {
                        let what = "something answers to every selection".to_owned();
                        return Err(ReadError::Garbled { address, cause: Garble::Foreign(what) });
                    }
                    break ScanStep::Several(address);
                }
                SearchAction::Failed(failure) => {
                    let selection: Selection = search.place().selection();
                    let address = MeterAddress::Secondary(selection);
                    return Err(read_error(failure, address, Duration::ZERO));
                }
                SearchAction::Done => break ScanStep::Done,
            }
        };
        **place = search.place();
        self.probed += u32::from(said);
        Ok(step)
    }
}

/// A meter that was found at `address`, as far as its answer tells who it is.
fn of_readout(address: MeterAddress, primary: Option<u8>, readout: Option<Readout>) -> Discovered {
    let telegram = readout.as_ref().and_then(|it| it.telegrams.first());
    let own = telegram.and_then(|it| Whole::of_telegram(it));
    let profile = readout.as_ref().and_then(|it| it.profile.clone());
    let medium = readout.as_ref().and_then(|it| it.medium);
    let identity = readout.map(|it| it.identity).unwrap_or_default();
    Discovered { address, own, identity, medium, primary, profile, nearly: None }
}

/// A meter whose address is another each time is told as nearly a known one after so many.
const MOST_UNLIKE: u8 = 3;

/// Who acknowledges at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    None,
    One,
    Several,
}

async fn sign_of_life(bus: &mut MbusBus, number: u8) -> Result<Sign, ReadError> {
    let mut scan = PrimaryScan::new(Primary(number), Primary(number));
    bus.ready().await?;
    loop {
        let Line { port, session, now, .. } = bus.line();
        match scan.poll(session, now) {
            ScanAction::Send(bytes) => {
                port.write(bytes).await.map_err(|cause| bus.out_of_reach(cause))?;
            }
            ScanAction::Wait(until) => bus.listen(until).await?,
            ScanAction::Found(_) => return Ok(Sign::One),
            ScanAction::Several(_) => return Ok(Sign::Several),
            ScanAction::Failed(failure) => {
                let address = MeterAddress::Primary(number);
                return Err(read_error(failure, address, Duration::ZERO));
            }
            ScanAction::Done => return Ok(Sign::None),
        }
    }
}
