//! What a browser and a device say, byte by byte (`WebAuthn` level 2, 5.8.1 and 6.1).
//!
//! ```text
//! authenticator data
//!   0        32    33     37                                  53    55      55+n
//!   ├─ name ─┼flags┼ count ┼─ only when a key was made: model ─┼─ n ─┼─ id ──┼─ key (COSE) ─┤
//! ```
//!
//! Whatever follows is extensions, which nobody asked for.

use minicbor::Decoder;
use sha2::{Digest, Sha256};

use super::{PasskeyProblem, RelyingParty};

/// What the browser says it did, as JSON; whoever calls has read that.
#[derive(Clone, Copy, Debug)]
pub struct ClientData<'a> {
    /// The JSON as it came: the device has signed a hash of it.
    pub bytes: &'a [u8],
    /// Its `type`.
    pub kind: &'a str,
    /// Its `challenge`.
    pub challenge: &'a str,
    /// Its `origin`.
    pub origin: &'a str,
    /// Its `crossOrigin`: whether the page stood in the frame of another.
    pub framed: bool,
}

impl ClientData<'_> {
    pub(super) fn check(&self, kind: &str, party: RelyingParty<'_>) -> Result<(), PasskeyProblem> {
        if self.kind != kind {
            return Err(PasskeyProblem::Malformed);
        }
        if self.origin != party.origin || self.framed {
            return Err(PasskeyProblem::Elsewhere);
        }
        Ok(())
    }
}

/// What the device says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authenticator<'a> {
    name: &'a [u8],
    flags: u8,
    pub(super) count: u32,
    /// Id and key, if one was made.
    pub(super) credential: Option<(&'a [u8], &'a [u8])>,
}

/// Somebody was there.
const PRESENT: u8 = 1;
/// And proved who they are to the device.
const VERIFIED: u8 = 1 << 2;
/// A key follows.
const MADE: u8 = 1 << 6;

impl<'a> Authenticator<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (name, rest) = bytes.split_at_checked(32)?;
        let (flags, rest) = rest.split_first()?;
        let (count, rest) = rest.split_first_chunk()?;
        let credential = if flags & MADE == 0 {
            None
        } else {
            let (_model, rest) = rest.split_at_checked(16)?;
            let (len, rest) = rest.split_first_chunk()?;
            Some(rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?)
        };
        Some(Self { name, flags: *flags, count: u32::from_be_bytes(*count), credential })
    }

    pub(super) fn check(&self, party: RelyingParty<'_>) -> Result<(), PasskeyProblem> {
        if self.name != &*Sha256::digest(party.id.as_bytes()) {
            return Err(PasskeyProblem::Elsewhere);
        }
        if self.flags & (PRESENT | VERIFIED) != PRESENT | VERIFIED {
            return Err(PasskeyProblem::Unverified);
        }
        Ok(())
    }
}

/// The authenticator data in an attestation object: a map of `fmt`, `attStmt`, `authData`.
pub(super) fn attested(object: &[u8]) -> Option<&[u8]> {
    let mut decoder = Decoder::new(object);
    for _ in 0..decoder.map().ok()?? {
        if decoder.str().ok()? == "authData" {
            return decoder.bytes().ok();
        }
        decoder.skip().ok()?;
    }
    None
}
