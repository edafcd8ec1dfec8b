//! What the client makes of bytes, all at once and one by one.

use tokio_modbus::ExceptionCode;

use super::*;
use crate::modbus::frame::Function;

fn read(address: u16, count: u16) -> Request {
    Request { function: Function::Input, address, count }
}

/// What a device says that holds the number of each register in it.
fn reply(unit: u8, request: Request) -> Vec<u8> {
    let mut frame = vec![unit, request.function.code(), request.answer_bytes()];
    for register in request.address..request.address + request.count {
        frame.extend(register.to_be_bytes());
    }
    sealed(frame)
}

fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    frame.extend(crc(&frame).to_le_bytes());
    frame
}

fn words(request: Request) -> Heard {
    Heard::Answer(Answer::Words((request.address..request.address + request.count).collect()))
}

fn rtu() -> (Client, Instant) {
    (Client::new(Framing::Rtu, Duration::from_secs(2)), Instant::now())
}

/// Asks unit 1 for `request`, lets it hear `bytes` all at once and one by one, and expects
/// the same of both.
#[track_caller]
fn check(request: Request, bytes: &[u8], expected: &str) {
    for chunk_len in [bytes.len().max(1), 1] {
        let (mut client, now) = rtu();
        client.ask(1, request, now).unwrap();
        let mut heard = Heard::More;
        for chunk in bytes.chunks(chunk_len) {
            heard = client.hear(chunk, now);
            if matches!(heard, Heard::Wrong(_)) {
                break;
            }
        }
        let shown = match heard {
            Heard::More => "more".to_owned(),
            Heard::Answer(Answer::Words(words)) => format!("{words:?}"),
            Heard::Answer(Answer::Exception(code)) => format!("exception {}", u8::from(code)),
            Heard::Wrong(Garble::Noise(_)) => "noise".to_owned(),
            Heard::Wrong(Garble::Foreign(_)) => "foreign".to_owned(),
            Heard::Wrong(garble) => format!("{garble:?}"),
        };
        assert_eq!(shown, expected, "in chunks of {chunk_len}");
    }
}

#[test]
fn an_answer_has_the_unit_the_function_the_length_and_the_checksum() {
    let request = read(10, 2);
    let right = reply(1, request);
    check(request, &right, "[10, 11]");
    check(request, &right[..right.len() - 1], "more");
    check(request, &reply(2, request), "foreign");
    check(request, &reply(1, read(10, 1)), "foreign");
    check(request, &reply(1, read(10, 3)), "foreign");
    let other_table = Request { function: Function::Holding, ..request };
    check(request, &reply(1, other_table), "foreign");
    let mut damaged = right.clone();
    damaged[4] ^= 0x10;
    check(request, &damaged, "noise");
    check(request, &[right.as_slice(), &[0x55]].concat(), "foreign");
    check(request, &[&[0x12, 0x34], right.as_slice()].concat(), "noise");
    check(request, &sealed(vec![1, 0x84, 2]), "exception 2");
    check(request, &sealed(vec![1, 0x83, 2]), "foreign");
}

#[test]
fn an_echo_and_a_glitch_are_stripped() {
    let request = read(10, 2);
    let heard = [request.rtu(1), reply(1, request)].concat();
    check(request, &heard, "[10, 11]");
    check(request, &[&[0xFF, 0x00], reply(1, request).as_slice()].concat(), "[10, 11]");
    // The address 0x0400 has the answer's length, 4, in its high byte.
    let alike = read(0x0400, 2);
    check(alike, &[alike.rtu(1), reply(1, alike)].concat(), "[1024, 1025]");
    check(alike, &reply(1, alike), "[1024, 1025]");
    check(request, &request.rtu(1), "more");
}

#[test]
fn a_late_answer_of_another_length_is_passed_over() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 3), now).unwrap();
    client.abandon(now);
    client.ask(1, read(50, 2), now).unwrap();
    assert_eq!(client.hear(&reply(1, read(10, 3)), now), Heard::More);
    assert_eq!(client.hear(&reply(1, read(50, 2)), now), words(read(50, 2)));
}

#[test]
fn a_question_that_a_late_answer_would_fit_is_not_asked() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 2), now).unwrap();
    client.abandon(now);
    assert_eq!(client.ask(1, read(50, 2), now), Err(Duration::from_secs(2)));
    assert!(client.ask(2, read(50, 2), now).is_ok(), "another unit answers as itself");
    client.settle(now);
    assert!(client.ask(1, read(50, 2), now + Duration::from_secs(2)).is_ok());
}

#[test]
fn an_answer_that_is_said_twice_is_taken_once() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 2), now).unwrap();
    assert_eq!(client.hear(&reply(1, read(10, 2)), now), words(read(10, 2)));
    client.settle(now);
    assert!(client.ask(1, read(50, 2), now).is_err());
    client.ask(1, read(50, 3), now).unwrap();
    assert_eq!(client.hear(&reply(1, read(10, 2)), now), Heard::More);
    assert_eq!(client.hear(&reply(1, read(50, 3)), now), words(read(50, 3)));
}

#[test]
fn an_exception_after_a_time_out_belongs_to_nobody() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 2), now).unwrap();
    client.abandon(now);
    client.ask(1, read(50, 3), now).unwrap();
    let heard = client.hear(&sealed(vec![1, 0x84, 2]), now);
    assert!(matches!(heard, Heard::Wrong(Garble::Foreign(_))), "{heard:?}");
}

