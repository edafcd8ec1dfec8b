//! What is kept of what was counted, over restarts, damage and other versions.

use crate::Profile;

use super::*;

fn water() -> Profile {
    Profile::parse(
        "schema = 1\nid = \"example.water\"\nvendor = \"Example\"\nmodels = [\"W\"]\n\
         medium = \"water\"\nstatus = \"document\"\nsource = \"its plate\"\n\
         [[register]]\nkey = \"volume\"\nquantity = \"volume\"\nunit = \"m3\"\n\
         kind = \"counter\"\npulse = { per_unit = \"100\" }\n\
         [[vector]]\npulses = 1234\nexpect = { volume = \"12.34\" }\n",
    )
    .unwrap()
}

fn meter(number: u8) -> MeterId {
    format!("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e{number:02}").parse().unwrap()
}

fn pulses(pulses: u64) -> Heard {
    Heard { pulses, lost: 0 }
}

#[track_caller]
fn shows(counts: &Counts, number: u8, weight: &str, expected: &str) {
    let profile = water();
    let spec = profile.registers().next().unwrap();
    let shown = counts.get(meter(number)).shows(spec, weight.parse().unwrap());
    assert_eq!(shown.unwrap().to_string(), expected);
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pulses.counts");
    let profile = water();
    let spec = profile.registers().next().unwrap();
    let per_unit: PulseWeight = "100".parse().unwrap();
    let (counts, trouble) = Counts::open(&path);
    assert!(trouble.is_none());
    counts.weigh(meter(1), spec, per_unit);
    counts.add(meter(1), pulses(150));
    counts.add(meter(2), Heard { pulses: 3, lost: 7 });
    assert!(counts.keep().unwrap());
    assert!(!counts.keep().unwrap(), "nothing has changed: nothing is written");
    counts.add(meter(1), pulses(5));
    drop(counts);

    let (counts, _) = Counts::open(&path);
    shows(&counts, 1, "100", "1.50 m³");
    assert_eq!(counts.get(meter(2)), Counter { pulses: 3, lost: 7, ..Counter::default() });
    let display = Quantity::from_decimal("873.2", Unit::CubicMetre).unwrap();
    let set = counts.set(meter(1), display, spec, per_unit).unwrap();
    assert_eq!(set.to_string(), "873.20 m³");
    drop(counts);

    let (counts, _) = Counts::open(&path);
    counts.add(meter(1), pulses(7));
    shows(&counts, 1, "100", "873.27 m³");
    assert_eq!(counts.get(meter(1)).pulses, 157, "and what was counted is not forgotten");
}

#[test]
fn a_reading_is_told_of_what_is_kept_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pulses.counts");
    let (counts, _) = Counts::open(&path);
    for number in 1..=50 {
        counts.add(meter(1), pulses(1));
        let (told, trouble) = counts.told(meter(1));
        assert!(trouble.is_none());
        // A power cut now: what another program finds is what was told, or more.
        let (found, _) = Counts::open(&path);
        assert!(found.get(meter(1)).pulses >= told.pulses, "{number}");
    }
}

#[test]
fn a_counter_is_set_to_what_its_display_can_show() {
    let counts = Counts::in_memory();
    let profile = water();
    let spec = profile.registers().next().unwrap();
    let set = |text: &str, unit| {
        let display = Quantity::from_decimal(text, unit).unwrap();
        let set = counts.set(meter(1), display, spec, "100".parse().unwrap());
        set.map_or_else(|error| error.to_string(), |it| it.to_string())
    };
    assert_eq!(set("12", Unit::CubicMetre), "12.00 m³");
    assert_eq!(set("12.345", Unit::CubicMetre), "the counter has 2 digits behind the point");
    assert_eq!(set("-1", Unit::CubicMetre), "a counter is never below zero");
    assert_eq!(set("1", Unit::KilowattHour), "the counter is in m³, and not in kWh");
    shows(&counts, 1, "100", "12.00 m³");
}

