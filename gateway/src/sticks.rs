//! USB sticks: where a backup goes, and where one comes from.
//!
//! ```text
//! /media/fyrhus/sda1/                          mounted by the machine, `systemd/90-fyrhus-stick.rules`
//! /media/fyrhus/sda1/fyrhus-20261123-0215.backup   sealed; under `.….part` until it was compared
//! ```
//!
//! A stick comes from a person's pocket: it may be full, worn out, pulled out in the middle, or made to
//! deceive. So a copy is read back from the stick itself before it is called one, names are taken apart, and no
//! link is followed.
//!
//! **Never true:** anything but a backup is read or written there, a folder of the gateway's own disk is taken for a
//! stick, or something that a stick said before is gone because a new copy failed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::{FsFlags, statvfs};
use web_ui::{BackupMade, Copying, NotOnStick, OnStick, Stick, StickOrder, StickReply, Sticks};

/// Does what the pages ask about sticks.
#[derive(Clone, Debug)]
pub(crate) struct AtHand {
    /// Below which the machine mounts them.
    root: PathBuf,
    copying: Arc<Mutex<Copying>>,
}

impl AtHand {
    pub(crate) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), copying: Arc::default() }
    }

    /// Does it, beside everything else: a stick answers when it likes.
    pub(crate) fn obey(&self, order: StickOrder, reply: StickReply) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let StickOrder::Copy { made, stick, file } = order else {
                // Whoever asked may have gone away.
                drop(reply.send(Ok(this.now())));
                return;
            };
            let begun = this.begin(&made, &stick);
            let copies = begun.is_ok();
            // It takes minutes: whoever asked is told that it has begun.
            drop(reply.send(begun.map(|()| this.now())));
            if copies {
                let told = |bytes| {
                    if let Copying::Now { bytes: before, .. } = &mut *this.copying() {
                        *before = bytes;
                    }
                };
                let copied = copy(&this.root, &made, &stick, &file, told);
                *this.copying() = match copied {
                    Ok(()) => Copying::Done { stick, file },
                    Err(why) => Copying::Failed(why),
                };
            }
        });
    }

    fn begin(&self, made: &BackupMade, stick: &str) -> Result<(), NotOnStick> {
        let mut copying = self.copying();
        if matches!(*copying, Copying::Now { .. }) {
            return Err(NotOnStick::Busy);
        }
        let folder = find(&self.root, stick).ok_or(NotOnStick::Gone)?;
        sweep(&folder);
        let free = free(&folder).ok_or(NotOnStick::Gone)?;
        if free < made.bytes {
            return Err(NotOnStick::NoRoom { needed: made.bytes, free });
        }
        let of = made.bytes.saturating_mul(2);
        *copying = Copying::Now { stick: stick.to_owned(), bytes: 0, of };
        Ok(())
    }

    fn now(&self) -> Sticks {
        Sticks { sticks: list(&self.root), copying: self.copying().clone() }
    }

    fn copying(&self) -> std::sync::MutexGuard<'_, Copying> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than there are ports for, and more than a person looks through.
const MOST_STICKS: usize = 8;
const MOST_BACKUPS: usize = 50;
/// Other files on a stick are passed over, but not without end.
const MOST_FILES: usize = 5_000;

/// The end of a backup's name, and of one that is not whole.
const ENDS: &str = ".backup";
const PART: &str = ".part";

/// The sticks that are put in, by name.
fn list(root: &Path) -> Vec<Stick> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| find(root, name).is_some()).collect();
    names.sort();
    names.truncate(MOST_STICKS);
    let stick = |name: String| {
        let folder = root.join(&name);
        Some(Stick { free: free(&folder)?, backups: backups(&folder), name })
    };
    names.into_iter().filter_map(stick).collect()
}

fn backups(folder: &Path) -> Vec<OnStick> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let backup = |entry: fs::DirEntry| {
        let file = entry.file_name().into_string().ok().filter(|file| is_name(file))?;
        let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let at_ms = found.mtime().saturating_mul(1_000);
        Some(OnStick { file, bytes: found.len(), at_ms })
    };
    let mut all: Vec<_> = entries.flatten().take(MOST_FILES).filter_map(backup).collect();
    all.sort_by(|a, b| (b.at_ms, &b.file).cmp(&(a.at_ms, &a.file)));
    all.truncate(MOST_BACKUPS);
    all
}

/// Opens a backup on a stick: what it says, and how much that is.
///
/// # Errors
///
/// If there is none of this name, as one sentence.
pub(crate) fn open(root: &Path, stick: &str, file: &str) -> Result<(File, u64), NotOnStick> {
    let folder = find(root, stick).filter(|_| is_name(file)).ok_or(NotOnStick::Gone)?;
    let opened = || -> io::Result<Option<(File, u64)>> {
        // Nor is one that somebody has laid there as a pipe waited for.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let opened =
            File::options().read(true).custom_flags(flags.bits()).open(folder.join(file))?;
        let found = opened.metadata()?;
        Ok(found.is_file().then_some((opened, found.len())))
    };
    match opened() {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(NotOnStick::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NotOnStick::Gone),
        Err(error) => Err(NotOnStick::Failed(error.to_string())),
    }
}

