//! A receiver of wireless M-Bus: what it is told, and what it says.
//!
//! | Receiver | Is told | Says of a frame |
//! |---|---|---|
//! | iM871A | A5 ‥ CRC: ping, configuration, reset | A5 C2 03, the frame without its length, RSSI, CRC |
//! | AMB8465 | FF ‥ XOR: settings, mode, reset | FF 03, the frame without its length, RSSI, XOR |
//! | CUL | lines: `V`, `brc`, `X21`, `B00` | `bY`, hex of the frame, LQI, RSSI |
//! | lines | nothing | a line of `rtl_wmbus` |
//!
//! A stick hears nothing before it is told to listen for mode C, in which the meters here send. One
//! that has hung itself up neither hears nor answers, until it is reset.
//!
//! Sources: IMST, "Wireless M-Bus Host Controller Interface", 1.6; Amber Wireless, "AMB8426-M and
//! AMB8626-M manual", 2.4; the command reference of culfw; the readme of `rtl_wmbus`.

mod amb8465;
mod cul;
mod im871a;

use std::sync::{Mutex, PoisonError};

use mbus::radio::Framing;

use crate::plan::ReceiverKind;
use crate::radio::Signal;

/// A receiver that is plugged in.
#[derive(Debug)]
pub(crate) struct Receiver {
    kind: ReceiverKind,
    state: Mutex<State>,
}

/// How it is set.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Whether it listens for mode C.
    listens: bool,
    /// Whether it tells how strong a frame was: what an AMB8465 keeps in its flash.
    tells_rssi: bool,
    hangs: bool,
}

impl Receiver {
    /// As it leaves the factory.
    pub(crate) const fn new(kind: ReceiverKind) -> Self {
        let listens = matches!(kind, ReceiverKind::Lines);
        Self { kind, state: Mutex::new(State { listens, tells_rssi: false, hangs: false }) }
    }

    /// The speed of its serial line.
    pub(crate) const fn baud(&self) -> u32 {
        match self.kind {
            ReceiverKind::Im871a => 57_600,
            ReceiverKind::Amb8465 => 9_600,
            ReceiverKind::Cul => 38_400,
            ReceiverKind::Lines => 115_200,
        }
    }

    /// It hangs itself up, until it is reset.
    pub(crate) fn hang(&self) {
        self.change(|state| state.hangs = true);
    }

    /// Which checksums it leaves in a frame.
    pub(crate) const fn framing(&self) -> Framing {
        match self.kind {
            ReceiverKind::Cul => Framing::B,
            _ => Framing::Bare,
        }
    }

    /// Takes whole commands off the front of `heard`, and says what it answers.
    pub(crate) fn hear(&self, heard: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let front = match self.kind {
            ReceiverKind::Im871a => im871a::front,
            ReceiverKind::Amb8465 => amb8465::front,
            ReceiverKind::Cul => cul::front,
            ReceiverKind::Lines => {
                heard.clear();
                return Vec::new();
            }
        };
        let mut answers = Vec::new();
        while let Some((length, command)) = front(heard) {
            heard.drain(..length.clamp(1, heard.len()));
            let Some(command) = command else { continue };
            self.change(|state| {
                if state.hangs && !command.resets {
                    return;
                }
                let said = (command.does)(state);
                if command.resets {
                    (state.hangs, state.listens) = (false, false);
                }
                answers.extend(said);
            });
        }
        answers
    }

    /// What it says of `signal`; `None` if it does not hear it.
    pub(crate) fn tells(&self, signal: &Signal) -> Option<Vec<u8>> {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hangs || !state.listens {
            return None;
        }
        match self.kind {
            ReceiverKind::Im871a => im871a::frame(signal),
            ReceiverKind::Amb8465 => amb8465::frame(signal, state.tells_rssi),
            ReceiverKind::Cul => Some(cul::frame(signal)),
            ReceiverKind::Lines => Some(line(signal)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a stick was told.
struct Command {
    /// It begins anew, even if it has hung itself up.
    resets: bool,
    does: Box<Deed>,
}

/// What becomes of its state, and what it answers.
type Deed = dyn FnOnce(&mut State) -> Option<Vec<u8>>;

impl Command {
    fn new(does: impl FnOnce(&mut State) -> Option<Vec<u8>> + 'static) -> Self {
        Self { resets: false, does: Box::new(does) }
    }
}

/// So many bytes at the front are this; `None` while more must come.
type Front = Option<(usize, Option<Command>)>;

/// `rtl_wmbus`: mode, checksums, 3 of 6, when, two strengths, number, frame.
fn line(signal: &Signal) -> Vec<u8> {
    let frame = hex(&signal.frame);
    let number = signal.number;
    format!("C1;1;1;2026-01-01 00:00:00.000;97;148;{number:08};0x{frame}\n").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
    }

    /// What a receiver that is new answers to commands, and what it says of a frame then.
    #[track_caller]
    fn check(kind: ReceiverKind, commands: &[(&[u8], &[u8])], said: &str) {
        let receiver = Receiver::new(kind);
        let signal = || Signal { frame: bytes("0344 2D2C"), number: 67_001_122, rssi_dbm: -74 };
        for (command, answer) in commands {
            let mut heard = command.to_vec();
            let answers = receiver.hear(&mut heard).concat();
            assert_eq!(hex(&answers), hex(answer), "to {}", hex(command));
            assert!(heard.is_empty(), "{heard:02x?}");
        }
        assert_eq!(receiver.tells(&signal()).map(|it| hex(&it)).as_deref(), Some(said));
        receiver.hang();
        assert_eq!(receiver.tells(&signal()), None, "it hangs");
        assert_eq!(receiver.hear(&mut commands[0].0.to_vec()), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn each_stick_is_told_to_listen_and_tells_a_frame() {
        check(
            ReceiverKind::Im871a,
            &[
                (&bytes("A58101002489"), &bytes("A5010200")),
                (&bytes("A58103070003000618000199B2"), &bytes("A501040100")),
            ],
            "a5c20303442d2c62f9b9",
        );
        check(
            ReceiverKind::Amb8465,
            &[
                (&bytes("FF0A020501F3"), &bytes("FF8A0305010173")),
                (&bytes("FF0A024501B3"), &bytes("FF8A0345010032")),
                (&bytes("FF0903450101B0"), &bytes("FF89010077")),
                (&bytes("FF0500FA"), &bytes("FF8501007B")),
                (&bytes("FF04010EF4"), &bytes("FF8401007A")),
            ],
            "ff0304442d2c00bd",
        );
        check(
            ReceiverKind::Cul,
            &[(b"V\r\n", b"V 1.67 nanoCUL868\r\n"), (b"X21\r\n", b""), (b"brc\r\n", b"CMODE\r\n")],
            &hex(b"bY03442D2C8000\r\n"),
        );
    }
}
