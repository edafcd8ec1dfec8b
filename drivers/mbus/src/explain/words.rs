//! What a meaning is in words: short, plain, and one line.

use core::fmt::{self, Write as _};

use super::{Meaning, Vif, Wanted};
use crate::{
    ApplicationError, Configuration, Control, DataType, Encoding, Function, Id, Manufacturer,
    Medium, Modifier, Number, Primary, Quantity, Record, Status, Value, ci, vib,
};

impl Meaning<'_> {
    /// A code for programs, which stays as it is when the words change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::ShortStart | Self::LongStart => "start",
            Self::Length(_) => "length",
            Self::LengthAgain { .. } => "length_again",
            Self::StartAgain { .. } => "start_again",
            Self::Control(_) => "control",
            Self::Address(_) => "address",
            Self::Ci(_) | Self::RadioCi(_) => "ci",
            Self::Checksum { .. } => "checksum",
            Self::Stop { .. } => "stop",
            Self::RadioLength(_) => "radio_length",
            Self::RadioControl(_) => "radio_control",
            Self::BlockChecksum => "block_checksum",
            Self::EllControl(_) => "ell_control",
            Self::Session(_) => "session",
            Self::PayloadChecksum => "payload_checksum",
            Self::AflLength(_) => "afl_length",
            Self::AflFragment(_) => "afl_fragment",
            Self::AflControl => "afl_control",
            Self::AflKeyInformation => "afl_key_information",
            Self::AflCounter(_) => "afl_counter",
            Self::AflMac { .. } => "afl_mac",
            Self::AflMessageLength => "afl_message_length",
            Self::Id(_) | Self::Wanted(Wanted::Id(_)) => "id",
            Self::Manufacturer(_) | Self::Wanted(Wanted::Manufacturer(_)) => "manufacturer",
            Self::Version(_) | Self::Wanted(Wanted::Version(_)) => "version",
            Self::Medium(_) | Self::Wanted(Wanted::Medium(_)) => "medium",
            Self::AccessNumber(_) => "access_number",
            Self::Status(_) => "status",
            Self::Configuration(_) => "configuration",
            Self::ConfigurationExtension => "configuration_extension",
            Self::FixedUnit { .. } => "fixed_unit",
            Self::ApplicationReset(_) => "application_reset",
            Self::ApplicationError(_) => "application_error",
            Self::Alarm(_) => "alarm",
            Self::Filler => "filler",
            Self::Dif(_) => "dif",
            Self::Dife { .. } => "dife",
            Self::Vif(_) => "vif",
            Self::VifTable(_) => "vif_table",
            Self::UnitLength(_) => "unit_length",
            Self::UnitText(_) => "unit_text",
            Self::Vife(_) => "vife",
            Self::Lvar(_) => "lvar",
            Self::Data(_) | Self::Told(_) => "data",
            Self::FormatSignature(_) => "format_signature",
            Self::FullChecksum => "full_checksum",
            Self::CompactData => "compact_data",
            Self::GlobalReadout => "global_readout",
            Self::ManufacturerMark { .. } => "manufacturer_mark",
            Self::ManufacturerData => "manufacturer_data",
            Self::Sealed { .. } => "encrypted",
            Self::Broken { .. } => "broken",
            Self::Unknown => "unknown",
            Self::Surplus => "surplus",
            Self::NoFrame => "no_frame",
        }
    }

    /// Whether it says that something is wrong with the bytes.
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::LengthAgain { same: right }
            | Self::StartAgain { right }
            | Self::Stop { right }
            | Self::AflMac { right: Some(right) } => !*right,
            Self::Checksum { right, found } => *right != *found,
            Self::Broken { .. } | Self::Surplus | Self::NoFrame => true,
            _ => false,
        }
    }
}

