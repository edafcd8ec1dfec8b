//! What the portfolio learns of the building, beside its readings.

use metering::{GatewayId, Medium, MeterId, SiteId};
use store::SeriesInfo;
use sync_wire::{MeterRow, SeriesRow, SeriesTable, SiteRow, limits};

/// The site and its meters, as the configuration names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Building {
    /// Stays when the name changes.
    pub site: SiteId,
    /// As in the configuration.
    pub name: String,
    /// Town or address.
    pub place: Option<String>,
    /// By its IANA name, `Europe/Oslo`.
    pub time_zone: String,
    /// All of them.
    pub meters: Vec<BuildingMeter>,
}

/// A meter of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildingMeter {
    /// Stays when the name changes.
    pub id: MeterId,
    /// As in the configuration.
    pub name: String,
    /// What it counts.
    pub medium: Medium,
}

impl Building {
    /// The names of everything and the meaning of `series`, in as many messages as it takes: at
    /// least one.
    pub(crate) fn tables(
        &self,
        gateway: GatewayId,
        epoch: u64,
        series: &[SeriesInfo],
    ) -> Vec<SeriesTable> {
        let mut meters = self.meters.chunks(limits::TABLE_ROWS / 2);
        let mut series = series.chunks(limits::TABLE_ROWS);
        let mut tables = Vec::new();
        loop {
            let (meters, series) = (meters.next(), series.next());
            if meters.is_none() && series.is_none() && !tables.is_empty() {
                return tables;
            }
            let meters = meters.unwrap_or_default().iter().map(|meter| MeterRow {
                id: meter.id,
                name: meter.name.clone(),
                medium: meter.medium,
            });
            tables.push(SeriesTable {
                gateway,
                epoch,
                site: SiteRow {
                    id: self.site,
                    name: self.name.clone(),
                    place: self.place.clone(),
                    time_zone: self.time_zone.clone(),
                },
                meters: meters.collect(),
                series: series.unwrap_or_default().iter().map(series_row).collect(),
            });
        }
    }
}

fn series_row(info: &SeriesInfo) -> SeriesRow {
    SeriesRow {
        series: info.series,
        point: info.point,
        meter: info.meter,
        register: info.register.clone(),
        kind: match info.kind {
            store::Kind::Counter => sync_wire::Kind::Counter,
            store::Kind::Gauge => sync_wire::Kind::Gauge,
            store::Kind::Flag => sync_wire::Kind::Flag,
        },
        resolution: info.resolution,
        begins_ms: info.begins_ms,
        serial: info.serial.clone(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_large_building_takes_several_tables_and_an_empty_one_takes_one() {
        let meter = BuildingMeter {
            id: MeterId::from_uuid(Uuid::nil()),
            name: "å".repeat(1_000),
            medium: Medium::Heat,
        };
        let mut building = Building {
            site: SiteId::from_uuid(Uuid::nil()),
            name: "Kvernhusgata 4".to_owned(),
            place: None,
            time_zone: "Europe/Oslo".to_owned(),
            meters: vec![meter; 600],
        };
        let gateway = GatewayId::from_uuid(Uuid::nil());
        let tables = building.tables(gateway, 1, &[]);
        assert_eq!(
            tables.iter().map(|table| table.meters.len()).collect::<Vec<_>>(),
            [250, 250, 100]
        );
        for table in tables {
            assert!(table.write().is_ok());
        }
        building.meters.clear();
        assert_eq!(building.tables(gateway, 1, &[]).len(), 1);
    }
}
