//! What the pages show of a known day.

use ledger::case::Ore;
use ledger::entry::{Contract, Entry, Fact, Open};
use ledger::{Attempt, Failure, Limit, Outcome, References, Terms, Tiers};
use serde_json::json;
use store::{AttemptRow, Imported};

use super::*;

/// 2026-11-20T23:00:00Z: local midnight.
pub(super) const MIDNIGHT_MS: i64 = 1_795_215_600_000;
pub(super) const HOUR_MS: i64 = 3_600_000;

impl Gateway {
    /// A stand for each of `registers` every quarter hour from `from_ms` until now, a step more
    /// each time.
    pub(super) async fn import(
        &self,
        meter: &str,
        register: &str,
        from_ms: i64,
        resolution: Resolution,
    ) {
        let until_ms = self.clock.now().wall_ms();
        let gauge = register == "power" || register.contains("temperature");
        let quarters = (from_ms..until_ms).step_by(900_000).zip(1_000..);
        let readings = quarters.map(|(at_ms, mantissa)| Imported {
            meter: id(meter),
            register: register.parse().unwrap(),
            kind: if gauge { Kind::Gauge } else { Kind::Counter },
            at_ms,
            quantity: Quantity::new(mantissa, resolution),
            origin: Origin::Simulated,
        });
        self.store.writer().import(readings.collect()).await.unwrap();
    }

    pub(super) async fn with_a_day() -> Self {
        let gateway = Self::new();
        let mwh = Resolution::new(3, Unit::MegawattHour).unwrap();
        let kw = Resolution::new(1, Unit::Kilowatt).unwrap();
        let m3 = Resolution::new(3, Unit::CubicMetre).unwrap();
        let yesterday = MIDNIGHT_MS - 24 * HOUR_MS;
        gateway.import(HEAT, "energy", yesterday, mwh).await;
        gateway.import(HEAT, "power", yesterday, kw).await;
        gateway.import(HEAT_FLAT, "energy", yesterday, mwh).await;
        gateway.import(WATER, "volume", yesterday, m3).await;
        gateway.live.send_replace(Arc::new(all_well()));
        gateway
    }
}

#[tokio::test]
async fn the_overview_adds_up_what_is_part_of_nothing_else() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Owner).await;
    let overview = gateway.get("/overview", &cookie).await.json();
    assert_eq!(
        overview["day"],
        json!({
            "date": "2026-11-21",
            "start": "2026-11-20T23:00:00Z",
            "end": "2026-11-21T23:00:00Z",
        })
    );
    assert_eq!(
        overview["sentence"],
        json!({"code": "all_well", "params": {"delivering": "3", "meters": "3"}})
    );
    let heat = &overview["media"][0];
    assert_eq!(heat["medium"], "heat");
    assert_eq!((&heat["meters"], &heat["main"]), (&json!(2), &json!(HEAT)));
    assert_eq!(heat["live"], json!({"value": "113.5", "unit": "kW"}), "without the flat's 20");
    assert_eq!((&heat["unit"], &heat["decimals"]), (&json!("kWh"), &json!(0)));
    // A kWh every quarter hour; the running hour has the quarters from 13:00 and 13:15.
    let hours = heat["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 15);
    assert_eq!(hours[3], json!({"start": "2026-11-21T02:00:00Z", "mantissa": 4, "missing": false}));
    assert_eq!(heat["today"]["value"], "58");
    assert_eq!(heat["usual_hours"], json!(vec![Value::Null; 24]), "one day is no habit");
    assert_eq!(heat["comparison"], Value::Null);

    let water = &overview["media"][1];
    assert_eq!(water["live"], json!({"value": "0.700", "unit": "m3/h"}));
    assert_eq!(water["today"]["value"], "0.058");
    assert_eq!(overview["look_at"], json!([]));
}

#[tokio::test]
async fn what_is_part_of_a_part_is_counted_once() {
    let gateway = Gateway::with_a_day().await;
    // The flat is a part of the heat main by way of a meter that counts something else.
    let mut site = site();
    site.meters[2].part_of = Some(id(HEAT));
    site.meters[1].part_of = Some(id(WATER));
    gateway.site.send_replace(Arc::new(site));
    let cookie = gateway.visitor(Role::Owner).await;
    let heat = gateway.get("/overview", &cookie).await.json()["media"][0].clone();
    assert_eq!((&heat["main"], &heat["today"]["value"]), (&json!(HEAT), &json!("58")));
}

