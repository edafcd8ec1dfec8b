//! The two books of the promise of uptime, between a gateway and a portfolio, over TLS.

use std::sync::Arc;

use chrono_tz::Europe::Oslo;
use cloud_sync::{BookKeeper, Seen, Shown, Way, enrol};
use ed25519_dalek::SigningKey;
use ledger::book::Book;
use ledger::case::{Claim, Ore};
use ledger::chain::{Chain, Head};
use ledger::entry::{Attempts, Claimed, Contract, Entry, Fact, Open, Proof, Step};
use ledger::note::{Checkpoint, Note, Verifier};
use ledger::{Attempt, Failure, Month, Outcome, References, Tried};
use metering::{Clock, GatewayId};
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::testing::known_day;
use tokio::time::timeout;

use crate::people::Browser;
use crate::support::{Cloud, Gateway, SOON, gateway_id, on_both_databases};

on_both_databases! {
    several_sites_on_one_fee_are_told_as_one_line,
    the_books_change_hands_and_the_vendor_answers,
    the_vendors_own_probe_fills_its_book,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// A ledger whose month before the running one was lost and claimed.
fn ledger(gateway: GatewayId, now: i64) -> (String, Vec<Vec<u8>>) {
    let running = Month::of(now, Oslo).unwrap();
    let lost = Month::of(running.span().start - 1, Oslo).unwrap();
    let start = lost.span().start;
    let down = |at: i64| Attempt {
        at,
        outcome: Outcome::Failed(Failure::Status(503)),
        references: References { asked: 3, answered: 3, link_down: false },
        clock_trusted: true,
        age: u32::try_from(at - start).ok(),
    };
    let tried = Tried::new((start..start + 18_000).step_by(20).map(down));
    let month = lost.to_string();
    let notified_at = running.span().start + 60;
    let claim = Claim { notified_at, written: true, evidence: true };
    let key = key().verifying_key().to_bytes();
    let facts = [
        Fact::Open(Open { ledger: gateway.uuid().into_bytes(), key }),
        Fact::Contract(Contract::new("4711", "Bakken", "Fjord AS", Ore::new(1_200_000).unwrap())),
        Fact::Attempts(Attempts::new(900, tried)),
        Fact::Attempts(Attempts::new(900, Tried::default())),
        Fact::Claim(Claimed {
            month: month.clone(),
            claim,
            who: "Ola".to_owned(),
            proofs: vec![Proof { name: "letter.pdf".to_owned(), sha256: hash(LETTER) }],
        }),
    ];
    let entries = (1..).zip(facts).map(|(seq, fact)| {
        let at_ms = if seq < 4 { 1_000 * start } else { 1_000 * now };
        Entry { seq, at_ms, fact }.to_bytes()
    });
    (month, entries.collect())
}

/// What the customer sent: larger than a part of it.
static LETTER: &[u8] = &[0x4c; 100_000];

fn hash(document: &[u8]) -> [u8; 32] {
    Sha256::digest(document).into()
}

fn hex(document: &[u8]) -> String {
    hash(document).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

pub(crate) fn checkpoint(gateway: GatewayId, entries: &[Vec<u8>]) -> String {
    let ledger = gateway.uuid().into_bytes();
    let head = entries.iter().fold(Head::start(ledger), |head, entry| head.after(entry));
    let name = format!("gateway-{gateway}");
    Note::new(Checkpoint { ledger, head, at_ms: 7 }).signed(&name, &key()).to_string()
}

async fn owner(cloud: &Cloud) -> Browser {
    let mut browser = Browser::at(cloud);
    let code = cloud.claim_code().unwrap();
    let claim = format!(r#"{{"code":"{code}","name":"kari","password":"riktig hest batteri"}}"#);
    assert_eq!(browser.ask(Method::POST, "/claim", &claim).await.0, 201);
    browser
}

async fn the_books_change_hands_and_the_vendor_answers(cloud: Cloud) {
    let gateway = gateway_id();
    let mut keeper =
        BookKeeper::new(Arc::new(cloud.identity(gateway).await), Way::default()).unwrap();
    let (month, entries) = ledger(gateway, cloud.clock.now().wall.timestamp());
    let note = checkpoint(gateway, &entries);
    let shown = Shown { from: 0, entries: entries.clone(), checkpoint: Some(note), have: 0 };
    let Seen { have, entries: theirs, checkpoint } = keeper.exchange(shown.clone()).await.unwrap();
    assert_eq!((have, theirs.len()), (5, 1));
    let Fact::Open(open) = Entry::from_bytes(&theirs[0]).unwrap().fact else { panic!() };
    let signed: Note = checkpoint.unwrap().parse().unwrap();
    assert!(signed.is_signed(&Verifier::new("portfolio", open.key).unwrap()));

    let mut browser = owner(&cloud).await;
    let promises: Value = serde_json::from_str(&browser.get("/promises").await).unwrap();
    let promise = &promises[0];
    assert_eq!((&promise["line"], &promise["customer"]), (&"4711".into(), &"Bakken".into()));
    assert_eq!(
        (&promise["open"][0]["month"], &promise["open"][0]["stage"], &promise["open"][0]["claim"]),
        (&month.clone().into(), &"claimed".into(), &"ok".into())
    );
    let site = promise["site"].as_str().unwrap();
    let page = browser.get(&format!("/sites/{site}/promise?month={month}")).await;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((&page["month"]["counted_s"], &page["countersigned"]), (&18_040.into(), &5.into()));
    assert_eq!(page["books"]["only_customer_s"], 18_040, "the vendor did not look: {page}");
    assert_eq!(page["books"]["agreed"]["tier"], 0);

    // What the customer attached is at the vendor's, once it has the hash that the entry names.
    let letter = format!("/sites/{site}/promise/proofs/{}", hex(LETTER));
    assert_eq!(browser.ask(Method::GET, &letter, "").await.0, 404);
    keeper.give(hash(b"other"), b"other").await.unwrap_err();
    keeper.give(hash(LETTER), &vec![0; 100_000]).await.unwrap_err();
    assert_eq!(browser.ask(Method::GET, &letter, "").await.0, 404);
    keeper.give(hash(LETTER), LETTER).await.unwrap();
    keeper.give(hash(LETTER), LETTER).await.unwrap();
    assert_eq!(browser.get(&letter).await.as_bytes(), LETTER);
    assert_eq!(page["said"][0]["proofs"][0]["name"], "letter.pdf");

    // What the vendor says is in its book, with its proof, and the gateway hears it.
    let path = format!("/sites/{site}/promise/{month}/progress");
    let note = "[our log]".repeat(9_000);
    let proofs = format!("/sites/{site}/promise/proofs");
    let kept = browser.ask(Method::POST, &proofs, &note).await;
    let sha256 = hex(note.as_bytes());
    assert_eq!(kept, (201, format!(r#"{{"sha256":"{sha256}"}}"#)));
    let too_much = "x".repeat((1 << 20) + 1);
    assert_eq!(browser.ask(Method::POST, &proofs, &too_much).await.0, 400);
    let unknown = r#"{"step":"credited","note":"x","proofs":[{"name":"y","sha256":"00"}]}"#;
    assert_eq!(browser.ask(Method::POST, &path, unknown).await.0, 400);
    let said = format!(
        r#"{{"step":"credited","note":"invoice 20114","proofs":[{{"name":"log.txt","sha256":"{sha256}"}}]}}"#
    );
    let said = said.as_str();
    assert_eq!(browser.ask(Method::POST, &path, said).await.0, 201);
    let bad = r#"{"step":"paid","note":"x"}"#;
    assert_eq!(browser.ask(Method::POST, &path, bad).await.0, 400);
    let none = format!("/sites/{site}/promise/1999-01/progress");
    assert_eq!(browser.ask(Method::POST, &none, said).await.0, 409);
    let heard = keeper.exchange(Shown { from: 5, entries: Vec::new(), have: 1, ..shown });
    let heard = heard.await.unwrap().entries;
    let Fact::Progress(progress) = Entry::from_bytes(&heard[0]).unwrap().fact else { panic!() };
    assert_eq!((progress.step, progress.who.as_str()), (Step::Credited, "kari"));
    assert_eq!(progress.proofs[0].sha256, hash(note.as_bytes()));
    let document = keeper.document(hash(note.as_bytes())).await.unwrap();
    assert_eq!(document.as_deref(), Some(note.as_bytes()));
    assert_eq!(keeper.document([0; 32]).await.unwrap(), None);

    // A gateway that has lost its disk gets back what it showed.
    let own = keeper.own(2).await.unwrap();
    assert_eq!((own.have, own.entries.as_slice()), (5, &entries[2..]));
    assert!(own.checkpoint.is_some());
}

/// A ledger of the running month in which the reports of these seconds of it could not be had.
pub(crate) fn running(
    gateway: GatewayId,
    now: i64,
    line: &str,
    down: &[(i64, i64)],
) -> (String, Vec<Vec<u8>>) {
    let month = Month::of(now, Oslo).unwrap();
    let start = month.span().start;
    let attempt = |at: i64| {
        let is_down = down.iter().any(|it| (it.0..it.1).contains(&(at - start)));
        let failed = Outcome::Failed(Failure::Status(503));
        let outcome = if is_down { failed } else { Outcome::Success };
        let references = References { asked: 3, answered: 3, link_down: false };
        let age = u32::try_from(at - start).ok();
        Attempt { at, outcome, references, clock_trusted: true, age }
    };
    let tried = Tried::new((start..start + 3_600).step_by(20).map(attempt));
    let key = key().verifying_key().to_bytes();
    let facts = [
        Fact::Open(Open { ledger: gateway.uuid().into_bytes(), key }),
        Fact::Contract(Contract::new(
            line,
            "Tunet borettslag",
            "Fjord AS",
            Ore::new(1_200_000).unwrap(),
        )),
        Fact::Attempts(Attempts::new(180, tried)),
    ];
    let entries = (1..).zip(facts).map(|(seq, fact)| {
        let at_ms = 1_000 * (start + 3_600);
        Entry { seq, at_ms, fact }.to_bytes()
    });
    (month.to_string(), entries.collect())
}

async fn several_sites_on_one_fee_are_told_as_one_line(cloud: Cloud) {
    let now = cloud.clock.now().wall.timestamp();
    let mut month = String::new();
    // The name of one is that of the other with more behind it; the third pays for itself.
    for (name, line, down) in [
        ("Tunet", "4711", vec![(600, 1_000)]),
        ("Tunet: nord", "4711", vec![(900, 1_200), (2_000, 2_400)]),
        ("Tunet: sør", "4712", vec![(2_000, 3_000)]),
    ] {
        let gateway = gateway_id();
        let (code, way) = (cloud.code(name).await, Way::default());
        let identity = enrol(&cloud.url(), &code, gateway, &*cloud.clock, &way).await.unwrap();
        let mut keeper = BookKeeper::new(Arc::new(identity), way).unwrap();
        let (of, entries) = running(gateway, now, line, &down);
        let checkpoint = Some(checkpoint(gateway, &entries));
        let shown = Shown { from: 0, entries, checkpoint, have: 0 };
        assert_eq!(keeper.exchange(shown).await.unwrap().have, 3);
        month = of;
    }

    let mut browser = owner(&cloud).await;
    let promises: Value = serde_json::from_str(&browser.get("/promises").await).unwrap();
    let page = async |browser: &mut Browser, name: &str| -> Value {
        let promises = promises.as_array().unwrap();
        let promise = promises.iter().find(|it| it["name"] == name).unwrap();
        let site = promise["site"].as_str().unwrap();
        let page = browser.get(&format!("/sites/{site}/promise?month={month}")).await;
        serde_json::from_str(&page).unwrap()
    };
    let both = page(&mut browser, "Tunet").await["together"].take();
    assert_eq!((&both["rule"], &both["counted_s"]), (&"any_site".into(), &1_000.into()));
    let outage = |at: usize| {
        let outage = &both["outages"][at];
        (outage["counted_s"].as_i64().unwrap(), outage["sites"].to_string())
    };
    assert_eq!(outage(0), (600, r#"["Tunet","Tunet: nord"]"#.to_owned()));
    assert_eq!(outage(1), (400, r#"["Tunet: nord"]"#.to_owned()));
    let of_each = both["sites"].as_array().unwrap().iter().map(|it| &it["counted_s"]);
    assert_eq!(of_each.collect::<Vec<_>>(), [&400, &700]);
    assert_eq!(page(&mut browser, "Tunet: nord").await["together"], both, "it is one line");
    assert_eq!(page(&mut browser, "Tunet: sør").await["together"], Value::Null);
}

async fn the_vendors_own_probe_fills_its_book(mut cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut keeper = BookKeeper::new(Arc::new(identity.clone()), Way::default()).unwrap();
    let mut gateway = Gateway::new(Some(identity));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;

    cloud.config.probe = true;
    cloud.down().await;
    cloud.up().await;
    let probed = async {
        loop {
            let shown = Shown { from: 0, entries: Vec::new(), checkpoint: None, have: 0 };
            // Over the old connection, which ended with the service, the first may fail.
            let Ok(seen) = keeper.exchange(shown).await else { continue };
            if seen.entries.len() > 1 {
                return seen.entries;
            }
        }
    };
    let entries = timeout(SOON, probed).await.unwrap();
    let chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
    let tried = Book::new(chain.entries()).attempts(0..i64::MAX);
    assert_eq!(tried.len(), 1);
    assert_eq!(tried[0].outcome, Outcome::Success);
}
