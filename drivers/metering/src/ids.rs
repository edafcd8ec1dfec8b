//! Names that never change, for things whose names, addresses and serial numbers may.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these bytes, as kept in the store.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// As kept in the store and on the wire.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId(text.to_owned()))
            }
        }
    };
}

id! {
    /// One appliance. Made at its first start, before any enrolment.
    GatewayId
}
id! {
    /// One building.
    SiteId
}
id! {
    /// One meter of the configuration. It stays when the device behind it is exchanged.
    MeterId
}
id! {
    /// One register under one name of the configuration: what a chart shows. It links the
    /// series of the devices that counted it, one after the other.
    PointId
}
id! {
    /// One person.
    UserId
}

/// One register of one installed device, counted in steps of one size.
///
/// A number of its gateway, from 1 to 2³¹ − 1, so that it is an `integer` in PostgreSQL too. It is
/// never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(u32);

impl SeriesId {
    /// The series with this number; `None` outside 1 to 2³¹ − 1.
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            1..=0x7FFF_FFFF => Some(Self(number)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: an id looks like 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77")]
pub struct InvalidId(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let text = "019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77";
        assert_eq!(text.parse::<MeterId>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_id_is_told_what_one_looks_like() {
        assert_eq!(
            "heat-1".parse::<MeterId>().unwrap_err().to_string(),
            "`heat-1` is not an id: an id looks like 019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"
        );
    }

    #[test]
    fn a_series_fits_into_an_integer_of_postgresql() {
        assert_eq!(SeriesId::new(0), None);
        assert_eq!(SeriesId::new(0x7FFF_FFFF).map(SeriesId::get), Some(0x7FFF_FFFF));
        assert_eq!(SeriesId::new(0x8000_0000), None);
    }
}
