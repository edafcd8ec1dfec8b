//! Bytes as what a meter says inside a frame.

use std::fmt::{self, Write};

use mbus::{
    ByteOrder, Content, Control, Data, Encoding, Entry, Long, Number, Primary, Reader, Record,
    Records, Value, VibBuf, Writer, ci,
};

/// Reads the first of `bytes` as a CI (any of those that say something of what is behind them) and
/// the others as what is behind it.
///
/// - The iteration ends, after at most one record a byte, and stays ended.
/// - The bytes of a record are those that stand there, and the records, the fillers and what is
///   behind them cover all of them without a gap.
/// - An error stands behind the last whole record and not behind the end.
/// - A record is the same when nothing follows it.
/// - A record that is written again is read back as the same, and as the same bytes where they were
///   as few as can be.
/// - A number is told exactly: its text, its steps and its rounding are of one number.
///
/// # Panics
///
/// If one of these does not hold.
pub fn records(bytes: &[u8]) {
    let Some((&choice, data)) = bytes.split_first() else {
        return;
    };
    let ci = CIS[usize::from(choice) % CIS.len()];
    // More than a frame can hold is nothing that a meter says.
    let data = &data[..data.len().min(MAX_DATA)];
    telegram(&Long { control: Control::RSP_UD, address: Primary(1), ci, data });
}

pub(crate) const CIS: [u8; 8] = [
    ci::RECORDS_WITHOUT_HEADER,
    ci::RECORDS,
    ci::RECORDS_MSB_FIRST,
    ci::RECORDS_SHORT_HEADER,
    ci::FIXED,
    ci::FIXED_MSB_FIRST,
    ci::ERROR,
    ci::ALARM,
];
const MAX_DATA: usize = 252;

/// What must hold of the telegram of a frame, whether its checksum was right or never computed.
pub(crate) fn telegram(frame: &Long<'_>) {
    let end = Long::DATA_AT + frame.data.len();
    let telegram = match frame.telegram() {
        Ok(telegram) => telegram,
        Err(error) => {
            assert!((Long::DATA_AT - 1..=end).contains(&error.at), "{error} is not in the frame");
            displayed(&error);
            return;
        }
    };
    if let Some(header) = telegram.header {
        displayed(&format_args!("{header:?}"));
    }
    let order = match frame.ci {
        ci::RECORDS_MSB_FIRST | ci::FIXED_MSB_FIRST => ByteOrder::MsbFirst,
        _ => ByteOrder::LsbFirst,
    };
    let is_fixed = matches!(frame.ci, ci::FIXED | ci::FIXED_MSB_FIRST);
    match telegram.content {
        // Its records are put together from bytes that stand elsewhere.
        Content::Records(records) if is_fixed => records.for_each(|record| {
            displayed(&record.expect("the counters are of a fixed length"));
        }),
        Content::Records(records) => all(records, frame.data, Long::DATA_AT, order),
        Content::Sealed(sealed) => {
            displayed(&sealed.error());
            if let Some(records) = sealed.plain() {
                all(records, frame.data, Long::DATA_AT, order);
            }
        }
        Content::Error(error) => displayed(&error.name()),
        Content::Alarm(_) => {}
    }
}

