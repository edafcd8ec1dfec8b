//! Tags, who has which branch of them, links, and what the list of all buildings tells.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use store::testing::{HEAT, known_day};

use uuid::Uuid;

use crate::people::Browser;
use crate::support::{Cloud, Gateway, gateway_id, on_both_databases};

on_both_databases! {
    tags_make_a_tree_and_order_every_list,
    nobody_sees_a_building_that_is_not_theirs_on_any_route,
    what_somebody_may_follows_the_branch,
    the_last_owner_of_all_stays,
    a_link_is_shown_once_counts_its_uses_and_ends,
    a_gateway_tells_its_version_and_its_owner_where_it_is,
}

const PASSWORD: &str = "riktig ku batteri";
const SECRET: &str = "Hemmelig gard 9";

/// A portfolio of two buildings, one of them with readings.
struct Two {
    kari: Browser,
    /// Kvernhusgata 4, of a gateway that has delivered.
    ours: String,
    /// [`SECRET`], which waits for its gateway.
    theirs: String,
}

impl Two {
    async fn in_(cloud: &Cloud) -> Self {
        let mut kari = Browser::owner(cloud).await;
        let identity = cloud.identity(gateway_id()).await;
        let day = known_day().await.unwrap();
        let mut gateway = Gateway::new(Some(identity));
        gateway.run(&day.store);
        gateway.caught_up(&day.store.outbox()).await;
        gateway.stop().await;
        let made = kari.send(Method::POST, "/enrol-codes", json!({"site_name": SECRET})).await;
        let theirs = made.1["site"].as_str().unwrap().to_owned();
        let sites = kari.json("/sites").await;
        let ours = sites.as_array().unwrap().iter().find(|site| site["id"] != *theirs).unwrap();
        let ours = ours["id"].as_str().unwrap().to_owned();
        Self { kari, ours, theirs }
    }

    async fn tag(&mut self, name: &str, parent: Option<&str>) -> String {
        let tag = json!({"name": name, "parent": parent});
        let (status, made) = self.kari.send(Method::POST, "/tags", tag).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn tag_site(&mut self, site: &str, tags: &[&str]) -> u16 {
        let path = format!("/sites/{site}/tags");
        self.kari.send(Method::PUT, &path, json!({"tags": tags})).await.0
    }

    /// Somebody who has this of it.
    async fn with(&mut self, cloud: &Cloud, name: &str, grants: Value) -> Browser {
        let user = json!({"name": name, "grants": grants, "password": PASSWORD});
        let (status, added) = self.kari.send(Method::POST, "/users", user).await;
        assert_eq!(status, 201, "{added}");
        let mut browser = Browser::at(cloud);
        assert_eq!(browser.log_in(name, PASSWORD, None).await.0, 200);
        browser
    }
}

impl Browser {
    async fn json(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await).unwrap()
    }

    /// The names of the buildings in a list.
    async fn names(&mut self, path: &str) -> Vec<String> {
        let list = self.json(path).await;
        let list = list.get("sites").unwrap_or(&list);
        let names = list.as_array().unwrap().iter();
        names.map(|site| site["name"].as_str().unwrap().to_owned()).collect()
    }
}

