//! What many bodies of the API have in common.

use std::borrow::Cow;

use axum::extract::{FromRequest, FromRequestParts, Json, Query, Request};
use axum::http::request::Parts;
use chrono::{DateTime, SecondsFormat, Utc};
use metering::{Quantity, Resolution};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Problem;

/// An instant: RFC 3339, UTC, with `Z`, to the millisecond, as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) DateTime<Utc>);

impl Time {
    /// Milliseconds since 1970, as in the store. A number beyond every calendar is its end.
    pub(crate) fn of_ms(ms: i64) -> Self {
        Self(DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Seconds since 1970, as in the ledger.
    pub(crate) fn of_s(seconds: i64) -> Self {
        Self(DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// As in a body, a file or a parameter.
    pub(crate) fn text(self) -> String {
        let whole = self.0.timestamp_subsec_millis() == 0;
        let digits = if whole { SecondsFormat::Secs } else { SecondsFormat::Millis };
        self.0.to_rfc3339_opts(digits, true)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An instant: RFC 3339, UTC, with `Z`."))
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Time")
    }
}

/// An exact amount: `1396.317 MWh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// Decimal text, with the digits that the meter shows.
    pub(crate) value: String,
    /// The ASCII code of the unit: `kWh`, `m3`, `C`; `1` for a bare number.
    pub(crate) unit: String,
}

impl Amount {
    pub(crate) fn of(quantity: Quantity) -> Self {
        Self { value: quantity.decimal(), unit: unit_of(quantity.resolution()) }
    }
}

pub(crate) fn unit_of(resolution: Resolution) -> String {
    resolution.unit().code().to_owned()
}

/// A JSON body, refused with a [`Problem`].
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// A query string, refused with a [`Problem`].
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_utc_with_as_many_digits_as_it_needs() {
        let json = |ms| serde_json::to_string(&Time::of_ms(ms)).unwrap();
        assert_eq!(json(1_790_000_000_000), "\"2026-09-21T14:13:20Z\"");
        assert_eq!(json(1_790_000_000_250), "\"2026-09-21T14:13:20.250Z\"");
        let fine = Time(DateTime::from_timestamp_nanos(1_790_000_000_000_900_000));
        assert_eq!(fine.text(), "2026-09-21T14:13:20Z", "cut, not rounded");
        assert_eq!(Time::of_ms(i64::MAX), Time(DateTime::<Utc>::MAX_UTC), "never panics");
    }
}
