//! JSON in which every name stands once in its object: of two fees in one case nobody knows which is meant.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What is wrong with a text, and where.
#[derive(Debug)]
pub(super) enum Wrong {
    Json(serde_json::Error),
    /// The name at this path stands there a second time.
    Twice(String),
}

/// The value in `text`.
pub(super) fn read(text: &[u8]) -> Result<Value, Wrong> {
    let twice = RefCell::default();
    let root = Once { path: "$".to_owned(), twice: &twice };
    let mut text = serde_json::Deserializer::from_slice(text);
    let read = root.deserialize(&mut text).and_then(|value| text.end().map(|()| value));
    read.map_err(|error| twice.take().map_or(Wrong::Json(error), Wrong::Twice))
}

/// The value at a path.
struct Once<'t> {
    path: String,
    twice: &'t RefCell<Option<String>>,
}

impl Once<'_> {
    fn below(&self, path: String) -> Self {
        Self { path, twice: self.twice }
    }
}

impl<'de> DeserializeSeed<'de> for Once<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) =
            list.next_element_seed(self.below(format!("{}[{}]", self.path, values.len())))?
        {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let path = format!("{}.{name}", self.path);
            if values.contains_key(&name) {
                self.twice.replace(Some(path));
                return Err(A::Error::custom("a name stands twice"));
            }
            values.insert(name, object.next_value_seed(self.below(path))?);
        }
        Ok(values.into())
    }
}
