//! Lines by which a running building is disturbed: one command each, over standard input.
//!
//! [`HELP`] tells which there are.

use std::time::Duration;

use metering::MeterId;

use crate::faults::Faults;
use crate::simulator::Simulator;

/// Every command, and what it does. METER is a name, which may have spaces, or an id.
pub const HELP: &str = "\
silence METER on|off       it hears and does not answer
noise METER on|off         its answers are distorted
half METER on|off          its answers break off
duplicate METER on|off     it says everything twice
foreign METER on|off       it answers in another's name
refuse METER on|off        it refuses
slow METER MS|off          it answers so much later
late METER MS|off          the same; meant to be longer than the master waits
swap METER                 another device takes its place
heal METER                 nothing is wrong any more
hour METER                 it pushes at once what it pushes once an hour
hang BUS                   the receiver hangs itself up, until it is reset
";

/// Does what `line` says, and tells what was done.
pub fn command(simulator: &Simulator, line: &str) -> Result<Done, CommandError> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let meter = |text: &str| -> Result<MeterId, CommandError> {
        let text = text.trim();
        simulator.meter_called(text).ok_or_else(|| CommandError::NoMeter(text.to_owned()))
    };
    let (id, change): (MeterId, Change) = match word {
        "swap" => (meter(rest)?, Change::Swap),
        "hour" => (meter(rest)?, Change::Hour),
        "hang" => {
            let receiver = simulator.receiver(rest);
            receiver.ok_or_else(|| CommandError::NoReceiver(rest.to_owned()))?.hang();
            return Ok(Done { command: word.to_owned(), meter: None });
        }
        "heal" => (meter(rest)?, Change::Faults(Box::new(|faults| *faults = Faults::default()))),
        "silence" | "noise" | "half" | "duplicate" | "foreign" | "refuse" => {
            let (name, value) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
            let on = match value {
                "on" => true,
                "off" => false,
                _ => return Err(CommandError::OnOff(word.to_owned())),
            };
            let change: fn(&mut Faults, bool) = match word {
                "silence" => |it, on| it.silence = on,
                "noise" => |it, on| it.noise = on,
                "half" => |it, on| it.half = on,
                "duplicate" => |it, on| it.duplicate = on,
                "foreign" => |it, on| it.foreign = on,
                _ => |it, on| it.refusal = on,
            };
            (meter(name)?, Change::Faults(Box::new(move |faults| change(faults, on))))
        }
        "slow" | "late" => {
            let (name, value) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
            let delay = match (value, value.parse()) {
                ("off", _) => None,
                (_, Ok(millis @ 0..=600_000)) => Some(Duration::from_millis(millis)),
                _ => return Err(CommandError::Millis(word.to_owned())),
            };
            let slow = word == "slow";
            let change = move |faults: &mut Faults| {
                if slow { faults.slow = delay } else { faults.late = delay }
            };
            (meter(name)?, Change::Faults(Box::new(change)))
        }
        _ => return Err(CommandError::Unknown(word.to_owned())),
    };

    if let Some(handle) = simulator.handle(id) {
        match change {
            Change::Swap => handle.swap(simulator.now()),
            Change::Hour => handle.hour(),
            Change::Faults(change) => handle.set(change),
        }
    }
    Ok(Done { command: word.to_owned(), meter: Some(id) })
}

enum Change {
    Swap,
    Hour,
    Faults(Box<dyn FnOnce(&mut Faults)>),
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its first word.
    pub command: String,
    /// To which meter, if to one.
    pub meter: Option<MeterId>,
}

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such word.
    #[error(
        "`{0}` is no command: write silence, noise, half, duplicate, foreign or refuse METER \
         on|off, slow or late METER MILLISECONDS|off, swap METER, heal METER, hour METER or hang \
         BUS"
    )]
    Unknown(String),
    /// No such meter.
    #[error("there is no meter `{0}`")]
    NoMeter(String),
    /// No such receiver.
    #[error("there is no bus `{0}` with a receiver of radio")]
    NoReceiver(String),
    /// A switch that is neither.
    #[error("`{0}` needs a meter and then on or off")]
    OnOff(String),
    /// No duration.
    #[error("`{0}` needs a meter and then milliseconds, at most 600000, or off")]
    Millis(String),
}
