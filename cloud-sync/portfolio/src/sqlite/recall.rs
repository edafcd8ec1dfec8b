//! What gateways have again of what they lost.

use metering::SeriesId;
use rusqlite::{Connection, named_params};
use sync_wire::{RecallAsked, Recalled};

use super::folding;
use super::rows::Trouble;
use crate::recall::Search;

pub(super) fn recall(db: &Connection, asked: RecallAsked) -> Result<Recalled, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT gateway, epoch_no, name, series
           FROM gateway
           JOIN epoch USING (gateway)
           JOIN series_name USING (gateway, epoch_no)
           JOIN series USING (gateway, series)
          WHERE gateway.id = :id AND epoch.epoch = :epoch AND meter = :meter
          ORDER BY name",
    )?;
    let series = statement
        .query_map(
            named_params! {
                ":id": asked.gateway.uuid().as_bytes(),
                ":epoch": asked.epoch.cast_signed(),
                ":meter": asked.meter.uuid().as_bytes(),
            },
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?
        .collect::<Result<Vec<(i64, i64, u32, u32)>, _>>()?;
    let Some((gateway, epoch_no, ..)) = series.first().copied() else {
        return Ok(Search::nothing(&asked));
    };
    let mut search = Search::new(asked, epoch_no);
    while let Some(mut span) = search.next() {
        for (_, _, name, series) in &series {
            let Some(name) = SeriesId::new(*name) else { continue };
            let kept = folding::stored(db, gateway, *series, &span)?;
            search.take(name, &mut span, &kept);
        }
        search.looked(&span);
    }
    Ok(search.answer())
}
