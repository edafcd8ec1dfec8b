//! The two checksums: CRC-16/X-25 of HDLC, CRC-16/ARC of P1.

/// Of HDLC headers and frames, ISO/IEC 13239: sent low octet first.
pub(super) fn x25(bytes: &[u8]) -> u16 {
    !reflected(0x8408, 0xFFFF, bytes)
}

/// Of P1 telegrams, DSMR 5.0.2: from `/` through `!`, written as four hex digits.
pub(super) fn arc(bytes: &[u8]) -> u16 {
    reflected(0xA001, 0, bytes)
}

/// Octet by octet, the lowest bit first. Some hundred octets a second need no table.
fn reflected(polynomial: u16, begin: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(begin, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_both_are_right() {
        assert_eq!(x25(b"123456789"), 0x906E);
        assert_eq!(arc(b"123456789"), 0xBB3D);
    }
}
