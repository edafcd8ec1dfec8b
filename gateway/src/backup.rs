//! All that a gateway is, in one file that only a passphrase opens.
//!
//! ```text
//! entry ... entry  end         entry: length of the name (2)  name  length (8)  bytes
//!                  0 0         all lengths with the lowest byte first
//! ```
//!
//! The databases are copied as each is at one instant, with the gateway running; `core.db` is the last of
//! them. Everything else in the state directory, the keys too, is read as it is, but for backups that
//! somebody keeps there.
//!
//! Those that the pages ask for are made one at a time, in a folder of the state directory, and their file has
//! no name any more once it is whole: whoever holds it open has it, and nothing of it outlives the daemon.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use tokio::sync::{Mutex, oneshot};
use web_ui::{BackupMade, NotBackedUp, Secret};

use crate::restore::Undisturbed;
use crate::sealed::{Opening, Sealing, is_sealed};
use crate::sticks::AtHand;

/// What is in a backup.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// Files and folders of the state directory that are backups themselves: each new one would hold all
    /// before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<String>,
}

/// In characters.
pub(crate) const SHORTEST: usize = 12;

/// Makes the backups that the pages ask for.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    state: PathBuf,
    turn: Arc<Mutex<()>>,
    /// Those that one can be copied to.
    pub(crate) sticks: AtHand,
}

impl Backups {
    /// Of the gateway that has `state`, with USB sticks below `sticks`. What one that was cut off has left
    /// in `state` goes.
    pub(crate) fn of(state: &Path, sticks: &Path) -> Self {
        let folder = state.join(FOLDER);
        if folder.exists()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, folder = %folder.display(), "what is left of a backup stays");
        }
        Self { state: state.to_owned(), turn: Arc::default(), sticks: AtHand::below(sticks) }
    }

    /// Makes one beside everything else.
    pub(crate) fn make(
        &self,
        passphrase: Secret<String>,
        reply: oneshot::Sender<Result<BackupMade, NotBackedUp>>,
    ) {
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else {
            drop(reply.send(Err(NotBackedUp::Busy)));
            return;
        };
        let state = self.state.clone();
        tokio::task::spawn_blocking(move || {
            let Secret(passphrase) = passphrase;
            let made = made(&state, &passphrase);
            drop(turn);
            // Whoever asked may have gone away; then the file goes too.
            drop(reply.send(made));
        });
    }
}

/// In the state directory, because nowhere else is sure to have room for it. Under a name that nobody gives
/// to a folder that they want to keep: it goes at each start.
const FOLDER: &str = "backup.unfinished";

fn made(state: &Path, passphrase: &str) -> Result<BackupMade, NotBackedUp> {
    let folder = state.join(FOLDER);
    let failed = |error: anyhow::Error| NotBackedUp::Failed(format!("{error:#}"));
    let room = room(state).map_err(failed)?;
    if room.free < room.needed {
        return Err(NotBackedUp::NoRoom { needed: room.needed, free: room.free });
    }
    let made = || -> anyhow::Result<BackupMade> {
        DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        let to = folder.join("sealed");
        let open = || {
            let mut options = File::options();
            options.write(true).read(true).create_new(true).mode(0o600).open(&to)
        };
        let file = open().with_context(|| format!("{} cannot be made", to.display()))?;
        let kept = file.try_clone()?;
        let Done { left_out, .. } = write(state, &to, file, passphrase)?;
        let bytes = kept.metadata()?.len();
        Ok(BackupMade { file: kept, bytes, left_out })
    };
    let made = made().map_err(failed);
    if let Err(error) = fs::remove_dir_all(&folder) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, folder = %folder.display(), "what is left of a backup stays");
    }
    made
}

/// On the disk of the state directory, in bytes.
struct Room {
    free: u64,
    needed: u64,
}

/// Copy and file are there together, and the daemon goes on meanwhile.
fn room(state: &Path) -> anyhow::Result<Room> {
    let disk = statvfs(state)?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let mut bytes = 0_u64;
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let file = entry.metadata()?;
        if file.is_file() && entry.file_name() != "ballast" {
            bytes = bytes.saturating_add(file.len());
        }
    }
    Ok(Room { free, needed: bytes.saturating_mul(2).saturating_add(SPARE) })
}

/// What the daemon may write while a backup is made.
const SPARE: u64 = 64 << 20;

