//! One message there and one answer back, and whose fault it is when there is none.
//!
//! | Wait         | For                                                                    |
//! |--------------|------------------------------------------------------------------------|
//! | 15 s         | a connection: 600 ms there and back, and a lost packet                 |
//! | 90 s         | the answer: 256 KiB over 4 kB/s, and a portfolio that commits           |
//! | 16 min       | before an idle connection is closed: one sync of a gateway on a SIM    |

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError, ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use sync_wire::{MEDIA_TYPE, Malformed, Refusal};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::identity::{Identity, IdentityError};
use crate::way::{NoWay, Way};

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
    /// Who stands before the portfolio is busy, and may have said for how long.
    #[error("what stands before the portfolio at {host} is busy (HTTP status {status})")]
    BusyOnTheWay {
        /// Where.
        host: String,
        /// 429 or 503.
        status: u16,
        /// When to come back.
        retry_after_secs: Option<u32>,
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
    /// The proxy does not let us through.
    #[error(transparent)]
    Way(NoWay),
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
        let secs = match self {
            Self::Refused(refusal) => refusal.retry_after_secs(),
            Self::BusyOnTheWay { retry_after_secs, .. } => *retry_after_secs,
            _ => None,
        };
        secs.map(|secs| Duration::from_secs(secs.into()))
    }

    /// The status of an answer that says that the fault is over there: of the portfolio, or of what stands
    /// before it and has its certificate.
    pub(crate) fn fault(&self) -> Option<u16> {
        let status = match self {
            Self::Refused(refusal) => refusal.status(),
            Self::BusyOnTheWay { status, .. } | Self::NotPortfolio { status, .. } => *status,
            _ => return None,
        };
        (500..600).contains(&status).then_some(status)
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
///
/// Dropped, it closes the connection.
pub(crate) struct Post {
    url: Url,
    way: Way,
    tls: TlsConnector,
    kept: Option<Open>,
}

/// A connection that the portfolio answers on.
struct Open {
    requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    used: Instant,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An answer before it is understood.
struct Answer {
    status: StatusCode,
    retry_after: Option<u32>,
    body: Vec<u8>,
}

impl Post {
    pub(crate) fn as_gateway(identity: &Identity, way: Way) -> Result<Self, SyncError> {
        Ok(Self::new(identity.client_config()?, identity.url(), way))
    }

    /// To the portfolio at `url`. The same `config` for each connection: they resume each other.
    pub(crate) fn new(config: ClientConfig, url: &Url, way: Way) -> Self {
        Self { url: url.clone(), way, tls: TlsConnector::from(Arc::new(config)), kept: None }
    }

    /// Posts `message` to `path` and reads the answer with `read`, if the portfolio took it.
    ///
    /// A connection that was closed while nobody used it is no failure: every message may come
    /// twice, so it goes again over a new one.
    pub(crate) async fn post<T>(
        &mut self,
        path: &str,
        message: Vec<u8>,
        read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, SyncError> {
        let message = Bytes::from(message);
        let answer = match self.kept.take().filter(|open| open.used.elapsed() < IDLE) {
            Some(open) => match self.ask(open, path, message.clone()).await {
                Err(Failed::Closed(_)) => self.ask_anew(path, message).await,
                answer => answer,
            },
            None => self.ask_anew(path, message).await,
        };
        let Answer { status, retry_after, body } = answer.map_err(|failed| match failed {
            Failed::Closed(error) => unreachable_or_wrong(&self.url, &*error),
            Failed::Said(error) => error,
        })?;
        if status == StatusCode::OK {
            return read(&body).map_err(|_| not_portfolio(&self.url, status));
        }
        match Refusal::read(&body) {
            Ok(refusal) if refusal.status() == status.as_u16() => Err(refusal.into()),
            // What stands before the portfolio is busy for it: a load balancer, a proxy.
            _ if is_busy(status) => Err(SyncError::BusyOnTheWay {
                host: host(&self.url),
                status: status.as_u16(),
                retry_after_secs: retry_after,
            }),
            _ => Err(not_portfolio(&self.url, status)),
        }
    }

    async fn ask_anew(&mut self, path: &str, message: Bytes) -> Result<Answer, Failed> {
        let open = match time::timeout(CONNECT, self.open()).await {
            Ok(open) => open?,
            Err(_elapsed) => {
                let why = format!("no connection within {} s", CONNECT.as_secs());
                return Err(Failed::Said(SyncError::Unreachable { host: host(&self.url), why }));
            }
        };
        self.ask(open, path, message).await
    }

    async fn open(&self) -> Result<Open, Failed> {
        let told = |no_way| Failed::Said(no_connection(&self.url, no_way));
        let places = self.way.find(&self.url).await.map_err(told)?;
        let stream = self.way.connect(&places, &self.url).await.map_err(told)?;
        let name = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| Failed::Closed(error.into()))?;
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|error| Failed::Closed(error.into()))?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        self.way.traffic().shaken(resumed);
        let (requests, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failed::Closed(error.into()))?;
        let driver = tokio::spawn(async move {
            // Whoever asks over it hears of its end.
            drop(connection.await);
        });
        Ok(Open { requests, driver, used: Instant::now() })
    }

    async fn ask(&mut self, mut open: Open, path: &str, message: Bytes) -> Result<Answer, Failed> {
        let asked = time::timeout(ANSWER, open.ask(&self.url, path, message)).await;
        let answer = asked.map_err(|_| Failed::Said(SyncError::too_late(&self.url, ANSWER)))??;
        open.used = Instant::now();
        self.kept = Some(open);
        Ok(answer)
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Why there is no answer.
enum Failed {
    /// The connection ended before it.
    Closed(Box<dyn Error + Send + Sync>),
    /// Something that another connection does not mend.
    Said(SyncError),
}

impl Open {
    async fn ask(&mut self, url: &Url, path: &str, message: Bytes) -> Result<Answer, Failed> {
        let closed = |error: hyper::Error| Failed::Closed(error.into());
        self.requests.ready().await.map_err(closed)?;
        let request = Request::post(path)
            .header(header::HOST, host(url))
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .header(header::USER_AGENT, concat!("fyrhus/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(message))
            .map_err(|error| Failed::Closed(error.into()))?;
        let response = self.requests.send_request(request).await.map_err(closed)?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|secs| secs.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_too_long) => Failed::Said(not_portfolio(url, status)),
            Err(error) => Failed::Closed(error),
        })?;
        Ok(Answer { status, retry_after, body: body.to_bytes().to_vec() })
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// What it means that there is no connection.
fn no_connection(url: &Url, no_way: NoWay) -> SyncError {
    match no_way {
        NoWay::Tcp(cause) => SyncError::Unreachable { host: host(url), why: nobody(&cause) },
        NoWay::Name(..) => SyncError::Unreachable { host: host(url), why: no_way.to_string() },
        NoWay::Proxy { .. } | NoWay::Login { .. } => SyncError::Way(no_way),
    }
}

/// What the system says when nobody takes a connection.
fn nobody(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; are address and port right, and does it run?".to_owned()
        }
        _ => cause.to_string(),
    }
}

fn not_portfolio(url: &Url, status: StatusCode) -> SyncError {
    SyncError::NotPortfolio { host: host(url), status: status.as_u16() }
}

/// What the end of a connection means, from its chain of causes.
fn unreachable_or_wrong(url: &Url, cause: &(dyn Error + Send + Sync + 'static)) -> SyncError {
    let host = host(url);
    let mut why = String::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(cause);
    while let Some(error) = next {
        if let Some(wrong) = tls_error(error).and_then(|tls| judged(tls, &host)) {
            return wrong;
        }
        why = error.downcast_ref::<io::Error>().map_or_else(|| error.to_string(), nobody);
        next = error.source();
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

/// No answer of a portfolio is longer.
const ANSWER_BYTES: usize = 64 * 1024;
