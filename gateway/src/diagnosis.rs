//! What somebody who helps from afar has to know of a gateway, without what is nobody's business.
//!
//! ```text
//! program, clock, disk, files of the store, buses, meters, sync, events, the configuration ─▶ JSON ─▶ scrubbed
//! ```
//!
//! Two nets, one behind the other. What is put in is chosen: no reading, no telegram, no detail of the audit log.
//! Then every text of it is scrubbed: words that people have chosen (names of users, of the building, of meters,
//! buses and places, topics) become `meter-name-3` and the like, the same word the same each time; every line of
//! the files of secrets, and whatever looks like a key, goes.
//!
//! **Never true:** a secret, or the name of a person or a place of the configuration, stands in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use toml::Value as Toml;
use web_ui::Handles;

use crate::config::Machine;

/// The diagnosis of the gateway of `machine`, as JSON; `running` is the daemon's own, and `None` if none runs.
pub(crate) async fn made(
    machine: &Machine,
    running: Option<&Handles>,
    now: DateTime<Utc>,
) -> String {
    let state = &machine.state;
    let text = fs::read_to_string(state.join("site.toml")).unwrap_or_default();
    let mut words = Words::default();
    words.secrets_of(&state.join("keys"));
    let mut told = Map::new();
    let mut tell = |what: &str, value: Value| drop(told.insert(what.to_owned(), value));
    tell(
        "about",
        json!("Fyrhus diagnosis. Names are replaced, secrets and readings are left out."),
    );
    tell("made_at", time(now));
    tell("version", json!(env!("CARGO_PKG_VERSION")));
    tell("system", system());
    tell("machine", of_machine(machine));
    let folder = state.clone();
    let files = tokio::task::spawn_blocking(move || files(&folder)).await;
    tell("files", files.unwrap_or_default());
    tell("configuration", configuration(&text, &mut words));
    if let Some(handles) = running {
        let users = handles.core.users().await.unwrap_or_default();
        for user in users {
            words.person(&user.name);
        }
        let site = handles.site.borrow().clone();
        words.site(&site);
        tell("running", of_daemon(handles));
        tell("events", events(handles).await);
        tell("audit", audit(handles, &mut words).await);
    } else {
        tell("running", Value::Null);
    }
    let mut told = Value::Object(told);
    words.scrub(&mut told);
    serde_json::to_string_pretty(&told).unwrap_or_default()
}

/// Tells whoever asked of the running daemon, beside what it does else.
pub(crate) fn tell(machine: &Machine, handles: &Handles, reply: oneshot::Sender<String>) {
    let (machine, handles) = (machine.clone(), handles.clone());
    tokio::spawn(async move {
        let now = handles.clock.now().wall;
        // Whoever asked may have gone away.
        drop(reply.send(made(&machine, Some(&handles), now).await));
    });
}

