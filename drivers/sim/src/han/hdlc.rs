//! A frame of IEC 62056-46 around what is pushed, and general-glo-ciphering of IEC 62056-5-3.

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes128;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _};

use crate::meter::Meter;

/// Both flags with it; empty if it does not fit into one, as no list's does.
pub(super) fn frame(addresses: &[u8], notification: &[u8]) -> Vec<u8> {
    let information = [&[0xE6, 0xE7, 0x00], notification].concat();
    // Format, addresses, control, both checksums.
    let length = addresses.len() + information.len() + 7;
    let Some(length) = u16::try_from(length).ok().filter(|it| *it < 0x0800) else {
        return Vec::new();
    };
    let mut between = (0xA000 | length).to_be_bytes().to_vec();
    between.extend(addresses);
    between.push(0x13);
    between.extend(checksum(&between));
    between.extend(information);
    between.extend(checksum(&between));
    [&[0x7E], between.as_slice(), &[0x7E]].concat()
}

/// CRC-16/X-25, its low byte first.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let step = |crc: u16, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
    let crc = bytes.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), step));
    (!crc).to_le_bytes()
}

/// `notification`, encrypted and authenticated with the keys of `meter` under `counter`.
pub(super) fn sealed(meter: &Meter, notification: &[u8], counter: u32) -> Vec<u8> {
    let mut title = *b"KAM\x01\0\0\0\0";
    if let Some(number) = title.last_chunk_mut() {
        *number = meter.serial().to_be_bytes();
    }
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().zip(title.into_iter().chain(counter.to_be_bytes())) {
        *to = from;
    }
    let associated = [&[CONTROL], meter.key("authentication").as_slice()].concat();
    let mut octets = notification.to_vec();
    let cipher = AesGcm::<Aes128, U12, U12>::new(&Array(meter.key("encryption")));
    let buffer = InOutBuf::from(octets.as_mut_slice());
    // It refuses more than 64 GiB alone.
    let Ok(tag) = cipher.encrypt_inout_detached(&Array(nonce), &associated, buffer) else {
        return Vec::new();
    };
    let behind = [&[CONTROL], counter.to_be_bytes().as_slice(), &octets, &tag].concat();
    let length = match u16::try_from(behind.len()) {
        Ok(short @ 0..0x80) => vec![short.to_le_bytes()[0]],
        Ok(middle @ 0x80..0x100) => vec![0x81, middle.to_le_bytes()[0]],
        Ok(long) => [&[0x82], long.to_be_bytes().as_slice()].concat(),
        Err(_) => return Vec::new(),
    };
    [&[0xDB, 8], title.as_slice(), &length, &behind].concat()
}

/// Encrypted and authenticated.
const CONTROL: u8 = 0x30;
