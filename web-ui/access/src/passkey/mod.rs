//! Passkeys: a device proves that it has a key, and that its holder unlocked it (`WebAuthn`, level 2).
//!
//! ```text
//! Challenges::issue ─▶ browser ─▶ device ─▶ client data, authenticator data, signature
//!                                                              │
//!    register / Passkey::verify: kind, origin, name, flags, signature ◀┘
//!                     │
//!                 Proven::redeem: a challenge of ours, not too old, not used before
//! ```
//!
//! A passkey stands for name, password and second factor together: the device asks for a finger, a
//! face or a PIN (*user verification*), and a page with another name cannot use it.
//!
//! Who made the device is not asked for and not looked at (*attestation*): a building has no list of
//! makers to trust.
//!
//! **Never true:** that a key is kept, or somebody let in, before the challenge is redeemed:
//! [`Proven`] gives nothing away without.

mod bytes;
mod challenge;
mod key;
#[cfg(test)]
mod tests;

pub use bytes::ClientData;
pub use challenge::{Ceremony, Challenges, Proven};
pub use key::{InvalidKey, PublicKey};

use bytes::Authenticator;
use sha2::{Digest, Sha256};

/// Whom a passkey is for.
#[derive(Clone, Copy, Debug)]
pub struct RelyingParty<'a> {
    /// The name of the host, without its port.
    pub id: &'a str,
    /// As a browser writes it: `https://fyrhus.example:8443`.
    pub origin: &'a str,
}

/// What is kept of a passkey. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// As its device names it.
    pub id: Vec<u8>,
    /// Proves what its device says.
    pub key: PublicKey,
    /// How often it was used, as its device counts; 0 for ever where it does not.
    pub count: u32,
}

/// A passkey that was just made, of what the browser gave for `navigator.credentials.create`.
///
/// # Errors
///
/// [`PasskeyProblem`].
pub fn register(
    party: RelyingParty<'_>,
    client: &ClientData<'_>,
    attestation: &[u8],
) -> Result<Proven<Passkey>, PasskeyProblem> {
    client.check("webauthn.create", party)?;
    let authenticator = bytes::attested(attestation).ok_or(PasskeyProblem::Malformed)?;
    let authenticator = Authenticator::read(authenticator).ok_or(PasskeyProblem::Malformed)?;
    authenticator.check(party)?;
    let (id, cose) = authenticator.credential.ok_or(PasskeyProblem::Malformed)?;
    let key = PublicKey::of_cose(cose).ok_or(PasskeyProblem::Algorithm)?;
    let passkey = Passkey { id: id.to_vec(), key, count: authenticator.count };
    Ok(Proven::new(client.challenge, passkey))
}

impl Passkey {
    /// What is to be kept after it was used, of what the browser gave for
    /// `navigator.credentials.get`.
    ///
    /// # Errors
    ///
    /// [`PasskeyProblem`].
    pub fn verify(
        &self,
        party: RelyingParty<'_>,
        client: &ClientData<'_>,
        authenticator: &[u8],
        signature: &[u8],
    ) -> Result<Proven<Self>, PasskeyProblem> {
        client.check("webauthn.get", party)?;
        let read = Authenticator::read(authenticator).ok_or(PasskeyProblem::Malformed)?;
        read.check(party)?;
        let signed = [authenticator, &Sha256::digest(client.bytes)].concat();
        if !self.key.signed(&signed, signature) {
            return Err(PasskeyProblem::Signature);
        }
        // A device that counts and comes with a number of before has a copy somewhere.
        if (self.count > 0 || read.count > 0) && read.count <= self.count {
            return Err(PasskeyProblem::Copied);
        }
        Ok(Proven::new(client.challenge, Self { count: read.count, ..self.clone() }))
    }
}

/// Why a passkey proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyProblem {
    /// What the browser sent cannot be read.
    #[error("what the browser sent is no passkey")]
    Malformed,
    /// For another page.
    #[error("the passkey is for another name than this one")]
    Elsewhere,
    /// The device did not ask its holder for anything.
    #[error("the device did not ask for a finger, a face or a PIN")]
    Unverified,
    /// None of the three that are understood.
    #[error("the device's kind of key is not understood")]
    Algorithm,
    /// The signature is of another key.
    #[error("the passkey is not the one that is known")]
    Signature,
    /// Its device counts its uses, and this one was before.
    #[error("the passkey has been used elsewhere: it may have been copied")]
    Copied,
    /// The challenge is not ours, too old, or was used.
    #[error("it took too long, or was tried twice; begin again")]
    Challenge,
}
