//! Says what is live on a broker, again after each connecting.
//!
//! The broker is told what has changed and nothing twice. It takes what it takes: what changes
//! while it is slow is said once it is ready, with the value of then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drivers::BrokerAt;
use mqtt_client::{Address, Client, Lost, NotConnected, Options, Trust, Will};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use web_ui::{Live, Site};

use super::{socket, tidy, topics};
use crate::config;
use crate::restart::Task;

/// The task: one connection for each broker that the configuration names.
pub(crate) struct Publisher {
    pub(crate) state: PathBuf,
    pub(crate) wanted: watch::Receiver<Vec<config::Publish>>,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) shutdown: CancellationToken,
}

impl Task for Publisher {
    fn name(&self) -> String {
        "publisher".to_owned()
    }

    async fn live(&mut self) {
        while !self.shutdown.is_cancelled() {
            let wanted = self.wanted.borrow_and_update().clone();
            let stop = self.shutdown.child_token();
            let mut places = JoinSet::new();
            for to in wanted {
                let place = Place {
                    address: address(&to.login, &to.to, &self.state),
                    to,
                    site: self.site.clone(),
                    live: self.live.clone(),
                    stop: stop.clone(),
                };
                places.spawn(place.run());
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                _ = self.wanted.changed() => {}
            }
            stop.cancel();
            while places.join_next().await.is_some() {}
        }
    }
}

/// Where a broker of the configuration is.
pub(crate) fn address(login: &config::BrokerLogin, at: &BrokerAt, state: &Path) -> Address {
    match at {
        BrokerAt::Own => Address::Unix(socket(state)),
        BrokerAt::Plain(host) => Address::Tcp(host.clone()),
        BrokerAt::Tls(host) => {
            let trust = login.ca_file.clone().map_or(Trust::System, Trust::File);
            Address::Tls(host.clone(), trust)
        }
    }
}

/// One broker.
struct Place {
    to: config::Publish,
    address: Address,
    site: watch::Receiver<Arc<Site>>,
    live: watch::Receiver<Arc<Live>>,
    stop: CancellationToken,
}

