//! A customer port on a real socket and a real pseudo-terminal.

#![expect(clippy::panic, reason = "a test that cannot go on says where")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use drivers::PortSettings;
use drivers::han::{Event, Line, Listener, Patience, Rules};
use tokio::time::timeout;

/// 280 W, as an Aidon meter pushes it.
const FRAME: &[u8] = &[
    0x7E, 0xA0, 0x2A, 0x41, 0x08, 0x83, 0x13, 0x04, 0x13, 0xE6, 0xE7, 0x00, 0x0F, 0x40, 0, 0, 0, 0,
    0x01, 0x01, 0x02, 0x03, 0x09, 0x06, 0x01, 0x00, 0x01, 0x07, 0x00, 0xFF, 0x06, 0x00, 0x00, 0x01,
    0x18, 0x02, 0x02, 0x0F, 0x00, 0x16, 0x1B, 0x34, 0xCD, 0x7E,
];

/// Short, so that a test needs no seconds; long beside what a loopback takes.
const QUICK: Patience = Patience {
    within: Duration::from_millis(150),
    line: Duration::from_millis(300),
    silent: Duration::from_millis(450),
    reopen: Duration::from_millis(20),
};

#[track_caller]
fn told(event: &Event) -> String {
    match event {
        Event::Telegram { telegram, .. } => {
            telegram.values.iter().map(|it| it.quantity.to_string()).collect()
        }
        Event::Unread { flaw, .. } => format!("unread: {flaw}"),
        Event::Noise { bytes, .. } => format!("noise: {} bytes", bytes.len()),
        Event::Silent(_) => "silent".to_owned(),
        Event::Trying(line) => format!("trying {} {:?}", line.baud, line.parity),
        Event::Down(error) => format!("down: {error}"),
        Event::Up => "up".to_owned(),
    }
}

async fn next(listener: &mut Listener) -> String {
    let event = timeout(Duration::from_secs(10), listener.next()).await;
    told(&event.unwrap_or_else(|_| panic!("nothing happened for ten seconds")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_behind_a_converter_is_heard_again_after_the_converter_was_gone() {
    let converter = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = converter.local_addr().unwrap();
    let port: PortSettings = format!("tcp://{address}").parse().unwrap();
    let mut listener = Listener::new(port.clone(), None, Rules::default(), QUICK);
    let accept = move |converter: TcpListener| {
        tokio::task::spawn_blocking(move || {
            let stream = converter.accept().unwrap().0;
            (converter, stream)
        })
    };

    let accepting = accept(converter);
    // It connects, and nothing comes: the connection may be one that nobody holds any more.
    assert_eq!(next(&mut listener).await, "silent");
    let (converter, _forgotten): (_, TcpStream) = accepting.await.unwrap();
    let accepting = accept(converter);
    let pushing = tokio::spawn(async move {
        let (converter, mut meter) = accepting.await.unwrap();
        meter.write_all(FRAME).unwrap();
        (converter, meter)
    });
    assert_eq!(next(&mut listener).await, "280 W");
    let (converter, mut meter) = pushing.await.unwrap();

    // Half a frame, and the converter goes away.
    meter.write_all(FRAME.get(..20).unwrap()).unwrap();
    drop(meter);
    assert_eq!(next(&mut listener).await, "noise: 20 bytes");
    assert_eq!(next(&mut listener).await, format!("down: bus port {port} cannot be used"));
    let accepting = accept(converter);
    assert_eq!(next(&mut listener).await, "up");
    let (_converter, mut meter) = accepting.await.unwrap();
    meter.write_all(FRAME).unwrap();
    assert_eq!(next(&mut listener).await, "280 W");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_settings_are_tried_until_the_meter_is_understood() {
    let pty = nix::pty::openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let port = format!("serial://{}", path.display()).parse().unwrap();
    let mut meter = std::fs::File::from(pty.master);
    // A machine that does something else for a while is not to be taken for a wrong setting.
    let (line, silent) = (Duration::from_secs(1), Duration::from_millis(1_500));
    let patience = Patience { line, silent, ..QUICK };
    let mut listener = Listener::new(port, None, Rules::default(), patience);

    let [_, without_parity, of_p1] = Line::USUAL;
    let trying = |line: Line| told(&Event::Trying(line));
    // Silence is told once, however many settings are tried; a slow machine tells it first.
    let mut heard = vec![];
    for _ in 0..3 {
        heard.push(next(&mut listener).await);
    }
    heard.retain(|told| told != "silent");
    assert_eq!(heard, [trying(without_parity), trying(of_p1)]);

    // What comes while the line is being set is lost, and so it pushes again, as a meter does.
    let (done, over) = std::sync::mpsc::channel::<()>();
    let pushing = std::thread::spawn(move || {
        while over.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
            meter.write_all(b"/ABC5x\r\n\r\n1-0:1.7.0(0001.011*kW)\r\n!\r\n").unwrap();
        }
    });
    for _ in 0..8 {
        assert_eq!(next(&mut listener).await, "1.011 kW", "and no other setting is tried");
    }
    drop(done);
    pushing.join().unwrap();
}
