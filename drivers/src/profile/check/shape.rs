//! From the text to the file's keys, on past what does not fit.
//!
//! serde ends at the first mistake, and an author wants all of them. So what is wrong is told, cut
//! out, and the rest is read again, until it fits.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::super::file::File;

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// `None` if nothing is left that has a meaning.
    pub(super) file: Option<File>,
    /// Where, as an offset into the text, and what.
    pub(super) mistakes: Vec<(usize, String)>,
    pub(super) lost: Lost,
}

/// What was cut out: that it is missing is no mistake of its own.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The keys of registers.
    pub(super) registers: BTreeSet<String>,
    pub(super) a_vector: bool,
}

/// Reads `text`.
pub(super) fn read(text: &str) -> Shape {
    let mut shape = Shape::default();
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What stands behind text that is not TOML is a guess.
        shape.mistakes = errors.iter().take(MOST).map(told).collect();
        shape.mistakes.dedup_by(|next, before| is_one_line(text, before.0, next.0));
        return shape;
    }
    // Tables out of which something was cut: that it is missing now is no mistake of its own.
    let mut damaged: Vec<Range<usize>> = Vec::new();
    // The same of the file itself, by name: one key of it says nothing of the others.
    let mut cut_off: BTreeSet<String> = BTreeSet::new();
    for _ in 0..MOST {
        let error = match File::deserialize(Deserializer::from(root.clone())) {
            Ok(file) => {
                shape.file = Some(file);
                return shape;
            }
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        let done = match missing(error.message()) {
            Some(name) if span == root.span() => {
                if !cut_off.contains(name) {
                    let advice =
                        format!("`{name}` is missing: a profile begins with what it is of");
                    shape.mistakes.push((0, advice));
                }
                stand_in(root.get_mut(), name)
            }
            Some(name) => {
                if !damaged.contains(&span) {
                    shape.mistakes.push((span.start, format!("`{name}` is missing")));
                }
                stand_in_at(&mut root, &span, name)
                    || drop_around(root.get_mut(), &span, &mut shape.lost)
            }
            None => {
                let (at, advice) = told(&error);
                // serde names the key that it does not know, and not the one of a value.
                let advice = match key_of(root.get_ref(), &span) {
                    Some(key) => format!("`{key}`: {advice}"),
                    None => advice,
                };
                shape.mistakes.push((at, advice));
                let before: Vec<String> = names(root.get_ref());
                let done = cut(&mut root, &span, &mut damaged);
                let after = names(root.get_ref());
                cut_off.extend(before.into_iter().filter(|name| !after.contains(name)));
                done
            }
        };
        if !done {
            return shape;
        }
    }
    shape
}

fn told(error: &Error) -> (usize, String) {
    (error.span().unwrap_or_default().start, error.message().to_owned())
}

fn names(table: &DeTable<'_>) -> Vec<String> {
    table.keys().map(|key| key.get_ref().to_string()).collect()
}

/// The key of the value at `span`, the innermost if there are several.
fn key_of<'a>(table: &'a DeTable<'_>, span: &Range<usize>) -> Option<&'a str> {
    let (key, value) = table.iter().find(|(_, value)| holds(value, span))?;
    let within = |value: &'a Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(inner) => key_of(inner, span),
        _ => None,
    };
    let inner = match value.get_ref() {
        DeValue::Array(items) => items.iter().find_map(within),
        _ => within(value),
    };
    Some(inner.unwrap_or(key.get_ref()))
}

/// The field that serde misses.
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

fn is_one_line(text: &str, first: usize, second: usize) -> bool {
    text.get(first..second).is_some_and(|between| !between.contains('\n'))
}

/// Puts something in the place of what must be there, so that the rest can be read.
fn stand_in(table: &mut DeTable<'_>, name: &str) -> bool {
    const ANY: &str = "schema = 1\nid = \"any.type\"\nvendor = \"\"\nmodels = []\n\
                       medium = \"other\"\nstatus = \"community\"\nsource = \"any\"\n\
                       address = 0\ntype = \"u16\"\nfamily = 40\n";
    let value = DeTable::parse(ANY).ok().and_then(|mut any| any.get_mut().remove(name));
    let key = Spanned::new(0..0, Cow::Owned(name.to_owned()));
    value.is_some_and(|value| table.insert(key, value).is_none())
}

