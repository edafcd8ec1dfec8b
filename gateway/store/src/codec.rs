//! How the readings of one commit are packed into a blob.
//!
//! ```text
//! version  group  group ...
//!    2
//! group:  n  Δat  Δboottime  Δcycle  how  reason  entry × n
//! entry:  Δseries  Δmantissa              (of an absence only Δseries)
//! how:    trust (bits 0-2, 4 is none)  quality (bits 3-4)  origin (bits 5-7)
//! reason: 0 of values (bits 0-6)  in a row (bit 7)
//! ```
//!
//! The series of a meter mostly have numbers that follow each other. A group that is *in a row* tells the
//! first of them alone. Version 1 is the same without such groups.
//!
//! A group is what one answer of a meter gave: readings of one instant that were got in one way.
//! All numbers are LEB128 varints, those with a Δ in zigzag: the difference to the group or entry
//! before, of the first one to the columns of the spool row. A mantissa is told as the difference to
//! the one before of the same series in this blob, so that a day of a standing counter costs two
//! bytes a reading. A boottime is told as the difference to where an unset wall clock would have
//! it, which is nothing.
//!
//! The blob says nothing twice and cannot find its own damage: that is what the CRC of its row is
//! for. Any bytes unpack to readings or to [`Unpackable`], without a panic, and no more memory
//! is taken than the row's `n` allows.

use std::collections::HashMap;

use metering::{NoReading, Origin, Quality, Trust};

use crate::spool::MOST_READINGS;

/// One reading as the spool keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) series: u32,
    pub(crate) at_ms: i64,
    pub(crate) boottime_ms: i64,
    pub(crate) cycle: i64,
    pub(crate) trust: Option<Trust>,
    pub(crate) quality: Quality,
    pub(crate) origin: Origin,
    pub(crate) value: Result<i64, NoReading>,
}

/// What the columns of a spool row say, and the blob therefore need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) at_ms: i64,
    pub(crate) boottime_ms: i64,
    pub(crate) cycle: i64,
}

/// Packs `entries`.
pub(crate) fn pack(base: Base, entries: &[Entry]) -> Vec<u8> {
    let mut out = vec![VERSION];
    let mut before = base;
    let mut last_series = 0_i64;
    let mut mantissas = HashMap::new();
    for group in entries.chunk_by(same_group) {
        let Some(head) = group.first() else { continue };
        put(&mut out, u64::try_from(group.len()).unwrap_or(u64::MAX));
        let passed = head.at_ms.wrapping_sub(before.at_ms);
        put_signed(&mut out, passed);
        put_signed(
            &mut out,
            head.boottime_ms.wrapping_sub(before.boottime_ms.wrapping_add(passed)),
        );
        put_signed(&mut out, head.cycle.wrapping_sub(before.cycle));
        let trust = head.trust.map_or(NO_TRUST, Trust::code);
        out.push(trust | head.quality.code() << 3 | head.origin.code() << 5);
        let follow =
            |pair: &[Entry]| matches!(pair, [a, b] if b.series.wrapping_sub(a.series) == 1);
        let in_a_row = group.len() > 1 && group.windows(2).all(follow);
        let mark = if in_a_row { IN_A_ROW } else { 0 };
        out.push(head.value.err().map_or(0, NoReading::code) | mark);
        for (place, entry) in group.iter().enumerate() {
            if place == 0 || !in_a_row {
                put_signed(&mut out, i64::from(entry.series).wrapping_sub(last_series));
            }
            last_series = i64::from(entry.series);
            if let Ok(mantissa) = entry.value {
                let earlier = mantissas.insert(entry.series, mantissa).unwrap_or(0);
                put_signed(&mut out, mantissa.wrapping_sub(earlier));
            }
        }
        before = Base { at_ms: head.at_ms, boottime_ms: head.boottime_ms, cycle: head.cycle };
    }
    out
}

/// Unpacks the `n` readings of a blob.
pub(crate) fn unpack(base: Base, n: usize, blob: &[u8]) -> Result<Vec<Entry>, Unpackable> {
    let mut bytes = Bytes(blob);
    if !VERSIONS.contains(&bytes.byte()?) {
        return Err(Unpackable);
    }
    // An absence in a row takes no byte, and no row of the spool has so many readings.
    if n > MOST_READINGS {
        return Err(Unpackable);
    }
    let mut entries = Vec::with_capacity(n);
    let mut before = base;
    let mut last_series = 0_i64;
    let mut mantissas = HashMap::new();
    while !bytes.0.is_empty() {
        let count = usize::try_from(bytes.varint()?).map_err(|_| Unpackable)?;
        if count == 0 || count > n.saturating_sub(entries.len()) {
            return Err(Unpackable);
        }
        let passed = bytes.signed()?;
        let shifted = bytes.signed()?;
        let at_ms = before.at_ms.wrapping_add(passed);
        let boottime_ms = before.boottime_ms.wrapping_add(passed).wrapping_add(shifted);
        let cycle = before.cycle.wrapping_add(bytes.signed()?);
        let how = bytes.byte()?;
        let trust = match how & 7 {
            NO_TRUST => None,
            code => Some(Trust::from_code(code).ok_or(Unpackable)?),
        };
        let quality = Quality::from_code(how >> 3 & 3).ok_or(Unpackable)?;
        let origin = Origin::from_code(how >> 5).ok_or(Unpackable)?;
        let said = bytes.byte()?;
        let in_a_row = said & IN_A_ROW != 0;
        let reason = match said & !IN_A_ROW {
            0 => None,
            code => Some(NoReading::from_code(code).ok_or(Unpackable)?),
        };
        for place in 0..count {
            let step = if in_a_row && place > 0 { 1 } else { bytes.signed()? };
            last_series = last_series.wrapping_add(step);
            let series = u32::try_from(last_series).map_err(|_| Unpackable)?;
            let value = if let Some(reason) = reason {
                Err(reason)
            } else {
                let earlier = mantissas.get(&series).copied().unwrap_or(0_i64);
                let mantissa = earlier.wrapping_add(bytes.signed()?);
                mantissas.insert(series, mantissa);
                Ok(mantissa)
            };
            entries.push(Entry {
                series,
                at_ms,
                boottime_ms,
                cycle,
                trust,
                quality,
                origin,
                value,
            });
        }
        before = Base { at_ms, boottime_ms, cycle };
    }
    if entries.len() == n { Ok(entries) } else { Err(Unpackable) }
}

