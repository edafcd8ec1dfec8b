//! What was damaged comes back from the portfolio under the numbers that it had, and nobody can tell by a figure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metering::{MeterId, Origin};
use rusqlite::Connection;
use store::testing::{
    COLD, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, known_day, open, register,
};
use store::{Level, OutboxReading, Recall, Run, Sign, Step, Store, Used, seals};

const RAW: &str = "raw-2026-03.db";

/// All that the cloud was told, and has.
async fn told(store: &Store) -> Vec<OutboxReading> {
    let (outbox, mut all, mut after) = (store.outbox(), Vec::new(), 0);
    loop {
        let batch = outbox.batch(after, 10_000).await.unwrap();
        after = batch.readings.last().map_or(after, |last| last.seq);
        let none = batch.readings.is_empty();
        all.extend(batch.readings);
        match batch.lost {
            Some(lost) => after = lost.to,
            None if none => return all,
            None => {}
        }
    }
}

/// What questions are answered by sums, causes and the newest values.
#[derive(Debug, PartialEq)]
struct Sums {
    levels: Vec<Run<Level>>,
    used: Vec<Run<Used>>,
    accounts: Vec<store::Account>,
    completeness: Vec<store::Completeness>,
    latest: Vec<(MeterId, i64, String)>,
}

async fn sums(store: &Store) -> Sums {
    let ask = |it: &store::Snapshot<'_>| {
        let all = MIDNIGHT_MS - 86_400_000..NEXT_MIDNIGHT_MS + 86_400_000;
        let (mut levels, mut used) = (Vec::new(), Vec::new());
        for (meter, name) in [(HEAT, "energy"), (HEAT, "flow_temperature"), (COLD, "volume")] {
            for step in [Step::Quarter, Step::Hour, Step::Day, Step::Month] {
                levels.extend(it.levels(meter, &register(name), all.clone(), step)?);
                if name != "flow_temperature" {
                    used.extend(it.used(meter, &register(name), all.clone(), step)?);
                }
            }
        }
        let mut latest: Vec<_> = it.latest_all().into_iter().collect();
        latest.sort_by_key(|it| it.series.series);
        let newest = latest
            .into_iter()
            .map(|it| (it.series.meter, it.at_ms, format!("{:?} {:?}", it.value, it.last_value)));
        Ok(Sums {
            levels,
            used,
            accounts: it.accounts(MIDNIGHT_MS..NEXT_MIDNIGHT_MS, Step::Hour)?,
            completeness: it.completeness(MIDNIGHT_MS..NEXT_MIDNIGHT_MS, Step::Quarter)?,
            latest: newest.collect(),
        })
    };
    store.readers().ask(ask).await.unwrap()
}

/// The portfolio's answer: what it has of it, so many instants at most.
fn answer(
    store: &Store,
    has: &[OutboxReading],
    recall: &Recall,
    instants: usize,
) -> (Vec<OutboxReading>, Option<i64>) {
    let of_meter = |it: &&OutboxReading| {
        store.outbox().series(&[it.series]).iter().all(|info| info.meter == recall.meter)
    };
    let asked = |it: &&OutboxReading| {
        let numbers = recall.numbers.iter().any(|(a, z)| (*a..=*z).contains(&it.seq));
        recall.span.contains(&it.at_ms) && numbers
    };
    let mut found: Vec<_> = has.iter().filter(asked).filter(of_meter).copied().collect();
    let mut times: Vec<i64> = found.iter().map(|it| it.at_ms).collect();
    times.sort_unstable();
    times.dedup();
    let next = times.get(instants).copied();
    found.retain(|it| next.is_none_or(|next| it.at_ms < next));
    (found, next)
}

/// Asks until nothing is left to ask for: how many came back, and how often it was asked.
async fn recalled(store: &Store, has: &[OutboxReading]) -> (u64, usize) {
    let (mut count, mut asked) = (0, 0);
    while let Some(recall) = store.outbox().recall().await.unwrap() {
        let (found, next) = answer(store, has, &recall, 5);
        count += store.outbox().restore(recall, found, next).await.unwrap();
        asked += 1;
    }
    (count, asked)
}

