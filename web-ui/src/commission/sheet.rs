//! The acceptance report as blocks: what is installed, what was read and compared, what the checks
//! found, how the wires are, photos, and who signed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use documents::{Block, Column, Grid, Jpeg, Paper};
use metering::Unit;

use super::plate::{Verdict as Compared, compared};
use super::{Commission, Plate, Work, checks};
use crate::api::commission::CheckBody;
use crate::handles::{MeterInfo, MeterState};
use crate::texts::Texts;
use crate::told::Devices;
use crate::{Live, Site, Status};

/// All that the report tells.
pub(crate) struct Facts<'f> {
    pub(crate) texts: Texts,
    pub(crate) site: &'f Site,
    pub(crate) live: &'f Live,
    pub(crate) status: &'f Status,
    pub(crate) devices: &'f Devices,
    pub(crate) commission: &'f Commission,
    pub(crate) photos: &'f HashMap<String, Jpeg>,
    /// How many more there are, which stay on the gateway.
    pub(crate) photos_left: usize,
    pub(crate) now: DateTime<Utc>,
    pub(crate) who: &'f str,
    pub(crate) version: &'f str,
    pub(crate) fingerprint: &'f str,
    pub(crate) url: &'f str,
}

/// The report, ready to be set.
pub(crate) fn paper(facts: &Facts<'_>) -> Paper {
    let say = |key: &str| facts.texts.say(key, &[]);
    let title = say("report.title");
    let foot = facts.texts.say(
        "report.foot",
        &[("site", &facts.site.name), ("at", &facts.moment(facts.now)), ("version", facts.version)],
    );
    let mut blocks = vec![Block::Title(title.clone())];
    blocks.extend(facts.summary());
    blocks.push(Block::Head(say("report.place")));
    blocks.push(Block::Facts(facts.place()));
    blocks.push(Block::Head(say("report.meters")));
    blocks.push(Block::Table(facts.meters()));
    blocks.push(Block::Head(say("report.plates")));
    blocks.push(facts.plates());
    blocks.push(Block::Head(say("report.checks")));
    blocks.extend(facts.checks());
    blocks.push(Block::Head(say("report.buses")));
    blocks.push(Block::Table(facts.buses()));
    let remarks = facts.remarks();
    if !remarks.is_empty() {
        blocks.push(Block::Head(say("report.remarks")));
        blocks.push(Block::Facts(remarks));
    }
    let photos = facts.shown_photos();
    if !photos.is_empty() {
        blocks.push(Block::Head(say("report.photos")));
        blocks.push(Block::Photos(photos));
    }
    if facts.photos_left > 0 {
        let left = facts.photos_left.to_string();
        blocks.push(Block::Text(facts.texts.say("report.photos.left", &[("n", &left)])));
    }
    blocks.push(Block::Head(say("report.signature")));
    blocks.extend(facts.signature());
    blocks.push(Block::Space);
    let beside =
        facts.texts.say("report.live", &[("url", facts.url), ("fingerprint", facts.fingerprint)]);
    blocks.push(Block::Code(facts.url.to_owned(), beside));
    Paper { title, language: facts.texts.code, foot, blocks }
}

