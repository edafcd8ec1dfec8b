//! Nobody changes a ledger unseen, and what it says follows from its entries alone.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chrono_tz::Europe::Oslo;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use ledger::book::{Book, Refused, Stage};
use ledger::case::{BreachMoment, Claim, Ground, Notice, Ore, Policy, Status};
use ledger::chain::{Chain, Head, rotation, segment};
use ledger::entry::{
    Answer, Attempts, BeforeCase, Claimed, Contract, Correction, Entry, Fact, IngestOutage,
    Invoked, LateNotice, NewKey, Open, PartialMonth, Progress, SingleVantage, Step,
};
use ledger::note::{Checkpoint, Note, Verifier};
use ledger::{Attempt, Failure, Interval, Month, Outcome, References, Tried};
use proptest::prelude::*;

const ID: [u8; 16] = [7; 16];

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn start() -> i64 {
    Month::parse("2026-11", Oslo).unwrap().span().start
}

/// Writes entries one after the other.
struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    fn new() -> Self {
        let mut ledger = Self { entries: Vec::new() };
        let key = key().verifying_key().to_bytes();
        ledger.write(start() - 7_200, Fact::Open(Open { ledger: ID, key }));
        ledger.write(start() - 7_100, Fact::Contract(contract()));
        ledger
    }

    fn write(&mut self, at: i64, fact: Fact) -> u64 {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at_ms: 1_000 * at, fact });
        seq
    }

    /// An hour of the month, every 20 s an attempt that fails in `failed`, with all references well.
    fn hour(&mut self, hour: i64, failed: std::ops::Range<i64>) -> u64 {
        let from = start() + 3_600 * hour;
        let attempts = (from..from + 3_600).step_by(20).map(|at| {
            let (outcome, references) = if failed.contains(&(at - from)) {
                let reached = References { asked: 3, answered: 3, link_down: false };
                (Outcome::Failed(Failure::Tcp), reached)
            } else {
                (Outcome::Success, References::default())
            };
            Attempt {
                at,
                outcome,
                references,
                clock_trusted: true,
                age: u32::try_from(at - start() + 100_000).ok(),
            }
        });
        let tried = Tried::new(attempts);
        let through = u64::try_from(hour + 1).unwrap() * 180;
        self.write(from + 3_600, Fact::Attempts(Attempts::new(through, tried)))
    }

    fn bytes(&self) -> Vec<Vec<u8>> {
        self.entries.iter().map(Entry::to_bytes).collect()
    }

    fn file(&self) -> Vec<u8> {
        file(&self.bytes())
    }

    fn book(&self) -> Book<'_> {
        Book::new(&self.entries)
    }

    fn counted(&self) -> i64 {
        self.book().statement("2026-11").unwrap().settled.totals.counted
    }
}

fn file(entries: &[Vec<u8>]) -> Vec<u8> {
    segment(ID, entries.iter().map(Vec::as_slice))
}

/// Half an hour in which new data was refused, from ten minutes into the second hour on, and in which
/// reports went on.
fn refusing(ledger: &mut Ledger) {
    ledger.hour(0, 0..0);
    let Fact::Attempts(mut hour) = ({
        ledger.hour(1, 0..0);
        ledger.entries.pop().unwrap().fact
    }) else {
        panic!("an hour is attempts")
    };
    let sent = |after: i64, outcome| Attempt {
        at: start() + 3_600 + after,
        outcome,
        references: References::default(),
        clock_trusted: true,
        age: None,
    };
    let refused = Outcome::Failed(Failure::Status(503));
    let sent = [sent(600, refused), sent(900, refused), sent(2_400, Outcome::Success)];
    hour.ingest = Tried::new(sent);
    ledger.write(start() + 7_200, Fact::Attempts(hour));
}

#[test]
fn new_data_that_is_refused_is_told_and_counts_where_that_is_agreed() {
    let statement = |ingest_outage| {
        let mut ledger = Ledger::new();
        let before = BeforeCase { ingest_outage, ..BeforeCase::default() };
        ledger.write(start() - 7_000, Fact::Contract(Contract { before, ..contract() }));
        refusing(&mut ledger);
        let chain = Chain::read_segment(&ledger.file()).unwrap();
        Book::new(chain.entries()).statement("2026-11").unwrap()
    };
    // A quarter of an hour passes between two tries at the most; these two are further apart.
    let refused = |statement: &ledger::book::Statement| -> Vec<(i64, i64)> {
        let after = |second: i64| second - start() - 3_600;
        statement.refused.iter().map(|it| (after(it.from()), after(it.until()))).collect()
    };
    let told = statement(IngestOutage::NotCounted);
    assert_eq!(refused(&told), [(600, 960)]);
    assert_eq!((told.settled.totals.down, told.counts_refused()), (0, false));

    let counted = statement(IngestOutage::Counted);
    assert_eq!(refused(&counted), [(600, 960)]);
    assert_eq!((counted.settled.totals.counted, counted.counts_refused()), (360, true));
    assert_eq!(counted.causes, [[(Failure::Status(503), 2)]]);
}

