//! What makes a user a link: whoever has its secret is let in, without a name and a password.
//!
//! ```text
//! made ──▶ open: /#fyl_… ──▶ a session for each browser that opens it     view, edit
//!                        └─▶ one session, and the link is spent           screen
//! made anew: another secret, and all sessions end        removed: all sessions end
//! ```

use metering::{MeterId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Role, SecretHash, Ticket};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// To look.
    View,
    /// To set the gateway up, as an installer does.
    Edit,
    /// For one screen: the first that opens it.
    Screen,
}

impl LinkKind {
    /// As whom it lets in. Who is shown some meters is shown them as their tenant is.
    pub const fn role(self, meters: &[MeterId]) -> Role {
        match self {
            Self::View if !meters.is_empty() => Role::Tenant,
            Self::View | Self::Screen => Role::Wall,
            Self::Edit => Role::Installer,
        }
    }

    /// As in rows and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Screen => "screen",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::View, Self::Edit, Self::Screen];
}

/// A link as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub kind: LinkKind,
    /// Of its secret; `None` once a screen has opened it.
    pub hash: Option<SecretHash>,
    /// Who made it, by name.
    pub made_by: String,
    /// When it ends, if it does.
    pub ends_ms: Option<i64>,
    /// How often it was opened.
    pub uses: u64,
    /// When last, in milliseconds since 1970.
    pub used_ms: Option<i64>,
}

/// What is kept of a link in its user's row.
#[derive(Debug, Serialize, Deserialize)]
pub struct LinkData {
    kind: LinkKind,
    made_by: String,
    ends_ms: Option<i64>,
    uses: u64,
    used_ms: Option<i64>,
}

impl Link {
    /// A new one, and its secret.
    pub fn new(kind: LinkKind, made_by: String, ends_ms: Option<i64>) -> (Ticket, Self) {
        let secret = Ticket::link();
        let hash = Some(secret.hash());
        (secret, Self { kind, hash, made_by, ends_ms, uses: 0, used_ms: None })
    }

    /// Another secret for it. The one before is void.
    pub fn renew(&mut self) -> Ticket {
        let secret = Ticket::link();
        self.hash = Some(secret.hash());
        secret
    }

    /// Notes that it is opened at `now_ms`.
    pub fn open(&mut self, now_ms: i64) {
        self.uses = self.uses.saturating_add(1);
        self.used_ms = Some(now_ms);
        if self.kind == LinkKind::Screen {
            self.hash = None;
        }
    }

    /// Whether it opens nothing any more at `now_ms`.
    pub fn has_ended(&self, now_ms: i64) -> bool {
        self.ends_ms.is_some_and(|ends| now_ms > ends)
    }

    /// What a link with this secret is called in the store. No person is: their names hold no
    /// control characters.
    pub fn open_name(hash: SecretHash) -> String {
        format!("{OPEN}{hash}")
    }

    /// What it is called in the store. One that is spent has a name that no secret opens.
    pub fn row_name(&self, id: UserId) -> String {
        self.hash.map_or_else(|| format!("\u{1}spent {id}"), Self::open_name)
    }

    /// As it is kept.
    pub fn data(&self) -> LinkData {
        let Self { kind, made_by, ends_ms, uses, used_ms, .. } = self.clone();
        LinkData { kind, made_by, ends_ms, uses, used_ms }
    }

    /// What was kept under `row_name`.
    pub fn of_data(data: LinkData, row_name: &str) -> Self {
        let LinkData { kind, made_by, ends_ms, uses, used_ms } = data;
        let hash = row_name.strip_prefix(OPEN).and_then(|hash| hash.parse().ok());
        Self { kind, hash, made_by, ends_ms, uses, used_ms }
    }
}

const OPEN: &str = "\u{1}link ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_it_is_kept_and_a_screens_opens_once() {
        let id: UserId = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap();
        for kind in LinkKind::ALL {
            let (secret, mut link) = Link::new(kind, "kari".to_owned(), Some(9));
            assert_eq!(link.row_name(id), Link::open_name(secret.hash()));
            assert!(!link.has_ended(9) && link.has_ended(10));
            link.open(5);
            assert_eq!(Link::of_data(link.data(), &link.row_name(id)), link);
            assert_eq!(link.hash.is_none(), kind == LinkKind::Screen);
            let anew = link.renew();
            assert_eq!((link.hash, link.uses), (Some(anew.hash()), 1));
        }
    }
}
