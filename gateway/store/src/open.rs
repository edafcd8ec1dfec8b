//! How a store comes up, whatever state the last power cut left it in.
//!
//! 1. The directory is locked: there is one writer. A repair that was interrupted is finished.
//! 2. `core.db` is checked. Damaged, it is put aside and begun again, with a new epoch.
//! 3. Each raw file is asked what it holds; the newest two are read through. Damaged ones are put
//!    aside and what can be read of them is kept.
//! 4. The newest number is the highest in the raw files, or, if some of them are gone, the
//!    highest that may have been given.
//! 5. `rollup.db` is checked; the readings that are not in it yet are counted from the raw files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use metering::Clock;
use rand::Rng;
use rusqlite::{Connection, params};

use crate::Options;
use crate::ballast::Ballast;
use crate::chunk;
use crate::civil::Civil;
use crate::completeness::Schedules;
use crate::correction::{Corrected, forget_beyond};
use crate::engine::{Engine, MOST_TALLIES, cursor, set_cursor};
use crate::error::{DoingWith, StoreError};
use crate::files::{self, DirLock, Month};
use crate::hot::Hot;
use crate::outage::Watch;
use crate::pack::PackedMonths;
use crate::registry::{Registry, Written, read_series, write_series};
use crate::repair::{self, Damage};
use crate::spool::{self, Held};
use crate::state::{Shared, State};
use crate::successor;
use crate::tables;
use crate::telegrams::Telegrams;
use crate::waiting::{self, Waiting};
use crate::walk::{Next, OpenRaws, walk};
use crate::wanted::Wanted;

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The newest number that was given to a reading; 0 in a new store.
    pub head: u64,
    /// How many readings had to be counted again into the roll-ups.
    pub recovered: u64,
    /// The files that were damaged: tell the operator each sentence.
    pub damaged: Vec<Damage>,
}

pub(crate) fn open(
    options: Options,
    clock: Arc<dyn Clock>,
) -> Result<(Engine, OpenReport), StoreError> {
    let Options { dir, time_zone, ballast_bytes } = options;
    let dir = dir.as_path();
    let civil = Civil::of(time_zone);
    fs::create_dir_all(dir).doing_with("make the folder", dir)?;
    let lock = DirLock::take(dir)?;
    successor::settle(dir)?;
    let now = clock.now();

    let (mut core, core_damage) = open_core(dir)?;
    let core_is_fresh = core_damage.is_some() || cursor(&core, "epoch")?.is_none();
    let mut damaged = Vec::from_iter(core_damage);

    let (mut held, raw_damages) = look_at_raws(dir)?;
    let lost_raws = !raw_damages.is_empty();
    damaged.extend(raw_damages);

    if core_is_fresh {
        set_cursor(&core, "epoch", new_epoch())?;
        regain_series(&mut core, &held)?;
    }
    waiting::settle(&mut core, newest(&held)).or_else(full_is_no_reason)?;
    let mut rollup = match look_at_rollup(dir) {
        Err(error) if error.is_damage() || matches!(error, StoreError::Foreign { .. }) => {
            Err(error)
        }
        other => Ok(other?),
    };
    let (mut state, foreign) = load(&core)?;
    let mut counted = 0;
    if let Ok(rollup) = &mut rollup {
        tables::bring_over(rollup, &state.registry, civil)?;
        tables::follow_zone(rollup, civil)?;
        counted = tables::read_hot(rollup)?.applied_seq;
    }
    state.head = newest(&held);
    let reserved = cursor(&core, "reserved")?.unwrap_or(0);
    damaged.extend(lead(&mut state, counted, reserved, lost_raws));
    let head = state.head;
    forget_beyond(&core, head).or_else(full_is_no_reason)?;
    state.corrected = Arc::new(Corrected::read(&core)?);
    let (rollup, recovered) = loop {
        state.files = Arc::new(held.clone());
        let counted = match &mut rollup {
            Ok(rollup) => {
                count_the_rest(rollup, &state, civil).map(|(hot, recovered)| (hot, recovered, None))
            }
            Err(found) => repair::roll_ups(dir, &state, civil, found)
                .map(|it| (it.hot, it.counted, Some((it.db, it.damage)))),
        };
        match counted {
            Ok((hot, recovered, None)) => {
                state.hot = Arc::new(hot);
                break (rollup?, recovered);
            }
            Ok((hot, recovered, Some((db, damage)))) => {
                state.hot = Arc::new(hot);
                damaged.push(damage);
                break (db, recovered);
            }
            Err(error @ StoreError::Corrupt { .. }) => {
                let Some(month) = month_of(&error) else { return Err(error) };
                damaged.push(repair::raw(dir, month, &error)?);
                let (found, more) = look_at_raws(dir)?;
                held = found;
                damaged.extend(more);
                state.head = head.max(reserved);
            }
            Err(error) => return Err(error),
        }
    };
    if !damaged.is_empty() {
        repair::try_to_note_losses(&core, &state.files, state.head, now.wall_ms());
    }
    damaged.extend(foreign);

    let alive = state.hot.progress.values().filter_map(|it| it.live_at).max();
    let waiting = Waiting::read(&core)?;
    let report = OpenReport { head: state.head, recovered, damaged };
    let mut engine = Engine {
        dir: dir.to_owned(),
        clock,
        wanted: Wanted::read(&core)?,
        watch: Watch::begin(&core, now, alive, &waiting).or_else(full_is_no_reason)?,
        core,
        rollup,
        raws: std::collections::BTreeMap::new(),
        shared: Arc::new(Shared::new(dir.to_owned(), civil, state)),
        ballast: Ballast::new(dir, ballast_bytes),
        reserved,
        written_at: now.boottime,
        scrubbed: None,
        packed: PackedMonths::default(),
        sealed: HashMap::new(),
        remembered: HashMap::new(),
        in_doubt: None,
        away: false,
        unopened: None,
        lock: Some(lock),
        waiting,
        telegrams: Telegrams::default(),
        pretended_full: None,
    };
    begin(&mut engine, &report, counted);
    Ok((engine, report))
}

