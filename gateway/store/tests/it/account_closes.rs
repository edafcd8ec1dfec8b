//! Whatever happened, and whatever the clocks and the schedules did meanwhile: the account closes, in every
//! length of time, and what it expects is what the schedule of that time had planned.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Europe::Oslo;
use metering::{MeterId, Origin, Quantity, Unit};
use proptest::prelude::*;
use store::testing::{
    COLD, FixedClock, HEAT, KnownDay, answer, empty, moment, open, reading, register, resolution,
    silence,
};
use store::{Account, Imported, Kind, NewCorrection, Snapshot, Step};

const MINUTE: i64 = 60_000;
const QUARTER: i64 = 15 * MINUTE;

/// The evenings before the clocks change, before a year and a short month end, and before a leap day.
const EVENINGS: [&str; 5] = [
    "2026-03-28T18:00:00Z",
    "2026-10-24T18:00:00Z",
    "2026-12-31T12:00:00Z",
    "2027-02-28T12:00:00Z",
    "2028-02-28T20:00:00Z",
];

/// For a day and a half.
const MINUTES: i64 = 36 * 60;

#[derive(Clone, Copy, Debug)]
enum Event {
    Answers {
        heat: bool,
    },
    IsSilent {
        heat: bool,
    },
    /// From then on; 0 is never.
    Schedule {
        heat: u32,
        cold: u32,
    },
    /// With a goodbye, or in a new boot without one.
    Restart {
        goodbye: bool,
    },
    Remembers,
    Corrects,
}

fn event() -> impl Strategy<Value = Event> {
    let every = || prop::sample::select(vec![0, 60, 300, 900, 1_800, 3_600, 7_200, 21_600, 86_400]);
    prop_oneof![
        8 => any::<bool>().prop_map(|heat| Event::Answers { heat }),
        3 => any::<bool>().prop_map(|heat| Event::IsSilent { heat }),
        2 => (every(), every()).prop_map(|(heat, cold)| Event::Schedule { heat, cold }),
        1 => any::<bool>().prop_map(|goodbye| Event::Restart { goodbye }),
        1 => Just(Event::Remembers),
        1 => Just(Event::Corrects),
    ]
}

/// What was planned, as a list of changes.
type Plans = BTreeMap<MeterId, Vec<(i64, u32)>>;

/// How many polls were planned of a meter in a quarter hour, counted one by one.
fn planned(plans: &Plans, meter: MeterId, quarter: i64) -> u32 {
    let since_midnight = |at: i64| {
        let at = Oslo.timestamp_millis_opt(at).unwrap();
        let midnight = at.date_naive().and_hms_opt(0, 0, 0).unwrap();
        (at - Oslo.from_local_datetime(&midnight).unwrap()).num_milliseconds()
    };
    let in_force = |at: i64| {
        let list = plans.get(&meter).map_or(&[][..], Vec::as_slice);
        list.iter().rev().find(|(from, _)| *from <= at).map_or(0, |(_, every)| *every)
    };
    let polls = (quarter..quarter + QUARTER).step_by(60_000).filter(|at| {
        let every = i64::from(in_force(*at)) * 1000;
        every > 0 && since_midnight(*at).rem_euclid(every) == 0
    });
    u32::try_from(polls.count()).unwrap()
}

fn closes(account: &Account) {
    let came = account.received + account.late + account.from_memory + account.corrected;
    assert_eq!(account.expected, came + account.missing_in_all(), "{account:?}");
}

struct History {
    day: KnownDay,
    began_ms: i64,
    boot: u128,
    stand: i64,
    plans: Plans,
    answers: BTreeMap<MeterId, u32>,
}

impl History {
    fn new(evening: &str) -> Self {
        let began_ms = evening.parse::<DateTime<Utc>>().unwrap().timestamp_millis();
        let day = empty().unwrap();
        day.clock.set(began_ms);
        let (plans, answers) = (Plans::new(), BTreeMap::new());
        Self { day, began_ms, boot: 1, stand: 1_000, plans, answers }
    }

    /// `at_ms` by the clock of the machine as it runs now.
    fn at(&self, at_ms: i64) -> metering::Moment {
        let mut at = moment(at_ms);
        at.boot_id = self.boot;
        at
    }