impl Place {
    async fn run(mut self) {
        let stop = self.stop.clone();
        let (mut pause, mut told) = (FIRST_PAUSE, None);
        // The own broker starts beside this task: a first try that comes too early is no fault.
        let mut is_early = self.to.to == BrokerAt::Own;
        while !stop.is_cancelled() {
            let connecting = stop.run_until_cancelled(self.connect());
            let Some(connected) = connecting.await else { return };
            let why = match connected {
                Ok(client) => {
                    if told.is_none() {
                        tracing::info!(to = %self.name(), "values are published");
                    }
                    // Ends with the connection beside which it goes on.
                    let mut others = JoinSet::new();
                    self.tidy(&mut others).await;
                    let since = Instant::now();
                    let Err(lost) = self.say(client).await else { return };
                    // A broker that lets in and hangs up is not asked every second.
                    if since.elapsed() > LAST_PAUSE {
                        (pause, told) = (FIRST_PAUSE, None);
                    }
                    crate::chain(&lost)
                }
                Err(why) => why,
            };
            if !std::mem::take(&mut is_early) && told.as_ref() != Some(&why) {
                tracing::error!(to = %self.name(), "values cannot be published: {why}; trying on");
                told = Some(why);
            }
            stop.run_until_cancelled(time::sleep(pause)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn name(&self) -> String {
        drivers::PortSettings::Broker(self.to.to.clone()).to_string()
    }

    async fn connect(&self) -> Result<Client, String> {
        let options = self.options().await?;
        Client::connect(&options).await.map_err(|why: NotConnected| crate::chain(&why))
    }

    async fn options(&self) -> Result<Options, String> {
        let config::BrokerLogin { user, password_file, .. } = &self.to.login;
        let password = match password_file {
            None => String::new(),
            Some(file) => tokio::fs::read_to_string(file)
                .await
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?,
        };
        let password = password.trim_end_matches(['\n', '\r']).to_owned();
        let gateway = self.site.borrow().gateway;
        Ok(Options {
            address: self.address.clone(),
            client_id: format!("fyrhus-{gateway}-{}", self.to.prefix),
            login: user.clone().map(|user| (user, password)),
            will: Some(Will {
                topic: topics::status(&self.to.prefix),
                payload: topics::OFFLINE.to_owned(),
            }),
        })
    }

    /// Clears what the broker retains of meters that are gone. If it cannot be done now it is when
    /// the gateway connects the next time.
    async fn tidy(&self, others: &mut JoinSet<()>) {
        // The gateway's own broker retains nothing that it said itself over a restart.
        if self.to.to == BrokerAt::Own {
            return;
        }
        let Ok(options) = self.options().await else { return };
        let (site, prefix) = (Arc::clone(&self.site.borrow()), self.to.prefix.clone());
        let name = self.name();
        others.spawn(async move {
            let Ok(client) = Client::connect(&tidy::options(options)).await else { return };
            match tidy::tidy(client, &site, &prefix).await {
                Ok(0) => {}
                Ok(topics) => tracing::info!(to = name, topics, "meters that are gone are cleared"),
                Err(lost) => tracing::debug!(to = name, error = crate::chain(&lost), "not cleared"),
            }
        });
    }

    /// Says everything, and then what changes, until the stop.
    async fn say(&mut self, mut client: Client) -> Result<(), Lost> {
        let mut said = BTreeMap::new();
        let mut next_look = Instant::now();
        let mut unsaid = Vec::new();
        loop {
            if unsaid.is_empty() && Instant::now() >= next_look && self.has_changed(said.is_empty())
            {
                next_look = Instant::now() + LOOK_EVERY;
                let wanted = with_units(self.wanted(), &said);
                unsaid = changes(&said, &wanted);
                said = wanted;
            }
            while client.untaken() < MOST_UNTAKEN
                && let Some((topic, payload)) = unsaid.pop()
            {
                client.publish(&topic, payload, true);
            }
            tokio::select! {
                event = client.next() => drop(event?),
                () = time::sleep_until(next_look.max(Instant::now() + LOOK_EVERY / 4)) => {}
                () = self.stop.cancelled() => {
                    client.publish(&topics::status(&self.to.prefix), topics::OFFLINE, true);
                    client.goodbye().await;
                    return Ok(());
                }
            }
        }
    }

    fn has_changed(&mut self, first: bool) -> bool {
        let changed = [self.site.has_changed(), self.live.has_changed()];
        first || changed.into_iter().any(|it| it.unwrap_or(false))
    }

    fn wanted(&mut self) -> BTreeMap<String, String> {
        let (site, live) = (self.site.borrow_and_update(), self.live.borrow_and_update());
        topics::all(&site, &live, &self.to.prefix, self.to.home_assistant)
    }
}

/// `wanted`, where an announcement keeps the unit that was `said` while nobody knows the value:
/// Home Assistant takes another unit for another sensor.
fn with_units(
    mut wanted: BTreeMap<String, String>,
    said: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for (topic, payload) in &mut wanted {
        if let Some(before) = said.get(topic)
            && topic.starts_with("homeassistant/")
            && before.contains(UNIT)
            && !payload.contains(UNIT)
        {
            payload.clone_from(before);
        }
    }
    wanted
}

const UNIT: &str = "\"unit_of_measurement\"";

/// What has to be said to make `wanted` of `said`, the last first: an announcement goes before its
/// value, and what is gone is cleared by an empty message.
fn changes(
    said: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let gone = said.keys().filter(|topic| !wanted.contains_key(*topic));
    let gone = gone.map(|topic| (topic.clone(), String::new()));
    let is_new = |topic: &String, payload: &String| said.get(topic) != Some(payload);
    let new = wanted.iter().filter(|(topic, payload)| is_new(topic, payload));
    let mut changes: Vec<_> =
        gone.chain(new.map(|(topic, payload)| (topic.clone(), payload.clone()))).collect();
    changes.sort_by_key(|(topic, _)| topic.starts_with("homeassistant/"));
    changes
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A display that changes more often is not read.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a broker may have got and not acknowledged.
const MOST_UNTAKEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_keeps_its_unit_while_nobody_knows_the_value() {
        let with = r#"{"name":"power","unit_of_measurement":"W"}"#;
        let without = r#"{"name":"power"}"#;
        let map = |payload: &str| BTreeMap::from([("homeassistant/p".into(), payload.into())]);
        assert_eq!(with_units(map(without), &map(with)), map(with));
        assert_eq!(with_units(map(with), &map(without)), map(with));
        assert_eq!(with_units(map(without), &BTreeMap::new()), map(without));
    }

    #[test]
    fn what_is_gone_is_cleared_and_announcements_go_first() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<BTreeMap<_, _>>()
        };
        let said = map(&[("f/a", "1"), ("f/b", "1"), ("homeassistant/b", "{}")]);
        let wanted = map(&[("f/a", "2"), ("f/c", "1"), ("homeassistant/c", "{}")]);
        let mut changes = changes(&said, &wanted);
        changes.reverse();
        let expected = [
            ("homeassistant/c", "{}"),
            ("homeassistant/b", ""),
            ("f/c", "1"),
            ("f/a", "2"),
            ("f/b", ""),
        ];
        assert_eq!(changes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
