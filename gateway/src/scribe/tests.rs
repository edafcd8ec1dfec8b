use ledger::case::{Ore, Status};
use ledger::chain::Chain;
use ledger::entry::{Answer, Contract};
use ledger::{Failure, Outcome, References};
use statement::{Language, Place};
use store::testing::{self, FixedClock};
use uuid::Uuid;

use super::*;

/// The beginning of November in Oslo.
fn november() -> i64 {
    Month::parse("2026-11", chrono_tz::Europe::Oslo).unwrap().span().start
}

fn device() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn scribe(core: Core, clock: &Arc<FixedClock>) -> Scribe {
    Scribe {
        core,
        gateway: GatewayId::from_uuid(Uuid::from_u128(7)),
        keys: LedgerKeys::open(Path::new("/nowhere"), &device()),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        owed: watch::Sender::default(),
        hour: None,
        turn: Arc::default(),
    }
}

fn contract() -> Fact {
    Fact::Contract(Contract::new(
        "4711",
        "Bakken borettslag",
        "Fjord AS",
        Ore::new(1_200_000).unwrap(),
    ))
}

/// An attempt every 20 s of an hour of November.
fn hour(hour: i64, outcome: Outcome) -> Vec<AttemptRow> {
    let from = november() + 3_600 * hour;
    let references = match outcome {
        Outcome::Success => References::default(),
        Outcome::Failed(_) => References { asked: 3, answered: 3, link_down: false },
    };
    let attempt = |at: i64| Attempt {
        at,
        outcome,
        references,
        clock_trusted: true,
        age: u32::try_from(at - november() + 1_000).ok(),
    };
    (from..from + 3_600)
        .step_by(20)
        .map(|at| AttemptRow { at_ms: 1_000 * at, body: attempt(at).to_bytes() })
        .collect()
}

async fn chain(core: &Core) -> Chain {
    let entries = core.ledger(0).await.unwrap();
    Chain::read(entries.iter().map(Vec::as_slice)).unwrap()
}

async fn kinds(core: &Core) -> Vec<&'static str> {
    chain(core).await.entries().iter().map(|entry| entry.fact.kind()).collect()
}

#[tokio::test]
async fn each_attempt_goes_in_once_and_how_far_it_is_is_signed() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * (november() + 7_200));
    let scribe = scribe(core.clone(), &clock);
    core.append_attempts(hour(0, Outcome::Success)).await.unwrap();
    core.append_attempts(hour(1, Outcome::Success)).await.unwrap();
    scribe.write_hour().await.unwrap();
    assert_eq!(kinds(&core).await, ["open", "attempts"]);
    scribe.write_hour().await.unwrap();
    assert_eq!(kinds(&core).await, ["open", "attempts"], "nothing is new");

    core.append_attempts(hour(2, Outcome::Success)).await.unwrap();
    scribe.write_hour().await.unwrap();
    let chain = chain(&core).await;
    let tried = Book::new(chain.entries()).attempts(november()..november() + 10_800);
    assert_eq!(tried.len(), 540);
    let note: Note = core.setting(CHECKPOINT_SETTING).await.unwrap().unwrap().parse().unwrap();
    assert_eq!(note.checkpoint.head, chain.head());
    let public = device().verifying_key().to_bytes();
    let name = evidence::name(chain.ledger());
    assert!(note.is_signed(&ledger::note::Verifier::new(&name, public).unwrap()));
}

/// An answer to what was sent, `after` seconds after November began.
fn sent(after: i64, outcome: Outcome) -> AttemptRow {
    let at = november() + after;
    let attempt = Attempt {
        at,
        outcome,
        references: References::default(),
        clock_trusted: true,
        age: u32::try_from(after + 1_000).ok(),
    };
    AttemptRow { at_ms: 1_000 * at, body: attempt.to_bytes_of(Channel::Ingest) }
}