/// What was found is written down and wanted again, and what was corrected is counted.
fn begin(engine: &mut Engine, report: &OpenReport, counted: u64) {
    if report.damaged.iter().any(|it| files::rollup_path(Path::new("")) == Path::new(&it.file)) {
        engine.wanted_uncounted();
    }
    for damage in &report.damaged {
        engine.report(damage);
        if let Ok(month) = damage.file.parse::<Month>() {
            engine.want_since(month.span(), counted);
        }
        if damage.file == A_RAW_FILE {
            engine.want_since(behind_all(engine), counted);
        }
    }
    engine.count_corrections_after(counted);
}

/// The time of a file that is gone, whose month nobody knows any more: it came behind all that is there.
fn behind_all(engine: &Engine) -> std::ops::Range<i64> {
    let state = engine.state();
    let there = state.files.iter().filter_map(|held| held.times).map(|(_, last)| last).max();
    let series = || state.registry.meters().flat_map(|meter| state.registry.of_meter(meter));
    let begins = series().map(|info| Month::of(info.begins_ms).span().start).min();
    // The times of a file are known to a day.
    let from = there.map(|last| last.saturating_sub(2 * spool::DAY_MS)).or(begins).unwrap_or(0);
    let newest = state.hot.progress.values().map(|it| it.newest.at_ms).max().unwrap_or(from);
    from..newest.max(engine.clock.now().wall_ms()).max(from).saturating_add(1)
}

/// What a file is called that is not there.
const A_RAW_FILE: &str = "a raw file";

/// A full disk costs the cause of an outage, and keeps no store from being opened.
fn full_is_no_reason<T: Default>(error: StoreError) -> Result<T, StoreError> {
    if error.is_damage() {
        return Err(error);
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "the start is not written down");
    Ok(T::default())
}

