use metering::Resolution;

use super::*;

fn amount(text: &str) -> Quantity {
    let (number, unit) = text.split_once(' ').unwrap();
    Quantity::from_decimal(number, Unit::from_code(unit).unwrap()).unwrap()
}

/// `energy 12.3 kWh, power 4 kW`
fn shown(text: &str) -> Shown {
    let values: Vec<(Register, Quantity)> = text
        .split(", ")
        .map(|line| line.split_once(' ').unwrap())
        .map(|(register, value)| (register.parse().unwrap(), amount(value)))
        .collect();
    Shown::of(values.iter().map(|(register, value)| (register, *value)))
}

fn told(checks: &[Check]) -> Vec<String> {
    let told = |check: &Check| match check.verdict {
        Verdict::Good => format!("{} good", check.what.as_str()),
        Verdict::Open(why) => format!("{} open {}", check.what.as_str(), why.as_str()),
        Verdict::Wrong(wrong) => format!("{} wrong {}", check.what.as_str(), wrong.as_str()),
    };
    checks.iter().map(told).collect()
}

/// How the checks of a meter come out that shows `now`, after `before`.
#[track_caller]
fn check(kind: Kind, before: &str, now: &str, expected: &[&str]) {
    let before = (!before.is_empty()).then(|| shown(before));
    assert_eq!(told(&judged(kind, before.as_ref(), &shown(now))), expected);
}

const WELL: &str = "energy 1396.3 MWh, volume 34718.4 m3, power 41.9 kW, volume_flow 0.970 m3/h, \
                    flow_temperature 78.4 C, return_temperature 41.2 C, \
                    temperature_difference 37.2 K";

#[test]
fn a_healthy_meter_is_left_alone() {
    let later = WELL.replace("1396.3 MWh", "1401.3 MWh").replace("34718.4", "34834.4");
    check(
        Kind::Heat,
        WELL,
        &later,
        &[
            "sensors good",
            "difference good",
            "power good",
            "lifetime good",
            "energy good",
            "direction good",
        ],
    );
    // Nothing flows at night: nothing is wrong, and nothing is known.
    let still = "energy 1396.3 MWh, volume 34718.4 m3, power 0 kW, volume_flow 0 m3/h, \
                 flow_temperature 40.4 C, return_temperature 40.1 C";
    check(
        Kind::Heat,
        still,
        still,
        &[
            "sensors open nothing_flows",
            "power open nothing_flows",
            "lifetime good",
            "energy open too_little_yet",
            "direction open too_little_yet",
        ],
    );
}

#[test]
fn cooling_is_the_other_way_round() {
    let cold = "power 7.0 kW, volume_flow 1.000 m3/h, flow_temperature 7.0 C, \
                return_temperature 13.0 C, temperature_difference -6.0 K";
    check(Kind::Cooling, "", cold, &["sensors good", "difference good", "power good"]);
    check(Kind::Heat, "", cold, &["sensors wrong swapped", "difference good"]);
}

#[test]
fn sensors_that_are_exchanged_are_named() {
    let wrong =
        WELL.replace("78.4", "41.2").replace("return_temperature 41.2", "return_temperature 78.4");
    let checks = judged(Kind::Heat, None, &shown(&wrong));
    let first = checks.first().unwrap();
    let swapped = Wrong::Swapped { supply: 41_200, back: 78_400 };
    assert_eq!(first.verdict, Verdict::Wrong(swapped));
    assert_eq!(swapped.params(), [("supply", 412, 1), ("back", 784, 1)]);
}

#[test]
fn a_sensor_of_another_pair_is_named() {
    let wrong = WELL.replace("37.2 K", "29.0 K");
    check(
        Kind::Heat,
        "",
        &wrong,
        &[
            "sensors good",
            "difference wrong difference",
            "power good",
            "lifetime good",
            "direction open too_little_yet",
        ],
    );
}

#[test]
fn a_magnitude_is_found_by_energy_against_volume() {
    #[track_caller]
    fn found(from: &str, to: &str, code: &str, factor: i64) {
        let checks = judged(Kind::Heat, None, &shown(&WELL.replace(from, to)));
        let check = checks.iter().find(|it| it.what == What::Lifetime).unwrap();
        let Verdict::Wrong(wrong) = check.verdict else { panic!("{check:?}") };
        assert_eq!((wrong.as_str(), wrong.params()[1].1), (code, factor));
    }
    found("34718.4", "3471.84", "lifetime_volume", 10);
    found("34718.4", "34.718", "lifetime_volume", 1_000);
    found("1396.3 MWh", "139.63 MWh", "lifetime_energy", 10);
    found("1396.3 MWh", "1396.3 kWh", "lifetime_energy", 1_000);
}

