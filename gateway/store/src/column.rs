//! A column of whole numbers as bits.
//!
//! ```text
//! how       lead × order    centre   divisor   residual residual ...
//! byte      varints         varint   varint    bits, the lowest first
//! ```
//!
//! The numbers are told as differences: of order 0 they are told themselves, of order 1 from one to
//! the next, of order 2 from difference to difference, so that a clock that ticks evenly and a
//! counter that rises evenly cost nothing. Of the differences their median, the *centre*, is taken,
//! and what is left is divided by what it has in common: a counter that moves in tens is told in
//! tens. The residuals are Rice codes of a parameter `k`: a quotient in ones and a zero, and `k` bits;
//! one that would take more than [`MOST_ONES`] ones is told by its length and its bits.
//!
//! `how` has the order in its low two bits and `k` above; a `k` of [`FLAT`] says that every residual
//! is nothing, and that neither divisor nor bits follow. Order, centre and `k` are those that make the
//! column shortest.
//!
//! All differences wrap, so any numbers are told and come back the same. **Never true:** bytes that
//! nobody wrote make more numbers than were asked for, or a panic.

use crate::codec::{Bytes, Unpackable, put as put_varint, put_signed};

/// Appends `values`; their count is told elsewhere.
pub(crate) fn put(out: &mut Vec<u8>, values: &[i64]) {
    if values.is_empty() {
        return;
    }
    // Most columns are even, and then nothing is shorter.
    let even = Some(Told::of(1, values)).filter(|told| told.k == FLAT);
    let shortest = || (0..=MOST_ORDER).map(|order| Told::of(order, values)).min_by_key(Told::bits);
    if let Some(told) = even.or_else(shortest) {
        told.put(out);
    }
}

/// The `n` numbers of a column, which is all of `column`.
pub(crate) fn take(column: &[u8], n: usize) -> Result<Vec<i64>, Unpackable> {
    let mut values = Vec::new();
    take_into(&mut values, column, n)?;
    Ok(values)
}

/// As [`take`], into `values`, which has none before.
pub(crate) fn take_into(values: &mut Vec<i64>, column: &[u8], n: usize) -> Result<(), Unpackable> {
    values.clear();
    values.reserve(n);
    if n == 0 {
        return if column.is_empty() { Ok(()) } else { Err(Unpackable) };
    }
    let mut bytes = Bytes::of(column);
    let how = bytes.byte()?;
    let (order, k) = (usize::from(how & 3), u32::from(how >> 2));
    if order > MOST_ORDER {
        return Err(Unpackable);
    }
    for _ in 0..order.min(n) {
        values.push(bytes.signed()?);
    }
    let centre = bytes.signed()?;
    // What is summed up once and twice; of order 0 nothing is.
    let mut value = values.last().copied().unwrap_or(0);
    let mut rise = match values.as_slice() {
        [first, second] => second.wrapping_sub(*first),
        _ => 0,
    };
    let mut next = |difference: i64| {
        match order {
            0 => value = difference,
            1 => value = value.wrapping_add(difference),
            _ => {
                rise = rise.wrapping_add(difference);
                value = value.wrapping_add(rise);
            }
        }
        value
    };
    let left = n - values.len();
    if k == FLAT {
        values.extend((0..left).map(|_| next(centre)));
        return if bytes.rest().is_empty() { Ok(()) } else { Err(Unpackable) };
    }
    let divisor = bytes.varint()?.cast_signed();
    let mut bits = Bits::of(bytes.rest());
    for _ in 0..left {
        let residual = unzigzag(bits.rice(k)?).wrapping_mul(divisor);
        values.push(next(residual.wrapping_add(centre)));
    }
    if bits.is_over() { Ok(()) } else { Err(Unpackable) }
}

/// The most often that differences are taken of differences.
const MOST_ORDER: usize = 2;

/// A `k` that says: nothing is left.
const FLAT: u32 = 63;

/// Longer quotients are outliers, and told with their length.
const MOST_ONES: u32 = 12;

/// One way of telling a column.
struct Told<'a> {
    lead: &'a [i64],
    order: usize,
    centre: i64,
    divisor: u64,
    k: u32,
    residuals: Vec<u64>,
}

