//! Which `site.toml` is in force, and how a new one comes into force.
//!
//! ```text
//! the file changes, SIGHUP ─┐            ┌─▶ version in the store
//! a page saves ─────────────┴─▶ checked ─┼─▶ last good copy
//!                                 │      ├─▶ schedule: which readings are expected from now on
//!                                 ▼      └─▶ buses, pages
//!                              mistakes: said in the log and on the pages; the old one holds
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;
use drivers::Profiles;
use metering::{Clock, GatewayId};
use store::{Core, StoreError, Version, Writer};
use tokio::sync::watch;
use web_ui::{BusInfo, ConfigProblem, MeterInfo, NotSaved};

use crate::cloud;
use crate::config::kept::{self, Found};
use crate::config::{LineProfile, Mistake, Site};
use crate::housekeeping::Signer;

/// What is in force.
#[derive(Debug)]
pub(crate) struct InForce {
    state: PathBuf,
    profiles: Arc<Profiles>,
    gateway: GatewayId,
    core: Core,
    writer: Writer,
    clock: Arc<dyn Clock>,
    /// Signs every version.
    sign: Signer,
    /// What the pages show.
    shown: Arc<watch::Sender<Arc<web_ui::Site>>>,
    /// The text of the file that is in force.
    text: Option<String>,
    /// The file's text when it was looked at last, good or not; `None` if it is to be looked at
    /// again.
    seen: Option<String>,
    /// The version that a save which failed half-way has stored, and that is not in force.
    half: Option<u64>,
    site: Option<Site>,
}

/// The parts that it is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) state: PathBuf,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) gateway: GatewayId,
    pub(crate) core: Core,
    pub(crate) writer: Writer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sign: Signer,
}

impl InForce {
    /// What was found at the start comes into force.
    pub(crate) async fn start(parts: Parts, found: Found) -> Self {
        let Parts { state, profiles, gateway, core, writer, clock, sign } = parts;
        let shown = Arc::new(watch::Sender::new(Arc::new(no_site(gateway))));
        let mut in_force = Self {
            state,
            profiles,
            gateway,
            core,
            writer,
            clock,
            sign,
            shown,
            text: None,
            seen: None,
            half: None,
            site: None,
        };
        match found {
            Found::Good { site, text } => in_force.begin(*site, text).await,
            Found::LastGood { site, text, mistakes } => {
                in_force.begin(*site, text).await;
                in_force.refuse(&mistakes);
            }
            Found::Commissioning { mistakes } => {
                tracing::warn!("no site.toml yet: only the pages are served");
                if !mistakes.is_empty() {
                    in_force.refuse(&mistakes);
                }
            }
        }
        in_force
    }

    /// What the pages show.
    pub(crate) fn shown(&self) -> &Arc<watch::Sender<Arc<web_ui::Site>>> {
        &self.shown
    }

    /// The building, once there is one.
    pub(crate) const fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// Other profiles are known: the file is looked at again, because it may be good by now, and
    /// what a meter is may have changed.
    pub(crate) fn know(&mut self, profiles: Arc<Profiles>, wrong: &[drivers::Mistake]) {
        self.profiles = profiles;
        self.seen = None;
        self.show_wrong(wrong);
    }

    /// What is wrong with files of profiles.
    pub(crate) fn show_wrong(&mut self, wrong: &[drivers::Mistake]) {
        let wrong: Vec<web_ui::WrongProfile> = wrong.iter().map(wrong_profile).collect();
        self.shown.send_if_modified(|site| {
            let changed = site.wrong_profiles != wrong;
            if changed {
                Arc::make_mut(site).wrong_profiles = wrong;
            }
            changed
        });
    }

