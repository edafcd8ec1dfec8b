//! One message there and one answer back, and whose fault it is when there is none.
//!
//! | Wait         | For                                                                    |
//! |--------------|------------------------------------------------------------------------|
//! | 15 s         | a connection: 600 ms there and back, and a lost packet                 |
//! | 90 s         | the answer: 256 KiB over 4 kB/s, and a portfolio that commits           |
//! | 16 min       | before an idle connection is closed: one sync of a gateway on a SIM    |

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header, redirect};
use rustls::{AlertDescription, CertificateError, ClientConfig};
use sync_wire::{MEDIA_TYPE, Malformed, Refusal};

use crate::identity::{Identity, IdentityError};

/// Why the portfolio does not have what was sent, in one sentence for the page and the log.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The portfolio has more than this gateway ever numbered: the disk was put back to an older
    /// state.
    #[error(
        "the portfolio has readings up to number {acked}, this gateway has only numbered {head}: \
         its disk was put back to an older state; restore it in the way that begins a new epoch"
    )]
    Ahead {
        /// What the portfolio says.
        acked: u64,
        /// What the store says.
        head: u64,
    },
    /// The portfolio's certificate is out of its time, or our clock is wrong.
    #[error(
        "the certificate of {host} is not valid now; is this gateway's clock right, and the \
         portfolio's?"
    )]
    CertificateTime {
        /// Whose.
        host: String,
    },
    /// Our certificate is not taken.
    #[error("the portfolio does not accept this gateway's certificate; enrol the gateway again")]
    OurCertificate,
    /// A key could not be made.
    #[error("a key cannot be made")]
    Key(#[source] rcgen::Error),
    /// Our own identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Somebody answers, but not in the portfolio's words.
    #[error(
        "what answers at {host} is not a portfolio (HTTP status {status}); is the address right, \
         or does a proxy want a login?"
    )]
    NotPortfolio {
        /// Where.
        host: String,
        /// What it said.
        status: u16,
    },
    /// So many readings were called malformed that the mistake is not theirs.
    #[error(
        "the portfolio calls every reading malformed, so no more of them are put aside: {sentence}"
    )]
    Parking {
        /// What it says of the last one.
        sentence: String,
    },
    /// The portfolio said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store did not answer.
    #[error("the readings to send cannot be read")]
    Store(#[from] store::StoreError),
    /// There is nobody, or no answer in time.
    #[error("the portfolio at {host} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        host: String,
        /// What the system says: the innermost cause, for those around it only say at what.
        why: String,
    },
    /// Somebody else answers at the portfolio's address.
    #[error(
        "the certificate of {host} is not the portfolio's; is the address right, or does somebody \
         open the connection on its way?"
    )]
    WrongAuthority {
        /// Whose.
        host: String,
    },
    /// The portfolio answers under another name.
    #[error(
        "the portfolio's certificate is not made out to {host}; use a name that stands in `names` \
         of its configuration"
    )]
    WrongName {
        /// How we call it.
        host: String,
    },
}

impl SyncError {
    /// Nobody answered in all the time that there was.
    pub(crate) fn too_late(url: &Url, within: Duration) -> Self {
        Self::Unreachable { host: host(url), why: no_answer(within) }
    }

    /// What the portfolio asked us to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refusal::Busy { retry_after_secs }) => {
                Some(Duration::from_secs((*retry_after_secs).into()))
            }
            _ => None,
        }
    }

    /// Whether the portfolio itself spoke: then it is there, whatever it said.
    pub(crate) const fn is_contact(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Ahead { .. } | Self::Parking { .. })
    }

    /// Whether trying again soon is of no use: somebody has to do something first.
    pub(crate) const fn needs_a_person(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(
                refusal,
                Refusal::Clone | Refusal::NotAllowed { .. } | Refusal::Version { .. }
            ),
            Self::Ahead { .. } | Self::OurCertificate | Self::Parking { .. } => true,
            _ => false,
        }
    }
}

/// Posts messages, over one connection that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    client: Client,
}

impl Post {
    pub(crate) fn as_gateway(identity: &Identity) -> Result<Self, SyncError> {
        Self::new(identity.client_config()?, identity.url())
    }

    pub(crate) fn new(config: ClientConfig, url: &Url) -> Result<Self, SyncError> {
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .https_only(true)
            .redirect(redirect::Policy::none())
            .http1_only()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(KEEP_ALIVE)
            .user_agent(concat!("fyrhus/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|cause| unreachable_or_wrong(url, &cause))?;
        Ok(Self { client })
    }

    /// Posts `message` and reads the answer with `read`, if the portfolio took it.
    pub(crate) async fn post<T>(
        &self,
        url: Url,
        message: Vec<u8>,
        read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, SyncError> {
        let request =
            self.client.post(url.clone()).header(header::CONTENT_TYPE, MEDIA_TYPE).body(message);
        let failed = |cause: reqwest::Error| unreachable_or_wrong(&url, &cause);
        let mut response = request.send().await.map_err(failed)?;

        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(not_portfolio(&url, status));
            }
            body.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK {
            return read(&body).map_err(|_| not_portfolio(&url, status));
        }
        match Refusal::read(&body) {
            Ok(refusal) if refusal.status() == status.as_u16() => Err(refusal.into()),
            _ => Err(not_portfolio(&url, status)),
        }
    }
}

fn not_portfolio(url: &Url, status: StatusCode) -> SyncError {
    SyncError::NotPortfolio { host: host(url), status: status.as_u16() }
}

/// What a failed request means, from its chain of causes.
fn unreachable_or_wrong(url: &Url, cause: &reqwest::Error) -> SyncError {
    let host = host(url);
    let mut why = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(cause);
    while let Some(error) = next {
        if let Some(wrong) = tls_error(error).and_then(|tls| judged(tls, &host)) {
            return wrong;
        }
        why = match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => {
                "nothing listens there; are address and port right, and does it run?".to_owned()
            }
            _ => error.to_string(),
        };
        next = error.source();
    }
    if cause.is_timeout() {
        why = no_answer(ANSWER);
        if cause.is_connect() {
            why = format!("no connection within {} s", CONNECT.as_secs());
        }
    }
    SyncError::Unreachable { host, why }
}

fn no_answer(within: Duration) -> String {
    format!("no answer within {} s", within.as_secs())
}

/// TLS hides inside an [`io::Error`], or two, which do not tell it as their source.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// What TLS has against one of the two certificates, if it is that.
fn judged(error: &rustls::Error, host: &str) -> Option<SyncError> {
    let host = host.to_owned();
    match error {
        rustls::Error::InvalidCertificate(wrong) => Some(match wrong {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => SyncError::CertificateTime { host },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                SyncError::WrongName { host }
            }
            _ => SyncError::WrongAuthority { host },
        }),
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => Some(SyncError::OurCertificate),
        _ => None,
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(90);
const IDLE: Duration = Duration::from_mins(16);

/// Keeps the connection alive in the tables of a mobile network's routers.
const KEEP_ALIVE: Duration = Duration::from_mins(4);

/// No answer of a portfolio is longer.
const ANSWER_BYTES: usize = 64 * 1024;