impl<'a> Told<'a> {
    fn of(order: usize, values: &'a [i64]) -> Self {
        let lead = values.get(..order).unwrap_or(values);
        let mut differences = values.to_vec();
        for _ in 0..order {
            differences = differences
                .windows(2)
                .filter_map(|pair| Some(pair.last()?.wrapping_sub(*pair.first()?)))
                .collect();
        }
        let centre = middle(&differences);
        let left = || differences.iter().map(|it| it.wrapping_sub(centre));
        let common = left().fold(0, |common, it| gcd(common, it.unsigned_abs()));
        // 2^63 divides nothing but itself, and is no i64.
        let divisor = if common > i64::MAX.unsigned_abs() { 1 } else { common };
        let residuals: Vec<u64> = left()
            .map(|it| zigzag(it.checked_div(divisor.cast_signed()).unwrap_or_default()))
            .collect();
        let k = if divisor == 0 { FLAT } else { best(&residuals) };
        Self { lead, order, centre, divisor, k, residuals }
    }

    /// How long it is, about.
    fn bits(&self) -> u64 {
        let number = |it: i64| u64::from((70 - zigzag(it).leading_zeros()) / 7).max(1) * 8;
        let lead: u64 = self.lead.iter().map(|it| number(*it)).sum();
        let residuals = if self.k == FLAT { 0 } else { 8 + length(&self.residuals, self.k) };
        lead + number(self.centre) + residuals
    }

    fn put(&self, out: &mut Vec<u8>) {
        let order = u8::try_from(self.order).unwrap_or_default();
        let k = u8::try_from(self.k).unwrap_or_default();
        out.push(order | k << 2);
        self.lead.iter().for_each(|it| put_signed(out, *it));
        put_signed(out, self.centre);
        if self.k == FLAT {
            return;
        }
        put_varint(out, self.divisor);
        let mut pen = Pen { out, held: 0, count: 0 };
        for residual in &self.residuals {
            pen.rice(*residual, self.k);
        }
        pen.lift();
    }
}

