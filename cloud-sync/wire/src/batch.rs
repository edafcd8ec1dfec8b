//! Readings, numbered without a hole, on their way to the portfolio.
//!
//! ```text
//!  Batch     = [version, gateway, epoch, from, to, head, sha256, length, packed content]
//!  content   = [[[from, to, reason], …], columns]      gaps, and what columns.rs tells of
//! ```
//!
//! A gateway numbers its readings 1, 2, 3 … when it stores them; `epoch` names the database that
//! counts. So (`gateway`, `epoch`, number) is a reading for good, and a batch can be posted as often
//! as it takes: who has it already can tell from the header.

use metering::{GatewayId, NoReading, Origin, Quality, SeriesId};
use sha2::{Digest, Sha256};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::columns;
use crate::limits;
use crate::pack::{self, Packed, TooLarge};

/// Readings [`from`](Header::from)..=[`to`](Header::to) of one gateway, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    head: u64,
    gateway: GatewayId,
    epoch: u64,
    from: u64,
    to: u64,
    readings: Vec<SyncReading>,
    gaps: Vec<Gap>,
}

/// One reading, or one absence of a reading, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncReading {
    /// Its number, from 1.
    pub seq: u64,
    /// Whose number it is.
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

/// Readings that will never come, by their numbers. The portfolio shows them as lost, not as late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why readings will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// A file of the gateway's store was damaged. Some of the numbers may never have been given.
    Damaged,
    /// The gateway had to throw them away unsent, to make room.
    NotKept,
    /// The portfolio called them malformed. They are still on the gateway.
    Parked,
}

impl GapReason {
    /// As on the wire and in the database.
    pub const fn code(self) -> u8 {
        match self {
            Self::NotKept => 1,
            Self::Parked => 2,
            Self::Damaged => 3,
        }
    }

    /// The reason with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::NotKept),
            2 => Some(Self::Parked),
            3 => Some(Self::Damaged),
            _ => None,
        }
    }
}

impl Batch {
    /// The readings and gaps that follow number `after`, in any order.
    ///
    /// `head` is the highest number that the gateway has given, so that the portfolio can tell how
    /// far behind it is.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] unless they are one number after the other, each once.
    pub fn new(
        gateway: GatewayId,
        epoch: u64,
        head: u64,
        after: u64,
        mut readings: Vec<SyncReading>,
        mut gaps: Vec<Gap>,
    ) -> Result<Self, Incomplete> {
        readings.sort_by_key(|reading| reading.seq);
        gaps.sort_by_key(|gap| gap.from);
        let from = after.checked_add(1).ok_or(Incomplete { after })?;
        let to = last_of(from, &readings, &gaps)?;
        Ok(Self { head, gateway, epoch, from, to, readings, gaps })
    }

    /// The number of its last reading or gap.
    pub const fn to(&self) -> u64 {
        self.to
    }

    /// In the order of their numbers.
    pub fn readings(&self) -> &[SyncReading] {
        &self.readings
    }

    /// In the order of their numbers.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// What is posted.
    ///
    /// # Errors
    ///
    /// [`TooLarge`]: half of the readings may fit.
    pub fn write(&self) -> Result<Vec<u8>, TooLarge> {
        let content = self.content();
        let mut pen = Pen::new();
        pen.list(9)
            .unsigned(crate::VERSION)
            .id(self.gateway.uuid())
            .unsigned(self.epoch)
            .unsigned(self.from)
            .unsigned(self.to)
            .unsigned(self.head)
            .bytes(&Sha256::digest(&content));
        pack::pack(&mut pen, &content)?;
        Ok(pen.finish())
    }

    /// Gaps and columns, before they are packed.
    fn content(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(1 + columns::FIELDS).list(self.gaps.len());
        for Gap { from, to, reason } in &self.gaps {
            pen.list(3).unsigned(*from).unsigned(*to).unsigned(reason.code());
        }
        columns::write(&mut pen, self.from, &self.readings);
        pen.finish()
    }
}

/// What a batch says of itself, before it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sends. Believed only where the certificate says the same.
    pub gateway: GatewayId,
    /// Which database of the gateway gave the numbers.
    pub epoch: u64,
    /// The first number.
    pub from: u64,
    /// The last number.
    pub to: u64,
    /// The highest number that the gateway has given so far.
    pub head: u64,
    /// Of the content before it is packed. Two batches of the same range with different hashes were
    /// not sent by one gateway.
    pub sha256: [u8; 32],
}

