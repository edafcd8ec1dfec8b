//! What the numbers of a batch mean: site, meters and series of a gateway.
//!
//! ```text
//!  SeriesTable = [version, gateway, epoch, length, packed content]
//!  content     = [site, meters, series]
//!  site        = [id, name, place | null, time zone]
//!  meter       = [id, name, medium]
//!  series      = [series, point, meter, register, kind, unit, decimals, begins, serial]
//! ```
//!
//! Sent before the first batch, whenever something in it has changed, and when the portfolio does
//! not know a series. A table may be part of all: what it does not name stays as it was.

use metering::{GatewayId, Medium, MeterId, PointId, Register, Resolution, SeriesId, SiteId, Unit};

use crate::cbor::{Flaw, Malformed, Pen, Reader};
use crate::limits;
use crate::pack::{self, Packed, TooLarge};

/// Meters and series of a gateway, all of them or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesTable {
    /// Whose they are.
    pub gateway: GatewayId,
    /// Which of its databases numbered the series.
    pub epoch: u64,
    /// The building.
    pub site: SiteRow,
    /// At most [`limits::TABLE_ROWS`].
    pub meters: Vec<MeterRow>,
    /// At most [`limits::TABLE_ROWS`].
    pub series: Vec<SeriesRow>,
}

/// A building, as its own configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRow {
    /// As in the configuration.
    pub id: SiteId,
    /// As in the configuration.
    pub name: String,
    /// Town or address.
    pub place: Option<String>,
    /// By its IANA name, `Europe/Oslo`.
    pub time_zone: String,
}

/// A meter of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterRow {
    /// Stays when the name changes.
    pub id: MeterId,
    /// As in the configuration.
    pub name: String,
    /// What it counts.
    pub medium: Medium,
}

/// One register of one installed device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesRow {
    /// Its number.
    pub series: SeriesId,
    /// What it is a part of, with the series of the devices before and after.
    pub point: PointId,
    /// The meter of the configuration.
    pub meter: MeterId,
    /// Which of the meter's numbers.
    pub register: Register,
    /// How it moves.
    pub kind: Kind,
    /// One step.
    pub resolution: Resolution,
    /// When it began, in milliseconds since 1970.
    pub begins_ms: i64,
    /// Of the installed device; empty if it tells none.
    pub serial: String,
}

/// How the values of a series move, and so what may be worked out from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Counts up; differences are amounts.
    Counter,
    /// Goes up and down; has a mean, a least and a greatest value.
    Gauge,
    /// Bits and states; no arithmetic.
    Flag,
}

impl Kind {
    /// As on the wire and in the database.
    pub const fn code(self) -> u8 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Flag => 2,
        }
    }

    /// The kind with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Counter),
            1 => Some(Self::Gauge),
            2 => Some(Self::Flag),
            _ => None,
        }
    }

    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Flag => "flag",
        }
    }
}

impl SeriesTable {
    /// What is posted. Names longer than [`limits::NAME_BYTES`] are cut.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], with more rows than [`limits::TABLE_ROWS`] at the latest.
    pub fn write(&self) -> Result<Vec<u8>, TooLarge> {
        let mut content = Pen::new();
        content.list(3).list(4).id(self.site.id.uuid()).text(cut(&self.site.name));
        match &self.site.place {
            Some(place) => content.text(cut(place)),
            None => content.null(),
        };
        content.text(cut(&self.site.time_zone));
        content.list(self.meters.len());
        for MeterRow { id, name, medium } in &self.meters {
            content.list(3).id(id.uuid()).text(cut(name)).text(medium.code());
        }
        content.list(self.series.len());
        for row in &self.series {
            content
                .list(9)
                .unsigned(row.series.get())
                .id(row.point.uuid())
                .id(row.meter.uuid())
                .text(&row.register.to_string())
                .unsigned(row.kind.code())
                .text(row.resolution.unit().code())
                .signed(row.resolution.decimals().into())
                .signed(row.begins_ms)
                .text(cut(&row.serial));
        }

        let rows = self.meters.len().max(self.series.len());
        if rows > limits::TABLE_ROWS {
            return Err(TooLarge(content.finish().len()));
        }
        let mut pen = Pen::new();
        pen.list(5).unsigned(crate::VERSION).id(self.gateway.uuid()).unsigned(self.epoch);
        pack::pack(&mut pen, &content.finish())?;
        Ok(pen.finish())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(message);
        r.fields("series table", 5)?;
        r.version()?;
        let gateway = GatewayId::from_uuid(r.id("gateway")?);
        let epoch = r.unsigned("epoch")?;
        let content = Packed::read(&mut r)?.unpack()?;
        r.end()?;

        let mut r = Reader::new(&content);
        r.fields("site, meters and series", 3)?;
        r.fields("site", 4)?;
        let site = SiteRow {
            id: SiteId::from_uuid(r.id("site")?),
            name: name(&mut r, "name")?,
            place: r.optional(|r| name(r, "place"))?,
            time_zone: name(&mut r, "time zone")?,
        };
        let mut meters = Vec::new();
        for _ in 0..r.list("meters", limits::TABLE_ROWS)? {
            meters.push(MeterRow::read(&mut r)?);
        }
        let mut series = Vec::new();
        for _ in 0..r.list("series", limits::TABLE_ROWS)? {
            series.push(SeriesRow::read(&mut r)?);
        }
        r.end()?;
        Ok(Self { gateway, epoch, site, meters, series })
    }
}

