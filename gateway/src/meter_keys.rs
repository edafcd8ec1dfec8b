//! The keys of meters that encrypt what they say: entered once, used, and never shown again.
//!
//! ```text
//! keys/meters   67001122KAM 00112233445566778899AABBCCDDEEFF
//!               5706567326590407 0011…EEFF AABB…9988      encryption, authentication
//! ```
//!
//! The file is in the folder of the gateway's own keys, for its user alone; a command that is run by
//! root gives it to that user. The running gateway sees within seconds that it has changed.
//!
//! **Never true:** a key is printed, logged, sent to a page or to the cloud, or part of an error. Who
//! takes the disk takes the keys: without a TPM nothing can be done about that.

mod csv;
mod kem;
mod orders;

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXUPPER;
use drivers::{KeyName, Keyring, MeterKeys};
use tokio::sync::watch;

/// Takes keys out of what a supplier sent: a table (CSV), or an order of Kamstrup's (KEM), which
/// `password` opens.
///
/// # Errors
///
/// What is wrong with it. No error has a key in it.
pub(crate) fn read_file(
    bytes: &[u8],
    password: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<Vec<(KeyName, MeterKeys)>> {
    if kem::is_one(bytes) {
        return kem::read(bytes, &password()?);
    }
    csv::read(bytes)
}

/// The keys that are kept in the state directory; none if none were ever entered.
///
/// # Errors
///
/// If the file is there and is not such a file.
pub(crate) fn load(state: &Path) -> Result<Keyring, MeterKeysError> {
    let file = path(state);
    let failed = |cause| MeterKeysError::Io { file: file.clone(), cause };
    let opened = match fs::File::open(&file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keyring::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    opened.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    let mut ring = Keyring::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let broken = || MeterKeysError::Broken { file: file.clone(), line: index + 1 };
        let (name, keys) = entry(line).ok_or_else(broken)?;
        ring.put(name, keys);
    }
    Ok(ring)
}

fn entry(line: &str) -> Option<(KeyName, MeterKeys)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.parse().ok()?;
    let encryption = words.next()?.parse().ok()?;
    let authentication = words.next().map(str::parse).transpose().ok()?;
    let whole = words.next().is_none();
    whole.then_some((name, MeterKeys { encryption, authentication }))
}

/// Keeps `ring` instead of what was kept.
///
/// # Errors
///
/// If it cannot be written; what was there before then still is.
pub(crate) fn save(state: &Path, ring: &Keyring) -> Result<(), MeterKeysError> {
    let file = path(state);
    let failed = |cause| MeterKeysError::Io { file: file.clone(), cause };
    if ring.len() > MOST_METERS {
        return Err(MeterKeysError::TooMany(ring.len()));
    }
    let mut text =
        "# The keys of meters. Secret: `fyrhus keys` changes them, nothing shows them.\n"
            .to_owned();
    for (name, keys) in ring.iter() {
        text.push_str(name.as_str());
        for key in [Some(keys.encryption), keys.authentication].into_iter().flatten() {
            text.push(' ');
            text.push_str(&HEXUPPER.encode(key.as_bytes()));
        }
        text.push('\n');
    }
    crate::keys::private_folder(&state.join("keys")).map_err(MeterKeysError::Folder)?;
    crate::keys::put(&file, &text).map_err(failed)
}

fn path(state: &Path) -> PathBuf {
    state.join("keys").join("meters")
}

/// Why the meters' keys are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeterKeysError {
    /// The file system says no.
    #[error("{} cannot be read or written; check its owner and its rights", file.display())]
    Io {
        /// Which one.
        file: PathBuf,
        /// What it says.
        #[source]
        cause: io::Error,
    },
    /// The folder of keys cannot be used.
    #[error("the folder of the keys cannot be used")]
    Folder(#[source] crate::keys::KeysError),
    /// A line is none.
    #[error(
        "{} has no meter and key in line {line}; take the line out, and enter that key anew",
        file.display()
    )]
    Broken {
        /// Which one.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// More than a building has.
    #[error("there would be keys of {0} meters, and {MOST_METERS} are the most that are kept")]
    TooMany(usize),
}

/// A building has hundreds; a file of a whole town is a mistake.
const MOST_METERS: usize = 10_000;
/// What they take, with both keys each.
const MOST_BYTES: u64 = 1 << 20;

/// The keys in force, and the file that they come from.
#[derive(Debug)]
pub(crate) struct KeysInForce {
    state: PathBuf,
    keys: watch::Sender<Arc<Keyring>>,
    /// When the file, its owner or its rights were changed, and how long it was.
    seen: Option<(i64, i64, u64)>,
}

impl KeysInForce {
    /// Those that are kept in the state directory.
    pub(crate) fn open(state: &Path) -> Self {
        let mut opened =
            Self { state: state.to_owned(), keys: watch::Sender::default(), seen: None };
        opened.look();
        opened
    }

    /// For whoever opens what meters say.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Keyring>> {
        self.keys.subscribe()
    }

    /// Takes the file over if somebody has changed it. One that cannot be read changes nothing, and
    /// is said once.
    pub(crate) fn look(&mut self) {
        let metadata = fs::metadata(path(&self.state)).ok();
        let now = metadata.map(|it| (it.ctime(), it.ctime_nsec(), it.len()));
        if now == self.seen {
            return;
        }
        self.seen = now;
        match load(&self.state) {
            Ok(keys) => {
                tracing::info!(meters = keys.len(), "the keys of meters are in force");
                self.keys.send_replace(Arc::new(keys));
            }
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the keys of meters");
            }
        }
    }
}

#[cfg(test)]
mod tests;
