//! `portfolio.toml`: where the service keeps its files, and where it listens.
//!
//! ```toml
//! [paths]
//! state = "/var/lib/fyrhus-portfolio"  # database, authority, certificates
//!
//! [gateways]
//! listen = "0.0.0.0:9443"
//! names = ["portfolio.example"]        # what gateways call it: host names or IP addresses
//!
//! [people]
//! listen = "0.0.0.0:8443"
//! names = ["portfolio.example"]        # optional; what browsers call it, beside IP addresses
//! plain_http = false                   # optional; true only on loopback, behind a proxy
//!
//! [database]                           # optional; without it SQLite, a file in `state`
//! url = "postgresql://fyrhus@db.example/fyrhus"   # or "postgresql:///fyrhus?host=/run/postgresql"
//! password_file = "/etc/fyrhus-portfolio/database-password"    # optional
//! authority = "/etc/fyrhus-portfolio/database-authority.pem"   # of the server's certificate
//!
//! [probe]                              # optional
//! run = true                           # false: this receiver keeps no book of its own uptime
//!
//! [limits]                             # optional; requests in a minute
//! requests = 600                       # of a person, or of a token
//! requests_of_address = 3000           # of all who come from one address
//!
//! [quota]                              # optional; without a number as many as there are
//! gateways = 50
//! meters = 2000                        # what counts something
//! sensors = 5000                       # what counts nothing
//!
//! [log]
//! filter = "info"                      # optional; as in RUST_LOG
//! ```
//!
//! All that is wrong with the file is told at once, each mistake with its line and what to write
//! instead. What has loaded is right and is not checked again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio_postgres::config::Host;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Quota;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of everything that is kept.
    pub state: PathBuf,
    /// The listener for gateways.
    pub gateways: GatewaysListener,
    /// The listener for people.
    pub people: PeopleListener,
    /// The PostgreSQL that holds the data; `None`: SQLite, in `state`.
    pub database: Option<PostgresConfig>,
    /// How much may be asked in a minute.
    pub limits: LimitsConfig,
    /// How many things there may be.
    pub quota: Quota,
    /// Whether this receiver asks itself for reports, and keeps the vendor's book.
    pub probe: bool,
    /// What is logged, as in `RUST_LOG`.
    pub log_filter: String,
}

/// Requests in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Of a person with all their browsers, or of a token. A page that is looked at asks a few in half a minute;
    /// a program that reads a thousand meters one by one is done in two.
    pub requests: u32,
    /// Of all who come from one address: an office, or whoever tries doors.
    pub requests_of_address: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { requests: 600, requests_of_address: 3_000 }
    }
}

/// Where gateways come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaysListener {
    /// Address and port.
    pub listen: SocketAddr,
    /// Host names and IP addresses, at least one; the first stands in the address that a person is
    /// told.
    pub names: Vec<String>,
}

/// Where people come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleListener {
    /// Address and port.
    pub listen: SocketAddr,
    /// Names of ours beside IP addresses and `localhost`.
    pub names: Vec<String>,
    /// HTTP instead of HTTPS; only on loopback.
    pub plain_http: bool,
}

/// Where the data is, when it is in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Server, database and user, without a password.
    pub server: tokio_postgres::Config,
    /// The file that holds the password, if one is needed.
    pub password_file: Option<PathBuf>,
    /// Certificates, PEM, by whom the server's has to be signed. `None` only for a server of this
    /// machine: nothing is sent over a network without TLS.
    pub authority: Option<PathBuf>,
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, counted from 1.
    pub line: usize,
    /// What was found, what is allowed, and what to do.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.advice)
    }
}

impl Config {
    /// Reads `file`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of its lines.
    pub fn load(file: &str) -> Result<Self, Vec<Mistake>> {
        let (root, errors) = DeTable::parse_recoverable(file);
        let mut check = Check { file, mistakes: Vec::new() };
        for error in errors {
            let at = error.span().unwrap_or_default().start;
            check.mistake(at, error.message().to_owned());
        }

        let root = Section { name: "", keys: root.get_ref(), at: 0 };
        check.keys(root, ROOT);
        let paths = check.section(root, "paths", &["state"]);
        let gateways = check.section(root, "gateways", &["listen", "names"]);
        let people = check.section(root, "people", &["listen", "names", "plain_http"]);

        let state = paths.and_then(|section| check.text(section, "state"));
        let gateways = gateways.and_then(|section| check.gateways(section));
        let people = people.and_then(|section| check.people(section));
        let database = if root.keys.contains_key("database") {
            let known = &["url", "password_file", "authority"];
            let section = check.section(root, "database", known);
            section.and_then(|section| check.database(section))
        } else {
            None
        };
        let probe = if root.keys.contains_key("probe") {
            let section = check.section(root, "probe", &["run"]);
            section.is_none_or(|section| check.flag(section, "run", true))
        } else {
            true
        };
        let (limits, quota) = (check.limits(root), check.quota(root));
        let log_filter = if root.keys.contains_key("log") {
            let log = check.section(root, "log", &["filter"]);
            log.and_then(|section| check.text(section, "filter"))
        } else {
            Some("info".to_owned())
        };

        check.mistakes.sort_by_key(|mistake| mistake.line);
        match (state, gateways, people, log_filter) {
            (Some(state), Some(gateways), Some(people), Some(log_filter))
                if check.mistakes.is_empty() =>
            {
                Ok(Self {
                    state: state.into(),
                    gateways,
                    people,
                    database,
                    limits,
                    quota,
                    probe,
                    log_filter,
                })
            }
            _ => Err(check.mistakes),
        }
    }
}