/// The known day, told to a cloud.
async fn told_day() -> (KnownDay, Vec<OutboxReading>, Sums) {
    let day = known_day().await.unwrap();
    let head = day.store.outbox().state().head;
    day.store.outbox().acknowledge(head).await.unwrap();
    let (has, before) = (told(&day.store).await, sums(&day.store).await);
    assert_eq!(u64::try_from(has.len()).unwrap(), head);
    (day, has, before)
}

/// Changes a byte of the packed readings of a meter.
fn harm_a_block(dir: &Path, meter: MeterId) -> u64 {
    let db = Connection::open(dir.join(RAW)).unwrap();
    let key: i64 = db
        .query_row(
            "SELECT key FROM packed_meter WHERE meter = ?1",
            [meter.uuid().as_bytes()],
            |it| it.get(0),
        )
        .unwrap();
    let of = "id = (SELECT id FROM block WHERE id & 16777215 = ?1 ORDER BY n DESC LIMIT 1)";
    let n: u64 =
        db.query_row(&format!("SELECT n FROM block WHERE {of}"), [key], |it| it.get(0)).unwrap();
    let harmed = db.execute(&format!("UPDATE block SET crc32c = crc32c + 1 WHERE {of}"), [key]);
    assert_eq!(harmed.unwrap(), 1);
    n
}

async fn pack(day: &KnownDay) {
    day.clock.pass(Duration::from_hours(48));
    assert!(day.store.writer().pack().await.unwrap() > 0);
}

#[tokio::test]
async fn a_damaged_block_comes_back_under_its_numbers_across_a_restart() {
    let (day, has, before) = told_day().await;
    pack(&day).await;
    let n = harm_a_block(day.dir.path(), HEAT);
    assert_eq!(day.store.writer().scrub_all().await.unwrap().len(), 1);
    let left = told(&day.store).await.len();
    assert_eq!(u64::try_from(has.len() - left).unwrap(), n);

    // One answer comes, then the gateway is started anew.
    let recall = day.store.outbox().recall().await.unwrap().unwrap();
    assert_eq!((recall.meter, recall.epoch), (HEAT, day.store.outbox().epoch()));
    let (some, next) = answer(&day.store, &has, &recall, 5);
    assert_eq!((some.len(), next.is_some()), (10, true));
    assert_eq!(day.store.outbox().restore(recall.clone(), some.clone(), next).await.unwrap(), 10);
    let KnownDay { store, clock, dir } = day;
    store.close().unwrap();
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged, []);
    // What was heard once more changes nothing, and it goes on where it was.
    let again = store.outbox().recall().await.unwrap().unwrap();
    assert_eq!((again.meter, again.span.start), (HEAT, next.unwrap()));
    let heard = store.outbox().restore(recall, some, next).await.unwrap();
    assert_eq!(heard, 0);
    let (count, asked) = recalled(&store, &has).await;
    assert_eq!(count + 10, n);
    assert!(asked > 5, "{asked} questions");

    assert_eq!(told(&store).await, has);
    assert_eq!(sums(&store).await, before);
    let said = store.core().damages().await.unwrap();
    let sentence = format!("{n} of the damaged readings of meter {HEAT} from ");
    assert!(said[0].starts_with(&sentence), "{said:?}");
    assert!(said[0].ends_with("came back from the portfolio; it has no more of them"), "{said:?}");
    let had = store::had_again(dir.path()).unwrap();
    let expected = store::HadAgain { times: 1, open: 0, recalled: n, remembered: 0 };
    assert_eq!(had, expected);
    // It stays so when they are packed, and after another start.
    clock.pass(Duration::from_hours(1));
    assert!(store.writer().pack().await.unwrap() > 0);
    assert_eq!((told(&store).await, sums(&store).await), (has.clone(), before));
    store.close().unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    assert_eq!(store.outbox().recall().await.unwrap(), None);
    assert_eq!(told(&store).await, has);
    assert_eq!(store.writer().scrub_all().await.unwrap(), []);
}

