//! The part of a profile that is about an M-Bus, and the texts.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use metering::Register;
use toml::Spanned;

use super::super::file::{self, DateRecord, Versions};
use super::super::mbus::{FlagBit, MbusIdentity, Memory, Quirks, Texts};
use super::super::{Kind, RegisterSpec};
use super::Check;

impl Check<'_> {
    pub(super) fn mbus_identity(&mut self, identify: Spanned<file::MbusIdentify>) -> MbusIdentity {
        let maker = &identify.get_ref().manufacturer;
        if maker.len() != 3 || !maker.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let advice = format!("`{maker}` is not the three letters of a maker, such as KAM");
            self.mistake(&identify, advice);
        }
        let at = identify.span().start;
        let file::MbusIdentify { manufacturer, versions, media } = identify.into_inner();
        let versions = (versions.into_iter())
            .map(|versions| match versions {
                Versions::One(version) => version..=version,
                Versions::Range([first, last]) => first..=last,
            })
            .collect::<Vec<_>>();
        if let Some(empty) = versions.iter().find(|range| range.is_empty()) {
            let (first, last) = (empty.start(), empty.end());
            self.at(at, format!("no version is in [{first}, {last}]: the first comes first"));
        }
        MbusIdentity { manufacturer, versions, media }
    }

    pub(super) fn quirks(&mut self, mbus: &file::Mbus, at: usize) -> Quirks {
        if let Some(zero) = mbus.max_telegrams.as_ref().filter(|it| *it.get_ref() == 0) {
            self.mistake(zero, "max_telegrams = 0 would leave nothing to read");
        }
        for baud in &mbus.baud {
            if !BAUDS.contains(baud.get_ref()) {
                let advice = format!("baud = {} is not a speed of an M-Bus", baud.get_ref());
                self.mistake(baud, advice);
            }
        }
        let min_interval = mbus
            .min_interval
            .as_ref()
            .and_then(|it| self.duration(it.span().start, "min_interval", it.get_ref()));
        let quirks = Quirks {
            reset: match mbus.reset {
                file::Reset::WhenNeeded => mbus::Reset::WhenNeeded,
                file::Reset::Always => mbus::Reset::Always,
                file::Reset::Never => mbus::Reset::Never,
            },
            max_telegrams: mbus.max_telegrams.as_ref().map(|it| *it.get_ref()),
            min_interval,
            baud: mbus.baud.iter().map(|it| *it.get_ref()).collect(),
            because: mbus.because.clone(),
        };
        if quirks.because.is_none() && quirks != Quirks::default() {
            self.at(at, "what is odd about a meter needs `because`: who saw it, or which document");
        }
        quirks
    }

    /// What the meter keeps, of registers that it also tells as they are now.
    pub(super) fn memory(
        &mut self,
        memory: Spanned<file::Memory>,
        registers: &[RegisterSpec],
    ) -> Memory {
        let at = memory.span().start;
        let memory = memory.into_inner();
        let [first, last] = memory.storages;
        let storages = first..=last;
        if first == 0 || !(1..=MOST_STORAGES).contains(&length(&storages)) {
            let advice = format!(
                "storages = [{first}, {last}]: write the first and the last, from 1 on, at most \
                 {MOST_STORAGES} of them"
            );
            self.at(at, advice);
        }
        let mut kept: BTreeSet<Register> = BTreeSet::new();
        for key in &memory.registers {
            let now = |spec: &&RegisterSpec| spec.register.to_string() == *key.get_ref();
            let now = registers
                .iter()
                .find(now)
                .filter(|spec| spec.mbus.as_ref().is_some_and(|it| it.register.storage == 0));
            if let Some(spec) = now {
                kept.insert(spec.register.clone());
            } else if !self.lost.registers.contains(key.get_ref()) {
                let advice = format!(
                    "`{}` is no register of this profile that an M-Bus tells with storage 0",
                    key.get_ref()
                );
                self.mistake(key, advice);
            }
        }
        if memory.registers.is_empty() {
            self.at(at, "a memory is of something: registers = [\"energy\"]");
        }
        Memory {
            storages,
            interval: memory.interval,
            registers: kept,
            dated_to_the_minute: matches!(memory.date, DateRecord::DateTime),
            taken: memory.taken,
        }
    }

    pub(super) fn bits(
        &mut self,
        bits: Vec<Spanned<file::Flag>>,
        kind: Kind,
        is_mbus: bool,
    ) -> Vec<FlagBit> {
        let mut seen = BTreeSet::new();
        let mut texts = Vec::new();
        for it in bits {
            let bit = it.get_ref().bit;
            if kind != Kind::Flag || !is_mbus {
                self.mistake(&it, "bits have texts in a flag of an M-Bus: kind = \"flag\"");
            } else if bit > 62 {
                self.mistake(&it, format!("bit = {bit} is not 0 to 62"));
            } else if !seen.insert(bit) {
                self.mistake(&it, format!("bit = {bit} is there twice"));
            }
            let at = it.span().start;
            let file::Flag { bit, nb, en, da } = it.into_inner();
            texts.push(FlagBit { bit, text: self.texts(at, file::Texts { nb, en, da }) });
        }
        texts
    }

    pub(super) fn texts(&mut self, at: usize, texts: file::Texts) -> Texts {
        let file::Texts { nb, en, da } = texts;
        for text in [&nb, &en, &da] {
            let length = text.chars().count();
            if text.trim() != text || !(1..=MOST_LETTERS).contains(&length) {
                let advice = format!("`{text}` is not a text of 1 to {MOST_LETTERS} letters");
                self.at(at, advice);
            }
        }
        Texts { nb, en, da }
    }

    /// `10s`, `15m`, `2h`.
    pub(super) fn duration(&mut self, at: usize, key: &str, text: &str) -> Option<Duration> {
        let split = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(split)?;
        let seconds = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3_600),
            _ => None,
        };
        let number: Option<u32> = number.parse().ok().filter(|number| *number > 0);
        if let (Some(number), Some(seconds)) = (number, seconds) {
            Some(Duration::from_secs(u64::from(number) * seconds))
        } else {
            self.at(at, format!("{key} = \"{text}\" is not a time such as 10s, 15m or 2h"));
            None
        }
    }
}

const fn length(range: &RangeInclusive<u64>) -> u64 {
    match range.end().checked_sub(*range.start()) {
        Some(more) => more.saturating_add(1),
        None => 0,
    }
}

/// Of EN 13757-2.
const BAUDS: [u32; 8] = [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400];
/// Twenty years of months: each is looked for in each answer.
const MOST_STORAGES: u64 = 240;
/// What fits beside a value on a telephone, in two lines.
const MOST_LETTERS: usize = 60;
