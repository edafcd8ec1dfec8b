//! A case file: JSON in, a [`Case`] out, or the one thing that is wrong with it and where.
//!
//! Keys that are not known are ignored, except in `policy`, where one would change what is owed.

mod once;

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use chrono::NaiveDate;
use chrono_tz::Tz;
use ledger::case::{
    BreachMoment, Cap, Case, Claim, Denominator, Down, Exclusion, Ground, Notice, NoticeRule, Ore,
    Policy, ShortRule, Status, Straddle, UnknownIs,
};
use ledger::{Interval, Limit, Month, Period, Terms, Tiers};
use serde_json::{Map, Value};
use web_ui::hundredths;

/// A case and the name that its result carries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// Any JSON value, copied to the result.
    pub(crate) id: Value,
    pub(crate) case: Case,
}

/// Why a case is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For programs: `bad_time`.
    pub(crate) code: &'static str,
    /// Where: `$.outages[0].start`.
    path: String,
    /// What is there, and what may be.
    why: String,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

/// A value and its place, from which it is read.
#[derive(Clone)]
struct At<'v> {
    value: Option<&'v Value>,
    path: String,
}

type Read<T> = Result<T, Refusal>;

/// The case in `text`.
///
/// # Errors
///
/// [`Refusal`] at the first thing that is wrong.
pub(crate) fn read(text: &[u8]) -> Read<Named> {
    let root = once::read(text.trim_ascii_end()).map_err(|wrong| {
        let (path, why) = match wrong {
            once::Wrong::Json(error) => ("$".to_owned(), format!("this is not JSON: {error}")),
            once::Wrong::Twice(path) => {
                (path, "stands here a second time; leave one of the two out".to_owned())
            }
        };
        Refusal { code: "bad_json", path, why }
    })?;
    of(&root)
}

/// The case that `root` is.
pub(crate) fn of(root: &Value) -> Read<Named> {
    let root = At { value: Some(root), path: "$".to_owned() };
    let case = root.object("bad_schema")?;
    let schema = case.get("schema");
    if schema.value.and_then(Value::as_str) != Some("sla-case/1") {
        return Err(schema.bad("bad_schema", "must be \"sla-case/1\""));
    }

    let zone = case.get("time_zone");
    let zone = match zone.value {
        None => Tz::Europe__Oslo,
        Some(_) => zone.text().and_then(|name| name.parse().ok()).ok_or_else(|| {
            zone.bad("bad_zone", "must be the IANA name of a time zone, such as \"Europe/Oslo\"")
        })?,
    };
    let month = case.get("month");
    let month = month.text().and_then(|text| Month::parse(text, zone)).ok_or_else(|| {
        month.bad("bad_month", "must be a month from 1970-01 to 2999-12, such as \"2026-11\"")
    })?;

    let mut ids = BTreeSet::new();
    let outages = case.get("outages").each(|outage| {
        let outage = outage.object("bad_interval")?;
        Ok(Down { id: outage.get("id").id(&mut ids)?, time: outage.interval()? })
    })?;
    let unknown =
        case.get("unknown").each(|interval| interval.object("bad_interval")?.interval())?;
    let exclusions = case.get("exclusions").each(|exclusion| {
        let exclusion = exclusion.object("bad_interval")?;
        Ok(Exclusion {
            id: exclusion.get("id").id(&mut ids)?,
            ground: exclusion.ground()?,
            time: exclusion.interval()?,
            status: exclusion.get("status").one_of("bad_status", STATUS)?,
        })
    })?;

    let (start, end) = match case.get("subscription").object_or_none("bad_schema")? {
        Some(subscription) => {
            (subscription.get("start_date").date()?, subscription.get("end_date").date()?)
        }
        None => (None, None),
    };
    let period = Period::new(month, start, end).ok_or_else(|| {
        case.get("subscription").bad("no_active_days", "covers no day of the month")
    })?;
    let annual = case.get("fee").object("bad_fee")?.get("annual_ore").ore("bad_fee")?;

    let claim = case.get("claim").object_or_none("bad_schema")?;
    let claim = claim.map(|claim| {
        Ok(Claim {
            notified_at: claim.get("notified_at").instant()?,
            written: claim.get("written").yes_or_no(true)?,
            evidence: claim.get("evidence").yes_or_no(false)?,
        })
    });
    let cap = case.get("cap").object_or_none("bad_cap")?;
    let cap = cap.map(|cap| {
        Ok(Cap {
            paid: cap.get("paid_last_12_months_ore").ore("bad_cap")?,
            incurred: cap.get("already_incurred_ore").ore("bad_cap")?,
        })
    });
    let case = Case {
        outages,
        unknown,
        exclusions,
        claim: claim.transpose()?,
        cap: cap.transpose()?,
        policy: case.policy()?,
        terms: case.terms()?,
        ..Case::new(period, annual)
    };
    Ok(Named { id: root.get("id").value.cloned().unwrap_or_default(), case })
}

