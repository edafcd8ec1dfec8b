//! What flows through the building at one instant: heat, water, gas and electricity.
//!
//! Magnitudes are those of about 4 000 m²: offices on two floors, some twenty flats, a restaurant.
//! At -3 °C it takes some 110 kW of heat, and 70 kW of electricity on a Saturday afternoon.
//!
//! What sub-meters count adds up to a little less than the main meter beside them, as pipes lose
//! heat and not everything has a meter. Power, flow and temperatures of a circuit agree.

use crate::dice::Dice;
use crate::people::Life;
use crate::weather::{Air, Weather};

macro_rules! streams {
    ($($stream:ident $rate:expr,)*) => {
        /// One thing that is counted: energy in mWh, volume in ml.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Stream {
            $($stream,)*
        }

        pub(crate) const STREAMS: usize = [$(Stream::$stream,)*].len();

        /// An hour's worth of each stream in W or l/h.
        const RATES: [fn(&Flows) -> f64; STREAMS] = [$($rate,)*];
    };
}

impl Stream {
    pub(crate) fn of<T: Copy + Default>(self, row: &[T; STREAMS]) -> T {
        row.get(self as usize).copied().unwrap_or_default()
    }
}

streams! {
    HeatMain |it| it.heat.main.power,
    HeatOffices |it| it.heat.offices.power,
    HeatFlats |it| it.heat.flats.power,
    HeatAir |it| it.heat.air.power,
    HeatTapWater |it| it.heat.tap_water.power,
    Cooling |it| it.heat.cooling.power,
    FlowMain |it| it.heat.main.flow(),
    FlowOffices |it| it.heat.offices.flow(),
    FlowFlats |it| it.heat.flats.flow(),
    FlowAir |it| it.heat.air.flow(),
    FlowTapWater |it| it.heat.tap_water.flow(),
    FlowCooling |it| it.heat.cooling.flow(),
    WaterMain |it| it.water.main(),
    ColdRestaurant |it| it.water.cold_restaurant,
    ColdSecond |it| it.water.cold_second,
    ColdThirdWest |it| it.water.cold_third_west,
    ColdThirdEast |it| it.water.cold_third_east,
    ColdFlats |it| it.water.cold_flats,
    HotRestaurant |it| it.water.hot_restaurant,
    HotOffices |it| it.water.hot_offices,
    HotFlats |it| it.water.hot_flats,
    Gas |it| it.gas,
    Import |it| it.electricity.grid().max(0.0),
    Export |it| (-it.electricity.grid()).max(0.0),
    ElectricityOffices |it| it.electricity.offices,
    ElectricityRestaurant |it| it.electricity.restaurant,
    ElectricityFlats |it| it.electricity.flats,
    ElectricityFans |it| it.electricity.fans,
    ElectricityCars |it| it.electricity.cars,
    Solar |it| it.electricity.solar,
}

/// What flows at one instant, and what it is like around it.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Of each stream, in W or l/h.
    pub(crate) flow: [f64; STREAMS],
    pub(crate) flows: Flows,
    pub(crate) air: Air,
    pub(crate) life: Life,
    hours: f64,
}

impl Rates {
    pub(crate) fn at(weather: &Weather, noise: &Noise, hours: f64, life: Life) -> Self {
        let air = weather.at(hours);
        let water = Water::of(&life, noise, hours);
        let flows = Flows {
            heat: Heat::of(&air, &life, water.hot(), noise, hours),
            gas: 3_100.0 * life.kitchen * noise.kitchen(hours),
            electricity: Electricity::of(&air, &life, noise, hours),
            water,
        };
        let flow = RATES.map(|rate| rate(&flows));
        Self { flow, flows, air, life, hours }
    }

    /// How an indoor room is, `sun` and `crowd` being the shares of both that reach it.
    pub(crate) fn room(&self, dice: Dice, warmth: f64, sun: f64, crowd: f64) -> Indoors {
        let drift = dice.wave(self.hours / 2.3);
        let celsius = warmth - 1.6 * (1.0 - self.life.setback)
            + 1.1 * crowd
            + sun * self.air.sun / 160.0
            + 0.12 * (self.air.felt - 8.0).max(0.0)
            + 0.35 * drift;
        let outside = self.air.humidity * saturation(self.air.celsius);
        let humidity = (outside / saturation(celsius) + 5.0 + 6.0 * crowd).clamp(12.0, 75.0);
        let co2 = 418.0 + 470.0 * crowd + 14.0 * dice.wave(self.hours * 3.1);
        Indoors { celsius, humidity, co2 }
    }

