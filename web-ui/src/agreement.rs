//! A contract as people write it: in a file, or in the form of the page.
//!
//! Sums and percentages are text, so that no digit of them is ever rounded. What is left out is as
//! usual; what is not known is a mistake, and the sentence on it names the key.

use std::str::FromStr;

use chrono::NaiveDate;
use chrono_tz::Tz;
use ledger::book::Book;
use ledger::case::{Ore, Policy};
use ledger::entry::{BeforeCase, Contract, Entry, Fact};
use ledger::{Limit, Month, NoWord, Terms, Tiers};
use serde::{Deserialize, Serialize};
use store::{Core, StoreError};
use utoipa::ToSchema;

/// What the ledger says was agreed. Entries that were read are not read again: a ledger only grows.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    read: u64,
    /// The contracts, and what corrects them.
    entries: Vec<Entry>,
}

impl Agreed {
    /// The terms of the contract of `month`; the usual ones if there is none.
    pub(crate) async fn terms(&mut self, core: &Core, month: Month) -> Result<Terms, StoreError> {
        for bytes in core.ledger(self.read).await? {
            self.read += 1;
            let said = Entry::from_bytes(&bytes);
            self.entries.extend(
                said.filter(|it| matches!(it.fact, Fact::Contract(_) | Fact::Correction(_))),
            );
        }
        Ok(Book::new(&self.entries).terms(&month.to_string()).cloned().unwrap_or_default())
    }
}

/// A contract as people write it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// The number of the contract, or the line's name in it.
    line: String,
    customer: String,
    vendor: String,
    /// Whose days and months they are: `Europe/Oslo`
    #[serde(default = "oslo")]
    time_zone: String,
    /// The first covered day; `null` for ever before.
    start: Option<String>,
    /// The first day that is not covered any more; `null` if no end is agreed.
    end: Option<String>,
    /// The fee of a year, net of VAT: `12000.00`
    annual_fee: String,
    #[serde(default = "nok")]
    currency: String,
    /// In tenths of a percent: 250 for 25 %.
    #[serde(default = "norwegian_vat")]
    vat_permille: u16,
    #[serde(default)]
    policy: AgreedReading,
    /// Below which uptime how much is credited; the usual ones if there are none.
    #[serde(default)]
    tier: Vec<AgreedTier>,
    /// The limit of all liability in twelve months.
    liability_cap: Option<String>,
    claim_days: Option<u16>,
    notice_days: Option<u8>,
    /// The sites that have this one fee.
    #[serde(default)]
    sites: Vec<String>,
}

/// One tier as people write it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AgreedTier {
    /// `99.50`, in percent.
    below: String,
    /// In percent of the month's fee.
    credit: u8,
}

/// How a contract is read where it is silent: each setting by its word, as usual if it is left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AgreedReading {
    /// `gross`, `net`
    short_rule: Option<String>,
    /// `whole`, `per_month`
    straddle: Option<String>,
    /// `up`, `down`
    unknown: Option<String>,
    /// `contract`, `real`
    denominator: Option<String>,
    /// `date_diff`, `clear_days`, `hours72`
    notice_rule: Option<String>,
    /// `month_end`, `crossing`, `first_outage`
    breach_moment: Option<String>,
    /// `down`, `unknown`
    single_vantage: Option<String>,
    /// `by_days`, `full_month`
    partial_month: Option<String>,
    /// `whole_window`, `remainder_valid`
    late_notice: Option<String>,
    /// `2`, `1`
    recovery_successes: Option<String>,
    /// `manual`, `refund`
    credit_without_next_bill: Option<String>,
    /// `wired`, `metered`
    link: Option<String>,
    /// `any_site`, `weighted`
    many_sites_one_fee: Option<String>,
    /// `not_counted`, `counted`
    ingest_outage: Option<String>,
}

fn oslo() -> String {
    "Europe/Oslo".to_owned()
}

fn nok() -> String {
    "NOK".to_owned()
}

const fn norwegian_vat() -> u16 {
    250
}