/// What must hold of `records`, which are the last of `data`, whose first byte has the offset
/// `from`.
pub(crate) fn all(mut records: Records<'_>, data: &[u8], from: usize, order: ByteOrder) {
    let more_follow = records.clone().more_follow();
    let mut at = None;
    let mut count = 0;
    let mut is_broken = false;
    for record in records.by_ref() {
        count += 1;
        assert!(count <= data.len(), "more records than bytes");
        assert!(!is_broken, "something comes behind an error");
        match record {
            Ok(record) => {
                let bytes = span(&record, data);
                if let Some(at) = at {
                    fillers(&data[at..bytes.start]);
                }
                at = Some(bytes.end);
                one(&record, &data[bytes], order);
            }
            Err(error) => {
                is_broken = true;
                let whole = from + at.unwrap_or(0);
                let end = from + data.len();
                assert!((whole..=end).contains(&error.at), "{error} is not behind byte {whole}");
                displayed(&error);
            }
        }
    }
    assert!(records.next().is_none() && records.next().is_none(), "the end is no end");
    let trailer = records.trailer();
    assert_eq!(more_follow, trailer.is_some_and(|trailer| trailer.more_follow));
    match trailer {
        Some(trailer) => {
            assert!(data.ends_with(trailer.manufacturer_data));
            let marker = data.len() - trailer.manufacturer_data.len() - 1;
            assert_eq!(data[marker], if trailer.more_follow { 0x1F } else { 0x0F });
            fillers(&data[at.unwrap_or(marker)..marker]);
        }
        None if !is_broken => fillers(&data[at.unwrap_or(data.len())..]),
        None => {}
    }
}

fn fillers(between: &[u8]) {
    assert!(between.iter().all(|byte| *byte == 0x2F), "{between:02X?} are of no record");
}

/// Where in `data` a record stands, whose three parts follow each other.
fn span(record: &Record<'_>, data: &[u8]) -> std::ops::Range<usize> {
    let start = record.dib_bytes().as_ptr().addr().wrapping_sub(data.as_ptr().addr());
    let mut end = start;
    for part in [record.dib_bytes(), record.vib.bytes(), record.data()] {
        assert_eq!(data.get(end..end + part.len()), Some(part), "part of {record} is not there");
        let at = part.as_ptr().addr().wrapping_sub(data.as_ptr().addr());
        assert!(part.is_empty() || at == end, "part of {record} stands elsewhere");
        end += part.len();
    }
    start..end
}

fn one(record: &Record<'_>, bytes: &[u8], order: ByteOrder) {
    displayed(record);
    if let Some(number) = record.number() {
        exact(number);
    }
    if record.vib.bytes().is_empty() {
        // The question for everything is a marker, not a record that anybody writes.
        return;
    }
    let mut r = Reader::new(bytes);
    let alone = Record::read(&mut r, order).expect("a record needs nothing behind it");
    same(&alone, record);
    assert!(r.rest().is_empty(), "{record} is shorter when it is alone");
    written_again(record, bytes, order);
}

/// In everything but where its bytes stand, and whether they are as few as can be.
fn same(one: &Record<'_>, other: &Record<'_>) {
    assert_eq!(one.dib, other.dib);
    assert_eq!(one.vib, other.vib);
    assert_eq!(one.data_type(), other.data_type());
    assert_eq!(one.value(), other.value());
}

fn written_again(record: &Record<'_>, bytes: &[u8], order: ByteOrder) {
    // A text as a unit may be longer than any that can be written.
    let Some(vib) = VibBuf::read(record.vib.bytes()) else {
        assert!(record.vib.bytes().len() > VibBuf::MAX_LEN, "{record} has a VIB that is none");
        return;
    };
    let mut text = Vec::new();
    let Some(data) = data_of(record, order, &mut text) else {
        return;
    };
    let entry = Entry {
        function: record.dib.function,
        storage: record.dib.storage,
        tariff: record.dib.tariff,
        subunit: record.dib.subunit,
        vib,
        data,
    };
    let mut buffer = [0; 300];
    let mut w = Writer::new(&mut buffer);
    entry.write(&mut w, order).expect("a record that was read fits");
    let written = w.written();
    let again =
        Record::read(&mut Reader::new(written), order).expect("what is written is a record");
    same(&again, record);
    let is_shortest = again.dib_bytes().len() == record.dib_bytes().len();
    let is_variable_bcd = matches!(record.data().first(), Some(0xC0..=0xDF));
    if is_shortest && !(is_variable_bcd && record.dib.encoding == Encoding::Variable) {
        assert_eq!(written, bytes);
    }
}