    /// How full a room is that is used for an hour or so at a time, in the hours of the offices.
    pub(crate) fn meetings(&self, dice: Dice) -> f64 {
        self.life.office * (0.55 + 0.75 * dice.wave(self.hours / 1.4)).clamp(0.0, 1.2)
    }

    /// The mains at a socket: volts of one phase, and what the phases' loads differ by.
    pub(crate) fn mains(&self, dice: Dice, phase: i64) -> (f64, f64) {
        let own = dice.of(match phase {
            1 => "l1",
            2 => "l2",
            _ => "l3",
        });
        let load = self.flow.get(Stream::Import as usize).copied().unwrap_or(0.0) / 60_000.0;
        let volts = 231.4 + 1.6 * own.wave(self.hours * 4.0) - 1.5 * load;
        (volts, 0.06 * own.wave(self.hours / 3.0))
    }

    /// Hz of the grid.
    pub(crate) fn frequency(&self, dice: Dice) -> f64 {
        50.0 + 0.06 * dice.of("grid").wave(self.hours * 12.0)
    }
}

/// Air of a room.
#[derive(Debug)]
pub(crate) struct Indoors {
    pub(crate) celsius: f64,
    pub(crate) humidity: f64,
    pub(crate) co2: f64,
}

/// hPa of water vapour that air of this temperature can hold (Magnus).
fn saturation(celsius: f64) -> f64 {
    6.112 * (17.62 * celsius / (243.12 + celsius)).exp()
}

#[derive(Debug)]
pub(crate) struct Flows {
    pub(crate) heat: Heat,
    water: Water,
    /// l/h
    gas: f64,
    electricity: Electricity,
}

/// Water that carries heat: `power` W leave it while it cools by `drop` K from `supply` °C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circuit {
    pub(crate) power: f64,
    pub(crate) supply: f64,
    /// Negative in a cooling circuit.
    pub(crate) drop: f64,
}

impl Circuit {
    /// l/h, at 1.163 Wh/(l·K).
    pub(crate) fn flow(&self) -> f64 {
        self.power / (1.163 * self.drop.abs())
    }
}

#[derive(Debug)]
pub(crate) struct Heat {
    pub(crate) main: Circuit,
    pub(crate) offices: Circuit,
    pub(crate) flats: Circuit,
    pub(crate) air: Circuit,
    pub(crate) tap_water: Circuit,
    pub(crate) cooling: Circuit,
}

impl Heat {
    fn of(air: &Air, life: &Life, hot_water: f64, noise: &Noise, hours: f64) -> Self {
        let felt = air.felt + 0.4 * (air.celsius - air.felt);
        let cold = |below: f64, outdoors: f64| (below - outdoors).max(0.0);
        let jitter = |dice: Dice| 1.0 + 0.035 * dice.wave(hours * 8.0);

        let radiators = 32.0 + 1.05 * cold(17.0, air.felt);
        let sun = (1.0 - air.sun / 1_500.0).max(0.5);
        let offices = 2_150.0 * cold(16.5, felt) * life.setback * sun * jitter(noise.offices);
        let flats = 1_000.0 * cold(16.0, felt) * (0.94 + 0.06 * life.setback) * jitter(noise.flats);
        let coil = 2_600.0 * cold(11.0, air.celsius) * (0.30 + 0.70 * life.air) * jitter(noise.air);
        let tap_water = 1.163 * 50.0 * hot_water + 5_400.0;
        let loss = 2_100.0 + 0.012 * (offices + flats + coil + tap_water);
        let main = offices + flats + coil + tap_water + loss;

        let district = (70.0 + 1.1 * cold(5.0, air.felt)).min(96.0);
        let pulse = noise.district.wave(hours * 5.0);
        let summer = 5_500.0
            + 1_600.0 * cold(-15.5, -air.felt) * (0.25 + 0.75 * life.office)
            + 900.0 * life.office;
        Self {
            main: Circuit {
                power: main,
                supply: district + 0.8 * pulse,
                drop: 24.0 + 16.0 * main / (main + 40_000.0) + 0.9 * noise.main.wave(hours * 3.0),
            },
            offices: Circuit {
                power: offices,
                supply: radiators + 0.5 * pulse,
                drop: 8.0 + radiators * 0.12,
            },
            flats: Circuit {
                power: flats,
                supply: radiators + 3.0 + 0.4 * pulse,
                drop: 7.0 + radiators * 0.12,
            },
            air: Circuit { power: coil, supply: 55.0 + 0.9 * pulse, drop: 21.0 },
            tap_water: Circuit {
                power: tap_water,
                supply: district - 2.0 + 0.7 * pulse,
                drop: 18.0 + 20.0 * hot_water / (hot_water + 200.0),
            },
            cooling: Circuit {
                power: summer * jitter(noise.cooling),
                supply: 7.8 + 0.3 * pulse,
                drop: -(5.2 + 0.4 * noise.cooling.wave(hours)),
            },
        }
    }
}

