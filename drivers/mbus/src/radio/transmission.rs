//! What a meter sends by radio: the layers of a frame from the inside out.

use super::link::as_sent_first;
use super::opener::{CHECK, iv_of_mode_5};
use super::{Afl, Ell, Mac, RadioLink};
use crate::crypto::{BLOCK, Key, Purpose};
use crate::{Configuration, Full, Header, Writer};

/// How a meter sends its telegrams.
#[derive(Clone, Copy, Debug)]
pub struct Transmission<'k> {
    /// Whose radio, and with which checksums.
    pub link: RadioLink,
    /// The extended link layer.
    pub ell: Option<Ell>,
    /// Encrypts everything behind the extended link layer, if that says so.
    pub link_key: Option<&'k Key>,
    /// How the records behind a header are encrypted.
    pub security: Security<'k>,
}

/// How the records behind a header are encrypted.
#[derive(Clone, Copy, Debug)]
pub enum Security<'k> {
    /// As they are; the header's configuration stays as it is, too.
    Plain,
    /// Chained, with the meter's own key.
    Mode5(&'k Key),
    /// Chained, with a key for each message, and authenticated by eight bytes.
    Mode7 {
        /// Of the meter.
        key: &'k Key,
        /// Of the message; never used twice.
        counter: u32,
    },
}

impl Transmission<'_> {
    /// Writes a frame with the header and whatever `body` writes behind it.
    ///
    /// `ci` is the one that belongs to the header: its own address makes it a long one. Records
    /// without a header cannot be encrypted behind it, and are not.
    ///
    /// # Errors
    ///
    /// [`Full`] if `w` has too little room, or if the frame or what is encrypted in it gets too
    /// long: 255 bytes in all, 240 of them encrypted.
    pub fn write(
        &self,
        ci: u8,
        header: Option<&Header>,
        w: &mut Writer<'_>,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let mut room = [0; ROOM];
        let mut payload = Writer::new(&mut room);
        if let Some(ell) = self.ell {
            ell.write(&mut payload)?;
            if ell.session.is_some() {
                payload.bytes(&[0; 2])?;
            }
        }
        let behind_ell = payload.len();
        self.write_telegram(ci, header, &mut payload, body)?;
        let len = payload.len();
        let payload = room.get_mut(..len).ok_or(Full)?;
        if let Some(ell) = self.ell
            && let Some(session) = ell.session
        {
            let sealed = payload.get_mut(behind_ell - 2..).ok_or(Full)?;
            let (checksum, rest) = sealed.split_first_chunk_mut().ok_or(Full)?;
            *checksum = super::link::Checksum::of(rest).to_le_bytes();
            if let (1, Some(key)) = (session.mode(), self.link_key) {
                key.overlay(ell.counter_block(&self.link.address), sealed);
            }
        }
        self.link.write(payload, w)
    }

    /// Writes what stands behind the link layers, from its first CI on; the same on a wire.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn write_telegram(
        &self,
        ci: u8,
        header: Option<&Header>,
        w: &mut Writer<'_>,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let mut room = [0; ROOM];
        let mut records = Writer::new(&mut room);
        let Some(header) = header else {
            body(&mut records)?;
            w.byte(ci)?;
            return w.bytes(records.written());
        };
        if matches!(self.security, Security::Plain) {
            body(&mut records)?;
            w.byte(ci)?;
            header.write(w)?;
            return w.bytes(records.written());
        }
        records.bytes(&CHECK)?;
        body(&mut records)?;
        while !records.len().is_multiple_of(BLOCK) {
            records.byte(FILLER)?;
        }
        let len = records.len();
        let sealed = room.get_mut(..len).ok_or(Full)?;
        let address = header.address().unwrap_or(self.link.address);
        let sender = as_sent_first(&address);
        let [_, _, i0, i1, i2, i3, ..] = sender;
        match self.security {
            Security::Plain => {}
            Security::Mode5(key) => {
                key.seal_chained(iv_of_mode_5(sender, header.access_number), sealed);
            }
            Security::Mode7 { key, counter } => {
                let own = key.derive(Purpose::Encryption, counter, [i0, i1, i2, i3]);
                own.seal_chained([0; BLOCK], sealed);
            }
        }
        let header = Header { configuration: Some(self.configuration(len)?), ..*header };

        // The message from its CI on, which the authentication code of mode 7 is of.
        let mut message_room = [0; ROOM];
        let mut message = Writer::new(&mut message_room);
        message.byte(ci)?;
        header.write(&mut message)?;
        if let Security::Mode7 { .. } = self.security {
            message.byte(KEY_DERIVATION)?;
        }
        message.bytes(sealed)?;
        let message = message.written();
        if let Security::Mode7 { key, counter } = self.security {
            let (control, counter_sent) = (Some(MCL), Some(counter));
            let afl = Afl { control, counter: counter_sent, ..Afl::default() };
            let proof = key.derive(Purpose::Authentication, counter, [i0, i1, i2, i3]);
            let code = afl.authenticate(&proof, message);
            let mac = code.get(..Mac::len_of(MCL)).and_then(Mac::new);
            Afl { mac, ..afl }.write(w)?;
        }
        w.bytes(message)
    }

    /// The mode, and the number of blocks of `len` bytes.
    fn configuration(&self, len: usize) -> Result<Configuration, Full> {
        let blocks = u8::try_from(len / BLOCK).ok().filter(|blocks| *blocks <= 15).ok_or(Full)?;
        let mode = match self.security {
            Security::Plain => 0,
            Security::Mode5(_) => 5,
            Security::Mode7 { .. } => 7,
        };
        Ok(Configuration(u16::from_le_bytes([blocks << 4, mode])))
    }
}

/// Counter present, and a code of eight bytes.
const MCL: u8 = 0x25;
/// The key is made by CMAC from the counter.
const KEY_DERIVATION: u8 = 0x10;
const FILLER: u8 = 0x2F;
const ROOM: usize = 256;
