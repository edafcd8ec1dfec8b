//! `fyrhus.toml`: the machine alone, its folders and its listeners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check::{Check, Mistake, Root, Section};
use super::keep::{self, Keep};
use super::key::{Key, Table, Takes, Without};

/// What `fyrhus.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Where everything that must survive is kept.
    pub state: PathBuf,
    /// Below which the machine mounts USB sticks.
    pub sticks: PathBuf,
    /// Where the pages are served over TLS.
    pub listen: SocketAddr,
    /// The files with the certificate that the owner brings for them, and with its key; `None` for
    /// the gateway's own.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Where they are served without one: a loopback address.
    pub http: Option<SocketAddr>,
    /// What is logged, as `tracing` filters it.
    pub log_filter: String,
    /// Who keeps the machine's clock.
    pub clock: ClockSource,
    /// How long what was read is kept.
    pub keep: Keep,
    /// A folder that is there when the disk of `state` is not; from whoever starts the daemon, and in no file.
    pub cache: Option<PathBuf>,
}

/// Who keeps the machine's clock right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// Whoever can be asked: chrony or systemd-timesyncd. Nobody to ask means no trust.
    Ask,
    /// Something that cannot be asked, such as the host of a virtual machine; the person who
    /// wrote the file answers for it.
    Host,
}

impl Machine {
    /// What holds without a file: the defaults of the packaged unit.
    ///
    /// Never fails to start over a wrong `fyrhus.toml`: the daemon serves its pages at the default
    /// address and says there what is wrong.
    pub fn fallback(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            sticks: PathBuf::from(DEFAULT_STICKS),
            listen: SocketAddr::from(([0, 0, 0, 0], 8443)),
            certificate: None,
            http: None,
            log_filter: "info".to_owned(),
            clock: ClockSource::Ask,
            keep: Keep::default(),
            cache: None,
        }
    }

    /// Reads `file`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines.
    pub fn load(file: &str) -> Result<Self, Vec<Mistake>> {
        Check::file(file, TABLES, |check, root| Some(machine(check, root)))
    }
}

fn machine(check: &mut Check<'_>, root: Root<'_>) -> Machine {
    let mut machine = Machine::fallback(Path::new(DEFAULT_STATE));
    if let Some(paths) = root.section(check, &PATHS) {
        for (key, path) in [(&STATE, &mut machine.state), (&STICKS, &mut machine.sticks)] {
            if let Some(given) = file(check, paths, key) {
                *path = given;
            }
        }
    }
    if let Some(web) = root.section(check, &WEB) {
        if let Some(listen) = address(check, web, &LISTEN) {
            machine.listen = listen;
        }
        machine.http = address(check, web, &HTTP);
        machine.certificate = match [&CERTIFICATE, &KEY].map(|key| file(check, web, key)) {
            [Some(certificate), Some(key)] => Some((certificate, key)),
            [None, None] => None,
            _ => {
                let advice = "`certificate` and `key` belong together: give both or neither";
                check.mistake(web.place(&CERTIFICATE), advice.to_owned());
                None
            }
        };
        if let Some(http) = machine.http.filter(|http| !http.ip().is_loopback()) {
            let advice = format!(
                "http = \"{http}\" would serve passwords in the clear: it must be on loopback, \
                 such as 127.0.0.1:{}; other machines come in by `listen`",
                http.port()
            );
            check.mistake(web.place(&HTTP), advice);
        }
        if machine.http == Some(machine.listen) && machine.listen.port() != 0 {
            let advice = format!("`http` and `listen` are both {}", machine.listen);
            check.mistake(web.place(&HTTP), advice);
        }
    }
    if let Some(log) = root.section(check, &LOG)
        && let Some(filter) = check.text(log, &FILTER)
    {
        match tracing_subscriber::EnvFilter::try_new(filter) {
            Ok(_) => filter.clone_into(&mut machine.log_filter),
            Err(_) => check.refuse(log, &FILTER, None),
        }
    }
    if let Some(clock) = root.section(check, &CLOCK)
        && let Some("host") = check.text(clock, &SOURCE)
    {
        machine.clock = ClockSource::Host;
    }
    machine.keep = keep::keep(check, root);
    machine
}

fn address(check: &mut Check<'_>, section: Section<'_>, key: &Key) -> Option<SocketAddr> {
    let address = check.text(section, key)?.parse().ok();
    if address.is_none() {
        check.refuse(section, key, None);
    }
    address
}

fn file(check: &mut Check<'_>, section: Section<'_>, key: &Key) -> Option<PathBuf> {
    let file = check.text(section, key)?;
    if file.starts_with('/') {
        return Some(PathBuf::from(file));
    }
    check.refuse(section, key, None);
    None
}

const DEFAULT_STATE: &str = "/var/lib/fyrhus";
const DEFAULT_STICKS: &str = "/media/fyrhus";

pub(crate) const TABLES: &[&Table] = &[&PATHS, &WEB, &LOG, &CLOCK, &keep::KEEP];

static PATHS: Table = Table {
    name: "paths",
    repeats: false,
    says: "Where the gateway keeps what it has to remember.",
    keys: &[&STATE, &STICKS],
};

