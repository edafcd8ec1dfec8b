//! Batteries that are running low: found once in what meters say, kept, and told until somebody has
//! taken notice.
//!
//! ```text
//! live values ──▶ low? ── for the first time ──▶ store, board ──▶ pages ──▶ somebody: seen
//!                  └──── well again ───────────▶ forgotten
//! ```
//!
//! A battery does not get well by itself for a moment: between the limit at which it is low and the
//! one at which it is well again nothing changes, so that a meter at the limit is told once and not
//! at each answer. What is kept is one setting for each meter; it is written when something changes.
//!
//! That it was told, and that it was replaced, goes into the ledger of the promise of uptime too: what
//! a battery silences is no downtime, and to replace it is the customer's part.
//!
//! **Never true:** a meter that says nothing of its battery has one that is well.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use ledger::entry::{Battery, BatteryEvent, Fact};
use metering::{Clock, MeterId, Quantity, Unit};
use serde::{Deserialize, Serialize};
use store::Core;
use tokio::sync::watch;
use web_ui::{BatterySign, Live, LiveMeter, LowBattery, SaidKind};

use crate::board::Board;
use crate::restart::Task;
use crate::scribe::Scribe;

/// Those that are low; its clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Batteries {
    low: Arc<Mutex<BTreeMap<MeterId, LowBattery>>>,
    board: Board,
    core: Core,
    clock: Arc<dyn Clock>,
    /// `None` in tests of batteries alone.
    scribe: Option<Scribe>,
}

/// What an answer says of a battery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Low(BatterySign, Option<Quantity>),
    Well(BatterySign),
    /// Neither low nor surely well.
    Between(BatterySign),
}

impl Told {
    const fn sign(self) -> BatterySign {
        match self {
            Self::Low(sign, _) | Self::Well(sign) | Self::Between(sign) => sign,
        }
    }
}

/// A battery is low at so many percent, and well again at so many.
const SHARE: (i64, i64) = (15, 25);
/// In days.
const LIFETIME: (i64, i64) = (90, 120);

/// What `meter` says of its battery in its last answer.
fn told(meter: &LiveMeter) -> Vec<Told> {
    let mut told = Vec::new();
    if meter.said.iter().any(|it| it.kind == SaidKind::PowerLow) {
        told.push(Told::Low(BatterySign::Status, None));
    } else if !meter.telegrams.is_empty() {
        // A telegram has a status, and that has nothing to say.
        told.push(Told::Well(BatterySign::Status));
    }
    for value in &meter.values {
        let Ok(amount) = value.value else { continue };
        let register = value.register.to_string();
        let unit = amount.resolution().unit();
        let limits = |(low, well): (i64, i64), sign, unit| {
            let amount_in = amount.converted(metering::Resolution::new(0, unit)?).ok()?.mantissa();
            Some(match amount_in {
                left if left <= low => Told::Low(sign, Some(amount)),
                left if left >= well => Told::Well(sign),
                _ => Told::Between(sign),
            })
        };
        let one = match register.as_str() {
            "battery" if unit == Unit::Percent => limits(SHARE, BatterySign::Share, Unit::Percent),
            "battery_remaining" => limits(LIFETIME, BatterySign::Lifetime, Unit::Day),
            "alarm_battery_low" | "battery_low" => Some(match amount.mantissa() {
                0 => Told::Well(BatterySign::Flag),
                _ => Told::Low(BatterySign::Flag, None),
            }),
            _ => None,
        };
        told.extend(one);
    }
    told
}

/// What is known after an answer that `told` so much, if that is something else than `before`.
#[expect(
    clippy::option_option,
    reason = "that nothing changes, and that it is well now, are two things"
)]
fn after(
    before: Option<&LowBattery>,
    told: &[Told],
    at: DateTime<Utc>,
) -> Option<Option<LowBattery>> {
    match before {
        None => {
            let low = told.iter().find_map(|it| match it {
                Told::Low(sign, level) => Some((*sign, *level)),
                _ => None,
            });
            low.map(|(sign, level)| Some(LowBattery { sign, level, since: at, seen: None }))
        }
        // What was said before it ran low: after a start that may be the newest that is stored.
        Some(low) if at < low.since => None,
        // Only what said that it is low can say that it is not any more.
        Some(low) => {
            let told = told.iter().find(|it| it.sign() == low.sign)?;
            matches!(told, Told::Well(_)).then_some(None)
        }
    }
}

