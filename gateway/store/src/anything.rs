//! What must hold of any bytes at all that a block is taken from, for a fuzzer to disprove.
//!
//! The same function is run by libFuzzer (`tests/fuzz`) with bytes of its own, and by `make test` with the
//! kept ones.

use std::collections::BTreeMap;

use metering::{NoReading, Origin, Quality, SeriesId, Trust};

use crate::block::{Block, Numbered, View};
use crate::codec::{self, Base, Entry};
use crate::rollup::{Answers, Tally};
use crate::tally_block::TallyBlock;

/// Takes the bytes behind the first for a block of readings, of tallies, or a row of the spool, as the
/// first one says.
///
/// - They unpack or they do not; neither panics, and what unpacks packs again and unpacks to the same.
/// - A question about single series hears the values that the whole block has.
///
/// # Panics
///
/// If one of these does not hold.
pub fn blocks(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => readings(bytes),
        1 => tallies(bytes),
        _ => row(bytes),
    }
}

fn readings(bytes: &[u8]) {
    let mut heard: BTreeMap<(u32, u64, i64), Vec<Result<i64, NoReading>>> = BTreeMap::new();
    let viewed = View::of(bytes).and_then(|view| {
        view.each(
            |_| true,
            &(i64::MIN..i64::MAX),
            |it| heard.entry((it.series, it.seq, it.at_ms)).or_default().push(it.value),
        )
    });
    let Ok(block) = Block::unpack(bytes) else { return };
    let all = all(&block);
    assert_eq!(all.len(), block.len(), "as many as it says");
    let again = Block::unpack(&block.pack()).map(|it| self::all(&it));
    assert_eq!(again.as_ref(), Ok(&all), "what is packed again is the same");
    assert_eq!(viewed, Ok(()), "what is a block can be looked through");
    let mut told: BTreeMap<(u32, u64, i64), Vec<Result<i64, NoReading>>> = BTreeMap::new();
    for &Numbered { seq, entry, .. } in all.iter().filter(|it| it.entry.at_ms < i64::MAX) {
        told.entry((entry.series, seq, entry.at_ms)).or_default().push(entry.value);
    }
    assert_eq!(heard, told, "a question hears what is there");
}

fn all(block: &Block) -> Vec<Numbered> {
    let mut all = Vec::new();
    block.each_answer(|_| true, |it| all.push(it));
    all
}

fn tallies(bytes: &[u8]) {
    let Ok(block) = TallyBlock::unpack(bytes) else { return };
    let again = TallyBlock::unpack(&block.pack());
    assert_eq!(again.as_ref(), Ok(&block), "what is packed again is the same");
    let series = block.tallies.keys().map(|(series, _, _)| *series).next();
    if let Some(series) = series {
        let mut part = BTreeMap::new();
        let read = TallyBlock::rows(bytes, series, |row| {
            part.insert((series, row.era, row.starts_at), row.tally);
        });
        let mut whole = block.tallies;
        whole.retain(|(of, _, _), _| *of == series);
        assert_eq!((read, part), (Ok(()), whole), "a part is part of the whole");
    }
}

fn row(bytes: &[u8]) {
    let Some((n, blob)) = bytes.split_first() else { return };
    let n = usize::from(*n);
    if let Ok(entries) = codec::unpack(BASE, n, blob) {
        assert_eq!(entries.len(), n, "as many as the row says");
        let again = codec::unpack(BASE, n, &codec::pack(BASE, &entries));
        assert_eq!(again.as_ref(), Ok(&entries), "what is packed again is the same");
    }
}

const BASE: Base = Base { at_ms: 1_774_738_800_000, boottime_ms: 5_000, cycle: 7 };

/// Cases to begin with, made by our own encoders.
pub fn block_cases() -> Vec<Vec<u8>> {
    let mut cases = Vec::new();
    for registers in 1..8 {
        for minutes in [1, 2, 9, 30] {
            let entries: Vec<Vec<Entry>> =
                (0..minutes).map(|minute| answer(minute, registers)).collect();
            cases.push([vec![0], packed(&entries).pack()].concat());
            cases.push([vec![1], tallied(&entries).pack()].concat());
            let row: Vec<Entry> = entries.concat();
            if let Ok(n) = u8::try_from(row.len()) {
                cases.push([vec![2, n], codec::pack(BASE, &row)].concat());
            }
        }
    }
    cases
}

/// What a meter says in a minute; in some it says nothing, and in some of something else.
fn answer(minute: i64, registers: u32) -> Vec<Entry> {
    let silent = minute % 7 == 6;
    (1..=registers)
        .map(|register| Entry {
            series: register * if minute % 5 == 4 { 2 } else { 1 },
            at_ms: BASE.at_ms + minute * 60_000,
            boottime_ms: BASE.boottime_ms + minute * 60_000,
            cycle: BASE.cycle + minute,
            trust: (minute != 3).then_some(Trust::Synced),
            quality: if minute == 2 { Quality::TimeEstimated } else { Quality::Good },
            origin: if minute == 8 { Origin::MeterMemory } else { Origin::Live },
            value: if silent {
                Err(NoReading::Silent)
            } else {
                Ok(i64::from(register) * 1_000 + minute * minute % 13)
            },
        })
        .collect()
}

fn packed(answers: &[Vec<Entry>]) -> Block {
    let mut block = Block::default();
    let mut seq = 1_000;
    for (place, answer) in answers.iter().enumerate() {
        let numbered: Vec<Numbered> = (seq..)
            .zip(answer)
            .map(|(number, entry)| Numbered {
                seq: number,
                entry: *entry,
                imported: place % 4 == 3,
                begins: number == seq,
                boot_id: if place < 12 { 7 } else { 8 },
            })
            .collect();
        seq += u64::try_from(numbered.len()).unwrap_or_default() + 100;
        block.push(&numbered);
    }
    block
}

fn tallied(answers: &[Vec<Entry>]) -> TallyBlock {
    let mut block = TallyBlock::default();
    for entry in answers.iter().flatten() {
        let starts_at = entry.at_ms.div_euclid(900_000) * 900_000;
        let counted = Answers { answered: 1, ..Answers::default() };
        let known = block.answers.entry(starts_at).or_default();
        *known = counted.plus(*known);
        if let (Ok(value), Some(series)) = (entry.value, SeriesId::new(entry.series)) {
            let mut tally = Tally::of(entry.at_ms, value, false, 0);
            let there = block.tallies.entry((series, 0, starts_at));
            there
                .and_modify(|it| {
                    *it = it.plus(tally);
                    it.seq = 0;
                })
                .or_insert_with(|| {
                    tally.seq = 0;
                    tally
                });
        }
    }
    block
}
