//! Lines of text with a frame in hex, as many programs and gateways say them.
//!
//! ```text
//! T1;1;1;2026-01-31 12:00:00.000;97;148;88888888;0x6E4401…   rtl_wmbus: mode, checksums, 3 of 6
//! T1;1;1;2026-01-31 12:00:00.00Z;-73;;;0x6E4401…             receivers of ESPHome: dBm in the fifth
//! 00028954; ELV;20;1B;00; -83; T;5744961554…;                Elvaco CMeX50: dBm in the sixth field
//! b2E44931578563412330333637A2A0020…80E0                      as a CUL: LQI and RSSI behind it
//! telegram=|2E44931578563412330333637A2A0020…|               a log
//! 2E44931578563412330333637A2A0020…                          a bare frame
//! ```
//!
//! The longest run of hex digits is the frame, with or without its checksums.

use super::codec::Said;
use super::{Frame, cul};

/// The frame in a line of text; `None` if there is none, or one whose checksums are said to be
/// wrong.
pub fn frame_of_line(line: &str) -> Option<Frame> {
    let fields: Vec<&str> = line.split(';').map(str::trim).collect();
    let is_mode = |text: &str| matches!(text, "T1" | "T2" | "C1" | "C2" | "S1" | "S2");
    let dbm = match fields.as_slice() {
        [mode, "0", ..] if is_mode(mode) => return None,
        // That of `rtl_wmbus` itself is above zero, in units of its own.
        [mode, _, _, _, dbm, ..] if is_mode(mode) => Some(dbm),
        [_, _, _, _, _, dbm, ..] => Some(dbm),
        [line] => {
            if let Some(frame) = cul::frame(line) {
                return Some(frame);
            }
            None
        }
        _ => None,
    };
    let rssi_dbm = dbm.and_then(|dbm| dbm.parse().ok()).filter(|dbm| (-150..0).contains(dbm));
    let runs = line.split(|letter: char| !letter.is_ascii_hexdigit());
    let longest = runs.max_by_key(|run| run.len())?;
    let bytes = bytes_of(longest)?;
    let (frame, _) = cut(&bytes)?;
    Some(Frame { bytes: frame.to_vec(), rssi_dbm })
}

pub(super) fn said(line: &str) -> Said {
    frame_of_line(line).map_or(Said::Noise, Said::Frame)
}

/// Of an even number of hex digits, as many as a frame may have.
pub(super) fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|it| it.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let digits = digits.filter(|it| it.len() <= 2 * LONGEST)?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// The frame at the beginning of `bytes`, and the two bytes at most that stand behind it.
///
/// Its length byte counts without the checksums of format A, which are two bytes behind the first
/// ten and behind every sixteen that follow.
pub(super) fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(*bytes.first()?) + 1;
    let with_checksums = len + 2 * (1 + len.saturating_sub(10).div_ceil(16));
    let fits =
        |len: &usize| len.checked_add(2).is_some_and(|most| (*len..=most).contains(&bytes.len()));
    let len = [with_checksums, len].into_iter().find(fits)?;
    bytes.split_at_checked(len)
}

/// 256 bytes, the checksums of sixteen blocks, LQI and RSSI.
const LONGEST: usize = 256 + 2 * 17 + 2;
