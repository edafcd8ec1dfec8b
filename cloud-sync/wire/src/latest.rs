//! What the meters show now, for a portfolio that is still catching up.
//!
//! ```text
//!  Latest  = [version, gateway, epoch, head, length, packed content]
//!  content = [[series, time, value | null, reason, quality, origin], …]
//! ```
//!
//! Batches come oldest first, so after a week offline the newest values would come last. This call
//! carries them at once; it acknowledges nothing, and whatever it says comes again in a batch.

use metering::{GatewayId, NoReading, Origin, Quality, SeriesId};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;
use crate::pack::TooLarge;
use crate::stamp::Stamp;

/// The newest reading of each series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Whose they are.
    pub gateway: GatewayId,
    /// Which of its databases numbered the series.
    pub epoch: u64,
    /// The highest number that the gateway has given so far.
    pub head: u64,
    /// One for each series, at most [`limits::READINGS`].
    pub newest: Vec<Newest>,
}

/// The newest reading of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Whose it is.
    pub series: SeriesId,
    /// When the meter's answer began, in milliseconds since 1970.
    pub at_ms: i64,
    /// The mantissa in the steps of the series, or why there is none.
    pub value: Result<i64, NoReading>,
    /// How far it can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
}

impl Latest {
    /// What is posted.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn write(&self) -> Result<Vec<u8>, TooLarge> {
        let mut content = Pen::new();
        content.list(self.newest.len());
        for Newest { series, at_ms, value, quality, origin } in &self.newest {
            content.list(6).unsigned(series.get()).signed(*at_ms);
            match value {
                Ok(mantissa) => content.signed(*mantissa).unsigned(0_u8),
                Err(reason) => content.null().unsigned(reason.code()),
            };
            content.unsigned(quality.code()).unsigned(origin.code());
        }
        let Self { gateway, epoch, head, .. } = *self;
        Stamp { gateway, epoch, head }.write(&content.finish())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let (Stamp { gateway, epoch, head }, content) = Stamp::read("latest readings", message)?;
        let mut r = Reader::new(&content);
        let mut newest = Vec::new();
        for _ in 0..r.list("readings", limits::READINGS)? {
            newest.push(Newest::read(&mut r)?);
        }
        r.end()?;
        Ok(Self { gateway, epoch, head, newest })
    }
}

impl Newest {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.fields("reading", 6)?;
        let at = r.at();
        let series = u32::try_from(r.unsigned("series")?)
            .ok()
            .and_then(SeriesId::new)
            .ok_or(Malformed { at, flaw: Flaw::Expected("series") })?;
        let at = r.at();
        let at_ms = r.signed("time")?;
        if !limits::TIMES_MS.contains(&at_ms) {
            return Err(Malformed { at, flaw: Flaw::Time(at_ms) });
        }
        let value = match r.optional(|r| r.signed("value"))? {
            Some(mantissa) => {
                r.code("reason of a value", |code| (code == 0).then_some(()))?;
                Ok(mantissa)
            }
            None => Err(r.code("reason of absence", NoReading::from_code)?),
        };
        let quality = r.code("quality", Quality::from_code)?;
        let origin = r.code("origin", Origin::from_code)?;
        Ok(Self { series, at_ms, value, quality, origin })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let newest = |series, value| Newest {
            series: SeriesId::new(series).unwrap(),
            at_ms: 1_795_000_000_000,
            value,
            quality: Quality::Stale,
            origin: Origin::Simulated,
        };
        let latest = Latest {
            gateway: GatewayId::from_uuid(Uuid::from_u128(1)),
            epoch: u64::MAX,
            head: 9,
            newest: vec![newest(1, Ok(-5)), newest(2, Err(NoReading::BusDown))],
        };
        assert_eq!(Latest::read(&latest.write().unwrap()), Ok(latest));
    }
}
