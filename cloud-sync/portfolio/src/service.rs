//! From a configuration to two open listeners, and back.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use listener::{Limits, listen};
use metering::{Clock, SiteId};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::{task, time};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::{self, Authority, AuthorityError, ms};
use crate::config::Config;
use crate::database::Database;
use crate::dwellings;
use crate::errands;
use crate::folded::{Place, first_row_ms};
use crate::gateways::Gateways;
use crate::ledgers::Ledgers;
use crate::people::{People, Settings};
use crate::probe::Probe;
use crate::repository::{NewCode, Repository, RepositoryError};
use crate::session::open_claim;
use crate::sites::CODE_LASTS;
use crate::tls::{self, Renewed, TlsError};
use crate::{Postgres, Sqlite};

/// A service that runs.
pub struct Service {
    /// What a gateway is told: the first of the configured names, and the port.
    pub gateways_url: String,
    /// Where the pages are.
    pub people_url: String,
    /// What makes its first visitor the owner; `None` once there is one.
    pub claim_code: Option<String>,
    /// SHA-256 of the people's certificate, in hexadecimal pairs; empty without HTTPS.
    pub fingerprint: String,
    repository: Database,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// A code does not stand in a log.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("gateways_url", &self.gateways_url)
            .field("people_url", &self.people_url)
            .finish_non_exhaustive()
    }
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The authority, or a certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A port.
    #[error("cannot listen on {address}; is the service running already, or another on this port?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The authority in the folder is not the one whose gateways are in the database.
    #[error(
        "the database belongs to another authority: its gateways would not be let in. Copy \
         authority.pem from the state folder of the receiver that was there first"
    )]
    OtherAuthority,
    /// The folder for everything that is kept.
    #[error("the folder {} cannot be made", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The listener's certificate lasts for ninety days; a service runs for longer.
const RENEW_EVERY: Duration = Duration::from_hours(30 * 24);

/// Of each of the two listeners.
const LIMITS: Limits = Limits {
    // A gateway has one or two.
    connections: 4_096,
    strangers: 2_048,
    // Gateways behind one address that all come back at once take turns.
    strangers_of_one: 256,
    quiet: Duration::from_secs(75),
    // One that syncs every 15 min keeps its connection.
    quiet_certified: Duration::from_mins(17),
};

/// For how long requests that are under way may go on after the service is told to stop.
const DRAIN: Duration = Duration::from_secs(4);

/// The database's file in the state folder.
const DATABASE: &str = "portfolio.db";

impl Service {
    /// Opens the database, makes what is missing, and listens.
    ///
    /// # Errors
    ///
    /// [`StartError`]
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (repository, authority) = open(config, &*clock).await?;
        let now_ms = clock.now().wall_ms();
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();

        let gateways_names = &config.gateways.names;
        let certificate = Arc::new(Renewed::new(authority.server(gateways_names, now_ms)?));
        let tls = tls::gateways(authority.believed(), Arc::clone(&certificate))?;
        let (listener, port) = bind(config.gateways.listen).await?;
        let name = gateways_names.first().map_or("localhost", String::as_str);
        let gateways_url = url("https", name, port);
        let router =
            Gateways::new(repository.clone(), Arc::clone(&authority), Arc::clone(&clock)).router();
        let tls = Some(TlsAcceptor::from(Arc::new(tls)));
        tasks.spawn(listen(listener, tls, router, LIMITS, shutdown.clone()));
        let renewal =
            renew(Arc::clone(&authority), gateways_names.clone(), certificate, clock.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(renewal).await;
        });
        let key = authority.ledger_key().clone();
        let ledgers = Ledgers::new(repository.clone(), Arc::clone(&clock), key.clone());
        if config.probe {
            let probe = Probe::new(
                repository.clone(),
                ledgers.clone(),
                Arc::clone(&clock),
                key,
                gateways_url.clone(),
                authority.certificate(),
            )?;
            tasks.spawn(probe.run(shutdown.clone()));
        }

        let (folding, stop) = (fold(repository.clone(), clock.clone()), shutdown.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(folding).await;
        });

        let (tidying, stop) = (tidy(repository.clone(), clock.clone()), shutdown.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(tidying).await;
        });

        let (people_tls, fingerprint) = people_tls(config, now_ms).await?;
        let (listener, port) = bind(config.people.listen).await?;
        let claim_code = open_claim(&repository, &*clock).await?;
        let settings = Settings {
            authority,
            gateways_url: gateways_url.clone(),
            own_hosts: config.people.names.iter().cloned().collect(),
            secure: people_tls.is_some(),
            fingerprint: fingerprint.clone(),
            limits: config.limits,
            quota: config.quota,
        };
        let router = People::new(repository.clone(), ledgers, clock, settings).router();
        let scheme = if people_tls.is_some() { "https" } else { "http" };
        let host = match config.people.names.first() {
            Some(name) => name.clone(),
            None if config.people.listen.ip().is_unspecified() => "localhost".to_owned(),
            None => config.people.listen.ip().to_string(),
        };
        let people_url = url(scheme, &host, port);
        tasks.spawn(listen(listener, people_tls, router, LIMITS, shutdown.clone()));
        tasks.close();
        Ok(Self { gateways_url, people_url, claim_code, fingerprint, repository, shutdown, tasks })
    }

    /// Whether the database answers: what the service is for depends on that.
    pub async fn answers(&self) -> bool {
        self.repository.claimed().await.is_ok()
    }

    /// Closes the listeners, finishes what is under way, and gives up on it after four seconds.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some requests took too long and are given up");
        }
    }
}