impl Facts<'_> {
    fn work(&self) -> impl Iterator<Item = (&MeterInfo, Option<&Work>)> {
        self.site.meters.iter().map(|meter| (meter, self.commission.meters.get(&meter.id)))
    }

    /// The sentence first: whether the building can be accepted, and if not, why.
    fn summary(&self) -> Vec<Block> {
        let all = self.site.meters.len();
        let answering = self.work().filter(|(meter, work)| {
            let live = self.live.meters.get(&meter.id).is_some_and(|it| it.state == MeterState::Ok);
            work.and_then(|it| it.test).map_or(live, |test| test.answered)
        });
        let answering = answering.count();
        let wrong: usize = self
            .work()
            .map(|(meter, _)| {
                let checks = checks::of(meter, self.site, self.live, self.commission);
                checks.iter().filter(|it| matches!(it.verdict, energy::Verdict::Wrong(_))).count()
            })
            .sum();
        let unlike =
            self.displayed().filter(|(_, _, _, verdict)| *verdict != Compared::Same).count();
        let plates = self.displayed().count();
        let params = [
            ("all", all.to_string()),
            ("answering", answering.to_string()),
            ("wrong", wrong.to_string()),
            ("unlike", unlike.to_string()),
            ("plates", plates.to_string()),
        ];
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, it)| (*key, it.as_str())).collect();
        let well = answering == all && wrong == 0 && unlike == 0 && all > 0;
        let key = if well { "report.well" } else { "report.open" };
        vec![
            Block::Strong(self.texts.say(key, &params)),
            Block::Text(self.texts.say("report.counts", &params)),
        ]
    }

    fn place(&self) -> Vec<(String, String)> {
        let say = |key: &str| self.texts.say(key, &[]);
        vec![
            (say("report.building"), self.site.name.clone()),
            (say("report.town"), self.site.place.clone().unwrap_or_else(|| "–".to_owned())),
            (say("report.at"), format!("{} ({})", self.moment(self.now), self.site.time_zone)),
            (say("report.by"), self.who.to_owned()),
            (say("report.gateway"), self.site.gateway.to_string()),
            (say("report.version"), format!("Fyrhus {}", self.version)),
            (say("report.configuration"), self.site.version.to_string()),
            (say("report.clock"), self.texts.code("clock", trust(self.status), trust(self.status))),
            (say("report.cloud"), self.cloud()),
        ]
    }

    fn cloud(&self) -> String {
        match &self.status.sync {
            None => self.texts.say("report.cloud.none", &[]),
            Some(sync) if sync.enrolled => {
                self.texts.say("report.cloud.enrolled", &[("url", &sync.url)])
            }
            Some(sync) => self.texts.say("report.cloud.not", &[("url", &sync.url)]),
        }
    }

    fn meters(&self) -> Grid {
        let rows = self.work().map(|(meter, work)| {
            let live = self.live.meters.get(&meter.id);
            let serial = live.and_then(|it| it.identity.as_ref()).map(|it| it.serial.clone());
            let device = meter.profile.as_ref().and_then(|id| self.devices.get(id));
            let value = live.and_then(|it| crate::figures::display(meter.medium, it));
            let value = value.and_then(|it| it.value.ok());
            let mut name = meter.name.clone();
            if let Some(place) = &meter.place {
                name = format!("{name}\n{place}");
            }
            if !meter.tags.is_empty() {
                name = format!("{name}\n{}", meter.tags.join(", "));
            }
            vec![
                name,
                serial.filter(|it| !it.is_empty()).unwrap_or_else(|| meter.address.clone()),
                device.map_or_else(
                    || {
                        meter.medium.map_or_else(
                            || "–".to_owned(),
                            |it| self.texts.code("medium", it.code(), it.code()),
                        )
                    },
                    |it| it.models.join(" / "),
                ),
                value.map_or_else(|| "–".to_owned(), |it| self.amount(it)),
                match work.and_then(|it| it.test) {
                    None => self.texts.say("report.test.none", &[]),
                    Some(test) if test.answered => {
                        let took = test.took_ms.unwrap_or(0).to_string();
                        self.texts.say("report.test.answered", &[("ms", &took)])
                    }
                    Some(_) => self.texts.say("report.test.silent", &[]),
                },
            ]
        });
        Grid {
            columns: vec![
                self.column("report.meter", 30, false),
                self.column("report.number", 16, false),
                self.column("report.type", 20, false),
                self.column("report.value", 18, true),
                self.column("report.test", 16, false),
            ],
            rows: rows.collect(),
            sum: None,
        }
    }

    /// Each value that somebody compared with a display.
    fn displayed(&self) -> impl Iterator<Item = (&MeterInfo, &str, &Plate, Compared)> {
        self.work().filter_map(|(meter, work)| Some((meter, work?))).flat_map(|(meter, work)| {
            work.plates.iter().filter_map(move |(register, plate)| {
                let (shown, read) = (plate.shown.quantity()?, plate.read.quantity()?);
                let counts = matches!(
                    shown.resolution().unit().dimension(),
                    Some(metering::Dimension::Energy | metering::Dimension::Volume)
                );
                Some((meter, register.as_str(), plate, compared(shown, read, counts)))
            })
        })
    }

    fn plates(&self) -> Block {
        let rows: Vec<Vec<String>> = self
            .displayed()
            .map(|(meter, register, plate, verdict)| {
                let amount = |kept: &super::Kept| {
                    kept.quantity().map_or_else(String::new, |it| self.amount(it))
                };
                let verdict = match verdict {
                    Compared::TooLittle(factor) | Compared::TooMuch(factor) => {
                        let factor = self.texts.figure(&factor.to_string());
                        self.texts
                            .say(&format!("plate.{}", verdict.as_str()), &[("factor", &factor)])
                    }
                    Compared::Unit(unit) => {
                        self.texts.say("plate.unit", &[("unit", unit.symbol())])
                    }
                    Compared::Same | Compared::Different => {
                        self.texts.say(&format!("plate.{}", verdict.as_str()), &[])
                    }
                };
                vec![
                    meter.name.clone(),
                    self.texts.code("register", register, register),
                    amount(&plate.shown),
                    amount(&plate.read),
                    verdict,
                    format!("{}\n{}", plate.who, self.moment(at(plate.at_ms))),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Block::Text(self.texts.say("report.plates.none", &[]));
        }
        Block::Table(Grid {
            columns: vec![
                self.column("report.meter", 23, false),
                self.column("report.register", 13, false),
                self.column("report.shown", 16, true),
                self.column("report.read", 16, true),
                self.column("report.verdict", 14, false),
                self.column("report.who", 22, false),
            ],
            rows,
            sum: None,
        })
    }

    fn checks(&self) -> Vec<Block> {
        let (mut good, mut open, mut wrong) = (0, 0, Vec::new());
        for (meter, _) in self.work() {
            for check in checks::of(meter, self.site, self.live, self.commission) {
                let body = CheckBody::of(&check);
                match body.verdict {
                    "good" => good += 1,
                    "open" => open += 1,
                    _ => {
                        let params: Vec<(&str, String)> = body
                            .figures
                            .iter()
                            .map(|it| (it.name, self.texts.figure(&it.value)))
                            .collect();
                        let params: Vec<(&str, &str)> =
                            params.iter().map(|(name, it)| (*name, it.as_str())).collect();
                        let key = format!("physics.wrong.{}", body.code.unwrap_or_default());
                        wrong.push((meter.name.clone(), self.texts.say(&key, &params)));
                    }
                }
            }
        }
        let params = [
            ("good", good.to_string()),
            ("open", open.to_string()),
            ("wrong", wrong.len().to_string()),
        ];
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, it)| (*key, it.as_str())).collect();
        let mut blocks = vec![Block::Text(self.texts.say("report.checks.counts", &params))];
        if !wrong.is_empty() {
            blocks.push(Block::Facts(wrong));
        }
        blocks
    }

    fn buses(&self) -> Grid {
        let rows = self.site.buses.iter().map(|bus| {
            let told = self.status.buses.iter().find(|it| it.id == bus.id);
            let ms = |time: Option<std::time::Duration>| {
                time.map_or_else(|| "–".to_owned(), |it| format!("{} ms", it.as_millis()))
            };
            let findings = told.and_then(|it| it.health.as_ref()).map_or(0, |it| it.findings.len());
            vec![
                bus.name.clone(),
                bus.port.clone(),
                told.map_or(0, |it| it.answered).to_string(),
                told.map_or(0, |it| it.failed).to_string(),
                ms(told.and_then(|it| it.median)),
                ms(told.and_then(|it| it.p95)),
                if findings == 0 {
                    self.texts.say("report.wire.well", &[])
                } else {
                    self.texts.say("report.wire.findings", &[("n", &findings.to_string())])
                },
            ]
        });
        Grid {
            columns: vec![
                self.column("report.bus", 18, false),
                self.column("report.port", 26, false),
                self.column("report.answered", 11, true),
                self.column("report.failed", 11, true),
                self.column("report.median", 11, true),
                self.column("report.p95", 11, true),
                self.column("report.wire", 14, false),
            ],
            rows: rows.collect(),
            sum: None,
        }
    }

    fn remarks(&self) -> Vec<(String, String)> {
        let told = self.work().filter_map(|(meter, work)| Some((meter, work?)));
        told.filter(|(_, work)| !work.remark.is_empty())
            .map(|(meter, work)| (meter.name.clone(), work.remark.clone()))
            .collect()
    }

    fn shown_photos(&self) -> Vec<(Jpeg, String)> {
        let kept = self.work().filter_map(|(meter, work)| Some((meter, work?)));
        kept.flat_map(|(meter, work)| work.photos.iter().map(move |photo| (meter, photo)))
            .filter_map(|(meter, photo)| {
                Some((self.photos.get(photo)?.clone(), meter.name.clone()))
            })
            .collect()
    }

    fn signature(&self) -> Vec<Block> {
        let Some(signed) = &self.commission.signed else {
            return vec![Block::Text(self.texts.say("report.unsigned", &[]))];
        };
        let moment = self.moment(at(signed.at_ms));
        let told = [("name", signed.name.as_str()), ("user", &signed.user), ("at", &moment)];
        let mut blocks = vec![
            Block::Signature(signed.strokes.clone()),
            Block::Text(self.texts.say("report.signed", &told)),
        ];
        if self.commission.changed_since(signed, self.site) {
            blocks.push(Block::Strong(self.texts.say("report.signed.changed", &[])));
        }
        blocks
    }

    fn column(&self, key: &str, share: u8, figures: bool) -> Column {
        Column { head: self.texts.say(key, &[]), share, figures }
    }

    fn amount(&self, amount: metering::Quantity) -> String {
        let unit: Unit = amount.resolution().unit();
        format!("{}\u{a0}{}", self.texts.figure(&amount.decimal()), unit.symbol())
    }

    fn moment(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.site.time_zone);
        let format =
            if self.texts.code == "en" { "%-d %b %Y, %H:%M" } else { "%d.%m.%Y kl. %H.%M" };
        local.format(format).to_string()
    }
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

const fn trust(status: &Status) -> &'static str {
    crate::api::buses::trust_code(status.trust)
}
