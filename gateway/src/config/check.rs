//! Reads a file past what is wrong with it, and keeps account of that.

use std::fmt;

use toml::de::{DeTable, DeValue};
use uuid::Uuid;

use super::key::{Key, Table, Takes, Without};

/// The largest file that is looked at: a building of 2000 meters fills half of it.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// More mistakes than anyone reads; a file of another kind has thousands.
const MAX_MISTAKES: usize = 200;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, counted from 1.
    pub line: usize,
    /// What was found, what is allowed, and what to do.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.advice)
    }
}

/// A section of the file, the byte it starts at, and the keys it may have.
#[derive(Clone, Copy)]
pub(crate) struct Section<'v> {
    values: &'v DeTable<'v>,
    pub(crate) at: usize,
    table: &'static Table,
}

impl Section<'_> {
    /// Where `key` stands, or the section where it does not.
    pub(crate) fn place(&self, key: &Key) -> usize {
        self.values.get(key.name).map_or(self.at, |value| value.span().start)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.values.contains_key(key.name)
    }
}

/// The account.
pub(crate) struct Check<'a> {
    file: &'a str,
    mistakes: Vec<(usize, String)>,
}

impl<'a> Check<'a> {
    /// Parses `file` and lets `read` make something of its sections.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines, up to [`MAX_MISTAKES`].
    pub(crate) fn file<T>(
        file: &'a str,
        tables: &[&'static Table],
        read: impl FnOnce(&mut Self, Root<'_>) -> Option<T>,
    ) -> Result<T, Vec<Mistake>> {
        let mut check = Self { file, mistakes: Vec::new() };
        if file.len() > MAX_BYTES {
            check.mistake(0, format!("the file is larger than {MAX_BYTES} bytes: is it this one?"));
            return Err(check.told());
        }
        let (root, errors) = DeTable::parse_recoverable(file);
        for error in errors {
            check.mistake(error.span().unwrap_or_default().start, error.message().to_owned());
        }
        for key in root.get_ref().keys() {
            let name = key.get_ref().as_ref();
            if !tables.iter().any(|table| table.name == name) {
                let known: Vec<&str> = tables.iter().map(|table| table.name).collect();
                let hint = nearest(name, &known).map_or_else(
                    || format!("this file has {}", joined(tables)),
                    |near| format!("did you mean `{near}`?"),
                );
                check.mistake(key.span().start, format!("section `{name}` is not known: {hint}"));
            }
        }
        let whole = read(&mut check, Root { values: root.get_ref() });
        match whole {
            Some(whole) if check.mistakes.is_empty() => Ok(whole),
            _ => Err(check.told()),
        }
    }

    /// The account so far, sorted by line.
    fn told(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(at, _)| *at);
        let beyond = self.mistakes.len().saturating_sub(MAX_MISTAKES);
        self.mistakes.truncate(MAX_MISTAKES);
        let mut told = Vec::with_capacity(self.mistakes.len());
        let (mut line, mut seen) = (1, 0);
        for (at, advice) in self.mistakes {
            let between = self.file.get(seen..at).unwrap_or_default();
            line += between.matches('\n').count();
            seen = seen.max(at.min(self.file.len()));
            told.push(Mistake { line, advice });
        }
        if beyond > 0 {
            told.push(Mistake { line, advice: format!("and {beyond} mistakes more below") });
        }
        told
    }

    pub(crate) fn mistake(&mut self, at: usize, advice: String) {
        self.mistakes.push((at, advice));
    }

    /// The line that byte `at` is on.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.file.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    /// A number; `None` if there is none that holds.
    pub(crate) fn number(&mut self, section: Section<'_>, key: &Key) -> Option<u64> {
        let Some(value) = self.value(section, key) else {
            return match key.without {
                Without::Number(number) => Some(number),
                _ => None,
            };
        };
        let number = (value.as_integer())
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok());
        let near = match (&key.takes, number) {
            (Takes::Number(least, most), Some(number)) if (*least..=*most).contains(&number) => {
                return Some(number);
            }
            (Takes::OneNumber(numbers), Some(number)) if numbers.contains(&number) => {
                return Some(number);
            }
            // Whoever asks knows which.
            (Takes::Written(_), Some(number)) => return Some(number),
            (Takes::OneNumber(numbers), _) => {
                let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                nearest(self.found(section, key).trim_matches('"'), &texts).map(str::to_owned)
            }
            _ => None,
        };
        self.refuse(section, key, near);
        None
    }

