//! Papers of the building: manuals, certificates and pictures that people have put to a meter or to a place.
//!
//! ```text
//! setting "papers"    a document of JSON: of each its name, what it is of, and the hashes of its pieces
//! proofs              the pieces, 1 MiB each at most
//! ```
//!
//! **Never true:** somebody is shown a paper of a meter that they do not see, or of a place where they see none.

use metering::MeterId;
use serde::{Deserialize, Serialize};

use crate::Web;
use crate::handles::MeterInfo;
use crate::problem::{Code, Problem};
use crate::session::Visitor;

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Paper {
    pub(crate) id: String,
    /// What people call it: `Bruksanvisning`.
    pub(crate) name: String,
    /// It is a PDF, and not a JPEG.
    pub(crate) pdf: bool,
    pub(crate) bytes: usize,
    /// The SHA-256 of each piece, in hex.
    pub(crate) pieces: Vec<String>,
    /// Of which meter it is.
    pub(crate) meter: Option<MeterId>,
    /// Or of all meters at this place.
    pub(crate) place: Option<String>,
    /// Who has put it here.
    pub(crate) who: String,
    pub(crate) at_ms: i64,
}

impl Paper {
    /// Whether it stands at `meter`.
    pub(crate) fn is_of(&self, meter: &MeterInfo) -> bool {
        self.meter == Some(meter.id) || (self.place.is_some() && self.place == meter.place)
    }
}

/// All of them, in the order in which they came. Those that make no sense are not shown.
pub(crate) async fn all(web: &Web) -> Result<Vec<Paper>, Problem> {
    Ok(read(web).await?.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the papers of the building make no sense and are not shown");
        Vec::new()
    }))
}

async fn read(web: &Web) -> Result<serde_json::Result<Vec<Paper>>, Problem> {
    let text = web.handles.core.setting(SETTING).await?;
    Ok(text.map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(&text)))
}

/// Changes them in `visitor`'s name, one after the other. Those that make no sense stay as they are: a newer
/// version may have written them.
pub(crate) async fn change<T>(
    web: &Web,
    visitor: &Visitor,
    change: impl FnOnce(&mut Vec<Paper>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let _turn = web.doors.papers.lock().await;
    drop(web.change_by(visitor).await?);
    let mut papers = read(web).await?.map_err(|error| {
        let detail =
            format!("The papers that are kept cannot be read, and stay as they are: {error}");
        Problem::new(Code::Store, detail)
    })?;
    let changed = change(&mut papers)?;
    let text = serde_json::to_string(&papers).unwrap_or_default();
    web.handles.core.put_setting(SETTING, text).await?;
    Ok(changed)
}

const SETTING: &str = "papers";
