//! The customer's notice of a breach, as a letter to the vendor.

use chrono::NaiveDate;
use documents::{Block, Column, Grid, Paper};
use ledger::book::Statement;
use ledger::case::Reason;

use crate::words::{Language, duration};

/// What goes with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// The file's name.
    pub name: String,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// The letter of `day` that gives notice of the breach in the statement's month; `None` if there is
/// none.
pub fn letter(
    statement: &Statement,
    day: NaiveDate,
    enclosures: &[Enclosure],
    language: Language,
) -> Option<Paper> {
    let (settled, contract) = (&statement.settled, &statement.contract);
    let deadlines = settled.deadlines.as_ref()?;
    let month = language.month(statement.case.period.month());
    let title = match language {
        Language::Bokmal => format!("Varsel om brudd på oppetidsgarantien, {month}"),
        Language::English => format!("Notice of a breach of the uptime guarantee, {month}"),
    };
    let say = |bokmal: &str, english: &str| language.of(bokmal, english).to_owned();
    let mut blocks = vec![
        Block::Facts(vec![
            (say("Til", "To"), contract.vendor.clone()),
            (say("Fra", "From"), contract.customer.clone()),
            (say("Avtale", "Contract"), contract.line.clone()),
            (say("Dato", "Date"), language.day(day)),
        ]),
        Block::Space,
        Block::Title(title.clone()),
        Block::Text(demand(statement, language)),
    ];
    if statement.is_provisional() {
        blocks.push(Block::Text(say(
            "Måneden er ikke over. Den kan ikke lenger nå det lovede, og vi varsler derfor nå; endelige \
             tall følger når måneden er over.",
            "The month is not over. It can no longer reach what was promised, so we give notice now; \
             final figures follow when the month has ended.",
        )));
    }
    blocks.push(Block::Head(say("Brudd som teller", "Outages that count")));
    let zone = contract.zone;
    let rows = settled.outages.iter().filter(|outage| outage.counted > 0).map(|outage| {
        vec![
            language.time(outage.time.from(), zone),
            language.time(outage.time.until(), zone),
            language.number(outage.counted),
            duration(outage.counted),
        ]
    });
    let column =
        |bokmal, english, share, figures| Column { head: say(bokmal, english), share, figures };
    blocks.push(Block::Table(Grid {
        columns: vec![
            column("Fra", "From", 4, false),
            column("Til", "Until", 4, false),
            column("Sekunder", "Seconds", 2, true),
            column("t:mm:ss", "h:mm:ss", 2, true),
        ],
        rows: rows.collect(),
        sum: Some(vec![
            say("Sum", "Sum"),
            String::new(),
            language.number(settled.totals.counted),
            duration(settled.totals.counted),
        ]),
    }));
    blocks.extend(exclusions(statement, language));
    blocks.push(Block::Head(say("Frist", "Deadline")));
    let last = language.day(deadlines.by(statement.case.policy.breach_moment));
    blocks.push(Block::Text(match language {
        Language::Bokmal => {
            format!("Fristen for dette varselet går ut {last}. Det er sendt {}.", language.day(day))
        }
        Language::English => {
            format!(
                "The time for this notice ends on {last}. It was sent on {}.",
                language.day(day)
            )
        }
    }));
    blocks.push(Block::Text(say(
        "Vi ber om at mottaket bekreftes, og om at beløpet krediteres ved neste fakturering.",
        "Please confirm that you have received this, and credit the sum on the next billing.",
    )));
    blocks.push(Block::Text(contract.customer.clone()));
    blocks.push(Block::Head(say("Vedlegg", "Enclosures")));
    let rows = enclosures.iter().map(|enclosure| {
        vec![enclosure.name.clone(), data_encoding::HEXLOWER.encode(&enclosure.sha256)]
    });
    blocks.push(Block::Table(Grid {
        columns: vec![column("Fil", "File", 10, false), column("SHA-256", "SHA-256", 27, false)],
        rows: rows.collect(),
        sum: None,
    }));
    blocks.push(Block::Note(say(
        "Bevisfilen prøves uten nett med `fyrhus sla verify` og kundens offentlige nøkkel.",
        "The evidence file is checked without a network, with `fyrhus sla verify` and the customer's \
         public key.",
    )));
    let foot = format!("{title} · {}", contract.line);
    Some(Paper { title, language: language.as_str(), foot, blocks })
}

/// What is claimed, in the one sentence that has to stand in it.
fn demand(statement: &Statement, language: Language) -> String {
    let (settled, contract) = (&statement.settled, &statement.contract);
    let month = language.month(statement.case.period.month());
    let percent = language.percent(&settled.percent());
    let (up, of) = (language.number(settled.up()), language.number(settled.denominator));
    let rate = settled.tier.percent();
    let sum = language.money(settled.claimable, contract);
    match language {
        Language::Bokmal => format!(
            "Vi varsler med dette brudd på oppetidsgarantien for {month}: oppetid {percent} ({up}/{of} \
             sekunder). Vi krever {rate} % av beregnet månedspris, {sum} uten mva., kreditert ved neste \
             fakturering."
        ),
        Language::English => format!(
            "We hereby give written notice of a breach of the uptime guarantee for {month}: uptime \
             {percent} ({up}/{of} seconds). We claim {rate} % of the calculated monthly fee, {sum} net of \
             VAT, to be credited on the next billing."
        ),
    }
}

/// What the vendor invokes, and what the customer says to it.
fn exclusions(statement: &Statement, language: Language) -> Vec<Block> {
    let told = &statement.settled.exclusions;
    let names = |accepted: bool| {
        let names: Vec<_> = told
            .iter()
            .filter(|it| (it.reason == Reason::Ok) == accepted)
            .map(|it| {
                let ground = language.ground(it.kind);
                if accepted {
                    format!("{} ({ground})", it.id)
                } else {
                    format!("{} ({ground}: {})", it.id, language.reason(it.reason))
                }
            })
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let (accepted, contested) = (names(true), names(false));
    if accepted.is_none() && contested.is_none() {
        return Vec::new();
    }
    let mut facts = Vec::new();
    let fact = |label: &str, names: String| (label.to_owned(), names);
    facts.extend(accepted.map(|names| fact(language.of("Godtatt", "Accepted"), names)));
    facts.extend(contested.map(|names| fact(language.of("Ikke godtatt", "Not accepted"), names)));
    vec![Block::Head(language.of("Unntak", "Exclusions").to_owned()), Block::Facts(facts)]
}
