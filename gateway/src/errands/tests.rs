use metering::Clock as _;
use store::testing::{self, FixedClock, KnownDay};

use super::*;

fn board(day: &KnownDay) -> (ErrandBoard, Board) {
    let shown = Board::new(day.clock.now().wall);
    let clock = Arc::clone(&day.clock) as Arc<dyn Clock>;
    (ErrandBoard::new(day.store.core(), clock, shown.clone()), shown)
}

fn asked(id: u128, clock: &FixedClock) -> ErrandAsked {
    ErrandAsked {
        id: Uuid::from_u128(id),
        kind: Some(ErrandKind::Diagnosis),
        until_ms: clock.now().wall_ms() + 60_000,
        who: "kari".to_owned(),
        body: Vec::new(),
    }
}

async fn obey(board: &ErrandBoard, order: ErrandOrder) -> Result<Errands, NotObeyed> {
    let (reply, answer) = oneshot::channel();
    board.obey(order, reply);
    answer.await.unwrap()
}

fn states(board: &ErrandBoard) -> Vec<ErrandState> {
    board.stands().iter().map(|it| it.state).collect()
}

fn asked_by(shown: &Board) -> Option<String> {
    shown.watch().borrow().asked_by.clone()
}

fn allow(id: u128) -> ErrandOrder {
    ErrandOrder::Allow { id: Uuid::from_u128(id), who: "Ola".to_owned() }
}

#[tokio::test]
async fn what_is_asked_waits_for_somebody_here_and_is_in_the_log() {
    let day = testing::empty().unwrap();
    let (board, shown) = board(&day);
    assert!(board.hear(vec![asked(1, &day.clock)]).await.unwrap());
    assert!(!board.hear(vec![asked(1, &day.clock)]).await.unwrap(), "it is known");
    assert_eq!(
        (states(&board), asked_by(&shown)),
        (vec![ErrandState::Waiting], Some("kari".into()))
    );
    assert_eq!(board.allowed(), None);

    assert_eq!(obey(&board, allow(2)).await, Err(NotObeyed::Over));
    let errands = obey(&board, allow(1)).await.unwrap();
    assert_eq!((errands.asked[0].state, asked_by(&shown)), ("going", None));
    assert_eq!(board.allowed(), Some((Uuid::from_u128(1), "kari".to_owned())));
    assert_eq!(obey(&board, allow(1)).await, Err(NotObeyed::Over), "once is enough");
    let log = day.store.core().audit_log(None, 10).await.unwrap();
    let told: Vec<_> = log.iter().map(|it| (it.who.as_str(), it.what.as_str())).collect();
    assert_eq!(told, [("Ola", "diagnosis_allowed"), ("portfolio", "diagnosis_asked")]);
}

#[tokio::test]
async fn what_is_refused_taken_back_or_too_late_is_never_done() {
    let day = testing::empty().unwrap();
    let (board, shown) = board(&day);
    board.hear(vec![asked(1, &day.clock), asked(2, &day.clock)]).await.unwrap();
    let refuse = ErrandOrder::Refuse { id: Uuid::from_u128(1), who: "Ola".to_owned() };
    obey(&board, refuse).await.unwrap();
    assert_eq!(obey(&board, allow(1)).await, Err(NotObeyed::Over));

    // The portfolio does not ask for the second one any more.
    board.hear(vec![asked(1, &day.clock)]).await.unwrap();
    assert_eq!(obey(&board, allow(2)).await, Err(NotObeyed::Over));
    assert_eq!((states(&board), asked_by(&shown)), (vec![ErrandState::Refused], None));

    board.hear(vec![asked(3, &day.clock)]).await.unwrap();
    day.clock.pass(Duration::from_mins(1));
    assert_eq!(obey(&board, allow(3)).await, Err(NotObeyed::Over));
    assert_eq!(states(&board), [ErrandState::Expired, ErrandState::Refused]);
    assert_eq!(board.allowed(), None);
}

#[tokio::test]
async fn people_here_decide_once_for_all() {
    let day = testing::empty().unwrap();
    let (board, _) = board(&day);
    for (id, diagnosis, expected) in [
        (1, Leave::Never, ErrandState::Refused),
        (2, Leave::Always, ErrandState::Going),
        (3, Leave::Ask, ErrandState::Waiting),
    ] {
        let who = "Ola".to_owned();
        let left = obey(&board, ErrandOrder::Leave { diagnosis, who }).await.unwrap();
        assert_eq!(left.diagnosis, diagnosis);
        board.hear(vec![asked(id, &day.clock)]).await.unwrap();
        assert_eq!(states(&board)[0], expected);
    }
    let of_later = ErrandAsked { kind: None, ..asked(4, &day.clock) };
    board.hear(vec![of_later]).await.unwrap();
    assert_eq!(states(&board)[0], ErrandState::Failed);
}
