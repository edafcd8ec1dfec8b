//! A change of the portfolio's that is in force and not confirmed. It is kept, so that it is taken back after
//! a power cut, too.
//!
//! ```text
//!  kept ─▶ saved ─▶ in force ─┬─ portfolio reached, still wanted ─▶ confirmed ─ portfolio has heard it ─▶ forgotten
//!    │       │                └─ time over, taken back there ─────▶ what was before is saved as the newest
//!    └───────┴─ power cut: whether the change is in force is seen by the text that is
//! ```

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Core, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;
use web_ui::{Handles, NotSaved, Wish};

/// A change in force.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) kept: Kept,
    /// Until when the portfolio has to be reached.
    pub(super) until: Instant,
    /// Why it goes back at once: it could not be saved, or not wholly.
    failed: Option<String>,
}

/// What has to be known of it after a power cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Of which errand.
    pub(super) errand: Uuid,
    /// The version that was in force before.
    pub(super) base: u64,
    /// SHA-256 of the changed configuration, in hex.
    sha256: String,
    /// How often the gateway was started since.
    starts: u32,
    /// The version that came of it; 0 while nobody knows.
    #[serde(default)]
    pub(super) version: u64,
    /// It stays. Kept until the portfolio has heard so.
    #[serde(default)]
    confirmed: bool,
    /// Who wanted it.
    pub(super) who: String,
}

/// What was found at a start.
#[derive(Debug)]
pub(super) enum Found {
    /// No change was under way.
    Nothing,
    /// It is in force, and not confirmed.
    InForce(Trial),
    /// It was confirmed, and the portfolio may not have heard so.
    Confirmed(Kept),
    /// The power failed before it was, or somebody has saved another configuration since.
    Gone(Kept),
}

/// Why what was before is not in force again.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBack {
    /// To be tried again.
    #[error("the configuration from before the change cannot be saved: {0}")]
    NotNow(String),
    /// What is there stays.
    #[error("the change stays: {0}")]
    Never(String),
}

impl Trial {
    pub(super) fn new(errand: Uuid, base: u64, text: &str, who: String, within: Duration) -> Self {
        let sha256 = hash(text);
        let kept = Kept { errand, base, sha256, starts: 0, version: 0, confirmed: false, who };
        Self { kept, until: Instant::now() + within, failed: None }
    }

    /// As one that was not saved, as far as anybody knows.
    pub(super) fn failed(self, why: String) -> Self {
        Self { until: Instant::now(), failed: Some(why), ..self }
    }

