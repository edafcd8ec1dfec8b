//! COSEM data, IEC 62056-5-3: items that begin with their type.

use super::cursor::Cursor;
use super::flaw::{Fault, Flaw};

/// An item, and where its type stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<'b> {
    pub(super) at: usize,
    pub(super) data: Data<'b>,
}

/// What these meters send of the types that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data<'b> {
    /// Nothing stands where something could.
    Null,
    Integer(i64),
    /// Also `enum`: which of a list.
    Choice(u8),
    /// octet-string, visible-string, utf8-string.
    Octets(&'b [u8]),
    Array(Vec<Item<'b>>),
    Structure(Vec<Item<'b>>),
}

impl<'b> Item<'b> {
    /// Reads one.
    pub(super) fn read(cursor: &mut Cursor<'b>) -> Result<Self, Flaw> {
        Self::read_within(cursor, DEEPEST)
    }

    fn read_within(cursor: &mut Cursor<'b>, deeper: u8) -> Result<Self, Flaw> {
        let at = cursor.at();
        let data = match cursor.byte("an item")? {
            0 => Data::Null,
            1 => Data::Array(Self::several(cursor, deeper)?),
            2 => Data::Structure(Self::several(cursor, deeper)?),
            3 | 17 => Data::Integer(cursor.byte("a number")?.into()),
            5 => Data::Integer(i32::from_be_bytes(cursor.array("a number")?).into()),
            6 => Data::Integer(u32::from_be_bytes(cursor.array("a number")?).into()),
            9 | 10 | 12 => {
                let length = cursor.length()?;
                Data::Octets(cursor.take(length, "a text")?)
            }
            15 => Data::Integer(i8::from_be_bytes(cursor.array("a number")?).into()),
            16 => Data::Integer(i16::from_be_bytes(cursor.array("a number")?).into()),
            18 => Data::Integer(u16::from_be_bytes(cursor.array("a number")?).into()),
            20 => Data::Integer(i64::from_be_bytes(cursor.array("a number")?)),
            21 => {
                let number = u64::from_be_bytes(cursor.array("a number")?);
                let number = i64::try_from(number).map_err(|_| Flaw::new(at, Fault::TooLarge));
                Data::Integer(number?)
            }
            22 => Data::Choice(cursor.byte("a choice")?),
            25 => Data::Octets(cursor.take(12, "a date and time")?),
            tag => return Err(Flaw::new(at, Fault::Tag(tag))),
        };
        Ok(Self { at, data })
    }

    fn several(cursor: &mut Cursor<'b>, deeper: u8) -> Result<Vec<Self>, Flaw> {
        let at = cursor.at();
        let deeper = deeper.checked_sub(1).ok_or(Flaw::new(at, Fault::Depth))?;
        let count = cursor.length()?;
        // Nothing is kept ready for what a count promises: each item has to come.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(Self::read_within(cursor, deeper)?);
        }
        Ok(items)
    }
}

/// A list of structures that hold a scaler and unit is the deepest there is.
const DEEPEST: u8 = 4;
