//! A backup that a page brings: taken piece by piece, looked into, and put in the place of all that is here.
//!
//! ```text
//! restoring/file      the sealed backup, as it came
//! restoring/state     what it holds, once somebody has given the passphrase; verified
//! restoring/go        from now on it holds: `aside`, then `in`
//! restoring/why       why nothing was restored, for the page
//! before-restore/     what was here before; a restore can be taken back once
//!
//! the daemon stops ─▶ aside: everything ▶ before-restore/ ─▶ in: restoring/state/* ▶ here ─▶ it starts anew
//! ```
//!
//! Each step is a rename on one disk, and can be done over: a power cut in the middle is made good at the next
//! start, before anything of the state directory is opened.
//!
//! **Never true:** a gateway starts with half of one state and half of another, or what was there before is
//! gone when a restore has failed.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, ensure};
use drivers::Profiles;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};
use store::StoreError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use web_ui::{Held, NotOnStick, NotRestored, RestoreOrder, RestoreStands, Restoring, Secret};

use crate::config::kept::Found;
use crate::keys::put;
use crate::sticks;

/// Does what the pages ask about restoring.
#[derive(Clone, Debug)]
pub(crate) struct Restores {
    state: PathBuf,
    /// Below which the machine mounts USB sticks.
    sticks: PathBuf,
    /// Ends this life of the daemon; the next begins with [`settle`].
    anew: CancellationToken,
    stands: Arc<Mutex<RestoreStands>>,
}

/// A restore that was done at this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Who wanted it, by name.
    pub(crate) who: String,
    /// It was the taking back of another.
    pub(crate) back: bool,
}

/// What stands in `restoring/go`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Go {
    who: String,
    back: bool,
    /// Everything that was here has gone aside.
    aside: bool,
    /// Why it is taken back, if nobody wanted that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// Where the answer to an order goes.
type Reply = oneshot::Sender<Result<Restoring, NotRestored>>;

/// Where what is restored comes in, and what it displaces stays.
pub(crate) const COMING: &str = "restoring";
pub(crate) const BEFORE: &str = "before-restore";
const WHY: &str = "why";
/// In what was here before, until what was restored has started.
const UNTRIED: &str = "untried";

impl Restores {
    /// Of the gateway that has `state`. `anew` ends this life of the daemon.
    pub(crate) fn of(state: &Path, sticks: &Path, anew: CancellationToken) -> Self {
        let coming = state.join(COMING);
        let stands = fs::read_to_string(coming.join(WHY)).ok().map(RestoreStands::Failed);
        // What an upload or a look of the life before has left is of no use.
        remove(&coming);
        let stands = Arc::new(Mutex::new(stands.unwrap_or_default()));
        Self { state: state.to_owned(), sticks: sticks.to_owned(), anew, stands }
    }

