//! The back door for whoever may read the gateway's keys: a socket beside them, for the commands
//! that need the running daemon.
//!
//! One request and one reply a connection, a line of JSON each, one connection after the other.
//! The folder of the socket is open to the daemon's user and root alone.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time;

/// What a command asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// A fresh one-time code for the first user.
    ClaimCode,
    /// What somebody who helps from afar has to know.
    Diagnose,
    /// Join a portfolio service.
    Enrol {
        /// `https://portfolio.example:9443`
        url: String,
        /// The one-time code.
        code: String,
    },
    /// Keep a document that stands behind an entry of the ledger.
    KeepProof {
        /// Its bytes, in hex.
        bytes: String,
    },
    /// Write into the ledger.
    Record {
        /// The canonical bytes of a fact, in hex.
        fact: String,
    },
    /// Have another key sign the ledger from here on.
    ChangeKey,
    /// Put a figure in the place of a reading.
    Correct {
        /// The meter's id.
        meter: metering::MeterId,
        /// Which of its numbers.
        register: metering::Register,
        /// When the reading was, in milliseconds since 1970.
        at_ms: i64,
        /// With its unit or without.
        display: String,
        /// Why.
        why: String,
    },
    /// Correct all readings of a span, or say how many those are.
    CorrectSpan {
        /// The meter's id.
        meter: metering::MeterId,
        /// Which of its numbers.
        register: metering::Register,
        /// The first instant, in milliseconds since 1970.
        from_ms: i64,
        /// The one that is not in it any more.
        until_ms: i64,
        /// Each shows this, with its unit or without.
        to: Option<String>,
        /// Each is more by this. Without both it is what was read.
        by: Option<String>,
        /// Only say how many.
        preview: bool,
        /// Why.
        why: String,
    },
    /// Set a counter of pulses to what its meter's display shows.
    SetCounter {
        /// The meter's name or id.
        meter: String,
        /// With its unit or without.
        display: String,
    },
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The code; `None` if the gateway has been claimed.
    ClaimCode(Option<String>),
    /// What the reading was, and is now.
    Corrected {
        /// A figure, or why there was none.
        old: String,
        /// With its unit.
        new: String,
    },
    /// How many readings have another figure, or would.
    SpanCorrected(usize),
    /// What the counter shows now.
    Counter(String),
    /// What somebody who helps from afar has to know, as JSON.
    Diagnosis(String),
    /// It is done.
    Done,
    /// It is in the ledger, as the entry of this number.
    Recorded(u64),
    /// Why it is not, as one sentence.
    Refused(String),
}

/// Whoever answers requests.
pub(crate) trait Answer: Send {
    /// What `request` gets.
    fn answer(&mut self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Has `answers` answer requests, for ever.
///
/// # Errors
///
/// If the socket cannot be made.
pub(crate) async fn serve(state: &Path, answers: &mut impl Answer) -> io::Result<()> {
    let socket = socket(state);
    // What is left of a daemon that was killed. The store's lock tells a second one apart.
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let served = async {
            let request = line(&mut stream).await?;
            let reply = match serde_json::from_str(&request) {
                Ok(request) => answers.answer(request).await,
                Err(error) => Reply::Refused(format!("the request is not understood: {error}")),
            };
            tell(&mut stream, &reply).await
        };
        match time::timeout(WITHIN, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "a command went away");
            }
            Err(_elapsed) => tracing::debug!("a command was not served in time"),
        }
    }
}

/// Asks the daemon of the state directory `state`; `None` if none is running.
///
/// # Errors
///
/// If it is running and does not answer.
pub(crate) async fn ask(state: &Path, request: &Request) -> io::Result<Option<Reply>> {
    let mut stream = match UnixStream::connect(socket(state)).await {
        Ok(stream) => stream,
        Err(error) => {
            let absent = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
            return if absent.contains(&error.kind()) { Ok(None) } else { Err(error) };
        }
    };
    tell(&mut stream, request).await?;
    let reply = time::timeout(WITHIN, line(&mut stream)).await??;
    Ok(Some(serde_json::from_str(&reply)?))
}

/// Whether the daemon of the state directory `state` runs, as far as this user may know.
pub(crate) fn is_running(state: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket(state)).is_ok()
}

async fn tell(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line).await?;
    Ok(line)
}

/// Where the daemon listens.
fn socket(state: &Path) -> PathBuf {
    state.join("keys").join("control.sock")
}

/// A code and an address have a few hundred bytes, what goes into the ledger a few thousand; a document
/// that stands behind an entry has two digits for each of its bytes.
const LONGEST: u64 = 2 * store::MOST_PROOF as u64 + 65_536;

/// An enrolment asks a server in another country for a signature.
const WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Answer for Fake {
        async fn answer(&mut self, request: Request) -> Reply {
            match request {
                Request::ClaimCode => Reply::ClaimCode(Some("ABCD-EFGH".to_owned())),
                Request::Diagnose => Reply::Diagnosis(String::new()),
                Request::Enrol { url, .. } => Reply::Refused(url),
                Request::ChangeKey => Reply::Recorded(7),
                Request::KeepProof { bytes } => Reply::Refused(bytes),
                Request::Record { fact } => Reply::Refused(fact),
                Request::Correct { display, .. } => {
                    Reply::Corrected { old: String::new(), new: display }
                }
                Request::CorrectSpan { .. } => Reply::SpanCorrected(0),
                Request::SetCounter { display, .. } => Reply::Counter(display),
            }
        }
    }

    #[tokio::test]
    async fn a_command_asks_and_the_daemon_answers() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("keys")).unwrap();
        assert_eq!(ask(state.path(), &Request::ClaimCode).await.unwrap(), None, "none is running");

        let folder = state.path().to_owned();
        let daemon = tokio::spawn(async move { serve(&folder, &mut Fake).await });
        let asked = async |request: Request| loop {
            match ask(state.path(), &request).await.unwrap() {
                Some(reply) => return reply,
                None => tokio::task::yield_now().await,
            }
        };
        let code = asked(Request::ClaimCode).await;
        assert_eq!(code, Reply::ClaimCode(Some("ABCD-EFGH".to_owned())));
        let enrol = Request::Enrol { url: "https://a".to_owned(), code: "b".to_owned() };
        assert_eq!(asked(enrol).await, Reply::Refused("https://a".to_owned()));

        let mut stream = UnixStream::connect(socket(state.path())).await.unwrap();
        stream.write_all(b"rubbish\n").await.unwrap();
        assert!(line(&mut stream).await.unwrap().contains("not understood"));
        daemon.abort();
    }
}
