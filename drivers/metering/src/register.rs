//! Which of a meter's numbers a reading is.
//!
//! A register has seven parts and one canonical text, in which the parts that are not at their
//! default follow the quantity in a fixed order, joined by `_`:
//!
//! ```text
//! energy_import_total_t1_s1_max_room
//! quantity      phase    storage  role
//!        direction    tariff  function
//! ```
//!
//! A name of the quantity or of the role may hold `_` itself (`flow_temperature`). The text
//! identifies a register: two with the same text are one. What follows a part that can be told
//! for certain is never part of the quantity; where nothing can be told the whole text is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which of a meter's numbers.
#[derive(Clone, Debug)]
pub struct Register {
    /// What is counted or measured: `energy`, `flow_temperature`.
    pub quantity: Name,
    /// Where it flows, of electricity.
    pub direction: Option<Direction>,
    /// In which conductor, of electricity.
    pub phase: Option<Phase>,
    /// 0 is the total over all tariffs.
    pub tariff: u32,
    /// 0 is now, higher ones are the meter's history: 1 is mostly the last due date.
    pub storage: u64,
    /// Which moment of its period it stands for.
    pub function: Function,
    /// What tells it from another of the same parts: `room`, `riser`, `subunit_2`.
    pub role: Option<Name>,
}

impl Register {
    /// The current total of `quantity`.
    pub const fn new(quantity: Name) -> Self {
        Self {
            quantity,
            direction: None,
            phase: None,
            tariff: 0,
            storage: 0,
            function: Function::Instantaneous,
            role: None,
        }
    }

    /// Whether its text is one that is read back, and as the same direction, phase, tariff, storage
    /// and function. (Words of a role may be taken for words of the quantity: the text is the same.)
    ///
    /// It is not where the role reads like another part (`t1`), or where the whole is longer than
    /// [`MAX_LEN`](Self::MAX_LEN). Whoever makes a name out of what a meter says asks, because a
    /// register that is not canonical cannot be kept.
    pub fn is_canonical(&self) -> bool {
        let parts = |it: &Self| (it.direction, it.phase, it.tariff, it.storage, it.function);
        self.to_string().parse().is_ok_and(|read| parts(&read) == parts(self))
    }

    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 128;
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.quantity.as_str())?;
        if let Some(direction) = self.direction {
            write!(f, "_{}", direction.as_str())?;
        }
        if let Some(phase) = self.phase {
            write!(f, "_{}", phase.as_str())?;
        }
        if self.tariff != 0 {
            write!(f, "_t{}", self.tariff)?;
        }
        if self.storage != 0 {
            write!(f, "_s{}", self.storage)?;
        }
        if self.function != Function::Instantaneous {
            write!(f, "_{}", self.function.as_str())?;
        }
        if let Some(role) = &self.role {
            write!(f, "_{role}")?;
        }
        Ok(())
    }
}

impl FromStr for Register {
    type Err = InvalidRegister;

    /// Reads the canonical text.
    ///
    /// A role is recognised behind another part, and behind `temperature`, `humidity` and the
    /// other quantities that are never told without a place; elsewhere a word belongs to the
    /// quantity.
    fn from_str(text: &str) -> Result<Self, InvalidRegister> {
        let invalid = || InvalidRegister(text.chars().take(80).collect());
        if !is_name(text, Self::MAX_LEN) {
            return Err(invalid());
        }
        let words: Vec<&str> = text.split('_').collect();

        let first_part = words.iter().skip(1).position(|word| Part::of(word).is_some());
        let placed = PLACED.contains(words.first().unwrap_or(&"")).then_some(1);
        let quantity_len = match (first_part, placed) {
            (Some(at), _) => at + 1,
            (None, Some(len)) => len,
            (None, None) => words.len(),
        };
        let (quantity, parts) = words.split_at_checked(quantity_len).ok_or_else(invalid)?;
        let mut register = Self::new(quantity.join("_").parse().map_err(|_| invalid())?);

        let mut parts = parts.iter().peekable();
        while let Some(part) = parts.peek().and_then(|word| Part::of(word)) {
            match part {
                Part::Direction(direction) => register.direction = Some(direction),
                Part::Phase(phase) => register.phase = Some(phase),
                Part::Tariff(tariff) => register.tariff = tariff,
                Part::Storage(storage) => register.storage = storage,
                Part::Function(function) => register.function = function,
            }
            parts.next();
        }
        let role: Vec<&str> = parts.copied().collect();
        if !role.is_empty() {
            register.role = Some(role.join("_").parse().map_err(|_| invalid())?);
        }

        // A text whose parts stand in another order, or twice, is not the canonical one.
        if register.to_string() == text { Ok(register) } else { Err(invalid()) }
    }
}

/// Quantities that say where they are measured instead of which way they flow.
const PLACED: [&str; 4] = ["temperature", "humidity", "co2", "alarm"];

enum Part {
    Direction(Direction),
    Phase(Phase),
    Tariff(u32),
    Storage(u64),
    Function(Function),
}

impl Part {
    fn of(word: &str) -> Option<Self> {
        let direction = Direction::ALL.into_iter().find(|it| it.as_str() == word);
        let phase = Phase::ALL.into_iter().find(|it| it.as_str() == word);
        let function = Function::ALL.into_iter().find(|it| it.as_str() == word);
        direction
            .map(Self::Direction)
            .or(phase.map(Self::Phase))
            .or(function.map(Self::Function))
            .or_else(|| word.strip_prefix('t').and_then(number).map(Self::Tariff))
            .or_else(|| word.strip_prefix('s').and_then(number).map(Self::Storage))
    }
}

/// A number from 1 without leading zeros.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

