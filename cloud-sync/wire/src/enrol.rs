//! How a gateway gets its certificate: once with a one-time code, later with the one before.
//!
//! ```text
//!  Enrol       = [version, secret, gateway, certificate request]
//!  Renew       = [version, certificate request]
//!  Certificate = [version, certificate, certificate of the authority]
//!              | [version, certificate, certificate of the authority, [of another, …]]
//! ```
//!
//! A code that a person carries from the portfolio to the gateway:
//!
//! ```text
//!  ABCDE-FGHIJ-KLMNO-PQRST-UVWXY-Z2345-67ABC-DEFGH     40 letters of base32 (RFC 4648)
//!  └────────────┬───────────┘└───────┬─────┘  └┘
//!   16 bytes: whom to believe   8 bytes: the secret    1 byte: for typing mistakes
//! ```
//!
//! The first 16 bytes are the beginning of the SHA-256 of the authority's certificate, so the
//! gateway knows the portfolio before it tells the secret: nobody in between learns it. To make
//! another certificate with the same beginning takes 2¹²⁸ tries. The secret is good once, for an
//! hour, and has 64 bits.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use metering::GatewayId;
use sha2::{Digest, Sha256};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// The first message of a gateway, over a connection without a client certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrol {
    /// Of the one-time code.
    pub secret: [u8; 8],
    /// Who asks.
    pub gateway: GatewayId,
    /// PKCS #10, DER. Its key was made on the gateway and stays there.
    pub request: Vec<u8>,
}

impl Enrol {
    /// What is posted.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(4)
            .unsigned(crate::VERSION)
            .bytes(&self.secret)
            .id(self.gateway.uuid())
            .bytes(&self.request);
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("enrolment", 4)?;
        r.version()?;
        let secret = r.just("secret")?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let request = r.bytes("certificate request", limits::CERTIFICATE_BYTES)?.to_vec();
        r.end()?;
        Ok(Self { secret, gateway, request })
    }
}

impl fmt::Debug for Enrol {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrol").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// Asks for the next certificate, over a connection with the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// PKCS #10, DER.
    pub request: Vec<u8>,
}

impl Renew {
    /// What is posted.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(2).unsigned(crate::VERSION).bytes(&self.request);
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("renewal", 2)?;
        r.version()?;
        let request = r.bytes("certificate request", limits::CERTIFICATE_BYTES)?.to_vec();
        r.end()?;
        Ok(Self { request })
    }
}

/// The answer to both: X.509, DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Of the gateway.
    pub certificate: Vec<u8>,
    /// Of the authority that signed it, and that signs the portfolio's own.
    pub authority: Vec<u8>,
    /// Of authorities that will sign the portfolio's own: they are believed as well.
    pub others: Vec<Vec<u8>>,
}

impl Certificate {
    /// The body of a 200.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        let fields = if self.others.is_empty() { 3 } else { 4 };
        pen.list(fields).unsigned(crate::VERSION).bytes(&self.certificate).bytes(&self.authority);
        if !self.others.is_empty() {
            pen.list(self.others.len());
            for other in &self.others {
                pen.bytes(other);
            }
        }
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: then the answer is not the portfolio's.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let at = r.at();
        let fields = r.list("certificate", 4)?;
        if fields < 3 {
            return Err(Malformed { at, flaw: Flaw::Expected("certificate") });
        }
        r.version()?;
        let certificate = r.bytes("certificate", limits::CERTIFICATE_BYTES)?.to_vec();
        let authority = r.bytes("certificate", limits::CERTIFICATE_BYTES)?.to_vec();
        let mut others = Vec::new();
        if fields == 4 {
            for _ in 0..r.list("authorities", limits::AUTHORITIES)? {
                others.push(r.bytes("certificate", limits::CERTIFICATE_BYTES)?.to_vec());
            }
        }
        r.end()?;
        Ok(Self { certificate, authority, others })
    }
}

/// A one-time code: whom to believe, and what to tell them.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolCode {
    authority: [u8; 16],
    secret: [u8; 8],
}

impl EnrolCode {
    /// The code for a portfolio whose authority has this certificate (X.509, DER).
    pub fn new(authority: &[u8], secret: [u8; 8]) -> Self {
        Self { authority: beginning(&Sha256::digest(authority)), secret }
    }

    /// Whether `certificate` (X.509, DER) is the one that the code was made for.
    pub fn believes(&self, certificate: &[u8]) -> bool {
        beginning::<16>(&Sha256::digest(certificate)) == self.authority
    }

    /// What to tell them.
    pub const fn secret(&self) -> [u8; 8] {
        self.secret
    }

    fn check(bytes: &[u8]) -> u8 {
        let [check] = beginning(&Sha256::digest(bytes));
        check
    }
}

