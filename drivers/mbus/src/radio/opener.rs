//! Takes a frame out of its layers, from the outside in, and decrypts it where it stands.

use super::ell::payload_flaw;
use super::link::{LINK_LEN, as_sent_first};
use super::{Afl, Ell, Encryption, Envelope, Layer, Link, RadioFlaw, RadioLink, SealFlaw, State};
use crate::crypto::{BLOCK, Key, Keys, Purpose};
use crate::{
    ByteOrder, Configuration, DecodeError, Flaw, Frame, Header, Long, Part, Reader, Records,
    Secondary, ci,
};

/// A frame on its way out of its layers.
#[derive(Debug)]
pub(super) struct Opener<'f, K: ?Sized> {
    /// All of it, up to the end of the telegram.
    frame: &'f mut [u8],
    /// What is to be read next.
    at: usize,
    is_wired: bool,
    keys: &'f K,
    envelope: &'f mut Envelope,
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// Where it begins, behind its header.
    pub(super) at: usize,
    pub(super) body: Body,
}

/// How it is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// A frame that consists of its link.
    None,
    /// Records.
    Records(ByteOrder),
    /// A compact frame, which was encrypted in whole blocks if `padded`.
    Compact { padded: bool },
    /// The format of compact frames.
    Format,
    /// What is neither by radio nor encrypted different from what it is on a wire.
    Other,
}

/// Copies `bytes` into `room` without checksums and stop, of which it tells the length, decrypts
/// them there, and fills the envelope. On a wire `asked` speaks, unless the header tells another.
///
/// # Errors
///
/// The outer one if `bytes` are no frame, the inner one if it cannot be opened.
pub(super) fn open<K: Keys + ?Sized>(
    bytes: &[u8],
    asked: Option<Secondary>,
    keys: &K,
    room: &mut [u8],
    envelope: &mut Envelope,
) -> Result<(usize, Result<Opened, DecodeError>), DecodeError> {
    if is_wired(bytes) {
        let len = read_wired(bytes, room, envelope)?;
        envelope.meter = asked;
        let frame = room.get_mut(..len).unwrap_or_default();
        if frame.is_empty() {
            return Ok((0, Ok(Opened { at: 0, body: Body::None })));
        }
        let at = Long::DATA_AT - 1;
        return Ok((len, Opener { frame, at, is_wired: true, keys, envelope }.open()));
    }
    let (link, len) = RadioLink::read(bytes, room)?;
    envelope.link = Some(Link::Radio(link));
    envelope.meter = Some(link.address);
    let frame = room.get_mut(..len).unwrap_or_default();
    Ok((len, Opener { frame, at: LINK_LEN, is_wired: false, keys, envelope }.open()))
}

/// Opens a message that was put together behind its link, where the layers of the link are open.
pub(super) fn open_message<K: Keys + ?Sized>(
    frame: &mut [u8],
    at: usize,
    keys: &K,
    envelope: &mut Envelope,
) -> Result<Opened, DecodeError> {
    let is_wired = !matches!(envelope.link, Some(Link::Radio(_)));
    Opener { frame, at, is_wired, keys, envelope }.open_telegram()
}

/// Whether `bytes` are meant as a frame of a wire, which may still be a broken one.
fn is_wired(bytes: &[u8]) -> bool {
    match *bytes {
        [0xE5] | [0x10, _, _, _, 0x16] => true,
        [0x68, len, again, start, ..] => start == 0x68 || len == again,
        _ => false,
    }
}

/// Copies all but checksum and stop; nothing of a frame that is all link.
fn read_wired(
    bytes: &[u8],
    room: &mut [u8],
    envelope: &mut Envelope,
) -> Result<usize, DecodeError> {
    let (link, len) = match Frame::read(bytes)? {
        Frame::Ack => (Link::Ack, 0),
        Frame::Short { control, address } => (Link::Short { control, address }, 0),
        Frame::Long(Long { control, address, data: [], .. }) => {
            (Link::Control { control, address }, Long::DATA_AT)
        }
        Frame::Long(Long { control, address, data, .. }) => {
            (Link::Long { control, address }, Long::DATA_AT + data.len())
        }
    };
    envelope.link = Some(link);
    if let (Some(room), Some(telegram)) = (room.get_mut(..len), bytes.get(..len)) {
        room.copy_from_slice(telegram);
    }
    Ok(len)
}

