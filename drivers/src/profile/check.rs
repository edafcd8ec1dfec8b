//! From the file to the profile, or to everything that is wrong with it.

mod mbus;
mod sensor;
mod shape;
mod vector;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use metering::{Name, Quantity, Register, Unit};
use toml::Spanned;

use self::shape::Lost;
use super::file::{self, File};
use super::point::{Coding, Point, ScaleMode, ScaleRegister, UnitRegister};
use super::{
    Identify, Kind, Mistake, Modbus, Plausible, Profile, Quirks, RecordMatch, RegisterSpec,
    SerialDefault,
};
use crate::modbus::plan::Limits;
use crate::modbus::{Function, Request};
use crate::number::{self, Scale};

/// Reads `text`, on past what is wrong.
pub(super) fn profile(text: &str) -> Result<Profile, Vec<Mistake>> {
    let shape = shape::read(text);
    let mut check = Check { text, lost: shape.lost, mistakes: Vec::new() };
    for (at, advice) in shape.mistakes {
        check.at(at, advice);
    }
    let profile = shape.file.map(|file| check.profile(file));
    check.mistakes.sort_by_key(|mistake| mistake.line);
    match profile {
        Some(profile) if check.mistakes.is_empty() => Ok(profile),
        _ => Err(check.mistakes),
    }
}

