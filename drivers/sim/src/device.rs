//! Kinds of meters: what each shows, and in what steps.
//!
//! One table serves the wires and the history alike, so that both show the same figure. Its
//! register texts, units and decimals are those that a reader of the wire ends up with.

use metering::{Medium, Quantity, Resolution, Unit};
use serde::{Deserialize, Serialize};

use crate::place::Measure;
use crate::plan::BusKind;

/// A kind of meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// M-Bus, like a Kamstrup MULTICAL 601 of a large building; answers in two telegrams.
    HeatMain,
    /// M-Bus, like a Kamstrup MULTICAL of one circuit.
    Heat,
    /// The same, counting cold.
    Cooling,
    /// M-Bus, a water meter that counts litres.
    ColdWater,
    /// The same behind the boiler.
    HotWater,
    /// M-Bus, a gas meter with a pulse module, without temperature or flow.
    Gas,
    /// Modbus, Eastron SDM630.
    Sdm630,
    /// Modbus, Schneider iEM3155.
    Iem3155,
    /// Modbus, Carlo Gavazzi EM340.
    Em340,
    /// Modbus, ABB B23.
    B23,
    /// Modbus, a sensor of a room's temperature, humidity and carbon dioxide.
    Room,
    /// Modbus, the same outdoors, without carbon dioxide.
    Outdoor,
    /// MQTT, a Zigbee sensor of a room behind `Zigbee2MQTT`.
    ZigbeeRoom,
    /// MQTT, a Shelly Plug S, of the first generation.
    ShellyPlug,
    /// MQTT, a Shelly Plus 1PM, of the second.
    ShellyPlus,
    /// MQTT, a plug with Tasmota.
    TasmotaPlug,
    /// MQTT, a sensor of a room that sends `SenML`.
    SenmlRoom,
    /// MQTT, one that announces itself to Home Assistant, as `ESPHome` has them do.
    EspRoom,
    /// HAN, an Aidon of the Norwegian kind: lists of structures, with scales.
    Aidon,
    /// HAN, a Kaifa of the Norwegian kind: lists by place.
    Kaifa,
    /// HAN, a Kamstrup OMNIPOWER; sealed it pushes as in Denmark.
    Kamstrup,
    /// P1, lines of text as in Sweden.
    P1,
    /// Radio, a cold water meter.
    RadioWater,
    /// Radio, the same behind the boiler.
    RadioHotWater,
    /// Radio, a heat meter.
    RadioHeat,
    /// 1-Wire, a thermometer.
    Ds18b20,
    /// Pulses, an electricity meter with an S0 output: 1000 to a kilowatt hour.
    S0Electricity,
    /// Pulses, a water meter with a reed contact: 100 to a cubic metre.
    S0Water,
    /// No device, but a weather service's forecast of the air outdoors.
    Forecast,
}

impl Device {
    /// What it counts.
    pub const fn medium(self) -> Medium {
        match self {
            Self::HeatMain | Self::Heat | Self::RadioHeat => Medium::Heat,
            Self::Cooling => Medium::Cooling,
            Self::ColdWater | Self::S0Water | Self::RadioWater => Medium::Water,
            Self::HotWater | Self::RadioHotWater => Medium::HotWater,
            Self::Gas => Medium::Gas,
            Self::Sdm630
            | Self::Iem3155
            | Self::Em340
            | Self::B23
            | Self::S0Electricity
            | Self::ShellyPlug
            | Self::ShellyPlus
            | Self::TasmotaPlug
            | Self::Aidon
            | Self::Kaifa
            | Self::Kamstrup
            | Self::P1 => Medium::Electricity,
            Self::Room
            | Self::ZigbeeRoom
            | Self::SenmlRoom
            | Self::EspRoom
            | Self::Outdoor
            | Self::Ds18b20
            | Self::Forecast => Medium::Climate,
        }
    }

