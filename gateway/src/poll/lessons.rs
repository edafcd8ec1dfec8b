//! What the devices of a bus taught about how they want to be asked, over restarts.
//!
//! A Modbus device that refuses a request because of a hole in it is asked in two from then on.
//! Without a memory each start would begin with refusals, of which some devices make an entry in
//! their own log. A lesson holds for a month: a device that was exchanged, or got other firmware,
//! is asked as its profile says again.

use chrono::{DateTime, Days, NaiveDate, Utc};
use store::Core;

use super::Wire;

/// What one bus was taught.
#[derive(Debug)]
pub(super) struct Lessons {
    bus: String,
    core: Option<Core>,
    /// As it is kept.
    kept: String,
    /// Since when they have been gathered.
    since: NaiveDate,
}

impl Lessons {
    /// Teaches `wire` what was learned on the bus before.
    pub(super) async fn begin(
        bus: &str,
        core: Option<Core>,
        wire: &mut impl Wire,
        now: DateTime<Utc>,
    ) -> Self {
        let kept = match &core {
            Some(core) => core.setting(&setting(bus)).await.unwrap_or_else(|error| {
                tracing::warn!(bus, error = crate::chain(&error), "what was learned is lost");
                None
            }),
            None => None,
        };
        let bus = bus.to_owned();
        let today = now.date_naive();
        let known = kept.as_deref().and_then(|kept| kept.split_once('\n'));
        let known = known.and_then(|(since, text)| Some((since.parse().ok()?, text)));
        match known.filter(|(since, _)| holds(*since, today)) {
            Some((since, text)) => {
                wire.recall(text);
                Self { bus, core, kept: text.to_owned(), since }
            }
            None => Self { bus, core, kept: String::new(), since: today },
        }
    }

    /// Keeps what `wire` has learned since. A failure costs a note: it is tried again.
    pub(super) async fn keep(&mut self, wire: &mut impl Wire, now: DateTime<Utc>) {
        let today = now.date_naive();
        if !holds(self.since, today) {
            wire.recall("");
            self.since = today;
        }
        let Some(text) = wire.lessons().filter(|text| *text != self.kept) else { return };
        if self.kept.is_empty() {
            self.since = today;
        }
        if let Some(core) = &self.core
            && let Err(error) =
                core.put_setting(&setting(&self.bus), format!("{}\n{text}", self.since)).await
        {
            let error = crate::chain(&error);
            return tracing::warn!(bus = self.bus, error, "what was learned is not kept");
        }
        self.kept = text;
    }
}

/// Whether what was learned on the day `since` holds; also where the clock has been set back.
fn holds(since: NaiveDate, today: NaiveDate) -> bool {
    since.checked_add_days(MONTH).is_some_and(|end| today < end) && since <= today
}

const MONTH: Days = Days::new(30);

/// Under which name it is kept.
fn setting(bus: &str) -> String {
    format!("lessons.{bus}")
}

#[cfg(test)]
mod tests {
    use drivers::{ReadError, Readout, Scan, ScanStep};
    use metering::Clock;
    use store::testing;

    use super::*;

    /// A wire that has learned what it is told.
    #[derive(Default)]
    struct Pupil(String);

    impl Wire for Pupil {
        async fn read(
            &mut self,
            meter: &drivers::Meter,
            _: &dyn Clock,
        ) -> Result<Readout, ReadError> {
            Err(ReadError::Misfit { address: meter.address, because: "it only learns" })
        }

        async fn scan_step(&mut self, _: &mut Scan, _: &dyn Clock) -> Result<ScanStep, ReadError> {
            Ok(ScanStep::Done)
        }

        fn lessons(&self) -> Option<String> {
            Some(self.0.clone())
        }

        fn recall(&mut self, lessons: &str) {
            lessons.clone_into(&mut self.0);
        }
    }

    #[tokio::test]
    async fn what_was_learned_is_known_after_a_restart_and_for_a_month() {
        let empty = testing::empty().unwrap();
        let core = || Some(empty.store.core());
        let on = |day: &str| format!("{day}T12:00:00Z").parse::<DateTime<Utc>>().unwrap();

        let mut wire = Pupil::default();
        let mut lessons = Lessons::begin("riser", core(), &mut wire, on("2026-01-10")).await;
        wire.0 = "7 test.meter seam 4 14\n".to_owned();
        lessons.keep(&mut wire, on("2026-01-12")).await;
        wire.0 = "7 test.meter seam 4 14\n7 test.meter seam 4 20\n".to_owned();
        lessons.keep(&mut wire, on("2026-01-20")).await;

        for (day, known) in [("2026-02-10", true), ("2026-02-11", false), ("2026-01-11", false)] {
            let mut again = Pupil::default();
            let _ = Lessons::begin("riser", core(), &mut again, on(day)).await;
            assert_eq!(again.0, if known { wire.0.as_str() } else { "" }, "{day}");
            let _ = Lessons::begin("other", core(), &mut again, on(day)).await;
        }
        // A gateway that runs on forgets them, too.
        lessons.keep(&mut wire, on("2026-02-12")).await;
        assert_eq!(wire.0, "");
        let mut again = Pupil("?".to_owned());
        let _ = Lessons::begin("riser", core(), &mut again, on("2026-02-13")).await;
        assert_eq!(again.0, "", "and what is kept is that nothing is known");
    }
}
