//! What a telegram says: the object `mbus-decode/1` that programs get, and lines for people.
//!
//! The wire structs of that format are here and nowhere else. All of its keys are always there.

use mbus::radio::{Ell, Envelope, Heard, Link, RadioLink};
use mbus::{
    Content, DecodeError, Header, Id, Manufacturer, Medium, Record, Records, Secondary, ci,
};
use serde::Serialize;

use super::explained::{self, WirePiece};
use super::hex::to_hex;
use super::wrap::{plain, wrapped};

/// A telegram taken apart.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Decoded {
    schema: Schema,
    pub(super) ok: bool,
    error: Option<WireError>,
    link: Option<WireLink>,
    ci: Option<u8>,
    header: Option<WireHeader>,
    ell: Option<WireEll>,
    afl: Option<WireAfl>,
    encryption: Option<Encryption>,
    records: Vec<WireRecord>,
    more_records_follow: bool,
    manufacturer_data: Option<String>,
    application_error: Option<ApplicationError>,
    alarm: Option<Alarm>,
    /// Every byte with its meaning, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explain: Option<Vec<WirePiece>>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
enum Schema {
    #[default]
    #[serde(rename = "mbus-decode/1")]
    V1,
}

#[derive(Clone, Debug, Serialize)]
struct WireError {
    code: &'static str,
    offset: usize,
    message: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum WireLink {
    Ack,
    Short {
        control: u8,
        address: u8,
    },
    Control {
        control: u8,
        address: u8,
    },
    Long {
        control: u8,
        address: u8,
    },
    Wireless {
        format: &'static str,
        control: u8,
        #[serde(flatten)]
        meter: Identity,
    },
}

/// Who speaks, as far as it is told.
#[derive(Clone, Debug, Serialize)]
struct Identity {
    id: Option<String>,
    manufacturer: Option<String>,
    manufacturer_code: Option<u16>,
    version: Option<u8>,
    medium: Option<u8>,
    medium_name: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct WireHeader {
    #[serde(flatten)]
    meter: Identity,
    access_number: Option<u8>,
    status: Option<u8>,
    signature: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct WireEll {
    ci: u8,
    control: u8,
    access_number: u8,
    session_number: Option<u32>,
    encryption: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct WireAfl {
    fragment: u8,
    counter: Option<u32>,
    mac: Option<String>,
    mac_ok: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
struct Encryption {
    layer: &'static str,
    mode: u8,
    state: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct ApplicationError {
    code: Option<u8>,
    name: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Alarm {
    status: Option<u8>,
}

#[derive(Clone, Debug, Serialize)]
struct WireRecord {
    dib: String,
    vib: String,
    data: String,
    function: &'static str,
    storage: u64,
    tariff: u64,
    subunit: u64,
    quantity: &'static str,
    unit: Option<String>,
    modifiers: Vec<String>,
    #[serde(rename = "type")]
    data_type: &'static str,
    value: Option<String>,
    exponent: Option<i8>,
    valid: bool,
    error: Option<&'static str>,
}

impl Decoded {
    /// What is no telegram at all.
    pub(super) fn refused(code: &'static str, offset: usize, message: String) -> Self {
        Self { error: Some(WireError { code, offset, message }), ..Self::default() }
    }

    pub(super) fn of(heard: &Heard<'_>) -> Self {
        let Envelope { link, ell, afl, mac_ok, ci, encryption, .. } = heard.envelope;
        let mut decoded = Self {
            link: link.as_ref().map(WireLink::of),
            ci,
            header: WireHeader::of(&heard.envelope),
            ell: ell.as_ref().map(WireEll::of),
            afl: afl.map(|it| WireAfl {
                fragment: it.fragment,
                counter: it.counter,
                mac: it.mac.map(|mac| to_hex(mac.bytes())),
                mac_ok,
            }),
            encryption: encryption.map(|it| Encryption {
                layer: it.layer.as_str(),
                mode: it.mode,
                state: it.state.as_str(),
            }),
            ..Self::default()
        };
        match &heard.content {
            Ok(Content::Records(records)) => decoded.records(records.clone()),
            Ok(Content::Error(error)) => {
                let (code, name) = (error.0, error.name());
                decoded.application_error = Some(ApplicationError { code, name });
            }
            Ok(Content::Alarm(status)) => decoded.alarm = Some(Alarm { status: *status }),
            Ok(Content::Sealed(sealed)) => decoded.fail(sealed.error()),
            Err(error) => decoded.fail(*error),
        }
        decoded.ok = decoded.error.is_none();
        decoded
    }

    fn records(&mut self, mut records: Records<'_>) {
        for record in records.by_ref() {
            match record {
                Ok(record) => self.records.push(WireRecord::of(&record)),
                Err(error) => self.fail(error),
            }
        }
        if let Some(trailer) = records.trailer() {
            self.manufacturer_data = Some(to_hex(trailer.manufacturer_data));
            self.more_records_follow = trailer.more_follow;
        }
    }

    fn fail(&mut self, error: DecodeError) {
        let message = error.flaw.to_string();
        self.error = Some(WireError { code: error.flaw.code(), offset: error.at, message });
    }

    /// For people: who speaks, a line for each record, and what is wrong; before them each byte
    /// with its meaning, if that was asked for.
    pub(super) fn for_people(&self) -> String {
        let mut text = String::new();
        if let Some(pieces) = self.explain.as_ref().filter(|it| !it.is_empty()) {
            text.push_str(&explained::for_people(pieces));
        }
        self.head(&mut text);
        for record in &self.records {
            text.push_str(&record.for_people());
        }
        if let Some(data) = self.manufacturer_data.as_ref().filter(|it| !it.is_empty()) {
            text.push_str(&wrapped("  the maker's own data             ", data));
        }
        if let Some(error) = &self.application_error {
            let name = error.name.replace('_', " ");
            text.push_str(&wrapped("", &format!("the meter refuses: {name}")));
        }
        if let Some(alarm) = &self.alarm {
            let status = alarm.status.map_or("without a byte".to_owned(), |it| format!("{it:08b}"));
            text.push_str(&wrapped("", &format!("alarm of the meter, bits {status}")));
        }
        if self.more_records_follow {
            text.push_str("the meter has another telegram\n");
        }
        if let Some(WireError { code, offset, message }) = &self.error {
            let place = match *code {
                "empty" | "hex" | "key" => String::new(),
                _ => format!("byte {offset}: "),
            };
            text.push_str(&wrapped("not read: ", &plain(&format!("{place}{message}"))));
        }
        text
    }

    /// Who speaks, and how.
    fn head(&self, text: &mut String) {
        let meter = match (&self.header, &self.link) {
            (Some(header), _) => Some((&header.meter, header.status)),
            (None, Some(WireLink::Wireless { meter, .. })) => Some((meter, None)),
            _ => None,
        };
        if let Some((meter, status)) = meter {
            let mut words = meter.words();
            if let Some(status) = status.filter(|it| *it != 0) {
                words.push(mbus::explain::Meaning::Status(mbus::Status(status)).to_string());
            }
            text.push_str(&wrapped("", &words.join("  ")));
        } else if let Some(link) = &self.link
            && self.ok
            && self.records.is_empty()
        {
            text.push_str(&wrapped("", &link.words()));
        }
        if let Some(Encryption { layer, mode, state }) = &self.encryption {
            let layer = if *layer == "ell" { "link layer" } else { "records" };
            let state = match *state {
                "plain_marked" => "not encrypted, though they say so",
                "key_missing" => "encrypted, and no key was given",
                "key_wrong" => "encrypted, and no key fits",
                "unsupported" => "encrypted in a way that is not read here",
                _ => "decrypted",
            };
            text.push_str(&wrapped("", &format!("{layer} (mode {mode}): {state}")));
        }
    }
}

impl WireLink {
    fn of(link: &Link) -> Self {
        match *link {
            Link::Ack => Self::Ack,
            Link::Short { control, address } => {
                Self::Short { control: control.0, address: address.0 }
            }
            Link::Control { control, address } => {
                Self::Control { control: control.0, address: address.0 }
            }
            Link::Long { control, address } => {
                Self::Long { control: control.0, address: address.0 }
            }
            Link::Radio(RadioLink { framing, control, address }) => Self::Wireless {
                format: framing.as_str(),
                control: control.0,
                meter: Identity::of(&address),
            },
        }
    }

    /// For frames that say no more than that.
    fn words(&self) -> String {
        use mbus::explain::Meaning;

        let (control, address) = match *self {
            Self::Ack => return Meaning::Ack.to_string(),
            Self::Wireless { .. } => return "radio frame".to_owned(),
            Self::Short { control, address }
            | Self::Control { control, address }
            | Self::Long { control, address } => (control, address),
        };
        let control = Meaning::Control(mbus::Control(control));
        let address = Meaning::Address(mbus::Primary(address));
        format!("{control}; {address}")
    }
}

impl Identity {
    fn of(meter: &Secondary) -> Self {
        let Secondary { id, manufacturer, version, medium } = *meter;
        Self::told(Some(id), Some(manufacturer), Some(version), Some(medium))
    }

    fn told(
        id: Option<Id>,
        manufacturer: Option<Manufacturer>,
        version: Option<u8>,
        medium: Option<Medium>,
    ) -> Self {
        Self {
            id: id.map(|id| id.to_string()),
            manufacturer: manufacturer.and_then(Manufacturer::letters).map(String::from_iter),
            manufacturer_code: manufacturer.map(|it| it.0),
            version,
            medium: medium.map(Medium::code),
            medium_name: medium.map(Medium::name),
        }
    }

    /// What of it is told, for people.
    fn words(&self) -> Vec<String> {
        let Self { id, manufacturer, manufacturer_code, version, medium, medium_name } = self;
        let maker = match (manufacturer, manufacturer_code) {
            (Some(letters), _) => Some(letters.clone()),
            (None, code) => code.map(|code| format!("{code:04X}")),
        };
        let medium = match (medium, medium_name) {
            (Some(code), Some("reserved")) => Some(format!("{code:02X}")),
            (_, name) => name.map(|name| name.replace('_', " ")),
        };
        let told = [
            ("meter", id.clone()),
            ("maker", maker),
            ("version", version.map(|it| format!("{it:02X}"))),
            ("medium", medium),
        ];
        let words = told.into_iter().filter_map(|(name, told)| Some(format!("{name} {}", told?)));
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            vec!["a meter that does not say who it is".to_owned()]
        } else {
            words
        }
    }
}

impl WireHeader {
    fn of(envelope: &Envelope) -> Option<Self> {
        if let Some(header) = &envelope.header {
            let Header { id, manufacturer, version, medium, access_number, status, configuration } =
                *header;
            return Some(Self {
                meter: Identity::told(id, manufacturer, version, medium),
                access_number: Some(access_number),
                status: Some(status.0),
                signature: configuration.map(|it| format!("{:04X}", it.0)),
            });
        }
        // By radio a telegram without a header has that of its link.
        match (envelope.link, envelope.ci, envelope.meter) {
            (Some(Link::Radio(_)), Some(ci::RECORDS_WITHOUT_HEADER | 0x79), Some(meter)) => {
                let meter = Identity::of(&meter);
                Some(Self { meter, access_number: None, status: None, signature: None })
            }
            _ => None,
        }
    }
}

impl WireEll {
    fn of(ell: &Ell) -> Self {
        Self {
            ci: ell.ci(),
            control: ell.control,
            access_number: ell.access_number,
            session_number: ell.session.map(|it| it.0),
            encryption: ell.encryption(),
        }
    }
}

impl WireRecord {
    fn of(record: &Record<'_>) -> Self {
        let value = record.value();
        let data_type = record.data_type();
        let shown = match &value {
            Ok(mbus::Value::None) | Err(_) => None,
            Ok(value) => Some(value.to_string()),
        };
        Self {
            dib: to_hex(record.dib_bytes()),
            vib: to_hex(record.vib.bytes()),
            data: to_hex(record.data()),
            function: record.dib.function.as_str(),
            storage: record.dib.storage.get(),
            tariff: record.dib.tariff.get(),
            subunit: record.dib.subunit.get(),
            quantity: record.vib.quantity.as_str(),
            unit: (!record.vib.unit.is_none()).then(|| record.vib.unit.to_string()),
            modifiers: record.vib.modifiers().map(|it| it.to_string()).collect(),
            data_type: data_type.as_str(),
            value: shown,
            exponent: data_type.is_number().then_some(record.vib.exponent),
            valid: value.is_ok(),
            error: value.err().map(mbus::Invalid::code),
        }
    }

    /// What it is of, the value, and which of several.
    fn for_people(&self) -> String {
        let value = match (&self.value, self.error) {
            (Some(value), _) => plain(value),
            (None, Some(error)) => format!("({})", error.replace('_', " ")),
            (None, None) => "-".to_owned(),
        };
        let unit = self.unit.as_deref().map(plain).unwrap_or_default();
        let value = format!("{value} {unit}").trim_end().to_owned();
        let mut which = Vec::new();
        match self.function {
            "instantaneous" => {}
            "error" => which.push("during an error".to_owned()),
            function => which.push(function.to_owned()),
        }
        for (name, number) in
            [("storage", self.storage), ("tariff", self.tariff), ("subunit", self.subunit)]
        {
            if number != 0 {
                which.push(format!("{name} {number}"));
            }
        }
        // What a power of ten or a unit does is in the number and its unit already.
        let shown = |it: &&String| !it.starts_with("factor:") && !it.starts_with("unit:");
        which.extend(self.modifiers.iter().filter(shown).map(|it| it.replace(['_', ':'], " ")));
        let quantity = self.quantity.replace('_', " ");
        let head = format!("  {quantity:<24} ");
        match which.as_slice() {
            [] => wrapped(&head, &value),
            which => wrapped(&head, &format!("{value:<20}  {}", which.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use mbus::radio::{Format, Listener, Scratch};
    use serde_json::{Value, json};

    use super::super::hex::Written;
    use super::*;

    const VOLUMES: &str =
        "68 13 13 68 08 05 73 78 56 34 12 0A 00 E9 7E 01 00 00 00 35 01 00 00 3C 16";

    fn decoded(line: &str) -> Decoded {
        let bytes = Written::read(line).bytes.unwrap();
        let mut table = [Format::EMPTY; 1];
        let mut scratch = Scratch::new();
        Decoded::of(&Listener::new(&mut table).hear(&bytes, &[][..], &mut scratch))
    }

    fn object(line: &str) -> Value {
        serde_json::to_value(decoded(line)).unwrap()
    }

    #[test]
    fn a_fixed_telegram_tells_two_volumes() {
        let decoded = object(VOLUMES);
        assert_eq!(decoded["ok"], json!(true));
        assert_eq!(decoded["header"]["id"], json!("12345678"));
        assert_eq!(decoded["header"]["medium"], json!(7));
        let records = decoded["records"].as_array().unwrap();
        let told: Vec<_> =
            records.iter().map(|it| (&it["quantity"], &it["value"], &it["storage"])).collect();
        assert_eq!(
            told,
            [
                (&json!("volume"), &json!("0.001"), &json!(0)),
                (&json!("volume"), &json!("0.135"), &json!(1)),
            ]
        );
    }

    #[test]
    fn people_read_a_line_for_each_record() {
        assert_eq!(
            decoded(VOLUMES).for_people(),
            "meter 12345678  medium water\n  \
             volume                   0.001 m3\n  \
             volume                   0.135 m3              storage 1\n"
        );
        assert_eq!(
            decoded("68 13 13 68 08").for_people(),
            "not read: byte 5: the telegram ends inside the frame\n"
        );
        assert_eq!(
            decoded("10 5B 05 60 16").for_people(),
            "REQ_UD2, to the meter: your data, please; primary address 5\n"
        );
    }

    #[test]
    fn all_keys_are_always_there() {
        for line in ["E5", "105B056016", "68 13 13 68 08", VOLUMES, "0044"] {
            assert_eq!(object(line).as_object().unwrap().len(), 14, "{line}");
        }
        assert_eq!(object("e5")["link"], json!({"type": "ack"}));
        assert_eq!(
            object("105B056016")["link"],
            json!({"type": "short", "control": 91, "address": 5})
        );
    }
}
