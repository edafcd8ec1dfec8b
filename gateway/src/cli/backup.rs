//! `fyrhus store backup` and `fyrhus store restore`: all that a gateway is, in one file that only a
//! passphrase opens, and back.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{Out, Where};
use crate::backup::{Done, SHORTEST, read, write};
use crate::restore::Undisturbed;

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

impl Backup {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let Some(passphrase_file) = self.passphrase_file.filter(|_| !self.plain) else {
            let not_copied = || format!("{} is not copied", state.display());
            let undisturbed = Undisturbed::begin(&state).with_context(not_copied)?;
            let copied = store::backup(&state, &self.to).with_context(not_copied)?;
            if let Err(error) = undisturbed.end() {
                drop(fs::remove_dir_all(&self.to));
                return Err(error).with_context(not_copied);
            }
            return super::store::print(&copied, false, out);
        };
        let passphrase = passphrase(&passphrase_file)?;
        let to = &self.to;
        let file = File::options().write(true).create_new(true).mode(0o600).open(to);
        let file = file.with_context(|| format!("{} cannot be made", to.display()))?;
        let done = write(&state, to, file, &passphrase).inspect_err(|_| drop(fs::remove_file(to)));
        let done = done.with_context(|| format!("{} is not backed up", state.display()))?;
        tell(&done, "backed up", out)
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
        tell(&done, "restored", out)
    }
}

fn tell(done: &Done, what: &str, out: &mut Out) -> anyhow::Result<bool> {
    if out.json {
        out.object(done)?;
    } else {
        out.line(&format!("{} files with {} bytes are {what}.", done.files, done.bytes))?;
        if !done.left_out.is_empty() {
            let names = done.left_out.join(", ");
            out.line(&format!("Left out, since they are backups themselves: {names}"))?;
        }
    }
    Ok(true)
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
