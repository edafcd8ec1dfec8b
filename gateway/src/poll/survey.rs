//! A scan of the bus between its readouts: who is on it, of the configuration or not.
//!
//! ```text
//!  is a meter due? ── yes ─▶ ask it                      a person waits: at once
//!        ▲         └─ no ──▶ one step of the scan        at most one question long
//!        └────────────────────┘
//! ```
//!
//! So a scan takes from the readings the length of one step at most, and a bus that has nothing
//! but readings to do has no room for one. It outlives a change of the configuration, as long as
//! the wire is the same: whoever adds the meters that were found does not end it. What it has found
//! is kept until the next one, or until the daemon ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use drivers::{Discovered, MeterAddress, ReadError, Scan, ScanStep, Whole};
use mbus::Place;
use metering::MeterId;
use tokio::sync::oneshot;
use tokio::time::Instant;
use web_ui::{FoundMeter, NotScanned, ScanKind, ScanOrder, ScanState, ScanStatus};

/// What a person wants of the scan of a bus.
#[derive(Debug)]
pub(crate) struct ScanNow {
    pub(crate) order: ScanOrder,
    /// How the scan is then.
    pub(crate) reply: oneshot::Sender<Result<Arc<ScanStatus>, NotScanned>>,
}

/// Where the scan of a bus is kept while its task is started anew. Nobody holds it for longer than
/// it takes to put something in or take it out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Survey>>>);

impl Kept {
    pub(super) fn take(&self) -> Option<Survey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, survey: Option<Survey>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = survey;
    }
}

/// Those that are known on a bus: who is configured there, and the device that answers for them.
pub(super) type Known = Vec<(MeterId, MeterAddress, Option<Whole>)>;

/// A scan of one bus.
#[derive(Debug)]
pub(crate) struct Survey {
    scan: Scan,
    /// The search by own addresses comes after this.
    more: bool,
    found: Vec<Discovered>,
    status: ScanStatus,
    /// How long it ran, without the pauses, until `since`.
    ran: Duration,
    since: Instant,
    /// Steps in a row that failed, though the port was there.
    failures: u32,
    not_before: Instant,
}

impl Survey {
    pub(super) fn begin(kind: ScanKind, known: &Known, at: DateTime<Utc>) -> Self {
        let looking = match kind {
            ScanKind::Both => ScanKind::Primary,
            one => one,
        };
        let now = Instant::now();
        let mut survey = Self {
            scan: scan(looking, known, &[]),
            more: kind == ScanKind::Both,
            found: Vec::new(),
            status: ScanStatus {
                kind,
                state: ScanState::Running,
                looking,
                place: None,
                asked: 0,
                permille: 0,
                rest: None,
                began: at,
                ended: None,
                found: Vec::new(),
                several: Vec::new(),
                trouble: None,
            },
            ran: Duration::ZERO,
            since: now,
            failures: 0,
            not_before: now,
        };
        survey.measure();
        survey
    }

    /// How it is.
    pub(super) fn status(&self) -> Arc<ScanStatus> {
        Arc::new(self.status.clone())
    }

    /// What it goes on with.
    pub(super) const fn scan(&mut self) -> &mut Scan {
        &mut self.scan
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.status.state.is_under_way()
    }

