//! A dwelling's readings: by the day for who is not given more, and never without a word of what for.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use store::testing::{COLD, HEAT, known_day};

use crate::people::Browser;
use crate::support::{Cloud, Gateway, gateway_id, on_both_databases};

on_both_databases! {
    nobody_sees_a_dwelling_without_saying_what_for,
    who_is_not_given_more_sees_whole_days_on_every_way,
    the_record_holds_everybody_however_often_somebody_says_the_same,
    what_is_a_dwelling_is_said_by_its_owner_and_goes_along_with_the_gateway,
}

const PASSWORD: &str = "riktig ku batteri";

/// A building with readings of a day, whose heat meter is a flat's.
struct House {
    kari: Browser,
    site: String,
}

impl House {
    async fn in_(cloud: &Cloud, fine: &[&str]) -> Self {
        let mut kari = Browser::owner(cloud).await;
        let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
        let day = known_day().await.unwrap();
        gateway.run(&day.store);
        gateway.caught_up(&day.store.outbox()).await;
        gateway.stop().await;
        let sites: Value = serde_json::from_str(&kari.get("/sites").await).unwrap();
        let site = sites[0]["id"].as_str().unwrap().to_owned();
        let mut house = Self { kari, site };
        let flat = json!({"household": "H0203", "fine": fine});
        let path = house.path(&format!("/dwellings/{HEAT}"));
        assert_eq!(house.kari.send(Method::PUT, &path, flat).await.0, 204);
        house
    }

    fn path(&self, of: &str) -> String {
        format!("/sites/{}{of}", self.site)
    }

    /// Somebody with this role everywhere.
    async fn somebody(&mut self, cloud: &Cloud, role: &str) -> Browser {
        let user = json!({"name": role, "role": role, "password": PASSWORD});
        assert_eq!(self.kari.send(Method::POST, "/users", user).await.0, 201);
        let mut browser = Browser::at(cloud);
        assert_eq!(browser.log_in(role, PASSWORD, None).await.0, 200);
        browser
    }

    /// Everything under which readings of the heat meter are to be had.
    fn ways(&self) -> Vec<String> {
        let span = "from=2026-03-01T00:00:00Z&until=2026-03-31T00:00:00Z";
        let meter = format!("/meters/{HEAT}");
        [
            format!("{meter}/history?register=energy&step=day&{span}"),
            format!("{meter}/history?register=energy&step=hour&{HOURS}"),
            format!("{meter}/readings?register=energy&{span}"),
            format!("{meter}/readings.csv?{span}"),
            format!("{meter}/readings.json?{span}"),
            format!("/readings.csv?{span}"),
            format!("/readings.json?{span}"),
        ]
        .map(|way| self.path(&way))
        .to_vec()
    }

    async fn looks(&mut self) -> Value {
        let path = self.path("/looks");
        serde_json::from_str(&self.kari.get(&path).await).unwrap()
    }
}

const HOURS: &str = "from=2026-03-01T00:00:00Z&until=2026-03-03T00:00:00Z";

/// The status of each, and what is wrong.
async fn asked(browser: &mut Browser, ways: &[String]) -> Vec<String> {
    let mut said = Vec::new();
    for way in ways {
        let (status, answer) = browser.ask(Method::GET, way, "").await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        said.push(match answer["code"].as_str() {
            Some(code) => format!("{status} {code}"),
            None => status.to_string(),
        });
    }
    said
}

