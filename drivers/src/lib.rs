//! Buses, the meters on them, and device profiles: from the wire to a reading.
//!
//! ```text
//!             Meter, Clock
//!                  │
//!  Port ◀──▶ Bus::read ──▶ Readout: readings, or ReadError: the reason why there are none
//! bytes            │
//!               Profile: what the numbers of this type of meter mean
//! ```
//!
//! | Module     | Is                                                          |
//! |------------|-------------------------------------------------------------|
//! | [`Bus`]    | a wire with meters; asks one at a time                      |
//! | [`Ear`]    | a wire on which meters speak unasked                        |
//! | [`Scan`]   | who is on an M-Bus                                           |
//! | `port`     | serial line, TCP or UDP: bytes, faults, reconnecting   |
//! | [`Doctor`] | what is most likely wrong with an M-Bus, and which meters are held back |
//! | [`mod@mbus`] | M-Bus over a serial line or a converter                      |
//! | [`modbus`] | Modbus RTU, RTU over TCP, TCP                                |
//! | [`han`]    | what electricity meters push at their customer port         |
//! | [`onewire`] | thermometers behind the kernel's 1-Wire master             |
//! | [`pulse`]  | pulses at GPIO lines, and counters that outlive a power cut  |
//! | [`weather`] | the outdoor temperature that a weather service forecasts   |
//! | [`radio`]  | receivers of wireless M-Bus                                 |
//! | [`Keyring`] | the keys of meters that encrypt                             |
//! | [`mqtt`]   | sensors that say what they measure to an MQTT broker            |
//! | [`Profiles`] | types of meters, as data                                  |
//! | `number`   | from bits to digits, exactly                                 |
//! | [`ReadError`] | why a meter could not be read, and whom that blames      |
//!
//! When to ask, and what becomes of the answer, is the caller's business: this crate schedules
//! nothing and stores nothing. **Never true:** what answers late, in part, or for another meter
//! becomes a value.

mod bus;
mod discover;
mod ear;
mod error;
pub mod han;
mod keyring;
pub mod mbus;
pub mod modbus;
pub mod mqtt;
mod number;
pub mod onewire;
mod port;
mod profile;
pub mod pulse;
pub mod radio;
mod scan;
pub mod weather;

pub use bus::{
    Bus, BusKind, BusSettings, Meter, MeterAddress, OddKind, OddRecord, Readout, Remembered,
};
pub use discover::{Discovered, MOST_FOUND, MOST_UNRESOLVED, Progress};
pub use ear::{Ear, EarKind, EarSettings, Heard, Plaint, Stranger};
pub use error::{Garble, ReadError};
pub use keyring::{InvalidKeyName, KeyName, Keyring, MeterKeys};
pub use mbus::doctor::{
    Counts, Doctor, Finding, HELD_WHILE_ALONE, Last, Load, MOST_BITS, Record, Trouble, Whole,
    are_near,
};
pub use port::{BrokerAt, InvalidParity, InvalidPort, Parity, PortFault, PortSettings};
pub use profile::{
    Edge, FlagBit, FolderStamp, Interval, InvalidPulseWeight, Kind, MOST_PAYLOAD, Memory, Mistake,
    OneWire, Plausible, Profile, Profiles, PulseInput, PulseWeight, Quirks, RegisterSpec, Said,
    SerialDefault, Status, Taken, Texts, kind_of,
};
pub use scan::{Scan, ScanProgress, ScanStep};
