//! The tables of the standard, written down a second time, against those that the reader uses.
//!
//! A line has a range of codes and what they mean; `n` and `p` are the low three and two bits of
//! the code, `b` its lowest and `l` its low four. What no line names is `unknown`. Every code of
//! the four tables is tried, with and without a VIFE behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use mbus::{ByteOrder, DataType, Invalid, Reader, Record, Sort, Value, Vib};

/// `codes  quantity  unit  power of ten  sort`; `time` is s, min, h, d by `p`, `long` h, d, month, a.
const PRIMARY: &str = "
    00-07 energy                 Wh     n-3  number
    08-0F energy                 J      n    number
    10-17 volume                 m3     n-6  number
    18-1F mass                   kg     n-3  number
    20-23 on_time                time   0    number
    24-27 operating_time         time   0    number
    28-2F power                  W      n-3  number
    30-37 power                  J/h    n    number
    38-3F volume_flow            m3/h   n-6  number
    40-47 volume_flow            m3/min n-7  number
    48-4F volume_flow            m3/s   n-9  number
    50-57 mass_flow              kg/h   n-3  number
    58-5B flow_temperature       C      p-3  number
    5C-5F return_temperature     C      p-3  number
    60-63 temperature_difference K      p-3  number
    64-67 external_temperature   C      p-3  number
    68-6B pressure               bar    p-3  number
    6C-6C date                   -      0    date
    6D-6D date_time              -      0    date
    6E-6E heat_cost              hca    0    number
    70-73 averaging_duration     time   0    number
    74-77 actuality_duration     time   0    number
    78-78 fabrication_number     -      0    unsigned
    79-79 identification         -      0    unsigned
    7A-7A bus_address            -      0    unsigned
    7E-7E any                    -      0    number
    7F-7F manufacturer_specific  -      0    number
";

const FD: &str = "
    00-03 credit                      currency p-3  number
    04-07 debit                       currency p-3  number
    08-08 access_number               -        0    unsigned
    09-09 medium                      -        0    unsigned
    0A-0A manufacturer                -        0    unsigned
    0B-0B parameter_set               -        0    unsigned
    0C-0C model_version               -        0    unsigned
    0D-0D hardware_version            -        0    unsigned
    0E-0E firmware_version            -        0    unsigned
    0F-0F software_version            -        0    unsigned
    10-10 customer_location           -        0    unsigned
    11-11 customer                    -        0    unsigned
    12-12 access_code_user            -        0    unsigned
    13-13 access_code_operator        -        0    unsigned
    14-14 access_code_system_operator -        0    unsigned
    15-15 access_code_developer       -        0    unsigned
    16-16 password                    -        0    unsigned
    17-17 error_flags                 -        0    bits
    18-18 error_mask                  -        0    bits
    1A-1A digital_output              -        0    bits
    1B-1B digital_input               -        0    bits
    1C-1C baud_rate                   Bd       0    unsigned
    1D-1D response_delay              bittime  0    unsigned
    1E-1E retry                       -        0    unsigned
    20-20 first_storage_number        -        0    unsigned
    21-21 last_storage_number         -        0    unsigned
    22-22 storage_block_size          -        0    unsigned
    24-27 storage_interval            time     0    number
    28-28 storage_interval            month    0    number
    29-29 storage_interval            a        0    number
    2C-2F since_last_readout          time     0    number
    30-30 tariff_start                -        0    date
    31-33 tariff_duration             time     0    number
    34-37 tariff_period               time     0    number
    38-38 tariff_period               month    0    number
    39-39 tariff_period               a        0    number
    3A-3A dimensionless               -        0    number
    40-4F voltage                     V        l-9  number
    50-5F current                     A        l-12 number
    60-60 reset_counter               -        0    unsigned
    61-61 cumulation_counter          -        0    unsigned
    62-62 control_signal              -        0    unsigned
    63-63 day_of_week                 -        0    unsigned
    64-64 week_number                 -        0    unsigned
    65-65 time_of_day_change          -        0    number
    66-66 parameter_activation        -        0    number
    67-67 supplier_information        -        0    number
    68-6B since_last_cumulation       long     0    number
    6C-6F battery_operating_time      long     0    number
    70-70 battery_change              -        0    date
    71-71 rf_level                    dBm      0    number
    74-74 battery_remaining           d        0    number
";

