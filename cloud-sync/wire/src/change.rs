//! A change of a gateway's configuration, as the portfolio wants it: a document that it has signed.
//!
//! ```text
//!  SignedChange = [version, document, signature]
//!  document     = "fyrhus-configuration/1\n" [version, gateway, errand, made, base | null, who, within,
//!                                             [[section, id, key, value | null], …]]
//! ```
//!
//! The signature is ECDSA on P-256 over SHA-256 (FIPS 186-5, in ASN.1), by the key of the authority that the
//! gateway has pinned since its enrolment. The first line keeps it apart from certificates, which the same key
//! signs: no certificate begins so.
//!
//! **Never true:** that this crate knows a key of the configuration. What may be changed from afar is for the
//! gateway to say.

use std::fmt;

use metering::GatewayId;
use uuid::Uuid;

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;

/// What the portfolio wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeDocument {
    /// Whose configuration.
    pub gateway: GatewayId,
    /// The errand that it goes with: with another it is worth nothing.
    pub errand: Uuid,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The version of the configuration that it changes; `None` to know what it would do to the newest.
    pub base: Option<u64>,
    /// Who wants it, by the name that the portfolio knows them under.
    pub who: String,
    /// How long after the change the gateway may take until it reaches the portfolio again, in seconds; then
    /// it takes the change back.
    pub within_s: u32,
    /// What; at most [`limits::CHANGES`].
    pub changes: Vec<KeyChange>,
}

/// One key that gets another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// As in the configuration, such as `site` or `meter`.
    pub section: String,
    /// Of several sections which; empty where there is but one.
    pub id: String,
    /// As in the configuration.
    pub key: String,
    /// What it is from then on; `None` takes it away.
    pub value: Option<KeyValue>,
}

/// What a key may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl fmt::Display for KeyChange {
    /// As in the configuration: `[[meter]] 019a… name = "One"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, id, key, value } = self;
        if id.is_empty() {
            write!(f, "[{section}] {key} = ")?;
        } else {
            write!(f, "[[{section}]] {id} {key} = ")?;
        }
        match value {
            Some(KeyValue::Number(number)) => write!(f, "{number}"),
            Some(KeyValue::Text(text)) => write!(f, "{text:?}"),
            None => f.write_str("nothing"),
        }
    }
}

const MAGIC: &[u8] = b"fyrhus-configuration/1\n";

impl ChangeDocument {
    /// What is signed.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(8).unsigned(crate::VERSION).id(self.gateway.uuid()).id(self.errand);
        pen.signed(self.made_ms);
        match self.base {
            Some(base) => pen.unsigned(base),
            None => pen.null(),
        };
        pen.text(&self.who).unsigned(self.within_s).list(self.changes.len());
        for KeyChange { section, id, key, value } in &self.changes {
            pen.list(4).text(section).text(id).text(key);
            match value {
                Some(KeyValue::Number(number)) => pen.unsigned(*number),
                Some(KeyValue::Text(text)) => pen.text(text),
                None => pen.null(),
            };
        }
        [MAGIC, &pen.finish()].concat()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(document: &[u8]) -> Result<Self, Malformed> {
        let flaw = Flaw::Expected("configuration change");
        let body = document.strip_prefix(MAGIC).ok_or(Malformed { at: 0, flaw })?;
        let mut r = Reader::new(body);
        r.fields("configuration change", 8)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let errand = r.id("errand")?;
        let made_ms = r.signed("time")?;
        let base = r.optional(|r| r.unsigned("version"))?;
        let who = r.text("name", limits::NAME_BYTES)?.to_owned();
        let at = r.at();
        let within_s = u32::try_from(r.unsigned("seconds")?)
            .map_err(|_| Malformed { at, flaw: Flaw::TooMany("seconds") })?;
        let mut changes = Vec::new();
        for _ in 0..r.list("changes", limits::CHANGES)? {
            r.fields("change", 4)?;
            let section = r.text("section", limits::KEY_BYTES)?.to_owned();
            let id = r.text("id", limits::KEY_BYTES)?.to_owned();
            let key = r.text("key", limits::KEY_BYTES)?.to_owned();
            let value = r.optional(|r| {
                if r.at_text() {
                    return Ok(KeyValue::Text(r.text("value", limits::NAME_BYTES)?.to_owned()));
                }
                r.unsigned("value").map(KeyValue::Number)
            })?;
            changes.push(KeyChange { section, id, key, value });
        }
        r.end()?;
        Ok(Self { gateway, errand, made_ms, base, who, within_s, changes })
    }
}