/// l/h at each tap's meter.
#[derive(Debug)]
struct Water {
    cold_restaurant: f64,
    cold_second: f64,
    cold_third_west: f64,
    cold_third_east: f64,
    cold_flats: f64,
    hot_restaurant: f64,
    hot_offices: f64,
    hot_flats: f64,
}

impl Water {
    fn of(life: &Life, noise: &Noise, hours: f64) -> Self {
        // Taps are open or shut: the draw swings widely around its mean.
        let draw = |dice: Dice| (1.0 + 0.85 * dice.wave(hours * 10.0)).max(0.05);
        Self {
            cold_restaurant: 340.0 * life.kitchen * draw(noise.cold_restaurant),
            cold_second: 95.0 * life.office * draw(noise.cold_second),
            cold_third_west: 3.5 + 80.0 * life.office * draw(noise.cold_third_west),
            cold_third_east: 70.0 * life.office * draw(noise.cold_third_east),
            cold_flats: 370.0 * life.flats * draw(noise.cold_flats),
            hot_restaurant: 240.0 * life.kitchen * draw(noise.hot_restaurant),
            hot_offices: 50.0 * life.office * draw(noise.hot_offices),
            hot_flats: 290.0 * life.flats * draw(noise.hot_flats),
        }
    }

    fn hot(&self) -> f64 {
        self.hot_restaurant + self.hot_offices + self.hot_flats
    }

    /// What comes in from the street; some of it through no further meter.
    fn main(&self) -> f64 {
        let cold = self.cold_restaurant
            + self.cold_second
            + self.cold_third_west
            + self.cold_third_east
            + self.cold_flats;
        (cold + self.hot()) * 1.015 + 2.5
    }
}

/// W at each distribution board.
#[derive(Debug)]
struct Electricity {
    offices: f64,
    restaurant: f64,
    flats: f64,
    fans: f64,
    cars: f64,
    /// Lifts, lamps, pumps, the server room: no meter of their own.
    common: f64,
    solar: f64,
}

impl Electricity {
    fn of(air: &Air, life: &Life, noise: &Noise, hours: f64) -> Self {
        let jitter = |dice: Dice| 1.0 + 0.06 * dice.wave(hours * 10.0);
        let dark = (1.0 - air.sun / 60.0).max(0.0);
        let chilly = (8.0 - air.felt).max(0.0);
        let plugged =
            (0.35 * life.office + 0.5 * life.flats) * (1.0 + noise.cars.wave(hours / 1.1));
        Self {
            offices: (5_200.0 + 27_000.0 * life.office + 2_500.0 * dark * life.office)
                * jitter(noise.offices),
            restaurant: (3_600.0 + 21_000.0 * life.kitchen) * jitter(noise.kitchen),
            flats: (4_200.0 + 20_000.0 * life.flats + 260.0 * chilly) * jitter(noise.flats),
            fans: (3_200.0 + 9_500.0 * life.air) * jitter(noise.air),
            cars: 17_000.0 * plugged,
            common: (8_500.0 + 3_000.0 * dark + 2_000.0 * life.office) * jitter(noise.common),
            solar: 140.0 * air.sun * (1.0 + 0.08 * noise.solar.wave(hours * 7.0)),
        }
    }

    /// What the mains bring: negative while the sun gives more than the house takes.
    fn grid(&self) -> f64 {
        let used =
            self.offices + self.restaurant + self.flats + self.fans + self.cars + self.common;
        used - self.solar
    }
}

macro_rules! noise {
    ($($subject:ident)*) => {
        #[derive(Debug)]
        pub(crate) struct Noise { $($subject: Dice,)* }

        impl Noise {
            pub(crate) fn new(dice: Dice) -> Self {
                Self { $($subject: dice.of(stringify!($subject)),)* }
            }
        }
    };
}

noise! {
    main district offices flats air cooling
    cold_restaurant cold_second cold_third_west cold_third_east cold_flats
    hot_restaurant hot_offices hot_flats
    kitchen cars common solar
}

impl Noise {
    fn kitchen(&self, hours: f64) -> f64 {
        1.0 + 0.3 * self.kitchen.wave(hours * 6.0)
    }
}
