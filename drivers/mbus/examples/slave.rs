//! A meter: it is reset, selected and asked, and answers as the standard wants it.
//!
//! ```sh
//! cargo run -p mbus-rs --example slave -- 127.0.0.1:10001
//! ```
//!
//! serves it as a transparent converter does, so that any master can read it. Without an argument
//! it plays through one short conversation.

#![expect(clippy::print_stdout, reason = "an example shows what it says")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;

use mbus::{
    ByteOrder, Control, Data, Encoding, Entry, Frame, Full, Header, Id, Manufacturer, Medium,
    Primary, Quantity, Request, Secondary, Status, VibBuf, Writer, ci, write_frame,
};

/// A heat meter with one address of its own and one on the bus.
struct Meter {
    own: Secondary,
    primary: Primary,
    /// Its address 253 is felt while this is set.
    selected: bool,
    access_number: u8,
    kilowatt_hours: i64,
}

impl Meter {
    /// The answer to `frame`, if there is one.
    fn answer<'b>(&mut self, frame: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let request = Request::read(&Frame::read(frame).ok()?)?;
        match request {
            Request::Select(selection) => {
                self.selected = selection.matches(&self.own, None);
                if self.selected { acknowledge(buffer) } else { None }
            }
            Request::Reset(to) if self.is_meant(to) => {
                self.selected &= to != Primary::SELECTED;
                acknowledge(buffer)
            }
            // All fits into one telegram, so that the frame count bit makes no difference.
            Request::Data { to, .. } if self.is_meant(to) => {
                self.access_number = self.access_number.wrapping_add(1);
                let body = |w: &mut Writer<'_>| self.write(w);
                write_frame(buffer, Control::RSP_UD, self.primary, ci::RECORDS, body).ok()
            }
            _ => None,
        }
    }

    fn is_meant(&self, to: Primary) -> bool {
        to == self.primary
            || to == Primary::ALL_ANSWER
            || (to == Primary::SELECTED && self.selected)
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        Header::long(self.own, self.access_number, Status::OK).write(w)?;
        // What has been made fits into its coding; what does not is not made.
        let energy = VibBuf::of(Quantity::Energy, "Wh", 3).ok_or(Full)?;
        let count = Data::bcd(Encoding::Bcd8, self.kilowatt_hours).ok_or(Full)?;
        Entry::new(energy, count).write(w, ByteOrder::LsbFirst)?;
        let flow = VibBuf::of(Quantity::FlowTemperature, "C", -1).ok_or(Full)?;
        let celsius = Data::int(Encoding::Int16, 712).ok_or(Full)?;
        Entry::new(flow, celsius).write(w, ByteOrder::LsbFirst)
    }
}

fn acknowledge(buffer: &mut [u8]) -> Option<&[u8]> {
    let mut w = Writer::new(buffer);
    Frame::Ack.write(&mut w).ok()?;
    Some(w.written())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut meter = meter().ok_or("the meter has no manufacturer")?;
    match std::env::args().nth(1) {
        Some(address) => serve(&mut meter, &TcpListener::bind(address)?),
        None => converse(&mut meter),
    }
}

fn meter() -> Option<Meter> {
    let own = Secondary {
        id: Id(0x6700_1122),
        manufacturer: Manufacturer::of("KAM")?,
        version: 0x35,
        medium: Medium::new(4),
    };
    let primary = Primary(5);
    Some(Meter { own, primary, selected: false, access_number: 0, kilowatt_hours: 12_345 })
}

/// One master after the other.
fn serve(meter: &mut Meter, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("meter {} answers at {}", meter.own, listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        let (mut heard, mut chunk) = (Vec::new(), [0; 64]);
        loop {
            let count = stream.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            heard.extend_from_slice(bytes);
            // A frame ends by its own length. What cannot begin one is noise.
            while let Some(len) = Frame::expected_len(&heard).unwrap_or(Some(1)) {
                if heard.len() < len {
                    break;
                }
                let frame: Vec<u8> = heard.drain(..len).collect();
                if let Some(answer) = meter.answer(&frame, &mut [0; Frame::MAX_LEN]) {
                    stream.write_all(answer)?;
                }
            }
        }
    }
    Ok(())
}

fn converse(meter: &mut Meter) -> Result<(), Box<dyn Error>> {
    let requests = [
        Request::Reset(Primary(5)),
        Request::Data { to: Primary(5), fcb: true },
        Request::Select("6700FFFFKAMFFFF".parse()?),
        Request::Data { to: Primary::SELECTED, fcb: true },
        Request::Data { to: Primary(6), fcb: true },
    ];
    for request in requests {
        let (mut question, mut answer) = ([0; Frame::MAX_LEN], [0; Frame::MAX_LEN]);
        let mut w = Writer::new(&mut question);
        request.write(&mut w)?;
        let answer = meter.answer(w.written(), &mut answer);
        println!("{request:?}\n  {:02X?}", answer.unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_only_when_it_is_meant() {
        let mut meter = meter().unwrap();
        converse(&mut meter).unwrap();
        let mut buffer = [0; Frame::MAX_LEN];
        // Selected with other digits, it feels addressed no longer.
        let mut question = [0; Frame::MAX_LEN];
        let mut w = Writer::new(&mut question);
        Request::Select("1234FFFFKAMFFFF".parse().unwrap()).write(&mut w).unwrap();
        assert_eq!(meter.answer(w.written(), &mut buffer), None);
        assert!(!meter.selected);
        let alarm = [0x10, 0x5A, 0x05, 0x5F, 0x16];
        assert_eq!(meter.answer(&alarm, &mut buffer), None);
    }
}
