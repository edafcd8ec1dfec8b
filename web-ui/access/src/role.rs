//! Six roles, and what each may do.

use std::fmt;
use std::str::FromStr;

/// What a person or a screen is to the building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Answers for the building: everything, and who else may.
    Owner,
    /// Runs it from day to day.
    Operator,
    /// Connects meters and sets the gateway up.
    Installer,
    /// Looks at all of it, and changes nothing.
    Viewer,
    /// Rents a part of it, and sees the meters of that part.
    Tenant,
    /// A screen in the hall that anyone can look at, and nobody can use.
    Wall,
}

impl Role {
    /// Whether this role may do `act`.
    pub const fn may(self, act: Act) -> bool {
        match act {
            Act::See => true,
            Act::Inspect | Act::Ask => {
                matches!(self, Self::Owner | Self::Operator | Self::Installer)
            }
            Act::Configure => matches!(self, Self::Owner | Self::Installer),
            Act::Administer => matches!(self, Self::Owner),
        }
    }

    /// Whether it sees what a meter showed within an hour. By the quarter hour, how a flat is lived
    /// in can be read off its water; for a bill and for saving the hour is enough.
    pub const fn sees_within_hours(self) -> bool {
        !matches!(self, Self::Tenant)
    }

    /// What this role may do, in the order of [`Act::ALL`].
    pub fn acts(self) -> impl Iterator<Item = Act> {
        Act::ALL.into_iter().filter(move |act| self.may(*act))
    }

    /// As in the store, in the API and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Installer => "installer",
            Self::Viewer => "viewer",
            Self::Tenant => "tenant",
            Self::Wall => "wall",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Operator, Self::Installer, Self::Viewer, Self::Tenant, Self::Wall];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(40).collect()))
    }
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of owner, operator, installer, viewer, tenant, wall")]
pub struct UnknownRole(String);

/// A kind of thing that a person may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Look at the values of meters: a tenant those that are theirs, everyone else all.
    See,
    /// Look at how they come: buses, telegrams, the cloud.
    Inspect,
    /// Have a meter read now.
    Ask,
    /// Change what is installed, and where the readings go.
    Configure,
    /// Decide who may what.
    Administer,
}

impl Act {
    /// Whether it changes configuration, access or money, so that it needs a login that is
    /// [`Fresh`](crate::Standing::Fresh).
    pub const fn changes(self) -> bool {
        matches!(self, Self::Configure | Self::Administer)
    }

    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Inspect => "inspect",
            Self::Ask => "ask",
            Self::Configure => "configure",
            Self::Administer => "administer",
        }
    }

    /// All of them, from the least to the most.
    pub const ALL: [Self; 5] =
        [Self::See, Self::Inspect, Self::Ask, Self::Configure, Self::Administer];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_table_says() {
        let table: Vec<String> = Role::ALL
            .into_iter()
            .map(|role| {
                let acts: Vec<_> = role.acts().map(Act::as_str).collect();
                format!("{role}: {}", acts.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "owner: see inspect ask configure administer",
                "operator: see inspect ask",
                "installer: see inspect ask configure",
                "viewer: see",
                "tenant: see",
                "wall: see",
            ]
        );
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!(
            "admin".parse::<Role>().unwrap_err().to_string(),
            "`admin` is not one of owner, operator, installer, viewer, tenant, wall"
        );
    }
}
