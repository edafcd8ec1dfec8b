//! Several sites on one fee: the month of all of them, as their ledgers and the contract have it.

use ledger::book::Book;
use ledger::case::Case;
use ledger::entry::ManySites;
use ledger::together::Together;
use metering::SiteId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{beside, running, sum, time};
use crate::branches::Reach;
use crate::ledgers::NotSaid;
use crate::people::People;
use crate::problem::Problem;
use crate::repository::Repository;

/// What they come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Together)]
pub(crate) struct TogetherBody {
    /// `any_site` or `weighted`.
    rule: String,
    percent: String,
    counted_s: i64,
    tier: u8,
    claimable: String,
    sites: Vec<SiteBody>,
    /// The line's outages that count, as far as the rule unites them.
    outages: Vec<OutageBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TogetherSite)]
struct SiteBody {
    #[schema(value_type = String)]
    site: SiteId,
    name: String,
    percent: String,
    counted_s: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TogetherOutage)]
struct OutageBody {
    from: String,
    until: String,
    counted_s: i64,
    /// The names of the sites that were down in it.
    sites: Vec<String>,
}

/// What the sites with the same line of the same customer as `site` come to in `month`; `None` if there
/// is no other, if their contracts differ, or if whoever
/// asks has not all of them.
pub(super) async fn of<R: Repository>(
    people: &People<R>,
    reach: &Reach,
    site: SiteId,
    line: &str,
    customer: &str,
    month: &str,
) -> Result<Option<TogetherBody>, Problem> {
    let now = people.clock.now().wall;
    let mut cases: Vec<(SiteId, String, Case)> = Vec::new();
    let mut rules: Vec<ManySites> = Vec::new();
    for other in people.repository.sites().await? {
        let promise = running(people, &other, now).await?;
        let same = promise.is_some_and(|it| it.line == line && it.customer == customer);
        let Some(gateway) = other.gateway.as_ref().filter(|_| same).map(|gateway| gateway.id)
        else {
            continue;
        };
        if reach.at(other.id).is_none() {
            return Ok(None);
        }
        let chain = match people.ledgers.customer(gateway).await {
            Ok(Some(chain)) => chain,
            Ok(None) | Err(NotSaid::Broken(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let named = month.to_owned();
        let statement = beside(move || Book::new(chain.entries()).statement(&named).ok()).await?;
        let Some(statement) = statement else { continue };
        rules.push(statement.contract.before.many_sites_one_fee);
        // Two buildings may have one name, and the parts of an outage are told by it.
        let twice = cases.iter().any(|(_, name, _)| *name == other.name);
        let name = if twice { format!("{} ({})", other.name, other.id) } else { other.name };
        cases.push((other.id, name, statement.case));
    }
    // Two ledgers that read the contract differently come to no one sum.
    let Some(&rule) = rules.first().filter(|first| rules.iter().all(|rule| rule == *first)) else {
        return Ok(None);
    };
    if cases.len() < 2 || !cases.iter().any(|(other, ..)| *other == site) {
        return Ok(None);
    }
    let named: Vec<(String, Case)> =
        cases.iter().map(|(_, name, case)| (name.clone(), case.clone())).collect();
    let found = beside(move || Together::of(&named, rule)).await?;
    Ok(found.ok().map(|found| TogetherBody::told(&found, &cases)))
}

impl TogetherBody {
    fn told(found: &Together, cases: &[(SiteId, String, Case)]) -> Self {
        let (up, of) = found.uptime();
        let sites =
            cases.iter().zip(&found.sites).map(|((site, name, _), (_, settled))| SiteBody {
                site: *site,
                name: name.clone(),
                percent: settled.percent(),
                counted_s: settled.totals.counted,
            });
        let outages = found.united.outages.iter().filter(|outage| outage.counted > 0);
        let outages = outages.map(|outage| OutageBody {
            from: time(outage.time.from()),
            until: time(outage.time.until()),
            counted_s: outage.counted,
            sites: found.down_in(outage.time).map(str::to_owned).collect(),
        });
        Self {
            rule: found.rule.to_string(),
            percent: found.percent(),
            counted_s: (of - up).max(0),
            tier: found.tier().percent(),
            claimable: sum(found.claimable()),
            sites: sites.collect(),
            outages: outages.collect(),
        }
    }
}
