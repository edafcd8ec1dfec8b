//! `fyrhus mqtt`: who may connect to the gateway's own broker, and what they may say and see.

use std::io::{self, BufRead as _, IsTerminal as _};

use access::Password;
use anyhow::{Context as _, bail};
use broker::{Filter, InvalidFilter, NewUser};
use clap::Subcommand;
use serde::Serialize;

use super::{Out, Where};
use crate::mqtt::{load_users, save_users};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
A user of the broker is a device or a program: give each its own, with the topics that it needs.
The running gateway takes over a change within seconds and hangs up on whom it concerns.

Examples:
  sudo fyrhus mqtt add zigbee2mqtt --publish 'zigbee2mqtt/#' --publish 'homeassistant/#' \\
       --subscribe 'zigbee2mqtt/#'
  sudo fyrhus mqtt add display --subscribe 'fyrhus/#' --password
  sudo fyrhus mqtt list")]
pub(super) enum Mqtt {
    /// Add a user, or give one a new token and new topics; the token is shown once
    Add(Add),
    /// Show who may connect, and never a secret
    List(List),
    /// Take a user away
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// What the device logs in as
    name: String,
    /// Topics that it may publish, such as 'zigbee2mqtt/#'; may be given several times
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    publish: Vec<Filter>,
    /// Topics that it may see; may be given several times
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    subscribe: Vec<Filter>,
    /// Read a password of your own from standard input, in place of a token that is made
    #[arg(long)]
    password: bool,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// As it logs in
    name: String,
    #[command(flatten)]
    files: Where,
}

#[derive(Debug, Serialize)]
struct Added<'a> {
    user: &'a str,
    /// The password to type into the device; `null` if one was given.
    token: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Known<'a> {
    user: &'a str,
    publish: Vec<&'a str>,
    subscribe: Vec<&'a str>,
}

impl Mqtt {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        match self {
            Self::Add(command) => command.run(out),
            Self::List(command) => command.run(out),
            Self::Remove(command) => command.run(out),
        }
    }
}

impl Add {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        if self.publish.is_empty() && self.subscribe.is_empty() {
            bail!("{} could do nothing: give it --publish or --subscribe", self.name);
        }
        let state = self.files.machine()?.state;
        let mut users = load_users(&state)?;
        let password = if self.password { Some(read_password(&self.name)?) } else { None };
        let Self { name, publish, subscribe, .. } = self;
        let new = NewUser { name: name.clone(), publish, subscribe };
        let token = users.set(new, password.as_ref())?;
        save_users(&state, &users)?;
        if out.json {
            out.object(&Added { user: &name, token: token.as_deref() })?;
            return Ok(true);
        }
        match token {
            Some(token) => out.text(&format!(
                "user      {name}\npassword  {token}\n\nThe password is not shown again.\n"
            ))?,
            None => out.text(&format!("{name} may connect with the password that you gave.\n"))?,
        }
        Ok(true)
    }
}

impl List {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let users = load_users(&self.files.machine()?.state)?;
        let known: Vec<Known<'_>> = users
            .iter()
            .map(|user| Known {
                user: user.name(),
                publish: user.publishes().iter().map(Filter::as_str).collect(),
                subscribe: user.subscribes().iter().map(Filter::as_str).collect(),
            })
            .collect();
        if out.json {
            for known in &known {
                out.object(known)?;
            }
            return Ok(true);
        }
        if known.is_empty() {
            out.text("Nobody may connect yet: see `fyrhus mqtt add --help`.\n")?;
        }
        for Known { user, publish, subscribe } in known {
            let said = |what: &str, filters: Vec<&str>| {
                if filters.is_empty() {
                    String::new()
                } else {
                    format!("  {what}  {}\n", filters.join("  "))
                }
            };
            let (publish, subscribe) = (said("publishes", publish), said("sees     ", subscribe));
            out.text(&format!("{user}\n{publish}{subscribe}"))?;
        }
        Ok(true)
    }
}

impl Remove {
    fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let state = self.files.machine()?.state;
        let mut users = load_users(&state)?;
        if !users.remove(&self.name) {
            bail!("there is no user {}: `fyrhus mqtt list` shows who there is", self.name);
        }
        save_users(&state, &users)?;
        out.text(&format!("{} may not connect any more.\n", self.name))?;
        Ok(true)
    }
}

fn filter(text: &str) -> Result<Filter, InvalidFilter> {
    text.parse()
}

/// The first line of standard input.
fn read_password(name: &str) -> anyhow::Result<Password> {
    if io::stdin().is_terminal() {
        bail!("the password is shown while it is typed: put it into a file, and give that with <");
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("no password came")?;
    Ok(Password::new(line.trim_end_matches(['\n', '\r']), &[name])?)
}
