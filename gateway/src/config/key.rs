//! The keys of a file: what each takes, what holds without it, and what it is for.

use std::fmt;

/// A section of a file.
#[derive(Debug)]
pub(crate) struct Table {
    /// `bus`, without its brackets.
    pub(crate) name: &'static str,
    /// Whether it may stand in the file several times, as `[[bus]]`.
    pub(crate) repeats: bool,
    /// For the manual: what it is for.
    pub(crate) says: &'static str,
    /// In the order of the manual.
    pub(crate) keys: &'static [&'static Key],
}

impl Table {
    /// Whether `line` begins this section.
    pub(crate) fn opens(&self, line: &str) -> bool {
        let head = line.split('#').next().unwrap_or_default().trim();
        let inner = head.trim_start_matches('[').trim_end_matches(']').trim();
        head.starts_with('[') && inner == self.name
    }
}

impl fmt::Display for Table {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repeats { write!(f, "[[{}]]", self.name) } else { write!(f, "[{}]", self.name) }
    }
}

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    /// As written in the file, with its unit: `poll_every_secs`.
    pub(crate) name: &'static str,
    /// What may stand behind it.
    pub(crate) takes: Takes,
    /// What holds when it is left out.
    pub(crate) without: Without,
    /// For the manual: what it is for.
    pub(crate) says: &'static str,
}

/// What may stand behind a key.
#[derive(Debug)]
pub(crate) enum Takes {
    /// `true` or `false`.
    Flag,
    /// A UUID.
    Id,
    /// A whole number, from the first to the last.
    Number(u64, u64),
    /// One of these numbers.
    OneNumber(&'static [u64]),
    /// One of these words.
    OneWord(&'static [&'static str]),
    /// Text of a form of its own, which these words describe.
    Written(&'static str),
    /// 1 to 64 of `a-z`, `0-9` and `-`.
    Slug,
    /// Any text from one character up to this many.
    Text(usize),
}

impl fmt::Display for Takes {
    /// As in `… is not {takes}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::Id => f.write_str("an id like \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\""),
            Self::Number(least, most) => write!(f, "a number from {least} to {most}"),
            Self::OneNumber(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                write!(f, "one of {}", numbers.join(", "))
            }
            Self::OneWord(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::Written(form) => f.write_str(form),
            Self::Slug => f.write_str("a name of 1 to 64 of a-z, 0-9 and -"),
            Self::Text(most) => write!(f, "a text of 1 to {most} characters"),
        }
    }
}

/// What holds when a key is left out.
#[derive(Debug)]
pub(crate) enum Without {
    /// The file has a mistake.
    Mistake,
    /// This number.
    Number(u64),
    /// This word.
    Word(&'static str),
    /// Something that these words describe.
    Told(&'static str),
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake => f.write_str("must be given"),
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Word(word) => write!(f, "`\"{word}\"`"),
            Self::Told(words) => f.write_str(words),
        }
    }
}
