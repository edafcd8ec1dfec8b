//! Meters on a serial line in real time: how much of the wire the drivers use through a real
//! pseudo-terminal, beside the figure in virtual time and the wire's limit.
//!
//! A pseudo-terminal has no parity bit: the kernel drops it, and the drivers take what it gives.
//! So no parity goes over this line, but each byte takes the eleven bit times of a line with one.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the table is what this bench is for, and without a line there is none"
)]

#[expect(dead_code, reason = "the faults are for tests")]
#[path = "../mbus/tests/virtual_bus/mod.rs"]
mod virtual_bus;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use drivers::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Profiles, ReadError,
};
use mbus::{Primary, Reset, Settings, Target};
use meter_sim::{BusPlan, Options, Plan, Port, Simulator};
use metering::{Clock, Moment, Origin, Trust};
use tokio::time::Instant;
use virtual_bus::{Slave, bits};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    println!("M-Bus on a paced pseudo-terminal: seconds for one readout of each meter");
    println!(
        "{:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "meters", "baud", "measured", "virtual", "apart", "limit", "ratio"
    );
    for (count, baud) in [(250, 9_600), (20, 2_400), (5, 300)] {
        runtime.block_on(measured(count, baud));
    }
}

async fn measured(count: u16, baud: u32) {
    let clock = Arc::new(Host);
    let plan = plan(count, baud);
    let options = Options { ptys: vec![LINE.to_owned()], ..Options::default() };
    let simulator = Simulator::start(plan, &options, clock).await.expect("a pty is opened");
    let port = simulator.buses().next().expect("there is one").1.clone();
    let Port::Pty(path) = port else { return println!("no pseudo-terminal was opened") };
    let settings = BusSettings {
        kind: BusKind::Mbus,
        port: PortSettings::Serial(path),
        baud,
        parity: Parity::Even,
        answer_within: None,
        pause_after_connect: Duration::ZERO,
    };
    let mut bus = Bus::open(&settings, Arc::new(Profiles::default()));

    // After the first round the frame count bits are known. The better of two is told, because on
    // a machine with other work a round may stand still for a while, or lose a meter over it.
    let mut rounds = Vec::new();
    for _ in 0..MOST_ROUNDS {
        match round(&mut bus, &simulator).await {
            Ok(round) => rounds.push(round),
            Err(error) => println!("{count:>6} {baud:>6}  one more round, because {error}"),
        }
        if rounds.len() == 3 {
            break;
        }
    }
    let best = rounds.into_iter().skip(1).min_by_key(|(took, _)| *took);
    simulator.stop().await;
    let Some((took, wire)) = best else { return println!("this machine has too much to do") };

    let limit: Duration =
        wire.iter().map(|(_, len, reaction)| bits(baud, 11 * (5 + len)) + *reaction).sum();
    let virtually = in_virtual_time(baud, &wire);
    let percent = |part: Duration, of: Duration| 100.0 * part.as_secs_f64() / of.as_secs_f64();
    println!(
        "{count:>6} {baud:>6} {:>9.2} {:>9.2} {:>7.2} % {:>9.2} {:>7.1} %",
        took.as_secs_f64(),
        virtually.as_secs_f64(),
        percent(took, virtually) - 100.0,
        limit.as_secs_f64(),
        percent(limit, took)
    );
}

/// What one readout of each meter took, and with which address, length and reaction each answered.
async fn round(
    bus: &mut Bus,
    simulator: &Simulator,
) -> Result<(Duration, Vec<(u8, usize, Duration)>), ReadError> {
    let begun = Instant::now();
    let mut wire = Vec::new();
    for meter in &simulator.plan().meters {
        let readout = bus.read(&on_the_line(meter), &Host).await?;
        let len = readout.telegrams.iter().map(Vec::len).sum();
        let reaction = simulator.reaction(meter.id).expect("the line has a speed");
        wire.push((meter.address, len, reaction));
    }
    Ok((begun.elapsed(), wire))
}

/// The first is not timed, two are, and as many may be lost.
const MOST_ROUNDS: usize = 6;

/// The same meters on a line of which nothing is real.
fn in_virtual_time(baud: u32, wire: &[(u8, usize, Duration)]) -> Duration {
    let slaves = wire.iter().map(|(address, len, reaction)| {
        let mut slave = Slave::new((*address).into(), *address);
        (slave.baud, slave.len, slave.reaction) = (baud, *len, *reaction);
        slave
    });
    let mut bus = virtual_bus::Bus::new(Settings::new(baud), slaves.collect());
    let mut begun = bus.now;
    for _ in 0..2 {
        begun = bus.now;
        for (address, ..) in wire {
            let meter = Target::Primary(Primary(*address));
            bus.read(meter, Reset::WhenNeeded).expect("it answers");
        }
    }
    bus.since(begun)
}

/// `count` meters on one line of `baud`.
fn plan(count: u16, baud: u32) -> Plan {
    let mut plan = Plan::load(count, 0, 1);
    for (meter, address) in plan.meters.iter_mut().zip(1..) {
        (meter.bus, meter.address) = (LINE.to_owned(), address);
    }
    let first = plan.buses.first().cloned().expect("a load has buses");
    plan.buses = vec![BusPlan { id: LINE.to_owned(), baud: Some(baud), ..first }];
    plan
}

const LINE: &str = "line";

fn on_the_line(meter: &meter_sim::MeterPlan) -> Meter {
    Meter {
        id: meter.id,
        address: MeterAddress::Primary(meter.address),
        profile: None,
        serial: None,
        origin: Origin::Simulated,
    }
}

/// The time of this machine.
#[derive(Debug)]
struct Host;

impl Clock for Host {
    #[expect(clippy::disallowed_methods, reason = "a bench is a program of its own")]
    fn now(&self) -> Moment {
        let (wall, boottime) = (Utc::now(), Duration::ZERO);
        Moment { wall, boottime, boot_id: 1, trust: Trust::Synced }
    }
}
