//! A month with everything in it, as the papers that people get.
//!
//! `PAPERS=DIR cargo test -p statement` leaves them there as PDF, to be looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chrono_tz::Europe::Oslo;
use documents::{Block, Paper};
use ledger::book::{Book, Statement};
use ledger::case::{Claim, Ground, Notice, Ore, Status};
use ledger::chain::Chain;
use ledger::entry::{
    Answer, Attempts, BeforeCase, Claimed, Contract, Correction, Entry, Fact, IngestOutage,
    Invoked, Open,
};
use ledger::{Attempt, Failure, Interval, Month, Outcome, References, Terms, Tried};
use statement::{Enclosure, Language, Place};

const KEPT: Kind = Kind { outages: &[(600, 700, Failure::NoAnswer)], claimed: false };

/// Downtime of five hours, in ways of its own each.
const LOST: Kind = Kind {
    outages: &[
        (7_200, 21_600, Failure::Tcp),
        (40_000, 40_100, Failure::Dns),
        (90_000, 93_600, Failure::Status(503)),
        (180_000, 181_800, Failure::WrongData),
    ],
    claimed: true,
};

struct Kind {
    /// From and until, in seconds of the month, and how the attempts failed.
    outages: &'static [(i64, i64, Failure)],
    claimed: bool,
}

fn november() -> i64 {
    Month::parse("2026-11", Oslo).unwrap().span().start
}

/// The ledger of a November, whole.
fn ledger(kind: &Kind, ingest_outage: IngestOutage) -> Chain {
    let (start, end) = (november(), november() + 30 * 86_400);
    let mut facts = vec![(start - 7_200, Fact::Open(Open { ledger: [0xA7; 16], key: [1; 32] }))];
    let sites = ["Storgata 1", "Storgata 3, oppgang B"].map(str::to_owned).to_vec();
    let terms = Terms { cap: Ore::new(1_200_000), sites, ..Terms::default() };
    let before = BeforeCase { ingest_outage, ..BeforeCase::default() };
    let parties = ("4711-2026", "Kvernhusgata og Storgata borettslag SA", "Fjord Energidata AS");
    let annual = Ore::new(1_300_000).unwrap();
    let contract = Contract::new(parties.0, parties.1, parties.2, annual);
    facts.push((start - 7_100, Fact::Contract(Contract { terms, before, ..contract })));
    for hour in 0..720 {
        let from = start + 3_600 * hour;
        // The building's link is down for a while on the tenth.
        let link = hour == 220;
        let attempt = |at: i64| {
            let down = kind
                .outages
                .iter()
                .find(|(from, until, _)| (*from..*until).contains(&(at - start)));
            let reached = References { asked: 3, answered: 3, link_down: false };
            let (outcome, references) = match down {
                Some((_, _, failure)) => (Outcome::Failed(*failure), reached),
                None if link => {
                    (Outcome::Failed(Failure::Dns), References { answered: 0, ..reached })
                }
                None => (Outcome::Success, References::default()),
            };
            let age = u32::try_from(at - start + 1_000).ok();
            Attempt { at, outcome, references, clock_trusted: true, age }
        };
        let mut attempts =
            Attempts::new(0, Tried::new((from..from + 3_600).step_by(20).map(attempt)));
        if hour == 300 {
            let sent = |after: i64, outcome| Attempt { outcome, ..attempt(from + after) };
            let refused = Outcome::Failed(Failure::Status(503));
            attempts.ingest =
                Tried::new([sent(60, refused), sent(500, refused), sent(900, Outcome::Success)]);
        }
        facts.push((from + 3_600, Fact::Attempts(attempts)));
    }
    for (id, from, late, status) in [
        ("V-7", 90_000, 0, Some(Status::Accepted)),
        ("V-8", 7_200, 3, None),
        ("V-9", 180_000, 0, Some(Status::Disputed)),
    ] {
        let from = start + from;
        let given_at = from - (4 - late) * 86_400;
        facts.push((
            end - 3_000,
            Fact::Exclusion(Invoked {
                id: id.to_owned(),
                ground: Ground::PlannedMaintenance(Some(Notice { given_at, written: true })),
                time: Interval::new(from, from + 1_800).unwrap(),
                who: "Fjord Energidata AS".to_owned(),
                why: "nye disker".to_owned(),
                proofs: Vec::new(),
            }),
        ));
        facts.extend(status.map(|status| {
            let (who, why) = ("Kari Nordmann".to_owned(), "sett".to_owned());
            (end - 2_900, Fact::Answer(Answer { exclusion: id.to_owned(), status, who, why }))
        }));
    }
    let (who, why) = ("Kari Nordmann".to_owned(), "feil vert i tre timer".to_owned());
    facts.push((end - 2_000, Fact::Correction(Correction { of: 603, who, why, instead: None })));
    if kind.claimed {
        let claim = Claim { notified_at: end + 86_400, written: true, evidence: true };
        let (month, who) = ("2026-11".to_owned(), "Kari Nordmann".to_owned());
        facts.push((end + 86_400, Fact::Claim(Claimed { month, claim, who, proofs: Vec::new() })));
    }
    let entries: Vec<Vec<u8>> = (1..)
        .zip(facts)
        .map(|(seq, (at, fact))| Entry { seq, at_ms: 1_000 * at, fact }.to_bytes())
        .collect();
    Chain::read(entries.iter().map(Vec::as_slice)).unwrap()
}

