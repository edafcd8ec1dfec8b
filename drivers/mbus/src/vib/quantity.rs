//! What a number counts or measures.

/// One name for each quantity that a VIF can tell, whatever its unit and power of ten.
macro_rules! quantities {
    ($($variant:ident $name:literal)*) => {
        /// What a number counts or measures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names say it; units and powers of ten are elsewhere")]
        pub enum Quantity { $($variant),* }

        impl Quantity {
            /// As in decoded telegrams: `flow_temperature`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// All of them, in the order of the tables.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

quantities! {
    // Primary.
    Energy "energy"
    Volume "volume"
    Mass "mass"
    OnTime "on_time"
    OperatingTime "operating_time"
    Power "power"
    VolumeFlow "volume_flow"
    MassFlow "mass_flow"
    FlowTemperature "flow_temperature"
    ReturnTemperature "return_temperature"
    TemperatureDifference "temperature_difference"
    ExternalTemperature "external_temperature"
    Pressure "pressure"
    Date "date"
    DateTime "date_time"
    HeatCost "heat_cost"
    AveragingDuration "averaging_duration"
    ActualityDuration "actuality_duration"
    FabricationNumber "fabrication_number"
    Identification "identification"
    BusAddress "bus_address"
    PlainText "plain_text"
    Any "any"
    ManufacturerSpecific "manufacturer_specific"
    // FD.
    Credit "credit"
    Debit "debit"
    AccessNumber "access_number"
    Medium "medium"
    Manufacturer "manufacturer"
    ParameterSet "parameter_set"
    ModelVersion "model_version"
    HardwareVersion "hardware_version"
    FirmwareVersion "firmware_version"
    SoftwareVersion "software_version"
    CustomerLocation "customer_location"
    Customer "customer"
    AccessCodeUser "access_code_user"
    AccessCodeOperator "access_code_operator"
    AccessCodeSystemOperator "access_code_system_operator"
    AccessCodeDeveloper "access_code_developer"
    Password "password"
    ErrorFlags "error_flags"
    ErrorMask "error_mask"
    DigitalOutput "digital_output"
    DigitalInput "digital_input"
    BaudRate "baud_rate"
    ResponseDelay "response_delay"
    Retry "retry"
    FirstStorageNumber "first_storage_number"
    LastStorageNumber "last_storage_number"
    StorageBlockSize "storage_block_size"
    StorageInterval "storage_interval"
    SinceLastReadout "since_last_readout"
    TariffStart "tariff_start"
    TariffDuration "tariff_duration"
    TariffPeriod "tariff_period"
    Dimensionless "dimensionless"
    Voltage "voltage"
    Current "current"
    ResetCounter "reset_counter"
    CumulationCounter "cumulation_counter"
    ControlSignal "control_signal"
    DayOfWeek "day_of_week"
    WeekNumber "week_number"
    TimeOfDayChange "time_of_day_change"
    ParameterActivation "parameter_activation"
    SupplierInformation "supplier_information"
    SinceLastCumulation "since_last_cumulation"
    BatteryOperatingTime "battery_operating_time"
    BatteryChange "battery_change"
    RfLevel "rf_level"
    BatteryRemaining "battery_remaining"
    // FB.
    ReactiveEnergy "reactive_energy"
    ApparentEnergy "apparent_energy"
    ReactivePower "reactive_power"
    RelativeHumidity "relative_humidity"
    PhaseUU "phase_u_u"
    PhaseUI "phase_u_i"
    Frequency "frequency"
    ApparentPower "apparent_power"
    TemperatureLimit "temperature_limit"
    MaximumPowerCumulated "maximum_power_cumulated"
    // Elsewhere.
    Temperature "temperature"
    GlobalReadout "global_readout"
    Unknown "unknown"
}
