//! Checkpoints: how far a ledger is, signed by whoever has seen it.
//!
//! ```text
//! sla-ledger/1
//! 0192f0c1-…                                 the ledger
//! 8760                                       the number of its last entry
//! 3vYc…=                                     the hash of all of them
//! 1795269600000                              when, in UTC ms
//!
//! — gateway-0192f0c1 Az3grl…=                name, key hash and Ed25519 signature
//! — portfolio Bq8xPw…=                       and of whoever else has seen it
//! ```
//!
//! The form is that of signed notes, as the checksum database of Go has them and C2SP describes
//! them: a signature is over the text up to and with the line feed before the empty line. A public
//! key is written as `NAME+HASH+KEY`, as the tools for notes want it.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::chain::Head;

/// How far a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which.
    pub ledger: [u8; 16],
    /// The last entry.
    pub head: Head,
    /// When this was said, in milliseconds UTC since 1970.
    pub at_ms: i64,
}

impl Checkpoint {
    fn text(&self) -> String {
        let Head { seq, hash } = self.head;
        let (ledger, hash) = (HEXLOWER.encode(&self.ledger), BASE64.encode(&hash));
        format!("{FIRST}\n{ledger}\n{seq}\n{hash}\n{}\n", self.at_ms)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == FIRST).then_some(())?;
        let ledger = HEXLOWER.decode(lines.next()?.as_bytes()).ok()?.try_into().ok()?;
        let seq = lines.next()?.parse().ok()?;
        let hash = BASE64.decode(lines.next()?.as_bytes()).ok()?.try_into().ok()?;
        let at_ms = lines.next()?.parse().ok()?;
        let checkpoint = Self { ledger, head: Head { seq, hash }, at_ms };
        // There may be other texts that say the same; they are not what was signed.
        (checkpoint.text() == text).then_some(checkpoint)
    }
}

/// A checkpoint and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was signed.
    pub checkpoint: Checkpoint,
    signatures: Vec<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    name: String,
    key_hash: [u8; 4],
    signature: [u8; 64],
}

impl Note {
    /// A checkpoint that nobody has signed yet.
    pub const fn new(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, signatures: Vec::new() }
    }

    /// Adds a signature.
    #[must_use]
    pub fn signed(mut self, name: &str, key: &SigningKey) -> Self {
        let public = Verifier { name: name.to_owned(), key: key.verifying_key().to_bytes() };
        let signature = key.sign(self.checkpoint.text().as_bytes()).to_bytes();
        let key_hash = public.key_hash();
        self.signatures.push(Signed { name: public.name, key_hash, signature });
        self
    }

    /// Whether `by` signed it.
    pub fn is_signed(&self, by: &Verifier) -> bool {
        let text = self.checkpoint.text();
        let key_hash = by.key_hash();
        self.signatures.iter().any(|it| {
            it.name == by.name
                && it.key_hash == key_hash
                && verifies(&by.key, text.as_bytes(), &it.signature)
        })
    }

    /// Whether a signature that says it is by `by` is not.
    pub fn is_forged(&self, by: &Verifier) -> bool {
        let (text, key_hash) = (self.checkpoint.text(), by.key_hash());
        let says = |it: &&Signed| it.name == by.name && it.key_hash == key_hash;
        let mut theirs = self.signatures.iter().filter(says);
        theirs.any(|it| !verifies(&by.key, text.as_bytes(), &it.signature))
    }

    /// The names of those who say that they signed it, whoever they are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|it| it.name.as_str())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.checkpoint.text())?;
        for Signed { name, key_hash, signature } in &self.signatures {
            let bytes = [key_hash.as_slice(), signature].concat();
            writeln!(f, "\u{2014} {name} {}", BASE64.encode(&bytes))?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = NoNote;

    fn from_str(text: &str) -> Result<Self, NoNote> {
        let parse = || {
            let (signed, signatures) = text.split_once("\n\n")?;
            let checkpoint = Checkpoint::parse(&format!("{signed}\n"))?;
            let signatures = signatures.lines().map(|line| {
                let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
                let bytes = BASE64.decode(bytes.as_bytes()).ok()?;
                let (key_hash, signature) = bytes.split_first_chunk()?;
                let (key_hash, signature) = (*key_hash, signature.try_into().ok()?);
                Some(Signed { name: name.to_owned(), key_hash, signature })
            });
            Some(Self { checkpoint, signatures: signatures.collect::<Option<_>>()? })
        };
        parse().filter(|note| note.to_string() == text).ok_or(NoNote)
    }
}

/// Not a signed checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNote;

impl fmt::Display for NoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not a signed checkpoint of a ledger")
    }
}

impl std::error::Error for NoNote {}

/// Whose signature is believed: a name and a public key, written `NAME+HASH+KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

impl Verifier {
    /// `None` if the name is empty, or has a space or a plus in it.
    pub fn new(name: &str, key: [u8; 32]) -> Option<Self> {
        let good = !name.is_empty() && !name.contains(|it: char| it.is_whitespace() || it == '+');
        good.then(|| Self { name: name.to_owned(), key })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    pub const fn key(&self) -> [u8; 32] {
        self.key
    }

    fn key_hash(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key)
            .finalize();
        let [a, b, c, d, ..]: [u8; 32] = hash.into();
        [a, b, c, d]
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[[ED25519].as_slice(), &self.key].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.key_hash()))
    }
}

impl FromStr for Verifier {
    type Err = NoVerifier;

    fn from_str(text: &str) -> Result<Self, NoVerifier> {
        let parse = || {
            // The key is base64, in which there may be a plus too.
            let (name, rest) = text.split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = BASE64.decode(key.as_bytes()).ok()?;
            Self::new(name, key.strip_prefix(&[ED25519])?.try_into().ok()?)
        };
        parse().filter(|verifier| verifier.to_string() == text).ok_or(NoVerifier)
    }
}

/// Not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVerifier;

impl fmt::Display for NoVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a public key is written NAME+HASH+KEY, in one line")
    }
}

impl std::error::Error for NoVerifier {}

pub(crate) fn verifies(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

const FIRST: &str = "sla-ledger/1";

/// The algorithm's number in signed notes.
const ED25519: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> (Note, SigningKey) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let head = Head::start([1; 16]).after(b"an entry");
        (Note::new(Checkpoint { ledger: [1; 16], head, at_ms: 1_795_269_600_000 }), key)
    }

    #[test]
    fn a_note_is_believed_by_whoever_knows_the_key() {
        let (note, key) = note();
        let note = note.signed("gateway", &key);
        let by = |name, key: &SigningKey| {
            note.is_signed(&Verifier::new(name, key.verifying_key().to_bytes()).unwrap())
        };
        assert!(by("gateway", &key));
        assert!(!by("portfolio", &key));
        assert!(!by("gateway", &SigningKey::from_bytes(&[8; 32])));
        assert_eq!(note.to_string().parse(), Ok(note));
    }

    #[test]
    fn every_changed_letter_is_seen() {
        let (note, key) = note();
        let text = note.signed("gateway", &key).to_string();
        let trusted = Verifier::new("gateway", key.verifying_key().to_bytes()).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let believed = changed.parse::<Note>().is_ok_and(|note| note.is_signed(&trusted));
            assert!(!believed, "byte {at}");
        }
    }

    #[test]
    fn a_public_key_is_written_as_the_tools_for_notes_want_it() {
        // The example of golang.org/x/mod/sumdb/note.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = text.parse::<Verifier>().unwrap();
        assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
        assert!(text.replace("c74f20a3", "c74f20a4").parse::<Verifier>().is_err());
    }
}
