//! What is written is read back, whatever it is; and no bytes make a reader panic, wherever they
//! are cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use mbus::{
    Answer, Bits, ByteOrder, Control, Data, Date, Encoding, Entry, Frame, Function, Header, Id,
    Invalid, Long, Manufacturer, Medium, Modifier, Number, Primary, Quantity, Reader, Real32,
    Record, Records, Secondary, Sort, Status, Telegram, Time, Value, VibBuf, Writer, ci,
    write_frame,
};
use proptest::prelude::*;

/// What is put into a record, so that what comes out can be compared with it.
#[derive(Clone, Debug)]
enum Content {
    Nothing,
    Selection,
    Signed(Encoding, i64),
    Unsigned(Encoding, u64),
    Bcd(Encoding, i64),
    /// Digits, some of which are from A to F.
    RawBcd(Encoding, u64),
    Real(u32),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Digits(i64),
    Day(Date),
    Moment(Date, Time),
    Clock(Time),
}

impl Content {
    fn data(&self) -> Option<Data<'_>> {
        match self {
            Self::Nothing => Some(Data::NOTHING),
            Self::Selection => Some(Data::SELECTION),
            Self::Signed(encoding, number) => Data::int(*encoding, *number),
            Self::Unsigned(encoding, number) => Data::unsigned(*encoding, *number),
            Self::Bcd(encoding, number) => Data::bcd(*encoding, *number),
            Self::RawBcd(encoding, bits) => Data::raw(*encoding, *bits),
            Self::Real(bits) => Some(Data::real(Real32(*bits))),
            Self::Text(text) => Data::latin1(text),
            Self::Bytes(bytes) => Data::bytes(bytes),
            Self::Digits(number) => Data::variable_bcd(*number),
            Self::Day(date) => Data::date(*date),
            Self::Moment(date, time) => Data::date_time(*date, *time),
            Self::Clock(time) => Some(Data::time(*time)),
        }
    }

    /// Checks what a record of `sort` says that this was put into.
    fn check(&self, record: &Record<'_>) {
        let (value, exponent) = (record.value(), record.vib.exponent);
        let sort = record.vib.sort;
        let integer = |mantissa| Ok(Value::Number(Number::Integer { mantissa, exponent }));
        if record.vib.record_error && !matches!(self, Self::Nothing | Self::Selection) {
            assert_eq!(value, Err(Invalid::RecordError));
            return;
        }
        match (self, sort) {
            (Self::Nothing | Self::Selection, _) => assert_eq!(value, Ok(Value::None)),
            (Self::Signed(encoding, number), Sort::Number) => {
                let bits = 8 * encoding.data_len().unwrap();
                let lowest = i64::MIN >> (64 - bits);
                let right = if *number == lowest {
                    Err(Invalid::Integer)
                } else {
                    integer((*number).into())
                };
                assert_eq!(value, right);
            }
            (Self::Unsigned(_, number), Sort::Unsigned | Sort::Bits) => {
                assert_eq!(value, integer((*number).into()));
            }
            (Self::Bcd(..) | Self::RawBcd(..) | Self::Real(_), Sort::Date) => {
                assert_eq!(value, Err(Invalid::DateCoding));
            }
            (Self::Bcd(_, number) | Self::Digits(number), _) => {
                assert_eq!(value, integer((*number).into()));
            }
            (Self::RawBcd(encoding, bits), _) => {
                let digits = 2 * encoding.data_len().unwrap();
                let text = format!("{bits:0digits$X}");
                let decimal = match text.strip_prefix('F') {
                    Some(magnitude) => magnitude.parse().map(|number: i128| -number),
                    None => text.parse(),
                };
                let right = decimal.map_or(Err(Invalid::BcdDigit), integer);
                assert_eq!(value, right);
            }
            (Self::Real(bits), _) => {
                let float = f32::from_bits(*bits);
                let right = match (float.is_nan(), float.is_infinite()) {
                    (true, _) => Err(Invalid::RealNan),
                    (_, true) => Err(Invalid::RealInfinite),
                    _ => Ok(Value::Number(Number::Real { real: Real32(*bits), exponent })),
                };
                assert_eq!(value, right);
            }
            (Self::Text(text), _) => {
                let characters: String = text.iter().map(|byte| char::from(*byte)).collect();
                assert_eq!(value.unwrap().to_string(), characters);
            }
            (Self::Bytes(bytes), _) => assert_eq!(value, Ok(Value::Bytes(bytes))),
            (Self::Day(date), Sort::Date) => assert_eq!(value, Ok(Value::Date(*date))),
            (Self::Moment(date, time), Sort::Date) => {
                assert_eq!(value, Ok(Value::DateTime(*date, *time)));
            }
            (Self::Clock(time), Sort::Date) => assert_eq!(value, Ok(Value::Time(*time))),
            // The same bits read as of another sort: that they are the same is all there is.
            _ => {}
        }
    }
}

