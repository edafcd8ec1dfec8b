//! Where in the building a meter sits, and what there is to measure at that place.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::building::{Building, thousandths};
use crate::device::Device;
use crate::dice::Dice;
use crate::flows::{Circuit, Rates, Stream};
use crate::plan::BusKind;

/// What a meter can show. Its amounts are thousandths of the unit named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Wh, counted; of electricity what came in.
    Energy,
    /// Wh, counted: what went out.
    Export,
    /// Litres, counted.
    Volume,
    /// W; negative while more goes out than comes in.
    Power,
    /// W that come in; none while more goes out.
    PowerIn,
    /// W that go out; none while more comes in.
    PowerOut,
    /// W of conductor 1, 2 or 3.
    PhasePower(u8),
    /// Litres an hour.
    Flow,
    /// °C of the water that comes.
    FlowTemperature,
    /// °C of the water that goes.
    ReturnTemperature,
    /// K between the two; negative in a cooling circuit.
    TemperatureDifference,
    /// V between conductor 1, 2 or 3 and neutral.
    Voltage(u8),
    /// A in conductor 1, 2 or 3.
    Current(u8),
    /// Hz.
    Frequency,
    /// °C of air.
    Temperature,
    /// % of air, relative.
    Humidity,
    /// Parts per million of carbon dioxide in air.
    Co2,
}

/// Where a meter sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names of places in a house")]
pub enum Place {
    HeatMain,
    HeatOffices,
    HeatFlats,
    HeatVentilation,
    HeatTapWater,
    Cooling,
    WaterMain,
    ColdRestaurant,
    #[serde(rename = "cold-2")]
    ColdSecond,
    #[serde(rename = "cold-3-west")]
    ColdThirdWest,
    #[serde(rename = "cold-3-east")]
    ColdThirdEast,
    ColdFlats,
    HotRestaurant,
    HotOffices,
    HotFlats,
    Gas,
    ElectricityMain,
    ElectricityOffices,
    ElectricityRestaurant,
    ElectricityFlats,
    ElectricityVentilation,
    ElectricityCars,
    Solar,
    MeetingRoom,
    OfficeLandscape,
    Reception,
    RestaurantRoom,
    Flat,
    Outdoors,
}

/// The building at one instant, from which any number of figures can be taken.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    building: &'a Building,
    at: DateTime<Utc>,
    rates: Rates,
}

impl<'a> Sight<'a> {
    pub(crate) fn of(building: &'a Building, at: DateTime<Utc>) -> Self {
        Self { building, at, rates: building.rates(at) }
    }

    /// `measure` at `place`; `None` where there is no such thing. `dice` are the meter's own, for
    /// what differs between two sockets of one house.
    pub(crate) fn measure(&self, place: Place, measure: Measure, dice: Dice) -> Option<i64> {
        match place.kind() {
            Kind::Circuit { energy, volume, circuit } => {
                let it = circuit(&self.rates);
                match measure {
                    Measure::Energy => Some(self.building.counted(energy, self.at)),
                    Measure::Volume => Some(self.building.counted(volume, self.at)),
                    Measure::Power => Some(thousandths(it.power)),
                    Measure::Flow => Some(thousandths(it.flow())),
                    Measure::FlowTemperature => Some(thousandths(it.supply)),
                    Measure::ReturnTemperature => Some(thousandths(it.supply - it.drop)),
                    Measure::TemperatureDifference => Some(thousandths(it.drop)),
                    _ => None,
                }
            }
            Kind::Pipe(volume) => match measure {
                Measure::Volume => Some(self.building.counted(volume, self.at)),
                Measure::Flow => Some(thousandths(volume.of(&self.rates.flow))),
                _ => None,
            },
            Kind::Wire { import, export } => self.wire(import, export, measure, dice),
            Kind::Air => {
                let air = self.air(place, dice);
                match measure {
                    Measure::Temperature => Some(thousandths(air.0)),
                    Measure::Humidity => Some(thousandths(air.1)),
                    Measure::Co2 => air.2.map(thousandths),
                    _ => None,
                }
            }
        }
    }

