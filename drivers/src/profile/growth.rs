//! Whether a counter grew as one can, from one of its values to the next.
//!
//! ```text
//! before 65,530 ──▶ now 4, modulus 65,536        it grew by 10
//! before 65,530 ──▶ now 4, no modulus            it was set, or it is another meter: nobody knows
//! ```
//!
//! **Never true:** a value is altered. One that grew faster than its profile holds possible is kept
//! and marked, as one is that lies outside of its bounds.

use std::time::Duration;

use metering::{Quality, Quantity};

use super::RegisterSpec;

impl RegisterSpec {
    /// How the value `now` of a counter is to be taken whose value was `before`, so long ago.
    pub fn judge_growth(&self, before: Quantity, now: Quantity, ago: Duration) -> Quality {
        let unit = now.resolution().unit();
        let most = self.plausible.max_rate_per_hour.filter(|it| it.resolution().unit() == unit);
        let (Some(most), Some((grown, decimals))) = (most, self.grown(before, now)) else {
            return Quality::Good;
        };
        // A display moves in steps: one more may have been due just now.
        let coarsest = before.resolution().decimals().min(now.resolution().decimals());
        let step = scaled(1, coarsest, decimals);
        let most = scaled(most.mantissa().into(), most.resolution().decimals(), decimals);
        let hours = |amount: i128| amount.saturating_mul(AN_HOUR);
        let millis = i128::try_from(ago.as_millis()).unwrap_or(i128::MAX);
        let allowed = most.saturating_mul(millis).saturating_add(hours(step));
        if hours(grown) > allowed { Quality::Implausible } else { Quality::Good }
    }

    /// By how much, and with how many decimals, a counter grew: across its zero, if it begins again
    /// at one. `None` if it did not grow: it was set, or it is another meter.
    fn grown(&self, before: Quantity, now: Quantity) -> Option<(i128, i8)> {
        let (then, unit) = (before.resolution(), now.resolution().unit());
        if then.unit() != unit {
            return None;
        }
        let modulus = self.modulus.filter(|it| it.resolution().unit() == unit);
        let of_modulus = modulus.map_or(i8::MIN, |it| it.resolution().decimals());
        let most = [then.decimals(), now.resolution().decimals(), of_modulus, MOST_WANTED];
        let decimals = most.into_iter().max().unwrap_or(MOST_WANTED);
        let exact =
            |it: Quantity| scaled(it.mantissa().into(), it.resolution().decimals(), decimals);
        let grown = exact(now) - exact(before);
        if grown >= 0 {
            return Some((grown, decimals));
        }
        let modulus = exact(modulus?);
        // What would have gone round by more than half was rather set back.
        let grown = grown + modulus;
        (exact(before) < modulus && grown < modulus / 2).then_some((grown, decimals))
    }
}

/// An amount with so many decimals, in others that are no fewer. Beyond what 128 bits hold it is
/// as much as they do: such a counter is told from nothing.
fn scaled(mantissa: i128, decimals: i8, wanted: i8) -> i128 {
    let more = u32::from(wanted.abs_diff(decimals));
    10_i128.checked_pow(more).map_or(i128::MAX / AN_HOUR, |it| mantissa.saturating_mul(it))
}

/// In milliseconds.
const AN_HOUR: i128 = 3_600_000;

/// The bound of a profile may be finer than its counter.
const MOST_WANTED: i8 = 6;

#[cfg(test)]
mod tests {
    use metering::Unit;

    use crate::Profile;

    use super::*;

    fn counter(modulus: &str) -> Profile {
        Profile::parse(&format!(
            "schema = 1\nid = \"example.counter\"\nvendor = \"Example\"\nmodels = [\"C\"]\n\
             medium = \"water\"\nstatus = \"document\"\nsource = \"its plate\"\n\
             [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\n\
             kind = \"counter\"\n{modulus}pulse = {{ per_unit = \"100\" }}\n\
             [register.plausible]\nmax_rate_per_hour = \"2.5\"\n\
             [[vector]]\npulses = 1234\nexpect = {{ volume = \"12.34\" }}\n"
        ))
        .unwrap()
    }

    #[track_caller]
    fn check(modulus: &str, before: &str, now: &str, minutes: u64, expected: Quality) {
        let profile = counter(modulus);
        let spec = profile.registers().next().unwrap();
        let amount = |text| Quantity::from_decimal(text, Unit::CubicMetre).unwrap();
        let ago = Duration::from_mins(minutes);
        assert_eq!(spec.judge_growth(amount(before), amount(now), ago), expected, "{before} {now}");
    }

    #[test]
    fn a_counter_that_grew_faster_than_it_can_is_marked() {
        check("", "100.00", "102.50", 60, Quality::Good);
        check("", "100.00", "102.52", 60, Quality::Implausible);
        check("", "100.00", "100.01", 0, Quality::Good);
        check("", "100", "103", 60, Quality::Good);
        check("", "100", "104", 60, Quality::Implausible);
        check("", "100.00", "160.00", 24 * 60, Quality::Good);
        check("", "100.00", "99999999999999.00", 1, Quality::Implausible);
        check("", "100.00", "100.00", 60, Quality::Good);
    }

    #[test]
    fn a_counter_that_begins_again_grew_across_its_zero() {
        let modulus = "modulus = \"1000\"\n";
        check(modulus, "999.00", "1.00", 60, Quality::Good);
        check(modulus, "999.00", "4.00", 60, Quality::Implausible);
        check("", "999.00", "4.00", 60, Quality::Good);
        // It was set back.
        check(modulus, "999.00", "600.00", 60, Quality::Good);
        check(modulus, "1200.00", "1.00", 60, Quality::Good);
    }
}
