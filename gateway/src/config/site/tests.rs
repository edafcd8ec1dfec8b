use super::*;

const PROFILES: &[&str] = &["eastron.sdm630", "kamstrup.multical-601"];

#[track_caller]
fn check(file: &str, expected: &[&str]) {
    // Another kind of bus is no reason to write the same list in every test.
    let kinds = WireKind::ALL.map(|kind| format!("\"{}\"", kind.code())).join(", ");
    let expected: Vec<String> = expected.iter().map(|it| it.replace("KINDS", &kinds)).collect();
    let mistakes = Site::load(file, PROFILES).unwrap_err();
    assert_eq!(mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(), expected);
}

const HEAD: &str = r#"
[site]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
name = "Kvernhusgata 4"
"#;

#[test]
fn a_file_with_every_key_loads() {
    let site = Site::load(
        r#"
[site]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
name = "Kvernhusgata 4"
place = "Trondheim"
time_zone = "Europe/Copenhagen"

[[bus]]
id = "riser-a"
name = "Stigeledning A"
kind = "mbus"
port = "tcp://127.0.0.1:10001"
baud = 300
poll_every_secs = 60
answer_within_ms = 3000

[[bus]]
id = "main"
kind = "modbus"
port = "serial:///dev/ttyUSB1"
parity = "none"

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01"
name = "Fjernvarme, hovedmåler"
bus = "riser-a"
secondary = "67001122kam3504"
profile = "kamstrup.multical-601"
medium = "heat"
serial = "67001122"
simulated = true

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e02"
name = "Hovedtavle"
bus = "main"
address = 1
profile = "eastron.sdm630"
poll_every_secs = 10

[cloud]
url = "https://portfolio.example:9443/"
profile = "metered"
references = ["192.0.2.1:443", "time.example:123"]
report_timeout_s = 30
probe_every_s = 120
"#,
        PROFILES,
    )
    .unwrap();

    assert_eq!(site.place.as_deref(), Some("Trondheim"));
    assert_eq!(site.time_zone, Tz::Europe__Copenhagen);
    let [riser, main] = &site.buses[..] else { panic!("{:?}", site.buses) };
    assert_eq!(
        (riser.kind, riser.baud, riser.parity),
        (WireKind::Asked(BusKind::Mbus), 300, Parity::Even)
    );
    assert_eq!(riser.answer_within, Some(Duration::from_secs(3)));
    assert_eq!((main.name.as_str(), main.baud, main.parity), ("main", 9600, Parity::None));
    let heat = &riser.meters[0];
    assert_eq!(heat.address.to_string(), "67001122KAM3504");
    assert_eq!((heat.medium, heat.simulated), (Some(Medium::Heat), true));
    assert_eq!(heat.poll_every.secs(), 60, "that of its bus");
    assert_eq!(main.meters[0].poll_every.secs(), 10, "its own");
    let cloud = site.cloud.unwrap();
    assert_eq!(cloud.references, ["192.0.2.1:443", "time.example:123"]);
    assert_eq!(
        (cloud.url.as_str(), cloud.profile),
        ("https://portfolio.example:9443", LineProfile::Metered)
    );
    assert_eq!(
        (cloud.report_timeout, cloud.probe_every),
        (Duration::from_secs(30), Some(Duration::from_mins(2)))
    );
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line() {
    check(
        r#"
[site]
id = "7"
name = ""
timezone = "Europe/Oslo"

[[bus]]
id = "Riser A"
kind = "m-bus"
port = "/dev/ttyUSB0"
baud = 240
poll_every_secs = 1
pol_every_secs = 60

[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01"
name = "Heat"
bus = "riser-b"
"#,
        &[
            "line 3: id = \"7\" is not an id like \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"",
            "line 4: name = \"\" is not a text of 1 to 80 characters",
            "line 5: `timezone` is not a key of [site]: did you mean `time_zone`?",
            "line 8: id = \"Riser A\" is not a name of 1 to 64 of a-z, 0-9 and -; did you mean \"riser-a\"?",
            "line 9: kind = \"m-bus\" is not one of KINDS; did you mean \"mbus\"?",
            "line 10: `/dev/ttyUSB0` is not a port: write tcp://HOST:PORT, udp://HOST:PORT (an M-Bus converter with datagrams), rtu+tcp://HOST:PORT (Modbus RTU behind a transparent converter) or serial:///dev/NAME; did you mean \"serial:///dev/ttyUSB0\"?",
            "line 11: baud = 240 is not one of 300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200; did you mean 2400?",
            "line 12: poll_every_secs = 1 is not a number from 10 to 86400",
            "line 13: `pol_every_secs` is not a key of [[bus]]: did you mean `poll_every_secs`?",
            "line 18: bus \"riser-b\" is not there: the file has no [[bus]]",
        ],
    );
}

#[test]
fn a_meter_has_one_address_that_is_its_own_and_fits_its_bus() {
    let file = format!(
        r#"{HEAD}
[[bus]]
id = "a"
kind = "mbus"
port = "tcp://10.0.4.2:10001"
[[bus]]
id = "b"
kind = "modbus"
port = "tcp://10.0.4.3:502"
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01"
name = "1"
bus = "a"
address = 251
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e02"
name = "2"
bus = "a"
address = 5
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e02"
name = "3"
bus = "a"
address = 5
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e03"
name = "4"
bus = "b"
address = 0
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e04"
name = "5"
bus = "b"
secondary = "67001122"
profile = "eastron.sdm63"
[[meter]]
id = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e05"
name = "6"
bus = "a"
secondary = "6700112"
"#
    );
    check(
        &file,
        &[
            "line 18: address = 251 is not a meter's primary address, 0 to 250: 251 and 252 are reserved",
            "line 25: meter 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e02 is there already, on line 19: each meter has an id of its own, which `uuidgen -t7` makes",
            "line 28: address 5 on bus `a` is taken by the meter on line 19",
            "line 29: `profile` is missing: a Modbus meter does not say what its registers mean; `fyrhus profile list` shows the known types",
            "line 33: address = 0 is not a Modbus unit: 1 to 247, or 255 on Modbus TCP",
            "line 38: `secondary` is an address of M-Bus: on Modbus write `address`",
            "line 39: profile \"eastron.sdm63\" is not known: did you mean \"eastron.sdm630\"?",
            "line 44: secondary = \"6700112\" is not a secondary address such as \"67001122\" or \"67001122KAM3504\": eight digits (F for any), then maker, version and medium",
        ],
    );
}

#[test]
fn an_address_of_no_meter_is_told_whose_it_is() {
    let told = |bus: &str, address: &str| {
        let meter = "id = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01\"\nname = \"A\"\nbus = \"a\"\n";
        let file = format!(
            "{HEAD}[[bus]]\nid = \"a\"\n{bus}\n[[meter]]\n{meter}address = {address}\nprofile = \"{}\"\n",
            PROFILES[0]
        );
        let mistakes = Site::load(&file, PROFILES).err().unwrap_or_default();
        mistakes.into_iter().map(|it| it.advice).collect::<Vec<_>>().join("; ")
    };
    let mbus = |address| told("kind = \"mbus\"\nport = \"tcp://10.0.4.2:10001\"", address);
    let tcp = |address| told("kind = \"modbus\"\nport = \"tcp://10.0.4.2:502\"", address);
    let rtu = |address| told("kind = \"modbus\"\nport = \"rtu+tcp://10.0.4.2:502\"", address);
    let primary = |address, why| {
        format!("address = {address} is not a meter's primary address, 0 to 250{why}")
    };
    assert_eq!(mbus("250"), "");
    assert_eq!(mbus("252"), primary("252", ": 251 and 252 are reserved"));
    assert_eq!(
        mbus("253"),
        primary("253", ": 253 is whichever meter is selected; write its `secondary` instead")
    );
    assert_eq!(mbus("254"), primary("254", ": to 254 all meters answer at once"));
    assert_eq!(mbus("255"), primary("255", ": 255 is for all meters, and none answers"));
    assert_eq!(mbus("300"), primary("300", "; 251 to 255 are no single meter's"));
    assert_eq!(
        mbus("\"5\""),
        "address = \"5\" is not an M-Bus primary address, 0 to 250, or a Modbus unit, 1 to 247"
    );
    assert_eq!((tcp("255"), tcp("247")), (String::new(), String::new()));
    for (told, address) in [(rtu("255"), 255), (tcp("248"), 248), (tcp("300"), 300)] {
        let expected =
            format!("address = {address} is not a Modbus unit: 1 to 247, or 255 on Modbus TCP");
        assert_eq!(told, expected);
    }
}

#[test]
fn a_wire_is_one_bus_and_its_settings_mean_something() {
    let file = format!(
        r#"{HEAD}
[[bus]]
id = "a"
kind = "mbus"
port = "tcp://10.0.4.2:10001"
baud = 115200
[[bus]]
id = "a"
kind = "mbus"
port = "rtu+tcp://10.0.4.9:10001"
[[bus]]
id = "c"
kind = "modbus"
port = "tcp://10.0.4.2:10001"
baud = 9600
[[bus]]
id = "d"
kind = "modbus"
port = "udp://10.0.4.7:10001"
max_unit_loads = 60
[cloud]
url = "http://portfolio.example"
references = "192.0.2.1:443"
report_timeout_s = 3
probe_every_s = 90
"#
    );
    check(
        &file,
        &[
            "line 10: baud = 115200 is not a rate of M-Bus: 300 to 38400, mostly 2400",
            "line 12: bus `a` is there already, on line 6",
            "line 14: rtu+tcp:// carries Modbus: an M-Bus behind a converter is tcp://",
            "line 18: port tcp://10.0.4.2:10001 is taken by bus `a` on line 6: a wire has one master, so put all its meters on one bus",
            "line 19: `baud` means nothing on Modbus TCP: leave it out, or write rtu+tcp:// if a converter carries Modbus RTU",
            "line 23: udp:// carries an M-Bus: Modbus is tcp://, or rtu+tcp:// behind a converter that passes Modbus RTU through",
            "line 24: `max_unit_loads` belongs to an M-Bus, whose converter feeds its meters: leave it out",
            "line 26: url = \"http://portfolio.example\" is not an address such as \"https://portfolio.example:9443\"",
            "line 27: references = \"192.0.2.1:443\" is not a list of at most 8 places such as [\"192.0.2.1:443\"]",
            "line 28: report_timeout_s = 3 is not a number from 5 to 30",
            "line 29: probe_every_s is at most 60 on a wired line: an answer speaks for 60 s there",
        ],
    );
}

#[test]
fn a_meter_is_part_of_another_and_never_of_itself() {
    let meter = |n: u8, address: u8, whole: u8| {
        format!(
            "[[meter]]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e0{n}\"\nname = \"{n}\"\nbus = \"a\"\naddress = {address}\n\
             part_of = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e0{whole}\"\n"
        )
    };
    let bus = "[[bus]]\nid = \"a\"\nkind = \"mbus\"\nport = \"tcp://10.0.4.2:10001\"\n";
    check(
        &format!("{HEAD}{bus}{}{}{}", meter(1, 1, 2), meter(2, 2, 1), meter(3, 3, 9)),
        &[
            "line 14: meter 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e01 is part of itself: see `part_of` here",
            "line 20: meter 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e02 is part of itself: see `part_of` here",
            "line 26: part_of = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e09\" is not the id of a meter of this file",
        ],
    );
}

#[test]
fn what_is_not_toml_does_not_hide_the_rest() {
    check(
        "[site]\nname =\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\n[[bus]]\nid = \"a\"\n",
        &[
            "line 2: string values must be quoted, expected literal string",
            "line 4: `kind` is missing in [[bus]]: one of KINDS",
            "line 4: `port` is missing in [[bus]]: a port such as \"tcp://10.0.4.2:10001\" or \"serial:///dev/ttyUSB0\"",
        ],
    );
}

#[test]
fn a_wire_without_telegrams_has_a_port_and_addresses_of_its_own() {
    let id = |number: u8| format!("019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e{number:02}");
    let meter = |number: u8, bus: &str, rest: &str| {
        format!("[[meter]]\nid = \"{}\"\nname = \"m\"\nbus = \"{bus}\"\n{rest}\n", id(number))
    };
    let bus = |id: &str, kind: &str, port: &str, rest: &str| {
        format!("[[bus]]\nid = \"{id}\"\nkind = \"{kind}\"\nport = \"{port}\"\n{rest}")
    };
    let buses = [
        bus("t", "onewire", "sysfs:///sys/bus/w1/devices", ""),
        bus("p", "pulse", "gpio:///dev/gpiochip0", ""),
        bus("w", "weather", "https://api.met.no/x", "contact = \"a@example.no\"\nconsent = true\n"),
    ];
    let meters = [
        meter(1, "t", "address = \"28-0316a2795bff\"\noutdoor = true"),
        meter(
            2,
            "p",
            "address = 17\nprofile = \"kamstrup.multical-601\"\npulses_per_unit = \"1000\"",
        ),
        meter(3, "w", "coordinates = \"59.913868, 10.75\""),
    ];
    let site = Site::load(&format!("{HEAD}{}{}", buses.concat(), meters.concat()), PROFILES);
    let site = site.unwrap();
    let addresses: Vec<String> =
        site.buses.iter().map(|bus| bus.meters[0].address.to_string()).collect();
    assert_eq!(addresses, ["28-0316a2795bff", "line 17", "59.9138, 10.75"]);
    assert!(site.buses[0].meters[0].outdoor);

    let wrong = [
        bus("t", "onewire", "/dev/ttyUSB0", ""),
        bus("p", "pulse", "tcp://10.0.4.2:502", ""),
        bus("w", "weather", "https://api.met.no/x", ""),
        bus("v", "weather", "https://api.met.no/y", "contact = \"a@example.no\"\n"),
        bus("m", "mbus", "gpio:///dev/gpiochip0", ""),
    ];
    let site = format!("{HEAD}{}", wrong.concat());
    let told: Vec<String> = Site::load(&site, PROFILES)
        .unwrap_err()
        .into_iter()
        .map(|it| it.advice.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "port = \"/dev/ttyUSB0\"",
            "port = \"tcp://10.0.4.2:502\"",
            "`contact` is missing",
            "the service is told where the building is",
            "port = \"gpio:///dev/gpiochip0\"",
        ]
    );
}

#[test]
fn a_file_of_another_kind_gets_few_words() {
    check("", &["line 1: [site] is missing: it has the building's id and name"]);
    let long = "x = 1\n".repeat(200_000);
    check(&long, &["line 1: the file is larger than 1048576 bytes: is it this one?"]);
    let many = (0..1_000).map(|n| format!("key{n} = 1\n")).collect::<Vec<_>>().concat();
    assert_eq!(Site::load(&many, &[]).unwrap_err().len(), 201);
}

#[test]
fn a_wrong_kind_of_value_is_a_mistake_and_no_panic() {
    check(
        "site = 3\nbus = { id = \"a\" }\nmeter = [1]\n",
        &[
            "line 1: `site` is written [site], once",
            "line 2: write [[bus]] with two brackets: there may be several",
            "line 3: this is no [[meter]]",
        ],
    );
}

proptest::proptest! {
    #[test]
    fn any_text_loads_or_is_refused(text in "(\\[\\[?(site|bus|meter)\\]?\\]|id|port|address|=|\"|[a-z0-9\\[\\]{}.,\n =\"-]){0,60}") {
        let _ = Site::load(&text, PROFILES);
    }
}

/// A bus of radio receivers with `rest`, on a broker on which sensors are heard as well.
fn on_a_broker(rest: &str) -> String {
    format!(
        "{HEAD}[[bus]]\nid = \"air\"\nkind = \"mqtt\"\nport = \"mqtt://own\"\n\
         [[bus]]\nid = \"loft\"\nkind = \"wmbus\"\n{rest}\n"
    )
}

#[test]
fn receivers_say_what_they_hear_on_topics_of_a_broker() {
    let lines = "receiver = \"lines\"\nport = \"mqtt://own\"\n";
    let site = Site::load(&on_a_broker(&format!("{lines}topic = \"wmbus/#\"")), PROFILES).unwrap();
    let radio = site.buses[1].radio.as_ref().unwrap();
    assert_eq!(radio.topic.as_deref(), Some("wmbus/#"));

    let login = "receiver = \"lines\"\nport = \"mqtts://broker:8883\"\ntopic = \"a/+/b\"\n\
                 user = \"fyrhus\"\npassword_file = \"/etc/password\"";
    let site = Site::load(&on_a_broker(login), PROFILES).unwrap();
    assert_eq!(site.buses[1].login.user.as_deref(), Some("fyrhus"));

    check(
        &on_a_broker(lines),
        &["line 9: `topic` is missing: under which topics the receivers say what they hear, such \
         as \"wmbus/#\""],
    );
    check(
        &on_a_broker("receiver = \"cul\"\nport = \"mqtt://own\"\ntopic = \"wmbus/#\""),
        &["line 12: receiver = \"cul\" is plugged in: receivers on a broker are \"lines\""],
    );
    check(
        &on_a_broker("receiver = \"cul\"\nport = \"serial:///dev/ttyUSB0\"\ntopic = \"a\""),
        &["line 14: `topic` belongs to a port such as \"mqtt://own\": leave it out"],
    );
    check(
        &format!(
            "{HEAD}[[bus]]\nid = \"wire\"\nkind = \"mbus\"\nport = \"mqtt://own\"\ntopic = \"a\""
        ),
        &[
            "line 8: port = \"mqtt://own\": mqtt:// belongs to kind = \"mqtt\", or to receivers of \
             kind = \"wmbus\"",
            "line 9: `topic` belongs to kind = \"wmbus\": leave it out",
        ],
    );
    let twice = format!(
        "{}[[bus]]\nid = \"twin\"\nkind = \"wmbus\"\n{lines}topic = \"x\"\n",
        on_a_broker(&format!("{lines}topic = \"y\""))
    );
    assert!(Site::load(&twice, PROFILES).is_err(), "one bus hears all receivers of a broker");
}