fn beginning<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    let mut beginning = [0; LEN];
    for (to, from) in beginning.iter_mut().zip(bytes) {
        *to = *from;
    }
    beginning
}

impl fmt::Display for EnrolCode {
    /// In eight groups of five. This is the secret itself: for the person who asked for it, not for
    /// a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.authority.as_slice(), self.secret.as_slice()].concat();
        bytes.push(Self::check(&bytes));
        let letters = BASE32_NOPAD.encode(&bytes);
        for (index, letter) in letters.chars().enumerate() {
            if index > 0 && index % 5 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl FromStr for EnrolCode {
    type Err = InvalidEnrolCode;

    /// Reads a code in any case, with or without the strokes and with spaces, and with 0 for O and
    /// 1 for I, which the alphabet has not.
    fn from_str(text: &str) -> Result<Self, InvalidEnrolCode> {
        let letters: String = text
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .take(LETTERS + 1)
            .map(|letter| match letter.to_ascii_uppercase() {
                '0' => 'O',
                '1' => 'I',
                letter => letter,
            })
            .collect();
        let count = letters.chars().count();
        if count != LETTERS {
            return Err(InvalidEnrolCode::Length { more: count > LETTERS, count });
        }
        let bytes =
            BASE32_NOPAD.decode(letters.as_bytes()).map_err(|_| InvalidEnrolCode::Mistyped)?;
        let (told, check) = bytes.split_at_checked(24).ok_or(InvalidEnrolCode::Mistyped)?;
        if check != [Self::check(told)] {
            return Err(InvalidEnrolCode::Mistyped);
        }
        let (authority, secret) = told.split_at_checked(16).ok_or(InvalidEnrolCode::Mistyped)?;
        Ok(Self { authority: beginning(authority), secret: beginning(secret) })
    }
}

impl fmt::Debug for EnrolCode {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolCode").finish_non_exhaustive()
    }
}

/// A text that is no one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnrolCode {
    /// It has not 40 letters.
    #[error(
        "a one-time code has {LETTERS} letters and digits, this one has {}{count}",
        if *more { "at least " } else { "" }
    )]
    Length {
        /// There are more, not counted.
        more: bool,
        /// How many were found.
        count: usize,
    },
    /// It has, but they are not those of a code.
    #[error("there is a typing mistake in the one-time code; compare it with the portfolio's")]
    Mistyped,
}

const LETTERS: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn code() -> EnrolCode {
        EnrolCode::new(b"a certificate", [1, 2, 3, 4, 5, 6, 7, 8])
    }

    #[test]
    fn a_code_knows_its_authority() {
        assert!(code().believes(b"a certificate"));
        assert!(!code().believes(b"another certificate"));
    }

    #[test]
    fn a_code_is_read_as_people_type() {
        let text = code().to_string();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [5; 8]);
        let same = [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', " "),
            text.replace('-', ""),
            text.replace('O', "0").replace('I', "1"),
            format!("  {text}\n"),
        ];
        for text in same {
            assert_eq!(text.parse(), Ok(code()));
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<EnrolCode>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_code_is_told_why() {
        let text = code().to_string();
        let (first, rest) = text.split_at(1);
        let other = if first == "A" { "B" } else { "A" };
        check(
            &format!("{other}{rest}"),
            "there is a typing mistake in the one-time code; compare it with the portfolio's",
        );
        check(rest, "a one-time code has 40 letters and digits, this one has 39");
        check("", "a one-time code has 40 letters and digits, this one has 0");
        check(
            &"A".repeat(100_000),
            "a one-time code has 40 letters and digits, this one has at least 41",
        );
        check(
            &"å".repeat(40),
            "there is a typing mistake in the one-time code; compare it with the portfolio's",
        );
    }

    #[test]
    fn a_secret_does_not_reach_a_log() {
        assert_eq!(format!("{:?}", code()), "EnrolCode { .. }");
        let enrol =
            Enrol { secret: [7; 8], gateway: GatewayId::from_uuid(Uuid::nil()), request: vec![1] };
        assert!(!format!("{enrol:?}").contains('7'));
        assert_eq!(Enrol::read(&enrol.write()), Ok(enrol));
    }

    #[test]
    fn certificates_are_read_as_they_are_written() {
        for others in [vec![], vec![vec![4]]] {
            let certificate = Certificate { certificate: vec![1, 2], authority: vec![3], others };
            assert_eq!(Certificate::read(&certificate.write()), Ok(certificate));
        }
        let renew = Renew { request: vec![9; 500] };
        assert_eq!(Renew::read(&renew.write()), Ok(renew));
    }

    proptest! {
        #[test]
        fn every_code_survives_the_walk(authority in any::<[u8; 4]>(), secret in any::<[u8; 8]>()) {
            let code = EnrolCode::new(&authority, secret);
            prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<EnrolCode>();
        }
    }
}