#[tokio::test]
async fn new_data_that_was_refused_stands_beside_the_attempts_of_the_probe() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * (november() + 7_200));
    let scribe = scribe(core.clone(), &clock);
    scribe.write(contract()).await.unwrap();
    core.append_attempts(hour(0, Outcome::Success)).await.unwrap();
    let refused = Outcome::Failed(Failure::Status(503));
    let sent = [sent(900, refused), sent(1_200, refused), sent(1_500, Outcome::Success)];
    core.append_attempts(sent.to_vec()).await.unwrap();
    scribe.write_hour().await.unwrap();
    assert_eq!(kinds(&core).await, ["open", "contract", "attempts"]);
    let chain = chain(&core).await;
    let book = Book::new(chain.entries());
    assert_eq!(book.attempts(november()..november() + 3_600).len(), 180);
    let statement = book.statement("2026-11").unwrap();
    assert_eq!((statement.refused_s(), statement.settled.totals.down), (600, 0));

    // It is in every file, and the evidence with it holds.
    let told = statement::text(&statement);
    let line =
        "2026-10-31T23:15:00Z to 2026-10-31T23:25:00Z  600 s, new data, which does not count";
    assert!(told.contains(line), "{told}");
    let json = statement::statement(&statement);
    assert_eq!(json["ingest"]["refused_s"], 600);
    let file = scribe.evidence("2026-11").await.unwrap();
    let name = evidence::name(chain.ledger());
    let own = ledger::note::Verifier::new(&name, device().verifying_key().to_bytes()).unwrap();
    let failed: Vec<_> =
        evidence::checks(&file, &[own]).into_iter().filter(|it| !it.holds).collect();
    assert_eq!(failed, []);
}

#[tokio::test]
async fn another_key_takes_its_place_and_who_believes_the_first_believes_it() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * (november() + 60));
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("keys")).unwrap();
    let keys = LedgerKeys::open(state.path(), &device());
    let scribe = Scribe { keys, ..scribe(core.clone(), &clock) };
    scribe.write(contract()).await.unwrap();
    assert_eq!(scribe.change_key().await.unwrap(), 3);

    // After a start it is the one that signs.
    let keys = LedgerKeys::open(state.path(), &device());
    let scribe = Scribe { keys, ..scribe };
    core.append_attempts(hour(0, Outcome::Success)).await.unwrap();
    scribe.write_hour().await.unwrap();
    let file = scribe.evidence("2026-11").await.unwrap();
    let name = evidence::name(chain(&core).await.ledger());
    let by = |key: &SigningKey| {
        ledger::note::Verifier::new(&name, key.verifying_key().to_bytes()).unwrap()
    };
    let told = |trust: &SigningKey| -> Vec<String> {
        evidence::checks(&file, &[by(trust)]).iter().map(ToString::to_string).collect()
    };
    let first = told(&device());
    assert!(first.iter().all(|it| it.starts_with("PASS")), "{first:?}");
    let changed = "PASS  the key was changed at entry 3, each time signed by the one before";
    assert!(first.iter().any(|it| it == changed), "{first:?}");
    let last = told(scribe.keys.all().last().unwrap());
    assert!(last.iter().all(|it| it.starts_with("PASS")), "{last:?}");
    let stranger = told(&SigningKey::from_bytes(&[9; 32]));
    assert!(stranger.iter().any(|it| it.starts_with("FAIL")), "{stranger:?}");

    // A gateway that has lost the new key says so, and signs nothing with the old one.
    let keys = LedgerKeys::open(Path::new("/nowhere"), &device());
    let lost = Scribe { keys, ..scribe };
    assert!(matches!(lost.change_key().await, Err(NotWritten::NoKey)));
}

#[tokio::test]
async fn a_statement_is_made_when_the_month_is_lost_and_when_it_is_over() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * november());
    let scribe = scribe(core.clone(), &clock);
    assert_eq!(scribe.write(contract()).await.unwrap(), 2);

    // Four hours of nothing are more than 0.5 % of a month.
    for number in 0..4 {
        core.append_attempts(hour(number, Outcome::Failed(Failure::Tcp))).await.unwrap();
        clock.set(1_000 * (november() + 3_600 * (number + 1)));
        scribe.write_hour().await.unwrap();
    }
    assert_eq!(kinds(&core).await.last(), Some(&"statement"));
    core.append_attempts(hour(4, Outcome::Success)).await.unwrap();
    clock.set(1_000 * (november() + 18_000));
    scribe.write_hour().await.unwrap();
    assert_eq!(kinds(&core).await.last(), Some(&"attempts"), "it is told once");

    // The first of December, before six and after.
    let december = november() + 30 * 86_400;
    core.append_attempts(hour(720, Outcome::Success)).await.unwrap();
    for (at, last) in [(december + 3_600, "attempts"), (december + 7 * 3_600, "statement")] {
        clock.set(1_000 * at);
        core.append_attempts(hour((at - november()) / 3_600, Outcome::Success)).await.unwrap();
        scribe.write_hour().await.unwrap();
        assert_eq!(kinds(&core).await.last(), Some(&last));
    }
    let chain = chain(&core).await;
    let book = Book::new(chain.entries());
    assert!(book.is_final("2026-11"));
    assert_eq!(book.first_wrong_statement(), None);
    let statement = book.statement("2026-11").unwrap();
    assert_eq!((statement.settled.totals.counted, statement.settled.claimable), (14_400, 10_000));
}

