//! The gateway's own authority, and the certificates that it gives the pages.
//!
//! ```text
//! keys/ca.key, keys/ca.crt     made once, for ever: its fingerprint is on the label, phones install it
//!       └─ signs ─▶ keys/tls.crt     for the names and addresses of now, 800 days, made anew in time
//! ```
//!
//! A certificate that never ends and covers what it is asked for by is what people can compare; one that
//! phones take as a server's ends within 825 days. So there are two, and only the first is compared.
//!
//! **Never true:** what a thief of the disk can do to whoever has installed the authority is more than to pose
//! as a machine of a private network: its certificate says which names and addresses it may vouch for, and
//! browsers hold it to that.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use metering::GatewayId;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PublicKeyData as _, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

use crate::keys::{KeysError, kept, own_addresses};

/// Vouches for the pages of this gateway.
pub(crate) struct Authority {
    /// What people install and compare.
    pub(crate) certificate: CertificateDer<'static>,
    key: KeyPair,
    params: CertificateParams,
    name: String,
    /// The endings of names that it may vouch for.
    hosts: Vec<String>,
}

/// What this machine is called, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) hosts: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Authority {
    /// Reads it from the folder of the keys, or makes it.
    ///
    /// # Errors
    ///
    /// [`KeysError`] if a file cannot be read, made or understood.
    pub(crate) fn open(folder: &Path, gateway: GatewayId) -> Result<Self, KeysError> {
        let key = kept(&folder.join("ca.key"), || {
            let pair = KeyPair::generate().map_err(|error| error.to_string())?;
            Ok(pair.serialize_pem())
        })?;
        let key = key.parse(|pem| KeyPair::from_pem(pem).ok(), "a P-256 key in PEM")?;
        let name = name(gateway, &key);
        let certificate = kept(&folder.join("ca.crt"), || {
            let params = params(&name, &endings(&Names::now().hosts));
            let made = params.self_signed(&key).map_err(|error| error.to_string())?;
            Ok(made.pem())
        })?;
        let certificate = certificate.parse(
            |pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok(),
            "a certificate in PEM",
        )?;
        let hosts = permitted(&certificate);
        Ok(Self { params: params(&name, &hosts), certificate, key, name, hosts })
    }

    /// A certificate for whoever has `key`, from a day before `now` on.
    ///
    /// # Errors
    ///
    /// What the library says.
    pub(crate) fn issue(
        &self,
        key: &KeyPair,
        names: &Names,
        now: DateTime<Utc>,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, names.hosts.first().map_or("Fyrhus", String::as_str));
        params.distinguished_name = name;
        // Of the key and the issuer alone the library would draw the same each time, and browsers refuse two
        // certificates of one number.
        params.serial_number = Some(SerialNumber::from(rand::random::<[u8; 16]>().to_vec()));
        let [from, to] = [now - TimeDelta::days(1), now + TimeDelta::days(DAYS)].map(day);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let hosts = names.hosts.iter().filter_map(|it| it.as_str().try_into().ok());
        let addresses = names.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names = hosts.map(SanType::DnsName).chain(addresses).collect();
        let issuer = Issuer::from_params(&self.params, &self.key);
        Ok(params.signed_by(key, &issuer)?.der().clone())
    }

    /// Of `names` those that it may vouch for. With another among them browsers would refuse them all.
    pub(crate) fn may(&self, names: Names) -> Names {
        let ends_as = |host: &str, ending: &String| {
            let before = host.strip_suffix(ending.as_str());
            before.is_some_and(|it| it.is_empty() || it.ends_with('.'))
        };
        let Names { mut hosts, mut addresses } = names;
        hosts.retain(|host| {
            host.is_ascii() && self.hosts.iter().any(|ending| ends_as(host, ending))
        });
        addresses.retain(|address| PRIVATE.iter().any(|net| net.holds(*address)));
        Names { hosts, addresses }
    }

    /// Whether `certificate` is one of its own, for `key` and `names`, and good for a while.
    pub(crate) fn is_good(
        &self,
        certificate: &[u8],
        key: &KeyPair,
        names: &Names,
        now: DateTime<Utc>,
    ) -> bool {
        let Ok((_, it)) = parse_x509_certificate(certificate) else { return false };
        let issuer = it.issuer().iter_common_name().next().and_then(|name| name.as_str().ok());
        let (from, to) = (it.validity().not_before, it.validity().not_after);
        issuer == Some(self.name.as_str())
            && it.public_key().raw == key.subject_public_key_info()
            && from.timestamp() <= now.timestamp()
            && to.timestamp() >= (now + TimeDelta::days(RENEWED)).timestamp()
            && Names::of(certificate).hold(names)
    }
}

