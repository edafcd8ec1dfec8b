//! A certificate that the owner brings for the pages, instead of the gateway's own.
//!
//! Browsers trust it, so that passkeys, the camera and the pages as an app work. The names in it are
//! names of this gateway.
//!
//! ```text
//! PEM ──▶ certificates, a key ──▶ the one that the key fits ──▶ names, times, purpose
//!                                          └─ those that vouch for it, in their order, each held to it
//! ```
//!
//! **Never true:** that one which cannot be used keeps the pages from being served: they come with
//! the gateway's own, and the page says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use web_ui::CertificateFlaw as Flaw;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Certificate and key, as TLS takes them.
pub(crate) struct Certificate {
    /// The one of the pages first, then those that vouch for it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Of two files in PEM, which may be one.
    ///
    /// # Errors
    ///
    /// [`Unusable`].
    pub(crate) fn read(
        certificate: &Path,
        key: &Path,
        now: DateTime<Utc>,
    ) -> Result<Self, Unusable> {
        let [chain, secret] = [certificate, key].map(|file| {
            let unreadable = |cause| Unusable::Unreadable { file: file.to_owned(), cause };
            // A file that is none of ours may be endless.
            let length = fs::metadata(file).map_err(unreadable)?.len();
            if length > MOST_BYTES {
                return Err(Unusable::Large { file: file.to_owned() });
            }
            fs::read(file).map_err(unreadable)
        });
        Self::of(&chain?, &secret?, now)
            .map_err(|flaw| Unusable::Flawed { file: certificate.to_owned(), flaw })
    }

    /// Of two texts in PEM. The key may stand with the certificates, and these in any order.
    ///
    /// # Errors
    ///
    /// [`Flaw`], the first that is found.
    pub(crate) fn of(certificates: &[u8], key: &[u8], now: DateTime<Utc>) -> Result<Self, Flaw> {
        let mut found: Vec<CertificateDer<'static>> = Vec::new();
        for read in CertificateDer::pem_slice_iter(certificates) {
            let read = read.map_err(|_| Flaw::Broken(found.len() + 1))?;
            parse_x509_certificate(&read).map_err(|_| Flaw::Broken(found.len() + 1))?;
            if found.len() == MOST {
                return Err(Flaw::Chain);
            }
            if !found.contains(&read) {
                found.push(read);
            }
        }
        if found.is_empty() {
            return Err(Flaw::None);
        }
        let key = private_key(if key.trim_ascii().is_empty() { certificates } else { key })?;
        let leaf = fitting(&found, &key)?;
        about_leaf(found.get(leaf).ok_or(Flaw::None)?, now)?;
        let chain = in_order(found, leaf)?;
        held_together(&chain, now)?;
        Ok(Self { chain, key })
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let sealed = b"ENCRYPTED";
            let is_sealed = text.windows(sealed.len()).any(|it| it == sealed);
            if is_sealed { Flaw::KeySealed } else { Flaw::KeyNone }
        }
        _ => Flaw::KeyNone,
    })
}

/// Which of them `key` fits.
fn fitting(
    certificates: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<usize, Flaw> {
    // Of an old program the word stands in the key itself, as `Proc-Type`, and what it holds is no key.
    let signing = provider().key_provider.load_private_key(key.clone_key());
    let signing = signing.map_err(|_| Flaw::KeyKind)?;
    let fits = |it: &CertificateDer<'static>| {
        CertifiedKey::new(vec![it.clone()], Arc::clone(&signing)).keys_match().is_ok()
    };
    certificates.iter().position(fits).ok_or(Flaw::KeyApart)
}

/// What browsers look at in the one of the pages.
fn about_leaf(leaf: &CertificateDer<'static>, now: DateTime<Utc>) -> Result<(), Flaw> {
    let (_, it) = parse_x509_certificate(leaf).map_err(|_| Flaw::Broken(1))?;
    let at = |time: i64| Utc.timestamp_opt(time, 0).single().unwrap_or(now);
    let (from, until) = (it.validity().not_before, it.validity().not_after);
    let (from, until) = (at(from.timestamp()), at(until.timestamp()));
    if until <= now {
        return Err(Flaw::Ended(until));
    }
    if from > now {
        return Err(Flaw::Early(from));
    }
    if a_name(&it).is_none() {
        return Err(Flaw::Names);
    }
    match it.extended_key_usage() {
        Ok(Some(said)) if !said.value.server_auth && !said.value.any => Err(Flaw::Purpose),
        _ => Ok(()),
    }
}

