//! Which meters stand for a building: those that are part of no other, and the one outdoors.

use metering::{Medium, MeterId, Register};
use store::{Point, Snapshot};

use crate::Site;
use crate::figures;
use crate::handles::MeterInfo;

/// Those of `meters` whose consumption no other of them includes.
pub(crate) fn tops<'m>(site: &Site, meters: &[&'m MeterInfo]) -> Vec<&'m MeterInfo> {
    let part = |meter: &MeterInfo| site.wholes(meter).any(|id| meters.iter().any(|it| it.id == id));
    meters.iter().copied().filter(|meter| !part(meter)).collect()
}

/// What counts the use of `medium` in each of `meters` that has such a counter.
pub(crate) fn counters(
    store: &Snapshot<'_>,
    medium: Medium,
    meters: &[&MeterInfo],
) -> Vec<(MeterId, Register)> {
    let counter = |meter: &&MeterInfo| {
        let points = store.points(meter.id);
        let registers = points.iter().map(|point| &point.register);
        Some((meter.id, figures::counter(Some(medium), registers)?.clone()))
    };
    meters.iter().filter_map(counter).collect()
}

/// Where the temperature outdoors is kept, and how it is known: `sensor` or `forecast`.
pub(crate) fn outdoors(
    store: &Snapshot<'_>,
    meters: &[&MeterInfo],
) -> Option<(Point, &'static str)> {
    let points = || {
        meters
            .iter()
            .flat_map(|meter| store.points(meter.id).into_iter().map(move |it| (meter, it)))
    };
    let found = |source, matches: &dyn Fn(&MeterInfo, &str) -> bool| {
        let mut points = points();
        let (_, point) = points.find(|(meter, it)| matches(meter, &it.register.to_string()))?;
        Some((point, source))
    };
    found("sensor", &|meter, register| meter.outdoor && register.starts_with("temperature"))
        .or_else(|| found("sensor", &|_, register| register == "temperature_outdoor"))
        .or_else(|| found("forecast", &|_, register| register == "temperature_forecast"))
}
