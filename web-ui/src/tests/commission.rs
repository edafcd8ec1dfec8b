//! Commissioning, through the routes: what is kept, what is compared, what the report says.

use axum::http::Method;
use serde_json::json;

use super::*;

/// With a configuration of its meters, and all of them well.
async fn begun() -> (Gateway, String) {
    let gateway = Gateway::new();
    gateway.live.send_replace(Arc::new(all_well()));
    let cookie = gateway.visitor(Role::Installer).await;
    let meter = |id: &str, name: &str| format!("[[meter]]\nid = \"{id}\"\nname = \"{name}\"\n");
    let text =
        format!("[site]\nname = \"A\"\n\n{}\n{}", meter(HEAT, "Fjernvarme"), meter(WATER, "Vann"));
    let core = gateway.store.core();
    core.save_version(text, "kari".into(), "first".into(), None, sign()).await.unwrap();
    (gateway, cookie)
}

fn of<'j>(body: &'j Value, id: &str) -> &'j Value {
    body["meters"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap()
}

async fn text(gateway: &Gateway) -> String {
    gateway.store.core().current_version().await.unwrap().unwrap().text
}

#[tokio::test]
async fn another_phone_goes_on_where_the_last_one_was() {
    let (gateway, cookie) = begun().await;
    let fresh = gateway.get("/commission", &cookie).await.json();
    assert_eq!((&fresh["step"], &fresh["at"]), (&json!(""), &Value::Null));
    let answer = gateway.put("/commission/step", &cookie, json!({"step": "plates"})).await;
    assert_eq!(answer.said(), "200");
    let other = gateway.visitor(Role::Owner).await;
    let seen = gateway.get("/commission", &other).await.json();
    assert_eq!((&seen["step"], &seen["who"]), (&json!("plates"), &json!("a installer")));
    let wrong = gateway.put("/commission/step", &cookie, json!({"step": "lunch"})).await;
    assert_eq!(wrong.said(), "400 malformed");
}

#[tokio::test]
async fn a_display_is_compared_with_what_is_read_now() {
    let (gateway, cookie) = begun().await;
    let path = format!("/commission/meters/{WATER}/plate");
    let live = gateway.get("/commission", &cookie).await.json();
    let value = of(&live, WATER)["values"][0].clone();
    let (register, read) = (value["register"].clone(), value["value"]["value"].as_str().unwrap());
    let tenfold = format!("{read}0").replace('.', "");
    for (shown, verdict) in
        [(read.replace('.', ","), "same"), (tenfold, "too_little"), ("1".to_owned(), "different")]
    {
        let asked = json!({"register": register, "shown": shown});
        let body = gateway.post(&path, &cookie, asked).await.json();
        assert_eq!(of(&body, WATER)["values"][0]["plate"]["verdict"], verdict, "{shown}: {body}");
    }
    let body =
        gateway.post(&path, &cookie, json!({"register": register, "shown": " "})).await.json();
    assert_eq!(of(&body, WATER)["values"][0]["plate"], Value::Null);
    for (asked, said) in [
        (json!({"register": register, "shown": "abc"}), "422 display_wrong"),
        (json!({"register": "no_such", "shown": "1"}), "404 no_such_register"),
        (json!({"register": register, "shown": "1", "unit": "a b"}), "400 malformed"),
    ] {
        assert_eq!(gateway.post(&path, &cookie, asked).await.said(), said);
    }
}

#[tokio::test]
async fn a_meter_is_named_in_the_configuration_and_its_history_says_by_whom() {
    let (gateway, cookie) = begun().await;
    let path = format!("/commission/meters/{WATER}");
    let placing = json!({
        "name": "Kaldtvann 3. vest", "place": "Sjakt B", "tags": ["riser A", " "], "part_of": "",
        "remark": "Lokket mangler.",
    });
    assert_eq!(gateway.put(&path, &cookie, placing.clone()).await.said(), "200");
    let now = text(&gateway).await;
    assert!(
        now.contains("name = \"Kaldtvann 3. vest\"\nplace = \"Sjakt B\"\ntags = [\"riser A\"]"),
        "{now}"
    );

    let versions = gateway.get("/site/versions", &cookie).await.json();
    assert_eq!((&versions[0]["number"], &versions[0]["who"]), (&json!(2), &json!("a installer")));
    assert_eq!(versions[1]["why"], "first");
    let answer = gateway.post("/site/versions/1/restore", &cookie, json!({})).await;
    assert_eq!(answer.json(), json!({"version": 3}));
    assert!(!text(&gateway).await.contains("Sjakt B"));
    assert_eq!(gateway.get("/site/versions/9", &cookie).await.said(), "404 no_version");
    let clone = gateway.get("/site/clone", &cookie).await;
    assert!(clone.body.contains("Fjernvarme") && !clone.body.contains(HEAT), "{}", clone.body);
}