/// Copies the files of a store that runs: the power goes.
fn power_cut(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn ruin(path: &Path) {
    let length = usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap();
    std::fs::write(path, vec![0xA5; length]).unwrap();
}

/// Opens what is left of a store when the power went and the month's file is no database any more, or is gone.
fn ruined(day: &KnownDay, gone: bool) -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    power_cut(day.dir.path(), dir.path());
    if gone {
        std::fs::remove_file(dir.path().join(RAW)).unwrap();
    } else {
        ruin(&dir.path().join(RAW));
    }
    for log in ["-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("{RAW}{log}"))).unwrap();
    }
    let (store, report) = open(dir.path(), &day.clock).unwrap();
    let name = if gone { "a raw file" } else { RAW };
    assert!(report.damaged.iter().any(|it| it.file == name), "{report:?}");
    (store, dir)
}

#[tokio::test]
async fn a_month_that_no_sum_had_counted_is_counted_when_it_comes_back() {
    // The sums know nothing, half of it, or all: they are written now and then.
    for (written_after, gone) in
        [(None, false), (Some(40), false), (Some(92), false), (Some(92), true)]
    {
        let day = store::testing::empty().unwrap();
        let writer = day.store.writer();
        writer.schedule(MIDNIGHT_MS, vec![(HEAT, 900), (COLD, 900)]).await.unwrap();
        for quarter in 0..=92 {
            writer.commit(store::testing::round(quarter)).await.unwrap();
            if written_after == Some(quarter) {
                writer.flush().await.unwrap();
            }
        }
        let head = day.store.outbox().state().head;
        day.store.outbox().acknowledge(head).await.unwrap();
        let (has, before) = (told(&day.store).await, sums(&day.store).await);
        let (store, _dir) = ruined(&day, gone);
        assert_eq!(told(&store).await, []);
        let (count, _) = recalled(&store, &has).await;
        assert_eq!(count, head, "{written_after:?}");
        assert_eq!(told(&store).await, has, "{written_after:?}");
        assert_eq!(sums(&store).await, before, "{written_after:?}");
        let state = store.outbox().state();
        assert_eq!(state.acked, head, "nothing is sent again");
        let next = store.outbox().batch(state.acked, 10).await.unwrap();
        assert_eq!(next.readings, []);
    }
}

#[tokio::test]
async fn sums_that_were_made_again_in_between_have_it_too() {
    let (day, has, before) = told_day().await;
    pack(&day).await;
    let KnownDay { store, clock, dir } = day;
    harm_a_block(dir.path(), COLD);
    assert_eq!(store.writer().scrub_all().await.unwrap().len(), 1);
    store.close().unwrap();
    ruin(&dir.path().join("rollup.db"));
    let (store, report) = open(dir.path(), &clock).unwrap();
    assert_eq!(report.damaged.len(), 1, "{report:?}");
    assert_ne!(sums(&store).await, before);
    recalled(&store, &has).await;
    assert_eq!(told(&store).await, has);
    assert_eq!(sums(&store).await, before);
}

#[tokio::test]
async fn what_the_portfolio_has_not_either_is_said_once() {
    let (day, has, _) = told_day().await;
    pack(&day).await;
    harm_a_block(day.dir.path(), HEAT);
    assert_eq!(day.store.writer().scrub_all().await.unwrap().len(), 1);
    let left = told(&day.store).await;
    assert_eq!(recalled(&day.store, &[]).await, (0, 1));
    let said = day.store.core().damages().await.unwrap();
    assert!(
        said[0].starts_with("the portfolio has none of the damaged readings of meter"),
        "{said:?}"
    );
    assert_eq!(day.store.outbox().recall().await.unwrap(), None);
    assert_eq!(told(&day.store).await, left);

    // Nor is anybody asked when nothing of it was told.
    let day = known_day().await.unwrap();
    pack(&day).await;
    harm_a_block(day.dir.path(), HEAT);
    assert_eq!(day.store.writer().scrub_all().await.unwrap().len(), 1);
    assert_eq!(recalled(&day.store, &has).await, (0, 0));
}