struct Check<'a> {
    text: &'a str,
    /// What is there, but could not be read.
    lost: Lost,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn profile(&mut self, file: File) -> Profile {
        if *file.schema.get_ref() != 1 {
            let advice = format!("schema = {} is not known; write 1", file.schema.get_ref());
            self.mistake(&file.schema, advice);
        }
        if !is_id(file.id.get_ref()) {
            let advice = format!(
                "`{}` cannot name a profile: write maker.type, of a-z, 0-9, - and .",
                file.id.get_ref()
            );
            self.mistake(&file.id, advice);
        }
        if file.register.is_empty() && self.lost.registers.is_empty() {
            self.at(0, "a profile needs a [[register]]: a number, and where it is");
        }
        if file.vector.is_empty() && !self.lost.a_vector {
            self.at(0, "a profile needs a [[vector]]: words or a telegram, and what they mean");
        }

        let defaults = Defaults::of(file.modbus.as_ref());
        let modbus = file.modbus.map(|modbus| self.modbus(modbus, defaults));
        let limits = modbus.as_ref().map(|modbus| modbus.limits.clone());
        let quirks = (file.mbus.as_ref())
            .map_or_else(Quirks::default, |it| self.quirks(it.get_ref(), it.span().start));
        let (mbus, memory) = (file.mbus.map(Spanned::into_inner))
            .map(|mbus| (mbus.identify, mbus.memory))
            .unwrap_or_default();
        let mbus = mbus.into_iter().map(|identify| self.mbus_identity(identify)).collect();

        let mut keys = self.lost.registers.clone();
        let mut registers = Vec::new();
        for register in file.register {
            let register = register.into_inner();
            if !keys.insert(register.key.get_ref().clone()) {
                let advice = format!("`{}` is there twice", register.key.get_ref());
                self.mistake(&register.key, advice);
            }
            let key = register.key.get_ref().clone();
            match self.register(register, defaults, limits.as_ref()) {
                Some(register) => registers.push(register),
                None => drop(self.lost.registers.insert(key)),
            }
        }
        let memory = memory.into_iter().map(|it| self.memory(it, &registers)).collect();
        self.one_of_each(&registers);
        let availability = file.mqtt.and_then(|mqtt| mqtt.availability);
        let availability = availability.and_then(|it| self.availability(it));
        let weight = registers.iter().find_map(|it| it.pulse.as_ref()?.per_unit);
        let vectors = file.vector.into_iter();
        let vectors = vectors.filter_map(|it| self.vector(it, &keys, weight)).collect();
        Profile {
            id: file.id.into_inner(),
            vendor: file.vendor,
            models: file.models,
            medium: file.medium,
            status: file.status,
            source: file.source,
            note: file.note,
            modbus,
            mbus,
            quirks,
            memory,
            availability,
            registers,
            vectors,
        }
    }

    fn modbus(&mut self, modbus: file::Modbus, defaults: Defaults) -> Modbus {
        let max_registers = modbus.max_registers.map_or(Request::MAX_COUNT, |max| {
            if !(1..=Request::MAX_COUNT).contains(max.get_ref()) {
                let advice = format!("max_registers = {} is not 1 to 125", max.get_ref());
                self.mistake(&max, advice);
            }
            max.into_inner()
        });
        let align = modbus.align.map_or(1, |align| {
            if ![1, 2, 4].contains(align.get_ref()) {
                self.mistake(&align, format!("align = {} is not 1, 2 or 4", align.get_ref()));
            }
            align.into_inner()
        });
        let limits = Limits {
            max_registers,
            max_gap: match modbus.gap {
                Some(file::Gap { allow: true, max }) => max.unwrap_or(Request::MAX_COUNT),
                Some(file::Gap { allow: false, .. }) | None => 0,
            },
            align,
            solo: (modbus.solo.iter())
                .map(|solo| match *solo {
                    file::Solo::One(address) => address..=address,
                    file::Solo::Range([first, last]) => first..=last,
                })
                .collect(),
            barriers: modbus.barrier.into_iter().collect(),
        };
        let mut identify = Vec::new();
        for it in modbus.identify {
            match fingerprint(it.get_ref(), defaults) {
                Some(fingerprint) => identify.push(fingerprint),
                None => self.mistake(
                    &it,
                    "a type is told by integers: type = \"u16\", any_of = [71, 72], or by what \
                     stands there, register by register: words = [\"0x0053\", \"0x004F\"]",
                ),
            }
        }
        let serial = modbus.serial.map(|serial| {
            let at = serial.span().start;
            if serial.get_ref().r#type.is_float() {
                self.at(at, "a serial number is an integer");
            }
            self.point(serial.into_inner(), at, None, defaults, Some(&limits))
        });
        Modbus {
            limits,
            min_interval: Duration::from_millis(modbus.min_interval_ms.into()),
            unit_change: Duration::from_millis(modbus.unit_change_ms.into()),
            after_connect: Duration::from_millis(modbus.connect_pause_ms.into()),
            serial_default: modbus.serial_default.map(|it| self.serial_default(&it)),
            identify,
            serial,
        }
    }

    fn serial_default(&mut self, it: &Spanned<file::SerialDefault>) -> SerialDefault {
        let file::SerialDefault { baud, parity, stop } = *it.get_ref();
        if !(1_200..=230_400).contains(&baud) {
            self.mistake(it, format!("baud = {baud} is not 1200 to 230400"));
        }
        if !(1..=2).contains(&stop) {
            self.mistake(it, format!("stop = {stop} is not 1 or 2"));
        }
        SerialDefault { baud, parity: parity.into(), stop }
    }

    fn register(
        &mut self,
        it: file::Register,
        defaults: Defaults,
        limits: Option<&Limits>,
    ) -> Option<RegisterSpec> {
        let (key_at, key) = (it.key.span().start, it.key.get_ref().clone());
        let quantity = self.name(key_at, "quantity", &it.quantity)?;
        let role = match &it.role {
            Some(role) => Some(self.name(key_at, "role", role)?),
            None => None,
        };
        let register = Register {
            direction: it.direction.map(Into::into),
            phase: it.phase.map(Into::into),
            tariff: it.tariff,
            storage: it.storage,
            function: it.function.into(),
            role,
            ..Register::new(quantity)
        };
        if register.to_string() != key {
            self.at(key_at, format!("key = \"{key}\", but its parts make \"{register}\""));
        }
        let unit = self.unit(key_at, it.unit.as_deref(), it.kind)?;

        let ranges = self.invalid(it.invalid);
        let point = it.modbus.map(|point| {
            let at = point.span().start;
            if limits.is_none() {
                self.at(at, "a register on a Modbus needs the section [modbus] of its device");
            }
            if point.get_ref().r#type.is_float() && it.decimals.is_none() {
                self.at(
                    key_at,
                    format!("`{key}` is a float on the wire, so its decimals must be given"),
                );
            }
            self.point(point.into_inner(), at, Some(it.kind), defaults, limits)
        });
        let point = point.map(|point| Point { invalid: self.words(key_at, &ranges), ..point });
        let mbus = it.mbus.and_then(|record| self.record(record));
        let mqtt = it.mqtt.map(|points| self.mqtt(points, it.kind, it.decimals, &ranges));
        let pulse = it.pulse.map(|pulse| self.pulse(pulse, it.kind));
        let onewire = it.onewire.map(|wire| self.onewire(&wire, unit, &ranges));
        let has_raw = point.is_some() || mqtt.is_some() || onewire.is_some();
        if !has_raw && mbus.is_none() && pulse.is_none() {
            let advice = format!(
                "`{key}` says nowhere where it is: give it [register.modbus], [register.mbus], \
                 [register.mqtt], [register.pulse] or [register.onewire]"
            );
            self.at(key_at, advice);
        } else if !has_raw && !ranges.is_empty() {
            let advice = format!("`{key}` has invalid raw values, but is on no wire that has any");
            self.at(key_at, advice);
        }
        let bits = self.bits(it.bits, it.kind, mbus.is_some());
        let name = it.name.map(|name| self.texts(name.span().start, name.into_inner()));
        Some(RegisterSpec {
            register,
            kind: it.kind,
            unit,
            decimals: it.decimals,
            modulus: it.modulus.and_then(|text| self.figure(key_at, "modulus", &text, unit)),
            plausible: self.plausible(key_at, it.plausible, unit),
            optional: it.optional,
            name,
            bits,
            point,
            mbus,
            mqtt: mqtt.unwrap_or_default(),
            pulse,
            onewire,
        })
    }

    fn point(
        &mut self,
        point: file::Point,
        at: usize,
        kind: Option<Kind>,
        defaults: Defaults,
        limits: Option<&Limits>,
    ) -> Point {
        let mut read =
            defaults.point(point.function, point.address, point.r#type, point.word_order);
        if let Some(text) = &point.scale {
            match Scale::parse(text) {
                Some(scale) => read.scale = scale,
                None => {
                    self.at(at, format!("scale = \"{text}\" is not a factor such as 0.1 or 10"));
                }
            }
        }
        if let Some(bit) = point.bit {
            let bits = 16 * point.r#type.words();
            if u16::from(bit) >= bits || point.r#type.is_float() {
                self.at(at, format!("bit = {bit} is not in this type: it has 0 to {}", bits - 1));
            }
            read.bit = Some(bit);
        }
        if kind == Some(Kind::Flag) && point.bit.is_none() {
            self.at(at, "a flag is one bit: give it `bit`");
        }
        if let Some(scale) = point.scale_register {
            if scale.r#type.is_float() {
                self.at(at, "a scale register holds an integer: type = \"i16\"");
            }
            if scale.mode == ScaleMode::Factor && point.r#type.is_float() {
                self.at(at, "a factor multiplies integers, and this is a float");
            }
            let (address, count) = (scale.address, scale.r#type.words());
            read.scale_register = Some(ScaleRegister {
                at: Request { address, count, ..read.at },
                coding: scale.r#type,
                mode: scale.mode,
            });
        }
        if let Some(unit) = point.unit_register {
            if unit.r#type.is_float() {
                self.at(at, "a unit register holds an integer: type = \"u16\"");
            }
            let (address, count) = (unit.address, unit.r#type.words());
            read.unit_register = Some(UnitRegister {
                at: Request { address, count, ..read.at },
                coding: unit.r#type,
                units: self.units(at, &unit.units),
            });
        }

        let hull = read.hull();
        let end = u32::from(hull.address) + u32::from(hull.count);
        if let Some(limits) = limits {
            let length = end.next_multiple_of(limits.align.max(1).into())
                - u32::from(hull.address / limits.align.max(1) * limits.align.max(1));
            if length > u32::from(limits.max_registers) {
                let advice = format!(
                    "it needs {length} registers in one request, and max_registers is {}",
                    limits.max_registers
                );
                self.at(at, advice);
            }
            let used = read.at.count + read.beside().map(|it| it.count).sum::<u16>();
            let hole = hull.count.saturating_sub(used);
            if hole > limits.max_gap {
                let what =
                    if read.scale_register.is_some() { "scale_register" } else { "unit_register" };
                let advice = format!(
                    "its {what} is {hole} registers away, further than the gap that one request \
                     may have; they must be read together"
                );
                self.at(at, advice);
            }
            let cut = |barrier: &u16| *barrier > hull.address && u32::from(*barrier) < end;
            if limits.barriers.iter().any(cut) {
                self.at(at, "a barrier cuts it in two");
            }
        }
        if end > 0x1_0000 {
            self.at(at, "it ends behind the last register, 65535");
        }
        read
    }

    fn units(&mut self, at: usize, units: &BTreeMap<String, String>) -> BTreeMap<i128, Unit> {
        let mut known = BTreeMap::new();
        for (number, code) in units {
            if let (Some(number), Some(unit)) = (raw(number), Unit::from_code(code)) {
                known.insert(number, unit);
            } else {
                self.at(at, format!("units: {number} = \"{code}\" is not like 2 = \"kWh\""));
            }
        }
        if units.is_empty() {
            self.at(at, "a unit register has a list of units: units = { 2 = \"kWh\" }");
        }
        known
    }

    fn record(&mut self, record: Spanned<file::Record>) -> Option<RecordMatch> {
        let at = record.span().start;
        let record = record.into_inner();
        let quantity = self.name(at, "vif", &record.vif)?;
        let role = match (record.role, record.subunit) {
            (Some(role), 0) => Some(role),
            (Some(role), subunit) => Some(format!("{role}_subunit_{subunit}")),
            (None, 0) => None,
            (None, subunit) => Some(format!("subunit_{subunit}")),
        };
        let role = match &role {
            Some(role) => Some(self.name(at, "role", role)?),
            None => None,
        };
        let register = Register {
            direction: record.direction.map(Into::into),
            phase: record.phase.map(Into::into),
            tariff: record.tariff,
            storage: record.storage,
            function: record.function.into(),
            role,
            ..Register::new(quantity)
        };
        Some(RecordMatch { register })
    }

    fn invalid(&mut self, invalid: Option<file::Invalid>) -> Vec<RangeInclusive<i128>> {
        let mut ranges = Vec::new();
        for raw in invalid.map(|it| it.raw).unwrap_or_default() {
            if let Some(range) = raw_range(raw.get_ref()) {
                ranges.push(range);
            } else {
                let advice = format!(
                    "`{}` is not a value of the raw words: write 0x7FFF or 0x7FFF_0000..0x7FFF_FFFF",
                    raw.get_ref()
                );
                self.mistake(&raw, advice);
            }
        }
        ranges
    }

    /// The ranges, of words: they have no sign.
    fn words(&mut self, at: usize, ranges: &[RangeInclusive<i128>]) -> Vec<RangeInclusive<u64>> {
        let unsigned = |range: &RangeInclusive<i128>| {
            Some(u64::try_from(*range.start()).ok()?..=u64::try_from(*range.end()).ok()?)
        };
        let words: Vec<_> = ranges.iter().filter_map(unsigned).collect();
        if words.len() < ranges.len() {
            self.at(at, "words have no sign: write what stands for no value in hex, 0x8000");
        }
        words
    }

    fn plausible(
        &mut self,
        at: usize,
        plausible: Option<file::Plausible>,
        unit: Unit,
    ) -> Plausible {
        let Some(plausible) = plausible else { return Plausible::default() };
        let mut figure = |name: &str, figure: Option<file::Figure>| match figure? {
            file::Figure::Whole(number) => self.figure(at, name, &number.to_string(), unit),
            file::Figure::Text(text) => self.figure(at, name, &text, unit),
        };
        Plausible {
            min: figure("min", plausible.min),
            max: figure("max", plausible.max),
            max_rate_per_hour: figure("max_rate_per_hour", plausible.max_rate_per_hour),
        }
    }

    /// `1e8`, `0.5`, `100`.
    fn figure(&mut self, at: usize, name: &str, text: &str, unit: Unit) -> Option<Quantity> {
        let plain = Quantity::from_decimal(text, unit).ok();
        let figure = plain.or_else(|| number::of_integer(1, Scale::parse(text)?, None, unit).ok());
        if figure.is_none() {
            self.at(at, format!("{name} = \"{text}\" is not a number such as 0.5, 100 or 1e8"));
        }
        figure
    }

    fn unit(&mut self, at: usize, code: Option<&str>, kind: Kind) -> Option<Unit> {
        let unit = match (code, kind) {
            (None, Kind::Flag) => Some(Unit::One),
            (None, _) => None,
            (Some(code), _) => Unit::from_code(code),
        };
        let code = code.unwrap_or_default();
        // One that we do not know is kept as it is, but not one that is a slip of the shift key.
        let alike = |known: &&Unit| known.code().eq_ignore_ascii_case(code);
        let meant = unit.filter(|it| !Unit::ALL.contains(it)).and(Unit::ALL.iter().find(alike));
        if let Some(meant) = meant {
            self.at(at, format!("unit = \"{code}\" is not a unit; write {}", meant.code()));
        } else if unit.is_none() {
            self.at(at, format!("unit = \"{code}\" is not a unit such as kWh, m3, C or 1"));
        }
        unit
    }

    fn name(&mut self, at: usize, what: &str, text: &str) -> Option<Name> {
        let name = text.parse().ok();
        if name.is_none() {
            self.at(at, format!("{what} = \"{text}\" is not words of a-z, 0-9 and _"));
        }
        name
    }

    fn mistake<T>(&mut self, place: &Spanned<T>, advice: impl Into<String>) {
        self.at(place.span().start, advice);
    }

    fn at(&mut self, at: usize, advice: impl Into<String>) {
        let line = line_of(self.text, at);
        self.mistakes.push(Mistake { file: String::new(), line, advice: advice.into() });
    }
}

