//! Every key of `site.toml`.

use crate::config::PollEvery;
use crate::config::key::{Key, Table, Takes, Without};

pub(crate) const TABLES: &[&Table] = &[&SITE, &BUS, &METER, &CLOUD, &BMS, &BROKER, &PUBLISH];

pub(super) static SITE: Table = Table {
    name: "site",
    repeats: false,
    says: "The building.",
    keys: &[&SITE_ID, &SITE_NAME, &PLACE, &TIME_ZONE],
};

pub(super) static SITE_ID: Key = Key {
    name: "id",
    takes: Takes::Id,
    without: Without::Mistake,
    says: "The building's id, for ever; `uuidgen -t7` makes one.",
};

pub(super) static SITE_NAME: Key = Key {
    name: "name",
    takes: Takes::Text(80),
    without: Without::Mistake,
    says: "What people call the building.",
};

pub(super) static PLACE: Key = Key {
    name: "place",
    takes: Takes::Text(80),
    without: Without::Told("no place"),
    says: "The town, shown beside the name.",
};

pub(super) static TIME_ZONE: Key = Key {
    name: "time_zone",
    takes: Takes::Written("a time zone such as \"Europe/Oslo\""),
    without: Without::Word("Europe/Oslo"),
    says: "Where the building is: its midnight begins a day.",
};

pub(super) static BUS: Table = Table {
    name: "bus",
    repeats: true,
    says: "A wire with meters on it. A wire has one master, so it is one bus.",
    keys: &[
        &BUS_ID,
        &BUS_NAME,
        &KIND,
        &PORT,
        &BAUD,
        &PARITY,
        &POLL_EVERY,
        &ANSWER_WITHIN,
        &PAUSE_AFTER_CONNECT,
        &MAX_UNIT_LOADS,
        &RECEIVER,
        &MODE,
        &TOPIC,
        &ENERGY_STEP,
        &CONTACT,
        &CONSENT,
        &USER,
        &PASSWORD_FILE,
        &CA_FILE,
    ],
};

pub(super) static CONTACT: Key = Key {
    name: "contact",
    takes: Takes::Text(100),
    without: Without::Told("must be given for a weather service"),
    says: "Weather: an e-mail address or a page by which the service reaches whoever runs this \
           gateway. It is sent with every question, as the service's terms want it.",
};

pub(super) static CONSENT: Key = Key {
    name: "consent",
    takes: Takes::Flag,
    without: Without::Told("`false`: nothing is asked"),
    says: "Weather: `true` says that the building's owner agrees that the service is told where \
           the building is.",
};

pub(super) static BUS_ID: Key = Key {
    name: "id",
    takes: Takes::Slug,
    without: Without::Mistake,
    says: "What the meters' sections call it.",
};

pub(super) static BUS_NAME: Key = Key {
    name: "name",
    takes: Takes::Text(80),
    without: Without::Told("its id"),
    says: "What people call it.",
};

pub(super) static KIND: Key = Key {
    name: "kind",
    takes: Takes::OneWord(&[
        "mbus", "modbus", "han", "wmbus", "mqtt", "onewire", "pulse", "weather",
    ]),
    without: Without::Mistake,
    says: "What is spoken on it: M-Bus, Modbus, what an electricity meter pushes at its customer port \
           (HAN, P1), wireless M-Bus, what sensors say to an MQTT broker, thermometers on a 1-Wire, pulses (S0), or the forecast of a weather service.",
};

pub(super) static PORT: Key = Key {
    name: "port",
    takes: Takes::Written("a port such as \"tcp://10.0.4.2:10001\" or \"serial:///dev/ttyUSB0\""),
    without: Without::Mistake,
    says: "Where it is plugged in. M-Bus: `tcp://HOST:PORT` for a converter that passes bytes \
           through, `udp://HOST:PORT` for one that sends and takes datagrams, \
           `serial:///dev/NAME` for a level converter on this machine. Modbus: \
           `tcp://HOST:PORT` for Modbus TCP, `rtu+tcp://HOST:PORT` for a converter that passes \
           Modbus RTU through, `serial:///dev/NAME` for RS-485 on this machine. HAN: \
           `serial:///dev/NAME` or `tcp://HOST:PORT`. Wireless M-Bus: `serial:///dev/NAME` of a \
           receiver, or `tcp://HOST:PORT` of what passes it on. MQTT: `mqtt://own`, the gateway's own broker, `mqtts://HOST:PORT` over TLS, \
           or `mqtt://HOST:PORT`. 1-Wire: the folder of its sensors, \
           `sysfs:///sys/bus/w1/devices`. Pulses: `gpio:///dev/gpiochip0`. Weather: \
           `https://api.met.no/weatherapi/locationforecast/2.0`.",
};