impl fmt::Display for Meaning<'_> {
    #[expect(clippy::too_many_lines, reason = "a line or two for each meaning")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ack => f.write_str("acknowledge: understood"),
            Self::ShortStart => f.write_str("start of a short frame"),
            Self::LongStart => f.write_str("start of a long frame"),
            Self::Length(len) => {
                write!(f, "length: {len} bytes from control to the last of the data")
            }
            Self::LengthAgain { same: true } => f.write_str("the length again"),
            Self::LengthAgain { same: false } => f.write_str("WRONG: should be the length again"),
            Self::StartAgain { right: true } => f.write_str("the start again"),
            Self::StartAgain { right: false } => {
                f.write_str("WRONG: should be the start again, 68")
            }
            Self::Control(control) => describe_control(f, control),
            Self::Address(address) => describe_address(f, address),
            Self::RadioCi(ci::FIXED) => f.write_str("compact records behind the long header"),
            Self::RadioCi(ci::FIXED_MSB_FIRST) => f.write_str("reserved by radio"),
            Self::Ci(ci) | Self::RadioCi(ci) => f.write_str(name_of_ci(ci)),
            Self::Checksum { right, found } if right == found => f.write_str("checksum, right"),
            Self::Checksum { right, .. } => write!(f, "WRONG checksum: should be {right:02X}"),
            Self::Stop { right: true } => f.write_str("end of the frame"),
            Self::Stop { right: false } => f.write_str("WRONG: should be the end of the frame, 16"),

            Self::RadioLength(len) => write!(f, "length: {len} bytes follow"),
            Self::RadioControl(control) => f.write_str(name_of_radio_control(control.0)),
            Self::BlockChecksum => f.write_str("checksum of the block before, right"),
            Self::EllControl(control) => describe_ell_control(f, control),
            Self::Session(session) => {
                let encrypted = match session.mode() {
                    0 => "not encrypted",
                    1 => "AES, counter mode",
                    _ => "reserved encryption",
                };
                write!(f, "session number {:08X}, {encrypted}", session.0)
            }
            Self::PayloadChecksum => f.write_str("checksum of what follows"),
            Self::AflLength(len) => write!(f, "length of this layer: {len} bytes"),
            Self::AflFragment(0) => f.write_str("whole message; which fields follow"),
            Self::AflFragment(number) => write!(f, "fragment {number}; which fields follow"),
            Self::AflControl => f.write_str("how the message is authenticated"),
            Self::AflKeyInformation => f.write_str("which key"),
            Self::AflCounter(counter) => write!(f, "message counter {counter}"),
            Self::AflMac { right: Some(true) } => f.write_str("authentication code, right"),
            Self::AflMac { right: Some(false) } => f.write_str("WRONG authentication code"),
            Self::AflMac { right: None } => f.write_str("authentication code, not checked"),
            Self::AflMessageLength => f.write_str("length of the whole message"),

            Self::Id(Id(id)) => write!(f, "meter number {id:08X}"),
            Self::Manufacturer(maker) => write!(f, "maker {maker}"),
            Self::Version(version) => write!(f, "version {version} of the maker's type"),
            Self::Medium(medium) => describe_medium(f, medium),
            Self::AccessNumber(number) => write!(f, "access number {number}: counts the answers"),
            Self::Status(status) => describe_status(f, status),
            Self::Configuration(field) => describe_configuration(f, field),
            Self::ConfigurationExtension => f.write_str("key derivation of mode 7"),
            Self::FixedUnit { counter, ref record } => {
                write!(f, "counter {counter}: ")?;
                spaced(f, record.vib.quantity.as_str())?;
                if !record.vib.unit.is_none() {
                    let step = Number::Integer { mantissa: 1, exponent: record.vib.exponent };
                    write!(f, ", steps of {step} {}", record.vib.unit)?;
                }
                f.write_str("; medium in the top 2 bits")
            }

            Self::Wanted(wanted) => describe_wanted(f, wanted),
            Self::ApplicationReset(kind) => write!(f, "begin with telegram type {kind:02X}"),
            Self::ApplicationError(ApplicationError(code)) => {
                f.write_str("the meter refuses: ")?;
                spaced(f, ApplicationError(code).name())
            }
            Self::Alarm(bits) => write!(f, "alarm bits {bits:08b}, the maker's own"),

            Self::Filler => f.write_str("filler"),
            Self::Dif(dif) => describe_dif(f, dif),
            Self::Dife { dife, place } => describe_dife(f, dife, place),
            Self::Vif(ref vif) => vif.fmt(f),
            Self::VifTable(table) => write!(f, "the code is of table {table:02X}"),
            Self::UnitLength(len) => write!(f, "a unit in plain text, {len} characters"),
            Self::UnitText(text) => {
                f.write_str("unit \"")?;
                printable(f, text.chars())?;
                f.write_str("\", last character first")
            }
            Self::Vife(modifier) => describe_modifier(f, modifier),
            Self::Lvar(lvar) => describe_lvar(f, lvar),
            Self::Data(ref record) => describe_data(f, record),
            Self::Told(ref record) => {
                spaced(f, record.vib.quantity.as_str())?;
                f.write_str(" ")?;
                describe_data(f, record)
            }
            Self::FormatSignature(signature) => write!(f, "records of format {signature:04X}"),
            Self::FullChecksum => f.write_str("checksum of the full frame"),
            Self::CompactData => {
                f.write_str("values whose meaning only a full frame of this meter tells")
            }
            Self::GlobalReadout => f.write_str("all records, please"),
            Self::ManufacturerMark { more_follow: false } => {
                f.write_str("the rest is the maker's own")
            }
            Self::ManufacturerMark { more_follow: true } => {
                f.write_str("another telegram follows; the rest is the maker's own")
            }
            Self::ManufacturerData => f.write_str("the maker's own"),

            Self::Sealed { mode } => write!(f, "encrypted in mode {mode}"),
            Self::Broken { at, flaw } => write!(f, "NOT READ: byte {at}: {flaw}"),
            Self::Unknown => f.write_str("not read: no meaning known here"),
            Self::Surplus => f.write_str("WRONG: behind the end of the frame"),
            Self::NoFrame => f.write_str("NOT READ: no frame begins like this"),
        }
    }
}