impl Agreement {
    /// What it says.
    ///
    /// # Errors
    ///
    /// One sentence on the first thing that cannot be read.
    pub fn contract(self) -> Result<Contract, String> {
        let terms = self.terms()?;
        for (name, text) in
            [("line", &self.line), ("customer", &self.customer), ("vendor", &self.vendor)]
        {
            let letters = text.trim().chars().count();
            if letters == 0 || letters > MOST_NAME {
                return Err(format!("{name}: has 1 to {MOST_NAME} letters"));
            }
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|it| it.is_ascii_uppercase()) {
            return Err(format!("currency: `{}` is not a code such as NOK", self.currency));
        }
        if self.vat_permille > 1_000 {
            return Err(format!(
                "vat_permille: {} is above 1000, which is 100 %",
                self.vat_permille
            ));
        }
        let (start, end) = (date("start", self.start)?, date("end", self.end)?);
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            return Err("end: the contract ends before it begins".to_owned());
        }
        let read = self.policy;
        let fee = &self.annual_fee;
        Ok(Contract {
            line: self.line.trim().to_owned(),
            customer: self.customer.trim().to_owned(),
            vendor: self.vendor.trim().to_owned(),
            zone: self
                .time_zone
                .parse::<Tz>()
                .map_err(|_| format!("`{}` is not the IANA name of a time zone", self.time_zone))?,
            start,
            end,
            annual: ore(fee).ok_or_else(|| format!("`{fee}` is not a sum such as \"12000.00\""))?,
            currency: self.currency,
            vat_permille: self.vat_permille,
            policy: Policy {
                short_rule: word("short_rule", read.short_rule)?,
                straddle: word("straddle", read.straddle)?,
                unknown: word("unknown", read.unknown)?,
                denominator: word("denominator", read.denominator)?,
                notice_rule: word("notice_rule", read.notice_rule)?,
                breach_moment: word("breach_moment", read.breach_moment)?,
            },
            before: BeforeCase {
                single_vantage: word("single_vantage", read.single_vantage)?,
                partial_month: word("partial_month", read.partial_month)?,
                late_notice: word("late_notice", read.late_notice)?,
                recovery_successes: word("recovery_successes", read.recovery_successes)?,
                credit_without_next_bill: word(
                    "credit_without_next_bill",
                    read.credit_without_next_bill,
                )?,
                line: word("link", read.link)?,
                many_sites_one_fee: word("many_sites_one_fee", read.many_sites_one_fee)?,
                ingest_outage: word("ingest_outage", read.ingest_outage)?,
            },
            terms,
        })
    }

    /// What it sets otherwise than is usual.
    fn terms(&self) -> Result<Terms, String> {
        let usual = Terms::default();
        let limit = |tier: &AgreedTier| {
            let below = hundredths(&tier.below).ok_or_else(|| {
                format!("tier: `{}` is not a percentage such as 99.5", tier.below)
            })?;
            Ok(Limit { below, credit: tier.credit })
        };
        let limits = self.tier.iter().map(limit).collect::<Result<Vec<_>, String>>()?;
        let tiers = if limits.is_empty() {
            usual.tiers
        } else {
            Tiers::new(limits).map_err(|error| format!("tier: {error}"))?
        };
        let cap = self.liability_cap.as_deref().map(|sum| {
            ore(sum)
                .ok_or_else(|| format!("liability_cap: `{sum}` is not a sum such as \"12000.00\""))
        });
        Ok(Terms {
            tiers,
            cap: cap.transpose()?,
            claim_days: self.claim_days.unwrap_or(usual.claim_days),
            notice_days: self.notice_days.unwrap_or(usual.notice_days),
            sites: self.sites.clone(),
        })
    }

    /// How `contract` would be written.
    pub(crate) fn of(contract: &Contract) -> Self {
        let day = |day: Option<NaiveDate>| day.map(|day| day.to_string());
        let sum = |ore: Ore| format!("{}.{:02}", ore.ore() / 100, ore.ore() % 100);
        let tier = |limit: &Limit| AgreedTier {
            below: format!("{}.{:02}", limit.below / 100, limit.below % 100),
            credit: limit.credit,
        };
        let (policy, before, terms) = (contract.policy, contract.before, &contract.terms);
        Self {
            line: contract.line.clone(),
            customer: contract.customer.clone(),
            vendor: contract.vendor.clone(),
            time_zone: contract.zone.name().to_owned(),
            start: day(contract.start),
            end: day(contract.end),
            annual_fee: sum(contract.annual),
            currency: contract.currency.clone(),
            vat_permille: contract.vat_permille,
            policy: AgreedReading {
                short_rule: Some(policy.short_rule.to_string()),
                straddle: Some(policy.straddle.to_string()),
                unknown: Some(policy.unknown.to_string()),
                denominator: Some(policy.denominator.to_string()),
                notice_rule: Some(policy.notice_rule.to_string()),
                breach_moment: Some(policy.breach_moment.to_string()),
                single_vantage: Some(before.single_vantage.to_string()),
                partial_month: Some(before.partial_month.to_string()),
                late_notice: Some(before.late_notice.to_string()),
                recovery_successes: Some(before.recovery_successes.to_string()),
                credit_without_next_bill: Some(before.credit_without_next_bill.to_string()),
                link: Some(before.line.to_string()),
                many_sites_one_fee: Some(before.many_sites_one_fee.to_string()),
                ingest_outage: Some(before.ingest_outage.to_string()),
            },
            tier: terms.tiers.limits().iter().map(tier).collect(),
            liability_cap: terms.cap.map(sum),
            claim_days: Some(terms.claim_days),
            notice_days: Some(terms.notice_days),
            sites: terms.sites.clone(),
        }
    }
}

