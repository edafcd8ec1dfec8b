//! The certificate that the pages come with, as the daemon tells of it, and what an owner wants of it.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::meter_keys::Secret;

/// What browsers are shown, and whose word they can take for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagesCertificate {
    /// The certificate of the gateway's own authority, in DER.
    pub authority: Vec<u8>,
    /// Its SHA-256 as browsers show it.
    pub authority_fingerprint: String,
    /// Whose the pages come with.
    pub whose: Whose,
    /// The SHA-256 of the one that they come with.
    pub fingerprint: String,
    /// The names in it, but for those with a `*`.
    pub names: Vec<String>,
    /// The addresses in it.
    pub addresses: Vec<IpAddr>,
    /// Until when it is good.
    pub ends: Option<DateTime<Utc>>,
    /// Why the one that the owner has brought is not used, as one English sentence.
    pub trouble: Option<String>,
}

impl PagesCertificate {
    /// The fingerprint that stays, and that people compare with a label.
    pub fn to_compare(&self) -> &str {
        match self.whose {
            Whose::Own => &self.authority_fingerprint,
            Whose::Named | Whose::Uploaded => &self.fingerprint,
        }
    }
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Of the gateway's own authority.
    #[default]
    Own,
    /// Of the owner: `fyrhus.toml` names its files.
    Named,
    /// Of the owner, who has sent it on the page.
    Uploaded,
}

impl Whose {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Named => "brought",
            Self::Uploaded => "uploaded",
        }
    }
}

/// What an owner wants of the certificate.
#[derive(Debug)]
pub enum CertificateOrder {
    /// That this one is shown.
    Bring {
        /// In PEM: it, and those that vouch for it, in any order; its key may stand with them.
        certificates: Secret<String>,
        /// In PEM; empty if it stands with them.
        key: Secret<String>,
    },
    /// That the one that was sent is taken away.
    Forget,
}

/// Why a certificate is not taken. Their places are counted from 1, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFlaw {
    /// It may be in another form.
    None,
    /// The one at this place.
    Broken(usize),
    /// Neither with the certificates nor beside them.
    KeyNone,
    /// Nobody is there at a start to say it.
    KeySealed,
    /// Of an algorithm that TLS has not.
    KeyKind,
    /// The wrong one of two files.
    KeyApart,
    /// From then on.
    Early(DateTime<Utc>),
    /// Then.
    Ended(DateTime<Utc>),
    /// What stands as `CN` has meant nothing to browsers since 2017.
    Names,
    /// Its `extendedKeyUsage` has no `serverAuth`.
    Purpose,
    /// The one at this place.
    Stranger(usize),
    /// By name they do.
    Chain,
    /// As one English sentence.
    Failed(String),
}

impl Error for CertificateFlaw {}

impl fmt::Display for CertificateFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            Self::None => {
                "there is no certificate in PEM in it: it has lines with `BEGIN CERTIFICATE`"
            }
            Self::KeyNone => "there is no key in PEM: it has a line with `PRIVATE KEY`",
            Self::KeySealed => "the key is locked by a passphrase: give it without one",
            Self::KeyKind => {
                "the key is of a kind that is not known here: use ECDSA (P-256, P-384), RSA or Ed25519"
            }
            Self::KeyApart => "the key belongs to none of the certificates",
            Self::Names => {
                "the certificate is for no name and no address: it has no `subjectAltName`"
            }
            Self::Purpose => "the certificate is not for servers",
            Self::Chain => {
                "the certificates do not vouch for each other: one is signed by another key, has \
                 ended, or may not"
            }
            Self::Broken(n) => {
                return write!(f, "certificate {n} of the file cannot be read: it is damaged");
            }
            Self::Stranger(n) => {
                return write!(f, "certificate {n} of the file vouches for none of the others");
            }
            Self::Early(from) => {
                return write!(f, "the certificate is not good before {}", from.date_naive());
            }
            Self::Ended(at) => return write!(f, "the certificate ended on {}", at.date_naive()),
            Self::Failed(why) => why,
        };
        f.write_str(said)
    }
}