#[tokio::test]
async fn six_weeks_make_a_habit() {
    let gateway = Gateway::new();
    let mwh = Resolution::new(3, Unit::MegawattHour).unwrap();
    gateway.import(HEAT, "energy", MIDNIGHT_MS - 43 * 24 * HOUR_MS, mwh).await;
    gateway.live.send_replace(Arc::new(all_well()));
    let cookie = gateway.visitor(Role::Wall).await;
    for _ in 0..2 {
        let heat = gateway.get("/overview", &cookie).await.json()["media"][0].clone();
        assert_eq!(heat["usual_hours"], json!(vec![4; 24]));
        assert_eq!(heat["comparison"], json!({"kind": "as_usual", "percent": null}));
    }
}

#[tokio::test]
async fn a_day_of_25_hours_is_as_usual_in_each_of_them() {
    let gateway = Gateway::new();
    // Half past eleven at night, when the clocks were put back.
    let now: DateTime<Utc> = "2026-10-25T22:30:00Z".parse().unwrap();
    gateway.clock.set(now.timestamp_millis());
    let mwh = Resolution::new(3, Unit::MegawattHour).unwrap();
    gateway.import(HEAT, "energy", now.timestamp_millis() - 44 * 24 * HOUR_MS, mwh).await;
    let cookie = gateway.visitor(Role::Wall).await;
    let overview = gateway.get("/overview", &cookie).await.json();
    assert_eq!(overview["day"]["start"], "2026-10-24T22:00:00Z");
    assert_eq!(overview["day"]["end"], "2026-10-25T23:00:00Z");
    let heat = &overview["media"][0];
    let hours = heat["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 25);
    assert!(hours[..24].iter().all(|hour| hour["mantissa"] == 4), "{hours:?}");
    assert_eq!(heat["comparison"], json!({"kind": "as_usual", "percent": null}));
}

#[tokio::test]
async fn a_silent_meter_is_the_first_thing_that_is_said() {
    let gateway = Gateway::with_a_day().await;
    let mut live = all_well();
    let silent = gone_silent(&live.meters[&id(WATER)]);
    live.meters.insert(id(WATER), silent);
    gateway.live.send_replace(Arc::new(live));
    let cookie = gateway.visitor(Role::Operator).await;

    let overview = gateway.get("/overview", &cookie).await.json();
    assert_eq!(
        overview["sentence"],
        json!({
            "code": "one_silent",
            "params": {"meter": "Kaldtvann 3. etg. vest", "medium": "water"},
        })
    );
    assert_eq!(
        overview["look_at"],
        json!([{
            "code": "silent",
            "params": {
                "meter": "Kaldtvann 3. etg. vest", "reason": "silent", "medium": "water",
            },
            "meter": WATER, "bus": null, "since": "2026-11-21T13:30:01Z",
        }])
    );
    let water = &overview["media"][1];
    assert_eq!((&water["silent"], &water["live"]), (&json!(1), &Value::Null), "no value now");

    let meter = gateway.post(&format!("/meters/{WATER}/read"), &cookie, json!({})).await.json();
    assert_eq!((&meter["state"], &meter["reason"]), (&json!("silent"), &json!("silent")));
    assert_eq!(
        meter["error"],
        json!({
            "code": "silent", "params": {"address": "19", "ms": "330"},
            "text": "meter 19 did not answer within 330 ms",
        })
    );
}

#[tokio::test]
async fn a_meter_shows_its_registers_and_its_bytes() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Installer).await;
    let list = gateway.get("/meters", &cookie).await.json();
    assert_eq!(
        list[0]["main"],
        json!({
            "register": "power", "value": "113.5", "unit": "kW", "at": "2026-11-21T13:30:01Z",
        })
    );
    assert_eq!(list[0]["today"]["value"], "0.058");
    assert_eq!(list[1]["part_of"], HEAT);

    let meter = gateway.get(&format!("/meters/{HEAT}"), &cookie).await.json();
    assert_eq!(meter["name"], "Fjernvarme");
    assert_eq!(meter["telegrams"], json!(["68353568"]));
    assert_eq!(
        meter["registers"][0],
        json!({
            "register": "energy", "kind": "counter", "unit": "MWh", "decimals": 3,
            "value": "1396.317", "reason": null, "at": "2026-11-21T13:30:01Z",
            "quality": "good", "origin": "live",
        })
    );
}

