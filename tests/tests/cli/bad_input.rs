//! What people and wires do wrong: each mistake gets one clear sentence where the one who can mend
//! it looks, nothing is taken for a reading that is none, and the rest of the building is read.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use site_tests::building::{Building, WELL};
use site_tests::gateway::Home;
use site_tests::paths;
use site_tests::process::Program;
use tokio::net::TcpSocket;

/// Runs a command as an installer types it, and holds what it says against `expected`: the file's
/// name and the end of each line are as printed, on whichever of the two outputs.
#[track_caller]
fn check(home: &Home, arguments: &[&str], code: i32, expected: &str) {
    let output = Command::new(paths::binary("fyrhus").unwrap())
        .args(arguments)
        .current_dir(home.folder())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.trim(), expected.trim(), "{arguments:?}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
}

#[test]
fn every_mistake_of_a_site_is_told_with_its_line_and_what_would_be_right() {
    let home = Home::new().unwrap();
    let file = r#"# Skrevet av Kari, 12. mars
[site]
id = "kvernhusgata-4"
name = "Kvernhusgata 4"
time_zone = "Europe/Olso"

[[bus]]
id = "Stigeledning A"
kind = "mbus"
port = "/dev/ttyUSB0"
baud = 2040

[[bus]]
id = "tavle"
kind = "modbuss"
port = "tcp://10.0.4.2:502"
poll_every_secs = 5

[[bus]]
id = "kjeller"
kind = "mbus"
port = "rtu+tcp://10.0.4.3:10001"
pol_every_secs = 60

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-000000000001"
name = "Vann"
bus = "kjelleren"
address = 5

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-000000000001"
name = "Varme"
bus = "kjeller"
address = 251
profile = "kamstrup.multical-60"

[[meter]]
name = "Gass"
bus = "kjeller"
address = 7
secondary = "67001122"

[cloud]
url = "http://portefolje.example"
"#;
    std::fs::write(home.folder().join("min.toml"), file).unwrap();
    let told = r#"
min.toml:3: id = "kvernhusgata-4" is not an id like "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
min.toml:5: time_zone = "Europe/Olso" is not a time zone such as "Europe/Oslo"; did you mean "Europe/Oslo"?
min.toml:8: id = "Stigeledning A" is not a name of 1 to 64 of a-z, 0-9 and -; did you mean "stigeledning-a"?
min.toml:10: `/dev/ttyUSB0` is not a port: write tcp://HOST:PORT, udp://HOST:PORT (an M-Bus converter with datagrams), rtu+tcp://HOST:PORT (Modbus RTU behind a transparent converter) or serial:///dev/NAME; did you mean "serial:///dev/ttyUSB0"?
min.toml:11: baud = 2040 is not one of 300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200; did you mean 2400?
min.toml:15: kind = "modbuss" is not KINDS; did you mean "modbus"?
min.toml:17: poll_every_secs = 5 is not a number from 10 to 86400
min.toml:22: rtu+tcp:// carries Modbus: an M-Bus behind a converter is tcp://
min.toml:23: `pol_every_secs` is not a key of [[bus]]: did you mean `poll_every_secs`?
min.toml:28: bus "kjelleren" is not there: did you mean "kjeller"?
min.toml:32: meter 019a8f3e-7c52-7b3e-9d41-000000000001 is there already, on line 25: each meter has an id of its own, which `uuidgen -t7` makes
min.toml:35: address = 251 is not a meter's primary address, 0 to 250: 251 and 252 are reserved
min.toml:36: profile "kamstrup.multical-60" is not known: did you mean "kamstrup.multical-601"?
min.toml:38: `id` is missing in [[meter]]: an id like "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
min.toml:42: `address` and `secondary` are both given: keep the one that the meter is to be asked by
min.toml:45: url = "http://portefolje.example" is not an address such as "https://portfolio.example:9443"
16 mistakes: this site.toml would not be taken over
"#;
    // Another kind of bus is no reason to write the list of them here.
    let keys = Command::new(paths::binary("fyrhus").unwrap()).arg("config-keys").output();
    let keys = String::from_utf8(keys.unwrap().stdout).unwrap();
    let kinds = keys.lines().find_map(|row| row.strip_prefix("| `kind` | ")?.split(" | ").next());
    let told = told.replace("KINDS", kinds.unwrap());
    check(&home, &["check-config", "min.toml"], 1, &told);
}

