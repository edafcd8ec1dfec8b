//! `fyrhus sla reconcile`: the customer's book of a month and the vendor's, difference by difference.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ledger::Interval;
use ledger::case::Case;
use ledger::reconcile::reconcile;
use ledger::settlement::Settlement;
use serde_json::{Value, json};
use statement::written;

use super::super::{Out, read_config};
use super::case;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Both are cases of one service line and month, such as case.json of two evidence files. Contract,
exclusions and claim are those of the customer's.")]
pub(in crate::cli) struct Reconcile {
    /// The customer's case
    #[arg(value_name = "CUSTOMER.json")]
    customer: PathBuf,
    /// The vendor's case
    #[arg(value_name = "VENDOR.json")]
    vendor: PathBuf,
}

impl Reconcile {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let (customer, vendor) = (read(&self.customer)?, read(&self.vendor)?);
        if customer.period != vendor.period {
            bail!("the two cases are not of the same days of one month");
        }
        let found = reconcile(&customer, &vendor);
        let (least, most) = found.credit();
        let view = |settled: &Settlement| {
            json!({
                "counted_s": settled.totals.counted,
                "tier": settled.tier.percent(),
                "claimable_ore": settled.claimable,
            })
        };
        let told = json!({
            "month": customer.period.month().to_string(),
            "both_down_s": found.both,
            "only_customer_s": found.only_customer,
            "only_vendor_s": found.only_vendor,
            "unknown_s": found.unknown,
            "incidents": found.incidents.iter().map(|incident| json!({
                "customer": incident.customer.map(times),
                "vendor": incident.vendor.map(times),
            })).collect::<Vec<_>>(),
            "customer": view(&found.customer),
            "vendor": view(&found.vendor),
            "agreed": view(&found.agreed),
            "credit_ore": {"least": least, "most": most},
        });
        if out.json {
            out.object(&told)?;
        } else {
            out.line(&format!("{told:#}"))?;
        }
        Ok(true)
    }
}

fn read(file: &Path) -> anyhow::Result<Case> {
    let case = case::read(read_config(file)?.as_bytes());
    let case = case.map_err(|refusal| anyhow::anyhow!("{refusal}"));
    Ok(case.with_context(|| file.display().to_string())?.case)
}

fn times(time: Interval) -> Value {
    json!({"start": written(time.from()), "end": written(time.until())})
}