async fn nobody_sees_a_dwelling_without_saying_what_for(cloud: Cloud) {
    let mut house = House::in_(&cloud, &["owner"]).await;
    let (ways, purpose) = (house.ways(), house.path("/purpose"));
    let refused = vec!["403 purpose_missing"; ways.len()];
    assert_eq!(asked(&mut house.kari, &ways).await, refused);
    let page = house.path(&format!("/meters/{HEAT}"));
    let before: Value = serde_json::from_str(&house.kari.get(&page).await).unwrap();
    assert_eq!(before["dwelling"], json!({"stated": false, "fine": true}));
    let withheld = |page: &Value| {
        let registers = page["registers"].as_array().unwrap();
        page["main"].is_null() && registers.iter().all(|it| it["value"].is_null())
    };
    assert!(withheld(&before), "{before}");
    // What is no dwelling's is as it was, and so is nothing that is not said of one.
    let other = house.path(&format!("/meters/{COLD}/history?register=volume&step=hour&{HOURS}"));
    assert_eq!(house.kari.status(Method::GET, &other).await, 200);
    for (wrong, status) in [
        (json!({"purpose": "curiosity"}), 400),
        (json!({}), 400),
        (json!({"purpose": "billing", "meter": COLD}), 404),
    ] {
        assert_eq!(house.kari.send(Method::POST, &purpose, wrong).await.0, status);
    }
    assert_eq!(house.looks().await, json!([]));

    let said = json!({"purpose": "billing", "meter": HEAT});
    assert_eq!(house.kari.send(Method::POST, &purpose, said).await.0, 204);
    assert_eq!(asked(&mut house.kari, &ways).await, vec!["200"; ways.len()]);
    let seen: Value = serde_json::from_str(&house.kari.get(&page).await).unwrap();
    assert_eq!(seen["dwelling"], json!({"stated": true, "fine": true}));
    assert!(!withheld(&seen), "{seen}");
    let looks = house.looks().await;
    let look = &looks[0];
    assert_eq!(looks.as_array().unwrap().len(), 1);
    assert_eq!(
        (&look["who"], &look["purpose"], &look["looks"], &look["downloads"]),
        (&json!("kari"), &json!("billing"), &json!(4), &json!(4))
    );
    // In the list of a building's meters nobody is shown what a flat's shows now.
    let list: Value = serde_json::from_str(&house.kari.get(&house.path("")).await).unwrap();
    let rows = list["meters_list"].as_array().unwrap();
    let main = |meter: &str| &rows.iter().find(|it| it["id"] == meter).unwrap()["main"];
    assert!(main(&HEAT.to_string()).is_null() && main(&COLD.to_string()).is_object());

    // What one has said is not for another, and not for ever.
    let mut viewer = house.somebody(&cloud, "viewer").await;
    assert_eq!(asked(&mut viewer, &ways).await, refused);
    cloud.clock.pass(Duration::from_mins(61));
    assert_eq!(asked(&mut house.kari, &ways).await, refused);
    assert_eq!(house.looks().await[0]["looks"], 4);
}

async fn who_is_not_given_more_sees_whole_days_on_every_way(cloud: Cloud) {
    let mut house = House::in_(&cloud, &["operator"]).await;
    let ways = house.ways();
    let purpose = house.path("/purpose");
    let mut operator = house.somebody(&cloud, "operator").await;
    for browser in [&mut house.kari, &mut operator] {
        assert_eq!(browser.send(Method::POST, &purpose, json!({"purpose": "advice"})).await.0, 204);
    }
    assert_eq!(asked(&mut operator, &ways).await, vec!["200"; ways.len()]);
    let alone = "403 days_alone";
    assert_eq!(
        asked(&mut house.kari, &ways).await,
        ["200", alone, alone, "200", "200", "200", "200"]
    );
    let page = house.path(&format!("/meters/{HEAT}"));
    let page: Value = serde_json::from_str(&house.kari.get(&page).await).unwrap();
    let registers = page["registers"].as_array().unwrap();
    assert!(registers.iter().all(|it| it["value"].is_null() && it["at"].is_null()), "{page}");

    // Of each day the last stand of its counters, and of nothing else anything.
    let of_heat = |file: &str| {
        let file: Value = serde_json::from_str(file).unwrap();
        let rows = file["readings"].as_array().unwrap().clone();
        rows.into_iter().filter(|it| it["meter"] == HEAT.to_string()).collect::<Vec<_>>()
    };
    let (whole, days) =
        (of_heat(&operator.get(&ways[4]).await), of_heat(&house.kari.get(&ways[4]).await));
    assert!(whole.len() > 100 && !days.is_empty());
    let date = |row: &Value| row["local"].as_str().unwrap().chars().take(10).collect::<String>();
    for (at, row) in days.iter().enumerate() {
        assert_eq!(row["register"], "energy");
        let same_day = |it: &&Value| it["register"] == "energy" && date(it) == date(row);
        let last = whole.iter().filter(same_day).rfind(|it| !it["value"].is_null());
        assert_eq!(last, Some(row));
        assert!(at == 0 || date(&days[at - 1]) < date(row), "one for each day");
    }
    assert_eq!(of_heat(&house.kari.get(&ways[6]).await), days, "the same in the building's file");

    // No part of a day, whichever is asked for: its end is its beginning.
    let part = house.path(&format!(
        "/meters/{HEAT}/history?register=energy&step=day&from=2026-03-01T00:00:00Z&until=2026-03-01T09:00:00Z"
    ));
    let part: Value = serde_json::from_str(&house.kari.get(&part).await).unwrap();
    assert_eq!(part["runs"], json!([]), "{part}");
}

