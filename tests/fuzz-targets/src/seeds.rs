//! What the fuzzer starts from: telegrams of all kinds that our own encoder writes.

use mbus::{
    Baud, ByteOrder, Control, Data, Date, Encoding, Entry, Frame, Full, Function, Header, Id,
    Manufacturer, Medium, Modifier, Primary, Quantity, Real32, Request, Secondary, Selection,
    Status, Time, VibBuf, Writer, ci, write_frame,
};

/// The first cases of the target `name`; none for one that has none.
pub fn of(name: &str) -> Vec<Vec<u8>> {
    match name {
        "frame" => frames(),
        "records" => records(),
        "wireless" => wireless(),
        _ => Vec::new(),
    }
}

fn frames() -> Vec<Vec<u8>> {
    let to = Primary(5);
    let requests = [
        Request::Reset(to),
        Request::Data { to, fcb: true },
        Request::Alarm { to, fcb: false },
        Request::Select(Selection::ALL),
        Request::SetBaud { to, baud: Baud::B9600 },
        Request::Send { to, fcb: true, ci: ci::DATA, data: &[0x01, 0x7A, 0x07] },
    ];
    let mut frames: Vec<_> =
        requests.iter().map(|request| written(|w| request.write(w)).unwrap_or_default()).collect();
    frames.push(written(|w| Frame::Ack.write(w)).unwrap_or_default());
    frames.extend(bodies().into_iter().map(|(ci, body)| {
        let mut buffer = [0; Frame::MAX_LEN];
        let frame = write_frame(&mut buffer, Control::RSP_UD, to, ci, |w| w.bytes(&body));
        frame.unwrap_or_default().to_vec()
    }));
    frames
}

fn records() -> Vec<Vec<u8>> {
    let place = |ci| crate::records::CIS.iter().position(|other| *other == ci);
    bodies()
        .into_iter()
        .filter_map(|(ci, body)| {
            let mut case = vec![u8::try_from(place(ci)?).ok()?];
            case.extend(body);
            Some(case)
        })
        .collect()
}

/// Each choice of layers with some of the records, and some bare frames to be heard.
fn wireless() -> Vec<Vec<u8>> {
    let entries = entries();
    let mut cases: Vec<Vec<u8>> = (0..36_u8)
        .filter_map(|layers| {
            let mut case = vec![layers << 1 | 1, layers, 0x34, 0x56, 0x78];
            for entry in entries.iter().skip(usize::from(layers) % 26).take(5) {
                case.extend(written(|w| entry.write(w, ByteOrder::LsbFirst))?);
            }
            Some(case)
        })
        .collect();
    // A full frame of volume, the compact one of the same kind, and the format alone, all bare.
    let link = [0x44, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x07];
    let payloads: [&[u8]; 4] = [
        &[0x78, 0x04, 0x13, 0x39, 0x30, 0x00, 0x00],
        &[0x79, 0x00, 0x00, 0x12, 0x34, 0x39, 0x30, 0x00, 0x00],
        &[0x69, 0x04, 0x13],
        &[0x8C, 0x20, 0x07, 0x7A, 0x2A, 0x00, 0x00, 0x00, 0x04, 0x13, 0x39, 0x30, 0x00, 0x00],
    ];
    for choice in [0, 2] {
        let mut case = vec![choice];
        for payload in payloads {
            let len = u8::try_from(link.len() + payload.len()).unwrap_or(0);
            case.extend([len + 1, len]);
            case.extend(link);
            case.extend(payload);
        }
        cases.push(case);
    }
    // The same listener on a wire.
    cases.extend(frames().into_iter().map(|frame| {
        let mut case = vec![0, u8::try_from(frame.len()).unwrap_or(u8::MAX)];
        case.extend(frame);
        case
    }));
    cases
}

/// What stands behind the CI of answers of each kind.
fn bodies() -> Vec<(u8, Vec<u8>)> {
    let mut bodies = vec![
        (ci::ERROR, vec![8]),
        (ci::ALARM, vec![1]),
        // The counters of the fixed structure, in litres.
        (ci::FIXED, vec![0x78, 0x56, 0x34, 0x12, 1, 0, 0xE9, 0x7E, 1, 0, 0, 0, 0x35, 1, 0, 0]),
    ];
    for (place, entry) in entries().into_iter().enumerate() {
        let kinds = [
            (ci::RECORDS_WITHOUT_HEADER, ByteOrder::LsbFirst),
            (ci::RECORDS, ByteOrder::LsbFirst),
            (ci::RECORDS_MSB_FIRST, ByteOrder::MsbFirst),
            (ci::RECORDS_SHORT_HEADER, ByteOrder::LsbFirst),
        ];
        let (ci, order) = kinds[place % kinds.len()];
        let body = written(|w| {
            match ci {
                ci::RECORDS_WITHOUT_HEADER => {}
                ci::RECORDS_SHORT_HEADER => w.bytes(&[1, 0, 0, 0])?,
                _ => header().write(w)?,
            }
            entry.write(w, order)?;
            // Fillers, what the manufacturer alone knows, and that there is more.
            w.bytes(if place % 2 == 0 { &[0x2F, 0x0F, 0xAB] } else { &[0x1F] })
        });
        bodies.extend(body.map(|body| (ci, body)));
    }
    bodies
}

