//! A device made of ring, and everything that can be wrong with what it says.

use std::time::Duration;

use metering::UserId;
use minicbor::Encoder;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use sha2::{Digest, Sha256};

use super::*;

const PARTY: RelyingParty<'_> =
    RelyingParty { id: "fyrhus.example", origin: "https://fyrhus.example:8443" };
const NOW: Duration = Duration::from_secs(1_000);

/// What a device and its browser say; the tests change one thing at a time.
struct Device {
    key: EcdsaKeyPair,
    random: SystemRandom,
    name: &'static str,
    origin: &'static str,
    kind: &'static str,
    flags: u8,
    count: u32,
    framed: bool,
}

fn device() -> Device {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap();
    Device {
        key,
        random,
        name: PARTY.id,
        origin: PARTY.origin,
        kind: "webauthn.get",
        flags: 0b0000_0101,
        count: 0,
        framed: false,
    }
}

fn json(device: &Device, challenge: &str) -> String {
    let Device { kind, origin, .. } = device;
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"}}"#)
}

fn client<'a>(device: &Device, bytes: &'a str, challenge: &'a str) -> ClientData<'a> {
    let Device { kind, origin, framed, .. } = *device;
    ClientData { bytes: bytes.as_bytes(), kind, challenge, origin, framed }
}

/// Name, flags and count.
fn head(device: &Device, flags: u8) -> Vec<u8> {
    let name = Sha256::digest(device.name.as_bytes());
    [name.as_slice(), &[flags], &device.count.to_be_bytes()].concat()
}

fn attestation(device: &Device) -> Vec<u8> {
    let point = device.key.public_key().as_ref();
    let mut key = Encoder::new(Vec::new());
    key.map(5).unwrap().u8(1).unwrap().u8(2).unwrap().u8(3).unwrap().i8(-7).unwrap();
    key.i8(-1).unwrap().u8(1).unwrap().i8(-2).unwrap().bytes(&point[1..33]).unwrap();
    key.i8(-3).unwrap().bytes(&point[33..]).unwrap();
    let credential = [&[0; 16], [0, 4].as_slice(), b"mine", &key.into_writer()].concat();
    let data = [head(device, device.flags | 0b0100_0000), credential].concat();
    let mut object = Encoder::new(Vec::new());
    object.map(3).unwrap().str("fmt").unwrap().str("none").unwrap();
    object.str("attStmt").unwrap().map(0).unwrap();
    object.str("authData").unwrap().bytes(&data).unwrap();
    object.into_writer()
}

/// The passkey that `device` makes.
fn made(device: &Device) -> Passkey {
    let mut challenges = Challenges::new();
    let ceremony = Ceremony::Add(user());
    let challenge = challenges.issue(ceremony, NOW);
    let making = Device { kind: "webauthn.create", ..self::device() };
    let json = json(&making, &challenge);
    let made = register(PARTY, &client(&making, &json, &challenge), &attestation(device)).unwrap();
    made.redeem(&mut challenges, ceremony, NOW).unwrap()
}

/// What comes of `device` signing `challenge` with what `passkey` knows of it.
fn used(
    passkey: &Passkey,
    device: &Device,
    challenge: &str,
) -> Result<Proven<Passkey>, PasskeyProblem> {
    let json = json(device, challenge);
    let data = head(device, device.flags);
    let signed = [data.as_slice(), &Sha256::digest(&json)].concat();
    let signature = device.key.sign(&device.random, &signed).unwrap();
    passkey.verify(PARTY, &client(device, &json, challenge), &data, signature.as_ref())
}

fn user() -> UserId {
    "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap()
}

#[test]
fn a_passkey_is_made_and_lets_in_once_for_each_challenge() {
    let device = device();
    let passkey = made(&device);
    assert_eq!(passkey.id, b"mine");
    let mut challenges = Challenges::new();
    let challenge = challenges.issue(Ceremony::LogIn, NOW);
    let mut redeem = |ceremony, at| {
        let proven = used(&passkey, &device, &challenge).unwrap();
        proven.redeem(&mut challenges, ceremony, at).map(|kept| kept.id)
    };
    let late = NOW + Challenges::GOOD_FOR + Duration::from_secs(1);
    assert_eq!(redeem(Ceremony::LogIn, late), Err(PasskeyProblem::Challenge), "too late");
    let other = Ceremony::Add(user());
    assert_eq!(redeem(other, NOW), Err(PasskeyProblem::Challenge), "for something else");
    assert_eq!(redeem(Ceremony::LogIn, NOW), Ok(b"mine".to_vec()));
    assert_eq!(redeem(Ceremony::LogIn, NOW), Err(PasskeyProblem::Challenge), "twice");

    let foreign = Challenges::new().issue(Ceremony::LogIn, NOW);
    let proven = used(&passkey, &device, &foreign).unwrap();
    let told = proven.redeem(&mut challenges, Ceremony::LogIn, NOW);
    assert_eq!(told.unwrap_err(), PasskeyProblem::Challenge, "of before a restart");
}

