//! How a building's use follows the temperature outdoors: its energy signature.
//!
//! ```text
//! use a day │ •
//!           │   •  •
//!           │     • •                 below the knee: `base + slope · (knee - t)`
//!           │        • •
//!      base │┄┄┄┄┄┄┄┄┄┄•─•──•─ •      above it: `base`
//!           └──────────┴──────────▶ °C
//!                    knee
//! ```
//!
//! The change-point model of three parameters, as in ASHRAE Guideline 14 and the Nordic ET curve: every
//! knee on a grid of 0.1 °C is tried with the line of least squares, and the one with the least squared
//! error stays. Cooling is the same with the axis turned round. The statistics are floats in here;
//! amounts and temperatures are integers on the way in and figures are on the way out.
//!
//! **Invariant:** a use that does not grow with the cold (or the heat) has no slope: it is told as its
//! mean, and never as a line that somebody could extend.

/// A day that was measured in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmth {
    /// The mean temperature outdoors, in thousandths of a degree Celsius.
    pub outdoors: i64,
    /// What was used, in steps of one resolution.
    pub used: i64,
}

/// On which side of the knee the use grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grows {
    /// When it becomes colder: heat, and electricity or gas that heat.
    WithCold,
    /// When it becomes warmer: cooling.
    WithHeat,
}

/// The line that fits the days best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What is used a day whatever the weather, in thousandths of a step.
    pub base: i64,
    /// What comes on top of it a day for each degree beyond the knee, in thousandths of a step; 0 where
    /// the use does not follow the temperature.
    pub slope: i64,
    /// Where the slope begins, in tenths of a degree; `None` without one.
    pub knee: Option<i64>,
    /// The standard deviation of the days from the line, in thousandths of a step.
    pub deviation: i64,
    /// Which share of the differences between days the line explains (R²), in parts of ten thousand.
    pub explained: i64,
    /// The standard deviation in parts of ten thousand of the mean day: CV(RMSE), with the model's
    /// parameters taken from the number of days. `None` if nothing was used.
    pub scatter: Option<i64>,
}

/// With fewer days a single one bends the line.
pub const FEWEST: usize = 10;

/// On the sloped side; with fewer a knee is no more than a day that differs.
const FEWEST_SLOPED: usize = 3;

/// The knees that are tried, in tenths of a degree. Houses stop heating between them.
const KNEES: std::ops::RangeInclusive<i64> = 50..=200;

/// The line through `days`; `None` if they are fewer than [`FEWEST`].
pub fn signature(days: &[Warmth], grows: Grows) -> Option<Signature> {
    if days.len() < FEWEST {
        return None;
    }
    let flat = Line::mean(days);
    let bent = KNEES.filter_map(|knee| Line::bent(days, grows, knee));
    let best = bent.min_by(|a, b| a.squares.total_cmp(&b.squares));
    // A knee is one parameter more than a mean; it has to earn it.
    let line = best.filter(|line| line.squares < flat.squares).unwrap_or(flat);
    Some(line.told(days, flat.squares))
}

/// A candidate, in steps and degrees.
#[derive(Clone, Copy)]
struct Line {
    base: f64,
    slope: f64,
    knee: Option<i64>,
    squares: f64,
}

impl Line {
    fn mean(days: &[Warmth]) -> Self {
        let base = days.iter().map(|day| float(day.used)).sum::<f64>() / count(days.len());
        let squares = days.iter().map(|day| (float(day.used) - base).powi(2)).sum();
        Self { base, slope: 0.0, knee: None, squares }
    }

    /// The least squares for one knee; `None` where it lies outside the days, or the use would fall.
    fn bent(days: &[Warmth], grows: Grows, knee: i64) -> Option<Self> {
        let beyond = |day: &Warmth| {
            let off = match grows {
                Grows::WithCold => knee * 100 - day.outdoors,
                Grows::WithHeat => day.outdoors - knee * 100,
            };
            float(off.max(0)) / 1000.0
        };
        if days.iter().filter(|day| beyond(day) > 0.0).count() < FEWEST_SLOPED {
            return None;
        }
        let n = count(days.len());
        let (mut x, mut y) = (0.0, 0.0);
        for day in days {
            x += beyond(day) / n;
            y += float(day.used) / n;
        }
        let (mut xx, mut xy) = (0.0, 0.0);
        for day in days {
            xx += (beyond(day) - x).powi(2);
            xy += (beyond(day) - x) * (float(day.used) - y);
        }
        let slope = xy / xx;
        let base = slope.mul_add(-x, y);
        let sound = slope.is_finite() && slope > 0.0 && base >= 0.0;
        let off = |day: &Warmth| float(day.used) - slope.mul_add(beyond(day), base);
        let squares = days.iter().map(|day| off(day).powi(2)).sum();
        sound.then_some(Self { base, slope, knee: Some(knee), squares })
    }