fn ints() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![
        Encoding::Int8,
        Encoding::Int16,
        Encoding::Int24,
        Encoding::Int32,
        Encoding::Int48,
        Encoding::Int64,
    ])
}

fn bcds() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![
        Encoding::Bcd2,
        Encoding::Bcd4,
        Encoding::Bcd6,
        Encoding::Bcd8,
        Encoding::Bcd12,
    ])
}

fn times() -> impl Strategy<Value = Time> {
    (0_u8..24, 0_u8..60, prop::option::of(0_u8..60), any::<bool>()).prop_map(
        |(hour, minute, second, summer)| {
            let time = Time::new(hour, minute, second).unwrap();
            if summer { time.in_summer() } else { time }
        },
    )
}

fn dates() -> impl Strategy<Value = Date> {
    (1981_u16..=2080, 1_u8..=12, 1_u8..=31)
        .prop_filter_map("there is no such day", |(year, month, day)| Date::new(year, month, day))
}

fn contents() -> impl Strategy<Value = Content> {
    let unused = |encoding: Encoding| 64 - 8 * encoding.data_len().unwrap();
    prop_oneof![
        Just(Content::Nothing),
        Just(Content::Selection),
        (ints(), any::<i64>()).prop_map(move |(encoding, number)| Content::Signed(
            encoding,
            number >> unused(encoding)
        )),
        ints().prop_map(move |encoding| Content::Signed(encoding, i64::MIN >> unused(encoding))),
        (ints(), any::<u64>()).prop_map(move |(encoding, number)| {
            Content::Unsigned(encoding, number >> unused(encoding))
        }),
        (bcds(), any::<i64>()).prop_map(|(encoding, number)| {
            let digits = 2 * u32::try_from(encoding.data_len().unwrap()).unwrap();
            let limit = 10_i64.pow(if number < 0 { digits - 1 } else { digits });
            Content::Bcd(encoding, number % limit)
        }),
        (bcds(), any::<u64>())
            .prop_map(move |(encoding, bits)| Content::RawBcd(encoding, bits >> unused(encoding))),
        any::<u32>().prop_map(Content::Real),
        prop::collection::vec(any::<u8>(), 0..=191).prop_map(Content::Text),
        (prop::sample::select(vec![0, 1, 2, 7, 8, 15, 16, 20, 24, 28, 32, 48, 64]), any::<u8>())
            .prop_map(|(len, byte)| Content::Bytes(vec![byte; len])),
        (-999_999_999_999_999_999_i64..=999_999_999_999_999_999).prop_map(Content::Digits),
        dates().prop_map(Content::Day),
        (dates(), times()).prop_map(|(date, time)| Content::Moment(date, time)),
        // Type J has its seconds always, and no bit for summer.
        (0_u8..24, 0_u8..60, 0_u8..60).prop_map(|(hour, minute, second)| {
            Content::Clock(Time::new(hour, minute, Some(second)).unwrap())
        }),
    ]
}

