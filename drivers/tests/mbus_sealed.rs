//! Meters on a wire that encrypt what they say: over real sockets, with keys and without.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

#[expect(dead_code, reason = "its faults are for other tests")]
#[path = "support/slave.rs"]
mod slave;
mod support;

use std::sync::Arc;

use drivers::{
    Bus, Discovered, Garble, Keyring, MeterAddress, MeterKeys, Profiles, ReadError, Scan, ScanStep,
};
use mbus::crypto::Key;
use mbus::radio::{Framing, RadioLink, Security, Transmission, write_compact};
use mbus::{
    Configuration, Control, Frame, Header, Primary, Reader, Selection, Status, Telegram, Writer,
    ci, write_frame,
};
use slave::{Act, KAM, meter, read, shown, slave};
use support::Noon;

const KEY: Key = Key::new(*b"the meter's key.");
const OTHER: Key = Key::new(*b"another's key...");

/// Energy and volume, and more in telegram 1; that is power and an energy of its own.
fn records(telegram: u8) -> &'static [u8] {
    match telegram {
        0 => &[0x04, 0x06, 0x39, 0x30, 0, 0, 0x02, 0x13, 0x64, 0, 0x1F],
        _ => &[0x02, 0x2D, 0xEA, 0],
    }
}

const ALL: [&str; 3] = ["energy = 12345 kWh", "volume = 0.100 m³", "power = 23.4 kW"];

/// What stands behind the address byte: the layers of a message, or just its records.
fn message(code: u8, header: Header, security: Security<'_>, records: &[u8]) -> Vec<u8> {
    let link = RadioLink { framing: Framing::Bare, control: Control::RSP_UD, address: KAM };
    let sender = Transmission { link, ell: None, link_key: None, security };
    let mut room = [0; 256];
    let mut w = Writer::new(&mut room);
    sender.write_telegram(code, Some(&header), &mut w, |w| w.bytes(records)).unwrap();
    w.written().to_vec()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut buffer = [0; Frame::MAX_LEN];
    let (code, data) = message.split_first().unwrap();
    write_frame(&mut buffer, Control::RSP_UD, Primary(5), *code, |w| w.bytes(data))
        .unwrap()
        .to_vec()
}

fn long(telegram: u8) -> Header {
    Header::long(KAM, telegram, Status::OK)
}

fn short(telegram: u8) -> Header {
    Header { id: None, ..long(telegram) }
}

fn in_mode_5(telegram: u8) -> Vec<u8> {
    framed(&message(ci::RECORDS, long(telegram), Security::Mode5(&KEY), records(telegram)))
}

fn in_mode_7(telegram: u8) -> Vec<u8> {
    let security = Security::Mode7 { key: &KEY, counter: u32::from(telegram) + 9 };
    framed(&message(ci::RECORDS, long(telegram), security, records(telegram)))
}

fn behind_a_short_header(telegram: u8) -> Vec<u8> {
    let code = ci::RECORDS_SHORT_HEADER;
    framed(&message(code, short(telegram), Security::Mode5(&KEY), records(telegram)))
}

/// A full telegram first, and then what changed since: the same values without their DIBs and VIBs.
fn compact(telegram: u8) -> Vec<u8> {
    let full = [0x2F, 0x2F, 0x02, 0x2D, 0xEA, 0];
    if telegram == 0 {
        return framed(&message(
            ci::RECORDS,
            long(0),
            Security::Plain,
            &[&full[..], &[0x1F]].concat(),
        ));
    }
    let records = Telegram::read(ci::RECORDS_WITHOUT_HEADER, Reader::new(&full));
    let records = records.unwrap().records().unwrap();
    let mut room = [0; 64];
    let mut w = Writer::new(&mut room);
    write_compact(&records, &mut w).unwrap();
    framed(&[&[0x79], w.written()].concat())
}

/// One message in two telegrams, of which neither can be read alone.
fn in_pieces(telegram: u8) -> Vec<u8> {
    let security = Security::Mode7 { key: &KEY, counter: 77 };
    let energy = &records(0)[..10];
    let message = message(ci::RECORDS, long(1), security, &[energy, records(1)].concat());
    // Its layer: the length and the flags, then MCL, counter and code.
    let (layer, message) = message.split_at(2 + usize::from(message[1]));
    let (control, counter, code) = (layer[4], &layer[5..9], &layer[9..]);
    let (first, second) = message.split_at(20);
    match telegram {
        0 => framed(&[&[0x90, 7, 1, 0x68, control], counter, first].concat()),
        _ => framed(&[&[0x90, 10, 2, 0x04], code, second].concat()),
    }
}