/// Writes a backup of `state` into `file`, which is at `to`.
///
/// # Errors
///
/// What the disk or the store says, and if a restore comes in between. No copy is left.
pub(crate) fn write(state: &Path, to: &Path, file: File, passphrase: &str) -> anyhow::Result<Done> {
    let undisturbed = Undisturbed::begin(state)?;
    let mut sealing = Sealing::begin(BufWriter::new(file), passphrase)?;
    let mut done = Done { files: 0, bytes: 0, left_out: Vec::new() };
    // Beside the file, where there has to be as much room as the copies take.
    let mut name = to.as_os_str().to_owned();
    name.push(".copies");
    let copies = PathBuf::from(name);
    let copied = store::backup(state, &copies).map_err(anyhow::Error::from).and_then(|reports| {
        for report in reports {
            done.put(&mut sealing, &report.name, &copies.join(&report.name))?;
        }
        Ok(())
    });
    let removed = fs::remove_dir_all(&copies);
    copied?;
    removed?;
    for name in others(state, to, &mut done.left_out)? {
        done.put(&mut sealing, &name, &state.join(&name))?;
    }
    undisturbed.end()?;
    sealing.write_all(&[0, 0])?;
    let file = sealing.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(done)
}

impl Done {
    fn put(&mut self, to: &mut impl Write, name: &str, path: &Path) -> anyhow::Result<()> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let length = file.metadata()?.len();
        to.write_all(&u16::try_from(name.len())?.to_le_bytes())?;
        to.write_all(name.as_bytes())?;
        to.write_all(&length.to_le_bytes())?;
        // One that grows meanwhile is cut, one that shrinks is not whole.
        let copied = io::copy(&mut file.take(length), to)?;
        ensure!(copied == length, "{} became shorter while it was read", path.display());
        self.files += 1;
        self.bytes += length;
        Ok(())
    }
}

/// The files of a state directory that are no databases, as `keys/device.key`; and what is a backup itself.
fn others(state: &Path, to: &Path, left_out: &mut Vec<String>) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(state.join(&folder))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let Ok(name) = folder.join(entry.file_name()).into_os_string().into_string() else {
                continue;
            };
            if is_stores(&name) {
                continue;
            }
            let path = state.join(&name);
            if path == to {
                continue;
            }
            if kind.is_dir() && path.join("core.db").exists() {
                left_out.push(name + "/");
            } else if kind.is_dir() && folder.components().count() < DEEPEST {
                folders.push(name.into());
            } else if kind.is_file() && File::open(&path).is_ok_and(is_sealed) {
                left_out.push(name);
            } else if kind.is_file() {
                names.push(name);
            }
        }
    }
    names.sort();
    left_out.sort();
    Ok(names)
}

/// Whether a file is the store's own: copied by it, or of no use elsewhere.
fn is_stores(name: &str) -> bool {
    let aside = [FOLDER, crate::restore::COMING, crate::restore::BEFORE];
    if aside.iter().any(|folder| Path::new(name).starts_with(folder)) {
        return true;
    }
    let ours = ["ballast", "lock"].contains(&name);
    ours || [".db", ".db-wal", ".db-shm"].iter().any(|it| name.ends_with(it))
        // Put aside, or being saved from what is damaged.
        || name.contains(".db.")
}

const DEEPEST: usize = 4;

