//! `[keep]` of `fyrhus.toml`: how long the gateway keeps what it has read.

use store::KeepTelegrams;

use super::check::{Check, Root};
use super::key::{Key, Table, Takes, Without};

/// How long everything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Every reading.
    pub readings_days: u16,
    /// Sums of quarter hours; `None` is for ever.
    pub quarter_hours_days: Option<u16>,
    /// Of hours.
    pub hours_days: Option<u16>,
    /// Of days.
    pub days_days: Option<u16>,
    /// Of months.
    pub months_days: Option<u16>,
    /// What the meters said, byte by byte.
    pub telegrams: KeepTelegrams,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            readings_days: READINGS,
            quarter_hours_days: None,
            hours_days: None,
            days_days: None,
            months_days: None,
            telegrams: KeepTelegrams { days: TELEGRAMS, bytes: TELEGRAMS_MIB << 20 },
        }
    }
}

/// What `root` says of it.
pub(super) fn keep(check: &mut Check<'_>, root: Root<'_>) -> Keep {
    let mut keep = Keep::default();
    let Some(section) = root.section(check, &KEEP) else { return keep };
    let mut days = |key: &Key| check.number(section, key).and_then(|it| u16::try_from(it).ok());
    keep.readings_days = days(&READINGS_DAYS).unwrap_or(keep.readings_days);
    keep.quarter_hours_days = days(&QUARTER_HOURS_DAYS);
    keep.hours_days = days(&HOURS_DAYS);
    keep.days_days = days(&DAYS_DAYS);
    keep.months_days = days(&MONTHS_DAYS);
    keep.telegrams.days = days(&TELEGRAMS_DAYS).unwrap_or(keep.telegrams.days);
    if let Some(mib) = check.number(section, &TELEGRAMS_ROOM) {
        keep.telegrams.bytes = mib << 20;
    }
    let longer = [
        (&QUARTER_HOURS_DAYS, keep.quarter_hours_days, &READINGS_DAYS, Some(keep.readings_days)),
        (&HOURS_DAYS, keep.hours_days, &QUARTER_HOURS_DAYS, keep.quarter_hours_days),
        (&DAYS_DAYS, keep.days_days, &QUARTER_HOURS_DAYS, keep.quarter_hours_days),
        (&MONTHS_DAYS, keep.months_days, &DAYS_DAYS, keep.days_days),
    ];
    for (key, days, shorter, least) in longer {
        let Some(days) = days else { continue };
        if least.is_none_or(|least| days < least) {
            let least = least.map_or_else(|| "for ever".to_owned(), |it| format!("{it} days"));
            let advice = format!(
                "{} = {days} is less than `{}`, which is {least}: what is made of others is not kept \
                 for a shorter time than they are",
                key.name, shorter.name
            );
            check.mistake(section.place(key), advice);
        }
    }
    keep
}

/// A year and what a late month's close needs.
const READINGS: u16 = 400;
const TELEGRAMS: u16 = 90;
const TELEGRAMS_MIB: u64 = 512;

pub(super) static KEEP: Table = Table {
    name: "keep",
    repeats: false,
    says: "How long what was read is kept. Readings go by whole months, and never before the \
           portfolio has had them for thirty days, where there is one; their sums never before them.",
    keys: &[
        &READINGS_DAYS,
        &QUARTER_HOURS_DAYS,
        &HOURS_DAYS,
        &DAYS_DAYS,
        &MONTHS_DAYS,
        &TELEGRAMS_DAYS,
        &TELEGRAMS_ROOM,
    ],
};

static READINGS_DAYS: Key = Key {
    name: "readings_days",
    takes: Takes::Number(31, 3_660),
    without: Without::Number(READINGS as u64),
    says: "Every single reading.",
};

static QUARTER_HOURS_DAYS: Key = Key {
    name: "quarter_hours_days",
    takes: Takes::Number(31, 36_600),
    without: Without::Told("for ever"),
    says: "Sums, lowest and highest values of quarter hours. What goes leaves its hours.",
};

static HOURS_DAYS: Key = Key {
    name: "hours_days",
    takes: Takes::Number(31, 36_600),
    without: Without::Told("for ever"),
    says: "Those of hours.",
};

static DAYS_DAYS: Key = Key {
    name: "days_days",
    takes: Takes::Number(31, 36_600),
    without: Without::Told("for ever"),
    says: "Those of days. What goes leaves its months.",
};

static MONTHS_DAYS: Key = Key {
    name: "months_days",
    takes: Takes::Number(31, 36_600),
    without: Without::Told("for ever"),
    says: "Those of months.",
};

static TELEGRAMS_DAYS: Key = Key {
    name: "telegrams_days",
    takes: Takes::Number(0, 3_660),
    without: Without::Number(TELEGRAMS as u64),
    says: "What the meters said, byte by byte: any reading leads back to it. 0 keeps none.",
};

static TELEGRAMS_ROOM: Key = Key {
    name: "telegrams_mib",
    takes: Takes::Number(8, 65_536),
    without: Without::Number(TELEGRAMS_MIB),
    says: "The room for telegrams on the disk, in MiB. What is over it goes, the oldest first.",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    #[test]
    fn what_is_not_said_is_kept_as_usual() {
        assert_eq!(Machine::load("").unwrap().keep, Keep::default());
        let keep = Machine::load("[keep]\nreadings_days = 60\ntelegrams_days = 0\n").unwrap().keep;
        let usual = Keep::default();
        let none = KeepTelegrams { days: 0, ..usual.telegrams };
        assert_eq!(keep, Keep { readings_days: 60, telegrams: none, ..usual });
    }

    #[test]
    fn sums_outlive_what_they_are_made_of() {
        let keep = Machine::load(
            "[keep]\nquarter_hours_days = 800\ndays_days = 4000\ntelegrams_mib = 8\n",
        );
        let keep = keep.unwrap().keep;
        assert_eq!((keep.quarter_hours_days, keep.days_days), (Some(800), Some(4_000)));
        assert_eq!(keep.telegrams.bytes, 8 << 20);
        let mistakes = Machine::load("[keep]\nquarter_hours_days = 399\ndays_days = 398\n");
        let told: Vec<String> = mistakes.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 2: quarter_hours_days = 399 is less than `readings_days`, which is 400 days: what \
                 is made of others is not kept for a shorter time than they are",
                "line 3: days_days = 398 is less than `quarter_hours_days`, which is 399 days: what is \
                 made of others is not kept for a shorter time than they are",
            ]
        );
    }
}
