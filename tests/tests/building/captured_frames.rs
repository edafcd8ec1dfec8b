//! What real meters once said on a wire, read by the whole gateway: every captured frame is served
//! on a bus of its own over TCP, polled by the running daemon through its ordinary configuration,
//! and compared with what the frame is known to say, on the API and in the store.
//!
//! The truth was adjudicated by hand and by other decoders. From it to what the gateway has to show
//! leads the table of `drivers/src/mbus/record.rs`, which is written here once more, in other
//! words: a unit that is only shifted, and a name of the parts of a record.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]
#![expect(clippy::print_stdout, reason = "counts and what was skipped are for the reader")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use drivers::Profiles;
use serde_json::Value;
use site_tests::gateway::{Gateway, Home};
use site_tests::process::Program;

#[tokio::test]
async fn the_gateway_shows_of_every_captured_frame_what_it_is_known_to_say() {
    let Some(corpus) = site_tests::corpus::folder("captured_frames") else { return };
    let corpus = corpus.join("mbus");
    let frames = frames(&corpus);
    let home = Home::new().unwrap();
    let _replays = serve(&corpus, &frames, &home);
    let gateway = home.start().await.unwrap();
    let all_asked = |meters: &Value| list(meters).iter().all(|meter| meter["state"] != "new");
    gateway.until("every frame was asked for", "meters", all_asked).await.unwrap();
    let all_stored = |buses: &Value| list(buses).iter().all(|bus| !bus["round_ms"].is_null());
    gateway.until("every round is over", "buses", all_stored).await.unwrap();

    let mut account = Account::default();
    for frame in &frames {
        account.compare(frame, &gateway).await;
    }
    account.report();

    // The names that meters give to their registers are read back from the store.
    drop(gateway);
    home.start().await.unwrap();
}

/// A captured frame and what it is known to say.
struct Frame {
    /// `good`, `errors` or `unsupported`.
    class: String,
    name: String,
    /// Its digits.
    hex: String,
    truth: Value,
    /// Of its meter in `site.toml`.
    id: String,
}

