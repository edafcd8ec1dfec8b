//! Which series a value belongs to.
//!
//! A *point* is one register of one meter of the configuration. A *series* is the part of it that
//! one installed device counted in steps of one size; its unit and decimals never change. The rules
//! by which a value finds its series, or begins one:
//!
//! | The value                               | goes                                        |
//! |-----------------------------------------|---------------------------------------------|
//! | counts the steps of a series            | into it                                     |
//! | is coarser                              | into it, scaled up, exactly                 |
//! | is finer                                | into a new series, which takes both from then on |
//! | is coarser, but too long for finer steps | into a series of its own steps              |
//! | has another unit                        | into a series of that unit                  |
//! | comes from another device               | into a series of that device                |
//! | is absent                               | where the point's last value went           |
//!
//! A meter that has [`MOST_SERIES`] begins no more: a value that would need one is left out, and the
//! series that it has go on.
//!
//! A device that comes back finds its old series. A device that does not tell its serial number is
//! taken for the one that was there; one that tells it for the first time gives it to the series
//! that had none.

use std::collections::HashMap;
use std::sync::Arc;

use metering::{MeterId, PointId, Quantity, Register, Resolution, SeriesId, Unit};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::error::{Doing, StoreError};

/// Series that one meter may have in all its life.
///
/// Ten devices after each other with two hundred registers each. A meter that calls itself, or its
/// registers, something else with every answer would fill memory and disk.
pub const MOST_SERIES: usize = 2_048;

/// How the numbers of a register are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It counts up: its differences are what was used.
    Counter,
    /// It goes up and down: its lowest, highest and mean are of interest.
    Gauge,
    /// It is a state or a set of bits: only the last one is of interest.
    Flag,
}

impl Kind {
    /// As in the store, on the wire and in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Flag => "flag",
        }
    }

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Flag].into_iter().find(|kind| kind.code() == code)
    }
}

/// One register of one installed device, counted in steps of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesInfo {
    /// Its number.
    pub series: SeriesId,
    /// The point that it is a part of.
    pub point: PointId,
    /// Of which meter of the configuration.
    pub meter: MeterId,
    /// Which of the meter's numbers.
    pub register: Register,
    /// How to read them.
    pub kind: Kind,
    /// How large a step is, and of which unit.
    pub resolution: Resolution,
    /// When it was begun, in milliseconds since 1970.
    pub begins_ms: i64,
    /// Of the device; empty if it does not tell.
    pub serial: String,
    /// The coarser series of the same device that it goes on from.
    pub continues: Option<SeriesId>,
}

/// One register of one meter of the configuration, over all devices that counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its id.
    pub id: PointId,
    /// Of which meter.
    pub meter: MeterId,
    /// Which of its numbers.
    pub register: Register,
    /// How to read it, as its newest series has it.
    pub kind: Kind,
    /// Its series, the oldest first.
    pub series: Vec<SeriesInfo>,
}

/// All series, in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// Series `n` is at `n - 1`: numbers are given without a hole, and none is ever deleted.
    /// A hole that a repair left is `None`, and so is what means nothing to this version.
    series: Vec<Option<Arc<SeriesInfo>>>,
    points: HashMap<(MeterId, String), Vec<SeriesId>>,
    meters: HashMap<MeterId, Vec<SeriesId>>,
}

/// What a value needs to find its series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) meter: MeterId,
    pub(crate) register: &'a Register,
    pub(crate) kind: Kind,
    /// Of the device that answered, if it told.
    pub(crate) serial: Option<&'a str>,
    pub(crate) at_ms: i64,
}

impl Registry {
    pub(crate) fn get(&self, series: SeriesId) -> Option<&Arc<SeriesInfo>> {
        let index = usize::try_from(series.get()).ok()?.checked_sub(1)?;
        self.series.get(index)?.as_ref()
    }

    pub(crate) fn numbered(&self, number: u32) -> Option<&Arc<SeriesInfo>> {
        SeriesId::new(number).and_then(|series| self.get(series))
    }

    pub(crate) fn meters(&self) -> impl Iterator<Item = MeterId> {
        self.meters.keys().copied()
    }

    /// The series of a meter, the oldest first.
    pub(crate) fn of_meter(&self, meter: MeterId) -> impl Iterator<Item = &Arc<SeriesInfo>> {
        self.meters.get(&meter).into_iter().flatten().filter_map(|series| self.get(*series))
    }

    /// The series of a point, the oldest first.
    pub(crate) fn of_point(
        &self,
        meter: MeterId,
        register: &Register,
    ) -> impl DoubleEndedIterator<Item = &Arc<SeriesInfo>> {
        self.point(meter, register).iter().filter_map(|series| self.get(*series))
    }