/// What the memory of a store is made of, apart from its raw files and tallies; and what of it
/// means nothing to this version.
fn load(core: &Connection) -> Result<(State, Vec<Damage>), StoreError> {
    let mut registry = Registry::default();
    let Written { series, foreign } = read_series(core)?;
    for info in series {
        registry.insert(info);
    }
    let mut left_out = Vec::new();
    for (series, why) in foreign {
        registry.hold(series);
        let mut damage = Damage::new(Path::new("core.db"), &why, None);
        damage.outcome = format!(
            "series {series} is neither shown nor sent; its readings are kept for a version that \
             knows it"
        );
        left_out.push(damage);
    }
    let state = State {
        registry: Arc::new(registry),
        schedules: Arc::new(Schedules::read(core)?),
        corrected: Arc::new(Corrected::read(core)?),
        acked: cursor(core, "acked")?.unwrap_or(0),
        epoch: cursor(core, "epoch")?.unwrap_or(0),
        ..State::default()
    };
    Ok((state, left_out))
}

/// The state of a store that another process writes, as its files have it.
pub(crate) fn beside(dir: &Path, civil: Civil) -> Result<Shared, StoreError> {
    let (mut state, _told_by_its_writer) = load(&files::open_to_read(&files::core_path(dir))?)?;
    let mut held = Vec::new();
    for month in Month::all_in(dir)? {
        let path = month.path(dir);
        held.push(Held::ask(&files::open_to_read(&path)?, &path, month)?);
    }
    state.head = newest(&held);
    state.files = Arc::new(held);
    let rollup = files::open_to_read(&files::rollup_path(dir))?;
    let mut hot = tables::read_hot(&rollup)?;
    count_from_raws(&state, &mut hot, |_| Ok(()))?;
    state.hot = Arc::new(hot);
    Ok(Shared::new(dir.to_owned(), civil, state))
}

/// Counts what the roll-up file does not have yet, and says how many readings that were.
fn count_the_rest(
    rollup: &mut Connection,
    state: &State,
    civil: Civil,
) -> Result<(Hot, u64), StoreError> {
    let mut hot = tables::read_hot(rollup)?;
    let recovered = replay(rollup, state, &mut hot, civil)?;
    Ok((hot, recovered))
}

/// The newest number that is in a file.
pub(crate) fn newest(held: &[Held]) -> u64 {
    held.iter().filter_map(|held| held.seqs).map(|(_, last)| last).max().unwrap_or(0)
}

/// Counts the readings that are not in the roll-up file, and leaves the newest of them in memory.
pub(crate) fn replay(
    rollup: &mut Connection,
    state: &State,
    hot: &mut Hot,
    civil: Civil,
) -> Result<u64, StoreError> {
    count_from_raws(state, hot, |hot| {
        if hot.tallies.len() > MOST_TALLIES {
            tables::write(rollup, hot, &state.registry, civil)?;
            hot.written();
        }
        Ok(())
    })
}

fn count_from_raws(
    state: &State,
    hot: &mut Hot,
    mut after_row: impl FnMut(&mut Hot) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    hot.recall_answered(&state.registry);
    let mut counted = 0;
    let raws = OpenRaws::default();
    walk(&state.files, &raws, hot.applied_seq + 1, |next| {
        if let Next::Piece(piece) = next {
            let before = hot.applied_seq.max(piece.first_seq - 1);
            let fresh = piece.last_seq().saturating_sub(before);
            hot.apply(&state.registry, piece.first_seq, piece.imported, &piece.entries);
            counted += fresh;
            after_row(hot)?;
        }
        Ok(true)
    })?;
    Ok(counted)
}

/// Opens `core.db` and has SQLite look at it; one that is damaged is put aside and begun again.
fn open_core(dir: &Path) -> Result<(Connection, Option<Damage>), StoreError> {
    let path = &files::core_path(dir);
    let opened = files::open(path, &files::CORE).and_then(|db| {
        files::check_structure(&db, path)?;
        Ok(db)
    });
    match opened {
        Ok(db) => Ok((db, None)),
        Err(error) if error.is_damage() => {
            let aside = files::put_aside(path)?;
            let mut damage = Damage::new(path, &error, Some(&aside));
            "a fresh one was begun: the configuration's history, users and settings are only in the \
             old one"
                .clone_into(&mut damage.outcome);
            Ok((files::open(path, &files::CORE)?, Some(damage)))
        }
        Err(error) => Err(error),
    }
}

