//! The steps about one meter: `/commission/meters` and below.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use metering::{Quantity, Unit};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml_edit::{Table, value};
use utoipa::ToSchema;

use super::{CommissionBody, told};
use crate::Web;
use crate::api::meters::seen;
use crate::commission::{Commission, Draw, Kept, Plate, Test, checks, edit, plate};
use crate::handles::{FoundMeter, LiveMeter, NotRead, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Body;

/// Takes meters that a scan has found into the configuration.
pub(crate) async fn add(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Taken>,
) -> Result<Json<CommissionBody>, Problem> {
    let status = web.status();
    let bus = status.buses.iter().find(|it| it.id == asked.bus);
    let scan = bus.and_then(|bus| bus.scan.as_deref());
    let no_scan = || Problem::new(Code::NoScan, "This bus has not been scanned since the start.");
    let found = &scan.ok_or_else(no_scan)?.found;
    let now = web.now();
    let site = web.site();
    let is_modbus = site.buses.iter().any(|it| it.id == asked.bus && it.kind == "modbus");
    let why = format!("{} meters found on {}", asked.meters.len(), asked.bus);
    edit::change(&web, &visitor, &why, |document| {
        let meters = edit::sections(document, "meter")?;
        for taken in &asked.meters {
            let found = found.iter().find(|it| it.address == taken.address);
            let found = found.ok_or_else(|| {
                Problem::malformed(format!("no meter was found at `{}`", taken.address))
            })?;
            if found.meter.is_some() {
                continue;
            }
            let mut meter = Table::new();
            edit::set(&mut meter, "id", &edit::new_id(&now));
            edit::set(&mut meter, "name", &taken.name);
            edit::set(&mut meter, "bus", &asked.bus);
            match address(found, is_modbus) {
                Address::Primary(primary) => {
                    meter.insert("address", value(i64::from(primary)));
                }
                Address::Own(own) => edit::set(&mut meter, "secondary", &own),
            }
            if is_modbus {
                edit::set(&mut meter, "profile", found.profile.as_deref().unwrap_or_default());
            }
            if let Some(medium) = &taken.medium {
                edit::set(&mut meter, "medium", medium);
            }
            meters.push(meter);
        }
        Ok(())
    })
    .await?;
    told(&web).await
}

enum Address {
    Primary(u8),
    Own(String),
}

/// By its own address where it tells one: that stays when somebody gives two meters one number, and
/// says which device is meant.
fn address(found: &FoundMeter, is_modbus: bool) -> Address {
    match (&found.own, found.primary) {
        (Some(own), _) if !is_modbus => {
            // What the search had to add tells twins apart.
            let whole = found.address.starts_with(own.as_str());
            Address::Own(if whole { found.address.clone() } else { own.clone() })
        }
        (_, Some(primary)) => Address::Primary(primary),
        (_, None) => match found.address.parse() {
            Ok(primary) => Address::Primary(primary),
            Err(_) => Address::Own(found.address.clone()),
        },
    }
}

/// Names and places a meter, and keeps what the installer remarks.
pub(crate) async fn change(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<Placing>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?;
    if asked.remark.chars().count() > MOST_REMARK {
        return Err(Problem::malformed(format!("a remark has {MOST_REMARK} characters at most")));
    }
    let id = meter.id.to_string();
    let same = meter.name == asked.name.trim()
        && meter.place.as_deref().unwrap_or_default() == asked.place.trim()
        && meter.tags == asked.tags
        && meter.part_of.map(|it| it.to_string()).unwrap_or_default() == asked.part_of;
    if !same {
        edit::change(&web, &visitor, &format!("meter {}", meter.name), |document| {
            let section = edit::meter(document, &id)?;
            edit::set(section, "name", &asked.name);
            edit::set(section, "place", &asked.place);
            edit::set_list(section, "tags", &asked.tags);
            edit::set(section, "part_of", &asked.part_of);
            Ok(())
        })
        .await?;
    }
    let (meter, remark) = (meter.id, asked.remark.trim().to_owned());
    Commission::change(&web, &visitor, |it| {
        it.of(meter).remark = remark;
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Compares what a display shows with what the meter says now.
pub(crate) async fn plate(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<OnDisplay>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    if asked.shown.trim().is_empty() {
        Commission::change(&web, &visitor, |it| {
            it.of(meter).plates.remove(&asked.register);
            Ok(())
        })
        .await?;
        return told(&web).await;
    }
    let read = value_of(&*ask(&web, meter).await?, &asked.register)?;
    let unit = match &asked.unit {
        Some(code) => Unit::from_code(code)
            .ok_or_else(|| Problem::malformed("`unit` is no unit".to_owned()))?,
        None => read.resolution().unit(),
    };
    let shown = plate::display(&asked.shown, unit).ok_or_else(|| {
        let detail = "Write the figures of the display, with a comma or a point: 34718,4.";
        Problem::new(Code::DisplayWrong, detail)
    })?;
    let (who, at_ms) = (visitor.user.name.to_string(), web.now().wall_ms());
    let plate = Plate { shown: Kept::of(shown), read: Kept::of(read), who, at_ms };
    Commission::change(&web, &visitor, |it| {
        it.of(meter).plates.insert(asked.register, plate);
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Begins a timed draw, or ends it with what was drawn.
pub(crate) async fn draw(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Body(asked): Body<Drawing>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    let now = value_of(&*ask(&web, meter).await?, &asked.register)?;
    let at_ms = web.now().wall_ms();
    Commission::change(&web, &visitor, |it| {
        let work = it.of(meter);
        let Some(drawn) = &asked.drawn else {
            let (register, from) = (asked.register, Kept::of(now));
            work.draw = Some(Draw { register, from, from_ms: at_ms, done: None });
            return Ok(());
        };
        let none = || Problem::new(Code::DrawNone, "Begin the draw first, then draw and measure.");
        let draw =
            work.draw.as_mut().filter(|it| it.register == asked.register).ok_or_else(none)?;
        let unit = Unit::from_code(&asked.unit)
            .ok_or_else(|| Problem::malformed("`unit` is no unit".to_owned()))?;
        let drawn =
            plate::display(drawn, unit).filter(|it| it.mantissa() > 0).ok_or_else(|| {
                Problem::new(Code::DisplayWrong, "Write how much was drawn, such as 20 or 19,5.")
            })?;
        let counted = draw.from.quantity().and_then(|from| now.since(from).ok());
        let counted = counted.ok_or_else(none)?;
        draw.done = Some((Kept::of(counted), Kept::of(drawn)));
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Reads a meter, and keeps how that went.
pub(crate) async fn test(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    let read = ask(&web, meter).await?;
    let (at_ms, answered) = (web.now().wall_ms(), read.absent.is_none());
    let took_ms = read.took_ms().filter(|_| answered);
    Commission::change(&web, &visitor, |it| {
        let checks = site.meter(meter).map(|info| checks::of(info, &site, &web.live(), it));
        let is_wrong = |it: &energy::Check| matches!(it.verdict, energy::Verdict::Wrong(_));
        let work = it.of(meter);
        // Whoever reads a meter again that had something wrong has mended it, or thinks so: what it
        // counted before that is no measure any more.
        if checks.is_some_and(|checks| checks.iter().any(is_wrong)) && answered {
            work.first = None;
        }
        work.test = Some(Test { at_ms, answered, took_ms });
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Keeps a photo of a meter.
pub(crate) async fn keep_photo(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
    photo: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    let photo = photo.map_err(|_| Problem::new(Code::TooLarge, "A photo has 1 MB at most."))?;
    if documents::Jpeg::of(&photo).is_none() {
        let detail = "A photo is a JPEG; the page makes one of whatever the camera gives.";
        return Err(Problem::new(Code::PhotoWrong, detail));
    }
    let hash: [u8; 32] = Sha256::digest(&photo).into();
    let at_ms = web.now().wall_ms();
    let full =
        || Problem::new(Code::PhotoWrong, format!("A meter has {MOST_PHOTOS} photos at most."));
    let name = HEXLOWER.encode(&hash);
    if Commission::load(&web).await?.of(meter).photos.len() >= MOST_PHOTOS {
        return Err(full());
    }
    web.handles.core.keep_proof(hash, at_ms, photo.to_vec()).await?;
    Commission::change(&web, &visitor, |it| {
        let photos = &mut it.of(meter).photos;
        if photos.len() >= MOST_PHOTOS {
            return Err(full());
        }
        if !photos.contains(&name) {
            photos.push(name);
        }
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Takes a photo out of the report. Its bytes go a day later, unless something else names them.
pub(crate) async fn drop_photo(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path((id, sha256)): Path<(String, String)>,
) -> Result<Json<CommissionBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &id)?.id;
    Commission::change(&web, &visitor, |it| {
        it.of(meter).photos.retain(|photo| *photo != sha256);
        Ok(())
    })
    .await?;
    told(&web).await
}

/// A photo of a meter.
pub(crate) async fn photo(
    State(web): State<Arc<Web>>,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    let none = || Problem::new(Code::NoPhoto, "No photo is kept under this hash.");
    let known = Commission::load(&web).await?;
    if !known.meters.values().any(|work| work.photos.contains(&sha256)) {
        return Err(none());
    }
    let bytes = photo_of(&web, &sha256).await?.ok_or_else(none)?;
    // What has a name by its content is never another.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
    ];
    Ok((headers, bytes).into_response())
}

/// The bytes of a photo.
pub(super) async fn photo_of(web: &Web, sha256: &str) -> Result<Option<Vec<u8>>, Problem> {
    let hash = HEXLOWER.decode(sha256.as_bytes()).ok().and_then(|it| it.try_into().ok());
    match hash {
        Some(hash) => Ok(web.handles.core.proof(hash).await?),
        None => Ok(None),
    }
}

/// What the meter says now.
async fn ask(web: &Web, meter: metering::MeterId) -> Result<Arc<LiveMeter>, Problem> {
    let asked = web.wish(|reply| Wish::ReadNow { meter, reply }).await?;
    asked.map_err(|problem| match problem {
        NotRead::Unknown => Problem::no_such_meter(),
        NotRead::Busy => {
            let detail = "Others are having meters of this bus read. Try again in a moment.";
            Problem::new(Code::Busy, detail)
        }
    })
}

fn value_of(read: &LiveMeter, register: &str) -> Result<Quantity, Problem> {
    let none = || Problem::new(Code::NoSuchRegister, "The meter did not tell this value now.");
    if read.absent.is_some() {
        return Err(none());
    }
    let value = read.values.iter().find(|it| it.register.to_string() == register);
    value.and_then(|it| it.value.ok()).ok_or_else(none)
}

/// Meters to be taken into the configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taken {
    /// The id of the bus that was scanned.
    bus: String,
    meters: Vec<TakenMeter>,
}

/// One of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenMeter {
    /// As the scan tells it.
    address: String,
    /// What people are going to call it.
    name: String,
    /// Where it does not tell the right one by itself.
    #[serde(default)]
    medium: Option<String>,
}

/// Name and place of a meter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placing {
    name: String,
    /// In people's words; empty for none.
    place: String,
    tags: Vec<String>,
    /// The meter whose consumption includes this one's; empty for none.
    part_of: String,
    /// What the report is to say of it.
    remark: String,
}

/// What a display shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnDisplay {
    register: String,
    /// As it stands there: `34 718,4`. Empty to take back what was said.
    shown: String,
    /// Of the display, where it is another than the one read.
    #[serde(default)]
    unit: Option<String>,
}

/// A timed draw.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drawing {
    register: String,
    /// How much was drawn; left out to begin.
    #[serde(default)]
    drawn: Option<String>,
    /// Of it: `l`, `m3`, `kWh`.
    #[serde(default)]
    unit: String,
}

/// Plate, display, place, and one of the cable that hangs loose.
const MOST_PHOTOS: usize = 6;

const MOST_REMARK: usize = 500;