    fn point(&self, meter: MeterId, register: &Register) -> &[SeriesId] {
        self.points.get(&(meter, register.to_string())).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn points(&self, meter: MeterId) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for info in self.of_meter(meter) {
            match points.iter_mut().find(|point| point.id == info.point) {
                Some(point) => {
                    point.kind = info.kind;
                    point.series.push(SeriesInfo::clone(info));
                }
                None => points.push(Point {
                    id: info.point,
                    meter,
                    register: info.register.clone(),
                    kind: info.kind,
                    series: vec![SeriesInfo::clone(info)],
                }),
            }
        }
        points.sort_by_key(|point| point.register.to_string());
        points
    }

    /// The series of a device that is there already and takes `quantity` as it is, and the value in
    /// its steps.
    pub(crate) fn holding(
        &self,
        meter: MeterId,
        register: &Register,
        serial: Option<&str>,
        quantity: Quantity,
    ) -> Option<(&Arc<SeriesInfo>, i64)> {
        let point = self.point(meter, register);
        self.find(point, self.device(point, serial), quantity)
    }

    /// The series that takes `quantity` as it is; `None` if one has to be begun or changed first.
    fn find(
        &self,
        point: &[SeriesId],
        device: &str,
        quantity: Quantity,
    ) -> Option<(&Arc<SeriesInfo>, i64)> {
        let unit = quantity.resolution().unit();
        let fits =
            |info: &&Arc<SeriesInfo>| info.resolution.unit() == unit && info.serial == device;
        let mut fitting: Vec<_> =
            point.iter().filter_map(|series| self.get(*series)).filter(fits).collect();
        fitting.sort_by_key(|info| std::cmp::Reverse(info.resolution.decimals()));
        for info in fitting {
            if info.resolution.decimals() < quantity.resolution().decimals() {
                return None;
            }
            if let Some(scaled) = quantity.scaled_to(info.resolution) {
                return Some((info, scaled.mantissa()));
            }
        }
        None
    }

    /// Which device a value is taken to come from.
    fn device<'a>(&'a self, point: &[SeriesId], told: Option<&'a str>) -> &'a str {
        match told {
            Some(serial) if !serial.is_empty() => serial,
            _ => point
                .last()
                .and_then(|series| self.get(*series))
                .map_or("", |info| info.serial.as_str()),
        }
    }

    /// Keeps a number from being given again.
    pub(crate) fn hold(&mut self, series: SeriesId) {
        let Ok(number) = usize::try_from(series.get()) else { return };
        if self.series.len() < number {
            self.series.resize(number, None);
        }
    }

    /// Puts in or replaces a series.
    pub(crate) fn insert(&mut self, info: SeriesInfo) {
        self.hold(info.series);
        let Ok(number) = usize::try_from(info.series.get()) else { return };
        let known = self.get(info.series).is_some();
        if !known {
            let key = (info.meter, info.register.to_string());
            self.points.entry(key).or_default().push(info.series);
            self.meters.entry(info.meter).or_default().push(info.series);
        }
        if let Some(slot) = self.series.get_mut(number - 1) {
            *slot = Some(Arc::new(info));
        }
    }

    fn next(&self) -> Result<SeriesId, StoreError> {
        u32::try_from(self.series.len() + 1)
            .ok()
            .and_then(SeriesId::new)
            .ok_or(StoreError::NoSeriesLeft)
    }
}

/// Finds series, and collects those that have to be written to core.db before a reading may
/// speak of them.
pub(crate) struct Placing {
    pub(crate) registry: Arc<Registry>,
    /// New ones and changed ones.
    pub(crate) written: Vec<SeriesInfo>,
    /// The meters that would have begun more than they may.
    pub(crate) left_out: Vec<MeterId>,
}

impl Placing {
    pub(crate) const fn new(registry: Arc<Registry>) -> Self {
        Self { registry, written: Vec::new(), left_out: Vec::new() }
    }

    /// The series of a value, and the value in its steps; `None` if it is left out.
    pub(crate) fn value(
        &mut self,
        wanted: &Wanted<'_>,
        quantity: Quantity,
    ) -> Result<Option<(SeriesId, i64)>, StoreError> {
        let registry = Arc::clone(&self.registry);
        let point = registry.point(wanted.meter, wanted.register);
        if self.learn(point, wanted.serial) {
            return self.value(wanted, quantity);
        }
        let device = registry.device(point, wanted.serial);
        if let Some((info, mantissa)) = registry.find(point, device, quantity) {
            if info.kind != wanted.kind {
                self.write(SeriesInfo { kind: wanted.kind, ..SeriesInfo::clone(info) });
            }
            return Ok(Some((info.series, mantissa)));
        }
        let series = self.begin(wanted, point, device, quantity.resolution())?;
        Ok(series.map(|series| (series, quantity.mantissa())))
    }

