//! Bytes as a frame.

use mbus::{
    Control, Flaw, Frame, Overhear, Overheard, Primary, Request, Writer, explain, write_frame,
};

use crate::records::{displayed, is_worded, telegram};

/// Reads `bytes` as one frame, and as what a wire brings.
///
/// - What is read is written back as the same bytes, and its own length is theirs.
/// - A part of a frame is none: it is said to be too short, behind its last byte.
/// - One changed byte never leaves a frame another frame.
/// - An error stands in the frame or behind its last byte.
/// - A request is read back from the frame it is written as.
/// - An explanation holds each byte once.
/// - A listener gives away each byte once and in order, in whatever pieces they come.
///
/// # Panics
///
/// If one of these does not hold.
pub fn frame(bytes: &[u8]) {
    one(bytes);
    // A fuzzer seldom guesses a checksum: the same as what is in a frame.
    if let [control, address, ci, data @ ..] = bytes {
        let mut buffer = [0; Frame::MAX_LEN];
        let (control, address) = (Control(*control), Primary(*address));
        if let Ok(frame) = write_frame(&mut buffer, control, address, *ci, |w| w.bytes(data)) {
            assert!(Frame::read(frame).is_ok(), "{frame:02X?} is no frame");
            one(frame);
        }
    }
}

fn one(bytes: &[u8]) {
    lengths(bytes);
    explained(bytes);
    overheard(bytes);
    match Frame::read(bytes) {
        Ok(frame) => {
            written_back(&frame, bytes);
            cut(bytes);
            changed(bytes);
            if let Some(request) = Request::read(&frame) {
                asked_again(&request);
            }
            if let Frame::Long(long) = frame {
                telegram(&long);
            }
        }
        Err(error) => {
            assert!(error.at <= bytes.len(), "{error} is behind the frame");
            displayed(&error);
        }
    }
}

/// How long a frame is does not change its mind while more of it comes.
fn lengths(bytes: &[u8]) {
    let whole = Frame::expected_len(bytes);
    for len in 0..bytes.len().min(5) {
        let part = Frame::expected_len(&bytes[..len]);
        let agrees = match part {
            Ok(None) => true,
            Ok(Some(_)) => part == whole,
            // What is wrong with the first bytes is wrong with all of them, if not alone.
            Err(_) => whole.is_err(),
        };
        assert!(agrees, "{part:?} of {len} bytes, {whole:?} of all");
    }
    if let Ok(Some(len)) = whole {
        assert!((1..=Frame::MAX_LEN).contains(&len), "{len} bytes are no frame");
    }
}

fn written_back(frame: &Frame<'_>, bytes: &[u8]) {
    let mut buffer = [0; Frame::MAX_LEN];
    let mut w = Writer::new(&mut buffer);
    frame.write(&mut w).expect("what was read can be written");
    assert_eq!(w.written(), bytes);
    assert_eq!(Frame::expected_len(bytes), Ok(Some(bytes.len())));
}

fn cut(bytes: &[u8]) {
    // A place that the fuzzer chooses: trying all of them would take the square of the time.
    let len = usize::from(bytes[bytes.len().saturating_sub(2)]) % bytes.len();
    let error = Frame::read(&bytes[..len]).expect_err("a part of a frame is none");
    assert_eq!(error.at, len, "{error}");
    assert!(matches!(error.flaw, Flaw::Truncated(_)), "{error}");
}

fn changed(bytes: &[u8]) {
    let mut buffer = [0; Frame::MAX_LEN];
    let changed = &mut buffer[..bytes.len()];
    changed.copy_from_slice(bytes);
    let choice = bytes[bytes.len().saturating_sub(2)];
    let at = usize::from(choice) % bytes.len();
    changed[at] ^= choice.max(1);
    assert!(Frame::read(changed).is_err(), "byte {at} may be anything");
}

fn asked_again(request: &Request<'_>) {
    let mut buffer = [0; Frame::MAX_LEN];
    let mut w = Writer::new(&mut buffer);
    request.write(&mut w).expect("what was read can be written");
    let written = w.written();
    let frame = Frame::read(written).expect("what is written is a frame");
    assert_eq!(Request::read(&frame), Some(*request));
}

fn explained(bytes: &[u8]) {
    let mut at = 0;
    let choice = bytes.last().copied().unwrap_or_default();
    explain::pieces(bytes, &mut |piece| {
        assert_eq!(piece.at, at, "{piece:?} follows a gap, or lies over another");
        assert!(!piece.bytes.is_empty(), "{piece:?} is of nothing");
        assert_eq!(bytes.get(piece.range()), Some(piece.bytes), "{piece:?}");
        if is_worded(piece.at, choice) {
            displayed(&piece.meaning);
        }
        at = piece.range().end;
    });
    assert_eq!(at, bytes.len(), "the last bytes are not explained");
}

fn overheard(bytes: &[u8]) {
    let mut listener = Overhear::new();
    let mut at = 0;
    let mut follow = |heard: Overheard<'_>| {
        let these = match heard {
            Overheard::Frame(frame, these) => {
                assert_eq!(Frame::read(these), Ok(frame));
                these
            }
            Overheard::Noise(noise) => noise,
        };
        assert_eq!(bytes.get(at..at + these.len()), Some(these), "not what comes at {at}");
        at += these.len();
    };
    // In pieces whose lengths the fuzzer chooses.
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, behind) = rest.split_at(usize::from(first % 16 + 1).min(rest.len()));
        listener.heard(piece, &mut follow);
        rest = behind;
    }
    listener.silence(&mut follow);
    assert_eq!(at, bytes.len(), "the last bytes are kept");
}