impl<K: Keys + ?Sized> Opener<'_, K> {
    fn open(mut self) -> Result<Opened, DecodeError> {
        if let Some(Link::Radio(link)) = self.envelope.link {
            self.open_ell(&link.address)?;
        }
        self.open_afl()?;
        self.open_telegram()
    }

    fn open_ell(&mut self, link: &Secondary) -> Result<(), DecodeError> {
        let mut r = reader(self.frame, self.at);
        let Some(ell) = Ell::read(&mut r)? else { return Ok(()) };
        self.at = r.offset();
        self.envelope.ell = Some(ell);
        let meter = ell.meter.unwrap_or(*link);
        self.envelope.meter = Some(meter);
        let Some(session) = ell.session else { return Ok(()) };
        let [_, _] = r.array(Part::Header)?;

        let at = self.at;
        let payload = self.frame.get_mut(at..).unwrap_or_default();
        let plain_flaw = payload_flaw(payload);
        let keys = self.keys.keys_of(Some(meter));
        let (state, flaw) = match session.mode() {
            0 => {
                plain_flaw.map_or(Ok(()), |flaw| Err(DecodeError { at, flaw }))?;
                self.at += 2;
                return Ok(());
            }
            1 if keys.is_empty() && plain_flaw.is_none() => (State::PlainMarked, None),
            1 if keys.is_empty() => (State::KeyMissing, Some(SealFlaw::LinkKeyMissing)),
            1 => match ell.open(link, keys, payload) {
                Ok(()) => (State::Decrypted, None),
                Err(flaw) => (State::KeyWrong, Some(flaw)),
            },
            mode => (State::Unsupported, Some(SealFlaw::LinkMode(mode))),
        };
        self.envelope.encryption =
            Some(Encryption { layer: Layer::Ell, mode: session.mode(), state });
        self.at += 2;
        flaw.map_or(Ok(()), |flaw| Err(DecodeError { at, flaw: Flaw::Sealed(flaw) }))
    }

    fn open_afl(&mut self) -> Result<(), DecodeError> {
        let mut r = reader(self.frame, self.at);
        let Some(afl) = Afl::read(&mut r)? else { return Ok(()) };
        let fragment_at = self.at + 2;
        self.at = r.offset();
        self.envelope.afl = Some(afl);
        if afl.is_fragmented() {
            let flaw = Flaw::Radio(RadioFlaw::Fragment(afl.fragment));
            return Err(DecodeError { at: fragment_at, flaw });
        }
        Ok(())
    }

    fn open_telegram(&mut self) -> Result<Opened, DecodeError> {
        let message_at = self.at;
        let mut r = reader(self.frame, self.at);
        let ci = r.byte(Part::Header)?;
        self.envelope.ci = Some(ci);
        let refuse = |flaw| DecodeError { at: message_at, flaw };
        let (head, body) = match ci {
            ci::RECORDS => (Head::Long, Body::Records(ByteOrder::LsbFirst)),
            ci::RECORDS_MSB_FIRST => (Head::Long, Body::Records(ByteOrder::MsbFirst)),
            ci::RECORDS_SHORT_HEADER => (Head::Short, Body::Records(ByteOrder::LsbFirst)),
            ci::RECORDS_WITHOUT_HEADER => (Head::None, Body::Records(ByteOrder::LsbFirst)),
            COMPACT => (Head::None, Body::Compact { padded: false }),
            COMPACT_SHORT_HEADER => (Head::Short, Body::Compact { padded: false }),
            // On a wire it is the fixed structure.
            ci::FIXED if !self.is_wired => (Head::Long, Body::Compact { padded: false }),
            FORMAT => (Head::None, Body::Format),
            FORMAT_SHORT_HEADER => (Head::Short, Body::Format),
            FORMAT_LONG_HEADER => (Head::Long, Body::Format),
            0xA0..=0xB7 => return Err(refuse(Flaw::Radio(RadioFlaw::Vendor(ci)))),
            ci::FIXED_MSB_FIRST if !self.is_wired => return Err(refuse(Flaw::Ci(ci))),
            _ => (Head::None, Body::Other),
        };
        let order = match body {
            Body::Records(order) => order,
            _ => ByteOrder::LsbFirst,
        };

        let header_at = r.offset();
        let header = match head {
            Head::Long => Header::read_long(&mut r, order)?,
            Head::Short => Header::read_short(&mut r, order)?,
            Head::None => {
                self.at = header_at;
                return Ok(self.opened(body));
            }
        };
        let configuration = header.configuration.unwrap_or(Configuration(0));
        let derivation = if configuration.mode() == 7 { r.byte(Part::Header)? } else { 0 };
        let at = r.offset();
        self.at = at;
        let senders = match head {
            Head::Long => [self.sent_address(header_at), None],
            _ => self.senders(),
        };
        let header = self.completed(header);
        self.envelope.header = Some(header);
        if !self.is_sealed(configuration) {
            return Ok(self.opened(body));
        }
        let seal = Seal {
            at,
            body,
            message_at,
            configuration,
            access_number: header.access_number,
            derivation,
            senders,
        };
        let (state, flaw) = match self.unseal(&seal) {
            Ok(state) => (state, None),
            Err((state, flaw)) => (state, Some(flaw)),
        };
        let mode = configuration.mode();
        self.envelope.encryption = Some(Encryption { layer: Layer::Tpl, mode, state });
        if let Some(flaw) = flaw {
            return Err(DecodeError { at, flaw });
        }
        let body = match body {
            Body::Compact { .. } => {
                // The check bytes are not part of it.
                self.at += CHECK.len();
                Body::Compact { padded: true }
            }
            body => body,
        };
        Ok(self.opened(body))
    }

    const fn opened(&self, body: Body) -> Opened {
        Opened { at: self.at, body }
    }

    /// The address in the long header at `at`, in the order and with the bytes of its sender.
    fn sent_address(&self, at: usize) -> Option<[u8; 8]> {
        let &[i0, i1, i2, i3, m0, m1, version, medium] = self.frame.get(at..)?.first_chunk()?;
        Some([m0, m1, i0, i1, i2, i3, version, medium])
    }

    /// Whose addresses may have gone into what is encrypted behind a short header.
    fn senders(&self) -> [Option<[u8; 8]>; 2] {
        let meter = self.envelope.ell.and_then(|ell| ell.meter);
        let link = match self.envelope.link {
            Some(Link::Radio(link)) => Some(link.address),
            // Who was asked.
            _ => self.envelope.meter,
        };
        [link, meter].map(|address| address.as_ref().map(as_sent_first))
    }

    /// The header with the address that it does not tell itself.
    fn completed(&mut self, header: Header) -> Header {
        if let Some(address) = header.address() {
            self.envelope.meter = Some(address);
            return header;
        }
        let Some(meter) = self.envelope.meter else { return header };
        Header {
            id: Some(meter.id),
            manufacturer: Some(meter.manufacturer),
            version: Some(meter.version),
            medium: Some(meter.medium),
            ..header
        }
    }

    /// Whether what follows the header is said to be encrypted. By radio all modes count; on a wire
    /// those that mean nothing do not, because old meters put other things into the field.
    const fn is_sealed(&self, configuration: Configuration) -> bool {
        match configuration.mode() {
            0 => false,
            5 | 7 => configuration.blocks() != 0,
            _ => !self.is_wired || configuration.is_encrypted_on_a_wire(),
        }
    }

    fn unseal(&mut self, seal: &Seal) -> Result<State, (State, Flaw)> {
        let mode = seal.configuration.mode();
        if !matches!(mode, 5 | 7) {
            return Err((State::Unsupported, Flaw::Mode(mode)));
        }
        let keys = self.keys.keys_of(self.envelope.meter);
        let sealed = self.frame.get(seal.at..).unwrap_or_default();
        if keys.is_empty() {
            let is_plain = match seal.body {
                Body::Records(order) => {
                    Records::new(Reader::new(sealed), order).are_plain_all_the_same()
                }
                // It has a checksum of its own.
                _ => sealed.starts_with(&CHECK),
            };
            return if is_plain {
                Ok(State::PlainMarked)
            } else {
                Err((State::KeyMissing, Flaw::KeyMissing(mode)))
            };
        }
        let unsupported = |flaw| (State::Unsupported, Flaw::Sealed(flaw));
        let announced = seal.sealed_len();
        let length = SealFlaw::Length { announced, found: sealed.len() };
        let opened = if mode == 5 {
            if seal.senders == [None; 2] {
                return Err(unsupported(SealFlaw::Anonymous));
            }
            let first = sealed.first_chunk().filter(|_| announced <= sealed.len());
            seal.key_of_mode_5(keys, first.ok_or(unsupported(length))?, sealed)
        } else {
            let derivation = seal.derivation >> 4 & 0b11;
            if derivation != 1 {
                return Err(unsupported(SealFlaw::KeyDerivation(derivation)));
            }
            let afl = self.envelope.afl.unwrap_or_default();
            let counter = afl.counter.ok_or(unsupported(SealFlaw::CounterMissing))?;
            if afl.mac.is_some_and(|mac| mac.bytes().is_empty()) {
                return Err(unsupported(SealFlaw::MacKind));
            }
            if announced > sealed.len() {
                return Err(unsupported(length));
            }
            let message = self.frame.get(seal.message_at..).unwrap_or_default();
            let (mac_ok, opened) = seal.key_of_mode_7(keys, &afl, counter, message, sealed);
            self.envelope.mac_ok = mac_ok;
            if mac_ok == Some(false) {
                return Err((State::KeyWrong, Flaw::Sealed(SealFlaw::MacWrong)));
            }
            opened
        };
        let (key, iv) = opened.ok_or((State::KeyWrong, Flaw::Sealed(SealFlaw::KeyWrong)))?;
        if let Some(sealed) = self.frame.get_mut(seal.at..seal.at + announced) {
            key.open_chained(iv, sealed);
        }
        Ok(State::Decrypted)
    }
}

