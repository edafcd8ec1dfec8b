//! One number of one meter at one instant, or the reason why there is none.

use crate::{Moment, Quantity, Register};

/// What a register showed, or why nobody knows, at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which of the meter's numbers.
    pub register: Register,
    /// When the meter's answer began; of an absence, when the question was asked.
    pub at: Moment,
    /// The number, or the reason why there is none.
    pub value: Result<Quantity, NoReading>,
    /// How far the number can be believed.
    pub quality: Quality,
    /// How it came.
    pub origin: Origin,
}

macro_rules! coded {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal $text:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// As in the store and on the wire: never given to another meaning.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The one with this code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// As in the API and in files; the language files have a sentence for each.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

coded! {
    /// Why there is no quantity. Kept, synced and shown like one.
    NoReading {
        /// The meter did not answer any of the tries.
        Silent = 1 "silent",
        /// What answered was not a telegram of this meter that decodes.
        Garbled = 2 "garbled",
        /// The bus's port cannot be used: no meter on it could be asked.
        BusDown = 3 "bus_down",
        /// The meter understood and said no.
        Refused = 4 "refused",
        /// The meter answered, but left this register out.
        LeftOut = 5 "left_out",
        /// The meter itself marks the number as invalid.
        Invalid = 6 "invalid",
        /// The number has more digits than 64 bits hold.
        TooLarge = 7 "too_large",
        /// Another device answered at the meter's address.
        WrongMeter = 8 "wrong_meter",
        /// The meter was not asked: the round before it took too long, or it is being backed
        /// off after many failures.
        NotAsked = 9 "not_asked",
        /// The wire is held down, by a short circuit or by a device that does not let go: no meter on it
        /// could answer.
        BusShort = 10 "bus_short",
    }
}

coded! {
    /// How far a quantity can be believed. The value is kept whatever it is.
    Quality {
        /// Nothing speaks against it.
        Good = 0 "good",
        /// Outside what the profile holds possible.
        Implausible = 1 "implausible",
        /// The meter says that it is old.
        Stale = 2 "stale",
        /// Its time was worked out afterwards.
        TimeEstimated = 3 "time_estimated",
    }
}

coded! {
    /// How a reading came.
    Origin {
        /// Asked of the meter and answered at once.
        Live = 0 "live",
        /// From the meter's own log, later.
        MeterMemory = 1 "meter_memory",
        /// A person corrected it.
        Correction = 2 "correction",
        /// From a file of another system.
        Import = 3 "import",
        /// From a simulated meter. Never to be mistaken for a real one.
        Simulated = 4 "simulated",
        /// Told of now by a forecast: nobody measured it.
        Forecast = 5 "forecast",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_word_name_one_reason_each() {
        for (index, reason) in NoReading::ALL.iter().enumerate() {
            assert_eq!(NoReading::from_code(reason.code()), Some(*reason));
            assert!(NoReading::ALL.iter().skip(index + 1).all(|other| {
                other.code() != reason.code() && other.as_str() != reason.as_str()
            }));
        }
        assert_eq!(NoReading::from_code(0), None, "0 on the wire says that there is a value");
    }

    #[test]
    fn a_quality_and_an_origin_are_read_as_they_are_written() {
        assert!(Quality::ALL.iter().all(|it| Quality::from_code(it.code()) == Some(*it)));
        assert!(Origin::ALL.iter().all(|it| Origin::from_code(it.code()) == Some(*it)));
    }
}
