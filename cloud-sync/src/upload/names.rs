//! What meters are called and what series mean, on its way to the portfolio.
//!
//! A table that the portfolio calls malformed is halved until the one meter or series is found that it
//! means, as a batch is. Without that one everything else goes on.

use std::sync::Arc;

use metering::SeriesId;
use sync_wire::{Refusal, SeriesTable, path};

use super::{Link, Uploader};
use crate::post::SyncError;

impl Uploader {
    /// Tells what meters are called and what `series` mean.
    ///
    /// `known` is a series that the portfolio has understood before: where it reads none of
    /// `series`, that one tells whether it reads any.
    pub(super) async fn send_names(
        &self,
        link: &mut Link,
        series: &[SeriesId],
        known: Option<SeriesId>,
    ) -> Result<(), SyncError> {
        let mut tables = self.tables(link, series);
        tables.reverse();
        let (mut is_bare_read, mut refused) = (false, Vec::new());
        while let Some(table) = tables.pop() {
            match self.send_table(link, &table).await {
                Err(SyncError::Refused(Refusal::Malformed { sentence })) => {
                    if let Some(halves) = halves(&table) {
                        tables.extend(halves.into_iter().rev());
                        continue;
                    }
                    // Unless it is what every table has, and no row of any.
                    if !is_bare_read {
                        let bare = SeriesTable { meters: vec![], series: vec![], ..table.clone() };
                        self.send_table(link, &bare).await?;
                        is_bare_read = true;
                    }
                    refused.push((table, sentence));
                }
                answer => answer?,
            }
        }

        // One that it does not read is that one's fault. Of several, and none that it does, it is
        // its own: nothing is put aside, everything waits.
        let several = refused.iter().filter(|(table, _)| !table.series.is_empty()).count() > 1;
        if several && !link.reads_series {
            let control = known.map(|known| self.tables(link, &[known])).unwrap_or_default();
            for table in &control {
                let table = SeriesTable { meters: vec![], ..table.clone() };
                self.send_table(link, &table).await?;
            }
        }
        if several
            && !link.reads_series
            && let Some((_, sentence)) = refused.pop()
        {
            return Err(Refusal::Malformed { sentence }.into());
        }
        for (table, sentence) in refused {
            leave_out(link, &table, &sentence);
        }
        Ok(())
    }

    fn tables(&self, link: &Link, series: &[SeriesId]) -> Vec<SeriesTable> {
        let building = Arc::clone(&self.building.borrow());
        let infos = self.outbox.series(series);
        building.tables(link.identity.gateway(), self.outbox.epoch(), &infos)
    }

    async fn send_table(&self, link: &mut Link, table: &SeriesTable) -> Result<(), SyncError> {
        let Ok(message) = table.write() else {
            // 250 names of 256 bytes fit; nothing else in a table can grow.
            return Ok(());
        };
        link.acknowledged(path::SERIES, message).await?;
        link.reads_series |= !table.series.is_empty();
        self.heard();
        Ok(())
    }
}

/// Goes on without the one row of `table`.
fn leave_out(link: &mut Link, table: &SeriesTable, because: &str) {
    for meter in &table.meters {
        let name = meter.name.as_str();
        tracing::error!(meter = %meter.id, name, because, "the portfolio cannot read this meter");
        link.unread.meter();
    }
    for row in &table.series {
        tracing::error!(
            series = %row.series, meter = %row.meter, register = %row.register, because,
            "the portfolio cannot read what this series means: its readings are put aside, they \
             stay in the store",
        );
        link.unread.series(row.series);
    }
}

/// The same in two tables; `None` of a single row.
fn halves(table: &SeriesTable) -> Option<[SeriesTable; 2]> {
    let rows = table.meters.len() + table.series.len();
    let half = rows / 2;
    if half == 0 {
        return None;
    }
    let (mut first, mut second) = (table.clone(), table.clone());
    second.meters = first.meters.split_off(half.min(first.meters.len()));
    second.series = first.series.split_off(half - first.meters.len());
    Some([first, second])
}

#[cfg(test)]
mod tests {
    use metering::{GatewayId, Medium, MeterId, PointId, Resolution, SiteId, Unit};
    use sync_wire::{Kind, MeterRow, SeriesRow, SiteRow};
    use uuid::Uuid;

    use super::*;

    fn table(meters: u32, series: u32) -> SeriesTable {
        let meter = MeterId::from_uuid(Uuid::nil());
        let row = |number| SeriesRow {
            series: SeriesId::new(number).unwrap(),
            point: PointId::from_uuid(Uuid::nil()),
            meter,
            register: "energy".parse().unwrap(),
            kind: Kind::Counter,
            resolution: Resolution::new(3, Unit::MegawattHour).unwrap(),
            begins_ms: 0,
            serial: String::new(),
        };
        let name =
            |number: u32| MeterRow { id: meter, name: number.to_string(), medium: Medium::Heat };
        SeriesTable {
            gateway: GatewayId::from_uuid(Uuid::nil()),
            epoch: 1,
            site: SiteRow {
                id: SiteId::from_uuid(Uuid::nil()),
                name: String::new(),
                place: None,
                time_zone: "Europe/Oslo".to_owned(),
            },
            meters: (0..meters).map(name).collect(),
            series: (1..=series).map(row).collect(),
        }
    }

    #[test]
    fn halved_again_and_again_a_table_comes_down_to_each_of_its_rows_once() {
        for (meters, series) in [(0, 0), (1, 0), (0, 1), (1, 1), (250, 0), (0, 500), (7, 30)] {
            let whole = table(meters, series);
            let (mut left, mut single) = (vec![whole.clone()], Vec::new());
            while let Some(table) = left.pop() {
                match halves(&table) {
                    Some(halves) => left.extend(halves.into_iter().rev()),
                    None => single.push(table),
                }
            }
            assert!(single.iter().all(|it| it.meters.len() + it.series.len() <= 1));
            let meters: Vec<_> = single.iter().flat_map(|it| it.meters.clone()).collect();
            let series: Vec<_> = single.iter().flat_map(|it| it.series.clone()).collect();
            assert_eq!((meters, series), (whole.meters, whole.series));
        }
    }
}
