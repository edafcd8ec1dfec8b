//! What makes a user a link: whoever has its secret is let in, without a name and a password.
//!
//! ```text
//! made ──▶ open: /#fyl_… ──▶ a session for each browser that opens it     view, edit
//!                        └─▶ one session, and the link is spent           screen
//! made anew: another secret, and all sessions end        removed: all sessions end
//! ```

use access::{Role, SecretHash, Ticket};
use metering::{MeterId, UserId};
use serde::{Deserialize, Serialize};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkKind {
    /// To look.
    View,
    /// To set the gateway up, as an installer does.
    Edit,
    /// For one screen: the first that opens it.
    Screen,
}

impl LinkKind {
    /// As whom it lets in. Who is shown some meters is shown them as their tenant is.
    pub(crate) const fn role(self, meters: &[MeterId]) -> Role {
        match self {
            Self::View if !meters.is_empty() => Role::Tenant,
            Self::View | Self::Screen => Role::Wall,
            Self::Edit => Role::Installer,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Screen => "screen",
        }
    }

    pub(crate) const ALL: [Self; 3] = [Self::View, Self::Edit, Self::Screen];
}

/// A link as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) kind: LinkKind,
    /// Of its secret; `None` once a screen has opened it.
    pub(crate) hash: Option<SecretHash>,
    /// Who made it, by name.
    pub(crate) made_by: String,
    /// When it ends, if it does.
    pub(crate) ends_ms: Option<i64>,
    /// How often it was opened, and when last.
    pub(crate) uses: u64,
    pub(crate) used_ms: Option<i64>,
}

/// What stands in its user's `data`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinkData {
    kind: LinkKind,
    made_by: String,
    ends_ms: Option<i64>,
    uses: u64,
    used_ms: Option<i64>,
}

impl Link {
    /// A new one, and its secret.
    pub(crate) fn new(kind: LinkKind, made_by: String, ends_ms: Option<i64>) -> (Ticket, Self) {
        let secret = Ticket::link();
        let hash = Some(secret.hash());
        (secret, Self { kind, hash, made_by, ends_ms, uses: 0, used_ms: None })
    }

    /// Another secret for it. The one before is void.
    pub(crate) fn renew(&mut self) -> Ticket {
        let secret = Ticket::link();
        self.hash = Some(secret.hash());
        secret
    }

    /// Notes that it is opened at `now_ms`.
    pub(crate) fn open(&mut self, now_ms: i64) {
        self.uses = self.uses.saturating_add(1);
        self.used_ms = Some(now_ms);
        if self.kind == LinkKind::Screen {
            self.hash = None;
        }
    }

    pub(crate) fn has_ended(&self, now_ms: i64) -> bool {
        self.ends_ms.is_some_and(|ends| now_ms > ends)
    }

    /// What a link with this secret is called in the store. No person is: their names hold no
    /// control characters.
    pub(crate) fn open_name(hash: SecretHash) -> String {
        format!("{OPEN}{hash}")
    }

    pub(crate) fn row_name(&self, id: UserId) -> String {
        self.hash.map_or_else(|| format!("\u{1}spent {id}"), Self::open_name)
    }

    pub(crate) fn data(&self) -> LinkData {
        let Self { kind, made_by, ends_ms, uses, used_ms, .. } = self.clone();
        LinkData { kind, made_by, ends_ms, uses, used_ms }
    }

    pub(crate) fn of_data(data: LinkData, row_name: &str) -> Self {
        let LinkData { kind, made_by, ends_ms, uses, used_ms } = data;
        let hash = row_name.strip_prefix(OPEN).and_then(|hash| hash.parse().ok());
        Self { kind, hash, made_by, ends_ms, uses, used_ms }
    }
}

const OPEN: &str = "\u{1}link ";
