//! A file that only a passphrase opens: what a backup is kept in.
//!
//! ```text
//! fyrhus-sealed-1\n   memory   rounds   lanes   salt       chunk  chunk  ...  last chunk
//!        16 bytes    KiB, u32   u32      u32    16 bytes   65 536 bytes and a tag of 16, each
//! ```
//!
//! The key is Argon2id of the passphrase. Each chunk is sealed by ChaCha20-Poly1305 with its number as the
//! nonce, the last one with a mark in it, and the head is authenticated with every chunk. (The chunks are
//! those of the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015.) A key seals one file:
//! the salt is new each time.
//!
//! **Never true:** bytes are handed out that nobody who knew the passphrase has sealed, chunks change
//! places, or a file that was cut off ends quietly.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

const MAGIC: &[u8; 16] = b"fyrhus-sealed-1\n";
const SALT: usize = 16;
const HEAD: usize = 16 + 12 + SALT;
const CHUNK: usize = 65_536;
const TAG: usize = 16;

/// 64 MiB and three rounds: a second on a small board, and dear for whoever guesses. Tests guess often.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 65_536 };
const ROUNDS: u32 = 3;

/// More than this nobody has sealed with: a forged head shall not take all memory.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_ROUNDS: u32 = 100;

/// Whether a file begins as one that is sealed.
pub(crate) fn is_sealed(mut file: impl Read) -> bool {
    let mut head = [0; MAGIC.len()];
    file.read_exact(&mut head).is_ok() && head == *MAGIC
}

/// Seals what is written into it.
pub(crate) struct Sealing<W: Write> {
    inner: W,
    stream: Stream,
    chunk: Vec<u8>,
}

/// Opens what is read from it.
pub(crate) struct Opening<R: Read> {
    inner: R,
    stream: Stream,
    /// What was opened and is not taken yet.
    opened: Vec<u8>,
    taken: usize,
    /// What was read of the next chunk already.
    next: Vec<u8>,
    over: bool,
}

/// The key, and which chunk is next.
struct Stream {
    key: LessSafeKey,
    head: [u8; HEAD],
    number: u64,
}

impl Stream {
    fn new(passphrase: &str, head: [u8; HEAD]) -> io::Result<Self> {
        let number = |at: usize| {
            let bytes = head.get(at..at + 4).and_then(|it| it.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let (memory, rounds, lanes) = (number(16), number(20), number(24));
        if memory > MOST_MEMORY_KIB || rounds > MOST_ROUNDS {
            return Err(damaged("its key would cost more than any that is made"));
        }
        let params = Params::new(memory, rounds, lanes, Some(32));
        let params = params.map_err(|_| damaged("nothing can have been sealed so"))?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), head.get(28..).unwrap_or_default(), &mut key)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key)
            .map_err(|_| io::Error::other("a key has 32 bytes"))?;
        Ok(Self { key: LessSafeKey::new(key), head, number: 0 })
    }

    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        let (number, mark) = nonce.split_at_mut(8);
        number.copy_from_slice(&self.number.to_be_bytes());
        mark.fill(u8::from(last));
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let nonce = self.nonce(last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(self.head), chunk)
            .map_err(|_| io::Error::other("a chunk is not sealed"))
    }

    fn open(&mut self, chunk: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let first = self.number == 0;
        let nonce = self.nonce(last);
        let opened = self.key.open_in_place(nonce, Aad::from(self.head), chunk);
        let length = opened.map(|it| it.len()).map_err(|_| {
            damaged(if first {
                "the passphrase is another one, or the file is not as it was sealed"
            } else {
                "it is not as it was sealed"
            })
        })?;
        chunk.truncate(length);
        Ok(())
    }
}

