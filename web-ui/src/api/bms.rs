//! `GET /api/v1/bms`: the registers under which a building's management system reads the gateway's
//! values over Modbus TCP; as a list, and as files for whoever programs that system.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use documents::{Cell, Table};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Web;
use crate::handles::{BmsPoint, BmsStatus};
use crate::problem::{Code, Problem};
use crate::wire::unit_of;

/// How the server is doing, and all registers.
pub(crate) async fn bms(State(web): State<Arc<Web>>) -> Json<BmsBody> {
    let status = web.bms();
    let registers = status.points.iter().map(|point| BmsRegisters::of(&web, point)).collect();
    Json(BmsBody {
        listening: status.listening.clone(),
        unit: status.unit,
        trouble: status.trouble.clone(),
        registers,
    })
}

/// The list as a text file.
pub(crate) async fn csv(State(web): State<Arc<Web>>) -> Response {
    let file = documents::csv(&table(&web, &web.bms()));
    named("text/csv; charset=utf-8", "fyrhus-registers.csv", file.into_bytes())
}

/// The list as a workbook.
pub(crate) async fn xlsx(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let file = documents::xlsx(&table(&web, &web.bms())).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the workbook of registers");
        Problem::new(Code::TooLarge, "The list does not fit into a workbook.")
    })?;
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    Ok(named(kind, "fyrhus-registers.xlsx", file))
}

fn named(kind: &'static str, name: &'static str, file: Vec<u8>) -> Response {
    let name = format!("attachment; filename=\"{name}\"");
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, file).into_response()
}

/// The Modbus server for the building's management system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bms)]
pub(crate) struct BmsBody {
    /// Where it listens; `null` while it is off or cannot.
    listening: Option<String>,
    /// The first Modbus unit; `null` while it is off.
    unit: Option<u8>,
    /// What is wrong with it, in English, for a technician.
    trouble: Option<String>,
    /// In the order of their addresses.
    registers: Vec<BmsRegisters>,
}

/// The registers of one value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BmsRegisters {
    /// The Modbus unit.
    unit: u8,
    /// The first of its 16 registers, counted from 0.
    address: u16,
    /// The meter's id.
    meter: String,
    /// What people call it; `null` if it is no longer configured.
    meter_name: Option<String>,
    /// `energy_import_total`.
    register: String,
    /// ASCII code of the unit of measure.
    measured_in: String,
    /// Decimals of the integers.
    decimals: i8,
}

impl BmsRegisters {
    fn of(web: &Web, point: &BmsPoint) -> Self {
        Self {
            unit: point.unit,
            address: point.address,
            meter: point.meter.to_string(),
            meter_name: web.site().meter(point.meter).map(|info| info.name.clone()),
            register: point.register.to_string(),
            measured_in: unit_of(point.resolution),
            decimals: point.resolution.decimals(),
        }
    }
}

fn table(web: &Web, status: &BmsStatus) -> Table {
    let site = web.site();
    BmsStatus::table(status, |id| site.meter(id).map(|info| info.name.clone()))
}

impl BmsStatus {
    /// The list of registers; `name` tells what people call a meter.
    pub fn table(&self, name: impl Fn(metering::MeterId) -> Option<String>) -> Table {
        let head = [
            "unit",
            "address",
            "meter",
            "register",
            "measured in",
            "int64 at",
            "decimals",
            "decimals at",
            "quality at",
            "float32 at",
            "int32 at",
            "age in s (uint32) at",
            "meter id",
        ];
        let rows = self.points.iter().map(|point| {
            let at = |offset: u16| Cell::Figure(point.address.saturating_add(offset).to_string());
            vec![
                Cell::Figure(point.unit.to_string()),
                at(0),
                name(point.meter).map_or(Cell::Empty, Cell::Text),
                Cell::Text(point.register.to_string()),
                Cell::Text(unit_of(point.resolution)),
                at(0),
                Cell::Figure(point.resolution.decimals().to_string()),
                at(4),
                at(5),
                at(6),
                at(8),
                at(10),
                Cell::Text(point.meter.to_string()),
            ]
        });
        Table { head: head.map(str::to_owned).into(), rows: rows.collect() }
    }
}
