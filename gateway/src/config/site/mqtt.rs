//! MQTT: a bus that is a broker, the gateway's own broker, and where values are said.

use std::net::SocketAddr;
use std::path::PathBuf;

use drivers::{BrokerAt, EarKind, MeterAddress, PortSettings};

use super::WireKind;
use super::buses::KnownBus;
use super::keys::{
    ADDRESS, BAUD, BROKER_LISTEN, BROKER_PLAIN, CA_FILE, DISCOVERY, PARITY, PASSWORD_FILE, PORT,
    PREFIX, PUBLISH_TO, SECONDARY, USER,
};
use crate::config::check::{Check, Section};
use crate::config::key::Key;

/// Where the gateway's own broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBroker {
    /// Over TLS.
    pub listen: Option<SocketAddr>,
    /// In the clear, on one of the machine's addresses.
    pub plain: Option<SocketAddr>,
}

/// How the gateway logs in to a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerLogin {
    /// Its name there.
    pub user: Option<String>,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
    /// Who made the broker's certificate; `None` for whom the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// A broker on which the gateway says its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where it is.
    pub to: BrokerAt,
    /// How it is logged in to.
    pub login: BrokerLogin,
    /// What every topic begins with.
    pub prefix: String,
    /// Whether the values are announced to Home Assistant.
    pub home_assistant: bool,
}

/// The section `[broker]`.
pub(super) fn own_broker(check: &mut Check<'_>, section: Section<'_>) -> Option<OwnBroker> {
    let listen = address(check, section, &BROKER_LISTEN);
    let plain = address(check, section, &BROKER_PLAIN);
    if let Some(plain) = plain.filter(|it| it.ip().is_unspecified()) {
        let advice = format!(
            "plain = \"{plain}\" would take passwords in the clear from every network: write the \
             gateway's address on the sensors' network, such as 10.0.4.2:{}",
            plain.port()
        );
        check.mistake(section.place(&BROKER_PLAIN), advice);
        return None;
    }
    if listen.is_some() && listen == plain {
        let advice = format!("`listen` and `plain` are both {}", listen?);
        check.mistake(section.place(&BROKER_PLAIN), advice);
        return None;
    }
    Some(OwnBroker { listen, plain })
}

fn address(check: &mut Check<'_>, section: Section<'_>, key: &Key) -> Option<SocketAddr> {
    let address: Option<SocketAddr> = check.text(section, key)?.parse().ok();
    if address.is_none_or(|it| it.port() == 0) {
        check.refuse(section, key, None);
        return None;
    }
    address
}

/// All sections `[[publish]]`. Two never say the same on the same broker.
pub(super) fn all_to_publish(check: &mut Check<'_>, sections: &[Section<'_>]) -> Vec<Publish> {
    let mut all: Vec<Publish> = Vec::new();
    for section in sections {
        let Some(publish) = publish(check, *section) else { continue };
        if all.iter().any(|it| it.to == publish.to && it.prefix == publish.prefix) {
            let advice = "another [[publish]] has the same `to` and `prefix`: leave one out, or \
                          give this one a `prefix` of its own";
            check.mistake(section.at, advice.to_owned());
            continue;
        }
        all.push(publish);
    }
    all
}

fn publish(check: &mut Check<'_>, section: Section<'_>) -> Option<Publish> {
    let to = check.text(section, &PUBLISH_TO).map(str::parse);
    let to = match to {
        Some(Ok(PortSettings::Broker(to))) => Some(to),
        Some(_) => {
            check.refuse(section, &PUBLISH_TO, None);
            None
        }
        None => None,
    };
    let login = login(check, section, to.as_ref());
    let prefix = check.text(section, &PREFIX)?.to_owned();
    if prefix.starts_with(['$', '/']) || prefix.ends_with('/') || prefix.contains(['+', '#']) {
        let advice = format!(
            "prefix = \"{prefix}\" is not the beginning of a topic: leave out `+`, `#` and `$`, \
             and `/` at both ends"
        );
        check.mistake(section.place(&PREFIX), advice);
        return None;
    }
    let home_assistant = check.text(section, &DISCOVERY)? == "homeassistant";
    Some(Publish { to: to?, login: login?, prefix, home_assistant })
}

