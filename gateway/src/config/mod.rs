//! What people decide, in two files: `fyrhus.toml`, the machine, and `site.toml`, the building.
//!
//! A file is parsed with the place of every value and then checked as a whole, so that whoever
//! wrote it hears of all mistakes at once, each with its line and what to write instead. What has
//! loaded is right and is not checked again. The tables of keys in [`machine`] and [`site`] hold
//! every name, limit and default, and nothing else does: the parser asks them, the messages quote
//! them, and the manual is printed from them.
//!
//! A file that does not load never stops the daemon: it goes on with the last good one, of which
//! it [keeps](kept) a copy, or starts in commissioning mode. `fyrhus check-config` refuses the
//! file before it is put in place.

mod check;
mod keep;
pub mod kept;
mod key;
mod least;
pub mod machine;
pub mod manual;
mod schedule;
pub mod site;

use std::cmp::Ordering;
use std::ffi::OsStr;

pub use check::Mistake;
pub use keep::Keep;
pub use least::Raised;
pub use machine::Machine;
pub use schedule::PollEvery;
pub use site::{
    Bms, BrokerLogin, Bus, Cloud, LineProfile, Meter, OwnBroker, Publish, Radio, Site, WireKind,
};

/// Which of the two files a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `fyrhus.toml`.
    Machine,
    /// `site.toml`.
    Site,
}

impl Kind {
    /// The kind with more of its own sections in `text`. One with none of either is known by its
    /// file's `name`, and where that tells nothing it is taken for the building's, because people
    /// write that one. `None` if there is nothing in it to judge: any name but those two of an
    /// empty file.
    pub fn of(text: &str, name: Option<&OsStr>) -> Option<Self> {
        let has = |sections: &[&key::Table]| {
            sections.iter().filter(|table| text.lines().any(|line| table.opens(line))).count()
        };
        match has(machine::TABLES).cmp(&has(site::TABLES)) {
            Ordering::Greater => return Some(Self::Machine),
            Ordering::Less => return Some(Self::Site),
            Ordering::Equal => {}
        }
        let named = [Self::Machine, Self::Site]
            .into_iter()
            .find(|kind| name == Some(OsStr::new(kind.file_name())));
        let says_something = |line: &str| !matches!(line.trim().bytes().next(), None | Some(b'#'));
        named.or_else(|| text.lines().any(says_something).then_some(Self::Site))
    }

    /// What the file is called where it is in force.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Machine => "fyrhus.toml",
            Self::Site => "site.toml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, expected: Option<Kind>) {
        assert_eq!(Kind::of(text, Some(OsStr::new(name))), expected);
    }

    #[test]
    fn a_file_is_known_by_its_sections() {
        check("[paths]\nstate = \"/var/lib/fyrhus\"\n", "site.toml", Some(Kind::Machine));
        check("[site]\n\n[[bus]]\n[[meter]]\n", "fyrhus.toml", Some(Kind::Site));
        check("  [ web ]  # comment\n", "new.toml", Some(Kind::Machine));
        check("[sitee]\n", "new.toml", Some(Kind::Site));
    }

    #[test]
    fn a_file_without_sections_is_known_by_its_name_alone() {
        for text in ["", "\n", "# only a remark\n  # and another\n"] {
            check(text, "fyrhus.toml", Some(Kind::Machine));
            check(text, "site.toml", Some(Kind::Site));
            check(text, "site.toml.new", None);
        }
    }
}