#[test]
fn what_is_wrong_with_a_device_is_told_and_opens_nothing() {
    #[track_caller]
    fn check(passkey: &Passkey, device: &Device, expected: PasskeyProblem) {
        assert_eq!(used(passkey, device, "AAAA").unwrap_err(), expected);
    }
    let first = device();
    let passkey = made(&first);
    assert!(used(&passkey, &first, "AAAA").is_ok());
    check(&passkey, &device(), PasskeyProblem::Signature);
    for (wrong, expected) in [
        (Device { kind: "webauthn.create", ..device() }, PasskeyProblem::Malformed),
        (Device { origin: "https://evil.example", ..device() }, PasskeyProblem::Elsewhere),
        (Device { origin: "http://fyrhus.example:8443", ..device() }, PasskeyProblem::Elsewhere),
        (Device { framed: true, ..device() }, PasskeyProblem::Elsewhere),
        (Device { name: "evil.example", ..device() }, PasskeyProblem::Elsewhere),
        (Device { flags: 0b0000_0001, ..device() }, PasskeyProblem::Unverified),
        (Device { flags: 0b0000_0100, ..device() }, PasskeyProblem::Unverified),
    ] {
        // What is wrong is told before the signature is looked at.
        check(&passkey, &wrong, expected);
    }
}

#[test]
fn a_device_whose_count_goes_back_has_a_copy() {
    let mut device = device();
    let passkey = made(&device);
    device.count = 7;
    let seventh = used(&passkey, &device, "AAAA").unwrap();
    let mut challenges = Challenges::new();
    assert_eq!(
        seventh.redeem(&mut challenges, Ceremony::LogIn, NOW).unwrap_err(),
        PasskeyProblem::Challenge,
        "`AAAA` is no challenge of ours"
    );
    let kept = Passkey { count: 7, ..passkey };
    for (count, expected) in
        [(8, None), (7, Some(PasskeyProblem::Copied)), (0, Some(PasskeyProblem::Copied))]
    {
        device.count = count;
        assert_eq!(used(&kept, &device, "AAAA").err(), expected, "{count}");
    }
}

#[test]
fn a_key_is_read_as_it_is_kept() {
    let passkey = made(&device());
    assert_eq!(passkey.key.to_string().parse(), Ok(passkey.key));
    let others = [PublicKey::Ed25519(vec![7; 32]), PublicKey::Rsa(vec![9; 256], vec![1, 0, 1])];
    for key in others {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    for wrong in ["", "p256", "p256:xy", "p384:00", "rsa:00"] {
        assert_eq!(wrong.parse::<PublicKey>(), Err(InvalidKey), "{wrong}");
    }
}

#[test]
fn keys_of_the_three_kinds_are_read_and_others_refused() {
    let cose = |kind: u8, algorithm: i16, rest: &[(i8, &[u8])], curve: Option<u8>| {
        let mut key = Encoder::new(Vec::new());
        let len = 2 + rest.len() + usize::from(curve.is_some());
        key.map(u64::try_from(len).unwrap()).unwrap();
        key.u8(1).unwrap().u8(kind).unwrap().u8(3).unwrap().i16(algorithm).unwrap();
        if let Some(curve) = curve {
            key.i8(-1).unwrap().u8(curve).unwrap();
        }
        for (label, bytes) in rest {
            key.i8(*label).unwrap().bytes(bytes).unwrap();
        }
        PublicKey::of_cose(&key.into_writer())
    };
    let x = [1; 32];
    assert!(matches!(cose(1, -8, &[(-2, &x)], Some(6)), Some(PublicKey::Ed25519(_))));
    let rsa: [(i8, &[u8]); 2] = [(-1, &[3; 256]), (-2, &[1, 0, 1])];
    assert!(matches!(cose(3, -257, &rsa, None), Some(PublicKey::Rsa(_, _))));
    assert_eq!(cose(3, -257, &[(-1, &[3; 128]), (-2, &[1, 0, 1])], None), None, "1,024 bits");
    assert_eq!(cose(2, -7, &[(-2, &x)], Some(1)), None, "half a point");
    assert_eq!(cose(2, -35, &[(-2, &x), (-3, &x)], Some(2)), None, "P-384");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
        let client = ClientData {
            bytes: &bytes, kind: "webauthn.create", challenge: "AAAA", origin: PARTY.origin, framed: false,
        };
        prop_assert!(register(PARTY, &client, &bytes).is_err());
        // One that is right but for a byte.
        let device = device();
        let mut object = attestation(&device);
        let at = at % object.len();
        object[at] ^= bytes.first().copied().unwrap_or(0x20) | 1;
        let _ = register(PARTY, &client, &object);
        let mut challenges = Challenges::new();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let proven = Proven::new(&text, ());
        prop_assert!(proven.redeem(&mut challenges, Ceremony::LogIn, NOW).is_err());
    }
}
