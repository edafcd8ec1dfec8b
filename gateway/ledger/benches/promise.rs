//! What the promise of uptime costs: to judge a month, to go from a year of attempts to its
//! statements, and to keep.
//!
//! ```text
//! cargo bench -p ledger
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on says where, and prints what it found"
)]

use std::time::Instant;

use chrono_tz::Europe::Oslo;
use ledger::book::Book;
use ledger::case::{Case, Down, Exclusion, Ground, Ore, Status};
use ledger::chain::{Chain, segment};
use ledger::entry::{Attempts, Contract, Entry, Fact, Open};
use ledger::{Attempt, Failure, Interval, Month, Outcome, Period, References, Tried, settle};

const ID: [u8; 16] = [7; 16];

fn main() {
    a_month();
    let entries = a_year();
    its_cost(&entries);
}

/// A month with two hundred outages and twenty windows, which is far more than any has.
fn a_month() {
    let period = Period::whole(Month::parse("2026-03", Oslo).unwrap());
    let start = period.time().from();
    let interval = |from: i64, length: i64| Interval::new(start + from, start + from + length);
    let mut case = Case::new(period, Ore::new(1_200_000).unwrap());
    case.outages = (0..200_i64)
        .map(|it| Down { id: format!("o{it}"), time: interval(13_000 * it, 60 + it).unwrap() })
        .collect();
    case.unknown = (0..200_i64).map(|it| interval(12_900 * it + 500, 90).unwrap()).collect();
    case.exclusions = (0..20_i64)
        .map(|it| Exclusion {
            id: format!("x{it}"),
            ground: Ground::SecurityMaintenance,
            time: interval(130_000 * it, 20_000).unwrap(),
            status: Status::Accepted,
        })
        .collect();
    let begun = Instant::now();
    let rounds = 200;
    for _ in 0..rounds {
        std::hint::black_box(settle(std::hint::black_box(&case)));
    }
    let each = begun.elapsed() / rounds;
    println!("a month judged, 200 outages and 20 windows   {each:>12.1?}   (at most 5 ms)");
}

/// A year of attempts, one every 20 s, with an outage a week and a link that is down now and then:
/// into entries, through the chain, and out as twelve statements.
fn a_year() -> Vec<Vec<u8>> {
    let start = Month::parse("2026-01", Oslo).unwrap().span().start;
    let end = Month::parse("2027-01", Oslo).unwrap().span().start;
    let attempt = |at: i64| {
        let second = at - start;
        let down = second % 604_800 < 300;
        let link = second % 777_777 < 600;
        let outcome = if down || link { Outcome::Failed(Failure::Tcp) } else { Outcome::Success };
        let answered = if link { 0 } else { 3 };
        let references = match outcome {
            Outcome::Success => References::default(),
            Outcome::Failed(_) => References { asked: 3, answered, link_down: false },
        };
        let age = u32::try_from(second).ok();
        Attempt { at, outcome, references, clock_trusted: true, age }
    };
    let begun = Instant::now();
    let open = Fact::Open(Open { ledger: ID, key: [1; 32] });
    let hours = (start..end).step_by(3_600).zip(1_u64..).map(|(from, hour)| {
        let tried = Tried::new((from..from + 3_600).step_by(20).map(attempt));
        (from + 3_600, Fact::Attempts(Attempts::new(180 * hour, tried)))
    });
    let facts = [(start, open), (start, Fact::Contract(contract()))].into_iter().chain(hours);
    let entries: Vec<Vec<u8>> = (1..)
        .zip(facts)
        .map(|(seq, (at, fact))| Entry { seq, at_ms: 1_000 * at, fact }.to_bytes())
        .collect();
    let chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
    let book = Book::new(chain.entries());
    let statements: Vec<_> =
        (1..=12).map(|month| book.statement(&format!("2026-{month:02}")).unwrap()).collect();
    let took = begun.elapsed();
    let counted: i64 = statements.iter().map(|it| it.settled.totals.counted).sum();
    println!("a year of 1,576,800 attempts, 12 statements   {took:>12.1?}   (at most 10 s)");
    println!("  counted in it: {counted} s");
    entries
}

/// What the year takes on the disk.
fn its_cost(entries: &[Vec<u8>]) {
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let largest = entries.iter().map(Vec::len).max().unwrap_or_default();
    let file = segment(ID, entries.iter().map(Vec::as_slice)).len();
    println!("the ledger, bytes a day                       {:>12}", bytes / 365);
    println!("  the largest hour, bytes                     {largest:>12}");
    println!("  in an evidence file, bytes a year           {file:>12}");
    println!(
        "  entries and checkpoints a day, each one commit        48   (attempts: bench `ledger` of `store`)"
    );
}

fn contract() -> Contract {
    Contract::new("4711", "Bakken borettslag", "Fjord AS", Ore::new(1_200_000).unwrap())
}