    /// Does it, beside everything else.
    pub(crate) fn obey(&self, order: RestoreOrder, reply: Reply) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            // What takes minutes has begun when whoever asked is told of it; they may have gone away.
            match order {
                RestoreOrder::Look { passphrase } => {
                    let begun = this.begin_look();
                    let looks = begun.is_ok();
                    drop(reply.send(begun.map(|()| this.now())));
                    if looks {
                        let looked = this.look(&passphrase);
                        *this.stands() = looked;
                    }
                }
                RestoreOrder::Fetch { stick, file } => {
                    let begun = this.begin_fetch(&stick, &file);
                    let (told, begun) = match begun {
                        Ok(begun) => (Ok(this.now()), Some(begun)),
                        Err(why) => (Err(why), None),
                    };
                    drop(reply.send(told));
                    if let Some((from, bytes)) = begun {
                        let fetched = this.fetch(&from, bytes);
                        *this.stands() = fetched;
                    }
                }
                order => drop(reply.send(this.done(order).map(|()| this.now()))),
            }
        });
    }

    fn done(&self, order: RestoreOrder) -> Result<(), NotRestored> {
        match order {
            // What takes minutes is begun elsewhere.
            RestoreOrder::Tell | RestoreOrder::Look { .. } | RestoreOrder::Fetch { .. } => Ok(()),
            RestoreOrder::Take { at, piece } => self.take(at, &piece),
            RestoreOrder::Drop => self.drop_all(),
            RestoreOrder::Go { who } => self.go(who, false),
            RestoreOrder::Back { who } => self.go(who, true),
            RestoreOrder::Forget => self.forget(),
        }
    }

    fn now(&self) -> Restoring {
        let before = self.state.join(BEFORE).join("core.db").exists();
        Restoring { stands: self.stands().clone(), before }
    }

    fn stands(&self) -> MutexGuard<'_, RestoreStands> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a piece of the file; one at 0 begins anew.
    fn take(&self, at: u64, piece: &[u8]) -> Result<(), NotRestored> {
        let mut stands = self.stands();
        let taken = match &*stands {
            stands if is_busy(stands) => return Err(NotRestored::Busy),
            RestoreStands::Taking { bytes } => *bytes,
            _ => 0,
        };
        if at != 0 && at != taken {
            return Err(NotRestored::Elsewhere { at: taken });
        }
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.has_room(bytes)?;
        let keep = || self.file(at == 0)?.write_all_at(piece, at);
        keep().map_err(|error| NotRestored::Failed(error.to_string()))?;
        *stands = RestoreStands::Taking { bytes: at.saturating_add(bytes) };
        Ok(())
    }

    /// That what comes is written to; from its beginning if `anew`.
    fn file(&self, anew: bool) -> io::Result<File> {
        let folder = self.state.join(COMING);
        if anew {
            remove(&folder);
            private(&folder)?;
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600).open(folder.join("file"))
    }

    fn has_room(&self, bytes: u64) -> Result<(), NotRestored> {
        let free = free(&self.state).unwrap_or(u64::MAX);
        let needed = bytes.saturating_add(SPARE);
        if free < needed { Err(NotRestored::NoRoom { needed, free }) } else { Ok(()) }
    }

    /// What is to be fetched from a stick, and its length.
    fn begin_fetch(&self, stick: &str, file: &str) -> Result<(File, u64), NotRestored> {
        let mut stands = self.stands();
        if is_busy(&stands) {
            return Err(NotRestored::Busy);
        }
        let found = sticks::open(&self.sticks, stick, file).map_err(|why| match why {
            NotOnStick::Failed(why) => NotRestored::Failed(why),
            _ => NotRestored::NoStick,
        })?;
        // What was here of another one goes in any case, and makes room.
        remove(&self.state.join(COMING));
        *stands = RestoreStands::None;
        self.has_room(found.1)?;
        *stands = RestoreStands::Fetching { bytes: 0, of: found.1 };
        Ok(found)
    }

    fn fetch(&self, from: &File, of: u64) -> RestoreStands {
        let fetched = || -> io::Result<()> {
            let to = self.file(true)?;
            let (mut at, mut piece) = (0_u64, vec![0; sticks::PIECE]);
            while at < of {
                let rest = usize::try_from(of.saturating_sub(at)).unwrap_or(sticks::PIECE);
                let piece = piece.get_mut(..rest.min(sticks::PIECE)).unwrap_or_default();
                from.read_exact_at(piece, at)?;
                to.write_all_at(piece, at)?;
                at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                *self.stands() = RestoreStands::Fetching { bytes: at, of };
            }
            Ok(())
        };
        match fetched() {
            Ok(()) => RestoreStands::Taking { bytes: of },
            Err(error) => {
                remove(&self.state.join(COMING));
                RestoreStands::Failed(format!("it cannot be fetched from the stick: {error}"))
            }
        }
    }

    fn begin_look(&self) -> Result<(), NotRestored> {
        let mut stands = self.stands();
        match &*stands {
            stands if is_busy(stands) => return Err(NotRestored::Busy),
            // Another passphrase may be tried as often as anybody likes: each costs a second.
            RestoreStands::Taking { .. } | RestoreStands::Failed(_) | RestoreStands::Held(_) => {}
            _ => return Err(NotRestored::Nothing),
        }
        let file = self.state.join(COMING).join("file");
        let bytes = fs::metadata(file).map_err(|_| NotRestored::Nothing)?.len();
        self.has_room(bytes)?;
        *stands = RestoreStands::Looking;
        Ok(())
    }

    /// Unpacks it beside everything, and tells what is in it.
    fn look(&self, Secret(passphrase): &Secret<String>) -> RestoreStands {
        let coming = self.state.join(COMING);
        let to = coming.join("state");
        remove(&to);
        let looked = || -> anyhow::Result<Held> {
            private(&to)?;
            let file = BufReader::new(File::open(coming.join("file"))?);
            let done = crate::backup::read(file, &to, passphrase)?;
            held(&self.state, &to, done.files, done.bytes)
        };
        looked().map_or_else(
            |error| {
                remove(&to);
                RestoreStands::Failed(format!("{error:#}"))
            },
            |held| RestoreStands::Held(Box::new(held)),
        )
    }

    fn drop_all(&self) -> Result<(), NotRestored> {
        let mut stands = self.stands();
        if is_busy(&stands) {
            return Err(NotRestored::Busy);
        }
        remove(&self.state.join(COMING));
        *stands = RestoreStands::None;
        Ok(())
    }

    /// Has the next life of the daemon begin with what was looked into, or with what was there before.
    fn go(&self, who: String, back: bool) -> Result<(), NotRestored> {
        let mut stands = self.stands();
        let coming = self.state.join(COMING);
        // Nothing of what was there before is moved until `go` is on the disk, and nothing may be in the way
        // of what is moved then.
        let begin = || -> anyhow::Result<()> {
            if back {
                gone(&coming)?;
                private(&coming)?;
            } else {
                gone(&self.state.join(BEFORE))?;
            }
            File::open(&self.state)?.sync_all()?;
            let kept = Go { who, back, aside: false, because: None }.keep(&coming);
            // Whoever is told that it failed does not expect it at the next start.
            kept.inspect_err(|_| drop(fs::remove_file(coming.join("go"))))
        };
        match &*stands {
            stands if is_busy(stands) => return Err(NotRestored::Busy),
            RestoreStands::Held(_) if !back => {}
            _ if back && self.state.join(BEFORE).join("core.db").exists() => {}
            _ => return Err(NotRestored::Nothing),
        }
        begin().map_err(|error| NotRestored::Failed(format!("{error:#}")))?;
        *stands = RestoreStands::Going;
        self.anew.cancel();
        Ok(())
    }

    fn forget(&self) -> Result<(), NotRestored> {
        if matches!(*self.stands(), RestoreStands::Going) {
            return Err(NotRestored::Busy);
        }
        remove(&self.state.join(BEFORE));
        Ok(())
    }
}

