//! Faults in any order, on real sockets and pseudo-terminals: never a wrong value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drivers::{Bus, BusSettings, PortSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;
use tokio::time;

use crate::device::*;

/// A converter that queues what it is asked, as they do, and gives every answer to whoever is
/// connected when it comes: also to the next connection. Each answer takes as long as `delays`
/// says.
async fn queueing_converter(mut delays: impl Iterator<Item = u64> + Send + 'static) -> Device {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = PortSettings::RtuOverTcp(listener.local_addr().unwrap().to_string());
    let (ask, mut asked) = tokio::sync::mpsc::channel::<[u8; 8]>(64);
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        let mut connected: Option<OwnedWriteHalf> = None;
        let mut readers = JoinSet::new();
        let mut answer: Option<(time::Instant, Vec<u8>)> = None;
        loop {
            let due = answer.as_ref().map(|(due, _)| *due);
            tokio::select! {
                accepted = listener.accept() => {
                    let (mut reader, writer) = accepted.unwrap().0.into_split();
                    connected = Some(writer);
                    let ask = ask.clone();
                    readers.spawn(async move {
                        let mut request = [0; 8];
                        while reader.read_exact(&mut request).await.is_ok() {
                            ask.send(request).await.unwrap();
                        }
                    });
                }
                Some([unit, function, a1, a2, c1, c2, ..]) = asked.recv(), if due.is_none() => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let (address, count) = (u16::from_be_bytes([a1, a2]), u16::from_be_bytes([c1, c2]));
                    let mut frame = vec![unit, function, u8::try_from(count * 2).unwrap()];
                    frame.extend((address..address + count).flat_map(u16::to_be_bytes));
                    frame.extend(crc(&frame).to_le_bytes());
                    let delay = Duration::from_millis(delays.next().unwrap_or(0));
                    answer = Some((time::Instant::now() + delay, frame));
                }
                () = time::sleep_until(due.unwrap_or_else(time::Instant::now)), if due.is_some() => {
                    if let (Some((_, frame)), Some(writer)) = (answer.take(), &mut connected) {
                        let _ = writer.write_all(&frame).await;
                    }
                }
            }
        }
    });
    Device { settings: settings(port), requests, connections: Arc::default(), task }
}

/// Numbers from a fixed seed, so that a failure can be repeated.
fn random(seed: u64) -> impl Iterator<Item = u64> + Send {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[tokio::test]
async fn no_late_answer_is_ever_taken_for_another() {
    let mut seeds = JoinSet::new();
    for seed in 0..16_u64 {
        seeds.spawn(async move {
            // One answer in four may be later than the bus waits, by up to three times.
            let delays = random(seed).map(|it| if it % 4 == 0 { 150 + it % 450 } else { it % 40 });
            let device = queueing_converter(delays).await;
            let mut bus = Bus::open(&device.settings, Arc::default());
            // Answers of one length: nothing but the question tells them apart.
            let meters = [
                meter(&[10, 11, 12, 13, 14], ""),
                meter(&[20, 21, 22, 23, 24], ""),
                meter(&[30, 31, 32, 33, 34], ""),
            ];
            let mut values = 0;
            for round in 0..24 {
                if let Ok(readout) = read(&mut bus, &meters[round % 3]).await {
                    values += honest(&readout);
                }
            }
            values
        });
    }
    let values: usize = seeds.join_all().await.into_iter().sum();
    assert!(values > 16 * 5, "{values} values are too few to be a test");
}

#[tokio::test]
async fn faults_of_all_sorts_in_any_order_never_make_a_wrong_value() {
    let mut seeds = JoinSet::new();
    for (wire, seed) in EVERY_WIRE.into_iter().flat_map(|wire| (0..6).map(move |it| (wire, it))) {
        seeds.spawn(async move {
            let script = random(seed).take(60).map(|it| match it % 8 {
                0 => Act::Late(150 + it % 300),
                1 => Act::Late(it % 220),
                2 => Act::Twice,
                3 => Act::Longer(if it % 3 == 0 { 1 } else { -1 }),
                4 => Act::Part(3),
                _ => Act::Answer,
            });
            let device = device(wire, script.collect(), &[]).await;
            let mut bus = Bus::open(&device.settings, Arc::default());
            let meters = [
                meter(&[10, 11, 12], ""),
                meter(&[100, 101, 103, 106, 110], LIMITS),
                meter(&[200], ""),
                meter(&[20, 21, 22], ""),
            ];
            for round in 0..12 {
                if let Ok(readout) = read(&mut bus, &meters[round % 4]).await {
                    honest(&readout);
                }
            }
        });
    }
    seeds.join_all().await;
}

/// Two thousand readouts on each wire, of sixteen devices at once, one answer in eight with a
/// fault. The time-out is so short that a busy machine adds faults of its own.
#[tokio::test]
async fn two_thousand_readouts_on_each_wire_have_no_wrong_value() {
    const DEVICES: u64 = 16;
    const READS: usize = 125;
    for wire in EVERY_WIRE {
        let mut devices = JoinSet::new();
        for seed in 0..DEVICES {
            devices.spawn(async move {
                let script = random(seed + 100).take(4 * READS).map(|it| match it % 64 {
                    0 | 1 => Act::Late(40 + (it >> 8) % 120),
                    2 => Act::Silence,
                    3 => Act::Twice,
                    4 => Act::Longer(if (it >> 8).is_multiple_of(2) { 1 } else { -1 }),
                    5 => Act::Part(4),
                    6 => Act::AsUnit(8),
                    7 => Act::Damaged,
                    _ => Act::Answer,
                });
                let device = device(wire, script.collect(), &[]).await;
                let answer_within = Some(Duration::from_millis(60));
                let settings = BusSettings { answer_within, ..device.settings.clone() };
                let mut bus = Bus::open(&settings, Arc::default());
                let meters = [
                    meter(&[10, 11, 12], LIMITS),
                    meter(&[100, 101, 103, 106, 110], LIMITS),
                    meter(&[200], LIMITS),
                    meter(&[20, 21, 22], LIMITS),
                ];
                let mut values = 0;
                for round in 0..READS {
                    if let Ok(readout) = read(&mut bus, &meters[round % 4]).await {
                        values += honest(&readout);
                    }
                }
                values
            });
        }
        let values: usize = devices.join_all().await.into_iter().sum();
        println!("{wire:?}: {} readouts, {values} values, none wrong", 16 * READS);
        assert!(values > 16 * READS, "{wire:?}: {values} values are too few to be a test");
    }
}
