use ledger::book::Book;
use ledger::chain::Head;
use ledger::entry::{Progress, Step};
use ledger::note::Checkpoint;
use ledger::{Outcome, References};
use uuid::Uuid;

use super::*;
use crate::repository::{Handover, Handovers as _};
use crate::testing::{self, enrolled};

const ID: u128 = 0x0192_F0C1;

fn gateway() -> GatewayId {
    GatewayId::from_uuid(Uuid::from_u128(ID))
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// The ledger of the gateway: opened, and with so many empty hours.
fn entries(hours: u64) -> Vec<Vec<u8>> {
    let key = key().verifying_key().to_bytes();
    let open = Fact::Open(Open { ledger: gateway().uuid().into_bytes(), key });
    let hour = |seq| Fact::Attempts(Attempts::new(seq, Tried::default()));
    let facts = std::iter::once(open).chain((0..hours).map(hour));
    (1..).zip(facts).map(|(seq, fact)| Entry { seq, at_ms: 1_000, fact }.to_bytes()).collect()
}

fn checkpoint(entries: &[Vec<u8>]) -> String {
    let ledger = gateway().uuid().into_bytes();
    let head = entries.iter().fold(Head::start(ledger), |head, entry| head.after(entry));
    let name = format!("gateway-{}", gateway());
    Note::new(Checkpoint { ledger, head, at_ms: 2_000 }).signed(&name, &key()).to_string()
}

fn shown(from: u64, entries: &[Vec<u8>], checkpoint: Option<String>) -> Books {
    Books { gateway: gateway(), have: 0, from, entries: entries.to_vec(), checkpoint }
}

fn portfolio() -> Verifier {
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes();
    Verifier::new(COUNTERSIGNER, key).unwrap()
}

#[tokio::test]
async fn what_is_whole_is_kept_and_countersigned() {
    let (_dir, repository) = enrolled(gateway()).await;
    let ledgers = Ledgers::new(repository, testing::clock(), SigningKey::from_bytes(&[9; 32]));
    let all = entries(3);
    let first = ledgers.exchange(shown(0, &all[..2], Some(checkpoint(&all)))).await.unwrap();
    let first = first.unwrap();
    assert_eq!((first.have, first.checkpoint), (2, None), "it has not seen all of it");

    // A lost answer: what it has comes again.
    let whole = ledgers.exchange(shown(0, &all, Some(checkpoint(&all)))).await.unwrap().unwrap();
    let note: Note = whole.checkpoint.unwrap().parse().unwrap();
    assert_eq!((whole.have, note.checkpoint.head.seq), (4, 4));
    assert!(note.is_signed(&portfolio()));
    assert_eq!(
        note.names().collect::<Vec<_>>(),
        [format!("gateway-{}", gateway()).as_str(), "portfolio"]
    );

    let nothing = ledgers.exchange(shown(4, &[], Some(checkpoint(&all)))).await.unwrap().unwrap();
    assert_eq!(nothing.checkpoint, Some(note.to_string()));
    let ahead = ledgers.exchange(shown(9, &[], None)).await.unwrap().unwrap();
    assert_eq!(ahead.have, 4);
}

#[tokio::test]
async fn a_history_that_was_rewritten_is_refused() {
    let (_dir, repository) = enrolled(gateway()).await;
    let ledgers = Ledgers::new(repository, testing::clock(), SigningKey::from_bytes(&[9; 32]));
    let all = entries(3);
    ledgers.exchange(shown(0, &all, Some(checkpoint(&all)))).await.unwrap().unwrap();

    let mut other = all.clone();
    let tried = Tried::default();
    let fact = Fact::Attempts(Attempts::new(99, tried));
    other[2] = Entry { seq: 3, at_ms: 1_000, fact }.to_bytes();
    let refused = ledgers.exchange(shown(0, &other, None)).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("entry 3 of its ledger is another"), "{refused}");

    // The gateway signs another history than the one that it showed.
    let answer = ledgers.exchange(shown(4, &[], Some(checkpoint(&other)))).await.unwrap().unwrap();
    let note: Note = answer.checkpoint.unwrap().parse().unwrap();
    assert_eq!(note.checkpoint.head, checkpoint(&all).parse::<Note>().unwrap().checkpoint.head);
    let hole = ledgers.exchange(shown(4, &entries(6)[5..], None)).await.unwrap().unwrap_err();
    assert!(hole.to_string().contains("an entry is missing"), "{hole}");
}

