//! One meter of a running building: what it is, what it shows at an instant, what is wrong
//! with it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use metering::Quantity;

use crate::building::{Building, EPOCH};
use crate::device::Figure;
use crate::dice::Dice;
use crate::faults::{Faults, Flaw, Handle};
use crate::place::{Measure, Sight};
use crate::plan::{MeterPlan, Plan};

#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) plan: MeterPlan,
    pub(crate) handle: Handle,
    building: Arc<Building>,
    dice: Dice,
    /// What each counter had counted when the building's epoch began.
    before: [(Measure, i64); 3],
}

impl Meter {
    pub(crate) fn new(plan: &Plan, meter: &MeterPlan, building: &Arc<Building>) -> Self {
        let dice = Dice::new(plan.seed).of("device").of(&meter.bus).of(&meter.name);
        let mut made = Self {
            plan: meter.clone(),
            handle: Handle::new(),
            building: Arc::clone(building),
            dice,
            before: [(Measure::Energy, 0), (Measure::Export, 0), (Measure::Volume, 0)],
        };
        made.before = made.before.map(|(measure, _)| (measure, made.years_before(measure)));
        made.handle.set(|faults| faults.flaw = meter.flaw);
        made
    }

    pub(crate) fn faults(&self) -> Faults {
        self.handle.faults()
    }

    /// Eight digits on the plate of the device that is installed now.
    pub(crate) fn serial(&self) -> u32 {
        let exchanges = i64::from(self.handle.installed().exchanges);
        60_000_000 + self.dice.of("serial").below(exchanges, 39_999_999)
    }

    /// Sixteen bytes that its maker gave it, and that whoever reads it is told: `encryption`,
    /// `authentication`.
    pub(crate) fn key(&self, purpose: &str) -> [u8; 16] {
        let dice = self.dice.of("key").of(purpose);
        let [high, low] = [0, 1].map(|index| u128::from(dice.number(index)));
        (high << 64 | low).to_be_bytes()
    }

    /// Chance that belongs to this meter alone.
    pub(crate) const fn dice(&self) -> Dice {
        self.dice
    }

