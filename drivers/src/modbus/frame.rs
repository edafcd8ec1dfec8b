//! Modbus frames for reading registers: RTU with its checksum, TCP with its header.
//!
//! ```text
//! RTU   unit │ function address count │ crc crc          unit │ function bytes data… │ crc crc
//! TCP   transaction 0 0 length unit │ function address count
//! ```
//!
//! Source: Modbus application protocol 1.1b3, sections 4 and 6; Modbus over serial line 1.02,
//! section 2.5; Modbus messaging on TCP/IP 1.0b, section 3.1. The words for requests and
//! exceptions are tokio-modbus'; it decodes and matches nothing for us.

use tokio_modbus::ExceptionCode;

/// The two tables of registers that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// Function 3, the device's settings and, with many makers, its values too.
    Holding,
    /// Function 4, the device's values.
    Input,
}

impl Function {
    /// The function code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Holding => 3,
            Self::Input => 4,
        }
    }
}

/// A request for registers, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// From which table.
    pub function: Function,
    /// The first, as on the wire: counted from 0.
    pub address: u16,
    /// How many: 1 to 125.
    pub count: u16,
}

impl Request {
    /// More do not fit into an answer.
    pub const MAX_COUNT: u16 = 125;

    /// The number of data bytes of its answer.
    pub(crate) fn answer_bytes(self) -> u8 {
        u8::try_from(self.count.saturating_mul(2)).unwrap_or(u8::MAX)
    }

    fn pdu(self) -> [u8; 5] {
        let request = match self.function {
            Function::Holding => {
                tokio_modbus::Request::ReadHoldingRegisters(self.address, self.count)
            }
            Function::Input => tokio_modbus::Request::ReadInputRegisters(self.address, self.count),
        };
        let [address_high, address_low] = self.address.to_be_bytes();
        let [count_high, count_low] = self.count.to_be_bytes();
        [request.function_code().value(), address_high, address_low, count_high, count_low]
    }

    /// The frame for a serial line.
    pub(crate) fn rtu(self, unit: u8) -> Vec<u8> {
        let mut frame = vec![unit];
        frame.extend(self.pdu());
        frame.extend(crc(&frame).to_le_bytes());
        frame
    }

    /// The frame for TCP.
    pub(crate) fn tcp(self, unit: u8, transaction: u16) -> Vec<u8> {
        let [t1, t2] = transaction.to_be_bytes();
        let [function, a1, a2, n1, n2] = self.pdu();
        vec![t1, t2, 0, 0, 0, 6, unit, function, a1, a2, n1, n2]
    }
}

/// What a device said, behind the unit and before the checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Words(Vec<u16>),
    Exception(ExceptionCode),
}

/// Reads the part of a frame that RTU and TCP have in common, which must answer `request` and
/// hold nothing else.
pub(crate) fn answer(pdu: &[u8], request: Request) -> Result<Answer, Mismatch> {
    let function = request.function.code();
    match *pdu {
        [code, exception] if code == function | 0x80 => {
            Ok(Answer::Exception(ExceptionCode::new(exception)))
        }
        [code, count, ref data @ ..] if code == function => {
            let wanted = request.answer_bytes();
            if count != wanted || data.len() != usize::from(wanted) {
                return Err(Mismatch::Length { wanted, found: data.len() });
            }
            let words = data.chunks_exact(2).map(|pair| match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                _ => 0, // `chunks_exact(2)` gives pairs alone.
            });
            Ok(Answer::Words(words.collect()))
        }
        [code, ..] => Err(Mismatch::Function { wanted: function, found: code }),
        [] => Err(Mismatch::Length { wanted: request.answer_bytes(), found: 0 }),
    }
}

/// Why a frame does not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("function {found} where {wanted} was asked")]
    Function { wanted: u8, found: u8 },
    #[error("{found} bytes of data where {wanted} were asked")]
    Length { wanted: u8, found: usize },
    #[error("unit {found} where {wanted} was asked")]
    Unit { wanted: u8, found: u8 },
}

/// The checksum of a serial line: polynomial A001, reflected, from FFFF, low byte first.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request { function: Function::Holding, address: 0x6B, count: 3 };

    #[test]
    fn the_example_of_the_protocol_document() {
        assert_eq!(REQUEST.pdu(), [0x03, 0x00, 0x6B, 0x00, 0x03]);
        let pdu = [0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64];
        assert_eq!(answer(&pdu, REQUEST), Ok(Answer::Words(vec![0x022B, 0, 0x64])));
    }

    #[test]
    fn the_checksum_is_that_of_the_serial_line_guide() {
        // "02 07" has the checksum 12 41 on the wire.
        assert_eq!(crc(&[0x02, 0x07]), 0x1241);
        assert_eq!(
            Request { function: Function::Holding, address: 0, count: 10 }.rtu(1),
            [0x01, 0x03, 0x00, 0x00, 0x00, 0x0A, 0xC5, 0xCD]
        );
    }

    #[test]
    fn tcp_has_a_transaction_and_no_checksum() {
        assert_eq!(REQUEST.tcp(17, 0x1501), [0x15, 1, 0, 0, 0, 6, 17, 3, 0, 0x6B, 0, 3]);
    }

    #[test]
    fn what_does_not_fit_the_request_is_no_answer() {
        let wrong = |pdu: &[u8]| answer(pdu, REQUEST).unwrap_err().to_string();
        assert_eq!(wrong(&[4, 6, 0, 0, 0, 0, 0, 0]), "function 4 where 3 was asked");
        assert_eq!(wrong(&[3, 4, 0, 0, 0, 0]), "4 bytes of data where 6 were asked");
        assert_eq!(wrong(&[3, 6, 0, 0, 0, 0]), "4 bytes of data where 6 were asked");
        assert_eq!(wrong(&[0x84, 2]), "function 132 where 3 was asked");
        assert_eq!(
            answer(&[0x83, 2], REQUEST),
            Ok(Answer::Exception(ExceptionCode::IllegalDataAddress))
        );
    }
}