impl Names {
    /// Whether all of `others` are among them. One too many is no reason for another certificate: a cable
    /// that is pulled out for a minute would make two.
    fn hold(&self, others: &Self) -> bool {
        others.hosts.iter().all(|it| self.hosts.contains(it))
            && others.addresses.iter().all(|it| self.addresses.contains(it))
    }

    /// Those of now.
    pub(crate) fn now() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().to_lowercase();
        let mut hosts = vec!["localhost".to_owned()];
        // A name with a dot is whole.
        for name in [Some(host.clone()), (!host.contains('.')).then(|| format!("{host}.local"))] {
            hosts.extend(name.filter(|_| !host.is_empty() && host != "localhost"));
        }
        let own = hosts.len().saturating_sub(1).min(1);
        hosts.rotate_left(own);
        let mut addresses = own_addresses();
        addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        addresses.sort_unstable();
        addresses.dedup();
        Self { hosts, addresses }
    }

    /// Those in a certificate, but for what stands with a `*`, of which nobody knows what it is.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        let mut names = Self { hosts: Vec::new(), addresses: Vec::new() };
        let Ok((_, it)) = parse_x509_certificate(certificate) else { return names };
        let Ok(Some(said)) = it.subject_alternative_name() else { return names };
        for name in &said.value.general_names {
            match name {
                GeneralName::DNSName(name) if !name.contains('*') => {
                    names.hosts.push((*name).to_owned());
                }
                GeneralName::IPAddress(bytes) => {
                    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                    let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                    names.addresses.extend(address);
                }
                _ => {}
            }
        }
        names
    }
}

/// The SHA-256 of a certificate as browsers show it: `4F:1A:…`.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// What it is called: another key is another authority, though it be of the same gateway.
fn name(gateway: GatewayId, key: &KeyPair) -> String {
    let print = fingerprint(&key.subject_public_key_info());
    format!("Fyrhus {gateway} {}", print.get(..11).unwrap_or_default())
}

fn params(name: &str, hosts: &[String]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    // The clock may be wrong at the first start, and nobody can renew what is on a label: from before any
    // device was made to the end of X.509's time, which stands for "no end" (RFC 5280, section 4.1.2.5).
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Neither mail nor programs.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let hosts = hosts.iter().cloned().map(GeneralSubtree::DnsName);
    let addresses = PRIVATE.iter().map(|net| GeneralSubtree::IpAddress(net.subnet()));
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: hosts.chain(addresses).collect(),
        excluded_subtrees: Vec::new(),
    });
    params
}

/// The endings that an authority made now gets: those of private networks, and this machine's own name.
fn endings(own: &[String]) -> Vec<String> {
    let mut endings =
        ["local", "lan", "home.arpa", "internal", "localhost"].map(str::to_owned).to_vec();
    // The one in `.local` ends as the first does.
    let ends_local = |it: &&String| it.rsplit_once('.').is_some_and(|(_, end)| end == "local");
    endings.extend(own.iter().filter(|it| !ends_local(it) && *it != "localhost").cloned());
    endings
}

