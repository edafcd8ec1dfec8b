//! From a one-time code to a certificate, and what a certificate is good for.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Cloud, Cut, Gateway, gateway_id, on_both_databases};
use cloud_sync::{Identity, Way, enrol};
use metering::{Clock, Moment, Trust};
use store::testing::{self, known_day};

on_both_databases! {
    a_code_is_good_once,
    another_name_and_nobody_at_all_are_told_apart,
    an_answer_that_was_lost_is_given_again,
    a_gateway_that_does_not_know_the_time_is_not_enrolled,
    whoever_types_a_code_is_told_in_time_that_nobody_answers,
    a_gateway_of_another_site_keeps_to_its_site,
    a_certificate_is_renewed_when_a_third_of_it_is_left,
    an_expired_certificate_may_only_be_renewed,
    a_certificate_off_the_list_is_worth_nothing,
}

/// One clear sentence.
#[track_caller]
fn check(refused: Result<Identity, cloud_sync::EnrolError>, expected: &str) {
    let sentence = refused.unwrap_err().to_string();
    assert_eq!(sentence, expected);
}

async fn a_code_is_good_once(cloud: Cloud) {
    let code = cloud.code("Kvernhusgata 4").await;
    let identity =
        enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await.unwrap();
    let kept = Identity::from_text(&identity.to_text()).unwrap();
    assert_eq!(kept, identity);
    assert!(!format!("{identity:?}").contains("PRIVATE"));

    let again = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await;
    assert!(again.as_ref().unwrap_err().is_code());
    check(again, "this one-time code was used already; ask for a new one");
}

#[tokio::test]
async fn a_code_that_is_wrong_expired_or_mistyped_is_told_apart() {
    let (cloud, other) = (Cloud::start().await, Cloud::start().await);
    let code = cloud.code("Kvernhusgata 4").await;
    cloud.ask("DELETE FROM enrol_code");
    let unknown = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await;
    check(unknown, "this one-time code is wrong; copy it again, or ask for a new one");

    let code = cloud.code("Kvernhusgata 4").await;
    cloud.clock.pass(Duration::from_secs(3_601));
    let late = enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await;
    check(late, "this one-time code has expired, it is good for an hour; ask for a new one");

    let mistyped = code.replacen(['A', 'B', 'C', 'D', 'E', 'F'], "7", 1);
    let mistyped =
        enrol(&cloud.url(), &mistyped, gateway_id(), &*cloud.clock, &Way::default()).await;
    check(
        mistyped,
        "there is a typing mistake in the one-time code; compare it with the portfolio's",
    );

    // The secret of a code is told to the portfolio that made it, and to nobody else.
    let code = cloud.code("Kvernhusgata 4").await;
    let elsewhere = enrol(&other.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await;
    let host = other.url().replace("https://", "");
    check(
        elsewhere,
        &format!(
            "the certificate of {host} is not the portfolio's; is the address right, or does \
             somebody open the connection on its way?"
        ),
    );
}

async fn another_name_and_nobody_at_all_are_told_apart(mut cloud: Cloud) {
    let code = cloud.code("Kvernhusgata 4").await;
    let host = format!("127.0.0.1:{}", cloud.line.port());
    let by_address =
        enrol(&format!("https://{host}"), &code, gateway_id(), &*cloud.clock, &Way::default())
            .await;
    check(
        by_address,
        &format!(
            "the portfolio's certificate is not made out to {host}; use a name that stands in \
             `names` of its configuration"
        ),
    );
    cloud.down().await;
    let nobody =
        enrol(&cloud.url(), &code, gateway_id(), &*cloud.clock, &Way::default()).await.unwrap_err();
    assert!(nobody.is_unreachable());
    let source = std::error::Error::source(&nobody);
    assert!(source.is_none(), "the sentence says it all, and is not said again: {source:?}");
    check(
        Err(nobody),
        &format!(
            "the portfolio at localhost:{} cannot be reached: Connection reset by peer (os error \
             104)",
            cloud.line.port()
        ),
    );
}

async fn an_answer_that_was_lost_is_given_again(cloud: Cloud) {
    let mut cuts = cloud.line.cuts();
    // Through the handshake, and through the certificate that comes down behind it.
    let budgets = (500..3_500).step_by(375);
    let tries = budgets.len();
    for budget in budgets {
        let code = cloud.code("Kvernhusgata 4").await;
        cuts.mark_unchanged();
        cloud.line.cut(Cut { up: None, down: Some(budget) });
        let url = cloud.url();
        let mut joining = tokio::spawn(async move {
            enrol(&url, &code, gateway_id(), &*crate::support::clock(), &Way::default()).await
        });
        let joined = tokio::select! {
            joined = &mut joining => joined,
            _ = cuts.changed() => {
                cloud.line.cut(Cut::default());
                joining.await
            }
        };
        assert!(joined.unwrap().is_ok(), "cut after {budget} bytes");
    }
    let certificates = cloud.count("SELECT count(*) FROM certificate");
    assert_eq!(certificates, tries);
}

#[derive(Debug)]
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Moment {
        Moment { trust: Trust::Untrusted, ..testing::moment(0) }
    }
}

