//! How many requests and registers a readout costs with our plan, against the optimum and against
//! what others do; how fast the plan is made; and how fast we read beside libmodbus.
//!
//! The counts and the bus time at 9600 baud (30 ms latency) are printed first: they are the same
//! on every machine. Then both clients read from one server, libmodbus' own, on loopback; the
//! ratio is printed and nothing else is claimed by it. The planning is timed last.
//!
//! Others: *adjacent* joins registers that touch (Neuron); *`max_insert`* joins from the left while
//! the hole is at most 50 registers (Telegraf's `max_insert` with its default), here within the
//! device's own limit and not across what it refuses, of which it knows nothing.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench of a profile that is not there fails, and its figures are what it is for"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivers::modbus::plan::{Cost, Learned, Limits, plan};
use drivers::modbus::{ModbusBus, Request};
use drivers::{BusKind, BusSettings, Meter, MeterAddress, Parity, PortSettings, Profile, Profiles};
use metering::{Clock, Moment, Origin, Trust};

fn main() {
    counts();
    beside_libmodbus();
    divan::main();
}

fn counts() {
    let cost = at_9600();
    println!(
        "requests / registers of a readout, and seconds on the bus at 9600 baud, 30 ms latency"
    );
    println!(
        "{:30} {:>6} {:>18} {:>18} {:>18} {:>18}",
        "", "values", "adjacent", "max_insert(50)", "planned", "optimum"
    );
    let mut profiles = 0;
    for profile in Profiles::embedded().iter() {
        let Some((mut points, limits)) = profile.modbus_points() else { continue };
        points.sort_unstable_by_key(|it| (it.function, it.address, it.count));
        points.dedup();
        profiles += 1;
        let adjacent = Limits { max_gap: 0, ..limits.clone() };
        let adjacent = Sum::of(&requests(&points, &adjacent, cost), cost);
        let inserted = Sum::of(&max_insert(&points, limits), cost);
        let planned = Sum::of(&requests(&points, limits, cost), cost);
        let optimum = optimum(&points, limits, cost);
        println!(
            "{:30} {:>6} {adjacent:>18} {inserted:>18} {planned:>18} {optimum:>18}",
            profile.id,
            points.len(),
        );
        assert!(planned.time <= adjacent.time);
        assert_eq!(planned.time, optimum.time, "{} is not planned at its optimum", profile.id);
    }
    println!("{profiles} profiles, each planned at its optimum");
}

/// What a set of requests costs.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    requests: usize,
    registers: u32,
    time: Duration,
}

impl Sum {
    fn of(requests: &[Request], cost: Cost) -> Self {
        requests.iter().fold(Self::default(), |sum, it| sum.and(*it, cost))
    }

    fn and(self, request: Request, cost: Cost) -> Self {
        Self {
            requests: self.requests + 1,
            registers: self.registers + u32::from(request.count),
            time: self.time + cost.per_request + cost.per_register * request.count.into(),
        }
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}/{} {:.2} s", self.requests, self.registers, self.time.as_secs_f32());
        f.pad(&text)
    }
}

fn requests(points: &[Request], limits: &Limits, cost: Cost) -> Vec<Request> {
    let plan = plan(points, limits, &Learned::default(), cost);
    plan.into_iter().map(|planned| planned.request).collect()
}

/// Greedy from the left.
fn max_insert(points: &[Request], limits: &Limits) -> Vec<Request> {
    const LONGEST_HOLE: u32 = 50;
    let mut requests: Vec<Request> = Vec::new();
    for point in points {
        let joined = requests.last().and_then(|last| {
            let end = end_of(*last).max(end_of(*point));
            let hole = u32::from(point.address).saturating_sub(end_of(*last));
            let count = u16::try_from(end - u32::from(last.address)).ok()?;
            let fits = last.function == point.function
                && hole <= LONGEST_HOLE
                && count <= limits.max_registers;
            fits.then_some(Request { count, ..*last })
        });
        match (joined, requests.last_mut()) {
            (Some(joined), Some(last)) => *last = joined,
            _ => requests.push(*point),
        }
    }
    requests
}

/// The least cost there is, by another way than the planner's: from the last point to the first,
/// over every request that the device allows, written down from the limits alone.
fn optimum(points: &[Request], limits: &Limits, cost: Cost) -> Sum {
    let mut best: Vec<Sum> = vec![Sum::default(); points.len() + 1];
    for first in (0..points.len()).rev() {
        let mut least: Option<Sum> = None;
        for last in first..points.len() {
            let group = &points[first..=last];
            let Some(request) = allowed(group, limits) else { continue };
            let sum = best[last + 1].and(request, cost);
            least = Some(least.filter(|least| least.time <= sum.time).unwrap_or(sum));
        }
        best[first] = least.expect("every point can be asked for by itself");
    }
    best[0]
}

fn allowed(group: &[Request], limits: &Limits) -> Option<Request> {
    let align = u32::from(limits.align);
    let begin = u32::from(group[0].address) / align * align;
    let end = group.iter().map(|it| end_of(*it)).max()?.next_multiple_of(align);
    let request = Request {
        function: group[0].function,
        address: u16::try_from(begin).ok()?,
        count: u16::try_from(end - begin).ok()?,
    };
    let is_alone = group.iter().all(|it| it == &group[0]);
    let wanted: std::collections::BTreeSet<u32> =
        group.iter().flat_map(|it| it.address.into()..end_of(*it)).collect();
    let mut hole = 0;
    let mut longest_hole = 0;
    for address in u32::from(group[0].address)..end_of(*group.last()?) {
        hole = if wanted.contains(&address) { 0 } else { hole + 1 };
        longest_hole = longest_hole.max(hole);
    }
    let holds = |address: u16| (begin..end).contains(&address.into());
    let fits = group.iter().all(|it| it.function == request.function)
        && request.count <= limits.max_registers
        && longest_hole <= u32::from(limits.max_gap)
        && !limits.barriers.iter().any(|it| holds(*it) && u32::from(*it) > begin)
        && !limits.solo.iter().any(|it| it.clone().any(holds));
    (fits || is_alone).then_some(request)
}

