//! What the portfolio asks, through the routes; what comes of it is the daemon's.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::errands::{Errand, ErrandOrder, Errands, Leave, NotObeyed};

const ASKED: Uuid = Uuid::from_u128(7);

/// As a daemon of which one diagnosis is asked.
pub(super) fn obeyed(order: &ErrandOrder) -> Result<Errands, NotObeyed> {
    let (diagnosis, state) = match order {
        ErrandOrder::Tell => (Leave::Ask, "waiting"),
        ErrandOrder::Allow { id, .. } | ErrandOrder::Refuse { id, .. } if *id != ASKED => {
            return Err(NotObeyed::Over);
        }
        ErrandOrder::Allow { .. } => (Leave::Ask, "going"),
        ErrandOrder::Refuse { .. } => (Leave::Ask, "refused"),
        ErrandOrder::Leave { diagnosis, .. } => (*diagnosis, "waiting"),
    };
    let until = NOW.parse().unwrap();
    let (who, said) = ("kari".to_owned(), String::new());
    let asked = vec![Errand { id: ASKED, kind: "diagnosis", who, until, state, said }];
    Ok(Errands { diagnosis, asked })
}

#[tokio::test]
async fn people_here_allow_what_is_asked_or_do_not() {
    let gateway = Gateway::new();
    let installer = gateway.visitor(Role::Installer).await;
    let asked = gateway.get("/errands", &installer).await.json();
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
    let put = async |word: &str, who: &str| {
        let body = Body::from(json!({"diagnosis": word}).to_string());
        gateway.send(request(Method::PUT, "/errands/leave", who, body)).await
    };
    assert_eq!(put("never", &owner).await.json()["diagnosis"], "never");
    assert_eq!(put("sometimes", &owner).await.said(), "400 malformed");
    assert_eq!(put("always", &installer).await.said(), "403 not_allowed");
}
