//! Pictures of the building, and where on them its meters are.
//!
//! ```text
//! setting "plans"    a document of JSON: of each plan its name, its picture (by hash), and a pin for each meter
//! proofs             the pictures
//! ```
//!
//! **Never true:** somebody is shown the place of a meter that they do not see, or the plan of a floor of which
//! they see none.

use std::collections::BTreeMap;

use metering::MeterId;
use serde::{Deserialize, Serialize};

use crate::Web;
use crate::problem::{Code, Problem};
use crate::session::Visitor;

/// A picture, and what is where on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Plan {
    pub(crate) id: String,
    /// What people call it: `Kjeller`.
    pub(crate) name: String,
    /// The SHA-256 of the picture, in hex.
    pub(crate) picture: String,
    /// In pixels.
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) pins: BTreeMap<MeterId, Pin>,
}

/// A place on a picture, in thousandths of its width and its height from its upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub(crate) x: u16,
    pub(crate) y: u16,
}

impl Plan {
    /// As `visitor` sees it; `None` if they see nothing of it.
    pub(crate) fn seen_by(mut self, web: &Web, visitor: &Visitor) -> Option<Self> {
        let site = web.site();
        self.pins.retain(|meter, _| site.meter(*meter).is_some() && visitor.user.sees(*meter));
        let whole = visitor.user.role != access::Role::Tenant;
        (whole || !self.pins.is_empty()).then_some(self)
    }
}

/// All of them, in the order in which they were made.
pub(crate) async fn all(web: &Web) -> Result<Vec<Plan>, Problem> {
    let read = read(web).await?;
    Ok(read.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the plans of the building make no sense and are not shown");
        Vec::new()
    }))
}

async fn read(web: &Web) -> Result<serde_json::Result<Vec<Plan>>, Problem> {
    let text = web.handles.core.setting(SETTING).await?;
    Ok(text.map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(&text)))
}

/// Changes them in `visitor`'s name, one after the other. Those that make no sense stay as they are: a newer
/// version may have written them.
pub(crate) async fn change<T>(
    web: &Web,
    visitor: &Visitor,
    change: impl FnOnce(&mut Vec<Plan>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let _turn = web.doors.plans.lock().await;
    drop(web.change_by(visitor).await?);
    let mut plans = read(web).await?.map_err(|error| {
        let detail =
            format!("The plans that are kept cannot be read, and stay as they are: {error}");
        Problem::new(Code::Store, detail)
    })?;
    let changed = change(&mut plans)?;
    let text = serde_json::to_string(&plans).unwrap_or_default();
    web.handles.core.put_setting(SETTING, text).await?;
    Ok(changed)
}

const SETTING: &str = "plans";
