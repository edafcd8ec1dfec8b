//! `fyrhus han` as an installer runs it: what is printed, and with which status it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;
use site_tests::paths;

/// 280 W, as an Aidon meter pushes it.
const FRAME: &str = "7ea02a410883130413e6e7000f40000000000101020309060100010700ff06000001180202\
                     0f00161b34cd7e";
/// The head of one that is sealed.
const SEALED: &str = "7ea0224103134ec7e6e700db084b414d4501020304810a30000000010011223344edae7e";

/// Status, standard output and standard error of `fyrhus han` with `input`.
fn run(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut fyrhus = Command::new(paths::binary("fyrhus").unwrap())
        .arg("han")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fyrhus.stdin.take().unwrap().write_all(input).unwrap();
    let output = fyrhus.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn messages_are_taken_apart() {
    let (status, out, error) = run(&["decode", FRAME], b"");
    assert_eq!((status, error.as_str()), (0, ""));
    assert!(out.contains("power_import_total") && out.contains("280 W"), "{out}");

    // Two on a line and one on the next.
    let lines = format!("{FRAME} {FRAME}\n\n{}\n", FRAME.to_uppercase());
    let (status, out, _) = run(&["decode", "--json", "-"], lines.as_bytes());
    let read: Vec<Value> = out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!((status, read.len()), (0, 3), "{out}");
    for message in &read {
        assert_eq!(message["ok"], true);
        assert_eq!(message["values"][0]["obis"], "1-0:1.7.0");
        assert_eq!(message["values"][0]["value"], "280");
    }

    let text = b"/ABC5x\r\n\r\n1-0:1.8.0(00001605.055*kWh)\r\n!\r\n";
    let (status, out, _) = run(&["decode", "-"], text);
    assert!(status == 0 && out.contains("1605.055 kWh"), "{out}");
    assert!(out.contains("without a checksum"), "{out}");
}

#[test]
fn what_cannot_be_read_says_where_and_why() {
    let wrong = FRAME.replace("0118", "0119");
    let (status, out, _) = run(&["decode", "--json", &wrong], b"");
    let message: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &message["ok"]), (1, &Value::Bool(false)));
    assert_eq!(message["error"]["byte"], 41);
    let (status, out, _) = run(&["decode", &wrong], b"");
    assert!(status == 1 && out.contains("byte 41: the checksum in the frame's end"), "{out}");

    let (status, out, _) = run(&["decode", SEALED], b"");
    assert!(status == 1 && out.contains("the key of its network operator is needed"), "{out}");
    let (status, _, error) = run(&["decode", "7ex"], b"");
    assert!(status == 1 && error.contains("column 3: `x` is no hex digit"), "{error}");
    let (status, _, error) = run(&["decode", "./no-such.txt"], b"");
    assert!(status == 1 && error.contains("there is no file"), "{error}");
    assert_eq!(run(&["decode", "--key", "12", FRAME], b"").0, 2);
    assert_eq!(run(&["listen"], b"").0, 2);
}

#[test]
fn a_port_is_listened_to() {
    let converter = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp://{}", converter.local_addr().unwrap());
    let frame: Vec<u8> = FRAME
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let meter = std::thread::spawn(move || {
        let (mut meter, _) = converter.accept().unwrap();
        meter.write_all(&frame).unwrap();
        // Until the other side hangs up.
        std::io::copy(&mut meter, &mut std::io::sink()).unwrap()
    });
    let arguments = ["listen", "--port", &port, "--seconds", "2", "--raw", "--json"];
    let (status, out, error) = run(&arguments, b"");
    let message: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &message["values"][0]["unit"]), (0, &Value::from("W")), "{error}");
    let sent = FRAME.trim_end_matches("7e").to_uppercase();
    assert_eq!(message["hex"].as_str().unwrap(), sent);
    assert!(error.contains("1 message read"), "{error}");
    assert_eq!(meter.join().unwrap(), 0, "nothing is ever sent to a meter");
}