/// A batch as it arrives: the header is read, the content is still packed.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'b> {
    /// What the batch says of itself.
    pub header: Header,
    packed: Packed<'b>,
}

impl<'b> Envelope<'b> {
    /// Reads the header of `message`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &'b [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("batch", 9)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let epoch = r.unsigned("epoch")?;
        let at = r.at();
        let from = r.unsigned("first number")?;
        let to = r.unsigned("last number")?;
        if from == 0 || to < from {
            return Err(Malformed { at, flaw: Flaw::Numbers });
        }
        let head = r.unsigned("highest number")?;
        let sha256 = r.just("hash")?;
        let packed = Packed::read(&mut r)?;
        r.end()?;
        Ok(Self { header: Header { gateway, epoch, from, to, head, sha256 }, packed })
    }

    /// Unpacks and reads the content.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong. Nothing of a batch is good when one thing
    /// in it is not.
    pub fn open(self) -> Result<Batch, Malformed> {
        let Header { gateway, epoch, from, to, head, sha256 } = self.header;
        let content = self.packed.unpack()?;
        if Sha256::digest(&content).as_slice() != sha256 {
            return Err(Malformed { at: 0, flaw: Flaw::Hash });
        }

        let mut r = Reader::new(&content);
        r.fields("gaps and columns", 1 + columns::FIELDS)?;
        let mut gaps = Vec::new();
        for _ in 0..r.list("gaps", limits::GAPS)? {
            r.fields("gap", 3)?;
            let from = r.unsigned("first number")?;
            let to = r.unsigned("last number")?;
            let reason = r.code("reason of a gap", GapReason::from_code)?;
            gaps.push(Gap { from, to, reason });
        }
        let mut readings = columns::read(&mut r, from)?;
        let at = r.at();
        r.end()?;

        readings.sort_by_key(|reading| reading.seq);
        gaps.sort_by_key(|gap| gap.from);
        if last_of(from, &readings, &gaps) != Ok(to) {
            return Err(Malformed { at, flaw: Flaw::Numbers });
        }
        Ok(Batch { head, gateway, epoch, from, to, readings, gaps })
    }
}

/// Readings and gaps do not follow each other without a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a reading nor a gap follows number {after}")]
pub struct Incomplete {
    /// The last number before the hole.
    pub after: u64,
}

