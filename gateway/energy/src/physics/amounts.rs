//! Amounts in thousandths of a unit, and when two of them are not the same.

use metering::{Quantity, Resolution, Unit};

/// `value` in thousandths of `unit`; `None` if it measures something else, or is so large that no
/// meter has shown it: what follows is computed without looking for overflows.
pub(super) fn scaled(value: Quantity, unit: Unit) -> Option<i64> {
    let scaled = value.converted(Resolution::new(3, unit)?).ok()?.mantissa();
    (scaled.unsigned_abs() < MOST).then_some(scaled)
}

/// 4 500 million kWh, or as many millions of cubic metres.
pub(super) const MOST: u64 = 1 << 52;

/// One step of what `value` is shown in, in thousandths of `unit`, of which it is one at least.
pub(super) fn step(value: Quantity, unit: Unit) -> Option<i64> {
    Some(scaled(Quantity::new(1, value.resolution()), unit)?.max(1))
}

/// Whether two amounts differ by more than a quarter of the one that is right, and than `slack`.
pub(super) fn apart(told: i64, right: i64, slack: i64) -> bool {
    let off = (i128::from(told) - i128::from(right)).abs();
    off > i128::from(right).abs() / 4 && off > i128::from(slack)
}