fn describe_control(f: &mut fmt::Formatter<'_>, control: Control) -> fmt::Result {
    let (name, bits) = if control.is(Control::SND_NKE) {
        ("SND_NKE, to the meter: start over", ["", ""])
    } else if control.is(Control::SND_UD) {
        ("SND_UD, to the meter: take this", FRAME_COUNT)
    } else if control.is(Control::REQ_UD2) {
        ("REQ_UD2, to the meter: your data, please", FRAME_COUNT)
    } else if control.is(Control::REQ_UD1) {
        ("REQ_UD1, to the meter: your alarm, please", FRAME_COUNT)
    } else if control.is(Control::RSP_UD) {
        ("RSP_UD, from the meter: here is my data", ["alarm waits (ACD)", "is full (DFC)"])
    } else if control.to_meter() {
        ("to the meter, function not known", ["", ""])
    } else {
        ("from the meter, function not known", ["", ""])
    };
    f.write_str(name)?;
    let [high, low] = bits;
    for (bit, name) in [(5, high), (4, low)] {
        if control.0 >> bit & 1 == 1 && !name.is_empty() {
            write!(f, ", {name}")?;
        }
    }
    Ok(())
}

const FRAME_COUNT: [&str; 2] = ["count bit (FCB) 1", ""];

const fn name_of_radio_control(control: u8) -> &'static str {
    match control {
        0x44 => "SND_NR: sent unasked",
        0x46 => "SND_IR: wants to be installed",
        0x47 => "ACC_NR: can be asked now",
        0x48 => "ACC_DMD: wants to be asked",
        0x08 | 0x18 | 0x28 | 0x38 => "RSP_UD: here is my data",
        0x00 => "ACK: understood",
        0x06 => "CNF_IR: installed",
        0x40 => "SND_NKE: end of the exchange",
        0x43 | 0x53 | 0x73 => "SND_UD: take this",
        0x5A | 0x7A => "REQ_UD1: your alarm, please",
        0x5B | 0x7B => "REQ_UD2: your data, please",
        _ => "function not known",
    }
}

