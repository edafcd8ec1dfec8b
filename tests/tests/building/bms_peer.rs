//! A building's management system reads the gateway's values over Modbus TCP, with clients that we
//! did not write: pymodbus, and libmodbus where it is installed. What it reads is what the pages
//! show, to the last digit; and a change of the configuration moves no register.
//!
//! The meters are the simulator's registers, served by pymodbus as in `modbus_peer.rs`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]
#![expect(clippy::print_stdout, reason = "what was skipped is for the reader")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use site_tests::gateway::{Gateway, Home};
use site_tests::paths;
use site_tests::process::Program;

const FIRST: &str = "019a8f3e-7c52-7b3e-9d41-000000000001";
const SECOND: &str = "019a8f3e-7c52-7b3e-9d41-000000000002";

/// For a busy machine.
const WITHIN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_management_system_reads_what_the_pages_show_at_registers_that_stay() {
    let home = Home::new().unwrap();
    let python = paths::root().join("target/peers/bin/python");
    if !python.exists() {
        println!("SKIPPED: no pymodbus in target/peers; image/prepare.sh installs it");
        assert!(std::env::var_os("CI").is_none(), "CI has pymodbus");
        return;
    }
    let mut meters = meters(&home, &python);
    let bus = meters.json_line(WITHIN).unwrap()["port"].as_u64().unwrap();
    let bms = own_postgres::spare_port().unwrap();
    std::fs::write(home.site(), site(bus, bms, "Hovedtavle", true)).unwrap();
    let gateway = home.start().await.unwrap();
    let well = |all: &Value| all.as_array().unwrap().iter().all(|meter| meter["state"] == "ok");
    gateway.until("both meters answer", "meters", well).await.unwrap();
    let listed = |list: &Value| {
        !list["listening"].is_null() && list["registers"].as_array().is_some_and(|it| it.len() > 8)
    };
    let list = gateway.until("the values have registers", "bms", listed).await.unwrap();

    let mut command = Command::new(&python);
    command.arg(paths::root().join("tests/peers/modbus_client.py"));
    let log = home.folder().join("client.log");
    let client = Program::spawn("modbus_client.py", command, &log).unwrap();
    let mut client = Client { program: client, port: bms };

    // The same value in every form, as the page shows it.
    let energy = place(&list, SECOND, "energy_import_total");
    assert_eq!(energy["measured_in"], "Wh");
    let at = energy["address"].as_u64().unwrap();
    assert_eq!(client.value(at, "INT64"), json!(9_007_199_254_740_993_i64));
    assert_eq!(client.value(at + 4, "INT16"), energy["decimals"]);
    // No 32 bits hold it: that is said by the sentinel, never by a zero.
    assert_eq!(client.value(at + 8, "INT32"), json!(i32::MIN));
    let power = place(&list, FIRST, "power_total")["address"].as_u64().unwrap();
    assert_eq!(client.value(power, "INT64"), json!(-76_543));
    assert_eq!(client.value(power + 4, "INT16"), json!(1));
    assert_eq!(client.value(power + 5, "UINT16"), json!(0), "good");
    let float = client.value(power + 6, "FLOAT32").as_f64().unwrap();
    assert!((float - -7_654.3).abs() < 1e-3, "{float}");
    assert_eq!(client.value(power + 8, "INT32"), json!(-76_543));
    assert!(client.value(power + 10, "UINT32").as_u64().unwrap() < 120);
    // Input registers hold the same as holding registers; nothing can be written.
    let holding = client.ask(json!({ "unit": 1, "address": power, "count": 10 }));
    let input = client.ask(json!({ "unit": 1, "address": power, "count": 10, "input": true }));
    assert_eq!(holding, input);
    for unit in [0, 255] {
        let same = client.ask(json!({ "unit": unit, "address": power, "count": 10 }));
        assert_eq!(same, holding, "unit {unit} is the device itself");
    }
    let written = client.ask(json!({ "unit": 1, "address": power, "write": 7 }));
    assert_eq!(written, json!({ "exception": 1 }));
    let beyond = client.ask(json!({ "unit": 1, "address": 65_000, "count": 2 }));
    assert_eq!(beyond, json!({ "exception": 2 }));
    assert_eq!(client.ask(json!({ "unit": 1, "who": true }))["who"][0], "Fyrhus");

    libmodbus_agrees(&home, bms, power);

    // A meter is renamed, another one is taken out, and the server goes on elsewhere: every
    // register is where it was, and the one of the meter that is gone is no number.
    let elsewhere = own_postgres::spare_port().unwrap();
    std::fs::write(home.site(), site(bus, elsewhere, "Tavle 1", false)).unwrap();
    let moved = |list: &Value| {
        list["listening"].as_str().is_some_and(|it| it.ends_with(&format!(":{elsewhere}")))
            && list["registers"].as_array().is_some_and(|it| it.len() > 8)
    };
    let after = gateway.until("the server has moved", "bms", moved).await.unwrap();
    client.port = elsewhere;
    for (old, new) in registers(&list).iter().zip(registers(&after)) {
        for key in ["unit", "address", "meter", "register", "decimals"] {
            assert_eq!(old[key], new[key], "{new}");
        }
    }
    assert_eq!(place(&after, FIRST, "power_total")["meter_name"], "Tavle 1");
    assert_eq!(client.value(at, "INT64"), json!(i64::MIN));
    assert_eq!(client.value(at + 5, "UINT16"), json!(256));
    assert_eq!(client.value(at + 6, "FLOAT32"), json!(null), "no number");
    assert_eq!(client.value(power, "INT64"), json!(-76_543));

    files(&home, &gateway, &after).await;
}

