//! What the building's meters showed in the past, as CSV.
//!
//! ```text
//! time,meter,register,value,unit
//! 2025-11-21T00:00:00Z,018cc251-f400-7a5e-…,energy,1482231,kWh
//! ```
//!
//! The values are those that the wires would have said at that time, digit by digit, so that a
//! history and what is read live afterwards are one line.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::building::Building;
use crate::meter::Meter;
use crate::place::{Measure, Sight};
use crate::plan::Plan;

/// Writes what every meter of `plan` showed at `from`, and each `step` later, up to and without
/// `until`. A `step` of zero or less writes one moment.
///
/// # Errors
///
/// Those of `out`.
pub fn write_history(
    plan: &Plan,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    step: TimeDelta,
    mut out: impl Write,
) -> io::Result<()> {
    let building = Arc::new(Building::new(plan.seed));
    let meters: Vec<(String, Meter)> = plan
        .meters
        .iter()
        .filter(|meter| meter.device.tells_its_display() && !meter.stranger)
        .map(|meter| (meter.id.to_string(), Meter::new(plan, meter, &building)))
        .collect();

    out.write_all(b"time,meter,register,value,unit\n")?;
    let mut rows = String::new();
    let mut at = from;
    while at < until {
        let time = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let sight = Sight::of(&building, at);
        for (id, meter) in &meters {
            for figure in meter.plan.device.figures() {
                let counts = matches!(figure.measure, Measure::Energy | Measure::Export);
                if counts && meter.plan.device.freezes_energies() && at.timestamp() % 3_600 != 0 {
                    continue;
                }
                let Some(shown) = meter.shows(&sight, figure.measure) else { continue };
                let (value, unit) = (shown.decimal(), figure.unit);
                // Writing to a text does not fail.
                let _ = writeln!(rows, "{time},{id},{},{value},{}", figure.register, unit.code());
            }
        }
        out.write_all(rows.as_bytes())?;
        rows.clear();
        if step <= TimeDelta::zero() {
            break;
        }
        at += step;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(from: &str, until: &str) -> Vec<String> {
        let mut out = Vec::new();
        let plan = Plan::demo(1).unwrap();
        let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
        write_history(&plan, from, until, TimeDelta::hours(1), &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_row_is_a_register_of_a_meter_at_an_instant() {
        let rows = rows("2024-03-05T10:00:00Z", "2024-03-05T12:00:00Z");
        assert_eq!(rows[0], "time,meter,register,value,unit");
        let plan = Plan::demo(1).unwrap();
        let main = plan.meters.iter().find(|meter| meter.name.starts_with("Fjernvarme")).unwrap();
        let head = format!("2024-03-05T10:00:00Z,{},energy,", main.id);
        let energy: Vec<&String> = rows.iter().filter(|row| row.starts_with(&head)).collect();
        assert_eq!(energy.len(), 1);
        assert!(energy[0].ends_with(",kWh"));
        assert!(rows.iter().skip(1).all(|row| row.split(',').count() == 5));
        let told = plan.meters.iter();
        let told = told.filter(|it| it.device.tells_its_display() && !it.stranger);
        let registers: usize = told.map(|it| it.device.figures().len()).sum();
        assert_eq!(rows.len() - 1, 2 * registers);
    }

    #[test]
    fn two_halves_are_the_whole() {
        let whole = rows("2024-03-05T00:00:00Z", "2024-03-07T00:00:00Z");
        let first = rows("2024-03-05T00:00:00Z", "2024-03-06T00:00:00Z");
        let second = rows("2024-03-06T00:00:00Z", "2024-03-07T00:00:00Z");
        let halves: Vec<String> = first.into_iter().chain(second.into_iter().skip(1)).collect();
        assert_eq!(halves, whole);
    }
}
