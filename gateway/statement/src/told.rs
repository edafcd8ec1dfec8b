//! A statement as the readable files beside the ledger: case, result, statement, table.
//!
//! **Never true:** that one of them says what does not follow from the ledger: who checks makes them
//! again and compares every byte.

use documents::{Cell, Table};
use ledger::book::{Stage, Statement};
use ledger::case::{Case, Exclusion, Ground};
use ledger::entry::PartialMonth;
use ledger::{Code, Limit, Terms, Tiers};
use serde_json::{Value, json};

use crate::{Language, written};

/// The name that the case of a statement has.
pub(crate) fn case_id(statement: &Statement) -> Value {
    json!(format!("{} {}", statement.contract.line, statement.case.period.month()))
}

/// The case, as `fyrhus sla evaluate` takes it.
pub fn case(statement: &Statement) -> Value {
    let (case, contract) = (&statement.case, &statement.contract);
    let by_days = contract.before.partial_month == PartialMonth::ByDays;
    let date = |date: Option<chrono::NaiveDate>| {
        by_days.then_some(date).flatten().map(|date| date.to_string())
    };
    let mut told = json!({
        "schema": "sla-case/1",
        "id": case_id(statement),
        "month": case.period.month().to_string(),
        "time_zone": contract.zone.name(),
        "outages": case.outages.iter().map(|outage| json!({
            "id": outage.id,
            "start": written(outage.time.from()),
            "end": written(outage.time.until()),
        })).collect::<Vec<_>>(),
        "unknown": case.unknown.iter().map(|time| json!({
            "start": written(time.from()),
            "end": written(time.until()),
        })).collect::<Vec<_>>(),
        "exclusions": case.exclusions.iter().map(exclusion).collect::<Vec<_>>(),
        "subscription": {"start_date": date(contract.start), "end_date": date(contract.end)},
        "fee": {"annual_ore": case.annual.ore(), "currency": contract.currency},
        "claim": case.claim.map(|claim| json!({
            "notified_at": written(claim.notified_at),
            "written": claim.written,
            "evidence": claim.evidence,
        })),
        "cap": case.cap.map(|cap| json!({
            "paid_last_12_months_ore": cap.paid.ore(),
            "already_incurred_ore": cap.incurred.ore(),
        })),
        "policy": policy(case),
    });
    // A case of usual terms has no word of them.
    let (terms, usual) = (&case.terms, Terms::default());
    if let Some(told) = told.as_object_mut() {
        let mut set = |key: &str, value: Value| told.insert(key.to_owned(), value);
        if terms.tiers != usual.tiers {
            set("tiers", tiers(&terms.tiers));
        }
        if terms.claim_days != usual.claim_days {
            set("claim_days", json!(terms.claim_days));
        }
        if terms.notice_days != usual.notice_days {
            set("notice_days", json!(terms.notice_days));
        }
    }
    told
}

/// As cases and statements have them: what is credited below which uptime.
fn tiers(tiers: &Tiers) -> Value {
    let tier = |limit: &Limit| {
        let (whole, rest) = (limit.below / 100, limit.below % 100);
        json!({"below": format!("{whole}.{rest:02}"), "credit": limit.credit})
    };
    tiers.limits().iter().map(tier).collect()
}

fn exclusion(exclusion: &Exclusion) -> Value {
    let mut told = json!({
        "id": exclusion.id,
        "kind": exclusion.ground.as_str(),
        "start": written(exclusion.time.from()),
        "end": written(exclusion.time.until()),
        "status": exclusion.status.as_str(),
    });
    let with = match exclusion.ground {
        Ground::AgreedSuspension { agreed_at } => {
            Some(("agreed_at", json!(agreed_at.map(written))))
        }
        Ground::PlannedMaintenance(notice) => {
            let notice = notice.map(
                |notice| json!({"given_at": written(notice.given_at), "written": notice.written}),
            );
            Some(("notice", json!(notice)))
        }
        _ => None,
    };
    if let (Some((key, value)), Some(told)) = (with, told.as_object_mut()) {
        told.insert(key.to_owned(), value);
    }
    told
}

fn policy(case: &Case) -> Value {
    use ledger::case::{
        BreachMoment as B, Denominator as D, NoticeRule as N, ShortRule as S, Straddle as T,
        UnknownIs as U,
    };
    let policy = case.policy;
    json!({
        "short_rule": match policy.short_rule { S::Gross => "gross", S::Net => "net" },
        "straddle": match policy.straddle { T::Whole => "whole", T::PerMonth => "per_month" },
        "unknown": match policy.unknown { U::Up => "up", U::Down => "down" },
        "denominator": match policy.denominator { D::Contract => "contract", D::Real => "real" },
        "notice_rule": match policy.notice_rule {
            N::DateDiff => "date_diff",
            N::ClearDays => "clear_days",
            N::Hours72 => "hours72",
        },
        "breach_moment": match policy.breach_moment {
            B::MonthEnd => "month_end",
            B::Crossing => "crossing",
            B::FirstOutage => "first_outage",
        },
    })
}

