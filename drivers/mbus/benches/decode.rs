//! How long it takes to understand one telegram, from bytes to every value with its unit.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use mbus::{ByteOrder, Control, Full, Medium, Primary, Writer, ci, write_frame};
use mbus::{Data, Encoding, Entry, Frame, Header, Quantity, Secondary, Selection, Status, VibBuf};

fn main() {
    divan::main();
}

/// Frame, checksum, header and all records with value, unit and storage.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let telegram = telegram();
    bencher
        .counter(BytesCount::new(telegram.len()))
        .counter(ItemsCount::new(records(&telegram)))
        .bench(|| records(divan::black_box(&telegram)));
}

/// The frame alone: start, length, checksum, stop.
#[divan::bench]
fn frame(bencher: Bencher<'_, '_>) {
    let telegram = telegram();
    bencher
        .counter(BytesCount::new(telegram.len()))
        .bench(|| Frame::read(divan::black_box(&telegram)).is_ok());
}

/// The same telegram as a meter writes it.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    bencher.bench(telegram);
}

fn records(telegram: &[u8]) -> usize {
    let Ok(Frame::Long(long)) = Frame::read(telegram) else { return 0 };
    let Ok(records) = long.telegram().and_then(mbus::Telegram::records) else { return 0 };
    records
        .flatten()
        .map(|record| {
            divan::black_box((record.value().ok(), record.vib.unit.as_str(), record.dib.storage));
        })
        .count()
}

/// As long as a heat meter's with its history: 30 records.
fn telegram() -> Vec<u8> {
    let mut buffer = [0; Frame::MAX_LEN];
    let address: Selection = "67001122KAM0804".parse().unwrap_or(Selection::ALL);
    let address = Secondary {
        id: mbus::Id(address.id),
        manufacturer: mbus::Manufacturer(address.manufacturer),
        version: address.version,
        medium: Medium::new(address.medium),
    };
    let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::RECORDS, |w| {
        Header::long(address, 1, Status::OK).write(w)?;
        (0..6).try_for_each(|month| month_of_records(w, month))
    });
    frame.unwrap_or_default().to_vec()
}

fn month_of_records(w: &mut Writer<'_>, storage: u64) -> Result<(), Full> {
    let records = [
        (Quantity::Energy, "Wh", 3, Data::int(Encoding::Int32, 12_345_678)),
        (Quantity::Volume, "m3", -2, Data::bcd(Encoding::Bcd8, 12_345_678)),
        (Quantity::FlowTemperature, "C", -2, Data::int(Encoding::Int16, 7_512)),
        (Quantity::Power, "W", 2, Data::bcd(Encoding::Bcd6, 1_234)),
        (Quantity::ErrorFlags, "", 0, Data::unsigned(Encoding::Int16, 0x8001)),
    ];
    for (quantity, unit, exponent, data) in records {
        let vib = VibBuf::of(quantity, unit, exponent).ok_or(Full)?;
        let entry = Entry::new(vib, data.ok_or(Full)?).stored(storage).ok_or(Full)?;
        entry.write(w, ByteOrder::LsbFirst)?;
    }
    Ok(())
}
