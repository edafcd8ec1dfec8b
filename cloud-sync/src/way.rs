//! The way to the portfolio, and what it costs: every byte that goes up or comes down is counted.
//!
//! ```text
//!  name ──▶ TCP ─┬────────────────────────────▶ portfolio
//!                └▶ proxy ──CONNECT host:port──▶ portfolio
//! ```
//!
//! What is counted is what the connection carries: TLS with its handshakes and HTTP with its
//! headers. What TCP and IP add depends on the line, and is a few per cent.
//!
//! **Never true:** that a proxy sees what is sent. It is asked for a tunnel (RFC 9110, section
//! 9.3.6), in which TLS is spoken with the portfolio alone.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use url::Url;

/// How the portfolio is reached. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Way {
    proxy: Option<Arc<Proxy>>,
    traffic: Arc<Traffic>,
}

/// What went over a way since it was first taken. Only ever grows.
#[derive(Debug, Default)]
pub struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
    handshakes: AtomicU64,
    resumed: AtomicU64,
}

impl Traffic {
    /// Bytes to the portfolio.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// Bytes from the portfolio.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }

    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.up().saturating_add(self.down())
    }

    /// How many connections were made, and how many of those went on where one before had ended,
    /// for half of the bytes.
    pub fn handshakes(&self) -> (u64, u64) {
        (self.handshakes.load(Ordering::Relaxed), self.resumed.load(Ordering::Relaxed))
    }

    /// Notes that a connection was made, and whether it went on where one before had ended.
    pub fn shaken(&self, resumed: bool) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        self.resumed.fetch_add(resumed.into(), Ordering::Relaxed);
    }
}

/// An HTTP proxy that makes tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// As it is called: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file with `NAME:PASSWORD`, if it wants to know who asks. It is read at each connecting.
    pub login_file: Option<PathBuf>,
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    /// `http://HOST:PORT`, and nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url: Url = text.parse().map_err(|_| InvalidProxy)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/";
        match url.host_str() {
            Some(host) if url.scheme() == "http" && plain && url.query().is_none() => Ok(Self {
                host: host.trim_matches(['[', ']']).to_owned(),
                // The one port that `Url` leaves out.
                port: url.port().unwrap_or(80),
                login_file: None,
            }),
            _ => Err(InvalidProxy),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&place(&self.host, self.port))
    }
}

/// A text that names no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written as http://HOST:PORT")]
pub struct InvalidProxy;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// Nobody knows the name: of the portfolio or, if there is one, of the proxy.
    #[error("the name {0} is not known to the name server")]
    Name(String, #[source] io::Error),
    /// Nobody is there.
    #[error("no connection")]
    Tcp(#[source] io::Error),
    /// The proxy says no, with an HTTP status, or nothing that is HTTP.
    #[error(
        "the proxy {proxy} makes no tunnel ({}){}",
        status.map_or_else(|| "it does not speak HTTP".to_owned(), |it| format!("HTTP status {it}")),
        if *status == Some(407) { ": it wants a name and a password, in the file that \
             proxy_login_file names" } else { "" }
    )]
    Proxy {
        /// Which.
        proxy: String,
        /// What it said.
        status: Option<u16>,
    },
    /// The file with the proxy's name and password cannot be read.
    #[error("the file {} with the proxy's name and password cannot be read", path.display())]
    Login {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
}

impl Way {
    /// Through `proxy`, or straight; counted in `traffic`.
    pub fn new(proxy: Option<Proxy>, traffic: Arc<Traffic>) -> Self {
        Self { proxy: proxy.map(Arc::new), traffic }
    }

