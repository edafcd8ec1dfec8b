//! Another authority takes the place of the one that gateways have learned, and nobody goes there.

use portfolio::{SystemClock, prepare_authority, turn_authority, unprepared_sites};
use store::testing::known_day;

use crate::support::{Cloud, Gateway, gateway_id, on_both_databases};
use crate::sync::round;
use cloud_sync::{Way, enrol};

on_both_databases! {
    an_authority_is_followed_by_another_without_touching_a_gateway,
}

async fn an_authority_is_followed_by_another_without_touching_a_gateway(mut cloud: Cloud) {
    let (day, away) = (known_day().await.unwrap(), known_day().await.unwrap());
    let clock = SystemClock::new();
    let mut gateway = Gateway::new(Some(cloud.identity(gateway_id()).await));
    let outbox = day.store.outbox();
    gateway.run(&day.store);
    gateway.caught_up(&outbox).await;
    let first = gateway.identity.borrow().clone().unwrap();

    // One more, which is switched off meanwhile.
    let code = cloud.code("Brattørkaia 17").await;
    let way = Way::default();
    let asleep = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &way).await.unwrap();
    let mut asleep = Gateway::new(Some(asleep));
    asleep.run(&away.store);
    asleep.caught_up(&away.store.outbox()).await;
    asleep.stop().await;
    let unspent = cloud.code("Ilevollen 3").await;

    let nobody = turn_authority(&cloud.config, &clock).await.unwrap_err().to_string();
    assert!(nobody.contains("no other authority is prepared"), "{nobody}");
    assert_eq!(unprepared_sites(&cloud.config, &clock).await.unwrap(), None);
    prepare_authority(&cloud.config, &clock).await.unwrap();
    let both = ["Brattørkaia 17", "Kvernhusgata 4"].map(ToOwned::to_owned).to_vec();
    // The second gateway has told what its own configuration calls the building.
    let unprepared = unprepared_sites(&cloud.config, &clock).await.unwrap().unwrap();
    assert!(!unprepared.is_empty() && unprepared.iter().all(|site| both.contains(site)));

    // The service is started again, and asks the gateways that come to learn who is next.
    cloud.down().await;
    cloud.up().await;
    round(&day.store, 0).await;
    gateway.caught_up(&outbox).await;
    let mut renewed = gateway.identity.subscribe();
    let learned = renewed.wait_for(|identity| identity.as_ref() != Some(&first));
    gateway.hurry.notify_one();
    tokio::time::timeout(crate::support::SOON, learned).await.unwrap().unwrap();
    gateway.caught_up(&outbox).await;
    let told = "SELECT count(DISTINCT told) FROM certificate";
    assert_eq!(cloud.count(told), 2, "the one who was there has learned it, the other has not");

    // From here on the other one signs, and the key of the first is nowhere any more.
    turn_authority(&cloud.config, &clock).await.unwrap();
    assert!(!cloud.dir.path().join("authority-next.pem").exists());
    let before = std::fs::read_to_string(cloud.dir.path().join("authority-before.pem")).unwrap();
    assert!(before.contains("CERTIFICATE") && !before.contains("KEY"));
    cloud.down().await;
    cloud.up().await;
    round(&day.store, 1).await;
    gateway.caught_up(&outbox).await;
    assert_eq!(cloud.acked(gateway.id), outbox.state().head);

    // It was found out in time who would be left behind.
    round(&away.store, 2).await;
    asleep.run(&away.store);
    let status = asleep.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("is not the portfolio's"), "{sentence}");
    asleep.stop().await;

    // A code of before leads nowhere, a fresh one to the authority of now.
    let refused = enrol(&cloud.url(), &unspent, gateway_id(), &*cloud.clock, &way).await;
    assert!(refused.unwrap_err().to_string().contains("is not the portfolio's"));
    let fresh = cloud.code("Ilevollen 3").await;
    assert!(enrol(&cloud.url(), &fresh, gateway_id(), &*cloud.clock, &way).await.is_ok());
    gateway.stop().await;
}
