//! An evidence file holds, and nothing in it can be changed unseen.

use chrono_tz::Europe::Oslo;
use ed25519_dalek::SigningKey;
use ledger::case::{Ground, Ore};
use ledger::entry::{Attempts, Contract, Entry, Fact, Invoked, Open, Proof};
use ledger::note::Checkpoint;
use ledger::{Attempt, Failure, Interval, Month, Outcome, References, Tried};
use proptest::prelude::*;

use super::*;

const ID: [u8; 16] = [7; 16];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn verifier(name: &str, seed: u8) -> Verifier {
    Verifier::new(name, key(seed).verifying_key().to_bytes()).unwrap()
}

/// Four hours of November, of which half an hour was down.
fn chain() -> Chain {
    let start = Month::parse("2026-11", Oslo).unwrap().span().start;
    let contract =
        Contract::new("4711", "Bakken borettslag", "Fjord AS", Ore::new(1_200_000).unwrap());
    let hour = |hour: i64| {
        let attempts = (0..180).map(|place| {
            let at = start + 3_600 * hour + 20 * place;
            let down = hour == 2 && place < 90;
            Attempt {
                at,
                outcome: if down {
                    Outcome::Failed(Failure::Status(503))
                } else {
                    Outcome::Success
                },
                references: if down {
                    References { asked: 3, answered: 3, link_down: false }
                } else {
                    References::default()
                },
                clock_trusted: true,
                age: u32::try_from(at - start).ok(),
            }
        });
        Fact::Attempts(Attempts::new(180, Tried::new(attempts)))
    };
    let open = Fact::Open(Open { ledger: ID, key: key(3).verifying_key().to_bytes() });
    let facts = [(0, open), (0, Fact::Contract(contract))];
    let facts = facts.into_iter().chain((0..4).map(|it| (it + 1, hour(it))));
    let entries: Vec<Vec<u8>> = (1..)
        .zip(facts)
        .map(|(seq, (hour, fact))| {
            Entry { seq, at_ms: 1_000 * (start + 3_600 * hour), fact }.to_bytes()
        })
        .collect();
    Chain::read(entries.iter().map(Vec::as_slice)).unwrap()
}

fn note(chain: &Chain, seq: u64) -> Note {
    let head = chain.head_at(seq).unwrap();
    Note::new(Checkpoint { ledger: ID, head, at_ms: 0 }).signed(&name(ID), &key(3))
}

fn evidence() -> Vec<u8> {
    let chain = chain();
    let countersigned = note(&chain, 4).signed("portfolio", &key(5));
    file(&chain, &[countersigned, note(&chain, 6)], &Proofs::new(), "2026-11").unwrap()
}

fn trust() -> [Verifier; 2] {
    [verifier(&name(ID), 3), verifier("portfolio", 5)]
}

