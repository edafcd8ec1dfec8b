//! Who may connect, and to which topics they may publish and subscribe.
//!
//! ```toml
//! [[user]]
//! name      = "zigbee"
//! secret    = "sha256:9f86…"            # of a token that the gateway made, or "$argon2id$…"
//! publish   = ["zigbee2mqtt/#"]
//! subscribe = ["zigbee2mqtt/+/set"]     # nothing where it is left out
//! ```
//!
//! A token is random, so SHA-256 is enough for it and a sensor that connects every minute costs
//! nothing. A password that a person chose is kept as argon2id.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use access::SecretHash;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::topic::{Filter, matches};

/// Everybody who may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<Box<str>, Arc<User>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Box<str>,
    secret: Option<Secret>,
    publish: Vec<Filter>,
    subscribe: Vec<Filter>,
}

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The SHA-256 of a token.
    Token(SecretHash),
    /// The argon2id of a password, as a PHC string.
    Password(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Password(_) => "Password(…)",
        })
    }
}

/// A user to be, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Where they may publish.
    pub publish: Vec<Filter>,
    /// What they may see.
    pub subscribe: Vec<Filter>,
}

impl User {
    /// The gateway itself, which may everything and comes in by a door of its own.
    pub(crate) fn gateway() -> Self {
        let all: Vec<Filter> = "#".parse().into_iter().collect();
        Self { name: "".into(), secret: None, publish: all.clone(), subscribe: all }
    }

    /// What they call themselves.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where they may publish.
    pub fn publishes(&self) -> &[Filter] {
        &self.publish
    }

    /// What they may see.
    pub fn subscribes(&self) -> &[Filter] {
        &self.subscribe
    }

    pub(crate) const fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Whether it is the gateway itself.
    pub(crate) const fn is_gateway(&self) -> bool {
        self.secret.is_none()
    }

    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        self.publish.iter().any(|rule| matches(rule.as_str(), topic))
    }

    pub(crate) fn may_see(&self, filter: &Filter) -> bool {
        self.subscribe.iter().any(|rule| rule.covers(filter))
    }
}

impl Users {
    /// The users of a file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(file: &str) -> Result<Self, InvalidUsers> {
        let file: File = toml::from_str(file).map_err(|error| {
            let before = error.span().and_then(|span| file.get(..span.start)).unwrap_or_default();
            InvalidUsers { line: before.matches('\n').count() + 1, advice: error.message().into() }
        })?;
        let mut users = Self::default();
        for written in file.user {
            let (line, name) = (0, written.name.clone());
            let wrong = |advice: String| InvalidUsers { line, advice: format!("{name}: {advice}") };
            let filters = |texts: &[String]| {
                texts.iter().map(|it| it.parse()).collect::<Result<Vec<Filter>, _>>()
            };
            let user = User {
                secret: Some(secret(&written.secret).map_err(|it| wrong(it.into()))?),
                publish: filters(&written.publish).map_err(|it| wrong(it.to_string()))?,
                subscribe: filters(&written.subscribe).map_err(|it| wrong(it.to_string()))?,
                name: written.name.into(),
            };
            if !is_name(&user.name) {
                return Err(wrong(NAME.into()));
            }
            if users.0.insert(user.name.clone(), Arc::new(user)).is_some() {
                return Err(wrong("there are two users of this name".into()));
            }
        }
        Ok(users)
    }

    /// The user `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.0.values().map(AsRef::as_ref)
    }

    /// Adds a user, or gives one a new secret and new rules. Returns a token if no `password` is
    /// given: it is shown nowhere else.
    ///
    /// # Errors
    ///
    /// If the name is none, or the password cannot be hashed.
    pub fn set(
        &mut self,
        new: NewUser,
        password: Option<&access::Password>,
    ) -> Result<Option<String>, InvalidUsers> {
        let wrong = |advice: &str| InvalidUsers { line: 0, advice: advice.to_owned() };
        if !is_name(&new.name) {
            return Err(wrong(NAME));
        }
        let (secret, token) = if let Some(password) = password {
            let hash = password.hash().map_err(|error| wrong(&error.to_string()))?;
            (Secret::Password(hash), None)
        } else {
            let token = token();
            (Secret::Token(SecretHash::of(token.as_bytes())), Some(token))
        };
        let (name, NewUser { publish, subscribe, .. }) = (Box::from(&*new.name), new);
        let user = User { name, secret: Some(secret), publish, subscribe };
        self.0.insert(user.name.clone(), Arc::new(user));
        Ok(token)
    }

    /// Takes a user away; false if there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

