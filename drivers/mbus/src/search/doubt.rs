//! Whether what looked like one meter may have been several that spoke at the same moment.
//!
//! Where two say the same character together a 0 wins each bit. So two addresses may look like a
//! third one, in which each digit has only the bits that both have; or like the first of them, if
//! the second has all its bits and more: 8 and 9 together look like 8. Meters of one delivery,
//! which count from nothing and are quick to the same bit, say telegrams that differ in little
//! else.

use crate::Selection;

/// How far the acknowledges of this bus can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// Several meters that could be told from one by their acknowledges, since the last that could
    /// not.
    told_apart: u8,
    pub(super) always: bool,
}

impl Doubt {
    pub(super) const NEW: Self = Self { told_apart: 0, always: false };

    /// Several meters were heard as several when they acknowledged.
    pub(super) const fn told_apart(&mut self) {
        self.told_apart = self.told_apart.saturating_add(1);
    }

    /// Several meters acknowledged as one.
    pub(super) const fn taken_for_one(&mut self) {
        self.told_apart = 0;
    }

    /// Whether `found`, who answered to `asked`, is to be selected once more. With all digits said
    /// only a meter with the same number could have been meant too.
    pub(super) fn concerns(self, found: &Selection, asked: &Selection) -> bool {
        if self.always {
            return found != asked;
        }
        match asked.open_digits() {
            0 => false,
            // Numbers that differ in the last digit alone are those of one delivery.
            1 => true,
            _ => self.told_apart < ENOUGH,
        }
    }
}

/// After so many collisions that were heard as such, one that is not is rare; and of these one of
/// 256 has a right checksum.
const ENOUGH: u8 = 3;

/// The selections to which a meter answers that would have been hidden behind `found`, from the
/// `next`-th on: those that differ in the last digit. With each the number of the one after it.
pub(super) fn hidden_behind(
    found: &Selection,
    asked: &Selection,
    next: u8,
) -> Option<(Selection, u8)> {
    if asked.id & 0xF != 0xF {
        return None;
    }
    let last = found.id & 0xF;
    let digit =
        (next..10).find(|digit| u32::from(*digit) & last == last && u32::from(*digit) != last)?;
    let id = found.id & !0xF | u32::from(digit);
    Some((Selection { id, ..*asked }, digit + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &str, asked: &str, expected: &[&str]) {
        let (found, asked) = (found.parse().unwrap(), asked.parse().unwrap());
        let mut next = 0;
        let mut hidden = Vec::new();
        while let Some((selection, then)) = hidden_behind(&found, &asked, next) {
            hidden.push(selection.to_string());
            next = then;
        }
        assert_eq!(hidden, expected);
    }

    #[test]
    fn who_has_all_the_bits_of_another_may_be_hidden_behind_it() {
        check("12345678KAM3504", "1234FFFF", &["12345679"]);
        check("12345674KAM3504", "1234567F", &["12345675", "12345676", "12345677"]);
        check("12345679KAM3504", "1234FFFF", &[]);
        check("12345678KAM3504", "12345678", &[]);
    }
}
