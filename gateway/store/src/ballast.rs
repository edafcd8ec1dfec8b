//! Bytes that are given up when the disk is full.
//!
//! On a disk without a free byte SQLite can neither delete nor put its log into the file, and a
//! store that was closed there may not open again. So a file of zeros keeps some room. Once
//! it is given up, no reading is stored before there is room for it again: otherwise the readings
//! would fill that room too.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::error::{StoreError, free_bytes};

#[derive(Debug)]
pub(crate) struct Ballast {
    dir: PathBuf,
    bytes: u64,
    given_up: bool,
}

impl Ballast {
    /// `bytes` of it in `dir`, or none if that is 0 or if there is no room.
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        let mut ballast = Self { dir: dir.to_owned(), bytes, given_up: true };
        if ballast.restore().is_err() {
            tracing::warn!("no room on the disk for {bytes} bytes of ballast");
        }
        ballast
    }

    /// Deletes what is in `dir` of one that nobody has taken up yet; whether there was any.
    pub(crate) fn drop_in(dir: &Path) -> bool {
        fs::remove_file(dir.join(NAME)).is_ok()
    }

    /// Deletes it.
    pub(crate) fn give_up(&mut self) {
        if self.bytes > 0 {
            self.given_up = true;
            if let Err(cause) = fs::remove_file(self.path()) {
                tracing::warn!(error = &cause as &dyn std::error::Error, "ballast not deleted");
            }
        }
    }

    /// Makes it again, if it was given up and there is room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] as long as there is none.
    pub(crate) fn restore(&mut self) -> Result<(), StoreError> {
        if !self.given_up || self.bytes == 0 {
            return Ok(());
        }
        let there = fs::metadata(self.path()).map_or(0, |file| file.len());
        let needed = self.bytes.saturating_sub(there).saturating_add(MARGIN);
        let room = there >= self.bytes || free_bytes(&self.dir).is_none_or(|free| free >= needed);
        if !room || self.write().is_err() {
            return Err(StoreError::Full { dir: self.dir.clone() });
        }
        self.given_up = false;
        Ok(())
    }

    /// Allocates the blocks; a file that was only made longer would hold none. Where the file system
    /// cannot allocate, zeros are written.
    fn write(&self) -> io::Result<()> {
        let mut file =
            File::options().create(true).truncate(false).write(true).open(self.path())?;
        let length = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        match fallocate(&file, FallocateFlags::empty(), 0, length) {
            Err(Errno::EOPNOTSUPP) => {
                io::copy(&mut io::repeat(0).take(self.bytes), &mut file)?;
                file.sync_all()
            }
            other => other.map_err(io::Error::from),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }
}

const NAME: &str = "ballast";

/// So that the first round after a full disk does not fill it again.
const MARGIN: u64 = 1024 * 1024;
