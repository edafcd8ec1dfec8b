//! Why a request has no answer, as `application/problem+json` (RFC 9457).
//!
//! ```json
//! {"status":403,"code":"not_allowed","params":{"role":"tenant"},
//!  "title":"Not allowed","detail":"A tenant may not do this."}
//! ```
//!
//! The page makes its sentence, in its language, of `code` and `params`; `title` and `detail` say
//! the same in English to whoever reads the wire. What went wrong inside the gateway is in its
//! log, never in the answer.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{
    BytesRejection, JsonRejection, PathRejection, QueryRejection, StringRejection,
};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::handles::Mistake;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal $title:literal,)*) => {
        /// Every way in which a request can fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)*
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

            /// All of them, for the front end's types.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    Busy = 503 "busy" "Too much is asked at once",
    CertificateBroken = 422 "certificate_broken" "A certificate cannot be read",
    CertificateChain = 422 "certificate_chain" "The certificates do not vouch for each other",
    CertificateEarly = 422 "certificate_early" "The certificate is not good yet",
    CertificateEnded = 422 "certificate_ended" "The certificate has ended",
    CertificateFailed = 500 "certificate_failed" "The certificate could not be kept",
    CertificateKeyApart = 422 "certificate_key_apart" "The key is another certificate's",
    CertificateKeyKind = 422 "certificate_key_kind" "The key is of a kind that is not known",
    CertificateKeyNone = 422 "certificate_key_none" "There is no key",
    CertificateKeySealed = 422 "certificate_key_sealed" "The key is locked",
    CertificateNames = 422 "certificate_names" "The certificate is for nobody",
    CertificateNone = 422 "certificate_none" "There is no certificate",
    CertificatePurpose = 422 "certificate_purpose" "The certificate is not for servers",
    CertificateStranger = 422 "certificate_stranger" "A certificate has nothing to do with the others",
    ClaimExpired = 410 "claim_expired" "The code is too old",
    ClaimSpent = 410 "claim_spent" "The gateway has an owner",
    ClaimWrong = 403 "claim_wrong" "This is not the code",
    ConfigChanged = 412 "config_changed" "Somebody else saved first",
    ConfigFailed = 500 "config_failed" "The configuration could not be kept",
    ConfigWrong = 422 "config_wrong" "The configuration has mistakes",
    CorrectionRefused = 422 "correction_refused" "The reading was not corrected",
    CounterWrong = 422 "counter_wrong" "The counter was not set",
    DiskFull = 507 "disk_full" "The disk is full",
    DisplayWrong = 422 "display_wrong" "This is no figure of a display",
    DrawNone = 409 "draw_none" "No draw is under way",
    Enough = 409 "enough" "There are as many as there may be",
    EnrolClock = 409 "enrol_clock" "The clock is not trusted yet",
    EnrolFailed = 502 "enrol_failed" "The enrolment failed",
    EnrolUnreachable = 502 "enrol_unreachable" "The cloud cannot be reached",
    EnrolWrong = 422 "enrol_code" "The code opens nothing",
    Host = 421 "host" "This is not a name of the gateway",
    IfMatchMissing = 428 "if_match_missing" "Say which version you changed",
    KeyFile = 422 "key_file" "This file of keys is not taken",
    KeyNumber = 422 "key_number" "This is no meter's number",
    KeyPassword = 422 "key_password" "The file takes its password",
    KeyWrong = 422 "key_wrong" "This is no key",
    KeysFailed = 500 "keys_failed" "The keys could not be kept",
    LabelWrong = 422 "label_wrong" "This cannot be what it is called",
    LastOwner = 409 "last_owner" "The gateway needs an owner",
    LedgerBroken = 500 "ledger_broken" "The ledger does not hold",
    LedgerFailed = 503 "ledger_failed" "The ledger cannot be written now",
    LedgerRefused = 409 "ledger_refused" "This cannot be written into the ledger",
    LinkWrong = 401 "link_wrong" "The link opens nothing",
    ListWrong = 422 "list_wrong" "This list of meters is not taken",
    LoginAgain = 403 "login_again" "Log in again first",
    LoginWrong = 401 "login_wrong" "The name or the password is wrong",
    Malformed = 400 "malformed" "The request makes no sense",
    MediaType = 415 "media_type" "This is not the format that is expected",
    Method = 405 "method" "This cannot be done here",
    NameTaken = 409 "name_taken" "There is a user with this name",
    NameWrong = 422 "name_wrong" "This cannot be a name",
    NoApp = 409 "no_app" "No app is set up",
    ErrandOver = 409 "errand_over" "This is over",
    NoBackup = 404 "no_backup" "There is no backup",
    NoConfig = 404 "no_config" "There is no configuration yet",
    NoPhoto = 404 "no_photo" "There is no such photo",
    NoRoom = 507 "no_room" "The disk has no room for it",
    NoScan = 409 "no_scan" "No scan is under way",
    NoScanHere = 409 "no_scan_here" "This bus cannot be scanned",
    NoStick = 404 "no_stick" "There is no such stick",
    NoStatement = 404 "no_statement" "There is no statement of this month",
    NoSuchBus = 404 "no_such_bus" "There is no such bus",
    NoSuchKey = 404 "no_such_key" "There is no such key",
    NoSuchLink = 404 "no_such_link" "There is no such link",
    NoSuchMeter = 404 "no_such_meter" "There is no such meter",
    NoSuchPaper = 404 "no_such_paper" "There is no such document",
    NoSuchPasskey = 404 "no_such_passkey" "There is no such passkey",
    NoSuchPlan = 404 "no_such_plan" "There is no such plan",
    NoSuchRegister = 404 "no_such_register" "The meter has no such register",
    NoSuchRoute = 404 "no_such_route" "There is nothing here",
    NoSuchSession = 404 "no_such_session" "There is no such session",
    NoSuchToken = 404 "no_such_token" "There is no such token",
    NoSuchUser = 404 "no_such_user" "There is no such user",
    NoVersion = 404 "no_version" "There is no such version",
    NotAllowed = 403 "not_allowed" "Not allowed",
    NotClaimed = 409 "not_claimed" "The gateway has no owner yet",
    NotLoggedIn = 401 "not_logged_in" "Nobody is logged in",
    Origin = 403 "origin" "The request comes from another page",
    PaperWrong = 422 "paper_wrong" "This is no document that can be kept",
    PasskeyHost = 409 "passkey_host" "No passkey works at this address",
    PasskeyWrong = 401 "passkey_wrong" "The passkey opens nothing",
    PasswordCommon = 422 "password_common" "The password is easily guessed",
    PasswordLong = 422 "password_long" "The password is too long",
    PasswordShort = 422 "password_short" "The password is too short",
    PhotoWrong = 422 "photo_wrong" "This is no photo that can be kept",
    PieceElsewhere = 409 "piece_elsewhere" "The piece does not follow what is here",
    PortClosed = 409 "port_closed" "The port cannot be opened",
    PortTaken = 409 "port_taken" "A bus has this port",
    PortWrong = 422 "port_wrong" "This is no port of an M-Bus",
    ScanRuns = 409 "scan_runs" "A scan is under way",
    SecondNeeded = 401 "code_needed" "The code of the app is asked for",
    SecondWrong = 401 "code_wrong" "The code is wrong",
    Slowed = 429 "slowed" "Too many wrong tries",
    Span = 400 "span" "The span of time makes no sense",
    Stopping = 503 "stopping" "The gateway is stopping",
    Store = 500 "store" "The store did not answer",
    TooFine = 403 "too_fine" "This is shown by the hour",
    TooLarge = 413 "too_large" "The request is too large",
    TooSlow = 408 "too_slow" "It took too long",
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    params: BTreeMap<&'static str, String>,
    detail: String,
    mistakes: Vec<Mistake>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// `detail` is one English sentence.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, params: BTreeMap::new(), detail, mistakes: Vec::new(), retry_after: None }
    }

    /// With a parameter of the page's sentence.
    pub(crate) fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.params.insert(name, value.to_string());
        self
    }

    /// With what is wrong with a configuration.
    pub(crate) fn with_mistakes(mut self, mistakes: Vec<Mistake>) -> Self {
        self.mistakes = mistakes;
        self
    }

    /// The next try is taken after `wait`, in whole seconds, of which there is at least one.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self.retry_after = Some(seconds);
        self.with("seconds", &seconds.as_secs())
    }

    /// The request cannot be read, because `why`.
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(Code::Malformed, why.clone()).with("why", &why)
    }

    /// The daemon does not answer wishes any more.
    pub(crate) fn stopping() -> Self {
        Self::new(Code::Stopping, "The gateway is stopping; try again in a minute.")
    }

    /// What was asked for does not exist.
    pub(crate) fn no_such_meter() -> Self {
        Self::new(Code::NoSuchMeter, "The configuration has no meter with this id.")
    }
}