#[tokio::test]
async fn months_without_the_gateway_are_told_when_it_comes_back() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * november());
    let scribe = scribe(core.clone(), &clock);
    scribe.write(contract()).await.unwrap();
    core.append_attempts(hour(0, Outcome::Success)).await.unwrap();
    scribe.write_hour().await.unwrap();

    // Off from the first hour of November until the middle of January, and no cloud since.
    clock.set(1_000 * (november() + 75 * 86_400));
    scribe.write_hour().await.unwrap();
    let chain = chain(&core).await;
    let book = Book::new(chain.entries());
    assert!(book.is_final("2026-11") && book.is_final("2026-12"));
    let told: Vec<&str> = chain.entries().iter().map(|entry| entry.fact.kind()).collect();
    assert_eq!(told, ["open", "contract", "attempts", "attempts", "statement", "statement"]);
    assert!(book.statement("2026-11").unwrap().is_incomplete());
    scribe.write_hour().await.unwrap();
    assert_eq!(kinds(&core).await.len(), told.len(), "each is told once");
}

#[tokio::test]
async fn a_store_with_nothing_but_the_ledger_tells_the_same_to_the_byte() {
    let full = testing::empty().unwrap();
    let core = full.store.core();
    let clock = FixedClock::at(1_000 * november());
    let scribe = scribe(core.clone(), &clock);
    scribe.write(contract()).await.unwrap();
    for number in 0..5 {
        let outcome =
            if number < 4 { Outcome::Failed(Failure::Status(500)) } else { Outcome::Success };
        core.append_attempts(hour(number, outcome)).await.unwrap();
        clock.set(1_000 * (november() + 3_600 * (number + 1)));
        scribe.write_hour().await.unwrap();
    }

    let bare = testing::empty().unwrap();
    for (place, entry) in (0..).zip(core.ledger(0).await.unwrap()) {
        bare.store.core().append_chain(place, entry).await.unwrap();
    }
    let files = async |core: &Core| {
        let chain = chain(core).await;
        let statement = Book::new(chain.entries()).statement("2026-11").unwrap();
        let place = Place { ledger: chain.ledger(), head: chain.head() };
        let sheets = Language::ALL.map(|language| {
            documents::pdf(&statement::sheet(&statement, place, language)).unwrap()
        });
        let json = statement::statement(&statement).to_string();
        (sheets, json, documents::csv(&statement::table(&statement)))
    };
    let told = files(&core).await;
    assert_eq!(told, files(&bare.store.core()).await);
    assert!(told.1.contains("\"tier\":10"), "{}", told.1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_a_broken_ledger_gets_no_entry() {
    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * november());
    let scribe = scribe(core.clone(), &clock);
    let (status, who, why) = (Status::Accepted, "A".to_owned(), "B".to_owned());
    let answer = Fact::Answer(Answer { exclusion: "m1".into(), status, who, why });
    let refused = scribe.write(answer).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no exclusion `m1`");

    core.append_chain(1, vec![1, 2, 3]).await.unwrap();
    let broken = scribe.write_hour().await.unwrap_err();
    assert_eq!(
        broken.to_string(),
        "entry 2 of the ledger: its bytes are not the canonical ones of an entry"
    );
    assert_eq!(core.chain_len().await.unwrap(), 2);
}

#[tokio::test]
async fn nobody_writes_by_a_clock_that_is_not_trusted() {
    #[derive(Debug)]
    struct Lost;

    impl Clock for Lost {
        fn now(&self) -> metering::Moment {
            metering::Moment { trust: Trust::Untrusted, ..FixedClock::at(0).now() }
        }
    }

    let empty = testing::empty().unwrap();
    let core = empty.store.core();
    let clock = FixedClock::at(1_000 * november());
    let scribe = Scribe { clock: Arc::new(Lost), ..scribe(core.clone(), &clock) };
    assert!(matches!(scribe.write(contract()).await, Err(NotWritten::Clock)));
    assert_eq!(core.chain_len().await.unwrap(), 0);
}
