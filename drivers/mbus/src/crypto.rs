//! Keys, and what they open: AES-128 in the three ways in which meters use it.
//!
//! ```text
//! mode 5   CBC, IV = manufacturer 2, ID 4, version, medium, access number 8 times
//! mode 7   CBC, IV = 0, with a key for each message:
//!          Kenc = CMAC(key, 00 counter 4 ID 4 07 07 07 07 07 07 07)
//!          Kmac = CMAC(key, 01 counter 4 ID 4 07 07 07 07 07 07 07)
//! link     CTR, IV = manufacturer 2, address 6, control, session number 4, 00 00, block
//! ```
//!
//! All of it works in place, and where it stood in the frame: an offset means the same byte before
//! and after.
//!
//! **Invariant:** a key is never shown, neither by `Debug` nor in an error.
//!
//! Source: EN 13757-7, "security modes"; Open Metering System, volume 2, "key derivation
//! function"; FIPS 197; NIST SP 800-38A and 800-38B.

use core::fmt;
use core::str::FromStr;

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use cmac::{Cmac, Mac as _};

use crate::Secondary;

/// The secret of one meter, or of one message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; BLOCK]);

/// How many bytes AES works on at once.
pub(crate) const BLOCK: usize = 16;

impl Key {
    /// As it is printed on the meter's papers.
    pub const fn new(bytes: [u8; BLOCK]) -> Self {
        Self(bytes)
    }

