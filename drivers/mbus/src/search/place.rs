//! Where a search is: the digits and bytes that have been chosen so far, and what came of them.

use super::doubt::Doubt;
use crate::Selection;

/// Where a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    levels: [Level; Self::MAX_DEPTH],
    depth: usize,
    hex_digits: bool,
    ended: bool,
    /// The selection above the present level is being probed a second time.
    confirming: bool,
    unresolved: Option<Selection>,
    pub(super) doubt: Doubt,
}

/// One digit or byte of the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    field: Field,
    value: u8,
    /// Something has answered to one of the values so far.
    hit: bool,
    /// Something answers to the selection above.
    wanted: bool,
    /// It has done so twice.
    confirmed: bool,
}

/// What a level varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A digit of the number, the most significant being 0.
    Id(u8),
    /// A digit of the fabrication number.
    Fabrication(u8),
    Medium,
    Version,
    ManufacturerLow,
    ManufacturerHigh,
}

impl Place {
    /// Before the first selection.
    pub const START: Self = Self {
        levels: [Level::new(Field::Id(0), false); Self::MAX_DEPTH],
        depth: 0,
        hex_digits: false,
        ended: false,
        confirming: false,
        unresolved: None,
        doubt: Doubt::NEW,
    };

    /// Before `selection`, as a search has told it by [`Self::selection`] when it was left; what
    /// comes before it in a search is not tried again.
    ///
    /// `None` if it is not one in whose number the digits come first and then those that are open,
    /// all else being open: a search that has come to other fields begins anew at that number.
    pub fn at(selection: Selection) -> Option<Self> {
        let Selection { id, .. } = selection;
        if selection != (Selection { id, ..Selection::ALL }) {
            return None;
        }
        let mut place = Self::START;
        let mut open = false;
        for digit in 0..8_u8 {
            let shift = 28 - 4 * u32::from(digit);
            let [value, ..] = (id >> shift & 0xF).to_le_bytes();
            if value == 0xF {
                open = true;
            } else if open {
                return None;
            } else {
                // What the values before this one have been answered with is not known any more.
                let level = Level::new(Field::Id(digit), true);
                place.push(Level { value, hit: true, ..level });
            }
        }
        Some(place)
    }

    /// What is to be selected next.
    pub fn selection(&self) -> Selection {
        let depth = if self.confirming { self.depth.saturating_sub(1) } else { self.depth };
        let chosen = self.levels.iter().take(depth);
        chosen.fold(Selection::ALL, |selection, level| level.applied_to(selection))
    }

    /// Whether all has been tried.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// How much of the numbers has been gone through, in thousandths. Meters are not spread evenly
    /// over them, and neither is the time it takes.
    pub fn permille(&self) -> u16 {
        if self.ended {
            return 1000;
        }
        let id = self.selection().id;
        [28, 24, 20].into_iter().fold(0, |sum, shift| {
            let [digit, ..] = (id >> shift & 0xF).to_le_bytes();
            10 * sum + if digit == 0xF { 0 } else { u16::from(digit.min(9)) }
        })
    }

    pub(super) const fn be_thorough(&mut self) {
        self.hex_digits = true;
        self.doubt.always = true;
    }

    pub(super) const fn take_unresolved(&mut self) -> Option<Selection> {
        self.unresolved.take()
    }

    /// Whether no digit of the number is left open.
    pub(super) fn is_whole_id(&self) -> bool {
        let id = self.selection().id;
        (0..8).all(|digit| id >> (4 * digit) & 0xF != 0xF)
    }

    /// Something answers here (`wanted`), or known meters are here: one more digit is told apart.
    pub(super) fn descend(&mut self, wanted: bool) {
        if self.confirming {
            self.confirm();
            return;
        }
        let field = match self.top() {
            None => Some(Field::Id(0)),
            Some(level) => level.field.next(),
        };
        if let Some(field) = field {
            self.push(Level::new(field, wanted));
        } else {
            self.unresolved = Some(self.selection());
            self.advance(true);
        }
    }

    /// Nobody answers here.
    pub(super) fn silent(&mut self) {
        if self.confirming {
            // It was noise that has led here.
            self.confirming = false;
            self.depth = self.depth.saturating_sub(1);
        }
        self.advance(false);
    }

