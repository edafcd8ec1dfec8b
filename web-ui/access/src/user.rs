//! People, and what each of them sees.

use std::fmt;
use std::str::FromStr;

use metering::{MeterId, UserId};

use crate::{Act, Role};

/// Somebody, or some screen, that may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Stays when the name changes.
    pub id: UserId,
    /// What they log in as. No two users have the same.
    pub name: UserName,
    /// What they are to the building.
    pub role: Role,
    /// The meters of a tenant. Every other role sees all, whatever stands here.
    pub meters: Vec<MeterId>,
}

impl User {
    /// Whether they may do `act`.
    pub const fn may(&self, act: Act) -> bool {
        self.role.may(act)
    }

    /// Whether they may see the values of `meter`.
    pub fn sees(&self, meter: MeterId) -> bool {
        self.role != Role::Tenant || self.meters.contains(&meter)
    }
}

/// What a person logs in as: 1 to 64 characters, none of them a control character, without blanks
/// at the ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// As the person wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In the form in which no two may be alike: capitals do not tell names apart.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    /// Blanks at the ends are dropped.
    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let text = text.trim();
        let long = text.chars().count() > 64;
        if text.is_empty() || long || text.chars().any(char::is_control) {
            return Err(InvalidUserName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 characters, none of them a control character")]
pub struct InvalidUserName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sees_their_meters_and_everyone_else_all() {
        let [theirs, other] =
            ["019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77", "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e78"]
                .map(|id| id.parse::<MeterId>().unwrap());
        for role in Role::ALL {
            let id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e79".parse().unwrap();
            let name = "per".parse().unwrap();
            let user = User { id, name, role, meters: vec![theirs] };
            assert!(user.sees(theirs));
            assert_eq!(user.sees(other), role != Role::Tenant, "{role}");
        }
    }

    #[test]
    fn capitals_and_blanks_make_no_other_name() {
        let name: UserName = "  Kari Moen ".parse().unwrap();
        assert_eq!(name.as_str(), "Kari Moen");
        assert_eq!(name.folded(), "KARI MOEN".parse::<UserName>().unwrap().folded());
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for wrong in ["", "  ", "a\nb", "a\u{0}", "x".repeat(65).as_str()] {
            assert_eq!(wrong.parse::<UserName>(), Err(InvalidUserName), "{wrong:?}");
        }
        assert!("å".repeat(64).parse::<UserName>().is_ok());
    }
}