#[tokio::test]
async fn a_meter_says_what_is_no_number_and_what_its_type_calls_it() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Installer).await;
    let before = gateway.get(&format!("/meters/{WATER}"), &cookie).await.json();
    assert_eq!((&before["device"], &before["said"]), (&Value::Null, &json!([])));

    gateway.site.send_modify(|site| {
        Arc::make_mut(site).meters[2].profile = Some("kamstrup.multical-21".into());
    });
    gateway.live.send_modify(|live| {
        let meter = Arc::make_mut(live).meters.get_mut(&id(WATER)).unwrap();
        Arc::make_mut(meter).said = vec![Said {
            telegram: 0,
            record: 4,
            what: "date_s1".into(),
            kind: SaidKind::Value,
            text: "2026-10-31".into(),
        }];
    });
    let meter = gateway.get(&format!("/meters/{WATER}"), &cookie).await.json();
    assert_eq!(
        meter["said"],
        json!([{
            "telegram": 0, "record": 4, "what": "date_s1", "kind": "value", "text": "2026-10-31",
        }])
    );
    let words = |text| json!({"nb": text, "en": text, "da": text});
    assert_eq!(
        meter["device"],
        json!({
            "vendor": "Kamstrup", "models": ["MULTICAL 21"],
            "registers": [{
                "register": "error_flags", "name": words("Info"),
                "bits": [{"bit": 0, "text": words("dry")}],
            }],
        })
    );
}

#[tokio::test]
async fn registers_that_only_the_store_knows_are_shown_too() {
    let gateway = Gateway::with_a_day().await;
    gateway.live.send_replace(Arc::new(Live::default()));
    let cookie = gateway.visitor(Role::Wall).await;
    let meter = gateway.get(&format!("/meters/{WATER}"), &cookie).await.json();
    assert_eq!((&meter["state"], &meter["main"]), (&json!("new"), &Value::Null));
    assert_eq!(meter["registers"][0]["register"], "volume");
    assert_eq!(meter["registers"][0]["origin"], "simulated");
    let overview = gateway.get("/overview", &cookie).await.json();
    assert_eq!(overview["sentence"], json!({"code": "starting", "params": {"meters": "3"}}));
}

#[tokio::test]
async fn a_history_has_unit_and_decimals_once_for_each_run() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Wall).await;
    let span = "from=2026-11-21T00:00:00Z&until=2026-11-21T02:00:00Z";
    let history =
        |register, step| format!("/meters/{HEAT}/history?register={register}&{span}&step={step}");
    let counter = gateway.get(&history("energy", "hour"), &cookie).await.json();
    assert_eq!((&counter["kind"], &counter["step"]), (&json!("counter"), &json!("hour")));
    assert_eq!(counter["total"], json!({"value": "0.008", "unit": "MWh"}));
    let run = &counter["runs"][0];
    assert_eq!((&run["unit"], &run["decimals"]), (&json!("MWh"), &json!(3)));
    assert_eq!(run["rows"].as_array().unwrap().len(), 2);
    let row = &run["rows"][0];
    assert_eq!((&row["start"], &row["mantissa"]), (&json!("2026-11-21T00:00:00Z"), &json!(4)));
    assert_eq!(row["min"], Value::Null);

    let gauge = gateway.get(&history("power", "hour"), &cookie).await.json();
    assert_eq!((&gauge["kind"], &gauge["total"]), (&json!("gauge"), &Value::Null));
    let row = &gauge["runs"][0]["rows"][0];
    // 100 quarters after the first, which showed 100.0 kW.
    assert_eq!((&row["min"], &row["max"]), (&json!(1_100), &json!(1_103)));
    assert_eq!((&row["mean"], &row["mantissa"]), (&json!(1_102), &Value::Null));

    let drawn = |register| {
        format!("/meters/{HEAT}/history?register={register}&{span}&rows=4").replace("T02", "T01")
    };
    let counter = gateway.get(&drawn("energy"), &cookie).await.json();
    assert_eq!((&counter["step"], &counter["total"]), (&json!("drawn"), &Value::Null));
    let rows = counter["runs"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[0]["min"], &rows[0]["mantissa"]), (&rows[0]["max"], &Value::Null));
    let gauge = gateway.get(&drawn("power"), &cookie).await.json();
    let tops = gauge["runs"][0]["rows"].as_array().unwrap().iter().map(|row| &row["max"]);
    assert_eq!(tops.collect::<Vec<_>>(), [1_100, 1_101, 1_102, 1_103]);

    let path = history("energy", "hour").replace("history?", "history.csv?");
    let file = gateway.get(&path, &cookie).await;
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"energy-hour.csv\"");
    let mut lines = file.body.split("\r\n");
    assert_eq!(
        lines.next(),
        Some("start,end,series,used,unit,got,from_memory,expected,spread_unknown")
    );
    let line = lines.next().unwrap();
    assert!(line.starts_with("2026-11-21T00:00:00Z,2026-11-21T01:00:00Z,1,0.004,MWh,4,"), "{line}");
}