const FB: &str = "
    00-01 energy                  Wh      b+5 number
    02-03 reactive_energy         varh    b+3 number
    04-05 apparent_energy         VAh     b+3 number
    08-09 energy                  J       b+8 number
    0C-0F energy                  cal     p+5 number
    10-11 volume                  m3      b+2 number
    14-17 reactive_power          var     p   number
    18-19 mass                    kg      b+5 number
    1A-1B relative_humidity       %       b-1 number
    20-20 volume                  ft3     0   number
    21-21 volume                  ft3     -1  number
    22-22 volume                  gal     -1  number
    23-23 volume                  gal     0   number
    24-24 volume_flow             gal/min -3  number
    25-25 volume_flow             gal/min 0   number
    26-26 volume_flow             gal/h   0   number
    28-29 power                   W       b+5 number
    2A-2A phase_u_u               deg     -1  number
    2B-2B phase_u_i               deg     -1  number
    2C-2F frequency               Hz      p-3 number
    30-31 power                   J/h     b+8 number
    34-37 apparent_power          VA      p   number
    58-5B flow_temperature        F       p-3 number
    5C-5F return_temperature      F       p-3 number
    60-63 temperature_difference  F       p-3 number
    64-67 external_temperature    F       p-3 number
    70-73 temperature_limit       F       p-3 number
    74-77 temperature_limit       C       p-3 number
    78-7F maximum_power_cumulated W       n-3 number
";

/// `codes  modifier  what it does to a volume in litres (VIF 13)`: `-` nothing, `error` no value,
/// a word with `/` or `.` is appended to the unit, `count`, `date`, a unit of time (by `p`), or a
/// power of ten that is added.
const VIFE: &str = "
    00-00 record_error:none                        -
    01-01 record_error:too_many_difes              error
    02-02 record_error:storage_not_implemented     error
    03-03 record_error:subunit_not_implemented     error
    04-04 record_error:tariff_not_implemented      error
    05-05 record_error:function_not_implemented    error
    06-06 record_error:data_class_not_implemented  error
    07-07 record_error:data_size_not_implemented   error
    0B-0B record_error:too_many_vifes              error
    0C-0C record_error:illegal_vif_group           error
    0D-0D record_error:illegal_vif_exponent        error
    0E-0E record_error:vif_dif_mismatch            error
    0F-0F record_error:unimplemented_action        error
    12-12 average                                  -
    13-13 inverse_compact_profile                  -
    14-14 relative_deviation                       -
    15-15 record_error:no_data                     error
    16-16 record_error:overflow                    error
    17-17 record_error:underflow                   error
    18-18 record_error:data_error                  error
    1C-1C record_error:premature_end               error
    1D-1D standard_conform_data                    -
    1E-1E compact_profile_registers                -
    1F-1F compact_profile                          -
    20-20 unit:/s                                  /s
    21-21 unit:/min                                /min
    22-22 unit:/h                                  /h
    23-23 unit:/d                                  /d
    24-24 unit:/week                               /week
    25-25 unit:/month                              /month
    26-26 unit:/a                                  /a
    27-27 unit:/rev                                /rev
    28-28 unit:/pulse_in0                          /pulse_in0
    29-29 unit:/pulse_in1                          /pulse_in1
    2A-2A unit:/pulse_out0                         /pulse_out0
    2B-2B unit:/pulse_out1                         /pulse_out1
    2C-2C unit:/l                                  /l
    2D-2D unit:/m3                                 /m3
    2E-2E unit:/kg                                 /kg
    2F-2F unit:/K                                  /K
    30-30 unit:/kWh                                /kWh
    31-31 unit:/GJ                                 /GJ
    32-32 unit:/kW                                 /kW
    33-33 unit:/(K.l)                              /(K.l)
    34-34 unit:/V                                  /V
    35-35 unit:/A                                  /A
    36-36 unit:.s                                  .s
    37-37 unit:.s/V                                .s/V
    38-38 unit:.s/A                                .s/A
    39-39 start_of                                 date
    3A-3A uncorrected                              -
    3B-3B positive_only                            -
    3C-3C negative_only                            -
    3D-3D non_metric                               -
    3E-3E base_conditions                          -
    3F-3F obis                                     -
    40-40 lower_limit                              -
    41-41 lower_limit_exceed_count                 count
    42-42 lower_limit_first_exceed_begin           date
    43-43 lower_limit_first_exceed_end             date
    46-46 lower_limit_last_exceed_begin            date
    47-47 lower_limit_last_exceed_end              date
    48-48 upper_limit                              -
    49-49 upper_limit_exceed_count                 count
    4A-4A upper_limit_first_exceed_begin           date
    4B-4B upper_limit_first_exceed_end             date
    4E-4E upper_limit_last_exceed_begin            date
    4F-4F upper_limit_last_exceed_end              date
    50-53 lower_limit_first_exceed_duration        time
    54-57 lower_limit_last_exceed_duration         time
    58-5B upper_limit_first_exceed_duration        time
    5C-5F upper_limit_last_exceed_duration         time
    60-63 first_duration                           time
    64-67 last_duration                            time
    68-68 during_lower_limit_exceed                -
    69-69 leakage                                  -
    6A-6A first_begin                              date
    6B-6B first_end                                date
    6C-6C during_upper_limit_exceed                -
    6D-6D overflow_value                           -
    6E-6E last_begin                               date
    6F-6F last_end                                 date
    70-70 factor:-6                                -6
    71-71 factor:-5                                -5
    72-72 factor:-4                                -4
    73-73 factor:-3                                -3
    74-74 factor:-2                                -2
    75-75 factor:-1                                -1
    76-76 factor:0                                 0
    77-77 factor:1                                 1
    78-78 offset:-3                                -
    79-79 offset:-2                                -
    7A-7A offset:-1                                -
    7B-7B offset:0                                 -
    7D-7D factor:3                                 3
    7E-7E future                                   -
    7F-7F manufacturer                             -