impl MeterRow {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.fields("meter", 3)?;
        Ok(Self {
            id: MeterId::from_uuid(r.id("meter")?),
            name: name(r, "name")?,
            medium: r.parsed("medium", |text| text.parse().ok())?,
        })
    }
}

impl SeriesRow {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.fields("series", 9)?;
        let at = r.at();
        let series = u32::try_from(r.unsigned("series")?)
            .ok()
            .and_then(SeriesId::new)
            .ok_or(Malformed { at, flaw: Flaw::Expected("series") })?;
        let point = PointId::from_uuid(r.id("point")?);
        let meter = MeterId::from_uuid(r.id("meter")?);
        let register = r.parsed("register", |text| text.parse().ok())?;
        let kind = r.code("kind", Kind::from_code)?;
        let unit = r.parsed("unit", Unit::from_code)?;
        let at = r.at();
        let resolution = i8::try_from(r.signed("decimals")?)
            .ok()
            .and_then(|decimals| Resolution::new(decimals, unit))
            .ok_or(Malformed { at, flaw: Flaw::Expected("decimals") })?;
        let begins_ms = r.signed("begin")?;
        let serial = name(r, "serial")?;
        Ok(Self { series, point, meter, register, kind, resolution, begins_ms, serial })
    }
}

/// A name, without what no page can show and not every database can keep: a meter may call itself
/// anything.
fn name(r: &mut Reader<'_>, what: &'static str) -> Result<String, Malformed> {
    let text = r.text(what, limits::NAME_BYTES)?;
    Ok(text.chars().filter(|letter| !letter.is_control()).collect())
}

/// As much of `text` as a name may have.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn table() -> SeriesTable {
        let id = |number: u128| Uuid::from_u128(0x019a_8f3e_7c52_7b3e_9d41_0c2f_6a1b_8e00 + number);
        let meter = MeterId::from_uuid(id(1));
        SeriesTable {
            gateway: GatewayId::from_uuid(id(0)),
            epoch: 7,
            site: SiteRow {
                id: SiteId::from_uuid(id(9)),
                name: "Kvernhusgata 4".to_owned(),
                place: None,
                time_zone: "Europe/Oslo".to_owned(),
            },
            meters: vec![MeterRow {
                id: meter,
                name: "Fjernvarme, hovedmåler".to_owned(),
                medium: Medium::Heat,
            }],
            series: vec![SeriesRow {
                series: SeriesId::new(3).unwrap(),
                point: PointId::from_uuid(id(2)),
                meter,
                register: "energy".parse().unwrap(),
                kind: Kind::Counter,
                resolution: Resolution::new(-1, Unit::WattHour).unwrap(),
                begins_ms: -1,
                serial: "67001122".to_owned(),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let table = table();
        assert_eq!(SeriesTable::read(&table.write().unwrap()), Ok(table));
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_between_letters() {
        let mut table = table();
        table.site.name = "å".repeat(limits::NAME_BYTES);
        table.site.place = Some(format!("x{}", "å".repeat(limits::NAME_BYTES)));
        let read = SeriesTable::read(&table.write().unwrap()).unwrap();
        assert_eq!(read.site.name, "å".repeat(limits::NAME_BYTES / 2));
        assert_eq!(read.site.place.unwrap().len(), limits::NAME_BYTES - 1);
    }

    #[test]
    fn more_rows_than_allowed_are_not_written() {
        let mut table = table();
        table.series = vec![table.series[0].clone(); limits::TABLE_ROWS + 1];
        assert!(table.write().is_err());
        table.series.pop();
        assert!(table.write().is_ok());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut message = table().write().unwrap();
            let at = at.index(message.len());
            message[at] = byte;
            let _ = SeriesTable::read(&message);
        }
    }
}
