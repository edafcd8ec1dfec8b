//! How long it takes to understand a telegram, beside another decoder of the field.
//!
//! Every captured frame of a real meter is read from its bytes to its last value, in one run with
//! `m-bus-parser`, turn by turn. Times are of the processor, not of the wall, and the quickest of
//! many rounds counts: on a shared machine everything else is the other programs' time. What
//! travels to another machine is the ratio.
//!
//! | Row                   | Does                                                                 |
//! |-----------------------|----------------------------------------------------------------------|
//! | frames                | start, length, checksum, stop: the same work of both                 |
//! | records               | header and every record, looked at by nobody: their low level        |
//! | every value           | the same, and of each record its value and its unit in words         |

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, of three digits")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use m_bus_parser::WiredFrame;
use m_bus_parser::mbus_data::MbusData;
use m_bus_parser::user_data::data_information::DataType;
use m_bus_parser::user_data::value_information::ValueInformation;
use mbus::{Frame, Telegram};
use nix::time::{ClockId, clock_gettime};

fn main() {
    let Some(corpus) = site_tests::corpus::folder("the bench of the decoder") else { return };
    let frames = frames(&corpus.join("mbus/frames"));
    let all = |read: fn(&[u8]) -> usize| -> usize { frames.iter().map(|bytes| read(bytes)).sum() };
    let bytes: usize = frames.iter().map(Vec::len).sum();
    let (ours, theirs) = (all(every_value), all(their_every_value));
    println!("\nDecoding: {} frames of real meters, {bytes} bytes", frames.len());
    println!("  records       {ours:>8} with mbus-rs, {theirs} with m-bus-parser");

    let rows: [Row; 3] = [
        ("frames", frame, their_frame),
        ("records", records, their_records),
        ("every value", every_value, their_every_value),
    ];
    let mut times = [(Duration::MAX, Duration::MAX); 3];
    for _ in 0..ROUNDS {
        for ((_, ours, theirs), (our_time, their_time)) in rows.iter().zip(&mut times) {
            *our_time = processor_time(&frames, *ours).min(*our_time);
            *their_time = processor_time(&frames, *theirs).min(*their_time);
        }
    }
    let per_frame = |time: Duration| time.as_nanos() as f64 / (PASSES * frames.len()) as f64;
    println!("  ns per frame   mbus-rs  m-bus-parser  ratio");
    for ((name, ..), (ours, theirs)) in rows.iter().zip(times) {
        let (ours, theirs) = (per_frame(ours), per_frame(theirs));
        println!("  {name:<13} {ours:>8.0} {theirs:>13.0} {:>6.2}", ours / theirs);
    }
    let (ours, theirs) = (per_frame(times[2].0), per_frame(times[1].1));
    println!(
        "  mbus-rs with every value against m-bus-parser's low level: {:.2} (goal: at most 0.50, \
         and {ours:.0} of at most 300 ns)",
        ours / theirs
    );
    println!("  allocations per frame: {} (goal: 0)", allocations(&frames, every_value));
}

/// A row of the table: its name, and how one frame is read by us and by them.
type Row = (&'static str, fn(&[u8]) -> usize, fn(&[u8]) -> usize);

/// Each of some 10 ms, so that one that nothing interrupts is among them.
const ROUNDS: usize = 60;
const PASSES: usize = 400;

fn frames(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    paths.sort();
    let bytes = |path| {
        let digits: String = fs::read_to_string(path).unwrap().split_whitespace().collect();
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    paths.iter().map(bytes).collect()
}

fn processor_time(frames: &[Vec<u8>], read: fn(&[u8]) -> usize) -> Duration {
    let before = now();
    for _ in 0..PASSES {
        for frame in frames {
            black_box(read(black_box(frame)));
        }
    }
    now().saturating_sub(before)
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// The most that any one frame needs.
fn allocations(frames: &[Vec<u8>], read: fn(&[u8]) -> usize) -> u64 {
    let count = |frame: &Vec<u8>| {
        allocation_counter::measure(|| {
            black_box(read(black_box(frame)));
        })
        .count_total
    };
    frames.iter().map(count).max().unwrap_or_default()
}

fn frame(bytes: &[u8]) -> usize {
    usize::from(black_box(Frame::read(bytes)).is_ok())
}

fn records(bytes: &[u8]) -> usize {
    let Ok(Frame::Long(long)) = Frame::read(bytes) else { return 0 };
    let Ok(records) = long.telegram().and_then(Telegram::records) else { return 0 };
    let mut count = 0;
    for record in records {
        count += usize::from(black_box(&record).is_ok());
    }
    count
}

fn every_value(bytes: &[u8]) -> usize {
    let Ok(Frame::Long(long)) = Frame::read(bytes) else { return 0 };
    let Ok(telegram) = long.telegram() else { return 0 };
    black_box(&telegram.header);
    let Ok(records) = telegram.records() else { return 0 };
    let mut count = 0;
    for record in records {
        let Ok(record) = &record else { break };
        // With its function, storage, tariff, subunit, quantity and power of ten.
        black_box(record);
        black_box(&record.value());
        black_box(record.vib.unit.as_str());
        count += 1;
    }
    count
}

fn their_frame(bytes: &[u8]) -> usize {
    usize::from(black_box(WiredFrame::try_from(bytes)).is_ok())
}

fn their_records(bytes: &[u8]) -> usize {
    let Ok(data) = MbusData::<WiredFrame<'_>>::try_from(bytes) else { return 0 };
    let Some(records) = data.data_records else { return 0 };
    let mut count = 0;
    for record in records {
        count += usize::from(black_box(&record).is_ok());
    }
    count
}

/// What theirs has of it: a scaled float, and the first unit.
fn their_every_value(bytes: &[u8]) -> usize {
    let Ok(data) = MbusData::<WiredFrame<'_>>::try_from(bytes) else { return 0 };
    black_box(&data.user_data);
    let Some(records) = data.data_records else { return 0 };
    let mut count = 0;
    for record in records {
        let Ok(record) = &record else { continue };
        let header = &record.data_record_header.processed_data_record_header;
        let value = &header.value_information;
        let exponent = value.as_ref().map_or(0, |value| value.decimal_scale_exponent);
        let scaled = match &record.data.value {
            Some(DataType::Number(number)) => {
                number * 10_f64.powi(i32::try_from(exponent).unwrap())
            }
            _ => 0.0,
        };
        black_box(record);
        let unit = value.as_ref().and_then(ValueInformation::first_unit);
        black_box((scaled, unit));
        count += 1;
    }
    count
}