async fn tags_make_a_tree_and_order_every_list(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let (ours, theirs) = (two.ours.clone(), two.theirs.clone());
    let trondheim = two.tag(" Trondheim ", None).await;
    let skoler = two.tag("Skoler", Some(&trondheim)).await;
    let bergen = two.tag("Bergen", None).await;
    let nobody = Uuid::from_u128(7).to_string();
    for (name, parent, status, code) in [
        ("skoler", Some(&trondheim), 409, "tag_taken"),
        ("", None, 422, "label_wrong"),
        ("x", Some(&nobody), 404, "no_such_tag"),
    ] {
        let tag = json!({"name": name, "parent": parent});
        let (found, answer) = two.kari.send(Method::POST, "/tags", tag).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }
    let its_own = json!({"name": "Trondheim", "parent": skoler});
    let path = format!("/tags/{trondheim}");
    let (status, answer) = two.kari.send(Method::PUT, &path, its_own).await;
    assert_eq!((status, &answer["code"]), (409, &json!("tag_loop")));

    // A building counts for its tags and those above, once for each.
    assert_eq!(two.tag_site(&ours, &[&skoler, &trondheim]).await, 204);
    assert_eq!(two.tag_site(&theirs, &[&bergen]).await, 204);
    assert_eq!(two.tag_site(&ours, &[&nobody]).await, 404);
    assert_eq!(two.tag_site(&nobody, &[&bergen]).await, 404);
    let facts = json!({"area_m2": 1_200, "counted": null});
    two.kari.send(Method::PUT, &format!("/sites/{ours}/facts"), facts).await;
    let tags = two.kari.json("/tags").await;
    let sum =
        |id: &str| tags.as_array().unwrap().iter().find(|it| it["id"] == *id).unwrap().clone();
    for id in [&trondheim, &skoler] {
        let of = &sum(id)["sum"];
        assert_eq!(
            (&of["sites"], &of["meters"], &of["area_m2"], &of["areas"]),
            (&json!(1), &json!(2), &json!(1_200), &json!(1))
        );
    }
    assert_eq!(
        (&sum(&skoler)["parent"], &sum(&skoler)["name"]),
        (&json!(trondheim), &json!("Skoler"))
    );

    for list in ["/sites?", "/comparison?year=2026&"] {
        let mut of = async |tag: &str| two.kari.names(&format!("{list}tag={tag}")).await;
        assert_eq!(of(&trondheim).await, ["Kvernhusgata 4"], "{list}");
        assert_eq!(of(&bergen).await, [SECRET], "{list}");
        assert_eq!(two.kari.status(Method::GET, &format!("{list}tag={nobody}")).await, 404);
    }
    assert_eq!(two.kari.get(&format!("/promises?tag={bergen}")).await, "[]");

    // What others hang on stays; what goes, goes from every building.
    let remove = |id: &str| format!("/tags/{id}");
    let used = two.kari.ask(Method::DELETE, &remove(&trondheim), "").await;
    assert!(used.0 == 409 && used.1.contains("tag_used"), "{used:?}");
    let grant = json!([{"role": "viewer", "tag": skoler}]);
    two.with(&cloud, "per", grant).await;
    assert_eq!(two.kari.status(Method::DELETE, &remove(&skoler)).await, 409);
    assert_eq!(two.kari.status(Method::DELETE, &remove(&bergen)).await, 204);
    assert_eq!(two.kari.status(Method::DELETE, &remove(&bergen)).await, 404);
    assert_eq!(two.kari.status(Method::GET, &format!("/sites?tag={bergen}")).await, 404);
    assert!(!two.kari.get("/sites").await.contains(&*bergen), "no building has it any more");
}

/// Every path of the router that is for people.
fn paths() -> BTreeSet<&'static str> {
    let source = include_str!("../../portfolio/src/routes.rs");
    let (_, routes) = source.split_once("fn table<").unwrap();
    let (routes, _) = routes.split_once("type Route<R>").unwrap();
    let paths: BTreeSet<&str> =
        routes.split('"').filter(|text| text.starts_with('/') && !text.contains(' ')).collect();
    assert!(paths.len() > 40, "the routes are not where they were: {paths:?}");
    paths
}