    /// A text; `None` if there is none that holds.
    pub(crate) fn text<'v>(&mut self, section: Section<'v>, key: &Key) -> Option<&'v str> {
        let Some(value) = self.value(section, key) else {
            return match key.without {
                Without::Word(word) => Some(word),
                _ => None,
            };
        };
        let text = value.as_str();
        let holds = |text: &str| match &key.takes {
            Takes::OneWord(words) => words.contains(&text),
            Takes::Slug => is_slug(text),
            Takes::Text(most) => {
                !text.trim().is_empty()
                    && text.chars().count() <= *most
                    && !text.chars().any(char::is_control)
            }
            Takes::Id => Uuid::try_parse(text).is_ok(),
            _ => !text.is_empty(),
        };
        let near = match (&key.takes, text) {
            (_, Some(text)) if holds(text) => return Some(text),
            (Takes::OneWord(words), Some(text)) => {
                nearest(text, words).map(|near| format!("\"{near}\""))
            }
            (Takes::Slug, Some(text)) => slug(text).map(|near| format!("\"{near}\"")),
            _ => None,
        };
        self.refuse(section, key, near);
        None
    }

    /// A list of at most eight texts; empty if there is none. `None` if it is something else.
    pub(crate) fn texts(&mut self, section: Section<'_>, key: &Key) -> Option<Vec<String>> {
        let Some(value) = self.value(section, key) else { return Some(Vec::new()) };
        let texts = value.as_array().and_then(|array| {
            let texts = array.iter().map(|text| text.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().filter(|texts| texts.len() <= 8)
        });
        if texts.is_none() {
            self.refuse(section, key, None);
        }
        texts
    }

    /// `true` only if the file says so.
    pub(crate) fn flag(&mut self, section: Section<'_>, key: &Key) -> bool {
        match self.value(section, key).map(DeValue::as_bool) {
            Some(Some(flag)) => flag,
            Some(None) => {
                self.refuse(section, key, None);
                false
            }
            None => false,
        }
    }

    fn value<'v>(&mut self, section: Section<'v>, key: &Key) -> Option<&'v DeValue<'v>> {
        let value = section.values.get(key.name);
        if value.is_none() && matches!(key.without, Without::Mistake) {
            let advice = format!("`{}` is missing in {}: {}", key.name, section.table, key.takes);
            self.mistake(section.at, advice);
        }
        value.map(toml::Spanned::get_ref)
    }

    /// Says that what stands behind `key` is not what it takes.
    pub(crate) fn refuse(&mut self, section: Section<'_>, key: &Key, near: Option<String>) {
        let found = self.found(section, key);
        if found.is_empty() {
            return; // Nothing stands there, and the parser has said so.
        }
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let advice = format!("{} = {found} is not {}{hint}", key.name, key.takes);
        self.mistake(section.place(key), advice);
    }

    /// What stands behind `key`, as written, cut where it gets long.
    fn found(&self, section: Section<'_>, key: &Key) -> String {
        let value = section.values.get(key.name);
        let written = value.and_then(|value| self.file.get(value.span())).unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        let mut found: String = line.chars().take(60).collect();
        if found.len() < written.len() {
            found.push('…');
        }
        found
    }

    fn keys(&mut self, section: Section<'_>) {
        let known: Vec<&str> = section.table.keys.iter().map(|key| key.name).collect();
        for key in section.values.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let hint = nearest(name, &known).map_or_else(
                    || format!("it has {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let advice = format!("`{name}` is not a key of {}: {hint}", section.table);
                self.mistake(key.span().start, advice);
            }
        }
    }
}

