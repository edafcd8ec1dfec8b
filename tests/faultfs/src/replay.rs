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
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    if dice.roll(2) == 0 {
                        happen(&Change::Write(at + number * SECTOR, sector.to_vec()), file);
                    }
                }
            }
        },
        _ => happen(change, file),
    }
}