async fn nobody_sees_a_building_that_is_not_theirs_on_any_route(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let (ours, theirs) = (two.ours.clone(), two.theirs.clone());
    let tag = two.tag("Trondheim", None).await;
    let other = two.tag("Hemmelige garder", None).await;
    two.tag_site(&ours, &[&tag, &other]).await;
    two.tag_site(&theirs, &[&other]).await;
    two.tag_site(&ours, &[&tag]).await;
    let link = json!({"name": "Revisor", "kind": "edit", "tag": tag});
    let (_, link) = two.kari.send(Method::POST, "/links", link).await;
    let mut guest = Browser::at(&cloud);
    let secret = json!({"link": link["secret"]});
    assert_eq!(guest.send(Method::POST, "/session/link", secret).await.0, 200);

    let mut strangers = vec![("a link".to_owned(), guest)];
    for role in ["owner", "installer", "operator", "viewer"] {
        let grants = json!([{"role": role, "tag": tag}]);
        strangers.push((role.to_owned(), two.with(&cloud, role, grants).await));
    }
    let by_site = json!([{"role": "owner", "site": ours}]);
    strangers.push(("owner of one".to_owned(), two.with(&cloud, "one", by_site).await));

    let nobody = Uuid::from_u128(7).to_string();
    for (who, browser) in &mut strangers {
        cloud.clock.pass(Duration::from_mins(1));
        let mut asked = 0;
        for path in paths() {
            let about = path
                .replace("{site}", &theirs)
                .replace("{meter}", &HEAT.to_string())
                .replace("{month}", "2026-03")
                .replace("{sha256}", &"0".repeat(64))
                .replace("{alarm}", "1");
            let about = ["{user}", "{tag}", "{link}", "{errand}", "{token}"]
                .iter()
                .fold(about, |path, name| path.replace(name, &nobody));
            assert!(!about.contains('{'), "{about}: say what it stands for");
            // Nobody logs themselves out.
            for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
                if path == "/session" && method != Method::GET {
                    continue;
                }
                asked += 1;
                let (status, answer) = browser.ask(method.clone(), &about, "{}").await;
                let told = format!("{who}: {method} {about}: {status} {answer}");
                assert!(status < 500 && status != 429, "{told}");
                assert!(!answer.contains(SECRET) && !answer.contains(&*theirs), "{told}");
                assert!(!answer.contains("Hemmelige"), "{told}");
                if path.contains("{site}") && status != 405 {
                    let of_all = path == "/sites/{site}/tags";
                    let expected = if of_all { "not_everywhere" } else { "no_such_site" };
                    assert!(answer.contains(expected), "{told}");
                }
            }
        }
        assert!(asked > 100);
        for list in [
            "/sites",
            "/tags",
            "/promises",
            "/comparison?year=2026",
            &format!("/comparison?year=2026&site={theirs}"),
            &format!("/sites?tag={other}"),
            &format!("/comparison?year=2026&tag={other}"),
            &format!("/promises?tag={other}"),
        ] {
            let (status, answer) = browser.ask(Method::GET, list, "").await;
            let told = format!("{who}: {list}: {status} {answer}");
            assert!(!answer.contains(SECRET) && !answer.contains(&*theirs), "{told}");
            assert_eq!(
                status,
                if list.contains("tag=") || list.contains("site=") { 404 } else { 200 }
            );
        }
        assert_eq!(browser.names("/sites").await, ["Kvernhusgata 4"], "{who}");
        assert!(browser.get("/limits").await.contains(r#""quota":null"#), "{who}");
        assert_eq!(browser.status(Method::GET, &format!("/sites/{ours}/meters/{HEAT}")).await, 200);
        // Whoever owns a branch asks the gateways of it, and of nothing else.
        let errands = format!("/sites/{ours}/errands");
        let owns = who.starts_with("owner");
        let expected = if owns { 200 } else { 403 };
        assert_eq!(browser.status(Method::GET, &errands).await, expected, "{who}");
    }
}

async fn what_somebody_may_follows_the_branch(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let (ours, theirs) = (two.ours.clone(), two.theirs.clone());
    let [a, b] = [two.tag("A", None).await, two.tag("B", None).await];
    let below = two.tag("Under A", Some(&a)).await;
    two.tag_site(&ours, &[&below]).await;
    two.tag_site(&theirs, &[&b]).await;
    for wrong in [
        json!([]),
        json!([{"role": "viewer"}]),
        json!([{"role": "tenant", "tag": a}]),
        json!([{"role": "viewer", "tag": a, "site": ours}]),
    ] {
        let user = json!({"name": "x", "grants": wrong, "password": PASSWORD});
        assert_eq!(two.kari.send(Method::POST, "/users", user).await.0, 400, "{wrong}");
    }
    let nowhere = json!([{"role": "viewer", "tag": Uuid::from_u128(7)}]);
    let user = json!({"name": "x", "grants": nowhere, "password": PASSWORD});
    assert_eq!(two.kari.send(Method::POST, "/users", user).await.0, 404);

    let grants = json!([{"role": "installer", "tag": a}, {"role": "viewer", "tag": b}]);
    let mut per = two.with(&cloud, "per", grants).await;
    assert_eq!(per.names("/sites").await, [SECRET, "Kvernhusgata 4"]);
    let session = per.json("/session").await;
    assert_eq!((&session["can"], &session["user"]["role"]), (&json!(["see"]), &json!("installer")));
    let facts = json!({"area_m2": 900, "counted": null});
    let change = async |per: &mut Browser, site: &str| {
        let path = format!("/sites/{site}/facts");
        let (status, answer) = per.send(Method::PUT, &path, facts.clone()).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(change(&mut per, &ours).await.0, 204);
    assert_eq!(change(&mut per, &theirs).await, (403, "not_allowed".to_owned()));
    let can = |site: Value| site["can"].clone();
    let set_up = json!(["see", "inspect", "ask", "configure"]);
    assert_eq!(can(per.json(&format!("/sites/{ours}")).await), set_up);
    assert_eq!(can(per.json(&format!("/sites/{theirs}")).await), json!(["see"]));
    // A program may no more than whoever made it.
    let token = json!({"name": "t", "scope": ["configure"]});
    let (status, token) = per.send(Method::POST, "/tokens", token).await;
    assert_eq!(status, 201);
    let secret = token["secret"].as_str().unwrap();
    let url = |site: &str| format!("{}/api/v1/sites/{site}/facts", cloud.people_url());
    for (site, expected) in [(&ours, 204), (&theirs, 403)] {
        let asked = reqwest::Client::new().put(url(site)).bearer_auth(secret).json(&facts);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), expected);
    }

    // Only who has all orders them, and lets others in.
    let (status, answer) = per.send(Method::POST, "/tags", json!({"name": "C"})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("not_everywhere")));
    assert_eq!(per.status(Method::GET, "/users").await, 403);
    let mut names: Vec<String> = Vec::new();
    for tag in per.json("/tags").await.as_array().unwrap() {
        names.push(tag["name"].as_str().unwrap().to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["A", "B", "Under A"]);

    // The tree moves, and what they have with it.
    let moved = json!({"name": "Under A", "parent": b});
    assert_eq!(two.kari.send(Method::PUT, &format!("/tags/{below}"), moved).await.0, 204);
    assert_eq!(change(&mut per, &ours).await.0, 403);
    two.tag_site(&ours, &[]).await;
    assert_eq!(change(&mut per, &ours).await, (404, "no_such_site".to_owned()));
    let all = two.kari.json("/users").await;
    let [first, second] = [&all[1]["grants"][0], &all[1]["grants"][1]];
    assert_eq!((&first["role"], &first["tag"]), (&json!("installer"), &json!(a)));
    assert_eq!((&second["role"], &second["tag"]), (&json!("viewer"), &json!(b)));
    assert_eq!(all[0]["grants"], Value::Null);
    let his = format!("/users/{}", all[1]["id"].as_str().unwrap());
    let everywhere = json!({"role": "viewer"});
    let (_, changed) = two.kari.send(Method::PUT, &his, everywhere).await;
    assert_eq!((&changed["role"], &changed["grants"]), (&json!("viewer"), &Value::Null));
    assert_eq!(per.log_in("per", PASSWORD, None).await.0, 200);
    assert_eq!(per.names("/sites").await.len(), 2);
    assert_eq!(
        per.send(Method::POST, "/tags", json!({"name": "C"})).await.1["code"],
        "not_allowed"
    );
}