    /// How long until its next step may be asked for; `None` if it waits for a person.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let runs = self.status.state == ScanState::Running;
        runs.then(|| self.not_before.saturating_duration_since(Instant::now()))
    }

    /// Takes note of how a step ended.
    pub(super) fn note(
        &mut self,
        step: Result<ScanStep, ReadError>,
        known: &Known,
        at: DateTime<Utc>,
    ) {
        match step {
            Ok(step) => {
                (self.failures, self.status.trouble) = (0, None);
                match step {
                    ScanStep::Nothing => {}
                    ScanStep::Found(meter) => self.found(meter, known),
                    ScanStep::Several(address) => {
                        self.status.several.push(address.to_string());
                    }
                    ScanStep::Done if self.more => {
                        self.more = false;
                        self.status.looking = ScanKind::Secondary;
                        self.scan = scan(ScanKind::Secondary, known, &self.found);
                    }
                    ScanStep::Done => self.end(ScanState::Done, at),
                }
            }
            Err(error) => {
                // A port that is gone comes back; a line that is never silent may not.
                if !matches!(error, ReadError::Port { .. }) {
                    self.failures += 1;
                }
                self.status.trouble = Some(crate::told::trouble(&error));
                self.not_before = Instant::now() + PAUSE;
                if self.failures >= HOPELESS {
                    self.end(ScanState::Failed, at);
                }
            }
        }
        self.measure();
    }

    /// Does what a person wants.
    pub(super) fn obey(&mut self, order: ScanOrder, at: DateTime<Utc>) -> Result<(), NotScanned> {
        match (order, self.status.state) {
            (ScanOrder::Start(_), state) if state.is_under_way() => return Err(NotScanned::Runs),
            (_, state) if !state.is_under_way() => return Err(NotScanned::Nothing),
            (ScanOrder::Pause, ScanState::Running) => {
                self.ran += self.since.elapsed();
                self.status.state = ScanState::Paused;
            }
            (ScanOrder::Resume, ScanState::Paused) => {
                (self.since, self.not_before) = (Instant::now(), Instant::now());
                self.status.state = ScanState::Running;
            }
            (ScanOrder::Cancel, _) => self.end(ScanState::Cancelled, at),
            // It is so already.
            (ScanOrder::Start(_) | ScanOrder::Pause | ScanOrder::Resume, _) => {}
        }
        self.measure();
        Ok(())
    }

    /// Another plan is in force: which of those that were found does it have?
    pub(super) fn compare(&mut self, known: &Known) {
        let mut told: Vec<FoundMeter> = self.found.iter().map(|it| told(it, known)).collect();
        // Of two whom one address means nobody can say which is meant, unless one has been read.
        let is_known =
            |id: MeterId| known.iter().any(|(it, _, device)| *it == id && device.is_some());
        let clashing: Vec<MeterId> = told
            .iter()
            .enumerate()
            .filter_map(|(at, one)| {
                let id = one.meter.filter(|id| !is_known(*id))?;
                let others = told.iter().zip(&self.found).skip(at + 1);
                let this = self.found.get(at)?;
                others
                    .filter(|(_, other)| !is_one_meter(this, other))
                    .any(|(told, _)| told.meter == Some(id))
                    .then_some(id)
            })
            .collect();
        for one in &mut told {
            one.meter = one.meter.filter(|id| !clashing.contains(id));
        }
        self.status.found = told;
    }

    fn found(&mut self, meter: Discovered, known: &Known) {
        match self.found.iter_mut().find(|it| is_one_meter(it, &meter)) {
            Some(before) => *before = meter,
            None => self.found.push(meter),
        }
        self.compare(known);
    }

    fn end(&mut self, state: ScanState, at: DateTime<Utc>) {
        self.status.state = state;
        self.status.ended = Some(at);
    }

    fn measure(&mut self) {
        let progress = self.scan.progress();
        let status = &mut self.status;
        let before = if status.kind == status.looking { None } else { Some(!self.more) };
        status.asked = progress.probed;
        status.permille = match before {
            _ if status.state == ScanState::Done => 1_000,
            None => progress.permille,
            Some(false) => progress.permille / 2,
            Some(true) => 500 + progress.permille / 2,
        };
        status.place = progress.place.filter(|_| status.state.is_under_way()).map(place_of);
        let ran = match status.state {
            ScanState::Running => self.ran + self.since.elapsed(),
            _ => self.ran,
        };
        status.rest = (status.state.is_under_way() && status.permille >= KNOWN_FROM).then(|| {
            let permille = u32::from(status.permille);
            ran * 1_000_u32.saturating_sub(permille) / permille
        });
    }
}

fn scan(looking: ScanKind, known: &Known, found: &[Discovered]) -> Scan {
    let scan = match looking {
        ScanKind::Units => return Scan::units(),
        ScanKind::Secondary => Scan::secondary(Place::START, Vec::new()),
        ScanKind::Primary | ScanKind::Both => Scan::primary(0..=u8::MAX),
    };
    let devices = known.iter().filter_map(|(_, address, device)| device.or(whole(*address)));
    let sure = found.iter().filter(|it| it.nearly.is_none()).filter_map(|it| it.own);
    scan.beside(devices.chain(sure))
}