fn statement(chain: &Chain) -> Statement {
    Book::new(chain.entries()).statement("2026-11").unwrap()
}

fn sheet(chain: &Chain, language: Language) -> Paper {
    let place = Place { ledger: chain.ledger(), head: chain.head() };
    statement::sheet(&statement(chain), place, language)
}

fn letter(chain: &Chain, language: Language) -> Option<Paper> {
    let files = ["fyrhus-evidence-2026-11.tar", "statement-2026-11.pdf"];
    let enclosures = files.map(|name| Enclosure { name: name.to_owned(), sha256: [0x5E; 32] });
    let day = "2026-12-02".parse().unwrap();
    statement::letter(&statement(chain), day, &enclosures, language)
}

/// Leaves a paper where somebody wants to look at it; it can be set in any case.
fn set(name: &str, paper: &Paper) {
    let pdf = documents::pdf(paper).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
    if let Some(folder) = std::env::var_os("PAPERS") {
        let file = format!("{name}.{}.pdf", paper.language);
        std::fs::write(std::path::Path::new(&folder).join(file), pdf).unwrap();
    }
}

/// What a paper says, a line for each paragraph, fact and row.
fn said(paper: &Paper) -> String {
    let mut lines = Vec::new();
    for block in &paper.blocks {
        match block {
            Block::Title(text)
            | Block::Head(text)
            | Block::Text(text)
            | Block::Strong(text)
            | Block::Note(text) => lines.push(text.clone()),
            Block::Facts(facts) => {
                lines.extend(facts.iter().map(|(what, is)| format!("{what}: {is}")));
            }
            Block::Table(grid) => {
                for row in grid.rows.iter().chain(&grid.sum) {
                    assert_eq!(row.len(), grid.columns.len(), "{row:?}");
                    lines.push(row.join(" | "));
                }
            }
            Block::Code(code, beside) => lines.extend([code.clone(), beside.clone()]),
            Block::Space | Block::Photos(_) | Block::Signature(_) => {}
        }
    }
    lines.join("\n").replace('\u{a0}', " ")
}

#[track_caller]
fn says(paper: &Paper, lines: &[&str]) {
    let said = said(paper);
    for line in lines {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
}

#[test]
fn a_lost_month_is_told_with_every_figure_that_the_credit_follows_from() {
    let chain = ledger(&LOST, IngestOutage::NotCounted);
    let [bokmal, english] = [Language::Bokmal, Language::English].map(|it| sheet(&chain, it));
    set("lost", &bokmal);
    set("lost", &english);
    says(
        &bokmal,
        &[
            "Endelig: hele måneden er i regnskapet.",
            "Kunde: Kvernhusgata og Storgata borettslag SA",
            "Steder på denne prisen: Storgata 1, Storgata 3, oppgang B",
            "Nye data avvist (teller ikke) | 840 s | 0:14:00",
            "byggets egen forbindelse var nede (L) | 3 600 s",
        ],
    );
    says(&english, &["New data refused (does not count) | 840 s | 0:14:00"]);
    let shape = |paper: &Paper| -> Vec<std::mem::Discriminant<Block>> {
        paper.blocks.iter().map(std::mem::discriminant).collect()
    };
    assert_eq!(shape(&bokmal), shape(&english), "both languages say the same");
}

#[test]
fn refused_data_that_is_agreed_to_count_is_among_the_outages() {
    let chain = ledger(&LOST, IngestOutage::Counted);
    let paper = sheet(&chain, Language::English);
    set("counted", &paper);
    says(
        &paper,
        &["New data refused (is downtime) | 840 s", "new data was refused: 2 × answer 503"],
    );
}

#[test]
fn a_kept_month_claims_nothing() {
    let chain = ledger(&KEPT, IngestOutage::NotCounted);
    for language in Language::ALL {
        set("kept", &sheet(&chain, language));
        assert_eq!(letter(&chain, language), None);
    }
}

#[test]
fn the_letter_names_month_credit_deadline_and_enclosures() {
    let chain = ledger(&LOST, IngestOutage::NotCounted);
    let statement = statement(&chain);
    let (up, of) = (statement.settled.up(), statement.settled.denominator);
    for language in Language::ALL {
        let paper = letter(&chain, language).unwrap();
        set("letter", &paper);
        let said = said(&paper);
        let digits: String = said.chars().filter(|it| *it != ' ' && *it != ',').collect();
        assert!(digits.contains(&format!("{up}/{of}")), "{said}");
        for name in ["fyrhus-evidence-2026-11.tar", "statement-2026-11.pdf", &"5e".repeat(32)] {
            assert!(said.contains(name), "{name} is not in\n{said}");
        }
    }
}