    async fn live(&mut self, minute: i64, event: Event) {
        // Some seconds after the minute, as a round is.
        let at_ms = self.began_ms + minute * MINUTE + 7_000;
        self.day.clock.set(at_ms);
        self.stand += 3;
        let meter = |heat: bool| if heat { HEAT } else { COLD };
        match event {
            Event::Answers { heat } => {
                let at = self.at(at_ms);
                let volume = (reading("volume", self.stand, 0, Unit::Litre, at), Kind::Counter);
                let round = vec![answer(meter(heat), "1", at, vec![volume])];
                self.day.store.writer().commit(round).await.unwrap();
                *self.answers.entry(meter(heat)).or_default() += 1;
            }
            Event::IsSilent { heat } => {
                let round = vec![silence(meter(heat), self.at(at_ms))];
                self.day.store.writer().commit(round).await.unwrap();
            }
            Event::Schedule { heat, cold } => {
                let list = vec![(HEAT, heat), (COLD, cold)];
                self.day.store.writer().schedule(at_ms, list.clone()).await.unwrap();
                for (meter, every) in list {
                    self.plans.entry(meter).or_default().push((at_ms, every));
                }
            }
            Event::Restart { goodbye } => self.restart(at_ms, goodbye),
            Event::Remembers => {
                let past = Imported {
                    meter: COLD,
                    register: register("volume"),
                    kind: Kind::Counter,
                    at_ms: at_ms - 40 * MINUTE,
                    quantity: Quantity::new(self.stand, resolution(0, Unit::Litre)),
                    origin: Origin::MeterMemory,
                };
                self.day.store.writer().import(vec![past]).await.unwrap();
            }
            Event::Corrects => {
                let wanted = NewCorrection {
                    meter: COLD,
                    register: register("volume"),
                    at_ms: at_ms - 25 * MINUTE,
                    quantity: Quantity::new(self.stand, resolution(0, Unit::Litre)),
                    who: "kari".to_owned(),
                    why: "read by hand".to_owned(),
                };
                // There may be nothing to correct yet.
                let _refused = self.day.store.writer().correct(wanted).await;
            }
        }
    }

    fn restart(&mut self, at_ms: i64, goodbye: bool) {
        let clock = FixedClock::of(self.at(at_ms));
        let before = std::mem::replace(&mut self.day, empty().unwrap());
        let KnownDay { store, dir, .. } = before;
        store.close().unwrap();
        if !goodbye {
            // As after a power cut: what is in the files, and nobody said goodbye.
            let core = rusqlite::Connection::open(dir.path().join("core.db")).unwrap();
            core.execute("DELETE FROM cursor WHERE name = 'stopped'", []).unwrap();
            self.boot += 1;
            let mut now = self.at(at_ms);
            now.boot_id = self.boot;
            let clock = FixedClock::of(now);
            let (store, _) = open(dir.path(), &clock).unwrap();
            self.day = KnownDay { store, clock, dir };
            return;
        }
        let (store, _) = open(dir.path(), &clock).unwrap();
        self.day = KnownDay { store, clock, dir };
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, store::StoreError> + Send + 'static,
    ) -> T {
        self.day.store.readers().ask(question).await.unwrap()
    }

    async fn check(&self) {
        // From the beginning of the month to the end of the next.
        let began = self.began_ms;
        let (from, until) = self
            .ask(move |it| {
                let month = it.civil().period(Step::Month, began);
                Ok((month.start, it.civil().period(Step::Month, month.end).end))
            })
            .await;
        let mut sums: BTreeMap<MeterId, Vec<Account>> = BTreeMap::new();
        for step in Step::ALL {
            let accounts = self.ask(move |it| it.accounts(from..until, step)).await;
            accounts.iter().for_each(closes);
            if step == Step::Quarter {
                for account in accounts.iter().filter(|it| it.start_ms < began + 3 * 86_400_000) {
                    let expected = planned(&self.plans, account.meter, account.start_ms);
                    assert_eq!(account.expected, expected, "{account:?}");
                }
            }
            for meter in [HEAT, COLD] {
                let of_meter = accounts.iter().filter(|it| it.meter == meter);
                let mut sum = Account::sum(of_meter);
                if let Some(sum) = &mut sum {
                    // Where it begins and ends differs with the length of its parts.
                    (sum.start_ms, sum.end_ms) = (from, until);
                }
                sums.entry(meter).or_default().extend(sum);
            }
            for meter in [HEAT, COLD] {
                let registers = self
                    .ask(move |it| {
                        it.register_accounts(meter, &register("volume"), from..until, step)
                    })
                    .await;
                registers.iter().for_each(closes);
            }
        }
        for (meter, sums) in sums {
            assert!(sums.iter().all(|it| Some(it) == sums.first()), "{sums:#?}");
            let answers = self.answers.get(&meter).copied().unwrap_or_default();
            let found = sums.first().map_or(0, |it| it.received + it.late + it.unplanned);
            assert_eq!(found, answers, "{meter}: {sums:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_account_closes_over_any_history(
        evening in prop::sample::select(EVENINGS.to_vec()),
        first in (0..4_u32).prop_map(|n| [900, 60, 3_600, 21_600][n as usize]),
        events in prop::collection::btree_map(1..MINUTES, event(), 5..60),
        flushed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new(evening);
            history.live(0, Event::Schedule { heat: first, cold: first }).await;
            for (minute, event) in events {
                history.live(minute, event).await;
            }
            if flushed {
                history.day.store.writer().flush().await.unwrap();
                history.day.store.writer().pack().await.unwrap();
            }
            history.check().await;
        });
    }
}