fn contract() -> Contract {
    Contract::new("4711", "Bakken borettslag", "Fjord AS", Ore::new(1_200_000).unwrap())
}

/// A ledger with everything in it.
fn full() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.hour(0, 0..0);
    ledger.hour(1, 600..1_200);
    ledger.write(start() + 7_300, Fact::Exclusion(maintenance(0)));
    let statement = ledger.book().statement("2026-11").unwrap();
    ledger.write(start() + 7_400, Fact::Statement(statement.stated()));
    let claim = Claim { notified_at: start() + 9_000, written: true, evidence: true };
    ledger.write(
        start() + 9_000,
        Fact::Claim(Claimed {
            month: "2026-11".into(),
            claim,
            who: "owner".into(),
            proofs: Vec::new(),
        }),
    );
    ledger.hour(2, 0..0);
    ledger
}

/// A window over the first ten minutes of the outage of `full`, announced `late` days too late.
fn maintenance(late: i64) -> Invoked {
    let from = start() + 3_600 + 600;
    let given_at = from - (4 - late) * 86_400;
    Invoked {
        id: "m1".into(),
        ground: Ground::PlannedMaintenance(Some(Notice { given_at, written: true })),
        time: Interval::new(from, from + 300).unwrap(),
        who: "vendor".into(),
        why: "a new disk".into(),
        proofs: Vec::new(),
    }
}

fn answer(status: Status) -> Fact {
    let (who, why) = ("owner".into(), "seen".into());
    Fact::Answer(Answer { exclusion: "m1".into(), status, who, why })
}

#[test]
fn a_statement_follows_from_the_entries_alone() {
    let mut ledger = full();
    let statement = ledger.book().statement("2026-11").unwrap();
    assert_eq!(statement.settled.totals.counted, 600, "nobody has accepted the window");
    assert_eq!(statement.settled.disputed_accepted.seconds, 300);
    assert!(statement.is_provisional());
    assert_eq!(statement.stage, Some(Stage::Claimed));

    ledger.write(start() + 10_900, answer(Status::Accepted));
    assert_eq!(ledger.counted(), 300);
    ledger.write(start() + 10_950, answer(Status::Rejected));
    assert_eq!(ledger.counted(), 600, "the last answer holds");
    assert_eq!(ledger.book().first_wrong_statement(), None);
}

#[test]
fn a_correction_is_an_entry_and_the_last_one_holds() {
    let mut ledger = Ledger::new();
    ledger.hour(0, 0..0);
    let hour = ledger.hour(1, 600..1_200);
    let correction = |instead| {
        let (who, why) = ("owner".into(), "the probe asked the wrong host".into());
        Fact::Correction(Correction { of: hour, who, why, instead })
    };
    ledger.write(start() + 7_300, correction(None));
    let statement = ledger.book().statement("2026-11").unwrap();
    assert_eq!((statement.settled.totals.down, statement.corrections.len()), (0, 1));
    let put_back = ledger.entries[usize::try_from(hour).unwrap() - 1].fact.clone();
    ledger.write(start() + 7_400, correction(Some(Box::new(put_back))));
    assert_eq!(ledger.counted(), 600);
}

#[test]
fn an_answer_is_to_what_was_there_to_be_answered() {
    let wide = || {
        let narrow = maintenance(0);
        let from = narrow.time.from();
        Invoked { time: Interval::new(from, from + 600).unwrap(), ..narrow }
    };
    let correction = |of, instead| {
        let (who, why) = ("vendor".into(), "mistyped".into());
        Fact::Correction(Correction { of, who, why, instead })
    };
    let accepted = || {
        let mut ledger = Ledger::new();
        ledger.hour(0, 0..0);
        ledger.hour(1, 600..1_200);
        let of = ledger.write(start() + 7_300, Fact::Exclusion(maintenance(0)));
        ledger.write(start() + 7_400, answer(Status::Accepted));
        assert_eq!(ledger.counted(), 300);
        (ledger, of)
    };

    // Another window in the place of the one that was accepted.
    let (mut ledger, of) = accepted();
    ledger.write(start() + 7_500, correction(of, Some(Box::new(Fact::Exclusion(wide())))));
    assert_eq!(ledger.counted(), 600);
    assert!(ledger.book().all_invoked()[0].2.is_none(), "nobody has answered to this one");
    ledger.write(start() + 7_600, answer(Status::Accepted));
    assert_eq!(ledger.counted(), 0);

    // Another one of the same name, after the first was taken back.
    let (mut ledger, of) = accepted();
    ledger.write(start() + 7_500, correction(of, None));
    ledger.book().takes(&Fact::Exclusion(wide())).unwrap();
    ledger.write(start() + 7_600, Fact::Exclusion(wide()));
    assert_eq!(ledger.counted(), 600);
}