/// Something is done with it that takes minutes, or the gateway is about to start with it.
fn is_busy(stands: &RestoreStands) -> bool {
    matches!(stands, RestoreStands::Fetching { .. } | RestoreStands::Looking | RestoreStands::Going)
}

impl Go {
    /// To the disk, before anything follows from it.
    fn keep(&self, coming: &Path) -> anyhow::Result<()> {
        Ok(put(&coming.join("go"), &serde_json::to_string(self)?)?)
    }
}

/// Puts what is to be restored in the place of what is here, if that was wanted or has begun.
///
/// # Errors
///
/// If it cannot be done to its end: then nothing may start.
pub(crate) fn settle(state: &Path) -> anyhow::Result<Option<Settled>> {
    let coming = state.join(COMING);
    let go = match fs::read_to_string(coming.join("go")) {
        Ok(go) => go,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Whether everything has gone aside is not known.
        Err(error) => return Err(error).context("restoring/go cannot be read"),
    };
    let mut go: Go =
        serde_json::from_str(&go).context("what stands in restoring/go is not its own")?;
    let from = coming.join("state");
    if !go.aside {
        if let Err(error) = step_aside(state, go.back) {
            if is_away(&error) {
                return Err(error);
            }
            // A file system that is mounted in here, say, or a store of a newer version.
            give_up(state, go.back, &error)?;
            return Ok(None);
        }
        go.aside = true;
        go.keep(&coming)?;
    }
    if from.exists() {
        pass(&from, state)?;
    }
    if !go.back {
        put(&state.join(BEFORE).join(UNTRIED), "")?;
    }
    File::open(state)?.sync_all()?;
    // From here on it is over: a start that fails now is one of the gateway that was restored.
    fs::remove_dir_all(&coming)?;
    if let Some(because) = &go.because {
        tell(&coming, because);
    }
    Ok(Some(Settled { who: go.who, back: go.back }))
}