#[tokio::test]
async fn a_gap_is_told_with_its_cause_and_what_was_used_in_it_is_spread_and_marked() {
    let gateway = Gateway::over(testing::known_day().await.unwrap());
    let cookie = gateway.visitor(Role::Wall).await;
    // The day on which the clocks are put forward.
    let span = "from=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z";
    let path = format!("/meters/{HEAT}/history?register=energy&{span}&step=quarter");
    let history = gateway.get(&path, &cookie).await.json();
    assert_eq!(
        history["gaps"],
        json!([{
            "from": "2026-03-29T08:00:01Z", "until": "2026-03-29T09:00:01Z",
            "reason": "silent", "tries": 4,
        }])
    );
    assert_eq!(history["total"], json!({"value": "0.184", "unit": "GJ"}));
    let rows = history["runs"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 92);
    let spread: Vec<_> = rows.iter().filter(|row| row["spread_unknown"] == true).collect();
    assert_eq!(spread.len(), 5, "from the last reading before the gap to the first after it");
    assert_eq!(spread[0]["start"], "2026-03-29T07:45:00Z");
    assert!(spread.iter().all(|row| row["mantissa"] == 2), "never one spike: {spread:?}");

    let days = path.replace("step=quarter", "step=day");
    let day = gateway.get(&days, &cookie).await.json()["runs"][0]["rows"].clone();
    assert_eq!(day.as_array().unwrap().len(), 1);
    assert_eq!(
        (&day[0]["mantissa"], &day[0]["end"]),
        (&json!(184), &json!("2026-03-29T22:00:00Z"),)
    );
}

