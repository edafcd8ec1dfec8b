//! What the owner of the buildings sees of what the gateway sent.

use std::collections::HashSet;
use std::time::Duration;

use metering::{Clock, Origin, Quantity, Unit};
use portfolio::Quota;
use reqwest::{Client, Method, StatusCode, header};
use serde_json::Value;
use store::testing::{
    self, COLD, HEAT, MIDNIGHT_MS, NEXT_MIDNIGHT_MS, answer, known_day, moment, reading, register,
    resolution,
};
use store::{Imported, Kind};
use sync_wire::{AccountDay, Accounts, path};

use crate::support::{Cloud, Gateway, gateway_id, on_both_databases};
use crate::sync::post;

on_both_databases! {
    the_first_visitor_with_the_code_owns_the_service,
    a_building_is_shown_as_its_gateway_sent_it,
    what_is_missing_is_told_with_its_cause,
    what_was_used_while_a_meter_began_to_count_finer_is_not_lost,
    readings_are_downloaded_whole_and_as_they_were_stored,
    a_page_may_end_between_two_readings_of_one_instant,
    whoever_asks_too_often_is_told_before_and_waits_a_minute,
    more_than_was_agreed_is_taken_and_marked,
}

/// A browser: keeps its cookie.
pub(crate) struct Browser {
    client: Client,
    base: String,
    cookie: Option<String>,
}

impl Browser {
    pub(crate) fn at(cloud: &Cloud) -> Self {
        // Plain HTTP, and yet the client wants to know.
        let _done_before = rustls::crypto::ring::default_provider().install_default();
        let base = format!("{}/api/v1", cloud.people_url());
        Self { client: Client::new(), base, cookie: None }
    }

    /// Of somebody who has just become the owner.
    pub(crate) async fn owner(cloud: &Cloud) -> Self {
        let mut browser = Self::at(cloud);
        let claim = format!(
            r#"{{"code":"{}","name":"kari","password":"riktig hest batteri"}}"#,
            cloud.claim_code().unwrap()
        );
        assert_eq!(browser.ask(Method::POST, "/claim", &claim).await.0, 201);
        browser
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: &str) -> (u16, String) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if !body.is_empty() {
            let json = "application/json";
            request = request.header(header::CONTENT_TYPE, json).body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
            self.cookie = cookie.split(';').next().map(ToOwned::to_owned);
        }
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// As the browser sends it.
    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap_or_default()
    }

    pub(crate) async fn get(&mut self, path: &str) -> String {
        let (status, body) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK.as_u16(), "{path}: {body}");
        body
    }
}