/// Makes a one-time code for a gateway of this site; the service may run meanwhile.
///
/// # Errors
///
/// [`StartError`]
pub async fn enrol_code(
    config: &Config,
    clock: &dyn Clock,
    site_name: String,
    place: Option<String>,
) -> Result<EnrolCodeMade, StartError> {
    let (repository, authority) = open(config, clock).await?;
    let now_ms = clock.now().wall_ms();
    let code = authority.new_code();
    let expires_ms = now_ms.saturating_add(ms(CODE_LASTS));
    let sha256 = Sha256::digest(code.secret()).into();
    let site =
        repository.add_code(NewCode { sha256, site_name, place, expires_ms }, now_ms).await?;
    let name = config.gateways.names.first().map_or("localhost", String::as_str);
    let url = url("https", name, config.gateways.listen.port());
    Ok(EnrolCodeMade { code: code.to_string(), url, expires_ms, site })
}

/// Makes the authority that will sign after the present one. Gateways learn it when the service has
/// been started again: they are asked to renew their certificates, and it comes with them.
///
/// # Errors
///
/// [`StartError`]
pub async fn prepare_authority(config: &Config, clock: &dyn Clock) -> Result<(), StartError> {
    open(config, clock).await?;
    let (state, now_ms) = (config.state.clone(), clock.now().wall_ms());
    blocking(move || Ok(Authority::prepare(&state, now_ms)?)).await
}

/// The sites whose gateways do not know the newest authority yet, a hundred of them at most; `None`
/// if no other is prepared.
///
/// # Errors
///
/// [`StartError`]
pub async fn unprepared_sites(
    config: &Config,
    clock: &dyn Clock,
) -> Result<Option<Vec<String>>, StartError> {
    let (repository, authority) = open(config, clock).await?;
    if authority.next().is_none() {
        return Ok(None);
    }
    let now_ms = clock.now().wall_ms();
    Ok(Some(repository.unprepared(authority.newest_sha256(), now_ms).await?))
}

/// Has the prepared authority sign from the next start on, and the present one never again. A
/// gateway that does not know it by then has to be enrolled again.
///
/// # Errors
///
/// [`StartError`]; then nothing has changed, or doing it again makes it whole.
pub async fn turn_authority(config: &Config, clock: &dyn Clock) -> Result<(), StartError> {
    let (repository, authority) = open(config, clock).await?;
    let next = authority.next().ok_or(AuthorityError::NoNext)?;
    let (state, now_ms) = (config.state.clone(), clock.now().wall_ms());
    // The database first: a service that starts in between still has both.
    repository.put_setting(AUTHORITY, Some(fingerprint(next))).await?;
    blocking(move || Ok(Authority::turn(&state, now_ms)?)).await
}

/// A one-time code, and what goes with it.
#[derive(Clone)]
pub struct EnrolCodeMade {
    /// The code itself: a secret.
    pub code: String,
    /// Where the gateway has to go with it.
    pub url: String,
    /// Until when it is good.
    pub expires_ms: i64,
    /// For which site.
    pub site: SiteId,
}

impl fmt::Debug for EnrolCodeMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolCodeMade")
            .field("site", &self.site)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