fn end_of(request: Request) -> u32 {
    u32::from(request.address) + u32::from(request.count)
}

fn at_9600() -> Cost {
    Cost::serial(9_600, Duration::from_millis(30))
}

/// Ten registers, again and again, from libmodbus' server: by its own client and by ours, in turns,
/// so that what else the machine does falls on both.
fn beside_libmodbus() {
    const ROUNDS: u32 = 5;
    const READS: u32 = 20_000;
    println!("\nreads of ten registers a second on loopback, from libmodbus' server");
    let folder = tempfile::tempdir().unwrap();
    let (Some(server), Some(client)) =
        (compiled(folder.path(), "modbus_server"), compiled(folder.path(), "modbus_client"))
    else {
        println!("SKIPPED: no C compiler or no libmodbus-dev; image/prepare.sh installs them");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (port, _server) = serve(&server);
        let output = Command::new(&client)
            .args(["speed", "127.0.0.1", &port, "7", "0", "10", &READS.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        theirs.push(f64::from(READS) / seconds);

        let (port, _server) = serve(&server);
        ours.push(f64::from(READS) / runtime.block_on(read(&port, READS)).as_secs_f64());
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("libmodbus' client {theirs:.0}, ours {ours:.0}: {:.2} of it", ours / theirs);
    println!("(ours plans, decodes ten values and stamps them with their time, each time)");
}

/// The program of `tests/peers`, if it can be compiled.
fn compiled(folder: &Path, name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers");
    let program = folder.join(name);
    let compiler = Command::new("cc")
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(source.join(name).with_extension("c"))
        .arg("-lmodbus")
        .stderr(Stdio::null())
        .status();
    compiler.is_ok_and(|status| status.success()).then_some(program)
}

/// Ends with its parent's end of the pipe, and at the latest when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn serve(program: &Path) -> (String, Server) {
    let mut child = Command::new(program)
        .arg("tcp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    (port.trim().to_owned(), Server(child))
}

async fn read(port: &str, reads: u32) -> Duration {
    let settings = BusSettings {
        kind: BusKind::Modbus,
        port: PortSettings::Tcp(format!("127.0.0.1:{port}")),
        baud: 9_600,
        parity: Parity::Even,
        answer_within: None,
        pause_after_connect: Duration::ZERO,
    };
    let mut text = "schema = 1\nid = \"bench.ten\"\nvendor = \"Bench\"\nmodels = []\n\
                    medium = \"other\"\nstatus = \"document\"\nsource = \"this bench\"\n\
                    [modbus]\nfunction = \"input\"\n"
        .to_owned();
    for address in 0..10 {
        let _ = write!(
            text,
            "[[register]]\nkey = \"value_r{address}x\"\nquantity = \"value_r{address}x\"\n\
             unit = \"1\"\nkind = \"gauge\"\n\
             [register.modbus]\naddress = {address}\ntype = \"u16\"\n"
        );
    }
    text += "[[vector]]\nread = [{ function = \"input\", address = 0, words = [\"1\"] }]\n\
             expect = { value_r0x = \"1\" }\n";
    let meter = Meter {
        id: "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77".parse().unwrap(),
        address: MeterAddress::Unit(7),
        profile: Some(Arc::new(Profile::parse(&text).unwrap())),
        serial: None,
        origin: Origin::Live,
    };
    let mut bus = ModbusBus::open(&settings);
    // The connection is made before the clock runs, as in libmodbus' client.
    bus.read(&meter, &Noon).await.unwrap();
    let begun = Instant::now();
    for _ in 0..reads {
        let readout = bus.read(&meter, &Noon).await.unwrap();
        assert!(readout.readings.iter().all(|reading| reading.value.is_ok()));
    }
    begun.elapsed()
}

/// A clock that stands still.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment {
            wall: chrono::DateTime::UNIX_EPOCH,
            boottime: Duration::ZERO,
            boot_id: 1,
            trust: Trust::Synced,
        }
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[divan::bench]
fn plan_of_an_sdm630(bencher: divan::Bencher<'_, '_>) {
    let profile = Profiles::embedded().get("eastron.sdm630").expect("it is embedded");
    let (points, limits) = Profile::modbus_points(&profile).expect("it is a Modbus meter");
    let learned = Learned::default();
    bencher.bench_local(|| plan(&points, limits, &learned, at_9600()));
}

/// More points than any device has.
#[divan::bench]
fn plan_of_200_points(bencher: divan::Bencher<'_, '_>) {
    let point = |index: u16| Request {
        function: drivers::modbus::Function::Input,
        address: index * 7,
        count: 2,
    };
    let points: Vec<Request> = (0..200).map(point).collect();
    let limits = Limits { max_gap: 125, ..Limits::default() };
    bencher.bench_local(|| plan(&points, &limits, &Learned::default(), at_9600()));
}