/// Whether it was found in two ways: by its address on the bus and by its own, or by this once more.
/// Two with all of their own address in common are told apart by their addresses on the bus, or by
/// what the search had to add.
fn is_one_meter(a: &Discovered, b: &Discovered) -> bool {
    let (Some(own), Some(other)) = (a.selection(), b.selection()) else { return false };
    let one_place = a.primary.is_none() || b.primary.is_none() || a.primary == b.primary;
    a.own == b.own && own.overlaps(&other) && one_place
}

/// The device that is configured, where the configuration names one.
fn whole(address: MeterAddress) -> Option<Whole> {
    match address {
        MeterAddress::Secondary(selection) if !selection.has_wildcards() => {
            Some(Whole::of(selection))
        }
        _ => None,
    }
}

/// A place as a person may write it.
fn place_of(address: MeterAddress) -> String {
    match address {
        MeterAddress::Secondary(selection) => format!("{:08X}", selection.id),
        other => other.to_string(),
    }
}

fn told(found: &Discovered, known: &Known) -> FoundMeter {
    let is_it = |(_, address, device): &&(MeterId, MeterAddress, Option<Whole>)| {
        let same_device = device.is_none() || found.own.is_none() || *device == found.own;
        match address {
            MeterAddress::Secondary(wanted) => {
                found.selection().is_some_and(|own| wanted.overlaps(&own))
            }
            // A unit has no name of its own: who answers there is whom the configuration means.
            MeterAddress::Unit(_) => found.address == *address,
            other => found.primary.map(MeterAddress::Primary) == Some(*other) && same_device,
        }
    };
    let identity = &found.identity;
    let unit = match found.address {
        MeterAddress::Unit(unit) => Some(unit),
        _ => None,
    };
    FoundMeter {
        address: found.address.to_string(),
        primary: found.primary.or(unit),
        own: found.own.map(|own| own.to_string()),
        serial: identity.serial.clone(),
        manufacturer: identity.manufacturer.clone(),
        version: identity.version.clone(),
        medium: found.medium,
        profile: found.profile.clone(),
        meter: known.iter().find(is_it).map(|(meter, ..)| *meter),
        nearly: found.nearly.map(|nearly| nearly.to_string()),
    }
}

/// After a step that failed: the port is opened anew in between.
const PAUSE: Duration = Duration::from_secs(3);

/// After so many failures in a row the scan has ended.
const HOPELESS: u32 = 5;

/// How much has to be gone through before the rest can be told.
const KNOWN_FROM: u16 = 20;

#[cfg(test)]
mod tests {
    use mbus::Selection;
    use metering::Identity;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> MeterId {
        MeterId::from_uuid(Uuid::from_u128(number))
    }

    fn device(number: &str) -> Whole {
        Whole::of(format!("{number}KAM0804").parse().unwrap())
    }

    /// A find by its own address, at this one on the bus.
    fn found(number: &str, primary: u8) -> Discovered {
        let own = device(number);
        Discovered {
            address: MeterAddress::Secondary(own.selection()),
            own: Some(own),
            identity: Identity::default(),
            medium: None,
            primary: Some(primary),
            profile: None,
            nearly: None,
        }
    }

