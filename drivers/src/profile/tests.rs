//! Every embedded profile loads and does what its vectors say; what is wrong in one is told.

use super::*;

#[test]
fn every_embedded_profile_loads_and_does_what_its_vectors_say() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for name in Embedded::iter().filter(|name| has_profile_name(Path::new(name.as_ref()))) {
        let file = Embedded::get(&name).unwrap();
        let text = str::from_utf8(&file.data).unwrap();
        let frame = |name: &str| {
            let file = Embedded::get(name)?;
            Some(String::from_utf8(file.data.into_owned()).unwrap())
        };
        let mistakes = match Profile::parse(text) {
            Ok(profile) => {
                assert_eq!(*name, format!("{}.toml", profile.id.replace('.', "-")));
                vector::failures(&profile, frame)
            }
            Err(mistakes) => mistakes,
        };
        wrong.extend(mistakes.iter().map(|mistake| format!("{name}, {mistake}")));
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(Profiles::embedded().iter().count(), count, "two have the same id");
}

/// `UPDATE=1 cargo test -p drivers` rewrites it.
#[test]
fn the_manual_lists_every_profile() {
    const BEGIN: &str = "<!-- printed from drivers/profiles -->\n\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/docs/operator/meters.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (above, listed) = manual.split_once(BEGIN).expect("the mark above the table");
    let profiles = Profiles::embedded();
    let tried = profiles.iter().any(|profile| profile.status == Status::Hardware);
    assert_eq!(above.contains("**None of these has been tried on the meter itself yet.**"), !tried);
    let table = profiles.table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{above}{BEGIN}{table}")).unwrap();
    } else {
        assert_eq!(listed, table, "UPDATE=1 cargo test -p drivers rewrites {}", path.display());
    }
}

#[test]
fn no_meter_fits_two_embedded_profiles() {
    let profiles = Profiles::embedded();
    let all: Vec<_> = profiles.iter().collect();
    for (index, profile) in all.iter().enumerate() {
        for other in all.iter().skip(index + 1) {
            assert!(!profile.meets(other), "{} and {} fit the same meter", profile.id, other.id);
        }
    }
}

#[test]
fn every_embedded_profile_says_where_it_is_from() {
    for profile in Profiles::embedded().iter() {
        assert!(!profile.source.trim().is_empty(), "{} has no source", profile.id);
    }
}

const GOOD: &str = r#"
schema = 1
id = "example.meter"
vendor = "Example"
models = ["M1"]
medium = "electricity"
status = "document"
source = "its manual"

[modbus]
function = "input"
max_registers = 10
gap = { allow = true, max = 4 }

[[register]]
key = "energy_import_total"
quantity = "energy"
direction = "import"
phase = "total"
unit = "kWh"
kind = "counter"
modulus = "1e8"
# nine digits, one of them behind the point
[register.modbus]
address = 0x42
type = "i32"
scale = "0.1"
word_order = "lsw"
[register.invalid]
raw = ["0x7FFF_0000..0x7FFF_FFFF"]
[register.plausible]
min = 0
max_rate_per_hour = 100

[[register]]
key = "alarm_flow"
quantity = "alarm"
role = "flow"
kind = "flag"
[register.modbus]
address = 0x10
type = "u16"
bit = 3

[[vector]]
read = [{ function = "input", address = 0x42, words = ["0x86A0", "0x0001"] }]
expect = { energy_import_total = "10000.0" }
"#;

#[test]
fn the_format_is_read_as_it_is_documented() {
    let profile = Profile::parse(GOOD).unwrap();
    let specs: Vec<&RegisterSpec> = profile.registers().collect();
    assert_eq!(specs[0].register.to_string(), "energy_import_total");
    assert_eq!(specs[0].modulus.unwrap().to_string(), "100000000 kWh");
    assert_eq!(specs[0].plausible.max_rate_per_hour.unwrap().to_string(), "100 kWh");
    assert_eq!(specs[1].kind, Kind::Flag);
    assert_eq!(vector::failures(&profile, |_| None), []);
    assert_eq!(profile.wires(), ["Modbus"]);
}

