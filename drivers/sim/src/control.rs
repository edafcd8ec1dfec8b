//! Lines by which a running building is disturbed: one command each, over standard input.
//!
//! [`HELP`] tells which there are.

use std::time::Duration;

use metering::MeterId;

use crate::faults::{Counts, Faults, Flaw};
use crate::simulator::Simulator;

/// Every command, and what it does. METER is a name, which may have spaces, or an id.
pub const HELP: &str = "\
silence METER on|off       it hears and does not answer
noise METER on|off         its answers are distorted
half METER on|off          its answers break off
duplicate METER on|off     it says everything twice
foreign METER on|off       it answers in another's name
refuse METER on|off        it refuses
joules METER on|off        it is set up anew: its energy is told in megajoules, on an M-Bus
short METER on|off         it holds its M-Bus down: nobody on it is understood
slow METER MS|off          it answers so much later
late METER MS|off          the same; meant to be longer than the master waits
flaw METER FLAW|off        it is built in wrongly: swapped-sensors, loose-sensor, backwards,
                           volume-tenth, energy-tenfold or turned
swap METER                 another device takes its place
full METER                 its counters show nothing but nines, and stand still
reset METER                its counters begin at zero: after `full` they have run over
heal METER                 nothing is wrong any more
hour METER                 it pushes at once what it pushes once an hour
hang BUS                   the receiver hangs itself up, until it is reset
count METER                nothing, but tell how often it was asked and has answered
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
        "full" => (meter(rest)?, Change::Fill),
        "reset" => (meter(rest)?, Change::Reset),
        "hour" => (meter(rest)?, Change::Hour),
        "count" => (meter(rest)?, Change::Nothing),
        "hang" => {
            let receiver = simulator.receiver(rest);
            receiver.ok_or_else(|| CommandError::NoReceiver(rest.to_owned()))?.hang();
            return Ok(Done { command: word.to_owned(), meter: None, counts: None });
        }
        "heal" => (meter(rest)?, Change::Faults(Box::new(|faults| *faults = Faults::default()))),
        "silence" | "noise" | "half" | "duplicate" | "foreign" | "refuse" | "short" | "joules" => {
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
                "joules" => |it, on| it.joules = on,
                "short" => |it, on| it.short = on,
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
        "flaw" => {
            let (name, value) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
            let flaw = Flaw::ALL.into_iter().find(|flaw| flaw.as_str() == value);
            if flaw.is_none() && value != "off" {
                return Err(CommandError::Flaw(value.to_owned()));
            }
            (meter(name)?, Change::Faults(Box::new(move |faults| faults.flaw = flaw)))
        }
        _ => return Err(CommandError::Unknown(word.to_owned())),
    };

    let handle = simulator.handle(id);
    if let Some(handle) = handle {
        match change {
            Change::Nothing => {}
            Change::Swap => handle.swap(simulator.now()),
            Change::Fill => handle.fill(),
            Change::Reset => handle.reset(simulator.now()),
            Change::Hour => handle.hour(),
            Change::Faults(change) => handle.set(change),
        }
    }
    let counts = handle.map(|handle| *handle.counts().borrow());
    Ok(Done { command: word.to_owned(), meter: Some(id), counts })
}

enum Change {
    Nothing,
    Swap,
    Fill,
    Reset,
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
    /// How often that had been asked and had answered, just after.
    pub counts: Option<Counts>,
}

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such word.
    #[error(
        "`{0}` is no command: write silence, noise, half, duplicate, foreign, refuse or short \
         METER on|off, slow or late METER MILLISECONDS|off, flaw METER FLAW|off, swap METER, \
         full METER, reset METER, heal METER, hour METER, count METER or hang BUS"
    )]
    Unknown(String),
    /// No such meter.
    #[error("there is no meter `{0}`")]
    NoMeter(String),
    /// No such receiver.
    #[error("there is no bus `{0}` with a receiver of radio")]
    NoReceiver(String),
    /// No such flaw.
    #[error(
        "`{0}` is no flaw: swapped-sensors, loose-sensor, backwards, volume-tenth, energy-tenfold, \
         turned or off"
    )]
    Flaw(String),
    /// A switch that is neither.
    #[error("`{0}` needs a meter and then on or off")]
    OnOff(String),
    /// No duration.
    #[error("`{0}` needs a meter and then milliseconds, at most 600000, or off")]
    Millis(String),
}