";

/// Those of two bytes, behind FC.
const VIFE_FC: &str = "
    01-01 phase_l1            -
    02-02 phase_l2            -
    03-03 phase_l3            -
    04-04 neutral             -
    05-05 phase_l1_l2         -
    06-06 phase_l2_l3         -
    07-07 phase_l3_l1         -
    08-08 quadrant_1          -
    09-09 quadrant_2          -
    0A-0A quadrant_3          -
    0B-0B quadrant_4          -
    0C-0C delta_import_export -
    10-10 absolute            -
    11-11 type_c              unsigned
    12-12 type_d              bits
    13-13 end_of              date
";

#[test]
fn every_code_of_the_three_tables() {
    for (table, prefix) in [(PRIMARY, None), (FD, Some(0xFD)), (FB, Some(0xFB))] {
        for code in 0..128 {
            if prefix.is_none() && matches!(code, 0x7C) {
                continue; // A text belongs to it.
            }
            let words = line_of(table, code).unwrap_or_else(|| words("unknown - 0 number"));
            let unit = unit_of(words[1], code);
            let expected = (words[0], unit, number(words[2], code), words[3]);
            for more in [false, true] {
                // A VIFE that changes nothing; behind what is nobody's, one that nobody knows.
                let mut bytes: Vec<u8> = prefix.into_iter().collect();
                bytes.push(if more { code | 0x80 } else { code });
                if more {
                    bytes.push(0x3B);
                }
                if prefix.is_none() && more && matches!(code, 0x7B | 0x7D) {
                    continue; // FB and FD lead into the other tables.
                }
                let vib = Vib::read(&mut Reader::new(&bytes)).unwrap();
                let unit = vib.unit.to_string();
                let got = (vib.quantity.as_str(), unit.as_str(), vib.exponent, sort(vib.sort));
                assert_eq!(got, expected, "{bytes:02X?}");
                assert_eq!(vib.bytes(), bytes);
            }
        }
    }
}

#[test]
fn every_vife() {
    for code in (0..128).filter(|code| *code != 0x7C) {
        let words = line_of(VIFE, code);
        check_vife(&[0x93, code], words, &format!("unknown:{code:02X}"));
    }
    for code in 0..128 {
        let words = line_of(VIFE_FC, code);
        check_vife(&[0x93, 0xFC, code], words, &format!("unknown:7C{code:02X}"));
    }
}

#[track_caller]
fn check_vife(vib: &[u8], words: Option<Vec<&str>>, unknown: &str) {
    let code = *vib.last().unwrap();
    let (name, effect) = words.map_or((unknown, "-"), |words| (words[0], words[1]));
    let bytes = [&[0x04], vib, &[1, 0, 0, 0]].concat();
    let record = Record::read(&mut Reader::new(&bytes), ByteOrder::LsbFirst).unwrap();
    let names: Vec<String> = record.vib.modifiers().map(|it| it.to_string()).collect();
    assert_eq!(names, [name]);

    let plain = ("m3".to_owned(), -3, "number");
    let expected = match effect {
        "-" | "error" => plain,
        "unsigned" | "bits" => ("m3".to_owned(), -3, effect),
        "count" => (String::new(), 0, "unsigned"),
        "date" => (String::new(), 0, "date"),
        "time" => (unit_of("time", code).to_owned(), 0, "number"),
        suffix if suffix.starts_with(['/', '.']) => (format!("m3{suffix}"), -3, "number"),
        factor => ("m3".to_owned(), -3 + factor.parse::<i8>().unwrap(), "number"),
    };
    let vib = record.vib;
    assert_eq!((vib.unit.to_string(), vib.exponent, sort(vib.sort)), expected, "{name}");
    match (effect, record.value()) {
        ("error", value) => assert_eq!(value, Err(Invalid::RecordError)),
        // Minute 1, hour 0, and no day.
        ("date", value) => assert_eq!(value, Err(Invalid::DateNone)),
        (_, value) => assert_eq!(value.unwrap().number().unwrap().exponent(), vib.exponent),
    }
}