    /// Which profile reads it: a Modbus meter does not say what its registers mean. `None` for an
    /// M-Bus meter, whose telegrams do, and for a sensor that announces what it is.
    pub const fn profile(self) -> Option<&'static str> {
        match self {
            Self::Sdm630 => Some("eastron.sdm630"),
            Self::Iem3155 => Some("schneider.iem3155"),
            Self::Em340 => Some("carlo-gavazzi.em340"),
            Self::B23 => Some("abb.b23"),
            Self::Room => Some("fyrhus.sim-room"),
            Self::Outdoor => Some("fyrhus.sim-outdoor"),
            Self::ZigbeeRoom => Some("zigbee2mqtt.climate"),
            Self::ShellyPlug => Some("shelly.gen1-relay"),
            Self::ShellyPlus => Some("shelly.gen2-relay"),
            Self::TasmotaPlug => Some("tasmota.energy"),
            Self::SenmlRoom => Some("senml.climate"),
            Self::Ds18b20 => Some("maxim.ds18b20"),
            Self::S0Electricity => Some("s0.electricity"),
            Self::S0Water => Some("s0.water"),
            _ => None,
        }
    }

    /// Whether it is on an M-Bus.
    pub const fn is_mbus(self) -> bool {
        self.speaks(BusKind::Mbus)
    }

    /// Whether it speaks when it wants to, and never answers.
    pub const fn speaks_unasked(self) -> bool {
        self.speaks(BusKind::Han) || self.speaks(BusKind::Wmbus)
    }

    /// Whether the energies that it tells are those of the last full hour.
    pub const fn freezes_energies(self) -> bool {
        matches!(self, Self::Aidon | Self::Kaifa | Self::Kamstrup)
    }

    /// Whether it can be on a bus of this kind.
    pub const fn speaks(self, kind: BusKind) -> bool {
        match self {
            Self::HeatMain
            | Self::Heat
            | Self::Cooling
            | Self::ColdWater
            | Self::HotWater
            | Self::Gas => matches!(kind, BusKind::Mbus),
            Self::Aidon | Self::Kaifa | Self::Kamstrup | Self::P1 => matches!(kind, BusKind::Han),
            Self::RadioWater | Self::RadioHotWater | Self::RadioHeat => {
                matches!(kind, BusKind::Wmbus)
            }
            Self::ZigbeeRoom
            | Self::ShellyPlug
            | Self::ShellyPlus
            | Self::TasmotaPlug
            | Self::SenmlRoom
            | Self::EspRoom => matches!(kind, BusKind::Mqtt),
            Self::Ds18b20 => matches!(kind, BusKind::OneWire),
            Self::S0Electricity | Self::S0Water => matches!(kind, BusKind::Pulse),
            Self::Forecast => matches!(kind, BusKind::Weather),
            _ => matches!(kind, BusKind::ModbusTcp | BusKind::ModbusRtu),
        }
    }

    /// Whether a reader of the wire finds what its display shows: what counts pulses counts from
    /// the moment at which it began.
    pub const fn tells_its_display(self) -> bool {
        !matches!(self, Self::S0Electricity | Self::S0Water)
    }

    /// What its history is made of: counters, and the gauges that people look at. Voltages and
    /// currents of single phases are read live alone.
    pub fn figures(self) -> &'static [Figure] {
        match self {
            Self::HeatMain => &HEAT_MAIN,
            Self::Heat | Self::Cooling | Self::RadioHeat => &HEAT,
            Self::ColdWater | Self::HotWater | Self::RadioWater | Self::RadioHotWater => &WATER,
            Self::Aidon | Self::Kamstrup => &HAN_TENS,
            Self::Kaifa => &HAN,
            Self::P1 => &P1,
            Self::Gas => &GAS,
            Self::Sdm630 => &SDM630,
            Self::Iem3155 => &IEM3155,
            Self::Em340 => &EM340,
            Self::B23 => &B23,
            Self::Room => &ROOM,
            Self::Outdoor => &OUTDOOR,
            Self::ZigbeeRoom | Self::EspRoom => &ZIGBEE_ROOM,
            Self::ShellyPlug => &SHELLY_PLUG,
            Self::ShellyPlus => &SHELLY_PLUS,
            Self::TasmotaPlug => &TASMOTA_PLUG,
            Self::SenmlRoom => &SENML_ROOM,
            Self::Ds18b20 => &DS18B20,
            Self::S0Electricity => &S0_ELECTRICITY,
            Self::S0Water => &S0_WATER,
            Self::Forecast => &FORECAST,
        }
    }

    /// The one of its figures that shows `measure`.
    pub fn figure(self, measure: Measure) -> Option<&'static Figure> {
        self.figures().iter().find(|figure| figure.measure == measure)
    }
}