impl Batteries {
    pub(crate) fn new(board: Board, core: Core, clock: Arc<dyn Clock>) -> Self {
        Self { low: Arc::default(), board, core, clock, scribe: None }
    }

    /// With the ledger, which is told too.
    pub(crate) fn with_ledger(self, scribe: Scribe) -> Self {
        Self { scribe: Some(scribe), ..self }
    }

    /// Somebody has taken notice; `false` if there is nothing to take notice of.
    pub(crate) async fn see(&self, meter: MeterId, who: String) -> bool {
        let at = self.clock.now().wall;
        let seen = {
            let mut low = self.lock();
            let Some(battery) = low.get_mut(&meter) else { return false };
            if battery.seen.is_none() {
                battery.seen = Some((who.clone(), at));
            }
            battery.clone()
        };
        self.keep(meter, Some(&seen)).await;
        let audited = self.core.audit(who, "see_battery".into(), meter.to_string()).await;
        if let Err(error) = audited {
            tracing::error!(error = crate::chain(&error), "the audit log does not know of it");
        }
        self.show();
        true
    }

    async fn hear(&self, meter: MeterId, live: &LiveMeter) {
        let Some(at) = live.last_answer else { return };
        let now = {
            let mut low = self.lock();
            let Some(now) = after(low.get(&meter), &told(live), at) else { return };
            match &now {
                Some(battery) => drop(low.insert(meter, battery.clone())),
                None => drop(low.remove(&meter)),
            }
            now
        };
        if let Some(battery) = &now {
            tracing::warn!(%meter, sign = battery.sign.as_str(), "a battery is running low");
        } else {
            tracing::info!(%meter, "a battery is well again");
        }
        self.keep(meter, now.as_ref()).await;
        self.show();
        self.write_down(meter, now.is_some()).await;
    }

    /// Into the ledger: that the customer was told, or has replaced it.
    async fn write_down(&self, meter: MeterId, low: bool) {
        let Some(scribe) = &self.scribe else { return };
        let event = if low { BatteryEvent::Told } else { BatteryEvent::Replaced };
        let (product, who) = (format!("meter {meter}"), "gateway".to_owned());
        if let Err(error) = scribe.write(Fact::Battery(Battery { product, event, who })).await {
            tracing::warn!(error = crate::chain(&error), "the ledger does not know of a battery");
        }
    }

