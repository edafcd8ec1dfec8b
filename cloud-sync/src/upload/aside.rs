//! What the portfolio cannot read is put aside: its number goes as a gap, the reading stays in the
//! store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metering::SeriesId;
use sync_wire::{Ack, Batch, Gap, GapReason, SyncReading, limits, path};
use tokio::time::Instant;

use super::{Link, Uploader};
use crate::post::SyncError;

/// A portfolio that calls more than this malformed within an hour is itself at fault.
const PARKED_AN_HOUR: u32 = 100;

/// For how long a row is left out that the portfolio could not read: then it may be a newer one.
const UNREAD_FOR: Duration = Duration::from_hours(24);

impl Uploader {
    /// Puts one reading aside: the portfolio gets a gap in its place.
    pub(super) async fn park(
        &self,
        link: &mut Link,
        reading: SyncReading,
        sentence: String,
    ) -> Result<(), SyncError> {
        link.parked.retain(|at| at.elapsed() < Duration::from_hours(1));
        if link.parked.len() >= PARKED_AN_HOUR as usize {
            return Err(SyncError::Parking { sentence });
        }
        let SyncReading { seq, series, at_ms, .. } = reading;
        let (gateway, epoch) = (link.identity.gateway(), self.outbox.epoch());
        let head = self.outbox.state().head;
        let gap = Gap { from: seq, to: seq, reason: GapReason::Parked };
        let message = Batch::new(gateway, epoch, head, seq - 1, Vec::new(), vec![gap])
            .ok()
            .and_then(|batch| batch.write().ok());
        let Some(message) = message else {
            return Err(SyncError::Parking { sentence });
        };
        let Ack { acked } = link.acknowledged(path::BATCH, message).await?;
        self.confirm(acked).await?;
        link.parked.push(Instant::now());
        self.status.send_modify(|status| status.parked += 1);
        tracing::error!(
            seq, %series, at_ms, because = sentence,
            "a reading was put aside: the portfolio cannot read it, it stays in the store",
        );
        Ok(())
    }
}

/// What the portfolio could not read of what it was told, and when it said so.
#[derive(Debug, Default)]
pub(super) struct Unread {
    series: BTreeMap<SeriesId, Instant>,
    /// The first meter since everything was told.
    meters: Option<Instant>,
}

impl Unread {
    /// It cannot read what this series means.
    pub(super) fn series(&mut self, series: SeriesId) {
        self.series.insert(series, Instant::now());
    }

    /// It cannot read a meter's row.
    pub(super) fn meter(&mut self) {
        self.meters.get_or_insert_with(Instant::now);
    }

    /// Series whose readings are put aside for now.
    pub(super) fn aside(&mut self) -> BTreeSet<SeriesId> {
        self.series.retain(|_, since| since.elapsed() < UNREAD_FOR);
        self.series.keys().copied().collect()
    }

    /// Whether the meters are to be told once more; the answer is yes once.
    pub(super) fn meters_again(&mut self) -> bool {
        self.meters.take_if(|since| since.elapsed() >= UNREAD_FOR).is_some()
    }
}

/// What of `readings` goes to the portfolio, and with which gaps; how many of them are put aside
/// because their series is `unread`.
///
/// If there would be more gaps than go into one batch, the rest waits for the next.
pub(super) fn sorted_out(
    mut readings: Vec<SyncReading>,
    lost: Option<Gap>,
    unread: &BTreeSet<SeriesId>,
) -> (Vec<SyncReading>, Vec<Gap>, u64) {
    if unread.is_empty() {
        return (readings, lost.into_iter().collect(), 0);
    }
    readings.sort_by_key(|reading| reading.seq);
    let (mut sent, mut gaps, mut aside): (Vec<_>, Vec<Gap>, _) = (Vec::new(), Vec::new(), 0);
    for reading in readings {
        if !unread.contains(&reading.series) {
            sent.push(reading);
            continue;
        }
        let seq = reading.seq;
        let full = gaps.len() + 1 == limits::GAPS;
        match gaps.last_mut() {
            Some(gap) if gap.to + 1 == seq => gap.to = seq,
            // The last place is for what is lost.
            _ if full => return (sent, gaps, aside),
            _ => gaps.push(Gap { from: seq, to: seq, reason: GapReason::Parked }),
        }
        aside += 1;
    }
    gaps.extend(lost);
    (sent, gaps, aside)
}

#[cfg(test)]
mod tests {
    use metering::{Origin, Quality};

    use super::*;

    fn reading(seq: u64) -> SyncReading {
        let series = SeriesId::new(1 + u32::from(seq.is_multiple_of(3))).unwrap();
        let (quality, origin) = (Quality::Good, Origin::Live);
        SyncReading { seq, series, at_ms: 0, value: Ok(1), quality, origin }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_read_is_told_again_a_day_later() {
        let (mut unread, series) = (Unread::default(), SeriesId::new(7).unwrap());
        assert!(!unread.meters_again());
        unread.series(series);
        unread.meter();
        tokio::time::advance(UNREAD_FOR / 2).await;
        unread.meter();
        assert!(!unread.meters_again());
        assert_eq!(unread.aside(), BTreeSet::from([series]));
        tokio::time::advance(UNREAD_FOR / 2).await;
        assert_eq!(unread.aside(), BTreeSet::new());
        assert!(unread.meters_again());
        assert!(!unread.meters_again(), "once a day");
    }

    #[test]
    fn what_is_sent_and_what_is_put_aside_have_every_number_once() {
        let gateway = metering::GatewayId::from_uuid(uuid::Uuid::nil());
        let lost = Gap { from: 10_001, to: 10_007, reason: GapReason::NotKept };
        for unread in [vec![], vec![1], vec![2], vec![1, 2]] {
            let unread: BTreeSet<_> = unread.into_iter().filter_map(SeriesId::new).collect();
            let readings: Vec<_> = (1..=10_000).map(reading).collect();
            let wanted = readings.iter().filter(|it| unread.contains(&it.series)).count();
            let (sent, gaps, aside) = sorted_out(readings, Some(lost), &unread);
            assert!(sent.iter().all(|it| !unread.contains(&it.series)));
            assert!(gaps.len() <= limits::GAPS, "{} gaps", gaps.len());
            let whole = gaps.last() == Some(&lost);
            assert!(!whole || aside == wanted as u64, "{aside} of {wanted}");
            assert_eq!(whole, unread.len() != 1, "{unread:?}");
            let batch = Batch::new(gateway, 1, 10_007, 0, sent, gaps).unwrap();
            assert!(batch.to() == 10_007 || batch.to() > 1_000, "{}", batch.to());
        }
    }
}
