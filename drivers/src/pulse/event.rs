//! An edge of a line, in the bytes of the kernel: `struct gpio_v2_line_event` of `linux/gpio.h`.
//!
//! ```text
//! timestamp_ns u64 │ id u32 │ offset u32 │ seqno u32 │ line_seqno u32 │ 24 bytes of zeros
//! ```
//!
//! In the byte order of the machine. `id` is 1 for a rising edge and 2 for a falling one.

/// The bytes of one event.
pub(super) const LEN: usize = 48;

/// The level of a line changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineEvent {
    /// When, in nanoseconds of a clock that is never set.
    pub(super) at_ns: u64,
    /// Whether the line is high since then.
    pub(super) high: bool,
    /// Which line of the chip.
    pub(super) line: u32,
    /// Its number among the events of its line, from 1: those that nobody fetched in time have one too.
    pub(super) number: u32,
}

impl LineEvent {
    /// `None` for an `id` that the kernel does not write.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let mut fields =
            bytes.chunks_exact(4).map(|it| <[u8; 4]>::try_from(it).unwrap_or_default());
        let mut half = || fields.next();
        let (first, second) = (half()?, half()?);
        let mut stamp = [0; 8];
        for (to, from) in stamp.iter_mut().zip(first.into_iter().chain(second)) {
            *to = from;
        }
        let (id, line) = (u32::from_ne_bytes(half()?), u32::from_ne_bytes(half()?));
        let _among_all_lines = half()?;
        let number = u32::from_ne_bytes(half()?);
        let high = match id {
            1 => true,
            2 => false,
            _ => return None,
        };
        Some(Self { at_ns: u64::from_ne_bytes(stamp), high, line, number })
    }
}

/// Cuts what is read into events, wherever a reading ends.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    begun: Vec<u8>,
}

impl Cutter {
    /// The events that are whole with `bytes`; less than one is kept for later.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> Vec<LineEvent> {
        self.begun.extend_from_slice(bytes);
        let (whole, rest) = self.begun.as_chunks::<LEN>();
        let events = whole.iter().filter_map(LineEvent::decode).collect();
        self.begun = rest.to_vec();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_out_of_what_is_read_in_pieces() {
        let mut bytes = Vec::new();
        for (at, id, number) in [(1_000_000_007_u64, 2_u32, 41_u32), (1_040_000_007, 1, 42)] {
            bytes.extend(at.to_ne_bytes());
            for word in [id, 17, 99, number] {
                bytes.extend(word.to_ne_bytes());
            }
            bytes.extend([0; 24]);
        }
        let falling = LineEvent { at_ns: 1_000_000_007, high: false, line: 17, number: 41 };
        let rising = LineEvent { at_ns: 1_040_000_007, high: true, line: 17, number: 42 };
        for cut_at in 0..bytes.len() {
            let mut cutter = Cutter::default();
            let (first, second) = bytes.split_at(cut_at);
            let events = [cutter.cut(first), cutter.cut(second)].concat();
            assert_eq!(events, [falling, rising], "cut at {cut_at}");
        }
        let mut nonsense = bytes;
        nonsense[8] = 7;
        assert_eq!(Cutter::default().cut(&nonsense), [rising]);
    }
}