/// What a failure looks like on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The HTTP status.
    status: u16,
    /// What it is; the language files have a sentence for each.
    code: &'static str,
    /// What that sentence needs.
    params: BTreeMap<&'static str, String>,
    /// The same in English, in general.
    title: &'static str,
    /// And in particular.
    detail: String,
    /// What is wrong with a configuration; empty for every other problem.
    mistakes: Vec<MistakeBody>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mistake)]
pub(crate) struct MistakeBody {
    /// Counted from 1; 0 concerns the file as a whole.
    line: usize,
    /// What was found, what is allowed, what to write instead.
    advice: String,
}

impl MistakeBody {
    /// Each of `mistakes`.
    pub(crate) fn list(mistakes: &[Mistake]) -> Vec<Self> {
        let bodies = mistakes.iter().map(|it| Self { line: it.line, advice: it.advice.clone() });
        bodies.collect()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ProblemBody {
            status: status.as_u16(),
            code: self.code.as_str(),
            params: self.params,
            title: self.code.title(),
            detail: self.detail,
            mistakes: MistakeBody::list(&self.mistakes),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn Error, "store did not answer");
        if error.is_full() {
            let detail = "The disk of the gateway is full. What was stored earlier is safe.";
            return Self::new(Code::DiskFull, detail);
        }
        Self::new(Code::Store, "The log of the gateway says more.")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(Code::MediaType, "Send `content-type: application/json`.")
            }
            _ => Self::malformed(whole_chain(&rejection)),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::malformed(whole_chain(&rejection)),
        }
    }
}

impl From<StringRejection> for Problem {
    fn from(rejection: StringRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::malformed(whole_chain(&rejection)),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(whole_chain(&rejection))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(whole_chain(&rejection))
    }
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, "The body is larger than this route takes.")
}

/// The innermost cause says what is wrong; those around it say that something is.
fn whole_chain(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_one_problem() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert!(Code::ALL.iter().skip(index + 1).all(|it| it.as_str() != code.as_str()));
            assert!((400..600).contains(&code.status()), "{code:?}");
        }
    }

    #[test]
    fn a_full_disk_is_said_to_be_full_and_no_path_is_told() {
        let problem = Problem::from(StoreError::Full { dir: "/var/lib/fyrhus".into() });
        assert_eq!(problem.code, Code::DiskFull);
        assert!(!problem.detail.contains("/var"), "{}", problem.detail);
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let problem = Problem::new(Code::Slowed, "").retry_after(Duration::from_millis(1_200));
        assert_eq!(problem.params["seconds"], "2");
        assert_eq!(problem.into_response().headers()["retry-after"], "2");
    }
}