/// The endings that stand in `certificate`.
fn permitted(certificate: &[u8]) -> Vec<String> {
    let Ok((_, it)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let mut hosts = Vec::new();
    for extension in it.extensions() {
        let ParsedExtension::NameConstraints(said) = extension.parsed_extension() else { continue };
        for subtree in said.permitted_subtrees.iter().flatten() {
            if let GeneralName::DNSName(name) = subtree.base {
                hosts.push(name.to_owned());
            }
        }
    }
    hosts
}

/// A network of addresses that are nobody's on the internet.
struct Net(IpAddr, u8);

static PRIVATE: [Net; 9] = [
    Net(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    Net(IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    Net(IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    Net(IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    Net(IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    Net(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    Net(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    Net(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    Net(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

impl Net {
    fn subnet(&self) -> CidrSubnet {
        CidrSubnet::from_addr_prefix(self.0, self.1)
    }

    fn holds(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, unused: u32| one >> unused == other >> unused;
        match (self.0, address) {
            (IpAddr::V4(net), IpAddr::V4(it)) => {
                same(net.to_bits().into(), it.to_bits().into(), 32 - u32::from(self.1))
            }
            (IpAddr::V6(net), IpAddr::V6(it)) => match 128 - u32::from(self.1) {
                0 => net == it,
                unused => same(net.to_bits(), it.to_bits(), unused),
            },
            _ => false,
        }
    }
}

fn day(of: DateTime<Utc>) -> (i32, u8, u8) {
    let small = |it: u32| u8::try_from(it).unwrap_or(1);
    (of.year(), small(of.month()), small(of.day()))
}

/// Apple's systems take none of more than 825 days from an authority that somebody has installed.
const DAYS: i64 = 800;

/// It is made anew when it has so many days left.
const RENEWED: i64 = 400;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    fn authority(folder: &Path) -> Authority {
        let id = "019a8f3e-7c52-7b3e-9d41-000000000001".parse().unwrap();
        Authority::open(folder, id).unwrap()
    }

    fn at(day: &str) -> DateTime<Utc> {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    /// Whether somebody who has installed `authority` takes `leaf` for `name`.
    fn takes(authority: &Authority, leaf: &CertificateDer<'_>, name: &str, now: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let name = ServerName::try_from(name).unwrap();
        let now = u64::try_from(at(now).timestamp()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        verifier.build().unwrap().verify_server_cert(leaf, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn who_installs_it_trusts_the_pages_and_no_place_on_the_internet() {
        let dir = tempfile::tempdir().unwrap();
        let authority = authority(dir.path());
        let key = KeyPair::generate().unwrap();
        let names = Names {
            hosts: ["fyrhus.local", "bank.example", "fyrhuslocal"].map(str::to_owned).to_vec(),
            addresses: ["192.168.4.7", "fd00::7", "203.0.113.7"]
                .map(|it| it.parse().unwrap())
                .to_vec(),
        };
        let may = authority.may(names.clone());
        assert_eq!(may.hosts, ["fyrhus.local"]);
        assert_eq!(may.addresses, names.addresses[..2]);
        let leaf = authority.issue(&key, &may, at("2026-11-22")).unwrap();
        for name in ["fyrhus.local", "192.168.4.7", "fd00::7"] {
            assert!(takes(&authority, &leaf, name, "2028-11-01"), "{name}");
            assert!(!takes(&authority, &leaf, name, "2029-11-01"), "{name} for ever");
        }
        // What a thief would make.
        for host in ["bank.example", "fyrhus.example"] {
            let wrong = Names { hosts: vec![host.to_owned()], addresses: Vec::new() };
            let wrong = authority.issue(&key, &wrong, at("2026-11-22")).unwrap();
            assert!(!takes(&authority, &wrong, host, "2026-11-23"), "{host}");
        }
        let wrong = Names { hosts: Vec::new(), addresses: names.addresses[2..].to_vec() };
        let wrong = authority.issue(&key, &wrong, at("2026-11-22")).unwrap();
        assert!(!takes(&authority, &wrong, "203.0.113.7", "2026-11-23"));
    }

    #[test]
    fn it_stays_itself_and_its_certificate_is_made_anew_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = authority(dir.path());
        let again = authority(dir.path());
        assert_eq!(first.certificate, again.certificate);
        let key = KeyPair::generate().unwrap();
        let names = again.may(Names::now());
        assert!(names.hosts.contains(&"localhost".to_owned()), "{names:?}");
        let leaf = first.issue(&key, &names, at("2026-11-22")).unwrap();
        assert_eq!(Names::of(&leaf), names);
        assert!(again.is_good(&leaf, &key, &names, at("2027-12-01")));
        for (now, why) in [("2028-01-01", "it ends soon"), ("2026-11-01", "the clock went back")] {
            assert!(!again.is_good(&leaf, &key, &names, at(now)), "{why}");
        }
        let mut other = names.clone();
        other.addresses.push("10.99.0.7".parse().unwrap());
        assert!(!again.is_good(&leaf, &key, &other, at("2026-12-01")), "it has moved");
        let fewer = Names { hosts: names.hosts.clone(), addresses: Vec::new() };
        assert!(again.is_good(&leaf, &key, &fewer, at("2026-12-01")), "a cable is pulled out");
        let (_, own) = parse_x509_certificate(&first.certificate).unwrap();
        let usage = own.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.email_protection && !usage.code_signing && !usage.any);
        let another = KeyPair::generate().unwrap();
        assert!(!again.is_good(&leaf, &another, &names, at("2026-12-01")), "of another key");
        let elsewhere = tempfile::tempdir().unwrap();
        let stranger = authority(elsewhere.path());
        assert!(!stranger.is_good(&leaf, &key, &names, at("2026-12-01")), "of another authority");
        let next = first.issue(&key, &names, at("2026-11-22")).unwrap();
        let number = |der: &[u8]| parse_x509_certificate(der).unwrap().1.raw_serial().to_vec();
        assert_ne!(number(&leaf), number(&next), "browsers refuse one number twice");
    }
}