async fn a_gateway_that_does_not_know_the_time_is_not_enrolled(cloud: Cloud) {
    let code = cloud.code("Kvernhusgata 4").await;
    check(
        enrol(&cloud.url(), &code, gateway_id(), &NoClock, &Way::default()).await,
        "this gateway does not know what time it is yet; connect it to a network with a time \
         server, and try again",
    );
}

async fn whoever_types_a_code_is_told_in_time_that_nobody_answers(cloud: Cloud) {
    let code = cloud.code("Kvernhusgata 4").await;
    // It takes the connection, and that is all.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let refused =
        enrol(&format!("https://{host}"), &code, gateway_id(), &*cloud.clock, &Way::default())
            .await;
    assert!(begun.elapsed() < Duration::from_secs(26), "{:?}", begun.elapsed());
    check(refused, &format!("the portfolio at {host} cannot be reached: no answer within 25 s"));
}

async fn a_gateway_of_another_site_keeps_to_its_site(cloud: Cloud) {
    let identity = cloud.identity(gateway_id()).await;
    let code = cloud.code("Brattørkaia 17").await;
    check(
        enrol(&cloud.url(), &code, identity.gateway(), &*cloud.clock, &Way::default()).await,
        "the portfolio refuses this gateway: it belongs to the site Kvernhusgata 4; ask for a code \
         for that site",
    );
}

async fn a_certificate_is_renewed_when_a_third_of_it_is_left(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.clock.pass(Duration::from_hours(24 * 62));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    let kept = gateway.identity.borrow().as_deref().cloned().unwrap();
    assert_ne!(kept, identity);
    assert_eq!(kept.gateway(), identity.gateway());
    let certificates = cloud.count("SELECT count(*) FROM certificate");
    assert_eq!(certificates, 2, "once, although its clock is two months ahead");
    gateway.stop().await;
}

async fn an_expired_certificate_may_only_be_renewed(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    let days_ms = |days: i64| 24 * 3_600_000 * days;
    let now_ms = cloud.clock.now().wall_ms();
    let ended = |ends_ms: i64| {
        cloud.ask(&format!("UPDATE certificate SET ends_ms = {ends_ms}"));
    };
    ended(now_ms - days_ms(179));

    // It does not know, because its own clock is behind, and is told.
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("it may renew it, and do nothing else"), "{sentence}");
    assert_eq!(cloud.rows(), 0);
    gateway.stop().await;

    // When it knows, it renews, and goes on.
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.clock.pass(Duration::from_hours(24 * 91));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;

    // After half a year nothing helps but another code.
    ended(now_ms - days_ms(181));
    let mut gateway = Gateway::new(Some(identity));
    gateway.clock.pass(Duration::from_hours(24 * 91));
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("its certificate ended too long ago; enrol it again"), "{sentence}");
    gateway.stop().await;
}

async fn a_certificate_off_the_list_is_worth_nothing(cloud: Cloud) {
    let day = known_day().await.unwrap();
    let identity = cloud.identity(gateway_id()).await;
    cloud.ask("UPDATE certificate SET revoked_ms = 1");
    let mut gateway = Gateway::new(Some(identity.clone()));
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("taken off the list; enrol it again"), "{sentence}");
    gateway.stop().await;

    // Enrolled again, it goes on with what it has.
    let again = cloud.code("Kvernhusgata 4").await;
    let again = enrol(&cloud.url(), &again, identity.gateway(), &*cloud.clock, &Way::default())
        .await
        .unwrap();
    gateway.identity.send_replace(Some(Arc::new(again)));
    gateway.run(&day.store);
    gateway.caught_up(&day.store.outbox()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_portfolio_opens_nothing() {
    let (cloud, other, day) =
        (Cloud::start().await, Cloud::start().await, known_day().await.unwrap());
    let theirs = other.identity(gateway_id()).await;
    // Its owner points the name to another service: the gateway does not believe that one.
    let port = other.line.port();
    let text = theirs.to_text().replace(&port.to_string(), &cloud.line.port().to_string());
    let mut gateway = Gateway::new(Some(Identity::from_text(&text).unwrap()));
    gateway.run(&day.store);
    let status = gateway.until(|status| status.last_error.is_some()).await;
    let sentence = status.last_error.unwrap();
    assert!(sentence.contains("is not the portfolio's; is the address right"), "{sentence}");
    assert_eq!(status.acked, 0);
    gateway.stop().await;
}