const ROOT: &[&str] =
    &["paths", "gateways", "people", "database", "limits", "quota", "probe", "log"];

/// A part of the file, and the byte it starts at.
#[derive(Clone, Copy)]
struct Section<'v> {
    name: &'static str,
    keys: &'v DeTable<'v>,
    at: usize,
}

/// Reads on past what is wrong, and keeps account of it.
struct Check<'a> {
    file: &'a str,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn gateways(&mut self, section: Section<'_>) -> Option<GatewaysListener> {
        let listen = self.listen(section);
        let names = self.names(section)?;
        let none = section.keys.get("names").and_then(|names| names.get_ref().as_array());
        if none.is_none_or(|names| names.is_empty()) {
            let advice = "names is missing: names = [\"portfolio.example\"], what gateways call \
                          this service";
            self.mistake(section.at, advice.to_owned());
        }
        Some(GatewaysListener { listen: listen?, names })
    }

    fn people(&mut self, section: Section<'_>) -> Option<PeopleListener> {
        let listen = self.listen(section);
        let names = self.names(section);
        let value = section.keys.get("plain_http");
        let plain_http = self.flag(section, "plain_http", false);
        let listen = listen?;
        if plain_http && !listen.ip().is_loopback() {
            let advice = format!(
                "plain_http = true is only for loopback, and {listen} is open to the network: \
                 listen on 127.0.0.1, or leave plain_http out"
            );
            self.found(value, section, &advice);
        }
        Some(PeopleListener { listen, names: names?, plain_http })
    }

    /// `usual` if the key is not there, or wrong, which is a mistake then.
    fn flag(&mut self, section: Section<'_>, key: &str, usual: bool) -> bool {
        let value = section.keys.get(key);
        match value.map(Spanned::get_ref) {
            None => usual,
            Some(DeValue::Boolean(flag)) => *flag,
            Some(_) => {
                self.found(value, section, &format!("{key} is true or false"));
                usual
            }
        }
    }

    fn limits(&mut self, root: Section<'_>) -> LimitsConfig {
        let usual = LimitsConfig::default();
        if !root.keys.contains_key("limits") {
            return usual;
        }
        let Some(section) = self.section(root, "limits", &["requests", "requests_of_address"])
        else {
            return usual;
        };
        LimitsConfig {
            requests: self.number(section, "requests").unwrap_or(usual.requests),
            requests_of_address: self
                .number(section, "requests_of_address")
                .unwrap_or(usual.requests_of_address),
        }
    }

    fn quota(&mut self, root: Section<'_>) -> Quota {
        if !root.keys.contains_key("quota") {
            return Quota::default();
        }
        let Some(section) = self.section(root, "quota", &["gateways", "meters", "sensors"]) else {
            return Quota::default();
        };
        Quota {
            gateways: self.number(section, "gateways"),
            meters: self.number(section, "meters"),
            sensors: self.number(section, "sensors"),
        }
    }

    /// `None` if the key is not there, or wrong, which is a mistake then.
    fn number(&mut self, section: Section<'_>, key: &str) -> Option<u32> {
        let value = section.keys.get(key)?;
        let number = value.get_ref().as_integer().and_then(|it| it.as_str().parse().ok());
        if number.is_none_or(|number: u32| !(1..=1_000_000_000).contains(&number)) {
            let advice = format!("{key} is a whole number from 1 to 1000000000");
            self.found(Some(value), section, &advice);
            return None;
        }
        number
    }

    fn database(&mut self, section: Section<'_>) -> Option<PostgresConfig> {
        let at = section.keys.get("url");
        let url = self.text(section, "url")?;
        let server: tokio_postgres::Config = match url.parse() {
            Ok(server) => server,
            Err(error) => {
                let advice = format!(
                    "url is not understood ({error}); it looks like \
                     \"postgresql://fyrhus@db.example/fyrhus\""
                );
                self.found(at, section, &advice);
                return None;
            }
        };
        if server.get_password().is_some() {
            let advice = "a password does not belong into url, where it is shown and copied: put \
                          it into a file of its own and name that with password_file";
            self.found(at, section, advice);
        }
        let password_file = self.path(section, "password_file");
        let authority = self.path(section, "authority");
        let away = server.get_hosts().iter().any(|host| match host {
            Host::Tcp(name) => !is_loopback(name),
            Host::Unix(_) => false,
        });
        if away && authority.is_none() {
            let advice = "the database is on another machine, and what goes there has to be \
                          encrypted: name the authority of its certificate, \
                          authority = \"/etc/fyrhus-portfolio/database-authority.pem\"";
            self.found(at, section, advice);
        }
        Some(PostgresConfig { server, password_file, authority })
    }

    /// `None` if the key is not there, or wrong, which is a mistake then.
    fn path(&mut self, section: Section<'_>, key: &str) -> Option<PathBuf> {
        section.keys.contains_key(key).then(|| self.text(section, key)).flatten().map(Into::into)
    }

    fn listen(&mut self, section: Section<'_>) -> Option<SocketAddr> {
        let text = self.text(section, "listen")?;
        let listen = text.parse().ok();
        if listen.is_none() {
            let advice = format!(
                "listen = \"{text}\" is not an IP address and a port, such as \"0.0.0.0:9443\""
            );
            self.found(section.keys.get("listen"), section, &advice);
        }
        listen
    }

    /// None at all if the key is missing.
    fn names(&mut self, section: Section<'_>) -> Option<Vec<String>> {
        let value = section.keys.get("names");
        let Some(list) = value else { return Some(Vec::new()) };
        let Some(list) = list.get_ref().as_array() else {
            self.found(value, section, "names is a list: names = [\"portfolio.example\"]");
            return None;
        };
        let mut names = Vec::new();
        for name in list {
            let found = name.get_ref().as_str().unwrap_or_default();
            if is_host(found) {
                names.push(found.to_lowercase());
            } else {
                let advice = format!(
                    "`{found}` in names is neither a host name nor an IP address, such as \
                     \"portfolio.example\" or \"10.0.0.7\", without a port"
                );
                self.found(Some(name), section, &advice);
            }
        }
        Some(names)
    }

    fn section<'v>(
        &mut self,
        root: Section<'v>,
        name: &'static str,
        known: &[&str],
    ) -> Option<Section<'v>> {
        let value = root.keys.get(name);
        let Some(keys) = value.and_then(|value| value.get_ref().as_table()) else {
            let advice = format!("the section [{name}] is missing");
            self.found(value, root, &advice);
            return None;
        };
        let at = value.map_or(0, |value| value.span().start);
        let section = Section { name, keys, at };
        self.keys(section, known);
        Some(section)
    }

    fn keys(&mut self, section: Section<'_>, known: &[&str]) {
        for key in section.keys.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let place = match section.name {
                    "" => String::new(),
                    name => format!(" of [{name}]"),
                };
                let advice =
                    format!("`{}` is not one of {}{place}", key.get_ref(), known.join(", "));
                self.mistake(key.span().start, advice);
            }
        }
    }

    fn text(&mut self, section: Section<'_>, key: &str) -> Option<String> {
        let value = section.keys.get(key);
        let text = value.and_then(|value| value.get_ref().as_str()).filter(|text| !text.is_empty());
        if text.is_none() {
            self.found(value, section, &format!("{key} is a text: {key} = \"…\""));
        }
        text.map(ToOwned::to_owned)
    }

    /// A mistake at a value, or where it should be.
    fn found(&mut self, value: Option<&Spanned<DeValue<'_>>>, section: Section<'_>, advice: &str) {
        let at = value.map_or(section.at, |value| value.span().start);
        self.mistake(at, advice.to_owned());
    }

    fn mistake(&mut self, at: usize, advice: String) {
        let line = 1 + self.file.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.mistakes.push(Mistake { line, advice });
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An IP address, or labels of letters, digits and hyphens, joined by points.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[paths]
state = "/var/lib/fyrhus-portfolio"

[gateways]
listen = "0.0.0.0:9443"
names = ["Portfolio.example", "10.0.0.7", "::1"]

[people]
listen = "127.0.0.1:8080"
plain_http = true
"#;

    #[test]
    fn a_good_file_is_taken_as_it_stands() {
        let config = Config::load(GOOD).unwrap();
        assert_eq!(config.state, PathBuf::from("/var/lib/fyrhus-portfolio"));
        assert_eq!(config.gateways.names, ["portfolio.example", "10.0.0.7", "::1"]);
        assert_eq!(config.gateways.listen.port(), 9443);
        assert!(config.people.plain_http);
        assert_eq!(config.log_filter, "info");
    }

    #[track_caller]
    fn check(file: &str, expected: &[&str]) {
        let mistakes = Config::load(file).unwrap_err();
        assert_eq!(mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn all_mistakes_are_told_at_once_each_with_its_line() {
        check(
            r#"
[path]
state = "/var/lib/fyrhus-portfolio"

[gateways]
listen = "9443"
names = ["https://portfolio.example", "portfolio.example:9443"]

[people]
listen = "0.0.0.0:8080"
plain_http = true
port = 8080

[log]
filter = 3
"#,
            &[
                "line 1: the section [paths] is missing",
                "line 2: `path` is not one of paths, gateways, people, database, limits, quota, probe, log",
                "line 6: listen = \"9443\" is not an IP address and a port, such as \"0.0.0.0:9443\"",
                "line 7: `https://portfolio.example` in names is neither a host name nor an IP \
                 address, such as \"portfolio.example\" or \"10.0.0.7\", without a port",
                "line 7: `portfolio.example:9443` in names is neither a host name nor an IP \
                 address, such as \"portfolio.example\" or \"10.0.0.7\", without a port",
                "line 11: plain_http = true is only for loopback, and 0.0.0.0:8080 is open to the \
                 network: listen on 127.0.0.1, or leave plain_http out",
                "line 12: `port` is not one of listen, names, plain_http of [people]",
                "line 15: filter is a text: filter = \"…\"",
            ],
        );
    }

    #[test]
    fn a_database_is_reached_without_a_password_in_sight_and_never_in_the_clear() {
        let with = |database: &str| format!("{GOOD}\n[database]\n{database}\n");
        let config = Config::load(&with("url = \"postgresql:///fyrhus?host=/run/postgresql\""));
        let database = config.unwrap().database.unwrap();
        assert_eq!(database.server.get_dbname(), Some("fyrhus"));
        assert_eq!((database.password_file, database.authority), (None, None));
        let away = "url = \"postgresql://fyrhus@db.example/fyrhus\"";
        let safe = with(&format!("{away}\nauthority = \"/etc/ca.pem\"\npassword_file = \"/p\""));
        assert!(Config::load(&safe).unwrap().database.unwrap().authority.is_some());

        check(
            &with(away),
            &["line 14: the database is on another machine, and what goes there has to be \
               encrypted: name the authority of its certificate, \
               authority = \"/etc/fyrhus-portfolio/database-authority.pem\""],
        );
        check(
            &with("url = \"postgresql://fyrhus:secret@localhost/fyrhus\""),
            &[
                "line 14: a password does not belong into url, where it is shown and copied: put it \
               into a file of its own and name that with password_file",
            ],
        );
        check(
            &with("url = \"mysql://localhost\"\nname = 1"),
            &[
                "line 14: url is not understood (invalid connection string); it \
                 looks like \"postgresql://fyrhus@db.example/fyrhus\"",
                "line 15: `name` is not one of url, password_file, authority of [database]",
            ],
        );
    }

    #[test]
    fn limits_and_quotas_are_numbers_and_may_be_left_out() {
        let config = Config::load(GOOD).unwrap();
        assert_eq!((config.limits, config.quota), (LimitsConfig::default(), Quota::default()));
        let with = |rest: &str| format!("{GOOD}\n[limits]\nrequests = 50\n[quota]\n{rest}\n");
        let config = Config::load(&with("meters = 200\nsensors = 1")).unwrap();
        let limits = LimitsConfig { requests: 50, ..LimitsConfig::default() };
        let quota = Quota { gateways: None, meters: Some(200), sensors: Some(1) };
        assert_eq!((config.limits, config.quota), (limits, quota));
        check(
            &with("meters = 0\nsensors = \"all\"\nhubs = 3"),
            &[
                "line 16: meters is a whole number from 1 to 1000000000",
                "line 17: sensors is a whole number from 1 to 1000000000",
                "line 18: `hubs` is not one of gateways, meters, sensors of [quota]",
            ],
        );
    }

    #[test]
    fn an_empty_file_hears_what_belongs_in_it() {
        check(
            "",
            &[
                "line 1: the section [paths] is missing",
                "line 1: the section [gateways] is missing",
                "line 1: the section [people] is missing",
            ],
        );
    }
}