/// One number on a meter's display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The canonical text of its register.
    pub register: &'static str,
    /// What it shows.
    pub measure: Measure,
    /// In which unit.
    pub unit: Unit,
    /// With how many digits after the point.
    pub decimals: i8,
    /// Whether the wire has a float of 32 bits, of which a reader makes these digits.
    pub float: bool,
}

impl Figure {
    /// `thousandths` of the measure's base unit as this figure shows them: cut and not rounded,
    /// as a counter's wheels do, but a float rounded to the nearest. `None` for steps that
    /// [`Resolution`] cannot tell.
    pub fn shown(&self, thousandths: i64) -> Option<Quantity> {
        let kilo = self.kilo();
        let step = self.step()?;
        let resolution = Resolution::new(self.decimals, self.unit)?;
        let mantissa = if self.float {
            let on_wire = f64::from(float(thousandths, 10_i64.pow(kilo.unsigned_abs().into())));
            let steps = on_wire * 10_f64.powi(self.decimals.into());
            #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2⁵³")]
            let steps = steps.round() as i64;
            steps
        } else {
            thousandths.div_euclid(step)
        };
        Some(Quantity::new(mantissa, resolution))
    }

    /// The last that its eight digits show, in thousandths of the measure's base unit.
    pub(crate) fn last(&self) -> Option<i64> {
        self.step()?.checked_mul(99_999_999)
    }

    /// The power of ten by which a thousandth of the measure's base unit is smaller than its unit.
    const fn kilo(&self) -> i8 {
        match self.unit {
            Unit::KilowattHour | Unit::Kilowatt | Unit::CubicMetre | Unit::CubicMetrePerHour => 6,
            _ => 3,
        }
    }

    /// How many of these thousandths are one step.
    fn step(&self) -> Option<i64> {
        10_i64.checked_pow(u32::try_from(self.kilo() - self.decimals).ok()?)
    }
}

/// `amount` / `divisor` as a float of 32 bits: 24 binary digits and no more, as in the device.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the wire has a float of 32 bits"
)]
pub(crate) fn float(amount: i64, divisor: i64) -> f32 {
    (amount as f64 / divisor as f64) as f32
}

const fn figure(register: &'static str, measure: Measure, unit: Unit, decimals: i8) -> Figure {
    Figure { register, measure, unit, decimals, float: false }
}

const fn floating(register: &'static str, measure: Measure, unit: Unit, decimals: i8) -> Figure {
    Figure { float: true, ..figure(register, measure, unit, decimals) }
}

