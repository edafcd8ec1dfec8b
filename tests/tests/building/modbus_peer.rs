//! A Modbus server that we did not write holds the registers of two real meters; the gateway reads
//! them by profile, through its ordinary configuration, to the last digit.
//!
//! The server is pymodbus, in `tests/peers/modbus_server.py`; how a value becomes registers is its
//! own affair. `image/prepare.sh` installs it into `target/peers`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;
use site_tests::process::Program;

const SDM630: &str = "019a8f3e-7c52-7b3e-9d41-000000000001";
const IEM3155: &str = "019a8f3e-7c52-7b3e-9d41-000000000002";

/// A register of the server, what it holds, and what the gateway has to show for it.
type Line = (u16, &'static str, Number, &'static str, &'static str, &'static str);

/// What is put into a register.
#[derive(Clone, Copy)]
enum Number {
    Real(f64),
    Whole(i64),
}
use Number::{Real, Whole};

/// Unit 1, function 4: floats, high word first. Rounded to the profile's decimals.
const OF_SDM630: &[Line] = &[
    (0x0000, "FLOAT32", Real(230.14), "voltage_l1", "230.1", "V"),
    (0x0002, "FLOAT32", Real(229.96), "voltage_l2", "230.0", "V"),
    (0x0004, "FLOAT32", Real(0.0), "voltage_l3", "0.0", "V"),
    (0x0006, "FLOAT32", Real(12.3456), "current_l1", "12.346", "A"),
    (0x000C, "FLOAT32", Real(-2_841.25), "power_l1", "-2841.3", "W"),
    (0x0034, "FLOAT32", Real(-7_654.321), "power_total", "-7654.3", "W"),
    (0x003E, "FLOAT32", Real(-0.987_6), "power_factor_total", "-0.988", "1"),
    (0x0046, "FLOAT32", Real(50.024_9), "frequency", "50.02", "Hz"),
    // Beyond 2^23 a float of 32 bits counts in whole numbers: this is what the meter can say.
    (0x0048, "FLOAT32", Real(9_876_543.0), "energy_import_total", "9876543.00", "kWh"),
    (0x004A, "FLOAT32", Real(0.004), "energy_export_total", "0.00", "kWh"),
    (0x0156, "FLOAT32", Real(123_456.79), "energy_total", "123456.79", "kWh"),
    (0x015A, "FLOAT32", Real(1.005), "energy_import_l1", "1.00", "kWh"),
];

/// Unit 2, function 3: floats, and integers of 64 bits that no float could hold.
const OF_IEM3155: &[Line] = &[
    (0x0BB7, "FLOAT32", Real(3.125), "current_l1", "3.125", "A"),
    (0x0BD3, "FLOAT32", Real(231.0), "voltage_l1", "231.0", "V"),
    (0x0BED, "FLOAT32", Real(-0.25), "power_l1", "-0.250", "kW"),
    (0x0BF3, "FLOAT32", Real(17.062_5), "power_total", "17.063", "kW"),
    (0x0C25, "FLOAT32", Real(49.98), "frequency", "49.98", "Hz"),
    (
        0x0C83,
        "INT64",
        Whole(9_007_199_254_740_993),
        "energy_import_total",
        "9007199254740993",
        "Wh",
    ),
    (0x0C87, "INT64", Whole(i64::MAX), "energy_export_total", "9223372036854775807", "Wh"),
    (0x0C97, "INT64", Whole(-42), "reactive_energy_export_total", "-42", "varh"),
    (0x0DBD, "INT64", Whole(0), "energy_import_l1", "0", "Wh"),
];

const IEM3155_SERIAL: i64 = 4_021_987_654;

