//! Whether a reading is what the meter's display shows: the value itself, its unit, its magnitude.
//!
//! Between the look at the display and the reading the meter counts on, and a display shows fewer digits
//! than the wire tells or more: three steps of the coarser of the two are no difference. A gauge moves as it
//! likes, and is compared in the rough.

use metering::{Quantity, Resolution, Unit};

/// How the two compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are the same.
    Same,
    /// What is read is this many times too little.
    TooLittle(i64),
    /// What is read is this many times too much.
    TooMuch(i64),
    /// The display counts in this unit: then they are the same.
    Unit(Unit),
    /// They are not the same, for no reason that the figures tell.
    Different,
}

impl Verdict {
    /// As in the API; the language files have a sentence for each.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::TooLittle(_) => "too_little",
            Self::TooMuch(_) => "too_much",
            Self::Unit(_) => "unit",
            Self::Different => "different",
        }
    }
}

/// What `text` says of a display: with a comma or a point, and whatever spaces.
pub(crate) fn display(text: &str, unit: Unit) -> Option<Quantity> {
    let is_space = |letter: char| letter.is_whitespace() || letter == '\'';
    let plain: String = text.chars().filter(|letter| !is_space(*letter)).collect();
    let plain = plain.replace('−', "-");
    // Where both occur the last one separates the decimals; where one does several times it groups.
    let (points, commas) = (plain.matches('.').count(), plain.matches(',').count());
    let decimal = match (plain.rfind('.'), plain.rfind(',')) {
        (Some(point), Some(comma)) if point > comma => '.',
        (Some(_), Some(_)) => ',',
        (Some(_), None) if points == 1 => '.',
        (None, Some(_)) if commas == 1 => ',',
        _ => '\0',
    };
    let number: String = plain
        .chars()
        .filter(|letter| *letter == decimal || !matches!(letter, '.' | ','))
        .map(|letter| if letter == decimal { '.' } else { letter })
        .collect();
    Quantity::from_decimal(&number, unit).ok()
}

/// Compares what the display showed with what was read. `counts` says that it only grows.
pub(crate) fn compared(shown: Quantity, read: Quantity, counts: bool) -> Verdict {
    let Some((shown_steps, read_steps, coarse)) = in_one(shown, read) else {
        return Verdict::Different;
    };
    let same = |shown: i128, read: i128| {
        let gauge = if counts { 0 } else { (shown.abs().max(read.abs())) / 10 };
        (shown - read).abs() <= (3 * coarse).max(gauge)
    };
    if same(shown_steps, read_steps) {
        return Verdict::Same;
    }
    for tens in 1..=4_u32 {
        let factor = 10_i64.pow(tens);
        let (many, wide) = (i128::from(factor), 3 * coarse * i128::from(factor));
        let near = |one: i128, other: i128| {
            // A display of few digits is no excuse for what is not nearly the same.
            let slack = (one.abs() / 1_000).max(wide.min(one.abs() / 50));
            other != 0 && (one - other * many).abs() <= slack
        };
        if near(shown_steps, read_steps) {
            return Verdict::TooLittle(factor);
        }
        if near(read_steps, shown_steps) {
            return Verdict::TooMuch(factor);
        }
    }
    let dimension = shown.resolution().unit().dimension();
    let others = [Unit::MegawattHour, Unit::KilowattHour, Unit::Gigajoule, Unit::Megajoule];
    let meant = others.into_iter().filter(|unit| unit.dimension() == dimension).find(|unit| {
        let resolution = Resolution::new(shown.resolution().decimals(), *unit);
        let other = resolution.map(|it| Quantity::new(shown.mantissa(), it));
        other.and_then(|other| in_one(other, read)).is_some_and(|(shown, read, coarse)| {
            shown != 0 && (shown - read).abs() <= (3 * coarse).max(shown.abs() / 1_000)
        })
    });
    meant.map_or(Verdict::Different, Verdict::Unit)
}

/// Both in the finer one's decimals of the unit that was read, and the coarser one's step.
fn in_one(shown: Quantity, read: Quantity) -> Option<(i128, i128, i128)> {
    let (unit, decimals) = (read.resolution().unit(), read.resolution().decimals());
    let step = Quantity::new(1, shown.resolution());
    let fine = Resolution::new(decimals.max(shown.resolution().decimals()).max(3), unit)?;
    let steps = |it: Quantity| Some(i128::from(it.converted(fine).ok()?.mantissa()));
    let coarse = steps(step)?.max(steps(Quantity::new(1, read.resolution()))?).max(1);
    Some((steps(shown)?, steps(read)?, coarse))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Quantity {
        let (number, unit) = text.split_once(' ').unwrap();
        Quantity::from_decimal(number, Unit::from_code(unit).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(shown: &str, read: &str, expected: Verdict) {
        assert_eq!(compared(amount(shown), amount(read), true), expected);
    }

    #[test]
    fn a_display_is_read_as_people_write_it() {
        let read = |text: &str| display(text, Unit::CubicMetre).map(Quantity::decimal);
        for text in ["34718.4", "34718,4", "34 718,4", "34.718,4", "34,718.4", "34\u{202f}718,4"] {
            assert_eq!(read(text).as_deref(), Some("34718.4"), "{text}");
        }
        assert_eq!(read("1.234.567").as_deref(), Some("1234567"));
        assert_eq!(read("−3,2").as_deref(), Some("-3.2"));
        for text in ["", "abc", "3471 m3", "--1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_reading_is_the_display_some_steps_later() {
        check("1396.317 MWh", "1396.317 MWh", Verdict::Same);
        check("1396.317 MWh", "1396.319 MWh", Verdict::Same);
        check("1396 MWh", "1396318 kWh", Verdict::Same);
        check("1396.317 MWh", "1401.2 MWh", Verdict::Different);
        check("1396.317 m3", "1396.317 MWh", Verdict::Different);
    }

    #[test]
    fn a_magnitude_and_a_unit_are_named() {
        check("34718.4 m3", "3471.84 m3", Verdict::TooLittle(10));
        check("34718.4 m3", "34.718 m3", Verdict::TooLittle(1_000));
        check("3471.8 m3", "34718.4 m3", Verdict::TooMuch(10));
        // It shows GJ and was typed as MWh.
        check("5026.7 MWh", "1396.317 MWh", Verdict::Unit(Unit::Gigajoule));
    }

    #[test]
    fn a_gauge_moves_while_one_looks() {
        let gauge = |shown, read| compared(amount(shown), amount(read), false);
        assert_eq!(gauge("41.9 kW", "43.1 kW"), Verdict::Same);
        assert_eq!(gauge("41.9 kW", "4.19 kW"), Verdict::TooLittle(10));
    }

    #[test]
    fn extremes_are_no_panic() {
        for mantissa in [i64::MIN, -1, 0, 1, i64::MAX] {
            for decimals in [-3, 0, 6] {
                let one =
                    Quantity::new(mantissa, Resolution::new(decimals, Unit::GigawattHour).unwrap());
                compared(one, amount("0 kWh"), true);
                compared(amount("1.5 kWh"), one, false);
            }
        }
    }
}
