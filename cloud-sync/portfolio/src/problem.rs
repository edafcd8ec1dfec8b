//! Why a person's request has no answer, as `application/problem+json` (RFC 9457).
//!
//! The page makes its sentence, in its language, of `code` and `params`; `title` and `detail` say
//! the same in English to whoever reads the wire. What went wrong inside the service is in its log,
//! never in the answer.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::repository::RepositoryError;

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $title:literal,)*) => {
        /// Every way in which a request can fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)*
        }

        impl Code {
            const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// All of them, for the types of the pages.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    AskedAlready = 409 "asked_already" "This is asked already",
    ClaimExpired = 410 "claim_expired" "The code is too old",
    ClaimSpent = 410 "claim_spent" "The service has an owner",
    ClaimWrong = 403 "claim_wrong" "This is not the code",
    DaysAlone = 403 "days_alone" "Of this whole days are shown",
    Enough = 409 "enough" "There are as many as there may be",
    ErrandOver = 409 "errand_over" "This is over",
    Host = 421 "host" "This is not a name of the service",
    LabelWrong = 422 "label_wrong" "This cannot be what it is called",
    LastOwner = 409 "last_owner" "The service needs an owner",
    LoginAgain = 403 "login_again" "Log in again first",
    LoginWrong = 401 "login_wrong" "The name or the password is wrong",
    LedgerRefused = 409 "ledger_refused" "The ledger does not take this",
    LinkWrong = 403 "link_wrong" "The link opens nothing",
    Malformed = 400 "malformed" "The request makes no sense",
    MediaType = 415 "media_type" "This is not the format that is expected",
    Method = 405 "method" "This cannot be done here",
    NameTaken = 409 "name_taken" "There is a user with this name",
    NameWrong = 422 "name_wrong" "This cannot be a name",
    NoApp = 409 "no_app" "No app is set up",
    NoGateway = 409 "no_gateway" "There is no gateway",
    NoSuchAlarm = 404 "no_such_alarm" "There is no such alarm",
    NoSuchErrand = 404 "no_such_errand" "There is no such thing",
    NoSuchLink = 404 "no_such_link" "There is no such link",
    NoSuchMeter = 404 "no_such_meter" "There is no such meter",
    NoSuchRegister = 404 "no_such_register" "The meter has no such register",
    NoSuchPromise = 404 "no_statement" "There is no statement",
    NoSuchRoute = 404 "no_such_route" "There is nothing here",
    NoSuchSite = 404 "no_such_site" "There is no such site",
    NoSuchTag = 404 "no_such_tag" "There is no such tag",
    NoSuchToken = 404 "no_such_token" "There is no such token",
    NoSuchUser = 404 "no_such_user" "There is no such user",
    NotAllowed = 403 "not_allowed" "Not allowed",
    NotEverywhere = 403 "not_everywhere" "Not for whoever has some buildings alone",
    NotLoggedIn = 401 "not_logged_in" "Nobody is logged in",
    Origin = 403 "origin" "The request comes from another page",
    PasswordCommon = 422 "password_common" "The password is easily guessed",
    PasswordLong = 422 "password_long" "The password is too long",
    PasswordShort = 422 "password_short" "The password is too short",
    PurposeMissing = 403 "purpose_missing" "Say first what it is for",
    Released = 409 "released" "The gateway has another owner",
    Quota = 409 "quota" "There are as many as were agreed",
    SecondNeeded = 401 "code_needed" "The code of the app is asked for",
    SecondWrong = 401 "code_wrong" "The code is wrong",
    Slowed = 429 "slowed" "Too many wrong tries",
    Span = 400 "span" "The span of time makes no sense",
    Store = 500 "store" "The database did not answer",
    TagDeep = 409 "tag_deep" "The tree has no more levels",
    TagLoop = 409 "tag_loop" "A tag is no part of itself",
    TagTaken = 409 "tag_taken" "There is a tag with this name",
    TagUsed = 409 "tag_used" "The tag is in use",
    TooLarge = 413 "too_large" "The request is too large",
    TooMany = 429 "too_many" "Too many requests",
    TooSlow = 408 "too_slow" "It took too long",
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    params: BTreeMap<&'static str, String>,
    detail: String,
    retry_after_secs: Option<u64>,
}

impl Problem {
    /// `detail` is one English sentence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, params: BTreeMap::new(), detail: detail.into(), retry_after_secs: None }
    }

    /// With a parameter of the page's sentence.
    pub(crate) fn with(mut self, name: &'static str, value: &dyn ToString) -> Self {
        self.params.insert(name, value.to_string());
        self
    }

    /// The next try is taken after `wait`, in whole seconds, of which there is at least one.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_secs = Some(seconds);
        self.with("seconds", &seconds)
    }

    /// The request cannot be read, because `why`.
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(Code::Malformed, why.clone()).with("why", &why)
    }
}

/// Why a request has no answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    status: u16,
    code: &'static str,
    params: BTreeMap<&'static str, String>,
    title: &'static str,
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let body = ProblemBody {
            status,
            code: self.code.as_str(),
            params: self.params,
            title: self.code.title(),
            detail: self.detail,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        response
    }
}

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        tracing::error!(error = &error as &dyn Error, "the database did not answer");
        Self::new(Code::Store, "The log of the service says more.")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(Code::TooLarge, "The body is larger than this route takes.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(Code::MediaType, "Send `content-type: application/json`.")
            }
            _ => Self::malformed(innermost(&rejection)),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(innermost(&rejection))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(innermost(&rejection))
    }
}

/// The innermost cause says what is wrong; those around it say that something is.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