fn time(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn system() -> Value {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default().trim().to_owned();
    let up = read("/proc/uptime");
    json!({
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "up_s": up.split('.').next(),
        "load": read("/proc/loadavg"),
        "memory": read("/proc/meminfo").lines().take(3).collect::<Vec<_>>(),
    })
}

fn of_machine(machine: &Machine) -> Value {
    json!({
        "listen": machine.listen.to_string(),
        "http": machine.http.map(|it| it.to_string()),
        "certificate_brought": machine.certificate.is_some(),
        "clock": format!("{:?}", machine.clock),
        "keep": format!("{:?}", machine.keep),
    })
}

/// The store, file by file.
fn files(state: &Path) -> Value {
    match store::stats(state) {
        Ok(reports) => reports.iter().map(|it| json!({
            "name": it.name, "bytes": it.bytes, "readings": it.readings, "spooled": it.spooled,
            "chunks": it.chunks, "set_aside": it.set_aside, "damages": it.damages,
        })).collect(),
        Err(error) => json!(crate::chain(&error)),
    }
}

/// Of `site.toml` its form: every key, and the values that nobody has made up.
fn configuration(text: &str, words: &mut Words) -> Value {
    match text.parse::<toml::Table>() {
        Ok(table) => table
            .into_iter()
            .map(|(key, value)| {
                let value = plain(&key, value, words);
                (key_of(key, words), value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Err(error) => json!({ "mistake": error.message() }),
    }
}

fn plain(key: &str, value: Toml, words: &mut Words) -> Value {
    match value {
        _ if HIDDEN.contains(&key) => json!("(left out)"),
        Toml::String(text) if KEPT.contains(&key) => json!(without_login(&text)),
        // A sensor's address may be its friendly name, or a topic with one.
        Toml::String(text) if key == "address" && is_number(&text) => json!(text),
        Toml::String(text) if uuid::Uuid::try_parse(&text).is_ok() => json!(text),
        Toml::String(text) => json!(words.word(key, &text)),
        Toml::Integer(number) => json!(number),
        Toml::Float(number) => json!(number),
        Toml::Boolean(is) => json!(is),
        Toml::Datetime(at) => json!(at.to_string()),
        Toml::Array(all) => all.into_iter().map(|it| plain(key, it, words)).collect(),
        Toml::Table(table) => table
            .into_iter()
            .map(|(key, value)| {
                let value = plain(&key, value, words);
                (key_of(key, words), value)
            })
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// Hex digits, in groups or not.
fn is_number(text: &str) -> bool {
    text.chars().all(|it| it.is_ascii_hexdigit() || it == '-')
}

/// A key of the configuration: ours are of small letters, and another may be somebody's name.
fn key_of(key: String, words: &mut Words) -> String {
    let is_ours = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    if key.chars().all(is_ours) { key } else { words.word("key", &key) }
}

/// `tcp://kari:secret@10.0.4.2:10001` is `tcp://10.0.4.2:10001`.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
        None => url.to_owned(),
    }
}

/// Keys whose values are the trade's and no person's.
const KEPT: [&str; 13] = [
    "kind",
    "medium",
    "profile",
    "parity",
    "mode",
    "time_zone",
    "secondary",
    "serial",
    "listen",
    "plain",
    "port",
    "receiver",
    "source",
];

/// Where the building is, and whom to ask there.
const HIDDEN: [&str; 3] = ["coordinates", "contact", "consent"];

fn of_daemon(handles: &Handles) -> Value {
    let status = handles.status.borrow().clone();
    let live = handles.live.borrow().clone();
    let site = handles.site.borrow().clone();
    let millis = |it: Option<std::time::Duration>| it.map(|it| it.as_millis());
    let trouble = |it: &web_ui::Trouble| json!({ "code": it.code.as_str(), "text": it.text });
    let buses = status.buses.iter().map(|bus| {
        let findings = bus.health.iter().flat_map(|health| &health.findings);
        json!({
            "bus": bus.id,
            "state": bus.state.as_str(),
            "answered": bus.answered,
            "failed": bus.failed,
            "median_ms": millis(bus.median),
            "p95_ms": millis(bus.p95),
            "round_ms": millis(bus.round),
            "last_error": bus.last_error.as_ref().map(|(at, it)| json!([time(*at), trouble(it)])),
            "findings": findings.map(|it| json!({
                "code": it.code, "meter": it.meter.map(|it| it.to_string()),
                "count": it.count, "of": it.of, "since": it.since.map(time),
            })).collect::<Vec<_>>(),
            "meters": bus.health.iter().flat_map(|it| &it.meters).map(|it| json!({
                "meter": it.meter.to_string(),
                "counts": it.counts.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect::<Map<_, _>>(),
                "median_ms": millis(it.median), "p95_ms": millis(it.p95),
                "silent_since": it.silent_since.map(time), "silent_times": it.silent_times,
            })).collect::<Vec<_>>(),
        })
    });
    let meters = site.meters.iter().map(|meter| {
        let live = live.meters.get(&meter.id);
        json!({
            "meter": meter.id.to_string(),
            "bus": meter.bus,
            "address": meter.address,
            "medium": meter.medium.map(|it| format!("{it:?}")),
            "profile": meter.profile,
            "poll_every_s": meter.poll_every.as_secs(),
            "state": live.map(|it| it.state.as_str()),
            "absent": live.and_then(|it| it.absent).map(metering::NoReading::as_str),
            "error": live.and_then(|it| it.error.as_ref()).map(trouble),
            "last_answer": live.and_then(|it| it.last_answer).map(time),
            "registers": live.map(|it| it.values.iter().map(|it| json!({
                "register": it.register.to_string(),
                "absent": it.value.as_ref().err().map(|it| it.as_str()),
            })).collect::<Vec<_>>()),
        })
    });
    let mistakes = site.config_problem.iter().flat_map(|it| &it.mistakes);
    let sync = status.sync.as_ref();
    json!({
        "started_at": time(status.started_at),
        "clock": format!("{:?}", status.trust),
        "gateway": site.gateway.to_string(),
        "configuration_version": site.version,
        "commissioning": site.commissioning,
        "mistakes": mistakes.map(|it| json!([it.line, it.advice])).collect::<Vec<_>>(),
        "wrong_profiles": site.wrong_profiles.iter().map(|it| json!([it.line, it.advice])).collect::<Vec<_>>(),
        "store": {
            "stored": status.store.stored, "waiting": status.store.waiting,
            "disk_free": status.store.disk_free, "disk_size": status.store.disk_size,
            "trouble": status.store.trouble,
        },
        "sync": sync.map(|it| json!({
            "enrolled": it.enrolled, "acked": it.acked, "head": it.head, "parked": it.parked,
            "last_contact": it.last_contact.map(time), "last_error": it.last_error,
            "month_bytes": it.month.map(|it| [it.sync_bytes, it.probe_bytes]),
            "saves_until": it.saves_until.map(time),
        })),
        "batteries": status.batteries.iter().map(|(meter, it)| {
            json!([meter.to_string(), it.sign.as_str(), time(it.since)])
        }).collect::<Vec<_>>(),
        "buses": buses.collect::<Vec<_>>(),
        "meters": meters.collect::<Vec<_>>(),
    })
}

/// What happened, without what people wrote.
async fn events(handles: &Handles) -> Value {
    let events = handles.readers.events(u64::MAX, MOST_EVENTS).await.unwrap_or_default();
    let ms = |ms: i64| DateTime::from_timestamp_millis(ms).map(time);
    let told = events.iter().map(|(_, it)| {
        json!({ "code": it.code, "from": ms(it.from_ms), "until": it.until_ms.map(ms), "of": it.subject })
    });
    told.collect()
}

/// How often what was done; who did it is nobody's business.
async fn audit(handles: &Handles, words: &mut Words) -> Value {
    let log = handles.core.audit_log(None, MOST_AUDIT).await.unwrap_or_default();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in &log {
        *counts.entry(&entry.what).or_default() += 1;
        // Somebody who is no user any more.
        words.person(&entry.who);
    }
    json!(counts)
}

/// What must not stand in a text, and what stands there instead.
#[derive(Debug, Default)]
struct Words {
    /// By what it is, in small letters.
    replaced: BTreeMap<String, String>,
    counts: BTreeMap<String, u32>,
}

impl Words {
    /// What stands for `text`, a value of `key`; the same each time.
    fn word(&mut self, key: &str, text: &str) -> String {
        let small = small(text);
        if small.trim().is_empty() {
            return String::new();
        }
        if let Some(word) = self.replaced.get(&small) {
            return word.clone();
        }
        let count = self.counts.entry(key.to_owned()).or_default();
        *count += 1;
        let word = format!("({key} {count})");
        self.replaced.insert(small, word.clone());
        word
    }

    /// The whole name and each part of it.
    fn person(&mut self, name: &str) {
        if ["gateway", "clock", "console"].contains(&name) {
            return;
        }
        self.word("person", name);
        for part in name.split(|it: char| !it.is_alphanumeric()) {
            if part.chars().count() >= SHORTEST_PART {
                self.word("person", part);
            }
        }
    }

    fn site(&mut self, site: &web_ui::Site) {
        self.word("name", &site.name);
        for bus in &site.buses {
            self.word("name", &bus.name);
            self.word("id", &bus.id);
        }
        for meter in &site.meters {
            self.word("name", &meter.name);
            for word in meter.place.iter().chain(&meter.tags) {
                self.word("place", word);
            }
        }
        self.word("place", site.place.as_deref().unwrap_or_default());
    }

    /// Each line of each file of `folder` that is a text.
    fn secrets_of(&mut self, folder: &Path) {
        let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() && entry.file_name() != "gateway-id" {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    for line in text.lines().filter(|it| it.len() >= SHORTEST_SECRET) {
                        self.replaced.insert(small(line), SECRET.to_owned());
                    }
                }
            }
        }
    }

    /// Of every text in `value`, and of every name of a key that people have made up.
    fn scrub(&self, value: &mut Value) {
        // The longest first: `Vaskekjeller, plugg` before `Vaskekjeller`.
        let mut words: Vec<(&str, &str)> =
            self.replaced.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        words.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        scrub(value, &words);
    }
}

fn scrub(value: &mut Value, words: &[(&str, &str)]) {
    match value {
        Value::String(text) => *text = scrubbed(text, words),
        Value::Array(all) => all.iter_mut().for_each(|it| scrub(it, words)),
        Value::Object(all) => all.values_mut().for_each(|it| scrub(it, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// In small letters, as many as there were.
fn small(text: &str) -> String {
    text.chars().map(|it| it.to_lowercase().next().unwrap_or(it)).collect()
}

fn scrubbed(text: &str, words: &[(&str, &str)]) -> String {
    // What already stands for something.
    let is_ours = words.iter().any(|(_, to)| *to == text);
    if is_ours || uuid::Uuid::try_parse(text).is_ok() {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let small: Vec<char> = small(text).chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let is_part = |it: Option<&char>| it.is_some_and(|it| it.is_alphanumeric());
    'text: while let Some(letter) = letters.get(at) {
        let begins = at == 0 || !is_part(small.get(at - 1));
        for (from, to) in words.iter().filter(|_| begins) {
            let length = from.chars().count();
            let here = small.get(at..at + length);
            let same = here.is_some_and(|here| here.iter().copied().eq(from.chars()));
            // `Karis telefon` is of Kari, `Limit` of nobody called Li.
            if same && (length > SHORTEST_PART || !is_part(small.get(at + length))) {
                out.push_str(to);
                at += length;
                continue 'text;
            }
        }
        out.push(*letter);
        at += 1;
    }
    without_keys(&out)
}

/// Runs of letters and digits that are as long as a key and no word of any language.
fn without_keys(text: &str) -> String {
    let is_key = |it: char| it.is_ascii_alphanumeric() || "+/=_".contains(it);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|it| !is_key(it)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let digits = run.chars().any(|it| it.is_ascii_digit());
        out.push_str(if run.len() >= LONGEST_WORD && digits { SECRET } else { run });
        let next = after.chars().next();
        out.extend(next);
        rest = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    out
}

const SECRET: &str = "(secret)";

/// `Li` is a name, and a part of half of all words.
const SHORTEST_PART: usize = 3;
const SHORTEST_SECRET: usize = 6;
/// A key of 128 bits has 32 hex digits, or 22 of base64.
const LONGEST_WORD: usize = 22;

const MOST_EVENTS: u32 = 300;
const MOST_AUDIT: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::keys::Keys;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut words = Words::default();
        words.person("Kari Moen");
        words.person("Li");
        words.word("name", "Vaskekjeller, plugg");
        words.word("name", "Vaskekjeller");
        let mut value = json!([{ "text": text }]);
        words.scrub(&mut value);
        assert_eq!(value[0]["text"], expected);
    }

    #[test]
    fn what_people_are_called_and_what_looks_like_a_key_goes() {
        check("KARI has asked", "(person 2) has asked");
        check("Karis telefon, Moens hus", "(person 2)s telefon, (person 3)s hus");
        check("Limit of Li", "Limit of (person 4)");
        check("Vaskekjeller, plugg: silent", "(name 1): silent");
        check("Vaskekjeller: silent", "(name 2): silent");
        check("key 00112233445566778899AABBCCDDEEFF is wrong", "key (secret) is wrong");
        check("019a8f3e-7c52-7b3e-9d41-000000000001", "019a8f3e-7c52-7b3e-9d41-000000000001");
        check("serial:///dev/serial/by-path/pci-0000", "serial:///dev/serial/by-path/pci-0000");
        check("uncharacteristically long", "uncharacteristically long");
    }

    const SITE: &str = r#"
[site]
id = "019a8f3e-7c52-7b3e-9d41-0000000000aa"
name = "Kvernhusgata 4"
place = "Trondheim"
time_zone = "Europe/Oslo"
coordinates = [63.4305, 10.3951]

[[bus]]
id = "stigen"
kind = "mbus"
port = "tcp://vaktmester:hemmelig99@10.0.4.2:10001"
baud = 2400

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-000000000001"
name = "Leilighet Hansen"
bus = "stigen"
address = 5
serial = "67001122"
tags = ["Ola Nordmann"]

[[publish]]
to = "tls://hus.example:8883"
user = "fyrhus-hus"
password_file = "/etc/fyrhus/hus.password"
"#;

    #[tokio::test]
    async fn no_secret_and_no_name_is_in_it_and_what_helps_is() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path();
        drop(Keys::open(dir, &SystemClock::new()).unwrap());
        fs::create_dir(dir.join("keys/meters")).unwrap();
        fs::write(dir.join("keys/meters/67001122"), "000102030405060708090a0b0c0d0e0f\n").unwrap();
        fs::write(dir.join("site.toml"), SITE).unwrap();
        let clock = store::testing::FixedClock::at(1_795_000_000_000);
        store::testing::open(dir, &clock).unwrap().0.close().unwrap();
        let machine = Machine::fallback(dir);
        let told = made(&machine, None, "2026-11-22T12:00:00Z".parse().unwrap()).await;
        for secret in [
            "Kvernhusgata",
            "Trondheim",
            "63.43",
            "stigen",
            "hemmelig",
            "vaktmester",
            "Hansen",
            "Nordmann",
            "hus.example",
            "fyrhus-hus",
            "/etc/fyrhus",
            "0001020304",
            "PRIVATE",
        ] {
            assert!(!told.to_lowercase().contains(&secret.to_lowercase()), "{secret}:\n{told}");
        }
        for folder in [dir.join("keys"), dir.join("keys/meters")] {
            for file in fs::read_dir(folder).unwrap() {
                let file = file.unwrap();
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                let is_secret = file.file_name() != "gateway-id";
                for line in text.lines().filter(|_| is_secret) {
                    assert!(!told.contains(line), "{line} of {file:?}");
                }
            }
        }
        let told: Value = serde_json::from_str(&told).unwrap();
        let bus = &told["configuration"]["bus"][0];
        assert_eq!((&bus["kind"], &bus["baud"]), (&json!("mbus"), &json!(2400)));
        assert_eq!(bus["port"], "tcp://10.0.4.2:10001");
        let meter = &told["configuration"]["meter"][0];
        assert_eq!((&meter["bus"], &meter["serial"]), (&bus["id"], &json!("67001122")));
        assert!(told["files"].as_array().unwrap().iter().any(|it| it["name"] == "core.db"));
    }
}