async fn the_record_holds_everybody_however_often_somebody_says_the_same(cloud: Cloud) {
    let mut house = House::in_(&cloud, &["owner"]).await;
    let (purpose, looks) = (house.path("/purpose"), house.path("/looks"));
    let day = house.ways().swap_remove(0);
    let mut viewer = house.somebody(&cloud, "viewer").await;
    let say = async |who: &mut Browser, what: &str| {
        assert_eq!(who.send(Method::POST, &purpose, json!({"purpose": what})).await.0, 204);
    };
    say(&mut house.kari, "billing").await;
    cloud.clock.pass(Duration::from_mins(1));
    for what in ["advice", "law", "advice", "law", "advice"] {
        say(&mut viewer, what).await;
        assert_eq!(viewer.status(Method::GET, &day).await, 200);
        cloud.clock.pass(Duration::from_mins(10));
    }
    let told = |looks: &Value| {
        let row = |it: &Value| format!("{} {} {}", it["who"], it["purpose"], it["looks"]);
        looks.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let all = [r#""viewer" "law" 2"#, r#""viewer" "advice" 3"#, r#""kari" "billing" 0"#];
    assert_eq!(told(&house.looks().await), all);
    // What was said last holds for an hour, and is on record anew when it has been there for one.
    cloud.clock.pass(Duration::from_mins(45));
    assert_eq!(viewer.status(Method::GET, &day).await, 200);
    say(&mut viewer, "advice").await;
    let all = [r#""viewer" "advice" 0"#, all[0], r#""viewer" "advice" 4"#, all[2]];
    assert_eq!(told(&house.looks().await), all);

    // Row by row, to the last.
    let (mut before, mut found) = (String::new(), Vec::new());
    loop {
        let page = house.kari.get(&format!("{looks}?limit=1{before}")).await;
        let page: Value = serde_json::from_str(&page).unwrap();
        let Some(row) = page.as_array().unwrap().first() else { break };
        before = format!("&before={}", row["id"].as_str().unwrap());
        found.extend(told(&page));
    }
    assert_eq!(found, all);
    for wrong in ["limit=0", "limit=501", "before=x", "after=1"] {
        assert_eq!(house.kari.status(Method::GET, &format!("{looks}?{wrong}")).await, 400);
    }
    let others = format!("{looks}?before={}", uuid::Uuid::from_u128(7));
    assert_eq!(house.kari.get(&others).await, "[]");
}

async fn what_is_a_dwelling_is_said_by_its_owner_and_goes_along_with_the_gateway(cloud: Cloud) {
    let mut house = House::in_(&cloud, &["owner", "viewer"]).await;
    let (list, path) = (house.path("/dwellings"), house.path(&format!("/dwellings/{HEAT}")));
    for (wrong, status) in [
        (json!({"household": ""}), 422),
        (json!({"household": "x", "fine": ["tenant"]}), 400),
        (json!({"household": "x", "fine": ["king"]}), 400),
        (json!({"fine": []}), 400),
    ] {
        assert_eq!(house.kari.send(Method::PUT, &path, wrong.clone()).await.0, status, "{wrong}");
    }
    let nothing = house.path(&format!("/dwellings/{}", uuid::Uuid::from_u128(7)));
    let flat = json!({"household": "x"});
    assert_eq!(house.kari.send(Method::PUT, &nothing, flat.clone()).await.0, 404);
    let mut installer = house.somebody(&cloud, "installer").await;
    for (method, path) in [
        (Method::PUT, &path),
        (Method::DELETE, &path),
        (Method::GET, &list),
        (Method::GET, &house.path("/looks")),
    ] {
        assert_eq!(installer.send(method, path, flat.clone()).await.0, 403);
    }

    let handover = house.path("/handover");
    let (_, made) = house.kari.send(Method::POST, &handover, json!({"readings": "go"})).await;
    let new = format!("/sites/{}/dwellings", made["site"].as_str().unwrap());
    let taken: Value = serde_json::from_str(&house.kari.get(&new).await).unwrap();
    assert_eq!((&taken[0]["household"], &taken[0]["fine"]), (&json!("H0203"), &json!([])));

    assert_eq!(house.kari.status(Method::DELETE, &path).await, 204);
    assert_eq!(house.kari.status(Method::DELETE, &path).await, 404);
    assert_eq!(house.kari.get(&list).await, "[]");
    // Who looked is on record for two years.
    let purpose = format!("/sites/{}/purpose", made["site"].as_str().unwrap());
    assert_eq!(house.kari.send(Method::POST, &purpose, json!({"purpose": "law"})).await.0, 204);
    assert_eq!(cloud.count("SELECT count(*) FROM look"), 1);
}