#[test]
fn whoever_types_a_command_wrong_is_told_in_a_sentence() {
    let home = Home::new().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(home.folder().join(name), bytes).unwrap();
    write("machine.toml", b"[web]\nhttp = \"0.0.0.0:8080\"\n[path]\nstate = \"lib\"\n");
    write("latin.toml", b"[site]\nname = \"M\xe5ler\"\n");
    write("list.csv", b"tid;verdi\n");
    write("remarks.toml", b"# [site]\n\n");
    let closed = ClosedPort::new();
    let port = format!("tcp://{}", closed.address());
    let config = home.config().display().to_string();

    check(
        &home,
        &["check-config", "machine.toml"],
        1,
        "machine.toml:2: http = \"0.0.0.0:8080\" would serve passwords in the clear: it must be on \
         loopback, such as 127.0.0.1:8080; other machines come in by `listen`\n\
         machine.toml:3: section `path` is not known: did you mean `paths`?\n\
         2 mistakes: this fyrhus.toml would not be taken over",
    );
    check(
        &home,
        &["check-config", "latin.toml"],
        1,
        "fyrhus: latin.toml: this is not UTF-8: save the file as UTF-8",
    );
    check(&home, &["check-config", "no.toml"], 1, "fyrhus: there is no file no.toml");
    check(
        &home,
        &["check-config", "remarks.toml"],
        1,
        "fyrhus: remarks.toml has no line that says anything: it is neither a site.toml, which has \
         at least [site], nor called fyrhus.toml, which may be empty",
    );
    check(
        &home,
        &["mbus", "read", "--port", &port, "--address", "5"],
        1,
        &format!(
            "fyrhus: bus port {port} cannot be used: the host refused the connection; check the \
             port number and the converter's mode"
        ),
    );
    check(
        &home,
        &["modbus", "read", "--port", &port, "--unit", "1", "--profile", "eastron.sdm63"],
        1,
        "fyrhus: there is no profile eastron.sdm63; see `fyrhus profile list`",
    );
    check(
        &home,
        &["mbus", "decode", "68 03 03 68 08 01 72 7B 17"],
        1,
        "not read: byte 8: the stop byte is 0x17 and should be 0x16",
    );
    check(
        &home,
        &["readings", "Vann", "--config", &config],
        1,
        "fyrhus: there is no site.toml: give the meter's id",
    );
    check(
        &home,
        &["import", "list.csv", "--config", &config],
        1,
        "fyrhus: line 1 is `tid;verdi` and should be `time,meter,register,value,unit`",
    );
}

#[tokio::test]
async fn a_port_that_cannot_be_used_says_why_and_the_rest_is_read() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, WELL).unwrap();
    let not_a_line = home.folder().join("notes.txt");
    std::fs::write(&not_a_line, "not a line").unwrap();
    // A serial line that another program is master of.
    let pty = nix::pty::openpty(None, None).unwrap();
    let taken = nix::unistd::ttyname(&pty.slave).unwrap();
    let line = std::fs::File::open(&taken).unwrap();
    let other_master = Flock::lock(line, FlockArg::LockExclusiveNonblock).unwrap();
    // A host that takes the connection and then says nothing.
    let half_open = TcpListener::bind("127.0.0.1:0").unwrap();
    let half_open_port = half_open.local_addr().unwrap().port();
    let refusing = ClosedPort::new();

    let buses = [
        ("missing", "serial:///dev/fyrhus-not-there".to_owned()),
        ("no-line", format!("serial://{}", not_a_line.display())),
        ("taken", format!("serial://{}", taken.display())),
        ("refused", format!("tcp://{}", refusing.address())),
        ("half-open", format!("tcp://127.0.0.1:{half_open_port}")),
    ];
    add_to_site(&home, &buses.each_ref().map(|(id, port)| bus(id, "mbus", port, "address = 1")));
    let gateway = home.start().await.unwrap();

    let all_said = |buses: &Value| {
        list(buses).iter().all(|bus| bus["id"] == "well" || !bus["last_error"].is_null())
    };
    let told = gateway.until("each bus has said it", "buses", all_said).await.unwrap();
    let sentence =
        |id: &str| text(&one(&told, "id", id)["last_error"]["trouble"]["text"]).to_owned();
    for (id, says) in [
        ("missing", "cannot be used: there is no such device; "),
        ("no-line", "cannot be used: it is not a serial port: "),
        (
            "taken",
            "cannot be used: another program uses it; one program alone can be master of a bus",
        ),
        (
            "refused",
            "cannot be used: the host refused the connection; check the port number and the \
             converter's mode",
        ),
        ("half-open", "meter 1 did not answer within "),
    ] {
        assert!(sentence(id).contains(says), "{id}: {}", sentence(id));
        let expected = if id == "half-open" { "up" } else { "down" };
        assert_eq!(one(&told, "id", id)["state"], expected, "{id}");
    }
    let well = building.meter("Well").unwrap();
    let read = |readings: &[Value]| readings.first().is_some_and(|it| it["value"].is_string());
    gateway.until_readings("the rest is read", &well, "volume", read).await.unwrap();
    let reasons = |meters: &Value| {
        let reason = |id: &str| one(meters, "bus", id)["reason"].clone();
        reason("taken") == "bus_down" && reason("half-open") == "silent"
    };
    gateway.until("the meters have their reasons", "meters", reasons).await.unwrap();

    // The other master goes: from then on it is the meter's silence.
    drop(other_master);
    let up = |buses: &Value| one(buses, "id", "taken")["state"] == "up";
    gateway.until("the line is used", "buses", up).await.unwrap();
}