#[test]
fn power_is_flow_times_difference() {
    let wrong = WELL.replace("41.9 kW", "4.19 kW");
    let checks = told(&judged(Kind::Heat, None, &shown(&wrong)));
    assert!(checks.contains(&"power wrong power".to_owned()), "{checks:?}");
    let flow = WELL.replace("0.970", "0.097");
    let checks = told(&judged(Kind::Heat, None, &shown(&flow)));
    assert!(checks.contains(&"power wrong power".to_owned()), "{checks:?}");
}

#[test]
fn energy_between_two_readings_is_volume_times_difference() {
    let later = WELL.replace("1396.3 MWh", "1408.3 MWh").replace("34718.4", "34834.4");
    let checks = told(&judged(Kind::Heat, Some(&shown(WELL)), &shown(&later)));
    assert!(checks.contains(&"energy wrong energy".to_owned()), "{checks:?}");
}

#[test]
fn what_runs_backwards_is_named() {
    check(
        Kind::Counter,
        "",
        "volume 4.2 m3, volume_flow -0.120 m3/h",
        &["direction wrong backwards"],
    );
    check(Kind::Counter, "volume 4.2 m3", "volume 4.1 m3", &["direction wrong fell"]);
    check(Kind::Counter, "volume 4.2 m3", "volume 4.3 m3", &["direction good"]);
    check(Kind::Counter, "", "temperature_room 21.0 C", &[]);
    let of = |text: &str| told(&[turned(&shown(text)).unwrap()]).remove(0);
    assert_eq!(of("power_total -1200 W"), "direction wrong turned");
    assert_eq!(of("power_total 1200 W"), "direction good");
}

#[test]
fn the_weight_of_a_pulse_is_found_by_a_bucket() {
    #[track_caller]
    fn draw(counted: &str, drawn: &str, expected: Verdict) {
        assert_eq!(pulses_of(amount(counted), amount(drawn)).unwrap().verdict, expected);
    }
    draw("0.020 m3", "20 l", Verdict::Good);
    draw("0.021 m3", "20 l", Verdict::Good);
    draw("0.200 m3", "20 l", Verdict::Wrong(Wrong::Pulses { permille: 10_000 }));
    draw("0.002 m3", "20 l", Verdict::Wrong(Wrong::Pulses { permille: 100 }));
    draw("0.00 m3", "20 l", Verdict::Open(Open::TooLittleYet));
    assert_eq!(pulses_of(amount("1 kWh"), amount("20 l")), None);
}

#[test]
fn sub_meters_are_not_more_than_their_main() {
    #[track_caller]
    fn sum(main: &str, parts: &[&str], expected: Verdict) {
        let parts: Vec<Quantity> = parts.iter().map(|part| amount(part)).collect();
        assert_eq!(parts_of(amount(main), &parts).unwrap().verdict, expected);
    }
    sum("10.0 kWh", &["4.0 kWh", "5500 Wh"], Verdict::Good);
    sum("10.0 kWh", &["1.0 kWh"], Verdict::Good);
    sum("10.0 kWh", &["9.0 kWh", "9.0 kWh"], Verdict::Wrong(Wrong::Parts { permille: 1_800 }));
    sum("0.1 kWh", &["0.3 kWh"], Verdict::Open(Open::NothingFlows));
}

#[test]
fn extremes_are_no_panic() {
    let resolution = |decimals, unit| Resolution::new(decimals, unit).unwrap();
    for mantissa in [i64::MIN, -(1 << 51), -1, 0, 1, 1 << 51, i64::MAX] {
        for decimals in [-6, 0, 3, 9] {
            let value = |unit| Some(Quantity::new(mantissa, resolution(decimals, unit)));
            let shown = Shown {
                energy: value(Unit::GigawattHour),
                volume: value(Unit::CubicMetre),
                flow: value(Unit::CubicMetrePerSecond),
                power: value(Unit::Megawatt),
                supply: value(Unit::Celsius),
                back: value(Unit::Celsius),
                drop: value(Unit::Kelvin),
            };
            for kind in [Kind::Heat, Kind::Cooling, Kind::Counter] {
                judged(kind, Some(&Shown::default()), &shown);
                judged(kind, Some(&shown), &shown);
            }
            turned(&shown);
            let energy = shown.energy.unwrap();
            pulses_of(energy, energy);
            parts_of(energy, &[energy, energy]);
        }
    }
}
