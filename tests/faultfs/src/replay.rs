//! Disks as power cuts leave them.
//!
//! What was synced is there. Of what was written since, each write is there, is not, or is there in some
//! of its sectors of 512 bytes: a disk may write in any order, and stops in the middle.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::Op;

/// When what was written is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// When SQLite synced it.
    Synced,
    /// A log only when it begins to be put into its database, whatever SQLite synced: what
    /// `synchronous = NORMAL` would do. For a control: whoever finds no loss with it finds none at all.
    LogsAreNotSynced,
}

/// Chance that is the same in every run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of that seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// A number from 0 to `below` - 1; 0 if that is 0.
    pub const fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        if below == 0 { 0 } else { (self.0 >> 11) % below }
    }
}

/// The files as they are found, and the newest mark before the cut.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// By the paths they had.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What the test had been told last.
    pub mark: Option<u64>,
}

/// Goes through what was recorded, and makes a disk wherever it is asked to.
#[derive(Debug)]
pub struct Replay<'a> {
    ops: &'a [Op],
    rule: Rule,
    done: usize,
    files: BTreeMap<PathBuf, Content>,
    mark: Option<u64>,
}

#[derive(Debug, Default)]
struct Content {
    safe: Vec<u8>,
    /// In order.
    unsafe_yet: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

const SECTOR: usize = 512;

impl<'a> Replay<'a> {
    /// From an empty disk on.
    pub const fn new(ops: &'a [Op], rule: Rule) -> Self {
        Self { ops, rule, done: 0, files: BTreeMap::new(), mark: None }
    }

    /// The disk after a cut behind so many operations; no fewer than at the cut before.
    pub fn cut(&mut self, after: usize, dice: &mut Dice) -> Image {
        while self.done < after {
            let Some(op) = self.ops.get(self.done) else { break };
            self.apply(op);
            self.done += 1;
        }
        let files = self.files.iter().map(|(path, content)| {
            let mut found = content.safe.clone();
            for change in &content.unsafe_yet {
                survive(change, &mut found, dice);
            }
            (path.clone(), found)
        });
        Image { files: files.collect(), mark: self.mark }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, at, bytes } => {
                if self.rule == Rule::LogsAreNotSynced {
                    self.make_safe(&log_of(file));
                }
                let at = usize::try_from(*at).unwrap_or(usize::MAX);
                self.change(file, Change::Write(at, bytes.clone()));
            }
            Op::Truncate { file, size } => {
                let size = usize::try_from(*size).unwrap_or(usize::MAX);
                self.change(file, Change::Truncate(size));
            }
            Op::Sync { file } => {
                let is_log = file.extension() == Some(OsStr::new("db-wal"));
                if self.rule == Rule::Synced || !is_log {
                    self.make_safe(file);
                }
            }
            Op::Delete { file } => {
                self.files.remove(file);
            }
            Op::Mark(number) => self.mark = Some(*number),
        }
    }

    fn change(&mut self, file: &Path, change: Change) {
        self.files.entry(file.to_owned()).or_default().unsafe_yet.push(change);
    }

    fn make_safe(&mut self, file: &Path) {
        if let Some(content) = self.files.get_mut(file) {
            for change in std::mem::take(&mut content.unsafe_yet) {
                happen(&change, &mut content.safe);
            }
        }
    }
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn happen(change: &Change, file: &mut Vec<u8>) {
    match change {
        Change::Truncate(size) => file.resize(*size, 0),
        Change::Write(at, bytes) => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*at..end].copy_from_slice(bytes);
        }
    }
}

fn survive(change: &Change, file: &mut Vec<u8>, dice: &mut Dice) {
    match dice.roll(10) {
        0..3 => {}
        3..6 => match change {
            Change::Truncate(_) => {}
            Change::Write(at, bytes) => {
                let (mut at, mut rest) = (*at, bytes.as_slice());
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if dice.roll(2) == 0 {
                        happen(&Change::Write(at, sector.to_vec()), file);
                    }
                    (at, rest) = (at + sector.len(), after);
                }
            }
        },
        _ => happen(change, file),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LOG: &str = "raw.db-wal";

    /// What can be found of a file of three writes after a cut behind all `ops`: of each the bytes that it
    /// has left, by sector.
    fn found(ops: &[Op], rule: Rule) -> BTreeSet<Vec<u8>> {
        let mut dice = Dice::new(1);
        (0..2_000)
            .map(|_| {
                let image = Replay::new(ops, rule).cut(ops.len(), &mut dice);
                image.files.get(Path::new(LOG)).cloned().unwrap_or_default()
            })
            .collect()
    }

    fn write(at: u64, byte: u8, count: usize) -> Op {
        Op::Write { file: LOG.into(), at, bytes: vec![byte; count] }
    }

    fn sync(file: &str) -> Op {
        Op::Sync { file: file.into() }
    }

    /// The byte in which each sector begins and ends; 0 is what is not there.
    fn sectors(file: &[u8]) -> Vec<(u8, u8)> {
        let ends = |it: &[u8]| (it.first().copied().unwrap_or(0), it.last().copied().unwrap_or(0));
        file.chunks(SECTOR).map(ends).collect()
    }

    #[test]
    fn writes_are_torn_at_sectors_and_reordered() {
        // The second one begins in the middle of a sector.
        let found =
            found(&[write(0, 1, 512), write(700, 2, 1_000), write(2_048, 3, 512)], Rule::Synced);
        let seen: BTreeSet<Vec<(u8, u8)>> = found.iter().map(|it| sectors(it)).collect();
        let has = |wanted: &[(u8, u8)]| seen.contains(wanted);
        assert!(has(&[]), "nothing survives");
        assert!(has(&[(1, 1), (0, 2), (2, 2), (2, 0), (3, 3)]), "all of it does");
        assert!(has(&[(0, 0), (0, 0), (0, 0), (0, 0), (3, 3)]), "the last one without the others");
        assert!(has(&[(1, 1), (0, 0), (2, 2)]), "a sector in the middle of one");
        assert!(found.iter().all(|it| {
            // A sector that the second write fills is its or nobody's.
            it.get(1_024..1_536).is_none_or(|it| it.iter().all(|byte| *byte == it[0]))
        }));
    }

    #[test]
    fn what_was_synced_is_there() {
        let found = found(&[write(0, 1, 2_000), sync(LOG), write(0, 2, 512)], Rule::Synced);
        assert!(
            found.iter().all(|it| it.len() == 2_000 && it[512..].iter().all(|byte| *byte == 1))
        );
        assert_eq!(found.iter().map(|it| it[0]).collect::<BTreeSet<_>>(), [1, 2].into());
    }

    #[test]
    fn logs_of_the_control_are_safe_when_their_database_is_written() {
        let logged = [write(0, 1, 512), sync(LOG)];
        assert!(found(&logged, Rule::LogsAreNotSynced).contains(&Vec::new()), "it may be lost");
        let database = Op::Write { file: "raw.db".into(), at: 0, bytes: vec![9] };
        let kept = [logged.as_slice(), &[database]].concat();
        assert_eq!(found(&kept, Rule::LogsAreNotSynced), [vec![1; 512]].into());
    }
}