/// How many bytes stand before what is encrypted.
#[derive(Clone, Copy, Debug)]
enum Head {
    Long,
    Short,
    None,
}

/// Records that are encrypted.
#[derive(Clone, Copy, Debug)]
struct Seal {
    at: usize,
    body: Body,
    /// Of the CI, with which begins what is authenticated.
    message_at: usize,
    configuration: Configuration,
    access_number: u8,
    derivation: u8,
    /// The header's address, else those that may be meant.
    senders: [Option<[u8; 8]>; 2],
}

impl Seal {
    /// The first of `keys` that opens the block `first` of `sealed`, and its initialisation vector.
    ///
    /// One wrong key in 65 536 makes it begin as it should, so that one under which all of the
    /// records are whole goes before.
    fn key_of_mode_5(
        &self,
        keys: &[Key],
        first: &[u8; BLOCK],
        sealed: &[u8],
    ) -> Option<(Key, [u8; BLOCK])> {
        let mut fitting = keys.iter().flat_map(|key| {
            self.senders.iter().flatten().filter_map(|sender| {
                let iv = iv_of_mode_5(*sender, self.access_number);
                opens(key, iv, first).then_some((*key, iv))
            })
        });
        let (key, iv) = fitting.next()?;
        if keys.len() == 1 || self.reads_well(&key, iv, sealed) {
            return Some((key, iv));
        }
        fitting.find(|(key, iv)| self.reads_well(key, *iv, sealed)).or(Some((key, iv)))
    }