#[track_caller]
fn check(file: &[u8], trust: &[Verifier], expected: &[&str]) {
    let found: Vec<String> = checks(file, trust).iter().map(Check::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_holds_on_its_own() {
    let file = evidence();
    check(
        &file,
        &trust(),
        &[
            "PASS  10 files are those of the manifest",
            "PASS  the ledger's 6 entries follow from each other",
            "PASS  entry 6, the last, is signed by gateway-07070707-0707-0707-0707-070707070707",
            "PASS  portfolio has countersigned entry 4 of 6",
            "PASS  every statement in the ledger follows from the entries before it",
            "PASS  case, result and statement follow from the ledger, to the byte",
        ],
    );
    assert_eq!(
        summary(&file).unwrap(),
        "4711, 2026-11: uptime 99.9305 % (2590200/2592000 s), credit 0 %, 0 øre if claimed in \
         time, 0 øre due"
    );
}

#[test]
fn a_month_that_has_not_begun_was_not_kept() {
    let chain = chain();
    let none = file(&chain, &[note(&chain, 6)], &Proofs::new(), "2026-12").unwrap_err();
    assert_eq!(none.to_string(), "the ledger says nothing of 2026-12 yet");
}

#[test]
fn a_signature_of_a_stranger_is_none() {
    let file = evidence();
    let stranger = [verifier(&name(ID), 9)];
    let found = checks(&file, &stranger);
    let failed: Vec<_> = found.iter().filter(|it| !it.holds).map(Check::to_string).collect();
    assert_eq!(
        failed,
        [
            "FAIL  entry 1: no checkpoint is signed with a key that is believed (see --trust)",
            "FAIL  gateway-07070707-0707-0707-0707-070707070707 has countersigned nothing",
        ]
    );
}

#[test]
fn entries_that_nobody_signed_are_named() {
    let chain = chain();
    let file = file(&chain, &[note(&chain, 4)], &Proofs::new(), "2026-11").unwrap();
    let found = checks(&file, &trust()[..1]);
    let failed = found.iter().find(|it| !it.holds).map(Check::to_string);
    let said = "FAIL  entry 5: nobody signed it, and none after it; the signature is of entry 4";
    assert_eq!(failed.as_deref(), Some(said));
}

#[test]
fn a_document_that_was_taken_out_is_named() {
    let mut entries: Vec<Vec<u8>> = chain().entries().iter().map(Entry::to_bytes).collect();
    let notice = b"From: drift@fjord.example".to_vec();
    let sha256: [u8; 32] = Sha256::digest(&notice).into();
    let start = Month::parse("2026-11", Oslo).unwrap().span().start;
    let invoked = Fact::Exclusion(Invoked {
        id: "m1".into(),
        ground: Ground::SecurityMaintenance,
        time: Interval::new(start, start + 60).unwrap(),
        who: "vendor".into(),
        why: "a hole".into(),
        proofs: vec![Proof { name: "notice.eml".into(), sha256 }],
    });
    entries.push(Entry { seq: 7, at_ms: 1_000 * (start + 20_000), fact: invoked }.to_bytes());
    let chain = Chain::read(entries.iter().map(Vec::as_slice)).unwrap();
    let said = |proofs: &Proofs| {
        let file = file(&chain, &[note(&chain, 7)], proofs, "2026-11").unwrap();
        let found = checks(&file, &trust()[..1]);
        assert!(found.iter().all(|it| it.holds), "{found:?}");
        found.iter().map(Check::to_string).find(|it| it.contains("documents")).unwrap()
    };
    let kept = Proofs::from([(sha256, notice)]);
    assert_eq!(said(&kept), "PASS  all documents that entries name are in the file: 1");
    let without = said(&Proofs::new());
    assert!(without.contains("0 are in the file; not in it: notice.eml (SHA-256 "), "{without}");
}

#[test]
fn a_case_in_the_file_gives_the_result_in_the_file() {
    let files = tar::read(&evidence()).unwrap();
    let bytes = |name: &str| {
        let found = files.iter().find(|(full, _)| full.ends_with(name));
        found.map(|(_, bytes)| bytes.clone()).unwrap()
    };
    let crate::cli::sla::case::Named { id, case } =
        crate::cli::sla::case::read(&bytes("/case.json")).unwrap();
    let result = statement::result_of(&id, &case, &ledger::settle(&case));
    assert_eq!(format!("{result:#}\n").into_bytes(), bytes("/result.json"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bit_that_is_flipped_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut file = evidence();
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        prop_assert!(checks(&file, &trust()).iter().any(|check| !check.holds), "byte {}", at);
    }

    #[test]
    fn it_is_found_though_the_manifest_is_made_again(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut files = tar::read(&evidence()).unwrap();
        files.remove(0);
        let which = which.index(files.len());
        let (name, bytes) = &mut files[which];
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let name = name.clone();
        let bare = |(full, bytes): (String, Vec<u8>)| {
            (full.rsplit_once('/').unwrap().1.to_owned(), bytes)
        };
        let files = files.into_iter().map(bare).collect();
        let file = archive(files, "fyrhus-evidence-2026-11");
        prop_assert!(checks(&file, &trust()).iter().any(|check| !check.holds), "{} byte {}", name, at);
    }

    #[test]
    fn a_file_that_is_cut_or_doubled_does_not_hold(at in any::<prop::sample::Index>()) {
        let file = evidence();
        let at = at.index(file.len());
        for bad in [file[..at].to_vec(), [&file[..at], &file[..]].concat()] {
            prop_assert!(bad == file || checks(&bad, &trust()).iter().any(|check| !check.holds));
        }
    }

    #[test]
    fn no_bytes_make_a_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        prop_assert!(checks(&bytes, &trust()).iter().any(|check| !check.holds));
    }
}
