//! `/api/v1/site`: what is installed, and the configuration that says so.

use std::sync::Arc;

use access::Act;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::StringRejection;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::handles::{BusInfo, MeterInfo, NotSaved, Wish};
use crate::problem::{Code, MistakeBody, Problem};
use crate::session::Visitor;
use crate::wire::Time;
use crate::{Site, Web};

/// The building, its buses and those of its meters that the visitor sees.
pub(crate) async fn site(State(web): State<Arc<Web>>, visitor: Visitor) -> Json<SiteBody> {
    Json(SiteBody::of(&web.site(), &visitor))
}

/// The newest version of `site.toml`, as somebody wrote it.
pub(crate) async fn config(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let Some(version) = web.handles.core.current_version().await? else {
        let detail = "No configuration has been saved yet. Save the first with If-Match \"0\".";
        return Err(Problem::new(Code::NoConfig, detail));
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/toml")),
        (header::ETAG, etag(version.number)),
    ];
    Ok((headers, version.text).into_response())
}

/// Has the daemon check a new `site.toml`, keep it and take it over.
pub(crate) async fn save_config(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    headers: HeaderMap,
    text: Result<String, StringRejection>,
) -> Result<Response, Problem> {
    let text = text?;
    let expected = if_match(&headers)?;
    drop(web.change_by(&visitor).await?);
    let who = visitor.user.name.to_string();
    let why = "saved on a page".to_owned();
    let saved = web.wish(|reply| Wish::SaveSite { text, expected, who, why, reply }).await?;
    let version = saved.map_err(not_saved)?;
    Ok(([(header::ETAG, etag(version))], Json(Saved { version })).into_response())
}

/// Why a configuration is not in force, as the pages say it.
pub(crate) fn not_saved(problem: NotSaved) -> Problem {
    match problem {
        NotSaved::Mistakes(mistakes) => {
            let detail = "The configuration has mistakes; the one before it stays in force.";
            Problem::new(Code::ConfigWrong, detail)
                .with("count", &mistakes.len())
                .with_mistakes(mistakes)
        }
        NotSaved::Changed { version, who, at } => {
            let detail =
                format!("{who} saved version {version} in the meantime. Look at it first.");
            Problem::new(Code::ConfigChanged, detail)
                .with("who", &who)
                .with("at", &Time(at).text())
                .with("version", &version)
        }
        NotSaved::Failed(why) => Problem::new(Code::ConfigFailed, why.clone()).with("why", &why),
    }
}

fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The version that the visitor changed: `If-Match: "7"`.
fn if_match(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let detail = "Send `If-Match` with the version that you changed, or \"0\" for the first.";
        return Err(Problem::new(Code::IfMatchMissing, detail));
    };
    let version = value
        .to_str()
        .ok()
        .and_then(|it| it.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.ok_or_else(|| Problem::malformed("`If-Match` is a version in quotes, such as \"7\""))
}

/// The version that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Saved {
    pub(crate) version: u64,
}

/// What is installed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Site)]
pub(crate) struct SiteBody {
    /// `null` while the gateway is being commissioned.
    id: Option<String>,
    gateway: String,
    name: String,
    place: Option<String>,
    /// IANA: `Europe/Oslo`.
    time_zone: &'static str,
    /// Of the configuration in force.
    version: u64,
    /// No configuration has ever loaded: nothing is read.
    commissioning: bool,
    /// Why a newer configuration is not in force. Only for those who may inspect.
    config_problem: Option<ConfigProblemBody>,
    /// What is wrong with device profiles of the folder. Only for those who may inspect, else empty.
    wrong_profiles: Vec<WrongProfileBody>,
    /// Only for those who may inspect, else empty.
    buses: Vec<SiteBus>,
    /// Those that the visitor sees.
    meters: Vec<SiteMeter>,
}

/// Why a newer configuration is not in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigProblem)]
pub(crate) struct ConfigProblemBody {
    since: Time,
    mistakes: Vec<MistakeBody>,
}

/// One thing that is wrong with a device profile that somebody has added: it is not used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WrongProfile)]
pub(crate) struct WrongProfileBody {
    file: String,
    line: usize,
    advice: String,
}

/// A bus of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteBus {
    id: String,
    name: String,
    /// `mbus`, `modbus`.
    kind: &'static str,
    port: String,
}

/// A meter of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteMeter {
    id: String,
    name: String,
    bus: String,
    address: String,
    /// `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`.
    medium: Option<&'static str>,
    profile: Option<String>,
    /// The meter whose consumption includes this one's.
    part_of: Option<String>,
    poll_every_secs: u64,
    simulated: bool,
}

impl SiteBody {
    fn of(site: &Site, visitor: &Visitor) -> Self {
        let inspects = visitor.may(Act::Inspect);
        let problem = site.config_problem.as_ref().filter(|_| inspects);
        let wrong = site.wrong_profiles.iter().filter(|_| inspects);
        let buses: &[BusInfo] = if inspects { &site.buses } else { &[] };
        let seen = site.meters.iter().filter(|meter| visitor.user.sees(meter.id));
        Self {
            id: site.id.map(|id| id.to_string()),
            gateway: site.gateway.to_string(),
            name: site.name.clone(),
            place: site.place.clone(),
            time_zone: site.time_zone.name(),
            version: site.version,
            commissioning: site.commissioning,
            config_problem: problem.map(|problem| ConfigProblemBody {
                since: Time(problem.since),
                mistakes: MistakeBody::list(&problem.mistakes),
            }),
            wrong_profiles: wrong
                .map(|it| WrongProfileBody {
                    file: it.file.clone(),
                    line: it.line,
                    advice: it.advice.clone(),
                })
                .collect(),
            buses: buses
                .iter()
                .map(|bus| SiteBus {
                    id: bus.id.clone(),
                    name: bus.name.clone(),
                    kind: bus.kind,
                    port: bus.port.clone(),
                })
                .collect(),
            meters: seen.map(SiteMeter::of).collect(),
        }
    }
}

impl SiteMeter {
    fn of(meter: &MeterInfo) -> Self {
        Self {
            id: meter.id.to_string(),
            name: meter.name.clone(),
            bus: meter.bus.clone(),
            address: meter.address.clone(),
            medium: meter.medium.map(metering::Medium::code),
            profile: meter.profile.clone(),
            part_of: meter.part_of.map(|id| id.to_string()),
            poll_every_secs: meter.poll_every.as_secs(),
            simulated: meter.simulated,
        }
    }
}
