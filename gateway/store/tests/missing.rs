//! Every planned answer is received, remembered or missing for a cause, and the account closes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use metering::{NoReading, Unit};
use store::testing::{
    COLD, HEAT, KnownDay, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, known_day, moment, reading,
};
use store::{Account, Kind, Missing, Step};

const HOUR: i64 = 3_600_000;

async fn accounts(day: &KnownDay, from: i64, until: i64, step: Step) -> Vec<Account> {
    let accounts = day.store.readers().ask(move |it| it.accounts(from..until, step)).await.unwrap();
    for account in &accounts {
        let sum = account.received + account.from_memory + account.missing_in_all();
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
