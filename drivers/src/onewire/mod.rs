//! Thermometers on a 1-Wire, through the kernel's own master.
//!
//! ```text
//!  /sys/bus/w1/devices/28-0316a2795bff/w1_slave      the folder of one thermometer
//!       5a 01 55 05 7f a5 a5 66 c3 : crc=c3 YES      its scratchpad, and whether its checksum holds
//!       5a 01 55 05 7f a5 a5 66 c3 t=21625           thousandths of a degree
//!  /sys/bus/w1/devices/28-0316a2795bff/temperature   the same without the bytes, if there is no other
//! ```
//!
//! | Module    | Is                                                             |
//! |-----------|----------------------------------------------------------------|
//! | `address` | the number that is burnt into a thermometer                     |
//! | `answer`  | what the kernel's file says                                     |
//! | [`OneWireBus`] | asks one thermometer after the other, and remembers what it said before |
//!
//! Every look into such a file begins a conversion, which takes up to 750 ms and blocks: it is done
//! on a thread for things that block, one at a time. Sources: the kernel's `w1_therm`
//! documentation; DS18B20 data sheet, the scratchpad and its power-on values.
//!
//! **Never true:** a checksum that is wrong, the 85 °C that a thermometer shows when its power has
//! failed, or the zeros of a wire that is short-circuited become a temperature.

mod address;
mod answer;
mod bus;

pub use address::{InvalidSensor, SensorId};
pub use bus::{OneWireBus, sensors};
