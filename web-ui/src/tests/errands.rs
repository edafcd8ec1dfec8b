//! What the portfolio asks, through the routes; what comes of it is the daemon's.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::errands::{Errand, ErrandOrder, Errands, Leave, NotObeyed};

const ASKED: Uuid = Uuid::from_u128(7);

/// As a daemon of which one diagnosis is asked.
pub(super) fn obeyed(order: &ErrandOrder) -> Result<Errands, NotObeyed> {
    let (mut diagnosis, mut configuration) = (Leave::Ask, Leave::Ask);
    let state = match order {
        ErrandOrder::Tell => "waiting",
        ErrandOrder::Allow { id, .. } | ErrandOrder::Refuse { id, .. } if *id != ASKED => {
            return Err(NotObeyed::Over);
        }
        ErrandOrder::Allow { .. } => "going",
        ErrandOrder::Refuse { .. } => "refused",
        ErrandOrder::Leave { diagnosis: of_one, configuration: of_other, .. } => {
            diagnosis = of_one.unwrap_or(diagnosis);
            configuration = of_other.unwrap_or(configuration);
            "waiting"
        }
    };
    let until = NOW.parse().unwrap();
    let (who, said) = ("kari".to_owned(), String::new());
    let lines = "[site]\n+ name = \"New\"".to_owned();
    let asked = vec![Errand { id: ASKED, kind: "change", who, until, state, said, lines }];
    Ok(Errands { diagnosis, configuration, asked })
}

#[tokio::test]
async fn people_here_allow_what_is_asked_or_do_not() {
    let gateway = Gateway::new();
    let installer = gateway.visitor(Role::Installer).await;
    let asked = gateway.get("/errands", &installer).await.json();
    assert_eq!(asked["asked"][0]["lines"], "[site]\n+ name = \"New\"");
    assert_eq!((&asked["diagnosis"], &asked["asked"][0]["who"]), (&json!("ask"), &json!("kari")));
    let answer = async |path: String| {
        let answer = gateway.post(&path, &installer, json!({})).await;
        (answer.said(), answer.json()["asked"][0]["state"].clone())
    };
    assert_eq!(answer(format!("/errands/{ASKED}/allow")).await, ("200".into(), json!("going")));
    assert_eq!(answer(format!("/errands/{ASKED}/refuse")).await, ("200".into(), json!("refused")));
    let other = answer(format!("/errands/{}/allow", Uuid::nil())).await;
    assert_eq!(other.0, "409 errand_over");
    assert_eq!(answer("/errands/7/allow".to_owned()).await.0, "409 errand_over");

    let owner = gateway.visitor(Role::Owner).await;
    let put = async |body: Value, who: &str| {
        let body = Body::from(body.to_string());
        gateway.send(request(Method::PUT, "/errands/leave", who, body)).await
    };
    for (body, diagnosis, configuration) in [
        (json!({"diagnosis": "never"}), "never", "ask"),
        (json!({"configuration": "always"}), "ask", "always"),
    ] {
        let left = put(body, &owner).await.json();
        assert_eq!(left["diagnosis"], diagnosis);
        assert_eq!(left["configuration"], configuration);
    }
    for wrong in [json!({}), json!({"diagnosis": "sometimes"}), json!({"configuration": "no"})] {
        assert_eq!(put(wrong, &owner).await.said(), "400 malformed");
    }
    let installers = put(json!({"configuration": "always"}), &installer).await;
    assert_eq!(installers.said(), "403 not_allowed");
}
