//! What a gateway is answered, in the bytes of the wire.

use std::error::Error;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sync_wire::{
    Ack, Books, Certificate, Document, ErrandsAsked, MEDIA_TYPE, Recalled, Refusal, Wishes,
};

use crate::authority::RequestError;
use crate::repository::RepositoryError;

/// After how long a gateway that was sent away comes again, before its own jitter.
const RETRY_SECS: u32 = 10;

/// An answer to a gateway.
#[derive(Debug)]
pub(super) enum Sent {
    Ack(Ack, Wishes),
    Books(Books),
    Certificate(Certificate),
    Document(Document),
    Errands(ErrandsAsked),
    Recalled(Recalled),
    Refusal(Refusal),
}

impl Sent {
    pub(super) const fn busy() -> Self {
        Self::Refusal(Refusal::Busy { retry_after_secs: RETRY_SECS })
    }
}

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        let (status, body, retry) = match self {
            Self::Ack(ack, wishes) => (200, ack.write_with(wishes), None),
            Self::Books(books) => (200, books.write(), None),
            Self::Document(document) => (200, document.write(), None),
            Self::Errands(asked) => (200, asked.write(), None),
            Self::Recalled(recalled) => (200, recalled.write(), None),
            Self::Certificate(certificate) => (200, certificate.write(), None),
            Self::Refusal(refusal) => {
                (refusal.status(), refusal.write(), refusal.retry_after_secs())
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
        if let Some(secs) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        response
    }
}

impl From<RepositoryError> for Sent {
    fn from(error: RepositoryError) -> Self {
        tracing::error!(error = &error as &dyn Error, "the database did not answer");
        Self::busy()
    }
}

impl From<RequestError> for Sent {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Authority(error) => {
                tracing::error!(error = &error as &dyn Error, "no certificate was made");
                Self::busy()
            }
            error => Self::Refusal(Refusal::Malformed { sentence: error.to_string() }),
        }
    }
}