#[tokio::test]
async fn two_meters_on_a_server_of_another_make_are_read_to_the_last_digit() {
    let home = Home::new().unwrap();
    let Some(mut server) = Server::start(&home) else { return };
    let gateway = home.start().await.unwrap();

    let all_well = |meters: &Value| {
        meters.as_array().is_some_and(|all| all.iter().all(|meter| meter["state"] == "ok"))
    };
    gateway.until("both meters answer", "meters", all_well).await.unwrap();
    for (meter, lines) in [(SDM630, OF_SDM630), (IEM3155, OF_IEM3155)] {
        let shown = gateway.get(&format!("meters/{meter}")).await.unwrap();
        for (_, _, _, register, value, unit) in lines {
            assert_eq!(value_of(&shown, register), (*value, *unit), "{register} of {shown:#}");
        }
    }
    let shown = gateway.get(&format!("meters/{IEM3155}")).await.unwrap();
    assert_eq!(shown["identity"]["serial"], IEM3155_SERIAL.to_string());

    // Something changes, and the next reading shows it.
    server.set(1, 4, (0x0034, "FLOAT32", Real(4_812.06)));
    server.set(2, 3, (0x0C83, "INT64", Whole(9_007_199_254_740_994)));
    let shown = read_now(&gateway, SDM630).await;
    assert_eq!(value_of(&shown, "power_total"), ("4812.1", "W"));
    let shown = read_now(&gateway, IEM3155).await;
    assert_eq!(value_of(&shown, "energy_import_total"), ("9007199254740994", "Wh"));

    // The server hangs: its port is still there, and nobody answers. What it held is shown as old.
    server.program.signal(Signal::SIGSTOP).unwrap();
    let shown = read_now(&gateway, IEM3155).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("silent"), &json!("silent")));
    let said = shown["error"]["text"].as_str().unwrap();
    assert!(said.contains("meter 2 did not answer within"), "{said}");
    assert_eq!(value_of(&shown, "energy_import_total"), ("9007199254740994", "Wh"));
    let energy = "energy_import_total";
    let silent = |readings: &[Value]| readings[0]["reason"] == "silent";
    gateway.until_readings("the absence is stored", IEM3155, energy, silent).await.unwrap();

    // It goes on, late answers and all, and the gateway finds that by itself.
    server.say(2, 3, (0x0C83, "INT64", Whole(9_007_199_254_741_000)));
    server.program.signal(Signal::SIGCONT).unwrap();
    server.answered();
    gateway.until("both meters answer again", "meters", all_well).await.unwrap();
    let again = |readings: &[Value]| readings[0]["value"] == "9007199254741000";
    let readings = gateway.until_readings("it is stored", IEM3155, energy, again).await.unwrap();
    let known = ["9007199254740993", "9007199254740994", "9007199254741000"];
    for reading in &readings {
        let value = reading["value"].as_str();
        assert!(value.is_none_or(|value| known.contains(&value)), "{reading}");
        assert_ne!(value.is_none(), reading["reason"].is_null(), "{reading}");
    }
}

/// The server as a child process.
struct Server {
    program: Program,
}

impl Server {
    /// Starts it, and writes the `site.toml` by which `home` reads it. `None`, with a word, where
    /// it is not installed.
    fn start(home: &Home) -> Option<Self> {
        let python = paths::root().join("target/peers/bin/python");
        if !python.exists() {
            println!("SKIPPED: no pymodbus in target/peers; image/prepare.sh installs it");
            assert!(std::env::var_os("CI").is_none(), "CI has pymodbus");
            return None;
        }
        let mut command = Command::new(python);
        command.arg(paths::root().join("tests/peers/modbus_server.py"));
        let log = home.folder().join("server.log");
        let mut program = Program::spawn("modbus_server.py", command, &log).unwrap();

        let registers = |lines: &[Line]| -> Vec<Value> {
            lines.iter().map(|it| register((it.0, it.1, it.2))).collect()
        };
        let mut of_iem3155 = registers(OF_IEM3155);
        of_iem3155.push(register((0x0081, "UINT32", Whole(IEM3155_SERIAL))));
        let holds = json!({ "units": [
            { "unit": 1, "function": 4, "registers": registers(OF_SDM630) },
            { "unit": 2, "function": 3, "registers": of_iem3155 },
        ] });
        program.say(&holds.to_string()).unwrap();
        let ready = program.json_line(WITHIN).unwrap();

        let site = format!(
            r#"
            [site]
            id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
            name = "Verksted"
            [[bus]]
            id = "tavle"
            kind = "modbus"
            port = "tcp://127.0.0.1:{port}"
            poll_every_secs = 10
            answer_within_ms = 500
            [[meter]]
            id = "{SDM630}"
            name = "Hovedtavle"
            bus = "tavle"
            address = 1
            profile = "eastron.sdm630"
            [[meter]]
            id = "{IEM3155}"
            name = "Solceller"
            bus = "tavle"
            address = 2
            profile = "schneider.iem3155"
            "#,
            port = ready["port"],
        );
        std::fs::write(home.site(), site).unwrap();
        Some(Self { program })
    }

    fn set(&mut self, unit: u8, function: u8, held: (u16, &str, Number)) {
        self.say(unit, function, held);
        self.answered();
    }

    fn say(&mut self, unit: u8, function: u8, held: (u16, &str, Number)) {
        let change = json!({ "unit": unit, "function": function, "register": register(held) });
        self.program.say(&change.to_string()).unwrap();
    }

    fn answered(&mut self) {
        assert_eq!(self.program.json_line(WITHIN).unwrap(), json!({ "done": true }));
    }
}

fn register((address, kind, number): (u16, &str, Number)) -> Value {
    match number {
        Real(number) => json!([address, kind, number]),
        Whole(number) => json!([address, kind, number]),
    }
}

/// Has a meter read between the polls, as a person does.
async fn read_now(gateway: &Gateway, meter: &str) -> Value {
    let read = gateway.request(Method::POST, &format!("meters/{meter}/read"));
    gateway.done(read.json(&json!({}))).await.unwrap()
}

#[track_caller]
fn value_of<'m>(meter: &'m Value, register: &str) -> (&'m str, &'m str) {
    let registers = meter["registers"].as_array().unwrap();
    let found = registers.iter().find(|it| it["register"] == register);
    let found = found.unwrap_or_else(|| panic!("no {register} in {meter:#}"));
    let text = |key: &str| found[key].as_str().unwrap_or_else(|| panic!("{found}"));
    (text("value"), text("unit"))
}

/// For a busy machine.
const WITHIN: Duration = Duration::from_mins(1);