/// What the case comes to, as `fyrhus sla evaluate` prints it.
pub fn result(statement: &Statement) -> Value {
    crate::result_of(&case_id(statement), &statement.case, &statement.settled)
}

/// The statement, for programs.
pub fn statement(statement: &Statement) -> Value {
    let contract = &statement.contract;
    let stage = statement.stage.as_ref().map(|stage| match stage {
        Stage::Claimed => json!({"state": "claimed", "note": null}),
        Stage::Answered(step, note) => json!({"state": step.as_str(), "note": note}),
    });
    let mut told = json!({
        "schema": "sla-statement/1",
        "line": contract.line,
        "customer": contract.customer,
        "vendor": contract.vendor,
        "currency": contract.currency,
        "vat_permille": contract.vat_permille,
        "provisional": statement.is_provisional(),
        "measurement_incomplete": statement.is_incomplete(),
        "until": written(statement.until),
        "through_entry": statement.through,
        "unknown_s": statement.unknown.iter()
            .map(|unknown| (unknown.code.letter().to_string(), json!(unknown.seconds)))
            .collect::<serde_json::Map<_, _>>(),
        "spans": statement.spans.iter().map(|span| json!({
            "start": written(span.from),
            "end": written(span.until),
            "code": span.code.letter().to_string(),
        })).collect::<Vec<_>>(),
        "corrections": statement.corrections.iter().map(|(seq, correction)| json!({
            "entry": seq,
            "corrects": correction.of,
            "who": correction.who,
            "why": correction.why,
        })).collect::<Vec<_>>(),
        "causes": statement.causes.iter().map(|causes| causes.iter().map(|(failure, times)| json!({
            "failure": Language::English.failure(*failure),
            "attempts": times,
        })).collect()).collect::<Vec<Value>>(),
        "sites": contract.terms.sites,
        "tiers": tiers(&statement.case.terms.tiers),
        "claim": stage,
        "result": result(statement),
    });
    // A statement of a month in which all was taken has no word of it.
    if let Some(told) = told.as_object_mut().filter(|_| !statement.refused.is_empty()) {
        let spans = statement.refused.iter();
        let spans =
            spans.map(|it| json!({"start": written(it.from()), "end": written(it.until())}));
        let ingest = json!({
            "counted": statement.counts_refused(),
            "refused_s": statement.refused_s(),
            "spans": spans.collect::<Vec<_>>(),
        });
        told.insert("ingest".to_owned(), ingest);
    }
    told
}