#[tokio::test]
async fn a_ledger_that_was_put_back_does_not_go_on_in_the_place_of_what_was_lost() {
    let (_dir, repository) = enrolled(gateway()).await;
    let ledgers = Ledgers::new(repository, testing::clock(), SigningKey::from_bytes(&[9; 32]));
    let all = entries(5);
    ledgers.exchange(shown(0, &all[..4], Some(checkpoint(&all[..4])))).await.unwrap().unwrap();

    // Entry 4 is lost with the disk; another is written, and one more that would fit behind it.
    let mut other = all.clone();
    let fact = Fact::Attempts(Attempts::new(99, Tried::default()));
    other[3] = Entry { seq: 4, at_ms: 1_000, fact }.to_bytes();
    let refused = ledgers.exchange(shown(4, &other[4..5], Some(checkpoint(&other[..5])))).await;
    let refused = refused.unwrap().unwrap_err();
    assert!(refused.to_string().contains("entry 5 ends is not the one"), "{refused}");

    let kept = ledgers.both(gateway()).await.unwrap().customer.unwrap();
    assert_eq!(kept.chain().head().seq, 4, "nothing of it is taken");
    let whole = ledgers.exchange(shown(4, &all[4..], Some(checkpoint(&all)))).await.unwrap();
    assert_eq!(whole.unwrap().have, 6);
}

fn attempt(at: i64) -> Attempt {
    let (outcome, references) = (Outcome::Success, References::default());
    Attempt { at, outcome, references, clock_trusted: true, age: None }
}

#[tokio::test]
async fn what_was_tried_for_one_owner_is_not_in_the_book_of_the_next() {
    let (_dir, repository) = enrolled(gateway()).await;
    let key = SigningKey::from_bytes(&[9; 32]);
    let ledgers = Ledgers::new(repository.clone(), testing::clock(), key);
    ledgers.tried(gateway(), vec![attempt(60)]).await.unwrap();
    let site = repository.sites().await.unwrap().remove(0).id;
    let given = Handover { site, who: "Kari".to_owned(), with_readings: false, tags: Vec::new() };
    repository.hand_over(given, 200_000).await.unwrap().unwrap();

    // Half an hour of before, which is written down when the hour is over; and one that has nothing else.
    ledgers.tried(gateway(), vec![attempt(120), attempt(180), attempt(240)]).await.unwrap();
    ledgers.tried(gateway(), vec![attempt(190)]).await.unwrap();
    let vendor = ledgers.both(gateway()).await.unwrap().vendor.unwrap();
    assert_eq!(vendor.chain().head().seq, 3, "an entry for both, and one more");
    let tried = Book::new(vendor.entries()).attempts(0..1_000);
    assert_eq!(tried.iter().map(|it| it.at).collect::<Vec<_>>(), [240]);
}

#[tokio::test]
async fn the_vendors_book_goes_to_the_gateway_from_where_it_is() {
    let (_dir, repository) = enrolled(gateway()).await;
    let ledgers = Ledgers::new(repository, testing::clock(), SigningKey::from_bytes(&[9; 32]));
    ledgers.tried(gateway(), vec![attempt(60), attempt(120)]).await.unwrap();
    let step = Step::Acknowledged;
    let (month, who, note) = ("2026-11".to_owned(), "Kari".to_owned(), "seen".to_owned());
    let said = Fact::Progress(Progress { month, step, who, note, proofs: Vec::new() });
    assert_eq!(ledgers.say(gateway(), said.clone()).await.unwrap(), 3);

    let all = ledgers.exchange(shown(0, &[], None)).await.unwrap().unwrap();
    let chain = Chain::read(all.entries.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(chain.ledger(), vendors(gateway().uuid().into_bytes()));
    assert_eq!(Book::new(chain.entries()).attempts(0..1_000).len(), 2);
    let rest = Books { have: 2, ..shown(0, &[], None) };
    let rest = ledgers.exchange(rest).await.unwrap().unwrap();
    let last = Entry::from_bytes(rest.entries.first().unwrap()).unwrap();
    assert_eq!((rest.from, rest.entries.len(), last.fact), (2, 1, said));
}