/// Bytes that no version of this codec wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpackable;

/// What is written, and what is read.
const VERSION: u8 = 2;
const VERSIONS: [u8; 2] = [1, VERSION];
const IN_A_ROW: u8 = 0x80;
const NO_TRUST: u8 = 4;

fn same_group(a: &Entry, b: &Entry) -> bool {
    (a.at_ms, a.boottime_ms, a.cycle, a.trust) == (b.at_ms, b.boottime_ms, b.cycle, b.trust)
        && (a.quality, a.origin, a.value.err()) == (b.quality, b.origin, b.value.err())
}

/// Appends a LEB128 varint.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a varint in zigzag.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// What is still to be read.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Unpackable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unpackable)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A varint that counts something, at most `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, Unpackable> {
        let count = usize::try_from(self.varint()?).map_err(|_| Unpackable)?;
        if count <= most { Ok(count) } else { Err(Unpackable) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Unpackable> {
        let (first, rest) = self.0.split_first().ok_or(Unpackable)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Unpackable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(Unpackable);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unpackable)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Unpackable> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Base = Base { at_ms: 1_772_323_200_000, boottime_ms: 5_000, cycle: 7 };

    fn entry() -> impl Strategy<Value = Entry> {
        let instant = (any::<i64>(), any::<i64>(), any::<i64>());
        let near = (0..3_i64, 0..3_i64, 0..2_i64).prop_map(|(at, boottime, cycle)| {
            (BASE.at_ms + at, BASE.boottime_ms + boottime, BASE.cycle + cycle)
        });
        let value = prop_oneof![
            3 => any::<i64>().prop_map(Ok),
            1 => prop::sample::select(NoReading::ALL).prop_map(Err),
        ];
        (
            prop_oneof![1..5_u32, any::<u32>()],
            prop_oneof![1 => instant, 4 => near],
            prop::sample::select(vec![None, Some(Trust::Untrusted), Some(Trust::Synced)]),
            prop::sample::select(Quality::ALL),
            prop::sample::select(Origin::ALL),
            value,
        )
            .prop_map(
                |(series, (at_ms, boottime_ms, cycle), trust, quality, origin, value)| Entry {
                    series,
                    at_ms,
                    boottime_ms,
                    cycle,
                    trust,
                    quality,
                    origin,
                    value,
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(entries in prop::collection::vec(entry(), 0..40)) {
            prop_assert_eq!(unpack(BASE, entries.len(), &pack(BASE, &entries)), Ok(entries));
        }

        #[test]
        fn any_bytes_are_readings_or_not(
            n in 0..100_usize,
            mut blob in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(first) = blob.first_mut() {
                *first %= 4;
            }
            if let Ok(entries) = unpack(BASE, n, &blob) {
                prop_assert_eq!(entries.len(), n);
            }
        }
    }

    #[test]
    fn the_bytes_are_these_for_ever() {
        let value = |series, mantissa| Entry {
            series,
            at_ms: BASE.at_ms + 300,
            boottime_ms: BASE.boottime_ms + 300,
            cycle: 7,
            trust: Some(Trust::Synced),
            quality: Quality::Good,
            origin: Origin::Live,
            value: Ok(mantissa),
        };
        let absence =
            Entry { value: Err(NoReading::Silent), at_ms: BASE.at_ms + 400, ..value(3, 0) };
        let packed = pack(BASE, &[value(1, 12_345), value(2, -1), absence]);
        let (first, second) = (&packed[..14], &packed[14..]);
        assert_eq!(first, [2, 2, 0xD8, 0x04, 0, 0, 3, 0x80, 2, 0xF2, 0xC0, 0x01, 1, 1]);
        assert_eq!(second, [0xC8, 0x01, 0xC7, 0x01, 0, 3, 1, 2]);
        // The same as the version before wrote it.
        let before = [
            [1, 2, 0xD8, 0x04, 0, 0, 3, 0, 2, 0xF2, 0xC0, 0x01, 2, 1].as_slice(),
            &[1, 0xC8, 0x01, 0xC7, 0x01, 0, 3, 1, 2],
        ];
        assert_eq!(unpack(BASE, 3, &before.concat()), unpack(BASE, 3, &packed));
    }
}