    /// Why it has to go back now, if it has to.
    pub(super) fn is_over(&self) -> Option<String> {
        let late = || "the portfolio was not reached after the change".to_owned();
        self.left().is_zero().then(|| self.failed.clone().unwrap_or_else(late))
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Before the change is made: what a power cut leaves is then known for what it is.
    pub(super) async fn keep(&self, core: &Core) -> Result<(), StoreError> {
        let text = serde_json::to_string(&self.kept).unwrap_or_default();
        core.put_setting(SETTING, text).await
    }

    /// It stays, after a power cut, too.
    pub(super) async fn confirm(&self, core: &Core) -> Result<(), StoreError> {
        let kept = Kept { confirmed: true, ..self.kept.clone() };
        Self { kept, ..self.clone() }.keep(core).await
    }

    pub(super) async fn forget(core: &Core) -> Result<(), StoreError> {
        core.put_setting(SETTING, String::new()).await
    }

    /// What was kept. Its time begins anew, because nobody knows for how long the machine was off; but one
    /// with which the gateway does not stay up is over.
    pub(super) async fn find(core: &Core) -> Result<Found, StoreError> {
        let kept = core.setting(SETTING).await?.unwrap_or_default();
        let Ok(mut kept) = serde_json::from_str::<Kept>(&kept) else { return Ok(Found::Nothing) };
        if kept.confirmed {
            return Ok(Found::Confirmed(kept));
        }
        let current = core.current_version().await?;
        let Some(current) = current.filter(|it| hash(&it.text) == kept.sha256) else {
            return Ok(Found::Gone(kept));
        };
        kept.version = current.number;
        kept.starts = kept.starts.saturating_add(1);
        let within = if kept.starts < MOST_STARTS { AFTER_START } else { Duration::ZERO };
        let trial = Self { kept, until: Instant::now() + within, failed: None };
        trial.keep(core).await?;
        Ok(Found::InForce(trial))
    }

    /// Puts what was before in force again; the version that it is now. One that never came to be is back.
    pub(super) async fn roll_back(&self, core: &Core, handles: &Handles) -> Result<u64, NotBack> {
        let base = self.kept.base;
        let not_now = |error: StoreError| NotBack::NotNow(crate::chain(&error));
        let current = core.current_version().await.map_err(not_now)?;
        let another =
            || NotBack::Never("somebody has saved another configuration since".to_owned());
        let current = current.ok_or_else(another)?;
        if current.number == base {
            return Ok(base);
        }
        let before = core.version(base).await.map_err(not_now)?;
        let before = before.ok_or_else(|| NotBack::Never("what was before is not kept".into()))?;
        // Going back may have failed half-way, too: then its version is there, and its file is not.
        if hash(&current.text) != self.kept.sha256 && current.text != before.text {
            return Err(another());
        }
        let (who, why) = ("gateway".to_owned(), format!("back to version {base}"));
        match save(handles, before.text, current.number, who, why).await {
            Ok(version) => Ok(version),
            Err(NotSaved::Failed(why)) => Err(NotBack::NotNow(why)),
            Err(other) => Err(NotBack::Never(sentence(other))),
        }
    }
}

/// Has the daemon take `text` over in the place of the version `expected`.
pub(super) async fn save(
    handles: &Handles,
    text: String,
    expected: u64,
    who: String,
    why: String,
) -> Result<u64, NotSaved> {
    let (reply, answer) = oneshot::channel();
    let stopping = || NotSaved::Failed("the gateway is stopping".to_owned());
    let wish = Wish::SaveSite { text, expected, who, why, reply };
    handles.wishes.send(wish).await.map_err(|_| stopping())?;
    answer.await.unwrap_or_else(|_| Err(stopping()))
}

/// Why a configuration was not saved.
pub(super) fn sentence(because: NotSaved) -> String {
    match because {
        NotSaved::Mistakes(mistakes) => {
            let first = mistakes.first().map(|it| it.advice.as_str()).unwrap_or_default();
            format!("the configuration would be wrong: {first}")
        }
        // The portfolio hears it: who that was is told here alone.
        NotSaved::Changed { version, .. } => {
            format!("version {version} of the configuration was saved in the meantime")
        }
        NotSaved::Failed(why) => why,
    }
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

const SETTING: &str = "errand_trial";

/// After a start: the line may come up later than the gateway.
const AFTER_START: Duration = Duration::from_mins(10);

/// A gateway that was started so often with a change and never got to confirm it, goes back at once.
const MOST_STARTS: u32 = 3;

#[cfg(test)]
mod tests {
    use store::testing;

    use super::*;

    const BEFORE: &str = "name = \"before\"";
    const AFTER: &str = "name = \"after\"";

    fn trial() -> Trial {
        Trial::new(Uuid::nil(), 1, AFTER, "kari".to_owned(), Duration::from_mins(10))
    }

    async fn save(core: &Core, text: &str) {
        let (who, why) = ("a".to_owned(), "b".to_owned());
        core.save_version(text.to_owned(), who, why, None, testing::sign()).await.unwrap();
    }

    #[tokio::test]
    async fn after_a_power_cut_it_is_seen_whether_the_change_is_in_force() {
        let day = testing::empty().unwrap();
        let core = day.store.core();
        assert!(matches!(Trial::find(&core).await.unwrap(), Found::Nothing));
        save(&core, BEFORE).await;

        // Between keeping and saving; nothing has changed.
        trial().keep(&core).await.unwrap();
        assert!(matches!(Trial::find(&core).await.unwrap(), Found::Gone(kept) if kept.base == 1));

        // After saving, whatever the number of the version is by now.
        save(&core, BEFORE).await;
        save(&core, AFTER).await;
        let found = Trial::find(&core).await.unwrap();
        let Found::InForce(found) = found else { panic!("{found:?}") };
        assert!(found.left() > Duration::from_mins(9), "{:?}", found.left());
        assert_eq!((found.kept.base, found.kept.who.as_str()), (1, "kari"));

        // The power failed as it was taken back: the file was the changed one, and is in force again.
        save(&core, BEFORE).await;
        save(&core, AFTER).await;
        assert!(matches!(Trial::find(&core).await.unwrap(), Found::InForce(_)));

        save(&core, "name = \"another\"").await;
        assert!(matches!(Trial::find(&core).await.unwrap(), Found::Gone(_)));
        Trial::forget(&core).await.unwrap();
        assert!(matches!(Trial::find(&core).await.unwrap(), Found::Nothing));
    }

    #[tokio::test]
    async fn a_change_with_which_the_gateway_does_not_stay_up_is_over_at_once() {
        let day = testing::empty().unwrap();
        let core = day.store.core();
        save(&core, AFTER).await;
        trial().keep(&core).await.unwrap();
        for is_over in [false, false, true, true] {
            let found = Trial::find(&core).await.unwrap();
            let Found::InForce(found) = found else { panic!("{found:?}") };
            assert_eq!(found.left().is_zero(), is_over, "{found:?}");
        }
    }
}