    /// Looks whether the file has changed. Tells whether another building is in force now.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub(crate) async fn look(&mut self) -> Result<bool, StoreError> {
        let file = kept::site_file(&self.state);
        let text = match kept::read(&file) {
            Ok(text) => text,
            Err(mistakes) => {
                self.seen = None;
                if !mistakes.is_empty() {
                    self.refuse(&mistakes);
                } else if self.site.is_some() {
                    let gone = "the file is gone".to_owned();
                    self.refuse(&[Mistake { line: 1, advice: gone }]);
                } else {
                    // As before the first one.
                    self.shown.send_if_modified(|site| {
                        site.config_problem.is_some() && {
                            Arc::make_mut(site).config_problem = None;
                            true
                        }
                    });
                }
                return Ok(false);
            }
        };
        if self.seen.as_ref() == Some(&text) {
            return Ok(false);
        }
        self.seen = Some(text.clone());
        match self.load(&text) {
            Ok(site) => {
                let changed = self.text.as_ref() != Some(&text);
                let taken = self.by_hand(site, text).await;
                if taken.is_err() {
                    // What the store refuses now it may take at the next look.
                    self.seen = None;
                }
                taken.map(|()| changed)
            }
            Err(mistakes) => {
                self.refuse(&mistakes);
                Ok(false)
            }
        }
    }

    /// Takes over what a person wrote on a page.
    ///
    /// # Errors
    ///
    /// Why it is not in force; the one before it is.
    pub(crate) async fn save(
        &mut self,
        text: String,
        expected: u64,
        who: String,
        why: String,
    ) -> Result<u64, NotSaved> {
        let site = self.load(&text).map_err(|mistakes| NotSaved::Mistakes(for_pages(&mistakes)))?;
        let failed = |error: &dyn std::error::Error| NotSaved::Failed(crate::chain(error));
        // One that was stored and not taken over is carried on: each try would be another version.
        let current = self.core.current_version().await.map_err(|error| failed(&error))?;
        let is_half =
            |it: &Version| self.half == Some(expected) && it.number == expected && it.text == text;
        let version = if current.as_ref().is_some_and(is_half) {
            expected
        } else {
            // The version first: it is what tells two people who save at the same time apart.
            let (expected, sign) = (Some(expected), self.sign.get());
            let saved = self.core.save_version(text.clone(), who, why, expected, sign).await;
            match saved {
                Ok(version) => version,
                Err(StoreError::Outdated { .. }) => return Err(self.changed().await),
                Err(error) => return Err(failed(&error)),
            }
        };
        self.half = Some(version);
        kept::save(&self.state, &text).map_err(|error| failed(&error))?;
        self.take_over(site, text, version).await.map_err(|error| failed(&error))?;
        Ok(version)
    }

    fn load(&self, text: &str) -> Result<Site, Vec<Mistake>> {
        let ids: Vec<&str> = self.profiles.ids().into_iter().collect();
        Site::load(text, &ids)
    }

    /// Begins with `site`. A store that refuses, because its disk is full, keeps no meter from being
    /// read: what it has not taken is tried again at the next look.
    async fn begin(&mut self, site: Site, text: String) {
        if let Err(error) = self.by_hand(site.clone(), text.clone()).await {
            let error = crate::chain(&error);
            tracing::error!(error, "site.toml is in force, and its version is not stored yet");
            self.put_in_force(site, text, 0);
            self.seen = None;
        }
    }

    /// Takes over the file as somebody has written it.
    async fn by_hand(&mut self, site: Site, text: String) -> Result<(), StoreError> {
        let current = self.core.current_version().await?;
        let version = match current {
            Some(version) if version.text == text => version.number,
            _ => {
                let (who, why) = ("file".to_owned(), "site.toml was changed by hand".to_owned());
                self.core.save_version(text.clone(), who, why, None, self.sign.get()).await?
            }
        };
        self.take_over(site, text, version).await
    }

    async fn take_over(
        &mut self,
        mut site: Site,
        text: String,
        version: u64,
    ) -> Result<(), StoreError> {
        self.heed(&mut site);
        if let Err(error) = kept::keep(&self.state, &text) {
            // It is in force all the same; only the next broken file finds an older copy.
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the last good copy of site.toml cannot be written");
        }
        let meters = site.buses.iter().flat_map(|bus| &bus.meters);
        let schedule = meters.clone().map(|meter| (meter.id, meter.poll_every.secs())).collect();
        self.writer.schedule(self.clock.now().wall_ms(), schedule).await?;
        let (buses, count) = (site.buses.len(), meters.count());
        tracing::info!(version, site = site.name, buses, meters = count, "site.toml is in force");
        self.put_in_force(site, text, version);
        Ok(())
    }

    fn put_in_force(&mut self, mut site: Site, text: String, version: u64) {
        self.heed(&mut site);
        let before = Arc::clone(&self.shown.borrow());
        let shown = shown(&site, self.gateway, version, &self.profiles, &before);
        self.shown.send_replace(Arc::new(shown));
        self.seen = Some(text.clone());
        self.half = None;
        self.text = Some(text);
        self.site = Some(site);
    }

    /// Has no meter asked more often than its type bears, and says so.
    fn heed(&self, site: &mut Site) {
        for raised in site.heed(&self.profiles) {
            tracing::warn!("{raised}");
        }
    }

    /// Says what is wrong with a file that is therefore not in force: once, not at every look.
    fn refuse(&self, mistakes: &[Mistake]) {
        let told = for_pages(mistakes);
        let said =
            self.shown.borrow().config_problem.as_ref().is_some_and(|it| it.mistakes == told);
        if said {
            return;
        }
        for mistake in mistakes {
            tracing::error!(line = mistake.line, "site.toml is not in force: {}", mistake.advice);
        }
        let since = self.clock.now().wall;
        let problem = ConfigProblem { mistakes: told, since };
        self.shown.send_modify(|site| Arc::make_mut(site).config_problem = Some(problem));
    }

    /// Who was quicker.
    async fn changed(&self) -> NotSaved {
        match self.core.current_version().await {
            Ok(Some(current)) => NotSaved::Changed {
                version: current.number,
                who: current.who,
                at: chrono::DateTime::from_timestamp_millis(current.at_ms).unwrap_or_default(),
            },
            Ok(None) => NotSaved::Failed("there is no version to compare with".to_owned()),
            Err(error) => NotSaved::Failed(crate::chain(&error)),
        }
    }
}