/// Bits: 7 both ways, 6 slow answer, 5 synchronous, 4 hop, 3 priority, 2 access, 1 repeated.
fn describe_ell_control(f: &mut fmt::Formatter<'_>, control: u8) -> fmt::Result {
    f.write_str("communication: ")?;
    let told = [
        (7, "both ways"),
        (6, "delayed answer"),
        (5, "synchronous"),
        (4, "hop"),
        (3, "priority"),
        (2, "open for a request"),
        (1, "repeated"),
    ];
    let mut any = false;
    for (_, name) in told.into_iter().filter(|(bit, _)| control >> bit & 1 == 1) {
        f.write_str(if any { ", " } else { "" })?;
        f.write_str(name)?;
        any = true;
    }
    if any { Ok(()) } else { f.write_str("one way") }
}

fn describe_address(f: &mut fmt::Formatter<'_>, address: Primary) -> fmt::Result {
    match address.0 {
        0 => f.write_str("primary address 0: as from the factory"),
        251 | 252 => write!(f, "address {address}: reserved"),
        253 => f.write_str("address 253: whoever is selected"),
        254 => f.write_str("address 254: everybody, and everybody answers"),
        255 => f.write_str("address 255: everybody, and nobody answers"),
        number => write!(f, "primary address {number}"),
    }
}

/// In more words than [`ci::name`] has, where the pieces behind it say more, too.
const fn name_of_ci(code: u8) -> &'static str {
    match code {
        ci::APPLICATION_RESET => "application reset",
        ci::DATA => "records for the meter",
        ci::SELECT => "selection by secondary address",
        ci::RECORDS => "records behind the long header",
        ci::FIXED => "fixed structure: two counters",
        ci::RECORDS_MSB_FIRST => "records behind the long header, high byte first",
        ci::FIXED_MSB_FIRST => "fixed structure, high byte first",
        ci::RECORDS_WITHOUT_HEADER => "records without a header",
        0x79 => "compact records without a header",
        ci::RECORDS_SHORT_HEADER => "records behind the short header",
        0x7B => "compact records behind the short header",
        0x8C => "extended link layer",
        0x8D => "extended link layer with a session",
        0x8E => "extended link layer with the meter's address",
        0x8F => "extended link layer with address and session",
        0x90 => "authentication and fragmentation layer",
        0xB8 => "talk at 300 baud",
        0xB9 => "talk at 600 baud",
        0xBA => "talk at 1200 baud",
        0xBB => "talk at 2400 baud",
        0xBC => "talk at 4800 baud",
        0xBD => "talk at 9600 baud",
        0xBE => "talk at 19200 baud",
        0xBF => "talk at 38400 baud",
        _ => ci::name(code),
    }
}

fn describe_medium(f: &mut fmt::Formatter<'_>, medium: Medium) -> fmt::Result {
    f.write_str("medium: ")?;
    spaced(f, medium.name())
}

fn describe_status(f: &mut fmt::Formatter<'_>, status: Status) -> fmt::Result {
    f.write_str("status: ")?;
    let application = match status.0 & 0b11 {
        0 => "",
        1 => "application busy",
        2 => "application error",
        _ => "alarm or abnormal condition",
    };
    let told = [
        (!application.is_empty(), application),
        (status.power_low(), "power low"),
        (status.permanent_error(), "permanent error"),
        (status.temporary_error(), "temporary error"),
        (status.0 & 0b1110_0000 != 0, "bits of the maker's own"),
    ];
    let mut any = false;
    for (_, name) in told.into_iter().filter(|(set, _)| *set) {
        f.write_str(if any { ", " } else { "" })?;
        f.write_str(name)?;
        any = true;
    }
    if any { Ok(()) } else { f.write_str("nothing to report") }
}