#[tokio::test]
async fn only_what_was_lost_comes_back() {
    let (day, has, before) = told_day().await;
    pack(&day).await;
    harm_a_block(day.dir.path(), HEAT);
    assert_eq!(day.store.writer().scrub_all().await.unwrap().len(), 1);
    let recall = day.store.outbox().recall().await.unwrap().unwrap();
    let (lost, _) = answer(&day.store, &has, &recall, usize::MAX);
    let cold = has.iter().find(|it| lost.iter().all(|other| other.series != it.series)).unwrap();
    let one = *lost.first().unwrap();
    let wrong = [
        // There is another under this number.
        OutboxReading { seq: cold.seq, ..one },
        // That number was never given.
        OutboxReading { seq: 1_000_000, ..one },
        // Of another meter, or of none; of another time.
        OutboxReading { series: cold.series, ..one },
        OutboxReading { series: metering::SeriesId::new(999).unwrap(), ..one },
        OutboxReading { at_ms: recall.span.end, ..one },
    ];
    let outbox = day.store.outbox();
    let left = told(&day.store).await;
    let next = Some(recall.span.start + 1);
    assert_eq!(outbox.restore(recall.clone(), wrong.to_vec(), next).await.unwrap(), 0);
    let mut elsewhere = recall.clone();
    elsewhere.epoch += 1;
    assert_eq!(outbox.restore(elsewhere, lost.clone(), None).await.unwrap(), 0);
    assert_eq!((told(&day.store).await, sums(&day.store).await), (left, before));
    // On a disk that is nearly full nothing is fetched that pushes out what is there.
    store::testing::disk_is(&day.store, 85);
    assert_eq!(outbox.recall().await.unwrap(), None);
    store::testing::disk_is(&day.store, 84);
    assert!(outbox.recall().await.unwrap().is_some());
    assert_eq!(outbox.restore(recall, lost.clone(), None).await.unwrap(), lost.len() as u64);
}

#[tokio::test]
async fn no_seal_proves_what_came_back_and_none_fails_for_it() {
    let sign: Arc<Sign> = Arc::new(|hash| [hash[0]; 64]);
    let (day, has, _) = told_day().await;
    let head = day.store.outbox().state().head;
    assert_eq!(day.store.writer().seal(Arc::clone(&sign)).await.unwrap(), head);
    pack(&day).await;
    let n = harm_a_block(day.dir.path(), HEAT);
    assert_eq!(day.store.writer().scrub_all().await.unwrap().len(), 1);
    let file = day.dir.path().join(RAW);
    recalled(&day.store, &has).await;
    let sealed = seals(&file).unwrap();
    let there = head - n;
    let fault =
        format!("{there} of {head} readings are there, and {n} that came back from the portfolio");
    assert_eq!(sealed.seals[0].fault.as_deref(), Some(&*fault));
    assert_eq!((sealed.recalled, sealed.unsealed), (n, 0));
    assert_eq!(day.store.writer().seal(Arc::clone(&sign)).await.unwrap(), 0);

    // A month whose file was begun anew is sealed anew, and what comes back later breaks no seal.
    let (day, has, _) = told_day().await;
    let (store, dir) = ruined(&day, false);
    day.clock.pass(Duration::from_hours(1));
    let at = store::testing::moment(NEXT_MIDNIGHT_MS + 3_600_000);
    let volume = store::testing::reading("volume", 500, 0, metering::Unit::Litre, at);
    let readings = vec![(volume, store::Kind::Counter)];
    let round = store::testing::answer(COLD, "20110815", at, readings);
    store.writer().commit(vec![round]).await.unwrap();
    assert_eq!(store.writer().seal(Arc::clone(&sign)).await.unwrap(), 1);
    recalled(&store, &has).await;
    assert_eq!(store.writer().seal(sign).await.unwrap(), 0);
    let sealed = seals(&dir.path().join(RAW)).unwrap();
    let faults: Vec<_> = sealed.seals.iter().map(|it| it.fault.clone()).collect();
    assert_eq!((faults, sealed.recalled, sealed.unsealed), (vec![None], head, 0));
    assert!(has.iter().all(|it| it.origin == Origin::Live));
}
