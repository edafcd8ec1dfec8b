//! How long it takes to understand what a meter says at its customer port, and what the answers of
//! a Modbus device mean: from the bytes as they come to the last value.
//!
//! Times are of the processor, not of the wall, and the quickest of many rounds counts: on a shared
//! machine everything else is the other programs' time. The public telegrams are those of the
//! corpus; without it the hand-made P1 telegram stands alone.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench that cannot go on says where, and its figures are what it is for"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people, of three digits")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use drivers::han::{Framer, Heard, Keys, Rules, decode};
use drivers::modbus::Request;
use drivers::modbus::plan::{Cost, Learned, plan};
use drivers::{Profile, Profiles};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

fn main() {
    println!("\nTelegrams of customer ports, from bytes to values");
    println!("  {:<28} {:>6} {:>7} {:>10} {:>12}", "", "bytes", "values", "µs", "a second");
    for Telegram { name, bytes, rules } in telegrams() {
        let values = telegram(&bytes, &rules);
        assert!(values > 0, "{name} is not read");
        row(&name, bytes.len(), values, || telegram(&bytes, &rules));
    }
    println!("\nAnswers of Modbus devices, all that a readout brings");
    println!("  {:<28} {:>6} {:>7} {:>10} {:>12}", "", "bytes", "values", "µs", "a second");
    for profile in Profiles::embedded().iter() {
        let Some(answers) = answers(profile) else { continue };
        let bytes = answers.iter().map(|(_, pdu)| pdu.len()).sum();
        let said: Vec<(Request, &[u8])> =
            answers.iter().map(|(request, pdu)| (*request, pdu.as_slice())).collect();
        let values = profile.of_answers(&said).len();
        assert!(values > 0, "{} is not read", profile.id);
        row(&profile.id, bytes, values, || profile.of_answers(&said).len());
    }
}

fn row(name: &str, bytes: usize, values: usize, read: impl Fn() -> usize) {
    let quickest = (0..ROUNDS).map(|_| processor_time(&read)).min().expect("there are rounds");
    let micros = quickest.as_nanos() as f64 / 1_000.0 / f64::from(PASSES);
    println!("  {name:<28} {bytes:>6} {values:>7} {micros:>10.2} {:>12.0}", 1e6 / micros);
}

/// Each of some milliseconds, so that one that nothing interrupts is among them.
const ROUNDS: usize = 40;
const PASSES: u32 = 200;

fn processor_time(read: impl Fn() -> usize) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap());
    let before = now();
    for _ in 0..PASSES {
        black_box(read());
    }
    now().saturating_sub(before)
}

/// As the port does: cut out of what comes, then read.
fn telegram(bytes: &[u8], rules: &Rules) -> usize {
    let mut framer = Framer::new();
    let mut values = 0;
    framer.push(black_box(bytes), &mut |heard| {
        if let Heard::Message(message) = heard
            && let Ok(telegram) = black_box(decode(message, rules))
        {
            values += telegram.values.len();
        }
    });
    values
}

struct Telegram {
    name: String,
    bytes: Vec<u8>,
    rules: Rules,
}

fn telegrams() -> Vec<Telegram> {
    let p1 = Telegram {
        name: "P1, written by hand".to_owned(),
        bytes: P1.as_bytes().to_vec(),
        rules: Rules::default(),
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = std::env::var_os("FYRHUS_CORPUS")
        .map_or_else(|| root.join("../shared/corpus"), PathBuf::from)
        .join("han/han.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("  there are no public telegrams at {}", file.display());
        return vec![p1];
    };
    let json: Value = serde_json::from_str(&text).unwrap();
    let public = json["frames"].as_array().unwrap().iter().map(|frame| {
        let key = |name: &str| frame["key"][name].as_str().map(|it| it.parse().unwrap());
        let keys = key("encryption")
            .map(|encryption| Keys { encryption, authentication: key("authentication") });
        let digits: String = frame["hex"].as_str().unwrap().split_whitespace().collect();
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
        Telegram {
            name: frame["name"].as_str().unwrap().to_owned(),
            bytes: (0..digits.len()).step_by(2).map(byte).collect(),
            rules: Rules { keys, ..Rules::default() },
        }
    });
    public.chain([p1]).collect()
}

/// Without a checksum, as in DSMR 2: the same work but for the sum.
const P1: &str = "/ABC5\\253833635_A\r\n\r\n\
    0-0:1.0.0(210217184019W)\r\n0-0:96.1.1(4530303236303030303230313233343131)\r\n\
    1-0:1.8.0(00001605.055*kWh)\r\n1-0:2.8.0(00000000.000*kWh)\r\n\
    1-0:3.8.0(00000000.000*kvarh)\r\n1-0:4.8.0(00000301.244*kvarh)\r\n\
    1-0:1.7.0(0001.011*kW)\r\n1-0:2.7.0(0000.000*kW)\r\n\
    1-0:21.7.0(0000.337*kW)\r\n1-0:41.7.0(0000.337*kW)\r\n1-0:61.7.0(0000.337*kW)\r\n\
    1-0:32.7.0(236.5*V)\r\n1-0:52.7.0(237.9*V)\r\n1-0:72.7.0(238.3*V)\r\n\
    1-0:31.7.0(001.5*A)\r\n1-0:51.7.0(001.4*A)\r\n1-0:71.7.0(001.6*A)\r\n!\r\n";

/// What a device with `profile` answers to a planned readout; `None` for one that is not on a
/// Modbus.
fn answers(profile: &Profile) -> Option<Vec<(Request, Vec<u8>)>> {
    let (mut points, limits) = profile.modbus_points()?;
    points.sort_unstable_by_key(|it| (it.function, it.address, it.count));
    points.dedup();
    let cost = Cost::serial(9_600, Duration::from_millis(30));
    let requests = plan(&points, limits, &Learned::default(), cost);
    let answer = |request: Request| {
        let bytes = u8::try_from(2 * request.count).expect("a plan keeps to 125 registers");
        let mut pdu = vec![request.function.code(), bytes];
        pdu.extend((0..bytes).map(|at| if at % 2 == 0 { 0x42 } else { at }));
        (request, pdu)
    };
    Some(requests.into_iter().map(|planned| answer(planned.request)).collect())
}