fn describe_configuration(f: &mut fmt::Formatter<'_>, field: Configuration) -> fmt::Result {
    match field.mode() {
        0 => f.write_str("configuration: not encrypted"),
        mode @ (5 | 7) => {
            write!(f, "configuration: mode {mode}, {} blocks of 16 encrypted", field.blocks())
        }
        mode if field.is_encrypted_on_a_wire() => {
            write!(f, "configuration: encryption mode {mode}")
        }
        _ => f.write_str("configuration: no encryption known"),
    }
}

fn describe_wanted(f: &mut fmt::Formatter<'_>, wanted: Wanted) -> fmt::Result {
    match wanted {
        Wanted::Id(u32::MAX) => f.write_str("any meter number"),
        Wanted::Id(id) => write!(f, "meter number {id:08X} (F: any digit)"),
        Wanted::Manufacturer(u16::MAX) => f.write_str("any maker"),
        Wanted::Manufacturer(code) => write!(f, "maker {}", Manufacturer(code)),
        Wanted::Version(u8::MAX) => f.write_str("any version"),
        Wanted::Version(version) => write!(f, "version {version}"),
        Wanted::Medium(u8::MAX) => f.write_str("any medium"),
        Wanted::Medium(medium) => describe_medium(f, Medium::new(medium)),
    }
}

fn describe_dif(f: &mut fmt::Formatter<'_>, dif: u8) -> fmt::Result {
    f.write_str(match Encoding::ALL.get(usize::from(dif & 0x0F)) {
        Some(Encoding::Nothing) => "no data",
        Some(Encoding::Int8) => "8-bit integer",
        Some(Encoding::Int16) => "16-bit integer",
        Some(Encoding::Int24) => "24-bit integer",
        Some(Encoding::Int32) => "32-bit integer",
        Some(Encoding::Real32) => "32-bit real number",
        Some(Encoding::Int48) => "48-bit integer",
        Some(Encoding::Int64) => "64-bit integer",
        Some(Encoding::Selection) => "selection for readout",
        Some(Encoding::Bcd2) => "2 decimal digits",
        Some(Encoding::Bcd4) => "4 decimal digits",
        Some(Encoding::Bcd6) => "6 decimal digits",
        Some(Encoding::Bcd8) => "8 decimal digits",
        Some(Encoding::Variable) => "variable length",
        Some(Encoding::Bcd12) => "12 decimal digits",
        None => "reserved",
    })?;
    f.write_str(match Function::of(dif) {
        Function::Instantaneous => ", current value",
        Function::Maximum => ", maximum",
        Function::Minimum => ", minimum",
        Function::DuringError => ", value during an error",
    })?;
    if dif & 0b0100_0000 != 0 {
        f.write_str(", storage +1")?;
    }
    more(f, dif, "DIFE")
}

fn describe_dife(f: &mut fmt::Formatter<'_>, dife: u8, place: u8) -> fmt::Result {
    let place = u32::from(place);
    let added = [
        ("storage", u64::from(dife & 0b1111) << (1 + 4 * place)),
        ("tariff", u64::from(dife >> 4 & 0b11) << (2 * place)),
        ("subunit", u64::from(dife >> 6 & 0b1) << place),
    ];
    let mut any = false;
    for (name, number) in added.into_iter().filter(|(_, number)| *number != 0) {
        f.write_str(if any { ", " } else { "" })?;
        write!(f, "{name} +{number}")?;
        any = true;
    }
    if !any {
        f.write_str("nothing to add")?;
    }
    more(f, dife, "DIFE")
}

fn more(f: &mut fmt::Formatter<'_>, byte: u8, name: &str) -> fmt::Result {
    if byte & 0b1000_0000 == 0 { Ok(()) } else { write!(f, "; a {name} follows") }
}