    /// The secret itself, for a mode that is not of M-Bus.
    pub const fn as_bytes(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// Decrypts whole blocks of `data` that were chained (CBC); a rest of less than a block stays as
    /// it is.
    pub fn open_chained(&self, iv: [u8; BLOCK], data: &mut [u8]) {
        let aes = self.aes();
        let mut previous = iv;
        let (blocks, _) = data.as_chunks_mut();
        for block in blocks {
            let sealed = *block;
            aes.decrypt_block(block.into());
            exclusive_or(block, &previous);
            previous = sealed;
        }
    }

    /// The reverse of [`Self::open_chained`].
    pub fn seal_chained(&self, iv: [u8; BLOCK], data: &mut [u8]) {
        let aes = self.aes();
        let mut previous = iv;
        let (blocks, _) = data.as_chunks_mut();
        for block in blocks {
            exclusive_or(block, &previous);
            aes.encrypt_block(block.into());
            previous = *block;
        }
    }

    /// Lays the key stream that begins with the counter block `first` over `data`: what was plain
    /// is encrypted, and what was encrypted is plain.
    pub(crate) fn overlay(&self, first: [u8; BLOCK], data: &mut [u8]) {
        let aes = self.aes();
        let mut counter = u128::from_be_bytes(first);
        for chunk in data.chunks_mut(BLOCK) {
            let mut stream = counter.to_be_bytes();
            aes.encrypt_block((&mut stream).into());
            exclusive_or(chunk, &stream);
            counter = counter.wrapping_add(1);
        }
    }

    /// The message authentication code of `parts`, one behind the other.
    pub(crate) fn authenticate(&self, parts: &[&[u8]]) -> [u8; BLOCK] {
        let mut mac = Cmac::<Aes128>::new((&self.0).into());
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The key of mode 7 that is for `purpose` and for the message with `counter` alone.
    pub(crate) fn derive(&self, purpose: Purpose, counter: u32, id: [u8; 4]) -> Self {
        Self(self.authenticate(&[&[purpose as u8], &counter.to_le_bytes(), &id, &[0x07; 7]]))
    }

    fn aes(&self) -> Aes128 {
        Aes128::new((&self.0).into())
    }
}

/// What a key of mode 7 is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Encryption = 0,
    Authentication = 1,
}

fn exclusive_or(data: &mut [u8], mask: &[u8; BLOCK]) {
    data.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    /// Reads 32 hex digits, upper or lower case.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (pairs, []) = text.as_bytes().as_chunks() else { return Err(InvalidKey) };
        let pairs: &[[u8; 2]; BLOCK] = pairs.try_into().map_err(|_| InvalidKey)?;
        let mut key = [0; BLOCK];
        for (byte, [high, low]) in key.iter_mut().zip(*pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(InvalidKey);
            *byte = u8::try_from(digit(high)? << 4 | digit(low)?).map_err(|_| InvalidKey)?;
        }
        Ok(Self(key))
    }
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 hex digits")]
pub struct InvalidKey;

/// Who knows the keys of meters.
///
/// A slice of keys is one that tries all of them on every meter. Without an authentication code
/// (mode 7) a wrong key fits in one of 65 536 tries; of several that fit, one under which the records
/// are whole is taken, but whoever has the keys of many meters better tells which is whose.
pub trait Keys {
    /// The keys that may open what `meter` says, the likeliest first; none if it has none.
    ///
    /// A short header on a wire tells no meter.
    ///
    /// Where there is a key, bytes that are said to be encrypted and are plain are refused: whoever
    /// does not know the key could have sent them.
    fn keys_of(&self, meter: Option<Secondary>) -> &[Key];
}

impl Keys for [Key] {
    fn keys_of(&self, _: Option<Secondary>) -> &[Key] {
        self
    }
}

impl<const N: usize> Keys for [Key; N] {
    fn keys_of(&self, _: Option<Secondary>) -> &[Key] {
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn block(text: &str) -> [u8; BLOCK] {
        bytes(text).try_into().unwrap()
    }

    /// NIST SP 800-38A, appendix F: the key and the plain text of all its examples.
    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
        30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

    #[test]
    fn one_block_is_that_of_fips_197() {
        let mut data = bytes("00112233445566778899aabbccddeeff");
        key("000102030405060708090a0b0c0d0e0f").seal_chained([0; BLOCK], &mut data);
        assert_eq!(data, bytes("69c4e0d86a7b0430d8cdb78070b4c55a"));
    }

    #[test]
    fn chaining_is_that_of_sp_800_38a() {
        let iv = block("000102030405060708090a0b0c0d0e0f");
        let mut data = bytes(PLAIN);
        key(KEY).seal_chained(iv, &mut data);
        let sealed = "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
            73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7";
        assert_eq!(data, bytes(sealed));
        key(KEY).open_chained(iv, &mut data);
        assert_eq!(data, bytes(PLAIN));
    }

    #[test]
    fn counting_is_that_of_sp_800_38a() {
        let mut data = bytes(PLAIN);
        key(KEY).overlay(block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), &mut data);
        let sealed = "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
            5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee";
        assert_eq!(data, bytes(sealed));
    }

    #[test]
    fn authentication_is_that_of_rfc_4493() {
        let message = bytes(PLAIN);
        for (len, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            let (head, tail) = message[..len].split_at(len / 3);
            assert_eq!(key(KEY).authenticate(&[head, tail]), block(mac), "of {len} bytes");
        }
    }

    #[test]
    fn a_key_is_32_digits_and_is_not_shown() {
        assert_eq!(key(KEY), key(&KEY.to_uppercase()));
        for wrong in [
            "",
            "2b7e",
            "b7e151628aed2a6abf7158809cf4f3c",
            "2b7e151628aed2a6abf7158809cf4f3g",
            "+b7e151628aed2a6abf7158809cf4f3c",
        ] {
            assert_eq!(wrong.parse::<Key>(), Err(InvalidKey), "{wrong}");
        }
        assert_eq!(format!("{:?}", key(KEY)), "Key(..)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            secret: [u8; BLOCK], iv: [u8; BLOCK], data in prop::collection::vec(any::<u8>(), 0..260),
        ) {
            let mut worked_on = data.clone();
            Key::new(secret).seal_chained(iv, &mut worked_on);
            Key::new(secret).open_chained(iv, &mut worked_on);
            Key::new(secret).overlay(iv, &mut worked_on);
            Key::new(secret).overlay(iv, &mut worked_on);
            prop_assert_eq!(worked_on, data);
        }
    }
}