async fn the_first_visitor_with_the_code_owns_the_service(mut cloud: Cloud) {
    let code = cloud.claim_code().unwrap();
    let mut browser = Browser::at(&cloud);
    assert!(browser.get("/session").await.contains(r#""claimed":false,"user":null"#));
    for path in ["/sites", "/sites/019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77"] {
        assert_eq!(browser.ask(Method::GET, path, "").await.0, 401, "{path}");
    }
    assert_eq!(browser.ask(Method::POST, "/enrol-codes", r#"{"site_name":"x"}"#).await.0, 401);

    let claim = |code: &str, password: &str| {
        format!(r#"{{"code":"{code}","name":"kari","password":"{password}"}}"#)
    };
    let good = "riktig hest batteri";
    let wrong = browser.ask(Method::POST, "/claim", &claim("AAAA-AAAA-AAAA-AAAA", good)).await;
    assert!(wrong.0 == 403 && wrong.1.contains("claim_wrong"), "{wrong:?}");
    let weak = browser.ask(Method::POST, "/claim", &claim(&code, "password1234")).await;
    assert!(weak.0 == 422 && weak.1.contains("password_common"), "{weak:?}");
    let claimed = browser.ask(Method::POST, "/claim", &claim(&code, good)).await;
    assert!(claimed.0 == 201 && claimed.1.contains(r#""role":"owner""#), "{claimed:?}");
    assert_eq!(browser.get("/sites").await, "[]");
    let again = browser.ask(Method::POST, "/claim", &claim(&code, good)).await;
    assert!(again.0 == 410 && again.1.contains("claim_spent"), "{again:?}");

    // A restart opens no other claim, and ends no session.
    cloud.down().await;
    cloud.up().await;
    assert_eq!(cloud.claim_code(), None);
    let cookie = browser.cookie.clone();
    let mut browser = Browser::at(&cloud);
    browser.cookie = cookie;
    assert_eq!(browser.get("/sites").await, "[]");
    assert_eq!(browser.ask(Method::DELETE, "/session", "").await.0, 204);
    assert_eq!(browser.ask(Method::GET, "/sites", "").await.0, 401);
    let login = |password: &str| format!(r#"{{"name":" KARI ","password":"{password}"}}"#);
    assert_eq!(browser.ask(Method::POST, "/session", &login("feil hest batteri")).await.0, 401);
    assert_eq!(browser.ask(Method::POST, "/session", &login(good)).await.0, 200);
}

async fn a_building_is_shown_as_its_gateway_sent_it(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let made = browser.ask(Method::POST, "/enrol-codes", r#"{"site_name":"Kvernhusgata 4"}"#).await;
    assert_eq!(made.0, 201, "{}", made.1);
    assert!(browser.get("/sites").await.contains(r#""gateway":null,"state":"waiting""#));

    let code = made.1.split('"').nth(3).unwrap();
    let identity = cloud_sync::enrol(
        &cloud.url(),
        code,
        gateway_id(),
        &*cloud.clock,
        &cloud_sync::Way::default(),
    )
    .await;
    let mut gateway = Gateway::new(Some(identity.unwrap()));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;

    let sites = browser.get("/sites").await;
    for part in [
        r#""name":"Kvernhusgata 4","place":"Trondheim","time_zone":"Europe/Oslo""#,
        r#""state":"ok""#,
        r#""acked":279,"head":279,"backlog":0"#,
        r#""meters":2,"silent":0,"beyond_quota":0,"media":["heat","water"],"completeness":null,"alarms":[]"#,
    ] {
        assert!(sites.contains(part), "{part} is not in {sites}");
    }
    let id = sites.split('"').nth(3).unwrap();
    let site = browser.get(&format!("/sites/{id}")).await;
    let main = r#""main":{"register":"energy","value":"12.529","unit":"GJ""#;
    assert!(site.contains("Fjernvarme, hovedm\u{e5}ler") && site.contains(main), "{site}");

    let meter = format!("/sites/{id}/meters/{HEAT}");
    let shown = browser.get(&meter).await;
    let flow =
        r#"{"register":"flow_temperature","kind":"gauge","unit":"C","decimals":1,"value":"79.2""#;
    assert!(shown.contains(flow), "{shown}");
    let day_of = "from=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z";
    let history = browser.get(&format!("{meter}/history?register=energy&{day_of}&step=day")).await;
    for part in [
        r#""kind":"counter","step":"day","total":{"value":"0.184","unit":"GJ"}"#,
        r#""rows":[{"start":"2026-03-28T23:00:00Z","end":"2026-03-29T22:00:00Z","mantissa":184"#,
        r#""gaps":[{"from":"2026-03-29T08:00:01Z","until":"2026-03-29T09:00:01Z","reason":"silent","tries":4}]"#,
    ] {
        assert!(history.contains(part), "{part} is not in {history}");
    }
    let page = browser.get(&format!("{meter}/readings?register=energy&{day_of}&limit=3")).await;
    assert_eq!(page.matches("\"at\"").count(), 3);
    let cursor = page.rsplit('"').nth(1).unwrap().to_owned();
    for wrong in ["", "1774", "a.1.1", "1774821301000.1.1.1"] {
        let place = format!("{meter}/readings?register=energy&{day_of}&cursor={wrong}");
        assert_eq!(browser.ask(Method::GET, &place, "").await.0, 400, "{wrong}");
    }
    let next = browser
        .get(&format!("{meter}/readings?register=energy&{day_of}&limit=3&cursor={cursor}"))
        .await;
    assert!(
        page.contains("2026-03-29T21:15:01Z") && next.contains("2026-03-29T21:00:01Z"),
        "{next}"
    );

    for (path, status, code) in [
        (format!("{meter}/history?register=energy&{day_of}&step=week"), 400, "malformed"),
        (format!("{meter}/history?register=nix&{day_of}&step=day"), 404, "no_such_register"),
        (format!("{meter}/history?register=energy&{day_of}"), 400, "missing field `step`"),
        (format!("/sites/{HEAT}"), 404, "no_such_site"),
        (format!("/sites/{id}/meters/{id}"), 404, "no_such_meter"),
        (format!("/sites/{id}/nix"), 404, "no_such_route"),
    ] {
        let (found, body) = browser.ask(Method::GET, &path, "").await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(code), "{path}: {body}");
    }

    assert_eq!(browser.ask(Method::DELETE, &format!("/sites/{id}/alarms/1"), "").await.0, 404);
    assert_eq!(browser.ask(Method::DELETE, &format!("/sites/{id}/gateway"), "").await.0, 204);
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().contains("taken off the list"));
    gateway.stop().await;
}

async fn what_is_missing_is_told_with_its_cause(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.pace.accounts = Some(Duration::from_millis(5));
    gateway.clock.set(NEXT_MIDNIGHT_MS + 1_800_000);
    gateway.run(&day.store);
    let heat = HEAT.uuid();
    let sites = browser.get("/sites").await;
    let id = sites.split('"').nth(3).unwrap().to_owned();
    let month = format!(
        "/sites/{id}/account?from=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&step=month\
         &meter={heat}"
    );
    let begins = format!(
        r#"{{"step":"month","accounts":[{{"of":"{heat}","start":"2026-02-28T23:00:00Z","end":"2026-03-31T22:00:00Z","#
    );
    let told = |rest: &str| format!("{begins}{rest}}}]}}");
    // Silent four times on the day; nobody has asked after midnight.
    let expected = r#""expected":94,"received":89,"late":0,"from_memory":0,"corrected":0,"missing":[{"cause":"silent","count":4},{"cause":"gateway_off","count":1}],"unplanned":0"#;
    let received = || cloud.count("SELECT coalesce(sum(received), 0) FROM account");
    gateway.until(|_| received() == 89 + 93).await;
    assert_eq!(browser.get(&month).await, told(expected));

    // What comes now is told at the next look, and nothing of it twice.
    let at = moment(NEXT_MIDNIGHT_MS + 901_000);
    let energy = (reading("energy", 13_000, 3, Unit::Gigajoule, at), Kind::Counter);
    day.store.writer().commit(vec![answer(HEAT, "67001122", at, vec![energy])]).await.unwrap();
    let expected = r#""expected":94,"received":90,"late":0,"from_memory":0,"corrected":0,"missing":[{"cause":"silent","count":4}],"unplanned":0"#;
    gateway.until(|_| received() == 90 + 93).await;
    assert_eq!(browser.get(&month).await, told(expected));
    gateway.stop().await;

    // Said by a gateway that had stored less, it comes too late; said anew, it counts.
    let outbox = day.store.outbox();
    let say = async |head: u64, expected: u32| {
        let days = vec![AccountDay {
            meter: HEAT,
            start_ms: MIDNIGHT_MS,
            end_ms: NEXT_MIDNIGHT_MS,
            expected,
            received: expected,
            late: 0,
            from_memory: 0,
            corrected: 0,
            unplanned: 0,
            missing: Vec::new(),
        }];
        let message = Accounts { gateway: identity.gateway(), epoch: outbox.epoch(), head, days };
        let (status, _) = post(&identity, path::ACCOUNTS, message.write().unwrap()).await;
        assert_eq!(status, StatusCode::OK);
    };
    say(1, 7).await;
    assert!(browser.get(&month).await.contains(r#""expected":94"#));
    say(outbox.state().head, 7).await;
    assert!(browser.get(&month).await.contains(r#""expected":9,"received":9,"#));

    // The list of all buildings tells of the last week, in which there is nothing yet.
    assert!(browser.get("/sites").await.contains(r#""completeness":null"#));
    let two_days_ago = cloud.clock.now().wall_ms() - 48 * 3_600_000;
    let days = [HEAT, COLD].map(|meter| AccountDay {
        meter,
        start_ms: two_days_ago,
        end_ms: two_days_ago + 24 * 3_600_000,
        expected: 96,
        received: 80,
        late: 5,
        from_memory: 2,
        corrected: 1,
        unplanned: 7,
        missing: vec![("silent".to_owned(), 8)],
    });
    let (epoch, head) = (outbox.epoch(), outbox.state().head);
    let message = Accounts { gateway: identity.gateway(), epoch, head, days: days.to_vec() };
    post(&identity, path::ACCOUNTS, message.write().unwrap()).await;
    let complete = r#""completeness":{"days":7,"expected":192,"got":176}"#;
    for path in ["/sites".to_owned(), format!("/sites/{id}")] {
        let answer = browser.get(&path).await;
        let is_told = answer.contains(complete) && answer.contains(r#""state":"incomplete""#);
        assert!(is_told, "{path}: {answer}");
    }
}

async fn readings_are_downloaded_whole_and_as_they_were_stored(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let sites = browser.get("/sites").await;
    let meter = format!("/sites/{}/meters/{HEAT}", sites.split('"').nth(3).unwrap());

    // Over some years, of which all but one day are empty.
    let asked = "register=energy&from=2024-01-01T00:00:00Z&until=2027-01-01T00:00:00Z";
    let csv = browser.get(&format!("{meter}/readings.csv?{asked}")).await;
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 93);
    let columns = "time,local_time,name,register,value,unit,reason,quality,origin,series,meter";
    assert_eq!(lines[0], columns);
    // The name has a comma, and the clocks went forward in the night.
    let of = "\"Fjernvarme, hovedm\u{e5}ler\",energy";
    let first = format!(
        "2026-03-28T23:00:01Z,2026-03-29T00:00:01+01:00,{of},12.345,GJ,,good,live,1,{}",
        HEAT.uuid()
    );
    assert_eq!(lines[1], first);
    let missing = format!(",,GJ,silent,good,live,1,{}", HEAT.uuid());
    assert_eq!(lines.iter().filter(|line| line.ends_with(&missing)).count(), 4);
    let last = format!("2026-03-29T22:00:01Z,2026-03-30T00:00:01+02:00,{of},12.529,GJ,");
    assert!(lines[93].starts_with(&last), "{}", lines[93]);

    let json = browser.get(&format!("{meter}/readings.json?{asked}")).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    let readings = json["readings"].as_array().unwrap();
    assert_eq!((&json["time_zone"], readings.len()), (&"Europe/Oslo".into(), 93));
    assert_eq!(readings[0]["value"], "12.345");
    assert_eq!(readings[0]["local"], "2026-03-29T00:00:01+01:00");
    assert_eq!(
        (&readings[0]["meter"], &readings[0]["register"]),
        (&HEAT.uuid().to_string().into(), &"energy".into())
    );
    let silent = readings.iter().filter(|it| it["value"].is_null() && it["reason"] == "silent");
    assert_eq!(silent.count(), 4);
    let none = "register=energy&from=2024-01-01T00:00:00Z&until=2025-01-01T00:00:00Z";
    let empty = browser.get(&format!("{meter}/readings.json?{none}")).await;
    assert_eq!(empty, "{\"time_zone\":\"Europe/Oslo\",\"readings\":[]}\n");

    // All registers of the meter, and all meters of the building: all that came, each once.
    let year = "from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z";
    let of_meter = browser.get(&format!("{meter}/readings.csv?{year}")).await;
    let site = meter.split("/meters/").next().unwrap();
    let of_site = browser.get(&format!("{site}/readings.csv?{year}")).await;
    let rows = |file: &str| file.matches("\r\n").count() - 1;
    let heat: HashSet<&str> = of_meter.lines().collect();
    assert_eq!(heat.len(), rows(&of_meter) + 1, "no line twice");
    assert!(heat.is_subset(&of_site.lines().collect()), "{of_site}");
    assert_eq!(rows(&of_site), cloud.count("SELECT count(*) FROM readings"));
    let json = browser.get(&format!("{site}/readings.json?{year}")).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["readings"].as_array().unwrap().len(), rows(&of_site));
    let long = browser
        .ask(
            Method::GET,
            &format!("{meter}/readings.csv?{}", asked.replace("register=energy&", "")),
            "",
        )
        .await;
    assert!(long.0 == 400 && long.1.contains("366 days"), "{}", long.1);

    let wrong = browser.ask(Method::GET, &format!("{meter}/readings.csv?{none}&x=1"), "").await;
    assert_eq!(wrong.0, 400, "{}", wrong.1);
    let nix = asked.replace("energy", "nix");
    let wrong = browser.ask(Method::GET, &format!("{meter}/readings.csv?{nix}"), "").await;
    assert_eq!(wrong.0, 404, "{}", wrong.1);
}

async fn whoever_asks_too_often_is_told_before_and_waits_a_minute(cloud: Cloud) {
    let mut browser = Browser::owner(&cloud).await;
    let limits = browser.get("/limits").await;
    let requests = r#""requests":{"limit":600,"window_seconds":60,"remaining":599,"#;
    assert!(limits.contains(requests), "{limits}");

    let url = format!("{}/limits", browser.base);
    let asked = browser.client.get(url).header(header::COOKIE, browser.cookie.clone().unwrap());
    let head = async || asked.try_clone().unwrap().send().await.unwrap();
    let second = head().await;
    assert_eq!(second.headers()["ratelimit-policy"], r#""requests";q=600;w=60"#);
    assert_eq!(second.headers()["ratelimit"], r#""requests";r=598;t=60"#);
    for _ in 2..600 {
        assert_eq!(head().await.status(), StatusCode::OK);
    }
    let refused = head().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "60");
    assert_eq!(refused.headers()["ratelimit"], r#""requests";r=0;t=60"#);
    assert!(refused.text().await.unwrap().contains(r#""code":"too_many""#));

    cloud.clock.pass(Duration::from_mins(1));
    assert_eq!(head().await.status(), StatusCode::OK);
}

async fn more_than_was_agreed_is_taken_and_marked(mut cloud: Cloud) {
    cloud.down().await;
    cloud.config.quota = Quota { gateways: Some(1), meters: Some(1), sensors: Some(5) };
    cloud.up().await;
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;

    let sites: Value = serde_json::from_str(&browser.get("/sites").await).unwrap();
    assert_eq!((&sites[0]["meters"], &sites[0]["beyond_quota"]), (&2.into(), &1.into()));
    assert_eq!(sites[0]["backlog"], 0, "nothing of it is refused");
    let (id, name) = (sites[0]["id"].as_str().unwrap(), sites[0]["name"].as_str().unwrap());
    let site: Value = serde_json::from_str(&browser.get(&format!("/sites/{id}")).await).unwrap();
    // The one that was set up last; ids begin with the time.
    let later = HEAT.max(COLD).uuid().to_string();
    for meter in site["meters_list"].as_array().unwrap() {
        assert_eq!(meter["beyond_quota"], meter["id"] == *later, "{meter}");
        assert!(meter["main"]["value"].is_string(), "it is read like the other: {meter}");
    }
    let limits: Value = serde_json::from_str(&browser.get("/limits").await).unwrap();
    let quota = r#"{"gateways":{"limit":1,"used":1},"meters":{"limit":1,"used":2},"sensors":{"limit":5,"used":0}}"#;
    assert_eq!(limits["quota"].to_string(), quota);

    let other = browser.ask(Method::POST, "/enrol-codes", r#"{"site_name":"Havnegata 3"}"#).await;
    assert_eq!(other.0, 409);
    let said = "Agreed are buildings: 1; there are: 1. Have the quota raised first.";
    assert!(other.1.contains(r#""code":"quota""#) && other.1.contains(said), "{}", other.1);
    let again = format!(r#"{{"site_name":"{name}"}}"#);
    assert_eq!(browser.ask(Method::POST, "/enrol-codes", &again).await.0, 201, "another gateway");
}

async fn what_was_used_while_a_meter_began_to_count_finer_is_not_lost(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let mut browser = Browser::owner(&cloud).await;
    let (volume, day_of) = (register("volume"), MIDNIGHT_MS..MIDNIGHT_MS + 24 * 3_600_000);
    let last = day.store.readers().ask(|it| Ok(it.latest(COLD))).await.unwrap();
    let stand = last.iter().find(|it| it.series.register == volume).unwrap();
    let (_, stand) = stand.last_value.unwrap();
    let at = moment(MIDNIGHT_MS + 23 * 3_600_000 + 600_000);
    let finer = reading("volume", 10 * stand.mantissa() + 25, 1, Unit::Litre, at);
    let round = vec![answer(COLD, "20110815", at, vec![(finer, Kind::Counter)])];
    day.store.writer().commit(round).await.unwrap();

    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
    let litre = resolution(1, Unit::Litre);
    let readers = day.store.readers();
    let used = readers.ask(move |it| it.total(COLD, &volume, day_of, litre));
    let used = used.await.unwrap().unwrap();
    let sites = browser.get("/sites").await;
    let path = format!("/sites/{}/meters/{COLD}/history", sites.split('"').nth(3).unwrap());
    let asked = "register=volume&from=2026-03-28T23:00:00Z&until=2026-03-29T23:00:00Z&step=hour";
    let history = browser.get(&format!("{path}?{asked}")).await;
    let total = format!(r#""total":{{"value":"{}","unit":"l"}}"#, used.decimal());
    assert!(history.contains(&total), "{total} is not in {history}");
}

async fn a_page_may_end_between_two_readings_of_one_instant(cloud: Cloud) {
    let day = testing::empty().unwrap();
    // The device counted litres, and the next one tenths, at the same times.
    for decimals in [0, 1] {
        let imported = |n: i64| Imported {
            meter: COLD,
            register: register("volume"),
            kind: Kind::Counter,
            at_ms: MIDNIGHT_MS + 900_000 * n,
            quantity: Quantity::new(100 + n, resolution(decimals, Unit::Litre)),
            origin: Origin::Import,
        };
        day.store.writer().import((0..5).map(imported).collect()).await.unwrap();
    }
    let mut browser = Browser::owner(&cloud).await;
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;

    let sites = browser.get("/sites").await;
    let meter = format!("/sites/{}/meters/{COLD}", sites.split('"').nth(3).unwrap());
    let day_of = "from=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z";
    for limit in [1, 2, 3, 10, 11] {
        let (mut told, mut cursor) = (Vec::new(), String::new());
        loop {
            let asked = format!("register=volume&{day_of}&limit={limit}{cursor}");
            let page = browser.get(&format!("{meter}/readings?{asked}")).await;
            let page: Value = serde_json::from_str(&page).unwrap();
            let readings = page["readings"].as_array().unwrap();
            told.extend(readings.iter().map(|it| (it["at"].to_string(), it["series"].as_u64())));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut expected = told.clone();
        expected.sort_by(|a, b| b.cmp(a));
        expected.dedup();
        assert_eq!((told.len(), &told), (10, &expected), "pages of {limit}");
    }
}