/// Says that it is encrypted, and is not.
fn plain_all_the_same(_telegram: u8) -> Vec<u8> {
    let header = Header { configuration: Some(Configuration(0x0510)), ..long(0) };
    let mut room = [0; 64];
    let mut w = Writer::new(&mut room);
    w.byte(ci::RECORDS).unwrap();
    header.write(&mut w).unwrap();
    w.bytes(&[0x2F, 0x2F, 0x02, 0x2D, 0xEA, 0]).unwrap();
    w.bytes(&[0x2F; 10]).unwrap();
    framed(w.written())
}

fn bus(slave: &slave::Slave, key: Option<Key>) -> Bus {
    let mut keys = Keyring::new();
    if let Some(encryption) = key {
        keys.put("67001122".parse().unwrap(), MeterKeys { encryption, authentication: None });
    }
    let mut bus = Bus::open(&slave.settings, Arc::new(Profiles::default()));
    bus.set_keys(Arc::new(keys));
    bus
}

async fn told(
    said: fn(u8) -> Vec<u8>,
    address: MeterAddress,
    key: Option<Key>,
) -> Result<Vec<String>, ReadError> {
    let slave = slave(false, vec![Act::Own(said); 8]).await;
    let mut bus = bus(&slave, key);
    read(&mut bus, &meter(address)).await.map(|readout| shown(&readout))
}

const FIVE: MeterAddress = MeterAddress::Primary(5);

fn by_its_own() -> MeterAddress {
    MeterAddress::Secondary(Selection::of(KAM))
}

#[tokio::test]
async fn all_telegrams_of_a_meter_that_encrypts_are_read() {
    for said in [in_mode_5, in_mode_7, in_pieces] {
        for address in [FIVE, by_its_own()] {
            assert_eq!(told(said, address, Some(KEY)).await.unwrap(), ALL);
        }
    }
}

#[tokio::test]
async fn a_short_header_is_of_who_was_asked() {
    assert_eq!(told(behind_a_short_header, by_its_own(), Some(KEY)).await.unwrap(), ALL);
    // At an address on the bus nobody knows whose key that would be.
    let error = told(behind_a_short_header, FIVE, Some(KEY)).await.unwrap_err();
    let ReadError::Garbled { cause: Garble::Undecodable(what), .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("does not say whose key opens it"), "{what}");
}

#[tokio::test]
async fn a_compact_telegram_has_the_format_of_the_full_one_before() {
    let both = told(compact, FIVE, None).await.unwrap();
    assert_eq!(both, ["power = 23.4 kW"], "the second says the same again");
}

#[tokio::test]
async fn without_the_right_key_nothing_is_told() {
    for (said, key) in [
        (in_mode_5 as fn(u8) -> Vec<u8>, None),
        (in_mode_7, None),
        (in_mode_5, Some(OTHER)),
        (in_mode_7, Some(OTHER)),
        // Whoever does not know the key could have sent it.
        (plain_all_the_same, Some(KEY)),
    ] {
        let error = told(said, FIVE, key).await.unwrap_err();
        let ReadError::Locked { number, has_key, .. } = &error else { panic!("{error:?}") };
        assert_eq!((number.as_str(), *has_key), ("67001122", key.is_some()));
    }
    assert_eq!(told(plain_all_the_same, FIVE, None).await.unwrap(), ["power = 23.4 kW"]);
}

async fn found(said: fn(u8) -> Vec<u8>, mut scan: Scan) -> Discovered {
    let slave = slave(false, vec![Act::Own(said); 30]).await;
    let mut bus = bus(&slave, None);
    loop {
        match bus.scan_step(&mut scan, &Noon).await.unwrap() {
            ScanStep::Found(meter) => return meter,
            ScanStep::Nothing => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_scan_tells_who_encrypts() {
    for said in [in_mode_5, in_mode_7] {
        let by_primary = found(said, Scan::primary(5..=5)).await;
        assert_eq!(by_primary.address, FIVE);
        assert_eq!(by_primary.identity.serial, "67001122");
        let own = found(said, Scan::secondary(mbus::Place::START, vec![])).await;
        assert_eq!(own.address, by_its_own());
        assert_eq!(by_primary.own, own.own, "it is one meter");
        assert_eq!(own.primary, Some(5));
    }
}