    /// Which meters of the configuration those are that were found.
    #[track_caller]
    fn check(known: &Known, found: &[Discovered], expected: &[Option<u128>]) {
        let at = DateTime::UNIX_EPOCH;
        let mut survey = Survey::begin(ScanKind::Secondary, known, at);
        for meter in found {
            survey.note(Ok(ScanStep::Found(meter.clone())), known, at);
        }
        let told: Vec<_> = survey.status().found.iter().map(|it| it.meter).collect();
        let expected: Vec<_> = expected.iter().map(|it| it.map(id)).collect();
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn what_is_found_is_the_meter_that_is_configured_there() {
        let five = MeterAddress::Primary(5);
        let own = |text: &str| MeterAddress::Secondary(text.parse().unwrap());
        check(&vec![(id(1), five, None)], &[found("67001122", 5)], &[Some(1)]);
        check(&vec![(id(1), five, None)], &[found("67001122", 6)], &[None]);
        check(&vec![(id(1), own("67001122"), None)], &[found("67001122", 6)], &[Some(1)]);
        // Another device than the one that was read there, in whichever way it was found.
        let read = vec![(id(1), five, Some(device("67001122")))];
        check(&read, &[found("12345678", 5)], &[None]);
        check(&read, &[Discovered { address: five, ..found("12345678", 5) }], &[None]);
        check(&read, &[Discovered { address: five, ..found("67001122", 5) }], &[Some(1)]);
        check(
            &read,
            &[Discovered { address: five, own: None, ..found("12345678", 5) }],
            &[Some(1)],
        );
        // Two at one address: the one that was read, or nobody knows.
        let two = [found("67001122", 5), found("12345678", 5)];
        check(&read, &two, &[Some(1), None]);
        check(&vec![(id(1), five, None)], &two, &[None, None]);
    }

    /// With a number that tells it from its twin.
    fn twin(fabrication: u32, primary: Option<u8>) -> Discovered {
        let found = found("67001122", 0);
        let selection =
            Selection { fabrication: Some(fabrication), ..device("67001122").selection() };
        Discovered { address: MeterAddress::Secondary(selection), primary, ..found }
    }

    #[tokio::test]
    async fn twins_are_two_meters() {
        let twins = [twin(7, Some(0)), twin(8, Some(0))];
        check(&vec![], &twins, &[None, None]);
        let configured = |fabrication| {
            let selection = twin(fabrication, None).selection().unwrap();
            (id(fabrication.into()), MeterAddress::Secondary(selection), None)
        };
        check(&vec![configured(8), configured(7)], &twins, &[Some(7), Some(8)]);
        // One address for both: nobody knows which of them it means.
        let both = MeterAddress::Secondary("67001122KAM0804".parse().unwrap());
        check(&vec![(id(1), both, None)], &twins, &[None, None]);
        check(&vec![(id(1), MeterAddress::Primary(0), None)], &twins, &[None, None]);
    }

    #[tokio::test]
    async fn who_does_not_tell_its_address_on_the_bus_is_found_once() {
        let by_primary = Discovered { address: MeterAddress::Primary(5), ..found("67001122", 5) };
        let by_own = Discovered { primary: None, ..found("67001122", 5) };
        check(&vec![], &[by_primary, by_own], &[None]);
    }

    #[tokio::test]
    async fn who_is_found_in_two_ways_is_one() {
        let by_primary = Discovered { address: MeterAddress::Primary(5), ..found("67001122", 5) };
        let (known, at) = (Vec::new(), DateTime::UNIX_EPOCH);
        let mut survey = Survey::begin(ScanKind::Both, &known, at);
        survey.note(Ok(ScanStep::Found(by_primary)), &known, at);
        survey.note(Ok(ScanStep::Done), &known, at);
        assert_eq!(survey.status().looking, ScanKind::Secondary);
        survey.note(Ok(ScanStep::Found(found("67001122", 5))), &known, at);
        survey.note(Ok(ScanStep::Done), &known, at);
        let status = survey.status();
        assert_eq!((status.state, status.found.len()), (ScanState::Done, 1));
        assert_eq!(status.found[0].address, "67001122KAM0804");
    }

    #[tokio::test]
    async fn a_scan_waits_for_a_port_and_not_for_noise() {
        let (known, at) = (Vec::new(), DateTime::UNIX_EPOCH);
        let mut survey = Survey::begin(ScanKind::Primary, &known, at);
        for _ in 0..20 {
            let port: drivers::PortSettings = "tcp://127.0.0.1:1".parse().unwrap();
            let error = ReadError::Port { port, cause: drivers::PortFault::NotListening };
            survey.note(Err(error), &known, at);
        }
        assert_eq!(survey.status().state, ScanState::Running);
        survey.note(Ok(ScanStep::Nothing), &known, at);
        assert_eq!(survey.status().trouble, None);
        for _ in 0..HOPELESS {
            let address = MeterAddress::Primary(0);
            let cause = drivers::Garble::Foreign("the line never falls silent".to_owned());
            survey.note(Err(ReadError::Garbled { address, cause }), &known, at);
        }
        let status = survey.status();
        assert_eq!((status.state, status.trouble.is_some()), (ScanState::Failed, true));
    }
}
