use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use drivers::han::Key;

use super::*;

const KEY: &str = "00112233445566778899AABBCCDDEEFF";
const OTHER: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F0";

fn read(bytes: &[u8], password: &str) -> Result<Vec<String>, String> {
    let told = |(name, keys): (KeyName, MeterKeys)| {
        let key = |text: &str| text.parse::<Key>().unwrap();
        let which = |it: Key| if it == key(KEY) { "KEY" } else { "OTHER" };
        let authentication = keys.authentication.map_or("-", which);
        format!("{name} {} {authentication}", which(keys.encryption))
    };
    match read_file(bytes, || Ok(password.to_owned())) {
        Ok(keys) => Ok(keys.into_iter().map(told).collect()),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[track_caller]
fn check(file: &str, expected: &[&str]) {
    assert_eq!(read(file.as_bytes(), "").unwrap(), expected);
}

#[test]
fn a_table_of_keys_is_read_with_or_without_names() {
    check(&format!("67001122,{KEY}\n67001123,{OTHER}\n"), &["67001122 KEY -", "67001123 OTHER -"]);
    check(
        &format!("\u{FEFF}Name;\"AES Key\";Serial Number\r\nFlat 1;\"{KEY}\";6700-1122\r\n\r\n"),
        &["67001122 KEY -"],
    );
    check(
        &format!("meter\tGUEK\tGAK\n5706567326590407\t{KEY}\t{OTHER}\n"),
        &["5706567326590407 KEY OTHER"],
    );
}

#[test]
fn what_is_wrong_is_told_without_a_digit_of_the_key() {
    let wrong = |file: &str| read(file.as_bytes(), "").unwrap_err();
    let short = KEY.get(..31).unwrap();
    assert_eq!(wrong(&format!("67001122,{short}\n")), "line 1 has no key: one has 32 hex digits");
    assert_eq!(wrong(&format!("{KEY};{KEY}\n")), "line 1 has no meter's number");
    assert_eq!(wrong("serial;key\n"), "the file has no key");
    assert!(wrong("hello").starts_with("the file is neither a table"));
}

/// An order as Kamstrup's programs seal it.
fn kem(password: &str, iv_before: bool) -> String {
    let plain = format!(
        "<?xml version=\"1.0\"?><MetersInOrder orderid=\"7\"><Meter><MeterName>MC21</MeterName>\
         <MeterNo>55667788</MeterNo><SerialNo>67001122</SerialNo><DEK>{KEY}</DEK></Meter>\
         <Meter><SerialNo>67001123</SerialNo><GPK60>{OTHER}</GPK60><GPK61>{KEY}</GPK61></Meter>\
         <Meter><SerialNo>67001124</SerialNo></Meter></MetersInOrder>"
    );
    let mut bytes = plain.into_bytes();
    let fill = 16 - bytes.len() % 16;
    bytes.resize(bytes.len() + fill, u8::try_from(fill).unwrap());
    let mut key = [0; 16];
    key[..password.len()].copy_from_slice(password.as_bytes());
    let iv = if iv_before { [7; 16] } else { key };
    Key::new(key).seal_chained(iv, &mut bytes);
    if iv_before {
        bytes = [iv.as_slice(), &bytes].concat();
    }
    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    format!(
        "<?xml version=\"1.0\"?><EncryptedData Type=\"x\" xmlns=\"http://www.w3.org/2001/04/xmlenc#\">\
         <EncryptionMethod Algorithm=\"y\" /><CipherData><CipherValue>{value}</CipherValue>\
         </CipherData></EncryptedData>"
    )
}

/// A zip archive with one file in it, packed.
fn zipped(name: &str, content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(content).unwrap();
    let packed = packer.finish().unwrap();
    let (len, name_len) =
        (u32::try_from(packed.len()).unwrap(), u16::try_from(name.len()).unwrap());
    let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
    zip.extend(len.to_le_bytes());
    zip.extend([0; 4]);
    zip.extend(name_len.to_le_bytes());
    zip.extend([0; 2]);
    zip.extend(name.as_bytes());
    zip.extend(&packed);
    let directory = u32::try_from(zip.len()).unwrap();
    zip.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0");
    zip.extend(len.to_le_bytes());
    zip.extend([0; 4]);
    zip.extend(name_len.to_le_bytes());
    zip.extend([0; 16]);
    zip.extend(name.as_bytes());
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\0\0\0\0");
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 2]);
    zip
}

#[test]
fn an_order_is_opened_by_its_password_alone() {
    let expected = Ok(vec!["67001122 KEY -".to_owned(), "67001123 OTHER KEY".to_owned()]);
    for iv_before in [false, true] {
        let file = kem("482915", iv_before);
        assert_eq!(read(file.as_bytes(), "482915\n"), expected);
        assert_eq!(read(&zipped("363A6D78.kem", file.as_bytes()), "482915"), expected);
        for wrong in ["482916", "", "longer than sixteen bytes"] {
            let error = read(file.as_bytes(), wrong).unwrap_err();
            assert!(error.starts_with("the password does not open"), "{error}");
        }
    }
    let error = read(&zipped("readme.txt", b"hello"), "x").unwrap_err();
    assert_eq!(error, "the archive has no file that ends in .kem");
}

#[test]
fn keys_are_kept_for_the_gateway_alone_and_seen_while_it_runs() {
    let state = tempfile::tempdir().unwrap();
    let mut in_force = KeysInForce::open(state.path());
    let keys = in_force.watch();
    assert!(keys.borrow().is_empty());

    let mut ring = Keyring::new();
    let keys_of = |authentication| MeterKeys { encryption: KEY.parse().unwrap(), authentication };
    ring.put("67001122KAM".parse().unwrap(), keys_of(None));
    ring.put("5706567326590407".parse().unwrap(), keys_of(Some(OTHER.parse().unwrap())));
    save(state.path(), &ring).unwrap();
    assert_eq!(load(state.path()).unwrap(), ring);
    let file = state.path().join("keys/meters");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    in_force.look();
    assert_eq!(**keys.borrow(), ring);

    // A broken file changes nothing.
    fs::write(&file, "67001122 12\n").unwrap();
    in_force.look();
    assert_eq!(**keys.borrow(), ring);
    let error = load(state.path()).unwrap_err().to_string();
    assert!(error.contains("has no meter and key in line 1") && !error.contains("12\n"), "{error}");
}

proptest::proptest! {
    #[test]
    fn any_file_is_read_or_refused(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        text in "(<|>|/|Meter|DEK|CipherValue|[0-9A-F]{1,33}|;|,|\n| ){0,60}",
    ) {
        drop(read(&bytes, "x"));
        drop(read(&[b"PK\x03\x04", bytes.as_slice(), b"PK\x05\x06", &bytes].concat(), "x"));
        drop(read(text.as_bytes(), "x"));
    }
}
