//! Every embedded profile loads and does what its vectors say; what is wrong in one is told.

use super::*;

#[test]
fn every_embedded_profile_loads_and_does_what_its_vectors_say() {
    let mut count = 0;
    for name in Embedded::iter().filter(|name| has_profile_name(Path::new(name.as_ref()))) {
        let file = Embedded::get(&name).unwrap();
        let text = str::from_utf8(&file.data).unwrap();
        let profile = Profile::parse(text).unwrap_or_else(|mistakes| {
            let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
            panic!("{name}: {}", all.join("\n"));
        });
        assert_eq!(*name, format!("{}.toml", profile.id.replace('.', "-")));
        let frame = |name: &str| {
            let file = Embedded::get(name)?;
            Some(String::from_utf8(file.data.into_owned()).unwrap())
        };
        let failures = vector::failures(&profile, frame);
        assert!(failures.is_empty(), "{name}: {failures:#?}");
        count += 1;
    }
    assert_eq!(Profiles::embedded().iter().count(), count, "two have the same id");
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
every = "15m"
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
    assert_eq!(specs[0].every, Some(Duration::from_mins(15)));
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
        "address = 0x42",
        "adress = 0x42",
        &["line 25: unknown field `adress`, expected one of `function`, `address`, `type`, \
         `word_order`, `scale`, `scale_register`, `bit`, `doc_ref`"],
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
             request may have; the two must be read together",
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
        "every = \"15m\"",
        "every = \"15\"",
        &["line 16: every = \"15\" is not a time such as 10s, 15m or 2h"],
    );
    check(
        "unit = \"kWh\"",
        "unit = \"kilo watt\"",
        &["line 16: unit = \"kilo watt\" is not a unit such as kWh, m3, C or 1"],
    );
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