fn date(name: &str, text: Option<String>) -> Result<Option<NaiveDate>, String> {
    let parse = |text: String| {
        text.parse().map_err(|_| format!("{name}: `{text}` is not a date such as 2026-11-01"))
    };
    text.map(parse).transpose()
}

/// The setting of this word.
fn word<T: Default + FromStr<Err = NoWord>>(
    name: &'static str,
    word: Option<String>,
) -> Result<T, String> {
    let parse = |word: String| word.parse().map_err(|error| format!("policy.{name}: {error}"));
    word.map_or_else(|| Ok(T::default()), parse)
}

/// `12000.00` or `12000`, in hundredths.
fn ore(text: &str) -> Option<Ore> {
    let (whole, hundredths) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    if !digits(whole) || !digits(hundredths) || hundredths.len() != 2 {
        return None;
    }
    let (whole, hundredths): (i64, i64) = (whole.parse().ok()?, hundredths.parse().ok()?);
    Ore::new(whole.checked_mul(100)?.checked_add(hundredths)?)
}

/// `99.5`, `99.50` or `99`, in hundredths of a percent; `None` if it is something else.
pub fn hundredths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || rest.len() > 2 {
        return None;
    }
    let rest: u16 = format!("{rest:0<2}").parse().ok()?;
    whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(rest)
}

const MOST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use ledger::entry::IngestOutage;

    use super::*;

    #[test]
    fn a_contract_that_is_written_again_is_the_same() {
        let own = Contract {
            start: NaiveDate::from_ymd_opt(2026, 11, 1),
            terms: Terms { cap: Ore::new(1_200_050), claim_days: 60, ..Terms::default() },
            before: BeforeCase {
                line: ledger::entry::Link::Metered,
                ingest_outage: IngestOutage::Counted,
                ..BeforeCase::default()
            },
            ..Contract::new("4711", "Bakken", "Fjord AS", Ore::new(358_801).unwrap())
        };
        assert_eq!(Agreement::of(&own).contract(), Ok(own));
    }

    #[test]
    fn a_sum_has_two_decimals_or_none() {
        let of = |text| ore(text).map(Ore::ore);
        assert_eq!(of("12000.00"), Some(1_200_000));
        assert_eq!(of("12000"), Some(1_200_000));
        for wrong in ["12000.5", "-1", "", ".50", "1e3", "12 000", "99999999999999999"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
