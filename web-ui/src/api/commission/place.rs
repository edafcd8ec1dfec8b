//! The steps about the building and its wires: `/commission/site`, `/buses`, `/ports`, `/try`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use toml_edit::{Item, Table, value};
use utoipa::ToSchema;

use super::{CommissionBody, told};
use crate::Web;
use crate::commission::edit;
use crate::handles::{NotTried, PortFound, PortTried, Wish};
use crate::problem::{Code, Problem};
use crate::session::Visitor;
use crate::wire::Body;

/// Names the building, and makes it if there is none.
pub(crate) async fn site(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<Building>,
) -> Result<Json<CommissionBody>, Problem> {
    let now = web.now();
    edit::change(&web, &visitor, "the building", |document| {
        let site = edit::site(document, &now)?;
        edit::set(site, "name", &asked.name);
        edit::set(site, "place", asked.place.as_deref().unwrap_or_default());
        edit::set(site, "time_zone", &asked.time_zone);
        Ok(())
    })
    .await?;
    told(&web).await
}

/// Adds a bus, or changes the one of this id.
pub(crate) async fn bus(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Body(asked): Body<NewBus>,
) -> Result<Json<CommissionBody>, Problem> {
    let why = format!("bus {}", short(&asked.id));
    edit::change(&web, &visitor, &why, |document| {
        let buses = edit::sections(document, "bus")?;
        let is_it = |it: &Table| it.get("id").and_then(Item::as_str) == Some(asked.id.trim());
        if !buses.iter().any(is_it) {
            let mut bus = Table::new();
            edit::set(&mut bus, "id", &asked.id);
            buses.push(bus);
        }
        let Some(bus) = buses.iter_mut().find(|it| is_it(it)) else {
            return Err(Problem::malformed("a bus has an id"));
        };
        edit::set(bus, "name", &asked.name);
        edit::set(bus, "kind", &asked.kind);
        edit::set(bus, "port", &asked.port);
        match asked.baud {
            Some(baud) => drop(bus.insert("baud", value(i64::from(baud)))),
            None => drop(bus.remove("baud")),
        }
        Ok(())
    })
    .await?;
    told(&web).await
}

/// As much of a text as a history needs.
fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(64).collect()
}

/// Which ports this machine has.
pub(crate) async fn ports(State(web): State<Arc<Web>>) -> Result<Json<Vec<PortBody>>, Problem> {
    let ports = web.wish(|reply| Wish::Ports { reply }).await?;
    Ok(Json(ports.into_iter().map(PortBody::of).collect()))
}

/// Tries a port at every speed of M-Bus, the usual first.
pub(crate) async fn try_port(
    State(web): State<Arc<Web>>,
    Body(asked): Body<Trial>,
) -> Result<Json<TriedBody>, Problem> {
    let port = asked.port;
    let tried = web.wish(|reply| Wish::TryPort { port, reply }).await?;
    let tried = tried.map_err(|refused| match refused {
        NotTried::NoPort => Problem::new(
            Code::PortWrong,
            "A port is `serial:///dev/NAME`, `tcp://HOST:PORT` or `udp://HOST:PORT`.",
        ),
        NotTried::Taken(bus) => {
            Problem::new(Code::PortTaken, format!("The bus {bus} has this port.")).with("bus", &bus)
        }
        NotTried::Closed(why) => Problem::new(Code::PortClosed, why.clone()).with("why", &why),
        NotTried::Busy => Problem::new(Code::Busy, "Another port is being tried. Wait for it."),
    })?;
    Ok(Json(TriedBody::of(&tried)))
}

/// What the building is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Building {
    name: String,
    #[serde(default)]
    place: Option<String>,
    /// `Europe/Oslo`
    time_zone: String,
}

/// A bus to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBus {
    /// 1 to 64 of `a-z`, `0-9` and `-`.
    id: String,
    name: String,
    /// `mbus`, `modbus`.
    kind: String,
    /// `serial:///dev/ttyUSB0`, `tcp://10.0.4.2:10001`.
    port: String,
    #[serde(default)]
    baud: Option<u32>,
}

/// A port to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    port: String,
}

/// A port of this machine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Port)]
pub(crate) struct PortBody {
    /// As it stands in the configuration.
    port: String,
    /// What the device calls itself; empty if it does not.
    name: String,
    /// The bus that has it.
    bus: Option<String>,
}

impl PortBody {
    fn of(found: PortFound) -> Self {
        Self { port: found.port, name: found.name, bus: found.bus }
    }
}

/// What was heard at a port.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tried)]
pub(crate) struct TriedBody {
    /// The speed to choose: at which a meter answered, else at which something did.
    baud: Option<u32>,
    tries: Vec<TryBody>,
}

/// What was heard at one speed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryBody {
    baud: u32,
    /// `nothing`, `noise`, `meter`.
    heard: &'static str,
}

impl TriedBody {
    fn of(tried: &PortTried) -> Self {
        use crate::handles::Heard;
        let first =
            |wanted| tried.tries.iter().find(|(_, heard)| *heard == wanted).map(|(baud, _)| *baud);
        // Several meters at once are noise at their own speed too, and at another they are silent
        // or noise as well: the usual speed is tried first.
        let baud = first(Heard::Meter).or_else(|| first(Heard::Noise));
        let tries =
            tried.tries.iter().map(|(baud, heard)| TryBody { baud: *baud, heard: heard.as_str() });
        Self { baud, tries: tries.collect() }
    }
}