/// Puts `new` in the place of `old` and expects to be told of it.
#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    assert!(GOOD.contains(old), "{old}");
    let mistakes = Profile::parse(&GOOD.replacen(old, new, 1)).unwrap_err();
    assert_eq!(mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn a_mistake_is_told_with_its_line() {
    check(
        "key = \"energy_import_total\"",
        "key = \"energy_total_import\"",
        &[
            "line 16: key = \"energy_total_import\", but its parts make \"energy_import_total\"",
            "line 45: `energy_import_total` is expected, and no register has that key",
        ],
    );
    check("schema = 1", "schema = 2", &["line 2: schema = 2 is not known; write 1"]);
    check(
        "medium = \"electricity\"",
        "medium = \"strom\"",
        &[
            "line 6: `medium`: unknown variant `strom`, expected one of `heat`, `electricity`, `cooling`, \
         `water`, `hot_water`, `gas`, `solar`, `climate`, `other`",
        ],
    );
    check(
        "models = [\"M1\"]\nmedium = \"electricity\"",
        "models = [1]",
        &[
            "line 1: `medium` is missing: a profile begins with what it is of",
            "line 5: `models`: invalid type: integer `1`, expected a string",
        ],
    );
    check(
        "address = 0x42",
        "adress = 0x42",
        &["line 25: unknown field `adress`, expected one of `function`, `address`, `type`, \
         `word_order`, `scale`, `scale_register`, `unit_register`, `bit`, `doc_ref`"],
    );
    check(
        "type = \"i32\"",
        "type = \"f32\"",
        &["line 16: `energy_import_total` is a float on the wire, so its decimals must be given"],
    );
    check(
        "max_registers = 10",
        "max_registers = 1",
        &["line 24: it needs 2 registers in one request, and max_registers is 1"],
    );
    check("bit = 3", "bit = 16", &["line 40: bit = 16 is not in this type: it has 0 to 15"]);
    check("bit = 3", "", &["line 40: a flag is one bit: give it `bit`"]);
    check(
        "bit = 3",
        "bit = 3\nscale_register = { address = 0x30, type = \"i16\", mode = \"pow10\" }",
        &[
            "line 40: it needs 33 registers in one request, and max_registers is 10",
            "line 40: its scale_register is 31 registers away, further than the gap that one \
             request may have; they must be read together",
        ],
    );
    check(
        "raw = [\"0x7FFF_0000..0x7FFF_FFFF\"]",
        "raw = [\"nan\"]",
        &[
            "line 30: `nan` is not a value of the raw words: write 0x7FFF or 0x7FFF_0000..0x7FFF_FFFF",
        ],
    );
    check(
        "scale = \"0.1\"",
        "scale = \"ten\"",
        &["line 24: scale = \"ten\" is not a factor such as 0.1 or 10"],
    );
    check(
        "unit = \"kWh\"",
        "unit = \"kilo watt\"",
        &["line 16: unit = \"kilo watt\" is not a unit such as kWh, m3, C or 1"],
    );
}

/// A meter on an M-Bus, with all that may be said of one.
const MBUS: &str = r#"
schema = 1
id = "example.heat"
vendor = "Example"
models = ["H1"]
medium = "heat"
status = "document"
source = "its manual"

[mbus]
reset = "always"
max_telegrams = 2
min_interval = "15m"
baud = [300, 2400]
because = "its manual, section 4"

[[mbus.identify]]
manufacturer = "EXA"
versions = [0x01, [0x10, 0x1F]]
media = [0x04]

[[mbus.memory]]
storages = [1, 3]
interval = "month"
registers = ["energy"]
date = "date"
taken = "start_of_day"

[[register]]
key = "energy"
quantity = "energy"
unit = "kWh"
kind = "counter"
name = { nb = "Varme", en = "Heat", da = "Varme" }
mbus = { vif = "energy" }

[[register]]
key = "error_flags"
quantity = "error_flags"
kind = "flag"
optional = true
bits = [
  { bit = 0, nb = "Luft", en = "air", da = "Luft" },
  { bit = 4, nb = "Lekkasje", en = "leak", da = "Lækage" },
]
mbus = { vif = "error_flags" }

[[vector]]
frame = "heat.hex"
expect = { energy = "12345", error_flags = "18" }
remembers = { "energy 2026-01-01T00:00" = "11800" }
says = ["leak", "bit 1 is set"]
"#;

/// 12345 kWh now, 11800 at the New Year, and one more value without a date; bits 1 and 4.
const HEAT: &str = "68 2A 2A 68 08 01 72 78 56 34 12 01 17 10 04 01 00 00 00
    04 06 39 30 00 00  44 06 18 2E 00 00  42 6C 41 31  84 01 06 01 00 00 00  01 FD 17 12  92 16";

#[test]
fn a_meter_on_an_mbus_is_known_with_its_quirks_and_its_memory() {
    let profile = Profile::parse(MBUS).unwrap();
    assert_eq!(vector::failures(&profile, |_| Some(HEAT.to_owned())), []);
    let quirks = profile.quirks();
    assert_eq!(quirks.reset, ::mbus::Reset::Always);
    assert_eq!(quirks.max_telegrams, Some(2));
    assert_eq!(quirks.min_interval, Some(Duration::from_mins(15)));
    assert_eq!(quirks.baud, [300, 2400]);
    let memory = &profile.memory()[0];
    assert_eq!((&memory.storages, memory.interval), (&(1..=3), Interval::Month));
    assert_eq!(profile.registers().next().unwrap().name.as_ref().unwrap().nb, "Varme");
}

#[test]
fn a_vector_of_an_mbus_that_lies_is_told() {
    let lies = [
        ("energy = \"12345\"", "energy = \"12346\"", "`energy` is 12345, and 12346 is expected"),
        (
            "T00:00\" = \"11800\"",
            "T00:00\" = \"11801\"",
            "`energy 2026-01-01T00:00` is 11800, and 11801 is expected",
        ),
        (
            "energy 2026-01-01T00:00",
            "energy 2026-01-02T00:00",
            "`energy 2026-01-02T00:00` does not come out of it",
        ),
        (
            "says = [\"leak\", ",
            "says = [\"air\", ",
            "\"air\" is not among what its flags say: [\"2026-01-01\", \"bit 1 is set\", \"leak\"]",
        ),
        (
            "[0x10, 0x1F]",
            "[0x11, 0x1F]",
            "heat.hex: its header is not one that [[mbus.identify]] takes",
        ),
    ];
    for (old, new, advice) in lies {
        let profile = Profile::parse(&MBUS.replacen(old, new, 1)).unwrap();
        let failures = vector::failures(&profile, |_| Some(HEAT.to_owned()));
        assert_eq!(failures.iter().map(|it| it.advice.as_str()).collect::<Vec<_>>(), [advice]);
    }
}

#[test]
fn a_mistake_about_an_mbus_is_told_with_its_line() {
    let wrong = [
        (
            "because = \"its manual, section 4\"",
            "",
            "line 10: what is odd about a meter needs `because`: who saw it, or which document",
        ),
        (
            "max_telegrams = 2",
            "max_telegrams = 0",
            "line 12: max_telegrams = 0 would leave nothing to read",
        ),
        (
            "min_interval = \"15m\"",
            "min_interval = \"15\"",
            "line 13: min_interval = \"15\" is not a time such as 10s, 15m or 2h",
        ),
        (
            "baud = [300, 2400]",
            "baud = [300, 2401]",
            "line 14: baud = 2401 is not a speed of an M-Bus",
        ),
        (
            "[0x10, 0x1F]",
            "[0x1F, 0x10]",
            "line 17: no version is in [31, 16]: the first comes first",
        ),
        (
            "storages = [1, 3]",
            "storages = [0, 3]",
            "line 22: storages = [0, 3]: write the first and the last, from 1 on, at most 240 of them",
        ),
        (
            "storages = [1, 3]",
            "storages = [3, 1]",
            "line 22: storages = [3, 1]: write the first and the last, from 1 on, at most 240 of them",
        ),
        (
            "storages = [1, 3]",
            "storages = [1, 9223372036854775807]",
            "line 22: storages = [1, 9223372036854775807]: write the first and the last, from 1 on, at most 240 of them",
        ),
        (
            "registers = [\"energy\"]",
            "registers = [\"volume\"]",
            "line 25: `volume` is no register of this profile that an M-Bus tells with storage 0",
        ),
        (
            "registers = [\"energy\"]",
            "registers = []",
            "line 22: a memory is of something: registers = [\"energy\"]",
        ),
        ("en = \"Heat\"", "en = \"\"", "line 34: `` is not a text of 1 to 60 letters"),
        ("bit = 4", "bit = 0", "line 44: bit = 0 is there twice"),
        ("bit = 4", "bit = 63", "line 44: bit = 63 is not 0 to 62"),
        (
            "kind = \"flag\"\noptional",
            "kind = \"gauge\"\nunit = \"1\"\noptional",
            "line 44: bits have texts in a flag of an M-Bus: kind = \"flag\"",
        ),
        (
            "\"energy 2026-01-01T00:00\"",
            "\"volume 2026-01-01T00:00\"",
            "line 48: `volume` is expected, and no register has that key",
        ),
    ];
    for (old, new, advice) in wrong {
        assert!(MBUS.contains(old), "{old}");
        let mistakes = Profile::parse(&MBUS.replacen(old, new, 1)).unwrap_err();
        assert_eq!(mistakes[0].to_string(), advice);
    }
}

#[test]
fn a_profile_that_was_added_here_comes_before_an_embedded_one_for_the_same_meter() {
    let dir = tempfile::tempdir().unwrap();
    let mine = MBUS
        .replace("example.heat", "zzz.mine")
        .replace("\"EXA\"", "\"KAM\"")
        .replace("versions = [0x01, [0x10, 0x1F]]", "versions = [0x08]");
    std::fs::write(dir.path().join("mine.toml"), mine).unwrap();
    let frame = HEAT.replace("01 17 10 04", "2D 2C 08 04").replace("92 16", "CB 16");
    std::fs::write(dir.path().join("heat.hex"), frame).unwrap();
    let (profiles, mistakes) = Profiles::load_over(dir.path());
    assert_eq!(mistakes, []);
    let kamstrup = Identity {
        manufacturer: "KAM".to_owned(),
        version: "08".to_owned(),
        ..Identity::default()
    };
    assert_eq!(profiles.matching(&kamstrup, 4).unwrap().id, "zzz.mine");
    assert_eq!(Profiles::embedded().matching(&kamstrup, 4).unwrap().id, "kamstrup.multical-601");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let wrong = GOOD
        .replace("vendor = \"Example\"\n", "")
        .replace("max_registers = 10", "max_registers = 1000\nspeed = 3")
        .replace("unit = \"kWh\"", "unit = \"kwh\"")
        .replace("type = \"i32\"", "type = \"i33\"")
        .replace("bit = 3", "bit = 99\nscale = 0.1")
        .replace("kind = \"flag\"", "kind = \"flag\"\ncolour = \"red\"")
        .replace("words = [\"0x86A0\", \"0x0001\"]", "words = [\"0x86A0\", \"abc\"]");
    let mistakes = Profile::parse(&wrong).unwrap_err();
    let expected = [
        "line 1: `vendor` is missing: a profile begins with what it is of",
        "line 11: max_registers = 1000 is not 1 to 125",
        "line 12: unknown field `speed`, expected one of",
        "line 16: unit = \"kwh\" is not a unit; write kWh",
        "line 26: `type`: unknown variant `i33`, expected one of `u16`, `i16`",
        "line 40: unknown field `colour`, expected one of",
        "line 41: bit = 99 is not in this type: it has 0 to 15",
        "line 45: `scale`: invalid type: floating point `0.1`, expected a string",
        "line 47: words are written like \"0x86A0\"",
    ];
    let told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn what_is_missing_is_told_once() {
    let missing = |old: &str, new: &str| {
        let mistakes = Profile::parse(&GOOD.replacen(old, new, 1)).unwrap_err();
        mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>()
    };
    assert_eq!(missing("kind = \"counter\"", ""), ["line 15: `kind` is missing"]);
    assert_eq!(missing("address = 0x42\n", ""), ["line 24: `address` is missing"]);
    assert_eq!(missing("status = \"document\"", "").len(), 1);
    assert_eq!(
        missing("function = \"input\", address = 0x42", "address = 0x42"),
        ["line 46: `function` is missing"]
    );
    assert_eq!(Profile::parse("").unwrap_err().len(), 9);
}

#[test]
fn text_that_is_no_toml_is_told_with_all_its_lines() {
    let wrong =
        GOOD.replace("id = \"example.meter\"", "id = example").replace("bit = 3", "bit = = 3");
    let lines: Vec<usize> = Profile::parse(&wrong).unwrap_err().iter().map(|it| it.line).collect();
    assert_eq!(lines, [3, 43]);
}

#[test]
fn a_key_that_is_there_twice_is_told() {
    let twice = GOOD.replace("[[vector]]", "[[register]]\nkey = \"alarm_flow\"\nquantity = \"alarm\"\nrole = \"flow\"\nkind = \"flag\"\n[register.modbus]\naddress = 0x11\ntype = \"u16\"\nbit = 0\n\n[[vector]]");
    let mistakes = Profile::parse(&twice).unwrap_err();
    assert_eq!(mistakes[0].advice, "`alarm_flow` is there twice");
}

#[test]
fn a_folder_of_profiles_is_read_over_the_embedded_ones() {
    let dir = tempfile::tempdir().unwrap();
    let changed = GOOD.replace("vendor = \"Example\"", "vendor = \"Yesterday\"");
    std::fs::write(dir.path().join("mine.toml"), changed).unwrap();
    std::fs::write(dir.path().join("wrong.toml"), "schema = one").unwrap();
    std::fs::write(dir.path().join("README.md"), "no profile").unwrap();
    let (profiles, mistakes) = Profiles::load_over(dir.path());
    assert_eq!(profiles.get("example.meter").unwrap().vendor, "Yesterday");
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].to_string().contains("wrong.toml, line 1"), "{}", mistakes[0]);

    let (_, mistakes) = Profiles::load_over(&dir.path().join("not-there"));
    assert_eq!(mistakes, []);
}

