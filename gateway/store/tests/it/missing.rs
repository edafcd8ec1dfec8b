//! Every planned answer is received, remembered or missing for a cause, and the account closes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{NoReading, Origin, Unit};
use store::testing::{
    COLD, FixedClock, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, empty, known_day,
    moment, reading, register, resolution,
};
use store::{Account, BreakKind, Imported, Kind, Missing, Step};

const HOUR: i64 = 3_600_000;

async fn accounts(day: &KnownDay, from: i64, until: i64, step: Step) -> Vec<Account> {
    let accounts = day.store.readers().ask(move |it| it.accounts(from..until, step)).await.unwrap();
    for account in &accounts {
        let came = account.received + account.late + account.from_memory + account.corrected;
        let sum = came + account.missing_in_all();
        assert_eq!(account.expected, sum, "{account:?}");
    }
    accounts
}

#[tokio::test]
async fn a_silent_meter_is_missing_for_being_silent() {
    let day = known_day().await.unwrap();
    for step in [Step::Day, Step::Hour] {
        let all = accounts(&day, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, step).await;
        let heat = Account::sum(all.iter().filter(|it| it.meter == HEAT)).unwrap();
        assert_eq!((heat.expected, heat.received, heat.unplanned), (92, 88, 0));
        assert_eq!(heat.missing, [(Missing::Reason(NoReading::Silent), 4)]);
        let cold = Account::sum(all.iter().filter(|it| it.meter == COLD)).unwrap();
        assert_eq!((cold.expected, cold.received, cold.missing_in_all()), (92, 92, 0));
    }
}

#[tokio::test]
async fn what_nobody_asked_for_has_a_cause_too() {
    let day = known_day().await.unwrap();
    // Three hours without the gateway; in the fourth it asks one meter of two.
    let after = NEXT_MIDNIGHT_MS + 4 * HOUR;
    for quarter in 0..4 {
        let at = moment(after + quarter * 900_000 + 2_000);
        let volume = (reading("volume", 200 + quarter, 0, Unit::Litre, at), Kind::Counter);
        let round = vec![answer(COLD, "20110815", at, vec![volume])];
        day.store.writer().commit(round).await.unwrap();
    }
    // Somebody presses a button.
    let at = moment(after + 100_000);
    let volume = (reading("volume", 200, 0, Unit::Litre, at), Kind::Counter);
    day.store.writer().commit(vec![answer(COLD, "20110815", at, vec![volume])]).await.unwrap();

    for flushed in [false, true] {
        if flushed {
            day.store.writer().flush().await.unwrap();
            day.store.writer().pack().await.unwrap();
        }
        let off = accounts(&day, NEXT_MIDNIGHT_MS + HOUR, after, Step::Hour).await;
        let off = Account::sum(&off).unwrap();
        assert_eq!((off.expected, off.missing), (24, vec![(Missing::GatewayOff, 24)]));
        let on = accounts(&day, after, after + HOUR, Step::Hour).await;
        let of = |meter| on.iter().find(|it| it.meter == meter).unwrap();
        assert_eq!(of(HEAT).missing, [(Missing::NeverAsked, 4)]);
        assert_eq!((of(COLD).received, of(COLD).unplanned), (4, 1));
    }
}

#[tokio::test]
async fn a_meter_that_is_taken_out_is_no_longer_missing() {
    let day = known_day().await.unwrap();
    let from = NEXT_MIDNIGHT_MS + 2 * HOUR;
    day.store.writer().schedule(from, vec![(COLD, 900)]).await.unwrap();
    let all = accounts(&day, NEXT_MIDNIGHT_MS + HOUR, from + HOUR, Step::Hour).await;
    let heat = Account::sum(all.iter().filter(|it| it.meter == HEAT)).unwrap();
    assert_eq!((heat.expected, heat.missing_in_all()), (4, 4), "until then, and not after");
}