async fn open(
    config: &Config,
    clock: &dyn Clock,
) -> Result<(Database, Arc<Authority>), StartError> {
    let (state, now_ms) = (config.state.clone(), clock.now().wall_ms());
    let authority = blocking(move || {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .map_err(|cause| StartError::State { path: state.clone(), cause })?;
        Ok(Arc::new(Authority::open(&state, now_ms)?))
    });
    let authority = authority.await?;
    let repository = if let Some(postgres) = &config.database {
        Database::Postgres(Postgres::open(postgres).await?)
    } else {
        let path = config.state.join(DATABASE);
        Database::Sqlite(blocking(move || Ok(Sqlite::open(&path)?)).await?)
    };
    same_authority(&repository, &authority).await?;
    Ok((repository, authority))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    task::spawn_blocking(work).await.unwrap_or_else(|died| {
        Err(RepositoryError::Failed { doing: "be opened", cause: died.into() }.into())
    })
}

/// Gateways believe one authority. Receivers that share a database have to have its key, each in
/// its own folder; the database knows which one it is, and not the key.
async fn same_authority(repository: &Database, authority: &Authority) -> Result<(), StartError> {
    let ours = fingerprint(authority.certificate());
    match repository.setting(AUTHORITY).await? {
        // A turn that was cut off between the database and the file: the file is still to follow.
        Some(theirs) if authority.next().is_some_and(|next| fingerprint(next) == theirs) => Ok(()),
        Some(theirs) if theirs != ours => Err(StartError::OtherAuthority),
        Some(_) => Ok(()),
        None => Ok(repository.put_setting(AUTHORITY, Some(ours)).await?),
    }
}

const AUTHORITY: &str = "authority";

async fn bind(address: SocketAddr) -> Result<(TcpListener, u16), StartError> {
    let failed = |cause| StartError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

async fn people_tls(
    config: &Config,
    now_ms: i64,
) -> Result<(Option<TlsAcceptor>, String), StartError> {
    if config.people.plain_http {
        return Ok((None, String::new()));
    }
    let mut names = config.people.names.clone();
    for name in ["localhost".to_owned(), config.people.listen.ip().to_string()] {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let state = config.state.clone();
    let made = task::spawn_blocking(move || authority::people(&state, &names, now_ms)).await;
    let certificate = made.unwrap_or_else(|died| {
        let path = PathBuf::from("people.pem");
        Err(AuthorityError::File { path, cause: io::Error::other(died) })
    })?;
    let print = certificate.cert.first().map(|der| fingerprint(der)).unwrap_or_default();
    let tls = TlsAcceptor::from(Arc::new(tls::people(certificate)?));
    Ok((Some(tls), print))
}

/// SHA-256, in hexadecimal pairs.
fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

async fn renew(
    authority: Arc<Authority>,
    names: Vec<String>,
    certificate: Arc<Renewed>,
    clock: Arc<dyn Clock>,
) {
    loop {
        time::sleep(RENEW_EVERY).await;
        match authority.server(&names, clock.now().wall_ms()) {
            Ok(fresh) => certificate.renew(fresh),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the listener's certificate was not renewed");
            }
        }
    }
}

/// Packs what has been in rows for long enough, a little at a time.
async fn fold(repository: Database, clock: Arc<dyn Clock>) {
    loop {
        time::sleep(FOLD_EVERY).await;
        let (before_ms, mut from) = (first_row_ms(clock.now().wall_ms()), Some(Place::START));
        while let Some(place) = from {
            from = match repository.fold(before_ms, place).await {
                Ok(next) => next,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "old readings are not folded");
                    None
                }
            };
            time::sleep(FOLD_PAUSE).await;
        }
    }
}

/// Throws away what was asked of gateways long ago, and who looked at dwellings.
async fn tidy(repository: Database, clock: Arc<dyn Clock>) {
    loop {
        let now_ms = clock.now().wall_ms();
        if let Err(error) = errands::tidy(&repository, now_ms).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "old errands are not thrown away");
        }
        if let Err(error) = dwellings::tidy(&repository, now_ms).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "who looked long ago is not forgotten");
        }
        time::sleep(TIDY_EVERY).await;
    }
}

/// What is kept for days may stay an hour longer.
const TIDY_EVERY: Duration = Duration::from_hours(1);

/// A day's readings become old at midnight; who starts often gets there all the same.
const FOLD_EVERY: Duration = Duration::from_mins(20);

/// Between two foldings, for whoever waits to write.
const FOLD_PAUSE: Duration = Duration::from_millis(50);

/// An IPv6 address stands in brackets.
fn url(scheme: &str, host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}