#[test]
fn another_weight_holds_from_then_on() {
    let counts = Counts::in_memory();
    let profile = water();
    let spec = profile.registers().next().unwrap();
    counts.weigh(meter(1), spec, "100".parse().unwrap());
    counts.add(meter(1), pulses(250));
    counts.weigh(meter(1), spec, "10".parse().unwrap());
    counts.add(meter(1), pulses(10));
    // 2.50 by the old one and 1.0 by the new one, in the steps of the new one.
    shows(&counts, 1, "10", "3.5 m³");
}

fn set(counts: &Counts, number: u8, text: &str) -> Result<String, String> {
    let profile = water();
    let spec = profile.registers().next().unwrap();
    let display = Quantity::from_decimal(text, Unit::CubicMetre).unwrap();
    let set = counts.set(meter(number), display, spec, "100".parse().unwrap());
    set.map(|it| it.to_string()).map_err(|error| error.to_string())
}

fn is_in_doubt(counts: &Counts, number: u8) -> bool {
    let profile = water();
    let spec = profile.registers().next().unwrap();
    let (told, _) = counts.told(meter(number));
    told.shows(spec, "100".parse().unwrap()) == Err(NoReading::Invalid)
}

#[test]
fn a_file_that_cannot_be_used_stops_nothing_and_passes_for_nothing() {
    let (counts, trouble) = Counts::open(Path::new("/nonexistent/pulses.counts"));
    assert!(trouble.is_some());
    counts.add(meter(1), pulses(4));
    let (told, trouble) = counts.told(meter(1));
    assert_eq!(told.pulses, 4);
    assert_eq!(trouble.unwrap().kind(), io::ErrorKind::NotFound);
    assert!(is_in_doubt(&counts, 1), "it has counted more before, or not");
    assert!(counts.keep().is_err());
    // What would be gone with the next start is not set.
    assert_eq!(set(&counts, 1, "12"), Err("it cannot be kept on the disk".to_owned()));
    assert!(is_in_doubt(&counts, 1));
}

#[test]
fn counters_of_a_damaged_file_are_in_doubt_until_they_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pulses.counts");
    std::fs::write(&path, [0xFF; 200]).unwrap();
    let (counts, trouble) = Counts::open(&path);
    assert!(trouble.is_some());
    counts.add(meter(1), pulses(4));
    counts.add(meter(2), pulses(5));
    assert!(is_in_doubt(&counts, 1) && is_in_doubt(&counts, 2) && is_in_doubt(&counts, 3));
    assert_eq!(set(&counts, 1, "12").as_deref(), Ok("12.00 m³"));
    counts.keep().unwrap();
    drop(counts);

    let (counts, trouble) = Counts::open(&path);
    assert!(trouble.is_none());
    shows(&counts, 1, "100", "12.00 m³");
    assert!(is_in_doubt(&counts, 2), "and after the next start, too");
    assert!(!is_in_doubt(&counts, 3), "a meter that comes later begins at zero");
}

#[test]
fn what_a_later_program_has_written_is_kept_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pulses.counts");
    let later = format!("{} 15 0 100 12 m3 4 drift=3\nformat 7", meter(1));
    Slots::open(&path).unwrap().0.write(later.as_bytes()).unwrap();
    let (counts, trouble) = Counts::open(&path);
    assert!(trouble.is_some());
    counts.add(meter(1), pulses(4));
    counts.add(meter(2), pulses(5));
    counts.keep().unwrap();
    assert!(is_in_doubt(&counts, 1));
    let kept = |path| String::from_utf8(Slots::open(path).unwrap().1.unwrap()).unwrap();
    assert_eq!(kept(&path), format!("{later}\n{} 5 0 -\n", meter(2)));
    // Whoever sets it knows better.
    assert_eq!(set(&counts, 1, "99").as_deref(), Ok("99.00 m³"));
    let text = kept(&path);
    assert!(!text.contains("drift") && text.contains("format 7"), "{text}");
    shows(&Counts::open(&path).0, 1, "100", "99.00 m³");
}

#[test]
fn there_is_room_for_as_many_as_the_file_holds() {
    let counts = Counts::in_memory();
    for _ in 0..MOST_COUNTERS {
        counts.add(MeterId::from_uuid(uuid::Uuid::now_v7()), pulses(1));
    }
    assert!(!counts.has_room(meter(1)));
    counts.add(meter(1), pulses(1));
    assert_eq!(counts.get(meter(1)).pulses, 0);
}
