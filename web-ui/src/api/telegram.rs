//! `GET /api/v1/meters/{meter}/telegram`: what a meter said, byte by byte, and what each byte means.
//!
//! Any reading leads back to it: the last answer at an instant or before it is told, for as long as it is
//! kept. What is encrypted stays so here, since the pages hold no keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use mbus::explain::{Piece, of_heard};
use mbus::radio::{Format, Listener, Scratch};
use serde::{Deserialize, Serialize};
use store::Heard;
use utoipa::{IntoParams, ToSchema};

use crate::Web;
use crate::api::meters::{hex, seen};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::wire::{Asked, Time};

/// The telegrams of one answer.
pub(crate) async fn telegram(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(meter): Path<String>,
    Asked(question): Asked<Question>,
) -> Result<Json<AnswerBody>, Problem> {
    let site = web.site();
    let meter = seen(&site, &visitor, &meter)?;
    let speaks_mbus = site.buses.iter().any(|bus| bus.id == meter.bus && is_mbus(bus.kind));
    let (meter, at) = (meter.id, question.at);
    let found = web.ask(&visitor, move |store| {
        let at_ms = at.map(|at| at.timestamp_millis()).or_else(|| store.last_answer(meter));
        at_ms.map_or(Ok(None), |at_ms| store.heard(meter, at_ms))
    });
    Ok(Json(AnswerBody::of(found.await?, speaks_mbus)))
}

/// `?at=2026-03-01T00:00:00Z`
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// RFC 3339. The last answer then or before; without it the last there is.
    #[param(value_type = Option<String>)]
    at: Option<DateTime<Utc>>,
}

/// What a meter said to one question.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterAnswer)]
pub(crate) struct AnswerBody {
    /// When the answer began; `null` if the meter told nothing in the month before.
    at: Option<Time>,
    /// As they came; none if they are not kept any more.
    telegrams: Vec<TelegramBody>,
}

/// Bytes as they came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Telegram)]
pub(crate) struct TelegramBody {
    /// Two digits a byte.
    hex: String,
    /// What they mean, from the first byte to the last; empty of what is no M-Bus.
    pieces: Vec<PieceBody>,
}

/// Some bytes that mean one thing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TelegramPiece)]
pub(crate) struct PieceBody {
    /// Of the first of them, counted from the first of the telegram.
    offset: usize,
    length: usize,
    /// `link`, `ell`, `afl`, `header`, `record`, `application`, `unread`
    layer: &'static str,
    /// Which record, counted from 0.
    record: Option<u16>,
    /// What they say, in English.
    meaning: String,
    /// The bytes are wrong.
    fault: bool,
}

impl AnswerBody {
    fn of(heard: Option<Heard>, speaks_mbus: bool) -> Self {
        let Some(Heard { at_ms, telegrams }) = heard else {
            return Self { at: None, telegrams: Vec::new() };
        };
        // A meter that sends compact frames sends their format, too.
        let mut formats = [Format::EMPTY; FORMATS];
        let mut listener = Listener::new(&mut formats);
        let mut told = Vec::with_capacity(telegrams.len());
        for bytes in telegrams {
            let mut pieces = Vec::new();
            if speaks_mbus {
                let mut scratch = Scratch::new();
                let heard = listener.hear(&bytes, NO_KEYS.as_slice(), &mut scratch);
                of_heard(&bytes, &heard, &mut |piece| pieces.push(PieceBody::of(&piece)));
            }
            told.push(TelegramBody { hex: hex(&bytes), pieces });
        }
        Self { at: Some(Time::of_ms(at_ms)), telegrams: told }
    }
}

impl PieceBody {
    fn of(piece: &Piece<'_>) -> Self {
        Self {
            offset: piece.at,
            length: piece.bytes.len(),
            layer: piece.layer.code(),
            record: piece.layer.record(),
            meaning: if piece.continued {
                "(goes on)".to_owned()
            } else {
                piece.meaning.to_string()
            },
            fault: piece.meaning.is_fault(),
        }
    }
}

/// Of the wires of the configuration, those whose telegrams are M-Bus, by wire or by radio.
fn is_mbus(kind: &str) -> bool {
    matches!(kind, "mbus" | "wmbus")
}

const NO_KEYS: [mbus::crypto::Key; 0] = [];

/// Of one answer.
const FORMATS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_explained_once() {
        let telegram = vec![
            0x68, 0x13, 0x13, 0x68, 0x08, 0x05, 0x73, 0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9,
            0x7E, 0x01, 0x00, 0x00, 0x00, 0x35, 0x01, 0x00, 0x00, 0x3C, 0x16,
        ];
        let heard = Heard { at_ms: 0, telegrams: vec![telegram, vec![0xE5]] };
        let body = AnswerBody::of(Some(heard.clone()), true);
        for (body, bytes) in body.telegrams.iter().zip(&heard.telegrams) {
            let mut next = 0;
            for piece in &body.pieces {
                assert_eq!(piece.offset, next);
                assert!(!piece.fault && !piece.meaning.is_empty(), "{piece:?}");
                next += piece.length;
            }
            assert_eq!((next, body.hex.len()), (bytes.len(), 2 * bytes.len()));
        }
        assert_eq!(body.telegrams[1].hex, "e5");
        let other = AnswerBody::of(Some(heard), false);
        assert!(other.telegrams.iter().all(|it| it.pieces.is_empty()), "no M-Bus, no meaning");
        assert_eq!(AnswerBody::of(None, true).telegrams.len(), 0);
    }
}