    /// Takes up what was kept of a meter.
    async fn recall(&self, meter: MeterId) {
        match self.core.setting(&key(meter)).await {
            Ok(kept) => {
                let kept = kept.and_then(|text| serde_json::from_str::<Option<Kept>>(&text).ok());
                if let Some(battery) = kept.flatten().and_then(Kept::battery) {
                    self.lock().insert(meter, battery);
                    self.show();
                }
            }
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "what was known of batteries");
            }
        }
    }

    async fn keep(&self, meter: MeterId, battery: Option<&LowBattery>) {
        let text = serde_json::to_string(&battery.map(Kept::of)).unwrap_or_default();
        if let Err(error) = self.core.put_setting(&key(meter), text).await {
            tracing::error!(error = crate::chain(&error), "what is known of a battery is not kept");
        }
    }

    fn show(&self) {
        let low = self.lock().clone();
        self.board.change(|status| status.batteries = low);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MeterId, LowBattery>> {
        // A thread that panicked left whole entries behind.
        self.low.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(meter: MeterId) -> String {
    format!("battery.{meter}")
}

/// What is kept of one.
#[derive(Serialize, Deserialize)]
struct Kept {
    sign: String,
    level: Option<(String, String)>,
    since: DateTime<Utc>,
    seen: Option<(String, DateTime<Utc>)>,
}

impl Kept {
    fn of(battery: &LowBattery) -> Self {
        let level = |it: Quantity| (it.decimal(), it.resolution().unit().code().to_owned());
        Self {
            sign: battery.sign.as_str().to_owned(),
            level: battery.level.map(level),
            since: battery.since,
            seen: battery.seen.clone(),
        }
    }

    fn battery(self) -> Option<LowBattery> {
        let sign = BatterySign::ALL.into_iter().find(|it| it.as_str() == self.sign)?;
        let level = self.level.and_then(|(decimal, unit)| {
            Quantity::from_decimal(&decimal, Unit::from_code(&unit)?).ok()
        });
        Some(LowBattery { sign, level, since: self.since, seen: self.seen })
    }
}

/// Looks at every answer of every meter.
#[derive(Debug)]
pub(crate) struct BatteryWatch {
    pub(crate) batteries: Batteries,
    pub(crate) live: watch::Receiver<Arc<Live>>,
}

impl Task for BatteryWatch {
    fn name(&self) -> String {
        "batteries".to_owned()
    }

    async fn live(&mut self) {
        // When each meter answered that has been looked at. Answers that come faster than this
        // task looks are passed over: a battery has time.
        let mut looked: HashMap<MeterId, Option<DateTime<Utc>>> = HashMap::new();
        loop {
            let live = Arc::clone(&self.live.borrow_and_update());
            for (id, meter) in &live.meters {
                let before = looked.insert(*id, meter.last_answer);
                if before.is_none() {
                    self.batteries.recall(*id).await;
                }
                if before != Some(meter.last_answer) {
                    self.batteries.hear(*id, meter).await;
                }
            }
            if self.live.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a battery of which answers tell so much, one after the other.
    #[track_caller]
    fn check(answers: &[Told], low: &[bool], notices: usize) {
        let (mut battery, mut raised) = (None, 0);
        let mut shown = Vec::new();
        for told in answers {
            let at = "2026-03-01T00:00:00Z".parse().unwrap();
            if let Some(now) = after(battery.as_ref(), &[*told], at) {
                raised += usize::from(now.is_some());
                battery = now;
            }
            shown.push(battery.is_some());
        }
        assert_eq!((shown.as_slice(), raised), (low, notices), "{answers:?}");
    }

    #[tokio::test]
    async fn what_the_customer_was_told_and_did_stands_in_the_ledger() {
        let empty = store::testing::empty().unwrap();
        let core = empty.store.core();
        let clock: Arc<dyn Clock> = store::testing::FixedClock::at(1_793_487_600_000);
        let scribe = Scribe {
            core: core.clone(),
            gateway: metering::GatewayId::from_uuid(uuid::Uuid::from_u128(7)),
            keys: crate::ledger_keys::LedgerKeys::open(
                std::path::Path::new("/nowhere"),
                &ed25519_dalek::SigningKey::from_bytes(&[3; 32]),
            ),
            clock: Arc::clone(&clock),
            owed: watch::Sender::default(),
            hour: None,
            turn: Arc::default(),
        };
        let board = Board::new(clock.now().wall);
        let batteries = Batteries::new(board, core.clone(), clock).with_ledger(scribe);
        let meter = MeterId::from_uuid(uuid::Uuid::from_u128(9));
        batteries.write_down(meter, true).await;
        batteries.write_down(meter, false).await;
        let entries = core.ledger(0).await.unwrap();
        let told = |entry: &Vec<u8>| match ledger::entry::Entry::from_bytes(entry)?.fact {
            Fact::Battery(battery) => Some((battery.product, battery.event)),
            _ => None,
        };
        let product = format!("meter {meter}");
        let expected = [(product.clone(), BatteryEvent::Told), (product, BatteryEvent::Replaced)];
        assert_eq!(entries.iter().filter_map(told).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_said_before_it_ran_low_does_not_make_it_well() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let low = [Told::Low(BatterySign::Share, None)];
        let battery = after(None, &low, at("2026-03-01T12:00:00Z")).flatten();
        let well = [Told::Well(BatterySign::Share)];
        let said = |when: &str| after(battery.as_ref(), &well, at(when));
        assert_eq!(said("2026-03-01T11:59:50Z"), None, "the newest that is stored, after a start");
        assert_eq!(said("2026-03-01T12:00:10Z"), Some(None));
    }

    #[test]
    fn a_battery_is_told_once_and_again_only_after_it_was_well() {
        let (low, well) = (Told::Low(BatterySign::Share, None), Told::Well(BatterySign::Share));
        let between = Told::Between(BatterySign::Share);
        check(&[well, between, well], &[false, false, false], 0);
        check(&[low, low, between, low], &[true, true, true, true], 1);
        check(&[low, between, well, between, low], &[true, true, false, false, true], 2);
        // What another sign says does not make it well.
        check(&[low, Told::Well(BatterySign::Status), low], &[true, true, true], 1);
        check(&[low, Told::Low(BatterySign::Status, None)], &[true, true], 1);
    }
}