pub(super) static BAUD: Key = Key {
    name: "baud",
    takes: Takes::OneNumber(&[300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115_200]),
    without: Without::Told(
        "2400 on M-Bus, 9600 on Modbus; HAN: found by listening; wireless M-Bus: that of the \
                         receiver when it is new",
    ),
    says: "The rate of the wire itself, behind a converter too: time-outs follow from it.",
};

pub(super) static PARITY: Key = Key {
    name: "parity",
    takes: Takes::OneWord(&["even", "none", "odd"]),
    without: Without::Word("even"),
    says: "The parity of the serial line. HAN: found by listening if neither this nor `baud` is given.",
};

pub(super) static POLL_EVERY: Key = Key {
    name: "poll_every_secs",
    takes: Takes::Number(PollEvery::SECS.0, PollEvery::SECS.1),
    without: Without::Told("900; HAN, pulses: 60; 1-Wire: 300; weather: 3600"),
    says: "How often its meters are asked, counted from midnight; of meters that speak unasked, how \
           often what they say is stored.",
};

pub(super) static ANSWER_WITHIN: Key = Key {
    name: "answer_within_ms",
    takes: Takes::Number(50, 60_000),
    without: Without::Told("by the standard of the bus, and some more behind a converter"),
    says: "How long a meter may take to begin its answer.",
};

pub(super) static PAUSE_AFTER_CONNECT: Key = Key {
    name: "pause_after_connect_ms",
    takes: Takes::Number(0, 10_000),
    without: Without::Number(0),
    says: "How long the other end is left alone after a connection to it was made: some gateways \
           lose what they are asked before they are ready.",
};

pub(super) static MAX_UNIT_LOADS: Key = Key {
    name: "max_unit_loads",
    takes: Takes::Number(1, 1_000),
    without: Without::Told("what the wire carries is not judged"),
    says: "M-Bus: how many unit loads (1.5 mA each) its level converter is built for; it stands on \
           the converter. The wire doctor says when the meters have more.",
};

pub(super) static RECEIVER: Key = Key {
    name: "receiver",
    takes: Takes::OneWord(&["im871a", "amb8465", "cul", "lines"]),
    without: Without::Told("must be given for wireless M-Bus"),
    says: "Wireless M-Bus: which receiver it is. `im871a`: IMST iM871A or iM170A. `amb8465`: Amber or \
           Würth AMB8465, Metis. `cul`: CUL, nanoCUL and others with culfw. `lines`: whatever says \
           lines of text with a telegram in hex, such as rtl_wmbus behind a TCP port or receivers on \
           an MQTT broker.",
};

pub(super) static MODE: Key = Key {
    name: "mode",
    takes: Takes::OneWord(&["c+t", "c", "t", "s"]),
    without: Without::Word("c+t"),
    says: "Wireless M-Bus: which mode of its meters the receiver listens for. `c+t` is both on an \
           amb8465, and `t` on a receiver that hears one at a time.",
};

pub(super) static TOPIC: Key = Key {
    name: "topic",
    takes: Takes::Text(200),
    without: Without::Told("must be given for receivers that say what they hear on an MQTT broker"),
    says: "Wireless M-Bus over MQTT: under which topics the receivers say what they hear, such as \
           `wmbus/#`: `+` is one level of a topic, `#` all that follow.",
};

pub(super) static ENERGY_STEP: Key = Key {
    name: "energy_step_wh",
    takes: Takes::OneNumber(&[1, 10, 100, 1_000]),
    without: Without::Told("what the telegram or the maker's list tells"),
    says: "HAN: what one step of the energy registers of a Kamstrup is, in Wh: 1 in Sweden, and \
           in Denmark what the meter was set to, since its telegrams do not tell. Without it those \
           energies are noted and are no values. A Norwegian one counts 10 Wh by its list.",
};

