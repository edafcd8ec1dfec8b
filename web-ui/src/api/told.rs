//! How what meters and wires tell looks on the wire.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::told::{Device, RegisterWords, Said, Trouble, Words};

/// Why a meter could not be read, or a bus not be used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trouble)]
pub(crate) struct TroubleBody {
    /// What it is; the language files have a sentence for each.
    code: &'static str,
    /// What that sentence needs.
    params: BTreeMap<&'static str, String>,
    /// All of it in English.
    text: String,
}

impl TroubleBody {
    pub(crate) fn of(trouble: &Trouble) -> Self {
        let Trouble { code, params, text } = trouble.clone();
        Self { code: code.as_str(), params, text }
    }
}

/// Something in a meter's answer that is no number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Said)]
pub(crate) struct SaidBody {
    /// In which telegram of the answer, from 0.
    telegram: usize,
    /// Which record of it, from 0; 0 for what is about the telegram as a whole.
    record: usize,
    /// The register's name: `date_s1`; empty where it has none.
    what: String,
    /// `value` for what the meter said: a date, a text, a version, bytes in hex. Of the others the
    /// language files have a sentence for each.
    kind: &'static str,
    /// What the meter said, if that is it; else the sentence in English, with its details.
    text: String,
}

impl SaidBody {
    pub(crate) fn of(said: &Said) -> Self {
        let Said { telegram, record, what, kind, text } = said.clone();
        Self { telegram, record, what, kind: kind.as_str(), text }
    }
}

/// A type of meter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceBody {
    /// `Kamstrup`
    vendor: String,
    /// `MULTICAL 601`; several if their telegrams do not tell them apart.
    models: Vec<String>,
    /// What its registers are called and their bits mean, where the words of their keys do not
    /// say it.
    registers: Vec<RegisterWordsBody>,
}

/// What a register is called, and what its bits mean.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegisterWords)]
pub(crate) struct RegisterWordsBody {
    register: String,
    name: Option<WordsBody>,
    /// Of those bits whose meaning is known.
    bits: Vec<BitBody>,
}

/// What a bit of a flag register means when it is set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bit)]
pub(crate) struct BitBody {
    /// Counted from 0, the least.
    bit: u8,
    text: WordsBody,
}

/// A text in the languages of the pages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Words)]
pub(crate) struct WordsBody {
    nb: String,
    en: String,
    da: String,
}

impl DeviceBody {
    pub(crate) fn of(device: &Device) -> Self {
        let registers = device.registers.iter().map(RegisterWordsBody::of).collect();
        Self { vendor: device.vendor.clone(), models: device.models.clone(), registers }
    }
}

impl RegisterWordsBody {
    fn of(words: &RegisterWords) -> Self {
        let bits = words.bits.iter().map(|(bit, text)| BitBody { bit: *bit, text: text.into() });
        Self {
            register: words.register.to_string(),
            name: words.name.as_ref().map(WordsBody::from),
            bits: bits.collect(),
        }
    }
}

impl From<&Words> for WordsBody {
    fn from(words: &Words) -> Self {
        let Words { nb, en, da } = words.clone();
        Self { nb, en, da }
    }
}
