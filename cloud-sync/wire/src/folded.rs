//! Readings of one series that nobody adds to any more, in as few bytes as in a batch.
//!
//! ```text
//!  Folded  = [version, [stretch, …]]
//!  stretch = [epoch number, from, length, packed columns]      what columns.rs tells of
//! ```
//!
//! The portfolio keeps a day of a series so once it is a week old. Numbers and epochs stay: a
//! correction that comes later has to be told from what it corrects.

use crate::batch::SyncReading;
use crate::cbor::{Malformed, Pen, Reader};
use crate::columns;
use crate::limits;
use crate::pack::{self, Packed, TooLarge};

/// Readings of one epoch, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which of the gateway's epochs, as the portfolio counts them.
    pub epoch_no: u32,
    /// At most [`limits::READINGS`].
    pub readings: Vec<SyncReading>,
}

/// Writes `stretches`, at most [`limits::STRETCHES`].
///
/// # Errors
///
/// [`TooLarge`] if there are more, or more readings in one than there may be.
pub fn fold(stretches: &[Stretch]) -> Result<Vec<u8>, TooLarge> {
    if stretches.len() > limits::STRETCHES {
        return Err(TooLarge(stretches.len()));
    }
    let mut pen = Pen::new();
    pen.list(2).unsigned(crate::VERSION).list(stretches.len());
    for Stretch { epoch_no, readings } in stretches {
        if readings.len() > limits::READINGS {
            return Err(TooLarge(readings.len()));
        }
        let from = readings.first().map_or(0, |reading| reading.seq);
        let mut content = Pen::new();
        content.list(columns::FIELDS);
        columns::write(&mut content, from, readings);
        pen.list(4).unsigned(*epoch_no).unsigned(from);
        pack::pack(&mut pen, &content.finish())?;
    }
    Ok(pen.finish())
}

/// Reads what [`fold`] wrote.
///
/// # Errors
///
/// [`Malformed`] with the first thing that is wrong.
pub fn unfold(bytes: &[u8]) -> Result<Vec<Stretch>, Malformed> {
    let mut r = Reader::new(bytes);
    r.fields("folded readings", 2)?;
    r.version()?;
    let mut stretches = Vec::new();
    for _ in 0..r.list("stretches", limits::STRETCHES)? {
        r.fields("stretch", 4)?;
        let epoch_no = u32::try_from(r.unsigned("epoch number")?).unwrap_or(u32::MAX);
        let from = r.unsigned("first number")?;
        let content = Packed::read(&mut r)?.unpack()?;
        let mut inner = Reader::new(&content);
        inner.fields("columns", columns::FIELDS)?;
        let mut readings = columns::read(&mut inner, from)?;
        inner.end()?;
        readings.sort_by_key(|reading| reading.seq);
        stretches.push(Stretch { epoch_no, readings });
    }
    r.end()?;
    Ok(stretches)
}

#[cfg(test)]
mod tests {
    use metering::{NoReading, Origin, Quality, SeriesId};
    use proptest::prelude::*;

    use super::*;

    fn stretch(epoch_no: u32, from: u64, count: u64, step: u64) -> Stretch {
        let reading = |n: u64| SyncReading {
            seq: from + step * n,
            series: SeriesId::new(7).unwrap(),
            at_ms: 1_795_000_000_000 + 900_000 * n.cast_signed(),
            value: if n % 9 == 4 { Err(NoReading::Silent) } else { Ok(1_000 + n.cast_signed()) },
            quality: Quality::Good,
            origin: Origin::Live,
        };
        Stretch { epoch_no, readings: (0..count).map(reading).collect() }
    }

    #[test]
    fn what_is_folded_unfolds() {
        for stretches in [
            vec![],
            vec![stretch(1, 500, 96, 180)],
            vec![stretch(1, 3, 1, 1), stretch(2, 1, 10_000, 180)],
        ] {
            assert_eq!(unfold(&fold(&stretches).unwrap()), Ok(stretches));
        }
    }

    #[test]
    fn a_day_of_quarter_hours_takes_less_than_two_bytes_a_reading() {
        let bytes = fold(&[stretch(1, 500, 96, 180)]).unwrap().len();
        assert!(bytes < 2 * 96, "{bytes} bytes");
    }

    #[test]
    fn more_than_may_be_is_not_folded() {
        assert!(fold(&[stretch(1, 1, limits::READINGS as u64 + 1, 1)]).is_err());
        assert!(fold(&vec![stretch(1, 1, 1, 1); limits::STRETCHES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = fold(&[stretch(1, 5, 40, 3)]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = unfold(&bytes);
        }
    }
}