/// Any code of the three tables or a text, with up to nine VIFEs of the standard behind it.
fn vibs() -> impl Strategy<Value = VibBuf> {
    let start = prop_oneof![
        4 => (0_u8..0x7C).prop_map(|code| VibBuf::read(&[code]).unwrap()),
        1 => Just(VibBuf::of(Quantity::ManufacturerSpecific, "", 0).unwrap()),
        2 => (0_u8..0x80).prop_map(|code| VibBuf::read(&[0xFD, code]).unwrap()),
        2 => (0_u8..0x80).prop_map(|code| VibBuf::read(&[0xFB, code]).unwrap()),
        1 => "[ -~]{1,32}".prop_map(|text| VibBuf::text(&text).unwrap()),
        // VIFs that lead nowhere, with a VIFE of their own.
        1 => Just(VibBuf::read(&[0xEF, 0x01]).unwrap()),
    ];
    let modifier = prop_oneof![
        8 => (0_u8..0x7C).prop_map(Modifier::of),
        1 => (0x7D_u8..0x80).prop_map(Modifier::of),
        1 => Just(Modifier::PHASE_L2),
    ];
    (start, prop::collection::vec(modifier, 0..10)).prop_map(|(start, modifiers)| {
        modifiers.into_iter().fold(start, |vib, modifier| vib.with(modifier).unwrap_or(vib))
    })
}

fn bits<const COUNT: u32>() -> impl Strategy<Value = Bits<COUNT>> {
    // As many small numbers as large ones.
    (0..COUNT, any::<u64>())
        .prop_map(|(shift, number)| Bits::new((number & ((1 << COUNT) - 1)) >> shift).unwrap())
}