    pub(crate) fn sight(&self, at: DateTime<Utc>) -> Sight<'_> {
        Sight::of(&self.building, at)
    }

    /// What it shows, in the steps of its display; `None` of a measure that it does not show.
    pub(crate) fn shows(&self, sight: &Sight<'_>, measure: Measure) -> Option<Quantity> {
        let figure = self.plan.device.figure(measure)?;
        figure.shown(self.thousandths(sight, measure)?)
    }

    /// What it would show with thousandths of the base unit.
    pub(crate) fn thousandths(&self, sight: &Sight<'_>, measure: Measure) -> Option<i64> {
        use Measure::{
            Current, Energy, Flow, FlowTemperature, PhasePower, Power, ReturnTemperature,
            TemperatureDifference, Volume,
        };
        let truth = |measure| self.truth(sight, measure);
        let Some(flaw) = self.faults().flaw else { return truth(measure) };
        match (flaw, measure) {
            (Flaw::SwappedSensors, FlowTemperature) => truth(ReturnTemperature),
            (Flaw::SwappedSensors, ReturnTemperature) => truth(FlowTemperature),
            // Water that gets warmer is no heat.
            (Flaw::SwappedSensors, Power) => Some(0),
            (Flaw::SwappedSensors, Energy) => Some(self.counted_before(measure)),
            (Flaw::LooseSensor, TemperatureDifference) => Some(truth(measure)? * 7 / 10),
            // From what it had counted for years, so that it does not end at zero soon.
            (Flaw::Backwards, Volume) => Some(3 * self.counted_before(measure) - truth(measure)?),
            (Flaw::VolumeTenth, Volume | Flow) => Some(truth(measure)? / 10),
            (Flaw::EnergyTenfold, Energy | Power | PhasePower(_) | Current(_)) => {
                Some(truth(measure)?.saturating_mul(10))
            }
            (Flaw::SwappedSensors, TemperatureDifference)
            | (Flaw::Backwards, Flow)
            | (Flaw::Turned, Power | PhasePower(_)) => Some(-truth(measure)?),
            _ => truth(measure),
        }
    }

    fn counted_before(&self, measure: Measure) -> i64 {
        let before = self.before.iter().find(|(counter, _)| *counter == measure);
        before.map_or(0, |(_, before)| *before)
    }

    /// What a meter without a flaw would show.
    fn truth(&self, sight: &Sight<'_>, measure: Measure) -> Option<i64> {
        let there = sight.measure(self.plan.place, measure, self.dice)?;
        let counted = matches!(measure, Measure::Energy | Measure::Export | Measure::Volume);
        if !counted {
            let shared = matches!(
                measure,
                Measure::Power
                    | Measure::PowerIn
                    | Measure::PowerOut
                    | Measure::PhasePower(_)
                    | Measure::Flow
                    | Measure::Current(_)
            );
            return Some(if shared { self.through(there) } else { there });
        }
        if self.handle.installed().full {
            return self.plan.device.figure(measure).and_then(Figure::last);
        }
        if let Some(since) = self.handle.installed().since {
            let before = self.sight(since).measure(self.plan.place, measure, self.dice)?;
            return Some(self.through(there) - self.through(before).min(self.through(there)));
        }
        Some(self.through(there) + self.counted_before(measure))
    }

    /// One to five years like the first month after the epoch; nothing where that is nothing.
    fn years_before(&self, measure: Measure) -> i64 {
        let month = self.sight(EPOCH + TimeDelta::days(31));
        let month = month.measure(self.plan.place, measure, self.dice).unwrap_or(0);
        if month == 0 {
            return 0;
        }
        let age = self.dice.of("age");
        let months = i64::from(age.below(0, 48)) + 12;
        self.through(month) * months + i64::from(age.below(1, 999_999))
    }

    fn through(&self, there: i64) -> i64 {
        if self.plan.share == 1_000 { there } else { there / 1_000 * i64::from(self.plan.share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_another_number_whose_counters_begin_at_zero() {
        let plan = Plan::demo(3).unwrap();
        let building = Arc::new(Building::new(3));
        let heat = plan.meters.iter().find(|meter| meter.name.starts_with("Fjernvarme")).unwrap();
        let meter = Meter::new(&plan, heat, &building);
        let at: DateTime<Utc> = "2025-11-20T09:00:00Z".parse().unwrap();
        let shows = |at| meter.shows(&meter.sight(at), Measure::Energy).unwrap().mantissa();

        let (serial, before) = (meter.serial(), shows(at));
        assert!(before > 400_000, "it has counted for years: {before} kWh");
        meter.handle.swap(at);
        assert_ne!(meter.serial(), serial);
        assert_eq!(shows(at), 0);
        assert!((50..250).contains(&shows(at + TimeDelta::hours(1))));
    }

    #[test]
    fn a_counter_that_is_full_runs_over_in_the_same_device() {
        let plan = Plan::demo(3).unwrap();
        let building = Arc::new(Building::new(3));
        let heat = plan.meters.iter().find(|meter| meter.name.starts_with("Fjernvarme")).unwrap();
        let meter = Meter::new(&plan, heat, &building);
        let at: DateTime<Utc> = "2025-11-20T09:00:00Z".parse().unwrap();
        let shows = |at| meter.shows(&meter.sight(at), Measure::Energy).unwrap().mantissa();

        let serial = meter.serial();
        meter.handle.fill();
        assert_eq!(shows(at), 99_999_999);
        assert_eq!(shows(at + TimeDelta::hours(1)), 99_999_999);
        meter.handle.reset(at + TimeDelta::hours(1));
        assert_eq!(shows(at + TimeDelta::hours(1)), 0);
        assert!((50..250).contains(&shows(at + TimeDelta::hours(2))));
        assert_eq!(meter.serial(), serial);
    }

    #[test]
    fn a_flaw_changes_what_is_told_and_nothing_else() {
        use Measure::{Energy, Flow, FlowTemperature, Power, ReturnTemperature, Volume};
        let plan = Plan::demo(3).unwrap();
        let building = Arc::new(Building::new(3));
        let heat = plan.meters.iter().find(|meter| meter.name.starts_with("Fjernvarme")).unwrap();
        let meter = Meter::new(&plan, heat, &building);
        let at: DateTime<Utc> = "2025-11-20T09:00:00Z".parse().unwrap();
        let tells = |measure| meter.thousandths(&meter.sight(at), measure).unwrap();
        let later =
            |measure| meter.thousandths(&meter.sight(at + TimeDelta::hours(1)), measure).unwrap();
        let flawed = |flaw| meter.handle.set(|faults| faults.flaw = flaw);
        let (supply, back, flow, volume) =
            (tells(FlowTemperature), tells(ReturnTemperature), tells(Flow), tells(Volume));

        flawed(Some(Flaw::SwappedSensors));
        assert_eq!((tells(FlowTemperature), tells(ReturnTemperature)), (back, supply));
        assert_eq!((tells(Power), later(Energy) - tells(Energy)), (0, 0));
        flawed(Some(Flaw::Backwards));
        assert_eq!(tells(Flow), -flow);
        assert!(later(Volume) < tells(Volume) && tells(Volume) > 0);
        flawed(Some(Flaw::VolumeTenth));
        assert_eq!((tells(Flow), tells(Volume)), (flow / 10, volume / 10));
        flawed(None);
        assert_eq!((tells(Flow), tells(Volume)), (flow, volume));
    }
}