impl fmt::Display for Users {
    /// As a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |filters: &[Filter]| filters.iter().map(ToString::to_string).collect();
        let user = self.0.values().map(|user| Written {
            name: user.name.to_string(),
            secret: match &user.secret {
                Some(Secret::Token(hash)) => format!("{TOKEN}{hash}"),
                Some(Secret::Password(hash)) => hash.clone(),
                None => String::new(),
            },
            publish: texts(&user.publish),
            subscribe: texts(&user.subscribe),
        });
        let file = File { user: user.collect() };
        f.write_str(&toml::to_string(&file).map_err(|_| fmt::Error)?)
    }
}

/// 128 random bits, in letters that are not mixed up on a label.
fn token() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    let letter = |_| char::from(*LETTERS.get(random.random_range(0..32_usize)).unwrap_or(&b'a'));
    (0..26).map(letter).collect()
}

fn secret(text: &str) -> Result<Secret, &'static str> {
    const FORM: &str = "secret is neither `sha256:` and 64 hexadecimal digits nor `$argon2id$…`; \
                        `fyrhus mqtt add` writes it";
    match text.strip_prefix(TOKEN) {
        Some(hash) => hash.parse().map(Secret::Token).map_err(|_| FORM),
        None if text.starts_with("$argon2id$") => Ok(Secret::Password(text.to_owned())),
        None => Err(FORM),
    }
}

const TOKEN: &str = "sha256:";

fn is_name(name: &str) -> bool {
    let fit = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(fit)
}

const NAME: &str = "a name has 1 to 64 letters, digits, `-`, `_` and `.`";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    user: Vec<Written>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    secret: String,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// A file of users that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUsers {
    /// From 1; 0 where none can be told.
    pub line: usize,
    /// What is wrong, and what to do.
    pub advice: String,
}

impl std::error::Error for InvalidUsers {}

impl fmt::Display for InvalidUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.advice),
            line => write!(f, "line {line}: {}", self.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewUser {
        let filters = |text: &str| vec![text.parse().unwrap()];
        NewUser { name: name.into(), publish: filters("a/#"), subscribe: filters("a/+") }
    }

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let mut users = Users::default();
        let token = users.set(new("zigbee"), None).unwrap().unwrap();
        let password = access::Password::new("riktig hest batteri", &[]).unwrap();
        assert_eq!(users.set(new("kari"), Some(&password)), Ok(None));
        let file = users.to_string();
        assert!(!file.contains(&token) && !file.contains("hest"), "{file}");
        assert_eq!(Users::parse(&file), Ok(users.clone()));
        assert!(!format!("{users:?}").contains("argon2id"));
        assert!(users.remove("kari") && !users.remove("kari"));
    }

    #[test]
    fn two_tokens_differ() {
        let (one, other) = (token(), token());
        assert_ne!(one, other);
        assert_eq!(one.len(), 26);
    }

    #[track_caller]
    fn refused(file: &str, expected: &str) {
        assert_eq!(Users::parse(file).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let hash = "0".repeat(64);
        let user =
            |more: &str| format!("[[user]]\nname = \"a\"\nsecret = \"sha256:{hash}\"\n{more}");
        refused("[[user]]\nname = 3\n", "line 2: invalid type: integer `3`, expected a string");
        refused(
            "[[user]]\nname = \"a\"\nsecret = \"hunter2\"\n",
            "a: secret is neither `sha256:` and 64 hexadecimal digits nor `$argon2id$…`; \
             `fyrhus mqtt add` writes it",
        );
        refused(&[user(""), user("")].concat(), "a: there are two users of this name");
        refused(
            &user("publish = [\"a#\"]\n"),
            "a: `a#` is not a filter of topics: `+` stands for one level and `#` for all that \
             follow, each alone in its level, as in sensors/+/temperature or sensors/#",
        );
        refused(
            &user("").replace("\"a\"", "\"a b\""),
            "a b: a name has 1 to 64 letters, digits, `-`, `_` and `.`",
        );
    }
}
