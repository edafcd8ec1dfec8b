//! What gateways have again of what they lost.

use metering::SeriesId;
use sync_wire::{RecallAsked, Recalled};

use super::link::Work;
use super::{Trouble, folding};
use crate::recall::Search;

pub(super) async fn recall(db: &mut Work<'_>, asked: RecallAsked) -> Result<Recalled, Trouble> {
    let found = db
        .rows(
            "SELECT gateway, epoch_no, name, series
               FROM gateway
               JOIN epoch USING (gateway)
               JOIN series_name USING (gateway, epoch_no)
               JOIN series USING (gateway, series)
              WHERE gateway.id = $1 AND epoch.epoch = $2 AND meter = $3
              ORDER BY name",
            &[&asked.gateway.uuid(), &asked.epoch.cast_signed(), &asked.meter.uuid()],
        )
        .await?;
    let Some(head) = found.first() else {
        return Ok(Search::nothing(&asked));
    };
    let (gateway, epoch_no): (i32, i32) = (head.try_get("gateway")?, head.try_get("epoch_no")?);
    let mut series: Vec<(SeriesId, i32)> = Vec::with_capacity(found.len());
    for row in &found {
        let name: i64 = row.try_get("name")?;
        let name = u32::try_from(name).ok().and_then(SeriesId::new);
        series.extend(name.zip(Some(row.try_get("series")?)));
    }
    let mut search = Search::new(asked, epoch_no.into());
    while let Some(mut span) = search.next() {
        for (name, series) in &series {
            let kept = folding::stored(db, gateway, *series, &span).await?;
            search.take(*name, &mut span, &kept);
        }
        search.looked(&span);
    }
    Ok(search.answer())
}