pub(super) static METER: Table = Table {
    name: "meter",
    repeats: true,
    says: "A meter or sensor on one of the buses.",
    keys: &[
        &METER_ID,
        &METER_NAME,
        &METER_BUS,
        &ADDRESS,
        &SECONDARY,
        &COORDINATES,
        &PULSES_PER_UNIT,
        &PROFILE,
        &MEDIUM,
        &SERIAL,
        &ROOM,
        &TAGS,
        &PART_OF,
        &METER_POLL_EVERY,
        &UNIT_LOADS,
        &OUTDOOR,
        &SIMULATED,
    ],
};

pub(super) static METER_ID: Key = Key {
    name: "id",
    takes: Takes::Id,
    without: Without::Mistake,
    says: "The meter's id, for ever: it stays when the device is exchanged. `uuidgen -t7` makes \
           one.",
};

pub(super) static METER_NAME: Key = Key {
    name: "name",
    takes: Takes::Text(80),
    without: Without::Mistake,
    says: "What people call it.",
};

pub(super) static METER_BUS: Key = Key {
    name: "bus",
    takes: Takes::Slug,
    without: Without::Mistake,
    says: "The id of the bus it is on.",
};

pub(super) static ADDRESS: Key = Key {
    name: "address",
    takes: Takes::Written("an M-Bus primary address, 0 to 250, or a Modbus unit, 1 to 247"),
    without: Without::Told("`secondary` must be given; HAN, weather: none"),
    says: "MQTT: what the sensor is called in its topics. 1-Wire: the sensor's number, such as \"28-0316a2795bff\". Pulses: the number of its \
           line at the chip. M-Bus: its primary address. (251 to 255 are no single meter's: 253 is whichever one is \
           selected, 254 and 255 are all.) Modbus: its unit, or 255 for the device itself on \
           Modbus TCP.",
};

pub(super) static COORDINATES: Key = Key {
    name: "coordinates",
    takes: Takes::Written("a place such as \"59.91, 10.75\""),
    without: Without::Told("must be given for a weather service"),
    says: "Weather: latitude and longitude of the building in degrees and, if you like, its metres \
           above the sea. Two decimals are enough, and tell less; more than four are never sent.",
};

pub(super) static PULSES_PER_UNIT: Key = Key {
    name: "pulses_per_unit",
    takes: Takes::Written("how many pulses are one unit, such as \"1000\" or \"0.1\""),
    without: Without::Told("what the profile says"),
    says: "Pulses: how many of them are one unit of the meter's counter, as on its plate: `1000` \
           for 1000 imp/kWh.",
};

pub(super) static SECONDARY: Key = Key {
    name: "secondary",
    takes: Takes::Written(
        "a secondary address such as \"67001122\" or \"67001122KAM3504\": eight digits (F for \
         any), then maker, version and medium",
    ),
    without: Without::Told("`address` must be given; HAN: none"),
    says: "M-Bus: its secondary address, instead of `address`. Eight digits as on the meter, `F` \
           where any will do, then, if wanted, the maker's three letters, the version and the \
           medium, both in hexadecimal.",
};

pub(super) static PROFILE: Key = Key {
    name: "profile",
    takes: Takes::Written("a device profile such as \"kamstrup.multical-601\""),
    without: Without::Told("M-Bus: found by what the meter answers; Modbus: must be given"),
    says: "Which type of meter it is, and so what its numbers mean.",
};

pub(super) static MEDIUM: Key = Key {
    name: "medium",
    takes: Takes::OneWord(&[
        "heat",
        "electricity",
        "cooling",
        "water",
        "hot_water",
        "gas",
        "solar",
        "climate",
        "other",
    ]),
    without: Without::Told("what the profile or the meter's answer says"),
    says: "What it counts, where its answer does not say so, as a water meter on a warm pipe.",
};

pub(super) static SERIAL: Key = Key {
    name: "serial",
    takes: Takes::Text(40),
    without: Without::Told("any; another one begins a new series"),
    says: "The serial number it must tell. If another device answers, nothing of it is kept, and \
           the meter is shown as exchanged.",
};

pub(super) static ROOM: Key = Key {
    name: "place",
    takes: Takes::Text(120),
    without: Without::Told("not told"),
    says: "Where it is: `Teknisk rom, ved varmeveksleren`. The pages show it beside the name.",
};

pub(super) static TAGS: Key = Key {
    name: "tags",
    takes: Takes::Written(
        "a list of at most 8 words such as [\"riser A\", \"3rd floor\"], each of 1 to 40 characters",
    ),
    without: Without::Told("none"),
    says: "Words by which people group their meters.",
};