    /// What went over it.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Where to connect to for `url`: the portfolio, or the proxy.
    ///
    /// # Errors
    ///
    /// [`NoWay::Name`]
    pub async fn find(&self, url: &Url) -> Result<Vec<SocketAddr>, NoWay> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => far(url),
        };
        let unknown = |cause| NoWay::Name(host.to_owned(), cause);
        let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(unknown)?.collect();
        if found.is_empty() {
            return Err(unknown(io::ErrorKind::NotFound.into()));
        }
        Ok(found)
    }

    /// Connects to one of `places`, which were [found](Self::find) for `url`: a stream to the
    /// portfolio itself.
    ///
    /// # Errors
    ///
    /// [`NoWay`]
    pub async fn connect(&self, places: &[SocketAddr], url: &Url) -> Result<Counted, NoWay> {
        let stream = TcpStream::connect(places).await.map_err(NoWay::Tcp)?;
        stream.set_nodelay(true).map_err(NoWay::Tcp)?;
        keep_alive(&stream).map_err(NoWay::Tcp)?;
        let mut stream = Counted { stream, traffic: Arc::clone(&self.traffic) };
        if let Some(proxy) = &self.proxy {
            tunnel(&mut stream, proxy, url).await?;
        }
        Ok(stream)
    }
}

/// Asks a proxy for a tunnel to the portfolio.
async fn tunnel(stream: &mut Counted, proxy: &Proxy, url: &Url) -> Result<(), NoWay> {
    let (host, port) = far(url);
    let to = place(host, port);
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(path) = &proxy.login_file {
        let login = tokio::fs::read_to_string(path).await;
        let login = login.map_err(|cause| NoWay::Login { path: path.clone(), cause })?;
        let login = STANDARD.encode(login.trim_end_matches(['\r', '\n']));
        for part in ["Proxy-Authorization: Basic ", &login, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(NoWay::Tcp)?;

    // Nothing of the portfolio follows before we have spoken, so nothing of it is read here; still
    // not a byte is taken that may be its.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MOST_OF_A_PROXY {
            return Err(NoWay::Proxy { proxy: proxy.to_string(), status: None });
        }
        answer.push(stream.read_u8().await.map_err(NoWay::Tcp)?);
    }
    match status(&answer) {
        Some(200..300) => Ok(()),
        status => Err(NoWay::Proxy { proxy: proxy.to_string(), status }),
    }
}

/// Of `HTTP/1.1 200 Connection established`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.parse().ok()
}

/// An answer to `CONNECT` has a hundred bytes, or a page that says why not.
const MOST_OF_A_PROXY: usize = 16 * 1024;

/// Keeps a connection alive in the tables of a mobile network's routers.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

const KEEP_ALIVE: Duration = Duration::from_mins(4);

fn far(url: &Url) -> (&str, u16) {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    (host, url.port_or_known_default().unwrap_or(443))
}

/// An IPv6 address stands in brackets.
fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Counted {
    stream: TcpStream,
    traffic: Arc<Traffic>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.traffic.down.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.traffic.up.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_place() {
        for (text, expected) in [
            ("http://10.0.0.9:3128", Some("10.0.0.9:3128")),
            ("http://proxy.example:8080/", Some("proxy.example:8080")),
            ("http://proxy.example", Some("proxy.example:80")),
            ("http://[fd00::1]:3128", Some("[fd00::1]:3128")),
            ("https://proxy.example:3128", None),
            ("http://kari:secret@proxy.example:3128", None),
            ("proxy.example:3128", None),
            ("", None),
        ] {
            let found = text.parse::<Proxy>().ok().map(|proxy| proxy.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_status_of_a_proxy_is_read_from_its_first_line() {
        for (answer, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407 Proxy Authentication Required\r\nX: y\r\n\r\n", Some(407)),
            ("HTTP/1.1 200\r\n\r\n", Some(200)),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("\r\n\r\n", None),
        ] {
            assert_eq!(status(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn what_a_proxy_says_is_told_in_a_sentence() {
        let told = |status| NoWay::Proxy { proxy: "10.0.0.9:3128".to_owned(), status }.to_string();
        assert_eq!(
            told(Some(407)),
            "the proxy 10.0.0.9:3128 makes no tunnel (HTTP status 407): it wants a name and a \
             password, in the file that proxy_login_file names"
        );
        assert_eq!(told(None), "the proxy 10.0.0.9:3128 makes no tunnel (it does not speak HTTP)");
    }
}
