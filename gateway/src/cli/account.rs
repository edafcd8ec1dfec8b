//! `fyrhus store account`: what was expected of each meter, bus or the site, what came, and why the rest
//! did not. Also while the gateway runs.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use drivers::Profiles;
use metering::{Clock as _, MeterId, Register};
use serde::Serialize;
use store::{Account, Readers, Snapshot, Step, StoreError};

use super::readings::meter;
use super::{Out, Where};
use crate::clock::SystemClock;
use crate::config::Site;

#[derive(Debug, clap::Args)]
pub(super) struct AccountOf {
    /// What is added up: each meter for itself, the meters of a bus, or all of them
    #[arg(long, value_enum, default_value_t = By::Meter)]
    by: By,
    /// How long a line's time is; days and months are the building's own
    #[arg(long, value_enum, default_value_t = Length::Month)]
    step: Length,
    /// From the period of this time on, such as 2026-11-01T00:00:00Z; without it: from the beginning of this month
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Up to this time, which is not in it any more; without it: up to now
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// One meter: its name as in site.toml, or the beginning of it, or its id
    #[arg(long)]
    meter: Option<String>,
    /// One register of that meter: its values instead of the meter's answers
    #[arg(long, requires = "meter")]
    register: Option<Register>,
    #[command(flatten)]
    files: Where,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Meter,
    Bus,
    Site,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Length {
    Quarter,
    Hour,
    Day,
    Month,
}

impl Length {
    const fn step(self) -> Step {
        match self {
            Self::Quarter => Step::Quarter,
            Self::Hour => Step::Hour,
            Self::Day => Step::Day,
            Self::Month => Step::Month,
        }
    }

    /// How a line says when it begins.
    const fn format(self) -> &'static str {
        match self {
            // With its zone: the hour after the clock was set back is another one.
            Self::Quarter | Self::Hour => "%F %R %Z",
            Self::Day => "%F",
            Self::Month => "%Y-%m",
        }
    }
}

/// Longer spans of short steps are asked for piece by piece: a year of quarter hours of a large building
/// is millions of lines.
const MOST_DAYS: i64 = 400;

impl AccountOf {
    pub(super) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let machine = self.files.machine()?;
        let (profiles, _) = Profiles::load_over(&machine.state.join("profiles"));
        let site = super::site(&machine, &profiles);
        let only = self.meter.as_deref().map(|it| meter(it, site.as_ref())).transpose()?;
        let zone = site.as_ref().map_or(Tz::Europe__Oslo, |site| site.time_zone);
        let readers = Readers::beside(&machine.state, zone)
            .with_context(|| super::store::no_store(&machine.state))?;
        let now_ms = SystemClock::new().now().wall_ms();
        let span = readers.ask_blocking(|store| Ok(self.span(store, now_ms)))?;
        if span.end.saturating_sub(span.start) > MOST_DAYS * 86_400_000 {
            bail!("at most {MOST_DAYS} days at once: give --from and --until");
        }
        let found = readers.ask_blocking(|store| self.accounts(store, only, span))?;
        let names = Names::of(site.as_ref());
        let groups = Account::grouped(&found, |meter| names.of_group(self.by, meter));
        let lines: Vec<Row> =
            groups.into_iter().map(|((of, name), account)| Row { of, name, account }).collect();
        if lines.is_empty() {
            out.trouble("fyrhus: nothing was expected in that time, and nothing came");
        }
        print(&lines, self.step, zone, out)?;
        Ok(!lines.is_empty())
    }

    /// A quarter hour that has not ended is not in it, so nothing is expected of the future.
    fn span(&self, store: &Snapshot<'_>, now_ms: i64) -> Range<i64> {
        let civil = store.civil();
        let ended = civil.period(Step::Quarter, now_ms).start;
        let month = civil.period(Step::Month, ended.saturating_sub(1)).start;
        let from = self.from.map_or(month, |it| it.timestamp_millis());
        // A period is told whole, or as much of it as there was.
        let from = civil.period(self.step.step(), from).start;
        from..self.until.map_or(ended, |it| it.timestamp_millis().min(ended))
    }

    fn accounts(
        &self,
        store: &Snapshot<'_>,
        only: Option<MeterId>,
        span: Range<i64>,
    ) -> Result<Vec<Account>, StoreError> {
        let step = self.step.step();
        if let Some((meter, register)) = only.zip(self.register.as_ref()) {
            return store.register_accounts(meter, register, span, step);
        }
        let mut found = store.accounts(span, step)?;
        found.retain(|it| only.is_none_or(|only| it.meter == only));
        Ok(found)
    }
}

