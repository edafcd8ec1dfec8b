//! Pulses and thermometers, and what is wrong in what a profile says of them.

use super::*;

const PULSES: &str = r#"
schema = 1
id = "example.pulses"
vendor = "Example"
models = ["P1"]
medium = "water"
status = "document"
source = "its manual"

[[register]]
key = "volume"
quantity = "volume"
unit = "m3"
kind = "counter"
[register.pulse]
per_unit = "1000"
edge = "falling"
debounce = "20ms"
min_low = "30ms"

[[vector]]
pulses = 1234
expect = { volume = "1.234" }
"#;

const ONEWIRE: &str = r#"
schema = 1
id = "example.thermometer"
vendor = "Example"
models = ["T1"]
medium = "climate"
status = "document"
source = "its manual"

[[register]]
key = "temperature"
quantity = "temperature"
unit = "C"
kind = "gauge"
[register.onewire]
family = 0x28
[register.invalid]
raw = ["85000", "-127000"]
[register.plausible]
min = -55
max = 125

[[vector]]
millidegrees = -1250
expect = { temperature = "-1.250" }
[[vector]]
millidegrees = 85000
expect = { temperature = "invalid" }
"#;

#[test]
fn pulses_become_what_the_display_shows() {
    let profile = Profile::parse(PULSES).unwrap();
    assert_eq!(vector::failures(&profile, |_| None), []);
    assert_eq!(profile.wires(), ["pulses"]);
    let (spec, input) = profile.pulse_register().unwrap();
    assert_eq!(input.per_unit.unwrap().to_string(), "1000");
    assert_eq!((input.edge, input.debounce), (Edge::Falling, Duration::from_millis(20)));
    assert_eq!(spec.of_pulses(5, "0.1".parse().unwrap()).unwrap().to_string(), "50 m³");

    let of_the_site = PULSES.replace("per_unit = \"1000\"", "");
    let mistakes = Profile::parse(&of_the_site).unwrap_err();
    assert_eq!(mistakes[0].advice, "the profile has no weight for its pulses: per_unit = \"1000\"");
    let told = of_the_site.replace("pulses = 1234", "pulses = 1234\nper_unit = \"100\"");
    let profile = Profile::parse(&told.replace("1.234", "12.34")).unwrap();
    assert_eq!(vector::failures(&profile, |_| None), []);
}

#[test]
fn a_thermometer_tells_no_power_on_value() {
    let profile = Profile::parse(ONEWIRE).unwrap();
    assert_eq!(vector::failures(&profile, |_| None), []);
    assert_eq!(profile.wires(), ["1-Wire"]);
    let (spec, wire) = profile.onewire_register().unwrap();
    assert_eq!(wire.family, 0x28);
    assert_eq!(spec.of_millidegrees(-127_000).0, Err(NoReading::Invalid));
    let (value, quality) = spec.of_millidegrees(125_001);
    assert_eq!(
        (value.unwrap().to_string().as_str(), quality),
        ("125.001 °C", Quality::Implausible)
    );
}

/// Puts `new` in the place of `old` in one of the two and expects to be told of it.
#[track_caller]
fn check(text: &str, old: &str, new: &str, expected: &str) {
    assert!(text.contains(old), "{old}");
    let mistakes = Profile::parse(&text.replacen(old, new, 1)).unwrap_err();
    assert_eq!(mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_mistake_about_pulses_is_told_with_its_line() {
    check(PULSES, "\"counter\"", "\"gauge\"", "line 15: pulses are counted: kind = \"counter\"");
    check(
        PULSES,
        "\"20ms\"",
        "\"30ms\"",
        "line 15: debounce is not shorter than min_low: pulses would be taken for bouncing",
    );
    check(
        PULSES,
        "\"20ms\"",
        "\"20\"",
        "line 15: debounce = \"20\" is not a time from 1ms to 10s, such as 20ms",
    );
    check(
        PULSES,
        "per_unit = \"1000\"",
        "per_unit = \"-1\"",
        "line 15: `-1` is not how many pulses are one unit, such as 1000, 640 or 0.1",
    );
    check(
        PULSES,
        "pulses = 1234",
        "pulses = 1234\nmillidegrees = 3",
        "line 21: a vector has one of `read`, words of a Modbus, `frame`, a telegram, `message`, \
         of MQTT, `pulses` and `millidegrees`",
    );
}

#[test]
fn a_mistake_about_a_thermometer_is_told_with_its_line() {
    check(
        ONEWIRE,
        "unit = \"C\"",
        "unit = \"K\"",
        "line 15: a thermometer on a 1-Wire tells degrees: unit = \"C\"",
    );
    check(
        ONEWIRE,
        "[register.onewire]\nfamily = 0x28",
        "",
        "line 11: `temperature` says nowhere where it is: give it [register.modbus], \
         [register.mbus], [register.mqtt], [register.pulse] or [register.onewire]",
    );
}