#[test]
fn what_is_heard_between_two_questions_is_no_longer_overdue() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 2), now).unwrap();
    client.abandon(now);
    client.overhear(&[&[0x55], reply(1, read(10, 2)).as_slice(), &[0xAA]].concat(), now);
    assert!(client.ask(1, read(50, 2), now).is_err(), "it may still be repeated");
    let later = now + REPEATED_WITHIN;
    client.ask(1, read(50, 2), later).unwrap();
    assert_eq!(client.hear(&reply(1, read(50, 2)), later), words(read(50, 2)));
}

#[test]
fn a_refusal_that_is_said_twice_refuses_once() {
    let (mut client, now) = rtu();
    let refusal = sealed(vec![1, 0x84, 2]);
    client.ask(1, read(10, 2), now).unwrap();
    assert!(matches!(client.hear(&refusal, now), Heard::Answer(Answer::Exception(_))));
    client.settle(now);
    assert_eq!(client.ask(1, read(50, 3), now), Err(REPEATED_WITHIN));
    assert!(client.ask(2, read(50, 3), now).is_ok(), "another unit refuses as itself");
}

#[test]
fn a_second_master_is_named() {
    let (mut client, now) = rtu();
    client.ask(1, read(10, 2), now).unwrap();
    assert_eq!(
        client.hear(&read(0, 9).rtu(5), now),
        Heard::Wrong(Garble::Foreign("a request to unit 5".to_owned()))
    );
}

fn tcp_reply(unit: u8, transaction: u16, request: Request) -> Vec<u8> {
    let rtu = reply(unit, request);
    let pdu = &rtu[1..rtu.len() - 2];
    let len = u16::try_from(pdu.len() + 1).unwrap();
    let mut frame = transaction.to_be_bytes().to_vec();
    frame.extend([0, 0]);
    frame.extend(len.to_be_bytes());
    frame.push(unit);
    frame.extend(pdu);
    frame
}

#[test]
fn on_tcp_the_transaction_decides() {
    let mut client = Client::new(Framing::Tcp, Duration::from_secs(2));
    let now = Instant::now();
    client.ask(1, read(10, 2), now).unwrap();
    client.abandon(now);
    client.ask(1, read(50, 2), now).unwrap();
    let late = tcp_reply(1, FIRST_TRANSACTION, read(10, 2));
    let right = tcp_reply(1, FIRST_TRANSACTION + 1, read(50, 2));
    assert_eq!(client.hear(&late[..5], now), Heard::More);
    assert_eq!(client.hear(&[&late[5..], &right[..3]].concat(), now), Heard::More);
    assert_eq!(client.hear(&right[3..], now), words(read(50, 2)));
    client.settle(now);
    for (unit, more, request) in
        [(1, 6, read(60, 2)), (2, 0, read(60, 2)), (1, 0, read(60, 1)), (1, 0, read(60, 3))]
    {
        let mut client = Client::new(Framing::Tcp, Duration::ZERO);
        client.ask(1, read(60, 2), now).unwrap();
        let heard = client.hear(&tcp_reply(unit, FIRST_TRANSACTION + more, request), now);
        assert!(matches!(heard, Heard::Wrong(Garble::Foreign(_))), "{heard:?}");
    }
}

#[test]
fn an_answer_that_broke_off_is_not_filled_up_by_the_next() {
    let now = Instant::now();
    // The highest number comes before the first.
    for (before, last) in [(0x0200, 0x0200), (u16::MAX, FIRST_TRANSACTION - 1)] {
        let transaction = last + 1;
        let right = tcp_reply(1, transaction, read(50, 8));
        let earlier = tcp_reply(1, before, read(50, 2));
        let next = tcp_reply(1, transaction, read(50, 2));
        for len in 9..right.len() {
            for (at, behind) in [&next, &right, &earlier].into_iter().enumerate() {
                let mut client =
                    Client { transaction: before, ..Client::new(Framing::Tcp, Duration::ZERO) };
                client.ask(1, read(50, 8), now).unwrap();
                let heard = match client.hear(&right[..len], now) {
                    Heard::More => client.hear(behind, now),
                    heard => heard,
                };
                assert!(!matches!(heard, Heard::Answer(_)), "{len} bytes, {at}: {heard:?}");
            }
        }
        let mut client =
            Client { transaction: before, ..Client::new(Framing::Tcp, Duration::ZERO) };
        client.ask(1, read(50, 8), now).unwrap();
        assert_eq!(client.hear(&right, now), words(read(50, 8)));
    }
}

#[test]
fn an_energy_that_is_small_is_no_head_of_another_answer() {
    let now = Instant::now();
    let mut client = Client::new(Framing::Tcp, Duration::ZERO);
    for question in 0..40 {
        let request = read(50, 4);
        let frame = client.ask(1, request, now).unwrap();
        // 1,000 as four registers: its end, `00 00 00 00 00 03 E8`, has the form of a head.
        let energy: [u8; 8] = 1_000_u64.to_be_bytes();
        let answer = [&frame[..4], &[0, 11, 1, 4, 8], energy.as_slice()].concat();
        let heard = client.hear(&answer, now);
        assert_eq!(heard, Heard::Answer(Answer::Words(vec![0, 0, 0, 1_000])), "{question}");
        client.settle(now);
    }
}

#[test]
fn a_gateway_says_that_its_meter_is_silent() {
    let mut client = Client::new(Framing::Tcp, Duration::from_secs(2));
    client.ask(1, read(10, 2), Instant::now()).unwrap();
    assert_eq!(
        client.hear(&[1, 0, 0, 0, 0, 3, 1, 0x84, 11], Instant::now()),
        Heard::Answer(Answer::Exception(ExceptionCode::GatewayTargetDevice))
    );
}
