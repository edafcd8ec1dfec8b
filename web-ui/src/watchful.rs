//! What deserves a look, and the one sentence that every overview begins with.
//!
//! Both are codes and parameters; the language files make sentences of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use metering::{NoReading, Trust};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::buses::trust_code;
use crate::api::meters::state_of;
use crate::handles::{BusState, LiveMeter, MeterInfo, MeterState};
use crate::told::Trouble;
use crate::wire::Time;
use crate::{Live, Owed, PagesCertificate, Site, Status, Whose};

/// What a person would say first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sentence {
    /// `commissioning`, `no_meters`, `starting`, `all_well`, `one_silent`, `some_silent`,
    /// `all_silent`.
    code: &'static str,
    params: BTreeMap<&'static str, String>,
}

/// Something to look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notice {
    /// `config_problem`, `wrong_profiles`, `bus_down`, `store`, `damaged`, `disk_full`, `silent`, `late`,
    /// `battery_low`, `clock`, `cloud`, `errand`, `claim_open`, `certificate_ends`, `certificate_unused`.
    pub(crate) code: &'static str,
    pub(crate) params: BTreeMap<&'static str, String>,
    /// The meter it is about.
    pub(crate) meter: Option<String>,
    /// The bus it is about.
    pub(crate) bus: Option<String>,
    /// `null` if nobody knows.
    since: Option<Time>,
}

impl Sentence {
    fn new<const N: usize>(code: &'static str, params: [(&'static str, String); N]) -> Self {
        Self { code, params: BTreeMap::from(params) }
    }
}

/// The sentence on `seen`.
pub(crate) fn sentence(site: &Site, live: &Live, seen: &[&MeterInfo]) -> Sentence {
    if site.commissioning {
        return Sentence::new("commissioning", []);
    }
    let is = |meter: &&&MeterInfo, state| state_of(live, meter.id) == state;
    let silent: Vec<_> = seen.iter().filter(|it| is(it, MeterState::Silent)).collect();
    let new = seen.iter().filter(|it| is(it, MeterState::New)).count();
    let meters = ("meters", seen.len().to_string());
    match silent.as_slice() {
        _ if seen.is_empty() => Sentence::new("no_meters", []),
        _ if new == seen.len() => Sentence::new("starting", [meters]),
        [] => {
            let delivering = ("delivering", (seen.len() - new).to_string());
            Sentence::new("all_well", [delivering, meters])
        }
        silent if silent.len() == seen.len() => Sentence::new("all_silent", [meters]),
        [one] => {
            let medium = one.medium.map_or("other", metering::Medium::code);
            let params = [("meter", one.name.clone()), ("medium", medium.to_owned())];
            Sentence::new("one_silent", params)
        }
        silent => Sentence::new("some_silent", [("silent", silent.len().to_string()), meters]),
    }
}

/// Batteries of which nobody has taken notice yet.
fn batteries(status: &Status, seen: &[&MeterInfo]) -> Vec<Notice> {
    let low = seen.iter().filter_map(|meter| Some((meter, status.batteries.get(&meter.id)?)));
    let unseen = low.filter(|(_, battery)| battery.seen.is_none());
    let told = unseen.map(|(meter, battery)| Notice {
        meter: Some(meter.id.to_string()),
        since: Some(Time(battery.since)),
        ..notice("battery_low", [("meter", meter.name.clone())])
    });
    told.collect()
}

/// What to look at, the worst first. Who may not inspect hears of the meters alone.
pub(crate) fn notices(
    site: &Site,
    live: &Live,
    status: &Status,
    owed: &[Owed],
    (certificate, now): (&PagesCertificate, DateTime<Utc>),
    seen: &[&MeterInfo],
    inspects: bool,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    if inspects {
        notices.extend(gateway(site, status));
    }
    for state in [MeterState::Silent, MeterState::Late] {
        for meter in seen {
            let told = live.meters.get(&meter.id).filter(|live| live.state == state);
            notices.extend(told.map(|live| about_meter(meter, live)));
        }
    }
    notices.extend(batteries(status, seen));
    if inspects {
        notices.extend(clock(status));
        notices.extend(cloud(status));
        notices.extend(errand(status));
        notices.extend(owed.iter().map(claim));
        notices.extend(about_certificate(certificate, now));
    }
    notices
}

fn about_meter(meter: &MeterInfo, live: &LiveMeter) -> Notice {
    let reason = live.absent.map_or("", NoReading::as_str);
    let code = if live.state == MeterState::Silent { "silent" } else { "late" };
    let medium = meter.medium.map_or("other", metering::Medium::code);
    let params = [
        ("meter", meter.name.clone()),
        ("reason", reason.to_owned()),
        ("medium", medium.to_owned()),
    ];
    Notice {
        meter: Some(meter.id.to_string()),
        since: live.last_answer.map(Time),
        ..notice(code, params)
    }
}