/// What was restored does not start, for `why`: if it has never started, the next life begins with what was
/// here before, and the page says so. Whether there is such a way back.
///
/// # Errors
///
/// If that cannot be kept.
pub(crate) fn fall_back(state: &Path, why: &anyhow::Error) -> anyhow::Result<bool> {
    if !state.join(BEFORE).join(UNTRIED).exists() {
        return Ok(false);
    }
    let because =
        format!("what was restored does not start, and what was here before is back: {why:#}");
    tracing::error!("{because}");
    let coming = state.join(COMING);
    gone(&coming)?;
    private(&coming)?;
    File::open(state)?.sync_all()?;
    Go { who: "gateway".to_owned(), back: true, aside: false, because: Some(because) }
        .keep(&coming)?;
    Ok(true)
}

/// What was restored has started: from now on a person alone takes it back.
pub(crate) fn started(state: &Path) {
    match fs::remove_file(state.join(BEFORE).join(UNTRIED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a start that fails would take back what was restored");
        }
        _ => {}
    }
}

/// Somebody copies the state directory, which no restore may change meanwhile.
#[derive(Debug)]
pub(crate) struct Undisturbed<'a> {
    state: &'a Path,
    /// Which file `core.db` was.
    core: Option<(u64, u64)>,
}

impl<'a> Undisturbed<'a> {
    /// # Errors
    ///
    /// If a restore is under way.
    pub(crate) fn begin(state: &'a Path) -> anyhow::Result<Self> {
        let it = Self { state, core: core(state) };
        it.end()?;
        Ok(it)
    }

    /// # Errors
    ///
    /// If a restore has begun since.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        let goes = self.state.join(COMING).join("go").exists();
        ensure!(
            !goes && core(self.state) == self.core,
            "a restore is under way, and a backup of now would hold half of one state and half of another: \
             make it when the gateway has started again"
        );
        Ok(())
    }
}

fn core(state: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(state.join("core.db")).ok().map(|core| (core.dev(), core.ino()))
}

/// Makes what is to be restored fit to start, and has everything that is here go aside.
fn step_aside(state: &Path, back: bool) -> anyhow::Result<()> {
    let (from, before) = (state.join(COMING).join("state"), state.join(BEFORE));
    if back && !from.exists() {
        fs::rename(&before, &from).context("what was there before is not there")?;
        File::open(state.join(COMING))?.sync_all()?;
        File::open(state)?.sync_all()?;
    }
    ensure!(from.join("core.db").exists(), "{} holds no gateway", from.display());
    // Of what was brought back nothing is to be tried.
    drop(fs::remove_file(from.join(UNTRIED)));
    // A start that fails with what is restored would fail for ever: it is tried before anything is moved.
    let usable = || store::readable(&from).and_then(|()| store::restored(&from));
    usable().context("what is to be restored cannot be used")?;
    private(&before)?;
    pass(state, &before)
}