/// The folder of a stick; `None` if nothing is mounted there.
fn find(root: &Path, stick: &str) -> Option<PathBuf> {
    is_plain(stick).then_some(())?;
    let folder = root.join(stick);
    let (outside, inside) = (fs::symlink_metadata(root).ok()?, fs::symlink_metadata(&folder).ok()?);
    (inside.is_dir() && inside.dev() != outside.dev()).then_some(folder)
}

fn is_name(file: &str) -> bool {
    is_plain(file) && !file.starts_with('.') && file.ends_with(ENDS)
}

/// It leads nowhere else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    parts.next() == Some(Component::Normal(name.as_ref())) && parts.next().is_none()
}

/// What can be written there, in bytes.
fn free(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    let is_writable = !disk.flags().contains(FsFlags::ST_RDONLY);
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    Some(if is_writable { free } else { 0 })
}

/// Takes away what is left of copies that were cut off: nobody sees them, and they take room.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().take(MOST_FILES) {
        let name = entry.file_name();
        let is_ours = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(PART));
        if is_ours.is_some_and(|name| name.starts_with("fyrhus-") && is_name(name))
            && let Err(error) = fs::remove_file(entry.path())
        {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "what is left of a copy stays on the stick");
        }
    }
}

/// Writes `made` to the stick, and reads it back. `told` hears how many bytes of both are done.
fn copy(
    root: &Path,
    made: &BackupMade,
    stick: &str,
    file: &str,
    told: impl Fn(u64),
) -> Result<(), NotOnStick> {
    let folder = find(root, stick).filter(|_| is_name(file)).ok_or(NotOnStick::Gone)?;
    let part = folder.join(format!(".{file}{PART}"));
    let copied = || -> io::Result<bool> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let to = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&part)?;
        let pieces = || Pieces { made, at: 0, piece: vec![0; PIECE] };
        let mut from = pieces();
        while let Some((at, piece)) = from.next()? {
            to.write_all_at(piece, at)?;
            told(from.at);
        }
        to.sync_all()?;
        // It is to come from the stick, and not from what the machine remembers of it.
        posix_fadvise(&to, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let (mut from, mut read) = (pieces(), vec![0; PIECE]);
        while let Some((at, piece)) = from.next()? {
            let read = read.get_mut(..piece.len()).unwrap_or_default();
            to.read_exact_at(read, at)?;
            if read != piece {
                return Ok(false);
            }
            told(made.bytes.saturating_add(from.at));
        }
        fs::rename(&part, folder.join(file))?;
        File::open(&folder)?.sync_all()?;
        Ok(true)
    };
    let why = match copied() {
        Ok(true) => return Ok(()),
        Ok(false) => NotOnStick::Differs,
        Err(_) if find(root, stick).is_none() => NotOnStick::Gone,
        Err(error) if error.raw_os_error() == Some(Errno::ENOSPC as i32) => {
            NotOnStick::NoRoom { needed: made.bytes, free: free(&folder).unwrap_or(0) }
        }
        Err(error) => NotOnStick::Failed(error.to_string()),
    };
    if let Err(error) = fs::remove_file(&part) {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "what was written of a backup stays on the stick");
    }
    Err(why)
}

/// A backup, piece by piece.
struct Pieces<'a> {
    made: &'a BackupMade,
    at: u64,
    piece: Vec<u8>,
}

impl Pieces<'_> {
    /// Where the next one begins, and its bytes.
    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let rest = usize::try_from(self.made.bytes.saturating_sub(self.at)).unwrap_or(PIECE);
        let piece = self.piece.get_mut(..rest.min(PIECE)).unwrap_or_default();
        if piece.is_empty() {
            return Ok(None);
        }
        self.made.file.read_exact_at(piece, self.at)?;
        let at = self.at;
        self.at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Ok(Some((at, piece)))
    }
}

/// In memory while it is copied.
pub(crate) const PIECE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_no_backups() {
        for (name, is) in [
            ("fyrhus-20261123-0215.backup", true),
            ("Gård 4.backup", true),
            ("", false),
            (".", false),
            ("..", false),
            ("../a.backup", false),
            ("a/b.backup", false),
            ("/a.backup", false),
            ("a.backup/", false),
            (".a.backup", false),
            ("a.backup.part", false),
            ("site.toml", false),
        ] {
            assert_eq!(is_name(name), is, "{name}");
        }
    }

    #[test]
    fn a_folder_of_the_own_disk_is_no_stick() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sda1")).unwrap();
        fs::write(root.path().join("sda1/a.backup"), "sealed").unwrap();
        // What is mounted elsewhere is reached by a link alone.
        std::os::unix::fs::symlink("/proc", root.path().join("sdb1")).unwrap();
        assert_eq!(list(root.path()), []);
        for stick in ["sda1", "sdb1", "sdc1", "..", ""] {
            assert_eq!(open(root.path(), stick, "a.backup").unwrap_err(), NotOnStick::Gone);
        }
        assert_eq!(list(&root.path().join("not-there")), []);
    }
}