/// Walks readings and gaps, both sorted, from number `from` on: the last number, if there is at
/// least one, and none is missing or comes twice.
fn last_of(from: u64, readings: &[SyncReading], gaps: &[Gap]) -> Result<u64, Incomplete> {
    let (mut readings, mut gaps) = (readings.iter().peekable(), gaps.iter().peekable());
    let mut next = from;
    loop {
        if readings.next_if(|reading| reading.seq == next).is_some() {
            next = next.checked_add(1).ok_or(Incomplete { after: next })?;
        } else if let Some(gap) = gaps.next_if(|gap| gap.from == next && gap.to >= next) {
            next = gap.to.checked_add(1).ok_or(Incomplete { after: gap.to })?;
        } else if next > from && readings.peek().is_none() && gaps.peek().is_none() {
            return Ok(next - 1);
        } else {
            return Err(Incomplete { after: next - 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const GATEWAY: GatewayId =
        GatewayId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0c2f_6a1b_8e77));

    fn reading(seq: u64, series: u32, at_ms: i64, value: Result<i64, NoReading>) -> SyncReading {
        let series = SeriesId::new(series).unwrap();
        SyncReading { seq, series, at_ms, value, quality: Quality::Good, origin: Origin::Live }
    }

    #[track_caller]
    fn round_trip(batch: &Batch) -> Vec<u8> {
        let message = batch.write().unwrap();
        assert_eq!(Envelope::read(&message).unwrap().open().unwrap(), *batch);
        message
    }

    /// Two meters, of which the second falls silent, and a gap.
    fn small() -> Batch {
        let t0 = 1_795_000_000_000;
        let mut readings = Vec::new();
        for round in 0..4 {
            let seq = 101 + 3 * round;
            let at_ms = t0 + 60_000 * i64::try_from(round).unwrap();
            let steps = i64::try_from(round).unwrap();
            readings.push(reading(seq, 1, at_ms, Ok(12_345 + 2 * steps)));
            readings.push(reading(seq + 1, 2, at_ms, Ok(-40 + steps * steps)));
            let silent = if round == 2 { Err(NoReading::Silent) } else { Ok(7) };
            readings.push(reading(seq + 2, 3, at_ms + 1_204, silent));
        }
        let gaps = vec![Gap { from: 113, to: 1_000, reason: GapReason::NotKept }];
        Batch::new(GATEWAY, 0xC0FF_EE00_1234_5678, 1_200, 100, readings, gaps).unwrap()
    }

    #[test]
    fn the_golden_batch_is_written_and_read_as_ever() {
        let content = hex(&small().content());
        golden("batch.content.hex", &content, include_str!("../tests/golden/batch.content.hex"));

        // Packed bytes may differ from one deflate to the next; what was packed may not.
        let packed = include_str!("../tests/golden/batch.packed.hex");
        if std::env::var_os("UPDATE").is_some() {
            golden("batch.packed.hex", &hex(&small().write().unwrap()), packed);
        } else {
            let message = unhex(packed);
            assert_eq!(Envelope::read(&message).unwrap().open().unwrap(), small());
        }
    }

    fn hex(bytes: &[u8]) -> String {
        let mut text = String::new();
        for line in bytes.chunks(32) {
            for byte in line {
                write!(text, "{byte:02x}").unwrap();
            }
            text.push('\n');
        }
        text
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[track_caller]
    fn golden(name: &str, found: &str, expected: &str) {
        if std::env::var_os("UPDATE").is_some() {
            let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, found).unwrap();
        } else {
            assert_eq!(found, expected, "{name}; run again with UPDATE=1 if this is meant");
        }
    }

    #[test]
    fn a_header_is_read_without_unpacking() {
        let message = round_trip(&small());
        let header = Envelope::read(&message).unwrap().header;
        assert_eq!((header.from, header.to, header.head), (101, 1_000, 1_200));
        assert_eq!((header.gateway, header.epoch), (GATEWAY, 0xC0FF_EE00_1234_5678));
    }

    #[test]
    fn extremes_survive() {
        let readings = vec![
            reading(u64::MAX - 3, 0x7FFF_FFFF, 0, Ok(i64::MIN)),
            reading(u64::MAX - 2, 0x7FFF_FFFF, limits::TIMES_MS.end - 1, Ok(i64::MAX)),
            reading(u64::MAX - 1, 0x7FFF_FFFF, 1, Ok(i64::MIN)),
        ];
        let batch =
            Batch::new(GATEWAY, u64::MAX, u64::MAX, u64::MAX - 4, readings, Vec::new()).unwrap();
        round_trip(&batch);
    }

    #[track_caller]
    fn incomplete(numbers: &[u64], gaps: &[(u64, u64)], after: u64) {
        let readings = numbers.iter().map(|seq| reading(*seq, 1, 0, Ok(0))).collect();
        let gaps = gaps
            .iter()
            .map(|(from, to)| Gap { from: *from, to: *to, reason: GapReason::Parked })
            .collect();
        let made = Batch::new(GATEWAY, 1, 9, 0, readings, gaps);
        assert_eq!(made.unwrap_err(), Incomplete { after });
    }

    #[test]
    fn numbers_follow_each_other_without_a_hole() {
        incomplete(&[], &[], 0);
        incomplete(&[2], &[], 0);
        incomplete(&[1, 3], &[], 1);
        incomplete(&[1, 1], &[], 1);
        incomplete(&[1, 2, 3], &[(2, 3)], 3);
        incomplete(&[1], &[(3, 4)], 1);
        incomplete(&[1], &[(2, 1)], 1);
    }

    #[track_caller]
    fn refused(message: &[u8], expected: &str) {
        let refused = Envelope::read(message).and_then(Envelope::open).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    fn with_content(content: &[u8], from: u64, to: u64) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(9)
            .unsigned(1_u64)
            .id(GATEWAY.uuid())
            .unsigned(1_u64)
            .unsigned(from)
            .unsigned(to)
            .unsigned(to)
            .bytes(&Sha256::digest(content));
        pack::pack(&mut pen, content).unwrap();
        pen.finish()
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(b"", "byte 0: batch expected");
        refused(b"<html>", "byte 0: batch expected");
        let mut newer = small().write().unwrap();
        newer[1] = 2;
        refused(&newer, "byte 1: version 2 of the protocol is not known");

        let mut message = small().write().unwrap();
        let hash_at = 1 + 1 + 17 + 9 + 2 + 3 + 3 + 2;
        message[hash_at] ^= 1;
        refused(&message, "byte 0: the hash does not match the content");

        // Series 1, three readings a minute apart, all of them 5.
        let lanes = |quality: u8| [0x87, 0x80, 0x03, 0x00, 0x00, quality, 0x00];
        let places = [0x81, 0x84, 0x01, 0x85, 0x03, 0x0A, 0x19, 0xEA, 0x60, 0x00, 0x01];
        let values = [0x05, 0x00];
        let content = [&lanes(0)[..], &places, &values].concat();
        assert!(Envelope::read(&with_content(&content, 1, 3)).unwrap().open().is_ok());
        let hole = "the readings are not numbered without a hole";
        refused(&with_content(&content, 1, 4), &format!("byte 20: {hole}"));
        refused(&with_content(&content, 5, 4), &format!("byte 20: {hole}"));
        let unknown = [&lanes(0x17)[..], &places, &values].concat();
        refused(&with_content(&unknown, 1, 3), "byte 5: 23 is no known quality");
        let absent = [&lanes(0)[..], &places, &[0xF6, 0x00]].concat();
        refused(
            &with_content(&absent, 1, 3),
            "byte 18: a value for each that has no reason expected",
        );
        let trailing = [&content[..], &[0]].concat();
        refused(&with_content(&trailing, 1, 3), "byte 20: the message should end here");
    }

    #[test]
    fn more_readings_than_allowed_are_not_made() {
        let two_to_the_32 = [0x1A, 0xFF, 0xFF, 0xFF, 0xFF];
        let many = [&[0x87, 0x80][..], &two_to_the_32, &[0, 0, 0, 0, 0x80]].concat();
        refused(&with_content(&many, 1, 4_294_967_295), "byte 2: too many readings");

        // Two announced, a column of more.
        let lanes = [0x87, 0x80, 0x02, 0x00, 0x00, 0x00, 0x00, 0x81, 0x84, 0x01, 0x85];
        let more = [&lanes[..], &two_to_the_32, &[0, 0, 0, 1, 5, 0]].concat();
        refused(&with_content(&more, 1, 2), "byte 11: too many readings");
    }

    fn any_value() -> impl Strategy<Value = Result<i64, NoReading>> {
        prop_oneof![
            8 => any::<i64>().prop_map(Ok),
            8 => (-1_000_i64..1_000).prop_map(Ok),
            4 => prop::sample::select(NoReading::ALL).prop_map(Err),
        ]
    }

    prop_compose! {
        fn any_batch()(
            after in prop_oneof![Just(0), 0..u64::MAX / 2],
            rows in prop::collection::vec(
                (
                    1_u32..6,
                    limits::TIMES_MS,
                    any_value(),
                    prop::sample::select(Quality::ALL),
                    prop::sample::select(Origin::ALL),
                    prop::option::weighted(0.05, 1_u64..1_000),
                ),
                1..200,
            ),
            epoch in any::<u64>(),
        ) -> Batch {
            let (mut seq, mut readings, mut gaps) = (after, Vec::new(), Vec::new());
            for (series, at_ms, value, quality, origin, gap) in rows {
                if let Some(len) = gap {
                    gaps.push(Gap { from: seq + 1, to: seq + len, reason: GapReason::Parked });
                    seq += len;
                }
                seq += 1;
                let series = SeriesId::new(series).unwrap();
                readings.push(SyncReading { seq, series, at_ms, value, quality, origin });
            }
            Batch::new(GATEWAY, epoch, seq, after, readings, gaps).unwrap()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(batch in any_batch()) {
            round_trip(&batch);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::read(&bytes).and_then(Envelope::open);
        }

        #[test]
        fn no_content_makes_it_panic(
            batch in any_batch(),
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            // The hash is made to fit, so that the damage reaches the columns.
            let mut content = batch.content();
            for (at, byte) in hits {
                let at = at.index(content.len());
                content[at] = byte;
            }
            let message = with_content(&content, batch.from, batch.to);
            if let Ok(read) = Envelope::read(&message).unwrap().open() {
                prop_assert_eq!((read.from, read.to), (batch.from, batch.to));
                prop_assert!(read.readings.len() <= limits::READINGS);
            }
        }
    }
}