#[tokio::test]
async fn rubbish_on_a_line_is_no_reading() {
    let home = Home::new().unwrap();
    let mut building = Building::start(
        &home,
        &format!(
            "{WELL}\n[[bus]]\nid = \"two-masters\"\nkind = \"mbus\"\npoll_every_secs = 10\n\
             [[meter]]\nname = \"Foreign\"\nbus = \"two-masters\"\naddress = 7\n\
             device = \"cold-water\"\nplace = \"cold-flats\"\n"
        ),
    )
    .unwrap();
    building.tell("foreign Foreign on").unwrap();
    let noise = serve(|mut master| {
        // More and more, whatever is asked; each time another piece.
        let mut chaos = 0x2545_F491_u32;
        loop {
            let mut piece = [0; 64];
            for byte in &mut piece {
                chaos ^= chaos << 13;
                chaos ^= chaos >> 17;
                chaos ^= chaos << 5;
                *byte = chaos.to_le_bytes()[0];
            }
            if master.write_all(&piece).is_err() {
                return;
            }
        }
    });
    let modbus = serve(answer_with_too_much);
    add_to_site(
        &home,
        &[
            bus("noise", "mbus", &format!("tcp://127.0.0.1:{noise}"), "address = 1"),
            bus(
                "too-large",
                "modbus",
                &format!("tcp://127.0.0.1:{modbus}"),
                "address = 1\nprofile = \"abb.b23\"",
            ),
        ],
    );
    let gateway = home.start().await.unwrap();

    let said = |meters: &Value| {
        let is = |bus: &str, key: &str, is: &str| one(meters, "bus", bus)[key] == is;
        is("noise", "reason", "garbled")
            && is("two-masters", "reason", "garbled")
            && is("too-large", "state", "ok")
    };
    let meters = gateway.until("it is said of each", "meters", said).await.unwrap();
    for (bus, says) in [
        ("noise", "did not give an answer that fits the question: "),
        ("two-masters", "is there a second master on the line?"),
    ] {
        let meter = one(&meters, "bus", bus);
        let meter = gateway.get(&format!("meters/{}", text(&meter["id"]))).await.unwrap();
        assert!(text(&meter["error"]["text"]).contains(says), "{bus}: {}", meter["error"]);
        let values = list(&meter["registers"]).iter().filter(|it| !it["value"].is_null());
        assert_eq!(values.count(), 0, "{meter:#}");
    }

    // A counter of 2^63 has no place in 63 bits: that is said of it, and of it alone.
    let meter = one(&meters, "bus", "too-large");
    let meter = gateway.get(&format!("meters/{}", text(&meter["id"]))).await.unwrap();
    let counter = one(&meter["registers"], "register", "energy_import_total");
    assert_eq!((&counter["value"], text(&counter["reason"])), (&Value::Null, "too_large"));
    assert!(list(&meter["registers"]).iter().any(|it| it["value"].is_string()), "{meter:#}");

    let well = building.meter("Well").unwrap();
    let read = |readings: &[Value]| readings.first().is_some_and(|it| it["value"].is_string());
    gateway.until_readings("the rest is read", &well, "volume", read).await.unwrap();
}

