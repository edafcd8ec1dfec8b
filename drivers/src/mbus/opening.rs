//! What opens the telegrams of one wire: the keys of its meters, and the formats of compact ones.

use std::sync::Arc;

use ::mbus::radio::{Format, Heard, Listener, Pieces, RadioFlaw, Scratch};
use ::mbus::{Content, DecodeError, Flaw, Secondary};

use crate::MeterAddress;
use crate::keyring::Keyring;

/// What has to be known to read a telegram.
#[derive(Debug)]
pub(crate) struct Opening {
    keys: Arc<Keyring>,
    formats: Box<[Format]>,
    scratch: Box<Scratch>,
}

impl Default for Opening {
    /// Without a key.
    fn default() -> Self {
        let formats = vec![Format::EMPTY; MOST_FORMATS].into_boxed_slice();
        Self { keys: Arc::default(), formats, scratch: Box::default() }
    }
}

impl Opening {
    pub(crate) fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.keys = keys;
    }

    /// Reads what came when `asked` was asked, if that is known.
    pub(crate) fn hear(&mut self, telegram: &[u8], asked: Option<Secondary>) -> Heard<'_> {
        let mut listener = Listener::resume(&mut self.formats);
        listener.hear_answer(telegram, asked, &*self.keys, &mut self.scratch)
    }

    /// Reads a message that came in several telegrams, and is whole.
    pub(crate) fn hear_whole<'h>(
        &'h mut self,
        pieces: &'h mut Pieces<&mut [u8]>,
    ) -> Option<Heard<'h>> {
        let mut listener = Listener::resume(&mut self.formats);
        listener.hear_whole(pieces, &*self.keys, &mut self.scratch)
    }
}

/// Whether the meter has another telegram: as its records say once they are open, or because this
/// is a piece of a longer message.
pub(crate) fn announces_more(heard: &Heard<'_>) -> bool {
    match &heard.content {
        Ok(Content::Records(records)) => records.clone().more_follow(),
        Err(DecodeError { flaw: Flaw::Radio(RadioFlaw::Fragment(_)), .. }) => {
            heard.envelope.afl.is_some_and(|afl| afl.more)
        }
        Ok(_) | Err(_) => false,
    }
}

/// Who is asked at `address`, if it names one meter.
pub(crate) fn asked_at(address: MeterAddress) -> Option<Secondary> {
    match address {
        MeterAddress::Secondary(selection) => selection.address(),
        _ => None,
    }
}

/// Types of meters on one wire that send compact telegrams: few do at all.
const MOST_FORMATS: usize = 16;