/// The zone of the site that is found, for the store's civil days.
pub(crate) fn zone(found: &Found) -> Tz {
    match found {
        Found::Good { site, .. } | Found::LastGood { site, .. } => site.time_zone,
        Found::Commissioning { .. } => Tz::Europe__Oslo,
    }
}

/// What is there at the start.
pub(crate) fn find(state: &Path, profiles: &Profiles) -> Found {
    let ids: Vec<&str> = profiles.ids().into_iter().collect();
    kept::find(state, &ids)
}

fn for_pages(mistakes: &[Mistake]) -> Vec<web_ui::Mistake> {
    let for_page = |it: &Mistake| web_ui::Mistake { line: it.line, advice: it.advice.clone() };
    mistakes.iter().map(for_page).collect()
}

fn wrong_profile(it: &drivers::Mistake) -> web_ui::WrongProfile {
    web_ui::WrongProfile { file: it.file.clone(), line: it.line, advice: it.advice.clone() }
}

fn no_site(gateway: GatewayId) -> web_ui::Site {
    web_ui::Site {
        id: None,
        gateway,
        name: String::new(),
        place: None,
        time_zone: Tz::Europe__Oslo,
        buses: Vec::new(),
        meters: Vec::new(),
        probes: ledger::Settings::WIRED,
        version: 0,
        config_problem: None,
        wrong_profiles: Vec::new(),
        commissioning: true,
    }
}