static STATE: Key = Key {
    name: "state",
    takes: Takes::Written("an absolute path such as \"/var/lib/fyrhus\""),
    without: Without::Word(DEFAULT_STATE),
    says: "The state directory: databases, `site.toml`, keys and added device profiles. It holds \
           the device's private keys, so only the daemon's user may read it.",
};

static STICKS: Key = Key {
    name: "sticks",
    takes: Takes::Written("an absolute path such as \"/media/fyrhus\""),
    without: Without::Word(DEFAULT_STICKS),
    says: "Below which the machine mounts USB sticks, each in a folder of its own. Backups can be \
           copied to them and restored from them on the pages.",
};

static WEB: Table = Table {
    name: "web",
    repeats: false,
    says: "Where the pages and the API are served.",
    keys: &[&LISTEN, &CERTIFICATE, &KEY, &HTTP],
};

static LISTEN: Key = Key {
    name: "listen",
    takes: Takes::Written("an address and port such as \"0.0.0.0:8443\""),
    without: Without::Word("0.0.0.0:8443"),
    says: "HTTPS. Port 0 takes any that is free.",
};

static CERTIFICATE: Key = Key {
    name: "certificate",
    takes: Takes::Written("an absolute path such as \"/etc/fyrhus/tls.pem\""),
    without: Without::Told("the one that the gateway makes for itself"),
    says: "A certificate of your own in PEM, with those that vouch for it, which browsers trust: \
           passkeys, the camera and the pages as an app need one. The names in it are names of \
           the gateway. It is looked at every ten minutes, and taken up without a start; one that cannot be \
           used, or has ended, is told on the overview, and the pages come with the gateway's own. One \
           that an owner sends on the page *Certificate and trust* comes before it.",
};

static KEY: Key = Key {
    name: "key",
    takes: Takes::Written("an absolute path such as \"/etc/fyrhus/tls.key\""),
    without: Without::Told("none, as `certificate`"),
    says: "The key of `certificate`, in PEM; only the daemon's user may read it.",
};

static HTTP: Key = Key {
    name: "http",
    takes: Takes::Written("an address and port such as \"127.0.0.1:8080\""),
    without: Without::Told("no plain HTTP"),
    says: "Plain HTTP, on a loopback address alone: for a reverse proxy on this machine or a \
           demonstration.",
};

static LOG: Table =
    Table { name: "log", repeats: false, says: "What is logged, to stderr.", keys: &[&FILTER] };

static FILTER: Key = Key {
    name: "filter",
    takes: Takes::Written("a filter such as \"info\" or \"info,drivers=debug\""),
    without: Without::Word("info"),
    says: "`error`, `warn`, `info`, `debug` or `trace`, for everything or, after a comma, for one \
           part.",
};

static CLOCK: Table = Table {
    name: "clock",
    repeats: false,
    says: "How far the machine's clock can be believed.",
    keys: &[&SOURCE],
};

static SOURCE: Key = Key {
    name: "source",
    takes: Takes::OneWord(&["ask", "host"]),
    without: Without::Word("ask"),
    says: "`ask`: chrony and systemd-timesyncd are asked, and where neither answers the clock is \
           not trusted. On a machine without a clock of its own readings then wait, on the disk, \
           until one of them has set it. `host`: something else keeps the clock right and cannot be \
           asked, such as the host of a virtual machine; you answer for it.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, expected: &[&str]) {
        let mistakes = Machine::load(file).unwrap_err();
        assert_eq!(mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_empty_file_is_the_packaged_machine() {
        assert_eq!(Machine::load("").unwrap(), Machine::fallback(Path::new("/var/lib/fyrhus")));
    }

    #[test]
    fn every_key_is_taken() {
        let machine = Machine::load(
            "[paths]\nstate = \"/srv/f\"\nsticks = \"/mnt/sticks\"\n[web]\nlisten = \"[::]:443\"\nhttp = \"127.0.0.1:0\"\n\
             [log]\nfilter = \"warn,drivers=debug\"\n[clock]\nsource = \"host\"\n",
        );
        let expected = Machine {
            certificate: None,
            state: PathBuf::from("/srv/f"),
            sticks: PathBuf::from("/mnt/sticks"),
            listen: "[::]:443".parse().unwrap(),
            http: Some("127.0.0.1:0".parse().unwrap()),
            log_filter: "warn,drivers=debug".to_owned(),
            clock: ClockSource::Host,
            keep: Keep::default(),
            cache: None,
        };
        assert_eq!(machine.unwrap(), expected);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        check(
            r#"
[path]
state = "/var/lib/fyrhus"
[web]
listen = "8443"
http = "0.0.0.0:8080"
[log]
filter = 3
levle = "debug"
"#,
            &[
                "line 2: section `path` is not known: did you mean `paths`?",
                "line 5: listen = \"8443\" is not an address and port such as \"0.0.0.0:8443\"",
                "line 6: http = \"0.0.0.0:8080\" would serve passwords in the clear: it must be on \
                 loopback, such as 127.0.0.1:8080; other machines come in by `listen`",
                "line 8: filter = 3 is not a filter such as \"info\" or \"info,drivers=debug\"",
                "line 9: `levle` is not a key of [log]: it has filter",
            ],
        );
    }
}
