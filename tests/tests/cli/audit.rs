//! `fyrhus audit` beside a gateway that wrote the history, after somebody else wrote to its files, and on another
//! machine.

use std::fs;
use std::process::Output;
use std::time::Duration;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use site_tests::gateway::Home;

const SITE: &str = "[site]\nid = \"019a8f3e-7c52-7b3e-9d41-0c2f6a1b8e77\"\nname = \"Gård\"\n";

fn said(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test]
async fn the_history_is_proven_and_the_first_row_that_was_changed_is_named() {
    let home = Home::with_site(SITE).unwrap();
    let mut gateway = home.start().await.unwrap();
    let back = gateway.request(Method::POST, "site/versions/1/restore").json(&json!({}));
    assert_eq!(gateway.done(back).await.unwrap(), json!({ "version": 2 }));
    let proof = gateway.get("site/history").await.unwrap();
    assert_eq!(proof["versions"][0], json!({ "number": 2, "stands": "signed" }));
    // A start signs what the life before it wrote.
    gateway.program.stop(Duration::from_mins(5)).unwrap();
    drop(gateway);
    let mut gateway = home.start().await.unwrap();
    let signed = |it: &Value| it["audit"]["signed"].is_u64();
    let proof = gateway.until("the newest entry is signed", "site/history", signed).await.unwrap();
    let key = proof["key"].as_str().unwrap();

    let verify = || said(&home.fyrhus(["audit", "verify"]).unwrap());
    let (code, text) = verify();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 versions, 1 to 2") && text.contains(key), "{text}");
    assert!(text.ends_with("are as they were written.\n"), "{text}");
    let stranger = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (code, text) = said(&home.fyrhus(["audit", "verify", "--key", stranger]).unwrap());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("version 1 of ") && text.contains("another key than this one"), "{text}");

    // The file goes to another machine, which has the program alone.
    let file = home.folder().join("version-2.toml");
    let to = file.to_str().unwrap();
    let exported = home.fyrhus(["audit", "export", "2", "--to", to]).unwrap();
    assert_eq!(said(&exported), (Some(0), String::new()));
    let page = gateway.get("site/versions/2/signed").await.unwrap();
    assert_eq!(page.as_str().unwrap(), fs::read_to_string(&file).unwrap());
    let check = |more: &[&str]| {
        let program = site_tests::paths::binary("fyrhus").unwrap();
        let mut command = std::process::Command::new(program);
        said(&command.args(["audit", "check", to]).args(more).output().unwrap())
    };
    let (code, text) = check(&["--key", key]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("version 2, saved by \"eier\" at "), "{text}");
    assert_eq!(check(&["--key", stranger]).0, Some(1));
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("Gård", "Gard")).unwrap();
    let (code, text) = check(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("it was changed after it was signed"), "{text}");
    let (code, text) = said(&home.fyrhus(["audit", "export", "7"]).unwrap());
    assert_eq!((code, text.as_str()), (Some(1), "fyrhus: the configuration has no version 7\n"));

    gateway.program.stop(Duration::from_mins(5)).unwrap();
    let db = Connection::open(home.state().join("core.db")).unwrap();
    db.execute("UPDATE audit SET who = 'nobody' WHERE number = 1", []).unwrap();
    drop(db);
    let (code, text) = verify();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("entry 1 of ") && text.contains("it is not what was written"), "{text}");
    assert!(text.contains("PASS  configuration"), "{text}");
}
