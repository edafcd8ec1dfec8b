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
use web_ui::{Held, NotRestored, RestoreOrder, RestoreStands, Restoring, Secret};

use crate::config::kept::Found;
use crate::keys::put;

/// Does what the pages ask about restoring.
#[derive(Clone, Debug)]
pub(crate) struct Restores {
    state: PathBuf,
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
}

/// Where the answer to an order goes.
type Reply = oneshot::Sender<Result<Restoring, NotRestored>>;

/// Where what is restored comes in, and what it displaces stays.
pub(crate) const COMING: &str = "restoring";
pub(crate) const BEFORE: &str = "before-restore";
const WHY: &str = "why";

impl Restores {
    /// Of the gateway that has `state`. `anew` ends this life of the daemon.
    pub(crate) fn of(state: &Path, anew: CancellationToken) -> Self {
        let coming = state.join(COMING);
        let stands = fs::read_to_string(coming.join(WHY)).ok().map(RestoreStands::Failed);
        // What an upload or a look of the life before has left is of no use.
        remove(&coming);
        let stands = Arc::new(Mutex::new(stands.unwrap_or_default()));
        Self { state: state.to_owned(), anew, stands }
    }

    /// Does it, beside everything else.
    pub(crate) fn obey(&self, order: RestoreOrder, reply: Reply) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let RestoreOrder::Look { passphrase } = order else {
                let done = this.done(order).map(|()| this.now());
                // Whoever asked may have gone away.
                drop(reply.send(done));
                return;
            };
            let begun = this.begin_look();
            let looks = begun.is_ok();
            // It takes minutes: whoever asked is told that it has begun.
            drop(reply.send(begun.map(|()| this.now())));
            if looks {
                let looked = this.look(&passphrase);
                *this.stands() = looked;
            }
        });
    }

    fn done(&self, order: RestoreOrder) -> Result<(), NotRestored> {
        match order {
            // A look is begun elsewhere.
            RestoreOrder::Tell | RestoreOrder::Look { .. } => Ok(()),
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
            RestoreStands::Looking | RestoreStands::Going => return Err(NotRestored::Busy),
            RestoreStands::Taking { bytes } => *bytes,
            _ => 0,
        };
        if at != 0 && at != taken {
            return Err(NotRestored::Elsewhere { at: taken });
        }
        let keep = || -> io::Result<u64> {
            let folder = self.state.join(COMING);
            if at == 0 {
                remove(&folder);
                private(&folder)?;
            }
            let mut options = File::options();
            let file = folder.join("file");
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(file)?;
            file.write_all_at(piece, at)?;
            Ok(at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX)))
        };
        let free = free(&self.state).unwrap_or(u64::MAX);
        let needed = u64::try_from(piece.len()).unwrap_or(u64::MAX).saturating_add(SPARE);
        if free < needed {
            return Err(NotRestored::NoRoom { needed, free });
        }
        let bytes = keep().map_err(|error| NotRestored::Failed(error.to_string()))?;
        *stands = RestoreStands::Taking { bytes };
        Ok(())
    }

    fn begin_look(&self) -> Result<(), NotRestored> {
        let mut stands = self.stands();
        match &*stands {
            RestoreStands::Looking | RestoreStands::Going => return Err(NotRestored::Busy),
            // Another passphrase may be tried as often as anybody likes: each costs a second.
            RestoreStands::Taking { .. } | RestoreStands::Failed(_) | RestoreStands::Held(_) => {}
            RestoreStands::None => return Err(NotRestored::Nothing),
        }
        let file = self.state.join(COMING).join("file");
        let bytes = fs::metadata(file).map_err(|_| NotRestored::Nothing)?.len();
        let free = free(&self.state).unwrap_or(u64::MAX);
        let needed = bytes.saturating_add(SPARE);
        if free < needed {
            return Err(NotRestored::NoRoom { needed, free });
        }
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
        if matches!(*stands, RestoreStands::Looking | RestoreStands::Going) {
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
            let kept = Go { who, back, aside: false }.keep(&coming);
            // Whoever is told that it failed does not expect it at the next start.
            kept.inspect_err(|_| drop(fs::remove_file(coming.join("go"))))
        };
        match &*stands {
            RestoreStands::Looking | RestoreStands::Going => return Err(NotRestored::Busy),
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
    File::open(state)?.sync_all()?;
    // From here on it is over: a start that fails now is one of the gateway that was restored.
    fs::remove_dir_all(&coming)?;
    Ok(Some(Settled { who: go.who, back: go.back }))
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
    // For the page; without it the log knows.
    if let Err(error) = private(&coming).and_then(|()| put(&coming.join(WHY), &why)) {
        tracing::warn!(
            error = crate::chain(&error),
            "the page does not say that nothing is restored"
        );
    }
    Ok(())
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
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::keys::Keys;

    const PASSPHRASE: &str = "correct horse battery";

    /// A gateway with a day of readings, and its backup.
    async fn gateway() -> (store::testing::KnownDay, Vec<u8>) {
        let day = store::testing::known_day().await.unwrap();
        let state = day.dir.path();
        Keys::open(state, &SystemClock::new()).unwrap();
        fs::write(state.join("site.toml"), "[site]\n").unwrap();
        let to = tempfile::tempdir().unwrap();
        let to = to.path().join("backup");
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        crate::backup::write(state, &to, File::create(&to).unwrap(), PASSPHRASE).unwrap();
        let bytes = fs::read(&to).unwrap();
        (day, bytes)
    }

    fn empty_store(state: &Path) {
        let clock = store::testing::FixedClock::at(1_795_000_000_000);
        store::testing::open(state, &clock).unwrap().0.close().unwrap();
    }

    async fn told(restores: &Restores, order: RestoreOrder) -> Result<Restoring, NotRestored> {
        let (reply, answer) = oneshot::channel();
        restores.obey(order, reply);
        answer.await.unwrap()
    }

    /// What the look has found.
    async fn looked(restores: &Restores) -> RestoreStands {
        loop {
            match told(restores, RestoreOrder::Tell).await.unwrap().stands {
                RestoreStands::Looking => tokio::task::yield_now().await,
                other => return other,
            }
        }
    }

    async fn upload(restores: &Restores, bytes: &[u8]) {
        let mut at = 0;
        for piece in bytes.chunks(10_000) {
            let piece = piece.to_vec();
            let next = at + u64::try_from(piece.len()).unwrap();
            let stands = told(restores, RestoreOrder::Take { at, piece }).await.unwrap().stands;
            assert_eq!(stands, RestoreStands::Taking { bytes: next });
            at = next;
        }
    }

    fn look(passphrase: &str) -> RestoreOrder {
        RestoreOrder::Look { passphrase: Secret(passphrase.to_owned()) }
    }

    #[tokio::test]
    async fn a_backup_becomes_the_gateway_and_what_was_there_comes_back() {
        let (old, backup) = gateway().await;
        let readings =
            |dir: &Path| store::stats(dir).unwrap().iter().map(|it| it.readings).sum::<u64>();
        let of_old = readings(old.dir.path());
        assert!(of_old > 0);
        // Another box, with another id and nothing in it.
        let new = tempfile::tempdir().unwrap();
        let state = new.path();
        let own = Keys::open(state, &SystemClock::new()).unwrap().gateway.to_string();
        empty_store(state);

        let anew = CancellationToken::new();
        let restores = Restores::of(state, anew.clone());
        assert_eq!(told(&restores, look(PASSPHRASE)).await, Err(NotRestored::Nothing));
        upload(&restores, &backup).await;
        let gap = RestoreOrder::Take { at: 1, piece: vec![0] };
        let at = u64::try_from(backup.len()).unwrap();
        assert_eq!(told(&restores, gap).await, Err(NotRestored::Elsewhere { at }));

        told(&restores, look("another passphrase")).await.unwrap();
        let RestoreStands::Failed(why) = looked(&restores).await else { panic!("it opened") };
        assert!(why.contains("the passphrase is another one"), "{why}");
        told(&restores, look(PASSPHRASE)).await.unwrap();
        let RestoreStands::Held(held) = looked(&restores).await else { panic!("it did not open") };
        assert_eq!((held.readings, held.same, &*held.damages), (of_old, false, &[] as &[String]));
        assert_eq!(settle(state).unwrap(), None, "to look changes nothing");

        told(&restores, RestoreOrder::Go { who: "Kari".to_owned() }).await.unwrap();
        assert!(anew.is_cancelled(), "the daemon starts anew");
        let who = |who: &str, back| Some(Settled { who: who.to_owned(), back });
        assert_eq!(settle(state).unwrap(), who("Kari", false));
        assert_eq!(settle(state).unwrap(), None, "once");
        let id = || Keys::open(state, &SystemClock::new()).unwrap().gateway.to_string();
        assert_eq!((id(), readings(state)), (held.gateway.clone(), of_old));
        assert!(!state.join(COMING).exists());

        let restores = Restores::of(state, CancellationToken::new());
        assert!(told(&restores, RestoreOrder::Tell).await.unwrap().before);
        told(&restores, RestoreOrder::Back { who: "Per".to_owned() }).await.unwrap();
        assert_eq!(settle(state).unwrap(), who("Per", true));
        assert_eq!((id(), readings(state)), (own, 0));
    }

    #[tokio::test]
    async fn a_power_cut_in_the_middle_is_made_good() {
        let (old, backup) = gateway().await;
        let wanted = fs::read(old.dir.path().join("keys/gateway-id")).unwrap();
        let epoch = old.store.outbox().epoch();
        // After each of the moves of the two steps.
        for (moves, back) in (0..12).flat_map(|moves| [(moves, false), (moves, true)]) {
            let new = another(&backup, back);
            let state = new.path();
            cut_after(moves, back, state);
            assert!(settle(state).unwrap().is_some(), "after {moves} moves");
            assert_eq!(fs::read(state.join("keys/gateway-id")).unwrap(), wanted, "{moves}");
            assert!(store::verify(state).unwrap().iter().all(|it| it.damages.is_empty()));
            let clock = store::testing::FixedClock::at(1_795_000_000_000);
            let (store, _) = store::testing::open(state, &clock).unwrap();
            assert_ne!(store.outbox().epoch(), epoch, "a new one has begun, {moves}");
            store.close().unwrap();
            let before = state.join(BEFORE);
            for name in ["core.db", "keys"] {
                assert!(before.join(name).exists(), "{name} after {moves} moves");
            }
        }
    }

    /// A box with another gateway that is to become the one of `backup`, which is held or was there before.
    fn another(backup: &[u8], back: bool) -> tempfile::TempDir {
        let new = tempfile::tempdir().unwrap();
        let state = new.path();
        Keys::open(state, &SystemClock::new()).unwrap();
        empty_store(state);
        let coming = state.join(COMING);
        private(&coming).unwrap();
        let to = if back { state.join(BEFORE) } else { coming.join("state") };
        crate::backup::read(backup, &to, PASSPHRASE).unwrap();
        Go { who: "Kari".to_owned(), back, aside: false }.keep(&coming).unwrap();
        new
    }

    /// As if a version to come had written it: where a file of SQLite tells it.
    fn make_newer(db: &Path) {
        let file = File::options().write(true).open(db).unwrap();
        file.write_all_at(&99_u32.to_be_bytes(), 60).unwrap();
    }

    #[tokio::test]
    async fn a_backup_of_a_newer_version_is_refused_and_what_was_there_stays() {
        let (_old, backup) = gateway().await;
        for back in [false, true] {
            let new = another(&backup, back);
            let state = new.path();
            let own = fs::read(state.join("keys/gateway-id")).unwrap();
            let newer = state.join(if back { BEFORE } else { "restoring/state" });
            make_newer(&newer.join("core.db"));
            let error = held(state, &newer, 0, 0).unwrap_err().to_string();
            assert!(error.ends_with("was written by a newer version of fyrhus"), "{error}");

            assert_eq!(settle(state).unwrap(), None);
            assert_eq!(fs::read(state.join("keys/gateway-id")).unwrap(), own);
            assert_eq!(state.join(BEFORE).join("core.db").exists(), back, "nothing of it is lost");
            let restores = Restores::of(state, CancellationToken::new());
            let RestoreStands::Failed(why) = restores.now().stands else { panic!("{back}") };
            assert!(why.contains("newer version"), "{why}");
            assert_eq!(settle(state).unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_was_there_before_is_not_touched_before_the_next_start() {
        let (_old, backup) = gateway().await;
        let new = another(&backup, true);
        let state = new.path();
        fs::remove_dir_all(state.join(COMING)).unwrap();
        let restores = Restores::of(state, CancellationToken::new());
        // Nothing can be kept there.
        fs::write(state.join(COMING), "in the way").unwrap();
        let refused = told(&restores, RestoreOrder::Back { who: "Per".to_owned() }).await;
        assert!(matches!(refused, Err(NotRestored::Failed(_))), "{refused:?}");
        fs::remove_file(state.join(COMING)).unwrap();
        told(&restores, RestoreOrder::Back { who: "Per".to_owned() }).await.unwrap();
        // The power goes, and whoever starts then does not see that it was wanted.
        drop(Restores::of(state, CancellationToken::new()));
        assert!(state.join(BEFORE).join("core.db").exists());
    }

    #[tokio::test]
    async fn a_go_that_cannot_be_read_is_no_start_without_it() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("restoring/go")).unwrap();
        settle(state.path()).unwrap_err();
    }

    /// Does as [`settle`] would, and stops after so many moves.
    fn cut_after(moves: usize, back: bool, state: &Path) {
        let (coming, before) = (state.join(COMING), state.join(BEFORE));
        let mut left = moves;
        if back {
            if left == 0 {
                return;
            }
            left -= 1;
            fs::rename(&before, coming.join("state")).unwrap();
        }
        store::restored(&coming.join("state")).unwrap();
        let mut some = |from: &Path, to: &Path| {
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                if name == COMING || name == BEFORE {
                    continue;
                }
                if left == 0 {
                    return false;
                }
                left -= 1;
                fs::rename(from.join(&name), to.join(&name)).unwrap();
            }
            true
        };
        fs::create_dir(&before).unwrap();
        if some(state, &before) {
            Go { who: "Kari".to_owned(), back, aside: true }.keep(&coming).unwrap();
            some(&coming.join("state"), state);
        }
    }
}
