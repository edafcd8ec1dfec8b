//! The certificate that browsers are shown, and the authority that people install.

use serde_json::json;

use super::*;
use crate::{CertificateFlaw, CertificateOrder, PagesCertificate, Whose};

/// Of the gateway's own authority.
pub(super) fn certificate() -> PagesCertificate {
    PagesCertificate {
        authority: vec![0x30, 0x82],
        authority_fingerprint: "4F:1A".into(),
        fingerprint: "7B:02".into(),
        names: vec!["fyrhus-7k2m.local".into()],
        addresses: vec!["192.168.4.7".parse().unwrap()],
        ends: Some("2028-12-01T00:00:00Z".parse().unwrap()),
        ..PagesCertificate::default()
    }
}

#[tokio::test]
async fn who_is_logged_in_is_told_whose_word_the_browser_can_take() {
    let gateway = Gateway::new();
    let guest = gateway.visitor(Role::Installer).await;
    for (host, covered) in
        [("fyrhus-7k2m.local", true), ("192.168.4.7:8443", true), ("192.168.4.8:8443", false)]
    {
        let mut request = request(Method::GET, "/certificate", &guest, Body::empty());
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        let told = gateway.send(request).await.json();
        assert_eq!(told["covered"], covered, "{told}");
        assert_eq!(
            (&told["kind"], &told["authority"], &told["covers"]),
            (&json!("own"), &json!("4F:1A"), &json!(["fyrhus-7k2m.local", "192.168.4.7"]))
        );
    }
    let authority = gateway.get("/certificate/authority.crt", "").await;
    assert_eq!(authority.headers["content-type"], "application/x-x509-ca-cert");
    assert!(authority.body.starts_with('0'), "for everybody who installs it");
}

/// One whose key is `of it` is taken; others say what is wrong with them.
pub(super) fn obeyed(order: &CertificateOrder) -> Result<(), CertificateFlaw> {
    let CertificateOrder::Bring { certificates, key } = order else { return Ok(()) };
    match certificates.0.as_str() {
        "old" => Err(CertificateFlaw::Ended("2026-11-01T12:00:00Z".parse().unwrap())),
        "strange" => Err(CertificateFlaw::Stranger(2)),
        "unlucky" => Err(CertificateFlaw::Failed("the disk is gone".into())),
        _ if key.0 != "of it" => Err(CertificateFlaw::KeyApart),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn an_owner_brings_one_and_takes_it_away_and_hears_why_one_is_not_taken() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let brings = async |certificates: &str, key: &str| {
        let body = json!({ "certificates": certificates, "key": key });
        gateway.put("/certificate", &owner, body).await
    };
    let brought = brings("PEM", "of it").await;
    assert_eq!((brought.said().as_str(), &brought.json()["kind"]), ("200", &json!("own")));
    assert_eq!(gateway.delete("/certificate", &owner).await.said(), "200");
    let log = gateway.get("/audit", &owner).await.json();
    assert_eq!(log[0]["what"], "certificate_forgotten");
    assert_eq!(
        (&log[1]["what"], &log[1]["detail"]),
        (&json!("certificate_brought"), &json!("7B:02"))
    );
    for (certificates, key, expected) in [
        ("PEM", "of another", "422 certificate_key_apart"),
        ("old", "of it", "422 certificate_ended"),
        ("strange", "of it", "422 certificate_stranger"),
        ("unlucky", "of it", "500 certificate_failed"),
    ] {
        assert_eq!(brings(certificates, key).await.said(), expected);
    }
    assert_eq!(brings("old", "").await.json()["params"]["day"], "2026-11-01");
    assert_eq!(brings(&"x".repeat(70_000), "").await.said(), "413 too_large");
}

#[tokio::test]
async fn the_end_of_one_that_was_brought_is_told_a_month_before() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let tells = async |whose, ends: &str, trouble: Option<&str>| {
        let ends = Some(ends.parse().unwrap());
        let trouble = trouble.map(str::to_owned);
        let now = PagesCertificate { whose, ends, trouble, ..certificate() };
        gateway.certificate.send_replace(Arc::new(now));
        let overview = gateway.get("/overview", &owner).await.json();
        let all = overview["look_at"].as_array().unwrap().clone();
        let about = |it: &Value| it["code"].as_str().unwrap().starts_with("certificate");
        all.into_iter().find(about).map(|it| (it["code"].clone(), it["params"].clone()))
    };
    // It is the 21st of November.
    assert_eq!(tells(Whose::Uploaded, "2026-12-24T00:00:00Z", None).await, None);
    assert_eq!(tells(Whose::Own, "2026-11-24T00:00:00Z", None).await, None, "it makes another");
    assert_eq!(
        tells(Whose::Named, "2026-12-01T13:32:05Z", None).await,
        Some((json!("certificate_ends"), json!({ "day": "2026-12-01", "days": "10" })))
    );
    assert_eq!(
        tells(Whose::Own, "2028-12-01T00:00:00Z", Some("It ended.")).await,
        Some((json!("certificate_unused"), json!({ "error": "It ended." })))
    );
}

#[tokio::test]
async fn the_names_of_one_that_is_brought_while_the_pages_run_are_the_gateway_s() {
    let gateway = Gateway::new();
    let asks = async || {
        let mut request = request(Method::GET, "/health", "", Body::empty());
        request.headers_mut().insert(header::HOST, "fyrhus.example".parse().unwrap());
        gateway.send(request).await.said()
    };
    assert_eq!(asks().await, "421 host");
    let names = vec!["Fyrhus.Example".to_owned()];
    gateway.certificate.send_replace(Arc::new(PagesCertificate { names, ..certificate() }));
    assert_eq!(asks().await, "200");
}