async fn the_last_owner_of_all_stays(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let tag = two.tag("A", None).await;
    let owner = json!([{"role": "owner", "tag": tag}]);
    two.with(&cloud, "per", owner.clone()).await;
    let all = two.kari.json("/users").await;
    let hers = format!("/users/{}", all[0]["id"].as_str().unwrap());
    let (status, answer) = two.kari.send(Method::PUT, &hers, json!({"grants": owner})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("last_owner")));
    assert_eq!(two.kari.status(Method::DELETE, &hers).await, 409);
}

async fn a_link_is_shown_once_counts_its_uses_and_ends(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let ours = two.ours.clone();
    for wrong in [
        json!({"name": "x", "kind": "screen"}),
        json!({"name": "x", "kind": "view", "site": ours, "tag": Uuid::from_u128(7)}),
        json!({"name": "x", "kind": "view", "days": 0}),
    ] {
        assert_eq!(two.kari.send(Method::POST, "/links", wrong.clone()).await.0, 400, "{wrong}");
    }
    let asked = json!({"name": "Revisor", "kind": "view", "site": ours, "days": 1});
    let (status, made) = two.kari.send(Method::POST, "/links", asked).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let link = format!("/links/{}", made["link"]["id"].as_str().unwrap());
    assert_eq!((status, &made["link"]["made_by"]), (201, &json!("kari")));
    assert!(!two.kari.get("/links").await.contains("fyl_"), "shown once");
    let kept = "SELECT count(*) FROM person WHERE folded LIKE '%fyl_%' OR link LIKE '%fyl_%'";
    assert_eq!(cloud.count(kept), 0, "kept as a hash");
    // A link is nobody among the people, and nobody logs in as one.
    assert_eq!(two.kari.json("/users").await.as_array().unwrap().len(), 1);
    let as_user = link.replace("links", "users");
    assert_eq!(two.kari.status(Method::DELETE, &as_user).await, 404);
    let mut guest = Browser::at(&cloud);
    assert_eq!(guest.log_in("Revisor", "", None).await.0, 401);

    let open = |secret: &str| json!({"link": secret});
    let (status, session) = guest.send(Method::POST, "/session/link", open(&secret)).await;
    assert_eq!((status, &session["user"]["name"]), (200, &json!("Revisor")));
    assert_eq!(guest.names("/sites").await, ["Kvernhusgata 4"]);
    let facts = json!({"area_m2": 5, "counted": null});
    assert_eq!(guest.send(Method::PUT, &format!("/sites/{ours}/facts"), facts).await.0, 403);
    for (method, path) in [(Method::GET, "/login"), (Method::GET, "/tokens")] {
        assert_eq!(guest.status(method, path).await, 403, "no page of its own: {path}");
    }
    let mut other = Browser::at(&cloud);
    assert_eq!(other.send(Method::POST, "/session/link", open(&secret)).await.0, 200);
    let links = two.kari.json("/links").await;
    assert_eq!((&links[0]["uses"], &links[0]["site"]), (&json!(2), &json!(ours)));
    let uses = two.kari.json(&format!("{link}/uses")).await;
    assert_eq!((uses.as_array().unwrap().len(), &uses[0]["address"]), (2, &json!("127.0.0.1")));
    for wrong in ["fyl_nothing", "fyt_nothing", ""] {
        assert_eq!(other.send(Method::POST, "/session/link", open(wrong)).await.0, 403, "{wrong}");
    }

    // Made anew, the one before opens nothing, and whom it let in is out.
    let (_, anew) = two.kari.send(Method::POST, &format!("{link}/renew"), json!({})).await;
    assert_eq!(guest.status(Method::GET, "/sites").await, 401);
    let (status, answer) = guest.send(Method::POST, "/session/link", open(&secret)).await;
    assert_eq!((status, &answer["code"]), (403, &json!("link_wrong")));
    let secret = anew["secret"].as_str().unwrap();
    assert_eq!(guest.send(Method::POST, "/session/link", open(secret)).await.0, 200);
    // It ends, and with it whoever is in.
    cloud.clock.pass(Duration::from_hours(25));
    assert_eq!(guest.status(Method::GET, "/sites").await, 401);
    assert_eq!(guest.send(Method::POST, "/session/link", open(secret)).await.0, 403);
    assert_eq!(two.kari.log_in("kari", "riktig hest batteri", None).await.0, 200);
    assert_eq!(two.kari.status(Method::DELETE, &link).await, 204);
    assert_eq!(two.kari.status(Method::DELETE, &link).await, 404);
    assert_eq!(cloud.count("SELECT count(*) FROM link_use"), 0, "its uses go with it");
}

async fn a_gateway_tells_its_version_and_its_owner_where_it_is(cloud: Cloud) {
    let mut two = Two::in_(&cloud).await;
    let path = format!("/sites/{}", two.ours);
    let site = two.kari.json(&path).await;
    assert_eq!(site["gateway"]["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(site["position"], Value::Null);
    let put = format!("{path}/position");
    let at = |latitude: i64, longitude: i64| json!({"latitude_udeg": latitude, "longitude_udeg": longitude});
    for wrong in [
        at(90_000_001, 0),
        at(0, -180_000_001),
        at(0, 1 << 40),
        json!({"latitude_udeg": 1}),
        json!({"latitude_udeg": 63.43, "longitude_udeg": 10}),
    ] {
        assert_eq!(two.kari.send(Method::PUT, &put, wrong.clone()).await.0, 400, "{wrong}");
    }
    let here = at(63_430_515, 10_395_053);
    assert_eq!(two.kari.send(Method::PUT, &put, here.clone()).await.0, 204);
    assert_eq!(two.kari.json("/sites").await[1]["position"], here);
    assert_eq!(two.kari.send(Method::PUT, &put, Value::Null).await.0, 204);
    assert_eq!(two.kari.json(&path).await["position"], Value::Null);
}