    /// On to the next selection; `hit`: this one has been answered.
    pub(super) fn advance(&mut self, mut hit: bool) {
        if self.confirming {
            self.confirm();
            return;
        }
        loop {
            let hex_digits = self.hex_digits;
            let Some(level) = self.top() else {
                self.ended = true;
                return;
            };
            level.hit |= hit;
            if let Some(value) = level.next_value(hex_digits) {
                level.value = value;
                return;
            }
            if level.wanted && !level.hit {
                if !level.confirmed {
                    self.confirming = true;
                    return;
                }
                if let Some(field) = level.field.other_way() {
                    *level = Level { confirmed: true, ..Level::new(field, true) };
                    return;
                }
                self.depth -= 1;
                self.unresolved = Some(self.selection());
                hit = true;
                continue;
            }
            hit = level.hit;
            self.depth = self.depth.saturating_sub(1);
        }
    }

    /// Something does answer to the selection above: digits from A to E, then other fields.
    fn confirm(&mut self) {
        self.confirming = false;
        if let Some(level) = self.top() {
            level.confirmed = true;
        }
        self.advance(false);
    }

    fn top(&mut self) -> Option<&mut Level> {
        self.levels.get_mut(self.depth.checked_sub(1)?)
    }

    fn push(&mut self, level: Level) {
        // There are no more fields than places.
        if let Some(place) = self.levels.get_mut(self.depth) {
            *place = level;
            self.depth += 1;
        }
    }

    /// Eight digits of each number, and four bytes.
    const MAX_DEPTH: usize = 20;
}

impl Level {
    const fn new(field: Field, wanted: bool) -> Self {
        Self { field, value: 0, hit: false, wanted, confirmed: false }
    }

    fn next_value(self, hex_digits: bool) -> Option<u8> {
        let last = match self.field {
            Field::Id(_) | Field::Fabrication(_) => {
                let hex = hex_digits || self.value > 9 || (self.confirmed && !self.hit);
                if hex { 0xE } else { 9 }
            }
            Field::Medium | Field::Version | Field::ManufacturerLow => 0xFE,
            // Letters have fifteen bits.
            Field::ManufacturerHigh => 0x7F,
        };
        (self.value < last).then_some(self.value.saturating_add(1))
    }

    fn applied_to(self, mut selection: Selection) -> Selection {
        match self.field {
            Field::Id(digit) => selection.id = with_digit(selection.id, digit, self.value),
            Field::Fabrication(digit) => {
                let number = selection.fabrication.unwrap_or(u32::MAX);
                selection.fabrication = Some(with_digit(number, digit, self.value));
            }
            Field::Medium => selection.medium = self.value,
            Field::Version => selection.version = self.value,
            Field::ManufacturerLow => {
                let [_, high] = selection.manufacturer.to_le_bytes();
                selection.manufacturer = u16::from_le_bytes([self.value, high]);
            }
            Field::ManufacturerHigh => {
                let [low, _] = selection.manufacturer.to_le_bytes();
                selection.manufacturer = u16::from_le_bytes([low, self.value]);
            }
        }
        selection
    }
}

impl Field {
    /// What is varied where this one is chosen and there are still several.
    const fn next(self) -> Option<Self> {
        match self {
            Self::Id(digit) if digit < 7 => Some(Self::Id(digit + 1)),
            Self::Id(_) => Some(Self::Fabrication(0)),
            Self::Fabrication(digit) if digit < 7 => Some(Self::Fabrication(digit + 1)),
            Self::Fabrication(_) => Some(Self::Medium),
            Self::Medium => Some(Self::Version),
            Self::Version => Some(Self::ManufacturerLow),
            Self::ManufacturerLow => Some(Self::ManufacturerHigh),
            Self::ManufacturerHigh => None,
        }
    }

    /// What is varied instead where none of this one's values is answered.
    const fn other_way(self) -> Option<Self> {
        match self {
            Self::Id(_) => Some(Self::Fabrication(0)),
            Self::Fabrication(_) => Some(Self::Medium),
            Self::Medium => Some(Self::Version),
            Self::Version | Self::ManufacturerLow | Self::ManufacturerHigh => None,
        }
    }
}

const fn with_digit(number: u32, digit: u8, value: u8) -> u32 {
    let shift = 28 - 4 * (digit % 8) as u32;
    number & !(0xF << shift) | (value as u32) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, resumed: bool) {
        let selection: Selection = text.parse().unwrap();
        let told = Place::at(selection).map(|place| place.selection());
        assert_eq!(told, resumed.then_some(selection));
    }

    #[test]
    fn a_search_goes_on_where_it_was_left() {
        check("FFFFFFFF", true);
        check("0FFFFFFF", true);
        check("6701FFFF", true);
        check("67001122", true);
        check("67F01122", false);
        check("67001122KAM", false);
    }
}
