//! What commissioning has come to: kept by the gateway, so that a phone that fell into the shaft has
//! lost nothing, and another one goes on where it was.
//!
//! ```text
//! site.toml                      what is installed; every change is a version of it
//! setting "commissioning"        how far the work is: a document of JSON
//!   step · of each meter: first reading, plate, draw, test, photos (by hash), remark · signature
//! ```
//!
//! **Never true:** the document says what is installed. A meter that the configuration no longer has
//! keeps its work there, and nobody sees it.

pub(crate) mod checks;
pub(crate) mod edit;
pub(crate) mod plate;
pub(crate) mod sheet;

use std::collections::BTreeMap;
use std::sync::Arc;

use metering::{MeterId, Quantity, Resolution, Unit};
use serde::{Deserialize, Serialize};

use crate::handles::{Live, LiveMeter};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::{Site, Web};

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Commission {
    /// Where the wizard stands: one of [`STEPS`], or empty before the first.
    pub(crate) step: String,
    /// Who changed it last, and when; of a fresh one nobody, never.
    pub(crate) who: String,
    pub(crate) at_ms: i64,
    /// What was done with each meter.
    pub(crate) meters: BTreeMap<MeterId, Work>,
    /// How often that has changed.
    pub(crate) changes: u64,
    pub(crate) signed: Option<Signed>,
}

/// The steps of the wizard, in their order.
pub(crate) const STEPS: [&str; 9] =
    ["claim", "site", "buses", "scan", "meters", "plates", "checks", "cloud", "report"];

/// What was done with one meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Work {
    /// What it showed when it was first seen: what later checks compare with.
    pub(crate) first: Option<Seen>,
    /// What its plate and display said, by register.
    pub(crate) plates: BTreeMap<String, Plate>,
    pub(crate) draw: Option<Draw>,
    pub(crate) test: Option<Test>,
    /// The SHA-256 of each photo, in hex.
    pub(crate) photos: Vec<String>,
    pub(crate) remark: String,
}

/// What a meter showed at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) at_ms: i64,
    pub(crate) values: Vec<(String, Kept)>,
}

/// An amount as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    mantissa: i64,
    decimals: i8,
    unit: String,
}

impl Kept {
    pub(crate) fn of(quantity: Quantity) -> Self {
        let resolution = quantity.resolution();
        let (decimals, unit) = (resolution.decimals(), resolution.unit().code().to_owned());
        Self { mantissa: quantity.mantissa(), decimals, unit }
    }

    /// `None` of what this version cannot have written.
    pub(crate) fn quantity(&self) -> Option<Quantity> {
        let resolution = Resolution::new(self.decimals, Unit::from_code(&self.unit)?)?;
        Some(Quantity::new(self.mantissa, resolution))
    }
}

/// What somebody read off a display, and what the meter said at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plate {
    pub(crate) shown: Kept,
    pub(crate) read: Kept,
    pub(crate) who: String,
    pub(crate) at_ms: i64,
}

/// An amount that somebody draws while a meter of pulses counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draw {
    pub(crate) register: String,
    pub(crate) from: Kept,
    pub(crate) from_ms: i64,
    /// What it counted and what was drawn, once that is over.
    pub(crate) done: Option<(Kept, Kept)>,
}

/// How a test reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Test {
    pub(crate) at_ms: i64,
    pub(crate) answered: bool,
    pub(crate) took_ms: Option<u64>,
}

/// Who takes responsibility, and the strokes of their finger: each a line through points on a field of
/// 1000 by 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) at_ms: i64,
    pub(crate) strokes: Vec<Vec<(u16, u16)>>,
    /// What it stands under: so many changes of the work, and this version of the configuration.
    #[serde(default)]
    pub(crate) changes: u64,
    #[serde(default)]
    pub(crate) version: u64,
}

impl Commission {
    /// What is kept; of what another version wrote and this does not understand, nothing.
    pub(crate) async fn load(web: &Web) -> Result<Self, Problem> {
        let kept = web.handles.core.setting(SETTING).await?;
        Ok(kept
            .and_then(|text| {
                let read = serde_json::from_str(&text);
                if let Err(error) = &read {
                    let error: &dyn std::error::Error = error;
                    tracing::warn!(
                        error,
                        "how far commissioning is makes no sense: it begins anew"
                    );
                }
                read.ok()
            })
            .unwrap_or_default())
    }

    /// Changes what is kept, in `visitor`'s name, and takes note of what meters show for the first
    /// time.
    pub(crate) async fn change<T>(
        web: &Web,
        visitor: &Visitor,
        change: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _turn = web.doors.commissioning.lock().await;
        drop(web.change_by(visitor).await?);
        let mut commission = Self::load(web).await?;
        let before = commission.meters.clone();
        let changed = change(&mut commission)?;
        if commission.meters != before {
            commission.changes = commission.changes.saturating_add(1);
        }
        commission.notice(&web.site(), &web.live());
        commission.who = visitor.user.name.to_string();
        commission.at_ms = web.now().wall_ms();
        let text = serde_json::to_string(&commission).unwrap_or_default();
        web.handles.core.put_setting(SETTING, text).await?;
        Ok(changed)
    }

    /// Whether something was changed after `signed`, which therefore does not stand under it.
    pub(crate) fn changed_since(&self, signed: &Signed, site: &Site) -> bool {
        (self.changes, site.version) != (signed.changes, signed.version)
    }

    /// The work on a meter.
    pub(crate) fn of(&mut self, meter: MeterId) -> &mut Work {
        self.meters.entry(meter).or_default()
    }

    fn notice(&mut self, site: &Site, live: &Live) {
        for meter in &site.meters {
            let Some(seen) = live.meters.get(&meter.id).and_then(Seen::of) else { continue };
            self.of(meter.id).first.get_or_insert(seen);
        }
    }
}

impl Seen {
    fn of(live: &Arc<LiveMeter>) -> Option<Self> {
        let at = live.last_answer?;
        let values = live.values.iter().filter_map(|value| {
            let register = value.register.to_string();
            let quantity = value.value.ok()?;
            checks::is_looked_at(&register).then(|| (register, Kept::of(quantity)))
        });
        Some(Self { at_ms: at.timestamp_millis(), values: values.collect() })
    }
}

const SETTING: &str = "commissioning";