#[tokio::test]
async fn meters_that_were_found_are_taken_and_shadows_are_not_there_twice() {
    let (gateway, cookie) = begun().await;
    gateway.status.send_modify(|status| {
        let bus = Arc::make_mut(status).buses.iter_mut().find(|it| it.id == "riser-a").unwrap();
        bus.scan = Some(Arc::new(scan()));
    });
    let asked = json!({"bus": "riser-a", "meters": [
        {"address": "1", "name": "Known"}, {"address": "2", "name": "New \"one\""},
    ]});
    assert_eq!(gateway.post("/commission/meters", &cookie, asked).await.said(), "200");
    let now = text(&gateway).await;
    assert!(now.contains("secondary = \"67001130KAM0807\""), "{now}");
    assert!(!now.contains("Known") && now.contains("'New \"one\"'"), "{now}");
    let unknown = json!({"bus": "riser-a", "meters": [{"address": "77", "name": "X"}]});
    assert_eq!(gateway.post("/commission/meters", &cookie, unknown).await.said(), "400 malformed");
    let other = json!({"bus": "modbus", "meters": []});
    assert_eq!(gateway.post("/commission/meters", &cookie, other).await.said(), "409 no_scan");
}

#[tokio::test]
async fn ports_are_told_and_tried() {
    let (gateway, cookie) = begun().await;
    let ports = gateway.get("/commission/ports", &cookie).await.json();
    assert_eq!(ports[0]["name"], "FTDI");
    let asked = json!({"port": "serial:///dev/ttyUSB0"});
    let tried = gateway.post("/commission/try", &cookie, asked).await.json();
    assert_eq!((&tried["baud"], &tried["tries"][0]["heard"]), (&json!(9_600), &json!("noise")));
    let wrong = gateway.post("/commission/try", &cookie, json!({"port": "COM1"})).await;
    assert_eq!(wrong.said(), "422 port_wrong");
}

#[tokio::test]
async fn a_list_is_looked_at_before_it_comes_true() {
    let (gateway, cookie) = begun().await;
    let send = async |query: &str, list: &str| {
        let path = format!("/meters/list{query}");
        gateway.send(request(Method::POST, &path, &cookie, Body::from(list.to_owned()))).await
    };
    let list = format!("id;name;place\r\n{WATER};Vann;Sjakt B\r\n;Ny;\r\n");
    let told = send("", &list).await.json();
    let outcomes: Vec<_> =
        told["lines"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["changed", "wrong"], "{told}");
    assert!(!text(&gateway).await.contains("Sjakt B"), "it was only looked at");
    assert_eq!(send("?apply=true&version=7", &list).await.said(), "422 list_wrong");
    let right = format!("id;name;place\r\n{WATER};Vann;Sjakt B\r\n");
    assert_eq!(send("?apply=true&version=6", &right).await.said(), "422 list_wrong");
    assert_eq!(send("?apply=true&version=7", &right).await.said(), "200");
    assert!(text(&gateway).await.contains("place = \"Sjakt B\""));

    let long = " ".repeat((1 << 20) + 1);
    assert_eq!(send("", &long).await.said(), "413 too_large");

    let csv = gateway.get("/meters/list.csv", &cookie).await;
    assert!(csv.body.starts_with("\u{feff}id,name,bus,address,"), "{}", csv.body);
    assert!(gateway.get("/meters/list.xlsx", &cookie).await.body.starts_with("PK"));
}