/// How the broker of a section is logged in to.
fn login(
    check: &mut Check<'_>,
    section: Section<'_>,
    at: Option<&BrokerAt>,
) -> Option<BrokerLogin> {
    let user = check.text(section, &USER).map(str::to_owned);
    let password_file = path(check, section, &PASSWORD_FILE)?;
    let ca_file = path(check, section, &CA_FILE)?;
    if at == Some(&BrokerAt::Own) {
        let why = "means nothing on the gateway's own broker, which knows it";
        leave_out(check, section, &[&USER, &PASSWORD_FILE, &CA_FILE], why);
    }
    if matches!(at, Some(BrokerAt::Plain(_))) {
        leave_out(check, section, &[&CA_FILE], "belongs to mqtts://");
    }
    if user.is_none() && password_file.is_some() {
        let advice = "`user` is missing: a password belongs to one";
        check.mistake(section.place(&PASSWORD_FILE), advice.to_owned());
    }
    Some(BrokerLogin { user, password_file, ca_file })
}

/// The outer `None` is for what is no path.
#[expect(clippy::option_option, reason = "a mistake, no path, and a path")]
pub(super) fn path(
    check: &mut Check<'_>,
    section: Section<'_>,
    key: &Key,
) -> Option<Option<PathBuf>> {
    match check.text(section, key) {
        None => Some(None),
        Some(path) if path.starts_with('/') => Some(Some(PathBuf::from(path))),
        Some(_) => {
            check.refuse(section, key, None);
            None
        }
    }
}

fn leave_out(check: &mut Check<'_>, section: Section<'_>, keys: &[&Key], why: &str) {
    for key in keys.iter().filter(|key| section.has(key)) {
        check.mistake(section.place(key), format!("`{}` {why}: leave it out", key.name));
    }
}

/// How the broker of a bus is logged in to; nothing for another wire.
///
/// Says what of the bus's section does not fit.
pub(super) fn check_bus(
    check: &mut Check<'_>,
    section: Section<'_>,
    kind: WireKind,
    port: &PortSettings,
) -> Option<BrokerLogin> {
    let at = match port {
        PortSettings::Broker(at) => Some(at),
        _ => None,
    };
    let is_mqtt = kind == WireKind::Listened(EarKind::Mqtt);
    let may_be = is_mqtt || kind == WireKind::Listened(EarKind::Radio);
    if is_mqtt && at.is_none() {
        let advice = "a broker is \"mqtt://own\", \"mqtts://HOST:8883\" or \"mqtt://HOST:1883\"";
        check.mistake(section.place(&PORT), format!("port = \"{port}\": {advice}"));
    }
    if at.is_some() && !may_be {
        let advice = "mqtt:// belongs to kind = \"mqtt\", or to receivers of kind = \"wmbus\"";
        check.mistake(section.place(&PORT), format!("port = \"{port}\": {advice}"));
    }
    if !is_mqtt && (at.is_none() || !may_be) {
        leave_out(check, section, &[&USER, &PASSWORD_FILE, &CA_FILE], "belongs to MQTT");
        return Some(BrokerLogin::default());
    }
    leave_out(check, section, &[&BAUD, &PARITY], "means nothing on MQTT");
    login(check, section, at)
}

impl KnownBus {
    /// What a sensor is called on the broker; taken from now on.
    pub(super) fn on_the_broker(
        &mut self,
        check: &mut Check<'_>,
        section: Section<'_>,
        line: usize,
    ) -> Option<MeterAddress> {
        leave_out(check, section, &[&SECONDARY], "is an address of M-Bus");
        if !section.has(&ADDRESS) {
            let advice = "`address` is missing: what the sensor is called in its topics, such as \
                          \"kitchen\"; the page of the bus lists who is heard";
            check.mistake(section.at, advice.to_owned());
            return None;
        }
        let device = match check.text(section, &ADDRESS)?.parse() {
            Ok(device) => MeterAddress::Device(device),
            Err(wrong) => {
                let wrong: drivers::mqtt::InvalidDevice = wrong;
                check.mistake(section.place(&ADDRESS), wrong.to_string());
                return None;
            }
        };
        if let Some(other) = self.taken.insert(device.to_string(), line) {
            let advice = format!("{device} is on bus `{}` already, on line {other}", self.bus.id);
            check.mistake(section.place(&ADDRESS), advice);
            return None;
        }
        Some(device)
    }
}