const STATUS: &[(&str, Status)] = &[
    ("accepted", Status::Accepted),
    ("disputed", Status::Disputed),
    ("rejected", Status::Rejected),
];

impl<'v> At<'v> {
    fn bad(&self, code: &'static str, must: &str) -> Refusal {
        let found = match self.value {
            None => "nothing is here".to_owned(),
            Some(value) => short(value),
        };
        Refusal { code, path: self.path.clone(), why: format!("{found}; {must}") }
    }

    /// What is at `key`; nothing if this is no object.
    fn get(&self, key: &str) -> Self {
        let value = self.value.and_then(Value::as_object).and_then(|object| object.get(key));
        Self { value, path: format!("{}.{key}", self.path) }
    }

    fn object(&self, code: &'static str) -> Read<Self> {
        match self.value {
            Some(Value::Object(_)) => Ok(self.clone()),
            _ => Err(self.bad(code, "must be an object")),
        }
    }

    fn object_or_none(&self, code: &'static str) -> Read<Option<Self>> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.object(code).map(Some),
        }
    }

    /// Every element of a list, as `read` reads it; none if there is no list.
    fn each<T>(&self, mut read: impl FnMut(Self) -> Read<T>) -> Read<Vec<T>> {
        let elements = match self.value {
            None => return Ok(Vec::new()),
            Some(Value::Array(elements)) => elements,
            Some(_) => return Err(self.bad("bad_schema", "must be a list")),
        };
        let elements = elements.iter().enumerate();
        elements
            .map(|(place, value)| {
                read(At { value: Some(value), path: format!("{}[{place}]", self.path) })
            })
            .collect()
    }

    fn text(&self) -> Option<&'v str> {
        self.value.and_then(Value::as_str)
    }

    fn id(&self, taken: &mut BTreeSet<String>) -> Read<String> {
        let id = self.text().ok_or_else(|| self.bad("bad_id", "must be a text"))?;
        if !taken.insert(id.to_owned()) {
            return Err(self.bad("bad_id", "is used twice; every outage and exclusion has its own"));
        }
        Ok(id.to_owned())
    }

    fn one_of<T: Copy + Default>(&self, code: &'static str, words: &[(&str, T)]) -> Read<T> {
        let Some(value) = self.value else { return Ok(T::default()) };
        let known = words.iter().find(|(word, _)| value.as_str() == Some(*word));
        known.map(|(_, meant)| *meant).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.bad(code, &format!("must be one of {}", words.join(", ")))
        })
    }

    fn yes_or_no(&self, default: bool) -> Read<bool> {
        match self.value {
            None => Ok(default),
            Some(Value::Bool(yes)) => Ok(*yes),
            Some(_) => Err(self.bad("bad_schema", "must be true or false")),
        }
    }

    fn ore(&self, code: &'static str) -> Read<Ore> {
        let ore = self.value.and_then(Value::as_i64).and_then(Ore::new);
        ore.ok_or_else(|| {
            self.bad(code, &format!("must be a whole number of øre from 0 to {}", Ore::MAX))
        })
    }

    fn interval(&self) -> Read<Interval> {
        let (start, end) = (self.get("start").instant()?, self.get("end").instant()?);
        Interval::new(start, end)
            .ok_or_else(|| self.get("start").bad("bad_interval", "must be before its end"))
    }

    fn instant(&self) -> Read<i64> {
        self.text().and_then(instant).ok_or_else(|| {
            let must =
                "must be an instant in whole seconds of UTC, such as \"2026-11-30T22:59:59Z\"";
            self.bad("bad_time", must)
        })
    }

    fn instant_or_none(&self) -> Read<Option<i64>> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.instant().map(Some),
        }
    }

    fn date(&self) -> Read<Option<NaiveDate>> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text().and_then(date).map(Some).ok_or_else(|| {
                self.bad("bad_date", "must be a date, such as \"2026-11-30\", or null")
            }),
        }
    }

    fn ground(&self) -> Read<Ground> {
        let kind = self.get("kind");
        Ok(match kind.text() {
            Some("agreed_suspension") => {
                Ground::AgreedSuspension { agreed_at: self.get("agreed_at").instant_or_none()? }
            }
            Some("planned_maintenance") => {
                let notice = self.get("notice").object_or_none("bad_time")?;
                let notice = notice.map(|notice| {
                    Ok(Notice {
                        given_at: notice.get("given_at").instant()?,
                        written: notice.get("written").yes_or_no(false)?,
                    })
                });
                Ground::PlannedMaintenance(notice.transpose()?)
            }
            Some("security_maintenance") => Ground::SecurityMaintenance,
            Some("authority_order") => Ground::AuthorityOrder,
            Some("outside_control") => Ground::OutsideControl,
            Some("customer_caused") => Ground::CustomerCaused,
            Some("product_connectivity") => Ground::ProductConnectivity,
            Some("battery") => Ground::Battery,
            _ => {
                let must = "must be one of \"agreed_suspension\", \"planned_maintenance\", \
                            \"security_maintenance\", \"authority_order\", \"outside_control\", \
                            \"customer_caused\", \"product_connectivity\", \"battery\"";
                return Err(kind.bad("bad_kind", must));
            }
        })
    }

    fn terms(&self) -> Read<Terms> {
        const CODE: &str = "bad_policy";
        let usual = Terms::default();
        let tiers = self.get("tiers");
        let limits = tiers.each(|tier| {
            let tier = tier.object(CODE)?;
            let (below, credit) = (tier.get("below"), tier.get("credit"));
            let percent = credit.value.and_then(Value::as_u64).and_then(|it| it.try_into().ok());
            Ok(Limit {
                below: below.text().and_then(hundredths).ok_or_else(|| {
                    below.bad(CODE, "must be an uptime in percent as a text, such as \"99.50\"")
                })?,
                credit: percent
                    .ok_or_else(|| credit.bad(CODE, "must be a whole number of percent"))?,
            })
        })?;
        let own = || Tiers::new(limits).map_err(|error| tiers.bad(CODE, &error.to_string()));
        Ok(Terms {
            tiers: if tiers.value.is_some() { own()? } else { usual.tiers },
            claim_days: self.get("claim_days").days(usual.claim_days, 3_650)?,
            notice_days: self
                .get("notice_days")
                .days(usual.notice_days.into(), 255)?
                .try_into()
                .unwrap_or(u8::MAX),
            ..usual
        })
    }

    fn days(&self, default: u16, most: u16) -> Read<u16> {
        let Some(value) = self.value else { return Ok(default) };
        let days = value.as_u64().and_then(|days| u16::try_from(days).ok());
        days.filter(|days| *days <= most).ok_or_else(|| {
            self.bad("bad_policy", &format!("must be a whole number of days up to {most}"))
        })
    }

    fn policy(&self) -> Read<Policy> {
        const CODE: &str = "bad_policy";
        let policy = self.get("policy");
        let Some(policy) = policy.object_or_none(CODE)? else { return Ok(Policy::default()) };
        let known =
            ["short_rule", "straddle", "unknown", "denominator", "notice_rule", "breach_moment"];
        let given = policy.value.and_then(Value::as_object).map(Map::keys);
        if let Some(key) = given.into_iter().flatten().find(|key| !known.contains(&key.as_str())) {
            let must = format!("there is no such setting; known are {}", known.join(", "));
            return Err(policy.get(key).bad(CODE, &must));
        }
        Ok(Policy {
            short_rule: policy
                .get("short_rule")
                .one_of(CODE, &[("gross", ShortRule::Gross), ("net", ShortRule::Net)])?,
            straddle: policy
                .get("straddle")
                .one_of(CODE, &[("whole", Straddle::Whole), ("per_month", Straddle::PerMonth)])?,
            unknown: policy
                .get("unknown")
                .one_of(CODE, &[("up", UnknownIs::Up), ("down", UnknownIs::Down)])?,
            denominator: policy.get("denominator").one_of(
                CODE,
                &[("contract", Denominator::Contract), ("real", Denominator::Real)],
            )?,
            notice_rule: policy.get("notice_rule").one_of(
                CODE,
                &[
                    ("date_diff", NoticeRule::DateDiff),
                    ("clear_days", NoticeRule::ClearDays),
                    ("hours72", NoticeRule::Hours72),
                ],
            )?,
            breach_moment: policy.get("breach_moment").one_of(
                CODE,
                &[
                    ("month_end", BreachMoment::MonthEnd),
                    ("crossing", BreachMoment::Crossing),
                    ("first_outage", BreachMoment::FirstOutage),
                ],
            )?,
        })
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ` and nothing else, in seconds UTC since 1970.
fn instant(text: &str) -> Option<i64> {
    let day = text.get(..10).and_then(date)?;
    let [b'T', h1, h0, b':', m1, m0, b':', s1, s0, b'Z'] = *text.as_bytes().get(10..)? else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let digit = |it: u8| it.is_ascii_digit().then(|| u32::from(it - b'0'));
        Some(10 * digit(tens)? + digit(ones)?)
    };
    let time = day.and_hms_opt(two(h1, h0)?, two(m1, m0)?, two(s1, s0)?)?;
    Some(time.and_utc().timestamp())
}

/// `YYYY-MM-DD` and nothing else.
fn date(text: &str) -> Option<NaiveDate> {
    let digits = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten()
    };
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let year = i32::try_from(digits(year)?).ok().filter(|year| *year > 0)?;
    NaiveDate::from_ymd_opt(year, digits(month)?, digits(day)?)
}

/// A value as a sentence shows it: not longer than a line.
fn short(value: &Value) -> String {
    let whole = value.to_string();
    match whole.char_indices().nth(60) {
        Some((end, _)) => format!("{}… is here", whole.get(..end).unwrap_or_default()),
        None => format!("{whole} is here"),
    }
}

#[cfg(test)]
mod tests;
