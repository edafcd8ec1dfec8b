//! Takes frames as they come: wired or by radio, plain or encrypted, full or compact.

use super::compact::Formats;
use super::opener::{Body, Opened, open, open_message};
use super::{Envelope, Format, Pieces, RadioFlaw};
use crate::crypto::Keys;
use crate::{
    ByteOrder, Content, DecodeError, Flaw, Frame, Reader, Records, Secondary, Telegram, ci,
};

/// Reads frames, one after the other, and remembers the formats of compact ones.
#[derive(Debug)]
pub struct Listener<'t> {
    formats: Formats<'t>,
}

/// What a frame says.
#[derive(Clone, Debug)]
pub struct Heard<'a> {
    /// What is around it. What could be read stays, also where the content could not.
    pub envelope: Envelope,
    /// What is in it, or why not. Never [`Content::Sealed`]; no records in a frame that is all
    /// link.
    pub content: Result<Content<'a>, DecodeError>,
    /// The frame without checksums and stop, and decrypted as far as it could be: what offsets
    /// count in. Empty if it is no frame, or one that is all link.
    pub frame: &'a [u8],
}

/// Room for a frame while it is read.
#[derive(Clone, Debug)]
pub struct Scratch {
    frame: [u8; Frame::MAX_LEN],
    rebuilt: [u8; 512],
}

impl Scratch {
    /// Empty; it can be used again as soon as what was heard is not needed any more.
    pub const fn new() -> Self {
        Self { frame: [0; _], rebuilt: [0; _] }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Listener<'t> {
    /// Has heard nothing yet, and empties `table`, in which it keeps the formats. When the table is
    /// full, the format that was learned first makes room, and its compact frames cannot be read
    /// until the meter sends a full one again.
    pub fn new(table: &'t mut [Format]) -> Self {
        Self { formats: Formats::new(table) }
    }

    /// Goes on with the table of an earlier one, for who cannot keep the listener itself. Of a full
    /// table, the first place is given away first.
    pub fn resume(table: &'t mut [Format]) -> Self {
        Self { formats: Formats::resume(table) }
    }

    /// Remembers a format that is known without a full frame.
    pub fn teach(&mut self, format: &Format) {
        self.formats.teach(format);
    }

    /// Reads `bytes`, which are one frame.
    pub fn hear<'a>(
        &mut self,
        bytes: &[u8],
        keys: &(impl Keys + ?Sized),
        scratch: &'a mut Scratch,
    ) -> Heard<'a> {
        self.hear_answer(bytes, None, keys, scratch)
    }

    /// As [`Self::hear`], of a frame that came on a wire when `asked` was. A short header there
    /// tells nobody, nor does a compact frame: whoever was asked is who speaks, and so there is a
    /// key for the one and a format for the other.
    pub fn hear_answer<'a>(
        &mut self,
        bytes: &[u8],
        asked: Option<Secondary>,
        keys: &(impl Keys + ?Sized),
        scratch: &'a mut Scratch,
    ) -> Heard<'a> {
        let mut envelope = Envelope::default();
        let Scratch { frame: room, rebuilt } = scratch;
        match open(bytes, asked, keys, room, &mut envelope) {
            Ok((len, opened)) => {
                let frame = room.get(..len).unwrap_or_default();
                let content =
                    opened.and_then(|opened| self.content(&mut envelope, opened, frame, rebuilt));
                Heard { envelope, content, frame }
            }
            Err(error) => Heard { envelope, content: Err(error), frame: &[] },
        }
    }

    /// Reads the message that `pieces` have put together; `None` if it is not whole, or has been
    /// read. Offsets count behind the link of its first piece, as if it had come in one frame
    /// without the layer of the pieces.
    pub fn hear_whole<'a>(
        &mut self,
        pieces: &'a mut Pieces<impl AsMut<[u8]>>,
        keys: &(impl Keys + ?Sized),
        scratch: &'a mut Scratch,
    ) -> Option<Heard<'a>> {
        let at = pieces.message_at;
        let (frame, mut envelope) = pieces.whole()?;
        let opened = open_message(frame, at, keys, &mut envelope);
        let frame: &'a [u8] = frame;
        let content = opened
            .and_then(|opened| self.content(&mut envelope, opened, frame, &mut scratch.rebuilt));
        Some(Heard { envelope, content, frame })
    }

    fn content<'a>(
        &mut self,
        envelope: &mut Envelope,
        opened: Opened,
        frame: &'a [u8],
        rebuilt: &'a mut [u8],
    ) -> Result<Content<'a>, DecodeError> {
        let ci = envelope.ci.unwrap_or_default();
        let r = Reader::at(frame.get(opened.at..).unwrap_or_default(), opened.at);
        match opened.body {
            Body::None => {
                let nothing = Reader::new(&[]);
                Ok(Content::Records(Records::new(nothing, ByteOrder::LsbFirst)))
            }
            Body::Records(order) => {
                let records = Records::new(r, order);
                if let Some(meter) = &envelope.meter
                    && ci != ci::RECORDS_MSB_FIRST
                {
                    self.formats.learn(meter, &records);
                }
                Ok(Content::Records(records))
            }
            Body::Compact { padded } => {
                let full = self.formats.rebuild(envelope.meter.as_ref(), r, padded, rebuilt)?;
                Ok(Content::Records(Records::new(Reader::new(full), ByteOrder::LsbFirst)))
            }
            Body::Format => {
                if let Some(meter) = &envelope.meter {
                    self.formats.learn_announced(meter, r.rest());
                }
                let flaw = Flaw::Radio(RadioFlaw::FormatFrame(ci));
                Err(DecodeError { at: opened.at, flaw })
            }
            Body::Other => {
                let telegram = Telegram::read(ci, r)?;
                envelope.header = telegram.header;
                Ok(telegram.content)
            }
        }
    }
}
