//! A backup of the pages comes back, or what was there before stays.

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
    let restores = Restores::of(state, Path::new("/media/fyrhus"), anew.clone());
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

    let restores = Restores::of(state, Path::new("/media/fyrhus"), CancellationToken::new());
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
    Go { who: "Kari".to_owned(), back, aside: false, because: None }.keep(&coming).unwrap();
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
        let restores = Restores::of(state, Path::new("/media/fyrhus"), CancellationToken::new());
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
    let restores = Restores::of(state, Path::new("/media/fyrhus"), CancellationToken::new());
    // Nothing can be kept there.
    fs::write(state.join(COMING), "in the way").unwrap();
    let refused = told(&restores, RestoreOrder::Back { who: "Per".to_owned() }).await;
    assert!(matches!(refused, Err(NotRestored::Failed(_))), "{refused:?}");
    fs::remove_file(state.join(COMING)).unwrap();
    told(&restores, RestoreOrder::Back { who: "Per".to_owned() }).await.unwrap();
    // The power goes, and whoever starts then does not see that it was wanted.
    drop(Restores::of(state, Path::new("/media/fyrhus"), CancellationToken::new()));
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
        Go { who: "Kari".to_owned(), back, aside: true, because: None }.keep(&coming).unwrap();
        some(&coming.join("state"), state);
    }
}

#[tokio::test]
async fn what_was_restored_and_does_not_start_makes_room_for_what_was_there() {
    let (_old, backup) = gateway().await;
    let new = another(&backup, false);
    let state = new.path();
    let own = fs::read(state.join("keys/gateway-id")).unwrap();
    assert!(settle(state).unwrap().is_some());
    assert_ne!(fs::read(state.join("keys/gateway-id")).unwrap(), own, "it is restored");

    assert!(fall_back(state, &anyhow::anyhow!("no store of ours")).unwrap());
    let settled = settle(state).unwrap().unwrap();
    assert!(settled.back, "{settled:?}");
    assert_eq!(fs::read(state.join("keys/gateway-id")).unwrap(), own);
    assert!(!state.join(UNTRIED).exists() && !state.join(BEFORE).join(UNTRIED).exists());
    let restores = Restores::of(state, Path::new("/media/fyrhus"), CancellationToken::new());
    let RestoreStands::Failed(why) = restores.now().stands else { panic!("it is not said") };
    assert!(why.contains("no store of ours"), "{why}");
    assert!(
        !fall_back(state, &anyhow::anyhow!("once more")).unwrap(),
        "there is no other way back"
    );
}

#[tokio::test]
async fn what_has_started_once_is_not_taken_back_by_a_later_failure() {
    let (_old, backup) = gateway().await;
    let new = another(&backup, false);
    assert!(settle(new.path()).unwrap().is_some());
    started(new.path());
    assert!(!fall_back(new.path(), &anyhow::anyhow!("a worn disk")).unwrap());
    assert!(new.path().join(BEFORE).join("core.db").exists(), "it can still be brought back");
}

#[tokio::test]
async fn nobody_copies_half_of_a_restore() {
    let (_old, backup) = gateway().await;
    let new = another(&backup, false);
    let refused = Undisturbed::begin(new.path()).map(drop).unwrap_err().to_string();
    assert!(refused.starts_with("a restore is under way"), "{refused}");

    let copying = new.path().join(COMING).join("go");
    let go = fs::read(&copying).unwrap();
    fs::remove_file(&copying).unwrap();
    let copy = Undisturbed::begin(new.path()).unwrap();
    copy.end().unwrap();
    fs::write(&copying, go).unwrap();
    assert!(copy.end().is_err(), "it has begun");
    assert!(settle(new.path()).unwrap().is_some());
    assert!(copy.end().is_err(), "it is over, and the files are others");
}
