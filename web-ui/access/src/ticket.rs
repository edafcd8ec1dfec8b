//! Secrets that let in whoever has them: links for people and screens, tokens for programs.
//!
//! ```text
//! fyl_4cWm…   of a link, behind the # of an address, where no server and no log sees it
//! fyt_Qo7x…   of a token, in `Authorization: Bearer`
//! ```
//!
//! The first letters say what it is, so that one is never taken for the other, and so that
//! whoever looks for leaked secrets finds it.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use crate::{Act, Role, SecretHash};

/// A secret as it is shown, once: 192 random bits. It is kept as a hash.
pub struct Ticket(String);

impl Ticket {
    /// Of a link or a screen.
    pub fn link() -> Self {
        Self::new(LINK)
    }

    /// Of a token.
    pub fn token() -> Self {
        Self::new(TOKEN)
    }

    fn new(prefix: &str) -> Self {
        let random: [u8; 24] = rand::random();
        Self(format!("{prefix}{}", BASE64URL_NOPAD.encode(&random)))
    }

    /// As it is shown.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }

    /// What is kept of a link that is shown as `text`; `None` if no link is.
    pub fn hash_of_link(text: &str) -> Option<SecretHash> {
        text.starts_with(LINK).then(|| SecretHash::of(text.as_bytes()))
    }

    /// The same of a token.
    pub fn hash_of_token(text: &str) -> Option<SecretHash> {
        text.starts_with(TOKEN).then(|| SecretHash::of(text.as_bytes()))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

const LINK: &str = "fyl_";
const TOKEN: &str = "fyt_";

/// What a token may do of what its owner may: to look at least, and never who else may what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Vec<Act>);

impl Scope {
    /// Those of `acts` for a token of somebody with `role`. Looking is always among them.
    ///
    /// # Errors
    ///
    /// [`WrongScope`] with the first act that the token cannot be given.
    pub fn new(acts: &[Act], role: Role) -> Result<Self, WrongScope> {
        if let Some(act) = acts.iter().find(|act| **act == Act::Administer || !role.may(**act)) {
            return Err(WrongScope { act: *act, role });
        }
        Ok(Self::of(acts))
    }

    /// What a row says. What is not a token's is left out.
    pub fn of(acts: &[Act]) -> Self {
        let given = |act: &Act| *act == Act::See || acts.contains(act);
        let all = Act::ALL.into_iter().filter(|act| *act != Act::Administer && given(act));
        Self(all.collect())
    }

    /// Whether `act` is among them.
    pub fn allows(&self, act: Act) -> bool {
        self.0.contains(&act)
    }

    /// From the least to the most.
    pub fn acts(&self) -> &[Act] {
        &self.0
    }
}

/// A token cannot be given this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token of the role {role} cannot be given `{}`", act.as_str())]
pub struct WrongScope {
    /// What was asked for.
    pub act: Act,
    /// Of its owner.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_no_token_and_neither_is_shown_twice() {
        let (link, token) = (Ticket::link(), Ticket::token());
        assert_eq!(Ticket::hash_of_link(link.text()), Some(link.hash()));
        assert_eq!(Ticket::hash_of_token(token.text()), Some(token.hash()));
        assert_eq!(Ticket::hash_of_token(link.text()), None);
        assert_eq!(Ticket::hash_of_link(token.text()), None);
        assert_ne!(Ticket::link().hash(), link.hash());
        assert_eq!(link.text().len(), 36);
        assert_eq!(format!("{link:?}"), "Ticket(…)");
    }

    #[test]
    fn a_token_may_no_more_than_its_owner_and_never_let_others_in() {
        let scope = |acts: &[Act], role| Scope::new(acts, role).map(|it| it.acts().to_vec());
        assert_eq!(scope(&[], Role::Tenant), Ok(vec![Act::See]));
        assert_eq!(scope(&[Act::Ask], Role::Operator), Ok(vec![Act::See, Act::Ask]));
        for (act, role) in [(Act::Administer, Role::Owner), (Act::Configure, Role::Operator)] {
            assert_eq!(scope(&[act], role), Err(WrongScope { act, role }));
        }
        assert!(!Scope::of(&Act::ALL).allows(Act::Administer), "whatever a row says");
    }
}