/// The whole file.
#[derive(Clone, Copy)]
pub(crate) struct Root<'v> {
    values: &'v DeTable<'v>,
}

impl<'v> Root<'v> {
    /// Whether the file has `table`, in whatever form.
    pub(crate) fn has(self, table: &Table) -> bool {
        self.values.contains_key(table.name)
    }

    /// The one section `table`; `None` if the file has none.
    pub(crate) fn section(
        self,
        check: &mut Check<'_>,
        table: &'static Table,
    ) -> Option<Section<'v>> {
        let value = self.values.get(table.name)?;
        let Some(values) = value.get_ref().as_table() else {
            check.mistake(value.span().start, format!("`{}` is written {table}, once", table.name));
            return None;
        };
        let section = Section { values, at: value.span().start, table };
        check.keys(section);
        Some(section)
    }

    /// Every section `table`, in the order of the file.
    pub(crate) fn sections(self, check: &mut Check<'_>, table: &'static Table) -> Vec<Section<'v>> {
        let Some(value) = self.values.get(table.name) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let advice = format!("write {table} with two brackets: there may be several");
            check.mistake(value.span().start, advice);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in array {
            match value.get_ref().as_table() {
                Some(values) => {
                    let section = Section { values, at: value.span().start, table };
                    check.keys(section);
                    sections.push(section);
                }
                None => check.mistake(value.span().start, format!("this is no {table}")),
            }
        }
        sections
    }
}

fn joined(tables: &[&'static Table]) -> String {
    tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The slug that someone who wrote `text` may have meant.
fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in text.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => slug.push(letter),
            'æ' | 'ä' => slug.push_str("ae"),
            'ø' | 'ö' => slug.push_str("oe"),
            'å' => slug.push_str("aa"),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    let slug = slug.trim_matches('-').to_owned();
    is_slug(&slug).then_some(slug)
}

/// The one of `known` that `text` is most likely a slip for, if it is near enough to any.
///
/// Two slips at most, and in short words fewer: `meter` is not a slip for `site`.
pub(crate) fn nearest<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = match text.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let by_slips = known.iter().map(|known| (slips(text, known), *known));
    by_slips.filter(|(slips, _)| *slips <= allowed).min_by_key(|(slips, _)| *slips).map(|it| it.1)
}

/// How many letters have to be put in, left out, changed or swapped with their neighbour to make
/// `one` of `other` (optimal string alignment), regardless of case.
fn slips(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().take(80).collect();
    let other: Vec<char> = other.to_lowercase().chars().take(80).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut here = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX / 2);
            let changed = cell(&above, column) + usize::from(letter != wanted);
            let left_out = cell(&above, column + 1) + 1;
            let put_in = cell(&here, column) + 1;
            let swapped = match (row.checked_sub(1), column.checked_sub(1)) {
                (Some(row), Some(column))
                    if one.get(row) == Some(wanted) && other.get(column) == Some(letter) =>
                {
                    cell(&before, column) + 1
                }
                _ => usize::MAX,
            };
            here.push(changed.min(left_out).min(put_in).min(swapped));
        }
        before = std::mem::replace(&mut above, here);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["poll_every_secs", "port", "parity", "baud", "name"];
        assert_eq!(nearest("pol_every_secs", &keys), Some("poll_every_secs"));
        assert_eq!(nearest("partiy", &keys), Some("parity"));
        assert_eq!(nearest("Baud", &keys), Some("baud"));
        assert_eq!(nearest("interval", &keys), None);
        assert_eq!(nearest("x", &keys), None);
        assert_eq!(nearest("240", &["300", "2400", "9600"]), Some("2400"));
    }

    #[test]
    fn a_title_makes_a_slug() {
        assert_eq!(slug("Stigeledning Å").as_deref(), Some("stigeledning-aa"));
        assert_eq!(slug("---"), None);
    }
}