/// The list on paper, from the API and from the command line, with the same lines.
async fn files(home: &Home, gateway: &Gateway, list: &Value) {
    let csv = gateway.request(reqwest::Method::GET, "bms/registers.csv").send().await.unwrap();
    let csv = csv.text().await.unwrap();
    assert_eq!(csv.lines().count(), registers(list).len() + 1, "{csv}");
    let book = gateway.request(reqwest::Method::GET, "bms/registers.xlsx").send().await.unwrap();
    assert!(book.bytes().await.unwrap().starts_with(b"PK\x03\x04"));
    let printed = Command::new(paths::binary("fyrhus").unwrap())
        .args(["bms", "registers", "--csv", "--config"])
        .arg(home.config())
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), csv);
}

/// The same registers by libmodbus.
fn libmodbus_agrees(home: &Home, port: u16, power: u64) {
    let source = paths::root().join("tests/peers/modbus_client.c");
    let program = home.folder().join("modbus_client");
    if !compiled(&source, &program) {
        println!("SKIPPED: no libmodbus-dev, so libmodbus does not read");
        return;
    }
    let run = |words: &[&str]| {
        let output = Command::new(&program).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (port, power) = (port.to_string(), power.to_string());
    for function in ["3", "4"] {
        let words = run(&["read", "127.0.0.1", &port, "1", function, &power, "5"]);
        // -76543 as 64 bits, and one decimal.
        assert_eq!(words, "65535 65535 65534 54529 1");
    }
    assert_eq!(run(&["read", "127.0.0.1", &port, "1", "3", "65000", "2"]), "exception 2");
    assert_eq!(run(&["read", "127.0.0.1", &port, "9", "3", "16", "2"]), "exception 11");
    assert_eq!(run(&["write", "127.0.0.1", &port, "1", &power, "7"]), "exception 1");
}

fn compiled(source: &Path, program: &PathBuf) -> bool {
    let compiler =
        Command::new("cc").arg("-O2").arg("-o").arg(program).arg(source).arg("-lmodbus").output();
    compiler.is_ok_and(|output| output.status.success())
}

struct Client {
    program: Program,
    port: u16,
}

impl Client {
    fn ask(&mut self, mut question: Value) -> Value {
        question["port"] = json!(self.port);
        self.program.say(&question.to_string()).unwrap();
        self.program.json_line(WITHIN).unwrap()
    }

    fn value(&mut self, address: u64, kind: &str) -> Value {
        let answer = self.ask(json!({ "unit": 1, "address": address, "as": kind }));
        assert!(answer.get("value").is_some(), "{address} as {kind}: {answer}");
        answer["value"].clone()
    }
}

fn registers(list: &Value) -> &Vec<Value> {
    list["registers"].as_array().unwrap()
}

#[track_caller]
fn place<'l>(list: &'l Value, meter: &str, register: &str) -> &'l Value {
    let mut all = registers(list).iter();
    let found = all.find(|it| it["meter"] == meter && it["register"] == register);
    found.unwrap_or_else(|| panic!("no {register} of {meter} in {list:#}"))
}

/// Two meters on a server of another make.
fn meters(home: &Home, python: &Path) -> Program {
    let mut command = Command::new(python);
    command.arg(paths::root().join("tests/peers/modbus_server.py"));
    let log = home.folder().join("server.log");
    let mut program = Program::spawn("modbus_server.py", command, &log).unwrap();
    let holds = json!({ "units": [
        { "unit": 1, "function": 4, "registers": [
            [0x0000, "FLOAT32", 230.14], [0x0006, "FLOAT32", 12.3456],
            [0x0034, "FLOAT32", -7_654.321], [0x0046, "FLOAT32", 50.024_9],
            [0x0048, "FLOAT32", 9_876_543.0], [0x015A, "FLOAT32", 1.005],
        ] },
        { "unit": 2, "function": 3, "registers": [
            [0x0BB7, "FLOAT32", 3.125], [0x0BF3, "FLOAT32", 17.062_5],
            [0x0C83, "INT64", 9_007_199_254_740_993_i64], [0x0C97, "INT64", -42],
            [0x0DBD, "INT64", 0],
        ] },
    ] });
    program.say(&holds.to_string()).unwrap();
    program
}

fn site(bus: u64, bms: u16, name: &str, with_second: bool) -> String {
    let meter = |id: &str, name: &str, address: u8, profile: &str| {
        format!(
            "[[meter]]\nid = \"{id}\"\nname = \"{name}\"\nbus = \"tavle\"\n\
             address = {address}\nprofile = \"{profile}\"\n"
        )
    };
    let second = if with_second {
        meter(SECOND, "Solceller", 2, "schneider.iem3155")
    } else {
        String::new()
    };
    format!(
        "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"Verksted\"\n\
         [[bus]]\nid = \"tavle\"\nkind = \"modbus\"\nport = \"tcp://127.0.0.1:{bus}\"\n\
         poll_every_secs = 60\nanswer_within_ms = 500\n{}{second}\
         [bms]\nlisten = \"127.0.0.1:{bms}\"\nclients = [\"127.0.0.1\"]\n",
        meter(FIRST, name, 1, "eastron.sdm630"),
    )
}