impl<W: Write> Sealing<W> {
    /// Writes the head.
    pub(crate) fn begin(mut inner: W, passphrase: &str) -> io::Result<Self> {
        let salt: [u8; SALT] = rand::random();
        let mut head = [0; HEAD];
        let numbers = [MEMORY_KIB, ROUNDS, 1].map(u32::to_le_bytes).concat();
        let parts = MAGIC.iter().chain(&numbers).chain(&salt);
        head.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        inner.write_all(&head)?;
        Ok(Self { inner, stream: Stream::new(passphrase, head)?, chunk: Vec::new() })
    }

    /// Writes the last chunk, without which the file is not whole.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.stream.seal(&mut self.chunk, true)?;
        self.inner.write_all(&self.chunk)?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last.
        if self.chunk.len() == CHUNK {
            let mut chunk = std::mem::take(&mut self.chunk);
            self.stream.seal(&mut chunk, false)?;
            self.inner.write_all(&chunk)?;
        }
        let room = CHUNK - self.chunk.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Opening<R> {
    /// Reads the head.
    pub(crate) fn begin(mut inner: R, passphrase: &str) -> io::Result<Self> {
        let mut head = [0; HEAD];
        inner.read_exact(&mut head).map_err(|_| damaged("it is too short to be a backup"))?;
        if !head.starts_with(MAGIC) {
            return Err(damaged("it is no backup that was made with a passphrase"));
        }
        let stream = Stream::new(passphrase, head)?;
        let mut opening =
            Self { inner, stream, opened: Vec::new(), taken: 0, next: Vec::new(), over: false };
        opening.fill()?;
        Ok(opening)
    }

    /// Opens the next chunk.
    fn fill(&mut self) -> io::Result<()> {
        // One byte more than a chunk tells whether there is another.
        let wanted = CHUNK + TAG + 1 - self.next.len();
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        (&mut self.inner).take(wanted).read_to_end(&mut self.next)?;
        let rest = self.next.split_off(self.next.len().min(CHUNK + TAG));
        let last = rest.is_empty();
        let mut chunk = std::mem::replace(&mut self.next, rest);
        self.stream.open(&mut chunk, last)?;
        (self.opened, self.taken, self.over) = (chunk, 0, last);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.opened.len() && !self.over {
            self.fill()?;
        }
        let mut left = self.opened.get(self.taken..).unwrap_or_default();
        let count = left.read(to)?;
        self.taken += count;
        Ok(count)
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::begin(Vec::new(), "rødgrød med fløde").unwrap();
        sealing.write_all(bytes).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(file: &[u8], passphrase: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Opening::begin(file, passphrase)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_alone() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let file = sealed(&bytes);
            assert_eq!(opened(&file, "rødgrød med fløde").unwrap(), bytes, "{length}");
        }
        let wrong = opened(&sealed(b"secret"), "rodgrod").unwrap_err().to_string();
        assert_eq!(wrong, "the passphrase is another one, or the file is not as it was sealed");
    }

    #[test]
    fn a_changed_byte_and_a_cut_are_seen() {
        let file = sealed(&vec![7; CHUNK + 100]);
        for at in [0, 17, HEAD - 1, HEAD, HEAD + CHUNK, HEAD + CHUNK + TAG + 3, file.len() - 1] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(opened(&changed, "rødgrød med fløde").is_err(), "byte {at}");
        }
        for length in [0, HEAD, HEAD + 5, HEAD + CHUNK + TAG, file.len() - 1] {
            assert!(opened(&file[..length], "rødgrød med fløde").is_err(), "cut to {length}");
        }
        // The chunks in another order.
        let two = sealed(&vec![7; 3 * CHUNK]);
        let (first, rest) = two[HEAD..].split_at(CHUNK + TAG);
        let (second, third) = rest.split_at(CHUNK + TAG);
        let swapped = [&two[..HEAD], second, first, third].concat();
        assert!(opened(&swapped, "rødgrød med fløde").is_err());
    }

    #[test]
    fn a_head_that_nobody_made_takes_no_memory() {
        let mut file = sealed(b"x");
        file[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = opened(&file, "rødgrød med fløde").unwrap_err().to_string();
        assert_eq!(error, "its key would cost more than any that is made");
    }
}