fn functions() -> impl Strategy<Value = Function> {
    prop::sample::select(vec![
        Function::Instantaneous,
        Function::Maximum,
        Function::Minimum,
        Function::DuringError,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_written_is_read_back(
        content in contents(),
        vib in vibs(),
        function in functions(),
        storage in bits::<41>(),
        tariff in bits::<20>(),
        subunit in bits::<10>(),
        msb_first: bool,
    ) {
        let order = if msb_first { ByteOrder::MsbFirst } else { ByteOrder::LsbFirst };
        let Some(data) = content.data() else {
            // Seconds of a year that type I does not reach.
            let beyond = |date: Date, time: Time| date.year() < 2000 && time.second().is_some();
            let is_beyond = matches!(content, Content::Moment(date, time) if beyond(date, time));
            prop_assert!(is_beyond, "{content:?}");
            return Ok(());
        };
        let entry = Entry { function, storage, tariff, subunit, vib, data };
        let mut buffer = [0; 300];
        let mut w = Writer::new(&mut buffer);
        entry.write(&mut w, order).unwrap();
        let bytes = w.written();

        let mut records = Records::new(Reader::new(bytes), order);
        let record = records.next().unwrap().unwrap();
        prop_assert!(records.next().is_none());
        prop_assert_eq!(Record::read(&mut Reader::new(bytes), order), Ok(record));
        let dib = record.dib;
        prop_assert_eq!(dib.encoding, data.encoding());
        prop_assert_eq!((dib.function, dib.storage), (function, storage));
        prop_assert_eq!((dib.tariff, dib.subunit), (tariff, subunit));
        prop_assert_eq!(record.vib.bytes(), vib.bytes());
        let parts = [record.dib_bytes(), record.vib.bytes(), record.data()].concat();
        prop_assert_eq!(parts, bytes);
        content.check(&record);
        let value = record.value();
        prop_assert!(value.is_err() || !value.unwrap().to_string().contains("NaN"));
        prop_assert!(!record.to_string().is_empty());
    }

    #[test]
    fn a_frame_of_any_records_says_them_all(
        records in prop::collection::vec((contents(), vibs(), bits::<41>()), 0..6),
        access_number: u8,
        status: u8,
        id: u32,
        more: bool,
    ) {
        let address = Secondary {
            id: Id(id),
            manufacturer: Manufacturer::of("KAM").unwrap(),
            version: 0x35,
            medium: Medium::new(4),
        };
        let header = Header::long(address, access_number, Status(status));
        let mut kept = 0;
        let mut buffer = [0; Frame::MAX_LEN];
        let frame = write_frame(&mut buffer, Control::RSP_UD, Primary(5), ci::RECORDS, |w| {
            header.write(w)?;
            for (content, vib, storage) in &records {
                let Some(data) = content.data() else { continue };
                let entry = Entry { storage: *storage, ..Entry::new(*vib, data) };
                // One byte is left for the mark that more telegrams follow.
                if entry.write(w, ByteOrder::LsbFirst).is_err() || w.room() == 0 {
                    return Err(mbus::Full);
                }
                kept += 1;
            }
            if more { w.byte(0x1F) } else { Ok(()) }
        });
        let Ok(frame) = frame else { return Ok(()) };
        let Ok(Frame::Long(long)) = Frame::read(frame) else { panic!("a long frame") };
        prop_assert_eq!(long.telegram().unwrap().header, Some(header));
        let mut answer = Answer::new([frame]);
        for (place, joint) in answer.by_ref().enumerate() {
            prop_assert!(joint.record.is_ok());
            prop_assert_eq!((joint.telegram, joint.index), (0, place));
            kept -= 1;
        }
        prop_assert_eq!(kept, 0);
        prop_assert_eq!(answer.is_complete(), !more);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        ci: u8,
    ) {
        read_all(&bytes);
        read_telegram(ci, &bytes);
        let mut buffer = [0; Frame::MAX_LEN];
        let data = &bytes[..bytes.len().min(252)];
        let framed = write_frame(&mut buffer, Control::RSP_UD, Primary(1), ci, |w| w.bytes(data));
        read_all(framed.unwrap());
    }
}

/// Each golden telegram cut at each place, and with each of its bytes turned over.
#[test]
fn telegrams_cut_anywhere_are_refused_and_spoilt_ones_are_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (_, hex) = text.split_once('\n').unwrap();
        let frame: Vec<u8> =
            hex.split_whitespace().map(|it| u8::from_str_radix(it, 16).unwrap()).collect();
        for end in 0..frame.len() {
            let error = Frame::read(&frame[..end]).unwrap_err();
            assert!(error.at <= end, "{}: {error}", path.display());
            for start in 0..end {
                read_telegram(ci::RECORDS, &frame[start..end]);
                read_telegram(ci::RECORDS_WITHOUT_HEADER, &frame[start..end]);
            }
        }
        for at in 0..frame.len() {
            for flip in [0x01, 0x10, 0x80, 0xFF] {
                let mut spoilt = frame.clone();
                spoilt[at] ^= flip;
                read_all(&spoilt);
                read_telegram(ci::RECORDS, spoilt.get(7..).unwrap_or_default());
            }
        }
        count += 1;
    }
    assert!(count >= 18, "only {count} telegrams");
}

fn read_all(bytes: &[u8]) {
    match Frame::read(bytes) {
        Ok(Frame::Long(Long { ci, data, .. })) => read_telegram(ci, data),
        Ok(_) => {}
        Err(error) => assert!(error.at <= bytes.len()),
    }
}

/// Reads and prints everything; what could not be read is the rest of the bytes.
fn read_telegram(ci: u8, data: &[u8]) {
    let Ok(telegram) = Telegram::read(ci, Reader::new(data)) else { return };
    let Ok(mut records) = telegram.records() else { return };
    let mut failed = false;
    for record in records.by_ref() {
        assert!(!failed, "something comes behind an error");
        match record {
            Ok(record) => assert!(!record.to_string().is_empty()),
            Err(error) => {
                assert!(error.at <= data.len());
                failed = true;
            }
        }
    }
    assert_eq!(failed, !records.unread().is_empty());
    assert!(data.ends_with(records.unread()));
}
