//! The public half of a passkey, as a device writes it (COSE, RFC 9053) and as it is kept.
//!
//! | COSE  | What                        | Who makes it                    |
//! |-------|-----------------------------|---------------------------------|
//! | -7    | ECDSA on P-256, SHA-256     | phones, security keys, browsers |
//! | -8    | Ed25519                     | some security keys              |
//! | -257  | RSA, PKCS #1 v1.5, SHA-256  | Windows with the chip of the PC |

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use minicbor::Decoder;
use minicbor::data::Type;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

/// The public half of a passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// ECDSA on P-256 with SHA-256: the point, uncompressed.
    P256(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
    /// RSA with SHA-256: modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
}

impl PublicKey {
    /// What COSE calls those that are understood, the one that is liked most first.
    pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

    /// Of a COSE key; `None` if it is of another kind. What follows it is not looked at.
    pub(super) fn of_cose(bytes: &[u8]) -> Option<Self> {
        let (numbers, texts) = entries(bytes)?;
        let number = |label: i64| numbers.get(&label).copied();
        let text = |label: i64| texts.get(&label).copied();
        match (number(1)?, number(3)?) {
            (2, ES256) if number(-1) == Some(1) => {
                let (x, y) = (text(-2)?, text(-3)?);
                let point = [&[4], x, y].concat();
                (x.len() == 32 && y.len() == 32).then_some(Self::P256(point))
            }
            (1, EDDSA) if number(-1) == Some(6) => {
                let point = text(-2).filter(|it| it.len() == 32)?;
                Some(Self::Ed25519(point.to_vec()))
            }
            (3, RS256) => {
                let (modulus, exponent) = (text(-1)?, text(-2)?);
                let fits = (256..=1_024).contains(&modulus.len()) && exponent.len() <= 8;
                fits.then(|| Self::Rsa(modulus.to_vec(), exponent.to_vec()))
            }
            _ => None,
        }
    }

    /// Whether `signature` of `message` is of this key.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            Self::Rsa(n, e) => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.is_ok()
    }
}

const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

type Numbers = BTreeMap<i64, i64>;
type Texts<'a> = BTreeMap<i64, &'a [u8]>;

/// The entries of a COSE key that are numbers, and those that are bytes.
fn entries(bytes: &[u8]) -> Option<(Numbers, Texts<'_>)> {
    let (mut numbers, mut texts) = (BTreeMap::new(), BTreeMap::new());
    let mut decoder = Decoder::new(bytes);
    for _ in 0..decoder.map().ok()?? {
        let label = decoder.i64().ok()?;
        match decoder.datatype().ok()? {
            Type::Bytes => {
                texts.insert(label, decoder.bytes().ok()?);
            }
            _ => {
                numbers.insert(label, decoder.i64().ok()?);
            }
        }
    }
    Some((numbers, texts))
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256(point) => write!(f, "p256:{}", HEXLOWER.encode(point)),
            Self::Ed25519(point) => write!(f, "ed25519:{}", HEXLOWER.encode(point)),
            Self::Rsa(n, e) => write!(f, "rsa:{}:{}", HEXLOWER.encode(n), HEXLOWER.encode(e)),
        }
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).map_err(|_| InvalidKey);
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["p256", point] => bytes(point).map(Self::P256),
            ["ed25519", point] => bytes(point).map(Self::Ed25519),
            ["rsa", n, e] => Ok(Self::Rsa(bytes(n)?, bytes(e)?)),
            _ => Err(InvalidKey),
        }
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no public key of a passkey")]
pub struct InvalidKey;