#[tokio::test]
async fn the_account_closes_by_meter_bus_site_and_register() {
    let gateway = Gateway::over(testing::known_day().await.unwrap());
    let cookie = gateway.visitor(Role::Wall).await;
    let span = "from=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z";
    for (by, step, count) in
        [("meter", "day", 2), ("site", "hour", 23), ("site", "day", 1), ("bus", "quarter", 92)]
    {
        let path = format!("/account?{span}&step={step}&by={by}");
        let account = gateway.get(&path, &cookie).await.json();
        let periods = account["accounts"].as_array().unwrap();
        assert!(periods.len() >= count, "{by} {step}: {account}");
        let sum = |of: &dyn Fn(&Value) -> u64| periods.iter().map(of).sum::<u64>();
        let missing = |it: &Value| {
            it["missing"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["count"].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(sum(&|it| it["expected"].as_u64().unwrap()), 184, "{by} {step}");
        assert_eq!(sum(&|it| it["received"].as_u64().unwrap()), 180, "{by} {step}");
        assert_eq!(sum(&missing), 4, "{by} {step}");
    }
    let path = format!("/account?{span}&step=day&meter={HEAT}&register=flow_temperature");
    let account = gateway.get(&path, &cookie).await.json();
    assert_eq!(account["accounts"][0]["missing"], json!([{"cause": "silent", "count": 4}]));
    assert_eq!(account["accounts"][0]["expected"], 92);
}

#[tokio::test]
async fn an_answer_too_many_hides_no_absence() {
    let gateway = Gateway::over(testing::known_day().await.unwrap());
    let cookie = gateway.visitor(Role::Wall).await;
    gateway.clock.set(testing::NEXT_MIDNIGHT_MS - 1);
    let before = gateway.get("/overview", &cookie).await.json();
    assert_eq!(before["day"]["end"], "2026-03-29T22:00:00Z", "a day of 23 hours");
    let completeness = &before["completeness"];
    // The last quarter has not ended yet.
    assert_eq!((&completeness["expected"], &completeness["missing"]), (&json!(182), &json!(4)));

    let extra = testing::moment(testing::MIDNIGHT_MS + 300_000);
    let round = testing::answer(testing::HEAT, "67001122", extra, Vec::new());
    gateway.store.writer().commit(vec![round]).await.unwrap();
    assert_eq!(&gateway.get("/overview", &cookie).await.json()["completeness"], completeness);
}

#[tokio::test]
async fn nothing_is_expected_of_the_future() {
    let gateway = Gateway::over(testing::known_day().await.unwrap());
    let cookie = gateway.visitor(Role::Wall).await;
    let span = "from=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z";
    let path = format!("/meters/{HEAT}/history?register=energy&{span}&step=day");
    let day = async || gateway.get(&path, &cookie).await.json();
    gateway.clock.set(testing::MIDNIGHT_MS + 6 * HOUR_MS + 60_000);
    let six = day().await;
    let row = &six["runs"][0]["rows"][0];
    assert_eq!(row["expected"], 25);
    assert_eq!(row["end"], "2026-03-29T22:00:00Z", "though it has not come yet");

    gateway.clock.set(0);
    assert_eq!(day().await["total"]["value"], "0.184", "a clock that is far off hides nothing");
}

#[tokio::test]
async fn pages_of_readings_have_every_reading_once() {
    let gateway = Gateway::with_a_day().await;
    let cookie = gateway.visitor(Role::Wall).await;
    let span = "from=2026-11-21T00:00:00Z&until=2026-11-21T03:00:00Z";
    let mut cursor = String::new();
    let mut values = Vec::new();
    let mut pages = 0;
    loop {
        let path = format!("/meters/{HEAT}/readings?register=energy&{span}&limit=5{cursor}");
        let page = gateway.get(&path, &cookie).await.json();
        pages += 1;
        for reading in page["readings"].as_array().unwrap() {
            assert_eq!(reading["unit"], "MWh");
            values.push(reading["value"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> =
        (1_100..1_112).rev().map(|it| format!("1.{:03}", it - 1_000)).collect();
    assert_eq!((pages, values), (3, expected));
}

#[tokio::test]
async fn a_month_of_uptime_begins_with_the_first_probe() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Operator).await;
    let cloud = gateway.get("/cloud", &cookie).await.json();
    assert_eq!(cloud, json!({"sync": null, "uptime": null}), "never probed");

    let now = gateway.clock.now().wall.timestamp();
    let begins = now - 3_600;
    let down = begins + 600..begins + 1_200;
    let attempts = (begins..now).step_by(20).map(|at| {
        let outcome = if down.contains(&at) {
            Outcome::Failed(Failure::Status(503))
        } else {
            Outcome::Success
        };
        let references = References { asked: 3, answered: 3, link_down: false };
        let attempt = Attempt { at, outcome, references, clock_trusted: true, age: None };
        AttemptRow { at_ms: 1_000 * at, body: attempt.to_bytes() }
    });
    gateway.store.core().append_attempts(attempts.collect()).await.unwrap();

    let uptime = gateway.get("/cloud?month=2026-11", &cookie).await.json()["uptime"].clone();
    assert_eq!((&uptime["month"], &uptime["running"]), (&json!("2026-11"), &json!(true)));
    assert_eq!(uptime["unknown_s"], 0, "before the first probe there was no promise");
    assert_eq!(uptime["down_s"], 600);
    // 600 of 2 592 000 seconds.
    assert_eq!((&uptime["percent"], &uptime["tier"]), (&json!("99.9768"), &json!(0)));
    assert_eq!(
        uptime["limits"][0],
        json!({"below": "99.5", "allows_s": 12_960, "credit": 10}),
        "what is usual, before there is a contract"
    );
    assert_eq!(uptime["outages"].as_array().unwrap().len(), 1);
    assert_eq!(uptime["spans"][0]["code"], "down_proven");
    let days = uptime["days"].as_array().unwrap();
    assert_eq!(days.len(), 21);
    assert_eq!(days[20]["date"], "2026-11-21");
    assert_eq!((&days[20]["down_s"], &days[19]["down_s"]), (&json!(600), &json!(0)));
    assert_eq!(gateway.get("/cloud?month=2026-10", &cookie).await.json()["uptime"], Value::Null);

    // A contract of its own, and a later one that does not hold yet.
    let tier = |below, credit| Tiers::new(vec![Limit { below, credit }]).unwrap();
    let contract = |start: &str, tiers| {
        let start = Some(start.parse().unwrap());
        let terms = Terms { tiers, ..Terms::default() };
        let annual = Ore::new(1_200_000).unwrap();
        Fact::Contract(Contract { start, terms, ..Contract::new("4711", "A", "B", annual) })
    };
    let open = Fact::Open(Open { ledger: [7; 16], key: [3; 32] });
    let facts = [open, contract("2026-01-01", tier(9_999, 7)), contract("2027-01-01", tier(1, 9))];
    for (place, fact) in (0..).zip(facts) {
        let entry = Entry { seq: place + 1, at_ms: 0, fact }.to_bytes();
        gateway.store.core().append_chain(place, entry).await.unwrap();
    }
    let uptime = gateway.get("/cloud?month=2026-11", &cookie).await.json()["uptime"].clone();
    assert_eq!(uptime["limits"], json!([{"below": "99.99", "allows_s": 259, "credit": 7}]));
    assert_eq!((&uptime["down_s"], &uptime["tier"]), (&json!(600), &json!(7)));
}

#[tokio::test]
async fn what_ails_the_gateway_is_told_to_those_who_may_inspect() {
    let gateway = Gateway::with_a_day().await;
    let mut status = status_of_a_good_day();
    status.trust = Trust::Untrusted;
    status.buses[0].state = BusState::Down;
    let error = "bus port serial:///dev/ttyUSB0 cannot be used: another program uses it";
    let trouble = Trouble {
        code: TroubleCode::PortTaken,
        params: [("port", "serial:///dev/ttyUSB0".to_owned())].into(),
        text: error.into(),
    };
    status.buses[0].last_error = Some((NOW.parse().unwrap(), trouble));
    status.store.disk_free = 100 << 20;
    status.sync = Some(SyncStatus {
        url: "https://portfolio.example:9443".into(),
        enrolled: true,
        acked: 812,
        head: 815,
        last_contact: None,
        last_error: Some("the cloud did not answer".into()),
        parked: 0,
        month: Some(MonthTraffic {
            sync_bytes: 3_400_000,
            probe_bytes: 1_200_000,
            budget_bytes: Some(50_000_000),
        }),
        saves_until: None,
    });
    gateway.status.send_replace(Arc::new(status));
    let operator = gateway.visitor(Role::Operator).await;
    let codes = |overview: &Value| {
        let notices = overview["look_at"].as_array().unwrap().iter();
        notices.map(|it| it["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let overview = gateway.get("/overview", &operator).await.json();
    assert_eq!(codes(&overview), ["bus_down", "disk_full", "clock", "cloud"]);
    let port = "serial:///dev/ttyUSB0";
    assert_eq!(
        overview["look_at"][0]["params"],
        json!({"bus": "Stigeledning A", "trouble": "port_taken", "port": port, "error": error})
    );
    let buses = gateway.get("/buses", &operator).await.json();
    assert_eq!(
        buses[0]["last_error"],
        json!({
            "at": NOW,
            "trouble": {"code": "port_taken", "params": {"port": port}, "text": error},
        })
    );
    assert_eq!((&buses[0]["median_ms"], &buses[0]["meters"]), (&json!(64), &json!(3)));
    let status = gateway.get("/status", &operator).await.json();
    assert_eq!((&status["sync"]["backlog"], &status["clock"]), (&json!(3), &json!("untrusted")));

    let wall = gateway.visitor(Role::Wall).await;
    assert_eq!(codes(&gateway.get("/overview", &wall).await.json()), Vec::<String>::new());
}
