//! Configuration, accounts, audit, ledger and settings are kept, and two who change the same thing
//! hear of each other.

use metering::UserId;
use store::testing::{KnownDay, empty, open, sign};
use store::{AttemptRow, Core, Session, StoreError, User};

fn user(number: u128, name: &str) -> User {
    User {
        id: UserId::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.to_owned(),
        role: "owner".to_owned(),
        password: "$argon2id$...".to_owned(),
        created_ms: 1,
        data: String::new(),
    }
}

async fn save(core: &Core, text: &str, expected: Option<u64>) -> Result<u64, StoreError> {
    core.save_version(text.to_owned(), "kari".to_owned(), String::new(), expected, sign()).await
}

#[tokio::test]
async fn a_version_is_saved_over_the_one_that_was_seen() {
    let KnownDay { store, clock, dir } = empty().unwrap();
    let core = store.core();
    assert_eq!(save(&core, "a", Some(0)).await.unwrap(), 1);
    assert_eq!(save(&core, "b", Some(1)).await.unwrap(), 2);
    assert_eq!(
        save(&core, "c", Some(1)).await.unwrap_err().to_string(),
        "somebody else has changed it in the meantime: it is at 2 now"
    );
    assert_eq!(save(&core, "d", None).await.unwrap(), 3);
    store.close().unwrap();
    let (store, _) = open(dir.path(), &clock).unwrap();
    let core = store.core();
    assert_eq!(core.current_version().await.unwrap().unwrap().text, "d");
    assert_eq!(core.version(1).await.unwrap().unwrap().text, "a");
    assert_eq!(core.versions(2).await.unwrap()[1].number, 2);
}

#[tokio::test]
async fn the_first_user_is_made_once_and_names_are_unique() {
    let day = empty().unwrap();
    let core = day.store.core();
    assert!(core.first_user(user(1, "Kari")).await.unwrap());
    assert!(!core.first_user(user(2, "Ola")).await.unwrap());
    let taken = core.put_user(user(3, "KARI")).await.unwrap_err();
    assert_eq!(taken.to_string(), "the name `KARI` is taken");
    core.put_user(User { role: "tenant".to_owned(), ..user(1, "Kari") }).await.unwrap();
    assert_eq!(core.user_named("kari".to_owned()).await.unwrap().unwrap().role, "tenant");
    assert_eq!(core.users().await.unwrap().len(), 1);
    assert!(!format!("{:?}", user(1, "Kari")).contains("argon2id"));
}

#[tokio::test]
async fn a_session_goes_with_its_user_and_with_its_time() {
    let day = empty().unwrap();
    let core = day.store.core();
    let kari = user(1, "Kari");
    core.put_user(kari.clone()).await.unwrap();
    let session = |hash: u8, expires_ms| Session {
        hash: vec![hash; 32],
        user: kari.id,
        created_ms: 1,
        seen_ms: 1,
        expires_ms,
        data: "{}".to_owned(),
    };
    for (hash, expires_ms) in [(1, 100), (2, 200), (3, 300)] {
        core.put_session(session(hash, expires_ms)).await.unwrap();
    }
    assert_eq!(core.expire_sessions(150).await.unwrap(), 1);
    core.put_session(Session { seen_ms: 9, ..session(2, 200) }).await.unwrap();
    assert_eq!(core.session(vec![2; 32]).await.unwrap().unwrap().seen_ms, 9);
    core.delete_session(vec![2; 32]).await.unwrap();
    assert_eq!(core.session(vec![2; 32]).await.unwrap(), None);
    assert!(core.delete_user(kari.id).await.unwrap());
    assert_eq!(core.session(vec![3; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn the_chain_grows_where_it_ends_alone() {
    let day = empty().unwrap();
    let core = day.store.core();
    core.append_chain(0, vec![1]).await.unwrap();
    core.append_chain(1, vec![2]).await.unwrap();
    assert!(matches!(
        core.append_chain(1, vec![3]).await,
        Err(StoreError::Outdated { current: 2 })
    ));
    assert_eq!(core.chain(1, 10).await.unwrap(), [(1, vec![2])]);
}

#[tokio::test]
async fn attempts_audit_and_settings_are_found_again() {
    let day = empty().unwrap();
    let core = day.store.core();
    let attempt = |at_ms| AttemptRow { at_ms, body: vec![7] };
    core.append_attempts(vec![attempt(3), attempt(1), attempt(2)]).await.unwrap();
    assert_eq!(core.attempts(1..3, 10).await.unwrap(), [attempt(1), attempt(2)]);
    for what in ["login", "read_now"] {
        core.audit("kari".to_owned(), what.to_owned(), String::new()).await.unwrap();
    }
    let log = core.audit_log(None, 10).await.unwrap();
    assert_eq!(log[0].what, "read_now");
    assert_eq!(core.audit_log(Some(log[0].number), 10).await.unwrap().len(), 1);
    core.put_setting("enrolment", "x".to_owned()).await.unwrap();
    core.put_setting("enrolment", "y".to_owned()).await.unwrap();
    assert_eq!(core.setting("enrolment").await.unwrap().as_deref(), Some("y"));
    core.remove_setting("enrolment").await.unwrap();
    assert_eq!(core.setting("enrolment").await.unwrap(), None);
}