fn header() -> Header {
    let address = Secondary {
        id: Id(0x1234_5678),
        manufacturer: Manufacturer(0x2C2D),
        version: 1,
        medium: Medium::new(4),
    };
    Header::long(address, 1, Status::OK)
}

/// One of each coding, of each table, and of each kind of VIFE.
fn entries() -> Vec<Entry<'static>> {
    let energy = VibBuf::of(Quantity::Energy, "Wh", 3);
    let volume = VibBuf::of(Quantity::Volume, "m3", -3);
    let customer = VibBuf::of(Quantity::Customer, "", 0);
    let date = Date::new(2026, 11, 22);
    let minute = Time::new(7, 31, None);
    let second = Time::new(7, 31, Some(59));
    let date_time = |time: Option<Time>| Data::date_time(date?, time?);
    let pairs: [(Option<VibBuf>, Option<Data<'static>>); 26] = [
        (energy, Some(Data::NOTHING)),
        (energy, Data::int(Encoding::Int8, -7)),
        (energy, Data::int(Encoding::Int16, -300)),
        (energy, Data::int(Encoding::Int24, 70_000)),
        (energy, Data::int(Encoding::Int32, 12_345_678)),
        (energy, Data::int(Encoding::Int48, -1 << 40)),
        (energy, Data::int(Encoding::Int64, i64::MAX)),
        (volume, Data::bcd(Encoding::Bcd2, 42)),
        (volume, Data::bcd(Encoding::Bcd4, -123)),
        (volume, Data::raw(Encoding::Bcd6, 0xEE_EEEE)),
        (volume, Data::bcd(Encoding::Bcd8, 12_345_678)),
        (volume, Data::bcd(Encoding::Bcd12, 123_456_789_012)),
        (volume, Data::variable_bcd(-1_234_567)),
        (volume, Some(Data::real(Real32(0.1_f32.to_bits())))),
        (volume, Some(Data::real(Real32(f32::INFINITY.to_bits())))),
        (customer, Data::text("Kvernhusgata 4")),
        (customer, Data::bytes(&[0xAB; 20])),
        (VibBuf::of(Quantity::Date, "", 0), date.and_then(Data::date)),
        (VibBuf::of(Quantity::DateTime, "", 0), date_time(minute)),
        (VibBuf::of(Quantity::DateTime, "", 0), date_time(second)),
        (VibBuf::of(Quantity::DateTime, "", 0), second.map(Data::time)),
        (VibBuf::of(Quantity::ErrorFlags, "", 0), Data::unsigned(Encoding::Int16, 0x8001)),
        (VibBuf::text("°C ute"), Data::int(Encoding::Int16, 215)),
        // In the order of the standard, and in that of real meters.
        (VibBuf::read(&[0xFC, 0x74, 3, b'H', b'R', b'%']), Data::int(Encoding::Int16, 4_321)),
        (VibBuf::read(&[0xFC, 3, b'H', b'R', b'%', 0x74]), Data::int(Encoding::Int16, 4_321)),
        (
            VibBuf::of(Quantity::Power, "W", 0).and_then(|vib| vib.with(Modifier::NEGATIVE_ONLY)),
            Data::int(Encoding::Int32, 99),
        ),
    ];
    let vifes =
        [[0xBE, 0x50], [0x94, 0x6F], [0xAB, 0x49], [0xDA, 0x16], [0xE3, 0x3D], [0xFF, 0x21]];
    let by_vife =
        vifes.map(|bytes| (VibBuf::read(&bytes), Data::int(Encoding::Int32, 0x187A_1432)));
    pairs
        .into_iter()
        .chain(by_vife)
        .enumerate()
        .filter_map(|(place, (vib, data))| {
            let entry = Entry::new(vib?, data?);
            match place % 4 {
                0 => Some(entry),
                1 => entry.stored(1 << (place % 41)),
                2 => entry.stored(1)?.of_tariff(2),
                _ => Some(Entry { function: Function::Maximum, ..entry }),
            }
        })
        .collect()
}

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Option<Vec<u8>> {
    let mut buffer = [0; Frame::MAX_LEN];
    let mut w = Writer::new(&mut buffer);
    write(&mut w).ok()?;
    Some(w.written().to_vec())
}