/// One of the names or addresses that it is for.
fn a_name(it: &X509Certificate<'_>) -> Option<ServerName<'static>> {
    let said = it.subject_alternative_name().ok().flatten()?;
    said.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => ServerName::try_from(name.replace('*', "any")).ok(),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let it = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            it.ok().map(ServerName::from)
        }
        _ => None,
    })
}

/// The `leaf`, then whoever vouches for it, and for that one.
fn in_order(
    certificates: Vec<CertificateDer<'static>>,
    leaf: usize,
) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    // Who says who vouches for it, and who it is.
    let names = |it: &CertificateDer<'static>| {
        let read = parse_x509_certificate(it).ok();
        read.map(|(_, it)| (it.issuer().as_raw().to_vec(), it.subject().as_raw().to_vec()))
    };
    let mut rest: Vec<_> = certificates.into_iter().enumerate().collect();
    let mut chain = vec![rest.remove(leaf).1];
    while let Some((issuer, subject)) = chain.last().and_then(names) {
        let is_next = |(_, it): &(usize, CertificateDer<'static>)| {
            names(it).is_some_and(|(_, subject)| subject == issuer)
        };
        match rest.iter().position(is_next) {
            Some(place) if issuer != subject => chain.push(rest.remove(place).1),
            _ => break,
        }
    }
    // Of one that vouches there may be two, signed by different others: the first is enough.
    let known: Vec<_> = chain.iter().filter_map(names).map(|(_, subject)| subject).collect();
    let stranger = rest
        .into_iter()
        .find(|(_, it)| names(it).is_none_or(|(_, subject)| !known.contains(&subject)));
    stranger.map_or(Ok(chain), |(place, _)| Err(Flaw::Stranger(place + 1)))
}