impl fmt::Display for Vif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vib::Meaning { quantity, unit, exponent, .. } = self.meaning;
        match quantity {
            Quantity::Unknown => f.write_str("code that is reserved")?,
            Quantity::ManufacturerSpecific => f.write_str("the maker's own quantity")?,
            Quantity::PlainText => f.write_str("quantity told by its unit, in plain text")?,
            Quantity::Any => f.write_str("any quantity")?,
            _ => spaced(f, quantity.as_str())?,
        }
        let step = Number::Integer { mantissa: 1, exponent };
        match (unit.as_str(), exponent) {
            ("", 0) => {}
            ("", _) => write!(f, ", steps of {step}")?,
            (unit, 0) => write!(f, " in {unit}")?,
            (unit, _) => write!(f, ", steps of {step} {unit}")?,
        }
        if self.more { f.write_str("; a VIFE follows") } else { Ok(()) }
    }
}

fn describe_modifier(f: &mut fmt::Formatter<'_>, modifier: Modifier) -> fmt::Result {
    let factor = (0x70..=0x77).find(|code| Modifier::of(*code) == modifier);
    if let Some(code) = factor {
        return write!(f, "times 10^{}", i16::from(code) - 0x76);
    }
    if modifier == Modifier::of(0x7D) {
        return f.write_str("times 10^3");
    }
    write!(Spaced(f), "{modifier}")
}

fn describe_lvar(f: &mut fmt::Formatter<'_>, lvar: u8) -> fmt::Result {
    match lvar {
        0x00..=0xBF => write!(f, "text of {lvar} characters, last one first"),
        0xC0..=0xC9 => write!(f, "{} decimal digits", 2 * (lvar & 0x0F)),
        0xD0..=0xD9 => write!(f, "{} decimal digits, negative", 2 * (lvar & 0x0F)),
        0xE0..=0xEF => write!(f, "{} bytes as they are", lvar & 0x0F),
        0xF0..=0xF4 => write!(f, "{} bytes as they are", 4 * (lvar - 0xEC)),
        0xF5 => f.write_str("48 bytes as they are"),
        0xF6 => f.write_str("64 bytes as they are"),
        _ => f.write_str("reserved length"),
    }
}

fn describe_data(f: &mut fmt::Formatter<'_>, record: &Record<'_>) -> fmt::Result {
    match record.value() {
        Err(invalid) => return write!(f, "no value: {invalid}"),
        Ok(Value::Text(text)) => {
            f.write_str("= \"")?;
            printable(f, text.chars())?;
            return f.write_str("\"");
        }
        Ok(Value::Bytes(bytes)) => return write!(f, "= {} bytes", bytes.len()),
        Ok(Value::DateTime(date, time)) => write!(f, "= {date} {time}")?,
        Ok(value) => write!(f, "= {value}")?,
    }
    if !record.vib.unit.is_none() {
        f.write_str(" ")?;
        write!(Printable(f), "{}", record.vib.unit)?;
    }
    if record.data_type() == DataType::Bits {
        describe_bits(f, record)?;
    }
    Ok(())
}

/// Which bits are set, the least significant being 0.
fn describe_bits(f: &mut fmt::Formatter<'_>, record: &Record<'_>) -> fmt::Result {
    let number = record.order.u64(record.data());
    let mut separator = if number == 0 { ": no bit set" } else { ": bit " };
    if number == 0 {
        return f.write_str(separator);
    }
    for bit in (0..64).filter(|bit| number >> bit & 1 == 1) {
        write!(f, "{separator}{bit}")?;
        separator = ", ";
    }
    Ok(())
}

/// `flow_temperature` as people write it.
fn spaced(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    Spaced(f).write_str(name)
}

/// Writes a blank where a name for programs has `_` or `:`.
struct Spaced<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Spaced<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.0.write_char(if matches!(character, '_' | ':') { ' ' } else { character })?;
        }
        Ok(())
    }
}

/// Writes a dot for what would move somebody's cursor.
struct Printable<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        printable(self.0, text.chars())
    }
}

fn printable(f: &mut fmt::Formatter<'_>, text: impl Iterator<Item = char>) -> fmt::Result {
    for character in text {
        f.write_char(if character.is_control() { '·' } else { character })?;
    }
    Ok(())
}