/// What has gone aside comes back, what was to be brought back is kept, and nothing is restored.
fn give_up(state: &Path, back: bool, why: &anyhow::Error) -> anyhow::Result<()> {
    let (coming, before) = (state.join(COMING), state.join(BEFORE));
    let from = coming.join("state");
    // Without it what is in `before` has never been anywhere else.
    let taken = !back || from.exists();
    if taken && before.exists() {
        pass(&before, state)?;
        fs::remove_dir(&before)?;
    }
    if back && taken {
        fs::rename(&from, &before)?;
    }
    File::open(state)?.sync_all()?;
    fs::remove_dir_all(&coming)?;
    let why = format!("{why:#}");
    tracing::error!(error = why, "nothing is restored");
    tell(&coming, &why);
    Ok(())
}

/// Keeps for the page why nothing is restored; without it the log knows.
fn tell(coming: &Path, why: &str) {
    if let Err(error) = private(coming).and_then(|()| put(&coming.join(WHY), why)) {
        tracing::warn!(
            error = crate::chain(&error),
            "the page does not say that nothing is restored"
        );
    }
}

/// Whether the disk has to come back first. On a full one the old gateway starts: there somebody can be told.
fn is_away(error: &anyhow::Error) -> bool {
    const AWAY: [Errno; 4] = [Errno::EROFS, Errno::EIO, Errno::ENODEV, Errno::ENXIO];
    error.chain().any(|error| {
        let store = error.downcast_ref::<StoreError>().is_some_and(StoreError::is_away);
        let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        store || code.is_some_and(|code| AWAY.contains(&Errno::from_raw(code)))
    })
}

/// Moves all that is in `from` into `to`, but for our own folders and what a file system has for itself.
fn pass(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if [COMING, BEFORE, "lost+found"].iter().any(|ours| name == **ours) {
            continue;
        }
        let target = to.join(&name);
        fs::rename(from.join(&name), &target)
            .with_context(|| format!("{} cannot be moved", target.display()))?;
    }
    File::open(to)?.sync_all()?;
    Ok(())
}

/// What is in the state directory `there`, as far as whoever is about to restore it wants to know.
fn held(here: &Path, there: &Path, files: usize, bytes: u64) -> anyhow::Result<Held> {
    let id = |state: &Path| fs::read_to_string(state.join("keys/gateway-id")).unwrap_or_default();
    let gateway = id(there).trim().to_owned();
    ensure!(there.join("core.db").exists(), "there is no gateway in it");
    let same = gateway == id(here).trim();
    store::readable(there)?;
    let reports = store::verify(there)?;
    let mut months: Vec<String> = Vec::new();
    let mut damages = Vec::new();
    for report in &reports {
        let month = report.name.strip_prefix("raw-").and_then(|it| it.strip_suffix(".db"));
        months.extend(month.map(str::to_owned));
        let named = |damage: &String| format!("{}: {damage}", report.name);
        damages.extend(report.damages.iter().take(MOST_DAMAGES).map(named));
    }
    months.sort();
    let site = match crate::takeover::find(there, &Profiles::embedded()) {
        Found::Good { site, .. } | Found::LastGood { site, .. } => Some(site),
        Found::Commissioning { .. } => None,
    };
    Ok(Held {
        gateway,
        same,
        name: site.as_ref().map(|it| it.name.clone()),
        meters: site.map_or(0, |it| it.buses.iter().map(|bus| bus.meters.len()).sum()),
        files,
        bytes,
        readings: reports.iter().map(|it| it.readings).sum(),
        first_month: months.first().cloned(),
        last_month: months.last().cloned(),
        damages,
    })
}

/// Enough to see what kind of damage it is.
const MOST_DAMAGES: usize = 3;

/// What the daemon may write meanwhile.
const SPARE: u64 = 64 << 20;

fn free(state: &Path) -> Option<u64> {
    let disk = statvfs(state).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove(folder: &Path) {
    if let Err(error) = gone(folder) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, folder = %folder.display(), "what is left of a restore stays");
    }
}

/// Removes `folder`, if it is there.
fn gone(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