/// COLD is read once, at so many minutes after the midnight that ends the day.
async fn read(store: &store::Store, minutes: i64, boot: u128) {
    let mut at = moment(NEXT_MIDNIGHT_MS + minutes * 60_000);
    at.boot_id = boot;
    at.boottime = std::time::Duration::from_mins(60 + minutes.unsigned_abs());
    let volume = (reading("volume", 200 + minutes, 0, Unit::Litre, at), Kind::Counter);
    store.writer().commit(vec![answer(COLD, "20110815", at, vec![volume])]).await.unwrap();
}

#[tokio::test]
async fn what_was_off_and_why_is_written_down() {
    const BOOT: u128 = 0x5EED;
    let missing = async |day: &KnownDay, from: i64, until: i64| {
        let hours = (NEXT_MIDNIGHT_MS + from * HOUR, NEXT_MIDNIGHT_MS + until * HOUR);
        let all = accounts(day, hours.0, hours.1, Step::Hour).await;
        Account::sum(all.iter().filter(|it| it.meter == COLD)).unwrap().missing
    };
    let day = known_day().await.unwrap();
    day.store.writer().schedule(MIDNIGHT_MS, vec![(COLD, 900)]).await.unwrap();
    day.clock.set(NEXT_MIDNIGHT_MS + 60_000);
    let again = |day: KnownDay, boot: u128, goodbye: bool| {
        let KnownDay { store, clock: _, dir } = day;
        if goodbye {
            store.close().unwrap();
        } else {
            // As after a power cut: what is in the files, and nobody said goodbye.
            store.close().unwrap();
            let core = rusqlite::Connection::open(dir.path().join("core.db")).unwrap();
            core.execute("DELETE FROM cursor WHERE name = 'stopped'", []).unwrap();
        }
        let mut at = moment(NEXT_MIDNIGHT_MS + 60_000);
        at.boot_id = boot;
        let clock = FixedClock::of(at);
        let (store, _) = store::testing::open(dir.path(), &clock).unwrap();
        KnownDay { store, clock, dir }
    };
    // Stopped in order for two hours; then the power goes for two.
    let day = again(day, BOOT, true);
    read(&day.store, 120, BOOT).await;
    assert_eq!(missing(&day, 1, 2).await, [(Missing::GatewayOff, 4)]);
    let day = again(day, BOOT + 1, false);
    read(&day.store, 240, BOOT + 1).await;
    assert_eq!(missing(&day, 3, 4).await, [(Missing::PowerOff, 4)]);
    // The wall clock leaps from 04:15 to 06:15.
    read(&day.store, 255, BOOT + 1).await;
    let mut at = moment(NEXT_MIDNIGHT_MS + 375 * 60_000);
    at.boot_id = BOOT + 1;
    at.boottime = std::time::Duration::from_mins(60 + 256);
    let volume = (reading("volume", 600, 0, Unit::Litre, at), Kind::Counter);
    day.store.writer().commit(vec![answer(COLD, "20110815", at, vec![volume])]).await.unwrap();
    assert_eq!(missing(&day, 5, 6).await, [(Missing::ClockWrong, 4)]);
}

#[tokio::test]
async fn a_late_answer_is_that_of_the_quarter_it_was_planned_in() {
    let day = known_day().await.unwrap();
    // Nothing at 00:15; two answers after 00:30, and the other meter is read all the time.
    let at = moment(NEXT_MIDNIGHT_MS + 15 * 60_000 + 1000);
    let energy = (reading("energy", 13_000, 3, Unit::Gigajoule, at), Kind::Counter);
    day.store.writer().commit(vec![answer(HEAT, "67001122", at, vec![energy])]).await.unwrap();
    for minutes in [30, 31] {
        let at = moment(NEXT_MIDNIGHT_MS + minutes * 60_000);
        let volume = (reading("volume", 200 + minutes, 0, Unit::Litre, at), Kind::Counter);
        day.store.writer().commit(vec![answer(COLD, "20110815", at, vec![volume])]).await.unwrap();
    }
    let all = accounts(&day, NEXT_MIDNIGHT_MS, NEXT_MIDNIGHT_MS + 45 * 60_000, Step::Quarter).await;
    let cold: Vec<_> = all
        .iter()
        .filter(|it| it.meter == COLD)
        .map(|it| (it.expected, it.received, it.late, it.missing_in_all(), it.unplanned))
        .collect();
    assert_eq!(cold, [(1, 1, 0, 0, 0), (1, 0, 1, 0, 0), (1, 1, 0, 0, 0)]);
}

