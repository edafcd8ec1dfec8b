//! A small file that is always whole: what was written last, or what was written before it.
//!
//! ```text
//! 0        64 KiB       128 KiB
//! │ slot 0 │ slot 1 │      each: magic, generation, length, CRC-32C of all of it, content
//! ```
//!
//! Each writing goes into the slot that does not hold the newest content, and is on the disk when
//! it returns; a power cut in its middle leaves the other one. The file has its whole length from
//! the beginning, so that a full disk stops nothing, and a writing changes nothing but its bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file, and where the newest content is.
#[derive(Debug)]
pub(super) struct Slots {
    file: File,
    /// Of the newest content; 0 if there is none. Its slot is its lowest bit.
    generation: u64,
}

impl Slots {
    /// Opens the file at `path`, or makes it, and reads the newest content.
    ///
    /// `None` in the place of the content if there is none that is whole; `true` if there was one
    /// before, and it is damaged.
    ///
    /// # Errors
    ///
    /// If it can neither be read nor made.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Vec<u8>>, bool)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.len() < 2 * SLOT {
            // Written and not only set to its length, so that its place on the disk is its own.
            let from = file.metadata()?.len();
            let rest = usize::try_from(2 * SLOT - from).unwrap_or_default();
            file.write_all_at(&vec![0; rest], from)?;
            file.sync_all()?;
            if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?;
            }
        }
        let (mut newest, mut blank) = (None, true);
        for slot in 0..2 {
            let mut bytes = vec![0; usize::try_from(SLOT).unwrap_or_default()];
            file.read_exact_at(&mut bytes, slot * SLOT)?;
            blank &= bytes.iter().all(|byte| *byte == 0);
            if let Some((generation, content)) = whole(&bytes)
                && newest.as_ref().is_none_or(|(newer, _)| *newer < generation)
            {
                newest = Some((generation, content.to_vec()));
            }
        }
        let (generation, content) = newest.map_or((0, None), |(at, content)| (at, Some(content)));
        let damaged = content.is_none() && !blank;
        Ok((Self { file, generation }, content, damaged))
    }

    /// Puts `content` on the disk, beside what is there.
    ///
    /// # Errors
    ///
    /// If the disk refuses, or the content is larger than [`MOST`]; what was there holds.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let generation = self.generation + 1;
        let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= MOST);
        let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.extend(MAGIC);
        bytes.extend(generation.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), content);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(content);
        self.file.write_all_at(&bytes, generation % 2 * SLOT)?;
        self.file.sync_data()?;
        self.generation = generation;
        Ok(())
    }
}

/// What is in a slot, if it is whole.
fn whole(slot: &[u8]) -> Option<(u64, &[u8])> {
    let (head, rest) = slot.split_at_checked(HEAD)?;
    let (summed, sum) = head.split_at_checked(HEAD - 4)?;
    let (magic, numbers) = summed.split_at_checked(MAGIC.len())?;
    let (generation, length) = numbers.split_at_checked(8)?;
    let generation = u64::from_le_bytes(generation.try_into().ok()?);
    let length = u32::from_le_bytes(length.try_into().ok()?);
    let content = rest.get(..usize::try_from(length).ok()?)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(summed), content);
    (magic == MAGIC && sum == expected.to_le_bytes()).then_some((generation, content))
}

const SLOT: u64 = 64 * 1024;
const MAGIC: [u8; 8] = *b"FYRPULS1";
const HEAD: usize = 24;
/// The most that a slot holds.
pub(super) const MOST: usize = 64 * 1024 - HEAD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_read_and_a_torn_writing_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counts");
        let (mut slots, content, damaged) = Slots::open(&path).unwrap();
        assert_eq!((content, damaged), (None, false), "it is new");
        assert!(!Slots::open(&path).unwrap().2, "and nothing was written yet");
        slots.write(b"one").unwrap();
        slots.write(b"two!").unwrap();
        assert_eq!(Slots::open(&path).unwrap().1.as_deref(), Some(&b"two!"[..]));

        // `two!` is in slot 0. Whichever byte of it did not reach the disk: `one` holds.
        let good = std::fs::read(&path).unwrap();
        for byte in 0..HEAD + 4 {
            let mut torn = good.clone();
            torn[byte] ^= 0x55;
            std::fs::write(&path, torn).unwrap();
            assert_eq!(Slots::open(&path).unwrap().1.as_deref(), Some(&b"one"[..]), "byte {byte}");
        }

        // And it goes on from there.
        let (mut slots, ..) = Slots::open(&path).unwrap();
        slots.write(b"three").unwrap();
        assert_eq!(Slots::open(&path).unwrap().1.as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_file_without_a_whole_slot_is_damaged_and_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counts");
        for nonsense in [b"x".to_vec(), vec![0xFF; 200_000]] {
            std::fs::write(&path, nonsense).unwrap();
            let (mut slots, content, damaged) = Slots::open(&path).unwrap();
            assert_eq!((content, damaged), (None, true));
            slots.write(b"again").unwrap();
            assert_eq!(Slots::open(&path).unwrap().1.as_deref(), Some(&b"again"[..]));
        }
        let (mut slots, ..) = Slots::open(&path).unwrap();
        assert!(slots.write(&vec![0; MOST + 1]).is_err());
        assert_eq!(Slots::open(&path).unwrap().1.as_deref(), Some(&b"again"[..]));
    }
}