/// Every length byte, with as many bytes as it announces, and with one less.
#[test]
fn every_length_byte() {
    for lvar in 0..=255 {
        let (len, data_type) = match lvar {
            0x00..=0xBF => (lvar.into(), DataType::Text),
            0xC0..=0xC9 | 0xD0..=0xD9 => ((lvar & 0xF).into(), DataType::Bcd),
            0xE0..=0xEF => ((lvar & 0xF).into(), DataType::Bytes),
            0xF0 => (16, DataType::Bytes),
            0xF1 => (20, DataType::Bytes),
            0xF2 => (24, DataType::Bytes),
            0xF3 => (28, DataType::Bytes),
            0xF4 => (32, DataType::Bytes),
            0xF5 => (48, DataType::Bytes),
            0xF6 => (64, DataType::Bytes),
            _ => (300, DataType::None),
        };
        let mut bytes = vec![0x0D, 0xFD, 0x11, lvar];
        bytes.extend((0..len).map(|digit| u8::try_from(digit % 10).unwrap()));
        let read = Record::read(&mut Reader::new(&bytes), ByteOrder::LsbFirst);
        if data_type == DataType::None {
            let error = read.unwrap_err();
            assert_eq!((error.at, error.flaw.code()), (3, "lvar_reserved"), "{lvar:02X}");
            continue;
        }
        let record = read.unwrap();
        assert_eq!((record.data_type(), record.data().len()), (data_type, 1 + len), "{lvar:02X}");
        match record.value().unwrap() {
            Value::Text(text) => assert_eq!(text.chars().count(), len),
            Value::Bytes(content) => assert_eq!(content, &bytes[4..]),
            Value::Number(number) => {
                let digits = bytes[4..]
                    .iter()
                    .rev()
                    .fold(String::new(), |digits, byte| digits + &format!("{byte:02X}"));
                let expected = digits.parse().unwrap_or(0_i64);
                let expected = if lvar >= 0xD0 { -expected } else { expected };
                assert_eq!(number.steps(), Some((expected, 0)), "{lvar:02X}");
            }
            other => panic!("{lvar:02X} is {other}"),
        }
        if len > 0 {
            let short = &bytes[..bytes.len() - 1];
            let error = Record::read(&mut Reader::new(short), ByteOrder::LsbFirst).unwrap_err();
            assert_eq!((error.at, error.flaw.code()), (short.len(), "data_truncated"));
        }
    }
}

/// The words behind the codes of the line that has `code` among them.
fn line_of(table: &'static str, code: u8) -> Option<Vec<&'static str>> {
    table.lines().map(words).find_map(|mut line| {
        if line.is_empty() {
            return None;
        }
        let (from, to) = line.remove(0).split_once('-').unwrap();
        let hex = |text| u8::from_str_radix(text, 16).unwrap();
        (hex(from)..=hex(to)).contains(&code).then_some(line)
    })
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn unit_of(word: &'static str, code: u8) -> &'static str {
    let p = usize::from(code & 0b11);
    match word {
        "-" => "",
        "time" => ["s", "min", "h", "d"][p],
        "long" => ["h", "d", "month", "a"][p],
        unit => unit,
    }
}

/// `n-3`: the low bits of the code that the letter stands for, and a number added.
fn number(word: &str, code: u8) -> i8 {
    let mut letters = word.chars();
    let mask = match letters.next().unwrap() {
        'n' => 0b111,
        'p' => 0b11,
        'b' => 0b1,
        'l' => 0b1111,
        _ => return word.parse().unwrap(),
    };
    let low = i8::try_from(code & mask).unwrap();
    match letters.as_str() {
        "" => low,
        added => low + added.parse::<i8>().unwrap(),
    }
}

fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Number => "number",
        Sort::Unsigned => "unsigned",
        Sort::Bits => "bits",
        Sort::Date => "date",
        Sort::Opaque => "opaque",
    }
}
