//! The binary as another program uses it: by its arguments, its standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn meter_sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meter-sim"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Whoever runs it has set this for other reasons.
    command.env("RUST_BACKTRACE", "1");
    command
}

/// Ends it even when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn it_says_when_it_is_ready_and_does_what_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site.toml");
    let arguments = ["run", "--demo", "--base-port", "0", "--write-site", site.to_str().unwrap()];
    let mut running = Running(meter_sim(&arguments).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };

    let ready = next();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["buses"].as_array().unwrap().len(), 11);
    assert!(ready["buses"][0]["port"].as_u64().unwrap() > 0);
    assert!(std::fs::read_to_string(&site).unwrap().contains("[[meter]]"));

    let mut input = running.0.stdin.take().unwrap();
    input.write_all("silence Kaldtvann 3. etg. vest on\n\nboom\nhelp\n".as_bytes()).unwrap();
    let done = next();
    assert_eq!(done["done"], "silence");
    let west = ready["buses"][0]["meters"].as_array().unwrap().iter();
    let west =
        west.map(|it| (&it["name"], &it["id"])).find(|(name, _)| *name == "Kaldtvann 3. etg. vest");
    assert_eq!(done["meter"], *west.unwrap().1);
    assert!(next()["error"].as_str().unwrap().starts_with("`boom` is no command"));
    let help = next();
    assert!(help["help"].as_str().unwrap().starts_with("silence METER on|off "), "{help}");
    let names = help["meters"].as_array().unwrap();
    assert!(names.iter().any(|name| name == "Kaldtvann 3. etg. vest"), "{help}");

    // With standard input still open.
    let pid = Pid::from_raw(running.0.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(running.0.wait().unwrap().success());
    drop(input);
}

#[test]
fn history_is_csv_and_what_is_wrong_is_said_in_a_sentence() {
    let said = |arguments: &[&str]| {
        let output = meter_sim(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let day = ["history", "--from", "2024-02-01T00:00:00Z", "--until", "2024-02-02T00:00:00Z"];
    let (good, csv, _) = said(&day);
    assert!(good);
    assert!(csv.lines().count() > 24 * 29);

    let (good, _, error) = said(&[&day[..], &["--step", "fast"]].concat());
    assert!(!good && error.contains("`fast` is not a step"), "{error}");
    let (good, _, error) = said(&["run", "nowhere.toml"]);
    let sentence =
        "meter-sim: nowhere.toml cannot be read: No such file or directory (os error 2)\n";
    assert_eq!((good, error.as_str()), (false, sentence));
    let (good, _, error) = said(&["run"]);
    assert!(!good && error.contains("--demo"), "{error}");
}