fn frames(corpus: &Path) -> Vec<Frame> {
    let truth = std::fs::read_to_string(corpus.join("truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let mut frames = Vec::new();
    for (class, folder) in [("good", ""), ("errors", "errors"), ("unsupported", "unsupported")] {
        for (name, truth) in truth[class].as_object().unwrap() {
            let file = corpus.join("frames").join(folder).join(format!("{name}.hex"));
            frames.push(Frame {
                class: class.to_owned(),
                name: name.clone(),
                hex: std::fs::read_to_string(file).unwrap(),
                truth: truth.clone(),
                id: format!("019a8f3e-7c52-7b3e-9d41-{:012x}", frames.len()),
            });
        }
    }
    frames
}

impl Frame {
    fn is_a_meters(&self) -> bool {
        let control = self.truth["link"]["control"].as_u64().unwrap_or(0);
        control & 0x4F == 0x08
    }

    /// How `site.toml` says whom to ask: by the address as captured, or by the whole address where
    /// the captured one is that of any selected meter.
    fn asked_by(&self) -> String {
        match self.truth["link"]["address"].as_u64() {
            Some(address @ 0..=250) => format!("address = {address}"),
            Some(253) => {
                let header = &self.truth["header"];
                let (id, maker) = (text(&header["id"]), text(&header["manufacturer"]));
                let byte = |key: &str| header[key].as_u64().unwrap();
                let (version, medium) = (byte("version"), byte("medium"));
                format!("secondary = \"{id}{maker}{version:02X}{medium:02X}\"")
            }
            _ => "address = 1".to_owned(),
        }
    }

    fn records(&self) -> &[Value] {
        list(&self.truth["records"])
    }
}

/// Puts every frame on a port, and writes the configuration by which `home` reads them all.
fn serve(corpus: &Path, frames: &[Frame], home: &Home) -> Program {
    let (by_meters, by_others): (Vec<_>, Vec<_>) = frames.iter().partition(|it| it.is_a_meters());
    let files = by_meters.iter().map(|frame| {
        let folder = if frame.class == "good" { "" } else { &frame.class };
        corpus.join("frames").join(folder).join(format!("{}.hex", frame.name)).into_os_string()
    });
    let log = home.folder().join("replay.log");
    let arguments = std::iter::once("replay".into()).chain(files);
    let mut replays = Program::start("meter-sim", arguments, &log).unwrap();
    let served = replays.json_line(std::time::Duration::from_mins(1)).unwrap();
    let served = list(&served["replays"]).iter().map(|it| it["port"].as_u64().unwrap());
    let served: Vec<_> = by_meters.iter().copied().zip(served).collect();

    // What no meter can say, a line may still carry.
    let babbled = by_others.into_iter().map(|frame| (frame, u64::from(babble(&frame.hex))));

    let sections = served.into_iter().chain(babbled).map(|(frame, port)| {
        let Frame { id, name, .. } = frame;
        let (_, bus) = id.rsplit_once('-').unwrap();
        let asked_by = frame.asked_by();
        format!(
            "[[bus]]\nid = \"{bus}\"\nkind = \"mbus\"\nport = \"tcp://127.0.0.1:{port}\"\n\
             poll_every_secs = 86400\n[[meter]]\nid = \"{id}\"\nname = \"{name}\"\nbus = \"{bus}\"\n\
             {asked_by}\n"
        )
    });
    let site = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"Museum\"\n";
    let site: String = std::iter::once(site.to_owned()).chain(sections).collect();
    std::fs::write(home.site(), site).unwrap();
    replays
}

/// A line on which any question is followed by the bytes of `hex`, as far as they are whole.
fn babble(hex: &str) -> u16 {
    let pairs = hex.split_whitespace().filter(|pair| pair.len() == 2);
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut master in listener.incoming().map_while(Result::ok) {
            let mut question = [0; 64];
            // Reset and selection are acknowledged: it comes to the question for data.
            while let Ok(1..) = master.read(&mut question) {
                let asks_for_data = matches!(question, [0x10, 0x5B | 0x7B, ..]);
                let answer: &[u8] = if asks_for_data { &bytes } else { &[0xE5] };
                if master.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// What was compared.
#[derive(Default)]
struct Account {
    frames: usize,
    /// Valid numbers that truth has.
    numbers: usize,
    /// Those of them that the gateway shows.
    found: usize,
    /// Those that say what the device is, and are no readings.
    of_the_device: BTreeMap<String, usize>,
    missing: Vec<String>,
    wrong: Vec<String>,
}

impl Account {
    async fn compare(&mut self, frame: &Frame, gateway: &Gateway) {
        self.frames += 1;
        let meter = gateway.get(&format!("meters/{}", frame.id)).await.unwrap();
        let claims = list(&meter["registers"]);
        self.compare_identity(frame, &meter);
        self.compare_state(frame, &meter);

        let known = by_profile(known_numbers(frame), meter["profile"].as_str());
        let mut unclaimed: BTreeSet<&str> = known
            .iter()
            .filter(|(_, record)| record["valid"] == true)
            .map(|(name, _)| name.as_str())
            .collect();
        self.numbers += unclaimed.len();
        for claim in claims {
            let register = text(&claim["register"]);
            let right = match known.get(register) {
                Some(record) if record["valid"] == true => says(claim, record),
                Some(_) => claim["reason"] == "invalid",
                // Who says nothing has no registers, and this for the absence to stand on.
                None if register == "answer" => claim["value"].is_null(),
                // A register of the meter's profile that this frame has not.
                None => claim["reason"] == "left_out",
            };
            if right {
                self.found += usize::from(unclaimed.remove(register));
            } else {
                let known = known.get(register).map(|record| shown_truth(record));
                self.wrong.push(format!("{}: {claim}, but truth has {known:?}", frame.name));
            }
            self.compare_stored(frame, claim, gateway).await;
        }

        for name in unclaimed {
            let quantity = text(&known[name]["quantity"]);
            if OF_THE_DEVICE.contains(&quantity) {
                *self.of_the_device.entry(quantity.to_owned()).or_default() += 1;
            } else {
                let record = shown_truth(known[name]);
                self.missing.push(format!("{}: {name} {record}", frame.name));
            }
        }
    }

    fn compare_identity(&mut self, frame: &Frame, meter: &Value) {
        let header = &frame.truth["header"];
        let told = &meter["identity"];
        if header.is_null() || told.is_null() {
            // Who said nothing that can be read is nobody; who is nobody claims nothing.
            if header.is_null() != told.is_null() {
                self.wrong.push(format!("{}: {told} instead of {header}", frame.name));
            }
            return;
        }
        let version = header["version"].as_u64().map(|version| format!("{version:02X}"));
        let expected = [
            text(&header["id"]),
            header["manufacturer"].as_str().unwrap_or_default(),
            version.as_deref().unwrap_or_default(),
        ];
        let found = ["serial", "manufacturer", "version"].map(|key| text(&told[key]));
        if found != expected {
            self.wrong.push(format!("{}: {found:?} instead of {expected:?}", frame.name));
        }
    }

    /// A frame without anything to read is a meter without an answer, and says why.
    fn compare_state(&mut self, frame: &Frame, meter: &Value) {
        let readable = frame.truth["ok"] == true && frame.truth["application_error"].is_null()
            || !frame.records().is_empty();
        let (state, reason) = (text(&meter["state"]), meter["reason"].as_str());
        let right = match (readable, reason) {
            (true, None) => state == "ok",
            (false, Some("garbled")) => state == "silent" && meter["error"]["text"].is_string(),
            (false, Some("refused")) => !frame.truth["application_error"].is_null(),
            _ => false,
        };
        if !right {
            let (name, error) = (&frame.name, &meter["error"]);
            self.wrong.push(format!("{name}: {state}, {reason:?}, {error}"));
        }
    }

    /// What is shown is stored, with the same digits.
    async fn compare_stored(&mut self, frame: &Frame, claim: &Value, gateway: &Gateway) {
        let stored = gateway.readings(&frame.id, text(&claim["register"])).await;
        let stored = match stored.as_deref() {
            Ok([stored]) => stored,
            stored => {
                self.wrong.push(format!("{}: shown {claim}, stored {stored:?}", frame.name));
                return;
            }
        };
        let kept = claim["value"] == stored["value"] && claim["reason"] == stored["reason"];
        let unit = claim["value"].is_null() || claim["unit"] == stored["unit"];
        if !kept || !unit {
            self.wrong.push(format!("{}: shown {claim}, stored {stored}", frame.name));
        }
    }

    fn report(&self) {
        let Self { frames, numbers, found, of_the_device, missing, wrong } = self;
        let percent = |part: usize| {
            let thousandths = 1_000 * part / numbers;
            format!("{}.{} %", thousandths / 10, thousandths % 10)
        };
        let described: usize = of_the_device.values().sum();
        println!("{frames} frames, {numbers} valid numbers in them");
        println!("  {found} shown and stored ({})", percent(*found));
        println!(
            "  {described} that describe the device ({}): {of_the_device:?}",
            percent(described)
        );
        println!("  {} missing, {} wrong", missing.len(), wrong.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }
}

/// Quantities that tell what a device is: no readings, but part of what is known of it.
const OF_THE_DEVICE: [&str; 6] = [
    "customer_location",
    "fabrication_number",
    "firmware_version",
    "hardware_version",
    "model_version",
    "software_version",
];

fn is_number(record: &Value) -> bool {
    ["integer", "unsigned", "bits", "bcd", "real32"].contains(&text(&record["type"]))
}

/// The numbers of a frame by the names that the gateway has to give them: of several records of one
/// name the second is `_n2`.
fn known_numbers(frame: &Frame) -> BTreeMap<String, &Value> {
    let medium = frame.truth["header"]["medium"].as_u64().unwrap_or(0);
    let mut known = BTreeMap::new();
    let mut likes: BTreeMap<String, usize> = BTreeMap::new();
    for record in frame.records().iter().filter(|record| is_number(record)) {
        let name = register_of(record, medium);
        let nth = likes.entry(name.clone()).or_default();
        *nth += 1;
        let name = if *nth == 1 { name } else { format!("{name}_n{nth}") };
        known.insert(name, record);
    }
    known
}

/// The same numbers, by the names that the profile of the meter gives to some of them.
fn by_profile<'r>(
    known: BTreeMap<String, &'r Value>,
    profile: Option<&str>,
) -> BTreeMap<String, &'r Value> {
    let profiles = Profiles::embedded();
    let profile = profile.and_then(|id| profiles.get(id));
    let named: BTreeMap<String, String> = profile
        .iter()
        .flat_map(|profile| profile.registers())
        .filter_map(|spec| Some((spec.record()?.to_string(), spec.register.to_string())))
        .collect();
    let name = |own: String| named.get(&own).cloned().unwrap_or(own);
    known.into_iter().map(|(own, record)| (name(own), record)).collect()
}

/// The name that the gateway gives to what `record` says.
fn register_of(record: &Value, medium: u64) -> String {
    let number = |key: &str| record[key].as_u64().unwrap();
    let mut parts = vec![match text(&record["quantity"]) {
        "unknown" => format!("vif_{}", text(&record["vib"]).to_lowercase()),
        quantity => quantity.to_owned(),
    }];
    let mut role = Vec::new();
    if record["quantity"] == "plain_text" {
        role.push(words(text(&record["unit"])));
    }
    for modifier in list(&record["modifiers"]) {
        match text(modifier) {
            "positive_only" if medium == ELECTRICITY => parts.push("import".to_owned()),
            "negative_only" if medium == ELECTRICITY => parts.push("export".to_owned()),
            // In the number already, or says that nothing is wrong with it.
            other if other.starts_with("factor:") || other == "record_error:none" => {}
            other => role.push(words(other)),
        }
    }
    for (key, letter) in [("tariff", 't'), ("storage", 's')] {
        if number(key) > 0 {
            parts.push(format!("{letter}{}", number(key)));
        }
    }
    let functions = [("maximum", "max"), ("minimum", "min"), ("error", "error")];
    let function = functions.iter().find(|it| record["function"] == it.0);
    parts.extend(function.map(|it| it.1.to_owned()));
    if number("subunit") > 0 {
        role.push(format!("subunit_{}", number("subunit")));
    }
    // What no name has room for is told by its bytes.
    let words = |parts: &[String]| parts.join("_");
    if words(&parts).len() + 1 + words(&role).len() > 64 {
        role = vec![format!("vif_{:02x}", vif(record) & 0x7F)];
    }
    parts.append(&mut role);
    words(&parts)
}

/// The first byte of the VIF.
fn vif(record: &Value) -> u8 {
    let hex = text(&record["vib"]).get(..2).unwrap();
    u8::from_str_radix(hex, 16).unwrap()
}

const ELECTRICITY: u64 = 2;

fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|it: char| !it.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// Whether `claim` is what `record` says: the same digits, at the meter's own resolution, in a unit
/// that differs by the place of the point alone.
fn says(claim: &Value, record: &Value) -> bool {
    let decimals = i32::try_from(claim["decimals"].as_i64().unwrap()).unwrap();
    let Some(tens) = tens(text(&claim["unit"]), record["unit"].as_str()) else { return false };
    let exponent = i32::try_from(record["exponent"].as_i64().unwrap()).unwrap();
    let is_float = record["type"] == "real32";
    let resolved = is_float || decimals == tens - exponent;
    resolved
        && shifted(text(&record["value"]), tens, decimals, is_float).as_deref()
            == claim["value"].as_str()
}

/// By how many tens the gateway's unit is larger than that of the truth.
fn tens(unit: &str, of_truth: Option<&str>) -> Option<i32> {
    let Some(of_truth) = of_truth else { return (unit == "1").then_some(0) };
    if of_truth.replace(' ', "") == unit {
        return Some(0);
    }
    let known = [
        ("kWh", "Wh", 3),
        ("MWh", "Wh", 6),
        ("GJ", "J", 9),
        ("kW", "W", 3),
        ("MW", "W", 6),
        ("GJ/h", "J/h", 9),
        ("t", "kg", 3),
        ("kvarh", "varh", 3),
        ("kVAh", "VAh", 3),
        ("kvar", "var", 3),
        ("kVA", "VA", 3),
        // What a profile knows better: a reactive subunit, and a unit in the meter's own words.
        ("kvarh", "Wh", 3),
        ("kvar", "W", 3),
        ("%", "%RH", 0),
    ];
    known.iter().find(|it| (it.0, it.1) == (unit, of_truth)).map(|it| it.2)
}

/// `number` with its point moved `tens` places to the left, written with `decimals` digits behind
/// it. What has more of them is rounded, a half away from zero, or is `None` if it must not be.
fn shifted(number: &str, tens: i32, decimals: i32, round: bool) -> Option<String> {
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", number),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = format!("{whole}{part}");
    let behind = i32::try_from(part.len()).unwrap() + tens;
    if behind <= decimals {
        digits += &"0".repeat(usize::try_from(decimals - behind).unwrap());
    } else {
        let more = usize::try_from(behind - decimals).unwrap();
        digits = format!("{digits:0>width$}", width = more + 1);
        let cut = digits.split_off(digits.len() - more);
        if !round && cut.bytes().any(|it| it != b'0') {
            return None;
        }
        let up = cut.as_bytes()[0] >= b'5';
        digits = (digits.parse::<u128>().unwrap() + u128::from(up)).to_string();
    }
    let digits = digits.trim_start_matches('0');
    let sign = if digits.is_empty() { "" } else { sign };
    let places = usize::try_from(decimals.abs()).unwrap();
    if decimals <= 0 {
        let zeros = if digits.is_empty() { 0 } else { places };
        return Some(format!("{sign}{digits:0>1}{}", "0".repeat(zeros)));
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    Some(format!("{sign}{whole}.{part}"))
}

#[test]
fn a_number_is_shifted_by_its_digits() {
    let check = |number, tens, decimals, round, expected: Option<&str>| {
        assert_eq!(shifted(number, tens, decimals, round).as_deref(), expected, "{number}");
    };
    check("12345", 3, 0, false, None);
    check("12345000", 3, 0, false, Some("12345"));
    check("12345000", 3, 2, false, Some("12345.00"));
    check("123", 3, 3, false, Some("0.123"));
    check("-0.5", 0, 1, false, Some("-0.5"));
    check("120000", 3, -1, false, Some("120"));
    check("0", 3, -1, false, Some("0"));
    check("41.73743438720703125", 0, 3, true, Some("41.737"));
    check("-0.0005", 0, 3, true, Some("-0.001"));
    check("-0.0004", 0, 3, true, Some("0.000"));
}

fn shown_truth(record: &Value) -> String {
    let unit = record["unit"].as_str().unwrap_or_default();
    format!("{} {unit} (10^{})", text(&record["value"]), record["exponent"])
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