    /// The series of an absence; `None` if it is left out.
    pub(crate) fn absence(&mut self, wanted: &Wanted<'_>) -> Result<Option<SeriesId>, StoreError> {
        let registry = Arc::clone(&self.registry);
        let point = registry.point(wanted.meter, wanted.register);
        let device = registry.device(point, wanted.serial);
        let newest_first = || point.iter().rev().filter_map(|series| registry.get(*series));
        let newest =
            newest_first().find(|info| info.serial == device).or_else(|| newest_first().next());
        if let Some(info) = newest {
            return Ok(Some(info.series));
        }
        // Nobody knows its unit yet: the series stands for the point until there is a value.
        let resolution = Resolution::new(0, Unit::One).ok_or(StoreError::NoSeriesLeft)?;
        self.begin(wanted, point, device, resolution)
    }

    /// A serial number that is told for the first time belongs to the series that had none;
    /// `true` if there are such.
    fn learn(&mut self, point: &[SeriesId], told: Option<&str>) -> bool {
        let Some(serial) = told.filter(|serial| !serial.is_empty()) else { return false };
        let registry = Arc::clone(&self.registry);
        let of_point = || point.iter().filter_map(|series| registry.get(*series));
        if point.is_empty() || of_point().any(|info| !info.serial.is_empty()) {
            return false;
        }
        for info in of_point() {
            self.write(SeriesInfo { serial: serial.to_owned(), ..SeriesInfo::clone(info) });
        }
        true
    }

    fn begin(
        &mut self,
        wanted: &Wanted<'_>,
        point: &[SeriesId],
        device: &str,
        resolution: Resolution,
    ) -> Result<Option<SeriesId>, StoreError> {
        let registry = Arc::clone(&self.registry);
        if registry.meters.get(&wanted.meter).is_some_and(|series| series.len() >= MOST_SERIES) {
            if !self.left_out.contains(&wanted.meter) {
                self.left_out.push(wanted.meter);
            }
            return Ok(None);
        }
        let of_point = || point.iter().filter_map(|series| registry.get(*series));
        let continues = of_point()
            .filter(|info| info.serial == device)
            .filter(|info| info.resolution.unit() == resolution.unit())
            .filter(|info| info.resolution.decimals() < resolution.decimals())
            .max_by_key(|info| info.resolution.decimals())
            .map(|info| info.series);
        let info = SeriesInfo {
            series: registry.next()?,
            point: of_point()
                .next()
                .map_or_else(|| PointId::from_uuid(new_id(wanted.at_ms)), |info| info.point),
            meter: wanted.meter,
            register: wanted.register.clone(),
            kind: wanted.kind,
            resolution,
            begins_ms: wanted.at_ms,
            serial: device.to_owned(),
            continues,
        };
        let series = info.series;
        // Before the copy that is written to, so that it need not be copied.
        drop(registry);
        self.write(info);
        Ok(Some(series))
    }

    pub(crate) fn write(&mut self, info: SeriesInfo) {
        Arc::make_mut(&mut self.registry).insert(info.clone());
        self.written.push(info);
    }
}

/// A version 7 UUID of that time.
fn new_id(at_ms: i64) -> Uuid {
    let at_ms = at_ms.max(0).cast_unsigned();
    let nanos = u32::try_from(at_ms % 1000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, at_ms / 1000, nanos))
}

/// Writes series to core.db or to a raw file.
pub(crate) fn write_series<'a>(
    db: &Connection,
    series: impl IntoIterator<Item = &'a SeriesInfo>,
) -> Result<(), StoreError> {
    const DOING: &str = "write a series";
    let mut statement = db
        .prepare_cached(
            "INSERT INTO series (id, point, meter, register, kind, unit, decimals, serial,
                                 continues, begins_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, serial = excluded.serial,
                                            begins_ms = excluded.begins_ms",
        )
        .doing(DOING)?;
    for info in series {
        statement
            .execute(params![
                info.series.get(),
                info.point.uuid().as_bytes(),
                info.meter.uuid().as_bytes(),
                info.register.to_string(),
                info.kind.code(),
                info.resolution.unit().code(),
                info.resolution.decimals(),
                info.serial,
                info.continues.map(SeriesId::get),
                info.begins_ms,
            ])
            .doing(DOING)?;
    }
    Ok(())
}

/// The series of core.db or of a raw file.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) series: Vec<SeriesInfo>,
    /// Those that mean nothing to this version, and why: a newer one wrote them before it was
    /// taken back. Their numbers are theirs all the same.
    pub(crate) foreign: Vec<(SeriesId, StoreError)>,
}