#[test]
fn a_profile_that_contradicts_its_vector_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.toml"), GOOD.replace("10000.0", "1000.0")).unwrap();
    let (profiles, mistakes) = Profiles::load_over(dir.path());
    assert!(profiles.get("example.meter").is_none());
    assert_eq!(mistakes[0].advice, "`energy_import_total` is 10000.0, and 1000.0 is expected");
}

#[test]
fn what_is_outside_the_plausible_is_kept_and_marked() {
    let profile = Profile::parse(GOOD).unwrap();
    let spec = profile.registers().next().unwrap();
    let kwh = |text| Quantity::from_decimal(text, Unit::KilowattHour).unwrap();
    assert_eq!(spec.plausible.judge(kwh("-0.1")), Quality::Implausible);
    assert_eq!(spec.plausible.judge(kwh("0.0")), Quality::Good);
    let gj = Quantity::from_decimal("-0.1", Unit::Gigajoule).unwrap();
    assert_eq!(spec.plausible.judge(gj), Quality::Good, "0 kWh is no bound of it");
}

#[test]
fn what_accumulates_is_a_counter_and_what_has_bits_is_a_flag() {
    for (register, kind) in [
        ("energy", Kind::Counter),
        ("energy_import_t1_s1", Kind::Counter),
        ("reactive_energy_import_total", Kind::Counter),
        ("volume_subunit_1", Kind::Counter),
        ("energy_negative_only_n2", Kind::Counter),
        ("energy_max", Kind::Gauge),
        ("power", Kind::Gauge),
        ("volume_flow", Kind::Gauge),
        ("operating_time", Kind::Counter),
        ("heat_cost_s1", Kind::Counter),
        ("flow_temperature", Kind::Gauge),
        ("error_flags", Kind::Flag),
        ("digital_input", Kind::Flag),
    ] {
        assert_eq!(kind_of(&register.parse().unwrap()), kind, "{register}");
    }
    for role in ["unit_h", "average", "upper_limit", "lower_limit_first_exceed_duration"] {
        let volume = Register::new("volume".parse().unwrap());
        let register = Register { role: role.parse().ok(), ..volume };
        assert_eq!(kind_of(&register), Kind::Gauge, "{register}");
    }
}

mod sensors;