impl PartialEq for Register {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Register {}

impl Hash for Register {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}

impl PartialOrd for Register {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Register {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl Serialize for Register {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Register {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A word or several: 1 to 64 of `a-z`, `0-9` and `_`, the first a letter, no `_` at an end or
/// beside another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidRegister;

    fn from_str(text: &str) -> Result<Self, InvalidRegister> {
        if is_name(text, 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRegister(text.chars().take(80).collect()))
        }
    }
}

fn is_name(text: &str, most: usize) -> bool {
    let words = text.split('_').all(|word| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    let letter_first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    words && letter_first && text.len() <= most
}

/// Where electricity flows, as seen from the building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the building.
    Import,
    /// Out of it.
    Export,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    const ALL: [Self; 2] = [Self::Import, Self::Export];
}

/// In which conductor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "L1 to L3 are the conductors' names")]
pub enum Phase {
    L1,
    L2,
    L3,
    /// All of them together.
    Total,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::Total => "total",
        }
    }

    const ALL: [Self; 4] = [Self::L1, Self::L2, Self::L3, Self::Total];
}

/// Which moment of its period a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// The value at the end of the period, or now.
    Instantaneous,
    /// The highest value of the period.
    Maximum,
    /// The lowest value of the period.
    Minimum,
    /// The value while the meter reported an error.
    DuringError,
}

impl Function {
    const fn as_str(self) -> &'static str {
        match self {
            // Never written, and so never read: it is the default.
            Self::Instantaneous => "",
            Self::Maximum => "max",
            Self::Minimum => "min",
            Self::DuringError => "error",
        }
    }

    const ALL: [Self; 4] = [Self::Instantaneous, Self::Maximum, Self::Minimum, Self::DuringError];
}

/// A text that names no register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a register: it is written like energy_import_total_t1_s1, with a quantity \
     first, then direction, phase, tariff, storage, function and role"
)]
pub struct InvalidRegister(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, quantity: &str, rest: &str) {
        let register: Register = text.parse().unwrap();
        assert_eq!(register.to_string(), text);
        assert_eq!(register.quantity.as_str(), quantity);
        let Register { direction, phase, tariff, storage, function, role, .. } = register;
        let direction = direction.map_or("", Direction::as_str);
        let phase = phase.map_or("", Phase::as_str);
        let role = role.as_ref().map_or("", Name::as_str);
        let found = format!("{direction} {phase} {tariff} {storage} {} {role}", function.as_str());
        assert_eq!(found, rest);
    }

    #[test]
    fn every_part_has_its_place() {
        check("energy", "energy", "  0 0  ");
        check("energy_import_total", "energy", "import total 0 0  ");
        check("energy_t1_s1", "energy", "  1 1  ");
        check("flow_temperature", "flow_temperature", "  0 0  ");
        check("flow_temperature_s3", "flow_temperature", "  0 3  ");
        check("power_l1", "power", " l1 0 0  ");
        check("power_max", "power", "  0 0 max ");
        check("power_s1_max", "power", "  0 1 max ");
        check("temperature_room", "temperature", "  0 0  room");
        check("volume_t2_subunit_1", "volume", "  2 0  subunit_1");
        check("vif_fd3a_s1", "vif_fd3a", "  0 1  ");
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for wrong in [
            "",
            "_",
            "Energy",
            "energy__t1",
            "energy_",
            "1st",
            "energy_s1_t1",
            "energy_t1_t1",
            "energy kWh",
            "energi_målt",
        ] {
            assert!(wrong.parse::<Register>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_word_that_only_looks_like_a_part_belongs_to_the_quantity() {
        check("energy_t0", "energy_t0", "  0 0  ");
        check("energy_t01", "energy_t01", "  0 0  ");
    }

    #[test]
    fn a_role_that_reads_like_another_part_is_not_canonical() {
        let with = |storage, role: &str| Register {
            storage,
            role: Some(role.parse().unwrap()),
            ..Register::new("energy".parse().unwrap())
        };
        assert!(with(0, "room").is_canonical());
        assert!(with(1, "room").is_canonical());
        assert!(!with(0, "s1").is_canonical(), "the text is that of storage 1");
        assert!(!with(1, "t1").is_canonical());
        assert!(with(1, &"long".repeat(16)).is_canonical());
        let longest = Register {
            quantity: "long".repeat(16).parse().unwrap(),
            ..with(1, &"long".repeat(16))
        };
        assert!(!longest.is_canonical());
    }

    proptest! {
        #[test]
        fn the_parts_make_a_text_that_makes_the_parts(
            quantity in "(energy|volume|flow_temperature|vif_fd3a)",
            direction in prop::sample::select(vec![None, Some(Direction::Import), Some(Direction::Export)]),
            phase in prop::sample::select(vec![None, Some(Phase::L2), Some(Phase::Total)]),
            tariff in 0_u32..1_048_576,
            storage in 0_u64..2_199_023_255_552,
            function in prop::sample::select(Function::ALL.to_vec()),
        ) {
            let register = Register {
                direction, phase, tariff, storage, function,
                ..Register::new(quantity.parse().unwrap())
            };
            let read: Register = register.to_string().parse().unwrap();
            prop_assert_eq!(read.direction, direction);
            prop_assert_eq!(read.phase, phase);
            prop_assert_eq!(read.tariff, tariff);
            prop_assert_eq!(read.storage, storage);
            prop_assert_eq!(read.function, function);
            prop_assert_eq!(read.quantity, register.quantity);
        }

        #[test]
        fn any_text_is_read_back_as_it_was_or_refused(text in "[a-z0-9_]{0,24}") {
            if let Ok(register) = text.parse::<Register>() {
                prop_assert_eq!(register.to_string(), text);
            }
        }
    }
}
