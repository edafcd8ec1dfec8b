//! The wire doctor of one bus: hears every question, shows what it thinks, and is kept.
//!
//! What it knows is written to the store at the end of a round, at most every ten minutes, and when
//! the task ends: some 400 bytes a meter. A power cut costs it ten minutes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use drivers::{Doctor, Finding, Load, Meter, MeterAddress, ReadError, Readout, Record};
use mbus::{Responses, Traffic};
use metering::{MeterId, Moment};
use store::Core;
use tokio::time::Instant;
use web_ui::{BusFinding, BusHealth, MeterHealth};

use super::Plan;
use super::survey::Known;
use crate::board::Board;

/// See the module.
#[derive(Debug)]
pub(super) struct DoctorsRound {
    doctor: Doctor,
    bus: String,
    meters: Vec<(MeterId, MeterAddress)>,
    load: Load,
    core: Option<Core>,
    kept: Instant,
    /// It has heard something that is not kept.
    fresh: bool,
    /// What it thinks was last shown then.
    shown: Option<Instant>,
}

impl DoctorsRound {
    /// Goes on with what is known of the wire. What cannot be read is begun anew.
    pub(super) async fn begin(plan: &Plan, core: Option<Core>) -> Self {
        let bus = plan.bus.clone();
        let meters: Vec<_> = plan.meters.iter().map(|it| (it.meter.id, it.meter.address)).collect();
        let mut doctor = match &core {
            Some(core) => recall(core, &bus).await,
            None => Doctor::default(),
        };
        let ids: Vec<MeterId> = meters.iter().map(|(id, _)| *id).collect();
        doctor.keep(&ids);
        let (load, kept) = (plan.load, Instant::now());
        Self { doctor, bus, meters, load, core, kept, fresh: false, shown: None }
    }

    /// As [`Doctor::hear`].
    pub(super) fn hear(
        &mut self,
        meter: &Meter,
        at: Moment,
        traffic: &Traffic,
        ended: Result<Readout, ReadError>,
    ) -> Result<Readout, ReadError> {
        self.fresh = true;
        self.doctor.hear(meter, at.wall_ms(), traffic, ended)
    }

    /// Who is configured on the wire, and the device that answers for them.
    pub(super) fn known(&self) -> Known {
        let device = |id: MeterId| self.doctor.record(id).and_then(Record::known);
        self.meters.iter().map(|(id, address)| (*id, *address, device(*id))).collect()
    }

    /// Shows what it thinks now and then: a round may take minutes.
    pub(super) fn show(&mut self, board: &Board) {
        if self.shown.is_none_or(|shown| shown.elapsed() >= SHOWN_EVERY) {
            self.show_now(board);
        }
    }

    pub(super) async fn round_over(&mut self, board: &Board) {
        self.show_now(board);
        if self.kept.elapsed() >= KEPT_EVERY {
            self.keep().await;
        }
    }

    fn show_now(&mut self, board: &Board) {
        self.shown = Some(Instant::now());
        let health = health(&self.doctor, &self.meters, self.load);
        // Nothing is heard of a Modbus.
        if self.fresh || !health.meters.is_empty() {
            board.bus(&self.bus, |bus| bus.health = Some(Arc::new(health)));
        }
    }

    /// Writes down what it knows, if there is anything new. A failure costs a note: it is tried again.
    pub(super) async fn keep(&mut self) {
        let Some(core) = self.core.as_ref().filter(|_| self.fresh) else { return };
        self.kept = Instant::now();
        let Ok(text) = serde_json::to_string(&self.doctor) else { return };
        match core.put_setting(&setting(&self.bus), text).await {
            Ok(()) => self.fresh = false,
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(bus = self.bus, error, "what is known of the wire is not kept");
            }
        }
    }
}

/// What the store has of the wire of `bus`.
pub(crate) async fn recall(core: &Core, bus: &str) -> Doctor {
    let kept = core.setting(&setting(bus)).await.unwrap_or_else(|error| {
        tracing::warn!(bus, error = crate::chain(&error), "what was known of the wire is lost");
        None
    });
    kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Under which name it is kept.
pub(crate) fn setting(bus: &str) -> String {
    format!("doctor.{bus}")
}

/// What `doctor` thinks, for the pages.
pub(crate) fn health(doctor: &Doctor, meters: &[(MeterId, MeterAddress)], load: Load) -> BusHealth {
    let asked = |(id, _): &(MeterId, MeterAddress)| {
        let record = doctor.record(*id).filter(|record| record.all.polls > 0)?;
        Some(of_meter(*id, record))
    };
    BusHealth {
        findings: doctor.findings(meters, load).iter().map(of_finding).collect(),
        meters: meters.iter().filter_map(asked).collect(),
        unit_loads: load.sum,
        max_unit_loads: load.most,
        port_failures: doctor.port_failures(),
    }
}

fn of_finding(finding: &Finding) -> BusFinding {
    BusFinding {
        code: finding.trouble.as_str(),
        meter: finding.meter,
        address: finding.address.clone(),
        count: finding.count,
        of: finding.of,
        since: finding.since_ms.and_then(at),
        devices: finding.devices.clone(),
    }
}

fn of_meter(meter: MeterId, record: &Record) -> MeterHealth {
    let bins = record.times.iter().enumerate().filter(|(_, count)| **count > 0);
    MeterHealth {
        meter,
        since: at(record.first_ms).unwrap_or_default(),
        counts: counts(record),
        times: bins.map(|(bin, count)| (Responses::bound(bin), *count)).collect(),
        median: record.within_ms(50).map(Duration::from_millis),
        p95: record.within_ms(95).map(Duration::from_millis),
        answered: record.answered_ms.and_then(at),
        silent_since: record.silent_since_ms.filter(|_| record.in_vain > 1).and_then(at),
        silent_times: record.silent_times,
        silent_longest: Duration::from_secs(record.silent_longest_s.into()),
        device: record.known().map(|device| device.to_string()),
        held: record.suspect().map(|device| device.to_string()),
    }
}

/// All counts of a meter with their names.
pub(crate) fn counts(record: &Record) -> Vec<(&'static str, u32)> {
    let all = &record.all;
    vec![
        ("polls", all.polls),
        ("answered", all.answered),
        ("sends", all.sends),
        ("retries", all.retries),
        ("silences", all.silences),
        ("checksum_errors", all.checksum_errors),
        ("line_errors", all.line_errors),
        ("broken", all.broken),
        ("collisions", all.collisions),
        ("clashes", all.clashes),
        ("foreign", all.foreign),
        ("stray_bytes", all.stray_bytes),
        ("echoes", all.echoes),
        ("held", all.held),
        ("others", all.others),
    ]
}

fn at(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

/// Flash wears, and what is lost by a power cut is a few counts.
const KEPT_EVERY: Duration = Duration::from_mins(10);

/// Findings of 250 meters take some 50 µs.
const SHOWN_EVERY: Duration = Duration::from_secs(5);