/// The median; of many, that of some hundred of them.
fn middle(numbers: &[i64]) -> i64 {
    let apart = numbers.len() / 256 + 1;
    let mut some: Vec<i64> = numbers.iter().step_by(apart).copied().collect();
    let middle = some.len() / 2;
    if some.is_empty() { 0 } else { *some.select_nth_unstable(middle).1 }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// The parameter that makes `residuals` shortest. It lies about the logarithm of their mean.
fn best(residuals: &[u64]) -> u32 {
    let sum: u128 = residuals.iter().map(|it| u128::from(*it)).sum();
    let mean = sum / u128::try_from(residuals.len().max(1)).unwrap_or(1);
    let about = 128 - mean.leading_zeros();
    // An outlier lifts the mean, so smaller ones are tried too.
    (about.saturating_sub(5)..=about)
        .filter(|k| *k < FLAT)
        .min_by_key(|k| length(residuals, *k))
        .unwrap_or(FLAT - 1)
}

/// How many bits they take.
fn length(residuals: &[u64], k: u32) -> u64 {
    residuals
        .iter()
        .map(|residual| match residual >> k {
            ones if ones < u64::from(MOST_ONES) => ones + 1 + u64::from(k),
            _ => u64::from(MOST_ONES + 6 + size(*residual)),
        })
        .sum()
}

/// The bits of a number, at least one.
const fn size(number: u64) -> u32 {
    let bits = u64::BITS - number.leading_zeros();
    if bits == 0 { 1 } else { bits }
}

/// Writes bits, the lowest of a byte first.
struct Pen<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl Pen<'_> {
    fn rice(&mut self, residual: u64, k: u32) {
        let ones = residual >> k;
        if let Some(ones) = u32::try_from(ones).ok().filter(|ones| *ones < MOST_ONES) {
            self.write((1 << ones) - 1, ones + 1);
            self.write(residual, k);
        } else {
            let size = size(residual);
            self.write((1 << MOST_ONES) - 1, MOST_ONES);
            self.write(u64::from(size - 1), 6);
            self.write(residual, size);
        }
    }

    /// The lowest `count` bits of `number`.
    fn write(&mut self, number: u64, count: u32) {
        if count > 32 {
            self.write(number, 32);
            self.write(number >> 32, count - 32);
            return;
        }
        self.held |= (number & ((1 << count) - 1)) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn lift(self) {
        if self.count > 0 {
            self.out.push(self.held.to_le_bytes()[0]);
        }
    }
}

/// Reads bits, the lowest of a byte first.
struct Bits<'a> {
    rest: &'a [u8],
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    const fn of(rest: &'a [u8]) -> Self {
        Self { rest, held: 0, count: 0 }
    }

    fn rice(&mut self, k: u32) -> Result<u64, Unpackable> {
        self.fill();
        let ones = self.held.trailing_ones();
        if ones < MOST_ONES {
            self.drop(ones + 1)?;
            Ok(u64::from(ones) << k | self.read(k)?)
        } else {
            self.drop(MOST_ONES)?;
            let size = u32::try_from(self.read(6)?).map_err(|_| Unpackable)? + 1;
            self.read(size)
        }
    }

    fn read(&mut self, count: u32) -> Result<u64, Unpackable> {
        if count > 32 {
            let low = self.read(32)?;
            return Ok(low | self.read(count - 32)? << 32);
        }
        self.fill();
        let number = self.held & ((1 << count) - 1);
        self.drop(count)?;
        Ok(number)
    }

    fn drop(&mut self, count: u32) -> Result<(), Unpackable> {
        self.count = self.count.checked_sub(count).ok_or(Unpackable)?;
        self.held >>= count;
        Ok(())
    }

    /// At least 56 bits are held then, or all there are.
    fn fill(&mut self) {
        if self.count > 32 {
            return;
        }
        if let Some((four, rest)) = self.rest.split_first_chunk::<4>() {
            self.held |= u64::from(u32::from_le_bytes(*four)) << self.count;
            self.count += 32;
            self.rest = rest;
            return;
        }
        while let Some((byte, rest)) = self.rest.split_first() {
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.rest = rest;
        }
    }

    /// Nothing is left but what fills the last byte.
    const fn is_over(&self) -> bool {
        self.rest.is_empty() && self.count < 8 && self.held == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[i64]) -> usize {
        let mut out = Vec::new();
        put(&mut out, values);
        assert_eq!(take(&out, values.len()), Ok(values.to_vec()), "{out:02x?}");
        out.len()
    }

    /// Numbers as meters have them, and others.
    fn column() -> impl Strategy<Value = Vec<i64>> {
        let drift = (any::<i64>(), -50..50_i64, 1..1000_i64, 0..60_usize).prop_flat_map(
            |(start, slope, step, n)| {
                prop::collection::vec(0..20_i64, n).prop_map(move |noise| {
                    (0..)
                        .zip(noise)
                        .map(|(at, noise)| start.wrapping_add((slope * at + noise) * step))
                        .collect()
                })
            },
        );
        let any_numbers = prop::collection::vec(
            prop_oneof![any::<i64>(), -3..3_i64, Just(i64::MIN), Just(i64::MAX),],
            0..60,
        );
        prop_oneof![drift, any_numbers]
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(values in column()) {
            check(&values);
        }

        #[test]
        fn any_bytes_are_numbers_or_not(
            n in 0..200_usize,
            column in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Ok(values) = take(&column, n) {
                prop_assert_eq!(values.len(), n);
            }
        }
    }

    #[test]
    fn what_is_even_costs_nothing() {
        let minutes: Vec<i64> = (0..1440).map(|at| 1_774_738_800_000 + at * 60_000).collect();
        assert!(check(&minutes) < 14);
        assert!(check(&[12_345_678; 1440]) < 8);
    }

    #[test]
    fn noise_costs_its_bits() {
        // Steps of 0 to 7 tens: three bits of news each.
        let mut stand = 0;
        let values: Vec<i64> = (0..1000_i64)
            .map(|at| {
                stand += (at * at * 7919 / 13 % 8) * 10;
                stand
            })
            .collect();
        let bytes = check(&values);
        assert!(bytes < 1000 * 4 / 8, "{bytes}");
    }

    #[test]
    fn the_ends_of_64_bits_are_numbers_too() {
        check(&[i64::MIN, i64::MAX, i64::MIN, 0, -1]);
        check(&[0, i64::MIN]);
        check(&[i64::MAX]);
        check(&[0, 0, i64::MIN, 0, 0]);
        check(&[]);
    }

    #[test]
    fn the_bytes_are_these_for_ever() {
        let mut out = Vec::new();
        put(&mut out, &[100, 110, 120, 140, 150]);
        assert_eq!(out, [1, 200, 1, 20, 10, 0b0000_1100]);
    }
}
