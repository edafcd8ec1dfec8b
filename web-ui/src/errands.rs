//! What the portfolio asks of this gateway, and what the people here say to it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a person here wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrandOrder {
    /// To know how things stand.
    Tell,
    /// That it is done, once.
    Allow {
        /// Which.
        id: Uuid,
        /// Who says so, by name.
        who: String,
    },
    /// That it is not done.
    Refuse {
        /// Which.
        id: Uuid,
        /// Who says so, by name.
        who: String,
    },
    /// That what will be asked is done, or not, or that somebody here is asked each time.
    Leave {
        /// Of a diagnosis; `None` leaves it as it is.
        diagnosis: Option<Leave>,
        /// Of a change of the configuration; `None` leaves it as it is.
        configuration: Option<Leave>,
        /// Who says so, by name.
        who: String,
    },
}

/// What the people here leave to the portfolio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leave {
    /// Somebody here is asked each time.
    #[default]
    Ask,
    /// Everything.
    Always,
    /// Nothing.
    Never,
}

impl Leave {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ask, Self::Always, Self::Never];

    /// As in the store and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

/// How things stand after an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errands {
    /// What is left to the portfolio of diagnoses.
    pub diagnosis: Leave,
    /// What is left to it of changes of the configuration.
    pub configuration: Leave,
    /// What is asked, and what was since the start, the newest first.
    pub asked: Vec<Errand>,
}

/// Something that the portfolio asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Its name for ever.
    pub id: Uuid,
    /// `diagnosis`, `dry_run` or `change`, or `unknown` to this version.
    pub kind: &'static str,
    /// Who asks, by the name that the portfolio knows them under.
    pub who: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// `waiting`, `going`, `done`, `refused`, `failed`, `withdrawn` or `expired`.
    pub state: &'static str,
    /// Why it failed, in English; empty if it did not.
    pub said: String,
    /// Of a change, the lines of the configuration that are other; otherwise empty.
    pub lines: String,
}

/// Why an order was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotObeyed {
    /// Nothing of this name waits for an answer any more.
    Over,
    /// It cannot be kept.
    Store,
}
