//! The keys that sign the ledger: the device's, and those that took its place.
//!
//! ```text
//! keys/device.key     signs from the first entry on
//! keys/ledger-1.key   signs from the entry that names it on; the device's key signed that it may
//! keys/ledger-2.key   …
//! ```
//!
//! Which of them signs stands in the ledger itself. A key that no entry names, because the power went
//! in between, signs nothing.
//!
//! **Never true:** that a key goes away: what it signed is checked with it for as long as there is a ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ledger::chain::Chain;

use crate::keys;

/// All of them. Clones share them.
#[derive(Clone)]
pub(crate) struct LedgerKeys {
    folder: PathBuf,
    ring: Arc<RwLock<Vec<SigningKey>>>,
}

impl std::fmt::Debug for LedgerKeys {
    /// Never the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerKeys").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl LedgerKeys {
    /// Those of the gateway with this state directory and this key of the device. One that cannot be
    /// read is said in the log: a ledger that it signs gets no more checkpoints.
    pub(crate) fn open(state: &Path, device: &SigningKey) -> Self {
        let folder = state.join("keys");
        let mut ring = vec![device.clone()];
        for number in 1..=MOST {
            let file = file(&folder, number);
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, file = %file.display(), "a key of the ledger cannot be read");
                    continue;
                }
            };
            match SigningKey::from_pkcs8_pem(&text) {
                Ok(key) => ring.push(key),
                Err(_) => {
                    tracing::error!(file = %file.display(), "this is no Ed25519 key in PEM");
                }
            }
        }
        Self { folder, ring: Arc::new(RwLock::new(ring)) }
    }

    /// The key of the device: a ledger begins with it.
    pub(crate) fn first(&self) -> Option<SigningKey> {
        self.all().into_iter().next()
    }

    /// The one that signs what ends with the last entry of `chain`; `None` if it is not here.
    pub(crate) fn of(&self, chain: &Chain) -> Option<SigningKey> {
        let wanted = chain.key_at(chain.head().seq)?;
        self.all().into_iter().find(|key| key.verifying_key().to_bytes() == wanted)
    }

    /// Every one, the device's first.
    pub(crate) fn all(&self) -> Vec<SigningKey> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes one that no ledger names yet.
    ///
    /// # Errors
    ///
    /// What the file system says, or that a key could not be written down.
    pub(crate) fn make(&self) -> io::Result<SigningKey> {
        let key = SigningKey::from_bytes(&rand::random());
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let free = (1..=MOST).map(|number| file(&self.folder, number)).find(|file| !file.exists());
        let free = free.ok_or_else(|| io::Error::other("there is no name for a key"))?;
        keys::put(&free, &pem)?;
        ring.push(key.clone());
        Ok(key)
    }
}

/// A key is changed when somebody leaves, or a disk was in other hands.
const MOST: u32 = 100;

fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("ledger-{number}.key"))
}