/// `site` as the pages show it. What a meter told of itself `before` is still known.
fn shown(
    site: &Site,
    gateway: GatewayId,
    version: u64,
    profiles: &Profiles,
    before: &web_ui::Site,
) -> web_ui::Site {
    let buses = site.buses.iter().map(|bus| BusInfo {
        id: bus.id.clone(),
        name: bus.name.clone(),
        kind: bus.kind.code(),
        port: bus.port.to_string(),
    });
    let meters = site.buses.iter().flat_map(|bus| bus.meters.iter().map(move |meter| (bus, meter)));
    let meters = meters.map(|(bus, meter)| {
        let told = before.meter(meter.id);
        let by_profile =
            meter.profile.as_deref().and_then(|id| profiles.get(id)).map(|it| it.medium);
        MeterInfo {
            id: meter.id,
            name: meter.name.clone(),
            bus: bus.id.clone(),
            address: meter.address.to_string(),
            medium: meter.medium.or(by_profile).or(told.and_then(|told| told.medium)),
            profile: meter.profile.clone().or_else(|| told.and_then(|told| told.profile.clone())),
            place: meter.place.clone(),
            tags: meter.tags.clone(),
            serial: meter.serial.clone(),
            part_of: meter.part_of,
            poll_every: meter.poll_every.length(),
            simulated: meter.simulated,
            outdoor: meter.outdoor,
        }
    });
    web_ui::Site {
        id: Some(site.id),
        gateway,
        name: site.name.clone(),
        place: site.place.clone(),
        time_zone: site.time_zone,
        buses: buses.collect(),
        meters: meters.collect(),
        probes: match cloud::line(site.cloud.as_ref()) {
            LineProfile::Wired => ledger::Settings::WIRED,
            LineProfile::Metered => ledger::Settings::METERED,
        },
        version,
        config_problem: None,
        wrong_profiles: before.wrong_profiles.clone(),
        commissioning: false,
    }
}

#[cfg(test)]
mod tests {
    use store::testing;
    use uuid::Uuid;

    use super::*;
    use crate::clock::testing::TestClock;

    const SITE: &str = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"A\"\n";

    /// With a store that takes nothing any more.
    async fn start(state: &Path, found: Found) -> InForce {
        let empty = testing::empty().unwrap();
        let parts = Parts {
            state: state.to_owned(),
            profiles: Arc::new(Profiles::default()),
            gateway: GatewayId::from_uuid(Uuid::nil()),
            core: empty.store.core(),
            writer: empty.store.writer(),
            clock: Arc::new(TestClock::started_at("2026-03-01T00:00:00Z")),
            sign: Signer::of(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        };
        empty.store.close().unwrap();
        InForce::start(parts, found).await
    }

    #[tokio::test]
    async fn what_the_store_refuses_is_tried_at_the_next_look_and_nothing_waits_for_it() {
        let state = tempfile::tempdir().unwrap();
        let none = Found::Commissioning { mistakes: Vec::new() };
        let mut in_force = start(state.path(), none).await;
        assert!(!in_force.look().await.unwrap());
        kept::save(state.path(), SITE).unwrap();
        for _ in 0..2 {
            assert!(in_force.look().await.is_err());
        }

        let mut in_force = start(state.path(), kept::find(state.path(), &[])).await;
        assert!(in_force.site().is_some(), "a start goes on without the store");
        assert!(in_force.look().await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_told_once() {
        let state = tempfile::tempdir().unwrap();
        let none = Found::Commissioning { mistakes: Vec::new() };
        let mut in_force = start(state.path(), none).await;
        let mut shown = in_force.shown().subscribe();
        std::fs::write(kept::site_file(state.path()), b"[site]\nname = \"M\xe5ler\"\n").unwrap();
        for told in [true, false] {
            assert!(!in_force.look().await.unwrap());
            assert_eq!(shown.has_changed().unwrap(), told);
            shown.mark_unchanged();
        }
        std::fs::remove_file(kept::site_file(state.path())).unwrap();
        in_force.look().await.unwrap();
        assert!(in_force.shown().borrow().config_problem.is_none(), "there has never been one");
    }

    #[test]
    fn the_clouds_probes_speak_for_longer_on_a_metered_line() {
        let probes = |cloud: &str| {
            let text = format!(
                "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"A\"\n{cloud}"
            );
            let site = Site::load(&text, &[]).unwrap();
            let gateway = GatewayId::from_uuid(Uuid::nil());
            shown(&site, gateway, 1, &Profiles::default(), &no_site(gateway)).probes
        };
        let cloud = "[cloud]\nurl = \"https://portfolio.example\"\n";
        assert_eq!(probes(""), ledger::Settings::WIRED);
        assert_eq!(probes(cloud), ledger::Settings::WIRED);
        assert_eq!(probes(&format!("{cloud}profile = \"metered\"\n")), ledger::Settings::METERED);
    }
}