const HEAT_MAIN: [Figure; 7] = [
    figure("energy", Measure::Energy, Unit::KilowattHour, 0),
    figure("volume", Measure::Volume, Unit::CubicMetre, 2),
    figure("power", Measure::Power, Unit::Kilowatt, 1),
    figure("volume_flow", Measure::Flow, Unit::CubicMetrePerHour, 3),
    figure("flow_temperature", Measure::FlowTemperature, Unit::Celsius, 2),
    figure("return_temperature", Measure::ReturnTemperature, Unit::Celsius, 2),
    figure("temperature_difference", Measure::TemperatureDifference, Unit::Kelvin, 2),
];
const HEAT: [Figure; 7] = [
    figure("energy", Measure::Energy, Unit::KilowattHour, 1),
    figure("volume", Measure::Volume, Unit::CubicMetre, 2),
    figure("power", Measure::Power, Unit::Kilowatt, 2),
    figure("volume_flow", Measure::Flow, Unit::CubicMetrePerHour, 3),
    figure("flow_temperature", Measure::FlowTemperature, Unit::Celsius, 2),
    figure("return_temperature", Measure::ReturnTemperature, Unit::Celsius, 2),
    figure("temperature_difference", Measure::TemperatureDifference, Unit::Kelvin, 2),
];
const WATER: [Figure; 2] = [
    figure("volume", Measure::Volume, Unit::CubicMetre, 3),
    figure("volume_flow", Measure::Flow, Unit::CubicMetrePerHour, 3),
];
const GAS: [Figure; 1] = [figure("volume", Measure::Volume, Unit::CubicMetre, 2)];

const SDM630: [Figure; 3] = [
    floating("energy_import_total", Measure::Energy, Unit::KilowattHour, 2),
    floating("energy_export_total", Measure::Export, Unit::KilowattHour, 2),
    floating("power_total", Measure::Power, Unit::Watt, 1),
];
const IEM3155: [Figure; 3] = [
    figure("energy_import_total", Measure::Energy, Unit::WattHour, 0),
    figure("energy_export_total", Measure::Export, Unit::WattHour, 0),
    floating("power_total", Measure::Power, Unit::Kilowatt, 3),
];
const EM340: [Figure; 3] = [
    figure("energy_import_total", Measure::Energy, Unit::KilowattHour, 1),
    figure("energy_export_total", Measure::Export, Unit::KilowattHour, 1),
    figure("power_total", Measure::Power, Unit::Watt, 1),
];
const B23: [Figure; 3] = [
    figure("energy_import_total", Measure::Energy, Unit::KilowattHour, 2),
    figure("energy_export_total", Measure::Export, Unit::KilowattHour, 2),
    figure("power_total", Measure::Power, Unit::Watt, 2),
];
const HAN: [Figure; 4] = [
    figure("energy_import_total", Measure::Energy, Unit::WattHour, 0),
    figure("energy_export_total", Measure::Export, Unit::WattHour, 0),
    figure("power_import_total", Measure::PowerIn, Unit::Watt, 0),
    figure("power_export_total", Measure::PowerOut, Unit::Watt, 0),
];
const HAN_TENS: [Figure; 4] = [
    figure("energy_import_total", Measure::Energy, Unit::WattHour, -1),
    figure("energy_export_total", Measure::Export, Unit::WattHour, -1),
    figure("power_import_total", Measure::PowerIn, Unit::Watt, 0),
    figure("power_export_total", Measure::PowerOut, Unit::Watt, 0),
];
const P1: [Figure; 4] = [
    figure("energy_import_total", Measure::Energy, Unit::KilowattHour, 3),
    figure("energy_export_total", Measure::Export, Unit::KilowattHour, 3),
    figure("power_import_total", Measure::PowerIn, Unit::Kilowatt, 3),
    figure("power_export_total", Measure::PowerOut, Unit::Kilowatt, 3),
];
const ROOM: [Figure; 3] = [
    figure("temperature_room", Measure::Temperature, Unit::Celsius, 1),
    figure("humidity_room", Measure::Humidity, Unit::Percent, 1),
    figure("co2_room", Measure::Co2, Unit::PartPerMillion, 0),
];
const ZIGBEE_ROOM: [Figure; 3] = [
    figure("temperature_room", Measure::Temperature, Unit::Celsius, 2),
    figure("humidity_room", Measure::Humidity, Unit::Percent, 2),
    figure("co2_room", Measure::Co2, Unit::PartPerMillion, 0),
];
const SHELLY_PLUG: [Figure; 2] = [
    figure("energy", Measure::Energy, Unit::WattHour, 1),
    figure("power", Measure::Power, Unit::Watt, 2),
];
const SHELLY_PLUS: [Figure; 2] = [
    figure("energy", Measure::Energy, Unit::WattHour, 3),
    figure("power", Measure::Power, Unit::Watt, 1),
];
const TASMOTA_PLUG: [Figure; 2] = [
    figure("energy", Measure::Energy, Unit::KilowattHour, 3),
    figure("power", Measure::Power, Unit::Watt, 1),
];
const SENML_ROOM: [Figure; 2] = [
    figure("temperature_room", Measure::Temperature, Unit::Celsius, 2),
    figure("humidity_room", Measure::Humidity, Unit::Percent, 2),
];
const OUTDOOR: [Figure; 2] = [
    figure("temperature_outdoor", Measure::Temperature, Unit::Celsius, 1),
    figure("humidity_outdoor", Measure::Humidity, Unit::Percent, 1),
];
// In thousandths, of which the sensor has sixteenths: a history is coarser.
const DS18B20: [Figure; 1] = [figure("temperature", Measure::Temperature, Unit::Celsius, 3)];
const S0_ELECTRICITY: [Figure; 1] = [figure("energy", Measure::Energy, Unit::KilowattHour, 3)];
const S0_WATER: [Figure; 1] = [figure("volume", Measure::Volume, Unit::CubicMetre, 3)];
const FORECAST: [Figure; 1] =
    [figure("temperature_forecast", Measure::Temperature, Unit::Celsius, 1)];