/// Makes `state` what a backup holds.
///
/// # Errors
///
/// If the passphrase is another one, or the file was altered or cut off.
pub(crate) fn read(file: impl Read, state: &Path, passphrase: &str) -> anyhow::Result<Done> {
    let mut opening = Opening::begin(file, passphrase)?;
    fs::create_dir_all(state)?;
    let owner = fs::metadata(state)?;
    let owned = |path: &Path| chown(path, Some(owner.uid()), Some(owner.gid()));
    let mut done = Done { files: 0, bytes: 0, left_out: Vec::new() };
    loop {
        let mut length = [0; 2];
        opening.read_exact(&mut length)?;
        let length = u16::from_le_bytes(length);
        if length == 0 {
            break;
        }
        let mut name = vec![0; length.into()];
        opening.read_exact(&mut name)?;
        let name = PathBuf::from(String::from_utf8(name).context("a name in it is none")?);
        let is_inside = name.components().all(|it| matches!(it, Component::Normal(_)));
        ensure!(
            is_inside && name.components().count() <= DEEPEST + 1,
            "{} leads elsewhere",
            name.display()
        );
        let mut length = [0; 8];
        opening.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let path = state.join(&name);
        for folder in name.ancestors().skip(1).filter(|it| *it != Path::new("")) {
            let folder = state.join(folder);
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
            owned(&folder)?;
        }
        let to = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let mut to = to.with_context(|| format!("{} cannot be made", path.display()))?;
        let copied = io::copy(&mut (&mut opening).take(length), &mut to)?;
        ensure!(copied == length, "it ends within {}", name.display());
        to.sync_all()?;
        owned(&path)?;
        done.files += 1;
        done.bytes += length;
    }
    // To the end, or nobody knows that nothing was cut off.
    let rest = io::copy(&mut opening, &mut io::sink())?;
    ensure!(rest == 0, "there is more in it than it says");
    File::open(state)?.sync_all()?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    #[tokio::test]
    async fn a_backup_makes_the_gateway_again() {
        let day = store::testing::known_day().await.unwrap();
        let state = day.dir.path();
        fs::create_dir(state.join("keys")).unwrap();
        fs::write(state.join("keys/device.key"), "the key").unwrap();
        fs::write(state.join("site.toml"), "the site").unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let (to, again) = (scratch.path().join("backup"), scratch.path().join("state"));
        let file = File::create(&to).unwrap();
        let done = write(state, &to, file, PASSPHRASE).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "no copy is left in the open");
        let plain = scratch.path().join("plain");
        store::backup(state, &plain).unwrap();
        assert_eq!(fs::metadata(&plain).unwrap().mode() & 0o777, 0o700, "nobody else looks in");

        let bytes = fs::read(&to).unwrap();
        let restored = read(bytes.as_slice(), &again, PASSPHRASE).unwrap();
        assert_eq!((restored.files, restored.bytes), (done.files, done.bytes));
        assert_eq!(fs::read_to_string(again.join("keys/device.key")).unwrap(), "the key");
        assert_eq!(fs::read_to_string(again.join("site.toml")).unwrap(), "the site");
        assert_eq!(fs::metadata(again.join("keys/device.key")).unwrap().mode() & 0o777, 0o600);
        let (before, after) = (store::verify(state).unwrap(), store::verify(&again).unwrap());
        let readings = |it: &[store::FileReport]| it.iter().map(|it| it.readings).sum::<u64>();
        assert!(readings(&before) > 0);
        assert_eq!(readings(&before), readings(&after));
        assert!(after.iter().all(|it| it.damages.is_empty()), "{after:?}");

        let nowhere = scratch.path().join("nowhere");
        assert!(read(bytes.as_slice(), &nowhere, "another passphrase").is_err());
        assert!(!nowhere.exists(), "nothing is made for whoever does not know it");
    }

    #[tokio::test]
    async fn a_backup_holds_no_other() {
        let day = store::testing::known_day().await.unwrap();
        let state = day.dir.path();
        fs::create_dir(state.join("mine")).unwrap();
        fs::write(state.join("mine/note"), "of whoever made it").unwrap();
        let make = |to: &Path| write(state, to, File::create(to).unwrap(), PASSPHRASE).unwrap();
        let first = make(&state.join("mine/monday.backup"));
        store::backup(state, &state.join("plain")).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let to = scratch.path().join("backup");
        let second = make(&to);
        assert_eq!(second.left_out, ["mine/monday.backup", "plain/"]);
        assert_eq!(second.files, first.files);
        let again = scratch.path().join("state");
        read(File::open(to).unwrap(), &again, PASSPHRASE).unwrap();
        assert!(again.join("mine/note").exists() && !again.join("plain").exists());
    }

    #[test]
    fn what_was_cut_off_goes_at_the_start_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        for folder in ["backup", "backups", FOLDER] {
            fs::create_dir(state.path().join(folder)).unwrap();
            fs::write(state.path().join(folder).join("sealed"), "of last year").unwrap();
        }
        let _backups = Backups::of(state.path(), Path::new("/media/fyrhus"));
        assert!(!state.path().join(FOLDER).exists());
        for theirs in ["backup/sealed", "backups/sealed"] {
            assert!(state.path().join(theirs).exists(), "{theirs} is whoever made it's");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["../evil", "/etc/evil", "a/../../evil"] {
            let mut sealing = Sealing::begin(Vec::new(), PASSPHRASE).unwrap();
            sealing.write_all(&u16::try_from(name.len()).unwrap().to_le_bytes()).unwrap();
            sealing.write_all(name.as_bytes()).unwrap();
            sealing.write_all(&[0; 10]).unwrap();
            let file = sealing.finish().unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let state = scratch.path().join("state");
            let refused = read(file.as_slice(), &state, PASSPHRASE).unwrap_err().to_string();
            assert!(refused.ends_with("leads elsewhere"), "{refused}");
            assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        }
    }
}