/// A Modbus TCP server on which every fourth register is 8000h and the others are zero: there each
/// unsigned integer of 64 bits is 2^63.
fn answer_with_too_much(mut master: TcpStream) {
    let mut request = [0; 12];
    while master.read_exact(&mut request).is_ok() {
        let [t0, t1, _, _, _, _, unit, function, a0, a1, c0, c1] = request;
        let first = u16::from_be_bytes([a0, a1]);
        let words = (first..).take(usize::from(u16::from_be_bytes([c0, c1])));
        let bytes: Vec<u8> =
            words.flat_map(|at| if at % 4 == 0 { [0x80, 0] } else { [0, 0] }).collect();
        let count = u8::try_from(bytes.len()).unwrap();
        let length = u16::from(count) + 3;
        let [l0, l1] = length.to_be_bytes();
        let head = [t0, t1, 0, 0, l0, l1, unit, function, count];
        if master.write_all(&[&head[..], &bytes].concat()).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_bad_configuration_is_said_on_every_surface_and_the_last_good_one_holds() {
    let home = Home::with_site("[site]\nname = 3\n").unwrap();
    let gateway = home.start().await.unwrap();

    // Without a good one there is nothing to read, and that is said.
    let site = gateway.get("site").await.unwrap();
    assert_eq!((&site["commissioning"], list(&site["meters"]).len()), (&Value::Bool(true), 0));
    let mistakes = list(&site["config_problem"]["mistakes"]);
    let told: Vec<_> = mistakes.iter().map(|it| (&it["line"], text(&it["advice"]))).collect();
    assert_eq!(told.len(), 2, "{site:#}");
    assert_eq!(told[1].0, 2, "{site:#}");
    assert!(told[1].1.starts_with("name = 3 is not a text"), "{site:#}");
    assert!(home.log().contains("site.toml is not in force: name = 3 is not"), "{}", home.log());
    let overview = gateway.get("overview").await.unwrap();
    assert_eq!(text(&overview["sentence"]["code"]), "commissioning");

    // A page is told what is wrong with what it sends.
    let put = |version: u64, text: &str| {
        let put = gateway.request(Method::PUT, "site/config");
        let put = put.header("If-Match", format!("\"{version}\""));
        put.header("Content-Type", "text/toml").body(text.to_owned())
    };
    let (status, answer) = gateway.answer(put(0, "[site]\nnavn = \"A\"\n")).await.unwrap();
    assert_eq!((status, text(&answer["code"])), (StatusCode::UNPROCESSABLE_ENTITY, "config_wrong"));
    let told = list(&answer["mistakes"]);
    assert_eq!((&told[0]["line"], told.len()), (&Value::from(1), 3), "{answer:#}");
    assert!(told.iter().any(|it| text(&it["advice"]).starts_with("`navn` is not a key of [site]")));

    // A good one ends the commissioning; a bad one after it changes nothing and is said.
    let building = Building::start(&home, WELL).unwrap();
    let in_force =
        |site: &Value| site["commissioning"] == false && site["config_problem"].is_null();
    gateway.until("the building is there", "site", in_force).await.unwrap();
    let good = std::fs::read_to_string(home.site()).unwrap();
    std::fs::write(home.site(), good.replace("address = 5", "adress = 5")).unwrap();
    let refused = |site: &Value| !site["config_problem"].is_null();
    let site = gateway.until("the mistake is said", "site", refused).await.unwrap();
    let advice: Vec<_> =
        list(&site["config_problem"]["mistakes"]).iter().map(|it| text(&it["advice"])).collect();
    assert!(advice.contains(&"`adress` is not a key of [[meter]]: did you mean `address`?"));
    let overview = gateway.get("overview").await.unwrap();
    one(&overview["look_at"], "code", "config_problem");
    let well = building.meter("Well").unwrap();
    let read = |readings: &[Value]| readings.first().is_some_and(|it| it["value"].is_string());
    gateway.until_readings("the last good one holds", &well, "volume", read).await.unwrap();
}

#[tokio::test]
async fn an_enrolment_that_cannot_be_says_why() {
    let home = Home::new().unwrap();
    let _building = Building::start(&home, WELL).unwrap();
    let portfolios = ["here", "elsewhere"].map(|name| Portfolio::start(&home, name));
    let [here, elsewhere] = &portfolios;
    let gateway = home.start().await.unwrap();
    let code = here.code(&home);
    let wrong_code = "the code is wrong, spent or too old: ask for a new one";

    let enrol = |url: &str, code: &str| {
        let output = home.fyrhus(["enrol", "--url", url, "--code", code]).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said.trim().to_owned())
    };
    let check = |url: &str, code: &str, says: &str| {
        let (status, said) = enrol(url, code);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.starts_with("fyrhus: ") && said.contains(says), "{said}\n{says}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    // The code carries the mark of its portfolio: nobody else gets to see it.
    let somebody = "does somebody open the connection on its way?";
    check(&elsewhere.url, &code, somebody);
    check(&here.url, "ABCD-EFGH", wrong_code);
    check(&here.url.replace("https", "http"), &code, "is not a portfolio's address, such as");
    let closed = ClosedPort::new();
    let port = closed.address().port();
    let nobody = enrol(&format!("https://localhost:{port}"), &code);
    let sentence = format!(
        "fyrhus: the portfolio at localhost:{port} cannot be reached: nothing listens there; are \
         address and port right, and does it run?"
    );
    assert_eq!(nobody, (Some(1), sentence));
    // One that lay about for more than its hour.
    let old = here.code(&home);
    here.let_codes_grow_old(&home);
    check(&here.url, &old, wrong_code);
    let code = here.code(&home);
    assert_eq!(enrol(&here.url, &code), (Some(0), String::new()));
    check(&here.url, &code, wrong_code);

    let sync = |cloud: &Value| cloud["sync"]["enrolled"] == true;
    gateway.until("it is enrolled", "cloud", sync).await.unwrap();
}

/// A portfolio service of its own.
struct Portfolio {
    name: &'static str,
    url: String,
    _program: Program,
}

impl Portfolio {
    fn start(home: &Home, name: &'static str) -> Self {
        let state = home.folder().join(name);
        std::fs::create_dir(&state).unwrap();
        let config = Self::config(home, name);
        let text = format!(
            "[paths]\nstate = \"{}\"\n[people]\nlisten = \"127.0.0.1:0\"\nplain_http = true\n\
             [gateways]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\"]\n",
            state.display()
        );
        std::fs::write(&config, text).unwrap();
        let log = home.folder().join(format!("{name}.log"));
        let arguments = ["run", "--json", "--config", &config];
        let mut program = Program::start("fyrhus-portfolio", arguments, &log).unwrap();
        let ready = program.json_line(Duration::from_mins(1)).unwrap();
        let url = text_of(&ready, "gateways_url");
        Self { name, url, _program: program }
    }

    fn config(home: &Home, name: &str) -> String {
        home.folder().join(format!("{name}.toml")).display().to_string()
    }

    fn code(&self, home: &Home) -> String {
        let config = Self::config(home, self.name);
        let output = Command::new(paths::binary("fyrhus-portfolio").unwrap())
            .args(["enrol-code", "--json", "--site-name", "Bod", "--config", &config])
            .output()
            .unwrap();
        text_of(&serde_json::from_slice(&output.stdout).unwrap(), "code")
    }

    /// As if every code so far had been made two hours earlier.
    fn let_codes_grow_old(&self, home: &Home) {
        let file = home.folder().join(self.name).join("portfolio.db");
        let database = rusqlite::Connection::open(file).unwrap();
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        let changed =
            database.execute("UPDATE enrol_code SET expires_ms = expires_ms - 7200000", []);
        assert!(changed.unwrap() > 0);
    }
}

/// Listens on a free port and hands each connection to `talk`, in a thread of its own.
fn serve(talk: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for master in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || talk(master));
        }
    });
    port
}

