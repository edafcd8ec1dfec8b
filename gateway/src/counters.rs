//! A counter of pulses is set to what its meter's display shows: who may ask for that, and what is
//! kept of it.

use drivers::Profiles;
use drivers::pulse::Counts;
use metering::MeterId;
use store::Core;
use web_ui::Site;

use crate::corrections::amount;

/// Sets the counter of the meter that people, or the configuration, call `meter` to `display`, and
/// writes into the audit log that `who` did.
///
/// # Errors
///
/// Why it is as it was, as one sentence.
pub(crate) async fn set(
    counts: &Counts,
    profiles: &Profiles,
    site: &Site,
    core: &Core,
    who: &str,
    meter: &str,
    display: &str,
) -> Result<String, String> {
    let id: Option<MeterId> = meter.parse().ok();
    let mut called = site.meters.iter().filter(|it| it.name == meter || Some(it.id) == id);
    let info = match (called.next(), called.next()) {
        (Some(info), None) => info,
        (Some(_), Some(_)) => {
            return Err(format!("there are several meters `{meter}`: name it by its id"));
        }
        (None, _) => return Err(format!("there is no meter `{meter}`")),
    };
    let profile = info.profile.as_deref().and_then(|id| profiles.get(id));
    let spec = profile.as_ref().and_then(|it| it.pulse_counter());
    let weight = counts.get(info.id).weight;
    let (Some(spec), Some(weight)) = (spec.cloned(), weight) else {
        return Err(format!("no pulses of `{meter}` are counted here"));
    };
    let display = amount(display, spec.unit).ok_or_else(|| {
        format!("`{display}` is not a display, such as 48213.6 or \"48213.6 kWh\"")
    })?;

    let (counts, id) = (counts.clone(), info.id);
    let before = counts.get(id).shows(&spec, weight);
    let set = tokio::task::spawn_blocking(move || counts.set(id, display, &spec, weight)).await;
    let shown = set.map_err(|_gone| "the gateway is stopping".to_owned())?;
    let shown = shown.map_err(|error| crate::chain(&error))?;
    let before = before.map_or_else(|reason| reason.as_str().to_owned(), |it| it.to_string());
    let detail = format!("{id}: from {before} to {shown}");
    tracing::info!(meter = %id, before, now = %shown, "a counter was set");
    if let Err(error) = core.audit(who.to_owned(), "set_counter".into(), detail).await {
        tracing::error!(error = crate::chain(&error), "the audit log does not know of it");
    }
    Ok(shown.to_string())
}
