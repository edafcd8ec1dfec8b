//! Readings that the gateway lost, and wants to have again.
//!
//! ```text
//!  RecallAsked = [version, gateway, epoch, meter, from, until, [[first, last], …]]
//!  Recalled    = [version, gateway, next | null, first, length, packed columns]    columns.rs tells of these
//! ```
//!
//! The gateway names a meter, a span of time, and the numbers that it lost, and the portfolio answers with what
//! it has of them in the order of time: as they were uploaded, each under the number that it has. What does not
//! fit into an answer is asked for from `next` on. An answer without `next` is the last one.
//!
//! **Never true:** an answer holds a reading of another gateway, or of another epoch than was asked for.

use metering::{GatewayId, MeterId};

use crate::batch::SyncReading;
use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::columns;
use crate::limits;
use crate::pack::{self, Packed};

/// What a gateway wants to have again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallAsked {
    /// Who asks. Believed only where the certificate says the same.
    pub gateway: GatewayId,
    /// Which database of the gateway gave the numbers.
    pub epoch: u64,
    /// Of which meter.
    pub meter: MeterId,
    /// Measured from this time on, in milliseconds since 1970.
    pub from_ms: i64,
    /// And before this one.
    pub until_ms: i64,
    /// With one of these numbers: the first and the last of each range, at most [`limits::RECALL_RANGES`].
    pub numbers: Vec<(u64, u64)>,
}

/// What the portfolio has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Whose they are.
    pub gateway: GatewayId,
    /// From which time on there may be more; `None`: that was all.
    pub next_ms: Option<i64>,
    /// In the order of their numbers.
    pub readings: Vec<SyncReading>,
}

impl RecallAsked {
    /// What is posted.
    pub fn write(&self) -> Vec<u8> {
        let Self { gateway, epoch, meter, from_ms, until_ms, numbers } = self;
        let mut pen = Pen::new();
        pen.list(7).unsigned(crate::VERSION).id(gateway.uuid()).unsigned(*epoch).id(meter.uuid());
        pen.signed(*from_ms).signed(*until_ms).list(numbers.len());
        for (first, last) in numbers {
            pen.list(2).unsigned(*first).unsigned(*last);
        }
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong: a span that ends before it begins, or lies where no
    /// reading can, is.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("question for readings", 7)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let epoch = r.unsigned("epoch")?;
        let meter = MeterId::from_uuid(r.id("meter")?);
        let from_ms = time(&mut r)?;
        let at = r.at();
        let until_ms = time(&mut r)?;
        if until_ms < from_ms {
            return Err(Malformed { at, flaw: Flaw::Expected("an end behind the beginning") });
        }
        let mut numbers = Vec::new();
        for _ in 0..r.list("ranges of numbers", limits::RECALL_RANGES)? {
            r.fields("range of numbers", 2)?;
            let at = r.at();
            let (first, last) = (r.unsigned("first number")?, r.unsigned("last number")?);
            if last < first {
                return Err(Malformed { at, flaw: Flaw::Numbers });
            }
            numbers.push((first, last));
        }
        r.end()?;
        Ok(Self { gateway, epoch, meter, from_ms, until_ms, numbers })
    }

    /// Whether it is about this number.
    pub fn wants(&self, seq: u64) -> bool {
        self.numbers.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
}

impl Recalled {
    /// What is answered: as many of the readings, from the earliest on, as go into [`limits::RECALL_BYTES`].
    /// Those of one instant stay together.
    pub fn write(mut self) -> Vec<u8> {
        self.keep_earliest();
        loop {
            match self.written() {
                Some(bytes) if bytes.len() <= limits::RECALL_BYTES => return bytes,
                // One instant of as many series as a meter has fits.
                other if !self.cut(self.readings.len() / 2) => return other.unwrap_or_default(),
                _ => {}
            }
        }
    }

    /// Puts the readings in the order of time and leaves as many as one answer has at most; whether some went, and
    /// [`next_ms`](Self::next_ms) says from when on.
    pub fn keep_earliest(&mut self) -> bool {
        self.readings.sort_by_key(|reading| (reading.at_ms, reading.seq));
        self.cut(limits::READINGS)
    }

    /// Leaves `most` readings or fewer, and no part of an instant, but the first instant at least; `false` if
    /// nothing goes.
    fn cut(&mut self, most: usize) -> bool {
        let at = |index: usize| self.readings.get(index).map(|reading| reading.at_ms);
        let (Some(head), Some(first_out)) = (at(0), at(most)) else { return false };
        let until = |ms: i64| self.readings.partition_point(|reading| reading.at_ms < ms);
        let left = match until(first_out) {
            0 => until(head.saturating_add(1)),
            left => left,
        };
        let Some(next_ms) = at(left) else { return false };
        self.readings.truncate(left);
        self.next_ms = Some(next_ms);
        true
    }