pub(super) static PART_OF: Key = Key {
    name: "part_of",
    takes: Takes::Id,
    without: Without::Told("part of no other"),
    says: "The id of the meter whose consumption includes this one's, as a flat's meter behind the \
           building's: the total of a medium counts only meters that are part of no other.",
};

pub(super) static METER_POLL_EVERY: Key = Key {
    name: "poll_every_secs",
    takes: Takes::Number(PollEvery::SECS.0, PollEvery::SECS.1),
    without: Without::Told("that of its bus"),
    says: "How often it is asked, counted from midnight.",
};

pub(super) static UNIT_LOADS: Key = Key {
    name: "unit_loads",
    takes: Takes::Number(1, 20),
    without: Without::Number(1),
    says: "M-Bus: how many unit loads it draws, as its data sheet says; most meters draw one.",
};

pub(super) static OUTDOOR: Key = Key {
    name: "outdoor",
    takes: Takes::Flag,
    without: Without::Told("`false`"),
    says: "Its temperature is that of the air outdoors, as of a thermometer at the north wall.",
};

pub(super) static SIMULATED: Key = Key {
    name: "simulated",
    takes: Takes::Flag,
    without: Without::Told("`false`"),
    says: "Marks its readings as simulated, for demonstrations and training.",
};

pub(super) static CLOUD: Table = Table {
    name: "cloud",
    repeats: false,
    says: "The portfolio service that the building's owner uses. Without it the gateway works on \
           its own.",
    keys: &[&URL, &LINE, &DATA, &PROXY, &PROXY_LOGIN, &REFERENCES, &REPORT_TIMEOUT, &PROBE_EVERY],
};

pub(super) static URL: Key = Key {
    name: "url",
    takes: Takes::Written("an address such as \"https://portfolio.example:9443\""),
    without: Without::Mistake,
    says: "Where gateways reach it.",
};

pub(super) static LINE: Key = Key {
    name: "profile",
    takes: Takes::OneWord(&["wired", "metered"]),
    without: Without::Word("wired"),
    says: "`metered` where each sent byte is paid for, as on a mobile line: sends and probes less \
           often.",
};

pub(super) static DATA: Key = Key {
    name: "data_mb_a_month",
    takes: Takes::Number(1, 1_000_000),
    without: Without::Told("no limit"),
    says: "How many megabytes may go to and from the portfolio in a calendar month, TLS and HTTP \
           included, TCP and IP not. The sync spreads them over the month and waits where they do \
           not suffice; the probes of the promise of uptime, about 28 MB on a metered line, go on \
           and are set aside.",
};

pub(super) static PROXY: Key = Key {
    name: "proxy",
    takes: Takes::Written("a proxy such as \"http://10.0.0.9:3128\""),
    without: Without::Told("straight"),
    says: "The HTTP proxy through which the portfolio is reached. It makes a tunnel (`CONNECT`) \
           and sees nothing of what goes through it.",
};

pub(super) static PROXY_LOGIN: Key = Key {
    name: "proxy_login_file",
    takes: Takes::Written("the path of a file, such as \"/var/lib/fyrhus/proxy.login\""),
    without: Without::Told("no name and password"),
    says: "The file with `NAME:PASSWORD` for the proxy, which the daemon's user alone may read. It \
           is read at each connecting.",
};

pub(super) static REFERENCES: Key = Key {
    name: "references",
    takes: Takes::Written("a list of at most 8 places such as [\"192.0.2.1:443\"]"),
    without: Without::Told("the default router and the name servers of this machine"),
    says: "What is tried while the portfolio cannot be reached, to tell its outage from one of \
           the building's own link. Only a TCP connection is made, and nothing is sent. Two have \
           to answer for the outage to count against the portfolio.",
};

pub(super) static REPORT_TIMEOUT: Key = Key {
    name: "report_timeout_s",
    takes: Takes::Number(5, 30),
    without: Without::Number(10),
    says: "How many seconds a report may take before it is an outage in the promise of uptime; what \
           was agreed.",
};

pub(super) static PROBE_EVERY: Key = Key {
    name: "probe_every_s",
    takes: Takes::Number(20, 120),
    without: Without::Told("20 on a wired line, 60 on a metered one"),
    says: "How many seconds lie between two questions for a report, while all is well; after a failure \
           it is 10. An answer speaks for 60 s on a wired line, so no more there; 120 on a metered one \
           halves what the probes cost, and outages of about two minutes cannot be told apart.",
};

