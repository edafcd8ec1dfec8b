//! The CBOR (RFC 8949) that messages are made of: definite lengths, integers of 64 bits, no tags,
//! no floats.
//!
//! [`Pen`] writes the shortest form, so equal messages are equal bytes and have one hash. [`Reader`]
//! is a cursor that knows where it is, and names what it was looking for when it does not find it.

use std::fmt;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use uuid::Uuid;

/// Bytes that are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {flaw}")]
pub struct Malformed {
    /// Where, from the start of the message or, behind its header, of what is packed in it.
    pub at: usize,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What can be wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// Something else stands where this should.
    Expected(&'static str),
    /// A code that this version does not know.
    Code(&'static str, u64),
    /// More of it than [`limits`](crate::limits) allow.
    TooMany(&'static str),
    /// The message goes on where it should end.
    Trailing,
    /// Another version of the protocol.
    Version(u64),
    /// The hash of the header is not that of what is packed.
    Hash,
    /// What is packed does not unpack to the length that the header says.
    Packing,
    /// The numbers of a batch are not those from its first to its last, each once.
    Numbers,
    /// What came and what is missing are not what was expected.
    Account,
    /// The time of a reading is not between 1970 and 2200.
    Time(i64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "{what} expected"),
            Self::Code(what, code) => write!(f, "{code} is no known {what}"),
            Self::TooMany(what) => write!(f, "too many {what}"),
            Self::Trailing => f.write_str("the message should end here"),
            Self::Version(version) => write!(f, "version {version} of the protocol is not known"),
            Self::Hash => f.write_str("the hash does not match the content"),
            Self::Packing => f.write_str("the content does not unpack to the length given"),
            Self::Numbers => f.write_str("the readings are not numbered without a hole"),
            Self::Account => f.write_str("the account does not add up"),
            Self::Time(ms) => write!(f, "{ms} ms is not a time between 1970 and 2200"),
        }
    }
}

/// Writes a message.
pub(crate) struct Pen(Encoder<Vec<u8>>);

impl Pen {
    pub(crate) fn new() -> Self {
        Self(Encoder::new(Vec::new()))
    }

    pub(crate) fn list(&mut self, len: usize) -> &mut Self {
        // Here and below: a `Vec` takes every byte, so there is no error to hand on.
        let _infallible = self.0.array(len as u64);
        self
    }

    pub(crate) fn unsigned(&mut self, number: impl Into<u64>) -> &mut Self {
        let _infallible = self.0.u64(number.into());
        self
    }

    pub(crate) fn signed(&mut self, number: i64) -> &mut Self {
        let _infallible = self.0.i64(number);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let _infallible = self.0.str(text);
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let _infallible = self.0.bytes(bytes);
        self
    }

    pub(crate) fn id(&mut self, id: Uuid) -> &mut Self {
        self.bytes(id.as_bytes())
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        let _infallible = self.0.null();
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads a message.
pub(crate) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    pub(crate) fn new(message: &'b [u8]) -> Self {
        Self(Decoder::new(message))
    }

    /// A list of any length up to `most`.
    pub(crate) fn list(&mut self, what: &'static str, most: usize) -> Result<usize, Malformed> {
        let at = self.0.position();
        let len = self.read(what, Decoder::array)?;
        let len = len.ok_or(Malformed { at, flaw: Flaw::Expected(what) })?;
        usize::try_from(len)
            .ok()
            .filter(|len| *len <= most)
            .ok_or(Malformed { at, flaw: Flaw::TooMany(what) })
    }

    /// A list of just `len`.
    pub(crate) fn fields(&mut self, what: &'static str, len: usize) -> Result<(), Malformed> {
        let at = self.0.position();
        if self.list(what, len)? == len {
            Ok(())
        } else {
            Err(Malformed { at, flaw: Flaw::Expected(what) })
        }
    }

    /// The number that every message starts with.
    pub(crate) fn version(&mut self) -> Result<(), Malformed> {
        let at = self.0.position();
        match self.unsigned("version")? {
            version if version == u64::from(crate::VERSION) => Ok(()),
            version => Err(Malformed { at, flaw: Flaw::Version(version) }),
        }
    }

    pub(crate) fn unsigned(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.read(what, Decoder::u64)
    }

    /// A number that `known` makes something of.
    pub(crate) fn code<T>(
        &mut self,
        what: &'static str,
        known: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, Malformed> {
        let at = self.0.position();
        let code = self.unsigned(what)?;
        u8::try_from(code)
            .ok()
            .and_then(known)
            .ok_or(Malformed { at, flaw: Flaw::Code(what, code) })
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.read(what, Decoder::i64)
    }

    pub(crate) fn text(&mut self, what: &'static str, most: usize) -> Result<&'b str, Malformed> {
        let at = self.0.position();
        let text = self.read(what, Decoder::str)?;
        if text.len() > most {
            return Err(Malformed { at, flaw: Flaw::TooMany(what) });
        }
        Ok(text)
    }

    /// A text that `parse` makes something of.
    pub(crate) fn parsed<T>(
        &mut self,
        what: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Malformed> {
        let at = self.0.position();
        let text = self.text(what, crate::limits::NAME_BYTES)?;
        parse(text).ok_or(Malformed { at, flaw: Flaw::Expected(what) })
    }

    pub(crate) fn bytes(&mut self, what: &'static str, most: usize) -> Result<&'b [u8], Malformed> {
        let at = self.0.position();
        let bytes = self.read(what, Decoder::bytes)?;
        if bytes.len() > most {
            return Err(Malformed { at, flaw: Flaw::TooMany(what) });
        }
        Ok(bytes)
    }

    pub(crate) fn just<const LEN: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; LEN], Malformed> {
        let at = self.0.position();
        let bytes = self.bytes(what, LEN)?;
        bytes.try_into().map_err(|_| Malformed { at, flaw: Flaw::Expected(what) })
    }

    pub(crate) fn id(&mut self, what: &'static str) -> Result<Uuid, Malformed> {
        self.just(what).map(Uuid::from_bytes)
    }

    /// `None` where null stands, otherwise what `read` reads.
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.0.datatype().ok() == Some(Type::Null) {
            self.read("null", Decoder::null)?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// Whether a list comes next.
    pub(crate) fn at_list(&self) -> bool {
        self.0.datatype().ok() == Some(Type::Array)
    }

    /// Whether a text comes next.
    pub(crate) fn at_text(&self) -> bool {
        self.0.datatype().ok() == Some(Type::String)
    }

    /// Where the next thing starts.
    pub(crate) fn at(&self) -> usize {
        self.0.position()
    }

    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.position() == self.0.input().len() {
            Ok(())
        } else {
            Err(Malformed { at: self.0.position(), flaw: Flaw::Trailing })
        }
    }

    fn read<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<T, Malformed> {
        let at = self.0.position();
        read(&mut self.0).map_err(|_| Malformed { at, flaw: Flaw::Expected(what) })
    }
}