    fn wire(
        &self,
        import: Stream,
        export: Option<Stream>,
        measure: Measure,
        dice: Dice,
    ) -> Option<i64> {
        let of = |stream: Stream| stream.of(&self.rates.flow);
        let power = of(import) - export.map_or(0.0, of);
        let phase_power = |phase: u8| {
            let (_, skew) = self.rates.mains(dice, phase.into());
            let fixed = match phase {
                1 => 0.345,
                2 => 0.335,
                // What the other two leave, so that the three are the whole.
                _ => {
                    let others: f64 =
                        [1, 2].map(|it| self.rates.mains(dice, it).1 / 3.0).iter().sum();
                    return power * (0.320 - others);
                }
            };
            power * (fixed + skew / 3.0)
        };
        let volts = |phase: u8| self.rates.mains(dice, phase.into()).0;
        match measure {
            Measure::Energy => Some(self.building.counted(import, self.at)),
            Measure::Export => {
                Some(export.map_or(0, |export| self.building.counted(export, self.at)))
            }
            Measure::Power => Some(thousandths(power)),
            Measure::PowerIn => Some(thousandths(power.max(0.0))),
            Measure::PowerOut => Some(thousandths((-power).max(0.0))),
            Measure::PhasePower(phase) => Some(thousandths(phase_power(phase))),
            Measure::Voltage(phase) => Some(thousandths(volts(phase))),
            Measure::Current(phase) => {
                Some(thousandths(phase_power(phase).abs() / volts(phase) / POWER_FACTOR))
            }
            Measure::Frequency => Some(thousandths(self.rates.frequency(dice))),
            _ => None,
        }
    }

    /// °C, % and, indoors, ppm.
    fn air(&self, place: Place, dice: Dice) -> (f64, f64, Option<f64>) {
        let life = &self.rates.life;
        let (warmth, sun, crowd) = match place {
            Place::MeetingRoom => (21.4, 0.3, 1.3 * self.rates.meetings(dice)),
            Place::OfficeLandscape => (21.8, 0.9, 0.75 * life.office),
            Place::Reception => (20.6, 0.5, 0.35 * life.office),
            Place::RestaurantRoom => (21.2, 0.4, 0.9 * life.kitchen),
            Place::Flat => (22.3, 0.6, 0.15 + 0.5 * life.flats),
            _ => return (self.rates.air.celsius, self.rates.air.humidity, None),
        };
        let room = self.rates.room(dice, warmth, sun, crowd);
        (room.celsius, room.humidity, Some(room.co2))
    }
}

const POWER_FACTOR: f64 = 0.96;

enum Kind {
    Circuit { energy: Stream, volume: Stream, circuit: fn(&Rates) -> Circuit },
    Pipe(Stream),
    Wire { import: Stream, export: Option<Stream> },
    Air,
}

impl Place {
    const fn kind(self) -> Kind {
        const fn wire(import: Stream) -> Kind {
            Kind::Wire { import, export: None }
        }
        const fn circuit(energy: Stream, volume: Stream, circuit: fn(&Rates) -> Circuit) -> Kind {
            Kind::Circuit { energy, volume, circuit }
        }

        match self {
            Self::HeatMain => circuit(Stream::HeatMain, Stream::FlowMain, |it| it.flows.heat.main),
            Self::HeatOffices => {
                circuit(Stream::HeatOffices, Stream::FlowOffices, |it| it.flows.heat.offices)
            }
            Self::HeatFlats => {
                circuit(Stream::HeatFlats, Stream::FlowFlats, |it| it.flows.heat.flats)
            }
            Self::HeatVentilation => {
                circuit(Stream::HeatAir, Stream::FlowAir, |it| it.flows.heat.air)
            }
            Self::HeatTapWater => {
                circuit(Stream::HeatTapWater, Stream::FlowTapWater, |it| it.flows.heat.tap_water)
            }
            Self::Cooling => {
                circuit(Stream::Cooling, Stream::FlowCooling, |it| it.flows.heat.cooling)
            }
            Self::WaterMain => Kind::Pipe(Stream::WaterMain),
            Self::ColdRestaurant => Kind::Pipe(Stream::ColdRestaurant),
            Self::ColdSecond => Kind::Pipe(Stream::ColdSecond),
            Self::ColdThirdWest => Kind::Pipe(Stream::ColdThirdWest),
            Self::ColdThirdEast => Kind::Pipe(Stream::ColdThirdEast),
            Self::ColdFlats => Kind::Pipe(Stream::ColdFlats),
            Self::HotRestaurant => Kind::Pipe(Stream::HotRestaurant),
            Self::HotOffices => Kind::Pipe(Stream::HotOffices),
            Self::HotFlats => Kind::Pipe(Stream::HotFlats),
            Self::Gas => Kind::Pipe(Stream::Gas),
            Self::ElectricityMain => {
                Kind::Wire { import: Stream::Import, export: Some(Stream::Export) }
            }
            Self::ElectricityOffices => wire(Stream::ElectricityOffices),
            Self::ElectricityRestaurant => wire(Stream::ElectricityRestaurant),
            Self::ElectricityFlats => wire(Stream::ElectricityFlats),
            Self::ElectricityVentilation => wire(Stream::ElectricityFans),
            Self::ElectricityCars => wire(Stream::ElectricityCars),
            Self::Solar => wire(Stream::Solar),
            Self::MeetingRoom
            | Self::OfficeLandscape
            | Self::Reception
            | Self::RestaurantRoom
            | Self::Flat
            | Self::Outdoors => Kind::Air,
        }
    }