    fn reads_well(&self, key: &Key, iv: [u8; BLOCK], sealed: &[u8]) -> bool {
        let Body::Records(order) = self.body else { return true };
        let mut room = [0; Frame::MAX_LEN];
        let Some(plain) = room.get_mut(..sealed.len()) else { return false };
        plain.copy_from_slice(sealed);
        if let Some(plain) = plain.get_mut(..self.sealed_len()) {
            key.open_chained(iv, plain);
        }
        Records::new(Reader::new(plain), order).are_whole()
    }

    /// How many bytes are encrypted.
    fn sealed_len(&self) -> usize {
        BLOCK * usize::from(self.configuration.blocks())
    }

    /// The message's own key by the first of `keys` that agrees with its authentication code, and
    /// whether any did. Where it has none, as in mode 5.
    fn key_of_mode_7(
        &self,
        keys: &[Key],
        afl: &Afl,
        counter: u32,
        message: &[u8],
        sealed: &[u8],
    ) -> (Option<bool>, Option<(Key, [u8; BLOCK])>) {
        const IV: [u8; BLOCK] = [0; BLOCK];
        let mut mac_ok = afl.mac.map(|_| false);
        let mut doubtful = None;
        for key in keys {
            for &[_, _, i0, i1, i2, i3, ..] in self.senders.iter().flatten() {
                let id = [i0, i1, i2, i3];
                if let Some(mac) = afl.mac {
                    let proof = key.derive(Purpose::Authentication, counter, id);
                    if !mac.agrees(&afl.authenticate(&proof, message)) {
                        continue;
                    }
                    mac_ok = Some(true);
                }
                let own = key.derive(Purpose::Encryption, counter, id);
                if sealed.first_chunk().is_some_and(|first| opens(&own, IV, first)) {
                    if afl.mac.is_some() || self.reads_well(&own, IV, sealed) {
                        return (mac_ok, Some((own, IV)));
                    }
                    doubtful = doubtful.or(Some((own, IV)));
                }
            }
        }
        (mac_ok, doubtful)
    }
}

fn opens(key: &Key, iv: [u8; BLOCK], first: &[u8; BLOCK]) -> bool {
    let mut plain = *first;
    key.open_chained(iv, &mut plain);
    plain.starts_with(&CHECK)
}

fn reader(frame: &[u8], at: usize) -> Reader<'_> {
    Reader::at(frame.get(at..).unwrap_or_default(), at)
}

pub(super) const fn iv_of_mode_5(sender: [u8; 8], access_number: u8) -> [u8; BLOCK] {
    let [m0, m1, i0, i1, i2, i3, version, medium] = sender;
    let a = access_number;
    [m0, m1, i0, i1, i2, i3, version, medium, a, a, a, a, a, a, a, a]
}

/// Two fillers, with which everything begins that is encrypted behind a header.
pub(super) const CHECK: [u8; 2] = [0x2F, 0x2F];

const FORMAT: u8 = 0x69;
const FORMAT_SHORT_HEADER: u8 = 0x6A;
const FORMAT_LONG_HEADER: u8 = 0x6B;
const COMPACT: u8 = 0x79;
const COMPACT_SHORT_HEADER: u8 = 0x7B;
