//! `fyrhus store backup` and `fyrhus store restore`: all that a gateway is, in one file that only a
//! passphrase opens, and back.
//!
//! ```text
//! entry ... entry  end         entry: length of the name (2)  name  length (8)  bytes
//!                  0 0         all lengths with the lowest byte first
//! ```
//!
//! The databases are copied as each is at one instant, with the gateway running; `core.db` is the last of
//! them. Everything else in the state directory, the keys too, is read as it is.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use super::{Out, Where};
use crate::sealed::{Opening, Sealing};

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file; with --plain the folder. It is made and must not be there
    to: PathBuf,
    /// A file whose first line is the passphrase, - for standard input. Without it nobody can restore
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    passphrase_file: Option<PathBuf>,
    /// Copy the databases alone into a folder, without a passphrase. Passwords as hashes are in them:
    /// keep it as safe as the gateway
    #[arg(long, conflicts_with = "passphrase_file")]
    plain: bool,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The file that `backup` made
    from: PathBuf,
    /// A file whose first line is the passphrase, - for standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Done {
    files: usize,
    bytes: u64,
}

impl Backup {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let Some(passphrase_file) = self.passphrase_file.filter(|_| !self.plain) else {
            let copied = store::backup(&state, &self.to)
                .with_context(|| format!("{} is not copied", state.display()))?;
            return super::store::print(&copied, false, out);
        };
        let passphrase = passphrase(&passphrase_file)?;
        let to = &self.to;
        let file = File::options().write(true).create_new(true).mode(0o600).open(to);
        let file = file.with_context(|| format!("{} cannot be made", to.display()))?;
        let done = write(&state, to, file, &passphrase).inspect_err(|_| drop(fs::remove_file(to)));
        let done = done.with_context(|| format!("{} is not backed up", state.display()))?;
        done.tell("backed up", out)
    }
}

impl Restore {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let from = &self.from;
        ensure!(
            !state.join("core.db").exists(),
            "there is a store in {}: stop the gateway and move what is there away first",
            state.display()
        );
        let passphrase = passphrase(&self.passphrase_file)?;
        let not_read = || format!("{} is not restored", from.display());
        let file = File::open(from).with_context(not_read)?;
        let done = read(BufReader::new(file), &state, &passphrase).with_context(not_read)?;
        store::restored(&state).with_context(not_read)?;
        done.tell("restored", out)
    }
}

impl Done {
    fn tell(&self, what: &str, out: &mut Out) -> anyhow::Result<bool> {
        if out.json {
            out.object(self)?;
        } else {
            out.line(&format!("{} files with {} bytes are {what}.", self.files, self.bytes))?;
        }
        Ok(true)
    }
}

/// The first line of a file.
fn passphrase(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MOST_PASSPHRASE).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(MOST_PASSPHRASE).read_to_string(&mut text))
    };
    read.with_context(|| format!("no passphrase can be read from {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() < SHORTEST {
        bail!("the passphrase in {} has fewer than {SHORTEST} characters", file.display());
    }
    Ok(line.to_owned())
}

const MOST_PASSPHRASE: u64 = 4_096;
const SHORTEST: usize = 12;

fn write(state: &Path, to: &Path, file: File, passphrase: &str) -> anyhow::Result<Done> {
    let mut sealing = Sealing::begin(BufWriter::new(file), passphrase)?;
    let mut done = Done { files: 0, bytes: 0 };
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
    for name in others(state)? {
        done.put(&mut sealing, &name, &state.join(&name))?;
    }
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

/// The files of a state directory that are no databases, as `keys/device.key`.
fn others(state: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(state.join(&folder))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let Ok(name) = folder.join(entry.file_name()).into_os_string().into_string() else {
                continue;
            };
            if kind.is_dir() && folder.components().count() < DEEPEST {
                folders.push(name.into());
            } else if kind.is_file() && !is_stores(&name) {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a file is the store's own: copied by it, or of no use elsewhere.
fn is_stores(name: &str) -> bool {
    let ours = ["ballast", "lock"].contains(&name);
    ours || [".db", ".db-wal", ".db-shm"].iter().any(|it| name.ends_with(it))
        || name.contains(".damaged")
}

const DEEPEST: usize = 4;

fn read(file: impl Read, state: &Path, passphrase: &str) -> anyhow::Result<Done> {
    let mut opening = Opening::begin(file, passphrase)?;
    fs::create_dir_all(state)?;
    let owner = fs::metadata(state)?;
    let owned = |path: &Path| chown(path, Some(owner.uid()), Some(owner.gid()));
    let mut done = Done { files: 0, bytes: 0 };
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