/// A port that is held, so that nobody else gets it, and that refuses connections, as nobody
/// listens on it.
struct ClosedPort(TcpSocket);

impl ClosedPort {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// A bus with one meter of the same name, for `site.toml`.
fn bus(id: &str, kind: &str, port: &str, meter: &str) -> String {
    // The id of the meter grows out of the name, as they have to be different.
    let number = id.bytes().fold(0_u64, |number, byte| number * 31 + u64::from(byte)) % (1 << 48);
    format!(
        "[[bus]]\nid = \"{id}\"\nkind = \"{kind}\"\nport = \"{port}\"\npoll_every_secs = 10\n\
         answer_within_ms = 300\n[[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-{number:012x}\"\n\
         name = \"{id}\"\nbus = \"{id}\"\n{meter}\n"
    )
}

fn add_to_site(home: &Home, buses: &[String]) {
    let site = std::fs::read_to_string(home.site()).unwrap();
    std::fs::write(home.site(), format!("{site}\n{}", buses.concat())).unwrap();
}

#[track_caller]
fn one<'a>(all: &'a Value, key: &str, is: &str) -> &'a Value {
    let found = list(all).iter().find(|it| it[key] == is);
    found.unwrap_or_else(|| panic!("no {key} {is} in {all:#}"))
}

#[track_caller]
fn text_of(object: &Value, key: &str) -> String {
    text(&object[key]).to_owned()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