/// A change with its signature, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedChange {
    /// What was signed, to the byte.
    pub document: Vec<u8>,
    /// By whom is for the gateway to find out.
    pub signature: Vec<u8>,
}

impl SignedChange {
    /// What goes with an errand.
    pub fn write(&self) -> Vec<u8> {
        let mut pen = Pen::new();
        pen.list(3).unsigned(crate::VERSION).bytes(&self.document).bytes(&self.signature);
        pen.finish()
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        r.fields("signed change", 3)?;
        r.version()?;
        let document = r.bytes("change", limits::ERRAND_BYTES)?.to_vec();
        let signature = r.bytes("signature", SIGNATURE)?.to_vec();
        r.end()?;
        Ok(Self { document, signature })
    }
}

/// Two integers of 32 bytes in ASN.1 have 72 bytes at most.
const SIGNATURE: usize = 72;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(value: Option<KeyValue>) -> KeyChange {
        let [section, id, key] = ["meter", "m1", "name"].map(str::to_owned);
        KeyChange { section, id, key, value }
    }

    fn document(base: Option<u64>) -> ChangeDocument {
        ChangeDocument {
            gateway: GatewayId::from_uuid(Uuid::from_u128(7)),
            errand: Uuid::from_u128(9),
            made_ms: 5,
            base,
            who: "kari".to_owned(),
            within_s: 600,
            changes: vec![
                change(None),
                change(Some(KeyValue::Number(900))),
                change(Some(KeyValue::Text("Åsen".to_owned()))),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for change in [document(None), document(Some(12))] {
            let document = change.write();
            assert_eq!(ChangeDocument::read(&document), Ok(change));
            assert!(ChangeDocument::read(&document[1..]).is_err(), "its first line is part of it");
            let signed = SignedChange { document, signature: vec![3; SIGNATURE] };
            assert_eq!(SignedChange::read(&signed.write()), Ok(signed));
        }
    }

    #[test]
    fn the_largest_change_goes_with_an_errand_and_no_larger_one_is_read() {
        let (word, text) = ("x".repeat(limits::KEY_BYTES), "x".repeat(limits::NAME_BYTES));
        let largest = KeyChange {
            section: word.clone(),
            id: word.clone(),
            key: word,
            value: Some(KeyValue::Text(text.clone())),
        };
        let changes = vec![largest; limits::CHANGES];
        let mut large = ChangeDocument { who: text, changes, ..document(Some(u64::MAX)) };
        let signed = SignedChange { document: large.write(), signature: vec![3; SIGNATURE] };
        assert!(signed.write().len() <= limits::ERRAND_BYTES, "{}", signed.write().len());
        assert_eq!(ChangeDocument::read(&signed.document).as_ref(), Ok(&large));
        large.changes.push(change(None));
        assert!(ChangeDocument::read(&large.write()).is_err());
    }

    #[test]
    fn a_change_is_told_as_in_the_configuration() {
        let [none, number, text] = document(None).changes.try_into().unwrap();
        assert_eq!(none.to_string(), "[[meter]] m1 name = nothing");
        assert_eq!(KeyChange { id: String::new(), ..number }.to_string(), "[meter] name = 900");
        assert_eq!(text.to_string(), "[[meter]] m1 name = \"Åsen\"");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = ChangeDocument::read(&[MAGIC, &bytes].concat());
            let _ = SignedChange::read(&bytes);
        }
    }
}
