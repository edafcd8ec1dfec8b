//! A ledger that somebody made to harm its reader: whatever stands in it, it is read in bounded time and
//! memory, and nothing of it makes the reader stop.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chrono::NaiveDate;
use chrono_tz::{TZ_VARIANTS, Tz};
use ledger::book::Book;
use ledger::case::{Claim, Ground, Notice, NoticeRule, Ore, Policy, Status};
use ledger::chain::{Chain, segment};
use ledger::entry::{
    Answer, Attempts, BeforeCase, Claimed, Contract, Entry, Fact, IngestOutage, Invoked,
    LateNotice, Open, PartialMonth, Stated,
};
use ledger::{Attempt, Failure, Interval, Outcome, References, Terms, Tried};
use proptest::prelude::*;

const ID: [u8; 16] = [7; 16];

/// November of 2026 in Oslo.
const START: i64 = 1_793_487_600;

fn opened() -> Fact {
    Fact::Open(Open { ledger: ID, key: [3; 32] })
}

fn file(facts: impl IntoIterator<Item = (i64, Fact)>) -> Vec<u8> {
    let facts = std::iter::once((0, opened())).chain(facts);
    let entries: Vec<Vec<u8>> = (1..)
        .zip(facts)
        .map(|(seq, (at_ms, fact))| Entry { seq, at_ms, fact }.to_bytes())
        .collect();
    segment(ID, entries.iter().map(Vec::as_slice))
}

/// Numbers at which something could overflow, and some that are good.
fn second() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(i64::MAX),
        Just(-62_135_596_800),
        Just(253_402_300_799),
        Just(-8_334_601_228_800),
        Just(8_210_266_876_799),
        any::<i64>(),
        START - 90_000..START + 32 * 86_400,
    ]
}

fn zone() -> impl Strategy<Value = Tz> {
    prop::sample::select(&TZ_VARIANTS[..])
}

fn date() -> impl Strategy<Value = Option<NaiveDate>> {
    let date = prop_oneof![
        Just(NaiveDate::MIN),
        Just(NaiveDate::MAX),
        (0_u64..60).prop_map(|days| {
            let first: NaiveDate = "2026-10-20".parse().unwrap();
            first.checked_add_days(chrono::Days::new(days)).unwrap()
        }),
    ];
    prop::option::of(date)
}

fn contract() -> impl Strategy<Value = Fact> {
    let days = (any::<u16>(), any::<u8>());
    let read = (
        prop::sample::select(vec![
            NoticeRule::DateDiff,
            NoticeRule::ClearDays,
            NoticeRule::Hours72,
        ]),
        prop::sample::select(vec![PartialMonth::ByDays, PartialMonth::FullMonth]),
        prop::sample::select(vec![LateNotice::WholeWindow, LateNotice::RemainderValid]),
        prop::sample::select(vec![IngestOutage::NotCounted, IngestOutage::Counted]),
    );
    (zone(), date(), date(), 0..=Ore::MAX, days, read).prop_map(
        |(
            zone,
            start,
            end,
            annual,
            (claim_days, notice_days),
            (rule, partial, late, ingest_outage),
        )| {
            let annual = Ore::new(annual).unwrap();
            Fact::Contract(Contract {
                zone,
                start,
                end,
                policy: Policy { notice_rule: rule, ..Policy::default() },
                before: BeforeCase {
                    partial_month: partial,
                    late_notice: late,
                    ingest_outage,
                    ..BeforeCase::default()
                },
                terms: Terms { cap: Some(annual), claim_days, notice_days, ..Terms::default() },
                ..Contract::new("l", "c", "v", annual)
            })
        },
    )
}

fn exclusion() -> impl Strategy<Value = Fact> {
    let of = (second(), second(), second(), any::<bool>());
    of.prop_filter_map("an interval", |(from, until, at, planned)| {
        let ground = if planned {
            Ground::PlannedMaintenance(Some(Notice { given_at: at, written: true }))
        } else {
            Ground::AgreedSuspension { agreed_at: Some(at) }
        };
        let time = Interval::new(from, until)?;
        let (who, why) = ("w".into(), "y".into());
        Some(Fact::Exclusion(Invoked { id: "x".into(), ground, time, who, why, proofs: vec![] }))
    })
}

