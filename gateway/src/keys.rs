//! Who this gateway is: its id and its two keys, made at the first start.
//!
//! ```text
//! keys/gateway-id   UUIDv7, as text; there before any enrolment, and for ever
//! keys/device.key   Ed25519: signs the ledger, day chains and configurations
//! keys/ca.key       P-256: signs the pages' certificate; ca.crt is what phones install
//! keys/tls.key      P-256: the key of the pages' certificate, which is tls.crt
//! keys/brought.pem  a certificate that the owner has sent for them, and its key; mostly not there
//! ```
//!
//! The folder is open to the daemon's user alone, and so is every file in it. Who takes the disk
//! takes the keys: without a TPM nothing can be done about that.
//!
//! **Never true:** that a key is made anew because its file cannot be read. A gateway that forgot
//! who it is must not pretend to be a new one; it says which file is the trouble, and stops.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use metering::{Clock, GatewayId};
use rcgen::KeyPair;
use uuid::{NoContext, Timestamp, Uuid};

use crate::authority::Authority;

/// The id and the keys.
pub struct Keys {
    /// Which appliance this is.
    pub gateway: GatewayId,
    /// Signs what has to be believed later: ledger, day chains, configurations.
    pub device: SigningKey,
    /// Vouches for the pages.
    pub(crate) authority: Authority,
    /// The key of their certificate.
    pub(crate) tls: KeyPair,
}

impl std::fmt::Debug for Keys {
    /// Never the keys themselves.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads them from the state directory, or makes those that were never made.
    ///
    /// # Errors
    ///
    /// [`KeysError`] if a file cannot be read, made or understood.
    pub fn open(state: &Path, clock: &dyn Clock) -> Result<Self, KeysError> {
        let folder = state.join("keys");
        private_folder(&folder)?;

        let gateway = kept(&folder.join("gateway-id"), || Ok(new_id(clock).to_string()))?;
        let gateway = gateway.parse(|text| text.trim().parse().ok(), "an id")?;

        let device = kept(&folder.join("device.key"), || {
            let pem = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF);
            pem.map(|pem| pem.to_string()).map_err(|error| error.to_string())
        })?;
        let device =
            device.parse(|pem| SigningKey::from_pkcs8_pem(pem).ok(), "an Ed25519 key in PEM")?;

        let tls_key = kept(&folder.join("tls.key"), || {
            let pair = KeyPair::generate().map_err(|error| error.to_string())?;
            Ok(pair.serialize_pem())
        })?;
        let tls = tls_key.parse(|pem| KeyPair::from_pem(pem).ok(), "a P-256 key in PEM")?;
        let authority = Authority::open(&folder, gateway)?;
        Ok(Self { gateway, device, authority, tls })
    }
}

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file system says no.
    #[error("{} cannot be read or made; check its owner and its rights", file.display())]
    Io {
        /// Which one.
        file: PathBuf,
        /// What it says.
        #[source]
        cause: io::Error,
    },
    /// A key could not be made.
    #[error("{} cannot be made: {because}", file.display())]
    Make {
        /// Which one.
        file: PathBuf,
        /// What the library says.
        because: String,
    },
    /// The file holds something else.
    #[error(
        "{} is not {expected}; put it back from a backup (a gateway without it is another one)",
        file.display()
    )]
    Broken {
        /// Which one.
        file: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// Others may read the keys.
    #[error("{0} is open to other users; run: chmod 0700 {0}", folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
    },
}

/// A file's text, and the file for the message when the text is not what it should be.
pub(crate) struct Kept {
    file: PathBuf,
    text: String,
}

impl Kept {
    pub(crate) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<T, KeysError> {
        parse(&self.text).ok_or_else(|| KeysError::Broken { file: self.file.clone(), expected })
    }
}

