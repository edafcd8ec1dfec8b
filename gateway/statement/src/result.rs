//! What a case came to, as JSON.

use ledger::case::Case;
use ledger::settlement::{Counted, Deadlines, Settlement};
use serde_json::{Value, json};

use crate::written;

/// The result of a case: every key of `sla-result/1`.
pub fn told(id: &Value, case: &Case, settled: &Settlement) -> Value {
    let (period, totals) = (case.period, settled.totals);
    let outages = settled.outages.iter().map(|outage| {
        json!({
            "ids": outage.ids,
            "start": written(outage.time.from()),
            "end": written(outage.time.until()),
            "gross_s": outage.time.seconds(),
            "in_period_s": outage.in_period,
            "short_s": outage.short,
            "excluded_s": outage.excluded,
            "counted_s": outage.counted,
        })
    });
    let exclusions = settled.exclusions.iter().map(|exclusion| {
        json!({
            "id": exclusion.id,
            "kind": exclusion.kind,
            "reason": exclusion.reason.as_str(),
            "effective_s": exclusion.effective,
        })
    });
    let deadline = |of: fn(&Deadlines) -> chrono::NaiveDate| {
        settled.deadlines.as_ref().map(|deadlines| of(deadlines).to_string())
    };
    let counted = |it: Counted| json!({"counted_s": it.seconds, "tier": it.tier.percent()});
    json!({
        "schema": "sla-result/1",
        "id": id,
        "month": period.month().to_string(),
        "period": {
            "start": written(period.time().from()),
            "end": written(period.time().until()),
            "days": period.month().days(),
            "active_days": period.days(),
            "contract_minutes": 1_440 * period.days(),
            "real_s": period.time().seconds(),
        },
        "outages": outages.collect::<Vec<_>>(),
        "exclusions": exclusions.collect::<Vec<_>>(),
        "totals": {
            "down_s": totals.down,
            "short_s": totals.short,
            "excluded_s": totals.excluded,
            "counted_s": totals.counted,
            "unknown_s": totals.unknown,
        },
        "uptime": {
            "num_s": settled.up(),
            "den_s": settled.denominator,
            "percent": settled.percent(),
        },
        "tier": settled.tier.percent(),
        "fee": {
            "month_num_ore": settled.fee.numerator,
            "month_den": settled.fee.denominator,
        },
        "claim": {
            "state": settled.claim.as_str(),
            "crossed_at": settled.crossed_at.map(written),
            "deadlines": {
                "month_end": deadline(|it| it.month_end),
                "crossing": deadline(|it| it.crossing),
                "first_outage": deadline(|it| it.first_outage),
            },
        },
        "credit": {
            "claimable_ore": settled.claimable,
            "due_ore": settled.due,
            "capped": settled.capped,
        },
        "sensitivity": {
            "unknown_as_down": counted(settled.unknown_as_down),
            "disputed_accepted": counted(settled.disputed_accepted),
        },
    })
}
