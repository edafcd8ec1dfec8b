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
pub mod kept;
mod key;
pub mod machine;
pub mod manual;
mod schedule;
pub mod site;

pub use check::Mistake;
pub use machine::Machine;
pub use schedule::PollEvery;
pub use site::{Bus, Cloud, LineProfile, Meter, Site};

/// Which of the two files a text is, told by the sections it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `fyrhus.toml`.
    Machine,
    /// `site.toml`.
    Site,
}

impl Kind {
    /// The kind with more of its own sections in `file`; a file with none of either is taken for
    /// the building's, because people write that one.
    pub fn of(file: &str) -> Self {
        let has = |sections: &[&key::Table]| {
            sections.iter().filter(|table| file.lines().any(|line| table.opens(line))).count()
        };
        if has(machine::TABLES) > has(site::TABLES) { Self::Machine } else { Self::Site }
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

    #[test]
    fn a_file_is_known_by_its_sections() {
        assert_eq!(Kind::of("[paths]\nstate = \"/var/lib/fyrhus\"\n"), Kind::Machine);
        assert_eq!(Kind::of("[site]\n\n[[bus]]\n[[meter]]\n"), Kind::Site);
        assert_eq!(Kind::of("  [ web ]  # comment\n"), Kind::Machine);
        assert_eq!(Kind::of(""), Kind::Site);
    }
}
