//! What a reading costs on the wire, beside the ways in which others write it; and how fast.
//!
//! Bytes are the same on every machine, speeds are not: they stand as ratios to JSON.

#![expect(clippy::print_stdout, reason = "a bench tells its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that fails should say where")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, not values")]

mod building;

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use metering::GatewayId;
use minicbor::Encoder;
use sync_wire::{Batch, Envelope, SyncReading};
use uuid::Uuid;

fn main() {
    let gateway = GatewayId::from_uuid(Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0c2f_6a1b_8e77));
    for (name, count, late_ms) in [
        ("10,000 readings, times on the minute", 10_000, 1),
        ("10,000 readings, answers up to 900 ms late", 10_000, 900),
        ("15 min, late", 1_140, 900),
        ("1 min, late", 60, 900),
    ] {
        let readings = building::readings(count, late_ms);
        let batch =
            || Batch::new(gateway, 0xC0FF_EE00, 10_000, 0, readings.clone(), Vec::new()).unwrap();
        println!("{name}\n  {:<32} {:>7} {:>8}", "bytes a reading", "raw", "deflated");
        let message = batch().write().unwrap();
        let content = content_length(&message);
        row("batch (CBOR columns)", content, message.len(), count);
        for (name, write) in PEERS {
            let raw = write(&readings);
            row(name, raw.len(), deflated(&raw), count);
        }

        if (count, late_ms) == (10_000, 900) {
            let json = time(|| deflated(&PEERS[0].1(&readings)));
            let write = time(|| batch().write().unwrap().len());
            let read = time(|| Envelope::read(&message).unwrap().open().unwrap().to());
            println!(
                "writing: {:.2} of the time of JSON, {}",
                write.as_secs_f64() / json.as_secs_f64(),
                rate(count, write)
            );
            println!(
                "reading: {:.2} of the time of writing JSON, {}",
                read.as_secs_f64() / json.as_secs_f64(),
                rate(count, read)
            );
        }
        println!();
    }
}

type Writer = fn(&[SyncReading]) -> Vec<u8>;

const PEERS: [(&str, Writer); 3] = [
    ("JSON objects, one a reading", json_objects),
    ("JSON [series, ms, value]", json_rows),
    ("CBOR rows [series, ms, value]", cbor_rows),
];

fn json_objects(readings: &[SyncReading]) -> Vec<u8> {
    let objects: Vec<_> = readings
        .iter()
        .map(|reading| {
            serde_json::json!({
                "gateway": "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77",
                "series": format!("meter-{}/energy", reading.series),
                "time": reading.at_ms,
                "value": reading.value.ok(),
                "reason": reading.value.err().map(metering::NoReading::as_str),
                "quality": reading.quality.as_str(),
                "origin": reading.origin.as_str(),
            })
        })
        .collect();
    serde_json::to_vec(&objects).unwrap()
}

fn json_rows(readings: &[SyncReading]) -> Vec<u8> {
    let rows: Vec<_> = readings
        .iter()
        .map(|reading| (reading.series.get(), reading.at_ms, reading.value.ok()))
        .collect();
    serde_json::to_vec(&rows).unwrap()
}

fn cbor_rows(readings: &[SyncReading]) -> Vec<u8> {
    let mut pen = Encoder::new(Vec::new());
    pen.array(readings.len() as u64).unwrap();
    for reading in readings {
        pen.array(3).unwrap().u32(reading.series.get()).unwrap().i64(reading.at_ms).unwrap();
        match reading.value {
            Ok(mantissa) => pen.i64(mantissa).unwrap(),
            Err(_) => pen.null().unwrap(),
        };
    }
    pen.into_writer()
}

/// The length that the batch says its content has: the second last of nine fields.
fn content_length(message: &[u8]) -> usize {
    let mut fields = minicbor::Decoder::new(message);
    fields.array().unwrap();
    for _ in 0..7 {
        fields.skip().unwrap();
    }
    usize::try_from(fields.u64().unwrap()).unwrap()
}

fn deflated(raw: &[u8]) -> usize {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::new(6));
    deflate.write_all(raw).unwrap();
    deflate.finish().unwrap().len()
}

fn row(name: &str, raw: usize, packed: usize, count: usize) {
    let each = |bytes: usize| bytes as f64 / count as f64;
    println!("  {name:<32} {:>7.2} {:>8.2}", each(raw), each(packed));
}

/// The median of nine runs.
fn time<T>(run: impl Fn() -> T) -> Duration {
    let mut took: Vec<Duration> = (0..9)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed()
        })
        .collect();
    took.sort();
    took.into_iter().nth(4).unwrap_or_default()
}

fn rate(count: usize, took: Duration) -> String {
    format!("{:.1} million readings a second", count as f64 / took.as_secs_f64() / 1e6)
}
