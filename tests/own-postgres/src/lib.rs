//! A PostgreSQL that belongs to one test: a folder, a socket and a server of its own, for as long as
//! the test holds it.
//!
//! ```text
//!  test ──holds──▶ OwnPostgres ──pipe──▶ sh: waits for its end, stops the server, removes the folder
//!                       └──────────────▶ pg_ctl ──▶ postgres, on <folder>/.s.PGSQL.5432
//! ```
//!
//! PostgreSQL does not run as root: where the tests do, the server runs as `postgres`, whom Debian's
//! package makes. It opens no port unless a test asks for one.
//!
//! **Never true:** that a server outlives its test. The shell at the other end of the pipe is there
//! when the test ends, however it ends.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{Uid, User};

/// The oldest version that the product takes.
const OLDEST: u32 = 15;

/// The superuser of the server.
const NAME: &str = "fyrhus";

/// As PostgreSQL has it; on a socket in a folder of one's own it is nobody else's.
const PORT: u16 = 5_432;

/// What every server of a test has. Whoever kills a process and not the machine loses nothing that
/// was handed to the kernel, so the disk need not be waited for; a commit still writes before it is
/// answered.
const SETTINGS: &str = "
listen_addresses = ''
fsync = off
synchronous_commit = on
max_connections = 200
shared_buffers = 32MB
log_min_messages = warning
";

/// A port of loopback for a program that does not take 0. It lies below those that Linux gives out
/// by itself, so no connection and no other test has it by chance before the program does.
///
/// # Errors
///
/// If none of a hundred could be had.
pub fn spare_port() -> io::Result<u16> {
    let mut refused = io::ErrorKind::AddrInUse.into();
    for _ in 0..100 {
        let chance = RandomState::new().build_hasher().finish();
        let port = 10_000 + u16::try_from(chance % 18_000).map_err(io::Error::other)?;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// A server, and the folder of everything that is its own.
#[derive(Debug)]
pub struct OwnPostgres {
    folder: PathBuf,
    programs: PathBuf,
    runs_as: Option<User>,
    port: u16,
    reaper: Child,
}

impl OwnPostgres {
    /// Makes a server and starts it, with `settings` in the words of `postgresql.conf` after ours.
    ///
    /// # Errors
    ///
    /// If there is no PostgreSQL, or it does not start; the text says what it said.
    pub fn start(settings: &str) -> io::Result<Self> {
        Self::make(settings, &[], PORT)
    }

    /// The same, on a port of loopback as well, with `files`, names and contents, beside its data.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn on_loopback(settings: &str, files: &[(&str, &str)]) -> io::Result<Self> {
        let port = spare_port()?;
        let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\n{settings}");
        Self::make(&settings, files, port)
    }

    fn make(settings: &str, files: &[(&str, &str)], port: u16) -> io::Result<Self> {
        let programs = programs()?;
        let runs_as = if Uid::effective().is_root() { User::from_name("postgres")? } else { None };
        let folder = tempfile::Builder::new().prefix("pg-").tempdir()?.keep();
        if let Some(user) = &runs_as {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut reaper = Command::new("sh");
        reaper.arg("-c").arg(
            "cat >/dev/null; \"$0\"/pg_ctl -D \"$1\"/data -m immediate stop >/dev/null 2>&1; \
             rm -rf \"$1\"",
        );
        reaper.arg(&programs).arg(&folder).process_group(0).stdin(Stdio::piped());
        let reaper = as_user(&mut reaper, runs_as.as_ref()).current_dir("/").spawn()?;
        let own = Self { folder, programs, runs_as, port, reaper };

        own.run("initdb", &["-A", "trust", "-U", NAME, "-E", "UTF8", "--locale=C", "--no-sync"])?;
        let mut conf = OpenOptions::new().append(true).open(own.data().join("postgresql.conf"))?;
        write!(conf, "{SETTINGS}unix_socket_directories = '{}'\n{settings}", own.folder.display())?;
        for (name, content) in files {
            let path = own.data().join(name);
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?
                .write_all(content.as_bytes())?;
            if let Some(user) = &own.runs_as {
                chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            }
        }
        own.start_again()?;
        Ok(own)
    }

    /// Its port, if it was started on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder, which holds the socket. It belongs to the server's user.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a database and says where it is: an URL for a client.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn database(&self, name: &str) -> io::Result<String> {
        self.ask("postgres", &format!("CREATE DATABASE {name}"))?;
        let mut host = String::new();
        for byte in self.folder.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' => host.push_str("%2F"),
                byte => host.push(char::from(*byte)),
            }
        }
        Ok(format!("postgres://{NAME}@{host}/{name}"))
    }

    /// Asks with `psql`, which shares nothing with the product: rows by lines, columns by `|`.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn ask(&self, database: &str, question: &str) -> io::Result<String> {
        let mut psql = self.client("psql", database);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", question]);
        output(&mut psql)
    }

    /// Everything in a database, as SQL: a backup.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn dump(&self, database: &str) -> io::Result<String> {
        output(&mut self.client("pg_dump", database))
    }

    /// Puts a backup in the place of the database; whoever is connected is thrown out.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn restore(&self, database: &str, backup: &str) -> io::Result<()> {
        self.ask("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"))?;
        self.ask("postgres", &format!("CREATE DATABASE {database}"))?;
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(backup.as_bytes())?;
        let mut psql = self.client("psql", database);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file.path());
        output(&mut psql).map(drop)
    }

    /// Stops it as a crash does: no answer is finished, nothing is tidied up.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn crash(&self) -> io::Result<()> {
        self.run("pg_ctl", &["-m", "immediate", "-w", "stop"]).map(drop)
    }

    /// Starts it after [`crash`](Self::crash); it has recovered when this returns.
    ///
    /// # Errors
    ///
    /// What it says in its log.
    pub fn start_again(&self) -> io::Result<()> {
        let log = self.folder.join("log");
        let started = self.run("pg_ctl", &["-w", "-l", &log.to_string_lossy(), "start"]);
        started.map(drop).map_err(|error| {
            let mut text = error.to_string();
            let _infallible = write!(text, "\n{}", fs::read_to_string(&log).unwrap_or_default());
            io::Error::other(text)
        })
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut client = Command::new(self.programs.join(program));
        client.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]);
        client.args(["-U", NAME, "-d", database]);
        client
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<String> {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(arguments).current_dir(&self.folder);
        if program == "pg_ctl" {
            // The server keeps what it inherits: an output that somebody reads would never end.
            let status = as_user(&mut command, self.runs_as.as_ref())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            let failed = || io::Error::other(format!("{program} {arguments:?}: {status}"));
            return if status.success() { Ok(String::new()) } else { Err(failed()) };
        }
        output(as_user(&mut command, self.runs_as.as_ref()))
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        let _ended = self.reaper.wait();
    }
}

fn as_user<'c>(command: &'c mut Command, user: Option<&User>) -> &'c mut Command {
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn output(command: &mut Command) -> io::Result<String> {
    let done = command.stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()))
}

/// Where the newest version's programs are, in Debian's place for them.
fn programs() -> io::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            (version >= OLDEST && programs.join("initdb").exists()).then_some((version, programs))
        })
        .max_by_key(|(version, _)| *version);
    newest.map(|(_, programs)| programs).ok_or_else(|| {
        io::Error::other(format!(
            "there is no PostgreSQL {OLDEST} or newer on this machine; image/prepare.sh installs it"
        ))
    })
}