/// What the section of the device says for all its points.
#[derive(Clone, Copy)]
struct Defaults {
    function: Function,
    low_word_first: bool,
}

impl Defaults {
    fn of(modbus: Option<&file::Modbus>) -> Self {
        let (function, order) = modbus
            .map_or((file::Function::Holding, file::WordOrder::Msw), |modbus| {
                (modbus.function, modbus.word_order)
            });
        Self { function: function.into(), low_word_first: is_low_first(order) }
    }

    fn point(
        self,
        function: Option<file::Function>,
        address: u16,
        coding: Coding,
        word_order: Option<file::WordOrder>,
    ) -> Point {
        let function = function.map_or(self.function, Into::into);
        Point {
            at: Request { function, address, count: coding.words() },
            coding,
            low_word_first: word_order.map_or(self.low_word_first, is_low_first),
            scale: Scale::ONE,
            scale_register: None,
            unit_register: None,
            bit: None,
            invalid: Vec::new(),
        }
    }
}

/// A register that tells a type, or what stands in several one after the other.
fn fingerprint(it: &file::Identify, defaults: Defaults) -> Option<Identify> {
    match (it.r#type, it.words.as_slice()) {
        (Some(coding), []) if !coding.is_float() && !it.any_of.is_empty() => {
            let any_of = it.any_of.iter().copied().map(i128::from).collect();
            Some(Identify::Number {
                point: defaults.point(it.function, it.address, coding, None),
                any_of,
            })
        }
        (None, words) if it.any_of.is_empty() && !words.is_empty() => {
            let words: Option<Vec<u16>> =
                words.iter().map(|word| u16::try_from(raw(word)?).ok()).collect();
            let words = words.filter(|it| it.len() <= usize::from(Request::MAX_COUNT))?;
            let function = it.function.map_or(defaults.function, Into::into);
            let count = u16::try_from(words.len()).ok()?;
            let at = Request { function, address: it.address, count };
            it.address.checked_add(count - 1)?;
            Some(Identify::Words { at, words })
        }
        _ => None,
    }
}

const fn is_low_first(order: file::WordOrder) -> bool {
    matches!(order, file::WordOrder::Lsw)
}

fn is_id(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    text.split_once('.').is_some_and(|(maker, kind)| part(maker) && part(kind)) && text.len() <= 64
}

/// `0x7FFF`, `65535`, `-127000`, or the two ends of a range with `..` between them.
fn raw_range(text: &str) -> Option<RangeInclusive<i128>> {
    match text.split_once("..") {
        Some((first, last)) => {
            let range = raw(first)?..=raw(last)?;
            (!range.is_empty()).then_some(range)
        }
        None => raw(text).map(|value| value..=value),
    }
}

fn raw(text: &str) -> Option<i128> {
    let digits: String = text.chars().filter(|it| *it != '_').collect();
    let whole: i64 = match digits.strip_prefix("0x") {
        Some(hex) => return u64::from_str_radix(hex, 16).ok().map(i128::from),
        None if digits.starts_with('+') => return None,
        None => digits.parse().ok()?,
    };
    Some(whole.into())
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
