//! The first run: whoever has the one-time code becomes the owner.
//!
//! ```text
//! start without a user ──open_claim──▶ code, shown on the terminal or the display, kept as a hash
//!                                        │ POST /claim within the hour
//!                                        ▼
//!                                      owner; the code is spent
//! ```
//!
//! A gateway that nobody claimed within the hour says so, and is started again for another code:
//! whoever can do that stands before it.

use access::{Issued, OneTimeCode};
use metering::Clock;
use store::{Core, StoreError};

/// Opens the claim of a gateway that has no user yet: makes a fresh code, good for an hour from
/// now, and returns it to be shown. The code before it is void.
///
/// `None` once the gateway has a user. Call it at every start.
///
/// # Errors
///
/// [`StoreError`] if the core database cannot be read or written.
pub async fn open_claim(core: &Core, clock: &dyn Clock) -> Result<Option<String>, StoreError> {
    if !core.users().await?.is_empty() {
        core.remove_setting(SETTING).await?;
        return Ok(None);
    }
    let code = OneTimeCode::new();
    let Issued { hash, at } = code.issued(&clock.now());
    core.put_setting(SETTING, format!("{hash} {at}")).await?;
    Ok(Some(code.text()))
}

/// The code that is open, if one is.
pub(crate) async fn open(core: &Core) -> Result<Option<Issued>, StoreError> {
    let kept = core.setting(SETTING).await?;
    Ok(kept.as_deref().and_then(|kept| {
        let (hash, at) = kept.split_once(' ')?;
        Some(Issued { hash: hash.parse().ok()?, at: at.parse().ok()? })
    }))
}

/// Forgets the code: it is spent.
pub(crate) async fn close(core: &Core) -> Result<(), StoreError> {
    core.remove_setting(SETTING).await
}

const SETTING: &str = "claim";
