//! A correction holds from its commit on, in readings, roll-ups and the account, and says what was there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{NoReading, Origin, Quantity, Unit};
use proptest::prelude::*;
use store::testing::{
    COLD, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, empty, known_day, moment, open,
    reading, register, resolution,
};
use store::{
    Account, Change, Correction, Kind, NewCorrection, NotCorrected, Order, SpanCorrection, Step,
};

const QUARTER: i64 = 900_000;
const HOUR: i64 = 4 * QUARTER;

fn wanted(name: &str, at_ms: i64, quantity: Quantity) -> NewCorrection {
    NewCorrection {
        meter: if name == "volume" { COLD } else { HEAT },
        register: register(name),
        at_ms,
        quantity,
        who: "kari".to_owned(),
        why: "read from the display".to_owned(),
    }
}

fn litres(mantissa: i64) -> Quantity {
    Quantity::new(mantissa, resolution(0, Unit::Litre))
}

/// When each reading of a register was, with its figure.
async fn readings(day: &KnownDay, name: &'static str) -> Vec<(i64, Option<i64>, Origin)> {
    let meter = wanted(name, 0, litres(0)).meter;
    day.store
        .readers()
        .ask(move |it| {
            let all = i64::MIN..i64::MAX;
            it.readings(meter, &register(name), all, Order::OldestFirst, usize::MAX)
        })
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.at_ms, it.value.ok().map(Quantity::mantissa), it.origin))
        .collect()
}

/// All rows of a register, as text.
async fn rows(day: &KnownDay, name: &'static str) -> Vec<String> {
    let meter = wanted(name, 0, litres(0)).meter;
    let ask = move |it: &store::Snapshot<'_>| {
        let all = MIDNIGHT_MS - HOUR..NEXT_MIDNIGHT_MS + 24 * HOUR;
        let mut rows = Vec::new();
        for step in Step::ALL {
            for run in it.used(meter, &register(name), all.clone(), step)? {
                rows.extend(run.rows.iter().map(|row| format!("{row:?}")));
            }
            for run in it.levels(meter, &register(name), all.clone(), step)? {
                rows.extend(run.rows.iter().map(|row| format!("{row:?}")));
            }
        }
        Ok(rows)
    };
    day.store.readers().ask(ask).await.unwrap()
}

fn again(day: KnownDay) -> KnownDay {
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    KnownDay { store, clock, dir }
}

#[tokio::test]
async fn what_is_corrected_holds_and_tells_what_was_there() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    let before = readings(&day, "volume").await;
    let (at, old, _) = before[40];
    let old = old.unwrap();
    let made = day.store.writer().correct(wanted("volume", at, litres(old + 3))).await.unwrap();
    assert_eq!((made.old, made.new), (Some(Ok(litres(old))), litres(old + 3)));

    let mut expected = before.clone();
    expected[40] = (at, Some(old + 3), Origin::Correction);
    let told = async |day: &KnownDay| -> Vec<Correction> {
        day.store.readers().ask(|it| it.corrections(COLD, &(0..i64::MAX))).await.unwrap()
    };
    let in_force = rows(&day, "volume").await;
    let mut day = day;
    for round in 0..3 {
        assert_eq!(readings(&day, "volume").await, expected, "{round}");
        assert_eq!(told(&day).await, std::slice::from_ref(&made), "{round}");
        assert_eq!(rows(&day, "volume").await, in_force, "{round}");
        if round == 1 {
            // The roll-ups are lost, and made again from the readings.
            let KnownDay { store, clock, dir } = day;
            store.close().unwrap();
            std::fs::remove_file(dir.path().join("rollup.db")).unwrap();
            let (store, _) = open(dir.path(), &clock).unwrap();
            day = KnownDay { store, clock, dir };
        } else {
            day.store.writer().pack().await.unwrap();
            day = again(day);
        }
    }
    // A second one holds instead of the first; both are told.
    let second = wanted("volume", at, litres(old + 1));
    let second = day.store.writer().correct(second).await.unwrap();
    assert_eq!(second.old, Some(Ok(litres(old + 3))));
    expected[40].1 = Some(old + 1);
    assert_eq!(readings(&day, "volume").await, expected);
    assert_eq!(told(&day).await, [made, second]);
}