/// Opens the roll-up file, if nothing is wrong with it.
fn look_at_rollup(dir: &Path) -> Result<Connection, StoreError> {
    let path = files::rollup_path(dir);
    let db = files::open(&path, &files::ROLLUP)?;
    files::check_structure(&db, &path)?;
    tables::read_hot(&db)?;
    Ok(db)
}

/// What each raw file holds. The newest two are read through; damaged ones are put aside.
fn look_at_raws(dir: &Path) -> Result<(Vec<Held>, Vec<Damage>), StoreError> {
    let months = Month::all_in(dir)?;
    let mut held = Vec::new();
    let mut damaged = Vec::new();
    for (index, month) in months.iter().enumerate() {
        let thorough = index + 2 >= months.len();
        match look(dir, *month, thorough) {
            Ok(found) => held.push(found),
            Err(error) if error.is_damage() => match save(dir, *month, &error) {
                Ok(damage) => {
                    damaged.push(damage);
                    held.push(look(dir, *month, false)?);
                }
                Err(full) if full.is_full() => {
                    let mut damage = Damage::new(&month.path(dir), &error, None);
                    "there is no room to save what can be read of it: it is left as it is until the \
                     gateway is started with some"
                        .clone_into(&mut damage.outcome);
                    damaged.push(damage);
                }
                Err(other) => return Err(other),
            },
            Err(error) => return Err(error),
        }
    }
    Ok((held, damaged))
}

/// Saves what can be read of a damaged file; on a full disk in the room of the ballast.
fn save(dir: &Path, month: Month, error: &StoreError) -> Result<Damage, StoreError> {
    let save = || repair::raw(dir, month, error).map_err(|cause| cause.full_if_it_is(dir));
    match save() {
        Err(full) if full.is_full() && Ballast::drop_in(dir) => save(),
        other => other,
    }
}

fn look(dir: &Path, month: Month, thorough: bool) -> Result<Held, StoreError> {
    let path = month.path(dir);
    let db = files::open(&path, &files::RAW)?;
    if thorough {
        files::check_structure(&db, &path)?;
        spool::check(&db, &path)?;
        chunk::check(&db, &path, |_, _, error| Err(error))?;
    }
    Held::ask(&db, &path, month)
}

/// Every raw file explains its own series, so core.db can have them again.
fn regain_series(core: &mut Connection, held: &[Held]) -> Result<(), StoreError> {
    use crate::error::Doing;
    const DOING: &str = "write series";
    let transaction = core.transaction().doing(DOING)?;
    for held in held {
        write_series(&transaction, &read_series(&files::open_to_read(&held.path)?)?.series)?;
    }
    if newest(held) > 0 {
        transaction
            .execute(
                "INSERT OR REPLACE INTO cursor (name, value) VALUES ('reserved', ?1)",
                params![newest(held)],
            )
            .doing(DOING)?;
    }
    transaction.commit().doing(DOING)
}

/// Sees to it that no number is given again that a file had which is gone; says so if nobody has yet.
fn lead(state: &mut State, counted: u64, reserved: u64, lost_raws: bool) -> Option<Damage> {
    let (head, given) = (state.head, counted.max(state.acked));
    let missing = head < given;
    if missing || lost_raws {
        state.head = head.max(reserved).max(given);
    }
    (missing && !lost_raws).then(|| missing_damage(head, given))
}

fn missing_damage(head: u64, given: u64) -> Damage {
    Damage {
        file: A_RAW_FILE.to_owned(),
        what: format!(
            "it is gone: readings were stored up to {given}, and {head} is the last one found"
        ),
        kept_as: None,
        outcome: "the missing ones are told to the cloud as lost".to_owned(),
    }
}

fn month_of(error: &StoreError) -> Option<Month> {
    let StoreError::Corrupt { file, .. } = error else { return None };
    file.file_name()?.to_str()?.parse().ok()
}

/// Not 0, which no store has, and 63 bits, so that it is positive wherever it is kept.
pub(crate) fn new_epoch() -> u64 {
    (rand::rng().next_u64() >> 1).max(1)
}