/// What `file` holds; `make` makes it the first time, to the disk before anyone uses it.
pub(crate) fn kept(
    file: &Path,
    make: impl FnOnce() -> Result<String, String>,
) -> Result<Kept, KeysError> {
    let io = |cause| KeysError::Io { file: file.to_owned(), cause };
    match fs::read_to_string(file) {
        Ok(text) => return Ok(Kept { file: file.to_owned(), text }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let text = make().map_err(|because| KeysError::Make { file: file.to_owned(), because })?;

    put(file, &text).map_err(io)?;
    Ok(Kept { file: file.to_owned(), text })
}

/// Writes a secret to the disk, for this user alone.
///
/// Beside its place first: a power cut must not leave half a key under the key's name.
///
/// # Errors
///
/// What the file system says; what was there before is then still there.
pub(crate) fn put(file: &Path, secret: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let mut new = open.open(&beside)?;
    new.write_all(secret.as_bytes())?;
    let folder = fs::File::open(file.parent().unwrap_or(Path::new("/")))?;
    let owner = folder.metadata()?;
    if new.metadata()?.uid() != owner.uid() {
        // Root enters something that the gateway's own user has to read.
        fchown(&new, Some(owner.uid()), Some(owner.gid()))?;
    }
    new.sync_all()?;
    fs::rename(&beside, file)?;
    folder.sync_all()
}

/// Makes `folder`, for this user alone.
pub(crate) fn private_folder(folder: &Path) -> Result<(), KeysError> {
    let io = |cause| KeysError::Io { file: folder.to_owned(), cause };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let made = fs::metadata(folder).map_err(io)?;
    let owner = fs::metadata(folder.parent().unwrap_or(Path::new("/"))).map_err(io)?;
    if made.uid() != owner.uid() && made.uid() == 0 {
        // Root was here before the gateway's own user, who has to get in.
        chown(folder, Some(owner.uid()), Some(owner.gid())).map_err(io)?;
    }
    let mode = made.mode();
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(KeysError::Open { folder: folder.to_owned() }) }
}

fn new_id(clock: &dyn Clock) -> Uuid {
    let wall = clock.now().wall;
    let seconds = u64::try_from(wall.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, wall.timestamp_subsec_nanos()))
}

/// The addresses by which this machine reaches others. Nothing is sent: to connect a datagram
/// socket only chooses a route. (The two targets are reserved for documentation.)
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let via = |bind: IpAddr, target: IpAddr| {
        let socket = UdpSocket::bind((bind, 0)).ok()?;
        socket.connect((target, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = via(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let v6 = via(Ipv6Addr::UNSPECIFIED.into(), documentation.into());
    v4.into_iter().chain(v6).filter(|address| !address.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn they_are_made_once_and_only_their_user_may_read_them() {
        let state = tempfile::tempdir().unwrap();
        let made = Keys::open(state.path(), &SystemClock::new()).unwrap();
        let read = Keys::open(state.path(), &SystemClock::new()).unwrap();
        assert_eq!(made.gateway, read.gateway);
        assert_eq!(made.gateway.uuid().get_version_num(), 7);
        assert_eq!(made.device.to_bytes(), read.device.to_bytes());
        assert_eq!(made.authority.certificate, read.authority.certificate);

        let mut names = Vec::new();
        for file in fs::read_dir(state.path().join("keys")).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            names.push(file.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["ca.crt", "ca.key", "device.key", "gateway-id", "tls.key"]);
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&Path), expected: &str) {
        let state = tempfile::tempdir().unwrap();
        Keys::open(state.path(), &SystemClock::new()).unwrap();
        spoil(&state.path().join("keys"));
        let error = Keys::open(state.path(), &SystemClock::new()).unwrap_err();
        let folder = state.path().to_str().unwrap();
        assert_eq!(error.to_string().replace(folder, "STATE"), expected);
    }

    #[test]
    fn a_broken_key_is_named_and_never_replaced() {
        check(
            |keys| fs::write(keys.join("device.key"), "rubbish").unwrap(),
            "STATE/keys/device.key is not an Ed25519 key in PEM; put it back from a backup (a \
             gateway without it is another one)",
        );
        check(
            |keys| fs::write(keys.join("gateway-id"), "7\n").unwrap(),
            "STATE/keys/gateway-id is not an id; put it back from a backup (a gateway without it \
             is another one)",
        );
    }

    #[test]
    fn keys_that_others_may_read_are_not_used() {
        check(
            |keys| fs::set_permissions(keys, fs::Permissions::from_mode(0o755)).unwrap(),
            "STATE/keys is open to other users; run: chmod 0700 STATE/keys",
        );
    }
}
