//! Where a bus is and how its line is set, as an installer writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a bus is reached, as written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortSettings {
    /// `serial:///dev/ttyUSB0`: a serial line of this machine.
    Serial(PathBuf),
    /// `tcp://HOST:PORT`: a transparent converter to an M-Bus, or a Modbus TCP device or gateway.
    Tcp(String),
    /// `rtu+tcp://HOST:PORT`: a transparent converter to a Modbus RTU line.
    RtuOverTcp(String),
    /// `udp://HOST:PORT`: a transparent converter to an M-Bus that sends and takes datagrams.
    Udp(String),
    /// `sysfs:///sys/bus/w1/devices`: where the kernel shows the sensors of a 1-Wire.
    Sysfs(PathBuf),
    /// `gpio:///dev/gpiochip0`: a chip whose lines count pulses.
    Gpio(PathBuf),
    /// `events:///run/meter-sim.sock`: a socket that writes edges as the kernel does.
    Events(PathBuf),
    /// `https://HOST/PATH`: a service; without encryption only on this machine.
    Service(String),
    /// An MQTT broker.
    Broker(BrokerAt),
}

/// Where an MQTT broker is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BrokerAt {
    /// `mqtt://own`: the gateway's own.
    Own,
    /// `mqtt://HOST:1883`, in the clear.
    Plain(String),
    /// `mqtts://HOST:8883`, over TLS.
    Tls(String),
}

impl PortSettings {
    /// Whether it is reached over a network, where a packet may be late.
    pub const fn is_network(&self) -> bool {
        match self {
            Self::Serial(_) | Self::Sysfs(_) | Self::Gpio(_) | Self::Events(_) => false,
            Self::Tcp(_)
            | Self::RtuOverTcp(_)
            | Self::Udp(_)
            | Self::Service(_)
            | Self::Broker(_) => true,
        }
    }
}

impl FromStr for PortSettings {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let invalid = || InvalidPort(text.chars().take(80).collect());
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        match scheme {
            "serial" if is_path(rest) => Ok(Self::Serial(rest.into())),
            "tcp" if is_host_and_port(rest) => Ok(Self::Tcp(rest.to_owned())),
            "rtu+tcp" if is_host_and_port(rest) => Ok(Self::RtuOverTcp(rest.to_owned())),
            "udp" if is_host_and_port(rest) => Ok(Self::Udp(rest.to_owned())),
            "sysfs" if is_path(rest) => Ok(Self::Sysfs(rest.into())),
            "gpio" if is_path(rest) => Ok(Self::Gpio(rest.into())),
            "events" if is_path(rest) => Ok(Self::Events(rest.into())),
            "mqtt" if rest == "own" => Ok(Self::Broker(BrokerAt::Own)),
            "mqtt" if is_host_and_port(rest) => Ok(Self::Broker(BrokerAt::Plain(rest.to_owned()))),
            "mqtts" if is_host_and_port(rest) => Ok(Self::Broker(BrokerAt::Tls(rest.to_owned()))),
            "https" if is_place(rest) => Ok(Self::Service(text.to_owned())),
            "http" if is_place(rest) && is_this_machine(rest) => Ok(Self::Service(text.to_owned())),
            _ => Err(invalid()),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() > 1
}

/// A host, perhaps with a port, and a path; nobody's name, and no question behind it.
fn is_place(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    !host.is_empty()
        && !text.contains(['@', '?', '#', ' ', '\\'])
        && !text.contains(char::is_control)
}

fn is_this_machine(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "127.0.0.1" | "[::1]")
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        // An IPv6 address stands in brackets, or its last group would be the port.
        let whole = if host.starts_with('[') { host.ends_with(']') } else { !host.contains(':') };
        let plain = !host.is_empty() && !host.contains(['/', '@', ' ']);
        whole && plain && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl fmt::Display for PortSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => write!(f, "serial://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::RtuOverTcp(host) => write!(f, "rtu+tcp://{host}"),
            Self::Udp(host) => write!(f, "udp://{host}"),
            Self::Sysfs(path) => write!(f, "sysfs://{}", path.display()),
            Self::Gpio(path) => write!(f, "gpio://{}", path.display()),
            Self::Events(path) => write!(f, "events://{}", path.display()),
            Self::Service(url) => f.write_str(url),
            Self::Broker(BrokerAt::Own) => f.write_str("mqtt://own"),
            Self::Broker(BrokerAt::Plain(host)) => write!(f, "mqtt://{host}"),
            Self::Broker(BrokerAt::Tls(host)) => write!(f, "mqtts://{host}"),
        }
    }
}

/// A text that names no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a port: write tcp://HOST:PORT, udp://HOST:PORT (an M-Bus converter with \
     datagrams), rtu+tcp://HOST:PORT (Modbus RTU behind a transparent converter) or \
     serial:///dev/NAME"
)]
pub struct InvalidPort(String);

/// The parity bit of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parity {
    /// The number of ones is even: M-Bus always, Modbus mostly.
    Even,
    /// There is no parity bit.
    None,
    /// The number of ones is odd.
    Odd,
}

impl FromStr for Parity {
    type Err = InvalidParity;

    fn from_str(text: &str) -> Result<Self, InvalidParity> {
        match text {
            "even" => Ok(Self::Even),
            "none" => Ok(Self::None),
            "odd" => Ok(Self::Odd),
            _ => Err(InvalidParity(text.chars().take(40).collect())),
        }
    }
}

/// A text that names no parity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of even, none, odd")]
pub struct InvalidParity(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        let parsed = text.parse::<PortSettings>();
        assert_eq!(parsed.is_ok(), valid, "{text}");
        if let Ok(port) = parsed {
            assert_eq!(port.to_string(), text);
        }
    }

    #[test]
    fn a_port_is_read_as_it_is_written() {
        check("serial:///dev/ttyUSB0", true);
        check("serial:///dev/serial/by-id/usb-FTDI_FT232R-if00-port0", true);
        check("tcp://10.0.4.2:502", true);
        check("tcp://[fd00::1]:502", true);
        check("rtu+tcp://converter.local:4001", true);
        check("udp://10.0.4.2:10001", true);
        check("sysfs:///sys/bus/w1/devices", true);
        check("gpio:///dev/gpiochip0", true);
        check("events:///run/fyrhus/edges.sock", true);
        check("https://api.met.no/weatherapi/locationforecast/2.0", true);
        check("http://127.0.0.1:8080/weather", true);
        check("http://[::1]:8080", true);
        check("mqtt://own", true);
        check("mqtt://10.0.4.9:1883", true);
        check("mqtts://broker.local:8883", true);
        for wrong in [
            "",
            "/dev/ttyUSB0",
            "serial://ttyUSB0",
            "serial:///",
            "tcp://10.0.4.2",
            "tcp://:502",
            "tcp://10.0.4.2:0",
            "tcp://10.0.4.2:65536",
            "tcp://fd00::1:502",
            "http://10.0.4.2:80",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@example.com/",
            "https://",
            "https:///path",
            "https://user@host/",
            "https://host/?lat=1",
            "gpio://gpiochip0",
            "mqtt://broker.local",
            "mqtts://own",
            "sysfs://",
        ] {
            check(wrong, false);
        }
    }
}