fn attempts() -> impl Strategy<Value = Fact> {
    let reached = References { asked: 3, answered: 3, link_down: false };
    let at = prop_oneof![Just(0), START - 90_000..START + 32 * 86_400];
    let attempt = (at, any::<bool>(), any::<Option<u32>>()).prop_map(move |(at, up, age)| {
        let failed = Outcome::Failed(Failure::Status(500));
        let outcome = if up { Outcome::Success } else { failed };
        Attempt { at, outcome, references: reached, clock_trusted: true, age }
    });
    let some = prop::collection::vec(attempt, 0..20).prop_map(Tried::new);
    (some.clone(), some)
        .prop_map(|(tried, ingest)| Fact::Attempts(Attempts { ingest, ..Attempts::new(7, tried) }))
}

fn fact() -> impl Strategy<Value = Fact> {
    let claim = second().prop_map(|notified_at| {
        let claim = Claim { notified_at, written: true, evidence: true };
        let (month, who) = ("2026-11".into(), "w".into());
        Fact::Claim(Claimed { month, claim, who, proofs: vec![] })
    });
    let answer = Just(Fact::Answer(Answer {
        exclusion: "x".into(),
        status: Status::Accepted,
        who: "w".into(),
        why: "y".into(),
    }));
    prop_oneof![contract(), exclusion(), attempts(), claim, answer]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_number_makes_a_reader_panic(
        facts in prop::collection::vec((prop_oneof![second(), Just(1_000 * (START + 7_200))], fact()), 0..12),
        first in contract(),
    ) {
        let facts = std::iter::once((0, first)).chain(facts);
        // What has no canonical bytes, such as steps that overflow, is refused as a whole.
        let Ok(chain) = Chain::read_segment(&file(facts)) else { return Ok(()) };
        let book = Book::new(chain.entries());
        for month in ["2026-10", "2026-11", "2026-12", "1970-01", "2999-12"] {
            if let Ok(statement) = book.statement(month) {
                let settled = &statement.settled;
                prop_assert!((0..=settled.denominator).contains(&settled.up()));
                prop_assert!((0..=Ore::MAX).contains(&settled.due));
                book.beside(&statement);
                let told = Fact::Statement(statement.stated());
                prop_assert_eq!(Fact::from_bytes(&told.to_bytes()), Some(told));
            }
        }
        book.first_wrong_statement();
        book.takes(&Fact::Answer(Answer {
            exclusion: "x".into(),
            status: Status::Rejected,
            who: "w".into(),
            why: "y".into(),
        })).ok();
    }
}

#[test]
fn nobody_asks_more_than_once_a_second() {
    let well = |at| Attempt {
        at,
        outcome: Outcome::Success,
        references: References::default(),
        clock_trusted: true,
        age: None,
    };
    // A day of attempts in some forty bytes, and that day again and again.
    let day = Tried::new((START..START + 86_400).map(well));
    let fact = Fact::Attempts(Attempts::new(1, day));
    assert!(fact.to_bytes().len() < 64, "{}", fact.to_bytes().len());
    let chain = Chain::read_segment(&file((0..10).map(|_| (1_000 * START, fact.clone())))).unwrap();
    let hour = START..START + 3_600;
    assert_eq!(Book::new(chain.entries()).attempts(hour).len(), 3_600);
}

#[test]
fn a_statement_of_no_month_is_wrong_and_no_more() {
    let month = "9".repeat(10_000);
    let book = file([(
        0,
        Fact::Statement(Stated {
            month,
            case: [0; 32],
            figures: ledger::entry::Figures {
                counted: i64::MAX,
                unknown: i64::MIN,
                up: i64::MIN,
                denominator: i64::MIN,
                tier: 255,
                claimable: i64::MAX,
                due: i64::MIN,
            },
        }),
    )]);
    let chain = Chain::read_segment(&book).unwrap();
    assert_eq!(Book::new(chain.entries()).first_wrong_statement(), Some(2));
}