#[tokio::test]
async fn a_power_cut_before_it_is_counted_costs_nothing() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    day.store.writer().flush().await.unwrap();
    let (at, old, _) = readings(&day, "volume").await[50];
    let roll_ups = |day: &KnownDay| day.dir.path().join("rollup.db");
    let day = again(day);
    let kept = std::fs::read(roll_ups(&day)).unwrap();
    day.store.writer().correct(wanted("volume", at, litres(old.unwrap() + 2))).await.unwrap();
    let expected = rows(&day, "volume").await;

    // As after a cut between the two files: the correction is stored, and the roll-ups are as before.
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    std::fs::write(dir.path().join("rollup.db"), kept).unwrap();
    let core = rusqlite::Connection::open(dir.path().join("core.db")).unwrap();
    core.execute("UPDATE correction SET counted = 0", []).unwrap();
    // And one of which no reading was stored.
    core.execute(
        "INSERT INTO correction SELECT seq + 1, made_ms, who, why, series, at_ms - 900000, old,
                                       old_reason, new, 0 FROM correction",
        [],
    )
    .unwrap();
    drop(core);
    let (store, _) = open(dir.path(), &clock).unwrap();
    let day = KnownDay { store, clock, dir };
    assert_eq!(rows(&day, "volume").await, expected);
    let told = day.store.readers().ask(|it| it.corrections(COLD, &(0..i64::MAX))).await.unwrap();
    assert_eq!(told.len(), 1);
}

#[tokio::test]
async fn a_gap_is_filled_and_the_account_says_by_whom() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    let all = readings(&day, "energy").await;
    let (silent, _, _) = *all.iter().find(|(_, figure, _)| figure.is_none()).unwrap();
    let figure = Quantity::new(12_425, resolution(3, Unit::Gigajoule));
    let made = day.store.writer().correct(wanted("energy", silent, figure)).await.unwrap();
    assert_eq!(made.old, Some(Err(NoReading::Silent)));
    let span = MIDNIGHT_MS..NEXT_MIDNIGHT_MS;
    let found = day
        .store
        .readers()
        .ask(move |it| it.register_accounts(HEAT, &register("energy"), span, Step::Day))
        .await
        .unwrap();
    let sum = Account::sum(&found).unwrap();
    assert_eq!((sum.expected, sum.received, sum.corrected, sum.missing_in_all()), (92, 88, 1, 3));

    // And where nothing was read at all.
    let at = NEXT_MIDNIGHT_MS + 2 * QUARTER;
    let made = day.store.writer().correct(wanted("volume", at, litres(195))).await.unwrap();
    assert_eq!(made.old, None);
    // It is what the meter shows now.
    let latest = day.store.readers().ask(|it| Ok(it.latest(COLD))).await.unwrap();
    assert_eq!((latest[0].at_ms, latest[0].value), (at, Ok(litres(195))));
}

#[tokio::test]
async fn what_cannot_be_corrected_says_why() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    let at = MIDNIGHT_MS + QUARTER;
    let tenths = Quantity::new(1, resolution(1, Unit::Litre));
    let cubic = Quantity::new(1, resolution(0, Unit::CubicMetre));
    let nameless = NewCorrection { who: " ".to_owned(), ..wanted("volume", at, litres(1)) };
    let endless = NewCorrection { why: "x".repeat(501), ..wanted("volume", at, litres(1)) };
    for (wanted, expected) in [
        (wanted("power", at, litres(1)), "the meter has never told this register"),
        (wanted("volume", MIDNIGHT_MS - HOUR, litres(1)), "the meter has never told this register"),
        (wanted("volume", NEXT_MIDNIGHT_MS + HOUR, litres(1)), "that instant is not over yet"),
        (
            wanted("volume", at, tenths),
            "the register counted in steps of 1 l then: give the figure in these",
        ),
        (
            wanted("volume", at, cubic),
            "the register counted in steps of 1 l then: give the figure in these",
        ),
        (nameless, "a correction says who makes it and why, in at most 500 bytes"),
        (endless, "a correction says who makes it and why, in at most 500 bytes"),
    ] {
        let refused: NotCorrected = day.store.writer().correct(wanted).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let told = day.store.readers().ask(|it| it.corrections(COLD, &(0..i64::MAX))).await.unwrap();
    assert!(told.is_empty());
}

/// A counter and a gauge that were read every five minutes for six hours.
async fn read(figures: &[i64]) -> KnownDay {
    let day = empty().unwrap();
    for (n, figure) in (0..).zip(figures) {
        let at = moment(MIDNIGHT_MS + 2 * HOUR + n * 300_000);
        let volume = (reading("volume", *figure, 0, Unit::Litre, at), Kind::Counter);
        day.store.writer().commit(vec![answer(COLD, "1", at, vec![volume])]).await.unwrap();
    }
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    day
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Wrong figures that are corrected come to what right ones would have come to.
    #[test]
    fn corrected_figures_count_like_right_ones(
        rises in prop::collection::vec(0..50_i64, 72),
        wrong in prop::collection::btree_map(0..72_usize, 0..9_999_i64, 0..6),
        flushed in any::<bool>(),
    ) {
        let figures: Vec<i64> = rises
            .iter()
            .scan(1_000, |stand, rise| {
                *stand += rise;
                Some(*stand)
            })
            .collect();
        let mut misread = figures.clone();
        for (index, figure) in &wrong {
            misread[*index] = *figure;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let right = read(&figures).await;
            let corrected = read(&misread).await;
            if flushed {
                corrected.store.writer().flush().await.unwrap();
            }
            for index in wrong.keys() {
                let at = MIDNIGHT_MS + 2 * HOUR + i64::try_from(*index).unwrap() * 300_000;
                let figure = litres(figures[*index]);
                corrected.store.writer().correct(wanted("volume", at, figure)).await.unwrap();
            }
            assert_eq!(rows(&corrected, "volume").await, rows(&right, "volume").await);
        });
    }
}

