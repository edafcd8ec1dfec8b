//! `POST /api/v1/qr`: a text as a QR code, for a page to draw. Posted, so that no log has what may be a
//! secret. The shape is that of the gateway's API.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// The code, as small as it gets.
pub(crate) async fn draw(asked: Result<Json<Text>, JsonRejection>) -> Result<Json<Qr>, Problem> {
    let Json(Text { text }) = asked?;
    if text.is_empty() || text.len() > MOST {
        return Err(Problem::malformed(format!("`text` has 1 to {MOST} bytes")));
    }
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M)
        .map_err(|_| Problem::malformed("the text is too long for a QR code"))?;
    let modules = code.to_colors();
    let row = |row: &[Color]| row.iter().map(|it| it.select('1', '0')).collect();
    Ok(Json(Qr { rows: modules.chunks(code.width()).map(row).collect() }))
}

/// What an app is told, and room.
const MOST: usize = 500;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QrText)]
pub(crate) struct Text {
    text: String,
}

/// Its modules, without the quiet zone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Qr {
    /// A row each, `1` for a dark module.
    rows: Vec<String>,
}