    /// Whether `device` can measure what there is here.
    pub(crate) const fn suits(self, device: Device) -> bool {
        use Device as D;
        match self.kind() {
            Kind::Circuit { .. } if matches!(self, Self::Cooling) => matches!(device, D::Cooling),
            Kind::Circuit { .. } => matches!(device, D::HeatMain | D::Heat | D::RadioHeat),
            Kind::Pipe(_) if matches!(self, Self::Gas) => matches!(device, D::Gas),
            Kind::Pipe(_) => matches!(
                device,
                D::ColdWater | D::HotWater | D::S0Water | D::RadioWater | D::RadioHotWater
            ),
            Kind::Wire { .. } => {
                matches!(device, D::Sdm630 | D::Iem3155 | D::Em340 | D::B23 | D::S0Electricity)
                    || matches!(device, D::ShellyPlug | D::ShellyPlus | D::TasmotaPlug)
                    || device.speaks(BusKind::Han)
            }
            Kind::Air if matches!(self, Self::Outdoors) => {
                matches!(device, D::Outdoor | D::Ds18b20 | D::Forecast)
            }
            Kind::Air => {
                matches!(device, D::Room | D::ZigbeeRoom | D::SenmlRoom | D::EspRoom | D::Ds18b20)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_conductors_are_the_whole() {
        let building = Building::new(1);
        let sight = Sight::of(&building, "2025-11-20T09:12:33Z".parse().unwrap());
        let dice = Dice::new(9);
        let of = |measure| sight.measure(Place::ElectricityMain, measure, dice).unwrap();
        let sum: i64 = (1..=3).map(|phase| of(Measure::PhasePower(phase))).sum();
        assert!((sum - of(Measure::Power)).abs() <= 2);
        assert!((215_000..245_000).contains(&of(Measure::Voltage(2))));
        assert!((49_800..50_200).contains(&of(Measure::Frequency)));
    }

    #[test]
    fn heat_is_flow_times_cooling_down() {
        let building = Building::new(1);
        let sight = Sight::of(&building, "2025-11-20T09:12:33Z".parse().unwrap());
        let of = |measure| sight.measure(Place::HeatMain, measure, Dice::new(1)).unwrap();
        let power = of(Measure::Flow) * of(Measure::TemperatureDifference) / 1_000 * 1_163 / 1_000;
        let told = of(Measure::Power);
        assert!((power - told).abs() < told / 100, "{power} mW by flow, {told} mW by the meter");
        let drop = of(Measure::FlowTemperature) - of(Measure::ReturnTemperature);
        assert!((drop - of(Measure::TemperatureDifference)).abs() <= 1);
    }

    #[test]
    fn rooms_are_livable_all_year() {
        let building = Building::new(2);
        for day in 0..365 {
            let noon = crate::building::EPOCH + chrono::TimeDelta::hours(day * 24 + day % 24);
            let sight = Sight::of(&building, noon);
            for place in [Place::MeetingRoom, Place::Flat, Place::RestaurantRoom, Place::Reception]
            {
                let of = |measure| sight.measure(place, measure, Dice::new(3)).unwrap();
                assert!((17_000..29_500).contains(&of(Measure::Temperature)), "{place:?} {noon}");
                assert!((12_000..=75_000).contains(&of(Measure::Humidity)), "{place:?} {noon}");
                assert!((390_000..1_400_000).contains(&of(Measure::Co2)), "{place:?} {noon}");
            }
            let outdoors = sight.measure(Place::Outdoors, Measure::Temperature, Dice::new(3));
            assert!((-30_000..33_000).contains(&outdoors.unwrap()), "{noon}");
            assert_eq!(sight.measure(Place::Outdoors, Measure::Co2, Dice::new(3)), None);
        }
    }
}
