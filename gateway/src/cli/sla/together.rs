//! `fyrhus sla together`: one month of a line that has several sites on one fee.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use ledger::case::Case;
use ledger::entry::ManySites;
use ledger::together::Together;
use serde_json::json;
use statement::written;

use super::super::{Out, read_config};
use super::case;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each case is of one site, such as case.json of its evidence file. Check the evidence files by
`fyrhus sla verify` first: here they are believed.")]
pub(in crate::cli) struct ShowTogether {
    /// The sites, each with the case of its gateway's ledger
    #[arg(value_name = "SITE=CASE.json", required = true)]
    sites: Vec<Site>,
    #[arg(
        long,
        default_value = "any_site",
        help = "any_site: down while a report of any site cannot be had; weighted: the mean of the sites"
    )]
    rule: ManySites,
}

#[derive(Clone, Debug)]
struct Site {
    name: String,
    file: PathBuf,
}

impl FromStr for Site {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                Ok(Self { name: name.to_owned(), file: file.into() })
            }
            _ => Err("a site is written NAME=FILE"),
        }
    }
}

impl ShowTogether {
    pub(in crate::cli) fn run(self, out: &mut Out) -> anyhow::Result<bool> {
        let mut cases: Vec<(String, Case)> = Vec::new();
        for Site { name, file } in &self.sites {
            if cases.iter().any(|(known, _)| known == name) {
                bail!("there are two sites called {name}");
            }
            cases.push((name.clone(), read(file)?));
        }
        let found = Together::of(&cases, self.rule)?;
        let (up, of) = found.uptime();
        let told = json!({
            "month": found.case.period.month().to_string(),
            "rule": found.rule.to_string(),
            "uptime": {"num_s": up, "den_s": of, "percent": found.percent()},
            "tier": found.tier().percent(),
            "claimable_ore": found.claimable(),
            "sites": found.sites.iter().map(|(site, settled)| json!({
                "site": site,
                "counted_s": settled.totals.counted,
                "percent": settled.percent(),
            })).collect::<Vec<_>>(),
            "outages": found.united.outages.iter().map(|outage| json!({
                "parts": outage.ids,
                "start": written(outage.time.from()),
                "end": written(outage.time.until()),
                "short_s": outage.short,
                "excluded_s": outage.excluded,
                "counted_s": outage.counted,
            })).collect::<Vec<_>>(),
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
