//! The backup that an owner asks for, through the routes.

use std::io::{Seek as _, Write as _};

use serde_json::json;

use super::*;
use crate::{BackupMade, Copying, NotBackedUp, NotOnStick, OnStick, Stick, StickOrder, Sticks};

/// What the daemon makes: its passphrase a hundred thousand times, or nothing for want of room.
pub(super) fn made(passphrase: &str) -> Result<BackupMade, NotBackedUp> {
    if passphrase.starts_with("no room") {
        return Err(NotBackedUp::NoRoom { needed: 2_000, free: 1_000 });
    }
    let text = passphrase.repeat(100_000);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    // Wherever it stands: it is read from its beginning.
    file.seek(std::io::SeekFrom::Start(7)).unwrap();
    let left_out = vec!["monday.backup".to_owned()];
    Ok(BackupMade { file, bytes: u64::try_from(text.len()).unwrap(), left_out })
}

/// What the daemon tells of its one stick, which takes any backup but the second.
pub(super) fn on_stick(order: StickOrder) -> Result<Sticks, NotOnStick> {
    let backups = vec![OnStick { file: "gård.backup".to_owned(), bytes: 7, at_ms: 1_000 }];
    let sticks = vec![Stick { name: "sda1".to_owned(), free: 9, backups }];
    let copying = match order {
        StickOrder::Tell => Copying::Failed(NotOnStick::Differs),
        StickOrder::Copy { stick, .. } if stick != "sda1" => return Err(NotOnStick::Gone),
        StickOrder::Copy { made, .. } if made.bytes > 1_900_000 => {
            return Err(NotOnStick::NoRoom { needed: 3_000_000, free: 9 });
        }
        StickOrder::Copy { stick, file, .. } => Copying::Done { stick, file },
    };
    Ok(Sticks { sticks, copying })
}

/// What the newest has come to.
async fn outcome(gateway: &Gateway, cookie: &str) -> Value {
    loop {
        let backup = gateway.get("/backup", cookie).await.json();
        if backup["state"] != "making" {
            return backup;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_owner_takes_a_backup_home() {
    let gateway = Gateway::new();
    let owner = gateway.visitor(Role::Owner).await;
    assert_eq!(gateway.get("/backup", &owner).await.json()["state"], "none");
    assert_eq!(gateway.get("/backup/file", &owner).await.said(), "404 no_backup");
    for (passphrase, said) in [
        ("short", "422 password_short"),
        (&*"long".repeat(1_000), "422 password_long"),
        ("of two lines\nthe second", "400 malformed"),
    ] {
        let asked = json!({"passphrase": passphrase});
        assert_eq!(gateway.post("/backup", &owner, asked).await.said(), said);
    }

    let passphrase = "riktig hest batteri";
    let begun = gateway.post("/backup", &owner, json!({"passphrase": passphrase})).await;
    assert_eq!((begun.said(), &begun.json()["who"]), ("200".into(), &json!("a owner")));
    let ready = outcome(&gateway, &owner).await;
    assert_eq!((&ready["state"], &ready["bytes"]), (&json!("ready"), &json!(1_900_000)));
    assert_eq!(ready["left_out"], json!(["monday.backup"]));
    for _ in 0..2 {
        let file = gateway.get("/backup/file", &owner).await;
        assert_eq!(file.headers["content-length"], "1900000");
        assert!(file.body == passphrase.repeat(100_000), "from its beginning to its end");
    }
    let sticks = gateway.get("/backup/sticks", &owner).await.json();
    assert_eq!((&sticks["sticks"][0]["free"], &sticks["state"]), (&json!(9), &json!("differs")));
    let copy = async |stick: &str| {
        let copied = gateway.post("/backup/sticks", &owner, json!({"stick": stick})).await;
        (copied.said(), copied.json())
    };
    assert_eq!(copy("sdb1").await.0, "404 no_stick");
    let (said, copied) = copy("sda1").await;
    assert_eq!((&*said, &copied["state"]), ("200", &json!("copied")));
    let day: String =
        ready["at"].as_str().unwrap().chars().take(10).filter(|it| *it != '-').collect();
    let file = copied["file"].as_str().unwrap();
    assert!(file.starts_with(&format!("fyrhus-{day}-")) && file.ends_with(".backup"), "{file}");
    let log = gateway.get("/audit", &owner).await;
    for what in ["backup_made", "backup_taken", "backup_copied"] {
        assert!(log.body.contains(what), "{}", log.body);
    }
    assert!(!log.body.contains(passphrase));
    assert_eq!(gateway.delete("/backup", &owner).await.said(), "204");
    assert_eq!(gateway.get("/backup/file", &owner).await.said(), "404 no_backup");
    assert_eq!(copy("sda1").await.0, "404 no_backup");

    gateway.post("/backup", &owner, json!({"passphrase": "riktig hest batteri, og mer"})).await;
    assert_eq!(outcome(&gateway, &owner).await["state"], "ready");
    let (said, refused) = copy("sda1").await;
    assert_eq!((&*said, &refused["params"]["needed"]), ("507 no_room", &json!("3")));
    gateway.post("/backup", &owner, json!({"passphrase": "no room anywhere"})).await;
    let failed = outcome(&gateway, &owner).await;
    assert_eq!(
        (&failed["state"], &failed["needed"], &failed["free"]),
        (&json!("failed"), &json!(2_000), &json!(1_000))
    );
}
