//! Keeps the newest forecast of a place, and tells what it says of now.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use metering::{Clock, Identity, Medium, NoReading, Origin, Quality, Reading, Register};
use reqwest::header::HeaderValue;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use super::Coordinates;
use super::forecast::Forecast;
use super::service::{Refused, Service};
use crate::error::ReadError;
use crate::port::{PortFault, PortSettings};
use crate::{BusSettings, Meter, MeterAddress, OddKind, OddRecord, Readout};

/// A weather service, and the building's place as its one meter.
#[derive(Debug)]
pub struct WeatherBus {
    port: PortSettings,
    /// Who asks; without it nothing is ever sent.
    contact: Option<String>,
    asking: Option<Asking>,
}

/// The task that asks for one place.
#[derive(Debug)]
struct Asking {
    place: Coordinates,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known.
#[derive(Clone, Debug, Default)]
struct State {
    asked: bool,
    forecast: Option<Forecast>,
    /// When the forecast was told, or told to be still the newest.
    since: Option<Instant>,
    /// What went wrong the last time, if it did.
    fault: Option<PortFault>,
    deprecated: bool,
}

impl WeatherBus {
    /// The service that the port of `settings` names, asked by `contact`: an address or a page by
    /// which the service reaches whoever is responsible for the questions.
    ///
    /// Nothing is sent before the first reading, and nothing at all without a contact.
    pub fn open(settings: &BusSettings, contact: Option<String>) -> Self {
        Self { port: settings.port.clone(), contact, asking: None }
    }

    /// As [`Bus::read`](crate::Bus::read). Answers from what is known; only the first reading waits
    /// for the service.
    pub(crate) async fn read(
        &mut self,
        meter: &Meter,
        clock: &dyn Clock,
    ) -> Result<Readout, ReadError> {
        let begun = Instant::now();
        let address = meter.address;
        let misfit = |because| ReadError::Misfit { address, because };
        let MeterAddress::Place(place) = address else {
            return Err(misfit("a weather service is asked for a place: write `coordinates`"));
        };
        let register: Option<Register> = REGISTER.parse().ok();
        let register = register.ok_or_else(|| misfit("it has no name"))?;
        let port = self.port.clone();
        let asking = self.asking(place).map_err(misfit)?;
        let known = match asking.state.wait_for(|state| state.asked).await {
            Ok(state) => state.clone(),
            Err(_gone) => State::default(),
        };

        let at = clock.now();
        let value = known.forecast.as_ref().and_then(|it| it.at(at.wall));
        if let (None, Some(cause)) = (value, known.fault.clone()) {
            return Err(ReadError::Port { port, cause });
        }
        let is_old = known.since.is_none_or(|since| since.elapsed() > OLD);
        let reading = Reading {
            register,
            at,
            value: value.ok_or(NoReading::LeftOut),
            quality: if is_old { Quality::Stale } else { Quality::Good },
            origin: if meter.origin == Origin::Live { Origin::Forecast } else { meter.origin },
        };
        let odd = |note: String| OddRecord {
            telegram: 0,
            at: 0,
            kind: OddKind::Unread,
            what: REGISTER.to_owned(),
            note,
        };
        let fault = known
            .fault
            .map(|fault| odd(format!("the newest forecast could not be fetched: {fault}")));
        let deprecated = known.deprecated.then(|| {
            odd("the service says that this version of it will end: the gateway needs an update".to_owned())
        });
        Ok(Readout {
            identity: Identity::default(),
            medium: Some(Medium::Climate),
            readings: vec![reading],
            remembered: Vec::new(),
            odd: [fault, deprecated].into_iter().flatten().collect(),
            telegrams: Vec::new(),
            took: begun.elapsed(),
            profile: None,
        })
    }

    fn asking(&mut self, place: Coordinates) -> Result<&mut Asking, &'static str> {
        if self.asking.as_ref().is_some_and(|it| it.place != place) {
            return Err("a weather service has one place: make a bus for the other one");
        }
        match &mut self.asking {
            Some(asking) => Ok(asking),
            none => {
                let contact = self.contact.as_deref().ok_or(NO_CONTACT)?;
                let PortSettings::Service(url) = &self.port else {
                    return Err("a weather service is reached at https://");
                };
                let service = Service::new(url, place, contact).ok_or(NO_CONTACT)?;
                let (told, state) = watch::channel(State::default());
                let task = tokio::spawn(go_on_asking(service, told));
                Ok(none.insert(Asking { place, state, task }))
            }
        }
    }
}

/// The temperature outdoors that nobody measured.
const REGISTER: &str = "temperature_forecast";

const NO_CONTACT: &str = "a weather service wants to know who asks: write `contact`, an e-mail \
                          address or a page";

/// Asks whenever the forecast has expired, and somewhat later: never all gateways at one time.
async fn go_on_asking(service: Service, told: watch::Sender<State>) {
    let mut last_modified: Option<HeaderValue> = None;
    let mut failures = 0;
    loop {
        let wait = match service.ask(last_modified.as_ref()).await {
            Ok(answer) => {
                failures = 0;
                last_modified = answer.last_modified.or(last_modified);
                told.send_modify(|state| {
                    state.forecast = answer.forecast.or_else(|| state.forecast.take());
                    (state.asked, state.since, state.fault) = (true, Some(Instant::now()), None);
                    state.deprecated = answer.deprecated;
                });
                answer.expires_after + by_chance(SPREAD)
            }
            Err(Refused { cause, leave_for }) => {
                told.send_modify(|state| (state.asked, state.fault) = (true, Some(cause)));
                let back_off = FIRST_WAIT.saturating_mul(1 << failures.min(6)).min(LONGEST_WAIT);
                failures += 1;
                let wait = leave_for.unwrap_or(back_off);
                wait + by_chance(wait / 2)
            }
        };
        // Nobody reads any more.
        if told.is_closed() {
            return;
        }
        time::sleep(wait).await;
    }
}

/// Between nothing and `most`.
fn by_chance(most: Duration) -> Duration {
    // The keys of a hash are the chance that the standard library has.
    let chance = RandomState::new().hash_one(0_u8) % 1_024;
    most * u32::try_from(chance).unwrap_or(0) / 1_024
}

/// A forecast that could not be renewed for so long is told, and marked as old.
const OLD: Duration = Duration::from_hours(6);
/// How far apart the questions of gateways come whose forecasts expire at one time.
const SPREAD: Duration = Duration::from_mins(10);
const FIRST_WAIT: Duration = Duration::from_mins(1);
const LONGEST_WAIT: Duration = Duration::from_hours(1);
