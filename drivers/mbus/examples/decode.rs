//! What a telegram says.
//!
//! ```sh
//! cargo run -p mbus-rs --example decode -- 68 1F 1F 68 08 02 72 …
//! ```
//!
//! Without arguments it reads the telegram of a water meter.

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use mbus::{Content, Frame};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: String = std::env::args().skip(1).collect();
    decode(if arguments.is_empty() { WATER_METER } else { &arguments })
}

fn decode(hex: &str) -> Result<(), Box<dyn Error>> {
    let digits: String = hex.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or_default(), 16);
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;

    let Frame::Long(long) = Frame::read(&bytes)? else {
        println!("an acknowledge, or a short command: no telegram");
        return Ok(());
    };
    let telegram = long.telegram()?;
    if let Some(header) = telegram.header {
        if let (Some(address), Some(medium)) = (header.address(), header.medium) {
            println!("meter {address}, {}", medium.name());
        }
        println!("answer {}, status {:?}", header.access_number, header.status.application());
    }
    if let Content::Error(error) = telegram.content {
        println!("the meter could not answer: {}", error.name());
    }
    // Records that are odd are records, too: only one that breaks off ends the telegram.
    let mut records = telegram.records()?;
    for record in records.by_ref() {
        println!("  {}", record?);
    }
    if records.trailer().is_some_and(|trailer| trailer.more_follow) {
        println!("the meter has a further telegram");
    }
    Ok(())
}

const WATER_METER: &str = "
    68 1F 1F 68 08 02 72 78 56 34 12 24 40 01 07 55 00 00 00
    03 13 15 31 00   DA 02 3B 13 01   8B 60 04 37 18 02   18 16";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_water_meter_is_read() {
        decode(WATER_METER).unwrap();
    }

    #[test]
    fn what_is_no_telegram_says_where() {
        let error = decode("68 04 04 68 08 01 72 00").unwrap_err();
        assert_eq!(error.to_string(), "byte 8: the telegram ends inside the frame");
    }
}
