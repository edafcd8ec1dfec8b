//! Manuals, certificates and pictures of meters, through the routes: who puts them there, and who sees which.

use serde_json::json;

use super::*;

async fn put(gateway: &Gateway, cookie: &str, path: &str, bytes: Vec<u8>) -> Answer {
    gateway.send(request(Method::POST, path, cookie, Body::from(bytes))).await
}

#[tokio::test]
async fn a_manual_stands_at_its_meter_and_a_tenant_sees_only_their_own() {
    let gateway = Gateway::new();
    let cookie = gateway.visitor(Role::Installer).await;
    let [heat, water] = [HEAT, WATER].map(|meter| format!("/meters/{meter}/papers"));
    assert_eq!(gateway.get(&heat, &cookie).await.json()["papers"], json!([]));
    // Of several pieces.
    let manual: Vec<u8> = b"%PDF-1.7 ".iter().copied().cycle().take(2_500_000).collect();
    let added =
        put(&gateway, &cookie, &format!("{heat}?name=Bruksanvisning"), manual.clone()).await;
    assert_eq!((&*added.said(), &added.json()["kind"]), ("201", &json!("pdf")));
    let id = added.json()["id"].as_str().unwrap().to_owned();
    let file = gateway.get(&format!("{heat}/{id}"), &cookie).await;
    assert_eq!(file.body.as_bytes(), manual, "its pieces are one again");
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"Bruksanvisning.pdf\"");
    for (query, bytes, said) in [
        ("?name=A", b"<svg/>".to_vec(), "422 paper_wrong"),
        ("?name=%20", b"%PDF-".to_vec(), "422 label_wrong"),
        ("?name=A", vec![b'%'; (8 << 20) + 1], "413 too_large"),
    ] {
        assert_eq!(put(&gateway, &cookie, &format!("{heat}{query}"), bytes).await.said(), said);
    }

    let tenant = gateway.visitor(Role::Tenant).await;
    assert_eq!(gateway.get(&water, &tenant).await.json()["papers"], json!([]));
    assert_eq!(gateway.get(&heat, &tenant).await.said(), "403 not_allowed");
    let by_the_own = gateway.get(&format!("{water}/{id}"), &tenant).await.said();
    assert_eq!(by_the_own, "404 no_such_paper", "another meter's is not told by the own one");

    assert_eq!(gateway.delete(&format!("{water}/{id}"), &cookie).await.said(), "404 no_such_paper");
    assert_eq!(gateway.delete(&format!("{heat}/{id}"), &cookie).await.said(), "204");
    assert_eq!(gateway.get(&heat, &cookie).await.json()["papers"], json!([]));
}
