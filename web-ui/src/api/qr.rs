//! `POST /api/v1/qr`: a text as a QR code, for a page to draw. Posted, so that no log has what may be
//! a secret.

use axum::Json;
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::wire::Body;

/// The code, as small as it gets.
pub(crate) async fn qr(Body(asked): Body<QrText>) -> Result<Json<QrBody>, Problem> {
    if asked.text.is_empty() || asked.text.len() > MOST {
        return Err(Problem::malformed(format!("a text for a QR code has 1 to {MOST} bytes")));
    }
    let code = QrCode::with_error_correction_level(asked.text.as_bytes(), EcLevel::M)
        .map_err(|_| Problem::malformed("the text is too long for a QR code"))?;
    let modules = code.to_colors();
    let row = |row: &[Color]| row.iter().map(|it| it.select('1', '0')).collect();
    Ok(Json(QrBody { rows: modules.chunks(code.width()).map(row).collect() }))
}

/// An address with a secret behind it, and room.
const MOST: usize = 500;

/// What the code says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QrText {
    text: String,
}

/// The modules of a QR code, without the quiet zone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Qr)]
pub(crate) struct QrBody {
    /// A row each, `1` for a dark module.
    rows: Vec<String>,
}
