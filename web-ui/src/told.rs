//! What meters and wires tell, as codes: the pages say it in the language of whoever looks.
//!
//! ```text
//! code + params ──▶ the page's sentence, from web-ui/texts/*.json
//! text          ──▶ the same in English, with every detail, for the installer
//! ```
//!
//! What a device profile says is in its own words, which it has in every language.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use metering::Register;

macro_rules! codes {
    ($(#[$type_doc:meta])* $type:ident { $($(#[$doc:meta])* $name:ident $code:literal,)* }) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $name,)*
        }

        impl $type {
            /// As in the API; the language files have a text for each.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// All of them, for the front end's types.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

/// Why a meter could not be read, or a bus not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub code: TroubleCode,
    /// What its sentence needs, by name: `address`, `port`, `ms`.
    pub params: BTreeMap<&'static str, String>,
    /// All of it in English: `meter 5 did not answer within 330 ms`.
    pub text: String,
}

codes! {
    /// What went wrong on a wire.
    TroubleCode {
        /// `known`, `found`: a meter whose address is a fault of the wire away from the known one.
        Alike "alike",
        /// `address`, `bytes`: the answer ended early.
        BrokeOff "broke_off",
        /// `address`, `times`: the answer does not fit its checksum, how often so far.
        Checksum "checksum",
        /// `address`: a frame that was asked of somebody else.
        Foreign "foreign",
        /// `address`: a sensor that its wire does not have any more.
        Gone "gone",
        /// `address`: the wire is held down, whoever is asked.
        HeldDown "held_down",
        /// `address`, `number`: it is encrypted, and no key is known.
        KeyMissing "key_missing",
        /// `address`, `number`: it is encrypted, and the known key does not fit.
        KeyWrong "key_wrong",
        /// `address`: the configuration asks what the bus cannot do.
        Misfit "misfit",
        /// `address`: bytes that are no frame.
        Noise "noise",
        /// `port`: the user of the daemon may not open it.
        PortDenied "port_denied",
        /// `port`: no such host name.
        PortHost "port_host",
        /// `port`: the broker does not know the user or the password.
        PortLogin "port_login",
        /// `port`: the connection was lost.
        PortLost "port_lost",
        /// `port`: no such device file.
        PortMissing "port_missing",
        /// `port`: what answers there is no MQTT broker, or takes nobody.
        PortNoBroker "port_no_broker",
        /// `port`: what answers there is no weather service.
        PortNoForecast "port_no_forecast",
        /// `port`: no such GPIO chip.
        PortNoGpio "port_no_gpio",
        /// `port`: the kernel has no 1-Wire.
        PortNoOneWire "port_no_onewire",
        /// `port`: the file with the password cannot be read.
        PortNoPassword "port_no_password",
        /// `port`: the broker does not let the user hear the topics.
        PortNotAllowed "port_not_allowed",
        /// `port`, `ms`: a radio receiver does not answer.
        PortMute "port_mute",
        /// `port`: no serial line.
        PortNotSerial "port_not_serial",
        /// `port`: the host is there and refuses.
        PortRefused "port_refused",
        /// `port`, `baud`: beyond the adapter.
        PortSpeed "port_speed",
        /// `port`, `status`: a service answered with an HTTP status.
        PortStatus "port_status",
        /// `port`: the system says no.
        PortSystem "port_system",
        /// `port`: another program has it.
        PortTaken "port_taken",
        /// `port`, `ms`: the host does not answer.
        PortUnreachable "port_unreachable",
        /// `port`: the broker's certificate is of nobody whom we trust.
        PortUntrusted "port_untrusted",
        /// `address`, `secs`: a meter that speaks unasked has said nothing for so long.
        Quiet "quiet",
        /// `address`, `register`, `exception`: a Modbus exception.
        Refused "refused",
        /// `address`, `error`: an application error of an M-Bus meter.
        RefusedAnswer "refused_answer",
        /// `address`, `ms`: nothing was heard.
        Silent "silent",
        /// `address`: a Modbus gateway heard nothing.
        SilentBehindGateway "silent_behind_gateway",
        /// `address`: a whole telegram that makes no sense.
        Undecodable "undecodable",
        /// `address`, `ms`: it is left alone for so long.
        Unsettled "unsettled",
        /// `address`, `expected`, `found`: serial numbers.
        WrongMeter "wrong_meter",
    }
}

/// Something in a meter's answer that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// In which telegram of the answer, from 0.
    pub telegram: usize,
    /// Which record of it, from 0; 0 for what is about the telegram as a whole.
    pub record: usize,
    /// The canonical text of its register: `date_s1`; empty where it has none.
    pub what: String,
    /// What is told of it.
    pub kind: SaidKind,
    /// What the meter said, if that is it; else the same in English.
    pub text: String,
}

codes! {
    /// What is told of something that is no number.
    SaidKind {
        /// An alarm came instead of records.
        Alarm "alarm",
        /// The next telegram did not come.
        CutShort "cut_short",
        /// A record without a value.
        Invalid "invalid",
        /// Something that was to be counted was lost.
        Lost "lost",
        /// More telegrams than are asked for.
        MoreFollow "more_follow",
        /// A number for which there is no name left.
        Nameless "nameless",
        /// A permanent error of the meter.
        PermanentError "permanent_error",
        /// A battery or a supply that is low.
        PowerLow "power_low",
        /// A password, which is not shown.
        Secret "secret",
        /// A temporary error of the meter.
        TemporaryError "temporary_error",
        /// A record that cannot be read.
        Unread "unread",
        /// A date, a text, a version, bytes: what the meter said.
        Value "value",
    }
}

/// What the pages know of the types of meters, by the id of their profile.
pub type Devices = HashMap<String, Arc<Device>>;

/// A type of meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `Kamstrup`
    pub vendor: String,
    /// `MULTICAL 601`; several if their telegrams do not tell them apart.
    pub models: Vec<String>,
    /// Of the registers that have more words than those of their key.
    pub registers: Vec<RegisterWords>,
}

/// What a register is called, and what its bits mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterWords {
    /// Which.
    pub register: Register,
    /// Its name, if it has one of its own.
    pub name: Option<Words>,
    /// What a bit means when it is set, counted from 0.
    pub bits: Vec<(u8, Words)>,
}

/// A text in the languages of the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Norwegian, bokmål.
    pub nb: String,
    /// English.
    pub en: String,
    /// Danish.
    pub da: String,
}
