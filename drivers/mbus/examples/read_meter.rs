//! Reading a meter with the session, over any stream of bytes.
//!
//! ```sh
//! cargo run -p mbus-rs --example read_meter -- 127.0.0.1:10001 5
//! cargo run -p mbus-rs --example read_meter -- 127.0.0.1:10001 67001122KAM3504
//! ```
//!
//! asks the meter with that address, on the bus or of its own, behind a converter (the example
//! `slave` is one). Without arguments it reads a meter that lives in this process.

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mbus::{Action, Answer, Frame, Primary, Reset, Session, Settings, Target, Task};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(converter), Some(meter)) => {
            let mut stream = TcpStream::connect(converter)?;
            // So that a read comes back in time to ask the session what is next.
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            let meter = match meter.parse() {
                Ok(primary) => Target::Primary(Primary(primary)),
                Err(_) => Target::Secondary(meter.parse()?),
            };
            show(&read_meter(&mut stream, meter)?)
        }
        _ => show(&read_meter(&mut InProcess::default(), Target::Primary(Primary(5)))?),
    }
}

/// The telegrams of `meter`, each a whole frame. A time-out of `port` means: nothing came yet.
fn read_meter(
    port: &mut (impl Read + Write),
    meter: Target,
) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let started = Instant::now();
    let mut session = Session::new(Settings::over_network(2400));
    let task = Task::Read { meter, reset: Reset::WhenNeeded, prelude: None };
    session.start(&task, None, started.elapsed())?;
    let mut telegrams = Vec::new();
    loop {
        match session.poll(started.elapsed()) {
            Action::Send(bytes) => port.write_all(bytes)?,
            Action::Wait(_) => {
                let mut bytes = [0; 256];
                match port.read(&mut bytes) {
                    Ok(0) => return Err("the port was closed".into()),
                    Ok(count) => {
                        let bytes = bytes.get(..count).unwrap_or_default();
                        session.received(bytes, started.elapsed());
                    }
                    Err(error) if is_timeout(error.kind()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Action::Telegram(frame) => telegrams.push(frame.to_vec()),
            Action::Done(result) => {
                let summary = result?;
                println!(
                    "{} frames sent, slowest answer {:?}",
                    summary.sends, summary.slowest_answer
                );
                return Ok(telegrams);
            }
            // Neither is asked for by a task that reads.
            Action::SetBaud(_) | Action::Idle => return Err("the session asked for nothing".into()),
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// All records of the answer, numbered through its telegrams.
fn show(telegrams: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    for joint in Answer::new(telegrams.iter().map(Vec::as_slice)) {
        println!("{:>3}  {}", joint.index, joint.record?);
    }
    Ok(())
}

/// A port to a meter that answers at once, always with the same telegram.
#[derive(Default)]
struct InProcess {
    /// What the master has not fetched yet.
    answers: Vec<u8>,
}

impl Write for InProcess {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match Frame::read(bytes) {
            Ok(Frame::Short { control, .. }) if control.is(mbus::Control::SND_NKE) => {
                self.answers.push(0xE5);
            }
            Ok(Frame::Short { .. }) => self.answers.extend_from_slice(&TELEGRAM),
            _ => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for InProcess {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.answers.is_empty() {
            return Err(ErrorKind::TimedOut.into());
        }
        let count = self.answers.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

/// A volume of 12.565 m³ and its highest flow of 0.113 m³/h.
const TELEGRAM: [u8; 37] = [
    0x68, 0x1F, 0x1F, 0x68, 0x08, 0x05, 0x72, 0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 0x01, 0x07, 0x55,
    0x00, 0x00, 0x00, 0x03, 0x13, 0x15, 0x31, 0x00, 0xDA, 0x02, 0x3B, 0x13, 0x01, 0x8B, 0x60, 0x04,
    0x37, 0x18, 0x02, 0x1B, 0x16,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_of_this_process_is_read() {
        let telegrams = read_meter(&mut InProcess::default(), Target::Primary(Primary(5))).unwrap();
        assert_eq!(telegrams, [TELEGRAM]);
        show(&telegrams).unwrap();
    }
}
