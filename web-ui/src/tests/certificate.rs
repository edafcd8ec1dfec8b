//! The certificate that browsers are shown, and the authority that people install.

use serde_json::json;

use super::*;
use crate::PagesCertificate;

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
