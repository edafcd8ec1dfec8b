//! The physics checks of the meters that are installed, from what they show now and showed first.

use energy::{Check, Kind, Shown, Verdict, What};
use metering::{Medium, MeterId, Quantity, Register};

use super::{Commission, Seen};
use crate::handles::MeterInfo;
use crate::{Live, Site};

/// Every check of a meter, its main meter's sum among them.
pub(crate) fn of(
    meter: &MeterInfo,
    site: &Site,
    live: &Live,
    commission: &Commission,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let work = commission.meters.get(&meter.id);
    if let Some(now) = shown(live, meter.id) {
        let before = work.and_then(|work| work.first.as_ref()).map(before);
        checks = energy::judged(kind(meter.medium), before.as_ref(), &now);
        if meter.medium == Some(Medium::Electricity)
            && meter.part_of.is_some()
            && let Some(turned) = energy::turned(&now)
            && turned.verdict != Verdict::Good
        {
            checks.retain(|check| check.what != What::Direction);
            checks.push(turned);
        }
    }
    if let Some((counted, drawn)) = work.and_then(|it| it.draw.as_ref()?.done.as_ref()) {
        let drawn = counted.quantity().zip(drawn.quantity());
        checks.extend(drawn.and_then(|(counted, drawn)| energy::pulses_of(counted, drawn)));
    }
    checks.extend(parts(meter, site, live, commission));
    checks
}

const fn kind(medium: Option<Medium>) -> Kind {
    match medium {
        Some(Medium::Heat) => Kind::Heat,
        Some(Medium::Cooling) => Kind::Cooling,
        _ => Kind::Counter,
    }
}

/// What a meter's last answer held.
fn shown(live: &Live, meter: MeterId) -> Option<Shown> {
    let live = live.meters.get(&meter)?;
    live.last_answer?;
    let values = live.values.iter().filter_map(|it| Some((&it.register, it.value.ok()?)));
    Some(Shown::of(values))
}

fn before(seen: &Seen) -> Shown {
    let values: Vec<(Register, Quantity)> = seen
        .values
        .iter()
        .filter_map(|(register, kept)| Some((register.parse().ok()?, kept.quantity()?)))
        .collect();
    Shown::of(values.iter().map(|(register, value)| (register, *value)))
}

/// The sum of the sub-meters of `main` of its own medium, if it has any: what they counted since they
/// were first seen, or what runs through them where that is too little yet.
fn parts(main: &MeterInfo, site: &Site, live: &Live, commission: &Commission) -> Option<Check> {
    let parts: Vec<&MeterInfo> = site
        .meters
        .iter()
        .filter(|it| it.part_of == Some(main.id) && it.medium == main.medium)
        .collect();
    if parts.is_empty() {
        return None;
    }
    let open = |why| Check { what: What::Parts, verdict: Verdict::Open(why) };
    let now = |meter: MeterId| shown(live, meter);
    let first = |meter: MeterId| {
        commission.meters.get(&meter).and_then(|work| work.first.as_ref()).map(before)
    };
    let grown = |meter: MeterId| {
        let (first, now) = (first(meter)?, now(meter)?);
        let grown = |then: Option<Quantity>, now: Option<Quantity>| now?.since(then?).ok();
        grown(first.energy, now.energy).or_else(|| grown(first.volume, now.volume))
    };
    let runs = |meter: MeterId| now(meter).and_then(|now| now.power.or(now.flow));
    let by = |amount: &dyn Fn(MeterId) -> Option<Quantity>| {
        let whole = amount(main.id)?;
        let parts: Option<Vec<Quantity>> = parts.iter().map(|part| amount(part.id)).collect();
        energy::parts_of(whole, &parts?)
    };
    if now(main.id).is_none() || parts.iter().any(|part| now(part.id).is_none()) {
        return Some(open(energy::Open::NotRead));
    }
    let told = |check: &Check| !matches!(check.verdict, Verdict::Open(_));
    let counted = by(&grown).filter(told);
    counted.or_else(|| by(&runs)).or_else(|| Some(open(energy::Open::TooLittleYet)))
}

/// Whether a register is one that a check looks at.
pub(crate) fn is_looked_at(register: &str) -> bool {
    matches!(
        register,
        "energy"
            | "energy_import"
            | "energy_import_total"
            | "volume"
            | "volume_flow"
            | "power"
            | "power_total"
            | "flow_temperature"
            | "return_temperature"
            | "temperature_difference"
    )
}