/// What meters and buses are called today. One that is no longer in site.toml has its id.
struct Names {
    site: String,
    /// Of each meter: its name and that of its bus.
    meters: BTreeMap<MeterId, (String, String)>,
}

impl Names {
    fn of(site: Option<&Site>) -> Self {
        let Some(site) = site else {
            return Self { site: String::new(), meters: BTreeMap::new() };
        };
        let of_bus = |bus: &crate::config::Bus| {
            let named = |it: &crate::config::Meter| (it.id, (it.name.clone(), bus.id.clone()));
            bus.meters.iter().map(named).collect::<Vec<_>>()
        };
        Self { site: site.name.clone(), meters: site.buses.iter().flat_map(of_bus).collect() }
    }

    /// Whose line a meter is in: for machines, and for people.
    fn of_group(&self, by: By, meter: MeterId) -> (String, String) {
        let known = self.meters.get(&meter);
        match by {
            By::Site => (String::new(), self.site.clone()),
            By::Bus => {
                let bus = known.map_or_else(String::new, |(_, bus)| bus.clone());
                let shown = if bus.is_empty() { "no longer on a bus" } else { &bus };
                (bus.clone(), shown.to_owned())
            }
            By::Meter => {
                let id = meter.to_string();
                let name = known.map_or_else(|| id.clone(), |(name, _)| name.clone());
                (id, name)
            }
        }
    }
}

/// The account of a meter, a bus or the site in one period.
struct Row {
    /// For machines: the id, or nothing for the site.
    of: String,
    /// For people.
    name: String,
    account: Account,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    start: String,
    end: String,
    of: &'a str,
    name: &'a str,
    expected: u32,
    received: u32,
    late: u32,
    from_memory: u32,
    corrected: u32,
    missing: u32,
    causes: BTreeMap<&'static str, u32>,
    unplanned: u32,
}

fn print(lines: &[Row], step: Length, zone: Tz, out: &mut Out) -> anyhow::Result<()> {
    let wide = |of: &dyn Fn(&Row) -> String| {
        lines.iter().map(|it| of(it).chars().count()).max().unwrap_or_default().max(5)
    };
    let from = |account: &Account| {
        let at = DateTime::from_timestamp_millis(account.start_ms).unwrap_or_default();
        at.with_timezone(&zone).format(step.format()).to_string()
    };
    let (first, second) = (wide(&|it| from(&it.account)), wide(&|it| it.name.clone()));
    if !out.json && !lines.is_empty() {
        out.line(&format!(
            "{:<first$}  {:<second$}  expected  received  late  memory  corrected  missing  why",
            "from", "of"
        ))?;
    }
    for Row { of, name, account } in lines {
        let mut causes: Vec<_> =
            account.missing.iter().map(|(cause, count)| (cause.as_str(), *count)).collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let Account { expected, received, late, from_memory, corrected, unplanned, .. } = *account;
        let missing = account.missing_in_all();
        if out.json {
            let at = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
            let at = |ms| at(ms).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let causes = causes.into_iter().collect();
            let (start, end) = (at(account.start_ms), at(account.end_ms));
            out.object(&Line {
                start,
                end,
                of,
                name,
                expected,
                received,
                late,
                from_memory,
                corrected,
                missing,
                causes,
                unplanned,
            })?;
            continue;
        }
        let mut why: Vec<String> =
            causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        if unplanned > 0 {
            why.push(format!("(unplanned {unplanned})"));
        }
        let line = format!(
            "{:<first$}  {name:<second$}  {expected:>8}  {received:>8}  {late:>4}  \
             {from_memory:>6}  {corrected:>9}  {missing:>7}  {}",
            from(account),
            why.join(", ")
        );
        out.line(line.trim_end())?;
    }
    Ok(())
}