#[tokio::test]
async fn a_photo_is_kept_shown_and_left_out() {
    let (gateway, cookie) = begun().await;
    let path = format!("/commission/meters/{WATER}/photos");
    let send = async |bytes: Vec<u8>| {
        gateway.send(request(Method::POST, &path, &cookie, Body::from(bytes))).await
    };
    let photo = [&[0xFF, 0xD8, 0xFF, 0xC0, 0, 8, 8, 0, 4, 0, 4, 3][..], &[0xFF, 0xD9]].concat();
    let body = send(photo.clone()).await.json();
    let hash = of(&body, WATER)["photos"][0].as_str().unwrap().to_owned();
    let shown = gateway.get(&format!("/commission/photos/{hash}"), &cookie).await;
    assert_eq!(
        (shown.said(), &shown.headers["content-type"]),
        ("200".into(), &"image/jpeg".parse().unwrap())
    );
    assert_eq!(send(b"<svg/>".to_vec()).await.said(), "422 photo_wrong");
    assert_eq!(send(vec![0; store::MOST_PROOF + 1]).await.said(), "413 too_large");
    let report = gateway.get("/commission/report.pdf?language=nb", &cookie).await;
    assert!(report.body.starts_with("%PDF") && report.body.contains("DCTDecode"));

    let body = gateway.delete(&format!("{path}/{hash}"), &cookie).await.json();
    assert_eq!(of(&body, WATER)["photos"], json!([]));
    // A document of the ledger is no photo of a meter.
    let gone = gateway.get(&format!("/commission/photos/{hash}"), &cookie).await;
    assert_eq!(gone.said(), "404 no_photo");
}

#[tokio::test]
async fn a_report_is_set_in_each_language_and_signed() {
    let (gateway, cookie) = begun().await;
    let test = gateway.post(&format!("/commission/meters/{WATER}/test"), &cookie, json!({})).await;
    assert_eq!(of(&test.json(), WATER)["test"]["answered"], true);
    let strokes = json!([[[10, 20], [400, 380]]]);
    let signed = json!({"name": "Kari Moen", "strokes": strokes});
    let body = gateway.put("/commission/signature", &cookie, signed).await.json();
    assert_eq!(body["signed"]["name"], "Kari Moen");
    assert_eq!(body["signed"]["changed"], false);
    let body = gateway.put("/commission/step", &cookie, json!({"step": "report"})).await.json();
    assert_eq!(body["signed"]["changed"], false, "looking is no change");
    for wrong in [
        json!({"name": "", "strokes": strokes}),
        json!({"name": "Kari", "strokes": []}),
        json!({"name": "Kari", "strokes": [[[1_001, 0]]]}),
    ] {
        assert_eq!(
            gateway.put("/commission/signature", &cookie, wrong).await.said(),
            "400 malformed"
        );
    }
    let path = format!("/commission/meters/{WATER}/draw");
    let body = gateway.post(&path, &cookie, json!({"register": "volume"})).await.json();
    assert_eq!(body["signed"]["changed"], true, "it was not there to be signed");
    let signed = json!({"name": "Kari Moen", "strokes": strokes});
    let body = gateway.put("/commission/signature", &cookie, signed).await.json();
    assert_eq!(body["signed"]["changed"], false);
    gateway.site.send_modify(|site| Arc::make_mut(site).version += 1);
    let body = gateway.get("/commission", &cookie).await.json();
    assert_eq!(body["signed"]["changed"], true, "another configuration is another building");
    for language in ["nb", "en", "da"] {
        let path = format!("/commission/report.pdf?language={language}");
        assert!(gateway.get(&path, &cookie).await.body.starts_with("%PDF"), "{language}");
    }
    let other = gateway.get("/commission/report.pdf?language=sv", &cookie).await;
    assert_eq!(other.said(), "400 malformed");
}

#[tokio::test]
async fn a_report_tells_what_stands_on_the_displays() {
    let live = all_well();
    for (meter, medium, unit) in
        [(HEAT, Medium::Heat, Unit::MegawattHour), (WATER, Medium::Water, Unit::CubicMetre)]
    {
        let told = crate::figures::display(Some(medium), &live.meters[&id(meter)]).unwrap();
        assert_eq!(told.value.unwrap().resolution().unit(), unit, "and not what flows now");
    }
}

#[tokio::test]
async fn a_draw_is_begun_and_ended() {
    let (gateway, cookie) = begun().await;
    let path = format!("/commission/meters/{WATER}/draw");
    let ended = json!({"register": "volume", "drawn": "20", "unit": "l"});
    assert_eq!(gateway.post(&path, &cookie, ended.clone()).await.said(), "409 draw_none");
    let begun = gateway.post(&path, &cookie, json!({"register": "volume"})).await.json();
    assert_eq!(of(&begun, WATER)["draw"]["counted"], Value::Null);
    let body = gateway.post(&path, &cookie, ended).await.json();
    let checks = of(&body, WATER)["checks"].as_array().unwrap();
    let pulses = checks.iter().find(|it| it["what"] == "pulses").unwrap();
    // It stood still while 20 litres were drawn.
    assert_eq!((&pulses["verdict"], &pulses["code"]), (&json!("wrong"), &json!("pulses")));
}