    fn told(self, days: &[Warmth], all_squares: f64) -> Signature {
        let parameters = if self.knee.is_some() { 3 } else { 1 };
        let free = count(days.len().saturating_sub(parameters).max(1));
        let deviation = (self.squares / free).sqrt();
        let mean = days.iter().map(|day| float(day.used)).sum::<f64>() / count(days.len());
        let explained = if all_squares > 0.0 { 1.0 - self.squares / all_squares } else { 0.0 };
        Signature {
            base: whole(self.base * 1000.0),
            slope: whole(self.slope * 1000.0),
            knee: self.knee,
            deviation: whole(deviation * 1000.0),
            explained: whole(explained * 10_000.0),
            scatter: (mean > 0.0).then(|| whole(deviation / mean * 10_000.0)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a day's use has far fewer than 53 bits")]
const fn float(steps: i64) -> f64 {
    steps as f64
}

#[expect(clippy::cast_precision_loss, reason = "there are far fewer days than 2^53")]
const fn count(days: usize) -> f64 {
    days as f64
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and no figure is that large")]
fn whole(figure: f64) -> i64 {
    figure.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTDOORS: [i64; 12] = [-15, -10, -5, 0, 5, 10, 12, 14, 16, 18, 20, 22];
    const USED: [i64; 12] = [1366, 1163, 985, 788, 607, 406, 337, 255, 247, 234, 243, 239];

    fn days(outdoors: &[i64], used: &[i64]) -> Vec<Warmth> {
        let pairs = outdoors.iter().zip(used);
        pairs.map(|(t, used)| Warmth { outdoors: t * 1000, used: *used }).collect()
    }

    #[test]
    fn a_heated_house() {
        // Worked outside of this program, over the same grid.
        let found = signature(&days(&OUTDOORS, &USED), Grows::WithCold).unwrap();
        assert_eq!(
            found,
            Signature {
                base: 241_453,
                slope: 38_124,
                knee: Some(144),
                deviation: 5_640,
                explained: 9_998,
                scatter: Some(99),
            }
        );
    }

    #[test]
    fn a_cooled_house_is_the_same_the_other_way_round() {
        // Mirrored at 12 °C, so that the knee of 14.4 °C comes to lie at 9.6 °C.
        let mirrored: Vec<i64> = OUTDOORS.iter().map(|t| 24 - t).collect();
        let found = signature(&days(&mirrored, &USED), Grows::WithHeat).unwrap();
        assert_eq!((found.base, found.slope, found.knee), (241_453, 38_124, Some(96)));
    }

    #[test]
    fn what_does_not_follow_the_weather_has_its_mean() {
        let found = signature(&days(&OUTDOORS, &[40; 12]), Grows::WithCold).unwrap();
        assert_eq!((found.base, found.slope, found.knee), (40_000, 0, None));
        assert_eq!((found.deviation, found.explained), (0, 0));
        // It falls with the cold: that is no heating.
        let falling: Vec<i64> = USED.iter().rev().copied().collect();
        let found = signature(&days(&OUTDOORS, &falling), Grows::WithCold).unwrap();
        assert_eq!((found.slope, found.knee), (0, None));
    }

    #[test]
    fn nothing_and_little_are_no_line() {
        assert_eq!(signature(&[], Grows::WithCold), None);
        assert_eq!(signature(&days(&OUTDOORS[..9], &USED[..9]), Grows::WithCold), None);
        let nothing = signature(&days(&OUTDOORS, &[0; 12]), Grows::WithCold).unwrap();
        assert_eq!((nothing.base, nothing.scatter), (0, None));
    }
}