/// One row for each outage, and one for each exclusion.
pub fn table(statement: &Statement) -> Table {
    let head = [
        "what",
        "id",
        "start (UTC)",
        "end (UTC)",
        "whole (s)",
        "in period (s)",
        "short (s)",
        "excluded (s)",
        "counted (s)",
        "reason",
    ];
    let text = |text: &str| Cell::Text(text.to_owned());
    let figure = |figure: i64| Cell::Figure(figure.to_string());
    let at = |second: i64| Cell::Figure(written(second));
    let outages =
        statement.settled.outages.iter().zip(&statement.causes).map(|(outage, causes)| {
            let causes: Vec<String> = causes
                .iter()
                .map(|(failure, times)| {
                    format!("{times} x {}", Language::English.failure(*failure))
                })
                .collect();
            vec![
                text("outage"),
                text(&outage.ids.join(" ")),
                at(outage.time.from()),
                at(outage.time.until()),
                figure(outage.time.seconds()),
                figure(outage.in_period),
                figure(outage.short),
                figure(outage.excluded),
                figure(outage.counted),
                text(&causes.join(", ")),
            ]
        });
    let window = |id: &str| statement.case.exclusions.iter().find(|it| it.id == id);
    let exclusions = statement.settled.exclusions.iter().map(|exclusion| {
        let time = window(&exclusion.id).map(|it| it.time);
        vec![
            text(exclusion.kind),
            text(&exclusion.id),
            time.map_or(Cell::Empty, |time| at(time.from())),
            time.map_or(Cell::Empty, |time| at(time.until())),
            time.map_or(Cell::Empty, |time| figure(time.seconds())),
            Cell::Empty,
            Cell::Empty,
            figure(exclusion.effective),
            Cell::Empty,
            text(exclusion.reason.as_str()),
        ]
    });
    let refused = statement.refused.iter().map(|it| {
        vec![
            text("new_data_refused"),
            Cell::Empty,
            at(it.from()),
            at(it.until()),
            figure(it.seconds()),
            figure(it.seconds()),
            Cell::Empty,
            Cell::Empty,
            Cell::Empty,
            text(if statement.counts_refused() { "among the outages" } else { "not_counted" }),
        ]
    });
    let rows = outages.chain(exclusions).chain(refused);
    Table { head: head.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// One row for each minute of the period, to be laid beside other logs.
pub fn minutes(statement: &Statement) -> Table {
    let head = ["minute (UTC)", "down (s)", "unknown (s)", "excluded (s)"];
    let minutes = ledger::minutes::minutes(&statement.case, &statement.settled);
    let figure = |figure: i64| Cell::Figure(figure.to_string());
    let rows = minutes.into_iter().map(|minute| {
        let at = Cell::Figure(written(minute.at));
        vec![at, figure(minute.down), figure(minute.unknown), figure(minute.excluded)]
    });
    Table { head: head.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// The statement, for people.
pub fn text(statement: &Statement) -> String {
    let (settled, contract) = (&statement.settled, &statement.contract);
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let kroner = |ore: i64| format!("{}.{:02} {}", ore / 100, ore % 100, contract.currency);
    let month = statement.case.period.month();
    line(format!("{month}  {}  {} / {}", contract.line, contract.customer, contract.vendor));
    if statement.is_provisional() {
        line(format!("provisional: the ledger goes to {}", written(statement.until)));
    }
    let (up, of) = (settled.up(), settled.denominator);
    line(format!("uptime {} %  ({up} of {of} s)", settled.percent()));
    let claimable = kroner(settled.claimable);
    line(format!("credit {} % of the month's fee: {claimable}", settled.tier.percent()));
    let due = kroner(settled.due);
    line(format!("claim  {}, {due} due", settled.claim.as_str()));
    if let Some(deadlines) = &settled.deadlines {
        line(format!(
            "notice in writing, with evidence, until {} (safe: {})",
            deadlines.by(statement.case.policy.breach_moment),
            deadlines.safe()
        ));
    }
    line(format!(
        "if all unknown time had been down {} %; if disputed exclusions were accepted {} %",
        settled.unknown_as_down.tier.percent(),
        settled.disputed_accepted.tier.percent(),
    ));
    if statement.is_incomplete() {
        line("measurement incomplete: more than 5 % of the month is unknown".to_owned());
    }
    for outage in &settled.outages {
        let (from, until) = (written(outage.time.from()), written(outage.time.until()));
        let why = match (outage.short > 0, outage.excluded) {
            (true, _) => ", two minutes or less".to_owned(),
            (false, 0) => String::new(),
            (false, excluded) => format!(", {excluded} s excluded"),
        };
        line(format!("down     {from} to {until}  {} s counted{why}", outage.counted));
    }
    for span in statement.spans.iter().filter(|span| span.code.is_unknown()) {
        let seconds = span.until - span.from;
        let (from, until) = (written(span.from), written(span.until));
        line(format!("unknown  {from} to {until}  {seconds} s, {}", why(span.code)));
    }
    for refused in &statement.refused {
        let (from, until) = (written(refused.from()), written(refused.until()));
        let counts = if statement.counts_refused() { "is down" } else { "does not count" };
        let seconds = refused.seconds();
        line(format!("refused  {from} to {until}  {seconds} s, new data, which {counts}"));
    }
    for exclusion in &settled.exclusions {
        let (kind, reason) = (exclusion.kind, exclusion.reason.as_str());
        line(format!("excluded {} ({kind}): {reason}, {} s", exclusion.id, exclusion.effective));
    }
    for (seq, correction) in &statement.corrections {
        let (of, who, why) = (correction.of, &correction.who, &correction.why);
        line(format!("entry {seq} corrects entry {of}: {why} ({who})"));
    }
    text
}

/// Why nobody knows.
const fn why(code: Code) -> &'static str {
    match code {
        Code::Gap => "nothing was measured",
        Code::Clock => "the clock was not trusted, or set",
        Code::Link => "the building's own link was down",
        Code::Ambiguous => "too little else could be reached to tell whose fault it was",
        Code::RateLimited => "the service limited the rate of queries",
        Code::Refused => "the service refused the gateway's credential",
        Code::Up | Code::DownProven | Code::DownSingle => "",
    }
}