pub(super) static BMS: Table = Table {
    name: "bms",
    repeats: false,
    says: "The gateway's values as a Modbus TCP server for the building's management system. It \
           can be read and never written. Without this section it is off.",
    keys: &[&BMS_LISTEN, &BMS_UNIT, &BMS_CLIENTS],
};

pub(super) static BMS_LISTEN: Key = Key {
    name: "listen",
    takes: Takes::Written("an address and a port such as \"10.0.4.2:502\""),
    without: Without::Mistake,
    says: "Where it listens; \"0.0.0.0:502\" is on every network that the gateway is on. Modbus \
           knows no passwords, so choose the network of the management system.",
};

pub(super) static BMS_UNIT: Key = Key {
    name: "unit",
    takes: Takes::Number(1, 244),
    without: Without::Number(1),
    says: "Its Modbus unit. 0 and 255 are answered too. A building with more than 4095 values \
           has the next ones on the next unit.",
};

pub(super) static BMS_CLIENTS: Key = Key {
    name: "clients",
    takes: Takes::Written("a list of at most 8 addresses such as [\"10.0.4.9\"]"),
    without: Without::Told("everybody on its network"),
    says: "Who may connect.",
};

pub(super) static USER: Key = Key {
    name: "user",
    takes: Takes::Text(64),
    without: Without::Told("nobody: the broker asks for none"),
    says: "MQTT: the gateway's name on the broker.",
};

pub(super) static PASSWORD_FILE: Key = Key {
    name: "password_file",
    takes: Takes::Written("the path of a file, such as \"/var/lib/fyrhus/house-broker.password\""),
    without: Without::Told("no password"),
    says: "MQTT: the file with the gateway's password on the broker, which the daemon's user alone \
           may read. It is read at each connecting.",
};

pub(super) static CA_FILE: Key = Key {
    name: "ca_file",
    takes: Takes::Written("the path of a file, such as \"/var/lib/fyrhus/house-ca.pem\""),
    without: Without::Told("whom the system trusts"),
    says: "MQTT over TLS: the certificate of whoever made the broker's, as PEM.",
};

pub(super) static BROKER: Table = Table {
    name: "broker",
    repeats: false,
    says: "An MQTT broker of the gateway's own, for the building's sensors and displays. Without \
           this section there is none. `fyrhus mqtt add` makes its users.",
    keys: &[&BROKER_LISTEN, &BROKER_PLAIN],
};

pub(super) static BROKER_LISTEN: Key = Key {
    name: "listen",
    takes: Takes::Written("an address and a port such as \"10.0.4.2:8883\""),
    without: Without::Told("not over TLS"),
    says: "Where it listens over TLS, with the certificate of the pages.",
};

pub(super) static BROKER_PLAIN: Key = Key {
    name: "plain",
    takes: Takes::Written("an address and a port such as \"10.0.4.2:1883\""),
    without: Without::Told("not in the clear"),
    says: "Where it listens in the clear, for sensors that have no TLS: an address of the network \
           that they are on, and of no other.",
};

pub(super) static PUBLISH: Table = Table {
    name: "publish",
    repeats: true,
    says: "A broker on which the gateway says its values.",
    keys: &[&PUBLISH_TO, &USER, &PASSWORD_FILE, &CA_FILE, &PREFIX, &DISCOVERY],
};

pub(super) static PUBLISH_TO: Key = Key {
    name: "to",
    takes: Takes::Written(
        "a broker such as \"mqtt://own\", \"mqtts://broker.local:8883\" or \
         \"mqtt://10.0.4.9:1883\"",
    ),
    without: Without::Mistake,
    says: "Which broker: `mqtt://own` is the gateway's, `mqtts://` goes over TLS.",
};

pub(super) static PREFIX: Key = Key {
    name: "prefix",
    takes: Takes::Text(64),
    without: Without::Word("fyrhus"),
    says: "What every topic begins with. Two gateways on one broker need two.",
};

pub(super) static DISCOVERY: Key = Key {
    name: "discovery",
    takes: Takes::OneWord(&["homeassistant", "none"]),
    without: Without::Word("homeassistant"),
    says: "Whether the values are announced as Home Assistant wants it.",
};