#[test]
fn a_first_month_that_is_taken_whole_has_no_downtime_of_before() {
    let mut ledger = Ledger::new();
    let before = BeforeCase { partial_month: PartialMonth::FullMonth, ..BeforeCase::default() };
    let start_day = Some("2026-11-02".parse().unwrap());
    let from = start() - 7_000;
    ledger.write(from, Fact::Contract(Contract { before, start: start_day, ..contract() }));
    // From 23:50 until 00:10 of the first covered day.
    ledger.hour(23, 3_000..3_600);
    ledger.hour(24, 0..600);
    ledger.hour(25, 0..0);
    let statement = ledger.book().statement("2026-11").unwrap();
    assert_eq!(statement.settled.totals.down, 600);
    assert_eq!(statement.settled.denominator, 30 * 86_400);
}

#[test]
fn the_deadline_is_the_one_of_how_the_contract_is_read() {
    let deadline = |breach_moment| {
        let mut ledger = Ledger::new();
        let policy = Policy { breach_moment, ..Policy::default() };
        ledger.write(start() - 7_000, Fact::Contract(Contract { policy, ..contract() }));
        // On the first day an hour, on the second three more.
        ledger.hour(0, 0..3_600);
        for hour in 24..27 {
            ledger.hour(hour, 0..3_600);
        }
        ledger.hour(27, 0..0);
        let statement = ledger.book().statement("2026-11").unwrap();
        let safe = statement.settled.deadlines.unwrap().safe();
        (statement.deadline().unwrap().to_string(), safe.to_string())
    };
    let both = |last: &str| (last.to_owned(), "2026-12-01".to_owned());
    assert_eq!(deadline(BreachMoment::MonthEnd), both("2026-12-30"));
    assert_eq!(deadline(BreachMoment::Crossing), both("2026-12-02"));
    assert_eq!(deadline(BreachMoment::FirstOutage), both("2026-12-01"));
}

#[test]
fn the_contract_says_how_it_is_read() {
    let counted = |before, invoked: Option<Invoked>| {
        let mut ledger = Ledger::new();
        ledger.write(start() - 7_000, Fact::Contract(Contract { before, ..contract() }));
        ledger.hour(0, 0..0);
        ledger.hour(1, 600..1_200);
        if let Some(invoked) = invoked {
            ledger.write(start() + 7_300, Fact::Exclusion(invoked));
            ledger.write(start() + 7_310, answer(Status::Accepted));
        }
        ledger.counted()
    };
    let default = BeforeCase::default();
    assert_eq!(counted(default, None), 600);
    let strict = BeforeCase { single_vantage: SingleVantage::Unknown, ..default };
    assert_eq!(counted(strict, None), 0);

    // Announced two days before the window, which goes on for two days more.
    let long = |late| {
        let from = start() + 3_600 + 600 - 86_400;
        Invoked { time: Interval::new(from, from + 3 * 86_400).unwrap(), ..maintenance(late) }
    };
    assert_eq!(counted(default, Some(long(1))), 600);
    let lenient = BeforeCase { late_notice: LateNotice::RemainderValid, ..default };
    assert_eq!(counted(lenient, Some(long(1))), 0);
}

#[test]
fn what_makes_no_sense_is_not_written() {
    let mut ledger = Ledger::new();
    let refused = |ledger: &Ledger, fact: &Fact| ledger.book().takes(fact).unwrap_err();
    assert_eq!(refused(&ledger, &answer(Status::Accepted)), Refused::NoExclusion("m1".into()));
    let progress = |step| {
        let (month, who, note) = ("2026-11".into(), "vendor".into(), "7".into());
        Fact::Progress(Progress { month, step, who, note, proofs: Vec::new() })
    };
    assert_eq!(refused(&ledger, &progress(Step::Credited)), Refused::NoClaim("2026-11".into()));
    ledger.write(start(), Fact::Exclusion(maintenance(0)));
    assert_eq!(
        refused(&ledger, &Fact::Exclusion(maintenance(0))).to_string(),
        "there is an exclusion `m1` already; give another name"
    );
    let claim = Claim { notified_at: start(), written: true, evidence: true };
    let claimed =
        Claimed { month: "2026-11".into(), claim, who: "owner".into(), proofs: Vec::new() };
    ledger.write(start(), Fact::Claim(claimed.clone()));
    ledger.write(start(), progress(Step::Credited));
    assert_eq!(refused(&ledger, &Fact::Claim(claimed)), Refused::Credited("2026-11".into()));
}