/// What a meter would write to say the same; `None` where only a meter can say it.
fn data_of<'t>(record: &Record<'t>, order: ByteOrder, text: &'t mut Vec<u8>) -> Option<Data<'t>> {
    let encoding = record.dib.encoding;
    let bits = |bytes: &[u8]| {
        let push = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match order {
            ByteOrder::LsbFirst => bytes.iter().rev().fold(0, push),
            ByteOrder::MsbFirst => bytes.iter().fold(0, push),
        }
    };
    if encoding != Encoding::Variable {
        let data = Data::raw(encoding, bits(record.data()));
        return Some(data.expect("a coding holds what was read in it"));
    }
    let (lvar, behind) = record.data().split_first().expect("variable data has a length byte");
    match lvar {
        0x00..=0xBF => {
            text.extend(behind);
            if order == ByteOrder::LsbFirst {
                text.reverse();
            }
            Some(Data::latin1(text).expect("a text that was read is short enough"))
        }
        0xC0..=0xDF => match record.value() {
            Ok(Value::Number(number)) => Data::variable_bcd(number_as_sent(number)?),
            _ => None,
        },
        _ => Some(Data::bytes(behind).expect("there are that many bytes")),
    }
}

fn number_as_sent(number: Number) -> Option<i64> {
    match number {
        // Zero has a sign on the wire, and none in a number.
        Number::Integer { mantissa, .. } if mantissa != 0 => i64::try_from(mantissa).ok(),
        _ => None,
    }
}

fn exact(number: Number) {
    let text = number.to_string();
    match number {
        Number::Integer { mantissa, exponent } => {
            assert_eq!(of_text(&text), shortened(mantissa, exponent.into()), "{number:?}: {text}");
            let steps = i64::try_from(mantissa).ok();
            assert_eq!(number.steps(), steps.map(|steps| (steps, exponent)));
            if let Some(decimals) = exponent.checked_neg() {
                assert_eq!(number.rounded(decimals), steps, "{number:?}");
            }
        }
        Number::Real { real, exponent } => {
            let float = f64::from(f32::from_bits(real.0));
            assert_eq!(number.steps(), None);
            if let Some(decimals) = exponent.checked_neg() {
                #[expect(clippy::cast_possible_truncation, reason = "it is checked to be inside")]
                let rounded = (float.abs() < 9e18).then_some(float.round() as i64);
                assert!(rounded.is_none() || number.rounded(decimals) == rounded, "{number:?}");
            }
            let told: f64 = text.parse().expect("a number's text is a number");
            let sent = float * 10_f64.powi(exponent.into());
            assert!((told - sent).abs() <= 1e-13 * sent.abs(), "{number:?}: {text}");
        }
    }
}

/// Mantissa and power of ten of a decimal text, without zeros at the mantissa's end.
fn of_text(text: &str) -> (i128, i32) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.trim_start_matches(['-', '0']).is_empty() {
        return (0, 0);
    }
    let zeros = i32::try_from(digits.len() - significant.len()).expect("a text is short");
    let exponent = zeros - i32::try_from(fraction.len()).expect("a text is short");
    (significant.parse().expect("a number's text is digits"), exponent)
}

fn shortened(mut mantissa: i128, mut exponent: i32) -> (i128, i32) {
    if mantissa == 0 {
        return (0, 0);
    }
    while mantissa % 10 == 0 {
        mantissa /= 10;
        exponent += 1;
    }
    (mantissa, exponent)
}

/// Words are dear: one place in eight is put into them, and the fuzzer chooses which.
pub(crate) fn is_worded(at: usize, choice: u8) -> bool {
    at % 8 == usize::from(choice % 8)
}

/// Whatever can be read can be shown.
pub(crate) fn displayed(what: &impl fmt::Display) {
    struct Nowhere;
    impl Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }
    write!(Nowhere, "{what}").expect("nowhere has room for everything");
}
