//! A receiver in a process of its own, so that it can be killed.
//!
//! The process is this test program again, told to run the one test that is no test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use portfolio::config::{Config, GatewaysListener, LimitsConfig, PeopleListener, PostgresConfig};
use portfolio::{Quota, Service, SystemClock};

const STATE: &str = "FYRHUS_TEST_RECEIVER_STATE";
const DATABASE: &str = "FYRHUS_TEST_RECEIVER_DATABASE";

/// A `fyrhus-portfolio` that nobody asks before it ends.
#[derive(Debug)]
pub(crate) struct Receiver {
    process: Child,
    pub(crate) port: u16,
    /// Held, so that it can go on talking.
    _told: BufReader<ChildStdout>,
}

impl Receiver {
    /// Starts it, on SQLite in `state` or on the PostgreSQL at `database`.
    pub(crate) fn start(state: &Path, database: Option<&str>) -> Self {
        // A file that may not grow any more is an error to it then, and not the end.
        let mut command = Command::new("sh");
        command.arg("-c").arg("trap '' XFSZ; exec \"$0\" \"$@\"");
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", "support::receiver::is_a_process", "--ignored", "--nocapture"]);
        command.env(STATE, state).env(DATABASE, database.unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap());
        let mut lines = told.by_ref().lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("port ")?.parse().ok());
        Self { process, port: port.unwrap(), _told: told }
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// No file of it may grow beyond so many bytes, or all may again: as on a disk that is full.
    pub(crate) fn may_write(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let mut prlimit = Command::new("prlimit");
        prlimit.arg("--pid").arg(self.process.id().to_string());
        assert!(prlimit.arg(format!("--fsize={limit}:")).status().unwrap().success());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// Ends when the test that has started it does.
#[test]
#[ignore = "is started by the tests that kill it"]
fn is_a_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let database = std::env::var(DATABASE).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = Config {
        state: PathBuf::from(state),
        gateways: GatewaysListener { listen: any, names: vec!["localhost".to_owned()] },
        people: PeopleListener { listen: any, names: Vec::new(), plain_http: true },
        database: (!database.is_empty()).then(|| PostgresConfig {
            server: database.parse().unwrap(),
            password_file: None,
            authority: None,
        }),
        limits: LimitsConfig::default(),
        quota: Quota::default(),
        probe: false,
        log_filter: String::new(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(Service::start(&config, Arc::new(SystemClock::new()))).unwrap();
    let port = service.gateways_url.rsplit_once(':').unwrap().1;
    let mut out = std::io::stdout();
    writeln!(out, "\nport {port}").unwrap();
    out.flush().unwrap();
    let _end = std::io::stdin().lines().next();
}