#[test]
fn a_figure_that_does_not_follow_is_found() {
    let mut ledger = Ledger::new();
    ledger.hour(0, 0..0);
    ledger.hour(1, 600..1_200);
    let mut stated = ledger.book().statement("2026-11").unwrap().stated();
    stated.figures.counted += 1;
    let seq = ledger.write(start() + 7_400, Fact::Statement(stated));
    assert_eq!(ledger.book().first_wrong_statement(), Some(seq));
}

#[test]
fn a_new_key_is_signed_by_the_old_one() {
    let new = SigningKey::from_bytes(&[4; 32]).verifying_key().to_bytes();
    let with = |signed: [u8; 32]| {
        let mut ledger = Ledger::new();
        let signature = key().sign(&rotation(signed)).to_bytes();
        ledger.write(start(), Fact::Key(NewKey { key: new, signature }));
        Chain::read_segment(&ledger.file())
    };
    let chain = with(new).unwrap();
    assert_eq!(chain.key_at(2), Some(key().verifying_key().to_bytes()));
    assert_eq!(chain.key_at(3), Some(new));
    assert_eq!(with([9; 32]).unwrap_err().seq, 3);
}

#[test]
fn the_bytes_of_an_entry_never_change() {
    let ledger = full();
    let golden = include_str!("golden/entries.hex");
    let hex: String = ledger.bytes().iter().map(|entry| HEXLOWER.encode(entry) + "\n").collect();
    if std::env::var_os("UPDATE").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/entries.hex");
        std::fs::write(file, &hex).unwrap();
        return;
    }
    assert_eq!(hex, golden);
}

/// What somebody does to the entries of a ledger, whose hashes they can make again.
#[derive(Clone, Debug)]
enum Tampering {
    Drop,
    Swap,
    Double,
    Move,
}

proptest! {
    #[test]
    fn any_bit_that_is_flipped_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let ledger = full();
        let good = ledger.file();
        let chain = Chain::read_segment(&good).unwrap();
        let mut bad = good;
        let at = at.index(bad.len());
        bad[at] ^= 1 << bit;
        let broken = Chain::read_segment(&bad).unwrap_err();

        // The entry that is named is the one that the bit is in.
        let mut ends = chain.entries().iter().scan(21, |end, entry| {
            *end += 4 + entry.to_bytes().len() + 32;
            Some(*end)
        });
        let hit = ends.position(|end| at < end).unwrap() as u64 + 1;
        prop_assert_eq!(broken.seq, hit);
    }

    #[test]
    fn an_entry_that_is_dropped_swapped_doubled_or_moved_is_found(
        how in prop::sample::select(
            &[Tampering::Drop, Tampering::Swap, Tampering::Double, Tampering::Move][..],
        ),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let mut entries = full().bytes();
        let whole = file(&entries);
        let head = Chain::read_segment(&whole).unwrap().head();
        let note = Note::new(Checkpoint { ledger: ID, head, at_ms: 0 }).signed("g", &key());
        let trusted = Verifier::new("g", key().verifying_key().to_bytes()).unwrap();
        prop_assert!(note.is_signed(&trusted));

        let (one, other) = (one.index(entries.len()), other.index(entries.len()));
        match how {
            Tampering::Drop => drop(entries.remove(one)),
            Tampering::Swap => entries.swap(one, other),
            Tampering::Double => entries.insert(other, entries[one].clone()),
            Tampering::Move => {
                let entry = entries.remove(one);
                entries.insert(other, entry);
            }
        }
        if file(&entries) == whole {
            return Ok(());
        }
        // The hashes are made again, so only numbers and the signed head give it away.
        let found = match Chain::read_segment(&file(&entries)) {
            Err(_) => true,
            Ok(chain) => chain.head_at(note.checkpoint.head.seq) != Some(note.checkpoint.head),
        };
        prop_assert!(found);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = b"sla-ledger/1 entries\n".to_vec();
        file.extend(&bytes);
        prop_assert!(Chain::read_segment(&file).is_err());
        if let Some(entry) = Entry::from_bytes(&bytes) {
            prop_assert_eq!(entry.to_bytes(), bytes);
        }
    }

    #[test]
    fn an_entry_of_which_a_byte_is_changed_is_canonical_or_refused(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let entries = full().bytes();
        let mut entry = entries[which.index(entries.len())].clone();
        let at = at.index(entry.len());
        entry[at] = byte;
        if let Some(read) = Entry::from_bytes(&entry) {
            prop_assert_eq!(read.to_bytes(), entry);
            // Whatever it says, a statement can be asked for.
            let book = [read];
            drop(Book::new(&book).statement("2026-11"));
        }
    }
}

#[test]
fn a_head_is_what_the_formula_says() {
    // printf 'sla-ledger/1\n' and sixteen bytes 07, through sha256sum.
    let start = Head::start(ID);
    assert_eq!(HEXLOWER.encode(&start.hash), include_str!("golden/start.hex").trim());
}