/// The same in the table at `span`.
fn stand_in_at(table: &mut Spanned<DeTable<'_>>, span: &Range<usize>, name: &str) -> bool {
    fn within(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, name: &str) -> bool {
        let is_it = value.span() == *span;
        match value.get_mut() {
            DeValue::Table(entries) => {
                entries.iter_mut().any(|(_, value)| within(value, span, name))
                    || is_it && stand_in(entries, name)
            }
            DeValue::Array(items) => items.iter_mut().any(|item| within(item, span, name)),
            _ => false,
        }
    }
    table.get_mut().iter_mut().any(|(_, value)| within(value, span, name))
}

/// Takes away the value or the key at `span`, the innermost if there are several.
fn cut(
    table: &mut Spanned<DeTable<'_>>,
    span: &Range<usize>,
    damaged: &mut Vec<Range<usize>>,
) -> bool {
    let own_span = table.span();
    cut_entry(table.get_mut(), &own_span, span, damaged)
}

fn cut_entry(
    table: &mut DeTable<'_>,
    own_span: &Range<usize>,
    span: &Range<usize>,
    damaged: &mut Vec<Range<usize>>,
) -> bool {
    for (_, value) in table.iter_mut() {
        let value_span = value.span();
        let found = match value.get_mut() {
            DeValue::Table(inner) => cut_entry(inner, &value_span, span, damaged),
            DeValue::Array(items) => items.iter_mut().any(|item| {
                let item_span = item.span();
                match item.get_mut() {
                    DeValue::Table(inner) => cut_entry(inner, &item_span, span, damaged),
                    _ => false,
                }
            }),
            _ => false,
        };
        if found {
            return true;
        }
    }
    let is_there = |value: &Spanned<DeValue<'_>>| holds(value, span);
    let entry = table.iter().find(|(key, value)| key.span() == *span || is_there(value));
    let name = entry.map(|(key, _)| key.get_ref().to_string());
    let was_cut = name.is_some_and(|name| table.remove(name.as_str()).is_some());
    if was_cut {
        damaged.push(own_span.clone());
    }
    was_cut
}

/// Takes away the register, the vector or the entry of a section that holds `span`.
fn drop_around(root: &mut DeTable<'_>, span: &Range<usize>, lost: &mut Lost) -> bool {
    let Some((name, section)) = root.iter_mut().find(|(_, value)| holds(value, span)) else {
        return false;
    };
    lost.a_vector |= name.get_ref() == "vector";
    match section.get_mut() {
        DeValue::Array(items) => {
            let before = items.len();
            let (gone, kept): (Vec<_>, Vec<_>) = std::mem::replace(items, DeArray::new())
                .into_iter()
                .partition(|item| holds(item, span));
            *items = kept.into_iter().collect();
            lost.registers.extend(gone.iter().filter_map(key));
            items.len() < before
        }
        DeValue::Table(entries) => {
            let entry = entries.iter().find(|(_, value)| holds(value, span));
            let name = entry.map(|(key, _)| key.get_ref().to_string());
            name.is_some_and(|name| entries.remove(name.as_str()).is_some())
        }
        _ => false,
    }
}

/// Whether what is at `span` is `value` or in it.
fn holds(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    value.span() == *span
        || match value.get_ref() {
            DeValue::Table(entries) => entries.values().any(|value| holds(value, span)),
            DeValue::Array(items) => items.iter().any(|item| holds(item, span)),
            _ => false,
        }
}

/// What a register calls itself.
fn key(register: &Spanned<DeValue<'_>>) -> Option<String> {
    match register.get_ref() {
        DeValue::Table(entries) => entries.get("key")?.get_ref().as_str().map(str::to_owned),
        _ => None,
    }
}

/// Whoever has made a hundred mistakes reads no longer list.
const MOST: usize = 100;
