//! general-glo-ciphering of IEC 62056-5-3, security suite 0: AES-128-GCM.
//!
//! ```text
//! DB | 08 system title | length | SC | frame counter (4) | sealed | tag (12)
//!          └──────────── nonce ──────────────┘                      with SC 30
//! ```
//!
//! SC 30 authenticates and encrypts, SC 20 encrypts alone. What the tag covers, beside what is
//! sealed, is SC and the authentication key.

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes128;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _};

use super::cursor::Cursor;
use super::flaw::{Fault, Flaw};
use super::telegram::Opened;
use super::{Keys, Rules};

/// The tag of the COSEM world: the first twelve of GCM's sixteen octets.
type Gcm = AesGcm<Aes128, U12, U12>;

/// What was sealed, and where it begins in the message.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) at: usize,
    pub(super) octets: Vec<u8>,
    pub(super) opened: Opened,
}

/// Opens what follows behind `DB`.
pub(super) fn open(cursor: &mut Cursor<'_>, rules: &Rules) -> Result<Plain, Flaw> {
    cursor.expect(&[8], "08, the length of a system title")?;
    let title: [u8; 8] = cursor.array("the system title")?;
    let length = cursor.length()?;
    let begin = cursor.at();
    let mut cursor = {
        let ciphered = cursor.take(length, "what is encrypted")?;
        cursor.end()?;
        Cursor::new(ciphered, begin)
    };
    let control = cursor.byte("the security control")?;
    if ![AUTHENTICATED, ENCRYPTED].contains(&control) {
        return Err(Flaw::new(begin, Fault::Ciphering(control)));
    }
    let counter: [u8; 4] = cursor.array("the frame counter")?;
    let keys = rules.keys.as_ref().ok_or(Flaw::new(begin, Fault::KeyNeeded))?;
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().zip(title.iter().chain(&counter)) {
        *to = *from;
    }

    let at = cursor.at();
    let sealed = cursor.rest();
    let (octets, verified) = if control == AUTHENTICATED {
        let (sealed, tag) =
            sealed.split_last_chunk().ok_or(Flaw::new(at, Fault::Ends("the tag")))?;
        unseal(sealed, tag, nonce, keys).ok_or(Flaw::new(at, Fault::Authentication))?
    } else {
        (overlaid(sealed, nonce, keys), false)
    };
    let opened = Opened { frame_counter: u32::from_be_bytes(counter), verified };
    Ok(Plain { at, octets, opened })
}

const AUTHENTICATED: u8 = 0x30;
const ENCRYPTED: u8 = 0x20;

/// What was sealed, and whether its tag could be verified; `None` if the tag is wrong.
fn unseal(sealed: &[u8], tag: &[u8; 12], nonce: [u8; 12], keys: &Keys) -> Option<(Vec<u8>, bool)> {
    let Some(authentication) = &keys.authentication else {
        return Some((overlaid(sealed, nonce, keys), false));
    };
    let mut associated = vec![AUTHENTICATED];
    associated.extend(authentication.as_bytes());
    let mut octets = sealed.to_vec();
    let buffer = InOutBuf::from(octets.as_mut_slice());
    gcm(keys).decrypt_inout_detached(&Array(nonce), &associated, buffer, &Array(*tag)).ok()?;
    Some((octets, true))
}

/// What was sealed, nothing verified: GCM lays the same stream over either way, so that to
/// encrypt again is to decrypt.
fn overlaid(sealed: &[u8], nonce: [u8; 12], keys: &Keys) -> Vec<u8> {
    let mut octets = sealed.to_vec();
    let buffer = InOutBuf::from(octets.as_mut_slice());
    // The tag that this makes is nobody's; beyond 64 GiB alone it fails.
    match gcm(keys).encrypt_inout_detached(&Array(nonce), &[], buffer) {
        Ok(_) | Err(aes_gcm::Error) => octets,
    }
}

fn gcm(keys: &Keys) -> Gcm {
    Gcm::new(&Array(*keys.encryption.as_bytes()))
}