    fn written(&self) -> Option<Vec<u8>> {
        let Self { gateway, next_ms, readings } = self;
        let mut by_number = readings.clone();
        by_number.sort_by_key(|reading| reading.seq);
        let first = by_number.first().map_or(0, |reading| reading.seq);
        let mut content = Pen::new();
        content.list(columns::FIELDS);
        columns::write(&mut content, first, &by_number);
        let mut pen = Pen::new();
        pen.list(6).unsigned(crate::VERSION).id(gateway.uuid());
        match next_ms {
            Some(next_ms) => pen.signed(*next_ms),
            None => pen.null(),
        };
        pen.unsigned(first);
        pack::pack(&mut pen, &content.finish()).ok()?;
        Some(pen.finish())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("readings had again", 6)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let next_ms = r.optional(|r| r.signed("time to go on from"))?;
        let first = r.unsigned("first number")?;
        let content = Packed::read(&mut r)?.unpack()?;
        r.end()?;
        let mut inner = Reader::new(&content);
        inner.fields("columns", columns::FIELDS)?;
        let mut readings = columns::read(&mut inner, first)?;
        inner.end()?;
        readings.sort_by_key(|reading| reading.seq);
        Ok(Self { gateway, next_ms, readings })
    }
}

/// One that a reading may have, or the end of all of them.
fn time(r: &mut Reader<'_>) -> Result<i64, Malformed> {
    let at = r.at();
    let ms = r.signed("time")?;
    if (limits::TIMES_MS.start..=limits::TIMES_MS.end).contains(&ms) {
        Ok(ms)
    } else {
        Err(Malformed { at, flaw: Flaw::Time(ms) })
    }
}

#[cfg(test)]
mod tests {
    use metering::{NoReading, Origin, Quality, SeriesId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const GATEWAY: GatewayId = GatewayId::from_uuid(Uuid::from_u128(7));

    fn asked(from_ms: i64, until_ms: i64, numbers: Vec<(u64, u64)>) -> RecallAsked {
        let meter = MeterId::from_uuid(Uuid::from_u128(8));
        RecallAsked { gateway: GATEWAY, epoch: u64::MAX, meter, from_ms, until_ms, numbers }
    }

    /// An answer of a meter with so many series, each quarter hour.
    fn recalled(quarters: i64, series: u32, noise: bool) -> Recalled {
        let reading = |quarter: i64, number: u32| {
            let place = quarter * i64::from(series) + i64::from(number);
            // Nothing that packs well.
            let far = place.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
            let far = (far ^ far >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9_u64.cast_signed());
            SyncReading {
                seq: 500 + 40 * quarter.unsigned_abs() + u64::from(number),
                series: SeriesId::new(number).unwrap(),
                at_ms: 1_795_000_000_000 + 900_000 * quarter,
                value: match (noise, place % 9) {
                    (true, _) => Ok(far),
                    (false, 4) => Err(NoReading::Silent),
                    (false, _) => Ok(quarter),
                },
                quality: Quality::Good,
                origin: Origin::Live,
            }
        };
        let readings = (0..quarters).flat_map(|it| (1..=series).map(move |n| reading(it, n)));
        Recalled { gateway: GATEWAY, next_ms: None, readings: readings.collect() }
    }

    #[test]
    fn a_question_is_read_as_it_is_written() {
        let all = limits::TIMES_MS;
        for it in [asked(0, 0, vec![]), asked(all.start, all.end, vec![(1, 1), (7, u64::MAX)])] {
            assert_eq!(RecallAsked::read(&it.write()), Ok(it));
        }
        for (wrong, why) in [
            (asked(5, 4, vec![]), "byte 46: an end behind the beginning expected"),
            (asked(-1, 4, vec![]), "byte 45: -1 ms is not a time between 1970 and 2200"),
            (asked(4, 5, vec![(3, 2)]), "byte 49: the readings are not numbered without a hole"),
            (asked(4, 5, vec![(1, 2); 101]), "byte 47: too many ranges of numbers"),
        ] {
            assert_eq!(RecallAsked::read(&wrong.write()).unwrap_err().to_string(), why);
        }
        let some = asked(0, 1, vec![(3, 5), (9, 9)]);
        let wanted: Vec<u64> = (1..12).filter(|seq| some.wants(*seq)).collect();
        assert_eq!(wanted, [3, 4, 5, 9]);
    }

    #[test]
    fn an_answer_is_read_as_it_is_written() {
        for it in [recalled(0, 1, false), recalled(96, 6, false), recalled(3, 2, true)] {
            assert_eq!(Recalled::read(&it.clone().write()), Ok(it));
        }
    }

    #[test]
    fn what_does_not_fit_is_asked_for_again_and_no_instant_is_cut_in_two() {
        // Too many readings; and too many bytes.
        for all in [recalled(2_000, 6, false), recalled(1_600, 6, true)] {
            let (mut rest, mut found, mut answers) = (all.clone(), Vec::new(), 0);
            loop {
                let bytes = rest.clone().write();
                assert!(bytes.len() <= limits::RECALL_BYTES, "{} bytes", bytes.len());
                let told = Recalled::read(&bytes).unwrap();
                assert!(!told.readings.is_empty() && told.readings.len().is_multiple_of(6));
                found.extend(told.readings);
                answers += 1;
                let Some(next_ms) = told.next_ms else { break };
                rest.readings.retain(|it| it.at_ms >= next_ms);
            }
            assert_eq!(found, all.readings);
            assert!((2..20).contains(&answers), "{answers} answers");
        }
        // One instant of more series than a meter has goes whole.
        let one = recalled(1, 2_048, true);
        let told = Recalled::read(&one.write()).unwrap();
        assert_eq!((told.readings.len(), told.next_ms), (2_048, None));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = recalled(30, 3, false).write();
            let index = at.index(bytes.len());
            bytes[index] = byte;
            let _ = Recalled::read(&bytes);
            let mut bytes = asked(4, 5, vec![(1, 2), (5, 9)]).write();
            let index = at.index(bytes.len());
            bytes[index] = byte;
            let _ = RecallAsked::read(&bytes);
        }
    }
}