#[cfg(test)]
mod tests {
    use metering::Register;

    use super::*;

    pub(crate) const ALL: [Device; 29] = [
        Device::HeatMain,
        Device::Heat,
        Device::Cooling,
        Device::ColdWater,
        Device::HotWater,
        Device::Gas,
        Device::Sdm630,
        Device::Iem3155,
        Device::Em340,
        Device::B23,
        Device::Room,
        Device::Outdoor,
        Device::ZigbeeRoom,
        Device::ShellyPlug,
        Device::ShellyPlus,
        Device::TasmotaPlug,
        Device::SenmlRoom,
        Device::EspRoom,
        Device::Aidon,
        Device::Kaifa,
        Device::Kamstrup,
        Device::P1,
        Device::RadioWater,
        Device::RadioHotWater,
        Device::RadioHeat,
        Device::Ds18b20,
        Device::S0Electricity,
        Device::S0Water,
        Device::Forecast,
    ];

    #[test]
    fn every_figure_has_a_canonical_register_and_steps_that_can_be_told() {
        for device in ALL {
            for figure in device.figures() {
                let register: Register = figure.register.parse().unwrap();
                assert_eq!(register.to_string(), figure.register);
                assert!(figure.shown(1).is_some(), "{device:?} {}", figure.register);
            }
        }
    }

    #[test]
    fn a_figure_is_cut_as_a_counter_cuts_it() {
        let shown = |device: Device, measure, thousandths| {
            device.figure(measure).unwrap().shown(thousandths).unwrap().to_string()
        };
        assert_eq!(shown(Device::HeatMain, Measure::Energy, 1_999_999), "1 kWh");
        assert_eq!(shown(Device::Heat, Measure::Energy, 1_999_999), "1.9 kWh");
        assert_eq!(shown(Device::ColdWater, Measure::Volume, 1_234_567), "1.234 m³");
        assert_eq!(shown(Device::HeatMain, Measure::Power, 113_450_000), "113.4 kW");
        assert_eq!(shown(Device::Iem3155, Measure::Energy, 1_999_999), "1999 Wh");
        assert_eq!(shown(Device::Outdoor, Measure::Temperature, -2_640), "-2.7 °C");
        // A float has no more than seven digits, and is rounded.
        assert_eq!(shown(Device::Sdm630, Measure::Energy, 686_583_659_000), "686583.69 kWh");
        assert_eq!(shown(Device::Iem3155, Measure::Power, 8_020_600), "8.021 kW");
    }
}
