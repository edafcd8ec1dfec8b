//! A backup comes back through the routes; what is done with it is the daemon's.

use serde_json::json;

use super::*;
use crate::{Held, NotRestored, RestoreOrder, RestoreStands, Restoring};

/// As a daemon that finds a building in whatever it is sent, and starts anew with it.
pub(super) fn restored(order: RestoreOrder) -> Result<Restoring, NotRestored> {
    let stands = match order {
        RestoreOrder::Tell | RestoreOrder::Drop | RestoreOrder::Forget => RestoreStands::None,
        RestoreOrder::Take { at: 7, .. } => return Err(NotRestored::Elsewhere { at: 3 }),
        RestoreOrder::Take { at, piece } => {
            RestoreStands::Taking { bytes: at + u64::try_from(piece.len()).unwrap() }
        }
        RestoreOrder::Fetch { stick, .. } if stick != "sda1" => return Err(NotRestored::NoStick),
        RestoreOrder::Fetch { .. } => RestoreStands::Fetching { bytes: 3, of: 7 },
        RestoreOrder::Look { passphrase } if passphrase.0 == "wrong" => {
            RestoreStands::Failed("the passphrase is another one".to_owned())
        }
        RestoreOrder::Look { .. } => {
            let name = Some("Kvernhuset".to_owned());
            RestoreStands::Held(Box::new(Held { name, readings: 7, ..Held::default() }))
        }
        RestoreOrder::Go { .. } => RestoreStands::Going,
        RestoreOrder::Back { .. } => return Err(NotRestored::Nothing),
    };
    Ok(Restoring { stands, before: false })
}

#[tokio::test]
async fn an_owner_sends_a_backup_looks_into_it_and_lets_it_hold() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    let put = async |path: &str, body: Vec<u8>| {
        let answer = gateway.send(request(Method::PUT, path, &owner, Body::from(body))).await;
        (answer.said(), answer.json())
    };
    let (said, taking) = put("/restore/file?at=0", vec![1; 4 << 20]).await;
    assert_eq!((&*said, &taking["bytes"]), ("200", &json!(4 << 20)));
    assert_eq!(put("/restore/file?at=0", vec![1; (4 << 20) + 1]).await.0, "413 too_large");
    let (said, problem) = put("/restore/file?at=7", vec![1]).await;
    assert_eq!((&*said, &problem["params"]["at"]), ("409 piece_elsewhere", &json!("3")));

    let fetch = async |stick: &str| {
        let asked = json!({"stick": stick, "file": "gård.backup"});
        gateway.post("/restore/stick", &owner, asked).await
    };
    assert_eq!(fetch("sdb1").await.said(), "404 no_stick");
    let fetching = fetch("sda1").await.json();
    assert_eq!(
        [&fetching["state"], &fetching["bytes"], &fetching["of"]],
        [&json!("fetching"), &json!(3), &json!(7)]
    );

    let look = async |passphrase: &str| {
        gateway.post("/restore/look", &owner, json!({"passphrase": passphrase})).await.json()
    };
    assert_eq!(look("wrong").await["why"], "the passphrase is another one");
    let held = look("correct horse battery").await;
    assert_eq!(held["held"]["name"], "Kvernhuset");
    assert_eq!(gateway.post("/restore", &owner, json!({})).await.json()["state"], "going");
    assert_eq!(gateway.post("/restore/back", &owner, json!({})).await.said(), "404 no_backup");
    let log = gateway.get("/audit", &owner).await.body;
    assert!(log.contains("restore_begun") && !log.contains("correct horse"), "{log}");
}