fn gateway(site: &Site, status: &Status) -> impl Iterator<Item = Notice> {
    let config = site.config_problem.iter().map(|problem| Notice {
        since: Some(Time(problem.since)),
        ..notice("config_problem", [("mistakes", problem.mistakes.len().to_string())])
    });
    let wrong: BTreeSet<&str> = site.wrong_profiles.iter().map(|it| it.file.as_str()).collect();
    let files = wrong.len().to_string();
    let profiles = (!wrong.is_empty()).then(|| notice("wrong_profiles", [("files", files)]));
    let down = status.buses.iter().filter(|bus| bus.state == BusState::Down);
    let buses = down.map(|bus| {
        let name = site.buses.iter().find(|it| it.id == bus.id).map(|it| it.name.clone());
        let (since, trouble) = bus.last_error.clone().unzip();
        let mut params = BTreeMap::from([("bus", name.unwrap_or_else(|| bus.id.clone()))]);
        if let Some(Trouble { code, params: of_trouble, text }) = trouble {
            params.extend(of_trouble);
            params.extend([("trouble", code.as_str().to_owned()), ("error", text)]);
        }
        let bus = Some(bus.id.clone());
        Notice { params, bus, since: since.map(Time), ..notice("bus_down", []) }
    });
    let trouble = status.store.trouble.iter();
    let store = trouble.map(|trouble| notice("store", [("trouble", trouble.clone())]));
    let free_mib = status.store.disk_free >> 20;
    let used = status.store.disk_size.saturating_sub(status.store.disk_free);
    let fills = used >= status.store.disk_size / 100 * ALARM_PERCENT && free_mib < ROOM_ENOUGH_MIB;
    let full = status.store.disk_size > 0 && (fills || free_mib < LEAST_FREE_MIB);
    let disk = full.then(|| notice("disk_full", [("free_mib", free_mib.to_string())]));
    config.chain(profiles).chain(buses).chain(store).chain(damaged(status)).chain(disk)
}

/// Of what was found damaged the newest; what there is more of it is counted.
fn damaged(status: &Status) -> Option<Notice> {
    let (at, newest) = status.store.damaged.first()?;
    let more = (status.store.damaged.len() - 1).to_string();
    let params = [("damage", newest.clone()), ("more", more)];
    Some(Notice { since: Some(Time(*at)), ..notice("damaged", params) })
}

/// A month of a large building's readings.
const LEAST_FREE_MIB: u64 = 256;

/// Of the disk. At 85 percent the oldest months begin to go.
const ALARM_PERCENT: u64 = 80;

/// On a large disk a fifth is no reason for an alarm.
const ROOM_ENOUGH_MIB: u64 = 4_096;

fn clock(status: &Status) -> Option<Notice> {
    let trusted = matches!(status.trust, Trust::Synced | Trust::Holdover);
    let trust = trust_code(status.trust).to_owned();
    let waiting = status.store.waiting.to_string();
    (!trusted).then(|| notice("clock", [("trust", trust), ("waiting", waiting)]))
}

/// A credit that is lost if nobody claims it in time.
fn claim(owed: &Owed) -> Notice {
    let params = [
        ("month", owed.month.clone()),
        ("tier", owed.tier.to_string()),
        ("sum", crate::api::sla::sum(owed.ore)),
        ("currency", owed.currency.clone()),
        ("days", owed.days_left.to_string()),
    ];
    notice("claim_open", params)
}

fn cloud(status: &Status) -> Option<Notice> {
    let sync = status.sync.as_ref()?;
    let error = sync.last_error.clone()?;
    let since = sync.last_contact.map(Time);
    Some(Notice { since, ..notice("cloud", [("error", error)]) })
}

/// One that the owner has brought ends soon, or is not used: nobody else makes another.
fn about_certificate(certificate: &PagesCertificate, now: DateTime<Utc>) -> Option<Notice> {
    if let Some(error) = &certificate.trouble {
        return Some(notice("certificate_unused", [("error", error.clone())]));
    }
    let ends = certificate.ends.filter(|_| certificate.whose != Whose::Own)?;
    let left = ends - now;
    let day = ends.date_naive().to_string();
    let days = left.num_days().max(0).to_string();
    (left <= REMIND).then(|| notice("certificate_ends", [("day", day), ("days", days)]))
}

/// Whoever makes certificates for a building may take weeks.
const REMIND: TimeDelta = TimeDelta::days(30);

/// The portfolio asks for something, and waits for an answer.
fn errand(status: &Status) -> Option<Notice> {
    let who = status.asked_by.clone()?;
    Some(notice("errand", [("who", who)]))
}

fn notice<const N: usize>(code: &'static str, params: [(&'static str, String); N]) -> Notice {
    Notice { code, params: BTreeMap::from(params), meter: None, bus: None, since: None }
}