/// What somebody corrects of the water meter.
fn span_of(from: i64, until: i64, change: Change) -> SpanCorrection {
    SpanCorrection {
        meter: COLD,
        register: register("volume"),
        span: from..until,
        change,
        who: "kari".to_owned(),
        why: "the display was read upside down".to_owned(),
    }
}

#[tokio::test]
async fn a_span_is_corrected_counted_told_and_put_back() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    let (before, sums) = (readings(&day, "volume").await, rows(&day, "volume").await);
    let (from, until) = (MIDNIGHT_MS + 3 * HOUR, MIDNIGHT_MS + 9 * HOUR);
    let writer = day.store.writer();
    let more = span_of(from, until, Change::By(litres(1_000)));

    let told = writer.correct_span(more.clone(), true).await.unwrap();
    let inside: Vec<_> = before
        .iter()
        .filter(|(at, value, _)| (from..until).contains(at) && value.is_some())
        .collect();
    assert!(inside.len() > 20, "{}", inside.len());
    assert_eq!(told.readings, inside.len());
    assert_eq!((told.first_ms, told.last_ms), (Some(inside[0].0), inside.last().map(|it| it.0)));
    assert_eq!(readings(&day, "volume").await, before, "nothing is done by looking");

    assert_eq!(writer.correct_span(more, false).await.unwrap(), told);
    let expected: Vec<_> = before
        .iter()
        .map(|&(at, value, origin)| match value.filter(|_| (from..until).contains(&at)) {
            Some(value) => (at, Some(value + 1_000), Origin::Correction),
            None => (at, value, origin),
        })
        .collect();
    assert_eq!(readings(&day, "volume").await, expected);
    // As if each had been corrected by itself, and as a recount of everything has it.
    let in_force = rows(&day, "volume").await;
    assert_ne!(in_force, sums);
    let single = known_day().await.unwrap();
    single.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    for &&(at, value, _) in &inside {
        let wanted = wanted("volume", at, litres(value.unwrap() + 1_000));
        single.store.writer().correct(wanted).await.unwrap();
    }
    assert_eq!(rows(&single, "volume").await, in_force);
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("rollup.db")).unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    let day = KnownDay { store, clock, dir };
    assert_eq!(rows(&day, "volume").await, in_force);

    // A part of it once more, to one figure; and then all of it as it was read.
    let writer = day.store.writer();
    let one = span_of(from, from + HOUR, Change::To(litres(7)));
    assert_eq!(writer.correct_span(one, false).await.unwrap().readings, 4);
    let back = span_of(MIDNIGHT_MS, NEXT_MIDNIGHT_MS, Change::AsRead);
    assert_eq!(writer.correct_span(back.clone(), false).await.unwrap().readings, inside.len());
    let values = |all: Vec<(i64, Option<i64>, Origin)>| -> Vec<_> {
        all.into_iter().map(|(at, value, _)| (at, value)).collect()
    };
    assert_eq!(values(readings(&day, "volume").await), values(before));
    assert_eq!(rows(&day, "volume").await, sums);
    assert_eq!(
        writer.correct_span(back, false).await.unwrap().readings,
        0,
        "there is nothing left"
    );
}

#[tokio::test]
async fn a_span_that_cannot_be_corrected_is_refused_and_left_as_it_is() {
    let day = known_day().await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + HOUR);
    let before = readings(&day, "volume").await;
    let writer = day.store.writer();
    let whole = |change| span_of(MIDNIGHT_MS, NEXT_MIDNIGHT_MS, change);
    let more = Change::By(litres(1));
    let ahead = span_of(MIDNIGHT_MS, NEXT_MIDNIGHT_MS + 2 * HOUR, more);
    let mut unsaid = whole(more);
    unsaid.why = " ".to_owned();
    let mut another = whole(more);
    another.register = register("power");
    let finer = Quantity::new(15, resolution(1, Unit::Litre));
    for (wanted, code) in [
        (ahead, "future"),
        (unsaid, "unsaid"),
        (another, "no_register"),
        (whole(Change::By(finer)), "steps"),
        (whole(Change::By(litres(i64::MAX))), "steps"),
    ] {
        let refused = writer.correct_span(wanted, false).await.unwrap_err();
        assert_eq!(refused.code(), Some(code), "{refused}");
    }
    assert_eq!(readings(&day, "volume").await, before);
}