/// Reads all series of core.db or of a raw file.
pub(crate) fn read_series(db: &Connection) -> Result<Written, StoreError> {
    const DOING: &str = "read the series";
    let mut statement = db.prepare("SELECT * FROM series ORDER BY id").doing(DOING)?;
    let mut rows = statement.query([]).doing(DOING)?;
    let mut written = Written::default();
    while let Some(row) = rows.next().doing(DOING)? {
        let number: u32 = row.get("id").doing(DOING)?;
        let foreign = || StoreError::Foreign { column: "id", found: number.to_string() };
        let series = SeriesId::new(number).ok_or_else(foreign)?;
        match read_info(series, row) {
            Ok(info) => written.series.push(info),
            Err(why @ StoreError::Foreign { .. }) => written.foreign.push((series, why)),
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn read_info(series: SeriesId, row: &Row<'_>) -> Result<SeriesInfo, StoreError> {
    const DOING: &str = "read a series";
    let register: String = row.get("register").doing(DOING)?;
    let kind: String = row.get("kind").doing(DOING)?;
    let unit: String = row.get("unit").doing(DOING)?;
    let decimals: i8 = row.get("decimals").doing(DOING)?;
    let continues: Option<u32> = row.get("continues").doing(DOING)?;
    let foreign = |column, found: &str| StoreError::Foreign { column, found: found.to_owned() };
    Ok(SeriesInfo {
        series,
        point: PointId::from_uuid(uuid(row, "point")?),
        meter: MeterId::from_uuid(uuid(row, "meter")?),
        register: register.parse().map_err(|_| foreign("register", &register))?,
        kind: Kind::from_code(&kind).ok_or_else(|| foreign("kind", &kind))?,
        resolution: Unit::from_code(&unit)
            .and_then(|unit| Resolution::new(decimals, unit))
            .ok_or_else(|| foreign("unit", &unit))?,
        begins_ms: row.get("begins_ms").doing(DOING)?,
        serial: row.get("serial").doing(DOING)?,
        continues: continues.and_then(SeriesId::new),
    })
}

/// The id in a column.
pub(crate) fn uuid(row: &Row<'_>, column: &'static str) -> Result<Uuid, StoreError> {
    let bytes: Vec<u8> = row.get(column).doing("read an id")?;
    Uuid::from_slice(&bytes)
        .map_err(|_| StoreError::Foreign { column, found: format!("{bytes:02x?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of one point in order: serial, mantissa, decimals, unit; and where each must go.
    #[track_caller]
    fn check(values: &[(&str, i64, i8, Unit)], expected: &[&str]) {
        let register = "energy".parse().unwrap();
        let meter = MeterId::from_uuid(Uuid::from_u128(1));
        let mut placing = Placing::new(Arc::default());
        let found: Vec<_> = values
            .iter()
            .map(|(serial, mantissa, decimals, unit)| {
                let wanted = Wanted {
                    meter,
                    register: &register,
                    kind: Kind::Counter,
                    serial: (!serial.is_empty()).then_some(*serial),
                    at_ms: 0,
                };
                let resolution = Resolution::new(*decimals, *unit).unwrap();
                let quantity = Quantity::new(*mantissa, resolution);
                let (series, mantissa) = placing.value(&wanted, quantity).unwrap().unwrap();
                let info = placing.registry.get(series).unwrap();
                format!("{series} {} {}", info.serial, Quantity::new(mantissa, info.resolution))
            })
            .collect();
        assert_eq!(found, expected);
        let points = placing.registry.points(meter);
        assert_eq!(points.len(), 1, "all series are of one point");
    }

    #[test]
    fn coarser_is_scaled_finer_begins_a_series_that_takes_both() {
        use Unit::Gigajoule as GJ;
        check(
            &[("a", 12, 0, GJ), ("a", 123, 1, GJ), ("a", 13, 0, GJ), ("a", i64::MAX, 0, GJ)],
            &["1 a 12 GJ", "2 a 12.3 GJ", "2 a 13.0 GJ", "1 a 9223372036854775807 GJ"],
        );
    }

    #[test]
    fn another_unit_or_device_has_its_own_series_and_finds_it_again() {
        use Unit::{Gigajoule as GJ, KilowattHour as KWH};
        check(
            &[("a", 1, 0, GJ), ("b", 2, 0, GJ), ("b", 3, 0, KWH), ("a", 4, 0, GJ), ("", 5, 0, KWH)],
            &["1 a 1 GJ", "2 b 2 GJ", "3 b 3 kWh", "1 a 4 GJ", "3 b 5 kWh"],
        );
    }

    #[test]
    fn a_serial_number_is_learnt_once() {
        use Unit::KilowattHour as KWH;
        check(
            &[("", 1, 0, KWH), ("a", 2, 0, KWH), ("b", 1, 0, KWH)],
            &["1  1 kWh", "1 a 2 kWh", "2 b 1 kWh"],
        );
    }
}
