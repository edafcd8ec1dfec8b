//! The outdoor temperature of a place, as a weather service forecasts it.
//!
//! ```text
//!  GET …/compact?lat=59.9139&lon=10.7522 ──▶ a forecast, hour by hour ──▶ the hour of now ──▶ reading
//!      User-Agent: who asks                   Expires, Last-Modified
//! ```
//!
//! | Module     | Is                                                            |
//! |------------|---------------------------------------------------------------|
//! | `place`    | coordinates, never finer than the service wants them           |
//! | `forecast` | the document, and which of its hours is now                    |
//! | `service`  | one request by the service's rules                             |
//! | [`WeatherBus`] | keeps the newest forecast, and tells what it says of now   |
//!
//! The service is the Locationforecast of MET Norway, version 2.0. Its terms: whoever asks says who
//! they are, coordinates have at most four decimals, nothing is asked before the last answer
//! expires, and then whether it has changed; machines do not ask all at one time. Its data are
//! under CC BY 4.0: who shows them names MET Norway.
//!
//! **Never true:** anything is sent before somebody has written down who they are and where the
//! building is, or a forecast passes for a measured value: its register is
//! `temperature_forecast`, its origin `forecast`.

mod bus;
mod forecast;
mod place;
mod service;

pub use bus::WeatherBus;
pub use place::{Coordinates, InvalidCoordinates};