/// Whether each is signed by the one after it, as a browser that trusts the last one holds them to it.
fn held_together(chain: &[CertificateDer<'static>], now: DateTime<Utc>) -> Result<(), Flaw> {
    let [leaf, between @ .., last] = chain else { return Ok(()) };
    let name = parse_x509_certificate(leaf).ok().and_then(|(_, it)| a_name(&it));
    let name = name.ok_or(Flaw::Names)?;
    let mut roots = RootCertStore::empty();
    roots.add(last.clone()).map_err(|_| Flaw::Chain)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
    let now = Duration::from_secs(u64::try_from(now.timestamp()).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(now);
    let verified =
        verifier.build().ok().map(|it| it.verify_server_cert(leaf, between, &name, &[], now));
    match verified {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(Flaw::Chain),
    }
}

/// That of the program, which has chosen it at its start; tests have not.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let default = || Arc::new(rustls::crypto::ring::default_provider());
    CryptoProvider::get_default().cloned().unwrap_or_else(default)
}

/// The longest chains have four.
const MOST: usize = 10;

/// Ten of them, and a key.
const MOST_BYTES: u64 = 64 << 10;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Not there, or not ours to read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// No such file is one.
    #[error("{} is too large for certificates: give at most {} KiB", file.display(), MOST_BYTES >> 10)]
    Large {
        /// Which one.
        file: PathBuf,
    },
    /// It is read, and nothing that browsers would take.
    #[error("{}: {flaw}", file.display())]
    Flawed {
        /// That of the certificates.
        file: PathBuf,
        /// What is wrong.
        flaw: Flaw,
    },
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair, date_time_ymd,
    };

    use super::*;

    /// A certificate and its key, in PEM, and who signs with it.
    pub(crate) struct Made {
        pub(crate) pem: String,
        pub(crate) key: String,
        issuer: Issuer<'static, KeyPair>,
    }

    /// For `names`, from 2026 until the end of 2027 unless `change` says something else.
    pub(crate) fn made(
        name: &str,
        names: &[&str],
        by: Option<&Made>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Made {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 12, 31);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = match by {
            Some(by) => params.signed_by(&key, &by.issuer).unwrap().pem(),
            None => params.self_signed(&key).unwrap().pem(),
        };
        Made { pem, key: key.serialize_pem(), issuer: Issuer::new(params, key) }
    }

    fn authority(name: &str, by: Option<&Made>) -> Made {
        made(name, &[], by, |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
    }

    #[track_caller]
    fn check(certificates: &str, key: &str) -> Result<Vec<String>, String> {
        let now = "2026-12-01T12:00:00Z".parse().unwrap();
        let read = Certificate::of(certificates.as_bytes(), key.as_bytes(), now);
        let name = |it: &CertificateDer<'_>| {
            let (_, it) = parse_x509_certificate(it).unwrap();
            it.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
        };
        read.map(|it| it.chain.iter().map(name).collect()).map_err(|flaw| flaw.to_string())
    }

    const NAMES: [&str; 2] = ["fyrhus.example", "*.example"];

    #[test]
    fn those_that_vouch_for_it_are_put_in_their_order() {
        let root = authority("root", None);
        let between = authority("between", Some(&root));
        let pages = made("pages", &NAMES, Some(&between), |_| {});
        let expected = ["pages", "between", "root"].map(str::to_owned).to_vec();
        let orders =
            [[&pages, &between, &root], [&root, &pages, &between], [&between, &root, &pages]];
        for order in orders {
            let text = order.map(|it| it.pem.as_str()).concat();
            assert_eq!(check(&text, &pages.key).as_ref(), Ok(&expected));
            // All in one file, as some programs write it.
            assert_eq!(check(&format!("{}{text}", pages.key), " \n").as_ref(), Ok(&expected));
        }
        assert_eq!(
            check(&pages.pem, &pages.key),
            Ok(vec!["pages".to_owned()]),
            "of the house's own"
        );
        let alone = made("alone", &["192.168.4.7"], None, |_| {});
        assert_eq!(check(&alone.pem, &alone.key), Ok(vec!["alone".to_owned()]));
    }

    #[test]
    fn what_cannot_be_used_is_said_in_a_sentence() {
        let root = authority("root", None);
        let pages = made("pages", &NAMES, Some(&root), |_| {});
        let other = made("other", &NAMES, None, |_| {});
        let namesake = authority("root", None);
        let early = made("early", &NAMES, None, |it| it.not_before = date_time_ymd(2027, 1, 1));
        let ended = made("ended", &NAMES, None, |it| it.not_after = date_time_ymd(2026, 11, 30));
        let nameless = made("nameless", &[], None, |_| {});
        let mail = made("mail", &NAMES, None, |it| {
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
        });
        let sealed =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let one = |it: &Made| (it.pem.clone(), it.key.clone());
        for ((certificates, key), expected) in [
            (("MIIB".to_owned(), pages.key.clone()), "there is no certificate in PEM"),
            ((broken.to_owned(), pages.key.clone()), "certificate 1 of the file cannot be read"),
            ((pages.pem.clone(), String::new()), "there is no key in PEM"),
            ((pages.pem.clone(), sealed.to_owned()), "the key is locked by a passphrase"),
            ((pages.pem.clone(), other.key.clone()), "the key belongs to none of the certificates"),
            (one(&early), "the certificate is not good before 2027-01-01"),
            (one(&ended), "the certificate ended on 2026-11-30"),
            (one(&nameless), "the certificate is for no name and no address"),
            (one(&mail), "the certificate is not for servers"),
            (
                (format!("{}{}", pages.pem, other.pem), pages.key.clone()),
                "certificate 2 of the file vouches for none of the others",
            ),
            (
                (format!("{}{}", pages.pem, namesake.pem), pages.key),
                "the certificates do not vouch for each other",
            ),
        ] {
            let said = check(&certificates, &key).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("none.pem");
        let said = Certificate::read(&file, &file, DateTime::UNIX_EPOCH).err().unwrap().to_string();
        assert!(said.ends_with("none.pem cannot be read"), "{said}");
    }
}
