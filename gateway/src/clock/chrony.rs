//! Asks chrony whether it follows a server: one datagram there, one back.
//!
//! Its command protocol (`candm.h`, version 6) answers the question `tracking` to anyone on this
//! machine, on UDP port 323 of loopback:
//!
//! ```text
//! request  version 6 · type 1 · 2 unused · command 33 · attempt · sequence · 8 unused · padding
//! answer   version 6 · type 2 · 2 unused · command 33 · reply 5 · status 0 · 6 unused · sequence · 8 unused
//!          reference id · address 20 · stratum · leap status 0 to 3 · reference time · correction …
//! ```
//!
//! A request is as long as its answer, so that nobody can use chrony to amplify.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time;

/// Whether chrony follows a server; `None` if there is no chrony that answers.
pub(super) async fn synchronised() -> Option<bool> {
    ask(SocketAddr::from((Ipv4Addr::LOCALHOST, 323))).await
}

async fn ask(chrony: SocketAddr) -> Option<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
    socket.connect(chrony).await.ok()?;
    socket.send(&request()).await.ok()?;
    let mut answer = [0; 256];
    let len = time::timeout(WITHIN, socket.recv(&mut answer)).await.ok()?.ok()?;
    read(answer.get(..len)?)
}

/// It runs on this machine and answers at once, or not at all.
const WITHIN: Duration = Duration::from_secs(1);

const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;
const TRACKING: [u8; 2] = 33_u16.to_be_bytes();
const TRACKING_REPLY: [u8; 2] = 5_u16.to_be_bytes();
const SUCCESS: [u8; 2] = 0_u16.to_be_bytes();
/// The whole answer, head of 28 bytes and all.
const LEN: usize = 104;

fn request() -> [u8; LEN] {
    let mut request = [0; LEN];
    let [high, low] = TRACKING;
    for (at, byte) in [VERSION, REQUEST, 0, 0, high, low].into_iter().enumerate() {
        if let Some(slot) = request.get_mut(at) {
            *slot = byte;
        }
    }
    request
}

/// `None` if this is no answer to the question.
fn read(answer: &[u8]) -> Option<bool> {
    let pair = |at: usize| answer.get(at..at + 2);
    let head = answer.first() == Some(&VERSION)
        && answer.get(1) == Some(&ANSWER)
        && pair(4) == Some(&TRACKING)
        && pair(6) == Some(&TRACKING_REPLY)
        && pair(8) == Some(&SUCCESS)
        && answer.len() >= LEN;
    // Leap status 3: not synchronised. (0 is usual, 1 and 2 announce a leap second.)
    let leap = answer.get(54..56)?;
    head.then(|| leap != [0, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(leap: u8) -> [u8; LEN] {
        let mut answer = request();
        answer[1] = ANSWER;
        answer[7] = 5;
        answer[55] = leap;
        answer
    }

    #[test]
    fn the_leap_status_tells_whether_a_server_is_followed() {
        assert_eq!(read(&answer(0)), Some(true));
        assert_eq!(read(&answer(1)), Some(true));
        assert_eq!(read(&answer(3)), Some(false));
    }

    #[test]
    fn anything_else_is_no_answer() {
        assert_eq!(read(&request()), None);
        assert_eq!(read(&answer(0)[..LEN - 1]), None);
        assert_eq!(read(&[]), None);
        let mut refused = answer(0);
        refused[9] = 2;
        assert_eq!(read(&refused), None);
    }

    #[tokio::test]
    async fn one_datagram_there_and_one_back() {
        let chrony = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = chrony.local_addr().unwrap();
        let asked = tokio::spawn(ask(address));
        let mut buffer = [0; 256];
        let (len, from) = chrony.recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[..len], request());
        chrony.send_to(&answer(0), from).await.unwrap();
        assert_eq!(asked.await.unwrap(), Some(true));
    }
}