#[tokio::test]
async fn a_register_has_an_account_of_its_own() {
    let day = known_day().await.unwrap();
    // The heat meter answers four times without its power, and once somebody puts a value in.
    for quarter in 1..=5 {
        let at = moment(NEXT_MIDNIGHT_MS + quarter * 900_000 + 1000);
        let energy = (reading("energy", 13_000, 3, Unit::Gigajoule, at), Kind::Counter);
        day.store.writer().commit(vec![answer(HEAT, "67001122", at, vec![energy])]).await.unwrap();
    }
    let correction = Imported {
        meter: HEAT,
        register: register("flow_temperature"),
        kind: Kind::Gauge,
        at_ms: NEXT_MIDNIGHT_MS + 900_000,
        quantity: metering::Quantity::new(700, resolution(1, Unit::Celsius)),
        origin: Origin::Correction,
    };
    day.store.writer().import(vec![correction]).await.unwrap();
    let of = async |name: &'static str| {
        let span = MIDNIGHT_MS..NEXT_MIDNIGHT_MS + 6 * 900_000;
        let found = day
            .store
            .readers()
            .ask(move |it| it.register_accounts(HEAT, &register(name), span, Step::Hour))
            .await
            .unwrap();
        let sum = Account::sum(&found).unwrap();
        (sum.expected, sum.received, sum.corrected, sum.missing)
    };
    let silent = (Missing::Reason(NoReading::Silent), 4);
    assert_eq!(of("energy").await, (98, 94, 0, vec![silent]));
    let left_out = (Missing::Reason(NoReading::LeftOut), 4);
    assert_eq!(of("flow_temperature").await, (98, 89, 1, vec![silent, left_out]));
}

#[tokio::test]
async fn what_a_counter_did_is_kept_and_is_no_use() {
    let day = empty().unwrap();
    let mut minutes = 0;
    let mut tell = async |serial: &str, mantissa: i64, unit: Unit| {
        minutes += 15;
        let at = moment(MIDNIGHT_MS + minutes * 60_000);
        let volume = (reading("volume", mantissa, 0, unit, at), Kind::Counter);
        day.store.writer().commit(vec![answer(COLD, serial, at, vec![volume])]).await.unwrap();
    };
    for mantissa in [99_990, 99_998, 5, 25, 0, 10] {
        tell("1", mantissa, Unit::Litre).await;
    }
    tell("2", 7_000, Unit::Litre).await;
    tell("2", 7_010, Unit::Litre).await;
    tell("2", 7, Unit::CubicMetre).await;
    tell("2", 8, Unit::CubicMetre).await;
    tell("1", 11, Unit::Litre).await;

    let span = MIDNIGHT_MS..NEXT_MIDNIGHT_MS;
    let (breaks, used) = day
        .store
        .readers()
        .ask(move |it| {
            let volume = register("volume");
            let breaks = it.counter_breaks(COLD, &volume, &span)?;
            Ok((breaks, it.used(COLD, &volume, span, Step::Day)?))
        })
        .await
        .unwrap();
    let told: Vec<String> =
        breaks.iter().map(|it| format!("{} {} to {}", it.kind.as_str(), it.old, it.new)).collect();
    assert_eq!(
        told,
        [
            "rollover 99998 l to 5 l",
            "reset 25 l to 0 l",
            "swap 10 l to 7000 l",
            "unit 7010 l to 7 m³",
            "swap 8 m³ to 11 l",
        ]
    );
    assert_eq!(breaks[2].kind, BreakKind::Swap);
    assert_eq!((breaks[2].old_serial.as_str(), breaks[2].new_serial.as_str()), ("1", "2"));
    let amounts: Vec<_> =
        used.iter().flat_map(|run| &run.rows).map(|row| row.amount.mantissa()).collect();
    // 8 before it ran over, 20 after, 10 after it was set back, and 1 since it came back.
    assert_eq!(amounts, [8 + 20 + 10 + 1, 10, 1]);
}
